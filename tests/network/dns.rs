//! Names of carriers (RFC 3263), asked of a name server on loopback: NAPTR, SRV and A records, how long they are
//! believed, and a carrier that is found by them.

mod server;

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use sentral::rand::Rng;
use sentral::shell::net::dns::Names;
use sentral::shell::net::resolve::Resolver;
use sentral::sip::Transport;

use crate::daemon::Site;
use crate::dns::server::A;
use crate::dns::server::AAAA;
use crate::dns::server::NAPTR;
use crate::dns::server::SRV;
use crate::dns::server::Server;
use crate::dns::server::Zone;

/// A carrier with a dead first server.
fn carrier() -> Zone {
    Zone::default()
        .naptr("carrier.test", 600, 50, "SIPS+D2T", "_sips._tcp.carrier.test")
        .naptr("carrier.test", 600, 90, "SIP+D2T", "_sip._tcp.carrier.test")
        .naptr("carrier.test", 600, 100, "SIP+D2U", "_sip._udp.carrier.test")
        .srv("_sip._tcp.carrier.test", 300, (10, 0, 5070), "gone.carrier.test")
        .srv("_sip._tcp.carrier.test", 300, (20, 0, 5071), "alive.carrier.test")
        .srv("_sip._udp.carrier.test", 300, (10, 0, 5072), "alive.carrier.test")
        .a("alive.carrier.test", 40, [127, 0, 0, 7])
        .a("alive.carrier.test", 40, [127, 0, 0, 8])
        .a("plain.test", 2, [127, 0, 0, 9])
        .a("long.test", 86_400, [127, 0, 0, 9])
}

fn resolver(server: &Server) -> Resolver {
    let here = vec!["127.0.0.1:5060".parse().unwrap()];
    Resolver {
        udp: here.clone(),
        tcp: here,
        tls: Vec::new(),
        names: Names::new(vec![server.address], Rng::from_seed(3)),
    }
}

/// Where a host is, as text, and for how many seconds.
async fn look(
    resolver: &Resolver,
    host: &str,
    port: Option<u16>,
    transport: Option<Transport>,
) -> (String, u64) {
    let (hops, ttl) = resolver.resolve(host, port, transport).await;
    let texts: Vec<_> = hops.iter().map(|hop| format!("{} {}", hop.transport.via(), hop.remote)).collect();
    (texts.join(", "), ttl.as_secs_f64().round() as u64)
}

#[tokio::test]
async fn records_of_the_name_server_decide_where_to_send() {
    let server = Server::start(carrier());
    let resolver = resolver(&server);
    let rows = [
        // NAPTR prefers TLS, then TCP: TCP is the best that we speak. Its first server has no address.
        ("carrier.test", None, None, "TCP 127.0.0.7:5071, TCP 127.0.0.8:5071", 40),
        ("carrier.test", None, Some(Transport::Udp), "UDP 127.0.0.7:5072, UDP 127.0.0.8:5072", 40),
        // No SRV: the host itself. A short life is made a little longer, a long one shorter.
        ("plain.test", None, None, "UDP 127.0.0.9:5060", 5),
        ("plain.test", Some(5080), Some(Transport::Tcp), "TCP 127.0.0.9:5080", 5),
        ("long.test", None, None, "UDP 127.0.0.9:5060", 3_600),
        ("unknown.test", None, None, "", 30),
        // Nothing to ask.
        ("127.0.0.3", None, None, "UDP 127.0.0.3:5060", 60),
    ];
    for (host, port, transport, expected, ttl) in rows {
        let found = look(&resolver, host, port, transport).await;
        assert_eq!(found, (expected.to_owned(), ttl), "{host} {port:?} {transport:?}");
    }
    assert_eq!(server.asked("127.0.0.3", A) + server.asked("_sips._tcp.carrier.test", SRV), 0);
    // A port that is written leaves nothing to NAPTR or SRV: only the question without a port asked them.
    assert_eq!((server.asked("plain.test", NAPTR), server.asked("_sip._tcp.plain.test", SRV)), (1, 1));
}

