//! Voicemail and what a team has to see to, in whole calls: greetings, PINs, mails, messages taken and done, callers of
//! queues whom nobody has answered.

use std::time::Duration;

use sentral::model::command;
use sentral::model::command::Command;
use sentral::model::command::InboxOrder;
use sentral::model::command::MissedOrder;
use sentral::model::mailbox::Message;
use sentral::model::mailbox::Progress;
use sentral::model::missed::Missed;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const KARI: &str = "+4736000101";
const SALES: &str = "+4736000110";
const SHARED: &str = "+4736000190";
const CALLER: &str = "+4736000777";

fn with_box() -> String {
    COMPANY
        .replace("number = \"+4736000101\"\n", "number = \"+4736000101\"\nvoicemail = true\nring = \"10s\"\n")
}

/// Kari, who has a box, Ola, and a carrier.
fn office(seed: u64) -> (World, usize, usize, usize) {
    let mut world = World::at(seed, noon(), config(&with_box()));
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    world.phones[kari].answer = Answer::Ring;
    world.phones[ola].answer = Answer::Ring;
    (world, carrier, kari, ola)
}

/// Dials a code and presses keys, with time for a prompt before each; gives all that was played.
fn keys(world: &mut World, phone: usize, code: &str, keys: &str) -> Vec<String> {
    let line = world.phones[phone].call(world.now, code, false);
    world.run(S / 2);
    let audio = world.phones[phone].lines[&line].audio;
    let played_to = |world: &World| world.stream_to(audio).map(|(_, stream)| stream.played.clone());
    let mut played = played_to(world).unwrap_or_default();
    // A PIN is waited for at once, keys of the menu when it is told how many messages there are.
    world.run(if code == "*99" { 8 * S } else { 2 * S });
    for key in keys.chars() {
        let Some(so_far) = played_to(world) else { break };
        played = so_far;
        world.key(audio, key);
        world.run(if key.is_ascii_digit() && keys.len() > 6 { 3 * S } else { 4 * S });
    }
    played = played_to(world).unwrap_or(played);
    world.phones[phone].end(world.now, line);
    world.run(S);
    played
        .iter()
        .map(|item| item.replace("Clip(\"nb/", "").replace("Clip(\"", "").replace("\")", ""))
        .collect()
}

/// Calls a number from outside for a while, then hangs up; gives what was played.
fn call_in(world: &mut World, carrier: usize, number: &str, long: Duration) -> Vec<String> {
    let call = world.phones[carrier].call(world.now, number, false);
    world.run(long);
    let audio = world.phones[carrier].lines[&call].audio;
    let played = world.stream_to(audio).map(|(_, stream)| stream.played.clone()).unwrap_or_default();
    world.phones[carrier].end(world.now, call);
    world.run(2 * S);
    played
}

fn inbox(world: &mut World, order: InboxOrder) -> command::Answer {
    world.order(Command::Inbox { company: "prove".into(), mailbox: "shared".into(), order });
    world.answers.pop().expect("an answer")
}

fn messages(world: &mut World) -> Vec<Message> {
    match inbox(world, InboxOrder::List) {
        command::Answer::Messages { messages } => messages,
        other => panic!("{other:?}"),
    }
}

fn missed(world: &mut World) -> Vec<Missed> {
    world.order(Command::Missed { company: "prove".into(), order: MissedOrder::List });
    match world.answers.pop() {
        Some(command::Answer::Missed { missed }) => missed,
        other => panic!("{other:?}"),
    }
}

fn handle(by: &str, id: &str, progress: Option<Progress>) -> InboxOrder {
    InboxOrder::Handle { id: id.into(), by: by.into(), progress, note: Some("haster".into()) }
}

#[test]
fn a_greeting_is_recorded_by_telephone_and_chosen_by_why_the_call_came() {
    let (mut world, carrier, kari, _) = office(1);
    // Settings, greeting for no answer: spoken, ended, heard, kept.
    let played = keys(&mut world, kari, "*99", "01#12");
    assert!(played.contains(&"vm/record-greeting".to_owned()), "{played:?}");
    assert_eq!(played.last().map(String::as_str), Some("vm/settings"), "{played:?}");
    let first = played.iter().find(|item| item.starts_with("voicemail/")).expect("it is heard").clone();
    // The greeting for being away is another.
    let played = keys(&mut world, kari, "*99", "03#2");
    assert!(played.contains(&"vm/greeting-saved".to_owned()), "{played:?}");
    let heard = call_in(&mut world, carrier, KARI, 15 * S);
    assert!(heard.iter().any(|item| item.contains(&first)), "{heard:?}");
    world.phones[kari].call(world.now, "*26%23", false);
    world.run(5 * S);
    let heard = call_in(&mut world, carrier, KARI, 5 * S);
    let other = heard.iter().any(|item| item.contains("voicemail/") && !item.contains(&first));
    assert!(other, "{heard:?}");
    // All of it survives a restart.
    world.restart(config(&with_box()));
    let again = call_in(&mut world, carrier, KARI, 5 * S);
    assert_eq!(again, heard);
    world.finish();
}

