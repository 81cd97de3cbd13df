//! Taking over a conversation: a supervisor takes an agent's, anybody moves their own to another phone.

use crate::model::id::CallId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::user::Role;
use crate::switch::Switch;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::switch::queue;
use crate::time::Now;

impl Switch {
    /// The caller of `from`, a supervisor, takes the newest call of a colleague, who is let go.
    pub(crate) fn take_over(
        &mut self,
        now: Now,
        from: CallId,
        by: &UserKey,
        user: &UserId,
    ) -> Result<Option<Said>, Refusal> {
        self.may_take_over(by, user)?;
        let whose = UserKey { company: by.company.clone(), user: user.clone() };
        let talk = self.talks_of(&whose, Some(from)).pop().ok_or(Refusal::NoCall)?;
        self.talk_taken(now, talk.call);
        if self.join_instead(now, from, talk.call, talk.leg) {
            let why = format!("order: {} takes it from {user}", by.user);
            self.decide(now, &by.company, Some(talk.call), "call.taken_over", &why);
        }
        Ok(None)
    }

    /// Whether a user may take over a colleague's calls.
    pub(crate) fn may_take_over(&self, by: &UserKey, user: &UserId) -> Result<(), Refusal> {
        let company = self.config.companies.get(&by.company).ok_or(Refusal::NotAllowed)?;
        let person = company.users.get(&by.user).ok_or(Refusal::NotAllowed)?;
        if !company.users.contains_key(user) {
            return Err(Refusal::UnknownExtension);
        }
        match person.role {
            Role::Supervisor | Role::Admin if *user != by.user => Ok(()),
            Role::Supervisor | Role::Admin | Role::Employee => Err(Refusal::NotAllowed),
        }
    }

    /// The agent's part of a queue's call is over; the caller talks on with somebody else.
    fn talk_taken(&mut self, now: Now, call: CallId) {
        let served = self.calls.get_mut(&call).and_then(|of| of.served_by.take());
        if served.is_some() {
            self.queue_input(now, queue::Input::TalkEnded { entry: call });
        }
    }

    /// The caller of `from` goes on with their own newest call at the phone that they call from.
    pub(crate) fn move_own_call(
        &mut self,
        now: Now,
        from: CallId,
        by: &UserKey,
    ) -> Result<Option<Said>, Refusal> {
        let talk = self.talks_of(by, Some(from)).pop().ok_or(Refusal::NoCall)?;
        if self.join_instead(now, from, talk.call, talk.leg) {
            let why = format!("order: {} goes on at another phone", by.user);
            self.decide(now, &by.company, Some(talk.call), "call.moved", &why);
        }
        Ok(None)
    }
}
