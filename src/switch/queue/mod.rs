//! The queue engine: who waits, in which order, which agents are rung, what is announced, and how callers leave.
//!
//! It decides and others carry out: it knows callers by their call and agents by their name, and never sees a
//! leg. A ring group is the same engine without a waiting room; a call-back is a caller without a call. Left out:
//! waiting rooms over several nodes.

mod adopt;
pub mod agent;
pub mod announce;
mod callback;
mod dispatch;
mod input;
pub mod inspect;
mod join;
mod leave;
mod line;
mod memory;
mod offer;
mod output;
mod passed;
mod pause;
mod pull;
mod restore;
pub mod strategy;
mod talk;
pub mod tier;
mod view;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::model::Config;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::rand::Rng;
use crate::switch::queue::agent::Agent;
pub use crate::switch::queue::agent::AgentState;
pub use crate::switch::queue::agent::Facts;
pub use crate::switch::queue::agent::Occupied;
pub use crate::switch::queue::announce::Announcement;
pub use crate::switch::queue::announce::Eta;
pub use crate::switch::queue::input::Caller;
pub use crate::switch::queue::input::Failure;
pub use crate::switch::queue::input::Input;
pub use crate::switch::queue::input::Left;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Rules;
use crate::switch::queue::offer::Late;
use crate::switch::queue::offer::Offer;
pub use crate::switch::queue::output::ExitReason;
pub use crate::switch::queue::output::Output;
pub use crate::switch::queue::output::Withdrawn;
pub use crate::switch::queue::pause::Pause;
use crate::time::Now;
use crate::time::Timers;

/// One attempt to bring an agent to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub u64);

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Deadline {
    /// An agent has rung long enough.
    Ring(OfferId),
    /// An answer that crossed our CANCEL can no longer come.
    Late(OfferId),
    /// Others need not ring on behind a winner.
    Guard(CallId),
    /// The longest wait is over, or the last chance after it.
    MaxWait(CallId),
    /// An agent who was tried in vain may be tried again.
    Retry(CallId),
    /// The next tier counts.
    Tier(CallId),
    /// More agents ring at once.
    Widen(CallId),
    /// The agent of last time is no longer waited for.
    Prefer(CallId),
    /// Call-back is offered.
    CallbackOffer(CallId),
    /// A caller who was not reached may be dialled again.
    CallbackRetry(CallId),
    /// Place and wait are said again.
    Place(CallId),
    /// The comfort message is said again.
    Comfort(CallId),
    /// A talk has lasted long enough to count as answered.
    Counted(CallId),
    /// Wrap-up is over.
    WrapUp(AgentKey),
    /// A pause ends by itself, everywhere or at one line.
    PauseEnd(AgentKey, Option<LineKey>),
    /// A phone that was busy or out of reach is tried again.
    Backoff(AgentKey),
    /// Nobody came back: callers begin to leave.
    Grace(LineKey),
    /// The next caller leaves a line without agents.
    Evict(LineKey),
    /// Those who still wait after closing time leave.
    Drain(LineKey),
}

impl Deadline {
    fn name(&self) -> &'static str {
        match self {
            Deadline::Ring(_) => "queue ring time",
            Deadline::Late(_) => "queue late answer",
            Deadline::Guard(_) => "queue winner guard",
            Deadline::MaxWait(_) => "queue longest wait",
            Deadline::Retry(_) => "queue retry",
            Deadline::Tier(_) => "queue tier",
            Deadline::Widen(_) => "queue widening",
            Deadline::Prefer(_) => "queue last agent",
            Deadline::CallbackOffer(_) => "queue call-back offer",
            Deadline::CallbackRetry(_) => "queue call-back retry",
            Deadline::Place(_) => "queue place announcement",
            Deadline::Comfort(_) => "queue comfort message",
            Deadline::Counted(_) => "queue answered",
            Deadline::WrapUp(_) => "agent wrap-up",
            Deadline::PauseEnd(..) => "agent pause",
            Deadline::Backoff(_) => "agent back-off",
            Deadline::Grace(_) => "queue leave grace",
            Deadline::Evict(_) => "queue nobody",
            Deadline::Drain(_) => "queue drain",
        }
    }
}

/// All queues and ring groups of a switch, with their agents and callers.
#[derive(Debug)]
pub struct Queues {
    config: Arc<Config>,
    rng: Rng,
    lines: BTreeMap<LineKey, Line>,
    agents: BTreeMap<AgentKey, Agent>,
    entries: BTreeMap<CallId, Entry>,
    /// Offers that ring or have won; the only place that says so.
    offers: BTreeMap<OfferId, Offer>,
    /// Index of `offers` by agent: at most one each.
    reserved: BTreeMap<AgentKey, OfferId>,
    /// Offers taken back whose answer may still be on its way.
    late: BTreeMap<OfferId, Late>,
    /// Whom round-robin rang last.
    rung_last: BTreeMap<LineKey, AgentKey>,
    /// Whose place is kept for a call-back: at most one place a number and line.
    callbacks: BTreeMap<(LineKey, Number), CallId>,
    /// Who talks with whom.
    talks: BTreeMap<AgentKey, CallId>,
    /// Lines where somebody may have become free, or somebody may have come.
    dirty: BTreeSet<LineKey>,
    timers: Timers<Deadline>,
    outputs: VecDeque<Output>,
    next_offer: u64,
    next_seq: u64,
}

