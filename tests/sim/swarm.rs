//! Random calls, answers, hang-ups, orders and reloads over a bad network, by seed.

use std::time::Duration;

use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::id::UserId;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::seeds;
use crate::world::COMPANY;
use crate::world::Weather;
use crate::world::World;
use crate::world::config;

/// Seeds of an ordinary run; `SIM_SEEDS` widens it.
const SEEDS: u64 = 1000;

#[test]
fn whatever_happens_no_call_is_stuck_and_nothing_is_left() {
    seeds::each(SEEDS, one);
}

fn one(seed: u64) {
    let mut world = World::new(seed);
    if seed % 2 == 1 {
        world.weather = Weather::ROUGH;
    }
    let carrier = world.carrier();
    for name in ["kari", "kari2", "ola", "sara"] {
        world.registered(name);
    }
    for _ in 0..60 {
        act(&mut world, carrier);
        let pause = world.rng.below(4_000) as u64;
        world.run(Duration::from_millis(pause));
        facts_agree(&mut world);
    }
    world.finish();
}

/// Something happens by chance.
pub fn act(world: &mut World, carrier: usize) {
    let phone = 1 + world.rng.below(4);
    match world.rng.below(16) {
        0..=3 => {
            let number = ["+4736000100", "+4736000110", "+4736000120", "+4736000101", "+4736000190", "999"]
                [world.rng.below(6)];
            let late = world.rng.below(5) == 0;
            if world.phones[carrier].live_lines() < 12 {
                world.phones[carrier].call(world.now, number, late);
            }
        }
        4 | 5 => {
            let number = ["101", "102", "103", "104", "601", "650", "690", "36000777", "*40", "*41", "*99"]
                [world.rng.below(11)];
            if world.phones[phone].live_lines() == 0 {
                world.phones[phone].call(world.now, number, false);
            }
        }
        6..=8 => {
            // Somebody ends a call, whatever state it is in.
            let who = world.rng.below(world.phones.len());
            let mut lines: Vec<_> = world.phones[who].lines.keys().copied().collect();
            lines.sort();
            if !lines.is_empty() {
                let line = lines[world.rng.below(lines.len())];
                world.phones[who].end(world.now, line);
            }
        }
        9 | 10 => {
            // A caller presses a key.
            let audio: Vec<_> = world.phones[carrier]
                .lines
                .values()
                .filter(|line| line.stage == Stage::Up)
                .map(|line| line.audio)
                .filter(|audio| world.stream_to(*audio).is_some())
                .collect();
            if !audio.is_empty() {
                let at = audio[world.rng.below(audio.len())];
                let digit = ['1', '2', '3', '7', '#'][world.rng.below(5)];
                world.key(at, digit);
            }
        }
        11 => {
            let behaviour = match world.rng.below(5) {
                0 => Answer::Ring,
                1 => Answer::Refuse([486, 480, 603, 404, 500][world.rng.below(5)]),
                _ => Answer::After(Duration::from_millis(world.rng.below(6_000) as u64)),
            };
            let who = world.rng.below(world.phones.len());
            world.phones[who].answer = behaviour;
        }
        12 => {
            let user: UserId = ["kari", "ola", "sara"][world.rng.below(3)].into();
            let logged_in = world.rng.below(3) > 0;
            world.order(Command::Login { company: "prove".into(), user, line: None, logged_in });
        }
        13 => {
            let user: UserId = ["kari", "ola", "sara"][world.rng.below(3)].into();
            let reason = (world.rng.below(2) == 0).then(|| "lunsj".into());
            world.order(Command::Pause { company: "prove".into(), user, reason, until: None });
        }
        14 => {
            let variant = match world.rng.below(3) {
                0 => COMPANY.to_owned(),
                1 => {
                    COMPANY.replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"ola\", \"sara\"]")
                }
                _ => COMPANY.replace("max_wait = \"5m\"", "max_wait = \"20s\"\nstrategy = \"ring-all\""),
            };
            world.input(Input::Config(config(&variant)));
        }
        _ => {
            let expires = if world.rng.below(4) == 0 { 0 } else { 3600 };
            let now = world.now;
            world.phones[phone].register(now, expires);
        }
    }
}

/// What the queues were told of agents is what the calls say.
fn facts_agree(world: &mut World) {
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert_eq!(status.agent_state_divergence, 0);
}
