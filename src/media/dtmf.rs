//! Keys as telephone-events (RFC 4733): hearing each press once, and sending presses.
//!
//! Events above 15 (flash, fax, modem) are not keys and pass unheard. Keys as tones in the audio are looked for in
//! `dtmf_inband`, and sent from clips of the bank, where no telephone-event was negotiated.

use std::collections::VecDeque;

use crate::media::rtp::Header;
use crate::media::tone::KEYS;

/// A telephone-event payload (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Event code; 0 to 15 are keys.
    pub event: u8,
    /// The last report of the press.
    pub end: bool,
    /// Power below 0 dBm0, in dB.
    pub volume: u8,
    /// How long so far, in RTP units.
    pub duration: u16,
}

impl Payload {
    /// Reads the first event of a payload; `None` when it is cut off. Further events in it (§2.5.1.5) are
    /// not read: no phone packs keys so.
    pub fn parse(bytes: &[u8]) -> Option<Payload> {
        let [event, flags, high, low] = *bytes.first_chunk::<4>()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Payload { event, end: flags & 0x80 != 0, volume: flags & 0x3F, duration })
    }

    /// As bytes.
    pub fn bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, (u8::from(self.end) << 7) | (self.volume & 0x3F), high, low]
    }
}

/// An event's payload for a clock of `to` units in a millisecond, when it is on one of `from`; `None` where it can stay.
pub fn on_clock(payload: &[u8], from: u16, to: u16) -> Option<[u8; 4]> {
    let event = Payload::parse(payload).filter(|_| from != to && from > 0)?;
    let duration = u32::from(event.duration) * u32::from(to) / u32::from(from);
    Some(Payload { duration: duration.min(u32::from(u16::MAX)) as u16, ..event }.bytes())
}

/// A packet of the same key, starting this soon after the end of the last, is a repeat of it with a wrong
/// timestamp: no finger and no dialler is that quick (30 ms on a clock of 8 kHz, 5 ms on one of 48 kHz).
const SHORTEST_PAUSE: u32 = 30 * 8;

/// Some phones move the timestamp on with every report of one press; reports this near in arrival
/// (milliseconds) with a growing duration are then one press.
const SAME_PRESS_MS: u64 = 100;

/// For this long, an event older than the last is a straggler of an earlier press; after it, the sender has
/// set its clock back.
const STRAGGLER_MS: u64 = 2000;

/// After the last report of a press that has no end, it counts as going on for this long: two reports at 50 ms.
const GOES_ON_MS: u64 = 120;

/// After the end of a press its tone may still be in the audio, which comes another way through the phone.
const TAIL_MS: u64 = 40;

/// A segment of a long press that has no end may be so far from the place where the one before it would be full, in units: a
/// report or two of it were lost, or its phone begins the next one a little early or late.
const SEGMENT_SLACK: u16 = 3000;

/// Presses are heard at this pace, in milliseconds, and so far ahead of it when several come together: 25 a second, three at
/// once. No dialler is quicker, and each costs the core a turn.
const PACE_MS: u64 = 40;
const AHEAD_MS: u64 = 80;

/// Hears each press once, at its first packet, whichever of its packets that is.
#[derive(Debug, Default)]
pub struct Receiver {
    last: Option<Press>,
    /// When the next press would be in pace.
    due_ms: u64,
    ignored: u32,
}

#[derive(Debug)]
struct Press {
    event: u8,
    ssrc: u32,
    timestamp: u32,
    duration: u16,
    ended: bool,
    at_ms: u64,
}

