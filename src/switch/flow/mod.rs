//! What a call runs: an event in, actions out. A [`Run`] walks a flow or leads to one destination with what
//! follows when nobody answers; service codes and the voicemail menu are programs of their own.

pub mod action;
pub mod stage;
pub mod step;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::flow::Step;
use crate::model::id::FlowId;
use crate::model::id::Number;
use crate::model::id::StepId;
use crate::model::id::UserId;
use crate::model::prompt::PromptKey;
use crate::model::trunk::Via;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Place;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::flow::step::ask;
use crate::switch::flow::step::caller;
use crate::switch::flow::step::collect;
use crate::switch::flow::step::consent;
use crate::switch::flow::step::dial;
use crate::switch::flow::step::directory;
use crate::switch::flow::step::group;
use crate::switch::flow::step::hangup;
use crate::switch::flow::step::hours;
use crate::switch::flow::step::menu;
use crate::switch::flow::step::play;
use crate::switch::flow::step::queue;
use crate::switch::flow::step::room;
use crate::switch::flow::step::set;
use crate::switch::flow::step::sms;
use crate::switch::flow::step::split;
use crate::switch::flow::step::toggle;
use crate::switch::flow::step::voicemail;
use crate::switch::hot_desk;
use crate::switch::mailbox;
use crate::switch::people;
use crate::switch::record_prompt;
use crate::switch::returns;
use crate::switch::route::Target;
use crate::switch::service;
use crate::switch::service_number;
use crate::switch::star;
use crate::switch::supervise;

/// Transitions of one call; then it ends with an apology.
const TRANSITIONS_MAX: u32 = 100;
/// Flows inside flows.
const DEPTH_MAX: usize = 8;
/// Times a call is forwarded by users.
const FORWARDS_MAX: u32 = 5;

/// The program of a call.
#[derive(Clone, Debug)]
pub enum Program {
    /// Leads to people, queues, voicemail, other numbers.
    Flow(Run),
    /// A service code.
    Service(service::Run),
    /// Listening to voicemail.
    Mailbox(mailbox::Listen),
    /// A service number.
    ServiceNumber(service_number::Run),
    /// What people do with each other's calls.
    People(people::Run),
    /// Recording a recording of the media bank.
    Record(record_prompt::Run),
    /// Logging in at a shared phone.
    Desk(hot_desk::Run),
    /// Back to who parked or transferred the call.
    Return(returns::Run),
    /// A code by which somebody sets something for themselves.
    Star(star::Run),
    /// Taking part in a colleague's call.
    Supervise(supervise::Run),
}

impl Program {
    /// The program that leads to `target`.
    pub fn to(target: Target) -> Program {
        match target {
            Target::Inside { destination, .. } => Program::Flow(Run::at(destination)),
            Target::Phone { user, .. } => Program::Flow(Run::new(State::StartPhone(user))),
            Target::Outside { number, trunks, emergency, hide, .. } => {
                Program::Flow(Run::outside(number, trunks, emergency, hide))
            }
            Target::Barred { status, .. } => Program::Flow(Run::barred(status)),
            Target::Toggle { toggle, .. } => Program::Service(service::Run::toggle(toggle)),
            Target::Service { service, .. } => service::program(service),
        }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        match self {
            Program::Flow(run) => run.handle(ctx, event),
            Program::Service(run) => run.handle(ctx, event),
            Program::Mailbox(listen) => listen.handle(ctx, event),
            Program::ServiceNumber(run) => run.handle(ctx, event),
            Program::People(run) => run.handle(ctx, event),
            Program::Record(run) => run.handle(ctx, event),
            Program::Desk(run) => run.handle(ctx, event),
            Program::Return(run) => run.handle(ctx, event),
            Program::Star(run) => run.handle(ctx, event),
            Program::Supervise(run) => run.handle(ctx, event),
        }
    }
}

