//! Opening hours: the golden rows, single rules, and a slow reference that paints minutes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use sentral::model::hours::Closure;
use sentral::model::hours::DatePattern;
use sentral::model::hours::Day;
use sentral::model::hours::HolidayPolicy;
use sentral::model::hours::Hours;
use sentral::model::hours::OwnDate;
use sentral::model::hours::Span;
use sentral::model::id::ClosureId;
use sentral::model::id::HoursId;
use sentral::switch::holidays;
use sentral::switch::hours::ByHand;
use sentral::switch::hours::HoursState;
use sentral::switch::hours::Source;
use sentral::switch::hours::next_open;
use sentral::switch::hours::state_at;

/// `08:00-16:00, 11:00-11:30 lunsj`; empty is closed.
fn day(text: &str) -> Day {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    let span = |text: &str| {
        let (times, category) = text.trim().split_once(' ').unwrap_or((text.trim(), "open"));
        let (from, to) = times.split_once('-').unwrap();
        Span { from: minute(from), to: minute(to), category: category.into() }
    };
    text.split(',').filter(|text| !text.is_empty()).map(span).collect()
}

/// Hours with the same spans Monday to Friday, and others on Saturday and Sunday.
fn hours(weekdays: &str, saturday: &str, sunday: &str) -> Hours {
    let weekday = || day(weekdays);
    Hours {
        name: "Kontortid".into(),
        zone: "Europe/Oslo".into(),
        week: [weekday(), weekday(), weekday(), weekday(), weekday(), day(saturday), day(sunday)],
        default_category: "closed".into(),
        holidays: None,
        holiday_policies: BTreeMap::new(),
        named_days: BTreeMap::new(),
        dates: Vec::new(),
        spill_into_holiday: false,
    }
}

/// Local time in Oslo; of a repeated time the first, unless an offset is written.
fn at(text: &str) -> Timestamp {
    match text.parse() {
        Ok(instant) => instant,
        Err(_) => {
            let local: DateTime = text.parse().unwrap();
            local.to_zoned(TimeZone::get("Europe/Oslo").unwrap()).unwrap().timestamp()
        }
    }
}

fn closure(name: &str, from: &str, to: &str) -> Closure {
    Closure {
        name: name.into(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        hours: Vec::new(),
        open: None,
        play: Some("melding".into()),
        immediate: false,
        order: 0,
    }
}

fn closures<const N: usize>(all: [Closure; N]) -> BTreeMap<ClosureId, Closure> {
    let with_order =
        |(order, closure): (usize, Closure)| (ClosureId::from(&*closure.name), Closure { order, ..closure });
    all.into_iter().enumerate().map(with_order).collect()
}

fn state(hours: &Hours, closures: &BTreeMap<ClosureId, Closure>, time: &str) -> HoursState {
    state_at(hours, &HoursId::from("kontor"), closures, None, at(time))
}

/// Checks rows of (local time, category, source in words).
fn check(hours: &Hours, closures: &BTreeMap<ClosureId, Closure>, rows: &[(&str, &str, &str)]) {
    for (time, category, source) in rows {
        let state = state(hours, closures, time);
        assert_eq!((&*state.category, state.source.to_string().as_str()), (*category, *source), "{time}");
    }
}

fn no() -> BTreeMap<ClosureId, Closure> {
    BTreeMap::new()
}

#[test]
fn g1_closing_time_is_exact() {
    let hours = hours("08:00-16:00", "", "");
    check(
        &hours,
        &no(),
        &[
            ("2026-11-23T07:59:59.999999999", "closed", "default"),
            ("2026-11-23T08:00:00", "open", "week"),
            ("2026-11-23T15:59:59.999", "open", "week"),
            ("2026-11-23T16:00:00.000", "closed", "default"),
        ],
    );
    let open = state(&hours, &no(), "2026-11-23T09:00");
    assert_eq!((open.since, open.until), (Some(at("2026-11-23T08:00")), Some(at("2026-11-23T16:00"))));
    // Friday evening holds until Monday.
    let closed = state(&hours, &no(), "2026-11-27T18:00");
    assert_eq!((closed.since, closed.until), (Some(at("2026-11-27T16:00")), Some(at("2026-11-30T08:00"))));
}

#[test]
fn g2_a_span_over_midnight_belongs_to_the_day_it_starts_on() {
    let mut hours = hours("", "", "");
    hours.week[4] = day("22:00-02:00");
    let rows = [
        ("2026-11-27T01:00", "closed", "default"),
        ("2026-11-27T22:00", "open", "week"),
        ("2026-11-28T01:00", "open", "week"),
        ("2026-11-28T02:00", "closed", "default"),
    ];
    check(&hours, &no(), &rows);
    assert_eq!(state(&hours, &no(), "2026-11-28T01:00").since, Some(at("2026-11-27T22:00")));
}

#[test]
fn g3_two_holidays_on_one_day_are_one_answer_with_both_names() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.holidays = Some(HolidayPolicy::Closed);
    let state = state(&hours, &no(), "2027-05-17T10:00");
    assert_eq!(
        (&*state.category, state.source.to_string().as_str()),
        ("holiday", "public holiday mai17 and pinse2")
    );
    assert_eq!(state.name.as_deref(), Some("Grunnlovsdagen / 2. pinsedag"));
    // The day before is a holiday too, but another answer.
    assert_eq!((state.since, state.until), (Some(at("2027-05-17T00:00")), Some(at("2027-05-18T00:00"))));
}

