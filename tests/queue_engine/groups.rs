//! Ring groups: the same engine without a waiting room.

use sentral::model::queue::Strategy;
use sentral::model::ring_group::RingGroup;
use sentral::switch::queue::Caller;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;
use sentral::switch::queue::Output;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::call;
use crate::harness::config;
use crate::harness::group;
use crate::harness::group_key;
use crate::harness::s;

const BUSY: Facts = Facts { in_call: true, ..READY };

fn lager(group: RingGroup) -> World {
    let users: Vec<String> = group.members.iter().map(|user| user.to_string()).collect();
    let mut world = World::new(config(&[], &[("lager", group)]));
    users.iter().for_each(|user| world.facts(user, READY));
    world
}

#[test]
fn a_group_rings_everybody_for_its_total_time_without_a_word() {
    let mut world = lager(group(&["kari", "ola"]));
    world.join_line(1, group_key("lager"));
    assert_eq!(world.rings(1), ["kari", "ola"]);
    world.pass(s(29));
    assert!(world.exits().is_empty());
    world.pass(s(1));
    assert_eq!(world.exits(), [(1, ExitReason::NoAnswer)]);
    assert!(!world.said.iter().any(|output| matches!(output, Output::Say { .. } | Output::Hush { .. })));
}

#[test]
fn the_flow_step_may_say_how_long_a_group_rings() {
    let mut world = lager(group(&["kari"]));
    let caller = Caller {
        entry: call(1),
        priority: None,
        waited_since: None,
        ring: Some(s(10)),
        open: true,
        number: None,
    };
    world.input(Input::Join { line: group_key("lager"), caller });
    world.pass(s(10));
    assert_eq!(world.exits(), [(1, ExitReason::NoAnswer)]);
}

#[test]
fn a_group_in_turn_shares_its_time_between_the_members() {
    let mut world = lager(RingGroup { strategy: Strategy::InOrder, ..group(&["kari", "ola"]) });
    world.join_line(1, group_key("lager"));
    let first = world.offer("kari");
    world.input(Input::OfferRinging(first));
    assert_eq!(world.rings(1), ["kari"]);
    world.pass(s(15));
    assert_eq!(world.rings(1), ["ola"]);
    world.pass(s(15));
    assert_eq!(world.exits(), [(1, ExitReason::NoAnswer)]);
}

#[test]
fn a_caller_for_whom_nobody_can_ring_leaves_a_group_at_once() {
    let rows = [
        // All busy.
        (BUSY, BUSY, ExitReason::Busy),
        // One busy, the other out of reach.
        (BUSY, Facts::default(), ExitReason::Busy),
        // Nobody to be reached.
        (Facts::default(), Facts { do_not_disturb: true, ..READY }, ExitReason::Nobody),
    ];
    for (kari, ola, expect) in rows {
        let mut world = lager(group(&["kari", "ola"]));
        world.facts("kari", kari);
        world.facts("ola", ola);
        world.join_line(1, group_key("lager"));
        assert_eq!(world.exits(), [(1, expect)]);
    }
    let mut world = lager(RingGroup { auto_login: false, ..group(&["kari"]) });
    world.join_line(1, group_key("lager"));
    assert_eq!(world.exits(), [(1, ExitReason::Nobody)]);
    let mut world = lager(group(&[]));
    world.join_line(1, group_key("lager"));
    assert_eq!(world.exits(), [(1, ExitReason::Nobody)]);
}

#[test]
fn a_group_gives_up_when_the_last_ringing_member_cannot() {
    let rows = [
        (Failure::Busy, Failure::Busy, ExitReason::Busy),
        (Failure::Rejected, Failure::Busy, ExitReason::NoAnswer),
        (Failure::Rejected, Failure::Rejected, ExitReason::NoAnswer),
        (Failure::Unreachable, Failure::Error, ExitReason::Nobody),
    ];
    for (kari, ola, expect) in rows {
        let mut world = lager(group(&["kari", "ola"]));
        world.join_line(1, group_key("lager"));
        world.fail("kari", kari);
        assert!(world.exits().is_empty());
        world.fail("ola", ola);
        assert_eq!(world.exits(), [(1, expect)]);
    }
}

#[test]
fn a_second_caller_of_a_group_hears_ringing_while_the_first_is_rung_for() {
    let mut world = lager(group(&["kari", "ola"]));
    world.join_line(1, group_key("lager"));
    world.join_line(2, group_key("lager"));
    assert!(world.exits().is_empty());
    world.answer("kari");
    world.input(Input::TalkStarted { entry: call(1) });
    assert_eq!(world.rings(2), ["ola"], "who lost the first caller rings for the second");
}
