//! All connections of stream transports: which of them a message goes along (RFC 3261 §18, RFC 5923), who is let in,
//! and whom we connect to.
//!
//! Everything is bounded: connections in all and by address, bytes of a message, messages waiting to be written, and
//! the time that a peer may take over each. When the signalling thread has no room, a connection is not read, and TCP
//! holds its peer back.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::model::Config;
use crate::model::server::Limits;
use crate::model::server::Server;
use crate::model::trunk::Trusted;
use crate::shell::http::metrics;
use crate::shell::net::connection::Life;
use crate::shell::net::crowd::Crowd;
use crate::shell::net::crowd::Place;
use crate::shell::net::shut_out::ShutOut;
use crate::shell::net::tcp;
use crate::shell::net::tls;
use crate::shell::net::tls::Tls;
use crate::shell::signaling::Inbox;
use crate::shell::trace::Trace;
use crate::sip;
use crate::sip::ConnectionId;
use crate::sip::Hop;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::switch;
use crate::switch::guard;

/// Messages waiting on one connection; one more and the connection is given up.
pub(super) const QUEUE_MAX: usize = 128;
/// How soon a full inbox is tried again.
const INBOX_RETRY: Duration = Duration::from_millis(5);
/// Rest after a failed accept; with no file descriptors left it would fail again at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To be reached.
    pub(super) connect: Duration,
    /// For the handshake of TLS; then for that of WebSocket and the first whole message.
    pub(super) first: Duration,
    /// To finish a message that it has begun.
    pub(super) whole: Duration,
    /// Without a message or keep-alive, once it has sent one, until the switch is asked whether it needs the
    /// connection. That a peer is there at all is watched by TCP keep-alive.
    pub(super) idle: Duration,
    /// To take in a message of ours.
    pub(super) write: Duration,
}

impl Patience {
    fn of(limits: &Limits) -> Patience {
        Patience {
            connect: Duration::from_secs(5),
            first: limits.handshake,
            whole: limits.handshake,
            idle: limits.idle,
            write: Duration::from_secs(10),
        }
    }
}

/// Gives the signalling thread an input; false when there is no room.
pub(super) type Give = Arc<dyn Fn(switch::Input) -> bool + Send + Sync>;

/// Something to be written.
#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    /// A message, or a keep-alive's answer.
    Message(Transmit),
    /// Octets as they are: of the WebSocket protocol itself.
    Octets(Bytes),
    /// Nothing more: the connection ends, for this reason.
    End(&'static str),
}

/// All connections; clones share them.
#[derive(Clone)]
pub struct Streams(Arc<Shared>);

pub(super) struct Shared {
    runtime: Handle,
    give: Give,
    pub(super) trace: Trace,
    pub(super) patience: Patience,
    connections_max: usize,
    pub(super) message_max: usize,
    listening: Vec<(Transport, SocketAddr)>,
    tls: Tls,
    crowd: Crowd,
    /// Where trunks are: these may open as many connections as they like.
    trunks: RwLock<Vec<Trusted>>,
    connections: DashMap<ConnectionId, Connection>,
    by_remote: DashMap<(Transport, SocketAddr), ConnectionId>,
    next: AtomicU64,
    shut_out: ShutOut,
}

/// The table's end of a connection: taking it out of the table closes the connection.
struct Connection {
    queue: mpsc::Sender<Outgoing>,
    remote: SocketAddr,
    /// Verified names of who is at the other end.
    names: Vec<Arc<str>>,
}

/// A connection's own end of its queue, and a way to put answers of its own into it that does not keep it alive.
pub(super) struct Ends {
    pub(super) waiting: mpsc::Receiver<Outgoing>,
    pub(super) replies: mpsc::WeakSender<Outgoing>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { listening, connections, .. } = &*self.0;
        f.debug_struct("Streams")
            .field("listening", listening)
            .field("connections", &connections.len())
            .finish_non_exhaustive()
    }
}

impl Streams {
    /// Listens on the configured addresses (port 0 takes a free one) and starts accepting on the current runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on, or certificates cannot be used.
    pub fn listen(config: &Config, inbox: Inbox) -> anyhow::Result<Streams> {
        let patience = Patience::of(&config.server.limits);
        let trace = inbox.trace().clone();
        Streams::listen_with(config, Arc::new(move |input| inbox.give(input)), trace, patience)
    }

