//! Logging in at a shared phone: it rings for who is logged in at it, and shows their number, until they log out, the
//! day ends, or somebody else logs in. Their other phones ring as before; whose phone it is has no part in it meanwhile.
//!
//! It takes the user's PIN, which is locked for a while after some wrong ones. An emergency call shows where the phone
//! stands, whoever is logged in.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::change::Change;
use crate::model::change::PinOf;
use crate::model::company::Company;
use crate::model::flow::HangupCause;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::SiteId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::server::Secret;
use crate::sip::Request;
use crate::sip::header::Credentials;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::location::Aor;
use crate::switch::on_change::devices_by_user;
use crate::switch::people;
use crate::switch::people::Deadline;
use crate::switch::people::Deed;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::switch::watch::Watched;
use crate::switch::wrong_pins;
use crate::time::Now;
use crate::time::Timestamp;

/// Between two digits, and after the question.
const WAIT: Duration = Duration::from_secs(6);
/// The longest PIN.
const PIN_DIGITS: usize = 8;
/// Wrong ones in a row, over all calls, until no other is taken.
const WRONG_MAX: u32 = 5;
/// For so long.
const LOCKED: Duration = Duration::from_secs(15 * 60);

/// Asks for the PIN of a user who logs in.
#[derive(Clone, Debug)]
pub struct Run {
    user: UserId,
    state: State,
    held: Held,
    digits: String,
    asked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// The PIN is being keyed in.
    Pin,
    /// What comes of it is awaited.
    Ordered,
    /// It is being told.
    Telling,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Logs a user in.
    pub fn new(user: UserId) -> Run {
        Run { user, state: State::Start, held: Held::default(), digits: String::new(), asked: 0 }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        match (self.state, event) {
            (State::Start, Event::Start) => {
                stage.place("service");
                stage.answer();
                self.state = State::Pin;
                stage.play(vec![stage.system("vm/enter-pin")], 1);
            }
            (State::Pin, Event::PlayFinished) => stage.timer(WAIT),
            (State::Pin, Event::Digit('#')) | (State::Pin, Event::Timer) => {
                stage.leave();
                let pin = Secret(std::mem::take(&mut self.digits).into());
                self.state = State::Ordered;
                stage.add(Action::People(Deed::Desk { user: self.user.clone(), pin }));
            }
            (State::Pin, Event::Digit(key)) => {
                stage.stop_play();
                // One digit more than a PIN can have is enough to make it wrong.
                if self.digits.len() <= PIN_DIGITS {
                    self.digits.push(key);
                }
                stage.timer(WAIT);
            }
            (State::Ordered, Event::People(Said::Refused(Refusal::WrongPin))) if self.asked < 2 => {
                self.asked += 1;
                self.state = State::Pin;
                stage.tell("wrong_pin: asks again");
                stage.play(vec![stage.system("vm/wrong-pin"), stage.system("vm/enter-pin")], 1);
            }
            (State::Ordered, Event::People(said)) => {
                self.state = State::Telling;
                let prompts = people::prompts(&mut stage, said);
                stage.play(prompts, 1);
            }
            (State::Telling, Event::PlayFinished) => {
                self.state = State::Ended;
                stage.leave();
                stage.add(Action::HangUp(HangupCause::Normal));
            }
            _ => {}
        }
        let (held, actions) = stage.finish();
        self.held = held;
        actions
    }
}

impl Switch {
    /// The code: asks for the PIN of who wants to log in, or logs out.
    pub(crate) fn order_desk(
        &mut self,
        now: Now,
        call: CallId,
        user: Option<UserId>,
    ) -> Result<Option<Said>, Refusal> {
        let (company, phone) = self.shared_phone_of(call).ok_or(Refusal::NoSharedPhone)?;
        let Some(user) = user else {
            return match self.between.desks.contains_key(&phone) {
                true => {
                    self.leave_desk(now, &phone, "order");
                    Ok(Some(Said::DeskOut))
                }
                false => Err(Refusal::NobodyHere),
            };
        };
        let of = self.config.companies.get(&company).ok_or(Refusal::NotAllowed)?;
        let person = of.users.get(&user).ok_or(Refusal::UnknownExtension)?;
        person.desk_pin().ok_or(Refusal::NoPin)?;
        let Some(of) = self.calls.get_mut(&call) else { return Err(Refusal::NoCall) };
        of.program = Some(Program::Desk(Run::new(user)));
        self.run_program(now, call, Event::Start);
        Ok(None)
    }

