//! The dry run: what would happen to a call from A to B at T, and why. It runs the same `route` and the same
//! programs as a call does, with scripted keys, and tells their decisions instead of carrying them out.
//!
//! Leaves out what only a real call shows: who would be quickest to answer, and how long a queue takes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::Config;
use crate::model::command::Simulate;
use crate::model::command::Told;
use crate::model::company::Company;
use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::flow::HangupCause;
use crate::model::id::CompanyId;
use crate::model::id::GroupId;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::model::number;
use crate::model::prompt::PromptKey;
use crate::model::queue::JoinPolicy;
use crate::model::server::Language;
use crate::model::user::Rings;
use crate::switch::conference;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::action::Presence;
use crate::switch::flow::action::QueueExit;
use crate::switch::flow::action::Unanswered;
use crate::switch::flow::action::World;
use crate::switch::identity;
use crate::switch::route;
use crate::switch::route::NoRoute;
use crate::switch::route::Origin;
use crate::switch::route::Target;
use crate::switch::say;
use crate::switch::service_number;
use crate::switch::service_number::Proof;
use crate::time::Timestamp;

/// Events of one dry run.
const EVENTS_MAX: usize = 500;

/// Whose call it would be; none when the number leads nowhere.
pub fn company_of(config: &Config, simulate: &Simulate) -> Option<CompanyId> {
    match target(config, simulate).ok()?.0 {
        Target::Inside { company, .. }
        | Target::Phone { company, .. }
        | Target::Toggle { company, .. }
        | Target::Service { company, .. }
        | Target::Outside { company, .. }
        | Target::Barred { company, .. } => Some(company),
    }
}

/// Tells what would happen to a call at `at`, one sentence a decision. `world` is that of [`company_of`].
pub fn simulate(config: &Arc<Config>, world: &World<'_>, simulate: &Simulate, at: Timestamp) -> Vec<Told> {
    let mut told = Vec::new();
    let mut tell = |what: String| told.push(Told { at: "number".into(), what });
    let (target, caller) = match target(config, simulate) {
        Ok(found) => found,
        Err(why) => {
            tell(format!("{} leads nowhere: {why}; the caller gets {}", simulate.number, why.status()));
            return told;
        }
    };
    let Some(company) = company_of(config, simulate).and_then(|id| config.companies.get(&id)) else {
        return told;
    };
    tell(format!("{} at {}: {}", simulate.number, company.name, way(&target)));
    let facts = match caller {
        Some((_, user)) => {
            CallerFacts { dialled: simulate.number.clone(), ..identity::caller_user(company, user) }
        }
        None => CallerFacts {
            number: simulate.from.as_ref().map(|from| number::read(from.as_str()).unwrap_or(from.clone())),
            name: None,
            hidden: simulate.from.is_none(),
            user: None,
            own_device: false,
            dialled: simulate.number.clone(),
            answered: false,
            language: company.language,
            diversions: Vec::new(),
        },
    };
    let keys = simulate.keys.chars().filter(|key| matches!(key, '0'..='9' | '*' | '#')).collect();
    let mut dry = DryRun { config, company, world, now: at, facts, keys, at: "number".into(), told };
    let program = match target {
        // From a mobile: as if the carrier vouched for its number.
        Target::Service { service, .. } if dry.facts.user.is_none() => {
            let user = service_number::user_calling(company, &dry.facts).cloned();
            let proof = if user.is_some() { Proof::Given } else { Proof::None };
            Program::ServiceNumber(service_number::Run::new(service, user, proof))
        }
        target => Program::to(target),
    };
    dry.run(program);
    dry.told
}

/// A user of ours.
type Caller<'a> = (&'a CompanyId, &'a UserId);

/// Where the number leads, and which user of ours calls, if `from` is one.
fn target<'a>(config: &'a Config, simulate: &Simulate) -> Result<(Target, Option<Caller<'a>>), NoRoute> {
    let dialled = simulate.number.as_str();
    if let Some((company, user)) = simulate.from.as_ref().and_then(|from| caller(config, from)) {
        let target = route::route(config, &Origin::User { company, user }, dialled)?;
        return Ok((target, Some((company, user))));
    }
    match route::route(config, &Origin::Trunk(&TrunkId::from("")), dialled) {
        Ok(target) => Ok((target, None)),
        // An extension without a caller is looked for in all companies.
        Err(why) => {
            let of = |company: &Arc<Company>| match company.extensions.get(dialled)? {
                Extension::To(destination) => {
                    Some(Target::Inside { company: company.id.clone(), destination: destination.clone() })
                }
                Extension::Toggle(_) => None,
            };
            config.companies.values().find_map(of).map(|target| (target, None)).ok_or(why)
        }
    }
}

