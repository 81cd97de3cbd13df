//! Messages as a pcap file (the classic format, link type RAW: packets begin with their IP header) for Wireshark.
//!
//! Every message becomes one UDP datagram between its addresses, those of TCP, TLS and WebSocket too: so each is
//! shown whole and readable, without handshakes that nobody recorded. Times, addresses and bytes are the real ones,
//! secrets are masked; only the IP and UDP headers are made.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use jiff::Timestamp;

use crate::shell::trace::mask::masked;
use crate::shell::trace::ring::Entry;

/// LINKTYPE_RAW: IPv4 or IPv6, as the first half octet says.
const LINK_RAW: u32 = 101;
/// Longest packet of the file.
const SNAP: u32 = 65_535;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
/// Hops that a packet may make; nobody counts these.
const TTL: u8 = 64;

/// A file of these messages.
pub fn file(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xA1B2_C3D4_u32.to_le_bytes());
    // Version 2.4, times in UTC, exact.
    out.extend([2, 0, 4, 0]);
    out.extend([0; 8]);
    out.extend(SNAP.to_le_bytes());
    out.extend(LINK_RAW.to_le_bytes());
    for entry in entries {
        packet(&mut out, entry.at, entry.source(), entry.destination(), &masked(&entry.bytes));
    }
    out
}

fn packet(out: &mut Vec<u8>, at: Timestamp, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let ip = match (from, to) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => IPV4_HEADER,
        _ => IPV6_HEADER,
    };
    // A length field of 16 bits holds no more; the file says how long it was.
    let room = usize::from(u16::MAX) - ip - UDP_HEADER;
    let kept = &payload[..payload.len().min(room)];
    let datagram = datagram(from, to, kept);
    let seconds = u32::try_from(at.as_second()).unwrap_or_default();
    let micros = u32::try_from(at.subsec_microsecond()).unwrap_or_default();
    let whole = ip + UDP_HEADER + payload.len();
    for word in [seconds, micros, (ip + datagram.len()) as u32, whole as u32] {
        out.extend(word.to_le_bytes());
    }
    match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => out.extend(ipv4(*from.ip(), *to.ip(), datagram.len())),
        _ => out.extend(ipv6(v6(from), v6(to), datagram.len())),
    }
    out.extend(datagram);
}

/// RFC 791 §3.1.
fn ipv4(from: Ipv4Addr, to: Ipv4Addr, length: usize) -> [u8; IPV4_HEADER] {
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((IPV4_HEADER + length) as u16).to_be_bytes());
    // Not to be fragmented.
    header[6] = 0x40;
    header[8] = TTL;
    header[9] = UDP;
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// RFC 8200 §3.
fn ipv6(from: Ipv6Addr, to: Ipv6Addr, length: usize) -> [u8; IPV6_HEADER] {
    let mut header = [0; IPV6_HEADER];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    header[6] = UDP;
    header[7] = TTL;
    header[8..24].copy_from_slice(&from.octets());
    header[24..40].copy_from_slice(&to.octets());
    header
}

/// RFC 768, with the checksum over the pseudo header of either IP (RFC 8200 §8.1).
fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = (UDP_HEADER + payload.len()) as u16;
    let mut out = Vec::with_capacity(usize::from(length));
    for word in [from.port(), to.port(), length, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(payload);
    let mut pseudo = Vec::new();
    match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            pseudo.extend(from.ip().octets());
            pseudo.extend(to.ip().octets());
        }
        _ => {
            pseudo.extend(v6(from).octets());
            pseudo.extend(v6(to).octets());
        }
    }
    pseudo.extend(u16::from(UDP).to_be_bytes());
    pseudo.extend(length.to_be_bytes());
    // Zero would mean that there is no checksum.
    let sum = match checksum(&[&pseudo, &out]) {
        0 => u16::MAX,
        sum => sum,
    };
    out[6..8].copy_from_slice(&sum.to_be_bytes());
    out
}

fn v6(address: SocketAddr) -> Ipv6Addr {
    match address {
        SocketAddr::V4(address) => address.ip().to_ipv6_mapped(),
        SocketAddr::V6(address) => *address.ip(),
    }
}

/// RFC 1071, over parts of which all but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let value = |word: &[u8]| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u32 = words.map(value).fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    });
    sum = (sum & 0xFFFF) + (sum >> 16);
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::Hop;
    use crate::sip::Transport;

    fn entry(local: &str, remote: &str, incoming: bool, bytes: &[u8]) -> Entry {
        let hop = Hop {
            transport: Transport::Udp,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: None,
        };
        let at = Timestamp::new(1_811_322_000, 123_456_789).unwrap();
        Entry { seq: 0, at, hop, incoming, bytes: Bytes::copy_from_slice(bytes) }
    }

    #[test]
    fn a_packet_over_ipv4_is_this_octet_by_octet() {
        let file = file(&[entry("127.0.0.1:5060", "127.0.0.2:5070", false, b"ABC")]);
        #[rustfmt::skip]
        let expected = [
            // File: magic, version, two zeros, snap length, link type.
            0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 101, 0, 0, 0,
            // Record: seconds, microseconds, length in the file, length on the wire.
            0x90, 0x94, 0xF6, 0x6B, 0x40, 0xE2, 0x01, 0x00, 31, 0, 0, 0, 31, 0, 0, 0,
            // IPv4: its checksum is 0xFFFF - (4500 + 001F + 4000 + 4011 + 7F00 + 0001 + 7F00 + 0002).
            0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0x3C, 0xCB, 127, 0, 0, 1, 127, 0, 0, 2,
            // UDP: ports, length, checksum.
            0x13, 0xC4, 0x13, 0xCE, 0, 11, 0x56, 0x00, b'A', b'B', b'C',
        ];
        assert_eq!(file, expected);
        // A checksum is right when the sum over everything, itself included, is nothing.
        assert_eq!(checksum(&[&file[52..60], &[0, 17, 0, 11], &file[60..]]), 0);
    }

    #[test]
    fn a_packet_over_ipv6_has_a_checksum_that_fits() {
        let file = file(&[entry("[::1]:5060", "[2001:db8::7]:5061", true, b"OPTIONS sip:a SIP/2.0")]);
        let packet = &file[40..];
        assert_eq!((packet[0], packet[6], packet.len()), (0x60, UDP, IPV6_HEADER + UDP_HEADER + 21));
        assert_eq!(packet[4..6], (UDP_HEADER as u16 + 21).to_be_bytes());
        assert_eq!(packet[40..44], [0x13, 0xC5, 0x13, 0xC4]);
        assert_eq!(checksum(&[&packet[8..40], &[0, 17, 0, 29], &packet[40..]]), 0);
    }

    #[test]
    fn a_message_too_long_for_a_datagram_is_cut_and_the_file_says_so() {
        let file = file(&[entry("127.0.0.1:5060", "127.0.0.2:5060", true, &vec![b'x'; 65_535])]);
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((word(32), word(36)), (65_535, 65_563));
        assert_eq!(file.len(), 24 + 16 + 65_535);
    }
}