/// What a step wants after an event.
#[derive(Clone, Debug)]
pub enum Turn {
    /// The step waits on, as it is.
    Stay,
    /// The step waits, in this state.
    Wait(State),
    /// The step is left.
    Go(Exit),
    /// A user sends the call on.
    Forward(Destination),
    /// These are played, then the call ends; a caller who is not answered hears them as early media.
    Say(Vec<PromptKey>, HangupCause),
    /// The call ends.
    End(HangupCause),
}

/// What the run waits in.
#[derive(Clone, Debug)]
pub enum State {
    /// [`Event::Start`], to lead to a destination.
    Start(Destination),
    /// [`Event::Start`], to ring one phone of a user: which one, the call knows.
    StartPhone(UserId),
    /// [`Event::Start`], to ring out.
    StartOutside {
        /// Whom.
        number: Number,
        /// Tried in order.
        trunks: Via,
        /// An emergency call.
        emergency: bool,
        /// With hidden number.
        hide: bool,
    },
    /// [`Event::Start`], to say that the number is barred and end with this status.
    StartBarred(u16),
    /// A trunk to take the call.
    Outside,
    /// A recording being played.
    Play(play::Playing),
    /// A menu.
    Menu(Box<menu::Menu>),
    /// A queue.
    Queue(queue::Waiting),
    /// A group being rung.
    Group(group::Ringing),
    /// Users and phones being rung.
    Dial(dial::Ringing),
    /// A message being taken.
    Voicemail(voicemail::Taking),
    /// Digits being collected.
    Collect(collect::Collecting),
    /// Consent being asked for.
    Consent(consent::Asking),
    /// A name being looked for.
    Directory(Box<directory::Search>),
    /// Another system being asked.
    Ask(ask::Asking),
    /// A conference room.
    Room(room::Visit),
    /// Last words.
    Hangup(hangup::Parting),
    /// Nothing: the call was hung up.
    Ended,
}

/// A flow being walked, with the configuration its current step was read from: a reload takes hold at the next
/// transition, if the step it leads to still exists.
#[derive(Clone, Debug)]
struct Frame {
    company: Arc<Company>,
    flow: FlowId,
    step: StepId,
}

impl Frame {
    fn current(&self) -> Option<&Step> {
        self.company.flows.get(&self.flow)?.steps.get(&self.step)
    }

    fn place(&self, verb: &'static str) -> Place {
        Place { flow: Some(self.flow.clone()), step: self.step.as_str().into(), verb }
    }
}

/// The walk of one call.
#[derive(Clone, Debug)]
pub struct Run {
    /// The flow, and those it was called from below it.
    frames: Vec<Frame>,
    state: State,
    held: Held,
    /// The step or destination that the call is in, until it is left.
    place: Option<Place>,
    transitions: u32,
    forwards: u32,
}

impl Run {
    /// A run that begins at `destination`.
    pub fn at(destination: Destination) -> Run {
        Run::new(State::Start(destination))
    }

    /// A run that rings out through the first trunk that takes the call.
    pub fn outside(number: Number, trunks: Via, emergency: bool, hide: bool) -> Run {
        Run::new(State::StartOutside { number, trunks, emergency, hide })
    }

    /// A run that says that the number is barred, and ends with this status.
    pub fn barred(status: u16) -> Run {
        Run::new(State::StartBarred(status))
    }

    /// A run that rings the phones of a user, and follows no forwarding.
    pub fn phones(user: UserId) -> Run {
        Run::new(State::StartPhone(user))
    }

