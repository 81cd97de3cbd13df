//! Callers who come back, agents who refuse, and what follows when everybody was tried.

use sentral::model::change::Change;
use sentral::model::queue::Membership;
use sentral::model::queue::PreferLast;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::switch::queue::Caller;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::agent;
use crate::harness::call;
use crate::harness::caller;
use crate::harness::config;
use crate::harness::known;
use crate::harness::phone;
use crate::harness::queue;
use crate::harness::queue_key;
use crate::harness::s;

const BUSY: Facts = Facts { in_call: true, ..READY };

#[test]
fn who_hangs_up_and_calls_again_in_time_has_the_old_place() {
    let rejoins = || {
        let mut world = World::with(Queue { rejoin: s(120), ..queue(&["kari"]) });
        world.facts("kari", BUSY);
        world.join_as(known(1));
        world.join_as(known(2));
        world.pass(s(30));
        world.hang_up(1);
        world
    };
    let mut world = rejoins();
    world.pass(s(120));
    world.join_as(Caller { entry: call(9), ..known(1) });
    assert_eq!(world.queues.place(call(9)), Some(1));
    assert_eq!(world.queues.place(call(2)), Some(2));
    assert_eq!(world.events("queue.joined")[2], "rejoined: place 1");

    let mut world = rejoins();
    world.pass(s(121));
    world.join_as(Caller { entry: call(9), ..known(1) });
    assert_eq!(world.queues.place(call(9)), Some(2), "too late");

    let mut world = rejoins();
    world.join_as(Caller { entry: call(9), ..caller(9) });
    assert_eq!(world.queues.place(call(9)), Some(2), "whose number is hidden cannot be known again");
}

fn preferring(agents: &[&str]) -> Queue {
    let prefer = PreferLast { within: s(7 * 86_400), wait: s(15) };
    Queue { strategy: Strategy::InOrder, prefer_last_agent: Some(prefer), ..queue(agents) }
}

#[test]
fn the_agent_of_last_time_rings_first_and_is_waited_for_only_a_while() {
    let mut world = World::with(preferring(&["kari", "ola"]));
    world.facts("kari", BUSY);
    world.join_as(known(1));
    world.talk(1, "ola", s(60));
    world.facts("kari", READY);
    world.join_as(Caller { entry: call(2), ..known(1) });
    assert_eq!(world.rings(2), ["ola"], "though kari is first in the list");
    world.hang_up(2);
    // Busy: waited for, and others pass.
    world.facts("ola", BUSY);
    world.join_as(Caller { entry: call(3), ..known(1) });
    world.join_as(known(8));
    assert!(world.rings(3).is_empty());
    assert_eq!(world.rings(8), ["kari"], "nobody else waits for that");
    world.hang_up(8);
    world.pass(s(15));
    assert_eq!(world.rings(3), ["kari"]);
    world.hang_up(3);
    // Not there at all: not waited for.
    world.pause("ola", Some("lunch"));
    world.join_as(Caller { entry: call(4), ..known(1) });
    assert_eq!(world.rings(4), ["kari"]);
}

#[test]
fn the_agent_of_last_time_who_does_not_answer_is_followed_by_others() {
    let mut world = World::with(preferring(&["kari", "ola"]));
    world.facts("kari", BUSY);
    world.join_as(known(1));
    world.talk(1, "ola", s(60));
    world.facts("kari", READY);
    world.join_as(Caller { entry: call(2), ..known(1) });
    world.fail("ola", Failure::Rejected);
    assert_eq!(world.rings(2), ["kari"]);
}

#[test]
fn the_agent_of_last_time_is_known_after_a_restart_and_forgotten_after_its_time() {
    let mut world = World::with(preferring(&["kari", "ola"]));
    let (line, at) = (queue_key("salg"), world.now.utc);
    let last = Change::LastAgent { line, number: phone(1), agent: Some(agent("ola")), at };
    world.input(Input::Restore(last));
    world.join_as(known(1));
    assert_eq!(world.rings(1), ["ola"]);
    world.hang_up(1);
    world.pass(s(7 * 86_400 + 1));
    world.join_as(Caller { entry: call(2), ..known(1) });
    assert_eq!(world.rings(2), ["kari"]);
    // The next answer sweeps out what is too old.
    world.hang_up(2);
    world.join_as(known(5));
    world.talk(5, "kari", s(2));
    let forgotten = world
        .changes()
        .into_iter()
        .any(|change| matches!(change, Change::LastAgent { number, agent: None, .. } if number == phone(1)));
    assert!(forgotten);
}

