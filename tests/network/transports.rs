//! The daemon over TLS, WebSocket and streams that misbehave: who is let in, who is known by a certificate, what is
//! answered, and who is shut out.

mod authority;
mod phone;

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;

use crate::daemon::Site;
use crate::daemon::free_ports;
use crate::daemon::phone::Phone as Baresip;
use crate::daemon::wait_until;
use crate::transports::authority::Authority;
use crate::transports::phone::OnStream;
use crate::transports::phone::Phone;
use crate::transports::phone::SDP;
use crate::transports::phone::Secure;
use crate::transports::phone::Wire;
use crate::transports::phone::header;
use crate::transports::phone::is_closed;
use crate::transports::phone::tcp;
use crate::transports::phone::tls;
use crate::transports::phone::tls_accepted;
use crate::transports::phone::web;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the certificates of carriers bear.
const CARRIER: &str = "sip.carrier.example";

/// A daemon's files with listeners of every kind, and the authority that it and its clients trust.
struct Secured {
    site: Site,
    authority: Authority,
    tls: SocketAddr,
    ws: SocketAddr,
    wss: SocketAddr,
}

impl Secured {
    fn new(limits: &str) -> Secured {
        let (site, authority) = (Site::new(), Authority::new());
        let [tls, ws, wss] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(2))));
        authority.sign(&["127.0.0.1", "localhost"]).write(site.folder());
        let file = |name: &str| site.folder().join(name).display().to_string();
        fs::write(file("ca.pem"), &authority.pem).expect("room on the disk");
        let server = site.folder().join("config/server.toml");
        let listeners = format!("[sip]\ntls = \"{tls}\"\nws = \"{ws}\"\nwss = \"{wss}\"\n");
        let (certificate, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
        let text = fs::read_to_string(&server).expect("it was written").replace("[sip]\n", &listeners)
            + &format!(
                "[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nca = \"{ca}\"\nclient_ca = \"{ca}\"\n\
                 [limits]\n{limits}"
            );
        fs::write(server, text).expect("room on the disk");
        Secured { site, authority, tls, ws, wss }
    }

    /// The carrier's account, and the way to all Norwegian numbers.
    fn with_carrier(self, trunk: &str) -> Secured {
        let text = format!(
            "[trunks.sikker]\nhealth = false\ntransport = \"tls\"\ncertificate = \"{CARRIER}\"\n{trunk}\
             [routes]\nalt = {{ to = [\"+47\"], via = [\"sikker\"] }}\n"
        );
        fs::write(self.site.folder().join("config/trunks.toml"), text).expect("room on the disk");
        self
    }

    /// A party over TLS that shows a certificate with these names, or none.
    fn party(&self, name: &'static str, host: &str, names: &[&str]) -> Phone<OnStream<Secure>> {
        let identity = (!names.is_empty()).then(|| self.authority.sign(names));
        let stream = tls(self.tls, &self.authority.client(identity.as_ref())).expect("a handshake");
        Phone::new(OnStream::new(stream), "TLS", name, host)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.site.folder().join("daemon.log")).unwrap_or_default()
    }
}

#[test]
fn a_phone_registers_and_calls_over_tls() {
    let secured = Secured::new("");
    let daemon = secured.site.start();
    let mut anna = secured.party("anna", "192.0.2.7:5061", &[]);
    anna.register();
    anna.wire.put("\r\n\r\n");
    let mut pong = [0; 2];
    anna.wire.stream.read_exact(&mut pong).expect("an answer in time");
    assert_eq!(&pong, b"\r\n");
    anna.call_with_password("*77");
    let answer = anna.next();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(header(&answer, "Contact").contains(";transport=tls"), "{answer}");
    anna.acknowledge(&answer);
    anna.hang_up(&answer);
    drop(anna);
    wait_until("the registration ends with its connection", PATIENCE, || {
        (secured.site.ask(&["status"])?["bindings"] == 0).then_some(())
    });
    daemon.end();
}

