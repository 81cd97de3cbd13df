//! Who was not offered a caller, and why, at the moment of a decision: for whoever asks afterwards.

use std::sync::Arc;

use crate::model::event::PASSED_MAX;
use crate::model::event::Passed;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::switch::queue::AgentState;
use crate::switch::queue::Queues;
use crate::time::Now;

impl AgentState {
    /// The reason code for not being offered a caller; none of a ready agent.
    pub fn exclusion(&self) -> Option<&'static str> {
        match self {
            AgentState::Offline => Some("logged_out"),
            AgentState::Unreachable { .. } => Some("unreachable"),
            AgentState::Paused(_) => Some("paused"),
            AgentState::Absent(_) => Some("absent"),
            AgentState::Ringing(_) => Some("ringing"),
            AgentState::Busy(_) => Some("busy"),
            AgentState::WrapUp(_) => Some("wrap_up"),
            AgentState::Ready(_) => None,
        }
    }
}

impl Queues {
    /// The agents of a caller's line who are not rung for them now, each with the reason code; `rung` is left out.
    pub(super) fn passed_over(&self, now: Now, call: CallId, rung: Option<&AgentKey>) -> Vec<Passed> {
        let Some(entry) = self.entries.get(&call) else { return Vec::new() };
        let Some(rules) = self.rules(&entry.line) else { return Vec::new() };
        let tier = rung.and_then(|rung| rules.members.iter().find(|m| m.agent == *rung)).map(|m| m.tier);
        let others = rules.members.iter().filter(|member| Some(&member.agent) != rung);
        let passed = others.filter_map(|member| {
            let state = self.stand(now, &member.agent, &entry.line);
            let why = match state.exclusion() {
                Some("ringing") if state == AgentState::Ringing(call) => return None,
                Some(code) => code,
                None if entry.tries(&member.agent, now).is_none() => "tried_lately",
                // Looked at in the same turn.
                None if rung.is_none() => return None,
                None if tier.is_some_and(|tier| member.tier > tier) => "later_tier",
                None => "others_first",
            };
            Some(Passed { agent: member.agent.user.clone(), why: Arc::from(why) })
        });
        passed.take(PASSED_MAX).collect()
    }
}
