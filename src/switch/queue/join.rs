//! How callers come: in at their place, or out again by the first exit that holds.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::model::queue::JoinPolicy;
use crate::model::queue::Strategy;
use crate::switch::queue::AgentState;
use crate::switch::queue::Caller;
use crate::switch::queue::Deadline;
use crate::switch::queue::ExitReason;
use crate::switch::queue::Left;
use crate::switch::queue::Queues;
use crate::switch::queue::announce::Said;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Place;
use crate::switch::queue::line::Stage;
use crate::time::Now;

/// Who is there to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staff {
    /// Somebody who counts.
    Somebody,
    /// Whoever is logged in is on pause.
    AllPaused,
    /// Nobody is logged in.
    Nobody,
}

impl Queues {
    /// A caller comes: in, or out again by the first exit that holds.
    pub(super) fn on_join(&mut self, now: Now, key: LineKey, caller: Caller) {
        if self.entries.contains_key(&caller.entry) {
            self.on_leave(now, caller.entry, Left::System);
        }
        let kept = self.kept_place(&key, caller.number.as_ref());
        let mut since = caller.waited_since.map_or(now.mono, |since| since.min(now.mono));
        self.next_seq += 1;
        let refused = match self.lines.get(&key) {
            None => Some(ExitReason::Gone),
            // Whose place is kept has been let in before.
            Some(_) if kept.is_some() && caller.open => None,
            Some(line) => self.refuse_join(now, &key, line, caller.open),
        };
        if let Some(exit) = refused {
            self.turned_away(caller.entry, &key, exit, since);
            return;
        }
        let merged = kept.and_then(|kept| self.merge(now, kept));
        let Some(line) = self.lines.get_mut(&key) else { return };
        let before = caller.number.as_ref().and_then(|number| line.hung_up.take(number, now.utc));
        let mut own = caller.priority;
        let mut seq = self.next_seq;
        if let Some((old, old_seq)) = before {
            (since, seq) = (since.min(old), old_seq);
        }
        if let Some((place, priority)) = merged {
            (since, seq) = (since.min(place.since), place.seq);
            own = own.max(priority);
        }
        let place = Place { priority: Reverse(own.unwrap_or(line.rules.priority)), since, seq };
        line.order.insert(place, caller.entry);
        let entry = Entry {
            line: key.clone(),
            place,
            priority: own,
            entered: now.mono,
            ring: caller.ring,
            number: caller.number,
            stage: Stage::Waiting,
            offers: BTreeSet::new(),
            tried: BTreeMap::new(),
            last_chance: false,
            prefers: None,
            rung_since: None,
            callback: None,
            first_rank: line.rank(&place),
            said: Said::default(),
        };
        // Whoever comes for a kept place has joined long ago.
        let (event, code) = match (merged.is_some(), before.is_some()) {
            (true, _) => ("queue.merged", "merged"),
            (false, true) => ("queue.joined", "rejoined"),
            (false, false) => ("queue.joined", "joined"),
        };
        let place = entry.first_rank;
        self.entries.insert(caller.entry, entry);
        self.prefer_last(now, caller.entry);
        let passed = self.passed_over(now, caller.entry, None);
        let fields = Fields { place: Some(place), passed, ..Fields::default() };
        self.tell_with(caller.entry, &key, event, format!("{code}: place {place}"), fields);
        self.arm_max_wait(caller.entry);
        self.arm_tier(now, caller.entry);
        self.arm_callback_offer(now, caller.entry);
        self.welcome(now, caller.entry);
        self.review_staff(now, &key);
        self.dirty.insert(key);
    }

    /// Somebody else waits in a caller's place, which is theirs by the longer wait of the two.
    pub(super) fn on_replaced(
        &mut self,
        now: Now,
        call: CallId,
        (waited_since, number): (Option<Instant>, Option<Number>),
    ) {
        let Some(entry) = self.entries.get_mut(&call).filter(|entry| entry.callback.is_none()) else {
            return;
        };
        entry.number = number;
        let Some(since) = waited_since.filter(|since| *since < entry.place.since) else { return };
        let before = entry.place;
        entry.place.since = since;
        let (place, key, waits) = (entry.place, entry.line.clone(), entry.stage == Stage::Waiting);
        let Some(line) = self.lines.get_mut(&key).filter(|_| waits) else { return };
        line.order.remove(&before);
        line.order.insert(place, call);
        let rank = line.rank(&place);
        let fields = Fields { place: Some(rank), ..Fields::default() };
        self.tell_with(call, &key, "queue.moved", format!("waited_longer: place {rank}"), fields);
        self.arm_tier(now, call);
        self.dirty.insert(key);
    }

    /// The exit a caller takes instead of joining.
    fn refuse_join(&self, now: Now, key: &LineKey, line: &Line, open: bool) -> Option<ExitReason> {
        let rules = &line.rules;
        if !open {
            return Some(ExitReason::Closed);
        }
        match (rules.join, self.staff(key)) {
            (JoinPolicy::Always, _) => {}
            (JoinPolicy::WhenLoggedIn | JoinPolicy::WhenReady, Staff::Nobody) => {
                return Some(ExitReason::Nobody);
            }
            (JoinPolicy::WhenLoggedIn | JoinPolicy::WhenReady, Staff::AllPaused) => {
                return Some(ExitReason::AllPaused);
            }
            (JoinPolicy::WhenLoggedIn, Staff::Somebody) => {}
            (JoinPolicy::WhenReady, Staff::Somebody) => {
                let ready = |agent| matches!(self.stand(now, agent, key), AgentState::Ready(_));
                if !rules.members.iter().any(|member| ready(&member.agent)) {
                    return Some(ExitReason::Nobody);
                }
            }
        }
        // Whoever rings an agent at once needs no room to wait in; where callers are picked nobody does.
        let rings = rules.strategy != Strategy::Pull && !self.free(now, key, line).is_empty();
        if !rings && self.living(line).count() >= rules.max_calls {
            return Some(if rules.group { ExitReason::Busy } else { ExitReason::Full });
        }
        None
    }

    /// Those who wait with a call of their own, in order; not those who are to be called back.
    pub(super) fn living<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = CallId> + 'a {
        let living = |call: &&CallId| self.entries.get(call).is_some_and(|entry| entry.callback.is_none());
        line.order.values().filter(living).copied()
    }

    /// Who of a line is there to answer.
    pub(super) fn staff(&self, key: &LineKey) -> Staff {
        let Some(rules) = self.rules(key) else { return Staff::Nobody };
        let mut staff = Staff::Nobody;
        for member in &rules.members {
            if self.logged_in(&member.agent, key) {
                if rules.count_paused || self.pause_of(&member.agent, key).is_none() {
                    return Staff::Somebody;
                }
                staff = Staff::AllPaused;
            }
        }
        staff
    }

    /// The agent of last time rings first, while that one is there to be waited for.
    fn prefer_last(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let (Some(number), Some(line)) = (&entry.number, self.lines.get(&entry.line)) else { return };
        let Some(prefer) = line.rules.prefer_last else { return };
        let Some((agent, at)) = line.served_by.get(number) else { return };
        if at + prefer.within < now.utc || prefer.wait.is_zero() {
            return;
        }
        let (agent, until) = (agent.clone(), now.mono + prefer.wait);
        if let Some(entry) = self.entries.get_mut(&call) {
            entry.prefers = Some((agent, until));
            self.timers.set(Deadline::Prefer(call), until);
        }
    }
}
