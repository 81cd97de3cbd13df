//! Closures as an iCalendar file (RFC 5545), in and out: events with a start and an end, all-day or local, once or
//! yearly.
//!
//! Strict: what would change when a closure holds, and is not taken, is refused by name (`RRULE` other than yearly,
//! `RDATE`, `EXDATE`, `RECURRENCE-ID`, `DURATION`). What only decorates is passed over. A zone is an IANA name; the
//! `VTIMEZONE` that describes it is not read.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// Longest file in bytes.
pub const FILE_MAX: usize = 1_000_000;
/// Events of a file, repetitions not counted.
pub const EVENTS_MAX: usize = 1_000;
/// Years that an event without end is repeated.
const YEARS_MAX: i16 = 30;
/// Octets of a line that is written (RFC 5545 §3.1).
const FOLD_AT: usize = 75;

/// A stretch of time in a calendar, by the local time of the reader's zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is called; may be empty.
    pub summary: Arc<str>,
    /// First moment.
    pub from: DateTime,
    /// First moment after it.
    pub to: DateTime,
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Refused {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub why: String,
}

/// Reads the events of a file in the order written, each repetition one, with times in `zone`. Cancelled ones are left
/// out.
///
/// # Errors
/// The first thing that is not taken.
pub fn read(text: &str, zone: &TimeZone) -> Result<Vec<Event>, Refused> {
    if text.len() > FILE_MAX {
        return Err(refused(1, format!("the file is longer than {FILE_MAX} bytes")));
    }
    let mut events = Vec::new();
    let mut count = 0;
    // The components that are open, innermost last.
    let mut open: Vec<String> = Vec::new();
    let mut draft = Draft::default();
    let mut last = 1;
    for (line, content) in unfold(text) {
        last = line;
        let Some(property) = Property::read(line, &content)? else { continue };
        match (&*property.name, open.last().map(String::as_str)) {
            ("BEGIN", under) => {
                let component = property.value.to_ascii_uppercase();
                match (&*component, under) {
                    ("VCALENDAR", None) => {}
                    (_, None) => return Err(refused(line, "the file must begin with BEGIN:VCALENDAR")),
                    ("VEVENT", Some("VCALENDAR")) => {
                        count += 1;
                        if count > EVENTS_MAX {
                            return Err(refused(line, format!("more than {EVENTS_MAX} events")));
                        }
                        draft = Draft { line, ..Draft::default() };
                    }
                    _ if open.len() >= 8 => return Err(refused(line, "components too deep in each other")),
                    _ => {}
                }
                open.push(component);
            }
            ("END", under) => {
                let component = property.value.to_ascii_uppercase();
                if under != Some(&component) {
                    return Err(refused(line, format!("END:{component} ends nothing")));
                }
                open.pop();
                if component == "VEVENT" {
                    std::mem::take(&mut draft).finish(&mut events)?;
                }
            }
            (_, Some("VEVENT")) => draft.take(&property, zone)?,
            (_, None) => return Err(refused(line, "the file must begin with BEGIN:VCALENDAR")),
            // A calendar's own properties, zones, alarms, tasks.
            (_, Some(_)) => {}
        }
    }
    match open.pop() {
        Some(component) => Err(refused(last, format!("END:{component} is missing"))),
        None if last == 1 => Err(refused(1, "this is no iCalendar file: it must begin with BEGIN:VCALENDAR")),
        None => Ok(events),
    }
}

fn refused(line: usize, why: impl Into<String>) -> Refused {
    Refused { line, why: why.into() }
}

/// The lines of a file with what was folded (RFC 5545 §3.1) put together, by the number of their first.
fn unfold(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, before))) => before.push_str(rest),
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

/// `NAME;PARAMETER=value:value`.
struct Property<'a> {
    line: usize,
    name: String,
    parameters: BTreeMap<String, String>,
    value: &'a str,
}

