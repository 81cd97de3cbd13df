//! What people do with each other's calls by code: park and take back, pick up, intercom, call-back, take over, move,
//! log in at a shared phone. Here is what can be ordered and what is heard of it; each order has a file of its own.
//!
//! An order that leads the caller somewhere (to a parked party, into a conversation) ends the call that it was dialled
//! in: its leg goes over into the other call. Any other answers, says what was done or what was wrong, and hangs up.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::media::Base;
use crate::media::RecordId;
use crate::model::company::Company;
use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::flow::HangupCause;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::LineId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::prompt::PromptKey;
use crate::model::room::Supervise;
use crate::model::server::Secret;
use crate::switch::Switch;
use crate::switch::busy_callback::Wishes;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::identity;
use crate::switch::leg::LegState;
use crate::switch::location::Aor;
use crate::switch::park::Parked;
use crate::switch::say::What;
use crate::switch::supervise::Whose;
use crate::time::Now;
use crate::time::Timestamp;

/// What a code orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Parks the caller's other call, in this slot or in any; without another call, takes back.
    Park(Option<u32>),
    /// The extension of a slot: takes back who is parked there, or parks.
    Slot(u32),
    /// Takes a call that rings there, or in the caller's pick-up group.
    PickUp(Option<Rings>),
    /// Speaks to somebody whose phone answers by itself.
    Intercom(UserId),
    /// Is rung when this user, or the last who could not be reached, is free.
    CallBack(Option<UserId>),
    /// Ends such a wish, or all.
    CancelCallBack(Option<UserId>),
    /// A supervisor takes this user's call.
    TakeOver(UserId),
    /// The caller's own call comes to this phone.
    OwnCall,
    /// A supervisor takes part in a call.
    Supervise(Whose, Supervise),
    /// Logs a user in at this phone, or out.
    HotDesk(Option<UserId>),
    /// Records a recording of the media bank.
    RecordPrompt(MediaId),
    /// Something that cannot be: the caller is told what.
    Wrong(Refusal),
}

/// Where a call rings that is to be picked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rings {
    /// At a user's phones.
    User(UserId),
    /// At the phones of a queue's or group's agents.
    Line(LineId),
}

/// Why an order is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has that extension.
    UnknownExtension,
    /// The caller may not.
    NotAllowed,
    /// The company has no parking slots, or not this one.
    NoSlot,
    /// Somebody is parked there.
    SlotTaken,
    /// Somebody is parked in every slot.
    SlotsFull,
    /// Nobody is parked there.
    SlotEmpty,
    /// There is no call to park.
    NothingHeld,
    /// Nothing rings that the caller may take.
    NothingRings,
    /// Only the queue's agents may take it.
    NotAgent,
    /// There is no call to take over or move.
    NoCall,
    /// They are in a call.
    Busy,
    /// They do not want it.
    NotWanted,
    /// No phone of theirs is registered.
    Unreachable,
    /// There is nobody to be called back from.
    NobodyToCall,
    /// So many wishes cannot be kept.
    TooMany,
    /// This is no shared phone.
    NoSharedPhone,
    /// The user has no PIN.
    NoPin,
    /// The PIN is another.
    WrongPin,
    /// Too many wrong PINs.
    Locked,
    /// Nobody is logged in here.
    NobodyHere,
}

