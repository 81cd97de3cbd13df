//! What is counted live is what the log of events adds up to, whatever happens; and the log has no gap.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::event::Event;
use sentral::model::figures::Figures;
use sentral::model::id::LineId;
use sentral::switch::figures::fold;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::seeds;
use crate::swarm;
use crate::transfer_swarm;
use crate::world::COMPANY;
use crate::world::MAIN;
use crate::world::Weather;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);
const SALES: &str = "+4736000110";

#[test]
fn figures_computed_anew_from_the_log_are_those_that_were_counted_live() {
    let sums = seeds::each(120, |seed| {
        let mut world = World::new(seed);
        if seed % 2 == 1 {
            world.weather = Weather::ROUGH;
        }
        let carrier = world.carrier();
        for name in ["kari", "kari2", "ola", "sara"] {
            world.registered(name);
        }
        for turn in 0..60 {
            match seed % 3 {
                0 => transfer_swarm::act(&mut world, carrier, COMPANY),
                _ => swarm::act(&mut world, carrier),
            }
            let pause = world.rng.below(6_000) as u64;
            world.run(Duration::from_millis(pause));
            // The process dies now and then, with calls up.
            if seed % 4 == 0 && turn % 25 == 24 {
                world.restart(config(COMPANY));
            }
            agree(&mut world);
        }
        live(&mut world).lines.values().map(|line| line.answered).sum::<u64>()
    });
    let answered: u64 = sums.iter().sum();
    assert!(answered > sums.len() as u64, "little happened: {answered} answered");
}

#[test]
fn a_transfer_ends_the_agents_segment_and_begins_the_others() {
    let mut world = World::new(1);
    let carrier = world.carrier();
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    world.phones[ola].answer = Answer::Refuse(486);
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("Kari talks", 10 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.phones[ola].answer = Answer::After(Duration::ZERO);
    world.run(30 * S);
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.until("Ola talks", 5 * S, |w| w.phones[ola].line(&Stage::Up).is_some());
    world.run(60 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let figures = live(&mut world);
    let sales = &figures.lines[&LineId::Queue("sales".into())];
    let seconds = |ms: u64| ms / 1_000;
    assert!((30..33).contains(&seconds(sales.talk_ms)), "the agent's own segment only: {sales:?}");
    assert_eq!((sales.offered, sales.answered, sales.overflowed_in_all()), (1, 1, 0));
    assert_eq!(figures.users["kari"].line_talk_ms, sales.talk_ms);
    let of_ola = &figures.users["ola"];
    assert!((59..63).contains(&seconds(of_ola.direct_talk_ms)), "{of_ola:?}");
    assert_eq!((of_ola.line_talk_ms, of_ola.calls_in), (0, 1));
    agree(&mut world);
    world.finish();
}

#[test]
fn numbers_steps_and_keys_are_counted() {
    let mut world = World::new(2);
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.run(8 * S);
    let audio = world.phones[carrier].lines[&call].audio;
    world.key(audio, '2');
    world.run(2 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let figures = live(&mut world);
    assert_eq!(figures.steps["main/menu"].visits, 1);
    assert_eq!(figures.steps["main/menu"].keys[&'2'], 1);
    assert_eq!(figures.numbers.values().map(|number| number.calls).collect::<Vec<_>>(), [1]);
    agree(&mut world);
}

#[test]
fn figures_begin_anew_at_the_companys_midnight_and_numbers_of_events_go_on() {
    let before_midnight = "2026-11-23T22:59:00Z".parse().unwrap();
    let mut world = World::at(3, before_midnight, config(COMPANY));
    let carrier = world.carrier();
    let first = world.phones[carrier].call(world.now, SALES, false);
    world.run(10 * S);
    world.phones[carrier].hang_up(world.now, first);
    world.run(S);
    let line = LineId::Queue("sales".into());
    assert_eq!(live(&mut world).lines[&line].abandoned, 1);
    world.run(60 * S);
    assert_eq!(live(&mut world), Figures::default(), "it is another day in Oslo");
    world.restart(config(COMPANY));
    let second = world.phones[carrier].call(world.now, SALES, false);
    world.run(10 * S);
    world.phones[carrier].hang_up(world.now, second);
    world.run(S);
    let of = live(&mut world).lines[&line].clone();
    assert_eq!((of.offered, of.abandoned), (1, 1));
    check_numbers(&world);
}

fn live(world: &mut World) -> Figures {
    world.order(Command::Figures { company: "prove".into() });
    let Some(Answered::Figures { figures }) = world.answers.pop() else { panic!("figures were asked for") };
    *figures
}

/// Live counters and those of the log are equal to the last one.
fn agree(world: &mut World) {
    check_numbers(world);
    let mut anew = Figures::default();
    events(world).for_each(|event| fold(&mut anew, event));
    assert_eq!(live(world), anew);
}

fn check_numbers(world: &World) {
    for (event, expected) in events(world).zip(1..) {
        assert_eq!(event.seq, expected, "no gap, no double: {event:?}");
    }
}

fn events(world: &World) -> impl Iterator<Item = &Event> {
    world.changes.iter().filter_map(|change| match change {
        Change::Decision(event) if event.company.as_str() == "prove" => Some(&**event),
        _ => None,
    })
}
