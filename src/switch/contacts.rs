//! Ringing one person: every contact in its time, the mobile through a trunk, and what rings no longer than it may.
//!
//! A contact with a delay begins after the others; at once when nothing else of the person rings any more. A mobile
//! whose answer must be confirmed stops ringing before its operator would send the call on to voicemail.

use std::time::Duration;
use std::time::Instant;

use crate::model::flow::Show;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::UserKey;
use crate::model::queue::Confirm;
use crate::model::user::ContactRule;
use crate::model::user::Rings;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::dial::AttemptId;
use crate::switch::identity;
use crate::switch::leg::LegState;
use crate::switch::outgoing::Outbound;
use crate::switch::presentation::Presented;
use crate::switch::reach;
use crate::switch::reach::Contact;
use crate::switch::reasons;
use crate::time::Now;

/// A phone that says nothing is taken to ring after this.
const RINGS_AFTER: Duration = Duration::from_secs(4);
/// While somebody is asked to press a key, contacts that are due wait for so long at a time.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// A contact of an attempt whose time has not come.
#[derive(Clone, Debug)]
pub(crate) struct Later {
    at: Instant,
    user: UserKey,
    rule: ContactRule,
    confirm: Confirm,
    present: Option<Presented>,
}

impl Switch {
    /// Rings the devices and mobiles of one user, those with a delay later; tells whether the user counts as busy.
    /// `present` is what a queue shows, else the phones show the caller.
    pub(crate) fn ring_user(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        confirm: Confirm,
        present: Option<Presented>,
    ) -> bool {
        let Some(company) = self.config.companies.get(&user.company).cloned() else { return false };
        let Some(person) = self.person_in(now, call, &company, &user.user) else { return false };
        if present.is_none() && self.engaged(&person, user, call) {
            return true;
        }
        let own = present.as_ref().and_then(|present| present.contacts.clone());
        let mut rules = own.unwrap_or_else(|| person.rings.clone());
        // An app that has a rule of its own is none of the devices.
        if rules.iter().any(|rule| rule.what == Rings::App) {
            let devices = rules.iter_mut().filter(|rule| rule.what == Rings::Devices);
            devices.for_each(|rule| rule.what = Rings::Phones);
        }
        let one_phone = self.calls.get(&call).is_some_and(|of| of.only.is_some());
        let before = self.attempt_legs(call, attempt);
        let mut later = Vec::new();
        for rule in rules {
            if rule.delay.is_zero() || one_phone {
                self.ring_contacts(now, call, attempt, user, rule, confirm, present.as_ref());
            } else {
                let (at, user, present) = (now.mono + rule.delay, user.clone(), present.clone());
                later.push(Later { at, user, rule, confirm, present });
            }
        }
        if self.attempt_legs(call, attempt) == before
            && let Some(first) = later.iter().map(|later| later.at).min()
        {
            // Nobody waits for a contact while nothing of the person rings.
            let early = first.saturating_duration_since(now.mono);
            later.iter_mut().for_each(|later| later.at -= early);
        }
        if let Some(of) = self.attempt(call, attempt) {
            of.later.extend(later);
        }
        self.contacts_due(now, call, attempt);
        false
    }

    /// Rings the contacts of an attempt whose time has come, and sets the timer for the next.
    pub(crate) fn contacts_due(&mut self, now: Now, call: CallId, attempt: AttemptId) {
        let Some(of) = self.attempt(call, attempt) else { return };
        let legs: Vec<LegId> = of.legs.iter().copied().collect();
        let up = |leg: &LegId| self.legs.get(leg).is_some_and(|of| of.state == LegState::Up);
        let asked = legs.iter().any(up);
        let Some(of) = self.attempt(call, attempt) else { return };
        if asked {
            of.later.iter_mut().for_each(|later| later.at = later.at.max(now.mono + ASKED_AGAIN));
        }
        let (due, rest): (Vec<Later>, Vec<Later>) =
            std::mem::take(&mut of.later).into_iter().partition(|later| later.at <= now.mono);
        let next = rest.iter().map(|later| later.at).min();
        of.later = rest;
        match next {
            Some(at) => self.timers.set(Timer::Contact(call, attempt), at),
            None => drop(self.timers.clear(&Timer::Contact(call, attempt))),
        }
        for Later { user, rule, confirm, present, .. } in due {
            self.ring_contacts(now, call, attempt, &user, rule, confirm, present.as_ref());
        }
    }

