//! The vocabulary between the programs of a call and the call itself: events in, actions out, and what a
//! program may look at. The programs decide, `switch::act` carries out; neither knows how the other does it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Config;
use crate::model::change::Change;
use crate::model::company::Company;
use crate::model::event::Fields;
use crate::model::flow::Destination;
use crate::model::flow::HangupCause;
use crate::model::flow::Show;
use crate::model::id::CompanyId;
use crate::model::id::FlowId;
use crate::model::id::GroupId;
use crate::model::id::HoursId;
use crate::model::id::LineId;
use crate::model::id::MailboxId;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::mailbox::MessageState;
use crate::model::mailbox::Occasion;
use crate::model::personal::Setting;
use crate::model::prompt::PromptKey;
use crate::model::queue::Confirm;
use crate::model::server::Language;
use crate::model::trunk::Via;
use crate::model::user::Rings;
use crate::switch::conference;
use crate::switch::diversion::Diversion;
use crate::switch::diversion::Why;
use crate::switch::hours;
use crate::switch::hours::ByHand;
use crate::switch::hours::HoursState;
use crate::switch::hours::table::Table;
use crate::switch::mailboxes::Mailboxes;
use crate::switch::people::Deed;
use crate::switch::people::Said;
use crate::switch::personal::People;
use crate::switch::route::Target;
use crate::time::Timestamp;

