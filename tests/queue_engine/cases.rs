//! One test for each edge case of a queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::change::Source;
use sentral::model::queue::AutoPause;
use sentral::model::queue::Drain;
use sentral::model::queue::JoinPolicy;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy;
use sentral::model::queue::Target;
use sentral::switch::queue::AgentState;
use sentral::switch::queue::Caller;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Facts;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;
use sentral::switch::queue::Left;
use sentral::switch::queue::Output;
use sentral::switch::queue::Withdrawn;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::agent;
use crate::harness::call;
use crate::harness::config;
use crate::harness::queue;
use crate::harness::queue_key;
use crate::harness::s;

fn ring_all(agents: &[&str]) -> Queue {
    Queue { strategy: Strategy::RingAll, ..queue(agents) }
}

fn in_order(agents: &[&str]) -> Queue {
    Queue { strategy: Strategy::InOrder, ..queue(agents) }
}

#[test]
fn a_caller_who_hangs_up_takes_every_offer_along_and_nobody_missed_a_call() {
    let mut world = World::with(ring_all(&["kari", "ola"]));
    world.join(1);
    let (before, offers) = (world.state("kari"), [world.offer("kari"), world.offer("ola")]);
    assert_eq!(before, AgentState::Ringing(call(1)));
    world.pass(s(6));
    world.hang_up(1);
    for offer in offers {
        assert_eq!(world.ended(offer), Some(Withdrawn::CallerGone));
    }
    assert_eq!(world.results(), ["abandoned"]);
    assert_eq!(world.state("kari"), AgentState::Ready(world.now.mono - s(6)), "ready since is unchanged");
    // Two more misses would not pause her: none was counted.
    world.join(2);
    world.hang_up(2);
    assert_eq!(world.results(), ["abandoned", "short_abandoned"]);
    assert!(world.is_ready("kari"));
}

#[test]
fn an_answer_after_the_caller_went_is_refused_without_wrap_up() {
    let mut world = World::with(Queue { wrap_up: s(60), ..queue(&["kari"]) });
    world.join(1);
    let offer = world.offer("kari");
    world.hang_up(1);
    world.fresh();
    world.input(Input::OfferAnswered(offer));
    assert_eq!(world.fresh(), [Output::Refuse { offer, why: Withdrawn::CallerGone }]);
    assert!(world.is_ready("kari"));
}

#[test]
fn a_caller_who_hangs_up_before_the_bridge_is_not_answered() {
    let mut world = World::with(Queue { wrap_up: s(60), ..queue(&["kari"]) });
    world.join(1);
    let offer = world.offer("kari");
    world.answer("kari");
    world.hang_up(1);
    assert_eq!(world.ended(offer), Some(Withdrawn::CallerGone));
    assert_eq!(world.results(), ["short_abandoned"]);
    assert!(world.is_ready("kari"), "no wrap-up");
}

#[test]
fn the_first_of_two_answers_wins_and_the_second_is_refused() {
    let mut world = World::with(ring_all(&["kari", "ola"]));
    world.pass(s(7));
    world.join(1);
    let second = world.offer("ola");
    world.answer("kari");
    assert_eq!(world.connected(1).as_deref(), Some("kari"));
    assert!(matches!(world.state("kari"), AgentState::Busy(_)));
    world.input(Input::OfferAnswered(second));
    assert_eq!(world.ended(second), Some(Withdrawn::AnsweredElsewhere(agent("kari"))));
    assert_eq!(world.state("ola"), AgentState::Ready(world.now.mono - s(7)), "ready since is unchanged");
}

#[test]
fn losers_stop_ringing_at_the_bridge_and_no_later_than_the_guard() {
    let mut world = World::with(ring_all(&["kari", "ola"]));
    world.join(1);
    let loser = world.offer("ola");
    world.answer("kari");
    assert_eq!(world.ended(loser), None, "ola rings on until the bridge stands");
    world.input(Input::TalkStarted { entry: call(1) });
    assert_eq!(world.ended(loser), Some(Withdrawn::AnsweredElsewhere(agent("kari"))));

    let mut world = World::with(ring_all(&["kari", "ola"]));
    world.join(1);
    let loser = world.offer("ola");
    world.answer("kari");
    world.pass(Duration::from_millis(300));
    assert_eq!(world.ended(loser), Some(Withdrawn::AnsweredElsewhere(agent("kari"))));
}

