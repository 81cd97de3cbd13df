//! Attacks on a real daemon, bounded, on the loopback interface: ten calls stay up, a known phone registers and calls
//! after each, and memory does not grow with what attackers send. The figures are printed.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::siege::Party;
use crate::daemon::siege::Siege;
use crate::daemon::siege::TONE;
use crate::daemon::siege::Tally;
use crate::daemon::siege::authorization;
use crate::daemon::siege::drain;
use crate::daemon::siege::request;
use crate::daemon::siege::transact;
use crate::daemon::siege::uri;
use crate::daemon::wait_until;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls that are up all the time.
const CALLS: usize = 10;
/// Guesses of one address.
const GUESSES: u32 = 20_000;
/// Requests without credentials.
const FLOOD: u32 = 20_000;
/// Datagrams that are not SIP.
const GARBAGE: usize = 5_000;
/// Connections opened.
const CONNECTIONS: usize = 2_000;
/// Connections that one address may have.
const CONNECTIONS_PER_ADDRESS: usize = 200;
/// How long more calls come than are carried.
const OVERLOAD_FOR: Duration = Duration::from_secs(5);
/// Calls begun in each second of it.
const OVERLOAD_PER_SECOND: f64 = 4_000.0;
/// What an attack may leave behind, in kB: tables and buffers that have grown to their size.
const LEFT_KB: u64 = 20_000;
/// What thousands of calls that were served leave behind for half a minute: transactions, dialogs and records.
const SERVED_KB: u64 = 100_000;

#[test]
fn ten_calls_and_a_known_phone_live_through_guesses_floods_and_scanners() {
    let site = Site::new();
    let siege = Siege::begin(&site, CALLS);
    siege.attack("wrong passwords", LEFT_KB, guesses);
    siege.attack("requests without credentials", LEFT_KB, flood);
    siege.attack("scanners", LEFT_KB, scan);
    let status = site.ask(&["status"]).expect("the daemon answers");
    assert_eq!(status["shut_out"], 3, "{status}");
    siege.end();
}

#[test]
fn ten_calls_and_a_known_phone_live_through_garbage_giants_and_connections() {
    let site = Site::new();
    let siege = Siege::begin(&site, CALLS);
    siege.attack("garbage", LEFT_KB, garbage);
    siege.attack("giants", LEFT_KB, giants);
    // A connection costs its task and what has come of its message.
    siege.attack("connections", 2 * LEFT_KB, connections);
    siege.end();
}

#[test]
fn ten_calls_and_a_known_phone_live_through_spoofed_requests_and_replayed_proofs() {
    let site = Site::new();
    let siege = Siege::begin(&site, CALLS);
    siege.attack("spoofed BYE and CANCEL", LEFT_KB, spoof);
    siege.attack("replayed proofs", LEFT_KB, replay);
    siege.end();
}

#[test]
fn under_too_many_calls_those_that_are_up_and_an_emergency_call_are_carried() {
    let site = Site::new();
    let outside = Line::new([127, 0, 0, 2], site.sip);
    let trunks = format!(
        "[trunks.linje]\nname = \"Linje\"\nserver = \"{}\"\ntrusted = [\"127.0.0.2\"]\nhealth = false\n",
        outside.address
    );
    fs::write(site.folder().join("config/trunks.toml"), trunks).expect("room on the disk");
    let siege = Siege::begin(&site, CALLS);
    thread::spawn(move || answer_all(&outside));
    siege.attack("too many calls", SERVED_KB, overload);
    siege.end();
}

/// Guesses a password; when the address is shut out its connection is closed, and no other is let in.
fn guesses(siege: &Siege<'_>) -> Tally {
    let from = [127, 0, 0, 9];
    let mut connection = connect(from, siege.site.sip).expect("it is let in");
    let attacker = Line::new(from, siege.site.sip);
    let to = "<sip:anna@127.0.0.1>";
    let guess =
        |at: u32, extra: &str| request(&attacker, "REGISTER", "127.0.0.1", "guess", at, to, extra, "");
    let challenged = transact(&attacker, &guess(0, ""));
    let mut answered = 1;
    for at in 1..=GUESSES {
        let password = format!("guess{at}");
        let proof = authorization(&challenged, &password, "REGISTER", "sip:127.0.0.1", at);
        attacker.send(&guess(at, &proof));
        if at % 100 == 0 {
            answered += drain(&attacker);
        }
    }
    answered += drain(&attacker);
    // The first asks for the nonce; ten guesses are answered.
    assert!(answered <= 11, "{answered} answers");
    assert!(is_closed(&mut connection, PATIENCE), "the connection of who is shut out");
    if let Some(mut other) = connect(from, siege.site.sip) {
        assert!(is_closed(&mut other, PATIENCE), "a connection of who is shut out");
    }
    Tally { sent: GUESSES as usize + 1, answered }
}

