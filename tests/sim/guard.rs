//! Fraud and abuse: who is shut out, who never is, what is refused, and what it may cost.

use std::time::Duration;

use bytes::Bytes;

use sentral::media;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::sip;
use sentral::sip::Message;
use sentral::sip::Method;
use sentral::sip::digest;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::SECOND;
use crate::world::SERVER;
use crate::world::TRUNK;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const ATTACKER: &str = "203.0.113.66:5060";

#[test]
fn brute_force_is_shut_out_while_the_real_phone_registers_and_calls() {
    let mut world = World::new(101);
    let kari = world.registered("kari");
    world.registered("ola");
    let challenged = register(&mut world, ATTACKER, "kari", 1, "");
    assert!(challenged[0].starts_with("SIP/2.0 401 "));
    let mut answered = 0;
    for cseq in 2..200 {
        let guess = authorization(&challenged[0], "kari", "wrong", Method::Register, cseq);
        answered += register(&mut world, ATTACKER, "kari", cseq, &guess).len();
    }
    assert_eq!(answered, 10, "ten guesses are answered, and nothing after them");
    // Nor is anybody else at a new address heard about this account, though the password is right.
    let new = "203.0.113.99:5060";
    let challenged = register(&mut world, new, "kari", 1, "");
    let right = authorization(&challenged[0], "kari", "kari-secret", Method::Register, 1);
    let refused = register(&mut world, new, "kari", 2, &right);
    assert!(refused[0].starts_with("SIP/2.0 401 "), "{refused:?}");
    // The phone itself is not touched, and neither is its colleague.
    world.phones[kari].register(world.now, 3600);
    world.run(S);
    assert_eq!(world.phones[kari].registered, Some(200));
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    assert_eq!(shut_out(&mut world), 1);
    // A minute later the address may try again.
    world.phones[kari].hang_up(world.now, call);
    world.run(61 * S);
    assert_eq!(register(&mut world, ATTACKER, "kari", 300, "").len(), 1);
    assert!(refusals(&world, "password") >= 10 && refusals(&world, "shut_out") >= 180);
    world.finish();
}

#[test]
fn who_pretends_to_be_at_a_phone_s_address_does_not_lock_it_out() {
    let mut world = World::new(102);
    let kari = world.registered("kari");
    let spoofed = "192.0.2.100:9999";
    let challenged = register(&mut world, spoofed, "kari", 1, "");
    for cseq in 2..300 {
        let guess = authorization(&challenged[0], "kari", "wrong", Method::Register, cseq);
        register(&mut world, spoofed, "kari", cseq, &guess);
    }
    world.phones[kari].register(world.now, 3600);
    world.run(S);
    assert_eq!(world.phones[kari].registered, Some(200));
    world.finish();
}

#[test]
fn a_scanner_gets_no_answer_at_all() {
    let mut world = World::new(103);
    for agent in ["friendly-scanner", "sipcli/v1.8", "VaxSIPUserAgent/3.1"] {
        let message = request("OPTIONS", "100", "a", 1, &format!("User-Agent: {agent}\n"));
        assert_eq!(world.raw("203.0.113.7:5060", &message), Vec::<String>::new(), "{agent}");
    }
    // Under another name it is not heard either, until its time is over.
    let plain = request("OPTIONS", "100", "b", 1, "");
    assert_eq!(world.raw("203.0.113.7:5071", &plain), Vec::<String>::new());
    assert_eq!(world.raw("203.0.113.8:5060", &plain).len(), 1, "its neighbour is");
    world.run(61 * S);
    assert_eq!(world.raw("203.0.113.7:5060", &request("OPTIONS", "100", "c", 1, "")).len(), 1);
    world.run(40 * S);
    world.finish();
}

#[test]
fn a_flood_of_a_stranger_makes_no_transactions() {
    let mut world = World::new(104);
    world.registered("kari");
    for at in 0..3_000 {
        let text = request("REGISTER", "kari", &format!("f{at}"), 1, "");
        world.input(Input::Sip(message(ATTACKER, &text)));
    }
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert!(status.transactions < 500, "{} transactions", status.transactions);
    assert_eq!(status.shut_out, 1);
    world.run(2 * S);
    assert!(refusals(&world, "flood") > 900);
    world.run(60 * S);
    world.finish();
}