/// What a program wants done on its call. Actions of one list are carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// 180 to a caller who is not answered; a ringing tone to one who is.
    Ring,
    /// 200 to the caller. Never given twice by one program, and never for a call answered before it began.
    Answer,
    /// 183 with media, so that an unanswered caller hears what is played next and is not charged.
    Early,
    /// Plays all of these in order, `repeat` times (at least 1), in place of what is played; answered by
    /// [`Event::PlayFinished`] when the last is over. `prompts` is never empty.
    Play {
        /// In order.
        prompts: Vec<PromptKey>,
        /// How many times the whole list.
        repeat: u32,
    },
    /// Silence at once, and no [`Event::PlayFinished`].
    StopPlay,
    /// A short tone behind what is played; [`Event::PlayFinished`] comes after it, also when nothing else plays.
    Beep,
    /// The caller hears themselves until the call ends.
    Echo,
    /// Sets or moves the program's only timer; answered by [`Event::Timer`].
    Timer(Duration),
    /// Stops the timer: no [`Event::Timer`] comes.
    ClearTimer,
    /// Joins a queue. Either an agent takes the call, which then ends by itself, or [`Event::Queue`] says why not.
    /// A queue that does not exist any longer is [`QueueExit::Gone`].
    Enqueue {
        /// Of the caller's company.
        queue: QueueId,
        /// Instead of what [`Action::SetPriority`] or the queue says.
        priority: Option<i32>,
        /// Keeps the time already waited in another queue.
        carry_wait: bool,
    },
    /// Leaves the queue without [`Event::Queue`]; always followed by what comes instead.
    LeaveQueue,
    /// Rings a group; answered by [`Event::Dialled`] unless somebody takes the call.
    Group {
        /// Of the caller's company.
        group: GroupId,
        /// Instead of the group's ring time.
        ring: Option<Duration>,
    },
    /// Rings users and phones at once; answered by [`Event::Dialled`] unless somebody takes the call.
    /// Forwarding by the users is already applied.
    Dial {
        /// [`Destination::User`] and [`Destination::Phone`] only; may be empty, which is [`Outcome::Unavailable`].
        to: Vec<Destination>,
        /// How long.
        ring: Duration,
        /// Press 1 to take the call.
        confirm: Confirm,
        /// Which number the dialled see.
        show: Show,
    },
    /// Rings a part of what a user has, as a step of a search; answered like [`Action::Dial`].
    Find {
        /// Who.
        user: UserId,
        /// What of theirs.
        rings: Vec<Rings>,
        /// How long.
        long: Duration,
    },
    /// A user sends the call on from here: what follows is on their rights, and carriers are told why.
    SentOn {
        /// Who.
        by: UserId,
        /// Why, when it is not what came of ringing them.
        why: Option<Why>,
    },
    /// The calling user sets something for themselves.
    SetPersonal(Setting),
    /// A caller of ours rings out; answered by [`Event::Dialled`] when all trunks failed.
    Outbound {
        /// Whom: E.164 or a short number.
        number: Number,
        /// Tried in order; equal ones share the calls.
        trunks: Via,
        /// Bypasses limits and hidden numbers.
        emergency: bool,
        /// The own number is hidden for this call.
        hide: bool,
    },
    /// Takes a message; answered by [`Event::Recorded`] when it ended by length, silence or [`Action::StopRecord`].
    /// When the caller hangs up meanwhile, the message is kept if it is at least `min` long, without asking again.
    Record {
        /// Where it will lie.
        mailbox: MailboxId,
        /// Longest message.
        max: Duration,
        /// Ends after this much silence.
        max_silence: Duration,
        /// Shorter ones are thrown away when the caller hangs up.
        min: Duration,
    },
    /// Ends the recording.
    StopRecord,
    /// The message just recorded goes into its mailbox.
    KeepMessage,
    /// The message just recorded is deleted.
    DropMessage,
    /// Brings a recording (`voicemail/<id>.wav`) into the media bank as [`PromptKey::Recording`]; answered by
    /// [`Event::Loaded`].
    Load(Arc<str>),
    /// A message was heard or saved.
    MarkMessage {
        /// Where it lies.
        mailbox: MailboxId,
        /// Which.
        id: Arc<str>,
        /// What it is then.
        state: MessageState,
    },
    /// A message is deleted.
    DeleteMessage {
        /// Where it lies.
        mailbox: MailboxId,
        /// Which.
        id: Arc<str>,
    },
    /// Brings what was just recorded into the media bank; answered by [`Event::Loaded`].
    LoadRecorded,
    /// Plays what was just recorded; answered by [`Event::PlayFinished`].
    HearRecorded,
    /// What was just recorded is a greeting of a box.
    KeepGreeting {
        /// Whose.
        mailbox: MailboxId,
        /// For which callers.
        occasion: Occasion,
        /// Holds for so many days; 0 until it is taken away.
        days: u32,
    },
    /// A greeting is taken away.
    DropGreeting {
        /// Whose.
        mailbox: MailboxId,
        /// For which callers.
        occasion: Occasion,
    },
    /// A PIN was keyed in.
    PinTried {
        /// Of which box.
        mailbox: MailboxId,
        /// It was the right one.
        right: bool,
    },
    /// A box gets a new PIN.
    SetPin {
        /// Which.
        mailbox: MailboxId,
        /// 4–8 digits; never logged.
        pin: Arc<str>,
    },
    /// A message is put into another box, too.
    SendMessageOn {
        /// Where it lies.
        mailbox: MailboxId,
        /// Which.
        id: Arc<str>,
        /// Where to.
        to: MailboxId,
    },
    /// The call goes where the caller could have dialled; the program ends with it.
    LeadTo(Box<Target>),
    /// The calling user logs in or out.
    Login {
        /// Where; none is every queue and ring group the user is in.
        line: Option<LineId>,
        /// In or out.
        logged_in: bool,
    },
    /// The calling user goes on pause, or ends it with `None`.
    Pause {
        /// Why.
        reason: Option<Arc<str>>,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// The calling user's wrap-up ends.
    WrapUpEnd,
    /// The calling user needs longer for it.
    WrapUpExtend,
    /// Who calls has keyed in the PIN of this user; with the right one, the caller is that user from here on.
    PinGiven {
        /// Whose.
        user: UserId,
        /// It was.
        right: bool,
    },
    /// The caller hangs up and is called back on this number in turn; answered by [`QueueExit::CallbackTaken`], or
    /// not at all when the queue does not allow it.
    KeepPlace {
        /// Norwegian, and confirmed by the caller.
        number: Number,
    },
    /// Turns a toggle on or off, whichever it is not; answered by [`Event::Toggled`].
    FlipToggle(ToggleId),
    /// Turns a toggle on until a moment; answered by [`Event::Toggled`].
    ToggleUntil {
        /// Of the caller's company.
        toggle: ToggleId,
        /// When it goes off by itself.
        until: Timestamp,
    },
    /// Something between people; an order is answered by [`Event::People`], unless the call goes elsewhere by it.
    People(Deed),
    /// Something in a conference room; answered by [`Event::Room`] where there is something to tell.
    Room(conference::Deed),
    /// The caller's shown name from here on.
    SetName(Arc<str>),
    /// The language of the system's prompts from here on.
    SetLanguage(Language),
    /// Kept with the call record.
    SetTag {
        /// `tag` for that of a `set` step, else the name that a `collect` or `consent` step gives.
        name: Arc<str>,
        /// Digits or text; never logged.
        value: Arc<str>,
    },
    /// Of this caller in queues joined from here on, unless [`Action::Enqueue`] says otherwise.
    SetPriority(i32),
    /// The caller chose this key; for the call record. Keys of PINs and collected digits are not told.
    Key(char),
    /// Asks another system; answered by [`Event::Asked`], at the latest a moment after `timeout`.
    Ask {
        /// URL or webhook id.
        what: Arc<str>,
        /// How long it may take.
        timeout: Duration,
        /// What it may answer, in the order that [`Event::Asked`] counts in.
        names: Vec<Arc<str>>,
        /// Tags of the call, by name.
        tags: Vec<(Arc<str>, Arc<str>)>,
    },
    /// Sends a text message to the caller; nobody waits for it.
    Sms {
        /// What it says.
        text: Arc<str>,
    },
    /// The call comes to a step or a destination; once for each.
    Enter(Place),
    /// The call leaves a step by this exit; once for each.
    Leave {
        /// Which step.
        place: Place,
        /// The exit as it is written in the configuration.
        exit: Arc<str>,
    },
    /// Somebody must look at this.
    Alarm {
        /// Reason code.
        reason: &'static str,
        /// In words, without numbers and names of people.
        why: String,
    },
    /// A decision, for the call's path and the event log; holds no numbers or names of people.
    Step {
        /// `flow/step`, or a destination (`queue:salg`).
        at: String,
        /// What was decided and why.
        why: String,
        /// What programs read of it; the step is `at`.
        fields: Box<Fields>,
    },
    /// Ends the call: BYE, or the cause's final status when it is not answered. The last action of a program.
    HangUp(HangupCause),
}

