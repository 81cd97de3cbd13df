//! Calls in which more than two take part: three-way by key and by order; supervisors who listen, whisper and barge in.

use std::time::Duration;

use sentral::media::Base;
use sentral::media::Voice;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::command::RecordOrder;
use sentral::model::id::CallId;
use sentral::model::room::Supervise;
use sentral::sip::DialogId;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const KARI: &str = "+4736000101";

/// A caller of the carrier who talks with Kari; Ola and Sara have phones, and Sara is a supervisor.
struct Talk {
    world: World,
    carrier: usize,
    kari: usize,
    sara: usize,
    ola: usize,
    caller: DialogId,
    line: DialogId,
}

impl Talk {
    fn new(seed: u64, extra: &str) -> Talk {
        let text = COMPANY
            .replace("number = \"+4736000100\"\n", "number = \"+4736000100\"\nfeature_keys = \"all\"\n")
            .replace("name = \"Sara\"\n", "name = \"Sara\"\nrole = \"supervisor\"\n")
            + extra;
        let mut world = World::at(seed, noon(), config(&text));
        let carrier = world.carrier();
        let (kari, sara, ola) = (world.registered("kari"), world.registered("sara"), world.registered("ola"));
        let caller = world.phones[carrier].call(world.now, KARI, false);
        world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
        let line = world.phones[kari].line(&Stage::Up).unwrap();
        world.run(S);
        Talk { world, carrier, kari, sara, ola, caller, line }
    }

    fn base(&self, phone: usize, line: DialogId) -> Base {
        let audio = self.world.phones[phone].lines[&line].audio;
        self.world.stream_to(audio).expect("a stream").1.base.clone()
    }

    fn voice(&self, phone: usize, line: DialogId) -> Option<Voice> {
        match self.base(phone, line) {
            Base::Mix { voice, .. } => Some(voice),
            _ => None,
        }
    }

    fn two_talk(&self, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
        let audio = |(phone, line): (usize, DialogId)| self.world.phones[phone].lines[&line].audio;
        self.world.talk(audio(a), audio(b))
    }

    fn press(&mut self, phone: usize, line: DialogId, keys: &str) {
        let audio = self.world.phones[phone].lines[&line].audio;
        for key in keys.chars() {
            self.world.key(audio, key);
            self.world.run(S / 5);
        }
    }

    fn call(&mut self, phone: usize, number: &str) -> DialogId {
        let line = self.world.phones[phone].call(self.world.now, number, false);
        self.world.run(S);
        line
    }

    fn hang_up(&mut self, phone: usize, line: DialogId) {
        self.world.phones[phone].hang_up(self.world.now, line);
        self.world.run(S);
    }

    fn is_over(&self, phone: usize, line: DialogId) -> bool {
        matches!(self.world.phones[phone].lines[&line].stage, Stage::Over(_))
    }

    /// Kari asks Ola about the caller, and joins all three; Ola's line.
    fn three(&mut self) -> DialogId {
        self.press(self.kari, self.line, "*2102#");
        self.world.run(2 * S);
        let ola = self.world.phones[self.ola].line(&Stage::Up).expect("Ola has answered");
        assert!(self.two_talk((self.kari, self.line), (self.ola, ola)));
        self.press(self.kari, self.line, "*3");
        self.world.run(S);
        self.all_three((self.carrier, self.caller), (self.kari, self.line), (self.ola, ola));
        ola
    }

    fn all_three(&self, a: (usize, DialogId), b: (usize, DialogId), c: (usize, DialogId)) {
        let bases = [a, b, c].map(|(phone, line)| self.base(phone, line));
        assert!(matches!(bases[0], Base::Mix { voice: Voice::All, .. }), "{bases:?}");
        assert!(bases[1] == bases[0] && bases[2] == bases[0], "{bases:?}");
    }

    fn told(&self, what: &str) -> usize {
        let told = |c: &&Change| matches!(c, Change::Decision(event) if *event.event == *what);
        self.world.changes.iter().filter(told).count()
    }

