//! The watchdog of the queues: nobody may wait for an agent who is free for them. Dispatch acts on events, so this
//! never happens; should it after all, the line is looked at again and somebody is told.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::model::event::Fields;
use crate::model::id::LineKey;
use crate::switch::Switch;
use crate::time::Now;

/// A line may stand still for so long.
const STILL_MAX: Duration = Duration::from_secs(2);

/// Lines in which somebody waits while an agent is free for them, since when, and whether that was told.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    still: BTreeMap<LineKey, (Instant, bool)>,
}

impl Watchdog {
    /// Takes the lines that stand still now; gives back those that have for too long, each once.
    fn review(&mut self, now: Instant, still: Vec<LineKey>) -> Vec<LineKey> {
        self.still.retain(|line, _| still.contains(line));
        let mut alarms = Vec::new();
        for line in still {
            let (since, told) = self.still.entry(line.clone()).or_insert((now, false));
            if !*told && now.saturating_duration_since(*since) > STILL_MAX {
                *told = true;
                alarms.push(line);
            }
        }
        alarms
    }
}

impl Switch {
    /// Looks at all queues and ring groups; once a second.
    pub(crate) fn watch_queues(&mut self, now: Now) {
        let still = self.queues.still(now);
        for line in self.watchdog.review(now.mono, still) {
            tracing::error!(%line, "callers wait while an agent is free: looking again");
            let why = "stalled: callers wait while an agent is free for them";
            self.decide_with(
                now,
                &line.company,
                None,
                "queue.stalled",
                why,
                Fields::of_line(line.line.clone()),
            );
            self.queues.nudge(now, line);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use super::*;
    use crate::model::id::LineId;

    #[test]
    fn a_line_that_stands_still_for_more_than_two_seconds_is_told_once() {
        let line = LineKey { company: "fjord".into(), line: LineId::Queue("salg".into()) };
        let begin = Instant::now();
        let at = |tenths: u64| begin + Duration::from_millis(tenths * 100);
        let mut dog = Watchdog::default();
        let lines = [line.clone()];
        assert_eq!(dog.review(at(0), vec![line.clone()]), []);
        assert_eq!(dog.review(at(20), vec![line.clone()]), []);
        assert_eq!(dog.review(at(21), vec![line.clone()]), lines);
        assert_eq!(dog.review(at(30), vec![line.clone()]), []);
        assert_eq!(dog.review(at(40), vec![]), []);
        assert_eq!(dog.review(at(50), vec![line.clone()]), [], "it begins anew");
        assert_eq!(dog.review(at(80), vec![line]), lines);
    }
}
