//! The wheel of 1 ms slots: which streams send in which millisecond.
//!
//! Waking costs as much as sending several packets, so slots are filled one by one up to a bunch that is sent in
//! a fraction of its millisecond; only when all have that many does a stream go where it crowds least.
//!
//! A stream that sends every 20 ms is in one of 20 slots. So that 10, 30, 40 and 60 ms fit the same wheel, it
//! has 120 slots (their least common multiple) and a stream stands in each of its turns.

/// Slots of the wheel, a millisecond each.
const WHEEL: usize = 120;

/// Streams of a slot that are no crowd: sent in about 400 µs.
const BUNCH: usize = 100;

/// Streams by the millisecond in which they are due. A stream is named by its port.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Vec<u16>>,
    placed: usize,
}

/// A stream's place: due at every millisecond `m` with `m % period == phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Milliseconds from one turn to the next; divides 120.
    pub period: u8,
    /// Which of them.
    pub phase: u8,
}

impl Place {
    /// Whether this place has its turn at millisecond `ms`.
    pub fn is_due(self, ms: u64) -> bool {
        ms % u64::from(self.period) == u64::from(self.phase)
    }
}

impl Default for Slots {
    fn default() -> Slots {
        Slots { slots: vec![Vec::new(); WHEEL], placed: 0 }
    }
}

impl Slots {
    /// The place for a stream of this period: in the fullest slot with room in its bunch, else where it crowds
    /// least; 20 ms when the period does not divide the wheel.
    pub fn best(&self, period: u8) -> Place {
        let period = if period > 0 && WHEEL.is_multiple_of(usize::from(period)) { period } else { 20 };
        let load = |phase: u8| -> usize {
            let turns = self.slots.iter().skip(usize::from(phase)).step_by(usize::from(period));
            turns.map(Vec::len).max().unwrap_or(0)
        };
        // Steps of 7 ms, which is coprime to every period, keep the first slots in use apart from each other.
        let phases = (0..period).map(|step| (u16::from(step) * 7 % u16::from(period)) as u8);
        let phase = phases.min_by_key(|phase| match load(*phase) {
            load if load < BUNCH => (0, BUNCH - load),
            load => (1, load),
        });
        Place { period, phase: phase.unwrap_or(0) }
    }

    /// The place of this period, 10 or 20 ms, where it crowds least: for what is a crowd of its own.
    pub fn sparest(&self, period: u8) -> Place {
        let load = |phase: &u8| -> usize {
            self.slots.iter().skip(usize::from(*phase)).step_by(usize::from(period)).map(Vec::len).sum()
        };
        Place { period, phase: (0..period).min_by_key(load).unwrap_or(0) }
    }

    /// Puts a stream in; it must not be in already.
    pub fn insert(&mut self, place: Place, port: u16) {
        for slot in self.turns(place) {
            debug_assert!(!slot.contains(&port), "a stream stands once in a slot");
            slot.push(port);
        }
        self.placed += 1;
    }

    /// Takes a stream out.
    pub fn remove(&mut self, place: Place, port: u16) {
        for slot in self.turns(place) {
            if let Some(at) = slot.iter().position(|p| *p == port) {
                slot.swap_remove(at);
            }
        }
        self.placed -= 1;
    }

    fn turns(&mut self, place: Place) -> impl Iterator<Item = &mut Vec<u16>> {
        self.slots.iter_mut().skip(usize::from(place.phase)).step_by(usize::from(place.period))
    }

    /// How many streams are due at millisecond `ms`.
    pub fn due(&self, ms: u64) -> usize {
        self.slots[(ms % WHEEL as u64) as usize].len()
    }

    /// One of the streams that are due at `ms`; `at` is below [`Slots::due`].
    pub fn port(&self, ms: u64, at: usize) -> Option<u16> {
        self.slots[(ms % WHEEL as u64) as usize].get(at).copied()
    }

    /// The first millisecond at or after `ms` in which a stream is due; `None` when the wheel is empty.
    pub fn next(&self, ms: u64) -> Option<u64> {
        if self.placed == 0 {
            return None;
        }
        (ms..ms + WHEEL as u64).find(|ms| self.due(*ms) > 0)
    }

    /// How many streams are in the wheel.
    pub fn len(&self) -> usize {
        self.placed
    }

    /// Whether no stream is in the wheel.
    pub fn is_empty(&self) -> bool {
        self.placed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_by_the_bunch_and_then_evenly() {
        let mut slots = Slots::default();
        let mut place = |count: u16| {
            for port in 0..count {
                let place = slots.best(20);
                slots.insert(place, port);
            }
            (0..20).map(|ms| slots.due(ms)).collect::<Vec<_>>()
        };
        let mut expect = vec![0; 20];
        (expect[0], expect[7], expect[14]) = (BUNCH, BUNCH, 6);
        assert_eq!(place(206), expect, "few wakes, far apart");
        assert_eq!(place(20 * 150 - 206), vec![150; 20], "no millisecond more crowded than another");
    }

    #[test]
    fn every_packet_length_is_due_exactly_once_a_period() {
        for period in [10u8, 20, 30, 40, 60] {
            let mut slots = Slots::default();
            slots.insert(Place { period: 20, phase: 0 }, 1);
            let place = slots.best(period);
            slots.insert(place, 2);
            let turns: Vec<u64> =
                (0..240).filter(|ms| (0..slots.due(*ms)).any(|at| slots.port(*ms, at) == Some(2))).collect();
            assert_eq!(turns.len(), 240 / usize::from(period));
            assert!(turns.windows(2).all(|pair| pair[1] - pair[0] == u64::from(period)));
            assert!(turns.iter().all(|ms| place.is_due(*ms)));
            slots.remove(place, 2);
            slots.remove(Place { period: 20, phase: 0 }, 1);
            assert!(slots.is_empty());
            assert_eq!(slots.next(0), None);
        }
    }
}
