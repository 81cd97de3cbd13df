//! The two parties of a call: who they are, who takes whose place, and what their phones show of it.

use std::time::Instant;

use crate::media::Base;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::UserKey;
use crate::sip::Method;
use crate::switch::Switch;
use crate::switch::call::Call;
use crate::switch::call::Listener;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Event;
use crate::switch::identity;
use crate::switch::leg::LegState;
use crate::switch::queue;
use crate::switch::reasons;
use crate::time::Now;

impl Switch {
    /// Moves `party` out of the call `from` into `into`, in the place of `replaced`.
    pub(crate) fn take_place(
        &mut self,
        now: Now,
        into: CallId,
        replaced: LegId,
        from: CallId,
        party: LegId,
    ) -> bool {
        let facts = self.facts_of(from, party);
        let in_place = self
            .calls
            .get(&into)
            .is_some_and(|of| !of.ending && (of.caller == replaced || of.callee == Some(replaced)));
        let Some(left) = self.calls.get_mut(&from).filter(|_| in_place) else { return false };
        note_talk(left, now);
        let waited = left.waited_since.filter(|_| left.caller == party);
        self.hand_over_recording(now, from, into);
        let Some(leg) = self.legs.get_mut(&party) else { return false };
        leg.call = into;
        leg.attempt = None;
        leg.number = leg.number.take().or_else(|| facts.number.clone());
        self.mix_follows(from, into);
        if let Some(of) = self.calls.get_mut(&into).filter(|of| of.caller == replaced) {
            let dialled = std::mem::replace(&mut of.facts, facts).dialled;
            of.facts.dialled = dialled;
            of.facts.answered = true;
            self.waits_instead(now, into, waited);
        }
        self.swap_leg(now, into, replaced, party)
    }

    /// A queue learns that the caller of a call is another, who may have waited longer, before the call came there.
    fn waits_instead(&mut self, now: Now, call: CallId, waited_since: Option<Instant>) {
        let Some(of) = self.calls.get_mut(&call).filter(|of| of.waiting.is_some()) else { return };
        of.waited_since = of.waited_since.into_iter().chain(waited_since).min();
        let number = self.number_of_caller(call);
        self.queue_input(now, queue::Input::Replaced { entry: call, waited_since, number });
    }

    /// `new` takes the place of `old` in a call; `old` is hung up.
    pub(crate) fn swap_leg(&mut self, now: Now, call: CallId, old: LegId, new: LegId) -> bool {
        let Some(of) = self.calls.get_mut(&call) else { return false };
        let mut cut_off = None;
        if of.caller == old {
            of.caller = new;
            cut_off = of.playing.take();
        } else if of.callee == Some(old) {
            of.callee = Some(new);
        } else {
            return false;
        }
        let (caller, callee, waits) = (of.caller, of.callee, of.waiting.is_some());
        let rings = !of.attempts.is_empty();
        self.stop_play(new);
        let reason = reasons::elsewhere(self.language_of_phones(call));
        self.give_up_leg(now, old, reason);
        match callee {
            Some(callee) => {
                self.join_media(caller, callee);
                self.show_parties(now, call);
            }
            None if waits => {
                let music = self.music_of(call);
                self.set_base(caller, Base::Music(music));
            }
            None if rings => self.ring_caller(now, call),
            None if self.seat_again(call) => {}
            None => self.set_base(caller, Base::Silence),
        }
        self.update_busy(now, call);
        // The end of what was played to the one who has left will not be told by the media: who plays goes on.
        match cut_off {
            Some((_, Listener::Program)) => self.run_program(now, call, Event::PlayFinished),
            Some((_, Listener::Queue)) => self.queue_input(now, queue::Input::Announced { entry: call }),
            None => {}
        }
        true
    }

    /// The other party of a call in which `leg` talks.
    pub(crate) fn other_party(&self, call: CallId, leg: LegId) -> Option<LegId> {
        let of = self.calls.get(&call).filter(|of| !of.ending)?;
        let other = if of.caller == leg { of.callee? } else { of.caller };
        let talks = of.caller == leg || of.callee == Some(leg);
        let up = |leg: LegId| self.legs.get(&leg).is_some_and(|of| of.state == LegState::Up);
        (talks && up(leg) && up(other)).then_some(other)
    }

    /// Whose device a leg is; nobody's when it is a carrier's.
    pub(crate) fn user_of_leg(&self, leg: LegId) -> Option<UserKey> {
        let of = self.legs.get(&leg).filter(|of| of.trunk.is_none())?;
        let Some(call) = self.calls.get(&of.call) else { return of.user.clone() };
        if call.caller == leg { call.caller_user().or_else(|| of.user.clone()) } else { of.user.clone() }
    }

    /// What is known of a party, as if it were the caller.
    pub(crate) fn facts_of(&self, call: CallId, party: LegId) -> CallerFacts {
        let leg_user = self.legs.get(&party).and_then(|of| of.user.clone());
        let of_call = self.calls.get(&call);
        let Some(of) = of_call.filter(|of| of.caller != party) else {
            return of_call.map_or_else(identity::nobody, |of| of.facts.clone());
        };
        let company = self.config.companies.get(&of.company);
        let facts = match (&leg_user, company) {
            (Some(key), Some(company)) if key.company == company.id => {
                identity::caller_user(company, &key.user)
            }
            // Who was called is known by the number that was dialled.
            _ => CallerFacts { number: Some(of.facts.dialled.clone()), ..identity::nobody() },
        };
        let own_device = leg_user.is_some() && facts.own_device;
        let (dialled, language) = (of.facts.dialled.clone(), of.facts.language);
        CallerFacts { dialled, language, own_device, answered: true, ..facts }
    }

    /// Tells both parties' phones whom they talk with now (RFC 3311, RFC 3325 §9.1).
    pub(crate) fn show_parties(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        let (caller, Some(callee), company) = (of.caller, of.callee, of.company.clone()) else { return };
        let Some(domain) = self.config.companies.get(&company).map(|company| company.domain.clone()) else {
            return;
        };
        for (leg, other) in [(caller, callee), (callee, caller)] {
            let shown = identity::shown_inside(&self.facts_of(call, other));
            let Some(of) = self.legs.get(&leg).filter(|of| of.trunk.is_none() && !shown.hidden) else {
                continue;
            };
            let dialog = of.dialog;
            if self.endpoint.takes_update(dialog) && !shown.number.is_empty() {
                let extra = vec![("P-Asserted-Identity", shown.name_addr(&domain).to_string())];
                self.endpoint.request_in(now, dialog, Method::Update, extra, None);
            }
        }
    }
}

/// The talk so far goes to the record before somebody else is talked to.
pub(crate) fn note_talk(of: &mut Call, now: Now) {
    if let Some(since) = of.talking_since.take() {
        let talked = now.mono.saturating_duration_since(since).as_millis();
        of.cdr.talk_ms += u64::try_from(talked).unwrap_or(u64::MAX);
    }
}
