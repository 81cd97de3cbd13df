//! Apps that sleep (RFC 8599): a call wakes them through a webhook, and rings them when they register in time.
//!
//! An app tells in its Contact how it is woken (`pn-provider`, `pn-prid`, `pn-param`), and is known from then on until it
//! takes its Contact back, however often its connection ends. Whether it sleeps is derived: no binding of it stands. Left
//! out: `pn-purr`, for a dialog that stands is held by its connection, and answering 555, since who pushes is not ours.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::model::change::Change;
use crate::model::change::PushTarget;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::UserKey;
use crate::model::queue::Confirm;
use crate::model::user::ContactRule;
use crate::model::user::Rings;
use crate::sip::Uri;
use crate::switch::AskId;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::dial::AttemptId;
use crate::switch::flow::action::Unanswered;
use crate::switch::leg::LegState;
use crate::switch::location::Aor;
use crate::switch::location::App;
use crate::switch::location::Binding;
use crate::switch::presentation::Presented;
use crate::switch::reach;
use crate::switch::wrong_pins;
use crate::time::Now;
use crate::time::Timestamp;

/// Octets of each of the three parameters; tokens of the usual services have a few hundred.
const PARAM_MAX: usize = 1024;
/// An app that has not registered for so long is gone from its telephone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// The store learns no oftener that an app is still there.
const TOLD_EVERY: Duration = Duration::from_secs(86_400);
/// Calls that wait for apps at one time.
const WAKING_MAX: usize = 10_000;

/// A call that waits for an app.
#[derive(Debug)]
pub(crate) struct Waking {
    call: CallId,
    attempt: AttemptId,
    user: UserKey,
    aor: Aor,
    prid: Arc<str>,
    until: Instant,
    /// The webhook's answer is awaited under this name.
    asked: AskId,
    rule: ContactRule,
    confirm: Confirm,
    present: Option<Presented>,
}

/// How the app of a Contact is woken; none when it is no app, or one that has told too much.
fn target_of(contact: &Uri) -> Option<PushTarget> {
    let Uri::Sip(uri) = contact else { return None };
    let param = |name| uri.params.value(name).filter(|text| (1..=PARAM_MAX).contains(&text.len()));
    Some(PushTarget {
        provider: param("pn-provider")?.into(),
        prid: param("pn-prid")?.into(),
        param: param("pn-param").map(Arc::from),
    })
}

/// How the app of a binding is woken; none when it is no app.
pub(crate) fn target(binding: &Binding) -> Option<PushTarget> {
    if !binding.record.contact.contains("pn-prid") {
        return None;
    }
    target_of(&Uri::parse(&binding.record.contact).ok()?)
}

impl Switch {
    /// An app has registered, or has taken its Contact back.
    pub(crate) fn note_app(&mut self, now: Now, aor: &Aor, contact: &Uri, lasting: bool) {
        let Some(push) = target_of(contact) else { return };
        if !lasting {
            self.forget_apps(now, aor, |app| app.push.prid == push.prid);
            return;
        }
        if !self.wakes(aor) {
            return;
        }
        let known = |app: &App| app.push == push && wrong_pins::since(now.utc, app.at) < TOLD_EVERY;
        let before = self.location.apps(aor).iter().find(|app| known(app)).map(|app| app.at);
        // What was told last counts, so that it is told again when that is a while ago.
        let app = App { push: push.clone(), at: before.unwrap_or(now.utc) };
        let most = self.config.server.limits.bindings;
        for gone in self.location.know_app(aor, app, most) {
            self.tell_app(now, aor, gone, false);
        }
        if before.is_none() {
            self.tell_app(now, aor, push, true);
        }
    }

    /// Apps of a device are gone for good.
    pub(crate) fn forget_apps(&mut self, now: Now, aor: &Aor, which: impl Fn(&App) -> bool) {
        let gone = self.location.forget_apps(aor, which);
        if gone.is_empty() {
            return;
        }
        for gone in gone {
            self.tell_app(now, aor, gone, false);
        }
        self.refresh_owner(now, aor);
    }

