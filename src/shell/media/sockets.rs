//! The sockets of the RTP range: bound at start, shared among the media threads, looked up by port.

use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;

use anyhow::Context as _;
use anyhow::bail;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tracing::info;
use tracing::warn;

use crate::shell::media::sys;
use crate::shell::media::thread::MediaSettings;

/// Descriptors left for all else when the RTP range is fitted into the process's limit.
const DESCRIPTORS_KEPT: u64 = 256;

/// The sockets of one RTP port and the RTCP port above it.
pub(super) struct Pair {
    pub(super) port: u16,
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    pub(super) watched: Watched,
}

impl Pair {
    /// Has the kernel note when what comes has come. Where it does not, that is when it is read.
    pub(super) fn stamp_arrivals(&self, on: bool) {
        let _ = sys::stamp_arrivals(&self.rtp, on).and_then(|()| sys::stamp_arrivals(&self.rtcp, on));
    }
}

/// Binds what it can of the range.
///
/// # Errors
/// When no port can be bound; the message says what to do.
pub(super) fn bind_all(settings: &MediaSettings) -> anyhow::Result<Vec<Pair>> {
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
pub(super) enum Watched {
    /// No stream is open.
    Not,
    /// What comes is read at once.
    Closely,
    /// What comes is read when a mix has its turn; the kernel notes when it came.
    Patiently,
}

/// A thread's sockets by port.
pub(super) struct Sockets {
    pairs: Vec<Pair>,
    /// Half the port → place in `pairs`.
    places: Vec<u16>,
    /// Whether they are IPv6 sockets, which write IPv4 addresses mapped.
    v6: bool,
}

impl Sockets {
    pub(super) fn new(pairs: Vec<Pair>, v6: bool) -> Sockets {
        let mut places = vec![u16::MAX; 1 << 15];
        for (at, pair) in pairs.iter().enumerate() {
            places[usize::from(pair.port >> 1)] = at as u16;
        }
        Sockets { pairs, places, v6 }
    }

    /// How many ports there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The sockets of an RTP port, or of the port above it.
    pub(super) fn pair(&mut self, port: u16) -> Option<&mut Pair> {
        self.pairs.get_mut(usize::from(self.places[usize::from(port >> 1)]))
    }

    /// The socket that epoll knows by this token.
    pub(super) fn socket(&mut self, token: u64) -> Option<&UdpSocket> {
        let (port, rtcp) = port_of(token);
        let pair = self.pair(port)?;
        Some(if rtcp { &pair.rtcp } else { &pair.rtp })
    }

    /// Whether the kernel took a datagram; else it is lost, as datagrams may be.
    pub(super) fn send(&mut self, (port, rtcp): (u16, bool), to: SocketAddr, bytes: &[u8]) -> bool {
        let to = match to {
            SocketAddr::V4(v4) if self.v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            SocketAddr::V4(_) | SocketAddr::V6(_) => to,
        };
        let Some(pair) = self.pair(port) else { return false };
        let socket = if rtcp { &pair.rtcp } else { &pair.rtp };
        socket.send_to(bytes, to).is_ok()
    }
}

/// The RTP port of a socket's token, which is its own port, and whether it is the socket above it.
pub(super) fn port_of(token: u64) -> (u16, bool) {
    ((token as u16) & !1, token & 1 == 1)
}

/// The address without the IPv6 clothing that an IPv4 one wears on a socket for both.
pub(super) fn bare(from: SocketAddr) -> SocketAddr {
    match from {
        SocketAddr::V6(v6) => match Ipv6Addr::to_ipv4_mapped(v6.ip()) {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => from,
        },
        SocketAddr::V4(_) => from,
    }
}

/// Reads off what came while nobody used the port.
pub(super) fn drain(socket: &UdpSocket) {
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
