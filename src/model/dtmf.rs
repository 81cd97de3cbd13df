//! How keys travel to and from a device or carrier, as configured.

/// How a device or carrier sends keys, and is sent them. Keys by SIP INFO are taken from everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeysBy {
    /// As telephone-events (RFC 4733) where both have them, else as tones.
    #[default]
    Auto,
    /// As telephone-events; tones in the audio are not looked for.
    Event,
    /// By SIP INFO (`application/dtmf-relay`).
    Info,
    /// As tones in the audio; telephone-events are not offered.
    Tone,
}

impl KeysBy {
    /// Whether telephone-events are offered and taken.
    pub fn events(self) -> bool {
        matches!(self, KeysBy::Auto | KeysBy::Event)
    }

    /// Whether, without telephone-events, keys are looked for in the audio and sent as tones.
    pub fn tones(self) -> bool {
        matches!(self, KeysBy::Auto | KeysBy::Tone)
    }
}