#[test]
fn g4_a_holiday_as_sunday_has_the_spans_of_sunday_on_a_clock_change() {
    let mut hours = hours("08:00-16:00", "", "10:00-14:00");
    hours.holidays = Some(HolidayPolicy::AsSunday);
    let rows = [
        ("2027-03-28T00:59:00Z", "holiday", "public holiday paske1"),
        ("2027-03-28T01:00:00Z", "holiday", "public holiday paske1"),
        ("2027-03-28T11:00", "open", "public holiday paske1"),
        ("2027-03-29T11:00", "open", "public holiday paske2"),
        ("2027-03-29T15:00", "holiday", "public holiday paske2"),
    ];
    check(&hours, &no(), &rows);
    hours.week[6] = day("01:30-02:30");
    let gap = state(&hours, &no(), "2027-03-28T01:45");
    // Half an hour: 02:30 does not exist and becomes 03:00.
    assert_eq!((gap.since, gap.until), (Some(at("2027-03-28T00:30:00Z")), Some(at("2027-03-28T01:00:00Z"))));
    hours.week[6] = day("02:10-02:40, 02:30-04:00 natt");
    let rows = [
        ("2027-03-28T00:59:59Z", "holiday", "public holiday paske1"),
        ("2027-03-28T01:00:00Z", "natt", "public holiday paske1"),
    ];
    check(&hours, &no(), &rows);
}

#[test]
fn g5_a_repeated_hour_is_inside_both_times() {
    let hours = hours("22:00-02:30", "22:00-02:30", "22:00-02:30");
    let rows = [
        ("2026-10-25T02:15:00+02:00", "open", "week"),
        ("2026-10-25T02:45:00+02:00", "open", "week"),
        ("2026-10-25T02:15:00+01:00", "open", "week"),
        ("2026-10-25T02:30:00+01:00", "closed", "default"),
    ];
    check(&hours, &no(), &rows);
    let night = state(&hours, &no(), "2026-10-25T01:00");
    let length = night.until.unwrap().duration_since(night.since.unwrap());
    assert_eq!(length.as_mins(), 5 * 60 + 30);
}

#[test]
fn g6_a_date_of_ones_own_beats_a_public_holiday() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.holidays = Some(HolidayPolicy::Closed);
    hours.dates.push(OwnDate { on: DatePattern::Once(date(2026, 5, 1)), day: day("09:00-12:00") });
    let rows = [
        ("2026-05-01T08:30", "closed", "own date"),
        ("2026-05-01T10:00", "open", "own date"),
        ("2027-05-01T10:00", "holiday", "public holiday mai1"),
    ];
    check(&hours, &no(), &rows);
}

