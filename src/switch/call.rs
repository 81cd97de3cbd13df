//! A call: its parties, the program it runs, whom it rings, and what its record will say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::media::PlayId;
use crate::media::PlayItem;
use crate::media::RecordId;
use crate::model::cdr::CallResult;
use crate::model::cdr::Cdr;
use crate::model::cdr::Direction;
use crate::model::cdr::EndedBy;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::LegId;
use crate::model::id::LineKey;
use crate::model::id::RoomKey;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::user::Rings;
use crate::sip::Extra;
use crate::sip::invite::HeaderEdit;
use crate::switch::AskId;
use crate::switch::call_recording::Taping;
use crate::switch::consult::Consultation;
use crate::switch::dial::Attempt;
use crate::switch::dial::AttemptId;
use crate::switch::diversion::Why;
use crate::switch::flow::Program;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::action::Place;
use crate::switch::flow::action::QueueExit;
use crate::switch::gruu::Instance;
use crate::switch::originate::Click;
use crate::switch::returns::Transferred;
use crate::switch::segments::Segment;
use crate::switch::supervise::Supervision;
use crate::switch::transfer::Referral;

/// A call, from its INVITE until its last leg is gone.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) company: CompanyId,
    /// Who called.
    pub(crate) caller: LegId,
    /// Whom the caller talks with.
    pub(crate) callee: Option<LegId>,
    /// What is known of the caller.
    pub(crate) facts: CallerFacts,
    /// What the call runs; out of it only while an event is being handled.
    pub(crate) program: Option<Program>,
    /// Whom it rings.
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    /// Where it waits.
    pub(crate) waiting: Option<Waiting>,
    /// When it began to wait for an agent, kept over queues with `carry_wait`.
    pub(crate) waited_since: Option<Instant>,
    /// In queues.
    pub(crate) priority: Option<i32>,
    /// What is played to the caller, and for whom.
    pub(crate) playing: Option<(PlayId, Listener)>,
    /// What is recorded of the caller.
    pub(crate) recording: Option<RecordId>,
    /// The last finished recording, until it is kept or dropped.
    pub(crate) recorded: Option<RecordId>,
    /// The recording of the call, and what else is known about recording it.
    pub(crate) tape: Taping,
    /// When the caller was connected with somebody.
    pub(crate) talking_since: Option<Instant>,
    /// Our users' parts of the talk that goes on.
    pub(crate) segments: Vec<Segment>,
    /// The queue or group whose agent talks with the caller.
    pub(crate) served_by: Option<LineKey>,
    /// Somebody was asked to answer.
    pub(crate) asked: bool,
    /// The caller has left a message.
    pub(crate) left_message: bool,
    /// Whom this call keeps busy, as told to the queues.
    pub(crate) busy: Vec<UserKey>,
    /// The only phone that it may ring: the caller dialled a GRUU.
    pub(crate) only: Option<Instance>,
    /// How many more hops its outgoing legs may travel.
    pub(crate) max_forwards: u8,
    /// What is to be played, until a beep or the end of the actions tells that it is all.
    pub(crate) pending: Option<(Vec<PlayItem>, u32)>,
    /// Further headers of its refusal.
    pub(crate) refusal: Extra,
    /// The call is being taken down: nothing new is begun.
    pub(crate) ending: bool,
    /// The record in the making.
    pub(crate) cdr: Cdr,
    /// The step or destination it is in.
    pub(crate) place: Option<Place>,
    /// The question to another system whose answer it waits for.
    pub(crate) asking: Option<AskId>,
    /// Who transfers the caller away, until the target answers.
    pub(crate) referral: Option<Referral>,
    /// Begun by one of ours to ask somebody about another call.
    pub(crate) consultation: Option<Consultation>,
    /// In which call whoever left this one for a moment asks about it.
    pub(crate) consulted: Option<CallId>,
    /// Who transferred the caller away and gets them back when nobody answers.
    pub(crate) transferred: Option<Box<Transferred>>,
    /// From whom it has come back, for people.
    pub(crate) returned_from: Option<Arc<str>>,
    /// What whom it rings sees in the place of the caller's name.
    pub(crate) shown_as: Option<Arc<str>>,
    /// The slot that the caller is parked in.
    pub(crate) parked: Option<u32>,
    /// What is played to who parks.
    pub(crate) telling: Option<PlayId>,
    /// It rings phones that answer by themselves.
    pub(crate) intercom: bool,
    /// Nobody has dialled it: whose phones ring first, and where it goes then.
    pub(crate) originate: Option<Box<Click>>,
    /// The call in which an agent has asked for this caller.
    pub(crate) taken_from: Option<CallId>,
    /// The device that called.
    pub(crate) phone: Option<DeviceId>,
    /// Who calls, when it is a user of another company than whose call it is.
    pub(crate) visitor: Option<UserKey>,
    /// Headers of the caller's carrier that are handed on to whomever the call rings.
    pub(crate) copies: Vec<HeaderEdit>,
    /// Why the call would be sent on now: what came of those who were rung last.
    pub(crate) why: Why,
    /// The user who sent it on last: where it goes is on their rights.
    pub(crate) sent_on_by: Option<UserId>,
    /// Who is searched for, and what of theirs rings.
    pub(crate) find: Option<(UserId, Vec<Rings>)>,
    /// The conference room that it leads to.
    pub(crate) room: Option<RoomKey>,
    /// The call that its caller, a supervisor, takes part in.
    pub(crate) supervises: Option<Supervision>,
}