#[test]
fn a_winner_who_drops_before_the_bridge_leaves_the_others_ringing() {
    let mut world = World::with(ring_all(&["kari", "ola"]));
    world.join(1);
    let winner = world.offer("kari");
    world.answer("kari");
    world.input(Input::OfferFailed(winner, Failure::Error));
    assert_eq!(world.rings(1), ["ola"]);
    world.answer("ola");
    assert_eq!(world.connected(1).as_deref(), Some("ola"));
}

#[test]
fn a_lone_winner_who_drops_returns_the_caller_to_the_old_place() {
    let mut world = World::with(Queue { welcome: None, ..queue(&["kari"]) });
    world.join(1);
    world.join(2);
    let winner = world.offer("kari");
    world.answer("kari");
    assert_eq!(world.queues.place(call(2)), Some(1));
    world.input(Input::OfferFailed(winner, Failure::Error));
    assert_eq!(world.queues.place(call(1)), Some(1));
    assert_eq!(world.queues.place(call(2)), Some(2));
    assert_eq!(world.told(1).len(), 1, "the welcome is not said again");
}

#[test]
fn an_answer_that_crossed_the_cancel_still_wins_a_waiting_caller() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    let offer = world.offer("kari");
    world.input(Input::OfferRinging(offer));
    world.pass(s(30));
    assert_eq!(world.ended(offer), Some(Withdrawn::NoAnswer));
    world.input(Input::OfferAnswered(offer));
    assert_eq!(world.connected(1).as_deref(), Some("kari"));
}

#[test]
fn an_answer_that_crossed_the_cancel_is_refused_when_the_caller_is_served() {
    let mut world = World::with(in_order(&["kari", "ola"]));
    world.join(1);
    let offer = world.offer("kari");
    world.pass(s(34));
    assert_eq!(world.rings(1), ["ola"]);
    world.answer("ola");
    world.fresh();
    world.input(Input::OfferAnswered(offer));
    assert_eq!(world.fresh(), [Output::Refuse { offer, why: Withdrawn::NoAnswer }]);
}

#[test]
fn an_agent_in_a_direct_call_is_a_candidate_the_moment_it_ends() {
    let mut world = World::with(queue(&["kari"]));
    world.facts("kari", Facts { in_call: true, ..READY });
    assert!(matches!(world.state("kari"), AgentState::Busy(_)));
    world.join(1);
    assert!(world.rings(1).is_empty());
    assert!(world.exits().is_empty(), "all who are logged in are busy: the caller waits");
    world.facts("kari", READY);
    assert_eq!(world.rings(1), ["kari"]);
}

#[test]
fn a_direct_call_taken_while_an_offer_rings_ends_the_offer_unless_the_queue_rings_the_busy() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    let offer = world.offer("kari");
    world.facts("kari", Facts { in_call: true, ..READY });
    assert_eq!(world.ended(offer), Some(Withdrawn::Busy));

    let mut world = World::with(Queue { ring_busy: true, ..queue(&["kari"]) });
    world.join(1);
    let offer = world.offer("kari");
    world.facts("kari", Facts { in_call: true, ..READY });
    assert_eq!(world.ended(offer), None);
    world.hang_up(1);
    world.join(2);
    assert_eq!(world.rings(2), ["kari"], "a queue that rings the busy offers to call waiting");
}

#[test]
fn a_call_of_the_agents_own_does_not_stop_wrap_up() {
    let mut world = World::with(Queue { wrap_up: s(30), ..queue(&["kari"]) });
    world.join(1);
    world.talk(1, "kari", s(5));
    let until = world.now.mono + s(30);
    assert_eq!(world.state("kari"), AgentState::WrapUp(until));
    world.pass(s(10));
    world.facts("kari", Facts { in_call: true, ..READY });
    assert!(matches!(world.state("kari"), AgentState::Busy(_)));
    world.facts("kari", READY);
    assert_eq!(world.state("kari"), AgentState::WrapUp(until));
    world.join(2);
    assert!(world.rings(2).is_empty());
    world.pass(s(20));
    assert_eq!(world.rings(2), ["kari"]);
}

