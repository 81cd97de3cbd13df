//! Back to who parked or transferred a call: the program of a call that was sent somewhere and found nobody.
//!
//! Their phones show why ("Retur: Kari (svarer ikke)"). When they do not answer either, a parked call goes where
//! `[parking] return_to` says or stays parked; a transferred one of a switchboard attendant goes to the switchboard's
//! queue before all others, any other wherever a call to that user goes.

use std::sync::Arc;
use std::time::Duration;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::HangupCause;
use crate::model::flow::Show;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::QueueId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::model::queue::Confirm;
use crate::model::queue::Strategy;
use crate::model::server::Language;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::flow;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::leg::LegState;
use crate::switch::people::Deadline;
use crate::switch::people::Deed;
use crate::switch::queue;
use crate::switch::reach;
use crate::switch::route::Target;
use crate::time::Now;

/// How long who gets a call back is rung.
const RING: Duration = Duration::from_secs(30);
/// Before everybody who waits in a queue.
const FRONT: i32 = 1000;

/// Why a call comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It rang in vain.
    NoAnswer,
    /// They are in a call, or refuse.
    Busy,
    /// No phone could be reached.
    Unavailable,
    /// Somebody wants it back.
    Recalled,
}

impl Why {
    /// From a final status.
    fn of(status: u16) -> Why {
        match status {
            486 | 600 | 603 => Why::Busy,
            408 | 480 | 487 => Why::NoAnswer,
            _ => Why::Unavailable,
        }
    }

    /// The reason code in events.
    fn code(self) -> &'static str {
        match self {
            Why::NoAnswer => "no_answer",
            Why::Busy => "busy",
            Why::Unavailable => "unavailable",
            Why::Recalled => "recalled",
        }
    }

    fn words(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::Nb, Why::NoAnswer) => "svarer ikke",
            (Language::Nb, Why::Busy) => "opptatt",
            (Language::Nb, Why::Unavailable) => "ikke tilgjengelig",
            (Language::Nb, Why::Recalled) => "hentet tilbake",
            (Language::En, Why::NoAnswer) => "no answer",
            (Language::En, Why::Busy) => "busy",
            (Language::En, Why::Unavailable) => "not available",
            (Language::En, Why::Recalled) => "recalled",
        }
    }
}

/// What a phone shows of a transferred call that comes back.
pub fn returned_name(language: Language, to: &str, why: Why) -> Arc<str> {
    let back = match language {
        Language::Nb => "Retur",
        Language::En => "Return",
    };
    format!("{back}: {to} ({})", why.words(language)).into()
}

/// What a phone shows of a parked call that comes back.
pub fn parked_name(language: Language, slot: u32) -> Arc<str> {
    match language {
        Language::Nb => format!("Retur: parkert {slot}").into(),
        Language::En => format!("Return: parked {slot}").into(),
    }
}

/// Who transferred a call, until somebody answers it.
#[derive(Clone, Debug)]
pub(crate) struct Transferred {
    pub(crate) by: UserKey,
    /// To whom, for people.
    pub(crate) to: Arc<str>,
}

/// What follows when who gets the call back does not answer.
#[derive(Clone, Debug)]
enum Then {
    /// The caller hears music, and it is tried again.
    Again(Duration),
    /// The caller leaves the slot for this place.
    To(Destination),
    /// The caller goes before all others in the switchboard's queue.
    Front(QueueId),
    /// A call to this user, with what follows from that.
    Own(UserId),
}

/// The program of a call that goes back.
#[derive(Clone, Debug)]
pub struct Run {
    user: UserId,
    shown: Arc<str>,
    /// Before the user is rung.
    after: Option<Duration>,
    /// The user is not rung at all.
    skip: bool,
    then: Then,
    state: State,
    held: Held,
    /// Where it goes in the end.
    inner: Option<Box<flow::Run>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// Parked.
    Waiting,
    /// The user is rung.
    Ringing,
    /// Somewhere else.
    Beyond,
}

impl Run {
    /// Of a parked call.
    pub fn parked(user: UserId, shown: Arc<str>, after: Duration, to: Option<Destination>) -> Run {
        let then = to.map_or(Then::Again(after), Then::To);
        Run { after: Some(after), ..Run::new(user, shown, then) }
    }

