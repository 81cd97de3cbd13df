//! Keys by DTLS-SRTP (RFC 5763, RFC 5764): what is agreed on, and what engine and worker say to each other.
//!
//! A handshake is public-key work of a millisecond and wants randomness: it is done by a worker of the shell
//! (`shell/media/worker.rs`). The engine hands out what comes and is told what to send and, at last, the keys.

use std::fmt;
use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;

use crate::media::StreamId;
use crate::media::srtp::Keys;
use crate::media::srtp::Master;
use crate::media::srtp::Suite;

/// Octets of the longest digest.
const DIGEST_MAX: usize = 64;

/// Who begins a handshake, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We do: client, `a=setup:active`.
    Active,
    /// They do: server, `a=setup:passive`.
    Passive,
}

/// A digest of a certificate (RFC 8122 §5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    hash: Hash,
    digest: [u8; DIGEST_MAX],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

    fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha-256",
            Hash::Sha384 => "sha-384",
            Hash::Sha512 => "sha-512",
        }
    }

    fn octets(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }

    fn digest(self, certificate: &[u8]) -> Fingerprint {
        let mut digest = [0; DIGEST_MAX];
        let octets = &mut digest[..self.octets()];
        match self {
            Hash::Sha256 => octets.copy_from_slice(&Sha256::digest(certificate)),
            Hash::Sha384 => octets.copy_from_slice(&Sha384::digest(certificate)),
            Hash::Sha512 => octets.copy_from_slice(&Sha512::digest(certificate)),
        }
        Fingerprint { hash: self, digest }
    }
}

impl Fingerprint {
    /// The SHA-256 of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Fingerprint {
        Hash::Sha256.digest(certificate)
    }

    /// Whether it is that certificate's (in DER).
    pub fn fits(&self, certificate: &[u8]) -> bool {
        self.hash.digest(certificate) == *self
    }

    /// The value of an `a=fingerprint`; `None` for what is malformed, and for digests that are too weak (SHA-1, MD5).
    pub fn parse(value: &str) -> Option<Fingerprint> {
        let (name, digits) = value.trim().split_once(char::is_whitespace)?;
        let hash = Hash::ALL.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let mut digest = [0; DIGEST_MAX];
        let mut pairs = digits.trim().split(':');
        for octet in &mut digest[..hash.octets()] {
            let pair = pairs.next().filter(|pair| pair.len() == 2)?;
            *octet = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Fingerprint { hash, digest })
    }
}

/// As in `a=fingerprint`: `sha-256 4A:AD:…`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (octet, sign) in
            self.digest[..self.hash.octets()].iter().zip([' '].into_iter().chain([':'; DIGEST_MAX]))
        {
            write!(f, "{sign}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What two descriptions agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Our part.
    pub role: Role,
    /// Whose certificate the other side must show.
    pub fingerprint: Fingerprint,
}

/// From the engine to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Begins a handshake in place of an older one of the stream.
    Begin {
        /// Whose.
        stream: StreamId,
        /// On these terms.
        terms: Terms,
        /// Where the other side is was proven by ICE; else a server asks for a cookie first (RFC 6347 §4.2.1).
        proven: bool,
    },
    /// What came.
    Datagram {
        /// Whose.
        stream: StreamId,
        /// One or more records.
        bytes: Box<[u8]>,
    },
    /// The stream is over.
    End {
        /// Which.
        stream: StreamId,
    },
}

/// From the worker to the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To be sent where the handshake comes from.
    Datagram {
        /// Whose.
        stream: StreamId,
        /// One or more records.
        bytes: Box<[u8]>,
    },
    /// The certificate is the one that was named, and these keys protect the stream.
    Keys {
        /// Whose.
        stream: StreamId,
        /// By the exporter.
        keys: Keys,
    },
    /// There are no keys: the stream stays silent.
    Failed {
        /// Whose.
        stream: StreamId,
        /// For the operator.
        why: Arc<str>,
    },
}

impl Answer {
    /// Whose answer it is.
    pub fn stream(&self) -> StreamId {
        match self {
            Answer::Datagram { stream, .. } | Answer::Keys { stream, .. } | Answer::Failed { stream, .. } => {
                *stream
            }
        }
    }
}

/// The keys of a suite from exported octets: client's key, server's key, client's salt, server's salt (RFC 5764 §4.2).
/// `None` when there are too few octets.
pub fn keys(suite: Suite, exported: &[u8], role: Role) -> Option<Keys> {
    let key = suite.key_bytes();
    let salt = suite.salt_bytes();
    let master = |at: usize| {
        let key = exported.get(at * key..(at + 1) * key)?;
        let salt = exported.get(2 * suite.key_bytes() + at * salt..)?.get(..salt)?;
        Master::new(suite, &[key, salt].concat())
    };
    let (client, server) = (master(0)?, master(1)?);
    Some(match role {
        Role::Active => Keys { send: client, receive: server },
        Role::Passive => Keys { send: server, receive: client },
    })
}

/// Content types of records that may come in the clear (RFC 6347 §4.1, RFC 9147 §4).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const ACK: u8 = 26;

/// The handshake message that begins it all.
const CLIENT_HELLO: u8 = 1;

