//! Picking up calls that ring elsewhere, intercom, taking over and moving conversations.

use std::time::Duration;

use sentral::sip::DialogId;
use sentral::sip::message::Name;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

/// What is said to who dials a code.
fn told(world: &mut World, phone: usize, number: &str) -> String {
    let line = world.phones[phone].call(world.now, number, false);
    world.run(S);
    let audio = world.phones[phone].lines[&line].audio;
    let said = world.stream_to(audio).map(|(_, stream)| stream.played.join(" ")).unwrap_or_default();
    let stage = format!("{:?} ", world.phones[phone].lines[&line].stage);
    world.phones[phone].end(world.now, line);
    world.run(S);
    stage + &said
}

/// The usual company with further keys of users.
fn company(keys: &[(&str, &str)]) -> World {
    let mut text = COMPANY.to_owned();
    for (user, key) in keys {
        text = text.replace(&format!("[users.{user}]\n"), &format!("[users.{user}]\n{key}\n"));
    }
    World::at(81, noon(), config(&text))
}

#[test]
fn a_call_that_rings_at_a_colleague_is_picked_up_by_code() {
    let mut world = company(&[]);
    let carrier = world.carrier();
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    world.phones[kari].answer = Answer::Ring;
    assert!(told(&mut world, ola, "*8101").contains("people/nothing-rings"));
    assert!(told(&mut world, ola, "*8199").contains("people/unknown-extension"));
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari rings", S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    let picked = world.phones[ola].call(world.now, "*8101", false);
    world.until("Ola talks with the caller", 2 * S, |w| talk(w, (carrier, call), (ola, picked)));
    assert_eq!(world.phones[kari].live_lines(), 0, "Kari's phone is silent");
    world.phones[ola].hang_up(world.now, picked);
    world.run(S);
    let cdr = world.cdrs.iter().find(|cdr| cdr.answered_by.is_some()).expect("a record");
    assert_eq!(cdr.answered_by.as_ref().map(|user| user.as_str()), Some("ola"));
    world.finish();
}

#[test]
fn the_oldest_call_of_the_pick_up_group_is_taken_and_nothing_of_others() {
    let mut world = company(&[
        ("kari", "pickup_group = \"salg\""),
        ("ola", "pickup_group = [\"salg\", \"lager\"]"),
        ("sara", "pickup_group = \"drift\""),
    ]);
    let carrier = world.carrier();
    let (kari, ola, sara) = (world.registered("kari"), world.registered("ola"), world.registered("sara"));
    world.phones[kari].answer = Answer::Ring;
    let first = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S);
    let second = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S);
    assert!(told(&mut world, sara, "*8").contains("people/nothing-rings"), "another group");
    assert!(told(&mut world, sara, "*8101").contains("people/not-allowed"), "by name, too");
    let picked = world.phones[ola].call(world.now, "*8", false);
    world.until("the oldest", 2 * S, |w| talk(w, (carrier, first), (ola, picked)));
    assert_eq!(world.phones[kari].live_lines(), 1, "the other still rings");
    world.phones[carrier].cancel(world.now, second);
    world.finish();
}

#[test]
fn only_an_agent_picks_up_a_queues_call() {
    let text = COMPANY.replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"kari\", \"ola\"]");
    let mut world = World::at(82, noon(), config(&text));
    let carrier = world.carrier();
    let (kari, ola, sara) = (world.registered("kari"), world.registered("ola"), world.registered("sara"));
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].answer = Answer::Ring;
    let call = world.phones[carrier].call(world.now, "+4736000110", false);
    let rings = |w: &World| [kari, ola].into_iter().find(|p| w.phones[*p].line(&Stage::Ringing).is_some());
    world.until("an agent rings", 10 * S, |w| rings(w).is_some());
    let rung = rings(&world).unwrap();
    let (other, ext) = if rung == kari { (ola, "101") } else { (kari, "102") };
    assert!(told(&mut world, sara, &format!("*8{ext}")).contains("people/not-agent"));
    let picked = world.phones[other].call(world.now, &format!("*8{ext}"), false);
    world.until("they talk", 2 * S, |w| talk(w, (carrier, call), (other, picked)));
    world.run(S);
    assert_eq!(world.phones[rung].live_lines(), 0);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let cdr = world.cdrs.iter().find(|cdr| cdr.queue.is_some()).expect("a record");
    assert_eq!(
        cdr.answered_by.as_ref().map(|user| user.as_str()),
        Some(if other == ola { "ola" } else { "kari" })
    );
    world.finish();
}

#[test]
fn intercom_asks_the_phone_to_answer_and_leaves_in_peace_who_talks_or_does_not_want_it() {
    let mut world = company(&[("sara", "intercom = false")]);
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    let sara = world.registered("sara");
    world.phones[ola].answer = Answer::After(Duration::from_millis(10));
    let call = world.phones[kari].call(world.now, "*80102", false);
    world.until("they talk", S, |w| w.phones[ola].line(&Stage::Up).is_some());
    let line = world.phones[ola].line(&Stage::Up).unwrap();
    let invite = world.phones[ola].lines[&line].invite.clone().unwrap();
    assert_eq!(invite.headers.get(&Name::from("Answer-Mode")).as_deref(), Some("Auto"));
    let how = invite.headers.get(&Name::from("Call-Info")).unwrap_or_default().into_owned();
    assert!(how.contains("answer-after=0"), "{how}");
    assert!(talk(&world, (kari, call), (ola, line)));
    assert!(told(&mut world, sara, "*80102").contains("call/busy"), "in a call");
    world.phones[kari].hang_up(world.now, call);
    world.run(S);
    assert!(told(&mut world, kari, "*80103").contains("people/not-wanted"));
    assert!(told(&mut world, kari, "*80104").contains("people/unreachable"), "a mobile only");
    world.finish();
}

#[test]
fn a_supervisor_takes_over_an_agents_call_and_nobody_else_does() {
    let mut world = company(&[("sara", "role = \"supervisor\"")]);
    let carrier = world.carrier();
    let (kari, ola, sara) = (world.registered("kari"), world.registered("ola"), world.registered("sara"));
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    assert!(told(&mut world, ola, "*33101").contains("people/not-allowed"));
    assert!(told(&mut world, sara, "*33102").contains("people/no-call"));
    let taken = world.phones[sara].call(world.now, "*33101", false);
    world.until("Sara has the caller", 2 * S, |w| talk(w, (carrier, call), (sara, taken)));
    assert_eq!(world.phones[kari].live_lines(), 0);
    world.finish();
}

#[test]
fn a_conversation_goes_on_at_the_users_other_phone() {
    let mut world = company(&[]);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let other = world.registered("kari2");
    let moved = world.phones[other].call(world.now, "*11", false);
    world.until("they talk", 2 * S, |w| talk(w, (carrier, call), (other, moved)));
    assert_eq!(world.phones[kari].live_lines(), 0);
    // And what Kari has called herself.
    world.phones[carrier].hang_up(world.now, call);
    world.registered("ola");
    let called = world.phones[kari].call(world.now, "102", false);
    world.run(3 * S);
    let back = world.phones[other].call(world.now, "*11", false);
    world.run(S);
    assert_eq!(world.phones[other].lines[&back].stage, Stage::Up);
    assert!(matches!(world.phones[kari].lines[&called].stage, Stage::Over(_)));
    world.finish();
}
