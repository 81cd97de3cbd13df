//! The log of decisions in SQLite: one row per event, by company and number, only ever added to at one end and
//! trimmed at the other.
//!
//! Numbers come from the core, and rows through the journal: what a killed process wrote there is brought in at the
//! next start before numbers are given again. So the log has no gap and no double. (Only a disk that stays full until
//! 16 MB of facts wait in memory loses events; their numbers are missing then, which tells that they were lost.)
//! A small table of hours leads from times to numbers, also when the clock was set back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::Transaction;
use rusqlite::params;

use crate::model::event::Event;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::shell::store::state::Database;

/// The tables.
pub(super) const SCHEMA: &str = "
    DROP TABLE decision;
    CREATE TABLE event (
        company TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, call TEXT, event TEXT NOT NULL,
        why TEXT NOT NULL, fields TEXT, PRIMARY KEY (company, seq)) WITHOUT ROWID;
    CREATE INDEX event_call ON event (call) WHERE call IS NOT NULL;
    CREATE TABLE event_hour (
        company TEXT NOT NULL, hour INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        PRIMARY KEY (company, hour)) WITHOUT ROWID;
";
/// Events of one company kept at most.
const EVENTS_MAX: i64 = 20_000_000;
/// Rows removed at a time, so that a long history does not keep the writer from its work.
const TRIM_MAX: i64 = 50_000;
/// The longest day, and an hour: whoever wants today's events, in whatever zone, finds them in this time.
const A_DAY: Duration = Duration::from_secs(26 * 3_600);
/// Rows of a call given at most.
const CALL_EVENTS_MAX: usize = 5_000;
const COLUMNS: &str = "company, seq, at, call, event, why, fields";

/// First and last number of each company's events in an hour.
type Hours = BTreeMap<(CompanyId, i64), (i64, i64)>;

/// Brings events in, in order. One that is there already stays as it is.
pub(super) fn insert<'a>(
    transaction: &Transaction<'_>,
    events: impl Iterator<Item = &'a Event>,
) -> anyhow::Result<()> {
    let mut hours = Hours::new();
    let mut statement = transaction.prepare_cached(
        "INSERT OR IGNORE INTO event (company, seq, at, call, event, why, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for event in events {
        let seq = event.seq.cast_signed();
        let call = event.call.map(|call| call.to_string());
        let fields = if event.fields.is_empty() { None } else { Some(serde_json::to_string(&event.fields)?) };
        let at = event.at.as_microsecond();
        let rows = statement.execute(params![
            event.company.as_str(),
            seq,
            at,
            call,
            &*event.event,
            &*event.why,
            fields
        ])?;
        if rows == 0 {
            tracing::error!(company = %event.company, seq, "an event's number is taken, it is left out");
        }
        let span = hours.entry((event.company.clone(), hour(event.at))).or_insert((seq, seq));
        *span = (span.0.min(seq), span.1.max(seq));
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO event_hour (company, hour, first, last) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    for ((company, hour), (first, last)) in hours {
        statement.execute(params![company.as_str(), hour, first, last])?;
    }
    Ok(())
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}

impl Database {
    /// The newest event of each company, and all of the last day, in order by company.
    pub(super) fn recent_events(&self, now: Timestamp) -> anyhow::Result<Vec<Event>> {
        let since = hour(now - A_DAY);
        let mut statement = self.connection.prepare(
            "SELECT company, max(last), min(CASE WHEN hour >= ?1 THEN first END) FROM event_hour GROUP BY company",
        )?;
        let mut companies = statement.query([since])?;
        let mut events = Vec::new();
        while let Some(row) = companies.next()? {
            let (company, last, first): (String, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let first = first.unwrap_or(last);
            self.each_event(&company.as_str().into(), first, i64::MAX, |event| events.push(event))?;
        }
        Ok(events)
    }

    /// Gives the events of a company that happened in `from..to`, in order, to `visit`.
    pub(super) fn events_between(
        &self,
        company: &CompanyId,
        from: Timestamp,
        to: Timestamp,
        mut visit: impl FnMut(Event),
    ) -> anyhow::Result<()> {
        let span: Option<(Option<i64>, Option<i64>)> = self
            .connection
            .query_row(
                "SELECT min(first), max(last) FROM event_hour WHERE company = ?1 AND hour BETWEEN ?2 AND ?3",
                params![company.as_str(), hour(from), hour(to)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((Some(first), Some(last))) = span else { return Ok(()) };
        self.each_event(company, first, last, |event| {
            if (from..to).contains(&event.at) {
                visit(event);
            }
        })
    }

    fn each_event(
        &self,
        company: &CompanyId,
        first: i64,
        last: i64,
        mut visit: impl FnMut(Event),
    ) -> anyhow::Result<()> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM event WHERE company = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq"
        ))?;
        let mut rows = statement.query(params![company.as_str(), first, last])?;
        while let Some(row) = rows.next()? {
            visit(event(row)?);
        }
        Ok(())
    }

    /// The events of a call, in order.
    pub(super) fn events_of(&self, call: CallId) -> anyhow::Result<Vec<Event>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM event WHERE call = ?1 ORDER BY company, seq LIMIT ?2"
        ))?;
        let mut rows = statement.query(params![call.to_string(), CALL_EVENTS_MAX as i64])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            events.push(event(row)?);
        }
        Ok(events)
    }

    /// Removes events older than `keep`, or too many, from the old end. The newest of a company always stays, so
    /// that its numbers go on.
    pub(super) fn trim_events(&mut self, now: Timestamp, keep: Duration) -> anyhow::Result<()> {
        let since = hour(now.checked_sub(keep).unwrap_or(Timestamp::MIN));
        let transaction = self.connection.transaction()?;
        let companies: Vec<(String, i64, Option<i64>)> = transaction
            .prepare_cached(
                "SELECT company, max(last), min(CASE WHEN hour >= ?1 THEN first END) FROM event_hour GROUP BY company",
            )?
            .query_map([since], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (company, last, young) in companies {
            let oldest: Option<i64> = transaction
                .prepare_cached("SELECT min(seq) FROM event WHERE company = ?1")?
                .query_row([&company], |row| row.get(0))?;
            let Some(oldest) = oldest else { continue };
            let end = young.unwrap_or(last).max(last - EVENTS_MAX + 1).min(oldest + TRIM_MAX).min(last);
            transaction
                .prepare_cached("DELETE FROM event WHERE company = ?1 AND seq < ?2")?
                .execute(params![company, end])?;
            transaction
                .prepare_cached("DELETE FROM event_hour WHERE company = ?1 AND last < ?2")?
                .execute(params![company, end])?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn event(row: &Row<'_>) -> anyhow::Result<Event> {
    let company: String = row.get(0)?;
    let call: Option<String> = row.get(3)?;
    let fields: Option<String> = row.get(6)?;
    let unreadable = "an event is not readable";
    Ok(Event {
        company: company.into(),
        seq: row.get::<_, i64>(1)?.cast_unsigned(),
        at: Timestamp::from_microsecond(row.get(2)?).context(unreadable)?,
        call: call.map(|call| call.parse()).transpose().context(unreadable)?,
        event: row.get::<_, String>(4)?.into(),
        why: row.get::<_, String>(5)?.into(),
        fields: match fields {
            Some(fields) => serde_json::from_str(&fields).context(unreadable)?,
            None => Fields::default(),
        },
    })
}
