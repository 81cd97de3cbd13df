//! Service numbers: an agent without any SIP phone logs in and out, takes a pause and hears voicemail by calling a
//! public number from the mobile.
//!
//! A caller is known by the number of a user's mobile. What a caller writes into From proves nothing: without a PIN only
//! a number counts that the carrier asserts (P-Asserted-Identity, RFC 3325) on a trunk that vouches for it; else the
//! user's PIN is asked for, and who has none is refused. Nothing is done before the caller has acknowledged our answer:
//! who forges a carrier's address never sees it. After too many wrong PINs a user is shut out for a while, whoever
//! calls. Leaves out callers with another number than their mobile's.

use std::time::Duration;

use crate::model::change::PinOf;
use crate::model::company::Company;
use crate::model::flow::HangupCause;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::service_number::ServiceNumber;
use crate::model::trunk::Vouches;
use crate::model::user::User;
use crate::sip::Request;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Presence;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::pausing;
use crate::switch::pausing::PauseCode;
use crate::switch::service;
use crate::switch::service::Service;
use crate::switch::wrong_pins::since;
use crate::time::Now;
use crate::time::Timestamp;

/// For a key, from the end of the prompt.
const WAIT: Duration = Duration::from_secs(6);
/// Tries at a PIN in one call, and times that the choices are read.
const TRIES: u32 = 3;
/// Digits of a PIN at most.
const PIN_DIGITS: usize = 8;
/// Wrong PINs in a row, over all calls, after which a user is shut out.
const WRONG_MAX: u32 = 6;
/// For how long.
const SHUT_OUT: Duration = Duration::from_secs(15 * 60);

/// Wrong PINs of one user since the last right one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrongPins {
    pub(crate) times: u32,
    pub(crate) last: Timestamp,
}

/// How a caller proves to be who the number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The carrier has said so, or it is a phone of the user's own.
    Given,
    /// By PIN.
    Pin,
    /// Not at all: the carrier does not vouch for the number, and there is no PIN.
    None,
    /// Too many wrong PINs lately.
    ShutOut,
}

/// What a service number does, as a service code.
pub(crate) fn service_of(number: &ServiceNumber) -> Service {
    match number {
        ServiceNumber::Menu => Service::Menu,
        ServiceNumber::Login(line) => Service::Login(line.clone()),
        ServiceNumber::Logout(line) => Service::Logout(line.clone()),
        ServiceNumber::Pause => Service::Pause(PauseCode::default()),
        ServiceNumber::Unpause => Service::Unpause,
        ServiceNumber::WrapUpEnd => Service::WrapUpEnd,
        ServiceNumber::WrapUpExtend => Service::WrapUpExtend,
        ServiceNumber::Toggle(toggle) => Service::Toggle(toggle.clone()),
        ServiceNumber::Voicemail(mailbox) => Service::Voicemail(mailbox.clone()),
    }
}

/// The user of a company whose mobile, or direct number, calls.
pub(crate) fn user_calling<'a>(company: &'a Company, facts: &CallerFacts) -> Option<&'a UserId> {
    let number = facts.number.as_ref()?;
    let mut users = company.users.iter();
    users.find(|(_, user)| user.mobile.as_ref() == Some(number)).map(|(id, _)| id)
}

impl Switch {
    /// The program for who calls a service number through a trunk: which user the number says, and how that is to be
    /// proved. Until it is, the call is nobody's.
    pub(crate) fn service_number(
        &self,
        now: Now,
        service: Service,
        trunk: &TrunkId,
        request: &Request,
        (company, facts): (&CompanyId, &mut CallerFacts),
    ) -> Program {
        let Some(company) = self.config.companies.get(company) else {
            return Program::ServiceNumber(Run::new(service, None, Proof::None));
        };
        let user = user_calling(company, facts).cloned();
        let person = user.as_ref().and_then(|user| company.users.get(user));
        let proof = match (&user, person) {
            (Some(user), Some(person)) => {
                facts.language = person.language;
                self.proof(now, (company, user, person), trunk, request)
            }
            (Some(_) | None, _) => Proof::None,
        };
        if proof == Proof::Given {
            facts.user.clone_from(&user);
        }
        Program::ServiceNumber(Run::new(service, user, proof))
    }

