//! What a person may order or ask of a running switch, and the answers.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::board;
use crate::model::cdr::Cdr;
use crate::model::cdr::Direction;
use crate::model::figures::Figures;
use crate::model::figures::LineFigures;
use crate::model::flow::Destination;
use crate::model::hours::HoursView;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::HoursId;
use crate::model::id::LineId;
use crate::model::id::MailboxId;
use crate::model::id::Number;
use crate::model::id::RoomId;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::mailbox::Message;
use crate::model::mailbox::Progress;
use crate::model::missed::Missed;
use crate::model::personal::Condition;
use crate::model::personal::Standing;
use crate::model::personal::Wish;
use crate::model::report::Plan;
use crate::model::report::Report;
use crate::model::report::ReportAsk;
use crate::model::report::WhyAsk;
use crate::model::report::WhyLine;
use crate::model::report::WhyNot;
use crate::model::report::WhyNotAsk;
use crate::model::room::RoomOrder;
use crate::model::room::RoomView;
use crate::model::room::Supervise;

/// An order or a question.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Counters of the whole switch.
    Status,
    /// Calls that are up or being set up.
    Calls,
    /// Ends a call.
    HangUp {
        /// Which.
        call: CallId,
    },
    /// About the recording of a call.
    Record {
        /// Which.
        call: CallId,
        /// What.
        order: RecordOrder,
    },
    /// Deletes a recording and its file.
    DeleteRecording {
        /// Whose.
        company: CompanyId,
        /// Which.
        id: Arc<str>,
    },
    /// Queues and ring groups with waiting callers and agents.
    Queues {
        /// Only of this company.
        company: Option<CompanyId>,
    },
    /// Agents with their state in each queue.
    Agents {
        /// Only of this company.
        company: Option<CompanyId>,
    },
    /// Logs an agent in or out.
    Login {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// Where; none is everywhere.
        line: Option<LineId>,
        /// In or out.
        logged_in: bool,
    },
    /// Pauses an agent, or ends the pause with `None`.
    Pause {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// Why.
        reason: Option<Arc<str>>,
        /// Ends by itself.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// An agent has finished wrapping up, or needs longer.
    WrapUp {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// By as much as the queue of the last call says; else it ends.
        longer: bool,
    },
    /// Users with what they have set for themselves.
    Users {
        /// Only of this company.
        company: Option<CompanyId>,
    },
    /// Sets something for a user.
    Personal {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// What.
        wish: Wish,
    },
    /// About the messages of a voicemail box.
    Inbox {
        /// Whose.
        company: CompanyId,
        /// Which.
        mailbox: MailboxId,
        /// What.
        order: InboxOrder,
    },
    /// About callers of queues whom nobody has answered.
    Missed {
        /// Whose.
        company: CompanyId,
        /// What.
        order: MissedOrder,
    },
    /// Sets a toggle.
    Toggle {
        /// Whose.
        company: CompanyId,
        /// Which.
        toggle: ToggleId,
        /// On or off.
        on: bool,
        /// Ends by itself.
        until: Option<Timestamp>,
    },
    /// Opening hours: what holds, and day by day.
    Hours {
        /// Only of this company.
        company: Option<CompanyId>,
        /// Only this template.
        hours: Option<HoursId>,
        /// Then; else now.
        at: Option<Timestamp>,
        /// All days of this year.
        year: Option<i16>,
    },
    /// Devices and their bindings.
    Devices,
    /// Has a device fetch its configuration again.
    SyncDevice {
        /// Whose, when several companies have a device of this name.
        company: Option<CompanyId>,
        /// Which.
        device: DeviceId,
        /// It starts anew, too.
        reboot: bool,
    },
    /// Trunks and their state.
    Trunks,
    /// About people's calls: the switchboard, transfer, click to call …
    Board(board::Order),
    /// What would happen to a call.
    Simulate(Simulate),
    /// What has been counted today.
    Figures {
        /// Whose.
        company: CompanyId,
    },
    /// What has been over some time; the core cuts it into periods, and the store counts.
    Report(ReportAsk),
    /// Why a call went as it did; answered from the store's log.
    Why(WhyAsk),
    /// Why a user is not rung.
    WhyNot(WhyNotAsk),
    /// No new calls; ends when the last call is over.
    Drain,
    /// Conference rooms in which somebody is.
    Rooms {
        /// Only of this company.
        company: Option<CompanyId>,
    },
    /// An order to a meeting.
    Room {
        /// Whose.
        company: CompanyId,
        /// Which.
        room: RoomId,
        /// What.
        order: RoomOrder,
    },
    /// A supervisor takes part in a call; their phone rings first, unless they do already.
    Supervise {
        /// Which.
        call: CallId,
        /// Who.
        by: UserId,
        /// How.
        mode: Supervise,
    },
    /// Joins the two calls of a user.
    Join {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
    },
}

