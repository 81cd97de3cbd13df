//! Carriers: failover before the caller hears silence, health, limits, emergency calls, and what a carrier is told
//! of a call that is sent on.

use std::sync::Arc;
use std::time::Duration;

use sentral::model::Config;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::command::TrunkView;
use sentral::sip::DialogId;
use sentral::sip::message::Name;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::SECOND;
use crate::world::TRUNK;
use crate::world::World;
use crate::world::config_and_trunks;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Two carriers, `a` before `b`; what is written in place of `A` and `B` belongs to them.
const TWO: &str = r#"
[trunks.a]
server = "198.51.100.9:5060"
trusted = ["198.51.100.9"]
health = false
A
[trunks.b]
server = "198.51.100.10:5060"
trusted = ["198.51.100.10"]
health = false
B
[routes]
emergency = { to = ["110", "112", "113"], via = ["a", "b"], priority = true }
norway = { to = ["+47"], via = ["a", "b"] }
"#;

/// One carrier with two addresses.
const PAIR: &str = r#"
[trunks.a]
server = "pair.example"
health = false
[routes]
norway = { to = ["+47"], via = ["a"] }
"#;

/// Both carriers, `a` before `b`, with what is written of each.
pub(crate) fn two(a: &str, b: &str) -> Arc<Config> {
    let company = COMPANY
        .replace("name = \"Per\"\n", "name = \"Per\"\nnumber = \"+4736000104\"\n")
        .replace("name = \"Kari\"\n", "name = \"Kari\"\nsite = \"oslo\"\n");
    let sites = "\n[sites.oslo]\nnumber = \"+4736000150\"\naddress = \"Storgata 1, Oslo\"\n";
    let trunks = TWO.replace("\nA\n", &format!("\n{a}\n")).replace("\nB\n", &format!("\n{b}\n"));
    config_and_trunks(&(company + sites), &trunks)
}

/// A world with both carriers, `a` and `b`, and Ola's phone.
fn world_of(seed: u64, config: Arc<Config>) -> (World, usize, usize, usize) {
    let mut world = World::at(seed, noon(), config);
    let (a, b) = (world.carrier_at(TRUNK), world.carrier_at(SECOND));
    let ola = world.registered("ola");
    (world, a, b, ola)
}

fn dial(world: &mut World, phone: usize, number: &str) -> DialogId {
    world.phones[phone].call(world.now, number, false)
}

fn up(world: &World, phone: usize, line: DialogId) -> bool {
    world.phones[phone].lines[&line].stage == Stage::Up
}

fn decided(world: &World, what: &str) -> usize {
    world.changes.iter().filter(|c| matches!(c, Change::Decision(told) if *told.event == *what)).count()
}

fn trunks(world: &mut World) -> Vec<TrunkView> {
    world.order(Command::Trunks);
    let Some(Answered::Trunks { trunks }) = world.answers.pop() else { panic!("trunks were asked for") };
    trunks
}

/// A header of the INVITE that a carrier got last; its values joined.
fn got(world: &World, carrier: usize, name: Name) -> String {
    let (_, line) = world.phones[carrier].lines.iter().max_by_key(|(id, _)| **id).expect("it was called");
    let values = line.invite.as_ref().expect("it was called").headers.all(&name).collect::<Vec<_>>();
    values.join(" | ").split(";tag=").next().unwrap_or_default().to_owned()
}

#[test]
fn a_dead_address_is_left_for_the_next_before_the_caller_hears_silence_for_long() {
    let mut world = World::at(201, noon(), config_and_trunks(COMPANY, PAIR));
    let second = world.carrier_at(SECOND);
    let ola = world.registered("ola");
    let call = dial(&mut world, ola, "36000777");
    world.run(3900 * MS);
    assert_eq!(world.phones[second].live_lines(), 0);
    world.until("the second address rings", 300 * MS, |w| w.phones[second].live_lines() == 1);
    world.until("they talk", 2 * S, |w| up(w, ola, call));
    assert_eq!(trunks(&mut world)[0].calls, 1, "the silent address holds no channel");
    assert_eq!(decided(&world, "trunk.failover"), 1);
    // The dead address' transaction ends, and the call goes on.
    world.run(60 * S);
    assert!(up(&world, ola, call));
    world.finish();
}