#[test]
fn an_unknown_name_is_answered_byte_for_byte_like_a_wrong_password() {
    let event = "Event: message-summary\n";
    let methods = [
        (Method::Register, ""),
        (Method::Invite, ""),
        (Method::Subscribe, event),
        (Method::Message, ""),
        (Method::Options, ""),
    ];
    for (method, extra) in methods {
        let mut world = World::new(105);
        world.registered("kari");
        let mut answers = Vec::new();
        // One name exists and the other does not; both callee and caller.
        for (at, name) in ["kari", "nils"].into_iter().enumerate() {
            let from = format!("203.0.113.{}:5060", 10 + at);
            let text = |cseq, extra: &str| request(method.as_str(), name, "e", cseq, extra);
            let first = last(world.raw(&from, &text(1, extra)));
            let mut both = vec![plain(&first, name)];
            if first.starts_with("SIP/2.0 401 ") {
                for (cseq, password) in [(2, "wrong"), (3, "")] {
                    let guess = authorization(&first, name, password, method.clone(), cseq);
                    let answer = last(world.raw(&from, &text(cseq, &format!("{extra}{guess}"))));
                    both.push(plain(&answer, name));
                }
                // A nonce that is too old: only who knows the password learns that it was the nonce.
                world.run(301 * S);
                let guess = authorization(&first, name, "", method.clone(), 4);
                both.push(plain(&last(world.raw(&from, &text(4, &format!("{extra}{guess}")))), name));
            } else {
                assert!(matches!(method, Method::Message | Method::Options), "{first}");
            }
            answers.push(both);
            // The next one writes the same branch.
            world.run(100 * S);
        }
        let (unknown, known) = (answers.pop().unwrap(), answers.pop().unwrap());
        assert_eq!(known, unknown, "{method:?}");
    }
}

#[test]
fn a_stranger_s_call_is_challenged_whether_the_number_exists_or_not() {
    let mut world = World::new(106);
    for (at, number) in ["101", "999", "+4736000100", "112", "sales"].into_iter().enumerate() {
        let answer = last(world.raw(ATTACKER, &request("INVITE", number, &format!("n{at}"), 1, "")));
        assert!(answer.starts_with("SIP/2.0 401 "), "{number}: {answer}");
    }
    world.run(100 * S);
    world.finish();
}

#[test]
fn a_spoofed_bye_or_reinvite_or_cancel_does_nothing() {
    let mut world = World::new(107);
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    world.run(S);
    // The attacker has seen a message and knows all its names.
    let (call_id, theirs, ours) = {
        let endpoint = &world.phones[kari].endpoint;
        let (ours, theirs) = endpoint.dialog_tags(call).unwrap();
        (endpoint.call_id(call).unwrap().to_owned(), theirs.to_owned(), ours.to_owned())
    };
    for (at, method) in ["BYE", "INVITE", "INFO", "ACK"].into_iter().enumerate() {
        let spoofed = format!(
            "{method} sip:102@192.0.2.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKs{at}\n\
             Max-Forwards: 70\nFrom: <sip:kari@prove.example>;tag={ours}\nTo: <sip:102@prove.example>;tag={theirs}\n\
             Call-ID: {call_id}\nCSeq: 90{at}{at} {method}\nContact: <sip:x@203.0.113.66>\nContent-Length: 0\n\n"
        );
        let answers = world.raw(ATTACKER, &spoofed);
        let expect = if method == "ACK" { 0 } else { 1 };
        assert_eq!(answers.len(), expect, "{method}: {answers:?}");
        assert!(answers.iter().all(|answer| answer.starts_with("SIP/2.0 401 ")), "{answers:?}");
    }
    assert_eq!(world.phones[kari].lines[&call].stage, Stage::Up);
    assert!(world.phones[ola].line(&Stage::Up).is_some());
    // The phone's own BYE ends it: nothing of the dialog was moved.
    world.phones[kari].hang_up(world.now, call);
    world.until("it is over", 5 * S, |w| w.phones[ola].line(&Stage::Up).is_none());
    assert_eq!(refusals_after(&mut world, "origin"), 4);
    world.finish();
}

