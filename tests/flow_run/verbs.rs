//! Verbs that ask, search and send; what is counted of a flow; toggles with a time, and when it opens again.

use crate::bench::Bench;
use crate::bench::config;
use crate::bench::flow;
use sentral::model::command::Simulate;
use sentral::model::flow::Destination;
use sentral::model::id::Number;
use sentral::model::server::Language;
use sentral::switch::explain;
use sentral::switch::flow::Program;
use sentral::switch::flow::Run;
use sentral::switch::flow::action::Duty;
use sentral::switch::flow::action::Event;
use sentral::switch::flow::action::Presence;
use sentral::switch::flow::action::Unanswered;
use sentral::switch::flow::action::World;
use sentral::switch::service;
use sentral::switch::service::Service;

const SEARCH: &str = "s = { directory = 'meny', none = 'queue:salg' }";

fn pressed(bench: &mut Bench, keys: &str) -> String {
    keys.chars().map(|key| bench.on(Event::Digit(key))).last().unwrap_or_default()
}

#[test]
fn a_name_is_spelled_and_who_is_chosen_is_rung() {
    let mut bench = Bench::flow(SEARCH);
    assert_eq!(bench.start(), "answer; play meny");
    assert_eq!(bench.on(Event::Digit('6')), "stop; timer 3s");
    // 6-5-2: Ola Berg.
    let read = pressed(&mut bench, "52");
    assert_eq!(
        read,
        "clear; play dir/for+letter/o+letter/l+letter/a+letter/b+letter/e+letter/r+letter/g+dir/extension\
         +num/1+num/0+num/3+dir/press+num/1+dir/again"
    );
    let mut chosen = bench.clone();
    assert_eq!(chosen.on(Event::Digit('1')), "stop; key 1; ring; dial user:ola 25s");
    assert!(chosen.way.contains(&"-t/s chosen".to_owned()), "{:?}", chosen.way);
    let mut recorded = Bench::flow(SEARCH);
    recorded.edit(|company| company.users.get_mut("ola").expect("configured").spoken = Some("en".into()));
    recorded.start();
    assert_eq!(pressed(&mut recorded, "652"), "clear; play dir/for+en+dir/press+num/1+dir/again");
    // Another search, a key without a name behind it, and silence: three tries in all.
    assert_eq!(bench.on(Event::Digit('*')), "stop; play meny");
    pressed(&mut bench, "652");
    assert_eq!(bench.on(Event::Digit('7')), "stop; play menu/invalid+meny");
    assert_eq!(bench.on(Event::PlayFinished), "timer 6s");
    assert_eq!(bench.on(Event::Timer), "enqueue salg carry");
}

#[test]
fn a_name_that_nobody_has_is_asked_for_again_and_then_given_up() {
    let mut bench = Bench::flow(SEARCH);
    bench.start();
    assert_eq!(pressed(&mut bench, "999"), "clear; play dir/none+meny");
    assert_eq!(pressed(&mut bench, "999"), "clear; play dir/none+meny");
    assert_eq!(pressed(&mut bench, "999"), "clear; enqueue salg carry");
    let mut ends = Bench::flow("s = { directory = 'meny', letters = 1 }");
    ends.start();
    for _ in 0..2 {
        ends.on(Event::Digit('1'));
    }
    assert_eq!(ends.on(Event::Digit('1')), "stop; hangup Normal");
}

#[test]
fn several_hits_are_read_out_and_too_many_wait_for_more_letters() {
    let people = |count: usize| -> String {
        (0..count).map(|n| format!("[users.x{n}]\nname = 'Xenia {n}'\n")).collect()
    };
    let search = |count: usize| {
        let file = format!("{}{}", people(count), flow("s = { directory = 'meny', letters = 2 }"));
        let mut bench = Bench::with(&file, Program::Flow(Run::at(Destination::Flow("t".into()))));
        bench.start();
        bench
    };
    let mut three = search(3);
    let read = pressed(&mut three, "93");
    assert_eq!(read.matches("dir/press").count(), 3, "{read}");
    assert_eq!(three.on(Event::Digit('3')), "stop; key 3; ring; dial user:x2 30s");
    let mut many = search(12);
    assert_eq!(pressed(&mut many, "93"), "timer 3s");
    let read = many.on(Event::Timer);
    assert_eq!(read.matches("dir/press").count(), 9, "as many as there are keys: {read}");
    let mut done = search(12);
    assert_eq!(pressed(&mut done, "93#").matches("dir/press").count(), 9);
    assert_eq!(done.on(Event::Digit('9')), "stop; key 9; ring; dial user:x6 30s", "in the order of names");
}

