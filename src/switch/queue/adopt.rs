//! What running queues adopt of a new configuration.
//!
//! Rules count from the next offer or deadline on; nobody who waits loses their place. Only companies whose
//! configuration changed are looked at.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Config;
use crate::model::company::Company;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::QueueId;
use crate::switch::queue::Deadline;
use crate::switch::queue::ExitReason;
use crate::switch::queue::Queues;
use crate::switch::queue::Withdrawn;
use crate::switch::queue::agent::Agent;
use crate::switch::queue::agent::Seat;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Rules;
use crate::time::Now;

impl Queues {
    /// A new configuration.
    pub(super) fn adopt(&mut self, now: Now, config: Arc<Config>) {
        let old = std::mem::replace(&mut self.config, config.clone());
        for id in old.companies.keys().filter(|id| !config.companies.contains_key(*id)) {
            self.adopt_company(now, id, None);
        }
        for (id, company) in &config.companies {
            if !old.companies.get(id).is_some_and(|old| Arc::ptr_eq(old, company)) {
                self.adopt_company(now, id, Some(company));
            }
        }
    }

    fn adopt_company(&mut self, now: Now, id: &CompanyId, company: Option<&Company>) {
        let rules = company.map(rules_of).unwrap_or_default();
        for key in self.lines_of_company(id) {
            if !rules.contains_key(&key) {
                self.delete_line(now, &key);
            }
        }
        let mut seats: BTreeMap<AgentKey, BTreeMap<LineKey, bool>> = BTreeMap::new();
        let mut kept = Vec::new();
        for (key, rules) in rules {
            for member in &rules.members {
                seats.entry(member.agent.clone()).or_default().insert(key.clone(), member.auto_login);
            }
            match self.lines.get_mut(&key) {
                Some(line) => {
                    line.rules = rules;
                    kept.push(key);
                }
                None => {
                    let dice = self.rng.bits();
                    self.lines.insert(key, Line::new(rules, dice));
                }
            }
        }
        self.adopt_agents(now, id, company, seats);
        for key in kept {
            self.rearm(now, &key);
        }
    }

    /// Gives agents the seats they are listed in; a seat lost takes its log-in and its ringing with it.
    fn adopt_agents(
        &mut self,
        now: Now,
        id: &CompanyId,
        company: Option<&Company>,
        seats: BTreeMap<AgentKey, BTreeMap<LineKey, bool>>,
    ) {
        let first = AgentKey { company: id.clone(), user: "".into() };
        let agents = self.agents.range(first..).map(|(key, _)| key).take_while(|key| key.company == *id);
        for key in agents.cloned().collect::<Vec<AgentKey>>() {
            let lost = |line: &LineKey| !seats.get(&key).is_some_and(|listed| listed.contains_key(line));
            if self.offer_of(&key).is_some_and(|offer| lost(&offer.line)) {
                self.withdraw_from(now, &key, Withdrawn::Removed, |_| true);
            }
            let Some(agent) = self.agents.get_mut(&key) else { continue };
            let gone: Vec<LineKey> = agent.seats.keys().filter(|line| lost(line)).cloned().collect();
            agent.seats.retain(|line, _| !lost(line));
            for line in gone {
                self.timers.clear(&Deadline::PauseEnd(key.clone(), Some(line)));
            }
            // What is known of somebody who may be listed later is kept.
            let known = company.is_some_and(|company| company.users.contains_key(&key.user));
            if !known && !seats.contains_key(&key) {
                self.agents.remove(&key);
                self.timers.clear(&Deadline::WrapUp(key.clone()));
                self.timers.clear(&Deadline::PauseEnd(key.clone(), None));
                self.timers.clear(&Deadline::Backoff(key));
            }
        }
        for (key, lines) in seats {
            let agent = self.agents.entry(key).or_insert_with(|| Agent::new(now));
            for (line, auto_login) in lines {
                agent.seats.entry(line).or_insert_with(|| Seat::new(now)).auto_login = auto_login;
            }
        }
    }

    /// A line is gone: its callers take their exit; who has been answered stays with the agent.
    fn delete_line(&mut self, now: Now, key: &LineKey) {
        self.exit_all(now, key, ExitReason::Gone);
        self.lines.remove(key);
        self.rung_last.remove(key);
        self.timers.clear(&Deadline::Drain(key.clone()));
        self.unarm_line(key);
    }

    /// Measures those who wait by the line's present rules.
    fn rearm(&mut self, now: Now, key: &LineKey) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let waiting: Vec<CallId> = line.order.values().copied().collect();
        line.order.clear();
        for call in &waiting {
            let Some(entry) = self.entries.get_mut(call) else { continue };
            entry.place.priority = Reverse(entry.priority.unwrap_or(line.rules.priority));
            line.order.insert(entry.place, *call);
        }
        for call in waiting {
            if self.entries.get(&call).is_some_and(|entry| !entry.last_chance) {
                self.arm_max_wait(call);
            }
            self.arm_tier(now, call);
            self.arm_callback_offer(now, call);
            self.arm_announcements(now, call);
        }
        self.review_staff(now, key);
        self.dirty.insert(key.clone());
    }

    fn lines_of_company(&self, id: &CompanyId) -> Vec<LineKey> {
        let first = LineKey { company: id.clone(), line: LineId::Queue(QueueId::from("")) };
        let lines = self.lines.range(first..).map(|(key, _)| key);
        lines.take_while(|key| key.company == *id).cloned().collect()
    }
}

fn rules_of(company: &Company) -> BTreeMap<LineKey, Rules> {
    let key = |line| LineKey { company: company.id.clone(), line };
    let queues = company
        .queues
        .iter()
        .map(|(id, queue)| (key(LineId::Queue(id.clone())), Rules::of_queue(company, queue)));
    let groups = company
        .groups
        .iter()
        .map(|(id, group)| (key(LineId::Group(id.clone())), Rules::of_group(company, group)));
    queues.chain(groups).collect()
}
