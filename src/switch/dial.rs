//! Reaching somebody: ringing several contacts at once, the next gateway when one fails, and what came of it.
//!
//! An attempt is all that rings for one purpose. It is over when a leg wins (answers, and presses 1 where that
//! is asked for), when every leg has failed, or when its time is up; the purpose then learns the outcome.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::media::Base;
use crate::media::tone::Tone;
use crate::model::cdr::CallResult;
use crate::model::flow::Destination;
use crate::model::flow::Show;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::model::number::Class;
use crate::model::queue::Confirm;
use crate::model::trunk::Via;
use crate::model::user::Rings;
use crate::sip::Body;
use crate::sip::Extra;
use crate::sip::Response;
use crate::sip::invite::HeaderEdit;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::bridge::Ending;
use crate::switch::contacts::Later;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::hunt::Hunt;
use crate::switch::hunt::HuntId;
use crate::switch::identity;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::outgoing::Outbound;
use crate::switch::queue;
use crate::switch::queue::Failure;
use crate::switch::queue::OfferId;
use crate::switch::reach;
use crate::switch::reach::Contact;
use crate::switch::reasons;
use crate::time::Now;

/// How long a number outside may ring: longer than RFC 3261 §16.6 timer C demands.
const OUTSIDE_RING_MAX: Duration = Duration::from_secs(200);

/// Callees of one leg whose early SDP is kept.
const EARLY_MAX: usize = 8;

/// Names an attempt within its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId(pub(crate) u64);

/// All that rings for one purpose.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) purpose: Purpose,
    /// Legs that may still win.
    pub(crate) legs: BTreeSet<LegId>,
    /// Apps that are being woken and would ring, too.
    pub(crate) waking: usize,
    /// What the failed ones said.
    pub(crate) outcomes: Vec<u16>,
    /// Numbers outside for which other gateways can still be tried.
    pub(crate) hunts: BTreeMap<HuntId, Hunt>,
    /// Contacts whose time has not come.
    pub(crate) later: Vec<Later>,
    /// Further headers of INVITEs to phones.
    pub(crate) headers: Vec<HeaderEdit>,
}

/// Why somebody is rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A step of the program, or an extension dialled.
    Dial,
    /// An offer of a queue or ring group to one of its agents.
    Offer(OfferId, UserKey),
    /// A call out through a trunk, asked for by one of ours.
    Outbound,
    /// The own phones of who wants to call.
    Originate,
    /// A caller of a queue who has asked to be called back, while the agent waits.
    CallBack,
}

/// Rings users and numbers for a flow step.
pub(crate) struct Dial {
    pub(crate) to: Vec<Destination>,
    pub(crate) ring: Duration,
    pub(crate) confirm: Confirm,
    pub(crate) show: Show,
}

