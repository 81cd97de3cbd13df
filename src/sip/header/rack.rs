//! RAck: which provisional response a PRACK acknowledges (RFC 3262 §7.2).

use std::fmt;

use crate::sip::header::CSeq;
use crate::sip::value::Malformed;

/// A RAck value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// RSeq of the response.
    pub rseq: u32,
    /// Its CSeq.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads the value.
    ///
    /// # Errors
    /// When a number does not fit 32 bits or anything is missing or too much.
    pub fn parse(value: &str) -> Result<RAck, Malformed> {
        const WRONG: Malformed = Malformed("RAck");
        let (rseq, rest) = value.trim().split_once([' ', '\t']).ok_or(WRONG)?;
        if !rseq.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WRONG);
        }
        let rseq = rseq.parse().map_err(|_| WRONG)?;
        let cseq = CSeq::parse(rest.trim()).map_err(|_| WRONG)?;
        Ok(RAck { rseq, cseq })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_method_are_read_and_printed() {
        assert_eq!(RAck::parse("776656 1 INVITE").unwrap().to_string(), "776656 1 INVITE");
        assert_eq!(RAck::parse(" 1  2\tINVITE ").unwrap().rseq, 1);
        for text in ["", "1", "1 2", "x 2 INVITE", "4294967296 1 INVITE", "+1 2 INVITE", "1 2 INVITE 3"] {
            assert!(RAck::parse(text).is_err(), "{text}");
        }
    }
}
