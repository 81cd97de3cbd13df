//! Who is offered to whom: the lines where something changed look for a caller and free agents, and the most
//! urgent caller gets an agent whom several want.

use std::cmp::Ordering;
use std::time::Instant;

use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::queue::Strategy;
use crate::switch::queue::AgentState;
use crate::switch::queue::Deadline;
use crate::switch::queue::ExitReason;
use crate::switch::queue::Queues;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Place;
use crate::switch::queue::offer::Offer;
use crate::switch::queue::strategy::Candidate;
use crate::switch::queue::strategy::pick;
use crate::switch::queue::tier;
use crate::switch::queue::tier::Tier;
use crate::time::Now;

/// An agent who can be rung for a line.
pub(super) struct Free {
    pub(super) agent: AgentKey,
    candidate: Candidate,
}

/// What a line would do next.
struct Want {
    line: LineKey,
    entry: CallId,
    agents: Vec<AgentKey>,
    urgency: f64,
    place: Place,
}

impl Queues {
    /// Makes every offer that can be made where something changed, the most urgent caller first.
    pub(super) fn dispatch(&mut self, now: Now) {
        while !self.dirty.is_empty() {
            let lines = std::mem::take(&mut self.dirty);
            for line in &lines {
                self.release_exhausted(now, line);
            }
            let mut wants: Vec<Want> = lines.iter().filter_map(|line| self.next_want(now, line)).collect();
            while let Some(first) = most_urgent(&wants) {
                let want = wants.swap_remove(first);
                let mut entry = want.entry;
                for agent in &want.agents {
                    entry = self.make_offer(now, entry, agent, false);
                }
                let (lost, kept): (Vec<Want>, Vec<Want>) = wants
                    .into_iter()
                    .partition(|other| other.agents.iter().any(|agent| want.agents.contains(agent)));
                wants = kept;
                let again = lost.iter().map(|lost| &lost.line).chain([&want.line]);
                wants.extend(again.filter_map(|line| self.next_want(now, line)));
            }
            for line in &lines {
                self.release_hopeless(now, line);
            }
        }
    }

    /// Whether a caller of a line waits while an agent is free for them; never after an input.
    pub(super) fn stalls(&self, now: Now, key: &LineKey) -> bool {
        self.next_want(now, key).is_some()
    }

    /// The first caller in order for whom an agent is free, and whom to ring.
    fn next_want(&self, now: Now, key: &LineKey) -> Option<Want> {
        let line = self.lines.get(key)?;
        if line.order.is_empty() {
            return None;
        }
        let free = self.free(now, key, line);
        if free.is_empty() {
            return None;
        }
        line.order.iter().find_map(|(place, call)| {
            let entry = self.entries.get(call)?;
            let agents = self.choose(now, line, entry, &free);
            let age = now.mono.saturating_duration_since(place.since).as_secs_f64();
            let target = line.rules.target.as_secs_f64().max(1.0);
            let urgency = age / target + f64::from(place.priority.0);
            let want = Want { line: key.clone(), entry: *call, agents, urgency, place: *place };
            (!want.agents.is_empty()).then_some(want)
        })
    }

