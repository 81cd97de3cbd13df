//! Addresses that are neither shut out nor limited: those that the operator names, and those of carriers.
//!
//! Ports count for nothing here: whoever shuts an address out shuts out all that is there, so nobody who sends from
//! another port of a carrier, or says that he does, may bring that about. For the same reason an address of IPv6 spares
//! its whole /64, as the guard judges by that.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::model::trunk::Trusted;
use crate::switch::guard::network;

/// The addresses, by network. A look costs as many searches by hash as there are lengths of prefixes.
#[derive(Debug, Default)]
pub(crate) struct Spared {
    networks: HashSet<(IpAddr, u8)>,
    /// Lengths that occur, of IPv4 and of IPv6.
    lengths: [Vec<u8>; 2],
}

impl Spared {
    /// Adds a network.
    pub(crate) fn add(&mut self, trusted: &Trusted) {
        self.insert(trusted.address, trusted.prefix);
    }

    /// Adds one address.
    pub(crate) fn add_address(&mut self, ip: IpAddr) {
        self.insert(ip, u8::MAX);
    }

    /// Whether an address is spared.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        let ip = network(ip);
        let lengths = &self.lengths[usize::from(ip.is_ipv6())];
        lengths.iter().any(|length| self.networks.contains(&(masked(ip, *length), *length)))
    }

    fn insert(&mut self, ip: IpAddr, prefix: u8) {
        let ip = network(ip);
        let length = prefix.min(if ip.is_ipv4() { 32 } else { 64 });
        let lengths = &mut self.lengths[usize::from(ip.is_ipv6())];
        if !lengths.contains(&length) {
            lengths.push(length);
        }
        self.networks.insert((masked(ip, length), length));
    }
}

fn masked(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_every_length_are_found_and_their_neighbours_are_not() {
        let mut spared = Spared::default();
        let networks = [
            ("10.0.0.0", 8),
            ("192.0.2.7", 32),
            ("198.51.100.128", 25),
            ("2001:db8:1::5", 128),
            ("2001:db8:8000::", 33),
        ];
        for (address, prefix) in networks {
            spared.add(&Trusted { address: address.parse().unwrap(), prefix, port: Some(5_060) });
        }
        spared.add_address("203.0.113.9".parse().unwrap());
        let rows = [
            ("10.200.3.4", true),
            ("::ffff:10.200.3.4", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("198.51.100.200", true),
            ("198.51.100.100", false),
            // The /64 of a carrier's address.
            ("2001:db8:1::ffff", true),
            ("2001:db8:2::5", false),
            ("2001:db8:9000::1", true),
            ("2001:db8:7000::1", false),
            ("203.0.113.9", true),
            ("203.0.113.8", false),
        ];
        for (ip, expect) in rows {
            assert_eq!(spared.contains(ip.parse().unwrap()), expect, "{ip}");
        }
        let mut all = Spared::default();
        all.add(&Trusted { address: "0.0.0.0".parse().unwrap(), prefix: 0, port: None });
        assert!(all.contains("192.0.2.1".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
    }
}
