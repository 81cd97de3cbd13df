//! Call-progress tones of the Norwegian network and the keys' tone pairs, as samples made once at start.
//!
//! Levels are those of a telephone network, in dBm0.

use std::f64::consts::TAU;

/// Peak of a sine of 0 dBm0: 3.14 dB below full scale (ITU-T G.711).
const ZERO_DBM0: f64 = 22_826.0;

/// A tone with its cadence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tone {
    /// It rings: 425 Hz, 1 s on, 4 s off.
    Ringback,
    /// Engaged: 425 Hz, 500 ms on, 500 ms off.
    Busy,
    /// No way through: 425 Hz, 200 ms on, 200 ms off.
    Congestion,
    /// Another call waits: 425 Hz, 200 ms on, 600 ms off, 200 ms on, 10 s off.
    CallWaiting,
    /// Speak after it: 1000 Hz without a break.
    Beep,
    /// Dial now: 425 Hz without a break.
    Dial,
}

impl Tone {
    /// Every tone.
    pub const ALL: [Tone; 6] =
        [Tone::Ringback, Tone::Busy, Tone::Congestion, Tone::CallWaiting, Tone::Beep, Tone::Dial];

    /// One turn of its cadence: mono, at `rate` hertz, about −10 dBm0. Can be repeated without a click.
    pub fn samples(self, rate: u32) -> Vec<i16> {
        let (frequency, cadence): (f64, &[(u32, bool)]) = match self {
            Tone::Ringback => (425.0, &[(1000, true), (4000, false)]),
            Tone::Busy => (425.0, &[(500, true), (500, false)]),
            Tone::Congestion => (425.0, &[(200, true), (200, false)]),
            Tone::CallWaiting => (425.0, &[(200, true), (600, false), (200, true), (10_000, false)]),
            Tone::Beep => (1000.0, &[(1000, true)]),
            Tone::Dial => (425.0, &[(1000, true)]),
        };
        let mut samples = Vec::new();
        for (ms, on) in cadence {
            let count = (rate / 1000 * ms) as usize;
            match on {
                true => samples.extend(sines(&[(frequency, -10.0)], rate, count)),
                false => samples.resize(samples.len() + count, 0),
            }
        }
        samples
    }
}

/// The keys in the order of their RFC 4733 §3.2 event codes, 0 to 15.
pub const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// The event code of a key; `None` for what is no key.
pub fn key_code(digit: char) -> Option<u8> {
    KEYS.iter().position(|key| *key == digit.to_ascii_uppercase()).map(|at| at as u8)
}

/// A key as its pair of tones: 100 ms of tone and 60 ms of silence, mono, at `rate` hertz.
pub fn key_samples(code: u8, rate: u32) -> Vec<i16> {
    // ITU-T Q.23: a row and a column; the higher frequency is sent a little louder (Q.24).
    const GRID: [&[u8; 4]; 4] = [b"123A", b"456B", b"789C", b"*0#D"];
    const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    let key = KEYS[usize::from(code) % KEYS.len()] as u8;
    let row = GRID.iter().position(|row| row.contains(&key)).unwrap_or(0);
    let column = GRID[row].iter().position(|k| *k == key).unwrap_or(0);
    let mut samples =
        sines(&[(ROWS[row], -9.0), (COLUMNS[column], -7.0)], rate, (rate / 10) as usize).collect::<Vec<_>>();
    samples.resize((rate / 1000 * 160) as usize, 0);
    samples
}

/// The sum of sines of (hertz, dBm0), starting at zero.
fn sines(parts: &[(f64, f64)], rate: u32, count: usize) -> impl Iterator<Item = i16> {
    let parts: Vec<(f64, f64)> = parts
        .iter()
        .map(|(hertz, dbm0)| (TAU * hertz / f64::from(rate), ZERO_DBM0 * 10f64.powf(dbm0 / 20.0)))
        .collect();
    (0..count)
        .map(move |at| parts.iter().map(|(step, peak)| peak * (step * at as f64).sin()).sum::<f64>() as i16)
}
