//! How many connections each address has opened, so that one cannot take those of all.
//!
//! An IPv6 address counts as its /64 network, which is what one customer gets. Trunks are not counted.

use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;

use crate::switch::guard::network;

/// Connections by address. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    counts: Arc<DashMap<IpAddr, usize>>,
    most: usize,
}

/// A counted connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    counts: Arc<DashMap<IpAddr, usize>>,
    of: IpAddr,
}

impl Crowd {
    /// Nobody is there; an address may have `most`.
    pub(super) fn new(most: usize) -> Crowd {
        Crowd { counts: Arc::default(), most }
    }

    /// Counts one more connection of an address; `None` when it has enough.
    pub(super) fn enter(&self, ip: IpAddr) -> Option<Place> {
        let of = network(ip);
        let mut count = self.counts.entry(of).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { counts: Arc::clone(&self.counts), of })
    }

    /// Whether an address has any.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.counts.contains_key(&network(ip))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.counts.get_mut(&self.of).map(|mut count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            self.counts.remove_if(&self.of, |_, count| *count == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_so_many_and_no_more_and_leaves_nothing_behind() {
        let crowd = Crowd::new(2);
        let rows =
            [["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2", "2001:db9::1"]];
        for [one, same, other] in rows {
            let [one, same, other] = [one, same, other].map(|ip| ip.parse::<IpAddr>().unwrap());
            let first = crowd.enter(one).unwrap();
            let second = crowd.enter(same).unwrap();
            assert!(crowd.has(same) && !crowd.has(other));
            assert!(crowd.enter(one).is_none(), "{one}");
            let third = crowd.enter(other).unwrap();
            drop(first);
            let fourth = crowd.enter(same).unwrap();
            drop((second, third, fourth));
            assert!(crowd.counts.is_empty());
        }
    }
}
