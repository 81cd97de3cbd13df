//! The signalling thread: feeds the switch, and carries out what it says, in order.
//!
//! It sleeps in epoll on the UDP sockets and one event for everything else. The inbox is bounded: when it is full
//! TCP stops being read, and datagrams wait in the kernel until it drops them (SIP repeats).

use std::collections::HashMap;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::media;
use crate::media::bank::Bank;
use crate::model::change::Change;
use crate::model::command;
use crate::model::event::Event;
use crate::shell::ask::Asker;
use crate::shell::clock;
use crate::shell::http::metrics;
use crate::shell::mail::Mailer;
use crate::shell::media::sys::Epoll;
use crate::shell::media::sys::EventFd;
use crate::shell::media::thread::MediaThreads;
use crate::shell::net::resolve::Resolver;
use crate::shell::net::stream::Streams;
use crate::shell::net::udp::Udp;
use crate::shell::store::Store;
use crate::shell::trace::Trace;
use crate::sip;
use crate::sip::Transport;
use crate::switch::Answer;
use crate::switch::Ask;
use crate::switch::AskId;
use crate::switch::CommandId;
use crate::switch::Input;
use crate::switch::Output;
use crate::switch::Switch;

/// Inputs that wait at most.
const INBOX_MAX: usize = 65_536;
/// Inputs taken from the inbox before the sockets get their turn.
const BATCH: usize = 256;
/// Timers run out at most this late.
const DEADLINES_TOGETHER: Duration = Duration::from_millis(3);
/// Waiting for less than this is not told to the switch.
const WAIT_TOLD: Duration = Duration::from_millis(5);
/// Descriptors that are reported at once.
const READY_MAX: usize = 16;
/// The event's token; sockets have their index.
const INBOX: u64 = u64::MAX;

/// What the rest of the shell gives to the signalling thread.
enum Item {
    Input(Box<Input>),
    Command(command::Command, oneshot::Sender<command::Answer>),
    Stop,
}

/// The way in, for any thread.
#[derive(Clone)]
pub struct Inbox {
    items: mpsc::SyncSender<Item>,
    kept: Arc<Kept>,
    wake: Arc<EventFd>,
    trace: Trace,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Inbox {
    /// Gives an input; `false` when the inbox is full or the thread has ended.
    pub fn give(&self, input: Input) -> bool {
        self.put(Item::Input(Box::new(input)))
    }

    /// Gives what a media thread says. Of a full inbox keys and figures are lost; what ends something is taken all the
    /// same, for a port or a call would wait for it for ever.
    pub fn tell(&self, event: media::Event) {
        let may_be_lost = matches!(event, media::Event::Digit { .. } | media::Event::Figures { .. });
        let behind = self.kept.any.load(Ordering::Acquire);
        if may_be_lost {
            if !behind {
                self.give(Input::Media(event));
            }
            return;
        }
        let unkept = if behind { Some(event) } else { self.offer(event) };
        if let Some(event) = unkept {
            let mut events = self.kept.events.lock().unwrap_or_else(PoisonError::into_inner);
            if events.len() < INBOX_MAX {
                events.push_back(event);
                self.kept.any.store(true, Ordering::Release);
            }
        }
    }

    /// Gives an event if there is room, else gives it back.
    fn offer(&self, event: media::Event) -> Option<media::Event> {
        let taken = self.items.try_send(Item::Input(Box::new(Input::Media(event))));
        self.wake.wake();
        match taken {
            Err(mpsc::TrySendError::Full(Item::Input(input))) => match *input {
                Input::Media(event) => Some(event),
                _ => None,
            },
            Ok(()) | Err(_) => None,
        }
    }

    /// Gives an order; its answer comes through the receiver.
    pub fn order(&self, command: command::Command) -> oneshot::Receiver<command::Answer> {
        let (answer, receiver) = oneshot::channel();
        // A full inbox drops the sender, which the receiver notices.
        self.put(Item::Command(command, answer));
        receiver
    }

    /// Ends the thread, however many calls are up.
    pub fn stop(&self) {
        self.put(Item::Stop);
    }

    /// Where the network layer shows what it receives and answers by itself.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    fn put(&self, item: Item) -> bool {
        let taken = self.items.try_send(item).is_ok();
        self.wake.wake();
        taken
    }
}

/// What found no room in the inbox and must not be lost, in order.
#[derive(Default)]
struct Kept {
    /// Something is there.
    any: AtomicBool,
    events: Mutex<VecDeque<media::Event>>,
}

