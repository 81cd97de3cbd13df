//! Random callers, agents and orders by seed, held against a reference that knows only what was said.
//!
//! The reference keeps its own book of callers, kept places, agents and offers from inputs and outputs, and knows
//! nothing of strategies: it says what must never happen, who stands where, and who must be rung when nobody rings.
//! `SIM_SEED=…` replays one seed, `SIM_SEEDS=…` says how many; a million calls are played by
//! `cargo nextest run --test queue_engine --run-ignored only a_million`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use sentral::model::change::Change;
use sentral::model::change::Source;
use sentral::model::flow::Destination;
use sentral::model::id::CallId;
use sentral::model::id::LineId;
use sentral::model::id::LineKey;
use sentral::model::id::NodeId;
use sentral::model::id::Number;
use sentral::model::queue::Announce;
use sentral::model::queue::AutoPause;
use sentral::model::queue::Callback;
use sentral::model::queue::Drain;
use sentral::model::queue::JoinPolicy;
use sentral::model::queue::Misses;
use sentral::model::queue::PreferLast;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::model::queue::Widening;
use sentral::model::ring_group::RingGroup;
use sentral::rand::Rng;
use sentral::switch::queue::AgentState;
use sentral::switch::queue::Caller;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;
use sentral::switch::queue::Left;
use sentral::switch::queue::OfferId;
use sentral::switch::queue::Output;
use sentral::switch::queue::Withdrawn;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::agent;
use crate::harness::call;
use crate::harness::config;
use crate::harness::group;
use crate::harness::group_key;
use crate::harness::is_out;
use crate::harness::phone;
use crate::harness::queue;
use crate::harness::queue_key;
use crate::harness::s;

const USERS: [&str; 6] = ["anne", "bjarne", "cecilie", "david", "eva", "frode"];
const STEPS: usize = 120;
const SEEDS: u64 = 1500;

