//! The media threads: their sockets, their waiting, and the way in and out of each [`Engine`].
//!
//! A thread owns the sockets of its ports, bound at start so that a promised port cannot fail, and watches
//! those that are in use. Between two slots it sleeps in epoll; a packet that comes is passed on at once, or,
//! under load, within a millisecond together with others, because a wake-up costs several times what a
//! packet does. Nothing here allocates, locks or logs for each packet; what the kernel's part costs, and what was
//! tried against it, is in benches/load/README.md.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use tracing::info;
use tracing::warn;

use crate::media::Command;
use crate::media::Event;
use crate::media::bank::Bank;
use crate::media::dtls::Answer;
use crate::media::dtls::Errand;
use crate::media::engine::Engine;
use crate::media::engine::output::Link;
use crate::media::engine::record::Chunk;
use crate::rand::Rng;
use crate::shell::media::backlog::Backlog;
use crate::shell::media::handshake::Identity;
use crate::shell::media::pace::Pace;
use crate::shell::media::recorder;
use crate::shell::media::sockets::Pair;
use crate::shell::media::sockets::Sockets;
use crate::shell::media::sockets::Watched;
use crate::shell::media::sockets::bare;
use crate::shell::media::sockets::bind_all;
use crate::shell::media::sockets::drain;
use crate::shell::media::sockets::port_of;
use crate::shell::media::strain::Depths;
use crate::shell::media::strain::Strain;
use crate::shell::media::sys;
use crate::shell::media::sys::Alarm;
use crate::shell::media::sys::Beat;
use crate::shell::media::sys::Epoll;
use crate::shell::media::sys::EventFd;
use crate::shell::media::worker;

/// Batches of orders that may wait for a thread. A thread takes all of them each millisecond.
const ORDERS_MAX: usize = 8192;

/// Sockets that are served between two looks at the slots.
const READY_MAX: usize = 256;

/// The longest datagram that is read whole: longer ones are no RTP of ours and fail as malformed.
const DATAGRAM_MAX: usize = 2048;

/// The epoll token of the doorbell; sockets have their port.
const DOORBELL: u64 = u64::MAX;

/// The epoll token of the alarm, which has nothing to say but that it is time.
const ALARM: u64 = u64::MAX - 1;

/// What the threads are to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSettings {
    /// First and last port, both included; even ones carry RTP, the next one RTCP.
    pub ports: (u16, u16),
    /// Address to bind; `::` takes IPv4 as well.
    pub bind: IpAddr,
    /// How many threads; 0 leaves one processor to signalling and takes the others, at most four: each thread wakes
    /// a thousand times a second while it relays, so that fewer, fuller ones are cheaper.
    pub threads: usize,
}

/// The running threads.
#[derive(Debug)]
pub struct MediaThreads {
    ways: Vec<Way>,
    stopping: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
    recorder: JoinHandle<()>,
    hands: JoinHandle<()>,
}

/// The way to a thread.
#[derive(Clone, Debug)]
struct Way {
    orders: SyncSender<Order>,
    doorbell: Arc<Doorbell>,
}

impl Way {
    /// Hands an order over; blocks while the thread is thousands of them behind. One that is gone takes nothing; its
    /// end has been logged.
    fn order(&self, order: Order) {
        self.doorbell.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.orders.send(order);
        self.doorbell.ring();
    }

    /// Hands a link over if there is room, else gives it back. A thread that is gone takes it as it takes orders.
    fn try_link(&self, link: Link) -> Option<Link> {
        self.doorbell.waiting.fetch_add(1, Ordering::Relaxed);
        let taken = self.orders.try_send(Order::Link(link));
        if taken.is_err() {
            self.doorbell.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.doorbell.ring();
        match taken {
            Err(TrySendError::Full(Order::Link(link))) => Some(link),
            Ok(()) | Err(_) => None,
        }
    }
}

#[derive(Debug)]
enum Order {
    Commands(Vec<Command>),
    Link(Link),
    Handshake(Answer),
}

#[derive(Debug)]
struct Doorbell {
    event: EventFd,
    /// Set from the first ring until the thread looks, which spares a system call for each further one.
    rung: AtomicBool,
    /// Orders that wait.
    waiting: AtomicUsize,
}

impl Doorbell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.event.wake();
        }
    }
}

