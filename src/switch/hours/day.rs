//! A day laid out as pieces, from instant to instant; an answer begins and ends where neighbouring pieces differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::AmbiguousOffset;
use jiff::tz::TimeZone;

use crate::model::hours::Closure;
use crate::model::hours::DatePattern;
use crate::model::hours::Day;
use crate::model::hours::HolidayPolicy;
use crate::model::hours::Hours;
use crate::model::hours::Minute;
use crate::model::hours::Span;
use crate::model::id::ClosureId;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::switch::holidays;
use crate::switch::holidays::Holiday;
use crate::switch::hours::CLOSED;
use crate::switch::hours::CLOSURE;
use crate::switch::hours::HOLIDAY;
use crate::switch::hours::OPEN;
use crate::switch::hours::SEARCH_DAYS;
use crate::switch::hours::Source;
use crate::time::Timestamp;

/// One template of hours with the closures that can matter, ready to lay out days.
pub(super) struct Timeline<'a> {
    hours: &'a Hours,
    zone: TimeZone,
    /// Highest first: the latest `from`, then the latest in the file.
    closures: Vec<Dated<'a>>,
}

/// A closure between two instants.
struct Dated<'a> {
    id: &'a ClosureId,
    closure: &'a Closure,
    from: Timestamp,
    to: Timestamp,
}

/// A stretch of a day with one answer; it ends where the next begins, or with the day.
pub(super) struct Piece<'a> {
    pub(super) from: Timestamp,
    pub(super) answer: Answer<'a>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) struct Answer<'a> {
    pub(super) category: &'a str,
    pub(super) why: Why<'a>,
}

/// A [`Source`] that costs nothing to copy.
#[derive(Clone, Copy)]
pub(super) enum Why<'a> {
    Closure(&'a ClosureId, &'a Closure),
    Date,
    Holiday([Option<&'static Holiday>; 2]),
    NamedDay(&'static holidays::NamedDay),
    Week,
    Default,
}

/// The rule of a day below the closures.
struct DayRule<'a> {
    /// 0 is the highest: own date, holiday, named day, week.
    level: u8,
    spans: &'a Day,
    inside: Why<'a>,
    outside: Answer<'a>,
}

/// A day's span as instants; `next_day` when it runs over midnight.
struct Stretch<'a> {
    from: Timestamp,
    to: Timestamp,
    next_day: bool,
    category: &'a str,
}

