//! What the queues want done, and the words for why.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use crate::model::change::Change;
use crate::model::event::Fields;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::switch::queue::Announcement;
use crate::switch::queue::OfferId;

/// What the queues want done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ring an agent. The engine takes the offer back by itself when it has rung for its time.
    Offer {
        /// Names it from now on.
        offer: OfferId,
        /// From which line.
        line: LineKey,
        /// For whom.
        entry: CallId,
        /// Who.
        agent: AgentKey,
        /// Counted from the first 18x.
        ring_max: Duration,
        /// The caller has hung up and is called back on this number once the agent answers. A call must carry it:
        /// [`Input::CarriedBy`](crate::switch::queue::Input::CarriedBy), or the offer fails.
        callback: Option<Number>,
    },
    /// Stop ringing (CANCEL), or end a leg that has answered (BYE).
    Withdraw {
        /// Which.
        offer: OfferId,
        /// Why.
        why: Withdrawn,
    },
    /// Bridge these now.
    Connect {
        /// The winner.
        offer: OfferId,
        /// The caller.
        entry: CallId,
        /// Who answered.
        agent: AgentKey,
    },
    /// The agent has answered a call-back: dial the caller now.
    DialBack {
        /// The winner.
        offer: OfferId,
        /// By its call.
        entry: CallId,
        /// Who answered.
        agent: AgentKey,
        /// Whom to dial.
        number: Number,
    },
    /// Answered too late: ACK and BYE.
    Refuse {
        /// Which.
        offer: OfferId,
        /// Why.
        why: Withdrawn,
    },
    /// Play these to the caller, in order; then `Input::Announced`.
    Say {
        /// To whom.
        entry: CallId,
        /// What; never empty.
        what: Vec<Announcement>,
    },
    /// Stop announcing at once: an agent has answered.
    Hush {
        /// To whom.
        entry: CallId,
    },
    /// The caller goes on to where this exit leads.
    Exit {
        /// Who.
        entry: CallId,
        /// From where.
        line: LineKey,
        /// Why.
        exit: ExitReason,
        /// To be carried to the next queue.
        waited_since: Instant,
    },
    /// Others must know this.
    Change(Change),
    /// A decision, for the record.
    Event {
        /// About which caller.
        entry: CallId,
        /// Where.
        line: LineKey,
        /// `queue.joined`, `queue.offered` …
        event: &'static str,
        /// A reason code, then words.
        why: String,
        /// What programs read of it; the line is filled in by who takes it.
        fields: Box<Fields>,
    },
}

/// Why an offer is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// Somebody else has the caller.
    AnsweredElsewhere(AgentKey),
    /// The caller has gone.
    CallerGone,
    /// It rang out: a missed call.
    NoAnswer,
    /// The agent logged out or went on pause.
    LoggedOut,
    /// The agent took another call.
    Busy,
    /// The agent is no longer listed in the line.
    Removed,
    /// The caller left the line for its next destination.
    Exit,
}

/// Why a line gives a caller back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Waited too long.
    Timeout,
    /// No room.
    Full,
    /// Nobody is logged in; in a group also: nobody can be reached.
    Nobody,
    /// Everybody logged in is on pause.
    AllPaused,
    /// Outside hours.
    Closed,
    /// The line does not exist.
    Gone,
    /// Of a group: everybody is busy.
    Busy,
    /// Of a group: nobody answered. Of a queue: everybody there was rung in vain.
    NoAnswer,
    /// Everybody there refused the caller for good.
    RejectedByAll,
    /// The place is kept for a call-back.
    CallbackTaken,
}

impl ExitReason {
    /// As in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ExitReason::Timeout => "timeout",
            ExitReason::Full => "full",
            ExitReason::Nobody => "nobody",
            ExitReason::Closed => "closed",
            ExitReason::Gone => "gone",
            ExitReason::Busy => "busy",
            ExitReason::NoAnswer => "no_answer",
            ExitReason::AllPaused => "all_paused",
            ExitReason::RejectedByAll => "rejected_by_all",
            ExitReason::CallbackTaken => "callback_taken",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
