//! Single calls: registration, menu, extension, carrier, refusal, hold, lost messages.

use std::time::Duration;

use sentral::media::Base;
use sentral::model::cdr::CallResult;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::MAIN;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);

#[test]
fn a_phone_registers_with_its_password_and_not_with_another() {
    let mut world = World::new(1);
    world.registered("kari");
    let thief = world.phone("ola");
    world.phones[thief].password = Some("wrong".into());
    world.phones[thief].register(world.now, 3600);
    world.run(S);
    assert_eq!(world.phones[thief].registered, Some(401));
    let stranger = world.phone("nobody");
    world.phones[stranger].register(world.now, 3600);
    world.run(S);
    assert_eq!(world.phones[stranger].registered, Some(401));
    world.finish();
}

#[test]
fn a_device_has_ten_bindings_at_most_and_the_oldest_make_room() {
    let mut world = World::new(18);
    let kari = world.registered("kari");
    for contact in 0..12 {
        world.phones[kari].register_as(world.now, 3600, format!("kari{contact}"));
        world.run(S);
        assert_eq!(world.phones[kari].registered, Some(200));
    }
    world.order(Command::Devices);
    let Some(Answered::Devices { devices }) = world.answers.pop() else { panic!("devices were asked for") };
    let kari = devices.iter().find(|device| device.device == "kari").unwrap();
    let contacts: Vec<&str> = kari.bindings.iter().map(|binding| binding.contact.as_str()).collect();
    assert_eq!(contacts.len(), 10);
    assert!(contacts[0].contains("kari2@") && contacts[9].contains("kari11@"), "{contacts:?}");
    world.finish();
}

#[test]
fn a_register_with_more_contacts_than_a_device_may_have_changes_nothing() {
    let mut world = World::new(19);
    let kari = world.registered("kari");
    world.phones[kari].register_many(world.now, 11);
    world.run(S);
    assert_eq!(world.phones[kari].registered, Some(403));
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert_eq!(status.bindings, 1);
    world.finish();
}

#[test]
fn who_calls_their_own_other_phone_is_busy_once() {
    let mut world = World::new(20);
    world.registered("kari");
    let other = world.registered("kari2");
    let call = world.phones[other].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[other].lines[&call].stage == Stage::Up);
    world.run(3 * S);
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert_eq!(status.agent_state_divergence, 0);
    world.finish();
}

