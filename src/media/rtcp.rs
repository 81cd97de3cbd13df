//! RTCP (RFC 3550 §6): reports that we send, built by the `rtcp` crate, and what we read of those that come.
//!
//! Reading is our own: a handful of fields out of sender and receiver reports, without allocation, and no
//! bytes can make it panic. BYE is not acted on; SIP says when a call is over.

use std::time::Duration;

use rtcp::goodbye::Goodbye;
use rtcp::packet::Packet;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::SdesType;
use rtcp::source_description::SourceDescription;
use rtcp::source_description::SourceDescriptionChunk;
use rtcp::source_description::SourceDescriptionItem;

/// What we tell of our own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Time of the report as [`ntp`].
    pub ntp: u64,
    /// The same moment on the stream's RTP clock.
    pub timestamp: u32,
    /// Packets so far.
    pub packets: u32,
    /// Payload bytes so far.
    pub bytes: u32,
}

/// A report about one source, as sent and as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// About whom.
    pub ssrc: u32,
    /// Lost since the last report, out of 256.
    pub fraction_lost: u8,
    /// Lost in all.
    pub lost: u32,
    /// Highest sequence number, with its cycles above 16 bits.
    pub highest: u32,
    /// Interarrival jitter in RTP units.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report from that source; 0 for none.
    pub last_report: u32,
    /// Time since that report came, in 1/65536 s.
    pub delay: u32,
}

/// Time since the thread began as an NTP timestamp. RFC 3550 §6.4.1 allows elapsed time where no wall clock is
/// at hand; only differences are ever used.
pub fn ntp(elapsed: Duration) -> u64 {
    (elapsed.as_secs() << 32) | ((u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000)
}

/// A compound packet: a sender report when we send, else a receiver report; our name; BYE when `bye`.
pub fn report(ssrc: u32, cname: &str, sent: Option<Sent>, about: Option<Reception>, bye: bool) -> Vec<u8> {
    let reports = about
        .map(|r| ReceptionReport {
            ssrc: r.ssrc,
            fraction_lost: r.fraction_lost,
            total_lost: r.lost.min(0x7F_FFFF),
            last_sequence_number: r.highest,
            jitter: r.jitter,
            last_sender_report: r.last_report,
            delay: r.delay,
        })
        .into_iter()
        .collect();
    let first: Box<dyn Packet + Send + Sync> = match sent {
        Some(sent) => Box::new(SenderReport {
            ssrc,
            ntp_time: sent.ntp,
            rtp_time: sent.timestamp,
            packet_count: sent.packets,
            octet_count: sent.bytes,
            reports,
            ..SenderReport::default()
        }),
        None => Box::new(ReceiverReport { ssrc, reports, ..ReceiverReport::default() }),
    };
    let name = SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: cname.to_owned().into() };
    let name = SourceDescription { chunks: vec![SourceDescriptionChunk { source: ssrc, items: vec![name] }] };
    let mut packets = vec![first, Box::new(name)];
    if bye {
        packets.push(Box::new(Goodbye { sources: vec![ssrc], ..Goodbye::default() }));
    }
    rtcp::packet::marshal(&packets).map(|bytes| bytes.to_vec()).unwrap_or_default()
}

/// What a compound packet says to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whose report it is, and the middle 32 bits of its NTP time, when it is a sender report.
    pub sender: Option<(u32, u32)>,
    /// The first report about us.
    pub about_us: Option<Reception>,
}

/// Reads a compound packet; `None` when it is not well-formed (RFC 3550 appendix A.2).
pub fn parse(datagram: &[u8], our_ssrc: u32) -> Option<Heard> {
    let mut heard = Heard::default();
    let mut rest = datagram;
    let first = rest.get(1)?;
    if !matches!(first, 200 | 201) {
        return None;
    }
    while !rest.is_empty() {
        let [flags, kind, high, low] = *rest.first_chunk::<4>()?;
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        if flags >> 6 != 2 || length > rest.len() {
            return None;
        }
        let (packet, behind) = rest.split_at(length);
        let blocks = match kind {
            200 => {
                heard.sender = Some((word(packet, 4)?, word(packet, 8)? << 16 | word(packet, 12)? >> 16));
                packet.get(28..)?
            }
            201 => packet.get(8..)?,
            _ => &[],
        };
        let mut blocks = blocks.chunks_exact(24).take(usize::from(flags & 0x1F));
        heard.about_us = heard.about_us.or_else(|| blocks.find_map(|block| reception(block, our_ssrc)));
        rest = behind;
    }
    Some(heard)
}

fn reception(block: &[u8], our_ssrc: u32) -> Option<Reception> {
    let ssrc = word(block, 0)?;
    let losses = word(block, 4)?;
    (ssrc == our_ssrc).then_some(Reception {
        ssrc,
        fraction_lost: (losses >> 24) as u8,
        lost: losses & 0xFF_FFFF,
        highest: word(block, 8)?,
        jitter: word(block, 12)?,
        last_report: word(block, 16)?,
        delay: word(block, 20)?,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// Round trip in microseconds (RFC 3550 §6.4.1): `now` − last report − delay, all in 1/65536 s. `None` when
/// the other side has had no report of ours, or says what cannot be.
pub fn round_trip_us(now: u64, about_us: &Reception) -> Option<u32> {
    if about_us.last_report == 0 {
        return None;
    }
    let now = (now >> 16) as u32;
    let trip = now.wrapping_sub(about_us.last_report).wrapping_sub(about_us.delay) as i32;
    // A clock that ticks 65,536 times a second may round a quick answer below zero; above a minute is nonsense.
    (-2..60 << 16).contains(&trip).then(|| (i64::from(trip.max(0)) * 1_000_000 / 65_536) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEPTION: Reception = Reception {
        ssrc: 7,
        fraction_lost: 25,
        lost: 3,
        highest: 0x1_0005,
        jitter: 12,
        last_report: 0x0001_8000,
        delay: 0x8000,
    };

    #[test]
    fn a_report_is_read_back_and_gives_the_round_trip() {
        let sent = Sent { ntp: ntp(Duration::from_millis(2500)), timestamp: 160, packets: 5, bytes: 800 };
        let bytes = report(9, "abc", Some(sent), Some(RECEPTION), true);
        let heard = parse(&bytes, 7).expect("well-formed");
        assert_eq!(heard.sender, Some((9, 0x0002_8000)));
        assert_eq!(heard.about_us, Some(RECEPTION));
        assert_eq!(parse(&bytes, 8).expect("well-formed").about_us, None);
        // Our report left at 1.5 s, lay 0.5 s at the other side, and this came at 2.25 s.
        assert_eq!(round_trip_us(ntp(Duration::from_millis(2250)), &RECEPTION), Some(250_000));
        assert_eq!(round_trip_us(0, &Reception { last_report: 0, ..RECEPTION }), None);
    }

    #[test]
    fn a_compound_packet_begins_with_a_report_and_names_us() {
        let packets = rtcp::packet::unmarshal(&mut &report(9, "abc", None, None, true)[..]).expect("ours");
        let names: Vec<String> = packets.iter().map(|p| format!("{:?}", p.header().packet_type)).collect();
        assert_eq!(names, ["ReceiverReport", "SourceDescription", "Goodbye"]);
    }

    #[test]
    fn cut_off_reports_are_refused() {
        let bytes = report(9, "abc", None, Some(RECEPTION), false);
        for length in 0..bytes.len() {
            let cut = parse(&bytes[..length], 7);
            assert!(cut.is_none() || length == 32, "{length} bytes: {cut:?}");
        }
    }
}
