//! The 49 messages of RFC 4475 and the 12 of RFC 5118 (IPv6), bit by bit as their appendices have them: what we read of
//! the sound ones, what we answer to the others. Where the RFC leaves a choice, the row says which one is ours.
//! `tests/network/bad_input.rs` sends them to a daemon.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use sentral::sip::Message;
use sentral::sip::check;
use sentral::sip::check::Verdict;
use sentral::sip::header::Contacts;
use sentral::sip::header::Name;
use sentral::sip::message::ParseError;
use sentral::sip::uri::Host;

/// What must come of a message.
#[derive(Debug, PartialEq)]
enum Expect {
    /// It is sound: method or status, CSeq number, Call-ID, From and To tag (empty if none), Via and Contact
    /// values, octets of body.
    Go(&'static str, u32, &'static str, &'static str, &'static str, usize, usize, usize),
    /// It is answered.
    Answer(u16),
    /// It is dropped.
    Drop,
}

use Expect::Answer;
use Expect::Drop;
use Expect::Go;

const TABLE: &[(&str, Expect)] = &[
    // §3.1.1.1 folding everywhere, blanks before colons, escapes in quoted strings.
    ("wsinv", Go("INVITE", 9, "wsinv.ndaksdj@192.0.2.1", "98asjd8", "1918181833n", 3, 1, 150)),
    // §3.1.1.2 every legal sign.
    (
        "intmeth",
        Go(
            "!interesting-Method0123456789_*+`.%indeed'~",
            139122385,
            r#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#,
            "_token~1'+`*%!-.",
            "",
            1,
            0,
            0,
        ),
    ),
    // §3.1.1.3 escapes.
    ("esc01", Go("INVITE", 234234, "esc01.239409asdfakjkn23onasd0-3234", "938", "", 1, 1, 150)),
    // §3.1.1.4 escaped NUL.
    (
        "escnull",
        Go("REGISTER", 14398234, "escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd", "839923423", "", 1, 2, 0),
    ),
    // §3.1.1.5 `%` where it is no escape.
    (
        "esc02",
        Go("RE%47IST%45R", 29344, "esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf", "f232jadfj23", "", 1, 2, 0),
    ),
    // §3.1.1.6 no blank before `<`.
    ("lwsdisp", Go("OPTIONS", 60, "lwsdisp.1234abcd@funky.example.com", "323", "", 1, 0, 0)),
    // §3.1.1.7 long values.
    (
        "longreq",
        Go(
            "INVITE",
            3882340,
            "longreq.onereallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallylongcallid",
            "12982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982424",
            "",
            34,
            1,
            150,
        ),
    ),
    // §3.1.1.8 a second message after Content-Length is no body.
    ("dblreq", Go("REGISTER", 8, "dblreq.0ha0isndaksdj99sdfafnl3lk233412", "43251j3j324", "", 1, 1, 0)),
    // §3.1.1.9 `;` in the user part.
    ("semiuri", Go("OPTIONS", 8, "semiuri.0ha0isndaksdj", "33242", "", 1, 0, 0)),
    // §3.1.1.10 transports unheard of.
    ("transports", Go("OPTIONS", 60, "transports.kijh4akdnaqjkwendsasfdj", "323", "", 5, 0, 0)),
    // §3.1.1.11 binary body.
    ("mpart01", Go("MESSAGE", 1, "3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..", "2fb0dcc9", "", 1, 1, 553)),
    // §3.1.1.12 UTF-8 reason phrase.
    ("unreason", Go("200", 35, "unreason.1234ksdfak3j2erwedfsASdf", "11141343", "2229", 1, 1, 154)),
    // §3.1.1.13 empty reason phrase.
    ("noreason", Go("100", 35, "noreason.asndj203insdf99223ndf", "39ansfi3", "902jndnke3", 1, 1, 0)),
    // §3.1.2.1 separators too many.
    ("badinv01", Answer(400)),
    // §3.1.2.2 Content-Length too large.
    ("clerr", Answer(400)),
    // §3.1.2.3 negative Content-Length.
    ("ncl", Answer(400)),
    // §3.1.2.4 numbers too large.
    ("scalar02", Answer(400)),
    // §3.1.2.5 CSeq too large in a response.
    ("scalarlg", Drop),
    // §3.1.2.6 unterminated quoted string.
    ("quotbal", Answer(400)),
    // §3.1.2.7 brackets around the Request-URI.
    ("ltgtruri", Answer(400)),
    // §3.1.2.8 blank in the Request-URI.
    ("lwsruri", Answer(400)),
    // §3.1.2.9 several spaces in the request line.
    ("lwsstart", Answer(400)),
    // §3.1.2.10 spaces after it.
    ("trws", Answer(400)),
    // §3.1.2.11 headers in the Request-URI.
    ("escruri", Answer(400)),
    // §3.1.2.12 Date not in GMT: not read, so not refused.
    ("baddate", Go("INVITE", 1392934, "baddate.239423mnsadf3j23lj42--sedfnm234", "2234923", "", 1, 1, 150)),
    // §3.1.2.13 URI with headers but no brackets.
    ("regbadct", Answer(400)),
    // §3.1.2.14 spaces inside the brackets: ignored.
    (
        "badaspec",
        Go("OPTIONS", 3923239, "badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3", "433423", "", 1, 0, 0),
    ),
    // §3.1.2.15 as archived, without empty line at the end.
    ("baddn", Answer(400)),
    // §3.1.2.16 SIP/7.0.
    ("badvers", Answer(505)),
    // §3.1.2.17 CSeq of another method.
    ("mismatch01", Answer(400)),
    // §3.1.2.18 the same, of a method unknown.
    ("mismatch02", Answer(501)),
    // §3.1.2.19 status too large.
    ("bigcode", Drop),
    // §3.2.1 branch with nothing after its cookie: refused.
    ("badbranch", Answer(400)),
    // §3.3.1 no Call-ID, From, To.
    ("insuf", Answer(400)),
    // §3.3.2 unknown scheme.
    ("unkscm", Answer(416)),
    // §3.3.3 known scheme, but not of ours.
    ("novelsc", Answer(416)),
    // §3.3.4 what a registrar cannot bind.
    ("unksm2", Answer(400)),
    // §3.3.5 Require.
    ("bext01", Answer(420)),
    // §3.3.6 unknown body: for the user to refuse.
    ("invut", Go("INVITE", 235448, "invut.0ha0isndaksdjadsfij34n23d", "8392034", "", 1, 1, 40)),
    // §3.3.7 unknown authorisation: for the user to challenge.
    ("regaut01", Go("REGISTER", 9338, "regaut01.0ha0isndaksdj", "87321hj23128", "", 1, 0, 0)),
    // §3.3.8 several To, From, CSeq ….
    ("multi01", Answer(400)),
    // §3.3.9 contradictory Content-Length.
    ("mcl01", Answer(400)),
    // §3.3.10 two Via values.
    ("bcast", Drop),
    // §3.3.11 Max-Forwards 0, but OPTIONS ends here.
    ("zeromf", Go("OPTIONS", 39234321, "zeromf.jfasdlfnm2o2l43r5u0asdfas", "3ghsd41", "", 1, 0, 0)),
    // §3.3.12 contact parameter.
    ("cparam01", Go("REGISTER", 2, "cparam01.70710@saturn.example.com", "DkfVgjkrtMwaerKKpe", "", 1, 1, 0)),
    // §3.3.13 URI parameter.
    ("cparam02", Go("REGISTER", 3, "cparam02.70710@saturn.example.com", "838293", "", 1, 1, 0)),
    // §3.3.14 header in a Contact URI.
    ("regescrt", Go("REGISTER", 14398234, "regescrt.k345asrl3fdbv@192.0.2.1", "8", "", 1, 1, 0)),
    // §3.3.15 Accept without SDP: for the user to refuse.
    ("sdp01", Go("INVITE", 8, "sdp01.ndaksdj9342dasdd", "234", "", 1, 1, 150)),
    // §3.4.1 RFC 2543: no branch, no tag, no length.
    ("inv2543", Go("INVITE", 56, "inv2543.1717@ift.client.example.com", "", "", 1, 0, 105)),
];

