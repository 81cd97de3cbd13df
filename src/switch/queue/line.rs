//! A line: a queue or ring group at work, the rules it follows, and the callers in it.
//!
//! A ring group is the same thing with other rules: no waiting room, no announcements, and a total ring time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::company::Company;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::queue::Announce;
use crate::model::queue::AutoPause;
use crate::model::queue::Callback;
use crate::model::queue::Drain;
use crate::model::queue::HighTraffic;
use crate::model::queue::JoinPolicy;
use crate::model::queue::Membership;
use crate::model::queue::PositionPolicy;
use crate::model::queue::PreferLast;
use crate::model::queue::Queue;
use crate::model::queue::Strategy;
use crate::model::queue::Widening;
use crate::model::ring_group::RingGroup;
use crate::switch::queue::OfferId;
use crate::switch::queue::announce::Said;
use crate::switch::queue::announce::Sample;
use crate::switch::queue::memory::Memory;
use crate::time::Now;

/// Callers that may hear a ring group's ringing at once.
const GROUP_CALLERS: usize = 1000;
/// A group that rings its members in turn gives each at least this.
const SHORTEST_TURN: Duration = Duration::from_secs(5);
/// Service level of lines without one; weighs waits against each other when lines share an agent.
const DEFAULT_TARGET: Duration = Duration::from_secs(20);
/// Priority of ring groups, the default of queues.
const GROUP_PRIORITY: i32 = 5;

/// What a line does; from the configuration.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) group: bool,
    pub(super) name: Arc<str>,
    /// In the order written, each once.
    pub(super) members: Vec<Member>,
    /// Numbers in use, rising.
    pub(super) tiers: Vec<u8>,
    pub(super) strategy: Strategy,
    pub(super) widening: Widening,
    pub(super) tier_after: Option<Duration>,
    pub(super) ring: Duration,
    pub(super) retry_delay: Duration,
    /// None is never again.
    pub(super) reject_retry: Option<Duration>,
    pub(super) busy_retry: Duration,
    pub(super) unreachable_retry: Duration,
    pub(super) wrap_up: Duration,
    pub(super) wrap_up_extend: Duration,
    pub(super) max_calls: usize,
    /// Of a group: the total ring time.
    pub(super) max_wait: Option<Duration>,
    pub(super) join: JoinPolicy,
    pub(super) count_paused: bool,
    pub(super) leave_grace: Duration,
    pub(super) drain: Drain,
    pub(super) welcome: bool,
    pub(super) high_traffic: Option<HighTraffic>,
    pub(super) comfort: bool,
    pub(super) comfort_every: Duration,
    pub(super) announce_place: bool,
    pub(super) announce_wait: bool,
    pub(super) announce_every: Duration,
    pub(super) position: PositionPolicy,
    pub(super) priority: i32,
    pub(super) ring_busy: bool,
    pub(super) ignore_dnd: bool,
    pub(super) follow_forward: bool,
    pub(super) auto_pause: AutoPause,
    pub(super) prefer_last: Option<PreferLast>,
    /// Zero is never.
    pub(super) rejoin: Duration,
    pub(super) callback: Option<Callback>,
    /// Callers whom everybody was rung for in vain leave.
    pub(super) exits_unanswered: bool,
    /// Answered within; see [`DEFAULT_TARGET`].
    pub(super) target: Duration,
    /// Whose midnight begins a day of the tallies.
    pub(super) zone: TimeZone,
}

/// Who answers at a line.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) agent: AgentKey,
    pub(super) tier: u8,
    pub(super) skill: u8,
    pub(super) auto_login: bool,
}

