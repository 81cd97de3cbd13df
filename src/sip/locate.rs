//! Which addresses a host name leads to, in the order in which they are tried (RFC 3263 §4, RFC 2782).
//!
//! Pure: the shell asks the name servers what [`begin`], [`services`] and [`places`] want to know, and chance comes
//! in as a generator. A `sips:` URI is asked for with the transport TLS. Left out: SCTP, NAPTR for WebSocket
//! (RFC 7118 §5.1: browsers connect to us), regular expressions in NAPTR (RFC 3263 §4.1 wants them empty), and
//! merging the priorities of several transports (RFC 3263 §4.1 took that back).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;

use crate::rand::Rng;
use crate::sip::Transport;
use crate::sip::target::default_port;

/// Addresses, and names of servers, that are made use of at most.
pub const CANDIDATES_MAX: usize = 16;
/// Transports in the order that we take when the name servers have no opinion.
const PREFERENCE: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lowest first.
    pub order: u16,
    /// Lowest first among those of one order.
    pub preference: u16,
    /// `s`: the replacement has SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T` or `SIPS+D2T`.
    pub service: String,
    /// Empty when the replacement counts.
    pub regexp: String,
    /// The name to ask next.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lowest first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Where the server listens.
    pub port: u16,
    /// Its name; `.` or nothing means that the service is not offered here.
    pub target: String,
}

/// A name whose SRV records tell the servers of one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `_sip._udp.example.com`.
    pub name: String,
    /// What its servers speak.
    pub transport: Transport,
}

/// A server: a name whose addresses are wanted (or an address), with port and transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name, or address as text.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// What it speaks.
    pub transport: Transport,
}

/// What must be known before a server can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Nothing: the host is an address.
    Nothing(Transport, SocketAddr),
    /// A and AAAA records of a host.
    Addresses(Place),
    /// SRV records of a service.
    Services(Vec<Service>),
    /// NAPTR records of the host; then [`services`].
    Naptr,
}

/// What to ask first about a host as a URI or the configuration names it.
pub fn begin(host: &str, port: Option<u16>, transport: Option<Transport>) -> Question {
    // RFC 3263 §4.1: UDP for an address or a port without a transport.
    let usual = transport.unwrap_or(Transport::Udp);
    let number = port.unwrap_or_else(|| default_port(usual));
    if let Some(ip) = literal(host) {
        return Question::Nothing(usual, SocketAddr::new(ip, number));
    }
    // RFC 3263 §4.2: a port that is written leaves SRV nothing to say; WebSocket has no SRV (RFC 7118 §7).
    if port.is_some() || matches!(transport, Some(Transport::Ws | Transport::Wss)) {
        return Question::Addresses(Place { host: host.to_owned(), port: number, transport: usual });
    }
    match transport {
        Some(transport) => Question::Services(vec![service(host, transport)]),
        None => Question::Naptr,
    }
}

/// The services of a host, best first: those that its NAPTR records name, of the transports that we speak; without
/// any the usual names of these transports.
pub fn services(host: &str, records: &[Naptr], speak: &[Transport]) -> Vec<Service> {
    let mut usable: Vec<(&Naptr, Transport)> = records
        .iter()
        .filter(|record| record.flags.eq_ignore_ascii_case("s") && record.regexp.is_empty())
        .filter_map(|record| Some((record, transport_of(&record.service)?)))
        .filter(|(record, transport)| speak.contains(transport) && named(&record.replacement))
        .collect();
    usable.sort_by_key(|(record, _)| (record.order, record.preference));
    // RFC 3403 §4.1: once an order has something for us, later orders are not for us; preferences are.
    let first = usable.first().map(|(record, _)| record.order);
    usable.retain(|(record, _)| Some(record.order) == first);
    if usable.is_empty() {
        let spoken = PREFERENCE.into_iter().filter(|transport| speak.contains(transport));
        return spoken.map(|transport| service(host, transport)).collect();
    }
    let of =
        |(record, transport): (&Naptr, Transport)| Service { name: bare(&record.replacement), transport };
    usable.into_iter().map(of).take(CANDIDATES_MAX).collect()
}

