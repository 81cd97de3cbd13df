//! rsip as a second opinion on our parser: of generated sound messages we must read what was put in, and wherever
//! rsip reads them too, it must see the same. Where the two differ, `Differs` names the sentence that decides.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use bytes::Bytes;
use proptest::prelude::*;
use rsip::prelude::HeadersExt;
use rsip::prelude::ToTypedHeader;
use rsip::prelude::UntypedHeader;
use sentral::sip::Message;
use sentral::sip::check;
use sentral::sip::check::Verdict;

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
struct Facts {
    /// Method, or status.
    start: String,
    call_id: String,
    number: u32,
    method: String,
    from_tag: Option<String>,
    to_tag: Option<String>,
    branch: Option<String>,
}

/// How a message is written. All of it is legal, but all except the first is known to lead rsip astray.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Differs {
    /// As most write it.
    Nothing,
    /// Blanks around `;` and `=` (RFC 3261 §25.1, SEMI and EQUAL have SWS around them): rsip loses parameters.
    Blanks,
    /// Compact names (§7.3.3): rsip finds no header.
    Compact,
    /// Both Via values in one header (§7.3.1): rsip's first branch is the second value's, or none.
    ViaList,
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-zA-Z0-9]{0,12}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}\\.example\\.com",
        (1..255u8, 0..255u8).prop_map(|(a, b)| format!("192.0.{b}.{a}"))
    ]
}

fn methods() -> impl Strategy<Value = &'static str> {
    let known =
        ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "INFO", "SUBSCRIBE", "NOTIFY", "REFER"];
    proptest::sample::select(known.to_vec())
}

fn differs() -> impl Strategy<Value = Differs> {
    proptest::sample::select(vec![Differs::Nothing, Differs::Blanks, Differs::Compact, Differs::ViaList])
}

