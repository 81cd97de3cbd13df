//! The softswitch: one value, owned by one thread, that is given inputs with the time and hands out outputs.
//!
//! [`Switch::handle_input`] is the only way in. It hands SIP to the endpoint, looks at the events that come out,
//! lets calls run their programs and queues, and leaves what must be done in the order in which it must be done:
//! facts and media commands of one input come before the datagrams that promise them.

mod act;
mod admission;
pub mod asking;
mod audio;
mod audit;
mod auto_paused;
mod backoff;
mod boundary;
pub(crate) mod bounded;
mod bridge;
mod busy_callback;
mod calendar;
mod call;
mod call_recording;
mod callback;
mod channels;
mod charges;
mod check_sync;
mod circuit;
mod click_to_answer;
pub mod conference;
mod confirm;
mod consult;
mod contacts;
mod dial;
pub mod diversion;
mod event;
pub mod explain;
pub mod figures;
pub mod flow;
mod format;
mod gate;
pub mod greeting;
pub mod gruu;
pub mod guard;
mod header_rules;
mod health;
pub mod holidays;
pub mod hot_desk;
pub mod hours;
mod hunt;
pub mod identity;
mod in_line;
mod inbox;
mod intercom;
mod keys;
mod late;
mod ledger;
mod leg;
pub mod letter;
mod location;
pub mod mailbox;
pub mod mailboxes;
mod mix;
pub mod negotiate;
mod on_change;
mod on_command;
mod on_media;
mod on_sip;
mod one_way;
mod originate;
mod outbound;
mod outgoing;
mod overload;
mod pager;
mod park;
mod parties;
pub mod pausing;
mod peers;
pub mod people;
pub mod periods;
pub mod personal;
mod pickup;
mod ports;
mod presentation;
mod pressed;
mod publish;
pub mod queue;
mod reach;
mod reaches;
mod reasons;
mod recent;
mod record_announce;
pub mod record_prompt;
mod recording;
mod redirect;
mod registrar;
mod renegotiate;
pub mod returns;
pub mod route;
pub mod say;
mod screen;
pub mod secrecy;
mod segments;
pub mod service;
pub mod service_number;
mod spared;
pub mod spending;
pub mod star;
mod steps;
mod subscriptions;
pub mod supervise;
mod switchboard;
mod take_over;
mod three_way;
mod toggles;
mod toggling;
mod transfer;
mod trunks;
mod waking;
mod watch;
mod watchdog;
pub mod webrtc;
mod whisper;
pub mod why;
mod why_not;
pub mod wish;
mod wrong_pins;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::media::ClipName;
use crate::media::Codec;
use crate::media::RecordId;
use crate::media::StreamId;
use crate::media::dtls::Fingerprint;
use crate::model::Config;
use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::LineKey;
use crate::model::id::NodeId;
use crate::model::id::ToggleId;
use crate::model::id::TrunkId;
use crate::model::id::UserKey;
use crate::model::prompt::PromptKey;
use crate::model::server::Language;
use crate::rand::Rng;
use crate::sip;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::TransactionId;
use crate::sip::digest::Nonces;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::Settings;
pub use crate::switch::boundary::Answer;
pub use crate::switch::boundary::Ask;
pub use crate::switch::boundary::AskId;
pub use crate::switch::boundary::CommandId;
pub use crate::switch::boundary::Input;
pub use crate::switch::boundary::Output;
use crate::switch::call::Call;
use crate::switch::channels::Channels;
use crate::switch::circuit::Circuits;
use crate::switch::conference::Conferences;
use crate::switch::dial::AttemptId;
use crate::switch::flow::action::Toggles;
use crate::switch::gruu::Gruus;
use crate::switch::guard::Guard;
use crate::switch::health::Address;
use crate::switch::inbox::MissedCalls;
use crate::switch::keys::Keying;
use crate::switch::ledger::Ledger;
use crate::switch::leg::Leg;
use crate::switch::location::Aor;
use crate::switch::location::Location;
use crate::switch::mailboxes::Mailboxes;
use crate::switch::mix::Mixed;
use crate::switch::overload::Overload;
use crate::switch::pager::Pager;
use crate::switch::peers::Peers;
use crate::switch::people::Between;
use crate::switch::personal::People;
use crate::switch::ports::Ports;
use crate::switch::publish::Publications;
use crate::switch::queue::OfferId;
use crate::switch::queue::Queues;
use crate::switch::recording::PendingRecording;
use crate::switch::service_number::WrongPins;
use crate::switch::spending::Spending;
use crate::switch::subscriptions::Subscriptions;
use crate::switch::trunks::TrunkState;
use crate::switch::watchdog::Watchdog;
use crate::switch::whisper::Whispering;
use crate::time::Now;
use crate::time::Timers;
use crate::time::Timestamp;
use crate::time::earliest;