/// An order about the recording of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOrder {
    /// Begins.
    Start,
    /// Ends.
    Stop,
    /// Takes nothing for a while.
    Pause,
    /// Takes again.
    Resume,
}

/// An order about the messages of a box.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum InboxOrder {
    /// What lies there?
    List,
    /// Somebody sees to a message.
    Handle {
        /// Which.
        id: Arc<str>,
        /// Who.
        by: UserId,
        /// How far; none puts it back.
        progress: Option<Progress>,
        /// For colleagues, else as before.
        note: Option<Arc<str>>,
    },
    /// Somebody takes a message and calls who left it: their phones ring first.
    CallBack {
        /// Which.
        id: Arc<str>,
        /// Who.
        by: UserId,
    },
    /// A message is deleted.
    Delete {
        /// Which.
        id: Arc<str>,
    },
}

/// An order about the call-back list.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum MissedOrder {
    /// Who is on it?
    List,
    /// Somebody sees to a caller.
    Take {
        /// The number, or `hidden`.
        id: Arc<str>,
        /// Who.
        by: UserId,
        /// For colleagues, else as before.
        note: Option<Arc<str>>,
    },
    /// Somebody takes a caller and calls them: their own phones ring first.
    Call {
        /// The number.
        id: Arc<str>,
        /// Who.
        by: UserId,
    },
    /// A caller is seen to.
    Done {
        /// The number, or `hidden`.
        id: Arc<str>,
        /// By whom.
        by: UserId,
    },
}

/// A dry run.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Simulate {
    /// What is dialled.
    pub number: Number,
    /// From this number, hidden when none.
    pub from: Option<Number>,
    /// When; now when none.
    pub at: Option<Timestamp>,
    /// Keys pressed, one menu after the other.
    pub keys: String,
    /// Only these agents are logged in, and free; as it is now when none.
    #[serde(default)]
    pub logged_in: Option<Vec<UserId>>,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Done,
    /// To `Status`.
    Status(Box<Status>),
    /// To `Calls`.
    Calls {
        /// The calls.
        calls: Vec<CallView>,
    },
    /// To `Queues`.
    Queues {
        /// Queues, then groups.
        queues: Vec<QueueView>,
    },
    /// To `Agents`.
    Agents {
        /// The agents.
        agents: Vec<AgentView>,
    },
    /// To `Hours`.
    Hours {
        /// The templates, by company and id.
        hours: Vec<HoursView>,
    },
    /// To `Users`.
    Users {
        /// The users.
        users: Vec<PersonView>,
    },
    /// To `Inbox`.
    Messages {
        /// Newest first.
        messages: Vec<Message>,
    },
    /// To `Missed`.
    Missed {
        /// Newest first.
        missed: Vec<Missed>,
    },
    /// To `Devices`.
    Devices {
        /// The devices.
        devices: Vec<DeviceView>,
    },
    /// To `Trunks`.
    Trunks {
        /// The trunks.
        trunks: Vec<TrunkView>,
    },
    /// To `Board`: the switchboard.
    Board(Box<board::BoardView>),
    /// To `Board`: the caller is parked.
    Parked {
        /// Where.
        slot: u32,
    },
    /// To `Board`: the user's phones ring.
    Dialled {
        /// The call.
        call: CallId,
    },
    /// To `Simulate`: one sentence per decision.
    Told {
        /// The sentences.
        steps: Vec<Told>,
    },
    /// To `Figures`.
    Figures {
        /// Since midnight in the company's zone.
        figures: Box<Figures>,
    },
    /// The core's part of the answer to `Report`.
    Planned(Plan),
    /// To `Report`.
    Report(Box<Report>),
    /// To `Why`.
    Why {
        /// The call's record, once it has ended.
        cdr: Option<Box<Cdr>>,
        /// Its decisions, in order.
        lines: Vec<WhyLine>,
    },
    /// To `Rooms`.
    Rooms {
        /// By company and room.
        rooms: Vec<RoomView>,
    },
    /// To `WhyNot`.
    WhyNot {
        /// By queue or group.
        lines: Vec<WhyNot>,
    },
    /// It could not be done.
    Refused {
        /// What was tried, on what, and what to do.
        why: String,
        /// Something named in the order does not exist.
        not_found: bool,
    },
}

/// One sentence of a dry run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    /// Where: `flow/step`, `number`, `queue:salg` …
    pub at: String,
    /// What happens and why.
    pub what: String,
}