    fn new(state: State) -> Run {
        Run { frames: Vec::new(), state, held: Held::default(), place: None, transitions: 0, forwards: 0 }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        let mut turn = self.on(&mut stage, event);
        loop {
            turn = match turn {
                Turn::Stay => break,
                Turn::Wait(state) => {
                    self.state = state;
                    break;
                }
                Turn::Go(exit) => {
                    self.left(&mut stage, Some(&exit));
                    self.leave(&mut stage, &exit)
                }
                Turn::Forward(to) => self.forward(&mut stage, to),
                Turn::Say(prompts, cause) => {
                    self.left(&mut stage, None);
                    stage.leave();
                    hangup::enter(&mut stage, prompts, cause)
                }
                Turn::End(cause) => {
                    self.left(&mut stage, None);
                    stage.leave();
                    stage.add(Action::HangUp(cause));
                    self.state = State::Ended;
                    break;
                }
            };
        }
        let (held, actions) = stage.finish();
        self.held = held;
        actions
    }

    fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match &mut self.state {
            State::Start(to) if event == Event::Start => {
                let ctx = stage.ctx;
                match ctx.world.toggles.instead(ctx.company, &ctx.caller.dialled, ctx.now) {
                    // Who is answered already was transferred here, and does not call the number now.
                    Some((toggle, instead)) if !ctx.caller.answered => {
                        stage.place("number");
                        stage.tell(format!("toggle \"{toggle}\" is on: {} instead", place(instead)));
                        Turn::Go(Exit::To(instead.clone()))
                    }
                    Some(_) | None => Turn::Go(Exit::To(to.clone())),
                }
            }
            State::StartPhone(user) if event == Event::Start => {
                let user = user.clone();
                stage.place(place(&Destination::User(user.clone())));
                dial::one_phone(stage, &user)
            }
            State::StartOutside { number, trunks, emergency, hide } if event == Event::Start => {
                let (number, trunks) = (number.clone(), std::mem::take(trunks));
                stage.place("outside");
                stage.tell(if *emergency { "an emergency call" } else { "a call to the outside" });
                stage.add(Action::Outbound { number, trunks, emergency: *emergency, hide: *hide });
                Turn::Wait(State::Outside)
            }
            State::StartBarred(status) if event == Event::Start => {
                stage.place("outside");
                stage.tell("the number is barred for this caller");
                Turn::Say(vec![stage.system("call/barred")], HangupCause::Status(*status))
            }
            State::Start(_)
            | State::StartPhone(_)
            | State::StartOutside { .. }
            | State::StartBarred(_)
            | State::Ended => Turn::Stay,
            State::Outside => match event {
                Event::Dialled(outcome) => dial::last_word(stage, outcome),
                _ => Turn::Stay,
            },
            State::Play(playing) => playing.on(stage, event),
            State::Menu(menu) => menu.on(stage, event),
            State::Queue(waiting) => waiting.on(stage, event),
            State::Group(ringing) => ringing.on(stage, event),
            State::Dial(ringing) => ringing.on(stage, event),
            State::Voicemail(taking) => taking.on(stage, event),
            State::Collect(collecting) => collecting.on(stage, event),
            State::Consent(asking) => asking.on(stage, event),
            State::Directory(search) => search.on(stage, event),
            State::Ask(asking) => asking.on(stage, event),
            State::Room(visit) => visit.on(stage, event),
            State::Hangup(parting) => parting.on(event),
        }
    }

    /// Follows an exit of the current step.
    fn leave(&mut self, stage: &mut Stage<'_>, exit: &Exit) -> Turn {
        stage.leave();
        self.transitions += 1;
        if self.transitions > TRANSITIONS_MAX {
            let why = "the call went round in circles: 100 transitions".to_owned();
            stage.add(Action::Alarm { reason: "flow.round", why: why.clone() });
            return technical(stage, &why);
        }
        match exit {
            Exit::Step(step) => self.enter_step(stage, step),
            // A flow called by a `flow` step comes back where its paths would hang up; the verb `hangup` does not.
            Exit::To(Destination::Hangup) if self.frames.len() > 1 => {
                self.frames.pop();
                let Some(frame) = self.frames.last() else { return Turn::End(HangupCause::Normal) };
                match frame.current() {
                    Some(Step::Flow { next, .. }) => {
                        let next = next.clone();
                        self.place = Some(frame.place("flow"));
                        stage.takes("next");
                        Turn::Go(next)
                    }
                    _ => Turn::End(HangupCause::Normal),
                }
            }
            Exit::To(to) => self.enter_destination(stage, to),
        }
    }

    /// Tells by which exit a step or destination is left.
    fn left(&mut self, stage: &mut Stage<'_>, exit: Option<&Exit>) {
        let noted = stage.taken_exit();
        let Some(place) = self.place.take() else { return };
        let step = self.frames.last().filter(|_| place.flow.is_some()).and_then(Frame::current);
        let written = || {
            let exits = step?.exits();
            Some(exits.into_iter().find(|(_, to)| Some(*to) == exit)?.0.into())
        };
        let name = match exit {
            Some(_) => noted.or_else(written).unwrap_or_else(|| "next".into()),
            None => noted.unwrap_or_else(|| "hangup".into()),
        };
        stage.add(Action::Leave { place, exit: name });
    }

    /// The call comes to a step or destination.
    fn come(&mut self, stage: &mut Stage<'_>, place: Place) {
        stage.add(Action::Enter(place.clone()));
        self.place = Some(place);
    }

    /// A user sends the call on; at most five times, so that two who forward to each other do not ring for ever.
    fn forward(&mut self, stage: &mut Stage<'_>, to: Destination) -> Turn {
        self.forwards += 1;
        if self.forwards > FORWARDS_MAX {
            stage.tell("forwarded five times already");
            return dial::last_word(stage, action::Outcome::Unavailable);
        }
        stage.takes("forward");
        Turn::Go(Exit::To(to))
    }

    fn enter_destination(&mut self, stage: &mut Stage<'_>, to: &Destination) -> Turn {
        if let Destination::Flow(flow) = to {
            let old = self.frames.pop().map(|frame| frame.company);
            return self.enter_flow(stage, flow, old);
        }
        self.frames.clear();
        stage.place(place(to));
        let shown = match to {
            Destination::Phone(_) => "phone".into(),
            other => other.to_string().into(),
        };
        self.come(stage, Place { flow: None, step: shown, verb: to.kind() });
        match to {
            Destination::User(user) => dial::user(stage, user),
            Destination::Phone(number) => dial::phone(stage, number),
            Destination::Group(group) => group::enter(stage, group, None, &BTreeMap::new()),
            Destination::Queue(queue) => queue::enter(stage, queue, queue::Options::default()),
            Destination::Voicemail(mailbox) => {
                voicemail::enter(stage, mailbox, voicemail::Options::default())
            }
            Destination::Room(id) => room::enter(stage, id),
            Destination::Flow(_) => technical(stage, "a flow inside no flow"),
            Destination::Hangup => {
                stage.tell("the call ends here");
                Turn::End(HangupCause::Normal)
            }
        }
    }

    /// Begins a flow on top of the frames; one that a reload removed is taken from where the call comes from.
    fn enter_flow(&mut self, stage: &mut Stage<'_>, flow: &FlowId, old: Option<Arc<Company>>) -> Turn {
        let has = |company: &&Arc<Company>| company.flows.contains_key(flow);
        let Some(company) = Some(stage.ctx.company).filter(has).or(old.as_ref().filter(has)).cloned() else {
            stage.place(format!("flow:{flow}"));
            return technical(stage, "the flow does not exist");
        };
        let start = company.flows[flow].start.clone();
        self.frames.push(Frame { company, flow: flow.clone(), step: start.clone() });
        self.enter_step(stage, &start)
    }

    /// Enters a step of the flow on top: of the newest configuration if it has the step, else of the one before.
    fn enter_step(&mut self, stage: &mut Stage<'_>, id: &StepId) -> Turn {
        let Some(frame) = self.frames.last_mut() else { return technical(stage, "a step outside a flow") };
        let newest = stage.ctx.company;
        if newest.flows.get(&frame.flow).is_some_and(|flow| flow.steps.contains_key(id)) {
            frame.company = newest.clone();
        }
        frame.step = id.clone();
        stage.place(format!("{}/{id}", frame.flow));
        let Some(step) = frame.current().cloned() else {
            return technical(stage, "the step does not exist");
        };
        let place = frame.place(step.verb());
        self.come(stage, place);
        match step {
            Step::Hours { hours, exits } => hours::enter(stage, &hours, &exits),
            Step::Play { media, repeat, barge_in, early_media, next, keys } => {
                play::enter(stage, &media, play::Options { repeat, barge_in, early_media }, next, keys)
            }
            Step::Menu {
                media,
                wait,
                tries,
                invalid_play,
                extensions,
                inter_digit,
                keys,
                timeout,
                invalid,
            } => menu::enter(
                stage,
                menu::Menu::new(menu::Settings {
                    media,
                    wait,
                    tries,
                    invalid_play,
                    extensions,
                    inter_digit,
                    keys,
                    timeout,
                    invalid,
                }),
            ),
            Step::Caller { matches, matched, otherwise } => {
                caller::enter(stage, &matches, matched, otherwise)
            }
            Step::Toggle { toggle, on, off } => toggle::enter(stage, &toggle, on, off),
            Step::Queue { queue, priority, carry_wait, exits, keys } => {
                queue::enter(stage, &queue, queue::Options { priority, carry_wait, exits, keys })
            }
            Step::Group { group, ring, exits } => group::enter(stage, &group, ring, &exits),
            Step::Dial { to, ring, confirm, show, forwarding, exits } => {
                dial::enter(stage, dial::Ringing::new(to, forwarding, exits), ring, confirm, show)
            }
            Step::Voicemail { mailbox, greeting, max, min, next, full } => {
                voicemail::enter(stage, &mailbox, voicemail::Options { greeting, max, min, next, full })
            }
            Step::Collect { media, digits, end, check, tag, exits } => {
                collect::enter(stage, &media, collect::Collecting::new(digits, end, check, tag, exits))
            }
            Step::Directory { media, letters, scope, none } => {
                directory::enter(stage, directory::Search::new(media, letters, scope, none))
            }
            Step::Consent { media, yes, no, accepted, declined } => {
                consent::enter(stage, &media, consent::Asking { yes, no, accepted, declined })
            }
            Step::Ask { what, timeout, exits } => ask::enter(stage, what, timeout, exits),
            Step::Set { name, language, priority, tag, next } => {
                set::enter(stage, set::Values { name, language, priority, tag }, next)
            }
            Step::Split { branches } => split::enter(stage, &branches),
            Step::Sms { text, next } => sms::enter(stage, text, next),
            Step::Flow { flow, .. } => {
                if self.frames.len() >= DEPTH_MAX {
                    return technical(stage, "eight flows inside each other already");
                }
                stage.tell(format!("goes through flow:{flow}"));
                let old = self.frames.last().map(|frame| frame.company.clone());
                self.enter_flow(stage, &flow, old)
            }
            Step::Hangup { cause, play } => {
                stage.tell("the call ends here");
                match play {
                    Some(media) => Turn::Say(vec![stage.media(&media)], cause),
                    None => Turn::End(cause),
                }
            }
        }
    }
}

/// An apology, and the end.
fn technical(stage: &mut Stage<'_>, why: &str) -> Turn {
    stage.tell(why);
    Turn::Say(vec![stage.system("call/technical")], HangupCause::Status(500))
}

/// Where an exit leads, for people.
pub fn leads_to(exit: &Exit) -> String {
    match exit {
        Exit::Step(step) => step.to_string(),
        Exit::To(to) => place(to),
    }
}

/// A destination, for people and logs: numbers of phones stay out of it.
pub fn place(to: &Destination) -> String {
    match to {
        Destination::Phone(_) => "a phone".to_owned(),
        other => other.to_string(),
    }
}
