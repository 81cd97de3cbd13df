//! A template day by day, as people look at a year; and holidays that nobody has thought of.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::model::hours::Closure;
use crate::model::hours::DayView;
use crate::model::hours::Hours;
use crate::model::hours::SpanView;
use crate::model::id::ClosureId;
use crate::model::id::HoursId;
use crate::switch::holidays;
use crate::switch::hours::day::Timeline;
use crate::switch::hours::day::Why;
use crate::time::Timestamp;

/// Days shown at most: two years.
pub const DAYS_MAX: usize = 732;

/// The days from `first` to `last`, both included, by what their clocks show.
pub fn days(
    hours: &Hours,
    id: &HoursId,
    closures: &BTreeMap<ClosureId, Closure>,
    first: Date,
    last: Date,
) -> Vec<DayView> {
    let timeline = timeline(hours, id, closures, first);
    let mut views = Vec::new();
    for date in first.series(1.day()).take_while(|date| *date <= last).take(DAYS_MAX) {
        let pieces = timeline.day(date);
        let end = timeline.midnight(date.tomorrow().unwrap_or(date));
        let ends = pieces.iter().skip(1).map(|piece| piece.from).chain([end]);
        let mut spans: Vec<SpanView> = Vec::new();
        for (piece, to) in pieces.iter().zip(ends) {
            let time = |at: Timestamp| timeline.local(at).strftime("%H:%M").to_string();
            // Two pieces of one category are one to people, whatever the rules behind them.
            match spans.last_mut().filter(|before| *before.category == *piece.answer.category) {
                Some(before) => before.to = if to == end { "24:00".into() } else { time(to) },
                None => spans.push(SpanView {
                    from: time(piece.from),
                    to: if to == end { "24:00".into() } else { time(to) },
                    category: piece.answer.category.into(),
                }),
            }
        }
        let special = pieces.iter().find(|piece| !matches!(piece.answer.why, Why::Week | Why::Default));
        let hours_long = (end.duration_since(timeline.midnight(date)).as_secs() + 1800) / 3600;
        views.push(DayView {
            date: date.to_string(),
            weekday: date.weekday().to_monday_one_offset(),
            week: date.iso_week_date().week(),
            spans,
            rule: special.map(|piece| piece.answer.source().to_string()),
            name: special.and_then(|piece| piece.answer.name()),
            hours_long,
        });
    }
    views
}

/// Public holidays within some days from `first` on which the week opens as on any other day, because the template
/// says nothing of them: date and name. One with a policy, a date or a closure of its own has been thought of.
pub fn open_holidays(
    hours: &Hours,
    id: &HoursId,
    closures: &BTreeMap<ClosureId, Closure>,
    first: Date,
    days: i64,
) -> Vec<(Date, Arc<str>)> {
    let timeline = timeline(hours, id, closures, first);
    let mut found = Vec::new();
    for date in first.series(1.day()).take(usize::try_from(days).unwrap_or(0).min(DAYS_MAX)) {
        let on = holidays::on(date);
        let thought_of = on.iter().any(|holiday| hours.holiday_policies.contains_key(holiday.id.as_str()));
        if on.is_empty() || thought_of {
            continue;
        }
        let opens = timeline
            .day(date)
            .iter()
            .any(|piece| piece.answer.category == "open" && matches!(piece.answer.why, Why::Week));
        if opens {
            let names: Vec<&str> = on.iter().map(|holiday| holiday.nb).collect();
            found.push((date, names.join(" / ").into()));
        }
    }
    found
}

fn timeline<'a>(
    hours: &'a Hours,
    id: &HoursId,
    closures: &'a BTreeMap<ClosureId, Closure>,
    around: Date,
) -> Timeline<'a> {
    let zone = jiff::tz::TimeZone::get(&hours.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let at = around.to_zoned(zone).map_or(Timestamp::UNIX_EPOCH, |at| at.timestamp());
    Timeline::new(hours, id, closures, at)
}