impl Receiver {
    /// Takes an event packet that came at `at_ms`; the key, if a press begins with it.
    pub fn receive(&mut self, payload: Payload, header: &Header, at_ms: u64) -> Option<char> {
        let digit = *KEYS.get(usize::from(payload.event))?;
        let Header { timestamp, ssrc, .. } = *header;
        // The timestamps of another sender say nothing about those of the last.
        if let Some(last) = self.last.as_mut().filter(|last| last.ssrc == ssrc) {
            let later = timestamp.wrapping_sub(last.timestamp) as i32;
            if later < 0 && at_ms.saturating_sub(last.at_ms) < STRAGGLER_MS {
                return None;
            }
            if last.event == payload.event && last.goes_on(payload, header, at_ms) {
                last.ended |= payload.end;
                last.duration = last.duration.max(payload.duration);
                last.at_ms = at_ms;
                return None;
            }
        }
        if self.due_ms > at_ms + AHEAD_MS {
            self.ignored = self.ignored.wrapping_add(1);
            return None;
        }
        self.due_ms = self.due_ms.max(at_ms) + PACE_MS;
        let Payload { event, duration, end: ended, .. } = payload;
        self.last = Some(Press { event, ssrc, timestamp, duration, ended, at_ms });
        Some(digit)
    }

    /// Packets that would have begun a press, but came out of all pace.
    pub fn ignored(&self) -> u32 {
        self.ignored
    }

    /// Whether a key is being pressed at `at_ms`: what its phone sends as audio meanwhile is the key's tone, if it is
    /// one that sends both, and is not to be passed on a second time.
    pub fn is_pressed(&self, at_ms: u64) -> bool {
        self.last.as_ref().is_some_and(|last| {
            let long = if last.ended { TAIL_MS } else { GOES_ON_MS };
            at_ms.saturating_sub(last.at_ms) < long
        })
    }
}

impl Press {
    /// Whether a packet of the same key, whose timestamp is not an earlier one, still belongs to this press.
    fn goes_on(&mut self, payload: Payload, header: &Header, at_ms: u64) -> bool {
        let Header { timestamp, marker, .. } = *header;
        if timestamp == self.timestamp {
            // Of a phone whose clock stands still while it is muted, every press has the same timestamp.
            let long = if marker { SAME_PRESS_MS } else { STRAGGLER_MS };
            let over = (marker || self.ended) && at_ms.saturating_sub(self.at_ms) >= long;
            return !over;
        }
        let gap = timestamp.wrapping_sub(self.timestamp).saturating_sub(u32::from(self.duration));
        // RFC 4733 §2.5.2.3: a press longer than 0xFFFF units goes on in a segment that starts where the
        // last one stopped.
        let segment =
            !self.ended && self.duration > u16::MAX - SEGMENT_SLACK && gap < u32::from(SEGMENT_SLACK);
        let repeat = self.ended && gap < SHORTEST_PAUSE;
        let grows = payload.duration > self.duration || payload.end && payload.duration == self.duration;
        let moved = !self.ended && grows && at_ms.saturating_sub(self.at_ms) < SAME_PRESS_MS;
        if marker || !(segment || repeat || moved) {
            return false;
        }
        self.timestamp = timestamp;
        if segment {
            self.duration = 0;
        }
        true
    }
}

/// How many keys may wait to be sent; more are dropped.
const QUEUE_MAX: usize = 32;

/// A press that we make, and the pause after it, in milliseconds.
const PRESS_MS: u32 = 100;
const PAUSE_MS: u32 = 60;

/// Sends presses one after the other, a report for each packet of the stream.
#[derive(Debug, Default)]
pub struct Sender {
    queue: VecDeque<u8>,
    current: Option<Sending>,
}

#[derive(Debug)]
struct Sending {
    event: u8,
    timestamp: u32,
    /// How long so far.
    ms: u32,
    ends: u8,
}

/// What to put in a stream's next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This report.
    Report {
        /// Its payload.
        payload: [u8; 4],
        /// When the press began.
        timestamp: u32,
        /// Set on the first report.
        marker: bool,
    },
    /// Nothing: the pause between two keys.
    Pause,
}

impl Sender {
    /// Queues a key by its event code.
    pub fn push(&mut self, event: u8) {
        if self.queue.len() < QUEUE_MAX {
            self.queue.push_back(event);
        }
    }

