//! Call-back on busy and on no answer; calls that nobody has dialled.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::sip::DialogId;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

/// What is said to who dials a code, which then hangs up.
fn dial(world: &mut World, phone: usize, number: &str) -> String {
    let line = world.phones[phone].call(world.now, number, false);
    world.run(S / 2);
    let audio = world.phones[phone].lines[&line].audio;
    let said = world.stream_to(audio).map(|(_, stream)| stream.played.join(" ")).unwrap_or_default();
    world.run(5 * S);
    world.phones[phone].end(world.now, line);
    world.run(S / 2);
    said
}

/// Ola talks with a carrier's caller; Kari wants to reach him. Kari, Ola, carrier, and the caller's line.
fn busy(world: &mut World) -> (usize, usize, usize, DialogId) {
    let carrier = world.carrier();
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    let call = world.phones[ola].call(world.now, "36000777", false);
    world.until("Ola talks", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    world.phones[ola].answer = Answer::Refuse(486);
    let vain = world.phones[kari].call(world.now, "102", false);
    world.run(S);
    assert!(matches!(world.phones[kari].lines[&vain].stage, Stage::Over(486)));
    (kari, ola, carrier, call)
}

#[test]
fn who_found_somebody_busy_is_rung_when_both_are_free_and_then_the_other() {
    let mut world = World::new(101);
    let (kari, ola, _, call) = busy(&mut world);
    assert!(dial(&mut world, kari, "*37").contains("people/call-back-on"));
    world.run(60 * S);
    assert_eq!(world.phones[kari].live_lines(), 0, "Ola still talks");
    // The wish survives a restart, the call does not.
    world.phones[ola].hang_up(world.now, call);
    world.phones[ola].answer = Answer::After(2 * S);
    world.until("Kari rings", 5 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    let ringing = world.phones[kari].line(&Stage::Ringing).unwrap();
    assert_eq!(world.phones[ola].live_lines(), 0, "the asker first");
    assert!(world.phones[kari].lines[&ringing].from.contains("Tilbakeringing: Ola"));
    world.until("they talk", 6 * S, |w| {
        w.phones[ola].line(&Stage::Up).is_some_and(|up| talk(w, (kari, ringing), (ola, up)))
    });
    let from = world.phones[ola].line(&Stage::Up).map(|up| world.phones[ola].lines[&up].from.clone());
    assert!(from.unwrap().contains("101"), "Ola sees Kari");
    world.phones[kari].hang_up(world.now, ringing);
    world.run(30 * S);
    assert_eq!(world.phones[kari].live_lines(), 0, "once is enough");
    world.finish();
}

#[test]
fn a_wish_survives_a_restart_is_cancelled_and_ends_by_itself() {
    let mut world = World::new(102);
    let (kari, ola, _, call) = busy(&mut world);
    assert!(dial(&mut world, kari, "*37102").contains("people/call-back-on"));
    world.phones[ola].hang_up(world.now, call);
    world.run(S);
    world.restart(config(COMPANY));
    world.phones[kari].lines.clear();
    world.phones[ola].lines.clear();
    world.phones[ola].answer = Answer::After(S);
    // Ola makes a call: he is back.
    let other = world.phones[ola].call(world.now, "*78", false);
    world.run(3 * S);
    world.phones[ola].end(world.now, other);
    world.until("Kari rings", 6 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    world.phones[kari].answer = Answer::Ring;
    world.until("they talk", 6 * S, |w| w.phones[ola].line(&Stage::Up).is_some());
    let up = world.phones[kari].line(&Stage::Up).unwrap();
    world.phones[kari].hang_up(world.now, up);
    world.run(S);
    assert!(dial(&mut world, kari, "#37").contains("people/nobody-to-call"));
    assert!(dial(&mut world, kari, "*37102").contains("people/call-back-on"));
    assert!(dial(&mut world, kari, "#37102").contains("people/call-back-off"));
    assert!(dial(&mut world, kari, "*37102").contains("people/call-back-on"));
    world.run(46 * 60 * S);
    let ended = world.changes.iter().rev().find_map(|change| match change {
        Change::BusyCallback { until, .. } => Some(until.is_none()),
        _ => None,
    });
    assert_eq!(ended, Some(true));
    world.finish();
}

#[test]
fn who_does_not_answer_the_call_back_is_not_rung_again() {
    let mut world = World::new(103);
    let (kari, ola, _, call) = busy(&mut world);
    dial(&mut world, kari, "*37");
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].hang_up(world.now, call);
    world.until("Kari rings", 5 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    world.until("it stops", 40 * S, |w| w.phones[kari].live_lines() == 0);
    world.run(60 * S);
    assert_eq!(world.phones[kari].live_lines() + world.phones[ola].live_lines(), 0);
    world.finish();
}