#[test]
fn a_greeting_that_is_not_kept_changes_nothing() {
    let (mut world, carrier, kari, _) = office(2);
    for pressed in ["01", "01#", "01#*", "01#3"] {
        keys(&mut world, kari, "*99", pressed);
        let heard = call_in(&mut world, carrier, KARI, 15 * S);
        assert!(heard.iter().any(|item| item.contains("vm/greet-default")), "{pressed}: {heard:?}");
    }
    world.finish();
}

#[test]
fn a_pin_is_changed_by_telephone_and_wrong_ones_lock_the_box() {
    let (mut world, _, kari, ola) = office(3);
    let played = keys(&mut world, kari, "*99", "05123#");
    assert!(played.contains(&"vm/pin-refused".to_owned()), "too short: {played:?}");
    let played = keys(&mut world, kari, "*99", "051234#");
    assert!(played.contains(&"vm/pin-refused".to_owned()), "easy to guess: {played:?}");
    let played = keys(&mut world, kari, "*99", "054821#4822#");
    assert!(played.contains(&"vm/pin-differs".to_owned()), "{played:?}");
    let played = keys(&mut world, kari, "*99", "054821#4821#");
    assert!(played.contains(&"vm/pin-saved".to_owned()), "{played:?}");
    let right = keys(&mut world, ola, "*99101", "4821#");
    assert!(right.contains(&"vm/none".to_owned()), "{right:?}");
    // Three wrong ones end a call, five lock the box; her own phone needs none.
    keys(&mut world, ola, "*99101", "1111#2222#3333#");
    keys(&mut world, ola, "*99101", "1111#2222#");
    let locked = keys(&mut world, ola, "*99101", "");
    assert_eq!(locked, ["vm/locked"]);
    assert!(!keys(&mut world, kari, "*99", "").contains(&"vm/locked".to_owned()));
    world.run(60 * S);
    let right = keys(&mut world, ola, "*99101", "4821#");
    assert!(right.contains(&"vm/none".to_owned()), "{right:?}");
    world.finish();
}

#[test]
fn a_message_is_sent_on_to_a_colleague_and_its_sender_called_back() {
    let (mut world, carrier, kari, _) = office(4);
    call_in(&mut world, carrier, KARI, 20 * S);
    let played = keys(&mut world, kari, "*99", "5690#");
    assert!(played.contains(&"vm/sent-on".to_owned()), "{played:?}");
    assert_eq!(messages(&mut world).len(), 1, "it is in the shared box, too");
    let played = keys(&mut world, kari, "*99", "5999#");
    assert!(played.contains(&"vm/no-such-box".to_owned()), "{played:?}");
    let line = world.phones[kari].call(world.now, "*99", false);
    world.run(10 * S);
    let audio = world.phones[kari].lines[&line].audio;
    world.key(audio, '4');
    world.run(5 * S);
    let invites = world.phones[carrier].lines.values().filter_map(|line| line.invite.as_ref());
    let numbers: Vec<_> = invites.filter_map(|invite| invite.uri.user().map(str::to_owned)).collect();
    assert_eq!(numbers, [CALLER]);
    world.phones[kari].end(world.now, line);
    world.finish();
}

#[test]
fn a_message_that_somebody_has_taken_is_no_longer_new_for_anybody() {
    let (mut world, carrier, kari, _) = office(5);
    world.phones[kari].subscribe(world.now);
    call_in(&mut world, carrier, SHARED, 15 * S);
    world.run(10 * S);
    let lamp = |world: &World| world.phones[kari].notified.last().unwrap().clone();
    assert!(lamp(&world).contains("Messages-Waiting: yes"), "{}", lamp(&world));
    let list = messages(&mut world);
    let id = list[0].id.to_string();
    assert_eq!(inbox(&mut world, handle("kari", &id, Some(Progress::Taken))), command::Answer::Done);
    world.run(10 * S);
    assert!(lamp(&world).contains("Messages-Waiting: no"), "{}", lamp(&world));
    let taken = messages(&mut world)[0].handling.clone().expect("taken");
    assert_eq!((taken.by.as_str(), taken.note.as_deref()), ("kari", Some("haster")));
    // Not by two.
    let refused = inbox(&mut world, handle("ola", &id, Some(Progress::Taken)));
    assert!(
        matches!(&refused, command::Answer::Refused { why, .. } if why.contains("kari has taken")),
        "{refused:?}"
    );
    let nobody = inbox(&mut world, handle("nobody", &id, Some(Progress::Done)));
    assert!(matches!(nobody, command::Answer::Refused { not_found: true, .. }));
    // Put back, it is new again; done, it is not.
    inbox(&mut world, handle("kari", &id, None));
    world.run(10 * S);
    assert!(lamp(&world).contains("Messages-Waiting: yes"));
    inbox(&mut world, handle("ola", &id, Some(Progress::Done)));
    world.restart(config(&with_box()));
    assert_eq!(
        messages(&mut world)[0].handling.as_ref().map(|handling| handling.progress),
        Some(Progress::Done)
    );
    assert_eq!(inbox(&mut world, InboxOrder::Delete { id: id.as_str().into() }), command::Answer::Done);
    assert!(messages(&mut world).is_empty());
    world.finish();
}

