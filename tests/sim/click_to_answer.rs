//! Answering by order what rings.

use std::time::Duration;

use sentral::model::board::Order;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::sip::Method;
use sentral::sip::message::Name;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::World;

const S: Duration = Duration::from_secs(1);
const KARI: &str = "+4736000101";

fn answer(world: &mut World, user: &str) -> Result<(), String> {
    let order = Order::Answer { company: "prove".into(), user: user.into(), call: None, device: None };
    world.order(Command::Board(order));
    match world.answers.pop() {
        Some(Answered::Done) => Ok(()),
        Some(Answered::Refused { why, .. }) => Err(why),
        other => panic!("{other:?}"),
    }
}

fn decided(world: &World) -> Vec<String> {
    let told = world.changes.iter().filter_map(|change| match change {
        Change::Decision(event) if &*event.event == "call.answer_ordered" => Some(event.why.to_string()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_phone_that_knows_how_is_told_to_answer() {
    let mut world = World::new(511);
    let kari = world.registered("kari");
    world.phones[kari].answer = Answer::Ring;
    world.phones[kari].ringing = vec![("Allow-Events", "hold, talk".to_owned())];
    let carrier = world.carrier();
    assert!(answer(&mut world, "kari").unwrap_err().contains("no phone of user \"kari\" rings"));
    world.phones[carrier].call(world.now, KARI, false);
    world.until("it rings", 5 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    world.run(S);
    let line = world.phones[kari].line(&Stage::Ringing).unwrap();
    answer(&mut world, "kari").unwrap();
    world.run(S);
    let told = world.phones[kari].received.iter().find(|request| request.method == Method::Notify);
    assert_eq!(told.unwrap().headers.get(&Name::Event).as_deref(), Some("talk"));
    assert_eq!(world.phones[kari].line(&Stage::Ringing), Some(line), "it is the same call");
    world.phones[kari].pick_up(world.now, line);
    world.run(S);
    assert_eq!(world.phones[kari].lines[&line].stage, Stage::Up);
    assert_eq!(decided(&world), ["talk: the phone is told to answer"]);
    world.finish();
}

#[test]
fn another_phone_is_rung_anew_to_answer_by_itself_also_when_it_only_seemed_to_know_how() {
    for says in [Vec::new(), vec![("Allow-Events", "talk".to_owned())]] {
        let mut world = World::new(512);
        let kari = world.registered("kari");
        world.phones[kari].answer = Answer::Ring;
        world.phones[kari].ringing = says;
        world.phones[kari].reply = 489;
        let carrier = world.carrier();
        let caller = world.phones[carrier].call(world.now, KARI, false);
        world.until("it rings", 5 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
        world.run(S);
        let first = world.phones[kari].line(&Stage::Ringing).unwrap();
        world.phones[kari].answer = Answer::After(S / 10);
        answer(&mut world, "kari").unwrap();
        world.run(2 * S);
        assert!(matches!(world.phones[kari].lines[&first].stage, Stage::Over(_)), "the old call is gone");
        let up = world.phones[kari].line(&Stage::Up).expect("the new one is up");
        let invite = world.phones[kari].lines[&up].invite.clone().unwrap();
        assert_eq!(invite.headers.get(&Name::from("Answer-Mode")).as_deref(), Some("Auto"));
        let (ours, theirs) =
            (world.phones[kari].lines[&up].audio, world.phones[carrier].lines[&caller].audio);
        assert!(world.talk(ours, theirs));
        world.finish();
    }
}

#[test]
fn a_mobile_has_to_be_answered_by_its_owner() {
    let mut world = World::new(513);
    let carrier = world.carrier();
    world.phones[carrier].answer = Answer::Ring;
    let ola = world.registered("ola");
    world.phones[ola].call(world.now, "104", false);
    world.until("the mobile rings", 5 * S, |w| w.phones[carrier].line(&Stage::Ringing).is_some());
    world.run(S);
    assert!(answer(&mut world, "per").unwrap_err().contains("only the mobile"));
    world.finish();
}
