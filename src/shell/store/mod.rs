//! What outlives the process: the configuration files, and the state of the day in a journal and SQLite.
//!
//! A fact is durable once [`Store::record`] returns: it is a line of the [`journal`], which a killed process
//! leaves behind. One writer thread follows the journal and brings its lines into SQLite ([`state`]) in batches,
//! so the signalling thread never waits for the database. A failing machine (power) may lose the last seconds:
//! neither the journal nor SQLite waits for the disk at each fact.

mod events;
pub mod files;
pub mod journal;
pub mod recordings;
pub mod state;
mod writer;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::model::cdr::Cdr;
use crate::model::change::Change;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::mailbox::Message;
use crate::model::recording::RecordingView;
use crate::shell::clock;
use crate::shell::store::journal::Journal;
use crate::shell::store::recordings::RecordingFilter;
use crate::shell::store::state::CdrFilter;
use crate::shell::store::state::Database;
use crate::shell::store::writer::Order;
use crate::shell::store::writer::Writer;

/// Orders that the writer has not seen yet.
const ORDERS_MAX: usize = 256;
/// How long a question waits for the writer to catch up before it is answered with what is there.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// The state of the day on disk. Shared between threads; [`Store::record`] is the signalling thread's.
#[derive(Debug)]
pub struct Store {
    journal: Mutex<Journal>,
    /// Set by the first fact after the writer went to sleep, so that waking it costs one send a batch.
    awake: Arc<AtomicBool>,
    orders: mpsc::SyncSender<Order>,
    reader: Mutex<Database>,
    writer: Option<thread::JoinHandle<()>>,
    /// Held while the process lives, so that no second one writes here.
    _lock: fs::File,
}

impl Store {
    /// Opens or creates the data folder and gives back what the core must know again, oldest first.
    ///
    /// Lines that an earlier process left in its journal are in the database when this returns.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written, is in use, or was written by a later version.
    pub fn open(data: &Path) -> anyhow::Result<(Store, Vec<Change>)> {
        let advice = || {
            format!(
                "cannot use data folder {}: it must be writable and have free space; make it so, or choose another with --data",
                data.display()
            )
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data).with_context(advice)?;
        let lock = lock(data)?;
        let mut database = Database::open(data).with_context(advice)?;
        let last = writer::replay(data, &mut database).with_context(advice)?;
        database.forget_expired(clock::now().utc).with_context(advice)?;
        database.measure_recordings(data).with_context(advice)?;
        let mut facts = database.facts().with_context(advice)?;
        let events = database.recent_events(clock::now().utc).with_context(advice)?;
        facts.extend(events.into_iter().map(|event| Change::Decision(Box::new(event))));
        let journal = Journal::create(data, last).with_context(advice)?;
        let reader = Mutex::new(Database::open(data).with_context(advice)?);

        let (orders, incoming) = mpsc::sync_channel(ORDERS_MAX);
        let awake = Arc::new(AtomicBool::new(false));
        let follow = Writer::new(data, database, journal.number(), Arc::clone(&awake), incoming);
        let writer = thread::Builder::new()
            .name("store".into())
            .spawn(move || follow.run())
            .context("cannot start the store's thread")?;
        let store =
            Store { journal: Mutex::new(journal), awake, orders, reader, writer: Some(writer), _lock: lock };
        Ok((store, facts))
    }

    /// Keeps a fact: call records and state are durable on return, events with the next of those or with
    /// [`Store::settle`], and other facts are not kept. Costs one `write(2)` or none; a full disk is an alarm, never
    /// a refusal.
    pub fn record(&self, change: &Change) {
        if change.is_state() || change.is_kept() {
            lock_of(&self.journal).append(change);
            self.wake();
        } else if let Change::Decision(_) = change {
            lock_of(&self.journal).note(change);
        }
    }

    /// Makes the events recorded so far durable: one `write(2)` for all, none when there are none. To be called when
    /// an input is carried out.
    pub fn settle(&self) {
        if lock_of(&self.journal).settle() {
            self.wake();
        }
    }

    fn wake(&self) {
        if !self.awake.swap(true, Ordering::AcqRel) {
            // A full channel means that the writer is awake anyway.
            let _ = self.orders.try_send(Order::Wake);
        }
    }

    /// From here on events older than this are removed from the log.
    pub fn keep_events(&self, keep: Duration) {
        let _ = self.orders.send(Order::Keep(keep));
    }

    /// Waits until everything recorded so far is in the database; false when that takes over two seconds.
    pub fn flush(&self) -> bool {
        self.settle();
        let (done, wait) = mpsc::sync_channel(1);
        self.orders.send(Order::Flush(done)).is_ok() && wait.recv_timeout(FLUSH_WAIT).is_ok()
    }

    /// Call records, newest first, with every call that ended before this was called.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn cdrs(&self, filter: &CdrFilter) -> anyhow::Result<Vec<Cdr>> {
        self.flush();
        lock_of(&self.reader).cdrs(filter).context("cannot read call records")
    }

    /// Recordings of calls, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn recordings(&self, filter: &RecordingFilter) -> anyhow::Result<Vec<RecordingView>> {
        self.flush();
        lock_of(&self.reader).recordings(filter).context("cannot read the recordings")
    }

    /// The call record of one call, once it has ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn cdr(&self, call: CallId) -> anyhow::Result<Option<Cdr>> {
        self.flush();
        lock_of(&self.reader).cdr(call).context("cannot read call records")
    }

    /// The events of a call, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events_of(&self, call: CallId) -> anyhow::Result<Vec<Event>> {
        self.flush();
        lock_of(&self.reader).events_of(call).context("cannot read the event log")
    }

    /// Gives the events of a company that happened in `from..to` to `visit`, in order, one at a time.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events_between(
        &self,
        company: &CompanyId,
        from: Timestamp,
        to: Timestamp,
        visit: impl FnMut(Event),
    ) -> anyhow::Result<()> {
        self.flush();
        lock_of(&self.reader).events_between(company, from, to, visit).context("cannot read the event log")
    }

    /// Voicemail messages of one company or of all, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn messages(&self, company: Option<&CompanyId>) -> anyhow::Result<Vec<Message>> {
        self.flush();
        let facts = lock_of(&self.reader).facts().context("cannot read voicemail messages")?;
        let wanted = |message: &Message| company.is_none_or(|company| message.mailbox.company == *company);
        let messages = facts.into_iter().filter_map(|fact| match fact {
            Change::MessageLeft { message } if wanted(&message) => Some(message),
            _ => None,
        });
        Ok(messages.collect())
    }
}

impl Drop for Store {
    /// Brings the last facts into the database and ends the writer.
    fn drop(&mut self) {
        self.settle();
        let _ = self.orders.send(Order::Stop);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// What a mutex guards. No code that holds these locks can panic half way through a change.
fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the data folder for this process; the kernel gives it back when the process ends, however it ends.
fn lock(data: &Path) -> anyhow::Result<fs::File> {
    let path: PathBuf = data.join("sentral.lock");
    let file =
        fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(|| {
            format!("cannot write {}: make the folder writable for this user", path.display())
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => anyhow::bail!(
            "data folder {} is in use by another sentral: stop that one, or choose another folder with --data",
            data.display()
        ),
        Err(fs::TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
    }
}
