//! Conference rooms: what is configured, what can be ordered in one, and how one is shown.

use std::sync::Arc;

use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::RoomId;
use crate::model::id::UserId;
use crate::model::server::Secret;

/// A conference room, `[rooms.<id>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// Shown.
    pub name: Arc<str>,
    /// Extension.
    pub ext: Option<Number>,
    /// Asked of everyone.
    pub pin: Option<Secret>,
    /// Makes its holder moderator.
    pub moderator_pin: Option<Secret>,
    /// People at a time.
    pub max: usize,
    /// Nobody talks before a moderator has come.
    pub wait: bool,
    /// The meeting ends when its last moderator leaves.
    pub ends_with_moderator: bool,
    /// Tones tell that somebody comes or goes.
    pub sounds: bool,
    /// For who is alone or waits; else the company's.
    pub music: Option<MediaId>,
}

/// Supervision of the company's calls, `[supervision]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supervision {
    /// Whoever is listened to hears a short tone when it begins.
    pub beep: bool,
}

/// How a supervisor takes part in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervise {
    /// Hears both and is heard by nobody.
    Listen,
    /// Is heard by the colleague only.
    Whisper,
    /// Is heard by both.
    Barge,
}

impl Supervise {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Supervise::Listen => "listen",
            Supervise::Whisper => "whisper",
            Supervise::Barge => "barge",
        }
    }
}

/// An order to a meeting.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum RoomOrder {
    /// Somebody is no longer heard, or is again.
    Mute {
        /// Who; none is everybody who is no moderator.
        call: Option<CallId>,
        /// No longer.
        muted: bool,
    },
    /// Nobody else is let in, or everybody is again.
    Lock {
        /// Nobody.
        locked: bool,
    },
    /// Somebody must go.
    Kick {
        /// Who.
        call: CallId,
    },
    /// The meeting is over.
    End,
}

/// A room in which somebody is.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RoomView {
    /// Whose.
    pub company: CompanyId,
    /// Which.
    pub room: RoomId,
    /// Shown name.
    pub name: String,
    /// Nobody else is let in.
    pub locked: bool,
    /// A moderator is awaited.
    pub waits: bool,
    /// Seconds since the first came.
    pub age_s: u64,
    /// Who is there, the first first.
    pub attendees: Vec<AttendeeView>,
}

/// Somebody in a meeting.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AttendeeView {
    /// Their call.
    pub call: CallId,
    /// Who, of the company's users.
    pub user: Option<UserId>,
    /// Their number; empty when hidden.
    pub number: String,
    /// Whether they moderate.
    pub moderator: bool,
    /// Whether they are heard by nobody.
    pub muted: bool,
    /// Seconds since they came.
    pub age_s: u64,
}
