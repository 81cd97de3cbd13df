//! What people have set for themselves, and what follows from it: who they are to a call that comes now.
//!
//! [`People::standing`] is the one answer to "would this person be rung?" for calls, queues, lamps and the checker;
//! [`People::person`] is the user of the configuration with the person's own settings in place of the file's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::command::Answer;
use crate::model::command::PersonView;
use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::Show;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::personal::Absence;
use crate::model::personal::Condition;
use crate::model::personal::Rule;
use crate::model::personal::Setting;
use crate::model::personal::ShownNumber;
use crate::model::personal::Standing;
use crate::model::personal::Wish;
use crate::model::queue::Confirm;
use crate::model::user::ContactRule;
use crate::model::user::Forward;
use crate::model::user::Rings;
use crate::model::user::User;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::dial::Dial;
use crate::switch::leg::LegState;
use crate::switch::watch::Watched;
use crate::switch::wish;
use crate::time::Now;
use crate::time::Timestamp;

/// Everybody's own settings, as told by [`Change::PersonalSet`].
#[derive(Clone, Debug, Default)]
pub struct People {
    set: BTreeMap<UserKey, Set>,
}

/// What one person has set.
#[derive(Clone, Debug, Default)]
struct Set {
    forward: BTreeMap<Condition, Rule>,
    do_not_disturb: bool,
    dnd_until: Option<Timestamp>,
    absence: Option<Absence>,
    mobile: Option<bool>,
    call_waiting: Option<bool>,
    shown: Option<ShownNumber>,
}

impl People {
    /// Learns a fact; all but [`Change::PersonalSet`] are passed over.
    pub fn apply(&mut self, change: &Change) {
        let Change::PersonalSet { user, setting, .. } = change else { return };
        let set = self.set.entry(user.clone()).or_default();
        match setting.clone() {
            Setting::Forward { when, rule: Rule::Configured } => _ = set.forward.remove(&when),
            Setting::Forward { when, rule } => _ = set.forward.insert(when, rule),
            Setting::DoNotDisturb { on, until } => {
                set.do_not_disturb = on;
                set.dnd_until = until;
            }
            Setting::Absence { absence } => set.absence = absence,
            Setting::Mobile { rings } => set.mobile = rings,
            Setting::CallWaiting { on } => set.call_waiting = on,
            Setting::Shown { shown } => set.shown = Some(shown),
        }
    }

    /// A user with everything that is in force for them at `now`; none when the company has no such user.
    pub fn person<'a>(&self, company: &'a Company, user: &UserId, now: Timestamp) -> Option<Cow<'a, User>> {
        let configured = company.users.get(user)?;
        let Some(set) = self.of(&company.id, user) else { return Some(Cow::Borrowed(configured)) };
        let mut person = configured.clone();
        for (when, rule) in &set.forward {
            let place = match when {
                Condition::Always => &mut person.forward_always,
                Condition::NoAnswer => &mut person.no_answer,
                Condition::Unavailable => &mut person.unavailable,
                Condition::Busy => &mut person.busy,
            };
            match rule {
                Rule::Configured => {}
                Rule::Off => *place = None,
                Rule::To { to, after_s } => {
                    let before = place.as_ref().and_then(|forward| forward.after);
                    let after = after_s.map(|after| Duration::from_secs(after.into())).or(before);
                    *place = Some(Forward { after, to: to.clone() });
                }
            }
        }
        // While it lasts, an absence says where calls go.
        if let Some(to) = set.absence(now).and_then(|absence| absence.to.clone()) {
            person.forward_always = Some(Forward { after: None, to });
        }
        match set.mobile {
            Some(true) if person.mobile.is_some() && !person.is_rung_at(Rings::Mobile) => {
                person.rings.push(Rings::Mobile.into());
            }
            Some(false) => person.rings.retain(|rule| rule.what != Rings::Mobile),
            Some(true) | None => {}
        }
        person.call_waiting = set.call_waiting.unwrap_or(person.call_waiting);
        match &set.shown {
            None | Some(ShownNumber::Configured) => {}
            Some(ShownNumber::Hidden) => person.hide = true,
            Some(ShownNumber::Company) => {
                person.hide = false;
                person.show = company.number.clone();
            }
            Some(ShownNumber::Number(number)) => {
                person.hide = false;
                person.show = Some(number.clone());
            }
        }
        Some(Cow::Owned(person))
    }

    /// Whether a person takes calls at `now`, and if not, why and until when.
    pub fn standing(&self, company: &Company, user: &UserId, now: Timestamp) -> Standing {
        let Some(person) = self.person(company, user, now) else { return Standing::default() };
        let set = self.of(&company.id, user);
        let do_not_disturb = set.is_some_and(|set| set.disturb_not(now));
        Standing {
            forwarded: person.forward_always.as_ref().map(|forward| forward.to.clone()),
            do_not_disturb,
            dnd_until: set.filter(|_| do_not_disturb).and_then(|set| set.dnd_until),
            absent: set.and_then(|set| set.absence(now)).cloned(),
        }
    }

    /// When the standing of a person changes without anything happening.
    pub fn changes_at(&self, user: &UserKey, now: Timestamp) -> Option<Timestamp> {
        let set = self.set.get(user)?;
        let dnd = set.dnd_until.filter(|_| set.disturb_not(now));
        let absence = set.absence(now).and_then(|absence| absence.until);
        dnd.into_iter().chain(absence).min()
    }

    fn of(&self, company: &CompanyId, user: &UserId) -> Option<&Set> {
        self.set.get(&UserKey { company: company.clone(), user: user.clone() })
    }
}

