//! Service codes: logging in and out, pause, wrap-up, toggles, echo, own number. Each answers, does one thing and
//! says what it did. Listening to voicemail is `switch::mailbox`; what people do with each other's calls is
//! `switch::people`.

use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::HangupCause;
use crate::model::id::LineId;
use crate::model::id::MailboxId;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::prompt::PromptKey;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::mailbox;
use crate::switch::pausing;
use crate::switch::pausing::PauseCode;
use crate::switch::people;
use crate::switch::record_prompt;
use crate::switch::say::What;
use crate::switch::service_number;
use crate::switch::service_number::Proof;
use crate::switch::star;
use crate::switch::star::Star;
use crate::switch::supervise;
use crate::switch::toggling;

/// A caller who forgets the echo is let go after this.
const ECHO_MAX: Duration = Duration::from_secs(300);

/// What a service code does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Logs the caller in, everywhere or in one place.
    Login(Option<LineId>),
    /// Logs the caller out.
    Logout(Option<LineId>),
    /// The caller goes on pause, for this reason and so long.
    Pause(PauseCode),
    /// The pause ends.
    Unpause,
    /// Wrap-up ends.
    WrapUpEnd,
    /// Wrap-up is prolonged.
    WrapUpExtend,
    /// Flips a toggle.
    Toggle(ToggleId),
    /// Turns a toggle on for hours (`2`), or until a time of day (`1630`), as dialled.
    ToggleUntil(ToggleId, Arc<str>),
    /// Listens to the caller's own box, or to this one.
    Voicemail(Option<MailboxId>),
    /// Something was dialled that is no code, or has nothing of the kind behind it.
    Wrong,
    /// The caller hears themselves.
    Echo,
    /// The caller's number is read back.
    OwnNumber,
    /// The other services, by key.
    Menu,
    /// What people do with each other's calls.
    People(people::Order),
    /// Sets something for the caller, or reads it back.
    Star(Star),
}

/// The program of a service code.
pub fn program(service: Service) -> Program {
    match service {
        Service::Star(star) => Program::Star(star::Run::new(star)),
        Service::Voicemail(mailbox) => Program::Mailbox(mailbox::Listen::new(mailbox)),
        Service::Menu => Program::ServiceNumber(service_number::Run::new(Service::Menu, None, Proof::Given)),
        Service::People(people::Order::RecordPrompt(media)) => {
            Program::Record(record_prompt::Run::new(media))
        }
        Service::People(people::Order::Supervise(whose, mode)) => {
            Program::Supervise(supervise::Run::new(whose, mode))
        }
        Service::People(order) => Program::People(people::Run::new(order)),
        service => Program::Service(Run::new(service)),
    }
}

/// A service code being carried out.
#[derive(Clone, Debug)]
pub struct Run {
    service: Service,
    state: State,
    held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// The toggle is being flipped.
    Flipping,
    /// What was done is told.
    Telling,
    /// The caller hears themselves.
    Echo,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Carries out any code but those that are programs of their own, for which see [`program`].
    pub fn new(service: Service) -> Run {
        Run { service, state: State::Start, held: Held::default() }
    }

