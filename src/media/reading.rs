//! Payloads of any codec as PCM of one rate, for what is written down: nothing is put in order here, and nothing concealed.

use crate::media::Codec;
use crate::media::codec::Decoder;
use crate::media::codec::MAX_PAYLOAD;
use crate::media::resample::Resampler;

/// Room for a payload as it is decoded and as it is turned into the rate, 160 ms of 16 kHz each.
pub(in crate::media) type Space = [i16; 4 * MAX_PAYLOAD];

/// Room before it is used.
pub(in crate::media) const SPACE: Space = [0; 4 * MAX_PAYLOAD];

/// Reads one line of payloads, whose codec may change.
#[derive(Default)]
pub(in crate::media) struct Reading {
    decoder: Option<(Codec, Decoder, Option<Resampler>)>,
}

impl Reading {
    /// Decodes a payload to mono samples at `rate`, 8000 or 16 000 hertz, into a part of `space`; none of a malformed one.
    pub(in crate::media) fn read<'s>(
        &mut self,
        codec: Codec,
        payload: &[u8],
        rate: u32,
        space: &'s mut Space,
    ) -> &'s [i16] {
        if self.decoder.as_ref().is_none_or(|(of, ..)| *of != codec) {
            let decoder = Decoder::at(codec, rate);
            let resampler = (decoder.rate() != rate).then(|| Resampler::new(decoder.rate(), rate));
            self.decoder = Some((codec, decoder, resampler));
        }
        let Some((_, decoder, resampler)) = &mut self.decoder else { return &[] };
        let (decoded, turned) = space.split_at_mut(2 * MAX_PAYLOAD);
        let count = decoder.decode(payload, decoded);
        let Some(resampler) = resampler else { return &decoded[..count] };
        // An odd sample at the end of a packet has no half to become.
        let turned = &mut turned[..resampler.gives(count)];
        resampler.process(&decoded[..resampler.needs(turned.len())], turned);
        turned
    }
}
