//! Talks: from the bridge to the end of the agent's part, what they count for, and the wrap-up after them.

use std::time::Duration;

use crate::model::change::Change;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::switch::queue::Deadline;
use crate::switch::queue::Failure;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::switch::queue::announce::Sample;
use crate::switch::queue::leave::millis;
use crate::switch::queue::line::Stage;
use crate::switch::queue::offer::Offer;
use crate::time::Now;

/// A talk counts as answered from here on.
const ANSWERED_AFTER: Duration = Duration::from_secs(1);

impl Queues {
    /// Caller and winner are bridged: the offer becomes a talk.
    pub(super) fn on_talk_started(&mut self, now: Now, call: CallId) {
        let Some(&Stage::Connecting(winner)) = self.entries.get(&call).map(|entry| &entry.stage) else {
            return;
        };
        self.timers.clear(&Deadline::Guard(call));
        self.withdraw_losers(now, call);
        let Some(Offer { line, agent, .. }) = self.close_offer(winner) else { return };
        self.talks.insert(agent.clone(), call);
        if let Some(who) = self.agents.get_mut(&agent) {
            who.misses = 0;
            who.seats.values_mut().for_each(|seat| seat.misses = 0);
        }
        self.forget_kept(now, call);
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let (wait, rank, called_back) =
            (entry.waited(now), entry.first_rank, entry.callback.take().is_some());
        entry.stage = Stage::Talking { agent: agent.clone(), since: now.mono, wait, counted: false };
        // How long it took to call somebody back tells nobody how long to wait on the line.
        if let Some(line) = self.lines.get_mut(&line).filter(|_| !called_back) {
            Sample::keep(&mut line.samples, Sample { at: now.mono, wait, rank });
        }
        self.unarm(call);
        self.timers.set(Deadline::Counted(call), now.mono + ANSWERED_AFTER);
        let why = format!("answered: {} after {} s", agent.user, wait.as_secs());
        let fields = Fields { agent: Some(agent.user), wait_ms: Some(millis(wait)), ..Fields::default() };
        self.tell_with(call, &line, "queue.answered", why, fields);
    }

    /// The agent's part is over; before the bridge that is a winner who dropped.
    pub(super) fn on_talk_ended(&mut self, now: Now, call: CallId) {
        match self.entries.get(&call).map(|entry| &entry.stage) {
            Some(Stage::Talking { .. }) => self.end_talk(now, call),
            Some(&Stage::Connecting(winner)) => self.on_failed(now, winner, Failure::Error),
            Some(Stage::Waiting) | None => {}
        }
    }

    /// Wrap-up begins, unless the agent has logged out meanwhile.
    pub(super) fn end_talk(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.remove(now, call, &Withdrawn::CallerGone) else { return };
        let Stage::Talking { agent, since, wait, counted } = entry.stage else { return };
        self.talks.remove(&agent);
        if !counted {
            self.abandoned(call, &entry.line, wait);
        }
        self.note_talk(now, &agent, &entry.line, now.mono.saturating_duration_since(since));
        let (wrap_up, extend) = match self.rules(&entry.line) {
            Some(rules) if self.logged_in(&agent, &entry.line) => (rules.wrap_up, rules.wrap_up_extend),
            Some(_) | None => (Duration::ZERO, Duration::ZERO),
        };
        self.start_wrap_up(now, &agent, wrap_up, extend);
        self.touch_agent(&agent);
    }

    /// Adds a talk to the agent's day, and lets it be known for the case of a restart.
    fn note_talk(&mut self, now: Now, agent: &AgentKey, key: &LineKey, talk: Duration) {
        let Some(day) = self.rules(key).map(|rules| rules.today(now)) else { return };
        let Some(seat) = self.seat_mut(agent, key) else { return };
        seat.tally = seat.tally.of(day);
        seat.tally.talk += talk;
        let tally = seat.tally;
        self.outputs.push_back(Output::Change(Change::AgentTally {
            agent: agent.clone(),
            line: key.clone(),
            day,
            calls: tally.calls,
            talk_ms: millis(tally.talk),
        }));
    }

    /// Remembers which agent a caller has talked with, where callers are given the same one again.
    fn note_served(&mut self, now: Now, call: CallId, key: &LineKey, agent: &AgentKey) {
        let number = self.entries.get(&call).and_then(|entry| entry.number.clone());
        let (Some(number), Some(line)) = (number, self.lines.get_mut(key)) else { return };
        let Some(prefer) = line.rules.prefer_last else { return };
        line.served_by.keep(number.clone(), agent.clone(), now.utc);
        let mut forgotten = Vec::new();
        while let Some(number) = line.served_by.expire(now.utc - prefer.within) {
            forgotten.push((number, None));
        }
        for (number, agent) in [(number, Some(agent.clone()))].into_iter().chain(forgotten) {
            let change = Change::LastAgent { line: key.clone(), number, agent, at: now.utc };
            self.outputs.push_back(Output::Change(change));
        }
    }

    /// A talk has lasted a second: it counts as answered.
    pub(super) fn count_answered(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let Stage::Talking { agent, wait, counted, .. } = &mut entry.stage else { return };
        *counted = true;
        let (key, agent, wait) = (entry.line.clone(), agent.clone(), *wait);
        self.note_served(now, call, &key, &agent);
        let target = self.rules(&key).map(|rules| millis(rules.target));
        let fields = Fields {
            agent: Some(agent.user.clone()),
            result: Some("answered".into()),
            wait_ms: Some(millis(wait)),
            target_ms: target,
            ..Fields::default()
        };
        self.tell_with(call, &key, "queue.counted", format!("answered: {}", agent.user), fields);
        let day = self.rules(&key).map(|rules| rules.today(now));
        if let (Some(seat), Some(day)) = (self.seat_mut(&agent, &key), day) {
            seat.tally = seat.tally.of(day);
            seat.tally.calls = seat.tally.calls.saturating_add(1);
        }
    }
}