impl Switch {
    /// Rings everything that `dial` names. Learns the program when nothing can ring.
    pub(crate) fn dial(&mut self, now: Now, call: CallId, dial: Dial) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company).cloned() else { return };
        let attempt = self.new_attempt(call, Purpose::Dial);
        let mut busy = false;
        for to in &dial.to {
            match to {
                Destination::User(user) => {
                    let key = UserKey { company: company.id.clone(), user: user.clone() };
                    busy |= self.ring_user(now, call, attempt, &key, dial.confirm, None);
                }
                Destination::Phone(number) => {
                    self.ring_phone(now, call, attempt, number.clone(), dial.confirm, &dial.show, None);
                }
                // The loader lets only users and phones be dialled.
                Destination::Group(_)
                | Destination::Queue(_)
                | Destination::Flow(_)
                | Destination::Voicemail(_)
                | Destination::Room(_)
                | Destination::Hangup => {}
            }
        }
        if self.attempt_legs(call, attempt) == 0 {
            self.drop_attempt(call, attempt);
            let outcome = if busy { Outcome::Busy } else { Outcome::Unavailable };
            self.run_program(now, call, Event::Dialled(outcome));
            return;
        }
        self.timers.set(Timer::Attempt(call, attempt), now.mono + dial.ring);
    }

    /// Rings an agent's contacts for an offer of a queue or ring group; the queue owns the ring time.
    pub(crate) fn ring_agent(&mut self, now: Now, call: CallId, offer: OfferId, agent: &UserKey) {
        if self.grabbed(now, call, offer, agent) {
            return;
        }
        let line = self.calls.get(&call).and_then(|of| of.waiting.as_ref()).map(|w| w.line.clone());
        let Some(line) = line else {
            self.queue_input(now, queue::Input::OfferFailed(offer, Failure::Error));
            return;
        };
        let attempt = self.new_attempt(call, Purpose::Offer(offer, agent.clone()));
        self.offers.insert(offer, (call, attempt));
        let (mut presented, confirm) = self.present(now, call, &line, agent);
        if let Some(of) = self.attempt(call, attempt) {
            of.headers = std::mem::take(&mut presented.headers);
        }
        self.ring_user(now, call, attempt, agent, confirm, Some(presented));
        if self.attempt_legs(call, attempt) == 0 {
            self.drop_attempt(call, attempt);
            self.queue_input(now, queue::Input::OfferFailed(offer, Failure::Unreachable));
        }
    }

    /// Rings out through the first of `trunks` that works.
    pub(crate) fn dial_out(
        &mut self,
        now: Now,
        call: CallId,
        number: Number,
        trunks: Via,
        hide: bool,
        emergency: bool,
    ) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company).cloned() else { return };
        let user: Option<&UserId> = of.facts.user.as_ref();
        let emergency = emergency || number::class(&number) == Class::Emergency;
        let shown = match emergency {
            true => self.shown_in_emergency(&company, call),
            false => {
                let person = user.and_then(|user| self.people.person(&company, user, now.utc));
                let hide = hide || person.as_ref().is_some_and(|person| person.hide);
                identity::shown_of(&company, person.as_deref(), hide)
            }
        };
        let attempt = self.new_attempt(call, Purpose::Outbound);
        let out = Outbound {
            number,
            shown,
            confirm: false,
            user: None,
            diversions: Vec::new(),
            emergency,
            ring: None,
        };
        self.timers.set(Timer::Attempt(call, attempt), now.mono + OUTSIDE_RING_MAX);
        if !self.hunt(now, call, attempt, out, &trunks) {
            self.attempt_over(now, call, attempt, false);
        }
    }

    /// Rings a number: a user of ours when it is one's direct number, else through a trunk.
    pub(crate) fn ring_phone(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        phone: Number,
        confirm: Confirm,
        show: &Show,
        user: Option<UserKey>,
    ) {
        if let Some((company, Destination::User(inside))) = self.config.numbers.get(&phone).cloned()
            && user.is_none()
        {
            let key = UserKey { company, user: inside };
            self.ring_user(now, call, attempt, &key, confirm, None);
            return;
        }
        let Some(of) = self.calls.get(&call) else { return };
        let payer = user.clone().or_else(|| of.sender());
        let Some(trunks) = self.trunks_to(now, call, &phone, payer.as_ref()) else { return };
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let emergency = number::class(&phone) == Class::Emergency;
        let shown = match emergency {
            true => identity::shown_emergency(company, of.facts.user.as_ref()),
            false => identity::shown_forwarded(company, &of.facts, show),
        };
        let Some(diversions) = self.sends_on(now, call, attempt, user.is_some(), emergency) else { return };
        let diversions = if shown.sent_on { diversions } else { Vec::new() };
        let (contact, rule) = (Contact::Phone(phone.clone()), Rings::Mobile.into());
        let must = reach::must_confirm(&contact, rule, confirm) && !emergency;
        let confirm = must && (user.is_some() || confirm == Confirm::Always);
        let ring = reach::ring_max(&contact, rule, confirm);
        let out = Outbound { number: phone, shown, confirm, user, diversions, emergency, ring };
        self.hunt(now, call, attempt, out, &trunks);
    }

    pub(crate) fn new_attempt(&mut self, call: CallId, purpose: Purpose) -> AttemptId {
        self.next_attempt += 1;
        let id = AttemptId(self.next_attempt);
        let attempt = Attempt {
            purpose,
            legs: BTreeSet::new(),
            waking: 0,
            outcomes: Vec::new(),
            hunts: BTreeMap::new(),
            later: Vec::new(),
            headers: Vec::new(),
        };
        if let Some(of) = self.calls.get_mut(&call) {
            of.attempts.insert(id, attempt);
        }
        id
    }

    pub(crate) fn attempt(&mut self, call: CallId, attempt: AttemptId) -> Option<&mut Attempt> {
        self.calls.get_mut(&call)?.attempts.get_mut(&attempt)
    }

    /// How much rings for an attempt, or is being woken to ring.
    pub(crate) fn attempt_legs(&self, call: CallId, attempt: AttemptId) -> usize {
        self.calls.get(&call).and_then(|of| of.attempts.get(&attempt)).map_or(0, |a| a.legs.len() + a.waking)
    }

    /// Forgets an attempt that has no legs left.
    fn drop_attempt(&mut self, call: CallId, attempt: AttemptId) {
        self.timers.clear(&Timer::Attempt(call, attempt));
        self.timers.clear(&Timer::Contact(call, attempt));
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(gone) = of.attempts.remove(&attempt) else { return };
        if let Purpose::Offer(offer, _) = gone.purpose {
            self.offers.remove(&offer);
        }
    }

    /// A provisional answer came from a leg.
    pub(crate) fn leg_progress(&mut self, now: Now, leg: LegId, response: &Response) {
        self.gateway_progress(leg, response);
        let Some(of) = self.legs.get_mut(&leg) else { return };
        let (call, attempt) = (of.call, of.attempt);
        let began = !std::mem::replace(&mut of.ringing, true);
        of.heard.note(response);
        note_early(of, response);
        self.watch_leg(leg);
        if began {
            self.limit_ring(now, leg);
        }
        let Some(attempt) = attempt else { return };
        let Some(purpose) = self.attempt(call, attempt).map(|a| a.purpose.clone()) else { return };
        match purpose {
            Purpose::Offer(offer, _) => self.queue_input(now, queue::Input::OfferRinging(offer)),
            Purpose::Dial => self.ring_caller(now, call),
            Purpose::Originate | Purpose::CallBack => {}
            Purpose::Outbound => {
                // Of several callees that send early media, who spoke last is heard (RFC 3960 §3.2).
                let early = !response.body.is_empty()
                    && self.passes_early_media(leg)
                    && self.take_answer(leg, &response.body).is_ok();
                if early {
                    self.early_media(now, call, leg);
                } else {
                    self.ring_caller(now, call);
                }
            }
        }
    }

    /// A leg answered.
    pub(crate) fn leg_answered(&mut self, now: Now, leg: LegId, response: &Response) {
        let Some(of) = self.legs.get_mut(&leg) else { return };
        let (call, dialog, cancelled) = (of.call, of.dialog, of.state == LegState::Cancelled);
        of.state = LegState::Up;
        self.watch_leg(leg);
        self.timers.clear(&Timer::RangOut(leg));
        self.spending.answered(leg, now.mono);
        self.endpoint.ack(now, dialog, None);
        let unwanted = (cancelled && !self.stands_again(leg))
            || of_attempt_gone(self.calls.get(&call), self.legs.get(&leg));
        let body = self.legs.get(&leg).map(|of| final_body(of, response)).unwrap_or_default();
        let usable = !unwanted && self.take_answer(leg, &body).is_ok();
        if !usable {
            let language = self.language_of_leg(leg);
            let reason = match (unwanted, self.calls.get(&call)) {
                (false, _) => no_common_codec(),
                (true, Some(of)) if !of.ending => reasons::elsewhere(language),
                (true, _) => reasons::caller_gone(language),
            };
            self.endpoint.bye(now, dialog, reason);
            self.leg_failed(now, leg, 488);
            return;
        }
        if self.must_be_confirmed(now, leg) {
            self.ask_to_confirm(now, leg);
            return;
        }
        self.leg_won(now, leg);
    }

    /// A leg has answered and, where asked for, confirmed.
    pub(crate) fn leg_won(&mut self, now: Now, leg: LegId) {
        self.timers.clear(&Timer::Confirm(leg));
        let Some(of) = self.legs.get(&leg) else { return };
        let (call, Some(attempt)) = (of.call, of.attempt) else { return };
        let Some(purpose) = self.attempt(call, attempt).map(|a| a.purpose.clone()) else { return };
        self.stop_play(leg);
        self.person_answered(now, leg);
        match purpose {
            Purpose::Dial | Purpose::Outbound => self.connect(now, call, leg),
            Purpose::Originate => self.originated(now, call, leg),
            Purpose::CallBack => self.called_back(now, call, leg),
            Purpose::Offer(offer, _) => {
                // One agent, one offer: what else of the agent rings is answered elsewhere.
                self.give_up_others(now, call, attempt, leg);
                self.queue_input(now, queue::Input::OfferAnswered(offer));
            }
        }
    }

    /// A leg failed, was refused, or its answering party did not confirm.
    pub(crate) fn leg_failed(&mut self, now: Now, leg: LegId, status: u16) {
        let Some(of) = self.legs.get(&leg) else { return };
        let (call, attempt, way, ringing) = (of.call, of.attempt, of.way.clone(), of.ringing);
        let trunk = of.trunk.clone();
        self.forget_leg(now, leg);
        let Some(attempt) = attempt else { return };
        let Some(of) = self.attempt(call, attempt) else { return };
        of.legs.remove(&leg);
        of.outcomes.push(status);
        if !self.retry_with_own_number(now, call, attempt, trunk.zip(way.clone()), (status, ringing))
            && !self.hunt_on(now, call, attempt, way.as_ref(), (status, ringing))
        {
            self.attempt_goes_on(now, call, attempt);
        }
    }

    /// A leg of an attempt is over: the others ring on, the next contact rings, or the attempt is over.
    pub(crate) fn attempt_goes_on(&mut self, now: Now, call: CallId, attempt: AttemptId) {
        if self.attempt_legs(call, attempt) == 0 && !self.ring_next_contact(now, call, attempt) {
            self.attempt_over(now, call, attempt, false);
        }
    }

    /// The time of an attempt is up.
    pub(crate) fn attempt_timeout(&mut self, now: Now, call: CallId, attempt: AttemptId) {
        self.attempt_over(now, call, attempt, true);
    }

    /// Nothing rings any more for an attempt: its purpose learns why.
    fn attempt_over(&mut self, now: Now, call: CallId, attempt: AttemptId, timed_out: bool) {
        let Some(of) = self.attempt(call, attempt) else { return };
        let purpose = of.purpose.clone();
        let outcomes = std::mem::take(&mut of.outcomes);
        let legs: Vec<LegId> = std::mem::take(&mut of.legs).into_iter().collect();
        for leg in legs {
            let reason = reasons::no_answer(self.language_of_phones(call));
            self.give_up_leg(now, leg, reason);
        }
        self.drop_attempt(call, attempt);
        match purpose {
            Purpose::Offer(offer, _) => {
                let failure = if timed_out { Failure::NoAnswer } else { failure(&outcomes) };
                self.queue_input(now, queue::Input::OfferFailed(offer, failure));
            }
            Purpose::Originate => self.not_originated(now, call),
            Purpose::Dial => {
                let outcome = if timed_out { Outcome::NoAnswer } else { outcome(&outcomes) };
                self.run_program(now, call, Event::Dialled(outcome));
            }
            Purpose::CallBack => self.callback_missed(now, call),
            Purpose::Outbound => {
                let worst = outcomes.iter().copied().max_by_key(|s| weight(*s));
                let status = if timed_out { 480 } else { worst.unwrap_or(503) };
                self.run_program(now, call, Event::Dialled(Outcome::Refused(status)));
            }
        }
    }

    /// Ends every leg of an attempt but the winner.
    fn give_up_others(&mut self, now: Now, call: CallId, attempt: AttemptId, winner: LegId) {
        let Some(of) = self.attempt(call, attempt) else { return };
        let others: Vec<LegId> = of.legs.iter().copied().filter(|leg| *leg != winner).collect();
        of.legs.retain(|leg| *leg == winner);
        for leg in others {
            let reason = reasons::elsewhere(self.language_of_phones(call));
            self.give_up_leg(now, leg, reason);
        }
    }

    /// Ends every attempt of a call; `winner` goes on, as a leg of no attempt.
    pub(crate) fn give_up_attempts(&mut self, now: Now, call: CallId, winner: Option<LegId>, reason: &Extra) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let attempts = std::mem::take(&mut of.attempts);
        for (id, attempt) in attempts {
            self.timers.clear(&Timer::Attempt(call, id));
            self.timers.clear(&Timer::Contact(call, id));
            if let Purpose::Offer(offer, _) = attempt.purpose {
                self.offers.remove(&offer);
            }
            for leg in attempt.legs {
                if Some(leg) == winner {
                    if let Some(of) = self.legs.get_mut(&leg) {
                        of.attempt = None;
                    }
                } else {
                    self.give_up_leg(now, leg, reason.clone());
                }
            }
        }
    }

    /// The queue takes an offer back.
    pub(crate) fn withdraw(&mut self, now: Now, offer: OfferId, reason: Extra) {
        let Some((call, attempt)) = self.offers.remove(&offer) else { return };
        let Some(of) = self.attempt(call, attempt) else { return };
        let legs: Vec<LegId> = std::mem::take(&mut of.legs).into_iter().collect();
        for leg in legs {
            self.give_up_leg(now, leg, reason.clone());
        }
        self.drop_attempt(call, attempt);
    }

    /// Ends one leg, whatever its state: CANCEL before its answer, BYE after.
    pub(crate) fn give_up_leg(&mut self, now: Now, leg: LegId, reason: Extra) {
        let Some(of) = self.legs.get_mut(&leg) else { return };
        match of.state {
            LegState::Up => self.hang_up_leg(now, leg, reason),
            LegState::Calling => {
                // The leg stays until its final answer: a 200 that crosses the CANCEL is acknowledged and ended.
                of.state = LegState::Cancelled;
                of.attempt = None;
                let (dialog, late) = (of.dialog, of.late.is_some());
                self.watch_leg(leg);
                self.timers.clear(&Timer::RangOut(leg));
                self.free_channel(leg);
                if !late {
                    self.close_media(leg);
                }
                self.endpoint.cancel(now, dialog, reason);
            }
            LegState::Cancelled => {}
            LegState::Incoming => {
                let dialog = of.dialog;
                self.endpoint.reject(now, dialog, 480, reason);
                self.forget_leg(now, leg);
            }
        }
    }

    /// The caller hears ringing: 180 while unanswered, the tone after.
    pub(crate) fn ring_caller(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        let (caller, waiting) = (of.caller, of.waiting.clone());
        self.referral_rings(now, call);
        let Some(leg) = self.legs.get_mut(&caller) else { return };
        match leg.state {
            LegState::Incoming if !leg.ringing => {
                leg.ringing = true;
                let dialog = leg.dialog;
                self.watch_leg(caller);
                let body = self.early_offer(caller);
                self.endpoint.ring(now, dialog, 180, Vec::new(), body);
            }
            LegState::Up if waiting.is_none() => self.set_base(caller, Base::Tone(Tone::Ringback)),
            LegState::Incoming | LegState::Up | LegState::Calling | LegState::Cancelled => {}
        }
    }

    /// Our offer in the first 18x to a caller who made none and demands that it be acknowledged (RFC 3262 §5).
    fn early_offer(&mut self, caller: LegId) -> Option<Body> {
        let leg = self.legs.get(&caller)?;
        let wanted =
            leg.offer.is_none() && leg.agreed.is_none() && self.endpoint.requires_reliable(leg.dialog);
        if !wanted || !self.ready_media(caller) {
            return None;
        }
        let body = self.offer_late(caller, None).ok()?;
        self.early_body.insert(caller, body.clone());
        Some(body)
    }

    /// Connects the caller with a trunk's early media: announcements of the network are heard.
    fn early_media(&mut self, now: Now, call: CallId, leg: LegId) {
        let Some(of) = self.calls.get(&call) else { return };
        let caller = of.caller;
        let codec = self.legs.get(&leg).and_then(Leg::codec);
        let Some(of) = self.legs.get(&caller) else { return };
        if of.state == LegState::Incoming && of.agreed.is_none() && of.offer.is_some() {
            let dialog = of.dialog;
            self.ready_media(caller);
            match self.answer_offer(caller, codec) {
                Ok(body) => {
                    if let Some(of) = self.legs.get_mut(&caller) {
                        of.ringing = true;
                    }
                    self.watch_leg(caller);
                    self.early_body.insert(caller, body.clone());
                    self.endpoint.ring(now, dialog, 183, Vec::new(), Some(body));
                }
                Err(refusal) => {
                    self.end_call(now, call, Ending::refused(488, CallResult::Failed).warning(&refusal));
                    return;
                }
            }
        }
        // Who supervises the caller waits for the answer.
        self.join_two(caller, leg);
    }
}

