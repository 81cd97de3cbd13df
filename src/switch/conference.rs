//! Conference rooms: who is in which meeting, who is heard, and what moderators and operators order.
//!
//! A meeting begins when somebody comes into an empty room, and is over when the last one leaves. Who is alone, or waits
//! for a moderator, hears music; the others hear each other by a mix of the media engine, on the thread of the one who
//! came first. The program of each attendee's call (`flow::step::room`) asks for PINs and reads keys.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::media::Base;
use crate::media::Command;
use crate::media::MixId;
use crate::media::PlayItem;
use crate::media::Voice;
use crate::media::tone::Tone;
use crate::model::change::PinOf;
use crate::model::command::Answer;
use crate::model::company::Company;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::RoomId;
use crate::model::id::RoomKey;
use crate::model::prompt::PromptKey;
use crate::model::room::AttendeeView;
use crate::model::room::Room;
use crate::model::room::RoomOrder;
use crate::model::room::RoomView;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::clip_name;
use crate::switch::flow::action::Event;
use crate::switch::wrong_pins;
use crate::time::Now;
use crate::time::Timestamp;

/// Wrong PINs in a row, over all calls to a room, until none is taken.
const WRONG_MAX: u32 = 10;
/// For so long.
const WRONG_LOCKED: Duration = Duration::from_secs(15 * 60);

/// What the program of somebody at or in a room wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The call leads to the room.
    Approach(RoomId),
    /// A PIN was keyed in.
    PinTried {
        /// Of which room.
        room: RoomId,
        /// Whose: a moderator's or not; none when it is no PIN of the room.
        role: Option<bool>,
    },
    /// Comes in; answered by [`Said`].
    Join {
        /// Where.
        room: RoomId,
        /// As moderator.
        moderator: bool,
    },
    /// Mutes oneself, or no longer.
    FlipMute,
    /// A moderator locks or unlocks the room.
    FlipLock,
    /// A moderator mutes all who are no moderators, or no longer.
    FlipMuteOthers,
    /// A moderator has the last one who came go.
    KickLast,
    /// A moderator ends the meeting.
    End,
}

/// What the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// In, and in company.
    Joined,
    /// Not let in.
    Refused(Closed),
    /// This is to be said.
    Told(&'static str),
    /// The meeting is over for them; this is to be said.
    Over(&'static str),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A moderator has locked it.
    Locked,
    /// As many are in as may be.
    Full,
    /// Too many wrong PINs have been tried.
    WrongPins,
    /// It is no longer configured.
    Gone,
}

impl Closed {
    /// The reason code in events.
    pub fn code(self) -> &'static str {
        match self {
            Closed::Locked => "locked",
            Closed::Full => "full",
            Closed::WrongPins => "wrong_pins",
            Closed::Gone => "gone",
        }
    }

    /// What is said of it.
    pub fn prompt(self) -> &'static str {
        match self {
            Closed::Locked => "conf/locked",
            Closed::Full => "conf/full",
            Closed::WrongPins => "people/locked",
            Closed::Gone => "call/technical",
        }
    }
}

/// The meetings that are on.
#[derive(Debug, Default)]
pub(crate) struct Conferences {
    meetings: BTreeMap<RoomKey, Meeting>,
    /// Wrong PINs in a row, and when the last was.
    wrong_pins: BTreeMap<RoomKey, (u32, Timestamp)>,
    next_mix: u32,
}

#[derive(Debug)]
struct Meeting {
    /// Where they hear each other, from the moment that two do.
    mix: Option<MixId>,
    since: Instant,
    locked: bool,
    /// A moderator has come, or is not waited for.
    begun: bool,
    /// Everybody is being seen out.
    ending: bool,
    /// In the order in which they came.
    attendees: Vec<Attendee>,
}

#[derive(Debug)]
struct Attendee {
    call: CallId,
    moderator: bool,
    muted: bool,
    since: Instant,
    /// What was ordered of the engine last.
    hears: Option<Hears>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    Music,
    Others(Voice),
}

