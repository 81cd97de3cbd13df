//! Agents: what is known of each, and the state that follows from it.
//!
//! The state is derived at each question and never stored, so that no agent can be stuck in one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use std::time::Instant;

use jiff::civil::Date;

use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::switch::queue::Deadline;
use crate::switch::queue::Output;
use crate::switch::queue::Pause;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::time::Now;

/// An agent who prolongs a wrap-up again and again comes no further than this.
const LONGEST_WRAP_UP: Duration = Duration::from_secs(60 * 60);

/// What others know of an agent's person and phones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Some phone, app or mobile can be rung.
    pub reachable: bool,
    /// In a call that does not come from this engine.
    pub in_call: bool,
    /// Do not disturb is set.
    pub do_not_disturb: bool,
    /// Away.
    pub absent: bool,
    /// All calls are forwarded.
    pub forwarded: bool,
}

impl Facts {
    fn free(self) -> bool {
        self.reachable && !self.in_call && !self.do_not_disturb && !self.absent && !self.forwarded
    }
}

/// What an agent is to one queue or ring group: the first that holds, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentState {
    /// Not logged in here.
    Offline,
    /// Nothing of theirs can be rung.
    Unreachable {
        /// When a phone that failed a moment ago is tried again; none when there is no phone at all.
        again: Option<Instant>,
    },
    /// On pause.
    Paused(Pause),
    /// Not to be disturbed, or forwarded.
    Absent(&'static str),
    /// Offered this caller.
    Ringing(CallId),
    /// Not free.
    Busy(Occupied),
    /// Wrapping up until then.
    WrapUp(Instant),
    /// Free since then.
    Ready(Instant),
}

/// By what an agent is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// A caller of a queue or ring group, whom the agent talks with or is being connected with.
    Caller(CallId),
    /// A call that does not come from here.
    OwnCall,
    /// The phone said so a moment ago (a mobile in a call that we do not see); tried again then.
    Phone(Instant),
}

impl AgentState {
    /// The reason code for being offered calls or not (`ready`, `paused`, `busy` …), and what is known besides.
    pub fn why(&self, now: Now) -> String {
        let left = |until: &Instant| until.saturating_duration_since(now.mono).as_secs();
        match self {
            AgentState::Offline => "logged_out: not logged in here".to_owned(),
            AgentState::Unreachable { again: None } => {
                "unreachable: no phone is registered and no mobile can be rung".to_owned()
            }
            AgentState::Unreachable { again: Some(again) } => {
                format!("unreachable: the phones did not answer, tried again in {} s", left(again))
            }
            AgentState::Paused(pause) => {
                let by = match &pause.by {
                    Source::Auto(after) => format!(", after {after}"),
                    Source::Code | Source::Cli | Source::Config => String::new(),
                };
                let until = pause.until.map_or(String::new(), |until| format!(", until {until}"));
                format!("paused: {}{by}{until}", pause.reason)
            }
            AgentState::Absent(why) => format!("{}: calls are not wanted", why.replace(' ', "_")),
            AgentState::Ringing(call) => format!("ringing: offered call {call}"),
            AgentState::Busy(Occupied::Caller(call)) => format!("busy: with caller {call}"),
            AgentState::Busy(Occupied::OwnCall) => "busy: in a call of their own".to_owned(),
            AgentState::Busy(Occupied::Phone(again)) => {
                format!("busy: the phone said so, tried again in {} s", left(again))
            }
            AgentState::WrapUp(until) => format!("wrap_up: {} s left", left(until)),
            AgentState::Ready(since) => {
                format!("ready: for {} s", now.mono.saturating_duration_since(*since).as_secs())
            }
        }
    }