#[tokio::test]
async fn many_trunks_of_a_carrier_ask_once() {
    let server = Server::start(carrier());
    let resolver = resolver(&server);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let resolver = resolver.clone();
        asking.spawn(async move { look(&resolver, "carrier.test", None, None).await.0 });
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|found| found == "TCP 127.0.0.7:5071, TCP 127.0.0.8:5071"), "{answers:?}");
    // NAPTR and SRV, and both kinds of address of two servers.
    assert_eq!(server.total(), 6);
    // Nor is a name that leads nowhere asked for again and again.
    for _ in 0..5 {
        assert_eq!(look(&resolver, "unknown.test", Some(5060), None).await.0, "");
    }
    assert_eq!((server.asked("unknown.test", A), server.asked("unknown.test", AAAA)), (1, 1));
}

#[tokio::test]
async fn servers_of_one_weight_share_the_processes_and_each_keeps_its_own() {
    let zone = Zone::default()
        .srv("_sip._udp.carrier.test", 300, (10, 5, 5060), "a.carrier.test")
        .srv("_sip._udp.carrier.test", 300, (10, 5, 5060), "b.carrier.test")
        .a("a.carrier.test", 40, [127, 0, 0, 7])
        .a("b.carrier.test", 40, [127, 0, 0, 8]);
    let server = Server::start(zone);
    let here = vec!["127.0.0.1:5060".parse().unwrap()];
    let mut found = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let process = || Resolver {
            udp: here.clone(),
            tcp: here.clone(),
            tls: Vec::new(),
            names: Names::new(vec![server.address], Rng::from_seed(seed)),
        };
        let (first, again) = (process(), process());
        let order = look(&first, "carrier.test", None, Some(Transport::Udp)).await;
        assert_eq!(look(&again, "carrier.test", None, Some(Transport::Udp)).await, order);
        found.insert(order.0);
    }
    assert_eq!(found.len(), 2, "{found:?}");
}

#[tokio::test]
async fn a_name_server_that_is_not_there_is_as_one_that_knows_nothing() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let here = vec!["127.0.0.1:5060".parse().unwrap()];
    let resolver = Resolver {
        udp: here.clone(),
        tcp: here,
        tls: Vec::new(),
        names: Names::new(vec![closed], Rng::from_seed(3)),
    };
    assert_eq!(look(&resolver, "carrier.test", Some(5060), None).await, (String::new(), 30));
}

#[test]
fn a_daemon_registers_where_srv_leads() {
    let carrier = UdpSocket::bind("127.0.0.2:0").unwrap();
    carrier.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = carrier.local_addr().unwrap().port();
    let zone = Zone::default()
        .naptr("carrier.test", 600, 100, "SIP+D2U", "_sip._udp.carrier.test")
        .srv("_sip._udp.carrier.test", 300, (10, 0, 5060), "gone.carrier.test")
        .srv("_sip._udp.carrier.test", 300, (20, 0, port), "alive.carrier.test")
        .a("alive.carrier.test", 40, [127, 0, 0, 2]);
    let server = Server::start(zone);
    let site = Site::new();
    let config = site.folder().join("config");
    let text = fs::read_to_string(config.join("server.toml")).unwrap();
    fs::write(config.join("server.toml"), format!("{text}[dns]\nservers = [\"{}\"]\n", server.address))
        .unwrap();
    let trunk = "[trunks.linje]\nserver = \"carrier.test\"\ntransport = \"auto\"\nuser = \"u\"\npassword = \"p-hemmelig\"\nhealth = false\n";
    fs::write(config.join("trunks.toml"), trunk).unwrap();
    let daemon = site.start();
    let mut buffer = [0; 2_000];
    let (length, from) = carrier.recv_from(&mut buffer).unwrap();
    assert_eq!(from, site.sip);
    let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(message.starts_with("REGISTER sip:carrier.test SIP/2.0\r\n"), "{message}");
    daemon.end();
}
