//! Asking before putting through: a user who has no second line speaks with a colleague while the caller hears music.
//!
//! The user's leg goes into a call of its own to the number that was keyed in. When the user hangs up, whoever was asked
//! talks with the caller; before they have answered, they are rung for the caller. When they hang up or do not answer,
//! or by key, the user is back with the caller. When the caller hangs up, the user and who was asked talk on.

use crate::media::Base;
use crate::model::cdr::CallResult;
use crate::model::cdr::Direction;
use crate::model::cdr::EndedBy;
use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::UserKey;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::bridge::Ending;
use crate::switch::call::Begin;
use crate::switch::call::Call;
use crate::switch::flow::Program;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Event;
use crate::switch::identity;
use crate::switch::leg::LegState;
use crate::switch::queue;
use crate::switch::route::Target;
use crate::time::Now;

/// No leg has this name.
const NOBODY: LegId = LegId(0);

/// Why a call was begun: to ask somebody about another call.
#[derive(Clone, Debug)]
pub(crate) struct Consultation {
    /// The call whose party waits.
    pub(crate) about: CallId,
    /// Who asks.
    pub(crate) by: UserKey,
    /// Which party of the call that is.
    pub(crate) asker: Asker,
    /// Whom, until they have answered.
    pub(crate) target: Option<Target>,
}

/// The party that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Who began the call: to ask.
    Caller,
    /// Who was called, and asks on another line than the one on which somebody waits.
    Callee,
}

impl Switch {
    /// Whether a leg's user asks somebody about another call.
    pub(crate) fn consults(&self, leg: LegId) -> bool {
        let call = self.legs.get(&leg).and_then(|of| self.calls.get(&of.call));
        let asker = |of: &Call| {
            Some(match of.consultation.as_ref()?.asker {
                Asker::Caller => of.caller,
                Asker::Callee => of.callee?,
            })
        };
        call.is_some_and(|of| asker(of) == Some(leg))
    }

    /// The user of `leg` calls `target` while `party` waits.
    pub(crate) fn consult(
        &mut self,
        now: Now,
        leg: LegId,
        party: LegId,
        user: &UserKey,
        target: Target,
        dialled: &str,
    ) {
        let Some(about) = self.legs.get(&leg).map(|of| of.call) else { return };
        let Some(company) = self.config.companies.get(&user.company).cloned() else { return };
        let id = self.next_call();
        let direction =
            if let Target::Outside { .. } = target { Direction::Out } else { Direction::Internal };
        let facts = CallerFacts {
            dialled: Number::new(dialled),
            own_device: false,
            answered: true,
            ..identity::caller_user(&company, &user.user)
        };
        let dialog = self.legs.get(&leg).map(|of| of.dialog);
        let sip_call_id = dialog.and_then(|dialog| self.endpoint.call_id(dialog)).unwrap_or_default().into();
        self.tell(Change::CallStarted { call: id, company: Some(user.company.clone()), direction });
        let begin = Begin {
            id,
            company: user.company.clone(),
            direction,
            caller: leg,
            facts,
            trunk: None,
            sip_call_id,
            at: now.utc,
        };
        let mut call = Call::new(begin);
        call.cdr.answered = Some(now.utc);
        if let Target::Phone { only, .. } = &target {
            call.only = Some(only.clone());
        }
        // In a queue, whoever waits is the one who is asked for.
        call.waited_since = self.calls.get(&about).and_then(|of| of.waited_since);
        call.program = Some(Program::to(target.clone()));
        call.consultation =
            Some(Consultation { about, by: user.clone(), asker: Asker::Caller, target: Some(target) });
        self.calls.insert(id, call);
        let facts = self.facts_of(about, party);
        if let Some(of) = self.calls.get_mut(&about) {
            if of.caller != party {
                of.facts = facts;
            }
            (of.caller, of.callee) = (party, None);
            of.consulted = Some(id);
        }
        if let Some(of) = self.legs.get_mut(&leg) {
            of.call = id;
        }
        self.decide(
            now,
            &user.company,
            Some(about),
            "transfer.consult",
            &format!("key_consult: in call {id}"),
        );
        self.update_busy(now, about);
        self.update_busy(now, id);
        self.run_program(now, id, Event::Start);
    }

    /// The user goes back to who waits.
    pub(crate) fn end_consultation(&mut self, now: Now, call: CallId) {
        let ending = Ending { by: EndedBy::System, ..Ending::refused(487, CallResult::Abandoned) };
        self.end_call(now, call, ending);
    }

