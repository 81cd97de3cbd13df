//! Carriers: their addresses, our registrations with them, and whether they can be used.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::change::Change;
use crate::model::command::TrunkView;
use crate::model::id::TrunkId;
use crate::model::trunk::Trunk;
use crate::model::trunk::TrunkTransport;
use crate::sip::Hop;
use crate::sip::Response;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::endpoint::Credentials;
use crate::sip::header::NameAddr;
use crate::sip::register::Account;
use crate::sip::register::KEEP_ALIVE;
use crate::sip::register::Output;
use crate::sip::register::Registration;
use crate::switch;
use crate::switch::Ask;
use crate::switch::Asked;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::channels::Bucket;
use crate::switch::health::ADDRESSES_MAX;
use crate::switch::health::Health;
use crate::switch::outbound;
use crate::time::Now;

/// A question about an address that was not answered is asked again.
const RESOLVE_AGAIN: Duration = Duration::from_secs(60);
/// Asked of registrars.
const EXPIRES_S: u32 = 600;

/// What is known of a carrier at run time.
#[derive(Debug, Default)]
pub(crate) struct TrunkState {
    /// Its addresses, best first.
    pub(crate) hops: Vec<Hop>,
    /// Our registration, when it wants one.
    registration: Option<Registration>,
    /// Whether it stands, as last said, and why.
    registered: Option<(bool, String)>,
    /// Whether its addresses live.
    pub(crate) health: Health,
    /// Calls begun, each way.
    pub(crate) incoming: Bucket,
    pub(crate) outgoing: Bucket,
    /// As last told.
    told: Option<bool>,
    /// What the registration was made for: another account begins a new one.
    account: Option<Trunk>,
}

impl TrunkState {
    /// Whether it was told to be down.
    pub(crate) fn is_down(&self) -> bool {
        self.told == Some(false)
    }

    /// The best address that lives, else the best.
    fn best(&self) -> Option<Hop> {
        self.hops.iter().find(|hop| !self.health.is_down(hop)).or(self.hops.first()).copied()
    }
}

impl Switch {
    /// Takes up new carriers and lets go of those that are gone; calls through them go on.
    pub(crate) fn adopt_trunks(&mut self, now: Now) {
        let gone: Vec<TrunkId> =
            self.trunks.keys().filter(|id| !self.config.trunks.contains_key(*id)).cloned().collect();
        for id in gone {
            if let Some(registration) = self.trunks.get_mut(&id).and_then(|state| state.registration.as_mut())
            {
                registration.unregister(now);
                self.settle_trunk(now, &id);
            }
            self.trunks.remove(&id);
            self.timers.clear(&Timer::Resolve(id.clone()));
            self.timers.clear(&Timer::Health(id.clone()));
            self.timers.clear(&Timer::Trunk(id));
        }
        let config = Arc::clone(&self.config);
        for (id, trunk) in &config.trunks {
            let state = self.trunks.entry(id.clone()).or_default();
            let same = state.account.as_ref().is_some_and(|old| same_account(old, trunk));
            let asked = state.account.as_ref().is_some_and(|old| old.health == trunk.health);
            state.account = Some(trunk.clone());
            if same && !asked {
                state.health.forget();
                self.timers.clear(&Timer::Health(id.clone()));
                self.check_health(now, id);
                self.trunk_judged(now, id);
                continue;
            }
            if !same {
                if let Some(registration) = state.registration.as_mut() {
                    registration.unregister(now);
                    self.settle_trunk(now, id);
                }
                if let Some(state) = self.trunks.get_mut(id) {
                    (state.registration, state.registered) = (None, None);
                }
                self.resolve_trunk(now, id);
            }
        }
    }

