//! Any octets as a SIP message: nothing panics, and what can be read can be printed and read to the same verdict.
//! Start it from the messages of RFC 4475: `cargo +nightly fuzz run sip ../tests/data/torture`.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sentral::sip::Message;
use sentral::sip::check;
use sentral::sip::check::Verdict;
use sentral::sip::message::ParseError;

const MAX: usize = 65_536;

fuzz_target!(|octets: &[u8]| {
    let message = match Message::parse(Bytes::copy_from_slice(octets), MAX) {
        Ok(message) => message,
        Err(ParseError::Answerable { request, .. }) => {
            request.to_bytes();
            return;
        }
        Err(ParseError::Unreadable(_)) => return,
    };
    // Escapes and a Content-Length that we add may push a message over a limit.
    if octets.len() > 8_192 || message.headers().len() > 200 {
        return;
    }
    let bytes = message.to_bytes();
    let again = Message::parse(bytes.clone(), MAX).expect("what we print can be read");
    assert_eq!(verdict(&again), verdict(&message));
    assert_eq!(again.to_bytes(), bytes);
});

fn verdict(message: &Message) -> Verdict {
    match message {
        Message::Request(request) => check::request(request),
        Message::Response(response) => check::response(response),
    }
}
