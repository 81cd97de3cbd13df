//! What a telephone is told of a toggle that its code has set, and how long it shall be on: hours or a time of day.

use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::model::prompt::PromptKey;
use crate::switch::flow::stage::Stage;
use crate::switch::say::What;
use crate::switch::service::Service;
use crate::time::Timestamp;

/// Seconds of an hour.
const HOUR_S: i64 = 3600;

/// Reads `2` as in two hours and `1630` as the next half past four; `None` for anything else.
pub(crate) fn until(stage: &Stage<'_>, text: &str) -> Option<Timestamp> {
    if text.len() == 3 { None } else { ahead(stage, text, HOUR_S) }
}

/// Reads one to three digits as so many units of `unit_s` seconds, and four as the next time that the clock shows
/// them; `None` for anything else.
pub(crate) fn ahead(stage: &Stage<'_>, text: &str, unit_s: i64) -> Option<Timestamp> {
    let now = stage.ctx.now;
    if !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        1..=3 => {
            let units = text.parse::<i64>().ok().filter(|units| *units > 0)?;
            Timestamp::from_second(now.as_second() + units * unit_s).ok()
        }
        4 => {
            let (hour, minute) = (text[..2].parse().ok()?, text[2..].parse().ok()?);
            let time = Time::new(hour, minute, 0, 0).ok()?;
            let zone = zone(stage);
            let today = zone.to_datetime(now).date();
            let at = |local: DateTime| local.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
            let first = at(today.to_datetime(time))?;
            if first > now { Some(first) } else { at(today.tomorrow().ok()?.to_datetime(time)) }
        }
        _ => None,
    }
}

/// "The switch is on, until eight o'clock tomorrow."
pub(crate) fn told(stage: &mut Stage<'_>, service: &Service, on: bool) -> Vec<PromptKey> {
    stage.tell(if on { "the toggle is on" } else { "the toggle is off" });
    if !on {
        return vec![stage.system("toggle/off")];
    }
    let mut prompts = vec![stage.system("toggle/on")];
    let Service::ToggleUntil(_, text) = service else { return prompts };
    let Some(until) = until(stage, text) else { return prompts };
    prompts.extend(said_until(stage, until));
    prompts
}

/// "Until eight o'clock tomorrow."
pub(crate) fn said_until(stage: &Stage<'_>, until: Timestamp) -> Vec<PromptKey> {
    let zone = zone(stage);
    let (at, today) = (zone.to_datetime(until), zone.to_datetime(stage.ctx.now).date());
    let mut prompts = vec![stage.system("toggle/until")];
    if at.date() != today {
        prompts.extend(stage.said(&What::Date { date: at.date(), today }));
    }
    // Both are within their ranges, so never negative.
    let (hour, minute) = (at.hour().unsigned_abs(), at.minute().unsigned_abs());
    prompts.extend(stage.said(&What::Time { hour, minute }));
    prompts
}

/// The company's zone, which is known to exist.
fn zone(stage: &Stage<'_>) -> TimeZone {
    TimeZone::get(&stage.ctx.company.zone).unwrap_or(TimeZone::UTC)
}