#[test]
fn a_cancel_counts_only_from_where_the_invite_came_and_a_carrier_s_bye_from_where_it_is_trusted() {
    let mut world = World::new(108);
    let kari = world.registered("kari");
    world.phones[kari].answer = Answer::Ring;
    world.raw(TRUNK, &request("INVITE", "+4736000101", "c", 1, ""));
    assert!(world.phones[kari].line(&Stage::Ringing).is_some());
    let cancel = request("CANCEL", "+4736000101", "c", 1, "");
    let answer = last(world.raw(ATTACKER, &cancel));
    assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    assert!(world.phones[kari].line(&Stage::Ringing).is_some());
    let answers = world.raw(TRUNK, &cancel);
    assert!(answers.iter().any(|answer| answer.starts_with("SIP/2.0 200 ")), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.starts_with("SIP/2.0 487 ")), "{answers:?}");
    world.run(S);
    assert!(world.phones[kari].line(&Stage::Ringing).is_none());
    world.run(100 * S);

    // A carrier's call, up.
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, "+4736000190", false);
    world.until("the box answers", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    let endpoint = &world.phones[carrier].endpoint;
    let (ours, theirs) = endpoint.dialog_tags(call).unwrap();
    let bye = format!(
        "BYE sip:x@192.0.2.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKb\nMax-Forwards: 70\n\
         From: <sip:+4736000777@prove.example>;tag={ours}\nTo: <sip:+4736000190@prove.example>;tag={theirs}\n\
         Call-ID: {}\nCSeq: 9000000 BYE\nContent-Length: 0\n\n",
        endpoint.call_id(call).unwrap()
    );
    let answer = last(world.raw(ATTACKER, &bye));
    assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    assert_eq!(world.phones[carrier].lines[&call].stage, Stage::Up);
    world.finish();
}

#[test]
fn a_phone_that_has_moved_proves_its_password_and_stays_in_its_call() {
    let mut world = World::new(109);
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    world.run(S);
    world.phones[kari].address = "192.0.2.200:5060".parse().unwrap();
    world.phones[kari].hold(world.now, call, true);
    world.run(2 * S);
    let log = &world.phones[kari].lines[&call].log;
    assert!(log.iter().any(|line| line.starts_with("a=")), "the hold was taken: {log:?}");
    assert!(world.phones[ola].line(&Stage::Up).is_some());
    world.finish();
}

#[test]
fn a_replayed_register_is_stale_with_a_count_and_without() {
    for with_count in [true, false] {
        let mut world = World::new(110);
        let phone = "192.0.2.150:5060";
        let challenged = register(&mut world, phone, "kari", 1, "");
        let challenged = match with_count {
            true => challenged[0].clone(),
            false => challenged[0].replace(", qop=\"auth\"", ""),
        };
        let right = authorization(&challenged, "kari", "kari-secret", Method::Register, 1);
        assert_eq!(right.contains("nc="), with_count);
        let accepted = register(&mut world, phone, "kari", 2, &right);
        assert!(accepted[0].starts_with("SIP/2.0 200 "), "{accepted:?}");
        // Somebody has seen it, and sends it with another Call-ID, CSeq and Contact.
        let replayed = register(&mut world, ATTACKER, "kari", 77, &right);
        assert!(
            replayed[0].starts_with("SIP/2.0 401 ") && replayed[0].contains("stale=true"),
            "{replayed:?}"
        );
        world.run(100 * S);
        world.finish();
    }
}

#[test]
fn who_calls_too_often_is_refused_told_and_alarmed_about_and_emergency_is_not() {
    let limited = format!("{COMPANY}\n[fraud.user]\ncalls_per_minute = 3\n");
    let mut world = World::at(111, noon(), config(&limited));
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let dial = |world: &mut World, phone: usize, number: &str| {
        let call = world.phones[phone].call(world.now, number, false);
        world.run(5 * S);
        let stage = world.phones[phone].lines[&call].stage.clone();
        world.phones[phone].end(world.now, call);
        world.run(S);
        stage
    };
    for _ in 0..3 {
        assert_eq!(dial(&mut world, kari, "22000100"), Stage::Up);
    }
    assert_eq!(dial(&mut world, kari, "22000100"), Stage::Over(603));
    assert!(world.changes.iter().any(|change| matches!(change,
        Change::Decision(told) if &*told.event == "fraud.limit" && told.why.contains("calls_per_minute"))));
    let alarms = world.changes.iter().filter(|change| matches!(change, Change::Alarm { .. })).count();
    assert_eq!(alarms, 1);
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    assert!(status.alarms[0].contains("user kari has reached calls_per_minute"), "{:?}", status.alarms);
    assert_eq!(dial(&mut world, kari, "112"), Stage::Up);
    assert_eq!(dial(&mut world, ola, "22000100"), Stage::Up, "a colleague has limits of their own");
    world.run(60 * S);
    assert_eq!(dial(&mut world, kari, "22000100"), Stage::Up);
    assert_eq!(world.phones[carrier].live_lines(), 0);
    world.finish();
}

