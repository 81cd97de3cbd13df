//! SIP over TCP (RFC 3261 §18): listeners, connections, and which of them a message goes along.
//!
//! One task per connection reads and writes. Everything is bounded: connections, bytes of a message, messages
//! waiting to be written, and the time that a peer may take over each. When the signalling thread has no room,
//! a connection is not read, and TCP holds its peer back. TLS and WebSocket are left to a later version.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use dashmap::DashMap;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::net::tcp::WriteHalf;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::model::server::Limits;
use crate::shell::http::metrics;
use crate::shell::net::shut_out::ShutOut;
use crate::shell::signaling::Inbox;
use crate::shell::trace::Trace;
use crate::sip;
use crate::sip::ConnectionId;
use crate::sip::Hop;
use crate::sip::Message;
use crate::sip::Response;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::sip::framing::Frame;
use crate::sip::framing::Framer;
use crate::sip::message::ParseError;
use crate::switch;
use crate::switch::guard;

/// Messages waiting on one connection; one more and the connection is given up.
const QUEUE_MAX: usize = 128;
/// Bytes taken from the kernel at a time.
const READ_MAX: usize = 16 * 1024;
/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 1_024;
/// How soon a full inbox is tried again.
const INBOX_RETRY: Duration = Duration::from_millis(5);
/// Rest after a failed accept; with no file descriptors left it would fail again at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// To be reached.
    connect: Duration,
    /// To send its first whole message.
    first: Duration,
    /// To finish a message that it has begun.
    whole: Duration,
    /// Without a message or keep-alive, once it has sent one. Registered phones are silent for long; that they
    /// are there at all is watched by TCP keep-alive.
    idle: Duration,
    /// To take in a message of ours.
    write: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(5),
            first: Duration::from_secs(30),
            whole: Duration::from_secs(10),
            idle: Duration::from_secs(3_600),
            write: Duration::from_secs(10),
        }
    }
}

/// Gives the signalling thread an input; false when there is no room.
type Give = Arc<dyn Fn(switch::Input) -> bool + Send + Sync>;

/// All TCP connections; clones share them.
#[derive(Clone)]
pub struct Tcp(Arc<Shared>);

struct Shared {
    runtime: Handle,
    give: Give,
    trace: Trace,
    patience: Patience,
    connections_max: usize,
    message_max: usize,
    listening: Vec<SocketAddr>,
    connections: DashMap<ConnectionId, Connection>,
    by_remote: DashMap<SocketAddr, ConnectionId>,
    next: AtomicU64,
    shut_out: ShutOut,
}

/// The table's end of a connection: taking it out of the table closes the connection.
struct Connection {
    queue: mpsc::Sender<Transmit>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { listening, connections, .. } = &*self.0;
        f.debug_struct("Tcp").field("listening", listening).field("connections", &connections.len()).finish()
    }
}

