//! Both sides of a recorded call, put together from packets as they came: decoded, placed by their timestamps, and given
//! out in order as stereo, the left side being the caller's.
//!
//! The moment at which a packet came places the first of a line; the timestamps place those behind it, so that jitter
//! is not heard. A line that drifts away from the clock by more than `DRIFT_MAX_MS` is placed anew. What never came,
//! what was paused, and what came too late is silence.

use std::time::Duration;
use std::time::Instant;

use crate::media::engine::tape::Taken;
use crate::media::reading::Reading;
use crate::media::reading::SPACE;

/// How far timestamps may place a packet from the moment at which it came.
const DRIFT_MAX_MS: i64 = 250;

/// How long a place is held open for packets that come by another thread, or late.
const OPEN: Duration = Duration::from_millis(2500);

/// The two sides of one call. Samples are 16-bit, at `rate` hertz.
pub struct Reel {
    rate: u32,
    began: Instant,
    sides: [Side; 2],
    /// Frames that were given out.
    given: u64,
}

impl std::fmt::Debug for Reel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reel").field("rate", &self.rate).field("given", &self.given).finish_non_exhaustive()
    }
}

/// One side.
#[derive(Default)]
struct Side {
    reading: Reading,
    /// SSRC, and the timestamp and sample number that belong together.
    anchor: Option<(u32, u32, u64)>,
    /// From the first frame that is not given out.
    samples: Vec<i16>,
}

impl Reel {
    /// A reel that begins at `began`, at 8000 or 16 000 hertz.
    pub fn new(rate: u32, began: Instant) -> Reel {
        Reel { rate, began, sides: Default::default(), given: 0 }
    }

    /// Samples a second of each side.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes packets whose payloads stand one after the other in `bytes`; `epoch` is the 0 of their moments.
    pub fn take(&mut self, epoch: Instant, packets: &[Taken], bytes: &[u8]) {
        let mut at = 0;
        for packet in packets {
            let end = at + usize::from(packet.length);
            let Some(payload) = bytes.get(at..end) else { return };
            at = end;
            let moment = epoch + Duration::from_millis(packet.ms);
            let Some(since) = moment.checked_duration_since(self.began) else { continue };
            let (rate, given) = (self.rate, self.given);
            self.sides[usize::from(packet.right)].take(packet, payload, since, rate, given);
        }
    }

    /// Appends to `out` all frames that nothing can be added to any more at `now`: left, right, left, right.
    pub fn give(&mut self, now: Instant, out: &mut Vec<i16>) {
        if let Some(end) = now.checked_sub(OPEN) {
            self.give_to(end, out);
        }
    }

    /// Appends to `out` all frames up to `end`, where the recording ends.
    pub fn finish(&mut self, end: Instant, out: &mut Vec<i16>) {
        self.give_to(end, out);
    }

    fn give_to(&mut self, end: Instant, out: &mut Vec<i16>) {
        let Some(since) = end.checked_duration_since(self.began) else { return };
        let end = frames(since, self.rate);
        let Some(count) = end.checked_sub(self.given).and_then(|count| usize::try_from(count).ok()) else {
            return;
        };
        out.reserve(2 * count);
        let [left, right] = &mut self.sides;
        let sample = |side: &Side, at: usize| side.samples.get(at).copied().unwrap_or(0);
        out.extend((0..count).flat_map(|at| [sample(left, at), sample(right, at)]));
        for side in [left, right] {
            side.samples.drain(..count.min(side.samples.len()));
        }
        self.given = end;
    }
}

impl Side {
    fn take(&mut self, packet: &Taken, payload: &[u8], since: Duration, rate: u32, given: u64) {
        let at = self.place(packet, since, rate);
        let mut space = SPACE;
        let samples = self.reading.read(packet.codec, payload, rate, &mut space);
        for (sample, number) in samples.iter().zip(at..) {
            // What was given out is written: a packet that comes so late is left out.
            let Some(index) = number.checked_sub(given).map(|index| index as usize) else { continue };
            if index >= self.samples.len() {
                self.samples.resize(index + 1, 0);
            }
            self.samples[index] = *sample;
        }
    }

