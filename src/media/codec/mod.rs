//! The codecs: their facts, encoders and decoders, and turning one codec's packet into another's.
//!
//! G.711 and G.722 carry 8 bytes a millisecond on an 8 kHz RTP clock (RFC 3551 §4.5.2, §4.5.14), which is what makes any
//! run of a clip's bytes a packet; they are called *bytewise*. Opus and L16 have clocks and lengths of their own.

pub mod g711;
pub mod g722;
pub mod opus;

use crate::media::Codec;
pub use crate::media::codec::opus::Lost;

/// Bytes of payload, and also units of the RTP clock, in a millisecond of a bytewise codec.
pub const BYTES_PER_MS: usize = 8;

/// The longest audio payload that is accepted: 40 ms of L16, 120 ms of a bytewise codec. Longer ones are malformed.
pub const MAX_PAYLOAD: usize = 1280;

/// The longest packet that is accepted, in milliseconds.
pub const MAX_MS: usize = 120;

impl Codec {
    /// Every codec.
    pub const ALL: [Codec; 5] = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus, Codec::L16];

    /// Those whose payload is 8 bytes a millisecond on a clock of 8 kHz.
    pub const BYTEWISE: [Codec; 3] = [Codec::Pcma, Codec::Pcmu, Codec::G722];

    /// Its encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
            Codec::L16 => "L16",
        }
    }

    /// The payload type that we offer it by: its static one (RFC 3551 §6), else one of the dynamic range.
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
            Codec::G722 => 9,
            Codec::Opus => 111,
            Codec::L16 => 118,
        }
    }

    /// RTP clock in hertz: that of G.722 is half of its rate, by the error that RFC 3551 §4.5.2 keeps.
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Pcma | Codec::Pcmu | Codec::G722 => 8000,
            Codec::Opus => 48_000,
            Codec::L16 => 16_000,
        }
    }

    /// Units of the RTP clock in a millisecond.
    pub fn units_per_ms(self) -> u32 {
        self.clock_rate() / 1000
    }

    /// Sample rate of its audio in hertz; Opus can also be had at 8 and 16 kHz.
    pub fn sample_rate(self) -> u32 {
        match self {
            Codec::Pcma | Codec::Pcmu => 8000,
            Codec::G722 | Codec::L16 => 16_000,
            Codec::Opus => 48_000,
        }
    }

    /// Whether any run of `8 × n` bytes of it is `n` milliseconds.
    pub fn is_bytewise(self) -> bool {
        Codec::BYTEWISE.contains(&self)
    }

    /// Samples of audio in one byte of a bytewise codec's payload; 1 for the others.
    pub fn samples_per_byte(self) -> usize {
        if self == Codec::G722 { 2 } else { 1 }
    }

    /// How long a payload lasts, in units of the RTP clock; `None` for what is malformed, empty, or longer than
    /// [`MAX_MS`] or [`MAX_PAYLOAD`].
    pub fn units(self, payload: &[u8]) -> Option<u32> {
        let units = match self {
            Codec::Pcma | Codec::Pcmu | Codec::G722 => payload.len() as u32,
            Codec::L16 if payload.len() % 2 != 0 => return None,
            Codec::L16 => payload.len() as u32 / 2,
            Codec::Opus => opus::units(payload)?,
        };
        let fits = units > 0 && units <= MAX_MS as u32 * self.units_per_ms() && payload.len() <= MAX_PAYLOAD;
        fits.then_some(units)
    }

    /// The payload byte of a bytewise codec that, repeated, is silence; 0 for the others.
    pub fn silence(self) -> u8 {
        match self {
            Codec::Pcma => g711::ALAW_SILENCE,
            Codec::Pcmu => g711::ULAW_SILENCE,
            Codec::G722 => g722::SILENCE,
            Codec::Opus | Codec::L16 => 0,
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
    /// Opus.
    Opus(Box<opus::Encoder>),
    /// Linear, in network order (RFC 3551 §4.5.11).
    L16,
}

impl Encoder {
    /// An encoder of audio at the codec's own sample rate.
    pub fn new(codec: Codec) -> Encoder {
        Encoder::at(codec, codec.sample_rate())
    }

    /// An encoder of audio at the rate nearest to `rate` that the codec itself can take; [`Encoder::rate`] tells it.
    pub fn at(codec: Codec, rate: u32) -> Encoder {
        match codec {
            Codec::Pcma => Encoder::Pcma,
            Codec::Pcmu => Encoder::Pcmu,
            Codec::G722 => Encoder::G722(Box::default()),
            Codec::Opus => Encoder::Opus(Box::new(opus::Encoder::new(rate))),
            Codec::L16 => Encoder::L16,
        }
    }

    /// Samples a second that it takes.
    pub fn rate(&self) -> u32 {
        match self {
            Encoder::Pcma | Encoder::Pcmu => 8000,
            Encoder::G722(_) | Encoder::L16 => 16_000,
            Encoder::Opus(encoder) => encoder.rate(),
        }
    }

    /// Encodes mono samples (an even number for G.722, one frame for Opus) and appends the payload to `out`.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        match self {
            Encoder::Pcma => out.extend(samples.iter().map(|s| g711::encode_alaw(*s))),
            Encoder::Pcmu => out.extend(samples.iter().map(|s| g711::encode_ulaw(*s))),
            Encoder::G722(encoder) => {
                let at = out.len();
                out.resize(at + samples.len() / 2, 0);
                encoder.encode(&samples[..samples.len() & !1], &mut out[at..]);
            }
            Encoder::Opus(encoder) => encoder.encode(samples, out),
            Encoder::L16 => out.extend(samples.iter().flat_map(|s| s.to_be_bytes())),
        }
    }
}

