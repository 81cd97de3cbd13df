//! Queues and ring groups in whole calls: races, log in and out by code, overflow.

use std::time::Duration;

use sentral::model::cdr::CallResult;
use sentral::model::command::Command;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);
const SALES: &str = "+4736000110";

#[test]
fn two_agents_who_answer_at_once_get_one_caller() {
    let company = COMPANY.replace("ring = \"15s\"", "ring = \"15s\"\nstrategy = \"ring-all\"");
    for seed in 0..50 {
        let mut world = World::at(seed, crate::world::noon(), config(&company));
        let carrier = world.carrier();
        let agents = [world.registered("kari"), world.registered("ola"), world.registered("sara")];
        for agent in agents {
            world.phones[agent].answer = Answer::After(2 * S);
        }
        world.weather.delay = Duration::from_millis(40);
        let call = world.phones[carrier].call(world.now, SALES, false);
        world.run(5 * S);
        let up: usize =
            agents.iter().filter(|agent| world.phones[**agent].line(&Stage::Up).is_some()).count();
        assert_eq!(up, 1, "seed {seed}");
        assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Up);
        world.finish();
    }
}

#[test]
fn a_caller_who_leaves_leaves_no_agent_ringing() {
    let mut world = World::new(2);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("the agent rings", 2 * S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    world.run(6 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert_eq!(world.phones[ola].live_lines(), 0);
    assert_eq!(world.cdrs[0].result, CallResult::Abandoned);
    world.finish();
}

#[test]
fn an_announcement_neither_holds_up_an_agent_nor_outlasts_the_answer() {
    let mut world = World::new(5);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    let call = world.phones[carrier].call(world.now, SALES, false);
    let audio = world.phones[carrier].lines[&call].audio;
    let announced = |w: &World| w.stream_to(audio).is_some_and(|(_, stream)| stream.is_busy());
    world.until("something is announced", 30 * S, announced);
    assert!(world.phones[ola].line(&Stage::Ringing).is_some(), "the agent rings meanwhile");
    let base = &world.stream_to(audio).unwrap().1.base;
    assert!(matches!(base, sentral::media::Base::Music(_)), "the music goes on beneath it");
    let line = world.phones[ola].line(&Stage::Ringing).unwrap();
    world.phones[ola].pick_up(world.now, line);
    // The network takes 1 ms each way; within 100 ms there must be nothing left to wait for.
    world.run(Duration::from_millis(20));
    assert!(!announced(&world), "cut");
    let ola_audio = world.phones[ola].lines[&line].audio;
    assert!(world.talk(audio, ola_audio), "the caller hears the agent");
    world.finish();
}

#[test]
fn the_next_agent_is_rung_when_the_first_does_not_answer() {
    let mut world = World::new(3);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].answer = Answer::Ring;
    world.phones[carrier].call(world.now, SALES, false);
    world.run(40 * S);
    assert!(!world.phones[kari].lines.is_empty() && !world.phones[ola].lines.is_empty());
    assert_eq!(world.phones[kari].live_lines() + world.phones[ola].live_lines(), 1, "one rings at a time");
    world.finish();
}

#[test]
fn an_agent_logs_out_and_in_by_code() {
    let mut world = World::new(4);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    let code = world.phones[ola].call(world.now, "*41", false);
    world.run(8 * S);
    assert!(matches!(world.phones[ola].lines[&code].stage, Stage::Over(_)), "the code's call ends by itself");
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.run(5 * S);
    // Kari and Sara are logged in but have no phone: somebody is there, so the caller waits.
    assert_eq!(world.phones[ola].live_lines(), 0, "a logged-out agent is not rung");
    world.phones[carrier].hang_up(world.now, call);
    world.phones[ola].call(world.now, "*40", false);
    world.run(8 * S);
    world.phones[carrier].call(world.now, SALES, false);
    world.until("the agent rings", 2 * S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    world.finish();
}

#[test]
fn with_nobody_logged_in_callers_take_the_overflow() {
    let mut world = World::new(5);
    let carrier = world.carrier();
    for user in ["kari", "ola", "sara"] {
        world.order(Command::Login {
            company: "prove".into(),
            user: user.into(),
            line: None,
            logged_in: false,
        });
    }
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.run(20 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert_eq!(world.cdrs[0].result, CallResult::Voicemail);
    world.finish();
}

#[test]
fn a_ring_group_rings_everyone_and_then_takes_a_message() {
    let mut world = World::new(6);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].answer = Answer::Ring;
    let call = world.phones[carrier].call(world.now, "+4736000120", false);
    world.until("both ring", 2 * S, |w| {
        w.phones[kari].line(&Stage::Ringing).is_some() && w.phones[ola].line(&Stage::Ringing).is_some()
    });
    assert!(world.phones[carrier].lines[&call].log.contains(&"180".to_owned()), "the caller hears ringing");
    world.until("voicemail answers", 25 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    assert_eq!(world.phones[kari].live_lines() + world.phones[ola].live_lines(), 0);
    world.finish();
}
