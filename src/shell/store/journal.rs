//! The journal: one JSON line per fact in `journal-N.jsonl`, written with a single `write(2)`, so that a killed
//! process loses nothing that it recorded.
//!
//! A line is `{"n":17,"event":{…}}`, or has `cdr` or `change` instead; `n` rises over all files and process lives. A line without its newline was
//! cut off and does not count. Not forced to the disk: see `store`.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::model::cdr::Cdr;
use crate::model::change::Change;
use crate::model::event::Event;
use crate::shell::clock;

/// A file that has grown to this size is followed by another.
const FILE_MAX: u64 = 16 << 20;
/// Bytes of lines kept in memory while the disk is full; beyond it facts are lost, and counted.
const UNWRITTEN_MAX: usize = 16 << 20;
/// Bytes read at a time when following a file.
const READ_MAX: usize = 1 << 20;
/// How often the same alarm is logged.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Rising by one per line.
    pub n: u64,
    /// The fact.
    pub change: Change,
}

/// A line as it is written. What there is most of has a member of its own: it is read without looking for the kind
/// of fact first, which halves the writer's work.
#[derive(Default, serde::Serialize)]
struct Written<'a> {
    n: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cdr: Option<&'a Cdr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a Change>,
}

impl<'a> Written<'a> {
    fn new(n: u64, change: &'a Change) -> Written<'a> {
        let line = Written { n, ..Written::default() };
        match change {
            Change::Decision(event) => Written { event: Some(event), ..line },
            Change::CallEnded { cdr } => Written { cdr: Some(cdr), ..line },
            other => Written { change: Some(other), ..line },
        }
    }
}

impl serde::Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Written::new(self.n, &self.change).serialize(to)
    }
}

/// A line as it is read.
#[derive(serde::Deserialize)]
struct Read {
    n: u64,
    event: Option<Box<Event>>,
    cdr: Option<Box<Cdr>>,
    change: Option<Change>,
}

impl Read {
    fn line(self) -> Option<Line> {
        let event = self.event.map(Change::Decision);
        let cdr = self.cdr.map(|cdr| Change::CallEnded { cdr });
        Some(Line { n: self.n, change: event.or(cdr).or(self.change)? })
    }
}

/// An alarm that repeats at most once a minute.
#[derive(Debug, Default)]
pub struct Alarm {
    last: Option<Instant>,
}

impl Alarm {
    /// Whether to log this time.
    pub fn due(&mut self) -> bool {
        let now = clock::now().mono;
        let due = self.last.is_none_or(|last| now.duration_since(last) >= ALARM_EVERY);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    data: PathBuf,
    number: u64,
    file: File,
    /// Bytes of whole lines in the file.
    len: u64,
    last: u64,
    /// Lines that could not be written yet, oldest first.
    unwritten: Vec<u8>,
    alarm: Alarm,
}

impl Journal {
    /// Begins a file after all that are there; `last` is the number of the newest line of earlier files.
    pub(super) fn create(data: &Path, last: u64) -> io::Result<Journal> {
        let number = files(data)?.last().map_or(1, |newest| newest + 1);
        let file = create(data, number)?;
        Ok(Journal {
            data: data.into(),
            number,
            file,
            len: 0,
            last,
            unwritten: Vec::new(),
            alarm: Alarm::default(),
        })
    }

    /// Number of the file being written.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Writes a fact, and what is noted before it. When the disk refuses, the lines wait in memory for the next.
    pub(super) fn append(&mut self, change: &Change) {
        self.note(change);
        self.settle();
    }

    /// Writes what is noted; tells whether there was anything.
    pub(super) fn settle(&mut self) -> bool {
        if self.unwritten.is_empty() {
            return false;
        }
        if let Err(error) = self.write() {
            metrics::counter!("sentral_store_errors_total").increment(1);
            if self.alarm.due() {
                tracing::error!(%error, folder = %self.data.display(), waiting = self.unwritten.len(),
                    "cannot write the journal: free space on this disk; facts wait in memory and calls go on");
            }
        }
        true
    }

    /// Takes a fact up in the lines to be written by the next [`Journal::settle`].
    pub(super) fn note(&mut self, change: &Change) {
        self.last += 1;
        let before = self.unwritten.len();
        if before > UNWRITTEN_MAX {
            metrics::counter!("sentral_store_facts_lost_total").increment(1);
            return;
        }
        let written = serde_json::to_writer(&mut self.unwritten, &Written::new(self.last, change));
        debug_assert!(written.is_ok(), "facts are plain data: {written:?}");
        self.unwritten.push(b'\n');
    }

