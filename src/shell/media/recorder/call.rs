//! The recording of one call: both sides from the reel into a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::media::Event;
use crate::media::RecordId;
use crate::media::StreamId;
use crate::media::TapeForm;
use crate::media::engine::tape::Taken;
use crate::media::reel::Reel;
use crate::shell::media::recorder::HEADER_BYTES;
use crate::shell::media::recorder::create;
use crate::shell::media::recorder::explain;
use crate::shell::media::recorder::header;
use crate::shell::media::recorder::ogg::OggOpus;

/// A running recording.
#[derive(Debug)]
pub(super) struct CallRecording {
    reel: Reel,
    /// The Opus encoder; none writes WAV.
    opus: Option<Box<OggOpus>>,
    /// The open file, or why there is none.
    file: Result<File, Arc<str>>,
    name: Arc<str>,
    /// Frames that are in the file.
    frames: u64,
    /// Bytes that are in the file.
    bytes: u64,
    /// That it cannot be written has been told.
    told: bool,
    newest: Instant,
    /// Stereo, used again.
    space: Vec<i16>,
}

impl CallRecording {
    /// Creates the file of a recording that begins at `at`; failing is told by [`CallRecording::failed`].
    pub(super) fn begin(
        data: &Path,
        name: Arc<str>,
        form: TapeForm,
        wide: bool,
        at: Instant,
    ) -> CallRecording {
        let rate = if wide { 16_000 } else { 8000 };
        let opus = (form == TapeForm::Opus).then(|| OggOpus::new(rate, serial(&name)).map(Box::new));
        let file = create(data, &name).map_err(|error| explain(&name, &error));
        let (opus, file) = match opus.transpose() {
            Ok(opus) => (opus, file),
            Err(why) => (None, Err(format!("cannot write the recording {name}: {why}").into())),
        };
        let reel = Reel::new(rate, at);
        let mut call = CallRecording {
            reel,
            opus,
            file,
            name,
            frames: 0,
            bytes: 0,
            told: false,
            newest: at,
            space: Vec::new(),
        };
        match call.opus.as_mut().map(|opus| opus.head()) {
            Some(head) => call.append(&head),
            None => call.write_header(),
        }
        call
    }

    /// Takes packets, and writes what is complete by them.
    pub(super) fn take(&mut self, epoch: Instant, ms: u64, packets: &[Taken], bytes: &[u8]) {
        if self.file.is_err() {
            return;
        }
        self.reel.take(epoch, packets, bytes);
        self.newest = self.newest.max(epoch + Duration::from_millis(ms));
        let mut space = std::mem::take(&mut self.space);
        space.clear();
        self.reel.give(self.newest, &mut space);
        self.write(&space);
        self.space = space;
    }

    /// The moment up to which it has heard something.
    pub(super) fn newest(&self) -> Instant {
        self.newest
    }

    /// Ends it at `at`.
    pub(super) fn end(mut self, record: RecordId, stream: Option<StreamId>, at: Instant) -> Event {
        let mut space = Vec::new();
        self.reel.finish(at, &mut space);
        self.write(&space);
        if let Some(last) = self.opus.as_mut().map(|opus| opus.finish()) {
            self.append(&last);
        }
        self.attempt(|file| file.sync_data());
        let length = Duration::from_secs_f64(self.frames as f64 / f64::from(self.reel.rate()));
        Event::Recorded { stream, record, length, error: self.file.err() }
    }

    /// That it cannot be written, once.
    pub(super) fn failed(&mut self, record: RecordId) -> Option<Event> {
        let error = self.file.as_ref().err()?;
        (!std::mem::replace(&mut self.told, true))
            .then(|| Event::NotRecorded { record, error: Arc::clone(error) })
    }

    fn write(&mut self, stereo: &[i16]) {
        if stereo.is_empty() {
            return;
        }
        match &mut self.opus {
            Some(opus) => {
                let page = opus.encode(stereo);
                self.append(&page);
            }
            None => {
                let bytes: Vec<u8> = stereo.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                self.append(&bytes);
            }
        }
        if self.file.is_ok() {
            self.frames += stereo.len() as u64 / 2;
            if self.opus.is_none() {
                self.write_header();
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let at = self.bytes.max(if self.opus.is_none() { HEADER_BYTES } else { 0 });
        self.attempt(|file| file.write_all_at(bytes, at));
        if self.file.is_ok() {
            self.bytes = at + bytes.len() as u64;
        }
    }

    fn write_header(&mut self) {
        let header = header(2, self.reel.rate(), self.frames);
        self.attempt(|file| file.write_all_at(&header, 0));
    }

    fn attempt(&mut self, write: impl FnOnce(&File) -> io::Result<()>) {
        let Ok(file) = &self.file else { return };
        if let Err(error) = write(file) {
            self.file = Err(explain(&self.name, &error));
        }
    }
}

/// A serial number for the logical stream, which only has to differ within its file.
fn serial(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
