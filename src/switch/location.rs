//! Address of record → bindings (RFC 3261 §10), with their expiry.
//!
//! A binding remembers the hop its REGISTER came along: a phone behind NAT or on TCP is reached that way
//! and no other. Which of them a REGISTER means, and which one rings, is decided in `outbound.rs`.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::change::BindingRecord;
use crate::model::change::PushTarget;
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
    /// What names it: [`BindingRecord::key`].
    pub(crate) key: Arc<str>,
}

impl Binding {
    /// A binding that is reached along `hop`.
    pub(crate) fn new(record: BindingRecord, hop: Hop) -> Binding {
        let key = record.key();
        Binding { record, hop, key }
    }
}

/// All bindings of all devices.
#[derive(Debug, Default)]
pub(crate) struct Location {
    by_aor: HashMap<Aor, Vec<Binding>>,
    expiry: BTreeSet<(Timestamp, Aor, Arc<str>)>,
    by_connection: HashMap<ConnectionId, HashSet<Aor>>,
    count: usize,
    /// Apps that may be woken, the one heard of last at the end.
    apps: HashMap<Aor, Vec<App>>,
}

/// An app that may be woken.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// How.
    pub(crate) push: PushTarget,
    /// When it registered, exact to a day.
    pub(crate) at: Timestamp,
}

impl Location {
    /// The bindings of a device, newest last.
    pub(crate) fn of(&self, aor: &Aor) -> &[Binding] {
        self.by_aor.get(aor).map_or(&[], Vec::as_slice)
    }

    /// Adds a binding in place of its older self and of those that it replaces. Returns the names of the latter.
    pub(crate) fn bind(
        &mut self,
        aor: &Aor,
        binding: Binding,
        replaces: impl Fn(&BindingRecord) -> bool,
    ) -> Vec<Arc<str>> {
        let mut old: Vec<Arc<str>> = self
            .of(aor)
            .iter()
            .filter(|b| b.key == binding.key || replaces(&b.record))
            .map(|b| Arc::clone(&b.key))
            .collect();
        for key in &old {
            self.unbind(aor, key);
        }
        old.retain(|key| *key != binding.key);
        self.expiry.insert((binding.record.expires, aor.clone(), Arc::clone(&binding.key)));
        if let Some(connection) = binding.hop.connection {
            self.by_connection.entry(connection).or_default().insert(aor.clone());
        }
        self.by_aor.entry(aor.clone()).or_default().push(binding);
        self.count += 1;
        old
    }

    /// Removes a binding; tells whether there was one.
    pub(crate) fn unbind(&mut self, aor: &Aor, key: &str) -> bool {
        let Some(bindings) = self.by_aor.get_mut(aor) else { return false };
        let Some(at) = bindings.iter().position(|b| &*b.key == key) else { return false };
        let gone = bindings.remove(at);
        self.expiry.remove(&(gone.record.expires, aor.clone(), gone.key));
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
            let keys: Vec<Arc<str>> = self
                .of(&aor)
                .iter()
                .filter(|b| b.hop.connection == Some(connection))
                .map(|b| Arc::clone(&b.key))
                .collect();
            for key in keys {
                self.unbind(&aor, &key);
                gone.push((aor.clone(), key));
            }
        }
        gone
    }

    /// Removes one binding whose time is over; call until `None`.
    pub(crate) fn expired(&mut self, at: Timestamp) -> Option<(Aor, Arc<str>)> {
        let (expires, aor, key) = self.expiry.first()?;
        if *expires > at {
            return None;
        }
        let (aor, key) = (aor.clone(), Arc::clone(key));
        self.unbind(&aor, &key);
        Some((aor, key))
    }

    /// When the next binding ends.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiry.first().map(|(at, ..)| *at)
    }

    /// Whether a binding hangs on a connection.
    pub(crate) fn uses(&self, connection: ConnectionId) -> bool {
        self.by_connection.contains_key(&connection)
    }

    /// The apps of a device that may be woken.
    pub(crate) fn apps(&self, aor: &Aor) -> &[App] {
        self.apps.get(aor).map_or(&[], Vec::as_slice)
    }

    /// Learns of an app in place of its older self; at most `most` of a device are kept. Returns those that make room.
    pub(crate) fn know_app(&mut self, aor: &Aor, app: App, most: usize) -> Vec<PushTarget> {
        let apps = self.apps.entry(aor.clone()).or_default();
        apps.retain(|old| old.push.prid != app.push.prid);
        apps.push(app);
        let surplus = apps.len().saturating_sub(most.max(1));
        apps.drain(..surplus).map(|app| app.push).collect()
    }

    /// Forgets apps of a device; returns them.
    pub(crate) fn forget_apps(&mut self, aor: &Aor, which: impl Fn(&App) -> bool) -> Vec<PushTarget> {
        let Some(apps) = self.apps.get_mut(aor) else { return Vec::new() };
        let gone = apps.extract_if(.., |app| which(app)).map(|app| app.push).collect();
        if apps.is_empty() {
            self.apps.remove(aor);
        }
        gone
    }

    /// All devices with apps that may be woken.
    pub(crate) fn with_apps(&self) -> Vec<Aor> {
        self.apps.keys().cloned().collect()
    }

    /// Keeps the apps of these devices only.
    pub(crate) fn retain_apps(&mut self, keep: impl Fn(&Aor) -> bool) {
        self.apps.retain(|aor, _| keep(aor));
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
