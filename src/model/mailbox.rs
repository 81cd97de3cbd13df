//! Voicemail boxes and the messages in them.

use std::sync::Arc;
use std::time::Duration;

use crate::model::id::CallId;
use crate::model::id::MailboxKey;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::server::Secret;
use jiff::Timestamp;

/// A voicemail box, shared (felles talepostkasse) or a user's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Mailbox {
    /// Shown.
    pub name: Arc<str>,
    /// Extension: a colleague who calls it leaves a message; who may listen uses the voicemail code.
    pub ext: Option<Number>,
    /// Who may listen.
    pub users: Vec<UserId>,
    /// Gets a mail for each message.
    pub email: Option<Arc<str>>,
    /// With the message itself.
    pub email_audio: bool,
    /// Greeting of the media bank; none plays the system's.
    pub greeting: Option<MediaId>,
    /// 4–8 digits; none means users' own devices listen without.
    pub pin: Option<Secret>,
    /// Messages at most.
    pub max_messages: usize,
    /// Length of a message at most.
    pub max_length: Duration,
    /// Days a message is kept; none is for ever.
    pub keep: Option<Duration>,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// Not heard.
    New,
    /// Heard or saved.
    Saved,
}

/// A message in a box.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Also the name of its WAV file under `voicemail/` in the data folder.
    pub id: Arc<str>,
    /// Where it lies.
    pub mailbox: MailboxKey,
    /// The call that left it.
    pub call: CallId,
    /// Who left it, when known and not hidden.
    pub from: Option<Number>,
    /// When it was left.
    pub at: Timestamp,
    /// Length of the recording in milliseconds.
    pub length_ms: u64,
    /// New or saved.
    pub state: MessageState,
    /// Who of the team sees to it; none is nobody yet.
    #[serde(default)]
    pub handling: Option<Handling>,
}

impl Message {
    /// Whether it lights the lamp: nobody has heard it, and nobody sees to it.
    pub fn is_new(&self) -> bool {
        self.state == MessageState::New && self.handling.is_none()
    }
}

/// How far a team has come with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Somebody sees to it.
    Taken,
    /// It is seen to.
    Done,
}

/// Who sees to a message, or has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Handling {
    /// How far.
    pub progress: Progress,
    /// Who.
    pub by: UserId,
    /// For colleagues.
    pub note: Option<Arc<str>>,
    /// Since when.
    pub at: Timestamp,
}

/// For which callers a greeting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Everybody for whom there is no other.
    NoAnswer,
    /// The user is busy.
    Busy,
    /// The user is away, or is not to be disturbed.
    Away,
    /// Everybody, while it lasts.
    Temporary,
}

impl Occasion {
    /// As in orders and facts.
    pub fn as_str(self) -> &'static str {
        match self {
            Occasion::NoAnswer => "no_answer",
            Occasion::Busy => "busy",
            Occasion::Away => "away",
            Occasion::Temporary => "temporary",
        }
    }
}
