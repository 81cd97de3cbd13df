//! Seconds of recordings on their way from a media thread to the recorder, whose disk may be slow.
//!
//! Beginnings and ends always go on. Of the audio, what there is no room for is left out, counted, and told once for
//! each recording: the recorder leaves silence in its place, so that what comes after it is where it belongs.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;

use crate::media::Event;
use crate::media::RecordId;
use crate::media::engine::output::Output;
use crate::media::engine::record::Chunk;

/// Chunks that may wait here; more are left out.
const CHUNKS_MAX: usize = 1024;

/// What an operator reads when something is left out.
const DISK_BEHIND: &str = "the disk cannot follow: seconds of the recording are left out and are silence; look at what else \
     writes to the disk of the data folder, or record fewer calls";

/// What waits for the recorder.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    chunks: VecDeque<Chunk>,
    /// Recordings of which something has been left out since nothing waited: that has been told.
    behind: Vec<RecordId>,
}

impl Backlog {
    /// Takes what the engine gives out, and hands on what the recorder takes; never blocks.
    pub(super) fn carry(&mut self, out: &mut Output, recorder: &SyncSender<Chunk>) {
        if self.chunks.is_empty() {
            self.behind.clear();
        }
        for chunk in out.chunks.drain(..) {
            if self.chunks.len() < CHUNKS_MAX || !chunk.is_audio() {
                self.chunks.push_back(chunk);
                continue;
            }
            out.dropped.disk_behind += 1;
            let record = chunk.record();
            if !self.behind.contains(&record) {
                self.behind.push(record);
                out.events.push(Event::NotRecorded { record, error: DISK_BEHIND.into() });
            }
        }
        while let Some(chunk) = self.chunks.pop_front() {
            if let Err(TrySendError::Full(chunk)) = recorder.try_send(chunk) {
                self.chunks.push_front(chunk);
                break;
            }
        }
    }

    /// Hands everything on, however long the recorder takes: the recordings must be complete.
    pub(super) fn finish(&mut self, recorder: &SyncSender<Chunk>) {
        for chunk in self.chunks.drain(..) {
            let _ = recorder.send(chunk);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_a_slow_disk_has_no_room_for_is_counted_and_told_once_and_no_end_is_lost() {
        let (recorder, taken) = sync_channel(2);
        let mut backlog = Backlog::default();
        let mut out = Output::default();
        let audio = |record, at| Chunk::Audio { record: RecordId(record), at, samples: Vec::new() };
        let seconds = CHUNKS_MAX as u64 + 10;
        for at in 0..seconds {
            out.chunks.push(audio(1, at));
            backlog.carry(&mut out, &recorder);
        }
        out.chunks.push(audio(2, 0));
        out.chunks.push(Chunk::End { record: RecordId(1), length: seconds });
        backlog.carry(&mut out, &recorder);
        // Two are with the recorder and 1024 wait: eight of the first and one of the second found no room.
        assert_eq!(out.dropped.disk_behind, 9);
        let told: Vec<RecordId> = out
            .events
            .drain(..)
            .map(|event| match event {
                Event::NotRecorded { record, error } => {
                    assert!(error.contains("disk cannot follow"), "{error}");
                    record
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [RecordId(1), RecordId(2)]);
        let mut came = 0;
        while !backlog.is_empty() {
            came += taken.try_iter().count();
            backlog.carry(&mut out, &recorder);
        }
        let last: Vec<Chunk> = taken.try_iter().collect();
        assert_eq!(came + last.len(), CHUNKS_MAX + 3);
        assert_eq!(last.last(), Some(&Chunk::End { record: RecordId(1), length: seconds }));
        // The next time that it is too slow is told again.
        for at in 0..=seconds {
            out.chunks.push(audio(1, at));
            backlog.carry(&mut out, &recorder);
        }
        assert_eq!(out.events.len(), 1);
    }
}
