//! Hunting: one number outside, and the gateways that are tried for it until one takes the call.
//!
//! A gateway is one address of a trunk. One that fails, or that says nothing for the trunk's `post_dial_delay`, is
//! left for the next before the caller hears silence for long (RFC 3261 §16.7 for which answers mean the gateway
//! and which the callee). The same for calls of ours, for mobiles that ring, and for calls that are sent on.

use std::collections::VecDeque;

use crate::model::cdr::CallResult;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::TrunkId;
use crate::model::trunk::Via;
use crate::rand::Rng;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Response;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::bridge::Ending;
use crate::switch::channels::Channel;
use crate::switch::dial::AttemptId;
use crate::switch::dial::Purpose;
use crate::switch::diversion;
use crate::switch::diversion::Diversion;
use crate::switch::diversion::Why;
use crate::switch::health::ADDRESSES_MAX;
use crate::switch::identity;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::outgoing::Outbound;
use crate::time::Now;

/// Gateways that are tried for one call at most.
const GATEWAYS_MAX: usize = 16;

/// Names a hunt within its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HuntId(pub(crate) u64);

/// One address of a carrier.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) trunk: TrunkId,
    pub(crate) hop: Hop,
    /// Tried although it is down, or wants rest.
    doubtful: bool,
}

/// One number, and who has not been tried for it.
#[derive(Debug)]
pub(crate) struct Hunt {
    pub(crate) out: Outbound,
    left: VecDeque<Gateway>,
    /// The gateway that has the INVITE is doubtful.
    doubtful: bool,
}

/// How a leg goes out.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) hop: Hop,
    pub(crate) hunt: HuntId,
    pub(crate) emergency: bool,
}

impl Switch {
    /// Tries the trunks of `via` for a number. `false`: no INVITE could be sent to any.
    pub(crate) fn hunt(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        out: Outbound,
        via: &Via,
    ) -> bool {
        let Some(company) = self.calls.get(&call).map(|of| of.company.clone()) else { return false };
        let left = self.gateways(now, &company, via, out.emergency);
        self.next_hunt += 1;
        let id = HuntId(self.next_hunt);
        let Some(of) = self.attempt(call, attempt) else { return false };
        of.hunts.insert(id, Hunt { out, left, doubtful: false });
        self.hunt_next(now, call, attempt, id)
    }

    /// The gateways of `via` in the order in which they are tried: those that live first. For an emergency call
    /// those with a free channel come before the others.
    fn gateways(&mut self, now: Now, company: &CompanyId, via: &Via, emergency: bool) -> VecDeque<Gateway> {
        let mut gateways = Vec::new();
        for equal in via {
            let known = equal.iter().filter_map(|id| Some((id, self.config.trunks.get(id)?)));
            let mut equal: Vec<_> = known.map(|(id, t)| (t.priority, t.weight, id.clone())).collect();
            shuffle(&mut self.rng, &mut equal);
            for (.., trunk) in equal {
                let Some(state) = self.trunks.get(&trunk) else { continue };
                gateways.extend(state.hops.iter().take(ADDRESSES_MAX).map(|hop| Gateway {
                    trunk: trunk.clone(),
                    hop: *hop,
                    doubtful: state.is_down() || state.health.is_down(hop) || state.health.rests(now, hop),
                }));
            }
        }
        let full = |id: &TrunkId| {
            let trunk = self.config.trunks.get(id);
            !trunk.is_some_and(|trunk| self.channels.room(id, trunk, company))
        };
        gateways.sort_by_key(|gateway| (gateway.doubtful, emergency && full(&gateway.trunk)));
        gateways.truncate(GATEWAYS_MAX);
        gateways.into()
    }

