//! Writes recordings, off the media threads: messages as 16-bit mono WAV, calls as stereo WAV or as Opus in Ogg.
//!
//! A file is readable whenever the process dies: the header of a WAV is set right after each second of audio (what was
//! written behind its length is cut off by every reader), and a page of Ogg is a second. What cannot be written is told
//! at once and costs no call: all that is before it can be read, and what comes after is tried again until the disk
//! takes it. Files are their owner's alone.

mod call;
mod length;
mod ogg;

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use crate::media::Event;
use crate::media::RecordId;
use crate::media::StreamId;
use crate::media::engine::record::Chunk;
use crate::shell::media::recorder::call::CallRecording;

pub use crate::shell::media::recorder::length::length;

/// Chunks that may wait for the disk: at a chunk a second for each recording, seconds of a slow disk.
const WAITING_MAX: usize = 4096;

const HEADER_BYTES: u64 = 44;

/// Starts the recorder. It ends when every sender is gone; then all files are complete.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    data: &Path,
    events: impl Fn(Vec<Event>) + Send + 'static,
) -> anyhow::Result<(SyncSender<Chunk>, JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let recorder = Recorder::new(data);
    let thread = std::thread::Builder::new()
        .name("recorder".into())
        .spawn(move || recorder.run(&receiver, events))
        .context("cannot start the recorder's thread")?;
    Ok((sender, thread))
}

/// Writes the recordings that chunks tell of.
#[derive(Debug)]
pub struct Recorder {
    data: PathBuf,
    /// Messages.
    files: HashMap<RecordId, Recording>,
    calls: HashMap<RecordId, CallRecording>,
}

#[derive(Debug)]
struct Recording {
    stream: StreamId,
    rate: u32,
    /// The open file, unless it cannot be written.
    file: Option<File>,
    name: Arc<str>,
    /// Samples that the header tells of.
    length: u64,
    /// Why some of it could not be written.
    error: Option<Arc<str>>,
}

impl Recorder {
    /// One whose files lie under this folder.
    pub fn new(data: &Path) -> Recorder {
        Recorder { data: data.to_owned(), files: HashMap::new(), calls: HashMap::new() }
    }

    fn run(mut self, chunks: &Receiver<Chunk>, events: impl Fn(Vec<Event>)) {
        while let Ok(chunk) = chunks.recv() {
            if let Some(event) = self.take(chunk) {
                events(vec![event]);
            }
        }
        let names: Vec<RecordId> = self.files.keys().copied().collect();
        for record in names {
            let length = self.files.get(&record).map_or(0, |recording| recording.length);
            if let Some(event) = self.take(Chunk::End { record, length }) {
                events(vec![event]);
            }
        }
        for (record, call) in self.calls.drain() {
            let at = call.newest();
            events(vec![call.end(record, None, at)]);
        }
    }

    /// Takes one chunk; what is to be told of it.
    pub fn take(&mut self, chunk: Chunk) -> Option<Event> {
        match chunk {
            Chunk::Begin { stream, record, file: name, rate } => {
                let mut recording = Recording { stream, rate, file: None, name, length: 0, error: None };
                recording.attempt(&self.data, 0, |_| Ok(()));
                self.files.insert(record, recording);
                None
            }
            Chunk::Audio { record, at, samples } => {
                if let Some(recording) = self.files.get_mut(&record) {
                    recording.write(&self.data, at, &samples);
                }
                None
            }
            Chunk::End { record, length } => self.files.remove(&record).map(|mut recording| {
                recording.finish(&self.data, length);
                let (stream, error) = (recording.stream, recording.error);
                let length = Duration::from_secs_f64(recording.length as f64 / f64::from(recording.rate));
                Event::Recorded { stream: Some(stream), record, length, error }
            }),
            Chunk::Tape { record, file, form, wide, at } => {
                let data = &self.data;
                let call = self.calls.entry(record);
                call.or_insert_with(|| CallRecording::begin(data, file, form, wide, at)).news(record)
            }
            Chunk::Packets { record, epoch, ms, packets, bytes } => {
                let call = self.calls.get_mut(&record)?;
                call.take(epoch, ms, &packets, &bytes);
                call.news(record)
            }
            Chunk::TapeEnd { stream, record, at } => {
                self.calls.remove(&record).map(|call| call.end(record, Some(stream), at))
            }
        }
    }
}

impl Recording {
    fn write(&mut self, data: &Path, at: u64, samples: &[i16]) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let end = at + samples.len() as u64;
        self.attempt(data, end, |file| file.write_all_at(&bytes, HEADER_BYTES + 2 * at));
    }

    fn finish(&mut self, data: &Path, length: u64) {
        // A hole at the end (chunks that were dropped before it) reads as silence.
        self.attempt(data, length, |file| {
            file.set_len(HEADER_BYTES + 2 * length)?;
            file.sync_data()
        });
    }

    /// First the audio, then the header that tells of it. What could not be written is a hole, which reads as silence,
    /// when the disk takes what comes after it.
    fn attempt(&mut self, data: &Path, length: u64, write: impl FnOnce(&File) -> io::Result<()>) {
        let length = length.max(self.length);
        let opened = match self.file.take() {
            Some(file) => Ok(file),
            None => open(data, &self.name, self.length == 0),
        };
        let written = opened.and_then(|file| {
            write(&file)?;
            file.write_all_at(&header(1, self.rate, length), 0)?;
            Ok(file)
        });
        match written {
            Ok(file) => (self.file, self.length) = (Some(file), length),
            Err(error) => self.error = Some(explain(&self.name, &error)),
        }
    }
}

