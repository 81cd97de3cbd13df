//! Queues and queue types as configured. The engine is `switch::queue`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Destination;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::recording::Recording;
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
    /// Who has talked least in this queue today.
    LeastTalk,
    /// By chance, all alike.
    Random,
    /// By chance, more often those with a higher skill.
    Weighted,
    /// A few first, then more and more at once; see [`Widening`].
    Widening,
    /// Nobody is rung: agents pick callers from a list.
    Pull,
}

/// How many ring at once for a caller, by [`Strategy::Widening`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widening {
    /// At first (1–100).
    pub start: u32,
    /// So many more each time (1–100).
    pub add: u32,
    /// How often, from the first ringing on.
    pub every: Duration,
}

impl Default for Widening {
    fn default() -> Widening {
        Widening { start: 1, add: 1, every: Duration::from_secs(10) }
    }
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
    /// What counts as a miss.
    pub on: Misses,
    /// The pause holds in every queue of the agent, else only where the calls were missed.
    pub everywhere: bool,
    /// The pause ends by itself after this; `None` lasts until the agent comes back.
    pub return_after: Option<Duration>,
}

impl AutoPause {
    /// Never.
    pub const OFF: AutoPause =
        AutoPause { after: 0, on: Misses::NO_ANSWER, everywhere: false, return_after: None };
}

impl Default for AutoPause {
    /// After three calls in a row that rang out, in the queue where they did, until the agent comes back.
    fn default() -> AutoPause {
        AutoPause { after: 3, ..AutoPause::OFF }
    }
}

/// Which vain attempts count as missed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misses {
    /// It rang out.
    pub no_answer: bool,
    /// The agent refused.
    pub rejected: bool,
    /// The phone was busy.
    pub busy: bool,
    /// No phone could be reached.
    pub unreachable: bool,
}

impl Misses {
    /// Only calls that rang out.
    pub const NO_ANSWER: Misses =
        Misses { no_answer: true, rejected: false, busy: false, unreachable: false };
}

/// A caller who comes back goes to the agent of last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferLast {
    /// The agent of how long ago still counts.
    pub within: Duration,
    /// How long the caller waits for that agent before others are rung.
    pub wait: Duration,
}

/// A caller may hang up, keep the place, and be called when it is their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The key that asks for it.
    pub key: char,
    /// Said and possible after this wait.
    pub offer_after: Duration,
    /// Not to those who stand before this place.
    pub min_position: u32,
    /// How often the caller is dialled at most.
    pub attempts: u32,
    /// Between two attempts.
    pub retry: Duration,
    /// Nobody is called outside the queue's hours: the place is kept until it opens.
    pub within_hours: bool,
}

impl Default for Callback {
    fn default() -> Callback {
        Callback {
            key: '1',
            offer_after: Duration::from_secs(60),
            min_position: 2,
            attempts: 2,
            retry: Duration::from_secs(600),
            within_hours: true,
        }
    }
}

/// A message about high traffic, said on joining only when there is some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HighTraffic {
    /// What is said; `None` is the system's `queue/high-traffic`.
    pub play: Option<MediaId>,
    /// So many wait before the caller, or more.
    pub waiting: Option<u32>,
    /// The estimated wait is this, or more.
    pub wait: Option<Duration>,
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
    /// 0–9, for `weighted`: 9 is rung nine times as often as 1; 0 only when nobody else is free.
    pub skill: u8,
    /// Instead of the queue's `auto_login`.
    pub auto_login: Option<bool>,
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
    /// How many, by [`Strategy::Widening`].
    pub widening: Widening,
    /// After this wait the next tier counts too; `None` is never.
    pub tier_after: Option<Duration>,
    /// How long an agent rings (5 s–120 s).
    pub ring: Duration,
    /// Before the same agent is offered again.
    pub retry_delay: Duration,
    /// After a refused call, this caller is not offered to the same agent for this long; `None` is never again.
    pub reject_retry: Option<Duration>,
    /// After "busy here" from a phone.
    pub busy_retry: Duration,
    /// After a phone that could not be reached.
    pub unreachable_retry: Duration,
    /// Wrap-up after a queue call (etterbehandling).
    pub wrap_up: Duration,
    /// By how much an agent prolongs the wrap-up at a time.
    pub wrap_up_extend: Duration,
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
    /// Said on joining when there is much to do.
    pub high_traffic: Option<HighTraffic>,
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
    /// Call-back, when it is offered.
    pub callback: Option<Callback>,
    /// Who hung up while waiting and calls again within this gets the old place; zero is never.
    pub rejoin: Duration,
    /// The agent of last time rings first.
    pub prefer_last_agent: Option<PreferLast>,
    /// What call-backs of this queue show; else the queue's own number.
    pub outbound_number: Option<Number>,
    /// Higher is answered first by agents of several queues (1–10).
    pub priority: i32,
    /// Rings agents who are in a call.
    pub ring_busy: bool,
    /// Rings agents who do not want to be disturbed.
    pub ignore_dnd: bool,
    /// Rings agents who forward all calls.
    pub follow_forward: bool,
    /// Pause after misses.
    pub auto_pause: AutoPause,
    /// Service level.
    pub target: Option<Target>,
    /// What agents see.
    pub present: Present,
    /// Whether its calls are recorded, else as the company has it.
    pub recording: Option<Recording>,
    /// Default of the exits below.
    pub overflow: Option<Destination>,
    /// Waited too long.
    pub timeout: Option<Destination>,
    /// No room.
    pub full: Option<Destination>,
    /// Nobody logged in.
    pub nobody: Option<Destination>,
    /// Everybody logged in is on pause; else as `nobody`.
    pub all_paused: Option<Destination>,
    /// Everybody logged in was rung in vain; `None` rings on until the longest wait is over.
    pub no_answer: Option<Destination>,
    /// Everybody logged in refused for good; else as `no_answer`, else as `timeout`.
    pub rejected_by_all: Option<Destination>,
    /// The place is kept for a call-back; else the call ends with thanks.
    pub callback_taken: Option<Destination>,
    /// The queue is removed while the caller waits; else as `timeout`.
    pub gone: Option<Destination>,
    /// Outside hours.
    pub closed: Option<Destination>,
}
