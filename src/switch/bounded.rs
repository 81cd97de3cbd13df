//! A table with a maximum: what was not touched for long makes room for what is new.
//!
//! Two halves, a young and an old one: what is touched goes into the young, and when that is full it becomes the old
//! one, whose entries are forgotten. So an entry is kept until at least half as many others as the table may hold were
//! touched after it, and each touch costs a look or two by hash.

use std::collections::HashMap;
use std::hash::Hash;

/// At most so many entries by key.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V: Default> Bounded<K, V> {
    /// An empty table for at most `most` entries, two at least.
    pub(crate) fn new(most: usize) -> Bounded<K, V> {
        Bounded { half: (most / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// Looks without touching.
    pub(crate) fn peek(&self, key: K) -> Option<&V> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// The entry of `key`, made when there is none, touched.
    pub(crate) fn entry(&mut self, key: K) -> &mut V {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key).unwrap_or_default();
            if self.young.len() >= self.half {
                // The emptied one keeps its room.
                std::mem::swap(&mut self.young, &mut self.old);
                self.young.clear();
            }
            self.young.insert(key, value);
        }
        self.young.entry(key).or_default()
    }

    /// Forgets an entry.
    pub(crate) fn remove(&mut self, key: K) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.young.iter().chain(&self.old).map(|(key, value)| (*key, value))
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_stays_and_the_rest_makes_room() {
        let mut table: Bounded<u32, u32> = Bounded::new(8);
        *table.entry(0) = 7;
        for key in 1..=1_000 {
            *table.entry(key) = key;
            assert!(table.len() <= 8, "{key}");
            // The last four at least.
            let kept = (key.saturating_sub(3)..=key).all(|recent| table.peek(recent).is_some());
            assert!(kept, "{key}");
            if key % 3 == 0 {
                table.entry(0);
            }
            assert_eq!(table.peek(0), Some(&7), "{key}");
        }
        assert_eq!(table.peek(900), None);
        table.remove(1_000);
        assert_eq!(table.peek(1_000), None);
        assert_eq!(table.iter().count(), table.len());
    }
}
