//! Which category holds at an instant, why, since when and until when: a pure function of opening hours,
//! closures and what was set by hand.
//!
//! A day is laid out as pieces, from instant to instant; an answer begins and ends where neighbouring pieces
//! differ. Rules, highest first: by hand, closure, own date, public holiday, named day, week, default.
//! Clock changes: a time in the gap is the end of the gap; of a repeated time, the first is meant as a start
//! and the second as an end. Leaves out remembering an answer: it holds until [`HoursState::until`].

mod day;
pub mod table;
pub mod year;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::hours::Category;
use crate::model::hours::Closure;
use crate::model::hours::Hours;
use crate::model::id::ClosureId;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::switch::holidays::HolidayId;
use crate::switch::hours::day::Timeline;
use crate::time::Timestamp;

/// How far an answer is followed back and forth; a change further away is no change.
const SEARCH_DAYS: usize = 400;

const OPEN: &str = "open";
const CLOSED: &str = "closed";
const HOLIDAY: &str = "holiday";
const CLOSURE: &str = "closure";

/// What holds at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct HoursState {
    /// `open`, `closed`, `holiday`, `closure`, or a span's own name.
    pub category: Category,
    /// Which rule decided.
    pub source: Source,
    /// When this answer (category and source) began; `None` when over 400 days ago, or set by hand.
    pub since: Option<Timestamp>,
    /// When the answer changes; `None` when that is over 400 days away, or up to a person.
    pub until: Option<Timestamp>,
    /// What the closure plays instead of the ordinary closed message.
    pub play: Option<MediaId>,
    /// The holiday's, named day's or closure's name as told to people, in Norwegian.
    pub name: Option<Arc<str>>,
}

/// The rule that decided; `Display` says it in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Set by hand.
    ByHand,
    /// A dated closure.
    Closure(ClosureId),
    /// A date of one's own.
    Date,
    /// One or two public holidays.
    Holiday(Vec<HolidayId>),
    /// A named day, by id.
    NamedDay(Arc<str>),
    /// A span of the week.
    Week,
    /// Nothing is said: the default category.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::ByHand => f.write_str("set by hand"),
            Source::Closure(id) => write!(f, "closure {id}"),
            Source::Date => f.write_str("own date"),
            Source::Holiday(ids) => {
                f.write_str("public holiday")?;
                ids.iter()
                    .enumerate()
                    .try_for_each(|(i, id)| write!(f, "{}{id}", if i == 0 { " " } else { " and " }))
            }
            Source::NamedDay(id) => write!(f, "named day {id}"),
            Source::Week => f.write_str("week"),
            Source::Default => f.write_str("default"),
        }
    }
}

/// What a person has set over everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// What holds.
    pub category: Category,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// What holds at `at`, and from when until when.
///
/// `closures` may hold those of other templates; they are left out. A `by_hand` whose time is up is ignored.
pub fn state_at(
    hours: &Hours,
    id: &HoursId,
    closures: &BTreeMap<ClosureId, Closure>,
    by_hand: Option<&ByHand>,
    at: Timestamp,
) -> HoursState {
    let mut not_before = None;
    if let Some(hand) = by_hand {
        if hand.until.is_none_or(|until| at < until) {
            return HoursState {
                category: hand.category.clone(),
                source: Source::ByHand,
                since: None,
                until: hand.until,
                play: None,
                name: None,
            };
        }
        not_before = hand.until;
    }
    let timeline = Timeline::new(hours, id, closures, at);
    let today = timeline.day(timeline.date_of(at));
    let place = today.iter().rposition(|piece| piece.from <= at).unwrap_or(0);
    let answer = today[place].answer;
    HoursState {
        category: answer.category.into(),
        source: answer.source(),
        since: timeline.began(&today[..=place], at).max(not_before),
        until: timeline.next(at, |other| *other != answer),
        play: answer.play().cloned(),
        name: answer.name(),
    }
}

/// The first instant from `at` on at which the category is `open`: `at` itself when it is open then, `None`
/// when nothing opens within 400 days or only a person can open.
pub fn next_open(
    hours: &Hours,
    id: &HoursId,
    closures: &BTreeMap<ClosureId, Closure>,
    by_hand: Option<&ByHand>,
    at: Timestamp,
) -> Option<Timestamp> {
    let mut at = at;
    if let Some(hand) = by_hand
        && hand.until.is_none_or(|until| at < until)
    {
        if &*hand.category == OPEN {
            return Some(at);
        }
        at = hand.until?;
    }
    let timeline = Timeline::new(hours, id, closures, at);
    let today = timeline.day(timeline.date_of(at));
    match today.iter().rfind(|piece| piece.from <= at) {
        Some(piece) if piece.answer.category == OPEN => Some(at),
        _ => timeline.next(at, |answer| answer.category == OPEN),
    }
}
