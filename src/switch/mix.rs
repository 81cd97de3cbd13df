//! Calls in which more than two take part: a three-way of a user, and supervisors who listen, whisper or barge in.
//!
//! The calls themselves stay what they are. Whose audio reaches whom is decided here, wherever two parties would be
//! joined ([`Switch::join_media`]): with a third, everybody is in a mix of the media engine instead. So hold, transfer
//! and hanging up need to know nothing of it.

use crate::media::Base;
use crate::media::MixId;
use crate::media::Voice;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::room::Supervise;
use crate::switch::Switch;
use crate::switch::flow::action::Event;
use crate::switch::leg::LegState;
use crate::switch::people::Said;
use crate::time::Now;

/// Who takes part in a call besides its two parties.
#[derive(Debug, Default)]
pub(crate) struct Mixed {
    mix: Option<MixId>,
    /// The call whose party waited and was joined: a three-way.
    pub(crate) with: Option<CallId>,
    /// Calls of supervisors.
    pub(crate) supervisors: Vec<CallId>,
}

impl Switch {
    /// The call whose mix a call is part of, if there is one.
    fn mixed_in(&self, call: CallId) -> Option<CallId> {
        if self.mixes.contains_key(&call) {
            return Some(call);
        }
        let asks = self.calls.get(&call)?.consulted?;
        self.mixes.get(&asks).filter(|mixed| mixed.with == Some(call)).map(|_| asks)
    }

    /// Whether a user's call has been joined with the one that it was about.
    pub(crate) fn is_three_way(&self, call: CallId) -> bool {
        self.mixes.get(&call).is_some_and(|mixed| mixed.with.is_some())
    }

    /// Has everybody in a call with more than two hear who they should. `false`: two talk there, as usual.
    pub(crate) fn mix_instead(&mut self, call: CallId) -> bool {
        if self.mixes.is_empty() {
            return false;
        }
        match self.mixed_in(call) {
            Some(main) => {
                self.remix(main);
                true
            }
            None => false,
        }
    }

    /// Whoever takes part in a call has changed, or holds, or is another.
    pub(crate) fn remix(&mut self, main: CallId) {
        let Some(mixed) = self.mixes.get(&main) else { return };
        let (with, supervisors) = (mixed.with, mixed.supervisors.clone());
        let Some(of) = self.calls.get(&main) else { return };
        let pair = of.callee.map(|callee| (of.caller, callee));
        if with.is_none() && supervisors.is_empty() {
            self.mixes.remove(&main);
        }
        let Some((caller, callee)) = pair else {
            self.hush(&supervisors);
            return;
        };
        let holds = |leg: LegId| self.legs.get(&leg).is_some_and(|leg| leg.on_hold() || leg.holds);
        // Of two, one who holds has the other hear music, as ever; of three, the others talk on.
        let two = with.is_none();
        if two && (supervisors.is_empty() || holds(caller) || holds(callee)) {
            self.join_two(caller, callee);
            self.supervise_held(main, supervisors);
            return;
        }
        let talkers = self.parties_of(main);
        let voices: Vec<(LegId, Voice)> =
            talkers.iter().map(|leg| (*leg, if holds(*leg) { Voice::Nobody } else { Voice::All })).collect();
        let Some(mix) = self.mix_of(main, caller) else { return };
        for (leg, voice) in voices {
            self.set_base(leg, Base::Mix { mix, voice });
            self.review_keys(leg);
        }
        for supervisor in supervisors {
            let Some(of) = self.calls.get(&supervisor) else { continue };
            let (leg, Some(supervision)) = (of.caller, &of.supervises) else { continue };
            let voice = match supervision.mode {
                Supervise::Listen => Voice::Nobody,
                Supervise::Whisper => {
                    let whom = self.whispered_to(main, &talkers, supervisor);
                    whom.and_then(|leg| self.open_stream(leg)).map_or(Voice::Nobody, Voice::Only)
                }
                Supervise::Barge => Voice::All,
            };
            self.set_base(leg, Base::Mix { mix, voice });
        }
        self.follow_tape(main);
    }

    /// One of two holds: who supervises hears music, as the other does; but a colleague who is left waiting can be spoken
    /// to meanwhile.
    fn supervise_held(&mut self, main: CallId, supervisors: Vec<CallId>) {
        let music = self.music_of(main);
        let talkers = self.parties_of(main);
        for supervisor in supervisors {
            let Some(of) = self.calls.get(&supervisor) else { continue };
            let (leg, Some(supervision)) = (of.caller, &of.supervises) else { continue };
            let speaks = supervision.mode != Supervise::Listen;
            let colleague = self.whispered_to(main, &talkers, supervisor).filter(|_| speaks);
            let waits = |leg: &LegId| self.legs.get(leg).is_some_and(|leg| !leg.on_hold());
            let mixed = colleague.filter(waits).and_then(|leg| Some((leg, self.mix_of(main, leg)?)));
            let base = match mixed {
                Some((colleague, mix)) => {
                    self.set_base(colleague, Base::Mix { mix, voice: Voice::All });
                    self.review_keys(colleague);
                    Base::Mix { mix, voice: Voice::All }
                }
                None => Base::Music(music.clone()),
            };
            self.set_base(leg, base);
        }
        self.follow_tape(main);
    }

