//! What a recording of a tone says in numbers: frequency and level.

use std::f64::consts::TAU;

/// The level of one frequency, in dB of a sine as loud as can be (Goertzel's algorithm under a Hann window).
pub(crate) fn level_db(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let count = samples.len() as f64;
    let turn = 2.0 * (TAU * hz / f64::from(rate)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * at as f64 / count).cos();
        let next = f64::from(*sample) / 32768.0 * window + turn * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - turn * last * before;
    // The window halves the amplitude, and half of it is at the negative frequency.
    20.0 * (power.max(1e-12).sqrt() * 4.0 / count).log10()
}

/// The strongest frequency of the telephone band, to a tenth of a Hertz when the samples last 200 ms.
pub(crate) fn pitch(samples: &[i16], rate: u32) -> f64 {
    let strongest = |from: f64, to: f64, step: f64| {
        let count = ((to - from) / step) as u32;
        let all = (0..=count).map(|at| from + f64::from(at) * step);
        let levels = all.map(|hz| (level_db(samples, rate, hz), hz));
        levels.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a range of frequencies").1
    };
    // Within the main lobe of the window, the nearer the louder.
    let near = strongest(300.0, 3400.0, 5.0);
    let nearer = strongest(near - 5.0, near + 5.0, 0.5);
    strongest(nearer - 0.5, nearer + 0.5, 0.1)
}