/// Decodes one continuous line of payloads.
pub enum Decoder {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
    /// G.722, with its adaptive state, and its rate.
    G722(Box<g722::Decoder>, u32),
    /// Opus.
    Opus(Box<opus::Decoder>),
    /// Linear, in network order (RFC 3551 §4.5.11).
    L16,
}

impl Decoder {
    /// A decoder to the codec's own sample rate.
    pub fn new(codec: Codec) -> Decoder {
        Decoder::at(codec, codec.sample_rate())
    }

    /// A decoder to the rate nearest to `rate` that the codec itself can give; [`Decoder::rate`] tells it.
    pub fn at(codec: Codec, rate: u32) -> Decoder {
        match codec {
            Codec::Pcma => Decoder::Pcma,
            Codec::Pcmu => Decoder::Pcmu,
            Codec::G722 if rate == 8000 => Decoder::G722(Box::new(g722::Decoder::narrow()), 8000),
            Codec::G722 => Decoder::G722(Box::new(g722::Decoder::wide()), 16_000),
            Codec::Opus => Decoder::Opus(Box::new(opus::Decoder::new(rate))),
            Codec::L16 => Decoder::L16,
        }
    }

    /// Samples a second that it gives.
    pub fn rate(&self) -> u32 {
        match self {
            Decoder::Pcma | Decoder::Pcmu => 8000,
            Decoder::L16 => 16_000,
            Decoder::G722(_, rate) => *rate,
            Decoder::Opus(decoder) => decoder.rate(),
        }
    }

    /// Decodes into `out` and tells how many samples it wrote: at most [`MAX_MS`] at its rate; 0 when the payload is
    /// malformed or `out` is too short.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Decoder::Pcma => each(payload, out, g711::decode_alaw),
            Decoder::Pcmu => each(payload, out, g711::decode_ulaw),
            Decoder::G722(decoder, _) => decoder.decode(payload, out),
            Decoder::Opus(decoder) => decoder.decode(payload, out),
            Decoder::L16 => {
                let pairs = payload.chunks_exact(2);
                let count = pairs.len().min(out.len());
                for (sample, pair) in out.iter_mut().zip(pairs) {
                    *sample = i16::from_be_bytes([pair[0], pair[1]]);
                }
                count
            }
        }
    }
}

fn each(payload: &[u8], out: &mut [i16], decode: fn(u8) -> i16) -> usize {
    for (sample, byte) in out.iter_mut().zip(payload) {
        *sample = decode(*byte);
    }
    payload.len().min(out.len())
}

/// Turns the payloads of one G.711 law into those of the other, byte by byte: what can be done on arrival, without
/// a clock. What other codecs need is an [`crate::media::ear::Ear`] and a [`crate::media::mouth::Mouth`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converter {
    /// A-law to µ-law.
    AlawToUlaw,
    /// µ-law to A-law.
    UlawToAlaw,
}

impl Converter {
    /// A converter; `None` when the codecs are equal, or are not both G.711.
    pub fn new(from: Codec, to: Codec) -> Option<Converter> {
        match (from, to) {
            (Codec::Pcma, Codec::Pcmu) => Some(Converter::AlawToUlaw),
            (Codec::Pcmu, Codec::Pcma) => Some(Converter::UlawToAlaw),
            _ => None,
        }
    }

    /// Whether payloads of one can be passed on arrival to who hears the other.
    pub fn passes(from: Codec, to: Codec) -> bool {
        from == to || Converter::new(from, to).is_some()
    }

    /// Converts in place; the length stays.
    pub fn convert(self, payload: &mut [u8]) {
        let table = match self {
            Converter::AlawToUlaw => g711::alaw_to_ulaw,
            Converter::UlawToAlaw => g711::ulaw_to_alaw,
        };
        payload.iter_mut().for_each(|byte| *byte = table(*byte));
    }
}
