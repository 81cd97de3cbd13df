//! What the queues take back from the store at start: log-ins, pauses, turns, tallies, kept places, last agents.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::change::Change;
use crate::model::change::KeptPlace;
use crate::model::id::AgentKey;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::switch::queue::Deadline;
use crate::switch::queue::Pause;
use crate::switch::queue::Queues;
use crate::switch::queue::agent::Agent;
use crate::switch::queue::agent::Seat;
use crate::switch::queue::agent::Tally;
use crate::switch::queue::announce::Said;
use crate::switch::queue::callback::KEPT_FOR;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Kept;
use crate::switch::queue::line::Place;
use crate::switch::queue::line::Stage;
use crate::time::Now;

impl Queues {
    /// A fact from the store. Before the first configuration log-ins and pauses are taken of anybody; it then drops
    /// those that it does not list. Facts that do not concern queues are ignored.
    pub(super) fn on_restore(&mut self, now: Now, change: Change) {
        if let Change::AgentLogin { agent, line, logged_in, .. } = change {
            self.early_seat(now, &agent, Some(&line));
            if let Some(seat) = self.seat_mut(&agent, &line) {
                seat.login = Some(logged_in);
                seat.login_at = now.mono;
            }
            self.review_staff(now, &line);
            self.touch_agent(&agent);
        } else if let Change::AgentPaused { agent, line, reason, until, by, .. } = change {
            self.restore_pause(now, &agent, line.as_ref(), reason.map(|reason| Pause { reason, until, by }));
        } else if let Change::RoundRobin { line, agent } = change {
            self.rung_last.insert(line, agent);
        } else if let Change::AgentTally { agent, line, day, calls, talk_ms } = change {
            if let Some(seat) = self.seat_mut(&agent, &line) {
                seat.tally = Tally { day: Some(day), calls, talk: Duration::from_millis(talk_ms) };
            }
        } else if let Change::LastAgent { line, number, agent: Some(agent), at } = change {
            if let Some(line) = self.lines.get_mut(&line) {
                line.served_by.keep(number, agent, at);
            }
        } else if let Change::Callback { line, number, kept: Some(kept), .. } = change {
            self.restore_kept(now, line, number, &kept);
        }
    }

    /// Before the first configuration nobody is listed, and everybody may come to be.
    fn early_seat(&mut self, now: Now, agent: &AgentKey, line: Option<&LineKey>) {
        if !self.config.companies.is_empty() {
            return;
        }
        let agent = self.agents.entry(agent.clone()).or_insert_with(|| Agent::new(now));
        if let Some(line) = line {
            agent.seats.entry(line.clone()).or_insert_with(|| Seat::new(now));
        }
    }

    fn restore_pause(&mut self, now: Now, key: &AgentKey, line: Option<&LineKey>, pause: Option<Pause>) {
        self.early_seat(now, key, line);
        match line {
            None => {
                if let Some(agent) = self.agents.get_mut(key) {
                    agent.paused = pause;
                }
            }
            Some(line) => {
                if let Some(seat) = self.seat_mut(key, line) {
                    seat.paused = pause;
                }
            }
        }
        // One whose time is over ends with the next look at the deadlines, and says so.
        self.arm_pause_end(now, key, line);
        self.touch_agent(key);
    }

    /// A place that was kept for a call-back: it waits on where it stood.
    fn restore_kept(&mut self, now: Now, key: LineKey, number: Number, kept: &KeptPlace) {
        if self.callbacks.contains_key(&(key.clone(), number.clone())) {
            return;
        }
        let left = |at: crate::time::Timestamp| {
            Duration::try_from(at.duration_since(now.utc)).unwrap_or(Duration::ZERO)
        };
        let waited = Duration::try_from(now.utc.duration_since(kept.since)).unwrap_or(Duration::ZERO);
        let since = now.mono.checked_sub(waited).unwrap_or(now.mono);
        let not_before = kept.not_before.map(|at| now.mono + left(at));
        let name = self.uncarried_name();
        let Some(line) = self.lines.get_mut(&key) else { return };
        let priority = kept.priority.unwrap_or(line.rules.priority);
        let place = Place { priority: Reverse(priority), since, seq: self.next_seq };
        line.order.insert(place, name);
        let entry = Entry {
            line: key.clone(),
            place,
            priority: kept.priority,
            entered: since,
            ring: None,
            number: Some(number.clone()),
            stage: Stage::Waiting,
            offers: BTreeSet::new(),
            tried: BTreeMap::new(),
            last_chance: false,
            prefers: None,
            rung_since: None,
            callback: Some(Kept {
                number: number.clone(),
                attempts: kept.attempts,
                not_before,
                since: kept.since,
            }),
            first_rank: line.rank(&place),
            said: Said::default(),
        };
        self.entries.insert(name, entry);
        self.callbacks.insert((key.clone(), number), name);
        self.timers.set(Deadline::MaxWait(name), now.mono + KEPT_FOR.saturating_sub(waited));
        if let Some(at) = not_before {
            self.timers.set(Deadline::CallbackRetry(name), at);
        }
        self.arm_tier(now, name);
        self.dirty.insert(key);
    }
}
