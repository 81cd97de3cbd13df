//! Keys as tones in the audio, for parties with whom no telephone-event was negotiated: heard as ITU-T Q.24 has it.
//!
//! The audio is looked at in windows of 102 samples (12.75 ms) that overlap by half, at the eight frequencies. Each half is
//! correlated once with all of them side by side, and two halves make a window: phones that negotiate no telephone-event
//! are listened to all the time, so this is part of what each of their packets costs. A window holds a key when a row and a column stand out of their groups, are near to each other in level,
//! hold nearly all of the energy, have no second harmonic, and go on from window to window at their frequencies: speech and
//! music fail at one of these. Four windows in a
//! row are a press (40 ms are always heard, 23 ms never), five without it its end (40 ms part two presses of one key, a
//! break of 10 ms does not).

use std::sync::LazyLock;

use crate::media::Codec;
use crate::media::codec::MAX_PAYLOAD;
use crate::media::reading::Reading;
use crate::media::tone::KEYS;

/// Samples at 8 kHz in a window: the eight frequencies fall near the middle of its bins.
const WINDOW: usize = 102;

/// Samples from one window to the next: half of one.
const HOP: usize = WINDOW / 2;

/// The same, rounded up to eight.
const PADDED: usize = HOP.next_multiple_of(8);

/// Windows in a row that make a press.
const PRESS: u8 = 4;

/// Windows in a row without the key that end a press.
const RELEASE: u8 = 5;

/// ITU-T Q.23, in hertz.
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// The keys of the grid as RFC 4733 event codes, row by row.
const GRID: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// The least amplitude of either tone: −36 dBm0, a full-scale sine being +3.14 dBm0.
const QUIETEST: f32 = 361.0;

/// The column is stronger than the row by at most 9 dB (Q.24 demands 8 of some networks) …
const TWIST: f32 = 7.94;

/// … and the row stronger than the column by at most 5 dB (4 are demanded).
const REVERSE_TWIST: f32 = 3.16;

/// How much a tone stands out of its group: 8 dB.
const APART: f32 = 6.3;

/// The share of both tones in all of the energy: leaves room for noise at 15 dB and 1.5 % off in frequency.
const SHARE: f32 = 0.75;

/// The most of a tone's energy that its second harmonic may have: −12 dB. A voice has more.
const HARMONIC: f32 = 0.063;

/// A column this near to the second harmonic of a row cannot be told from it.
const BESIDE: f32 = 100.0;

/// How steady the tones are to each other from window to window: 1.5 dB. Those of a voice wander.
const STEADY: f32 = 1.41;

/// How far off a tone's frequency may be, as its phase tells it from window to window: Q.24 has 1.5 % and 2 Hz taken, and
/// 3.5 % refused.
const OFF: f32 = 0.025;

/// Hears keys in audio of one party, whose codec may change.
#[derive(Default)]
pub struct Listener {
    reading: Reading,
    detector: Detector,
}

impl Listener {
    /// Takes a payload; `told` gets each key, once per press, when it is sure.
    pub fn hear(&mut self, codec: Codec, payload: &[u8], mut told: impl FnMut(char)) {
        let mut space = [0i16; 2 * MAX_PAYLOAD];
        let samples = self.reading.read(codec, payload, 8000, &mut space);
        self.detector.hear(samples, |code| told(KEYS[usize::from(code)]));
    }
}

/// Finds presses in mono samples at 8 kHz.
#[derive(Debug)]
pub struct Detector {
    /// The two halves of a window, the second as far as it is filled.
    window: [Samples; 2],
    filled: usize,
    /// What the first half holds.
    before: Half,
    /// What the last windows hold, and how many of them.
    run: (Option<Found>, u8),
    pressed: Option<u8>,
    /// Windows in a row without the pressed key.
    missed: u8,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector {
            window: [[0; PADDED]; 2],
            filled: 0,
            before: Half::default(),
            run: (None, 0),
            pressed: None,
            missed: 0,
        }
    }
}

