//! Pauses with a reason and an end, wrap-up that is ended or prolonged, and the agent who is told of a pause that nobody
//! has asked for.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command::AgentView;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::sip::DialogId;
use sentral::sip::Method;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const SALES: &str = "+4736000110";

fn company(queue: &str) -> String {
    COMPANY
        .replace("agents = [\"kari\", \"ola\", \"sara\"]", &format!("agents = [\"kari\"]\n{queue}"))
        .replace("[media]\n", "[pauses]\n1 = \"lunsj\"\n[media]\n")
}

fn world(seed: u64, queue: &str) -> World {
    World::at(seed, noon(), config(&company(queue)))
}

/// Dials a code; tells what was heard.
fn dial(world: &mut World, phone: usize, code: &str) -> String {
    let line: DialogId = world.phones[phone].call(world.now, code, false);
    world.run(S / 2);
    let audio = world.phones[phone].lines[&line].audio;
    let said = world.stream_to(audio).map(|(_, stream)| stream.played.join(" ")).unwrap_or_default();
    world.phones[phone].end(world.now, line);
    world.run(S);
    said
}

fn kari(world: &mut World) -> AgentView {
    world.order(Command::Agents { company: None });
    let Some(Answered::Agents { agents }) = world.answers.pop() else { panic!("agents were asked for") };
    agents.into_iter().find(|agent| agent.agent.user.as_str() == "kari").unwrap()
}

fn state(world: &mut World) -> String {
    kari(world).lines.iter().find(|(line, _)| line.to_string() == "queue:sales").unwrap().1.clone()
}

fn order(world: &mut World, command: Command) -> Result<(), String> {
    world.order(command);
    match world.answers.pop() {
        Some(Answered::Done) => Ok(()),
        Some(Answered::Refused { why, .. }) => Err(why),
        other => panic!("{other:?}"),
    }
}

fn pause(world: &World, reason: Option<&str>, minutes: Option<i64>) -> Command {
    let until = minutes.map(|minutes| world.now.utc + jiff::SignedDuration::from_mins(minutes));
    Command::Pause { company: "prove".into(), user: "kari".into(), reason: reason.map(Into::into), until }
}

fn wrap_up(longer: bool) -> Command {
    Command::WrapUp { company: "prove".into(), user: "kari".into(), longer }
}