    /// Nothing of an attempt rings: the contact that would be next rings at once. `false` when there is none.
    pub(crate) fn ring_next_contact(&mut self, now: Now, call: CallId, attempt: AttemptId) -> bool {
        loop {
            let Some(of) = self.attempt(call, attempt) else { return false };
            let Some(next) = of.later.iter_mut().min_by_key(|later| later.at) else { return false };
            next.at = now.mono;
            self.contacts_due(now, call, attempt);
            if self.attempt_legs(call, attempt) > 0 {
                return true;
            }
        }
    }

    /// Rings what one rule names.
    fn ring_contacts(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        rule: ContactRule,
        confirm: Confirm,
        present: Option<&Presented>,
    ) {
        let Some(company) = self.config.companies.get(&user.company).cloned() else { return };
        let Some(person) = self.person_in(now, call, &company, &user.user) else { return };
        let mut contacts = reach::contacts(&person, &[rule], self.devices_of(user), &self.location);
        if let Some(only) = self.calls.get(&call).and_then(|of| of.only.as_ref()) {
            contacts
                .retain(|(contact, _)| matches!(contact, Contact::Device(flows) if only.is_bound_by(flows)));
        }
        if self.calls.get(&call).is_some_and(|of| of.intercom) {
            contacts.retain(|(contact, _)| matches!(contact, Contact::Device(_)));
        }
        self.ring_each(now, call, attempt, user, contacts, confirm, present);
        if self.calls.get(&call).is_some_and(|of| of.only.is_none() && !of.intercom) {
            self.wake_apps(now, call, attempt, user, rule, confirm, present);
        }
    }

    /// Rings contacts of a user.
    pub(crate) fn ring_each(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        contacts: Vec<(Contact, ContactRule)>,
        confirm: Confirm,
        present: Option<&Presented>,
    ) {
        for (contact, rule) in contacts {
            let must = reach::must_confirm(&contact, rule, confirm);
            let ring = reach::ring_max(&contact, rule, must);
            match contact {
                Contact::Device(flows) => {
                    let (shown, alerting) = match present {
                        Some(present) => (present.shown.clone(), present.alerting.clone()),
                        None => (self.shown_inside(call), self.alerting_of(call)),
                    };
                    let leg = self.invite_device(now, call, attempt, user, flows, shown, alerting, must);
                    if let Some(of) = leg.and_then(|leg| self.legs.get_mut(&leg)) {
                        of.ring_max = ring;
                    }
                    if let Some(leg) = leg {
                        self.limit_ring(now, leg);
                    }
                }
                Contact::Phone(number) => {
                    let mobile = Mobile { number, must, ring };
                    self.ring_mobile(now, call, attempt, user, mobile, present);
                }
            }
        }
    }

    /// Rings a user's mobile through a trunk.
    fn ring_mobile(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        mobile: Mobile,
        present: Option<&Presented>,
    ) {
        let Some(trunks) = self.trunks_to(now, call, &mobile.number, Some(user)) else { return };
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let shown = match present {
            Some(present) => present.outside.clone(),
            None => identity::shown_forwarded(company, &of.facts, &Show::Caller),
        };
        let Some(diversions) = self.sends_on(now, call, attempt, true, false) else { return };
        let out = Outbound {
            number: mobile.number,
            diversions: if shown.sent_on { diversions } else { Vec::new() },
            shown,
            confirm: mobile.must,
            user: Some(user.clone()),
            emergency: false,
            ring: mobile.ring,
        };
        self.hunt(now, call, attempt, out, &trunks);
    }

    /// A leg's own ring time begins: when the INVITE goes out, and anew when it rings.
    pub(crate) fn limit_ring(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get(&leg).filter(|of| of.state == LegState::Calling) else { return };
        let Some(most) = of.ring_max else { return };
        let silent = if of.ringing { Duration::ZERO } else { RINGS_AFTER };
        self.timers.set(Timer::RangOut(leg), now.mono + silent + most);
    }

    /// A contact has rung as long as it may: it counts as one that did not answer.
    pub(crate) fn rang_out(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get(&leg).filter(|of| of.state == LegState::Calling) else { return };
        let (call, Some(attempt)) = (of.call, of.attempt) else { return };
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.remove(&leg);
            of.outcomes.push(480);
        }
        let reason = reasons::no_answer(self.language_of_phones(call));
        self.give_up_leg(now, leg, reason);
        self.attempt_goes_on(now, call, attempt);
    }
}

/// A mobile to be rung.
struct Mobile {
    number: Number,
    must: bool,
    ring: Option<Duration>,
}
