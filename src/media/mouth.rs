//! What is said into a stream: PCM of any of our rates to payloads of its codec.

use crate::media::Codec;
use crate::media::codec::Encoder;
use crate::media::codec::opus;
use crate::media::resample::Resampler;

/// Turns one line of PCM into payloads.
pub struct Mouth {
    codec: Codec,
    resampler: Option<Resampler>,
    encoder: Encoder,
    /// Room for samples at the encoder's rate.
    space: Vec<i16>,
}

impl Mouth {
    /// Speaks `codec`; is given mono samples at `rate`: 8000, 16 000 or 48 000.
    pub fn new(codec: Codec, rate: u32) -> Mouth {
        let encoder = Encoder::at(codec, rate);
        let own = encoder.rate();
        let resampler = (own != rate).then(|| Resampler::new(rate, own));
        Mouth { codec, resampler, encoder, space: Vec::new() }
    }

    /// What it speaks.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// How to use Opus; of no meaning to other codecs.
    pub fn opus(&mut self, manner: opus::Manner) {
        if let Encoder::Opus(encoder) = &mut self.encoder {
            encoder.manner(manner);
        }
    }

    /// Appends the payload of one packet that carries all of `pcm`: 10, 20, 40 or 60 ms, for other codecs than Opus
    /// any whole number of milliseconds. Appends nothing where the codec's manner is to be silent for this packet.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        let Some(resampler) = &mut self.resampler else { return self.encoder.encode(pcm, out) };
        self.space.resize(resampler.gives(pcm.len()), 0);
        resampler.process(pcm, &mut self.space);
        self.encoder.encode(&self.space, out);
    }
}