    /// A PIN was keyed in at a shared phone.
    pub(crate) fn enter_desk(&mut self, now: Now, call: CallId, user: &UserId, pin: &Secret) -> Said {
        let Some((company, phone)) = self.shared_phone_of(call) else {
            return Said::Refused(Refusal::NoSharedPhone);
        };
        let key = UserKey { company, user: user.clone() };
        let right = self.config.companies.get(&key.company).and_then(|of| of.users.get(user)?.desk_pin());
        let Some(right) = right else { return Said::Refused(Refusal::NoPin) };
        let matches = right == pin;
        let (wrong, since) = self.between.wrong_pins.get(&key).copied().unwrap_or((0, now.utc));
        let locked = wrong >= WRONG_MAX && wrong_pins::since(now.utc, since) < LOCKED;
        if locked {
            return Said::Refused(Refusal::Locked);
        }
        if !matches {
            let wrong = if wrong >= WRONG_MAX { 1 } else { wrong + 1 };
            self.between.wrong_pins.insert(key.clone(), (wrong, now.utc));
            self.tell_pin_tries(now, PinOf::Desk(key.clone()), wrong);
            self.decide(now, &key.company, Some(call), "hot_desk.refused", &format!("wrong_pin: {user}"));
            return Said::Refused(Refusal::WrongPin);
        }
        if self.between.wrong_pins.remove(&key).is_some() {
            self.tell_pin_tries(now, PinOf::Desk(key.clone()), 0);
        }
        let until = self.desk_until(now, &key.company);
        self.change_desk(now, &phone, Some(user.clone()), until, "order");
        Said::DeskIn
    }

    /// When a shared phone is given back by itself.
    pub(crate) fn desk_until(&self, now: Now, company: &CompanyId) -> Option<Timestamp> {
        let of = self.config.companies.get(company)?;
        let time = of.hot_desk_until?;
        let zone = TimeZone::get(&of.zone).unwrap_or(TimeZone::UTC);
        let today = now.utc.to_zoned(zone.clone()).date();
        let at = |date: Date| Some(date.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp());
        at(today).filter(|at| *at > now.utc).or_else(|| at(today.tomorrow().ok()?))
    }

    /// Nobody is logged in at a shared phone any longer.
    pub(crate) fn leave_desk(&mut self, now: Now, phone: &Aor, why: &str) {
        if self.between.desks.contains_key(phone) {
            self.change_desk(now, phone, None, None, why);
        }
    }

    /// Who is logged in at a shared phone changes.
    pub(crate) fn change_desk(
        &mut self,
        now: Now,
        phone: &Aor,
        user: Option<UserId>,
        until: Option<Timestamp>,
        why: &str,
    ) {
        let key = (phone.domain.clone(), phone.device.clone());
        let Some(company) = self.config.devices.get(&key).cloned() else { return };
        let before = self.user_of_device(&company, &phone.device);
        let change = Change::HotDesk {
            domain: phone.domain.clone(),
            device: phone.device.clone(),
            user: user.clone(),
            until,
            at: now.utc,
        };
        self.restore_desk(now, &change);
        self.tell(change);
        let after = self.user_of_device(&company, &phone.device);
        let who = user.as_ref().map_or("nobody", UserId::as_str);
        self.decide(now, &company, None, "hot_desk.changed", &format!("{why}: {} is {who}'s", phone.device));
        for user in before.into_iter().chain(after) {
            let user = UserKey { company: company.clone(), user };
            self.refresh_agent(now, &user);
            self.watch_changed(&Watched::User(user));
        }
    }

