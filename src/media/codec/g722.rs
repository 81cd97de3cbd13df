//! G.722 at 64 kbit/s (ITU-T G.722 mode 1, RFC 3551 §4.5.2): two sub-bands of 8 kHz, six bits a sample for the lower and two
//! for the upper, each predicted from its own past.
//!
//! *Wide* is the codec's 16 kHz audio. *Narrow* is 8 kHz audio, for lines that end in G.711: its lower sub-band alone. The
//! names of the blocks are those of the Recommendation; numbers are fixed-point as there, so that every implementation
//! gives the same bits.

/// A byte that, repeated, decays to silence: the middle of the lower sub-band, the smallest step of the upper.
pub const SILENCE: u8 = 0xFD;

/// Encodes one line of audio.
#[derive(Default)]
pub struct Encoder {
    low: Band<6>,
    high: Band<2>,
    past: Past,
}

impl Encoder {
    /// Encodes 16 kHz audio, two samples a byte, into `out`, which must be half as long.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) {
        debug_assert_eq!(samples.len() / 2, out.len(), "the caller sized the buffer");
        for (pair, byte) in samples.chunks_exact(2).zip(out) {
            let (odd, even) = self.past.filter(i32::from(pair[0]), i32::from(pair[1]));
            let low = self.low.encode((even + odd) >> 14);
            let high = self.high.encode((even - odd) >> 14);
            *byte = high << 6 | low;
        }
    }
}

/// Decodes one line of payloads.
pub struct Decoder {
    low: Band<6>,
    /// With the past of what they sum up to; `None` where the lower is enough.
    high: Option<(Band<2>, Past)>,
}

impl Decoder {
    /// To 16 kHz audio, two samples a byte.
    pub fn wide() -> Decoder {
        Decoder { low: Band::default(), high: Some(Default::default()) }
    }

    /// To 8 kHz audio, a sample a byte.
    pub fn narrow() -> Decoder {
        Decoder { low: Band::default(), high: None }
    }

    /// Decodes into `out` and tells how many samples it wrote; 0 when `out` is too short.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let each = if self.high.is_some() { 2 } else { 1 };
        let count = payload.len() * each;
        if out.len() < count {
            return 0;
        }
        for (byte, out) in payload.iter().zip(out.chunks_exact_mut(each)) {
            let low = self.low.decode(byte & 0x3F);
            match &mut self.high {
                Some((high, past)) => {
                    let high = high.decode(byte >> 6);
                    let (second, first) = past.filter(low + high, low - high);
                    (out[0], out[1]) = (saturate(first >> 11) as i16, saturate(second >> 11) as i16);
                }
                None => out[0] = (low << 1) as i16,
            }
        }
        count
    }
}

/// The last 24 samples before the quadrature mirror filter, newest last.
#[derive(Default)]
struct Past([i32; 24]);

impl Past {
    /// Takes two samples; sums over those at even places and over those at odd ones.
    fn filter(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.0.copy_within(2.., 0);
        (self.0[22], self.0[23]) = (first, second);
        let mut sums = (0, 0);
        for (at, pair) in self.0.chunks_exact(2).enumerate() {
            sums.0 += pair[0] * MIRROR[at];
            sums.1 += pair[1] * MIRROR[11 - at];
        }
        sums
    }
}

/// One sub-band of so many bits: its step and its predictor, the same at both ends.
struct Band<const BITS: u32> {
    /// What is expected next (`SL`, `SH`), and the part of it from the zeros (`SZL`).
    expected: i32,
    from_zeros: i32,
    /// Logarithm of the step (`NBL`), and the step (`DETL`).
    log_step: i32,
    step: i32,
    /// The last two reconstructed signals (`RLT`), and partly reconstructed ones (`PLT`); newest first.
    signal: [i32; 2],
    partial: [i32; 2],
    /// Factors of the poles (`AL`) and zeros (`BL`), and the last six differences (`DLT`), newest first.
    poles: [i32; 2],
    zeros: [i32; 6],
    differences: [i32; 6],
}

impl<const BITS: u32> Default for Band<BITS> {
    fn default() -> Band<BITS> {
        Band {
            expected: 0,
            from_zeros: 0,
            log_step: 0,
            step: if BITS == 6 { 32 } else { 8 },
            signal: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
        }
    }
}

