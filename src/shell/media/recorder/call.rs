//! The recording of one call: both sides from the reel into a file.
//!
//! What cannot be written is tried again with every second that comes. What was to be written first is kept and put
//! into its place; the seconds behind it are left out and become silence, so that what is said after it stands where
//! it was said.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
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
use crate::shell::media::recorder::explain;
use crate::shell::media::recorder::header;
use crate::shell::media::recorder::ogg::OggOpus;
use crate::shell::media::recorder::open;

/// Seconds of silence that are made up for at a time where they have to be encoded: the others wait for the recorder.
const CATCH_UP_S: u64 = 30;

/// A running recording.
#[derive(Debug)]
pub(super) struct CallRecording {
    reel: Reel,
    /// The Opus encoder; none writes WAV.
    opus: Option<Box<OggOpus>>,
    data: PathBuf,
    name: Arc<str>,
    /// Open, unless it cannot be.
    file: Option<File>,
    /// Why it cannot be written.
    failing: Option<Arc<str>>,
    /// That has been told.
    told: bool,
    /// Made, and not in the file yet; so many frames of it.
    pending: (Vec<u8>, u64),
    /// Frames behind those that were left out and are to become silence.
    missing: u64,
    /// Frames that have been left out since it failed.
    lost: u64,
    /// Frames that are in the file.
    frames: u64,
    /// Bytes that are in the file.
    bytes: u64,
    newest: Instant,
    /// Stereo, used again.
    space: Vec<i16>,
}

impl CallRecording {
    /// Creates the file of a recording that begins at `at`; failing is told by [`CallRecording::news`].
    pub(super) fn begin(
        data: &Path,
        name: Arc<str>,
        form: TapeForm,
        wide: bool,
        at: Instant,
    ) -> CallRecording {
        let rate = if wide { 16_000 } else { 8000 };
        let mut opus = (form == TapeForm::Opus).then(|| {
            let encoder = OggOpus::new(rate, serial(&name));
            Box::new(encoder.expect("both rates are rates of Opus"))
        });
        let head = opus.as_mut().map(|opus| opus.head()).unwrap_or_default();
        let mut call = CallRecording {
            reel: Reel::new(rate, at),
            bytes: if opus.is_none() { HEADER_BYTES } else { 0 },
            opus,
            data: data.to_owned(),
            name,
            file: None,
            failing: None,
            told: false,
            pending: (head, 0),
            missing: 0,
            lost: 0,
            frames: 0,
            newest: at,
            space: Vec::new(),
        };
        call.flush();
        call
    }

    /// Takes packets, and writes what is complete by them.
    pub(super) fn take(&mut self, epoch: Instant, ms: u64, packets: &[Taken], bytes: &[u8]) {
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
            self.pending.0.extend(last);
        }
        self.flush();
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.sync_data()) {
            self.failing = Some(explain(&self.name, &error));
        }
        let length = self.long(self.frames);
        Event::Recorded { stream, record, length, error: self.failing }
    }

    /// What is to be told: once that it cannot be written, and once that it is again.
    pub(super) fn news(&mut self, record: RecordId) -> Option<Event> {
        match &self.failing {
            Some(error) if !self.told => {
                self.told = true;
                Some(Event::NotRecorded { record, error: Arc::clone(error) })
            }
            None if self.told && self.missing == 0 => {
                self.told = false;
                let lost = std::mem::take(&mut self.lost);
                let missing = self.long(lost);
                Some(Event::RecordedAgain { record, missing })
            }
            Some(_) | None => None,
        }
    }

    fn long(&self, frames: u64) -> Duration {
        Duration::from_secs_f64(frames as f64 / f64::from(self.reel.rate()))
    }

    fn write(&mut self, stereo: &[i16]) {
        if stereo.is_empty() {
            return;
        }
        if self.failing.is_some() {
            self.flush();
        }
        self.catch_up();
        let frames = stereo.len() as u64 / 2;
        if self.failing.is_some() || self.missing > 0 {
            self.missing += frames;
            self.lost += frames;
            return;
        }
        self.add(stereo, frames);
    }

    /// Puts silence where frames were left out.
    fn catch_up(&mut self) {
        if self.failing.is_some() || self.missing == 0 {
            return;
        }
        if self.opus.is_none() {
            // A hole in the file reads as silence.
            let missing = std::mem::take(&mut self.missing);
            (self.bytes, self.frames) = (self.bytes + 4 * missing, self.frames + missing);
            if let Some(Err(error)) = self.file.as_ref().map(|file| file.set_len(self.bytes)) {
                self.failing = Some(explain(&self.name, &error));
            }
            return;
        }
        let second = u64::from(self.reel.rate());
        for _ in 0..CATCH_UP_S {
            let frames = self.missing.min(second);
            if frames == 0 || self.failing.is_some() {
                return;
            }
            self.missing -= frames;
            self.add(&vec![0; 2 * frames as usize], frames);
        }
    }

    fn add(&mut self, stereo: &[i16], frames: u64) {
        match &mut self.opus {
            Some(opus) => self.pending.0.extend(opus.encode(stereo)),
            None => self.pending.0.extend(stereo.iter().flat_map(|sample| sample.to_le_bytes())),
        }
        self.pending.1 += frames;
        self.flush();
    }

    /// Writes what is pending: first the audio, then the header that tells of it. What fails stays pending.
    fn flush(&mut self) {
        match self.try_flush() {
            Ok(()) => self.failing = None,
            Err(error) => {
                // Opened anew: it may be another disk by then.
                self.file = None;
                self.failing = Some(explain(&self.name, &error));
            }
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(open(&self.data, &self.name, self.frames == 0)?),
        };
        let (pending, frames) = (&self.pending.0, self.frames + self.pending.1);
        file.write_all_at(pending, self.bytes)?;
        if self.opus.is_none() {
            file.write_all_at(&header(2, self.reel.rate(), frames), 0)?;
        }
        (self.bytes, self.frames) = (self.bytes + pending.len() as u64, frames);
        self.pending.0.clear();
        self.pending.1 = 0;
        Ok(())
    }
}

