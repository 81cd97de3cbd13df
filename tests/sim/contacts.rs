//! How an agent is reached: phones and mobile with their delays, the key that a mobile's answer needs, the guard
//! against voicemail, what the agent sees and hears before the caller.

use std::time::Duration;

use sentral::media::Base;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::id::LineId;
use sentral::model::report::WhyNotAsk;
use sentral::model::server::Language;
use sentral::sip::DialogId;
use sentral::sip::message::Name;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config_and_trunks;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const SALES: &str = "+4736000110";
/// Per's mobile.
const MOBILE: &str = "+4736000204";

const TRUNK: &str = r#"
[trunks.carrier]
server = "198.51.100.9:5060"
trusted = ["198.51.100.9"]
health = false
POLICY
[routes]
norway = { to = ["+47"], via = ["carrier"] }
"#;

/// What differs from the usual company.
#[derive(Clone, Copy, Default)]
struct Differs {
    /// `agents` of the queue.
    agents: &'static str,
    /// Further keys of the queue.
    queue: &'static str,
    /// What of Per rings.
    rings: &'static str,
    /// Further keys of the trunk.
    trunk: &'static str,
}

/// The company where Per has a phone besides the mobile.
fn world(seed: u64, differs: Differs) -> (World, usize) {
    let Differs { agents, queue, rings, trunk } = differs;
    let agents = if agents.is_empty() { "[\"per\"]" } else { agents };
    let rings = if rings.is_empty() { "[\"devices\", \"mobile\"]" } else { rings };
    let company = COMPANY
        .replace("agents = [\"kari\", \"ola\", \"sara\"]", &format!("agents = {agents}\n{queue}"))
        .replace("rings = [\"mobile\"]", &format!("rings = {rings}"))
        .replace("sara = { user", "per = { user = \"per\", password = \"per-secret\" }\nsara = { user")
        .replace("[media]\n", "[media]\nsales = { file = \"sales.wav\", text = \"Salg\" }\n")
        .replace("ring = \"15s\"\n", "ring = \"30s\"\n");
    let mut world = World::at(seed, noon(), config_and_trunks(&company, &TRUNK.replace("POLICY", trunk)));
    let carrier = world.carrier();
    world.phones[carrier].answer = Answer::Ring;
    (world, carrier)
}

fn call(world: &mut World, carrier: usize) -> DialogId {
    world.phones[carrier].call(world.now, SALES, false)
}

/// The lines on which the carrier is asked to ring a mobile.
fn mobiles(world: &World, carrier: usize) -> Vec<DialogId> {
    let mut lines: Vec<DialogId> = world.phones[carrier]
        .lines
        .iter()
        .filter(|(_, line)| line.invite.is_some())
        .map(|(id, _)| *id)
        .collect();
    lines.sort();
    lines
}

/// Lets the mobile ring.
fn mobile(world: &mut World, carrier: usize) -> DialogId {
    let rung = mobiles(world, carrier).len();
    world.until("the mobile rings", 5 * S, |w| mobiles(w, carrier).len() > rung);
    *mobiles(world, carrier).last().unwrap()
}

fn decided(world: &World, what: &str) -> Vec<String> {
    let told = world.changes.iter().filter_map(|change| match change {
        Change::Decision(event) if *event.event == *what => Some(event.why.to_string()),
        _ => None,
    });
    told.collect()
}

fn header(world: &World, phone: usize, line: DialogId, name: Name) -> String {
    let invite = world.phones[phone].lines[&line].invite.as_ref().unwrap();
    invite.headers.all(&name).collect::<Vec<_>>().join(" | ").split(";tag=").next().unwrap().to_owned()
}

fn hears(world: &World, phone: usize, line: DialogId) -> Vec<String> {
    let audio = world.phones[phone].lines[&line].audio;
    world.stream_to(audio).map(|(_, stream)| stream.played.clone()).unwrap_or_default()
}

fn state_of_per(world: &mut World) -> (String, bool) {
    world.order(Command::Agents { company: None });
    let Some(Answered::Agents { agents }) = world.answers.pop() else { panic!("agents were asked for") };
    let per = agents.into_iter().find(|agent| agent.agent.user.as_str() == "per").unwrap();
    let sales = per.lines.iter().find(|(line, _)| line.to_string() == "queue:sales").unwrap();
    (sales.1.clone(), per.voicemail_suspected)
}

