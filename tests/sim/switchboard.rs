//! The switchboard: what attendants see, taking a caller, transfer with return, and other orders about people's calls.

use std::time::Duration;

use sentral::media::Base;
use sentral::model::board::BoardView;
use sentral::model::board::Order;
use sentral::model::board::Reachable;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::id::CallId;
use sentral::model::id::Number;
use sentral::sip::DialogId;
use sentral::sip::message::Name;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

const BOARD: &str = "
[parking]
slots = \"701-709\"
[toggles.night]
name = \"Natt\"
overrides = { hours = [\"office\"], category = \"closed\" }
[queues.board]
name = \"Sentralbord\"
ext = \"600\"
type = \"sentralbord\"
agents = [\"kari\"]
auto_login = true
max_wait = \"5m\"
overflow = \"voicemail:shared\"
";

fn world(seed: u64) -> World {
    let text = format!("{COMPANY}{BOARD}").replace("[company]\n", "[company]\nnight = \"night\"\n");
    let text = text.replace("[users.kari]\n", "[users.kari]\nswitchboard = true\n");
    let text = text.replace("[users.sara]\n", "[users.sara]\nrole = \"supervisor\"\n");
    World::at(seed, noon(), config(&text))
}

fn ask(world: &mut World, order: Order) -> Answered {
    world.order(Command::Board(order));
    world.answers.pop().expect("an answer")
}

fn look(world: &mut World) -> BoardView {
    match ask(world, Order::Look { company: "prove".into(), queue: None }) {
        Answered::Board(board) => *board,
        other => panic!("{other:?}"),
    }
}

fn state(board: &BoardView, user: &str) -> Reachable {
    board.people.iter().find(|person| person.user.as_str() == user).expect("a person").state
}

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

fn talks(world: &World, phone: usize, with: (usize, DialogId)) -> bool {
    let mut lines = world.phones[phone].lines.iter().filter(|(_, line)| line.stage == Stage::Up);
    lines.any(|(line, _)| talk(world, (phone, *line), with))
}

/// A carrier's caller who talks with Kari.
fn talking(seed: u64) -> (World, usize, usize, DialogId, DialogId) {
    let mut world = world(seed);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    (world, carrier, kari, call, line)
}

#[test]
fn an_attendant_sees_how_everybody_is() {
    let mut world = world(121);
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    let states = |board: &BoardView| ["kari", "ola", "sara", "per"].map(|of| state(board, of));
    let free = look(&mut world);
    use Reachable::Busy;
    use Reachable::Free;
    assert_eq!(states(&free), [Free, Free, Reachable::Unreachable, Free]);
    world.phones[ola].answer = Answer::After(2 * S);
    world.phones[kari].call(world.now, "102", false);
    world.run(S);
    let ringing = look(&mut world);
    assert_eq!(states(&ringing), [Busy, Reachable::Ringing, Reachable::Unreachable, Free]);
    world.run(2 * S);
    let talking = look(&mut world);
    assert_eq!(states(&talking), [Busy, Busy, Reachable::Unreachable, Free]);
    world.finish();
}

#[test]
fn an_attendant_sees_who_waits_and_how_everybody_is_and_takes_anyone() {
    let mut world = world(121);
    let carrier = world.carrier();
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    world.phones[kari].answer = Answer::After(S / 10);
    let board = look(&mut world);
    assert_eq!(board.callers, []);
    let states: Vec<Reachable> = ["kari", "ola", "sara", "per"].iter().map(|of| state(&board, of)).collect();
    assert_eq!(states, [Reachable::Free, Reachable::Free, Reachable::Unreachable, Reachable::Free]);
    let first = world.phones[ola].call(world.now, "600", false);
    world.run(2 * S);
    let second = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S / 2);
    world.phones[carrier].end(world.now, second);
    world.run(S);
    let board = look(&mut world);
    let [caller] = &board.callers[..] else { panic!("{:?}", board.callers) };
    assert_eq!((caller.position, caller.name.as_deref()), (1, Some("Ola")));
    assert!((2..=5).contains(&caller.wait_s), "{}", caller.wait_s);
    assert_eq!(state(&board, "ola"), Reachable::Busy);
    assert!(world.phones[kari].line(&Stage::Ringing).is_none(), "nobody is rung of itself");
    let taken = Order::Take { company: "prove".into(), user: "kari".into(), call: caller.call };
    assert_eq!(ask(&mut world, taken), Answered::Done);
    world.until("they talk", 3 * S, |w| talks(w, kari, (ola, first)));
    let again = Order::Take { company: "prove".into(), user: "kari".into(), call: caller.call };
    assert!(matches!(ask(&mut world, again), Answered::Refused { .. }));
    world.finish();
}

#[test]
fn transfer_by_order_comes_back_by_order() {
    let (mut world, carrier, kari, call, line) = talking(122);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    let transfer = |to: &str| Order::Transfer {
        company: "prove".into(),
        user: "kari".into(),
        to: Some(Number::new(to)),
        with: None,
        call: None,
    };
    assert!(matches!(ask(&mut world, transfer("999")), Answered::Refused { not_found: true, .. }));
    assert_eq!(ask(&mut world, transfer("102")), Answered::Done);
    world.until("Ola rings", S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    let board = look(&mut world);
    let [sent] = &board.transferred[..] else { panic!("{:?}", board.transferred) };
    assert_eq!((&*sent.to, sent.by.as_str()), ("Ola", "kari"));
    assert_eq!(state(&board, "ola"), Reachable::Ringing);
    let back = Order::Return { company: "prove".into(), user: "kari".into(), call: sent.call };
    // Kari is still there: she has the caller again.
    assert_eq!(ask(&mut world, back.clone()), Answered::Done);
    world.run(S / 2);
    assert!(talk(&world, (carrier, call), (kari, line)));
    assert_eq!(world.phones[ola].live_lines(), 0);
    // She has hung up: she is rung.
    assert_eq!(ask(&mut world, transfer("102")), Answered::Done);
    world.run(S / 2);
    world.phones[kari].hang_up(world.now, line);
    world.run(S / 2);
    assert_eq!(ask(&mut world, back), Answered::Done);
    world.until("they talk", 5 * S, |w| talks(w, kari, (carrier, call)));
    world.finish();
}

#[test]
fn an_attended_transfer_by_order_joins_the_two_others() {
    let (mut world, carrier, kari, call, line) = talking(123);
    let ola = world.registered("ola");
    world.phones[kari].hold(world.now, line, true);
    world.run(S / 5);
    let second = world.phones[kari].call(world.now, "102", false);
    world.until("Ola talks with Kari", 3 * S, |w| talks(w, ola, (kari, second)));
    let calls = |world: &mut World| -> Vec<CallId> {
        world.order(Command::Calls);
        let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls") };
        calls.iter().map(|call| call.id).collect()
    };
    let with = *calls(&mut world).last().unwrap();
    let order = Order::Transfer {
        company: "prove".into(),
        user: "kari".into(),
        to: None,
        with: Some(with),
        call: None,
    };
    assert_eq!(ask(&mut world, order), Answered::Done);
    world.until("they talk", S, |w| talks(w, ola, (carrier, call)));
    world.run(S / 2);
    assert_eq!(world.phones[kari].live_lines(), 0);
    world.finish();
}

#[test]
fn hold_by_order_plays_music_to_the_other_and_ends_again() {
    let (mut world, carrier, kari, call, line) = talking(124);
    let hold = |on| Order::Hold { company: "prove".into(), user: "kari".into(), on, call: None };
    assert_eq!(ask(&mut world, hold(true)), Answered::Done);
    let base = |w: &World, phone: usize, line| {
        w.stream_to(w.phones[phone].lines[&line].audio).unwrap().1.base.clone()
    };
    assert!(matches!(base(&world, carrier, call), Base::Music(_)));
    assert_eq!(base(&world, kari, line), Base::Silence, "who holds does not listen");
    assert_eq!(ask(&mut world, hold(false)), Answered::Done);
    assert!(talk(&world, (carrier, call), (kari, line)));
    world.finish();
}

#[test]
fn click_to_call_rings_the_own_phone_first() {
    let mut world = world(125);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    world.phones[kari].answer = Answer::After(S);
    let dial = |to: &str, auto_answer| Order::Dial {
        company: "prove".into(),
        user: "kari".into(),
        to: Number::new(to),
        auto_answer,
    };
    assert!(matches!(ask(&mut world, dial("36000777", true)), Answered::Dialled { .. }));
    world.until("Kari rings", S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    let line = world.phones[kari].line(&Stage::Ringing).unwrap();
    let invite = world.phones[kari].lines[&line].invite.clone().unwrap();
    assert_eq!(invite.headers.get(&Name::from("Answer-Mode")).as_deref(), Some("Auto"));
    assert_eq!(world.phones[carrier].live_lines(), 0, "the number not yet");
    world.until("they talk", 5 * S, |w| {
        w.phones[carrier].line(&Stage::Up).is_some_and(|up| talk(w, (kari, line), (carrier, up)))
    });
    let up = world.phones[carrier].line(&Stage::Up).unwrap();
    assert!(world.phones[carrier].lines[&up].from.contains("36000101"), "Kari's number is shown");
    world.phones[kari].hang_up(world.now, line);
    world.run(S);
    let cdr = world.cdrs.last().unwrap();
    assert!(cdr.connected.is_some() && &*cdr.from == "101", "{cdr:?}");
    // Nobody answers, nobody is there, and what may not be dialled.
    world.phones[kari].answer = Answer::Refuse(486);
    assert!(matches!(ask(&mut world, dial("36000777", false)), Answered::Dialled { .. }));
    world.run(2 * S);
    let nobody = Order::Dial {
        company: "prove".into(),
        user: "sara".into(),
        to: Number::new("101"),
        auto_answer: false,
    };
    assert!(matches!(ask(&mut world, nobody), Answered::Refused { not_found: false, .. }));
    assert!(matches!(ask(&mut world, dial("555", false)), Answered::Refused { not_found: true, .. }));
    world.finish();
}

#[test]
fn parked_and_talking_callers_are_brought_to_a_phone_by_order() {
    let (mut world, carrier, kari, call, _) = talking(126);
    let sara = world.registered("sara");
    world.phones[sara].answer = Answer::After(S / 10);
    world.phones[kari].answer = Answer::After(S / 10);
    let park = Order::Park { company: "prove".into(), user: "kari".into(), slot: Some(705), call: None };
    assert_eq!(ask(&mut world, park), Answered::Parked { slot: 705 });
    world.run(S / 2);
    assert_eq!(world.phones[kari].live_lines(), 0);
    let board = look(&mut world);
    let [parked] = &board.parked[..] else { panic!("{:?}", board.parked) };
    assert_eq!((parked.slot, parked.by.as_str()), (705, "kari"));
    let take = Order::Take { company: "prove".into(), user: "kari".into(), call: parked.call };
    assert!(matches!(ask(&mut world, take), Answered::Dialled { .. }));
    world.until("Kari has the caller", 3 * S, |w| talks(w, kari, (carrier, call)));
    let over =
        |user: &str| Order::TakeOver { company: "prove".into(), user: user.into(), from: "kari".into() };
    assert!(
        matches!(ask(&mut world, over("ola")), Answered::Refused { not_found: false, .. }),
        "no supervisor"
    );
    assert!(matches!(ask(&mut world, over("sara")), Answered::Dialled { .. }));
    world.until("Sara has the caller", 3 * S, |w| talks(w, sara, (carrier, call)));
    world.run(S);
    assert_eq!(world.phones[kari].live_lines(), 0);
    world.finish();
}

#[test]
fn night_service_closes_the_number_and_is_seen() {
    let mut world = world(127);
    let carrier = world.carrier();
    let night = |on| Order::Night { company: "prove".into(), on, until: None };
    assert_eq!(look(&mut world).night.map(|night| night.on), Some(false));
    assert_eq!(ask(&mut world, night(true)), Answered::Done);
    assert_eq!(look(&mut world).night.map(|night| night.on), Some(true));
    let call = world.phones[carrier].call(world.now, crate::world::MAIN, false);
    world.run(S / 2);
    let audio = world.phones[carrier].lines[&call].audio;
    let said = world.stream_to(audio).map(|(_, stream)| stream.played.join(" ")).unwrap_or_default();
    assert!(said.contains("closed"), "{said}");
    assert_eq!(ask(&mut world, night(false)), Answered::Done);
    world.finish();
}
