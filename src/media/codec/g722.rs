//! G.722 at 64 kbit/s (RFC 3551 §4.5.2): thin over the `audio-codec` crate, which does the sub-band coding.
//!
//! *Wide* is the whole codec at 16 kHz. *Narrow* is its lower sub-band alone at 8 kHz, for lines that end in
//! G.711: cheaper, and without a resampler.

use audio_codec::Decoder as _;
use audio_codec::Encoder as _;
use audio_codec::g722::Bitrate;
use audio_codec::g722::G722Decoder;
use audio_codec::g722::G722Encoder;

/// What silence settles to: the smallest positive step of both sub-bands.
pub const SILENCE: u8 = 0xFA;

/// Encodes one line of audio.
pub struct Encoder(G722Encoder);

impl Encoder {
    /// Of 16 kHz audio, two samples a byte.
    pub fn wide() -> Encoder {
        Encoder(G722Encoder::with_options(Bitrate::Mode1_64000, false, false))
    }

    /// Of 8 kHz audio, a sample a byte; the upper sub-band stays silent.
    pub fn narrow() -> Encoder {
        Encoder(G722Encoder::with_options(Bitrate::Mode1_64000, true, false))
    }

    /// Encodes `samples` into `out`, which must be as long as they come to.
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
