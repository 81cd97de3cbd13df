//! Call-backs in the switch: what callers are told of them, and how a kept place is served.
//!
//! A place that is offered to an agent is carried by a call of its own: at first it rings the agent like any offer;
//! once the agent has answered, the agent's leg is who calls, and the waiting caller is dialled. One who is not
//! reached costs the agent nothing, and the queue says when to try again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::media::Base;
use crate::media::PlayItem;
use crate::media::tone::Tone;
use crate::model::cdr::CallResult;
use crate::model::cdr::Direction;
use crate::model::change::Change;
use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::model::queue::Queue;
use crate::model::server::Language;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::bridge::Ending;
use crate::switch::call::Begin;
use crate::switch::call::Call;
use crate::switch::call::Listener;
use crate::switch::call::Waiting;
use crate::switch::dial::Purpose;
use crate::switch::flow::action::CallerFacts;
use crate::switch::hours;
use crate::switch::hours::HoursState;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::outgoing::Outbound;
use crate::switch::queue;
use crate::switch::queue::Eta;
use crate::switch::queue::Failure;
use crate::switch::queue::OfferId;
use crate::switch::reasons;
use crate::switch::say;
use crate::switch::say::What;
use crate::switch::system_prompt;
use crate::time::Now;

/// How long a caller who is called back may let it ring: shorter than most voicemail.
const DIAL_FOR: Duration = Duration::from_secs(25);

/// Kept places that are being served.
#[derive(Debug, Default)]
pub(crate) struct Callbacks {
    /// The name of a place, and the call that carries it.
    carried: BTreeMap<CallId, CallId>,
    /// Callers who are being dialled, by the offer of the agent who waits.
    dialling: BTreeMap<OfferId, (CallId, LineKey)>,
}

impl Callbacks {
    /// Whether a call carries a place that rings an agent, or dials for one.
    pub(crate) fn carries(&self, call: CallId) -> bool {
        self.carried.values().any(|carried| *carried == call)
    }

    /// Whether nobody is rung or dialled for a kept place.
    pub(crate) fn is_idle(&self) -> bool {
        self.carried.is_empty() && self.dialling.is_empty()
    }
}

impl Switch {
    /// Who calls, as the queues may know: none when hidden.
    pub(crate) fn number_of_caller(&self, call: CallId) -> Option<Number> {
        let of = self.calls.get(&call)?;
        of.facts.number.clone().filter(|number| !of.facts.hidden && !number.is_empty())
    }

    /// A waiting caller has confirmed the number: the queue lets the call go, or the caller waits on and is told so.
    pub(crate) fn keep_place(&mut self, now: Now, call: CallId, number: Number) {
        if self.queues.may_call_back(now, call).is_err() {
            let prompt = PlayItem::Clip(system_prompt(self.language_of(call), "queue/callback-kept"));
            return self.play_to_caller(call, vec![prompt], 1, Listener::Program);
        }
        self.queue_input(now, queue::Input::KeepPlace { entry: call, number });
    }

    /// Rings an agent for a kept place.
    pub(crate) fn offer_callback(&mut self, now: Now, offer: OfferId, offered: Offered) {
        let Offered { line, entry, agent, number } = offered;
        let known = self.callbacks.carried.get(&entry).copied().unwrap_or(entry);
        let call = match self.calls.contains_key(&known) {
            true => known,
            false => {
                let Some(call) = self.carry(now, &line, number) else {
                    return self.queue_input(now, queue::Input::OfferFailed(offer, Failure::Error));
                };
                self.callbacks.carried.insert(entry, call);
                self.queue_input(now, queue::Input::CarriedBy { entry, call });
                call
            }
        };
        self.ring_agent(now, call, offer, &agent);
    }

