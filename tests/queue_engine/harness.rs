//! A queue engine in virtual time: one company, agents by name, callers by number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use sentral::model::Config;
use sentral::model::change::Change;
use sentral::model::change::Source;
use sentral::model::company::Company;
use sentral::model::company::Record;
use sentral::model::id::AgentKey;
use sentral::model::id::CallId;
use sentral::model::id::GroupId;
use sentral::model::id::LineId;
use sentral::model::id::LineKey;
use sentral::model::id::NodeId;
use sentral::model::id::Number;
use sentral::model::id::QueueId;
use sentral::model::queue::AutoPause;
use sentral::model::queue::Confirm;
use sentral::model::queue::Drain;
use sentral::model::queue::JoinPolicy;
use sentral::model::queue::Membership;
use sentral::model::queue::PositionPolicy;
use sentral::model::queue::Present;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::model::queue::Widening;
use sentral::model::ring_group::RingGroup;
use sentral::model::server::Codes;
use sentral::model::server::Language;
use sentral::rand::Rng;
use sentral::switch::queue::AgentState;
use sentral::switch::queue::Announcement;
use sentral::switch::queue::Caller;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;
use sentral::switch::queue::Left;
use sentral::switch::queue::OfferId;
use sentral::switch::queue::Output;
use sentral::switch::queue::Queues;
use sentral::switch::queue::Withdrawn;
use sentral::time::Now;
use sentral::time::Timestamp;

pub(crate) const READY: Facts =
    Facts { reachable: true, in_call: false, do_not_disturb: false, absent: false, forwarded: false };

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn call(number: u64) -> CallId {
    CallId { node: NodeId(0), seq: number }
}

pub(crate) fn agent(user: &str) -> AgentKey {
    AgentKey { company: "acme".into(), user: user.into() }
}

pub(crate) fn queue_key(id: &str) -> LineKey {
    LineKey { company: "acme".into(), line: LineId::Queue(id.into()) }
}

pub(crate) fn group_key(id: &str) -> LineKey {
    LineKey { company: "acme".into(), line: LineId::Group(id.into()) }
}

/// A caller whose number is hidden.
pub(crate) fn caller(number: u64) -> Caller {
    Caller { entry: call(number), priority: None, waited_since: None, ring: None, open: true, number: None }
}

/// A caller with a number of their own.
pub(crate) fn known(number: u64) -> Caller {
    Caller { number: Some(phone(number)), ..caller(number) }
}

pub(crate) fn phone(number: u64) -> Number {
    Number::new(&format!("+4790000{number:03}"))
}

/// A queue with the defaults of the configuration, silent, whose agents are logged in; `kari:2` is in tier 2.
pub(crate) fn queue(agents: &[&str]) -> Queue {
    let membership = |agent: &&str| {
        let (user, tier) = agent.split_once(':').unwrap_or((agent, "1"));
        Membership {
            user: user.into(),
            tier: tier.parse().expect("a tier is a number"),
            skill: 5,
            auto_login: None,
            contacts: None,
        }
    };
    Queue {
        name: "Salg".into(),
        ext: None,
        agents: agents.iter().map(membership).collect(),
        auto_login: true,
        strategy: Strategy::LongestIdle,
        widening: Widening::default(),
        tier_after: Some(s(20)),
        ring: s(30),
        retry_delay: s(2),
        reject_retry: Some(s(60)),
        busy_retry: s(30),
        unreachable_retry: s(30),
        wrap_up: s(0),
        wrap_up_extend: s(30),
        max_calls: 20,
        max_wait: Some(s(600)),
        join: JoinPolicy::WhenLoggedIn,
        count_paused: false,
        leave_grace: s(10),
        hours: None,
        drain: Drain::Finish,
        welcome: Some(None),
        music: None,
        high_traffic: None,
        comfort: Some(None),
        comfort_every: s(45),
        announce: vec![],
        announce_every: s(45),
        position: PositionPolicy::Improving,
        keys: BTreeMap::new(),
        callback: None,
        rejoin: s(0),
        prefer_last_agent: None,
        outbound_number: None,
        priority: 5,
        ring_busy: false,
        ignore_dnd: false,
        follow_forward: false,
        auto_pause: AutoPause::default(),
        target: None,
        present: Present {
            name: "{queue}: {caller}".into(),
            caller_number: true,
            alert: None,
            auto_answer: false,
            spoken: None,
            headers: Vec::new(),
            whisper: None,
            confirm: Confirm::Auto,
        },
        recording: None,
        overflow: None,
        timeout: None,
        full: None,
        nobody: None,
        all_paused: None,
        no_answer: None,
        rejected_by_all: None,
        callback_taken: None,
        gone: None,
        closed: None,
    }
}

pub(crate) fn group(members: &[&str]) -> RingGroup {
    RingGroup {
        name: "Lager".into(),
        ext: None,
        members: members.iter().map(|user| (*user).into()).collect(),
        strategy: Strategy::RingAll,
        ring: s(30),
        no_answer: None,
        busy: None,
        nobody: None,
        auto_login: true,
        pickup_group: None,
    }
}

