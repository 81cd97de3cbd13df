//! Recordings of calls: which there are, where their files lie, and their deletion together with their files.

use std::fs;
use std::io;
use std::path::Component;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rusqlite::Transaction;
use rusqlite::params;

use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::recording::RecordingView;
use crate::shell::media::recorder;
use crate::shell::store::state::Database;

pub(super) const SCHEMA: &str = "
    CREATE TABLE recording (
        id TEXT PRIMARY KEY, company TEXT NOT NULL, call TEXT NOT NULL, at INTEGER NOT NULL, file TEXT NOT NULL,
        length_ms INTEGER, json TEXT NOT NULL);
    CREATE INDEX recording_at ON recording (at);
    CREATE INDEX recording_company ON recording (company, at);
    CREATE INDEX recording_call ON recording (call);
";

/// Tells how long one is.
const ENDED: &str =
    "UPDATE recording SET length_ms = ?2, json = json_set(json, '$.length_ms', ?2) WHERE id = ?1";

/// Recordings given at most at a time, and when nothing else is asked for.
const LISTED_MAX: usize = 100_000;
const LISTED_USUAL: usize = 100;

/// Which recordings to list.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RecordingFilter {
    /// Those that began at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many of the newest; 100 when none, 100,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only of this company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// Only of this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// Only this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Brings one fact in; those that are no recording's are passed over. Files go before the commit: what a crash leaves
/// undone is done again by the journal.
pub(super) fn apply(transaction: &Transaction<'_>, data: &Path, change: &Change) -> anyhow::Result<()> {
    match change {
        Change::RecordingBegun { recording } => {
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO recording (id, company, call, at, file, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    &*recording.id,
                    recording.company.as_str(),
                    recording.call.to_string(),
                    recording.at.as_millisecond(),
                    &*recording.file,
                    serde_json::to_string(recording)?,
                ])?;
        }
        Change::RecordingEnded { company, id, length_ms } => {
            transaction.prepare_cached(&format!("{ENDED} AND company = ?3"))?.execute(params![
                &**id,
                length_ms.cast_signed(),
                company.as_str()
            ])?;
        }
        Change::RecordingDeleted { company, id } => {
            let of = "SELECT id, file FROM recording WHERE company = ?1 AND id = ?2";
            delete(transaction, data, of, params![company.as_str(), &**id])?;
        }
        Change::RecordingsExpired { company, before } => {
            let of = "SELECT id, file FROM recording WHERE company = ?1 AND at < ?2";
            delete(transaction, data, of, params![company.as_str(), before.as_millisecond()])?;
        }
        _ => {}
    }
    Ok(())
}

fn delete(
    transaction: &Transaction<'_>,
    data: &Path,
    select: &str,
    of: &[&dyn rusqlite::ToSql],
) -> anyhow::Result<()> {
    let mut statement = transaction.prepare_cached(select)?;
    let rows = statement.query_map(of, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let (id, file) = row;
        remove(data, &file);
        transaction.prepare_cached("DELETE FROM recording WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// Deletes a file and the folders above it that are empty then, up to `recordings`.
fn remove(data: &Path, file: &str) {
    let path = Path::new(file);
    if !path.starts_with("recordings") || !path.components().all(|part| matches!(part, Component::Normal(_)))
    {
        tracing::error!("a recording has a file outside its folder, which stays");
        return;
    }
    match fs::remove_file(data.join(path)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, file, "cannot delete a recording"),
    }
    for folder in path.ancestors().skip(1).take_while(|folder| folder.components().count() > 1) {
        if fs::remove_dir(data.join(folder)).is_err() {
            break;
        }
    }
}

impl Database {
    /// Recordings that an earlier process did not end are as long as their files are; one without a file is none.
    pub(super) fn measure_recordings(&self, data: &Path) -> anyhow::Result<()> {
        let mut open = self.connection.prepare("SELECT id, file FROM recording WHERE length_ms IS NULL")?;
        let rows = open.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for (id, file) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            let length = recorder::length(&data.join(&file)).unwrap_or_else(|error| {
                tracing::warn!(%error, file, "a recording that was interrupted cannot be read");
                Duration::ZERO
            });
            let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            tracing::info!(file, length_ms, "a recording was interrupted");
            self.connection.prepare_cached(ENDED)?.execute(params![id, length_ms])?;
        }
        Ok(())
    }

    /// Recordings, newest first.
    pub(super) fn recordings(&self, filter: &RecordingFilter) -> anyhow::Result<Vec<RecordingView>> {
        let limit = filter.limit.unwrap_or(LISTED_USUAL).min(LISTED_MAX);
        let since = filter.since.map_or(i64::MIN, Timestamp::as_millisecond);
        let mut statement = self.connection.prepare_cached(
            "SELECT json FROM recording WHERE at >= ?1 AND (?3 IS NULL OR company = ?3) \
             AND (?4 IS NULL OR call = ?4) AND (?5 IS NULL OR id = ?5) ORDER BY at DESC, id DESC LIMIT ?2",
        )?;
        let company = filter.company.as_ref().map(CompanyId::as_str);
        let call = filter.call.map(|call| call.to_string());
        let of = params![since, limit as i64, company, call, filter.id];
        let rows = statement.query_map(of, |row| row.get::<_, String>(0))?;
        let read = |json: rusqlite::Result<String>| {
            serde_json::from_str(&json?).context("a recording is not readable")
        };
        rows.map(read).collect()
    }
}
