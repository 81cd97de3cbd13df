//! Counting what comes: sequence, loss and jitter (RFC 3550 §6.4.1, appendices A.1, A.3 and A.8).
//!
//! Left out: probation. The latch and the payload type decide who is a source, and its first packet is used.

use crate::media::rtcp::GAP_MIN;
use crate::media::rtcp::Reception;
use crate::media::rtp::Header;

/// A step ahead of at most so many is loss; a longer one is a restart (RFC 3550 appendix A.1).
const DROPOUT_MAX: u16 = 3000;

/// A packet at most so late is told from a duplicate; a later one is dropped.
const WINDOW: u16 = 64;

/// A step back of more than [`WINDOW`] and at most so many is a straggler, unless the packet behind it comes next; a
/// longer one is a restart.
const MISORDER_MAX: u16 = 1000;

/// What has come of one source after the other.
#[derive(Debug, Default)]
pub struct Incoming {
    source: Option<Source>,
    /// Used packets in all.
    received: u64,
    /// Lost by sources before this one.
    lost_before: u64,
    /// Expected and received at the last report (appendix A.3).
    reported: (u64, u64),
    /// Units of the RTP clock in a millisecond; 0 before the first packet is counted.
    units_per_ms: u32,
    /// Middle of the NTP time of the last sender report, and when it came in 1/65536 s.
    last_report: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    /// Sequence numbers with their cycles: the first and the highest.
    first: u64,
    highest: u64,
    received: u64,
    /// Bit `n` is set when the packet `n` below the highest has come.
    window: u64,
    /// The number behind one that was too old to be used.
    astray: Option<u16>,
    /// Arrival minus timestamp of the last audio packet, in RTP units.
    transit: Option<u32>,
    /// Sixteen times the jitter.
    jitter: u32,
    bursts: Bursts,
}

/// Loss in bursts and in the gaps between them (RFC 3611 §4.7.2). A packet that comes behind a later one counts as
/// lost here: it makes no difference to the shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Packets and losses in bursts that are over, and how many of those there were.
    burst: (u64, u64),
    count: u64,
    /// All packets and losses.
    all: (u64, u64),
    /// Packets and losses from the loss that may have begun a burst up to the last loss, and packets since.
    open: (u64, u64),
    since: u64,
}

impl Bursts {
    /// So many in a row, at least one, were lost.
    fn lost(&mut self, count: u64) {
        self.all = (self.all.0 + count, self.all.1 + count);
        if self.open.1 > 0 {
            self.open = (self.open.0 + self.since + count, self.open.1 + count);
        } else {
            self.open = (count, count);
        }
        self.since = 0;
    }

    fn came(&mut self) {
        self.all.0 += 1;
        self.since += 1;
        if self.since == u64::from(GAP_MIN) && self.open.1 > 0 {
            if self.open.1 > 1 {
                self.burst = (self.burst.0 + self.open.0, self.burst.1 + self.open.1);
                self.count += 1;
            }
            self.open = (0, 0);
        }
    }

    /// Bursts with the one that is open.
    fn bursts(&self) -> ((u64, u64), u64) {
        match self.open.1 {
            0 | 1 => (self.burst, self.count),
            _ => ((self.burst.0 + self.open.0, self.burst.1 + self.open.1), self.count + 1),
        }
    }

    /// Share of the packets that were lost in bursts, and in gaps, out of 256.
    pub fn density(&self) -> (u8, u8) {
        let (burst, _) = self.bursts();
        let share = |(all, lost): (u64, u64)| (lost * 256).checked_div(all).unwrap_or(0).min(255) as u8;
        (share(burst), share((self.all.0 - burst.0, self.all.1 - burst.1)))
    }

    /// Mean length of bursts and gaps in milliseconds, for packets of that length.
    pub fn duration_ms(&self, packet_ms: u8) -> (u16, u16) {
        let (burst, count) = self.bursts();
        let mean = |packets: u64, count: u64| {
            (packets * u64::from(packet_ms)).checked_div(count).unwrap_or(0).min(65_535) as u16
        };
        (mean(burst.0, count), mean(self.all.0 - burst.0, count + 1))
    }
}