#[test]
fn a_mobile_rings_after_its_delay_and_at_once_without_a_phone() {
    let rings = "[\"devices\", { what = \"mobile\", delay = \"5s\" }]";
    let (mut world, carrier) = self::world(301, Differs { rings, ..Differs::default() });
    let first = call(&mut world, carrier);
    let second = mobile(&mut world, carrier);
    world.run(300 * MS);
    assert_eq!(mobiles(&world, carrier).len(), 1, "no phone is registered: the mobile rings at once");
    world.phones[carrier].hang_up(world.now, first);
    world.run(S);
    let log = &world.phones[carrier].lines[&second].log;
    assert!(log.iter().any(|log| log.contains("cause=487")), "the phone learns why: {log:?}");
    let per = world.registered("per");
    world.phones[per].answer = Answer::Ring;
    call(&mut world, carrier);
    world.until("the phone rings", S, |w| w.phones[per].line(&Stage::Ringing).is_some());
    world.run(4800 * MS);
    assert_eq!(mobiles(&world, carrier).len(), 1, "not yet");
    world.run(400 * MS);
    assert_eq!(mobiles(&world, carrier).len(), 2);
    world.finish();
}

#[test]
fn a_phone_that_fails_makes_the_mobile_ring_before_its_time() {
    let rings = "[\"devices\", { what = \"mobile\", delay = \"20s\" }]";
    let (mut world, carrier) = self::world(302, Differs { rings, ..Differs::default() });
    let per = world.registered("per");
    world.phones[per].answer = Answer::Refuse(486);
    call(&mut world, carrier);
    mobile(&mut world, carrier);
    assert_eq!(state_of_per(&mut world).0, "ringing");
    world.finish();
}

#[test]
fn one_of_an_agents_phones_takes_the_call_and_the_others_learn_that_it_was_answered() {
    let (mut world, carrier) = self::world(303, Differs::default());
    let per = world.registered("per");
    world.phones[per].answer = Answer::Ring;
    // The desk phone answers.
    let caller = call(&mut world, carrier);
    let rung = mobile(&mut world, carrier);
    let desk = world.phones[per].line(&Stage::Ringing).unwrap();
    world.phones[per].pick_up(world.now, desk);
    world.run(S);
    let log = &world.phones[carrier].lines[&rung].log;
    assert!(log.iter().any(|log| log.contains("cause=200")), "answered elsewhere: {log:?}");
    world.phones[carrier].hang_up(world.now, caller);
    world.run(S);
    // The mobile answers: the desk phone rings on until the key.
    let caller = call(&mut world, carrier);
    let rung = mobile(&mut world, carrier);
    world.run(2 * S);
    world.phones[carrier].pick_up(world.now, rung);
    world.run(3 * S);
    let desk = world.phones[per].line(&Stage::Ringing).expect("it rings on");
    let (theirs, ours) =
        (world.phones[carrier].lines[&caller].audio, world.phones[carrier].lines[&rung].audio);
    world.key(ours, '5');
    assert!(!world.talk(theirs, ours), "another key is none");
    world.key(ours, '1');
    world.run(200 * MS);
    assert!(world.talk(theirs, ours));
    let log = &world.phones[per].lines[&desk].log;
    assert!(log.iter().any(|log| log.contains("cause=200")), "answered elsewhere: {log:?}");
    world.finish();
}

#[test]
fn a_mobile_stops_ringing_before_its_operator_takes_the_call() {
    for (rings, long) in [("[\"mobile\"]", 18), ("[{ what = \"mobile\", ring = \"10s\" }]", 10)] {
        let (mut world, carrier) =
            self::world(304, Differs { rings, agents: "[\"per\", \"ola\"]", ..Differs::default() });
        let ola = world.registered("ola");
        world.phones[ola].answer = Answer::Ring;
        world.order(Command::Pause {
            company: "prove".into(),
            user: "ola".into(),
            reason: Some("lunch".into()),
            until: None,
        });
        call(&mut world, carrier);
        let rung = mobile(&mut world, carrier);
        world.run(S * long - 300 * MS);
        assert_eq!(world.phones[carrier].lines[&rung].stage, Stage::Ringing);
        world.order(Command::Pause {
            company: "prove".into(),
            user: "ola".into(),
            reason: None,
            until: None,
        });
        world.run(600 * MS);
        let line = &world.phones[carrier].lines[&rung];
        assert_eq!(line.stage, Stage::Over(487));
        assert!(line.log.iter().any(|log| log.contains("cause=408")), "{:?}", line.log);
        assert!(world.phones[ola].line(&Stage::Ringing).is_some(), "the next agent rings at once");
        world.finish();
    }
}

