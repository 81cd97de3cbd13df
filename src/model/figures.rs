//! What a company's events add up to: of queues and ring groups, people, numbers, and steps of flows.
//!
//! Plain sums, so that those of two periods can be compared for equality. [`DEFINITIONS`] says what each means.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::UserId;

/// What the figures mean: the word, in Norwegian, in English; printed with every report.
pub const DEFINITIONS: &[(&str, &str, &str)] = &[
    ("offered", "kom til køen", "came to the queue, let in or not"),
    ("answered", "koblet til en agent i minst 1 s", "bridged with an agent for 1 s or more"),
    ("abandoned", "la på etter å ha ventet minst 5 s", "hung up after waiting 5 s or more"),
    ("short", "la på før 5 s; telles for seg", "hung up before 5 s; counted apart"),
    (
        "overflowed",
        "gikk ut på annen måte enn besvart eller lagt på, aldri blandet med tapte",
        "left in any way other than answered or abandoned, never mixed with abandoned",
    ),
    ("lost", "ventet da sentralen stoppet", "waited when the exchange stopped"),
    (
        "service level",
        "besvart innen målet / (tilbudt − korte)",
        "answered within the target / (offered − short)",
    ),
    ("wait", "fra køen ble nådd til samtalen ble koblet", "from joining to the bridge"),
    ("talk", "bare agentens egne deler av samtalen", "the agent's own segments of the call only"),
];

/// Sums over some period.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// By queue or ring group.
    #[serde(with = "as_pairs")]
    pub lines: BTreeMap<LineId, LineFigures>,
    /// By agent or other user.
    #[serde(with = "as_pairs")]
    pub users: BTreeMap<UserId, UserFigures>,
    /// By number of the company, for calls from outside.
    #[serde(with = "as_pairs")]
    pub numbers: BTreeMap<Number, NumberFigures>,
    /// By `flow/step`.
    pub steps: BTreeMap<Arc<str>, StepFigures>,
}

/// Of a queue or ring group.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LineFigures {
    /// Came.
    pub offered: u64,
    /// Bridged with an agent for a second or more.
    pub answered: u64,
    /// Of those: within the service level of the moment.
    pub in_target: u64,
    /// Hung up after five seconds or more.
    pub abandoned: u64,
    /// Hung up earlier.
    pub short_abandoned: u64,
    /// Left in any other way, by exit.
    pub overflowed: BTreeMap<Arc<str>, u64>,
    /// Waited when the process stopped.
    pub lost: u64,
    /// Joined in the period, and neither answered nor gone.
    pub open: u64,
    /// Milliseconds that those waited who were answered.
    pub wait_ms: u64,
    /// The longest of those waits.
    pub wait_longest_ms: u64,
    /// Milliseconds that those waited who abandoned, short ones left out.
    pub abandoned_wait_ms: u64,
    /// Milliseconds that its agents talked with its callers.
    pub talk_ms: u64,
}

impl LineFigures {
    /// All that left by an exit.
    pub fn overflowed_in_all(&self) -> u64 {
        self.overflowed.values().sum()
    }

    /// Answered within the target, of those offered without the short ones; none when nobody came.
    pub fn service_level(&self) -> Option<f64> {
        let of = self.offered.saturating_sub(self.short_abandoned);
        (of > 0).then(|| (self.in_target as f64 / of as f64).min(1.0))
    }

    /// Mean wait of those answered, in milliseconds.
    pub fn wait_mean_ms(&self) -> Option<u64> {
        self.wait_ms.checked_div(self.answered)
    }
}

/// Of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UserFigures {
    /// Times rung by a queue or ring group.
    pub offered: u64,
    /// Answered for a second or more.
    pub answered: u64,
    /// Rung out.
    pub missed: u64,
    /// Refused by the person.
    pub rejected: u64,
    /// Came to nothing in another way: busy, out of reach …
    pub failed: u64,
    /// Milliseconds talked with callers of queues and ring groups.
    pub line_talk_ms: u64,
    /// Talks that came to them by no queue or ring group.
    pub calls_in: u64,
    /// Talks they began.
    pub calls_out: u64,
    /// Milliseconds of those talks.
    pub direct_talk_ms: u64,
}

/// Of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NumberFigures {
    /// Calls that came.
    pub calls: u64,
    /// How those came out that are over.
    pub results: BTreeMap<Arc<str>, u64>,
    /// Milliseconds waited in queues.
    pub wait_ms: u64,
    /// Milliseconds talked with people.
    pub talk_ms: u64,
}

/// Of a step of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StepFigures {
    /// Times it was reached.
    pub visits: u64,
    /// Keys that led on.
    pub keys: BTreeMap<char, u64>,
    /// What else came of it: `timeout`, `invalid`, `extension` …
    pub results: BTreeMap<Arc<str>, u64>,
}

/// Maps whose keys JSON has no form for: lists of pairs. Lines are written as people write them.
mod as_pairs {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