    /// Whom to ring for this caller now, of those who are free.
    fn choose(&self, now: Now, line: &Line, entry: &Entry, free: &[Free]) -> Vec<AgentKey> {
        let rules = &line.rules;
        let (all, widening) = (rules.strategy == Strategy::RingAll, rules.strategy == Strategy::Widening);
        let one = !all && !widening;
        if entry.last_chance || (one && !entry.offers.is_empty()) || !self.may_serve_kept(now, line, entry) {
            return Vec::new();
        }
        let rung: Vec<&Offer> = entry.offers.iter().filter_map(|id| self.offers.get(id)).collect();
        // Whoever takes a caller has them alone.
        if rung.iter().any(|offer| offer.taken) {
            return Vec::new();
        }
        if let Some(agent) = self.awaited(now, entry) {
            let theirs = free.iter().filter(|free| free.agent == *agent && entry.offers.is_empty());
            return theirs.map(|free| free.agent.clone()).collect();
        }
        let mut able: Vec<(&Free, u32)> =
            free.iter().filter_map(|free| Some((free, entry.tries(&free.agent, now)?))).collect();
        // Whoever was tried in vain comes after those who were not; who rings with all others need not.
        if one {
            keep_least_tried(&mut able);
        }
        let tiers: Vec<Tier> = rules
            .tiers
            .iter()
            .map(|&tier| {
                let rings =
                    |agent: &AgentKey| rules.members.iter().any(|m| m.tier == tier && m.agent == *agent);
                let able = able.iter().any(|(free, _)| free.candidate.tier == tier)
                    || rung.iter().any(|offer| rings(&offer.agent));
                Tier { tier, able }
            })
            .collect();
        let last = tier::last_counted(&tiers, entry.waited(now), rules.tier_after);
        able.retain(|(free, _)| Some(free.candidate.tier) <= last);
        // Within the tiers that count: whoever rings makes their tier count, and must not hide those in it.
        if widening {
            keep_least_tried(&mut able);
        }
        let candidates: Vec<Candidate> = able.iter().map(|(free, _)| free.candidate.clone()).collect();
        let more = usize::try_from(entry.may_ring(now, rules)).unwrap_or(usize::MAX);
        let more = more.saturating_sub(entry.offers.len());
        pick(rules.strategy, more, &candidates).into_iter().map(|i| able[i].0.agent.clone()).collect()
    }