#[test]
fn a_new_certificate_is_served_to_the_next_connection_and_the_old_one_lives_on() {
    let secured = Secured::new("");
    let daemon = secured.site.start();
    let trusting = secured.authority.client(None);
    let served = || {
        let stream = tls(secured.tls, &trusting).expect("a handshake");
        stream.conn.peer_certificates().expect("it has one")[0].clone()
    };
    let mut old = secured.party("anna", "192.0.2.7:5061", &[]);
    let first = served();
    // A certificate and a key that do not fit together.
    let [second, other] = [(); 2].map(|()| secured.authority.sign(&["127.0.0.1"]));
    fs::write(secured.site.folder().join("server.pem"), &other.certificate).expect("room on the disk");
    wait_until("the pair is refused", PATIENCE, || {
        secured.log().contains("certificates not taken up, the old ones stay").then_some(())
    });
    assert_eq!(served(), first);
    second.write(secured.site.folder());
    wait_until("the new certificate is served", PATIENCE, || (served() == second.der).then_some(()));
    assert!(old.options().starts_with("SIP/2.0 200 "));
    daemon.end();
}

#[test]
fn a_trunk_is_known_by_its_certificate_on_that_connection_and_by_nothing_else() {
    let secured = Secured::new("").with_carrier("server = \"127.0.0.9\"\ntrusted = [\"127.0.0.1\"]\n");
    let daemon = secured.site.start();
    let number = "+4736000130";
    let mut carrier = secured.party("carrier", "127.0.0.1:5061", &[CARRIER]);
    let answer = carrier.call(number);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let sip_uri = format!("sip:{CARRIER}");
    let mut by_uri = secured.party("uri", "127.0.0.1:5061", &[&sip_uri, "www.carrier.example"]);
    let second = by_uri.call(number);
    assert!(second.starts_with("SIP/2.0 200 "), "{second}");
    by_uri.hang_up(&second);
    // While the carrier is there, on other connections of the same machine.
    let wildcard = ["*.carrier.example"];
    // RFC 5922 §7.1: a user is no domain, and DNS names count only where no SIP URI says a domain.
    let user = ["sip:user@sip.carrier.example"];
    let other = ["sip:other.example", CARRIER];
    for (who, names) in [
        ("none", &[][..]),
        ("dns", &["other.example"]),
        ("wild", &wildcard),
        ("user", &user),
        ("mixed", &other),
    ] {
        let refused = secured.party(who, "127.0.0.1:5061", names).call(number);
        assert!(refused.starts_with("SIP/2.0 401 "), "{who}: {refused}");
    }
    let mut plain = Phone::new(OnStream::new(tcp(secured.site.sip)), "TCP", "plain", "127.0.0.1:5061");
    assert!(plain.call(number).starts_with("SIP/2.0 401 "));
    // A certificate that a stranger has signed.
    let forged = Authority::new().sign(&[CARRIER]);
    let mut stranger = tls(secured.tls, &secured.authority.client(Some(&forged)));
    assert!(stranger.as_mut().map_or(true, is_closed));
    carrier.hang_up(&answer);
    daemon.end();
}

#[test]
fn a_carrier_is_connected_to_only_when_it_proves_its_name() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let account = format!("server = \"localhost:{port}\"\nuser = \"oss\"\npassword = \"hemmelig\"\n");
    let secured = Secured::new("").with_carrier(&account);

    let daemon = secured.site.start();
    let (stream, _) = listener.accept().expect("the daemon connects");
    let own = secured.authority.sign(&[CARRIER]);
    let stream = tls_accepted(stream, &secured.authority.server(&own)).expect("a handshake");
    let mut carrier = Phone::new(OnStream::new(stream), "TLS", "carrier", &format!("127.0.0.1:{port}"));
    let register = carrier.next();
    assert!(register.starts_with("REGISTER "), "{register}");
    assert!(header(&register, "Via").contains("SIP/2.0/TLS ") && header(&register, "Via").contains(";alias"));
    carrier.answer(&register, "200 OK", "");
    // Along the same connection, it is known.
    let answer = carrier.call("+4736000130");
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    carrier.hang_up(&answer);
    daemon.end();
    drop(carrier);

    let daemon = secured.site.start();
    let (stream, _) = listener.accept().expect("the daemon connects");
    let wrong = secured.authority.sign(&["other.example", "localhost"]);
    let mut stream = tls_accepted(stream, &secured.authority.server(&wrong));
    assert!(stream.as_mut().map_or(true, is_closed), "nothing is said to who has another name");
    daemon.end();
}

