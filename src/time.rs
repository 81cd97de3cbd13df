//! Time as data: one reading of both clocks, and deadlines kept in one index.
//!
//! Only `shell::clock` reads the clocks. Waiting, ringing and wrap-up use [`Now::mono`]; opening hours
//! and call records use [`Now::utc`].

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;
use std::time::Instant;

/// A moment on the wall clock, in UTC with full resolution.
pub use jiff::Timestamp;

/// One reading of the monotonic and the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For timers: never jumps.
    pub mono: Instant,
    /// For opening hours and records: may jump when the machine's clock is set.
    pub utc: Timestamp,
}

impl Now {
    /// The same moment, `by` later on both clocks.
    pub fn later(self, by: Duration) -> Now {
        Now { mono: self.mono + by, utc: self.utc + by }
    }
}

/// Deadlines by key, with the earliest at hand. Setting a key again moves its deadline.
#[derive(Debug, Clone)]
pub struct Timers<K> {
    by_key: HashMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { by_key: HashMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Clone + Ord + Hash> Timers<K> {
    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Removes the deadline of `key`; tells whether there was one.
    pub fn clear(&mut self, key: &K) -> bool {
        match self.by_key.remove(key) {
            Some(old) => self.by_time.remove(&(old, key.clone())),
            None => false,
        }
    }

    /// The deadline of `key`, if one is set.
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline and whose it is.
    pub fn next(&self) -> Option<(Instant, &K)> {
        self.by_time.first().map(|(at, key)| (*at, key))
    }

    /// Takes the earliest key whose deadline is at or before `now`; call until `None`.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many deadlines are set.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no deadline is set.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// The earlier of two optional deadlines.
pub fn earliest<T>(a: Option<(Instant, T)>, b: Option<(Instant, T)>) -> Option<(Instant, T)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a clock")]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_set_again_is_moved_and_expires_once() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.set('a', start);
        timers.set('b', start + Duration::from_secs(1));
        timers.set('a', start + Duration::from_secs(2));
        assert_eq!(timers.next(), Some((start + Duration::from_secs(1), &'b')));
        assert_eq!(timers.expired(start), None);
        let late = start + Duration::from_secs(3);
        assert_eq!(timers.expired(late), Some('b'));
        assert_eq!(timers.expired(late), Some('a'));
        assert_eq!(timers.expired(late), None);
        assert!(timers.is_empty());
    }
}