    fn new(user: UserId, shown: Arc<str>, then: Then) -> Run {
        let held = Held::default();
        Run { user, shown, after: None, skip: false, then, state: State::Start, held, inner: None }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        if let Some(inner) = &mut self.inner {
            return inner.handle(ctx, event);
        }
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        match (self.state, event) {
            (State::Start, Event::Start) => match self.after {
                Some(after) => {
                    self.state = State::Waiting;
                    stage.timer(after);
                }
                None if self.skip => self.beyond(&mut stage),
                None => self.ring(&mut stage),
            },
            (State::Waiting, Event::Timer) => self.ring(&mut stage),
            (State::Ringing, Event::Dialled(outcome)) => {
                stage.tell(format!("{}: {} does not take the call back", outcome_code(outcome), self.user));
                self.beyond(&mut stage);
            }
            _ => {}
        }
        let (held, mut actions) = stage.finish();
        self.held = held;
        if let Some(inner) = &mut self.inner {
            actions.extend(inner.handle(ctx, Event::Start));
        }
        actions
    }

    fn ring(&mut self, stage: &mut Stage<'_>) {
        self.state = State::Ringing;
        stage.place("return");
        stage.tell(format!("back to {}", self.user));
        stage.add(Action::People(Deed::ShowAs(Arc::clone(&self.shown))));
        stage.add(Action::Dial {
            to: vec![Destination::User(self.user.clone())],
            ring: RING,
            confirm: Confirm::Auto,
            show: Show::Caller,
        });
    }

    fn beyond(&mut self, stage: &mut Stage<'_>) {
        stage.place("return");
        let to = match &self.then {
            Then::Again(after) => {
                self.state = State::Waiting;
                stage.add(Action::People(Deed::Music));
                stage.timer(*after);
                return;
            }
            Then::To(to) => {
                stage.add(Action::People(Deed::Unpark));
                to.clone()
            }
            Then::Front(queue) => {
                stage.add(Action::SetPriority(FRONT));
                stage.add(Action::People(Deed::ShowAs(Arc::clone(&self.shown))));
                Destination::Queue(queue.clone())
            }
            Then::Own(user) => {
                stage.add(Action::People(Deed::ShowAs(Arc::clone(&self.shown))));
                Destination::User(user.clone())
            }
        };
        stage.tell(format!("goes on to {}", flow::place(&to)));
        self.state = State::Beyond;
        self.inner = Some(Box::new(flow::Run::at(to)));
    }
}

fn outcome_code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NoAnswer => "no_answer",
        Outcome::Busy => "busy",
        Outcome::Unavailable | Outcome::Nobody => "unavailable",
        Outcome::Refused(_) => "refused",
    }
}

/// The switchboard's queue of an attendant: the one that the call came through, else the first that callers are taken
/// from by hand.
pub(crate) fn switchboard(company: &Company, user: &UserId, came: Option<&QueueId>) -> Option<QueueId> {
    let serves = |id: &QueueId| {
        company.queues.get(id).is_some_and(|queue| {
            queue.strategy == Strategy::Pull && queue.agents.iter().any(|agent| agent.user == *user)
        })
    };
    came.filter(|id| serves(id)).cloned().or_else(|| company.queues.keys().find(|id| serves(id)).cloned())
}

impl Switch {
    /// Who transfers a call gets it back when nobody answers: notes whom, and when.
    pub(crate) fn note_transfer(&mut self, now: Now, call: CallId, by: Option<UserKey>, target: &Target) {
        let name = by.as_ref().map(|by| self.target_name(by, target));
        let people = matches!(
            target,
            Target::Inside { destination: Destination::User(_) | Destination::Group(_), .. }
                | Target::Inside { destination: Destination::Phone(_), .. }
                | Target::Phone { .. }
                | Target::Outside { .. }
        );
        let after = by.as_ref().and_then(|by| {
            self.config.companies.get(&by.company)?.users.get(&by.user)?.return_after.filter(|_| people)
        });
        let Some(of) = self.calls.get_mut(&call) else { return };
        let company = of.company.clone();
        let transferred = by.zip(name).filter(|(by, _)| by.company == company);
        of.transferred = transferred.map(|(by, to)| Box::new(Transferred { by, to }));
        let timer = Timer::People(Deadline::Return(call));
        match after {
            Some(after) => self.timers.set(timer, now.mono + after),
            None => {
                self.timers.clear(&timer);
            }
        }
    }