    fn proof(
        &self,
        now: Now,
        (company, user, person): (&Company, &UserId, &User),
        trunk: &TrunkId,
        request: &Request,
    ) -> Proof {
        let vouches = self.config.trunks.get(trunk).map(|of| of.vouches).unwrap_or_default();
        let vouched = match vouches {
            Vouches::Asserted => request.headers.contains(&Name::PAssertedIdentity),
            Vouches::From => true,
            Vouches::Never => false,
        };
        let key = UserKey { company: company.id.clone(), user: user.clone() };
        let wrong = self.wrong_pins.get(&key);
        let lately = |wrong: &&WrongPins| since(now.utc, wrong.last) < SHUT_OUT;
        match (vouched && !company.service_pin, &person.pin) {
            (true, _) => Proof::Given,
            (false, None) => Proof::None,
            (false, Some(_)) if wrong.filter(lately).is_some_and(|wrong| wrong.times >= WRONG_MAX) => {
                Proof::ShutOut
            }
            (false, Some(_)) => Proof::Pin,
        }
    }

    /// Who calls a service number has keyed in a user's PIN: a right one makes the call that user's.
    pub(crate) fn pin_given(&mut self, now: Now, call: CallId, user: UserId, right: bool) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let key = UserKey { company: of.company.clone(), user };
        if right {
            of.facts.user = Some(key.user.clone());
            of.cdr.from_user = Some(key.user.clone());
            if self.wrong_pins.remove(&key).is_some() {
                self.tell_pin_tries(now, PinOf::Service(key), 0);
            }
            self.update_busy(now, call);
            return;
        }
        let user = key;
        let wrong = self.wrong_pins.entry(user.clone()).or_insert(WrongPins { times: 0, last: now.utc });
        if since(now.utc, wrong.last) >= SHUT_OUT {
            wrong.times = 0;
        }
        wrong.times = wrong.times.saturating_add(1);
        wrong.last = now.utc;
        let times = wrong.times;
        self.tell_pin_tries(now, PinOf::Service(user.clone()), times);
        if times == WRONG_MAX {
            let why = format!("wrong_pin: {} is shut out of the service numbers for a while", user.user);
            self.decide(now, &user.company, None, "service.shut_out", &why);
        }
    }
}

/// The program of a service number.
#[derive(Clone, Debug)]
pub struct Run {
    service: Service,
    /// Whose mobile calls.
    user: Option<UserId>,
    proof: Proof,
    state: State,
    held: Held,
    tries: u32,
    digits: String,
}

#[derive(Clone, Debug)]
enum State {
    /// The call begins.
    Start,
    /// The answer is to be acknowledged.
    Answered,
    /// The PIN is being keyed in.
    Pin,
    /// A key is waited for.
    Menu,
    /// The service itself.
    Served(Box<Program>),
    /// Last words.
    Parting,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Carries out a service for who has proved, or has yet to prove, who they are.
    pub fn new(service: Service, user: Option<UserId>, proof: Proof) -> Run {
        let (state, held) = (State::Start, Held::default());
        Run { service, user, proof, state, held, tries: 0, digits: String::new() }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        // The service itself is for the user who calls.
        let user = ctx.caller.user.clone().or_else(|| self.user.clone());
        let caller = CallerFacts { user, ..ctx.caller.clone() };
        let ctx = &Context { caller: &caller, ..*ctx };
        if let State::Served(program) = &mut self.state {
            return program.handle(ctx, event);
        }
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        let served = self.on(&mut stage, event);
        let (held, mut actions) = stage.finish();
        self.held = held;
        if let Some(service) = served {
            let mut program = Box::new(service::program(service));
            actions.extend(program.handle(ctx, Event::Start));
            self.state = State::Served(program);
        }
        actions
    }

    /// Handles an event; tells which service begins.
    fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Option<Service> {
        match (&self.state, event) {
            (State::Start, Event::Start) => self.start(stage),
            (State::Answered, Event::Acked) => self.proved(stage),
            (State::Pin, Event::Digit(key)) => self.pin_key(stage, key),
            (State::Pin, Event::Timer) => self.check_pin(stage),
            (State::Pin | State::Menu, Event::PlayFinished) => {
                stage.timer(WAIT);
                None
            }
            (State::Menu, Event::Digit(key)) => self.choose(stage, key),
            (State::Menu, Event::Timer) => self.again(stage, "menu/no-input"),
            (State::Parting, Event::PlayFinished) => {
                self.state = State::Ended;
                stage.leave();
                stage.add(Action::HangUp(HangupCause::Normal));
                None
            }
            _ => None,
        }
    }

