//! Attacks on a real daemon, bounded, on the loopback interface: ten calls stay up, a known phone is answered, and
//! memory does not grow with what attackers send. The figures are printed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real sockets and processes are the point"
)]

mod daemon;
#[path = "daemon/line.rs"]
mod line;

use std::fs;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use sentral::sip::Method;
use sentral::sip::digest;
use sentral::sip::message::Message;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::daemon::Site;
use crate::daemon::wait_until;
use crate::line::Line;
use crate::line::header;
use crate::line::register;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls that are up all the time.
const CALLS: usize = 10;
/// Guesses of one address.
const GUESSES: usize = 20_000;
/// Requests without credentials.
const FLOOD: usize = 20_000;
/// Datagrams that are not SIP.
const GARBAGE: usize = 5_000;
/// Connections held open.
const CONNECTIONS: usize = 2_000;

#[test]
fn ten_calls_and_a_known_phone_live_through_guesses_floods_garbage_and_connections() {
    let site = Site::new();
    let daemon = site.start();
    let phone = |port: &str| {
        let line = Line::new([127, 0, 0, 1], site.sip);
        let began = Instant::now();
        register(&line, "anna", line.address);
        println!("{port}: the known phone is registered after {:?}", began.elapsed());
    };
    phone("before");
    let callers = Line::new([127, 0, 0, 2], site.sip);
    let calls: Vec<(String, String)> = (0..CALLS).map(|at| begin(&callers, &format!("up{at}"))).collect();
    let before = resident_kb(daemon.process.id());

    let answered = guesses(&site);
    println!("{GUESSES} wrong passwords: {answered} answered");
    // The first asks for the nonce; ten guesses are answered, perhaps before they were all sent.
    assert!(answered <= 11, "{answered} answers");
    phone("under guesses");

    let began = Instant::now();
    let answered = flood(&site);
    println!("{FLOOD} requests without credentials in {:?}: {answered} answered", began.elapsed());
    assert!(answered < FLOOD / 4, "{answered} answers");
    phone("under a flood");

    let garbage = Line::new([127, 0, 0, 10], site.sip);
    for at in 0..GARBAGE {
        garbage.send(&format!("\u{0}\u{1}garbage {at} SIP/2.0\nVia: x\n\n"));
    }
    let scanner = Line::new([127, 0, 0, 11], site.sip);
    scanner.send(&options("friendly-scanner"));
    assert_eq!(scanner.receive(Duration::from_millis(300)), None, "a scanner is not answered");
    phone("under garbage");

    let connections = connect(site.sip);
    println!("{} connections held", connections.len());
    // An address that guesses is not connected to either.
    phone("under connections");
    drop(connections);

    let after = resident_kb(daemon.process.id());
    println!("resident: {before} kB before, {after} kB after");
    assert!(after < before + 60_000, "memory has grown from {before} to {after} kB");
    let status = site.ask(&["status"]).expect("the daemon answers");
    assert_eq!(status["calls"], CALLS, "a call was lost");
    println!("shut out: {}", status["shut_out"]);
    let lost = calls.iter().filter(|(name, to)| !end(&callers, name, to)).count();
    println!("calls lost: {lost} of {CALLS}");
    assert_eq!(lost, 0);
    daemon.end();
}

/// Guesses the password of a device; tells how often an answer came.
fn guesses(site: &Site) -> usize {
    let attacker = Line::new([127, 0, 0, 9], site.sip);
    let request = |at: usize, extra: &str| {
        format!(
            "REGISTER sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-g{at}\nMax-Forwards: 70\n\
             From: <sip:anna@127.0.0.1>;tag=g{at}\nTo: <sip:anna@127.0.0.1>\nCall-ID: guess-{at}\n\
             CSeq: 1 REGISTER\nContact: <sip:anna@{own}>\n{extra}Content-Length: 0\n\n",
            own = attacker.address
        )
    };
    attacker.send(&request(0, ""));
    let challenged = attacker.receive(PATIENCE).expect("a challenge");
    let Ok(Message::Response(response)) = Message::parse(Bytes::from(challenged), 65_535) else {
        panic!("no response")
    };
    let challenge = digest::strongest(&response).expect("a challenge that can be met");
    let mut answered = 1;
    for at in 1..=GUESSES {
        let guess = digest::answer(
            &challenge,
            "anna",
            &format!("guess{at}"),
            &Method::Register,
            "sip:127.0.0.1",
            at as u32,
            "c",
        );
        attacker.send(&request(at, &format!("Authorization: {guess}\n")));
        if at % 100 == 0 {
            answered += drain(&attacker);
        }
    }
    answered + drain(&attacker)
}

