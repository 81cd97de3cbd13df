//! What people set for themselves, in whole calls: by star code, by order, and what calls, queues and lamps make of it.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command;
use sentral::model::command::Command;
use sentral::model::id::Number;
use sentral::model::personal::Condition;
use sentral::model::personal::Setting;
use sentral::model::personal::ShownNumber;
use sentral::model::personal::Wish;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const KARI: &str = "+4736000101";
const SALES: &str = "+4736000110";

/// Dials a code, lets it be said, and gives what was played.
fn dial(world: &mut World, phone: usize, code: &str) -> Vec<String> {
    let code = code.replace('#', "%23");
    let line = world.phones[phone].call(world.now, &code, false);
    world.run(Duration::from_millis(500));
    let audio = world.phones[phone].lines[&line].audio;
    let played = world.stream_to(audio).map(|(_, stream)| stream.played.clone()).unwrap_or_default();
    world.run(30 * S);
    let over = matches!(world.phones[phone].lines[&line].stage, Stage::Over(_));
    assert!(over, "{code} ends by itself");
    played.iter().map(|item| item.replace("Clip(\"nb/", "").replace("\")", "")).collect()
}

fn wish(world: &mut World, user: &str, wish: Wish) -> Option<String> {
    world.order(Command::Personal { company: "prove".into(), user: user.into(), wish });
    match world.answers.pop() {
        Some(command::Answer::Done) => None,
        Some(command::Answer::Refused { why, .. }) => Some(why),
        other => panic!("{other:?}"),
    }
}

fn forward(when: Condition, to: &str) -> Wish {
    Wish::Forward { when: vec![when], to: to.into(), after_s: None }
}

fn settings(world: &World) -> usize {
    world.changes.iter().filter(|change| matches!(change, Change::PersonalSet { .. })).count()
}

/// Kari and Ola with phones that ring, and a carrier.
fn office(seed: u64, company: &str) -> (World, usize, usize, usize) {
    let mut world = World::at(seed, noon(), config(company));
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].answer = Answer::Ring;
    (world, carrier, kari, ola)
}

/// Calls Kari's number from outside, waits, and gives how many lines of each phone ring.
fn call_kari(world: &mut World, carrier: usize, phones: [usize; 2]) -> [usize; 2] {
    let call = world.phones[carrier].call(world.now, KARI, false);
    world.run(2 * S);
    let ringing = phones
        .map(|phone| world.phones[phone].lines.values().filter(|line| line.stage == Stage::Ringing).count());
    world.phones[carrier].end(world.now, call);
    world.run(2 * S);
    ringing
}

#[test]
fn all_calls_are_forwarded_by_code_and_back_again() {
    let (mut world, carrier, kari, ola) = office(1, COMPANY);
    assert_eq!(dial(&mut world, kari, "**21*102#"), ["fwd/on", "num/1", "num/0", "num/2"]);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [0, 1]);
    assert_eq!(dial(&mut world, kari, "*#21#"), ["fwd/on", "num/1", "num/0", "num/2"]);
    assert_eq!(dial(&mut world, kari, "##21#"), ["fwd/off"]);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [1, 0]);
    assert_eq!(dial(&mut world, kari, "*#21#"), ["fwd/off"]);
    world.finish();
}

#[test]
fn a_number_that_is_not_dialled_is_asked_for() {
    let (mut world, carrier, kari, ola) = office(2, COMPANY);
    let line = world.phones[kari].call(world.now, "**21%23", false);
    world.run(2 * S);
    let audio = world.phones[kari].lines[&line].audio;
    for key in ['1', '0', '2', '#'] {
        world.key(audio, key);
    }
    world.run(20 * S);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [0, 1]);
    world.finish();
}

#[test]
fn what_may_not_be_is_told_and_changes_nothing() {
    let (mut world, _, kari, ola) = office(3, COMPANY);
    assert_eq!(wish(&mut world, "ola", forward(Condition::Always, "user:sara")), None);
    assert_eq!(wish(&mut world, "sara", forward(Condition::Always, "user:per")), None);
    let before = settings(&world);
    for (code, prompt) in [
        // To herself, in all the ways in which she has a number.
        ("**21*101#", "fwd/self"),
        ("**21*36000101#", "fwd/self"),
        // To an emergency number.
        ("**21*112#", "fwd/emergency"),
        // Abroad, which she may not call, and to a number that is dear.
        ("**21*004612345678#", "fwd/unknown"),
        ("**21*82012345#", "fwd/barred"),
        // To nobody.
        ("**21*999#", "fwd/unknown"),
        // After too long.
        ("**61*102*400#", "fwd/after-range"),
        ("*28*2570#", "absence/past"),
    ] {
        assert_eq!(dial(&mut world, kari, code), [prompt], "{code}");
    }
    // Ola forwards to Sara, Sara to Per: Per cannot forward to Ola.
    let why = wish(&mut world, "per", forward(Condition::Always, "102")).expect("refused");
    assert!(why.contains("in a ring: sara forwards back"), "{why}");
    assert_eq!(
        wish(&mut world, "per", forward(Condition::Busy, "102")).map(|why| why.contains("ring")),
        Some(true)
    );
    assert_eq!(dial(&mut world, ola, "**21*102#"), ["fwd/self"]);
    assert_eq!(settings(&world), before, "nothing is changed");
    world.finish();
}