impl Refusal {
    /// The reason code in events.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::UnknownExtension => "unknown_extension",
            Refusal::NotAllowed => "not_allowed",
            Refusal::NoSlot => "no_slot",
            Refusal::SlotTaken => "slot_taken",
            Refusal::SlotsFull => "slots_full",
            Refusal::SlotEmpty => "slot_empty",
            Refusal::NothingHeld => "nothing_held",
            Refusal::NothingRings => "nothing_rings",
            Refusal::NotAgent => "not_agent",
            Refusal::NoCall => "no_call",
            Refusal::Busy => "busy",
            Refusal::NotWanted => "not_wanted",
            Refusal::Unreachable => "unreachable",
            Refusal::NobodyToCall => "nobody_to_call",
            Refusal::TooMany => "too_many",
            Refusal::NoSharedPhone => "no_shared_phone",
            Refusal::NoPin => "no_pin",
            Refusal::WrongPin => "wrong_pin",
            Refusal::Locked => "locked",
            Refusal::NobodyHere => "nobody_here",
        }
    }

    /// In words, for who ordered by command.
    pub fn words(self) -> &'static str {
        match self {
            Refusal::UnknownExtension => "nobody has that extension",
            Refusal::NotAllowed => "the user has no right to it",
            Refusal::NoSlot => "there is no such parking slot: see slots under [parking]",
            Refusal::SlotTaken => "somebody is parked there: take another slot",
            Refusal::SlotsFull => "every parking slot is taken: widen slots under [parking]",
            Refusal::SlotEmpty => "nobody is parked there",
            Refusal::NothingHeld => "the user has no call that could be parked",
            Refusal::NothingRings => "nothing rings that the user may take",
            Refusal::NotAgent => "only the queue's agents may take it",
            Refusal::NoCall => "the user talks with nobody",
            Refusal::Busy => "the user is in a call",
            Refusal::NotWanted => "the user does not want it",
            Refusal::Unreachable => "no phone of the user is registered",
            Refusal::NobodyToCall => "there is nobody to be called back from",
            Refusal::TooMany => "the user has too many wishes for a call-back already",
            Refusal::NoSharedPhone => "the device is not shared: write hot_desk = true at it",
            Refusal::NoPin => "the user has no PIN: write pin = \"…\" at the user",
            Refusal::WrongPin => "the PIN is wrong",
            Refusal::Locked => "too many wrong PINs: wait a quarter of an hour",
            Refusal::NobodyHere => "nobody is logged in at the phone",
        }
    }

    /// What the caller hears.
    fn prompt(self) -> &'static str {
        match self {
            Refusal::UnknownExtension => "people/unknown-extension",
            Refusal::NotAllowed => "people/not-allowed",
            Refusal::NoSlot => "people/no-slot",
            Refusal::SlotTaken => "people/slot-taken",
            Refusal::SlotsFull => "people/slots-full",
            Refusal::SlotEmpty => "people/slot-empty",
            Refusal::NothingHeld => "people/nothing-held",
            Refusal::NothingRings => "people/nothing-rings",
            Refusal::NotAgent => "people/not-agent",
            Refusal::NoCall => "people/no-call",
            Refusal::Busy => "call/busy",
            Refusal::NotWanted => "people/not-wanted",
            Refusal::Unreachable => "people/unreachable",
            Refusal::NobodyToCall => "people/nobody-to-call",
            Refusal::TooMany => "people/too-many",
            Refusal::NoSharedPhone => "people/no-shared-phone",
            Refusal::NoPin => "people/no-pin",
            Refusal::WrongPin => "vm/wrong-pin",
            Refusal::Locked => "people/locked",
            Refusal::NobodyHere => "people/nobody-here",
        }
    }
}

/// What is told of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is not carried out.
    Refused(Refusal),
    /// The call is parked in this slot.
    Parked(u32),
    /// The caller will be rung.
    CallBackOn,
    /// The caller will not be rung.
    CallBackOff,
    /// The user is logged in at this phone.
    DeskIn,
    /// Nobody is logged in at this phone any longer.
    DeskOut,
    /// The caller takes part in a colleague's call, in this way.
    Supervises(Supervise),
    /// That call is over.
    SupervisionOver,
}

/// What programs have done between people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A code.
    Order(Order),
    /// The caller hears the company's music.
    Music,
    /// A supervisor takes part otherwise.
    SuperviseAs(Supervise),
    /// Whom the call rings next sees this name.
    ShowAs(Arc<str>),
    /// The caller leaves the parking slot.
    Unpark,
    /// A take of a recording begins.
    Take(MediaId),
    /// The caller's take is taken into use; answered by [`Event::Loaded`].
    KeepTake(MediaId),
    /// The caller's take is deleted.
    DropTake(MediaId),
    /// A PIN was keyed in to log in at a shared phone.
    Desk {
        /// Who logs in.
        user: UserId,
        /// As keyed in.
        pin: Secret,
    },
}

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Deadline {
    /// A transferred call that nobody answers comes back.
    Return(CallId),
    /// Two who are free are connected.
    CallBack(UserKey, UserKey),
    /// Wishes to be called back end.
    CallBackEnds,
    /// A user is logged out of a shared phone.
    HotDesk(Aor),
}

