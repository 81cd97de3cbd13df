//! Apps that sleep: a call wakes them through the webhook, and rings them when they register in time.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::switch::flow::action::Unanswered;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const SALES: &str = "+4736000110";
const PUSH: &str = "https://push.example/wake";

fn company(rings: &str) -> String {
    COMPANY
        .replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"kari\"]")
        .replace("[users.kari]\n", &format!("[users.kari]\n{rings}\n"))
        .replace("[media]\n", &format!("[push]\nwebhook = \"{PUSH}\"\n[media]\n"))
}

/// Kari's app has registered and sleeps.
fn asleep(seed: u64, rings: &str) -> (World, usize, usize) {
    let mut world = World::at(seed, noon(), config(&company(rings)));
    world.systems.insert(PUSH.into(), Ok("{}".into()));
    let app = world.phone("kari");
    world.phones[app].register_app(world.now, 60);
    world.run(70 * S);
    assert_eq!(world.phones[app].registered, Some(200));
    let carrier = world.carrier();
    (world, app, carrier)
}

fn state(world: &mut World) -> String {
    world.order(Command::Agents { company: None });
    let Some(Answered::Agents { agents }) = world.answers.pop() else { panic!("agents were asked for") };
    let kari = agents.into_iter().find(|agent| agent.agent.user.as_str() == "kari").unwrap();
    kari.lines.iter().find(|(line, _)| line.to_string() == "queue:sales").unwrap().1.clone()
}

fn decided(world: &World, what: &str) -> Vec<String> {
    let told = world.changes.iter().filter_map(|change| match change {
        Change::Decision(event) if *event.event == *what => Some(event.why.to_string()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_sleeping_app_is_woken_and_rung_when_it_registers_also_after_a_restart() {
    for rings in ["", "rings = [\"app\"]", "rings = [\"devices\", \"app\"]"] {
        let (mut world, app, carrier) = asleep(521, rings);
        world.restart(config(&company(rings)));
        assert_eq!(state(&mut world), "ready", "{rings}: it can be woken");
        world.phones[carrier].call(world.now, SALES, false);
        world.run(S);
        let post = world.posts.last().expect("the webhook was asked");
        for what in ["push.wake", "\"prid\":\"token-1\"", "\"provider\":\"fcm\"", "\"user\":\"kari\""] {
            assert!(post.body.contains(what), "{what} is not in {}", post.body);
        }
        assert_eq!(state(&mut world), "waking");
        world.run(2 * S);
        world.phones[app].register_app(world.now, 60);
        world.until("it talks", 5 * S, |w| w.phones[app].line(&Stage::Up).is_some());
        assert_eq!(decided(&world, "app.woke").len(), 1, "{rings}");
        world.finish();
    }
}

#[test]
fn an_app_that_does_not_wake_costs_its_wait_and_no_more() {
    let (mut world, app, carrier) = asleep(522, "");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(5 * S);
    assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Calling);
    world.run(2 * S);
    assert!(matches!(world.phones[carrier].lines[&call].stage, Stage::Over(_)), "nobody can be reached");
    assert!(decided(&world, "app.not_woken")[0].starts_with("push_wait"));
    // Too late: nothing waits for it.
    world.phones[app].register_app(world.now, 60);
    world.run(2 * S);
    assert_eq!(world.phones[app].live_lines(), 0);
    world.finish();
}

#[test]
fn a_webhook_that_fails_is_not_waited_for_and_a_caller_who_leaves_rings_nobody() {
    let (mut world, _, carrier) = asleep(523, "");
    world.systems.insert(PUSH.into(), Err(Unanswered::Status(500)));
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(2 * S);
    assert!(matches!(world.phones[carrier].lines[&call].stage, Stage::Over(_)));
    world.finish();

    let (mut world, app, carrier) = asleep(524, "");
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.run(2 * S);
    world.phones[carrier].end(world.now, call);
    world.run(S);
    world.phones[app].register_app(world.now, 60);
    world.run(2 * S);
    assert_eq!(world.phones[app].live_lines(), 0);
    world.finish();
}

#[test]
fn an_agent_whose_app_sleeps_on_is_paused_and_told_by_push() {
    let text = company("").replace(
        "agents = [\"kari\"]",
        "agents = [\"kari\"]\nauto_pause = { after = 1, on = [\"unreachable\"] }",
    );
    let mut world = World::at(526, noon(), config(&text));
    world.systems.insert(PUSH.into(), Ok("{}".into()));
    let app = world.phone("kari");
    world.phones[app].register_app(world.now, 60);
    world.run(70 * S);
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.run(8 * S);
    world.phones[carrier].end(world.now, call);
    world.run(S);
    assert_eq!(decided(&world, "agent.told"), ["sent: push to 1"]);
    assert!(world.posts.iter().any(|post| post.body.contains("push.text") && post.body.contains("*43")));
    world.finish();
}

#[test]
fn a_token_that_the_provider_has_forgotten_is_used_no_more() {
    let (mut world, _, carrier) = asleep(527, "");
    world.systems.insert(PUSH.into(), Err(Unanswered::Status(410)));
    world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S);
    assert_eq!(world.posts.len(), 1);
    assert_eq!(state(&mut world), "unreachable");
    world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S);
    assert_eq!(world.posts.len(), 1);
    world.finish();
}

#[test]
fn an_app_that_logs_out_is_forgotten() {
    let (mut world, app, carrier) = asleep(525, "");
    world.phones[app].register_app(world.now, 60);
    world.run(S);
    world.phones[app].register_app(world.now, 0);
    world.run(S);
    assert_eq!(state(&mut world), "unreachable");
    world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S);
    assert!(world.posts.is_empty());
    world.finish();
}
