//! Conversion between 8, 16 and 48 kHz as audio goes by: a windowed sinc, one set of taps for each phase.
//!
//! The band that both rates carry passes flat up to 0.42 of the lower rate; what would fold is 60 dB down. The delay
//! is `HALF_TAPS` samples of the lower rate, 3 ms at 8 kHz.

/// Taps on either side of a sample, in samples of the lower of the two rates.
const HALF_TAPS: usize = 24;

/// Kaiser's shape for a stop band of 60 dB.
const BETA: f64 = 5.65;

/// Turns one line of mono samples of one rate into another.
#[derive(Debug)]
pub struct Resampler {
    up: usize,
    down: usize,
    /// Taps of each phase, one phase after the other.
    taps: Box<[f32]>,
    /// Taps of a phase.
    width: usize,
    /// The last `width - 1` samples, and those that are being turned.
    line: Vec<f32>,
}

impl Resampler {
    /// From one of 8000, 16 000 and 48 000 to another, or to itself, which is a copy.
    pub fn new(from: u32, to: u32) -> Resampler {
        let common = gcd(from, to);
        let (up, down) = ((to / common) as usize, (from / common) as usize);
        // In samples of `from`: going down, the filter is as much longer.
        let half = HALF_TAPS * down.div_ceil(up);
        let width = if up == down { 1 } else { 2 * half };
        // Half of the lower rate, a little below, in cycles of `from`.
        let cutoff = 0.455 * f64::from(from.min(to)) / f64::from(from);
        let row = |phase: usize| {
            if up == down {
                return vec![1.0];
            }
            let taps = (0..width).map(|tap| {
                let distance = tap as f64 - (half as f64 - 1.0) - phase as f64 / up as f64;
                sinc(2.0 * cutoff * distance) * kaiser(distance / half as f64)
            });
            let taps: Vec<f64> = taps.collect();
            let sum: f64 = taps.iter().sum();
            taps.into_iter().map(|tap| (tap / sum) as f32).collect()
        };
        let taps = (0..up).flat_map(row).collect();
        let mut line = Vec::with_capacity(width + from as usize / 25);
        line.resize(width - 1, 0.0);
        Resampler { up, down, taps, width, line }
    }

    /// How many samples of the old rate make `count` of the new one.
    pub fn needs(&self, count: usize) -> usize {
        count * self.down / self.up
    }

    /// How many samples of the new rate `count` of the old one make.
    pub fn gives(&self, count: usize) -> usize {
        count * self.up / self.down
    }

    /// Turns `input` into `out`, whose lengths must be to each other as the rates are (whole milliseconds are).
    /// What does not fit together is left out.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) {
        debug_assert_eq!(input.len() * self.up, out.len() * self.down, "lengths as the rates");
        self.line.extend(input.iter().map(|sample| f32::from(*sample)));
        let fit = (self.line.len() + 1 - self.width) * self.up / self.down;
        for (at, sample) in out.iter_mut().take(fit).enumerate() {
            let (first, phase) = (at * self.down / self.up, at * self.down % self.up);
            let taps = &self.taps[phase * self.width..][..self.width];
            *sample = dot(&self.line[first..first + self.width], taps).round() as i16; // saturates
        }
        let kept = self.line.len() - (self.width - 1);
        self.line.drain(..kept);
    }
}

fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if angle == 0.0 { 1.0 } else { angle.sin() / angle }
}

/// The Kaiser window at `at` of −1 to 1.
fn kaiser(at: f64) -> f64 {
    if at.abs() >= 1.0 { 0.0 } else { bessel(BETA * (1.0 - at * at).sqrt()) / bessel(BETA) }
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..30 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// A dot product in eight lanes, which the compiler turns into vector instructions.
pub(in crate::media) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, rate: u32, count: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hertz / f64::from(rate);
        (0..count).map(|at| (16_000.0 * (step * at as f64).sin()) as i16).collect()
    }

    /// Root mean square of a sine of `hertz` that went from one rate to the other in pieces of 10 ms, in dB of
    /// what went in.
    fn gain(hertz: f64, from: u32, to: u32) -> f64 {
        let mut resampler = Resampler::new(from, to);
        let input = sine(hertz, from, from as usize);
        let mut all = Vec::new();
        for piece in input.chunks(from as usize / 100) {
            let mut out = vec![0; to as usize / 100];
            resampler.process(piece, &mut out);
            all.extend(out);
        }
        let middle = &all[all.len() / 4..all.len() * 3 / 4];
        let power: f64 = middle.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / middle.len() as f64;
        20.0 * (power.sqrt().max(1e-3) / (16_000.0 / 2f64.sqrt())).log10()
    }

    #[test]
    fn what_both_rates_carry_passes_flat_and_the_rest_does_not_fold() {
        let rates = [8000, 16_000, 48_000];
        for from in rates {
            for to in rates {
                let lower = f64::from(from.min(to));
                for hertz in [100.0, 300.0, 1000.0, 0.3 * lower, 0.42 * lower] {
                    let gain = gain(hertz, from, to);
                    assert!(gain.abs() < 0.3, "{from} to {to}: {hertz} Hz {gain} dB");
                }
                if from > to {
                    let gain = gain(0.53 * f64::from(to), from, to);
                    assert!(gain < -50.0, "{from} to {to}: {gain} dB above the band");
                }
            }
        }
    }

    #[test]
    fn a_line_in_pieces_is_the_line_in_one() {
        let input = sine(440.0, 16_000, 1600);
        let (mut whole, mut pieces) = (vec![0; 4800], vec![0; 4800]);
        Resampler::new(16_000, 48_000).process(&input, &mut whole);
        let mut resampler = Resampler::new(16_000, 48_000);
        for (input, out) in input.chunks(160).zip(pieces.chunks_mut(480)) {
            resampler.process(input, out);
        }
        assert_eq!(whole, pieces);
    }
}
