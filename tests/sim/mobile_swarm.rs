//! Feature keys by seed: a mobile presses keys, parties hang up, colleagues answer, refuse or let it ring, in any order
//! and at any moment; nobody is left alone or for ever, and nothing is left at the end.

use std::time::Duration;

use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::Weather;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const STEPS: usize = 60;
const SEEDS: u64 = 60;

/// What mobiles key in.
const KEYS: [&str; 14] = [
    "1", "5", "*", "**", "**102#", "**103#", "**601#", "*2102#", "*2101#", "*2601#", "*1", "**555#", "#",
    "**650#",
];

#[test]
fn a_swarm_of_mobiles_that_transfer_by_keys_leaves_nothing() {
    let seeds = std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let one = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in one.map_or(0..seeds, |seed| seed..seed + 1) {
        println!("SIM_SEED={seed}");
        swarm(seed);
    }
}

fn swarm(seed: u64) {
    let company = COMPANY.replace(
        "agents = [\"kari\", \"ola\", \"sara\"]",
        "agents = [\"per\", \"ola\", \"kari\"]\nauto_pause = false\npresent = { whisper = \"menu\" }",
    );
    let mut world = World::at(seed, noon(), config(&company));
    let carrier = world.carrier();
    let phones = [world.registered("kari"), world.registered("ola"), world.registered("sara")];
    world.phones[carrier].answer = Answer::After(2 * S);
    if seed.is_multiple_of(3) {
        world.weather = Weather { loss: 3, twice: 2, delay: 60 * MS };
    }
    for _ in 0..STEPS {
        let what = world.rng.below(12);
        match what {
            0 | 1 if world.phones[carrier].live_lines() < 8 => {
                let number = ["+4736000110", "+4736000110", "+4736000101", "+4736000120"][world.rng.below(4)];
                world.phones[carrier].call(world.now, number, false);
            }
            2 => {
                let phone = if world.rng.below(2) == 0 { carrier } else { phones[world.rng.below(3)] };
                let mut lines: Vec<_> = world.phones[phone]
                    .lines
                    .iter()
                    .filter(|(_, line)| !matches!(line.stage, Stage::Over(_)))
                    .map(|(id, _)| *id)
                    .collect();
                lines.sort();
                if !lines.is_empty() {
                    let line = lines[world.rng.below(lines.len())];
                    world.phones[phone].end(world.now, line);
                }
            }
            3 => {
                let phone = phones[world.rng.below(3)];
                world.phones[phone].answer = match world.rng.below(4) {
                    0 => Answer::Refuse(486),
                    1 => Answer::Ring,
                    2 => Answer::After(200 * MS),
                    _ => Answer::After(3 * S),
                };
            }
            _ => press(&mut world, carrier),
        }
        let long = [20, 200, 700, 2500][world.rng.below(4)];
        world.run(long * MS);
    }
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert_eq!(status.agent_state_divergence, 0, "seed {seed}");
    world.weather = Weather::FINE;
    world.finish();
}

/// One of the mobiles that are up keys something in.
fn press(world: &mut World, carrier: usize) {
    let mut lines: Vec<_> = world.phones[carrier]
        .lines
        .iter()
        .filter(|(_, line)| line.stage == Stage::Up && line.invite.is_some())
        .map(|(id, _)| *id)
        .collect();
    lines.sort();
    if lines.is_empty() {
        return;
    }
    let line = lines[world.rng.below(lines.len())];
    let keys = KEYS[world.rng.below(KEYS.len())];
    let audio = world.phones[carrier].lines[&line].audio;
    for key in keys.chars() {
        if world.stream_to(audio).is_some() {
            world.key(audio, key);
            let gap = [60, 400][world.rng.below(2)];
            world.run(gap * MS);
        }
    }
}