    /// Whom a call is transferred to, for people.
    pub(crate) fn target_name(&self, by: &UserKey, target: &Target) -> Arc<str> {
        let company = |id| self.config.companies.get(id);
        let of_user = |of: &Company, user: &UserId| of.users.get(user).map(|user| user.name.clone());
        let name = match target {
            Target::Inside { company: id, destination } => company(id).and_then(|of| match destination {
                Destination::User(user) => of_user(of, user),
                Destination::Group(group) => of.groups.get(group).map(|group| group.name.clone()),
                Destination::Queue(queue) => of.queues.get(queue).map(|queue| queue.name.clone()),
                Destination::Flow(flow) => of.flows.get(flow).map(|flow| flow.name.clone()),
                Destination::Voicemail(mailbox) => of.mailboxes.get(mailbox).map(|of| of.name.clone()),
                Destination::Phone(number) => Some(number::pretty(number).into()),
                Destination::Room(_) | Destination::Hangup => None,
            }),
            Target::Phone { company: id, user, .. } => company(id).and_then(|of| of_user(of, user)),
            Target::Outside { number, .. } => Some(number::pretty(number).into()),
            Target::Toggle { .. } | Target::Service { .. } | Target::Barred { .. } => None,
        };
        name.unwrap_or_else(|| by.user.as_str().into())
    }

    /// A program would end the call with this status: a transferred one goes back instead. `false`: nobody is to get
    /// it back, or who transferred is still there and gets it by another way.
    pub(crate) fn returned(&mut self, now: Now, call: CallId, cause: &HangupCause) -> bool {
        let status = match cause {
            HangupCause::Normal => return false,
            HangupCause::Busy => 486,
            HangupCause::Reject => 603,
            HangupCause::Status(status) => *status,
        };
        self.go_back(now, call, Why::of(status))
    }

    /// A transferred call has rung for as long as who transferred wants.
    pub(crate) fn return_timeout(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        // Only while somebody is rung: who waits in a queue or leaves a message has arrived.
        let in_queue =
            of.waiting.as_ref().is_some_and(|waiting| matches!(waiting.line.line, LineId::Queue(_)));
        if of.attempts.is_empty() || of.callee.is_some() || in_queue {
            return;
        }
        if of.referral.is_some() {
            self.referral_failed(now, call, 480);
            return;
        }
        self.go_back(now, call, Why::NoAnswer);
    }

    /// Leads a transferred call back to who transferred it.
    pub(crate) fn go_back(&mut self, now: Now, call: CallId, why: Why) -> bool {
        let Some(of) = self.calls.get_mut(&call) else { return false };
        let up = self.legs.get(&of.caller).is_some_and(|leg| leg.state == LegState::Up);
        if of.referral.is_some() || of.callee.is_some() || !up {
            return false;
        }
        let Some(transferred) = of.transferred.take() else { return false };
        let Transferred { by, to } = *transferred;
        let came = of.cdr.queue.clone();
        let waits = of.waiting.is_some();
        let Some(company) = self.config.companies.get(&by.company).cloned() else { return false };
        let Some(person) = company.users.get(&by.user) else { return false };
        let shown = returned_name(person.language, &to, why);
        let free =
            !self.in_call.contains_key(&by) && reach::reachable(person, self.devices_of(&by), &self.location);
        let board = switchboard(&company, &by.user, came.as_ref()).filter(|_| person.switchboard);
        let run = match board {
            Some(queue) => Run { skip: !free, ..Run::new(by.user.clone(), shown, Then::Front(queue)) },
            None => Run { skip: true, ..Run::new(by.user.clone(), shown, Then::Own(by.user.clone())) },
        };
        self.timers.clear(&Timer::People(Deadline::Return(call)));
        if waits {
            self.leave_queue(now, call, queue::Left::System);
        }
        self.give_up_attempts(now, call, None, &Vec::new());
        let Some(of) = self.calls.get_mut(&call) else { return false };
        of.program = Some(Program::Return(run));
        of.returned_from = Some(to);
        let why = format!("{}: back to {}", why.code(), by.user);
        self.decide(now, &by.company, Some(call), "transfer.returned", &why);
        self.run_program(now, call, Event::Start);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_a_call_back_sees_from_whom_and_why() {
        let rows = [
            (Language::Nb, 480, "Retur: Kari (svarer ikke)"),
            (Language::Nb, 486, "Retur: Kari (opptatt)"),
            (Language::En, 503, "Return: Kari (not available)"),
        ];
        for (language, status, expected) in rows {
            assert_eq!(&*returned_name(language, "Kari", Why::of(status)), expected);
        }
        assert_eq!(&*parked_name(Language::Nb, 701), "Retur: parkert 701");
    }
}
