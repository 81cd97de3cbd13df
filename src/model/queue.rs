//! Queues and queue types as configured. The engine is `switch::queue`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Destination;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::user::ContactRule;

/// Which free agents ring next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Everyone at once.
    RingAll,
    /// Who has been ready longest.
    #[default]
    LongestIdle,
    /// Who has answered fewest calls of this queue today.
    FewestCalls,
    /// The next after the one rung last.
    RoundRobin,
    /// Always from the top of the list.
    InOrder,
    /// Who has talked least today (carried out by a later version).
    LeastTalk,
    /// By chance (carried out by a later version).
    Random,
    /// By chance, by skill (carried out by a later version).
    Weighted,
    /// One, then more (carried out by a later version).
    Widening,
    /// Agents pick callers from a list (carried out by a later version).
    Pull,
}

/// What a caller hears about the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// The place in the queue.
    Position,
    /// The estimated wait.
    Wait,
}

/// When the place is said again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PositionPolicy {
    /// Only when it has become better.
    #[default]
    Improving,
    /// At each announcement.
    Always,
}

/// Who may join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinPolicy {
    /// Anyone.
    Always,
    /// When somebody is logged in.
    #[default]
    WhenLoggedIn,
    /// When somebody is ready.
    WhenReady,
}

/// What happens to waiting callers when the queue's hours end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drain {
    /// They are served.
    #[default]
    Finish,
    /// They leave at once.
    ExitNow,
    /// They leave after this.
    ExitAfter(Duration),
}

/// Automatic pause after missed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoPause {
    /// Misses in a row; 0 is never.
    pub after: u32,
}

/// What an agent's phone shows and hears.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Template of the display name: `{queue}`, `{caller}`, `{number}`, `{wait}`, `{tag}`.
    pub name: Arc<str>,
    /// The recording that says the queue's name, before a key is asked for and in a whisper.
    pub spoken: Option<MediaId>,
    /// Show the caller's number (else the queue's).
    pub caller_number: bool,
    /// `Alert-Info` value.
    pub alert: Option<Arc<str>>,
    /// The agent's phone is asked to answer by itself (RFC 5373).
    pub auto_answer: bool,
    /// Played to the agent before the caller is connected.
    pub whisper: Option<Whisper>,
    /// Further headers (`X-…`) of the INVITE to phones; values are templates as `name` is.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Whether a key must be pressed.
    pub confirm: Confirm,
}

/// What an agent hears before the caller does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whisper {
    /// A recording.
    Media(MediaId),
    /// These, one after the other.
    Said(Vec<Whispered>),
}

/// One thing that is whispered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whispered {
    /// `{queue}`: its name, as recorded.
    Queue,
    /// `{caller}`: the caller's number.
    Caller,
    /// `{wait}`: the minutes that the caller has waited.
    Wait,
}

/// Whether an answering party must press 1 to take the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// Mobiles must, phones not.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// An agent's place in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub user: UserId,
    /// 1 is rung first.
    pub tier: u8,
    /// What rings for this queue, instead of what the user says.
    pub contacts: Option<Vec<ContactRule>>,
}

/// A service level, for reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Share of calls, in percent.
    pub percent: u8,
    /// Answered within.
    pub within: Duration,
}

/// A queue (kø), its type's settings already in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Shown.
    pub name: Arc<str>,
    /// Extension.
    pub ext: Option<Number>,
    /// In the order written.
    pub agents: Vec<Membership>,
    /// Agents are logged in until they log out (default false).
    pub auto_login: bool,
    /// Who rings.
    pub strategy: Strategy,
    /// After this wait the next tier counts too; `None` is never.
    pub tier_after: Option<Duration>,
    /// How long an agent rings (5 s–120 s).
    pub ring: Duration,
    /// Before the same agent is offered again.
    pub retry_delay: Duration,
    /// After a refused call, this caller is not offered to the same agent for this long.
    pub reject_retry: Duration,
    /// After "busy here" from a phone.
    pub busy_retry: Duration,
    /// Wrap-up after a queue call (etterbehandling).
    pub wrap_up: Duration,
    /// Waiting callers at most.
    pub max_calls: usize,
    /// Wait at most; `None` is for ever.
    pub max_wait: Option<Duration>,
    /// Who may join.
    pub join: JoinPolicy,
    /// Whether agents on pause count as somebody.
    pub count_paused: bool,
    /// After the last agent logged out, before waiting callers leave.
    pub leave_grace: Duration,
    /// Closed outside these hours.
    pub hours: Option<HoursId>,
    /// When the hours end while people wait.
    pub drain: Drain,
    /// Said on joining; `None` is the system's `queue/welcome`, `Some(None)` is silence.
    pub welcome: Option<Option<MediaId>>,
    /// Music, else the company's.
    pub music: Option<MediaId>,
    /// Comfort message; `None` is the system's `queue/all-busy`, `Some(None)` is silence.
    pub comfort: Option<Option<MediaId>>,
    /// Between comfort messages.
    pub comfort_every: Duration,
    /// What is announced.
    pub announce: Vec<Announce>,
    /// Between announcements.
    pub announce_every: Duration,
    /// When the place is said.
    pub position: PositionPolicy,
    /// Keys while waiting.
    pub keys: BTreeMap<char, Destination>,
    /// Call-back is offered (carried out by a later version).
    pub callback: bool,
    /// Higher is answered first by agents of several queues (1–10).
    pub priority: i32,
    /// Rings agents who are in a call.
    pub ring_busy: bool,
    /// Pause after misses.
    pub auto_pause: AutoPause,
    /// Service level.
    pub target: Option<Target>,
    /// What agents see.
    pub present: Present,
    /// Default of the exits below.
    pub overflow: Option<Destination>,
    /// Waited too long.
    pub timeout: Option<Destination>,
    /// No room.
    pub full: Option<Destination>,
    /// Nobody logged in.
    pub nobody: Option<Destination>,
    /// Outside hours.
    pub closed: Option<Destination>,
}