/// Where a call is, for counting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The flow; none for a destination.
    pub flow: Option<FlowId>,
    /// The step, or the destination (`queue:salg`, `phone`).
    pub step: Arc<str>,
    /// The step's verb, or the kind of destination.
    pub verb: &'static str,
}

/// What happens to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The call begins; once, before all others.
    Start,
    /// Everything of the last [`Action::Play`] (and [`Action::Beep`]) was heard.
    PlayFinished,
    /// The caller pressed `0`–`9`, `*` or `#`.
    Digit(char),
    /// The timer ran out.
    Timer,
    /// The queue gave the caller back.
    Queue(QueueExit),
    /// Nobody took the call.
    Dialled(Outcome),
    /// The recording ended.
    Recorded {
        /// How long it is.
        length: Duration,
    },
    /// The recording can be played, or cannot be read.
    Loaded(bool),
    /// The toggle is on, or off.
    Toggled(bool),
    /// The caller has acknowledged our answer: it is there, and not only its name.
    Acked,
    /// What another system answered: an index into [`Action::Ask`]'s `names`.
    Asked(Result<u16, Unanswered>),
    /// What came of an order of [`Action::People`].
    People(Said),
    /// What is to be told in a conference room.
    Room(conference::Said),
}

/// Why another system has not said what a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Not within the budget.
    Timeout,
    /// It cannot be reached.
    Unreachable,
    /// Another HTTP status than 200.
    Status(u16),
    /// An answer that is too long, or cannot be read.
    Unreadable,
    /// An answer that is none of the exits.
    Unknown,
    /// It was down just now and is left alone for a while.
    Resting,
    /// Too many questions are out.
    Busy,
    /// The webhook is not configured.
    NotConfigured,
}

