//! Call-backs: a caller hangs up, and the place in the line waits on.
//!
//! The kept place is the caller's own entry under a name that no call has. When it is served, an agent is rung
//! first; once that agent has answered, the caller is dialled: at most one attempt at a time, and never more
//! callers being dialled than agents who wait for them. A caller who rings in meanwhile gets the kept place.

use std::time::Duration;
use std::time::Instant;

use crate::model::change::Change;
use crate::model::change::KeptPlace;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::id::NodeId;
use crate::model::id::Number;
use crate::switch::queue::Announcement;
use crate::switch::queue::Deadline;
use crate::switch::queue::ExitReason;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::switch::queue::announce::Said;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Kept;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Place;
use crate::switch::queue::line::Stage;
use crate::time::Now;

/// The node of names that no call has.
const NO_CALL: NodeId = NodeId(u16::MAX);
/// Places kept in one line at most.
const KEPT_MAX: usize = 1_000;
/// A place is kept for so long at most.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

impl Queues {
    /// Whether a waiting caller may be offered, or ask for, a call-back.
    ///
    /// # Errors
    ///
    /// Says what hinders, in a reason code with words behind it.
    pub fn may_call_back(&self, now: Now, call: CallId) -> Result<(), String> {
        let entry = self.entries.get(&call).filter(|entry| entry.stage == Stage::Waiting);
        let Some(entry) = entry.filter(|entry| entry.callback.is_none()) else {
            return Err("not_waiting: the caller does not wait".to_owned());
        };
        let Some(line) = self.lines.get(&entry.line) else {
            return Err("gone: the queue is gone".to_owned());
        };
        let Some(rules) = line.rules.callback else {
            return Err("no_callback: the queue offers none".to_owned());
        };
        let waited = entry.waited(now);
        if waited < rules.offer_after {
            return Err(format!("too_early: after {} s", rules.offer_after.as_secs()));
        }
        let rank = line.rank(&entry.place);
        if rank < rules.min_position {
            return Err(format!("soon_served: place {rank}, offered from {} on", rules.min_position));
        }
        let kept = line.order.len() - self.living(line).count();
        if kept >= KEPT_MAX {
            return Err(format!("full: {kept} places are kept"));
        }
        Ok(())
    }

    /// A waiting caller asks to be called back on `number`: the call leaves, the place stays.
    pub(super) fn on_keep_place(&mut self, now: Now, call: CallId, number: Number) {
        let Some(key) = self.entries.get(&call).map(|entry| entry.line.clone()) else { return };
        let taken = self.callbacks.contains_key(&(key.clone(), number.clone()));
        let refused = match self.may_call_back(now, call) {
            Ok(()) if taken => Some("twice: a place is kept for this number".to_owned()),
            Ok(()) => None,
            Err(why) => Some(why),
        };
        if let Some(why) = refused {
            return self.tell(call, &key, "queue.callback_refused", why);
        }
        let offers: Vec<_> =
            self.entries.get(&call).map(|entry| entry.offers.iter().copied().collect()).unwrap_or_default();
        for id in offers {
            self.withdraw(now, id, Withdrawn::CallerGone);
        }
        self.quiet(call);
        self.unarm(call);
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let since = entry.place.since;
        let waited = now.mono.saturating_duration_since(since);
        entry.number = Some(number.clone());
        entry.callback =
            Some(Kept { number: number.clone(), attempts: 0, not_before: None, since: now.utc - waited });
        entry.last_chance = false;
        // A new beginning: agents were tried for a caller on the line.
        entry.tried.clear();
        entry.rung_since = None;
        entry.prefers = None;
        let name = self.uncarried_name();
        self.rename(call, name);
        self.callbacks.insert((key.clone(), number), name);
        self.timers.set(Deadline::MaxWait(name), now.mono + KEPT_FOR);
        self.arm_tier(now, name);
        self.note_kept(now, name);
        self.tell(call, &key, "queue.callback_taken", "kept: the place waits on".to_owned());
        let exit = ExitReason::CallbackTaken;
        self.outputs.push_back(Output::Exit { entry: call, line: key.clone(), exit, waited_since: since });
        self.unarm_line(&key);
        self.dirty.insert(key);
    }

    /// A call carries a kept place that is being offered.
    pub(super) fn on_carried_by(&mut self, entry: CallId, call: CallId) {
        let kept = self.entries.get(&entry).is_some_and(|entry| entry.callback.is_some());
        if kept && !self.entries.contains_key(&call) {
            self.rename(entry, call);
        }
    }

    /// The caller did not answer, or could not be dialled: the agent is free at once, and has missed nothing.
    pub(super) fn on_callback_failed(&mut self, now: Now, call: CallId) {
        let Some(&Stage::Connecting(winner)) = self.entries.get(&call).map(|entry| &entry.stage) else {
            return;
        };
        if self.entries.get(&call).is_none_or(|entry| entry.callback.is_none()) {
            return;
        }
        self.close_offer(winner);
        self.not_reached(now, call);
    }

    /// An attempt has failed: the next one by the rules, or none.
    pub(super) fn not_reached(&mut self, now: Now, call: CallId) {
        self.timers.clear(&Deadline::Guard(call));
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let key = entry.line.clone();
        entry.stage = Stage::Waiting;
        let (Some(kept), Some(line)) = (entry.callback.as_mut(), self.lines.get_mut(&key)) else {
            return self.drop_kept(now, call, "gone");
        };
        // Whoever took the key out of the configuration meant those to come.
        let rules = line.rules.callback.unwrap_or_default();
        let next = now.mono + rules.retry;
        kept.not_before = Some(next);
        let attempts = kept.attempts;
        line.order.insert(entry.place, call);
        if attempts >= rules.attempts {
            return self.drop_kept(now, call, "callback_failed");
        }
        self.timers.set(Deadline::CallbackRetry(call), next);
        self.arm_tier(now, call);
        self.arm_widening(now, call);
        self.note_kept(now, call);
        let why = format!(
            "not_reached: attempt {attempts} of {}, again in {} s",
            rules.attempts,
            rules.retry.as_secs()
        );
        self.tell(call, &key, "queue.callback_missed", why);
        self.dirty.insert(key);
    }

