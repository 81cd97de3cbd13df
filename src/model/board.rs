//! The switchboard (sentralbord): what an attendant sees, and what can be ordered about people's calls by others than a
//! phone. The shapes are what screens are made of: a field is added, never renamed.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::ToggleId;
use crate::model::id::UserId;

/// An order or a question about people's calls. A `call` that is not given is the user's newest.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Who waits, who is parked, and how everybody is. Answered by [`BoardView`].
    Look {
        /// Whose.
        company: CompanyId,
        /// Callers of this queue only; else of all that callers are taken from by hand.
        #[serde(default)]
        queue: Option<QueueId>,
    },
    /// Brings a waiting or parked caller to a user, whose phone is asked to answer by itself.
    Take {
        /// Whose.
        company: CompanyId,
        /// To whom.
        user: UserId,
        /// Which, as in [`BoardCaller::call`].
        call: CallId,
    },
    /// Sends on whom a user talks with.
    Transfer {
        /// Whose.
        company: CompanyId,
        /// Who transfers; gets the call back when nobody answers.
        user: UserId,
        /// What would be dialled; not with `with`.
        #[serde(default)]
        to: Option<Number>,
        /// Into this other call of the user, whose party is talked with instead (attended).
        #[serde(default)]
        with: Option<CallId>,
        /// Which call.
        #[serde(default)]
        call: Option<CallId>,
    },
    /// Fetches a transferred call back that has not been answered.
    Return {
        /// Whose.
        company: CompanyId,
        /// Who has transferred it.
        user: UserId,
        /// Which.
        call: CallId,
    },
    /// Parks whom a user talks with. Answered by `Parked`.
    Park {
        /// Whose.
        company: CompanyId,
        /// Who parks.
        user: UserId,
        /// Where; the first free slot when not given.
        #[serde(default)]
        slot: Option<u32>,
        /// Which call.
        #[serde(default)]
        call: Option<CallId>,
    },
    /// Has whom a user talks with hear music, or ends that.
    Hold {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// On or off.
        on: bool,
        /// Which call.
        #[serde(default)]
        call: Option<CallId>,
    },
    /// Has a phone of the user that rings answer.
    Answer {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// Which call; the one that has rung longest when not given.
        #[serde(default)]
        call: Option<CallId>,
        /// Which phone; when not given one that can be told to, else the first.
        #[serde(default)]
        device: Option<DeviceId>,
    },
    /// Click to call: rings the user's phones, then dials. Answered by `Dialled`.
    Dial {
        /// Whose.
        company: CompanyId,
        /// For whom.
        user: UserId,
        /// What is dialled: a number, an extension, a service code.
        to: Number,
        /// The user's phone is asked to answer by itself.
        #[serde(default)]
        auto_answer: bool,
    },
    /// Brings a colleague's call to a supervisor; the colleague is let go.
    TakeOver {
        /// Whose.
        company: CompanyId,
        /// The supervisor.
        user: UserId,
        /// Whose call.
        from: UserId,
    },
    /// Turns the company's night service on or off.
    Night {
        /// Whose.
        company: CompanyId,
        /// On or off.
        on: bool,
        /// Ends by itself.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Logs a user in at a shared phone without a PIN, or out.
    Desk {
        /// Whose.
        company: CompanyId,
        /// The phone.
        device: DeviceId,
        /// Who; none logs out.
        #[serde(default)]
        user: Option<UserId>,
    },
    /// A user wants to be rung when a colleague is free, or no longer.
    CallBack {
        /// Whose.
        company: CompanyId,
        /// Who.
        user: UserId,
        /// Whom they want to reach.
        wanted: UserId,
        /// Wanted or cancelled.
        on: bool,
    },
}

/// A company's switchboard.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BoardView {
    /// Whose.
    pub company: CompanyId,
    /// The night service, when the company has one.
    pub night: Option<NightView>,
    /// Who waits to be taken, the first first.
    pub callers: Vec<BoardCaller>,
    /// Who is parked, by slot.
    pub parked: Vec<ParkedView>,
    /// Transferred calls that ring and have not been answered, oldest first.
    pub transferred: Vec<TransferredView>,
    /// Everybody of the company, by user id.
    pub people: Vec<PersonState>,
}

/// The night service: a toggle that sends the company's numbers elsewhere.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NightView {
    /// The toggle.
    pub toggle: ToggleId,
    /// On or off.
    pub on: bool,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BoardCaller {
    /// Names the caller in `Take`.
    pub call: CallId,
    /// Where.
    pub queue: QueueId,
    /// 1 is first.
    pub position: u32,
    /// Seconds since joining the first queue.
    pub wait_s: u64,
    /// Who calls; none when hidden.
    pub number: Option<Number>,
    /// Shown name.
    pub name: Option<Arc<str>>,
    /// What was dialled.
    pub dialled: Number,
    /// Of the call flow.
    pub tags: Vec<Arc<str>>,
    /// From whom the call has come back.
    pub returned_from: Option<Arc<str>>,
    /// Whom it rings already.
    pub ringing: Vec<UserId>,
}

/// Somebody who is parked.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ParkedView {
    /// Where; also the extension to dial.
    pub slot: u32,
    /// Names the caller in `Take`.
    pub call: CallId,
    /// Who calls; none when hidden.
    pub number: Option<Number>,
    /// Shown name.
    pub name: Option<Arc<str>>,
    /// Who parked.
    pub by: UserId,
    /// Seconds since.
    pub parked_s: u64,
    /// Who parked is being rung.
    pub returning: bool,
}

/// A transferred call that rings.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TransferredView {
    /// Names it in `Return`.
    pub call: CallId,
    /// Who calls; none when hidden.
    pub number: Option<Number>,
    /// Who transferred.
    pub by: UserId,
    /// To whom, for people.
    pub to: Arc<str>,
}

/// How reachable somebody is: the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reachable {
    /// In a call.
    Busy,
    /// A call rings.
    Ringing,
    /// Calls are not wanted.
    DoNotDisturb,
    /// Away.
    Absent,
    /// Every call is sent on.
    Forwarded,
    /// No phone is registered and no mobile rings.
    Unreachable,
    /// A call would ring.
    Free,
}

/// Somebody of the company.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PersonState {
    /// Who.
    pub user: UserId,
    /// Shown name.
    pub name: Arc<str>,
    /// Title.
    pub title: Option<Arc<str>>,
    /// Extension.
    pub ext: Option<Number>,
    /// Mobile number.
    pub mobile: Option<Number>,
    /// How reachable.
    pub state: Reachable,
    /// Until when, where it ends by itself.
    pub until: Option<Timestamp>,
    /// On pause in queues: why.
    pub paused: bool,
    /// Queues and groups where they are logged in.
    pub logged_in: Vec<LineId>,
    /// Shared phones where they are logged in.
    pub desks: Vec<DeviceId>,
}
