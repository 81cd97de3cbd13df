//! `a=crypto`: a suite and a key for the one direction that its writer sends in (RFC 4568 §9).
//!
//! Attributes that this system could not keep to are passed over as if they were not there: several keys, key
//! identifiers (MKI) of more than four octets, and session parameters that turn protection off.

use std::fmt;

use crate::sdp::Attribute;
use crate::sdp::Media;

/// Attributes of one media that are read at most.
const CRYPTO_MAX: usize = 16;
/// Octets of a master key with its salt at most, in any suite there is.
const KEY_MAX: usize = 64;

/// One `a=crypto` attribute. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Names the attribute in the answer.
    pub tag: u32,
    /// `AES_CM_128_HMAC_SHA1_80` …
    pub suite: String,
    /// Master key and salt, one after the other.
    pub key: Vec<u8>,
    /// The identifier of the key (MKI) that stands in each packet: its value, and its length of 1 to 4 octets.
    pub mki: Option<(u32, u8)>,
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ***", self.tag, self.suite)
    }
}

impl Crypto {
    /// Reads the value of an attribute; `None` for what is malformed or cannot be kept to.
    pub fn parse(value: &str) -> Option<Crypto> {
        let mut parts = value.split_whitespace();
        let tag = parts.next().filter(|tag| (1..=9).contains(&tag.len()))?.parse().ok()?;
        let suite = parts.next()?.to_owned();
        // §6.1: `inline:key|lifetime|MKI:length`; a lifetime counts packets that no call ever has.
        let (method, info) = parts.next()?.split_once(':')?;
        let mut info = info.split('|');
        let key = decode(info.next()?)?;
        let mut behind = info.skip_while(|part| !part.contains(':'));
        let mki = match behind.next() {
            Some(part) => Some(mki(part)?),
            None => None,
        };
        if !method.eq_ignore_ascii_case("inline") || behind.next().is_some() || !parts.all(is_harmless) {
            return None;
        }
        Some(Crypto { tag, suite, key, mki })
    }

    /// The attribute.
    pub fn attribute(&self) -> Attribute {
        let mki = self.mki.map(|(value, length)| format!("|{value}:{length}")).unwrap_or_default();
        let (tag, suite, key) = (self.tag, &self.suite, encode(&self.key));
        ("crypto".into(), Some(format!("{tag} {suite} inline:{key}{mki}")))
    }
}

impl Media {
    /// What its `a=crypto` attributes offer, in order.
    pub fn cryptos(&self) -> Vec<Crypto> {
        self.values("crypto").take(CRYPTO_MAX).filter_map(Crypto::parse).collect()
    }
}

/// §6.1: `value:length`; the value fits into that many octets.
fn mki(part: &str) -> Option<(u32, u8)> {
    let (value, length) = part.split_once(':')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value: u32 = Some(value).filter(|value| digits(value))?.parse().ok()?;
    let length: u8 = Some(length).filter(|length| digits(length))?.parse().ok()?;
    let fits = (1..=4).contains(&length) && u64::from(value) < 1 << (8 * u32::from(length));
    fits.then_some((value, length))
}

/// §6.3: the size of a window is a hint, and what begins with `-` may be passed over.
fn is_harmless(param: &str) -> bool {
    param.starts_with('-') || param.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648 §4), with or without the padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if digits.len() % 4 == 1 || text.len() > KEY_MAX.div_ceil(3) * 4 {
        return None;
    }
    let mut octets = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for digit in group {
            bits = bits << 6 | DIGITS.iter().position(|known| known == digit)? as u32;
        }
        bits <<= 6 * (4 - group.len());
        octets.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(octets)
}

fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_phones_write_them_and_others_passed_over() {
        let key = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        let rows = [
            // RFC 4568 §9.1 and what phones send.
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}"), Some(30)),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20"), Some(30)),
            (format!("2  AES_CM_128_HMAC_SHA1_32 {key}|1048576 WSH=64 -x=1"), Some(30)),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {}", key.replace("inline", "INLINE")), Some(30)),
            ("5 F8_128_HMAC_SHA1_80 inline:AQID".into(), Some(3)),
            ("5 x inline:AQ==".into(), Some(1)),
            ("5 x inline:AQI".into(), Some(2)),
            // A key with its identifier; identifiers that are none or too long; several keys, other methods.
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20|1:4"), Some(30)),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1066:2"), Some(30)),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1066:1"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1:5"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1:0"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|:1"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|+1:1"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1:1|2:1"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key};{key}"), None),
            ("1 AES_CM_128_HMAC_SHA1_80 uri:AQID".into(), None),
            // Less protection than is thought, or nobody knows which.
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key} UNENCRYPTED_SRTP"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {key} KDR=1"), None),
            // No number, no key, no base64, one that is too long.
            (format!("x AES_CM_128_HMAC_SHA1_80 {key}"), None),
            (format!("1234567890 AES_CM_128_HMAC_SHA1_80 {key}"), None),
            ("1 AES_CM_128_HMAC_SHA1_80".into(), None),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:A".into(), None),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:A$AA".into(), None),
            (format!("1 x inline:{}", "A".repeat(96)), None),
            (String::new(), None),
        ];
        for (value, expect) in rows {
            assert_eq!(Crypto::parse(&value).map(|crypto| crypto.key.len()), expect, "{value}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let crypto = Crypto::parse("1 AES_CM_128_HMAC_SHA1_80 inline:AQID").unwrap();
        assert_eq!(format!("{crypto:?}"), "1 AES_CM_128_HMAC_SHA1_80 ***");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_written_is_read_back(
            key in proptest::collection::vec(0u8.., 0..64),
            tag in 1u32..1_000_000_000,
            mki in proptest::option::of((0u32..256, 1u8..5)),
        ) {
            let crypto = Crypto { tag, suite: "AEAD_AES_128_GCM".into(), key, mki };
            let (_, value) = crypto.attribute();
            proptest::prop_assert_eq!(Crypto::parse(&value.unwrap()), Some(crypto));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-9]{0,3} ?[A-Z_]{0,4} ?(inline:)?.{0,40}") {
            let _ = Crypto::parse(&text);
        }
    }
}
