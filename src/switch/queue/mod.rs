//! The queue engine: who waits, in which order, which agents are rung, what is announced, and how callers leave.
//!
//! It decides and others carry out: it knows callers by their call and agents by their name, and never sees a
//! leg. A ring group is the same engine without a waiting room. Left out in this version: call-back, picking
//! callers from a list, and waiting rooms over several nodes.

mod adopt;
pub mod agent;
pub mod announce;
mod dispatch;
mod leave;
mod line;
mod offer;
mod passed;
pub mod strategy;
pub mod tier;
mod view;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::model::Config;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::queue::JoinPolicy;
use crate::rand::Rng;
use crate::switch::queue::agent::Agent;
pub use crate::switch::queue::agent::AgentState;
pub use crate::switch::queue::agent::Facts;
pub use crate::switch::queue::announce::Announcement;
use crate::switch::queue::announce::Said;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Place;
use crate::switch::queue::line::Rules;
use crate::switch::queue::line::Stage;
use crate::switch::queue::offer::Late;
use crate::switch::queue::offer::Offer;
use crate::time::Now;
use crate::time::Timers;

/// One attempt to bring an agent to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub u64);

/// Who joins.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The call.
    pub entry: CallId,
    /// Instead of the queue's.
    pub priority: Option<i32>,
    /// The wait counts from here, when carried over from another queue.
    pub waited_since: Option<Instant>,
    /// Total ring time in a group, instead of the group's.
    pub ring: Option<Duration>,
    /// The queue's own hours say open.
    pub open: bool,
}

/// What happens to the queues.
#[derive(Clone, Debug)]
pub enum Input {
    /// A new configuration.
    Config(Arc<Config>),
    /// A caller comes.
    Join {
        /// To which queue or group.
        line: LineKey,
        /// Who.
        caller: Caller,
    },
    /// A caller goes.
    Leave {
        /// Who.
        entry: CallId,
        /// Why.
        why: Left,
    },
    /// What is known of an agent has changed. Unknown agents are unreachable.
    Facts {
        /// Who.
        agent: AgentKey,
        /// All that is known.
        facts: Facts,
    },
    /// An agent logs in or out.
    Login {
        /// Who.
        agent: AgentKey,
        /// Where; none is everywhere.
        line: Option<LineKey>,
        /// In or out.
        logged_in: bool,
        /// By whom.
        by: Source,
    },
    /// An agent goes on pause, or comes back.
    Pause {
        /// Who.
        agent: AgentKey,
        /// Why; none ends the pause.
        reason: Option<Arc<str>>,
        /// By whom.
        by: Source,
    },
    /// An agent has finished wrapping up early.
    WrapUpEnd {
        /// Who.
        agent: AgentKey,
    },
    /// A phone rings (first 18x).
    OfferRinging(OfferId),
    /// An agent answered, with confirmation where it was needed.
    OfferAnswered(OfferId),
    /// An offer came to nothing, or the winner dropped before the bridge.
    OfferFailed(OfferId, Failure),
    /// Caller and winner are bridged.
    TalkStarted {
        /// Who.
        entry: CallId,
    },
    /// The agent's part is over, for whatever reason.
    TalkEnded {
        /// Which caller's.
        entry: CallId,
    },
    /// A queue's hours begin or end.
    LineHours {
        /// Which.
        line: LineKey,
        /// From this moment.
        open: bool,
    },
    /// What `Output::Say` asked for has been played.
    Announced {
        /// To whom.
        entry: CallId,
    },
    /// A fact from the store at start; those that do not concern queues are ignored.
    Restore(Change),
}

/// Why a caller goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// By hanging up.
    HungUp,
    /// By a key, to somewhere else.
    Key,
    /// By an order or a limit.
    System,
}

/// Why an offer came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The phone is busy (486).
    Busy,
    /// The agent refused.
    Rejected,
    /// The phone gave up ringing.
    NoAnswer,
    /// No phone could be reached.
    Unreachable,
    /// Anything else.
    Error,
}

