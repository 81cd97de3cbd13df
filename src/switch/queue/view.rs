//! What people see of queues and agents, and what must always hold.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::change::Source;
use crate::model::command::AgentView;
use crate::model::command::QueueView;
use crate::model::command::WaitingView;
use crate::model::figures::LineFigures;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineKey;
use crate::switch::queue::Pause;
use crate::switch::queue::Queues;
use crate::switch::queue::line::Entry;
use crate::switch::queue::line::Line;
use crate::switch::queue::line::Stage;
use crate::time::Now;

/// A pause that the agent did not ask for, in words.
fn notice(line: Option<&LineKey>, pause: &Pause) -> String {
    let place = line.map_or("everywhere".to_owned(), |line| format!("in {}", line.line));
    let by = match &pause.by {
        Source::Auto(why) => why.to_string(),
        Source::Code | Source::Cli | Source::Config => pause.reason.to_string(),
    };
    let until = pause.until.map_or("you come back".to_owned(), |until| until.to_string());
    format!("on pause {place} until {until}: {by}")
}

/// How an agent stands over all queues and ring groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Listed somewhere.
    pub listed: bool,
    /// Logged in somewhere.
    pub logged_in: bool,
    /// On pause.
    pub paused: bool,
}

impl Queues {
    /// How many wait in a queue or ring group, and whether an agent is being rung for one of them; none when there
    /// is no such line.
    pub fn crowd(&self, line: &LineKey) -> Option<(usize, bool)> {
        let line = self.lines.get(line)?;
        let rings = |call| self.entries.get(call).is_some_and(|entry| !entry.offers.is_empty());
        Some((self.living(line).count(), line.order.values().any(rings)))
    }

    /// How an agent stands over all queues and ring groups.
    pub fn standing(&self, agent: &AgentKey) -> Standing {
        let Some(who) = self.agents.get(agent) else { return Standing::default() };
        Standing {
            listed: !who.seats.is_empty(),
            logged_in: who.seats.keys().any(|line| self.logged_in(agent, line)),
            paused: who.paused.is_some(),
        }
    }

    /// Queues and ring groups by company, queues first; only of `company` when given. What they did today is not
    /// known here: the ledger counts it.
    pub fn views(&self, now: Now, company: Option<&CompanyId>) -> Vec<QueueView> {
        let wanted = |key: &LineKey| company.is_none_or(|company| key.company == *company);
        let lines = self.lines.iter().filter(|(key, _)| wanted(key));
        lines
            .map(|(key, line)| {
                let waits = || self.living(line).filter_map(|call| self.entries.get(&call));
                let waiting = waits().count();
                let members = line.rules.members.iter();
                QueueView {
                    company: key.company.clone(),
                    line: key.line.clone(),
                    name: line.rules.name.to_string(),
                    waiting,
                    longest_s: waits().map(|entry| entry.waited(now).as_secs()).max().unwrap_or(0),
                    agents: members
                        .map(|m| (m.agent.user.clone(), self.stand(now, &m.agent, key).shown(now)))
                        .collect(),
                    today: LineFigures::default(),
                    callbacks: line.order.len() - waiting,
                    callers: self.callers(now, key, line),
                }
            })
            .collect()
    }

    /// Everybody who is listed in some queue or ring group; only of `company` when given.
    pub fn agent_views(&self, now: Now, company: Option<&CompanyId>) -> Vec<AgentView> {
        let agents = self.agents.iter().filter(|(key, agent)| {
            !agent.seats.is_empty() && company.is_none_or(|company| key.company == *company)
        });
        agents
            .map(|(key, agent)| {
                let user = self.config.companies.get(&key.company).and_then(|c| c.users.get(&key.user));
                AgentView {
                    agent: key.clone(),
                    name: user.map_or(key.user.as_str(), |user| &user.name).to_string(),
                    paused: agent.paused.as_ref().map(|pause| pause.reason.to_string()),
                    paused_until: agent.paused.as_ref().and_then(|pause| pause.until),
                    wrap_up_s: self.wrap_up_left(now, key).map(|left| left.as_secs()),
                    notices: self.notices(key).map(|(line, pause)| notice(line, pause)).collect(),
                    lines: agent
                        .seats
                        .keys()
                        .map(|line| (line.line.clone(), self.stand(now, key, line).shown(now)))
                        .collect(),
                    voicemail_suspected: false,
                }
            })
            .collect()
    }

