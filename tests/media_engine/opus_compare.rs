//! How near a decoder of Opus is to the reference: the measure by which RFC 6716 §6.1 has decoders judged (`opus_compare`
//! of its reference code), for one channel at 48 kHz.

/// Bark-like bands, in bins of 100 Hz.
const BANDS: [usize; 22] =
    [0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 68, 80, 96, 120, 156, 200];
const BINS: usize = 200;
/// 10 ms, every 2.5 ms.
const WINDOW: usize = 480;
const STEP: usize = 120;

/// The quality in percent of `heard` beside what the reference gave: 100 is equal, below 0 the decoder fails.
pub(crate) fn quality(reference: &[i16], heard: &[i16]) -> f64 {
    let length = reference.len().min(heard.len());
    assert!(reference.len().abs_diff(heard.len()) <= STEP, "{} and {}", reference.len(), heard.len());
    let frames = (length - WINDOW + STEP) / STEP;
    let (mut x, mut y) = (spectra(reference, frames), spectra(heard, frames));
    let mut before = [0.0; BANDS.len() - 1];
    for (x, y) in x.iter_mut().zip(&mut y) {
        let mut energy = band_energy(x);
        // Masking upwards by 10 dB a band, downwards by 15 dB, and by 3 dB for each step of time.
        for band in 1..energy.len() {
            energy[band] += 0.1 * energy[band - 1];
        }
        for band in (0..energy.len() - 1).rev() {
            energy[band] += 0.03 * energy[band + 1];
        }
        for (energy, before) in energy.iter_mut().zip(before) {
            *energy += 0.5 * before;
        }
        before = energy;
        for (band, edges) in BANDS.windows(2).enumerate() {
            for bin in edges[0]..edges[1] {
                x[bin] += 0.1 * energy[band];
                y[bin] += 0.1 * energy[band];
            }
        }
    }
    // Two frames at a time, which forgives a little in time.
    let mut error = 0.0;
    for at in 0..frames {
        let pair = |of: &[Vec<f64>], bin: usize| of[at][bin] + if at > 0 { of[at - 1][bin] } else { 0.0 };
        let bands = BANDS.windows(2).map(|edges| {
            let distance = |bin: usize| {
                let ratio = pair(&y, bin) / pair(&x, bin);
                // Around the crossing of the two layers, 8 kHz, filters may differ.
                let weight = [1.0, 0.1, 0.01][usize::from((79..=81).contains(&bin)) + usize::from(bin == 80)];
                (ratio - ratio.ln() - 1.0) * weight
            };
            let mean = (edges[0]..edges[1]).map(distance).sum::<f64>() / (edges[1] - edges[0]) as f64;
            mean * mean
        });
        let frame = bands.sum::<f64>() / (BANDS.len() - 1) as f64;
        error += frame.powi(4);
    }
    let error = (error / frames as f64).powf(1.0 / 16.0);
    100.0 * (1.0 - 0.5 * (1.0 + error).ln() / 1.13f64.ln())
}

fn band_energy(power: &[f64]) -> [f64; BANDS.len() - 1] {
    std::array::from_fn(|band| {
        let bins = &power[BANDS[band]..BANDS[band + 1]];
        bins.iter().sum::<f64>() / bins.len() as f64
    })
}

/// Power in each bin of each window, over a floor.
fn spectra(samples: &[i16], frames: usize) -> Vec<Vec<f64>> {
    let turn = std::f64::consts::TAU;
    let hann: Vec<f64> =
        (0..WINDOW).map(|at| 0.5 - 0.5 * (turn * at as f64 / (WINDOW - 1) as f64).cos()).collect();
    let roots: Vec<(f64, f64)> = (0..WINDOW)
        .map(|at| turn * at as f64 / WINDOW as f64)
        .map(|angle| (angle.cos(), -angle.sin()))
        .collect();
    let frame = |at: usize| {
        let shaped: Vec<(f64, f64)> =
            samples[at * STEP..][..WINDOW].iter().zip(&hann).map(|(s, h)| (f64::from(*s) * h, 0.0)).collect();
        let lines = transform(&shaped, &roots, (WINDOW, 1));
        lines[..BINS].iter().map(|(re, im)| re * re + im * im + 100_000.0).collect()
    };
    (0..frames).map(frame).collect()
}

/// The discrete Fourier transform of `length` samples, every `stride`-th: halves as long as that goes, then by the formula.
fn transform(
    samples: &[(f64, f64)],
    roots: &[(f64, f64)],
    (length, stride): (usize, usize),
) -> Vec<(f64, f64)> {
    let times = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    if !length.is_multiple_of(2) {
        let line = |k: usize| {
            (0..length).fold((0.0, 0.0), |sum, n| {
                let part = times(samples[n * stride], roots[k * n * stride % WINDOW]);
                (sum.0 + part.0, sum.1 + part.1)
            })
        };
        return (0..length).map(line).collect();
    }
    let half = (length / 2, stride * 2);
    let (even, odd) = (transform(samples, roots, half), transform(&samples[stride..], roots, half));
    let line = |k: usize| {
        let (even, odd) = (even[k % (length / 2)], times(odd[k % (length / 2)], roots[k * stride]));
        (even.0 + odd.0, even.1 + odd.1)
    };
    (0..length).map(line).collect()
}

#[test]
fn the_measure_tells_rounding_from_noise_and_another_sound() {
    let voice = crate::golden::speech(48_000, 600);
    let with = |noise: i16| {
        let noisy =
            voice.iter().enumerate().map(|(at, s)| s + if at * 7919 % 13 < 6 { noise } else { -noise });
        quality(&voice, &noisy.collect::<Vec<i16>>())
    };
    assert!((quality(&voice, &voice) - 100.0).abs() < 1e-9);
    let worse = [1, 3, 10, 1000].map(with);
    assert!(worse[0] > 90.0 && worse[3] < 0.0 && worse.is_sorted_by(|a, b| a > b), "{worse:.1?}");
    let quieter: Vec<i16> = voice.iter().map(|s| s / 2).collect();
    assert!(quality(&voice, &quieter) < 0.0);
}
