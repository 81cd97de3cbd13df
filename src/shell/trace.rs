//! SIP messages as they crossed the wire, kept in memory for diagnosis: `sentral trace`, pcap files, and HEP.
//!
//! What costs time (reading, masking, drawing) is done by who asks. On the way of a message there is only
//! [`Trace::received`] or [`Trace::sent`], which clone its bytes into the ring. Secrets are masked whenever
//! something leaves the ring. Left out: keeping messages on disk, RTCP and call quality over HEP.

pub mod hep;
pub mod ladder;
pub mod mask;
pub mod pcap;
pub mod ring;
pub mod view;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::server::Server;
use crate::shell::clock;
use crate::shell::trace::ring::Entry;
use crate::shell::trace::ring::Leg;
use crate::shell::trace::ring::Ring;
use crate::sip::Hop;
use crate::sip::Transport;

/// Entries taken from the ring at a time, so that it is never locked for long.
const CHUNK: usize = 512;
/// What HEP needs of the ring when nothing else does: bytes.
const HEP_BYTES: usize = 1_000_000;

/// The way to the ring; clones share it. One that is off keeps nothing.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Shared>>);

struct Shared {
    ring: Mutex<Ring>,
    pushed: Notify,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("on", &self.0.is_some()).finish()
    }
}

impl Trace {
    /// A ring of at most so many bytes; 0 is off.
    pub fn new(bytes_max: usize) -> Trace {
        let shared = || Arc::new(Shared { ring: Mutex::new(Ring::new(bytes_max)), pushed: Notify::new() });
        Trace((bytes_max > 0).then(shared))
    }

    /// As configured; HEP needs a ring too.
    pub fn configured(server: &Server) -> Trace {
        let least = if server.hep.is_some() { HEP_BYTES } else { 0 };
        Trace::new(server.trace_bytes.max(least))
    }

    /// Whether messages are kept.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A message has come; also one that cannot be read.
    pub fn received(&self, hop: &Hop, bytes: &Bytes) {
        if self.is_on() {
            // A message of a stream is a piece of a larger buffer, which a clone would keep alive.
            let exact = hop.transport == Transport::Udp;
            self.push(*hop, true, if exact { bytes.clone() } else { Bytes::copy_from_slice(bytes) });
        }
    }

    /// A message goes out.
    pub fn sent(&self, hop: &Hop, bytes: &Bytes) {
        // RFC 5626 §3.5.1: answers to keep-alives are no messages.
        if bytes.len() > 4 {
            self.push(*hop, false, bytes.clone());
        }
    }

    /// Facts of the core tell which messages belong to a call.
    pub fn told(&self, change: &Change) {
        let Some(shared) = &self.0 else { return };
        match change {
            Change::CallLeg { call, call_id, party } => {
                let leg = Leg { call: *call, call_id: Arc::clone(call_id), party: Arc::clone(party) };
                shared.ring().put_leg(leg);
            }
            // A call that was refused at once has no leg.
            Change::CallEnded { cdr } => {
                let mut ring = shared.ring();
                if !cdr.sip_call_id.is_empty() && ring.call_of(&cdr.sip_call_id).is_none() {
                    let call_id = Arc::clone(&cdr.sip_call_id);
                    ring.put_leg(Leg { call: cdr.id, call_id, party: "".into() });
                }
            }
            _ => {}
        }
    }

    fn push(&self, hop: Hop, incoming: bool, bytes: Bytes) {
        if let Some(shared) = &self.0 {
            shared.ring().push(clock::now().utc, hop, incoming, bytes);
            shared.pushed.notify_waiters();
        }
    }

    /// Entries from number `from` on, at most a chunk, oldest first.
    pub fn chunk(&self, from: u64) -> Vec<Entry> {
        self.0.as_ref().map(|shared| shared.ring().from(from, CHUNK)).unwrap_or_default()
    }

    /// All entries from number `from` on, oldest first.
    pub fn all(&self, from: u64) -> Vec<Entry> {
        let mut all = self.chunk(from);
        while let Some(last) = all.last().map(|entry| entry.seq) {
            let more = self.chunk(last + 1);
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        all
    }

    /// The call that a Call-ID belongs to.
    pub fn call_of(&self, call_id: &str) -> Option<CallId> {
        self.0.as_ref()?.ring().call_of(call_id)
    }

    /// What is known of the legs of calls, oldest first.
    pub fn legs(&self) -> Vec<Leg> {
        self.0.as_ref().map(|shared| shared.ring().legs()).unwrap_or_default()
    }

    /// The number that the next entry will have.
    pub fn next(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.ring().next())
    }

    /// Waits until there is an entry of number `from` or later, but no longer than `patience`.
    pub async fn wait(&self, from: u64, patience: Duration) {
        let Some(shared) = &self.0 else { return };
        let pushed = async {
            loop {
                let pushed = shared.pushed.notified();
                if shared.ring().next() > from {
                    return;
                }
                pushed.await;
            }
        };
        // Nothing came: that is an answer too.
        let _ = timeout(patience, pushed).await;
    }
}

impl Shared {
    /// The ring is sound after every statement, so a panic elsewhere does not matter.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