#[test]
fn who_is_not_listed_or_not_of_the_scope_is_never_found() {
    let found = |more: &str, keys: &str| {
        let mut bench = Bench::flow(&format!("s = {{ directory = 'meny'{more}, none = 'hangup' }}"));
        bench.edit(|company| company.users.get_mut("jonas").expect("configured").directory = false);
        bench.start();
        !pressed(&mut bench, keys).contains("dir/none")
    };
    // Jonas is not listed.
    assert!(!found("", "566"));
    assert!(found("", "652"));
    // Ola is an agent of salg; Kari alone is a member of lager.
    assert!(found(", scope = 'queue:salg'", "652"));
    assert!(!found(", scope = ['group:lager']", "652"));
    assert!(found(", scope = ['group:lager']", "527"));
}

const ASK: &str = "s = { set = { tag = 'x' }, next = 'k' }\n\
    k = { collect = 'en', digits = 1, as = 'kunde', ok = 'a', invalid = 'a', timeout = 'a' }\n\
    a = { ask = 'https://crm.example.no/hook?key=hemmelig', timeout = '500ms', ny = 'group:lager', \
    vip = 'queue:salg', error = 'user:ola' }";

#[test]
fn another_system_is_asked_with_a_budget_and_names_an_exit() {
    let mut bench = Bench::flow(ASK);
    bench.start();
    let asked = bench.on(Event::Digit('7'));
    let question = "timer 1s; ask https://crm.example.no/hook?key=hemmelig 500ms ny,vip kunde=7 tag=x";
    assert!(asked.ends_with(question), "{asked}");
    let out = |event| bench.clone().on(event);
    assert_eq!(out(Event::Asked(Ok(0))), "clear; ring; group lager");
    assert_eq!(out(Event::Asked(Ok(1))), "clear; enqueue salg carry");
    assert_eq!(out(Event::Asked(Ok(9))), "clear; ring; dial user:ola 25s");
    assert_eq!(out(Event::Asked(Err(Unanswered::Timeout))), "clear; ring; dial user:ola 25s");
    assert_eq!(out(Event::Asked(Err(Unanswered::Status(302)))), "clear; ring; dial user:ola 25s");
    // An answer that never comes is none.
    assert_eq!(out(Event::Timer), "ring; dial user:ola 25s");
    // Late answers, and those that nobody asked for, are passed over.
    let mut gone = bench.clone();
    gone.on(Event::Timer);
    assert_eq!(gone.on(Event::Asked(Ok(1))), "");
    assert!(bench.steps.iter().all(|step| !step.contains("hemmelig")), "{:?}", bench.steps);
}

#[test]
fn a_text_message_goes_to_mobiles_with_a_number_that_is_shown() {
    let sms = "[sms]\nwebhook = 'https://sms.example.no/send'\n";
    let run = |from: Option<&str>, hidden: bool| {
        let file = format!("{sms}{}", flow("s = { sms = 'Vi ringer deg tilbake.', next = 'queue:salg' }"));
        let mut bench = Bench::with(&file, Program::Flow(Run::at(Destination::Flow("t".into()))));
        bench.facts.number = from.map(Number::new);
        bench.facts.hidden = hidden;
        bench.start()
    };
    let sent = "sms Vi ringer deg tilbake.; answer; enqueue salg carry";
    let not = "answer; enqueue salg carry";
    assert_eq!(run(Some("+4790000001"), false), sent);
    assert_eq!(run(Some("+4790000001"), true), not);
    assert_eq!(run(Some("+4722000000"), false), not);
    assert_eq!(run(Some("+46701234567"), false), not);
    assert_eq!(run(None, false), not);
}

