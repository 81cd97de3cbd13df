//! All that the engine knows of an agent at a line, for whoever asks why they are not rung: the state tells only the
//! first fact that holds.

use std::sync::Arc;
use std::time::Duration;

use crate::model::id::AgentKey;
use crate::model::id::LineKey;
use crate::model::id::UserId;
use crate::model::queue::Strategy;
use crate::switch::queue::AgentState;
use crate::switch::queue::Facts;
use crate::switch::queue::Queues;
use crate::switch::queue::agent::Backoff;
use crate::time::Now;

/// An agent at a line.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What dispatch goes by.
    pub state: AgentState,
    /// Logged in here.
    pub logged_in: bool,
    /// On pause, with the reason.
    pub paused: Option<Arc<str>>,
    /// Whether what the line rings instead of the agent's own contacts can be rung; none when it rings those.
    pub own_contacts: Option<bool>,
    /// Of their person and phones.
    pub facts: Facts,
    /// In a call that keeps callers of this line away.
    pub in_call: bool,
    /// Wrap-up goes on for so long.
    pub wrap_up: Option<Duration>,
    /// Their phone said busy, or could not be reached, and is left alone for so long.
    pub backoff: Option<(&'static str, Duration)>,
    /// How long they ring for one caller.
    pub ring: Duration,
    /// Others who are ready and go first by tier or by the order of the list.
    pub ahead: Vec<UserId>,
    /// Of themselves; 1 goes first.
    pub tier: u8,
}

impl Queues {
    /// Lines in which somebody waits while an agent is free for them.
    pub fn still(&self, now: Now) -> Vec<LineKey> {
        let waiting = self.lines.iter().filter(|(_, line)| !line.order.is_empty());
        waiting.map(|(key, _)| key).filter(|key| self.stalls(now, key)).cloned().collect()
    }

    /// Dispatches a line as if something had changed in it.
    pub fn nudge(&mut self, now: Now, line: LineKey) {
        self.dirty.insert(line);
        self.handle_timeout(now);
    }

    /// What is known of an agent at a line; none when the line does not list them.
    pub fn inspect(&self, now: Now, agent: &AgentKey, key: &LineKey) -> Option<Inspected> {
        let (line, who) = (self.lines.get(key)?, self.agents.get(agent)?);
        let members = &line.rules.members;
        let place = members.iter().position(|member| member.agent == *agent)?;
        let tier = members[place].tier;
        let in_order = line.rules.strategy == Strategy::InOrder;
        let ahead = members.iter().enumerate().filter(|(order, other)| {
            let first = other.tier < tier || (in_order && other.tier == tier && *order < place);
            first && matches!(self.stand(now, &other.agent, key), AgentState::Ready(_))
        });
        let left = |until| now.mono < until;
        let backoff = who.backoff.filter(|(until, _)| left(*until)).map(|(until, why)| {
            let why = match why {
                Backoff::Busy => "busy",
                Backoff::Unreachable => "unreachable",
            };
            (why, until - now.mono)
        });
        Some(Inspected {
            state: self.stand(now, agent, key),
            logged_in: self.logged_in(agent, key),
            paused: self.pause_of(agent, key).map(|pause| Arc::clone(&pause.reason)),
            own_contacts: who.seats.get(key).and_then(|seat| seat.reachable),
            facts: who.facts,
            in_call: self.talks.contains_key(agent) || (who.facts.in_call && !line.rules.ring_busy),
            wrap_up: self.wrap_up_left(now, agent),
            backoff,
            ring: line.rules.ring,
            ahead: ahead.map(|(_, other)| other.agent.user.clone()).collect(),
            tier,
        })
    }
}
