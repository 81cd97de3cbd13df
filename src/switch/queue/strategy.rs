//! Which free agents ring now: a pure function of the strategy and what is known of each candidate.

use std::time::Duration;
use std::time::Instant;

use crate::model::queue::Strategy;

/// What a strategy may know of an agent who is free for this caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Place in the list as configured, 0 first.
    pub order: usize,
    /// 1 is rung first.
    pub tier: u8,
    /// Ready without a break from then on.
    pub ready_since: Instant,
    /// Steps in the list after the one rung last, 0 next; without anybody rung yet, as `order`.
    pub turn: usize,
    /// Answered today, of this queue.
    pub calls: u32,
    /// Talked today, in this queue.
    pub talk: Duration,
    /// 0–9: how much of the calls, by `weighted`.
    pub skill: u8,
    /// A random number, drawn before each choice.
    pub chance: u64,
}

/// Chooses whom to ring, as indices into `free`, in ringing order; `more` is how many more may ring at once, which
/// counts for `widening` only. Empty when `free` is, when nobody more may ring, and always for `pull`.
///
/// # Examples
///
/// ```
/// use sentral::model::queue::Strategy;
/// use sentral::switch::queue::strategy::Candidate;
/// use sentral::switch::queue::strategy::pick;
///
/// let now = std::time::Instant::now();
/// let kari = Candidate {
///     order: 0, tier: 1, ready_since: now, turn: 0, calls: 3, talk: Default::default(), skill: 5, chance: 0,
/// };
/// let ola = Candidate { order: 1, turn: 1, calls: 2, ..kari.clone() };
/// assert_eq!(pick(Strategy::InOrder, 1, &[kari.clone(), ola.clone()]), [0]);
/// assert_eq!(pick(Strategy::FewestCalls, 1, &[kari, ola]), [1]);
/// ```
pub fn pick(strategy: Strategy, more: usize, free: &[Candidate]) -> Vec<usize> {
    match strategy {
        Strategy::RingAll => {
            let mut all: Vec<usize> = (0..free.len()).collect();
            all.sort_by_key(|&i| (free[i].tier, free[i].order));
            all
        }
        Strategy::FewestCalls => first_by(free, |c| (c.calls, idle(c))),
        Strategy::LeastTalk => first_by(free, |c| (c.talk, idle(c))),
        Strategy::RoundRobin => first_by(free, |c| c.turn),
        Strategy::InOrder => first_by(free, |c| (c.tier, c.order)),
        Strategy::Random => first_by(free, |c| (c.chance, c.order)),
        Strategy::Weighted => by_weight(free),
        Strategy::LongestIdle => first_by(free, idle),
        Strategy::Widening => {
            let mut all: Vec<usize> = (0..free.len()).collect();
            all.sort_by_key(|&i| idle(&free[i]));
            all.truncate(more);
            all
        }
        Strategy::Pull => Vec::new(),
    }
}

/// By chance, each with a share that is proportional to the skill; those with none only when nobody else is there.
///
/// The one with the smallest of −ln(u)/skill, u even in (0, 1], is drawn with just that share (Efraimidis and
/// Spirakis, "Weighted random sampling with a reservoir", 2006).
fn by_weight(free: &[Candidate]) -> Vec<usize> {
    let key = |c: &Candidate| {
        let even = (c.chance >> 11) as f64 / (1u64 << 53) as f64;
        -(1.0 - even).ln() / f64::from(c.skill.max(1))
    };
    let unskilled = |c: &Candidate| c.skill == 0;
    let first = (0..free.len()).min_by(|&a, &b| {
        let (a, b) = (&free[a], &free[b]);
        unskilled(a).cmp(&unskilled(b)).then(key(a).total_cmp(&key(b))).then(a.order.cmp(&b.order))
    });
    first.into_iter().collect()
}

/// Orders by idle time; equals by tier and list, so that the choice never depends on chance.
fn idle(candidate: &Candidate) -> (Instant, u8, usize) {
    (candidate.ready_since, candidate.tier, candidate.order)
}

fn first_by<K: Ord>(free: &[Candidate], key: impl Fn(&Candidate) -> K) -> Vec<usize> {
    (0..free.len()).min_by_key(|&i| key(&free[i])).into_iter().collect()
}