    /// Sends the INVITE to the next gateway that takes one. `false`: there is none left.
    fn hunt_next(&mut self, now: Now, call: CallId, attempt: AttemptId, id: HuntId) -> bool {
        loop {
            let Some(of) = self.attempt(call, attempt) else { return false };
            let purpose = of.purpose.clone();
            let Some(hunt) = of.hunts.get_mut(&id) else { return false };
            let Some(gateway) = hunt.left.pop_front() else { break };
            hunt.doubtful = gateway.doubtful;
            let (out, more) = (hunt.out.clone(), !hunt.left.is_empty());
            if let Some(leg) = self.invite_gateway(now, call, attempt, id, &gateway, &out) {
                let delay = self.config.trunks.get(&gateway.trunk).map(|trunk| trunk.post_dial_delay);
                if let Some(delay) = delay.filter(|_| more) {
                    self.timers.set(Timer::PostDial(leg), now.mono + delay);
                }
                if let (Purpose::Outbound | Purpose::CallBack, Some(of)) =
                    (purpose, self.calls.get_mut(&call))
                {
                    of.cdr.trunk = Some(gateway.trunk);
                }
                return true;
            }
            if let Some(of) = self.attempt(call, attempt) {
                of.outcomes.push(503);
            }
        }
        if let Some(of) = self.attempt(call, attempt) {
            of.hunts.remove(&id);
        }
        false
    }

    /// Whether the next gateway is tried after this answer of one. RFC 3261 §16.7: another may help with a failure
    /// of the first, not with the callee's own answer. `ringing`: then 408 is the callee's.
    pub(crate) fn hunt_on(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        way: Option<&Way>,
        failed: (u16, bool),
    ) -> bool {
        let Some(way) = way else { return false };
        let (status, ringing) = failed;
        let next = match status {
            408 => !ringing,
            500..=599 => true,
            _ => false,
        };
        if !next {
            if let Some(of) = self.attempt(call, attempt) {
                of.hunts.remove(&way.hunt);
            }
            return false;
        }
        let on = self.hunt_next(now, call, attempt, way.hunt);
        if on {
            self.tell_hunt(now, call, &format!("a gateway answered {status}"));
        }
        on
    }

    /// A carrier that refuses a call that we send on, before it rings, may do so for the caller's number (its From is
    /// none of ours): it is asked once more with our own. `true` when it is.
    pub(crate) fn retry_with_own_number(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        way: Option<(TrunkId, Way)>,
        failed: (u16, bool),
    ) -> bool {
        let Some((id, way)) = way.filter(|_| matches!(failed, (403 | 603, false))) else { return false };
        let Some(trunk) = self.config.trunks.get(&id).cloned() else { return false };
        let Some(of) = self.attempt(call, attempt) else { return false };
        let Some(hunt) = of.hunts.get_mut(&way.hunt) else { return false };
        let Some(shown) = hunt.out.shown.replaced_by_own(&trunk) else { return false };
        hunt.out.shown = shown;
        hunt.left.push_front(Gateway { trunk: id.clone(), hop: way.hop, doubtful: hunt.doubtful });
        let Some(company) = self.calls.get(&call).map(|of| of.company.clone()) else { return false };
        let why = format!("{}: trunk {id} refused the caller's number, once more with our own", failed.0);
        self.decide(now, &company, Some(call), "trunk.own_number", &why);
        self.hunt_next(now, call, attempt, way.hunt)
    }

    /// A gateway has said something about the callee: it is not left for another any more.
    pub(crate) fn gateway_progress(&mut self, leg: LegId, response: &Response) {
        if response.status > 100 {
            self.timers.clear(&Timer::PostDial(leg));
        }
    }

    /// Whether callers hear what a leg's carrier says before the answer.
    pub(crate) fn passes_early_media(&self, leg: LegId) -> bool {
        let trunk = self.legs.get(&leg).and_then(|of| self.config.trunks.get(of.trunk.as_ref()?));
        trunk.is_none_or(|trunk| trunk.early_media)
    }