/// Sends requests in the name of a real user, as fast as they are taken.
fn flood(siege: &Siege<'_>) -> Tally {
    let attacker = Line::new([127, 0, 0, 12], siege.site.sip);
    let mut answered = 0;
    for at in 0..FLOOD {
        let method = if at % 2 == 0 { "INVITE" } else { "OPTIONS" };
        let name = format!("flood{at}");
        attacker.send(&request(&attacker, method, "101@127.0.0.1", &name, 1, &uri("101"), "", ""));
        if at % 100 == 0 {
            answered += drain(&attacker);
        }
    }
    answered += drain(&attacker);
    assert!(answered < FLOOD as usize / 4, "{answered} answers");
    Tally { sent: FLOOD as usize, answered }
}

fn scan(siege: &Siege<'_>) -> Tally {
    let attacker = Line::new([127, 0, 0, 11], siege.site.sip);
    let agents = ["friendly-scanner", "sipcli/v1.8", "Mozilla"];
    for at in 0..3_000 {
        let (name, agent) = (format!("scan{at}"), format!("User-Agent: {}\n", agents[at % 3]));
        let whom = format!("{}@127.0.0.1", 100 + at);
        attacker.send(&request(&attacker, "OPTIONS", &whom, &name, 1, &uri("100"), &agent, ""));
    }
    let answered = drain(&attacker);
    assert_eq!(answered, 0, "a scanner is not answered");
    Tally { sent: 3_000, answered }
}

/// Octets by chance, beginnings of SIP, STUN and blank lines.
fn garbage(siege: &Siege<'_>) -> Tally {
    let attacker = socket([127, 0, 0, 10]);
    let mut chance = 0x2545_F491_4F6C_DD1D_u64;
    let mut answered = 0;
    for at in 0..GARBAGE {
        let head: &[u8] = match at % 6 {
            0 => b"",
            // This could be answered.
            5 => b"OPTIONS sip:101@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.10;rport;branch=z9hG4bK-x\r\n\
                From: <sip:anna@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: 1\r\nCSeq: x OPTIONS\r\n\r\n",
            1 => b"INVITE sip:101@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP ",
            2 => b"SIP/2.0 200 OK\r\nVia: ",
            3 => b"\x00\x01\x00\x08\x21\x12\xa4\x42",
            _ => b"\r\n\r\n",
        };
        let mut datagram = head.to_vec();
        for _ in 0..at % 150 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            datagram.extend(chance.to_be_bytes());
        }
        attacker.send_to(&datagram, siege.site.sip).expect("loopback takes it");
        if at % 100 == 0 {
            answered += received(&attacker);
        }
    }
    answered += received(&attacker);
    Tally { sent: GARBAGE, answered }
}

/// The largest datagrams there are, and streams whose messages never end or are too long.
fn giants(siege: &Siege<'_>) -> Tally {
    let attacker = socket([127, 0, 0, 14]);
    let head = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.14:9;branch=z9hG4bK-g\r\nX: ";
    for _ in 0..200 {
        let datagram = format!("{head}{}\r\n\r\n", "x".repeat(65_000));
        attacker.send_to(datagram.as_bytes(), siege.site.sip).expect("loopback takes it");
    }
    let chunk = "x".repeat(65_536);
    let ends = [
        format!("{head}{chunk}{chunk}"),
        "OPTIONS sip:x SIP/2.0\r\nContent-Length: 1000000000\r\n\r\n".to_owned(),
        format!("OPTIONS sip:x SIP/2.0\r\n{}", "X: y\r\n".repeat(30_000)),
    ];
    for at in 0..60 {
        let mut stream = connect([127, 0, 0, 14], siege.site.sip).expect("it is let in");
        // It may be closed before all is written.
        let _ = stream.write_all(ends[at % 3].as_bytes());
        assert!(is_closed(&mut stream, PATIENCE), "a stream whose message is too long: {}", at % 3);
    }
    Tally { sent: 260, answered: received(&attacker) }
}

