//! Three-way by the switch: a user who talks with one party while another waits joins all three, by key or by order.
//!
//! It is a consultation (`switch::consult`) whose three can hear each other. So the ends are those of one: when the user
//! hangs up, the others talk on; when one of the others does, the user is with the one who is left.

use crate::media::Base;
use crate::model::command::Answer;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::switch::Switch;
use crate::switch::consult::Asker;
use crate::switch::consult::Consultation;
use crate::switch::people::Refusal;
use crate::switch::people::Talk;
use crate::switch::reasons;
use crate::time::Now;

impl Switch {
    /// Whether a user who talks at `leg` could join two parties.
    pub(crate) fn can_join(&self, leg: LegId, user: &UserKey) -> bool {
        let Some(call) = self.legs.get(&leg).map(|of| of.call) else { return false };
        if self.consults(leg) {
            return !self.is_three_way(call) && self.other_party(call, leg).is_some();
        }
        self.talks_of(user, None).len() > 1
    }

    /// Joins the party whom a user talks with and the one who waits.
    pub(crate) fn join_three(&mut self, now: Now, user: &UserKey) -> Result<CallId, Refusal> {
        let talks = self.talks_of(user, None);
        let asks = talks.iter().find(|talk| self.consults(talk.leg)).copied();
        let talk = match asks {
            Some(talk) => talk,
            None => {
                let talk = talks.iter().rev().find(|talk| !talk.held).copied().ok_or(Refusal::NoCall)?;
                let other = talks.iter().rev().find(|other| other.call != talk.call).copied();
                self.ask_about(now, user, talk, other.ok_or(Refusal::NothingHeld)?)?;
                talk
            }
        };
        if self.is_three_way(talk.call) {
            return Ok(talk.call);
        }
        let about = self.calls.get(&talk.call).and_then(|of| of.consultation.as_ref()).map(|of| of.about);
        let about = about.filter(|about| self.calls.contains_key(about)).ok_or(Refusal::NothingHeld)?;
        self.mixes.entry(talk.call).or_default().with = Some(about);
        self.join_recordings(about, talk.call);
        // Supervisors of the one hear all three.
        self.mix_follows(about, talk.call);
        self.remix(talk.call);
        self.say_to(talk.leg, "transfer/joined");
        let why = format!("order: {} joins call {about} and call {}", user.user, talk.call);
        self.decide(now, &user.company, Some(talk.call), "call.joined", &why);
        self.decide(now, &user.company, Some(about), "call.joined", &why);
        Ok(talk.call)
    }

    /// Two calls of a user on two lines of a phone become one that asks about the other: the line of the other is freed.
    fn ask_about(&mut self, now: Now, user: &UserKey, talk: Talk, other: Talk) -> Result<(), Refusal> {
        let about = other.call;
        let busy =
            |call| self.calls.get(&call).is_none_or(|of| of.consultation.is_some() || of.consulted.is_some());
        if busy(about) || busy(talk.call) {
            return Err(Refusal::Busy);
        }
        let facts = self.facts_of(about, other.party);
        let Some(of) = self.calls.get_mut(&about) else { return Err(Refusal::NothingHeld) };
        if of.caller != other.party {
            of.facts = facts;
        }
        (of.caller, of.callee) = (other.party, None);
        of.consulted = Some(talk.call);
        if let Some(of) = self.calls.get_mut(&talk.call) {
            let asker = if of.caller == talk.leg { Asker::Caller } else { Asker::Callee };
            of.consultation = Some(Consultation { about, by: user.clone(), asker, target: None });
        }
        self.set_base(other.party, Base::Silence);
        self.hang_up_leg(now, other.leg, reasons::elsewhere(self.language_of_phones(about)));
        self.update_busy(now, about);
        Ok(())
    }

    /// An order at the command line.
    pub(crate) fn order_join(&mut self, now: Now, company: &CompanyId, user: &UserId) -> Answer {
        let key = UserKey { company: company.clone(), user: user.clone() };
        if self.config.companies.get(company).is_none_or(|of| !of.users.contains_key(user)) {
            let why = format!("company \"{company}\" has no user \"{user}\"");
            return Answer::Refused { why, not_found: true };
        }
        match self.join_three(now, &key) {
            Ok(_) => Answer::Done,
            Err(why) => {
                let why = format!("join the calls of \"{user}\": {}", why.words());
                Answer::Refused { why, not_found: false }
            }
        }
    }
}
