//! How many calls a carrier carries: channels in use, those kept for a company, and calls begun in a second.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::model::id::CompanyId;
use crate::model::id::TrunkId;
use crate::model::trunk::Trunk;

/// How long a burst of calls may use up what was left over before.
const BURST: Duration = Duration::from_secs(1);

/// One channel of a trunk, held by a leg until that leg is over or given up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel {
    pub(crate) trunk: TrunkId,
    pub(crate) company: CompanyId,
}

/// The channels in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Channels {
    used: BTreeMap<TrunkId, Used>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Used {
    total: usize,
    by_company: BTreeMap<CompanyId, usize>,
}

impl Channels {
    /// Takes one; whether it may be taken is asked of [`Channels::room`] before.
    pub(crate) fn take(&mut self, channel: &Channel) {
        let used = self.used.entry(channel.trunk.clone()).or_default();
        used.total += 1;
        *used.by_company.entry(channel.company.clone()).or_insert(0) += 1;
    }

    /// Gives one back.
    pub(crate) fn give_back(&mut self, channel: &Channel) {
        let Some(used) = self.used.get_mut(&channel.trunk) else { return };
        used.total -= 1;
        if let Some(count) = used.by_company.get_mut(&channel.company) {
            *count -= 1;
            if *count == 0 {
                used.by_company.remove(&channel.company);
            }
        }
        if used.total == 0 {
            self.used.remove(&channel.trunk);
        }
    }

    /// Calls through a trunk, both ways, ringing or up.
    pub(crate) fn of(&self, trunk: &TrunkId) -> usize {
        self.used.get(trunk).map_or(0, |used| used.total)
    }

    /// Whether a call of this company finds a channel: one that is neither used nor kept for another company.
    pub(crate) fn room(&self, id: &TrunkId, trunk: &Trunk, company: &CompanyId) -> bool {
        let Some(most) = trunk.channels else { return true };
        let used = self.used.get(id);
        let by =
            |company: &CompanyId| used.and_then(|used| used.by_company.get(company)).copied().unwrap_or(0);
        let others = trunk.reserved.iter().filter(|(other, _)| *other != company);
        let kept: usize = others.map(|(other, kept)| (*kept as usize).saturating_sub(by(other))).sum();
        self.of(id) + kept < most as usize
    }
}

/// Lets so many calls begin in a second, and a second's worth at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// When everything that was let through would have been evenly spread.
    even: Option<Instant>,
}

impl Bucket {
    /// Lets one through, or not. Without a rate all pass.
    pub(crate) fn pass(&mut self, now: Instant, per_second: Option<u32>) -> bool {
        let Some(rate) = per_second.filter(|rate| *rate > 0) else { return true };
        let even = self.even.map_or(now, |even| even.max(now)) + BURST / rate;
        if even > now + BURST {
            return false;
        }
        self.even = Some(even);
        true
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a clock")]
mod tests {
    use super::*;

    #[test]
    fn a_rate_lets_a_seconds_worth_through_at_once_and_then_one_after_the_other() {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        let burst = (0..20).filter(|_| bucket.pass(start, Some(5))).count();
        assert_eq!(burst, 5);
        assert!(!bucket.pass(start + Duration::from_millis(190), Some(5)));
        assert!(bucket.pass(start + Duration::from_millis(200), Some(5)));
        assert!(!bucket.pass(start + Duration::from_millis(200), Some(5)));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.pass(later, Some(5))).count(), 5);
        assert!((0..100).all(|_| bucket.pass(later, None)));
    }
}