/// What the switch remembers between people.
#[derive(Debug, Default)]
pub(crate) struct Between {
    /// Who is parked where.
    pub(crate) parked: BTreeMap<(CompanyId, u32), Parked>,
    /// Who wants to be called back.
    pub(crate) wishes: Wishes,
    /// Whom a user reached last in vain, and whether they were in a call.
    pub(crate) missed: HashMap<UserKey, (UserKey, bool)>,
    /// Who is logged in at a shared phone, and until when.
    pub(crate) desks: BTreeMap<Aor, (UserId, Option<Timestamp>)>,
    /// Takes of recordings in the making, and their files.
    pub(crate) takes: HashMap<RecordId, (CallId, Arc<str>)>,
    /// Wrong PINs in a row at shared phones, and when the last was.
    pub(crate) wrong_pins: HashMap<UserKey, (u32, Timestamp)>,
}

/// The order of a code: `name` as in `[codes]`, and what was dialled behind it. None when that is not complete.
pub(crate) fn order(company: &Company, name: &str, ext: &str) -> Option<Order> {
    let mut known = company.extensions.keys().map(Number::as_str);
    let begins = known.any(|known| known.len() > ext.len() && known.starts_with(ext));
    let wrong = || (!begins).then_some(Order::Wrong(Refusal::UnknownExtension));
    let user = || match company.extensions.get(ext) {
        Some(Extension::To(Destination::User(user))) => Some(user.clone()),
        Some(Extension::To(_) | Extension::Toggle(_)) | None => None,
    };
    let of_user = |order: fn(UserId) -> Order| user().map(order).or_else(wrong);
    let may = |order: fn(Option<UserId>) -> Order| match ext {
        "" => Some(order(None)),
        _ => user().map(|user| order(Some(user))).or_else(wrong),
    };
    match name {
        "park" if ext.is_empty() => Some(Order::Park(None)),
        "park" => {
            let slot = company.parking.as_ref().and_then(|parking| parking.slot(ext));
            Some(slot.map_or(Order::Wrong(Refusal::NoSlot), |slot| Order::Park(Some(slot))))
        }
        "pickup" => match company.extensions.get(ext) {
            _ if ext.is_empty() => Some(Order::PickUp(None)),
            Some(Extension::To(to)) => Some(match rings(to) {
                Some(rings) => Order::PickUp(Some(rings)),
                None => Order::Wrong(Refusal::NothingRings),
            }),
            Some(Extension::Toggle(_)) => Some(Order::Wrong(Refusal::NothingRings)),
            None => wrong(),
        },
        "intercom" => of_user(Order::Intercom),
        "call_back" => may(Order::CallBack),
        "call_back_cancel" => may(Order::CancelCallBack),
        "take_over" => of_user(Order::TakeOver),
        "listen" => of_user(|user| Order::Supervise(Whose::User(user), Supervise::Listen)),
        "whisper" => of_user(|user| Order::Supervise(Whose::User(user), Supervise::Whisper)),
        "barge" => of_user(|user| Order::Supervise(Whose::User(user), Supervise::Barge)),
        "own_call" => Some(Order::OwnCall),
        "hot_desk" => may(Order::HotDesk),
        "record_prompt" => {
            let named = company.media.iter().find(|(_, media)| media.code.as_deref() == Some(ext));
            let begins = |code: &str| code.len() > ext.len() && code.starts_with(ext);
            match named {
                Some((id, _)) => Some(Order::RecordPrompt(id.clone())),
                None if company.media.values().filter_map(|media| media.code.as_deref()).any(begins) => None,
                None => Some(Order::Wrong(Refusal::UnknownExtension)),
            }
        }
        _ => None,
    }
}

fn rings(to: &Destination) -> Option<Rings> {
    match to {
        Destination::User(user) => Some(Rings::User(user.clone())),
        Destination::Queue(queue) => Some(Rings::Line(LineId::Queue(queue.clone()))),
        Destination::Group(group) => Some(Rings::Line(LineId::Group(group.clone()))),
        Destination::Flow(_)
        | Destination::Voicemail(_)
        | Destination::Phone(_)
        | Destination::Room(_)
        | Destination::Hangup => None,
    }
}