impl Detector {
    /// Takes samples; `told` gets the event code of each press when it is sure.
    pub fn hear(&mut self, samples: &[i16], mut told: impl FnMut(u8)) {
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(HOP - self.filled));
            rest = later;
            self.window[1][self.filled..][..now.len()].copy_from_slice(now);
            self.filled += now.len();
            if self.filled == HOP {
                let half = Half::of(&self.window[1]);
                let key = key(&self.window, [&self.before, &half]);
                self.before = half;
                self.window[0] = self.window[1];
                self.filled = 0;
                if let Some(code) = self.step(key) {
                    told(code);
                }
            }
        }
    }

    /// One window further; the key whose press is sure by it.
    fn step(&mut self, found: Option<Found>) -> Option<u8> {
        let key = found.map(|found| found.key);
        let goes_on = found.zip(self.run.0).is_some_and(|(found, before)| found.goes_on(&before));
        self.run = (found, if goes_on { self.run.1.saturating_add(1) } else { 1 });
        if key.is_some() && key == self.pressed {
            self.missed = 0;
            return None;
        }
        self.missed = self.missed.saturating_add(1);
        if self.missed >= RELEASE {
            self.pressed = None;
        }
        let sure = key.is_some() && self.run.1 >= PRESS;
        if !sure {
            return None;
        }
        self.missed = 0;
        self.pressed = key;
        key
    }
}

/// What a window holds.
#[derive(Clone, Copy, Debug)]
struct Found {
    key: u8,
    hertz: [f32; 2],
    /// How much stronger the column is than the row.
    twist: f32,
    /// Of row and column, at the end of the window.
    phases: [f32; 2],
}

impl Found {
    /// Whether both tones go on from the window before.
    fn goes_on(&self, before: &Found) -> bool {
        let steady = self.twist <= before.twist * STEADY && before.twist <= self.twist * STEADY;
        let near = |at: usize| {
            let turned = std::f32::consts::TAU * self.hertz[at] / 8000.0 * HOP as f32;
            let off = (self.phases[at] - before.phases[at] - turned).rem_euclid(std::f32::consts::TAU);
            off.min(std::f32::consts::TAU - off) <= OFF * turned
        };
        self.key == before.key && steady && near(0) && near(1)
    }
}

/// Half a window, and zeros up to a whole number of the processor's lanes.
type Samples = [i16; PADDED];

/// What half a window holds.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    /// Sum of the squares.
    energy: f32,
    /// By frequency, rows first, from the beginning of the half.
    tones: [Tone; 8],
}

impl Half {
    fn of(samples: &Samples) -> Half {
        // Coarser by 2⁶, so that half a window of the loudest fits.
        let energy: u32 = samples.iter().map(|sample| (i32::from(*sample).pow(2) as u32) >> 6).sum();
        let tones = TABLE.waves.each_ref().map(|[cosine, sine]| Tone {
            real: correlate(samples, cosine) as f32 / AMPLITUDE,
            imaginary: correlate(samples, sine) as f32 / -AMPLITUDE,
        });
        Half { energy: energy as f32 * 64.0, tones }
    }
}

/// Cannot overflow with a wave of [`AMPLITUDE`].
fn correlate(samples: &Samples, wave: &Samples) -> i32 {
    samples.iter().zip(wave).map(|(sample, wave)| i32::from(*sample) * i32::from(*wave)).sum()
}

/// Of the waves that halves are correlated with.
const AMPLITUDE: f32 = 1024.0;