#[test]
fn voicemail_that_answers_takes_no_call_and_is_suspected_until_somebody_presses_the_key() {
    let queue = "present = { spoken = \"sales\" }\nauto_pause = false\nretry_delay = \"1s\"";
    let (mut world, carrier) =
        self::world(305, Differs { rings: "[\"mobile\"]", queue, ..Differs::default() });
    let caller = call(&mut world, carrier);
    for time in 1..=2 {
        let rung = mobile(&mut world, carrier);
        world.run(3 * S);
        world.phones[carrier].pick_up(world.now, rung);
        world.run(7900 * MS);
        let heard = hears(&world, carrier, rung).join(" ");
        assert!(heard.contains("queue/whisper-pre") && heard.contains("company/prove/sales"), "{heard}");
        assert!(heard.contains("nb/queue/accept"), "{heard}");
        assert_eq!(world.phones[carrier].lines[&rung].stage, Stage::Up);
        world.run(200 * MS);
        assert_eq!(world.phones[carrier].lines[&rung].stage, Stage::Over(0), "8 s are over");
        assert_eq!(decided(&world, "agent.not_confirmed").len(), time);
        assert_eq!(state_of_per(&mut world).1, time == 2);
    }
    assert_eq!(decided(&world, "agent.voicemail_suspected").len(), 1);
    let known =
        |world: &World| world.changes.iter().filter(|c| matches!(c, Change::VoicemailSigns { .. })).count();
    assert_eq!(known(&world), 2, "the store knows");
    let rung = mobile(&mut world, carrier);
    world.run(3 * S);
    world.phones[carrier].pick_up(world.now, rung);
    world.run(S);
    let ours = world.phones[carrier].lines[&rung].audio;
    world.key(ours, '1');
    world.run(200 * MS);
    assert!(world.talk(world.phones[carrier].lines[&caller].audio, ours));
    assert!(!state_of_per(&mut world).1, "a person has answered");
    world.finish();
}

#[test]
fn an_answer_no_person_could_give_is_confirmed_even_where_no_key_is_asked_for() {
    let rings = "[{ what = \"mobile\", confirm = false }]";
    for (ringing, asked) in [(500 * MS, true), (2 * S, false)] {
        let (mut world, carrier) = self::world(306, Differs { rings, ..Differs::default() });
        let caller = call(&mut world, carrier);
        let rung = mobile(&mut world, carrier);
        world.run(ringing);
        world.phones[carrier].pick_up(world.now, rung);
        world.run(300 * MS);
        let audio = |line| world.phones[carrier].lines[&line].audio;
        assert_eq!(world.talk(audio(caller), audio(rung)), !asked, "{ringing:?}");
        assert_eq!(hears(&world, carrier, rung).is_empty(), !asked);
        world.run(10 * S);
        // One that showed signs counts for two.
        assert_eq!(state_of_per(&mut world).1, asked);
        world.finish();
    }
}

#[test]
fn a_mobile_that_is_busy_is_left_alone_for_a_while_and_nobody_counts_a_miss() {
    let (mut world, carrier) = self::world(307, Differs { rings: "[\"mobile\"]", ..Differs::default() });
    world.phones[carrier].answer = Answer::Refuse(486);
    call(&mut world, carrier);
    mobile(&mut world, carrier);
    world.run(S);
    assert_eq!(state_of_per(&mut world).0, "busy");
    world.run(28 * S);
    assert_eq!(mobiles(&world, carrier).len(), 1);
    world.phones[carrier].answer = Answer::Ring;
    world.run(2 * S);
    assert_eq!(mobiles(&world, carrier).len(), 2, "after 30 s");
    world.finish();
}

#[test]
fn who_has_neither_phone_nor_mobile_is_passed_over_at_once() {
    let (mut world, carrier) = self::world(
        308,
        Differs {
            rings: "[\"devices\"]",
            agents: "[\"per\", \"ola\"]",
            queue: "strategy = \"in-order\"",
            ..Differs::default()
        },
    );
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    call(&mut world, carrier);
    world.run(100 * MS);
    assert!(world.phones[ola].line(&Stage::Ringing).is_some());
    assert_eq!(state_of_per(&mut world).0, "unreachable");
    world.finish();
}

