//! Too much to do: which requests are turned away at once so that the rest is served in time.
//!
//! The measure is how long messages have waited before they were read. Above the target the pressure rises step by
//! step, below it falls by half (additive increase, multiplicative decrease, as RFC 7339 §7 describes for rates,
//! applied here to ourselves). Strangers feel it first, then new calls, then what known phones send to stay
//! registered; calls that are up and emergency calls never.
//!
//! Media threads that run short of time press on new calls alone, and before those that are up can hear it:
//! registrations cost them nothing.

use std::time::Duration;
use std::time::Instant;

/// How often the pressure is set.
const STEP: Duration = Duration::from_millis(100);
/// How much it rises in a step.
const RISE: f32 = 0.25;
/// Below this it is none.
const NONE: f32 = 0.05;

/// How much a request matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Nothing is known of who sent it.
    Stranger,
    /// A new call from a carrier or a phone.
    Call,
    /// A known phone stays registered, or a carrier asks whether we are there.
    Upkeep,
    /// Of a call that is up, or an emergency call.
    Always,
}

/// The pressure, and what was turned away because of it.
#[derive(Debug)]
pub(crate) struct Overload {
    target: Duration,
    /// From 0 to 3: its part in each whole step is the part of that rank that is turned away.
    pressure: f32,
    /// The longest wait since the last step.
    worst: Duration,
    /// From 0 to 1: the part of new calls that is turned away for want of media.
    media: f32,
    /// Whether a media thread has been short of time since the last step.
    media_short: bool,
    step: Option<Instant>,
    /// What each rank is owed of refusals.
    owed: [f32; 3],
}

impl Overload {
    /// No pressure.
    pub(crate) fn new(target: Duration) -> Overload {
        Overload {
            target,
            pressure: 0.0,
            worst: Duration::ZERO,
            media: 0.0,
            media_short: false,
            step: None,
            owed: [0.0; 3],
        }
    }

    /// Changes the target.
    pub(crate) fn set_target(&mut self, target: Duration) {
        self.target = target;
    }

    /// Messages read now have waited for so long, at most.
    pub(crate) fn waited(&mut self, now: Instant, long: Duration) {
        self.worst = self.worst.max(long);
        self.advance(now);
    }

    /// A media thread is short of time.
    pub(crate) fn media_short(&mut self, now: Instant) {
        self.media_short = true;
        self.advance(now);
    }

    /// Whether a request is turned away. Spread evenly, without chance: of a rank under a pressure of one half
    /// it is every second.
    pub(crate) fn turns_away(&mut self, now: Instant, rank: Rank) -> bool {
        self.advance(now);
        let index = match rank {
            Rank::Stranger => 0,
            Rank::Call => 1,
            Rank::Upkeep => 2,
            Rank::Always => return false,
        };
        let pressure = (self.pressure - index as f32).clamp(0.0, 1.0);
        let owed = &mut self.owed[index];
        *owed += if rank == Rank::Call { pressure.max(self.media) } else { pressure };
        if *owed < 1.0 {
            return false;
        }
        *owed -= 1.0;
        true
    }

    /// Whether anything is turned away.
    pub(crate) fn pressed(&self) -> bool {
        self.pressure > 0.0 || self.media > 0.0
    }

    /// Takes the steps that are due; one without news is one in which nothing waited.
    fn advance(&mut self, now: Instant) {
        let Some(last) = self.step else {
            self.step = Some(now);
            return;
        };
        let steps = now.saturating_duration_since(last).as_millis() / STEP.as_millis();
        if steps == 0 {
            return;
        }
        self.step = Some(now);
        adapt(&mut self.pressure, self.worst > self.target, 3.0, steps);
        adapt(&mut self.media, self.media_short, 1.0, steps);
        (self.worst, self.media_short) = (Duration::ZERO, false);
        if !self.pressed() {
            self.owed = [0.0; 3];
        }
    }
}

/// A pressure after so many steps, in the first of which there was too much to do, or not.
fn adapt(pressure: &mut f32, too_much: bool, most: f32, steps: u128) {
    if too_much {
        *pressure = (*pressure + RISE).min(most);
    }
    // Beyond this it is none in any case.
    for _ in 0..(steps - u128::from(too_much)).min(16) {
        *pressure /= 2.0;
    }
    if *pressure < NONE {
        *pressure = 0.0;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: Duration = Duration::from_millis(100);
    const RANKS: [Rank; 4] = [Rank::Stranger, Rank::Call, Rank::Upkeep, Rank::Always];

    /// Turned away of a hundred, by rank.
    fn shed(overload: &mut Overload, now: Instant) -> [usize; 4] {
        RANKS.map(|rank| (0..100).filter(|_| overload.turns_away(now, rank)).count())
    }

    fn after(steps: u32, waited: Duration) -> [usize; 4] {
        let (mut overload, mut now) = (Overload::new(TARGET), Instant::now());
        overload.waited(now, waited);
        for _ in 0..steps {
            now += STEP;
            overload.waited(now, waited);
        }
        shed(&mut overload, now)
    }

    #[test]
    fn strangers_go_first_then_calls_then_upkeep_and_what_is_up_never() {
        let long = Duration::from_millis(300);
        let rows = [
            (0, long, [0, 0, 0, 0]),
            (2, long, [50, 0, 0, 0]),
            (4, long, [100, 0, 0, 0]),
            (6, long, [100, 50, 0, 0]),
            (8, long, [100, 100, 0, 0]),
            (10, long, [100, 100, 50, 0]),
            (100, long, [100, 100, 100, 0]),
            (100, Duration::from_millis(100), [0, 0, 0, 0]),
        ];
        for (steps, waited, expect) in rows {
            assert_eq!(after(steps, waited), expect, "{steps} steps of {waited:?}");
        }
    }

    #[test]
    fn media_short_of_time_turns_new_calls_away_and_nothing_else() {
        let (mut overload, mut now) = (Overload::new(TARGET), Instant::now());
        overload.media_short(now);
        for (steps, expect) in [(2, [0, 50, 0, 0]), (2, [0, 100, 0, 0]), (20, [0, 100, 0, 0])] {
            for _ in 0..steps {
                now += STEP;
                overload.media_short(now);
            }
            assert_eq!(shed(&mut overload, now), expect);
        }
        assert_eq!(shed(&mut overload, now + Duration::from_secs(1)), [0; 4]);
        assert!(!overload.pressed());
    }

    #[test]
    fn quiet_ends_it_within_a_second() {
        let (mut overload, mut now) = (Overload::new(TARGET), Instant::now());
        for _ in 0..50 {
            now += STEP;
            overload.waited(now, Duration::from_secs(1));
        }
        assert!(overload.pressed());
        assert_eq!(shed(&mut overload, now + Duration::from_secs(1)), [0; 4]);
        assert!(!overload.pressed());
    }

    proptest! {
        /// A higher rank is never turned away more often than a lower one, and what is up never.
        #[test]
        fn ranks_keep_their_order(waits in prop::collection::vec((0u64..400, 0u64..300), 1..60)) {
            let (mut overload, mut now) = (Overload::new(TARGET), Instant::now());
            for (waited, gap) in waits {
                now += Duration::from_millis(gap);
                overload.waited(now, Duration::from_millis(waited));
            }
            overload.owed = [0.0; 3];
            let shed = shed(&mut overload, now);
            prop_assert!(shed.is_sorted_by(|a, b| a >= b), "{shed:?}");
            prop_assert_eq!(shed[3], 0);
        }
    }
}
