//! Comfort noise (RFC 3389): what a pause sounds like at the other side, from its level and spectrum.

/// Reflection coefficients that are used; more are read over.
const ORDER_MAX: usize = 10;

/// Makes noise; silence until it is told what noise.
#[derive(Debug)]
pub(super) struct Noise {
    /// Root mean square of what excites the filter.
    gain: f32,
    /// Reflection coefficients of the all-pole filter, and what its stages held at the sample before: as a lattice it
    /// is stable whatever the rounding.
    filter: [f32; ORDER_MAX],
    past: [f32; ORDER_MAX],
    chance: u32,
}

impl Default for Noise {
    fn default() -> Noise {
        Noise { gain: 0.0, filter: [0.0; ORDER_MAX], past: [0.0; ORDER_MAX], chance: 0x2545_F491 }
    }
}

impl Noise {
    /// Takes a payload: level, then reflection coefficients (§3).
    pub(super) fn set(&mut self, payload: &[u8]) {
        let Some((level, coefficients)) = payload.split_first() else { return };
        let mut filter = [0f32; ORDER_MAX];
        let mut left = 1f32;
        for (order, byte) in coefficients.iter().take(ORDER_MAX).enumerate() {
            // §3.2: kᵢ = 258 (Nᵢ − 127) / 32768; 255 is reserved.
            let k = 258.0 * (f32::from(*byte) - 127.0) / 32_768.0;
            let k = k.clamp(-0.98, 0.98);
            filter[order] = k;
            left *= 1.0 - k * k;
        }
        // §3.1: 0 to 127 dB below the overload point.
        let level = 32_767.0 * 10f32.powf(-f32::from(level & 0x7F) / 20.0);
        self.gain = level * left.sqrt();
        self.filter = filter;
    }

    /// Fills with what follows.
    pub(super) fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            // Uniform of variance 1 by a xorshift: noise needs no better.
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 17;
            self.chance ^= self.chance << 5;
            let white = (self.chance as f32 / u32::MAX as f32 - 0.5) * 12f32.sqrt();
            let mut forward = self.gain * white;
            for order in (0..ORDER_MAX).rev() {
                forward -= self.filter[order] * self.past[order];
                if order + 1 < ORDER_MAX {
                    self.past[order + 1] = self.past[order] + self.filter[order] * forward;
                }
            }
            self.past[0] = forward;
            *sample = forward.round() as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_level_it_is_told_whatever_its_spectrum() {
        for payload in
            [&[50][..], &[50, 200, 90], &[50, 20], &[50, 200, 60, 150, 100, 140, 120, 130, 127, 127, 127, 90]]
        {
            let mut noise = Noise::default();
            noise.set(payload);
            let mut samples = vec![0; 800_000];
            noise.fill(&mut samples);
            let power: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 800_000.0;
            let level = 10.0 * power.log10() - 20.0 * 32_767f64.log10();
            assert!((level + 50.0).abs() < 1.5, "{payload:?}: {level} dBov");
        }
    }

    #[test]
    fn no_payload_makes_it_run_away() {
        for seed in 0..200u32 {
            let payload: Vec<u8> = (0..12).map(|at| (seed.wrapping_mul(2_654_435_761) >> at) as u8).collect();
            let mut noise = Noise::default();
            noise.set(&payload);
            let mut samples = vec![0; 8000];
            noise.fill(&mut samples);
            assert!(noise.past.iter().all(|value| value.is_finite()));
        }
    }
}
