//! What protects a stream, as negotiated: a suite, and a master key for each direction. Session keys are derived from it
//! (RFC 3711 §4.3).

use std::fmt;

use crate::media::srtp::RTCP_TAG;
use crate::media::srtp::counter_key;
use crate::media::srtp::keystream;

/// Longest master key with its salt.
const MASTER_MAX: usize = 46;

/// How a stream is encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// AES-128 in GCM, tag of 16 octets (RFC 7714).
    AeadAes128Gcm,
    /// AES-256 in GCM, tag of 16 octets (RFC 7714).
    AeadAes256Gcm,
    /// AES-128 in counter mode, HMAC-SHA1 of 10 octets (RFC 3711).
    AesCm128HmacSha1_80,
    /// AES-256 in counter mode, HMAC-SHA1 of 10 octets (RFC 6188).
    AesCm256HmacSha1_80,
    /// AES-128 in counter mode, HMAC-SHA1 of 4 octets, 10 in SRTCP (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 of 4 octets, 10 in SRTCP (RFC 6188).
    AesCm256HmacSha1_32,
}

impl Suite {
    /// Every suite, the best first.
    pub const ALL: [Suite; 6] = [
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm256HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::AesCm256HmacSha1_32,
    ];

    /// Its name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
        }
    }

    /// The suite of this name.
    pub fn named(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Octets of a master key with its salt.
    pub fn master_bytes(self) -> usize {
        self.key_bytes() + self.salt_bytes()
    }

    /// Octets of a master key.
    pub(in crate::media) fn key_bytes(self) -> usize {
        match self {
            Suite::AeadAes128Gcm | Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 16,
            Suite::AeadAes256Gcm | Suite::AesCm256HmacSha1_80 | Suite::AesCm256HmacSha1_32 => 32,
        }
    }

    /// Octets of a master salt.
    pub(in crate::media) fn salt_bytes(self) -> usize {
        if self.is_gcm() { 12 } else { 14 }
    }

    pub(super) fn is_gcm(self) -> bool {
        matches!(self, Suite::AeadAes128Gcm | Suite::AeadAes256Gcm)
    }

    /// Octets of an RTP packet, and of an RTCP packet, that stand behind the key's identifier: the tag of the counter-mode
    /// suites (RFC 3711 §3.1, §3.4); nothing in GCM, whose tag goes before it (RFC 7714 §8.2, §9.2).
    pub(super) fn behind_mki(self) -> (usize, usize) {
        if self.is_gcm() { (0, 0) } else { (self.tag_bytes(), RTCP_TAG) }
    }

    /// Octets of the tag of an RTP packet in the counter-mode suites.
    pub(super) fn tag_bytes(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_32 | Suite::AesCm256HmacSha1_32 => 4,
            Suite::AesCm128HmacSha1_80 | Suite::AesCm256HmacSha1_80 => 10,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
        }
    }
}

/// The identifier of a master key that stands in each of its packets (RFC 3711 §3.1), where one was negotiated: at most
/// four octets, and none in most sessions. It is not encrypted, and not authenticated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mki {
    octets: [u8; 4],
    length: u8,
}

impl Mki {
    /// The identifier `value` in so many octets, at most four.
    pub(super) fn new((value, length): (u32, u8)) -> Mki {
        let length = length.min(4);
        let mut octets = [0; 4];
        octets[..usize::from(length)].copy_from_slice(&value.to_be_bytes()[4 - usize::from(length)..]);
        Mki { octets, length }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Puts it into the packet that ends the buffer, before the last `behind` octets.
    pub(super) fn put(&self, buffer: &mut Vec<u8>, behind: usize) {
        if self.length > 0 {
            buffer.extend_from_slice(self.octets());
            let from = buffer.len().saturating_sub(behind + self.octets().len());
            buffer[from..].rotate_right(self.octets().len());
        }
    }

    /// Takes it out of a packet again; `None` when it is not there.
    pub(super) fn take<'d>(&self, datagram: &'d mut [u8], behind: usize) -> Option<&'d mut [u8]> {
        if self.length == 0 {
            return Some(datagram);
        }
        let at = datagram.len().checked_sub(behind + self.octets().len())?;
        let tail = &mut datagram[at..];
        if !tail.starts_with(self.octets()) {
            return None;
        }
        tail.rotate_left(self.octets().len());
        let whole = datagram.len() - self.octets().len();
        Some(&mut datagram[..whole])
    }
}

/// A master key and its salt, one after the other; `Debug` never shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    bytes: [u8; MASTER_MAX],
    suite: Suite,
    mki: Mki,
}

impl Master {
    /// The first [`Suite::master_bytes`] of `bytes`; `None` when there are fewer.
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Master> {
        let given = bytes.get(..suite.master_bytes())?;
        let mut bytes = [0; MASTER_MAX];
        bytes[..given.len()].copy_from_slice(given);
        Some(Master { bytes, suite, mki: Mki::default() })
    }

    /// With this identifier in each packet: its value and its octets.
    pub fn identified(self, mki: Option<(u32, u8)>) -> Master {
        Master { mki: mki.map(Mki::new).unwrap_or_default(), ..self }
    }

    /// Its identifier.
    pub(super) fn mki(&self) -> Mki {
        self.mki
    }

    /// Whether it protects as the other one does, whatever identifies it.
    pub(super) fn is_key_of(&self, other: &Master) -> bool {
        (self.suite, self.bytes) == (other.suite, other.bytes)
    }

    /// What it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.suite.master_bytes()]
    }

    /// A session key (RFC 3711 §4.3): the keystream of the master key, begun at the salt with the label in it. The
    /// salt of GCM is two octets shorter and counts as ending in zeros (RFC 7714 §11).
    pub(super) fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let (key, salt) = self.bytes().split_at(self.suite.key_bytes());
        let mut start = [0; 16];
        start[..salt.len()].copy_from_slice(salt);
        start[7] ^= label;
        let mut derived = [0; N];
        keystream(&counter_key(key), start, &mut derived);
        derived
    }

    /// As `derive`, of the length of the suite's cipher key.
    pub(super) fn derive_key(&self, label: u8) -> ([u8; 32], usize) {
        (self.derive(label), self.suite.key_bytes())
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ***", self.suite.name())
    }
}

/// What was negotiated: a key for each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// We send with this one.
    pub send: Master,
    /// They send with this one.
    pub receive: Master,
}