    /// What a device's user can be reached at has changed.
    fn refresh_owner(&mut self, now: Now, aor: &Aor) {
        let Some(company) = self.config.devices.get(&(aor.domain.clone(), aor.device.clone())).cloned()
        else {
            return;
        };
        if let Some(user) = self.user_of_device(&company, &aor.device) {
            self.refresh_agent(now, &UserKey { company, user });
        }
    }

    fn tell_app(&mut self, now: Now, aor: &Aor, push: PushTarget, known: bool) {
        let (domain, device) = (aor.domain.clone(), aor.device.clone());
        self.tell(Change::AppKnown { domain, device, push, known, at: now.utc });
    }

    /// Takes an app back from the store.
    pub(crate) fn restore_app(&mut self, now: Now, aor: Aor, push: PushTarget, at: Timestamp) {
        if self.wakes(&aor) && wrong_pins::since(now.utc, at) < FORGOTTEN_AFTER {
            self.location.know_app(&aor, App { push, at }, self.config.server.limits.bindings);
            self.refresh_owner(now, &aor);
        }
    }

    /// Forgets the apps that have not registered for long.
    pub(crate) fn forget_old_apps(&mut self, now: Now) {
        for aor in self.location.with_apps() {
            self.forget_apps(now, &aor, |app| wrong_pins::since(now.utc, app.at) >= FORGOTTEN_AFTER);
        }
    }

    /// Whether apps of a device's company are woken.
    fn wakes(&self, aor: &Aor) -> bool {
        let company = self.config.devices.get(&(aor.domain.clone(), aor.device.clone()));
        company
            .and_then(|company| self.config.companies.get(company))
            .is_some_and(|company| company.push.is_some())
    }

    /// Forgets the apps that a new configuration wakes no longer.
    pub(crate) fn drop_unwakable_apps(&mut self) {
        let config = Arc::clone(&self.config);
        self.location.retain_apps(|aor| {
            let company = config.devices.get(&(aor.domain.clone(), aor.device.clone()));
            company.and_then(|company| config.companies.get(company)).is_some_and(|of| of.push.is_some())
        });
    }

    /// The apps of a user that sleep.
    fn sleeping(&self, user: &UserKey) -> Vec<(Aor, PushTarget)> {
        let mut sleeping = Vec::new();
        for aor in self.devices_of(user) {
            let bound: Vec<PushTarget> = self.location.of(aor).iter().filter_map(target).collect();
            let apps = self.location.apps(aor).iter().map(|app| &app.push);
            let apps = apps.filter(|push| bound.iter().all(|bound| bound.prid != push.prid));
            sleeping.extend(apps.map(|push| (aor.clone(), push.clone())));
        }
        sleeping
    }

    /// Whether all that rings of a user is an app that is being woken.
    pub(crate) fn is_waking(&self, user: &UserKey) -> bool {
        let waits = |waking: &&Waking| {
            let attempt = self.calls.get(&waking.call).and_then(|of| of.attempts.get(&waking.attempt));
            waking.user == *user && attempt.is_some_and(|attempt| attempt.legs.is_empty())
        };
        self.waking.iter().any(|waking| waits(&waking))
    }

    /// Whether a user has an app that sleeps and would be woken.
    pub(crate) fn has_sleeping_app(&self, user: &UserKey) -> bool {
        !self.sleeping(user).is_empty()
    }

