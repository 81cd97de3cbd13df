//! Messages → octets (RFC 3261 §7).

use bytes::Bytes;
use memchr::memchr2;

use crate::sip::header::Headers;
use crate::sip::header::name::Name;
use crate::sip::message::Message;
use crate::sip::message::Request;
use crate::sip::message::Response;

impl Message {
    /// The message as it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// The request as it goes on the wire. Content-Length is written from the body, whatever the headers say.
    pub fn to_bytes(&self) -> Bytes {
        let start = format!("{} {} SIP/2.0", self.method, self.uri);
        print(&start, &self.headers, &self.body)
    }
}

impl Response {
    /// The response as it goes on the wire. Content-Length is written from the body, whatever the headers say.
    pub fn to_bytes(&self) -> Bytes {
        let start = format!("SIP/2.0 {} {}", self.status, self.reason);
        print(&start, &self.headers, &self.body)
    }
}

fn print(start: &str, headers: &Headers, body: &Bytes) -> Bytes {
    let values: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(start.len() + values + body.len() + 32);
    put(&mut out, start.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| **name != Name::ContentLength) {
        put(&mut out, name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        put(&mut out, value);
        out.extend_from_slice(b"\r\n");
    }
    // RFC 3261 §20.14: always there, since on a stream nothing else ends the message.
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    Bytes::from(out)
}

/// Writes a part of a line; a CR or LF in it would begin a header that nobody meant, so it becomes a space.
fn put(out: &mut Vec<u8>, part: &[u8]) {
    if memchr2(b'\r', b'\n', part).is_none() {
        return out.extend_from_slice(part);
    }
    out.extend(part.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
}
