//! Call-back on busy and on no answer (as ETSI's CCBS and CCNR): who could not reach a colleague is rung when both are
//! free, and then the colleague.
//!
//! A wish is for one pair, lasts for 45 minutes and survives a restart. It is looked at when one of the two has put the
//! receiver down: of a colleague who did not answer, that says that they are back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::change::Change;
use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::id::CallId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::server::Language;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::call::Call;
use crate::switch::identity::Shown;
use crate::switch::originate::Click;
use crate::switch::people::Deadline;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::switch::route::Target;
use crate::time::Now;
use crate::time::Timestamp;

/// How long a wish lasts.
const LASTS: Duration = Duration::from_secs(45 * 60);
/// Wishes of one user.
const WISHES_MAX: usize = 5;
/// After a receiver is put down; phones are not ready for the next call at once.
const PAUSE: Duration = Duration::from_secs(3);

/// One wish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    until: Timestamp,
    /// The colleague was in a call then, or has been since.
    ready: bool,
    /// The asker is being rung.
    call: Option<CallId>,
}

/// Who wants to reach whom.
pub(crate) type Wishes = BTreeMap<(UserKey, UserKey), Wish>;

impl Switch {
    /// The code: the caller wants to reach `user`, or whom they called last in vain.
    pub(crate) fn wish_call_back(
        &mut self,
        now: Now,
        by: &UserKey,
        user: Option<UserId>,
    ) -> Result<Option<Said>, Refusal> {
        let named = user.map(|user| UserKey { company: by.company.clone(), user });
        let missed = self.between.missed.get(by).cloned();
        let wanted = named.or_else(|| missed.as_ref().map(|(user, _)| user.clone()));
        let wanted = wanted.ok_or(Refusal::NobodyToCall)?;
        if wanted == *by {
            return Err(Refusal::NobodyToCall);
        }
        let known = self.between.wishes.contains_key(&(by.clone(), wanted.clone()));
        if !known && self.between.wishes.keys().filter(|(asker, _)| asker == by).count() >= WISHES_MAX {
            return Err(Refusal::TooMany);
        }
        let until = now.utc.checked_add(LASTS).unwrap_or(now.utc);
        self.change_wish(now, by, &wanted, Some(until), "order");
        let was_busy = missed.is_some_and(|(user, busy)| user == wanted && busy);
        let ready = was_busy || self.is_talking(&wanted, None);
        if let Some(wish) = self.between.wishes.get_mut(&(by.clone(), wanted)) {
            wish.ready = ready;
        }
        Ok(Some(Said::CallBackOn))
    }

    /// The code: the caller no longer wants to reach `user`, or anybody.
    pub(crate) fn cancel_call_back(
        &mut self,
        now: Now,
        by: &UserKey,
        user: Option<UserId>,
    ) -> Result<Option<Said>, Refusal> {
        let of = |(asker, wanted): &&(UserKey, UserKey)| {
            asker == by && user.as_ref().is_none_or(|user| wanted.user == *user)
        };
        let ended: Vec<UserKey> =
            self.between.wishes.keys().filter(of).map(|(_, wanted)| wanted.clone()).collect();
        if ended.is_empty() {
            return Err(Refusal::NobodyToCall);
        }
        for wanted in ended {
            self.change_wish(now, by, &wanted, None, "cancelled");
        }
        Ok(Some(Said::CallBackOff))
    }

    /// A wish begins, or ends.
    fn change_wish(
        &mut self,
        now: Now,
        asker: &UserKey,
        wanted: &UserKey,
        until: Option<Timestamp>,
        why: &str,
    ) {
        let change =
            Change::BusyCallback { asker: asker.clone(), wanted: wanted.clone(), until, at: now.utc };
        self.restore_wish(now, &change);
        self.tell(change);
        let event = if until.is_some() { "call_back.asked" } else { "call_back.ended" };
        let why = format!("{why}: {} wants {}", asker.user, wanted.user);
        self.decide(now, &asker.company, None, event, &why);
    }

    /// Learns of a wish.
    pub(crate) fn restore_wish(&mut self, now: Now, change: &Change) {
        let Change::BusyCallback { asker, wanted, until, .. } = change else { return };
        let pair = (asker.clone(), wanted.clone());
        match until {
            Some(until) if *until > now.utc => {
                self.between.wishes.insert(pair, Wish { until: *until, ready: false, call: None });
            }
            Some(_) | None => {
                self.between.wishes.remove(&pair);
            }
        }
        self.set_wish_timer(now);
    }