/// Everything the signalling thread works with.
pub struct Parts {
    /// The core.
    pub switch: Switch,
    /// UDP listeners.
    pub udp: Vec<Udp>,
    /// Connections of stream transports.
    pub streams: Streams,
    /// Media threads.
    pub media: MediaThreads,
    /// Recordings that can be played.
    pub bank: Arc<Bank>,
    /// The disk.
    pub store: Arc<Store>,
    /// Names to addresses.
    pub resolver: Resolver,
    /// The way to other systems.
    pub asker: Asker,
    /// Data folder.
    pub data: std::path::PathBuf,
    /// Sends mail.
    pub mailer: Mailer,
    /// For what must wait for others.
    pub runtime: Handle,
}

/// The mouth of the inbox, made before its thread so that others can be given the way in.
pub struct Mouth {
    items: mpsc::Receiver<Item>,
    kept: Arc<Kept>,
    wake: Arc<EventFd>,
}

impl Mouth {
    /// The next item, if one is there; what was kept comes behind what had room.
    fn take(&self) -> Option<Item> {
        if let Ok(item) = self.items.try_recv() {
            return Some(item);
        }
        if !self.kept.any.load(Ordering::Acquire) {
            return None;
        }
        let mut events = self.kept.events.lock().unwrap_or_else(PoisonError::into_inner);
        let event = events.pop_front();
        self.kept.any.store(!events.is_empty(), Ordering::Release);
        event.map(|event| Item::Input(Box::new(Input::Media(event))))
    }
}

/// Makes an inbox; what goes through it is shown to `trace`.
///
/// # Errors
/// When the kernel has no event to give.
pub fn inbox(trace: Trace) -> anyhow::Result<(Inbox, Mouth)> {
    let wake = Arc::new(EventFd::new().context("cannot make an event for the signalling thread")?);
    let (sender, items) = mpsc::sync_channel(INBOX_MAX);
    let kept = Arc::new(Kept::default());
    let inbox = Inbox { items: sender, kept: Arc::clone(&kept), wake: Arc::clone(&wake), trace };
    Ok((inbox, Mouth { items, kept, wake }))
}

/// Starts the thread, which carries out `first` at once; it ends when it is told to stop or every call is over after an order to drain.
///
/// # Errors
/// When the thread or its epoll cannot be made.
pub fn start(
    parts: Parts,
    first: Vec<Output>,
    inbox: Inbox,
    mouth: Mouth,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let epoll = Epoll::new(READY_MAX).context("cannot watch sockets")?;
    for (index, udp) in parts.udp.iter().enumerate() {
        epoll.add(udp.socket(), index as u64).context("cannot watch a UDP socket")?;
    }
    epoll.add(&*mouth.wake, INBOX).context("cannot watch the inbox")?;
    let waiting = vec![None; parts.udp.len() + 1];
    let signaling =
        Signaling { parts, inbox, mouth, epoll, replies: HashMap::new(), next: 0, ended: false, waiting };
    thread::Builder::new()
        .name("signaling".into())
        .spawn(move || signaling.run(first))
        .context("cannot start the signalling thread")
}

struct Signaling {
    parts: Parts,
    inbox: Inbox,
    mouth: Mouth,
    epoll: Epoll,
    replies: HashMap<CommandId, oneshot::Sender<command::Answer>>,
    next: u64,
    ended: bool,
    /// Since when a socket, or at last the inbox, was not seen empty: what is read of it may have come then.
    waiting: Vec<Option<Instant>>,
}

