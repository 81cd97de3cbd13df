//! Addresses that are not listened to for a while: what comes from them is dropped before it is read as SIP.
//!
//! The core decides who (`switch::guard`); this is its shadow for the threads that read.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use crate::shell::http::metrics;
use crate::switch::bounded::Bounded;
use crate::switch::guard::ADDRESSES_MAX;
use crate::switch::guard::network;

/// The list; clones share it. What was shut out long ago makes room when it is full: the core still drops it.
#[derive(Clone, Debug)]
pub struct ShutOut(Arc<RwLock<Bounded<IpAddr, Option<Instant>>>>);

impl Default for ShutOut {
    fn default() -> ShutOut {
        ShutOut(Arc::new(RwLock::new(Bounded::new(ADDRESSES_MAX))))
    }
}

impl ShutOut {
    /// Shuts a network out for so long; no time lets it in again.
    pub fn set(&self, network: IpAddr, long: Duration) {
        let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match long.is_zero() {
            true => list.remove(network),
            false => *list.entry(network) = Some(Instant::now() + long),
        }
    }

    /// Whether what comes from here is dropped; counts it when it is.
    pub fn drops(&self, ip: IpAddr) -> bool {
        let list = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let shut = list.peek(network(ip)).copied().flatten().is_some_and(|until| until > Instant::now());
        if shut {
            metrics::shut_out();
        }
        shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_dropped_until_its_time_is_over_or_it_is_let_in() {
        let list = ShutOut::default();
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert!(!list.drops(a));
        list.set(a, Duration::from_secs(60));
        assert!(list.drops(a) && !list.drops(b));
        list.set(a, Duration::ZERO);
        assert!(!list.drops(a));
        list.set(b, Duration::from_nanos(1));
        while list.drops(b) {}
    }
}
