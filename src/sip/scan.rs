//! Octets → start line, headers and body in one pass, with limits on everything (RFC 3261 §7, §18.3).
//!
//! Folded lines are joined and values trimmed; what the values mean is read on demand by `header/`. Lines must end
//! with CR LF: a bare CR or LF makes two readers see two messages, so it is refused.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr2;

use crate::sip::header::Headers;
use crate::sip::header::name::Name;
use crate::sip::value::is_token_byte;

/// Most headers that a message may have.
pub const HEADERS_MAX: usize = 256;
/// Most octets that start line and headers may have.
pub const HEAD_MAX: usize = 32 * 1024;

/// What a message falls into.
#[derive(Debug)]
pub struct Scan {
    /// First line, without CR LF.
    pub start: Bytes,
    /// All headers that could be read.
    pub headers: Headers,
    /// Body, cut to Content-Length.
    pub body: Bytes,
    /// The first thing that was wrong after the start line, and the status that says so.
    pub fault: Option<Fault>,
}

/// What is wrong, as status and reason phrase; the phrase names the header where it is.
pub type Fault = (u16, Cow<'static, str>);

/// Cuts a message; `None` when it has no first line.
pub fn scan(bytes: &Bytes) -> Option<Scan> {
    // RFC 3261 §7.5: CR LF before the start line is ignored.
    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    let (end, next) = line(bytes, at)?;
    let start = bytes.slice(at..end);
    let mut scan = Scan { start, headers: Headers::with_capacity(24), body: Bytes::new(), fault: None };
    let body_at = scan_headers(bytes, next, &mut scan);
    scan_body(bytes.slice(body_at..), &mut scan);
    Some(scan)
}

/// End of the line that starts at `at`, and start of the next one.
fn line(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = at + memchr2(b'\r', b'\n', &bytes[at..])?;
    bytes[end..].starts_with(b"\r\n").then_some((end, end + 2))
}

/// Reads headers from `at`, and tells where the body starts.
fn scan_headers(bytes: &Bytes, mut at: usize, scan: &mut Scan) -> usize {
    loop {
        let Some((mut end, mut next)) = line(bytes, at) else {
            fault(scan, || match &bytes[at..] {
                [] => "No Empty Line After Headers".into(),
                rest => format!("Malformed Line End In {}", name_at_fault(rest)).into(),
            });
            return bytes.len();
        };
        if end == at {
            return next;
        }
        let first_end = end;
        while matches!(bytes.get(next), Some(b' ' | b'\t')) {
            let Some(folded) = line(bytes, next) else { break };
            (end, next) = folded;
        }
        if next > HEAD_MAX {
            // RFC 3261 §21.5.14: this says more than what else may be wrong.
            scan.fault = Some((513, "Message Too Large".into()));
            return bytes.len();
        }
        if scan.headers.len() == HEADERS_MAX {
            fault(scan, || "Too Many Headers".into());
            return bytes.len();
        }
        let text = &bytes[at..first_end];
        let name_end = text.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(text.len());
        let blanks = text[name_end..].iter().take_while(|byte| is_blank(**byte)).count();
        if name_end == 0 || text.get(name_end + blanks) != Some(&b':') {
            fault(scan, || format!("Malformed Header Line {}", name_at_fault(text)).into());
        } else {
            let name = Name::parse(&text[..name_end]);
            let value_at = at + name_end + blanks + 1;
            let value = match end == first_end {
                true => trimmed(bytes, value_at, end),
                false => unfolded(&bytes[value_at..end]),
            };
            scan.headers.push(name, value);
        }
        at = next;
    }
}

/// Notes what is wrong unless something was before.
fn fault(scan: &mut Scan, why: impl FnOnce() -> Cow<'static, str>) {
    scan.fault.get_or_insert_with(|| (400, why()));
}

/// The token that a line begins with, for a person to find the line by.
fn name_at_fault(line: &[u8]) -> String {
    const LONGEST: usize = 40;
    let name = line.iter().take_while(|byte| is_token_byte(**byte)).take(LONGEST);
    let name: String = name.map(|byte| char::from(*byte)).collect();
    if name.is_empty() { "Without Name".to_owned() } else { name }
}

fn trimmed(bytes: &Bytes, mut start: usize, mut end: usize) -> Bytes {
    while start < end && is_blank(bytes[start]) {
        start += 1;
    }
    while start < end && is_blank(bytes[end - 1]) {
        end -= 1;
    }
    bytes.slice(start..end)
}

/// A folded value with each line break and the blanks around it as one space (RFC 3261 §7.3.1).
fn unfolded(mut value: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(value.len());
    loop {
        let end = memchr2(b'\r', b'\n', value).unwrap_or(value.len());
        let part = value[..end].trim_ascii();
        if !out.is_empty() && !part.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(part);
        match value.get(end + 2..) {
            Some(rest) => value = rest,
            None => return Bytes::from(out),
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Cuts the body. RFC 3261 §18.3: octets after Content-Length are dropped, fewer than that is an error; without
/// the header the body is the rest of the datagram.
fn scan_body(rest: Bytes, scan: &mut Scan) {
    let (mut length, mut fault) = (None, None);
    for value in scan.headers.raw(&Name::ContentLength) {
        match content_length(value) {
            Some(this) if length.is_none_or(|other| other == this) => {
                length = Some(this);
                continue;
            }
            Some(_) => fault.get_or_insert("Contradictory Content-Length"),
            None => fault.get_or_insert("Malformed Content-Length"),
        };
    }
    scan.body = match length {
        Some(length) if length > rest.len() => {
            fault.get_or_insert("Content-Length Exceeds Body");
            rest
        }
        Some(length) => rest.slice(..length),
        None => rest,
    };
    if let Some(why) = fault {
        scan.fault.get_or_insert((400, why.into()));
    }
}

/// Reads a Content-Length: digits only, and a number that memory could hold.
pub fn content_length(value: &[u8]) -> Option<usize> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<Fault> {
        scan(&Bytes::copy_from_slice(text.as_bytes())).unwrap().fault
    }

    #[test]
    fn folded_values_are_joined_and_octets_kept() {
        let bytes = Bytes::from_static(
            b"\r\nOPTIONS sip:a SIP/2.0\r\nSubject :\r\n one\r\n\t two  \r\nX: \xff\xfe\r\n\r\n\0body",
        );
        let scan = scan(&bytes).unwrap();
        assert_eq!(scan.start, "OPTIONS sip:a SIP/2.0");
        assert_eq!(scan.headers.get(&Name::Subject).unwrap(), "one two");
        assert_eq!(scan.headers.raw(&Name::from("x")).next().unwrap(), &b"\xff\xfe"[..]);
        assert_eq!(scan.body, &b"\0body"[..]);
        assert_eq!(scan.fault, None);
    }

    #[test]
    fn lines_that_two_readers_would_read_differently_are_faults() {
        let table = [
            ("O a\r\nTo: x\r\n\r\n", None),
            ("O a\r\nTo: x\nFrom: y\r\n\r\n", Some("Malformed Line End In To")),
            ("O a\r\nTo: x\rFrom: y\r\n\r\n", Some("Malformed Line End In To")),
            ("O a\r\nTo: x\r\n", Some("No Empty Line After Headers")),
            ("O a\r\nTo x\r\n\r\n", Some("Malformed Header Line To")),
            ("O a\r\n: x\r\n\r\n", Some("Malformed Header Line Without Name")),
            ("O a\r\nT o: x\r\n\r\n", Some("Malformed Header Line T")),
            ("O a\r\nl: 3\r\n\r\nab", Some("Content-Length Exceeds Body")),
            ("O a\r\nl: 1\r\n\r\nab", None),
            ("O a\r\nl: +1\r\n\r\nab", Some("Malformed Content-Length")),
            ("O a\r\nl: 1\r\nl: 1\r\n\r\nab", None),
        ];
        for (text, expected) in table {
            assert_eq!(fault(text).map(|(_, why)| why).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn headers_have_a_limit() {
        let head = |count| format!("O a\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert_eq!(fault(&head(HEADERS_MAX)), None);
        assert!(fault(&head(HEADERS_MAX + 1)).is_some());
        let long = fault(&format!("O a\r\nX: {}\r\n\r\n", "y".repeat(HEAD_MAX)));
        assert_eq!(long.map(|(status, _)| status), Some(513));
    }
}