impl Set {
    fn disturb_not(&self, now: Timestamp) -> bool {
        self.do_not_disturb && self.dnd_until.is_none_or(|until| now < until)
    }

    fn absence(&self, now: Timestamp) -> Option<&Absence> {
        self.absence.as_ref().filter(|absence| absence.until.is_none_or(|until| now < until))
    }
}

impl Switch {
    /// A user as they are rung for a call: with their own settings, and what a search for them rings now.
    pub(crate) fn person_in<'a>(
        &self,
        now: Now,
        call: CallId,
        company: &'a Company,
        user: &UserId,
    ) -> Option<Cow<'a, User>> {
        let mut person = self.people.person(company, user, now.utc)?;
        let only = self.calls.get(&call).and_then(|of| of.find.as_ref());
        if let Some((_, rings)) = only.filter(|(found, _)| found == user) {
            person.to_mut().rings = rings.iter().copied().map(ContactRule::from).collect();
        }
        Some(person)
    }

    /// Rings a part of what a user has, for a search.
    pub(crate) fn find(&mut self, now: Now, call: CallId, user: UserId, rings: Vec<Rings>, long: Duration) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.find = Some((user.clone(), rings));
        let to = vec![Destination::User(user)];
        self.dial(now, call, Dial { to, ring: long, confirm: Confirm::Auto, show: Show::Caller });
    }

    /// Whether somebody who wants no second call talks, or calls, already. The call that would ring them does not
    /// count.
    pub(crate) fn engaged(&self, person: &User, user: &UserKey, call: CallId) -> bool {
        let up = |id: CallId| {
            let Some(of) = self.calls.get(&id) else { return false };
            let caller = of.caller_user().as_ref() == Some(user);
            let callee = of.callee.and_then(|leg| self.legs.get(&leg));
            caller || callee.is_some_and(|leg| leg.user.as_ref() == Some(user) && leg.state == LegState::Up)
        };
        !person.call_waiting && self.calls_with(user).any(|id| id != call && up(id))
    }

    /// Somebody wants something set; nothing is changed unless all of it can be.
    pub(crate) fn order_personal(
        &mut self,
        now: Now,
        company: &CompanyId,
        user: &UserId,
        wish: &Wish,
        by: &Source,
    ) -> Answer {
        let Some(of) = self.config.companies.get(company).cloned() else {
            let why = format!("there is no company \"{company}\"; `sentral config check` lists them");
            return Answer::Refused { why, not_found: true };
        };
        if !of.users.contains_key(user) {
            let why = format!(
                "company \"{company}\" has no user \"{user}\"; `sentral users --company {company}` lists them"
            );
            return Answer::Refused { why, not_found: true };
        }
        match wish::settle(&self.config, &of, &self.people, now.utc, user, wish) {
            Ok(settings) => {
                let key = UserKey { company: company.clone(), user: user.clone() };
                for setting in settings {
                    self.set_personal(now, &key, setting, by.clone());
                }
                Answer::Done
            }
            Err(refused) => Answer::Refused { why: format!("{company}/{user}: {refused}"), not_found: false },
        }
    }

    /// A setting is in force from here on: for new calls, for queues and for lamps.
    pub(crate) fn set_personal(&mut self, now: Now, user: &UserKey, setting: Setting, by: Source) {
        let event = format!("personal.{}", setting.name());
        let why = in_words(&setting);
        let change = Change::PersonalSet { user: user.clone(), setting, by, at: now.utc };
        self.people.apply(&change);
        self.tell(change);
        self.decide(now, &user.company, None, &event, &format!("{why}: {}", user.user));
        self.personal_changed(now, user);
    }

    /// What a person is to others has changed, or may have by the time of day.
    pub(crate) fn personal_changed(&mut self, now: Now, user: &UserKey) {
        match self.people.changes_at(user, now.utc) {
            Some(at) => {
                let wait = Duration::try_from(at.duration_since(now.utc)).unwrap_or(Duration::ZERO);
                self.timers.set(Timer::Personal(user.clone()), now.mono + wait);
            }
            None => _ = self.timers.clear(&Timer::Personal(user.clone())),
        }
        self.refresh_agent(now, user);
        self.watch_changed(&Watched::User(user.clone()));
    }

    /// Users with what they have set.
    pub(crate) fn person_views(&self, now: Now, company: Option<&CompanyId>) -> Vec<PersonView> {
        let mut views = Vec::new();
        for (id, of) in self.config.companies.iter().filter(|(id, _)| company.is_none_or(|only| only == *id))
        {
            for user in of.users.keys() {
                let Some(person) = self.people.person(of, user, now.utc) else { continue };
                let forward = |when: Condition| {
                    let forward = match when {
                        Condition::Always => &person.forward_always,
                        Condition::NoAnswer => &person.no_answer,
                        Condition::Unavailable => &person.unavailable,
                        Condition::Busy => &person.busy,
                    };
                    Some((when, forward.as_ref()?.to.clone()))
                };
                views.push(PersonView {
                    company: id.clone(),
                    user: user.clone(),
                    name: person.name.to_string(),
                    ext: person.ext.clone(),
                    standing: self.people.standing(of, user, now.utc),
                    forwards: Condition::ALL.into_iter().filter_map(forward).collect(),
                    rings_after_s: person
                        .no_answer
                        .as_ref()
                        .and_then(|f| f.after)
                        .unwrap_or(person.ring)
                        .as_secs(),
                    mobile_rings: person.is_rung_at(Rings::Mobile),
                    call_waiting: person.call_waiting,
                    hides_number: person.hide,
                    shows: person
                        .show
                        .clone()
                        .or_else(|| person.number.clone())
                        .or_else(|| of.number.clone()),
                });
            }
        }
        views
    }
}

/// A setting without the numbers in it, for the event log.
fn in_words(setting: &Setting) -> &'static str {
    match setting {
        Setting::Forward { rule: Rule::Configured, .. } => "forward_configured",
        Setting::Forward { rule: Rule::Off, .. } => "forward_off",
        Setting::Forward { rule: Rule::To { .. }, .. } => "forwarded",
        Setting::DoNotDisturb { on: true, .. } => "dnd",
        Setting::DoNotDisturb { on: false, .. } => "dnd_off",
        Setting::Absence { absence: Some(_) } => "absent",
        Setting::Absence { absence: None } => "back",
        Setting::Mobile { rings: Some(true) } => "mobile_rings",
        Setting::Mobile { rings: Some(false) } => "mobile_silent",
        Setting::Mobile { rings: None } => "mobile_configured",
        Setting::CallWaiting { on: Some(true) } => "call_waiting",
        Setting::CallWaiting { on: Some(false) } => "call_waiting_off",
        Setting::CallWaiting { on: None } => "call_waiting_configured",
        Setting::Shown { shown: ShownNumber::Hidden } => "number_hidden",
        Setting::Shown { .. } => "number_shown",
    }
}
