//! Reads queues, queue types and ring groups.
//!
//! A setting comes from the queue, else from the company's type, the operator's type of that id, the type of
//! that id that is built in, and at last from what every queue has.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::check::nearest;
use crate::model::flow::Destination;
use crate::model::id::GroupId;
use crate::model::id::HoursId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::QueueTypeId;
use crate::model::id::UserId;
use crate::model::queue::Announce;
use crate::model::queue::AutoPause;
use crate::model::queue::Callback;
use crate::model::queue::Confirm;
use crate::model::queue::Drain;
use crate::model::queue::HighTraffic;
use crate::model::queue::JoinPolicy;
use crate::model::queue::Membership;
use crate::model::queue::Misses;
use crate::model::queue::PositionPolicy;
use crate::model::queue::PreferLast;
use crate::model::queue::Present;
use crate::model::queue::Queue;
use crate::model::queue::Strategy;
use crate::model::queue::Target;
use crate::model::queue::Widening;
use crate::model::recording::Recording;
use crate::model::ring_group::RingGroup;
use crate::shell::store::files::contact;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::presented;
use crate::shell::store::files::read;
use crate::shell::store::files::read::HOUR;
use crate::shell::store::files::read::MINUTE;
use crate::shell::store::files::read::SECOND;
use crate::shell::store::files::server::RING;

const STRATEGIES: &[(&str, Strategy)] = &[
    ("ring-all", Strategy::RingAll),
    ("longest-idle", Strategy::LongestIdle),
    ("fewest-calls", Strategy::FewestCalls),
    ("round-robin", Strategy::RoundRobin),
    ("in-order", Strategy::InOrder),
    ("least-talk", Strategy::LeastTalk),
    ("random", Strategy::Random),
    ("weighted", Strategy::Weighted),
    ("widening", Strategy::Widening),
    ("pull", Strategy::Pull),
];

const JOINS: &[(&str, JoinPolicy)] = &[
    ("always", JoinPolicy::Always),
    ("when-logged-in", JoinPolicy::WhenLoggedIn),
    ("when-ready", JoinPolicy::WhenReady),
];

const ANNOUNCES: &[(&str, Announce)] = &[("position", Announce::Position), ("wait", Announce::Wait)];

const SCOPES: &[(&str, bool)] = &[("queue", false), ("agent", true)];

/// What may count as a missed call.
#[derive(Clone, Copy)]
enum Miss {
    NoAnswer,
    Rejected,
    Busy,
    Unreachable,
}

const MISSES: &[(&str, Miss)] = &[
    ("no_answer", Miss::NoAnswer),
    ("rejected", Miss::Rejected),
    ("busy", Miss::Busy),
    ("unreachable", Miss::Unreachable),
];

/// Of agents of whom nothing else is said.
const SKILL: u8 = 5;

const POSITIONS: &[(&str, PositionPolicy)] =
    &[("improving", PositionPolicy::Improving), ("always", PositionPolicy::Always)];

/// Declares what a queue type can set, with the operations every setting has.
macro_rules! settings {
    ($($field:ident: $type:ty,)*) => {
        /// What of a queue a type can set; `None` is left to what lies under it.
        #[derive(Clone, Default)]
        pub(super) struct Settings {
            $($field: Option<$type>,)*
        }

        impl Settings {
            /// Fills what is open from `under`.
            fn fill_from(&mut self, under: &Settings) {
                $(if self.$field.is_none() {
                    self.$field = under.$field.clone();
                })*
            }

            /// Puts what is set into `queue`.
            fn put_into(self, queue: &mut Queue) {
                $(if let Some(value) = self.$field {
                    queue.$field = value;
                })*
            }
        }
    };
}

