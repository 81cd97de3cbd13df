//! Reads closures: dates in the company's file, or all events of an iCalendar file. Dates include both days.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::model::hours::Closure;
use crate::model::ical;
use crate::model::id::ClosureId;
use crate::shell::store::files::cursor::Entry;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::hours::day;
use crate::shell::store::files::read;

/// Reads a calendar by its name.
pub(super) type Calendar<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads `[closures]`; times of calendars are those of `zone`.
pub(super) fn closures(
    section: Option<Value<'_>>,
    zone: &Arc<str>,
    calendar: Calendar<'_>,
) -> BTreeMap<ClosureId, Closure> {
    let mut closures = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let order = closures.len();
        match table.take("ical") {
            Some(file) => {
                let like = options(&entry, &mut table, order);
                table.finish();
                for (place, event) in events(file, zone, calendar).into_iter().enumerate() {
                    let name = if event.summary.is_empty() { like.name.clone() } else { event.summary };
                    let closure = Closure {
                        name,
                        from: event.from,
                        to: event.to,
                        order: order + place,
                        ..like.clone()
                    };
                    closures.insert(format!("{}-{}", entry.key, place + 1).as_str().into(), closure);
                }
            }
            None => {
                closures.insert(entry.key.into(), dated(&entry, table, order));
            }
        }
    }
    closures
}

/// The events of a calendar; what is wrong has been reported.
fn events(file: Value<'_>, zone: &Arc<str>, calendar: Calendar<'_>) -> Vec<ical::Event> {
    let Some(name) = file.text() else { return Vec::new() };
    if name.contains(['/', '\\', '\0']) || name.starts_with('.') || !name.ends_with(".ics") {
        file.error(format!(
            "\"{name}\" must be the name of an .ics file in the company's folder of calendars"
        ));
        return Vec::new();
    }
    // An unknown zone has been reported where it stands.
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let read =
        calendar(name).and_then(|text| ical::read(&text, &zone).map_err(|refused| refused.to_string()));
    match read {
        Ok(events) => events,
        Err(why) => {
            file.error(format!("{name}: {why}"));
            Vec::new()
        }
    }
}

/// What a closure says besides its dates.
fn options(entry: &Entry<'_>, table: &mut Table<'_>, order: usize) -> Closure {
    Closure {
        name: table.text("name").unwrap_or_else(|| entry.key.into()),
        from: DateTime::default(),
        to: DateTime::default(),
        hours: table.take("hours").map(read::references).unwrap_or_default(),
        open: table.take("open").and_then(day),
        play: table.take("play").and_then(read::reference),
        immediate: table.flag("immediate").unwrap_or(false),
        order,
    }
}

/// A closure with its dates.
fn dated(entry: &Entry<'_>, mut table: Table<'_>, order: usize) -> Closure {
    let [from, to] = ["from", "to"].map(|key| {
        let value = table.take(key);
        if value.is_none() {
            table.missing(key);
        }
        value
    });
    let start = from.and_then(|value| moment(value, false));
    let end = to.and_then(|value| moment(value, true));
    if let (Some(start), Some(end), Some(to)) = (start, end, to)
        && end <= start
    {
        to.error(format!("the closure \"{}\" ends before it begins", entry.key));
    }
    let mut closure = options(entry, &mut table, order);
    table.finish();
    (closure.from, closure.to) = (start.unwrap_or_default(), end.unwrap_or_default());
    closure
}

/// A local date or moment. A date at the end means the whole day, so the moment is the midnight after it.
fn moment(value: Value<'_>, end: bool) -> Option<DateTime> {
    let written = value.datetime()?;
    if written.offset.is_some() {
        value.error("write local time, without an offset: 2027-07-12T12:00:00");
        return None;
    }
    let (Some(date), time) = (written.date, written.time) else {
        value.error("write a date, or a date and a time: 2027-07-12T12:00:00");
        return None;
    };
    let civil = || {
        let year = i16::try_from(date.year).ok()?;
        let date = Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()?;
        let Some(time) = time else {
            let date = if end { date.tomorrow().ok()? } else { date };
            return Some(date.to_datetime(Time::midnight()));
        };
        let (hour, minute) = (i8::try_from(time.hour).ok()?, i8::try_from(time.minute).ok()?);
        let second = i8::try_from(time.second.unwrap_or(0)).ok()?;
        let nanosecond = i32::try_from(time.nanosecond.unwrap_or(0)).ok()?;
        Time::new(hour, minute, second, nanosecond).ok().map(|time| date.to_datetime(time))
    };
    let moment = civil();
    if moment.is_none() {
        value.error("there is no such date and time");
    }
    moment
}
