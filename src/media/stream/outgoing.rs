//! One line of sequence, timestamp and SSRC, whatever the source (RFC 3550 §5.1): music, prompt, peer, hold.
//!
//! Own packets take their timestamp from the engine's milliseconds. Passed-on packets keep the peer's spacing,
//! gaps and order by a constant difference, which is set anew where a source takes over.

use crate::media::rtp::Header;

/// A peer's timestamp that moves by more milliseconds than this within its line begins another line.
const JUMP_MAX_MS: u32 = 5000;

/// A peer's sequence number that moves otherwise begins another line, as it does where its packets are counted: a number
/// that we have sent must not go out again.
const STEPS: std::ops::RangeInclusive<i16> = -64..=3000;

/// What has gone out, and what comes next.
#[derive(Debug)]
pub struct Outgoing {
    ssrc: u32,
    next_sequence: u16,
    /// Units of the RTP clock in a millisecond.
    units_per_ms: u32,
    /// Timestamp of the engine's millisecond 0.
    origin: u32,
    /// Timestamp at which the line would go on without a gap; `None` before the first packet.
    end: Option<u32>,
    passing: Option<Passing>,
    packets: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Passing {
    /// The peer's SSRC and the number of its line.
    ssrc: u32,
    line: u64,
    sequence_shift: u16,
    timestamp_shift: u32,
    newest: u16,
    /// How far below the newest these shifts reach back: older packets would fall before the change.
    span: u32,
    timestamp: u32,
}

impl Outgoing {
    /// Random beginnings, as RFC 3550 §5.1 demands.
    pub fn new(ssrc: u32, sequence: u16, origin: u32, units_per_ms: u32) -> Outgoing {
        let next_sequence = sequence;
        Outgoing { ssrc, next_sequence, units_per_ms, origin, end: None, passing: None, packets: 0, bytes: 0 }
    }

    /// Counts by another clock from `ms` on; the line goes on where it is.
    pub fn set_clock(&mut self, units_per_ms: u32, ms: u64) {
        if units_per_ms != self.units_per_ms {
            let now = self.timestamp(ms);
            self.units_per_ms = units_per_ms;
            self.origin = now.wrapping_sub((ms as u32).wrapping_mul(units_per_ms));
            self.passing = None;
        }
    }

    /// Our SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes sent.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The timestamp of the engine's millisecond `ms`.
    pub fn clock(&self, ms: u64) -> u32 {
        self.origin.wrapping_add((ms as u32).wrapping_mul(self.units_per_ms))
    }

    /// The timestamp that an own packet at `ms` gets: the clock's, moved on if a passed-on line ran ahead of it,
    /// for timestamps never go back.
    pub fn timestamp(&mut self, ms: u64) -> u32 {
        let clock = self.clock(ms);
        let Some(end) = self.end else { return clock };
        let ahead = end.wrapping_sub(clock);
        if (ahead as i32) <= 0 {
            return clock;
        }
        self.origin = self.origin.wrapping_add(ahead);
        end
    }

    /// The header of an own packet at `ms` that stands for `units` of time.
    pub fn own(&mut self, ms: u64, units: u32, payload_type: u8) -> Header {
        self.passing = None;
        let timestamp = self.timestamp(ms);
        let marker = self.end != Some(timestamp);
        self.end = Some(timestamp.wrapping_add(units));
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    /// A source that is not passed on for a while begins another line when it is again.
    pub fn interrupt(&mut self) {
        self.passing = None;
    }

    /// The header for a peer's packet of `units` of time (0 for an event); `None` when it is older than the
    /// moment at which this peer took over. `line` tells the peers apart.
    pub fn pass(
        &mut self,
        peer: &Header,
        line: u64,
        units: u32,
        ms: u64,
        payload_type: u8,
    ) -> Option<Header> {
        let goes_on = self.goes_on(peer, line);
        if !goes_on {
            let timestamp = self.timestamp(ms);
            self.passing = Some(Passing {
                ssrc: peer.ssrc,
                line,
                sequence_shift: self.next_sequence.wrapping_sub(peer.sequence),
                timestamp_shift: timestamp.wrapping_sub(peer.timestamp),
                newest: peer.sequence,
                span: 0,
                timestamp: peer.timestamp,
            });
        }
        let passing = self.passing.as_mut()?;
        let step = peer.sequence.wrapping_sub(passing.newest) as i16;
        if step > 0 {
            (passing.newest, passing.timestamp) = (peer.sequence, peer.timestamp);
            passing.span = passing.span.saturating_add(step as u32);
        } else if u32::from(step.unsigned_abs()) > passing.span {
            return None;
        }
        let sequence = peer.sequence.wrapping_add(passing.sequence_shift);
        let timestamp = peer.timestamp.wrapping_add(passing.timestamp_shift);
        if (sequence.wrapping_sub(self.next_sequence) as i16) >= 0 {
            self.next_sequence = sequence.wrapping_add(1);
        }
        let end = timestamp.wrapping_add(units);
        if self.end.is_none_or(|old| (end.wrapping_sub(old) as i32) > 0) {
            self.end = Some(end);
        }
        let marker = peer.marker || !goes_on;
        Some(Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc })
    }