    /// A call for a kept place: nobody is in it until an agent answers.
    fn carry(&mut self, now: Now, line: &LineKey, number: Number) -> Option<CallId> {
        let company = self.config.companies.get(&line.company).cloned()?;
        let LineId::Queue(id) = &line.line else { return None };
        let shown = shown(&company, company.queues.get(id)?);
        let facts = CallerFacts {
            number: Some(number.clone()),
            name: None,
            hidden: false,
            user: None,
            own_device: false,
            dialled: shown.number.clone(),
            answered: true,
            language: company.language,
            diversions: Vec::new(),
        };
        let (call, caller) = (self.next_call(), self.next_leg());
        let mut of = Call::new(Begin {
            id: call,
            company: company.id.clone(),
            direction: Direction::Out,
            caller,
            facts,
            trunk: None,
            sip_call_id: "".into(),
            at: now.utc,
        });
        of.cdr.from = shown.number.as_str().into();
        of.cdr.to = number.as_str().into();
        of.cdr.queue = Some(id.clone());
        of.waiting = Some(Waiting { line: line.clone(), since: now.mono });
        self.calls.insert(call, of);
        Some(call)
    }

    /// The agent has answered: the caller is dialled, and the agent hears it ring.
    pub(crate) fn dial_back(&mut self, now: Now, offer: OfferId, call: CallId, number: Number) {
        let attempt = self.offers.get(&offer).map(|(_, attempt)| *attempt);
        let agent = attempt.and_then(|id| self.attempt(call, id)).and_then(|of| of.legs.first().copied());
        let (Some(agent), Some(of)) = (agent, self.calls.get_mut(&call)) else {
            return self.queue_input(now, queue::Input::CallbackFailed { entry: call });
        };
        let Some(Waiting { line, .. }) = of.waiting.take() else {
            return self.queue_input(now, queue::Input::CallbackFailed { entry: call });
        };
        let (company, direction) = (of.company.clone(), of.cdr.direction);
        let elsewhere = reasons::elsewhere(self.language_of_phones(call));
        self.give_up_attempts(now, call, Some(agent), &elsewhere);
        self.callbacks.dialling.insert(offer, (call, line.clone()));
        let user = self.legs.get(&agent).and_then(|leg| leg.user.as_ref()).map(|key| key.user.clone());
        if let Some(of) = self.calls.get_mut(&call) {
            of.caller = agent;
            of.cdr.from_user = user;
        }
        self.tell(Change::CallStarted { call, company: Some(company), direction });
        self.tell_leg(agent);
        self.set_base(agent, Base::Tone(Tone::Ringback));
        let says = PlayItem::Clip(system_prompt(self.language_of(call), "queue/callback-dialling"));
        self.play(agent, vec![says], 1);
        self.update_busy(now, call);
        let attempt = self.new_attempt(call, Purpose::CallBack);
        self.timers.set(Timer::Attempt(call, attempt), now.mono + DIAL_FOR);
        let dialled = match (self.trunks_to(now, call, &number, None), self.shown_by(&line)) {
            (Some(trunks), Some(shown)) => {
                let out = Outbound {
                    number,
                    shown,
                    confirm: false,
                    user: None,
                    diversions: Vec::new(),
                    emergency: false,
                    ring: None,
                };
                self.hunt(now, call, attempt, out, &trunks)
            }
            (Some(_), None) | (None, _) => false,
        };
        if !dialled {
            self.callback_missed(now, call);
        }
    }

    /// The caller has answered: agent and caller talk.
    pub(crate) fn called_back(&mut self, now: Now, call: CallId, leg: LegId) {
        let Some(line) = self.take_dialling(call).map(|(_, line)| line) else { return };
        if let Some(of) = self.calls.get_mut(&call) {
            of.served_by = Some(line);
            of.cdr.answered = Some(now.utc);
        }
        self.connect(now, call, leg);
        if self.calls.contains_key(&call) {
            self.queue_input(now, queue::Input::TalkStarted { entry: call });
        }
    }

    /// The caller did not answer, or could not be dialled: the agent is let go.
    pub(crate) fn callback_missed(&mut self, now: Now, call: CallId) {
        if self.take_dialling(call).is_some() {
            self.queue_input(now, queue::Input::CallbackFailed { entry: call });
        }
        self.end_call(now, call, Ending::refused(480, CallResult::NoAnswer));
    }

    /// A call ends: when it is the agent who goes while the caller is being dialled, that was one attempt.
    pub(crate) fn callback_ended(&mut self, now: Now, call: CallId) {
        if let Some((offer, _)) = self.take_dialling(call) {
            self.queue_input(now, queue::Input::OfferFailed(offer, Failure::Error));
        }
    }

