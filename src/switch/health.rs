//! Whether a carrier's addresses live: each is asked by OPTIONS (RFC 3261 §11), and an address that has asked for
//! rest (503 with Retry-After, §21.5.4) gets it.
//!
//! Any final answer but 408 and 503 before the next question is a sign of life. Two misses make an address down, one answer makes it up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use crate::model::id::LegId;
use crate::model::id::TrunkId;
use crate::sip::Hop;
use crate::sip::Method;
use crate::sip::Response;
use crate::sip::TransactionId;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::endpoint::OutOfDialog;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::time::Now;

/// Misses in a row that make an address down.
const MISSES: u8 = 2;
/// Addresses of a trunk that are asked and tried.
pub(crate) const ADDRESSES_MAX: usize = 8;
/// Longest rest that an address can ask for.
const REST_MAX: Duration = Duration::from_secs(600);
/// Questions under way at most, all trunks together.
const ASKING_MAX: usize = 1000;

/// One address of a carrier, by which its life is kept.
pub(crate) type Address = (SocketAddr, Transport);

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    misses: u8,
    /// The question that is under way.
    asking: Option<TransactionId>,
    rests_until: Option<Instant>,
}

/// What is known of a trunk's addresses.
#[derive(Debug, Default)]
pub(crate) struct Health {
    lives: BTreeMap<Address, Life>,
}

impl Health {
    /// Forgets addresses that the trunk does not have any longer.
    pub(crate) fn keep(&mut self, hops: &[Hop]) {
        self.lives.retain(|address, _| hops.iter().any(|hop| of(hop) == *address));
    }

    /// Forgets what was found out by asking.
    pub(crate) fn forget(&mut self) {
        for life in self.lives.values_mut() {
            life.misses = 0;
        }
    }

    /// Whether an address has missed too often.
    pub(crate) fn is_down(&self, hop: &Hop) -> bool {
        self.lives.get(&of(hop)).is_some_and(|life| life.misses >= MISSES)
    }

    /// Whether an address wants to be left alone.
    pub(crate) fn rests(&self, now: Now, hop: &Hop) -> bool {
        let until = self.lives.get(&of(hop)).and_then(|life| life.rests_until);
        until.is_some_and(|until| now.mono < until)
    }

    /// An answer came, or none; tells whether the address came up or went down by it.
    fn answered(&mut self, address: Address, alive: bool) -> bool {
        let Some(life) = self.lives.get_mut(&address) else { return false };
        let before = life.misses >= MISSES;
        life.asking = None;
        life.misses = if alive { 0 } else { life.misses.saturating_add(1).min(MISSES) };
        before != (life.misses >= MISSES)
    }

    fn rest(&mut self, hop: &Hop, until: Instant) {
        self.lives.entry(of(hop)).or_default().rests_until = Some(until);
    }
}

pub(crate) fn of(hop: &Hop) -> Address {
    (hop.remote, hop.transport)
}

impl Switch {
    /// It is time to ask a trunk's addresses again: one that has not answered the last question has missed it.
    pub(crate) fn health_timeout(&mut self, now: Now, id: &TrunkId) {
        let Some(state) = self.trunks.get_mut(id) else { return };
        let mut changed = false;
        for address in state.hops.iter().map(of) {
            if let Some(asked) = state.health.lives.get(&address).and_then(|life| life.asking) {
                self.health_checks.remove(&asked);
                changed |= state.health.answered(address, false);
            }
        }
        self.timers.clear(&Timer::Health(id.clone()));
        self.check_health(now, id);
        if changed {
            self.trunk_judged(now, id);
        }
    }

    /// Asks every address of a trunk that is not being asked.
    pub(crate) fn check_health(&mut self, now: Now, id: &TrunkId) {
        let Some(trunk) = self.config.trunks.get(id) else { return };
        let Some(every) = trunk.health else {
            self.timers.clear(&Timer::Health(id.clone()));
            return;
        };
        let (Ok(uri), domain) = (Uri::parse(&format!("sip:{}", trunk.domain)), trunk.domain.clone()) else {
            return;
        };
        let from = format!("sip:{}@{domain}", trunk.user.as_deref().unwrap_or("sentral"));
        let from = Uri::parse(&from).unwrap_or_else(|_| uri.clone());
        if self.timers.get(&Timer::Health(id.clone())).is_none() {
            // A tenth by chance, so that many trunks are not asked in step.
            let jitter = every * self.rng.below(101) as u32 / 1000;
            self.timers.set(Timer::Health(id.clone()), now.mono + every - jitter);
        }
        let Some(state) = self.trunks.get_mut(id) else { return };
        let room = ASKING_MAX.saturating_sub(self.health_checks.len());
        for hop in state.hops.iter().take(ADDRESSES_MAX.min(room)) {
            let life = state.health.lives.entry(of(hop)).or_default();
            if life.asking.is_some() {
                continue;
            }
            let ask = OutOfDialog {
                method: Method::Options,
                uri: uri.clone(),
                hop: *hop,
                route: Vec::new(),
                from: NameAddr::new(from.clone()),
                to: NameAddr::new(uri.clone()),
                call_id: None,
                cseq: None,
                extra: vec![("Accept", "application/sdp".into())],
                body: None,
                credentials: None,
                contact_user: Some("sentral".into()),
            };
            let transaction = self.endpoint.request(now, ask);
            life.asking = Some(transaction);
            self.health_checks.insert(transaction, (id.clone(), of(hop)));
        }
    }

    /// What came of a question.
    pub(crate) fn health_answer(&mut self, now: Now, id: &TrunkId, address: Address, status: u16) {
        let Some(state) = self.trunks.get_mut(id) else { return };
        let alive = !matches!(status, 408 | 503);
        if state.health.answered(address, alive) {
            tracing::info!(trunk = %id, peer = %address.0, alive, status, "address of a trunk");
            self.trunk_judged(now, id);
        }
    }

    /// A carrier refused an INVITE: one that is overloaded says how long it wants to be left alone, and one that
    /// cannot be reached is asked at once whether it lives.
    pub(crate) fn gateway_refused(&mut self, now: Now, leg: LegId, status: u16, response: Option<&Response>) {
        let Some(of) = self.legs.get(&leg) else { return };
        let (Some(id), Some(way)) = (of.trunk.clone(), of.way.as_ref()) else { return };
        let hop = way.hop;
        match response {
            Some(response) if status == 503 => {
                let Some(wait) = retry_after(response) else { return };
                if let Some(state) = self.trunks.get_mut(&id) {
                    state.health.rest(&hop, now.mono + wait.min(REST_MAX));
                }
            }
            Some(_) => {}
            None => self.check_health(now, &id),
        }
    }
}

/// RFC 3261 §20.33: seconds, perhaps with a comment or parameters behind them.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers.get(&Name::RetryAfter)?;
    let digits: String = value.trim().chars().take_while(char::is_ascii_digit).take(9).collect();
    Some(Duration::from_secs(digits.parse::<u32>().ok()?.into())).filter(|wait| !wait.is_zero())
}