    pub(super) fn listen_with(
        config: &Config,
        give: Give,
        trace: Trace,
        patience: Patience,
    ) -> anyhow::Result<Streams> {
        let tls = Tls::new(config)?;
        let mut listeners = Vec::new();
        let mut listening = Vec::new();
        for (transport, address) in wanted(&config.server) {
            let listener = tcp::listen(transport, address)?;
            listening.push((transport, listener.local_addr()?));
            listeners.push((transport, listener));
        }
        let limits = &config.server.limits;
        let streams = Streams(Arc::new(Shared {
            runtime: Handle::current(),
            give,
            trace,
            patience,
            connections_max: limits.connections,
            message_max: limits.message_bytes,
            listening,
            tls: tls.clone(),
            crowd: Crowd::new(limits.connections_per_address),
            trunks: RwLock::new(trusted(config)),
            connections: DashMap::new(),
            by_remote: DashMap::new(),
            next: AtomicU64::new(1),
            shut_out: ShutOut::default(),
        }));
        for (transport, listener) in listeners {
            tokio::spawn(Arc::clone(&streams.0).accept(transport, listener));
        }
        tokio::spawn(tls.watch());
        Ok(streams)
    }

    /// Takes up a new configuration: certificates, and whom trunks are. Listeners and limits stay.
    pub fn adopt(&self, config: &Config) {
        self.0.tls.adopt(config);
        if let Ok(mut trunks) = self.0.trunks.write() {
            *trunks = trusted(config);
        }
    }

    /// The addresses listened on, with their real ports.
    pub fn listening(&self) -> &[(Transport, SocketAddr)] {
        &self.0.listening
    }

    /// The addresses listened on for one transport.
    pub fn listening_for(&self, transport: Transport) -> Vec<SocketAddr> {
        self.listening().iter().filter(|(of, _)| *of == transport).map(|(_, address)| *address).collect()
    }

    /// Notes where a host of the configuration was found; needed before something is sent there over TLS.
    pub fn learn(&self, host: &str, hops: &[Hop]) {
        self.0.tls.learn(host, hops);
    }

    /// How many connections there are, those being opened included.
    pub fn connections(&self) -> usize {
        self.0.connections.len()
    }

    /// The addresses whose datagrams are dropped and connections refused.
    pub fn shut_out(&self) -> &ShutOut {
        &self.0.shut_out
    }

    /// Shuts an address out for so long, or lets it in again, and ends the connections that it has.
    pub fn shut(&self, network: IpAddr, long: Duration) {
        self.0.shut_out.set(network, long);
        if long.is_zero() {
            return;
        }
        // Whoever claims to be at many addresses makes many of them shut out; most have no connection.
        if !self.0.crowd.has(network) {
            return;
        }
        let of_it = |connection: &Connection| guard::network(connection.remote.ip()) == network;
        let connections = &self.0.connections;
        let ended: Vec<ConnectionId> =
            connections.iter().filter(|entry| of_it(entry.value())).map(|entry| *entry.key()).collect();
        for id in ended {
            self.end(id, "shut out");
        }
    }

    /// Closes an idle connection, if it is still there.
    pub fn close(&self, connection: ConnectionId) {
        self.end(connection, "idle");
    }

    fn end(&self, connection: ConnectionId, why: &'static str) {
        if let Some((_, connection)) = self.0.connections.remove(&connection) {
            // A full queue ends too, now that it is out of the table.
            let _ = connection.queue.try_send(Outgoing::End(why));
        }
    }

    /// Queues a message; never waits, and may be called from any thread.
    ///
    /// It goes along `hop.connection` while that lives, else along a connection to `hop.remote`, else along a
    /// new one from the IP address of `hop.local` (RFC 3261 §18.2.2). `sip::Input::SendFailed` tells when that is
    /// not possible.
    pub fn send(&self, transmit: Transmit) {
        let hop = transmit.hop;
        let Some(id) = self.0.find(&hop) else {
            return self.open(transmit);
        };
        let message = Outgoing::Message(transmit.clone());
        // The guard must be gone before the table is changed.
        let queued = self.0.connections.get(&id).map(|connection| connection.queue.try_send(message).is_ok());
        match queued {
            Some(true) => {}
            // It ended between the two look-ups.
            None => self.open(transmit),
            Some(false) => {
                tracing::debug!(connection = id.0, "peer does not read, connection given up");
                self.0.connections.remove(&id);
                self.0.fail(hop);
            }
        }
    }

