//! Answering by order a call that rings: the phone is told to (NOTIFY with `Event: talk` in the dialog of the INVITE, as
//! phones know it that say `Allow-Events: talk`), or else rung anew as one that answers by itself.
//!
//! Of a mobile only its owner can answer. Leaves out phones that know neither: they go on ringing.

use crate::model::command::Answer;
use crate::model::id::CallId;
use crate::model::id::DeviceId;
use crate::model::id::LegId;
use crate::model::id::UserKey;
use crate::sip::Method;
use crate::sip::TransactionId;
use crate::switch::Switch;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::presentation;
use crate::switch::reasons;
use crate::time::Now;

impl Switch {
    /// Has a ringing phone of a user answer.
    pub(crate) fn answer_ringing(
        &mut self,
        now: Now,
        user: &UserKey,
        call: Option<CallId>,
        device: Option<&DeviceId>,
    ) -> Result<Answer, (String, bool)> {
        let rings = |of: &Leg| {
            of.state == LegState::Calling
                && of.user.as_ref() == Some(user)
                && call.is_none_or(|call| of.call == call)
        };
        let named = |of: &Leg| {
            let of = of.flows.as_ref().map(|flows| &flows.tried.record.device);
            of.is_some_and(|of| device.is_none_or(|device| of == device))
        };
        let phones = self.legs.iter().filter(|(_, of)| rings(of) && of.trunk.is_none() && named(of));
        let first = phones.min_by_key(|(id, of)| (!of.heard.takes_talk(), of.call, **id)).map(|(id, _)| *id);
        let Some(leg) = first else {
            let mobile = self.legs.values().any(|of| rings(of) && of.trunk.is_some());
            return Err(match mobile {
                true => (
                    format!("only the mobile of user \"{}\" rings: it has to be answered there", user.user),
                    false,
                ),
                false => (
                    format!("no phone of user \"{}\" rings so; `sentral calls` lists calls", user.user),
                    true,
                ),
            });
        };
        self.have_answered(now, user, leg);
        Ok(Answer::Done)
    }

    fn have_answered(&mut self, now: Now, user: &UserKey, leg: LegId) {
        let Some(of) = self.legs.get(&leg) else { return };
        let (call, dialog) = (of.call, of.dialog);
        if of.heard.takes_talk() {
            let extra =
                vec![("Event", "talk".to_owned()), ("Subscription-State", "active;expires=60".to_owned())];
            if let Some(asked) = self.endpoint.request_in(now, dialog, Method::Notify, extra, None) {
                self.answering.insert(asked, leg);
                self.decide(
                    now,
                    &user.company,
                    Some(call),
                    "call.answer_ordered",
                    "talk: the phone is told to answer",
                );
                return;
            }
        }
        self.ring_to_answer(now, leg);
    }

    /// A phone has said what it makes of being told to answer: one that does not know how is rung anew. `false` when
    /// the answer is to something else.
    pub(crate) fn answer_told(&mut self, now: Now, asked: TransactionId, status: u16) -> bool {
        let Some(leg) = self.answering.remove(&asked) else { return false };
        if !(200..300).contains(&status) {
            self.ring_to_answer(now, leg);
        }
        true
    }

    /// Rings a phone anew, as one that answers by itself, in place of the leg that rings there.
    fn ring_to_answer(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get_mut(&leg).filter(|of| of.state == LegState::Calling) else { return };
        let (Some(attempt), Some(user)) = (of.attempt, of.user.clone()) else { return };
        let Some(flows) = of.flows.take() else { return };
        let (call, confirm, ring) = (of.call, of.confirm, of.ring_max);
        let domain = self.config.companies.get(&user.company).map(|company| company.domain.clone());
        let alerting = presentation::auto_answer(domain.as_deref().unwrap_or_default(), true);
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.remove(&leg);
        }
        // The phone must have let go of the old call before it is asked to take the new one at once.
        self.give_up_leg(now, leg, reasons::elsewhere(self.language_of_phones(call)));
        let mut ways = vec![flows.tried];
        ways.extend(flows.left);
        let anew = self.invite_device(now, call, attempt, &user, ways, flows.shown, alerting, confirm);
        let why = "auto_answer: the phone is rung anew, to answer by itself";
        self.decide(now, &user.company, Some(call), "call.answer_ordered", why);
        match anew {
            Some(anew) => {
                if let Some(of) = self.legs.get_mut(&anew) {
                    of.ring_max = ring;
                }
                self.limit_ring(now, anew);
            }
            None => self.attempt_goes_on(now, call, attempt),
        }
    }
}
