//! How the audio of one leg of a call went: in `sentral calls` while it is up, in the call's record afterwards.

use std::sync::Arc;

/// Which side of a call a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
}

impl Side {
    /// As in events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Caller => "caller",
            Side::Callee => "callee",
        }
    }
}

/// One-way audio, by who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing comes from this side although it should.
    NothingReceived,
    /// This side reports that nothing of what we send arrives.
    NothingArrives,
    /// Its audio comes from an address that neither its description nor ICE names.
    WrongSource,
    /// What comes from this side is not protected by the agreed keys.
    CannotDecrypt,
    /// What comes from this side is not in the agreed format.
    WrongFormat,
    /// DTLS has brought no keys with this side.
    NoKeys,
}

impl Fault {
    /// As a reason code.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::NothingReceived => "nothing_received",
            Fault::NothingArrives => "nothing_arrives",
            Fault::WrongSource => "wrong_source",
            Fault::CannotDecrypt => "cannot_decrypt",
            Fault::WrongFormat => "wrong_format",
            Fault::NoKeys => "no_keys",
        }
    }
}

/// The audio of one leg, as we see it: *received* is from this side, *sent* is to it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LegAudio {
    /// Which side.
    pub side: Side,
    /// The user, or `trunk <id>`; empty when neither is known.
    pub party: Arc<str>,
    /// Codec with this side.
    pub codec: Arc<str>,
    /// Codec of the other side, where what it says is converted for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted_from: Option<Arc<str>>,
    /// Our RTP port.
    pub port: u16,
    /// Address and port that its packets come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Arc<str>>,
    /// RTP packets received and used.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets that it sent and we did not get.
    pub lost: u64,
    /// Packets that came and were of no use: malformed, forged, doubled, late, of a stranger.
    pub dropped: u64,
    /// Jitter of what comes, in microseconds.
    pub jitter_us: u32,
    /// Round trip in microseconds, when it answers with RTCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
    /// What it reported as lost of what we send, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_loss_percent: Option<u8>,
    /// Estimated mean opinion score of what comes, 1 to 4.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mos: Option<f32>,
    /// One-way audio at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The fault in words: who, what was seen, and what to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_text: Option<Arc<str>>,
}

impl LegAudio {
    /// Share of the packets from this side that were lost, 0 to 1.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / (self.received + self.lost).max(1) as f64
    }
}