impl Queues {
    /// No queues, no agents: the first input is `Input::Config`.
    pub fn new(rng: Rng) -> Queues {
        Queues {
            config: Arc::default(),
            rng,
            lines: BTreeMap::new(),
            agents: BTreeMap::new(),
            entries: BTreeMap::new(),
            offers: BTreeMap::new(),
            reserved: BTreeMap::new(),
            late: BTreeMap::new(),
            rung_last: BTreeMap::new(),
            callbacks: BTreeMap::new(),
            talks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            next_offer: 0,
            next_seq: 0,
        }
    }

    /// One thing happened; drain the outputs before the next.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Config(config) => self.adopt(now, config),
            Input::Join { line, caller } => self.on_join(now, line, caller),
            Input::Leave { entry, why } => self.on_leave(now, entry, why),
            Input::Facts { agent, facts } => self.on_facts(now, &agent, facts),
            Input::Login { agent, line, logged_in, by } => self.on_login(now, &agent, line, logged_in, &by),
            Input::Pause { agent, reason, until, by } => self.on_pause(now, &agent, reason, until, by),
            Input::WrapUpEnd { agent } => self.end_wrap_up(now, &agent),
            Input::LineReach { agent, line, reachable } => self.on_line_reach(now, &agent, &line, reachable),
            Input::WrapUpExtend { agent } => self.extend_wrap_up(now, &agent),
            Input::Take { entry, agent } => self.on_take(now, entry, &agent, false),
            Input::Grab { entry, agent } => self.on_take(now, entry, &agent, true),
            Input::KeepPlace { entry, number } => self.on_keep_place(now, entry, number),
            Input::Replaced { entry, waited_since, number } => {
                self.on_replaced(now, entry, (waited_since, number))
            }
            Input::CarriedBy { entry, call } => self.on_carried_by(entry, call),
            Input::CallbackFailed { entry } => self.on_callback_failed(now, entry),
            Input::OfferRinging(offer) => self.on_ringing(now, offer),
            Input::OfferAnswered(offer) => self.on_answered(now, offer),
            Input::OfferFailed(offer, failure) => self.on_failed(now, offer, failure),
            Input::TalkStarted { entry } => self.on_talk_started(now, entry),
            Input::TalkEnded { entry } => self.on_talk_ended(now, entry),
            Input::LineHours { line, open, immediate } => self.on_hours(now, &line, open, immediate),
            Input::Announced { entry } => self.on_announced(now, entry),
            Input::Restore(change) => self.on_restore(now, change),
        }
        // Deadlines that passed unnoticed come after what has happened: who hung up takes no exit.
        self.handle_timeout(now);
    }

    /// Deadlines passed; harmless if early.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(deadline) = self.timers.expired(now.mono) {
            self.on_deadline(now, deadline);
        }
        self.dispatch(now);
        self.check_invariants();
        self.check_nobody_stalls(now);
    }

    /// The next deadline, and what it is about.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.timers.next().map(|(at, deadline)| (at, deadline.name()))
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn on_deadline(&mut self, now: Now, deadline: Deadline) {
        match deadline {
            Deadline::Ring(offer) => self.on_rung_out(now, offer),
            Deadline::Late(offer) => drop(self.late.remove(&offer)),
            Deadline::Guard(entry) => self.withdraw_losers(now, entry),
            Deadline::MaxWait(entry) => self.on_max_wait(now, entry),
            Deadline::Retry(entry) => self.on_retry(now, entry),
            Deadline::Tier(entry) => self.on_tier(now, entry),
            Deadline::Widen(entry) => self.on_widen(now, entry),
            Deadline::Prefer(entry) => self.look_again(entry),
            Deadline::CallbackOffer(entry) => self.on_callback_offer_due(now, entry),
            Deadline::CallbackRetry(entry) => self.look_again(entry),
            Deadline::Place(entry) => self.on_place_due(now, entry),
            Deadline::Comfort(entry) => self.on_comfort_due(entry),
            Deadline::Counted(entry) => self.count_answered(now, entry),
            Deadline::WrapUp(agent) => self.end_wrap_up(now, &agent),
            Deadline::PauseEnd(agent, line) => self.on_pause_end(now, &agent, line.as_ref()),
            Deadline::Backoff(agent) => self.end_backoff(now, &agent),
            Deadline::Grace(line) | Deadline::Evict(line) => self.evict_one(now, &line),
            Deadline::Drain(line) => self.shut(now, &line),
        }
    }

    /// The line of a caller looks for an agent again.
    fn look_again(&mut self, entry: CallId) {
        if let Some(entry) = self.entries.get(&entry) {
            self.dirty.insert(entry.line.clone());
        }
    }

    fn rules(&self, line: &LineKey) -> Option<&Rules> {
        self.lines.get(line).map(|line| &line.rules)
    }

    /// Tells a decision; `why` begins with the reason code.
    fn tell(&mut self, entry: CallId, line: &LineKey, event: &'static str, why: String) {
        self.tell_with(entry, line, event, why, Fields::default());
    }

    /// Tells a decision with what programs read of it.
    fn tell_with(&mut self, entry: CallId, line: &LineKey, event: &'static str, why: String, fields: Fields) {
        let fields = Box::new(fields);
        self.outputs.push_back(Output::Event { entry, line: line.clone(), event, why, fields });
    }
}
