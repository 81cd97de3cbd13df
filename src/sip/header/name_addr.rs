//! An address with a display name and parameters: From, To, Contact, Route, Refer-To and their kind
//! (RFC 3261 §20.10, §20.20).

use std::fmt;

use crate::sip::header::Headers;
use crate::sip::header::delta_seconds;
use crate::sip::header::name::Name;
use crate::sip::uri::Uri;
use crate::sip::value::BLANK;
use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::Params;
use crate::sip::value::write_quoted;

/// `"Display" <uri>;params`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name, without quotes and escapes; never empty.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// Header parameters: `tag`, `q`, `expires` …
    pub params: Params,
}

/// What the Contact headers of a message hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// `*`: all bindings (REGISTER with Expires 0).
    Star,
    /// Addresses in order, perhaps none.
    List(Vec<NameAddr>),
}

const WRONG: Malformed = Malformed("address");

impl NameAddr {
    /// An address with neither display name nor parameters.
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr { display: None, uri, params: Params::new() }
    }

    /// Reads one value, not a list.
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse(value: &str) -> Result<NameAddr, Malformed> {
        let mut cursor = Cursor::new(value);
        let display = match cursor.peek().ok_or(WRONG)? {
            b'"' => Some(cursor.quoted().ok_or(WRONG)?),
            _ => match cursor.rest().find('<') {
                // RFC 4475 §3.1.2.15: bytes that no token may hold are tolerated in an unquoted display name.
                Some(at) if !cursor.rest()[..at].contains('"') => {
                    let before = cursor.rest()[..at].trim_matches(BLANK).to_owned();
                    cursor = Cursor::new(&cursor.rest()[at..]);
                    Some(before)
                }
                Some(_) => return Err(WRONG),
                None => None,
            },
        };
        let bracketed = display.is_some();
        let uri = if bracketed {
            if !cursor.eat(b'<') {
                return Err(WRONG);
            }
            cursor.until('>').ok_or(WRONG)?.trim_matches(BLANK)
        } else {
            let uri = cursor.take(|byte| byte != b';').ok_or(WRONG)?.trim_matches(BLANK);
            // RFC 3261 §20: a URI with `,`, `?` or `;` must stand in brackets.
            if uri.contains([',', '?']) {
                return Err(WRONG);
            }
            uri
        };
        let uri = Uri::parse(uri)?;
        let params = Params::parse(&mut cursor)?;
        Ok(NameAddr { display: display.filter(|display| !display.is_empty()), uri, params })
    }

    /// The tag of a From or To.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag").filter(|tag| !tag.is_empty())
    }

    /// The value of a header parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.value(name)
    }

    /// Preference of a Contact in thousandths: 1000 when not given or unreadable.
    pub fn q(&self) -> u16 {
        self.params.value("q").and_then(thousandths).unwrap_or(1000)
    }

    /// Seconds that a Contact asks to be kept, `None` if it does not say.
    pub fn expires(&self) -> Option<u32> {
        self.params.value("expires").map(delta_seconds)
    }
}

impl Contacts {
    /// Reads all Contact headers.
    ///
    /// # Errors
    /// When one is malformed, or `*` is not alone.
    pub fn read(headers: &Headers) -> Result<Contacts, Malformed> {
        const WRONG: Malformed = Malformed("Contact");
        if headers.all(&Name::Contact).eq(["*"]) {
            return Ok(Contacts::Star);
        }
        let list: Result<_, _> = headers.values(&Name::Contact, NameAddr::parse).collect();
        list.map(Contacts::List).map_err(|_| WRONG)
    }
}

/// `0.5` → 500 (RFC 3261 §25.1 `qvalue`).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u16 = match whole {
        "0" | "" => 0,
        "1" => 1000,
        _ => return None,
    };
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole + fraction).filter(|value| *value <= 1000)
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(display) = &self.display {
            write_quoted(f, display)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        // Read, display, URI, tag.
        let table = [
            ("<sip:a@h>", None, "sip:a@h", None),
            ("sip:a@h;tag=1", None, "sip:a@h", Some("1")),
            ("\"A <x> B\" <sip:a@h>;tag=1", Some("A <x> B"), "sip:a@h", Some("1")),
            ("\"A, \\\"B\\\"\"<sip:a@h;lr>", Some("A, \"B\""), "sip:a@h;lr", None),
            ("Alice Example  <sip:a@h> ; tag = 1", Some("Alice Example"), "sip:a@h", Some("1")),
            ("<tel:+1201>", None, "tel:+1201", None),
            ("\"\" <sip:a@h>", None, "sip:a@h", None),
            ("<sip:a@h>;+sip.instance=\"<urn:uuid:1, 2>\";tag=x", None, "sip:a@h", Some("x")),
            ("<sip:a@h>;;tag=x;", None, "sip:a@h", Some("x")),
        ];
        for (read, display, uri, tag) in table {
            let address = NameAddr::parse(read).unwrap_or_else(|error| panic!("{read}: {error}"));
            assert_eq!(address.display.as_deref(), display, "{read}");
            assert_eq!(address.uri.to_string(), uri);
            assert_eq!(address.tag(), tag);
            assert_eq!(NameAddr::parse(&address.to_string()).unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let table = [
            "",
            "\"A <sip:a@h>",
            "<sip:a@h",
            "sip:a@h?x=y",
            "<sip:a@h> tag=1",
            "<sip:a@h>;tag=\"1",
            "A\" <sip:a@h>",
            "*",
        ];
        for text in table {
            assert!(NameAddr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn q_is_read_in_thousandths() {
        let table = [("0", 0), ("1", 1000), ("0.5", 500), ("0.75", 750), ("1.000", 1000), (".3", 300)];
        for (text, expected) in table {
            assert_eq!(NameAddr::parse(&format!("<sip:a@h>;q={text}")).unwrap().q(), expected);
        }
        for unreadable in ["1.5", "2", "0.0001", "x"] {
            assert_eq!(NameAddr::parse(&format!("<sip:a@h>;q={unreadable}")).unwrap().q(), 1000);
        }
    }
}
