//! Ten years of minutes against a slow reference, the compiled table, the year as people see it, and holidays that
//! nobody has thought of.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use sentral::model::hours::Closure;
use sentral::model::hours::DatePattern;
use sentral::model::hours::HolidayPolicy;
use sentral::model::hours::Hours;
use sentral::model::hours::OwnDate;
use sentral::model::hours::Span;
use sentral::model::id::ClosureId;
use sentral::model::id::HoursId;
use sentral::switch::hours::state_at;
use sentral::switch::hours::table::Table;
use sentral::switch::hours::year;

const FIRST: i16 = 2026;
const YEARS: i16 = 10;
const MINUTES_A_DAY: i64 = 1440;

fn spans(text: &str) -> Vec<Span> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').expect("a time");
        hour.parse::<u16>().expect("an hour") * 60 + minute.parse::<u16>().expect("a minute")
    };
    let span = |text: &str| {
        let (times, category) = text.trim().split_once(' ').unwrap_or((text.trim(), "open"));
        let (from, to) = times.split_once('-').expect("a span");
        Span { from: minute(from), to: minute(to), category: category.into() }
    };
    text.split(',').filter(|text| !text.is_empty()).map(span).collect()
}

/// A restaurant: over midnight at the end of the week, lunch on weekdays, holidays closed but for two, dates of its own.
fn restaurant(spill: bool) -> Hours {
    let weekday = || spans("08:00-16:00, 11:30-12:00 lunsj");
    Hours {
        name: "Spisested".into(),
        zone: "Europe/Oslo".into(),
        week: [
            weekday(),
            weekday(),
            weekday(),
            weekday(),
            spans("08:00-16:00, 22:00-02:30"),
            spans("22:00-02:30"),
            spans("10:00-14:00, 01:30-02:30 natt"),
        ],
        default_category: "closed".into(),
        holidays: Some(HolidayPolicy::Closed),
        holiday_policies: BTreeMap::from([
            ("mai17".into(), HolidayPolicy::Spans(spans("12:00-18:00"))),
            ("paske1".into(), HolidayPolicy::AsSunday),
            ("himmelfart".into(), HolidayPolicy::Normal),
        ]),
        named_days: BTreeMap::from([
            ("onsdag_for_skjaertorsdag".into(), spans("08:00-12:00")),
            ("julaften".into(), Vec::new()),
            ("nyttarsaften".into(), spans("20:00-04:00")),
        ]),
        dates: vec![
            OwnDate { on: DatePattern::Yearly(5, 1), day: spans("09:00-12:00") },
            OwnDate { on: DatePattern::Yearly(2, 29), day: spans("00:00-24:00") },
            OwnDate { on: DatePattern::Once(date(2030, 12, 26)), day: spans("10:00-11:00") },
        ],
        spill_into_holiday: spill,
    }
}

/// Two closures that overlap, and one with other hours.
fn closures() -> BTreeMap<ClosureId, Closure> {
    let closure = |order: usize, from: &str, to: &str, open: Option<&str>| Closure {
        name: "Stengt".into(),
        from: from.parse().expect("a time"),
        to: to.parse().expect("a time"),
        hours: Vec::new(),
        open: open.map(spans),
        play: None,
        immediate: false,
        order,
    };
    BTreeMap::from([
        ("jul".into(), closure(0, "2028-12-24T12:00", "2029-01-02T08:00", None)),
        ("flom".into(), closure(1, "2028-12-28T09:00", "2028-12-29T09:00", None)),
        ("sommer".into(), closure(2, "2027-07-01T00:00", "2027-08-01T00:00", Some("09:00-15:00"))),
    ])
}

/// The holidays of ten years by another computation of Easter (Gauss, as corrected by Lichtenberg).
fn holidays_of(year: i16) -> Vec<(Date, &'static str)> {
    let y = i32::from(year);
    let century = y / 100;
    let shift = 15 + (3 * century + 3) / 4 - (8 * century + 13) / 25;
    let moon = (19 * (y % 19) + shift) % 30;
    let correction = (moon + (y % 19) / 11) / 29;
    let limit = 21 + moon - correction;
    let sunday = 7 - (y + y / 4 + 2 - (3 * century + 3) / 4).rem_euclid(7);
    let easter = limit + (7 - (limit - sunday).rem_euclid(7));
    let march = date(year, 3, 1);
    let after = |days: i32| {
        march.checked_add(SignedDuration::from_hours(24 * i64::from(easter - 1 + days))).expect("a date")
    };
    vec![
        (date(year, 1, 1), "nyttarsdag"),
        (after(-3), "skjaertorsdag"),
        (after(-2), "langfredag"),
        (after(0), "paske1"),
        (after(1), "paske2"),
        (date(year, 5, 1), "mai1"),
        (date(year, 5, 17), "mai17"),
        (after(39), "himmelfart"),
        (after(49), "pinse1"),
        (after(50), "pinse2"),
        (date(year, 12, 25), "jul1"),
        (date(year, 12, 26), "jul2"),
        // Not holidays, but found from them.
        (after(-4), "onsdag_for_skjaertorsdag"),
    ]
}

