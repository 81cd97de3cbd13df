//! Call-backs in whole calls: the key, the number, the agent, and the caller who is dialled.

use std::net::SocketAddr;
use std::time::Duration;

use sentral::model::cdr::CallResult;
use sentral::model::command::Command;
use sentral::sip::DialogId;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);
const SALES: &str = "+4736000110";

/// Asks, wants another number than the carrier tells, enters +4790000005, and confirms.
const OTHER: &str = "1290000005#1";
/// Asks, and confirms the number that the carrier tells.
const OWN: &str = "11";

/// A queue that offers call-back at once, whose agent is on pause, and one caller who has asked for it with
/// these keys.
fn asked(seed: u64, keys: &str) -> (World, usize, usize) {
    let callback =
        "announce = [\"position\"]\ncallback = { offer_after = \"0s\", min_position = 1, retry = \"30s\" }\n";
    let company = COMPANY.replace("announce = [\"position\"]\n", callback);
    let mut world = World::at(seed, crate::world::noon(), config(&company));
    let carrier = world.carrier();
    let ola = world.registered("ola");
    pause(&mut world, Some("lunch"));
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("the queue answers", 2 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    world.run(S);
    let audio = world.phones[carrier].lines[&call].audio;
    for digit in keys.chars() {
        world.key(audio, digit);
        world.run(S / 2);
    }
    world.until("the caller is let go", 20 * S, |w| w.phones[carrier].live_lines() == 0);
    (world, carrier, ola)
}

fn pause(world: &mut World, reason: Option<&str>) {
    let (company, user) = ("prove".into(), "ola".into());
    world.order(Command::Pause { company, user, reason: reason.map(Into::into), until: None });
}

fn talking(world: &World, phone: usize) -> Option<(DialogId, SocketAddr)> {
    let dialog = world.phones[phone].line(&Stage::Up)?;
    Some((dialog, world.phones[phone].lines[&dialog].audio))
}

#[test]
fn an_agent_who_answers_a_call_back_gets_the_caller_on_the_line() {
    let (mut world, carrier, ola) = asked(1, OTHER);
    world.run(60 * S);
    assert_eq!(world.phones[carrier].live_lines(), 0, "nobody is dialled while no agent is there");
    world.phones[ola].answer = Answer::After(2 * S);
    pause(&mut world, None);
    world.until("the caller is dialled", 10 * S, |w| w.phones[carrier].live_lines() == 1);
    assert!(talking(&world, ola).is_some(), "by an agent who has answered");
    world.run(3 * S);
    let (line, ours) = talking(&world, ola).expect("the agent talks");
    let (_, theirs) = talking(&world, carrier).expect("with the caller");
    assert!(world.talk(ours, theirs));
    world.phones[ola].hang_up(world.now, line);
    world.run(S);
    let record = world.cdrs.last().expect("there is a record");
    assert_eq!((record.result, &*record.to), (CallResult::Answered, "+4790000005"));
    assert_eq!(record.from_user.as_ref().map(|user| user.as_str()), Some("ola"));
    world.finish();
}

#[test]
fn a_caller_who_does_not_answer_frees_the_agent_and_is_tried_once_more() {
    let (mut world, carrier, ola) = asked(2, OTHER);
    world.phones[carrier].answer = Answer::Ring;
    world.phones[ola].answer = Answer::After(S);
    pause(&mut world, None);
    for attempt in 1..=2 {
        world.until("the caller is dialled", 40 * S, |w| w.phones[carrier].live_lines() == 1);
        world.until("the agent is let go", 30 * S, |w| w.phones[ola].live_lines() == 0);
        world.run(S);
        assert_eq!(world.phones[carrier].live_lines(), 0, "attempt {attempt} is over");
    }
    world.run(120 * S);
    assert_eq!(world.phones[ola].live_lines(), 0, "two attempts are enough");
    world.finish();
}

#[test]
fn a_caller_who_rings_in_while_being_dialled_is_connected_and_dialled_no_longer() {
    let (mut world, carrier, ola) = asked(3, OWN);
    world.phones[carrier].answer = Answer::Ring;
    world.phones[ola].answer = Answer::After(S);
    pause(&mut world, None);
    world.until("the caller is dialled", 10 * S, |w| w.phones[carrier].live_lines() == 1);
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("agent and caller talk", 10 * S, |w| {
        let theirs = w.phones[carrier].lines[&call].audio;
        talking(w, ola).is_some_and(|(_, ours)| w.talk(ours, theirs))
    });
    assert_eq!(world.phones[carrier].live_lines(), 1, "nobody dials any longer");
    assert_eq!(world.phones[ola].live_lines(), 1);
    world.phones[carrier].hang_up(world.now, call);
    world.run(60 * S);
    assert_eq!(world.phones[carrier].live_lines() + world.phones[ola].live_lines(), 0);
    world.finish();
}