#[test]
fn g7_a_closure_ends_to_the_second() {
    let mut hours = hours("08:00-16:00", "08:00-16:00", "");
    hours.holidays = Some(HolidayPolicy::Closed);
    let closures = closures([closure("jul", "2026-12-24T12:00", "2027-01-02T08:00")]);
    let rows = [
        ("2026-12-24T11:59:59", "open", "week"),
        ("2026-12-24T12:00", "closure", "closure jul"),
        ("2026-12-25T10:00", "closure", "closure jul"),
        ("2027-01-02T07:59:59", "closure", "closure jul"),
        ("2027-01-02T08:00", "open", "week"),
    ];
    check(&hours, &closures, &rows);
    let christmas = state(&hours, &closures, "2026-12-25T10:00");
    assert_eq!((christmas.name.as_deref(), christmas.play), (Some("jul"), Some("melding".into())));
    assert_eq!(
        (christmas.since, christmas.until),
        (Some(at("2026-12-24T12:00")), Some(at("2027-01-02T08:00")))
    );
}

#[test]
fn g8_a_half_day_ends_at_noon() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.named_days.insert("onsdag_for_skjaertorsdag".into(), day("08:00-12:00"));
    let rows = [
        ("2026-04-01T11:59", "open", "named day onsdag_for_skjaertorsdag"),
        ("2026-04-01T12:00", "closed", "named day onsdag_for_skjaertorsdag"),
    ];
    check(&hours, &no(), &rows);
}

#[test]
fn g9_a_zone_that_does_not_exist_is_known_to_be_none() {
    // The load refuses such a zone; here it must not be taken for another one.
    assert!(TimeZone::get("Europe/Olso").is_err());
}

#[test]
fn g10_a_named_span_is_a_category_of_its_own() {
    let hours = hours("08:00-16:00, 11:30-12:00 lunsj", "", "");
    let rows = [
        ("2026-11-23T11:29", "open", "week"),
        ("2026-11-23T11:45", "lunsj", "week"),
        ("2026-11-23T12:00", "open", "week"),
    ];
    check(&hours, &no(), &rows);
}

#[test]
fn a_higher_rule_cuts_a_span_over_midnight_unless_it_may_spill() {
    let mut hours = hours("20:00-03:00", "20:00-03:00", "20:00-03:00");
    hours.holidays = Some(HolidayPolicy::Closed);
    check(&hours, &no(), &[("2026-12-25T01:00", "holiday", "public holiday jul1")]);
    // From a holiday into an ordinary day nothing is left either: the holiday opened nothing.
    check(&hours, &no(), &[("2026-12-27T01:00", "closed", "default")]);
    hours.spill_into_holiday = true;
    check(
        &hours,
        &no(),
        &[("2026-12-25T01:00", "open", "week"), ("2026-12-25T03:00", "holiday", "public holiday jul1")],
    );
}

#[test]
fn of_closures_the_latest_begun_wins_and_then_the_latest_written() {
    let hours = hours("08:00-16:00", "", "");
    let all = closures([
        closure("lang", "2026-07-01T00:00", "2026-08-01T00:00"),
        closure("b", "2026-07-10T00:00", "2026-07-20T00:00"),
        closure("a", "2026-07-10T00:00", "2026-07-12T00:00"),
    ]);
    let rows = [
        ("2026-07-09T10:00", "closure", "closure lang"),
        ("2026-07-10T10:00", "closure", "closure a"),
        ("2026-07-12T10:00", "closure", "closure b"),
        ("2026-07-20T10:00", "closure", "closure lang"),
    ];
    check(&hours, &all, &rows);
    let mut other = all;
    other.values_mut().for_each(|closure| closure.hours = vec!["lager".into()]);
    check(&hours, &other, &[("2026-07-10T10:00", "open", "week")]);
}

#[test]
fn other_hours_of_a_closure_hold_on_days_on_which_the_template_opens() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.holidays = Some(HolidayPolicy::Closed);
    let mut summer = closure("sommertid", "2027-05-10T00:00", "2027-05-24T00:00");
    summer.open = Some(day("08:00-15:00"));
    let all = closures([summer]);
    let rows = [
        ("2027-05-14T14:59", "open", "closure sommertid"),
        ("2027-05-14T15:30", "closed", "closure sommertid"),
        // Saturday, and a holiday.
        ("2027-05-15T10:00", "closed", "default"),
        ("2027-05-17T10:00", "holiday", "public holiday mai17 and pinse2"),
    ];
    check(&hours, &all, &rows);
    assert_eq!(state(&hours, &all, "2027-05-14T10:00").play, None);
    assert_eq!(state(&hours, &all, "2027-05-14T15:30").play, Some("melding".into()));
}

