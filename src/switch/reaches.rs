//! Which numbers lead to a queue or ring group now: every way through the flows is walked with the program that calls
//! run, trying each key once at each place.
//!
//! Leaves out what callers and other systems decide: who calls, and the answer of a webhook.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Config;
use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::action::QueueExit;
use crate::switch::flow::action::Unanswered;
use crate::switch::flow::action::World;
use crate::switch::route::Target;
use crate::time::Timestamp;

/// Events handled in one search.
const EVENTS_MAX: usize = 3_000;
/// Times that nothing is pressed at one place.
const TRIES_MAX: u8 = 12;
const KEYS: &str = "0123456789*#";

/// Numbers of the company that lead to the line at `at`, by whatever keys.
pub(crate) fn reaching(
    config: &Arc<Config>,
    company: &Arc<Company>,
    world: &World<'_>,
    line: &LineId,
    at: Timestamp,
) -> Vec<Number> {
    let mut budget = EVENTS_MAX;
    let numbers = company.numbers.iter().filter(|(number, to)| {
        let facts = facts(company, number);
        let mut search =
            Search { config, company, world, at, facts, line, tried: BTreeMap::new(), budget: &mut budget };
        search.leads(to)
    });
    numbers.map(|(number, _)| number.clone()).collect()
}

fn facts(company: &Company, dialled: &Number) -> CallerFacts {
    CallerFacts {
        number: None,
        name: None,
        hidden: true,
        user: None,
        own_device: false,
        dialled: dialled.clone(),
        answered: false,
        language: company.language,
        diversions: Vec::new(),
    }
}

struct Search<'a, 'b> {
    config: &'a Arc<Config>,
    company: &'a Arc<Company>,
    world: &'a World<'a>,
    at: Timestamp,
    facts: CallerFacts,
    line: &'a LineId,
    /// Where which event was tried, and how often.
    tried: BTreeMap<(String, String), u8>,
    budget: &'b mut usize,
}

impl Search<'_, '_> {
    fn leads(&mut self, to: &Destination) -> bool {
        let target = Target::Inside { company: self.company.id.clone(), destination: to.clone() };
        let mut open = vec![(Program::to(target), Event::Start, String::new())];
        while let Some((mut program, event, at)) = open.pop() {
            if *self.budget == 0 {
                return false;
            }
            *self.budget -= 1;
            let (next, place) = match self.step(&mut program, event, at) {
                Some(found) => found,
                None => return true,
            };
            for event in next {
                // A key leads to the same place each time; silence leads on only after some tries.
                let most = if matches!(event, Event::Digit(_)) { 1 } else { TRIES_MAX };
                let times = self.tried.entry((place.clone(), format!("{event:?}"))).or_default();
                if *times < most {
                    *times += 1;
                    open.push((program.clone(), event, place.clone()));
                }
            }
        }
        false
    }

    /// What may happen after an event, and where; none when the line is reached.
    fn step(&mut self, program: &mut Program, event: Event, mut at: String) -> Option<(Vec<Event>, String)> {
        let context = Context {
            config: self.config,
            company: self.company,
            now: self.at,
            caller: &self.facts,
            world: self.world,
        };
        let mut next = Vec::new();
        for action in program.handle(&context, event) {
            match action {
                Action::Step { at: place, .. } => at = place,
                Action::Enqueue { queue, .. } if LineId::Queue(queue.clone()) == *self.line => return None,
                Action::Group { group, .. } if LineId::Group(group.clone()) == *self.line => return None,
                Action::Enqueue { .. } => {
                    let exits = [QueueExit::Timeout, QueueExit::Full, QueueExit::Nobody, QueueExit::Closed];
                    next = exits.map(Event::Queue).into_iter().chain(keys()).collect();
                }
                Action::Group { .. }
                | Action::Dial { .. }
                | Action::Find { .. }
                | Action::Outbound { .. } => {
                    let outcomes = [Outcome::NoAnswer, Outcome::Busy, Outcome::Unavailable];
                    next = outcomes.map(Event::Dialled).to_vec();
                }
                Action::Play { .. } | Action::HearRecorded => {
                    next = keys().chain([Event::PlayFinished]).collect()
                }
                Action::Beep => next = vec![Event::PlayFinished],
                Action::Timer(_) => next = keys().chain([Event::Timer]).collect(),
                Action::Load(_) | Action::LoadRecorded => next = vec![Event::Loaded(true)],
                Action::Ask { names, .. } => {
                    let count = u16::try_from(names.len()).unwrap_or(u16::MAX);
                    next = (0..count).map(|name| Event::Asked(Ok(name))).collect();
                    next.push(Event::Asked(Err(Unanswered::Timeout)));
                }
                Action::FlipToggle(_) | Action::ToggleUntil { .. } => {
                    next = vec![Event::Toggled(true), Event::Toggled(false)]
                }
                Action::StopPlay | Action::ClearTimer | Action::HangUp(_) => next = Vec::new(),
                // Nothing follows from these by itself.
                Action::Ring
                | Action::Answer
                | Action::Early
                | Action::Echo
                | Action::LeaveQueue
                | Action::Room(_)
                | Action::Record { .. }
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
                | Action::LeadTo(_)
                | Action::SentOn { .. }
                | Action::SetPersonal(_)
                | Action::KeepGreeting { .. }
                | Action::DropGreeting { .. }
                | Action::PinTried { .. }
                | Action::SetPin { .. }
                | Action::SendMessageOn { .. }
                | Action::People(_)
                | Action::Sms { .. }
                | Action::Enter(_)
                | Action::Leave { .. }
                | Action::Alarm { .. }
                | Action::SetName(_)
                | Action::SetLanguage(_)
                | Action::SetTag { .. }
                | Action::SetPriority(_)
                | Action::Key(_) => {}
            }
        }
        Some((next, at))
    }
}

fn keys() -> impl Iterator<Item = Event> {
    KEYS.chars().map(Event::Digit)
}