/// Binds the ports, shares them among the threads and starts those and the recorder. `events` is called on
/// these threads, with `Event::Ports` of each before this returns; it must not block for long.
///
/// # Errors
/// When no port can be bound or a thread cannot be started; the message says what to do.
pub fn start(
    settings: &MediaSettings,
    bank: &Arc<Bank>,
    data: PathBuf,
    rng: &mut Rng,
    events: impl Fn(Vec<Event>) + Send + Clone + 'static,
) -> anyhow::Result<MediaThreads> {
    let count = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).clamp(1, 4)),
        count => count.min(usize::from(u8::MAX)),
    };
    let mut shares: Vec<Vec<Pair>> = (0..count).map(|_| Vec::new()).collect();
    for (at, pair) in bind_all(settings)?.into_iter().enumerate() {
        shares[at % count].push(pair);
    }
    let stopping = Arc::new(AtomicBool::new(false));
    let (chunks, recorder) = recorder::start(&data, events.clone())?;
    let mut ways = Vec::new();
    let mut receivers = Vec::new();
    for _ in 0..count {
        let (sender, receiver) = sync_channel(ORDERS_MAX);
        let event = EventFd::new().context("cannot make an eventfd")?;
        let doorbell =
            Arc::new(Doorbell { event, rung: AtomicBool::new(false), waiting: AtomicUsize::new(0) });
        ways.push(Way { orders: sender, doorbell });
        receivers.push(receiver);
    }
    let identity = Identity::new()?;
    events(vec![Event::Certificate { fingerprint: identity.fingerprint() }]);
    let threads = ways.clone();
    let (errands, hands) = worker::start(identity, move |answer| {
        if let Some(way) = threads.get(usize::from(answer.stream().thread)) {
            way.order(Order::Handshake(answer));
        }
    })?;
    let mut running = Vec::new();
    for (at, (pairs, orders)) in shares.into_iter().zip(receivers).enumerate() {
        let thread = at as u8;
        events(vec![Event::Ports { thread, ports: pairs.iter().map(|pair| pair.port).collect() }]);
        let epoll = Epoll::new(READY_MAX).context("cannot make an epoll")?;
        let doorbell = Arc::clone(&ways[at].doorbell);
        epoll.add(&doorbell.event, DOORBELL).context("cannot watch an eventfd")?;
        let alarm = Alarm::new().context("cannot make a timer")?;
        epoll.add(&alarm, ALARM).context("cannot watch a timer")?;
        let worker = Worker {
            engine: Engine::new(thread, Arc::clone(bank), rng.fork()),
            sockets: Sockets::new(pairs, settings.bind.is_ipv6()),
            epoll,
            patient: Epoll::new(READY_MAX).context("cannot make an epoll")?,
            patient_streams: 0,
            patient_due: None,
            alarm,
            beat: Beat::new().context("cannot make a timer")?,
            due: None,
            orders,
            doorbell,
            stopping: Arc::clone(&stopping),
            ways: ways.clone(),
            chunks: chunks.clone(),
            backlog: Backlog::default(),
            errands: errands.clone(),
            errands_waiting: VecDeque::new(),
            links_waiting: Vec::new(),
            pace: Pace::default(),
            strain: Strain::new(thread, Instant::now()),
            events: events.clone(),
        };
        let running_one = std::thread::Builder::new()
            .name(format!("media-{thread}"))
            .spawn(move || worker.run())
            .context("cannot start a media thread")?;
        running.push(running_one);
    }
    Ok(MediaThreads { ways, stopping, running, recorder, hands })
}

impl MediaThreads {
    /// Hands commands to their threads, in order. Blocks only if a thread is thousands of batches behind.
    pub fn send(&self, commands: Vec<Command>) {
        let thread_of = |command: &Command| usize::from(command.stream().thread);
        let mut rest = commands;
        while let Some(thread) = rest.first().map(thread_of) {
            let end = rest.iter().position(|command| thread_of(command) != thread).unwrap_or(rest.len());
            let later = rest.split_off(end);
            if let Some(way) = self.ways.get(thread) {
                way.order(Order::Commands(rest));
            }
            rest = later;
        }
    }

    /// Ends every stream, completes every recording, and returns when all threads are gone.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        for way in &self.ways {
            way.doorbell.ring();
        }
        drop(self.ways);
        for thread in self.running.into_iter().chain([self.recorder, self.hands]) {
            if thread.join().is_err() {
                warn!("a media thread had panicked");
            }
        }
    }
}