/// Keeps the SDP of a provisional answer: the 200 of the same callee may leave it out (RFC 3262 §5).
fn note_early(leg: &mut Leg, response: &Response) {
    let to = response.to();
    let Some(tag) = to.as_ref().and_then(|to| to.tag()).filter(|_| !response.body.is_empty()) else { return };
    leg.early.retain(|(known, _)| **known != *tag);
    if leg.early.len() < EARLY_MAX {
        leg.early.push((tag.into(), response.body.clone()));
    }
}

/// The SDP of an answer: its own, or what the same callee said before.
fn final_body(leg: &Leg, response: &Response) -> Bytes {
    if !response.body.is_empty() {
        return response.body.clone();
    }
    let to = response.to();
    let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or_default();
    leg.early.iter().find(|(known, _)| **known == *tag).map(|(_, body)| body.clone()).unwrap_or_default()
}

/// Whether a leg's attempt is over although its answer came.
fn of_attempt_gone(call: Option<&crate::switch::call::Call>, leg: Option<&Leg>) -> bool {
    match (call, leg.and_then(|leg| leg.attempt)) {
        (Some(call), Some(attempt)) => call.ending || !call.attempts.contains_key(&attempt),
        _ => true,
    }
}

fn no_common_codec() -> Extra {
    vec![("Reason", "SIP;cause=488;text=\"No common codec\"".into())]
}

/// What the program learns of final statuses: busy before all, then no answer.
fn outcome(statuses: &[u16]) -> Outcome {
    match failure(statuses) {
        Failure::Busy => Outcome::Busy,
        Failure::NoAnswer | Failure::Rejected => Outcome::NoAnswer,
        Failure::Unreachable | Failure::Error => Outcome::Unavailable,
    }
}

/// The kind of failure that final statuses mean together.
fn failure(statuses: &[u16]) -> Failure {
    match statuses.iter().copied().max_by_key(|status| weight(*status)) {
        Some(486 | 600) => Failure::Busy,
        Some(603 | 403 | 607) => Failure::Rejected,
        Some(480 | 487 | 408) => Failure::NoAnswer,
        Some(404 | 410 | 484 | 503) | None => Failure::Unreachable,
        Some(_) => Failure::Error,
    }
}

/// Which of several final statuses says most about the callee.
fn weight(status: u16) -> u8 {
    match status {
        600..=699 => 5,
        486 => 4,
        480 | 487 => 3,
        400..=407 | 409..=499 => 2,
        408 => 1,
        _ => 0,
    }
}