#[test]
fn no_answer_has_its_delay_and_is_read_back() {
    let (mut world, carrier, kari, ola) = office(4, COMPANY);
    let told = dial(&mut world, kari, "**61*102*10#");
    assert_eq!(
        told,
        ["fwd/no-answer", "fwd/on", "num/1", "num/0", "num/2", "fwd/after", "num/10", "unit/seconds"]
    );
    world.phones[carrier].call(world.now, KARI, false);
    world.run(9 * S);
    assert!(world.phones[kari].line(&Stage::Ringing).is_some());
    world.run(2 * S);
    assert!(world.phones[kari].line(&Stage::Ringing).is_none());
    assert!(world.phones[ola].line(&Stage::Ringing).is_some());
    world.finish();
}

#[test]
fn a_forward_to_the_outside_tells_the_carrier_who_sent_it_on() {
    let (mut world, carrier, kari, ola) = office(5, COMPANY);
    dial(&mut world, kari, "**21*90000001#");
    let gone = world.phones[carrier].lines.len();
    let call = world.phones[carrier].call(world.now, KARI, false);
    world.run(S);
    assert_eq!(world.phones[kari].live_lines() + world.phones[ola].live_lines(), 0);
    assert_eq!(world.phones[carrier].lines.len(), gone + 2, "one in, one out");
    let out = world.phones[carrier].lines.values().find_map(|line| line.invite.clone()).expect("an INVITE");
    assert_eq!(out.uri.user(), Some("+4790000001"));
    let diversion =
        out.headers.get(&sentral::sip::message::Name::Diversion).expect("a Diversion").into_owned();
    assert!(diversion.contains("+4736000101") && diversion.contains("reason=unconditional"), "{diversion}");
    world.phones[carrier].end(world.now, call);
    world.finish();
}

#[test]
fn do_not_disturb_is_busy_to_callers_and_keeps_queues_away() {
    let (mut world, carrier, kari, ola) = office(6, COMPANY);
    assert_eq!(dial(&mut world, kari, "*26#"), ["dnd/on"]);
    assert_eq!(dial(&mut world, ola, "*26#"), ["dnd/on"]);
    let call = world.phones[carrier].call(world.now, KARI, false);
    world.run(2 * S);
    assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Over(486));
    let waits = world.phones[carrier].call(world.now, SALES, false);
    world.run(5 * S);
    assert_eq!(world.phones[kari].live_lines() + world.phones[ola].live_lines(), 0);
    // The queue rings the moment that somebody may be disturbed.
    dial(&mut world, ola, "#26#");
    assert!(
        world.phones[ola].lines.values().any(|line| line.stage == Stage::Ringing || !line.log.is_empty())
    );
    world.phones[carrier].end(world.now, waits);
    world.finish();
}

#[test]
fn an_absence_ends_by_itself_and_is_shown_to_colleagues() {
    let (mut world, carrier, kari, ola) = office(7, COMPANY);
    world.phones[ola].ask(
        world.now,
        sentral::sip::Method::Subscribe,
        "101",
        vec![("Event", "presence".into()), ("Expires", "600".into())],
        None,
    );
    world.run(S);
    // It is noon in Oslo.
    assert_eq!(
        dial(&mut world, kari, "*28*1205#"),
        ["absence/on", "absence/until", "time/today", "time/at", "num/12", "num/0", "num/5"]
    );
    let seen = world.phones[ola].notified.last().unwrap();
    assert!(seen.contains("<rpid:away/>") && seen.contains("<note>fravær</note>"), "{seen}");
    let call = world.phones[carrier].call(world.now, KARI, false);
    world.run(10 * S);
    assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Over(480));
    assert_eq!(world.phones[kari].live_lines(), 0);
    world.run(300 * S);
    assert!(!world.phones[ola].notified.last().unwrap().contains("away"));
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [1, 0]);
    world.finish();
}

#[test]
fn while_somebody_is_away_calls_go_where_they_said() {
    let (mut world, carrier, kari, ola) = office(8, COMPANY);
    let until = Some(world.now.utc + Duration::from_secs(600));
    let away = Wish::Absent { reason: "møte".into(), until, to: Some("102".into()) };
    assert_eq!(wish(&mut world, "kari", away), None);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [0, 1]);
    let past = Wish::Absent { reason: "møte".into(), until: Some(noon()), to: None };
    assert!(wish(&mut world, "kari", past).is_some_and(|why| why.contains("end before it begins")));
    world.run(600 * S);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [1, 0]);
    world.finish();
}