impl Conferences {
    /// Takes wrong PINs back from the store.
    pub(crate) fn restore_pin_tries(&mut self, room: RoomKey, times: u32, at: Timestamp) {
        self.wrong_pins.insert(room, (times, at));
    }

    /// A name for another mix of this thread.
    pub(crate) fn new_mix(&mut self, thread: u8) -> MixId {
        self.next_mix = self.next_mix.wrapping_add(1);
        MixId { thread, number: self.next_mix }
    }

    /// On which media thread a room's meeting is mixed.
    pub(crate) fn thread_of(&self, key: &RoomKey) -> Option<u8> {
        Some(self.meetings.get(key)?.mix?.thread)
    }

    /// Whether nobody is in any room.
    pub(crate) fn is_idle(&self) -> bool {
        self.meetings.is_empty()
    }

    fn attendee(&mut self, key: &RoomKey, call: CallId) -> Option<&mut Attendee> {
        self.meetings.get_mut(key)?.attendees.iter_mut().find(|attendee| attendee.call == call)
    }

    #[cfg(debug_assertions)]
    fn knows(&self, key: &RoomKey, call: CallId) -> bool {
        self.meetings.get(key).is_some_and(|of| of.attendees.iter().any(|attendee| attendee.call == call))
    }
}

impl Switch {
    /// Does what the program of a call wants in its room.
    pub(crate) fn do_in_room(&mut self, now: Now, call: CallId, deed: Deed) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let company = of.company.clone();
        let said = match deed {
            Deed::Approach(room) => {
                of.room = Some(RoomKey { company, room });
                return;
            }
            Deed::PinTried { room, role } => {
                self.room_pin_tried(now, call, &RoomKey { company, room }, role);
                return;
            }
            Deed::Join { room, moderator } => {
                let key = RoomKey { company, room };
                let said = self.join_room(now, call, &key, moderator);
                if let Said::Refused(why) = said {
                    let fields = Fields { result: Some(why.code().into()), ..Fields::default() };
                    let text = format!("{}: room:{}", why.code(), key.room);
                    self.decide_with(now, &key.company, Some(call), "room.refused", &text, fields);
                }
                Some(said)
            }
            Deed::FlipMute | Deed::FlipLock | Deed::FlipMuteOthers | Deed::KickLast | Deed::End => {
                let Some(key) = of.room.clone() else { return };
                self.order_inside(now, call, &key, &deed)
            }
        };
        if let Some(said) = said {
            self.run_program(now, call, Event::Room(said));
        }
    }

    fn room_of(&self, key: &RoomKey) -> Option<&Room> {
        self.config.companies.get(&key.company)?.rooms.get(&key.room)
    }

    fn room_pin_tried(&mut self, now: Now, call: CallId, key: &RoomKey, role: Option<bool>) {
        // While none is taken none counts: a call now and then would keep everybody out for ever.
        if self.room_is_shut(now, key) {
            return;
        }
        if let Some(moderator) = role {
            // Who comes in as attendee may still be guessing at the moderators' PIN.
            let clears = moderator || self.room_of(key).is_none_or(|room| room.moderator_pin.is_none());
            if clears && self.conferences.wrong_pins.remove(key).is_some() {
                self.tell_pin_tries(now, PinOf::Room(key.clone()), 0);
            }
            return;
        }
        let old = |last: Timestamp| wrong_pins::since(now.utc, last) >= WRONG_LOCKED;
        let (count, last) = self.conferences.wrong_pins.entry(key.clone()).or_insert((0, now.utc));
        *count = if old(*last) { 1 } else { *count + 1 };
        *last = now.utc;
        let count = *count;
        self.tell_pin_tries(now, PinOf::Room(key.clone()), count);
        self.decide(
            now,
            &key.company,
            Some(call),
            "room.wrong_pin",
            &format!("wrong_pin: room:{}", key.room),
        );
        if count == WRONG_MAX {
            let why =
                format!("room:{}: {WRONG_MAX} wrong PINs in a row; none is taken for 15 minutes", key.room);
            self.alarm(now, &key.company.clone(), "room.wrong_pins", &why);
        }
    }

    /// Whether so many wrong PINs were tried that none is taken.
    fn room_is_shut(&self, now: Now, key: &RoomKey) -> bool {
        let wrong = self.conferences.wrong_pins.get(key);
        wrong.is_some_and(|(count, last)| {
            *count >= WRONG_MAX && wrong_pins::since(now.utc, *last) < WRONG_LOCKED
        })
    }

    fn join_room(&mut self, now: Now, call: CallId, key: &RoomKey, moderator: bool) -> Said {
        let Some(room) = self.room_of(key).cloned() else { return Said::Refused(Closed::Gone) };
        let asks = room.pin.is_some() || room.moderator_pin.is_some();
        if asks && self.room_is_shut(now, key) {
            return Said::Refused(Closed::WrongPins);
        }
        let meeting = self.conferences.meetings.entry(key.clone()).or_insert_with(|| Meeting {
            mix: None,
            since: now.mono,
            locked: false,
            begun: !room.wait,
            ending: false,
            attendees: Vec::new(),
        });
        let count = meeting.attendees.len();
        match () {
            () if meeting.locked && !moderator => return Said::Refused(Closed::Locked),
            () if count >= room.max => return Said::Refused(Closed::Full),
            () => {}
        }
        meeting.begun |= moderator;
        let begun = meeting.begun;
        meeting.attendees.push(Attendee { call, moderator, muted: false, since: now.mono, hears: None });
        // The others have not been told of it.
        self.stop_taping(call);
        let Some(of) = self.calls.get_mut(&call) else { return Said::Joined };
        of.room = Some(key.clone());
        of.talking_since = Some(now.mono);
        of.cdr.connected.get_or_insert(now.utc);
        let user = of.facts.user.clone();
        let who = if moderator { "moderator" } else { "attendee" };
        let fields = Fields {
            agent: user,
            place: u32::try_from(count + 1).ok(),
            result: Some(who.into()),
            ..Fields::default()
        };
        let why = format!("{who}: room:{}, {} there", key.room, count + 1);
        self.decide_with(now, &key.company, Some(call), "room.joined", &why, fields);
        self.seat(key);
        self.watch_call(call);
        if begun && count > 0 && room.sounds {
            self.sound_in(key, &[(Tone::Beep, 90), (Tone::Beep, 90)]);
        }
        match (begun, count) {
            (false, _) => Said::Told("conf/wait-moderator"),
            (true, 0) => Said::Told("conf/alone"),
            (true, _) => Said::Joined,
        }
    }

    /// A call is over, or no longer in its room.
    pub(crate) fn leave_room(&mut self, now: Now, call: CallId) {
        let Some(key) = self.calls.get_mut(&call).and_then(|of| of.room.take()) else { return };
        let Some(meeting) = self.conferences.meetings.get_mut(&key) else { return };
        let Some(at) = meeting.attendees.iter().position(|attendee| attendee.call == call) else { return };
        let gone = meeting.attendees.remove(at);
        let (left, begun) = (meeting.attendees.len(), meeting.begun);
        let headless =
            gone.moderator && !meeting.ending && !meeting.attendees.iter().any(|attendee| attendee.moderator);
        let talked = now.mono.saturating_duration_since(gone.since).as_millis();
        let fields = Fields {
            agent: self.calls.get(&call).and_then(|of| of.facts.user.clone()),
            talk_ms: u64::try_from(talked).ok(),
            place: u32::try_from(left).ok(),
            ..Fields::default()
        };
        let why = format!("left: room:{}, {left} there", key.room);
        self.decide_with(now, &key.company, Some(call), "room.left", &why, fields);
        if left == 0 {
            self.conferences.meetings.remove(&key);
            return;
        }
        let room = self.room_of(&key);
        if headless && room.is_some_and(|room| room.ends_with_moderator) {
            self.end_meeting(now, &key, "moderator", "conf/moderator-left");
            return;
        }
        let sounds = room.is_some_and(|room| room.sounds);
        self.seat(&key);
        if begun && sounds {
            self.sound_in(&key, &[(Tone::Dial, 200)]);
        }
    }

    /// Has everybody in a room hear what they should: each other, or music.
    fn seat(&mut self, key: &RoomKey) {
        let music = self.music_of_room(key);
        let Some(meeting) = self.conferences.meetings.get(key) else { return };
        let together = meeting.begun && meeting.attendees.len() > 1;
        let mut mix = meeting.mix;
        if together && mix.is_none() {
            let first = meeting.attendees.first().and_then(|first| self.calls.get(&first.call));
            let thread =
                first.and_then(|first| self.open_stream(first.caller)).map_or(0, |stream| stream.thread);
            mix = Some(self.conferences.new_mix(thread));
        }
        let Some(meeting) = self.conferences.meetings.get_mut(key) else { return };
        meeting.mix = mix;
        let mut changed = Vec::new();
        for attendee in &mut meeting.attendees {
            let Some(leg) = self.calls.get(&attendee.call).map(|of| of.caller) else { continue };
            // A phone that holds may send music of its own.
            let holds = self.legs.get(&leg).is_some_and(|leg| leg.on_hold());
            let voice = if attendee.muted || holds { Voice::Nobody } else { Voice::All };
            let hears = if together { Hears::Others(voice) } else { Hears::Music };
            if attendee.hears.replace(hears) != Some(hears) {
                changed.push((leg, hears));
            }
        }
        for (leg, hears) in changed {
            let base = match (hears, mix) {
                (Hears::Others(voice), Some(mix)) => Base::Mix { mix, voice },
                (Hears::Others(_) | Hears::Music, _) => Base::Music(music.clone()),
            };
            self.set_base(leg, base);
        }
    }

    /// The phone of a call's caller is another, or its session has changed. `false`: the call is in no meeting.
    pub(crate) fn seat_again(&mut self, call: CallId) -> bool {
        let Some(key) = self.calls.get(&call).and_then(|of| of.room.clone()) else { return false };
        let Some(attendee) = self.conferences.attendee(&key, call) else { return false };
        attendee.hears = None;
        self.seat(&key);
        true
    }

    fn music_of_room(&self, key: &RoomKey) -> crate::media::ClipName {
        let company: Option<&Company> = self.config.companies.get(&key.company).map(|company| &**company);
        let music = self.room_of(key).and_then(|room| room.music.as_ref());
        match music.or(company.and_then(|company| company.music.as_ref())) {
            Some(media) => clip_name(&PromptKey::Media(key.company.clone(), media.clone())),
            None => "music".into(),
        }
    }

    /// Plays tones of so many milliseconds, and pauses between them, into a meeting.
    fn sound_in(&mut self, key: &RoomKey, tones: &[(Tone, u64)]) {
        let Some(meeting) = self.conferences.meetings.get(key) else { return };
        let mut streams = meeting.attendees.iter().filter_map(|attendee| {
            let of = self.calls.get(&attendee.call)?;
            self.open_stream(of.caller)
        });
        let Some(stream) = streams.next().filter(|_| meeting.attendees.len() > 1) else { return };
        let mut items = Vec::new();
        for (tone, ms) in tones {
            items.push(PlayItem::Tone(*tone, Duration::from_millis(*ms)));
            items.push(PlayItem::Pause(Duration::from_millis(60)));
        }
        self.outputs.push_back(Output::Media(Command::PlayInMix { stream, items }));
    }

    /// A key of somebody in a meeting: what to tell them.
    fn order_inside(&mut self, now: Now, call: CallId, key: &RoomKey, deed: &Deed) -> Option<Said> {
        let meeting = self.conferences.meetings.get(key)?;
        let of = meeting.attendees.iter().find(|attendee| attendee.call == call)?;
        let (muted, locked) = (of.muted, meeting.locked);
        if *deed != Deed::FlipMute && !of.moderator {
            return Some(Said::Told("conf/not-moderator"));
        }
        let others = meeting.attendees.iter().filter(|attendee| !attendee.moderator);
        let all_muted = others.clone().all(|attendee| attendee.muted);
        let last = meeting.attendees.iter().rev().find(|attendee| !attendee.moderator).map(|last| last.call);
        let (order, said) = match deed {
            Deed::FlipMute => (
                RoomOrder::Mute { call: Some(call), muted: !muted },
                if muted { "conf/unmuted" } else { "conf/muted" },
            ),
            Deed::FlipLock => (
                RoomOrder::Lock { locked: !locked },
                if locked { "conf/room-unlocked" } else { "conf/room-locked" },
            ),
            Deed::FlipMuteOthers => (
                RoomOrder::Mute { call: None, muted: !all_muted },
                if all_muted { "conf/all-unmuted" } else { "conf/all-muted" },
            ),
            Deed::KickLast => match last {
                Some(call) => (RoomOrder::Kick { call }, "conf/removed-one"),
                None => return Some(Said::Told("menu/invalid")),
            },
            Deed::End => (RoomOrder::End, "conf/ended"),
            Deed::Approach(_) | Deed::PinTried { .. } | Deed::Join { .. } => return None,
        };
        let ends = order == RoomOrder::End;
        self.order_meeting(now, key, &order, "code").ok()?;
        (!ends).then_some(Said::Told(said))
    }

    /// Carries out an order to a meeting.
    fn order_meeting(&mut self, now: Now, key: &RoomKey, order: &RoomOrder, by: &str) -> Result<(), String> {
        let company = &key.company;
        let Some(meeting) = self.conferences.meetings.get_mut(key) else {
            return Err(format!("nobody is in room \"{}\" of company \"{company}\"", key.room));
        };
        let fields = Fields { by: Some(by.into()), ..Fields::default() };
        let named = match order {
            RoomOrder::Mute { call, .. } => *call,
            RoomOrder::Kick { call } => Some(*call),
            RoomOrder::Lock { .. } | RoomOrder::End => None,
        };
        if let Some(call) = named
            && !meeting.attendees.iter().any(|attendee| attendee.call == call)
        {
            return Err(format!("call {call} is not in room \"{}\"; `sentral rooms` lists who is", key.room));
        }
        let (event, why) = match order {
            RoomOrder::Mute { call, muted } => {
                let whom =
                    |attendee: &&mut Attendee| call.map_or(!attendee.moderator, |call| attendee.call == call);
                meeting.attendees.iter_mut().filter(whom).for_each(|attendee| attendee.muted = *muted);
                let event = if *muted { "room.muted" } else { "room.unmuted" };
                (event, if call.is_some() { "one" } else { "all but moderators" })
            }
            RoomOrder::Lock { locked } => {
                meeting.locked = *locked;
                (if *locked { "room.locked" } else { "room.unlocked" }, "room")
            }
            RoomOrder::Kick { .. } => ("room.kicked", "one"),
            RoomOrder::End => ("room.ended", "all"),
        };
        let text = format!("order: room:{}, {why}, by {by}", key.room);
        self.decide_with(now, company, named, event, &text, fields);
        match order {
            RoomOrder::Mute { .. } => self.seat(key),
            RoomOrder::Lock { .. } => {}
            RoomOrder::Kick { call } => self.see_out(now, *call, "conf/removed"),
            RoomOrder::End => self.end_all(now, key, "conf/ended"),
        }
        Ok(())
    }

    fn end_meeting(&mut self, now: Now, key: &RoomKey, by: &str, prompt: &'static str) {
        let fields = Fields { by: Some(by.into()), ..Fields::default() };
        let why = format!("{by}: room:{}", key.room);
        self.decide_with(now, &key.company, None, "room.ended", &why, fields);
        self.end_all(now, key, prompt);
    }

    fn end_all(&mut self, now: Now, key: &RoomKey, prompt: &'static str) {
        let Some(meeting) = self.conferences.meetings.get_mut(key) else { return };
        meeting.ending = true;
        let calls: Vec<CallId> = meeting.attendees.iter().map(|attendee| attendee.call).collect();
        for call in calls {
            self.see_out(now, call, prompt);
        }
    }

    /// Somebody is out of the meeting at once, hears why, and the call ends.
    fn see_out(&mut self, now: Now, call: CallId, prompt: &'static str) {
        if let Some(caller) = self.calls.get(&call).map(|of| of.caller) {
            self.set_base(caller, Base::Silence);
        }
        self.leave_room(now, call);
        self.run_program(now, call, Event::Room(Said::Over(prompt)));
    }

    /// The configuration has changed: meetings in rooms that are gone end, and those begin that wait for nobody now.
    pub(crate) fn adopt_rooms(&mut self, now: Now) {
        let keys: Vec<RoomKey> = self.conferences.meetings.keys().cloned().collect();
        for key in keys {
            let Some(wait) = self.room_of(&key).map(|room| room.wait) else {
                self.end_meeting(now, &key, "system", "conf/ended");
                continue;
            };
            let meeting = self.conferences.meetings.get_mut(&key).filter(|meeting| !wait && !meeting.begun);
            if let Some(meeting) = meeting {
                meeting.begun = true;
                self.seat(&key);
            }
        }
    }

    /// An order of somebody at the command line or in the portal.
    pub(crate) fn order_room(
        &mut self,
        now: Now,
        company: &CompanyId,
        room: &RoomId,
        order: &RoomOrder,
    ) -> Answer {
        let key = RoomKey { company: company.clone(), room: room.clone() };
        if self.room_of(&key).is_none() {
            let why = format!("company \"{company}\" has no room \"{room}\"");
            return Answer::Refused { why, not_found: true };
        }
        match self.order_meeting(now, &key, order, "cli") {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Refused { why, not_found: true },
        }
    }

    /// The rooms in which somebody is.
    pub(crate) fn room_views(&self, now: Now, company: Option<&CompanyId>) -> Vec<RoomView> {
        let age = |since: Instant| now.mono.saturating_duration_since(since).as_secs();
        let meetings = self.conferences.meetings.iter();
        let meetings = meetings.filter(|(key, _)| company.is_none_or(|company| key.company == *company));
        let view = |attendee: &Attendee| {
            let of = self.calls.get(&attendee.call)?;
            Some(AttendeeView {
                call: attendee.call,
                user: of.facts.user.clone(),
                number: of.shown_number(),
                moderator: attendee.moderator,
                muted: attendee.muted,
                age_s: age(attendee.since),
            })
        };
        meetings
            .map(|(key, meeting)| RoomView {
                company: key.company.clone(),
                room: key.room.clone(),
                name: self.room_of(key).map(|room| room.name.to_string()).unwrap_or_default(),
                locked: meeting.locked,
                waits: !meeting.begun,
                age_s: age(meeting.since),
                attendees: meeting.attendees.iter().filter_map(view).collect(),
            })
            .collect()
    }

    /// Everybody in a meeting has a call that says so.
    #[cfg(debug_assertions)]
    pub(crate) fn check_meetings(&self) {
        for (key, meeting) in &self.conferences.meetings {
            debug_assert!(!meeting.attendees.is_empty(), "{key} is empty and not over");
            for attendee in &meeting.attendees {
                let room = self.calls.get(&attendee.call).and_then(|of| of.room.as_ref());
                debug_assert!(room == Some(key), "call {} is in {key} and does not know", attendee.call);
            }
        }
        for call in self.calls.values().filter(|of| !of.ending) {
            let talks = call.room.as_ref().is_some_and(|key| self.conferences.knows(key, call.id));
            debug_assert!(!talks || call.callee.is_none(), "call {} has a second party in a room", call.id);
        }
    }
}
