//! Logging in at a shared phone.

use std::time::Duration;

use sentral::sip::DialogId;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

const DESK: &str = "
[sites.lager]
number = \"+4736000109\"
[users.floor]
name = \"Lageret\"
ext = \"150\"
";

fn company() -> String {
    let text = COMPANY.replace(
        "[devices]\n",
        "[devices]\ndesk = { user = \"floor\", password = \"desk-secret\", hot_desk = true, site = \"lager\" }\n",
    );
    let text = text.replace("[users.ola]\n", "[users.ola]\npin = \"2580\"\n");
    text.replace("[company]\n", "[company]\nhot_desk_until = \"18:00\"\n") + DESK
}

/// Dials a code and keys in digits; tells what was heard.
fn dial(world: &mut World, phone: usize, number: &str, keys: &str) -> String {
    let line: DialogId = world.phones[phone].call(world.now, number, false);
    world.run(S / 2);
    let audio = world.phones[phone].lines[&line].audio;
    for key in keys.chars() {
        world.key(audio, key);
        world.run(S / 10);
    }
    world.run(S / 2);
    let said = world.stream_to(audio).map(|(_, stream)| stream.played.join(" ")).unwrap_or_default();
    world.phones[phone].end(world.now, line);
    world.run(S);
    said
}

fn rings(world: &mut World, phones: &[usize], number: &str) -> Vec<bool> {
    let carrier = world.phones.iter().position(|phone| phone.name.starts_with('+')).unwrap();
    let call = world.phones[carrier].call(world.now, number, false);
    world.run(S / 2);
    let rings = phones.iter().map(|phone| world.phones[*phone].line(&Stage::Ringing).is_some()).collect();
    world.phones[carrier].end(world.now, call);
    world.run(S);
    rings
}

#[test]
fn a_user_logs_in_at_a_shared_phone_which_is_theirs_until_they_log_out() {
    let mut world = World::at(111, noon(), config(&company()));
    world.carrier();
    let (ola, desk, kari) = (world.registered("ola"), world.registered("desk"), world.registered("kari"));
    assert_eq!(calls_from(&mut world, kari, desk), "150", "the phone's own user");
    assert!(dial(&mut world, kari, "*70102", "").contains("people/no-shared-phone"));
    assert!(dial(&mut world, desk, "*70101", "").contains("people/no-pin"));
    assert!(dial(&mut world, desk, "*70", "").contains("people/nobody-here"));
    assert!(dial(&mut world, desk, "*70102", "1111#").contains("vm/wrong-pin"));
    assert!(dial(&mut world, desk, "*70102", "2580#").contains("people/desk-in"));
    assert_eq!(calls_from(&mut world, kari, desk), "102", "it shows who is logged in");
    let call = world.phones[kari].call(world.now, "102", false);
    world.run(S / 2);
    assert!(world.phones[desk].line(&Stage::Ringing).is_some(), "it rings for Ola");
    assert!(world.phones[ola].line(&Stage::Ringing).is_some(), "as his own phone does");
    world.phones[kari].end(world.now, call);
    world.run(S);
    // After a restart and a reload it is as before.
    world.restart(config(&company()));
    world.phones.iter_mut().for_each(|phone| phone.lines.clear());
    world.input(sentral::switch::Input::Config(config(&company())));
    assert_eq!(calls_from(&mut world, kari, desk), "102");
    assert!(dial(&mut world, desk, "*70", "").contains("people/desk-out"));
    assert_eq!(calls_from(&mut world, kari, desk), "150");
    world.finish();
}

/// The number that `to` sees when `from` calls it.
fn calls_from(world: &mut World, to: usize, from: usize) -> String {
    let call = world.phones[from].call(world.now, "101", false);
    world.run(S / 2);
    let ringing = world.phones[to].line(&Stage::Ringing).expect("it rings");
    let shown = world.phones[to].lines[&ringing].from.clone();
    world.phones[from].end(world.now, call);
    world.run(S);
    let number = shown.split("sip:").nth(1).unwrap_or_default();
    number.split('@').next().unwrap_or_default().to_owned()
}

#[test]
fn a_shared_phone_is_given_back_in_the_evening_and_shows_its_place_in_an_emergency() {
    let mut world = World::at(112, noon(), config(&company()));
    let carrier = world.carrier();
    let desk = world.registered("desk");
    let kari = world.registered("kari");
    dial(&mut world, desk, "*70102", "2580#");
    let call = world.phones[desk].call(world.now, "112", false);
    world.run(S / 2);
    let rung =
        world.phones[carrier].line(&Stage::Ringing).or(world.phones[carrier].line(&Stage::Up)).unwrap();
    let from = world.phones[carrier].lines[&rung].from.clone();
    assert!(from.contains("36000109"), "{from}");
    world.phones[desk].end(world.now, call);
    world.run(S);
    for phone in [desk, kari] {
        world.phones[phone].register(world.now, 100_000);
    }
    world.run(7 * 3600 * S);
    for phone in [desk, kari] {
        world.phones[phone].register(world.now, 3600);
    }
    world.run(S);
    assert_eq!(calls_from(&mut world, kari, desk), "150");
    world.finish();
}

#[test]
fn wrong_pins_lock_the_user_for_a_while() {
    let mut world = World::at(113, noon(), config(&company()));
    let desk = world.registered("desk");
    for _ in 0..2 {
        dial(&mut world, desk, "*70102", "1111#2222#3333#");
    }
    assert!(dial(&mut world, desk, "*70102", "2580#").contains("people/locked"));
    world.restart(config(&company()));
    world.phones[desk].register(world.now, 3600);
    world.run(S);
    assert!(dial(&mut world, desk, "*70102", "2580#").contains("people/locked"), "a restart opens no lock");
    world.run(16 * 60 * S);
    assert!(dial(&mut world, desk, "*70102", "2580#").contains("people/desk-in"));
    world.finish();
}

#[test]
fn a_same_named_colleague_elsewhere_is_not_busy_when_a_visitor_calls() {
    let other = "
[company]
name = \"Annen AS\"
[numbers]
\"+4736000210\" = \"queue:help\"
[users.kari]
name = \"Kari to\"
ext = \"201\"
number = \"+4736000201\"
[users.nina]
name = \"Nina\"
ext = \"202\"
number = \"+4736000202\"
[devices]
karito = { user = \"kari\", password = \"karito-secret\" }
nina = { user = \"nina\", password = \"nina-secret\" }
[queues.help]
name = \"Hjelp\"
agents = [\"kari\"]
auto_login = true
overflow = \"user:nina\"
";
    let config = config_with(&[("companies/annen.toml", other)]);
    let mut world = World::at(114, noon(), config);
    world.carrier();
    let kari = world.registered("kari");
    let (nina, karito) = (world.registered("nina"), world.registered("karito"));
    let call = world.phones[kari].call(world.now, "36000202", false);
    world.until("they talk", 5 * S, |w| w.phones[nina].line(&Stage::Up).is_some());
    let line = world.phones[nina].line(&Stage::Up).unwrap();
    let from = world.phones[nina].lines[&line].from.clone();
    assert!(from.contains("+4736000101"), "a colleague of another company shows a public number: {from}");
    assert_eq!(rings(&mut world, &[karito], "+4736000210"), [true], "her name's sister is free");
    world.phones[kari].hang_up(world.now, call);
    world.finish();
}