/// Who learns that a playing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The program.
    Program,
    /// The queue that announces something.
    Queue,
}

/// Where a call waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// The queue or group.
    pub(crate) line: LineKey,
    /// When it joined this one.
    pub(crate) since: Instant,
}

impl Call {
    /// A call that begins now.
    pub(crate) fn new(begin: Begin) -> Call {
        let cdr = Cdr {
            id: begin.id,
            company: Some(begin.company.clone()),
            direction: begin.direction,
            from: begin.facts.number.as_ref().map_or_else(|| "".into(), |n| n.as_str().into()),
            from_name: begin.facts.name.clone(),
            from_user: begin.facts.user.clone(),
            hidden: begin.facts.hidden,
            to: begin.facts.dialled.as_str().into(),
            trunk: begin.trunk,
            started: begin.at,
            answered: None,
            connected: None,
            ended: begin.at,
            result: CallResult::Failed,
            ended_by: EndedBy::System,
            status: 0,
            queue: None,
            wait_ms: None,
            answered_by: None,
            talk_ms: 0,
            keys: String::new(),
            tags: Vec::new(),
            path: Vec::new(),
            sip_call_id: begin.sip_call_id,
            codec: None,
            rtp: (0, 0),
            rtp_lost: 0,
            audio: Vec::new(),
            recordings: Vec::new(),
            recording_trouble: None,
        };
        Call {
            id: begin.id,
            company: begin.company,
            caller: begin.caller,
            callee: None,
            facts: begin.facts,
            program: None,
            attempts: BTreeMap::new(),
            waiting: None,
            waited_since: None,
            priority: None,
            playing: None,
            recording: None,
            recorded: None,
            tape: Taping::default(),
            talking_since: None,
            segments: Vec::new(),
            served_by: None,
            asked: false,
            left_message: false,
            busy: Vec::new(),
            pending: None,
            only: None,
            max_forwards: 69,
            refusal: Vec::new(),
            ending: false,
            referral: None,
            consultation: None,
            consulted: None,
            place: None,
            asking: None,
            transferred: None,
            returned_from: None,
            shown_as: None,
            parked: None,
            telling: None,
            intercom: false,
            originate: None,
            taken_from: None,
            phone: None,
            visitor: None,
            cdr,
            copies: Vec::new(),
            why: Why::Unconditional,
            sent_on_by: None,
            find: None,
            room: None,
            supervises: None,
        }
    }

    /// The user who called, when one of ours.
    pub(crate) fn caller_user(&self) -> Option<UserKey> {
        let Some(user): Option<&UserId> = self.facts.user.as_ref() else { return self.visitor.clone() };
        Some(UserKey { company: self.company.clone(), user: user.clone() })
    }

    /// The user of ours who sent the call on, when one did.
    pub(crate) fn sender(&self) -> Option<UserKey> {
        Some(UserKey { company: self.company.clone(), user: self.sent_on_by.clone()? })
    }

    /// Keeps what came of those who were rung: the reason with which the call is sent on next.
    pub(crate) fn note_outcome(&mut self, event: Event) {
        self.why = match event {
            Event::Dialled(Outcome::NoAnswer)
            | Event::Queue(QueueExit::Timeout | QueueExit::NoAnswer | QueueExit::RejectedByAll) => {
                Why::NoAnswer
            }
            Event::Dialled(Outcome::Busy) | Event::Queue(QueueExit::Full) => Why::Busy,
            Event::Dialled(Outcome::Unavailable | Outcome::Nobody | Outcome::Refused(_))
            | Event::Queue(QueueExit::Nobody | QueueExit::AllPaused | QueueExit::Gone) => Why::Unavailable,
            Event::Queue(QueueExit::Closed) => Why::TimeOfDay,
            Event::Start
            | Event::PlayFinished
            | Event::Digit(_)
            | Event::Timer
            | Event::Recorded { .. }
            | Event::Loaded(_)
            | Event::Queue(QueueExit::CallbackTaken)
            | Event::Toggled(_)
            | Event::Acked
            | Event::Asked(_)
            | Event::People(_)
            | Event::Room(_) => self.why,
        };
    }

    /// The caller's number for lists; a hidden one is not shown.
    pub(crate) fn shown_number(&self) -> String {
        match &self.facts.number {
            _ if self.facts.hidden => "hidden".to_owned(),
            Some(number) => number.to_string(),
            None => String::new(),
        }
    }

    /// One word for lists.
    pub(crate) fn state(&self) -> &'static str {
        if self.parked.is_some() {
            return "parked";
        }
        if let Some(supervision) = &self.supervises {
            return supervision.mode.as_str();
        }
        if self.room.is_some() {
            return "conference";
        }
        match (&self.waiting, self.callee, self.attempts.is_empty(), self.recording) {
            (_, Some(_), ..) => "talking",
            (Some(_), ..) => "waiting",
            (None, None, false, _) => "ringing",
            (None, None, true, Some(_)) => "recording",
            (None, None, true, None) => "menu",
        }
    }
}

/// What is known when a call begins.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) id: CallId,
    pub(crate) company: CompanyId,
    pub(crate) direction: Direction,
    pub(crate) caller: LegId,
    pub(crate) facts: CallerFacts,
    pub(crate) trunk: Option<TrunkId>,
    pub(crate) sip_call_id: Arc<str>,
    pub(crate) at: Timestamp,
}