#[test]
fn a_holiday_may_have_a_policy_of_its_own_or_count_as_none() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.holidays = Some(HolidayPolicy::Closed);
    hours.holiday_policies.insert("mai17".into(), HolidayPolicy::Spans(day("10:00-12:00")));
    let both = "public holiday mai17 and pinse2";
    check(&hours, &no(), &[("2027-05-17T11:00", "open", both), ("2027-05-17T13:00", "holiday", both)]);
    hours.holiday_policies.insert("mai17".into(), HolidayPolicy::Normal);
    check(&hours, &no(), &[("2027-05-17T11:00", "holiday", "public holiday pinse2")]);
    hours.holiday_policies.insert("pinse2".into(), HolidayPolicy::Normal);
    check(&hours, &no(), &[("2027-05-17T11:00", "open", "week")]);
    hours.holidays = None;
    hours.holiday_policies = BTreeMap::from([("jul1".into(), HolidayPolicy::Closed)]);
    let rows = [("2026-12-25T10:00", "holiday", "public holiday jul1"), ("2026-05-01T10:00", "open", "week")];
    check(&hours, &no(), &rows);
}

#[test]
fn own_dates_come_every_year_or_once_and_leap_day_only_when_it_exists() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.dates = vec![
        OwnDate { on: DatePattern::Once(date(2026, 12, 30)), day: day("08:00-10:00") },
        OwnDate { on: DatePattern::Yearly(12, 30), day: day("08:00-14:00") },
        OwnDate { on: DatePattern::Yearly(2, 29), day: Vec::new() },
    ];
    let rows = [
        ("2026-12-30T12:00", "closed", "own date"),
        ("2027-12-30T12:00", "open", "own date"),
        ("2027-03-01T12:00", "open", "week"),
        ("2028-02-29T12:00", "closed", "own date"),
    ];
    check(&hours, &no(), &rows);
    // Where the file wants it, the leap day is the day before in common years, unless that day has hours of its own.
    hours.dates[2].on = DatePattern::LeapDay;
    let rows = [
        ("2028-02-28T12:00", "open", "week"),
        ("2028-02-29T12:00", "closed", "own date"),
        ("2029-02-28T12:00", "closed", "own date"),
        ("2029-03-01T12:00", "open", "week"),
    ];
    check(&hours, &no(), &rows);
    hours.dates.insert(0, OwnDate { on: DatePattern::Yearly(2, 28), day: day("11:00-13:00") });
    check(
        &hours,
        &no(),
        &[("2029-02-28T12:00", "open", "own date"), ("2028-02-29T12:00", "closed", "own date")],
    );
}

#[test]
fn a_period_with_other_hours_opens_no_day_that_the_week_leaves_closed() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.named_days.insert("fellesferie".into(), day("09:00-14:00"));
    let rows = [
        // Week 28 of 2026 is 6–12 July.
        ("2026-07-05T10:00", "closed", "default"),
        ("2026-07-06T10:00", "open", "named day fellesferie"),
        ("2026-07-11T10:00", "closed", "default"),
        ("2026-07-24T15:00", "closed", "named day fellesferie"),
        ("2026-07-27T15:00", "open", "week"),
    ];
    check(&hours, &no(), &rows);
}

#[test]
fn what_is_set_by_hand_rules_until_its_time_is_up() {
    let (hours, id) = (hours("08:00-16:00", "", ""), HoursId::from("kontor"));
    let until = Some(at("2026-11-23T12:00"));
    let hand = ByHand { category: "closed".into(), until };
    let state = |time| state_at(&hours, &id, &no(), Some(&hand), at(time));
    let before = state("2026-11-23T10:00");
    assert_eq!((&*before.category, &before.source, before.until), ("closed", &Source::ByHand, until));
    let after = state("2026-11-23T12:00");
    assert_eq!((&*after.category, after.source, after.since), ("open", Source::Week, until));
    let opens = |hand: &ByHand, time| next_open(&hours, &id, &no(), Some(hand), at(time));
    assert_eq!(opens(&hand, "2026-11-23T10:00"), until);
    assert_eq!(opens(&hand, "2026-11-23T17:00"), Some(at("2026-11-24T08:00")));
    let for_ever = ByHand { category: "closed".into(), until: None };
    assert_eq!(opens(&for_ever, "2026-11-23T10:00"), None);
}

