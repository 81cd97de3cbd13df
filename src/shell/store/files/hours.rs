//! Reads opening hours and toggles.
//!
//! A day is written as on a door: `"06:30-11:00, 11:00-11:30 lunsj"`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use crate::model::check::nearest;
use crate::model::hours::Category;
use crate::model::hours::DatePattern;
use crate::model::hours::Day;
use crate::model::hours::HolidayPolicy;
use crate::model::hours::Hours;
use crate::model::hours::Minute;
use crate::model::hours::OwnDate;
use crate::model::hours::Span;
use crate::model::hours::Toggle;
use crate::model::id::HoursId;
use crate::model::id::ToggleId;
use crate::shell::store::files::cursor::Entry;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::read;
use crate::switch::holidays::HOLIDAYS;
use crate::switch::holidays::NAMED_DAYS;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a day.
const MIDNIGHT: Minute = 1440;

/// What a template says itself; what it leaves open comes from the one it extends.
#[derive(Default, Clone)]
struct Draft {
    name: Option<Arc<str>>,
    zone: Option<Arc<str>>,
    week: [Option<Day>; 7],
    default_category: Option<Category>,
    holidays: Option<Option<HolidayPolicy>>,
    holiday_policies: BTreeMap<Arc<str>, HolidayPolicy>,
    named_days: BTreeMap<Arc<str>, Day>,
    dates: Vec<OwnDate>,
    spill_into_holiday: Option<bool>,
}

/// Reads `[hours]`; `zone` is the company's.
pub(super) fn hours(section: Option<Value<'_>>, zone: &Arc<str>) -> BTreeMap<HoursId, Hours> {
    let mut drafts = BTreeMap::new();
    let mut extends = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        if let Some(value) = table.take("extends") {
            extends.insert(entry.key, value);
        }
        drafts.insert(entry.key, draft(table));
    }
    let mut all = BTreeMap::new();
    for (id, draft) in &drafts {
        let mut whole = draft.clone();
        let mut at = *id;
        let mut seen = vec![at];
        while let Some(value) = extends.get(at) {
            let Some(under) = value.text() else { break };
            let Some((under_id, under_draft)) = drafts.get_key_value(under) else {
                // Each template tells about its own key only.
                if at == *id {
                    let meant = nearest(under, drafts.keys().copied());
                    let meant = meant.map_or(String::new(), |meant| format!(" – did you mean \"{meant}\"?"));
                    value.error(format!("unknown hours \"{under}\"{meant}"));
                }
                break;
            };
            if seen.contains(under_id) {
                if under_id == id {
                    value.error(format!("hours \"{id}\" extend themselves"));
                }
                break;
            }
            whole.fill_from(under_draft);
            at = under_id;
            seen.push(at);
        }
        all.insert(HoursId::from(*id), whole.finish(id, zone));
    }
    all
}

impl Draft {
    fn fill_from(&mut self, under: &Draft) {
        self.zone = self.zone.take().or_else(|| under.zone.clone());
        for (day, under) in self.week.iter_mut().zip(&under.week) {
            *day = day.take().or_else(|| under.clone());
        }
        self.default_category = self.default_category.take().or_else(|| under.default_category.clone());
        self.holidays = self.holidays.take().or_else(|| under.holidays.clone());
        for (id, policy) in &under.holiday_policies {
            self.holiday_policies.entry(id.clone()).or_insert_with(|| policy.clone());
        }
        for (id, day) in &under.named_days {
            self.named_days.entry(id.clone()).or_insert_with(|| day.clone());
        }
        let new = under.dates.iter().filter(|date| !self.dates.iter().any(|own| own.on == date.on));
        let new: Vec<OwnDate> = new.cloned().collect();
        self.dates.extend(new);
        self.spill_into_holiday = self.spill_into_holiday.or(under.spill_into_holiday);
    }

    fn finish(self, id: &str, zone: &Arc<str>) -> Hours {
        Hours {
            name: self.name.unwrap_or_else(|| id.into()),
            zone: self.zone.unwrap_or_else(|| zone.clone()),
            week: self.week.map(Option::unwrap_or_default),
            default_category: self.default_category.unwrap_or_else(|| "closed".into()),
            holidays: self.holidays.flatten(),
            holiday_policies: self.holiday_policies,
            named_days: self.named_days,
            dates: self.dates,
            spill_into_holiday: self.spill_into_holiday.unwrap_or(false),
        }
    }
}