    /// A gateway has said nothing for too long: its INVITE is taken back and the next one is tried, unless that is
    /// the more doubtful one.
    pub(crate) fn post_dial_timeout(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get(&leg) else { return };
        let (call, Some(attempt), Some(way)) = (of.call, of.attempt, of.way.clone()) else { return };
        let trunk = of.trunk.clone();
        if of.state != LegState::Calling {
            return;
        }
        let Some(of) = self.attempt(call, attempt) else { return };
        let Some(hunt) = of.hunts.get(&way.hunt) else { return };
        if hunt.left.front().is_none_or(|next| next.doubtful && !hunt.doubtful) {
            return;
        }
        // Its channel is the next one's. The leg stays among those that ring until the next does: a caller is never
        // left with none.
        self.free_channel(leg);
        if !self.hunt_next(now, call, attempt, way.hunt) {
            let company = self.calls.get(&call).map(|of| of.company.clone());
            let channel = trunk.zip(company).map(|(trunk, company)| self.take_channel(&trunk, &company));
            if let Some(of) = self.legs.get_mut(&leg) {
                of.channel = channel;
            }
            return;
        }
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.remove(&leg);
        }
        self.give_up_leg(now, leg, silent());
        self.tell_hunt(now, call, "a gateway was silent for too long");
        if let Some(trunk) = trunk {
            self.check_health(now, &trunk);
        }
    }

    /// Who has sent a call on when we do so too, we ourselves first. `None`: it goes round in circles, and the
    /// attempt has learnt that. `own_phone`: to another number of the user who is called.
    pub(crate) fn sends_on(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        own_phone: bool,
        emergency: bool,
    ) -> Option<Vec<Diversion>> {
        let of = self.calls.get(&call)?;
        let company = self.config.companies.get(&of.company)?;
        // A call of one of ours, and one for help, is never stopped.
        if of.facts.user.is_some() || emergency {
            return Some(Vec::new());
        }
        let why = if own_phone { Why::FollowMe } else { of.why };
        let by = identity::sent_on_by(company, &of.facts);
        let own = Diversion { by, why, count: 1, private: false };
        let id = company.id.clone();
        match diversion::going_out(&of.facts.diversions, own) {
            Ok(list) => Some(list),
            Err(turns) => {
                self.decide(now, &id, Some(call), "call.loop", turns.as_str());
                if let Some(of) = self.attempt(call, attempt) {
                    of.outcomes.push(turns.status());
                }
                None
            }
        }
    }

    fn tell_hunt(&mut self, now: Now, call: CallId, why: &str) {
        let Some(company) = self.calls.get(&call).map(|of| of.company.clone()) else { return };
        tracing::info!(%call, why, "next gateway");
        self.decide(now, &company, Some(call), "trunk.failover", &format!("{why}: the next is tried"));
    }

    /// Whether a trunk takes one more call of a company now. An emergency call is taken in any case; when there is
    /// no channel for it, the youngest other call that we sent through the trunk makes room.
    pub(crate) fn make_room(
        &mut self,
        now: Now,
        call: CallId,
        id: &TrunkId,
        company: &CompanyId,
        emergency: bool,
    ) -> bool {
        let Some(trunk) = self.config.trunks.get(id).cloned() else { return false };
        let room = self.channels.room(id, &trunk, company);
        if emergency {
            if !room {
                self.preempt(now, call, id);
            }
            return true;
        }
        let Some(state) = self.trunks.get_mut(id) else { return false };
        room && state.outgoing.pass(now.mono, trunk.calls_per_second.outgoing)
    }

    /// Ends the youngest call that we sent through a trunk and that is no emergency call.
    fn preempt(&mut self, now: Now, for_call: CallId, id: &TrunkId) {
        let other = |leg: &Leg| {
            leg.call != for_call
                && leg.channel.as_ref().is_some_and(|channel| channel.trunk == *id)
                && leg.way.as_ref().is_some_and(|way| !way.emergency)
        };
        let legs = self.legs.iter().filter(|(_, leg)| other(leg));
        let Some((leg, call)) = legs.map(|(id, leg)| (*id, leg.call)).max_by_key(|(id, _)| *id) else {
            return;
        };
        let Some(of) = self.calls.get(&call) else { return };
        let company = of.company.clone();
        tracing::warn!(%call, trunk = %id, "ended for an emergency call");
        let why = format!("trunk {id} is full and an emergency call needs it");
        self.decide(now, &company, Some(call), "trunk.preempted", &why);
        if self.legs.get(&leg).is_some_and(|of| of.state == LegState::Calling && of.attempt.is_some())
            && self.calls.get(&call).is_some_and(|of| of.attempts.values().any(|a| a.legs.len() > 1))
        {
            // One of several that ring: the others go on.
            if let Some(attempt) = self.legs.get(&leg).and_then(|of| of.attempt)
                && let Some(of) = self.attempt(call, attempt)
            {
                of.legs.remove(&leg);
            }
            self.give_up_leg(now, leg, preempted());
            return;
        }
        if let Some(of) = self.calls.get_mut(&call).filter(|of| of.callee == Some(leg)) {
            of.callee = None;
            self.hang_up_leg(now, leg, preempted());
        }
        self.end_call(now, call, Ending { extra: preempted(), ..Ending::refused(503, CallResult::Failed) });
    }

    /// Takes a channel for a leg; given back by [`Switch::free_channel`].
    pub(crate) fn take_channel(&mut self, trunk: &TrunkId, company: &CompanyId) -> Channel {
        let channel = Channel { trunk: trunk.clone(), company: company.clone() };
        self.channels.take(&channel);
        channel
    }

    /// Gives a leg's channel back: the leg is over, or was given up.
    pub(crate) fn free_channel(&mut self, leg: LegId) {
        self.timers.clear(&Timer::PostDial(leg));
        if let Some(channel) = self.legs.get_mut(&leg).and_then(|of| of.channel.take()) {
            self.channels.give_back(&channel);
        }
    }
}

