//! Every fact that others must learn (the disk, metrics, later the portal and other nodes): one enum.
//!
//! The core tells them as `Output::Change`. Those for which [`Change::is_state`] holds are kept by the store
//! and given back at the next start, oldest first, through the same enum.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::model::audio::LegAudio;
use crate::model::cdr::Cdr;
use crate::model::cdr::Direction;
use crate::model::event::Event;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::LineKey;
use crate::model::id::MailboxKey;
use crate::model::id::Number;
use crate::model::id::RoomKey;
use crate::model::id::ToggleId;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::mailbox::Handling;
use crate::model::mailbox::Message;
use crate::model::mailbox::MessageState;
use crate::model::mailbox::Occasion;
use crate::model::missed::Missed;
use crate::model::personal::Setting;
use crate::model::recording::RecordingView;

/// Who or what changed an agent's or toggle's state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A star code from a phone.
    Code,
    /// The command line.
    Cli,
    /// The system itself, with the reason.
    Auto(Arc<str>),
    /// The configuration.
    Config,
}

/// A binding of a device, in a form that survives a restart.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BindingRecord {
    /// SIP domain.
    pub domain: Arc<str>,
    /// Whose.
    pub device: DeviceId,
    /// Contact URI as registered.
    pub contact: Arc<str>,
    /// Path values, first hop first.
    pub path: Vec<Arc<str>>,
    /// `udp` or `tcp`.
    pub transport: Arc<str>,
    /// Where the REGISTER came from, `address:port`.
    pub remote: Arc<str>,
    /// Where it came to.
    pub local: Arc<str>,
    /// `+sip.instance`, when given.
    pub instance: Option<Arc<str>>,
    /// Which of the instance's flows it is (`reg-id`, RFC 5626); none when it is bound by its contact.
    #[serde(default)]
    pub reg_id: Option<u32>,
    /// Call-ID of the REGISTER.
    pub call_id: Arc<str>,
    /// Its CSeq.
    pub cseq: u32,
    /// Preference, thousandths.
    pub q: u16,
    /// User-Agent.
    pub agent: Option<Arc<str>>,
    /// When it ends.
    pub expires: Timestamp,
}

impl BindingRecord {
    /// What names it among the bindings of its device: instance and `reg-id` of a flow (RFC 5626 §6), else its
    /// contact URI.
    pub fn key(&self) -> Arc<str> {
        match (&self.instance, self.reg_id) {
            (Some(instance), Some(reg_id)) => format!("{instance};reg-id={reg_id}").into(),
            (Some(_) | None, _) => Arc::clone(&self.contact),
        }
    }
}

/// Where a PIN is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinOf {
    /// At service numbers: a user's.
    Service(UserKey),
    /// At shared phones: a user's.
    Desk(UserKey),
    /// At a voicemail box.
    Mailbox(MailboxKey),
    /// At a conference room.
    Room(RoomKey),
}

/// How an app is woken (RFC 8599 §4): what it has told of itself in its Contact.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PushTarget {
    /// `pn-provider`: `apns`, `fcm`, `webpush` …
    pub provider: Arc<str>,
    /// `pn-prid`: which app on which telephone.
    pub prid: Arc<str>,
    /// `pn-param`, for the provider.
    pub param: Option<Arc<str>>,
}