#[test]
fn a_queue_may_ring_other_contacts_of_an_agent_than_calls_to_the_person_do() {
    let (mut world, carrier) = self::world(
        309,
        Differs {
            rings: "[\"devices\"]",
            agents: "{ per = { tier = 1, contacts = [\"mobile\"] } }",
            ..Differs::default()
        },
    );
    assert_eq!(state_of_per(&mut world).0, "ready");
    let per = world.registered("per");
    call(&mut world, carrier);
    mobile(&mut world, carrier);
    assert_eq!(world.phones[per].live_lines(), 0, "the phone does not ring for the queue");
    world.finish();
}

#[test]
fn contacts_of_a_queue_that_cannot_be_rung_cost_no_offer_and_are_told() {
    let (mut world, carrier) = self::world(
        316,
        Differs {
            rings: "[\"mobile\"]",
            agents: "{ per = { tier = 1, contacts = [\"devices\"] }, ola = 2 }",
            ..Differs::default()
        },
    );
    assert_eq!(state_of_per(&mut world).0, "unreachable", "the mobile does not ring for this queue");
    let ola = world.registered("ola");
    call(&mut world, carrier);
    world.run(100 * MS);
    assert!(world.phones[ola].line(&Stage::Ringing).is_some(), "nobody waits for Per");
    assert!(decided(&world, "agent.missed").is_empty());
    let ask = WhyNotAsk {
        company: None,
        user: "per".into(),
        line: Some(LineId::Queue("sales".into())),
        language: Language::En,
    };
    world.order(Command::WhyNot(ask));
    let Some(Answered::WhyNot { lines }) = world.answers.pop() else { panic!("it was asked for") };
    let phones = lines[0].findings.iter().find(|finding| finding.question == 4).unwrap();
    assert_eq!(&*phones.code, "contacts_unreachable");
    let per = world.registered("per");
    assert_eq!(state_of_per(&mut world).0, "ready");
    assert!(world.phones[per].line(&Stage::Ringing).is_none());
    world.finish();
}

#[test]
fn an_agent_sees_queue_caller_wait_and_number_and_headers_that_the_queue_wants() {
    let queue = "present = { name = \"{queue} {number} {wait}\", headers = { X-Queue = \"{queue}\" } }";
    let (mut world, carrier) = self::world(310, Differs { queue, ..Differs::default() });
    let per = world.registered("per");
    world.phones[per].answer = Answer::Ring;
    call(&mut world, carrier);
    world.until("it rings", S, |w| w.phones[per].line(&Stage::Ringing).is_some());
    let line = world.phones[per].line(&Stage::Ringing).unwrap();
    assert_eq!(
        header(&world, per, line, Name::From),
        "\"Salg 36 00 07 77 0:00\" <sip:+4736000777@prove.example>"
    );
    assert!(header(&world, per, line, Name::PAssertedIdentity).contains("+4736000777"));
    assert_eq!(header(&world, per, line, Name::from("X-Queue")), "Salg");
    let rung = mobile_rung(&world, carrier);
    assert_eq!(header(&world, carrier, rung, Name::from("X-Queue")), "", "not to a carrier");
    world.finish();
}

fn mobile_rung(world: &World, carrier: usize) -> DialogId {
    *mobiles(world, carrier).last().expect("the mobile rings")
}

#[test]
fn a_mobile_shows_the_caller_where_the_carrier_lets_it_and_else_the_queue() {
    let by_queue = "present = { number = \"queue\" }";
    let rows = [
        ("", "", "+4736000777", true),
        ("", "forwarded_cli = \"own\"", SALES, false),
        (by_queue, "", SALES, false),
    ];
    for (queue, trunk, from, diverted) in rows {
        let (mut world, carrier) =
            self::world(311, Differs { rings: "[\"mobile\"]", queue, trunk, ..Differs::default() });
        call(&mut world, carrier);
        let rung = mobile(&mut world, carrier);
        let shown = header(&world, carrier, rung, Name::From);
        assert!(shown.contains(&format!("sip:{from}@")), "{queue} {trunk}: {shown}");
        let diversion = header(&world, carrier, rung, Name::from("Diversion"));
        assert_eq!(diversion.contains(SALES), diverted || !trunk.is_empty(), "{queue} {trunk}: {diversion}");
        let to = world.phones[carrier].lines[&rung].invite.as_ref().unwrap().uri.to_string();
        assert!(to.contains(MOBILE), "{to}");
        world.finish();
    }
}

