//! What happens when the store, another node or a new configuration says so; what running calls adopt.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Config;
use crate::model::change::Change;
use crate::model::id::DeviceId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::UserKey;
use crate::switch::Switch;
use crate::switch::location::Aor;
use crate::switch::queue;
use crate::switch::settings;
use crate::time::Now;

impl Switch {
    /// A fact of an earlier life of this process, given back by the store.
    pub(crate) fn on_change(&mut self, now: Now, change: Change) {
        self.ledger.learn_fact(&change);
        match change {
            Change::AgentLogin { .. }
            | Change::AgentPaused { .. }
            | Change::RoundRobin { .. }
            | Change::AgentTally { .. }
            | Change::LastAgent { .. }
            | Change::Callback { .. } => {
                self.queue_input(now, queue::Input::Restore(change));
            }
            Change::Bound { binding } => self.restore_binding(now, binding),
            Change::AppKnown { domain, device, push, known: true, at } => {
                self.restore_app(now, Aor { domain, device }, push, at);
            }
            Change::AppKnown { .. } | Change::Unbound { .. } => {}
            Change::DevicePassword { domain, device, password } => {
                self.passwords.insert(Aor { domain, device }, password);
            }
            Change::BusyCallback { .. } => self.restore_wish(now, &change),
            Change::HotDesk { .. } => self.restore_desk(now, &change),
            Change::ToggleSet { .. } => {
                self.toggles.apply(&change);
                self.time_toggle(now, &change);
            }
            Change::PersonalSet { ref user, .. } => {
                self.people.apply(&change);
                self.personal_changed(now, user);
            }
            Change::MessageLeft { .. }
            | Change::MessageMarked { .. }
            | Change::MessageHandled { .. }
            | Change::GreetingSet { .. }
            | Change::PinSet { .. }
            | Change::MessageDeleted { .. } => self.mailboxes.apply(&change),
            Change::PinTries { of, times, at } => self.restore_pin_tries(of, times, at),
            Change::VoicemailSigns { user, signs, .. } => self.restore_voicemail_signs(user, signs),
            Change::Missed { .. } | Change::MissedCleared { .. } => self.missed.apply(&change),
            Change::Decision(event) => self.ledger.learn(&self.config, &event),
            // Told by us and of no use to ourselves.
            Change::CallStarted { .. }
            | Change::CallLeg { .. }
            | Change::CallAnswered { .. }
            | Change::CallEnded { .. }
            | Change::CallMedia { .. }
            | Change::CallAudio { .. }
            | Change::RegistrationFailed { .. }
            | Change::Refused { .. }
            | Change::Alarm { .. }
            | Change::RecordingBegun { .. }
            | Change::RecordingEnded { .. }
            | Change::RecordingDeleted { .. }
            | Change::RecordingsExpired { .. }
            | Change::Trunk { .. } => {}
        }
    }

    /// A new configuration replaces the old one. Programs keep the step they are in and see the new one at their
    /// next event; queues adopt at the next offer; calls of people who are gone go on.
    pub(crate) fn adopt(&mut self, now: Now, config: Arc<Config>) {
        self.config = config;
        self.toggles.adopt(&self.config);
        self.endpoint.set_settings(settings(&self.config));
        self.lend_phones();
        self.drop_unknown_bindings(now);
        self.drop_unwakable_apps();
        self.queue_input(now, queue::Input::Config(Arc::clone(&self.config)));
        let agents: Vec<UserKey> = self.agents();
        for agent in agents {
            self.refresh_agent(now, &agent);
        }
        for line in self.lines_with_hours() {
            self.line_hours(now, &line, true);
        }
        self.adopt_rooms(now);
        self.adopt_trunks(now);
        self.review_subscriptions(now);
        self.adopt_guard(now);
    }

    /// Makes passwords for the devices that have none; called when the store's are known.
    pub fn make_passwords(&mut self) {
        let mut missing: Vec<Aor> = Vec::new();
        for (key, company) in &self.config.devices {
            let aor = Aor { domain: key.0.clone(), device: key.1.clone() };
            let device = self.config.companies.get(company).and_then(|of| of.devices.get(&aor.device));
            if device.is_some_and(|device| device.password.is_none()) && !self.passwords.contains_key(&aor) {
                missing.push(aor);
            }
        }
        missing.sort();
        for aor in missing {
            let password: Arc<str> = self.rng.token().into();
            self.tell(Change::DevicePassword {
                domain: aor.domain.clone(),
                device: aor.device.clone(),
                password: Arc::clone(&password),
            });
            self.passwords.insert(aor, password);
        }
    }

    /// Bindings of devices that the configuration no longer has.
    fn drop_unknown_bindings(&mut self, now: Now) {
        let mut unknown: Vec<Aor> = self
            .location
            .aors()
            .filter(|aor| !self.config.devices.contains_key(&(aor.domain.clone(), aor.device.clone())))
            .cloned()
            .collect();
        unknown.sort();
        for aor in unknown {
            let keys: Vec<Arc<str>> = self.location.of(&aor).iter().map(|b| Arc::clone(&b.key)).collect();
            for key in keys {
                self.location.unbind(&aor, &key);
                self.unbound(now, &aor, &key, "device removed");
            }
        }
    }

    /// Everybody who is listed in a queue or ring group.
    fn agents(&self) -> Vec<UserKey> {
        let mut agents = Vec::new();
        for (id, company) in &self.config.companies {
            let of_queues = company.queues.values().flat_map(|queue| queue.agents.iter().map(|m| &m.user));
            let of_groups = company.groups.values().flat_map(|group| &group.members);
            agents.extend(
                of_queues.chain(of_groups).map(|user| UserKey { company: id.clone(), user: user.clone() }),
            );
        }
        agents.sort();
        agents.dedup();
        agents
    }

    fn lines_with_hours(&self) -> Vec<LineKey> {
        let mut lines = Vec::new();
        for (id, company) in &self.config.companies {
            for (queue, of) in &company.queues {
                if of.hours.is_some() {
                    lines.push(LineKey { company: id.clone(), line: LineId::Queue(queue.clone()) });
                }
            }
        }
        lines
    }
}

pub(crate) fn devices_by_user(config: &Config) -> HashMap<UserKey, Vec<Aor>> {
    let mut devices: HashMap<UserKey, Vec<Aor>> = HashMap::new();
    for (id, company) in &config.companies {
        for (device, of) in &company.devices {
            let user = UserKey { company: id.clone(), user: of.user.clone() };
            let device: DeviceId = device.clone();
            devices.entry(user).or_default().push(Aor { domain: company.domain.clone(), device });
        }
    }
    devices
}