/// One media thread.
struct Worker<E> {
    engine: Engine,
    sockets: Sockets,
    epoll: Epoll,
    /// Sockets of streams in mixes.
    patient: Epoll,
    /// How many streams those are, and when they are read next: with the next mix.
    patient_streams: usize,
    patient_due: Option<Instant>,
    alarm: Alarm,
    beat: Beat,
    /// When the next slot is to be served.
    due: Option<Instant>,
    orders: Receiver<Order>,
    doorbell: Arc<Doorbell>,
    stopping: Arc<AtomicBool>,
    ways: Vec<Way>,
    chunks: SyncSender<Chunk>,
    backlog: Backlog,
    errands: SyncSender<Errand>,
    /// Beginnings and ends that the worker had no room for.
    errands_waiting: VecDeque<Errand>,
    /// Links that set audio up or end it, for threads that had no room.
    links_waiting: Vec<Link>,
    pace: Pace,
    strain: Strain,
    events: E,
}

impl<E: Fn(Vec<Event>)> Worker<E> {
    fn run(mut self) {
        let first = sys::come_first();
        info!(first, ports = self.sockets.len(), "media thread started");
        let mut buffer = [0u8; DATAGRAM_MAX];
        let mut ready = 0;
        let mut asleep_since = Instant::now();
        loop {
            let now = Instant::now();
            self.strain.slept(now.saturating_duration_since(asleep_since));
            if let Some(late) = self.due.and_then(|due| now.checked_duration_since(due)) {
                self.strain.served(late);
            }
            self.read_patient(now, &mut buffer);
            self.engine.tick(now);
            self.read(now, ready, &mut buffer);
            self.take_orders(now);
            self.flush();
            self.tell(now);
            if self.stopping.load(Ordering::Acquire) {
                break;
            }
            asleep_since = Instant::now();
            ready = match self.sleep(asleep_since) {
                Ok(ready) => ready,
                Err(error) => {
                    warn!(%error, "a media thread cannot wait for its sockets and ends");
                    break;
                }
            };
        }
        self.engine.close_all(Instant::now());
        self.flush();
        self.backlog.finish(&self.chunks);
    }

    /// Waits until the next slot that has something to do, or a packet, or an order.
    fn sleep(&mut self, now: Instant) -> io::Result<usize> {
        self.due = self.engine.next_tick();
        self.patient_due = self.engine.next_mix().filter(|_| self.patient_streams > 0);
        let owing =
            !self.backlog.is_empty() || !self.errands_waiting.is_empty() || !self.links_waiting.is_empty();
        let again = owing.then(|| now + AGAIN);
        let until = self.due.into_iter().chain(self.patient_due).chain(again).min();
        let ready = if self.pace.gathers() {
            self.beat.wait(now)?;
            self.epoll.wait(Some(Duration::ZERO))?
        } else if until.is_some_and(|until| until <= now) {
            self.epoll.wait(Some(Duration::ZERO))?
        } else {
            self.alarm.set(now, until)?;
            self.epoll.wait(None)?
        };
        self.pace.woke(now, ready);
        Ok(ready)
    }

    /// Tells how the thread keeps up.
    fn tell(&mut self, now: Instant) {
        let depths = Depths {
            streams: self.engine.len(),
            orders: self.doorbell.waiting.load(Ordering::Relaxed),
            chunks: self.backlog.len(),
        };
        if let Some(event) = self.strain.tell(now, &mut self.engine.output().dropped, depths) {
            (self.events)(vec![event]);
        }
    }

    /// One datagram of each ready socket; who has more is ready again at once.
    fn read(&mut self, now: Instant, ready: usize, buffer: &mut [u8; DATAGRAM_MAX]) {
        for at in 0..ready {
            let token = self.epoll.token(at);
            match token {
                DOORBELL => {
                    self.doorbell.event.clear();
                    continue;
                }
                ALARM => continue,
                _ => {}
            }
            self.read_one(now, token, buffer);
        }
    }