    /// Wakes the sleeping apps of a user that a rule rings; the attempt waits for them.
    pub(crate) fn wake_apps(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        rule: ContactRule,
        confirm: Confirm,
        present: Option<&Presented>,
    ) {
        if !matches!(rule.what, Rings::Devices | Rings::App) {
            return;
        }
        let Some(wait) =
            self.config.companies.get(&user.company).and_then(|of| of.push.as_ref()).map(|of| of.wait)
        else {
            return;
        };
        for (aor, push) in self.sleeping(user) {
            if self.waking.len() >= WAKING_MAX {
                return;
            }
            let Some(asked) = self.push(now, call, user, &aor, &push, wait) else { continue };
            let Some(of) = self.attempt(call, attempt) else { return };
            of.waking += 1;
            let present = present.cloned();
            let (user, until, prid) = (user.clone(), now.mono + wait, push.prid);
            self.waking.push(Waking { call, attempt, user, aor, prid, until, asked, rule, confirm, present });
        }
        self.set_waking_timer();
    }

    /// Has the sleeping apps of a user show a text; how many.
    pub(crate) fn push_text(&mut self, now: Now, user: &UserKey, text: &str) -> usize {
        let Some(company) = self.config.companies.get(&user.company).cloned() else { return 0 };
        let Some(push) = &company.push else { return 0 };
        let mut told = 0;
        for (aor, target) in self.sleeping(user) {
            let data = json!({
                "company": company.id.as_str(),
                "user": user.user.as_str(),
                "device": aor.device.as_str(),
                "provider": &*target.provider,
                "prid": &*target.prid,
                "param": target.param.as_deref(),
                "text": text,
            });
            let asked = self.post_push(now, &company, "push.text", None, &push.webhook, data, push.wait);
            told += usize::from(asked.is_some());
        }
        told
    }

    /// Has an app woken; the name under which the webhook's answer comes, unless it is left alone.
    fn push(
        &mut self,
        now: Now,
        call: CallId,
        user: &UserKey,
        aor: &Aor,
        push: &PushTarget,
        wait: Duration,
    ) -> Option<AskId> {
        let company = self.config.companies.get(&user.company)?.clone();
        let of = self.calls.get(&call)?;
        let (facts, line) = (&of.facts, of.waiting.as_ref().map(|waiting| waiting.line.line.to_string()));
        let shown = |hidden: bool, text: Option<&str>| text.filter(|_| !hidden).map(str::to_owned);
        let data = json!({
            "company": company.id.as_str(),
            "call": call.to_string(),
            "user": user.user.as_str(),
            "device": aor.device.as_str(),
            "provider": &*push.provider,
            "prid": &*push.prid,
            "param": push.param.as_deref(),
            "from": shown(facts.hidden, facts.number.as_ref().map(|number| number.as_str())),
            "name": shown(facts.hidden, facts.name.as_deref()),
            "line": line,
        });
        let webhook = company.push.as_ref()?.webhook.clone();
        let asked = self.post_push(now, &company, "push.wake", Some(call), &webhook, data, wait);
        let fields = Fields { agent: Some(user.user.clone()), ..Fields::default() };
        let (event, why) = match asked {
            Some(_) => ("app.waking", format!("push: the app of {} is woken", user.user)),
            None => (
                "app.not_woken",
                "push_resting: the webhook is not there, or is left alone for a while".to_owned(),
            ),
        };
        self.decide_with(now, &user.company, Some(call), event, &why, fields);
        asked
    }

    /// A device has registered: calls that wait for its app ring it.
    pub(crate) fn app_registered(&mut self, now: Now, aor: &Aor) {
        if !self.waking.iter().any(|waking| waking.aor == *aor) {
            return;
        }
        let awake: Vec<PushTarget> = self.location.of(aor).iter().filter_map(target).collect();
        let is_awake =
            |waking: &mut Waking| waking.aor == *aor && awake.iter().any(|target| target.prid == waking.prid);
        let woken: Vec<Waking> = self.waking.extract_if(.., is_awake).collect();
        for waking in woken {
            self.ring_woken(now, waking);
        }
        self.set_waking_timer();
    }