settings! {
    auto_login: bool,
    strategy: Strategy,
    widening: Widening,
    tier_after: Option<Duration>,
    ring: Duration,
    retry_delay: Duration,
    reject_retry: Option<Duration>,
    busy_retry: Duration,
    unreachable_retry: Duration,
    wrap_up: Duration,
    wrap_up_extend: Duration,
    max_calls: usize,
    max_wait: Option<Duration>,
    join: JoinPolicy,
    count_paused: bool,
    leave_grace: Duration,
    hours: Option<HoursId>,
    drain: Drain,
    welcome: Option<Option<MediaId>>,
    music: Option<MediaId>,
    high_traffic: Option<HighTraffic>,
    comfort: Option<Option<MediaId>>,
    comfort_every: Duration,
    announce: Vec<Announce>,
    announce_every: Duration,
    position: PositionPolicy,
    callback: Option<Callback>,
    rejoin: Duration,
    prefer_last_agent: Option<PreferLast>,
    outbound_number: Option<Number>,
    priority: i32,
    ring_busy: bool,
    ignore_dnd: bool,
    follow_forward: bool,
    auto_pause: AutoPause,
    target: Option<Target>,
    present: Present,
    recording: Option<Recording>,
}

/// Queue types by id.
pub(super) type Types = BTreeMap<QueueTypeId, Settings>;

/// The types a company's queues can have.
pub(super) struct TypesOf<'a> {
    pub(super) own: &'a Types,
    pub(super) operator: &'a Types,
    /// Whether the operator's could be read.
    pub(super) sure: bool,
}

impl TypesOf<'_> {
    /// The settings of a type, from all that have its id; `None` when nobody has.
    fn find(&self, id: &str) -> Option<Settings> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == id).map(|(_, settings)| settings());
        let mut layers =
            [self.own.get(id).cloned(), self.operator.get(id).cloned(), built_in].into_iter().flatten();
        let mut settings = layers.next()?;
        layers.for_each(|under| settings.fill_from(&under));
        Some(settings)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let written = self.own.keys().chain(self.operator.keys()).map(QueueTypeId::as_str);
        written.chain(BUILT_IN.iter().map(|(name, _)| *name))
    }
}

/// An id, and what makes the settings.
type BuiltIn = (&'static str, fn() -> Settings);

/// The queue types there are without any file.
const BUILT_IN: [BuiltIn; 4] = [
    // Who has been ready longest rings next.
    ("standard", || Settings { strategy: Some(Strategy::LongestIdle), ..Settings::default() }),
    // All free agents ring at once.
    ("alle-ringer", || Settings { strategy: Some(Strategy::RingAll), ..Settings::default() }),
    // In the order listed; the next tier when a caller has waited.
    ("prioritert", || Settings {
        strategy: Some(Strategy::InOrder),
        tier_after: Some(Some(SECOND * 20)),
        ..Settings::default()
    }),
    // Attendants pick callers themselves; nobody is put on pause for not answering.
    ("sentralbord", || Settings {
        strategy: Some(Strategy::Pull),
        auto_pause: Some(AutoPause::OFF),
        ..Settings::default()
    }),
];

/// Reads `queue_types.toml`.
pub(super) fn operator_types(mut file: Table<'_>) -> Types {
    let types = types(file.take("queue_types"));
    file.finish();
    types
}

/// Reads `[queue_types]`.
pub(super) fn types(section: Option<Value<'_>>) -> Types {
    let mut types = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        types.insert(entry.key.into(), settings(&mut table));
        // Allowed, so that a type can say what it is for.
        table.text("name");
        table.finish();
    }
    types
}

/// Reads `[queues]`.
pub(super) fn queues(section: Option<Value<'_>>, types: &TypesOf<'_>) -> BTreeMap<QueueId, Queue> {
    let mut queues = BTreeMap::new();
    for (entry, table) in read::things(section) {
        queues.insert(entry.key.into(), queue(entry.key, table, types));
    }
    queues
}