impl Band<6> {
    /// `QUANTL`: the code of a sample.
    fn encode(&mut self, sample: i32) -> u8 {
        let difference = saturate(sample - self.expected);
        let magnitude = if difference < 0 { !difference } else { difference };
        // Thresholds grow: as many as are not above it are below it.
        let level = LEVELS.partition_point(|level| (level * self.step) >> 12 <= magnitude) as u8;
        let code = match (difference < 0, level) {
            (true, 0 | 1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        };
        self.adapt(code >> 2);
        code
    }

    /// What a code stands for, of at most 15 bits.
    fn decode(&mut self, code: u8) -> i32 {
        let sample = self.expected + ((self.step * SIXTY_FOUR[usize::from(code)]) >> 15);
        self.adapt(code >> 2);
        sample.clamp(-16_384, 16_383)
    }

    /// `LOGSCL`, `SCALEL`: only four bits of a code count, in case that the others were taken for data.
    fn adapt(&mut self, four: u8) {
        let difference = (self.step * SIXTEEN[usize::from(four)]) >> 15;
        self.log_step = (((self.log_step * 127) >> 7) + GROWTH_LOW[usize::from(four)]).clamp(0, 18_432);
        self.step = step(self.log_step, 8);
        self.predict(difference);
    }
}

impl Band<2> {
    /// `QUANTH`: the code of a sample.
    fn encode(&mut self, sample: i32) -> u8 {
        let difference = saturate(sample - self.expected);
        let magnitude = if difference < 0 { !difference } else { difference };
        let far = magnitude >= (564 * self.step) >> 12;
        let code = match (difference < 0, far) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.adapt(code);
        code
    }

    /// What a code stands for, of at most 15 bits.
    fn decode(&mut self, code: u8) -> i32 {
        let sample = self.expected + self.adapt(code);
        sample.clamp(-16_384, 16_383)
    }