#[test]
fn a_running_call_ends_when_the_day_s_kroner_or_minutes_are_spent() {
    // 30 øre a minute: a krone is spent after 200 seconds.
    for (limit, least, most) in [("kroner_per_day = 1", 200, 262), ("minutes_per_day = 2", 120, 182)] {
        let limited = format!("{COMPANY}\n[fraud]\n{limit}\n");
        let mut world = World::at(112, noon(), config(&limited));
        let carrier = world.carrier();
        let kari = world.registered("kari");
        let call = world.phones[kari].call(world.now, "22000100", false);
        world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
        let began = world.now.mono;
        world.until("the call is ended", 400 * S, |w| w.phones[kari].lines[&call].stage != Stage::Up);
        let lasted = (world.now.mono - began).as_secs();
        assert!((least..most).contains(&lasted), "{limit}: after {lasted} s");
        assert_eq!(world.phones[carrier].live_lines(), 0);
        let next = world.phones[kari].call(world.now, "22000100", false);
        world.run(10 * S);
        assert_eq!(world.phones[kari].lines[&next].stage, Stage::Over(603));
        // A call inside costs nothing, and the day after everything is open again.
        let inside = world.phones[kari].call(world.now, "690", false);
        world.until("the box answers", 5 * S, |w| w.phones[kari].lines[&inside].stage == Stage::Up);
        world.phones[kari].hang_up(world.now, inside);
        world.run(86_400 * S);
        world.phones[kari].register(world.now, 3600);
        world.run(S);
        let next = world.phones[kari].call(world.now, "22000100", false);
        world.until("they talk", 5 * S, |w| w.phones[kari].lines[&next].stage == Stage::Up);
        world.finish();
    }
}

#[test]
fn forwarding_obeys_the_rights_of_who_forwards_and_a_flow_those_of_the_company() {
    // A premium number as a mobile one: the caller is a stranger from outside, and pays nothing.
    let mobile = |allow: &str| {
        let company = COMPANY.replace("mobile = \"+4736000204\"", "mobile = \"+4782022222\"");
        let company = company.replace("[users.per]", &format!("[users.per]\n{allow}"));
        company.replace("\"+4736000110\" = \"queue:sales\"", "\"+4736000110\" = \"user:per\"")
    };
    let flow = |allow: &str| {
        let company = COMPANY.replace("[company]", &format!("[company]\n{allow}"));
        let company = company.replace("\"+4736000110\" = \"queue:sales\"", "\"+4736000110\" = \"flow:out\"");
        let steps = "[flows.out.steps]\nout = { dial = \"phone:+4782022222\", no_answer = \"hangup\" }\n";
        format!("{company}\n[flows.out]\nname = \"Ut\"\nstart = \"out\"\n{steps}")
    };
    let rows = [
        (mobile(""), false),
        (mobile("allow = [\"premium\"]"), true),
        (flow(""), false),
        (flow("allow = [\"premium\"]"), true),
        (flow("allow = [\"premium\"]\nblock = [\"premium\"]"), false),
    ];
    for (at, (company, rings)) in rows.into_iter().enumerate() {
        let mut world = World::at(113, noon(), config(&company));
        let carrier = world.carrier();
        let call = world.phones[carrier].call(world.now, "+4736000110", false);
        world.run(3 * S);
        // The carrier is on both ends.
        let lines = world.phones[carrier].lines.len();
        assert_eq!(lines, if rings { 2 } else { 1 }, "row {at}: {:?}", world.phones[carrier].lines[&call]);
        let barred = world
            .changes
            .iter()
            .any(|change| matches!(change, Change::Decision(told) if &*told.event == "call.barred"));
        assert_eq!(barred, !rings, "row {at}");
        world.finish();
    }
}