impl Unanswered {
    /// The reason code.
    pub fn as_str(self) -> &'static str {
        match self {
            Unanswered::Timeout => "timeout",
            Unanswered::Unreachable => "unreachable",
            Unanswered::Status(_) => "status",
            Unanswered::Unreadable => "unreadable",
            Unanswered::Unknown => "unknown_answer",
            Unanswered::Resting => "resting",
            Unanswered::Busy => "busy",
            Unanswered::NotConfigured => "not_configured",
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Status(status) => write!(f, "status {status}"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// Why a queue gives a caller back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueExit {
    /// Waited too long.
    Timeout,
    /// No room on joining.
    Full,
    /// Nobody is logged in.
    Nobody,
    /// Outside the queue's hours.
    Closed,
    /// The queue was removed from the configuration.
    Gone,
    /// Everybody logged in is on pause.
    AllPaused,
    /// Everybody logged in was rung in vain.
    NoAnswer,
    /// Everybody logged in refused for good.
    RejectedByAll,
    /// The caller is to be called back: the place is kept.
    CallbackTaken,
}

/// Why nobody took a dialled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It rang for the whole ring time.
    NoAnswer,
    /// Everyone is busy (486, 600).
    Busy,
    /// No device is registered and no mobile rings, or the trunks are down.
    Unavailable,
    /// No member of the group is logged in.
    Nobody,
    /// This final SIP status, 300–699.
    Refused(u16),
}

/// What is known of who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerFacts {
    /// E.164, or an extension for our own users; also for hidden callers when the trunk told it.
    pub number: Option<Number>,
    /// Shown name.
    pub name: Option<Arc<str>>,
    /// Nobody dialled may see the number.
    pub hidden: bool,
    /// Our own user, when one calls.
    pub user: Option<UserId>,
    /// Comes from a device of that user, which proved its password.
    pub own_device: bool,
    /// What was dialled.
    pub dialled: Number,
    /// The call is answered.
    pub answered: bool,
    /// Of the system's prompts.
    pub language: Language,
    /// Who has sent the call on before it came to us, the last first.
    pub diversions: Vec<Diversion>,
}

/// What a program may look at while it handles one event.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The newest configuration.
    pub config: &'a Arc<Config>,
    /// The newest configuration of the company whose call this is.
    pub company: &'a Arc<Company>,
    /// Wall clock, for opening hours.
    pub now: Timestamp,
    /// Who calls.
    pub caller: &'a CallerFacts,
    /// What stands outside the configuration.
    pub world: &'a World<'a>,
}

/// Run-time state that programs ask for.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// States set by hand.
    pub toggles: &'a Toggles,
    /// Voicemail.
    pub mailboxes: &'a Mailboxes,
    /// What people have set for themselves.
    pub people: &'a People,
    /// How an agent of the company stands in a queue or ring group, for dry runs.
    pub presence: &'a dyn Fn(&LineId, &UserId) -> Presence,
    /// What is under way for an agent of the company, in all queues and ring groups.
    pub duty: &'a dyn Fn(&UserId) -> Duty,
    /// Drawn from the generator for each event; shares out calls.
    pub random: u32,
}

/// What is under way for an agent, in all queues and ring groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duty {
    /// The system has put the agent on pause, somewhere at least.
    pub auto_paused: bool,
    /// The system has put the agent on pause everywhere.
    pub auto_paused_everywhere: bool,
    /// Wraps up after a call.
    pub wraps_up: bool,
}

/// How an agent stands in a queue or ring group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Not logged in there.
    LoggedOut,
    /// No device registered and no mobile.
    Unreachable,
    /// On pause.
    Paused,
    /// In a call, being rung or in wrap-up.
    Busy,
    /// Would be rung.
    Ready,
}

/// The templates of a company that were asked for, laid out, with the configuration that they were read from.
type Tables = (Arc<Company>, BTreeMap<HoursId, Table>);

/// The states of all toggles, as told by [`Change::ToggleSet`], and what holds of opening hours under them.
#[derive(Clone, Debug, Default)]
pub struct Toggles {
    set: BTreeMap<(CompanyId, ToggleId), Set>,
    /// Made when a template is first asked for, and forgotten with the company's configuration.
    tables: RefCell<BTreeMap<CompanyId, Tables>>,
}

