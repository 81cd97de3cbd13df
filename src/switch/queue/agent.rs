//! Agents: what is known of each, and the state that follows from it.
//!
//! The state is derived at each question and never stored, so that no agent can be stuck in one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::civil::Date;

use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::switch::queue::Deadline;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::time::Now;

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
    Unreachable,
    /// On pause, with the reason.
    Paused(Arc<str>),
    /// Not to be disturbed, or forwarded.
    Absent(&'static str),
    /// Offered this caller.
    Ringing(CallId),
    /// In a call, or their phone said so a moment ago.
    Busy,
    /// Wrapping up until then.
    WrapUp(Instant),
    /// Free since then.
    Ready(Instant),
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentState::Offline => f.write_str("logged out"),
            AgentState::Unreachable => f.write_str("unreachable"),
            AgentState::Paused(reason) => write!(f, "paused ({reason})"),
            AgentState::Absent(why) => write!(f, "absent ({why})"),
            AgentState::Ringing(_) => f.write_str("ringing"),
            AgentState::Busy => f.write_str("busy"),
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
    pub(super) paused: Option<Arc<str>>,
    /// When the agent was last made ready by anything but the end of an offer that somebody else ended. A miss
    /// or a refusal counts, so that `longest-idle` does not start each call with a phone nobody answers.
    pub(super) idle_since: Instant,
    /// Agent-wide, whatever queue it came from.
    pub(super) wrap_up: Option<Instant>,
    /// A phone said busy or could not be reached: not rung until then.
    pub(super) backoff: Option<(Instant, Backoff)>,
}

/// An agent's seat at one line.
#[derive(Debug)]
pub(super) struct Seat {
    /// As somebody set it; else the line's `auto_login`.
    pub(super) login: Option<bool>,
    /// When that was.
    pub(super) login_at: Instant,
    /// Missed calls in a row.
    pub(super) misses: u32,
    /// Work of one day.
    pub(super) tally: Tally,
}

impl Seat {
    pub(super) fn new(now: Now) -> Seat {
        Seat { login: None, login_at: now.mono, misses: 0, tally: Tally::default() }
    }
}

/// What an agent did for one line on one day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    day: Option<Date>,
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
            idle_since: now.mono,
            wrap_up: None,
            backoff: None,
        }
    }
}

impl Queues {
    /// What `agent` is to `line` at this moment.
    pub fn state(&self, now: Now, agent: &AgentKey, line: &LineKey) -> AgentState {
        let (Some(who), Some(rules)) = (self.agents.get(agent), self.rules(line)) else {
            return AgentState::Offline;
        };
        let Some(seat) = who.seats.get(line).filter(|seat| seat.login.unwrap_or(rules.auto_login)) else {
            return AgentState::Offline;
        };
        let backoff = who.backoff.filter(|(until, _)| *until > now.mono).map(|(_, why)| why);
        if !who.facts.reachable || backoff == Some(Backoff::Unreachable) {
            return AgentState::Unreachable;
        }
        if let Some(reason) = &who.paused {
            return AgentState::Paused(reason.clone());
        }
        if who.facts.do_not_disturb {
            return AgentState::Absent("do not disturb");
        }
        if who.facts.absent {
            return AgentState::Absent("away");
        }
        if who.facts.forwarded {
            return AgentState::Absent("forwarded");
        }
        if let Some(offer) = self.reserved.get(agent).and_then(|offer| self.offers.get(offer)) {
            return if offer.answered { AgentState::Busy } else { AgentState::Ringing(offer.entry) };
        }
        let in_call = who.facts.in_call && !rules.ring_busy;
        if in_call || self.talks.contains_key(agent) || backoff == Some(Backoff::Busy) {
            return AgentState::Busy;
        }
        if let Some(until) = who.wrap_up.filter(|until| *until > now.mono) {
            return AgentState::WrapUp(until);
        }
        AgentState::Ready(who.idle_since.max(seat.login_at))
    }

    /// Whether `agent` is logged in at `line`.
    pub fn logged_in(&self, agent: &AgentKey, line: &LineKey) -> bool {
        let (Some(who), Some(rules)) = (self.agents.get(agent), self.rules(line)) else { return false };
        who.seats.get(line).is_some_and(|seat| seat.login.unwrap_or(rules.auto_login))
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

    /// Pauses an agent, or ends the pause.
    pub(super) fn on_pause(&mut self, now: Now, key: &AgentKey, reason: Option<Arc<str>>, by: Source) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let paused = reason.is_some();
        if !paused {
            agent.seats.values_mut().for_each(|seat| seat.misses = 0);
        }
        if agent.paused == reason {
            return;
        }
        agent.paused = reason.clone();
        if !paused {
            agent.idle_since = now.mono;
        }
        self.outputs.push_back(Output::Change(Change::AgentPaused {
            agent: key.clone(),
            reason,
            by,
            at: now.utc,
        }));
        if paused {
            self.withdraw_from(now, key, Withdrawn::LoggedOut, |_| true);
        }
        for line in self.lines_of(key) {
            self.review_staff(now, &line);
        }
        self.touch_agent(key);
    }

    /// Starts an agent's wrap-up; none when it lasts no time.
    pub(super) fn start_wrap_up(&mut self, now: Now, key: &AgentKey, lasts: Duration) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.idle_since = now.mono;
        if lasts > Duration::ZERO {
            let until = now.mono + lasts;
            agent.wrap_up = Some(until);
            self.timers.set(Deadline::WrapUp(key.clone()), until);
        }
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

    /// An offer rang out: counts the miss, and pauses the agent after too many in a row, never silently.
    pub(super) fn count_miss(&mut self, now: Now, key: &AgentKey, line: &LineKey, entry: CallId) {
        let limit = self.rules(line).map_or(0, |rules| rules.auto_pause);
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.idle_since = now.mono;
        let Some(seat) = agent.seats.get_mut(line) else { return };
        seat.misses = seat.misses.saturating_add(1);
        let misses = seat.misses;
        if limit == 0 || misses < limit || agent.paused.is_some() {
            return;
        }
        let fields = Fields { agent: Some(key.user.clone()), ..Fields::default() };
        let why = format!("no_answer: {} missed {misses} in a row", key.user);
        self.tell_with(entry, line, "agent.auto_paused", why, fields);
        let by = Source::Auto(format!("auto_pause: {misses} missed calls in a row, {}", line.line).into());
        self.on_pause(now, key, Some("no_answer".into()), by);
    }

    /// The lines an agent is listed in.
    pub(super) fn lines_of(&self, agent: &AgentKey) -> Vec<LineKey> {
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