    fn ring_woken(&mut self, now: Now, waking: Waking) {
        let Waking { call, attempt, user, aor, prid, rule, confirm, present, .. } = waking;
        let Some(of) = self.attempt(call, attempt) else { return };
        of.waking = of.waking.saturating_sub(1);
        let legs: Vec<_> = of.legs.iter().copied().collect();
        // Somebody has answered, if only to press a key.
        if legs.iter().any(|leg| self.legs.get(leg).is_some_and(|of| of.state == LegState::Up)) {
            return;
        }
        let Some(company) = self.config.companies.get(&user.company).cloned() else { return };
        if let Some(person) = self.person_in(now, call, &company, &user.user) {
            let mut contacts = reach::contacts(&person, &[rule], std::slice::from_ref(&aor), &self.location);
            contacts.retain(|(contact, _)| match contact {
                reach::Contact::Device(flows) => {
                    flows.iter().filter_map(target).any(|target| target.prid == prid)
                }
                reach::Contact::Phone(_) => false,
            });
            self.decide(
                now,
                &user.company,
                Some(call),
                "app.woke",
                &format!("registered: {} is rung", user.user),
            );
            self.ring_each(now, call, attempt, &user, contacts, confirm, present.as_ref());
        }
        self.attempt_goes_on(now, call, attempt);
    }

    /// Apps have not registered in time.
    pub(crate) fn waking_timeout(&mut self, now: Now) {
        self.sleep_on(now, "push_wait", |waking| waking.until <= now.mono);
    }

    /// The webhook has taken a push, or has not: then nobody waits for the app.
    pub(crate) fn push_answered(&mut self, now: Now, asked: AskId, failed: Option<Unanswered>) {
        let Some(failed) = failed else { return };
        // 410: the app is no longer on that telephone.
        if failed == Unanswered::Status(410)
            && let Some(waking) = self.waking.iter().find(|waking| waking.asked == asked)
        {
            let (aor, prid) = (waking.aor.clone(), Arc::clone(&waking.prid));
            self.forget_apps(now, &aor, |app| app.push.prid == prid);
        }
        self.sleep_on(now, &format!("push_{failed}"), |waking| waking.asked == asked);
    }

    fn sleep_on(&mut self, now: Now, why: &str, which: impl Fn(&Waking) -> bool) {
        let over: Vec<Waking> = self.waking.extract_if(.., |waking| which(waking)).collect();
        self.set_waking_timer();
        for Waking { call, attempt, user, .. } in over {
            let Some(of) = self.attempt(call, attempt) else { continue };
            of.waking = of.waking.saturating_sub(1);
            let why = format!("{why}: the app of {} does not register", user.user);
            let fields = Fields { agent: Some(user.user.clone()), ..Fields::default() };
            self.decide_with(now, &user.company, Some(call), "app.not_woken", &why, fields);
            self.attempt_goes_on(now, call, attempt);
        }
    }

    fn set_waking_timer(&mut self) {
        match self.waking.iter().map(|waking| waking.until).min() {
            Some(at) => self.timers.set(Timer::Waking, at),
            None => drop(self.timers.clear(&Timer::Waking)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_known_by_its_contact() {
        let long = format!("sip:kari@h;pn-provider=fcm;pn-prid={}", "x".repeat(PARAM_MAX + 1));
        let rows = [
            ("sip:kari@h;pn-provider=apns;pn-prid=00fc13adff78512;pn-param=ABCD.no.sentral.voip", true),
            ("sip:kari@h;pn-provider=fcm;pn-prid=abc", true),
            // RFC 8599 §4.1.2: who only asks what is supported gives no PRID.
            ("sip:kari@h;pn-provider", false),
            ("sip:kari@h;pn-prid=abc", false),
            ("sip:kari@h", false),
            (&*long, false),
        ];
        for (contact, app) in rows {
            assert_eq!(target_of(&Uri::parse(contact).unwrap()).is_some(), app, "{contact}");
        }
    }
}