/// Requests of ours and of others that are served; also the Allow header.
pub const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, PRACK, UPDATE, INFO, REFER, SUBSCRIBE, NOTIFY, PUBLISH, MESSAGE";

/// What an answer of the shell is for.
#[derive(Clone, Debug)]
enum Asked {
    Trunk(TrunkId),
    Clip(CallId),
    Posted { url: Arc<str>, of: asking::For },
    Nothing,
}

/// Deadlines of the switch itself; those of SIP, queues and bindings are kept where they belong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    /// A program's only timer.
    Program(CallId),
    /// The ring time of an attempt.
    Attempt(CallId, AttemptId),
    /// Who answered has not pressed 1.
    Confirm(LegId),
    /// No further key of a feature came.
    Keys(LegId),
    /// The program of a call that was put through begins.
    GoOn(CallId),
    /// A whisper has lasted long enough.
    Whisper(LegId),
    /// The parties of a call have not heard to the end that it is recorded.
    Announced(CallId),
    /// A contact's delay within an attempt is over.
    Contact(CallId, AttemptId),
    /// Apps have had long enough to wake.
    Waking,
    /// A contact has rung as long as it may.
    RangOut(LegId),
    /// A toggle goes off by itself.
    Toggle(CompanyId, ToggleId),
    /// A queue's hours change.
    LineHours(LineKey),
    /// A carrier's address is looked up again.
    Resolve(TrunkId),
    /// A registration at a carrier wants attention.
    Trunk(TrunkId),
    /// A carrier's addresses are asked whether they live.
    Health(TrunkId),
    /// A gateway has said nothing about the callee.
    PostDial(LegId),
    /// A subscription ends.
    Subscription(DialogId),
    /// A subscription may be told again.
    Notify(DialogId),
    /// Somebody's absence, or do not disturb, ends.
    Personal(UserKey),
    /// A publication of a user ends.
    Publication(UserKey),
    /// A pager message has waited for its receivers long enough.
    Message(TransactionId),
    /// Holidays are looked for that are coming.
    Calendar,
    /// Invariants are audited.
    Audit,
    /// Old voicemail is deleted.
    OldMessages,
    /// Running calls to the outside are charged.
    Charge,
    /// Something between people.
    People(people::Deadline),
}

/// The softswitch.
pub struct Switch {
    config: Arc<Config>,
    rng: Rng,
    endpoint: Endpoint,
    nonces: Nonces,
    /// The password of names that do not exist, so that they are as wrong as others in every way.
    decoy: Arc<str>,
    guard: Guard,
    overload: Overload,
    spending: Spending,
    alarms: VecDeque<(Timestamp, String)>,
    location: Location,
    gruus: Gruus,
    peers: Peers,
    /// Devices by user, and users by device; made anew with each configuration.
    devices: HashMap<UserKey, Vec<Aor>>,
    /// Passwords that the switch made for devices without one.
    passwords: HashMap<Aor, Arc<str>>,
    queues: Queues,
    mailboxes: Mailboxes,
    people: People,
    missed: MissedCalls,
    toggles: Toggles,
    circuits: Circuits,
    between: Between,
    conferences: Conferences,
    /// Calls in which more than two take part.
    mixes: BTreeMap<CallId, Mixed>,
    trunks: BTreeMap<TrunkId, TrunkState>,
    calls: HashMap<CallId, Call>,
    legs: HashMap<LegId, Leg>,
    by_dialog: HashMap<DialogId, LegId>,
    by_stream: HashMap<StreamId, LegId>,
    offers: HashMap<OfferId, (CallId, AttemptId)>,
    /// Answers of users' mobiles that nobody confirmed, since the last that somebody did.
    suspects: BTreeMap<UserKey, u8>,
    /// What parties with feature keys have keyed in.
    keying: HashMap<LegId, Keying>,
    /// Wrong PINs at service numbers, of users that exist.
    wrong_pins: BTreeMap<UserKey, WrongPins>,
    /// Agents who hear something before the caller is connected.
    whispers: HashMap<LegId, Whispering>,
    /// Kept places of queues that are being served.
    callbacks: callback::Callbacks,
    recordings: HashMap<RecordId, PendingRecording>,
    /// Recordings of calls whose files are not complete.
    tapes: HashMap<RecordId, call_recording::Tape>,
    /// The SDP of a 183, which the 200 repeats (RFC 3261 §13.2.1).
    early_body: HashMap<LegId, Body>,
    subscriptions: Subscriptions,
    publications: Publications,
    pager: Pager,
    /// Transactions of our registrations at carriers.
    trunk_transactions: HashMap<TransactionId, TrunkId>,
    /// Transactions that ask addresses of carriers whether they live.
    health_checks: HashMap<TransactionId, (TrunkId, Address)>,
    /// Calls through trunks.
    channels: Channels,
    /// Calls that wait for apps to wake.
    waking: Vec<waking::Waking>,
    /// Transactions that tell phones to answer, and the legs that ring there.
    answering: HashMap<TransactionId, LegId>,
    /// Users in calls that no queue gave them.
    in_call: HashMap<UserKey, usize>,
    ports: Ports,
    /// Of the certificate that the media threads show in DTLS.
    fingerprint: Option<Fingerprint>,
    /// Callers' streams that are being closed: what they counted goes to the record.
    last_words: HashMap<StreamId, audio::LastWords>,
    /// Streams that are being closed.
    closing: usize,
    timers: Timers<Timer>,
    asked: HashMap<AskId, Asked>,
    outputs: VecDeque<Output>,
    ledger: Ledger,
    watchdog: Watchdog,
    next_call: u64,
    next_leg: u64,
    next_attempt: u64,
    next_hunt: u64,
    next_play: u64,
    next_record: u64,
    next_ask: u64,
    started: Instant,
    draining: bool,
    divergence: u64,
}

