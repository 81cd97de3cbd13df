//! Makes the secrets of a message unreadable, sign for sign, so that lengths stay what the message says they are.
//!
//! Masked: of credentials (RFC 3261 §22, RFC 7616) everything but the parameters that prove nothing; keys of SRTP in
//! SDP (RFC 4568 §6.1, RFC 3830, RFC 4566 §5.12); keys that a caller presses, in INFO bodies, for they may be a PIN.
//! Works on any octets: what cannot be read as a message is masked by its lines.

use std::ops::Range;

/// Parameters of a digest that are shown. A nonce without the response is of no use to anybody.
const SHOWN: [&[u8]; 9] =
    [b"username", b"realm", b"nonce", b"nextnonce", b"uri", b"algorithm", b"qop", b"nc", b"opaque"];
/// Headers that hold credentials or prove knowledge of them.
const HEADERS: [&[u8]; 3] = [b"authorization", b"proxy-authorization", b"authentication-info"];
const MASK: u8 = b'*';

/// The message with its secrets masked; of the same length.
pub fn masked(message: &[u8]) -> Vec<u8> {
    let mut out = message.to_vec();
    let mut dtmf = false;
    let mut lines = lines(message).into_iter().peekable();
    for line in lines.by_ref() {
        let text = &message[line.clone()];
        if text.is_empty() {
            break;
        }
        let Some(colon) = text.iter().position(|byte| *byte == b':') else { continue };
        let name = text[..colon].trim_ascii().to_ascii_lowercase();
        let value = line.start + colon + 1..line.end;
        if HEADERS.contains(&&*name) {
            mask_credentials(&mut out, value, name == b"authentication-info");
        } else if name == b"content-type" || name == b"c" {
            dtmf |= message[value].trim_ascii_start().to_ascii_lowercase().starts_with(b"application/dtmf");
        }
    }
    for line in lines {
        mask_body_line(&mut out, line, dtmf);
    }
    out
}

/// The lines without their ends; a header goes on in lines that begin with a blank (RFC 3261 §7.3.1). The empty line
/// after the headers is there too.
fn lines(message: &[u8]) -> Vec<Range<usize>> {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let (mut start, mut body) = (0, false);
    while start < message.len() {
        let end = message[start..].iter().position(|b| matches!(b, b'\r' | b'\n'));
        let end = end.map_or(message.len(), |length| start + length);
        let folded = !body && matches!(message.get(start), Some(b' ' | b'\t'));
        match lines.last_mut() {
            Some(last) if folded && last.start < last.end => last.end = end,
            _ => lines.push(start..end),
        }
        body |= start == end;
        let crlf = message[end..].starts_with(b"\r\n");
        start = end + if crlf { 2 } else { 1 };
    }
    lines
}

/// Masks the value of a header of credentials.
fn mask_credentials(out: &mut [u8], value: Range<usize>, bare: bool) {
    let text = out[value.clone()].to_vec();
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let mut at = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    if !bare {
        let end =
            text[at..].iter().position(u8::is_ascii_whitespace).map_or(text.len(), |length| at + length);
        if !text[at..end].eq_ignore_ascii_case(b"digest") {
            // Basic, Bearer and whatever else: the whole is the secret.
            return fill(out, value.start + end..value.end);
        }
        at = end;
    }
    while at < text.len() {
        if blank(&text[at]) {
            at += 1;
            continue;
        }
        let until = |from: usize, stop: &dyn Fn(&u8) -> bool| {
            text[from..].iter().position(stop).map_or(text.len(), |length| from + length)
        };
        let name = at..until(at, &|byte| *byte == b'=' || blank(byte));
        let equals = until(name.end, &|byte| !byte.is_ascii_whitespace());
        if text.get(equals) != Some(&b'=') {
            // No parameter: perhaps a piece of one that was cut.
            fill(out, value.start + name.start..value.start + name.end);
            at = name.end.max(at + 1);
            continue;
        }
        let start = until(equals + 1, &|byte| !byte.is_ascii_whitespace());
        let end = match text.get(start) {
            Some(b'"') => quoted_end(&text, start),
            _ => until(start, &blank),
        };
        let shown = SHOWN.contains(&&*text[name].to_ascii_lowercase());
        if !shown {
            let inner = if text.get(start) == Some(&b'"') { start + 1..end } else { start..end };
            let closed = inner.start < inner.end && text.get(end - 1) == Some(&b'"');
            let inner = if closed { inner.start..inner.end - 1 } else { inner };
            fill(out, value.start + inner.start..value.start + inner.end);
        }
        at = end.max(at + 1);
    }
}

