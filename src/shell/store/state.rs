//! The SQLite side of the store: call records, and the newest fact about each agent, binding, toggle, message …
//!
//! The tables of state all have the same three columns: a key (a JSON list), the number of the journal line, and
//! the fact as JSON, which SQL reads with `change ->> '$.agent.user'`. `meta.applied` is the number of the newest
//! line brought in, committed together with it: bringing in a line a second time changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Transaction;
use rusqlite::params;

use crate::model::audio::LegAudio;
use crate::model::cdr::Cdr;
use crate::model::change::Change;
use crate::model::change::PinOf;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::MailboxKey;
use crate::model::mailbox::Handling;
use crate::model::mailbox::MessageState;
use crate::shell::store::events;
use crate::shell::store::journal::Line;
use crate::shell::store::recordings;

/// Steps from version to version of the schema; `user_version` counts those taken. Only ever add to its end.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE cdr (
        id TEXT PRIMARY KEY, company TEXT, direction TEXT NOT NULL, from_number TEXT NOT NULL,
        to_number TEXT NOT NULL, started INTEGER NOT NULL, answered INTEGER, ended INTEGER NOT NULL,
        result TEXT NOT NULL, queue TEXT, answered_by TEXT, wait_ms INTEGER, talk_ms INTEGER NOT NULL,
        json TEXT NOT NULL);
    CREATE INDEX cdr_started ON cdr (started);
    CREATE INDEX cdr_company ON cdr (company, started);
    CREATE TABLE agent_login (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE agent_pause (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE round_robin (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE binding (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE device_password (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE toggle (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE message (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE decision (
        id INTEGER PRIMARY KEY, company TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, call TEXT,
        event TEXT NOT NULL, why TEXT NOT NULL);
    CREATE INDEX decision_call ON decision (call);
    CREATE INDEX decision_at ON decision (at);
",
    events::SCHEMA,
    "
    CREATE TABLE agent_tally (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE last_agent (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE callback (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
",
    "
    CREATE TABLE call_back (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE hot_desk (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
",
    "
    CREATE TABLE personal (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE greeting (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE pin (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE missed (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
",
    "
    CREATE TABLE pin_tries (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE app (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
    CREATE TABLE voicemail_signs (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, change TEXT NOT NULL);
",
    recordings::SCHEMA,
];
/// The tables of state, all of one shape.
const STATE_TABLES: &[&str] = &[
    "agent_login",
    "agent_pause",
    "round_robin",
    "agent_tally",
    "last_agent",
    "callback",
    "binding",
    "device_password",
    "toggle",
    "message",
    "call_back",
    "hot_desk",
    "personal",
    "greeting",
    "pin",
    "missed",
    "pin_tries",
    "voicemail_signs",
    "app",
];
/// Call records given at most at a time.
const CDRS_MAX: usize = 100_000;
/// Call records given when nothing else is asked for.
const CDRS_USUAL: usize = 100;

/// Which call records to read.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CdrFilter {
    /// Calls that began at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many of the newest; 100 when none, 100,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only of this company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
}

/// One connection to `sentral.db`.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    data: PathBuf,
}

/// A row of state: table and key.
type Place = (&'static str, String);
/// What a batch leaves in a place: line number and fact, or nothing.
type Pending = BTreeMap<Place, Option<(u64, String)>>;

/// Call records of a batch.
type Records<'a> = BTreeMap<CallId, Written<'a>>;

/// A record, and what completes it: RTP packets received and sent, and lost; the audio of legs.
struct Written<'a> {
    cdr: &'a Cdr,
    rtp: Option<((u64, u64), u64)>,
    audio: Vec<&'a LegAudio>,
}

/// What a fact does to the tables.
enum Effect<'a> {
    Record(&'a Cdr),
    Complete { call: CallId, rtp: (u64, u64), lost: u64 },
    Append { call: CallId, leg: &'a LegAudio },
    Put(Place),
    Delete(Place),
    Mark(Place, Mark<'a>),
    Recording,
    Log(&'a Event),
    Nothing,
}

/// What of a message changes where it is kept.
enum Mark<'a> {
    State(MessageState),
    Handling(&'a Option<Handling>),
}

impl Database {
    /// Opens or creates `sentral.db` and brings it to the newest version.
    pub(super) fn open(data: &Path) -> anyhow::Result<Database> {
        let path = data.join("sentral.db");
        let mut connection =
            Connection::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate(&mut connection).with_context(|| format!("cannot prepare {}", path.display()))?;
        Ok(Database { connection, data: data.into() })
    }

    /// Number of the newest journal line that is in.
    pub(super) fn applied(&self) -> rusqlite::Result<u64> {
        let applied = "SELECT value FROM meta WHERE key = 'applied'";
        Ok(self.connection.query_row(applied, [], |row| row.get(0)).optional()?.map_or(0, i64::cast_unsigned))
    }

    /// Brings lines in, all or none. Those that are in already are passed over; of several about one thing only the
    /// newest is written.
    pub(super) fn apply(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        let mut applied = self.applied()?;
        let transaction = self.connection.transaction()?;
        let mut pending = Pending::new();
        let mut log = Vec::new();
        let mut records = Records::new();
        for Line { n, change } in lines {
            if *n <= applied {
                continue;
            }
            applied = *n;
            match effect(change) {
                Effect::Record(cdr) => {
                    records.entry(cdr.id).or_insert(Written { cdr, rtp: None, audio: Vec::new() });
                }
                // Most records are completed in the batch that begins them, and written once.
                Effect::Complete { call, rtp, lost } => match records.get_mut(&call) {
                    Some(written) => written.rtp = Some((rtp, lost)),
                    None => complete_cdr(&transaction, call, rtp, lost)?,
                },
                Effect::Append { call, leg } => match records.get_mut(&call) {
                    Some(written) => written.audio.push(leg),
                    None => append_audio(&transaction, call, leg)?,
                },
                Effect::Put(place) => {
                    pending.insert(place, Some((*n, serde_json::to_string(change)?)));
                }
                Effect::Delete(place) => {
                    if let Change::MessageDeleted { id, .. } = change {
                        remove_recording(&self.data, id);
                    }
                    pending.insert(place, None);
                }
                Effect::Mark(place, what) => mark(&transaction, &mut pending, place, &what)?,
                Effect::Recording => recordings::apply(&transaction, &self.data, change)?,
                Effect::Log(event) => log.push(event),
                Effect::Nothing => {}
            }
        }
        write_state(&transaction, pending)?;
        write_records(&transaction, records)?;
        events::insert(&transaction, log.into_iter())?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('applied', ?1)")?
            .execute([applied.cast_signed()])?;
        transaction.commit()?;
        Ok(())
    }

    /// Moves all that is committed from SQLite's own log to the database file and waits for the disk.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
    }

    /// Removes bindings that have ended while nobody watched.
    pub(super) fn forget_expired(&self, now: Timestamp) -> anyhow::Result<()> {
        for (key, change) in self.state("binding")?.into_values() {
            if matches!(&change, Change::Bound { binding } if binding.expires <= now) {
                self.connection.execute("DELETE FROM binding WHERE key = ?1", [key])?;
            }
        }
        Ok(())
    }

    /// All state, in the order in which it came about.
    pub(super) fn facts(&self) -> anyhow::Result<Vec<Change>> {
        let mut facts = BTreeMap::new();
        for table in STATE_TABLES {
            facts.extend(self.state(table)?);
        }
        Ok(facts.into_values().map(|(_, change)| change).collect())
    }

    /// Line number → key and fact of one table.
    fn state(&self, table: &str) -> anyhow::Result<BTreeMap<i64, (String, Change)>> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT seq, key, change FROM {table}"))?;
        let mut rows = statement.query([])?;
        let mut facts = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (seq, key, change): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match serde_json::from_str(&change) {
                Ok(change) => _ = facts.insert(seq, (key, change)),
                Err(error) => tracing::error!(%error, table, key, "cannot read a fact, going on without it"),
            }
        }
        Ok(facts)
    }

    /// Call records, newest first.
    pub(super) fn cdrs(&self, filter: &CdrFilter) -> anyhow::Result<Vec<Cdr>> {
        let limit = filter.limit.unwrap_or(CDRS_USUAL).min(CDRS_MAX);
        let since = filter.since.map_or(i64::MIN, Timestamp::as_millisecond);
        let company = filter.company.as_ref().map(CompanyId::as_str);
        // Two statements, so that each can use its index.
        let sql = match company {
            Some(_) => {
                "SELECT json FROM cdr WHERE started >= ?1 AND company = ?3 ORDER BY started DESC, id DESC LIMIT ?2"
            }
            None => {
                "SELECT json FROM cdr WHERE started >= ?1 AND ?3 IS NULL ORDER BY started DESC, id DESC LIMIT ?2"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows =
            statement.query_map(params![since, limit as i64, company], |row| row.get::<_, String>(0))?;
        let mut cdrs = Vec::new();
        for json in rows {
            cdrs.push(serde_json::from_str(&json?).context("a call record is not readable")?);
        }
        Ok(cdrs)
    }
}

impl Database {
    /// The call record of one call.
    pub(super) fn cdr(&self, call: CallId) -> anyhow::Result<Option<Cdr>> {
        let json: Option<String> = self
            .connection
            .prepare_cached("SELECT json FROM cdr WHERE id = ?1")?
            .query_row([call.to_string()], |row| row.get(0))
            .optional()?;
        json.map(|json| serde_json::from_str(&json).context("a call record is not readable")).transpose()
    }
}

fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    anyhow::ensure!(
        version as usize <= MIGRATIONS.len(),
        "it was written by a later version of sentral (schema {version}, this one knows {}): use that version",
        MIGRATIONS.len()
    );
    for (version, sql) in (1_u32..).zip(MIGRATIONS).skip(version as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Where a fact belongs. Every kind that [`Change::is_state`] names has a place here.
fn effect(change: &Change) -> Effect<'_> {
    let message = |mailbox: &MailboxKey, id: &str| {
        place("message", &[mailbox.company.as_str(), mailbox.mailbox.as_str(), id])
    };
    match change {
        Change::CallEnded { cdr } => Effect::Record(cdr),
        Change::CallMedia { call, received, sent, lost } => {
            Effect::Complete { call: *call, rtp: (*received, *sent), lost: *lost }
        }
        Change::CallAudio { call, leg } => Effect::Append { call: *call, leg },
        Change::AgentLogin { agent, line, .. } => Effect::Put(place(
            "agent_login",
            &[agent.company.as_str(), agent.user.as_str(), line.company.as_str(), &line.line.to_string()],
        )),
        Change::AgentPaused { agent, line: None, .. } => {
            Effect::Put(place("agent_pause", &[agent.company.as_str(), agent.user.as_str()]))
        }
        Change::AgentPaused { agent, line: Some(line), .. } => Effect::Put(place(
            "agent_pause",
            &[agent.company.as_str(), agent.user.as_str(), &line.line.to_string()],
        )),
        Change::AgentTally { agent, line, .. } => Effect::Put(place(
            "agent_tally",
            &[agent.company.as_str(), agent.user.as_str(), &line.line.to_string()],
        )),
        Change::LastAgent { line, number, agent, .. } => {
            let place =
                place("last_agent", &[line.company.as_str(), &line.line.to_string(), number.as_str()]);
            if agent.is_some() { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::Callback { line, number, kept, .. } => {
            let place = place("callback", &[line.company.as_str(), &line.line.to_string(), number.as_str()]);
            if kept.is_some() { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::RoundRobin { line, .. } => {
            Effect::Put(place("round_robin", &[line.company.as_str(), &line.line.to_string()]))
        }
        Change::Bound { binding } => {
            Effect::Put(place("binding", &[&binding.domain, binding.device.as_str(), &binding.key()]))
        }
        Change::AppKnown { domain, device, push, known, .. } => {
            let place = place("app", &[domain, device.as_str(), &push.prid]);
            if *known { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::Unbound { domain, device, contact, .. } => {
            Effect::Delete(place("binding", &[domain, device.as_str(), contact]))
        }
        Change::DevicePassword { domain, device, .. } => {
            Effect::Put(place("device_password", &[domain, device.as_str()]))
        }
        Change::ToggleSet { company, toggle, .. } => {
            Effect::Put(place("toggle", &[company.as_str(), toggle.as_str()]))
        }
        Change::BusyCallback { asker, wanted, until, .. } => {
            let parts = [&asker.company, &wanted.company].map(|company| company.as_str());
            let place = place("call_back", &[parts[0], asker.user.as_str(), parts[1], wanted.user.as_str()]);
            if until.is_some() { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::HotDesk { domain, device, user, .. } => {
            let place = place("hot_desk", &[domain, device.as_str()]);
            if user.is_some() { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::PersonalSet { user, setting, .. } => {
            Effect::Put(place("personal", &[user.company.as_str(), user.user.as_str(), setting.name()]))
        }
        Change::PinTries { of, times, .. } => {
            let (kind, company, name) = match of {
                PinOf::Service(user) => ("service", &user.company, user.user.as_str()),
                PinOf::Desk(user) => ("desk", &user.company, user.user.as_str()),
                PinOf::Mailbox(mailbox) => ("mailbox", &mailbox.company, mailbox.mailbox.as_str()),
                PinOf::Room(room) => ("room", &room.company, room.room.as_str()),
            };
            let place = place("pin_tries", &[kind, company.as_str(), name]);
            if *times > 0 { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::VoicemailSigns { user, signs, .. } => {
            let place = place("voicemail_signs", &[user.company.as_str(), user.user.as_str()]);
            if *signs > 0 { Effect::Put(place) } else { Effect::Delete(place) }
        }
        Change::MessageLeft { message: left } => Effect::Put(message(&left.mailbox, &left.id)),
        Change::MessageMarked { mailbox, id, state } => {
            Effect::Mark(message(mailbox, id), Mark::State(*state))
        }
        Change::MessageHandled { mailbox, id, handling } => {
            Effect::Mark(message(mailbox, id), Mark::Handling(handling))
        }
        Change::GreetingSet { mailbox, occasion, .. } => Effect::Put(place(
            "greeting",
            &[mailbox.company.as_str(), mailbox.mailbox.as_str(), occasion.as_str()],
        )),
        Change::PinSet { mailbox, .. } => {
            Effect::Put(place("pin", &[mailbox.company.as_str(), mailbox.mailbox.as_str()]))
        }
        Change::Missed { missed } => Effect::Put(place("missed", &[missed.company.as_str(), &missed.id])),
        Change::MissedCleared { company, id, .. } => Effect::Delete(place("missed", &[company.as_str(), id])),
        Change::MessageDeleted { mailbox, id } => Effect::Delete(message(mailbox, id)),
        Change::Decision(event) => Effect::Log(event),
        Change::RecordingBegun { .. }
        | Change::RecordingEnded { .. }
        | Change::RecordingDeleted { .. }
        | Change::RecordingsExpired { .. } => Effect::Recording,
        Change::CallStarted { .. }
        | Change::CallLeg { .. }
        | Change::CallAnswered { .. }
        | Change::RegistrationFailed { .. }
        | Change::Refused { .. }
        | Change::Alarm { .. }
        | Change::Trunk { .. } => Effect::Nothing,
    }
}

/// A list as JSON: readable, and no part can run into the next.
fn place(table: &'static str, parts: &[&str]) -> Place {
    (table, serde_json::json!(parts).to_string())
}

/// Marks a message where it is: among what the batch writes, or in its table. A message that is gone stays gone.
fn mark(
    transaction: &Transaction<'_>,
    pending: &mut Pending,
    place: Place,
    what: &Mark<'_>,
) -> anyhow::Result<()> {
    let there = match pending.get(&place) {
        Some(pending) => pending.clone(),
        None => transaction
            .prepare_cached("SELECT seq, change FROM message WHERE key = ?1")?
            .query_row([&place.1], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))
            .optional()?,
    };
    let Some((n, change)) = there else { return Ok(()) };
    let Change::MessageLeft { mut message } = serde_json::from_str(&change)? else { return Ok(()) };
    match what {
        Mark::State(state) => message.state = *state,
        Mark::Handling(handling) => message.handling = (*handling).clone(),
    }
    // The line number stays that of the message, so that messages keep their order.
    pending.insert(place, Some((n, serde_json::to_string(&Change::MessageLeft { message })?)));
    Ok(())
}

fn write_state(transaction: &Transaction<'_>, pending: Pending) -> rusqlite::Result<()> {
    for ((table, key), left) in pending {
        match left {
            Some((n, change)) => transaction
                .prepare_cached(&format!(
                    "INSERT OR REPLACE INTO {table} (key, seq, change) VALUES (?1, ?2, ?3)"
                ))?
                .execute(params![key, n.cast_signed(), change])?,
            None => {
                transaction.prepare_cached(&format!("DELETE FROM {table} WHERE key = ?1"))?.execute([key])?
            }
        };
    }
    Ok(())
}

fn write_records(transaction: &Transaction<'_>, records: Records<'_>) -> anyhow::Result<()> {
    for (call, Written { cdr, rtp, audio }) in records {
        if rtp.is_none() && audio.is_empty() {
            insert_cdr(transaction, cdr)?;
            continue;
        }
        let mut whole = cdr.clone();
        if let Some((rtp, lost)) = rtp {
            (whole.rtp, whole.rtp_lost) = (rtp, lost);
        }
        whole.audio.extend(audio.iter().map(|leg| (*leg).clone()));
        if !insert_cdr(transaction, &whole)? {
            if let Some((rtp, lost)) = rtp {
                complete_cdr(transaction, call, rtp, lost)?;
            }
            audio.iter().try_for_each(|leg| append_audio(transaction, call, leg))?;
        }
    }
    Ok(())
}

/// False when there is a record of that call already, which stays.
fn insert_cdr(transaction: &Transaction<'_>, cdr: &Cdr) -> anyhow::Result<bool> {
    let direction = serde_json::to_value(cdr.direction)?;
    let rows = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO cdr (id, company, direction, from_number, to_number, started, answered, ended,
             result, queue, answered_by, wait_ms, talk_ms, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            cdr.id.to_string(),
            cdr.company.as_ref().map(CompanyId::as_str),
            direction.as_str(),
            &*cdr.from,
            &*cdr.to,
            cdr.started.as_millisecond(),
            cdr.answered.map(Timestamp::as_millisecond),
            cdr.ended.as_millisecond(),
            cdr.result.as_str(),
            cdr.queue.as_ref().map(|queue| queue.as_str()),
            cdr.answered_by.as_ref().map(|user| user.as_str()),
            cdr.wait_ms.map(u64::cast_signed),
            cdr.talk_ms.cast_signed(),
            serde_json::to_string(cdr)?,
        ])?;
    Ok(rows > 0)
}

fn complete_cdr(
    transaction: &Transaction<'_>,
    call: CallId,
    (received, sent): (u64, u64),
    lost: u64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE cdr SET json = json_set(json, '$.rtp', json_array(?2, ?3), '$.rtp_lost', ?4) WHERE id = ?1",
        )?
        .execute(params![call.to_string(), received.cast_signed(), sent.cast_signed(), lost.cast_signed()])?;
    Ok(())
}

fn append_audio(transaction: &Transaction<'_>, call: CallId, leg: &LegAudio) -> anyhow::Result<()> {
    let append = "UPDATE cdr SET json = json_insert(json_insert(json, '$.audio', json_array()), '$.audio[#]', json(?2))
                  WHERE id = ?1";
    transaction.prepare_cached(append)?.execute(params![call.to_string(), serde_json::to_string(leg)?])?;
    Ok(())
}

/// Deletes `voicemail/<id>.wav`. Before the commit: what is left undone by a crash is done again by the journal.
fn remove_recording(data: &Path, id: &str) {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        tracing::error!("a message has an id that is no file name, its recording stays");
        return;
    }
    let path = data.join("voicemail").join(format!("{id}.wav"));
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, file = %path.display(), "cannot delete a recording"),
    }
}