fn explain(name: &str, error: &io::Error) -> Arc<str> {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space on the disk of the data folder"
        }
        io::ErrorKind::PermissionDenied => "; give the service's user the right to write there",
        _ => "",
    };
    format!("cannot write the recording {name}: {error}{advice}").into()
}

/// Opens the file, `anew` without what may be in it, and makes the folders above it, for its owner alone; a name that
/// leads out of the data folder is refused.
fn open(data: &Path, name: &str, anew: bool) -> io::Result<File> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name leads out of the data folder"));
    }
    let path = data.join(name);
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    File::options().write(true).create(true).truncate(anew).mode(0o600).open(path)
}

/// A WAV header for so many frames of 16-bit samples; lengths beyond its 32 bits are told as the most it can.
fn header(channels: u16, rate: u32, frames: u64) -> [u8; HEADER_BYTES as usize] {
    let frame = u32::from(channels) * 2;
    let most = (u32::MAX - 36) / frame * frame;
    let bytes = u32::try_from(frames * u64::from(frame)).unwrap_or(most).min(most);
    let mut header = *b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\x02\0\x10\0data\0\0\0\0";
    header[4..8].copy_from_slice(&(bytes + 36).to_le_bytes());
    header[22..24].copy_from_slice(&channels.to_le_bytes());
    header[24..28].copy_from_slice(&rate.to_le_bytes());
    header[28..32].copy_from_slice(&(rate * frame).to_le_bytes());
    header[32..34].copy_from_slice(&(channels * 2).to_le_bytes());
    header[40..].copy_from_slice(&bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId { thread: 0, port: 2, generation: 1 };

    fn begin(recorder: &mut Recorder, name: &str) {
        let chunk = Chunk::Begin { stream: STREAM, record: RecordId(1), file: name.into(), rate: 8000 };
        assert_eq!(recorder.take(chunk), None);
    }

    fn audio(at: u64, value: i16) -> Chunk {
        Chunk::Audio { record: RecordId(1), at, samples: vec![value; 8000] }
    }

    fn read(path: &Path) -> Vec<i16> {
        let mut reader = hound::WavReader::open(path).expect("readable");
        assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8000, 1));
        reader.samples::<i16>().map(|sample| sample.expect("whole")).collect()
    }

    #[test]
    fn a_recording_is_readable_at_any_moment_and_whole_at_the_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("voicemail/7/a.wav");
        let mut recorder = Recorder::new(dir.path());
        begin(&mut recorder, "voicemail/7/a.wav");
        assert!(read(&path).is_empty(), "killed at once");
        recorder.take(audio(0, 5));
        assert_eq!(read(&path), vec![5; 8000], "killed after a second");
        // Killed between the audio and the header: the half second that no header tells of is cut off.
        let file = File::options().write(true).open(&path).expect("there");
        file.write_all_at(&[1; 8000], HEADER_BYTES + 16_000).expect("written");
        assert_eq!(read(&path), vec![5; 8000]);
        recorder.take(audio(16_000, 6)); // the chunk before it was lost
        let event = recorder.take(Chunk::End { record: RecordId(1), length: 24_000 });
        let length = Duration::from_secs(3);
        assert_eq!(
            event,
            Some(Event::Recorded { stream: Some(STREAM), record: RecordId(1), length, error: None })
        );
        let samples = read(&path);
        assert_eq!((samples.len(), samples[0], samples[23_999]), (24_000, 5, 6));
        assert!(recorder.files.is_empty());
    }

    #[test]
    fn what_cannot_be_written_is_told_at_the_end() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("file"), b"in the way").expect("written");
        for name in ["../out.wav", "/etc/out.wav", "", "file/out.wav"] {
            let mut recorder = Recorder::new(dir.path());
            begin(&mut recorder, name);
            recorder.take(audio(0, 5));
            let event = recorder.take(Chunk::End { record: RecordId(1), length: 8000 });
            let Some(Event::Recorded { error: Some(error), length, .. }) = event else { panic!("{event:?}") };
            assert!(error.starts_with("cannot write the recording"), "{error}");
            assert_eq!(length, Duration::ZERO);
        }
    }

    #[test]
    fn recordings_that_run_when_the_senders_are_gone_are_completed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (told, events) = std::sync::mpsc::channel();
        let (sender, thread) =
            start(dir.path(), move |events| told.send(events).expect("heard")).expect("started");
        let file = "a.wav".into();
        sender.send(Chunk::Begin { stream: STREAM, record: RecordId(1), file, rate: 8000 }).expect("taken");
        sender.send(audio(0, 9)).expect("taken");
        drop(sender);
        thread.join().expect("ends");
        assert!(matches!(events.recv().expect("told")[..], [Event::Recorded { error: None, .. }]));
        assert_eq!(read(&dir.path().join("a.wav")).len(), 8000);
    }
}