/// A place in a queue without a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeptPlace {
    /// When the caller joined: decides the place.
    pub since: Timestamp,
    /// Instead of the queue's.
    pub priority: Option<i32>,
    /// How often the caller was dialled.
    pub attempts: u32,
    /// Not again before.
    pub not_before: Option<Timestamp>,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A call began.
    CallStarted {
        /// Which.
        call: CallId,
        /// Whose.
        company: Option<CompanyId>,
        /// Which way.
        direction: Direction,
    },
    /// A call got a party: a dialog of its own, by which its SIP messages are known.
    CallLeg {
        /// Which.
        call: CallId,
        /// Call-ID of the dialog.
        call_id: Arc<str>,
        /// `trunk <id>`, or the user.
        party: Arc<str>,
    },
    /// The caller heard 200 OK.
    CallAnswered {
        /// Which.
        call: CallId,
    },
    /// A call is over; its record.
    CallEnded {
        /// The record.
        cdr: Box<Cdr>,
    },
    /// How the audio of a leg went, a moment after its call ended; completes its record.
    CallAudio {
        /// Which.
        call: CallId,
        /// What its stream counted.
        leg: Box<LegAudio>,
    },
    /// What the caller's stream counted, a moment after the call ended; completes its record.
    CallMedia {
        /// Which.
        call: CallId,
        /// RTP packets from the caller.
        received: u64,
        /// RTP packets to the caller.
        sent: u64,
        /// Gaps in what came from the caller.
        lost: u64,
    },
    /// A decision: an event of the company's log.
    Decision(Box<Event>),
    /// An agent logged in or out of a queue or ring group.
    AgentLogin {
        /// Who.
        agent: AgentKey,
        /// Where.
        line: LineKey,
        /// In or out.
        logged_in: bool,
        /// By whom.
        by: Source,
        /// When.
        at: Timestamp,
    },
    /// An agent is on pause, or no longer.
    AgentPaused {
        /// Who.
        agent: AgentKey,
        /// In this queue or ring group only; none is everywhere.
        #[serde(default)]
        line: Option<LineKey>,
        /// The reason; none ends the pause.
        reason: Option<Arc<str>>,
        /// Ends by itself.
        #[serde(default)]
        until: Option<Timestamp>,
        /// By whom.
        by: Source,
        /// When.
        at: Timestamp,
    },
    /// Who was rung last by round-robin, so that it goes on after a restart.
    RoundRobin {
        /// Where.
        line: LineKey,
        /// Who.
        agent: AgentKey,
    },
    /// What an agent did for one line on one day, after a talk.
    AgentTally {
        /// Who.
        agent: AgentKey,
        /// Where.
        line: LineKey,
        /// The company's local day.
        day: Date,
        /// Answered.
        calls: u32,
        /// Milliseconds talked.
        talk_ms: u64,
    },
    /// Which agent a caller has talked with last, where callers are given the same one again.
    LastAgent {
        /// Where.
        line: LineKey,
        /// Who called.
        number: Number,
        /// With whom; none when it is forgotten.
        agent: Option<AgentKey>,
        /// When.
        at: Timestamp,
    },
    /// A place in a queue is kept for a call-back, or no longer.
    Callback {
        /// Where.
        line: LineKey,
        /// Whom to call.
        number: Number,
        /// The place; none when it is given up.
        kept: Option<KeptPlace>,
        /// When.
        at: Timestamp,
    },
    /// A device registered or refreshed.
    Bound {
        /// The binding.
        binding: BindingRecord,
    },
    /// An app may be woken, or no longer.
    AppKnown {
        /// SIP domain.
        domain: Arc<str>,
        /// Which device it is.
        device: DeviceId,
        /// How it is woken.
        push: PushTarget,
        /// It may.
        known: bool,
        /// When it last registered.
        at: Timestamp,
    },
    /// A binding ended.
    Unbound {
        /// SIP domain.
        domain: Arc<str>,
        /// Whose.
        device: DeviceId,
        /// What names it: [`BindingRecord::key`].
        contact: Arc<str>,
        /// `expired`, `removed`, `replaced`, `connection closed` …
        why: Arc<str>,
    },
    /// A REGISTER was refused.
    RegistrationFailed {
        /// Reason code.
        why: Arc<str>,
    },
    /// Requests were dropped or refused, since the last time that this was told.
    Refused {
        /// Reason code: `shut_out`, `scanner`, `flood`, `password`, `account`, `origin`, `overload`.
        reason: Arc<str>,
        /// How many.
        count: u64,
    },
    /// Somebody must look at this: a limit against fraud is reached. The decision behind it is kept by the store.
    Alarm {
        /// Whose.
        company: CompanyId,
        /// Which limit.
        reason: Arc<str>,
        /// In words.
        why: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// The password that the switch made for a device without one.
    DevicePassword {
        /// SIP domain.
        domain: Arc<str>,
        /// Whose.
        device: DeviceId,
        /// In clear, as digest needs it.
        password: Arc<str>,
    },
    /// A toggle was set by hand.
    ToggleSet {
        /// Whose.
        company: CompanyId,
        /// Which.
        toggle: ToggleId,
        /// On or off.
        on: bool,
        /// Ends by itself.
        until: Option<Timestamp>,
        /// By whom.
        by: Source,
        /// Which user, when known.
        user: Option<Arc<str>>,
        /// When.
        at: Timestamp,
    },
    /// Somebody wants to be rung when a colleague is free, or no longer.
    BusyCallback {
        /// Who wants it.
        asker: UserKey,
        /// Who is to be reached.
        wanted: UserKey,
        /// Until when; none ends it.
        until: Option<Timestamp>,
        /// When.
        at: Timestamp,
    },
    /// A user is logged in at a shared phone, or nobody.
    HotDesk {
        /// SIP domain.
        domain: Arc<str>,
        /// Which phone.
        device: DeviceId,
        /// Who; none when nobody is.
        user: Option<UserId>,
        /// Ends by itself.
        until: Option<Timestamp>,
        /// When.
        at: Timestamp,
    },
    /// Somebody set something for themselves.
    PersonalSet {
        /// Who.
        user: UserKey,
        /// What.
        setting: Setting,
        /// By whom.
        by: Source,
        /// When.
        at: Timestamp,
    },
    /// PINs were keyed in wrongly in a row, or a right one after such.
    PinTries {
        /// Where.
        of: PinOf,
        /// How often; 0 after a right one.
        times: u32,
        /// When last.
        at: Timestamp,
    },
    /// A user's mobile answered without anybody pressing a key, or somebody has.
    VoicemailSigns {
        /// Whose.
        user: UserKey,
        /// How many signs there are that it is voicemail; 0 when it is a person.
        signs: u8,
        /// When.
        at: Timestamp,
    },
    /// A message was left.
    MessageLeft {
        /// The message.
        message: Message,
    },
    /// A message was heard or saved.
    MessageMarked {
        /// Where.
        mailbox: MailboxKey,
        /// Which.
        id: Arc<str>,
        /// Now.
        state: MessageState,
    },
    /// Somebody of a team sees to a message, or nobody any longer.
    MessageHandled {
        /// Where.
        mailbox: MailboxKey,
        /// Which.
        id: Arc<str>,
        /// Who and how far.
        handling: Option<Handling>,
    },
    /// A box has a greeting of its own, or no longer.
    GreetingSet {
        /// Where.
        mailbox: MailboxKey,
        /// For whom.
        occasion: Occasion,
        /// Its file under the data folder; none takes it away.
        file: Option<Arc<str>>,
        /// Ends by itself.
        until: Option<Timestamp>,
        /// When.
        at: Timestamp,
    },
    /// A box has another PIN than the configured one.
    PinSet {
        /// Where.
        mailbox: MailboxKey,
        /// In clear, like the passwords of devices.
        pin: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// A caller of a queue was not answered, or somebody sees to one: the whole item.
    Missed {
        /// The item.
        missed: Missed,
    },
    /// An item of the call-back list is gone.
    MissedCleared {
        /// Whose.
        company: CompanyId,
        /// Which.
        id: Arc<str>,
        /// `answered`, `called_back`, `done`, `expired`, `crowded`.
        why: Arc<str>,
        /// Who, when somebody did it.
        by: Option<UserId>,
    },
    /// A message was deleted; its file goes with it.
    MessageDeleted {
        /// Where.
        mailbox: MailboxKey,
        /// Which.
        id: Arc<str>,
    },
    /// A recording of a call began.
    RecordingBegun {
        /// The recording.
        recording: RecordingView,
    },
    /// The file of a recording is complete.
    RecordingEnded {
        /// Whose.
        company: CompanyId,
        /// Which.
        id: Arc<str>,
        /// How long.
        length_ms: u64,
    },
    /// A recording was deleted; its file goes with it.
    RecordingDeleted {
        /// Whose.
        company: CompanyId,
        /// Which.
        id: Arc<str>,
    },
    /// Recordings have been kept long enough; their files go with them.
    RecordingsExpired {
        /// Whose.
        company: CompanyId,
        /// Those that began before this.
        before: Timestamp,
    },
    /// A trunk came up or went down.
    Trunk {
        /// Which.
        trunk: TrunkId,
        /// Usable.
        up: bool,
        /// Why.
        why: Arc<str>,
    },
}

impl Change {
    /// Whether the store keeps it in tables of its own: call records and recordings.
    pub fn is_kept(&self) -> bool {
        matches!(
            self,
            Change::CallEnded { .. }
                | Change::CallMedia { .. }
                | Change::CallAudio { .. }
                | Change::RecordingBegun { .. }
                | Change::RecordingEnded { .. }
                | Change::RecordingDeleted { .. }
                | Change::RecordingsExpired { .. }
        )
    }

    /// Whether the store keeps it and gives it back at the next start.
    pub fn is_state(&self) -> bool {
        match self {
            Change::AgentLogin { .. }
            | Change::AgentPaused { .. }
            | Change::RoundRobin { .. }
            | Change::AgentTally { .. }
            | Change::LastAgent { .. }
            | Change::Callback { .. }
            | Change::Bound { .. }
            | Change::AppKnown { .. }
            | Change::Unbound { .. }
            | Change::DevicePassword { .. }
            | Change::ToggleSet { .. }
            | Change::BusyCallback { .. }
            | Change::HotDesk { .. }
            | Change::PersonalSet { .. }
            | Change::PinTries { .. }
            | Change::VoicemailSigns { .. }
            | Change::MessageLeft { .. }
            | Change::MessageMarked { .. }
            | Change::MessageHandled { .. }
            | Change::GreetingSet { .. }
            | Change::PinSet { .. }
            | Change::Missed { .. }
            | Change::MissedCleared { .. }
            | Change::MessageDeleted { .. } => true,
            Change::CallStarted { .. }
            | Change::CallLeg { .. }
            | Change::CallAnswered { .. }
            | Change::CallEnded { .. }
            | Change::CallMedia { .. }
            | Change::CallAudio { .. }
            | Change::Decision(_)
            | Change::RegistrationFailed { .. }
            | Change::Refused { .. }
            | Change::Alarm { .. }
            | Change::RecordingBegun { .. }
            | Change::RecordingEnded { .. }
            | Change::RecordingDeleted { .. }
            | Change::RecordingsExpired { .. }
            | Change::Trunk { .. } => false,
        }
    }
}
