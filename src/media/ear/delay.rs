//! How long packets are held: measured from how much later than the quickest they come.
//!
//! A packet's lateness is its arrival less its timestamp, over the least of that in the last seconds; the least
//! follows a clock that drifts. The hold is what all but one packet in fifty need, with a little to spare.

/// Width of a class of lateness, and how many there are: up to 400 ms.
const CLASS_US: i64 = 5000;
const CLASSES: usize = 80;

/// How much a packet weighs once many have come: the last ten seconds or so decide.
const WEIGHT: f32 = 1.0 / 500.0;

/// Share of the packets that may come later than they are held for.
const LATE_SHARE: f32 = 0.02;

/// To spare: the ticks of both sides are not exact.
const SPARE_US: i64 = 5000;

/// Before enough has come to judge by.
const FIRST_US: i64 = 30_000;
const ENOUGH: u32 = 25;

/// Half of the time over which the least is remembered.
const HALF_MS: u64 = 2000;

#[derive(Debug)]
pub(super) struct Delay {
    /// Share of the packets in each class; sums to 1 once one has come.
    shares: [f32; CLASSES],
    count: u32,
    /// The least of arrival less timestamp in this half and in the one before, and when this began.
    least: Option<(i64, i64)>,
    half_ms: u64,
    target_us: i64,
}

impl Default for Delay {
    fn default() -> Delay {
        Delay { shares: [0.0; CLASSES], count: 0, least: None, half_ms: 0, target_us: FIRST_US }
    }
}

impl Delay {
    /// Another line of timestamps begins; what is known of the network stays.
    pub(super) fn restart(&mut self) {
        self.least = None;
    }

    /// A packet of time `time_us` came at `ms`.
    pub(super) fn measure(&mut self, time_us: i64, ms: u64) {
        let transit = ms as i64 * 1000 - time_us;
        let (now, before) = self.least.unwrap_or((transit, transit));
        self.least = Some((now.min(transit), before));
        if ms.saturating_sub(self.half_ms) >= HALF_MS {
            let quickest = if ms.saturating_sub(self.half_ms) < 2 * HALF_MS { now } else { transit };
            self.least = Some((transit, quickest));
            self.half_ms = ms;
        }
        let late = transit - self.least_us();
        let class = (late / CLASS_US).clamp(0, CLASSES as i64 - 1) as usize;
        self.count = self.count.saturating_add(1);
        let weight = WEIGHT.max(1.0 / self.count as f32);
        for share in &mut self.shares {
            *share *= 1.0 - weight;
        }
        self.shares[class] += weight;
        if self.count >= ENOUGH {
            let mut over = 0.0;
            let needed = (1..CLASSES).rev().find(|class| {
                over += self.shares[*class];
                over > LATE_SHARE
            });
            self.target_us = (needed.unwrap_or(0) as i64 + 1) * CLASS_US + SPARE_US;
        }
    }

    fn least_us(&self) -> i64 {
        self.least.map_or(0, |(now, before)| now.min(before))
    }

    /// When a packet of that time is to be heard.
    pub(super) fn due_us(&self, time_us: i64) -> i64 {
        time_us + self.least_us() + self.target_us
    }

    /// Whether it is to be heard at `at_us`.
    pub(super) fn is_due(&self, time_us: i64, at_us: i64) -> bool {
        at_us >= self.due_us(time_us)
    }

    /// For how long the quickest packet is held.
    pub(super) fn target_us(&self) -> i64 {
        self.target_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hold_follows_the_jitter_up_and_down() {
        let mut delay = Delay::default();
        let mut at = 0u64;
        let mut feed = |delay: &mut Delay, packets: u64, jitter: &dyn Fn(u64) -> u64| {
            for _ in 0..packets {
                delay.measure(at as i64 * 20_000, at * 20 + jitter(at));
                at += 1;
            }
        };
        feed(&mut delay, 200, &|_| 0);
        assert_eq!(delay.target_us(), 10_000);
        feed(&mut delay, 500, &|at| at * 7919 % 60);
        assert!((55_000..=70_000).contains(&delay.target_us()), "{}", delay.target_us());
        feed(&mut delay, 3000, &|_| 0);
        assert_eq!(delay.target_us(), 10_000);
    }

    #[test]
    fn a_clock_that_drifts_is_not_jitter() {
        for slow in [-200i64, 200] {
            let mut delay = Delay::default();
            for at in 0..20_000i64 {
                let micros = at * 20_000 + at * 20 * slow / 1000;
                delay.measure(at * 20_000, 10_000 + (micros / 1000) as u64);
            }
            assert_eq!(delay.target_us(), 10_000, "{slow} ppm");
        }
    }
}