#[test]
fn a_class_without_right_is_refused_and_the_caller_hears_why() {
    let mut world = World::new(114);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[kari].call(world.now, "82022222", false);
    world.run(S / 2);
    let audio = world.phones[kari].lines[&call].audio;
    let played = &world.stream_to(audio).expect("early media").1.played;
    assert!(played[0].contains("call/barred"), "{played:?}");
    world.run(5 * S);
    assert_eq!(world.phones[kari].lines[&call].stage, Stage::Over(403));
    assert_eq!(world.phones[carrier].lines.len(), 0);
    assert_eq!(world.cdrs[0].status, 403);
    world.finish();
}

#[test]
fn under_overload_strangers_and_new_calls_wait_and_what_is_up_goes_on() {
    let mut world = World::new(115);
    world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    let press = |world: &mut World, steps: u32| {
        for _ in 0..steps {
            world.input(Input::Waited(S / 2));
            world.run(S / 10);
        }
    };
    press(&mut world, 8);
    world.input(Input::Waited(S / 2));
    let answer = last(world.raw(ATTACKER, &request("REGISTER", "kari", "o", 1, "")));
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("Retry-After: "), "{answer}");
    // A new call is turned away by now, an emergency call and a hold are not.
    press(&mut world, 8);
    world.input(Input::Waited(S / 2));
    let new = world.phones[ola].call(world.now, "22000100", false);
    world.run(S / 20);
    assert_eq!(world.phones[ola].lines[&new].stage, Stage::Over(503));
    world.input(Input::Waited(S / 2));
    let emergency = world.phones[ola].call(world.now, "112", false);
    world.phones[kari].hold(world.now, call, true);
    press(&mut world, 20);
    assert_eq!(world.phones[ola].lines[&emergency].stage, Stage::Up);
    assert_eq!(world.phones[kari].lines[&call].stage, Stage::Up);
    let log = &world.phones[kari].lines[&call].log;
    assert!(log.iter().any(|line| line.starts_with("a=")), "the hold was taken: {log:?}");
    // Quiet: everything is served again.
    world.run(2 * S);
    world.phones[ola].hang_up(world.now, emergency);
    let new = world.phones[ola].call(world.now, "22000100", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&new].stage == Stage::Up);
    assert!(refusals_after(&mut world, "overload") >= 2);
    world.finish();
}

#[test]
fn when_media_is_short_of_time_new_calls_are_turned_away_before_it_is_heard_and_nothing_else() {
    let mut world = World::new(117);
    world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    let press = |world: &mut World, times: u32| {
        for _ in 0..times {
            let short = media::Event::Short { thread: 0, late: S / 500, busy_percent: 90 };
            world.input(Input::Media(short));
            world.run(S / 20);
        }
    };
    // One bad moment turns nobody away.
    press(&mut world, 2);
    let first = world.phones[ola].call(world.now, "22000100", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&first].stage == Stage::Up);
    world.phones[ola].hang_up(world.now, first);
    press(&mut world, 12);
    let new = world.phones[ola].call(world.now, "22000100", false);
    press(&mut world, 1);
    assert_eq!(world.phones[ola].lines[&new].stage, Stage::Over(503));
    let emergency = world.phones[ola].call(world.now, "112", false);
    let stranger = last(world.raw(ATTACKER, &request("REGISTER", "kari", "o", 1, "")));
    assert!(stranger.starts_with("SIP/2.0 401 "), "{stranger}");
    press(&mut world, 20);
    assert_eq!(world.phones[ola].lines[&emergency].stage, Stage::Up);
    assert_eq!(world.phones[kari].lines[&call].stage, Stage::Up);
    world.run(S);
    world.phones[ola].hang_up(world.now, emergency);
    let new = world.phones[ola].call(world.now, "22000100", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&new].stage == Stage::Up);
    assert!(refusals_after(&mut world, "overload") >= 1);
    world.finish();
}