fn queue(id: &str, mut table: Table<'_>, types: &TypesOf<'_>) -> Queue {
    let mut queue = default_queue(id);
    let mut own = settings(&mut table);
    if let Some(value) = table.take("type")
        && let Some(id) = value.text()
    {
        match types.find(id) {
            Some(under) => own.fill_from(&under),
            None if !types.sure => {}
            None => {
                let meant = nearest(id, types.names());
                let meant = meant.map_or(String::new(), |meant| format!(" – did you mean \"{meant}\"?"));
                value.error(format!("unknown queue type \"{id}\"{meant}"));
            }
        }
    }
    own.put_into(&mut queue);
    if let Some(name) = table.text("name") {
        queue.name = name;
    }
    queue.ext = table.take("ext").and_then(read::extension);
    queue.agents = table.take("agents").map(agents).unwrap_or_default();
    if let Some(mut keys) = table.take("keys").and_then(Value::table) {
        for entry in keys.take_all(|_| true) {
            match (read::telephone_key(entry.key), read::destination(entry.value)) {
                (Some(key), Some(to)) => {
                    queue.keys.insert(key, to);
                }
                (None, _) => {
                    entry.error(format!("\"{}\" is no key of a telephone: write 0–9, * or #", entry.key))
                }
                (Some(_), None) => {}
            }
        }
    }
    queue.overflow = exit(&mut table, "overflow");
    queue.timeout = exit(&mut table, "timeout");
    queue.full = exit(&mut table, "full");
    queue.nobody = exit(&mut table, "nobody");
    queue.all_paused = exit(&mut table, "all_paused");
    queue.no_answer = exit(&mut table, "no_answer");
    queue.rejected_by_all = exit(&mut table, "rejected_by_all");
    queue.callback_taken = exit(&mut table, "callback_taken");
    queue.gone = exit(&mut table, "gone");
    queue.closed = exit(&mut table, "closed");
    table.finish();
    queue
}

/// Where callers leave to; one that is wrong has been reported and ends the call.
fn exit(table: &mut Table<'_>, key: &'static str) -> Option<Destination> {
    table.take(key).map(|value| read::destination(value).unwrap_or(Destination::Hangup))
}

/// Agents, as a list, with tiers, or with more:
/// `{ sara = 1, kari = { tier = 2, skill = 7, auto_login = true, contacts = ["mobile"] } }`.
fn agents(value: Value<'_>) -> Vec<Membership> {
    if !value.is_table() {
        return read::references(value).into_iter().map(listed).collect();
    }
    let Some(mut table) = value.table() else {
        return Vec::new();
    };
    let entries = table.take_all(|_| true);
    entries.into_iter().map(|entry| membership(entry.key.into(), entry.value)).collect()
}

fn listed(user: UserId) -> Membership {
    Membership { user, tier: 1, skill: SKILL, auto_login: None, contacts: None }
}

fn membership(user: UserId, value: Value<'_>) -> Membership {
    let small = |n: i64| u8::try_from(n).ok();
    let mut membership = listed(user);
    if !value.is_table() {
        membership.tier = value.integer(1..=9).and_then(small).unwrap_or(1);
        return membership;
    }
    let Some(mut table) = value.table() else { return membership };
    membership.tier = table.integer("tier", 1..=9).and_then(small).unwrap_or(1);
    membership.skill = table.integer("skill", 0..=9).and_then(small).unwrap_or(SKILL);
    membership.auto_login = table.flag("auto_login");
    membership.contacts = table.take("contacts").map(contact::rules);
    table.finish();
    membership
}

/// Takes everything that a type can set.
fn settings(table: &mut Table<'_>) -> Settings {
    let mut length = |key: &'static str, from: Duration, to: Duration| {
        table.take(key).and_then(|value| read::duration(value, from..=to))
    };
    let none = Duration::ZERO;
    let mut settings = Settings {
        ring: length("ring", SECOND * 5, MINUTE * 2),
        retry_delay: length("retry_delay", none, MINUTE),
        busy_retry: length("busy_retry", none, MINUTE * 10),
        unreachable_retry: length("unreachable_retry", none, MINUTE * 10),
        wrap_up: length("wrap_up", none, MINUTE * 30),
        wrap_up_extend: length("wrap_up_extend", SECOND * 5, MINUTE * 30),
        rejoin: length("rejoin", none, MINUTE * 30),
        leave_grace: length("leave_grace", none, MINUTE * 10),
        comfort_every: length("comfort_every", SECOND * 15, MINUTE * 10),
        announce_every: length("announce_every", SECOND * 15, MINUTE * 10),
        ..Settings::default()
    };
    let never = |value: Value<'_>, from: Duration, to: Duration| read::duration_or_never(value, from..=to);
    settings.tier_after = table.take("tier_after").and_then(|value| never(value, none, HOUR));
    settings.reject_retry = table.take("reject_retry").and_then(|value| never(value, none, HOUR));
    settings.widening = table.take("widening").and_then(widening);
    settings.max_wait = table.take("max_wait").and_then(|value| never(value, SECOND * 10, HOUR * 4));
    settings.auto_login = table.flag("auto_login");
    settings.strategy = table.word("strategy", STRATEGIES);
    settings.max_calls = table.integer("max_calls", 0..=1_000).and_then(|most| usize::try_from(most).ok());
    settings.join = table.word("join", JOINS);
    settings.count_paused = table.flag("count_paused");
    settings.hours = table.take("hours").and_then(read::reference).map(Some);
    settings.drain = table.take("drain").and_then(drain);
    settings.welcome = table.take("welcome").and_then(media_or_silence);
    settings.music = table.take("music").and_then(read::reference).map(Some);
    settings.comfort = table.take("comfort").and_then(media_or_silence);
    settings.announce = table.take("announce").map(announce);
    settings.position = table.word("position", POSITIONS);
    settings.high_traffic = table.take("high_traffic").and_then(high_traffic);
    settings.callback = table.take("callback").and_then(callback);
    settings.prefer_last_agent = table.take("prefer_last_agent").and_then(prefer_last);
    settings.outbound_number = table.take("outbound_number").and_then(read::public_number).map(Some);
    settings.ignore_dnd = table.flag("ignore_dnd");
    settings.follow_forward = table.flag("follow_forward");
    settings.priority = table.integer("priority", 1..=10).and_then(|priority| i32::try_from(priority).ok());
    settings.ring_busy = table.flag("ring_busy");
    settings.auto_pause = table.take("auto_pause").and_then(auto_pause);
    settings.target = table.take("target").and_then(target).map(Some);
    settings.present = table.take("present").and_then(present);
    settings.recording = table.word("recording", read::RECORDINGS).map(Some);
    settings
}

