//! The arithmetic of a conference, as plain functions over frames of mono 16-bit samples.
//!
//! Whoever speaks is summed up in 32 bits and brought back to 16 by a limiter that turns loud moments down rather
//! than cutting their peaks off. Who speaks is decided by loudness: a few at a time, so that a room's noise does not
//! grow with the room, and with hysteresis, so that two equally loud people do not take turns by the frame.

/// Samples of the longest frame: 20 ms at 16 kHz.
pub const FRAME_MAX: usize = 320;

/// People who are heard at the same time; more than that nobody can follow.
pub const SPEAKERS_MAX: usize = 4;

/// A frame whose mean magnitude is at least this begins to be heard: about −50 dBm0.
const OPENS: u32 = 46;

/// Somebody who speaks and has become quieter than this, smoothed, pauses: about −55 dBm0.
const CLOSES: u32 = 26;

/// A pause of so many milliseconds ends somebody's turn.
const PAUSE_MS: u32 = 400;

/// Samples up to here stay as they are; the sum of several is turned down to it.
const CEILING: u32 = 30_000;

/// A limiter comes back to full loudness by this share of it in each frame: in about a second.
const RELEASE: f32 = 0.02;

/// Mean magnitude of a frame, 0 to 32,768; a sine of 0 dBm0 has 14,531.
pub fn level(frame: &[i16]) -> u32 {
    let sum: u32 = frame.iter().map(|sample| u32::from(sample.unsigned_abs())).sum();
    sum / (frame.len().max(1) as u32)
}

/// How loud somebody has been lately, and whether they have the word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Smoothed level: it rises within two frames and falls within half a second.
    smoothed: u32,
    /// For how long they have been quiet.
    paused_ms: u32,
    speaks: bool,
}

impl Activity {
    /// Takes in a frame of `ms` milliseconds and this level.
    pub fn hear(&mut self, level: u32, ms: u32) {
        if level >= self.smoothed {
            self.smoothed += (level - self.smoothed).div_ceil(2);
        } else {
            self.smoothed -= ((self.smoothed - level) * ms).div_ceil(320).min(self.smoothed - level);
        }
        self.paused_ms = if self.smoothed >= CLOSES { 0 } else { self.paused_ms.saturating_add(ms) };
    }

    /// Whether they are heard.
    pub fn speaks(&self) -> bool {
        self.speaks
    }

    /// Gives or takes the word.
    pub fn set_speaks(&mut self, speaks: bool) {
        self.speaks = speaks;
    }

    /// Their claim to be heard, 0 for none: who speaks keeps the word until another is twice as loud, or through a
    /// pause of 400 ms.
    pub fn claim(&self) -> u32 {
        match self.speaks {
            true if self.paused_ms < PAUSE_MS => self.smoothed.max(CLOSES) * 2,
            false if self.smoothed >= OPENS / 2 => self.smoothed,
            true | false => 0,
        }
    }
}

/// The few with the highest claims among any number of people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    /// (claim, seat), the highest first.
    taken: [(u32, u16); SPEAKERS_MAX],
    count: usize,
}

impl Floor {
    /// Puts in a claim; one of 0 is none.
    pub fn claim(&mut self, claim: u32, seat: u16) {
        let last = SPEAKERS_MAX - 1;
        if claim == 0 || self.count == SPEAKERS_MAX && claim <= self.taken[last].0 {
            return;
        }
        let mut at = self.count.min(last);
        while at > 0 && self.taken[at - 1].0 < claim {
            self.taken[at] = self.taken[at - 1];
            at -= 1;
        }
        self.taken[at] = (claim, seat);
        self.count = (self.count + 1).min(SPEAKERS_MAX);
    }

    /// Who has the word.
    pub fn seats(&self) -> impl Iterator<Item = u16> {
        self.taken.iter().take(self.count).map(|(_, seat)| *seat)
    }

    /// Whether this one has the word.
    pub fn has(&self, seat: u16) -> bool {
        self.seats().any(|other| other == seat)
    }
}

/// Fades a frame in over its first quarter.
pub fn fade_in(frame: &mut [i16]) {
    let length = (frame.len() / 4).max(1);
    for (at, sample) in frame.iter_mut().take(length).enumerate() {
        *sample = (i32::from(*sample) * at as i32 / length as i32) as i16;
    }
}

/// Fades a frame out over its whole length.
pub fn fade_out(frame: &mut [i16]) {
    let length = frame.len() as i32;
    for (at, sample) in frame.iter_mut().enumerate() {
        *sample = (i32::from(*sample) * (length - 1 - at as i32) / length) as i16;
    }
}

/// Adds a frame to a sum of the same length.
pub fn add(sum: &mut [i32], frame: &[i16]) {
    for (sum, sample) in sum.iter_mut().zip(frame) {
        *sum += i32::from(*sample);
    }
}

/// Takes a frame out of a sum of the same length.
pub fn subtract(sum: &mut [i32], frame: &[i16]) {
    for (sum, sample) in sum.iter_mut().zip(frame) {
        *sum -= i32::from(*sample);
    }
}

/// Brings sums back to 16 bits, one line of frames after the other.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    /// Factor at the end of the last frame, 1 at most.
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Limiter {
        Limiter { gain: 1.0 }
    }
}