    fn open(&self, transmit: Transmit) {
        let shared = &self.0;
        let (hop, failed) = (transmit.hop, transmit.hop);
        if shared.connections.len() >= shared.connections_max {
            tracing::warn!("limits.connections is reached, no connection opened");
            return shared.fail(failed);
        }
        let proof = match hop.transport {
            Transport::Tcp => None,
            Transport::Tls => match shared.proof_wanted(hop.remote) {
                Some(proof) => Some(proof),
                None => return shared.fail(failed),
            },
            // RFC 7118 §5: nobody listens in a browser. UDP does not come here.
            Transport::Udp | Transport::Ws | Transport::Wss => return shared.fail(failed),
        };
        let hop = Hop { connection: Some(shared.next_id()), ..hop };
        let names = proof.as_ref().map(|(name, _)| Arc::clone(name)).into_iter().collect();
        // In the table before it is connected, so that what is sent meanwhile goes along the same connection.
        let ends = shared.enter(&hop, names, Some(transmit));
        if let Some(id) = hop.connection {
            shared.by_remote.insert((hop.transport, hop.remote), id);
        }
        shared.runtime.spawn(Arc::clone(shared).connect(hop, proof, ends));
    }
}

impl Shared {
    /// The connection that a message goes along.
    fn find(&self, hop: &Hop) -> Option<ConnectionId> {
        if let Some(id) = hop.connection.filter(|id| self.connections.contains_key(id)) {
            return Some(id);
        }
        let id = *self.by_remote.get(&(hop.transport, hop.remote))?;
        match hop.transport {
            Transport::Tcp => Some(id),
            // RFC 5923 §9.1: an address proves nothing; whoever is there must have proved to be whom we want.
            Transport::Tls => {
                let name = self.tls.name_at(hop.remote)?;
                self.connections.get(&id)?.names.contains(&name).then_some(id)
            }
            Transport::Udp | Transport::Ws | Transport::Wss => None,
        }
    }

    /// What a neighbour that we connect to must prove, and the means to verify it.
    fn proof_wanted(&self, remote: SocketAddr) -> Option<(Arc<str>, TlsConnector)> {
        let Some(name) = self.tls.name_at(remote) else {
            tracing::debug!(peer = %remote, "no trunk's name led to this address: no TLS connection opened");
            return None;
        };
        let Some(connector) = self.tls.connector() else {
            tracing::warn!(
                name = &*name,
                "nobody can be verified without ca below [tls] of server.toml: no TLS connection opened"
            );
            return None;
        };
        Some((name, connector))
    }

    fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn enter(&self, hop: &Hop, names: Vec<Arc<str>>, first: Option<Transmit>) -> Ends {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        if let Some(first) = first {
            // The channel is empty: there is room.
            let _ = queue.try_send(Outgoing::Message(first));
        }
        let replies = queue.downgrade();
        if let Some(id) = hop.connection {
            self.connections.insert(id, Connection { queue, remote: hop.remote, names });
        }
        metrics::connection_opened(hop.transport);
        Ends { waiting, replies }
    }

    /// Takes the connection out of the tables; what it did not send has failed. `alias` is the other address that it
    /// is known by.
    pub(super) fn leave(
        self: &Arc<Self>,
        hop: &Hop,
        alias: Option<SocketAddr>,
        mut waiting: mpsc::Receiver<Outgoing>,
        why: &'static str,
    ) {
        let Some(id) = hop.connection else { return };
        metrics::connection_closed(hop.transport, why);
        tracing::debug!(connection = id.0, peer = %hop.remote, transport = hop.transport.via(), why, "connection ended");
        self.connections.remove(&id);
        for remote in [Some(hop.remote), alias].into_iter().flatten() {
            self.by_remote.remove_if(&(hop.transport, remote), |_, current| *current == id);
        }
        while let Ok(outgoing) = waiting.try_recv() {
            if let Outgoing::Message(transmit) = outgoing {
                self.fail(transmit.hop);
            }
        }
    }

