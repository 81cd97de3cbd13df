//! What a line remembers of callers by their number, for a while: bounded, and forgotten in the order of time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::Number;

/// Callers that a line remembers at most.
const CALLERS: usize = 10_000;

/// Something about each of the latest callers.
#[derive(Debug)]
pub(super) struct Memory<T> {
    by_number: BTreeMap<Number, (T, Timestamp)>,
    by_time: BTreeSet<(Timestamp, Number)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory { by_number: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<T> Memory<T> {
    /// Remembers `what` of a caller, in the place of what was known.
    pub(super) fn keep(&mut self, number: Number, what: T, at: Timestamp) {
        self.forget(&number);
        self.by_time.insert((at, number.clone()));
        self.by_number.insert(number, (what, at));
    }

    /// What is known of a caller, and since when.
    pub(super) fn get(&self, number: &Number) -> Option<(&T, Timestamp)> {
        self.by_number.get(number).map(|(what, at)| (what, *at))
    }

    /// Forgets a caller.
    pub(super) fn forget(&mut self, number: &Number) -> Option<T> {
        let (what, at) = self.by_number.remove(number)?;
        self.by_time.remove(&(at, number.clone()));
        Some(what)
    }

    /// Forgets one caller of before `oldest`, or the oldest of too many; call until `None`.
    pub(super) fn expire(&mut self, oldest: Timestamp) -> Option<Number> {
        let (at, number) = self.by_time.first()?;
        if *at >= oldest && self.by_number.len() <= CALLERS {
            return None;
        }
        let number = number.clone();
        self.forget(&number);
        Some(number)
    }
}

impl<T> Memory<(T, Timestamp)> {
    /// Takes what was kept of a caller together with the moment until which it holds.
    pub(super) fn take(&mut self, number: &Number, now: Timestamp) -> Option<T> {
        let (what, until) = self.forget(number)?;
        (until >= now).then_some(what)
    }

    /// Remembers `what` for a while.
    pub(super) fn keep_for(&mut self, number: Number, what: T, now: Timestamp, lasts: Duration) {
        self.keep(number, (what, now + lasts), now);
        // Kept for half an hour at most: what is older goes, however long the line's rules were.
        while self.expire(now - LONGEST).is_some() {}
    }
}

/// The longest that [`Memory::keep_for`] is used for.
const LONGEST: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: usize) -> Number {
        Number::new(&format!("+47360000{n:05}"))
    }

    #[test]
    fn the_oldest_are_forgotten_first_and_never_more_are_kept_than_there_is_room_for() {
        let start = Timestamp::UNIX_EPOCH;
        let mut memory = Memory::default();
        for n in 0..CALLERS + 2 {
            memory.keep(number(n), n, start + Duration::from_secs(n as u64));
        }
        assert_eq!(memory.expire(start), Some(number(0)), "too many");
        assert_eq!(memory.expire(start), Some(number(1)));
        assert_eq!(memory.expire(start), None);
        assert_eq!(memory.expire(start + Duration::from_secs(3)), Some(number(2)), "too old");
        memory.keep(number(3), 7, start + Duration::from_secs(99_999));
        assert_eq!(memory.expire(start + Duration::from_secs(4)), None, "kept anew");
        assert_eq!(memory.get(&number(3)).map(|(what, _)| *what), Some(7));
        assert_eq!(memory.get(&number(1)), None);
    }

    #[test]
    fn what_holds_for_a_while_is_taken_once_and_not_after_it() {
        let now = Timestamp::UNIX_EPOCH;
        let mut memory = Memory::default();
        memory.keep_for(number(1), 'a', now, Duration::from_secs(60));
        memory.keep_for(number(2), 'b', now, Duration::from_secs(60));
        assert_eq!(memory.take(&number(1), now + Duration::from_secs(60)), Some('a'));
        assert_eq!(memory.take(&number(1), now), None);
        assert_eq!(memory.take(&number(2), now + Duration::from_secs(61)), None);
    }
}