#[test]
fn the_next_opening_is_found_behind_holidays_and_may_not_exist() {
    let mut hours = hours("08:00-16:00", "", "");
    hours.holidays = Some(HolidayPolicy::Closed);
    let opens = |hours: &Hours, time| next_open(hours, &HoursId::from("kontor"), &no(), None, at(time));
    assert_eq!(opens(&hours, "2026-04-01T17:00"), Some(at("2026-04-07T08:00")));
    assert_eq!(opens(&hours, "2026-04-07T09:00"), Some(at("2026-04-07T09:00")));
    hours.week = Default::default();
    assert_eq!(opens(&hours, "2026-04-07T09:00"), None);
    hours.week = [(); 7].map(|()| day("00:00-24:00"));
    hours.holidays = None;
    let always = state(&hours, &no(), "2026-04-07T09:00");
    assert_eq!((always.since, always.until), (None, None));
}

#[test]
fn easter_falls_as_computed_elsewhere() {
    let rows = [
        (1818, 3, 22),
        (1943, 4, 25),
        (2026, 4, 5),
        (2027, 3, 28),
        (2028, 4, 16),
        (2029, 4, 1),
        (2030, 4, 21),
        (2031, 4, 13),
        (2032, 3, 28),
        (2038, 4, 25),
        (2076, 4, 19),
    ];
    for (year, month, day) in rows {
        assert_eq!(holidays::easter(year), date(year, month, day));
        let on: Vec<&str> = holidays::on(date(year, month, day)).iter().map(|day| day.id.as_str()).collect();
        assert_eq!(on, ["paske1"]);
    }
}

#[test]
fn every_year_has_twelve_holidays_and_the_named_days_stand_beside_them() {
    for year in 1990..2060 {
        let mut days =
            (0..366).map(|n| date(year, 1, 1).saturating_add(n.days())).filter(|day| day.year() == year);
        let count: usize = days.clone().map(|day| holidays::on(day).len()).sum();
        assert_eq!(count, 12, "{year}");
        assert!(days.all(|day| holidays::named_days(day).len() <= 1), "{year}");
        // A Monday that is both, in 2027 and 2032 only.
        let both = holidays::on(date(year, 5, 17)).iter().any(|day| day.id.as_str() == "pinse2");
        assert_eq!(both, [2027, 2032].contains(&year), "{year}");
    }
}

/// An answer of the reference: category and source in words.
type Painted = (Arc<str>, String);

/// Minutes of some weeks, each with its local time, painted from the lowest rule to the highest.
struct Canvas {
    first: Timestamp,
    local: Vec<DateTime>,
}

impl Canvas {
    fn new(around: Date) -> Canvas {
        let zone = TimeZone::get("Europe/Oslo").unwrap();
        let first = (around - 9.days()).to_zoned(zone.clone()).unwrap().timestamp();
        let minute = |n: i64| zone.to_datetime(first + jiff::SignedDuration::from_mins(n));
        Canvas { first, local: (0..18 * 1440).map(minute).collect() }
    }

    /// The minutes from the first at or after a local time to the last before another.
    fn between(&self, from: DateTime, to: DateTime) -> std::ops::Range<usize> {
        let start = self.local.iter().position(|local| *local >= from).unwrap_or(self.local.len());
        let end = self.local.iter().rposition(|local| *local < to).map_or(0, |last| last + 1);
        start..end.max(start)
    }

    fn span(&self, day: Date, span: &Span) -> std::ops::Range<usize> {
        let midnight = |day: Date| day.to_datetime(jiff::civil::Time::midnight());
        let time = |day: Date, minute: u16| midnight(day).saturating_add(i64::from(minute).minutes());
        let end = if span.to <= span.from { day.tomorrow().unwrap() } else { day };
        self.between(time(day, span.from), time(end, span.to))
    }