    /// Reads what has come for mixes, right before they have their turn: a look costs as much as several packets, and
    /// nothing would be done with them sooner.
    fn read_patient(&mut self, now: Instant, buffer: &mut [u8; DATAGRAM_MAX]) {
        if self.patient_due.is_none_or(|due| now < due) {
            return;
        }
        let since_1970 = UNIX_EPOCH.elapsed().unwrap_or_default();
        // Who had more than one packet is ready again at once.
        for _ in 0..PATIENT_ROUNDS {
            let Ok(ready) = self.patient.wait(Some(Duration::ZERO)) else { return };
            for at in 0..ready {
                let token = self.patient.token(at);
                let Some(socket) = self.sockets.socket(token) else { continue };
                let Ok(datagram) = sys::receive(socket, buffer) else { continue };
                let arrived = arrival(now, since_1970, datagram.arrived);
                self.heard(arrived, token, datagram.from, &mut buffer[..datagram.length]);
            }
            if ready == 0 {
                return;
            }
        }
    }

    fn read_one(&mut self, now: Instant, token: u64, buffer: &mut [u8; DATAGRAM_MAX]) {
        let Some(socket) = self.sockets.socket(token) else { return };
        // An error is an ICMP answer to something we sent, or nothing to read: both pass.
        let Ok((length, from)) = socket.recv_from(buffer) else { return };
        self.heard(now, token, from, &mut buffer[..length]);
    }

    fn heard(&mut self, arrived: Instant, token: u64, from: SocketAddr, datagram: &mut [u8]) {
        let (port, rtcp) = port_of(token);
        match rtcp {
            true => self.engine.rtcp(arrived, port, bare(from), datagram),
            false => self.engine.rtp(arrived, port, bare(from), datagram),
        }
    }

    fn take_orders(&mut self, now: Instant) {
        if !self.doorbell.rung.swap(false, Ordering::AcqRel) {
            return;
        }
        while let Ok(order) = self.orders.try_recv() {
            self.doorbell.waiting.fetch_sub(1, Ordering::Relaxed);
            match order {
                Order::Commands(commands) => {
                    for command in commands {
                        self.carry_out(now, command);
                    }
                }
                Order::Link(link) => self.engine.link(now, link),
                Order::Handshake(answer) => self.engine.handshake(now, answer),
            }
        }
    }

    /// Carries out a command, and watches a port's sockets while a stream is open on it.
    fn carry_out(&mut self, now: Instant, command: Command) {
        let port = command.stream().port;
        let was_open = self.engine.is_open(port);
        let opens = matches!(command, Command::Open { .. });
        if let Some(pair) = self.sockets.pair(port).filter(|_| opens && !was_open) {
            drain(&pair.rtp);
            drain(&pair.rtcp);
        }
        self.engine.command(now, command);
        let wanted = match self.engine.is_open(port) {
            false => Watched::Not,
            true if self.engine.is_mixed(port) => Watched::Patiently,
            true => Watched::Closely,
        };
        let Some(pair) = self.sockets.pair(port).filter(|pair| pair.watched != wanted) else { return };
        let before = std::mem::replace(&mut pair.watched, wanted);
        let token = u64::from(pair.port);
        let watched = match before {
            Watched::Not => Ok(()),
            Watched::Closely => self.epoll.remove(&pair.rtp).and_then(|()| self.epoll.remove(&pair.rtcp)),
            Watched::Patiently => {
                self.patient_streams -= 1;
                pair.stamp_arrivals(false);
                self.patient.remove(&pair.rtp).and_then(|()| self.patient.remove(&pair.rtcp))
            }
        };
        let watched = watched.and_then(|()| match wanted {
            Watched::Not => Ok(()),
            Watched::Closely => {
                self.epoll.add(&pair.rtp, token).and_then(|()| self.epoll.add(&pair.rtcp, token + 1))
            }
            Watched::Patiently => {
                self.patient_streams += 1;
                pair.stamp_arrivals(true);
                self.patient.add(&pair.rtp, token).and_then(|()| self.patient.add(&pair.rtcp, token + 1))
            }
        });
        if let Err(error) = watched {
            warn!(port, %error, "cannot watch the sockets of an RTP port");
        }
    }

