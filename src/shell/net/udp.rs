//! SIP over UDP: sockets that the signalling thread reads and writes without blocking.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::shell::http::metrics;
use crate::shell::net::resolve::source_towards;
use crate::shell::net::shut_out::ShutOut;
use crate::shell::trace::Trace;
use crate::sip::Hop;
use crate::sip::Input;
use crate::sip::Response;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::sip::message::Message;
use crate::sip::message::ParseError;
use crate::sip::stun;

/// Asked of the kernel for bursts that come while the switch works.
pub const BUFFER_BYTES: usize = 4 << 20;
/// Addresses of neighbours whose route is remembered.
const ROUTES_MAX: usize = 10_000;
/// Unreadable requests answered in a second, of all senders together: the guard counts by sender only what can be read.
const UNREADABLE_ANSWERED: u32 = 500;
/// Datagrams read of one socket before other work gets its turn.
const BATCH: usize = 64;

/// One UDP listener.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    local: SocketAddr,
    /// Our own address towards a neighbour, when we listen on all of them.
    routes: HashMap<IpAddr, IpAddr>,
    buffer: Vec<u8>,
    message_max: usize,
    /// The running second, and how many unreadable requests were answered in it.
    answered: (Instant, u32),
}

impl Udp {
    /// Binds a socket; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(address: SocketAddr, message_max: usize) -> anyhow::Result<Udp> {
        let advice =
            || format!("cannot listen on udp {address}: is it in use, and an address of this machine?");
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).with_context(advice)?;
        if address.is_ipv6() {
            socket.set_only_v6(true).with_context(advice)?;
        }
        // A smaller buffer than asked for is no reason not to start.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        socket.set_nonblocking(true).with_context(advice)?;
        socket.bind(&address.into()).with_context(advice)?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().with_context(advice)?;
        let (routes, buffer) = (HashMap::new(), vec![0; 65_536]);
        Ok(Udp { socket, local, routes, buffer, message_max, answered: (Instant::now(), 0) })
    }

    /// The socket, for readiness.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Where it listens, with its real port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Reads what has come, at most a batch, shows it to `trace`, and hands each message to `took`. Tells whether
    /// more may be waiting.
    ///
    /// What comes from an address that is shut out is dropped unread.
    pub fn read(&mut self, trace: &Trace, shut_out: &ShutOut, mut took: impl FnMut(Input)) -> bool {
        for _ in 0..BATCH {
            let (length, remote) = match self.socket.recv_from(&mut self.buffer) {
                Ok(read) => read,
                // A refused datagram of ours is told here by some kernels; the next read is another matter.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(_) => return false,
            };
            if shut_out.drops(remote.ip()) {
                continue;
            }
            let hop = Hop {
                transport: Transport::Udp,
                local: self.local_towards(remote),
                remote,
                connection: None,
            };
            if stun::is_stun(&self.buffer[..length]) {
                if let Some(answer) = stun::answer(&self.buffer[..length], remote) {
                    self.send(&Transmit { hop, bytes: answer.into() });
                }
                continue;
            }
            // RFC 5626 §3.5.1, RFC 3261 §7.5: blank lines are keep-alives.
            if self.buffer[..length].iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
                continue;
            }
            let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
            trace.received(&hop, &bytes);
            match Message::parse(bytes, self.message_max) {
                Ok(message) => took(Input::Message { hop, message }),
                Err(error) => self.unreadable(trace, hop, error),
            }
        }
        true
    }

    /// Sends one message; tells whether the kernel took it.
    pub fn send(&self, transmit: &Transmit) -> bool {
        match self.socket.send_to(&transmit.bytes, transmit.hop.remote) {
            Ok(_) => true,
            // A full buffer is a lost datagram: SIP repeats.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Whether a hop's local end is this socket.
    pub fn serves(&self, hop: &Hop) -> bool {
        let same_family = self.local.is_ipv4() == hop.remote.is_ipv4();
        same_family
            && self.local.port() == hop.local.port()
            && (self.local.ip().is_unspecified() || self.local.ip() == hop.local.ip())
    }

    /// Answers an unreadable request of which enough could be read, without any state.
    fn unreadable(&mut self, trace: &Trace, hop: Hop, error: ParseError) {
        metrics::unreadable(Transport::Udp);
        let (second, count) = &mut self.answered;
        if second.elapsed() >= Duration::from_secs(1) {
            (*second, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > UNREADABLE_ANSWERED {
            return;
        }
        if let ParseError::Answerable { status, reason, request } = error {
            let mut response = Response::reply(&request, status, None);
            response.reason = reason.into();
            let bytes = response.to_bytes();
            trace.sent(&hop, &bytes);
            self.send(&Transmit { hop, bytes });
        }
    }

    fn local_towards(&mut self, remote: SocketAddr) -> SocketAddr {
        if !self.local.ip().is_unspecified() {
            return self.local;
        }
        if self.routes.len() > ROUTES_MAX {
            self.routes.clear();
        }
        let ip = *self
            .routes
            .entry(remote.ip())
            .or_insert_with(|| source_towards(remote).unwrap_or_else(|| self.local.ip()));
        SocketAddr::new(ip, self.local.port())
    }
}