#[test]
fn a_caller_hears_the_greeting_presses_a_key_waits_and_talks_with_the_agent() {
    let mut world = World::new(2);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::After(3 * S);
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("the call is answered", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    let audio = world.phones[carrier].lines[&call].audio;
    world.run(1500 * S / 1000);
    assert!(world.stream_to(audio).unwrap().1.played[0].contains("company/prove/welcome"));
    world.key(audio, '1');
    world.until("the agent rings", S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    assert!(matches!(world.stream_to(audio).unwrap().1.base, Base::Music(_)));
    world.until("they talk", 5 * S, |w| {
        w.phones[ola].line(&Stage::Up).is_some_and(|line| w.talk(audio, w.phones[ola].lines[&line].audio))
    });
    let line = world.phones[ola].line(&Stage::Up).unwrap();
    assert!(world.phones[ola].lines[&line].from.contains("Salg"), "{}", world.phones[ola].lines[&line].from);
    world.run(10 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(2 * S);
    let [cdr] = &world.cdrs[..] else { panic!("one record, not {:?}", world.cdrs) };
    assert_eq!(cdr.result, CallResult::Answered);
    assert_eq!(cdr.answered_by.as_ref().map(|user| user.as_str()), Some("ola"));
    assert_eq!((&*cdr.to, &*cdr.keys), (MAIN, "1"));
    assert!((9_000..12_000).contains(&cdr.talk_ms), "{}", cdr.talk_ms);
    assert!(cdr.wait_ms.is_some_and(|ms| (2_900..4_000).contains(&ms)), "{:?}", cdr.wait_ms);
    world.finish();
}

#[test]
fn outside_hours_a_message_is_left_in_the_shared_box() {
    let night = "2026-11-22T22:00:00Z".parse().unwrap();
    let mut world = World::at(3, night, config(COMPANY));
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.run(20 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let left = world.changes.iter().find_map(|change| match change {
        Change::MessageLeft { message } => Some(message.clone()),
        _ => None,
    });
    let message = left.expect("a message was left");
    assert_eq!(message.mailbox.mailbox.as_str(), "shared");
    assert!(message.length_ms > 5_000, "{}", message.length_ms);
    assert_eq!(world.cdrs[0].result, CallResult::Voicemail);
    world.finish();
}

#[test]
fn a_colleague_is_called_by_extension_on_all_devices_and_one_answers() {
    let mut world = World::new(4);
    let ola = world.registered("ola");
    let desk = world.registered("kari");
    let other = world.registered("kari2");
    world.phones[desk].answer = Answer::After(2 * S);
    world.phones[other].answer = Answer::Ring;
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    world.run(S);
    assert!(world.phones[ola].lines[&call].log.contains(&"180".to_owned()));
    let lost = world.phones[other].lines.values().next().expect("it rang");
    assert_eq!(lost.stage, Stage::Over(487));
    assert!(lost.log.iter().any(|log| log.contains("cause=200")), "answered elsewhere: {:?}", lost.log);
    let line = world.phones[desk].line(&Stage::Up).unwrap();
    world.phones[desk].hang_up(world.now, line);
    world.run(S);
    assert_eq!(world.phones[ola].lines[&call].stage, Stage::Over(0));
    world.finish();
}

#[test]
fn a_call_goes_out_through_the_carrier_with_the_companys_number() {
    let mut world = World::new(5);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    let call = world.phones[ola].call(world.now, "36000777", false);
    world.until("it is answered", 3 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    let line = world.phones[carrier].line(&Stage::Up).unwrap();
    assert!(world.phones[carrier].lines[&line].from.contains("+4736000100"));
    world.phones[carrier].hang_up(world.now, line);
    world.run(S);
    assert_eq!(world.cdrs[0].trunk.as_ref().map(|trunk| trunk.as_str()), Some("carrier"));
    world.finish();
}

#[test]
fn what_the_carrier_refuses_the_caller_is_told() {
    let mut world = World::new(6);
    let carrier = world.carrier();
    world.phones[carrier].answer = Answer::Refuse(486);
    let ola = world.registered("ola");
    let call = world.phones[ola].call(world.now, "36000777", false);
    world.run(S);
    assert_eq!(world.phones[ola].lines[&call].stage, Stage::Over(486));
    assert_eq!(world.cdrs[0].result, CallResult::Busy);
    world.finish();
}

#[test]
fn an_unknown_number_is_refused_and_a_trunk_reaches_no_extension() {
    let mut world = World::new(7);
    let carrier = world.carrier();
    for number in ["+4736000999", "101", "*40"] {
        let call = world.phones[carrier].call(world.now, number, false);
        world.run(S);
        assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Over(404), "{number}");
    }
    world.finish();
}

#[test]
fn a_late_offer_is_answered_and_bridged() {
    let mut world = World::new(8);
    let carrier = world.carrier();
    world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", true);
    world.until("it is answered", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    world.run(S);
    let kari = 1;
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    let (a, b) = (world.phones[carrier].lines[&call].audio, world.phones[kari].lines[&line].audio);
    assert!(world.talk(a, b));
    world.finish();
}

#[test]
fn who_is_put_on_hold_hears_music_and_then_the_other_again() {
    let mut world = World::new(9);
    let ola = world.registered("ola");
    let kari = world.registered("kari");
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    world.run(S);
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    let (a, b) = (world.phones[ola].lines[&call].audio, world.phones[kari].lines[&line].audio);
    world.phones[kari].hold(world.now, line, true);
    world.run(S);
    assert!(matches!(world.stream_to(a).unwrap().1.base, Base::Music(_)));
    assert!(world.phones[kari].lines[&line].log.contains(&"a=recvonly".to_owned()));
    world.phones[kari].hold(world.now, line, false);
    world.run(S);
    assert!(world.talk(a, b));
    world.finish();
}

#[test]
fn no_answer_is_forwarded_to_the_voicemail_box() {
    let mut world = World::new(10);
    let ola = world.registered("ola");
    let sara = world.registered("sara");
    world.phones[sara].answer = Answer::Ring;
    let call = world.phones[ola].call(world.now, "103", false);
    world.run(15 * S);
    assert_eq!(world.phones[ola].lines[&call].stage, Stage::Calling);
    world.until("voicemail answers", 10 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    assert_eq!(world.phones[sara].live_lines(), 0);
    world.finish();
}

#[test]
fn a_mobile_must_press_one_before_it_is_connected() {
    let mut world = World::new(11);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    let call = world.phones[ola].call(world.now, "104", false);
    world.until("the mobile answers", 5 * S, |w| w.phones[carrier].line(&Stage::Up).is_some());
    world.run(2 * S);
    assert_eq!(world.phones[ola].lines[&call].stage, Stage::Calling, "not connected yet");
    let line = world.phones[carrier].line(&Stage::Up).unwrap();
    let audio = world.phones[carrier].lines[&line].audio;
    world.key(audio, '1');
    world.until("they talk", S, |w| w.talk(audio, w.phones[ola].lines[&call].audio));
    world.finish();
}

#[test]
fn a_caller_who_cancels_leaves_nothing_that_rings() {
    let mut world = World::new(12);
    let ola = world.registered("ola");
    let kari = world.registered("kari");
    world.phones[kari].answer = Answer::Ring;
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("it rings", S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    world.phones[ola].cancel(world.now, call);
    world.run(S);
    assert_eq!(world.phones[ola].lines[&call].stage, Stage::Over(487));
    assert_eq!(world.phones[kari].live_lines(), 0);
    assert_eq!(world.cdrs[0].result, CallResult::Abandoned);
    world.finish();
}

#[test]
fn a_call_that_is_never_acknowledged_ends_and_gives_its_port_back() {
    let mut world = World::new(13);
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.weather.delay = Duration::from_millis(100);
    while world.streams.is_empty() {
        world.run(Duration::from_millis(1));
    }
    // The 200 is on its way; from here on nothing arrives, no ACK comes.
    world.weather.loss = 100;
    world.run(100 * S);
    assert_eq!(world.cdrs.len(), 1, "{}", world.switch.leftovers());
    world.weather.loss = 0;
    world.phones[carrier].end(world.now, call);
    world.finish();
}

#[test]
fn a_phone_is_still_registered_after_a_restart() {
    let mut world = World::new(14);
    let ola = world.registered("ola");
    world.registered("kari");
    world.restart(config(COMPANY));
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    world.finish();
}

#[test]
fn a_reload_changes_the_next_call_and_drops_none() {
    let mut world = World::new(15);
    let carrier = world.carrier();
    world.registered("kari");
    let first = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("they talk", 5 * S, |w| w.phones[carrier].lines[&first].stage == Stage::Up);
    let without = COMPANY.replace("number = \"+4736000101\"\n", "");
    world.input(sentral::switch::Input::Config(config(&without)));
    let second = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(S);
    assert_eq!(world.phones[carrier].lines[&second].stage, Stage::Over(404));
    assert_eq!(world.phones[carrier].lines[&first].stage, Stage::Up);
    world.finish();
}

#[test]
fn a_message_lights_the_lamp_and_is_heard_by_phone() {
    let mut world = World::new(16);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    world.phones[kari].subscribe(world.now);
    world.run(S);
    assert!(world.phones[kari].notified.last().is_some_and(|body| body.contains("Messages-Waiting: no")));
    let call = world.phones[carrier].call(world.now, "+4736000190", false);
    world.run(15 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert!(world.phones[kari].notified.last().is_some_and(|body| body.contains("Voice-Message: 1/0")));
    let listen = world.phones[kari].call(world.now, "*99690", false);
    world.until("the box answers", S, |w| w.phones[kari].lines[&listen].stage == Stage::Up);
    let audio = world.phones[kari].lines[&listen].audio;
    world.until("the message is played", 30 * S, |w| {
        w.stream_to(audio)
            .is_some_and(|(_, stream)| stream.played.iter().any(|item| item.contains("voicemail/")))
    });
    world.run(8 * S);
    // 3 deletes it.
    world.key(audio, '3');
    world.run(2 * S);
    assert!(world.changes.iter().any(|change| matches!(change, Change::MessageDeleted { .. })));
    assert!(world.phones[kari].notified.last().is_some_and(|body| body.contains("Messages-Waiting: no")));
    world.finish();
}

#[test]
fn an_agent_shown_the_queue_name_sees_the_caller_too_and_a_hidden_number_stays_hidden() {
    let mut world = World::new(17);
    let carrier = world.carrier();
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    world.phones[carrier].name = "anonymous".into();
    world.phones[carrier].call(world.now, "+4736000110", false);
    world.until("the agent rings", 2 * S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    let line = world.phones[ola].line(&Stage::Ringing).unwrap();
    let from = &world.phones[ola].lines[&line].from;
    assert!(from.contains("Skjult nummer") && from.contains("anonymous.invalid"), "{from}");
    world.finish();
}
