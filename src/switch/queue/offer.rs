//! Offers: an agent rung for a caller, from the ringing to the bridge.
//!
//! An offer in the table is the agent's reservation; when it leaves the table the agent is free. The first
//! answer that is processed wins; the others ring on until the bridge stands, and take over if it fails.

use std::cmp::Reverse;
use std::time::Duration;
use std::time::Instant;

use crate::model::change::Change;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::queue::Strategy;
use crate::switch::queue::Deadline;
use crate::switch::queue::ExitReason;
use crate::switch::queue::Failure;
use crate::switch::queue::OfferId;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::switch::queue::agent::Backoff;
use crate::switch::queue::leave::millis;
use crate::switch::queue::line::Rules;
use crate::switch::queue::line::Stage;
use crate::switch::queue::line::Tried;
use crate::time::Now;

/// A phone that says nothing is taken to ring after this.
const RINGS_AFTER: Duration = Duration::from_secs(4);
/// Losers ring on behind a winner for so long at most.
const WINNER_GUARD: Duration = Duration::from_millis(300);
/// RFC 3261 §17.1.1.2: 64·T1, after which no answer to our INVITE can come.
const LATE_ANSWER: Duration = Duration::from_secs(32);
/// After a failure that may come at once, the same agent is not rung for the same caller before this: a phone
/// that refuses everything must not be rung without a pause.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// An agent rung for a caller.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) entry: CallId,
    pub(super) line: LineKey,
    pub(super) agent: AgentKey,
    sent: Instant,
    ring_max: Duration,
    ringing: bool,
    /// It won and waits for the bridge.
    pub(super) answered: bool,
    /// The agent asked for the caller.
    pub(super) taken: bool,
}

/// How long nobody is rung after what.
#[derive(Default)]
struct Pauses {
    /// None is for ever.
    reject: Option<Duration>,
    retry: Duration,
    busy: Duration,
    unreachable: Duration,
}

/// An offer taken back.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) offer: Offer,
    why: Withdrawn,
}

impl Queues {
    /// Rings `agent` for `entry`, because it is the agent's turn or because the agent takes the caller; tells the
    /// entry's name, which is another from here on when a call-back is offered anew.
    pub(super) fn make_offer(&mut self, now: Now, entry: CallId, agent: &AgentKey, taken: bool) -> CallId {
        let entry = self.rename_uncarried(entry);
        let Some(waiting) = self.entries.get_mut(&entry) else { return entry };
        let Some(line) = self.lines.get_mut(&waiting.line) else { return entry };
        let key = waiting.line.clone();
        self.next_offer += 1;
        let id = OfferId(self.next_offer);
        let ring_max = line.rules.ring_for(waiting.ring);
        let strategy = line.rules.strategy;
        let first = waiting.rung_since.is_none();
        let alone = waiting.offers.is_empty();
        waiting.offers.insert(id);
        waiting.rung_since.get_or_insert(now.mono);
        let callback = waiting.callback.as_ref().map(|kept| kept.number.clone());
        let offer = Offer {
            entry,
            line: key.clone(),
            agent: agent.clone(),
            sent: now.mono,
            ring_max,
            ringing: false,
            answered: false,
            taken,
        };
        match strategy {
            Strategy::RoundRobin if !taken => {
                self.rung_last.insert(key.clone(), agent.clone());
                let change = Change::RoundRobin { line: key.clone(), agent: agent.clone() };
                self.outputs.push_back(Output::Change(change));
            }
            Strategy::Random | Strategy::Weighted => line.dice = self.rng.bits(),
            Strategy::RingAll
            | Strategy::LongestIdle
            | Strategy::FewestCalls
            | Strategy::RoundRobin
            | Strategy::InOrder
            | Strategy::LeastTalk
            | Strategy::Widening
            | Strategy::Pull => {}
        }
        if first {
            self.arm_widening(now, entry);
        }
        self.timers.set(Deadline::Ring(id), now.mono + RINGS_AFTER + ring_max);
        self.reserved.insert(agent.clone(), id);
        self.offers.insert(id, offer);
        // Of several who are rung in one turn the first tells who is not.
        let passed = if alone { self.passed_over(now, entry, Some(agent)) } else { Vec::new() };
        let fields = Fields { agent: Some(agent.user.clone()), passed, ..Fields::default() };
        let code = if taken { "taken" } else { "offered" };
        self.tell_with(entry, &key, "queue.offered", format!("{code}: {}", agent.user), fields);
        let agent = agent.clone();
        self.outputs.push_back(Output::Offer { offer: id, line: key, entry, agent, ring_max, callback });
        entry
    }