#[test]
fn wrap_up_holds_for_every_queue_of_the_agent_and_may_be_ended_early() {
    let salg = Queue { wrap_up: s(60), ..queue(&["kari"]) };
    let mut world = World::new(config(&[("salg", salg), ("drift", queue(&["kari"]))], &[]));
    world.facts("kari", READY);
    world.join(1);
    world.talk(1, "kari", s(5));
    world.join_line(2, queue_key("drift"));
    assert!(world.rings(2).is_empty());
    world.input(Input::WrapUpEnd { agent: agent("kari") });
    assert_eq!(world.rings(2), ["kari"]);
}

#[test]
fn after_no_answer_the_next_agent_rings_at_once_and_the_same_one_after_the_retry_delay() {
    let mut world = World::with(in_order(&["kari", "ola"]));
    world.join(1);
    let first = world.offer("kari");
    world.input(Input::OfferRinging(first));
    world.pass(s(30));
    assert_eq!(world.ended(first), Some(Withdrawn::NoAnswer));
    assert_eq!(world.rings(1), ["ola"], "the next one at 0 ms");
    world.pass(s(34));
    assert_eq!(world.rings(1), ["kari"], "both were tried: from the top again");

    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    world.pass(s(34));
    assert!(world.rings(1).is_empty());
    world.pass(s(1));
    assert!(world.rings(1).is_empty());
    world.pass(s(1));
    assert_eq!(world.rings(1), ["kari"], "nobody else: again after the retry delay");
}

#[test]
fn ring_time_starts_at_the_first_18x_or_four_seconds_after_the_invite() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    let offer = world.offer("kari");
    world.pass(s(1));
    world.input(Input::OfferRinging(offer));
    world.pass(s(30) - Duration::from_millis(1));
    assert_eq!(world.ended(offer), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.ended(offer), Some(Withdrawn::NoAnswer));

    // Ringing that is reported late does not ring longer than that.
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    let offer = world.offer("kari");
    world.pass(s(20));
    world.input(Input::OfferRinging(offer));
    world.pass(s(13));
    assert_eq!(world.ended(offer), None);
    world.pass(s(1));
    assert_eq!(world.ended(offer), Some(Withdrawn::NoAnswer));
}

