//! SRTP and SRTCP (RFC 3711, RFC 7714, RFC 6188) for the two directions of one stream, in place.
//!
//! Keys come from signalling (RFC 4568) and are never shown. Left out: re-derivation at a rate, several keys with
//! identifiers (MKI), and packets that are only authenticated; none of them is ever negotiated. `keys` says what is negotiated, `window`
//! which packets came already.

mod keys;
mod window;

use std::fmt;

use aws_lc_rs::aead;
use aws_lc_rs::cipher;
use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;

use crate::media::rtp;
pub use crate::media::srtp::keys::Keys;
pub use crate::media::srtp::keys::Master;
pub use crate::media::srtp::keys::Suite;
use crate::media::srtp::window::Sources;
use crate::media::srtp::window::Window;

/// Octets that protection adds to an RTP packet at most: a tag and a key identifier.
pub const OVERHEAD_MAX: usize = 16 + 4;

/// Octets of an RTCP packet that stay in the clear.
const RTCP_HEADER: usize = 8;

/// The bit of the SRTCP index that says that the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// The contexts of a stream that is protected.
pub struct Srtp {
    keys: Keys,
    sender: Sender,
    receiver: Receiver,
}

impl Srtp {
    /// New contexts: both directions at packet 0.
    pub fn new(keys: Keys) -> Srtp {
        Srtp { sender: Sender::new(&keys.send), receiver: Receiver::new(&keys.receive), keys }
    }

    /// Takes up what was negotiated anew. A direction whose key is the same goes on where it was (RFC 4568 §7.1.4).
    pub fn rekey(&mut self, keys: Keys) {
        if !keys.send.is_key_of(&self.keys.send) {
            self.sender = Sender::new(&keys.send);
        }
        if !keys.receive.is_key_of(&self.keys.receive) {
            self.receiver = Receiver::new(&keys.receive);
        }
        self.keys = keys;
    }

    /// Protects the RTP packet that begins at `start` and ends the buffer. False when that may not be: it is no RTP,
    /// or another packet of its index went before, whose keystream it would share.
    pub fn protect(&mut self, buffer: &mut Vec<u8>, start: usize) -> bool {
        let done = self.sender.protect(buffer, start).is_some();
        if done {
            let (behind, _) = self.keys.send.suite().behind_mki();
            self.keys.send.mki().put(buffer, behind);
        }
        done
    }

    /// Protects the RTCP packet that begins at `start` and ends the buffer.
    pub fn protect_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) -> bool {
        let done = self.sender.protect_rtcp(buffer, start).is_some();
        if done {
            let (_, behind) = self.keys.send.suite().behind_mki();
            self.keys.send.mki().put(buffer, behind);
        }
        done
    }

    /// Opens an RTP packet in place; the length of what it holds. `None` for what is not authentic or came before:
    /// the octets are of no use then.
    pub fn unprotect(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let (behind, _) = self.keys.receive.suite().behind_mki();
        self.receiver.unprotect(self.keys.receive.mki().take(datagram, behind)?)
    }

    /// Opens an RTCP packet, as `unprotect`.
    pub fn unprotect_rtcp(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let (_, behind) = self.keys.receive.suite().behind_mki();
        self.receiver.unprotect_rtcp(self.keys.receive.mki().take(datagram, behind)?)
    }
}

impl fmt::Debug for Srtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srtp").field("keys", &self.keys).finish_non_exhaustive()
    }
}

struct Sender {
    rtp: Cipher,
    rtcp: Cipher,
    /// We have one source in a stream's life.
    window: Window,
    rtcp_index: u32,
}

impl Sender {
    fn new(master: &Master) -> Sender {
        let (rtp, rtcp) = ciphers(master);
        Sender { rtp, rtcp, window: Window::default(), rtcp_index: 0 }
    }