impl Tcp {
    /// Listens on the addresses (port 0 takes a free one) and starts accepting on the current runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub fn listen(addresses: &[SocketAddr], limits: &Limits, inbox: Inbox) -> anyhow::Result<Tcp> {
        let trace = inbox.trace().clone();
        let give: Give = Arc::new(move |input| inbox.give(input));
        Tcp::listen_with(addresses, limits, give, trace, Patience::default())
    }

    fn listen_with(
        addresses: &[SocketAddr],
        limits: &Limits,
        give: Give,
        trace: Trace,
        patience: Patience,
    ) -> anyhow::Result<Tcp> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(listen(*address).with_context(|| {
                format!("cannot listen on tcp {address}: is it in use, and an address of this machine?")
            })?);
        }
        let listening = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let tcp = Tcp(Arc::new(Shared {
            runtime: Handle::current(),
            give,
            trace,
            patience,
            connections_max: limits.connections,
            message_max: limits.message_bytes,
            listening,
            connections: DashMap::new(),
            by_remote: DashMap::new(),
            next: AtomicU64::new(1),
            shut_out: ShutOut::default(),
        }));
        for listener in listeners {
            tokio::spawn(Arc::clone(&tcp.0).accept(listener));
        }
        Ok(tcp)
    }

    /// The addresses listened on, with their real ports.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.0.listening
    }

    /// How many connections there are, those being opened included.
    pub fn connections(&self) -> usize {
        self.0.connections.len()
    }

    /// The addresses whose connections are refused.
    pub fn shut_out(&self) -> &ShutOut {
        &self.0.shut_out
    }

    /// Shuts an address out for so long, or lets it in again, and ends the connections that it has.
    pub fn shut(&self, network: IpAddr, long: Duration) {
        let Shared { shut_out, connections, by_remote, .. } = &*self.0;
        shut_out.set(network, long);
        if long.is_zero() {
            return;
        }
        let of_it = |remote: &SocketAddr| guard::network(remote.ip()) == network;
        let ended: Vec<ConnectionId> =
            by_remote.iter().filter(|entry| of_it(entry.key())).map(|entry| *entry.value()).collect();
        for id in ended {
            connections.remove(&id);
        }
    }

    /// Queues a message; never waits, and may be called from any thread.
    ///
    /// It goes along `hop.connection` while that lives, else along a connection to `hop.remote`, else along a
    /// new one from the IP address of `hop.local` (RFC 3261 §18.2.2). `sip::Input::SendFailed` tells when that is
    /// not possible.
    pub fn send(&self, transmit: Transmit) {
        let Shared { connections, by_remote, .. } = &*self.0;
        let remote = transmit.hop.remote;
        let named = transmit.hop.connection.filter(|id| connections.contains_key(id));
        let found = named.or_else(|| by_remote.get(&remote).map(|id| *id));
        let Some(id) = found else {
            return self.open(transmit);
        };
        // The guard must be gone before the table is changed.
        let queued =
            connections.get(&id).map(|connection| connection.queue.try_send(transmit.clone()).is_ok());
        match queued {
            Some(true) => {}
            // It ended between the two look-ups.
            None => self.open(transmit),
            Some(false) => {
                tracing::debug!(connection = id.0, "peer does not read, connection given up");
                connections.remove(&id);
                self.0.fail(transmit.hop);
            }
        }
    }

    fn open(&self, transmit: Transmit) {
        let shared = &self.0;
        if shared.connections.len() >= shared.connections_max {
            tracing::warn!("limits.connections is reached, no connection opened");
            return shared.fail(transmit.hop);
        }
        let hop = Hop { connection: Some(shared.next_id()), ..transmit.hop };
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        // The channel is empty: there is room.
        let _ = queue.try_send(transmit);
        // In the table before it is connected, so that what is sent meanwhile goes along the same connection.
        let replies = shared.enter(&hop, queue);
        shared.runtime.spawn(Arc::clone(shared).connect(hop, replies, waiting));
    }
}

impl Shared {
    fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn enter(&self, hop: &Hop, queue: mpsc::Sender<Transmit>) -> mpsc::WeakSender<Transmit> {
        let replies = queue.downgrade();
        if let Some(id) = hop.connection {
            self.connections.insert(id, Connection { queue });
            self.by_remote.insert(hop.remote, id);
        }
        replies
    }

    /// Takes the connection out of the tables; what it did not send has failed.
    fn leave(self: &Arc<Self>, hop: &Hop, mut waiting: mpsc::Receiver<Transmit>) {
        let Some(id) = hop.connection else { return };
        self.connections.remove(&id);
        self.by_remote.remove_if(&hop.remote, |_, current| *current == id);
        while let Ok(transmit) = waiting.try_recv() {
            self.fail(transmit.hop);
        }
    }

    fn fail(self: &Arc<Self>, hop: Hop) {
        let shared = Arc::clone(self);
        self.runtime.spawn(async move { shared.tell(sip::Input::SendFailed { hop }).await });
    }

