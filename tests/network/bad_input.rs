//! Strangers and their mistakes, over the network: every message of RFC 4475 and RFC 5118 to a running daemon, over UDP
//! and TCP, and each refusal with the header that it must bear. Afterwards the daemon serves as if nothing had been.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sentral::sip::Message;
use sentral::sip::Method;
use sentral::sip::digest;
use sentral::sip::header::Headers;
use sentral::sip::header::Via;
use sentral::sip::message::Name;
use sentral::sip::message::ParseError;

use crate::daemon;
use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What comes of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// A final answer.
    Status(u16),
    /// Nothing, and what follows is read.
    Silence,
    /// The connection is closed.
    Closed,
    /// More octets are waited for.
    Unfinished,
}

use Outcome::Closed;
use Outcome::Silence;
use Outcome::Status;
use Outcome::Unfinished;

/// RFC 4475: name, over UDP, over TCP, and why. A stranger who calls or registers is asked for a password.
const TORTURE: &[(&str, Outcome, Outcome, &str)] = &[
    ("wsinv", Status(481), Status(481), "a sound INVITE, however it is folded, in no dialog of ours"),
    ("intmeth", Status(501), Status(501), "a sound request of a method that nobody knows"),
    ("esc01", Status(401), Status(401), "a sound INVITE"),
    ("escnull", Status(401), Status(401), "a sound REGISTER"),
    ("esc02", Status(501), Status(501), "an escape in a method is none, so nobody knows it"),
    ("lwsdisp", Status(200), Status(200), "a sound OPTIONS"),
    ("longreq", Status(401), Status(401), "a sound INVITE, and long"),
    (
        "dblreq",
        Status(401),
        Status(401),
        "a sound REGISTER, which is answered; on a stream an INVITE follows, whose end is missing",
    ),
    ("semiuri", Status(200), Status(200), "a sound OPTIONS"),
    ("transports", Status(200), Status(200), "a sound OPTIONS whose Vias name transports unheard of"),
    ("mpart01", Status(401), Status(401), "a sound MESSAGE of nobody we know"),
    ("unreason", Silence, Silence, "a response to nothing that we asked"),
    ("noreason", Silence, Silence, "a response to nothing that we asked"),
    ("badinv01", Status(400), Status(400), "separators too many in Via and Contact"),
    ("clerr", Status(400), Unfinished, "a stream may yet bring what Content-Length promises"),
    ("ncl", Status(400), Closed, "a negative Content-Length tells nobody where the message ends"),
    ("scalar02", Status(400), Status(400), "numbers too large"),
    ("scalarlg", Silence, Silence, "a malformed response"),
    ("quotbal", Status(400), Status(400), "a quotation mark without its like"),
    ("ltgtruri", Status(400), Status(400), "brackets around the Request-URI"),
    ("lwsruri", Status(400), Status(400), "a blank in the Request-URI"),
    ("lwsstart", Status(400), Status(400), "blanks too many in the request line"),
    ("trws", Status(400), Status(400), "blanks after the request line"),
    ("escruri", Status(400), Status(400), "headers in the Request-URI"),
    ("baddate", Status(401), Status(401), "nobody reads Date"),
    ("regbadct", Status(400), Status(400), "a Contact with headers but no brackets"),
    ("badaspec", Status(200), Status(200), "blanks inside of brackets harm nobody"),
    ("baddn", Status(400), Unfinished, "no empty line ends the headers; a stream may yet bring it"),
    ("badvers", Status(505), Status(505), "SIP/7.0"),
    ("mismatch01", Status(400), Status(400), "CSeq names another method"),
    ("mismatch02", Status(501), Status(501), "that nobody knows the method says more"),
    ("bigcode", Silence, Silence, "a response with no status"),
    ("badbranch", Status(400), Status(400), "a branch that names nothing"),
    ("insuf", Status(400), Status(400), "neither Call-ID nor From nor To"),
    ("unkscm", Status(416), Status(416), "a scheme that nobody knows"),
    ("novelsc", Status(416), Status(416), "a scheme that is not ours"),
    ("unksm2", Status(400), Status(400), "a Contact that cannot be bound"),
    ("bext01", Status(420), Status(420), "extensions that we do not have"),
    ("invut", Status(401), Status(401), "whose body it is comes before what it is"),
    ("regaut01", Status(401), Status(401), "credentials of a kind that we did not ask for"),
    ("multi01", Status(400), Status(400), "two of what there may be only one of"),
    ("mcl01", Status(400), Closed, "two lengths tell nobody where the message ends"),
    ("bcast", Silence, Silence, "a response that was meant for somebody else"),
    ("zeromf", Status(200), Status(200), "OPTIONS ends here in any case"),
    ("cparam01", Status(401), Status(401), "a sound REGISTER"),
    ("cparam02", Status(401), Status(401), "a sound REGISTER"),
    ("regescrt", Status(401), Status(401), "a sound REGISTER"),
    ("sdp01", Status(401), Status(401), "a sound INVITE"),
    ("inv2543", Status(401), Closed, "an old INVITE, sound in a datagram; a stream needs Content-Length"),
];