    fn paint(&self, hours: &Hours, closures: &BTreeMap<ClosureId, Closure>) -> Vec<Painted> {
        let mut painted: Vec<Painted> = vec![("".into(), String::new()); self.local.len()];
        let (first, last) = (self.local[0].date().tomorrow().unwrap(), self.local.last().unwrap().date());
        let mut closures: Vec<(&ClosureId, &Closure)> = closures.iter().collect();
        closures.sort_by_key(|(_, closure)| (closure.from, closure.order));
        let range = |closure: &Closure| (self.between(closure.from, closure.to), closure.open.is_some());
        let ranges: Vec<_> = closures.iter().map(|(_, closure)| range(closure)).collect();
        for day in first.series(1.day()).take_while(|day| *day < last) {
            let yesterday = day.yesterday().unwrap();
            let (rule, before) = (rule(hours, day), rule(hours, yesterday));
            let opens = |rule: &Rule| rule.spans.iter().any(|span| &*span.category == "open");
            let today = self.between(day.at(0, 0, 0, 0), day.tomorrow().unwrap().at(0, 0, 0, 0));
            let mut put = |range: std::ops::Range<usize>,
                           inside: &std::ops::Range<usize>,
                           category: &Arc<str>,
                           source: &str| {
                let (start, end) = (range.start.max(inside.start), range.end.min(inside.end));
                for minute in &mut painted[start..end.max(start)] {
                    *minute = (category.clone(), source.to_owned());
                }
            };
            put(today.clone(), &today, &rule.outside.0, &rule.outside.1);
            // Hours that a closure replaced yesterday do not go on today, where the closure leaves the day alone.
            let replaced = |minute: usize| {
                let by = |(range, open): &(std::ops::Range<usize>, bool)| {
                    *open && range.contains(&minute) && range.start < today.start
                };
                opens(&before) && ranges.iter().any(by)
            };
            if before.level <= rule.level || hours.spill_into_holiday {
                for span in before.spans.iter().filter(|span| span.to <= span.from) {
                    for minute in self.span(yesterday, span) {
                        if !replaced(minute) {
                            put(minute..minute + 1, &today, &span.category, &before.source);
                        }
                    }
                }
            }
            for span in &rule.spans {
                put(self.span(day, span), &today, &span.category, &rule.source);
            }
            for (id, closure) in &closures {
                let range = self.between(closure.from, closure.to);
                let range = range.start.max(today.start)..range.end.min(today.end);
                let source = format!("closure {id}");
                let Some(open) = &closure.open else {
                    put(range.clone(), &range, &"closure".into(), &source);
                    continue;
                };
                if opens(&rule) {
                    put(range.clone(), &range, &"closed".into(), &source);
                }
                for span in open.iter().filter(|span| span.to <= span.from && opens(&before)) {
                    let span_range = self.span(yesterday, span);
                    if span_range.start >= self.between(closure.from, closure.to).start {
                        put(span_range, &range, &span.category, &source);
                    }
                }
                for span in open.iter().filter(|_| opens(&rule)) {
                    put(self.span(day, span), &range, &span.category, &source);
                }
            }
        }
        painted
    }
}

/// What the reference knows of a day without closures.
struct Rule {
    level: u8,
    spans: Day,
    source: String,
    outside: Painted,
}

/// The holidays of the weeks that are tried, copied from a calendar.
const CALENDAR: [(Date, &str); 13] = [
    (date(2026, 4, 2), "skjaertorsdag"),
    (date(2026, 4, 3), "langfredag"),
    (date(2026, 4, 5), "paske1"),
    (date(2026, 4, 6), "paske2"),
    (date(2026, 12, 25), "jul1"),
    (date(2026, 12, 26), "jul2"),
    (date(2027, 1, 1), "nyttarsdag"),
    (date(2027, 5, 16), "pinse1"),
    (date(2027, 5, 17), "mai17 and pinse2"),
    (date(2027, 3, 25), "skjaertorsdag"),
    (date(2027, 3, 26), "langfredag"),
    (date(2027, 3, 28), "paske1"),
    (date(2027, 3, 29), "paske2"),
];

fn rule(hours: &Hours, day: Date) -> Rule {
    let own = hours.dates.iter().rfind(|own| own.on == DatePattern::Once(day));
    let holiday = CALENDAR.iter().find(|(on, _)| *on == day).map(|(_, id)| *id);
    let named = if day == date(2026, 12, 24) { hours.named_days.get("julaften") } else { None };
    let week = &hours.week[day.weekday().to_monday_zero_offset() as usize];
    let rule = |level, spans: &Day, source: &str, outside: &str, outside_source: &str| Rule {
        level,
        spans: spans.clone(),
        source: source.into(),
        outside: (outside.into(), outside_source.into()),
    };
    match (own, holiday, &hours.holidays, named) {
        (Some(own), ..) => rule(0, &own.day, "own date", "closed", "own date"),
        (None, Some(id), Some(policy), _) => {
            let spans = match policy {
                HolidayPolicy::AsSunday => hours.week[6].clone(),
                HolidayPolicy::Spans(day) => day.clone(),
                HolidayPolicy::Closed | HolidayPolicy::Normal => Vec::new(),
            };
            let source = format!("public holiday {id}");
            rule(1, &spans, &source, "holiday", &source)
        }
        (None, _, _, Some(day)) => rule(2, day, "named day julaften", "closed", "named day julaften"),
        _ => rule(3, week, "week", "closed", "default"),
    }
}

