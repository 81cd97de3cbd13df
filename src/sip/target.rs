//! Where a URI leads: host, port and transport (RFC 3263 §4.1, §4.2), as far as that follows from the URI alone.
//!
//! Names are resolved by the shell (NAPTR, SRV, A, AAAA): it gets the [`Target`] as a question. Left out: `maddr`,
//! and choosing another transport for requests near the MTU (RFC 3261 §18.1.1).

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::sip::Hop;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::uri::Host;

/// What is wanted of a neighbour before its name is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address.
    pub host: Host,
    /// Port, if the URI names one; otherwise SRV decides, or [`default_port`].
    pub port: Option<u16>,
    /// How.
    pub transport: Transport,
}

impl Target {
    /// Where `uri` leads; `hint` is the transport when the URI does not say (RFC 3263 would take NAPTR, then UDP).
    /// `None` for URIs that are not SIP.
    pub fn of(uri: &Uri, hint: Transport) -> Option<Target> {
        let Uri::Sip(sip) = uri else { return None };
        let named = uri.transport().and_then(transport);
        let transport = match (sip.secure, named) {
            // RFC 3261 §26.2.2: `sips:` is TLS, whatever lies beneath it.
            (true, Some(Transport::Ws | Transport::Wss)) => Transport::Wss,
            (true, Some(Transport::Udp | Transport::Tcp | Transport::Tls)) => Transport::Tls,
            (true, None) => {
                if hint == Transport::Wss {
                    Transport::Wss
                } else {
                    Transport::Tls
                }
            }
            (false, named) => named.unwrap_or(hint),
        };
        Some(Target { host: sip.host.clone(), port: sip.port, transport })
    }

    /// The address itself, when the host is one: nothing needs to be looked up.
    pub fn address(&self) -> Option<SocketAddr> {
        let ip = self.host.ip()?;
        Some(SocketAddr::new(ip, self.port.unwrap_or(default_port(self.transport))))
    }

    /// The way to it from `local`, when nothing needs to be looked up.
    pub fn hop(&self, local: SocketAddr) -> Option<Hop> {
        let remote = self.address()?;
        Some(Hop { transport: self.transport, local, remote, connection: None })
    }
}

/// Port of a URI or Via that names none (RFC 3261 §19.1.2, RFC 7118 §5.2).
pub fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
        Transport::Ws => 80,
        Transport::Wss => 443,
    }
}

/// The value of a URI's `transport` parameter.
pub fn transport(name: &str) -> Option<Transport> {
    const ALL: [(&str, Transport); 5] = [
        ("udp", Transport::Udp),
        ("tcp", Transport::Tcp),
        ("tls", Transport::Tls),
        ("ws", Transport::Ws),
        ("wss", Transport::Wss),
    ];
    ALL.iter().find(|(text, _)| text.eq_ignore_ascii_case(name)).map(|(_, transport)| *transport)
}

/// Whether an address cannot be reached from outside its own network (RFC 1918, 6598, 3927, 4193, 4291).
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private(IpAddr::V4(ip)),
            None => is_private_v6(ip),
        },
    }
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_says_transport_and_port_or_the_defaults_do() {
        let rows = [
            ("sip:a@1.2.3.4", Transport::Udp, Some("1.2.3.4:5060")),
            ("sip:a@1.2.3.4:5080;transport=TCP", Transport::Tcp, Some("1.2.3.4:5080")),
            ("sip:[2001:db8::1];transport=tls", Transport::Tls, Some("[2001:db8::1]:5061")),
            // `sips:` is never in the clear.
            ("sips:a@1.2.3.4;transport=tcp", Transport::Tls, Some("1.2.3.4:5061")),
            ("sips:a@1.2.3.4;transport=ws", Transport::Wss, Some("1.2.3.4:443")),
            // A transport nobody knows leaves the hint.
            ("sip:a@1.2.3.4;transport=sctp", Transport::Udp, Some("1.2.3.4:5060")),
            // A name must be looked up.
            ("sip:a@carrier.example", Transport::Udp, None),
        ];
        for (uri, transport, address) in rows {
            let target = Target::of(&Uri::parse(uri).unwrap(), Transport::Udp).unwrap();
            assert_eq!(target.transport, transport, "{uri}");
            assert_eq!(target.address(), address.map(|text| text.parse().unwrap()), "{uri}");
        }
        assert_eq!(Target::of(&Uri::parse("tel:+4722000000").unwrap(), Transport::Udp), None);
        let hinted = Target::of(&Uri::parse("sip:a@1.2.3.4").unwrap(), Transport::Tcp).unwrap();
        assert_eq!(hinted.transport, Transport::Tcp);
    }

    #[test]
    fn private_addresses_are_known_by_their_ranges() {
        for ip in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["172.32.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }
}
