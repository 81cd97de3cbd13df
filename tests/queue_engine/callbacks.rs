//! Callers who hang up and are called back in their turn.

use sentral::model::change::Change;
use sentral::model::id::CallId;
use sentral::model::queue::Callback;
use sentral::model::queue::Queue;
use sentral::switch::queue::Announcement;
use sentral::switch::queue::Caller;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;
use sentral::switch::queue::OfferId;
use sentral::switch::queue::Output;
use sentral::switch::queue::Withdrawn;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::agent;
use crate::harness::call;
use crate::harness::config;
use crate::harness::known;
use crate::harness::phone;
use crate::harness::queue;
use crate::harness::queue_key;
use crate::harness::s;

const BUSY: Facts = Facts { in_call: true, ..READY };

fn calls_back(agents: &[&str]) -> Queue {
    let callback = Callback { offer_after: s(0), min_position: 1, ..Callback::default() };
    Queue { callback: Some(callback), ..queue(agents) }
}

/// Kari is busy; three wait, the first and the second by call-back.
fn two_kept(queue: Queue) -> World {
    let mut world = World::with(queue);
    world.facts("kari", BUSY);
    for number in 1..=3 {
        world.join_as(known(number));
        world.pass(s(1));
    }
    for number in 1..=2 {
        world.input(Input::KeepPlace { entry: call(number), number: phone(number) });
    }
    world
}

/// The last offer of a call-back: its name, the place it is for, and whom to dial.
fn offered(world: &World) -> Option<(OfferId, CallId, String)> {
    world.said.iter().rev().find_map(|output| match output {
        Output::Offer { offer, entry, callback: Some(number), .. } => {
            Some((*offer, *entry, number.as_str().to_owned()))
        }
        _ => None,
    })
}

/// A call takes over the place that is being offered.
fn carry(world: &mut World, number: u64) {
    let (_, entry, _) = offered(world).expect("a call-back is offered");
    world.input(Input::CarriedBy { entry, call: call(number) });
}

fn dialled(world: &World) -> Vec<(u64, String)> {
    let dial = |output: &Output| match output {
        Output::DialBack { entry, number, .. } => Some((entry.seq, number.as_str().to_owned())),
        _ => None,
    };
    world.said.iter().filter_map(dial).collect()
}

fn states(world: &World) -> Vec<String> {
    world.waiting(&queue_key("salg")).into_iter().map(|(_, state)| state).collect()
}

#[test]
fn a_caller_hangs_up_keeps_the_place_and_is_dialled_once_an_agent_has_answered() {
    let mut world = two_kept(calls_back(&["kari"]));
    assert_eq!(world.exits(), [(1, ExitReason::CallbackTaken), (2, ExitReason::CallbackTaken)]);
    assert_eq!(states(&world), ["callback_pending", "callback_pending", "waiting"]);
    assert_eq!(world.queues.place(call(3)), Some(3), "the places count");
    world.facts("kari", READY);
    assert_eq!(offered(&world).map(|offer| offer.2), Some(phone(1).to_string()));
    carry(&mut world, 11);
    assert!(dialled(&world).is_empty(), "nobody is dialled before an agent is there");
    world.answer("kari");
    assert_eq!(dialled(&world), [(11, phone(1).to_string())]);
    assert!(!world.is_ready("kari"));
    world.input(Input::TalkStarted { entry: call(11) });
    world.pass(s(60));
    world.input(Input::TalkEnded { entry: call(11) });
    assert_eq!(world.results(), ["answered"]);
    assert_eq!(offered(&world).map(|offer| offer.2), Some(phone(2).to_string()), "the next in order");
}