    /// Gives the signalling thread an input, however long it takes to find room.
    async fn tell(&self, input: sip::Input) {
        while !(self.give)(switch::Input::Sip(input.clone())) {
            sleep(INBOX_RETRY).await;
        }
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Ok(local) = stream.local_addr() else { continue };
            if self.shut_out.drops(remote.ip()) {
                continue;
            }
            if self.connections.len() >= self.connections_max {
                ::metrics::counter!("sentral_sip_connections_refused_total").increment(1);
                continue;
            }
            let hop = Hop { transport: Transport::Tcp, local, remote, connection: Some(self.next_id()) };
            let (queue, waiting) = mpsc::channel(QUEUE_MAX);
            let replies = self.enter(&hop, queue);
            tokio::spawn(Arc::clone(&self).run(hop, stream, replies, waiting));
        }
    }

    async fn connect(
        self: Arc<Self>,
        hop: Hop,
        replies: mpsc::WeakSender<Transmit>,
        waiting: mpsc::Receiver<Transmit>,
    ) {
        match timeout(self.patience.connect, connect(&hop)).await {
            Ok(Ok(stream)) => self.run(hop, stream, replies, waiting).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = %hop.remote, "cannot connect");
                self.leave(&hop, waiting);
            }
            Err(_) => {
                tracing::debug!(peer = %hop.remote, "cannot connect in time");
                self.leave(&hop, waiting);
            }
        }
    }

    /// A connection's life.
    async fn run(
        self: Arc<Self>,
        hop: Hop,
        mut stream: TcpStream,
        replies: mpsc::WeakSender<Transmit>,
        mut waiting: mpsc::Receiver<Transmit>,
    ) {
        let Some(connection) = hop.connection else { return };
        if let Err(error) = watch_over(&stream) {
            tracing::debug!(%error, "cannot set options of a connection");
        }
        let (read, write) = stream.split();
        let why = tokio::select! {
            why = self.read(hop, read, replies) => why,
            why = self.write(write, &mut waiting) => why,
        };
        tracing::debug!(connection = connection.0, peer = %hop.remote, why, "connection ended");
        self.leave(&hop, waiting);
        drop(stream);
        self.tell(sip::Input::Closed { connection }).await;
    }

    /// Reads until the connection ends; says why it did.
    async fn read(&self, hop: Hop, read: ReadHalf<'_>, replies: mpsc::WeakSender<Transmit>) -> &'static str {
        let mut framer = Framer::new(self.message_max);
        let mut quiet_since = Instant::now();
        let mut begun: Option<Instant> = None;
        let mut first = true;
        loop {
            let idle = quiet_since + if first { self.patience.first } else { self.patience.idle };
            let deadline = begun.map_or(idle, |begun| idle.min(begun + self.patience.whole));
            match timeout_at(deadline, read.readable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return "broken",
                Err(_) => return if begun.is_some() { "message not finished" } else { "idle" },
            }
            match take(&read, &mut framer) {
                Ok(0) => return "closed by the peer",
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return "broken",
            }
            // A message that begins behind another in the same piece is timed from its next piece on.
            begun = begun.or_else(|| Some(Instant::now()));
            loop {
                match framer.next() {
                    Ok(Some(frame)) => {
                        begun = None;
                        first &= !matches!(frame, Frame::Message(_));
                        self.handle(hop, frame, &replies).await;
                    }
                    Ok(None) => break,
                    Err(_) => {
                        metrics::unreadable(Transport::Tcp);
                        return "not SIP";
                    }
                }
            }
            if begun.is_none() && !first {
                quiet_since = Instant::now();
            }
        }
    }

    async fn handle(&self, hop: Hop, frame: Frame, replies: &mpsc::WeakSender<Transmit>) {
        if let Frame::Message(bytes) = &frame {
            self.trace.received(&hop, bytes);
        }
        // A peer that sends without reading gets no answers from here; messages of ours end its connection.
        let reply = |bytes: Bytes| {
            self.trace.sent(&hop, &bytes);
            replies.upgrade().map(|queue| queue.try_send(Transmit { hop, bytes }).is_ok())
        };
        match frame {
            Frame::Message(bytes) => match Message::parse(bytes, self.message_max) {
                Ok(message) => {
                    self.tell(sip::Input::Message { hop, message }).await;
                }
                Err(ParseError::Answerable { status, reason, request }) => {
                    metrics::unreadable(Transport::Tcp);
                    // RFC 3261 §8.2.7: whoever answers without state puts the same tag into the same answer.
                    let tag = format!("{:x}", hop.connection.map_or(0, |id| id.0));
                    let mut response = Response::reply(&request, status, Some(&tag));
                    response.reason = reason.into();
                    reply(response.to_bytes());
                }
                Err(ParseError::Unreadable(_)) => metrics::unreadable(Transport::Tcp),
            },
            // RFC 5626 §3.5.1: CRLF answers CRLFCRLF.
            Frame::KeepAlive => {
                reply(Bytes::from_static(b"\r\n"));
            }
            Frame::Pong => {}
        }
    }

    async fn write(&self, mut write: WriteHalf<'_>, waiting: &mut mpsc::Receiver<Transmit>) -> &'static str {
        while let Some(transmit) = waiting.recv().await {
            match timeout(self.patience.write, write.write_all(&transmit.bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return "broken while writing",
                Err(_) => return "peer does not read",
            }
        }
        "given up"
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        // Otherwise IPv4 peers would show up with mapped addresses, and `0.0.0.0` beside `[::]` would be refused.
        SockRef::from(&socket).set_only_v6(true)?;
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn connect(hop: &Hop) -> io::Result<TcpStream> {
    let socket = if hop.remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(hop.local.ip(), 0))?;
    socket.connect(hop.remote).await
}

/// No delay for small messages, and an end for peers that are gone without a word.
fn watch_over(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(3);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(60)))
}

/// Moves what has arrived into the framer. The buffer lives only here: a silent connection holds none.
fn take(read: &ReadHalf<'_>, framer: &mut Framer) -> io::Result<usize> {
    let mut buffer = [0; READ_MAX];
    let count = read.try_read(&mut buffer)?;
    framer.push(&buffer[..count]);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt as _;
    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;

    const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
    const SOON: Duration = Duration::from_secs(5);

    /// A listener, and what it tells.
    struct Fixture {
        tcp: Tcp,
        told: UnboundedReceiver<sip::Input>,
    }

    impl Fixture {
        fn new(limits: Limits, patience: Patience) -> Fixture {
            let (tell, told) = mpsc::unbounded_channel();
            let give: Give = Arc::new(move |input| match input {
                switch::Input::Sip(input) => tell.send(input).is_ok(),
                _ => false,
            });
            Fixture {
                tcp: Tcp::listen_with(&[ANY.into()], &limits, give, Trace::default(), patience).unwrap(),
                told,
            }
        }

        fn patient() -> Fixture {
            Fixture::new(Limits::default(), Patience::default())
        }

        async fn call(&self) -> TcpStream {
            TcpStream::connect(self.tcp.listening()[0]).await.unwrap()
        }

        async fn told(&mut self) -> sip::Input {
            timeout(SOON, self.told.recv()).await.unwrap().unwrap()
        }

        async fn message(&mut self) -> (Hop, Message) {
            match self.told().await {
                sip::Input::Message { hop, message } => (hop, message),
                other => panic!("not a message: {other:?}"),
            }
        }

        fn towards(&self, remote: SocketAddr) -> Hop {
            Hop { transport: Transport::Tcp, local: self.tcp.listening()[0], remote, connection: None }
        }
    }

    fn options(call_id: &str) -> String {
        format!(
            "OPTIONS sip:sentral.example SIP/2.0\r\nVia: SIP/2.0/TCP host;branch=z9hG4bK{call_id}\r\n\
             From: <sip:a@host>;tag=1\r\nTo: <sip:b@host>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }

    fn call_id(message: &Message) -> String {
        match message {
            Message::Request(request) => request.call_id().unwrap().into_owned(),
            Message::Response(response) => response.call_id().unwrap().into_owned(),
        }
    }

    async fn read(stream: &mut TcpStream, length: usize) -> String {
        let mut bytes = vec![0; length];
        timeout(SOON, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether the other side has closed.
    async fn ended(stream: &mut TcpStream) -> bool {
        matches!(timeout(SOON, stream.read(&mut [0; 1])).await.unwrap(), Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn an_answer_goes_along_the_connection_of_its_request() {
        let mut fixture = Fixture::patient();
        let mut phone = fixture.call().await;
        phone.write_all(options("a").as_bytes()).await.unwrap();
        let (hop, message) = fixture.message().await;
        assert_eq!(call_id(&message), "a");
        assert_eq!(hop.remote, phone.local_addr().unwrap());
        fixture.tcp.send(Transmit { hop, bytes: Bytes::from_static(b"answer") });
        assert_eq!(read(&mut phone, 6).await, "answer");
        // Also when only the address is known.
        let hop = Hop { connection: None, ..hop };
        fixture.tcp.send(Transmit { hop, bytes: Bytes::from_static(b"again") });
        assert_eq!(read(&mut phone, 5).await, "again");
        assert_eq!(fixture.tcp.connections(), 1);
    }

    #[tokio::test]
    async fn two_line_ends_are_answered_with_one() {
        let fixture = Fixture::patient();
        let mut phone = fixture.call().await;
        phone.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut phone, 2).await, "\r\n");
    }

    #[tokio::test]
    async fn messages_to_one_address_share_a_connection_that_is_opened_for_the_first() {
        let mut fixture = Fixture::patient();
        let carrier = TcpListener::bind(ANY).await.unwrap();
        let hop = fixture.towards(carrier.local_addr().unwrap());
        for bytes in ["one ", "two "] {
            fixture.tcp.send(Transmit { hop, bytes: Bytes::from_static(bytes.as_bytes()) });
        }
        let (mut stream, _) = timeout(SOON, carrier.accept()).await.unwrap().unwrap();
        assert_eq!(read(&mut stream, 8).await, "one two ");
        stream.write_all(options("back").as_bytes()).await.unwrap();
        let (back, message) = fixture.message().await;
        assert_eq!((call_id(&message).as_str(), back.local, back.remote), ("back", hop.local, hop.remote));
        assert_eq!(fixture.tcp.connections(), 1);
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_sent_is_told() {
        let mut fixture = Fixture::patient();
        let closed = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
        let hop = fixture.towards(closed);
        fixture.tcp.send(Transmit { hop, bytes: Bytes::from_static(b"lost") });
        assert!(matches!(fixture.told().await, sip::Input::SendFailed { hop: failed } if failed == hop));
        assert_eq!(fixture.tcp.connections(), 0);
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_told() {
        let mut fixture = Fixture::patient();
        let mut phone = fixture.call().await;
        phone.write_all(options("a").as_bytes()).await.unwrap();
        let (hop, _) = fixture.message().await;
        drop(phone);
        assert!(
            matches!(fixture.told().await, sip::Input::Closed { connection } if Some(connection) == hop.connection)
        );
        assert_eq!(fixture.tcp.connections(), 0);
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_is_closed_at_once() {
        let mut fixture = Fixture::new(Limits { connections: 1, ..Limits::default() }, Patience::default());
        let mut first = fixture.call().await;
        first.write_all(options("a").as_bytes()).await.unwrap();
        let (hop, _) = fixture.message().await;
        assert!(ended(&mut fixture.call().await).await);
        // Nor is one opened.
        let elsewhere = fixture.towards(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        fixture.tcp.send(Transmit { hop: elsewhere, bytes: Bytes::from_static(b"lost") });
        assert!(matches!(fixture.told().await, sip::Input::SendFailed { .. }));
        fixture.tcp.send(Transmit { hop, bytes: Bytes::from_static(b"kept") });
        assert_eq!(read(&mut first, 4).await, "kept");
    }

    #[tokio::test]
    async fn who_says_nothing_or_never_ends_is_not_waited_for() {
        let short = Duration::from_millis(50);
        let silent = Patience { first: short, ..Patience::default() };
        assert!(ended(&mut Fixture::new(Limits::default(), silent).call().await).await);

        let slow = Patience { whole: short, ..Patience::default() };
        let mut fixture = Fixture::new(Limits::default(), slow);
        let mut phone = fixture.call().await;
        phone.write_all(options("whole").as_bytes()).await.unwrap();
        fixture.message().await;
        phone.write_all(b"OPTIONS sip:half SIP/2.0\r\n").await.unwrap();
        assert!(ended(&mut phone).await);
    }

    #[tokio::test]
    async fn an_unreadable_stream_is_closed_and_an_unreadable_request_answered() {
        let mut fixture = Fixture::patient();
        let mut phone = fixture.call().await;
        phone.write_all(options("a").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia").as_bytes()).await.unwrap();
        assert_eq!(read(&mut phone, 11).await, "SIP/2.0 505");
        let mut other = fixture.call().await;
        other.write_all(options("b").replace("Content-Length: 0\r\n", "").as_bytes()).await.unwrap();
        assert!(ended(&mut other).await);
        assert!(matches!(fixture.told().await, sip::Input::Closed { .. }));
    }

    #[tokio::test]
    async fn nothing_is_lost_while_the_inbox_is_full() {
        let (tell, mut told) = mpsc::channel(1);
        let give: Give = Arc::new(move |input| tell.try_send(input).is_ok());
        let (limits, patience) = (Limits::default(), Patience::default());
        let tcp = Tcp::listen_with(&[ANY.into()], &limits, give, Trace::default(), patience).unwrap();
        let mut phone = TcpStream::connect(tcp.listening()[0]).await.unwrap();
        let sent: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        phone.write_all(sent.iter().map(|id| options(id)).collect::<String>().as_bytes()).await.unwrap();
        for id in sent {
            match timeout(SOON, told.recv()).await.unwrap() {
                Some(switch::Input::Sip(sip::Input::Message { message, .. })) => {
                    assert_eq!(call_id(&message), id)
                }
                other => panic!("not a message: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let mut fixture = Fixture::patient();
        let mut phone = fixture.call().await;
        phone.write_all(options("a").as_bytes()).await.unwrap();
        let (hop, _) = fixture.message().await;
        // More than the kernel's buffers and ours hold; sent without a pause, so that nobody writes meanwhile.
        let bytes = Bytes::from(vec![b'x'; 1 << 20]);
        for _ in 0..=QUEUE_MAX {
            fixture.tcp.send(Transmit { hop, bytes: bytes.clone() });
        }
        assert_eq!(fixture.tcp.connections(), 0);
        assert!(matches!(fixture.told().await, sip::Input::SendFailed { .. }));
    }
}