#[test]
fn a_mobile_is_hunted_for_like_a_number_that_is_dialled() {
    let mut world = World::at(202, noon(), config_and_trunks(COMPANY, PAIR));
    let second = world.carrier_at(SECOND);
    let ola = world.registered("ola");
    dial(&mut world, ola, "104");
    world.until("the mobile rings", 4300 * MS, |w| w.phones[second].live_lines() == 1);
    world.finish();
}

#[test]
fn a_gateway_that_fails_is_left_at_once_and_one_that_tells_the_callees_answer_is_not() {
    for (status, fails_over) in
        [(503, true), (500, true), (408, true), (486, false), (404, false), (603, false)]
    {
        let (mut world, a, b, ola) = world_of(203, two("", ""));
        world.phones[a].answer = Answer::Refuse(status);
        let call = dial(&mut world, ola, "36000777");
        world.run(200 * MS);
        assert_eq!(world.phones[b].live_lines(), usize::from(fails_over), "{status}");
        if !fails_over {
            assert_eq!(world.phones[ola].lines[&call].stage, Stage::Over(status));
        }
        let expect = if fails_over { "b" } else { "a" };
        world.phones[ola].end(world.now, call);
        world.run(3 * S);
        assert_eq!(world.cdrs[0].trunk.as_ref().map(|trunk| trunk.as_str()), Some(expect), "{status}");
        world.finish();
    }
}

#[test]
fn when_every_gateway_fails_the_caller_is_told() {
    let (mut world, a, b, ola) = world_of(204, two("", ""));
    world.phones[a].answer = Answer::Refuse(503);
    world.phones[b].answer = Answer::Refuse(500);
    let call = dial(&mut world, ola, "36000777");
    world.run(S);
    assert!(matches!(world.phones[ola].lines[&call].stage, Stage::Over(500..=599)));
    world.finish();
}

#[test]
fn an_answer_that_crosses_the_cancel_is_ended() {
    let (mut world, a, b, ola) = world_of(205, two("", ""));
    world.phones[a].answer = Answer::Late(3980 * MS);
    world.phones[b].answer = Answer::After(2 * S);
    world.weather.delay = 100 * MS;
    let call = dial(&mut world, ola, "36000777");
    world.until("they talk", 9 * S, |w| up(w, ola, call));
    world.run(S);
    assert!(world.phones[b].line(&Stage::Up).is_some(), "the second has the call");
    let lost = world.phones[a].lines.values().next().expect("it was called");
    assert!(matches!(lost.stage, Stage::Over(0 | 487)), "{lost:?}");
    assert_eq!(world.streams.len(), 2);
    world.finish();
}

#[test]
fn a_gateway_that_rings_slowly_is_kept_when_it_is_the_last() {
    let (mut world, a, _, ola) = world_of(206, two("", ""));
    let config = two("", "").as_ref().clone();
    let mut config = config;
    config.routes.iter_mut().for_each(|route| route.via.truncate(1));
    world.input(Input::Config(Arc::new(config)));
    world.phones[a].answer = Answer::Late(10 * S);
    let call = dial(&mut world, ola, "36000777");
    world.until("they talk", 12 * S, |w| up(w, ola, call));
    world.finish();
}

#[test]
fn a_caller_who_gives_up_while_gateways_are_tried_leaves_nothing() {
    let mut world = World::at(207, noon(), config_and_trunks(COMPANY, PAIR));
    let second = world.carrier_at(SECOND);
    world.phones[second].answer = Answer::Ring;
    let ola = world.registered("ola");
    let early = dial(&mut world, ola, "36000777");
    world.run(2 * S);
    world.phones[ola].cancel(world.now, early);
    world.run(5 * S);
    assert_eq!(world.phones[second].lines.len(), 0, "nobody is tried for a caller who has gone");
    let late = dial(&mut world, ola, "36000777");
    world.until("the second address rings", 5 * S, |w| w.phones[second].live_lines() == 1);
    world.phones[ola].cancel(world.now, late);
    world.run(S);
    assert_eq!(world.phones[second].live_lines(), 0);
    world.finish();
}

#[test]
fn an_overloaded_carrier_rests_as_long_as_it_asked() {
    let (mut world, a, b, ola) = world_of(208, two("", ""));
    world.phones[a].answer = Answer::Refuse(503);
    world.phones[a].extra = vec![("Retry-After", "60".into())];
    for (wait, a_is_called) in [(S, 1), (30 * S, 1), (40 * S, 2)] {
        world.run(wait);
        let call = dial(&mut world, ola, "36000777");
        world.until("they talk", 3 * S, |w| up(w, ola, call));
        assert_eq!(world.phones[a].lines.len(), a_is_called);
        assert!(world.phones[b].line(&Stage::Up).is_some());
        world.phones[ola].hang_up(world.now, call);
        world.run(S);
    }
    world.finish();
}

