//! Session-Expires: how long a session lives without a refresh, and who refreshes it (RFC 4028 §4).

use std::fmt;

use crate::sip::header::delta_seconds;
use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::Params;

/// Who refreshes, in the request that negotiates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

/// A Session-Expires value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub seconds: u32,
    /// Who refreshes, if it is said.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads the value.
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse(value: &str) -> Result<SessionExpires, Malformed> {
        const WRONG: Malformed = Malformed("Session-Expires");
        let mut cursor = Cursor::new(value);
        let digits = cursor.take(|byte| byte.is_ascii_digit()).ok_or(WRONG)?;
        let params = Params::parse(&mut cursor).map_err(|_| WRONG)?;
        let refresher = match params.value("refresher") {
            Some(name) if name.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(name) if name.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return Err(WRONG),
            None => None,
        };
        if !cursor.at_end() {
            return Err(WRONG);
        }
        Ok(SessionExpires { seconds: delta_seconds(digits), refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_refresher_are_read_and_printed() {
        for text in ["1800", "90;refresher=uac", "4294967295;refresher=uas"] {
            assert_eq!(SessionExpires::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(SessionExpires::parse("90 ;Refresher=UAS;x").unwrap().refresher, Some(Refresher::Uas));
        for text in ["", "x", "90;refresher=me", "90 1"] {
            assert!(SessionExpires::parse(text).is_err(), "{text}");
        }
    }
}