    /// Looks up a carrier's address.
    pub(crate) fn resolve_trunk(&mut self, now: Now, id: &TrunkId) {
        let Some(trunk) = self.config.trunks.get(id) else { return };
        let transport = match trunk.transport {
            TrunkTransport::Auto => None,
            TrunkTransport::Udp => Some(Transport::Udp),
            TrunkTransport::Tcp => Some(Transport::Tcp),
            TrunkTransport::Tls => Some(Transport::Tls),
        };
        let ask = Ask::Resolve { host: Arc::clone(&trunk.host), port: trunk.port, transport };
        self.timers.set(Timer::Resolve(id.clone()), now.mono + RESOLVE_AGAIN);
        self.ask(ask, Asked::Trunk(id.clone()));
    }

    /// A carrier's address is known, or is not; it is looked up again after `ttl`.
    pub(crate) fn trunk_resolved(&mut self, now: Now, id: &TrunkId, hops: Vec<Hop>, ttl: Duration) {
        let Some(trunk) = self.config.trunks.get(id).cloned() else { return };
        self.timers.set(Timer::Resolve(id.clone()), now.mono + ttl);
        let rng = self.rng.fork();
        let Some(state) = self.trunks.get_mut(id) else { return };
        // A name that is not known for a moment is no reason to forget where the carrier was.
        if !hops.is_empty() {
            let new = state.hops.is_empty() || hops.iter().any(|hop| !state.hops.contains(hop));
            state.health.keep(&hops);
            state.hops = hops;
            if new {
                self.spare_neighbours(now);
                self.check_health(now, id);
            }
        }
        let Some(state) = self.trunks.get_mut(id) else { return };
        if let (Some(hop), None, true) = (state.best(), &state.registration, trunk.register)
            && let Some(account) = account(&trunk, &self.config.server.name)
        {
            let mut registration = Registration::new(account, hop, rng);
            registration.register();
            state.registration = Some(registration);
        }
        self.trunk_judged(now, id);
    }

    /// A registration's deadline has passed.
    pub(crate) fn trunk_timeout(&mut self, now: Now, id: &TrunkId) {
        if let Some(registration) = self.trunks.get_mut(id).and_then(|state| state.registration.as_mut()) {
            registration.handle_timeout(now);
        }
        self.settle_trunk(now, id);
    }

    /// What a carrier said to our REGISTER.
    pub(crate) fn trunk_response(
        &mut self,
        now: Now,
        id: &TrunkId,
        status: u16,
        response: Option<&Response>,
    ) {
        if let Some(registration) = self.trunks.get_mut(id).and_then(|state| state.registration.as_mut()) {
            registration.handle_response(now, status, response);
        }
        self.settle_trunk(now, id);
    }

    /// Sends what a registration wants sent, and tells its state.
    fn settle_trunk(&mut self, now: Now, id: &TrunkId) {
        loop {
            let Some(registration) = self.trunks.get_mut(id).and_then(|state| state.registration.as_mut())
            else {
                return;
            };
            let params = registration.contact_params();
            match registration.poll_output() {
                Some(Output::Send(mut request)) => {
                    if let Some(user) = request.contact_user.take() {
                        let uri = self.endpoint.contact(&user, &request.hop);
                        request.extra.push(("Contact", format!("<{uri}>{params}")));
                    }
                    let transaction = self.endpoint.request(now, *request);
                    self.trunk_transactions.insert(transaction, id.clone());
                }
                Some(Output::KeepAlive(hop)) => {
                    let bytes = Bytes::from_static(KEEP_ALIVE);
                    self.outputs.push_back(switch::Output::Transmit(Transmit { hop, bytes }));
                }
                Some(Output::State { up, why }) => {
                    if let Some(state) = self.trunks.get_mut(id) {
                        state.registered = Some((up, why));
                    }
                    self.tell_trunk(id);
                }
                None => break,
            }
        }
        let deadline = self.trunks.get(id).and_then(|state| state.registration.as_ref()?.poll_timeout());
        match deadline {
            Some((at, _)) => self.timers.set(Timer::Trunk(id.clone()), at),
            None => {
                self.timers.clear(&Timer::Trunk(id.clone()));
            }
        }
    }

