//! What header values are made of: tokens, quoted strings, comma lists and parameters (RFC 3261 §7.3.1, §25.1).
//!
//! Values arrive unfolded (`scan.rs` does that). Comments in parentheses are not interpreted.

use std::fmt;

use memchr::memchr2;
use thiserror::Error;

/// A header value or URI that cannot be read; names which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// A set of ASCII octets, by table: these are asked for every octet of every message.
#[derive(Clone, Copy, Debug)]
pub struct ByteSet([bool; 256]);

impl ByteSet {
    /// Letters, digits and these.
    pub const fn alphanumeric_and(others: &[u8]) -> ByteSet {
        let mut set = [false; 256];
        let mut at = 0;
        while at < 128 {
            set[at] = (at as u8).is_ascii_alphanumeric();
            at += 1;
        }
        ByteSet(set).and(others)
    }

    /// This set and these.
    pub const fn and(mut self, others: &[u8]) -> ByteSet {
        let mut at = 0;
        while at < others.len() {
            self.0[others[at] as usize] = true;
            at += 1;
        }
        self
    }

    /// Whether `byte` is in the set.
    pub const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// Whether all octets of `text` are in the set.
    pub fn has_all(&self, text: &str) -> bool {
        text.bytes().all(|byte| self.has(byte))
    }
}

static TOKEN: ByteSet = ByteSet::alphanumeric_and(b"-.!%*_+`'~");
/// What an unquoted parameter value may hold: token and host (`[2001:db8::1]`) bytes (RFC 3261 §25.1 `gen-value`),
/// and some besides, which real stacks write without quotes.
static VALUE: ByteSet = ByteSet::alphanumeric_and(b"-.!%*_+`'~[]:/@&$?");

/// Whether `byte` may stand in a token (RFC 3261 §25.1).
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN.has(byte)
}

/// Whether `text` is a token: not empty, token bytes only.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && TOKEN.has_all(text)
}

/// The elements of a comma list, trimmed; commas inside quoted strings and `<…>` do not separate. Elements may be
/// empty, as in `a,,b`; an empty value has none.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value).filter(|value| !value.trim_matches(BLANK).is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = element_end(text);
        rest = text.get(end + 1..);
        Some(text[..end].trim_matches(BLANK))
    })
}

/// Space and tab, the only blanks left once a header is unfolded.
pub const BLANK: [char; 2] = [' ', '\t'];

fn element_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut quoted, mut bracketed) = (false, false);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' if !bracketed => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            b',' if !quoted && !bracketed => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Writes `text` as a quoted string, with `"` and `\` escaped.
pub fn write_quoted(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\\', '\r', '\n']) {
        out.write_str(&rest[..at])?;
        match rest.as_bytes()[at] {
            // These have no escape in a quoted string and would end the header.
            b'\r' | b'\n' => out.write_char(' ')?,
            escaped => {
                out.write_char('\\')?;
                out.write_char(escaped.into())?;
            }
        }
        rest = &rest[at + 1..];
    }
    out.write_str(rest)?;
    out.write_char('"')
}