    /// Whether nothing is left to send.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.current.is_none()
    }

    /// The turn of a packet of `packet_ms` milliseconds at timestamp `now`; `None` when idle. `clocks`: units in a
    /// millisecond, of timestamps and of durations. They differ where telephone-event was agreed on for another clock
    /// than the codec's: a press is then placed by the clock of the audio, and measured by its own.
    pub fn turn(&mut self, now: u32, packet_ms: u8, clocks: (u32, u16)) -> Option<Turn> {
        if let Some(sending) = &self.current
            && sending.ends == 3
            && now.wrapping_sub(sending.timestamp) >= (sending.ms + PAUSE_MS) * clocks.0
        {
            self.current = None;
        }
        let mut marker = false;
        if self.current.is_none() {
            let event = self.queue.pop_front()?;
            self.current = Some(Sending { event, timestamp: now, ms: 0, ends: 0 });
            marker = true;
        }
        let sending = self.current.as_mut()?;
        if sending.ends == 3 {
            return Some(Turn::Pause);
        }
        // RFC 4733 §2.5.1.4: the final report goes out three times, at the interval of the others.
        if sending.ms < PRESS_MS {
            sending.ms += u32::from(packet_ms);
        } else {
            sending.ends += 1;
        }
        let duration = sending.ms as u16 * clocks.1;
        let payload = Payload { event: sending.event, end: sending.ends > 0, volume: 10, duration };
        Some(Turn::Report { payload: payload.bytes(), timestamp: sending.timestamp, marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A press as phones send it: a report each 20 ms for 100 ms, then the final one three times.
    fn press(event: u8, timestamp: u32) -> Vec<(Payload, u32, bool)> {
        let report = |at: u16, end| Payload { event, end, volume: 10, duration: at * 160 };
        let mut packets: Vec<_> = (1..=5).map(|at| (report(at, false), timestamp, at == 1)).collect();
        packets.extend([(report(5, true), timestamp, false); 3]);
        packets
    }

    fn header(timestamp: u32, marker: bool, ssrc: u32) -> Header {
        Header { marker, payload_type: 101, sequence: 0, timestamp, ssrc }
    }

    fn heard(packets: &[(Payload, u32, bool)]) -> String {
        let mut receiver = Receiver::default();
        let mut ms = 0;
        let mut heard = String::new();
        for (payload, timestamp, marker) in packets {
            ms += 20;
            heard.extend(receiver.receive(*payload, &header(*timestamp, *marker, 1), ms));
        }
        heard
    }

    #[test]
    fn a_press_is_heard_once_whichever_packets_are_lost() {
        for lost in 0..255u8 {
            let came = press(5, 1000).into_iter().enumerate().filter(|(at, _)| lost & (1 << at) == 0);
            let packets: Vec<_> = came.map(|(_, packet)| packet).collect();
            assert_eq!(heard(&packets), "5", "lost {lost:08b}");
        }
    }

    #[test]
    fn two_presses_of_one_key_are_two_even_if_the_end_of_the_first_is_lost() {
        let first = press(1, 1000);
        let second = press(1, 1000 + 800 + 480);
        assert_eq!(heard(&[first.clone(), second.clone()].concat()), "11");
        assert_eq!(heard(&[first[..5].to_vec(), second.clone()].concat()), "11", "no end");
        assert_eq!(heard(&[first[..5].to_vec(), second[1..].to_vec()].concat()), "11", "no end, no marker");
    }

    #[test]
    fn stragglers_and_repeats_are_not_new_presses() {
        let first = press(1, 1000);
        let second = press(2, 3000);
        let late = [first[..6].to_vec(), second[..2].to_vec(), first[6..].to_vec(), second[2..].to_vec()];
        assert_eq!(heard(&late.concat()), "12");
        let doubled: Vec<_> = press(3, 1000).into_iter().flat_map(|p| [p, p]).collect();
        assert_eq!(heard(&doubled), "3");
    }

    #[test]
    fn a_phone_that_moves_the_timestamp_within_a_press_is_heard_once() {
        let mut packets = press(7, 1000);
        for (at, packet) in packets.iter_mut().enumerate() {
            packet.1 += 160 * at as u32;
        }
        assert_eq!(heard(&packets), "7");
    }

    #[test]
    fn a_press_longer_than_the_duration_field_is_one_press() {
        let report = |duration, end| Payload { event: 9, end, volume: 10, duration };
        let packets = [
            (report(160, false), 1000, true),
            (report(u16::MAX, false), 1000, false),
            (report(160, false), 1000 + 0xFFFF, false),
            (report(320, true), 1000 + 0xFFFF, false),
        ];
        assert_eq!(heard(&packets), "9");
    }

    #[test]
    fn segments_of_a_long_press_need_not_join_exactly() {
        // At 48 kHz, with a report each 20 ms: the next segment begins at the time of its first report.
        let report =
            |duration, timestamp, end| (Payload { event: 9, end, volume: 10, duration }, timestamp, false);
        let full = [report(65_535, 1000, false)];
        let mut packets: Vec<_> = (1..=68).map(|at| report(at * 960, 1000, false)).collect();
        let next = [report(705, 1000 + 66_240, false), report(1665, 1000 + 66_240, true)];
        assert_eq!(heard(&[&packets[..], &full, &next].concat()), "9");
        assert_eq!(heard(&[&packets[..], &next].concat()), "9", "the full one is lost");
        packets.push(report(65_280, 1000, true));
        assert_eq!(
            heard(&[&packets[..], &[report(960, 1000 + 70_000, false)]].concat()),
            "99",
            "that was the end"
        );
    }

    #[test]
    fn presses_of_a_clock_that_stands_still_and_of_another_sender_are_told_apart() {
        let mut receiver = Receiver::default();
        let mut hear = |event, timestamp, ssrc, ms: u64| {
            let packets = press(event, timestamp).into_iter().zip((ms..).step_by(20));
            let mut digits = String::new();
            for ((payload, timestamp, marker), ms) in packets {
                digits.extend(receiver.receive(payload, &header(timestamp, marker, ssrc), ms));
            }
            digits
        };
        assert_eq!(hear(5, 800, 1, 0), "5");
        assert_eq!(hear(5, 800, 1, 400), "5", "the same key, by its marker");
        assert_eq!(hear(6, 800, 1, 800), "6", "another one");
        assert_eq!(hear(6, 700, 2, 1200), "6", "another sender, who counts from lower");
        let report = Payload { event: 6, end: false, volume: 10, duration: 160 };
        assert_eq!(receiver.receive(report, &header(700, false, 2), 1500), None, "a straggler");
        assert_eq!(receiver.receive(report, &header(700, false, 2), 3600), Some('6'), "its marker was lost");
    }

    #[test]
    fn presses_out_of_all_pace_are_ignored() {
        let mut receiver = Receiver::default();
        let mut told = 0;
        for at in 0..5000u32 {
            let payload = Payload { event: (at % 16) as u8, end: false, volume: 10, duration: 160 };
            told +=
                u32::from(receiver.receive(payload, &header(at * 2, true, 1), u64::from(at) / 50).is_some());
        }
        assert_eq!((told, receiver.ignored()), (5, 4995), "in 100 ms");
        let later = Payload { event: 1, end: false, volume: 10, duration: 160 };
        assert_eq!(receiver.receive(later, &header(99_000, true, 1), 200), Some('1'));
    }

    #[test]
    fn what_is_no_key_is_not_heard() {
        assert_eq!(heard(&press(16, 1000)), "");
        assert_eq!(Payload::parse(&[1, 0, 0]), None);
    }

    #[test]
    fn a_sent_press_has_a_marker_growing_reports_and_three_ends() {
        let mut sender = Sender::default();
        sender.push(11);
        sender.push(0);
        let mut seen = Vec::new();
        for at in 0..30u32 {
            if let Some(Turn::Report { payload, timestamp, marker }) = sender.turn(at * 160, 20, (8, 8)) {
                let payload = Payload::parse(&payload).expect("four bytes");
                seen.push((payload, timestamp, marker));
            }
        }
        assert_eq!(seen.len(), 16);
        assert_eq!(
            seen[..8].iter().map(|p| p.0.duration).collect::<Vec<_>>(),
            [160, 320, 480, 640, 800, 800, 800, 800]
        );
        assert!(
            seen[..8].iter().enumerate().all(|(at, p)| p.1 == 0 && p.2 == (at == 0) && p.0.end == (at > 4))
        );
        assert_eq!(seen[8].1 - seen[0].1, 1280, "160 ms from one press to the next");
        assert_eq!(heard(&seen), "#0");
        assert!(sender.is_idle());
    }
}