    /// More agents may ring at once for a caller.
    pub(super) fn on_widen(&mut self, now: Now, call: CallId) {
        self.arm_widening(now, call);
        self.look_again(call);
    }

    /// Sets when more agents may ring for a caller than now, until all may.
    pub(super) fn arm_widening(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let (Some(since), Some(rules)) = (entry.rung_since, self.rules(&entry.line)) else { return };
        let most = u32::try_from(rules.members.len()).unwrap_or(u32::MAX);
        if rules.strategy == Strategy::Widening && entry.may_ring(now, rules) < most {
            let every = rules.widening.every.max(SHORTEST_PAUSE);
            let steps = now.mono.saturating_duration_since(since).as_nanos() / every.as_nanos();
            let next = every.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(1));
            self.timers.set(Deadline::Widen(call), since + next);
        }
    }

    /// The phone rings: its ring time starts here, or a little after the INVITE when it says so late.
    pub(super) fn on_ringing(&mut self, now: Now, id: OfferId) {
        let Some(offer) = self.offers.get_mut(&id).filter(|offer| !offer.ringing) else { return };
        offer.ringing = true;
        if !offer.answered {
            let starts = now.mono.min(offer.sent + RINGS_AFTER);
            self.timers.set(Deadline::Ring(id), starts + offer.ring_max);
        }
    }

    /// Somebody answered: the winner, or too late.
    pub(super) fn on_answered(&mut self, now: Now, id: OfferId) {
        let Some(offer) = self.offers.get(&id) else { return self.on_answered_late(now, id) };
        if offer.answered {
            return;
        }
        let winner = match self.entries.get(&offer.entry).map(|entry| &entry.stage) {
            Some(Stage::Waiting) => return self.win(now, id),
            Some(Stage::Connecting(winner)) => self.offers.get(winner).map(|winner| winner.agent.clone()),
            Some(Stage::Talking { .. }) | None => None,
        };
        let why = winner.map_or(Withdrawn::CallerGone, Withdrawn::AnsweredElsewhere);
        self.close_offer(id);
        self.outputs.push_back(Output::Refuse { offer: id, why });
    }

    /// An answer that crossed our CANCEL: it still wins when it rang out and everybody is still free for it.
    fn on_answered_late(&mut self, now: Now, id: OfferId) {
        self.timers.clear(&Deadline::Late(id));
        let Some(Late { offer, why }) = self.late.remove(&id) else {
            self.outputs.push_back(Output::Refuse { offer: id, why: Withdrawn::CallerGone });
            return;
        };
        // A call-back has no call any longer in which the agent could wait for it.
        let wanted = self.entries.get(&offer.entry).is_some_and(|entry| {
            entry.stage == Stage::Waiting && entry.line == offer.line && entry.callback.is_none()
        });
        let free = !self.reserved.contains_key(&offer.agent) && !self.talks.contains_key(&offer.agent);
        if why != Withdrawn::NoAnswer || !wanted || !free || !self.logged_in(&offer.agent, &offer.line) {
            self.outputs.push_back(Output::Refuse { offer: id, why });
            return;
        }
        self.reserved.insert(offer.agent.clone(), id);
        if let Some(entry) = self.entries.get_mut(&offer.entry) {
            entry.offers.insert(id);
        }
        self.offers.insert(id, offer);
        self.win(now, id);
    }

    /// The first answer: announcements stop, and the owner bridges.
    fn win(&mut self, now: Now, id: OfferId) {
        let Some(offer) = self.offers.get_mut(&id) else { return };
        offer.answered = true;
        let (call, line, agent) = (offer.entry, offer.line.clone(), offer.agent.clone());
        self.timers.clear(&Deadline::Ring(id));
        let Some(entry) = self.entries.get_mut(&call) else { return };
        entry.stage = Stage::Connecting(id);
        let place = entry.place;
        let rivals = entry.offers.len() > 1;
        let number = entry.callback.as_mut().map(|kept| {
            kept.attempts += 1;
            kept.number.clone()
        });
        let announces = self.lines.get_mut(&line).is_some_and(|line| {
            line.order.remove(&place);
            !line.rules.group
        });
        self.quiet(call);
        if let Some(number) = number {
            // Nobody is bridged for a while: the others need not ring on.
            self.withdraw_losers(now, call);
            self.note_kept(now, call);
            let fields = Fields { agent: Some(agent.user.clone()), ..Fields::default() };
            let why = format!("answered: {}, the caller is dialled", agent.user);
            self.tell_with(call, &line, "queue.callback_dialled", why, fields);
            self.outputs.push_back(Output::DialBack { offer: id, entry: call, agent, number });
            return self.unarm_line(&line);
        }
        if rivals {
            self.timers.set(Deadline::Guard(call), now.mono + WINNER_GUARD);
        }
        if announces {
            self.outputs.push_back(Output::Hush { entry: call });
        }
        self.outputs.push_back(Output::Connect { offer: id, entry: call, agent });
        self.unarm_line(&line);
    }

    /// An offer came to nothing.
    pub(super) fn on_failed(&mut self, now: Now, id: OfferId, failure: Failure) {
        if self.late.remove(&id).is_some() {
            self.timers.clear(&Deadline::Late(id));
            return;
        }
        let Some(offer) = self.close_offer(id) else { return };
        let Offer { entry, line, agent, answered, taken, sent, .. } = offer;
        let why = if answered { "dropped" } else { failure.as_str() };
        self.tell_refused(now, entry, &line, &agent, why, sent);
        let pauses = self.rules(&line).map(|rules| Pauses {
            reject: rules.reject_retry.map(|pause| pause.max(SHORTEST_PAUSE)),
            retry: rules.retry_delay.max(SHORTEST_PAUSE),
            busy: rules.busy_retry.max(SHORTEST_PAUSE),
            unreachable: rules.unreachable_retry.max(SHORTEST_PAUSE),
        });
        let pauses = pauses.unwrap_or_default();
        if answered {
            self.remember(now, entry, &agent, Some(pauses.retry));
            if self.entries.get(&entry).is_some_and(|entry| entry.callback.is_some()) {
                return self.not_reached(now, entry);
            }
            return self.return_to_wait(now, entry);
        }
        match failure {
            Failure::Busy => self.start_backoff(now, &agent, Backoff::Busy, pauses.busy),
            Failure::Unreachable | Failure::Error => {
                self.start_backoff(now, &agent, Backoff::Unreachable, pauses.unreachable);
            }
            Failure::Rejected => self.remember(now, entry, &agent, pauses.reject),
            Failure::NoAnswer => self.remember(now, entry, &agent, Some(pauses.retry)),
        }
        if !taken {
            self.count_miss(now, &agent, &line, entry, failure);
        }
        self.after_offer(now, entry);
    }

    /// An agent rang for the whole ring time.
    pub(super) fn on_rung_out(&mut self, now: Now, id: OfferId) {
        let Some(offer) = self.offers.get(&id) else { return };
        let (entry, line, agent, taken) = (offer.entry, offer.line.clone(), offer.agent.clone(), offer.taken);
        let sent = offer.sent;
        let retry = self.rules(&line).map_or(Duration::ZERO, |rules| rules.retry_delay);
        self.withdraw(now, id, Withdrawn::NoAnswer);
        self.tell_refused(now, entry, &line, &agent, "no_answer", sent);
        self.remember(now, entry, &agent, Some(retry));
        if !taken {
            self.count_miss(now, &agent, &line, entry, Failure::NoAnswer);
        }
        self.after_offer(now, entry);
    }

    /// Takes an offer back; its answer may still be on its way.
    pub(super) fn withdraw(&mut self, now: Now, id: OfferId, why: Withdrawn) {
        let Some(offer) = self.close_offer(id) else { return };
        if !offer.answered {
            self.late.insert(id, Late { offer, why: why.clone() });
            self.timers.set(Deadline::Late(id), now.mono + LATE_ANSWER);
        }
        self.outputs.push_back(Output::Withdraw { offer: id, why });
    }

    /// Takes back the offer that rings an agent, where the line's rules say so.
    pub(super) fn withdraw_from(
        &mut self,
        now: Now,
        agent: &AgentKey,
        why: Withdrawn,
        when: impl Fn(&Rules) -> bool,
    ) {
        let Some(&id) = self.reserved.get(agent) else { return };
        let Some(offer) = self.offers.get(&id).filter(|offer| !offer.answered) else { return };
        let entry = offer.entry;
        if self.rules(&offer.line).is_none_or(when) {
            self.withdraw(now, id, why);
            self.after_offer(now, entry);
        }
    }

    /// The others stop ringing: the winner has the caller.
    pub(super) fn withdraw_losers(&mut self, now: Now, entry: CallId) {
        let Some(waiting) = self.entries.get(&entry) else { return };
        let Stage::Connecting(winner) = waiting.stage else { return };
        let Some(by) = self.offers.get(&winner).map(|offer| offer.agent.clone()) else { return };
        let losers: Vec<OfferId> = waiting.offers.iter().copied().filter(|id| *id != winner).collect();
        for id in losers {
            self.withdraw(now, id, Withdrawn::AnsweredElsewhere(by.clone()));
        }
    }

    /// Tells that an offer came to nothing, after how long.
    fn tell_refused(
        &mut self,
        now: Now,
        entry: CallId,
        line: &LineKey,
        agent: &AgentKey,
        result: &'static str,
        sent: Instant,
    ) {
        let rung = now.mono.saturating_duration_since(sent);
        let fields = Fields {
            agent: Some(agent.user.clone()),
            result: Some(result.into()),
            ring_ms: Some(millis(rung)),
            ..Fields::default()
        };
        let why = format!("{result}: {} after {} s", agent.user, rung.as_secs());
        self.tell_with(entry, line, "queue.refused", why, fields);
    }

    /// Remembers a vain attempt, so that others go first; without a pause it is the last one.
    fn remember(&mut self, now: Now, call: CallId, agent: &AgentKey, pause: Option<Duration>) {
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let until = pause.map(|pause| now.mono + pause);
        let tried = entry.tried.entry(agent.clone()).or_insert(Tried { until, times: 0 });
        tried.until = until;
        tried.times = tried.times.saturating_add(1);
        let Some(until) = until else { return };
        if self.timers.get(&Deadline::Retry(call)).is_none_or(|at| at > until) {
            self.timers.set(Deadline::Retry(call), until);
        }
    }

    /// Some agent may be tried again for this caller.
    pub(super) fn on_retry(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let later = entry.tried.values().filter_map(|tried| tried.until).filter(|until| *until > now.mono);
        let next = later.min();
        self.dirty.insert(entry.line.clone());
        if let Some(next) = next {
            self.timers.set(Deadline::Retry(call), next);
        }
    }

    /// The winner dropped before the bridge: back to the old place, with whoever still rings.
    pub(super) fn return_to_wait(&mut self, now: Now, call: CallId) {
        self.timers.clear(&Deadline::Guard(call));
        let Some(entry) = self.entries.get_mut(&call) else { return };
        entry.stage = Stage::Waiting;
        let key = entry.line.clone();
        let Some(line) = self.lines.get_mut(&key) else {
            return self.exit(now, call, ExitReason::Gone);
        };
        entry.place.priority = Reverse(entry.priority.unwrap_or(line.rules.priority));
        line.order.insert(entry.place, call);
        let shut = line.shut;
        self.tell(call, &key, "queue.returned", "dropped: back to the old place".to_owned());
        let Some(entry) = self.entries.get(&call) else { return };
        let (last_chance, rings) = (entry.last_chance, !entry.offers.is_empty());
        if shut {
            return self.exit(now, call, ExitReason::Closed);
        }
        if !last_chance {
            self.arm_max_wait(call);
        }
        let over = match self.timers.get(&Deadline::MaxWait(call)) {
            Some(end) => end <= now.mono || (last_chance && !rings),
            None => last_chance,
        };
        if over {
            return self.on_max_wait(now, call);
        }
        // The rules may have changed while the winner was being connected.
        self.arm_tier(now, call);
        self.arm_widening(now, call);
        self.arm_callback_offer(now, call);
        self.arm_announcements(now, call);
        self.review_staff(now, &key);
        self.dirty.insert(key);
    }

    /// An offer of a caller ended: the line looks again, or the last chance is over.
    pub(super) fn after_offer(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        self.dirty.insert(entry.line.clone());
        if entry.last_chance && entry.offers.is_empty() {
            self.exit(now, call, ExitReason::Timeout);
        }
    }

    /// Takes an offer out of the table: its agent is free again.
    pub(super) fn close_offer(&mut self, id: OfferId) -> Option<Offer> {
        let offer = self.offers.remove(&id)?;
        self.reserved.remove(&offer.agent);
        self.timers.clear(&Deadline::Ring(id));
        if let Some(entry) = self.entries.get_mut(&offer.entry) {
            entry.offers.remove(&id);
        }
        self.touch_agent(&offer.agent);
        Some(offer)
    }

    /// The offer that rings or connects an agent.
    pub(super) fn offer_of(&self, agent: &AgentKey) -> Option<&Offer> {
        self.offers.get(self.reserved.get(agent)?)
    }
}

impl Failure {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Failure::Busy => "busy",
            Failure::Rejected => "rejected",
            Failure::NoAnswer => "no_answer",
            Failure::Unreachable => "unreachable",
            Failure::Error => "error",
        }
    }
}
