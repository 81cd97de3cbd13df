//! A decision as one event of a company's log: numbered without gaps, with a reason code and typed fields.
//!
//! What is counted is counted from these, and `sentral why` tells them. The text of an event (`why`) begins with
//! its reason code and is for people; whatever a program must read is a field. No numbers and names of callers.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::cdr::Direction;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::UserId;

/// One decision.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Event {
    /// Whose.
    pub company: CompanyId,
    /// Rising by one per company, also over restarts: no number is missing and none is given twice.
    pub seq: u64,
    /// When, exact to a microsecond.
    pub at: Timestamp,
    /// About which call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// What: `queue.joined`, `flow.step` …
    pub event: Arc<str>,
    /// Why: a reason code, then words.
    pub why: Arc<str>,
    /// What programs read.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields,
}

impl Event {
    /// The reason code: the first word of `why`, without punctuation.
    pub fn code(&self) -> &str {
        let word = self.why.split_whitespace().next().unwrap_or_default();
        word.trim_end_matches([':', ',', ';'])
    }
}

/// What is known of an event besides its text; each field is there when it has a meaning for the event.
///
/// A further field is one more `Option` here: old rows of the log read as `None`. Fill the fields where the decision
/// is made, with `..Fields::default()` for the rest: `Switch::decide_with`, `Queues::tell_with`, `Stage::tell_with`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Fields {
    /// Queue or ring group.
    #[serde(skip_serializing_if = "Option::is_none", with = "line_as_text")]
    pub line: Option<LineId>,
    /// Agent or other user whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<UserId>,
    /// `flow/step`, or another place of a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Arc<str>>,
    /// The step is reached, by this event for the first time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub entered: bool,
    /// Key pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<char>,
    /// A number of the company that was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Number>,
    /// Which way the call goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// How it came out, as one word: `answered`, `timeout`, `no_answer` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<str>>,
    /// Who did it: `caller`, `callee`, `system`; `code`, `cli`, `auto` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// Address and port where audio came from that is not heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Arc<str>>,
    /// What was agreed on instead: the description's address and port, or the codec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Arc<str>>,
    /// Place in the queue, 1 first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// Milliseconds waited in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Milliseconds talked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talk_ms: Option<u64>,
    /// Milliseconds rung.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_ms: Option<u64>,
    /// The line's service level at that moment: answered within these milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ms: Option<u64>,
    /// File under the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// Milliseconds of a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
    /// Agents of the line who were not offered the caller at that moment; at most [`PASSED_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Passed>,
}

impl Fields {
    /// Whether no field is there.
    pub fn is_empty(&self) -> bool {
        *self == Fields::default()
    }

    /// The fields of an event about a line.
    pub fn of_line(line: LineId) -> Fields {
        Fields { line: Some(line), ..Fields::default() }
    }
}

/// Agents named at most in one event as not offered.
pub const PASSED_MAX: usize = 50;

/// An agent who was not offered a caller.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Passed {
    /// Who.
    pub agent: UserId,
    /// Reason code: `logged_out`, `unreachable`, `paused`, `busy`, `wrap_up`, `tried_lately`, `later_tier` …
    pub why: Arc<str>,
}

/// A line as people write it (`queue:salg`), which is short in the log.
pub(crate) mod line_as_text {
    use serde::Deserialize as _;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error as _;

    use crate::model::id::LineId;

    pub(crate) fn serialize<S: Serializer>(line: &Option<LineId>, to: S) -> Result<S::Ok, S::Error> {
        match line {
            Some(line) => to.collect_str(line),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LineId>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let line = match text.split_once(':') {
            Some(("queue", id)) => LineId::Queue(id.into()),
            Some(("group", id)) => LineId::Group(id.into()),
            Some(_) | None => return Err(D::Error::custom("a line is queue:<id> or group:<id>")),
        };
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::NodeId;

    #[test]
    fn an_event_reads_back_and_leaves_out_what_it_lacks() {
        let event = Event {
            company: "fjord".into(),
            seq: 7,
            at: Timestamp::from_microsecond(1_789_000_000_123_456).unwrap(),
            call: Some(CallId { node: NodeId(0), seq: 5 }),
            event: "queue.refused".into(),
            why: "no_answer: kari".into(),
            fields: Fields {
                agent: Some("kari".into()),
                ring_ms: Some(30_000),
                passed: vec![Passed { agent: "ola".into(), why: "paused".into() }],
                ..Fields::of_line(LineId::Queue("salg".into()))
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""line":"queue:salg""#) && !text.contains("talk_ms"), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        assert_eq!(event.code(), "no_answer");
        let bare = Event { fields: Fields::default(), ..event };
        assert!(!serde_json::to_string(&bare).unwrap().contains("fields"));
    }
}
