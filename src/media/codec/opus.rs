//! Opus (RFC 6716, RFC 7587): thin over the `opus-rs` crate, mono, at 8, 16 or 48 kHz as the caller needs.
//!
//! Encoding is at a constant rate, in frames of 10, 20, 40 or 60 ms; discontinuous transmission is our own, by level.
//! Error correction (each packet holds a coarse copy of the one before, RFC 6716 §4.2.5) is made while the other side
//! reports loss, at a higher rate. A packet's length is read from its first bytes, without decoding.

use opus_rs::Application;
use opus_rs::OpusDecoder;
use opus_rs::OpusEncoder;

/// Units of the RTP clock in a millisecond (RFC 7587 §4.1: 48 kHz, whatever the audio is).
pub const UNITS_PER_MS: u32 = 48;

/// Longest packet (RFC 6716 §3.4: one frame is at most 1275 bytes; we make one frame a packet).
const PACKET_MAX: usize = 1276;

/// Bits a second unless the other side wants fewer: wideband speech.
const BITRATE: u32 = 28_000;

/// Bits a second while error correction is made, which takes its share of them: at 28 000 the voice pays for it with half
/// a point of PESQ, at this with none.
pub const BITRATE_MAX: u32 = 40_000;

/// Error correction is not made with fewer bits a second: opus-rs 0.1.40 then announces a narrower band than it codes,
/// which decodes to noise.
const CORRECTING_MIN: u32 = 30_000;

/// Below this root mean square a frame is silence, −60 dBm0.
const SILENCE_RMS: i64 = 16;

/// So much silence, in milliseconds, before we stop sending; and how often one frame is sent then (RFC 6716 §2.1.9).
const HANGOVER_MS: u32 = 200;
const SIGN_OF_LIFE_MS: u32 = 400;

/// How the other side wants Opus (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// The most bits a second that it takes, from 6000: `maxaveragebitrate`. More than [`BITRATE_MAX`] are not used.
    pub bitrate: u32,
    /// It reads in-band error correction: `useinbandfec=1`.
    pub fec: bool,
    /// It wants nothing sent in silence: `usedtx=1`.
    pub dtx: bool,
    /// Loss on the way to it in percent, as its reports say; error correction is made for as much, none for 0.
    pub loss_percent: u8,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner { bitrate: BITRATE_MAX, fec: false, dtx: false, loss_percent: 0 }
    }
}

impl Manner {
    /// Whether an encoder of `rate` makes error correction.
    fn corrects(self, rate: u32) -> bool {
        // At 48 kHz opus-rs 0.1.40 divides by zero where correction leaves nothing to the upper band, at 8 kHz it
        // drops frames.
        self.fec && self.loss_percent > 0 && self.bitrate >= CORRECTING_MIN && rate == 16_000
    }
}

/// Encodes one line of audio.
pub struct Encoder {
    inner: OpusEncoder,
    rate: u32,
    manner: Manner,
    /// It has made error correction, and is one that can.
    correcting: bool,
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
        let mut encoder = Encoder {
            inner: coder(rate, COMPLEXITY),
            rate,
            manner: Manner::default(),
            correcting: false,
            frame: 0,
            silent_ms: 0,
            unsent_ms: 0,
        };
        encoder.manner(Manner::default());
        encoder
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Does as the other side wants from the next frame on.
    pub fn manner(&mut self, manner: Manner) {
        self.manner = manner;
        if manner.corrects(self.rate) && !self.correcting {
            self.correcting = true;
            self.begin_anew();
        }
        self.set();
    }

    fn set(&mut self) {
        let corrects = self.manner.corrects(self.rate);
        let most = if corrects { BITRATE_MAX } else { BITRATE };
        self.inner.bitrate_bps = self.manner.bitrate.clamp(6000, most) as i32;
        self.inner.use_inband_fec = corrects;
        self.inner.packet_loss_perc = if corrects { i32::from(self.manner.loss_percent.min(30)) } else { 0 };
    }

