//! What the queues are told: callers that come and go, agents and what is known of them, and what became of offers.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;

use crate::model::Config;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::id::AgentKey;
use crate::model::id::CallId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::switch::queue::Facts;
use crate::switch::queue::OfferId;

/// Who joins.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The call.
    pub entry: CallId,
    /// Instead of the queue's.
    pub priority: Option<i32>,
    /// The wait counts from here, when carried over from another queue.
    pub waited_since: Option<Instant>,
    /// Total ring time in a group, instead of the group's.
    pub ring: Option<Duration>,
    /// The queue's own hours say open.
    pub open: bool,
    /// Who calls, for those who come back; none when hidden.
    pub number: Option<Number>,
}

/// What happens to the queues.
#[derive(Clone, Debug)]
pub enum Input {
    /// A new configuration.
    Config(Arc<Config>),
    /// A caller comes.
    Join {
        /// To which queue or group.
        line: LineKey,
        /// Who.
        caller: Caller,
    },
    /// A caller goes.
    Leave {
        /// Who.
        entry: CallId,
        /// Why.
        why: Left,
    },
    /// What is known of an agent has changed. Unknown agents are unreachable.
    Facts {
        /// Who.
        agent: AgentKey,
        /// All that is known.
        facts: Facts,
    },
    /// A line rings other contacts of an agent than the agent's own.
    LineReach {
        /// Who.
        agent: AgentKey,
        /// Where.
        line: LineKey,
        /// Whether any of these can be rung; none when the line rings the agent's own.
        reachable: Option<bool>,
    },
    /// An agent logs in or out.
    Login {
        /// Who.
        agent: AgentKey,
        /// Where; none is everywhere.
        line: Option<LineKey>,
        /// In or out.
        logged_in: bool,
        /// By whom.
        by: Source,
    },
    /// An agent goes on pause, or comes back.
    Pause {
        /// Who.
        agent: AgentKey,
        /// Why; none ends every pause of the agent.
        reason: Option<Arc<str>>,
        /// Ends by itself.
        until: Option<Timestamp>,
        /// By whom.
        by: Source,
    },
    /// An agent has finished wrapping up early.
    WrapUpEnd {
        /// Who.
        agent: AgentKey,
    },
    /// An agent who wraps up needs longer.
    WrapUpExtend {
        /// Who.
        agent: AgentKey,
    },
    /// An agent takes a waiting caller out of turn; refused where [`Queues::may_take`] says so.
    ///
    /// [`Queues::may_take`]: crate::switch::queue::Queues::may_take
    Take {
        /// Whom.
        entry: CallId,
        /// Who.
        agent: AgentKey,
    },
    /// An agent who is on the telephone already asks for a waiting caller there; refused where
    /// [`Queues::may_grab`] says so. The offer that comes of it is to be answered at once.
    ///
    /// [`Queues::may_grab`]: crate::switch::queue::Queues::may_grab
    Grab {
        /// Whom.
        entry: CallId,
        /// Who.
        agent: AgentKey,
    },
    /// A waiting caller asks to be called back; refused where [`Queues::may_call_back`] says so.
    ///
    /// [`Queues::may_call_back`]: crate::switch::queue::Queues::may_call_back
    KeepPlace {
        /// Who.
        entry: CallId,
        /// On which number.
        number: Number,
    },
    /// Somebody else waits in a caller's place: who called for them has put them through.
    Replaced {
        /// Whose place.
        entry: CallId,
        /// Since when they have waited before, in whichever queue.
        waited_since: Option<Instant>,
        /// Their number; none when hidden.
        number: Option<Number>,
    },
    /// The call that carries an offered call-back from here on.
    CarriedBy {
        /// The kept place, as in `Output::Offer`.
        entry: CallId,
        /// Its name from here on.
        call: CallId,
    },
    /// The caller who was dialled back did not answer, or could not be dialled.
    CallbackFailed {
        /// Which, by its call.
        entry: CallId,
    },
    /// A phone rings (first 18x).
    OfferRinging(OfferId),
    /// An agent answered, with confirmation where it was needed.
    OfferAnswered(OfferId),
    /// An offer came to nothing, or the winner dropped before the bridge.
    OfferFailed(OfferId, Failure),
    /// Caller and winner are bridged.
    TalkStarted {
        /// Who.
        entry: CallId,
    },
    /// The agent's part is over, for whatever reason.
    TalkEnded {
        /// Which caller's.
        entry: CallId,
    },
    /// A queue's hours begin or end.
    LineHours {
        /// Which.
        line: LineKey,
        /// From this moment.
        open: bool,
        /// They end by a closure for which nobody may wait on.
        immediate: bool,
    },
    /// What `Output::Say` asked for has been played.
    Announced {
        /// To whom.
        entry: CallId,
    },
    /// A fact from the store at start; those that do not concern queues are ignored.
    Restore(Change),
}

/// Why a caller goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// By hanging up.
    HungUp,
    /// By a key, to somewhere else.
    Key,
    /// By an order or a limit.
    System,
}

/// Why an offer came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The phone is busy (486).
    Busy,
    /// The agent refused.
    Rejected,
    /// The phone gave up ringing.
    NoAnswer,
    /// No phone could be reached.
    Unreachable,
    /// Anything else.
    Error,
}