/// The slow reference: what a person with a calendar and a watch would say of one local minute.
struct Reference<'a> {
    hours: &'a Hours,
    calendar: BTreeMap<Date, Vec<&'static str>>,
}

/// A day's rule: how high it is, its spans, and what holds outside them.
struct Rule {
    level: u8,
    spans: Vec<Span>,
    outside: &'static str,
}

impl<'a> Reference<'a> {
    fn new(hours: &'a Hours) -> Reference<'a> {
        let mut calendar: BTreeMap<Date, Vec<&'static str>> = BTreeMap::new();
        for (date, id) in (FIRST - 1..=FIRST + YEARS).flat_map(holidays_of) {
            calendar.entry(date).or_default().push(id);
        }
        Reference { hours, calendar }
    }

    fn rule(&self, day: Date) -> Rule {
        let hours = self.hours;
        let own = hours.dates.iter().find(|own| match own.on {
            DatePattern::Once(once) => once == day,
            DatePattern::Yearly(..) | DatePattern::LeapDay => false,
        });
        let own = own.or_else(|| {
            hours.dates.iter().rfind(|own| match own.on {
                DatePattern::Yearly(month, of_month) => (month, of_month) == (day.month(), day.day()),
                DatePattern::LeapDay => day.month() == 2 && day.day() == day.days_in_month(),
                DatePattern::Once(_) => false,
            })
        });
        if let Some(own) = own {
            return Rule { level: 0, spans: own.day.clone(), outside: "closed" };
        }
        let on = self.calendar.get(&day).map(Vec::as_slice).unwrap_or_default();
        let holidays = on.iter().filter(|id| **id != "onsdag_for_skjaertorsdag");
        let counting: Vec<&HolidayPolicy> = {
            let mut all: Vec<(bool, &HolidayPolicy)> = holidays
                .filter_map(|id| {
                    let own = hours.holiday_policies.get(*id);
                    Some((own.is_some(), own.or(hours.holidays.as_ref())?))
                })
                .filter(|(_, policy)| **policy != HolidayPolicy::Normal)
                .collect();
            all.sort_by_key(|(own, _)| !own);
            all.into_iter().map(|(_, policy)| policy).collect()
        };
        if let Some(policy) = counting.first() {
            let spans = match policy {
                HolidayPolicy::AsSunday => hours.week[6].clone(),
                HolidayPolicy::Spans(day) => day.clone(),
                HolidayPolicy::Closed | HolidayPolicy::Normal => Vec::new(),
            };
            return Rule { level: 1, spans, outside: "holiday" };
        }
        let named = match (day.month(), day.day()) {
            (12, 24) => Some("julaften"),
            (12, 31) => Some("nyttarsaften"),
            _ => on.iter().find(|id| **id == "onsdag_for_skjaertorsdag").copied(),
        };
        if let Some(spans) = named.and_then(|id| hours.named_days.get(id)) {
            return Rule { level: 2, spans: spans.clone(), outside: "closed" };
        }
        let week = hours.week[day.weekday().to_monday_zero_offset() as usize].clone();
        Rule { level: 3, spans: week, outside: "closed" }
    }
}

/// Whether a local minute of the same day lies in a span, when the clocks are not changed that day.
fn covers(span: &Span, minute: i64) -> bool {
    let (from, to) = (i64::from(span.from), i64::from(span.to));
    if to > from { (from..to).contains(&minute) } else { minute >= from }
}

/// What the reference says of each minute of `days` from midnight on; `None` on days on which the clocks change and
/// those after them, which the golden rows and the painted weeks look at.
fn reference_minutes(reference: &Reference<'_>, day: Date, clocks: &[Date]) -> Option<Vec<String>> {
    let before = day.yesterday().expect("a date");
    if clocks.contains(&day) || clocks.contains(&before) {
        return None;
    }
    let (rule, yesterday) = (reference.rule(day), reference.rule(before));
    let spills = yesterday.level <= rule.level || reference.hours.spill_into_holiday;
    let minute = |minute: i64| {
        if let Some(span) = rule.spans.iter().rfind(|span| covers(span, minute)) {
            return span.category.to_string();
        }
        let left = yesterday.spans.iter().rfind(|span| span.to <= span.from && minute < i64::from(span.to));
        left.filter(|_| spills).map_or_else(|| rule.outside.to_owned(), |span| span.category.to_string())
    };
    Some((0..MINUTES_A_DAY).map(minute).collect())
}

/// Compares each `step`-th minute of the ten years; the number compared and the first that differ.
fn compare(spill: bool, step: usize) -> (u64, Vec<String>) {
    let hours = restaurant(spill);
    let (id, none) = (HoursId::from("spisested"), BTreeMap::new());
    let zone = TimeZone::get("Europe/Oslo").expect("it is there");
    let reference = Reference::new(&hours);
    let (mut compared, mut wrong) = (0, Vec::new());
    for year in FIRST..FIRST + YEARS {
        let first = date(year, 1, 1);
        let midnight = |day: Date| day.to_zoned(zone.clone()).expect("a midnight").timestamp();
        let table = Table::compile(&hours, &id, &none, midnight(first));
        let days: Vec<Date> =
            (0..366).filter_map(|n| first.checked_add(SignedDuration::from_hours(24 * n)).ok()).collect();
        let days: Vec<Date> = days.into_iter().filter(|day| day.year() == year).collect();
        let long =
            |day: &Date| midnight(day.tomorrow().expect("a date")).duration_since(midnight(*day)).as_hours();
        let clocks: Vec<Date> = days.iter().filter(|day| long(day) != 24).copied().collect();
        assert_eq!(clocks.len(), 2, "{year}");
        for day in days {
            let Some(expected) = reference_minutes(&reference, day, &clocks) else { continue };
            let start = midnight(day);
            // Each day begins at another minute, so that steps do not fall on the same ones.
            let from = usize::from(day.day_of_year().unsigned_abs()) % step;
            for minute in (from..expected.len()).step_by(step) {
                let at = start + SignedDuration::from_mins(minute as i64);
                let by_table = table.at(at).map(|state| state.category);
                // The minute before its end is in it, too: nothing changes within a minute.
                let late = table.at(at + SignedDuration::from_millis(59_999)).map(|state| state.category);
                compared += 1;
                if by_table.as_deref() != Some(&*expected[minute]) || late != by_table {
                    wrong.push(format!("{day} minute {minute}: {by_table:?}, not {}", expected[minute]));
                }
                if minute % (97 * step) == from {
                    let state = state_at(&hours, &id, &none, None, at);
                    if *state.category != *expected[minute] {
                        wrong.push(format!("{day} minute {minute}: state_at says {}", state.category));
                    }
                }
            }
        }
    }
    wrong.truncate(10);
    (compared, wrong)
}

#[test]
fn minutes_of_ten_years_agree_with_the_reference() {
    for spill in [false, true] {
        let (compared, wrong) = compare(spill, 31);
        assert_eq!(wrong, Vec::<String>::new());
        assert!(compared > 160_000, "{compared}");
    }
}

#[test]
#[ignore = "every minute of ten years, twice: some seconds"]
fn every_minute_of_ten_years_agrees_with_the_reference() {
    for spill in [false, true] {
        let (compared, wrong) = compare(spill, 1);
        assert_eq!(wrong, Vec::<String>::new());
        println!("{compared} minutes, 0 differences");
        assert!(compared > 5_000_000, "{compared}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_says_what_the_evaluator_says(made in 0i64..3600, offsets in prop::collection::vec(0i64..364 * 86_400, 20), spill: bool) {
        let (hours, closures, id) = (restaurant(spill), closures(), HoursId::from("spisested"));
        let made: Timestamp = Timestamp::from_second(1_767_225_600 + made * 86_400).expect("a time");
        let table = Table::compile(&hours, &id, &closures, made);
        prop_assert!(!table.is_old(made));
        for offset in offsets {
            let at = made + SignedDuration::from_secs(offset);
            let state = state_at(&hours, &id, &closures, None, at);
            prop_assert_eq!(table.at(at), Some(state), "at {}", at);
        }
        prop_assert!(table.is_old(made + SignedDuration::from_hours(24 * 371)));
        prop_assert!(table.is_old(made - SignedDuration::from_hours(72)));
    }
}

#[test]
fn an_answer_that_never_ends_is_none_of_the_tables() {
    let mut hours = restaurant(false);
    hours.week = [(); 7].map(|()| spans("00:00-24:00"));
    hours.holidays = None;
    hours.holiday_policies.clear();
    hours.named_days.clear();
    hours.dates.clear();
    let at = "2027-05-17T10:00:00Z".parse().expect("a time");
    assert_eq!(
        Table::compile(&hours, &"x".into(), &BTreeMap::new(), at).at(at),
        None,
        "asked of the evaluator"
    );
}

#[test]
fn a_year_is_shown_day_by_day_with_rules_names_and_clock_changes() {
    let (hours, closures, id) = (restaurant(false), closures(), HoursId::from("spisested"));
    let days = year::days(&hours, &id, &closures, date(2027, 1, 1), date(2027, 12, 31));
    assert_eq!(days.len(), 365);
    let day = |month: i8, day: i8| {
        let text = date(2027, month, day).to_string();
        days.iter().find(|of| of.date == text).expect("it is in the year")
    };
    let spans = |month: i8, of: i8| -> Vec<String> {
        day(month, of)
            .spans
            .iter()
            .map(|span| format!("{}-{} {}", span.from, span.to, span.category))
            .collect()
    };
    assert_eq!(
        spans(1, 4),
        [
            "00:00-08:00 closed",
            "08:00-11:30 open",
            "11:30-12:00 lunsj",
            "12:00-16:00 open",
            "16:00-24:00 closed"
        ]
    );
    assert_eq!((day(1, 4).rule.as_deref(), day(1, 4).weekday, day(1, 4).week), (None, 1, 1));
    assert_eq!(spans(5, 17), ["00:00-12:00 holiday", "12:00-18:00 open", "18:00-24:00 holiday"]);
    assert_eq!(day(5, 17).name.as_deref(), Some("Grunnlovsdagen / 2. pinsedag"));
    assert_eq!(day(5, 1).rule.as_deref(), Some("own date"));
    assert_eq!(day(7, 5).rule.as_deref(), Some("closure sommer"));
    let changed: Vec<(&str, i64)> =
        days.iter().filter(|day| day.hours_long != 24).map(|day| (&*day.date, day.hours_long)).collect();
    assert_eq!(changed, [("2027-03-28", 23), ("2027-10-31", 25)]);
    assert!(days.iter().all(|day| day.spans.first().is_some_and(|span| span.from == "00:00")));
    assert!(days.iter().all(|day| day.spans.last().is_some_and(|span| span.to == "24:00")));
}

#[test]
fn a_holiday_that_nobody_has_thought_of_is_found_before_it_comes() {
    let mut hours = restaurant(false);
    hours.holidays = None;
    hours.holiday_policies.clear();
    hours.dates.clear();
    let id = HoursId::from("spisested");
    let found =
        |hours: &Hours, closures: &BTreeMap<ClosureId, Closure>, first: Date, days: i64| -> Vec<String> {
            let found = year::open_holidays(hours, &id, closures, first, days);
            found.into_iter().map(|(date, name)| format!("{date} {name}")).collect()
        };
    let none = BTreeMap::new();
    // 17 May 2027 is a Monday; the sixteenth is a Sunday on which it opens as well.
    assert_eq!(found(&hours, &none, date(2027, 5, 17), 1), ["2027-05-17 Grunnlovsdagen / 2. pinsedag"]);
    assert_eq!(found(&hours, &none, date(2027, 5, 7), 15).len(), 2);
    assert_eq!(found(&hours, &none, date(2027, 5, 3), 3), Vec::<String>::new());
    // Thought of: closed by the calendar, by a policy, by a date, by a closure.
    let with = |change: &dyn Fn(&mut Hours)| {
        let mut hours = hours.clone();
        change(&mut hours);
        found(&hours, &none, date(2027, 5, 17), 1).len()
    };
    assert_eq!(with(&|hours| hours.holidays = Some(HolidayPolicy::Closed)), 0);
    assert_eq!(with(&|hours| drop(hours.holiday_policies.insert("mai17".into(), HolidayPolicy::Normal))), 0);
    let own = OwnDate { on: DatePattern::Yearly(5, 17), day: spans("08:00-16:00") };
    assert_eq!(with(&|hours| hours.dates.push(own.clone())), 0);
    assert_eq!(found(&hours, &closures(), date(2028, 12, 25), 2), Vec::<String>::new());
    // A holiday on a day on which the week is closed anyway needs no thought.
    let mut monday = hours.clone();
    monday.week[0].clear();
    assert_eq!(found(&monday, &none, date(2027, 5, 17), 1), Vec::<String>::new());
}
