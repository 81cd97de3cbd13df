//! The RTP header (RFC 3550 §5.1): a view of what came and 12 bytes of what goes, without allocation.
//!
//! Contributing sources, header extensions and padding are skipped when reading and never written. The
//! `rtp` crate, which allocates for each packet, checks this file in `tests/media_engine.rs`.

use std::ops::Range;

/// Length of the header that we write.
pub const HEADER_BYTES: usize = 12;

/// The fixed part of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Begins a talk-spurt (RFC 3551 §4.1) or a key (RFC 4733 §2.2.2).
    pub marker: bool,
    /// Seven bits.
    pub payload_type: u8,
    /// Rises by one with each packet.
    pub sequence: u16,
    /// In units of the RTP clock.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
}

/// Reads a datagram: its header and where its payload lies. `None` for what is not RTP of version 2, or is
/// cut off, or whose padding does not fit (RFC 3550 appendix A.1).
pub fn parse(datagram: &[u8]) -> Option<(Header, Range<usize>)> {
    let fixed: &[u8; HEADER_BYTES] = datagram.first_chunk()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let header = Header {
        marker: fixed[1] & 0x80 != 0,
        payload_type: fixed[1] & 0x7F,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
    };
    let mut start = HEADER_BYTES + 4 * usize::from(fixed[0] & 0x0F);
    if fixed[0] & 0x10 != 0 {
        let extension = datagram.get(start..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    let mut end = datagram.len();
    if fixed[0] & 0x20 != 0 {
        let padding = usize::from(datagram[end - 1]);
        if padding == 0 {
            return None;
        }
        end = end.checked_sub(padding)?;
    }
    (start <= end).then_some((header, start..end))
}

/// Whether the datagram is RTCP that came to the RTP port (RFC 5761 §4: packet types 192 to 223).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() >= 2 && datagram[0] >> 6 == 2 && (192..224).contains(&datagram[1])
}

impl Header {
    /// The header as bytes: version 2, nothing optional.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = 0x80;
        bytes[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7F);
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_rtp_of_version_2_is_refused() {
        let header = Header { marker: true, payload_type: 8, sequence: 7, timestamp: 160, ssrc: 9 }.bytes();
        assert_eq!(parse(&header).map(|(h, payload)| (h.bytes(), payload)), Some((header, 12..12)));
        let with = |at: usize, byte: u8| {
            let mut bytes = header.to_vec();
            bytes[at] = byte;
            bytes
        };
        let refused: [(&str, Vec<u8>); 7] = [
            ("nothing", vec![]),
            ("cut off", header[..11].to_vec()),
            ("a STUN request", with(0, 0x00)),
            ("version 1", with(0, 0x40)),
            ("contributing sources that are not there", with(0, 0x81)),
            ("an extension that is not there", with(0, 0x90)),
            ("padding longer than the packet", [with(0, 0xA0), vec![200]].concat()),
        ];
        for (what, bytes) in refused {
            assert_eq!(parse(&bytes), None, "{what}");
        }
        assert_eq!(parse(&[with(0, 0xA0), vec![0]].concat()), None, "padding of length 0");
    }
}