    fn begin_anew(&mut self) {
        self.inner = coder(self.rate, if self.correcting { COMPLEXITY_CORRECTING } else { COMPLEXITY });
        self.set();
    }

    /// Appends one frame of 10, 20, 40 or 60 ms; nothing in silence that is not sent, or of another length.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        if self.is_left_out(samples) {
            return;
        }
        if samples.len() != std::mem::replace(&mut self.frame, samples.len()) {
            // opus-rs 0.1.40 reads past a frame that is shorter than the one before: it begins anew.
            self.begin_anew();
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

fn coder(rate: u32, complexity: i32) -> OpusEncoder {
    let mut inner =
        OpusEncoder::new(rate as i32, 1, Application::Voip).expect("a rate and channels that Opus has");
    inner.use_cbr = true;
    // It counts when the first frame is encoded, and no more.
    inner.complexity = complexity;
    inner
}

/// What the encoder spends on a frame, 0 to 10.
const COMPLEXITY: i32 = 3;

/// The same where error correction is made. From 2 on the quantizer of opus-rs 0.1.40 chooses among several seeds of its
/// noise (RFC 6716 §4.2.7.7), and writes the wrong one into the copy: what is made of that is 4 dB worse.
const COMPLEXITY_CORRECTING: i32 = 1;

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

/// How long each frame of a packet lasts in units of the RTP clock, from its table of contents (RFC 6716 §3.1); it is also
/// how much error correction in the packet restores. `None` for an empty packet.
pub fn frame_units(payload: &[u8]) -> Option<u32> {
    Some(match *payload.first()? >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    })
}