    fn set_wish_timer(&mut self, now: Now) {
        let timer = Timer::People(Deadline::CallBackEnds);
        match self.between.wishes.values().map(|wish| wish.until).min() {
            Some(until) => {
                let wait = Duration::try_from(until.duration_since(now.utc)).unwrap_or(Duration::ZERO);
                self.timers.set(timer, now.mono + wait);
            }
            None => {
                self.timers.clear(&timer);
            }
        }
    }

    /// Wishes whose time is over.
    pub(crate) fn end_old_wishes(&mut self, now: Now) {
        let old = self.between.wishes.iter().filter(|(_, wish)| wish.until <= now.utc);
        let old: Vec<(UserKey, UserKey)> = old.map(|(pair, _)| pair.clone()).collect();
        for (asker, wanted) in old {
            self.change_wish(now, &asker, &wanted, None, "time");
        }
        self.set_wish_timer(now);
    }

    /// A leg of this user is gone: those who wait for that are looked at in a moment.
    pub(crate) fn put_down(&mut self, now: Now, user: &UserKey) {
        let mut pairs: Vec<(UserKey, UserKey)> = Vec::new();
        for (pair, wish) in &mut self.between.wishes {
            wish.ready |= pair.1 == *user;
            if wish.ready && wish.call.is_none() && (pair.0 == *user || pair.1 == *user) {
                pairs.push(pair.clone());
            }
        }
        for (asker, wanted) in pairs {
            self.timers.set(Timer::People(Deadline::CallBack(asker, wanted)), now.mono + PAUSE);
        }
    }

    /// Rings the asker when both are free.
    pub(crate) fn call_back_due(&mut self, now: Now, asker: &UserKey, wanted: &UserKey) {
        let pair = (asker.clone(), wanted.clone());
        if self.between.wishes.get(&pair).is_none_or(|wish| wish.call.is_some()) {
            return;
        }
        if self.is_talking(asker, None) || self.is_talking(wanted, None) {
            return;
        }
        let company = self.config.companies.get(&wanted.company);
        let person = company.and_then(|company| company.users.get(&wanted.user));
        let language = company.and_then(|of| of.users.get(&asker.user)).map(|user| user.language);
        let Some(person) = person else {
            return self.change_wish(now, asker, wanted, None, "gone");
        };
        let word = match language.unwrap_or_default() {
            Language::Nb => "Tilbakeringing",
            Language::En => "Call-back",
        };
        let number = person.ext.clone().or_else(|| person.number.clone());
        let number = number.unwrap_or_else(|| Number::new(""));
        let name = Some(format!("{word}: {}", person.name).into());
        let click = Click {
            user: asker.clone(),
            target: Target::Inside {
                company: wanted.company.clone(),
                destination: Destination::User(wanted.user.clone()),
            },
            dialled: number.clone(),
            shown: Shown { number, name, hidden: false, own: None, sent_on: false },
            auto_answer: false,
        };
        match self.originate(now, click) {
            Ok(call) => {
                if let Some(wish) = self.between.wishes.get_mut(&pair) {
                    wish.call = Some(call);
                }
            }
            Err(_) => self.change_wish(now, asker, wanted, None, "unreachable"),
        }
    }

    /// Who wanted to be called back has answered: the wish is fulfilled, whatever comes of the call.
    pub(crate) fn wish_answered(&mut self, now: Now, call: CallId) {
        self.end_wish_of(now, call, "answered");
    }

    /// A call of which this was known is over, or has been answered.
    fn end_wish_of(&mut self, now: Now, call: CallId, why: &str) {
        let found = self.between.wishes.iter().find(|(_, wish)| wish.call == Some(call));
        let Some((asker, wanted)) = found.map(|(pair, _)| pair.clone()) else { return };
        self.change_wish(now, &asker, &wanted, None, why);
    }

    /// A call is over: notes whom its caller has not reached, and ends the wish that it was made for.
    pub(crate) fn note_unreached(&mut self, now: Now, of: &Call) {
        self.end_wish_of(now, of.id, "no_answer");
        let Some(by) = of.caller_user().filter(|by| by.company == of.company) else { return };
        if of.cdr.connected.is_some() {
            self.between.missed.remove(&by);
            return;
        }
        let company = self.config.companies.get(&of.company);
        let dialled = company.and_then(|company| company.extensions.get(of.facts.dialled.as_str()));
        if let Some(Extension::To(Destination::User(user))) = dialled {
            let missed = UserKey { company: by.company.clone(), user: user.clone() };
            let busy = self.is_talking(&missed, None);
            self.between.missed.insert(by, (missed, busy));
        }
    }
}
