//! Transferred calls that nobody answers come back to who transferred them, or to the switchboard.

use std::time::Duration;

use sentral::sip::DialogId;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

const BOARD: &str = "
[queues.board]
name = \"Sentralbord\"
ext = \"600\"
type = \"sentralbord\"
agents = [\"kari\"]
auto_login = true
max_wait = \"5m\"
overflow = \"voicemail:shared\"
";

/// A carrier's caller who talks with Kari, who is at the switchboard or is not.
fn talking(seed: u64, switchboard: bool) -> (World, usize, usize, DialogId, DialogId) {
    let mut text = format!("{COMPANY}{BOARD}");
    if switchboard {
        text = text.replace("[users.kari]\n", "[users.kari]\nswitchboard = true\nreturn_after = \"10s\"\n");
    }
    let mut world = World::at(seed, noon(), config(&text));
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    (world, carrier, kari, call, line)
}

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

fn rung_from(world: &World, phone: usize) -> Option<String> {
    let ringing = world.phones[phone].line(&Stage::Ringing)?;
    Some(world.phones[phone].lines[&ringing].from.clone())
}

#[test]
fn a_transfer_that_nobody_answers_comes_back_to_the_switchboard_with_why() {
    let (mut world, carrier, kari, call, line) = talking(91, true);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.run(S / 2);
    world.phones[kari].hang_up(world.now, line);
    world.phones[kari].answer = Answer::After(2 * S);
    world.run(8 * S);
    assert!(rung_from(&world, kari).is_none(), "not before its time");
    world.until("Kari rings", 4 * S, |w| rung_from(w, kari).is_some());
    let from = rung_from(&world, kari).unwrap();
    assert!(from.contains("Retur: Ola (svarer ikke)") && from.contains("+4736000777"), "{from}");
    assert_eq!(world.phones[ola].live_lines(), 0, "Ola's phone is silent");
    world.until("they talk", 5 * S, |w| {
        w.phones[kari].line(&Stage::Up).is_some_and(|up| talk(w, (carrier, call), (kari, up)))
    });
    world.finish();
}

#[test]
fn somebody_busy_or_not_there_sends_the_call_back_at_once() {
    for (status, why) in [(486, "opptatt"), (480, "svarer ikke")] {
        let (mut world, _, kari, _, line) = talking(92, true);
        let ola = world.registered("ola");
        world.phones[ola].answer = Answer::Late(3 * S);
        world.phones[kari].refer(world.now, line, "sip:102@prove.example");
        world.run(S / 2);
        world.phones[kari].hang_up(world.now, line);
        world.run(S / 2);
        let rung = world.phones[ola].line(&Stage::Ringing).unwrap();
        world.phones[ola].endpoint.reject(world.now, rung, status, Vec::new());
        world.phones[ola].lines.get_mut(&rung).unwrap().stage = Stage::Over(status);
        world.phones[ola].register(world.now, 3600);
        world.phones[kari].answer = Answer::Ring;
        world.until("Kari rings", 5 * S, |w| rung_from(w, kari).is_some());
        let from = rung_from(&world, kari).unwrap();
        assert!(from.contains(&format!("Retur: Ola ({why})")), "{from}");
        world.finish();
    }
}

#[test]
fn while_the_attendant_talks_a_returned_call_waits_first_in_the_switchboards_queue() {
    let (mut world, carrier, kari, call, line) = talking(93, true);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.run(S / 2);
    world.phones[kari].hang_up(world.now, line);
    let waiting = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari talks", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.run(15 * S);
    let waits = |world: &World| {
        world.cdrs.is_empty() && world.stream_to(world.phones[carrier].lines[&call].audio).is_some()
    };
    assert!(waits(&world), "the caller is there");
    assert!(rung_from(&world, kari).is_none(), "Kari is not rung in her call");
    let joined = world.changes.iter().filter_map(|change| match change {
        sentral::model::change::Change::Decision(told) if &*told.event == "queue.joined" => {
            told.fields.line.as_ref().map(ToString::to_string)
        }
        _ => None,
    });
    assert_eq!(joined.collect::<Vec<String>>(), ["queue:board"]);
    world.phones[carrier].hang_up(world.now, waiting);
    world.finish();
}

#[test]
fn who_is_not_at_the_switchboard_gets_back_only_what_would_end() {
    let (mut world, carrier, kari, call, line) = talking(94, false);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.run(S / 2);
    world.phones[kari].hang_up(world.now, line);
    world.run(25 * S);
    assert!(rung_from(&world, kari).is_none(), "Ola's own ring time holds");
    world.until("Kari rings", 20 * S, |w| rung_from(w, kari).is_some());
    assert!(rung_from(&world, kari).unwrap().contains("Retur: Ola"));
    world.until("they talk", 5 * S, |w| {
        w.phones[kari].line(&Stage::Up).is_some_and(|up| talk(w, (carrier, call), (kari, up)))
    });
    world.finish();
}

#[test]
fn a_returned_call_that_is_not_taken_either_ends() {
    let (mut world, carrier, kari, call, line) = talking(95, false);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Refuse(486);
    world.phones[kari].answer = Answer::Refuse(486);
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.phones[kari].hang_up(world.now, line);
    world.until("it ends", 30 * S, |w| matches!(w.phones[carrier].lines[&call].stage, Stage::Over(_)));
    world.finish();
}

#[test]
fn a_transferred_caller_who_has_left_a_message_does_not_come_back() {
    let (mut world, carrier, kari, call, line) = talking(96, true);
    world.phones[kari].refer(world.now, line, "sip:690@prove.example");
    world.run(8 * S);
    let audio = world.phones[carrier].lines[&call].audio;
    world.key(audio, '#');
    world.until("it ends", 30 * S, |w| matches!(w.phones[carrier].lines[&call].stage, Stage::Over(_)));
    assert!(rung_from(&world, kari).is_none());
    world.finish();
}
