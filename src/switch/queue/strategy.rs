//! Which free agents ring now: a pure function of the strategy and what is known of each candidate.
//!
//! Not carried out: `weighted`, `widening` and `pull` act as `longest-idle`.

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
    /// A random number, drawn before each choice.
    pub chance: u64,
}

/// Chooses whom to ring, as indices into `free`, in ringing order; empty only when `free` is.
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
///     order: 0, tier: 1, ready_since: now, turn: 0, calls: 3, talk: Default::default(), chance: 0,
/// };
/// let ola = Candidate { order: 1, turn: 1, calls: 2, ..kari.clone() };
/// assert_eq!(pick(Strategy::InOrder, &[kari.clone(), ola.clone()]), [0]);
/// assert_eq!(pick(Strategy::FewestCalls, &[kari, ola]), [1]);
/// ```
pub fn pick(strategy: Strategy, free: &[Candidate]) -> Vec<usize> {
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
        Strategy::LongestIdle | Strategy::Weighted | Strategy::Widening | Strategy::Pull => {
            first_by(free, idle)
        }
    }
}

/// Orders by idle time; equals by tier and list, so that the choice never depends on chance.
fn idle(candidate: &Candidate) -> (Instant, u8, usize) {
    (candidate.ready_since, candidate.tier, candidate.order)
}

fn first_by<K: Ord>(free: &[Candidate], key: impl Fn(&Candidate) -> K) -> Vec<usize> {
    (0..free.len()).min_by_key(|&i| key(&free[i])).into_iter().collect()
}