prop_compose! {
    fn message()(
        method in methods(),
        status in proptest::option::of(100..700u16),
        call_id in (word(), host()).prop_map(|(word, host)| format!("{word}@{host}")),
        number in any::<u32>(),
        (from_tag, to_tag) in (word(), proptest::option::of(word())),
        (branch, second) in (word(), proptest::option::of(word())),
        (user, from_host, to_host) in (word(), host(), host()),
        display in proptest::option::of("[a-zA-Z ]{1,10}"),
        body in "[ -~]{0,30}",
        differs in differs(),
    ) -> (String, Facts, Differs) {
        let (start, start_line) = match status {
            Some(status) => (status.to_string(), format!("SIP/2.0 {status} Some Reason")),
            None => (method.to_owned(), format!("{method} sip:{user}@{to_host} SIP/2.0")),
        };
        let semi = if differs == Differs::Blanks { " ; " } else { ";" };
        let name = |long: &'static str, compact| if differs == Differs::Compact { compact } else { long };
        let mut via = format!("SIP/2.0/UDP {from_host}:5060{semi}branch=z9hG4bK{branch}");
        // A response with two of them would not be for us.
        if let (Some(second), None) = (second, status) {
            let other = format!("SIP/2.0/TCP {to_host}{semi}branch=z9hG4bK{second}");
            let between = match differs {
                Differs::ViaList => ", ".to_owned(),
                Differs::Nothing | Differs::Blanks | Differs::Compact => format!("\r\n{}: ", name("Via", "v")),
            };
            via = format!("{via}{between}{other}");
        }
        let display = display.map_or(String::new(), |text| format!("\"{text}\" "));
        let to_tail = to_tag.as_ref().map_or(String::new(), |tag| format!("{semi}tag={tag}"));
        let text = format!(
            "{start_line}\r\n{}: {via}\r\nMax-Forwards: 70\r\n{}: {display}<sip:{user}@{from_host}>{semi}tag={from_tag}\r\n\
             {}: <sip:{user}@{to_host}>{to_tail}\r\n{}: {call_id}\r\nCSeq: {number} {method}\r\n{}: {}\r\n\r\n{body}",
            name("Via", "v"), name("From", "f"), name("To", "t"), name("Call-ID", "i"), name("Content-Length", "l"),
            body.len(),
        );
        let branch = Some(format!("z9hG4bK{branch}"));
        let facts =
            Facts { start, call_id, number, method: method.to_owned(), from_tag: Some(from_tag), to_tag, branch };
        (text, facts, differs)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_put_into_a_message_is_read_and_rsip_does_not_contradict((text, facts, differs) in message()) {
        let message = Message::parse(Bytes::from(text.clone()), 65_536).unwrap();
        prop_assert_eq!(ours(&message), facts.clone());
        prop_assert_eq!(verdict(&message), Verdict::Go);
        // What we print says the same.
        let printed = Message::parse(message.to_bytes(), 65_536).unwrap();
        prop_assert_eq!(ours(&printed), facts.clone());
        if differs == Differs::Nothing {
            prop_assert_eq!(theirs(&text), Some(facts.clone()));
        }
        // We print long names, so rsip reads what we print where it could not read what we got.
        if differs == Differs::Compact {
            let again = String::from_utf8(message.to_bytes().to_vec()).unwrap();
            prop_assert_eq!(theirs(&again), Some(facts));
        }
    }

    #[test]
    fn no_octets_panic_and_what_is_read_can_be_printed_and_read(
        (text, _, _) in message(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3u8), 0..12),
    ) {
        let mut bytes = text.into_bytes();
        for (at, octet, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = octet,
                1 => bytes.insert(at, octet),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(message) = Message::parse(bytes.into(), 65_536) {
            let before = verdict(&message);
            let printed = Message::parse(message.to_bytes(), 65_536).unwrap();
            prop_assert_eq!(verdict(&printed), before);
            prop_assert_eq!(printed.to_bytes(), message.to_bytes());
        }
    }
}

#[test]
fn the_listed_differences_exist() {
    let text = |via: &str, call_id: &str| {
        format!(
            "OPTIONS sip:a@h.example SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@h.example>;tag=1\r\n\
             To: <sip:a@h.example>\r\n{call_id}: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let plain = text("SIP/2.0/UDP h.example;branch=z9hG4bKa", "Call-ID");
    assert!(theirs(&plain).is_some());
    let blanks = text("SIP/2.0/UDP h.example ; branch=z9hG4bKa", "Call-ID");
    let compact = text("SIP/2.0/UDP h.example;branch=z9hG4bKa", "i");
    for differing in [blanks, compact] {
        let message = Message::parse(Bytes::from(differing.clone()), 65_536).unwrap();
        assert_ne!(theirs(&differing), Some(ours(&message)), "{differing}");
        assert_eq!(ours(&message).branch.as_deref(), Some("z9hG4bKa"));
    }
}

fn verdict(message: &Message) -> Verdict {
    match message {
        Message::Request(request) => check::request(request),
        Message::Response(response) => check::response(response),
    }
}

fn ours(message: &Message) -> Facts {
    macro_rules! facts {
        ($start:expr, $message:expr) => {{
            let cseq = $message.cseq().unwrap();
            Facts {
                start: $start,
                call_id: $message.call_id().unwrap().into_owned(),
                number: cseq.number,
                method: cseq.method.to_string(),
                from_tag: $message.from().unwrap().tag().map(str::to_owned),
                to_tag: $message.to().unwrap().tag().map(str::to_owned),
                branch: $message.via().unwrap().branch().map(str::to_owned),
            }
        }};
    }
    match message {
        Message::Request(request) => facts!(request.method.to_string(), request),
        Message::Response(response) => facts!(response.status.to_string(), response),
    }
}

/// The facts as rsip sees them; `None` where it refuses the message or one of the headers.
fn theirs(text: &str) -> Option<Facts> {
    let message = rsip::SipMessage::try_from(text.as_bytes()).ok()?;
    let start = match &message {
        rsip::SipMessage::Request(request) => request.method.to_string(),
        rsip::SipMessage::Response(response) => response.status_code.code().to_string(),
    };
    let cseq = message.cseq_header().ok()?;
    Some(Facts {
        start,
        call_id: message.call_id_header().ok()?.value().to_owned(),
        number: cseq.seq().ok()?,
        method: cseq.method().ok()?.to_string(),
        from_tag: message.from_header().ok()?.tag().ok()?.map(|tag| tag.value().to_owned()),
        to_tag: message.to_header().ok()?.tag().ok()?.map(|tag| tag.value().to_owned()),
        branch: message.via_header().ok()?.typed().ok()?.branch().map(|branch| branch.value().to_owned()),
    })
}