    fn start(&mut self, stage: &mut Stage<'_>) -> Option<Service> {
        stage.place("service");
        let known = stage.ctx.caller.user.is_some();
        match self.proof {
            Proof::Given if known => {
                stage.tell("service.known: the number is a user's, and the carrier vouches for it");
                let answered = stage.answered();
                stage.answer();
                self.state = State::Answered;
                if answered { self.proved(stage) } else { None }
            }
            Proof::Pin if known => {
                stage.answer();
                stage.tell("service.pin: the number is a user's, which nobody vouches for: asks for the PIN");
                self.state = State::Pin;
                stage.play(vec![stage.system("vm/enter-pin")], 1);
                None
            }
            Proof::ShutOut => self.refuse(stage, "service.shut_out: too many wrong PINs", "service/shut-out"),
            Proof::None if known => {
                let why =
                    "service.not_vouched: the carrier does not vouch for the number, and the user has no PIN";
                self.refuse(stage, why, "service/not-vouched")
            }
            Proof::Given | Proof::Pin | Proof::None => {
                self.refuse(stage, "service.unknown: this is no user's mobile", "service/unknown")
            }
        }
    }

    fn refuse(&mut self, stage: &mut Stage<'_>, why: &str, prompt: &str) -> Option<Service> {
        stage.answer();
        stage.tell(why);
        self.state = State::Parting;
        stage.play(vec![stage.system(prompt)], 1);
        None
    }

    fn pin_key(&mut self, stage: &mut Stage<'_>, key: char) -> Option<Service> {
        stage.stop_play();
        if key == '#' {
            return self.check_pin(stage);
        }
        // One digit more than a PIN can have is enough to make it wrong.
        if self.digits.len() <= PIN_DIGITS {
            self.digits.push(key);
        }
        stage.timer(WAIT);
        None
    }

    fn check_pin(&mut self, stage: &mut Stage<'_>) -> Option<Service> {
        stage.clear_timer();
        let given = std::mem::take(&mut self.digits);
        let user = self.user.clone();
        let pin = user.as_ref().and_then(|user| stage.ctx.company.users.get(user)?.pin.as_ref());
        let right = !given.is_empty() && pin.is_some_and(|pin| *pin.0 == *given);
        if let Some(user) = user.filter(|_| !given.is_empty()) {
            stage.add(Action::PinGiven { user, right });
        }
        if right {
            return self.proved(stage);
        }
        self.tries += 1;
        if self.tries >= TRIES {
            return self.refuse(stage, "service.wrong_pin: hangs up", "vm/wrong-pin");
        }
        stage.play(vec![stage.system("vm/wrong-pin"), stage.system("vm/enter-pin")], 1);
        None
    }

    fn proved(&mut self, stage: &mut Stage<'_>) -> Option<Service> {
        stage.answer();
        if self.service != Service::Menu {
            return Some(self.service.clone());
        }
        self.tries = 0;
        self.state = State::Menu;
        let state = if logged_in(stage) { "queue/logged-in" } else { "queue/logged-out" };
        let mut prompts = pausing::notice(stage, false);
        prompts.extend([stage.system(state), stage.system("service/menu")]);
        stage.play(prompts, 1);
        None
    }

    fn choose(&mut self, stage: &mut Stage<'_>, key: char) -> Option<Service> {
        stage.stop_play();
        stage.clear_timer();
        let service = match key {
            '1' => Service::Login(None),
            '2' => Service::Logout(None),
            '3' => Service::Pause(PauseCode::default()),
            '4' => Service::Unpause,
            '5' => Service::Voicemail(None),
            '6' => Service::WrapUpEnd,
            '7' => Service::WrapUpExtend,
            _ => return self.again(stage, "menu/invalid"),
        };
        stage.tell(format!("service.chosen: key {key}"));
        Some(service)
    }

    fn again(&mut self, stage: &mut Stage<'_>, prompt: &str) -> Option<Service> {
        self.tries += 1;
        if self.tries >= TRIES {
            return self.refuse(stage, "service.no_choice: hangs up", "menu/goodbye");
        }
        stage.play(vec![stage.system(prompt), stage.system("service/menu")], 1);
        None
    }
}

/// Whether the caller is logged in anywhere.
fn logged_in(stage: &Stage<'_>) -> bool {
    let Some(user) = &stage.ctx.caller.user else { return false };
    let company = stage.ctx.company;
    let queues = company.queues.keys().cloned().map(LineId::Queue);
    let mut lines = queues.chain(company.groups.keys().cloned().map(LineId::Group));
    lines.any(|line| (stage.ctx.world.presence)(&line, user) != Presence::LoggedOut)
}