fn draft(mut table: Table<'_>) -> Draft {
    let mut draft = Draft {
        name: table.text("name"),
        zone: table.take("timezone").and_then(read::zone),
        default_category: table.take("default").and_then(category),
        holidays: table.take("holidays").and_then(holidays),
        spill_into_holiday: table.flag("spill_into_holiday"),
        ..Draft::default()
    };
    week(&mut table, &mut draft);
    for holiday in &HOLIDAYS {
        if let Some(policy) = table.take(holiday.id.as_str()).and_then(policy) {
            draft.holiday_policies.insert(holiday.id.as_str().into(), policy);
        }
    }
    for named in &NAMED_DAYS {
        if let Some(day) = table.take(named.id).and_then(day) {
            draft.named_days.insert(named.id.into(), day);
        }
    }
    let leap_day = table.word("leap_day", &[("skip", false), ("feb28", true)]).unwrap_or(false);
    for entry in table.take_all(|key| key.starts_with(|c: char| c.is_ascii_digit())) {
        let date = date(&entry, leap_day);
        let day = day(entry.value);
        if let (Some(on), Some(day)) = (date, day) {
            draft.dates.push(OwnDate { on, day });
        }
    }
    unknown_days(&mut table);
    table.finish();
    draft
}

/// Weekdays, alone or from–to; a day written alone wins over a range that holds it.
fn week(table: &mut Table<'_>, draft: &mut Draft) {
    let mut by: [Option<(bool, &str)>; 7] = [None; 7];
    for entry in table.take_all(|key| weekdays(key).is_some()) {
        let Some((first, last)) = weekdays(entry.key) else { continue };
        let alone = first == last;
        let day = day(entry.value);
        // From Saturday to Monday goes over Sunday.
        let count = (last + 7 - first) % 7 + 1;
        let days = || (first..first + count).map(|index| index % 7);
        let twice = days()
            .find_map(|index| by[index].filter(|(same, _)| *same == alone).map(|(_, key)| (index, key)));
        if let Some((index, other)) = twice {
            entry.error(format!("{} is already in \"{other}\"", DAYS[index]));
            continue;
        }
        for index in days() {
            if by[index].is_none_or(|(single, _)| !single) {
                by[index] = Some((alone, entry.key));
                draft.week[index] = day.clone();
            }
        }
    }
}

/// First and last day of `mon` or `mon-fri`.
fn weekdays(key: &str) -> Option<(usize, usize)> {
    let index = |name: &str| DAYS.iter().position(|day| *day == name);
    match key.split_once('-') {
        Some((first, last)) => Some((index(first)?, index(last)?)),
        None => index(key).map(|day| (day, day)),
    }
}

/// Keys that look like nothing a template has: named days are too many to list, so the nearest is told.
fn unknown_days(table: &mut Table<'_>) {
    let known: Vec<&str> = DAYS
        .into_iter()
        .chain([
            "mon-fri", "mon-thu", "sat-sun", "mon-sun", "name", "timezone", "extends", "default", "holidays",
        ])
        .chain(["spill_into_holiday"])
        .chain(HOLIDAYS.iter().map(|holiday| holiday.id.as_str()))
        .chain(NAMED_DAYS.iter().map(|named| named.id))
        .collect();
    for entry in table.take_all(|_| true) {
        let key = entry.key;
        entry.error(match nearest(key, known.iter().copied()) {
            Some(meant) => format!("unknown day \"{key}\" – did you mean \"{meant}\"?"),
            None => format!(
                "unknown day \"{key}\": write \"mon-fri\", \"sat\", \"12-24\", \"2027-05-18\" \
                 or a day's name such as \"julaften\""
            ),
        });
    }
}

/// What public holidays do: `"no"` is closed on Norwegian ones, `false` takes no notice of them.
fn holidays(value: Value<'_>) -> Option<Option<HolidayPolicy>> {
    if value.as_flag() == Some(false) {
        return Some(None);
    }
    if value.as_text() == Some("no") {
        return Some(Some(HolidayPolicy::Closed));
    }
    if !value.is_table() {
        let text = value.text()?;
        value.error(format!(
            "unknown calendar \"{text}\": write \"no\" for Norwegian public holidays, or false"
        ));
        return None;
    }
    let mut table = value.table()?;
    table.word("calendar", &[("no", ())]);
    let policy = table.take("policy").and_then(policy).unwrap_or(HolidayPolicy::Closed);
    table.finish();
    Some(Some(policy))
}

/// What a public holiday does.
fn policy(value: Value<'_>) -> Option<HolidayPolicy> {
    match value.text()? {
        "closed" => Some(HolidayPolicy::Closed),
        "as-sunday" => Some(HolidayPolicy::AsSunday),
        "normal" => Some(HolidayPolicy::Normal),
        _ => day(value).map(HolidayPolicy::Spans),
    }
}

/// `MM-DD` or `YYYY-MM-DD`; with `leap_day`, 29 February is the 28th in common years.
fn date(entry: &Entry<'_>, leap_day: bool) -> Option<DatePattern> {
    let parts: Vec<&str> = entry.key.split('-').collect();
    let pattern = match parts[..] {
        [month, day] => two_digits(month).zip(two_digits(day)).and_then(|(month, day)| {
            // A leap year knows every date there is.
            Date::new(2024, month, day).ok().map(|_| DatePattern::Yearly(month, day))
        }),
        [year, month, day] if year.len() == 4 => {
            let date = year.parse().ok().zip(two_digits(month)).zip(two_digits(day));
            date.and_then(|((year, month), day)| Date::new(year, month, day).ok()).map(DatePattern::Once)
        }
        _ => None,
    };
    match pattern {
        Some(DatePattern::Yearly(2, 29)) if leap_day => return Some(DatePattern::LeapDay),
        Some(DatePattern::Yearly(2, 29)) => {
            entry
                .value
                .source
                .warn(entry.at, "29 February comes in leap years only: in other years this does nothing; leap_day = \"feb28\" has it on 28 February then");
        }
        Some(_) => {}
        None => entry.error(format!(
            "\"{}\" is no date: write \"12-24\" for every year, or \"2027-05-18\"",
            entry.key
        )),
    }
    pattern
}

