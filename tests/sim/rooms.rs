//! Conference rooms: who is let in, who hears whom, and what moderators order.

use std::time::Duration;

use sentral::media::Base;
use sentral::media::Voice;
use sentral::model::cdr::CallResult;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::room::RoomOrder;
use sentral::model::room::RoomView;
use sentral::sip::DialogId;
use sentral::switch::Input;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const BOARD: &str = "+4736000130";
const OPEN: &str = "+4736000131";

const ROOMS: &str = r#"
[rooms.board]
name = "Styret"
ext = "800"
pin = "1234"
moderator_pin = "9876"
max = 4
WAIT
[rooms.open]
name = "Åpent"
ext = "801"
"#;

/// A world with the two rooms, the carrier, and whoever has called.
struct Meeting {
    world: World,
    carrier: usize,
}

impl Meeting {
    fn new(seed: u64, extra: &str) -> Meeting {
        Meeting::with(seed, &ROOMS.replace("WAIT", extra))
    }

    fn with(seed: u64, rooms: &str) -> Meeting {
        let mut world = World::at(seed, noon(), config(&company(rooms)));
        let carrier = world.carrier();
        Meeting { world, carrier }
    }

    fn call(&mut self, number: &str) -> DialogId {
        let line = self.world.phones[self.carrier].call(self.world.now, number, false);
        self.world.run(S / 2);
        line
    }

    fn press(&mut self, line: DialogId, keys: &str) {
        let audio = self.world.phones[self.carrier].lines[&line].audio;
        for key in keys.chars() {
            self.world.key(audio, key);
            self.world.run(S / 10);
        }
    }

    fn join(&mut self, pin: &str) -> DialogId {
        let line = self.call(BOARD);
        self.press(line, &format!("{pin}#"));
        self.world.run(S / 2);
        line
    }

    fn base(&self, line: DialogId) -> Base {
        let audio = self.world.phones[self.carrier].lines[&line].audio;
        self.world.stream_to(audio).expect("a stream").1.base.clone()
    }

    fn voice(&self, line: DialogId) -> Option<Voice> {
        match self.base(line) {
            Base::Mix { voice, .. } => Some(voice),
            _ => None,
        }
    }

    fn heard(&self, line: DialogId) -> String {
        let audio = self.world.phones[self.carrier].lines[&line].audio;
        self.world.stream_to(audio).map(|(_, of)| of.played.join(" ")).unwrap_or_default()
    }

    fn over(&self, line: DialogId) -> bool {
        matches!(self.world.phones[self.carrier].lines[&line].stage, Stage::Over(_))
    }

    fn hang_up(&mut self, line: DialogId) {
        self.world.phones[self.carrier].hang_up(self.world.now, line);
        self.world.run(S);
    }

    fn rooms(&mut self) -> Vec<RoomView> {
        self.world.order(Command::Rooms { company: None });
        match self.world.answers.pop() {
            Some(Answered::Rooms { rooms }) => rooms,
            other => panic!("{other:?}"),
        }
    }

    fn order(&mut self, order: RoomOrder) -> Answered {
        let (company, room) = ("prove".into(), "board".into());
        self.world.order(Command::Room { company, room, order });
        self.world.run(S);
        self.world.answers.pop().expect("an answer")
    }

    fn told(&self, event: &str) -> usize {
        told(&self.world, event)
    }

    /// How many streams have had a sound played into the room.
    fn sounds(&self) -> usize {
        self.world.streams.values().map(|of| of.sounds).sum()
    }
}

fn company(rooms: &str) -> String {
    let numbers = format!("[numbers]\n\"{BOARD}\" = \"room:board\"\n\"{OPEN}\" = \"room:open\"\n");
    COMPANY.replace("[numbers]\n", &numbers) + rooms
}

fn told(world: &World, what: &str) -> usize {
    world.changes.iter().filter(|c| matches!(c, Change::Decision(event) if *event.event == *what)).count()
}