#[test]
fn what_was_set_survives_a_restart() {
    let (mut world, carrier, kari, ola) = office(9, COMPANY);
    dial(&mut world, kari, "**21*102#");
    world.restart(config(COMPANY));
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [0, 1]);
    world.finish();
}

#[test]
fn without_call_waiting_a_second_call_is_busy() {
    let (mut world, carrier, kari, ola) = office(10, COMPANY);
    let first = world.phones[ola].call(world.now, "101", false);
    world.until("her phone rings", 2 * S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    let line = world.phones[kari].line(&Stage::Ringing).unwrap();
    world.phones[kari].pick_up(world.now, line);
    world.run(S);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [1, 0], "a second call rings");
    assert_eq!(wish(&mut world, "kari", Wish::Plain(Setting::CallWaiting { on: Some(false) })), None);
    let call = world.phones[carrier].call(world.now, KARI, false);
    world.run(2 * S);
    assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Over(486));
    world.phones[ola].end(world.now, first);
    world.run(S);
    assert_eq!(call_kari(&mut world, carrier, [kari, ola]), [1, 0], "the first call is over");
    world.finish();
}

#[test]
fn a_search_rings_one_thing_after_the_other() {
    let company = COMPANY.replace(
        "number = \"+4736000101\"\n",
        "number = \"+4736000101\"\nmobile = \"+4790000007\"\nfind = [{ ring = \"devices\", for = \"10s\" }, { ring = \"mobile\", for = \"10s\" }]\nno_answer = \"user:ola\"\n",
    );
    let (mut world, carrier, kari, ola) = office(11, &company);
    let call = world.phones[carrier].call(world.now, KARI, false);
    let rings = |world: &World| {
        let out = world.phones[carrier].lines.values().filter(|line| line.stage == Stage::Ringing).count();
        [
            world.phones[kari].line(&Stage::Ringing).is_some(),
            out > 0,
            world.phones[ola].line(&Stage::Ringing).is_some(),
        ]
    };
    world.phones[carrier].answer = Answer::Ring;
    world.run(9 * S);
    assert_eq!(rings(&world), [true, false, false]);
    world.run(3 * S);
    assert_eq!(rings(&world), [false, true, false]);
    world.run(10 * S);
    assert_eq!(rings(&world), [false, false, true]);
    world.phones[carrier].end(world.now, call);
    world.finish();
}

#[test]
fn the_mobile_rings_too_when_it_is_wanted() {
    let company =
        COMPANY.replace("number = \"+4736000101\"\n", "number = \"+4736000101\"\nmobile = \"+4790000007\"\n");
    let (mut world, carrier, kari, ola) = office(12, &company);
    world.phones[carrier].answer = Answer::Ring;
    assert_eq!(dial(&mut world, ola, "*27#"), ["mobile/none"]);
    assert_eq!(dial(&mut world, kari, "*27#"), ["mobile/on"]);
    let call = world.phones[carrier].call(world.now, KARI, false);
    world.run(2 * S);
    assert!(world.phones[kari].line(&Stage::Ringing).is_some());
    assert!(world.phones[carrier].line(&Stage::Ringing).is_some(), "the mobile rings");
    world.phones[carrier].end(world.now, call);
    world.run(S);
    assert_eq!(dial(&mut world, kari, "#27#"), ["mobile/off"]);
    world.finish();
}

#[test]
fn short_numbers_and_hidden_ones_are_dialled_as_they_were_set() {
    let company = COMPANY.replace(
        "number = \"+4736000101\"\n",
        "number = \"+4736000101\"\nspeed = { 1 = \"102\", 2 = \"+4790000002\" }\n",
    ) + "\n[speed]\n2 = \"103\"\n3 = \"+4790000003\"\n";
    let (mut world, carrier, kari, ola) = office(13, &company);
    let call = world.phones[kari].call(world.now, "*01", false);
    world.run(S);
    assert!(world.phones[ola].line(&Stage::Ringing).is_some());
    world.phones[kari].end(world.now, call);
    world.run(S);
    assert_eq!(dial(&mut world, kari, "*31#"), ["number/hidden"]);
    // Her own number two stands above the company's.
    for (dialled, number) in [("*02", "+4790000002"), ("*03", "+4790000003")] {
        let call = world.phones[kari].call(world.now, dialled, false);
        world.run(3 * S);
        let invites = world.phones[carrier].lines.values().filter_map(|line| line.invite.as_ref());
        let invite = invites.max_by_key(|invite| invite.uri.user().map(str::to_owned)).expect("an INVITE");
        assert_eq!(invite.uri.user(), Some(number));
        assert!(invite.from().unwrap().to_string().contains("anonymous"), "{:?}", invite.from());
        world.phones[kari].end(world.now, call);
        world.run(S);
    }
    let shown = ShownNumber::Number(Number::new("+4736000999"));
    let refused = wish(&mut world, "kari", Wish::Plain(Setting::Shown { shown }));
    assert!(refused.is_some_and(|why| why.contains("not a number of the company")));
    world.finish();
}
