//! Whole calls through the verbs that ask, search and send; toggles by code; what is counted of a flow.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::switch::flow::action::Unanswered;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::MAIN;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const CRM: &str = "https://crm.example.no/sentral";

/// The company with another main flow, and more.
fn world(seed: u64, steps: &str, more: &str) -> World {
    let flow = COMPANY.find("time = { hours").expect("the flow is there");
    let company = format!("{}{steps}\n{more}", COMPANY[..flow].replace("start = \"time\"", "start = \"s\""));
    World::at(seed, noon(), config(&company))
}

fn hooks() -> &'static str {
    "[webhooks.crm]\nurl = \"https://crm.example.no/sentral\"\nsecret = \"hemmelig\"\n\
     [sms]\nwebhook = \"https://sms.example.no/send\"\nsender = \"Prove\"\n"
}

/// The decisions of this event, without repetition of the event.
fn decisions(world: &World, event: &str) -> Vec<String> {
    let of = |change: &Change| match change {
        Change::Decision(of) if *of.event == *event => Some(of.why.to_string()),
        _ => None,
    };
    world.changes.iter().filter_map(of).collect()
}

const ASK: &str = "s = { ask = \"crm\", vip = \"user:ola\", error = \"user:sara\" }";

#[test]
fn another_system_says_where_a_call_goes_and_what_the_phone_shows() {
    let mut world = world(1, ASK, hooks());
    world.systems.insert(CRM.into(), Ok(r#"{"exit":"vip","name":"Gullkunde"}"#.into()));
    let carrier = world.carrier();
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::After(S);
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("they talk", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    let line = world.phones[ola].line(&Stage::Up).expect("Ola talks");
    assert!(
        world.phones[ola].lines[&line].from.contains("Gullkunde"),
        "{}",
        world.phones[ola].lines[&line].from
    );
    let [post] = &world.posts[..] else { panic!("one question, not {:?}", world.posts) };
    assert_eq!((post.timeout, &*post.url), (Duration::from_millis(800), CRM));
    assert!(post.secret.is_some());
    let body: serde_json::Value = serde_json::from_str(&post.body).expect("JSON");
    assert_eq!(body["type"], "flow.ask");
    assert_eq!(body["data"]["to"], MAIN);
    assert_eq!(body["data"]["from"], "+4736000777");
    assert_eq!(body["data"]["exits"], serde_json::json!(["vip"]));
    world.finish();
}

#[test]
fn a_system_that_is_down_costs_three_calls_their_wait_and_no_more() {
    let mut world = world(2, ASK, hooks());
    let carrier = world.carrier();
    let sara = world.registered("sara");
    world.phones[sara].answer = Answer::Ring;
    let ring = |world: &mut World| {
        let call = world.phones[carrier].call(world.now, MAIN, false);
        world.until("Sara rings", 3 * S, |w| w.phones[sara].line(&Stage::Ringing).is_some());
        world.phones[carrier].hang_up(world.now, call);
        world.run(S);
    };
    world.systems.insert(CRM.into(), Err(Unanswered::Timeout));
    for _ in 0..5 {
        ring(&mut world);
    }
    assert_eq!(world.posts.len(), 3, "the fourth and fifth are not kept waiting");
    let alarms = world.changes.iter().filter(|change| matches!(change, Change::Alarm { .. })).count();
    assert_eq!(alarms, 1);
    // After its rest one call tries it, and it is up again.
    world.run(30 * S);
    world.systems.insert(CRM.into(), Ok("unknown".into()));
    ring(&mut world);
    ring(&mut world);
    assert_eq!(world.posts.len(), 5);
    assert_eq!(decisions(&world, "hook.up").len(), 1);
    world.finish();
}

#[test]
fn a_caller_who_hangs_up_while_another_system_thinks_leaves_nothing() {
    let mut world = world(3, ASK, hooks());
    let carrier = world.carrier();
    let sara = world.registered("sara");
    // Nobody answers the question at all.
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.run(Duration::from_millis(300));
    assert_eq!(world.posts.len(), 1);
    world.phones[carrier].hang_up(world.now, call);
    world.run(2 * S);
    assert!(world.phones[sara].line(&Stage::Ringing).is_none());
    // And one who waits goes on after the budget.
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("Sara rings", 2 * S, |w| w.phones[sara].line(&Stage::Ringing).is_some());
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    world.finish();
}

#[test]
fn a_text_message_is_sent_while_the_call_goes_on() {
    let mut world = world(4, "s = { sms = \"Vi ringer deg tilbake.\", next = \"queue:sales\" }", hooks());
    world.systems.insert("https://sms.example.no/send".into(), Ok("{}".into()));
    let carrier = world.carrier();
    world.phones[carrier].name = "+4790000001".into();
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("the queue answers", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    let [post] = &world.posts[..] else { panic!("one message, not {:?}", world.posts) };
    let body: serde_json::Value = serde_json::from_str(&post.body).expect("JSON");
    assert_eq!((&body["data"]["to"], &body["data"]["from"]), (&"+4790000001".into(), &"Prove".into()));
    assert_eq!(decisions(&world, "sms.sent"), ["accepted"]);
    world.finish();
}

#[test]
fn a_caller_spells_a_name_and_talks_with_its_owner_and_each_step_is_told_once() {
    let steps = "s = { menu = \"menu\", 4 = \"navn\", timeout = \"hangup\" }\n\
                 navn = { directory = \"welcome\", none = \"hangup\" }";
    let mut world = world(5, steps, "");
    let carrier = world.carrier();
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::After(S);
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("the call is answered", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    let audio = world.phones[carrier].lines[&call].audio;
    for key in "46521".chars() {
        world.run(S / 2);
        world.key(audio, key);
    }
    world.until("they talk", 10 * S, |w| {
        w.phones[ola].line(&Stage::Up).is_some_and(|line| w.talk(audio, w.phones[ola].lines[&line].audio))
    });
    world.phones[carrier].hang_up(world.now, call);
    world.run(2 * S);
    assert_eq!(
        decisions(&world, "flow.step"),
        ["menu flow=main step=s", "directory flow=main step=navn", "user flow=- step=user:ola"]
    );
    assert_eq!(
        decisions(&world, "flow.exit"),
        ["exit flow=main step=s exit=4", "exit flow=main step=navn exit=chosen"]
    );
    assert_eq!(
        decisions(&world, "flow.key"),
        ["key flow=main step=s key=4", "key flow=main step=navn key=1"],
        "letters are not told"
    );
    assert_eq!(world.cdrs[0].keys, "41");
    world.finish();
}

#[test]
fn consent_is_kept_with_the_record_of_the_call() {
    let steps = "s = { consent = \"welcome\", accepted = \"queue:sales\", declined = \"queue:sales\" }";
    for (key, expect) in [(Some('1'), "consent=yes"), (Some('2'), "consent=no"), (None, "consent=no")] {
        let mut world = world(6, steps, "");
        let carrier = world.carrier();
        let call = world.phones[carrier].call(world.now, MAIN, false);
        world.until("the call is answered", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
        let audio = world.phones[carrier].lines[&call].audio;
        world.run(S);
        if let Some(key) = key {
            world.key(audio, key);
        }
        world.run(15 * S);
        world.phones[carrier].hang_up(world.now, call);
        world.run(2 * S);
        let tags: Vec<&str> = world.cdrs[0].tags.iter().map(|tag| &**tag).collect();
        assert_eq!(tags, [expect]);
        assert_eq!(world.cdrs[0].queue.as_ref().map(|queue| queue.as_str()), Some("sales"), "equal service");
        world.finish();
    }
}

#[test]
fn a_number_is_closed_by_code_until_its_time_is_over() {
    let toggle =
        "[toggles.brann]\nname = \"Brann\"\next = \"580\"\nnumbers = [\"+4736000100\"]\nto = \"user:sara\"\n";
    let mut world = world(7, "s = { queue = \"sales\" }", toggle);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let sara = world.registered("sara");
    let code = world.phones[kari].call(world.now, "*50580*1", false);
    world.until("the code is answered", S, |w| w.phones[kari].lines[&code].stage == Stage::Up);
    let audio = world.phones[kari].lines[&code].audio;
    world.run(S);
    let heard = world.stream_to(audio).expect("it is heard").1.played.join(" ");
    for prompt in ["toggle/on", "toggle/until", "time/at", "num/13"] {
        assert!(heard.contains(prompt), "{prompt} in {heard}");
    }
    world.run(10 * S);
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("Sara rings", S, |w| w.phones[sara].line(&Stage::Ringing).is_some());
    world.phones[carrier].hang_up(world.now, call);
    world.run(3600 * S);
    assert_eq!(decisions(&world, "toggle.over"), ["expired toggle=brann"]);
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("the queue answers", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    world.finish();
}