    fn call_ids(&mut self) -> Vec<(CallId, String)> {
        self.world.order(Command::Calls);
        match self.world.answers.pop() {
            Some(Answered::Calls { calls }) => calls.into_iter().map(|call| (call.id, call.state)).collect(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn three_are_joined_by_key_and_whoever_hangs_up_leaves_two_who_talk() {
    for leaves in 0..3 {
        let mut talk = Talk::new(911 + leaves, "");
        let ola = talk.three();
        let (caller, kari, ola) = ((talk.carrier, talk.caller), (talk.kari, talk.line), (talk.ola, ola));
        let (gone, left) = match leaves {
            0 => (kari, (caller, ola)),
            1 => (ola, (caller, kari)),
            _ => (caller, (kari, ola)),
        };
        talk.hang_up(gone.0, gone.1);
        assert!(talk.two_talk(left.0, left.1), "{leaves}");
        assert_eq!(talk.told("call.joined"), 2, "one for each call");
        talk.world.finish();
    }
}

#[test]
fn in_a_three_way_one_who_holds_leaves_the_others_talking() {
    let mut talk = Talk::new(915, "");
    let ola = talk.three();
    talk.world.phones[talk.ola].hold(talk.world.now, ola, true);
    talk.world.run(S);
    assert_eq!(talk.voice(talk.ola, ola), Some(Voice::Nobody));
    assert_eq!(talk.voice(talk.kari, talk.line), Some(Voice::All), "no music for two who talk");
    assert_eq!(talk.voice(talk.carrier, talk.caller), Some(Voice::All));
    talk.world.phones[talk.ola].hold(talk.world.now, ola, false);
    talk.world.run(S);
    talk.all_three((talk.carrier, talk.caller), (talk.kari, talk.line), (talk.ola, ola));
    talk.press(talk.kari, talk.line, "*1");
    talk.world.run(S);
    assert!(talk.is_over(talk.ola, ola), "back to the caller alone");
    assert!(talk.two_talk((talk.carrier, talk.caller), (talk.kari, talk.line)));
    talk.world.finish();
}

#[test]
fn two_lines_of_a_phone_are_joined_by_order() {
    for leaves in 0..3 {
        let mut talk = Talk::new(921 + leaves, "");
        talk.world.phones[talk.kari].hold(talk.world.now, talk.line, true);
        talk.world.run(S);
        // Ola calls Kari, who is in a call; she takes it on her second line.
        let ola = talk.world.phones[talk.ola].call(talk.world.now, "101", false);
        let first = talk.line;
        talk.world.until("Kari answers again", 5 * S, |w| {
            w.phones[talk.kari].lines.iter().any(|(id, line)| *id != first && line.stage == Stage::Up)
        });
        let up = |(id, line): (&DialogId, &crate::phone::Line)| {
            (*id != first && line.stage == Stage::Up).then_some(*id)
        };
        let second = talk.world.phones[talk.kari].lines.iter().find_map(up).unwrap();
        talk.world.run(S);
        talk.world.order(Command::Join { company: "prove".into(), user: "kari".into() });
        talk.world.run(S);
        assert_eq!(talk.world.answers.pop(), Some(Answered::Done));
        assert!(talk.is_over(talk.kari, first), "one line is enough");
        let (caller, kari, ola) = ((talk.carrier, talk.caller), (talk.kari, second), (talk.ola, ola));
        talk.all_three(caller, kari, ola);
        let (gone, left) = match leaves {
            0 => (kari, (caller, ola)),
            1 => (ola, (caller, kari)),
            _ => (caller, (kari, ola)),
        };
        talk.hang_up(gone.0, gone.1);
        assert!(talk.two_talk(left.0, left.1), "{leaves}");
        talk.world.finish();
    }
    let mut talk = Talk::new(925, "");
    talk.world.order(Command::Join { company: "prove".into(), user: "kari".into() });
    let refused = talk.world.answers.pop();
    assert!(matches!(refused, Some(Answered::Refused { .. })), "{refused:?}");
    talk.world.finish();
}

#[test]
fn a_supervisor_listens_whispers_and_barges_in_by_keys() {
    let mut talk = Talk::new(931, "[supervision]\nbeep = true\n");
    let sara = talk.call(talk.sara, "*34101");
    let voices = |talk: &Talk| {
        [(talk.carrier, talk.caller), (talk.kari, talk.line), (talk.sara, sara)]
            .map(|(phone, line)| talk.voice(phone, line))
    };
    assert_eq!(voices(&talk), [Some(Voice::All), Some(Voice::All), Some(Voice::Nobody)]);
    let audio = talk.world.phones[talk.kari].lines[&talk.line].audio;
    let (id, of) = talk.world.stream_to(audio).unwrap();
    let kari = *id;
    assert!(of.played.iter().any(|played| played.contains("Beep")), "where it is configured");
    talk.press(talk.sara, sara, "2");
    talk.world.run(S);
    assert_eq!(voices(&talk)[2], Some(Voice::Only(kari)));
    talk.press(talk.sara, sara, "3");
    assert_eq!(voices(&talk)[2], Some(Voice::All));
    talk.press(talk.sara, sara, "1");
    assert_eq!(voices(&talk)[2], Some(Voice::Nobody));
    assert_eq!((talk.told("supervision.began"), talk.told("supervision.changed")), (1, 3));
    // Through hold, and a transfer.
    talk.world.phones[talk.kari].hold(talk.world.now, talk.line, true);
    talk.world.run(S);
    assert!(matches!(talk.base(talk.carrier, talk.caller), Base::Music(_)));
    assert!(matches!(talk.base(talk.sara, sara), Base::Music(_)), "silence would sound like the end");
    talk.world.phones[talk.kari].hold(talk.world.now, talk.line, false);
    talk.world.run(S);
    assert_eq!(voices(&talk), [Some(Voice::All), Some(Voice::All), Some(Voice::Nobody)]);
    talk.world.phones[talk.kari].refer(talk.world.now, talk.line, "sip:102@prove.example");
    talk.world.run(3 * S);
    let ola = talk.world.phones[talk.ola].line(&Stage::Up).expect("Ola has the call");
    assert_eq!(talk.voice(talk.ola, ola), Some(Voice::All));
    assert_eq!(talk.voice(talk.sara, sara), Some(Voice::Nobody));
    talk.hang_up(talk.carrier, talk.caller);
    talk.world.run(2 * S);
    assert!(talk.is_over(talk.sara, sara), "it ends with the call");
    talk.world.finish();
}

#[test]
fn a_supervisor_who_leaves_leaves_two_who_talk_and_nobody_else_may() {
    let mut talk = Talk::new(932, "");
    let sara = talk.call(talk.sara, "*36101");
    assert_eq!(talk.voice(talk.sara, sara), Some(Voice::All));
    assert!(talk.call_ids().iter().any(|(_, state)| state == "barge"));
    talk.hang_up(talk.sara, sara);
    assert!(talk.two_talk((talk.carrier, talk.caller), (talk.kari, talk.line)));
    let ola = talk.call(talk.ola, "*34101");
    talk.world.run(3 * S);
    assert!(talk.is_over(talk.ola, ola), "no supervisor");
    assert_eq!(talk.told("service.refused"), 1);
    let none = talk.call(talk.sara, "*34102");
    talk.world.run(3 * S);
    assert!(talk.is_over(talk.sara, none), "Ola talks with nobody");
    assert!(talk.two_talk((talk.carrier, talk.caller), (talk.kari, talk.line)));
    talk.world.finish();
}

#[test]
fn a_supervisor_is_rung_by_order_and_changes_by_another() {
    let mut talk = Talk::new(933, "");
    let (call, _) = talk.call_ids()[0].clone();
    talk.world.phones[talk.sara].answer = Answer::After(S);
    let order = |mode| Command::Supervise { call, by: "sara".into(), mode };
    talk.world.order(order(Supervise::Whisper));
    let rings = talk.world.answers.pop();
    assert!(matches!(rings, Some(Answered::Dialled { .. })), "{rings:?}");
    talk.world.run(3 * S);
    let sara = talk.world.phones[talk.sara].line(&Stage::Up).expect("answered");
    assert!(matches!(talk.voice(talk.sara, sara), Some(Voice::Only(_))));
    talk.world.order(order(Supervise::Barge));
    assert_eq!(talk.world.answers.pop(), Some(Answered::Done));
    assert_eq!(talk.voice(talk.sara, sara), Some(Voice::All));
    talk.world.order(Command::Supervise { call, by: "ola".into(), mode: Supervise::Listen });
    let refused = talk.world.answers.pop();
    assert!(matches!(refused, Some(Answered::Refused { not_found: false, .. })), "{refused:?}");
    // Whom the call was supervised in goes on in a three-way, and so does the supervisor.
    let ola = talk.three();
    assert_eq!(talk.voice(talk.sara, sara), Some(Voice::All));
    talk.hang_up(talk.kari, talk.line);
    assert_eq!(talk.voice(talk.ola, ola), Some(Voice::All));
    assert_eq!(talk.voice(talk.sara, sara), Some(Voice::All));
    talk.world.finish();
}

#[test]
fn whispers_to_a_colleague_who_called_out_are_in_no_recording() {
    let mut talk = Talk::new(934, "[recordings]\nannounce = false\n");
    talk.hang_up(talk.carrier, talk.caller);
    let out = talk.call(talk.kari, "36000777");
    talk.world.run(2 * S);
    let call = talk.call_ids()[0].0;
    talk.world.order(Command::Record { call, order: RecordOrder::Start });
    let kari = talk.world.phones[talk.kari].lines[&out].audio;
    let answered = talk.world.phones[talk.carrier].line(&Stage::Up).expect("answered");
    let outside = talk.world.phones[talk.carrier].lines[&answered].audio;
    let places = |talk: &Talk| talk.world.taped.values().next().expect("it is recorded").places.clone();
    assert_eq!(places(&talk), [(Some(kari), false)]);
    let sara = talk.call(talk.sara, "*34101");
    assert_eq!(places(&talk), [(Some(kari), false)], "who listens says nothing");
    talk.press(talk.sara, sara, "2");
    assert_eq!(places(&talk), [(Some(kari), false), (Some(outside), true)]);
    talk.world.finish();
}

#[test]
fn a_supervised_caller_who_is_sent_on_outside_hears_what_comes_before_the_answer() {
    let mut talk = Talk::new(935, "");
    let sara = talk.call(talk.sara, "*34101");
    talk.world.phones[talk.carrier].answer = Answer::Early;
    talk.world.phones[talk.kari].refer(talk.world.now, talk.line, "sip:+4736000777@prove.example");
    talk.world.run(S);
    let out = talk.world.phones[talk.carrier].line(&Stage::Ringing).expect("it rings outside");
    let early = talk.world.phones[talk.carrier].lines[&out].audio;
    let stream = *talk.world.stream_to(early).expect("it has a stream").0;
    assert_eq!(talk.base(talk.carrier, talk.caller), Base::Peer(stream));
    talk.world.phones[talk.carrier].pick_up(talk.world.now, out);
    talk.world.run(S);
    assert_eq!(talk.voice(talk.carrier, talk.caller), Some(Voice::All));
    assert_eq!(talk.voice(talk.sara, sara), Some(Voice::Nobody));
    talk.world.finish();
}

#[test]
fn a_colleague_who_is_put_on_hold_can_be_spoken_to() {
    let mut talk = Talk::new(936, "");
    let sara = talk.call(talk.sara, "*35101");
    talk.world.phones[talk.carrier].hold(talk.world.now, talk.caller, true);
    talk.world.run(S);
    assert_eq!(talk.voice(talk.kari, talk.line), Some(Voice::All));
    assert_eq!(talk.base(talk.sara, sara), talk.base(talk.kari, talk.line), "the two of them");
    assert_eq!(talk.voice(talk.carrier, talk.caller), None);
    talk.press(talk.sara, sara, "1");
    assert!(matches!(talk.base(talk.sara, sara), Base::Music(_)));
    assert!(matches!(talk.base(talk.kari, talk.line), Base::Music(_)));
    talk.press(talk.sara, sara, "2");
    talk.world.phones[talk.carrier].hold(talk.world.now, talk.caller, false);
    talk.world.run(S);
    assert_eq!(talk.voice(talk.carrier, talk.caller), Some(Voice::All));
    assert!(matches!(talk.voice(talk.sara, sara), Some(Voice::Only(_))));
    talk.world.finish();
}
