//! Reason: why a call was ended (RFC 3326).

use std::fmt;

use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::Params;

/// One Reason value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850` or any other token.
    pub protocol: String,
    /// `cause`, `text` …
    pub params: Params,
}

impl Reason {
    /// `protocol ;cause=…;text="…"`.
    pub fn new(protocol: &str, cause: u16, text: &str) -> Reason {
        let mut params = Params::new();
        params.set("cause", Some(&cause.to_string()));
        params.set_quoted("text", text);
        Reason { protocol: protocol.to_owned(), params }
    }

    /// Reads one value, not a list.
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse(value: &str) -> Result<Reason, Malformed> {
        let mut cursor = Cursor::new(value);
        let protocol = cursor.token().ok_or(Malformed("Reason"))?.to_owned();
        let params = Params::parse(&mut cursor).map_err(|_| Malformed("Reason"))?;
        Ok(Reason { protocol, params })
    }

    /// The cause in the protocol's own numbers.
    pub fn cause(&self) -> Option<u16> {
        self.params.value("cause")?.parse().ok()
    }

    /// What a person may read.
    pub fn text(&self) -> Option<&str> {
        self.params.value("text")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.protocol, self.params)
    }
}