    fn fail(self: &Arc<Self>, hop: Hop) {
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            shared.tell(switch::Input::Sip(sip::Input::SendFailed { hop })).await;
        });
    }

    /// Gives the signalling thread an input, however long it takes to find room.
    pub(super) async fn tell(&self, input: switch::Input) {
        while !(self.give)(input.clone()) {
            sleep(INBOX_RETRY).await;
        }
    }

    /// RFC 5923 §8.2: a peer whose certificate was verified wants our requests to `alias` along this connection.
    pub(super) fn note_alias(&self, hop: &Hop, alias: SocketAddr) {
        if let Some(id) = hop.connection {
            self.by_remote.insert((hop.transport, alias), id);
        }
    }

    async fn accept(self: Arc<Self>, transport: Transport, listener: TcpListener) {
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
                metrics::connection_refused(transport, "connections");
                continue;
            }
            let place = match self.crowd.enter(remote.ip()) {
                None if !self.is_trunk(remote.ip()) => {
                    metrics::connection_refused(transport, "connections_per_address");
                    continue;
                }
                place => place,
            };
            let hop = Hop { transport, local, remote, connection: Some(self.next_id()) };
            let ends = self.enter(&hop, Vec::new(), None);
            if let (Transport::Tcp, Some(id)) = (transport, hop.connection) {
                self.by_remote.insert((transport, remote), id);
            }
            tokio::spawn(Arc::clone(&self).accepted(hop, stream, place, ends));
        }
    }

    fn is_trunk(&self, ip: IpAddr) -> bool {
        let from = SocketAddr::new(ip, 0);
        let within = |trusted: &Trusted| Trusted { port: None, ..*trusted }.contains(from);
        self.trunks.read().is_ok_and(|trunks| trunks.iter().any(within))
    }

    /// A connection that a peer has opened.
    async fn accepted(self: Arc<Self>, hop: Hop, stream: TcpStream, _place: Option<Place>, ends: Ends) {
        let life = Life::new(&self, hop, true);
        watch_over(&stream);
        if !matches!(hop.transport, Transport::Tls | Transport::Wss) {
            return life.run(stream, ends).await;
        }
        let handshake = async {
            let acceptor = self.tls.acceptor(hop.transport).ok_or(io::ErrorKind::Unsupported)?;
            acceptor.accept(stream).await
        };
        let stream = match timeout(self.patience.first, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = %hop.remote, "TLS handshake failed");
                return self.leave(&hop, None, ends.waiting, "handshake");
            }
            Err(_) => return self.leave(&hop, None, ends.waiting, "no handshake in time"),
        };
        // With browsers no certificate is asked for.
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names = shown.map(tls::domains).unwrap_or_default();
        self.verified(hop, names, life).await.run(stream, ends).await;
    }

    /// Notes and tells who is at the other end.
    async fn verified(&self, hop: Hop, names: Vec<Arc<str>>, mut life: Life) -> Life {
        let Some(connection) = hop.connection.filter(|_| !names.is_empty()) else { return life };
        if let Some(mut entry) = self.connections.get_mut(&connection) {
            entry.names.clone_from(&names);
        }
        life.verified = true;
        self.tell(switch::Input::Opened { connection, names }).await;
        life
    }

    /// A connection that we open; with `proof` over TLS, to who has that name.
    async fn connect(self: Arc<Self>, hop: Hop, proof: Option<(Arc<str>, TlsConnector)>, ends: Ends) {
        let life = Life::new(&self, hop, false);
        let stream = match timeout(self.patience.connect, tcp::connect(&hop)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = %hop.remote, "cannot connect");
                return self.leave(&hop, None, ends.waiting, "not reached");
            }
            Err(_) => return self.leave(&hop, None, ends.waiting, "not reached in time"),
        };
        watch_over(&stream);
        let Some((name, connector)) = proof else {
            return life.run(stream, ends).await;
        };
        let handshake = async {
            let server = tls::server_name(&name).ok_or(io::ErrorKind::InvalidInput)?;
            connector.connect(server, stream).await
        };
        match timeout(self.patience.first, handshake).await {
            Ok(Ok(stream)) => {
                self.verified(hop, vec![name], life).await.run(stream, ends).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, name = &*name, "TLS handshake failed");
                self.leave(&hop, None, ends.waiting, "handshake");
            }
            Err(_) => self.leave(&hop, None, ends.waiting, "no handshake in time"),
        }
    }
}

fn watch_over(stream: &TcpStream) {
    if let Err(error) = tcp::watch_over(stream) {
        tracing::debug!(%error, "cannot set options of a connection");
    }
}

/// Where to listen.
fn wanted(server: &Server) -> impl Iterator<Item = (Transport, SocketAddr)> {
    let all = [
        (Transport::Tcp, &server.sip_tcp),
        (Transport::Tls, &server.sip_tls),
        (Transport::Ws, &server.sip_ws),
        (Transport::Wss, &server.sip_wss),
    ];
    all.into_iter()
        .flat_map(|(transport, addresses)| addresses.iter().map(move |address| (transport, *address)))
}

fn trusted(config: &Config) -> Vec<Trusted> {
    config.trunks.values().flat_map(|trunk| trunk.trusted.iter().copied()).collect()
}