    /// A call ends: who asked in it goes back to the party, or, having hung up, has put it through; and who asks about
    /// it goes on without it.
    pub(crate) fn consultation_over(&mut self, now: Now, call: CallId, ending: &Ending) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        if let Some(asks) = of.consulted.take()
            && let Some(asks) = self.calls.get_mut(&asks)
        {
            asks.consultation = None;
        }
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(consultation) = of.consultation.take() else { return };
        let (leg, other) = match consultation.asker {
            Asker::Caller => (of.caller, of.callee),
            Asker::Callee => (of.callee.unwrap_or(NOBODY), Some(of.caller)),
        };
        let about = consultation.about;
        if let Some(of) = self.calls.get_mut(&about) {
            of.consulted = None;
        }
        let up = |leg: LegId| self.legs.get(&leg).is_some_and(|of| of.state == LegState::Up);
        let there = up(leg);
        let target = other.filter(|other| up(*other));
        let own =
            self.legs.get(&leg).and_then(|of| of.user.clone()).is_none_or(|user| user == consultation.by);
        match (there && own, target) {
            (true, _) => self.back_to_party(now, call, about, leg, ending.status),
            (false, Some(target)) => self.put_through(now, call, about, target),
            (false, None) => self.ring_for_party(now, about, consultation),
        }
    }

    /// Who asked a queue has hung up: the party takes their place in it, or with the agent who has answered, and the
    /// call goes on as the queue's. `false` when nothing of the kind has happened.
    pub(crate) fn put_into_queue(&mut self, now: Now, call: CallId, ending: &Ending) -> bool {
        let Some(of) = self.calls.get(&call).filter(|of| !of.ending && ending.by == EndedBy::Caller) else {
            return false;
        };
        let asks = of.consultation.as_ref().filter(|consultation| consultation.asker == Asker::Caller);
        let Some(about) = asks.map(|consultation| consultation.about) else {
            return false;
        };
        let answered = of.served_by.is_some() && of.callee.is_some();
        if of.waiting.is_none() && !answered {
            return false;
        }
        let (leg, company) = (of.caller, of.company.clone());
        let Some(party) = self.calls.get(&about).filter(|of| !of.ending).map(|of| of.caller) else {
            return false;
        };
        self.left_by_agent(now, about);
        if let Some(of) = self.calls.get_mut(&call) {
            of.consultation = None;
        }
        if !self.take_place(now, call, leg, about, party) {
            return false;
        }
        // Its dialog was over already.
        self.forget_leg(now, leg);
        self.dissolve(now, about);
        let why = match answered {
            true => "key_consult: hung up, put through to the agent",
            false => "key_consult: hung up, waits in the queue",
        };
        self.decide(now, &company, Some(call), "transfer.attended", why);
        true
    }

    /// The user's leg is in the call of who waits again.
    fn back_to_party(&mut self, now: Now, from: CallId, about: CallId, leg: LegId, status: u16) {
        self.forget_consulted(from, leg);
        self.timers.clear(&Timer::Program(from));
        self.forget_keys(leg);
        if let Some(of) = self.legs.get_mut(&leg) {
            of.call = about;
        }
        let Some(of) = self.calls.get_mut(&about) else {
            self.hang_up_leg(now, leg, Vec::new());
            return;
        };
        of.callee = Some(leg);
        let (party, company) = (of.caller, of.company.clone());
        self.join_media(party, leg);
        self.tell_why_back(leg, status);
        self.update_busy(now, about);
        self.decide(now, &company, Some(about), "transfer.back", &format!("{status}: back from asking"));
    }

    /// Who was asked talks with who waited.
    fn put_through(&mut self, now: Now, from: CallId, about: CallId, target: LegId) {
        if !self.calls.contains_key(&about) {
            return;
        }
        self.forget_consulted(from, target);
        if let Some(of) = self.legs.get_mut(&target) {
            of.call = about;
        }
        self.left_by_agent(now, about);
        let Some(of) = self.calls.get_mut(&about) else { return };
        of.callee = Some(target);
        let (party, company) = (of.caller, of.company.clone());
        let user = self.legs.get(&target).and_then(|of| of.user.as_ref()).map(|key| key.user.clone());
        if let Some(of) = self.calls.get_mut(&about).filter(|_| user.is_some()) {
            of.cdr.answered_by = user;
        }
        self.stop_play(target);
        self.join_media(party, target);
        self.show_parties(now, about);
        self.update_busy(now, about);
        self.decide(now, &company, Some(about), "transfer.attended", "key_consult: hung up, put through");
    }

    /// Who was to be asked is rung for who waits.
    fn ring_for_party(&mut self, now: Now, about: CallId, consultation: Consultation) {
        self.left_by_agent(now, about);
        let Some(of) = self.calls.get_mut(&about) else { return };
        let (party, company) = (of.caller, of.company.clone());
        let Some(target) = consultation.target else { return };
        of.only = if let Target::Phone { only, .. } = &target { Some(only.clone()) } else { None };
        of.program = Some(Program::to(target));
        self.set_base(party, Base::Silence);
        self.update_busy(now, about);
        self.decide(now, &company, Some(about), "transfer.blind", "key_consult: hung up before the answer");
        // Once the call that asks has stopped ringing there.
        self.timers.set(Timer::GoOn(about), now.mono);
    }

    /// A leg of a call that is over goes on in another.
    fn forget_consulted(&mut self, call: CallId, leg: LegId) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        if of.callee == Some(leg) {
            of.callee = None;
        } else {
            (of.caller, of.playing) = (NOBODY, None);
        }
    }

    /// A call whose agent has left it for good.
    fn left_by_agent(&mut self, now: Now, about: CallId) {
        let served = self.calls.get_mut(&about).and_then(|of| of.served_by.take());
        if served.is_some() {
            self.queue_input(now, queue::Input::TalkEnded { entry: about });
        }
    }
}
