//! Call flows (anropsstyring): named steps and where they lead.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::hours::Category;
use crate::model::id::FlowId;
use crate::model::id::GroupId;
use crate::model::id::HoursId;
use crate::model::id::LineId;
use crate::model::id::MailboxId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::RoomId;
use crate::model::id::StepId;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::queue::Confirm;
use crate::model::server::Language;

/// Where a call can be sent: `kind:id` in the configuration, and wherever it is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Destination {
    /// `user:kari`
    User(UserId),
    /// `group:lager`
    Group(GroupId),
    /// `queue:salg`
    Queue(QueueId),
    /// `flow:hovednummer`
    Flow(FlowId),
    /// `voicemail:felles`
    Voicemail(MailboxId),
    /// `phone:+4736000299`
    Phone(Number),
    /// `room:styret`
    Room(RoomId),
    /// `hangup`
    Hangup,
}

impl Destination {
    /// What stands before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Destination::User(_) => "user",
            Destination::Group(_) => "group",
            Destination::Queue(_) => "queue",
            Destination::Flow(_) => "flow",
            Destination::Voicemail(_) => "voicemail",
            Destination::Phone(_) => "phone",
            Destination::Room(_) => "room",
            Destination::Hangup => "hangup",
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::User(id) => write!(f, "user:{id}"),
            Destination::Group(id) => write!(f, "group:{id}"),
            Destination::Queue(id) => write!(f, "queue:{id}"),
            Destination::Flow(id) => write!(f, "flow:{id}"),
            Destination::Voicemail(id) => write!(f, "voicemail:{id}"),
            Destination::Phone(number) => write!(f, "phone:{number}"),
            Destination::Room(id) => write!(f, "room:{id}"),
            Destination::Hangup => f.write_str("hangup"),
        }
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> String {
        destination.to_string()
    }
}

impl TryFrom<String> for Destination {
    type Error = NoDestination;

    fn try_from(text: String) -> Result<Destination, NoDestination> {
        match text.split_once(':') {
            Some(("user", id)) => Ok(Destination::User(id.into())),
            Some(("group", id)) => Ok(Destination::Group(id.into())),
            Some(("queue", id)) => Ok(Destination::Queue(id.into())),
            Some(("flow", id)) => Ok(Destination::Flow(id.into())),
            Some(("voicemail", id)) => Ok(Destination::Voicemail(id.into())),
            Some(("phone", number)) => Ok(Destination::Phone(Number::new(number))),
            Some(("room", id)) => Ok(Destination::Room(id.into())),
            None if text == "hangup" => Ok(Destination::Hangup),
            Some(_) | None => Err(NoDestination),
        }
    }
}

/// A text that is no `kind:id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no destination: write kind:id, such as user:kari or phone:+4736000299")]
pub struct NoDestination;

/// Where a step leads: a step of the same flow, or out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// A bare word.
    Step(StepId),
    /// `kind:id`, or `hangup`.
    To(Destination),
}

impl Exit {
    /// The step's name, or the kind of destination.
    pub fn name(&self) -> &str {
        match self {
            Exit::Step(step) => step.as_str(),
            Exit::To(to) => to.kind(),
        }
    }
}

/// A call flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Shown.
    pub name: Arc<str>,
    /// First step; exists.
    pub start: StepId,
    /// All steps.
    pub steps: BTreeMap<StepId, Step>,
}