/// One toggle that was set at least once.
#[derive(Clone, Copy, Debug)]
struct Set {
    on: bool,
    until: Option<Timestamp>,
    at: Timestamp,
}

impl Toggles {
    /// Learns a fact; all but [`Change::ToggleSet`] are passed over.
    pub fn apply(&mut self, change: &Change) {
        let Change::ToggleSet { company, toggle, on, until, at, .. } = change else { return };
        self.set.insert((company.clone(), toggle.clone()), Set { on: *on, until: *until, at: *at });
    }

    /// Whether the toggle is on at `now`; one that was never set is off, and so is one whose time is over.
    pub fn is_on(&self, company: &CompanyId, toggle: &ToggleId, now: Timestamp) -> bool {
        self.state(company, toggle, now).is_some()
    }

    /// When the toggle, being on, goes off by itself.
    pub fn until(&self, company: &CompanyId, toggle: &ToggleId, now: Timestamp) -> Option<Timestamp> {
        self.state(company, toggle, now)?.until
    }

    /// Where calls to this number go instead, by hand: of several toggles that are on, the one set last.
    pub fn instead<'a>(
        &self,
        company: &'a Company,
        dialled: &Number,
        now: Timestamp,
    ) -> Option<(&'a ToggleId, &'a Destination)> {
        let bound = company.toggles.iter().filter_map(|(id, toggle)| {
            let to = toggle.to.as_ref().filter(|_| toggle.numbers.contains(dialled))?;
            Some((self.state(&company.id, id, now)?.at, id, to))
        });
        bound.max_by_key(|(at, ..)| *at).map(|(_, id, to)| (id, to))
    }

    /// What toggles say of these opening hours at `now`: of several that are on, the one set last.
    pub fn by_hand(&self, company: &Company, hours: &HoursId, now: Timestamp) -> Option<ByHand> {
        let (set, category) = company
            .toggles
            .iter()
            .filter_map(|(id, toggle)| {
                let (over, category) = toggle.overrides.as_ref()?;
                let set = self.state(&company.id, id, now)?;
                (over.is_empty() || over.contains(hours)).then_some((set, category))
            })
            .max_by_key(|(set, _)| set.at)?;
        Some(ByHand { category: category.clone(), until: set.until })
    }

    /// Forgets what was laid out for companies that are gone or changed.
    pub fn adopt(&mut self, config: &Config) {
        let same = |id: &CompanyId, of: &Arc<Company>| {
            config.companies.get(id).is_some_and(|company| Arc::ptr_eq(company, of))
        };
        self.tables.get_mut().retain(|id, (of, _)| same(id, of));
    }

    /// What holds of these opening hours, by hand or by the clock; `None` when there are none of that name.
    pub fn hours(&self, company: &Arc<Company>, id: &HoursId, now: Timestamp) -> Option<HoursState> {
        let template = company.hours.get(id)?;
        let by_hand = self.by_hand(company, id, now);
        let by_clock = || {
            let mut tables = self.tables.borrow_mut();
            let entry = tables.entry(company.id.clone());
            let (of, tables) = entry.or_insert_with(|| (company.clone(), BTreeMap::new()));
            if !Arc::ptr_eq(of, company) {
                *of = company.clone();
                tables.clear();
            }
            if tables.get(id).is_none_or(|table| table.is_old(now)) {
                tables.insert(id.clone(), Table::compile(template, id, &company.closures, now));
            }
            tables.get(id)?.at(now)
        };
        let state = if by_hand.is_none() { by_clock() } else { None };
        Some(state.unwrap_or_else(|| hours::state_at(template, id, &company.closures, by_hand.as_ref(), now)))
    }

    fn state(&self, company: &CompanyId, toggle: &ToggleId, now: Timestamp) -> Option<Set> {
        let set = *self.set.get(&(company.clone(), toggle.clone()))?;
        (set.on && set.until.is_none_or(|until| now < until)).then_some(set)
    }
}
