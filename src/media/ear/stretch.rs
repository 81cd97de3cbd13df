//! Time that passes quicker or slower: one period of the voice is blended away, or said twice.

/// Held too long, or too short, by at most this is let be.
const EXCESS_US: i64 = 15_000;
const LACK_US: i64 = -5000;

/// From here on it is urgent.
const URGENT_US: i64 = 60_000;

/// At least so long between two changes, and when it is urgent.
const REST_MS: u64 = 100;
const URGENT_REST_MS: u64 = 40;

/// How alike two neighbouring periods must be, at most 1; less when it is urgent.
const LIKE: f32 = 0.75;
const URGENT_LIKE: f32 = 0.4;

/// Below this root mean square anything may go, −55 dBm0.
const QUIET_RMS: f32 = 30.0;

/// What to do about the delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Takes a period out; `hard`: even where it may be heard.
    Shorten { hard: bool },
    /// Puts one in; `hard` likewise.
    Lengthen { hard: bool },
}

/// What is to be done when packets are held `excess` microseconds longer than wanted, `rest_ms` after the last change.
pub(super) fn step(excess: i64, rest_ms: u64) -> Option<Step> {
    let hard = excess > URGENT_US;
    let rested = rest_ms >= if hard { URGENT_REST_MS } else { REST_MS };
    match excess {
        EXCESS_US.. if rested => Some(Step::Shorten { hard }),
        ..=LACK_US if rested => Some(Step::Lengthen { hard: excess <= LACK_US * 3 / 2 }),
        _ => None,
    }
}

/// Takes a period out of what lies behind `head`; `false` when there is none, or too little lies there.
pub(super) fn shorten(line: &mut Vec<i16>, head: usize, rate: u32, hard: bool) -> bool {
    let Some(lag) = period(&line[head..], rate, if hard { URGENT_LIKE } else { LIKE }) else { return false };
    for at in 0..lag {
        let share = at as f32 / lag as f32;
        let (one, two) = (f32::from(line[head + at]), f32::from(line[head + lag + at]));
        line[head + at] = (one * (1.0 - share) + two * share).round() as i16;
    }
    line.drain(head + lag..head + 2 * lag);
    true
}

/// Says a period twice.
pub(super) fn lengthen(line: &mut Vec<i16>, head: usize, rate: u32, hard: bool) -> bool {
    let Some(lag) = period(&line[head..], rate, if hard { URGENT_LIKE } else { LIKE }) else { return false };
    let end = line.len();
    line.resize(end + lag, 0);
    line.copy_within(head + lag..end, head + 2 * lag);
    // Between the first period and the rest: the second going over into the first.
    for at in 0..lag {
        let share = at as f32 / lag as f32;
        let (one, two) = (f32::from(line[head + at]), f32::from(line[head + 2 * lag + at]));
        line[head + lag + at] = (two * (1.0 - share) + one * share).round() as i16;
    }
    true
}

/// The length at which the beginning of `samples` is most like what follows it: 2.5 to 10 ms.
fn period(samples: &[i16], rate: u32, like: f32) -> Option<usize> {
    let (min, max) = (rate as usize / 400, (rate as usize / 100).min(samples.len() / 2));
    if max <= min {
        return None;
    }
    let mut best = (max, f32::MIN);
    let mut loudest = 0f32;
    // At 48 kHz every third lag is near enough.
    for lag in (min..=max).step_by(rate as usize / 16_000 + usize::from(rate < 16_000)) {
        let (mut product, mut one, mut two) = (0f32, 1f32, 1f32);
        for (a, b) in samples[..lag].iter().zip(&samples[lag..2 * lag]) {
            let (a, b) = (f32::from(*a), f32::from(*b));
            product += a * b;
            one += a * a;
            two += b * b;
        }
        loudest = loudest.max((one.max(two) / lag as f32).sqrt());
        let alike = product / (one * two).sqrt();
        if alike > best.1 {
            best = (lag, alike);
        }
    }
    if loudest < QUIET_RMS {
        return Some(max);
    }
    (best.1 >= like).then_some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(count: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * 200.0 / 8000.0;
        (0..count).map(|at| (8000.0 * (at as f64 * step).sin()) as i16).collect()
    }

    #[test]
    fn a_period_is_taken_out_or_put_in_without_a_seam() {
        let mut shorter = voice(320);
        assert!(shorten(&mut shorter, 80, 8000, false));
        assert_eq!(shorter.len() % 40, 0, "200 Hz has 40 samples a period");
        assert!(shorter.len() < 320);
        let mut longer = voice(320);
        assert!(lengthen(&mut longer, 80, 8000, false));
        assert!(longer.len() > 320);
        for line in [shorter, longer] {
            let expect = voice(line.len());
            assert!(line.iter().zip(expect).all(|(a, b)| (i32::from(*a) - i32::from(b)).abs() < 20));
        }
    }

    #[test]
    fn noise_that_is_loud_is_let_be_and_silence_gives_way() {
        let mut seed = 1u32;
        let mut noise: Vec<i16> = (0..160)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 18) as i16 - 8192
            })
            .collect();
        assert!(!shorten(&mut noise, 0, 8000, false));
        let mut silence = vec![0; 160];
        assert!(shorten(&mut silence, 0, 8000, false));
        assert_eq!(silence.len(), 80);
    }
}
