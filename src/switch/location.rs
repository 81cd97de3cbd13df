//! Address of record → bindings (RFC 3261 §10), with their expiry.
//!
//! A binding remembers the hop its REGISTER came along: a phone behind NAT or on TCP is reached that way
//! and no other. It leaves out GRUU and outbound's several flows to one instance.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::change::BindingRecord;
use crate::model::id::DeviceId;
use crate::sip::ConnectionId;
use crate::sip::Hop;

/// A device in its SIP domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Aor {
    /// SIP domain.
    pub(crate) domain: Arc<str>,
    /// SIP user name.
    pub(crate) device: DeviceId,
}

/// One place where a device can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// What survives a restart.
    pub(crate) record: BindingRecord,
    /// The way its REGISTER came.
    pub(crate) hop: Hop,
}

/// All bindings of all devices.
#[derive(Debug, Default)]
pub(crate) struct Location {
    by_aor: HashMap<Aor, Vec<Binding>>,
    expiry: BTreeSet<(Timestamp, Aor, Arc<str>)>,
    by_connection: HashMap<ConnectionId, HashSet<Aor>>,
    count: usize,
}

impl Location {
    /// The bindings of a device, newest last.
    pub(crate) fn of(&self, aor: &Aor) -> &[Binding] {
        self.by_aor.get(aor).map_or(&[], Vec::as_slice)
    }

    /// Adds a binding or replaces the one with the same contact or the same `+sip.instance`. Returns the
    /// contact that another one of the same instance replaced.
    pub(crate) fn bind(&mut self, aor: &Aor, binding: Binding) -> Option<Arc<str>> {
        let mut replaced = None;
        let old: Vec<Arc<str>> = self
            .of(aor)
            .iter()
            .filter(|b| {
                b.record.contact == binding.record.contact
                    || (b.record.instance.is_some() && b.record.instance == binding.record.instance)
            })
            .map(|b| Arc::clone(&b.record.contact))
            .collect();
        for contact in old {
            self.unbind(aor, &contact);
            if contact != binding.record.contact {
                replaced = Some(contact);
            }
        }
        self.expiry.insert((binding.record.expires, aor.clone(), Arc::clone(&binding.record.contact)));
        if let Some(connection) = binding.hop.connection {
            self.by_connection.entry(connection).or_default().insert(aor.clone());
        }
        self.by_aor.entry(aor.clone()).or_default().push(binding);
        self.count += 1;
        replaced
    }

    /// Removes a binding; tells whether there was one.
    pub(crate) fn unbind(&mut self, aor: &Aor, contact: &str) -> bool {
        let Some(bindings) = self.by_aor.get_mut(aor) else { return false };
        let Some(at) = bindings.iter().position(|b| &*b.record.contact == contact) else { return false };
        let gone = bindings.remove(at);
        self.expiry.remove(&(gone.record.expires, aor.clone(), Arc::clone(&gone.record.contact)));
        if let Some(connection) = gone.hop.connection
            && !bindings.iter().any(|b| b.hop.connection == Some(connection))
            && let Some(aors) = self.by_connection.get_mut(&connection)
        {
            aors.remove(aor);
            if aors.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
        if bindings.is_empty() {
            self.by_aor.remove(aor);
        }
        self.count -= 1;
        true
    }

    /// Removes what came over a connection that is gone, and says what that was.
    pub(crate) fn closed(&mut self, connection: ConnectionId) -> Vec<(Aor, Arc<str>)> {
        let mut gone = Vec::new();
        let mut aors: Vec<Aor> = self.by_connection.get(&connection).into_iter().flatten().cloned().collect();
        aors.sort();
        for aor in aors {
            let contacts: Vec<Arc<str>> = self
                .of(&aor)
                .iter()
                .filter(|b| b.hop.connection == Some(connection))
                .map(|b| Arc::clone(&b.record.contact))
                .collect();
            for contact in contacts {
                self.unbind(&aor, &contact);
                gone.push((aor.clone(), contact));
            }
        }
        gone
    }

    /// Removes one binding whose time is over; call until `None`.
    pub(crate) fn expired(&mut self, at: Timestamp) -> Option<(Aor, Arc<str>)> {
        let (expires, aor, contact) = self.expiry.first()?;
        if *expires > at {
            return None;
        }
        let (aor, contact) = (aor.clone(), Arc::clone(contact));
        self.unbind(&aor, &contact);
        Some((aor, contact))
    }

    /// When the next binding ends.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiry.first().map(|(at, ..)| *at)
    }

    /// Whether a binding hangs on a connection.
    pub(crate) fn uses(&self, connection: ConnectionId) -> bool {
        self.by_connection.contains_key(&connection)
    }

    /// All devices with bindings, in no particular order.
    pub(crate) fn aors(&self) -> impl Iterator<Item = &Aor> {
        self.by_aor.keys()
    }

    /// Bindings in all.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}
