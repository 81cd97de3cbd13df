//! The media bank: every recording held once, encoded once for each codec, shared by all who play it.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use crate::media::ClipName;
use crate::media::Codec;
use crate::media::codec::BYTES_PER_MS;
use crate::media::codec::Encoder;
use crate::media::resample::dot;
use crate::media::tone;
use crate::media::tone::KEYS;
use crate::media::tone::Tone;

/// Clips are padded with silence to whole frames of this many bytes (20 ms).
const FRAME_BYTES: usize = 20 * BYTES_PER_MS;

/// A recording in every bytewise codec, in whole 20 ms frames. Any run of `8 × n` bytes is `n` milliseconds.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    encoded: [Box<[u8]>; 3],
    stamp: u64,
}

impl Clip {
    /// Encodes mono samples of any rate from 1 to 384 kHz; other rates make an empty clip.
    pub fn from_pcm(samples: &[i16], rate: u32) -> Clip {
        Clip::from_both(&resample(samples, rate, 8000), &resample(samples, rate, 16_000))
    }

    fn from_both(narrow: &[i16], wide: &[i16]) -> Clip {
        let encode = |codec: Codec| {
            let samples = if codec.sample_rate() == 8000 { narrow } else { wide };
            let mut bytes = Vec::with_capacity(samples.len() / codec.samples_per_byte() + FRAME_BYTES);
            let mut encoder = Encoder::new(codec);
            encoder.encode(samples, &mut bytes);
            // Padded through the encoder, so that G.722 comes to rest.
            let missing = bytes.len().next_multiple_of(FRAME_BYTES) - bytes.len();
            encoder.encode(&[0; 2 * FRAME_BYTES][..missing * codec.samples_per_byte()], &mut bytes);
            bytes.into_boxed_slice()
        };
        Clip { encoded: Codec::BYTEWISE.map(encode), stamp: 0 }
    }

    /// The same clip, remembering which state of its file it was made from.
    pub fn stamped(self, stamp: u64) -> Clip {
        Clip { stamp, ..self }
    }

    /// What [`Clip::stamped`] was given, else 0.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The whole clip as payload bytes: a multiple of 160. For a codec that is not bytewise its G.722 bytes, from which
    /// a [`crate::media::stream::voice::Voice`] makes packets.
    pub fn bytes(&self, codec: Codec) -> &[u8] {
        match codec {
            Codec::Pcma => &self.encoded[0],
            Codec::Pcmu => &self.encoded[1],
            Codec::G722 | Codec::Opus | Codec::L16 => &self.encoded[2],
        }
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        Duration::from_millis((self.encoded[0].len() / BYTES_PER_MS) as u64)
    }
}

/// All clips by name, shared by the loader and the media threads; and the tones, which are always there.
#[derive(Debug)]
pub struct Bank {
    clips: DashMap<ClipName, Arc<Clip>>,
    tones: [Arc<Clip>; 6],
    keys: [Arc<Clip>; 16],
}

impl Default for Bank {
    fn default() -> Bank {
        Bank::new()
    }
}

impl Bank {
    /// A bank that holds only the tones.
    pub fn new() -> Bank {
        let both =
            |samples: &dyn Fn(u32) -> Vec<i16>| Arc::new(Clip::from_both(&samples(8000), &samples(16_000)));
        Bank {
            clips: DashMap::new(),
            tones: Tone::ALL.map(|tone| both(&|rate| tone.samples(rate))),
            keys: std::array::from_fn(|code| both(&|rate| tone::key_samples(code as u8, rate))),
        }
    }

    /// The clip of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Clip>> {
        self.clips.get(name).map(|clip| Arc::clone(&clip))
    }

    /// Puts a clip in; who plays an older one of that name hears it to its end.
    pub fn insert(&self, name: ClipName, clip: Arc<Clip>) {
        self.clips.insert(name, clip);
    }

    /// Takes a clip out; tells whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        self.clips.remove(name).is_some()
    }

    /// How many clips it holds, tones not counted.
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Whether it holds no clip.
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// One turn of a tone's cadence.
    pub fn tone(&self, tone: Tone) -> Arc<Clip> {
        let at = Tone::ALL.iter().position(|t| *t == tone).unwrap_or(0);
        Arc::clone(&self.tones[at])
    }

    /// A key's tones and the pause after them, by its RFC 4733 event code.
    pub fn key(&self, code: u8) -> Arc<Clip> {
        Arc::clone(&self.keys[usize::from(code) % KEYS.len()])
    }
}

/// Taps on either side of a sample, in samples of the lower of the two rates.
const HALF_TAPS: f64 = 24.0;

