//! Pauses and wrap-up: with an end or without, in one queue or everywhere, and never silent.

use std::sync::Arc;
use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::change::Source;
use sentral::model::queue::AutoPause;
use sentral::model::queue::Misses;
use sentral::model::queue::Queue;
use sentral::switch::queue::AgentState;
use sentral::switch::queue::ExitReason;
use sentral::switch::queue::Failure;
use sentral::switch::queue::Input;

use crate::harness::READY;
use crate::harness::World;
use crate::harness::agent;
use crate::harness::config;
use crate::harness::queue;
use crate::harness::queue_key;
use crate::harness::s;

fn pause_until(world: &mut World, user: &str, lasts: Duration) {
    let until = Some(world.now.utc + lasts);
    let reason: Option<Arc<str>> = Some("lunch".into());
    world.input(Input::Pause { agent: agent(user), reason, until, by: Source::Cli });
}

fn pauses_told(world: &World) -> Vec<(bool, bool)> {
    let told = |change: Change| match change {
        Change::AgentPaused { reason, line, .. } => Some((reason.is_some(), line.is_some())),
        _ => None,
    };
    world.changes().into_iter().filter_map(told).collect()
}

#[test]
fn a_pause_with_an_end_ends_by_itself_and_says_so() {
    let mut world = World::with(queue(&["kari", "ola"]));
    pause_until(&mut world, "kari", s(1800));
    assert!(world.state("kari").why(world.now).starts_with("paused: lunch, until"));
    world.pass(s(1799));
    assert!(!world.is_ready("kari"));
    world.pass(s(1));
    assert!(world.is_ready("kari"));
    assert_eq!(pauses_told(&world), [(true, false), (false, false)]);
}

#[test]
fn a_pause_that_is_over_before_it_begins_is_none_and_a_new_end_replaces_the_old_one() {
    let mut world = World::with(queue(&["kari"]));
    let (now, reason) = (world.now.utc, Some(Arc::from("lunch")));
    world.input(Input::Pause { agent: agent("kari"), reason, until: Some(now), by: Source::Cli });
    assert!(world.is_ready("kari"));
    pause_until(&mut world, "kari", s(60));
    pause_until(&mut world, "kari", s(120));
    world.pass(s(119));
    assert!(!world.is_ready("kari"));
    world.pass(s(1));
    assert!(world.is_ready("kari"));
}

#[test]
fn a_pause_survives_a_restart_and_one_whose_time_is_over_does_not() {
    let mut world = World::with(queue(&["kari", "ola"]));
    for (user, until) in [("kari", s(60)), ("ola", s(0))] {
        let (at, until) = (world.now.utc, Some(world.now.utc + until));
        let (agent, by, reason) = (agent(user), Source::Cli, Some("lunch".into()));
        world.input(Input::Restore(Change::AgentPaused { agent, line: None, reason, until, by, at }));
    }
    assert!(world.is_ready("ola"));
    assert!(!world.is_ready("kari"));
    world.pass(s(60));
    assert!(world.is_ready("kari"));
}

#[test]
fn calls_missed_in_one_queue_pause_the_agent_there_and_the_other_queue_rings_on() {
    let auto_pause = AutoPause { after: 1, ..AutoPause::default() };
    let salg = Queue { auto_pause, ..queue(&["kari"]) };
    let mut world = World::new(config(&[("salg", salg), ("drift", queue(&["kari"]))], &[]));
    world.facts("kari", READY);
    world.join(1);
    world.pass(s(34));
    assert_eq!(world.state("kari").to_string(), "paused (no_answer)");
    world.join_line(2, queue_key("drift"));
    assert_eq!(world.rings(2), ["kari"]);
    world.hang_up(2);
    // She is told, wherever she looks.
    let view = world.queues.agent_views(world.now, None).remove(0);
    assert_eq!(view.paused, None, "not everywhere");
    assert_eq!(
        view.notices,
        ["on pause in queue:salg until you come back: auto_pause: 1 missed calls in a row, queue:salg"]
    );
    assert_eq!(pauses_told(&world), [(true, true)]);
    // Logging in there is the way back with one key; so is the end of all pauses.
    world.login("kari", true);
    assert!(world.is_ready("kari"));
    assert_eq!(pauses_told(&world), [(true, true), (false, true)]);
    assert!(world.queues.agent_views(world.now, None)[0].notices.is_empty());
}