/// What halves are correlated with.
struct Table {
    /// Cosine and sine of each frequency.
    waves: [[Samples; 2]; 8],
    /// How far each frequency turns in half a window.
    turns: [Tone; 8],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let angle = |tone: usize, sample: usize| {
        let hertz = if tone < 4 { ROWS[tone] } else { COLUMNS[tone - 4] };
        std::f32::consts::TAU * hertz / 8000.0 * sample as f32
    };
    let wave = |of: &dyn Fn(usize) -> f32| -> Samples {
        std::array::from_fn(|at| if at < HOP { (of(at) * AMPLITUDE).round() as i16 } else { 0 })
    };
    let waves = |tone| [wave(&|at| angle(tone, at).cos()), wave(&|at| angle(tone, at).sin())];
    let turn = |tone| Tone { real: angle(tone, HOP).cos(), imaginary: -angle(tone, HOP).sin() };
    Table { waves: std::array::from_fn(waves), turns: std::array::from_fn(turn) }
});

/// The key that a window of two halves holds.
fn key(window: &[Samples; 2], [first, second]: [&Half; 2]) -> Option<Found> {
    let energy = first.energy + second.energy;
    // Of both tones at their quietest.
    if energy < QUIETEST * QUIETEST * WINDOW as f32 {
        return None;
    }
    let tones: [Tone; 8] =
        std::array::from_fn(|at| first.tones[at].plus(second.tones[at].times(TABLE.turns[at])));
    let (row, row_tone) = strongest(&tones[..4])?;
    let (column, column_tone) = strongest(&tones[4..])?;
    let (low, high) = (row_tone.power(), column_tone.power());
    // A tone of amplitude a has the energy a² N / 2, and the squared magnitude (a N / 2)².
    let quietest = (QUIETEST * WINDOW as f32 / 2.0).powi(2);
    let beside = (2.0 * ROWS[row] - COLUMNS[column]).abs() < BESIDE;
    let sound = low >= quietest
        && high >= quietest
        && high <= low * TWIST
        && low <= high * REVERSE_TWIST
        && (low + high) * 2.0 / WINDOW as f32 >= SHARE * energy
        && (beside || goertzel(window, 2.0 * ROWS[row]).power() <= HARMONIC * low.max(high))
        && goertzel(window, 2.0 * COLUMNS[column]).power() <= HARMONIC * high;
    let phases = [row_tone, column_tone].map(|tone| tone.imaginary.atan2(tone.real));
    sound.then(|| Found {
        key: GRID[row][column],
        hertz: [ROWS[row], COLUMNS[column]],
        twist: high / low,
        phases,
    })
}

/// The strongest tone of a group, if it stands out.
fn strongest(tones: &[Tone]) -> Option<(usize, Tone)> {
    let (at, tone) = tones.iter().enumerate().max_by(|(_, a), (_, b)| a.power().total_cmp(&b.power()))?;
    let apart = |(other, weak): (usize, &Tone)| other == at || weak.power() * APART <= tone.power();
    tones.iter().enumerate().all(apart).then_some((at, *tone))
}

/// One frequency of a window, as a complex amplitude.
#[derive(Clone, Copy, Debug, Default)]
struct Tone {
    real: f32,
    imaginary: f32,
}

impl Tone {
    fn power(self) -> f32 {
        self.real * self.real + self.imaginary * self.imaginary
    }

    fn plus(self, other: Tone) -> Tone {
        Tone { real: self.real + other.real, imaginary: self.imaginary + other.imaginary }
    }

    fn times(self, other: Tone) -> Tone {
        Tone {
            real: self.real * other.real - self.imaginary * other.imaginary,
            imaginary: self.real * other.imaginary + self.imaginary * other.real,
        }
    }
}