    /// Sends and hands on whatever the engine has.
    fn flush(&mut self) {
        let out = self.engine.output();
        let mut unsent = 0;
        for packet in out.packets() {
            let sent = self.sockets.send((packet.port, packet.rtcp), packet.to, packet.bytes);
            unsent += u64::from(!sent);
        }
        out.dropped.unsent += unsent;
        out.clear_packets();
        out.dropped.thread_behind += hand_on(&mut self.links_waiting, &mut out.links, &self.ways);
        self.backlog.carry(out, &self.chunks);
        for errand in out.errands.drain(..) {
            // A datagram is repeated by its sender; beginnings and ends are not.
            if self.errands_waiting.is_empty() || !matches!(errand, Errand::Datagram { .. }) {
                self.errands_waiting.push_back(errand);
            }
        }
        while let Some(errand) = self.errands_waiting.pop_front() {
            if let Err(TrySendError::Full(errand)) = self.errands.try_send(errand) {
                self.errands_waiting.push_front(errand);
                break;
            }
        }
        if !out.events.is_empty() {
            (self.events)(std::mem::take(&mut out.events));
        }
    }
}

/// A packet for a mix that has waited longer than this has not: the clock was set.
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// Packets that one stream of a mix may have sent since the last look; more wait for the next.
const PATIENT_ROUNDS: usize = 4;

/// When to try again after the recorder or the worker had no room.
const AGAIN: Duration = Duration::from_millis(100);

/// Hands links on to their threads. One that is far behind loses packets, for waiting here would stop every call; what
/// begins or ends something waits for it, in order. How many packets were lost.
fn hand_on(waiting: &mut Vec<Link>, links: &mut Vec<Link>, ways: &[Way]) -> u64 {
    let mut lost = 0;
    let mut first: Vec<Link> = std::mem::take(waiting);
    for link in first.drain(..).chain(links.drain(..)) {
        let thread = link.thread();
        let Some(way) = ways.get(usize::from(thread)) else { continue };
        let behind = waiting.iter().any(|other| other.thread() == thread);
        let left = if behind { Some(link) } else { way.try_link(link) };
        match left {
            Some(link) if link.is_packet() => lost += 1,
            Some(link) => waiting.push(link),
            None => {}
        }
    }
    lost
}

/// When something came of which the kernel says when that was by the system's clock, which says `since_1970` now and may
/// have been set meanwhile.
fn arrival(now: Instant, since_1970: Duration, stamp: Option<Duration>) -> Instant {
    let age = stamp.and_then(|stamp| since_1970.checked_sub(stamp)).filter(|age| *age < PATIENCE_MAX);
    now.checked_sub(age.unwrap_or_default()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::MixId;
    use crate::media::StreamId;

    #[test]
    fn what_was_read_late_came_when_the_kernel_says_unless_its_clock_was_set() {
        let (now, ms) = (Instant::now() + Duration::from_secs(10), Duration::from_millis);
        for (stamp, age) in
            [(Some(9993), 7), (None, 0), (Some(10_003), 0), (Some(8000), 0), (Some(9001), 999)]
        {
            assert_eq!(arrival(now, ms(10_000), stamp.map(ms)), now - ms(age), "{stamp:?}");
        }
    }

    #[test]
    fn what_sets_audio_up_waits_for_a_thread_that_is_behind_and_packets_do_not() {
        let (sender, orders) = sync_channel(1);
        let event = EventFd::new().expect("an event");
        let doorbell =
            Arc::new(Doorbell { event, rung: AtomicBool::new(false), waiting: AtomicUsize::new(0) });
        let ways = [Way { orders: sender, doorbell }];
        let [source, listener] = [2, 4].map(|port| StreamId { thread: 0, port, generation: 1 });
        let mix = MixId { thread: 0, number: 1 };
        let packet = || Link::Mixed { listener, mix, payload: Box::new([]) };
        let mut waiting = Vec::new();
        let mut come = |links: Vec<Link>| hand_on(&mut waiting, &mut { links }, &ways);
        let taken = || match orders.try_recv() {
            Ok(Order::Link(link)) => Some(link),
            _ => None,
        };
        assert_eq!(come(vec![packet(), packet(), Link::Listen { source, listener }, packet()]), 2);
        assert_eq!(taken(), Some(packet()));
        assert_eq!(come(vec![Link::Leave { mix, stream: source }, packet()]), 1, "it is still behind");
        assert_eq!(taken(), Some(Link::Listen { source, listener }));
        assert_eq!(come(vec![]), 0);
        assert_eq!(taken(), Some(Link::Leave { mix, stream: source }));
        assert_eq!(come(vec![packet()]), 0);
        assert_eq!((taken(), taken()), (Some(packet()), None));
        assert_eq!(ways[0].doorbell.waiting.load(Ordering::Relaxed), 4, "only what went was counted");
    }
}