    /// As lists show it, with what is left of a wrap-up.
    pub fn shown(&self, now: Now) -> String {
        match self {
            AgentState::WrapUp(until) => {
                let left = until.saturating_duration_since(now.mono).as_secs();
                format!("{self} {}:{:02}", left / 60, left % 60)
            }
            AgentState::Offline
            | AgentState::Unreachable { .. }
            | AgentState::Paused(_)
            | AgentState::Absent(_)
            | AgentState::Ringing(_)
            | AgentState::Busy(_)
            | AgentState::Ready(_) => self.to_string(),
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentState::Offline => f.write_str("logged out"),
            AgentState::Unreachable { .. } => f.write_str("unreachable"),
            AgentState::Paused(pause) => write!(f, "paused ({})", pause.reason),
            AgentState::Absent(why) => write!(f, "absent ({why})"),
            AgentState::Ringing(_) => f.write_str("ringing"),
            AgentState::Busy(_) => f.write_str("busy"),
            AgentState::WrapUp(_) => f.write_str("wrap-up"),
            AgentState::Ready(_) => f.write_str("ready"),
        }
    }
}

/// An agent, in all queues and ring groups of the company.
#[derive(Debug)]
pub(super) struct Agent {
    /// Where the agent is listed.
    pub(super) seats: BTreeMap<LineKey, Seat>,
    pub(super) facts: Facts,
    /// In every line.
    pub(super) paused: Option<Pause>,
    /// Missed calls in a row, of all lines.
    pub(super) misses: u32,
    /// When the agent was last made ready by anything but the end of an offer that somebody else ended. A miss
    /// or a refusal counts, so that `longest-idle` does not start each call with a phone nobody answers.
    pub(super) idle_since: Instant,
    /// Agent-wide, whatever queue it came from.
    pub(super) wrap_up: Option<WrapUp>,
    /// A phone said busy or could not be reached: not rung until then.
    pub(super) backoff: Option<(Instant, Backoff)>,
}

/// The work after a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrapUp {
    until: Instant,
    /// By how much it is prolonged at a time.
    extend: Duration,
}

/// An agent's seat at one line.
#[derive(Debug)]
pub(super) struct Seat {
    /// As somebody set it; else `auto_login`.
    pub(super) login: Option<bool>,
    /// As configured.
    pub(super) auto_login: bool,
    /// Whether what this line rings of the agent can be rung, where it says for itself what that is.
    pub(super) reachable: Option<bool>,
    /// At this line only.
    pub(super) paused: Option<Pause>,
    /// When that was.
    pub(super) login_at: Instant,
    /// Missed calls in a row.
    pub(super) misses: u32,
    /// Work of one day.
    pub(super) tally: Tally,
}

impl Seat {
    pub(super) fn new(now: Now) -> Seat {
        Seat {
            login: None,
            auto_login: false,
            reachable: None,
            paused: None,
            login_at: now.mono,
            misses: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn logged_in(&self) -> bool {
        self.login.unwrap_or(self.auto_login)
    }
}

/// What an agent did for one line on one day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) day: Option<Date>,
    /// Answered.
    pub(super) calls: u32,
    /// Talked.
    pub(super) talk: Duration,
}

impl Tally {
    /// The tally of `day`: this one, or an empty one when this is of another day.
    pub(super) fn of(self, day: Date) -> Tally {
        if self.day == Some(day) { self } else { Tally { day: Some(day), ..Tally::default() } }
    }
}

/// Why a phone is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backoff {
    Busy,
    Unreachable,
}

impl Agent {
    pub(super) fn new(now: Now) -> Agent {
        Agent {
            seats: BTreeMap::new(),
            facts: Facts::default(),
            paused: None,
            misses: 0,
            idle_since: now.mono,
            wrap_up: None,
            backoff: None,
        }
    }
}

