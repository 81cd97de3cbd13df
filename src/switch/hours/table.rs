//! A template laid out once for more than a year: each answer with the instant at which it begins, so that asking is
//! one binary search. Answers are those of [`state_at`], which is asked where the table ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::model::hours::Category;
use crate::model::hours::Closure;
use crate::model::hours::Hours;
use crate::model::id::ClosureId;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::switch::hours::HoursState;
use crate::switch::hours::Source;
use crate::switch::hours::day::Answer;
use crate::switch::hours::day::Timeline;
use crate::switch::hours::state_at;
use crate::time::Timestamp;

/// Days that a table covers.
pub const DAYS: i64 = 400;
/// Days at its end that are better looked up in a newer one.
const SPARE: i64 = 30;

/// The answers of a template from a day before it was made on.
#[derive(Clone, Debug)]
pub struct Table {
    /// Until when it is worth asking.
    until: Timestamp,
    /// When the first answer began, which may be long before the table does.
    first_since: Option<Timestamp>,
    /// Where each answer begins, rising, with its place in `answers`; the first at the beginning of the table.
    begins: Vec<(Timestamp, u32)>,
    /// Different answers.
    answers: Vec<Said>,
}

/// An answer without its times.
#[derive(Clone, Debug)]
struct Said {
    category: Category,
    source: Source,
    play: Option<MediaId>,
    name: Option<Arc<str>>,
}

impl Table {
    /// Lays out the days from the one before `at` on.
    pub fn compile(
        hours: &Hours,
        id: &HoursId,
        closures: &BTreeMap<ClosureId, Closure>,
        at: Timestamp,
    ) -> Table {
        let timeline = Timeline::new(hours, id, closures, at);
        let mut seen: Vec<Answer<'_>> = Vec::new();
        let mut begins: Vec<(Timestamp, u32)> = Vec::new();
        let mut date = timeline.date_of(at).yesterday().unwrap_or(jiff::civil::Date::MIN);
        for _ in 0..DAYS {
            for piece in timeline.day(date) {
                let place = seen.iter().position(|answer| *answer == piece.answer).unwrap_or_else(|| {
                    seen.push(piece.answer);
                    seen.len() - 1
                });
                // A day has a handful of answers, a year a few dozen.
                let place = place as u32;
                if begins.last().is_none_or(|(_, before)| *before != place) {
                    begins.push((piece.from, place));
                }
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        let first = begins.first().map(|(from, _)| *from);
        let first_since = first.and_then(|first| state_at(hours, id, closures, None, first).since);
        let said = |answer: &Answer<'_>| Said {
            category: answer.category.into(),
            source: answer.source(),
            play: answer.play().cloned(),
            name: answer.name(),
        };
        let covered = SignedDuration::from_hours(24 * (DAYS - SPARE));
        let until = at.checked_add(covered).unwrap_or(Timestamp::MAX);
        Table { until, first_since, begins, answers: seen.iter().map(said).collect() }
    }

    /// Whether an instant is better asked of a newer table.
    pub fn is_old(&self, at: Timestamp) -> bool {
        at >= self.until || self.begins.first().is_none_or(|(first, _)| at < *first)
    }

    /// What holds at `at` by the clock; `None` before the table, and where it does not say how long that holds.
    pub fn at(&self, at: Timestamp) -> Option<HoursState> {
        let place = self.begins.partition_point(|(from, _)| *from <= at).checked_sub(1)?;
        let (from, answer) = *self.begins.get(place)?;
        let (until, _) = *self.begins.get(place + 1)?;
        let said = self.answers.get(answer as usize)?;
        Some(HoursState {
            category: said.category.clone(),
            source: said.source.clone(),
            since: if place == 0 { self.first_since } else { Some(from) },
            until: Some(until),
            play: said.play.clone(),
            name: said.name.clone(),
        })
    }
}
