//! Any octets as a SIP message: nothing panics, what can be read can be printed and read to the same verdict, what we
//! print is one whole message of a stream, and what we answer can be read.

use bytes::Bytes;
use sentral::sip::Message;
use sentral::sip::Response;
use sentral::sip::check;
use sentral::sip::check::Verdict;
use sentral::sip::framing::Frame;
use sentral::sip::framing::Framer;
use sentral::sip::message::ParseError;

const MAX: usize = 65_536;

/// Reads, judges, answers and prints a message.
pub(crate) fn sip(octets: &[u8]) {
    let message = match Message::parse(Bytes::copy_from_slice(octets), MAX) {
        Ok(message) => message,
        Err(ParseError::Answerable { status, request, .. }) => {
            assert!((400..700).contains(&status));
            return readable(Response::reply(&request, status, Some("tag")));
        }
        Err(ParseError::Unreadable(_)) => return,
    };
    if let (Message::Request(request), Verdict::Answer { status, .. }) = (&message, verdict(&message)) {
        readable(Response::reply(request, status, Some("tag")));
    }
    // Escapes and a Content-Length that we add may push a message over a limit.
    if octets.len() > 8_192 || message.headers().len() > 200 {
        return;
    }
    let bytes = message.to_bytes();
    let again = Message::parse(bytes.clone(), MAX).expect("what we print can be read");
    assert_eq!(verdict(&again), verdict(&message));
    assert_eq!(again.to_bytes(), bytes);
    let mut framer = Framer::new(MAX);
    framer.push(&bytes);
    assert_eq!(framer.next(), Ok(Some(Frame::Message(bytes))));
    assert_eq!(framer.next(), Ok(None));
}

/// Of an answer its receiver must make out at least what it answers.
fn readable(response: Response) {
    let bytes = response.to_bytes();
    if bytes.len() > 16_384 || response.headers.len() > 200 {
        return;
    }
    match Message::parse(bytes, MAX) {
        Ok(Message::Response(again)) => {
            assert_eq!((again.status, again.via()), (response.status, response.via()));
        }
        other => panic!("our answer is no answer: {other:?}"),
    }
}

fn verdict(message: &Message) -> Verdict {
    match message {
        Message::Request(request) => check::request(request),
        Message::Response(response) => check::response(response),
    }
}