/// Any frequency of a window, by Goertzel's filter.
fn goertzel(window: &[Samples; 2], hertz: f32) -> Tone {
    let (sine, cosine) = (std::f32::consts::TAU * hertz / 8000.0).sin_cos();
    let (mut one, mut two) = (0.0f32, 0.0f32);
    for sample in window.iter().flat_map(|half| &half[..HOP]) {
        (one, two) = (f32::from(*sample) + 2.0 * cosine * one - two, one);
    }
    Tone { real: one - two * cosine, imaginary: two * sine }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::key_samples;
    use crate::rand::Rng;

    const ZERO_DBM0: f64 = 22_826.0;

    /// A pair of tones: hertz, dBm0 and milliseconds; `noise` is its amplitude.
    fn pair(low: (f64, f64), high: (f64, f64), ms: usize, noise: f64, rng: &mut Rng) -> Vec<i16> {
        let wave = |(hertz, dbm0): (f64, f64), at: usize| {
            ZERO_DBM0 * 10f64.powf(dbm0 / 20.0) * (std::f64::consts::TAU * hertz / 8000.0 * at as f64).sin()
        };
        let hiss = |rng: &mut Rng| (rng.below(20_001) as f64 / 10_000.0 - 1.0) * noise;
        (0..8 * ms).map(|at| (wave(low, at) + wave(high, at) + hiss(rng)) as i16).collect()
    }

    fn heard(samples: &[i16]) -> String {
        let (mut detector, mut keys) = (Detector::default(), String::new());
        // In packets of 20 ms, as they come.
        for packet in samples.chunks(160) {
            detector.hear(packet, |code| keys.push(KEYS[usize::from(code)]));
        }
        keys
    }

    /// A press of `ms` and a gap, beginning anywhere in a window.
    fn pressed(code: u8, on_ms: usize, off_ms: usize, offset: usize) -> Vec<i16> {
        let mut samples = vec![0; offset];
        samples.extend(&key_samples(code, 8000)[..8 * on_ms.min(100)]);
        samples.resize(samples.len() + 8 * off_ms, 0);
        samples
    }

    #[test]
    fn every_key_of_40_ms_is_heard_once_wherever_it_begins_and_23_ms_never() {
        for code in 0..16 {
            for offset in 0..HOP {
                let key = KEYS[usize::from(code)].to_string();
                assert_eq!(heard(&pressed(code, 40, 60, offset)), key, "{key} at {offset}");
                assert_eq!(heard(&pressed(code, 100, 60, offset)), key, "{key} at {offset}");
                assert_eq!(heard(&pressed(code, 23, 60, offset)), "", "{key} at {offset}");
            }
        }
    }

    #[test]
    fn two_presses_40_ms_apart_are_two_and_a_break_of_10_ms_is_none() {
        for offset in 0..HOP {
            let twice = [pressed(5, 40, 40, offset), pressed(5, 40, 60, 0)].concat();
            assert_eq!(heard(&twice), "55", "at {offset}");
            let broken = [pressed(5, 60, 10, offset), pressed(5, 60, 60, 0)].concat();
            assert_eq!(heard(&broken), "5", "at {offset}");
        }
    }

    #[test]
    fn level_twist_frequency_and_noise_are_taken_as_networks_demand() {
        let mut rng = Rng::from_seed(1);
        // (dBm0 low, dBm0 high, off in percent, noise amplitude, heard)
        let rows = [
            (-7.0, -7.0, 0.0, 0.0, true),
            (0.0, 0.0, 0.0, 0.0, true),
            (-29.0, -29.0, 0.0, 0.0, true),
            (-45.0, -45.0, 0.0, 0.0, false),
            (-15.0, -7.0, 0.0, 0.0, true),
            (-7.0, -11.0, 0.0, 0.0, true),
            (-19.0, -7.0, 0.0, 0.0, false),
            (-7.0, -15.0, 0.0, 0.0, false),
            (-10.0, -10.0, 1.5, 0.0, true),
            (-10.0, -10.0, -1.5, 0.0, true),
            (-10.0, -10.0, 4.0, 0.0, false),
            (-10.0, -10.0, -4.0, 0.0, false),
            // White noise 15 dB below the pair.
            (-10.0, -10.0, 0.0, 2200.0, true),
        ];
        for (low, high, off, noise, expect) in rows {
            for (row, column, key) in [(941.0, 1336.0, "0"), (697.0, 1209.0, "1"), (852.0, 1633.0, "C")] {
                let scale = 1.0 + off / 100.0;
                let samples = pair((row * scale, low), (column * scale, high), 100, noise, &mut rng);
                let expect = if expect { key } else { "" };
                assert_eq!(heard(&samples), expect, "{key} {low}/{high} dBm0, {off} %, noise {noise}");
            }
        }
    }

    /// Vowels: a pitch that glides, with its harmonics under three formants that wander; and breath between them.
    fn voice(seconds: usize, rng: &mut Rng) -> Vec<i16> {
        let mut samples = Vec::new();
        let mut phase = 0.0f64;
        let hiss = |rng: &mut Rng| rng.below(2001) as f64 / 1000.0 - 1.0;
        while samples.len() < 8000 * seconds {
            let pitch = 80.0 + rng.below(220) as f64;
            let glide = rng.below(200) as f64 / 100.0 - 1.0;
            let formants = [
                300.0 + rng.below(600) as f64,
                900.0 + rng.below(1400) as f64,
                2200.0 + rng.below(900) as f64,
            ];
            let narrow = 40.0 + rng.below(120) as f64;
            let count = 8 * (40 + rng.below(160));
            for at in 0..count {
                let hertz = pitch * (1.0 + 0.2 * glide * at as f64 / count as f64);
                phase += std::f64::consts::TAU * hertz / 8000.0;
                let mut sum = 0.0;
                for harmonic in 1..(3800.0 / hertz) as usize {
                    let at = harmonic as f64 * hertz;
                    // A resonance falls by 6 dB an octave from its middle, and the voice itself as much (Fant's model).
                    let gain: f64 = formants
                        .iter()
                        .map(|formant| (1.0 + ((at - formant) / narrow).powi(2)).sqrt().recip())
                        .sum();
                    let gain = gain * 300.0 / at.max(100.0);
                    sum += gain * (harmonic as f64 * phase).sin();
                }
                samples.push((6000.0 * sum + 100.0 * hiss(rng)) as i16);
            }
            samples.extend((0..8 * rng.below(60)).map(|_| (400.0 * hiss(rng)) as i16));
        }
        samples
    }

    #[test]
    fn ten_minutes_of_voices_and_noise_hold_no_key() {
        let mut rng = Rng::from_seed(24);
        assert_eq!(heard(&voice(600, &mut rng)), "");
        let noise: Vec<i16> = (0..8000 * 60).map(|_| rng.below(30_001) as i16 - 15_000).collect();
        assert_eq!(heard(&noise), "");
    }

    #[test]
    fn the_prompts_and_the_music_hold_no_key() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/media"))];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "wav") {
                    let mut reader = hound::WavReader::open(&path).expect("a WAV file");
                    assert_eq!(reader.spec().sample_rate, 16_000);
                    let wide: Vec<i16> = reader.samples().map(|sample| sample.expect("whole")).collect();
                    let samples: Vec<i16> = wide
                        .chunks_exact(2)
                        .map(|pair| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16)
                        .collect();
                    assert_eq!(heard(&samples), "", "{}", path.display());
                    files += 1;
                }
            }
        }
        assert!(files > 500, "{files} files");
    }

    #[test]
    fn keys_are_heard_through_codecs() {
        for codec in Codec::BYTEWISE.into_iter().chain([Codec::L16]) {
            let rate = codec.sample_rate();
            let mut encoder = crate::media::codec::Encoder::new(codec);
            let mut payload = Vec::new();
            for code in [5, 5, 11] {
                encoder.encode(&key_samples(code, rate), &mut payload);
            }
            let (mut listener, mut keys) = (Listener::default(), String::new());
            for packet in payload.chunks(if codec == Codec::L16 { 640 } else { 160 }) {
                listener.hear(codec, packet, |key| keys.push(key));
            }
            assert_eq!(keys, "55#", "{codec:?}");
        }
    }
}