/// RFC 5118, likewise.
const TORTURE_V6: &[(&str, Outcome, Outcome, &str)] = &[
    ("ipv6-good", Status(401), Status(401), "a sound REGISTER"),
    ("ipv6-bad", Status(400), Status(400), "no brackets in the Request-URI"),
    ("port-ambiguous", Status(401), Status(401), "sound, if not what was meant"),
    ("port-unambiguous", Status(401), Status(401), "a sound REGISTER"),
    ("via-received-param-with-delim", Status(481), Status(481), "a sound BYE in no dialog of ours"),
    ("via-received-param-no-delim", Status(200), Status(200), "a sound OPTIONS"),
    ("ipv6-in-sdp", Status(400), Unfinished, "the archived body is shorter than Content-Length says"),
    ("mult-ip-in-header", Status(481), Status(481), "a sound BYE in no dialog of ours"),
    ("mult-ip-in-sdp", Status(401), Status(401), "a sound INVITE"),
    ("ipv4-mapped-ipv6", Status(401), Status(401), "a sound INVITE"),
    ("ipv6-bug-abnf-3-colons", Status(200), Status(200), "a colon too many is forgiven"),
    ("ipv6-correct-abnf-2-colons", Status(200), Status(200), "a sound OPTIONS"),
];

#[test]
fn every_message_of_rfc_4475_is_answered_over_udp_as_it_deserves() {
    let mut wrong = Vec::new();
    let mut left: Vec<_> = TORTURE.iter().collect();
    while !left.is_empty() {
        let site = Site::new();
        let daemon = site.start();
        let (mut seen, mut again) = (BTreeSet::new(), Vec::new());
        for (at, row) in left.into_iter().enumerate() {
            let (name, expect, _, why) = row;
            let message = read("torture", name);
            // What bears the branch of one before is its repeat to a daemon that has seen that: the next one gets it.
            let branch = top_via(&message).and_then(|via| via.branch().map(str::to_owned));
            if branch.is_some_and(|branch| !seen.insert(branch)) {
                again.push(row);
                continue;
            }
            let own = IpAddr::from([127, 0, 1, 1 + u8::try_from(at).expect("less than 255 messages")]);
            let got = over_udp(own, site.sip, &message);
            if got != *expect {
                wrong.push(format!("{name}: expected {expect:?} ({why}), got {got:?}"));
            }
        }
        still_serves(&site);
        daemon.end();
        left = again;
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_message_of_rfc_4475_is_answered_over_tcp_as_it_deserves() {
    let site = Site::new();
    let daemon = site.start();
    let mut wrong = Vec::new();
    for (name, _, expect, why) in TORTURE {
        let got = over_tcp(site.sip, &read("torture", name), *expect);
        if got != *expect {
            wrong.push(format!("{name}: expected {expect:?} ({why}), got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    still_serves(&site);
    daemon.end();
}

#[test]
fn every_message_of_rfc_5118_is_answered_over_udp_as_it_deserves() {
    let (site, target) = site_v6();
    let daemon = site.start();
    let mut wrong = Vec::new();
    // Some bear the branch of one before: to the daemon they are its repeats, and get its answer.
    for (name, expect, _, why) in TORTURE_V6 {
        let archived = read("torture-ipv6", name);
        let got = over_udp(target.ip(), target, &mended(archived.clone()));
        if got != *expect {
            wrong.push(format!("{name}: expected {expect:?} ({why}), got {got:?}"));
        }
        if over_udp(target.ip(), target, &archived) != Silence {
            wrong.push(format!("{name}: with bare line feeds it is no message"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    still_serves(&site);
    daemon.end();
}

#[test]
fn every_message_of_rfc_5118_is_answered_over_tcp_as_it_deserves() {
    let (site, target) = site_v6();
    let daemon = site.start();
    let mut wrong = Vec::new();
    for (name, _, expect, why) in TORTURE_V6 {
        let got = over_tcp(target, &mended(read("torture-ipv6", name)), *expect);
        if got != *expect {
            wrong.push(format!("{name}: expected {expect:?} ({why}), got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    still_serves(&site);
    daemon.end();
}

/// A request by the carrier, whom no password is asked of; `%` is a number that no other request has.
const REQUEST: &str = "INVITE sip:+4736000130@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.2:$;branch=z9hG4bK%\n\
                       Max-Forwards: 70\nFrom: <sip:+4721000000@127.0.0.2>;tag=%\nTo: <sip:+4736000130@127.0.0.1>\n\
                       Call-ID: bad-%\nCSeq: 7 INVITE\nContact: <sip:carrier@127.0.0.2:$>\nContent-Length: 0\n\n";

#[test]
fn every_refusal_says_what_was_wrong_and_what_would_be_right() {
    let (from, long) = ("From: <sip:+4721000000@127.0.0.2>;tag=%\n", format!("sip:{}@h", "1".repeat(2_050)));
    let (start, uri, end) =
        ("sip:+4736000130@127.0.0.1 SIP", "sip:+4736000130@127.0.0.1", "Content-Length: 0\n\n");
    let huge = format!("Subject: {}\nContent-Length: 0\n\n", "x".repeat(40_000));
    let allow = "Allow: INVITE, ACK,";
    // What is changed, into what, how the answer begins, and a line that it has.
    let rows: &[(&str, &str, &str, &str)] = &[
        // Headers that are missing, malformed or too many are named.
        (from, "", "400 Missing From", ""),
        ("Call-ID: bad-%\n", "", "400 Missing Call-ID", ""),
        ("To: <sip:", "To: \"<sip:", "400 Malformed To", ""),
        (from, "From: <sip:a@h>;tag=%\nf: <sip:b@h>;tag=%\n", "400 More Than One From", ""),
        ("CSeq: 7 INVITE", "CSeq: seven INVITE", "400 Malformed CSeq", ""),
        ("CSeq: 7 INVITE", "CSeq: 7 BYE", "400 CSeq Method Mismatch", ""),
        ("branch=z9hG4bK%", "branch=z9hG4bK", "400 Malformed Via Branch", ""),
        ("Max-Forwards: 70", "Max-Forwards: 256", "400 Malformed Max-Forwards", ""),
        ("Contact: <", "Contact: <<", "400 Malformed Contact", ""),
        ("Contact: <", "Contact: <sip:x@h>, <", "400 More Than One Contact", ""),
        (end, "Route: <sip:h;lr>, x\nContent-Length: 0\n\n", "400 Malformed Route", ""),
        (end, "Record-Route: x\nContent-Length: 0\n\n", "400 Malformed Record-Route", ""),
        (end, "Content-Length: x\n\n", "400 Malformed Content-Length", ""),
        (end, "Content-Length: 0\nl: 1\n\n", "400 Contradictory Content-Length", ""),
        (end, "Content-Length: 9\n\n", "400 Content-Length Exceeds Body", ""),
        (end, "Subject\nContent-Length: 0\n\n", "400 Malformed Header Line Subject", ""),
        (end, "Subject: a\rX: b\nContent-Length: 0\n\n", "400 Malformed Line End In Subject", ""),
        (end, "Content-Length: 0\n", "400 No Empty Line After Headers", ""),
        (uri, "sip:@127.0.0.1", "400 Malformed Request-URI", ""),
        (uri, "sip:1@127.0.0.1?Subject=x", "400 Headers In Request-URI", ""),
        (start, "sip:1 sip:2 SIP", "400 Malformed Request Line", ""),
        (end, "Content-Type: application/sdp\nContent-Length: 7\n\nv=0\nm=", "400", "Warning: 399 sentral"),
        // RFC 3261 §21.4.6, §8.2.1.
        // Without Event it is of no package that we know (RFC 3903 §6).
        ("INVITE", "PUBLISH", "489", "Allow-Events: presence"),
        // From a carrier, to a number that is nobody's phone.
        ("INVITE", "MESSAGE", "404", "Content-Length: 0"),
        ("INVITE", "FROBNICATE", "501", allow),
        // §21.4.12.
        (uri, &long, "414 Request-URI Too Long", ""),
        // §21.4.13.
        (end, "Content-Type: text/plain\nContent-Length: 1\n\nx", "415", "Accept: application/sdp"),
        (
            end,
            "Content-Encoding: gzip\nContent-Length: 1\n\nx",
            "415 Unsupported Content-Encoding",
            "Accept-Encoding: identity",
        ),
        // §21.4.14.
        (uri, "urn:service:sos", "416 Unsupported URI Scheme", ""),
        // §21.4.15.
        (end, "Require: 100rel\nRequire: foo\nContent-Length: 0\n\n", "420 Bad Extension", "Unsupported: "),
        // §21.4.19.
        ("INVITE", "BYE", "481", ""),
        ("127.0.0.1>\n", "127.0.0.1>;tag=x\n", "481", ""),
        // §21.4.21.
        ("Max-Forwards: 70", "Max-Forwards: 0", "483 Too Many Hops", ""),
        // RFC 6665 §4.2.1.3.
        ("INVITE", "SUBSCRIBE", "489", "Allow-Events: "),
        // §21.4.29.
        (
            end,
            "Content-Type: application/pkcs7-mime\nContent-Disposition: session;handling=required\n\
             Content-Length: 1\n\nx",
            "493 Undecipherable",
            "",
        ),
        // §21.5.6, §21.5.14.
        (start, "sip:1@h SIP/3.0\nX: SIP", "505 Version Not Supported", ""),
        (end, &huge, "513 Message Too Large", ""),
    ];
    let site = Site::new();
    let daemon = site.start();
    let mut wrong = Vec::new();
    for (at, (what, into, expect, with)) in rows.iter().enumerate() {
        let line = Line::new([127, 0, 0, 2], site.sip);
        assert!(REQUEST.contains(what), "{what}");
        // The method stands in CSeq too.
        let all = if *what == "INVITE" { usize::MAX } else { 1 };
        let got = ask(&line, &REQUEST.replacen(what, into, all), &format!("{at}"));
        let named = got.lines().any(|line| line.starts_with(with));
        if !got.starts_with(&format!("SIP/2.0 {expect}")) || !named {
            wrong.push(format!("{into:.60}: expected {expect} with {with:?}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    still_serves(&site);
    daemon.end();
}

#[test]
fn a_request_that_came_by_two_ways_is_answered_once_and_its_copy_refused() {
    let site = Site::new();
    let daemon = site.start();
    let line = Line::new([127, 0, 0, 2], site.sip);
    let options = REQUEST.replace("INVITE", "OPTIONS");
    assert!(ask(&line, &options, "1").starts_with("SIP/2.0 200 "));
    // RFC 3261 §8.2.2.2: all the same but the branch.
    let copy = ask(&line, &options.replace("z9hG4bK%", "z9hG4bKb"), "1");
    assert!(copy.starts_with("SIP/2.0 482 "), "{copy}");
    daemon.end();
}

#[test]
fn a_phone_that_sends_its_digits_one_by_one_is_told_to_go_on() {
    let site = Site::new();
    let daemon = site.start();
    let line = Line::new([127, 0, 0, 1], site.sip);
    daemon::line::register(&line, "anna", line.address);
    let dial = |dialled: &str, at: &str| {
        let invite = REQUEST
            .replace("sip:+4736000130", &format!("sip:{dialled}"))
            .replace("+4721000000@127.0.0.2", "anna@127.0.0.1")
            .replace("127.0.0.2", "127.0.0.1");
        let challenged = ask(&line, &invite, at);
        let Ok(Message::Response(response)) = Message::parse(Bytes::from(challenged), 65_535) else {
            panic!("a response")
        };
        assert_eq!(response.status, 401);
        let challenge = digest::strongest(&response).expect("a challenge that can be met");
        let uri = format!("sip:{dialled}@127.0.0.1");
        let answer = digest::answer(&challenge, "anna", "anna-hemmelig", &Method::Invite, &uri, 1, "c");
        let answered = format!("Authorization: {answer}\nContent-Length: 0\n\n");
        let invite = invite.replace("Content-Length: 0\n\n", &answered).replace("CSeq: 7", "CSeq: 8");
        ask(&line, &invite, &format!("{at}b"))
    };
    // RFC 3261 §21.4.22, §21.4.5.
    assert!(dial("10", "1").starts_with("SIP/2.0 484 "));
    assert!(dial("19", "2").starts_with("SIP/2.0 404 "));
    daemon.end();
}

/// Sends a request and tells the final answer to it; one to INVITE is acknowledged.
fn ask(line: &Line, request: &str, unique: &str) -> String {
    let request = request.replace('%', unique).replace('$', &line.address.port().to_string());
    line.send(&request);
    loop {
        let got = line.receive(PATIENCE).unwrap_or_else(|| panic!("no answer to\n{request}"));
        // Late repeats of an earlier answer are of another branch.
        let branch = request.lines().find(|line| line.starts_with("Via:")).expect("each has a Via");
        if got.starts_with("SIP/2.0 1") || header(&got, "Via") != branch.trim_start_matches("Via: ") {
            continue;
        }
        if request.starts_with("INVITE") && got.lines().any(|line| line.starts_with("To:")) {
            let uri = request.split(' ').nth(1).expect("a request line");
            let (via, to) = (header(&got, "Via"), header(&got, "To"));
            let rest: Vec<String> = ["From", "Call-ID"]
                .iter()
                .filter(|name| got.contains(&format!("\r\n{name}:")))
                .map(|name| format!("{name}: {}\n", header(&got, name)))
                .collect();
            line.send(&format!("ACK {uri} SIP/2.0\nVia: {via}\nTo: {to}\n{}CSeq: 7 ACK\n\n", rest.concat()));
        }
        return got;
    }
}

/// A daemon that listens on the loopback address of IPv6 too, where the machine has one, and where to reach it.
fn site_v6() -> (Site, SocketAddr) {
    let site = Site::new();
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        let four = site.sip;
        return (site, four);
    }
    let target = SocketAddr::from((Ipv6Addr::LOCALHOST, site.sip.port()));
    let file = site.folder().join("config/server.toml");
    let text = fs::read_to_string(&file).expect("it was written");
    let (one, both) = (format!("\"{}\"", site.sip), format!("[\"{}\", \"{target}\"]", site.sip));
    fs::write(&file, text.replace(&one, &both)).expect("room on the disk");
    (site, target)
}

/// A phone can still register.
fn still_serves(site: &Site) {
    let line = Line::new([127, 0, 0, 1], site.sip);
    daemon::line::register(&line, "anna", line.address);
}

const PROBE: &str = "torture-probe";

/// A request that is always answered with 200: what comes before its answer is of another.
fn probe(transport: &str, own: SocketAddr) -> Vec<u8> {
    static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} {own};branch=z9hG4bK-probe-{serial}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:probe@127.0.0.1>;tag=p\r\nTo: <sip:127.0.0.1>\r\n\
         Call-ID: {PROBE}-{serial}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// Sends the message from where its Via says that it comes from, as far as loopback can. Late repeats of answers to
/// other messages are passed over.
fn over_udp(own: IpAddr, daemon: SocketAddr, message: &[u8]) -> Outcome {
    let port = top_via(message).and_then(|via| via.port).unwrap_or(5060);
    let socket = UdpSocket::bind((own, port)).expect("nobody else is at this address and port");
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let own = socket.local_addr().expect("it is bound");
    for message in [message, &probe("UDP", own)] {
        socket.send_to(message, daemon).expect("loopback takes it");
    }
    let asked = facts(message);
    let mut outcome = Silence;
    let mut buffer = vec![0; 65_535];
    loop {
        let length = socket.recv(&mut buffer).expect("at least the probe is answered");
        match judge(&buffer[..length]) {
            Some(Silence) => return outcome,
            Some(answered) if asked == facts(&buffer[..length]) => outcome = answered,
            Some(_) | None => {}
        }
    }
}

/// Call-ID and CSeq, which an answer copies.
fn facts(message: &[u8]) -> Option<(String, String)> {
    let read = |headers: &Headers| {
        let value = |name| headers.get(&name).unwrap_or_default().into_owned();
        (value(Name::CallId), value(Name::CSeq))
    };
    match Message::parse(Bytes::copy_from_slice(message), 65_535) {
        Ok(message) => Some(read(message.headers())),
        Err(ParseError::Answerable { request, .. }) => Some(read(&request.headers)),
        Err(ParseError::Unreadable(_)) => None,
    }
}

/// Sends the message along a connection of its own.
fn over_tcp(daemon: SocketAddr, message: &[u8], expect: Outcome) -> Outcome {
    let mut stream = TcpStream::connect(daemon).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let own = stream.local_addr().expect("it is connected");
    stream.write_all(message).expect("it is connected");
    if expect == Unfinished {
        stream.shutdown(Shutdown::Write).expect("it is connected");
    } else if let Err(error) = stream.write_all(&probe("TCP", own)) {
        // It may be closed already.
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    }
    let mut got = Vec::new();
    loop {
        while let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let message: Vec<u8> = got.drain(..end + 4).collect();
            if let Some(outcome) = judge(&message) {
                return outcome;
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more) {
            Ok(0) if expect == Unfinished => return Unfinished,
            Ok(0) => return Closed,
            Ok(count) => got.extend_from_slice(&more[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Closed,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
}

/// The outcome that an answer means; provisional ones mean none.
fn judge(answer: &[u8]) -> Option<Outcome> {
    let message = Message::parse(Bytes::copy_from_slice(answer), 65_535).expect("the daemon writes SIP");
    let Message::Response(response) = message else { panic!("a request: {message:?}") };
    let probed = response.call_id().is_some_and(|id| id.starts_with(PROBE));
    match response.status {
        100..200 => None,
        200 if probed => Some(Silence),
        status => Some(Status(status)),
    }
}

/// Where the sender of a request wants its answer (RFC 3261 §18.2.2).
fn top_via(message: &[u8]) -> Option<Via> {
    match Message::parse(Bytes::copy_from_slice(message), 65_535) {
        Ok(Message::Request(request)) => request.via(),
        Err(ParseError::Answerable { request, .. }) => request.via(),
        Ok(Message::Response(_)) | Err(ParseError::Unreadable(_)) => None,
    }
}

fn read(set: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(set);
    fs::read(folder.join(format!("{name}.dat"))).expect("our own file")
}

/// The archive of RFC 5118 has bare line feeds, and twice no empty line at the end.
fn mended(archived: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(archived).expect("text").replace('\n', "\r\n");
    let end = if text.contains("\r\n\r\n") { "" } else { "\r\n" };
    (text + end).into_bytes()
}
