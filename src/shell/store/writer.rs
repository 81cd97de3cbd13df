//! The writer thread: follows the journal and brings its lines into SQLite in batches.
//!
//! At the start of a process the same steps bring in what an earlier one left ([`replay`]).

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;

use crate::shell::clock;
use crate::shell::store::journal;
use crate::shell::store::journal::Alarm;
use crate::shell::store::journal::Follow;
use crate::shell::store::state::Database;

/// After the first fact of a batch the writer waits this long for more.
const BATCH: Duration = Duration::from_millis(50);
/// After a failure it waits this long before it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// Old events are removed after so many more lines.
const TRIM_EVERY: usize = 10_000;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Order {
    /// There are lines in the journal.
    Wake,
    /// Events are kept this long from here on.
    Keep(Duration),
    /// Bring everything in, then answer.
    Flush(mpsc::SyncSender<()>),
    /// Bring everything in and end.
    Stop,
}

/// Brings the journal files of earlier processes in and removes them; the number of the newest line.
pub(super) fn replay(data: &Path, database: &mut Database) -> anyhow::Result<u64> {
    // Written even when there is nothing to bring in: a full disk is found out here rather than with calls up.
    database.apply(&[])?;
    for number in journal::files(data)? {
        let mut file = Follow::open(data, number)?;
        loop {
            let lines = file.next()?;
            if lines.is_empty() {
                break;
            }
            database.apply(&lines).with_context(|| format!("cannot bring in journal-{number}.jsonl"))?;
        }
        database.checkpoint()?;
        file.remove()?;
    }
    Ok(database.applied()?)
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    data: PathBuf,
    database: Database,
    /// Number of the file being followed.
    number: u64,
    file: Option<Follow>,
    awake: Arc<AtomicBool>,
    orders: mpsc::Receiver<Order>,
    /// None until somebody said so: nothing is removed before.
    keep: Option<Duration>,
    untrimmed: usize,
    alarm: Alarm,
}

impl Writer {
    /// A writer that follows the journal from the start of file `number`.
    pub(super) fn new(
        data: &Path,
        database: Database,
        number: u64,
        awake: Arc<AtomicBool>,
        orders: mpsc::Receiver<Order>,
    ) -> Writer {
        Writer {
            data: data.into(),
            database,
            number,
            file: None,
            awake,
            orders,
            keep: None,
            untrimmed: 0,
            alarm: Alarm::default(),
        }
    }

    /// Works until [`Order::Stop`] comes or the store is gone.
    pub(super) fn run(mut self) {
        let mut failed = false;
        loop {
            let first = if failed {
                match self.orders.recv_timeout(RETRY) {
                    Ok(order) => order,
                    Err(mpsc::RecvTimeoutError::Timeout) => Order::Wake,
                    Err(mpsc::RecvTimeoutError::Disconnected) => Order::Stop,
                }
            } else {
                self.orders.recv().unwrap_or(Order::Stop)
            };
            let (flushes, stop) = self.gather(first);
            // Lowered before reading: a fact written after this wakes the writer again.
            self.awake.swap(false, Ordering::AcqRel);
            let done = self.catch_up();
            failed = done.is_err();
            match done {
                Ok(()) => flushes.into_iter().for_each(|done| _ = done.try_send(())),
                Err(error) => self.complain(&error),
            }
            if stop {
                return;
            }
        }
    }

    /// Takes the orders of a batch.
    fn gather(&mut self, first: Order) -> (Vec<mpsc::SyncSender<()>>, bool) {
        let (mut flushes, mut stop) = (Vec::new(), false);
        if matches!(first, Order::Wake) {
            // Asleep, not listening: at hundreds of facts a second each would else wake this thread. Who waits for
            // an answer waits for the length of a batch.
            std::thread::sleep(BATCH);
        }
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Wake => {}
                Order::Keep(keep) => {
                    self.keep = Some(keep);
                    self.untrimmed = TRIM_EVERY;
                }
                Order::Flush(done) => flushes.push(done),
                Order::Stop => stop = true,
            }
            next = self.orders.try_recv().ok();
        }
        (flushes, stop)
    }

    /// Brings in everything that is in the journal, then removes what is too old.
    fn catch_up(&mut self) -> anyhow::Result<()> {
        loop {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(Follow::open(&self.data, self.number)?),
            };
            let lines = file.next()?;
            if lines.is_empty() {
                if !self.next_file()? {
                    return self.trim();
                }
                continue;
            }
            if let Err(error) = self.database.apply(&lines) {
                // Read from the start again: lines that are in already are passed over.
                self.file = None;
                return Err(error);
            }
            self.untrimmed += lines.len();
        }
    }

    fn trim(&mut self) -> anyhow::Result<()> {
        let Some(keep) = self.keep.filter(|_| self.untrimmed >= TRIM_EVERY) else { return Ok(()) };
        self.untrimmed = 0;
        self.database.trim_events(clock::now().utc, keep)
    }

    /// Goes on with the next file if there is one; the old one is removed when its facts are safe.
    fn next_file(&mut self) -> anyhow::Result<bool> {
        let Some(next) = journal::files(&self.data)?.into_iter().find(|number| *number > self.number) else {
            return Ok(false);
        };
        // The journal may have grown between reading its end and the look for the next file.
        let Some(mut file) = self.file.take() else { return Ok(true) };
        let lines = file.next()?;
        self.database.apply(&lines)?;
        if !lines.is_empty() {
            self.file = Some(file);
            return Ok(true);
        }
        self.database.checkpoint()?;
        self.number = next;
        file.remove()?;
        Ok(true)
    }

    fn complain(&mut self, error: &anyhow::Error) {
        metrics::counter!("sentral_store_errors_total").increment(1);
        if self.alarm.due() {
            tracing::error!(error = format!("{error:#}"), folder = %self.data.display(),
                "cannot write the database: free space on this disk; facts wait in the journal and calls go on");
        }
    }
}