    /// Whom a supervisor whispers to: the colleague whose call it was, else another of ours in it.
    fn whispered_to(&self, main: CallId, talkers: &[LegId], supervisor: CallId) -> Option<LegId> {
        let supervision = self.calls.get(&supervisor).and_then(|of| of.supervises.as_ref());
        let whom = supervision.map(|supervision| &supervision.whom);
        let user = |leg: &LegId| self.user_of_leg(*leg).or_else(|| self.legs.get(leg)?.user.clone());
        let named = talkers.iter().find(|leg| user(leg).as_ref() == whom);
        let ours = || {
            let company = self.calls.get(&main).map(|of| &of.company);
            talkers.iter().rev().find(|leg| user(leg).is_some_and(|user| Some(&user.company) == company))
        };
        named.or_else(ours).copied()
    }

    /// Whether a supervisor of a call speaks to this leg alone.
    pub(crate) fn is_whispered_to(&self, call: CallId, leg: LegId) -> bool {
        let Some(main) = self.mixed_in(call) else { return false };
        let supervisors = self.mixes.get(&main).map_or(&[][..], |mixed| mixed.supervisors.as_slice());
        let whispers = |of: &&CallId| {
            let supervision = self.calls.get(of).and_then(|of| of.supervises.as_ref());
            supervision.is_some_and(|of| of.mode == Supervise::Whisper)
        };
        let talkers = self.parties_of(main);
        supervisors.iter().filter(whispers).any(|of| self.whispered_to(main, &talkers, *of) == Some(leg))
    }

    /// Those who talk in a call: the third of a three-way, the caller, the callee.
    fn parties_of(&self, main: CallId) -> Vec<LegId> {
        let with = self.mixes.get(&main).and_then(|mixed| mixed.with);
        let third = with.and_then(|with| self.calls.get(&with)).map(|of| of.caller);
        let of = self.calls.get(&main);
        third.into_iter().chain(of.map(|of| of.caller)).chain(of.and_then(|of| of.callee)).collect()
    }

    fn mix_of(&mut self, main: CallId, near: LegId) -> Option<MixId> {
        let thread = self.open_stream(near)?.thread;
        let fresh = self.conferences.new_mix(thread);
        Some(*self.mixes.get_mut(&main)?.mix.get_or_insert(fresh))
    }

    /// Supervisors of a call in which nobody is heard at the moment.
    fn hush(&mut self, supervisors: &[CallId]) {
        for supervisor in supervisors {
            if let Some(leg) = self.calls.get(supervisor).map(|of| of.caller) {
                self.set_base(leg, Base::Silence);
            }
        }
    }

    /// A call is ending: those who take part are told, or go on with the call that it was joined with.
    pub(crate) fn mix_over(&mut self, now: Now, call: CallId) {
        self.leave_supervised(call);
        let Some(main) = self.mixed_in(call) else { return };
        if main != call {
            // The party who had been joined has gone: two are left.
            if let Some(mixed) = self.mixes.get_mut(&main) {
                mixed.with = None;
            }
            self.remix(main);
            return;
        }
        let Some(mixed) = self.mixes.remove(&call) else { return };
        match mixed.with {
            Some(about) => self.supervise_instead(mixed.supervisors, about),
            None => {
                for supervisor in mixed.supervisors {
                    if let Some(of) = self.calls.get_mut(&supervisor) {
                        of.supervises = None;
                    }
                    self.run_program(now, supervisor, Event::People(Said::SupervisionOver));
                }
            }
        }
    }

    /// The parties of a call go on in another: so do supervisors.
    pub(crate) fn mix_follows(&mut self, from: CallId, into: CallId) {
        if let Some(mixed) = self.mixes.remove(&from) {
            self.supervise_instead(mixed.supervisors, into);
        }
    }

    fn supervise_instead(&mut self, supervisors: Vec<CallId>, call: CallId) {
        if supervisors.is_empty() || !self.calls.contains_key(&call) {
            return;
        }
        for supervisor in &supervisors {
            if let Some(supervision) = self.calls.get_mut(supervisor).and_then(|of| of.supervises.as_mut()) {
                supervision.call = call;
            }
        }
        self.mixes.entry(call).or_default().supervisors.extend(supervisors);
    }

    /// A supervisor's own call ends.
    fn leave_supervised(&mut self, supervisor: CallId) {
        let of = self.calls.get_mut(&supervisor);
        let Some(supervision) = of.and_then(|of| of.supervises.take()) else { return };
        if let Some(mixed) = self.mixes.get_mut(&supervision.call) {
            mixed.supervisors.retain(|other| *other != supervisor);
        }
        self.remix(supervision.call);
    }

    /// Every mix has a call, and every supervisor's call knows what it supervises.
    #[cfg(debug_assertions)]
    pub(crate) fn check_mixes(&self) {
        for (main, mixed) in &self.mixes {
            debug_assert!(self.calls.contains_key(main), "a mix of call {main}, which is over");
            let about = mixed.with.map(|with| self.calls.get(&with).and_then(|of| of.consulted));
            debug_assert!(about.is_none_or(|consulted| consulted == Some(*main)), "{main} is about another");
            for supervisor in &mixed.supervisors {
                let of = self.calls.get(supervisor).and_then(|of| of.supervises.as_ref());
                debug_assert!(of.is_some_and(|of| of.call == *main), "call {supervisor} supervises {main}");
            }
        }
        let up = |leg: LegId| self.legs.get(&leg).is_some_and(|leg| leg.state == LegState::Up);
        for call in self.calls.values().filter(|call| call.supervises.is_some() && !call.ending) {
            debug_assert!(up(call.caller), "call {} supervises without a leg", call.id);
        }
    }
}
