//! Music under an announcement: turned down rather than stopped, and up again behind it.
//!
//! What is sent is copied as it lies in the bank while only one of the two sounds; only where both do are they decoded,
//! added and encoded. So it costs nothing but during an announcement and for a moment after it.

use crate::media::Codec;
use crate::media::codec::Decoder;
use crate::media::codec::Encoder;
use crate::media::codec::MAX_PAYLOAD;

/// Music under an announcement: −15 dB.
const UNDER: f32 = 0.178;

/// Milliseconds in which it goes down, and comes back.
const DOWN_MS: f32 = 120.0;
const UP_MS: f32 = 600.0;

/// Music that is, or has just been, under an announcement.
pub struct Duck {
    codec: Codec,
    gain: f32,
    music: Decoder,
    speech: Decoder,
    encoder: Encoder,
    /// Room for a packet.
    encoded: Vec<u8>,
}

impl Duck {
    /// Music at its full loudness, in a codec whose bytes lie in the bank.
    pub fn new(codec: Codec) -> Duck {
        Duck {
            codec,
            gain: 1.0,
            music: Decoder::new(codec),
            speech: Decoder::new(codec),
            encoder: Encoder::new(codec),
            encoded: Vec::with_capacity(MAX_PAYLOAD),
        }
    }

    /// Whether it is for this codec.
    pub fn is(&self, codec: Codec) -> bool {
        self.codec == codec
    }

    /// Adds music to a packet that holds an announcement; with `under` it stays down or goes there, else it comes back.
    /// `false`: the music is as loud as it was, and needs no help from the next packet on.
    pub fn blend(&mut self, music: &[u8], packet: &mut [u8], under: bool) -> bool {
        let per_byte = self.codec.samples_per_byte();
        let count = packet.len() * per_byte;
        let (mut low, mut high) = ([0i16; 2 * MAX_PAYLOAD], [0i16; 2 * MAX_PAYLOAD]);
        let (low, high) = (&mut low[..count], &mut high[..count]);
        self.music.decode(music, low);
        self.speech.decode(packet, high);
        let per_sample_ms = 1000.0 / self.codec.sample_rate() as f32;
        let (target, step) = match under {
            true => (UNDER, -(1.0 - UNDER) * per_sample_ms / DOWN_MS),
            false => (1.0, (1.0 - UNDER) * per_sample_ms / UP_MS),
        };
        for (sample, music) in high.iter_mut().zip(&*low) {
            let next = self.gain + step;
            self.gain = if under { next.max(target) } else { next.min(target) };
            *sample = sample.saturating_add((f32::from(*music) * self.gain) as i16);
        }
        self.encoded.clear();
        self.encoder.encode(high, &mut self.encoded);
        packet.copy_from_slice(&self.encoded);
        self.gain < 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean magnitude of what is heard at the end of so many packets.
    fn heard(
        duck: &mut Duck,
        (encoder, decoder): (&mut Encoder, &mut Decoder),
        packets: usize,
        under: bool,
    ) -> (i32, bool) {
        let codec = duck.codec;
        let samples: Vec<i16> = (0..160 * codec.samples_per_byte())
            .map(|at| if (at / (4 * codec.samples_per_byte())).is_multiple_of(2) { 8000 } else { -8000 })
            .collect();
        let (mut level, mut more) = (0, true);
        for _ in 0..packets {
            let mut music = Vec::new();
            encoder.encode(&samples, &mut music);
            let mut packet = vec![codec.silence(); 160];
            more = duck.blend(&music, &mut packet, under);
            let mut out = vec![0i16; samples.len()];
            decoder.decode(&packet, &mut out);
            level = out.iter().map(|sample| i32::from(sample.unsigned_abs())).sum::<i32>() / out.len() as i32;
        }
        (level, more)
    }

    #[test]
    fn music_goes_down_by_fifteen_decibels_and_comes_back_smoothly() {
        for codec in [Codec::Pcma, Codec::Pcmu, Codec::G722] {
            let (mut duck, mut encoder, mut decoder) =
                (Duck::new(codec), Encoder::new(codec), Decoder::new(codec));
            let mut heard = |packets, under| heard(&mut duck, (&mut encoder, &mut decoder), packets, under);
            let (before, _) = heard(1, false);
            let (falling, _) = heard(2, true);
            let (under, more) = heard(20, true);
            let decibels = 20.0 * (f64::from(under) / 8000.0).log10();
            assert!(falling < 8000 && falling > under + 500, "{codec:?}: {before} {falling} {under}");
            assert!((-16.5..-13.5).contains(&decibels) && more, "{codec:?}: {decibels} dB");
            let (rising, more) = heard(5, false);
            assert!(rising > under && rising < 4000 && more, "{codec:?}: {rising}");
            let (back, more) = heard(40, false);
            assert!(back > 6500 && !more, "{codec:?}: {back}");
        }
    }
}