    /// Whether a kept place may be offered to an agent now.
    pub(super) fn may_serve_kept(&self, now: Now, line: &Line, entry: &Entry) -> bool {
        let Some(kept) = &entry.callback else { return true };
        let within_hours = line.rules.callback.unwrap_or_default().within_hours;
        let due = kept.not_before.is_none_or(|at| at <= now.mono);
        due && (line.open || !within_hours)
    }

    /// The place kept for a number, if there is one.
    pub(super) fn kept_place(&self, key: &LineKey, number: Option<&Number>) -> Option<CallId> {
        self.callbacks.get(&(key.clone(), number?.clone())).copied()
    }

    /// The caller rings in: the kept place is given up for the live call. Returns the place, and the priority.
    pub(super) fn merge(&mut self, now: Now, kept: CallId) -> Option<(Place, Option<i32>)> {
        let entry = self.entries.get(&kept)?;
        let (place, priority) = (entry.place, entry.priority);
        self.forget_kept(now, kept);
        self.remove(now, kept, &Withdrawn::CallerGone)?;
        Some((place, priority))
    }

    /// A kept place is given up for good: not reached, too old, the queue is gone, or somebody said so.
    pub(super) fn drop_kept(&mut self, now: Now, call: CallId, result: &'static str) {
        self.forget_kept(now, call);
        let Some(entry) = self.remove(now, call, &Withdrawn::CallerGone) else { return };
        let wait = entry.waited(now);
        self.overflowed(call, &entry.line, result, wait);
    }

    /// The place is no longer one that is kept; lets it be known.
    pub(super) fn forget_kept(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let Some(kept) = &entry.callback else { return };
        let (line, number) = (entry.line.clone(), kept.number.clone());
        self.callbacks.remove(&(line.clone(), number.clone()));
        self.outputs.push_back(Output::Change(Change::Callback { line, number, kept: None, at: now.utc }));
    }

    /// Lets it be known how a kept place stands.
    pub(super) fn note_kept(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let Some(kept) = &entry.callback else { return };
        let on_the_wall = |at: Instant| now.utc + at.saturating_duration_since(now.mono);
        let place = KeptPlace {
            since: kept.since,
            priority: entry.priority,
            attempts: kept.attempts,
            not_before: kept.not_before.map(on_the_wall),
        };
        let change = Change::Callback {
            line: entry.line.clone(),
            number: kept.number.clone(),
            kept: Some(place),
            at: now.utc,
        };
        self.outputs.push_back(Output::Change(change));
    }

    /// Sets when call-back is offered to a caller.
    pub(super) fn arm_callback_offer(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let Some(rules) = self.rules(&entry.line).and_then(|rules| rules.callback) else { return };
        if entry.callback.is_none() && !entry.said.callback {
            let at = (entry.entered + rules.offer_after).max(now.mono);
            self.timers.set(Deadline::CallbackOffer(call), at);
        }
    }

    /// Call-back is offered, once, to those who have it worth their while.
    pub(super) fn on_callback_offer_due(&mut self, now: Now, call: CallId) {
        if self.may_call_back(now, call).is_err() {
            return;
        }
        let Some(entry) = self.entries.get_mut(&call) else { return };
        if entry.said.speaking {
            entry.said.callback_owed = true;
            return;
        }
        entry.said.callback = true;
        self.say(call, vec![Announcement::Callback]);
    }

    /// A kept place that is offered anew gets a name of its own again: the call that carried it may be over.
    pub(super) fn rename_uncarried(&mut self, call: CallId) -> CallId {
        let fresh = |entry: &Entry| entry.callback.is_some() && entry.offers.is_empty();
        if call.node == NO_CALL || !self.entries.get(&call).is_some_and(fresh) {
            return call;
        }
        let name = self.uncarried_name();
        self.rename(call, name);
        name
    }

    /// A name that no call has.
    pub(super) fn uncarried_name(&mut self) -> CallId {
        self.next_seq += 1;
        CallId { node: NO_CALL, seq: self.next_seq }
    }

    /// Gives an entry another name, wherever the old one stands.
    fn rename(&mut self, old: CallId, new: CallId) {
        let Some(mut entry) = self.entries.remove(&old) else { return };
        if entry.stage == Stage::Waiting
            && let Some(line) = self.lines.get_mut(&entry.line)
        {
            line.order.insert(entry.place, new);
        }
        for id in &entry.offers {
            if let Some(offer) = self.offers.get_mut(id) {
                offer.entry = new;
            }
        }
        if let Some(kept) = &entry.callback
            && let Some(name) = self.callbacks.get_mut(&(entry.line.clone(), kept.number.clone()))
        {
            *name = new;
        }
        entry.said = Said::default();
        self.entries.insert(new, entry);
        let deadlines: [fn(CallId) -> Deadline; 6] = [
            Deadline::Guard,
            Deadline::MaxWait,
            Deadline::Retry,
            Deadline::Tier,
            Deadline::Widen,
            Deadline::CallbackRetry,
        ];
        for deadline in deadlines {
            let (from, to) = (deadline(old), deadline(new));
            if let Some(at) = self.timers.get(&from) {
                self.timers.clear(&from);
                self.timers.set(to, at);
            }
        }
    }
}
