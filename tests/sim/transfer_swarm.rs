//! Transfers, pick-ups, holds and redirections by chance, all at once and over a bad network: in the end everybody who is
//! up talks with somebody, waits, or hears something; nobody is left alone. `SIM_SEED=` replays one run.

use std::time::Duration;

use sentral::media::Base;
use sentral::sip::DialogId;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::seeds;
use crate::world::COMPANY;
use crate::world::Weather;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

/// Seeds of an ordinary run; `SIM_SEEDS` widens it.
const SEEDS: u64 = 300;

const S: Duration = Duration::from_secs(1);

#[test]
fn however_calls_are_moved_about_nobody_is_left_talking_to_nobody() {
    seeds::each(SEEDS, one);
}

#[test]
fn a_transferred_party_that_is_lost_is_not_given_back() {
    let mut world = World::new(1);
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    world.phones[kari].answer = Answer::After(Duration::ZERO);
    world.phones[ola].answer = Answer::Ring;
    // A caller who never acknowledges.
    let sdp =
        "v=0\no=x 1 1 IN IP4 198.51.100.9\ns=-\nc=IN IP4 198.51.100.9\nt=0 0\nm=audio 40000 RTP/AVP 8\n";
    let invite = format!(
        "INVITE sip:+4736000101@prove.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKlost\n\
         From: <sip:+4736000777@x>;tag=a\nTo: <sip:+4736000101@prove.example>\nCall-ID: lost\nCSeq: 1 INVITE\n\
         Contact: <sip:x@198.51.100.9>\nContent-Type: application/sdp\n\n{sdp}"
    );
    world.raw("198.51.100.9:5060", &invite);
    world.until("Kari is up", S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    world.run(20 * S);
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.until("Ola rings", S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    world.run(14 * S);
    assert_eq!((world.phones[kari].live_lines(), world.phones[ola].live_lines()), (0, 0));
    world.finish();
}

#[test]
fn a_blind_transfer_to_a_mailbox_lets_go_of_who_transfers() {
    let mut world = World::new(2);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari is up", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    world.phones[kari].refer(world.now, line, "sip:690@prove.example");
    world.run(S);
    let told = &world.phones[kari].notified;
    assert!(told.iter().any(|body| body.contains("200")), "{told:?}");
    assert_eq!((world.phones[kari].live_lines(), world.phones[carrier].live_lines()), (0, 1));
    world.phones[carrier].hang_up(world.now, call);
    world.finish();
}

#[test]
fn who_takes_the_place_of_a_caller_goes_on_where_a_prompt_was_cut_off() {
    let mut world = World::new(3);
    let (kari, other) = (world.registered("kari"), world.registered("kari2"));
    let call = world.phones[kari].call(world.now, "690", false);
    world.until("Kari is up", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    world.run(S / 10);
    let instead = vec![("Replaces", world.phones[kari].replaces(call))];
    let taken = world.phones[other].call_with(world.now, "101", false, instead);
    world.run(5 * S);
    assert_eq!(world.phones[kari].live_lines(), 0);
    let audio = world.phones[other].lines[&taken].audio;
    assert!(world.stream_to(audio).unwrap().1.is_busy(), "a message is left from the other phone");
    world.finish();
}

/// The company; of every other pair of seeds its calls are recorded, which must end with them and go where they go.
fn company(seed: u64) -> String {
    match seed / 2 % 2 {
        0 => COMPANY.to_owned(),
        _ => COMPANY.replacen("[company]\n", "[company]\nrecord = \"all\"\n", 1),
    }
}

fn one(seed: u64) {
    let company = company(seed);
    let mut world = World::at(seed, noon(), config(&company));
    let carrier = world.carrier();
    for name in ["kari", "ola", "sara"] {
        world.registered(name);
    }
    if seed % 2 == 1 {
        world.weather = Weather::ROUGH;
    }
    for _ in 0..40 {
        act(&mut world, carrier, &company);
        let pause = world.rng.below(if seed.is_multiple_of(3) { 300 } else { 2_000 }) as u64;
        world.run(Duration::from_millis(pause));
    }
    // Nobody does anything more; what rings is answered or refused.
    world.weather = Weather::FINE;
    for phone in &mut world.phones {
        phone.answer = Answer::After(S / 10);
    }
    for phone in 0..world.phones.len() {
        while let Some(line) = world.phones[phone].line(&Stage::Ringing) {
            world.phones[phone].end(world.now, line);
        }
    }
    world.run(150 * S);
    judge(&world);
    world.finish();
}

fn judge(world: &World) {
    let mut streams = 0;
    for phone in &world.phones {
        for line in phone.lines.values() {
            assert!(matches!(line.stage, Stage::Up | Stage::Over(_)), "{}: {line:?}", phone.name);
            let found = world.stream_to(line.audio);
            assert_eq!(found.is_some(), line.stage == Stage::Up, "{}: {line:?}", phone.name);
            let Some((id, stream)) = found else { continue };
            streams += 1;
            match &stream.base {
                Base::Peer(other) => {
                    let other = &world.streams.get(other).expect("who is heard is there").base;
                    assert!(*other == Base::Peer(*id) || matches!(other, Base::Music(_)), "{other:?}");
                }
                Base::Music(_) => {}
                base => assert!(stream.is_busy(), "{} is left with {base:?}: {line:?}", phone.name),
            }
        }
    }
    assert_eq!(world.streams.len(), streams);
}

/// Something happens by chance.
pub fn act(world: &mut World, carrier: usize, company: &str) {
    let now = world.now;
    let who = world.rng.below(world.phones.len());
    let ours = 1 + world.rng.below(world.phones.len() - 1);
    match world.rng.below(16) {
        0..=3 => {
            let number = match who == carrier {
                true => ["+4736000101", "+4736000110", "+4736000120", "+4736000101"][world.rng.below(4)],
                false => ["101", "102", "103", "601", "650", "36000777"][world.rng.below(6)],
            };
            if world.phones[who].live_lines() < 3 {
                world.phones[who].call(now, number, false);
            }
        }
        4 => {
            if let Some(line) = any(world, who, |_| true) {
                world.phones[who].end(now, line);
            }
        }
        5 | 6 => {
            if let Some(line) = any(world, who, |stage| *stage == Stage::Up) {
                let on = world.rng.below(2) == 0;
                world.phones[who].try_hold(now, line, on);
            }
        }
        7..=9 => {
            let to = ["101", "102", "103", "601", "650", "36000777"][world.rng.below(6)];
            if let Some(line) = any(world, ours, |stage| *stage == Stage::Up) {
                world.phones[ours].refer(now, line, &format!("sip:{to}@prove.example"));
            }
        }
        10 | 11 => {
            let first = any(world, ours, |stage| *stage == Stage::Up);
            let second = any(world, ours, |stage| matches!(stage, Stage::Up | Stage::Calling));
            if let (Some(first), Some(second)) = (first, second) {
                let replaces = world.phones[ours].replaces(second);
                let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
                let to = format!("sip:102@prove.example?Replaces={escaped}");
                world.phones[ours].refer(now, first, &to);
            }
        }
        12 | 13 => {
            let from = 1 + world.rng.below(world.phones.len() - 1);
            let line = any(world, from, |stage| matches!(stage, Stage::Ringing | Stage::Up));
            if let Some(line) = line.filter(|_| from != ours && world.phones[ours].live_lines() < 3) {
                let replaces = vec![("Replaces", world.phones[from].replaces(line))];
                world.phones[ours].call_with(now, "101", false, replaces);
            }
        }
        14 => {
            world.phones[who].answer = match world.rng.below(6) {
                0 => Answer::Ring,
                1 => Answer::Refuse([486, 480, 603, 500][world.rng.below(4)]),
                2 if who != carrier => {
                    let to = ["101", "102", "103", "36000777"][world.rng.below(4)];
                    world.phones[who].redirect = Some(format!("<sip:{to}@prove.example>"));
                    Answer::Refuse(302)
                }
                _ => Answer::After(Duration::from_millis(world.rng.below(2_000) as u64)),
            };
        }
        _ => {
            let variant = match world.rng.below(2) {
                0 => company.to_owned(),
                _ => company.replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"sara\"]"),
            };
            world.input(Input::Config(config(&variant)));
        }
    }
}

/// One of a phone's lines that are not over and stand so.
fn any(world: &mut World, phone: usize, so: impl Fn(&Stage) -> bool) -> Option<DialogId> {
    let lines = world.phones[phone].lines.iter();
    let live = lines.filter(|(_, line)| !matches!(line.stage, Stage::Over(_)) && so(&line.stage));
    let mut lines: Vec<DialogId> = live.map(|(dialog, _)| *dialog).collect();
    lines.sort();
    if lines.is_empty() {
        return None;
    }
    let n = world.rng.below(lines.len());
    Some(lines[n])
}
