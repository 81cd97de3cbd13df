//! Whether a media thread wakes for each packet, or lets them gather for a millisecond.

use std::time::Duration;
use std::time::Instant;

/// Decides whether to let packets gather before waking for them.
///
/// A wake-up costs as much as several packets. Where they come by ones and twos and often, it is worth to look only
/// once a millisecond; where they come in bunches or seldom, waking at once costs little more. While gathering,
/// waking at once is tried again each second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Option<Instant>,
    wakes: u32,
    packets: u32,
    /// Windows for which gathering goes on.
    gathering: u32,
}

impl Pace {
    const WINDOW: Duration = Duration::from_millis(20);
    /// Windows between two trials of waking at once.
    const TRIAL: u32 = 50;

    /// Whether to look once a millisecond.
    pub(super) fn gathers(&self) -> bool {
        self.gathering > 0
    }

    /// Counts a wait that began at `before` and found so many sockets ready.
    pub(super) fn woke(&mut self, before: Instant, ready: usize) {
        self.wakes += u32::from(ready > 0);
        self.packets += ready as u32;
        let since = *self.since.get_or_insert(before);
        let window = before.saturating_duration_since(since);
        if window < Pace::WINDOW {
            return;
        }
        // More than 2,000 wakes a second with fewer than four packets each.
        let often = u128::from(self.wakes) * 1_000_000 > 2000 * window.as_micros();
        let few = self.packets < 4 * self.wakes;
        self.gathering = match self.gathering {
            0 if often && few => Pace::TRIAL,
            left => left.saturating_sub(1),
        };
        (self.since, self.wakes, self.packets) = (Some(before), 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_come_often_and_one_by_one_are_gathered() {
        let start = Instant::now();
        let run = |packets_apart_us: u64, batch: usize| {
            let mut pace = Pace::default();
            (0..400).for_each(|at| pace.woke(start + Duration::from_micros(packets_apart_us * at), batch));
            pace.gathers()
        };
        assert!(run(100, 1), "10,000 wakes a second for one packet each");
        assert!(!run(1000, 10), "bunches");
        assert!(!run(20_000, 1), "seldom");
    }
}