/// Resamples by a windowed sinc (Blackman, stop band below −70 dB), one set of taps for each phase.
fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples.to_vec();
    }
    if !(1000..=384_000).contains(&from) {
        return Vec::new();
    }
    let common = gcd(from, to);
    let (up, down) = ((to / common) as usize, (from / common) as usize);
    // Cut just below half of the lower rate; when going down the filter is as much wider.
    let cutoff = 0.46 * f64::from(to.min(from)) / f64::from(from) * 2.0;
    let half = (HALF_TAPS / cutoff.min(1.0)).ceil();
    let width = (2.0 * half) as usize;
    let taps: Vec<f32> = (0..up)
        .flat_map(|phase| {
            let at = phase as f64 / up as f64;
            let row: Vec<f64> =
                (0..width).map(|tap| window(tap as f64 - half + 1.0 - at, cutoff, half)).collect();
            let sum: f64 = row.iter().sum();
            row.into_iter().map(move |tap| (tap / sum) as f32)
        })
        .collect();
    let margin = half as usize;
    let mut padded = vec![0f32; samples.len() + 2 * margin + 1];
    for (to, from) in padded[margin - 1..].iter_mut().zip(samples) {
        *to = f32::from(*from);
    }
    (0..samples.len() * up / down)
        .map(|out| {
            let (at, phase) = (out * down / up, out * down % up);
            dot(&padded[at..at + width], &taps[phase * width..][..width]).round() as i16
        })
        .collect()
}

/// The filter's impulse response `distance` samples from its middle.
fn window(distance: f64, cutoff: f64, half: f64) -> f64 {
    use std::f64::consts::PI;
    if distance.abs() >= half {
        return 0.0;
    }
    let angle = PI * distance * cutoff;
    let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
    let turn = PI * distance / half;
    sinc * (0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos())
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::Decoder;

    /// The level of `hertz` in dBm0, by one bin of a Fourier sum.
    fn level(samples: &[i16], hertz: f64, rate: u32) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (at, sample) in samples.iter().enumerate() {
            let angle = std::f64::consts::TAU * hertz * at as f64 / f64::from(rate);
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        let peak = 2.0 * (re * re + im * im).sqrt() / samples.len() as f64;
        20.0 * (peak.max(1e-9) / 22_826.0).log10()
    }

    fn sine(hertz: f64, rate: u32) -> Vec<i16> {
        let step = std::f64::consts::TAU * hertz / f64::from(rate);
        (0..rate).map(|at| (10_360.0 * (step * f64::from(at)).sin()) as i16).collect() // −6.86 dBm0
    }

    #[test]
    fn a_clip_keeps_frequency_and_level_in_every_codec_from_every_rate() {
        for rate in [8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            let clip = Clip::from_pcm(&sine(1000.0, rate), rate);
            assert_eq!(clip.duration(), Duration::from_secs(1), "{rate}");
            for codec in Codec::BYTEWISE {
                let mut samples = vec![0; 8000 * codec.samples_per_byte()];
                Decoder::new(codec).decode(clip.bytes(codec), &mut samples);
                let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
                let heard = level(middle, 1000.0, codec.sample_rate());
                assert!((heard + 6.86).abs() < 0.3, "{rate} {codec:?}: {heard} dBm0");
                let beside = level(middle, 1700.0, codec.sample_rate());
                assert!(beside < -45.0, "{rate} {codec:?}: {beside} dBm0 at 1700 Hz");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_does_not_fold_back() {
        let samples = resample(&sine(5000.0, 16_000), 16_000, 8000);
        assert!(level(&samples[1000..7000], 3000.0, 8000) < -60.0);
    }

    #[test]
    fn clips_are_whole_frames_and_an_odd_rate_is_empty() {
        assert_eq!(Clip::from_pcm(&[0; 161], 8000).bytes(Codec::Pcma).len(), 320);
        assert_eq!(Clip::from_pcm(&[0; 8001], 8000).bytes(Codec::G722).len(), 8160);
        assert!(Clip::from_pcm(&[0; 100], 3).bytes(Codec::Pcma).is_empty());
        assert!(Clip::from_pcm(&[], 8000).bytes(Codec::Pcmu).is_empty());
    }

    #[test]
    fn tones_have_their_cadence_and_level() {
        let bank = Bank::new();
        for (tone, length_ms, on_ms) in [
            (Tone::Ringback, 5000, 1000),
            (Tone::Busy, 1000, 500),
            (Tone::Congestion, 400, 200),
            (Tone::CallWaiting, 11_000, 200),
        ] {
            let clip = bank.tone(tone);
            assert_eq!(clip.duration(), Duration::from_millis(length_ms), "{tone:?}");
            let mut samples = vec![0; clip.bytes(Codec::Pcma).len()];
            Decoder::new(Codec::Pcma).decode(clip.bytes(Codec::Pcma), &mut samples);
            let (on, off) = (&samples[..on_ms * 8], &samples[on_ms * 8..(on_ms + 200) * 8]);
            assert!((level(on, 425.0, 8000) + 10.0).abs() < 0.2, "{tone:?}");
            assert!(off.iter().all(|s| s.abs() <= 8), "{tone:?}");
        }
    }

    #[test]
    fn a_key_is_its_two_frequencies() {
        let clip = Bank::new().key(9);
        let mut samples = vec![0; 1280];
        Decoder::new(Codec::Pcmu).decode(clip.bytes(Codec::Pcmu), &mut samples);
        assert!((level(&samples[..800], 852.0, 8000) + 9.0).abs() < 0.5);
        assert!((level(&samples[..800], 1477.0, 8000) + 7.0).abs() < 0.5);
        assert!(level(&samples[..800], 697.0, 8000) < -30.0);
    }
}
