//! The answers that a peer is still to get on a connection, so that one which cannot be read any further, or whose peer
//! says no more, is not closed before them.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

/// Requests of a connection that have no final answer yet.
#[derive(Debug, Default)]
pub(super) struct Owed {
    count: AtomicU32,
    paid: Notify,
}

impl Owed {
    /// A request was read that deserves an answer.
    pub(super) fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was written: one answer less if it is a final one.
    pub(super) fn written(&self, octets: &[u8]) {
        let is_final = octets.strip_prefix(b"SIP/2.0 ").is_some_and(|rest| !rest.starts_with(b"1"));
        let less = |count: u32| is_final.then(|| count.saturating_sub(1));
        if self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) == Ok(1) {
            self.paid.notify_one();
        }
    }

    /// Waits until there are none.
    pub(super) async fn settled(&self) {
        while self.count.load(Ordering::Relaxed) > 0 {
            self.paid.notified().await;
        }
    }
}