    /// A peer's packet is left out on purpose: when it is the newest, the sequence closes over it.
    pub fn leave_out(&mut self, peer: &Header, line: u64) {
        if !self.goes_on(peer, line) {
            return;
        }
        let Some(passing) = self.passing.as_mut() else { return };
        if peer.sequence == passing.newest.wrapping_add(1) {
            passing.sequence_shift = passing.sequence_shift.wrapping_sub(1);
            passing.newest = peer.sequence;
            passing.span = 0;
        }
    }

    /// Whether a peer's line goes on.
    pub fn is_passing(&self) -> bool {
        self.passing.is_some()
    }

    /// Whether a peer's packet goes on with the line that its last one was on.
    pub fn goes_on(&self, peer: &Header, line: u64) -> bool {
        self.passing.as_ref().is_some_and(|p| p.goes_on(peer, line, JUMP_MAX_MS * self.units_per_ms))
    }

    /// Counts a packet as sent.
    pub fn sent(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

impl Passing {
    fn goes_on(&self, peer: &Header, line: u64, jump_max: u32) -> bool {
        let moved = peer.timestamp.wrapping_sub(self.timestamp) as i32;
        let step = peer.sequence.wrapping_sub(self.newest) as i16;
        self.ssrc == peer.ssrc
            && self.line == line
            && moved.unsigned_abs() <= jump_max
            && STEPS.contains(&step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(sequence: u16, timestamp: u32) -> Header {
        Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 99 }
    }

    #[test]
    fn the_line_is_continuous_over_music_peer_and_music() {
        let mut out = Outgoing::new(7, 65_535, 5000, 8);
        let first = out.own(100, 160, 8);
        assert_eq!((first.sequence, first.timestamp, first.marker), (65_535, 5800, true));
        let second = out.own(120, 160, 8);
        assert_eq!((second.sequence, second.timestamp, second.marker), (0, 5960, false));
        let taken = out.pass(&peer(40_000, 1_000_000), 1, 160, 133, 8).expect("first");
        assert_eq!(
            (taken.sequence, taken.timestamp, taken.marker),
            (1, 6120, true),
            "not before the last ended"
        );
        let lost = out.pass(&peer(40_002, 1_000_320), 1, 160, 173, 8).expect("after a loss");
        assert_eq!((lost.sequence, lost.timestamp, lost.marker), (3, 6440, false), "the gap is passed on");
        let late = out.pass(&peer(40_001, 1_000_160), 1, 160, 174, 8).expect("late");
        assert_eq!((late.sequence, late.timestamp), (2, 6280));
        assert_eq!(out.pass(&peer(39_999, 999_840), 1, 160, 175, 8), None, "before the change");
        let back = out.own(180, 160, 8);
        assert_eq!((back.sequence, back.timestamp, back.marker), (4, 6600, false));
        let later = out.own(280, 160, 8);
        assert_eq!((later.sequence, later.marker), (5, true), "after a silence");
        assert_eq!(later.timestamp - back.timestamp, 800);
        assert!([second, taken, lost, late, back].iter().all(|h| h.ssrc == 7));
    }

    #[test]
    fn another_clock_goes_on_where_the_line_is() {
        let mut out = Outgoing::new(7, 10, 0, 8);
        let last = out.own(1000, 160, 8);
        out.set_clock(48, 1020);
        let (first, next) = (out.own(1020, 960, 111), out.own(1040, 960, 111));
        assert_eq!((first.timestamp, next.timestamp), (last.timestamp + 160, last.timestamp + 160 + 960));
        assert!(!next.marker);
    }

    #[test]
    fn another_ssrc_or_a_jump_of_the_peer_begins_another_line_without_a_break() {
        let mut out = Outgoing::new(7, 10, 0, 8);
        out.pass(&peer(1, 0), 1, 160, 0, 8);
        let other = out.pass(&Header { ssrc: 5, ..peer(900, 77) }, 1, 160, 20, 8).expect("another");
        assert_eq!((other.sequence, other.timestamp, other.marker), (11, 160, true));
        let jumped = out.pass(&Header { ssrc: 5, ..peer(901, 9_000_000) }, 1, 160, 60, 8).expect("a jump");
        assert_eq!((jumped.sequence, jumped.timestamp), (12, 480));
        let line =
            out.pass(&Header { ssrc: 5, ..peer(902, 9_000_160) }, 2, 160, 80, 8).expect("another stream");
        assert_eq!((line.sequence, line.marker), (13, true));
    }

    #[test]
    fn a_long_line_wraps_and_left_out_packets_leave_no_gap() {
        let mut out = Outgoing::new(7, 0, 0, 8);
        let mut expect = 0u16;
        for at in 0..200_000u32 {
            let from = peer(at as u16, at.wrapping_mul(160));
            if at % 7 == 3 {
                out.leave_out(&from, 1);
                continue;
            }
            let header = out.pass(&from, 1, 160, u64::from(at) * 20, 8).expect("in order");
            assert_eq!((header.sequence, header.timestamp), (expect, at.wrapping_mul(160)));
            expect = expect.wrapping_add(1);
        }
    }
}