/// The program of an order.
#[derive(Clone, Debug)]
pub struct Run {
    order: Order,
    state: State,
    held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// What comes of it is awaited.
    Ordered,
    /// It is being told.
    Telling,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Carries out an order.
    pub fn new(order: Order) -> Run {
        Run { order, state: State::Start, held: Held::default() }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        match (self.state, event) {
            (State::Start, Event::Start) => self.start(&mut stage),
            (State::Ordered, Event::People(said)) => self.say(&mut stage, said),
            (State::Telling, Event::PlayFinished) => {
                self.state = State::Ended;
                stage.leave();
                stage.add(Action::HangUp(HangupCause::Normal));
            }
            _ => {}
        }
        let (held, actions) = stage.finish();
        self.held = held;
        actions
    }

    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.place("service");
        if stage.calling_user().is_none() {
            self.state = State::Ended;
            return;
        }
        match self.order.clone() {
            Order::Wrong(refusal) => self.say(stage, Said::Refused(refusal)),
            order => {
                self.state = State::Ordered;
                stage.add(Action::People(Deed::Order(order)));
            }
        }
    }

    fn say(&mut self, stage: &mut Stage<'_>, said: Said) {
        self.state = State::Telling;
        stage.answer();
        let prompts = prompts(stage, said);
        stage.play(prompts, 1);
    }
}

/// What is heard of an order.
pub(crate) fn prompts(stage: &mut Stage<'_>, said: Said) -> Vec<PromptKey> {
    match said {
        Said::Refused(refusal) => {
            stage.tell(format!("{}: {}", refusal.code(), refusal.words()));
            vec![stage.system(refusal.prompt())]
        }
        Said::Parked(slot) => {
            let mut prompts = vec![stage.system("people/parked")];
            prompts.extend(stage.said(&What::Digits(&slot.to_string())));
            prompts
        }
        Said::CallBackOn => vec![stage.system("people/call-back-on")],
        Said::CallBackOff => vec![stage.system("people/call-back-off")],
        Said::DeskIn => vec![stage.system("people/desk-in")],
        Said::DeskOut => vec![stage.system("people/desk-out")],
        Said::Supervises(Supervise::Listen) => vec![stage.system("people/listening")],
        Said::Supervises(Supervise::Whisper) => vec![stage.system("people/whispering")],
        Said::Supervises(Supervise::Barge) => vec![stage.system("people/barging")],
        Said::SupervisionOver => vec![stage.system("people/supervision-over")],
    }
}

/// A user's part in a call that stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    pub(crate) call: CallId,
    /// The user's leg.
    pub(crate) leg: LegId,
    /// Whom the user talks with.
    pub(crate) party: LegId,
    /// The user has put the party on hold.
    pub(crate) held: bool,
}

impl Switch {
    /// Does what a program wants done between people.
    pub(crate) fn do_deed(&mut self, now: Now, call: CallId, deed: Deed) {
        match deed {
            Deed::Order(order) => {
                let said = self.carry_out_order(now, call, order);
                if let Some(said) = said {
                    if let (Said::Refused(refusal), Some(of)) = (said, self.calls.get(&call)) {
                        let company = of.company.clone();
                        self.decide(now, &company, Some(call), "service.refused", refusal.code());
                    }
                    self.run_program(now, call, Event::People(said));
                }
            }
            Deed::Music => {
                let music = self.music_of(call);
                if let Some(caller) = self.calls.get(&call).map(|of| of.caller) {
                    self.set_base(caller, Base::Music(music));
                }
            }
            Deed::ShowAs(name) => {
                if let Some(of) = self.calls.get_mut(&call) {
                    of.shown_as = Some(name);
                }
            }
            Deed::SuperviseAs(mode) => self.supervise_as(now, call, mode),
            Deed::Unpark => self.leave_slot(call),
            Deed::Take(media) => self.begin_take(call, &media),
            Deed::KeepTake(media) => self.settle_take(now, call, media, true),
            Deed::DropTake(media) => self.settle_take(now, call, media, false),
            Deed::Desk { user, pin } => {
                let said = self.enter_desk(now, call, &user, &pin);
                self.run_program(now, call, Event::People(said));
            }
        }
    }

