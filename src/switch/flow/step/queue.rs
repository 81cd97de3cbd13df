//! `queue` (kø): the caller waits for an agent. The queue itself is `switch::queue`; here is what the caller's
//! keys do, and where the call goes when the queue gives it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::company::Company;
use crate::model::event::Fields;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::id::QueueId;
use crate::model::queue::Queue;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::QueueExit;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;

/// What the step says; a queue reached as a destination has none of its own.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of this caller.
    pub priority: Option<i32>,
    /// Keeps the time already waited.
    pub carry_wait: bool,
    /// By name.
    pub exits: BTreeMap<Arc<str>, Exit>,
    /// While waiting.
    pub keys: BTreeMap<char, Exit>,
}

impl Default for Options {
    fn default() -> Options {
        Options { priority: None, carry_wait: true, exits: BTreeMap::new(), keys: BTreeMap::new() }
    }
}

/// Waiting in a queue.
#[derive(Clone, Debug)]
pub struct Waiting {
    queue: QueueId,
    /// As it was on joining, for a queue that is removed meanwhile.
    company: Arc<Company>,
    exits: BTreeMap<Arc<str>, Exit>,
    keys: BTreeMap<char, Exit>,
}

/// Answers and joins: welcome, music and announcements must be heard.
pub fn enter(stage: &mut Stage<'_>, queue: &QueueId, options: Options) -> Turn {
    stage.answer();
    stage.tell(format!("joins queue:{queue}"));
    let Options { priority, carry_wait, exits, keys } = options;
    stage.add(Action::Enqueue { queue: queue.clone(), priority, carry_wait });
    let company = stage.ctx.company.clone();
    Turn::Wait(State::Queue(Waiting { queue: queue.clone(), company, exits, keys }))
}

impl Waiting {
    /// Follows a key, or an exit: the step's own, else the step's `exit`, else the queue's own, else its
    /// `overflow`, else the call ends with the reason.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match event {
            Event::Digit(key) => {
                let Some(exit) = self
                    .keys
                    .get(&key)
                    .cloned()
                    .or_else(|| self.settings(stage)?.keys.get(&key).cloned().map(Exit::To))
                else {
                    return Turn::Stay;
                };
                stage.add(Action::Key(key));
                let fields = Fields { key: Some(key), ..Fields::default() };
                stage.tell_with(format!("key {key}: {}", leads_to(&exit)), fields);
                stage.add(Action::LeaveQueue);
                Turn::Go(exit)
            }
            Event::Queue(exit) => self.back(stage, exit),
            _ => Turn::Stay,
        }
    }

    /// The queue as it is, else as it was.
    fn settings<'a>(&'a self, stage: &Stage<'a>) -> Option<&'a Queue> {
        stage.ctx.company.queues.get(&self.queue).or_else(|| self.company.queues.get(&self.queue))
    }

    /// The place is kept: the queue's exit for it, else thanks and the end.
    fn called_back(&self, stage: &mut Stage<'_>) -> Turn {
        stage.tell(format!("leaves queue:{} (callback_taken)", self.queue));
        let own = self.exits.get("callback_taken").cloned();
        let next = own.or_else(|| self.settings(stage)?.callback_taken.clone().map(Exit::To));
        match next {
            Some(next) => Turn::Go(next),
            None => Turn::Say(vec![stage.system("queue/callback-done")], HangupCause::Normal),
        }
    }

    fn back(&self, stage: &mut Stage<'_>, exit: QueueExit) -> Turn {
        let (name, prompt) = match exit {
            QueueExit::Timeout => ("timeout", "queue/timeout"),
            QueueExit::Full => ("full", "queue/full"),
            QueueExit::Nobody => ("nobody", "queue/nobody"),
            QueueExit::Closed => ("closed", "hours/closed"),
            QueueExit::Gone => ("gone", "queue/timeout"),
            QueueExit::AllPaused => ("all_paused", "queue/nobody"),
            QueueExit::NoAnswer => ("no_answer", "queue/timeout"),
            QueueExit::RejectedByAll => ("rejected_by_all", "queue/timeout"),
            QueueExit::CallbackTaken => return self.called_back(stage),
        };
        let written = instead_of(name).iter().find_map(|name| self.exits.get(*name));
        let own = written.or_else(|| self.exits.get("exit")).cloned();
        let next = own.or_else(|| own_exit(self.settings(stage)?, name).cloned().map(Exit::To));
        match next {
            Some(next) => {
                stage.tell(format!("leaves queue:{} ({name}): {}", self.queue, leads_to(&next)));
                Turn::Go(next)
            }
            None => {
                stage.tell(format!("leaves queue:{} ({name}): hangs up", self.queue));
                Turn::Say(vec![stage.system(prompt)], HangupCause::Status(480))
            }
        }
    }
}

/// An exit, and those that stand in for it when it is not written.
fn instead_of(name: &str) -> &'static [&'static str] {
    match name {
        "timeout" => &["timeout"],
        "full" => &["full"],
        "nobody" => &["nobody"],
        "closed" => &["closed"],
        "all_paused" => &["all_paused", "nobody"],
        // Those who wait in a queue that is removed go where those go who waited too long.
        "gone" => &["gone", "timeout"],
        "no_answer" => &["no_answer", "timeout"],
        "rejected_by_all" => &["rejected_by_all", "no_answer", "timeout"],
        "callback_taken" => &["callback_taken"],
        _ => &[],
    }
}

/// Where a queue sends callers it cannot serve.
pub fn own_exit<'a>(queue: &'a Queue, name: &str) -> Option<&'a Destination> {
    let written = |name: &&str| match *name {
        "timeout" => queue.timeout.as_ref(),
        "full" => queue.full.as_ref(),
        "nobody" => queue.nobody.as_ref(),
        "closed" => queue.closed.as_ref(),
        "all_paused" => queue.all_paused.as_ref(),
        "no_answer" => queue.no_answer.as_ref(),
        "rejected_by_all" => queue.rejected_by_all.as_ref(),
        "gone" => queue.gone.as_ref(),
        _ => None,
    };
    instead_of(name).iter().find_map(written).or(queue.overflow.as_ref())
}