#[test]
fn who_does_not_answer_frees_the_agent_at_once_and_is_tried_again_in_the_old_place() {
    let mut world = two_kept(Queue { max_wait: None, ..calls_back(&["kari"]) });
    world.facts("kari", READY);
    carry(&mut world, 11);
    let since = world.now.mono;
    world.answer("kari");
    world.pass(s(25));
    world.input(Input::CallbackFailed { entry: call(11) });
    assert_eq!(offered(&world).map(|offer| offer.2), Some(phone(2).to_string()), "kari is free at once");
    assert!(world.now.mono > since);
    carry(&mut world, 12);
    world.answer("kari");
    world.input(Input::TalkStarted { entry: call(12) });
    world.pass(s(60));
    world.input(Input::TalkEnded { entry: call(12) });
    assert_eq!(world.rings(3), ["kari"], "who waits on the line is served meanwhile");
    world.facts("kari", BUSY);
    world.pass(s(539));
    world.facts("kari", READY);
    assert_eq!(world.rings(3), ["kari"], "one second too early");
    world.facts("kari", BUSY);
    world.pass(s(1));
    world.facts("kari", READY);
    assert_eq!(states(&world), ["callback_offering", "waiting"], "the second attempt goes first");
    carry(&mut world, 13);
    world.answer("kari");
    world.input(Input::CallbackFailed { entry: call(13) });
    assert_eq!(world.results().last().map(String::as_str), Some("callback_failed"), "two attempts, no more");
    assert_eq!(world.queues.kept_places(), 0);
    assert!(!world.events("agent.auto_paused").iter().any(|why| why.contains("kari")));
    assert!(
        !world.events("queue.refused").iter().any(|why| why.contains("no_answer")),
        "kari missed nothing"
    );
}

#[test]
fn a_caller_who_rings_in_gets_the_kept_place_and_no_one_is_dialled() {
    let mut world = two_kept(calls_back(&["kari"]));
    world.join_as(Caller { entry: call(20), ..known(2) });
    assert_eq!(world.queues.place(call(20)), Some(2));
    assert_eq!(states(&world), ["callback_pending", "waiting", "waiting"]);
    assert_eq!(world.queues.kept_places(), 1);
    // Also while an agent is rung for the call-back, and while the caller is being dialled.
    world.facts("kari", READY);
    let (offer, ..) = offered(&world).expect("the first is offered");
    carry(&mut world, 11);
    world.answer("kari");
    world.join_as(Caller { entry: call(21), ..known(1) });
    assert_eq!(world.ended(offer), Some(Withdrawn::CallerGone));
    assert_eq!(world.rings(21), ["kari"], "the caller is on the line: no call-back any longer");
    world.talk(21, "kari", s(5));
    assert_eq!(world.results(), ["answered"], "one visit, one result");
}

#[test]
fn an_agent_who_drops_or_refuses_a_call_back_leaves_it_to_others() {
    let mut world = two_kept(calls_back(&["kari", "ola"]));
    let (_, first, _) = offered(&world).expect("ola is free");
    carry(&mut world, 11);
    world.fail("ola", Failure::Rejected);
    assert_eq!(world.queues.place(call(11)), Some(1), "it waits on under its last name");
    world.facts("kari", READY);
    let (_, anew, number) = offered(&world).expect("kari is offered it");
    assert_eq!(number, phone(1).to_string());
    assert!(anew != first && anew != call(11), "under a new name: the call of before may be over");
    carry(&mut world, 12);
    world.answer("kari");
    let winner = world.last_offer("kari");
    world.input(Input::OfferFailed(winner, Failure::Error));
    assert_eq!(world.events("queue.callback_missed").len(), 1, "the caller was dialled: an attempt");
    assert_eq!(world.queues.kept_places(), 2);
}

#[test]
fn outside_hours_a_place_is_kept_until_it_opens_and_places_keep_their_order() {
    let mut world = two_kept(calls_back(&["kari"]));
    let line = queue_key("salg");
    world.input(Input::LineHours { line: line.clone(), open: false, immediate: true });
    assert_eq!(world.exits().last(), Some(&(3, ExitReason::Closed)), "who is on the line leaves");
    world.facts("kari", READY);
    world.pass(s(15 * 3600));
    assert_eq!(states(&world), ["callback_pending", "callback_pending"], "nobody is called at night");
    world.input(Input::LineHours { line: line.clone(), open: true, immediate: false });
    assert_eq!(offered(&world).map(|offer| offer.2), Some(phone(1).to_string()));

    let any_time =
        Callback { within_hours: false, offer_after: s(0), min_position: 1, ..Callback::default() };
    let mut world = two_kept(Queue { callback: Some(any_time), ..queue(&["kari"]) });
    world.input(Input::LineHours { line, open: false, immediate: true });
    world.facts("kari", READY);
    assert_eq!(states(&world), ["callback_offering", "callback_pending"]);
}

