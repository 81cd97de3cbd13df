//! How good a stream sounds, from what is counted: the E-model (ITU-T G.107) by loss, delay and codec, as a mean opinion
//! score. An estimate: nobody has listened.

use crate::media::Codec;

/// What is known of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// Share of packets that did not come, or came too late, 0 to 1.
    pub loss: f32,
    /// From mouth to ear, in milliseconds.
    pub delay_ms: f32,
}

/// The transmission rating R, 0 to 93, of speech in `codec` that came this way.
pub fn rating(codec: Codec, way: Way) -> f32 {
    // G.113 appendix I: what the codec itself costs, and how well concealment bears loss. G.722 and Opus are rated
    // as narrowband would be: the scale has no room above.
    let (cost, robust) = match codec {
        Codec::Pcma | Codec::Pcmu | Codec::L16 => (0.0, 25.1),
        Codec::G722 => (0.0, 20.0),
        Codec::Opus => (2.0, 30.0),
    };
    let percent = way.loss.clamp(0.0, 1.0) * 100.0;
    let equipment = cost + (95.0 - cost) * percent / (percent + robust);
    let late = (way.delay_ms - 177.3).max(0.0);
    let delay = 0.024 * way.delay_ms + 0.11 * late;
    (93.2 - delay - equipment).clamp(0.0, 93.2)
}

/// The mean opinion score of a rating, 1 to 4.5 (G.107 annex B).
pub fn mos(rating: f32) -> f32 {
    let r = rating.clamp(0.0, 100.0);
    1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_recommendation() {
        for (codec, loss, delay_ms, expect) in [
            (Codec::Pcma, 0.0, 0.0, 4.41),
            (Codec::Pcmu, 0.0, 150.0, 4.34),
            (Codec::Pcma, 0.02, 100.0, 4.2),
            (Codec::Pcma, 0.1, 100.0, 3.3),
            (Codec::Pcma, 0.0, 400.0, 3.05),
            (Codec::Opus, 0.02, 100.0, 4.2),
            (Codec::Pcma, 1.0, 0.0, 1.1),
        ] {
            let score = mos(rating(codec, Way { loss, delay_ms }));
            assert!((score - expect).abs() < 0.15, "{codec:?} {loss} {delay_ms}: {score}, not {expect}");
        }
        assert_eq!((mos(0.0), mos(-5.0)), (1.0, 1.0));
    }
}