impl Switch {
    /// A switch with this configuration; give it what the store kept as `Input::Change` before anything else.
    pub fn new(now: Now, config: Arc<Config>, mut rng: Rng) -> Switch {
        let endpoint = Endpoint::new(settings(&config), rng.fork());
        let nonces = Nonces::new(&mut rng);
        let nonces = if config.server.sip_sha256 { nonces } else { nonces.md5_only() };
        let queues = Queues::new(rng.fork());
        let gruus = Gruus::new(&mut rng);
        let guard = config.server.guard.clone();
        let mut switch = Switch {
            config: Arc::new(Config::default()),
            decoy: format!("{}{}", rng.token(), rng.token()).into(),
            rng,
            endpoint,
            nonces,
            overload: Overload::new(guard.lag),
            guard: Guard::new(guard),
            spending: Spending::default(),
            alarms: VecDeque::new(),
            location: Location::default(),
            gruus,
            peers: Peers::default(),
            devices: HashMap::new(),
            passwords: HashMap::new(),
            queues,
            mailboxes: Mailboxes::default(),
            people: People::default(),
            missed: MissedCalls::default(),
            toggles: Toggles::default(),
            circuits: Circuits::default(),
            between: Between::default(),
            conferences: Conferences::default(),
            mixes: BTreeMap::new(),
            trunks: BTreeMap::new(),
            calls: HashMap::new(),
            legs: HashMap::new(),
            by_dialog: HashMap::new(),
            by_stream: HashMap::new(),
            offers: HashMap::new(),
            suspects: BTreeMap::new(),
            whispers: HashMap::new(),
            keying: HashMap::new(),
            wrong_pins: BTreeMap::new(),
            callbacks: callback::Callbacks::default(),
            recordings: HashMap::new(),
            tapes: HashMap::new(),
            early_body: HashMap::new(),
            subscriptions: Subscriptions::default(),
            publications: Publications::default(),
            pager: Pager::default(),
            trunk_transactions: HashMap::new(),
            health_checks: HashMap::new(),
            channels: Channels::default(),
            waking: Vec::new(),
            answering: HashMap::new(),
            in_call: HashMap::new(),
            ports: Ports::default(),
            fingerprint: None,
            last_words: HashMap::new(),
            closing: 0,
            timers: Timers::default(),
            asked: HashMap::new(),
            outputs: VecDeque::new(),
            ledger: Ledger::default(),
            watchdog: Watchdog::default(),
            next_call: u64::try_from(now.utc.as_microsecond()).unwrap_or(0),
            next_leg: 0,
            next_attempt: 0,
            next_hunt: 0,
            next_play: 0,
            next_record: 0,
            next_ask: 0,
            started: now.mono,
            draining: false,
            divergence: 0,
        };
        switch.timers.set(Timer::Audit, now.mono + AUDIT_EVERY);
        switch.timers.set(Timer::Charge, now.mono + CHARGE_EVERY);
        // When what the store knows has been taken back: what grew too old while nobody ran goes first.
        switch.timers.set(Timer::OldMessages, now.mono);
        switch.adopt(now, config);
        switch.set_calendar(now);
        switch
    }