impl<'a> Property<'a> {
    /// Reads a line; `None` when it is empty.
    fn read(line: usize, content: &'a str) -> Result<Option<Property<'a>>, Refused> {
        if content.trim().is_empty() {
            return Ok(None);
        }
        let mut quoted = false;
        let colon = content.find(|c: char| {
            quoted ^= c == '"';
            c == ':' && !quoted
        });
        let Some(colon) = colon else {
            return Err(refused(line, "a line of an iCalendar file is NAME:value"));
        };
        let mut parts = content[..colon].split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_uppercase();
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_ascii_uppercase(), value.trim_matches('"').to_owned()))
        };
        let parameters = parts.filter_map(parameter).collect();
        Ok(Some(Property { line, name, parameters, value: content[colon + 1..].trim() }))
    }

    fn refused(&self, why: impl Into<String>) -> Refused {
        refused(self.line, why)
    }

    /// A date, or a moment in `zone`; tells whether it is a date.
    fn moment(&self, zone: &TimeZone) -> Result<(DateTime, bool), Refused> {
        let wrong = || self.refused(format!("\"{}\" is no date and no time", self.value));
        if self.parameters.get("VALUE").is_some_and(|kind| kind == "DATE") || self.value.len() == 8 {
            let date = date(self.value).ok_or_else(wrong)?;
            return Ok((date.to_datetime(Time::midnight()), true));
        }
        let (local, utc) = match self.value.strip_suffix('Z') {
            Some(local) => (local, true),
            None => (self.value, false),
        };
        let local = date_time(local).ok_or_else(wrong)?;
        let from = match self.parameters.get("TZID") {
            _ if utc => TimeZone::UTC,
            Some(name) if zone.iana_name() == Some(name) => return Ok((local, false)),
            Some(name) => TimeZone::get(name.trim_start_matches('/')).map_err(|_| {
                self.refused(format!("unknown time zone \"{name}\": write an IANA name such as Europe/Oslo"))
            })?,
            // Floating: the reader's own time.
            None => return Ok((local, false)),
        };
        let at = from.to_zoned(local).map_err(|_| wrong())?.timestamp();
        Ok((zone.to_datetime(at), false))
    }
}

/// `20270712`
fn date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let year = text[..4].parse::<i16>().ok().filter(|year| (1970..=2200).contains(year))?;
    Date::new(year, text[4..6].parse().ok()?, text[6..].parse().ok()?).ok()
}

/// `20270712T120000`
fn date_time(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once('T')?;
    if time.len() != 6 || !time.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| time[from..from + 2].parse::<i8>().ok();
    // A leap second is the last of its minute.
    let time = Time::new(part(0)?, part(2)?, part(4)?.min(59), 0).ok()?;
    Some(date(day)?.to_datetime(time))
}

/// An event being read.
#[derive(Default)]
struct Draft {
    line: usize,
    summary: Arc<str>,
    from: Option<(DateTime, bool)>,
    to: Option<DateTime>,
    repeat: Option<Repeat>,
    cancelled: bool,
}

/// Every year, so many times or until then.
#[derive(Clone, Copy)]
struct Repeat {
    count: i16,
    until: Option<DateTime>,
}