    fn protect(&mut self, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let packet = buffer.get_mut(start..)?;
        let header = header_length(packet)?;
        let (sequence, ssrc) = (half(packet, 2)?, word(packet, 8)?);
        let index = self.window.index_of(sequence).filter(|index| self.window.is_new(*index))?;
        match &self.rtp {
            Cipher::Counter { key, salt, auth, tag } => {
                keystream(key, counter_start(salt, ssrc, index), &mut packet[header..]);
                let proof = sign(auth, packet, &((index >> 16) as u32).to_be_bytes());
                buffer.extend_from_slice(proof.as_ref().get(..*tag)?);
            }
            Cipher::Gcm { key, salt } => {
                let (clear, secret) = packet.split_at_mut(header);
                let proof = key
                    .seal_in_place_separate_tag(nonce(salt, ssrc, index), aead::Aad::from(clear), secret)
                    .ok()?;
                buffer.extend_from_slice(proof.as_ref());
            }
        }
        self.window.take(index);
        Some(())
    }

    fn protect_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let packet = buffer.get_mut(start..).filter(|packet| packet.len() >= RTCP_HEADER)?;
        let ssrc = word(packet, 4)?;
        // RFC 3711 §3.4: 31 bits, and a new key before they run over. In a report every 5 s that is 340 years.
        let index = self.rtcp_index.checked_add(1).filter(|index| *index < ENCRYPTED)?;
        let trailer = (index | ENCRYPTED).to_be_bytes();
        match &self.rtcp {
            Cipher::Counter { key, salt, auth, .. } => {
                keystream(key, counter_start(salt, ssrc, index.into()), &mut packet[RTCP_HEADER..]);
                let proof = sign(auth, packet, &trailer);
                buffer.extend_from_slice(&trailer);
                buffer.extend_from_slice(proof.as_ref().get(..RTCP_TAG)?);
            }
            Cipher::Gcm { key, salt } => {
                let (clear, secret) = packet.split_at_mut(RTCP_HEADER);
                let clear = rtcp_clear(clear, trailer);
                let proof = key
                    .seal_in_place_separate_tag(
                        nonce(salt, ssrc, index.into()),
                        aead::Aad::from(clear),
                        secret,
                    )
                    .ok()?;
                buffer.extend_from_slice(proof.as_ref());
                buffer.extend_from_slice(&trailer);
            }
        }
        self.rtcp_index = index;
        Some(())
    }
}

struct Receiver {
    rtp: Cipher,
    rtcp: Cipher,
    sources: Sources,
    rtcp_sources: Sources,
}

impl Receiver {
    fn new(master: &Master) -> Receiver {
        let (rtp, rtcp) = ciphers(master);
        Receiver { rtp, rtcp, sources: Sources::default(), rtcp_sources: Sources::default() }
    }

    fn unprotect(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let header = header_length(datagram)?;
        let (sequence, ssrc) = (half(datagram, 2)?, word(datagram, 8)?);
        let window = self.sources.window(ssrc);
        let index = window.index_of(sequence).filter(|index| window.is_new(*index))?;
        let length = match &self.rtp {
            Cipher::Counter { key, salt, auth, tag } => {
                let length = datagram.len().checked_sub(*tag).filter(|length| *length >= header)?;
                let (packet, given) = datagram.split_at_mut(length);
                let proof = sign(auth, packet, &((index >> 16) as u32).to_be_bytes());
                constant_time::verify_slices_are_equal(proof.as_ref().get(..*tag)?, given).ok()?;
                keystream(key, counter_start(salt, ssrc, index), &mut packet[header..]);
                length
            }
            Cipher::Gcm { key, salt } => {
                let length = datagram.len().checked_sub(GCM_TAG).filter(|length| *length >= header)?;
                let (packet, given) = datagram.split_at_mut(length);
                let (clear, secret) = packet.split_at_mut(header);
                key.open_in_place_separate_tag(
                    nonce(salt, ssrc, index),
                    aead::Aad::from(clear),
                    given,
                    secret,
                )
                .ok()?;
                length
            }
        };
        self.sources.take(ssrc, index);
        Some(length)
    }

