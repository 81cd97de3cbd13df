//! Identifiers: newtypes over shared strings for configured things, over numbers for run-time things.

use std::fmt;
use std::sync::Arc;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as written in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                $name(id.into())
            }
        }
        impl From<String> for $name {
            fn from(id: String) -> Self {
                $name(id.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// A customer; the name of its file.
    CompanyId,
    /// A person or place with an extension, unique in its company.
    UserId,
    /// A place where people of a company sit, unique in its company.
    SiteId,
    /// A SIP device; its SIP user name, unique in its SIP domain.
    DeviceId,
    /// A queue, unique in its company.
    QueueId,
    /// A reusable set of queue settings.
    QueueTypeId,
    /// A ring group, unique in its company.
    GroupId,
    /// A call flow, unique in its company.
    FlowId,
    /// A step, unique in its flow.
    StepId,
    /// A template of opening hours.
    HoursId,
    /// A dated exception.
    ClosureId,
    /// A state set by hand (bryter).
    ToggleId,
    /// A recording of a company's media bank.
    MediaId,
    /// A voicemail box, shared or (`user:<id>`) a user's own.
    MailboxId,
    /// A conference room.
    RoomId,
    /// A carrier account.
    TrunkId,
    /// A subscription.
    PlanId,
    /// A webhook of a company or the operator.
    WebhookId,
}

/// A public number in E.164 (`+4736000100`), a short number (`02800`, `112`) or an extension; digits, `+`, `*` and `#` only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Number(Arc<str>);

impl Number {
    /// Keeps what can be dialled of `text`: digits, a leading `+`, `*` and `#`; at most 32 characters.
    pub fn new(text: &str) -> Number {
        let mut kept = String::with_capacity(text.len().min(32));
        for c in text.chars() {
            if kept.len() < 32
                && (c.is_ascii_digit() || matches!(c, '*' | '#') || (c == '+' && kept.is_empty()))
            {
                kept.push(c);
            }
        }
        Number(kept.into())
    }

    /// The digits as they are dialled or shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to dial.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Number {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One machine of a cluster; 0 on a single machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct NodeId(pub u16);

/// One call, on whichever node it began; written `n-xxxxxxxx` with both parts in base 16.
///
/// `seq` starts each process life from the wall clock in microseconds, so ids of two lives never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// Where the call began.
    pub node: NodeId,
    /// Rising on its node.
    pub seq: u64,
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.node.0, self.seq)
    }
}

impl std::str::FromStr for CallId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<CallId, Self::Err> {
        let (node, seq) = text.split_once('-').unwrap_or(("0", text));
        Ok(CallId { node: NodeId(u16::from_str_radix(node, 16)?), seq: u64::from_str_radix(seq, 16)? })
    }
}

impl serde::Serialize for CallId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for CallId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<CallId, D::Error> {
        <std::borrow::Cow<'_, str>>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One party of a call: one dialog and one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct LegId(pub u64);

/// A user of a company: an agent wherever the user is listed in a queue or ring group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct UserKey {
    /// Whose.
    pub company: CompanyId,
    /// Who.
    pub user: UserId,
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.company, self.user)
    }
}

/// Who answers: the same person in every queue and ring group of the company.
pub type AgentKey = UserKey;

/// A place where callers meet agents: a queue, or a ring group (a queue without waiting room).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum LineId {
    /// `queue:<id>`.
    Queue(QueueId),
    /// `group:<id>`.
    Group(GroupId),
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineId::Queue(id) => write!(f, "queue:{id}"),
            LineId::Group(id) => write!(f, "group:{id}"),
        }
    }
}

/// A queue or ring group of a company.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct LineKey {
    /// Whose.
    pub company: CompanyId,
    /// Which.
    pub line: LineId,
}

impl fmt::Display for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.company, self.line)
    }
}

/// A conference room of a company.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct RoomKey {
    /// Whose.
    pub company: CompanyId,
    /// Which.
    pub room: RoomId,
}

impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/room:{}", self.company, self.room)
    }
}

/// A voicemail box of a company: shared, or a user's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct MailboxKey {
    /// Whose.
    pub company: CompanyId,
    /// Which.
    pub mailbox: MailboxId,
}