/// Behind the closing quote of the string that begins at `start`.
fn quoted_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn mask_body_line(out: &mut [u8], line: Range<usize>, dtmf: bool) {
    let text = out[line.clone()].to_ascii_lowercase();
    let after = |prefix: &[u8]| line.start + prefix.len()..line.end;
    if text.starts_with(b"a=crypto:") {
        // One key or several: `inline:` and the key up to `|`, `;` or the next parameter.
        let mut from = 0;
        while let Some(found) = memchr::memmem::find(&text[from..], b"inline:") {
            let start = from + found + b"inline:".len();
            let stop = |byte: &u8| matches!(byte, b'|' | b';' | b' ' | b'\t');
            let end = text[start..].iter().position(stop).map_or(text.len(), |length| start + length);
            fill(out, line.start + start..line.start + end);
            from = end;
        }
    } else if text.starts_with(b"a=key-mgmt:") {
        fill(out, after(b"a=key-mgmt:"));
    } else if text.starts_with(b"k=") {
        fill(out, after(b"k="));
    } else if dtmf {
        match text.iter().position(|byte| *byte == b'=') {
            Some(equals) if text.starts_with(b"signal") => {
                fill(out, line.start + equals + 1..line.end);
            }
            Some(_) => {}
            // `application/dtmf`: the body is the key.
            None => fill(out, line),
        }
    }
}

fn fill(out: &mut [u8], range: Range<usize>) {
    if let Some(part) = out.get_mut(range) {
        // Line ends inside a folded header stay.
        part.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = MASK);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(text: &str) -> String {
        String::from_utf8(masked(text.as_bytes())).unwrap()
    }

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let rows = [
            (
                "Authorization: Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:r\", response=\"0123abcd\", cnonce=\"cc\", nc=00000001, qop=auth",
                "Authorization: Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:r\", response=\"********\", cnonce=\"**\", nc=00000001, qop=auth",
            ),
            // Blanks, capitals, no quotes, a comma less, and a name that only looks like one.
            (
                "proxy-AUTHORIZATION :  digest RESPONSE = abc,username=\"response=x, y\"",
                "proxy-AUTHORIZATION :  digest RESPONSE = ***,username=\"response=x, y\"",
            ),
            // Folded.
            (
                "Authorization: Digest username=\"a\",\r\n response=\"abc\r\n def\"\r\nSubject: response=\"abc\"",
                "Authorization: Digest username=\"a\",\r\n response=\"***\r\n ***\"\r\nSubject: response=\"abc\"",
            ),
            // Not closed.
            ("Authorization: Digest response=\"abc", "Authorization: Digest response=\"***"),
            // Other schemes are secret as a whole.
            ("Authorization: Basic YTpi", "Authorization: Basic ****"),
            ("Authorization: Bearer a.b c", "Authorization: Bearer *** *"),
            (
                "Authentication-Info: rspauth=\"ab\", qop=auth",
                "Authentication-Info: rspauth=\"**\", qop=auth",
            ),
            ("WWW-Authenticate: Digest nonce=\"n\"", "WWW-Authenticate: Digest nonce=\"n\""),
        ];
        for (header, expected) in rows {
            let (start, end) = ("REGISTER sip:r SIP/2.0\r\n", "\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(mask(&format!("{start}{header}{end}")), format!("{start}{expected}{end}"));
        }
    }

    #[test]
    fn keys_of_media_and_keys_pressed_are_masked() {
        let rows = [
            (
                "application/sdp",
                "v=0\r\nk=clear:geheim\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3|2^20|1:4;inline:QUJD\r\na=x",
                "v=0\r\nk=************\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:****************|2^20|1:4;inline:****\r\na=x",
            ),
            ("application/sdp", "a=key-mgmt:mikey AQAF", "a=key-mgmt:***** ****"),
            ("application/dtmf-relay", "Signal=5\r\nDuration=160", "Signal=*\r\nDuration=160"),
            ("application/dtmf", "7", "*"),
            ("text/plain", "7\r\nSignal=5", "7\r\nSignal=5"),
        ];
        for (kind, body, expected) in rows {
            let head = format!("INFO sip:r SIP/2.0\r\nContent-Type: {kind}\r\n\r\n");
            assert_eq!(mask(&format!("{head}{body}\r\n")), format!("{head}{expected}\r\n"));
        }
    }

    proptest! {
        #[test]
        fn any_octets_keep_their_length(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(masked(&octets).len(), octets.len());
        }

        #[test]
        fn a_response_is_never_shown(before in "[ -~\r\n]{0,40}", after in "[ -~]{0,40}") {
            let text = format!(
                "REGISTER sip:r SIP/2.0\r\nAuthorization: Digest a=b, response=\"5ecretsecret\"{after}\r\nX: {before}"
            );
            prop_assert!(!mask(&text).contains("5ecretsecret"));
        }
    }
}