#[test]
fn two_with_the_pin_hear_each_other_and_one_without_is_not_let_in() {
    let mut meeting = Meeting::new(901, "");
    let ann = meeting.join("1234");
    assert!(matches!(meeting.base(ann), Base::Music(_)), "alone");
    assert!(meeting.heard(ann).contains("conf/alone"), "{}", meeting.heard(ann));
    let bob = meeting.call(BOARD);
    meeting.press(bob, "1111#");
    meeting.world.run(S);
    assert!(meeting.heard(bob).contains("conf/wrong-pin"));
    assert!(matches!(meeting.base(ann), Base::Music(_)), "still alone");
    meeting.press(bob, "1234#");
    meeting.world.run(S);
    assert_eq!((meeting.voice(ann), meeting.voice(bob)), (Some(Voice::All), Some(Voice::All)));
    assert_eq!(meeting.base(ann), meeting.base(bob), "the same mix");
    assert_eq!(meeting.sounds(), 1, "a sound tells that somebody came");
    let eve = meeting.call(BOARD);
    for pin in ["1#", "2#", "12345#"] {
        meeting.press(eve, pin);
    }
    meeting.world.run(3 * S);
    assert!(meeting.over(eve), "three wrong PINs");
    assert_eq!(meeting.told("room.wrong_pin"), 4);
    meeting.hang_up(bob);
    assert!(matches!(meeting.base(ann), Base::Music(_)), "alone again");
    let cdr = meeting.world.cdrs.last().expect("Bob's").clone();
    assert_eq!(cdr.result, CallResult::Answered);
    assert!(cdr.talk_ms >= 1000 && cdr.connected.is_some(), "{cdr:?}");
    meeting.hang_up(ann);
    assert_eq!((meeting.told("room.joined"), meeting.told("room.left")), (2, 2));
    meeting.world.finish();
}

#[test]
fn a_room_without_pin_is_entered_at_once_and_its_keys_mute() {
    let mut meeting = Meeting::new(902, "");
    let (ann, bob) = (meeting.call(OPEN), meeting.call(OPEN));
    assert_eq!(meeting.voice(ann), Some(Voice::All));
    meeting.press(bob, "*6");
    meeting.world.run(S);
    assert_eq!(meeting.voice(bob), Some(Voice::Nobody));
    assert!(meeting.heard(bob).contains("conf/muted"));
    meeting.press(bob, "*6");
    meeting.world.run(S);
    assert_eq!(meeting.voice(bob), Some(Voice::All));
    meeting.press(bob, "*4");
    meeting.world.run(S);
    assert!(meeting.heard(bob).contains("conf/not-moderator"));
    assert_eq!(meeting.told("room.locked"), 0);
    // Somebody who puts the meeting on hold does not play their music into it.
    meeting.world.phones[meeting.carrier].hold(meeting.world.now, ann, true);
    meeting.world.run(S);
    assert_eq!(meeting.voice(ann), Some(Voice::Nobody));
    meeting.world.phones[meeting.carrier].hold(meeting.world.now, ann, false);
    meeting.world.run(S);
    assert_eq!(meeting.voice(ann), Some(Voice::All));
    meeting.world.finish();
}

#[test]
fn a_moderator_locks_mutes_and_lets_go() {
    let mut meeting = Meeting::new(903, "");
    let (boss, ann, bob) = (meeting.join("9876"), meeting.join("1234"), meeting.join("1234"));
    meeting.press(boss, "*5");
    meeting.world.run(S);
    let voices = [boss, ann, bob].map(|line| meeting.voice(line));
    assert_eq!(voices, [Some(Voice::All), Some(Voice::Nobody), Some(Voice::Nobody)]);
    meeting.press(boss, "*5");
    meeting.press(boss, "*4");
    meeting.world.run(S);
    assert_eq!(meeting.voice(ann), Some(Voice::All));
    let late = meeting.join("1234");
    meeting.world.run(2 * S);
    assert!(meeting.over(late), "the room is locked");
    assert_eq!(meeting.told("room.refused"), 1);
    let second = meeting.join("9876");
    assert_eq!(meeting.voice(second), Some(Voice::All), "moderators come in");
    let rooms = meeting.rooms();
    assert!(rooms[0].locked && rooms[0].attendees.len() == 4, "{rooms:?}");
    let full = meeting.join("9876");
    meeting.world.run(2 * S);
    assert!(meeting.over(full), "as many as may be");
    meeting.press(boss, "*8");
    meeting.world.run(3 * S);
    assert!(meeting.over(bob) && !meeting.over(ann), "the last who came");
    meeting.press(boss, "*9");
    meeting.world.run(3 * S);
    assert!([boss, ann, second].iter().all(|line| meeting.over(*line)), "the meeting is over");
    assert!(meeting.rooms().is_empty());
    meeting.world.finish();
}