    /// One thing happens. Drain [`Switch::poll_output`] before the next one.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Sip(input) => {
                if let Some(input) = self.screen(now, input) {
                    self.endpoint.handle_input(now, input);
                }
            }
            Input::Waited(long) => self.overload.waited(now.mono, long),
            Input::Opened { connection, names } => self.peers.opened(connection, names),
            Input::Idle { connection } => self.on_idle(connection),
            Input::Media(event) => self.on_media(now, event),
            Input::Change(change) => self.on_change(now, change),
            Input::Config(config) => self.adopt(now, config),
            Input::Answer { id, answer } => self.on_answer(now, id, answer),
            Input::Command { id, command } => self.on_command(now, id, command),
        }
        self.settle(now);
    }

    /// Deadlines have passed; harmless when none has.
    pub fn handle_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(now);
        self.settle(now);
        self.queues.handle_timeout(now);
        self.settle_queues(now);
        while let Some((aor, contact)) = self.location.expired(now.utc) {
            self.unbound(now, &aor, &contact, "expired");
        }
        while let Some(timer) = self.timers.expired(now.mono) {
            self.on_timer(now, timer);
        }
        self.settle(now);
    }

    /// The next deadline, and whose it is.
    pub fn poll_timeout(&self, now: Now) -> Option<(Instant, &'static str)> {
        let expiry = self.location.next_expiry().map(|at| {
            let wait = Duration::try_from(at.duration_since(now.utc)).unwrap_or(Duration::ZERO);
            (now.mono + wait, "binding")
        });
        let own = self.timers.next().map(|(at, _)| (at, "switch"));
        let sip = earliest(self.endpoint.poll_timeout(), self.queues.poll_timeout());
        earliest(earliest(expiry, own), sip)
    }

    /// What must be done, in order; drain to `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Looks at what SIP and queues have to say until both are quiet. Datagrams are held back until the events
    /// of the same input are handled, so that facts are told and streams opened before them.
    fn settle(&mut self, now: Now) {
        let mut transmits = Vec::new();
        loop {
            match self.endpoint.poll_output() {
                Some(sip::Output::Transmit(transmit)) => transmits.push(transmit),
                Some(sip::Output::Event(event)) => self.on_sip(now, event),
                None => {
                    if !self.settle_queues(now) && !self.flush_subscriptions(now) {
                        break;
                    }
                }
            }
        }
        self.outputs.extend(transmits.into_iter().map(Output::Transmit));
        self.settle_guard();
        if self.draining && self.calls.is_empty() && self.closing == 0 {
            self.outputs.push_back(Output::Drained);
        }
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    fn on_timer(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::Program(call) => self.run_program(now, call, flow::action::Event::Timer),
            Timer::Attempt(call, attempt) => self.attempt_timeout(now, call, attempt),
            Timer::Confirm(leg) => self.not_confirmed(now, leg),
            Timer::Keys(leg) => self.keys_timeout(now, leg),
            Timer::GoOn(call) => self.run_program(now, call, flow::action::Event::Start),
            Timer::Whisper(leg) => self.whisper_over(now, leg),
            Timer::Announced(call) => self.announcement_cut(now, call),
            Timer::Contact(call, attempt) => self.contacts_due(now, call, attempt),
            Timer::Waking => self.waking_timeout(now),
            Timer::RangOut(leg) => self.rang_out(now, leg),
            Timer::Toggle(company, toggle) => self.toggle_over(now, &company, &toggle),
            Timer::LineHours(line) => self.line_hours(now, &line, true),
            Timer::Resolve(trunk) => self.resolve_trunk(now, &trunk),
            Timer::Trunk(trunk) => self.trunk_timeout(now, &trunk),
            Timer::Health(trunk) => self.health_timeout(now, &trunk),
            Timer::PostDial(leg) => self.post_dial_timeout(now, leg),
            Timer::Subscription(dialog) => self.subscription_over(now, dialog),
            Timer::Notify(dialog) => self.notify_due(dialog),
            Timer::Personal(user) => self.personal_changed(now, &user),
            Timer::Publication(user) => self.publications_over(now, &user),
            Timer::Message(transaction) => self.message_timeout(now, transaction),
            Timer::OldMessages => {
                self.timers.set(Timer::OldMessages, now.mono + OLD_MESSAGES_EVERY);
                for (mailbox, id) in self.mailboxes.expired(&self.config, now.utc) {
                    self.change_mailbox(now, Change::MessageDeleted { mailbox, id });
                }
                self.forget_old_missed(now);
                self.forget_old_apps(now);
                self.delete_old_recordings(now);
            }
            Timer::Calendar => self.warn_of_holidays(now),
            Timer::Charge => {
                self.timers.set(Timer::Charge, now.mono + CHARGE_EVERY);
                self.charge_running(now);
            }
            Timer::People(deadline) => self.people_timeout(now, deadline),
            Timer::Audit => {
                self.tell_refused();
                self.timers.set(Timer::Audit, now.mono + AUDIT_EVERY);
                self.queues.check_invariants();
                self.divergence += self.audit() + self.queues.divergence() as u64;
                self.watch_queues(now);
            }
        }
    }

    /// Asks the shell.
    fn ask(&mut self, ask: Ask, why: Asked) -> AskId {
        self.next_ask += 1;
        let id = AskId(self.next_ask);
        self.asked.insert(id, why);
        self.outputs.push_back(Output::Ask { id, ask });
        id
    }

    fn on_answer(&mut self, now: Now, id: AskId, answer: Answer) {
        let Some(asked) = self.asked.remove(&id) else { return };
        match (asked, answer) {
            (Asked::Trunk(trunk), Answer::Resolved { hops, ttl }) => {
                self.trunk_resolved(now, &trunk, hops, ttl);
            }
            (Asked::Clip(call), Answer::Loaded(found)) => {
                self.run_program(now, call, flow::action::Event::Loaded(found));
            }
            (Asked::Posted { url, of }, Answer::Posted(answer)) => {
                self.system_answered(now, id, &url, of, answer);
            }
            (Asked::Nothing | Asked::Trunk(_) | Asked::Clip(_) | Asked::Posted { .. }, _) => {}
        }
    }

    fn next_leg(&mut self) -> LegId {
        self.next_leg += 1;
        LegId(self.next_leg)
    }

    fn next_call(&mut self) -> CallId {
        self.next_call += 1;
        CallId { node: NodeId(0), seq: self.next_call }
    }

    /// The devices of a user.
    fn devices_of(&self, user: &UserKey) -> &[Aor] {
        self.devices.get(user).map_or(&[], Vec::as_slice)
    }

    /// The language of the system's prompts to this call's caller.
    fn language_of(&self, call: CallId) -> Language {
        self.calls.get(&call).map_or(self.config.server.language, |of| of.facts.language)
    }

    /// The codecs that a call's caller uses, or offered and may use, best first.
    fn caller_codecs(&self, call: CallId) -> Option<Vec<Codec>> {
        let leg = self.legs.get(&self.calls.get(&call)?.caller)?;
        match (leg.codec(), &leg.offer) {
            (Some(codec), _) => Some(vec![codec]),
            (None, Some(offer)) => {
                let ours = self.codecs_for(leg.trunk.as_ref());
                Some(negotiate::offered(offer).into_iter().filter(|codec| ours.contains(codec)).collect())
            }
            (None, None) => None,
        }
    }
}