    fn write(&mut self) -> io::Result<()> {
        if self.len >= FILE_MAX {
            self.file = create(&self.data, self.number + 1)?;
            self.number += 1;
            self.len = 0;
        }
        match self.file.write_all(&self.unwritten) {
            Ok(()) => {
                self.len += self.unwritten.len() as u64;
                self.unwritten.clear();
                Ok(())
            }
            Err(error) => {
                // Part of a line may stand there: cut it off, so that the next try begins on a line's edge,
                // or begin another file.
                if self.file.set_len(self.len).is_err() {
                    self.len = FILE_MAX;
                }
                Err(error)
            }
        }
    }
}

/// The reading end: follows one file line by line while it grows.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: File,
    /// Where the next line begins.
    offset: u64,
    /// Lines that could not be understood.
    pub(super) unreadable: u64,
}

impl Follow {
    /// Reads file `number` from its start.
    pub(super) fn open(data: &Path, number: u64) -> io::Result<Follow> {
        let path = path(data, number);
        Ok(Follow { file: File::open(&path)?, path, offset: 0, unreadable: 0 })
    }

    /// The next whole lines, at most about a megabyte of them; empty at the end of what is written.
    pub(super) fn next(&mut self) -> io::Result<Vec<Line>> {
        let mut limit = READ_MAX;
        loop {
            let mut bytes = Vec::new();
            self.file.seek(SeekFrom::Start(self.offset))?;
            (&self.file).take(limit as u64).read_to_end(&mut bytes)?;
            let Some(end) = memchr::memrchr(b'\n', &bytes) else {
                if bytes.len() < limit {
                    return Ok(Vec::new());
                }
                limit *= 2; // One line is longer than all of the window.
                continue;
            };
            let lines: Vec<Line> =
                bytes[..end].split(|byte| *byte == b'\n').filter_map(|line| self.parse(line)).collect();
            self.offset += end as u64 + 1;
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
    }

    fn parse(&mut self, line: &[u8]) -> Option<Line> {
        let read = serde_json::from_slice::<Read>(line);
        if let Ok(Some(line)) = read.map_err(|error| self.complain(&error)).map(Read::line) {
            return Some(line);
        }
        self.unreadable += 1;
        None
    }

    fn complain(&self, error: &serde_json::Error) {
        tracing::error!(%error, file = %self.path.display(), "cannot read a journal line, going on without it");
    }

    /// Removes the file, whose lines must be in the database; one with unreadable lines is set aside as `.bad`.
    pub(super) fn remove(self) -> io::Result<()> {
        if self.unreadable > 0 {
            fs::rename(&self.path, self.path.with_extension("bad"))
        } else {
            fs::remove_file(&self.path)
        }
    }
}

/// Numbers of the journal files in the folder, oldest first.
pub(super) fn files(data: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("journal-")?.strip_suffix(".jsonl"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn path(data: &Path, number: u64) -> PathBuf {
    data.join(format!("journal-{number}.jsonl"))
}

fn create(data: &Path, number: u64) -> io::Result<File> {
    fs::OpenOptions::new().append(true).create_new(true).mode(0o600).open(path(data, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::CallId;
    use crate::model::id::NodeId;

    fn answered(seq: u64) -> Change {
        Change::CallAnswered { call: CallId { node: NodeId(0), seq } }
    }

    #[test]
    fn facts_of_a_full_disk_are_written_when_there_is_room_again() {
        let data = tempfile::TempDir::new().unwrap();
        let mut journal = Journal::create(data.path(), 10).unwrap();
        journal.append(&answered(1));
        journal.file = File::options().write(true).open("/dev/full").unwrap();
        journal.append(&answered(2));
        assert!(!journal.unwritten.is_empty());
        // What may stand in that file cannot be cut off either: the next try begins another file.
        journal.append(&answered(3));
        assert!(journal.unwritten.is_empty());

        let mut lines = Vec::new();
        for number in files(data.path()).unwrap() {
            lines.extend(Follow::open(data.path(), number).unwrap().next().unwrap());
        }
        let expected: Vec<_> = (1..=3).map(|seq| Line { n: 10 + seq, change: answered(seq) }).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_longer_than_a_read_is_followed() {
        let data = tempfile::TempDir::new().unwrap();
        let mut journal = Journal::create(data.path(), 0).unwrap();
        let long = Change::RegistrationFailed { why: "x".repeat(3 * READ_MAX).into() };
        journal.append(&long);
        journal.append(&answered(1));
        let mut follow = Follow::open(data.path(), journal.number()).unwrap();
        let mut lines = follow.next().unwrap();
        lines.extend(follow.next().unwrap());
        assert_eq!(lines, [Line { n: 1, change: long }, Line { n: 2, change: answered(1) }]);
        assert!(follow.next().unwrap().is_empty());
    }
}