/// The servers, best first: those of the first service, then those of the next. `found` holds the SRV records of
/// each service. Without any record it is the host itself at the usual port, over UDP if we have the choice.
pub fn places(host: &str, found: &[(Service, Vec<Srv>)], rng: &mut Rng) -> Vec<Place> {
    if found.iter().all(|(_, records)| records.is_empty()) {
        let mut spoken = found.iter().map(|(service, _)| service.transport);
        let first = spoken.next().unwrap_or(Transport::Udp);
        let transport = if spoken.any(|other| other == Transport::Udp) { Transport::Udp } else { first };
        return vec![Place { host: host.to_owned(), port: default_port(transport), transport }];
    }
    let mut places: Vec<Place> = Vec::new();
    for (service, records) in found {
        for record in in_order(records, rng) {
            let place = Place { host: bare(&record.target), port: record.port, transport: service.transport };
            if !places.contains(&place) && places.len() < CANDIDATES_MAX {
                places.push(place);
            }
        }
    }
    places
}

/// Addresses to try, best first, each once; `addresses` holds what is known of each place's host.
pub fn candidates(
    places: &[Place],
    addresses: &BTreeMap<String, Vec<IpAddr>>,
) -> Vec<(Transport, SocketAddr)> {
    let mut candidates = Vec::new();
    for place in places {
        let known = addresses.get(&place.host).map(Vec::as_slice).unwrap_or_default();
        // An SRV target that is an address breaks RFC 2782, and means what it says.
        for ip in literal(&place.host).iter().chain(known) {
            let candidate = (place.transport, SocketAddr::new(*ip, place.port));
            if !candidates.contains(&candidate) && candidates.len() < CANDIDATES_MAX {
                candidates.push(candidate);
            }
        }
    }
    candidates
}

/// An address in text, an IPv6 one with or without brackets.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// RFC 2782, "Usage rules": priorities from low to high; within one, a draw by weight for each place.
fn in_order<'a>(records: &'a [Srv], rng: &mut Rng) -> Vec<&'a Srv> {
    let mut waiting: Vec<&Srv> = records.iter().filter(|record| named(&record.target)).collect();
    // Those of weight 0 stand first, so that they have a small chance besides heavier ones.
    waiting.sort_by_key(|record| (record.priority, record.weight != 0));
    waiting.truncate(CANDIDATES_MAX);
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(priority) = waiting.first().map(|record| record.priority) {
        let same = waiting.iter().take_while(|record| record.priority == priority);
        let sum: usize = same.map(|record| usize::from(record.weight)).sum();
        let drawn = rng.below(sum + 1);
        let mut running = 0;
        let reached = |record: &&Srv| {
            running += usize::from(record.weight);
            running >= drawn
        };
        let at = waiting.iter().position(reached).unwrap_or(0);
        ordered.push(waiting.remove(at));
    }
    ordered
}

/// RFC 3263 §4.1, §4.2: `_sips` is TLS, which is carried by TCP.
fn service(host: &str, transport: Transport) -> Service {
    let label = match transport {
        Transport::Tls | Transport::Wss => "_sips._tcp",
        Transport::Tcp | Transport::Ws => "_sip._tcp",
        Transport::Udp => "_sip._udp",
    };
    Service { name: format!("{label}.{}", bare(host)), transport }
}

/// The transport of a NAPTR service field (RFC 3263 §4.1).
fn transport_of(service: &str) -> Option<Transport> {
    const SERVICES: [(&str, Transport); 3] =
        [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)];
    SERVICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(service)).map(|(_, transport)| *transport)
}

/// Whether a name of a record names anything: `.` stands for nothing.
fn named(name: &str) -> bool {
    !bare(name).is_empty()
}