/// One step: its verb and what the verb needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Opening hours.
    Hours {
        /// Which template.
        hours: HoursId,
        /// By category. `open` and `closed` are always there; others fall back to `closed`.
        exits: BTreeMap<Category, Exit>,
    },
    /// Plays recordings.
    Play {
        /// In order.
        media: Vec<Played>,
        /// How many times.
        repeat: u32,
        /// A key stops it.
        barge_in: bool,
        /// As 183, before the call is answered.
        early_media: bool,
        /// Afterwards.
        next: Exit,
        /// With `barge_in`.
        keys: BTreeMap<char, Exit>,
    },
    /// Asks for a key.
    Menu {
        /// Played first.
        media: MediaId,
        /// From the end of the prompt.
        wait: Duration,
        /// Prompts at most, the first included; shared by silence and wrong keys.
        tries: u32,
        /// Before the next try; none is the system's `menu/invalid`.
        invalid_play: Option<MediaId>,
        /// The caller may dial an extension.
        extensions: bool,
        /// Between two digits of an extension.
        inter_digit: Duration,
        /// By key.
        keys: BTreeMap<char, Exit>,
        /// When tries are used up in silence; none hangs up.
        timeout: Option<Exit>,
        /// When tries are used up on a wrong key; none is as timeout.
        invalid: Option<Exit>,
    },
    /// Asks who calls.
    Caller {
        /// Any of them.
        matches: Vec<CallerMatch>,
        /// Some matches.
        matched: Exit,
        /// None does.
        otherwise: Exit,
    },
    /// Asks a toggle.
    Toggle {
        /// Which.
        toggle: ToggleId,
        /// It is on.
        on: Exit,
        /// It is off.
        off: Exit,
    },
    /// Waits in a queue. Exits not written are the queue's own.
    Queue {
        /// Which.
        queue: QueueId,
        /// Of this caller, instead of the queue's.
        priority: Option<i32>,
        /// Keeps the time already waited in another queue.
        carry_wait: bool,
        /// By name: `timeout full nobody closed exit`.
        exits: BTreeMap<Arc<str>, Exit>,
        /// Keys while waiting.
        keys: BTreeMap<char, Exit>,
    },
    /// Rings a group.
    Group {
        /// Which.
        group: GroupId,
        /// Instead of the group's ring time.
        ring: Option<Duration>,
        /// By name: `no_answer busy nobody`; those not written are the group's own.
        exits: BTreeMap<Arc<str>, Exit>,
    },
    /// Rings users and numbers at once.
    Dial {
        /// Users and phones.
        to: Vec<Destination>,
        /// How long.
        ring: Duration,
        /// Press 1 to take the call.
        confirm: Confirm,
        /// Which number is shown.
        show: Show,
        /// The users' own forwarding holds.
        forwarding: bool,
        /// By name: `no_answer busy unavailable`.
        exits: BTreeMap<Arc<str>, Exit>,
    },
    /// Takes a message.
    Voicemail {
        /// Where.
        mailbox: MailboxId,
        /// Instead of the box's.
        greeting: Option<MediaId>,
        /// Longest message.
        max: Duration,
        /// Shorter ones are thrown away.
        min: Duration,
        /// Afterwards.
        next: Exit,
        /// No room; none plays `vm/mailbox-full` and hangs up.
        full: Option<Exit>,
    },
    /// Collects digits.
    Collect {
        /// Played first.
        media: MediaId,
        /// How many at most.
        digits: u32,
        /// Ends early.
        end: Option<char>,
        /// What they must be.
        check: Option<Check>,
        /// Name of the tag they become.
        tag: Arc<str>,
        /// By name: `ok invalid timeout`.
        exits: BTreeMap<Arc<str>, Exit>,
    },
    /// Name search by keys; who is chosen is rung.
    Directory {
        /// Played first.
        media: MediaId,
        /// Letters before the first search.
        letters: u32,
        /// Only agents and members of these queues and groups; empty is everybody who is listed.
        scope: Vec<LineId>,
        /// Nobody found or chosen after three tries; none hangs up.
        none: Option<Exit>,
    },
    /// Asks for consent to recording.
    Consent {
        /// Played first.
        media: MediaId,
        /// Key for yes.
        yes: char,
        /// Key for no.
        no: char,
        /// Yes.
        accepted: Exit,
        /// No, or silence.
        declined: Exit,
    },
    /// Asks another system.
    Ask {
        /// URL or webhook id.
        what: Arc<str>,
        /// How long to wait.
        timeout: Duration,
        /// By the answer's name; `error` is always there.
        exits: BTreeMap<Arc<str>, Exit>,
    },
    /// Sets facts of the call.
    Set {
        /// Shown name.
        name: Option<Arc<str>>,
        /// Language of prompts.
        language: Option<Language>,
        /// In queues.
        priority: Option<i32>,
        /// Kept with the call record.
        tag: Option<Arc<str>>,
        /// Afterwards.
        next: Exit,
    },
    /// Shares calls by weight.
    Split {
        /// Branch (an exit: step or destination) and weight.
        branches: Vec<(Exit, u32)>,
    },
    /// Sends the caller a text message, if that is a mobile, and goes on at once.
    Sms {
        /// What it says.
        text: Arc<str>,
        /// Afterwards.
        next: Exit,
    },
    /// Another flow, and back.
    Flow {
        /// Which.
        flow: FlowId,
        /// When it comes to an end of its own.
        next: Exit,
    },
    /// Ends the call.
    Hangup {
        /// How.
        cause: HangupCause,
        /// Played first.
        play: Option<MediaId>,
    },
}