impl Draft {
    fn take(&mut self, property: &Property<'_>, zone: &TimeZone) -> Result<(), Refused> {
        match &*property.name {
            "DTSTART" => self.from = Some(property.moment(zone)?),
            "DTEND" => self.to = Some(property.moment(zone)?.0),
            "SUMMARY" => self.summary = unescaped(property.value).into(),
            "STATUS" => self.cancelled = property.value.eq_ignore_ascii_case("CANCELLED"),
            "RRULE" => self.repeat = Some(repeat(property, zone)?),
            name @ ("RDATE" | "EXDATE" | "EXRULE" | "RECURRENCE-ID" | "DURATION") => {
                let instead = match name {
                    "DURATION" => "write DTEND",
                    _ => "write each time as an event of its own",
                };
                return Err(property.refused(format!("{name} is not taken: {instead}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, events: &mut Vec<Event>) -> Result<(), Refused> {
        let wrong = |why: &str| refused(self.line, format!("the event \"{}\" {why}", self.summary));
        if self.cancelled {
            return Ok(());
        }
        let Some((from, all_day)) = self.from else { return Err(wrong("has no DTSTART")) };
        let to = match self.to {
            Some(to) => to,
            // RFC 5545 §3.6.1: a date alone is that day.
            None if all_day => from.saturating_add(1.day()),
            None => return Err(wrong("has no DTEND")),
        };
        if to <= from {
            return Err(wrong("ends before it begins"));
        }
        let repeat = self.repeat.unwrap_or(Repeat { count: 1, until: None });
        for year in 0..repeat.count {
            let (from, to) = (later(from, year), later(to, year));
            // 29 February is there in leap years only.
            let (Some(from), Some(to)) = (from, to) else { continue };
            if repeat.until.is_some_and(|until| until < from) {
                break;
            }
            events.push(Event { summary: self.summary.clone(), from, to });
        }
        Ok(())
    }
}

/// The same day and time some years later, if there is such a day.
fn later(at: DateTime, years: i16) -> Option<DateTime> {
    let date = Date::new(at.year().checked_add(years)?, at.month(), at.day()).ok()?;
    Some(date.to_datetime(at.time()))
}

/// `FREQ=YEARLY`, with `COUNT` or `UNTIL` if any; whatever else would choose other days is refused.
fn repeat(property: &Property<'_>, zone: &TimeZone) -> Result<Repeat, Refused> {
    let mut repeat = Repeat { count: YEARS_MAX, until: None };
    let mut yearly = false;
    for part in property.value.split(';').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match (&*name.to_ascii_uppercase(), value) {
            ("FREQ", freq) if freq.eq_ignore_ascii_case("YEARLY") => yearly = true,
            ("INTERVAL", "1") | ("WKST", _) => {}
            ("COUNT", count) => {
                let count = count.parse().ok().filter(|count| (1..=i16::MAX).contains(count));
                let count = count.ok_or_else(|| property.refused("COUNT must be a number from 1"))?;
                repeat.count = count.min(YEARS_MAX);
            }
            ("UNTIL", until) => {
                let until = Property {
                    line: property.line,
                    name: String::new(),
                    parameters: BTreeMap::new(),
                    value: until,
                };
                let (until, whole_day) = until.moment(zone)?;
                repeat.until = Some(if whole_day { until.saturating_add(1.day()) } else { until });
            }
            _ => {
                return Err(property.refused(format!(
                    "RRULE with {part} is not taken: only FREQ=YEARLY on the same date; write each time as an event of its own"
                )));
            }
        }
    }
    if yearly { Ok(repeat) } else { Err(property.refused("RRULE without FREQ=YEARLY is not taken")) }
}

/// Text without the backslashes of RFC 5545 §3.3.11, on one line.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('n' | 'N') | None => ' ',
                Some(other) => other,
            },
            c if c.is_control() => ' ',
            c => c,
        };
        out.push(c);
    }
    let short: String = out.trim().chars().take(100).collect();
    short
}

