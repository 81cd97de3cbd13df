//! What people set for themselves: forwarding, do not disturb, absence, and how they are rung and shown.
//!
//! Each setting is a fact of its own and stands above what the configuration says of the user, until it is taken
//! back.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::flow::Destination;
use crate::model::id::Number;

/// When a call is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Always (alle anrop).
    Always,
    /// Nobody answers (ved ikke svar).
    NoAnswer,
    /// Nothing of the user's can be rung (når utilgjengelig).
    Unavailable,
    /// The user is busy (ved opptatt).
    Busy,
}

impl Condition {
    /// All of them, in the order of `[codes]`.
    pub const ALL: [Condition; 4] =
        [Condition::Always, Condition::NoAnswer, Condition::Unavailable, Condition::Busy];
    /// All but always.
    pub const CONDITIONAL: [Condition; 3] = [Condition::NoAnswer, Condition::Unavailable, Condition::Busy];

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Always => "always",
            Condition::NoAnswer => "no_answer",
            Condition::Unavailable => "unavailable",
            Condition::Busy => "busy",
        }
    }
}

/// What somebody has said about forwarding under one condition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// As configured.
    Configured,
    /// Not forwarded, whatever is configured.
    Off,
    /// Forwarded.
    To {
        /// Where to.
        to: Destination,
        /// Rung for so many seconds first ([`Condition::NoAnswer`] only); none is as configured.
        after_s: Option<u32>,
    },
}

/// Somebody is away (fravær).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Absence {
    /// Shown to colleagues: "møte", "ferie" …
    pub reason: Arc<str>,
    /// Ends by itself.
    pub until: Option<Timestamp>,
    /// Calls go here meanwhile; none lets them be told, or go to voicemail.
    pub to: Option<Destination>,
}

/// Which number the outside sees when somebody calls.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownNumber {
    /// As configured.
    Configured,
    /// None.
    Hidden,
    /// The company's.
    Company,
    /// This one, which is the company's or the user's.
    Number(Number),
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "set", rename_all = "snake_case")]
pub enum Setting {
    /// Forwarding under one condition.
    Forward {
        /// When.
        when: Condition,
        /// What then.
        rule: Rule,
    },
    /// Do not disturb (ikke forstyrr).
    DoNotDisturb {
        /// On or off.
        on: bool,
        /// Ends by itself.
        until: Option<Timestamp>,
    },
    /// Absence; none is back again.
    Absence {
        /// Why and until when.
        absence: Option<Absence>,
    },
    /// Whether the mobile rings together with the other phones; none is as configured.
    Mobile {
        /// It does.
        rings: Option<bool>,
    },
    /// Whether a second call rings somebody who talks; none is as configured.
    CallWaiting {
        /// It does.
        on: Option<bool>,
    },
    /// The number shown on outgoing calls.
    Shown {
        /// Which.
        shown: ShownNumber,
    },
}

impl Setting {
    /// What names it among the settings of a person: the newest of one name counts.
    pub fn name(&self) -> &'static str {
        match self {
            Setting::Forward { when, .. } => when.as_str(),
            Setting::DoNotDisturb { .. } => "do_not_disturb",
            Setting::Absence { .. } => "absence",
            Setting::Mobile { .. } => "mobile",
            Setting::CallWaiting { .. } => "call_waiting",
            Setting::Shown { .. } => "shown",
        }
    }
}

/// What somebody wants set, as written or dialled: not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum Wish {
    /// Forwarding to a number, an extension or a destination (`user:kari`).
    Forward {
        /// When; at least one.
        when: Vec<Condition>,
        /// Where to.
        to: Arc<str>,
        /// Seconds to ring first.
        after_s: Option<u32>,
    },
    /// No forwarding.
    ForwardOff {
        /// When; at least one.
        when: Vec<Condition>,
    },
    /// Absence, with an optional forward written like that of [`Wish::Forward`].
    Absent {
        /// Why.
        reason: Arc<str>,
        /// Ends by itself.
        until: Option<Timestamp>,
        /// Where calls go meanwhile.
        to: Option<Arc<str>>,
    },
    /// Anything that needs no more than a look.
    Plain(Setting),
}

/// What is in force for somebody, and what can be seen of it by others.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// All calls go there.
    pub forwarded: Option<Destination>,
    /// Do not disturb is on.
    pub do_not_disturb: bool,
    /// When it ends by itself.
    pub dnd_until: Option<Timestamp>,
    /// Away.
    pub absent: Option<Absence>,
}

impl Standing {
    /// Whether calls reach the person in the ordinary way.
    pub fn is_free(&self) -> bool {
        self.forwarded.is_none() && !self.do_not_disturb && self.absent.is_none()
    }
}