/// A serial number for the logical stream, which only has to differ within its file.
fn serial(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::media::Codec;
    use crate::media::codec::Encoder;
    use crate::media::engine::record::Chunk;
    use crate::shell::media::recorder::Recorder;
    use crate::shell::media::recorder::length as length_of;

    const STREAM: StreamId = StreamId { thread: 0, port: 2, generation: 1 };
    const RECORD: RecordId = RecordId(3);

    fn sine(hertz: f64, second: u64) -> Vec<i16> {
        let at = |at: u64| (second * 8000 + at) as f64;
        (0..8000).map(|n| (8000.0 * (TAU * hertz / 8000.0 * at(n)).sin()) as i16).collect()
    }

    /// A second of a call whose left side says 440 Hz and whose right side says 1000.
    fn second(epoch: Instant, second: u64) -> Chunk {
        let (mut packets, mut bytes) = (Vec::new(), Vec::new());
        for (right, hertz) in [(false, 440.0), (true, 1000.0)] {
            Encoder::new(Codec::Pcma).encode(&sine(hertz, second), &mut bytes);
            packets.extend((0..50).map(|at| Taken {
                ms: second * 1000 + at * 20,
                right,
                codec: Codec::Pcma,
                ssrc: u32::from(right),
                timestamp: (second * 8000 + at * 160) as u32,
                length: 160,
            }));
        }
        Chunk::Packets { record: RECORD, epoch, ms: (second + 1) * 1000, packets, bytes }
    }

    fn begin(recorder: &mut Recorder, name: &str, form: TapeForm, at: Instant) -> Option<Event> {
        recorder.take(Chunk::Tape { record: RECORD, file: name.into(), form, wide: false, at })
    }

    fn end(recorder: &mut Recorder, at: Instant) -> Option<Event> {
        recorder.take(Chunk::TapeEnd { stream: STREAM, record: RECORD, at })
    }

    /// Amplitude of one frequency.
    fn level(samples: &[f32], hertz: f64, rate: f64) -> f64 {
        let angle = |at: usize| TAU * hertz / rate * at as f64;
        let sum = |part: fn(f64) -> f64| -> f64 {
            samples.iter().enumerate().map(|(at, sample)| f64::from(*sample) * part(angle(at))).sum()
        };
        2.0 * sum(f64::cos).hypot(sum(f64::sin)) / samples.len() as f64
    }

    fn assert_sides(left: &[f32], right: &[f32], rate: f64) {
        for (side, own, other) in [(left, 440.0, 1000.0), (right, 1000.0, 440.0)] {
            let (own, other) = (level(side, own, rate), level(side, other, rate));
            assert!((0.2..0.3).contains(&own) && other < own / 30.0, "{own} and of the other side {other}");
        }
    }

    fn read_wav(path: &Path) -> (Vec<f32>, Vec<f32>) {
        let mut reader = hound::WavReader::open(path).expect("readable");
        assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, 8000));
        let all: Vec<f32> =
            reader.samples::<i16>().map(|s| f32::from(s.expect("whole")) / 32_768.0).collect();
        let side = |at: usize| all.iter().skip(at).step_by(2).copied().collect();
        (side(0), side(1))
    }

    /// Decodes an Ogg Opus file as RFC 7845 has it; also the position of its last page, and whether that ends it.
    fn read_opus(path: &Path) -> (Vec<f32>, Vec<f32>, u64, bool) {
        let mut pages = ::ogg::PacketReader::new(fs::File::open(path).expect("there"));
        let head = pages.read_packet().expect("whole").expect("a header").data;
        assert_eq!((&head[..8], head[8], head[9]), (&b"OpusHead"[..], 1, 2));
        assert_eq!(head[18..], [1, 2, 0, 0, 1], "two streams, left and right");
        let pre_skip = usize::from(u16::from_le_bytes([head[10], head[11]]));
        let tags = pages.read_packet().expect("whole").expect("tags").data;
        assert!(tags.starts_with(b"OpusTags"));
        let decoder = || opus_rs::OpusDecoder::new(48_000, 1).expect("a rate of Opus");
        let mut decoders = [decoder(), decoder()];
        let (mut sides, mut position, mut ended) = ([Vec::new(), Vec::new()], 0, false);
        // A file that was cut ends with its last whole page.
        while let Ok(Some(packet)) = pages.read_packet() {
            let [toc, length, rest @ ..] = &packet.data[..] else { panic!("two streams") };
            assert!(*length < 252 && toc & 3 == 0);
            let (left, right) = rest.split_at(usize::from(*length));
            let left = [&[*toc], left].concat();
            for ((decoder, packet), side) in decoders.iter_mut().zip([&left, right]).zip(&mut sides) {
                let mut space = [0.0; 960];
                let frames = decoder.decode(packet, 960, &mut space).expect("valid");
                side.extend_from_slice(&space[..frames]);
            }
            (position, ended) = (packet.absgp_page(), packet.last_in_stream());
        }
        let [left, right] = sides.map(|side| side[pre_skip..position as usize].to_vec());
        (left, right, position - pre_skip as u64, ended)
    }

    #[test]
    fn each_side_is_in_its_channel_at_any_moment_and_at_the_end() {
        for form in [TapeForm::Wav, TapeForm::Opus] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("recordings/prove/2026/a");
            let mut recorder = Recorder::new(folder.path());
            let epoch = Instant::now();
            assert_eq!(begin(&mut recorder, "recordings/prove/2026/a", form, epoch), None);
            for at in 0..6 {
                assert_eq!(recorder.take(second(epoch, at)), None);
            }
            // The process could be killed here: all but the last seconds, which are still open, can be read.
            let (left, right) = match form {
                TapeForm::Wav => read_wav(&path),
                TapeForm::Opus => {
                    let (left, right, _, ended) = read_opus(&path);
                    assert!(!ended);
                    (left, right)
                }
            };
            let rate = if form == TapeForm::Wav { 8000.0 } else { 48_000.0 };
            let known = length_of(&path).expect("of its file alone").as_secs_f64();
            assert!((known - left.len() as f64 / rate).abs() < 0.021, "{known} s, {} frames", left.len());
            assert!(left.len() as f64 >= 3.0 * rate, "{} frames", left.len());
            assert_sides(
                &left[rate as usize..2 * rate as usize],
                &right[rate as usize..2 * rate as usize],
                rate,
            );
            // A page that is cut in the middle, as a power failure leaves it, does not hide what is before it.
            let whole = fs::read(&path).expect("there");
            fs::write(&path, &whole[..whole.len() - 50]).expect("written");
            if form == TapeForm::Opus {
                let left = read_opus(&path).0.len() as f64 / rate;
                assert!(left > 2.0);
                let known = length_of(&path).expect("of what is left").as_secs_f64();
                assert!((known - left).abs() < 0.021, "{known} s, {left} can be read");
            }
            fs::write(&path, &whole).expect("written");

            let told = end(&mut recorder, epoch + Duration::from_millis(6500));
            let length = Duration::from_millis(6500);
            let stream = Some(STREAM);
            assert_eq!(told, Some(Event::Recorded { stream, record: RECORD, length, error: None }));
            let (left, right) = match form {
                TapeForm::Wav => read_wav(&path),
                TapeForm::Opus => {
                    let (left, right, frames, ended) = read_opus(&path);
                    assert_eq!((frames, ended), (6500 * 48, true));
                    (left, right)
                }
            };
            assert_eq!(left.len() as f64, 6.5 * rate);
            assert_eq!(length_of(&path).expect("of its file alone"), Duration::from_millis(6500));
            let (from, to) = (4.0 * rate, 5.0 * rate);
            assert_sides(&left[from as usize..to as usize], &right[from as usize..to as usize], rate);
            let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "its owner's alone");
        }
    }

    #[test]
    fn a_full_disk_is_told_at_once_and_only_once() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/full", folder.path().join("full.wav")).expect("a link");
        for form in [TapeForm::Wav, TapeForm::Opus] {
            let mut recorder = Recorder::new(folder.path());
            let epoch = Instant::now();
            let told = begin(&mut recorder, "full.wav", form, epoch);
            let Some(Event::NotRecorded { record: RECORD, error }) = told else { panic!("{told:?}") };
            assert!(
                error.contains("cannot write the recording full.wav") && error.contains("free space"),
                "{error}"
            );
            assert_eq!(recorder.take(second(epoch, 0)), None);
            let told = end(&mut recorder, epoch + Duration::from_secs(1));
            assert!(matches!(told, Some(Event::Recorded { length: Duration::ZERO, error: Some(_), .. })));
        }
    }

    #[test]
    fn what_is_said_after_a_disk_error_that_has_passed_is_where_it_was_said() {
        for form in [TapeForm::Wav, TapeForm::Opus] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a");
            std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
            let mut recorder = Recorder::new(folder.path());
            let epoch = Instant::now();
            let told = begin(&mut recorder, "a", form, epoch);
            assert!(matches!(told, Some(Event::NotRecorded { .. })), "{told:?}");
            for at in 0..8 {
                assert_eq!(recorder.take(second(epoch, at)), None, "told once");
            }
            fs::remove_file(&path).expect("there is room again");
            let told: Vec<Event> = (8..12).filter_map(|at| recorder.take(second(epoch, at))).collect();
            let [Event::RecordedAgain { record: RECORD, missing }] = &told[..] else { panic!("{told:?}") };
            // A place is held open for 2.5 s: when the eighth second came, 5.5 had been given up.
            assert_eq!(*missing, Duration::from_millis(5500), "{form:?}");
            let length = Duration::from_secs(12);
            let told = end(&mut recorder, epoch + length);
            let stream = Some(STREAM);
            assert_eq!(told, Some(Event::Recorded { stream, record: RECORD, length, error: None }));
            let (left, right, rate) = match form {
                TapeForm::Wav => {
                    let (left, right) = read_wav(&path);
                    (left, right, 8000)
                }
                TapeForm::Opus => {
                    let (left, right, frames, ended) = read_opus(&path);
                    assert_eq!((frames, ended), (12 * 48_000, true));
                    (left, right, 48_000)
                }
            };
            assert_eq!(left.len(), 12 * rate);
            let loud =
                |side: &[f32], at: usize| side[at * rate..(at + 1) * rate].iter().any(|s| s.abs() > 0.1);
            let heard: Vec<usize> = (0..12).filter(|at| loud(&left, *at) && loud(&right, *at)).collect();
            assert_eq!(heard, [5, 6, 7, 8, 9, 10, 11], "{form:?}");
            assert_sides(&left[8 * rate..9 * rate], &right[8 * rate..9 * rate], rate as f64);
        }
    }

    #[test]
    fn a_name_outside_the_data_folder_is_refused_and_a_recording_goes_on_at_another_stream() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut recorder = Recorder::new(folder.path());
        let epoch = Instant::now();
        for name in ["../a.wav", "/tmp/a.wav", ""] {
            let told = begin(&mut recorder, name, TapeForm::Wav, epoch);
            assert!(matches!(told, Some(Event::NotRecorded { .. })), "{name}");
            end(&mut recorder, epoch);
        }
        begin(&mut recorder, "a.wav", TapeForm::Wav, epoch);
        recorder.take(second(epoch, 0));
        // The second time it goes on: nothing of it is lost.
        begin(&mut recorder, "a.wav", TapeForm::Wav, epoch + Duration::from_secs(1));
        recorder.take(second(epoch, 1));
        end(&mut recorder, epoch + Duration::from_secs(2));
        assert_eq!(read_wav(&folder.path().join("a.wav")).0.len(), 16_000);
    }
}
