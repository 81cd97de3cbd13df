//! RTCP (RFC 3550 §6): reports that we send, built by the `rtcp` crate, and what we read of those that come.
//!
//! Reading is our own: a handful of fields out of sender, receiver and extended reports, without allocation, and no
//! bytes can make it panic; packets of reduced size (RFC 5506) are read as well. BYE is counted as a sign of life and
//! no more; SIP says when a call is over. The summary of a voice stream is that of RFC 3611 §4.7.

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

/// A voice stream in sum since its beginning (RFC 3611 §4.7). Fractions are out of 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// About whom.
    pub ssrc: u32,
    /// Lost on the way.
    pub loss_rate: u8,
    /// Came too late to be heard.
    pub discard_rate: u8,
    /// Lost in bursts, and in the gaps between them.
    pub density: (u8, u8),
    /// Mean length of bursts and gaps in milliseconds.
    pub duration_ms: (u16, u16),
    /// Round trip in milliseconds, 0 when unknown.
    pub round_trip_ms: u16,
    /// Held here, in milliseconds.
    pub system_ms: u16,
    /// Transmission rating; 127 when unknown.
    pub rating: u8,
    /// Mean opinion score in tenths: of listening, and of talking, which feels delay; 127 when unknown.
    pub mos: (u8, u8),
}

/// Packet type of extended reports, and the block of a voice stream (RFC 3611 §2, §4.7).
const EXTENDED: u8 = 207;
const VOICE_BLOCK: u8 = 7;
const VOICE_WORDS: u16 = 8;

/// Packets in a row between two losses that end a burst (RFC 3611 §4.7.2: the recommended 16).
pub const GAP_MIN: u8 = 16;

impl Voice {
    /// The extended report that holds it, from `ssrc`.
    fn bytes(&self, ssrc: u32) -> [u8; 44] {
        let mut bytes = [0; 44];
        bytes[0] = 0x80;
        bytes[1] = EXTENDED;
        bytes[2..4].copy_from_slice(&10u16.to_be_bytes());
        bytes[4..8].copy_from_slice(&ssrc.to_be_bytes());
        bytes[8] = VOICE_BLOCK;
        bytes[10..12].copy_from_slice(&VOICE_WORDS.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes[16..20].copy_from_slice(&[self.loss_rate, self.discard_rate, self.density.0, self.density.1]);
        for (at, value) in [
            (20, self.duration_ms.0),
            (22, self.duration_ms.1),
            (24, self.round_trip_ms),
            (26, self.system_ms),
            (38, self.system_ms),
            (40, self.system_ms),
            (42, 400),
        ] {
            bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        // Levels and echo are not measured: 127 is unknown.
        bytes[28..32].copy_from_slice(&[127, 127, 127, GAP_MIN]);
        bytes[32..36].copy_from_slice(&[self.rating, 127, self.mos.0, self.mos.1]);
        // §4.7.6: standard concealment, an adaptive jitter buffer whose rate is unknown.
        bytes[36] = 0b1111_0000;
        bytes
    }

    fn read(block: &[u8]) -> Option<Voice> {
        let half = |at: usize| Some(u16::from_be_bytes(*block.get(at..)?.first_chunk()?));
        Some(Voice {
            ssrc: word(block, 4)?,
            loss_rate: *block.get(8)?,
            discard_rate: *block.get(9)?,
            density: (*block.get(10)?, *block.get(11)?),
            duration_ms: (half(12)?, half(14)?),
            round_trip_ms: half(16)?,
            system_ms: half(18)?,
            rating: *block.get(24)?,
            mos: (*block.get(26)?, *block.get(27)?),
        })
    }
}

/// A compound packet: a sender report when we send, else a receiver report; our name; the sum of the voice; BYE when
/// `bye`.
pub fn report(
    ssrc: u32,
    cname: &str,
    sent: Option<Sent>,
    about: Option<Reception>,
    voice: Option<Voice>,
    bye: bool,
) -> Vec<u8> {
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
    let packets: [Box<dyn Packet + Send + Sync>; 2] = [first, Box::new(name)];
    let mut bytes = rtcp::packet::marshal(&packets).map(|bytes| bytes.to_vec()).unwrap_or_default();
    bytes.extend(voice.iter().flat_map(|voice| voice.bytes(ssrc)));
    if bye {
        // RFC 3550 §6.6: the last packet of the compound.
        let goodbye: [Box<dyn Packet + Send + Sync>; 1] =
            [Box::new(Goodbye { sources: vec![ssrc], ..Goodbye::default() })];
        bytes.extend(rtcp::packet::marshal(&goodbye).unwrap_or_default());
    }
    bytes
}

/// What a compound packet says to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whose report it is, and the middle 32 bits of its NTP time, when it is a sender report.
    pub sender: Option<(u32, u32)>,
    /// The first report about us.
    pub about_us: Option<Reception>,
    /// A report that says of nobody that anything was received.
    pub hears_nobody: bool,
    /// The sum of our voice as the other side hears it.
    pub voice: Option<Voice>,
    /// It leaves.
    pub bye: bool,
}

/// Reads a compound packet, or one of reduced size (RFC 5506 §3.4.2: any packet may be the first); `None` when it is
/// not well-formed (RFC 3550 appendix A.2).
pub fn parse(datagram: &[u8], our_ssrc: u32) -> Option<Heard> {
    let mut heard = Heard::default();
    let mut rest = datagram;
    if !matches!(rest.get(1)?, 200..=207) {
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
            203 => {
                heard.bye = true;
                &[]
            }
            EXTENDED => {
                heard.voice = heard.voice.or_else(|| extended(packet.get(8..)?, our_ssrc));
                &[]
            }
            _ => &[],
        };
        heard.hears_nobody |= matches!(kind, 200 | 201) && flags & 0x1F == 0;
        let mut blocks = blocks.chunks_exact(24).take(usize::from(flags & 0x1F));
        heard.about_us = heard.about_us.or_else(|| blocks.find_map(|block| reception(block, our_ssrc)));
        rest = behind;
    }
    Some(heard)
}

