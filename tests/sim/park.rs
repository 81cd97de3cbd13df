//! Parking: into a slot by REFER, by the code and by order; taken back, come back, lamps.

use std::time::Duration;

use sentral::media::Base;
use sentral::sip::DialogId;
use sentral::sip::Method;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

const PARKING: &str = "+
[parking]
slots = \"701-702\"
return_after = \"60s\"
";

/// A carrier's caller who talks with Kari: world, carrier, Kari, the caller's line, Kari's line.
fn talking(seed: u64, more: &str) -> (World, usize, usize, DialogId, DialogId) {
    let config = config_with(&[("companies/prove.toml", &format!("{COMPANY}{more}"))]);
    let mut world = World::at(seed, noon(), config);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    (world, carrier, kari, call, line)
}

fn parking() -> &'static str {
    &PARKING[1..]
}

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

fn hears(world: &World, phone: usize, line: DialogId) -> Base {
    world.stream_to(world.phones[phone].lines[&line].audio).expect("a stream").1.base.clone()
}

fn was_told(world: &World, phone: usize, line: DialogId) -> Vec<String> {
    let audio = world.phones[phone].lines[&line].audio;
    world.stream_to(audio).map(|(_, stream)| stream.played.clone()).unwrap_or_default()
}

fn lamp(world: &mut World, phone: usize, slot: &str) {
    let extra = vec![("Event", "dialog".to_owned()), ("Expires", "3600".to_owned())];
    world.phones[phone].ask(world.now, Method::Subscribe, slot, extra, None);
    world.run(S / 2);
}

fn lit(world: &World, phone: usize) -> bool {
    let last = world.phones[phone].notified.last().cloned().unwrap_or_default();
    last.contains(">confirmed<")
}

#[test]
fn a_caller_who_is_transferred_to_a_slot_is_parked_there_and_taken_back_by_its_extension() {
    let (mut world, carrier, kari, call, line) = talking(71, parking());
    let ola = world.registered("ola");
    let sara = world.registered("sara");
    lamp(&mut world, sara, "701");
    assert!(!lit(&world, sara));
    world.phones[kari].refer(world.now, line, "sip:*7@prove.example");
    world.run(S);
    assert_eq!(world.phones[kari].registered, Some(202));
    assert!(matches!(hears(&world, carrier, call), Base::Music(_)), "the caller hears music");
    let said = was_told(&world, kari, line).join(" ");
    assert!(said.contains("people/parked") && said.contains("num/7"), "the slot is spoken: {said}");
    assert!(lit(&world, sara), "the slot's lamp is lit");
    world.until("Kari is let go", 10 * S, |w| matches!(w.phones[kari].lines[&line].stage, Stage::Over(_)));
    assert!(world.phones[kari].notified.last().unwrap().contains("200"));
    let took = world.phones[ola].call(world.now, "701", false);
    world.until("Ola talks with the caller", 2 * S, |w| talk(w, (carrier, call), (ola, took)));
    world.run(S);
    assert!(!lit(&world, sara), "the lamp is out");
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert!(matches!(world.phones[ola].lines[&took].stage, Stage::Over(_)));
    world.finish();
}

#[test]
fn the_code_parks_what_is_on_hold_and_dialled_again_takes_it_back() {
    let (mut world, carrier, kari, call, line) = talking(72, parking());
    world.phones[kari].hold(world.now, line, true);
    world.run(S / 5);
    let code = world.phones[kari].call(world.now, "*7702", false);
    world.run(S);
    assert!(matches!(world.phones[kari].lines[&line].stage, Stage::Over(_)), "the held line is let go");
    let said = was_told(&world, kari, code).join(" ");
    assert!(said.contains("people/parked") && said.contains("num/2"), "{said}");
    world.until("it ends", 10 * S, |w| matches!(w.phones[kari].lines[&code].stage, Stage::Over(_)));
    // A reload in the middle changes nothing.
    let other =
        config_with(&[("companies/prove.toml", &format!("{COMPANY}[parking]\nslots = \"801-809\"\n"))]);
    world.input(sentral::switch::Input::Config(other));
    world.input(sentral::switch::Input::Config(config(&format!("{COMPANY}{}", parking()))));
    let back = world.phones[kari].call(world.now, "*7", false);
    world.until("they talk again", 2 * S, |w| talk(w, (carrier, call), (kari, back)));
    world.finish();
}