/// Whether a time is meant as the start or the end of something: they differ when a clock change repeats it.
#[derive(Clone, Copy)]
enum Edge {
    Start,
    End,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(
        hours: &'a Hours,
        id: &HoursId,
        closures: &'a BTreeMap<ClosureId, Closure>,
        at: Timestamp,
    ) -> Timeline<'a> {
        // A configuration with an unknown zone is refused at load.
        let zone = TimeZone::get(&hours.zone).unwrap_or(TimeZone::UTC);
        let today = zone.to_datetime(at).date();
        let reach = (SEARCH_DAYS as i64 + 2).days();
        let (first, last) = (today.saturating_sub(reach), today.saturating_add(reach));
        let mut dated: Vec<Dated> = closures
            .iter()
            .filter(|(_, closure)| closure.hours.is_empty() || closure.hours.contains(id))
            .filter(|(_, closure)| closure.from.date() <= last && first <= closure.to.date())
            .map(|(id, closure)| Dated {
                id,
                closure,
                from: instant(&zone, closure.from, Edge::Start),
                to: instant(&zone, closure.to, Edge::End),
            })
            .collect();
        dated.sort_by_key(|dated| std::cmp::Reverse((dated.from, dated.closure.order)));
        Timeline { hours, zone, closures: dated }
    }

    /// What the clocks of the zone show.
    pub(super) fn local(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    pub(super) fn date_of(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// The first instant after `at` whose answer is as asked.
    pub(super) fn next(&self, at: Timestamp, wanted: impl Fn(&Answer<'a>) -> bool) -> Option<Timestamp> {
        if self.never_changes() {
            return None;
        }
        let mut date = self.date_of(at);
        for _ in 0..=SEARCH_DAYS {
            if let Some(piece) = self.day(date).iter().find(|piece| piece.from > at && wanted(&piece.answer))
            {
                return Some(piece.from);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// When the answer of the last of `pieces`, which lie on the day of `at`, began.
    pub(super) fn began(&self, pieces: &[Piece<'a>], at: Timestamp) -> Option<Timestamp> {
        if self.never_changes() {
            return None;
        }
        let answer = pieces.last()?.answer;
        let mut date = self.date_of(at);
        let mut began = None;
        for piece in pieces.iter().rev() {
            if piece.answer != answer {
                return began;
            }
            began = Some(piece.from);
        }
        for _ in 0..SEARCH_DAYS {
            date = date.yesterday().ok()?;
            for piece in self.day(date).iter().rev() {
                if piece.answer != answer {
                    return began;
                }
                began = Some(piece.from);
            }
        }
        None
    }

    /// Whether it is plain to see that one answer holds for ever, so that 400 days need not be looked at.
    fn never_changes(&self) -> bool {
        let hours = self.hours;
        let whole = |span: &Span| (span.from, span.to) == (0, 1440);
        self.closures.is_empty()
            && hours.dates.is_empty()
            && hours.named_days.is_empty()
            && hours.holidays.is_none()
            && hours.holiday_policies.is_empty()
            && hours.week.iter().all(|day| *day == hours.week[0] && day.iter().all(whole))
    }

    /// Lays out a local day: at least one piece, the first beginning with the day, neighbours different.
    pub(super) fn day(&self, date: Date) -> Vec<Piece<'a>> {
        let end = date.tomorrow().map_or(Timestamp::MAX, |next| self.midnight(next));
        let layout = Layout::new(self, date, end);
        let mut cuts = layout.cuts();
        cuts.retain(|cut| (layout.start..end).contains(cut));
        cuts.sort_unstable();
        let mut pieces: Vec<Piece> = Vec::with_capacity(cuts.len());
        for from in cuts {
            let answer = layout.answer(from);
            if pieces.last().is_none_or(|last| last.answer != answer) {
                pieces.push(Piece { from, answer });
            }
        }
        pieces
    }

    pub(super) fn midnight(&self, date: Date) -> Timestamp {
        instant(&self.zone, date.to_datetime(Time::midnight()), Edge::Start)
    }

    /// The highest rule below the closures that says something about a day.
    fn rule(&self, date: Date) -> DayRule<'a> {
        let hours = self.hours;
        let week = &hours.week[date.weekday().to_monday_zero_offset() as usize % 7];
        // Of equals the later in the file.
        let own = hours.dates.iter().filter(|own| falls_on(own.on, date));
        if let Some(own) = own.max_by_key(|own| rank(own.on)) {
            let outside = Answer { category: CLOSED, why: Why::Date };
            return DayRule { level: 0, spans: &own.day, inside: Why::Date, outside };
        }
        if let Some((policy, on)) = self.holiday(date) {
            let why = Why::Holiday(on);
            let spans = match policy {
                HolidayPolicy::Closed | HolidayPolicy::Normal => const { &Vec::new() },
                HolidayPolicy::AsSunday => &hours.week[6],
                HolidayPolicy::Spans(day) => day,
            };
            let outside = Answer { category: HOLIDAY, why };
            return DayRule { level: 1, spans, inside: why, outside };
        }
        if !hours.named_days.is_empty() {
            for named in holidays::named_days(date) {
                let Some(day) = hours.named_days.get(named.id) else { continue };
                // Other hours in a period (`romjul`) are for days on which the week opens at all, as in a closure.
                if named.is_period() && opens(day) && !opens(week) {
                    continue;
                }
                let why = Why::NamedDay(named);
                let outside = Answer { category: CLOSED, why };
                return DayRule { level: 2, spans: day, inside: why, outside };
            }
        }
        let outside = Answer { category: &hours.default_category, why: Why::Default };
        DayRule { level: 3, spans: week, inside: Why::Week, outside }
    }

    /// The public holidays of a day that count, and what they do.
    ///
    /// A holiday treated as `normal` is no holiday. Of two, the one with a policy of its own decides.
    fn holiday(&self, date: Date) -> Option<(&'a HolidayPolicy, [Option<&'static Holiday>; 2])> {
        let hours = self.hours;
        if hours.holidays.is_none() && hours.holiday_policies.is_empty() {
            return None;
        }
        let mut found = [None; 2];
        let mut decides: Option<(&HolidayPolicy, bool)> = None;
        let mut free = found.iter_mut();
        for holiday in holidays::on(date) {
            let own = hours.holiday_policies.get(holiday.id.as_str());
            match own.or(hours.holidays.as_ref()) {
                None | Some(HolidayPolicy::Normal) => {}
                Some(policy) => {
                    if let Some(slot) = free.next() {
                        *slot = Some(holiday);
                    }
                    if decides.is_none_or(|(_, before_is_own)| own.is_some() && !before_is_own) {
                        decides = Some((policy, own.is_some()));
                    }
                }
            }
        }
        decides.map(|(policy, _)| (policy, found))
    }
}

/// A day being laid out.
struct Layout<'t, 'a> {
    start: Timestamp,
    rule: DayRule<'a>,
    spans: Vec<Stretch<'a>>,
    /// The rule of the day before.
    before: DayRule<'a>,
    /// What is left of the spans that began the day before.
    spilled: Vec<Stretch<'a>>,
    closures: Vec<ClosureDay<'t, 'a>>,
}

/// A closure on a day being laid out, with its other hours, if any.
struct ClosureDay<'t, 'a> {
    dated: &'t Dated<'a>,
    spans: Vec<Stretch<'a>>,
    spilled: Vec<Stretch<'a>>,
}

impl<'t, 'a> Layout<'t, 'a> {
    fn new(timeline: &'t Timeline<'a>, date: Date, end: Timestamp) -> Layout<'t, 'a> {
        let zone = &timeline.zone;
        let start = timeline.midnight(date);
        let yesterday = date.yesterday().unwrap_or(date);
        let (rule, before) = (timeline.rule(date), timeline.rule(yesterday));
        let goes_on = before.level <= rule.level || timeline.hours.spill_into_holiday;
        let spilled_spans = if goes_on { spilled(zone, yesterday, before.spans) } else { Vec::new() };
        let closures = timeline.closures.iter().filter(|dated| dated.from < end && start < dated.to);
        let closures = closures.map(|dated| {
            let Some(open) = &dated.closure.open else {
                return ClosureDay { dated, spans: Vec::new(), spilled: Vec::new() };
            };
            let mut left = if before.opens() { spilled(zone, yesterday, open) } else { Vec::new() };
            left.retain(|span| dated.from <= span.from);
            ClosureDay { dated, spans: stretches(zone, date, open), spilled: left }
        });
        let closures = closures.collect();
        let spans = stretches(zone, date, rule.spans);
        Layout { start, rule, spans, before, spilled: spilled_spans, closures }
    }

    /// Every instant at which the answer may change, and the start of the day.
    fn cuts(&self) -> Vec<Timestamp> {
        let mut cuts = vec![self.start];
        let mut stretches: Vec<&[Stretch]> = vec![&self.spans, &self.spilled];
        for closure in &self.closures {
            stretches.extend([&*closure.spans, &*closure.spilled]);
            cuts.extend([closure.dated.from, closure.dated.to]);
        }
        cuts.extend(stretches.into_iter().flatten().flat_map(|stretch| [stretch.from, stretch.to]));
        cuts
    }

    fn answer(&self, at: Timestamp) -> Answer<'a> {
        let mut yesterday_replaced = false;
        for ClosureDay { dated, spans, spilled } in &self.closures {
            if at < dated.from || dated.to <= at {
                continue;
            }
            let why = Why::Closure(dated.id, dated.closure);
            if dated.closure.open.is_none() {
                return Answer { category: CLOSURE, why };
            }
            // Other hours hold on days on which the template opens at all; what they leave is closed.
            let today = self.rule.opens();
            if let Some(category) =
                today.then(|| at_span(spans, at)).flatten().or_else(|| at_span(spilled, at))
            {
                return Answer { category, why };
            }
            if today {
                return Answer { category: CLOSED, why };
            }
            yesterday_replaced |= self.before.opens() && dated.from < self.start;
        }
        if let Some(category) = at_span(&self.spans, at) {
            return Answer { category, why: self.rule.inside };
        }
        match at_span(&self.spilled, at) {
            Some(category) if !yesterday_replaced => Answer { category, why: self.before.inside },
            _ => self.rule.outside,
        }
    }
}

impl DayRule<'_> {
    /// Whether the day opens at all.
    fn opens(&self) -> bool {
        self.outside.category == OPEN || opens(self.spans)
    }
}

fn opens(day: &Day) -> bool {
    day.iter().any(|span| &*span.category == OPEN)
}

/// How particular a date is: the more particular one holds. A leap day that has moved makes room for the day itself.
fn rank(pattern: DatePattern) -> u8 {
    match pattern {
        DatePattern::LeapDay => 0,
        DatePattern::Yearly(..) => 1,
        DatePattern::Once(_) => 2,
    }
}

fn falls_on(pattern: DatePattern, date: Date) -> bool {
    match pattern {
        DatePattern::Yearly(month, day) => (date.month(), date.day()) == (month, day),
        DatePattern::LeapDay => date.month() == 2 && date.day() == if date.in_leap_year() { 29 } else { 28 },
        DatePattern::Once(once) => once == date,
    }
}

/// Of the spans that cover `at`, the last one's category.
fn at_span<'a>(spans: &[Stretch<'a>], at: Timestamp) -> Option<&'a str> {
    spans.iter().rfind(|span| span.from <= at && at < span.to).map(|span| span.category)
}

