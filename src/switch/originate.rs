//! Calls that nobody has dialled: click to call, call-back, taking a caller from a list. The user's own phones ring
//! first; who answers there is then led on as if they had dialled.

use std::time::Duration;

use crate::model::cdr::CallResult;
use crate::model::cdr::Direction;
use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::UserKey;
use crate::model::queue::Confirm;
use crate::sip::Extra;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::bridge::Ending;
use crate::switch::call::Begin;
use crate::switch::call::Call;
use crate::switch::dial::Purpose;
use crate::switch::flow::Program;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Event;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::people::Refusal;
use crate::switch::presentation;
use crate::switch::presentation::Presented;
use crate::switch::reasons;
use crate::switch::route::Target;
use crate::time::Now;

/// How long the user's own phones ring.
const RING: Duration = Duration::from_secs(30);

/// A call to be made for a user.
#[derive(Clone, Debug)]
pub(crate) struct Click {
    /// For whom.
    pub(crate) user: UserKey,
    /// Where it goes when the user has answered.
    pub(crate) target: Target,
    /// What would have been dialled.
    pub(crate) dialled: Number,
    /// What the user's phones show.
    pub(crate) shown: Shown,
    /// They are asked to answer by themselves.
    pub(crate) auto_answer: bool,
}

impl Switch {
    /// Rings the user's phones, to lead who answers on.
    pub(crate) fn originate(&mut self, now: Now, click: Click) -> Result<CallId, Refusal> {
        let company = self.config.companies.get(&click.user.company).cloned().ok_or(Refusal::NotAllowed)?;
        let id = self.next_call();
        let direction = match &click.target {
            Target::Outside { .. } => Direction::Out,
            Target::Inside { .. }
            | Target::Phone { .. }
            | Target::Toggle { .. }
            | Target::Service { .. }
            | Target::Barred { .. } => Direction::Internal,
        };
        let facts = CallerFacts {
            number: Some(click.shown.number.clone()).filter(|number| !number.is_empty()),
            name: click.shown.name.clone(),
            dialled: click.dialled.clone(),
            language: company.language,
            ..identity::nobody()
        };
        let begin = Begin {
            id,
            company: company.id.clone(),
            direction,
            caller: LegId(0),
            facts,
            trunk: None,
            sip_call_id: "".into(),
            at: now.utc,
        };
        let (user, shown) = (click.user.clone(), click.shown.clone());
        let alerting = match click.auto_answer {
            true => presentation::auto_answer(&company.domain, true),
            false => Extra::new(),
        };
        let mut of = Call::new(begin);
        of.originate = Some(Box::new(click));
        self.calls.insert(id, of);
        self.tell(Change::CallStarted { call: id, company: Some(company.id.clone()), direction });
        let attempt = self.new_attempt(id, Purpose::Originate);
        let presented = Presented { alerting, ..Presented::plain(shown.clone(), shown) };
        self.ring_user(now, id, attempt, &user, Confirm::Auto, Some(presented));
        if self.attempt_legs(id, attempt) == 0 {
            self.end_call(now, id, Ending::refused(480, CallResult::Failed));
            return Err(Refusal::Unreachable);
        }
        self.timers.set(Timer::Attempt(id, attempt), now.mono + RING);
        self.decide(
            now,
            &company.id,
            Some(id),
            "call.originated",
            &format!("order: rings {} first", user.user),
        );
        Ok(id)
    }

    /// The user has answered: who was called for is the caller now.
    pub(crate) fn originated(&mut self, now: Now, call: CallId, winner: LegId) {
        let elsewhere = reasons::elsewhere(self.language_of_phones(call));
        self.give_up_attempts(now, call, Some(winner), &elsewhere);
        let Some(click) = self.calls.get_mut(&call).and_then(|of| of.originate.take()) else { return };
        let Some(company) = self.config.companies.get(&click.user.company) else { return };
        let facts = identity::caller_user(company, &click.user.user);
        let dialog = self.legs.get(&winner).map(|leg| leg.dialog);
        let sip_call_id = dialog.and_then(|dialog| self.endpoint.call_id(dialog)).unwrap_or_default().into();
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.caller = winner;
        of.facts = CallerFacts { dialled: click.dialled, answered: true, ..facts };
        of.cdr.from = of.facts.number.as_ref().map_or_else(|| "".into(), |number| number.as_str().into());
        of.cdr.sip_call_id = sip_call_id;
        of.only = if let Target::Phone { only, .. } = &click.target { Some(only.clone()) } else { None };
        of.program = Some(Program::to(click.target));
        self.stop_play(winner);
        self.wish_answered(now, call);
        self.update_busy(now, call);
        self.run_program(now, call, Event::Start);
    }

    /// Nobody answered at the user's own phones.
    pub(crate) fn not_originated(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        let company = of.company.clone();
        self.decide(
            now,
            &company,
            Some(call),
            "call.originate_failed",
            "no_answer: at the user's own phones",
        );
        self.end_call(now, call, Ending::refused(480, CallResult::NoAnswer));
    }
}
