//! Intercom: a call to a colleague whose phone answers by itself (RFC 5373, and what phones knew before it).
//!
//! It rings phones only, never mobiles, and nobody who is in a call, wants not to be disturbed or does not permit it.

use crate::model::id::CallId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::sip::Extra;
use crate::switch::Switch;
use crate::switch::flow;
use crate::switch::flow::Program;
use crate::switch::flow::action::Event;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::switch::presentation;
use crate::time::Now;

impl Switch {
    /// The caller of `call` speaks to a colleague.
    pub(crate) fn intercom(
        &mut self,
        now: Now,
        call: CallId,
        by: &UserKey,
        user: &UserId,
    ) -> Result<Option<Said>, Refusal> {
        let key = UserKey { company: by.company.clone(), user: user.clone() };
        let company = self.config.companies.get(&by.company).ok_or(Refusal::NotAllowed)?;
        let person = company.users.get(user).ok_or(Refusal::UnknownExtension)?;
        let standing = self.people.standing(company, user, now.utc);
        if !person.intercom || *user == by.user || standing.do_not_disturb || standing.absent.is_some() {
            return Err(Refusal::NotWanted);
        }
        if self.is_talking(&key, Some(call)) {
            return Err(Refusal::Busy);
        }
        if self.devices_of(&key).iter().all(|aor| self.location.of(aor).is_empty()) {
            return Err(Refusal::Unreachable);
        }
        let Some(of) = self.calls.get_mut(&call) else { return Err(Refusal::NoCall) };
        of.intercom = true;
        of.program = Some(Program::Flow(flow::Run::phones(user.clone())));
        self.decide(now, &by.company, Some(call), "call.intercom", &format!("order: {} to {user}", by.user));
        self.run_program(now, call, Event::Start);
        Ok(None)
    }

    /// Whether a user is in a call, or rings somebody.
    pub(crate) fn is_talking(&self, user: &UserKey, except: Option<CallId>) -> bool {
        let own = except.and_then(|call| self.calls.get(&call));
        let own = own.is_some_and(|call| call.busy.contains(user));
        self.in_call.get(user).is_some_and(|count| *count > usize::from(own))
            || !self.talks_of(user, except).is_empty()
    }

    /// How the phones that a call rings are told to ring, when nothing else says.
    pub(crate) fn alerting_of(&self, call: CallId) -> Extra {
        let Some(of) = self.calls.get(&call).filter(|of| of.intercom) else { return Extra::new() };
        let domain = self.config.companies.get(&of.company).map(|company| &*company.domain);
        presentation::auto_answer(domain.unwrap_or_default(), true)
    }
}