    /// The queue takes back an agent who waits for a caller being dialled: the caller rings in, or is gone for good.
    pub(crate) fn withdraw_callback(&mut self, now: Now, offer: OfferId) {
        if let Some((call, _)) = self.callbacks.dialling.remove(&offer) {
            self.end_call(now, call, Ending::refused(480, CallResult::NoAnswer));
        }
    }

    /// Forgets calls of kept places that ring nobody any longer: no agent has answered, so there is no record.
    pub(crate) fn forget_uncarried(&mut self) {
        if self.callbacks.carried.is_empty() {
            return;
        }
        let over = |call: &CallId| {
            self.calls.get(call).is_none_or(|of| of.waiting.is_some() && of.attempts.is_empty())
        };
        let places: Vec<(CallId, CallId)> = self
            .callbacks
            .carried
            .iter()
            .filter(|(_, call)| over(call))
            .map(|(place, call)| (*place, *call))
            .collect();
        for (place, call) in places {
            self.callbacks.carried.remove(&place);
            self.calls.remove(&call);
        }
    }

    fn take_dialling(&mut self, call: CallId) -> Option<(OfferId, LineKey)> {
        let found = self.callbacks.dialling.iter().find(|(_, (dialling, _))| *dialling == call);
        let offer = found.map(|(offer, _)| *offer)?;
        self.callbacks.dialling.remove(&offer).map(|(_, line)| (offer, line))
    }

    fn shown_by(&self, line: &LineKey) -> Option<Shown> {
        let company = self.config.companies.get(&line.company)?;
        let LineId::Queue(id) = &line.line else { return None };
        company.queues.get(id).map(|queue| shown(company, queue))
    }
}

/// A kept place that is offered.
pub(crate) struct Offered {
    pub(crate) line: LineKey,
    /// By its name, or the call that carries it.
    pub(crate) entry: CallId,
    pub(crate) agent: AgentKey,
    /// Whom to dial when the agent has answered.
    pub(crate) number: Number,
}

/// What the caller who is called back sees: the queue's number, else the company's.
fn shown(company: &Company, queue: &Queue) -> Shown {
    let leads_here = |to: &Destination| match to {
        Destination::Queue(id) => company.queues.get(id).is_some_and(|named| named == queue),
        Destination::User(_)
        | Destination::Group(_)
        | Destination::Flow(_)
        | Destination::Voicemail(_)
        | Destination::Phone(_)
        | Destination::Room(_)
        | Destination::Hangup => false,
    };
    let own = company.numbers.iter().find(|(_, to)| leads_here(to)).map(|(number, _)| number.clone());
    let usual = identity::shown_outside(company, None, false);
    match queue.outbound_number.clone().or(own) {
        Some(number) => Shown { own: Some(number.clone()), number, ..usual },
        None => usual,
    }
}

/// What says an estimated wait.
pub(crate) fn eta_prompt(eta: Eta) -> &'static str {
    match eta {
        Eta::UnderOne => "queue/wait-less-minute",
        Eta::OneToTwo => "queue/wait-one-to-two",
        Eta::TwoToFive => "queue/wait-two-to-five",
        Eta::FiveToTen => "queue/wait-five-to-ten",
        Eta::OverTen => "queue/wait-over-ten",
    }
}

/// What offers a call-back, with the key to press.
pub(crate) fn callback_prompts(language: Language, queue: &Queue) -> Vec<Arc<str>> {
    let key = queue.callback.unwrap_or_default().key;
    if key == '1' {
        return vec!["queue/callback-offer".into()];
    }
    let mut prompts = vec!["queue/callback-press".into()];
    prompts.extend(say::say(language, &What::Digits(&key.to_string())));
    prompts.push("queue/callback-instead".into());
    prompts
}

/// Whether hours are closed by a closure for which nobody may wait on.
pub(crate) fn immediate(company: &Company, state: &HoursState) -> bool {
    match &state.source {
        hours::Source::Closure(id) => company.closures.get(id).is_some_and(|closure| closure.immediate),
        hours::Source::ByHand
        | hours::Source::Date
        | hours::Source::Holiday(_)
        | hours::Source::NamedDay(_)
        | hours::Source::Week
        | hours::Source::Default => false,
    }
}
