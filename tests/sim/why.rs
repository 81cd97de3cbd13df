//! `why` and `why-not`: what is told of a call, and of a user who is not rung, in both languages.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::event::Event;
use sentral::model::id::LineId;
use sentral::model::report::Finding;
use sentral::model::report::Weight;
use sentral::model::report::WhyNot;
use sentral::model::report::WhyNotAsk;
use sentral::model::server::Language;
use sentral::switch::why;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::MAIN;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const SALES: &str = "+4736000110";

#[test]
fn a_call_is_told_decision_by_decision_with_who_was_not_offered_and_why() {
    let mut world = World::new(1);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].answer = Answer::Ring;
    pause(&mut world, "ola", Some("lunsj"));
    world.phones[carrier].call(world.now, MAIN, false);
    world.run(30 * S);
    world.phones[kari].answer = Answer::After(Duration::ZERO);
    world.until("Kari talks", 60 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.run(5 * S);
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    world.phones[kari].hang_up(world.now, line);
    world.run(5 * S);
    let call = world.cdrs[0].id;
    let events: Vec<Event> = world
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Decision(event) if event.call == Some(call) => Some((**event).clone()),
            _ => None,
        })
        .collect();
    let english: Vec<String> = why::tell(&events, Language::En).into_iter().map(|line| line.text).collect();
    let told = |what: &str| english.iter().any(|text| text.contains(what));
    for what in [
        "A call to +4736000100",
        "hours \"office\": open",
        "Joins queue:sales at place 1",
        "ola – on pause",
        "sara – no phone can be reached",
        "Rings kari for queue:sales",
        "kari did not take it after 15 s: no answer",
        "kari answered after",
        "kari talked for",
        "hung up by who was called",
    ] {
        assert!(told(what), "{what} is not in {english:#?}");
    }
    let norwegian: Vec<String> = why::tell(&events, Language::Nb).into_iter().map(|line| line.text).collect();
    for what in [
        "Samtale til +4736000100",
        "åpningstidene \"office\"",
        "ola – på pause",
        "lagt på av den som ble ringt",
    ] {
        assert!(norwegian.iter().any(|text| text.contains(what)), "{what} is not in {norwegian:#?}");
    }
    world.finish();
}

#[test]
fn who_is_ready_is_told_so_with_all_eleven_answers() {
    let mut world = World::new(2);
    world.registered("ola");
    let found = ask(&mut world, "ola", Language::En);
    assert!(found.verdict.starts_with("ola is ready"), "{found:#?}");
    let mut questions: Vec<u8> = found.findings.iter().map(|finding| finding.question).collect();
    questions.sort_unstable();
    assert_eq!(questions, (1..=11).collect::<Vec<_>>());
    assert!(found.findings.iter().all(|finding| finding.weight != Weight::Blocks));
}

/// Brings about what a question asks about.
type Prepare = fn(&mut World);

