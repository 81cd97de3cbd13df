//! What a lost packet may have held, for codecs that do not say: the last period of the voice over and over, fading
//! out between 10 and 60 ms, as ITU-T G.711 Appendix I does it, without its 3.75 ms of delay.

/// Whole strength for so long, then down to nothing, in milliseconds.
const FULL_MS: usize = 10;
const GONE_MS: usize = 60;

/// Periods that are looked for, in tenths of a millisecond: 66 to 400 Hz.
const PERIOD_MIN: usize = 25;
const PERIOD_MAX: usize = 150;

/// Over so much, in tenths of a millisecond, one goes into the other.
const BLEND: usize = 40;

#[derive(Debug)]
pub(super) struct Conceal {
    rate: usize,
    /// The last 45 ms that were heard.
    past: Vec<i16>,
    /// One period, blended into itself at its end; of use while `made` is not 0.
    period: Vec<f32>,
    /// How far the last sample heard lies from where the period joins on.
    step: f32,
    /// Samples invented since the last that were heard.
    made: usize,
}

impl Conceal {
    /// For audio at `rate`.
    pub(super) fn new(rate: u32) -> Conceal {
        let rate = rate as usize;
        let samples = |tenths: usize| rate * tenths / 10_000;
        let (past, period) = (vec![0; samples(3 * PERIOD_MAX)], Vec::with_capacity(samples(PERIOD_MAX) + 1));
        Conceal { rate, past, period, step: 0.0, made: 0 }
    }

    fn samples(&self, tenths: usize) -> usize {
        self.rate * tenths / 10_000
    }

    /// Samples that came are about to be heard; what was invented before blends into them.
    pub(super) fn heard(&mut self, samples: &mut [i16]) {
        if self.made > 0 {
            let blend = self.samples(BLEND).min(samples.len());
            for (at, sample) in samples[..blend].iter_mut().enumerate() {
                let share = (at + 1) as f32 / (blend + 1) as f32;
                let invented = self.invented(self.made + at);
                *sample = (f32::from(*sample) * share + invented * (1.0 - share)).round() as i16;
            }
            self.made = 0;
        }
        self.remember(samples);
    }

    /// Fills in place of samples that did not come.
    pub(super) fn fill(&mut self, samples: &mut [i16]) {
        if self.made == 0 {
            self.take_period();
        }
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample = self.invented(self.made + at).round() as i16;
        }
        self.made += samples.len();
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.past.len();
        let new = &samples[samples.len().saturating_sub(length)..];
        self.past.copy_within(new.len().., 0);
        self.past[length - new.len()..].copy_from_slice(new);
    }

    fn take_period(&mut self) {
        let (min, max) = (self.samples(PERIOD_MIN), self.samples(PERIOD_MAX));
        let lag = best_lag(&self.past, min, max);
        let past = &self.past;
        let end = past.len();
        self.period.clear();
        self.period.extend(past[end - lag..].iter().map(|sample| f32::from(*sample)));
        // Its last quarter goes over into what lies before it, so that the turn is smooth.
        let quarter = lag / 4;
        for at in 0..quarter {
            let share = (at + 1) as f32 / (quarter + 1) as f32;
            let place = lag - quarter + at;
            let before = f32::from(past[end - lag - quarter + at]);
            self.period[place] = self.period[place] * (1.0 - share) + before * share;
        }
        self.step = f32::from(past[end - 1]) - f32::from(past[end - lag - 1]);
    }

    /// The `at`-th sample of what is invented.
    fn invented(&self, at: usize) -> f32 {
        let (full, gone) = (self.samples(FULL_MS * 10), self.samples(GONE_MS * 10));
        if at >= gone || self.period.is_empty() {
            return 0.0;
        }
        let strength = if at < full { 1.0 } else { (gone - at) as f32 / (gone - full) as f32 };
        let join = self.samples(25);
        let step = if at < join { self.step * (1.0 - at as f32 / join as f32) } else { 0.0 };
        (self.period[at % self.period.len()] + step) * strength
    }
}

/// The lag of `min` to `max` at which the end of `samples` is most like what lies that much before it.
fn best_lag(samples: &[i16], min: usize, max: usize) -> usize {
    let window = samples.len() - max;
    let end = &samples[samples.len() - window..];
    let mut best = (max, f32::MIN);
    for lag in min..=max {
        let before = &samples[samples.len() - window - lag..][..window];
        let (mut product, mut power) = (0f32, 1f32);
        for (a, b) in end.iter().zip(before) {
            product += f32::from(*a) * f32::from(*b);
            power += f32::from(*b) * f32::from(*b);
        }
        let like = product / power.sqrt();
        if like > best.1 {
            best = (lag, like);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(rate: u32, count: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * 150.0 / f64::from(rate);
        let sample = |at: f64| (1..8).map(|n| (f64::from(n) * at * step).sin() / f64::from(n)).sum::<f64>();
        (0..count).map(|at| (5000.0 * sample(at as f64)) as i16).collect()
    }

    #[test]
    fn a_steady_voice_goes_on_through_a_hole_and_joins_on_both_sides() {
        for rate in [8000, 16_000, 48_000] {
            let mut audio = voice(rate, rate as usize / 5);
            let original = audio.clone();
            let mut conceal = Conceal::new(rate);
            let frame = rate as usize / 50;
            for (at, piece) in audio.chunks_mut(frame).enumerate() {
                if at == 6 { conceal.fill(piece) } else { conceal.heard(piece) }
            }
            let hole = 6 * frame..7 * frame;
            let error: f64 =
                hole.clone().map(|at| (f64::from(audio[at]) - f64::from(original[at])).powi(2)).sum();
            let power: f64 = hole.map(|at| f64::from(original[at]).powi(2)).sum();
            assert!(error < power * 0.15, "{rate}: {}", error / power);
            let steepest = |samples: &[i16]| {
                samples.windows(2).map(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs()).max()
            };
            assert!(steepest(&audio) <= steepest(&original).map(|step| step * 5 / 4), "{rate}: a click");
        }
    }

    #[test]
    fn after_60_ms_there_is_nothing() {
        let mut conceal = Conceal::new(8000);
        conceal.heard(&mut voice(8000, 800));
        let mut lost = [0; 640];
        conceal.fill(&mut lost);
        assert!(lost[..80].iter().any(|sample| sample.abs() > 3000));
        assert!(lost[480..].iter().all(|sample| *sample == 0));
    }
}