const SSG: &str = "SSG9559905523997077@hlau_4100";
const G: &str = "G9559905523997077@hlau_4100";

/// RFC 5118, with the line ends that SIP demands: see `read`.
const TABLE_V6: &[(&str, Expect)] = &[
    // §4.1 addresses in brackets.
    ("ipv6-good", Go("REGISTER", 98176, SSG, "81x2", "", 1, 1, 0)),
    // §4.2 no brackets in the Request-URI.
    ("ipv6-bad", Answer(400)),
    // §4.3 a port inside of the brackets is a part of the address.
    ("port-ambiguous", Go("REGISTER", 98176, SSG, "81x2", "", 1, 1, 0)),
    // §4.4 a port outside of them.
    ("port-unambiguous", Go("REGISTER", 98176, SSG, "81x2", "", 1, 1, 0)),
    // §4.5 `received` with brackets, which the grammar does not have.
    ("via-received-param-with-delim", Go("BYE", 321, SSG, "81x2", "bd76ya", 1, 0, 0)),
    // §4.5 `received` without.
    ("via-received-param-no-delim", Go("OPTIONS", 921, "SSG95523997077@hlau_4100", "81x2", "", 1, 1, 0)),
    // §4.6 addresses in the body, which is 17 octets shorter than Content-Length says.
    ("ipv6-in-sdp", Answer(400)),
    // §4.7 both families in Via.
    ("mult-ip-in-header", Go("BYE", 89187, "997077@lau_4100", "81x2", "9817--94", 3, 0, 0)),
    // §4.8 both families in the body.
    ("mult-ip-in-sdp", Go("INVITE", 8912, SSG, "81x2", "", 1, 1, 181)),
    // §4.9 IPv4 inside of IPv6.
    ("ipv4-mapped-ipv6", Go("INVITE", 612, SSG, "81x2", "", 2, 1, 236)),
    // §4.10 a colon too many, which an old grammar wanted.
    ("ipv6-bug-abnf-3-colons", Go("OPTIONS", 689, G, "810x2", "", 1, 0, 0)),
    // §4.10 without.
    ("ipv6-correct-abnf-2-colons", Go("OPTIONS", 689, G, "810x2", "", 1, 0, 0)),
];