impl Limiter {
    /// Writes a frame of the sum's length. What is not too loud comes out bit for bit; what is, is turned down within an
    /// eighth of a frame and comes back within a second.
    pub fn limit(&mut self, sum: &[i32], out: &mut [i16]) {
        let peak = sum.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        if peak <= CEILING && self.gain >= 1.0 {
            for (out, sample) in out.iter_mut().zip(sum) {
                *out = *sample as i16;
            }
            return;
        }
        let allowed = CEILING as f32 / peak.max(CEILING) as f32;
        let before = self.gain;
        self.gain = allowed.min(before + RELEASE).min(1.0);
        let length = if self.gain < before { sum.len() / 8 } else { sum.len() }.max(1);
        let step = (self.gain - before) / length as f32;
        for (at, (out, sample)) in out.iter_mut().zip(sum).enumerate() {
            let gain = if at < length { before + step * at as f32 } else { self.gain };
            // The cast saturates, which the first eighth of a sudden loud frame needs.
            *out = (*sample as f32 * gain) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(activity: &mut Activity, level: u32, frames: u32) -> u32 {
        (0..frames).for_each(|_| activity.hear(level, 20));
        activity.claim()
    }

    #[test]
    fn who_begins_is_heard_at_once_and_noise_never() {
        let mut activity = Activity::default();
        assert_eq!(spoken(&mut activity, 8, 500), 0, "the idle noise of A-law");
        assert!(spoken(&mut activity, 60, 1) > 0, "the first frame of a quiet voice");
    }

    #[test]
    fn the_word_is_kept_through_a_pause_and_lost_after_a_longer_one() {
        let mut activity = Activity::default();
        spoken(&mut activity, 2000, 10);
        activity.set_speaks(true);
        assert!(spoken(&mut activity, 0, 20) > 0, "0.4 s of silence");
        assert_eq!(spoken(&mut activity, 0, 200), 0, "4 s of silence");
    }

    #[test]
    fn the_loudest_have_the_word_and_keep_it_against_their_equals() {
        let mut people = [Activity::default(); 50];
        let choose = |people: &mut [Activity; 50], level: &dyn Fn(usize) -> u32| {
            let mut floor = Floor::default();
            for (seat, activity) in people.iter_mut().enumerate() {
                activity.hear(level(seat), 20);
                floor.claim(activity.claim(), seat as u16);
            }
            for (seat, activity) in people.iter_mut().enumerate() {
                activity.set_speaks(floor.has(seat as u16));
            }
            let mut seats: Vec<u16> = floor.seats().collect();
            seats.sort_unstable();
            seats
        };
        let loud = |seat: usize| if seat % 10 == 3 { 3000 } else { 1000 };
        assert_eq!(choose(&mut people, &loud).len(), SPEAKERS_MAX);
        let first = choose(&mut people, &loud);
        assert!(first.iter().all(|seat| seat % 10 == 3), "{first:?}");
        for frame in 0..50 {
            let shaky = |seat: usize| 2400 + ((seat as u32 * 7919 + frame * 104_729) % 600);
            assert_eq!(choose(&mut people, &shaky), first, "frame {frame}");
        }
        for _ in 0..40 {
            choose(&mut people, &|seat| if seat == 7 { 9000 } else { 2000 });
        }
        assert!(people[7].speaks(), "who is much louder takes the word");
        assert_eq!(people.iter().filter(|activity| activity.speaks()).count(), SPEAKERS_MAX);
    }

    #[test]
    fn what_is_not_too_loud_passes_bit_for_bit_and_what_is_never_overflows() {
        let mut limiter = Limiter::default();
        let quiet: Vec<i32> = (0..160).map(|at| (at - 80) * 300).collect();
        let mut out = [0; 160];
        limiter.limit(&quiet, &mut out);
        assert!(quiet.iter().zip(out).all(|(sum, out)| *sum == i32::from(out)));
        let sine = |at: usize| ((at as f64 * 0.3).sin() * 120_000.0) as i32;
        let mut before = 0;
        for frame in 0..10 {
            let loud: Vec<i32> = (0..160).map(|at| sine(frame * 160 + at)).collect();
            limiter.limit(&loud, &mut out);
            // Behind the eighth in which it turns down.
            let peak = out[20..].iter().map(|sample| sample.unsigned_abs()).max().expect("samples");
            assert!((29_000..=30_000).contains(&peak), "frame {frame}: {peak}");
            // A sine that was cut off would stand still at its peaks.
            let still = out.windows(2).skip(20).filter(|pair| pair[0] == pair[1] && pair[0] != 0).count();
            assert!(still == 0, "frame {frame}");
            assert!((i32::from(out[0]) - before).abs() < 20_000, "frame {frame} joins the one before");
            before = i32::from(out[159]);
        }
        for _ in 0..60 {
            limiter.limit(&quiet, &mut out);
        }
        assert!(quiet.iter().zip(out).all(|(sum, out)| *sum == i32::from(out)), "it comes back");
    }

    #[test]
    fn fades_begin_and_end_in_silence() {
        let mut frame = [8000i16; 160];
        fade_in(&mut frame);
        assert_eq!((frame[0], frame[40], frame[159]), (0, 8000, 8000));
        fade_out(&mut frame);
        assert_eq!(frame[159], 0);
        assert!(frame[40..].windows(2).all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] <= 60));
    }
}
