//! Transfer by REFER, blind and attended; taking over and picking up a call with Replaces; redirection by a phone.

use std::time::Duration;

use sentral::media::Base;
use sentral::media::tone::Tone;
use sentral::model::cdr::CallResult;
use sentral::sip::DialogId;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::World;

const S: Duration = Duration::from_secs(1);

/// A carrier's caller who talks with Kari: world, carrier, Kari, the caller's line, Kari's line.
fn talking(seed: u64) -> (World, usize, usize, DialogId, DialogId) {
    let mut world = World::new(seed);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    (world, carrier, kari, call, line)
}

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

#[test]
fn a_blind_transfer_connects_the_caller_with_the_target_and_lets_go_of_who_transferred() {
    let (mut world, carrier, kari, call, line) = talking(61);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::After(3 * S);
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.until("Ola rings", S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    assert_eq!(world.phones[kari].registered, Some(202));
    let audio = world.phones[carrier].lines[&call].audio;
    assert_eq!(
        world.stream_to(audio).unwrap().1.base,
        Base::Tone(Tone::Ringback),
        "the caller hears ringing"
    );
    let ringing = world.phones[ola].line(&Stage::Ringing).unwrap();
    let from = &world.phones[ola].lines[&ringing].from;
    assert!(from.contains("+4736000777"), "Ola sees the caller: {from}");
    world.until("they talk", 5 * S, |w| talk(w, (carrier, call), (ola, ringing)));
    world.run(S);
    let told = &world.phones[kari].notified;
    let statuses: Vec<&str> = told.iter().map(|body| body.split_whitespace().nth(1).unwrap()).collect();
    // The network may turn the first two round.
    assert!(matches!(statuses[..], ["100", "180", "200"] | ["180", "100", "200"]), "{statuses:?}");
    assert!(matches!(world.phones[kari].lines[&line].stage, Stage::Over(_)));
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let [cdr] = &world.cdrs[..] else { panic!("{:?}", world.cdrs) };
    assert_eq!(cdr.answered_by.as_ref().map(|user| user.as_str()), Some("ola"));
    world.finish();
}

#[test]
fn a_blind_transfer_to_somebody_busy_gives_the_caller_back() {
    let (mut world, carrier, kari, call, line) = talking(62);
    let ola = world.registered("ola");
    world.phones[ola].answer = Answer::Refuse(486);
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.run(2 * S);
    assert!(world.phones[kari].notified.last().unwrap().contains("486"), "{:?}", world.phones[kari].notified);
    assert!(talk(&world, (carrier, call), (kari, line)));
    world.finish();
}

#[test]
fn who_transfers_may_hang_up_at_once() {
    let (mut world, carrier, kari, call, line) = talking(63);
    let ola = world.registered("ola");
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.run(S / 2);
    world.phones[kari].hang_up(world.now, line);
    world.until("they talk", 5 * S, |w| {
        w.phones[ola].line(&Stage::Up).is_some_and(|up| talk(w, (carrier, call), (ola, up)))
    });
    world.finish();
}

#[test]
fn a_caller_transfers_who_was_called_and_may_go_to_a_queue() {
    let mut world = World::new(64);
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    let sara = world.registered("sara");
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    let line = world.phones[ola].line(&Stage::Up).unwrap();
    world.phones[sara].answer = Answer::After(2 * S);
    world.phones[kari].refer(world.now, call, "sip:103@prove.example");
    world.until("Ola and Sara talk", 5 * S, |w| {
        w.phones[sara].line(&Stage::Up).is_some_and(|up| talk(w, (ola, line), (sara, up)))
    });
    let rung = world.phones[sara].line(&Stage::Up).unwrap();
    assert!(world.phones[sara].lines[&rung].from.contains("102"), "Sara sees Ola");
    // Into the queue: it answers by itself, so who transfers is let go.
    world.phones[sara].refer(world.now, rung, "sip:601@prove.example");
    world.run(S);
    assert!(matches!(world.phones[sara].lines[&rung].stage, Stage::Over(_)));
    world.finish();
}

#[test]
fn an_attended_transfer_joins_the_two_others() {
    for answered in [true, false] {
        let (mut world, carrier, kari, call, line) = talking(65);
        let ola = world.registered("ola");
        world.phones[ola].answer = Answer::After(if answered { S } else { 4 * S });
        world.phones[kari].hold(world.now, line, true);
        world.run(S / 10);
        let second = world.phones[kari].call(world.now, "102", false);
        world.run(2 * S);
        let replaces = world.phones[kari].replaces(second);
        let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
        world.phones[kari].refer(world.now, line, &format!("sip:102@prove.example?Replaces={escaped}"));
        world.until("they talk", 5 * S, |w| {
            w.phones[ola].line(&Stage::Up).is_some_and(|up| talk(w, (carrier, call), (ola, up)))
        });
        world.run(S);
        assert!(world.phones[kari].notified.last().unwrap().contains("200"));
        assert_eq!(world.phones[kari].live_lines(), 0, "Kari is out of both (answered: {answered})");
        world.phones[carrier].hang_up(world.now, call);
        world.run(S);
        assert_eq!(world.cdrs.len(), 2);
        assert!(world.cdrs.iter().all(|cdr| cdr.result == CallResult::Answered), "{:?}", world.cdrs);
        world.finish();
    }
}

#[test]
fn a_colleague_picks_up_a_call_that_rings_and_only_its_user_moves_one_that_stands() {
    let mut world = World::new(66);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let ola = world.registered("ola");
    world.phones[kari].answer = Answer::Ring;
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari rings", S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
    let ringing = world.phones[kari].line(&Stage::Ringing).unwrap();
    let pick = vec![("Replaces", world.phones[kari].replaces(ringing))];
    let picked = world.phones[ola].call_with(world.now, "101", false, pick);
    world.until("they talk", 2 * S, |w| {
        w.phones[ola].lines[&picked].stage == Stage::Up && talk(w, (carrier, call), (ola, picked))
    });
    assert_eq!(world.phones[kari].live_lines(), 0);
    // That call stands now: it is Ola's, and not for Kari to take.
    let replaces = world.phones[ola].replaces(picked);
    for (replaces, status) in [(replaces.clone(), 403), (format!("{replaces};early-only"), 486)] {
        let take = vec![("Replaces", replaces)];
        let refused = world.phones[kari].call_with(world.now, "102", false, take);
        world.run(S);
        assert_eq!(world.phones[kari].lines[&refused].stage, Stage::Over(status));
    }
    // Kari moves a call of her own from one phone to the other.
    world.phones[kari].answer = Answer::After(S);
    let second = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari talks", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    let other = world.registered("kari2");
    let take = vec![("Replaces", world.phones[kari].replaces(line))];
    let taken = world.phones[other].call_with(world.now, "101", false, take);
    world.until("they talk", 2 * S, |w| talk(w, (carrier, second), (other, taken)));
    assert_eq!(world.phones[kari].live_lines(), 0);
    let unknown = vec![("Replaces", "x@y;to-tag=1;from-tag=2".to_owned())];
    let nothing = world.phones[ola].call_with(world.now, "101", false, unknown);
    world.run(S);
    assert_eq!(world.phones[ola].lines[&nothing].stage, Stage::Over(481));
    world.finish();
}

#[test]
fn transfers_that_may_not_be_are_refused() {
    let (mut world, carrier, kari, call, line) = talking(67);
    let refer = |world: &mut World, phone: usize, line, to: &str| {
        world.phones[phone].refer(world.now, line, to);
        world.run(S);
        world.phones[phone].registered
    };
    assert_eq!(refer(&mut world, carrier, call, "sip:+4736000102@prove.example"), Some(603), "a carrier's");
    assert_eq!(refer(&mut world, kari, line, "sip:555@prove.example"), Some(404), "nobody's number");
    assert_eq!(refer(&mut world, kari, line, "urn:service:sos"), Some(416), "no number");
    assert_eq!(
        refer(&mut world, kari, line, "sip:x@h?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2"),
        Some(603),
        "no such call"
    );
    assert!(talk(&world, (carrier, call), (kari, line)), "nothing has happened");
    world.finish();
}

#[test]
fn who_leaves_a_message_is_not_exchanged_for_another_in_the_middle_of_it() {
    let (mut world, carrier, kari, call, line) = talking(69);
    world.phones[kari].hold(world.now, line, true);
    world.run(S / 5);
    let second = world.phones[kari].call(world.now, "690", false);
    world.run(12 * S);
    let recorded =
        |w: &World| w.stream_to(w.phones[kari].lines[&second].audio).is_some_and(|(_, s)| s.is_busy());
    assert!(recorded(&world), "the message is being taken");
    let replaces = world.phones[kari].replaces(second);
    let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
    world.phones[kari].refer(world.now, line, &format!("sip:690@prove.example?Replaces={escaped}"));
    world.run(S);
    assert_eq!(world.phones[kari].registered, Some(603));
    assert!(recorded(&world), "it goes on");
    world.phones[kari].hold(world.now, line, false);
    world.run(S / 5);
    assert!(talk(&world, (carrier, call), (kari, line)), "and so does the call");
    world.finish();
}

#[test]
fn a_phone_that_redirects_is_followed_a_few_times() {
    let mut world = World::new(68);
    let carrier = world.carrier();
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    world.phones[kari].answer = Answer::Refuse(302);
    world.phones[kari].redirect = Some("<sip:102@prove.example>".into());
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Ola talks", 5 * S, |w| {
        w.phones[ola].line(&Stage::Up).is_some_and(|up| talk(w, (carrier, call), (ola, up)))
    });
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    // In a ring.
    world.phones[ola].answer = Answer::Refuse(302);
    world.phones[ola].redirect = Some("<sip:101@prove.example>".into());
    let ring = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(5 * S);
    assert!(matches!(world.phones[carrier].lines[&ring].stage, Stage::Over(_)), "it ends");
    // To somebody else's domain.
    world.phones[kari].redirect = Some("<sip:102@elsewhere.example>".into());
    let away = world.phones[carrier].call(world.now, "+4736000101", false);
    world.run(5 * S);
    assert!(matches!(world.phones[carrier].lines[&away].stage, Stage::Over(_)));
    world.finish();
}