#[test]
fn nobody_talks_before_the_moderator_and_the_meeting_ends_with_them() {
    let mut meeting = Meeting::new(904, "wait_for_moderator = true\nends_with_moderator = true");
    let (ann, bob) = (meeting.join("1234"), meeting.join("1234"));
    assert!(meeting.heard(bob).contains("conf/wait-moderator"));
    assert!([ann, bob].iter().all(|line| matches!(meeting.base(*line), Base::Music(_))), "they wait");
    assert!(meeting.rooms()[0].waits);
    let boss = meeting.join("9876");
    assert!([ann, bob, boss].iter().all(|line| meeting.voice(*line) == Some(Voice::All)));
    meeting.hang_up(boss);
    meeting.world.run(3 * S);
    assert!(meeting.over(ann) && meeting.over(bob));
    assert_eq!(meeting.told("room.ended"), 1);
    meeting.world.finish();
}

#[test]
fn an_operator_sees_mutes_locks_and_ends() {
    let mut meeting = Meeting::new(905, "");
    let kari = meeting.world.registered("kari");
    let line = meeting.world.phones[kari].call(meeting.world.now, "800", false);
    meeting.world.run(S);
    let audio = meeting.world.phones[kari].lines[&line].audio;
    for key in "9876#".chars() {
        meeting.world.key(audio, key);
    }
    let ann = meeting.join("1234");
    let rooms = meeting.rooms();
    let [first, second] = &rooms[0].attendees[..] else { panic!("{rooms:?}") };
    assert_eq!((first.user.as_ref().map(|user| user.as_str()), first.moderator), (Some("kari"), true));
    assert_eq!((second.user.as_ref(), second.moderator), (None, false));
    let call = second.call;
    assert_eq!(meeting.order(RoomOrder::Mute { call: Some(call), muted: true }), Answered::Done);
    assert_eq!(meeting.voice(ann), Some(Voice::Nobody));
    assert!(meeting.rooms()[0].attendees[1].muted);
    assert_eq!(meeting.order(RoomOrder::Lock { locked: true }), Answered::Done);
    assert_eq!(meeting.order(RoomOrder::Kick { call }), Answered::Done);
    meeting.world.run(2 * S);
    assert!(meeting.over(ann));
    let again = meeting.order(RoomOrder::Kick { call });
    assert!(matches!(again, Answered::Refused { not_found: true, .. }), "{again:?}");
    assert_eq!(meeting.order(RoomOrder::End), Answered::Done);
    meeting.world.run(2 * S);
    let nobody = meeting.order(RoomOrder::End);
    assert!(matches!(nobody, Answered::Refused { not_found: true, .. }), "{nobody:?}");
    meeting.world.finish();
}

#[test]
fn many_wrong_pins_shut_the_door_to_right_ones_too() {
    let mut meeting = Meeting::new(906, "");
    for _ in 0..4 {
        let eve = meeting.call(BOARD);
        meeting.press(eve, "1#2#3#");
        meeting.world.run(3 * S);
        assert!(meeting.over(eve));
    }
    let ann = meeting.join("1234");
    meeting.world.run(3 * S);
    assert!(meeting.over(ann));
    meeting.world.run(Duration::from_secs(16 * 60));
    let ann = meeting.join("1234");
    assert!(!meeting.over(ann), "a quarter of an hour later");
    meeting.world.finish();
}