/// The user whose direct number or extension it is.
fn caller<'a>(config: &'a Config, from: &Number) -> Option<Caller<'a>> {
    let read = number::read(from.as_str());
    config.companies.iter().find_map(|(company, of)| {
        let is =
            |number: &Option<Number>| number.is_some() && (*number == read || number.as_ref() == Some(from));
        let (user, _) = of.users.iter().find(|(_, user)| is(&user.number) || is(&user.ext))?;
        Some((company, user))
    })
}

fn way(target: &Target) -> String {
    match target {
        Target::Inside { destination, .. } => format!("leads to {destination}"),
        Target::Phone { user, .. } => format!("leads to one phone of user:{user}"),
        Target::Toggle { toggle, .. } => format!("flips toggle \"{toggle}\""),
        Target::Service { .. } => "a service code".to_owned(),
        Target::Barred { why, .. } => format!("is barred: {why}"),
        Target::Outside { emergency: true, .. } => "an emergency call".to_owned(),
        Target::Outside { .. } => "goes out".to_owned(),
    }
}

struct DryRun<'a> {
    config: &'a Arc<Config>,
    company: &'a Arc<Company>,
    world: &'a World<'a>,
    now: Timestamp,
    facts: CallerFacts,
    keys: VecDeque<char>,
    /// Where the last decision was made.
    at: String,
    told: Vec<Told>,
}