#[test]
fn calls_to_a_carrier_go_along_the_connection_that_it_has_opened_and_proved() {
    let port = free_ports(2);
    let secured = Secured::new("").with_carrier(&format!("server = \"localhost:{port}\"\n"));
    let daemon = secured.site.start();
    let host = format!("127.0.0.1:{port}");
    let mut carrier = secured.party("carrier", &host, &[CARRIER]);
    assert!(carrier.options().starts_with("SIP/2.0 200 "));
    // Others claim the same address afterwards.
    let mut liars = [secured.party("none", &host, &[]), secured.party("other", &host, &[])];
    for liar in &mut liars {
        assert!(liar.options().starts_with("SIP/2.0 200 "));
    }
    let mut anna = Phone::new(OnStream::new(tcp(secured.site.sip)), "TCP", "anna", "127.0.0.1:5060");
    anna.register();
    anna.call_with_password("+4722000000");
    let invite = carrier.next();
    assert!(invite.starts_with("INVITE sip:+4722000000@"), "{invite}");
    talk_and_end(&mut anna, &mut carrier, &invite);
    daemon.end();
}

#[test]
fn phones_on_websockets_register_and_are_called() {
    let secured = Secured::new("");
    // They have no DTLS, which browsers would be offered.
    let company = secured.site.folder().join("config/companies/prove.toml");
    let text = fs::read_to_string(&company).expect("the site's own");
    let text = text.replace("-hemmelig\" }", "-hemmelig\", srtp = \"optional\" }");
    fs::write(&company, text).expect("room on the disk");
    let daemon = secured.site.start();
    let secure = tls(secured.wss, &secured.authority.client(None)).expect("a handshake");
    let bo = Phone::new(web(tcp(secured.ws), "sip").expect("WebSocket"), "WS", "bo", "x7k2.invalid");
    let dagny = Phone::new(web(secure, "sip").expect("WebSocket"), "WSS", "dagny", "q0pz.invalid");
    let mut anna = Phone::new(OnStream::new(tcp(secured.site.sip)), "TCP", "anna", "127.0.0.1:5060");
    anna.register();
    is_called(bo, &mut anna, "102", "INVITE sip:bo@x7k2.invalid;transport=ws ");
    is_called(dagny, &mut anna, "104", "INVITE sip:dagny@q0pz.invalid;transport=wss ");
    daemon.end();
}

/// A phone registers, and is called by another.
fn is_called<W: Wire, C: Wire>(mut phone: Phone<W>, caller: &mut Phone<C>, ext: &str, begins: &str) {
    phone.register();
    caller.call_with_password(ext);
    let invite = phone.next();
    assert!(invite.starts_with(begins), "{invite}");
    talk_and_end(caller, &mut phone, &invite);
}

/// The callee answers, and the caller hangs up.
fn talk_and_end<W: Wire, C: Wire>(caller: &mut Phone<C>, callee: &mut Phone<W>, invite: &str) {
    callee.answer(invite, "200 OK", SDP);
    let answer = caller.next();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    caller.acknowledge(&answer);
    let ack = callee.next();
    assert!(ack.starts_with("ACK "), "{ack}");
    caller.hang_up(&answer);
    let bye = callee.next();
    assert!(bye.starts_with("BYE "), "{bye}");
    callee.answer(&bye, "200 OK", "");
}

#[test]
fn who_wants_another_protocol_over_websocket_is_refused() {
    let secured = Secured::new("");
    let daemon = secured.site.start();
    let refused = web(tcp(secured.ws), "xmpp").expect_err("no SIP is spoken");
    assert!(refused.to_string().contains("400"), "{refused}");
    let mut plain = tcp(secured.ws);
    plain.write_all(b"OPTIONS sip:a SIP/2.0\r\n\r\n").expect("it is connected");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("an answer in time");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    daemon.end();
}

#[test]
fn keep_alives_are_answered() {
    let secured = Secured::new("");
    let daemon = secured.site.start();
    let mut stream = tcp(secured.site.sip);
    stream.write_all(b"\r\n\r\n").expect("it is connected");
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).expect("an answer in time");
    assert_eq!(&pong, b"\r\n");

    let mut socket = web(tcp(secured.ws), "sip").expect("WebSocket");
    socket.send(Message::Ping("here".into())).expect("it is connected");
    assert_eq!(socket.read().expect("an answer in time"), Message::Pong("here".into()));
    socket.put("\r\n\r\n");
    assert_eq!(socket.take(), "\r\n");

    // RFC 8489: 127.0.0.1 and our port, mixed with the magic cookie.
    let phone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    phone.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let request = *b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes";
    // Cut short, it is dropped.
    for datagram in [&request[..19], &request] {
        phone.send_to(datagram, secured.site.sip).expect("loopback takes it");
    }
    let mut answer = [0; 100];
    let length = phone.recv(&mut answer).expect("an answer in time");
    let port = phone.local_addr().expect("it is bound").port() ^ 0x2112;
    let expect = [
        &b"\x01\x01\x00\x0c\x21\x12\xa4\x42twelve bytes\x00\x20\x00\x08\x00\x01"[..],
        &port.to_be_bytes(),
        &[127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42],
    ];
    assert_eq!(answer[..length], expect.concat());
    daemon.end();
}

