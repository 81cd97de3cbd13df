//! The thread that shakes hands for all streams, so that no media thread computes with public keys.
//!
//! A handshake is done in about two milliseconds of work at each end. What comes when the queue is full is dropped by
//! the media thread: DTLS repeats it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;

use crate::media::StreamId;
use crate::media::dtls::Answer;
use crate::media::dtls::Errand;
use crate::shell::media::handshake::Handshake;
use crate::shell::media::handshake::Identity;

/// Errands that may wait.
const ERRANDS_MAX: usize = 4096;

/// Without anything due the thread looks up this often.
const IDLE: Duration = Duration::from_secs(60);

/// Starts the thread; it ends when the last sender is gone. `answer` is called on it and must not block for long.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    identity: Identity,
    answer: impl Fn(Answer) + Send + 'static,
) -> anyhow::Result<(SyncSender<Errand>, JoinHandle<()>)> {
    let (sender, errands) = sync_channel(ERRANDS_MAX);
    let worker = Worker { identity, errands, streams: BTreeMap::new(), due: BTreeSet::new(), answer };
    let running = std::thread::Builder::new()
        .name("media-keys".into())
        .spawn(move || worker.run())
        .context("cannot start the thread that shakes hands")?;
    Ok((sender, running))
}

struct Worker<A> {
    identity: Identity,
    errands: Receiver<Errand>,
    streams: BTreeMap<StreamId, Handshake>,
    /// When each stream is due again.
    due: BTreeSet<(Instant, StreamId)>,
    answer: A,
}

impl<A: Fn(Answer)> Worker<A> {
    fn run(mut self) {
        loop {
            let next = self.due.first().map(|(due, _)| due.saturating_duration_since(Instant::now()));
            match self.errands.recv_timeout(next.unwrap_or(IDLE).min(IDLE)) {
                Ok(errand) => self.carry_out(Instant::now(), errand),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            while let Some((_, stream)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
                self.with(stream, |handshake| handshake.handle_timeout(now));
            }
        }
    }

    fn carry_out(&mut self, now: Instant, errand: Errand) {
        match errand {
            Errand::Begin { stream, terms, proven } => {
                self.forget(stream);
                let handshake = Handshake::new(now, &self.identity, stream, terms, proven);
                self.streams.insert(stream, handshake);
                self.with(stream, |_| {});
            }
            Errand::Datagram { stream, bytes } => {
                self.with(stream, |handshake| handshake.handle_datagram(now, &bytes));
            }
            Errand::End { stream } => self.forget(stream),
        }
    }

    /// Does something with a stream's handshake and passes on what it says.
    fn with(&mut self, stream: StreamId, act: impl FnOnce(&mut Handshake)) {
        let Some(handshake) = self.streams.get_mut(&stream) else { return };
        if let Some(due) = handshake.poll_timeout() {
            self.due.remove(&(due, stream));
        }
        act(handshake);
        if let Some(due) = handshake.poll_timeout() {
            self.due.insert((due, stream));
        }
        while let Some(answer) = handshake.poll_output() {
            (self.answer)(answer);
        }
    }

    fn forget(&mut self, stream: StreamId) {
        let due = self.streams.remove(&stream).and_then(|handshake| handshake.poll_timeout());
        if let Some(due) = due {
            self.due.remove(&(due, stream));
        }
    }
}
