//! Callers that agents take from the list.

use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Withdrawn;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::agent;
use crate::harness::call;
use crate::harness::queue;
use crate::harness::queue_key;
use crate::harness::s;

fn pull(agents: &[&str]) -> Queue {
    Queue { strategy: Strategy::Pull, ..queue(agents) }
}

#[test]
fn nobody_is_rung_until_an_agent_takes_a_caller_whichever_it_is() {
    let mut world = World::with(pull(&["kari", "ola"]));
    (1..=3).for_each(|number| world.join(number));
    world.pass(s(60));
    assert!((1..=3).all(|number| world.rings(number).is_empty()));
    world.take(2, "kari");
    assert_eq!(world.rings(2), ["kari"]);
    world.talk(2, "kari", s(10));
    assert_eq!(world.results(), ["answered"]);
    assert!(world.rings(1).is_empty());
    assert_eq!(world.queues.place(call(3)), Some(2));
}

#[test]
fn the_list_tells_who_waits_in_which_place_for_how_long_and_to_whom_they_are_offered() {
    let mut world = World::with(pull(&["kari"]));
    world.join(1);
    world.pass(s(5));
    world.join_as(crate::harness::known(2));
    world.pass(s(3));
    world.take(1, "kari");
    let view = world.queues.views(world.now, None).remove(0);
    let rows: Vec<_> = view
        .callers
        .iter()
        .map(|row| {
            (row.entry, row.position, row.wait_s, row.priority, row.state.as_str(), row.offered_to.len())
        })
        .collect();
    assert_eq!(rows, [(call(1), 1, 8, 5, "offering", 1), (call(2), 2, 3, 5, "waiting", 0)]);
    assert_eq!(view.callers[0].number, None, "hidden");
    assert_eq!(view.callers[1].number.as_ref().map(|number| number.as_str()), Some("+4790000002"));
}

#[test]
fn a_full_list_is_full_although_attendants_are_free() {
    let mut world = World::with(Queue { max_calls: 1, ..pull(&["kari"]) });
    world.join(1);
    world.join(2);
    assert_eq!(world.exits(), [(2, ExitReason::Full)]);
}

#[test]
fn in_any_queue_a_caller_may_be_taken_from_those_who_ring_for_them() {
    let mut world = World::with(Queue { strategy: Strategy::RingAll, ..queue(&["kari", "ola", "per"]) });
    world.pause("per", Some("lunch"));
    world.join(1);
    let rang = [world.offer("kari"), world.offer("ola")];
    world.take(1, "per");
    assert_eq!(world.rings(1), ["per"], "a pause does not keep one from taking a call");
    for offer in rang {
        assert_eq!(
            world.ended(offer),
            Some(Withdrawn::AnsweredElsewhere(agent("per"))),
            "nobody missed a call"
        );
    }
    world.pass(s(34));
    assert_eq!(world.ended(world.last_offer("per")), Some(Withdrawn::NoAnswer));
    assert_eq!(world.rings(1), ["kari", "ola"], "the taker does not answer: as before");
}

#[test]
fn taking_a_caller_ends_wrap_up_and_the_ringing_of_another() {
    let mut world = World::with(Queue { wrap_up: s(60), ..queue(&["kari"]) });
    world.join(1);
    world.talk(1, "kari", s(5));
    world.join(2);
    assert!(world.rings(2).is_empty());
    world.take(2, "kari");
    assert_eq!(world.rings(2), ["kari"]);
    world.join(3);
    let other = world.offer("kari");
    world.take(3, "kari");
    assert_eq!(world.ended(other), Some(Withdrawn::Busy));
    assert_eq!(world.rings(3), ["kari"]);
    assert!(world.rings(2).is_empty());
    world.fail("kari", Failure::Rejected);
    assert_eq!(world.rings(2), ["kari"], "the next in turn");
}

#[test]
fn who_may_not_take_a_caller_is_told_why() {
    let mut world = World::with(pull(&["kari", "ola", "per"]));
    world.join(1);
    world.facts("kari", Facts { in_call: true, ..READY });
    world.login("ola", false);
    world.facts("per", Facts::default());
    let rows = [("kari", "busy"), ("ola", "logged_out"), ("per", "unreachable"), ("nils", "not_listed")];
    for (user, code) in rows {
        let why = world.queues.may_take(world.now, call(1), &agent(user)).expect_err("it is refused");
        assert!(why.starts_with(code), "{user}: {why}");
        world.take(1, user);
        assert!(world.rings(1).is_empty());
    }
    assert_eq!(world.events("queue.take_refused").len(), rows.len());
    let gone =
        world.queues.may_take(world.now, call(9), &agent("kari")).expect_err("nobody waits by that name");
    assert!(gone.starts_with("gone"), "{gone}");
    // Busy before pause: somebody in a call cannot take another, whatever else is shown.
    world.pause("kari", Some("lunch"));
    assert!(world.queues.may_take(world.now, call(1), &agent("kari")).is_err());
    world.facts("kari", READY);
    world.take(1, "kari");
    world.answer("kari");
    let answered = world.queues.may_take(world.now, call(1), &agent("kari")).expect_err("it is answered");
    assert!(answered.starts_with("answered"), "{answered}");
}

#[test]
fn the_longest_wait_holds_in_a_list_too() {
    let mut world = World::with(Queue { max_wait: Some(s(30)), ..pull(&["kari"]) });
    world.join(1);
    world.pass(s(30));
    assert_eq!(world.exits(), [(1, ExitReason::Timeout)]);
    assert!(world.waiting(&queue_key("salg")).is_empty());
}