    /// Carries out the order that the caller of `call` has dialled; what to tell of it, unless the call has become
    /// part of another or rings somebody.
    fn carry_out_order(&mut self, now: Now, call: CallId, order: Order) -> Option<Said> {
        let by = self.calls.get(&call)?.caller_user()?;
        let done = match order {
            Order::Park(slot) => self.order_park(now, call, &by, slot),
            Order::Slot(slot) => self.order_slot(now, call, &by, slot),
            Order::PickUp(wanted) => self.pick_up(now, call, &by, wanted.as_ref()),
            Order::Intercom(user) => self.intercom(now, call, &by, &user),
            Order::CallBack(user) => self.wish_call_back(now, &by, user),
            Order::CancelCallBack(user) => self.cancel_call_back(now, &by, user),
            Order::TakeOver(user) => self.take_over(now, call, &by, &user),
            Order::OwnCall => self.move_own_call(now, call, &by),
            Order::Supervise(whose, mode) => self.supervise(now, call, &by, &whose, mode),
            Order::HotDesk(user) => self.order_desk(now, call, user),
            // A program of its own, and one that tells by itself.
            Order::RecordPrompt(_) => Err(Refusal::NotAllowed),
            Order::Wrong(refusal) => Err(refusal),
        };
        match done {
            Ok(said) => said,
            Err(refusal) => Some(Said::Refused(refusal)),
        }
    }

    /// A deadline between people has passed.
    pub(crate) fn people_timeout(&mut self, now: Now, deadline: Deadline) {
        match deadline {
            Deadline::Return(call) => self.return_timeout(now, call),
            Deadline::CallBack(asker, wanted) => self.call_back_due(now, &asker, &wanted),
            Deadline::CallBackEnds => self.end_old_wishes(now),
            Deadline::HotDesk(phone) => self.leave_desk(now, &phone, "time"),
        }
    }

    /// The calls in which a user talks, oldest first, but for `except`.
    pub(crate) fn talks_of(&self, user: &UserKey, except: Option<CallId>) -> Vec<Talk> {
        let mut talks: Vec<Talk> = Vec::new();
        for (id, call) in &self.calls {
            if call.ending || Some(*id) == except {
                continue;
            }
            let Some(callee) = call.callee else { continue };
            for (leg, party) in [(callee, call.caller), (call.caller, callee)] {
                let up = |leg| self.legs.get(&leg).is_some_and(|leg| leg.state == LegState::Up);
                if self.user_of_leg(leg).as_ref() == Some(user) && up(leg) && up(party) {
                    let held = self.legs.get(&leg).is_some_and(|leg| leg.on_hold());
                    talks.push(Talk { call: *id, leg, party, held });
                    break;
                }
            }
        }
        talks.sort_by_key(|talk| talk.call);
        talks
    }

    /// The caller of `from` becomes the one whom the caller of `into` talks with; `from` is over.
    pub(crate) fn join(&mut self, now: Now, from: CallId, into: CallId) -> bool {
        let codec = self.calls.get(&into).and_then(|of| self.legs.get(&of.caller)?.codec());
        if !self.answer_caller(now, from, codec) {
            return false;
        }
        let Some(leg) = self.move_caller(now, from, into) else { return false };
        self.connect(now, into, leg);
        self.show_parties(now, into);
        true
    }

    /// The caller of `from` takes the place of `old` in `into`; `from` is over.
    pub(crate) fn join_instead(&mut self, now: Now, from: CallId, into: CallId, old: LegId) -> bool {
        let codec = self.legs.get(&old).and_then(|of| of.codec());
        if !self.answer_caller(now, from, codec) {
            return false;
        }
        let Some(leg) = self.move_caller(now, from, into) else { return false };
        let user = self.legs.get(&leg).and_then(|of| of.user.clone());
        let person = |key: &UserKey| {
            let company = self.config.companies.get(&key.company)?;
            Some(identity::caller_user(company, &key.user))
        };
        let facts = user.as_ref().and_then(person);
        if let (Some(of), Some(facts)) = (self.calls.get_mut(&into), facts)
            && of.caller == old
        {
            let dialled = of.facts.dialled.clone();
            of.facts = CallerFacts { dialled, answered: true, ..facts };
        }
        self.swap_leg(now, into, old, leg)
    }

    /// Moves the answered caller of a call into another call; the first is over.
    pub(crate) fn move_caller(&mut self, now: Now, from: CallId, into: CallId) -> Option<LegId> {
        let of = self.calls.get(&from)?;
        let (leg, user) = (of.caller, of.caller_user());
        let moved = self.legs.get_mut(&leg)?;
        moved.call = into;
        moved.user = user;
        if self.calls.get(&into).is_some_and(|of| of.tape.state().is_none()) {
            self.hand_over_recording(now, from, into);
        }
        self.dissolve(now, from);
        Some(leg)
    }
}
