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
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
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

use anyhow::Context as _;
use anyhow::bail;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
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

/// Descriptors left for all else when the RTP range is fitted into the process's limit.
const DESCRIPTORS_KEPT: u64 = 256;

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

    /// Hands an order over if there is room.
    fn try_order(&self, order: Order) -> bool {
        self.doorbell.waiting.fetch_add(1, Ordering::Relaxed);
        let taken = self.orders.try_send(order).is_ok();
        if !taken {
            self.doorbell.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.doorbell.ring();
        taken
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

/// The sockets of one RTP port and the RTCP port above it.
struct Pair {
    port: u16,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    watched: Watched,
}

fn bind_all(settings: &MediaSettings) -> anyhow::Result<Vec<Pair>> {
    let (first, last) = settings.ports;
    let even = (first.next_multiple_of(2)..last).step_by(2);
    let limit = sys::raise_file_limit().context("cannot read the limit of open files")?;
    let room = (limit.saturating_sub(DESCRIPTORS_KEPT) / 2) as usize;
    if even.len() > room {
        warn!(
            ports = even.len(),
            room,
            limit,
            "the RTP ports {first}-{last} do not fit the limit of open files; the rest is not used: raise \
             LimitNOFILE or make media.ports smaller"
        );
    }
    let mut pairs = Vec::new();
    let mut taken = 0;
    for port in even.take(room) {
        match bind(settings.bind, port).and_then(|rtp| Ok((rtp, bind(settings.bind, port + 1)?))) {
            Ok((rtp, rtcp)) => pairs.push(Pair { port, rtp, rtcp, watched: Watched::Not }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                taken += 1;
                if taken <= 10 {
                    warn!(port, "an RTP port is taken by another program and is not used");
                }
            }
            Err(error) => {
                let address = settings.bind;
                let problem = format!("cannot bind RTP port {port} on {address}; check media.ports");
                return Err(error).context(problem);
            }
        }
    }
    if pairs.is_empty() {
        bail!(
            "no RTP port of {first}-{last} could be bound on {} ({taken} taken by other programs); choose \
             another range for media.ports, or raise LimitNOFILE (it is {limit})",
            settings.bind
        );
    }
    info!(ports = pairs.len(), taken, "RTP ports bound");
    Ok(pairs)
}

fn bind(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // DSCP EF (RFC 4594 §4.1): voice before other traffic. Not every system lets it through; no harm then.
    let _ = if address.is_ipv6() { socket.set_tclass_v6(0xB8) } else { socket.set_tos_v4(0xB8) };
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// How a port's sockets are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// No stream is open.
    Not,
    /// What comes is read at once.
    Closely,
    /// What comes is read every 10 ms.
    Patiently,
}

/// A thread's sockets by port.
struct Sockets {
    pairs: Vec<Pair>,
    /// Half the port → place in `pairs`.
    places: Vec<u16>,
    /// Whether they are IPv6 sockets, which write IPv4 addresses mapped.
    v6: bool,
}

impl Sockets {
    fn new(pairs: Vec<Pair>, v6: bool) -> Sockets {
        let mut places = vec![u16::MAX; 1 << 15];
        for (at, pair) in pairs.iter().enumerate() {
            places[usize::from(pair.port >> 1)] = at as u16;
        }
        Sockets { pairs, places, v6 }
    }

    fn pair(&mut self, port: u16) -> Option<&mut Pair> {
        self.pairs.get_mut(usize::from(self.places[usize::from(port >> 1)]))
    }

    /// Whether the kernel took a datagram; else it is lost, as datagrams may be.
    fn send(&mut self, (port, rtcp): (u16, bool), to: SocketAddr, bytes: &[u8]) -> bool {
        let to = match to {
            SocketAddr::V4(v4) if self.v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            SocketAddr::V4(_) | SocketAddr::V6(_) => to,
        };
        let Some(pair) = self.pair(port) else { return false };
        let socket = if rtcp { &pair.rtcp } else { &pair.rtp };
        socket.send_to(bytes, to).is_ok()
    }
}

/// The address without the IPv6 clothing that an IPv4 one wears on a socket for both.
fn bare(from: SocketAddr) -> SocketAddr {
    match from {
        SocketAddr::V6(v6) => match Ipv6Addr::to_ipv4_mapped(v6.ip()) {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => from,
        },
        SocketAddr::V4(_) => from,
    }
}

/// One media thread.
struct Worker<E> {
    engine: Engine,
    sockets: Sockets,
    epoll: Epoll,
    /// Sockets of streams in mixes.
    patient: Epoll,
    /// How many streams those are, and when they are looked at next.
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
    pace: Pace,
    strain: Strain,
    events: E,
}

impl<E: Fn(Vec<Event>)> Worker<E> {
    fn run(mut self) {
        let first = sys::come_first();
        info!(first, ports = self.sockets.pairs.len(), "media thread started");
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
        let owing = !self.backlog.is_empty() || !self.errands_waiting.is_empty();
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

    /// Reads what has come for mixes, when it is time.
    fn read_patient(&mut self, now: Instant, buffer: &mut [u8; DATAGRAM_MAX]) {
        if self.patient_due.is_none_or(|due| now < due) {
            return;
        }
        self.patient_due = (self.patient_streams > 0).then(|| now + PATIENCE);
        // Who had more than one packet is ready again at once.
        for _ in 0..PATIENT_ROUNDS {
            let Ok(ready) = self.patient.wait(Some(Duration::ZERO)) else { return };
            for at in 0..ready {
                let token = self.patient.token(at);
                self.read_one(now, token, buffer);
            }
            if ready == 0 {
                return;
            }
        }
    }

    fn read_one(&mut self, now: Instant, token: u64, buffer: &mut [u8; DATAGRAM_MAX]) {
        let port = (token as u16) & !1;
        let rtcp = token & 1 == 1;
        let Some(pair) = self.sockets.pair(port) else { return };
        let socket = if rtcp { &pair.rtcp } else { &pair.rtp };
        // An error is an ICMP answer to something we sent, or nothing to read: both pass.
        let Ok((length, from)) = socket.recv_from(buffer) else { return };
        match rtcp {
            true => self.engine.rtcp(now, port, bare(from), &buffer[..length]),
            false => self.engine.rtp(now, port, bare(from), &mut buffer[..length]),
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
                self.patient_due.get_or_insert(now);
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
        for link in out.links.drain(..) {
            if let Some(way) = self.ways.get(usize::from(link.thread())) {
                // A thread that is so far behind loses packets; blocking here would stop every call.
                out.dropped.thread_behind += u64::from(!way.try_order(Order::Link(link)));
            }
        }
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

/// How often what has come for mixes is read: it waits for their next turn in any case, and a look costs as much as
/// several packets, so they are let gather.
const PATIENCE: Duration = Duration::from_millis(10);

/// Packets that one stream of a mix may have sent since the last look; more wait for the next.
const PATIENT_ROUNDS: usize = 4;

/// When to try again after the recorder or the worker had no room.
const AGAIN: Duration = Duration::from_millis(100);

/// Reads off what came while nobody used the port.
fn drain(socket: &UdpSocket) {
    for _ in 0..1000 {
        if socket.recv_from(&mut [0; 1]).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_bare_again() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:4000".parse().expect("an address");
        assert_eq!(bare(mapped), SocketAddr::from(([10, 0, 0, 1], 4000)));
        let v6: SocketAddr = "[2001:db8::1]:4000".parse().expect("an address");
        assert_eq!(bare(v6), v6);
    }
}