#[test]
fn an_automatic_pause_may_hold_everywhere_and_end_by_itself() {
    let auto_pause =
        AutoPause { after: 2, everywhere: true, return_after: Some(s(300)), ..AutoPause::default() };
    let both = || Queue { auto_pause, ..queue(&["kari"]) };
    let mut world = World::new(config(&[("drift", both()), ("salg", both())], &[]));
    world.facts("kari", READY);
    world.join(1);
    world.pass(s(34));
    world.hang_up(1);
    world.join_line(2, queue_key("drift"));
    world.pass(s(34));
    let state = |line: &str| world.queues.stand(world.now, &agent("kari"), &queue_key(line)).to_string();
    assert_eq!(
        [state("salg"), state("drift")],
        ["paused (no_answer)", "paused (no_answer)"],
        "one miss in each"
    );
    world.hang_up(2);
    world.pass(s(300));
    assert!(world.is_ready("kari"));
}

#[test]
fn only_what_counts_as_a_miss_pauses() {
    let on = Misses { no_answer: false, rejected: true, ..Misses::NO_ANSWER };
    let auto_pause = AutoPause { after: 1, on, ..AutoPause::default() };
    let mut world = World::with(Queue { auto_pause, reject_retry: Some(s(0)), ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(36));
    assert!(!matches!(world.state("kari"), AgentState::Paused(_)), "it rang out");
    world.fail("kari", Failure::Rejected);
    assert_eq!(world.state("kari").to_string(), "paused (rejected)");
    world.pass(s(10));
    assert_eq!(world.exits(), [(1, ExitReason::AllPaused)]);
}

#[test]
fn misses_count_anew_after_a_log_in() {
    let auto_pause = AutoPause { after: 2, ..AutoPause::default() };
    let mut world = World::with(Queue { auto_pause, ..queue(&["kari"]) });
    world.join(1);
    world.pass(s(34));
    world.login("kari", true);
    world.pass(s(36));
    assert!(!matches!(world.state("kari"), AgentState::Paused(_)), "one miss since the log-in");
}

#[test]
fn all_on_pause_is_told_apart_from_nobody_logged_in() {
    let mut world = World::with(queue(&["kari", "ola"]));
    world.pause("kari", Some("lunch"));
    world.login("ola", false);
    world.join(1);
    world.login("kari", false);
    world.join(2);
    assert_eq!(world.exits(), [(1, ExitReason::AllPaused), (2, ExitReason::Nobody)]);
}

#[test]
fn wrap_up_is_shown_in_seconds_prolonged_and_ended() {
    let mut world = World::with(Queue { wrap_up: s(20), wrap_up_extend: s(30), ..queue(&["kari"]) });
    world.join(1);
    world.talk(1, "kari", s(5));
    world.pass(s(8));
    assert_eq!(world.state("kari").shown(world.now), "wrap-up 0:12");
    assert_eq!(world.queues.agent_views(world.now, None)[0].wrap_up_s, Some(12));
    world.input(Input::WrapUpExtend { agent: agent("kari") });
    assert_eq!(world.state("kari").shown(world.now), "wrap-up 0:42");
    world.join(2);
    world.pass(s(41));
    assert!(world.rings(2).is_empty());
    world.pass(s(1));
    assert_eq!(world.rings(2), ["kari"]);
    // Without a wrap-up there is nothing to prolong.
    world.hang_up(2);
    world.input(Input::WrapUpExtend { agent: agent("kari") });
    assert!(world.is_ready("kari"));
    assert_eq!(world.queues.wrap_up_left(world.now, &agent("kari")), None);
}