    /// What is known of a trunk's addresses has changed: its registration takes the best, and it is told whether it
    /// can be used.
    pub(crate) fn trunk_judged(&mut self, now: Now, id: &TrunkId) {
        let Some(state) = self.trunks.get_mut(id) else { return };
        let best = state.best();
        if let (Some(hop), Some(registration)) = (best, state.registration.as_mut()) {
            registration.set_hop(hop);
        }
        self.settle_trunk(now, id);
        self.tell_trunk(id);
    }

    /// A trunk can be used when an address lives and its registration, if it wants one, stands.
    fn tell_trunk(&mut self, id: &TrunkId) {
        let Some(state) = self.trunks.get(id) else { return };
        let wants = self.config.trunks.get(id).is_some_and(|trunk| trunk.register);
        let (up, why) = match &state.registered {
            _ if state.hops.is_empty() => (false, "address not known".to_owned()),
            _ if state.hops.iter().all(|hop| state.health.is_down(hop)) => {
                (false, "no answer to OPTIONS".to_owned())
            }
            Some((up, why)) if wants => (*up, why.clone()),
            None if wants => return,
            Some(_) | None => (true, "by address".to_owned()),
        };
        self.trunk_told(id, up, &why);
    }

    fn trunk_told(&mut self, id: &TrunkId, up: bool, why: &str) {
        let Some(state) = self.trunks.get_mut(id) else { return };
        if state.told == Some(up) {
            return;
        }
        state.told = Some(up);
        match up {
            true => tracing::info!(trunk = %id, why, "trunk up"),
            false => tracing::warn!(trunk = %id, why, "trunk down"),
        }
        self.tell(Change::Trunk { trunk: id.clone(), up, why: why.into() });
    }

    pub(crate) fn trunk_views(&self, now: Now) -> Vec<TrunkView> {
        let state_of = |id: &TrunkId, trunk: &Trunk| match self.trunks.get(id).and_then(|state| state.told) {
            Some(true) if trunk.register => "registered",
            Some(true) => "by address",
            Some(false) => "down",
            None if trunk.register => "registering",
            None => "looking up its address",
        };
        self.config
            .trunks
            .iter()
            .map(|(id, trunk)| TrunkView {
                id: id.to_string(),
                name: trunk.name.to_string(),
                state: state_of(id, trunk).to_owned(),
                calls: self.channels.of(id),
                channels: trunk.channels,
                addresses: self.address_views(now, id),
            })
            .collect()
    }
}

impl Switch {
    /// The addresses of a trunk, each with one word for its state.
    fn address_views(&self, now: Now, id: &TrunkId) -> Vec<String> {
        let Some(state) = self.trunks.get(id) else { return Vec::new() };
        let word = |hop: &Hop| match () {
            () if state.health.is_down(hop) => "down",
            () if state.health.rests(now, hop) => "rests",
            () => "up",
        };
        let view = |hop: &Hop| format!("{} {} {}", hop.transport.via().to_lowercase(), hop.remote, word(hop));
        state.hops.iter().take(ADDRESSES_MAX).map(view).collect()
    }
}

/// Whether nothing changed that a registration or an address follows from.
fn same_account(old: &Trunk, new: &Trunk) -> bool {
    (&old.host, old.port, old.transport, &old.user, &old.password, old.register, &old.domain)
        == (&new.host, new.port, new.transport, &new.user, &new.password, new.register, &new.domain)
}

fn account(trunk: &Trunk, server: &str) -> Option<Account> {
    let user = trunk.user.as_ref()?;
    let credentials = trunk
        .password
        .as_ref()
        .map(|secret| Credentials { user: user.to_string(), password: secret.0.to_string() });
    Some(Account {
        registrar: Uri::parse(&format!("sip:{}", trunk.domain)).ok()?,
        aor: NameAddr::new(Uri::parse(&format!("sip:{user}@{}", trunk.domain)).ok()?),
        contact_user: user.to_string(),
        credentials,
        expires_s: EXPIRES_S,
        route: Vec::new(),
        instance: Some(outbound::own_instance(server)),
    })
}
