//! Addresses that are not listened to for a while: what comes from them is dropped before it is read as SIP.
//!
//! The core decides who (`switch::guard`); this is its shadow for the threads that read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use crate::shell::http::metrics;
use crate::switch::guard::ADDRESSES_MAX;
use crate::switch::guard::network;

/// The list; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ShutOut(Arc<RwLock<HashMap<IpAddr, Instant>>>);

impl ShutOut {
    /// Shuts a network out for so long; no time lets it in again.
    pub fn set(&self, network: IpAddr, long: Duration) {
        let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if long.is_zero() {
            list.remove(&network);
            return;
        }
        let now = Instant::now();
        if list.len() >= ADDRESSES_MAX {
            list.retain(|_, until| *until > now);
        }
        // One that finds no room is still dropped by the core.
        if list.len() < ADDRESSES_MAX {
            list.insert(network, now + long);
        }
    }

    /// Whether what comes from here is dropped; counts it when it is.
    pub fn drops(&self, ip: IpAddr) -> bool {
        let list = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let shut = !list.is_empty() && list.get(&network(ip)).is_some_and(|until| *until > Instant::now());
        if shut {
            metrics::refused("shut_out", 1);
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