fn announce(value: Value<'_>) -> Vec<Announce> {
    if value.as_flag() == Some(false) {
        return Vec::new();
    }
    value.one_or_more().into_iter().filter_map(|value| value.word(ANNOUNCES)).collect()
}

/// A recording; `true` is the system's, `false` is silence.
fn media_or_silence(value: Value<'_>) -> Option<Option<Option<MediaId>>> {
    match value.as_flag() {
        Some(true) => Some(None),
        Some(false) => Some(Some(None)),
        None => read::reference(value).map(|id| Some(Some(id))),
    }
}

/// What callers do when the hours end: `"finish"`, `"exit-now"`, or `{ after = "5m" }`.
fn drain(value: Value<'_>) -> Option<Drain> {
    if !value.is_table() {
        return value.word(&[("finish", Drain::Finish), ("exit-now", Drain::ExitNow)]);
    }
    let mut table = value.table()?;
    let after = table.take("after").and_then(|value| read::duration(value, Duration::ZERO..=HOUR * 4));
    table.finish();
    after.map(Drain::ExitAfter)
}

/// `{ after = 3, on = ["no_answer"], scope = "queue", return_after = "never" }`, or `false` for never.
fn auto_pause(value: Value<'_>) -> Option<AutoPause> {
    match value.as_flag() {
        Some(true) => return Some(AutoPause::default()),
        Some(false) => return Some(AutoPause::OFF),
        None => {}
    }
    let mut table = value.table()?;
    let mut pause = AutoPause::default();
    if let Some(after) = table.integer("after", 0..=100).and_then(|after| u32::try_from(after).ok()) {
        pause.after = after;
    }
    if let Some(on) = table.take("on") {
        pause.on = Misses { no_answer: false, ..Misses::NO_ANSWER };
        for miss in on.one_or_more() {
            match miss.word(MISSES) {
                Some(Miss::NoAnswer) => pause.on.no_answer = true,
                Some(Miss::Rejected) => pause.on.rejected = true,
                Some(Miss::Busy) => pause.on.busy = true,
                Some(Miss::Unreachable) => pause.on.unreachable = true,
                None => {}
            }
        }
    }
    pause.everywhere = table.word("scope", SCOPES).unwrap_or(false);
    let back = |value: Value<'_>| read::duration_or_never(value, SECOND * 10..=HOUR * 24);
    pause.return_after = table.take("return_after").and_then(back).flatten();
    table.finish();
    Some(pause)
}

