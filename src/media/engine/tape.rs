//! What is taken of a recorded call on its media thread: the payloads of both directions as they are, with the moment.
//!
//! Nothing is decoded, placed or written here: that is the recorder's, off the media threads. A packet costs the copy of
//! its payload; once a second what was taken is handed on whole.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::media::Codec;
use crate::media::RecordId;
use crate::media::StreamId;
use crate::media::TapeForm;
use crate::media::engine::Engine;
use crate::media::engine::record::Chunk;

/// Packets of each direction that are kept until they are handed on: two seconds at 10 ms. More are left out, and cost the
/// other direction nothing.
const PACKETS_MAX: u16 = 200;

/// Packets that room is made for.
const ROOM: usize = 2 * PACKETS_MAX as usize;

/// Bytes of payload that room is made for: a second of both directions of G.711.
const BYTES_USUAL: usize = 16_384;

/// One packet that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When, in the engine's milliseconds.
    pub ms: u64,
    /// It was sent to the stream's party, else received from them; the other way round on a tape that is flipped.
    pub right: bool,
    /// Its codec.
    pub codec: Codec,
    /// Its line, and its place in that.
    pub ssrc: u32,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Bytes of payload.
    pub length: u16,
}

/// A running recording of a stream's both directions.
#[derive(Debug)]
pub struct Tape {
    record: RecordId,
    /// What is received is the right side.
    flipped: bool,
    /// Nothing is taken for now.
    pub paused: bool,
    packets: Vec<Taken>,
    /// How many of them were received, and sent.
    counts: [u16; 2],
    bytes: Vec<u8>,
    /// Packets that there was no room for.
    left_out: u64,
}

impl Tape {
    /// Begins to take.
    pub fn new(record: RecordId, flipped: bool, paused: bool) -> Tape {
        let (packets, bytes) = (Vec::with_capacity(ROOM), Vec::with_capacity(BYTES_USUAL));
        Tape { record, flipped, paused, packets, counts: [0; 2], bytes, left_out: 0 }
    }

    /// Takes a payload that came or went at `ms`.
    pub fn take(&mut self, sent: bool, codec: Codec, line: (u32, u32), payload: &[u8], ms: u64) {
        let Ok(length) = u16::try_from(payload.len()) else { return };
        if self.paused {
            return;
        }
        let count = &mut self.counts[usize::from(sent)];
        if *count == PACKETS_MAX {
            self.left_out += 1;
            return;
        }
        *count += 1;
        let (ssrc, timestamp) = line;
        self.packets.push(Taken { ms, right: sent != self.flipped, codec, ssrc, timestamp, length });
        self.bytes.extend_from_slice(payload);
    }

    /// Hands on what was taken until `ms`, if only that it was nothing; `epoch` is the engine's millisecond 0.
    pub fn give(&mut self, epoch: Instant, ms: u64, out: &mut Vec<Chunk>) {
        let record = self.record;
        if self.packets.is_empty() {
            return out.push(Chunk::Packets { record, epoch, ms, packets: Vec::new(), bytes: Vec::new() });
        }
        let packets = std::mem::replace(&mut self.packets, Vec::with_capacity(ROOM));
        self.counts = [0; 2];
        let room = Vec::with_capacity(self.bytes.len().max(BYTES_USUAL));
        let bytes = std::mem::replace(&mut self.bytes, room);
        out.push(Chunk::Packets { record, epoch, ms, packets, bytes });
    }
}

/// How a tape is to run.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) record: RecordId,
    pub(super) file: Arc<str>,
    pub(super) form: TapeForm,
    pub(super) flipped: bool,
    pub(super) paused: bool,
}

impl Engine {
    /// A recording begins at a stream, or goes on there.
    pub(super) fn tape(&mut self, id: StreamId, order: Order) {
        let at = self.moment();
        let Some(stream) = self.stream(id) else { return };
        let Order { record, file, form, flipped, paused } = order;
        let wide = stream.session.codec.sample_rate() > 8000;
        let old = stream.tape.replace(Box::new(Tape::new(record, flipped, paused)));
        self.out.chunks.push(Chunk::Tape { record, file, form, wide, at });
        self.give_tape(old.map(|old| *old).as_mut());
    }

    /// A recording takes nothing for a while, or again.
    pub(super) fn pause_tape(&mut self, id: StreamId, paused: bool) {
        if let Some(tape) = self.stream(id).and_then(|stream| stream.tape.as_mut()) {
            tape.paused = paused;
        }
    }

    /// A recording ends, or, unless it is the `last` of it, leaves this stream to go on at another. Its stream may be
    /// closed already.
    pub(super) fn stop_tape(&mut self, id: StreamId, record: RecordId, last: bool) {
        let ours = |tape: &mut Box<Tape>| tape.record == record;
        let tape = self.stream(id).and_then(|stream| stream.tape.take_if(ours));
        self.give_tape(tape.map(|tape| *tape).as_mut());
        if last {
            let at = self.moment();
            self.out.chunks.push(Chunk::TapeEnd { stream: id, record, at });
        }
    }

    /// The engine's millisecond 0.
    fn epoch(&self) -> Instant {
        self.epoch.expect("set by the tick that comes before every command and packet")
    }

    /// Now, as far as the engine knows.
    fn moment(&self) -> Instant {
        self.epoch() + Duration::from_millis(self.ms)
    }

    /// Hands on what was taken of a stream that is being looked after, or closed.
    pub(super) fn give_tape(&mut self, tape: Option<&mut Tape>) {
        if let Some(tape) = tape {
            let epoch = self.epoch();
            tape.give(epoch, self.ms, &mut self.out.chunks);
            self.out.dropped.tape_full += std::mem::take(&mut tape.left_out);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use super::*;

    #[test]
    fn who_sends_too_much_does_not_silence_the_other_side() {
        let mut tape = Tape::new(RecordId(1), false, false);
        for ms in 0..2000 {
            tape.take(false, Codec::Pcma, (1, 0), &[0; 10], ms);
            if ms % 20 == 0 {
                tape.take(true, Codec::Pcma, (2, 0), &[1; 10], ms);
            }
            if ms % 1000 == 999 {
                let mut out = Vec::new();
                tape.give(Instant::now(), ms, &mut out);
                let Some(Chunk::Packets { packets, bytes, .. }) = out.pop() else {
                    unreachable!("just given")
                };
                let sent = packets.iter().filter(|packet| packet.right).count();
                assert_eq!((sent, packets.len() - sent, bytes.len()), (50, 200, 2500));
            }
        }
    }
}