/// Why an offer is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// Somebody else has the caller.
    AnsweredElsewhere(AgentKey),
    /// The caller has gone.
    CallerGone,
    /// It rang out: a missed call.
    NoAnswer,
    /// The agent logged out or went on pause.
    LoggedOut,
    /// The agent took another call.
    Busy,
    /// The agent is no longer listed in the line.
    Removed,
    /// The caller left the line for its next destination.
    Exit,
}

/// Why a line gives a caller back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Waited too long.
    Timeout,
    /// No room.
    Full,
    /// Nobody is logged in; in a group also: nobody can be reached.
    Nobody,
    /// Outside hours.
    Closed,
    /// The line does not exist.
    Gone,
    /// Of a group: everybody is busy.
    Busy,
    /// Of a group: nobody answered.
    NoAnswer,
}

impl ExitReason {
    /// As in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ExitReason::Timeout => "timeout",
            ExitReason::Full => "full",
            ExitReason::Nobody => "nobody",
            ExitReason::Closed => "closed",
            ExitReason::Gone => "gone",
            ExitReason::Busy => "busy",
            ExitReason::NoAnswer => "no_answer",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the queues want done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ring an agent. The engine takes the offer back by itself when it has rung for its time.
    Offer {
        /// Names it from now on.
        offer: OfferId,
        /// From which line.
        line: LineKey,
        /// For whom.
        entry: CallId,
        /// Who.
        agent: AgentKey,
        /// Counted from the first 18x.
        ring_max: Duration,
    },
    /// Stop ringing (CANCEL), or end a leg that has answered (BYE).
    Withdraw {
        /// Which.
        offer: OfferId,
        /// Why.
        why: Withdrawn,
    },
    /// Bridge these now.
    Connect {
        /// The winner.
        offer: OfferId,
        /// The caller.
        entry: CallId,
        /// Who answered.
        agent: AgentKey,
    },
    /// Answered too late: ACK and BYE.
    Refuse {
        /// Which.
        offer: OfferId,
        /// Why.
        why: Withdrawn,
    },
    /// Play these to the caller, in order; then `Input::Announced`.
    Say {
        /// To whom.
        entry: CallId,
        /// What; never empty.
        what: Vec<Announcement>,
    },
    /// Stop announcing at once: an agent has answered.
    Hush {
        /// To whom.
        entry: CallId,
    },
    /// The caller goes on to where this exit leads.
    Exit {
        /// Who.
        entry: CallId,
        /// From where.
        line: LineKey,
        /// Why.
        exit: ExitReason,
        /// To be carried to the next queue.
        waited_since: Instant,
    },
    /// Others must know this.
    Change(Change),
    /// A decision, for the record.
    Event {
        /// About which caller.
        entry: CallId,
        /// Where.
        line: LineKey,
        /// `queue.joined`, `queue.offered` …
        event: &'static str,
        /// A reason code, then words.
        why: String,
        /// What programs read of it; the line is filled in by who takes it.
        fields: Box<Fields>,
    },
}

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
    /// Place and wait are said again.
    Place(CallId),
    /// The comfort message is said again.
    Comfort(CallId),
    /// A talk has lasted long enough to count as answered.
    Counted(CallId),
    /// Wrap-up is over.
    WrapUp(AgentKey),
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
            Deadline::Place(_) => "queue place announcement",
            Deadline::Comfort(_) => "queue comfort message",
            Deadline::Counted(_) => "queue answered",
            Deadline::WrapUp(_) => "agent wrap-up",
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
            Input::Pause { agent, reason, by } => self.on_pause(now, &agent, reason, by),
            Input::WrapUpEnd { agent } => self.end_wrap_up(now, &agent),
            Input::OfferRinging(offer) => self.on_ringing(now, offer),
            Input::OfferAnswered(offer) => self.on_answered(now, offer),
            Input::OfferFailed(offer, failure) => self.on_failed(now, offer, failure),
            Input::TalkStarted { entry } => self.on_talk_started(now, entry),
            Input::TalkEnded { entry } => self.on_talk_ended(now, entry),
            Input::LineHours { line, open } => self.on_hours(now, &line, open),
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
            Deadline::Place(entry) => self.on_place_due(now, entry),
            Deadline::Comfort(entry) => self.on_comfort_due(entry),
            Deadline::Counted(entry) => self.count_answered(now, entry),
            Deadline::WrapUp(agent) => self.end_wrap_up(now, &agent),
            Deadline::Backoff(agent) => self.end_backoff(now, &agent),
            Deadline::Grace(line) | Deadline::Evict(line) => self.evict_one(now, &line),
            Deadline::Drain(line) => self.exit_all(now, &line, ExitReason::Closed),
        }
    }

    /// A caller comes: in, or out again by the first exit that holds.
    fn on_join(&mut self, now: Now, key: LineKey, caller: Caller) {
        if self.entries.contains_key(&caller.entry) {
            self.on_leave(now, caller.entry, Left::System);
        }
        let since = caller.waited_since.map_or(now.mono, |since| since.min(now.mono));
        self.next_seq += 1;
        let refused = match self.lines.get(&key) {
            None => Some(ExitReason::Gone),
            Some(line) => self.refuse_join(now, &key, line, caller.open),
        };
        if let Some(exit) = refused {
            self.turned_away(caller.entry, &key, exit, since);
            return;
        }
        let Some(line) = self.lines.get_mut(&key) else { return };
        let priority = caller.priority.unwrap_or(line.rules.priority);
        let place = Place { priority: Reverse(priority), since, seq: self.next_seq };
        line.order.insert(place, caller.entry);
        let entry = Entry {
            line: key.clone(),
            place,
            priority: caller.priority,
            entered: now.mono,
            ring: caller.ring,
            stage: Stage::Waiting,
            offers: BTreeSet::new(),
            tried: BTreeMap::new(),
            last_chance: false,
            first_rank: line.rank(&place),
            said: Said::default(),
        };
        let place = entry.first_rank;
        self.entries.insert(caller.entry, entry);
        let passed = self.passed_over(now, caller.entry, None);
        let fields = Fields { place: Some(place), passed, ..Fields::default() };
        self.tell_with(caller.entry, &key, "queue.joined", format!("joined: place {place}"), fields);
        self.arm_max_wait(caller.entry);
        self.arm_tier(now, caller.entry);
        self.welcome(now, caller.entry);
        self.review_staff(now, &key);
        self.dirty.insert(key);
    }

    /// The exit a caller takes instead of joining.
    fn refuse_join(&self, now: Now, key: &LineKey, line: &Line, open: bool) -> Option<ExitReason> {
        let rules = &line.rules;
        if !open {
            return Some(ExitReason::Closed);
        }
        let somebody = match rules.join {
            JoinPolicy::Always => true,
            JoinPolicy::WhenLoggedIn => self.staffed(key),
            JoinPolicy::WhenReady => rules
                .members
                .iter()
                .any(|member| matches!(self.state(now, &member.agent, key), AgentState::Ready(_))),
        };
        if !somebody {
            return Some(ExitReason::Nobody);
        }
        // Whoever rings an agent at once needs no room to wait in.
        if line.order.len() >= rules.max_calls && self.free(now, key, line).is_empty() {
            return Some(if rules.group { ExitReason::Busy } else { ExitReason::Full });
        }
        None
    }

    /// Whether somebody is logged in who counts.
    fn staffed(&self, key: &LineKey) -> bool {
        let Some(rules) = self.rules(key) else { return false };
        rules.members.iter().any(|member| {
            let paused = self.agents.get(&member.agent).is_some_and(|agent| agent.paused.is_some());
            (rules.count_paused || !paused) && self.logged_in(&member.agent, key)
        })
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
