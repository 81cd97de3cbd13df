//! What happened lately to a company's agents: who logged them in or out, who paused them, their last offers; and when
//! somebody last called from outside. For whoever asks why a user is not rung.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use crate::model::cdr::Direction;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::UserId;
use crate::time::Timestamp;

/// Offers remembered of each agent.
const OFFERS_MAX: usize = 10;
/// Agents remembered of one company.
const AGENTS_MAX: usize = 20_000;

/// Of one company.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    logins: BTreeMap<(UserId, LineId), By>,
    pauses: BTreeMap<UserId, By>,
    offers: BTreeMap<UserId, VecDeque<Offered>>,
    /// The last call from outside began.
    pub(crate) last_in: Option<Timestamp>,
}

/// Who did it, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct By {
    pub(crate) source: Source,
    pub(crate) at: Timestamp,
}

/// A caller offered to an agent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offered {
    pub(crate) at: Timestamp,
    pub(crate) line: Option<LineId>,
    call: Option<CallId>,
    /// Reason code; none while it rings, and when it was taken back.
    pub(crate) result: Option<String>,
    /// How long it rang.
    pub(crate) ring_ms: Option<u64>,
}

impl Recent {
    /// Learns an event, of this life or an earlier one.
    pub(crate) fn learn(&mut self, event: &Event) {
        let of = &event.fields;
        match (&*event.event, &of.agent) {
            ("call.started", _) if of.direction == Some(Direction::In) => self.last_in = Some(event.at),
            ("queue.offered", Some(agent)) => {
                let room = self.offers.len() < AGENTS_MAX || self.offers.contains_key(agent);
                if !room {
                    return;
                }
                let offers = self.offers.entry(agent.clone()).or_default();
                if offers.len() == OFFERS_MAX {
                    offers.pop_front();
                }
                let (line, call) = (of.line.clone(), event.call);
                offers.push_back(Offered { at: event.at, line, call, result: None, ring_ms: None });
            }
            ("queue.refused" | "queue.answered", Some(agent)) => {
                let offers = self.offers.get_mut(agent).into_iter().flatten();
                if let Some(offer) = offers.rev().find(|offer| offer.call == event.call) {
                    offer.result = Some(event.code().to_owned());
                    let rung = u64::try_from(event.at.duration_since(offer.at).as_millis()).ok();
                    offer.ring_ms = of.ring_ms.or(rung);
                }
            }
            _ => {}
        }
    }

    /// Learns a fact about an agent.
    pub(crate) fn learn_fact(&mut self, change: &Change) {
        if let Change::AgentLogin { agent, line, by, at, .. } = change {
            let key = (agent.user.clone(), line.line.clone());
            if self.logins.len() < AGENTS_MAX || self.logins.contains_key(&key) {
                self.logins.insert(key, By { source: by.clone(), at: *at });
            }
        } else if let Change::AgentPaused { agent, by, at, .. } = change
            && (self.pauses.len() < AGENTS_MAX || self.pauses.contains_key(&agent.user))
        {
            self.pauses.insert(agent.user.clone(), By { source: by.clone(), at: *at });
        }
    }

    /// Who last logged an agent in or out of a line.
    pub(crate) fn login(&self, agent: &UserId, line: &LineId) -> Option<&By> {
        self.logins.get(&(agent.clone(), line.clone()))
    }

    /// Who last paused an agent, or ended the pause.
    pub(crate) fn pause(&self, agent: &UserId) -> Option<&By> {
        self.pauses.get(agent)
    }

    /// The last callers offered to an agent, newest first.
    pub(crate) fn offers(&self, agent: &UserId) -> impl Iterator<Item = &Offered> {
        self.offers.get(agent).into_iter().flatten().rev()
    }
}