fn decided(world: &World, what: &str) -> Vec<String> {
    let told = world.changes.iter().filter_map(|change| match change {
        Change::Decision(event) if *event.event == *what => Some(event.why.to_string()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_pause_by_code_has_a_reason_and_an_end_which_outlive_a_restart() {
    let mut world = world(501, "");
    let phone = world.registered("kari");
    let said = dial(&mut world, phone, "*421*30");
    assert!(said.contains("pause/on") && said.contains("toggle/until"), "{said}");
    let view = kari(&mut world);
    assert_eq!(view.paused.as_deref(), Some("lunsj"));
    assert!(view.paused_until.is_some());
    assert!(state(&mut world).starts_with("paused (lunsj"), "{}", state(&mut world));
    assert!(decided(&world, "agent.paused").last().unwrap().contains("until"));
    world.restart(config(&company("")));
    assert_eq!(kari(&mut world).paused_until, view.paused_until);
    world.run(29 * MINUTE);
    world.phones[phone].register(world.now, 3600);
    world.run(S);
    assert!(state(&mut world).starts_with("paused (lunsj"), "half an hour is not over");
    world.run(2 * MINUTE);
    assert_eq!(state(&mut world), "ready", "the pause has ended by itself");
    assert_eq!(decided(&world, "agent.resumed").len(), 1);
    assert!(dial(&mut world, phone, "*429").contains("pause/wrong-reason"));
    assert!(dial(&mut world, phone, "*42*9999").contains("pause/wrong-time"));
    assert_eq!(state(&mut world), "ready", "nothing has changed");
    world.finish();
}

#[test]
fn a_pause_by_order_ends_at_its_time_and_wrong_orders_change_nothing() {
    let mut world = world(502, "");
    world.registered("kari");
    let wrong = [
        pause(&world, Some("lunsj"), Some(-1)),
        pause(&world, Some("lunsj"), Some(60 * 24 * 400)),
        pause(&world, Some(" "), None),
        pause(&world, Some("a\nb"), None),
    ];
    for wrong in wrong {
        assert!(order(&mut world, wrong.clone()).is_err(), "{wrong:?}");
    }
    let stranger = Command::Pause { company: "prove".into(), user: "per".into(), reason: None, until: None };
    assert!(order(&mut world, stranger).unwrap_err().contains("in no queue"));
    assert_eq!(state(&mut world), "ready");
    let right = pause(&world, Some("møte"), Some(10));
    order(&mut world, right).unwrap();
    assert!(state(&mut world).starts_with("paused (møte"));
    world.run(11 * MINUTE);
    assert_eq!(state(&mut world), "ready");
    world.finish();
}

#[test]
fn wrap_up_is_prolonged_and_ended_by_code_and_by_order() {
    let text = company("wrap_up_extend = \"40s\"").replace("wrap_up = \"0s\"", "wrap_up = \"20s\"");
    let mut world = World::at(503, noon(), config(&text));
    let phone = world.registered("kari");
    assert!(order(&mut world, wrap_up(true)).unwrap_err().contains("not wrapping up"));
    assert!(dial(&mut world, phone, "*46").contains("wrap-up/none"));
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("they talk", 10 * S, |w| w.phones[phone].line(&Stage::Up).is_some());
    world.run(S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert_eq!(kari(&mut world).wrap_up_s, Some(19));
    order(&mut world, wrap_up(true)).unwrap();
    assert_eq!(kari(&mut world).wrap_up_s, Some(59));
    assert!(dial(&mut world, phone, "*46").contains("wrap-up/more"));
    assert_eq!(kari(&mut world).wrap_up_s, Some(97));
    assert_eq!(decided(&world, "agent.wrap_up_extended").len(), 2);
    assert!(dial(&mut world, phone, "*44").contains("wrap-up/end"));
    assert_eq!(state(&mut world), "ready");
    assert_eq!(decided(&world, "agent.wrap_up_ended").len(), 1);
    world.finish();
}

#[test]
fn an_agent_whom_the_system_pauses_is_told_on_the_phone_and_hears_it_at_the_next_code() {
    let mut world = world(504, "auto_pause = { after = 1 }");
    let phone = world.registered("kari");
    world.phones[phone].answer = Answer::Ring;
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.run(25 * S);
    world.phones[carrier].end(world.now, call);
    world.run(S);
    let message = world.phones[phone].received.iter().find(|request| request.method == Method::Message);
    let text = String::from_utf8(message.expect("a MESSAGE came").body.to_vec()).unwrap();
    assert!(text.contains("Salg") && text.contains("*43"), "{text}");
    assert_eq!(decided(&world, "agent.told"), ["sent: message to 1"]);
    assert!(!kari(&mut world).notices.is_empty());
    let said = dial(&mut world, phone, "*44");
    assert!(said.contains("pause/auto"), "{said}");
    assert!(dial(&mut world, phone, "*43").contains("pause/off"));
    assert!(!dial(&mut world, phone, "*44").contains("pause/auto"), "the pause is over");
    assert_eq!(state(&mut world), "ready");
    world.finish();
}

#[test]
fn an_agent_with_a_mobile_alone_is_told_by_a_text_message() {
    let hooks = "[sms]\nwebhook = \"https://sms.example/send\"\n[media]\n";
    let text = COMPANY
        .replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"per\"]\nauto_pause = { after = 1 }")
        .replace("[media]\n", hooks);
    let mut world = World::at(505, noon(), config(&text));
    world.systems.insert("https://sms.example/send".into(), Ok("{}".into()));
    let carrier = world.carrier();
    world.phones[carrier].answer = Answer::Ring;
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.run(30 * S);
    world.phones[carrier].end(world.now, call);
    world.run(S);
    assert_eq!(decided(&world, "agent.told"), ["sent: sms"]);
    assert!(world.posts.iter().any(|post| post.body.contains("+4736000204") && post.body.contains("Salg")));
    world.finish();
}
