//! The guard's two measures: failures and the time that follows from them, and requests by the second.

use std::time::Duration;
use std::time::Instant;

use crate::model::fraud;

/// Failures, and the time that follows from them.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    since: Option<Instant>,
    /// How often it was shut out.
    level: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Whether it is shut out.
    pub(crate) fn shut(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// One failure more; tells for how long it is shut out when it was one too many.
    pub(crate) fn fail(&mut self, now: Instant, most: u32, settings: &fraud::Guard) -> Option<Duration> {
        let fresh = |since: Instant| now.saturating_duration_since(since) < settings.within;
        if !self.since.is_some_and(fresh) {
            self.since = Some(now);
            self.failures = 0;
        }
        self.failures += 1;
        (self.failures >= most).then(|| self.shut_out(now, settings))
    }

    /// Shuts it out, twice as long as the last time; who kept quiet for as long as can be begins anew.
    pub(crate) fn shut_out(&mut self, now: Instant, settings: &fraud::Guard) -> Duration {
        let calm = |until: Instant| now.saturating_duration_since(until) >= settings.shut_out_max;
        if self.until.is_some_and(calm) {
            self.level = 0;
        }
        let doubled = settings.shut_out.saturating_mul(1 << self.level.min(20));
        let long = doubled.min(settings.shut_out_max);
        *self = Backoff { failures: 0, since: None, level: self.level + 1, until: Some(now + long) };
        long
    }
}

/// So many requests per second, and twice as many at once: the moment at which what was taken is paid for.
#[derive(Debug, Default)]
pub(crate) struct Bucket(Option<Instant>);

impl Bucket {
    /// Takes one; `false` when there is none left.
    pub(crate) fn take(&mut self, now: Instant, per_second: u32) -> bool {
        let one = Duration::from_secs(1) / per_second.max(1);
        let paid = self.0.map_or(now, |at| at.max(now));
        if paid.saturating_duration_since(now) > Duration::from_secs(2) {
            return false;
        }
        self.0 = Some(paid + one);
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_two_seconds_worth_at_once_and_then_its_rate() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        let mut taken = |at| (0..1_000).filter(|_| bucket.take(at, 100)).count();
        assert_eq!(taken(now), 201);
        assert_eq!(taken(now + Duration::from_millis(500)), 50);
        assert_eq!(taken(now + Duration::from_secs(60)), 201);
    }

    #[test]
    fn the_time_doubles_up_to_the_longest_and_begins_anew_after_as_much_quiet() {
        let settings = fraud::Guard::default();
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            let long = Duration::from_secs(minutes * 60);
            assert_eq!(backoff.shut_out(now, &settings), long);
            assert!(backoff.shut(now));
            now += long;
            assert!(!backoff.shut(now));
        }
        assert_eq!(backoff.shut_out(now + settings.shut_out_max, &settings), settings.shut_out);
    }
}
