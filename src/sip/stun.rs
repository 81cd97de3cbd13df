//! STUN on the SIP port (RFC 8489), as far as phones need it to keep a way through an address translation open (RFC
//! 5626 §3.5.2): a Binding request is told which address it came from.
//!
//! Left out: authentication, error answers, every other method, and clients of RFC 3489, which send no magic cookie.

use std::net::IpAddr;
use std::net::SocketAddr;

/// Octets before the attributes (§5).
const HEADER: usize = 20;
/// Tells STUN from all else (§5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];

/// Whether a datagram is STUN rather than SIP: the first two bits are zero, which no letter begins with, and the magic
/// cookie follows.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xc0 == 0) && datagram.get(4..8) == Some(&COOKIE)
}

/// The answer to a Binding request that came from `from`. `None` for anything else, for what is malformed, and for a
/// request with an attribute that must be understood (§6.3.1 would have 420 here; keep-alives have none).
pub fn answer(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    if !is_stun(datagram) || !datagram.starts_with(&BINDING_REQUEST) {
        return None;
    }
    let transaction = datagram.get(8..HEADER)?;
    let length = usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
    let attributes = datagram.get(HEADER..)?;
    if attributes.len() != length || !all_optional(attributes) {
        return None;
    }
    let port = from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    // §14.2: the address is mixed with the cookie, an IPv6 one with the transaction id behind it.
    let mask = COOKIE.iter().chain(transaction);
    let (family, address): (u8, Vec<u8>) = match from.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().iter().zip(mask).map(|(a, b)| a ^ b).collect()),
        IpAddr::V6(ip) => (2, ip.octets().iter().zip(mask).map(|(a, b)| a ^ b).collect()),
    };
    let value = if family == 1 { 8u16 } else { 20 };
    let mut answer = Vec::with_capacity(HEADER + 4 + usize::from(value));
    answer.extend_from_slice(&BINDING_SUCCESS);
    answer.extend_from_slice(&(4 + value).to_be_bytes());
    answer.extend_from_slice(&COOKIE);
    answer.extend_from_slice(transaction);
    answer.extend_from_slice(&XOR_MAPPED_ADDRESS);
    answer.extend_from_slice(&value.to_be_bytes());
    answer.extend_from_slice(&[0, family]);
    answer.extend_from_slice(&port.to_be_bytes());
    answer.extend_from_slice(&address);
    Some(answer)
}

/// Whether the attributes are well-formed (§14: type, length, value, filled up to four octets) and may all be passed
/// over: those from 0x8000 on.
fn all_optional(mut attributes: &[u8]) -> bool {
    while let [kind, _, high, low, rest @ ..] = attributes {
        let padded = usize::from(u16::from_be_bytes([*high, *low])).next_multiple_of(4);
        if kind & 0x80 == 0 || padded > rest.len() {
            return false;
        }
        attributes = &rest[padded..];
    }
    attributes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transaction id `000102 … 0b`.
    fn request(length: u16, attributes: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0, 1];
        datagram.extend_from_slice(&length.to_be_bytes());
        datagram.extend_from_slice(&COOKIE);
        datagram.extend(0..12);
        datagram.extend_from_slice(attributes);
        datagram
    }

    #[test]
    fn a_binding_request_is_told_where_it_came_from() {
        // 192.0.2.1 is c0000201, 32853 is 8055; mixed with 2112a442 by hand: e112a643 and a147.
        let from = "192.0.2.1:32853".parse().unwrap();
        let expect: Vec<u8> = [
            &[0x01, 0x01, 0x00, 0x0c, 0x21, 0x12, 0xa4, 0x42][..],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            &[0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
        ]
        .concat();
        assert_eq!(answer(&request(0, &[]), from), Some(expect.clone()));
        // SOFTWARE may be passed over.
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        assert_eq!(answer(&request(8, &software), from), Some(expect));

        // 2001:db8::1; mixed with the cookie and 00 to 0b: 0113a9fa 00010203 04050607 08090a0a.
        let from = "[2001:db8::1]:32853".parse().unwrap();
        let answer = answer(&request(0, &[]), from).unwrap();
        assert_eq!(answer[..4], [0x01, 0x01, 0x00, 0x18]);
        assert_eq!(answer[20..28], [0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47]);
        assert_eq!(answer[28..], [1, 0x13, 0xa9, 0xfa, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]);
    }

    #[test]
    fn everything_else_is_dropped() {
        let from = "192.0.2.1:32853".parse().unwrap();
        let mut indication = request(0, &[]);
        indication[1] = 0x11;
        let rows = [
            // Shorter and longer than it says.
            request(4, &[]),
            request(0, &[0x80, 0x22, 0, 0]),
            // An attribute that ends behind the message, and half of one.
            request(4, &[0x80, 0x22, 0, 4]),
            request(2, &[0x80, 0x22]),
            // USERNAME must be understood.
            request(8, &[0x00, 0x06, 0, 4, b'a', b'b', b'c', b'd']),
            indication,
        ];
        for datagram in rows {
            assert!(is_stun(&datagram));
            assert_eq!(answer(&datagram, from), None, "{datagram:x?}");
        }
        let whole = request(0, &[]);
        for cut in 0..whole.len() {
            assert_eq!(answer(&whole[..cut], from), None, "{cut}");
        }
        for other in [&b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..], b"\r\n\r\n", b"\0\0\0\0", b""] {
            assert!(!is_stun(other));
            assert_eq!(answer(other, from), None);
        }
    }
}
