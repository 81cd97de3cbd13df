//! Random callers, agents and orders by seed, held against a reference that knows only what was said.
//!
//! The reference keeps its own book of callers, agents and offers from inputs and outputs, and knows nothing of
//! strategies: it says what must never happen, and who must be rung when nobody rings. `SIM_SEED=…` replays one
//! seed, `SIM_SEEDS=…` says how many.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use sentral::model::change::Source;
use sentral::model::id::CallId;
use sentral::model::id::LineId;
use sentral::model::id::LineKey;
use sentral::model::queue::Announce;
use sentral::model::queue::AutoPause;
use sentral::model::queue::Drain;
use sentral::model::queue::JoinPolicy;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::model::ring_group::RingGroup;
use sentral::rand::Rng;
use sentral::switch::queue::AgentState;
use sentral::switch::queue::Caller;
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
        "key",
        "system",
    ] {
        assert!(totals.contains_key(result), "no caller ended as {result}: {totals:?}");
    }
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
    line: LineKey,
    priority: i32,
    joined: u64,
    stage: Stage,
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
    results: BTreeMap<String, u64>,
    joined: u64,
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
        let mut sim = Sim {
            world,
            chance,
            callers: BTreeMap::new(),
            offers: BTreeMap::new(),
            crossed: Vec::new(),
            speaking: BTreeSet::new(),
            results: BTreeMap::new(),
            joined: 0,
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
        match self.chance.below(20) {
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
        let entry = call(self.joined);
        let own = self.queue(&line).map_or(5, |queue| queue.priority);
        let waits = Waits {
            line: line.clone(),
            priority: priority.unwrap_or(own),
            joined: self.joined,
            stage: Stage::Waiting,
            tried: BTreeSet::new(),
        };
        self.callers.insert(entry, waits);
        let caller = Caller { entry, priority, waited_since: None, ring: None, open, number: None };
        self.input(Input::Join { line, caller });
    }

    fn leave(&mut self) {
        let Some(entry) = self.any_caller() else { return };
        let why = [Left::HungUp, Left::HungUp, Left::Key, Left::System][self.chance.below(4)];
        self.callers.remove(&entry);
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
                    self.input(Input::TalkStarted { entry: rings.entry });
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
        self.callers.get_mut(&entry).expect("the caller is there").stage = Stage::Talking(rings.agent);
        self.check();
    }

    fn talk_on(&mut self) {
        let talking = self.callers.iter().find(|(_, caller)| matches!(caller.stage, Stage::Talking(_)));
        let Some(entry) = talking.map(|(entry, _)| *entry) else { return };
        self.callers.remove(&entry);
        self.input(Input::TalkEnded { entry });
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
            5 => self.input(Input::Pause { agent, reason: Some("lunch".into()), until: None, by }),
            6 => self.input(Input::Pause { agent, reason: None, until: None, by }),
            _ => self.input(Input::WrapUpEnd { agent }),
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
        self.input(Input::Config(config(&queues, &self.groups)));
        if queues.len() < self.queues.len() && self.chance.below(2) == 0 {
            self.input(Input::Config(config(&self.queues.clone(), &self.groups.clone())));
        }
    }

    fn hours(&mut self) {
        let line = queue_key(["salg", "drift", "vakt"][self.chance.below(3)]);
        let open = self.chance.below(3) != 0;
        self.input(Input::LineHours { line, open, immediate: false });
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
            match output {
                Output::Offer { offer, line, entry, agent, .. } => {
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
                Output::Exit { entry, line, .. } => {
                    let caller = self.callers.remove(&entry).expect("a caller leaves once");
                    assert_eq!(caller.line, line);
                    assert_eq!(caller.stage, Stage::Waiting, "an answered caller took an exit");
                    let rung = self.offers.values().any(|rings| rings.entry == entry);
                    assert!(!rung, "somebody rings for a caller who left");
                    self.speaking.remove(&entry);
                }
                Output::Event { event, fields, .. } if is_out(event) => {
                    let result = fields.result.expect("it is told how");
                    *self.results.entry(result.to_string()).or_default() += 1;
                    self.ended += 1;
                }
                Output::DialBack { .. } => panic!("nobody asked to be called back"),
                Output::Change(_) | Output::Event { .. } => {}
            }
        }
        self.check();
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
        let talks = self.callers.values().filter(|c| matches!(c.stage, Stage::Talking(_))).count();
        // Between `TalkStarted` and the book's own entry one winner still stands as connecting.
        assert!((self.callers.len() - talks).abs_diff(queues.waiting()) <= 1);
        for view in queues.views(now, None) {
            let line = LineKey { company: view.company.clone(), line: view.line.clone() };
            let mut order: Vec<(&CallId, &Waits)> = self
                .callers
                .iter()
                .filter(|(_, caller)| caller.line == line && caller.stage == Stage::Waiting)
                .collect();
            assert_eq!(view.waiting, order.len(), "{line}");
            order.sort_by_key(|(_, caller)| (-caller.priority, caller.joined));
            for (place, (entry, _)) in (1..).zip(&order) {
                assert_eq!(queues.place(**entry), Some(place), "{entry} has lost its place in {line}");
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
        while let Some(entry) = self.callers.keys().next().copied() {
            self.callers.remove(&entry);
            self.offers.retain(|_, rings| rings.entry != entry);
            self.input(Input::Leave { entry, why: Left::HungUp });
        }
        for view in self.world.queues.views(self.world.now, None) {
            assert_eq!(view.waiting, 0);
            for (user, state) in &view.agents {
                assert!(state != "ringing", "{user} rings for nobody");
            }
        }
        // Only agents, lines and answers on their way may still have deadlines.
        while let Some((at, whose)) = self.world.queues.poll_timeout() {
            let theirs = ["agent wrap-up", "agent back-off", "queue late answer", "queue drain"];
            assert!(theirs.contains(&whose), "what has ended has a deadline: {whose}");
            self.pass(at.saturating_duration_since(self.world.now.mono));
        }
        assert!(self.world.queues.is_idle());
        assert_eq!(self.ended, self.joined, "every caller ends once: {:?}", self.results);
    }

    fn any_caller(&mut self) -> Option<CallId> {
        let count = self.callers.len();
        let at = self.chance.below(count);
        self.callers.keys().nth(at).copied()
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
        reject_retry: Some(s(pick(&[0, 10, 60]))),
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
        auto_pause: AutoPause { after: pick(&[0, 1, 3]) as u32, ..AutoPause::default() },
        ..queue(&agents)
    }
}

fn random_group(chance: &mut Rng) -> RingGroup {
    let members: Vec<&str> = USERS.into_iter().filter(|_| chance.below(3) == 0).collect();
    let strategy = [Strategy::RingAll, Strategy::InOrder, Strategy::RoundRobin][chance.below(3)];
    RingGroup { strategy, ring: s(20), ..group(&members) }
}