impl Signaling {
    fn run(mut self, first: Vec<Output>) {
        let mut commands = Vec::new();
        for output in first {
            self.carry_out(output, &mut commands);
        }
        self.hand_over(&mut commands);
        // When the sockets were looked at last: what is found at once came after that.
        let mut looked = clock::now().mono;
        while !self.ended {
            let now = clock::now();
            let due = self.parts.switch.poll_timeout(now).map(|(at, _)| at);
            let wait = due.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(now.mono));
            if wait.is_zero() {
                self.parts.switch.handle_timeout(now);
                self.carry_out_all();
            }
            // Deadlines of a few milliseconds share one wake-up; none of them is that exact.
            let wait = wait.clamp(DEADLINES_TOGETHER, Duration::from_secs(1));
            let (ready, since) = match self.look(wait, looked) {
                Ok(looked) => looked,
                Err(error) => {
                    tracing::error!(%error, "cannot wait for sockets");
                    break;
                }
            };
            looked = clock::now().mono;
            for at in 0..ready {
                match self.epoll.token(at) {
                    INBOX => {
                        self.mouth.wake.clear();
                        let inbox = self.parts.udp.len();
                        self.waited(inbox, since);
                        if !self.take_items() {
                            self.waiting[inbox] = None;
                        }
                    }
                    socket => self.read(socket as usize, since),
                }
            }
        }
        self.parts.media.stop();
        self.parts.store.flush();
    }

    /// Waits until something can be read. Tells how many can, and since when it may have waited: what is there at once
    /// came while other work was done after the last look, anything else wakes us.
    fn look(&mut self, wait: Duration, last: Instant) -> io::Result<(usize, Instant)> {
        match self.epoll.wait(Some(Duration::ZERO))? {
            0 => {
                let ready = self.epoll.wait(Some(wait))?;
                Ok((ready, clock::now().mono))
            }
            ready => Ok((ready, last)),
        }
    }

    /// Reads a socket and handles each message as it comes.
    fn read(&mut self, index: usize, since: Instant) {
        self.waited(index, since);
        let Some(udp) = self.parts.udp.get_mut(index) else { return };
        let mut inputs = Vec::new();
        let more = udp.read(&self.inbox.trace, self.parts.streams.shut_out(), |input| inputs.push(input));
        for input in inputs {
            count(&input);
            self.parts.switch.handle_input(clock::now(), Input::Sip(input));
            self.carry_out_all();
        }
        if !more {
            self.waiting[index] = None;
        }
    }

    /// Tells the switch how long what is read of a source now may have waited: since it was last seen empty, or since
    /// the time given when it was.
    fn waited(&mut self, source: usize, since: Instant) {
        let now = clock::now();
        let since = *self.waiting[source].get_or_insert(since);
        let long = now.mono.saturating_duration_since(since);
        if long >= WAIT_TOLD {
            self.parts.switch.handle_input(now, Input::Waited(long));
            self.carry_out_all();
        }
    }

    /// Handles what is in the inbox, at most a batch; tells whether more may be waiting.
    fn take_items(&mut self) -> bool {
        for taken in 0.. {
            if taken == BATCH {
                // More may be waiting: come back after the sockets.
                self.mouth.wake.wake();
                return true;
            }
            let Some(item) = self.mouth.take() else { return false };
            match item {
                Item::Input(input) => {
                    if let Input::Sip(input) = &*input {
                        count(input);
                    }
                    self.parts.switch.handle_input(clock::now(), *input);
                }
                Item::Command(command, reply) => {
                    self.next += 1;
                    let id = CommandId(self.next);
                    self.replies.insert(id, reply);
                    self.parts.switch.handle_input(clock::now(), Input::Command { id, command });
                }
                Item::Stop => self.ended = true,
            }
            self.carry_out_all();
        }
        false
    }

    /// Does everything that the switch wants done. Media commands are handed over before the next datagram.
    fn carry_out_all(&mut self) {
        let mut commands: Vec<media::Command> = Vec::new();
        while let Some(output) = self.parts.switch.poll_output() {
            self.carry_out(output, &mut commands);
        }
        self.hand_over(&mut commands);
        self.parts.store.settle();
    }

    fn carry_out(&mut self, output: Output, commands: &mut Vec<media::Command>) {
        match output {
            Output::Media(command) => commands.push(command),
            Output::Transmit(transmit) => {
                self.hand_over(commands);
                self.transmit(transmit);
            }
            Output::Close(connection) => self.parts.streams.close(connection),
            Output::Change(change) => self.told(&change),
            Output::Ask { id, ask } => self.ask(id, ask),
            Output::Reply { id, answer } => {
                if let Some(reply) = self.replies.remove(&id) {
                    // Who asked may have gone.
                    let _ = reply.send(answer);
                }
            }
            Output::ShutOut { network, long } => self.parts.streams.shut(network, long),
            Output::Drained => self.ended = true,
        }
    }

    fn hand_over(&mut self, commands: &mut Vec<media::Command>) {
        if !commands.is_empty() {
            self.parts.media.send(std::mem::take(commands));
        }
    }

    fn transmit(&mut self, transmit: sip::Transmit) {
        self.inbox.trace.sent(&transmit.hop, &transmit.bytes);
        if transmit.hop.transport != Transport::Udp {
            self.parts.streams.send(transmit);
            return;
        }
        let sent = self
            .parts
            .udp
            .iter()
            .find(|udp| udp.serves(&transmit.hop))
            .is_some_and(|udp| udp.send(&transmit));
        if !sent {
            self.inbox.give(Input::Sip(sip::Input::SendFailed { hop: transmit.hop }));
        }
    }

    fn told(&mut self, change: &Change) {
        self.parts.store.record(change);
        metrics::count(change);
        self.inbox.trace.told(change);
        if let Change::Decision(told) = change {
            let Event { company, seq, call, event, why, .. } = &**told;
            tracing::debug!(%company, seq, call = call.map(tracing::field::display), %event, %why, "decision");
        }
    }

    /// Finds out what the core asks; the answer comes through the inbox.
    fn ask(&mut self, id: AskId, ask: Ask) {
        let inbox = self.inbox.clone();
        let answer = move |answer| {
            inbox.give(Input::Answer { id, answer });
        };
        match ask {
            Ask::Resolve { host, port, transport } => {
                let (resolver, streams) = (self.parts.resolver.clone(), self.parts.streams.clone());
                self.parts.runtime.spawn(async move {
                    let (hops, ttl) = resolver.resolve(&host, port, transport).await;
                    streams.learn(&host, &hops);
                    answer(Answer::Resolved { hops, ttl });
                });
            }
            Ask::LoadClip { file } => {
                let (bank, path) = (Arc::clone(&self.parts.bank), self.parts.data.join(&*file));
                self.parts.runtime.spawn_blocking(move || {
                    let loaded = crate::shell::media::bank::load_file(Arc::clone(&file), &path, &bank);
                    if let Err(error) = &loaded {
                        tracing::warn!(%error, "a recording cannot be played");
                    }
                    answer(Answer::Loaded(loaded.is_ok()));
                });
            }
            Ask::Post(post) => {
                let asker = self.parts.asker.clone();
                self.parts.runtime.spawn(async move { answer(Answer::Posted(asker.ask(&post).await)) });
            }
            Ask::KeepClip { file, to, clip } => {
                let (bank, data) = (Arc::clone(&self.parts.bank), self.parts.data.clone());
                self.parts.runtime.spawn_blocking(move || {
                    let kept = keep_clip(&data, &file, &to, clip, &bank);
                    if let Err(error) = &kept {
                        tracing::warn!(%error, "a recording cannot be taken into use");
                    }
                    answer(Answer::Loaded(kept.is_ok()));
                });
            }
            Ask::CopyFile { file, to } => {
                let (from, to) = (self.parts.data.join(&*file), self.parts.data.join(&*to));
                self.parts.runtime.spawn_blocking(move || {
                    if let Err(error) = std::fs::copy(&from, &to) {
                        tracing::error!(%error, "a message could not be copied: is the disk full?");
                    }
                    answer(Answer::Done);
                });
            }
            Ask::Mail(letter) => {
                // Handed over, not sent: the mailer tries as long as it takes.
                self.parts.mailer.post(*letter);
                answer(Answer::Done);
            }
            Ask::DeleteFile { file } => {
                let path = self.parts.data.join(&*file);
                self.parts.runtime.spawn_blocking(move || {
                    // A recording that was never begun has no file.
                    let _ = std::fs::remove_file(path);
                    answer(Answer::Done);
                });
            }
        }
    }
}