    /// The agent of last time, while the caller waits for that one alone: in vain so far, and not for nothing.
    fn awaited<'a>(&self, now: Now, entry: &'a Entry) -> Option<&'a AgentKey> {
        let (agent, until) = entry.prefers.as_ref()?;
        if *until <= now.mono || entry.tried.contains_key(agent) {
            return None;
        }
        match self.stand(now, agent, &entry.line) {
            AgentState::Ringing(_) | AgentState::Busy(_) | AgentState::WrapUp(_) | AgentState::Ready(_) => {
                Some(agent)
            }
            AgentState::Offline
            | AgentState::Unreachable { .. }
            | AgentState::Paused(_)
            | AgentState::Absent(_) => None,
        }
    }

    /// The agents of a line who are ready, with what strategies ask about them.
    pub(super) fn free(&self, now: Now, key: &LineKey, line: &Line) -> Vec<Free> {
        let rules = &line.rules;
        let count = rules.members.len();
        let last =
            self.rung_last.get(key).and_then(|last| rules.members.iter().position(|m| m.agent == *last));
        let counted = matches!(rules.strategy, Strategy::FewestCalls | Strategy::LeastTalk);
        let today = counted.then(|| rules.today(now));
        let free = rules.members.iter().enumerate().filter_map(|(order, member)| {
            let AgentState::Ready(ready_since) = self.stand(now, &member.agent, key) else { return None };
            let tally = self
                .agents
                .get(&member.agent)
                .and_then(|agent| agent.seats.get(key))
                .zip(today)
                .map(|(seat, today)| seat.tally.of(today))
                .unwrap_or_default();
            let candidate = Candidate {
                order,
                tier: member.tier,
                ready_since,
                turn: last.map_or(order, |last| (order + count - last - 1) % count),
                calls: tally.calls,
                talk: tally.talk,
                skill: member.skill,
                chance: mixed(line.dice, order),
            };
            Some(Free { agent: member.agent.clone(), candidate })
        });
        free.collect()
    }

    /// Callers of a queue for whom everybody has been rung in vain, where that is the end.
    fn release_exhausted(&mut self, now: Now, key: &LineKey) {
        let Some(line) = self.lines.get(key) else { return };
        let rules = &line.rules;
        if rules.group || !(rules.exits_unanswered || rules.reject_retry.is_none()) {
            return;
        }
        let leaving: Vec<(CallId, ExitReason)> = self
            .living(line)
            .filter_map(|call| Some((call, self.exhausted(now, key, line, call)?)))
            .collect();
        for (call, exit) in leaving {
            self.exit(now, call, exit);
        }
    }

    /// Callers of a group for whom nobody rings and nobody will: they do not listen to ringing for nothing.
    fn release_hopeless(&mut self, now: Now, key: &LineKey) {
        let Some(line) = self.lines.get(key) else { return };
        if !line.rules.group {
            return;
        }
        let leaving: Vec<(CallId, ExitReason)> =
            self.living(line).filter_map(|call| Some((call, self.hopeless(now, key, line, call)?))).collect();
        for (call, exit) in leaving {
            self.exit(now, call, exit);
        }
    }

    /// Whether everybody there has been rung for a caller of a queue in vain, and what follows from it.
    fn exhausted(&self, now: Now, key: &LineKey, line: &Line, call: CallId) -> Option<ExitReason> {
        let entry = self.entries.get(&call)?;
        if !entry.offers.is_empty() || entry.tried.is_empty() {
            return None;
        }
        let (mut there, mut refused) = (false, true);
        for member in &line.rules.members {
            match self.stand(now, &member.agent, key) {
                // Whoever is not at work does not count: when nobody is, callers leave after the grace.
                AgentState::Offline | AgentState::Paused(_) => {}
                // At work, and not to be rung at all.
                AgentState::Unreachable { .. } | AgentState::Absent(_) => there = true,
                AgentState::Ringing(_)
                | AgentState::Busy(_)
                | AgentState::WrapUp(_)
                | AgentState::Ready(_) => {
                    there = true;
                    refused &= entry.tried.get(&member.agent)?.until.is_none();
                }
            }
        }
        // Somebody may be unreachable, and have refused before.
        refused &= entry.tried.values().all(|tried| tried.until.is_none());
        match (there, refused) {
            (true, true) => Some(ExitReason::RejectedByAll),
            (true, false) => line.rules.exits_unanswered.then_some(ExitReason::NoAnswer),
            (false, _) => None,
        }
    }

    fn hopeless(&self, now: Now, key: &LineKey, line: &Line, call: CallId) -> Option<ExitReason> {
        let entry = self.entries.get(&call)?;
        if !entry.offers.is_empty() {
            return None;
        }
        let end = self.timers.get(&Deadline::MaxWait(call));
        let (mut refused, mut busy) = (false, false);
        for member in &line.rules.members {
            match self.stand(now, &member.agent, key) {
                AgentState::Ready(_) | AgentState::Ringing(_) => {
                    let tried = entry.tried.get(&member.agent).map(|tried| tried.until);
                    let in_time = |again: Instant| end.is_none_or(|end| again < end);
                    if tried.is_none_or(|again| again.is_some_and(in_time)) {
                        return None;
                    }
                    refused = true;
                }
                AgentState::Busy(_) | AgentState::WrapUp(_) => busy = true,
                AgentState::Offline
                | AgentState::Unreachable { .. }
                | AgentState::Paused(_)
                | AgentState::Absent(_) => {}
            }
        }
        Some(match (refused, busy) {
            (true, _) => ExitReason::NoAnswer,
            (false, true) => ExitReason::Busy,
            (false, false) => ExitReason::Nobody,
        })
    }
}

/// Leaves those who were tried least for a caller.
fn keep_least_tried(able: &mut Vec<(&Free, u32)>) {
    if let Some(fewest) = able.iter().map(|(_, tries)| *tries).min() {
        able.retain(|(_, tries)| *tries == fewest);
    }
}

/// Index of the want that goes first: the most urgent, then the oldest.
fn most_urgent(wants: &[Want]) -> Option<usize> {
    let by_urgency = |a: &Want, b: &Want| -> Ordering {
        let older = (b.place.since, b.place.seq).cmp(&(a.place.since, a.place.seq));
        a.urgency.total_cmp(&b.urgency).then(older)
    };
    (0..wants.len()).max_by(|&a, &b| by_urgency(&wants[a], &wants[b]))
}

/// A number that follows from `dice` and `order` and looks like chance (the finaliser of SplitMix64).
fn mixed(dice: u64, order: usize) -> u64 {
    let mut z = dice.wrapping_add((order as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