/// `{ start = 1, add = 1, every = "10s" }`.
fn widening(value: Value<'_>) -> Option<Widening> {
    let mut table = value.table()?;
    let usual = Widening::default();
    let mut count = |key| table.integer(key, 1..=100).and_then(|n| u32::try_from(n).ok());
    let (start, add) = (count("start"), count("add"));
    let every = table.take("every").and_then(|value| read::duration(value, SECOND..=HOUR));
    table.finish();
    Some(Widening {
        start: start.unwrap_or(usual.start),
        add: add.unwrap_or(usual.add),
        every: every.unwrap_or(usual.every),
    })
}

/// `true`, `false`, or `{ key = "1", offer_after = "60s", … }`.
fn callback(value: Value<'_>) -> Option<Option<Callback>> {
    match value.as_flag() {
        Some(true) => return Some(Some(Callback::default())),
        Some(false) => return Some(None),
        None => {}
    }
    let mut table = value.table()?;
    let mut callback = Callback::default();
    if let Some(value) = table.take("key")
        && let Some(text) = value.text()
    {
        match read::telephone_key(text) {
            Some(key) => callback.key = key,
            None => value.error(format!("\"{text}\" is no key of a telephone: write 0–9, * or #")),
        }
    }
    let mut length = |key: &'static str, to: Duration| {
        table.take(key).and_then(|value| read::duration(value, Duration::ZERO..=to))
    };
    let (offer_after, retry) = (length("offer_after", HOUR), length("retry", HOUR * 24));
    callback.offer_after = offer_after.unwrap_or(callback.offer_after);
    callback.retry = retry.unwrap_or(callback.retry);
    let mut count = |key, to| table.integer(key, 1..=to).and_then(|n| u32::try_from(n).ok());
    callback.min_position = count("min_position", 1_000).unwrap_or(callback.min_position);
    callback.attempts = count("attempts", 10).unwrap_or(callback.attempts);
    callback.within_hours = table.flag("within_hours").unwrap_or(callback.within_hours);
    table.finish();
    Some(Some(callback))
}

/// `{ within = "7d", wait = "15s" }`, or `true` for these and `false` for not.
fn prefer_last(value: Value<'_>) -> Option<Option<PreferLast>> {
    let usual = PreferLast { within: HOUR * 24 * 7, wait: SECOND * 15 };
    match value.as_flag() {
        Some(true) => return Some(Some(usual)),
        Some(false) => return Some(None),
        None => {}
    }
    let mut table = value.table()?;
    let within = table.take("within").and_then(|value| read::duration(value, MINUTE..=HOUR * 24 * 90));
    let wait = table.take("wait").and_then(|value| read::duration(value, Duration::ZERO..=MINUTE * 10));
    table.finish();
    Some(Some(PreferLast { within: within.unwrap_or(usual.within), wait: wait.unwrap_or(usual.wait) }))
}

/// `{ waiting = 5, wait = "5m", play = "stor-pagang" }`, or `false` for never.
fn high_traffic(value: Value<'_>) -> Option<Option<HighTraffic>> {
    if value.as_flag() == Some(false) {
        return Some(None);
    }
    let mut table = value.table()?;
    let play = table.take("play").and_then(read::reference);
    let waiting = table.integer("waiting", 1..=1_000).and_then(|n| u32::try_from(n).ok());
    let wait = table.take("wait").and_then(|value| read::duration(value, MINUTE..=HOUR * 4));
    table.finish();
    if waiting.is_none() && wait.is_none() {
        value.error("say when there is much to do: waiting = 5, wait = \"5m\", or both");
    }
    Some(Some(HighTraffic { play, waiting, wait }))
}

fn target(value: Value<'_>) -> Option<Target> {
    let mut table = value.table()?;
    let percent = table.integer("percent", 1..=100).and_then(|percent| u8::try_from(percent).ok());
    let within = table.take("within").and_then(|value| read::duration(value, SECOND..=HOUR));
    table.finish();
    Some(Target { percent: percent.unwrap_or(80), within: within.unwrap_or(SECOND * 20) })
}

fn present(value: Value<'_>) -> Option<Present> {
    let mut table = value.table()?;
    let mut present = default_present();
    if let Some(value) = table.take("name")
        && let Some(name) = value.text()
    {
        if name.chars().count() > 64 {
            value.error("the name shown has at most 64 characters");
        } else if presented::is_template(value, name) {
            present.name = name.into();
        }
    }
    present.spoken = table.take("spoken").and_then(read::reference);
    present.headers = table.take("headers").map(presented::headers).unwrap_or_default();
    present.caller_number = table.word("number", &[("caller", true), ("queue", false)]).unwrap_or(true);
    present.alert = table.text("alert");
    present.auto_answer = table.flag("auto_answer").unwrap_or(false);
    present.whisper = table.take("whisper").and_then(presented::whisper);
    present.confirm = table.take("confirm").and_then(confirm).unwrap_or_default();
    table.finish();
    Some(present)
}

