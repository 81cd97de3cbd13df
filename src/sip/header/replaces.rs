//! Replaces and Target-Dialog: which dialog another message is about (RFC 3891 §6.1, RFC 4538 §7).

use std::fmt;

use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::Params;

/// A Replaces value. Seen from who receives it, `to_tag` is the own tag and `from_tag` the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// Tag of who receives the header; `0` for a peer of RFC 2543.
    pub to_tag: String,
    /// Tag of the other side.
    pub from_tag: String,
    /// Only a dialog that is not answered may be replaced (§3).
    pub early_only: bool,
}

impl Replaces {
    /// Reads a Replaces value.
    ///
    /// # Errors
    /// When it breaks the grammar, or names not exactly one of each tag (§3).
    pub fn parse(value: &str) -> Result<Replaces, Malformed> {
        named(value, "Replaces", "to-tag", "from-tag")
    }

    /// Reads a Target-Dialog value: its `remote-tag` is ours, for it is written by the other side (RFC 4538 §3).
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse_target_dialog(value: &str) -> Result<Replaces, Malformed> {
        named(value, "Target-Dialog", "remote-tag", "local-tag")
    }
}

fn named(value: &str, header: &'static str, ours: &str, theirs: &str) -> Result<Replaces, Malformed> {
    let wrong = Malformed(header);
    let mut cursor = Cursor::new(value);
    let call_id = cursor
        .take(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b','))
        .ok_or(Malformed(header))?
        .to_owned();
    let params = Params::parse(&mut cursor).map_err(|_| Malformed(header))?;
    let only = |name: &str| {
        let mut found = params.iter().filter(|(param, _)| param.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, Some(tag))), None) => Some(tag.to_owned()),
            _ => None,
        }
    };
    match (only(ours), only(theirs)) {
        (Some(to_tag), Some(from_tag)) if cursor.at_end() => {
            Ok(Replaces { call_id, to_tag, from_tag, early_only: params.contains("early-only") })
        }
        _ => Err(wrong),
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        f.write_str(if self.early_only { ";early-only" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialog_is_read_and_printed_and_half_named_ones_are_refused() {
        let sound = ["a84b4c76e66710@pc33;to-tag=7;from-tag=8", "98asjd8@h;to-tag=1;from-tag=2;early-only"];
        for text in sound {
            assert_eq!(Replaces::parse(text).unwrap().to_string(), text);
        }
        let twisted = Replaces::parse("c@h ; from-tag=8 ;other=x;to-tag=7").unwrap();
        assert_eq!((&*twisted.to_tag, &*twisted.from_tag), ("7", "8"));
        for text in [
            "",
            ";to-tag=1;from-tag=2",
            "c;to-tag=1",
            "c;to-tag;from-tag=2",
            "c;to-tag=1;to-tag=2;from-tag=3",
        ] {
            assert!(Replaces::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_dialog_names_the_receivers_tag_as_remote() {
        let target = Replaces::parse_target_dialog("c@h;local-tag=theirs;remote-tag=ours").unwrap();
        assert_eq!((&*target.to_tag, &*target.from_tag), ("ours", "theirs"));
    }
}