    /// `INVQAH`, `LOGSCH`, `SCALEH`; the difference.
    fn adapt(&mut self, code: u8) -> i32 {
        let difference = (self.step * FOUR[usize::from(code)]) >> 15;
        self.log_step = (((self.log_step * 127) >> 7) + GROWTH_HIGH[usize::from(code)]).clamp(0, 22_528);
        self.step = step(self.log_step, 10);
        self.predict(difference);
        difference
    }
}

impl<const BITS: u32> Band<BITS> {
    /// Block 4: learns from a difference, and expects the next sample.
    fn predict(&mut self, difference: i32) {
        // RECONS, PARREC.
        let signal = saturate(self.expected + difference);
        let partial = saturate(self.from_zeros + difference);
        // UPPOL2, UPPOL1.
        let same = |other: i32| (partial < 0) == (other < 0);
        let lean = saturate(self.poles[0] << 2);
        let lean = if same(self.partial[0]) { (-lean).min(32_767) } else { lean };
        let side = if same(self.partial[1]) { 128 } else { -128 };
        let second = (side + (lean >> 7) + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let side = if same(self.partial[0]) { 192 } else { -192 };
        let bound = saturate(15_360 - second);
        let first = saturate(side + ((self.poles[0] * 32_640) >> 15)).clamp(-bound, bound);
        self.poles = [first, second];
        // UPZERO, DELAYA, FILTEZ.
        let side = if difference == 0 { 0 } else { 128 };
        for (factor, old) in self.zeros.iter_mut().zip(self.differences) {
            let side = if (old < 0) == (difference < 0) { side } else { -side };
            *factor = saturate(side + ((*factor * 32_640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        let terms = self.zeros.iter().zip(self.differences);
        self.from_zeros = saturate(terms.map(|(factor, old)| (factor * saturate(old << 1)) >> 15).sum());
        // FILTEP, PREDIC.
        self.signal = [signal, self.signal[0]];
        self.partial = [partial, self.partial[0]];
        let terms = self.poles.iter().zip(self.signal);
        let from_poles: i32 = terms.map(|(factor, old)| (factor * saturate(old << 1)) >> 15).sum();
        self.expected = saturate(saturate(from_poles) + self.from_zeros);
    }
}

/// To 16 bits.
fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// The step of a logarithm; `whole` is where the table's own lies.
fn step(log: i32, whole: i32) -> i32 {
    let (fraction, shift) = (STEPS[(log >> 6 & 31) as usize], whole - (log >> 11));
    (if shift < 0 { fraction << -shift } else { fraction >> shift }) << 2
}

/// Half of the mirror filter's 24 factors.
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Where one code of the lower band ends and the next begins, in 4096ths of the step (`Q6`).
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219,
    1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// What codes of six, four and two bits stand for, in 32768ths of the step (`QQ6`, `QQ4`, `QQ2`).
const SIXTY_FOUR: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];
const SIXTEEN: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const FOUR: [i32; 4] = [-7408, -1616, 7408, 1616];

/// How a code changes the logarithm of the step (`WL`, `WH`).
const GROWTH_LOW: [i32; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const GROWTH_HIGH: [i32; 4] = [798, -214, 798, -214];

/// Thirty-second parts of a doubling (`ILB`).
const STEPS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_byte_decodes_to_silence_from_any_state() {
        let mut decoder = Decoder::wide();
        let mut encoder = Encoder::default();
        let mut loud = [0; 160];
        let noise: Vec<i16> = (0..320).map(|at: i16| at.wrapping_mul(7919)).collect();
        encoder.encode(&noise, &mut loud);
        let mut samples = [0; 320];
        decoder.decode(&loud, &mut samples);
        for _ in 0..10 {
            decoder.decode(&[SILENCE; 160], &mut samples);
        }
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(peak < Some(30), "{peak:?}");
    }

    /// Vowels, noise, silence and a square wave, loud and quiet, from whole numbers alone: one second at 16 kHz.
    fn signal() -> Vec<i16> {
        let (mut seed, mut low, mut high) = (1u32, [0i64; 2], [0i64; 2]);
        let resonate = |state: &mut [i64; 2], input: i64, factors: [i64; 2]| {
            let next = input + ((factors[0] * state[0] + factors[1] * state[1]) >> 14);
            *state = [next, state[0]];
            next
        };
        let sample = |at: i64| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = i64::from((seed >> 16) as i16);
            let part = at / 2000;
            let pulse = if at % (107 + part * 3) == 0 { 12_000 } else { 0 };
            let input = match part {
                0 => pulse,
                1 => pulse + noise.div_euclid(64),
                2 => pulse / 16,
                3 => return noise.div_euclid(8) as i16,
                4 => pulse + noise.div_euclid(4),
                6 => return noise.div_euclid(2) as i16,
                7 => return if at / 9 % 2 == 0 { 20_000 } else { -20_000 },
                _ => 0,
            };
            let sum =
                resonate(&mut low, input, [31_000, -15_500]) + resonate(&mut high, input, [14_000, -15_000]);
            (sum >> 3).clamp(-32_768, 32_767) as i16
        };
        (0..16_000).map(sample).collect()
    }

    /// FNV-1a of samples as little-endian bytes.
    fn hash(samples: &[i16]) -> u64 {
        let bytes = samples.iter().flat_map(|sample| sample.to_le_bytes());
        bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
    }

    const SIGNAL: u64 = 0x1D04_E76C_B874_5E90;
    const WIDE: u64 = 0x8453_E7B2_854D_92EE;
    const NARROW: u64 = 0x0754_82DB_86EA_6D2A;

    /// What ffmpeg 5.1.9 (`-f s16le -ar 16000 -i … -c:a g722`) and SpanDSP 0.0.6 (`g722_encode`) both make of the signal.
    const ENCODED: &[u8] = include_bytes!("../../../tests/data/g722/signal.g722");

    #[test]
    fn the_encoder_is_bit_exact_with_two_others() {
        let signal = signal();
        assert_eq!(hash(&signal), SIGNAL, "the signal itself");
        let mut encoded = vec![0; ENCODED.len()];
        Encoder::default().encode(&signal, &mut encoded);
        assert_eq!(encoded.iter().zip(ENCODED).position(|(ours, theirs)| ours != theirs), None);
    }

    #[test]
    fn the_decoder_is_bit_exact_with_two_others() {
        let (mut wide, mut narrow) = (vec![0; 16_000], vec![0; 8000]);
        assert_eq!(Decoder::wide().decode(ENCODED, &mut wide), 16_000);
        assert_eq!(Decoder::narrow().decode(ENCODED, &mut narrow), 8000);
        // `ffmpeg -f g722 -i … -f s16le`, and `g722_decode`; to 8 kHz by the latter alone.
        assert_eq!((hash(&wide), hash(&narrow)), (WIDE, NARROW));
    }

    #[test]
    fn loud_audio_does_not_overflow() {
        for value in [i16::MIN, i16::MAX] {
            let mut out = [0; 200];
            let square: Vec<i16> = (0..400).map(|at| if at % 2 == 0 { value } else { !value }).collect();
            Encoder::default().encode(&square, &mut out);
            Decoder::narrow().decode(&out, &mut [0; 400]);
        }
    }
}