pub(crate) fn config(queues: &[(&str, Queue)], groups: &[(&str, RingGroup)]) -> Arc<Config> {
    let company = Company {
        id: "acme".into(),
        name: "Acme".into(),
        orgnr: None,
        domain: "acme.example".into(),
        language: Language::Nb,
        zone: "Europe/Oslo".into(),
        number: None,
        plan: None,
        record: Record::Off,
        music: None,
        numbers: BTreeMap::new(),
        sites: BTreeMap::new(),
        users: BTreeMap::new(),
        devices: BTreeMap::new(),
        hours: BTreeMap::new(),
        closures: BTreeMap::new(),
        toggles: BTreeMap::new(),
        media: BTreeMap::new(),
        queues: queues.iter().map(|(id, queue)| (QueueId::from(*id), queue.clone())).collect(),
        groups: groups.iter().map(|(id, group)| (GroupId::from(*id), group.clone())).collect(),
        mailboxes: BTreeMap::new(),
        flows: BTreeMap::new(),
        rooms: BTreeMap::new(),
        supervision: Default::default(),
        parking: None,
        hot_desk_until: None,
        night: None,
        allow: Default::default(),
        block: Default::default(),
        fraud: Default::default(),
        contacts: BTreeMap::new(),
        speed: BTreeMap::new(),
        pauses: BTreeMap::new(),
        codes: Codes::default(),
        sms: None,
        push: None,
        webhooks: BTreeMap::new(),
        extensions: Default::default(),
        services: BTreeMap::new(),
        service_pin: false,
        feature_keys: Default::default(),
        recordings: Default::default(),
    };
    Arc::new(Config {
        companies: [(company.id.clone(), Arc::new(company))].into_iter().collect(),
        ..Config::default()
    })
}

/// An engine, its clock, and all it has said.
pub(crate) struct World {
    pub(crate) queues: Queues,
    pub(crate) now: Now,
    pub(crate) said: Vec<Output>,
    /// How many of `said` a test has looked at.
    seen: usize,
}

impl World {
    pub(crate) fn new(config: Arc<Config>) -> World {
        let now = Now { mono: Instant::now(), utc: Timestamp::UNIX_EPOCH };
        let queues = Queues::new(Rng::from_seed(1));
        let mut world = World { queues, now, said: Vec::new(), seen: 0 };
        world.input(Input::Config(config));
        world
    }

