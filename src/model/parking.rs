//! Where callers are parked: a range of slots, each with an extension of its own.

use std::time::Duration;

use crate::model::flow::Destination;

/// `[parking]` of a company.
#[derive(Debug, Clone, PartialEq)]
pub struct Parking {
    /// The first slot.
    pub first: u32,
    /// The last slot.
    pub last: u32,
    /// How long a caller is parked before who parked is rung (10 s–1 h).
    pub return_after: Duration,
    /// Where the caller goes when who parked does not answer then; without it the caller stays parked.
    pub return_to: Option<Destination>,
}

impl Parking {
    /// The slot of this extension, when it is one.
    pub fn slot(&self, ext: &str) -> Option<u32> {
        // "0701" reads as 701, but is no slot.
        let plain = !ext.starts_with('0') && ext.bytes().all(|byte| byte.is_ascii_digit());
        let slot = ext.parse::<u32>().ok().filter(|_| plain)?;
        (self.first..=self.last).contains(&slot).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_its_plain_digits() {
        let parking =
            Parking { first: 701, last: 709, return_after: Duration::from_secs(120), return_to: None };
        let rows = [("701", Some(701)), ("709", Some(709)), ("710", None), ("0701", None), ("+701", None)];
        for (ext, expected) in rows {
            assert_eq!(parking.slot(ext), expected, "{ext}");
        }
    }
}