#[test]
fn who_is_slow_or_says_nothing_is_not_waited_for() {
    let secured = Secured::new("handshake = \"1s\"\n");
    let daemon = secured.site.start();
    let sip = secured.site.sip;
    let begin = |address: SocketAddr, octets: &str| {
        let mut stream = tcp(address);
        stream.write_all(octets.as_bytes()).expect("it is connected");
        stream
    };
    let mut idlers = [
        begin(sip, ""),
        begin(sip, "\r\n\r\n"),
        begin(sip, "OPTIONS sip:a SIP/2.0\r\nVia: "),
        begin(secured.tls, ""),
        begin(secured.wss, "\x16\x03\x01"),
        begin(secured.ws, "GET / HTTP/1.1\r\nHost: "),
    ];
    for (index, idler) in idlers.iter_mut().enumerate() {
        assert!(is_closed(idler), "{index}");
    }
    let mut silent = web(tcp(secured.ws), "sip").expect("WebSocket");
    assert!(is_closed(silent.get_mut()));
    // Too long, and of unknown length.
    let long =
        format!("OPTIONS sip:a SIP/2.0\r\nContent-Length: 70000\r\nSubject: {}\r\n\r\n", "x".repeat(100));
    for unreadable in [long.as_str(), "OPTIONS sip:a SIP/2.0\r\nSubject: x\r\n\r\n"] {
        assert!(is_closed(&mut begin(sip, unreadable)), "{unreadable}");
    }
    daemon.end();
}

#[test]
fn one_address_has_so_many_connections_and_no_more() {
    let secured = Secured::new("connections_per_address = 3\n");
    let daemon = secured.site.start();
    let party = |stream: TcpStream| Phone::new(OnStream::new(stream), "TCP", "anna", "127.0.0.1:5060");
    let mut three: Vec<_> = (0..3).map(|_| party(tcp(secured.site.sip))).collect();
    for phone in &mut three {
        assert!(phone.options().starts_with("SIP/2.0 200 "));
    }
    for address in [secured.site.sip, secured.tls, secured.ws] {
        assert!(is_closed(&mut tcp(address)));
    }
    three.pop();
    wait_until("there is room again", PATIENCE, || {
        let mut stream = tcp(secured.site.sip);
        stream.write_all(b"\r\n\r\n").ok()?;
        stream.read_exact(&mut [0; 2]).ok()
    });
    assert!(three[0].options().starts_with("SIP/2.0 200 "));
    daemon.end();
}

#[test]
fn a_silent_connection_is_closed_unless_somebody_is_registered_over_it() {
    let secured = Secured::new("idle = \"1s\"\n");
    let daemon = secured.site.start();
    let party = |name| Phone::new(OnStream::new(tcp(secured.site.sip)), "TCP", name, "127.0.0.1:5060");
    let (mut anna, mut stranger) = (party("anna"), party("stranger"));
    anna.register();
    assert!(stranger.options().starts_with("SIP/2.0 200 "));
    assert!(is_closed(&mut stranger.wire.stream));
    assert!(anna.options().starts_with("SIP/2.0 200 "));
    assert_eq!(secured.site.ask(&["status"]).expect("an answer")["bindings"], 1);
    daemon.end();
}

#[test]
fn a_real_phone_calls_over_tls() {
    let secured = Secured::new("");
    let daemon = secured.site.start();
    let tls = ("tls", secured.tls);
    let mut phone = Baresip::over(&secured.site, tls, "anna", 440, "");
    let status = || secured.site.ask(&["status"]);
    wait_until("the phone is registered", PATIENCE, || (status()?["bindings"] == 1).then_some(()));
    phone.order("dial", &format!("sip:*77@{};transport=tls", secured.tls));
    wait_until("the call is up", PATIENCE, || (status()?["calls"] == 1).then_some(()));
    phone.order("hangup", "");
    wait_until("the call is over", PATIENCE, || {
        let calls = secured.site.ask(&["cdr"])?;
        (calls[0]["result"] == "answered").then_some(())
    });
    drop(phone);
    daemon.end();
}