/// The spans of a day as instants.
fn stretches<'a>(zone: &TimeZone, date: Date, day: &'a Day) -> Vec<Stretch<'a>> {
    let stretch = |span: &'a Span| {
        let next_day = span.to <= span.from;
        let end = if next_day { date.tomorrow().unwrap_or(date) } else { date };
        Stretch {
            from: instant(zone, local(date, span.from), Edge::Start),
            to: instant(zone, local(end, span.to), Edge::End),
            next_day,
            category: &span.category,
        }
    };
    day.iter().map(stretch).collect()
}

/// Those spans of a day that run over midnight.
fn spilled<'a>(zone: &TimeZone, date: Date, day: &'a Day) -> Vec<Stretch<'a>> {
    if day.iter().all(|span| span.from < span.to) {
        return Vec::new();
    }
    let mut spans = stretches(zone, date, day);
    spans.retain(|span| span.next_day);
    spans
}

fn local(date: Date, minute: Minute) -> DateTime {
    match Time::new((minute / 60) as i8, (minute % 60) as i8, 0, 0) {
        Ok(time) => date.to_datetime(time),
        // 24:00.
        Err(_) => date.tomorrow().unwrap_or(date).to_datetime(Time::midnight()),
    }
}

/// A local time as an instant. A time inside the gap of a clock change is moved to the end of the gap; of a
/// repeated time, the first is a start and the second an end.
fn instant(zone: &TimeZone, local: DateTime, edge: Edge) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let far = if local.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
    match (ambiguous.offset(), edge) {
        (AmbiguousOffset::Gap { after, .. }, _) => {
            // With the offset after the gap, a time inside it is an instant before it.
            let earlier = after.to_timestamp(local).unwrap_or(far);
            zone.following(earlier).next().map_or(earlier, |transition| transition.timestamp())
        }
        (_, Edge::Start) => ambiguous.earlier().unwrap_or(far),
        (_, Edge::End) => ambiguous.later().unwrap_or(far),
    }
}