/// Whether a key must be pressed: `true`, `false`, `"auto"`, `"always"`, `"never"`.
pub(super) fn confirm(value: Value<'_>) -> Option<Confirm> {
    match value.as_flag() {
        Some(true) => Some(Confirm::Always),
        Some(false) => Some(Confirm::Never),
        None => {
            value.word(&[("auto", Confirm::Auto), ("always", Confirm::Always), ("never", Confirm::Never)])
        }
    }
}

/// Reads `[groups]`.
pub(super) fn groups(section: Option<Value<'_>>) -> BTreeMap<GroupId, RingGroup> {
    let mut groups = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let ring = table.take("ring").and_then(|value| read::duration(value, SECOND * 5..=MINUTE * 5));
        let overflow = exit(&mut table, "overflow");
        let group = RingGroup {
            name: table.text("name").unwrap_or_else(|| entry.key.into()),
            ext: table.take("ext").and_then(read::extension),
            members: table.take("members").map(read::references).unwrap_or_default(),
            strategy: table.take("strategy").and_then(group_strategy).unwrap_or(Strategy::RingAll),
            ring: ring.unwrap_or(RING),
            no_answer: exit(&mut table, "no_answer").or(overflow),
            busy: exit(&mut table, "busy"),
            nobody: exit(&mut table, "nobody"),
            auto_login: table.flag("auto_login").unwrap_or(true),
            pickup_group: table.text("pickup_group"),
        };
        table.finish();
        groups.insert(entry.key.into(), group);
    }
    groups
}

/// A group rings somebody, so it cannot be one from which callers are picked.
fn group_strategy(value: Value<'_>) -> Option<Strategy> {
    let strategy = value.word(STRATEGIES)?;
    if strategy == Strategy::Pull {
        value.error(
            "nobody waits in a ring group, so nobody can be picked: write a queue with strategy = \"pull\"",
        );
        return None;
    }
    Some(strategy)
}

fn default_present() -> Present {
    Present {
        name: "{queue}: {caller}".into(),
        spoken: None,
        headers: Vec::new(),
        caller_number: true,
        alert: None,
        auto_answer: false,
        whisper: None,
        confirm: Confirm::Auto,
    }
}

/// A queue of which nothing is said.
fn default_queue(id: &str) -> Queue {
    Queue {
        name: id.into(),
        ext: None,
        agents: Vec::new(),
        auto_login: false,
        strategy: Strategy::LongestIdle,
        widening: Widening::default(),
        tier_after: Some(SECOND * 20),
        ring: RING,
        retry_delay: SECOND * 2,
        reject_retry: Some(MINUTE),
        busy_retry: SECOND * 30,
        unreachable_retry: SECOND * 30,
        wrap_up: Duration::ZERO,
        wrap_up_extend: SECOND * 30,
        max_calls: 20,
        max_wait: Some(MINUTE * 10),
        join: JoinPolicy::WhenLoggedIn,
        count_paused: false,
        leave_grace: SECOND * 10,
        hours: None,
        drain: Drain::Finish,
        welcome: None,
        music: None,
        high_traffic: None,
        comfort: None,
        comfort_every: SECOND * 45,
        announce: Vec::new(),
        announce_every: SECOND * 45,
        position: PositionPolicy::Improving,
        keys: BTreeMap::new(),
        callback: None,
        rejoin: Duration::ZERO,
        prefer_last_agent: None,
        outbound_number: None,
        priority: 5,
        ring_busy: false,
        ignore_dnd: false,
        follow_forward: false,
        auto_pause: AutoPause::default(),
        target: None,
        present: default_present(),
        recording: None,
        overflow: None,
        timeout: None,
        full: None,
        nobody: None,
        all_paused: None,
        no_answer: None,
        rejected_by_all: None,
        callback_taken: None,
        gone: None,
        closed: None,
    }
}