/// Longer requests take TCP where we have it (RFC 3261 §18.1.1).
const UDP_MAX: usize = 1300;
/// How often the facts about agents are counted anew.
const AUDIT_EVERY: Duration = Duration::from_secs(1);
/// How often running calls are charged.
const CHARGE_EVERY: Duration = Duration::from_secs(60);
/// How often mailboxes are looked through for messages that have been kept long enough.
const OLD_MESSAGES_EVERY: Duration = Duration::from_secs(3600);

/// The endpoint's part of a configuration.
fn settings(config: &Config) -> Settings {
    Settings {
        external: config.server.external,
        agent: format!("Sentral/{}", env!("CARGO_PKG_VERSION")),
        max_transactions: config.server.limits.transactions,
        max_dialogs: config.server.limits.transactions,
        allow: ALLOW,
        session_expires: config.server.sip_session_s,
        udp_max: if config.server.sip_tcp.is_empty() { usize::MAX } else { UDP_MAX },
        t1: Duration::from_millis(500),
    }
}

/// The bank's name for a prompt of the system.
fn system_prompt(language: Language, id: &str) -> ClipName {
    format!("{}/{id}", language.as_str()).into()
}

/// The bank's name for anything that can be played.
pub fn clip_name(prompt: &PromptKey) -> ClipName {
    match prompt {
        PromptKey::System(language, id) => format!("{language}/{id}").into(),
        PromptKey::Media(company, media) => format!("company/{company}/{media}").into(),
        PromptKey::Recording(file) => Arc::clone(file),
    }
}
