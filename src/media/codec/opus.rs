//! Opus (RFC 6716, RFC 7587): thin over the `opus-rs` crate, mono, at 8, 16 or 48 kHz as the caller needs.
//!
//! Encoding is at a constant rate, in frames of 10, 20, 40 or 60 ms; discontinuous transmission is our own, by level.
//! A packet's length is read from its first bytes, without decoding.

use opus_rs::Application;
use opus_rs::OpusDecoder;
use opus_rs::OpusEncoder;

/// Units of the RTP clock in a millisecond (RFC 7587 §4.1: 48 kHz, whatever the audio is).
pub const UNITS_PER_MS: u32 = 48;

/// Longest packet (RFC 6716 §3.4: one frame is at most 1275 bytes; we make one frame a packet).
const PACKET_MAX: usize = 1276;

/// Bits a second unless the other side wants fewer: wideband speech with room for error correction.
pub const BITRATE: u32 = 28_000;

/// Below this root mean square a frame is silence, −60 dBm0.
const SILENCE_RMS: i64 = 16;

/// So much silence, in milliseconds, before we stop sending; and how often one frame is sent then (RFC 6716 §2.1.9).
const HANGOVER_MS: u32 = 200;
const SIGN_OF_LIFE_MS: u32 = 400;

/// How the other side wants Opus (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Bits a second, 6000 to 64 000: `maxaveragebitrate`, bounded by [`BITRATE`].
    pub bitrate: u32,
    /// It reads in-band error correction: `useinbandfec=1`.
    pub fec: bool,
    /// It wants nothing sent in silence: `usedtx=1`.
    pub dtx: bool,
    /// Loss on the way to it in percent, as its reports say; error correction is made for as much.
    pub loss_percent: u8,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner { bitrate: BITRATE, fec: false, dtx: false, loss_percent: 0 }
    }
}

/// Encodes one line of audio.
pub struct Encoder {
    inner: OpusEncoder,
    rate: u32,
    manner: Manner,
    /// Samples of the last frame.
    frame: usize,
    /// Silence so far, and since the last frame that was sent in it, in milliseconds.
    silent_ms: u32,
    unsent_ms: u32,
}

impl Encoder {
    /// For mono samples at 8000, 16 000 or 48 000 (other rates are taken for 16 000).
    pub fn new(rate: u32) -> Encoder {
        let rate = if matches!(rate, 8000 | 48_000) { rate } else { 16_000 };
        let manner = Manner::default();
        let mut encoder = Encoder { inner: coder(rate), rate, manner, frame: 0, silent_ms: 0, unsent_ms: 0 };
        encoder.manner(manner);
        encoder
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Does as the other side wants from the next frame on.
    pub fn manner(&mut self, manner: Manner) {
        self.inner.bitrate_bps = manner.bitrate.clamp(6000, 64_000) as i32;
        self.inner.use_inband_fec = manner.fec;
        // Error correction is made only against an expected loss.
        self.inner.packet_loss_perc =
            if manner.fec { i32::from(manner.loss_percent.clamp(5, 30)) } else { 0 };
        self.manner = manner;
    }

    /// Appends one frame of 10, 20, 40 or 60 ms; nothing in silence that is not sent, or of another length.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        if self.is_left_out(samples) {
            return;
        }
        if samples.len() != std::mem::replace(&mut self.frame, samples.len()) {
            // opus-rs 0.1.40 reads past a frame that is shorter than the one before: it begins anew.
            self.inner = coder(self.rate);
            self.manner(self.manner);
        }
        let at = out.len();
        out.resize(at + PACKET_MAX, 0);
        let written = self.inner.encode_i16(samples, samples.len(), &mut out[at..]).unwrap_or(0);
        out.truncate(at + written.min(PACKET_MAX));
    }

    fn is_left_out(&mut self, samples: &[i16]) -> bool {
        let length_ms = samples.len() as u32 * 1000 / self.rate;
        let energy: i64 = samples.iter().map(|s| i64::from(*s) * i64::from(*s)).sum();
        if energy > SILENCE_RMS * SILENCE_RMS * samples.len() as i64 {
            (self.silent_ms, self.unsent_ms) = (0, 0);
            return false;
        }
        self.silent_ms = self.silent_ms.saturating_add(length_ms);
        if !self.manner.dtx || self.silent_ms <= HANGOVER_MS {
            return false;
        }
        self.unsent_ms += length_ms;
        if self.unsent_ms >= SIGN_OF_LIFE_MS {
            self.unsent_ms = 0;
            return false;
        }
        true
    }
}