/// Connections that say nothing, those that never finish, and those that break off; so many at once as may be.
fn connections(siege: &Siege<'_>) -> Tally {
    let mut held = Vec::new();
    for at in 0..CONNECTIONS {
        let Some(mut stream) = connect([127, 0, 0, 13], siege.site.sip) else { continue };
        match at % 3 {
            0 => {}
            // Who is refused may hear of it already.
            1 => drop(stream.write_all(b"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP x")),
            _ => {
                let socket = Socket::from(stream);
                socket.set_linger(Some(Duration::ZERO)).expect("a connection");
                stream = socket.into();
            }
        }
        held.push(stream);
        if held.len() % 3 == 0 && at > CONNECTIONS / 2 {
            // Broken off by a reset.
            held.pop();
        }
    }
    let open = held.iter_mut().map(|stream| usize::from(!is_closed(stream, Duration::from_millis(1)))).sum();
    assert!((1..=CONNECTIONS_PER_ADDRESS).contains(&open), "{open} connections");
    // Others are let in meanwhile.
    let mut other = connect([127, 0, 0, 1], siege.site.sip).expect("it is let in");
    let own = other.local_addr().expect("it is connected");
    let text = format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/TCP {own};branch=z9hG4bK-t\nMax-Forwards: 70\n\
         From: <sip:anna@127.0.0.1>;tag=t\nTo: <sip:127.0.0.1>\nCall-ID: t\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
    );
    other.write_all(text.replace('\n', "\r\n").as_bytes()).expect("it is connected");
    other.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut answer = [0; 12];
    other.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"SIP/2.0 200 ");
    // Attackers keep theirs until they are given up.
    held.clear();
    Tally { sent: CONNECTIONS, answered: open }
}

/// Would end the calls that are up: with guessed tags, and with the right ones from elsewhere; and one that rings.
fn spoof(siege: &Siege<'_>) -> Tally {
    let ringing = format!("ringing{}", siege.calls.len());
    let sdp = "v=0\no=- 1 1 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\nm=audio 9 RTP/AVP 8\n";
    let invite =
        request(&siege.carrier, "INVITE", "+4736000101@127.0.0.1", &ringing, 1, &uri("+4736000101"), "", sdp);
    siege.carrier.send(&invite);
    let ring = wait_until("the phone is called", PATIENCE, || {
        let request = siege.phone.receive(Duration::from_millis(100))?;
        request.starts_with("INVITE ").then_some(request)
    });
    let reply = |status: &str, request: &str| {
        let kept =
            ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\n", header(request, name)));
        let to = header(request, "To");
        let tag = if to.contains("tag=") { "" } else { ";tag=ring" };
        siege.phone.send(&format!("SIP/2.0 {status}\n{}To: {to}{tag}\nContent-Length: 0\n\n", kept.concat()));
    };
    reply("180 Ringing", &ring);

    let (mut sent, mut answered) = (0, 0);
    for address in 0..20_u8 {
        let attacker = Line::new([127, 0, 1, 1 + address], siege.site.sip);
        for at in 0..100_u32 {
            let (_, up) = &siege.calls[at as usize % siege.calls.len()];
            let method = ["BYE", "CANCEL", "INVITE", "BYE"][at as usize % 4];
            // Half of the addresses know all that is to know.
            let to = if address % 2 == 0 { up.to.clone() } else { format!("{};tag={at}", uri(TONE)) };
            let whom = format!("{TONE}@127.0.0.1");
            attacker.send(&request(&attacker, method, &whom, &up.name, 500 + at, &to, "", ""));
            sent += 1;
        }
        // The very branch that it would end.
        let via = format!("Via: SIP/2.0/UDP {};", attacker.address);
        let cancel = request(
            &siege.carrier,
            "CANCEL",
            "+4736000101@127.0.0.1",
            &ringing,
            1,
            &uri("+4736000101"),
            "",
            "",
        );
        let cancel = cancel.replace("-1-CANCEL", "-1-INVITE");
        attacker.send(&cancel);
        attacker.send(&cancel.replace(&format!("Via: SIP/2.0/UDP {};", siege.carrier.address), &via));
        sent += 2;
        while let Some(answer) = attacker.receive(Duration::from_millis(20)) {
            answered += 1;
            let refused =
                ["401 ", "481 ", "100 "].iter().any(|status| answer["SIP/2.0 ".len()..].starts_with(status));
            assert!(refused, "{answer}");
        }
    }
    // It still rings: its own CANCEL ends it.
    let status = siege.site.ask(&["status"]).expect("the daemon answers");
    assert_eq!(status["calls"], siege.calls.len() + 1, "{status}");
    let cancel =
        request(&siege.carrier, "CANCEL", "+4736000101@127.0.0.1", &ringing, 1, &uri("+4736000101"), "", "");
    siege.carrier.send(&cancel.replace("-1-CANCEL", "-1-INVITE"));
    wait_until("the phone's ringing is cancelled", PATIENCE, || {
        let request = siege.phone.receive(Duration::from_millis(100))?;
        request.starts_with("CANCEL ").then_some(request)
    });
    reply("487 Request Terminated", &ring);
    let ended = wait_until("the carrier hears it", PATIENCE, || {
        let answer = siege.carrier.receive(Duration::from_millis(100))?;
        answer.starts_with("SIP/2.0 487 ").then_some(answer)
    });
    let ack =
        request(&siege.carrier, "ACK", "+4736000101@127.0.0.1", &ringing, 1, header(&ended, "To"), "", "");
    siege.carrier.send(&ack.replace("-1-ACK", "-1-INVITE"));
    Tally { sent, answered }
}