    /// Flips a toggle.
    pub fn toggle(toggle: ToggleId) -> Run {
        Run::new(Service::Toggle(toggle))
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        match (self.state, event) {
            (State::Start, Event::Start) => self.start(&mut stage),
            (State::Flipping, Event::Toggled(on)) => {
                let prompts = toggling::told(&mut stage, &self.service, on);
                self.say(&mut stage, prompts);
            }
            (State::Telling, Event::PlayFinished) | (State::Echo, Event::Timer) => {
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

    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.place("service");
        let Some(user) = stage.calling_user() else {
            self.state = State::Ended;
            return;
        };
        stage.answer();
        match self.service.clone() {
            Service::Login(line) => self.login(stage, &user, line, true),
            Service::Logout(line) => self.login(stage, &user, line, false),
            Service::Pause(code) => self.pause(stage, &user, &code),
            Service::Unpause => {
                stage.tell("end of the pause");
                stage.add(Action::Pause { reason: None, until: None });
                let prompt = stage.system("pause/off");
                self.say(stage, vec![prompt]);
            }
            Service::WrapUpEnd => self.wrap_up(stage, &user, Action::WrapUpEnd, "wrap-up/end"),
            Service::WrapUpExtend => self.wrap_up(stage, &user, Action::WrapUpExtend, "wrap-up/more"),
            Service::Toggle(toggle) => {
                stage.tell(format!("flips toggle \"{toggle}\""));
                self.state = State::Flipping;
                stage.add(Action::FlipToggle(toggle));
            }
            Service::ToggleUntil(toggle, until) => match toggling::until(stage, &until) {
                Some(until) => {
                    stage.tell(format!("turns on toggle \"{toggle}\" until {until:.0}"));
                    self.state = State::Flipping;
                    stage.add(Action::ToggleUntil { toggle, until });
                }
                None => {
                    stage.tell("no number of hours and no time of day: nothing is changed");
                    let prompt = stage.system("toggle/wrong-time");
                    self.say(stage, vec![prompt]);
                }
            },
            Service::Echo => {
                stage.tell("echo");
                self.state = State::Echo;
                stage.add(Action::Echo);
                stage.timer(ECHO_MAX);
            }
            Service::OwnNumber => self.own_number(stage, &user),
            Service::Wrong => {
                stage.tell("unknown_code: nothing is changed");
                let prompt = stage.system("call/unknown-code");
                self.say(stage, vec![prompt]);
            }
            Service::Voicemail(_) | Service::Menu | Service::People(_) | Service::Star(_) => self.done(stage),
        }
    }

    /// Only where the caller is an agent or a member; elsewhere it is no valid choice.
    fn login(&mut self, stage: &mut Stage<'_>, user: &UserId, line: Option<LineId>, logged_in: bool) {
        let company = stage.ctx.company;
        let in_queue = |id| {
            company.queues.get(id).is_some_and(|queue| queue.agents.iter().any(|agent| agent.user == *user))
        };
        let in_group = |id| company.groups.get(id).is_some_and(|group| group.members.contains(user));
        let may = match &line {
            Some(LineId::Queue(id)) => in_queue(id),
            Some(LineId::Group(id)) => in_group(id),
            None => company.queues.keys().any(in_queue) || company.groups.keys().any(in_group),
        };
        if !may {
            stage.tell("not_in_queue: the caller is no agent there");
            let prompt = stage.system("queue/no-agent");
            return self.say(stage, vec![prompt]);
        }
        let place = line.as_ref().map_or("every queue and group".to_owned(), LineId::to_string);
        stage.tell(format!("logs {} {place}", if logged_in { "in to" } else { "out of" }));
        stage.add(Action::Login { line, logged_in });
        // Logging in ends a pause of the place, and not one that holds everywhere.
        let mut prompts = pausing::notice(stage, logged_in);
        prompts.push(stage.system(if logged_in { "queue/logged-in" } else { "queue/logged-out" }));
        self.say(stage, prompts);
    }

    /// Pauses the caller, or says what was wrong with what was dialled.
    fn pause(&mut self, stage: &mut Stage<'_>, user: &UserId, code: &PauseCode) {
        if !pausing::is_agent(stage, user) {
            stage.tell("not_in_queue: the caller is no agent");
            let prompt = stage.system("queue/no-agent");
            return self.say(stage, vec![prompt]);
        }
        match code.settle(stage) {
            Ok((reason, until)) => {
                let end = until.map_or(String::new(), |until| format!(" until {until:.0}"));
                stage.tell(format!("pause: {reason}{end}"));
                let mut prompts = pausing::notice(stage, false);
                stage.add(Action::Pause { reason: Some(reason), until });
                prompts.push(stage.system("pause/on"));
                if let Some(until) = until {
                    prompts.extend(toggling::said_until(stage, until));
                }
                self.say(stage, prompts);
            }
            Err(wrong) => {
                stage.tell(format!("{}: nothing is changed", wrong.prompt()));
                let prompt = stage.system(wrong.prompt());
                self.say(stage, vec![prompt]);
            }
        }
    }

    /// Ends or prolongs the caller's wrap-up, when there is one.
    fn wrap_up(&mut self, stage: &mut Stage<'_>, user: &UserId, action: Action, told: &str) {
        let mut prompts = pausing::notice(stage, false);
        if (stage.ctx.world.duty)(user).wraps_up {
            stage.tell(told);
            stage.add(action);
            prompts.push(stage.system(told));
        } else {
            stage.tell("no_wrap_up: the caller is not wrapping up");
            prompts.push(stage.system("wrap-up/none"));
        }
        self.say(stage, prompts);
    }

    fn own_number(&mut self, stage: &mut Stage<'_>, user: &UserId) {
        stage.tell("reads the caller's number back");
        let person = stage.ctx.company.users.get(user);
        let public = person.and_then(|person| person.number.as_ref());
        let prompts = match (public, person.and_then(|person| person.ext.as_ref())) {
            (Some(number), _) => stage.said(&What::Phone(number)),
            (None, Some(ext)) => stage.said(&What::Digits(ext.as_str())),
            (None, None) => vec![stage.system("vm/unknown")],
        };
        self.say(stage, prompts);
    }

    fn done(&mut self, stage: &mut Stage<'_>) {
        let prompt = stage.system("menu/goodbye");
        self.say(stage, vec![prompt]);
    }

    fn say(&mut self, stage: &mut Stage<'_>, prompts: Vec<PromptKey>) {
        self.state = State::Telling;
        stage.play(prompts, 1);
    }
}