impl Rules {
    pub(super) fn of_queue(company: &Company, queue: &Queue) -> Rules {
        let members = members(&company.id, queue.agents.iter().cloned(), queue.auto_login);
        Rules {
            group: false,
            name: queue.name.clone(),
            tiers: members.iter().map(|m| m.tier).collect::<BTreeSet<u8>>().into_iter().collect(),
            members,
            strategy: queue.strategy,
            widening: queue.widening,
            tier_after: queue.tier_after,
            ring: queue.ring,
            retry_delay: queue.retry_delay,
            reject_retry: queue.reject_retry,
            busy_retry: queue.busy_retry,
            unreachable_retry: queue.unreachable_retry,
            wrap_up: queue.wrap_up,
            wrap_up_extend: queue.wrap_up_extend,
            max_calls: queue.max_calls,
            max_wait: queue.max_wait,
            join: queue.join,
            count_paused: queue.count_paused,
            leave_grace: queue.leave_grace,
            drain: queue.drain,
            welcome: queue.welcome != Some(None),
            high_traffic: queue.high_traffic.clone(),
            comfort: queue.comfort != Some(None),
            comfort_every: queue.comfort_every,
            announce_place: queue.announce.contains(&Announce::Position),
            announce_wait: queue.announce.contains(&Announce::Wait),
            announce_every: queue.announce_every,
            position: queue.position,
            priority: queue.priority,
            ring_busy: queue.ring_busy,
            ignore_dnd: queue.ignore_dnd,
            follow_forward: queue.follow_forward,
            auto_pause: queue.auto_pause,
            prefer_last: queue.prefer_last_agent,
            rejoin: queue.rejoin,
            callback: queue.callback,
            exits_unanswered: queue.no_answer.is_some(),
            target: queue.target.map_or(DEFAULT_TARGET, |target| target.within),
            zone: zone(company),
        }
    }

    pub(super) fn of_group(company: &Company, group: &RingGroup) -> Rules {
        let listed = |user: &UserId| Membership {
            user: user.clone(),
            tier: 1,
            skill: 1,
            auto_login: None,
            contacts: None,
        };
        let members = members(&company.id, group.members.iter().map(listed), group.auto_login);
        Rules {
            group: true,
            name: group.name.clone(),
            tiers: if members.is_empty() { Vec::new() } else { vec![1] },
            members,
            strategy: match group.strategy {
                // Nobody waits in a group, so nobody can be picked.
                Strategy::Pull => Strategy::RingAll,
                strategy => strategy,
            },
            widening: Widening::default(),
            tier_after: None,
            ring: group.ring,
            retry_delay: Duration::from_secs(2),
            reject_retry: Some(Duration::from_secs(60)),
            busy_retry: Duration::from_secs(30),
            unreachable_retry: Duration::from_secs(30),
            wrap_up: Duration::ZERO,
            wrap_up_extend: Duration::ZERO,
            max_calls: GROUP_CALLERS,
            max_wait: Some(group.ring),
            join: JoinPolicy::Always,
            count_paused: false,
            leave_grace: Duration::ZERO,
            drain: Drain::Finish,
            welcome: false,
            high_traffic: None,
            comfort: false,
            comfort_every: Duration::ZERO,
            announce_place: false,
            announce_wait: false,
            announce_every: Duration::ZERO,
            position: PositionPolicy::Improving,
            priority: GROUP_PRIORITY,
            ring_busy: false,
            ignore_dnd: false,
            follow_forward: false,
            auto_pause: AutoPause::OFF,
            prefer_last: None,
            rejoin: Duration::ZERO,
            callback: None,
            exits_unanswered: false,
            target: DEFAULT_TARGET,
            zone: zone(company),
        }
    }

    /// How long an agent rings for a caller whose flow step asked for `total`: in a group that rings in turn,
    /// each member gets an equal part of the total.
    pub(super) fn ring_for(&self, total: Option<Duration>) -> Duration {
        let ring = if self.group { total.unwrap_or(self.ring) } else { self.ring };
        if !self.group || self.strategy == Strategy::RingAll {
            return ring;
        }
        let turns = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        (ring / turns).max(SHORTEST_TURN).min(ring)
    }

    /// The local day, for tallies.
    pub(super) fn today(&self, now: Now) -> Date {
        self.zone.to_datetime(now.utc).date()
    }
}

fn members(company: &CompanyId, listed: impl Iterator<Item = Membership>, auto_login: bool) -> Vec<Member> {
    let mut seen = BTreeSet::new();
    listed
        .filter(|at| seen.insert(at.user.clone()))
        .map(|at| Member {
            agent: AgentKey { company: company.clone(), user: at.user },
            tier: at.tier,
            skill: at.skill,
            auto_login: at.auto_login.unwrap_or(auto_login),
        })
        .collect()
}

/// The company's zone, known to exist since the configuration was loaded.
fn zone(company: &Company) -> TimeZone {
    TimeZone::get(&company.zone).unwrap_or(TimeZone::UTC)
}

