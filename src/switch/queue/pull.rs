//! Agents who take a caller from the list, out of turn: the way of a switchboard, and possible in every queue.

use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::switch::queue::AgentState;
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
            state @ (AgentState::Offline | AgentState::Unreachable { again: None } | AgentState::Busy(_)) => {
                Err(state.why(now))
            }
            AgentState::Paused(_) | AgentState::Absent(_) if self.occupied(agent) => {
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
    fn occupied(&self, agent: &AgentKey) -> bool {
        let in_call = self.agents.get(agent).is_some_and(|who| who.facts.in_call);
        in_call || self.talks.contains_key(agent) || self.offer_of(agent).is_some_and(|offer| offer.answered)
    }

    /// An agent takes a caller: the agent's phone rings, and nobody else's for this caller.
    pub(super) fn on_take(&mut self, now: Now, entry: CallId, agent: &AgentKey) {
        let Some(line) = self.entries.get(&entry).map(|waiting| waiting.line.clone()) else { return };
        if let Err(why) = self.may_take(now, entry, agent) {
            return self.tell(entry, &line, "queue.take_refused", format!("{why} ({})", agent.user));
        }
        if let Some(offer) = self.offer_of(agent) {
            if offer.entry == entry {
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