#[test]
fn a_carrier_that_does_not_answer_twice_is_down_and_passed_over_until_it_does() {
    let config = || two("", "").as_ref().clone();
    let mut checked = config();
    if let Some(a) = checked.trunks.get_mut("a") {
        a.health = Some(10 * S);
    }
    let mut world = World::at(209, noon(), Arc::new(checked));
    let b = world.carrier_at(SECOND);
    let ola = world.registered("ola");
    let told = |w: &World| {
        let of = |change: &Change| match change {
            Change::Trunk { trunk, up, .. } if trunk.as_str() == "a" => Some(*up),
            _ => None,
        };
        w.changes.iter().filter_map(of).collect::<Vec<bool>>()
    };
    world.until("it is down", 25 * S, |w| told(w) == [true, false]);
    let down = trunks(&mut world);
    assert_eq!(
        (down[0].state.as_str(), down[0].addresses[0].as_str()),
        ("down", "udp 198.51.100.9:5060 down")
    );
    let call = dial(&mut world, ola, "36000777");
    world.until("the other is called at once", 200 * MS, |w| w.phones[b].live_lines() == 1);
    world.phones[ola].end(world.now, call);
    let a = world.carrier_at(TRUNK);
    world.until("it is up", 12 * S, |w| told(w) == [true, false, true]);
    dial(&mut world, ola, "36000777");
    world.until("it is called", 200 * MS, |w| w.phones[a].live_lines() == 1);
    world.input(Input::Config(Arc::new(config())));
    world.finish();
}

#[test]
fn a_full_trunk_leads_to_the_next_and_refuses_callers_from_outside() {
    let (mut world, a, b, ola) = world_of(210, two("channels = 1", "channels = 1"));
    let kari = world.registered("kari");
    let first = dial(&mut world, ola, "36000777");
    world.until("they talk", 3 * S, |w| up(w, ola, first));
    let second = dial(&mut world, kari, "36000778");
    world.until("they talk", 3 * S, |w| up(w, kari, second));
    assert_eq!(trunks(&mut world).iter().map(|trunk| trunk.calls).collect::<Vec<_>>(), [1, 1]);
    assert!(world.phones[a].line(&Stage::Up).is_some() && world.phones[b].line(&Stage::Up).is_some());
    let third = dial(&mut world, ola, "36000779");
    let inward = dial(&mut world, a, "+4736000101");
    world.run(S);
    assert_eq!(world.phones[ola].lines[&third].stage, Stage::Over(503));
    assert_eq!(world.phones[a].lines[&inward].stage, Stage::Over(503));
    world.finish();
}

#[test]
fn channels_kept_for_a_company_are_no_others() {
    let both = "channels = 2\nreserved = { prove = 1 }";
    let (mut world, _, b, ola) = world_of(211, two(both, ""));
    // Two of the company whose channel is kept fit; none would be left for another company.
    for _ in 0..2 {
        dial(&mut world, ola, "36000777");
    }
    world.run(2 * S);
    assert_eq!(trunks(&mut world)[0].calls, 2);
    assert_eq!(world.phones[b].live_lines(), 0);
    world.finish();
}

#[test]
fn more_calls_in_a_second_than_allowed_are_refused_inward_and_led_on_outward() {
    let (mut world, a, b, ola) = world_of(212, two("calls_per_second = 1", ""));
    let inward: Vec<DialogId> = (0..2).map(|_| dial(&mut world, a, "+4736000110")).collect();
    let outward: Vec<DialogId> = (0..2).map(|_| dial(&mut world, ola, "36000777")).collect();
    world.run(500 * MS);
    let stage = |w: &World, phone: usize, line: &DialogId| w.phones[phone].lines[line].stage.clone();
    assert_eq!(inward.iter().filter(|line| stage(&world, a, line) == Stage::Over(503)).count(), 1);
    assert_eq!(world.phones[b].live_lines(), 1, "{outward:?}");
    world.run(2 * S);
    let later = dial(&mut world, a, "+4736000110");
    world.until("a call is taken again", S, |w| up(w, a, later));
    world.finish();
}