/// Sends what the phone sent to prove its password, from elsewhere and from its own address.
fn replay(siege: &Siege<'_>) -> Tally {
    let seen = siege.register();
    let phone = siege.phone.address.to_string();
    // Nine from elsewhere: after ten nobody is heard there.
    let sources = [([127, 0, 0, 15], 9), ([127, 0, 0, 1], 50)];
    for (from, count) in sources {
        for at in 0..count {
            let attacker = Line::new(from, siege.site.sip);
            // The proof says nothing of where it comes from, nor of which request it was.
            let text = seen.replace(&phone, &attacker.address.to_string());
            // Two hosts may draw the same port: by that alone it would be one request that came by two ways (482).
            let text = text.replace("Call-ID: register", &format!("Call-ID: replay-{}", attacker.address));
            let answer = transact(&attacker, &text);
            assert!(answer.starts_with("SIP/2.0 401 "), "{at}: {answer}");
        }
    }
    let sent = sources.iter().map(|(_, count)| count).sum();
    Tally { sent, answered: sent }
}

/// A carrier sends more calls than are carried; meanwhile the phone dials 112.
fn overload(siege: &Siege<'_>) -> Tally {
    let busy = Line::new([127, 0, 0, 2], siege.site.sip);
    let flood = thread::spawn(move || {
        let (mut calls, began) = (Calls::default(), Instant::now());
        while began.elapsed() < OVERLOAD_FOR {
            while calls.begun < (began.elapsed().as_secs_f64() * OVERLOAD_PER_SECOND) as usize {
                calls.begin(&busy);
            }
            calls.listen(&busy, Duration::from_millis(2));
        }
        // What was lost on the way is said again.
        while !calls.ending.is_empty() || calls.listen(&busy, PATIENCE / 5) {
            calls.ending.values().for_each(|bye| busy.send(bye));
            calls.listen(&busy, Duration::from_millis(500));
        }
        calls
    });
    // Not before it is felt.
    thread::park_timeout(OVERLOAD_FOR / 2);
    let began = Instant::now();
    let emergency = siege.call(Party::Phone, "emergency", "112");
    println!("112 was answered after {:.1?}", began.elapsed());
    assert!(siege.hang_up(Party::Phone, &emergency));
    let calls = flood.join().expect("it only counts");
    println!(
        "{} calls offered in {OVERLOAD_FOR:?}: {} served, {} turned away for a while, {} refused, {} lost on the way",
        calls.begun,
        calls.served,
        calls.turned_away,
        calls.refused,
        calls.begun - calls.served - calls.turned_away - calls.refused,
    );
    assert!(calls.turned_away > 0 || calls.served == calls.begun);
    wait_until("only the calls that were up are left", PATIENCE, || {
        let status = siege.site.ask(&["status"])?;
        (status["calls"] == siege.calls.len()).then_some(())
    });
    Tally { sent: calls.begun, answered: calls.served + calls.turned_away + calls.refused }
}

