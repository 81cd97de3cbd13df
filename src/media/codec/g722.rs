//! G.722 at 64 kbit/s (RFC 3551 §4.5.2): thin over the `audio-codec` crate, which does the sub-band coding.
//!
//! *Wide* is the codec's 16 kHz audio. *Narrow* is 8 kHz audio, for lines that end in G.711: its lower sub-band alone.

use audio_codec::Decoder as _;
use audio_codec::Encoder as _;
use audio_codec::g722::Bitrate;
use audio_codec::g722::G722Decoder;
use audio_codec::g722::G722Encoder;

/// A byte that, repeated, decays to silence: the middle of the lower sub-band, the smallest step of the upper.
pub const SILENCE: u8 = 0xFD;

/// Encodes one line of audio.
pub struct Encoder(G722Encoder);

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder(G722Encoder::with_options(Bitrate::Mode1_64000, false, false))
    }
}

impl Encoder {
    /// Encodes 16 kHz audio, two samples a byte, into `out`, which must be half as long.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) {
        let written = self.0.encode_into(samples, out);
        debug_assert_eq!(written.ok(), Some(out.len()), "the caller sized the buffer");
    }
}

/// Decodes one line of payloads.
pub struct Decoder(G722Decoder);

impl Decoder {
    /// To 16 kHz audio, two samples a byte.
    pub fn wide() -> Decoder {
        Decoder(G722Decoder::with_options(Bitrate::Mode1_64000, false, false))
    }

    /// To 8 kHz audio, a sample a byte.
    pub fn narrow() -> Decoder {
        Decoder(G722Decoder::with_options(Bitrate::Mode1_64000, false, true))
    }

    /// Decodes into `out` and tells how many samples it wrote; 0 when `out` is too short.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        self.0.decode_into(payload, out).unwrap_or(0)
    }
}

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
