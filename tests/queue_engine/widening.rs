//! More and more phones at once, and calls by skill.

use std::collections::BTreeMap;
use std::time::Duration;

use sentral::model::queue::Membership;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::model::queue::Widening;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;

use crate::harness::World;
use crate::harness::queue;
use crate::harness::s;

fn widening(agents: &[&str]) -> Queue {
    let widening = Widening { start: 1, add: 2, every: s(10) };
    Queue { strategy: Strategy::Widening, widening, ..queue(agents) }
}

#[test]
fn more_phones_join_those_that_ring_every_time_and_none_of_them_stops() {
    let mut world = World::with(widening(&["anne", "bjarne", "cecilie", "david", "eva", "frode"]));
    world.join(1);
    assert_eq!(world.rings(1), ["anne"]);
    world.pass(s(10) - Duration::from_millis(1));
    assert_eq!(world.rings(1).len(), 1);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.rings(1), ["anne", "bjarne", "cecilie"]);
    world.pass(s(10));
    assert_eq!(world.rings(1), ["anne", "bjarne", "cecilie", "david", "eva"]);
    world.answer("bjarne");
    world.input(Input::TalkStarted { entry: crate::harness::call(1) });
    assert!(world.rings(1).is_empty(), "the others stop");
    world.pass(s(60));
    assert!(world.rings(1).is_empty());
}

#[test]
fn who_refuses_is_replaced_at_once_by_another() {
    let mut world = World::with(widening(&["anne", "bjarne", "cecilie", "david"]));
    world.join(1);
    world.fail("anne", Failure::Rejected);
    assert_eq!(world.rings(1), ["bjarne"]);
    world.pass(s(10));
    assert_eq!(world.rings(1), ["bjarne", "cecilie", "david"], "anne has refused, and others are there");
}

#[test]
fn widening_stays_within_the_tiers_that_count() {
    let tiers = Queue { tier_after: Some(s(15)), ..widening(&["anne", "bjarne:2", "cecilie:2"]) };
    let mut world = World::with(tiers);
    world.join(1);
    world.pass(s(10));
    assert_eq!(world.rings(1), ["anne"], "three may ring, and one is in the first tier");
    world.pass(s(5));
    assert_eq!(world.rings(1), ["anne", "bjarne", "cecilie"]);
}

#[test]
fn skill_gives_more_calls_and_nobody_waits_when_only_the_unskilled_are_free() {
    let skilled = |skills: [u8; 3]| {
        let users = ["anne", "bjarne", "cecilie"];
        let agents = users.iter().zip(skills).map(|(user, skill)| Membership {
            user: (*user).into(),
            tier: 1,
            skill,
            auto_login: None,
            contacts: None,
        });
        Queue { strategy: Strategy::Weighted, agents: agents.collect(), ..queue(&[]) }
    };
    let mut world = World::with(skilled([8, 2, 0]));
    let mut rung: BTreeMap<String, u32> = BTreeMap::new();
    for number in 1..=1000 {
        world.join(number);
        rung.extend(world.rings(number).first().map(|user| (user.clone(), rung.get(user).unwrap_or(&0) + 1)));
        world.hang_up(number);
    }
    assert_eq!(rung.get("cecilie"), None);
    assert!(rung["anne"].abs_diff(800) < 50, "{rung:?}");
    world.pause("anne", Some("lunch"));
    world.pause("bjarne", Some("lunch"));
    world.join(2000);
    assert_eq!(world.rings(2000), ["cecilie"], "no skill is no reason to let a caller wait");
}