/// A queue or ring group at work.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) rules: Rules,
    /// Who waits, being rung for or not, in the order in which they are served.
    pub(super) order: BTreeMap<Place, CallId>,
    /// By its own hours.
    pub(super) open: bool,
    /// Closed for those who wait, too.
    pub(super) shut: bool,
    /// Mixed into each candidate's chance; drawn again after each random choice.
    pub(super) dice: u64,
    /// Answered calls of the last hour, oldest first.
    pub(super) samples: VecDeque<Sample>,
    /// Who hung up while waiting, with the place they had (but for its priority) and until when it is theirs.
    pub(super) hung_up: Memory<((Instant, u64), Timestamp)>,
    /// Which agent callers talked with last.
    pub(super) served_by: Memory<AgentKey>,
}

impl Line {
    pub(super) fn new(rules: Rules, dice: u64) -> Line {
        Line {
            rules,
            order: BTreeMap::new(),
            open: true,
            shut: false,
            dice,
            samples: VecDeque::new(),
            hung_up: Memory::default(),
            served_by: Memory::default(),
        }
    }

    /// Place of a waiting entry, 1 first.
    pub(super) fn rank(&self, place: &Place) -> u32 {
        let before = self.order.range(..place).count();
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// Where a caller stands among others: higher priority first, then longer wait, then first come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) priority: Reverse<i32>,
    /// The wait counts from here; earlier than `Entry::entered` when carried over from another queue.
    pub(super) since: Instant,
    pub(super) seq: u64,
}

/// A caller in a line.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: LineKey,
    pub(super) place: Place,
    /// Instead of the line's.
    pub(super) priority: Option<i32>,
    /// When this line was joined: the longest wait, tiers and statistics count from here.
    pub(super) entered: Instant,
    /// Total ring time in a group, when the flow step says so.
    pub(super) ring: Option<Duration>,
    /// Who calls; none when hidden.
    pub(super) number: Option<Number>,
    pub(super) stage: Stage,
    /// Who rings, the winner included until the bridge.
    pub(super) offers: BTreeSet<OfferId>,
    /// Who was rung in vain.
    pub(super) tried: BTreeMap<AgentKey, Tried>,
    /// Waits for this agent, whom the caller knows, until then.
    pub(super) prefers: Option<(AgentKey, Instant)>,
    /// When somebody was first rung: more and more ring from here on, by `widening`.
    pub(super) rung_since: Option<Instant>,
    /// There is no call: the caller is to be called back.
    pub(super) callback: Option<Kept>,
    /// The longest wait is over: what rings may still answer, nobody else is rung.
    pub(super) last_chance: bool,
    /// Place on joining.
    pub(super) first_rank: u32,
    pub(super) said: Said,
}

/// How far a caller has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Perhaps with agents ringing.
    Waiting,
    /// This agent has answered and is being bridged.
    Connecting(OfferId),
    /// With an agent.
    Talking {
        /// Who.
        agent: AgentKey,
        /// Since the bridge.
        since: Instant,
        /// From joining to the bridge.
        wait: Duration,
        /// It has lasted long enough to count.
        counted: bool,
    },
}

/// A place kept for a call-back.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Whom to dial.
    pub(super) number: Number,
    /// How often that was done.
    pub(super) attempts: u32,
    /// Nobody is offered it before.
    pub(super) not_before: Option<Instant>,
    /// When the caller joined, by the clock on the wall.
    pub(super) since: Timestamp,
}

/// A vain attempt on an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// Not again before; none is never again.
    pub(super) until: Option<Instant>,
    /// How often; those tried least go first.
    pub(super) times: u32,
}

impl Entry {
    /// Whether there is a caller on the line.
    pub(super) fn is_living(&self) -> bool {
        self.callback.is_none()
    }

    pub(super) fn waited(&self, now: Now) -> Duration {
        now.mono.saturating_duration_since(self.entered)
    }

    /// How many may ring for the caller at once, by `widening`.
    pub(super) fn may_ring(&self, now: Now, rules: &Rules) -> u32 {
        let rings = self.rung_since.map_or(Duration::ZERO, |since| now.mono.saturating_duration_since(since));
        let steps = rings.as_nanos() / rules.widening.every.as_nanos().max(1);
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        rules.widening.start.saturating_add(rules.widening.add.saturating_mul(steps))
    }

    /// How often `agent` was tried, or `None` while the last attempt is too fresh.
    pub(super) fn tries(&self, agent: &AgentKey, now: Now) -> Option<u32> {
        match self.tried.get(agent) {
            Some(tried) if tried.until.is_none_or(|until| until > now.mono) => None,
            Some(tried) => Some(tried.times),
            None => Some(0),
        }
    }
}