    fn unprotect_rtcp(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let ssrc = word(datagram, 4)?;
        let behind = if matches!(self.rtcp, Cipher::Gcm { .. }) { 0 } else { RTCP_TAG };
        let at = datagram.len().checked_sub(4 + behind)?;
        let trailer = word(datagram, at)?;
        let index = u64::from(trailer & !ENCRYPTED);
        // What is only authenticated was not negotiated (UNENCRYPTED_SRTCP, RFC 4568 §6.3.2).
        if trailer & ENCRYPTED == 0 || !self.rtcp_sources.window(ssrc).is_new(index) {
            return None;
        }
        let length = match &self.rtcp {
            Cipher::Counter { key, salt, auth, .. } => {
                let length = Some(at).filter(|length| *length >= RTCP_HEADER)?;
                let (signed, given) = datagram.split_at_mut(at + 4);
                let proof = sign(auth, signed, &[]);
                constant_time::verify_slices_are_equal(proof.as_ref().get(..RTCP_TAG)?, given).ok()?;
                keystream(key, counter_start(salt, ssrc, index), &mut signed[RTCP_HEADER..at]);
                length
            }
            Cipher::Gcm { key, salt } => {
                let length = at.checked_sub(GCM_TAG).filter(|length| *length >= RTCP_HEADER)?;
                let (packet, rest) = datagram.split_at_mut(length);
                let (clear, secret) = packet.split_at_mut(RTCP_HEADER);
                let clear = rtcp_clear(clear, trailer.to_be_bytes());
                key.open_in_place_separate_tag(
                    nonce(salt, ssrc, index),
                    aead::Aad::from(clear),
                    &rest[..GCM_TAG],
                    secret,
                )
                .ok()?;
                length
            }
        };
        self.rtcp_sources.take(ssrc, index);
        Some(length)
    }
}

/// Octets of a GCM tag (RFC 7714 §13.2).
const GCM_TAG: usize = 16;

/// Octets of an SRTCP tag in every counter-mode suite (RFC 4568 §6.2).
const RTCP_TAG: usize = 10;

/// The session keys of one direction and protocol.
#[expect(
    clippy::large_enum_variant,
    reason = "a stream's contexts lie on the heap together; a box would be one more step for each packet"
)]
enum Cipher {
    Counter { key: cipher::EncryptingKey, salt: [u8; 14], auth: hmac::Key, tag: usize },
    Gcm { key: aead::LessSafeKey, salt: [u8; 12] },
}

impl Cipher {
    /// From a master key, with the labels of encryption, authentication and salt (RFC 3711 §4.3.1).
    fn derive(master: &Master, [encryption, authentication, salt]: [u8; 3]) -> Cipher {
        let (key, length) = master.derive_key(encryption);
        match master.suite().is_gcm() {
            true => Cipher::gcm(&key[..length], master.derive(salt)),
            false => Cipher::Counter {
                key: counter_key(&key[..length]),
                salt: master.derive(salt),
                auth: hmac::Key::new(
                    hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                    &master.derive::<20>(authentication),
                ),
                tag: master.suite().tag_bytes(),
            },
        }
    }

    fn gcm(key: &[u8], salt: [u8; 12]) -> Cipher {
        let algorithm = if key.len() == 16 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
        let key = aead::UnboundKey::new(algorithm, key).expect("a key has the length of its algorithm");
        Cipher::Gcm { key: aead::LessSafeKey::new(key), salt }
    }
}

fn ciphers(master: &Master) -> (Cipher, Cipher) {
    (Cipher::derive(master, [0, 1, 2]), Cipher::derive(master, [3, 4, 5]))
}

fn counter_key(key: &[u8]) -> cipher::EncryptingKey {
    let algorithm = if key.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
    cipher::UnboundCipherKey::new(algorithm, key)
        .and_then(cipher::EncryptingKey::ctr)
        .expect("a key has the length of its algorithm")
}

/// Adds the keystream that begins at this counter; twice gives back what was.
fn keystream(key: &cipher::EncryptingKey, start: [u8; 16], octets: &mut [u8]) {
    let start = cipher::EncryptionContext::Iv128((&start).into());
    key.less_safe_encrypt(octets, start).expect("counter mode takes any length");
}

fn sign(key: &hmac::Key, packet: &[u8], behind: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(behind);
    context.sign()
}