fn any_day() -> impl Strategy<Value = Day> {
    let span = (0..96u16, 0..=96u16, prop_oneof![3 => Just("open"), 1 => Just("lunsj")]);
    let span = span.prop_map(|(from, to, category)| Span {
        from: from * 15,
        to: to * 15,
        category: category.into(),
    });
    prop::collection::vec(span, 0..3)
}

fn any_hours(around: Date) -> impl Strategy<Value = Hours> {
    let policy = prop_oneof![
        Just(None),
        Just(Some(HolidayPolicy::Closed)),
        Just(Some(HolidayPolicy::AsSunday)),
        any_day().prop_map(|day| Some(HolidayPolicy::Spans(day))),
    ];
    let own = (-7..7i64, any_day())
        .prop_map(move |(days, day)| OwnDate { on: DatePattern::Once(around + days.days()), day });
    let week = prop::array::uniform7(any_day());
    (week, policy, prop::option::of(any_day()), prop::collection::vec(own, 0..3), any::<bool>()).prop_map(
        |(week, policy, julaften, dates, spill_into_holiday)| Hours {
            week,
            holidays: policy,
            named_days: julaften.into_iter().map(|day| ("julaften".into(), day)).collect(),
            dates,
            spill_into_holiday,
            ..hours("", "", "")
        },
    )
}

fn any_closures(around: Date) -> impl Strategy<Value = BTreeMap<ClosureId, Closure>> {
    let one = (-6 * 96..6 * 96i64, 1..4 * 96i64, prop::option::of(any_day()));
    prop::collection::vec(one, 0..2).prop_map(move |all| {
        let closure = |(order, (from, length, open)): (usize, (i64, i64, Option<Day>))| {
            let from = around.at(0, 0, 0, 0) + (from * 15).minutes();
            let id = format!("c{order}");
            let base = closure(&id, "2026-01-01T00:00", "2026-01-02T00:00");
            (ClosureId::from(id), Closure { from, to: from + (length * 15).minutes(), open, order, ..base })
        };
        all.into_iter().enumerate().map(closure).collect()
    })
}

fn any_case() -> impl Strategy<Value = (Date, Hours, BTreeMap<ClosureId, Closure>)> {
    // Clock changes in spring and autumn, Easter, Christmas, and the double holiday.
    let around = [
        date(2026, 3, 29),
        date(2026, 4, 4),
        date(2026, 10, 25),
        date(2026, 12, 26),
        date(2027, 3, 28),
        date(2027, 5, 17),
    ];
    prop::sample::select(around.to_vec())
        .prop_flat_map(|around| (Just(around), any_hours(around), any_closures(around)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_minute_agrees_with_the_painted_reference((around, hours, closures) in any_case()) {
        let canvas = Canvas::new(around);
        let painted = canvas.paint(&hours, &closures);
        let time = |minute: usize| canvas.first + jiff::SignedDuration::from_mins(minute as i64);
        // Two days at each end are left out: what reaches into them is not painted.
        for minute in (2 * 1440..16 * 1440).step_by(29) {
            let state = state_at(&hours, &HoursId::from("kontor"), &closures, None, time(minute));
            let answer = (state.category.clone(), state.source.to_string());
            prop_assert_eq!(&answer, &painted[minute], "at {}", canvas.local[minute]);
            let until = (minute..16 * 1440).find(|&minute| painted[minute] != answer);
            let since = (2 * 1440..minute).rev().find(|&minute| painted[minute] != answer);
            if let Some(until) = until {
                prop_assert_eq!(state.until, Some(time(until)), "until, at {}", canvas.local[minute]);
            }
            if let Some(since) = since {
                prop_assert_eq!(state.since, Some(time(since + 1)), "since, at {}", canvas.local[minute]);
            }
        }
    }
}