#[test]
fn callers_are_told_apart_by_country_kind_language_dialled_number_and_tag() {
    let matches = |condition: &str, from: &str| {
        let steps = format!(
            "s = {{ set = {{ tag = 'gull', language = 'en' }}, next = 'c' }}\n\
             c = {{ caller = '{condition}', match = 'queue:salg', else = 'group:lager' }}"
        );
        let mut bench = Bench::flow(&steps);
        bench.facts.number = Some(Number::new(from));
        bench.start().ends_with("salg carry")
    };
    assert!(matches("abroad", "+46812345678"));
    assert!(!matches("abroad", "+4722000000"));
    assert!(matches("mobile", "+4790000001"));
    assert!(!matches("mobile", "+4722000000"));
    assert!(matches("language:en", "+4722000000"));
    assert!(!matches("language:nb", "+4722000000"));
    assert!(matches("dialled:+4736000100", "+4722000000"));
    assert!(!matches("dialled:+4736000101", "+4722000000"));
    assert!(matches("tag:tag=gull", "+4722000000"));
    assert!(matches("tag:tag", "+4722000000"));
    assert!(!matches("tag:tag=sølv", "+4722000000"));
    assert!(!matches("tag:kunde", "+4722000000"));
}

#[test]
fn each_step_is_told_once_when_come_to_and_once_when_left() {
    let mut bench = Bench::flow(
        "s = { hours = 'lager', open = 'm', closed = 'hangup' }\n\
         m = { menu = 'meny', tries = 2, extensions = true, 2 = 'inni', timeout = 'queue:prosjekt' }\n\
         inni = { flow = 'hilsen', next = 'k' }\n\
         k = { consent = 'en', accepted = 'v', declined = 'v' }\n\
         v = { queue = 'salg', 5 = 'group:lager' }",
    );
    bench.start();
    bench.on(Event::Digit('9'));
    bench.on(Event::Digit('2'));
    bench.on(Event::PlayFinished);
    bench.on(Event::Digit('1'));
    bench.on(Event::Digit('5'));
    let way = [
        "+t/s hours",
        "-t/s open",
        "+t/m menu",
        "-t/m 2",
        "+t/inni flow",
        "+hilsen/h play",
        "-hilsen/h next",
        "-t/inni next",
        "+t/k consent",
        "-t/k accepted",
        "+t/v queue",
        "-t/v 5",
        "+group:lager group",
    ];
    assert_eq!(bench.way, way);
    // Tries used up, an extension dialled, a step that ends the call.
    let last = |keys: &str| {
        let mut bench = Bench::flow(
            "s = { menu = 'meny', tries = 1, extensions = true, 2 = 'hangup', timeout = 'e' }\ne = { hangup = 'busy' }",
        );
        bench.start();
        for key in keys.chars() {
            bench.on(if key == 't' { Event::Timer } else { Event::Digit(key) });
        }
        bench.way.join(" ")
    };
    assert_eq!(last("t"), "+t/s menu -t/s timeout +t/e hangup -t/e hangup");
    assert_eq!(last("9"), "+t/s menu -t/s invalid +t/e hangup -t/e hangup");
    assert!(last("103").ends_with("-t/s extension +user:ola user"), "{}", last("103"));
}

#[test]
fn a_toggle_bound_to_a_number_takes_its_calls_while_it_is_on() {
    let bound = "[toggles.brann]\nnumbers = ['+4736000100']\nto = 'voicemail:felles'\n";
    let file = format!("{bound}{}", flow("s = { queue = 'salg' }"));
    let bench = || Bench::with(&file, Program::Flow(Run::at(Destination::Flow("t".into()))));
    assert_eq!(bench().start(), "answer; enqueue salg carry");
    assert_eq!(bench().toggled("brann").start(), "answer; play en; beep");
    let over = "2026-11-23T09:59:59+01:00";
    assert_eq!(bench().toggled_until("brann", Some(over)).start(), "answer; enqueue salg carry");
    let mut other = bench().toggled("brann");
    other.facts.dialled = Number::new("+4736000101");
    assert_eq!(other.start(), "answer; enqueue salg carry");
}