#[test]
fn wrong_pins_are_not_forgotten_at_a_restart_and_a_right_one_clears_them() {
    for right_before in [false, true] {
        let mut meeting = Meeting::new(911, "");
        for _ in 0..3 {
            let eve = meeting.call(BOARD);
            meeting.press(eve, "1#2#3#");
            meeting.world.run(3 * S);
            assert!(meeting.over(eve));
        }
        if right_before {
            let boss = meeting.join("9876");
            assert!(!meeting.over(boss));
            meeting.hang_up(boss);
        }
        meeting.world.run(60 * S);
        meeting.world.restart(config(&company(&ROOMS.replace("WAIT", ""))));
        let eve = meeting.call(BOARD);
        meeting.press(eve, "4#");
        meeting.world.run(3 * S);
        meeting.hang_up(eve);
        let ann = meeting.join("1234");
        meeting.world.run(3 * S);
        assert_eq!(meeting.over(ann), !right_before, "the tenth in a row shuts the door");
        meeting.world.finish();
    }
}

#[test]
fn who_comes_in_as_attendee_opens_no_way_to_guess_the_moderators_pin() {
    let mut meeting = Meeting::with(907, &ROOMS.replace("pin = \"1234\"\n", "").replace("WAIT", ""));
    for _ in 0..6 {
        let eve = meeting.call(BOARD);
        meeting.press(eve, "1#2##");
        meeting.world.run(S);
        meeting.hang_up(eve);
    }
    assert_eq!(meeting.told("room.wrong_pin"), 10, "none is taken after ten");
    let boss = meeting.join("9876");
    meeting.world.run(3 * S);
    assert!(meeting.over(boss));
    meeting.world.finish();
}

#[test]
fn silence_is_no_wrong_pin_and_what_is_tried_at_a_shut_door_keeps_it_shut_no_longer() {
    let mut meeting = Meeting::new(908, "");
    for _ in 0..4 {
        let _silent = meeting.call(BOARD);
        meeting.world.run(60 * S);
    }
    assert_eq!(meeting.told("room.wrong_pin"), 0);
    let wrong = |meeting: &mut Meeting, keys: &str| {
        let eve = meeting.call(BOARD);
        meeting.press(eve, keys);
        meeting.world.run(3 * S);
        meeting.hang_up(eve);
    };
    for _ in 0..4 {
        wrong(&mut meeting, "1#2#3#");
    }
    meeting.world.run(Duration::from_secs(14 * 60));
    wrong(&mut meeting, "4#");
    meeting.world.run(Duration::from_secs(60));
    let ann = meeting.join("1234");
    assert!(!meeting.over(ann), "a quarter of an hour after the tenth");
    meeting.world.finish();
}

#[test]
fn a_meeting_that_its_moderator_ends_is_told_once_and_by_the_right_prompt() {
    let mut meeting = Meeting::new(909, "ends_with_moderator = true");
    let (boss, ann, bob) = (meeting.join("9876"), meeting.join("1234"), meeting.join("1234"));
    meeting.press(boss, "*9");
    for line in [ann, bob] {
        let heard = meeting.heard(line);
        assert!(heard.contains("conf/ended") && !heard.contains("conf/moderator-left"), "{heard}");
    }
    meeting.world.run(3 * S);
    assert!([boss, ann, bob].iter().all(|line| meeting.over(*line)));
    assert_eq!(meeting.told("room.ended"), 1);
    meeting.world.finish();
}

#[test]
fn those_who_wait_for_a_moderator_talk_when_the_room_no_longer_wants_one() {
    let mut meeting = Meeting::new(910, "wait_for_moderator = true");
    let (ann, bob) = (meeting.join("1234"), meeting.join("1234"));
    assert!([ann, bob].iter().all(|line| matches!(meeting.base(*line), Base::Music(_))), "they wait");
    meeting.world.input(Input::Config(config(&company(&ROOMS.replace("WAIT", "")))));
    assert_eq!((meeting.voice(ann), meeting.voice(bob)), (Some(Voice::All), Some(Voice::All)));
    assert!(!meeting.rooms()[0].waits);
    meeting.world.finish();
}