    /// Learns who is logged in at a shared phone.
    pub(crate) fn restore_desk(&mut self, now: Now, change: &Change) {
        let Change::HotDesk { domain, device, user, until, .. } = change else { return };
        let phone = Aor { domain: domain.clone(), device: device.clone() };
        let timer = Timer::People(Deadline::HotDesk(phone.clone()));
        self.timers.clear(&timer);
        match user {
            Some(user) if until.is_none_or(|until| until > now.utc) => {
                if let Some(until) = until {
                    let wait = Duration::try_from(until.duration_since(now.utc)).unwrap_or(Duration::ZERO);
                    self.timers.set(timer, now.mono + wait);
                }
                self.between.desks.insert(phone, (user.clone(), *until));
            }
            Some(_) | None => {
                self.between.desks.remove(&phone);
            }
        }
        self.lend_phones();
    }

    /// Makes the lists of users' phones anew, with the shared ones at whoever is logged in.
    pub(crate) fn lend_phones(&mut self) {
        self.devices = devices_by_user(&self.config);
        let config = &self.config;
        // A phone that is no longer shared, or a user who is gone, ends it.
        self.between.desks.retain(|phone, (user, _)| {
            let company = config.devices.get(&(phone.domain.clone(), phone.device.clone()));
            let of = company.and_then(|company| config.companies.get(company));
            let shared = |of: &&Arc<Company>| {
                of.users.contains_key(user) && of.devices.get(&phone.device).is_some_and(|of| of.hot_desk)
            };
            of.filter(shared).is_some()
        });
        for (phone, (user, _)) in &self.between.desks {
            let company = config.devices.get(&(phone.domain.clone(), phone.device.clone()));
            let Some(company) = company else { continue };
            for devices in self.devices.values_mut() {
                devices.retain(|device| device != phone);
            }
            let key = UserKey { company: company.clone(), user: user.clone() };
            self.devices.entry(key).or_default().push(phone.clone());
        }
    }

    /// Whose a device is now.
    pub(crate) fn user_of_device(&self, company: &CompanyId, device: &DeviceId) -> Option<UserId> {
        let of = self.config.companies.get(company)?;
        let phone = Aor { domain: of.domain.clone(), device: device.clone() };
        let lent = self.between.desks.get(&phone).map(|(user, _)| user.clone());
        lent.or_else(|| of.devices.get(device).map(|device| device.user.clone()))
    }

    /// The device that sent a request, which proved its password.
    pub(crate) fn device_of(&self, company: &CompanyId, request: &Request) -> Option<DeviceId> {
        let of = self.config.companies.get(company)?;
        let names = request.headers.all(&Name::Authorization);
        let mut names = names.filter_map(|text| Credentials::parse(&text).ok()).map(|of| of.username);
        names.find_map(|name| of.devices.get_key_value(&*name).map(|(device, _)| device.clone()))
    }

    /// The shared phone from which a call comes.
    fn shared_phone_of(&self, call: CallId) -> Option<(CompanyId, Aor)> {
        let of = self.calls.get(&call)?;
        let company = self.config.companies.get(&of.company)?;
        let device = of.phone.as_ref()?;
        company.devices.get(device).filter(|device| device.hot_desk)?;
        Some((company.id.clone(), Aor { domain: company.domain.clone(), device: device.clone() }))
    }

    /// What an emergency call shows: where the phone stands, if that is known, else where its user sits.
    pub(crate) fn shown_in_emergency(&self, company: &Company, call: CallId) -> Shown {
        let of = self.calls.get(&call);
        let device = of.and_then(|of| company.devices.get(of.phone.as_ref()?));
        let site = device.and_then(|device| company.sites.get(device.site.as_ref()?));
        let user = device.map(|device| &device.user).or_else(|| of.and_then(|of| of.facts.user.as_ref()));
        let shown = identity::shown_emergency(company, user);
        match site {
            Some(site) => Shown { own: Some(site.number.clone()), number: site.number.clone(), ..shown },
            None => shown,
        }
    }

    /// Where a call's phone stands, or its user sits.
    pub(crate) fn site_of(&self, call: CallId) -> Option<SiteId> {
        let of = self.calls.get(&call)?;
        let company = self.config.companies.get(&of.company)?;
        let device = of.phone.as_ref().and_then(|device| company.devices.get(device));
        let user = device.map(|device| &device.user).or(of.facts.user.as_ref());
        let own = device.and_then(|device| device.site.clone());
        own.or_else(|| company.users.get(user?)?.site.clone())
    }
}