/// How long a packet lasts in units of the RTP clock, from its table of contents (RFC 6716 §3.1); `None` when it is
/// malformed or longer than the 120 ms of §3.4.
pub fn units(payload: &[u8]) -> Option<u32> {
    let (toc, frame) = (*payload.first()?, frame_units(payload)?);
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

    /// Syllables of a voice that glides: what is steady counts as noise, of which no copies are made.
    fn syllables(rate: u32, ms: usize) -> Vec<i16> {
        let sample = |at: usize| {
            let at = at as f64 / f64::from(rate);
            let turns = 140.0 * at + 12.0 * (1.7 * at).sin();
            let vowel = 1.0 + (9.0 * at).sin() * 0.6;
            let voice = |n: f64| (std::f64::consts::TAU * n * turns).sin() / n.powf(vowel);
            let loud = (std::f64::consts::TAU * 2.0 * at).sin().max(0.05);
            6000.0 * loud * (1..16).map(|n| voice(f64::from(n))).sum::<f64>()
        };
        (0..rate as usize * ms / 1000).map(|at| sample(at) as i16).collect()
    }

    fn encoded(encoder: &mut Encoder, audio: &[i16], length: usize) -> Vec<Vec<u8>> {
        let frames = audio.chunks_exact(length);
        frames
            .map(|frame| {
                let mut packet = Vec::new();
                encoder.encode(frame, &mut packet);
                packet
            })
            .collect()
    }

    /// Whether a packet holds a copy of the one before: the bit behind those of voice activity (RFC 6716 §4.2.3), one for
    /// each 20 ms, at the beginning of its only frame, which lies behind a length of padding where there is one (§3.2.5).
    fn has_copy(packet: &[u8]) -> bool {
        let padded = packet[0] & 3 == 3 && packet[1] & 0x40 != 0;
        let lengths =
            if padded { 1 + packet[2..].iter().take_while(|byte| **byte == 255).count() } else { 0 };
        let begin = if packet[0] & 3 == 3 { 2 + lengths } else { 1 };
        let active = frame_units(packet).map_or(1, |units| units.div_ceil(960));
        packet.get(begin).is_some_and(|byte| byte << active & 0x80 != 0)
    }

    fn correcting(loss_percent: u8) -> Manner {
        Manner { fec: true, loss_percent, ..Manner::default() }
    }

    /// Mean over lost frames that were not silence of signal to error, in dB: concealed, and corrected.
    fn restored(packets: &[Vec<u8>], rate: u32, length: usize) -> (f64, f64) {
        let ratio = |correct: bool| {
            let (mut whole, mut holed) = (Decoder::new(rate), Decoder::new(rate));
            let (mut there, mut made) = (vec![0; length * 2], vec![0; length * 2]);
            let (mut sum, mut count) = (0.0, 0);
            for (at, packet) in packets.iter().enumerate() {
                whole.decode(packet, &mut there);
                if at % 5 != 4 || at + 1 == packets.len() {
                    holed.decode(packet, &mut made);
                    continue;
                }
                let lost = if correct { Lost::Correct(&packets[at + 1]) } else { Lost::Conceal };
                holed.conceal(lost, &mut made[..length]);
                let power: f64 = there[..length].iter().map(|a| f64::from(*a).powi(2)).sum();
                let error =
                    there[..length].iter().zip(&made).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
                if power > 1e4 * length as f64 {
                    sum += 10.0 * (power / error.sum::<f64>().max(1.0)).log10();
                    count += 1;
                }
            }
            sum / f64::from(count)
        };
        (ratio(false), ratio(true))
    }

    #[test]
    fn the_packet_behind_a_lost_one_restores_it() {
        let audio = syllables(16_000, 6000);
        for ms in [10, 20, 40, 60] {
            let length = 16 * ms;
            // The more is lost, the better are the copies. 10 ms are easily invented, 60 ms hold three copies.
            let enough = if matches!(ms, 10 | 60) { 5.0 } else { 6.0 };
            for (loss_percent, gain) in [(2, 3.0), (10, enough), (30, enough)] {
                let mut encoder = Encoder::new(16_000);
                encoder.manner(correcting(loss_percent));
                let packets = encoded(&mut encoder, &audio, length);
                let (concealed, corrected) = restored(&packets, 16_000, length);
                assert!(
                    corrected > concealed + gain,
                    "{ms} ms, {loss_percent} %: {concealed:.1} dB, corrected {corrected:.1} dB"
                );
            }
        }
    }

    /// The voice of `tests/media_engine/golden.rs`, two seconds at 16 kHz, by libopus 1.3.1 (for speech, 28 kb/s, constant,
    /// complexity 3, correction against 20 % of loss): packets behind their lengths in two bytes, least first. And what
    /// its decoder makes of each packet after the 21st whose number leaves 3 over sevens, with the next (`decode_fec`).
    const PACKETS: &[u8] = include_bytes!("../../../tests/data/opus/copies.packets");
    const CORRECTED: &[u8] = include_bytes!("../../../tests/data/opus/copies.pcm");

    #[test]
    fn copies_of_libopus_are_read_as_it_reads_them() {
        let (mut rest, mut packets) = (PACKETS, Vec::new());
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (packet, others) = behind.split_at(usize::from(u16::from_le_bytes(*length)));
            packets.push(packet);
            rest = others;
        }
        let theirs: Vec<i16> =
            CORRECTED.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
        let (mut decoder, mut ours) = (Decoder::new(16_000), Vec::new());
        for (at, packet) in packets.iter().enumerate() {
            let mut out = [0; 1920];
            if at > 20 && at % 7 == 3 {
                decoder.conceal(Lost::Correct(packets[at + 1]), &mut out[..320]);
                ours.extend_from_slice(&out[..320]);
            } else {
                decoder.decode(packet, &mut out);
            }
        }
        assert_eq!(ours.len(), theirs.len());
        for (at, (a, b)) in ours.chunks(320).zip(theirs.chunks(320)).enumerate() {
            println!(
                "{at}: {:?} of {:?}",
                a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max(),
                b.iter().max()
            );
        }
        let error: f64 = ours.iter().zip(&theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        let power: f64 = theirs.iter().map(|b| f64::from(*b).powi(2)).sum();
        let ratio = 10.0 * (power / error).log10();
        println!("{ratio:.1} dB");
        assert!(ratio > 30.0, "{ratio:.1} dB");
    }

    #[test]
    fn copies_are_made_while_loss_is_reported_to_who_reads_them_and_has_the_room() {
        let audio = syllables(16_000, 2000);
        let share = |encoder: &mut Encoder, manner: Manner| {
            encoder.manner(manner);
            let packets = encoded(encoder, &audio, 320);
            let most = packets.iter().map(Vec::len).max().unwrap_or(0);
            (packets.iter().filter(|packet| has_copy(packet)).count(), most)
        };
        let mut encoder = Encoder::new(16_000);
        assert_eq!(share(&mut encoder, correcting(0)), (0, 70));
        let (copies, bytes) = share(&mut encoder, correcting(5));
        assert!(copies > 60 && bytes == 100, "{copies} of 100 packets of {bytes} bytes");
        assert_eq!(share(&mut encoder, correcting(0)), (0, 70), "it is over");
        assert_eq!(share(&mut encoder, Manner { fec: false, ..correcting(5) }), (0, 70));
        assert_eq!(share(&mut encoder, Manner { bitrate: 24_000, ..correcting(20) }), (0, 60));
        assert_eq!(share(&mut encoder, Manner { bitrate: 32_000, ..correcting(20) }).1, 80);
    }

    #[test]
    fn an_encoder_that_begins_to_correct_is_heard_on_without_a_break() {
        let audio = syllables(16_000, 4000);
        let (mut encoder, mut decoder) = (Encoder::new(16_000), Decoder::new(16_000));
        let mut heard = Vec::new();
        for (at, frame) in audio.chunks_exact(320).enumerate() {
            encoder.manner(correcting(if at < 103 { 0 } else { 10 }));
            let (mut packet, mut out) = (Vec::new(), [0; 1920]);
            encoder.encode(frame, &mut packet);
            let count = decoder.decode(&packet, &mut out);
            heard.extend_from_slice(&out[..count]);
        }
        // The one syllable that it happens in; 6.5 ms are the codec's own delay.
        let ratios = (101..111).map(|at| {
            let (said, heard) = (&audio[at * 320..][..320], &heard[at * 320 + 104..][..320]);
            let power: f64 = said.iter().map(|a| f64::from(*a).powi(2)).sum();
            let error: f64 =
                said.iter().zip(heard).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            10.0 * (power / error).log10()
        });
        let ratios: Vec<f64> = ratios.collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        assert!(ratios.iter().all(|ratio| *ratio > mean - 3.0), "{ratios:.1?}");
    }

    #[test]
    fn no_rate_length_or_loss_makes_it_fail() {
        let audio = syllables(48_000, 600);
        for rate in [8000, 16_000, 48_000] {
            let audio: Vec<i16> = audio.iter().copied().step_by(48_000 / rate as usize).collect();
            for ms in [10, 20, 40, 60] {
                let length = rate as usize * ms / 1000;
                for bitrate in (8000..44_000).step_by(4000) {
                    for loss_percent in [0, 4, 6, 8, 12, 30, 100] {
                        let mut encoder = Encoder::new(rate);
                        encoder.manner(Manner { bitrate, ..correcting(loss_percent) });
                        let mut decoder = Decoder::new(rate);
                        let (mut power, mut heard) = (0.0, 0.0);
                        for (frame, packet) in
                            audio.chunks_exact(length).zip(encoded(&mut encoder, &audio, length))
                        {
                            let mut out = [0; 5760];
                            let name = format!("{rate} Hz, {ms} ms, {bitrate} b/s, {loss_percent} %");
                            assert_eq!(decoder.decode(&packet, &mut out), length, "{name}");
                            power += frame.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
                            heard += out[..length].iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
                        }
                        let gain = 10.0 * (heard / power).log10();
                        assert!(
                            gain.abs() < 3.0,
                            "{rate} Hz, {ms} ms, {bitrate} b/s, {loss_percent} %: {gain:.1} dB"
                        );
                    }
                }
            }
        }
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
