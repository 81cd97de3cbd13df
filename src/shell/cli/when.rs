//! Moments and spans as people type them: `2027-05-17 10:00`, `2027-05-17T08:00:00Z`, `14:30`, `90m`, `7d`.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// A moment: RFC 3339, or date, time or both in the server's zone; a time alone is today's.
///
/// # Errors
/// When the text is none of these, or the zone is not known.
pub(super) fn moment(text: &str, zone: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let zone = TimeZone::get(zone).with_context(|| format!("unknown time zone {zone:?}"))?;
    let today = now.to_zoned(zone.clone()).date();
    let local = DateTime::strptime("%Y-%m-%d %H:%M", text)
        .or_else(|_| DateTime::strptime("%Y-%m-%d %H:%M:%S", text))
        .or_else(|_| Date::strptime("%Y-%m-%d", text).map(|date| date.to_datetime(Time::midnight())))
        .or_else(|_| Time::strptime("%H:%M", text).map(|time| today.to_datetime(time)));
    let local = local.ok().with_context(|| {
        format!(
            "cannot read {text:?} as a moment: write \"2027-05-17 10:00\", \"10:00\" or 2027-05-17T08:00:00Z"
        )
    })?;
    Ok(local.to_zoned(zone)?.timestamp())
}

/// A moment as people of a zone read it; in UTC when the zone is not known.
pub(super) fn local(at: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// A span such as `90s`, `30m`, `1h` or `7d`; `None` when the text is none.
pub(super) fn span(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(digits.parse::<u32>().ok()?.into()) * seconds)
}

/// A moment, or a span back from now.
pub(super) fn since(text: &str, zone: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    match span(text) {
        Some(span) => now.checked_sub(span).with_context(|| format!("{text} is too long ago")),
        None => moment(text, zone, now),
    }
}

/// A moment to come, or a span from now. A time alone that is past today is tomorrow's.
pub(super) fn until(text: &str, zone: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Some(span) = span(text) {
        return now.checked_add(span).with_context(|| format!("{text} is too far off"));
    }
    let at = moment(text, zone, now)?;
    if at > now {
        return Ok(at);
    }
    anyhow::ensure!(Time::strptime("%H:%M", text).is_ok(), "{text} is past: give a moment to come");
    let tomorrow = at.to_zoned(TimeZone::get(zone)?).tomorrow()?;
    Ok(tomorrow.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_servers_zone() {
        let now: Timestamp = "2027-05-17T12:00:00Z".parse().unwrap();
        let rows = [
            // Summer time.
            ("2027-05-17 10:00", Some("2027-05-17T08:00:00Z")),
            // Winter time.
            ("2027-01-17 10:00:30", Some("2027-01-17T09:00:30Z")),
            // Midnight where the server is.
            ("2027-05-17", Some("2027-05-16T22:00:00Z")),
            // Today.
            ("08:30", Some("2027-05-17T06:30:00Z")),
            // A zone of its own.
            ("2027-05-17T10:00:00+01:00", Some("2027-05-17T09:00:00Z")),
            ("tomorrow", None),
            ("2027-02-30 10:00", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let read = moment(text, "Europe/Oslo", now).ok().map(|at| at.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn spans_count_back_for_since_and_on_for_until() {
        let now: Timestamp = "2027-05-17T12:00:00Z".parse().unwrap();
        let show = |at: anyhow::Result<Timestamp>| at.ok().map(|at| at.to_string());
        assert_eq!(show(since("90m", "UTC", now)).as_deref(), Some("2027-05-17T10:30:00Z"));
        assert_eq!(show(until("2d", "UTC", now)).as_deref(), Some("2027-05-19T12:00:00Z"));
        assert_eq!(show(until("16:00", "UTC", now)).as_deref(), Some("2027-05-17T16:00:00Z"));
        assert_eq!(show(until("08:00", "UTC", now)).as_deref(), Some("2027-05-18T08:00:00Z"), "tomorrow");
        assert_eq!(show(until("2027-05-16 08:00", "UTC", now)), None);
        for text in ["", "h", "1", "1y", "-1h", "é"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