#[test]
fn an_emergency_call_shows_its_site_and_makes_room_for_itself() {
    let rules = "channels = 1\nheaders = [{ when = \"emergency\", add = \"Priority: emergency\" }, \
                 { when = \"out\", add = \"X-Site: {site}, {address}\" }]";
    let (mut world, a, b, ola) = world_of(213, two(rules, "channels = 1"));
    let kari = world.registered("kari");
    let (first, second) = (dial(&mut world, ola, "36000777"), dial(&mut world, ola, "36000778"));
    world.until("both talk", 3 * S, |w| up(w, ola, first) && up(w, ola, second));
    let youngest = world.phones[a].line(&Stage::Up).expect("a call is up");
    dial(&mut world, kari, "*31*112");
    world.until("the centre is called", S, |w| w.phones[a].lines.len() == 2);
    assert_eq!(world.phones[b].lines.len(), 1, "no other trunk was free, the first is taken");
    world.run(S);
    assert_eq!(world.phones[a].lines[&youngest].stage, Stage::Over(0));
    assert_eq!(decided(&world, "trunk.preempted"), 1);
    assert!(got(&world, a, Name::From).contains("<sip:+4736000150@"), "{}", got(&world, a, Name::From));
    assert!(got(&world, a, Name::PAssertedIdentity).contains("+4736000150"));
    assert_eq!(got(&world, a, Name::Privacy), "");
    assert_eq!(got(&world, a, Name::Priority), "emergency");
    assert_eq!(got(&world, a, Name::from("X-Site")), "oslo, Storgata 1, Oslo");
    // A second emergency call ends no other emergency call, and is sent all the same.
    dial(&mut world, ola, "113");
    world.until("the centre is called again", S, |w| w.phones[a].lines.len() + w.phones[b].lines.len() == 4);
    world.finish();
}

#[test]
fn a_carrier_is_told_who_calls_and_who_sent_the_call_on() {
    let caller = "<sip:+4736000777@198.51.100.10>";
    let own = "<sip:+4736000104@198.51.100.10>";
    let diversion = "<sip:+4736000104@198.51.100.10>;reason=follow-me;counter=1;privacy=off";
    let history = "<sip:+4736000104@198.51.100.10>;index=1 | \
                   <sip:+4736000204@198.51.100.10;cause=302>;index=1.1;mp=1";
    // Settings of the trunk; From, P-Asserted-Identity, Diversion, History-Info.
    let rows = [
        ("", caller, caller, diversion, ""),
        ("diversion = \"history-info\"", caller, caller, "", history),
        ("diversion = \"both\"", caller, caller, diversion, history),
        ("diversion = \"none\"", caller, caller, "", ""),
        ("forwarded_cli = \"own\"", own, own, diversion, ""),
        ("forwarded_cli = \"caller-norwegian-only\"", caller, caller, diversion, ""),
        ("clip_no_screening = true", caller, own, diversion, ""),
        (
            "numbers = \"national\"",
            "<sip:36000777@198.51.100.10>",
            "<sip:36000777@198.51.100.10>",
            "<sip:36000104@198.51.100.10>;reason=follow-me;counter=1;privacy=off",
            "",
        ),
        (
            "user_phone = true\nmap = { \"+4736000104\" = \"12345\" }",
            "<sip:+4736000777@198.51.100.10;user=phone>",
            "<sip:+4736000777@198.51.100.10;user=phone>",
            "<sip:12345@198.51.100.10;user=phone>;reason=follow-me;counter=1;privacy=off",
            "",
        ),
    ];
    for (settings, from, asserted, diversion, history) in rows {
        let world = sent_on(two("", settings), Vec::new());
        let b = 1;
        assert_eq!(got(&world, b, Name::From), from, "{settings}");
        assert_eq!(got(&world, b, Name::PAssertedIdentity), asserted, "{settings}");
        assert_eq!(got(&world, b, Name::Diversion), diversion, "{settings}");
        assert_eq!(got(&world, b, Name::HistoryInfo), history, "{settings}");
        world.finish();
    }
}