#[test]
fn a_message_is_mailed_in_the_language_of_its_owner() {
    let mail = "+\n[mail]\nserver = \"127.0.0.1\"\ntls = \"off\"\nfrom = \"telefon@prove.example\"\n";
    let company = with_box()
        .replace("ring = \"10s\"\n", "ring = \"10s\"\nemail = \"kari@prove.example\"\nlanguage = \"en\"\n")
        .replace(
            "name = \"Felles\"\n",
            "name = \"Felles\"\nemail = \"alle@prove.example\"\nemail_audio = false\n",
        );
    let config = config_with(&[("companies/prove.toml", &company), ("server.toml", mail)]);
    let mut world = World::at(6, noon(), config);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    world.phones[kari].answer = Answer::Ring;
    call_in(&mut world, carrier, KARI, 25 * S);
    call_in(&mut world, carrier, SHARED, 15 * S);
    let [own, shared] = world.letters.as_slice() else { panic!("{:?}", world.letters) };
    assert_eq!((&*own.to, &*own.subject), ("kari@prove.example", "Voice message from 36 00 07 77 to Kari"));
    assert!(own.text.contains("Received: 23.11.2026 at 12:") && own.audio.is_some(), "{own:?}");
    assert_eq!(
        (&*shared.to, &*shared.subject),
        ("alle@prove.example", "Talebeskjed fra 36 00 07 77 til Felles")
    );
    assert!(shared.text.contains("Mottatt: 23.11.2026 kl. 12:") && shared.audio.is_none(), "{shared:?}");
    world.finish();
}

#[test]
fn a_caller_whom_nobody_answered_is_on_the_list_until_somebody_reaches_them() {
    let (mut world, carrier, kari, ola) = office(7);
    // Too short to be a miss.
    call_in(&mut world, carrier, SALES, 3 * S);
    assert!(missed(&mut world).is_empty());
    call_in(&mut world, carrier, SALES, 8 * S);
    call_in(&mut world, carrier, SALES, 8 * S);
    let hidden = world.phones[carrier].call_with(world.now, SALES, false, vec![("Privacy", "id".into())]);
    world.run(8 * S);
    world.phones[carrier].end(world.now, hidden);
    world.run(S);
    let list = missed(&mut world);
    let told: Vec<_> =
        list.iter().map(|item| (&*item.id, item.count, &*item.why, item.number.is_some())).collect();
    assert_eq!(told, [("hidden", 1, "abandoned", false), (CALLER, 2, "abandoned", true)]);
    world.restart(config(&with_box()));
    assert_eq!(missed(&mut world), list, "it survives a restart");
    let order = |order| Command::Missed { company: "prove".into(), order };
    world.order(order(MissedOrder::Take { id: "36000777".into(), by: "ola".into(), note: None }));
    assert_eq!(world.answers.pop(), Some(command::Answer::Done));
    assert_eq!(missed(&mut world)[1].taken.as_ref().map(|by| by.as_str()), Some("ola"));
    // Rung in vain is not reached.
    world.phones[carrier].answer = Answer::Ring;
    let out = world.phones[ola].call(world.now, "36000777", false);
    world.run(5 * S);
    world.phones[ola].end(world.now, out);
    world.run(S);
    assert_eq!(missed(&mut world).len(), 2);
    world.phones[carrier].answer = Answer::After(S);
    let out = world.phones[ola].call(world.now, "36000777", false);
    world.run(5 * S);
    assert_eq!(world.phones[ola].lines[&out].stage, Stage::Up);
    world.phones[ola].end(world.now, out);
    world.run(S);
    assert_eq!(missed(&mut world).iter().map(|item| &*item.id).collect::<Vec<_>>(), ["hidden"]);
    world.order(order(MissedOrder::Done { id: "hidden".into(), by: "ola".into() }));
    assert!(missed(&mut world).is_empty());
    // Whoever comes back and is answered needs no call.
    call_in(&mut world, carrier, SALES, 8 * S);
    assert_eq!(missed(&mut world).len(), 1);
    world.phones[kari].answer = Answer::After(S);
    world.phones[ola].answer = Answer::After(S);
    let back = world.phones[carrier].call(world.now, SALES, false);
    world.until("the caller is answered", 60 * S, |w| w.phones[carrier].lines[&back].stage == Stage::Up);
    world.run(20 * S);
    assert!(missed(&mut world).is_empty());
    world.phones[carrier].end(world.now, back);
    world.finish();
}

#[test]
fn an_item_nobody_sees_to_goes_after_two_weeks() {
    let (mut world, carrier, ..) = office(8);
    call_in(&mut world, carrier, SALES, 8 * S);
    let day = Duration::from_secs(24 * 3600);
    world.now.utc += 13 * day;
    world.run(3_700 * S);
    assert_eq!(missed(&mut world).len(), 1);
    world.now.utc += day;
    world.run(3_700 * S);
    assert!(missed(&mut world).is_empty());
    world.finish();
}
