//! A circuit to each system that flows ask: when one is down, calls do not wait for it one by one.
//!
//! After `FAILURES` failures in a row it is left alone for `REST`; then one call tries it, and what comes of that
//! decides. A wrong answer is no failure: who gives one is up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 3;
/// For how long nobody is asked then.
const REST: Duration = Duration::from_secs(30);
/// Systems that are remembered: many more than a configuration names.
const SYSTEMS_MAX: usize = 10_000;

/// The circuits by URL.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    failing: BTreeMap<Arc<str>, Failing>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    failures: u32,
    /// Until when nobody is asked.
    rests: Option<Instant>,
}

impl Circuits {
    /// Whether the system may be asked; when its rest is over, only by the first who comes.
    pub(super) fn may_ask(&mut self, url: &str, now: Instant) -> bool {
        let Some(failing) = self.failing.get_mut(url) else { return true };
        match failing.rests {
            Some(until) if now < until => false,
            Some(_) => {
                failing.rests = Some(now + REST);
                true
            }
            None => true,
        }
    }

    /// What came of asking. Tells whether that opened or closed the circuit: `Some(true)` when it is open from here on.
    pub(super) fn asked(&mut self, url: &Arc<str>, well: bool, now: Instant) -> Option<bool> {
        if well {
            let before = self.failing.remove(url)?;
            return before.rests.map(|_| false);
        }
        if self.failing.len() >= SYSTEMS_MAX && !self.failing.contains_key(url) {
            self.failing.clear();
        }
        let failing = self.failing.entry(url.clone()).or_insert(Failing { failures: 0, rests: None });
        failing.failures = failing.failures.saturating_add(1);
        if failing.failures < FAILURES {
            return None;
        }
        let opened = failing.rests.is_none();
        failing.rests = Some(now + REST);
        opened.then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
    fn a_system_that_is_down_is_left_alone_and_tried_by_one_call() {
        let url: Arc<str> = "https://crm.example.no/".into();
        let mut circuits = Circuits::default();
        let start = Instant::now();
        for failure in 1..=FAILURES {
            assert!(circuits.may_ask(&url, start));
            assert_eq!(circuits.asked(&url, false, start), (failure == FAILURES).then_some(true));
        }
        assert!(!circuits.may_ask(&url, start + REST - Duration::from_millis(1)));
        assert!(circuits.may_ask("https://other.example.no/", start));
        // One call tries it; the others do not wait for what it finds.
        let later = start + REST;
        assert!(circuits.may_ask(&url, later));
        assert!(!circuits.may_ask(&url, later));
        assert_eq!(circuits.asked(&url, false, later), None, "it was open already");
        assert!(!circuits.may_ask(&url, later + REST / 2));
        assert!(circuits.may_ask(&url, later + REST));
        assert_eq!(circuits.asked(&url, true, later + REST), Some(false));
        assert!(circuits.may_ask(&url, later + REST));
        // A single failure between answers does nothing.
        assert_eq!(circuits.asked(&url, false, later), None);
        assert_eq!(circuits.asked(&url, true, later), None);
    }
}