#[test]
fn every_message_of_both_rfcs_gets_its_verdict() {
    let mut wrong = Vec::new();
    for (name, expect) in rows() {
        let got = judge(read(name));
        if got != describe(expect) {
            wrong.push(format!("{name}: expected {}, got {got}", describe(expect)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(TABLE.len(), fs::read_dir(folder("torture")).unwrap().count());
    assert_eq!(TABLE_V6.len(), fs::read_dir(folder("torture-ipv6")).unwrap().count());
}

#[test]
fn every_sound_message_keeps_its_facts_when_printed_and_read_again() {
    for (name, expect) in rows() {
        if let Go(..) = expect {
            let printed = Message::parse(read(name), MAX).unwrap().to_bytes();
            assert_eq!(judge(printed), describe(expect), "{name}");
        }
    }
}

#[test]
fn no_message_panics_when_cut_anywhere() {
    for (name, _) in rows() {
        let whole = read(name);
        for end in 0..whole.len() {
            judge(whole.slice(..end));
        }
    }
}

#[test]
fn values_that_are_easily_misread_are_read_right() {
    let Message::Request(wsinv) = Message::parse(read("wsinv"), MAX).unwrap() else { panic!("a request") };
    assert_eq!(wsinv.from().unwrap().display.as_deref(), Some("J Rosenberg \\\""));
    let Ok(Contacts::List(contacts)) = wsinv.contacts() else { panic!("addresses") };
    assert_eq!(contacts[0].display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contacts[0].q(), 330);
    let vias: Vec<_> = wsinv.vias().iter().map(|via| via.branch().unwrap().to_owned()).collect();
    assert_eq!(vias, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);

    let Message::Request(esc01) = Message::parse(read("esc01"), MAX).unwrap() else { panic!("a request") };
    assert_eq!(esc01.uri.user(), Some("sips:user@example.com"));
    assert_eq!(esc01.from().unwrap().uri.user(), Some("I have spaces"));

    let Message::Request(semiuri) = Message::parse(read("semiuri"), MAX).unwrap() else {
        panic!("a request")
    };
    assert_eq!(semiuri.uri.user(), Some("user;par=u@example.net"));

    let Message::Request(cparam01) = Message::parse(read("cparam01"), MAX).unwrap() else {
        panic!("a request")
    };
    let Ok(Contacts::List(contacts)) = cparam01.contacts() else { panic!("addresses") };
    assert!(contacts[0].params.contains("unknownparam"));
    assert!(contacts[0].uri.as_sip().unwrap().params.is_empty());
}

#[test]
fn the_bare_line_feeds_of_the_archive_of_rfc_5118_make_no_message() {
    for (name, _) in TABLE_V6 {
        let archived = fs::read(folder("torture-ipv6").join(format!("{name}.dat"))).unwrap();
        assert_eq!(judge(archived.into()), describe(&Drop), "{name}");
    }
}

#[test]
fn addresses_of_rfc_5118_are_read_right() {
    let request = |name| match Message::parse(read(name), MAX) {
        Ok(Message::Request(request)) => request,
        Err(ParseError::Answerable { request, .. }) => *request,
        other => panic!("{name}: {other:?}"),
    };
    let host = |name| request(name).uri.host().and_then(Host::ip).map(|ip| ip.to_string()).unwrap();
    assert_eq!(host("port-ambiguous"), "2001:db8::10:5070");
    assert_eq!(request("port-ambiguous").uri.port(), None);
    assert_eq!(host("port-unambiguous"), "2001:db8::10");
    assert_eq!(request("port-unambiguous").uri.port(), Some(5070));
    assert_eq!(host("ipv6-bug-abnf-3-colons"), host("ipv6-correct-abnf-2-colons"));
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        assert_eq!(request(name).via().unwrap().received(), "2001:db8::9:255".parse().ok(), "{name}");
    }
    let vias: Vec<_> = request("ipv4-mapped-ipv6").vias().iter().map(|via| via.host.ip().unwrap()).collect();
    assert_eq!(
        vias.iter().map(|ip| ip.to_canonical().to_string()).collect::<Vec<_>>(),
        ["192.0.2.10", "192.0.2.2"]
    );
    let media = |name| {
        let sdp = sentral::sdp::parse(&request(name).body).unwrap();
        sdp.media.iter().map(|media| sdp.connection_of(media).unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(media("ipv6-in-sdp"), ["IN IP6 2001:db8::20", "IN IP6 2001:db8::20"]);
    assert_eq!(media("mult-ip-in-sdp"), ["IN IP4 192.0.2.1", "IN IP6 2001:db8::1"]);
}

#[test]
fn required_extensions_are_named_in_the_answer() {
    let Message::Request(bext01) = Message::parse(read("bext01"), MAX).unwrap() else { panic!("a request") };
    let Verdict::Answer { extra, .. } = check::request(&bext01) else { panic!("an answer") };
    assert_eq!(extra, [(Name::Unsupported, "nothingSupportsThis, nothingSupportsThisEither".to_owned())]);
}

const MAX: usize = 65_536;

fn rows() -> impl Iterator<Item = &'static (&'static str, Expect)> {
    TABLE.iter().chain(TABLE_V6)
}

fn folder(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(set)
}

/// A message. The archive of RFC 5118 has bare line feeds, and twice no empty line at the end; both are mended.
fn read(name: &str) -> Bytes {
    let of = |set| fs::read(folder(set).join(format!("{name}.dat")));
    of("torture").or_else(|_| of("torture-ipv6").map(mended)).unwrap().into()
}

fn mended(archived: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(archived).unwrap().replace('\n', "\r\n");
    let end = if text.contains("\r\n\r\n") { "" } else { "\r\n" };
    (text + end).into_bytes()
}

fn judge(bytes: Bytes) -> String {
    let message = match Message::parse(bytes, MAX) {
        Ok(message) => message,
        Err(ParseError::Answerable { status, .. }) => return describe(&Answer(status)),
        Err(ParseError::Unreadable(_)) => return describe(&Drop),
    };
    let verdict = match &message {
        Message::Request(request) => check::request(request),
        Message::Response(response) => check::response(response),
    };
    match verdict {
        Verdict::Go => facts(&message),
        Verdict::Answer { status, .. } => describe(&Answer(status)),
        Verdict::Drop(_) => describe(&Drop),
    }
}

fn facts(message: &Message) -> String {
    macro_rules! facts {
        ($start:expr, $message:expr) => {{
            let contacts = match $message.contacts().unwrap() {
                Contacts::Star => 0,
                Contacts::List(list) => list.len(),
            };
            format!(
                "{} cseq {} call-id {} from {:?} to {:?} vias {} contacts {contacts} body {}",
                $start,
                $message.cseq().unwrap().number,
                $message.call_id().unwrap(),
                $message.from().unwrap().tag().unwrap_or(""),
                $message.to().unwrap().tag().unwrap_or(""),
                $message.vias().len(),
                $message.body.len(),
            )
        }};
    }
    match message {
        Message::Request(request) => facts!(request.method, request),
        Message::Response(response) => facts!(response.status, response),
    }
}

fn describe(expect: &Expect) -> String {
    match expect {
        Go(start, number, call_id, from, to, vias, contacts, body) => format!(
            "{start} cseq {number} call-id {call_id} from {from:?} to {to:?} vias {vias} contacts {contacts} body {body}"
        ),
        Answer(status) => format!("answer {status}"),
        Drop => "drop".to_owned(),
    }
}
