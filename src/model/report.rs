//! Questions about what has been, and their answers: reports, why a call went as it did, why a user is not rung.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::model::figures::Figures;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::UserId;
use crate::model::server::Language;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Queues and ring groups.
    Queue,
    /// Agents and other users.
    User,
    /// Numbers that were called.
    Number,
    /// Steps of flows, and keys.
    Menu,
    /// One row for each caller who hung up while waiting.
    Abandoned,
}

/// How a report is divided by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// By hours of sixty minutes; a day of the clock change has 23 or 25.
    Hour,
    /// By days from midnight to midnight.
    Day,
    /// By weeks from Monday.
    Week,
    /// By months.
    Month,
}

/// A report that is asked for. Times are those of the company's zone.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReportAsk {
    /// About what.
    pub subject: Subject,
    /// Whose; may be left out where there is only one.
    pub company: Option<CompanyId>,
    /// Only of this one: `salg`, `group:lager`, `kari`, `+4736000100`, `hoved` or `hoved/meny`.
    pub id: Option<Arc<str>>,
    /// From then; from this midnight when none.
    pub from: Option<DateTime>,
    /// Until just before then; until now when none.
    pub to: Option<DateTime>,
    /// Divided so; in one piece when none.
    pub by: Option<Every>,
}

/// A piece of time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Period {
    /// As people call it: `2027-03-28`, `2027-03-28 02:00+02`, `2027-W13`, `2027-03`.
    pub name: String,
    /// From then.
    pub from: Timestamp,
    /// Until just before then.
    pub to: Timestamp,
}

/// A report that may be made: what was asked for is there, and the times are cut.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// About what.
    pub subject: Subject,
    /// Whose.
    pub company: CompanyId,
    /// The company's zone.
    pub zone: Arc<str>,
    /// The company's language: of the definitions.
    pub language: Language,
    /// Only of this one.
    pub id: Option<Arc<str>>,
    /// In order, without gaps.
    pub periods: Vec<Period>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// What was asked for, as understood.
    pub subject: Subject,
    /// Whose.
    pub company: CompanyId,
    /// The zone of its times.
    pub zone: Arc<str>,
    /// What the words mean.
    pub definitions: Vec<(String, String)>,
    /// By period; only what was asked for.
    pub rows: Vec<ReportRow>,
    /// For [`Subject::Abandoned`]: the callers, oldest first.
    pub abandoned: Vec<AbandonedCall>,
}

/// The figures of a period.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReportRow {
    /// When.
    pub period: Period,
    /// What.
    pub figures: Figures,
}

/// A caller who hung up while waiting.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AbandonedCall {
    /// When they hung up.
    pub at: Timestamp,
    /// Which queue or group.
    pub line: String,
    /// The call; `sentral why` tells all of it.
    pub call: Option<CallId>,
    /// Their number, when known and not hidden.
    pub from: Option<String>,
    /// Milliseconds waited.
    pub wait_ms: u64,
    /// Less than five seconds.
    pub short: bool,
}

/// Why a call went as it did.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WhyAsk {
    /// Which call.
    pub call: CallId,
    /// In which language.
    pub language: Language,
}

/// One decision about a call, told.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WhyLine {
    /// When.
    pub at: Timestamp,
    /// Number in the company's log.
    pub seq: u64,
    /// `queue.joined` …
    pub event: Arc<str>,
    /// Reason code.
    pub code: String,
    /// In words.
    pub text: String,
}

/// Why a user is not rung.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WhyNotAsk {
    /// Who: `kari`, or `fjord/kari` where several companies have one of that name.
    pub user: UserId,
    /// Whose; may be left out where only one company has such a user.
    pub company: Option<CompanyId>,
    /// By this queue or group; by each that lists them when none.
    pub line: Option<LineId>,
    /// In which language.
    pub language: Language,
}

/// What was found about a user and a line.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WhyNot {
    /// Whose.
    pub company: CompanyId,
    /// Who.
    pub user: UserId,
    /// The queue or group; none when no line lists them.
    pub line: Option<LineId>,
    /// In one sentence: rung, or the first fact that keeps them from it.
    pub verdict: String,
    /// What blocks, first the first that does; then what may, then what does not.
    pub findings: Vec<Finding>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// They are not rung because of it.
    Blocks,
    /// They may be rung less than they think.
    May,
    /// In order.
    Fine,
}

/// The answer to one question of the check.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// Which question, 1 to 11.
    pub question: u8,
    /// How much it matters.
    pub weight: Weight,
    /// Reason code.
    pub code: Arc<str>,
    /// In words.
    pub text: String,
    /// The command or key that mends it.
    pub mend: Option<String>,
}
