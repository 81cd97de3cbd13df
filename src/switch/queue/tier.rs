//! Which agents count after how long a wait: tier 1 at once, each further one after another `tier_after`,
//! or at once when nobody before it can take the call.

use std::time::Duration;

/// One tier of a queue, for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its number; 1 is rung first.
    pub tier: u8,
    /// Somebody in it is free for this caller, or is being rung for them.
    pub able: bool,
}

/// The last tier that counts for a caller who has waited for `waited`; `tiers` are in rising order.
///
/// `after` is the wait per tier; `None` never adds one by time. None only when there are no tiers.
pub fn last_counted(tiers: &[Tier], waited: Duration, after: Option<Duration>) -> Option<u8> {
    let mut last = None;
    let mut anybody = false;
    for (steps, tier) in (0u32..).zip(tiers) {
        let by_wait = after.is_some_and(|after| waited >= after.saturating_mul(steps));
        if steps > 0 && anybody && !by_wait {
            break;
        }
        last = Some(tier.tier);
        anybody |= tier.able;
    }
    last
}

/// How long after joining the next tier will count by time, for a caller who has waited for `waited`.
pub fn next_after(tiers: usize, waited: Duration, after: Option<Duration>) -> Option<Duration> {
    let after = after.filter(|after| !after.is_zero())?;
    let steps = u32::try_from(waited.as_nanos() / after.as_nanos()).ok()?.checked_add(1)?;
    (usize::try_from(steps).ok()? < tiers).then(|| after.saturating_mul(steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Option<Duration> = Some(Duration::from_secs(20));

    fn tiers(able: &[bool]) -> Vec<Tier> {
        (1..).zip(able).map(|(tier, &able)| Tier { tier, able }).collect()
    }

    #[test]
    fn a_tier_counts_after_its_wait_or_when_nobody_before_it_is_able() {
        let s = Duration::from_secs;
        let rows = [
            // Somebody in tier 1: only tier 1, until its wait is over.
            (vec![true, true, true], s(0), AFTER, Some(1)),
            (vec![true, true, true], s(19), AFTER, Some(1)),
            (vec![true, true, true], s(20), AFTER, Some(2)),
            (vec![true, true, true], s(40), AFTER, Some(3)),
            // Nobody in tier 1: tier 2 at once, and no further.
            (vec![false, true, true], s(0), AFTER, Some(2)),
            (vec![false, false, true], s(0), AFTER, Some(3)),
            // Never by time, but still when nobody is able.
            (vec![true, true], s(3600), None, Some(1)),
            (vec![false, true], s(0), None, Some(2)),
            (vec![], s(0), AFTER, None),
        ];
        for (able, waited, after, expect) in rows {
            assert_eq!(last_counted(&tiers(&able), waited, after), expect, "{able:?} after {waited:?}");
        }
    }

    #[test]
    fn the_next_tier_is_due_at_a_multiple_of_the_wait() {
        let s = Duration::from_secs;
        assert_eq!(next_after(3, s(0), AFTER), Some(s(20)));
        assert_eq!(next_after(3, s(20), AFTER), Some(s(40)));
        assert_eq!(next_after(3, s(40), AFTER), None);
        assert_eq!(next_after(1, s(0), AFTER), None);
        assert_eq!(next_after(2, s(0), None), None);
        assert_eq!(next_after(2, s(0), Some(Duration::ZERO)), None);
    }
}