#[test]
fn a_hidden_caller_stays_hidden_and_a_foreign_one_is_shown_as_ours_where_that_is_wanted() {
    let hidden = || {
        vec![
            ("P-Asserted-Identity", "<sip:+4736000777@x>".to_owned()),
            ("Privacy", "id".to_owned()),
            ("X-Ref", "abc".to_owned()),
        ]
    };
    let copies = "headers = [{ when = \"in\", copy = \"X-Ref\" }]";
    let world = sent_on(two(copies, ""), hidden());
    assert_eq!(got(&world, 1, Name::From), "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    assert_eq!(got(&world, 1, Name::PAssertedIdentity), "<sip:+4736000777@198.51.100.10>");
    assert_eq!(got(&world, 1, Name::Privacy), "id");
    assert_eq!(got(&world, 1, Name::from("x-ref")), "abc");
    world.finish();
    let mut world = sent_on(two("", "privacy = \"withhold\""), hidden());
    assert_eq!(got(&world, 1, Name::PAssertedIdentity), "");
    assert_eq!(got(&world, 1, Name::Privacy), "id");
    world.order(Command::Calls);
    let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls were asked for") };
    assert_eq!(calls[0].from, "hidden");
    world.finish();
    let foreign = vec![("P-Asserted-Identity", "<sip:+46812345678@x>".to_owned())];
    let world = sent_on(two("", "forwarded_cli = \"caller-norwegian-only\""), foreign);
    assert_eq!(got(&world, 1, Name::From), "<sip:+4736000104@198.51.100.10>");
    world.finish();
}

#[test]
fn a_call_that_goes_round_in_circles_is_stopped() {
    let by = |number: &str| ("Diversion", format!("<sip:{number}@x>;reason=unconditional"));
    let others = |count: usize| (1..=count).map(|n| by(&format!("+473600020{n}"))).collect::<Vec<_>>();
    // Who sent it on before; the status at once, else whether the mobile rings.
    let rows = [
        (others(4), None, true),
        (others(5), None, false),
        (others(6), Some(480), false),
        (vec![by("+4736000104")], None, false),
        (vec![by("+4736000104"), by("+4736000104")], Some(482), false),
    ];
    for (row, (extra, status, rings)) in rows.into_iter().enumerate() {
        let (mut world, a, b, _) = world_of(214, two("", ""));
        let config = only_b();
        world.input(Input::Config(config));
        world.phones[a].extra = extra;
        let call = dial(&mut world, a, "+4736000104");
        world.run(S);
        assert_eq!(world.phones[b].live_lines() == 1, rings, "row {row}");
        assert_eq!(decided(&world, "call.loop"), usize::from(!rings), "row {row}");
        if let Some(status) = status {
            assert_eq!(world.phones[a].lines[&call].stage, Stage::Over(status), "row {row}");
        }
        world.finish();
    }
}

#[test]
fn announcements_before_the_answer_are_heard_or_not_as_the_trunk_says() {
    for (settings, heard) in [("", "183"), ("early_media = false", "180")] {
        let (mut world, a, _, ola) = world_of(215, two(settings, ""));
        world.phones[a].answer = Answer::Early;
        let call = dial(&mut world, ola, "36000777");
        world.run(S);
        assert_eq!(world.phones[ola].lines[&call].log, [heard.to_owned()], "{settings}");
        world.finish();
    }
}

#[test]
fn a_trunk_of_one_company_serves_no_other() {
    let (mut world, a, b, ola) = world_of(216, two("company = \"prove\"", ""));
    let mut config = two("company = \"prove\"", "").as_ref().clone();
    if let Some(trunk) = config.trunks.get_mut("a") {
        trunk.companies = vec!["another".into()];
    }
    world.input(Input::Config(Arc::new(config)));
    dial(&mut world, ola, "36000777");
    let inward = dial(&mut world, a, "+4736000110");
    world.run(S);
    assert_eq!(world.phones[b].live_lines(), 1);
    assert_eq!(world.phones[a].lines[&inward].stage, Stage::Over(404));
    world.finish();
}

/// Routes lead through `b` only.
fn only_b() -> Arc<Config> {
    let mut config = two("", "").as_ref().clone();
    config.routes.iter_mut().for_each(|route| route.via.retain(|equal| equal[0].as_str() == "b"));
    Arc::new(config)
}

/// Somebody calls Per through `a`, with these headers; Per's mobile rings through `b`.
fn sent_on(config: Arc<Config>, extra: Vec<(&'static str, String)>) -> World {
    let mut config = config.as_ref().clone();
    config.routes.iter_mut().for_each(|route| route.via.retain(|equal| equal[0].as_str() == "b"));
    let (mut world, a, b, _) = world_of(217, Arc::new(config));
    world.phones[a].extra = extra;
    dial(&mut world, a, "+4736000104");
    world.until("the mobile rings", S, |w| w.phones[b].live_lines() == 1);
    world
}
