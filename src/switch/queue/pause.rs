//! Pauses: set by the agent or by somebody else, with an end or without, or set by the engine after missed calls.
//!
//! One that the engine sets holds where the calls were missed, or everywhere when the queue says so. None is
//! silent: each is a `Change`, says who set it and why, and stands in what people see until it ends.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::queue::Misses;
use crate::switch::queue::Deadline;
use crate::switch::queue::Failure;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::time::Now;

/// An agent's pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub reason: Arc<str>,
    /// Ends by itself.
    pub until: Option<Timestamp>,
    /// Who set it; `Source::Auto` says after what.
    pub by: Source,
}

impl Queues {
    /// The pause that keeps an agent from calls of a line: of the agent, else of the seat.
    pub fn pause_of(&self, agent: &AgentKey, line: &LineKey) -> Option<&Pause> {
        let agent = self.agents.get(agent)?;
        agent.paused.as_ref().or_else(|| agent.seats.get(line)?.paused.as_ref())
    }

    /// The pauses that the engine itself has put an agent on, with the line or none for everywhere: the agent must
    /// be told, since nobody asked for them.
    pub fn notices<'a>(&'a self, agent: &AgentKey) -> impl Iterator<Item = (Option<&'a LineKey>, &'a Pause)> {
        let agent = self.agents.get(agent);
        let whole = agent.and_then(|agent| agent.paused.as_ref()).map(|pause| (None, pause));
        let seats = agent.into_iter().flat_map(|agent| &agent.seats);
        let single = seats.filter_map(|(line, seat)| Some((Some(line), seat.paused.as_ref()?)));
        whole.into_iter().chain(single).filter(|(_, pause)| matches!(pause.by, Source::Auto(_)))
    }

    /// Pauses an agent, or ends every pause of theirs.
    pub(super) fn on_pause(
        &mut self,
        now: Now,
        key: &AgentKey,
        reason: Option<Arc<str>>,
        until: Option<Timestamp>,
        by: Source,
    ) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        // Somebody has looked at it: misses count anew.
        agent.misses = 0;
        agent.seats.values_mut().for_each(|seat| seat.misses = 0);
        match reason {
            // One that has ended before it begins is none.
            Some(_) if until.is_some_and(|until| until <= now.utc) => {}
            Some(reason) => self.set_pause(now, key, None, Some(Pause { reason, until, by: by.clone() }), by),
            None => {
                for line in self.lines_of(key) {
                    self.set_pause(now, key, Some(&line), None, by.clone());
                }
                self.set_pause(now, key, None, None, by);
            }
        }
    }

    /// A pause has lasted as long as it was meant to.
    pub(super) fn on_pause_end(&mut self, now: Now, key: &AgentKey, line: Option<&LineKey>) {
        self.set_pause(now, key, line, None, Source::Auto("its time is over".into()));
    }

    /// Sets or ends the pause of an agent, everywhere or at one line.
    pub(super) fn set_pause(
        &mut self,
        now: Now,
        key: &AgentKey,
        line: Option<&LineKey>,
        pause: Option<Pause>,
        by: Source,
    ) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let place = match line {
            None => &mut agent.paused,
            Some(line) => match agent.seats.get_mut(line) {
                Some(seat) => &mut seat.paused,
                None => return,
            },
        };
        let same = |a: &Pause, b: &Pause| a.reason == b.reason && a.until == b.until;
        match (&place, &pause) {
            (None, None) => return,
            (Some(old), Some(new)) if same(old, new) => return,
            (Some(_) | None, Some(_)) | (Some(_), None) => {}
        }
        *place = pause.clone();
        if pause.is_none() {
            agent.idle_since = now.mono;
        }
        self.arm_pause_end(now, key, line);
        self.outputs.push_back(Output::Change(Change::AgentPaused {
            agent: key.clone(),
            line: line.cloned(),
            reason: pause.as_ref().map(|pause| Arc::clone(&pause.reason)),
            until: pause.as_ref().and_then(|pause| pause.until),
            by,
            at: now.utc,
        }));
        let lines = match line {
            Some(line) => vec![line.clone()],
            None => self.lines_of(key),
        };
        if pause.is_some() && self.offer_of(key).is_some_and(|offer| lines.contains(&offer.line)) {
            self.withdraw_from(now, key, Withdrawn::LoggedOut, |_| true);
        }
        for line in lines {
            self.review_staff(now, &line);
        }
        self.touch_agent(key);
    }

    /// Sets when a pause ends by itself, by the clock on the wall.
    pub(super) fn arm_pause_end(&mut self, now: Now, key: &AgentKey, line: Option<&LineKey>) {
        let agent = self.agents.get(key);
        let pause = match line {
            None => agent.and_then(|agent| agent.paused.as_ref()),
            Some(line) => agent.and_then(|agent| agent.seats.get(line)?.paused.as_ref()),
        };
        let deadline = Deadline::PauseEnd(key.clone(), line.cloned());
        match pause.and_then(|pause| pause.until) {
            Some(until) => {
                let left = Duration::try_from(until.duration_since(now.utc)).unwrap_or(Duration::ZERO);
                self.timers.set(deadline, now.mono + left.min(LONGEST_PAUSE));
            }
            None => {
                self.timers.clear(&deadline);
            }
        }
    }

    /// A vain attempt: counts the miss where its kind counts, and pauses the agent after too many in a row, aloud.
    pub(super) fn count_miss(
        &mut self,
        now: Now,
        key: &AgentKey,
        line: &LineKey,
        entry: CallId,
        failure: Failure,
    ) {
        let Some(rules) = self.rules(line).map(|rules| rules.auto_pause) else { return };
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.idle_since = now.mono;
        if !counts(rules.on, failure) {
            return;
        }
        agent.misses = agent.misses.saturating_add(1);
        let Some(seat) = agent.seats.get_mut(line) else { return };
        seat.misses = seat.misses.saturating_add(1);
        let misses = if rules.everywhere { agent.misses } else { seat.misses };
        if rules.after == 0 || misses < rules.after || self.pause_of(key, line).is_some() {
            return;
        }
        let code = failure.as_str();
        let fields = Fields { agent: Some(key.user.clone()), result: Some(code.into()), ..Fields::default() };
        let why = format!("{code}: {} missed {misses} in a row", key.user);
        self.tell_with(entry, line, "agent.auto_paused", why, fields);
        let by = Source::Auto(format!("auto_pause: {misses} missed calls in a row, {}", line.line).into());
        let until = rules.return_after.map(|after| now.utc + after);
        let pause = Pause { reason: code.into(), until, by: by.clone() };
        let scope = (!rules.everywhere).then_some(line);
        self.set_pause(now, key, scope, Some(pause), by);
    }
}

/// A timer is not set further ahead than this; no pause is meant to last longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(366 * 86_400);

fn counts(on: Misses, failure: Failure) -> bool {
    match failure {
        Failure::NoAnswer => on.no_answer,
        Failure::Rejected => on.rejected,
        Failure::Busy => on.busy,
        Failure::Unreachable => on.unreachable,
        Failure::Error => false,
    }
}