/// RFC 3711 §4.1.1: the salt, with source and index in it; 16 bits of block counter behind.
fn counter_start(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut start = [0; 16];
    start[4..8].copy_from_slice(&ssrc.to_be_bytes());
    start[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    start.iter_mut().zip(salt).for_each(|(octet, salt)| *octet ^= salt);
    start
}

/// RFC 7714 §8.1 and §9.1: two zeros, source, index; and the salt over it.
fn nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> aead::Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    nonce.iter_mut().zip(salt).for_each(|(octet, salt)| *octet ^= salt);
    aead::Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714 §17: header and trailer are authenticated together.
fn rtcp_clear(header: &[u8], trailer: [u8; 4]) -> [u8; 12] {
    let mut clear = [0; 12];
    clear[..8].copy_from_slice(header);
    clear[8..].copy_from_slice(&trailer);
    clear
}

/// Where the payload of an RTP packet begins; what follows is encrypted with its padding (RFC 3711 §3.1).
fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.get(..rtp::HEADER_BYTES)?.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut length = rtp::HEADER_BYTES + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        length += 4 + 4 * usize::from(half(packet, length + 2)?);
    }
    (length <= packet.len()).then_some(length)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_be_bytes(*half))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::proptest;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_b_3() {
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        let master = Master::new(Suite::AesCm128HmacSha1_80, &master).unwrap();
        assert_eq!(master.derive::<16>(0)[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(master.derive::<14>(2)[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(master.derive::<20>(1)[..], hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    #[test]
    fn the_keystream_is_that_of_rfc_3711_b_2() {
        let key = counter_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut octets = vec![0; 0xff02 * 16];
        keystream(&key, counter_start(&salt, 0, 0), &mut octets);
        assert_eq!(octets[..32], hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"));
        let last = hex(
            "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44",
        );
        assert_eq!(octets[0xfeff * 16..], last);
    }

    /// Both directions with the session keys of RFC 7714 §16 and §17, which are not derived.
    fn gcm_of_the_rfc(key_bytes: u8) -> (Sender, Receiver) {
        let key: Vec<u8> = (0..key_bytes).collect();
        let cipher = || Cipher::gcm(&key, *b"Quid pro quo");
        let (window, rtcp_index) = (Window::default(), 0x5d3);
        let receiver = Receiver {
            rtp: cipher(),
            rtcp: cipher(),
            sources: Sources::default(),
            rtcp_sources: Sources::default(),
        };
        (Sender { rtp: cipher(), rtcp: cipher(), window, rtcp_index }, receiver)
    }

    #[test]
    fn gcm_packets_are_those_of_rfc_7714() {
        let rtp = [
            b"\x80\x40\xf1\x7b\x80\x41\xf8\xd3\x55\x01\xa0\xb2".as_slice(),
            b"Gallia est omnis divisa in partes tres",
        ]
        .concat();
        let rtcp = hex(
            "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef",
        );
        let rows = [
            (
                16,
                "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
                 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
                Some("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
                      4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4"),
            ),
            (
                32,
                "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02
                 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
                None,
            ),
        ];
        for (key_bytes, srtp, srtcp) in rows {
            let (mut sender, mut receiver) = gcm_of_the_rfc(key_bytes);
            let mut buffer = [b"before".as_slice(), &rtp].concat();
            sender.protect(&mut buffer, 6).unwrap();
            assert_eq!(buffer[6..], hex(srtp), "{key_bytes}");
            let length = receiver.unprotect(&mut buffer[6..]).unwrap();
            assert_eq!(buffer[6..][..length], rtp);
            let mut buffer = rtcp.clone();
            sender.protect_rtcp(&mut buffer, 0).unwrap();
            assert!(srtcp.is_none_or(|srtcp| buffer == hex(srtcp)), "{buffer:02x?}");
            let length = receiver.unprotect_rtcp(&mut buffer).unwrap();
            assert_eq!(buffer[..length], rtcp);
        }
    }

    fn pair(suite: Suite) -> (Srtp, Srtp) {
        identified(suite, None)
    }

    fn identified(suite: Suite, mki: Option<(u32, u8)>) -> (Srtp, Srtp) {
        let master = |first: u8| {
            let bytes: Vec<u8> = (first..first + 46).collect();
            Master::new(suite, &bytes).unwrap().identified(mki)
        };
        let ours = Keys { send: master(1), receive: master(100) };
        let theirs = Keys { send: ours.receive.clone(), receive: ours.send.clone() };
        (Srtp::new(ours), Srtp::new(theirs))
    }

    fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
        let header = rtp::Header { marker: false, payload_type: 8, sequence, timestamp: 160, ssrc };
        [&header.bytes()[..], b"what is said"].concat()
    }

    #[test]
    fn what_one_side_protects_the_other_opens_once_and_nothing_else_does() {
        for suite in Suite::ALL {
            let (mut ours, mut theirs) = pair(suite);
            let (plain, mut sent) = (packet(7, 9), packet(7, 9));
            assert!(ours.protect(&mut sent, 0));
            assert!(
                sent.len() - plain.len() <= OVERHEAD_MAX
                    && sent[..12] == plain[..12]
                    && sent[12..24] != plain[12..]
            );
            for at in 0..sent.len() {
                let mut forged = sent.clone();
                forged[at] ^= 1;
                assert_eq!(theirs.unprotect(&mut forged), None, "{suite:?}, octet {at}");
            }
            assert_eq!(ours.unprotect(&mut sent.clone()), None, "the other direction's key");
            let mut came = sent.clone();
            let length = theirs.unprotect(&mut came).unwrap();
            assert_eq!(came[..length], plain);
            assert_eq!(theirs.unprotect(&mut sent.clone()), None, "a replay");
            let report = crate::media::rtcp::report(9, "name", None, None, None, true);
            let mut sent = report.clone();
            assert!(ours.protect_rtcp(&mut sent, 0));
            for at in 0..sent.len() {
                let mut forged = sent.clone();
                forged[at] ^= 1;
                assert_eq!(theirs.unprotect_rtcp(&mut forged), None, "{suite:?}, octet {at}");
            }
            let mut came = sent.clone();
            let length = theirs.unprotect_rtcp(&mut came).unwrap();
            assert_eq!(came[..length], report);
            assert_eq!(theirs.unprotect_rtcp(&mut sent), None, "a replay");
        }
    }

    #[test]
    fn a_key_identifier_stands_where_the_suite_has_it_and_must_be_the_one() {
        for suite in Suite::ALL {
            for (mki, octets) in [((1, 1), &[1][..]), ((1066, 4), &[0, 0, 4, 42][..])] {
                let (mut plain, _) = pair(suite);
                let (mut ours, mut theirs) = identified(suite, Some(mki));
                let (mut without, mut with) = (packet(7, 9), packet(7, 9));
                assert!(plain.protect(&mut without, 0) && ours.protect(&mut with, 0));
                let tag = if suite.is_gcm() { 0 } else { suite.tag_bytes() };
                let at = without.len() - tag;
                assert_eq!(with, [&without[..at], octets, &without[at..]].concat(), "{suite:?}");
                let mut other = with.clone();
                other[at] ^= 1;
                assert_eq!(theirs.unprotect(&mut other), None, "{suite:?}: another key's");
                assert_eq!(theirs.unprotect(&mut without), None, "{suite:?}: none");
                assert_eq!(theirs.unprotect(&mut with), Some(24), "{suite:?}");
                assert_eq!(with[..24], packet(7, 9));
                let report = crate::media::rtcp::report(9, "name", None, None, None, true);
                let (mut without, mut with) = (report.clone(), report.clone());
                assert!(plain.protect_rtcp(&mut without, 0) && ours.protect_rtcp(&mut with, 0));
                let at = without.len() - if suite.is_gcm() { 0 } else { RTCP_TAG };
                assert_eq!(with, [&without[..at], octets, &without[at..]].concat(), "{suite:?}");
                assert_eq!(theirs.unprotect_rtcp(&mut with), Some(report.len()), "{suite:?}");
                assert_eq!(with[..report.len()], report);
                // Another identifier of the same key is no other key.
                ours.rekey(Keys { send: ours.keys.send.clone().identified(None), ..ours.keys.clone() });
                assert!(!ours.protect(&mut packet(7, 9), 0), "still used");
            }
        }
    }

    #[test]
    fn packets_may_come_late_by_63_and_the_sequence_may_roll_over() {
        let (mut ours, mut theirs) = pair(Suite::AeadAes128Gcm);
        let mut sent = Vec::new();
        for number in 0..70_000u32 {
            let mut one = packet((number + 65_000) as u16, 9);
            assert!(ours.protect(&mut one, 0));
            sent.push(one);
        }
        let mut opens = |number: usize| theirs.unprotect(&mut sent[number].clone()).is_some();
        // 535 is the last of the first turn: the next ones come before it.
        for number in [500, 538, 537, 536, 535, 475, 4_000, 3_937] {
            assert!(opens(number), "{number}");
        }
        for number in [474, 537, 3_936, 535] {
            assert!(!opens(number), "{number} is too late or a replay");
        }
        assert!((30_000..70_000).step_by(20_000).all(&mut opens), "the second turn ends too");
    }

    #[test]
    fn a_sequence_number_is_not_used_for_two_packets() {
        let (mut ours, _) = pair(Suite::AeadAes128Gcm);
        assert!(ours.protect(&mut packet(7, 9), 0));
        assert!(ours.protect(&mut packet(9, 9), 0));
        assert!(ours.protect(&mut packet(8, 9), 0));
        assert!(!ours.protect(&mut packet(8, 9), 0));
    }

    #[test]
    fn a_source_that_changes_begins_anew_and_few_are_remembered() {
        let (mut ours, mut theirs) = pair(Suite::AesCm128HmacSha1_80);
        for ssrc in 0..100 {
            ours.sender.window = Window::default();
            let mut one = packet(60_000, ssrc);
            assert!(ours.protect(&mut one, 0));
            assert!(theirs.unprotect(&mut one).is_some());
        }
        assert_eq!(theirs.receiver.sources.len(), window::SOURCES_MAX);
    }

    #[test]
    fn a_direction_whose_key_stays_goes_on_when_the_other_gets_a_new_one() {
        let (mut ours, mut theirs) = pair(Suite::AeadAes256Gcm);
        let mut first = packet(1, 9);
        ours.protect(&mut first, 0);
        theirs.unprotect(&mut first.clone()).unwrap();
        let fresh = Master::new(Suite::AeadAes256Gcm, &[7; 46]).unwrap();
        ours.rekey(Keys { receive: fresh.clone(), ..ours.keys.clone() });
        theirs.rekey(Keys { send: fresh, ..theirs.keys.clone() });
        assert_eq!(theirs.unprotect(&mut first), None, "still a replay");
        assert!(!ours.protect(&mut packet(1, 9), 0), "still used");
        let mut back = packet(1, 5);
        assert!(theirs.protect(&mut back, 0));
        assert!(ours.unprotect(&mut back).is_some());
    }

    #[test]
    fn keys_are_not_shown() {
        let (ours, _) = pair(Suite::AeadAes128Gcm);
        let shown = format!("{ours:?} {:?}", ours.keys);
        assert!(shown.contains("AEAD_AES_128_GCM ***") && !shown.contains("1, 2"), "{shown}");
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), suite in 0..6usize, rtp: bool) {
            let (mut ours, _) = pair(Suite::ALL[suite]);
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = if rtp { 0x80 | *first & 0x3f } else { *first };
            }
            proptest::prop_assert_eq!(ours.unprotect(&mut bytes.clone()), None);
            proptest::prop_assert_eq!(ours.unprotect_rtcp(&mut bytes.clone()), None);
            // Protecting what is not RTP is refused, and the rest is opened again by the other side.
            let plain = bytes.clone();
            let (mut ours, mut theirs) = pair(Suite::ALL[suite]);
            if ours.protect(&mut bytes, 0) {
                let length = theirs.unprotect(&mut bytes).unwrap();
                proptest::prop_assert_eq!(&bytes[..length], &plain[..]);
            }
        }
    }
}