fn two_digits(text: &str) -> Option<i8> {
    (text.len() == 2).then(|| text.parse().ok()).flatten()
}

/// The spans of a day: `"08:00-16:00, 11:00-11:30 lunsj"`, `"closed"`, `"open"`.
pub(super) fn day(value: Value<'_>) -> Option<Day> {
    let text = value.text()?;
    match text {
        "closed" => return Some(Vec::new()),
        "open" => return Some(vec![Span { from: 0, to: MIDNIGHT, category: "open".into() }]),
        _ => {}
    }
    let mut day: Day = Vec::new();
    for part in text.split(',') {
        match span(part.trim()) {
            Ok(span) => {
                if let Some(other) =
                    day.iter().find(|other| other.category != span.category && overlap(other, &span))
                {
                    let message = format!(
                        "\"{}\" and \"{}\" overlap: the later one wins",
                        other.category, span.category
                    );
                    value.source.warn(value.at, message);
                }
                day.push(span);
            }
            Err(why) => {
                value.error(why);
                return None;
            }
        }
    }
    Some(day)
}

/// `HH:MM-HH:MM`, and a category if not open.
fn span(text: &str) -> Result<Span, String> {
    let wrong = || {
        format!("\"{text}\" is no span of time: write \"08:00-16:00\", \"11:00-11:30 lunsj\" or \"closed\"")
    };
    let (times, category) = text.split_once(' ').map_or((text, "open"), |(times, name)| (times, name.trim()));
    let (from, to) = times.split_once('-').ok_or_else(wrong)?;
    let (from, to) = minute(from).zip(minute(to)).ok_or_else(wrong)?;
    if from == MIDNIGHT {
        return Err("24:00 can only be an end".into());
    }
    if !read::is_id(category) {
        return Err(format!("\"{category}\" is no category: write a word of a–z, 0–9, _ and -"));
    }
    Ok(Span { from, to, category: category.into() })
}

fn minute(text: &str) -> Option<Minute> {
    let (hour, minute) =
        text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (hour, minute): (Minute, Minute) = match digits(hour) && digits(minute) {
        true => (hour.parse().ok()?, minute.parse().ok()?),
        false => return None,
    };
    let whole = hour * 60 + minute;
    (minute < 60 && whole <= MIDNIGHT).then_some(whole)
}

/// Whether two spans of one day have a moment in common; a span that ends before it begins goes over
/// midnight.
fn overlap(one: &Span, other: &Span) -> bool {
    let end = |span: &Span| if span.to <= span.from { span.to + MIDNIGHT } else { span.to };
    one.from < end(other) && other.from < end(one)
}

/// The category that holds where nothing is said.
fn category(value: Value<'_>) -> Option<Category> {
    let text = value.text()?;
    if !read::is_id(text) {
        value.error(format!("\"{text}\" is no category: write a word of a–z, 0–9, _ and -"));
        return None;
    }
    Some(text.into())
}

/// Reads `[toggles]`.
pub(super) fn toggles(section: Option<Value<'_>>) -> BTreeMap<ToggleId, Toggle> {
    let mut toggles = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let (numbers, to) = (table.take("numbers"), table.take("to"));
        match (&numbers, &to) {
            (Some(_), None) => table.missing("to"),
            (None, Some(to)) => to.error("this leads somewhere only with numbers = [\"+47…\"]"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let toggle = Toggle {
            name: table.text("name").unwrap_or_else(|| entry.key.into()),
            ext: table.take("ext").and_then(read::extension),
            overrides: table.take("overrides").and_then(overrides),
            numbers: numbers
                .map(|value| value.one_or_more().into_iter().filter_map(read::public_number).collect())
                .unwrap_or_default(),
            to: to.and_then(read::destination),
        };
        table.finish();
        toggles.insert(entry.key.into(), toggle);
    }
    toggles
}

/// Which hours a toggle overrides while it is on: `{ hours = ["kontor"], category = "closed" }`.
fn overrides(value: Value<'_>) -> Option<(Vec<HoursId>, Category)> {
    let mut table = value.table()?;
    let hours = table.take("hours");
    let category = table.take("category");
    if hours.is_none() || category.is_none() {
        table.missing(if hours.is_none() { "hours" } else { "category" });
    }
    table.finish();
    Some((read::references(hours?), self::category(category?)?))
}