#[test]
fn kept_places_need_no_agents_and_no_longest_wait_and_end_after_a_week() {
    let mut world = two_kept(Queue { max_wait: Some(s(30)), ..calls_back(&["kari"]) });
    world.login("kari", false);
    world.pass(s(3600));
    assert_eq!(states(&world), ["callback_pending", "callback_pending"], "the others have left");
    world.pass(s(7 * 86_400));
    assert_eq!(world.queues.kept_places(), 0);
    assert_eq!(world.results()[1..], ["callback_expired", "callback_expired"]);
}

#[test]
fn kept_places_survive_a_restart_with_their_order_and_their_attempts() {
    let mut world = two_kept(calls_back(&["kari"]));
    world.facts("kari", READY);
    carry(&mut world, 11);
    world.answer("kari");
    world.input(Input::CallbackFailed { entry: call(11) });
    let mut kept = std::collections::BTreeMap::new();
    for change in world.changes() {
        if let Change::Callback { number, .. } = &change {
            assert!(change.is_state());
            kept.insert(number.clone(), change);
        }
    }
    let mut later = World::with(calls_back(&["kari"]));
    later.now = world.now.later(s(60));
    later.facts("kari", BUSY);
    // In whatever order the store gives them.
    kept.into_values().rev().for_each(|change| later.input(Input::Restore(change)));
    later.join_as(known(30));
    assert_eq!(later.queues.place(call(30)), Some(3));
    later.pass(s(540));
    later.facts("kari", READY);
    assert_eq!(offered(&later).map(|offer| offer.2), Some(phone(1).to_string()));
    carry(&mut later, 31);
    later.answer("kari");
    later.input(Input::CallbackFailed { entry: call(31) });
    assert_eq!(later.results(), ["callback_failed"], "the attempt of before counts");
}

#[test]
fn call_back_is_offered_once_and_only_to_those_who_have_it_worth_their_while() {
    let callback = Callback { offer_after: s(60), min_position: 2, ..Callback::default() };
    let mut world = World::with(Queue { callback: Some(callback), ..queue(&["kari"]) });
    world.facts("kari", BUSY);
    (1..=2).for_each(|number| world.join_as(known(number)));
    let refused = world.queues.may_call_back(world.now, call(2)).expect_err("it is early");
    assert!(refused.starts_with("too_early"), "{refused}");
    world.pass(s(60));
    assert!(world.told(1).is_empty(), "the first in line is served soon");
    assert_eq!(world.told(2), [[Announcement::Callback]]);
    world.input(Input::KeepPlace { entry: call(1), number: phone(1) });
    assert!(world.events("queue.callback_refused")[0].starts_with("soon_served"));
    world.input(Input::Announced { entry: call(2) });
    world.pass(s(120));
    assert_eq!(world.told(2).len(), 1);
    // One place a number.
    world.join_as(known(3));
    world.pass(s(60));
    world.input(Input::KeepPlace { entry: call(2), number: phone(7) });
    world.input(Input::KeepPlace { entry: call(3), number: phone(7) });
    assert!(world.events("queue.callback_refused")[1].starts_with("twice"));
    assert_eq!(world.queues.place(call(3)), Some(3), "who is refused waits on");
}

#[test]
fn a_kept_place_may_be_picked_from_the_list_given_up_and_goes_with_its_queue() {
    let mut world = two_kept(calls_back(&["kari"]));
    let (second, _) = world.waiting(&queue_key("salg"))[1].clone();
    world.facts("kari", Facts::default());
    world.facts("kari", READY);
    world.facts("kari", BUSY);
    world.facts("kari", READY);
    world.input(Input::Take { entry: second, agent: agent("kari") });
    assert_eq!(offered(&world).map(|offer| offer.2), Some(phone(2).to_string()));
    carry(&mut world, 12);
    world.answer("kari");
    assert_eq!(dialled(&world), [(12, phone(2).to_string())]);
    world.input(Input::Config(config(&[("drift", queue(&["kari"]))], &[])));
    assert_eq!(world.queues.kept_places(), 1, "the one being dialled goes on");
    world.input(Input::TalkStarted { entry: call(12) });
    world.input(Input::TalkEnded { entry: call(12) });
    assert_eq!(world.queues.kept_places(), 0);
    world.pass(s(40));
    assert!(world.queues.is_idle());
}
