//! The caller gives up at each moment around an agent's answer: no phone rings or talks to nobody, and nothing is left.

use std::time::Duration;

use sentral::model::cdr::CallResult;
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
/// Phones answer after this.
const ANSWER: Duration = Duration::from_millis(300);
/// The caller gives up in steps of this, from before the answer until well behind it.
const STEP: Duration = Duration::from_millis(5);
const STEPS: u32 = 90;
/// So long after the caller has gone every phone must be quiet.
const QUIET: Duration = Duration::from_millis(100);

/// What is called: by CANCEL before the answer, by BYE in a queue, which answers at once.
const CALLED: [&str; 3] = ["+4736000101", "+4736000120", "+4736000110"];

fn world(seed: u64, whisper: bool) -> (World, usize, [usize; 2]) {
    let present = if whisper { "present = { whisper = \"menu\" }\n" } else { "" };
    let company = COMPANY
        .replace("ring = \"15s\"\n", &format!("ring = \"15s\"\nstrategy = \"ring-all\"\n{present}"))
        .replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"kari\", \"ola\"]");
    let mut world = World::at(seed, noon(), config(&company));
    let carrier = world.carrier();
    let phones = [world.registered("kari"), world.registered("ola")];
    for phone in phones {
        world.phones[phone].answer = Answer::After(ANSWER);
    }
    // A call takes up to 20 ms each way, so that answers and goodbyes cross.
    world.weather = Weather { loss: 0, twice: 0, delay: 20 * MS };
    (world, carrier, phones)
}

#[test]
fn a_caller_who_gives_up_at_any_moment_of_the_answer_leaves_no_phone_ringing_or_talking() {
    for (row, called) in CALLED.into_iter().enumerate() {
        for whisper in [false, true] {
            for step in 0..STEPS {
                let offset = ANSWER.saturating_sub(100 * MS) + STEP * step;
                let (mut world, carrier, phones) = world(u64::from(step) + 1000 * row as u64, whisper);
                let call = world.phones[carrier].call(world.now, called, false);
                world.run(offset);
                world.phones[carrier].end(world.now, call);
                world.run(QUIET);
                let still: Vec<&Stage> = phones
                    .iter()
                    .flat_map(|phone| world.phones[*phone].lines.values())
                    .map(|line| &line.stage)
                    .filter(|stage| !matches!(stage, Stage::Over(_)))
                    .collect();
                assert!(still.is_empty(), "{called} whisper {whisper} {offset:?}: {still:?}");
                // A phone that rang learns why it rings no more; one that answered too late is hung up.
                for phone in phones {
                    for line in world.phones[phone].lines.values() {
                        let told = line.log.iter().all(|log| log == "bye" || log.contains("cause="));
                        assert!(told, "{called} {offset:?}: {:?}", line.log);
                    }
                }
                world.run(2 * S);
                let [cdr] = &world.cdrs[..] else { panic!("{called} {offset:?}: {:?}", world.cdrs) };
                let abandoned = [CallResult::Abandoned, CallResult::Answered];
                assert!(abandoned.contains(&cdr.result), "{called} {offset:?}: {:?}", cdr.result);
                world.order(Command::Agents { company: None });
                let Some(Answered::Agents { agents }) = world.answers.pop() else { panic!("agents") };
                for agent in agents {
                    let states: Vec<&str> = agent.lines.iter().map(|(_, state)| &**state).collect();
                    assert!(states.iter().all(|state| *state == "ready"), "{called} {offset:?}: {states:?}");
                }
                world.finish();
            }
        }
    }
}

#[test]
fn the_callers_end_reaches_every_ringing_phone_in_the_same_turn() {
    let (mut world, carrier, phones) = world(7, false);
    for phone in phones {
        world.phones[phone].answer = Answer::Ring;
    }
    world.weather = Weather::FINE;
    let call = world.phones[carrier].call(world.now, "+4736000110", false);
    world.run(2 * S);
    assert!(phones.iter().all(|phone| world.phones[*phone].line(&Stage::Ringing).is_some()));
    world.phones[carrier].hang_up(world.now, call);
    // One way there and one way back, of at most 1.5 ms each.
    world.run(3 * MS);
    for phone in phones {
        let line = world.phones[phone].lines.values().next().unwrap();
        assert!(line.log.iter().any(|log| log.contains("cause=487")), "{:?}", line.log);
    }
    world.finish();
}