#[test]
fn a_carrier_that_refuses_the_callers_number_is_asked_once_more_with_ours() {
    for status in [403, 603] {
        let (mut world, carrier) = self::world(312, Differs { rings: "[\"mobile\"]", ..Differs::default() });
        world.phones[carrier].answer = Answer::Refuse(status);
        call(&mut world, carrier);
        world.run(500 * MS);
        let rung = mobiles(&world, carrier);
        let shown: Vec<String> = rung.iter().map(|line| header(&world, carrier, *line, Name::From)).collect();
        assert_eq!(shown.len(), 2, "{status}: {shown:?}");
        assert!(shown[0].contains("+4736000777") && shown[1].contains(SALES), "{shown:?}");
        assert!(decided(&world, "trunk.own_number")[0].starts_with(&status.to_string()));
        world.finish();
    }
    // Who declines after it has rung is a person.
    let (mut world, carrier) = self::world(313, Differs { rings: "[\"mobile\"]", ..Differs::default() });
    call(&mut world, carrier);
    let rung = mobile(&mut world, carrier);
    world.run(2 * S);
    world.phones[carrier].endpoint.reject(world.now, rung, 603, Vec::new());
    world.phones[carrier].lines.get_mut(&rung).unwrap().stage = Stage::Over(603);
    world.run(S);
    assert!(decided(&world, "trunk.own_number").is_empty());
    world.finish();
}

#[test]
fn a_whisper_is_heard_by_the_agent_alone_and_then_they_talk() {
    let queue = "present = { spoken = \"sales\", whisper = \"{queue} {wait}\" }";
    let (mut world, carrier) = self::world(314, Differs { queue, ..Differs::default() });
    let per = world.registered("per");
    world.phones[per].answer = Answer::Ring;
    let caller = call(&mut world, carrier);
    world.until("it rings", S, |w| w.phones[per].line(&Stage::Ringing).is_some());
    world.run(2 * S);
    let line = world.phones[per].line(&Stage::Ringing).unwrap();
    world.phones[per].pick_up(world.now, line);
    world.run(300 * MS);
    let theirs = world.phones[carrier].lines[&caller].audio;
    let ours = world.phones[per].lines[&line].audio;
    let heard = hears(&world, per, line).join(" ");
    assert!(heard.contains("company/prove/sales") && heard.contains("whisper-waited"), "{heard}");
    assert!(matches!(world.stream_to(theirs).unwrap().1.base, Base::Music(_)));
    assert!(!hears(&world, carrier, caller).join(" ").contains("whisper"));
    world.until("they talk", 8 * S, |w| w.talk(theirs, ours));
    assert!(!world.stream_to(ours).unwrap().1.is_busy(), "media flows the moment the whisper is over");
    world.finish();
}

#[test]
fn a_whisper_is_cut_off_when_the_caller_hangs_up_and_when_the_agent_does_the_caller_keeps_the_place() {
    let queue = "present = { whisper = \"sales\" }";
    let (mut world, carrier) = self::world(315, Differs { queue, ..Differs::default() });
    let per = world.registered("per");
    world.phones[per].answer = Answer::After(S);
    let caller = call(&mut world, carrier);
    world.until("Per answers", 3 * S, |w| w.phones[per].line(&Stage::Up).is_some());
    world.run(300 * MS);
    world.phones[carrier].hang_up(world.now, caller);
    world.run(50 * MS);
    assert_eq!(world.phones[per].live_lines(), 0);
    // The agent hangs up in the middle of it.
    let caller = call(&mut world, carrier);
    world.until("Per answers", 3 * S, |w| w.phones[per].line(&Stage::Up).is_some());
    world.run(300 * MS);
    let line = world.phones[per].line(&Stage::Up).unwrap();
    world.phones[per].hang_up(world.now, line);
    world.run(S);
    assert_eq!(world.phones[carrier].lines[&caller].stage, Stage::Up, "the caller waits on");
    world.until("Per is rung again", 8 * S, |w| w.phones[per].line(&Stage::Up).is_some());
    world.finish();
}