#[test]
fn the_nth_miss_pauses_the_agent_aloud_and_empties_the_queue() {
    let mut world =
        World::with(Queue { auto_pause: AutoPause { after: 2, ..AutoPause::default() }, ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(34 + 2 + 34));
    assert_eq!(world.state("kari").to_string(), "paused (no_answer)");
    let paused = world.said.iter().any(|output| {
        matches!(output, Output::Change(Change::AgentPaused { by: Source::Auto(_), reason: Some(_), .. }))
    });
    let told = world.said.iter().any(|o| matches!(o, Output::Event { event: "agent.auto_paused", .. }));
    assert!(paused && told);
    world.pass(s(10));
    assert_eq!(world.exits(), [(1, ExitReason::AllPaused)], "a queue with paused agents only is empty");
}

#[test]
fn misses_are_forgotten_on_an_answer_and_when_a_pause_ends() {
    let mut world =
        World::with(Queue { auto_pause: AutoPause { after: 2, ..AutoPause::default() }, ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(36));
    world.talk(1, "kari", s(2));
    world.join(2);
    world.pass(s(36));
    assert_eq!(world.rings(2), ["kari"], "one miss since the answer");
    world.pass(s(34));
    assert!(matches!(world.state("kari"), AgentState::Paused(_)));
    world.pause("kari", None);
    world.pass(s(2 + 34));
    assert!(world.is_ready("kari"), "one miss since the pause");
}

#[test]
fn a_lone_agent_who_rejects_is_asked_again_after_the_reject_retry() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    world.fail("kari", Failure::Rejected);
    world.pass(s(59));
    assert!(world.rings(1).is_empty());
    world.join(2);
    assert_eq!(world.rings(2), ["kari"], "another caller may be offered");
    world.hang_up(2);
    world.pass(s(1));
    assert_eq!(world.rings(1), ["kari"]);
}

#[test]
fn a_phone_that_is_busy_or_out_of_reach_is_left_alone_for_a_while() {
    for (failure, state) in [(Failure::Busy, "busy"), (Failure::Unreachable, "unreachable")] {
        let mut world = World::with(in_order(&["kari", "ola"]));
        world.join(1);
        world.fail("kari", failure);
        assert_eq!(world.state("kari").to_string(), state);
        assert_eq!(world.rings(1), ["ola"], "the next one at 0 ms");
        world.join(2);
        assert!(world.rings(2).is_empty());
        world.pass(s(30));
        assert_eq!(world.rings(2), ["kari"]);
    }
}

#[test]
fn unreachable_absent_and_forwarded_agents_are_skipped_at_once() {
    let mut world = World::with(in_order(&["kari", "ola", "per", "eva"]));
    world.facts("kari", Facts::default());
    world.facts("ola", Facts { do_not_disturb: true, ..READY });
    world.facts("per", Facts { forwarded: true, ..READY });
    world.join(1);
    assert_eq!(world.rings(1), ["eva"]);
    let states = ["kari", "ola", "per"].map(|user| world.state(user).to_string());
    assert_eq!(states, ["unreachable", "absent (do not disturb)", "absent (forwarded)"]);
}

#[test]
fn callers_leave_in_order_ten_a_second_when_nobody_logs_in_within_the_grace() {
    let mut world = World::with(queue(&["kari"]));
    world.facts("kari", Facts { in_call: true, ..READY });
    (1..=20).for_each(|number| world.join(number));
    world.login("kari", false);
    world.pass(s(10) - Duration::from_millis(1));
    assert!(world.exits().is_empty());
    world.pass(s(1));
    assert_eq!(world.exits().len(), 10);
    world.pass(s(1));
    let expect: Vec<(u64, ExitReason)> = (1..=20).map(|number| (number, ExitReason::Nobody)).collect();
    assert_eq!(world.exits(), expect);
    assert_eq!(world.queues.poll_timeout(), None);
}

#[test]
fn nothing_is_heard_when_somebody_comes_back_within_the_grace() {
    let mut world = World::with(queue(&["kari"]));
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(1);
    world.pause("kari", Some("lunch"));
    world.pass(s(9));
    world.pause("kari", None);
    world.pass(s(60));
    assert!(world.exits().is_empty());
    assert_eq!(world.queues.place(call(1)), Some(1));
}

#[test]
fn the_last_agent_who_logs_out_while_ringing_stops_ringing_first() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    let offer = world.offer("kari");
    world.login("kari", false);
    assert_eq!(world.ended(offer), Some(Withdrawn::LoggedOut));
    world.pass(s(10));
    assert_eq!(world.exits(), [(1, ExitReason::Nobody)]);
}

#[test]
fn an_agent_who_logs_out_while_talking_talks_on_and_skips_wrap_up() {
    let mut world = World::with(Queue { wrap_up: s(60), ..queue(&["kari"]) });
    world.join(1);
    world.answer("kari");
    world.input(Input::TalkStarted { entry: call(1) });
    world.login("kari", false);
    world.pass(s(20));
    assert!(world.exits().is_empty());
    world.input(Input::TalkEnded { entry: call(1) });
    world.login("kari", true);
    assert!(world.is_ready("kari"));
    assert_eq!(world.results(), ["answered"]);
}

#[test]
fn when_the_hours_end_waiting_callers_are_served_leave_at_once_or_leave_later() {
    let closing = |drain| {
        let mut world = World::with(Queue { drain, ..queue(&["kari"]) });
        world.facts("kari", Facts { in_call: true, ..READY });
        world.join(1);
        world.input(Input::LineHours { line: queue_key("salg"), open: false, immediate: false });
        world
    };
    let mut world = closing(Drain::Finish);
    world.pass(s(300));
    assert!(world.exits().is_empty());
    world.facts("kari", READY);
    assert_eq!(world.rings(1), ["kari"]);

    assert_eq!(closing(Drain::ExitNow).exits(), [(1, ExitReason::Closed)]);

    let mut world = closing(Drain::ExitAfter(s(60)));
    world.pass(s(59));
    assert!(world.exits().is_empty());
    world.pass(s(1));
    assert_eq!(world.exits(), [(1, ExitReason::Closed)]);

    let mut world = closing(Drain::ExitAfter(s(60)));
    world.input(Input::LineHours { line: queue_key("salg"), open: true, immediate: false });
    world.pass(s(300));
    assert!(world.exits().is_empty(), "opened again in time");
}

