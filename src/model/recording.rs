//! Recording of calls as configured, and a finished or running recording as it is kept. Who decides is
//! `switch::call_recording`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::UserId;

/// What the recording of a call becomes: two channels, one for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileForm {
    /// WAV with 16-bit samples.
    #[default]
    Wav,
    /// Opus in Ogg (RFC 7845).
    Opus,
}

impl FileForm {
    /// Of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            FileForm::Wav => "wav",
            FileForm::Opus => "opus",
        }
    }
}

/// Whether calls are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recording {
    /// Never, but by order of the operator.
    #[default]
    Off,
    /// When somebody of ours wants it, by keys or by the phone's record key.
    OnDemand,
    /// Those whose caller has said yes to it in a `consent` step.
    Consent,
    /// From the moment at which a person talks with the caller.
    Always,
}

/// `[recordings]` of the server, overridden by a company's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recordings {
    /// How long they are kept; none is for ever.
    pub keep: Option<Duration>,
    /// What they become.
    pub form: FileForm,
    /// Both parties are told before one begins, unless the caller has consented.
    pub announce: bool,
    /// What they are told, else the system's announcement.
    pub announcement: Option<MediaId>,
    /// Calls with these numbers are private: they are never recorded.
    pub private: Vec<Number>,
}

impl Default for Recordings {
    fn default() -> Recordings {
        Recordings {
            keep: Some(Duration::from_secs(90 * 86_400)),
            form: FileForm::Wav,
            announce: true,
            announcement: None,
            private: Vec::new(),
        }
    }
}

/// A recording of a call. Its file tells of nobody: who talked stands here and in the call's record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordingView {
    /// Unique for ever.
    pub id: Arc<str>,
    /// Whose.
    pub company: CompanyId,
    /// The call in which it began.
    pub call: CallId,
    /// When.
    pub at: Timestamp,
    /// File under the data folder.
    pub file: Arc<str>,
    /// Milliseconds; none while it runs, or when the process died meanwhile.
    pub length_ms: Option<u64>,
    /// The queue or ring group that gave the caller, if one did.
    #[serde(default, with = "crate::model::event::line_as_text", skip_serializing_if = "Option::is_none")]
    pub line: Option<LineId>,
    /// Who talked with the caller when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}
