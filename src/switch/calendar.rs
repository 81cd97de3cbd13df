//! Opening hours as people ask for them, and the warning before a holiday that nobody has thought of.

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::command::Answer;
use crate::model::company::Company;
use crate::model::hours::Hours;
use crate::model::hours::HoursView;
use crate::model::id::CompanyId;
use crate::model::id::HoursId;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::hours;
use crate::switch::hours::year;
use crate::time::Now;
use crate::time::Timestamp;

/// Days before a holiday on which it is warned of.
const WARN_BEFORE: [i64; 2] = [14, 3];
/// The hour of the day at which it is.
const WARN_AT: i8 = 8;

impl Switch {
    /// Templates as asked for; a name that no company has is refused.
    pub(crate) fn hours_views(
        &self,
        company: Option<&CompanyId>,
        id: Option<&HoursId>,
        at: Timestamp,
        year: Option<i16>,
    ) -> Answer {
        if let Some(company) = company.filter(|company| !self.config.companies.contains_key(*company)) {
            return refused(format!("there is no company \"{company}\""));
        }
        let days = match year.map(|year| (Date::new(year, 1, 1), Date::new(year, 12, 31))) {
            None => None,
            Some((Ok(first), Ok(last))) if first.year() >= 1583 => Some((first, last)),
            Some(_) => return refused(format!("the year {} cannot be shown", year.unwrap_or_default())),
        };
        let companies = self.config.companies.values();
        let companies = companies.filter(|of| company.is_none_or(|company| of.id == *company));
        let mut views = Vec::new();
        for of in companies {
            for (hours_id, template) in of.hours.iter().filter(|(of, _)| id.is_none_or(|id| *of == id)) {
                views.extend(self.hours_view(of, hours_id, template, at, days));
            }
        }
        match (views.is_empty(), id) {
            (true, Some(id)) => {
                refused(format!("there are no hours \"{id}\"; `sentral hours list` lists them"))
            }
            _ => Answer::Hours { hours: views },
        }
    }

    fn hours_view(
        &self,
        company: &std::sync::Arc<Company>,
        id: &HoursId,
        template: &Hours,
        at: Timestamp,
        days: Option<(Date, Date)>,
    ) -> Option<HoursView> {
        // Other times than now are looked up apart, so that the tables stay those of now.
        let by_hand = self.toggles.by_hand(company, id, at);
        let closures = &company.closures;
        let state = hours::state_at(template, id, closures, by_hand.as_ref(), at);
        let opens =
            hours::next_open(template, id, closures, by_hand.as_ref(), at).filter(|opens| *opens > at);
        let today = zone(&template.zone).to_datetime(at).date();
        let forgotten = year::open_holidays(template, id, closures, today, WARN_BEFORE[0] + 1);
        Some(HoursView {
            company: company.id.clone(),
            id: id.clone(),
            name: template.name.to_string(),
            zone: template.zone.to_string(),
            at,
            category: state.category.to_string(),
            rule: state.source.to_string(),
            day: state.name.map(|name| name.to_string()),
            since: state.since,
            until: state.until,
            opens,
            open_holidays: forgotten.into_iter().map(|(date, name)| format!("{date} {name}")).collect(),
            days: days
                .map(|(first, last)| year::days(template, id, closures, first, last))
                .unwrap_or_default(),
        })
    }

    /// The next time at which holidays are looked for.
    pub(crate) fn set_calendar(&mut self, now: Now) {
        let zone = zone(&self.config.server.zone);
        let today = zone.to_datetime(now.utc).date();
        let at = |day: Date| day.at(WARN_AT, 0, 0, 0).to_zoned(zone.clone()).ok().map(|at| at.timestamp());
        let next = at(today).filter(|at| *at > now.utc).or_else(|| at(today.tomorrow().ok()?));
        let wait = next.and_then(|next| Duration::try_from(next.duration_since(now.utc)).ok());
        self.timers.set(Timer::Calendar, now.mono + wait.unwrap_or(Duration::from_secs(86_400)));
    }

    /// Warns of holidays a fortnight and three days ahead on which a company would be open as on any other day.
    pub(crate) fn warn_of_holidays(&mut self, now: Now) {
        self.set_calendar(now);
        let config = std::sync::Arc::clone(&self.config);
        for company in config.companies.values() {
            for (id, template) in &company.hours {
                let today = zone(&template.zone).to_datetime(now.utc).date();
                for ahead in WARN_BEFORE {
                    let Ok(date) = today.checked_add(ahead.days()) else { continue };
                    for (date, name) in year::open_holidays(template, id, &company.closures, date, 1) {
                        let why = format!(
                            "hours \"{id}\" are open on {date} ({name}), in {ahead} days: write {} in the template, \
                             or holidays = \"no\"",
                            remedy(date)
                        );
                        self.alarm(now, &company.id, "hours.holiday_open", &why);
                    }
                }
            }
        }
    }
}

/// The key that says what a holiday does.
fn remedy(date: Date) -> String {
    let holiday = crate::switch::holidays::on(date).into_iter().next();
    holiday.map_or_else(String::new, |holiday| format!("{} = \"closed\" or \"normal\"", holiday.id))
}

/// A configuration with an unknown zone is refused at load.
fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn refused(why: String) -> Answer {
    Answer::Refused { why, not_found: true }
}