/// Writes events as a calendar, by id, in a zone. `stamp` is when the file is made, in UTC.
pub fn write<'a>(
    domain: &str,
    zone: &str,
    stamp: DateTime,
    events: impl IntoIterator<Item = (&'a str, Event)>,
) -> String {
    let mut out = String::new();
    let mut line = |text: String| fold(&mut out, &text);
    line("BEGIN:VCALENDAR".into());
    line("VERSION:2.0".into());
    line("PRODID:-//Sentral//closures//NO".into());
    for (id, event) in events {
        line("BEGIN:VEVENT".into());
        line(format!("UID:{id}@{domain}"));
        line(format!("DTSTAMP:{}Z", stamp.strftime("%Y%m%dT%H%M%S")));
        let whole = event.from.time() == Time::midnight() && event.to.time() == Time::midnight();
        for (name, at) in [("DTSTART", event.from), ("DTEND", event.to)] {
            line(match whole {
                true => format!("{name};VALUE=DATE:{}", at.strftime("%Y%m%d")),
                false => format!("{name};TZID={zone}:{}", at.strftime("%Y%m%dT%H%M%S")),
            });
        }
        line(format!("SUMMARY:{}", escaped(&event.summary)));
        line("END:VEVENT".into());
    }
    line("END:VCALENDAR".into());
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '\\' | ';' | ',') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Adds a line, folded between characters.
fn fold(out: &mut String, text: &str) {
    let mut length = 0;
    for c in text.chars() {
        if length + c.len_utf8() > FOLD_AT {
            out.push_str("\r\n ");
            length = 1;
        }
        out.push(c);
        length += c.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oslo() -> TimeZone {
        TimeZone::get("Europe/Oslo").unwrap()
    }

    /// A file with one event of these lines.
    fn event(lines: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            lines.replace('\n', "\r\n")
        )
    }

    fn times(lines: &str) -> Result<Vec<String>, String> {
        let events = read(&event(lines), &oslo()).map_err(|refused| refused.to_string())?;
        Ok(events.iter().map(|event| format!("{} {} {}", event.from, event.to, event.summary)).collect())
    }

    #[test]
    fn events_are_read_by_the_local_time_of_the_reader() {
        let rows: [(&str, &[&str]); 8] = [
            // All day; the end is the day after the last.
            (
                "DTSTART;VALUE=DATE:20270712\nDTEND;VALUE=DATE:20270731\nSUMMARY:Sommer\\, sol",
                &["2027-07-12T00:00:00 2027-07-31T00:00:00 Sommer, sol"],
            ),
            (
                "DTSTART;VALUE=DATE:20270517\nSUMMARY:17. mai",
                &["2027-05-17T00:00:00 2027-05-18T00:00:00 17. mai"],
            ),
            // Floating, in a zone, in UTC.
            ("DTSTART:20270104T080000\nDTEND:20270104T120000", &["2027-01-04T08:00:00 2027-01-04T12:00:00 "]),
            (
                "DTSTART;TZID=Europe/London:20270104T080000\nDTEND;TZID=\"Europe/London\":20270104T120000",
                &["2027-01-04T09:00:00 2027-01-04T13:00:00 "],
            ),
            (
                "DTSTART:20270704T080000Z\nDTEND:20270704T120000Z",
                &["2027-07-04T10:00:00 2027-07-04T14:00:00 "],
            ),
            // Folded, with what is not looked at, and an alarm.
            (
                "DTSTART;VALUE=DATE:20270517\nSUMMARY:Lang\n  fredag\nX-FARGE:rød\nBEGIN:VALARM\nTRIGGER:-PT1H\nDURATION:PT1H\nEND:VALARM",
                &["2027-05-17T00:00:00 2027-05-18T00:00:00 Lang fredag"],
            ),
            // Every year, three times; 29 February only when it exists.
            (
                "DTSTART;VALUE=DATE:20271224\nRRULE:FREQ=YEARLY;COUNT=3",
                &[
                    "2027-12-24T00:00:00 2027-12-25T00:00:00 ",
                    "2028-12-24T00:00:00 2028-12-25T00:00:00 ",
                    "2029-12-24T00:00:00 2029-12-25T00:00:00 ",
                ],
            ),
            (
                "DTSTART;VALUE=DATE:20280229\nRRULE:FREQ=YEARLY;UNTIL=20320301",
                &["2028-02-29T00:00:00 2028-03-01T00:00:00 ", "2032-02-29T00:00:00 2032-03-01T00:00:00 "],
            ),
        ];
        for (lines, expect) in rows {
            assert_eq!(
                times(lines).as_deref(),
                Ok(&*expect.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()),
                "{lines}"
            );
        }
        assert_eq!(times("DTSTART;VALUE=DATE:20271224\nRRULE:FREQ=YEARLY").map(|all| all.len()), Ok(30));
        assert_eq!(times("DTSTART;VALUE=DATE:20271224\nSTATUS:CANCELLED"), Ok(vec![]));
    }

    #[test]
    fn what_would_change_when_a_closure_holds_is_refused_by_name() {
        let day = "DTSTART;VALUE=DATE:20270517";
        let rows = [
            (format!("{day}\nRRULE:FREQ=WEEKLY"), "RRULE with FREQ=WEEKLY is not taken"),
            (format!("{day}\nRRULE:FREQ=YEARLY;BYDAY=1MO"), "RRULE with BYDAY=1MO is not taken"),
            (format!("{day}\nRRULE:FREQ=YEARLY;INTERVAL=2"), "RRULE with INTERVAL=2 is not taken"),
            (format!("{day}\nRRULE:COUNT=2"), "RRULE without FREQ=YEARLY is not taken"),
            (format!("{day}\nRRULE:FREQ=YEARLY;COUNT=0"), "COUNT must be a number from 1"),
            (
                format!("{day}\nEXDATE:20280517"),
                "EXDATE is not taken: write each time as an event of its own",
            ),
            (format!("{day}\nRDATE:20280517"), "RDATE is not taken"),
            (format!("{day}\nRECURRENCE-ID:20280517"), "RECURRENCE-ID is not taken"),
            ("DTSTART:20270104T080000\nDURATION:PT4H".into(), "DURATION is not taken: write DTEND"),
            ("DTSTART:20270104T080000\nSUMMARY:Møte".into(), "the event \"Møte\" has no DTEND"),
            ("SUMMARY:Møte".into(), "the event \"Møte\" has no DTSTART"),
            (format!("{day}\nDTEND;VALUE=DATE:20270517"), "ends before it begins"),
            (
                "DTSTART;TZID=Europe/Olso:20270104T080000\nDTEND:20270104T120000".into(),
                "unknown time zone \"Europe/Olso\"",
            ),
            (
                "DTSTART:20270230T080000\nDTEND:20270301T120000".into(),
                "\"20270230T080000\" is no date and no time",
            ),
            ("DTSTART;VALUE=DATE:2027æ517".into(), "is no date and no time"),
            ("tull".into(), "a line of an iCalendar file is NAME:value"),
        ];
        for (lines, expect) in rows {
            let refused = times(&lines).expect_err(&lines);
            assert!(refused.contains(expect), "{refused} for {lines}");
            assert!(refused.starts_with("line "), "{refused}");
        }
        for (text, expect) in [
            ("", "no iCalendar file"),
            ("hei", "NAME:value"),
            ("BEGIN:VEVENT\nEND:VEVENT\n", "must begin with BEGIN:VCALENDAR"),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "END:VEVENT is missing"),
            ("BEGIN:VCALENDAR\nEND:VEVENT\n", "END:VEVENT ends nothing"),
        ] {
            let refused = read(text, &oslo()).expect_err(text).to_string();
            assert!(refused.contains(expect), "{refused} for {text:?}");
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let start = jiff::civil::date(2020, 1, 1).at(0, 0, 0, 0);
        ("[ -~æøåÆØÅ]{0,90}", 0..20_000i64, 1..2_000i64).prop_map(move |(summary, from, length)| {
            let from = start + (from * 30).minutes();
            let summary = summary.trim().into();
            Event { summary, from, to: from + (length * 30).minutes() }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(events in prop::collection::vec(any_event(), 0..5)) {
            let by_id = events.iter().map(|event| ("x", event.clone()));
            let text = write("prove", "Europe/Oslo", jiff::civil::date(2026, 11, 23).at(12, 0, 0, 0), by_id);
            prop_assert!(text.split("\r\n").all(|line| line.len() <= FOLD_AT));
            prop_assert_eq!(read(&text, &oslo()), Ok(events));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(BEGIN|END|:|;|=|\"|VCALENDAR|VEVENT|DTSTART|RRULE|FREQ|2027|T|Z|\n| |\\\\|å|[ -~])*") {
            let _ = read(&text, &oslo());
        }
    }
}
