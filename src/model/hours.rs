//! Opening hours, dated closures and toggles as configured. The evaluator is `switch::hours`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::DateTime;

use crate::model::flow::Destination;
use crate::model::id::CompanyId;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::model::id::Number;

/// A category: `open`, `closed`, `holiday`, `closure`, or a span's own name such as `lunsj`.
pub type Category = Arc<str>;

/// Minutes since local midnight, `0..=1440` (`24:00` only as an end).
pub type Minute = u16;

/// A half-open local span `[from, to)`; `to <= from` runs over midnight and belongs to the day it starts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Start.
    pub from: Minute,
    /// End.
    pub to: Minute,
    /// `open`, or the span's name.
    pub category: Category,
}

/// The spans of one day, in the order written: of two that overlap, the later one wins. Empty: closed all day.
pub type Day = Vec<Span>;

/// What a public holiday does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HolidayPolicy {
    /// Category `holiday` all day.
    Closed,
    /// The spans of Sunday; outside them `holiday`.
    AsSunday,
    /// As if it were no holiday.
    Normal,
    /// Its own spans; outside them `holiday`.
    Spans(Day),
}

/// A template of opening hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    /// Shown.
    pub name: Arc<str>,
    /// IANA zone, known to exist.
    pub zone: Arc<str>,
    /// Monday first. A template that `extends` another has its days already filled in.
    pub week: [Day; 7],
    /// What holds where nothing is said (default `closed`).
    pub default_category: Category,
    /// Whether Norwegian public holidays count, and how by default.
    pub holidays: Option<HolidayPolicy>,
    /// Policies of single holidays by their id (`mai17`, `langfredag` …).
    pub holiday_policies: BTreeMap<Arc<str>, HolidayPolicy>,
    /// Named days that are not public holidays (`julaften`, `onsdag_for_skjaertorsdag` …).
    pub named_days: BTreeMap<Arc<str>, Day>,
    /// Own dates, every year (`MM-DD` → month, day) or once.
    pub dates: Vec<OwnDate>,
    /// Whether a span over midnight goes on into a day that a higher rule closes.
    pub spill_into_holiday: bool,
}

/// Other hours on a date of one's own; beats public holidays.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnDate {
    /// When.
    pub on: DatePattern,
    /// What holds then; empty is closed.
    pub day: Day,
}

/// Which dates an own date means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatePattern {
    /// Every year: month, day. 29 February is skipped in common years.
    Yearly(i8, i8),
    /// 29 February, and in common years the day before instead.
    LeapDay,
    /// Once.
    Once(Date),
}

/// A dated exception.
#[derive(Debug, Clone, PartialEq)]
pub struct Closure {
    /// Shown.
    pub name: Arc<str>,
    /// First local moment.
    pub from: DateTime,
    /// First local moment after it. A closure written with dates includes both days.
    pub to: DateTime,
    /// Which templates; empty means all.
    pub hours: Vec<HoursId>,
    /// Other hours instead of closed, on days on which the template opens at all.
    pub open: Option<Day>,
    /// Instead of the ordinary closed message.
    pub play: Option<MediaId>,
    /// Waiting callers leave at once.
    pub immediate: bool,
    /// Position in the file, for ties.
    pub order: usize,
}

/// A state set by hand. Its state is run-time state, not configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Toggle {
    /// Shown.
    pub name: Arc<str>,
    /// Calling it flips the toggle.
    pub ext: Option<Number>,
    /// Hours it overrides while on, and with which category (`closed`, `open`): "steng nå", "åpne nå".
    pub overrides: Option<(Vec<HoursId>, Category)>,
    /// Public numbers whose calls go elsewhere while it is on; it beats everything their flow would say.
    pub numbers: Vec<Number>,
    /// Where they go then; there is one if there are numbers.
    pub to: Option<Destination>,
}

/// A template as people look at it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct HoursView {
    /// Whose.
    pub company: CompanyId,
    /// Which.
    pub id: HoursId,
    /// Shown name.
    pub name: String,
    /// IANA zone.
    pub zone: String,
    /// At this moment.
    pub at: Timestamp,
    /// What holds: `open`, `closed`, `holiday`, `closure`, or a span's own name.
    pub category: String,
    /// Which rule decides, in words.
    pub rule: String,
    /// The holiday's or closure's name.
    pub day: Option<String>,
    /// When this answer began.
    pub since: Option<Timestamp>,
    /// When it changes.
    pub until: Option<Timestamp>,
    /// When it opens next; none while it is open, and when it never does.
    pub opens: Option<Timestamp>,
    /// Public holidays of the next two weeks on which it opens as on any other day.
    pub open_holidays: Vec<String>,
    /// Day by day, when that was asked for.
    pub days: Vec<DayView>,
}

/// One day of a template.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DayView {
    /// `2027-05-17`
    pub date: String,
    /// 1 is Monday.
    pub weekday: i8,
    /// ISO week.
    pub week: i8,
    /// All of the day, in order.
    pub spans: Vec<SpanView>,
    /// The rule that makes the day another than the week says; none on ordinary days.
    pub rule: Option<String>,
    /// The holiday's, named day's or closure's name.
    pub name: Option<Arc<str>>,
    /// 23 or 25 when the clock is changed, else 24.
    pub hours_long: i64,
}

/// A stretch of a day.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SpanView {
    /// `08:00`
    pub from: String,
    /// `16:00`, `24:00` at the end of the day.
    pub to: String,
    /// What holds.
    pub category: Category,
}
