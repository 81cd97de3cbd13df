//! Agents who take a caller from the list, out of turn: the way of a switchboard, and possible in every queue.

use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::switch::queue::AgentState;
use crate::switch::queue::Occupied;
use crate::switch::queue::OfferId;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::switch::queue::line::Stage;
use crate::time::Now;

impl Queues {
    /// Whether `agent` may take this waiting caller.
    ///
    /// A pause, an absence, a wrap-up or the ringing of another caller is no hindrance: the agent asks for it.
    ///
    /// # Errors
    ///
    /// Says what hinders, in a reason code with words behind it.
    pub fn may_take(&self, now: Now, entry: CallId, agent: &AgentKey) -> Result<(), String> {
        self.may_have(now, entry, agent, false)
    }

    /// Whether `agent`, who asks for it on the telephone, may have this waiting caller: that call of their own is no
    /// hindrance either.
    ///
    /// # Errors
    ///
    /// As [`Queues::may_take`].
    pub fn may_grab(&self, now: Now, entry: CallId, agent: &AgentKey) -> Result<(), String> {
        self.may_have(now, entry, agent, true)
    }

    fn may_have(&self, now: Now, entry: CallId, agent: &AgentKey, on_phone: bool) -> Result<(), String> {
        let Some(waiting) = self.entries.get(&entry) else {
            return Err("gone: nobody waits by that name any longer".to_owned());
        };
        match &waiting.stage {
            Stage::Waiting => {}
            Stage::Connecting(_) => return Err("answered: an agent has just answered".to_owned()),
            Stage::Talking { agent, .. } => return Err(format!("answered: {} has the caller", agent.user)),
        }
        let listed =
            self.rules(&waiting.line).is_some_and(|rules| rules.members.iter().any(|m| m.agent == *agent));
        if !listed {
            return Err(format!("not_listed: {} is no agent of {}", agent.user, waiting.line.line));
        }
        match self.stand(now, agent, &waiting.line) {
            AgentState::Busy(Occupied::OwnCall) if on_phone => Ok(()),
            AgentState::Paused(_) | AgentState::Absent(_) if on_phone => Ok(()),
            state @ (AgentState::Offline | AgentState::Unreachable { again: None } | AgentState::Busy(_)) => {
                Err(state.why(now))
            }
            // These are told before a call that the agent is in as well.
            AgentState::Unreachable { again: Some(_) }
            | AgentState::Paused(_)
            | AgentState::Absent(_)
            | AgentState::Ringing(_)
            | AgentState::WrapUp(_)
            | AgentState::Ready(_)
                if self.occupied(agent, &waiting.line) =>
            {
                Err("busy: in a call".to_owned())
            }
            AgentState::Unreachable { again: Some(_) }
            | AgentState::Paused(_)
            | AgentState::Absent(_)
            | AgentState::Ringing(_)
            | AgentState::WrapUp(_)
            | AgentState::Ready(_) => Ok(()),
        }
    }

    /// Whether an agent talks, whatever else holds.
    fn occupied(&self, agent: &AgentKey, line: &LineKey) -> bool {
        let own = self.agents.get(agent).is_some_and(|who| who.facts.in_call)
            && self.rules(line).is_none_or(|rules| !rules.ring_busy);
        let connects = self.offer_of(agent).is_some_and(|offer| offer.answered);
        own || connects || self.talks.contains_key(agent)
    }

    /// An agent takes a caller: the agent's phone rings, and nobody else's for this caller.
    pub(super) fn on_take(&mut self, now: Now, entry: CallId, agent: &AgentKey, on_phone: bool) {
        let Some(line) = self.entries.get(&entry).map(|waiting| waiting.line.clone()) else { return };
        if let Err(why) = self.may_have(now, entry, agent, on_phone) {
            return self.tell(entry, &line, "queue.take_refused", format!("{why} ({})", agent.user));
        }
        if let Some(offer) = self.offer_of(agent) {
            if offer.entry == entry && !on_phone {
                return;
            }
            self.withdraw_from(now, agent, Withdrawn::Busy, |_| true);
        }
        let others: Vec<OfferId> = self
            .entries
            .get(&entry)
            .map(|waiting| waiting.offers.iter().copied().collect())
            .unwrap_or_default();
        for id in others {
            self.withdraw(now, id, Withdrawn::AnsweredElsewhere(agent.clone()));
        }
        self.end_wrap_up(now, agent);
        self.tell(entry, &line, "queue.taken", format!("taken: {} takes the caller", agent.user));
        self.make_offer(now, entry, agent, true);
    }
}