/// The voice block about us among extended reports.
fn extended(mut blocks: &[u8], our_ssrc: u32) -> Option<Voice> {
    while let Some([kind, _, high, low]) = blocks.first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
        let block = blocks.get(..length)?;
        if *kind == VOICE_BLOCK
            && let Some(voice) = Voice::read(block).filter(|voice| voice.ssrc == our_ssrc)
        {
            return Some(voice);
        }
        blocks = &blocks[length..];
    }
    None
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

    const VOICE: Voice = Voice {
        ssrc: 7,
        loss_rate: 12,
        discard_rate: 3,
        density: (84, 10),
        duration_ms: (120, 520),
        round_trip_ms: 40,
        system_ms: 60,
        rating: 88,
        mos: (42, 41),
    };

    #[test]
    fn packets_of_reduced_size_are_read() {
        let whole = report(9, "abc", None, Some(RECEPTION), Some(VOICE), false);
        let extended = &whole[whole.len() - 44..];
        assert_eq!(parse(extended, 7).and_then(|heard| heard.voice), Some(VOICE));
        // A picture loss indication (RFC 4585 §6.3.1): nothing for us, and no harm.
        let feedback = [0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7];
        assert_eq!(parse(&feedback, 7), Some(Heard::default()));
        assert!(parse(&report(9, "abc", None, None, None, false), 7).expect("well-formed").hears_nobody);
    }

    #[test]
    fn a_report_is_read_back_and_gives_the_round_trip() {
        let sent = Sent { ntp: ntp(Duration::from_millis(2500)), timestamp: 160, packets: 5, bytes: 800 };
        let bytes = report(9, "abc", Some(sent), Some(RECEPTION), Some(VOICE), true);
        let heard = parse(&bytes, 7).expect("well-formed");
        assert_eq!(heard.sender, Some((9, 0x0002_8000)));
        assert_eq!(heard.about_us, Some(RECEPTION));
        assert_eq!((heard.voice, heard.bye, heard.hears_nobody), (Some(VOICE), true, false));
        assert_eq!(parse(&bytes, 8).expect("well-formed").about_us, None);
        // Our report left at 1.5 s, lay 0.5 s at the other side, and this came at 2.25 s.
        assert_eq!(round_trip_us(ntp(Duration::from_millis(2250)), &RECEPTION), Some(250_000));
        assert_eq!(round_trip_us(0, &Reception { last_report: 0, ..RECEPTION }), None);
    }

    #[test]
    fn a_compound_packet_begins_with_a_report_and_names_us() {
        let packets =
            rtcp::packet::unmarshal(&mut &report(9, "abc", None, None, Some(VOICE), true)[..]).expect("ours");
        let names: Vec<String> = packets.iter().map(|p| format!("{:?}", p.header().packet_type)).collect();
        assert_eq!(names, ["ReceiverReport", "SourceDescription", "ExtendedReport", "Goodbye"]);
    }

    #[test]
    fn cut_off_reports_are_refused() {
        let bytes = report(9, "abc", None, Some(RECEPTION), None, false);
        for length in 0..bytes.len() {
            let cut = parse(&bytes[..length], 7);
            assert!(cut.is_none() || length == 32, "{length} bytes: {cut:?}");
        }
    }
}