#[test]
fn who_refused_is_not_asked_again_until_all_others_were() {
    let mut world = World::with(Queue { reject_retry: Some(s(0)), ..queue(&["kari", "ola"]) });
    world.join(1);
    world.fail("kari", Failure::Rejected);
    assert_eq!(world.rings(1), ["ola"]);
    world.pass(s(5));
    world.fail("ola", Failure::Rejected);
    assert_eq!(world.rings(1), ["kari"], "all others were tried");
}

#[test]
fn who_refuses_for_good_is_never_asked_again_and_refused_by_all_the_caller_leaves() {
    let mut world = World::with(Queue { reject_retry: None, ..queue(&["kari", "ola"]) });
    world.facts("ola", BUSY);
    world.join(1);
    world.fail("kari", Failure::Rejected);
    world.pass(s(300));
    assert!(world.rings(1).is_empty() && world.exits().is_empty(), "ola has not been asked");
    world.facts("ola", READY);
    assert_eq!(world.rings(1), ["ola"]);
    world.fail("ola", Failure::Rejected);
    assert_eq!(world.exits(), [(1, ExitReason::RejectedByAll)]);
    world.join(2);
    assert_eq!(world.rings(2), ["kari"], "the refusal was of one caller");
}

#[test]
fn a_queue_with_an_exit_for_it_gives_up_when_everybody_was_rung_in_vain() {
    let no_answer = Some(sentral::model::flow::Destination::Hangup);
    let gives_up = Queue { no_answer, strategy: Strategy::InOrder, ..queue(&["kari", "ola"]) };
    let mut world = World::with(gives_up.clone());
    world.join(1);
    world.pass(s(34));
    assert_eq!(world.rings(1), ["ola"]);
    world.pass(s(33));
    assert!(world.exits().is_empty());
    world.pass(s(1));
    assert_eq!(world.exits(), [(1, ExitReason::NoAnswer)]);

    // Whoever is busy has not been rung.
    let mut world = World::with(gives_up);
    world.facts("ola", BUSY);
    world.join(1);
    world.pass(s(34 + 300));
    assert!(world.exits().is_empty());
    world.facts("ola", READY);
    world.fail("ola", Failure::Busy);
    assert!(world.exits().is_empty(), "nor has a phone that is busy");
}

#[test]
fn a_seat_may_be_logged_in_without_the_queue_being_so() {
    let seat = |user: &str, auto_login| Membership {
        user: user.into(),
        tier: 1,
        skill: 5,
        auto_login,
        contacts: None,
    };
    let agents = vec![seat("kari", Some(true)), seat("ola", None), seat("per", Some(false))];
    let mut world = World::new(config(&[("salg", Queue { agents, auto_login: false, ..queue(&[]) })], &[]));
    ["kari", "ola", "per"].iter().for_each(|user| world.facts(user, READY));
    assert_eq!(
        ["kari", "ola", "per"].map(|user| world.state(user).to_string()),
        ["ready", "logged out", "logged out"]
    );
}

#[test]
fn a_queue_may_ring_those_who_do_not_want_to_be_disturbed_or_who_forward() {
    let mut world = World::with(Queue {
        strategy: Strategy::RingAll,
        ignore_dnd: true,
        follow_forward: true,
        ..queue(&["kari", "ola"])
    });
    world.facts("kari", Facts { do_not_disturb: true, ..READY });
    world.facts("ola", Facts { forwarded: true, ..READY });
    world.join(1);
    assert_eq!(world.rings(1), ["kari", "ola"]);
}

#[test]
fn fewest_calls_of_the_day_are_known_after_a_restart() {
    let mut world = World::with(Queue { strategy: Strategy::FewestCalls, ..queue(&["kari", "ola"]) });
    world.join(1);
    world.talk(1, "kari", s(60));
    let tally = world.changes().into_iter().find(|change| matches!(change, Change::AgentTally { .. }));
    let mut later = World::with(Queue { strategy: Strategy::FewestCalls, ..queue(&["kari", "ola"]) });
    later.join(1);
    assert_eq!(later.rings(1), ["kari"]);
    later.hang_up(1);
    later.input(Input::Restore(tally.expect("a talk is told")));
    later.join(2);
    assert_eq!(later.rings(2), ["ola"]);
}