impl Queues {
    /// What `agent` is to `line` at this moment: derived from what is known, whatever is asked about.
    pub fn stand(&self, now: Now, agent: &AgentKey, line: &LineKey) -> AgentState {
        let (Some(who), Some(rules)) = (self.agents.get(agent), self.rules(line)) else {
            return AgentState::Offline;
        };
        let Some(seat) = who.seats.get(line).filter(|seat| seat.logged_in()) else {
            return AgentState::Offline;
        };
        if !seat.reachable.unwrap_or(who.facts.reachable) {
            return AgentState::Unreachable { again: None };
        }
        let backoff = who.backoff.filter(|(until, _)| *until > now.mono);
        if let Some((until, Backoff::Unreachable)) = backoff {
            return AgentState::Unreachable { again: Some(until) };
        }
        if let Some(pause) = who.paused.as_ref().or(seat.paused.as_ref()) {
            return AgentState::Paused(pause.clone());
        }
        if who.facts.do_not_disturb && !rules.ignore_dnd {
            return AgentState::Absent("do not disturb");
        }
        if who.facts.absent {
            return AgentState::Absent("away");
        }
        if who.facts.forwarded && !rules.follow_forward {
            return AgentState::Absent("forwarded");
        }
        if let Some(offer) = self.offer_of(agent) {
            return match offer.answered {
                true => AgentState::Busy(Occupied::Caller(offer.entry)),
                false => AgentState::Ringing(offer.entry),
            };
        }
        if let Some(caller) = self.talks.get(agent) {
            return AgentState::Busy(Occupied::Caller(*caller));
        }
        if who.facts.in_call && !rules.ring_busy {
            return AgentState::Busy(Occupied::OwnCall);
        }
        if let Some((until, Backoff::Busy)) = backoff {
            return AgentState::Busy(Occupied::Phone(until));
        }
        if let Some(wrap_up) = who.wrap_up.filter(|wrap_up| wrap_up.until > now.mono) {
            return AgentState::WrapUp(wrap_up.until);
        }
        AgentState::Ready(who.idle_since.max(seat.login_at))
    }

    /// Whether `agent` is logged in at `line`.
    pub fn logged_in(&self, agent: &AgentKey, line: &LineKey) -> bool {
        self.agents.get(agent).and_then(|who| who.seats.get(line)).is_some_and(Seat::logged_in)
    }

    /// What is left of an agent's wrap-up; none when there is none.
    pub fn wrap_up_left(&self, now: Now, agent: &AgentKey) -> Option<Duration> {
        let until = self.agents.get(agent)?.wrap_up?.until;
        until.checked_duration_since(now.mono).filter(|left| !left.is_zero())
    }

    /// Learns what is known of an agent.
    pub(super) fn on_facts(&mut self, now: Now, key: &AgentKey, facts: Facts) {
        let agent = self.agents.entry(key.clone()).or_insert_with(|| Agent::new(now));
        let before = std::mem::replace(&mut agent.facts, facts);
        if before == facts {
            return;
        }
        if facts.free() && !before.free() {
            agent.idle_since = now.mono;
        }
        // A phone that comes back, or a call that ends, is better knowledge than a refusal of a while ago.
        if (before.in_call && !facts.in_call) || (!before.reachable && facts.reachable) {
            self.end_backoff(now, key);
        }
        if facts.in_call && !before.in_call {
            self.withdraw_from(now, key, Withdrawn::Busy, |rules| !rules.ring_busy);
        }
        self.touch_agent(key);
    }

    /// Learns whether an agent's contacts at one line can be rung, where they differ from the agent's own.
    pub(super) fn on_line_reach(
        &mut self,
        now: Now,
        agent: &AgentKey,
        line: &LineKey,
        reachable: Option<bool>,
    ) {
        let Some(seat) = self.seat_mut(agent, line) else { return };
        let before = std::mem::replace(&mut seat.reachable, reachable);
        if before == reachable {
            return;
        }
        if before == Some(false) && reachable == Some(true) {
            self.end_backoff(now, agent);
        }
        self.touch_agent(agent);
    }

