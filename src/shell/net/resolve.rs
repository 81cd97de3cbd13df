//! Names of carriers and contacts to addresses (RFC 3263), each with our own address towards it.
//!
//! Addresses in text are taken as they are; names are asked of name servers by `dns`, in the order that
//! `sip::locate` sets.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use crate::shell::net::dns::Names;
use crate::sip::Hop;
use crate::sip::Transport;

/// Knows where we listen, and so what our address towards somebody is.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// UDP listeners, with their real ports.
    pub udp: Vec<SocketAddr>,
    /// TCP listeners, with their real ports.
    pub tcp: Vec<SocketAddr>,
    /// TLS listeners, with their real ports.
    pub tls: Vec<SocketAddr>,
    /// Whom to ask about names.
    pub names: Names,
}

impl Resolver {
    /// Where to send to reach a host, best first, and for how long that may be believed; no hops when the name is
    /// not known, or we cannot reach it from any address we listen on. Without a transport the host decides, among
    /// those that we speak.
    pub async fn resolve(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
    ) -> (Vec<Hop>, Duration) {
        let (candidates, ttl) = self.names.locate(host, port, transport, &self.speaks()).await;
        let hop = |(transport, remote)| {
            let local = self.local_towards(remote, transport)?;
            Some(Hop { transport, local, remote, connection: None })
        };
        (candidates.into_iter().filter_map(hop).collect(), ttl)
    }

    /// Transports that a host may choose from.
    fn speaks(&self) -> Vec<Transport> {
        let listening =
            [(Transport::Udp, &self.udp), (Transport::Tcp, &self.tcp), (Transport::Tls, &self.tls)];
        listening.into_iter().filter(|(_, on)| !on.is_empty()).map(|(transport, _)| transport).collect()
    }

    /// The address we listen on that a message to `remote` should leave from: the one of the route there; if
    /// we do not listen on that, another of the same kind (loopback or not).
    fn local_towards(&self, remote: SocketAddr, transport: Transport) -> Option<SocketAddr> {
        let listening = match transport {
            Transport::Udp => &self.udp,
            Transport::Tls => &self.tls,
            Transport::Tcp | Transport::Ws | Transport::Wss => &self.tcp,
        };
        let route = source_towards(remote);
        let exact = listening.iter().find(|local| Some(local.ip()) == route);
        let any = || {
            let wild =
                listening.iter().find(|l| l.ip().is_unspecified() && l.is_ipv4() == remote.is_ipv4())?;
            Some(SocketAddr::new(route?, wild.port()))
        };
        let similar = || {
            listening.iter().find(|local| {
                !local.ip().is_unspecified()
                    && local.is_ipv4() == remote.is_ipv4()
                    && local.ip().is_loopback() == remote.ip().is_loopback()
            })
        };
        exact.copied().or_else(any).or_else(|| similar().copied())
    }
}

/// The address that the kernel would send from. Connecting a datagram socket sends nothing; it only chooses.
pub(crate) fn source_towards(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rand::Rng;

    fn resolver(udp: &[&str], tcp: &[&str]) -> Resolver {
        let parse = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        let names = Names::new(Vec::new(), Rng::from_seed(1));
        Resolver { udp: parse(udp), tcp: parse(tcp), tls: Vec::new(), names }
    }

    #[tokio::test]
    async fn our_address_towards_a_host_is_one_that_we_listen_on() {
        let rows = [
            // The address of the route, with the listener's port.
            (resolver(&["127.0.0.1:5060"], &[]), "127.0.0.1", Some(("127.0.0.1:5060", "127.0.0.1:5070"))),
            // A wildcard listener shows the address of the route.
            (resolver(&["0.0.0.0:5066"], &[]), "127.0.0.1", Some(("127.0.0.1:5066", "127.0.0.1:5070"))),
            // Another loopback address than the route's.
            (resolver(&["127.0.0.9:5060"], &[]), "127.0.0.1", Some(("127.0.0.9:5060", "127.0.0.1:5070"))),
            // From loopback nothing but loopback can be reached.
            (resolver(&["127.0.0.1:5060"], &[]), "192.0.2.1", None),
            // No listener of that transport, or of that family.
            (resolver(&[], &["127.0.0.1:5060"]), "127.0.0.1", None),
            (resolver(&["127.0.0.1:5060"], &[]), "[::1]", None),
        ];
        for (resolver, host, expected) in rows {
            let (hops, _) = resolver.resolve(host, Some(5070), Some(Transport::Udp)).await;
            let hops: Vec<_> =
                hops.iter().map(|hop| (hop.local.to_string(), hop.remote.to_string())).collect();
            let expected: Vec<_> =
                expected.iter().map(|(local, remote)| (local.to_string(), remote.to_string())).collect();
            assert_eq!(hops, expected, "{resolver:?} towards {host}");
        }
    }

    #[tokio::test]
    async fn a_name_of_the_hosts_file_is_known() {
        let resolver = resolver(&[], &["127.0.0.1:5062"]);
        let (hops, _) = resolver.resolve("localhost", Some(5060), Some(Transport::Tcp)).await;
        assert_eq!(hops.len(), 1);
        assert_eq!(hops[0].remote, "127.0.0.1:5060".parse().unwrap());
        assert_eq!(hops[0].local, "127.0.0.1:5062".parse().unwrap());
    }

    #[tokio::test]
    async fn an_unknown_name_has_no_addresses() {
        let resolver = resolver(&["0.0.0.0:5060"], &[]);
        let (hops, _) = resolver.resolve("nowhere.invalid", Some(5060), Some(Transport::Udp)).await;
        assert!(hops.is_empty());
    }
}
