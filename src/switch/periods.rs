//! Time cut into periods of a zone's calendar, for reports. Days and longer go from midnight to midnight, so that the
//! days of the clock change have 23 and 25 hours; hours are always sixty minutes.

use std::sync::Arc;

use jiff::Span;
use jiff::ToSpan as _;
use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::Config;
use crate::model::company::Company;
use crate::model::report::Every;
use crate::model::report::Period;
use crate::model::report::Plan;
use crate::model::report::ReportAsk;
use crate::model::report::Subject;
use crate::time::Timestamp;

/// Periods of one report at most.
const PERIODS_MAX: usize = 1_000;

/// What a report would be made of; else what was asked that is not there, and whether that is a name.
pub fn plan(config: &Config, ask: ReportAsk, now: Timestamp) -> Result<Plan, (String, bool)> {
    let only = || (config.companies.len() == 1).then(|| config.companies.keys().next().cloned()).flatten();
    let id =
        ask.company.clone().or_else(only).ok_or_else(|| {
            ("several companies are here: say whose report with --company".to_owned(), false)
        })?;
    let company = config.companies.get(&id).ok_or_else(|| (format!("there is no company \"{id}\""), true))?;
    let zone = TimeZone::get(&company.zone).unwrap_or(TimeZone::UTC);
    let here = now.to_zoned(zone.clone());
    let at = |local: DateTime| local.to_zoned(zone.clone()).map_err(|error| (error.to_string(), false));
    let from = match ask.from {
        Some(from) => at(from)?,
        None => here.start_of_day().map_err(|error| (error.to_string(), false))?,
    };
    let to = ask.to.map_or(Ok(here), at)?;
    if from >= to {
        return Err((
            format!("the report would end ({to:.0}) before it begins ({from:.0}): give --from before --to"),
            false,
        ));
    }
    let periods = cut(&from, &to, ask.by).ok_or_else(|| {
        (
            format!(
                "that makes more than {PERIODS_MAX} rows: ask for a shorter time, or longer periods with --by"
            ),
            false,
        )
    })?;
    if let Some(named) = &ask.id {
        known(company, ask.subject, named)?;
    }
    Ok(Plan {
        subject: ask.subject,
        company: id,
        zone: Arc::clone(&company.zone),
        language: company.language,
        id: ask.id,
        periods,
    })
}

/// Numbers and steps are not looked up: those of last month may be gone.
fn known(company: &Company, subject: Subject, id: &str) -> Result<(), (String, bool)> {
    let there = match subject {
        Subject::Queue | Subject::Abandoned => match id.split_once(':') {
            Some(("group", id)) => company.groups.contains_key(id),
            Some(("queue", id)) => company.queues.contains_key(id),
            Some(_) => false,
            None => company.queues.contains_key(id) || company.groups.contains_key(id),
        },
        Subject::User => company.users.contains_key(id),
        Subject::Number | Subject::Menu => true,
    };
    let what = match subject {
        Subject::User => "user",
        Subject::Queue | Subject::Abandoned | Subject::Number | Subject::Menu => "queue or group",
    };
    if there { Ok(()) } else { Err((format!("company \"{}\" has no {what} \"{id}\"", company.id), true)) }
}

/// Cuts `from..to`; the first and the last piece may be shorter. None when there would be too many.
pub fn cut(from: &Zoned, to: &Zoned, by: Option<Every>) -> Option<Vec<Period>> {
    let mut periods = Vec::new();
    let mut begins = from.clone();
    while begins < *to {
        if periods.len() == PERIODS_MAX {
            return None;
        }
        let ends = by.and_then(|every| next(&begins, every)).filter(|next| next < to);
        let ends = ends.unwrap_or_else(|| to.clone());
        periods.push(Period {
            name: name(&begins, &ends, by),
            from: begins.timestamp(),
            to: ends.timestamp(),
        });
        begins = ends;
    }
    Some(periods)
}

/// Where the period that holds `at` ends; none at the end of the calendar.
fn next(at: &Zoned, every: Every) -> Option<Zoned> {
    let midnight = |span: Span| at.checked_add(span).ok()?.start_of_day().ok();
    match every {
        Every::Hour => {
            let whole =
                at.round(jiff::ZonedRound::new().smallest(jiff::Unit::Hour).mode(jiff::RoundMode::Floor));
            whole.ok()?.checked_add(1.hour()).ok()
        }
        Every::Day => midnight(1.day()),
        Every::Week => midnight(i64::from(8 - at.weekday().to_monday_one_offset()).days()),
        Every::Month => at.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok(),
    }
}

fn name(from: &Zoned, to: &Zoned, by: Option<Every>) -> String {
    match by {
        // The offset tells the two hours apart that the clock passes twice.
        Some(Every::Hour) => from.strftime("%Y-%m-%d %H:%M%:::z").to_string(),
        Some(Every::Day) => from.strftime("%Y-%m-%d").to_string(),
        Some(Every::Week) => from.strftime("%G-W%V").to_string(),
        Some(Every::Month) => from.strftime("%Y-%m").to_string(),
        None => format!("{} – {}", from.strftime("%Y-%m-%d %H:%M"), to.strftime("%Y-%m-%d %H:%M")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oslo(text: &str) -> Zoned {
        let zone = TimeZone::get("Europe/Oslo").unwrap();
        DateTime::strptime("%Y-%m-%d %H:%M", text).unwrap().to_zoned(zone).unwrap()
    }

    fn names(from: &str, to: &str, by: Every) -> Vec<String> {
        cut(&oslo(from), &oslo(to), Some(by)).unwrap().into_iter().map(|period| period.name).collect()
    }

    #[test]
    fn days_of_the_clock_change_are_whole_days_of_23_and_25_hours() {
        let days = cut(&oslo("2027-03-27 00:00"), &oslo("2027-03-30 00:00"), Some(Every::Day)).unwrap();
        let hours = |of: &Period| of.to.duration_since(of.from).as_hours();
        assert_eq!(days.iter().map(hours).collect::<Vec<_>>(), [24, 23, 24]);
        let autumn = cut(&oslo("2027-10-31 00:00"), &oslo("2027-11-01 00:00"), Some(Every::Hour)).unwrap();
        assert_eq!(autumn.len(), 25);
        assert_eq!(autumn[2].name, "2027-10-31 02:00+02");
        assert_eq!(autumn[3].name, "2027-10-31 02:00+01");
        assert!(autumn.windows(2).all(|pair| pair[0].to == pair[1].from), "no gaps");
        assert_eq!(names("2027-03-28 00:00", "2027-03-29 00:00", Every::Hour).len(), 23);
    }

    #[test]
    fn periods_begin_where_the_calendar_says_and_where_the_report_does() {
        assert_eq!(names("2027-05-12 09:30", "2027-05-12 11:15", Every::Hour).len(), 3);
        assert_eq!(
            names("2027-05-12 09:00", "2027-05-18 12:00", Every::Week),
            ["2027-W19", "2027-W20"],
            "Wednesday to Tuesday"
        );
        assert_eq!(
            names("2027-01-31 00:00", "2027-03-02 00:00", Every::Month),
            ["2027-01", "2027-02", "2027-03"]
        );
        let one = cut(&oslo("2027-05-12 09:00"), &oslo("2027-05-18 12:00"), None).unwrap();
        assert_eq!(one[0].name, "2027-05-12 09:00 – 2027-05-18 12:00");
        assert_eq!(cut(&oslo("2027-01-01 00:00"), &oslo("2028-01-01 00:00"), Some(Every::Hour)), None);
    }
}