/// What became of a flood of calls.
#[derive(Default)]
struct Calls {
    begun: usize,
    served: usize,
    /// 503 with Retry-After.
    turned_away: usize,
    refused: usize,
    answered: HashSet<String>,
    /// BYEs that have no answer, by call.
    ending: HashMap<String, String>,
}

impl Calls {
    fn begin(&mut self, line: &Line) {
        let name = format!("over{}", self.begun);
        let sdp = "v=0\no=- 1 1 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\nm=audio 9 RTP/AVP 8\n";
        line.send(&request(line, "INVITE", &format!("{TONE}@127.0.0.1"), &name, 1, &uri(TONE), "", sdp));
        self.begun += 1;
    }

    /// Acknowledges and hangs up what is answered as long as they come; tells whether something came.
    fn listen(&mut self, line: &Line, within: Duration) -> bool {
        let mut came = false;
        // Some at a time, lest answers hold up what is to be sent.
        for _ in 0..50 {
            let Some(answer) = line.receive(within) else { break };
            if !answer.starts_with("SIP/2.0 ") || answer.starts_with("SIP/2.0 1") {
                continue;
            }
            came = true;
            let (name, to) = (header(&answer, "Call-ID").to_owned(), header(&answer, "To"));
            if header(&answer, "CSeq") == "2 BYE" {
                self.ending.remove(&name);
                continue;
            }
            let whom = format!("{TONE}@127.0.0.1");
            let ack = request(line, "ACK", &whom, &name, 1, to, "", "");
            let accepted = answer.starts_with("SIP/2.0 200 ");
            line.send(&if accepted { ack } else { ack.replace("-1-ACK", "-1-INVITE") });
            if !self.answered.insert(name.clone()) {
                continue;
            }
            if accepted {
                self.served += 1;
                let bye = request(line, "BYE", &whom, &name, 2, to, "", "");
                line.send(&bye);
                self.ending.insert(name, bye);
            } else if answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: ") {
                self.turned_away += 1;
            } else {
                self.refused += 1;
            }
        }
        came
    }
}

/// The network outside: answers every call, and every end of one.
fn answer_all(line: &Line) {
    while let Some(request) = line.receive(4 * PATIENCE) {
        let kept =
            ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\n", header(&request, name)));
        let to = header(&request, "To");
        let tag = if to.contains("tag=") { "" } else { ";tag=outside" };
        let head = format!("SIP/2.0 200 OK\n{}To: {to}{tag}\n", kept.concat());
        if request.starts_with("INVITE ") {
            let sdp = "v=0\no=- 1 1 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\nm=audio 9 RTP/AVP 8\n";
            let length = sdp.len() + sdp.lines().count();
            line.send(&format!(
                "{head}Contact: <sip:{}>\nContent-Type: application/sdp\nContent-Length: {length}\n\n{sdp}",
                line.address
            ));
        } else if request.starts_with("BYE ") {
            line.send(&format!("{head}Content-Length: 0\n\n"));
        }
    }
}

/// A socket of an address.
fn socket(ip: [u8; 4]) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from((ip, 0))).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("not zero");
    socket
}

/// How many datagrams have come.
fn received(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
}

/// A connection from an address; none when it is refused at once.
fn connect(from: impl Into<IpAddr>, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
    socket.bind(&SocketAddr::new(from.into(), 0).into()).expect("an address of the loopback interface");
    socket.connect_timeout(&to.into(), PATIENCE).ok()?;
    Some(socket.into())
}

/// Whether the other side closes within a time.
fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).expect("not zero");
    match stream.read(&mut [0; 4096]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