/// A place in a value, moving right as things are read.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// Skips blanks and tells whether nothing is left.
    pub fn at_end(&mut self) -> bool {
        self.blanks();
        self.rest.is_empty()
    }

    /// Skips blanks.
    pub fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(BLANK);
    }

    /// The next byte after blanks.
    pub fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.rest.as_bytes().first().copied()
    }

    /// Reads `byte` (ASCII) with blanks around it, if it comes next.
    pub fn eat(&mut self, byte: u8) -> bool {
        if self.peek() != Some(byte) {
            return false;
        }
        self.rest = &self.rest[1..];
        self.blanks();
        true
    }

    /// Reads the bytes for which `wanted` holds, at least one; `wanted` must be false for parts of characters.
    pub fn take(&mut self, wanted: impl Fn(u8) -> bool) -> Option<&'a str> {
        let end = self.rest.bytes().position(|byte| !wanted(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).filter(|(taken, _)| !taken.is_empty())?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads a token.
    pub fn token(&mut self) -> Option<&'a str> {
        self.blanks();
        self.take(is_token_byte)
    }

    /// Reads everything before `byte` (ASCII) and `byte` itself.
    pub fn until(&mut self, byte: char) -> Option<&'a str> {
        let (before, rest) = self.rest.split_once(byte)?;
        self.rest = rest;
        Some(before)
    }

    /// Reads a quoted string, without its quotes and escapes.
    pub fn quoted(&mut self) -> Option<String> {
        let mut rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let at = memchr2(b'"', b'\\', rest.as_bytes())?;
            text.push_str(&rest[..at]);
            if rest.as_bytes()[at] == b'"' {
                self.rest = &rest[at + 1..];
                return Some(text);
            }
            let escaped = rest[at + 1..].chars().next()?;
            text.push(escaped);
            rest = &rest[at + 1 + escaped.len_utf8()..];
        }
    }
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Param {
    name: String,
    value: Option<String>,
    quoted: bool,
}

/// Parameters in order, found by name without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Params(Vec<Param>);

impl Params {
    /// None.
    pub fn new() -> Params {
        Params::default()
    }

    /// Reads `;name=value;name…` to the end of the value.
    ///
    /// # Errors
    /// When anything else stands there.
    pub fn parse(cursor: &mut Cursor) -> Result<Params, Malformed> {
        let mut params = Params::new();
        while !cursor.at_end() {
            if !cursor.eat(b';') {
                return Err(Malformed("parameter"));
            }
            // A `;` too many is sent by real phones and harms nobody.
            if matches!(cursor.peek(), None | Some(b';')) {
                continue;
            }
            let name = cursor.token().ok_or(Malformed("parameter"))?.to_owned();
            if !cursor.eat(b'=') {
                params.0.push(Param { name, value: None, quoted: false });
                continue;
            }
            let quoted = cursor.peek() == Some(b'"');
            let value = match quoted {
                true => cursor.quoted(),
                false => cursor.take(|byte| VALUE.has(byte)).map(str::to_owned),
            };
            params.0.push(Param { name, value: Some(value.ok_or(Malformed("parameter"))?), quoted });
        }
        Ok(params)
    }

    /// Whether the parameter is there, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The parameter: `None` if absent, `Some(None)` if it has no value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        let param = self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))?;
        Some(param.value.as_deref())
    }

    /// The value of the parameter, without quotes.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).flatten()
    }

    /// Adds the parameter or gives it this value, in its old place.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let quoted = value.is_some_and(|value| value.is_empty() || !VALUE.has_all(value));
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            Some(param) => (param.value, param.quoted) = (value, quoted),
            None => self.0.push(Param { name: name.to_owned(), value, quoted }),
        }
    }

    /// As `set`, and writes the value in quotes even where it could do without.
    pub fn set_quoted(&mut self, name: &str, value: &str) {
        self.set(name, Some(value));
        if let Some(param) = self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            param.quoted = true;
        }
    }

    /// Adds the parameter at the end, without looking for an older one of the name.
    pub fn push(&mut self, name: &str, value: Option<&str>) {
        let quoted = value.is_some_and(|value| value.is_empty() || !VALUE.has_all(value));
        self.0.push(Param { name: name.to_owned(), value: value.map(str::to_owned), quoted });
    }

    /// Takes the parameter out; tells whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|param| !param.name.eq_ignore_ascii_case(name));
        self.0.len() < before
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|param| (param.name.as_str(), param.value.as_deref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for param in &self.0 {
            write!(f, ";{}", param.name)?;
            match &param.value {
                Some(value) if param.quoted => {
                    f.write_str("=")?;
                    write_quoted(f, value)?;
                }
                Some(value) => write!(f, "={value}")?,
                None => {}
            }
        }
        Ok(())
    }
}
