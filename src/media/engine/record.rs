//! What is recorded of a stream: received audio as 16-bit samples, placed by timestamp, given out by the second.
//!
//! Late packets are put in their place while their second is still here; what never came is silence. There is
//! no jitter buffer: a recording is not listened to as it comes.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::media::Codec;
use crate::media::RecordId;
use crate::media::StreamId;
use crate::media::TapeForm;
use crate::media::engine::tape::Taken;
use crate::media::reading::Reading;
use crate::media::reading::SPACE;
use crate::media::rtp::Header;

/// A timestamp that moves by more seconds than this begins another line, placed at the end.
const GAP_MAX_S: i64 = 10;

/// Samples a second at most: what is above 8 kHz is not worth its room on the disk.
const RATE_MAX: u32 = 16_000;

/// Below this root mean square a packet counts as silence: −45 dBm0, a full-scale sine being +3.14 dBm0.
const SILENCE_RMS: i64 = 91;

/// What the recorder is told, in this order for each recording: of a message `Begin`, `Audio`, `End`; of a call `Tape`,
/// `Packets`, `TapeEnd`, where `Tape` comes again for each further stream at which it goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// A recording begins.
    Begin {
        /// Of what.
        stream: StreamId,
        /// Its name.
        record: RecordId,
        /// File name under the data folder.
        file: Arc<str>,
        /// Samples a second.
        rate: u32,
    },
    /// Some of its audio; the first sample is the `at`-th of the recording. A gap before it is silence.
    Audio {
        /// Its name.
        record: RecordId,
        /// Samples before these.
        at: u64,
        /// Mono.
        samples: Vec<i16>,
    },
    /// It is over: `length` samples in all.
    End {
        /// Its name.
        record: RecordId,
        /// Samples.
        length: u64,
    },
    /// The recording of a call begins, or goes on at another stream.
    Tape {
        /// Its name.
        record: RecordId,
        /// File name under the data folder.
        file: Arc<str>,
        /// What it becomes.
        form: TapeForm,
        /// 16 kHz, else 8 kHz.
        wide: bool,
        /// When.
        at: Instant,
    },
    /// Packets of it, in the order in which they came and went.
    Packets {
        /// Its name.
        record: RecordId,
        /// The millisecond 0 of their moments.
        epoch: Instant,
        /// Until when these are all, in milliseconds from there.
        ms: u64,
        /// What they are.
        packets: Vec<Taken>,
        /// Their payloads, one after the other.
        bytes: Vec<u8>,
    },
    /// The recording of a call is over.
    TapeEnd {
        /// Where it ended.
        stream: StreamId,
        /// Its name.
        record: RecordId,
        /// When.
        at: Instant,
    },
}

impl Chunk {
    /// Whether it can be left out when the recorder cannot follow: silence stands in its place.
    pub fn is_audio(&self) -> bool {
        matches!(self, Chunk::Audio { .. } | Chunk::Packets { .. })
    }

    /// Whose it is.
    pub fn record(&self) -> RecordId {
        match self {
            Chunk::Begin { record, .. }
            | Chunk::Audio { record, .. }
            | Chunk::End { record, .. }
            | Chunk::Tape { record, .. }
            | Chunk::Packets { record, .. }
            | Chunk::TapeEnd { record, .. } => *record,
        }
    }
}

/// A running recording.
pub struct Record {
    name: RecordId,
    rate: u32,
    reading: Reading,
    /// The second that is being filled, beginning at sample `start`.
    buffer: Vec<i16>,
    start: u64,
    max: u64,
    max_silence: Option<u64>,
    began_ms: u64,
    /// Since when nothing but silence has come.
    loud_ms: u64,
    /// SSRC, and the timestamp and sample number that belong together; the clock of that timestamp in hertz.
    anchor: Option<(u32, u32, u64)>,
    clock: u32,
}