#[test]
fn nobody_brings_it_about_that_a_carrier_is_not_heard() {
    let mut world = World::new(116);
    let scan = request("OPTIONS", "100", "s", 1, "User-Agent: friendly-scanner\n");
    // A port that the carrier is not trusted at; and an address that is no carrier's yet.
    let claimed = TRUNK.replace(":5060", ":9");
    assert_eq!(world.raw(&claimed, &scan).len(), 1);
    assert_eq!(world.raw(SECOND, &scan).len(), 0);
    assert_eq!(shut_out(&mut world), 1);
    let more = "+\n[trunks.pair]\nname = \"Pair\"\nserver = \"pair.example\"\nhealth = false\n";
    world.input(Input::Config(config_with(&[("trunks.toml", more)])));
    world.run(S);
    assert_eq!(shut_out(&mut world), 0, "a carrier was found there");
    let plain = request("OPTIONS", "100", "t", 1, "");
    assert_eq!(world.raw(SECOND, &plain).len(), 1);
    // Nor does it count how much comes. An ACK to nothing makes no work.
    for from in [TRUNK, SECOND, &claimed] {
        for _ in 0..4_000 {
            world.input(Input::Sip(message(from, &request("ACK", "100", "a", 1, ""))));
        }
    }
    assert_eq!(refusals_after(&mut world, "flood"), 0);
    world.run(40 * S);
    world.finish();
}

/// A request of somebody who has written it by hand. `name` is caller and callee; of one `call` and number, branch
/// and tags are the same.
fn request(method: &str, name: &str, call: &str, cseq: u32, extra: &str) -> String {
    let expires = if method == "REGISTER" { "Expires: 600\n" } else { "" };
    format!(
        "{method} sip:{name}@prove.example SIP/2.0\nVia: SIP/2.0/UDP 198.18.0.1:5060;rport;branch=z9hG4bK{call}{cseq}\n\
         Max-Forwards: 70\nFrom: <sip:{name}@prove.example>;tag={call}\nTo: <sip:{name}@prove.example>\n\
         Call-ID: {call}\nCSeq: {cseq} {method}\nContact: <sip:{name}@198.18.0.1>\n{expires}{extra}\
         Content-Length: 0\n\n"
    )
}

/// A REGISTER of a raw phone; each number is a call of its own.
/// A message as it comes from an address.
fn message(from: &str, text: &str) -> sip::Input {
    let message = Message::parse(Bytes::from(text.replace('\n', "\r\n")), 65_535).unwrap();
    let (local, remote) = (SERVER.parse().unwrap(), from.parse().unwrap());
    let hop = sip::Hop { transport: sip::Transport::Udp, local, remote, connection: None };
    sip::Input::Message { hop, message }
}

/// Addresses shut out.
fn shut_out(world: &mut World) -> usize {
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
    status.shut_out
}

fn register(world: &mut World, from: &str, name: &str, cseq: u32, extra: &str) -> Vec<String> {
    let call = format!("r{cseq}{}", from.replace(['.', ':'], ""));
    world.raw(from, &request("REGISTER", name, &call, cseq, extra))
}

/// What answers the challenge in `answer`, as a header line.
fn authorization(answer: &str, name: &str, password: &str, method: Method, nc: u32) -> String {
    let Ok(Message::Response(response)) = Message::parse(Bytes::from(answer.to_owned()), 65_535) else {
        panic!("no response: {answer}")
    };
    let challenge = digest::strongest(&response).expect("a challenge");
    let uri = format!("sip:{name}@prove.example");
    format!("Authorization: {}\n", digest::answer(&challenge, name, password, &method, &uri, nc, "cnonce"))
}

/// The final answer.
fn last(answers: Vec<String>) -> String {
    answers.into_iter().rfind(|answer| !answer.starts_with("SIP/2.0 1")).expect("an answer")
}

/// An answer without what differs by chance, by name and by address.
fn plain(answer: &str, name: &str) -> String {
    let cut = |text: &str, from: &str, to: &[char]| -> String {
        let mut parts = text.split(from);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + from + &part[part.find(to).unwrap_or(part.len())..])
    };
    let answer = answer.replace(name, "NAME");
    let answer = cut(&answer, "nonce=\"", &['"']);
    let answer = cut(&answer, ";received=", &[';', '\r', ',']);
    cut(&answer, "tag=", &['\r', ';'])
}

/// How often the switch has told that it refused for this reason.
fn refusals(world: &World, wanted: &str) -> u64 {
    let count = |change: &Change| match change {
        Change::Refused { reason, count } if &**reason == wanted => *count,
        _ => 0,
    };
    world.changes.iter().map(count).sum()
}

/// The same, once what was counted last is told.
fn refusals_after(world: &mut World, wanted: &str) -> u64 {
    world.run(2 * S);
    refusals(world, wanted)
}