    /// The sample number of a packet.
    fn place(&mut self, packet: &Taken, since: Duration, rate: u32) -> u64 {
        let came = frames(since, rate);
        let by_timestamp = self.anchor.filter(|(ssrc, ..)| *ssrc == packet.ssrc).map(|(_, timestamp, at)| {
            let moved = i64::from(packet.timestamp.wrapping_sub(timestamp) as i32);
            at as i64 + moved * i64::from(rate) / i64::from(packet.codec.clock_rate())
        });
        let near = |at: &i64| (at - came as i64).abs() <= DRIFT_MAX_MS * i64::from(rate / 1000);
        let at = by_timestamp.filter(near).and_then(|at| u64::try_from(at).ok()).unwrap_or(came);
        self.anchor = Some((packet.ssrc, packet.timestamp, at));
        at
    }
}

fn frames(since: Duration, rate: u32) -> u64 {
    (since.as_micros() * u128::from(rate) / 1_000_000) as u64
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use super::*;
    use crate::media::Codec;
    use crate::media::codec::Encoder;

    /// Twenty milliseconds of one value, at `ms`.
    fn packet(ms: u64, right: bool, timestamp: u32) -> Taken {
        Taken { ms, right, codec: Codec::Pcma, ssrc: 7, timestamp, length: 160 }
    }

    fn payload(value: i16) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new(Codec::Pcma).encode(&[value; 160], &mut out);
        out
    }

    fn side(frames: &[i16], right: usize) -> Vec<i16> {
        frames.iter().skip(right).step_by(2).copied().collect()
    }

    #[test]
    fn each_side_is_where_it_belongs_whatever_the_jitter_and_the_order() {
        let epoch = Instant::now();
        let mut reel = Reel::new(8000, epoch);
        let loud = payload(1000);
        // The left comes 0 to 60 ms late and out of order; the right begins half a second later, exact.
        for (at, late) in [(0u32, 0u64), (2, 30), (1, 60), (3, 10), (5, 0)] {
            reel.take(epoch, &[packet(u64::from(at) * 20 + late, false, 800 + at * 160)], &loud);
        }
        for at in 0..5 {
            reel.take(epoch, &[packet(500 + at * 20, true, at as u32 * 160)], &loud);
        }
        let mut out = Vec::new();
        reel.give(epoch + Duration::from_secs(1), &mut out);
        assert!(out.is_empty(), "more may come");
        reel.finish(epoch + Duration::from_secs(1), &mut out);
        let (left, right) = (side(&out, 0), side(&out, 1));
        assert_eq!((left.len(), right.len()), (8000, 8000));
        let heard =
            |samples: &[i16]| samples.iter().map(|sample| *sample != 0 && *sample > 500).collect::<Vec<_>>();
        let loud_left = heard(&left);
        assert!(loud_left[..640].iter().all(|loud| *loud) && loud_left[800..960].iter().all(|loud| *loud));
        assert!(!loud_left[640..800].iter().any(|loud| *loud), "the fifth never came");
        let loud_right = heard(&right);
        assert!(
            !loud_right[..4000].iter().any(|loud| *loud) && loud_right[4000..4800].iter().all(|loud| *loud)
        );
    }

    #[test]
    fn a_line_that_jumps_or_drifts_is_placed_by_the_clock() {
        let epoch = Instant::now();
        let mut reel = Reel::new(8000, epoch);
        let loud = payload(1000);
        reel.take(epoch, &[packet(0, false, 0)], &loud);
        reel.take(epoch, &[packet(1000, false, 900_000)], &loud);
        let mut out = Vec::new();
        reel.finish(epoch + Duration::from_secs(2), &mut out);
        let left = side(&out, 0);
        assert!(left[8000] > 500 && left[159] > 500 && left[200].abs() < 500);
    }

    #[test]
    fn what_comes_after_it_was_given_out_is_left_out() {
        let epoch = Instant::now();
        let mut reel = Reel::new(8000, epoch);
        let mut out = Vec::new();
        reel.give(epoch + Duration::from_secs(10), &mut out);
        assert_eq!(out.len(), 2 * 8000 * 15 / 2);
        reel.take(epoch, &[packet(0, false, 0)], &payload(1000));
        out.clear();
        reel.finish(epoch + Duration::from_secs(10), &mut out);
        assert_eq!(side(&out, 0), vec![0; 8000 * 5 / 2]);
    }
}