impl Step {
    /// Its verb, as written in the configuration.
    pub fn verb(&self) -> &'static str {
        match self {
            Step::Hours { .. } => "hours",
            Step::Play { .. } => "play",
            Step::Menu { .. } => "menu",
            Step::Caller { .. } => "caller",
            Step::Toggle { .. } => "toggle",
            Step::Queue { .. } => "queue",
            Step::Group { .. } => "group",
            Step::Dial { .. } => "dial",
            Step::Voicemail { .. } => "voicemail",
            Step::Collect { .. } => "collect",
            Step::Directory { .. } => "directory",
            Step::Consent { .. } => "consent",
            Step::Ask { .. } => "ask",
            Step::Set { .. } => "set",
            Step::Split { .. } => "split",
            Step::Sms { .. } => "sms",
            Step::Flow { .. } => "flow",
            Step::Hangup { .. } => "hangup",
        }
    }

    /// The exits by the key they are written under; the branches of a `split` by where they lead.
    pub fn exits(&self) -> Vec<(String, &Exit)> {
        fn named<K: fmt::Display>(exits: &BTreeMap<K, Exit>) -> impl Iterator<Item = (String, &Exit)> {
            exits.iter().map(|(name, exit)| (name.to_string(), exit))
        }
        fn one<'a>(name: &str, exit: &'a Exit) -> (String, &'a Exit) {
            (name.to_owned(), exit)
        }
        match self {
            Step::Hours { exits, .. } => named(exits).collect(),
            Step::Play { next, keys, .. } => named(keys).chain([one("next", next)]).collect(),
            Step::Menu { keys, timeout, invalid, .. } => {
                let timeout = timeout.iter().map(|exit| one("timeout", exit));
                named(keys).chain(timeout).chain(invalid.iter().map(|exit| one("invalid", exit))).collect()
            }
            Step::Caller { matched, otherwise, .. } => vec![one("match", matched), one("else", otherwise)],
            Step::Toggle { on, off, .. } => vec![one("on", on), one("off", off)],
            Step::Queue { exits, keys, .. } => named(exits).chain(named(keys)).collect(),
            Step::Group { exits, .. }
            | Step::Dial { exits, .. }
            | Step::Collect { exits, .. }
            | Step::Ask { exits, .. } => named(exits).collect(),
            Step::Voicemail { next, full, .. } => {
                [one("next", next)].into_iter().chain(full.iter().map(|exit| one("full", exit))).collect()
            }
            Step::Directory { none, .. } => none.iter().map(|exit| one("none", exit)).collect(),
            Step::Consent { accepted, declined, .. } => {
                vec![one("accepted", accepted), one("declined", declined)]
            }
            Step::Set { next, .. } | Step::Sms { next, .. } | Step::Flow { next, .. } => {
                vec![one("next", next)]
            }
            Step::Split { branches } => {
                branches.iter().map(|(exit, _)| (exit.name().to_owned(), exit)).collect()
            }
            Step::Hangup { .. } => Vec::new(),
        }
    }
}

/// One condition of the `caller` verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerMatch {
    /// A number or prefix.
    Prefix(Number),
    /// No number was shown.
    Hidden,
    /// On a list of the company.
    Contacts(Arc<str>),
    /// `abroad`: a number of another country.
    Abroad,
    /// `mobile`: a Norwegian mobile number.
    Mobile,
    /// `language:en`: of the call, which a `set` step may have changed.
    Language(Language),
    /// `dialled:+47…`: what the caller dialled.
    Dialled(Number),
    /// `tag:kundetype=vip`: a tag that a step before has set; without a value, any.
    Tag {
        /// Its name.
        name: Arc<str>,
        /// What it must be.
        value: Option<Arc<str>>,
    },
}

/// What a `play` step plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Played {
    /// A recording of the company.
    Media(MediaId),
    /// `reopens:kontor`: "we open again on Monday at eight"; nothing while these hours are open, or never are.
    Reopens(HoursId),
}

/// Which number a dialled party sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// The caller's own.
    Caller,
    /// The company's.
    Company,
    /// This one.
    Number(Number),
}

/// What collected digits must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A Norwegian organisation number (nine digits, modulus 11).
    Orgnr,
    /// A telephone number.
    Phone,
    /// A pattern of the form `[0-9]{4,6}`: digits with a count.
    Digits {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
    /// Any other regular expression, for all that was keyed in.
    Pattern(Pattern),
}

/// A regular expression that keyed-in digits are held against, as a whole.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    compiled: regex::Regex,
}

impl Pattern {
    /// What a compiled expression may take, in bytes. There is room for thousands of alternatives; repetitions of
    /// repetitions find none.
    const SIZE_MAX: usize = 64 * 1024;

    /// Compiles an expression.
    ///
    /// # Errors
    /// In one line what is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        let compile = |text: &str| {
            regex::RegexBuilder::new(text)
                .size_limit(Pattern::SIZE_MAX)
                .dfa_size_limit(Pattern::SIZE_MAX)
                .build()
        };
        // By itself first: a bracket that closes what the text has not opened must not close ours.
        match compile(text).and_then(|_| compile(&format!("^(?:{text})$"))) {
            Ok(compiled) => Ok(Pattern { text: text.into(), compiled }),
            Err(regex::Error::CompiledTooBig(_)) => Err("it is too large: repeat less".to_owned()),
            Err(error) => {
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default();
                Err(last.trim_start_matches("error: ").to_owned())
            }
        }
    }

    /// Whether all of `digits` is what the expression says.
    pub fn holds(&self, digits: &str) -> bool {
        self.compiled.is_match(digits)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// How a call is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangupCause {
    /// BYE, or 480 before the call is answered.
    Normal,
    /// 486.
    Busy,
    /// 603.
    Reject,
    /// This final SIP status (400–699).
    Status(u16),
}