impl Incoming {
    /// Counts a packet that came at `arrival` (RTP units of any origin); `false` when it is a duplicate or too
    /// late to be used. Only audio moves the jitter: events repeat their timestamp.
    pub fn count(&mut self, header: &Header, arrival: u32, audio: bool) -> bool {
        let second = self.units_per_ms.max(8) * 1000;
        let sequence = header.sequence;
        let known = self.source.as_mut().filter(|source| source.ssrc == header.ssrc);
        let Some(source) = known.and_then(|source| source.place(sequence)) else {
            self.restart(header, arrival);
            return true;
        };
        if !source {
            return false;
        }
        self.received += 1;
        if let Some(source) = self.source.as_mut().filter(|_| audio) {
            source.measure(header.timestamp, arrival, second);
        }
        true
    }

    fn restart(&mut self, header: &Header, arrival: u32) {
        self.lost_before = self.lost();
        self.received += 1;
        self.reported = (0, 0);
        self.last_report = self.last_report.filter(|_| self.ssrc() == Some(header.ssrc));
        let jitter = self.source.as_ref().map_or(0, |source| source.jitter);
        let first = u64::from(header.sequence);
        let transit = Some(arrival.wrapping_sub(header.timestamp));
        self.source = Some(Source {
            ssrc: header.ssrc,
            first,
            highest: first,
            received: 1,
            window: 1,
            astray: None,
            transit,
            jitter,
            bursts: self.source.as_ref().map_or_else(Bursts::default, |source| source.bursts),
        });
    }

    /// The time of `elapsed_us` microseconds on a clock of so many units a millisecond, which is that of the source from
    /// here on. Jitter measured by another clock is turned into its units.
    pub fn arrival(&mut self, elapsed_us: u64, units_per_ms: u32) -> u32 {
        if self.units_per_ms != units_per_ms {
            if let (Some(source), 1..) = (&mut self.source, self.units_per_ms) {
                source.jitter = source.jitter / self.units_per_ms * units_per_ms;
                source.transit = None;
            }
            self.units_per_ms = units_per_ms;
        }
        (elapsed_us * u64::from(units_per_ms) / 1000) as u32
    }

    /// Jitter in microseconds.
    pub fn jitter_us(&self) -> u32 {
        self.jitter().saturating_mul(1000) / self.units_per_ms.max(1)
    }

    /// Who is the source.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Used packets in all.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Gaps in the sequence in all.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.source.as_ref().map_or(0, |s| s.expected().saturating_sub(s.received))
    }

    /// Jitter in RTP units.
    pub fn jitter(&self) -> u32 {
        self.source.as_ref().map_or(0, |source| source.jitter >> 4)
    }

    /// Loss in bursts and gaps.
    pub fn bursts(&self) -> Bursts {
        self.source.as_ref().map_or_else(Bursts::default, |source| source.bursts)
    }

    /// The source's sender report has come, at `now` (1/65536 s).
    pub fn sender_report(&mut self, ssrc: u32, middle: u32, now: u32) {
        if self.ssrc() == Some(ssrc) {
            self.last_report = Some((middle, now));
        }
    }

    /// The report about the source, counted from the last one; `now` in 1/65536 s.
    pub fn report(&mut self, now: u32) -> Option<Reception> {
        let source = self.source.as_ref()?;
        let (expected, received) = (source.expected(), source.received);
        let expected_since = expected.saturating_sub(self.reported.0);
        let lost_since = expected_since.saturating_sub(received.saturating_sub(self.reported.1));
        self.reported = (expected, received);
        Some(Reception {
            ssrc: source.ssrc,
            fraction_lost: (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255) as u8,
            lost: expected.saturating_sub(received).min(0x7F_FFFF) as u32,
            highest: source.highest as u32,
            jitter: source.jitter >> 4,
            last_report: self.last_report.map_or(0, |(middle, _)| middle),
            delay: self.last_report.map_or(0, |(_, at)| now.wrapping_sub(at)),
        })
    }
}

impl Source {
    /// Counts a sequence number: `Some(false)` for a duplicate or straggler, `None` for a restart.
    fn place(&mut self, sequence: u16) -> Option<bool> {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead == 0 {
            return Some(false);
        }
        if ahead <= DROPOUT_MAX {
            if ahead > 1 {
                self.bursts.lost(u64::from(ahead - 1));
            }
            self.bursts.came();
            self.highest += u64::from(ahead);
            self.window = self.window.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
        } else if behind < WINDOW {
            let bit = 1 << behind;
            if self.window & bit != 0 {
                return Some(false);
            }
            self.window |= bit;
            // A packet overtaken by the first one begins the sequence.
            let number = self.highest.saturating_sub(u64::from(behind));
            self.first = self.first.min(number);
        } else if behind <= MISORDER_MAX {
            // RFC 3550 appendix A.1: two in order at the same old place are a source that has begun anew there.
            let again = self.astray.replace(sequence.wrapping_add(1)) == Some(sequence);
            return if again { None } else { Some(false) };
        } else {
            return None;
        }
        self.astray = None;
        self.received += 1;
        Some(true)
    }