#[test]
fn each_of_the_eleven_questions_finds_what_keeps_a_user_from_being_rung() {
    let rows: [(u8, &str, Weight, Prepare, &str, &str); 11] = [
        (
            1,
            "not_a_member",
            Weight::Blocks,
            |world| {
                world.input(sentral::switch::Input::Config(config(
                    &COMPANY
                        .replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"kari\", \"sara\"]"),
                )));
            },
            "Står ikke oppført i queue:sales",
            "Not listed in queue:sales",
        ),
        (
            2,
            "logged_out",
            Weight::Blocks,
            |world| {
                let user = "ola".into();
                world.order(Command::Login { company: "prove".into(), user, line: None, logged_in: false });
            },
            "Ikke pålogget, 23.11. 12:00 av en administrator",
            "Logged out, 23.11. 12:00 by an administrator",
        ),
        (
            3,
            "paused",
            Weight::Blocks,
            |world| pause(world, "ola", Some("lunsj")),
            "På pause (lunsj), 23.11. 12:00 av en administrator",
            "On pause (lunsj), 23.11. 12:00 by an administrator",
        ),
        (
            4,
            "unreachable",
            Weight::Blocks,
            |world| {
                let (now, ola) = (world.now, 1);
                world.phones[ola].register(now, 0);
                world.run(S);
            },
            "Telefonen er ikke pålogget nettet",
            "No phone is registered",
        ),
        (
            5,
            "forwarded",
            Weight::Blocks,
            |world| {
                world.input(sentral::switch::Input::Config(config(
                    &COMPANY
                        .replace("name = \"Ola\"", "name = \"Ola\"\nforward_always = \"voicemail:shared\""),
                )));
            },
            "Alle anrop er viderekoblet til voicemail:shared",
            "All calls are forwarded to voicemail:shared",
        ),
        (
            6,
            "busy",
            Weight::Blocks,
            |world| {
                world.phones[1].answer = Answer::After(Duration::ZERO);
                let now = world.now;
                world.phones[1].call(now, "690", false);
                world.run(3 * S);
            },
            "I en samtale",
            "In a call",
        ),
        (7, "short_ring", Weight::May, |_| {}, "Ringer bare i 15 s", "Rings for 15 s only"),
        (
            8,
            "others_first",
            Weight::May,
            |world| {
                world.input(sentral::switch::Input::Config(config(&COMPANY.replace(
                    "agents = [\"kari\", \"ola\", \"sara\"]",
                    "agents = [\"kari\", \"ola\", \"sara\"]\nstrategy = \"in-order\"",
                ))));
                world.registered("kari");
            },
            "kari ringes først",
            "kari go first",
        ),
        (
            9,
            "not_reached",
            Weight::Blocks,
            |world| {
                let unreached = COMPANY
                .replace("\"+4736000110\" = \"queue:sales\"", "")
                .replace("menu = { menu = \"menu\", 1 = \"queue:sales\", 2 = \"group:store\", 3 = \"user:sara\", timeout = \"queue:sales\" }",
                    "menu = { menu = \"menu\", 2 = \"group:store\", 3 = \"user:sara\", timeout = \"group:store\" }");
                world.input(sentral::switch::Input::Config(config(&unreached)));
            },
            "Ingen av bedriftens numre fører til queue:sales",
            "No number of the company leads to queue:sales",
        ),
        (10, "quiet", Weight::May, |_| {}, "Ingen anrop utenfra", "No call from outside"),
        (
            11,
            "mostly_missed",
            Weight::May,
            |world| {
                world.phones[1].answer = Answer::Ring;
                let (now, carrier) = (world.now, 0);
                let call = world.phones[carrier].call(now, SALES, false);
                world.run(20 * S);
                let now = world.now;
                world.phones[carrier].hang_up(now, call);
                world.run(3 * S);
            },
            "svarte ikke (15 s)",
            "no answer (15 s)",
        ),
    ];
    for (question, code, weight, prepare, nb, en) in rows {
        let mut world = World::new(u64::from(question));
        world.carrier();
        world.registered("ola");
        prepare(&mut world);
        for (language, words) in [(Language::Nb, nb), (Language::En, en)] {
            let found = ask(&mut world, "ola", language);
            let finding = answer_to(&found, question);
            assert_eq!((&*finding.code, finding.weight), (code, weight), "question {question}: {found:#?}");
            assert!(finding.text.contains(words), "question {question}: {finding:?}");
            let blocks = weight == Weight::Blocks;
            assert_eq!(found.verdict.contains(words), blocks && found.findings[0] == *finding, "{found:#?}");
            assert!(!blocks || finding.mend.is_some(), "what blocks can be mended: {finding:?}");
        }
    }
}

#[test]
fn what_blocks_first_comes_first_and_all_others_after() {
    let mut world = World::new(3);
    world.carrier();
    let logout = Command::Login { company: "prove".into(), user: "ola".into(), line: None, logged_in: false };
    world.order(logout);
    pause(&mut world, "ola", Some("lunsj"));
    let found = ask(&mut world, "ola", Language::En);
    let blocks: Vec<&str> = found
        .findings
        .iter()
        .filter(|finding| finding.weight == Weight::Blocks)
        .map(|finding| &*finding.code)
        .collect();
    assert_eq!(blocks, ["logged_out", "paused", "unreachable"]);
    assert_eq!(answer_to(&found, 2).mend.as_deref(), Some("sentral agents login prove ola queue:sales"));
    assert_eq!(answer_to(&found, 3).mend.as_deref(), Some("sentral agents unpause prove ola"));
}

#[test]
fn at_night_no_number_leads_to_the_queue_but_its_own() {
    let night = noon() + Duration::from_secs(10 * 3_600);
    let only_by_menu = COMPANY.replace("\"+4736000110\" = \"queue:sales\"", "");
    let mut world = World::at(4, night, config(&only_by_menu));
    world.registered("ola");
    assert_eq!(&*answer_to(&ask(&mut world, "ola", Language::En), 9).code, "not_reached");
    let mut world = World::at(4, noon(), config(&only_by_menu));
    world.registered("ola");
    assert_eq!(&*answer_to(&ask(&mut world, "ola", Language::En), 9).code, "reached");
}

#[test]
fn a_user_or_queue_that_is_not_there_is_refused_with_where_to_look() {
    let mut world = World::new(5);
    for (user, line) in [("nobody", None), ("ola", Some(LineId::Queue("slag".into())))] {
        let ask = WhyNotAsk { user: user.into(), company: None, line, language: Language::En };
        world.order(Command::WhyNot(ask));
        let Some(Answered::Refused { why, not_found }) = world.answers.pop() else { panic!("refused") };
        assert!(not_found && why.contains("`sentral "), "{why}");
    }
}

fn pause(world: &mut World, user: &str, reason: Option<&str>) {
    let reason = reason.map(Into::into);
    world.order(Command::Pause { company: "prove".into(), user: user.into(), reason, until: None });
}

fn ask(world: &mut World, user: &str, language: Language) -> WhyNot {
    let line = Some(LineId::Queue("sales".into()));
    world.order(Command::WhyNot(WhyNotAsk { user: user.into(), company: None, line, language }));
    let Some(Answered::WhyNot { mut lines }) = world.answers.pop() else { panic!("it was asked") };
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn answer_to(found: &WhyNot, question: u8) -> &Finding {
    found.findings.iter().find(|finding| finding.question == question).expect("each question is answered")
}