#[test]
fn slots_that_are_taken_full_empty_or_unknown_are_said_to_be_so() {
    let (mut world, carrier, kari, _, line) = talking(73, parking());
    let ola = world.registered("ola");
    world.phones[kari].refer(world.now, line, "sip:701@prove.example");
    world.run(8 * S);
    let second = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    let refer = |world: &mut World, to: &str| {
        world.phones[kari].refer(world.now, line, to);
        world.run(S);
        world.phones[kari].registered
    };
    assert_eq!(refer(&mut world, "sip:701@prove.example"), Some(486), "taken");
    assert!(talk(&world, (carrier, second), (kari, line)), "nothing has happened");
    assert_eq!(refer(&mut world, "sip:702@prove.example"), Some(202));
    world.run(8 * S);
    let third = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    world.phones[kari].refer(world.now, line, "sip:*7@prove.example");
    world.run(S);
    assert_eq!(world.phones[kari].registered, Some(486), "full");
    world.phones[carrier].hang_up(world.now, third);
    world.run(S);
    // Somebody else dials what there is not.
    let said = |world: &mut World, number: &str| {
        let line = world.phones[ola].call(world.now, number, false);
        world.run(S);
        let said = was_told(world, ola, line).join(" ");
        world.phones[ola].end(world.now, line);
        world.run(S);
        said
    };
    assert!(said(&mut world, "*7").contains("people/nothing-held"));
    assert!(said(&mut world, "*7799").contains("people/no-slot"));
    world.finish();
}

#[test]
fn a_parked_caller_comes_back_to_who_parked_again_and_again() {
    let (mut world, carrier, kari, call, line) = talking(74, parking());
    world.phones[kari].refer(world.now, line, "sip:701@prove.example");
    world.run(30 * S);
    world.phones[kari].answer = Answer::Ring;
    world.until("Kari rings", 40 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    let ringing = world.phones[kari].line(&Stage::Ringing).unwrap();
    let from = world.phones[kari].lines[&ringing].from.clone();
    assert!(from.contains("Retur: parkert 701") && from.contains("+4736000777"), "{from}");
    world.until("it stops", 40 * S, |w| w.phones[kari].line(&Stage::Ringing).is_none());
    assert!(matches!(hears(&world, carrier, call), Base::Music(_)), "parked again");
    world.phones[kari].answer = Answer::After(S);
    world.until("they talk", 70 * S, |w| {
        w.phones[kari].line(&Stage::Up).is_some_and(|up| talk(w, (carrier, call), (kari, up)))
    });
    let empty = world.registered("ola");
    let tried = world.phones[empty].call(world.now, "701", false);
    world.run(S);
    assert!(was_told(&world, empty, tried).join(" ").contains("people/slot-empty"), "the slot is free");
    world.finish();
}

#[test]
fn a_parked_caller_whom_nobody_takes_goes_where_the_company_says() {
    let more = format!("{}return_to = \"voicemail:shared\"\n", parking());
    let (mut world, carrier, kari, call, line) = talking(75, &more);
    world.phones[kari].refer(world.now, line, "sip:701@prove.example");
    world.phones[kari].answer = Answer::Refuse(486);
    world.run(70 * S);
    let said = was_told(&world, carrier, call).join(" ");
    assert!(said.contains("vm/"), "the box: {said}");
    world.finish();
}

#[test]
fn a_parked_caller_may_hang_up_while_who_parked_is_told_or_rung() {
    for wait in [1, 65] {
        let (mut world, carrier, kari, call, line) = talking(76, parking());
        world.phones[kari].answer = Answer::Ring;
        world.phones[kari].refer(world.now, line, "sip:701@prove.example");
        world.run(wait * S);
        world.phones[carrier].hang_up(world.now, call);
        world.run(S);
        assert_eq!(world.phones[kari].live_lines(), 0);
        world.finish();
    }
}