#[test]
fn a_toggle_code_with_a_time_says_until_when() {
    let run = |until: &str, now: &str| {
        let service = Service::ToggleUntil("natt".into(), until.into());
        let mut bench = Bench::with("", service::program(service)).calling("kari").at(now);
        let started = bench.start();
        (started, bench)
    };
    let noon = "2026-11-23T12:00:00+01:00";
    let (started, mut bench) = run("2", noon);
    assert_eq!(started, "answer; on natt until 2026-11-23T13:00:00Z");
    assert_eq!(bench.on(Event::Toggled(true)), "play toggle/on+toggle/until+time/at+num/14");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
    let (started, mut bench) = run("0730", noon);
    assert_eq!(started, "answer; on natt until 2026-11-24T06:30:00Z", "it is past half past seven");
    assert_eq!(
        bench.on(Event::Toggled(true)),
        "play toggle/on+toggle/until+time/tomorrow+time/at+num/7+num/30"
    );
    assert_eq!(run("1630", noon).0, "answer; on natt until 2026-11-23T15:30:00Z");
    // Over the night on which the clock is set back.
    assert_eq!(run("0800", "2026-10-24T20:00:00+02:00").0, "answer; on natt until 2026-10-25T07:00:00Z");
    for wrong in ["0", "00", "123", "2460", "9999", "12345", "x", ""] {
        assert_eq!(run(wrong, noon).0, "answer; play toggle/wrong-time", "{wrong}");
    }
}

#[test]
fn callers_hear_when_it_opens_again() {
    let heard = |now: &str| {
        let mut bench = Bench::flow("s = { play = ['en', 'reopens:lager'], next = 'hangup' }").at(now);
        bench.start()
    };
    let again = "answer; play en+hours/open-again";
    // The template opens at half past six on weekdays.
    assert_eq!(heard("2026-11-23T18:00:00+01:00"), format!("{again}+time/tomorrow+time/at+num/6+num/30"));
    assert_eq!(heard("2026-11-23T05:00:00+01:00"), format!("{again}+time/today+time/at+num/6+num/30"));
    assert_eq!(heard("2026-11-27T18:00:00+01:00"), format!("{again}+day/1+time/at+num/6+num/30"), "Friday");
    // Open, and closed only for lunch.
    assert_eq!(heard("2026-11-23T10:00:00+01:00"), "answer; play en");
    assert_eq!(heard("2026-11-23T11:10:00+01:00"), format!("{again}+time/today+time/at+num/11+num/30"));
    // Christmas: from the 24th, which is open here, over the holidays and the week-end.
    assert_eq!(heard("2026-12-24T18:00:00+01:00"), format!("{again}+day/1+time/at+num/6+num/30"));
    // Nothing to say at all goes on at once.
    let mut alone = Bench::flow("s = { play = 'reopens:lager', next = 'queue:salg' }");
    assert_eq!(alone.start(), "answer; enqueue salg carry");
}

#[test]
fn a_dry_run_tells_every_way_that_an_answer_could_lead() {
    let steps = "s = { ask = 'https://crm.example.no/x', vip = 'queue:salg', error = 'd' }\n\
                 d = { directory = 'meny', none = 'hangup' }";
    let config = config(&flow(steps));
    let bench = Bench::flow(steps);
    let world = World {
        toggles: &bench.toggles,
        mailboxes: &bench.mailboxes,
        people: &bench.people,
        presence: &|_, _| Presence::Ready,
        duty: &|_| Duty::default(),
        random: 0,
    };
    let call = Simulate {
        logged_in: None,
        number: Number::new("+4736000100"),
        from: Some(Number::new("+4722000000")),
        at: Some(bench.now),
        keys: "6521".into(),
    };
    let told: Vec<String> =
        explain::simulate(&config, &world, &call, bench.now).into_iter().map(|told| told.what).collect();
    let told = told.join("\n");
    for expect in [
        "asks crm.example.no",
        "if the answer is vip: the answer is vip: queue:salg",
        "no answer (unreachable): d",
        "1 found",
        "the caller hears: For o l a",
        "chosen: user:ola",
    ] {
        assert!(told.contains(expect), "{expect:?} in\n{told}");
    }
    assert_eq!(bench.facts.language, Language::Nb);
}