#[test]
fn whatever_happens_every_caller_has_one_outcome_and_nobody_waits_for_a_free_agent() {
    if let Some(seed) = number("SIM_SEED") {
        run(seed);
        return;
    }
    let mut totals = BTreeMap::new();
    for seed in 0..number("SIM_SEEDS").unwrap_or(SEEDS) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        match outcome {
            Ok(results) => {
                results.into_iter().for_each(|(result, n)| *totals.entry(result).or_insert(0) += n)
            }
            Err(panic) => {
                eprintln!("replay with SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    // The actions reach every outcome; a simulation in which nothing happens proves nothing.
    for result in [
        "answered",
        "abandoned",
        "short_abandoned",
        "timeout",
        "full",
        "nobody",
        "closed",
        "gone",
        "busy",
        "no_answer",
        "all_paused",
        "rejected_by_all",
        "callback_failed",
        "callback_cancelled",
        "key",
        "system",
    ] {
        assert!(totals.contains_key(result), "no caller ended as {result}: {totals:?}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn a_million_calls_have_one_outcome_each_and_nobody_is_forgotten() {
    let (mut calls, mut seed) = (0, 1_000_000);
    while calls < number("SIM_CALLS").unwrap_or(1_000_000) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        match outcome {
            Ok(results) => calls += results.values().sum::<u64>(),
            Err(panic) => {
                eprintln!("replay with SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
        seed += 1;
    }
    eprintln!("{calls} calls in {} seeds", seed - 1_000_000);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays one seed to its end; how many callers ended how.
fn run(seed: u64) -> BTreeMap<String, u64> {
    let mut sim = Sim::new(seed);
    for _ in 0..STEPS {
        sim.step();
    }
    sim.finish();
    sim.results
}

/// Where a caller is, as the reference has it.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Waiting,
    Connecting(OfferId),
    Talking(String),
}

#[derive(Clone, Debug)]
struct Waits {
    /// What the engine calls it; unknown of a kept place that was not offered since.
    name: CallId,
    line: LineKey,
    number: Option<Number>,
    /// Instead of the queue's.
    own: Option<i32>,
    priority: i32,
    /// Since the beginning of the simulation: the place counts from here.
    since: Duration,
    /// This call came.
    entered: Duration,
    joined: u64,
    stage: Stage,
    /// Waits without a call.
    kept: bool,
    /// Has not been reached: rests for a while, unless an agent takes it.
    rests: bool,
    /// Agents who were tried for this caller, ever.
    tried: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Rings {
    entry: CallId,
    agent: String,
}

struct Sim {
    world: World,
    chance: Rng,
    callers: BTreeMap<CallId, Waits>,
    offers: BTreeMap<OfferId, Rings>,
    /// Withdrawn, with an answer perhaps on its way.
    crossed: Vec<OfferId>,
    speaking: BTreeSet<CallId>,
    /// Kept places that are offered and need a call.
    to_carry: Vec<CallId>,
    /// Who hung up while waiting: place, and until when it is theirs.
    gone: BTreeMap<(LineKey, Number), (Duration, u64, Duration)>,
    closed: BTreeSet<LineKey>,
    start: Instant,
    results: BTreeMap<String, u64>,
    joined: u64,
    /// Visits that took over a kept place.
    merged: u64,
    carried: u64,
    ended: u64,
    queues: Vec<(&'static str, Queue)>,
    groups: Vec<(&'static str, RingGroup)>,
}

impl Sim {
    fn new(seed: u64) -> Sim {
        let mut chance = Rng::from_seed(seed);
        let queues: Vec<(&'static str, Queue)> =
            ["salg", "drift", "vakt"].into_iter().map(|id| (id, random_queue(&mut chance))).collect();
        let groups = vec![("lager", random_group(&mut chance))];
        let world = World::new(config(&queues, &groups));
        let start = world.now.mono;
        let mut sim = Sim {
            world,
            chance,
            callers: BTreeMap::new(),
            offers: BTreeMap::new(),
            crossed: Vec::new(),
            speaking: BTreeSet::new(),
            to_carry: Vec::new(),
            gone: BTreeMap::new(),
            closed: BTreeSet::new(),
            start,
            results: BTreeMap::new(),
            joined: 0,
            merged: 0,
            carried: 0,
            ended: 0,
            queues,
            groups,
        };
        for user in USERS {
            sim.input(Input::Facts { agent: agent(user), facts: READY });
        }
        sim
    }

    fn step(&mut self) {
        match self.chance.below(23) {
            0..=4 => self.join(),
            5 => self.leave(),
            6..=9 => self.answer_or_fail(),
            10 => self.talk_on(),
            11 => self.order(),
            12 => self.know(),
            13 if self.chance.below(4) == 0 => self.reload(),
            14 if self.chance.below(3) == 0 => self.hours(),
            15 => self.announced(),
            16 => self.answer_late(),
            17 => self.keep_place(),
            18 => self.take(),
            19 => self.not_reached(),
            _ => {
                let time = [50, 400, 2_000, 9_000, 40_000][self.chance.below(5)];
                self.pass(Duration::from_millis(time));
            }
        }
    }

    fn join(&mut self) {
        self.joined += 1;
        let lines = [queue_key("salg"), queue_key("drift"), queue_key("vakt"), group_key("lager")];
        let line = lines[self.chance.below(4)].clone();
        let priority = (self.chance.below(6) == 0).then(|| self.chance.below(9) as i32 + 1);
        let open = self.chance.below(12) != 0;
        let entry = call(self.joined + self.merged);
        let number = (self.chance.below(3) != 0).then(|| phone(self.chance.below(12) as u64));
        let mut waits = Waits {
            name: entry,
            line: line.clone(),
            number: number.clone(),
            own: priority,
            priority: 0,
            since: self.elapsed(),
            entered: self.elapsed(),
            joined: self.joined + self.merged,
            stage: Stage::Waiting,
            kept: false,
            rests: false,
            tried: BTreeSet::new(),
        };
        let key = number.clone().map(|number| (line.clone(), number));
        let there = key.clone().filter(|_| open && self.exists(&line));
        let kept = there.as_ref().and_then(|(line, number)| self.kept_of(line, number));
        let before = there.as_ref().and_then(|key| self.gone.get(key)).cloned();
        if let Some((since, joined, until)) = before
            && until >= self.elapsed()
        {
            (waits.since, waits.joined) = (waits.since.min(since), joined);
        }
        if let Some(kept) = kept.and_then(|kept| self.callers.remove(&kept)) {
            (waits.since, waits.joined) = (waits.since.min(kept.since), kept.joined);
            waits.own = waits.own.max(kept.own);
        }
        waits.priority = waits.own.unwrap_or(self.queue(&line).map_or(5, |queue| queue.priority));
        self.callers.insert(entry, waits);
        let caller = Caller { entry, priority, waited_since: None, ring: None, open, number };
        let before = self.world.said.len();
        self.input(Input::Join { line, caller });
        // Whoever is turned away keeps what was theirs.
        let turned_away = self.world.said[before..].iter().any(
            |output| matches!(output, Output::Event { entry: of, event: "queue.turned_away", .. } if *of == entry),
        );
        if let Some(key) = key.filter(|_| !turned_away) {
            self.gone.remove(&key);
        }
    }

    fn elapsed(&self) -> Duration {
        self.world.now.mono.saturating_duration_since(self.start)
    }

    fn exists(&self, line: &LineKey) -> bool {
        self.world.queues.crowd(line).is_some()
    }

    /// The book's entry by the engine's name.
    fn id_of(&self, name: CallId) -> CallId {
        self.callers.iter().find(|(_, caller)| caller.name == name).map_or(name, |(id, _)| *id)
    }

    fn kept_of(&self, line: &LineKey, number: &Number) -> Option<CallId> {
        let kept =
            |caller: &Waits| caller.kept && caller.line == *line && caller.number.as_ref() == Some(number);
        self.callers.iter().find(|(_, caller)| kept(caller)).map(|(id, _)| *id)
    }

    /// A waiting caller asks to be called back.
    fn keep_place(&mut self) {
        let waiting = |caller: &Waits| !caller.kept && caller.stage == Stage::Waiting;
        let ids: Vec<CallId> = self.callers.iter().filter(|(_, of)| waiting(of)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let entry = ids[self.chance.below(ids.len())];
        let number = phone(self.chance.below(12) as u64);
        self.input(Input::KeepPlace { entry, number });
    }

    /// An agent takes somebody from a list.
    fn take(&mut self) {
        let rows: Vec<CallId> = self
            .world
            .queues
            .views(self.world.now, None)
            .into_iter()
            .flat_map(|view| view.callers)
            .map(|row| row.entry)
            .collect();
        if rows.is_empty() {
            return;
        }
        let entry = rows[self.chance.below(rows.len())];
        let agent = agent(USERS[self.chance.below(USERS.len())]);
        let may = self.world.queues.may_take(self.world.now, entry, &agent).is_ok();
        let before = self.world.said.len();
        self.input(Input::Take { entry, agent: agent.clone() });
        let said = &self.world.said[before..];
        let refused = said.iter().any(|o| matches!(o, Output::Event { event: "queue.take_refused", .. }));
        assert_eq!(may, !refused, "what is refused is told beforehand");
        if may {
            let theirs = self.offers.values().filter(|rings| rings.agent == agent.user.to_string()).count();
            assert_eq!(theirs, 1, "{agent} took {entry} and is not rung");
        }
    }

    /// A caller being dialled does not answer.
    fn not_reached(&mut self) {
        let dialled = |caller: &Waits| caller.kept && matches!(caller.stage, Stage::Connecting(_));
        let Some((id, caller)) = self.callers.iter().find(|(_, caller)| dialled(caller)) else { return };
        let (id, name, stage) = (*id, caller.name, caller.stage.clone());
        let Stage::Connecting(offer) = stage else { return };
        self.offers.remove(&offer);
        self.rest(id);
        self.input(Input::CallbackFailed { entry: name });
    }

    fn rest(&mut self, id: CallId) {
        if let Some(caller) = self.callers.get_mut(&id) {
            caller.stage = Stage::Waiting;
            caller.rests = true;
        }
    }

    /// Calls take over the places that are offered.
    fn carry(&mut self) {
        for name in std::mem::take(&mut self.to_carry) {
            self.carried += 1;
            let call = CallId { node: NodeId(7), seq: self.carried };
            let id = self.id_of(name);
            if let Some(caller) =
                self.callers.get_mut(&id).filter(|caller| caller.kept && caller.name == name)
            {
                caller.name = call;
                self.world.queues.handle_input(self.world.now, Input::CarriedBy { entry: name, call });
                self.drain();
            }
        }
    }

    fn leave(&mut self) {
        let Some(entry) = self.any_caller() else { return };
        let why = [Left::HungUp, Left::HungUp, Left::Key, Left::System][self.chance.below(4)];
        let Some(waits) = self.callers.remove(&entry) else { return };
        let rejoin = self.queue(&waits.line).map_or(Duration::ZERO, |queue| queue.rejoin);
        if let (Some(number), Left::HungUp) = (waits.number, why)
            && !matches!(waits.stage, Stage::Talking(_))
            && self.exists(&waits.line)
            && !rejoin.is_zero()
        {
            let until = self.elapsed() + rejoin;
            self.gone.insert((waits.line, number), (waits.since, waits.joined, until));
        }
        self.offers.retain(|id, rings| {
            if rings.entry == entry {
                self.crossed.push(*id);
            }
            rings.entry != entry
        });
        let before = self.world.said.len();
        self.input(Input::Leave { entry, why });
        let offered = self.world.said[before..]
            .iter()
            .any(|output| matches!(output, Output::Offer { entry: to, .. } if *to == entry));
        assert!(!offered, "{entry} was offered to somebody after it left");
    }

    fn answer_or_fail(&mut self) {
        let offers: Vec<OfferId> = self.offers.keys().copied().collect();
        if offers.is_empty() {
            return;
        }
        let id = offers[self.chance.below(offers.len())];
        let rings = self.offers[&id].clone();
        let connecting = self.callers[&rings.entry].stage.clone();
        match self.chance.below(8) {
            0 => self.input(Input::OfferRinging(id)),
            1..=4 => {
                if connecting == Stage::Connecting(id) {
                    let name = self.callers[&rings.entry].name;
                    self.input(Input::TalkStarted { entry: name });
                    return self.reconcile_talk(rings.entry, id);
                }
                self.input(Input::OfferAnswered(id));
                let after = self.callers.get(&rings.entry).map(|caller| caller.stage.clone());
                assert!(matches!(after, Some(Stage::Connecting(_))), "an answer connects, or another has");
            }
            _ => {
                let failure = [
                    Failure::Busy,
                    Failure::Rejected,
                    Failure::NoAnswer,
                    Failure::Unreachable,
                    Failure::Error,
                ][self.chance.below(5)];
                self.offers.remove(&id);
                if let Some(caller) = self.callers.get_mut(&rings.entry) {
                    caller.tried.insert(rings.agent);
                    if caller.stage == Stage::Connecting(id) {
                        caller.stage = Stage::Waiting;
                        caller.rests |= caller.kept;
                    }
                }
                self.input(Input::OfferFailed(id, failure));
            }
        }
    }

    /// The bridge stands: losers were taken back, and the winner is no offer any longer.
    fn reconcile_talk(&mut self, entry: CallId, winner: OfferId) {
        let rings = self.offers.remove(&winner).expect("the winner was an offer");
        assert!(!self.offers.values().any(|other| other.entry == entry), "losers ring on after the bridge");
        let caller = self.callers.get_mut(&entry).expect("the caller is there");
        caller.stage = Stage::Talking(rings.agent);
        caller.kept = false;
        self.check();
    }

    fn talk_on(&mut self) {
        let talking = self.callers.iter().find(|(_, caller)| matches!(caller.stage, Stage::Talking(_)));
        let Some((entry, name)) = talking.map(|(entry, caller)| (*entry, caller.name)) else { return };
        self.callers.remove(&entry);
        self.input(Input::TalkEnded { entry: name });
    }

    fn order(&mut self) {
        let user = USERS[self.chance.below(USERS.len())];
        let (agent, by) = (agent(user), Source::Code);
        match self.chance.below(8) {
            0..=2 => self.input(Input::Login { agent, line: None, logged_in: true, by }),
            3 => self.input(Input::Login { agent, line: None, logged_in: false, by }),
            4 => {
                let line = Some(queue_key("salg"));
                self.input(Input::Login { agent, line, logged_in: false, by });
            }
            5 => {
                let until = (self.chance.below(2) == 0).then(|| self.world.now.utc + s(5));
                self.input(Input::Pause { agent, reason: Some("lunch".into()), until, by });
            }
            6 => self.input(Input::Pause { agent, reason: None, until: None, by }),
            _ if self.chance.below(2) == 0 => self.input(Input::WrapUpEnd { agent }),
            _ => self.input(Input::WrapUpExtend { agent }),
        }
    }

    fn know(&mut self) {
        let user = USERS[self.chance.below(USERS.len())];
        let facts = match self.chance.below(7) {
            0 => Facts { in_call: true, ..READY },
            1 => Facts { reachable: false, ..READY },
            2 => Facts { do_not_disturb: true, ..READY },
            3 => Facts { forwarded: true, ..READY },
            _ => READY,
        };
        self.input(Input::Facts { agent: agent(user), facts });
    }

    fn reload(&mut self) {
        let which = self.chance.below(3);
        let priority = self.queues[which].1.priority;
        self.queues[which].1 = Queue { priority, ..random_queue(&mut self.chance) };
        self.groups[0].1 = random_group(&mut self.chance);
        let mut queues = self.queues.clone();
        if self.chance.below(3) == 0 {
            queues.remove(self.chance.below(3));
        }
        let left: BTreeSet<LineKey> = queues.iter().map(|(id, _)| queue_key(id)).collect();
        self.gone.retain(|(line, _), _| left.contains(line));
        self.closed.retain(|line| left.contains(line));
        self.input(Input::Config(config(&queues, &self.groups)));
        if queues.len() < self.queues.len() && self.chance.below(2) == 0 {
            self.input(Input::Config(config(&self.queues.clone(), &self.groups.clone())));
        }
    }

    fn hours(&mut self) {
        let line = queue_key(["salg", "drift", "vakt"][self.chance.below(3)]);
        let open = self.chance.below(3) != 0;
        let immediate = !open && self.chance.below(3) == 0;
        let there = self.exists(&line);
        match open {
            true => drop(self.closed.remove(&line)),
            false if there => drop(self.closed.insert(line.clone())),
            false => {}
        }
        self.input(Input::LineHours { line, open, immediate });
    }

    fn announced(&mut self) {
        if let Some(entry) = self.speaking.pop_first() {
            self.input(Input::Announced { entry });
        }
    }

    /// An answer that crossed our CANCEL: it connects, or is refused in the same turn.
    fn answer_late(&mut self) {
        if self.crossed.is_empty() {
            return;
        }
        let id = self.crossed.swap_remove(self.chance.below(self.crossed.len()));
        let before = self.world.said.len();
        self.input(Input::OfferAnswered(id));
        let settled = self.world.said[before..].iter().any(|output| {
            matches!(output, Output::Refuse { offer, .. } | Output::Connect { offer, .. } if *offer == id)
        });
        assert!(settled, "a late answer is neither refused nor connected");
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now.later(time);
        while let Some((at, _)) = self.world.queues.poll_timeout().filter(|(at, _)| *at <= end.mono) {
            let step = at.saturating_duration_since(self.world.now.mono);
            self.world.now = self.world.now.later(step);
            self.world.queues.handle_timeout(self.world.now);
            self.drain();
        }
        self.world.now = end;
    }

    fn input(&mut self, input: Input) {
        self.world.queues.handle_input(self.world.now, input);
        self.drain();
    }

    /// Writes what the engine says into the book, and looks for what must never be said.
    fn drain(&mut self) {
        while let Some(output) = self.world.queues.poll_output() {
            self.world.said.push(output.clone());
            self.note(output);
        }
        self.check();
        self.carry();
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::Offer { offer, line, entry, agent, callback, .. } => {
                let entry = match &callback {
                    Some(number) => {
                        let id = self.kept_of(&line, number).expect("offered without a kept place");
                        let caller = self.callers.get_mut(&id).expect("it is there");
                        if caller.name != entry {
                            caller.name = entry;
                            self.to_carry.push(entry);
                        }
                        id
                    }
                    None => self.id_of(entry),
                };
                let caller = self.callers.get_mut(&entry).expect("offered after the caller left");
                assert_eq!(caller.stage, Stage::Waiting, "offered after an answer");
                assert_eq!(caller.line, line);
                let user = agent.user.to_string();
                let taken = self.offers.values().any(|rings| rings.agent == user);
                assert!(!taken, "{user} is offered two callers at once");
                let talks = self.callers.values().any(|of| of.stage == Stage::Talking(user.clone()));
                assert!(!talks, "{user} is rung while talking with a caller");
                self.offers.insert(offer, Rings { entry, agent: user });
            }
            Output::Withdraw { offer, why } => self.on_withdraw(offer, &why),
            Output::Refuse { offer, .. } => drop(self.offers.remove(&offer)),
            Output::Connect { offer, entry, agent } => {
                let caller = self.callers.get_mut(&entry).expect("connected after the caller left");
                assert!(!caller.kept, "connected with nobody");
                assert_eq!(caller.stage, Stage::Waiting, "two agents win the same caller");
                caller.stage = Stage::Connecting(offer);
                let user = agent.user.to_string();
                let other = self.offers.iter().any(|(id, r)| r.agent == user && *id != offer);
                assert!(!other, "{user} wins a caller while being rung for another");
                self.crossed.retain(|id| *id != offer);
                self.offers.insert(offer, Rings { entry, agent: user });
            }
            Output::Say { entry, what } => {
                assert!(!what.is_empty());
                assert_eq!(self.callers[&entry].stage, Stage::Waiting, "told something after an answer");
                self.speaking.insert(entry);
            }
            Output::Hush { entry } => drop(self.speaking.remove(&entry)),
            Output::Exit { entry, exit: ExitReason::CallbackTaken, .. } => {
                let caller = self.callers.get_mut(&entry).expect("who is let go was there");
                assert_eq!(caller.stage, Stage::Waiting);
                caller.kept = true;
                caller.tried.clear();
                self.speaking.remove(&entry);
            }
            Output::Event { entry, line, event: "queue.callback_taken", .. } => {
                // Under which number, the facts have said.
                let known: BTreeSet<Number> = self.numbers_kept(&line);
                let caller = self.callers.get(&entry).expect("it is there");
                let number = self.world.said.iter().rev().find_map(|output| match output {
                    Output::Change(Change::Callback { number, kept: Some(_), .. }) => Some(number.clone()),
                    _ => None,
                });
                assert!(number.as_ref().is_some_and(|number| !known.contains(number)), "{caller:?}");
                self.callers.get_mut(&entry).expect("it is there").number = number;
            }
            Output::Event { event: "queue.merged", .. } => {
                self.joined -= 1;
                self.merged += 1;
            }
            Output::Exit { entry, line, .. } => {
                let caller = self.callers.remove(&entry).expect("a caller leaves once");
                assert_eq!(caller.line, line);
                assert_eq!(caller.stage, Stage::Waiting, "an answered caller took an exit");
                let rung = self.offers.values().any(|rings| rings.entry == entry);
                assert!(!rung, "somebody rings for a caller who left");
                self.speaking.remove(&entry);
            }
            Output::Event { entry, event, fields, .. } if is_out(event) => {
                let id = self.id_of(entry);
                let kept = self.callers.get(&id).is_some_and(|caller| caller.kept);
                // A place that is given up before it was offered has a name that the book does not know.
                let unknown = entry.node == NodeId(u16::MAX) && !self.callers.contains_key(&id);
                if kept {
                    self.callers.remove(&id);
                } else if unknown {
                    self.forget_kept();
                }
                let result = fields.result.expect("it is told how");
                *self.results.entry(result.to_string()).or_default() += 1;
                self.ended += 1;
            }
            Output::DialBack { offer, entry, number, .. } => {
                let id = self.id_of(entry);
                let caller = self.callers.get_mut(&id).expect("dialled after the place was given up");
                assert!(caller.kept && caller.number.as_ref() == Some(&number), "somebody else is dialled");
                assert_eq!(caller.stage, Stage::Waiting, "dialled twice at once");
                assert!(self.offers.contains_key(&offer), "dialled without an agent who waits");
                caller.stage = Stage::Connecting(offer);
            }
            Output::Change(_) | Output::Event { .. } => {}
        }
    }

    fn numbers_kept(&self, line: &LineKey) -> BTreeSet<Number> {
        let kept = self.callers.values().filter(|caller| caller.kept && caller.line == *line);
        kept.filter(|caller| caller.name.node != NodeId(0))
            .filter_map(|caller| caller.number.clone())
            .collect()
    }

    /// Drops the place whose end was told last.
    fn forget_kept(&mut self) {
        let ended = self.world.said.iter().rev().find_map(|output| match output {
            Output::Change(Change::Callback { line, number, kept: None, .. }) => {
                Some((line.clone(), number.clone()))
            }
            _ => None,
        });
        let (line, number) = ended.expect("the end of a place is a fact");
        let id = self.kept_of(&line, &number).expect("it was kept");
        self.callers.remove(&id);
    }

    fn on_withdraw(&mut self, offer: OfferId, why: &Withdrawn) {
        self.crossed.push(offer);
        let Some(rings) = self.offers.remove(&offer) else { return };
        let Some(caller) = self.callers.get_mut(&rings.entry) else { return };
        if *why == Withdrawn::NoAnswer {
            caller.tried.insert(rings.agent);
        }
    }

    /// What must hold whenever the engine has nothing more to say.
    fn check(&mut self) {
        let (queues, now) = (&self.world.queues, self.world.now);
        queues.check_invariants();
        let live = self.callers.values().filter(|caller| !caller.kept).count();
        let talks = self.callers.values().filter(|c| matches!(c.stage, Stage::Talking(_))).count();
        // Between `TalkStarted` and the book's own entry one winner still stands as connecting.
        assert!((live - talks).abs_diff(queues.waiting()) <= 1);
        for view in queues.views(now, None) {
            let line = LineKey { company: view.company.clone(), line: view.line.clone() };
            let mut order: Vec<(&CallId, &Waits)> = self
                .callers
                .iter()
                .filter(|(_, caller)| caller.line == line && caller.stage == Stage::Waiting)
                .collect();
            assert_eq!(view.waiting + view.callbacks, order.len(), "{line}");
            order.sort_by_key(|(_, caller)| (-caller.priority, caller.since, caller.joined));
            for (row, (entry, caller)) in view.callers.iter().zip(&order) {
                assert_eq!(row.state.starts_with("callback"), caller.kept, "{entry} in {line}");
                assert_eq!(row.number, caller.number, "{entry} has lost its place in {line}");
                assert!(caller.kept || row.entry == caller.name, "{entry} has lost its place in {line}");
                assert_eq!(queues.place(row.entry), Some(row.position));
            }
            let ready: Vec<&str> = view
                .agents
                .iter()
                .map(|(user, _)| user.as_str())
                .filter(|user| matches!(queues.stand(now, &agent(user), &line), AgentState::Ready(_)))
                .collect();
            for user in &ready {
                let rung = self.offers.values().any(|rings| rings.agent == *user);
                assert!(!rung, "{user} is shown as ready and is being rung");
            }
            for (entry, caller) in order {
                let rung = self.offers.values().any(|rings| rings.entry == *entry);
                let free = ready.iter().find(|user| !caller.tried.contains(**user));
                if caller.kept && (caller.rests || self.closed.contains(&line)) {
                    continue;
                }
                // Waits for the agent of last time, perhaps.
                let lately = self.elapsed() - caller.entered < s(15) && caller.number.is_some();
                // A reload may have taken the rule away, and not the wait of those who came before.
                if lately {
                    continue;
                }
                let pull = self.queue(&line).is_some_and(|queue| queue.strategy == Strategy::Pull);
                assert!(pull || rung || free.is_none(), "{entry} waits in {line} while {free:?} is ready");
            }
        }
        for rings in self.offers.values() {
            let caller = &self.callers[&rings.entry];
            let state = queues.stand(now, &agent(&rings.agent), &caller.line);
            let shown = matches!(
                state,
                AgentState::Ringing(_)
                    | AgentState::Busy(_)
                    | AgentState::Offline
                    | AgentState::Unreachable { .. }
                    | AgentState::Absent(_)
                    | AgentState::Paused(_)
            );
            assert!(shown, "{} is rung and shown as {state}", rings.agent);
        }
    }

    /// Everybody goes; nothing may be left.
    fn finish(&mut self) {
        self.input(Input::Config(config(&[], &[])));
        while let Some((entry, name)) = self.callers.iter().next().map(|(id, caller)| (*id, caller.name)) {
            self.callers.remove(&entry);
            self.offers.retain(|_, rings| rings.entry != entry);
            self.input(Input::Leave { entry: name, why: Left::System });
        }
        for view in self.world.queues.views(self.world.now, None) {
            assert_eq!(view.waiting, 0);
            for (user, state) in &view.agents {
                assert!(state != "ringing", "{user} rings for nobody");
            }
        }
        // Only agents, lines and answers on their way may still have deadlines.
        while let Some((at, whose)) = self.world.queues.poll_timeout() {
            let theirs =
                ["agent wrap-up", "agent back-off", "agent pause", "queue late answer", "queue drain"];
            assert!(theirs.contains(&whose), "what has ended has a deadline: {whose}");
            self.pass(at.saturating_duration_since(self.world.now.mono));
        }
        assert!(self.world.queues.is_idle());
        assert_eq!(self.ended, self.joined, "every caller ends once: {:?}", self.results);
    }

    fn any_caller(&mut self) -> Option<CallId> {
        let live: Vec<CallId> = self.callers.iter().filter(|(_, c)| !c.kept).map(|(id, _)| *id).collect();
        let at = self.chance.below(live.len());
        live.get(at).copied().filter(|id| self.callers[id].name == *id)
    }

    fn queue(&self, line: &LineKey) -> Option<&Queue> {
        let LineId::Queue(id) = &line.line else { return None };
        self.queues.iter().find(|(name, _)| *name == id.as_str()).map(|(_, queue)| queue)
    }
}

fn random_queue(chance: &mut Rng) -> Queue {
    const STRATEGIES: [Strategy; 10] = [
        Strategy::RingAll,
        Strategy::LongestIdle,
        Strategy::FewestCalls,
        Strategy::RoundRobin,
        Strategy::InOrder,
        Strategy::LeastTalk,
        Strategy::Random,
        Strategy::Weighted,
        Strategy::Widening,
        Strategy::Pull,
    ];
    let agents: Vec<String> = USERS
        .iter()
        .filter(|_| chance.below(2) == 0)
        .map(|user| user.to_string())
        .collect::<Vec<String>>()
        .into_iter()
        .map(|user| format!("{user}:{}", chance.below(3) + 1))
        .collect();
    let agents: Vec<&str> = agents.iter().map(String::as_str).collect();
    let mut pick = |from: &[u64]| from[chance.below(from.len())];
    Queue {
        auto_login: pick(&[1, 1, 0]) == 1,
        strategy: STRATEGIES[pick(&[0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) as usize],
        tier_after: [None, Some(s(0)), Some(s(5)), Some(s(20))][pick(&[0, 1, 2, 3]) as usize],
        ring: s(pick(&[5, 10, 30])),
        retry_delay: s(pick(&[0, 2, 30])),
        reject_retry: [None, Some(s(0)), Some(s(10)), Some(s(60))][pick(&[0, 1, 2, 3]) as usize],
        busy_retry: s(pick(&[0, 5, 30])),
        wrap_up: s(pick(&[0, 0, 10, 60])),
        max_calls: pick(&[0, 1, 3, 20]) as usize,
        max_wait: [None, Some(s(10)), Some(s(30)), Some(s(120))][pick(&[0, 1, 2, 3]) as usize],
        join: [JoinPolicy::Always, JoinPolicy::WhenLoggedIn, JoinPolicy::WhenReady]
            [pick(&[0, 1, 1, 2]) as usize],
        count_paused: pick(&[0, 1]) == 1,
        leave_grace: s(pick(&[0, 3, 10])),
        drain: [Drain::Finish, Drain::ExitNow, Drain::ExitAfter(s(8))][pick(&[0, 1, 2]) as usize],
        welcome: [None, Some(None)][pick(&[0, 1]) as usize].clone(),
        comfort: [None, Some(None)][pick(&[0, 1]) as usize].clone(),
        announce: [vec![], vec![Announce::Position, Announce::Wait]][pick(&[0, 1]) as usize].clone(),
        priority: pick(&[4, 5, 6]) as i32,
        ring_busy: pick(&[0, 0, 1]) == 1,
        auto_pause: AutoPause {
            after: pick(&[0, 1, 3]) as u32,
            on: Misses { rejected: pick(&[0, 1]) == 1, ..Misses::NO_ANSWER },
            everywhere: pick(&[0, 1]) == 1,
            return_after: [None, Some(s(10))][pick(&[0, 1]) as usize],
        },
        widening: Widening { start: 1, add: 1, every: s(pick(&[1, 10])) },
        rejoin: s(pick(&[0, 20])),
        prefer_last_agent: [None, Some(PreferLast { within: s(60), wait: s(15) })][pick(&[0, 0, 1]) as usize],
        callback: [
            None,
            Some(Callback {
                offer_after: s(pick(&[0, 5])),
                min_position: pick(&[1, 2]) as u32,
                attempts: pick(&[1, 2]) as u32,
                retry: s(pick(&[0, 10])),
                within_hours: pick(&[0, 1]) == 1,
                ..Callback::default()
            }),
        ][pick(&[0, 1, 1]) as usize],
        no_answer: [None, Some(Destination::Hangup)][pick(&[0, 0, 1]) as usize].clone(),
        ..queue(&agents)
    }
}

fn random_group(chance: &mut Rng) -> RingGroup {
    let members: Vec<&str> = USERS.into_iter().filter(|_| chance.below(3) == 0).collect();
    let strategy = [Strategy::RingAll, Strategy::InOrder, Strategy::RoundRobin][chance.below(3)];
    RingGroup { strategy, ring: s(20), ..group(&members) }
}