impl DryRun<'_> {
    fn run(&mut self, mut program: Program) {
        let mut event = Event::Start;
        for _ in 0..EVENTS_MAX {
            let mut next = None;
            for action in self.handle(&mut program, event) {
                self.action(&program, action, &mut next);
            }
            // A timer without a key to come runs out.
            match next {
                Some(Event::Timer) => match self.keys.pop_front() {
                    Some(key) => {
                        self.tell(format!("the caller presses {key}"));
                        event = Event::Digit(key);
                    }
                    None => {
                        self.tell("the caller presses nothing");
                        event = Event::Timer;
                    }
                },
                Some(next) => event = next,
                None => return,
            }
        }
        self.tell("and so on");
    }

    fn handle(&self, program: &mut Program, event: Event) -> Vec<Action> {
        let context = Context {
            config: self.config,
            company: self.company,
            now: self.now,
            caller: &self.facts,
            world: self.world,
        };
        program.handle(&context, event)
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.told.push(Told { at: self.at.clone(), what: what.into() });
    }

    /// Tells what an action would do, and which event it brings about.
    fn action(&mut self, program: &Program, action: Action, next: &mut Option<Event>) {
        match action {
            Action::Step { at, why, .. } => {
                self.at = at;
                self.tell(why);
            }
            Action::Answer => {
                self.facts.answered = true;
                self.tell("the call is answered");
                *next = Some(Event::Acked);
            }
            Action::Early => self.tell("the caller hears this without being answered"),
            Action::Play { prompts, .. } => {
                let said = self.said(&prompts);
                self.tell(format!("the caller hears: {said}"));
                *next = Some(Event::PlayFinished);
            }
            Action::Beep => *next = Some(Event::PlayFinished),
            Action::StopPlay | Action::ClearTimer => *next = None,
            Action::Timer(_) => *next = Some(Event::Timer),
            Action::Enqueue { queue, .. } => *next = self.queue(program, &queue),
            Action::Group { group, .. } => {
                self.group(&group);
                *next = Some(self.unanswered(program));
            }
            Action::Dial { to, ring, .. } => {
                let names: Vec<String> = to.iter().map(|to| self.rings(to)).collect();
                self.tell(format!("rings for {} s: {}", ring.as_secs(), list(&names, "nobody")));
                *next = Some(self.unanswered(program));
            }
            Action::Find { user, long, .. } => {
                let name = self.rings(&Destination::User(user));
                self.tell(format!("searches for {} s: {name}", long.as_secs()));
                *next = Some(self.unanswered(program));
            }
            Action::Outbound { number, trunks, .. } => {
                let trunks: Vec<String> = trunks.iter().flatten().map(|trunk| trunk.to_string()).collect();
                self.tell(format!("calls {} through {}", number::pretty(&number), list(&trunks, "no trunk")));
            }
            Action::Record { mailbox, max, .. } => {
                self.tell(format!(
                    "a message of at most {} s is recorded in voicemail:{mailbox}",
                    max.as_secs()
                ));
            }
            Action::LeadTo(target) => self.tell(way(&target)),
            Action::Load(_) | Action::LoadRecorded => *next = Some(Event::Loaded(true)),
            Action::FlipToggle(toggle) => {
                let on = self.world.toggles.is_on(&self.company.id, &toggle, self.now);
                *next = Some(Event::Toggled(!on));
            }
            Action::ToggleUntil { .. } => *next = Some(Event::Toggled(true)),
            Action::Ask { names, .. } => {
                for (index, name) in (0u16..).zip(&names) {
                    self.branch(program, Event::Asked(Ok(index)), &format!("if the answer is {name}"));
                }
                self.tell("nobody is asked in a dry run:");
                *next = Some(Event::Asked(Err(Unanswered::Unreachable)));
            }
            Action::Sms { text } => self.tell(format!("the text message: \"{text}\"")),
            Action::Alarm { why, .. } => self.tell(format!("an alarm: {why}")),
            Action::SetLanguage(language) => self.facts.language = language,
            Action::Echo => self.tell("the caller hears themselves"),
            Action::People(_) => self.tell("what follows depends on the calls of that moment"),
            Action::Room(conference::Deed::Approach(_)) => {}
            Action::Room(_) => {
                self.tell("what follows depends on the PIN and on who is in the room at that moment");
                *next = None;
            }
            Action::HangUp(cause) => {
                let how = self.end(cause);
                self.tell(how);
                *next = None;
            }
            // Their decisions were told already.
            Action::Ring
            | Action::LeaveQueue
            | Action::SentOn { .. }
            | Action::SetPersonal(_)
            | Action::HearRecorded
            | Action::KeepGreeting { .. }
            | Action::DropGreeting { .. }
            | Action::PinTried { .. }
            | Action::SetPin { .. }
            | Action::SendMessageOn { .. }
            | Action::StopRecord
            | Action::KeepMessage
            | Action::DropMessage
            | Action::MarkMessage { .. }
            | Action::DeleteMessage { .. }
            | Action::Login { .. }
            | Action::Pause { .. }
            | Action::WrapUpEnd
            | Action::WrapUpExtend
            | Action::PinGiven { .. }
            | Action::KeepPlace { .. }
            | Action::SetName(_)
            | Action::SetTag { .. }
            | Action::SetPriority(_)
            | Action::Enter(_)
            | Action::Leave { .. }
            | Action::Key(_) => {}
        }
    }

    fn end(&self, cause: HangupCause) -> String {
        if self.facts.answered {
            return "the call is hung up".to_owned();
        }
        let status = match cause {
            HangupCause::Normal => 480,
            HangupCause::Busy => 486,
            HangupCause::Reject => 603,
            HangupCause::Status(status) => status,
        };
        format!("the call is refused with {status}")
    }

    /// What the queue would do at once, else who answers and what else may come.
    fn queue(&mut self, program: &Program, id: &QueueId) -> Option<Event> {
        let Some(queue) = self.company.queues.get(id) else { return Some(Event::Queue(QueueExit::Gone)) };
        let state = |id| Some((id, self.world.toggles.hours(self.company, id, self.now)?));
        if let Some((hours_id, state)) = queue.hours.as_ref().and_then(state)
            && &*state.category != "open"
        {
            self.tell(format!("the queue's hours \"{hours_id}\" say {} ({})", state.category, state.source));
            return Some(Event::Queue(QueueExit::Closed));
        }
        let line = LineId::Queue(id.clone());
        let agents: Vec<(&UserId, Presence)> = queue
            .agents
            .iter()
            .map(|agent| (&agent.user, (self.world.presence)(&line, &agent.user)))
            .collect();
        let names: Vec<String> = agents.iter().map(|(user, presence)| self.agent(user, *presence)).collect();
        self.tell(format!("{} has {}", queue.name, list(&names, "no agents")));
        let counts = |presence: Presence| match queue.join {
            JoinPolicy::Always => true,
            JoinPolicy::WhenLoggedIn => match presence {
                Presence::LoggedOut | Presence::Unreachable => false,
                Presence::Paused => queue.count_paused,
                Presence::Busy | Presence::Ready => true,
            },
            JoinPolicy::WhenReady => presence == Presence::Ready,
        };
        if queue.join != JoinPolicy::Always && !agents.iter().any(|(_, presence)| counts(*presence)) {
            self.tell("nobody is there to answer");
            return Some(Event::Queue(QueueExit::Nobody));
        }
        self.tell("the caller waits until an agent answers");
        let exits = [
            (QueueExit::Timeout, "after waiting too long"),
            (QueueExit::Full, "if the queue is full"),
            (QueueExit::Nobody, "if nobody is logged in any longer"),
        ];
        for (exit, when) in exits {
            self.branch(program, Event::Queue(exit), when);
        }
        let keys: Vec<String> = queue.keys.iter().map(|(key, to)| format!("{key}: {to}")).collect();
        if !keys.is_empty() {
            self.tell(format!("keys while waiting: {}", keys.join(", ")));
        }
        None
    }

    fn group(&mut self, id: &GroupId) {
        let Some(group) = self.company.groups.get(id) else { return };
        let line = LineId::Group(id.clone());
        let names: Vec<String> =
            group.members.iter().map(|user| self.agent(user, (self.world.presence)(&line, user))).collect();
        self.tell(format!("{} rings for {} s: {}", group.name, group.ring.as_secs(), list(&names, "nobody")));
    }

    /// Tells what comes when all are busy or away, and goes on as if nobody answered.
    fn unanswered(&mut self, program: &Program) -> Event {
        self.branch(program, Event::Dialled(Outcome::Busy), "if busy");
        self.branch(program, Event::Dialled(Outcome::Unavailable), "if nobody can be reached");
        self.tell("if nobody answers:");
        Event::Dialled(Outcome::NoAnswer)
    }

    /// Tells the first decision after an event that is not followed further.
    fn branch(&mut self, program: &Program, event: Event, when: &str) {
        let actions = self.handle(&mut program.clone(), event);
        let why = actions.into_iter().find_map(|action| match action {
            Action::Step { why, .. } => Some(why),
            Action::HangUp(cause) => Some(self.end(cause)),
            _ => None,
        });
        if let Some(why) = why {
            self.tell(format!("{when}: {why}"));
        }
    }

    fn agent(&self, user: &UserId, presence: Presence) -> String {
        let state = match presence {
            Presence::LoggedOut => "logged out",
            Presence::Unreachable => "unreachable",
            Presence::Paused => "on pause",
            Presence::Busy => "busy",
            Presence::Ready => "ready",
        };
        format!("{} ({state})", self.name(user))
    }

    fn name(&self, user: &UserId) -> String {
        self.company.users.get(user).map_or_else(|| user.to_string(), |user| user.name.to_string())
    }

    /// Who or what rings for a destination.
    fn rings(&self, to: &Destination) -> String {
        match to {
            Destination::User(id) => {
                let user = self.company.users.get(id);
                let mobile =
                    user.filter(|user| user.is_rung_at(Rings::Mobile)).and_then(|user| user.mobile.as_ref());
                match mobile {
                    Some(mobile) => format!("{} (also {})", self.name(id), number::pretty(mobile)),
                    None => self.name(id),
                }
            }
            Destination::Phone(number) => number::pretty(number),
            other => other.to_string(),
        }
    }

    /// The words of what is played.
    fn said(&self, prompts: &[PromptKey]) -> String {
        let words = prompts.iter().map(|prompt| match prompt {
            PromptKey::System(language, id) => {
                let language = if &**language == Language::En.as_str() { Language::En } else { Language::Nb };
                say::words(language, id)
            }
            PromptKey::Media(_, id) => {
                let media = self.company.media.get(id);
                let text = media.and_then(|media| media.text.as_deref().or(media.name.as_deref()));
                format!("\"{}\"", text.unwrap_or(id.as_str()))
            }
            PromptKey::Recording(_) => "the message".to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn list(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}
