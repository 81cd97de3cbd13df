//! CSeq: the order of requests in a dialog (RFC 3261 §20.16).

use std::fmt;

use crate::sip::message::Method;
use crate::sip::value::Cursor;
use crate::sip::value::Malformed;

/// A CSeq value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number; at most 2³¹−1 in what we send, any 32 bits in what we accept.
    pub number: u32,
    /// Method of the request.
    pub method: Method,
}

impl CSeq {
    /// Reads the value.
    ///
    /// # Errors
    /// When the number does not fit 32 bits or anything is missing or too much.
    pub fn parse(value: &str) -> Result<CSeq, Malformed> {
        const WRONG: Malformed = Malformed("CSeq");
        let mut cursor = Cursor::new(value);
        let number = cursor.take(|byte| byte.is_ascii_digit()).and_then(|digits| digits.parse().ok());
        let blank = cursor.rest().starts_with([' ', '\t']);
        let method = cursor.token().map(|token| Method::parse(token.as_bytes()));
        match (number, method) {
            (Some(number), Some(method)) if blank && cursor.at_end() => Ok(CSeq { number, method }),
            _ => Err(WRONG),
        }
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cseq_is_a_number_of_32_bits_and_a_method() {
        let table = [
            ("1 INVITE", Some((1, "INVITE"))),
            ("0009  INVITE ", Some((9, "INVITE"))),
            ("4294967295 invite", Some((u32::MAX, "invite"))),
            ("4294967296 INVITE", None),
            ("-1 INVITE", None),
            ("1INVITE", None),
            ("1", None),
            ("INVITE", None),
            ("1 INVITE x", None),
            ("", None),
        ];
        for (text, expected) in table {
            let read = CSeq::parse(text).ok();
            let read = read.as_ref().map(|cseq| (cseq.number, cseq.method.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
