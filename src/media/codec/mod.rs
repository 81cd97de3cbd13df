//! The codecs: their facts, encoders and decoders, and turning one codec's packet into another's.
//!
//! Every codec here carries 8 bytes a millisecond on an 8 kHz RTP clock (RFC 3551 §4.5.2, §4.5.14), which is
//! what makes a payload of one as long as that of another. Opus is left out: it needs workers of its own.

pub mod g711;
pub mod g722;

use crate::media::Codec;

/// Bytes of payload, and also units of the RTP clock, in a millisecond: the same for every codec.
pub const BYTES_PER_MS: usize = 8;

/// The longest audio payload that is accepted: 120 ms. Longer packets are dropped as malformed.
pub const MAX_PAYLOAD: usize = 120 * BYTES_PER_MS;

impl Codec {
    /// Every codec.
    pub const ALL: [Codec; 3] = [Codec::Pcma, Codec::Pcmu, Codec::G722];

    /// Its encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
            Codec::G722 => "G722",
        }
    }

    /// Its static payload type (RFC 3551 §6).
    pub fn static_payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
            Codec::G722 => 9,
        }
    }

    /// RTP clock in hertz: 8000 for all, G.722 by the error that RFC 3551 §4.5.2 keeps.
    pub fn clock_rate(self) -> u32 {
        8000
    }

    /// Sample rate of its audio in hertz.
    pub fn sample_rate(self) -> u32 {
        match self {
            Codec::Pcma | Codec::Pcmu => 8000,
            Codec::G722 => 16_000,
        }
    }

    /// Samples of audio in one byte of payload.
    pub fn samples_per_byte(self) -> usize {
        match self {
            Codec::Pcma | Codec::Pcmu => 1,
            Codec::G722 => 2,
        }
    }

    /// The payload byte that, repeated, is silence.
    pub fn silence(self) -> u8 {
        match self {
            Codec::Pcma => g711::ALAW_SILENCE,
            Codec::Pcmu => g711::ULAW_SILENCE,
            Codec::G722 => g722::SILENCE,
        }
    }
}

/// Encodes one continuous line of audio.
pub enum Encoder {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
    /// G.722, with its adaptive state.
    G722(Box<g722::Encoder>),
}

impl Encoder {
    /// An encoder of audio at the codec's own sample rate.
    pub fn new(codec: Codec) -> Encoder {
        match codec {
            Codec::Pcma => Encoder::Pcma,
            Codec::Pcmu => Encoder::Pcmu,
            Codec::G722 => Encoder::G722(Box::default()),
        }
    }

    /// Encodes mono samples (an even number for G.722) and appends the payload to `out`.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        match self {
            Encoder::Pcma => out.extend(samples.iter().map(|s| g711::encode_alaw(*s))),
            Encoder::Pcmu => out.extend(samples.iter().map(|s| g711::encode_ulaw(*s))),
            Encoder::G722(encoder) => {
                let at = out.len();
                out.resize(at + samples.len() / 2, 0);
                encoder.encode(&samples[..samples.len() & !1], &mut out[at..]);
            }
        }
    }
}

/// Decodes one continuous line of payloads.
pub enum Decoder {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
    /// G.722, with its adaptive state.
    G722(Box<g722::Decoder>),
}

impl Decoder {
    /// A decoder to the codec's own sample rate.
    pub fn new(codec: Codec) -> Decoder {
        match codec {
            Codec::Pcma => Decoder::Pcma,
            Codec::Pcmu => Decoder::Pcmu,
            Codec::G722 => Decoder::G722(Box::new(g722::Decoder::wide())),
        }
    }

    /// Decodes into `out`, which must hold [`Codec::samples_per_byte`] samples for each byte; tells how many
    /// samples it wrote.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Decoder::Pcma => each(payload, out, g711::decode_alaw),
            Decoder::Pcmu => each(payload, out, g711::decode_ulaw),
            Decoder::G722(decoder) => decoder.decode(payload, out),
        }
    }
}

fn each(payload: &[u8], out: &mut [i16], decode: fn(u8) -> i16) -> usize {
    for (sample, byte) in out.iter_mut().zip(payload) {
        *sample = decode(*byte);
    }
    payload.len().min(out.len())
}

/// Turns payloads of one codec into those of another, packet by packet.
///
/// Between G.711 and G.722 only the band below 4 kHz crosses.
pub struct Converter {
    from: Codec,
    to: Codec,
    step: Step,
}

enum Step {
    AlawToUlaw,
    UlawToAlaw,
    FromG722(Box<g722::Decoder>, fn(i16) -> u8),
    ToG722(fn(u8) -> i16, Box<g722::Encoder>),
}

impl Converter {
    /// A converter; `None` when the codecs are equal and payloads pass as they are.
    pub fn new(from: Codec, to: Codec) -> Option<Converter> {
        let step = match (from, to) {
            (Codec::Pcma, Codec::Pcmu) => Step::AlawToUlaw,
            (Codec::Pcmu, Codec::Pcma) => Step::UlawToAlaw,
            (Codec::G722, Codec::Pcma) => {
                Step::FromG722(Box::new(g722::Decoder::narrow()), g711::encode_alaw)
            }
            (Codec::G722, Codec::Pcmu) => {
                Step::FromG722(Box::new(g722::Decoder::narrow()), g711::encode_ulaw)
            }
            (Codec::Pcma, Codec::G722) => Step::ToG722(g711::decode_alaw, Box::default()),
            (Codec::Pcmu, Codec::G722) => Step::ToG722(g711::decode_ulaw, Box::default()),
            (Codec::Pcma, Codec::Pcma) | (Codec::Pcmu, Codec::Pcmu) | (Codec::G722, Codec::G722) => {
                return None;
            }
        };
        Some(Converter { from, to, step })
    }

    /// Whether it is for these two.
    pub fn is(&self, from: Codec, to: Codec) -> bool {
        self.from == from && self.to == to
    }

    /// Converts in place; the length stays. At most [`MAX_PAYLOAD`] bytes, the rest is left as it is.
    pub fn convert(&mut self, payload: &mut [u8]) {
        let mut samples = [0i16; MAX_PAYLOAD];
        let count = payload.len().min(MAX_PAYLOAD);
        let (payload, samples) = (&mut payload[..count], &mut samples[..count]);
        match &mut self.step {
            Step::AlawToUlaw => payload.iter_mut().for_each(|b| *b = g711::alaw_to_ulaw(*b)),
            Step::UlawToAlaw => payload.iter_mut().for_each(|b| *b = g711::ulaw_to_alaw(*b)),
            Step::FromG722(decoder, encode) => {
                decoder.decode(payload, samples);
                for (byte, sample) in payload.iter_mut().zip(samples) {
                    *byte = encode(*sample);
                }
            }
            Step::ToG722(decode, encoder) => {
                for (sample, byte) in samples.iter_mut().zip(&*payload) {
                    *sample = decode(*byte);
                }
                encoder.encode_narrow(samples, payload);
            }
        }
    }
}