impl PartialEq for Why<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Why::Closure(a, _), Why::Closure(b, _)) => a == b,
            (Why::Holiday(a), Why::Holiday(b)) => {
                a.map(|day| day.map(|day| day.id)) == b.map(|day| day.map(|day| day.id))
            }
            (Why::NamedDay(a), Why::NamedDay(b)) => a.id == b.id,
            (Why::Date, Why::Date) | (Why::Week, Why::Week) | (Why::Default, Why::Default) => true,
            _ => false,
        }
    }
}

impl<'a> Answer<'a> {
    pub(super) fn source(self) -> Source {
        match self.why {
            Why::Closure(id, _) => Source::Closure(id.clone()),
            Why::Date => Source::Date,
            Why::Holiday(on) => Source::Holiday(on.iter().flatten().map(|holiday| holiday.id).collect()),
            Why::NamedDay(day) => Source::NamedDay(day.id.into()),
            Why::Week => Source::Week,
            Why::Default => Source::Default,
        }
    }

    pub(super) fn name(self) -> Option<Arc<str>> {
        match self.why {
            Why::Closure(_, closure) => Some(closure.name.clone()),
            Why::Holiday([Some(one), None]) => Some(one.nb.into()),
            Why::Holiday(on) => {
                let names: Vec<&str> = on.iter().flatten().map(|holiday| holiday.nb).collect();
                Some(names.join(" / ").into())
            }
            Why::NamedDay(day) => Some(day.nb.into()),
            Why::Date | Why::Week | Why::Default => None,
        }
    }

    /// The closure's message, where it does not itself open.
    pub(super) fn play(self) -> Option<&'a MediaId> {
        match self.why {
            Why::Closure(_, closure) if self.category != OPEN => closure.play.as_ref(),
            _ => None,
        }
    }
}