fn coder(rate: u32) -> OpusEncoder {
    let mut inner =
        OpusEncoder::new(rate as i32, 1, Application::Voip).expect("a rate and channels that Opus has");
    inner.use_cbr = true;
    inner.complexity = COMPLEXITY;
    inner
}

/// What the encoder spends on a frame, 0 to 10.
const COMPLEXITY: i32 = 3;

/// Decodes one line of packets.
pub struct Decoder {
    inner: OpusDecoder,
    rate: u32,
    space: Box<[f32]>,
}

/// What to make of a packet that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost<'p> {
    /// From what was before it.
    Conceal,
    /// From the error correction in the packet behind it.
    Correct(&'p [u8]),
}

impl Decoder {
    /// To mono samples at 8000, 16 000 or 48 000 (other rates are taken for 48 000).
    pub fn new(rate: u32) -> Decoder {
        let rate = if matches!(rate, 8000 | 16_000) { rate } else { 48_000 };
        let inner = OpusDecoder::new(rate as i32, 1).expect("a rate and channels that Opus has");
        Decoder { inner, rate, space: vec![0.0; rate as usize * 120 / 1000].into_boxed_slice() }
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Decodes into `out` and tells how many samples it wrote: at most 120 ms; 0 for a malformed packet.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let Some(units) = units(payload) else { return 0 };
        let count = (units * self.rate / 48_000) as usize;
        if count > out.len() || count > self.space.len() {
            return 0;
        }
        let decoded = self.inner.decode(payload, count, &mut self.space[..count]);
        self.give(decoded.unwrap_or(0), out)
    }

    /// Fills `out` in place of a lost packet; its length is a multiple of 2.5 ms, at most 60 ms.
    pub fn conceal(&mut self, lost: Lost<'_>, out: &mut [i16]) {
        let count = out.len().min(self.space.len());
        let space = &mut self.space[..count];
        let made = match lost {
            Lost::Conceal => self.inner.decode(&[], count, space),
            Lost::Correct(behind) => self.inner.decode_fec(behind, count, space),
        };
        let made = self.give(made.unwrap_or(0), out);
        out[made..].fill(0);
    }

    fn give(&self, count: usize, out: &mut [i16]) -> usize {
        for (to, from) in out.iter_mut().zip(&self.space[..count]) {
            *to = (from * 32_768.0).round() as i16; // saturates
        }
        count.min(out.len())
    }
}

/// How long a packet lasts in units of the RTP clock, from its table of contents (RFC 6716 §3.1); `None` when it is
/// malformed or longer than the 120 ms of §3.4.
pub fn units(payload: &[u8]) -> Option<u32> {
    let toc = *payload.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*payload.get(1)? & 0x3F),
    };
    let units = frame * frames;
    (units > 0 && units <= 120 * UNITS_PER_MS).then_some(units)
}

