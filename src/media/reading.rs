//! Payloads of any codec as PCM of one rate, for what is written down or looked through: nothing is put in order here, and
//! nothing concealed.

use crate::media::Codec;
use crate::media::codec::Decoder;
use crate::media::codec::MAX_PAYLOAD;
use crate::media::resample::Resampler;

/// Room for any payload as it is decoded and as it is turned into the rate, 160 ms of 16 kHz each.
pub(in crate::media) const SPACE: [i16; 4 * MAX_PAYLOAD] = [0; 4 * MAX_PAYLOAD];

/// Reads one line of payloads, whose codec may change.
#[derive(Default)]
pub(in crate::media) struct Reading {
    decoder: Option<(Codec, Decoder, Option<Resampler>)>,
}

impl Reading {
    /// Decodes a payload to mono samples at `rate`, 8000 or 16 000 hertz, into a part of `space`, of which half is for
    /// either step; none of a malformed one, or one that does not fit.
    pub(in crate::media) fn read<'s>(
        &mut self,
        codec: Codec,
        payload: &[u8],
        rate: u32,
        space: &'s mut [i16],
    ) -> &'s [i16] {
        if self.decoder.as_ref().is_none_or(|(of, ..)| *of != codec) {
            let decoder = Decoder::at(codec, rate);
            let resampler = (decoder.rate() != rate).then(|| Resampler::new(decoder.rate(), rate));
            self.decoder = Some((codec, decoder, resampler));
        }
        let Some((_, decoder, resampler)) = &mut self.decoder else { return &[] };
        let (decoded, turned) = space.split_at_mut(space.len() / 2);
        let count = decoder.decode(payload, decoded);
        let Some(resampler) = resampler else { return &decoded[..count] };
        // An odd sample at the end of a packet has no half to become.
        let Some(turned) = turned.get_mut(..resampler.gives(count)) else { return &[] };
        resampler.process(&decoded[..resampler.needs(turned.len())], turned);
        turned
    }
}
