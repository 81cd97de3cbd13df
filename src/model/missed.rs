//! The team's call-back list: callers of queues whom nobody has answered, one item a number.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::UserId;

/// Calls of one number that nobody has answered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Missed {
    /// Names it in its company: the number, or `hidden` for all that hide theirs.
    pub id: Arc<str>,
    /// Whose.
    pub company: CompanyId,
    /// To be called back; none when it is hidden.
    pub number: Option<Number>,
    /// Shown name, when known.
    pub name: Option<Arc<str>>,
    /// Where the last one waited.
    pub line: LineId,
    /// What became of the last one: `abandoned`, `timeout`, `full`, `nobody` …
    pub why: Arc<str>,
    /// How many.
    pub count: u32,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// Who sees to it.
    pub taken: Option<UserId>,
    /// For colleagues.
    pub note: Option<Arc<str>>,
}