/// Moves a recording to where it is found after a restart, and puts it into the bank.
fn keep_clip(data: &Path, file: &str, to: &str, clip: media::ClipName, bank: &Bank) -> anyhow::Result<()> {
    let to = data.join(to);
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::rename(data.join(file), &to)?;
    crate::shell::media::bank::load_file(clip, &to, bank)?;
    Ok(())
}

/// Counts what came in.
fn count(input: &sip::Input) {
    match input {
        sip::Input::Message { hop, message } => metrics::received(message, hop.transport),
        sip::Input::Closed { .. } | sip::Input::SendFailed { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::PlayId;
    use crate::media::StreamId;

    #[test]
    fn a_full_inbox_loses_keys_but_nothing_that_ends_something() {
        let (inbox, mouth) = inbox(Trace::default()).expect("an event");
        let stream = StreamId { thread: 0, port: 2, generation: 1 };
        let digit = || media::Event::Digit { stream, digit: '1' };
        for _ in 0..INBOX_MAX + 5 {
            inbox.tell(digit());
        }
        let finished = |number| media::Event::PlayFinished { stream, play: PlayId(number) };
        let closed = || media::Event::Closed { stream, stats: media::Stats::default() };
        inbox.tell(finished(1));
        let event = |item| match item {
            Some(Item::Input(input)) => match *input {
                Input::Media(event) => Some(event),
                _ => None,
            },
            Some(Item::Command(..) | Item::Stop) | None => None,
        };
        assert_eq!(event(mouth.take()), Some(digit()));
        // There is room again, but not before what is kept.
        inbox.tell(digit());
        inbox.tell(closed());
        for _ in 1..INBOX_MAX {
            assert_eq!(event(mouth.take()), Some(digit()));
        }
        assert_eq!(event(mouth.take()), Some(finished(1)));
        assert_eq!(event(mouth.take()), Some(closed()));
        assert!(mouth.take().is_none());
        inbox.tell(digit());
        assert_eq!(event(mouth.take()), Some(digit()));
    }
}