#[test]
fn a_closed_queue_takes_nobody() {
    let mut world = World::with(queue(&["kari"]));
    let caller =
        Caller { entry: call(1), priority: None, waited_since: None, ring: None, open: false, number: None };
    world.input(Input::Join { line: queue_key("salg"), caller });
    assert_eq!(world.exits(), [(1, ExitReason::Closed)]);
}

#[test]
fn at_the_longest_wait_a_ringing_phone_gets_one_last_chance_of_ten_seconds() {
    let mut world = World::with(Queue { max_wait: Some(s(20)), ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(29));
    assert!(world.exits().is_empty());
    world.pass(s(1));
    assert_eq!(world.exits(), [(1, ExitReason::Timeout)]);
    assert_eq!(world.ended(world.last_offer("kari")), Some(Withdrawn::Exit), "cut short: no miss");

    // Shorter when the phone's own time ends before.
    let mut world = World::with(Queue { max_wait: Some(s(20)), ring: s(20), ..in_order(&["kari", "ola"]) });
    world.join(1);
    world.pass(s(24));
    assert_eq!(world.exits(), [(1, ExitReason::Timeout)], "and nobody else is rung");
    assert_eq!(world.ended(world.last_offer("kari")), Some(Withdrawn::NoAnswer));

    // Answered in it.
    let mut world = World::with(Queue { max_wait: Some(s(20)), ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(25));
    world.talk(1, "kari", s(60));
    assert_eq!(world.results(), ["answered"]);
}

#[test]
fn the_longest_wait_is_ignored_after_an_answer_and_remembered_if_the_winner_drops() {
    let mut world = World::with(Queue { max_wait: Some(s(20)), ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(19));
    let winner = world.offer("kari");
    world.answer("kari");
    world.pass(s(5));
    assert!(world.exits().is_empty());
    world.input(Input::OfferFailed(winner, Failure::Error));
    assert_eq!(world.exits(), [(1, ExitReason::Timeout)]);
}

#[test]
fn a_full_queue_and_an_empty_one_are_told_apart_at_joining() {
    let mut world = World::with(Queue { max_calls: 1, ..queue(&["kari"]) });
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(1);
    world.join(2);
    assert_eq!(world.exits(), [(2, ExitReason::Full)]);
    world.login("kari", false);
    world.join(3);
    assert_eq!(world.exits()[1..], [(3, ExitReason::Nobody)], "nobody is logged in, full or not");
    world.join_line(4, queue_key("unknown"));
    assert_eq!(world.exits()[2..], [(4, ExitReason::Gone)]);
}

#[test]
fn the_join_policy_says_who_must_be_there() {
    let rows = [
        // Policy, count paused, logged in, paused, busy: may join.
        (JoinPolicy::Always, false, false, false, false, true),
        (JoinPolicy::WhenLoggedIn, false, true, false, true, true),
        (JoinPolicy::WhenLoggedIn, false, true, true, false, false),
        (JoinPolicy::WhenLoggedIn, true, true, true, false, true),
        (JoinPolicy::WhenLoggedIn, false, false, false, false, false),
        (JoinPolicy::WhenReady, false, true, false, false, true),
        (JoinPolicy::WhenReady, false, true, false, true, false),
    ];
    for (join, count_paused, logged_in, paused, busy, expect) in rows {
        let mut world = World::with(Queue { join, count_paused, ..queue(&["kari"]) });
        world.login("kari", logged_in);
        world.pause("kari", paused.then_some("lunch"));
        world.facts("kari", Facts { in_call: busy, ..READY });
        world.join(1);
        let joined = world.exits().is_empty();
        assert_eq!(joined, expect, "{join:?} {count_paused} {logged_in} {paused} {busy}");
    }
}

#[test]
fn the_wait_is_carried_to_the_next_queue_and_decides_the_place() {
    let busy = Facts { in_call: true, ..READY };
    let mut world = World::with(Queue { max_wait: Some(s(60)), ..queue(&["kari"]) });
    world.facts("kari", busy);
    world.join(1);
    let carried = world.now.mono - s(300);
    let caller = Caller {
        entry: call(2),
        priority: None,
        waited_since: Some(carried),
        ring: None,
        open: true,
        number: None,
    };
    world.input(Input::Join { line: queue_key("salg"), caller });
    assert_eq!(world.queues.place(call(2)), Some(1));
    assert!(world.exits().is_empty(), "the longest wait of this queue counts from joining it");
    world.pass(s(60));
    let since = world.said.iter().find_map(|output| match output {
        Output::Exit { entry, waited_since, .. } if *entry == call(2) => Some(*waited_since),
        _ => None,
    });
    assert_eq!(since, Some(carried));
}

#[test]
fn who_is_put_through_in_a_callers_place_has_the_longer_wait_of_the_two() {
    let mut world = World::with(queue(&["kari"]));
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(1);
    world.pass(s(10));
    world.join(2);
    let mut replaced = |ago| {
        let waited_since = Some(world.now.mono - s(ago));
        world.input(Input::Replaced { entry: call(2), waited_since, number: None });
        [1, 2].map(|number| world.queues.place(call(number)))
    };
    assert_eq!(replaced(5), [Some(1), Some(2)]);
    assert_eq!(replaced(30), [Some(2), Some(1)]);
    assert_eq!(replaced(0), [Some(2), Some(1)], "nobody loses what they have waited");
    world.facts("kari", READY);
    assert_eq!(world.rings(2), ["kari"]);
}

#[test]
fn a_higher_priority_goes_before_and_equals_keep_their_order() {
    let mut world = World::with(queue(&["kari"]));
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(1);
    world.join(2);
    let caller = Caller {
        entry: call(3),
        priority: Some(9),
        waited_since: None,
        ring: None,
        open: true,
        number: None,
    };
    world.input(Input::Join { line: queue_key("salg"), caller });
    let places = [1, 2, 3].map(|number| world.queues.place(call(number)));
    assert_eq!(places, [Some(2), Some(3), Some(1)]);
}

#[test]
fn an_agent_of_two_queues_rings_for_the_most_urgent_caller_only() {
    let target = |within| Some(Target { percent: 80, within: s(within) });
    let rows = [
        // Seconds between the callers, priorities, targets: who is rung.
        (10, (5, 5), (20, 20), 1),
        (10, (5, 6), (20, 20), 2),
        (30, (5, 6), (20, 20), 1),
        (10, (5, 5), (200, 20), 2),
        (0, (5, 5), (20, 20), 1),
    ];
    for (between, priority, within, expect) in rows {
        let of = |priority, within| Queue { priority, target: target(within), ..queue(&["kari"]) };
        let queues = [("salg", of(priority.0, within.0)), ("drift", of(priority.1, within.1))];
        let mut world = World::new(config(&queues, &[]));
        world.facts("kari", Facts { in_call: true, ..READY });
        world.join_line(1, queue_key("salg"));
        world.pass(s(between));
        world.join_line(2, queue_key("drift"));
        world.pass(s(10));
        world.facts("kari", READY);
        assert_eq!(world.rings(expect), ["kari"], "{between} {priority:?} {within:?}");
        assert_eq!(world.rings(3 - expect), [""; 0]);
    }
}

#[test]
fn a_second_tier_rings_when_nobody_in_the_first_can_or_after_its_wait() {
    let mut world = World::with(queue(&["kari", "ola:2"]));
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(1);
    assert_eq!(world.rings(1), ["ola"], "nobody ready in the first: at once");

    let mut world = World::with(ring_all(&["kari", "ola:2"]));
    world.join(1);
    world.pass(s(19));
    assert_eq!(world.rings(1), ["kari"]);
    world.pass(s(1));
    assert_eq!(world.rings(1), ["kari", "ola"], "the first rings on");
}

#[test]
fn round_robin_goes_on_after_a_restart() {
    let robin = |agents: &[&str]| Queue { strategy: Strategy::RoundRobin, ..queue(agents) };
    let mut world = World::with(robin(&["kari", "ola", "per"]));
    let mut rung = Vec::new();
    for number in 1..=4 {
        world.join(number);
        rung.extend(world.rings(number));
        world.hang_up(number);
    }
    assert_eq!(rung, ["kari", "ola", "per", "kari"]);
    let told = world.said.iter().rev().find_map(|output| match output {
        Output::Change(change @ Change::RoundRobin { .. }) => Some(change.clone()),
        _ => None,
    });
    let mut world = World::with(robin(&["kari", "ola", "per"]));
    world.input(Input::Restore(told.expect("round-robin tells whom it rang")));
    world.join(1);
    assert_eq!(world.rings(1), ["ola"]);
}

#[test]
fn log_ins_and_pauses_come_back_from_the_store() {
    let mut world = World::with(Queue { auto_login: false, ..queue(&["kari", "ola"]) });
    assert_eq!(world.state("kari"), AgentState::Offline);
    let at = world.now.utc;
    let (line, by) = (queue_key("salg"), Source::Code);
    world.input(Input::Restore(Change::AgentLogin {
        agent: agent("kari"),
        line,
        logged_in: true,
        by: by.clone(),
        at,
    }));
    let reason: Option<Arc<str>> = Some("lunch".into());
    world.fresh();
    world.input(Input::Restore(Change::AgentPaused {
        agent: agent("kari"),
        line: None,
        reason,
        until: None,
        by,
        at,
    }));
    assert_eq!(world.state("kari").to_string(), "paused (lunch)");
    assert!(world.fresh().is_empty(), "what comes from the store is not told again");
}

#[test]
fn fewest_calls_counts_the_calls_of_this_queue_today() {
    let mut world = World::with(Queue { strategy: Strategy::FewestCalls, ..queue(&["kari", "ola"]) });
    world.join(1);
    assert_eq!(world.rings(1), ["kari"]);
    world.talk(1, "kari", s(5));
    for number in 2..=3 {
        world.join(number);
        assert_eq!(world.rings(number), ["ola"], "an abandoned offer does not count");
        world.hang_up(number);
    }
    world.join(4);
    world.talk(4, "ola", s(5));
    world.join(5);
    assert_eq!(world.rings(5), ["kari"], "one each: longest idle");
    world.talk(5, "kari", s(5));
    world.pass(s(24 * 3600));
    world.join(6);
    assert_eq!(world.rings(6), ["ola"], "a day later nobody has any: longest idle");
}

#[test]
fn least_talk_and_random_ring_one_agent_and_longest_idle_the_first_to_be_ready() {
    let mut world = World::with(Queue { strategy: Strategy::LeastTalk, ..queue(&["kari", "ola"]) });
    world.join(1);
    world.talk(1, "kari", s(5));
    world.join(2);
    world.talk(2, "ola", s(9));
    world.join(3);
    assert_eq!(world.rings(3), ["kari"]);

    let mut world = World::with(Queue { strategy: Strategy::Random, ..queue(&["kari", "ola", "per"]) });
    let mut rung = BTreeSet::new();
    for number in 1..=40 {
        world.join(number);
        assert_eq!(world.rings(number).len(), 1);
        rung.extend(world.rings(number));
        world.hang_up(number);
    }
    assert_eq!(rung.len(), 3, "chance reaches everybody");

    let mut world = World::with(queue(&["kari", "ola"]));
    world.pause("kari", Some("lunch"));
    world.pass(s(1));
    world.pause("kari", None);
    world.join(1);
    assert_eq!(world.rings(1), ["ola"]);
}

#[test]
fn a_talk_of_less_than_a_second_is_no_answered_call() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    world.pass(s(6));
    world.talk(1, "kari", Duration::from_millis(900));
    world.join(2);
    world.talk(2, "kari", s(1));
    assert_eq!(world.results(), ["abandoned", "answered"]);
}

#[test]
fn a_key_out_of_the_queue_is_neither_abandoned_nor_answered() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    let offer = world.offer("kari");
    world.input(Input::Leave { entry: call(1), why: Left::Key });
    assert_eq!(world.ended(offer), Some(Withdrawn::Exit));
    assert_eq!(world.results(), ["key"]);
}

#[test]
fn a_reload_keeps_places_log_ins_and_ringing_and_measures_the_wait_from_joining() {
    let mut world = World::with(queue(&["kari", "ola"]));
    world.facts("ola", Facts { in_call: true, ..READY });
    world.login("kari", true);
    (1..=3).for_each(|number| world.join(number));
    world.pass(s(10));
    let changed = Queue { ring: s(5), max_wait: Some(s(15)), priority: 7, ..queue(&["kari", "ola"]) };
    world.input(Input::Config(config(&[("salg", changed)], &[])));
    assert_eq!(world.rings(1), ["kari"], "a ring is not cut");
    assert_eq!([1, 2, 3].map(|number| world.queues.place(call(number))), [Some(1), Some(2), Some(3)]);
    world.join(4);
    assert_eq!(world.queues.place(call(4)), Some(4), "who comes later does not pass by the new priority");
    world.pass(s(5));
    assert_eq!(world.exits(), [(2, ExitReason::Timeout), (3, ExitReason::Timeout)]);
    assert_eq!(world.rings(1), ["kari"], "the last chance of who is being rung for");
}

#[test]
fn an_agent_taken_off_the_list_stops_ringing_and_a_talk_goes_on() {
    let mut world = World::with(Queue { auto_login: false, ..queue(&["kari", "ola"]) });
    ["kari", "ola"].iter().for_each(|user| world.login(user, true));
    world.join(1);
    world.answer("kari");
    world.input(Input::TalkStarted { entry: call(1) });
    world.join(2);
    let offer = world.offer("ola");
    world.input(Input::Config(config(&[("salg", Queue { auto_login: false, ..queue(&["per"]) })], &[])));
    assert_eq!(world.ended(offer), Some(Withdrawn::Removed));
    world.pass(s(5));
    world.input(Input::Config(config(&[("salg", Queue { auto_login: false, ..queue(&["ola"]) })], &[])));
    assert_eq!(world.state("ola"), AgentState::Offline, "the log-in is forgotten");
    assert_eq!(world.results(), ["answered"]);
    world.input(Input::TalkEnded { entry: call(1) });
}

#[test]
fn callers_of_a_deleted_queue_take_their_exit_and_a_talk_goes_on() {
    let mut world = World::with(queue(&["kari"]));
    world.join(1);
    world.answer("kari");
    world.input(Input::TalkStarted { entry: call(1) });
    world.join(2);
    world.input(Input::Config(config(&[("drift", queue(&["kari"]))], &[])));
    assert_eq!(world.exits(), [(2, ExitReason::Gone)]);
    world.join_line(3, queue_key("drift"));
    assert!(world.rings(3).is_empty(), "kari still talks");
    world.input(Input::TalkEnded { entry: call(1) });
    assert_eq!(world.rings(3), ["kari"]);
}

#[test]
fn a_jump_of_the_wall_clock_moves_no_wait() {
    let mut world = World::with(Queue { max_wait: Some(s(60)), ..queue(&["kari"]) });
    world.facts("kari", Facts { in_call: true, ..READY });
    world.join(1);
    world.now.utc += s(3600);
    world.pass(s(59));
    assert!(world.exits().is_empty());
    world.pass(s(1));
    assert_eq!(world.exits(), [(1, ExitReason::Timeout)]);
}

#[test]
fn what_people_see_is_in_words() {
    let mut world = World::with(queue(&["kari", "ola", "per"]));
    world.login("ola", false);
    world.pause("per", Some("lunch"));
    world.join(1);
    world.pass(s(3));
    let view = &world.queues.views(world.now, Some(&"acme".into()))[0];
    let agents: Vec<String> = view.agents.iter().map(|(user, state)| format!("{user} {state}")).collect();
    assert_eq!(agents, ["kari ringing", "ola logged out", "per paused (lunch)"]);
    assert_eq!((view.waiting, view.longest_s), (1, 3));
    let people = world.queues.agent_views(world.now, None);
    assert_eq!(people.len(), 3);
    assert_eq!(people[2].paused.as_deref(), Some("lunch"));
    assert!(world.queues.views(world.now, Some(&"other".into())).is_empty());
}