    /// Logs an agent in or out of one line, or of all.
    pub(super) fn on_login(
        &mut self,
        now: Now,
        agent: &AgentKey,
        line: Option<LineKey>,
        logged_in: bool,
        by: &Source,
    ) {
        let Some(who) = self.agents.get(agent) else { return };
        let lines: Vec<LineKey> = match line {
            Some(line) => who.seats.contains_key(&line).then_some(line).into_iter().collect(),
            None => who.seats.keys().cloned().collect(),
        };
        for line in lines {
            let before = self.logged_in(agent, &line);
            if logged_in {
                // Whoever logs in wants calls: a pause of this line is over, and misses count anew.
                if let Some(who) = self.agents.get_mut(agent) {
                    who.misses = 0;
                }
                self.set_pause(now, agent, Some(&line), None, by.clone());
            }
            let Some(seat) = self.seat_mut(agent, &line) else { continue };
            if logged_in {
                seat.misses = 0;
            }
            if seat.login == Some(logged_in) {
                continue;
            }
            seat.login = Some(logged_in);
            if logged_in && !before {
                seat.login_at = now.mono;
            }
            self.outputs.push_back(Output::Change(Change::AgentLogin {
                agent: agent.clone(),
                line: line.clone(),
                logged_in,
                by: by.clone(),
                at: now.utc,
            }));
            if !logged_in && self.offer_of(agent).is_some_and(|offer| offer.line == line) {
                self.withdraw_from(now, agent, Withdrawn::LoggedOut, |_| true);
            }
            self.review_staff(now, &line);
        }
        self.touch_agent(agent);
    }

    /// Starts an agent's wrap-up; none when it lasts no time.
    pub(super) fn start_wrap_up(&mut self, now: Now, key: &AgentKey, lasts: Duration, extend: Duration) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.idle_since = now.mono;
        if lasts > Duration::ZERO {
            let until = now.mono + lasts;
            agent.wrap_up = Some(WrapUp { until, extend });
            self.timers.set(Deadline::WrapUp(key.clone()), until);
        }
    }

    /// An agent who wraps up needs longer.
    pub(super) fn extend_wrap_up(&mut self, now: Now, key: &AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let Some(wrap_up) = agent.wrap_up.as_mut().filter(|wrap_up| wrap_up.until > now.mono) else { return };
        wrap_up.until = (wrap_up.until + wrap_up.extend).min(now.mono + LONGEST_WRAP_UP);
        self.timers.set(Deadline::WrapUp(key.clone()), wrap_up.until);
        self.touch_agent(key);
    }

    /// Ends an agent's wrap-up, early or in time.
    pub(super) fn end_wrap_up(&mut self, now: Now, key: &AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        if agent.wrap_up.take().is_some() {
            agent.idle_since = now.mono;
            self.timers.clear(&Deadline::WrapUp(key.clone()));
            self.touch_agent(key);
        }
    }

    /// Leaves an agent's phone alone for a while.
    pub(super) fn start_backoff(&mut self, now: Now, key: &AgentKey, why: Backoff, lasts: Duration) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.idle_since = now.mono;
        if lasts > Duration::ZERO {
            agent.backoff = Some((now.mono + lasts, why));
            self.timers.set(Deadline::Backoff(key.clone()), now.mono + lasts);
        }
    }

    /// Rings an agent's phone again.
    pub(super) fn end_backoff(&mut self, now: Now, key: &AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        if agent.backoff.take().is_some() {
            agent.idle_since = now.mono;
            self.timers.clear(&Deadline::Backoff(key.clone()));
            self.touch_agent(key);
        }
    }

    /// The lines an agent is listed in.
    pub(crate) fn lines_of(&self, agent: &AgentKey) -> Vec<LineKey> {
        self.agents.get(agent).map(|agent| agent.seats.keys().cloned().collect()).unwrap_or_default()
    }

    /// Something about an agent changed: the lines where somebody waits for one look again.
    pub(super) fn touch_agent(&mut self, agent: &AgentKey) {
        let Some(agent) = self.agents.get(agent) else { return };
        for line in agent.seats.keys() {
            if self.lines.get(line).is_some_and(|line| !line.order.is_empty()) {
                self.dirty.insert(line.clone());
            }
        }
    }

    pub(super) fn seat_mut(&mut self, agent: &AgentKey, line: &LineKey) -> Option<&mut Seat> {
        self.agents.get_mut(agent)?.seats.get_mut(line)
    }
}