impl Record {
    /// Begins at `ms`; tells the recorder.
    pub fn begin(
        (stream, record): (StreamId, RecordId),
        file: Arc<str>,
        codec: Codec,
        (max, max_silence): (Duration, Option<Duration>),
        ms: u64,
        out: &mut Vec<Chunk>,
    ) -> Record {
        let rate = codec.sample_rate().min(RATE_MAX);
        out.push(Chunk::Begin { stream, record, file, rate });
        Record {
            name: record,
            rate,
            reading: Reading::default(),
            buffer: Vec::with_capacity(rate as usize),
            start: 0,
            max: (max.as_millis() as u64).saturating_mul(u64::from(rate / 1000)),
            max_silence: max_silence.map(|silence| silence.as_millis() as u64),
            began_ms: ms,
            loud_ms: ms,
            anchor: None,
            clock: codec.clock_rate(),
        }
    }

    /// Takes a packet of `codec` that came at `ms`.
    pub fn receive(&mut self, header: &Header, payload: &[u8], codec: Codec, ms: u64, out: &mut Vec<Chunk>) {
        let mut space = SPACE;
        let samples = self.reading.read(codec, payload, self.rate, &mut space);
        let energy: i64 = samples.iter().map(|s| i64::from(*s) * i64::from(*s)).sum();
        if energy >= SILENCE_RMS * SILENCE_RMS * samples.len() as i64 && !samples.is_empty() {
            self.loud_ms = ms;
        }
        let Some(at) = self.place(header, codec.clock_rate()) else { return };
        self.put(at, samples, out);
    }

    /// The sample number of a packet; `None` when it is too late.
    fn place(&mut self, header: &Header, clock: u32) -> Option<u64> {
        let rate = i64::from(self.rate);
        // Timestamps of one clock say nothing about those of another.
        if let Some((ssrc, timestamp, at)) = self.anchor.filter(|_| clock == self.clock) {
            let moved = i64::from(header.timestamp.wrapping_sub(timestamp) as i32);
            let place = at as i64 + moved * rate / i64::from(clock);
            let ahead = place - self.length() as i64;
            if ssrc == header.ssrc && ahead.abs() <= GAP_MAX_S * rate {
                let place = u64::try_from(place).ok()?;
                self.anchor = Some((ssrc, header.timestamp, place));
                return (place >= self.start).then_some(place);
            }
        }
        let at = self.length();
        self.clock = clock;
        self.anchor = Some((header.ssrc, header.timestamp, at));
        Some(at)
    }

    fn put(&mut self, at: u64, samples: &[i16], out: &mut Vec<Chunk>) {
        for (sample, number) in samples.iter().zip(at..self.max.max(at)) {
            while number >= self.start + u64::from(self.rate) {
                self.buffer.resize(self.rate as usize, 0);
                self.give(out);
            }
            let index = (number - self.start) as usize;
            if index >= self.buffer.len() {
                self.buffer.resize(index + 1, 0);
            }
            self.buffer[index] = *sample;
        }
    }

    fn give(&mut self, out: &mut Vec<Chunk>) {
        let next = Vec::with_capacity(self.rate as usize);
        let samples = std::mem::replace(&mut self.buffer, next);
        let at = self.start;
        self.start += samples.len() as u64;
        out.push(Chunk::Audio { record: self.name, at, samples });
    }

    /// Samples so far.
    fn length(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// Whether it has come to one of its ends: as much audio, as much time, or as much silence as it may have.
    pub fn is_over(&self, ms: u64) -> bool {
        let silent = self.max_silence.is_some_and(|max| ms.saturating_sub(self.loud_ms) >= max);
        let time_max = self.max / u64::from(self.rate / 1000);
        silent || self.length() >= self.max || ms.saturating_sub(self.began_ms) >= time_max
    }

    /// Ends; gives out what is left.
    pub fn end(mut self, out: &mut Vec<Chunk>) {
        let length = self.length();
        if !self.buffer.is_empty() {
            let samples = std::mem::take(&mut self.buffer);
            out.push(Chunk::Audio { record: self.name, at: self.start, samples });
        }
        out.push(Chunk::End { record: self.name, length });
    }
}
