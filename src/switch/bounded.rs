//! A table with a maximum: what was not touched for longest makes room for what is new.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::Hash;

/// At most `most` entries by key.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    most: usize,
    entries: HashMap<K, (u64, V)>,
    /// Keys by when they were touched last.
    order: BTreeMap<u64, K>,
    touched: u64,
}

impl<K: Copy + Eq + Hash, V: Default> Bounded<K, V> {
    /// An empty table.
    pub(crate) fn new(most: usize) -> Bounded<K, V> {
        Bounded { most, entries: HashMap::new(), order: BTreeMap::new(), touched: 0 }
    }

    /// Looks without touching.
    pub(crate) fn peek(&self, key: K) -> Option<&V> {
        self.entries.get(&key).map(|(_, value)| value)
    }

    /// The entry of `key`, made when there is none, touched.
    pub(crate) fn entry(&mut self, key: K) -> &mut V {
        self.touched += 1;
        if let Some((at, _)) = self.entries.get(&key) {
            self.order.remove(at);
        } else if self.entries.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.touched, key);
        let (at, value) = self.entries.entry(key).or_default();
        *at = self.touched;
        value
    }

    /// All entries, the one touched last at the end.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.order.values().filter_map(|key| Some((*key, self.peek(*key)?)))
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_touched_longest_ago_makes_room() {
        let mut table: Bounded<u32, u32> = Bounded::new(3);
        for key in 1..=3 {
            *table.entry(key) = key * 10;
        }
        table.entry(1);
        table.entry(4);
        assert_eq!(table.peek(2), None);
        let keys: Vec<u32> = table.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [3, 1, 4]);
        assert_eq!((table.len(), table.order.len()), (3, 3));
    }
}
