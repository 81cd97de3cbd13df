//! Call detail records: one per call, written when it has ended.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::audio::LegAudio;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::QueueId;
use crate::model::id::TrunkId;
use crate::model::id::UserId;

/// Which way a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a trunk.
    In,
    /// To a trunk.
    Out,
    /// Between people of a company.
    Internal,
}

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// Somebody (or a voicemail box, menu or announcement when nobody was asked for) answered.
    Answered,
    /// A message was left.
    Voicemail,
    /// The called party was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Refused: unknown number, barred, no credentials.
    Rejected,
    /// The caller hung up before anybody answered.
    Abandoned,
    /// Something failed.
    Failed,
}

impl CallResult {
    /// As in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            CallResult::Answered => "answered",
            CallResult::Voicemail => "voicemail",
            CallResult::Busy => "busy",
            CallResult::NoAnswer => "no_answer",
            CallResult::Rejected => "rejected",
            CallResult::Abandoned => "abandoned",
            CallResult::Failed => "failed",
        }
    }
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
    /// The flow, a limit, an order or a shutdown.
    System,
}

/// Legs whose audio is kept in a record.
pub const AUDIO_MAX: usize = 16;

/// One ended call.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cdr {
    /// Unique for ever.
    pub id: CallId,
    /// Whose; none when the call was refused before it could be told.
    pub company: Option<CompanyId>,
    /// Which way.
    pub direction: Direction,
    /// The caller's number as it came, also a hidden one that the carrier told; empty when none came.
    pub from: Arc<str>,
    /// The number is hidden: it is for the record and for emergency centres, and shown to nobody else.
    #[serde(default)]
    pub hidden: bool,
    /// The caller's name, when one came.
    pub from_name: Option<Arc<str>>,
    /// The caller's user, when one of ours.
    pub from_user: Option<UserId>,
    /// What was dialled, in normal form.
    pub to: Arc<str>,
    /// Carrier it came from or went to.
    pub trunk: Option<TrunkId>,
    /// INVITE received.
    pub started: Timestamp,
    /// 200 OK sent to the caller.
    pub answered: Option<Timestamp>,
    /// A person answered.
    pub connected: Option<Timestamp>,
    /// Over.
    pub ended: Timestamp,
    /// How it came out.
    pub result: CallResult,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Final SIP status towards the caller, 200 when answered.
    pub status: u16,
    /// Last queue it waited in.
    pub queue: Option<QueueId>,
    /// Milliseconds waited in queues.
    pub wait_ms: Option<u64>,
    /// Who talked with the caller last.
    pub answered_by: Option<UserId>,
    /// Milliseconds talked with people.
    pub talk_ms: u64,
    /// Keys pressed in menus, in order.
    pub keys: String,
    /// Tags set by the flow.
    pub tags: Vec<Arc<str>>,
    /// Steps taken, `flow/step`, in order; at most 100.
    pub path: Vec<Arc<str>>,
    /// Call-ID of the caller's dialog.
    pub sip_call_id: Arc<str>,
    /// Codec towards the caller.
    pub codec: Option<Arc<str>>,
    /// RTP packets received from and sent to the caller.
    pub rtp: (u64, u64),
    /// RTP packets that the caller sent and we did not get.
    pub rtp_lost: u64,
    /// The audio of its legs, in the order in which they ended; at most [`AUDIO_MAX`].
    #[serde(default)]
    pub audio: Vec<LegAudio>,
    /// Files of its recordings, under the data folder, in the order in which they began.
    #[serde(default)]
    pub recordings: Vec<Arc<str>>,
    /// Why some of them cannot be written, or could not for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_trouble: Option<Arc<str>>,
}