    fn measure(&mut self, timestamp: u32, arrival: u32, second: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit {
            let apart = (transit.wrapping_sub(last) as i32).unsigned_abs();
            // A jump of a second is another origin of timestamps, not jitter.
            if apart < second {
                self.jitter = self.jitter + apart - ((self.jitter + 8) >> 4);
            }
        }
        self.transit = Some(transit);
    }

    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16) -> Header {
        let timestamp = u32::from(sequence) * 160;
        Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 1 }
    }

    #[test]
    fn loss_reordering_and_duplicates_are_told_apart_across_the_wrap() {
        let mut incoming = Incoming::default();
        let order: [(u16, bool); 9] = [
            (65_533, true),
            (65_534, true),
            (0, true),       // 65 535 is late
            (65_535, true),  // there it is
            (65_535, false), // twice
            (0, false),      // twice
            (4, true),       // 1 to 3 are lost
            (2, true),
            (65_533, false), // twice
        ];
        for (sequence, used) in order {
            assert_eq!(incoming.count(&header(sequence), 0, false), used, "{sequence}");
        }
        assert_eq!((incoming.received(), incoming.lost()), (6, 2));
        let report = incoming.report(0).expect("a source");
        assert_eq!((report.lost, report.highest, report.fraction_lost), (2, 0x1_0004, (2 * 256 / 8) as u8));
        assert_eq!(incoming.report(0).expect("a source").fraction_lost, 0, "nothing came since");
    }

    #[test]
    fn bursts_are_told_from_gaps_as_in_the_example_of_rfc_3611() {
        // §4.7.2, with discarded packets as lost ones.
        let pattern = "11110111111111111111111011101011110111111111111111111110111111111";
        let mut bursts = Bursts::default();
        for packet in pattern.chars() {
            if packet == '1' { bursts.came() } else { bursts.lost(1) }
        }
        assert_eq!(bursts.duration_ms(10).0, 120);
        assert_eq!(bursts.density(), ((4 * 256 / 12) as u8, (2 * 256 / 53) as u8));
    }

    #[test]
    fn a_long_hole_is_counted_as_its_packets_one_by_one() {
        for (before, count) in
            (0..20).flat_map(|before| (1..=u64::from(DROPOUT_MAX)).map(move |count| (before, count)))
        {
            let mut at_once = Bursts::default();
            at_once.lost(1);
            (0..before).for_each(|_| at_once.came());
            let mut singly = at_once;
            at_once.lost(count);
            (0..count).for_each(|_| singly.lost(1));
            assert_eq!(at_once, singly, "{before} packets, {count} lost");
        }
    }

    #[test]
    fn a_restart_is_no_loss() {
        let mut incoming = Incoming::default();
        for sequence in [10, 11, 40_000, 40_001] {
            assert!(incoming.count(&header(sequence), 0, true));
        }
        assert!(incoming.count(&Header { ssrc: 2, ..header(7) }, 0, true));
        assert_eq!((incoming.received(), incoming.lost()), (5, 0));
    }

    #[test]
    fn a_restart_a_little_below_costs_one_packet_and_stragglers_are_none() {
        let mut incoming = Incoming::default();
        let used = |incoming: &mut Incoming, numbers: &[u16]| {
            numbers.iter().map(|number| incoming.count(&header(*number), 0, true)).collect::<Vec<bool>>()
        };
        used(&mut incoming, &(0..=2000).collect::<Vec<u16>>());
        assert_eq!(
            used(&mut incoming, &[1500, 2001, 1501, 2002, 1700, 1600]),
            [false, true, false, true, false, false]
        );
        assert_eq!(used(&mut incoming, &[1300, 1301, 1302, 1303]), [false, true, true, true]);
        assert_eq!((incoming.received(), incoming.lost()), (2003 + 3, 0));
    }

    #[test]
    fn jitter_follows_the_variation_of_arrival() {
        let mut steady = Incoming::default();
        let mut shaky = Incoming::default();
        for at in 0..400u16 {
            let arrival = u32::from(at) * 160;
            steady.count(&header(at), arrival, true);
            shaky.count(&header(at), arrival + u32::from(at % 2) * 40, true);
        }
        assert_eq!(steady.jitter(), 0);
        assert!((38..=40).contains(&shaky.jitter()), "{}", shaky.jitter());
    }
}
