//! What a waiting caller hears, and when.

use sentral::model::queue::Announce;
use sentral::model::queue::PositionPolicy;
use sentral::model::queue::Queue;
use sentral::switch::queue::Announcement;
use sentral::switch::queue::Caller;
use sentral::switch::queue::Eta;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Input;
use sentral::switch::queue::Output;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::call;
use crate::harness::caller;
use crate::harness::queue;
use crate::harness::s;

fn busy(queue: Queue) -> World {
    let mut world = World::with(queue);
    world.facts("kari", Facts { in_call: true, ..READY });
    world
}

fn announced(world: &mut World, number: u64) {
    world.input(Input::Announced { entry: call(number) });
}

#[test]
fn an_offer_never_waits_for_the_welcome_and_an_answer_hushes_it() {
    let mut world = World::with(Queue { welcome: None, ..queue(&["kari"]) });
    world.join(1);
    assert_eq!(world.told(1), [[Announcement::Welcome]]);
    assert_eq!(world.rings(1), ["kari"]);
    world.fresh();
    world.answer("kari");
    let said = world.fresh();
    let hush = said.iter().position(|output| *output == Output::Hush { entry: call(1) });
    let connect = said.iter().position(|output| matches!(output, Output::Connect { .. }));
    assert!(hush.is_some() && hush < connect);
    world.input(Input::TalkStarted { entry: call(1) });
    world.pass(s(600));
    assert_eq!(world.told(1).len(), 1);
}

#[test]
fn comfort_is_said_an_interval_after_the_end_of_what_was_said() {
    let mut world = busy(Queue { welcome: None, comfort: None, ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(100));
    assert_eq!(world.told(1).len(), 1, "nothing while the welcome plays");
    announced(&mut world, 1);
    world.pass(s(44));
    assert_eq!(world.told(1).len(), 1);
    world.pass(s(1));
    assert_eq!(world.told(1)[1], [Announcement::Comfort]);
    world.pass(s(10));
    announced(&mut world, 1);
    world.pass(s(44));
    assert_eq!(world.told(1).len(), 2, "from the end, not from the start");
    world.pass(s(1));
    assert_eq!(world.told(1).len(), 3);
}

#[test]
fn the_place_is_said_on_joining_and_then_when_it_has_become_better() {
    let mut world = busy(Queue { announce: vec![Announce::Position], ..queue(&["kari"]) });
    (1..=3).for_each(|number| world.join(number));
    announced(&mut world, 3);
    assert_eq!(world.told(3), [[Announcement::Position(3)]]);
    world.pass(s(60));
    assert_eq!(world.told(3).len(), 1, "no better: nothing is said");
    world.hang_up(1);
    world.pass(s(45));
    assert_eq!(world.told(3)[1], [Announcement::Position(2)]);
}

#[test]
fn a_queue_may_say_the_place_each_time_but_not_more_often_than_every_twenty_seconds() {
    let position = PositionPolicy::Always;
    let often =
        Queue { announce: vec![Announce::Position], announce_every: s(5), position, ..queue(&["kari"]) };
    let mut world = busy(often);
    world.join(1);
    for times in 1..4 {
        announced(&mut world, 1);
        world.pass(s(19));
        assert_eq!(world.told(1).len(), times);
        world.pass(s(1));
    }
    assert_eq!(world.told(1).len(), 4);
}

#[test]
fn what_comes_due_during_another_message_follows_it() {
    let all = Queue {
        comfort: None,
        comfort_every: s(30),
        announce: vec![Announce::Position],
        announce_every: s(31),
        position: PositionPolicy::Always,
        ..queue(&["kari"])
    };
    let mut world = busy(all);
    world.join(1);
    announced(&mut world, 1);
    world.pass(s(32));
    assert_eq!(world.told(1)[1..], [[Announcement::Comfort]]);
    announced(&mut world, 1);
    world.pass(s(5));
    assert_eq!(world.told(1)[2..], [[Announcement::Position(1)]]);
}

#[test]
fn the_wait_is_said_as_exactly_as_it_is_known_when_five_answers_of_the_hour_back_it() {
    let mut world = World::with(Queue { announce: vec![Announce::Wait], ring: s(120), ..queue(&["kari"]) });
    for number in 1..=5 {
        world.join(number);
        assert!(world.told(number).is_empty(), "too few answers to tell");
        world.pass(s(50));
        world.talk(number, "kari", s(10));
    }
    world.facts("kari", Facts { in_call: true, ..READY });
    // Fifty seconds a place.
    (11..=30).for_each(|number| world.join(number));
    let told = |number: u64| world.told(number)[0][0];
    assert_eq!(told(11), Announcement::Wait(Eta::UnderOne));
    assert_eq!(told(12), Announcement::Wait(Eta::OneToTwo));
    assert_eq!(told(14), Announcement::Wait(Eta::TwoToFive));
    assert_eq!(told(18), Announcement::Wait(Eta::FiveToTen));
    assert_eq!(told(30), Announcement::Wait(Eta::OverTen));
    world.pass(s(60 * 60));
    (11..=30).for_each(|number| world.hang_up(number));
    world.join(31);
    assert!(world.told(31).is_empty(), "the answers are too old");
}

#[test]
fn a_wait_that_grew_by_a_little_is_not_said_again() {
    let waits = Queue {
        announce: vec![Announce::Wait],
        announce_every: s(20),
        ring: s(120),
        max_wait: None,
        ..queue(&["kari"])
    };
    let mut world = World::with(waits);
    for number in 1..=5 {
        world.join(number);
        world.pass(s(90));
        world.talk(number, "kari", s(5));
    }
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(10);
    assert_eq!(world.told(10), [[Announcement::Wait(Eta::OneToTwo)]]);
    announced(&mut world, 10);
    // Somebody more important comes before: three minutes, a little more than was said.
    world.join_as(Caller { priority: Some(9), ..caller(11) });
    world.pass(s(20));
    assert_eq!(world.told(10).len(), 1, "a border that was crossed by a little is no news");
    // Five minutes or more: that is.
    (12..14).for_each(|number| world.join_as(Caller { priority: Some(9), ..caller(number) }));
    world.pass(s(20));
    assert_eq!(world.told(10)[1], [Announcement::Wait(Eta::FiveToTen)]);
}
