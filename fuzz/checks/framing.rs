//! Any octets as a stream: nothing panics, and how the stream was split changes neither its messages nor whether it is
//! lost. The first octet says how long the parts are.

use bytes::Bytes;
use sentral::sip::framing::Frame;
use sentral::sip::framing::Framer;

/// Cuts the stream in small parts and in one.
pub(crate) fn framing(octets: &[u8]) {
    let Some((size, stream)) = octets.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(messages(stream, size), messages(stream, stream.len().max(1)));
}

/// The messages, and whether the stream can be read on.
fn messages(stream: &[u8], size: usize) -> (Vec<Bytes>, bool) {
    let mut framer = Framer::new(4_096);
    let mut messages = Vec::new();
    for part in stream.chunks(size) {
        framer.push(part);
        loop {
            match framer.next() {
                Ok(Some(Frame::Message(message))) => messages.push(message),
                Ok(Some(Frame::KeepAlive | Frame::Pong)) => {}
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, true)
}
