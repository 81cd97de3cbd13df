//! Who is at the other end of a connection, as far as a certificate has proved it (RFC 5922), and whether a silent
//! connection is still needed.
//!
//! What is proved of one connection says nothing about another, whatever address it comes from. Which authorities
//! count is the shell's matter: it tells only names that it has verified.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::id::TrunkId;
use crate::sip::ConnectionId;
use crate::sip::Hop;
use crate::sip::Transport;
use crate::switch::Output;
use crate::switch::Switch;

/// Verified names by connection; as many entries at most as the shell keeps connections.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    names: HashMap<ConnectionId, Vec<Arc<str>>>,
}

impl Peers {
    /// A connection's names are known.
    pub(crate) fn opened(&mut self, connection: ConnectionId, names: Vec<Arc<str>>) {
        if !names.is_empty() {
            self.names.insert(connection, names);
        }
    }

    /// A connection is gone.
    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        self.names.remove(&connection);
    }

    /// Whether who is at the other end of this very connection has proved to be `name`. RFC 5922 §7.2: names are
    /// compared whole; a wildcard stands for nobody.
    fn proved(&self, hop: Hop, name: &str) -> bool {
        let names = hop.connection.and_then(|connection| self.names.get(&connection));
        hop.transport == Transport::Tls
            && names.is_some_and(|names| names.iter().any(|proved| **proved == *name))
    }
}

impl Switch {
    /// The trunk whose certificate was verified on the connection that a message came along.
    pub(crate) fn certified_trunk(&self, hop: Hop) -> Option<TrunkId> {
        let mut trunks = self.config.trunks.iter();
        let shown = |certificate: &Option<Arc<str>>| {
            certificate.as_ref().is_some_and(|name| self.peers.proved(hop, name))
        };
        trunks.find(|(_, trunk)| shown(&trunk.certificate)).map(|(id, _)| id.clone())
    }

    /// A connection has been silent for long.
    pub(crate) fn on_idle(&mut self, connection: ConnectionId) {
        if !self.location.uses(connection) && !self.endpoint.uses(connection) {
            self.outputs.push_back(Output::Close(connection));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_on_its_own_connection_only_and_until_that_is_closed() {
        let mut peers = Peers::default();
        peers.opened(ConnectionId(1), vec!["sip.carrier.example".into()]);
        let hop = |transport, connection| Hop {
            transport,
            local: "192.0.2.1:5061".parse().unwrap(),
            remote: "192.0.2.2:5061".parse().unwrap(),
            connection,
        };
        let (one, two) = (Some(ConnectionId(1)), Some(ConnectionId(2)));
        let rows = [
            (hop(Transport::Tls, one), "sip.carrier.example", true),
            (hop(Transport::Tls, one), "carrier.example", false),
            (hop(Transport::Tls, two), "sip.carrier.example", false),
            (hop(Transport::Tls, None), "sip.carrier.example", false),
            (hop(Transport::Wss, one), "sip.carrier.example", false),
        ];
        for (hop, name, expect) in rows {
            assert_eq!(peers.proved(hop, name), expect, "{hop:?} {name}");
        }
        peers.closed(ConnectionId(1));
        assert!(!peers.proved(hop(Transport::Tls, one), "sip.carrier.example"));
        assert!(peers.names.is_empty());
    }
}