/// Counters.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// Server name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Seconds since start.
    pub up_s: u64,
    /// Companies loaded.
    pub companies: usize,
    /// Calls up or being set up.
    pub calls: usize,
    /// Legs.
    pub legs: usize,
    /// SIP dialogs.
    pub dialogs: usize,
    /// SIP transactions.
    pub transactions: usize,
    /// Bindings.
    pub bindings: usize,
    /// Free RTP ports.
    pub ports_free: usize,
    /// RTP ports in all.
    pub ports: usize,
    /// Waiting callers.
    pub waiting: usize,
    /// Agents whose derived state and facts disagree; always 0.
    pub agent_state_divergence: u64,
    /// New calls are refused.
    pub draining: bool,
    /// Addresses that are not listened to.
    pub shut_out: usize,
    /// The last alarms, oldest first: when, and what.
    pub alarms: Vec<String>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CallView {
    /// Which.
    pub id: CallId,
    /// Whose.
    pub company: Option<CompanyId>,
    /// Which way.
    pub direction: Direction,
    /// Caller's number.
    pub from: String,
    /// Dialled.
    pub to: String,
    /// `ringing`, `menu`, `waiting`, `talking` …
    pub state: String,
    /// Where in the flow.
    pub at: String,
    /// With whom.
    pub with: Vec<String>,
    /// Seconds since it began.
    pub age_s: u64,
    /// Codec towards the caller.
    pub codec: Option<String>,
    /// SIP Call-IDs of its legs that are up, the caller's first.
    #[serde(default)]
    pub call_ids: Vec<String>,
    /// `on` or `paused` when it is recorded.
    #[serde(default)]
    pub recording: Option<String>,
}

/// A queue or ring group.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct QueueView {
    /// Whose.
    pub company: CompanyId,
    /// Which.
    pub line: LineId,
    /// Shown name.
    pub name: String,
    /// Waiting callers.
    pub waiting: usize,
    /// Longest wait in seconds.
    pub longest_s: u64,
    /// Agents by state: user, state, reason.
    pub agents: Vec<(UserId, String)>,
    /// What it did since midnight in the company's zone.
    #[serde(default)]
    pub today: LineFigures,
    /// Places kept for callers who are to be called back.
    #[serde(default)]
    pub callbacks: usize,
    /// Who waits, the first first; those who are to be called back among them.
    #[serde(default)]
    pub callers: Vec<WaitingView>,
}

/// Somebody who waits in a queue or ring group.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WaitingView {
    /// The call, or the name of a kept place; to be used with `Take`.
    pub entry: CallId,
    /// Where.
    pub line: LineId,
    /// 1 is served first.
    pub position: u32,
    /// Seconds since joining, with what was waited in other queues.
    pub wait_s: u64,
    /// Higher is served first.
    pub priority: i32,
    /// Who calls; none when hidden.
    pub number: Option<Number>,
    /// `waiting`, `offering`, `callback_pending` or `callback_offering`.
    pub state: String,
    /// Whom the caller is being offered to.
    pub offered_to: Vec<UserId>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AgentView {
    /// Who.
    pub agent: AgentKey,
    /// Shown name.
    pub name: String,
    /// Reason of the pause that holds everywhere.
    pub paused: Option<String>,
    /// When that ends by itself.
    #[serde(default)]
    pub paused_until: Option<Timestamp>,
    /// Seconds of wrap-up left.
    #[serde(default)]
    pub wrap_up_s: Option<u64>,
    /// What the agent must be told: a pause that nobody but the system has set, where and why.
    #[serde(default)]
    pub notices: Vec<String>,
    /// By queue or group: state in words.
    pub lines: Vec<(LineId, String)>,
    /// Voicemail seems to answer the agent's mobile.
    #[serde(default)]
    pub voicemail_suspected: bool,
}

/// A user, with what is in force for them now.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PersonView {
    /// Whose.
    pub company: CompanyId,
    /// Who.
    pub user: UserId,
    /// Shown name.
    pub name: String,
    /// Extension.
    pub ext: Option<Number>,
    /// Whether calls reach them.
    pub standing: Standing,
    /// Where calls go, and when.
    pub forwards: Vec<(Condition, Destination)>,
    /// Seconds until nobody answers.
    pub rings_after_s: u64,
    /// The mobile rings, too.
    pub mobile_rings: bool,
    /// A second call rings.
    pub call_waiting: bool,
    /// Shows no number.
    pub hides_number: bool,
    /// Shows this number otherwise.
    pub shows: Option<Number>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DeviceView {
    /// Whose company.
    pub company: CompanyId,
    /// SIP user name.
    pub device: String,
    /// Whose.
    pub user: UserId,
    /// Contact URI, address it came from, seconds left, User-Agent.
    pub bindings: Vec<BindingView>,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BindingView {
    /// Contact URI.
    pub contact: String,
    /// Transport and address it came from.
    pub remote: String,
    /// Until it ends.
    pub expires_s: i64,
    /// User-Agent.
    pub agent: Option<String>,
}

/// A trunk.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrunkView {
    /// Id.
    pub id: String,
    /// Shown name.
    pub name: String,
    /// `registered`, `unregistered`, `by address`, `down`.
    pub state: String,
    /// Calls up.
    pub calls: usize,
    /// At most.
    pub channels: Option<u32>,
    /// Transport, address and `up`, `down` or `rests`, best first.
    #[serde(default)]
    pub addresses: Vec<String>,
}
