//! Lamps, presence, publications, pager messages: what phones subscribe to and what they are told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentral::model::Config;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::id::LineId;
use sentral::sip::Body;
use sentral::sip::Extra;
use sentral::sip::Method;
use sentral::sip::Request;
use sentral::sip::Response;
use sentral::sip::message::Name;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(100);
const SALES: &str = "+4736000110";

/// A toggle.
const MORE: &str = "+
[toggles.night]
name = \"Natt\"
ext = \"580\"
";

/// Another company in the same SIP domain.
const OTHER: &str = "
[company]
name = \"Annen AS\"
[users.nina]
name = \"Nina\"
ext = \"201\"
number = \"+4736000201\"
[devices]
nina = { user = \"nina\", password = \"nina-secret\" }
";

#[test]
fn a_lamp_follows_a_call_through_ringing_answer_and_end() {
    let mut world = World::new(1);
    let kari = world.phone("kari");
    let ola = world.registered("ola");
    let sara = world.registered("sara");
    world.phones[ola].answer = Answer::After(3 * S);
    let founded = subscribe(&mut world, kari, "dialog", "102");
    assert_eq!(founded.headers.get(&Name::Expires).as_deref(), Some("3600"));
    let first = last(&world, kari);
    assert_eq!(first.headers.get(&Name::Event).as_deref(), Some("dialog"));
    assert_eq!(first.headers.get(&Name::SubscriptionState).as_deref(), Some("active;expires=3600"));
    assert_eq!(first.content_type().as_deref(), Some("application/dialog-info+xml"));
    assert!(body(&first).contains("version=\"0\" state=\"full\" entity=\"sip:102@prove.example\""));
    assert!(!body(&first).contains("<dialog "), "{}", body(&first));

    let call = world.phones[sara].call(world.now, "102", false);
    world.until("the lamp blinks", 2 * S, |w| state(w, kari) == "early");
    let early = body(&last(&world, kari));
    for part in ["direction=\"recipient\"", "local-tag=\"", "remote-tag=\"", "display=\"Sara\">sip:103@"] {
        assert!(early.contains(part), "{part} in {early}");
    }
    world.until("the lamp is lit", 5 * S, |w| state(w, kari) == "confirmed");
    // What the phone itself calls the dialog is what a watcher needs to pick the call up.
    let line = world.phones[ola].line(&Stage::Up).unwrap();
    let call_id = world.phones[ola].endpoint.call_id(line).unwrap().to_owned();
    let (own, theirs) = world.phones[ola].endpoint.dialog_tags(line).unwrap();
    let names = format!("call-id=\"{call_id}\" local-tag=\"{own}\" remote-tag=\"{theirs}\"");
    assert!(body(&last(&world, kari)).contains(&names), "{}", body(&last(&world, kari)));

    world.run(S);
    world.phones[sara].hang_up(world.now, call);
    world.until("the lamp is out", S, |w| state(w, kari) == "terminated");
    let versions: Vec<String> =
        (0..world.phones[kari].notified.len()).map(|n| format!("version=\"{n}\"")).collect();
    let told = &world.phones[kari].notified;
    assert!(told.iter().zip(&versions).all(|(text, version)| text.contains(version)), "{told:#?}");
    assert!(told.len() <= 5, "{} documents", told.len());
    world.finish();
}

#[test]
fn the_lamp_of_a_caller_says_whom_they_called_and_a_call_that_was_up_is_seen() {
    let mut world = World::new(2);
    let kari = world.phone("kari");
    world.registered("ola");
    let sara = world.registered("sara");
    world.phones[sara].call(world.now, "102", false);
    world.run(3 * S);
    subscribe(&mut world, kari, "dialog", "sara");
    let seen = body(&last(&world, kari));
    assert_eq!(state(&world, kari), "confirmed");
    assert!(seen.contains("direction=\"initiator\""), "{seen}");
    assert!(seen.contains("<remote><identity display=\"Ola\">sip:102@prove.example"), "{seen}");
    world.finish();
}

#[test]
fn a_ringing_call_is_picked_up_with_what_the_lamp_says() {
    let mut world = World::new(23);
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let sara = world.registered("sara");
    world.phones[ola].answer = Answer::Ring;
    subscribe(&mut world, kari, "dialog", "102");
    let call = world.phones[sara].call(world.now, "102", false);
    world.until("the lamp blinks", 2 * S, |w| state(w, kari) == "early");
    let text = body(&last(&world, kari));
    let of = |name: &str| {
        let rest = text.split(&format!(" {name}=\"")).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    // RFC 4235 §4.1.1, RFC 3891 §3: the tags are those of the watched phone, which would get the INVITE.
    let replaces = format!("{};to-tag={};from-tag={}", of("call-id"), of("local-tag"), of("remote-tag"));
    let picked = world.phones[kari].call_with(world.now, "102", false, vec![("Replaces", replaces)]);
    world.until("they talk", 2 * S, |w| {
        w.talk(w.phones[kari].lines[&picked].audio, w.phones[sara].lines[&call].audio)
    });
    world.run(S);
    assert_eq!(world.phones[ola].live_lines(), 0);
    assert_eq!(state(&world, kari), "terminated");
    world.finish();
}

#[test]
fn a_hidden_caller_is_hidden_to_watchers_too() {
    let mut world = World::new(3);
    let kari = world.phone("kari");
    let ola = world.registered("ola");
    let sara = world.registered("sara");
    world.phones[ola].answer = Answer::Ring;
    subscribe(&mut world, kari, "dialog", "102");
    world.phones[sara].call(world.now, "*31*102", false);
    world.until("the lamp blinks", 2 * S, |w| state(w, kari) == "early");
    let seen = body(&last(&world, kari));
    assert!(seen.contains("anonymous.invalid") && !seen.contains("103") && !seen.contains("Sara"), "{seen}");
    world.finish();
}

#[test]
fn the_lamp_of_a_queue_blinks_while_an_agent_rings_and_burns_while_somebody_waits() {
    let mut world = World::new(4);
    let carrier = world.carrier();
    let kari = world.phone("kari");
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Ring;
    subscribe(&mut world, kari, "dialog", "601");
    assert_eq!(state(&world, kari), "terminated");
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("an agent rings", 2 * S, |w| state(w, kari) == "early");
    let line = world.phones[ola].line(&Stage::Ringing).unwrap();
    world.phones[ola].answer = Answer::Refuse(603);
    world.phones[ola].end(world.now, line);
    world.until("the caller waits", 2 * S, |w| state(w, kari) == "confirmed");
    world.phones[carrier].hang_up(world.now, call);
    world.until("nobody waits", 2 * S, |w| state(w, kari) == "terminated");
    world.finish();
}

#[test]
fn the_lamp_of_a_toggle_burns_until_it_goes_off_by_itself() {
    let mut world = World::at(5, noon(), config_with(&[("companies/prove.toml", MORE)]));
    let kari = world.phone("kari");
    let ola = world.phone("ola");
    subscribe(&mut world, kari, "dialog", "580");
    subscribe(&mut world, ola, "dialog", "*50580");
    assert_eq!((state(&world, kari), state(&world, ola)), ("terminated".into(), "terminated".into()));
    let until = Some(world.now.utc + Duration::from_secs(1800));
    let toggle = |on, until| Command::Toggle { company: "prove".into(), toggle: "night".into(), on, until };
    world.order(toggle(true, until));
    world.run(S);
    assert_eq!((state(&world, kari), state(&world, ola)), ("confirmed".into(), "confirmed".into()));
    world.run(Duration::from_secs(1801));
    assert_eq!((state(&world, kari), state(&world, ola)), ("terminated".into(), "terminated".into()));
    world.finish();
}

#[test]
fn a_storm_of_changes_is_told_five_times_a_second_and_ends_with_the_last_state() {
    let mut world = World::at(6, noon(), config_with(&[("companies/prove.toml", MORE)]));
    let kari = world.phone("kari");
    subscribe(&mut world, kari, "dialog", "580");
    world.run(S);
    let before = world.phones[kari].notified.len();
    for n in 0..101 {
        let on = n % 2 == 0;
        world.order(Command::Toggle { company: "prove".into(), toggle: "night".into(), on, until: None });
        world.run(Duration::from_millis(10));
    }
    world.run(S);
    let told = world.phones[kari].notified.len() - before;
    assert!((2..=7).contains(&told), "told {told} times of 101 changes in a second");
    assert_eq!(state(&world, kari), "confirmed");
    world.finish();
}

#[test]
fn own_log_in_and_pause_have_lamps() {
    let mut world = World::new(7);
    let ola = world.registered("ola");
    subscribe(&mut world, ola, "dialog", "*40601");
    assert_eq!(state(&world, ola), "confirmed");
    let sales = Some(LineId::Queue("sales".into()));
    let login = |logged_in| Command::Login {
        company: "prove".into(),
        user: "ola".into(),
        line: sales.clone(),
        logged_in,
    };
    world.order(login(false));
    world.run(S);
    assert_eq!(state(&world, ola), "terminated");
    world.order(login(true));
    world.run(S);
    assert_eq!(state(&world, ola), "confirmed");
    subscribe(&mut world, ola, "dialog", "*42");
    assert_eq!(state(&world, ola), "terminated");
    let reason = Some("lunsj".into());
    world.order(Command::Pause { company: "prove".into(), user: "ola".into(), reason, until: None });
    world.run(S);
    assert_eq!(state(&world, ola), "confirmed");
    world.finish();
}

#[test]
fn messages_of_a_shared_box_are_told_to_those_who_may_listen() {
    let night = "2026-11-22T22:00:00Z".parse().unwrap();
    let mut world = World::at(8, night, config(COMPANY));
    let carrier = world.carrier();
    let kari = world.phone("kari");
    let ola = world.phone("ola");
    subscribe(&mut world, kari, "message-summary", "690");
    assert!(world.phones[kari].notified[0].starts_with("Messages-Waiting: no\r\n"));
    assert_eq!(ask(&mut world, ola, "message-summary", "690", Vec::new()), 403);
    assert_eq!(ask(&mut world, ola, "message-summary", "101", Vec::new()), 403);
    let call = world.phones[carrier].call(world.now, "+4736000190", false);
    world.run(15 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let told = world.phones[kari].notified.last().unwrap();
    assert!(
        told.contains("Messages-Waiting: yes\r\n") && told.contains("Voice-Message: 1/0 (0/0)"),
        "{told}"
    );
    world.finish();
}

#[test]
fn strangers_are_challenged_and_unknown_events_refused() {
    let mut world = World::new(9);
    let kari = world.phone("kari");
    assert_eq!(ask(&mut world, kari, "call-completion", "102", Vec::new()), 489);
    let packages = world.phones[kari].told.as_ref().unwrap().headers.get(&Name::AllowEvents);
    assert_eq!(packages.as_deref(), Some("dialog, message-summary, presence, reg"));
    let accept = vec![("Accept", "application/sdp".into())];
    assert_eq!(ask(&mut world, kari, "dialog", "102", accept), 406);
    let accept = vec![("Accept", "application/dialog-info+xml, application/pidf+xml".into())];
    assert_eq!(ask(&mut world, kari, "dialog", "102", accept), 200);
    let carrier = world.carrier();
    assert_eq!(ask(&mut world, carrier, "dialog", "102", Vec::new()), 401);
    world.phones[kari].password = None;
    assert_eq!(ask(&mut world, kari, "dialog", "102", Vec::new()), 401);
    world.phones[kari].password = Some("wrong".into());
    for method in [Method::Subscribe, Method::Publish, Method::Message] {
        let extra = vec![("Event", "presence".into())];
        world.phones[kari].ask(world.now, method.clone(), "102", extra, None);
        world.run(S);
        assert_eq!(world.phones[kari].told.as_ref().map(|told| told.status), Some(401), "{method}");
    }
    world.finish();
}

#[test]
fn another_companys_extension_is_as_unknown_as_none() {
    let mut world = World::at(10, noon(), config_with(&[("companies/annen.toml", OTHER)]));
    let kari = world.phone("kari");
    let nina = world.registered("nina");
    for name in ["201", "nina", "+4736000201", "199", "112", "+4736000777", "690"] {
        assert_eq!(ask(&mut world, kari, "dialog", name, Vec::new()), 404, "{name}");
        assert_eq!(ask(&mut world, kari, "presence", name, Vec::new()), 404, "{name}");
    }
    assert_eq!(ask(&mut world, kari, "reg", "nina", Vec::new()), 404);
    assert_eq!(ask(&mut world, nina, "dialog", "201", Vec::new()), 200);
    assert_eq!(page(&mut world, kari, "nina", "hei"), 404);
    assert_eq!(page(&mut world, kari, "201", "hei"), 404);
    assert!(world.phones[nina].received.iter().all(|request| request.method == Method::Notify));
    world.finish();
}

#[test]
fn a_subscription_is_renewed_ended_and_runs_out() {
    let mut world = World::new(11);
    let kari = world.phone("kari");
    let expires = |seconds: u32| vec![("Event", "dialog".into()), ("Expires", seconds.to_string())];
    assert_eq!(ask(&mut world, kari, "dialog", "102", vec![("Expires", "30".into())]), 423);
    let brief = world.phones[kari].told.clone().unwrap();
    assert_eq!(brief.headers.get(&Name::MinExpires).as_deref(), Some("60"));
    assert_eq!(ask(&mut world, kari, "dialog", "102", vec![("Expires", "120".into())]), 200);
    let founded = world.phones[kari].told.clone().unwrap();
    // Renewed before its time, it lives on after it.
    world.run(100 * S);
    world.phones[kari].subscribe_again(world.now, &founded, expires(120));
    world.run(S);
    assert_eq!(world.phones[kari].told.as_ref().map(|told| told.status), Some(200));
    assert_eq!(world.phones[kari].notified.len(), 2);
    world.run(60 * S);
    assert_eq!(world.phones[kari].notified.len(), 2);
    // Another event in the same dialog is no renewal.
    let later = world.phones[kari].told.clone().unwrap();
    world.phones[kari].subscribe_again(world.now, &later, vec![("Event", "presence".into())]);
    world.run(S);
    assert_eq!(world.phones[kari].told.as_ref().map(|told| told.status), Some(481));
    world.run(60 * S);
    let ended = "terminated;reason=timeout";
    assert_eq!(subscription_state(&world, kari), ended);
    world.phones[kari].subscribe_again(world.now, &later, expires(120));
    world.run(S);
    assert_eq!(world.phones[kari].told.as_ref().map(|told| told.status), Some(481));

    let founded = subscribe(&mut world, kari, "dialog", "102");
    world.phones[kari].subscribe_again(world.now, &founded, expires(0));
    world.run(S);
    assert_eq!(subscription_state(&world, kari), ended);
    // Once to see, without staying.
    let before = world.phones[kari].notified.len();
    assert_eq!(ask(&mut world, kari, "dialog", "102", vec![("Expires", "0".into())]), 200);
    assert_eq!(world.phones[kari].notified.len(), before + 1);
    assert!(world.phones[kari].notified[before].contains("<dialog-info"));
    assert_eq!(subscription_state(&world, kari), ended);
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert_eq!(status.dialogs, 0);
    world.finish();
}

#[test]
fn a_phone_that_knows_nothing_of_it_or_is_silent_is_told_no_more() {
    for reply in [481, 0] {
        let mut world = World::at(12, noon(), config_with(&[("companies/prove.toml", MORE)]));
        let kari = world.phone("kari");
        subscribe(&mut world, kari, "dialog", "580");
        world.phones[kari].reply = reply;
        let toggle =
            |on| Command::Toggle { company: "prove".into(), toggle: "night".into(), on, until: None };
        world.order(toggle(true));
        world.run(40 * S);
        let told = world.phones[kari].notified.len();
        world.order(toggle(false));
        world.run(40 * S);
        assert_eq!(world.phones[kari].notified.len(), told, "after {reply}");
        world.order(Command::Status);
        let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
        assert_eq!(status.dialogs, 0);
        world.finish();
    }
}

#[test]
fn a_device_and_all_devices_together_have_so_many_subscriptions_at_most() {
    let limits = "+\n[limits]\nsubscriptions = 3\nsubscriptions_per_device = 2\n";
    let mut world = World::at(13, noon(), config_with(&[("server.toml", limits)]));
    let (kari, ola) = (world.phone("kari"), world.phone("ola"));
    for name in ["101", "102"] {
        subscribe(&mut world, kari, "dialog", name);
    }
    let before = world.phones[kari].received.len();
    subscribe(&mut world, kari, "dialog", "103");
    let ended: Vec<String> = world.phones[kari].received[before..]
        .iter()
        .filter(|notify| {
            notify.headers.get(&Name::SubscriptionState).as_deref() == Some("terminated;reason=rejected")
        })
        .map(body)
        .collect();
    assert!(ended.len() == 1 && ended[0].contains("sip:101@"), "the oldest made room: {ended:?}");
    assert_eq!(ask(&mut world, ola, "dialog", "101", Vec::new()), 200);
    assert_eq!(ask(&mut world, ola, "dialog", "102", Vec::new()), 503);
    world.finish();
}

#[test]
fn who_is_taken_out_of_the_configuration_is_watched_and_watches_no_longer() {
    let mut world = World::new(14);
    let (kari, sara) = (world.phone("kari"), world.phone("sara"));
    subscribe(&mut world, kari, "dialog", "104");
    subscribe(&mut world, sara, "dialog", "102");
    let per = "[users.per]\nname = \"Per\"\next = \"104\"\nmobile = \"+4736000204\"\nrings = [\"mobile\"]\n";
    let device = "sara = { user = \"sara\", password = \"sara-secret\" }\n";
    let less: Arc<Config> = config(&COMPANY.replace(per, "").replace(device, ""));
    world.input(sentral::switch::Input::Config(less));
    world.run(S);
    assert_eq!(subscription_state(&world, kari), "terminated;reason=noresource");
    assert_eq!(subscription_state(&world, sara), "terminated;reason=rejected");
    world.finish();
}

#[test]
fn presence_follows_registration_calls_and_agent_state() {
    let mut world = World::new(15);
    let kari = world.phone("kari");
    subscribe(&mut world, kari, "presence", "102");
    assert!(presence(&world, kari).contains("<basic>closed</basic>"));
    let ola = world.registered("ola");
    assert!(presence(&world, kari).contains("<basic>open</basic>"));
    assert!(presence(&world, kari).contains("<note>Available</note>"));
    let call = world.phones[ola].call(world.now, "*77", false);
    world.run(S);
    assert!(presence(&world, kari).contains("<rpid:on-the-phone/>"));
    world.phones[ola].hang_up(world.now, call);
    world.run(S);
    assert!(presence(&world, kari).contains("<note>Available</note>"));
    let reason = Some("lunsj".into());
    world.order(Command::Pause { company: "prove".into(), user: "ola".into(), reason, until: None });
    world.run(S);
    assert!(presence(&world, kari).contains("<rpid:away/>"));
    world.finish();
}

#[test]
fn a_publication_is_made_renewed_changed_and_removed() {
    let mut world = World::new(16);
    let (kari, ola) = (world.phone("kari"), world.registered("ola"));
    subscribe(&mut world, kari, "presence", "102");
    let meeting =
        pidf("open", "<r:activities xmlns:r=\"urn:x\"><r:meeting/></r:activities><note>Rom 3</note>");
    let first = publish(&mut world, ola, "102", Vec::new(), Some(&meeting)).expect("an entity-tag");
    assert!(presence(&world, kari).contains("<note>Rom 3</note>"));
    assert!(presence(&world, kari).contains("<rpid:meeting/>"));
    // Renewed without a body; the old tag is worth nothing any more.
    let renew = |tag: &str| vec![("SIP-If-Match", tag.to_owned())];
    let second = publish(&mut world, ola, "102", renew(&first), None).expect("another entity-tag");
    assert_ne!(first, second);
    assert_eq!(publish(&mut world, ola, "102", renew(&first), None), Err(412));
    let closed = pidf("closed", "");
    let third = publish(&mut world, ola, "102", renew(&second), Some(&closed)).expect("a third");
    assert!(presence(&world, kari).contains("<basic>closed</basic>"));
    let remove = vec![("SIP-If-Match", third.clone()), ("Expires", "0".into())];
    publish(&mut world, ola, "102", remove, None).expect("it is removed");
    assert!(presence(&world, kari).contains("<basic>open</basic>"));
    assert_eq!(publish(&mut world, ola, "102", renew(&third), None), Err(412));
    // It runs out by itself.
    let brief = vec![("Expires", "60".into())];
    publish(&mut world, ola, "ola", brief, Some(&closed)).expect("a tag");
    assert!(presence(&world, kari).contains("<basic>closed</basic>"));
    world.run(61 * S);
    assert!(presence(&world, kari).contains("<basic>open</basic>"));
    world.finish();
}

#[test]
fn publications_that_cannot_be_are_refused() {
    let mut world = World::new(17);
    let ola = world.phone("ola");
    let open = pidf("open", "");
    let event = |name: &str| vec![("Event", name.to_owned())];
    assert_eq!(publish(&mut world, ola, "102", event("dialog"), Some(&open)), Err(489));
    assert_eq!(publish(&mut world, ola, "101", Vec::new(), Some(&open)), Err(403));
    assert_eq!(publish(&mut world, ola, "199", Vec::new(), Some(&open)), Err(404));
    assert_eq!(publish(&mut world, ola, "102", Vec::new(), None), Err(400));
    let short = vec![("Expires", "10".into())];
    assert_eq!(publish(&mut world, ola, "102", short, Some(&open)), Err(423));
    let foreign = vec![("Content-Type", "text/plain".into())];
    assert_eq!(publish(&mut world, ola, "102", foreign, Some("away")), Err(415));
    let long = pidf("open", &format!("<note>{}</note>", "x".repeat(9000)));
    assert_eq!(publish(&mut world, ola, "102", Vec::new(), Some(&long)), Err(413));
    let doctype =
        "<!DOCTYPE p [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><presence><note>&a;</note></presence>";
    assert_eq!(publish(&mut world, ola, "102", Vec::new(), Some(doctype)), Err(400));
    world.finish();
}

#[test]
fn a_message_reaches_all_devices_of_a_colleague_from_whom_it_is() {
    let mut world = World::new(18);
    let ola = world.registered("ola");
    assert_eq!(page(&mut world, ola, "101", "hei"), 480, "nobody is there");
    let (kari, kari2) = (world.registered("kari"), world.registered("kari2"));
    assert_eq!(page(&mut world, ola, "101", "Hei på deg"), 200);
    for phone in [kari, kari2] {
        let [message] = &world.phones[phone].received[..] else { panic!("one message") };
        assert_eq!((message.method.clone(), body(message)), (Method::Message, "Hei på deg".into()));
        assert_eq!(message.content_type().as_deref(), Some("text/plain"));
        let from = message.from().unwrap();
        assert_eq!((from.display.as_deref(), from.uri.user()), (Some("Ola"), Some("102")));
    }
    // The best of the answers counts.
    world.phones[kari].reply = 486;
    assert_eq!(page(&mut world, ola, "kari", "hei"), 200);
    world.phones[kari2].reply = 415;
    assert_eq!(page(&mut world, ola, "kari", "hei"), 415, "what the sender can do something about");
    assert_eq!(page(&mut world, ola, "199", "hei"), 404);
    assert_eq!(page(&mut world, ola, "601", "hei"), 404);
    assert_eq!(page(&mut world, ola, "+4790000000", "hei"), 404);
    assert_eq!(page(&mut world, ola, "101", &"x".repeat(9000)), 413);
    let carrier = world.carrier();
    world.phones[kari].reply = 200;
    assert_eq!(page(&mut world, carrier, "+4736000101", "fra byen"), 200);
    let from = world.phones[kari].received.last().unwrap().from().unwrap();
    assert_eq!(from.uri.user(), Some("+4736000777"));
    assert_eq!(page(&mut world, carrier, "101", "hei"), 404);
    world.finish();
}

#[test]
fn a_message_that_no_phone_answers_is_answered_in_time() {
    let mut world = World::new(19);
    let (ola, kari) = (world.registered("ola"), world.registered("kari"));
    // Away without a word.
    world.phones[kari].address = "192.0.2.250:5060".parse().unwrap();
    world.phones[ola].ask(world.now, Method::Message, "101", Vec::new(), Some(plain("hei")));
    world.run(25 * S);
    assert_eq!(world.phones[ola].told.as_ref().map(|told| told.status), Some(480));
    world.finish();
}

#[test]
fn a_sender_in_haste_is_held_back() {
    let mut world = World::new(20);
    let (ola, kari) = (world.registered("ola"), world.registered("kari"));
    let statuses: Vec<u16> = (0..40).map(|n| page_at_once(&mut world, ola, "101", &n.to_string())).collect();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!((5..25).contains(&refused), "{statuses:?}");
    assert_eq!(world.phones[kari].received.len(), 40 - refused);
    world.run(30 * S);
    assert_eq!(page(&mut world, ola, "101", "igjen"), 200);
    world.finish();
}

#[test]
fn a_user_sees_their_own_registrations() {
    let mut world = World::new(21);
    let ola = world.registered("ola");
    assert_eq!(ask(&mut world, ola, "reg", "101", Vec::new()), 403);
    subscribe(&mut world, ola, "reg", "ola");
    let told = body(&last(&world, ola));
    assert!(told.contains("aor=\"sip:ola@prove.example\" id=\"ola\" state=\"active\""), "{told}");
    world.phones[ola].register(world.now, 0);
    world.run(S);
    let told = body(&last(&world, ola));
    assert!(told.contains("state=\"terminated\" event=\"unregistered\""), "{told}");
    world.finish();
}

#[test]
fn a_phone_is_told_where_its_configuration_is_and_to_fetch_it_again() {
    let server = "+\n[provisioning]\nprofile_url = \"https://p.example/{device}.cfg\"\n";
    let mut world = World::at(22, noon(), config_with(&[("server.toml", server)]));
    let ola = world.registered("ola");
    subscribe(&mut world, ola, "ua-profile", "ola");
    let told = last(&world, ola).headers.get(&Name::ContentType).unwrap_or_default().into_owned();
    assert_eq!(told, "message/external-body; access-type=\"URL\"; URL=\"https://p.example/ola.cfg\"");
    let sync = |device: &str| Command::SyncDevice { company: None, device: device.into(), reboot: true };
    world.order(sync("ola"));
    world.run(S);
    assert_eq!(world.answers.pop(), Some(Answered::Done));
    let notify = last(&world, ola);
    assert_eq!(notify.headers.get(&Name::Event).as_deref(), Some("check-sync;reboot=true"));
    assert_eq!(notify.uri.user(), Some("ola"));
    world.order(sync("sara"));
    assert!(matches!(world.answers.pop(), Some(Answered::Refused { not_found: false, .. })));
    world.order(sync("nobody"));
    assert!(matches!(world.answers.pop(), Some(Answered::Refused { not_found: true, .. })));
    world.finish();
}

/// Subscribes, which must succeed; the 200.
fn subscribe(world: &mut World, phone: usize, event: &str, name: &str) -> Response {
    assert_eq!(ask(world, phone, event, name, Vec::new()), 200, "{event} of {name}");
    world.phones[phone].told.clone().unwrap()
}

/// The status that a SUBSCRIBE gets.
fn ask(world: &mut World, phone: usize, event: &str, name: &str, more: Extra) -> u16 {
    let extra = [vec![("Event", event.to_owned())], more].concat();
    world.phones[phone].ask(world.now, Method::Subscribe, name, extra, None);
    world.run(MOMENT);
    world.phones[phone].told.as_ref().expect("an answer").status
}

/// The entity-tag that a PUBLISH gets, or its status.
fn publish(
    world: &mut World,
    phone: usize,
    name: &str,
    more: Extra,
    text: Option<&str>,
) -> Result<String, u16> {
    let mut extra = more;
    if !extra.iter().any(|(name, _)| *name == "Event") {
        extra.push(("Event", "presence".into()));
    }
    let body = text.map(|text| Body {
        content_type: "application/pidf+xml",
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    });
    world.phones[phone].ask(world.now, Method::Publish, name, extra, body);
    world.run(S);
    let told = world.phones[phone].told.as_ref().expect("an answer");
    match told.status {
        200 => Ok(told.headers.get(&Name::SipETag).expect("an entity-tag").into_owned()),
        status => Err(status),
    }
}

/// The status that a MESSAGE gets.
fn page(world: &mut World, phone: usize, name: &str, text: &str) -> u16 {
    let status = page_at_once(world, phone, name, text);
    world.run(S);
    status
}

fn page_at_once(world: &mut World, phone: usize, name: &str, text: &str) -> u16 {
    world.phones[phone].ask(world.now, Method::Message, name, Vec::new(), Some(plain(text)));
    world.run(MOMENT);
    world.phones[phone].told.as_ref().expect("an answer").status
}

fn plain(text: &str) -> Body {
    Body { content_type: "text/plain", bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn pidf(basic: &str, more: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:x\">\
         <tuple id=\"1\"><status><basic>{basic}</basic></status></tuple>{more}</presence>"
    )
}

/// The NOTIFY that came last.
fn last(world: &World, phone: usize) -> Request {
    let mut of = world.phones[phone].received.iter();
    of.rfind(|request| request.method == Method::Notify).expect("a NOTIFY").clone()
}

fn body(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

fn presence(world: &World, phone: usize) -> String {
    body(&last(world, phone))
}

fn subscription_state(world: &World, phone: usize) -> String {
    last(world, phone).headers.get(&Name::SubscriptionState).unwrap_or_default().into_owned()
}

/// The state of the only dialog in the last document.
fn state(world: &World, phone: usize) -> String {
    let text = body(&last(world, phone));
    let states: Vec<&str> =
        text.split("<state>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default()).collect();
    assert!(states.len() <= 1, "{text}");
    states.first().copied().unwrap_or_default().to_owned()
}