/// Sends requests as fast as they are taken; tells how often an answer came.
fn flood(site: &Site) -> usize {
    let attacker = Line::new([127, 0, 0, 12], site.sip);
    let mut answered = 0;
    for at in 0..FLOOD {
        attacker.send(&format!(
            "INVITE sip:101@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-f{at}\nMax-Forwards: 70\n\
             From: <sip:{at}@127.0.0.1>;tag=f{at}\nTo: <sip:101@127.0.0.1>\nCall-ID: flood-{at}\nCSeq: 1 INVITE\n\
             Contact: <sip:x@{own}>\nContent-Length: 0\n\n",
            own = attacker.address
        ));
        if at % 100 == 0 {
            answered += drain(&attacker);
        }
    }
    answered + drain(&attacker)
}

/// Takes what has come; tells how many requests it answers: 100 and repeats are not counted.
fn drain(line: &Line) -> usize {
    let mut answered = 0;
    while let Some(answer) = line.receive(Duration::from_millis(1)) {
        answered += usize::from(!answer.starts_with("SIP/2.0 100 "));
    }
    answered
}

/// Opens connections from an address of its own, as many as the system lets it.
fn connect(to: SocketAddr) -> Vec<TcpStream> {
    let one = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 13], 0)).into()).ok()?;
        socket.connect_timeout(&to.into(), Duration::from_secs(2)).ok()?;
        Some(TcpStream::from(socket))
    };
    (0..CONNECTIONS).map_while(|_| one()).collect()
}

fn options(agent: &str) -> String {
    format!(
        "OPTIONS sip:100@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.11:5060;rport;branch=z9hG4bK-o\n\
         Max-Forwards: 70\nFrom: <sip:100@127.0.0.1>;tag=o\nTo: <sip:100@127.0.0.1>\nCall-ID: o\nCSeq: 1 OPTIONS\n\
         User-Agent: {agent}\nContent-Length: 0\n\n"
    )
}

/// A call of the carrier to a recording of a minute; tells its name and the To of its answer.
fn begin(line: &Line, name: &str) -> (String, String) {
    line.send(&request(line, "INVITE", name, 1, "<sip:+4736000130@127.0.0.1>"));
    let to = wait_until("the call is answered", PATIENCE, || {
        let answer = line.receive(Duration::from_millis(100))?;
        answer.starts_with("SIP/2.0 200 ").then(|| header(&answer, "To").to_owned())
    });
    line.send(&request(line, "ACK", name, 1, &to));
    (name.to_owned(), to)
}

/// Hangs up; tells whether the call was still known.
fn end(line: &Line, name: &str, to: &str) -> bool {
    line.send(&request(line, "BYE", name, 2, to));
    wait_until("the BYE is answered", PATIENCE, || {
        let answer = line.receive(Duration::from_millis(100))?;
        let of_it =
            header(&answer, "Call-ID") == format!("call-{name}") && header(&answer, "CSeq") == "2 BYE";
        of_it.then(|| answer.starts_with("SIP/2.0 200 "))
    })
}

fn request(line: &Line, method: &str, name: &str, cseq: u32, to: &str) -> String {
    let own = line.address;
    let sdp = format!("v=0\no=- 1 1 IN IP4 {0}\ns=-\nc=IN IP4 {0}\nt=0 0\nm=audio 9 RTP/AVP 8\n", own.ip());
    let (kind, body) = match method {
        "INVITE" => ("Content-Type: application/sdp\n", sdp),
        _ => ("", String::new()),
    };
    // Lines end with two bytes on the way.
    let length = body.len() + body.lines().count();
    format!(
        "{method} sip:+4736000130@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{name}-{method}\n\
         Max-Forwards: 70\nFrom: <sip:+4790000001@{0}>;tag={name}\nTo: {to}\nCall-ID: call-{name}\n\
         CSeq: {cseq} {method}\nContact: <sip:carrier@{own}>\n{kind}Content-Length: {length}\n\n{body}",
        own.ip(),
    )
}

/// Memory that a process has in use.
fn resident_kb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
