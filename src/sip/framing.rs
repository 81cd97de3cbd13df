//! Cutting a TCP or TLS stream into messages (RFC 3261 §18.3), and the keep-alives between them (RFC 5626 §3.5.1).
//!
//! Only Content-Length tells where a message ends, so a stream in which it is missing or wrong is lost: the
//! caller closes the connection. WebSocket has frames of its own and does not come here.

use bytes::Bytes;
use bytes::BytesMut;
use memchr::memchr;
use memchr::memmem;
use thiserror::Error;

use crate::sip::header::name::Name;
use crate::sip::scan::HEAD_MAX;
use crate::sip::scan::content_length;
use crate::sip::value::is_token_byte;

/// One thing that a stream carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message, for `Message::parse`.
    Message(Bytes),
    /// CR LF CR LF: to be answered with one CR LF.
    KeepAlive,
    /// CR LF: the answer to ours.
    Pong,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FramingError {
    /// Start line and headers, or the whole message, exceed the limit.
    #[error("message too long")]
    TooLong,
    /// No Content-Length.
    #[error("no Content-Length")]
    NoLength,
    /// Content-Length is no number, or two of them differ.
    #[error("malformed Content-Length")]
    BadLength,
}

/// The octets of one connection that are not yet messages.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    /// How far the end of the headers was looked for in vain.
    searched: usize,
    /// Octets of the message in front, once its headers are complete.
    length: Option<usize>,
    /// The octets before these were one CR LF, reported as `Pong`.
    half: bool,
    max: usize,
}

impl Framer {
    /// At the start of a connection; `max` octets a message.
    pub fn new(max: usize) -> Framer {
        Framer { buffer: BytesMut::new(), searched: 0, length: None, half: false, max }
    }

    /// Adds octets that were received; call `next` until it gives `None` before adding more.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// The next thing that is complete.
    ///
    /// # Errors
    /// When the stream cannot be read on; the error stays.
    #[expect(clippy::should_implement_trait, reason = "an iterator would not say that it may go on later")]
    pub fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.length.is_none() {
            if let Some(keep_alive) = self.keep_alive() {
                return Ok(Some(keep_alive));
            }
            if matches!(self.buffer.first(), None | Some(b'\r')) && self.buffer.len() < 2 {
                return Ok(None);
            }
            let Some(head) = self.find_head()? else { return Ok(None) };
            let body = body_length(&self.buffer[..head])?;
            let length = head.checked_add(body).filter(|length| *length <= self.max);
            self.length = Some(length.ok_or(FramingError::TooLong)?);
        }
        match self.length {
            Some(length) if length <= self.buffer.len() => {
                (self.length, self.searched, self.half) = (None, 0, false);
                Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Takes CR LF or CR LF CR LF off the front. A ping may arrive in two parts: its first half is reported as
    /// `Pong`, its second as `KeepAlive`. A second pong in a row looks the same, and the CR LF that answers it is
    /// ignored by whoever gets it (RFC 3261 §7.5).
    fn keep_alive(&mut self) -> Option<Frame> {
        if !self.buffer.starts_with(b"\r\n") {
            return None;
        }
        let whole = self.buffer.starts_with(b"\r\n\r\n") && !self.half;
        let ping = whole || self.half;
        let _ = self.buffer.split_to(if whole { 4 } else { 2 });
        self.half = !ping;
        Some(if ping { Frame::KeepAlive } else { Frame::Pong })
    }

    /// Octets up to and with the empty line after the headers.
    fn find_head(&mut self) -> Result<Option<usize>, FramingError> {
        let most = HEAD_MAX.min(self.max);
        let from = self.searched.saturating_sub(3);
        match memmem::find(&self.buffer[from..], b"\r\n\r\n") {
            Some(at) if from + at + 4 <= most => Ok(Some(from + at + 4)),
            None if self.buffer.len() < most => {
                self.searched = self.buffer.len();
                Ok(None)
            }
            Some(_) | None => Err(FramingError::TooLong),
        }
    }
}

/// Content-Length in a head, long or compact, perhaps folded.
fn body_length(head: &[u8]) -> Result<usize, FramingError> {
    let mut found = None;
    let mut rest = head;
    while let Some(newline) = memchr(b'\n', rest) {
        let mut end = newline + 1;
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            let Some(more) = memchr(b'\n', &rest[end..]) else { break };
            end += more + 1;
        }
        let (line, after) = rest.split_at(end);
        rest = after;
        // Most lines are told apart by their first letter.
        if !matches!(line[0], b'C' | b'c' | b'L' | b'l') {
            continue;
        }
        let name_end = line.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(line.len());
        let Some(value) = line[name_end..].trim_ascii_start().strip_prefix(b":") else { continue };
        if Name::parse(&line[..name_end]) != Name::ContentLength {
            continue;
        }
        let length = content_length(value).ok_or(FramingError::BadLength)?;
        if found.is_some_and(|other| other != length) {
            return Err(FramingError::BadLength);
        }
        found = Some(length);
    }
    found.ok_or(FramingError::NoLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nbody";
    const TWO: &[u8] = b"SIP/2.0 200 OK\r\nl : 0\r\n\r\n";
    const FOLDED: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nCONTENT-LENGTH:\r\n  2\r\nX: y\r\n\r\nhi";

    fn frames(chunks: &[&[u8]]) -> Result<Vec<Frame>, FramingError> {
        let mut framer = Framer::new(2_000);
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(frame) = framer.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn message(bytes: &'static [u8]) -> Frame {
        Frame::Message(Bytes::from_static(bytes))
    }

    #[test]
    fn a_stream_falls_into_the_same_messages_however_it_is_split() {
        let stream = [ONE, TWO, FOLDED].concat();
        let expected = [message(ONE), message(TWO), message(FOLDED)];
        assert_eq!(frames(&[&stream]).unwrap(), expected);
        for at in 0..stream.len() {
            let (a, b) = stream.split_at(at);
            assert_eq!(frames(&[a, b]).unwrap(), expected, "split at {at}");
        }
        let octets: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&octets).unwrap(), expected);
    }

    #[test]
    fn keep_alives_are_told_apart_between_messages() {
        let got = frames(&[b"\r\n\r\n", ONE, b"\r\n", TWO, b"\r\n", b"\r\n"]).unwrap();
        let expected =
            [Frame::KeepAlive, message(ONE), Frame::Pong, message(TWO), Frame::Pong, Frame::KeepAlive];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_stream_without_a_sound_length_is_lost() {
        let long = [b"OPTIONS sip:a SIP/2.0\r\nX: ".as_slice(), &[b'x'; 2_000]].concat();
        let table: [(&[u8], FramingError); 6] = [
            // RFC 3261 §18.3: a stream needs the header.
            (b"OPTIONS sip:a SIP/2.0\r\nX: y\r\n\r\n", FramingError::NoLength),
            // RFC 4475 §3.1.2.3.
            (b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -9\r\n\r\n", FramingError::BadLength),
            // RFC 4475 §3.3.9.
            (b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n", FramingError::BadLength),
            // More than a number can hold.
            (b"OPTIONS sip:a SIP/2.0\r\nl: 99999999999999999999\r\n\r\n", FramingError::BadLength),
            // A body longer than we take.
            (b"OPTIONS sip:a SIP/2.0\r\nl: 1990\r\n\r\n", FramingError::TooLong),
            // Headers without end.
            (&long, FramingError::TooLong),
        ];
        for (stream, expected) in table {
            assert_eq!(frames(&[stream]), Err(expected), "{}", String::from_utf8_lossy(stream));
        }
    }
}