/// Brings equal trunks into the order of their priority, those of one priority into one by chance and weight: the
/// first is drawn with its share of all weights, then the second of what is left (as RFC 2782 does with servers).
fn shuffle(rng: &mut Rng, equal: &mut [(u16, u16, TrunkId)]) {
    equal.sort();
    let mut from = 0;
    while from < equal.len() {
        let rest = &mut equal[from..];
        let priority = rest[0].0;
        let same = rest.iter().take_while(|(other, ..)| *other == priority).count();
        let total: usize = rest[..same].iter().map(|(_, weight, _)| usize::from(*weight)).sum();
        let mut drawn = rng.below(total);
        let mut by_weight = |(_, weight, _): &(u16, u16, TrunkId)| {
            let weight = usize::from(*weight);
            let hit = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            hit
        };
        let first = rest[..same].iter().position(&mut by_weight).unwrap_or(0);
        rest.swap(0, first);
        rest[1..same].sort();
        from += 1;
    }
}

/// `Reason` for a gateway that said nothing (RFC 3326).
fn silent() -> Extra {
    vec![("Reason", "SIP;cause=408;text=\"Post-dial delay\"".into())]
}

/// `Reason` of a call that had to make room: 8 is pre-emption in Q.850.
fn preempted() -> Extra {
    vec![("Reason", "Q.850;cause=8;text=\"Pre-empted by an emergency call\"".into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_trunks_share_by_weight_within_their_priority() {
        let mut rng = Rng::from_seed(1);
        let mut first = std::collections::BTreeMap::new();
        for _ in 0..4000 {
            let mut trunks: Vec<(u16, u16, TrunkId)> = vec![
                (2, 9, "later".into()),
                (1, 0, "spare".into()),
                (1, 1, "small".into()),
                (1, 3, "big".into()),
            ];
            shuffle(&mut rng, &mut trunks);
            assert_eq!((trunks[2].2.as_str(), trunks[3].2.as_str()), ("spare", "later"));
            *first.entry(trunks[0].2.to_string()).or_insert(0) += 1;
        }
        assert!((2850..3150).contains(&first["big"]), "{first:?}");
        assert_eq!(first["big"] + first["small"], 4000);
    }
}