/// Without the dot of the root, in small letters: names are equal whatever their case (RFC 4343 §2).
fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    use Transport::Tcp;
    use Transport::Tls;
    use Transport::Udp;

    fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
        let (flags, service, replacement) = ("s".into(), service.into(), replacement.into());
        Naptr { order, preference, flags, service, regexp: String::new(), replacement }
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
        Srv { priority, weight, port, target: target.into() }
    }

    fn place(host: &str, port: u16, transport: Transport) -> Place {
        Place { host: host.into(), port, transport }
    }

    #[test]
    fn what_is_asked_first_follows_from_host_port_and_transport() {
        let address = |transport, text: &str| Question::Nothing(transport, text.parse().unwrap());
        let services =
            |text: &str, transport| Question::Services(vec![Service { name: text.into(), transport }]);
        let rows = [
            // RFC 3263 §4.1: a numeric host is UDP, and nothing is asked.
            (("192.0.2.1", None, None), address(Udp, "192.0.2.1:5060")),
            (("192.0.2.1", Some(5080), None), address(Udp, "192.0.2.1:5080")),
            (("[2001:db8::1]", None, Some(Tls)), address(Tls, "[2001:db8::1]:5061")),
            (("2001:db8::1", None, Some(Tcp)), address(Tcp, "[2001:db8::1]:5060")),
            // §4.1, §4.2: a port without a transport is UDP, and no SRV.
            (("example.com", Some(5060), None), Question::Addresses(place("example.com", 5060, Udp))),
            (("example.com", Some(5061), Some(Tls)), Question::Addresses(place("example.com", 5061, Tls))),
            // §4.2: a transport without a port is SRV of that transport.
            (("Example.com", None, Some(Udp)), services("_sip._udp.example.com", Udp)),
            (("example.com", None, Some(Tcp)), services("_sip._tcp.example.com", Tcp)),
            // `sips:` is asked for with TLS.
            (("example.com", None, Some(Tls)), services("_sips._tcp.example.com", Tls)),
            // RFC 7118 has no SRV.
            (
                ("example.com", None, Some(Transport::Wss)),
                Question::Addresses(place("example.com", 443, Transport::Wss)),
            ),
            // §4.1: neither: NAPTR.
            (("example.com", None, None), Question::Naptr),
        ];
        for ((host, port, transport), expected) in rows {
            assert_eq!(begin(host, port, transport), expected, "{host} {port:?} {transport:?}");
        }
    }

    #[test]
    fn naptr_chooses_the_transport_among_those_we_speak() {
        // The example of RFC 3263 §4.1.
        let example = [
            naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
            naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com."),
            naptr(100, 50, "SIP+D2U", "_sip._udp.example.com."),
        ];
        let same_order = [
            naptr(10, 20, "sip+d2u", "_sip._udp.Example.net."),
            naptr(10, 10, "SIP+D2T", "_sip._tcp.example.net."),
        ];
        let terminal = Naptr { flags: "u".into(), ..naptr(1, 1, "SIP+D2U", "a.") };
        let rewritten = Naptr { regexp: "!^.*$!x!".into(), ..naptr(1, 1, "SIP+D2U", "a.") };
        let useless = [
            terminal,
            rewritten,
            naptr(1, 1, "SIP+D2S", "a."),
            naptr(1, 1, "E2U+sip", "a."),
            naptr(1, 1, "SIP+D2U", "."),
        ];
        let rows: [(&[Naptr], &[Transport], &[(&str, Transport)]); 7] = [
            // "Since the client supports TCP and UDP, TCP will be used."
            (&example, &[Udp, Tcp], &[("_sip._tcp.example.com", Tcp)]),
            (&example, &[Udp, Tcp, Tls], &[("_sips._tcp.example.com", Tls)]),
            (&example, &[Udp], &[("_sip._udp.example.com", Udp)]),
            // Preferences of one order are alternatives; case does not matter.
            (&same_order, &[Udp, Tcp], &[("_sip._tcp.example.net", Tcp), ("_sip._udp.example.net", Udp)]),
            // Records that are not for us are as none.
            (&useless, &[Udp, Tcp], &[("_sip._udp.example.com", Udp), ("_sip._tcp.example.com", Tcp)]),
            // None: SRV of each transport, UDP first.
            (
                &[],
                &[Tls, Tcp, Udp],
                &[
                    ("_sip._udp.example.com", Udp),
                    ("_sip._tcp.example.com", Tcp),
                    ("_sips._tcp.example.com", Tls),
                ],
            ),
            (&[], &[], &[]),
        ];
        for (records, speak, expected) in rows {
            let found = services("example.com", records, speak);
            let found: Vec<_> = found.iter().map(|s| (&*s.name, s.transport)).collect();
            assert_eq!(found, expected, "{records:?} {speak:?}");
        }
    }

    #[test]
    fn servers_come_by_service_then_priority() {
        let of = |transport, records| (service("example.com", transport), records);
        let rows = [
            (vec![of(Udp, vec![]), of(Tcp, vec![])], vec![place("example.com", 5060, Udp)]),
            (vec![of(Tcp, vec![]), of(Udp, vec![])], vec![place("example.com", 5060, Udp)]),
            (vec![of(Tls, vec![])], vec![place("example.com", 5061, Tls)]),
            (vec![], vec![place("example.com", 5060, Udp)]),
            (
                vec![
                    of(Udp, vec![srv(20, 0, 5070, "b.example.com."), srv(10, 0, 5060, "A.example.com.")]),
                    of(Tcp, vec![srv(5, 0, 5060, "a.example.com.")]),
                ],
                vec![
                    place("a.example.com", 5060, Udp),
                    place("b.example.com", 5070, Udp),
                    place("a.example.com", 5060, Tcp),
                ],
            ),
            // RFC 2782: a target of "." means that the service is decidedly not there; no other way is tried.
            (vec![of(Udp, vec![srv(0, 0, 0, ".")])], vec![]),
            // The same server twice is one.
            (vec![of(Udp, vec![srv(1, 0, 5060, "a."), srv(2, 0, 5060, "a.")])], vec![place("a", 5060, Udp)]),
        ];
        for (found, expected) in rows {
            assert_eq!(places("example.com", &found, &mut Rng::from_seed(1)), expected, "{found:?}");
        }
    }

    #[test]
    fn weights_share_the_first_place() {
        // The example of RFC 3263 §4.1, and one of weight 0 besides.
        let records = vec![srv(0, 1, 5060, "one"), srv(0, 2, 5060, "two"), srv(0, 0, 5060, "none")];
        let found = [(service("example.com", Tcp), records)];
        let mut rng = Rng::from_seed(7);
        let mut firsts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..4_000 {
            let places = places("example.com", &found, &mut rng);
            assert_eq!(places.len(), 3);
            *firsts.entry(places[0].host.clone()).or_default() += 1;
        }
        // A draw of 0..=3: 0 falls to weight 0, 1 to "one", 2 and 3 to "two".
        for (host, expected) in [("none", 1_000), ("one", 1_000), ("two", 2_000)] {
            assert!(firsts[host].abs_diff(expected) < 150, "{firsts:?}");
        }
    }

    #[test]
    fn addresses_are_listed_once_and_no_more_than_the_most() {
        let many: Vec<IpAddr> = (1..=30).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let addresses = BTreeMap::from([
            ("a".to_owned(), vec![many[0], many[1], many[0]]),
            ("b".to_owned(), vec![many[1], many[2]]),
            ("many".to_owned(), many),
        ]);
        let texts = |places: &[Place]| -> Vec<String> {
            let found = candidates(places, &addresses);
            found.iter().map(|(transport, address)| format!("{} {address}", transport.via())).collect()
        };
        let rows: [(&[Place], &[&str]); 3] = [
            (
                &[place("a", 5060, Udp), place("b", 5060, Udp), place("b", 5060, Tcp)],
                &[
                    "UDP 192.0.2.1:5060",
                    "UDP 192.0.2.2:5060",
                    "UDP 192.0.2.3:5060",
                    "TCP 192.0.2.2:5060",
                    "TCP 192.0.2.3:5060",
                ],
            ),
            (&[place("unknown", 5060, Udp)], &[]),
            (&[place("198.51.100.7", 5066, Udp)], &["UDP 198.51.100.7:5066"]),
        ];
        for (places, expected) in rows {
            assert_eq!(texts(places), expected);
        }
        assert_eq!(texts(&[place("many", 5060, Udp)]).len(), CANDIDATES_MAX);
    }

    #[test]
    fn a_flood_of_records_is_cut() {
        let records: Vec<Srv> = (0..60_000).map(|n| srv(n, n, n, &format!("h{n}"))).collect();
        let found = [(service("example.com", Udp), records)];
        let places = places("example.com", &found, &mut Rng::from_seed(1));
        assert_eq!(places.len(), CANDIDATES_MAX);
        assert_eq!(places[0].host, "h0");
    }
}
