//! How callers leave: hanging up, talked to, or by an exit (waited too long, nobody there, closed …).

use std::time::Duration;
use std::time::Instant;

use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::queue::Drain;
use crate::model::queue::JoinPolicy;
use crate::switch::queue::Deadline;
use crate::switch::queue::ExitReason;
use crate::switch::queue::Left;
use crate::switch::queue::OfferId;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::switch::queue::join::Staff;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Stage;
use crate::switch::queue::tier;
use crate::time::Now;

/// After the longest wait, what rings may ring on for so long at most.
const LAST_CHANCE: Duration = Duration::from_secs(10);
/// Whoever hangs up earlier did not really wait.
const SHORT: Duration = Duration::from_secs(5);
/// Between two callers who leave a line without agents: ten a second.
const EVICT_EVERY: Duration = Duration::from_millis(100);

impl Queues {
    /// A caller goes; who rings for them stops in the same turn, and no miss is counted.
    pub(super) fn on_leave(&mut self, now: Now, call: CallId, why: Left) {
        let Some(entry) = self.entries.get(&call) else { return };
        if let Stage::Talking { .. } = entry.stage {
            return self.end_talk(now, call);
        }
        if entry.callback.is_some() {
            return match (&entry.stage, why) {
                // Whoever is being dialled and hangs up was not reached.
                (Stage::Connecting(_), Left::HungUp) => self.on_callback_failed(now, call),
                (Stage::Waiting | Stage::Connecting(_) | Stage::Talking { .. }, _) => {
                    self.drop_kept(now, call, "callback_cancelled");
                }
            };
        }
        let wait = entry.waited(now);
        let withdrawn = match why {
            Left::HungUp => Withdrawn::CallerGone,
            Left::Key | Left::System => Withdrawn::Exit,
        };
        let Some(entry) = self.remove(now, call, &withdrawn) else { return };
        if let (Left::HungUp, Some(number)) = (why, entry.number)
            && let Some(line) = self.lines.get_mut(&entry.line)
            && !line.rules.rejoin.is_zero()
        {
            line.hung_up.keep_for(number, entry.place.since, now.utc, line.rules.rejoin);
        }
        match why {
            Left::HungUp => self.abandoned(call, &entry.line, wait),
            Left::Key => self.overflowed(call, &entry.line, "key", wait),
            Left::System => self.overflowed(call, &entry.line, "system", wait),
        }
    }

    /// A caller takes an exit; nothing happens when an agent has answered.
    pub(super) fn exit(&mut self, now: Now, call: CallId, exit: ExitReason) {
        let Some(entry) = self.entries.get(&call).filter(|entry| entry.stage == Stage::Waiting) else {
            return;
        };
        if entry.callback.is_some() {
            return self.drop_kept(now, call, exit.as_str());
        }
        let (wait, since, key) = (entry.waited(now), entry.place.since, entry.line.clone());
        let withdrawn = if exit == ExitReason::NoAnswer { Withdrawn::NoAnswer } else { Withdrawn::Exit };
        self.remove(now, call, &withdrawn);
        self.overflowed(call, &key, exit.as_str(), wait);
        self.outputs.push_back(Output::Exit { entry: call, line: key, exit, waited_since: since });
    }

    /// A caller takes an exit instead of joining.
    pub(super) fn turned_away(&mut self, call: CallId, key: &LineKey, exit: ExitReason, since: Instant) {
        let fields = out(exit.as_str(), Duration::ZERO);
        self.tell_with(call, key, "queue.turned_away", format!("{exit}: not let in"), fields);
        self.outputs.push_back(Output::Exit { entry: call, line: key.clone(), exit, waited_since: since });
    }

    /// The longest wait is over. In a queue what rings gets a last chance; a group's time is total.
    pub(super) fn on_max_wait(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let group = match self.lines.get(&entry.line) {
            Some(line) => line.rules.group,
            None => false,
        };
        match entry.stage {
            // An agent has answered: looked at again should they drop before the bridge.
            Stage::Talking { .. } | Stage::Connecting(_) => {}
            Stage::Waiting if entry.callback.is_some() => self.drop_kept(now, call, "callback_expired"),
            Stage::Waiting if group => self.exit(now, call, ExitReason::NoAnswer),
            Stage::Waiting if entry.last_chance || entry.offers.is_empty() => {
                self.exit(now, call, ExitReason::Timeout);
            }
            Stage::Waiting => {
                entry.last_chance = true;
                self.timers.set(Deadline::MaxWait(call), now.mono + LAST_CHANCE);
            }
        }
    }

    /// Sets when the longest wait of a caller is over, counted from joining; none when it lasts for ever.
    pub(super) fn arm_max_wait(&mut self, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let Some(rules) = self.rules(&entry.line) else { return };
        if entry.callback.is_some() {
            return;
        }
        match entry.ring.filter(|_| rules.group).or(rules.max_wait) {
            Some(max_wait) => self.timers.set(Deadline::MaxWait(call), entry.entered + max_wait),
            None => {
                self.timers.clear(&Deadline::MaxWait(call));
            }
        }
    }

    /// Starts or stops the grace of a line whose last agent has gone while callers wait.
    pub(super) fn review_staff(&mut self, now: Now, key: &LineKey) {
        let Some(line) = self.lines.get(key) else { return };
        let nobody_waits = self.living(line).next().is_none();
        if line.rules.join == JoinPolicy::Always || nobody_waits || self.staff(key) == Staff::Somebody {
            self.timers.clear(&Deadline::Grace(key.clone()));
            self.timers.clear(&Deadline::Evict(key.clone()));
            return;
        }
        let running = self.timers.get(&Deadline::Evict(key.clone())).is_some();
        let grace = Deadline::Grace(key.clone());
        if !running && self.timers.get(&grace).is_none() {
            self.timers.set(grace, now.mono + line.rules.leave_grace);
        }
    }