/// Whether a packet is a sign of life in silence: two bytes at most carry no frame (RFC 6716 §2.1.9).
pub fn is_silence(payload: &[u8]) -> bool {
    payload.len() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speechlike(rate: u32, count: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU / f64::from(rate);
        let voice =
            |at: f64| (1..12).map(|n| (at * step * 140.0 * f64::from(n)).sin() / f64::from(n)).sum::<f64>();
        (0..count).map(|at| (4000.0 * voice(at as f64)) as i16).collect()
    }

    #[test]
    fn every_frame_length_and_rate_comes_back_as_long_and_as_loud() {
        for rate in [8000, 16_000, 48_000] {
            for ms in [10, 20, 40, 60] {
                let length = rate as usize * ms / 1000;
                let (mut encoder, mut decoder) = (Encoder::new(rate), Decoder::new(rate));
                let audio = speechlike(rate, length * 20);
                let mut heard = Vec::new();
                for frame in audio.chunks(length) {
                    let mut packet = Vec::new();
                    encoder.encode(frame, &mut packet);
                    assert_eq!(units(&packet), Some(48 * ms as u32), "{rate} {ms} ms");
                    let mut out = vec![0; rate as usize * 120 / 1000];
                    assert_eq!(decoder.decode(&packet, &mut out), length, "{rate} {ms} ms");
                    heard.extend_from_slice(&out[..length]);
                }
                let power = |samples: &[i16]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
                let half = audio.len() / 2;
                let gain = 10.0 * (power(&heard[half..]) / power(&audio[half..])).log10();
                assert!(gain.abs() < 1.5, "{rate} {ms} ms: {gain} dB");
            }
        }
    }

    #[test]
    fn silence_is_left_out_but_for_a_sign_of_life() {
        let mut encoder = Encoder::new(16_000);
        encoder.manner(Manner { dtx: true, ..Manner::default() });
        let mut sent = 0;
        for _ in 0..100 {
            let mut packet = Vec::new();
            encoder.encode(&[0; 320], &mut packet);
            sent += usize::from(!packet.is_empty());
        }
        assert_eq!(sent, 10 + 4, "200 ms, and one in 400 ms of the rest");
    }

    #[test]
    fn the_packet_behind_a_lost_one_makes_it_no_worse() {
        let audio = speechlike(16_000, 320 * 40);
        let mut encoder = Encoder::new(16_000);
        encoder.manner(Manner { fec: true, loss_percent: 20, ..Manner::default() });
        let packets: Vec<Vec<u8>> = audio
            .chunks(320)
            .map(|frame| {
                let mut packet = Vec::new();
                encoder.encode(frame, &mut packet);
                packet
            })
            .collect();
        // Signal to error of a lost frame, over several of them.
        let ratio = |correct: bool| {
            let (mut power, mut error) = (0.0, 1.0);
            for missing in 20..39 {
                let (mut whole, mut holed) = (Decoder::new(16_000), Decoder::new(16_000));
                let (mut there, mut made) = ([0; 1920], [0; 320]);
                for packet in &packets[..missing] {
                    whole.decode(packet, &mut there);
                    holed.decode(packet, &mut [0; 1920]);
                }
                whole.decode(&packets[missing], &mut there);
                let lost = if correct { Lost::Correct(&packets[missing + 1]) } else { Lost::Conceal };
                holed.conceal(lost, &mut made);
                for (a, b) in there.iter().zip(made) {
                    power += f64::from(*a).powi(2);
                    error += (f64::from(*a) - f64::from(b)).powi(2);
                }
            }
            10.0 * (power / error).log10()
        };
        let (corrected, concealed) = (ratio(true), ratio(false));
        assert!(corrected >= concealed, "{corrected} dB, {concealed} dB without the packet behind");
    }

    #[test]
    fn frames_may_change_their_length() {
        let audio = speechlike(16_000, 16_000);
        let (mut encoder, mut decoder) = (Encoder::new(16_000), Decoder::new(16_000));
        for ms in [60, 20, 40, 60, 10, 20] {
            let mut packet = Vec::new();
            encoder.encode(&audio[..16 * ms], &mut packet);
            assert_eq!(decoder.decode(&packet, &mut [0; 1920]), 16 * ms, "{ms} ms");
        }
    }

    #[test]
    fn the_length_is_read_from_the_first_bytes_and_nonsense_is_refused() {
        for (packet, expect) in [
            (&[][..], None),
            (&[0x08], Some(960)),
            (&[0x18], Some(2880)),
            (&[0x09, 0], Some(1920)),
            (&[0x0B], None),
            (&[0x0B, 0], None),
            (&[0x0B, 6], Some(5760)),
            (&[0x0B, 7], None),
            (&[0xE3, 48], Some(5760)),
            (&[0xFC], Some(960)),
        ] {
            assert_eq!(units(packet), expect, "{packet:?}");
        }
        let mut out = [0; 5760];
        assert_eq!(Decoder::new(48_000).decode(&[0x0B, 0x86, 200, 1], &mut out), 0);
    }
}