    /// One queue, `salg`, with these agents, all reachable.
    pub(crate) fn with(queue: Queue) -> World {
        let users: Vec<String> = queue.agents.iter().map(|at| at.user.to_string()).collect();
        let mut world = World::new(config(&[("salg", queue)], &[]));
        users.iter().for_each(|user| world.facts(user, READY));
        world
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.queues.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.queues.poll_output() {
            self.said.push(output);
        }
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.later(time);
        while let Some((at, _)) = self.queues.poll_timeout().filter(|(at, _)| *at <= end.mono) {
            self.now = self.now.later(at.saturating_duration_since(self.now.mono));
            self.queues.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// What has been said since the last time this was asked.
    pub(crate) fn fresh(&mut self) -> Vec<Output> {
        let fresh = self.said[self.seen..].to_vec();
        self.seen = self.said.len();
        fresh
    }

    pub(crate) fn facts(&mut self, user: &str, facts: Facts) {
        self.input(Input::Facts { agent: agent(user), facts });
    }

    pub(crate) fn join(&mut self, number: u64) {
        self.join_line(number, queue_key("salg"));
    }

    pub(crate) fn join_line(&mut self, number: u64, line: LineKey) {
        let caller = caller(number);
        self.input(Input::Join { line, caller });
    }

    pub(crate) fn join_as(&mut self, caller: Caller) {
        self.input(Input::Join { line: queue_key("salg"), caller });
    }

    pub(crate) fn hang_up(&mut self, number: u64) {
        self.input(Input::Leave { entry: call(number), why: Left::HungUp });
    }

    pub(crate) fn login(&mut self, user: &str, logged_in: bool) {
        self.input(Input::Login { agent: agent(user), line: None, logged_in, by: Source::Code });
    }

    pub(crate) fn pause(&mut self, user: &str, reason: Option<&str>) {
        let reason = reason.map(Arc::from);
        self.input(Input::Pause { agent: agent(user), reason, until: None, by: Source::Code });
    }

    /// Who rings for a caller, by the offers made and not taken back.
    pub(crate) fn rings(&self, number: u64) -> Vec<String> {
        self.open_offers().into_iter().filter(|o| o.1 == call(number)).map(|o| o.2.user.to_string()).collect()
    }

    /// The offer that rings an agent.
    pub(crate) fn offer(&self, user: &str) -> OfferId {
        let offers = self.open_offers();
        offers.iter().find(|offer| offer.2 == agent(user)).map(|offer| offer.0).expect("the agent rings")
    }

    /// The last offer that was made to an agent, ringing or not.
    pub(crate) fn last_offer(&self, user: &str) -> OfferId {
        let made = self.said.iter().rev().find_map(|output| match output {
            Output::Offer { offer, agent: to, .. } if *to == agent(user) => Some(*offer),
            _ => None,
        });
        made.expect("the agent was rung")
    }

    fn open_offers(&self) -> Vec<(OfferId, CallId, AgentKey)> {
        let mut open = Vec::new();
        for output in &self.said {
            match output {
                Output::Offer { offer, entry, agent, .. } => open.push((*offer, *entry, agent.clone())),
                Output::Withdraw { offer, .. }
                | Output::Refuse { offer, .. }
                | Output::DialBack { offer, .. }
                | Output::Connect { offer, .. } => open.retain(|made| made.0 != *offer),
                _ => {}
            }
        }
        open
    }

    pub(crate) fn answer(&mut self, user: &str) {
        let offer = self.offer(user);
        self.input(Input::OfferAnswered(offer));
    }

    pub(crate) fn fail(&mut self, user: &str, failure: Failure) {
        let offer = self.offer(user);
        self.input(Input::OfferFailed(offer, failure));
        // For `rings`: an offer that failed is over without a word of the engine.
        self.said.push(Output::Withdraw { offer, why: Withdrawn::Exit });
        self.seen += 1;
    }

    /// The agent who rings for this caller talks with them for a while.
    pub(crate) fn talk(&mut self, number: u64, user: &str, time: Duration) {
        self.answer(user);
        self.input(Input::TalkStarted { entry: call(number) });
        self.pass(time);
        self.input(Input::TalkEnded { entry: call(number) });
    }

    pub(crate) fn state(&self, user: &str) -> AgentState {
        self.queues.stand(self.now, &agent(user), &queue_key("salg"))
    }

    pub(crate) fn is_ready(&self, user: &str) -> bool {
        matches!(self.state(user), AgentState::Ready(_))
    }

    /// Events of this name told so far, each with its reason.
    pub(crate) fn events(&self, name: &str) -> Vec<String> {
        let told = |output: &Output| match output {
            Output::Event { event, why, .. } if *event == name => Some(why.clone()),
            _ => None,
        };
        self.said.iter().filter_map(told).collect()
    }

    /// Facts told so far, but those about agents' days.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let change = |output: &Output| match output {
            Output::Change(change) => Some(change.clone()),
            _ => None,
        };
        self.said.iter().filter_map(change).collect()
    }

    pub(crate) fn take(&mut self, number: u64, user: &str) {
        self.input(Input::Take { entry: call(number), agent: agent(user) });
    }

    /// The places in a queue, the first first: call and state.
    pub(crate) fn waiting(&self, line: &LineKey) -> Vec<(CallId, String)> {
        let views = self.queues.views(self.now, None);
        let view = views.into_iter().find(|view| view.line == line.line).expect("there is such a line");
        view.callers.into_iter().map(|caller| (caller.entry, caller.state)).collect()
    }

    /// Exits taken so far, in order.
    pub(crate) fn exits(&self) -> Vec<(u64, ExitReason)> {
        let exit = |output: &Output| match output {
            Output::Exit { entry, exit, .. } => Some((entry.seq, *exit)),
            _ => None,
        };
        self.said.iter().filter_map(exit).collect()
    }

    /// How callers came out, in order.
    pub(crate) fn results(&self) -> Vec<String> {
        let result = |output: &Output| match output {
            Output::Event { event, fields, .. } if is_out(event) => {
                fields.result.as_ref().map(ToString::to_string)
            }
            _ => None,
        };
        self.said.iter().filter_map(result).collect()
    }

    /// What a caller was told, each time something was said.
    pub(crate) fn told(&self, number: u64) -> Vec<Vec<Announcement>> {
        let told = |output: &Output| match output {
            Output::Say { entry, what } if *entry == call(number) => Some(what.clone()),
            _ => None,
        };
        self.said.iter().filter_map(told).collect()
    }

    /// How the offers ended that the engine took back or refused.
    pub(crate) fn ended(&self, offer: OfferId) -> Option<Withdrawn> {
        self.said.iter().find_map(|output| match output {
            Output::Withdraw { offer: id, why } | Output::Refuse { offer: id, why } if *id == offer => {
                Some(why.clone())
            }
            _ => None,
        })
    }

    pub(crate) fn connected(&self, number: u64) -> Option<String> {
        self.said.iter().rev().find_map(|output| match output {
            Output::Connect { entry, agent, .. } if *entry == call(number) => Some(agent.user.to_string()),
            _ => None,
        })
    }
}

/// Whether an event tells how a caller came out.
pub(crate) fn is_out(event: &str) -> bool {
    matches!(event, "queue.counted" | "queue.abandoned" | "queue.overflowed" | "queue.turned_away")
}