    /// The first in order leaves a line without agents, and the next one a little later.
    pub(super) fn evict_one(&mut self, now: Now, key: &LineKey) {
        let first = self.lines.get(key).and_then(|line| self.living(line).next());
        let Some(call) = first else { return };
        // Set first: it tells `review_staff` that the grace is over, and goes when the line is empty.
        self.timers.set(Deadline::Evict(key.clone()), now.mono + EVICT_EVERY);
        let exit = match self.staff(key) {
            Staff::AllPaused => ExitReason::AllPaused,
            Staff::Nobody | Staff::Somebody => ExitReason::Nobody,
        };
        self.exit(now, call, exit);
    }

    /// A queue's hours begin or end; `immediate` when those who wait shall not wait on.
    pub(super) fn on_hours(&mut self, now: Now, key: &LineKey, open: bool, immediate: bool) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let changed = line.open != open;
        line.open = open;
        if open {
            line.shut = false;
            self.timers.clear(&Deadline::Drain(key.clone()));
            // Who is to be called back within the hours may be, from now on.
            if changed {
                self.dirty.insert(key.clone());
            }
            return;
        }
        if immediate {
            return self.shut(now, key);
        }
        if !changed {
            return;
        }
        match line.rules.drain {
            Drain::Finish => {}
            Drain::ExitNow => self.shut(now, key),
            Drain::ExitAfter(after) => self.timers.set(Deadline::Drain(key.clone()), now.mono + after),
        }
    }

    /// Nobody may wait any longer: everybody leaves, in order.
    pub(super) fn shut(&mut self, now: Now, key: &LineKey) {
        self.timers.clear(&Deadline::Drain(key.clone()));
        if let Some(line) = self.lines.get_mut(key) {
            line.shut = true;
        }
        self.exit_all(now, key, ExitReason::Closed);
    }

    /// Everybody who waits takes the exit, in order; a place kept for a call-back outlasts the hours.
    pub(super) fn exit_all(&mut self, now: Now, key: &LineKey, exit: ExitReason) {
        let Some(line) = self.lines.get(key) else { return };
        let leaving: Vec<CallId> = match exit {
            ExitReason::Closed => self.living(line).collect(),
            ExitReason::Timeout
            | ExitReason::Full
            | ExitReason::Nobody
            | ExitReason::AllPaused
            | ExitReason::Gone
            | ExitReason::Busy
            | ExitReason::NoAnswer
            | ExitReason::RejectedByAll
            | ExitReason::CallbackTaken => line.order.values().copied().collect(),
        };
        for call in leaving {
            self.exit(now, call, exit);
        }
    }

    /// Sets when the next tier counts for a caller by time.
    pub(super) fn arm_tier(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let Some(rules) = self.rules(&entry.line) else { return };
        if let Some(after) = tier::next_after(rules.tiers.len(), entry.waited(now), rules.tier_after) {
            self.timers.set(Deadline::Tier(call), entry.entered + after);
        }
    }

    /// The next tier counts.
    pub(super) fn on_tier(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        self.dirty.insert(entry.line.clone());
        self.arm_tier(now, call);
    }

    /// Takes a caller out, with all offers and deadlines.
    pub(super) fn remove(&mut self, now: Now, call: CallId, why: &Withdrawn) -> Option<Entry> {
        let offers: Vec<OfferId> = self.entries.get(&call)?.offers.iter().copied().collect();
        for id in offers {
            self.withdraw(now, id, why.clone());
        }
        let entry = self.entries.remove(&call)?;
        self.unarm(call);
        if let Some(line) = self.lines.get_mut(&entry.line) {
            line.order.remove(&entry.place);
        }
        self.unarm_line(&entry.line);
        Some(entry)
    }

    /// Clears every deadline of a caller.
    pub(super) fn unarm(&mut self, call: CallId) {
        for deadline in [
            Deadline::Guard(call),
            Deadline::MaxWait(call),
            Deadline::Retry(call),
            Deadline::Tier(call),
            Deadline::Widen(call),
            Deadline::Prefer(call),
            Deadline::CallbackOffer(call),
            Deadline::CallbackRetry(call),
            Deadline::Place(call),
            Deadline::Comfort(call),
            Deadline::Counted(call),
        ] {
            self.timers.clear(&deadline);
        }
    }

    /// Nobody waits any longer: nobody needs a grace.
    pub(super) fn unarm_line(&mut self, key: &LineKey) {
        if self.lines.get(key).is_none_or(|line| self.living(line).next().is_none()) {
            self.timers.clear(&Deadline::Grace(key.clone()));
            self.timers.clear(&Deadline::Evict(key.clone()));
        }
    }

    /// A caller went before an agent had them for a second.
    pub(super) fn abandoned(&mut self, call: CallId, key: &LineKey, wait: Duration) {
        let result = if wait < SHORT { "short_abandoned" } else { "abandoned" };
        let why = format!("{result}: after {} s", wait.as_secs());
        self.tell_with(call, key, "queue.abandoned", why, out(result, wait));
    }

    /// A caller left in any other way.
    pub(super) fn overflowed(&mut self, call: CallId, key: &LineKey, result: &'static str, wait: Duration) {
        let why = format!("{result}: after {} s", wait.as_secs());
        self.tell_with(call, key, "queue.overflowed", why, out(result, wait));
    }
}

/// What is told of a caller who leaves without an agent.
fn out(result: &'static str, wait: Duration) -> Fields {
    Fields { result: Some(result.into()), wait_ms: Some(millis(wait)), ..Fields::default() }
}

/// For the log.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