/// Whether a datagram may be of a handshake that has brought no keys yet: its records are whole, and those in the clear hold
/// whole pieces of handshake messages, all of a ClientHello if `hello`. RFC 6347 §4.1.2.7 has anything else discarded in
/// silence; alerts in the clear too, for anybody could have sent them.
pub fn is_of_handshake(datagram: &[u8], hello: bool) -> bool {
    let mut rest = datagram;
    while let Some(kind) = rest.first() {
        if kind & 0xe0 == 0x20 {
            // RFC 9147 §4: encrypted, with a header of its own.
            return !hello;
        }
        let Some((head, body)) = rest.split_at_checked(13) else { return false };
        let length = usize::from(u16::from_be_bytes([head[11], head[12]]));
        let Some((body, behind)) = body.split_at_checked(length) else { return false };
        let fits = match (*kind, head[3..5] == [0, 0]) {
            (HANDSHAKE, true) => holds_pieces(body, hello),
            (CHANGE_CIPHER_SPEC | ACK, true) | (_, false) => !hello,
            (_, true) => false,
        };
        if !fits {
            return false;
        }
        rest = behind;
    }
    !datagram.is_empty()
}

/// Whether the body of a record is of whole pieces of handshake messages (RFC 6347 §4.2.2).
fn holds_pieces(body: &[u8], hello: bool) -> bool {
    let number =
        |octets: &[u8]| octets.iter().fold(0usize, |number, octet| number << 8 | usize::from(*octet));
    let mut rest = body;
    while !rest.is_empty() {
        let Some((head, more)) = rest.split_at_checked(12) else { return false };
        let (whole, from, length) = (number(&head[1..4]), number(&head[6..9]), number(&head[9..12]));
        if from + length > whole || length > more.len() || hello && head[0] != CLIENT_HELLO {
            return false;
        }
        rest = &more[length..];
    }
    !body.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_browsers_write_them_and_weak_ones_are_not() {
        let of = Fingerprint::of(b"a certificate");
        let text = of.to_string();
        assert_eq!(text.len(), "sha-256".len() + 32 * 3);
        let colons = "AB:".repeat(48);
        let rows = [
            (text.clone(), Some(of)),
            (text.to_lowercase(), Some(of)),
            (text.replace("sha-256 ", "SHA-256   "), Some(of)),
            (text.replace("sha-256", "sha-1"), None),
            (text.replace("sha-256", "sha-512"), None),
            (format!("{text}:00"), None),
            (text[..text.len() - 3].to_owned(), None),
            (text.replace(':', "-"), None),
            ("sha-256".into(), None),
            (String::new(), None),
        ];
        for (text, expect) in rows {
            assert_eq!(Fingerprint::parse(&text), expect, "{text}");
        }
        assert!(Fingerprint::parse(&format!("sha-384 {}", &colons[..colons.len() - 1])).is_some());
        assert!(of.fits(b"a certificate") && !of.fits(b"another"));
    }

    #[test]
    fn what_cannot_be_of_a_handshake_without_keys_is_told_by_its_form() {
        let record = |kind: u8, epoch: u8, body: &[u8]| {
            [&[kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 1, 0, body.len() as u8], body].concat()
        };
        let piece = |kind: u8, whole: u8, from: u8, length: u8| {
            [&[kind, 0, 0, whole, 0, 0, 0, 0, from, 0, 0, length][..], &vec![7; usize::from(length)]].concat()
        };
        let hello = record(22, 0, &piece(1, 40, 0, 40));
        let flight =
            [record(22, 0, &[piece(2, 4, 0, 4), piece(11, 90, 0, 50)].concat()), record(20, 0, &[1])]
                .concat();
        // Of a handshake at all, and at its beginning.
        let rows = [
            (hello.clone(), true, true),
            (record(22, 0, &piece(1, 40, 30, 10)), true, true),
            (flight.clone(), true, false),
            ([flight.clone(), record(22, 1, &[9; 40])].concat(), true, false),
            ([hello.clone(), record(21, 0, &[2, 40])].concat(), false, false),
            (record(21, 0, &[2, 40]), false, false),
            (record(21, 1, &[9; 30]), true, false),
            (record(23, 0, &[1]), false, false),
            (record(22, 0, &[1, 2, 3, 4]), false, false),
            (record(22, 0, &[]), false, false),
            (record(22, 0, &piece(1, 40, 30, 11)), false, false),
            (hello[..hello.len() - 1].to_vec(), false, false),
            (vec![0x2f, 1, 2, 3], true, false),
            (Vec::new(), false, false),
        ];
        for (datagram, any, first) in rows {
            let told = (is_of_handshake(&datagram, false), is_of_handshake(&datagram, true));
            assert_eq!(told, (any, first), "{datagram:?}");
        }
    }

    #[test]
    fn exported_octets_are_cut_as_rfc_5764_has_it() {
        let exported: Vec<u8> = (0..60).collect();
        let suite = Suite::AesCm128HmacSha1_80;
        let server = keys(suite, &exported, Role::Passive).unwrap();
        let client = keys(suite, &exported, Role::Active).unwrap();
        let octets =
            |key: std::ops::Range<u8>, salt: std::ops::Range<u8>| key.chain(salt).collect::<Vec<u8>>();
        assert_eq!(server.receive.bytes(), octets(0..16, 32..46));
        assert_eq!(server.send.bytes(), octets(16..32, 46..60));
        assert_eq!((client.send, client.receive), (server.receive, server.send));
        assert_eq!(keys(suite, &exported[..59], Role::Active), None);
    }
}