    /// Who waits in a line, the first first.
    fn callers(&self, now: Now, key: &LineKey, line: &Line) -> Vec<WaitingView> {
        let entries = line.order.values().filter_map(|call| Some((*call, self.entries.get(call)?)));
        let view = |(position, (call, entry)): (u32, (CallId, &Entry))| {
            let offers = entry.offers.iter().filter_map(|id| self.offers.get(id));
            let state = match (entry.callback.is_some(), entry.offers.is_empty()) {
                (false, true) => "waiting",
                (false, false) => "offering",
                (true, true) => "callback_pending",
                (true, false) => "callback_offering",
            };
            WaitingView {
                entry: call,
                line: key.line.clone(),
                position,
                wait_s: now.mono.saturating_duration_since(entry.place.since).as_secs(),
                priority: entry.place.priority.0,
                number: entry.number.clone(),
                state: state.to_owned(),
                offered_to: offers.map(|offer| offer.agent.user.clone()).collect(),
            }
        };
        (1..).zip(entries).map(view).collect()
    }

    /// Callers who are not yet with an agent and wait on the line.
    pub fn waiting(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_living()).count() - self.talks.len()
    }

    /// Places that are kept for callers who are to be called back, those being dialled included.
    pub fn kept_places(&self) -> usize {
        self.callbacks.len()
    }

    /// Place of a waiting caller, 1 first; none for anybody else.
    pub fn place(&self, entry: CallId) -> Option<u32> {
        let entry = self.entries.get(&entry).filter(|entry| entry.stage == Stage::Waiting)?;
        Some(self.lines.get(&entry.line)?.rank(&entry.place))
    }

    /// Whether nobody waits, rings or talks, and no answer can still come.
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.offers.is_empty() && self.late.is_empty() && self.talks.is_empty()
    }

    /// Agents whose reservation or talk is not borne out by an offer or a caller; always 0.
    pub fn divergence(&self) -> usize {
        let offers = self.reserved.iter().filter(|(agent, id)| {
            let offer = self.offers.get(id);
            let waits = offer.and_then(|offer| self.entries.get(&offer.entry));
            offer.is_none_or(|offer| offer.agent != **agent)
                || waits.is_none_or(|entry| !entry.offers.contains(id))
        });
        let talks = self.talks.iter().filter(|(agent, call)| {
            let stage = self.entries.get(call).map(|entry| &entry.stage);
            !matches!(stage, Some(Stage::Talking { agent: with, .. }) if with == *agent)
        });
        offers.count() + talks.count() + self.offers.len().abs_diff(self.reserved.len())
    }

    /// Checks, in builds with debug assertions, that the tables agree.
    ///
    /// # Panics
    ///
    /// When something that must always hold does not: a bug in the engine.
    pub fn check_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        assert_eq!(self.divergence(), 0, "reservations and talks are borne out by offers and callers");
        let mut waiting: BTreeMap<&LineKey, usize> = BTreeMap::new();
        let mut talking = 0;
        for (call, entry) in &self.entries {
            let line = self.lines.get(&entry.line);
            let ordered = line.is_some_and(|line| line.order.get(&entry.place) == Some(call));
            assert_eq!(ordered, entry.stage == Stage::Waiting, "{call} stands in order just while it waits");
            for id in &entry.offers {
                let offer = &self.offers[id];
                assert_eq!(offer.answered, entry.stage == Stage::Connecting(*id), "only the winner has won");
            }
            match &entry.stage {
                Stage::Waiting => *waiting.entry(&entry.line).or_default() += 1,
                Stage::Connecting(winner) => assert!(entry.offers.contains(winner), "the winner is there"),
                Stage::Talking { .. } => {
                    talking += 1;
                    assert!(entry.offers.is_empty(), "nobody rings for {call}, who talks");
                }
            }
        }
        for ((line, number), call) in &self.callbacks {
            let kept = self.entries.get(call).filter(|entry| entry.line == *line);
            let number_kept = kept.and_then(|entry| entry.callback.as_ref()).map(|kept| &kept.number);
            assert_eq!(number_kept, Some(number), "a kept place is borne out by an entry");
        }
        let kept = self.entries.values().filter(|entry| entry.callback.is_some()).count();
        assert_eq!(kept, self.callbacks.len(), "each entry without a call is a kept place");
        assert_eq!(talking, self.talks.len(), "an agent talks in one call, a caller with one agent");
        for (line, waiting) in waiting {
            assert_eq!(self.lines[line].order.len(), waiting, "{line} orders those who wait");
        }
    }

    /// Checks, in builds with debug assertions, that nobody waits for an agent who is free for them.
    pub(super) fn check_nobody_stalls(&self, now: Now) {
        if cfg!(debug_assertions) {
            let lines: BTreeSet<&LineKey> = self.entries.values().map(|entry| &entry.line).collect();
            for line in lines {
                assert!(!self.stalls(now, line), "a caller of {line} waits while an agent is free");
            }
        }
    }
}
