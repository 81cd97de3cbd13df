//! Races of whole calls through the switch: the seed decides when each party acts, what the network does, and whether the
//! configuration is loaded again meanwhile. How a race ends must be what a small reference says from the order in which
//! messages came to the switch; nobody may be left talking to nobody. `SIM_SEED=` replays one run of each race.

use std::collections::BTreeSet;
use std::time::Duration;

use sentral::media::Base;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::sip::DialogId;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::seeds;
use crate::trunks::two;
use crate::world::COMPANY;
use crate::world::SECOND;
use crate::world::TRUNK;
use crate::world::Weather;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

/// Seeds of an ordinary run of each race; `SIM_SEEDS` widens it.
const SEEDS: u64 = 150;

const S: Duration = Duration::from_secs(1);
const NEVER: usize = usize::MAX;

/// Somebody's act, within so many milliseconds.
type Act = (usize, Box<dyn FnOnce(&mut World)>);

#[test]
fn a_refer_against_the_bye_of_the_other_party_leaves_nobody_up() {
    seeds::race(SEEDS, &["referred first", "over first"], |seed| {
        let Talking { mut world, carrier, kari, call, line } = talking(seed);
        let ola = world.registered("ola");
        world.phones[ola].answer = Answer::After(Duration::from_millis(world.rng.below(400) as u64));
        race(
            &mut world,
            vec![
                (500, refer(kari, line, "sip:102@prove.example".to_owned())),
                (800, Box::new(move |w| w.phones[carrier].end(w.now, call))),
            ],
        );
        settle(&mut world);
        let (refer, bye) = (at(&world, kari, "REFER"), at(&world, carrier, "BYE"));
        assert!(world.phones[ola].lines.is_empty() || refer < bye, "nobody was there to be transferred");
        assert_eq!(up(&world), [0, 0, 0], "carrier, Kari, Ola");
        world.finish();
        if refer < bye { "referred first" } else { "over first" }
    });
}

#[test]
fn a_blind_transfer_survives_that_the_answer_crosses_the_bye_of_who_transfers() {
    seeds::race(SEEDS, &["moved", "over", "given back"], |seed| {
        let Talking { mut world, carrier, kari, call, line } = talking(seed);
        let ola = world.registered("ola");
        let refuses = world.rng.below(3) == 0;
        let after = Duration::from_millis(world.rng.below(900) as u64);
        world.phones[ola].answer = if refuses { Answer::Ring } else { Answer::After(after) };
        let stays = world.rng.below(4) == 0;
        let mut acts = vec![(300, refer(kari, line, "sip:102@prove.example".to_owned()))];
        if !stays {
            acts.push((1200, Box::new(move |w: &mut World| w.phones[kari].end(w.now, line))));
        }
        if refuses {
            acts.push((
                1500,
                Box::new(move |w: &mut World| {
                    if let Some(ringing) = w.phones[ola].line(&Stage::Ringing) {
                        w.phones[ola].end(w.now, ringing);
                    } else {
                        w.phones[ola].answer = Answer::Refuse(486);
                    }
                }),
            ));
        }
        race(&mut world, acts);
        world.run(2 * S);
        if refuses && let Some(ringing) = world.phones[ola].line(&Stage::Ringing) {
            world.phones[ola].end(world.now, ringing);
        }
        settle(&mut world);
        let (refer, bye) = (at(&world, kari, "REFER"), at(&world, kari, "BYE"));
        let refused = at(&world, ola, "486 INVITE");
        let outcome = match (refer < bye, refuses) {
            (false, _) => "over",
            (true, false) => "moved",
            (true, true) if stays => "given back",
            // Who has gone when it fails is called back; who has the party back by then hangs up on them.
            (true, true) if bye < refused || up(&world) == [1, 1, 0] => "called back",
            (true, true) => "given back, then over",
        };
        match outcome {
            "moved" => {
                assert_eq!(up(&world), [1, 0, 1]);
                let rung = world.phones[ola].line(&Stage::Up).unwrap();
                assert!(talk(&world, (carrier, call), (ola, rung)));
            }
            "given back" => {
                assert_eq!(up(&world), [1, 1, 0]);
                assert!(talk(&world, (carrier, call), (kari, line)));
            }
            "called back" => {
                assert_eq!(up(&world), [1, 1, 0]);
                let back = world.phones[kari].line(&Stage::Up).unwrap();
                assert!(back != line && talk(&world, (carrier, call), (kari, back)));
            }
            _ => assert_eq!(up(&world), [0, 0, 0], "{outcome}"),
        }
        world.finish();
        outcome
    });
}

#[test]
fn an_attended_transfer_while_the_consulted_party_answers_or_hangs_up() {
    seeds::race(SEEDS, &["joined", "joined, then over", "stayed"], |seed| {
        let Talking { mut world, carrier, kari, call, line } = talking(seed);
        let ola = world.registered("ola");
        let leaves = world.rng.below(3) > 0;
        world.phones[ola].answer = Answer::After(Duration::from_millis(world.rng.below(1200) as u64));
        let second = world.phones[kari].call(world.now, "102", false);
        world.until("Ola is called", 5 * S, |w| !w.phones[ola].lines.is_empty());
        world.until("Kari hears of it", S, |w| !w.phones[kari].lines[&second].log.is_empty());
        let replaces = world.phones[kari].replaces(second);
        let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
        let mut acts = vec![(1000, refer(kari, line, format!("sip:102@prove.example?Replaces={escaped}")))];
        if leaves {
            acts.push((
                1500,
                Box::new(move |w: &mut World| {
                    let lines: Vec<_> = w.phones[ola].lines.keys().copied().collect();
                    lines.into_iter().for_each(|line| w.phones[ola].end(w.now, line));
                }),
            ));
        }
        race(&mut world, acts);
        settle(&mut world);
        let refer = at(&world, kari, "REFER");
        let left = at(&world, ola, "BYE").min(at(&world, ola, "486 INVITE"));
        let outcome = match (refer < left, left < NEVER) {
            (true, false) => "joined",
            (true, true) => "joined, then over",
            (false, _) => "stayed",
        };
        match outcome {
            "joined" => {
                assert_eq!(up(&world), [1, 0, 1]);
                let rung = world.phones[ola].line(&Stage::Up).unwrap();
                assert!(talk(&world, (carrier, call), (ola, rung)));
            }
            "stayed" => {
                assert_eq!(up(&world), [1, 1, 0], "the transfer is declined and the first call stands");
                assert!(talk(&world, (carrier, call), (kari, line)));
            }
            _ => assert_eq!(up(&world), [0, 0, 0]),
        }
        world.finish();
        outcome
    });
}

#[test]
fn a_pick_up_against_the_cancel_of_the_caller_and_the_answer_of_the_phone_that_rings() {
    seeds::race(SEEDS, &["picked up", "too late", "caller gone"], |seed| {
        let mut world = World::new(seed);
        let carrier = world.carrier();
        let (kari, ola) = (world.registered("kari"), world.registered("ola"));
        world.phones[kari].answer = Answer::Ring;
        let call = world.phones[carrier].call(world.now, "+4736000101", false);
        world.until("Kari rings", S, |w| w.phones[kari].line(&Stage::Ringing).is_some());
        world.run(S);
        let ringing = world.phones[kari].line(&Stage::Ringing).unwrap();
        let pick = vec![("Replaces", world.phones[kari].replaces(ringing))];
        let mut acts: Vec<Act> = vec![
            (
                600,
                Box::new(move |w| {
                    w.phones[ola].call_with(w.now, "101", false, pick);
                }),
            ),
            (600, Box::new(move |w| w.phones[kari].pick_up(w.now, ringing))),
        ];
        let leaves = world.rng.below(2) == 0;
        if leaves {
            acts.push((800, Box::new(move |w: &mut World| w.phones[carrier].end(w.now, call))));
        }
        race(&mut world, acts);
        settle(&mut world);
        // A challenge comes before the INVITE that counts.
        let picked = at_last(&world, ola, "INVITE");
        let answered = at(&world, kari, "200 INVITE");
        let outcome = match (leaves, answered < picked) {
            (true, _) => "caller gone",
            (false, true) => "too late",
            (false, false) => "picked up",
        };
        match outcome {
            "picked up" => {
                assert_eq!(up(&world), [1, 0, 1]);
                let has = world.phones[ola].line(&Stage::Up).unwrap();
                assert!(talk(&world, (carrier, call), (ola, has)));
            }
            "too late" => {
                assert_eq!(up(&world), [1, 1, 0], "a call that stands is not a colleague's to take");
                assert!(talk(&world, (carrier, call), (kari, ringing)));
            }
            _ => assert_eq!(up(&world), [0, 0, 0], "carrier, Kari, Ola"),
        }
        world.finish();
        outcome
    });
}

#[test]
fn a_party_that_holds_while_it_is_transferred_holds_who_is_reached() {
    seeds::race(SEEDS, &["held", "talk"], |seed| {
        let Talking { mut world, carrier, kari, call, line } = talking(seed);
        let ola = world.registered("ola");
        world.phones[ola].answer = Answer::After(Duration::from_millis(world.rng.below(900) as u64));
        let resumes = world.rng.below(2) == 0;
        race(
            &mut world,
            vec![
                (500, refer(kari, line, "sip:102@prove.example".to_owned())),
                (1200, hold(carrier, call, true)),
                (900, hold(kari, line, true)),
            ],
        );
        world.run(3 * S);
        if resumes {
            race(&mut world, vec![(10, hold(carrier, call, false))]);
        }
        settle(&mut world);
        let number = |what: &str| what.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        let (refer, again) = (at(&world, kari, "REFER"), at_last(&world, kari, "INVITE"));
        if again < refer && number(&world.arrived[again].1) > number(&world.arrived[refer].1) {
            // RFC 3261 §12.2.2: a request that an overtaking one has made stale is refused.
            assert_eq!((world.phones[kari].registered, up(&world)), (Some(500), vec![1, 1, 0]));
            world.finish();
            return "overtaken";
        }
        assert_eq!(up(&world), [1, 0, 1]);
        let last = world.phones[carrier].lines[&call].log.iter().rfind(|it| it.starts_with("a="));
        let held = last.is_some_and(|direction| direction != "a=sendrecv");
        let rung = world.phones[ola].line(&Stage::Up).unwrap();
        let hears = &world.stream_to(world.phones[ola].lines[&rung].audio).unwrap().1.base;
        assert_eq!(matches!(hears, Base::Music(_)), held, "{hears:?} after {last:?}");
        assert!(held || talk(&world, (carrier, call), (ola, rung)));
        world.finish();
        if held { "held" } else { "talk" }
    });
}

#[test]
fn an_agent_who_answers_as_the_caller_hangs_up_is_free_again() {
    seeds::race(SEEDS, &["answered", "not answered"], |seed| {
        let mut world = World::new(seed);
        let carrier = world.carrier();
        let kari = world.registered("kari");
        world.phones[kari].answer = Answer::After(Duration::from_millis(world.rng.below(900) as u64));
        let call = world.phones[carrier].call(world.now, "+4736000110", false);
        world.run(Duration::from_millis(20));
        race(&mut world, vec![(1200, Box::new(move |w| w.phones[carrier].end(w.now, call)))]);
        let answered =
            world.phones[kari].lines.values().any(|line| line.log.is_empty() && line.stage != Stage::Ringing);
        settle(&mut world);
        assert_eq!(up(&world), [0, 0]);
        world.weather = Weather::FINE;
        world.order(Command::Status);
        let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
        assert_eq!(status.agent_state_divergence, 0);
        world.phones[kari].answer = Answer::After(Duration::from_millis(100));
        world.phones[carrier].call(world.now, "+4736000110", false);
        world.until("the agent is there for the next caller", 30 * S, |w| up(w) == [1, 1]);
        world.finish();
        if answered { "answered" } else { "not answered" }
    });
}

#[test]
fn a_session_refresh_that_meets_a_reinvite_of_the_phone_ends_no_call() {
    seeds::race(SEEDS, &["met", "missed"], |seed| {
        let company = config_with(&[("server.toml", SESSIONS)]);
        let mut world = World::at(seed, noon(), company);
        let carrier = world.carrier();
        let kari = world.registered("kari");
        world.phones[kari].answer = Answer::After(Duration::from_millis(100));
        for phone in [carrier, kari] {
            // They take no UPDATE, so that a refresh is a re-INVITE.
            let settings = sentral::sip::endpoint::Settings {
                session_expires: 600,
                allow: "INVITE, ACK, BYE, CANCEL",
                ..Default::default()
            };
            world.phones[phone].endpoint.set_settings(settings);
        }
        let call = world.phones[carrier].call(world.now, "+4736000101", false);
        world.until("they talk", 5 * S, |w| up(w) == [1, 1]);
        let line = world.phones[kari].line(&Stage::Up).unwrap();
        let mut met = false;
        for round in 0..4 {
            // Each refresh is due 45 s after the one before; a few seconds later if it was in the way of something.
            world.run(44 * S);
            weather(&mut world);
            let on = round % 2 == 0;
            let before = world.arrived.len();
            race(&mut world, vec![(2000, hold(kari, line, on)), (2000, hold(carrier, call, on))]);
            met |= world.arrived[before..].iter().any(|(_, what)| what.starts_with("491"));
        }
        settle(&mut world);
        assert_eq!(up(&world), [1, 1], "the call stands");
        world.finish();
        if met { "met" } else { "missed" }
    });
}

#[test]
fn a_redirection_against_the_cancel_of_the_caller_ends_everywhere() {
    seeds::race(SEEDS, &["redirected first", "cancelled first"], |seed| {
        let mut world = World::new(seed);
        let carrier = world.carrier();
        let (kari, ola) = (world.registered("kari"), world.registered("ola"));
        world.phones[kari].answer = Answer::Refuse(302);
        world.phones[kari].redirect = Some("<sip:102@prove.example>".into());
        world.phones[ola].answer = Answer::After(Duration::from_millis(world.rng.below(300) as u64));
        weather(&mut world);
        let call = world.phones[carrier].call(world.now, "+4736000101", false);
        race(&mut world, vec![(700, Box::new(move |w| w.phones[carrier].end(w.now, call)))]);
        settle(&mut world);
        let (cancel, redirect) = (at(&world, carrier, "CANCEL"), at(&world, kari, "302 INVITE"));
        assert!(world.phones[ola].lines.is_empty() || redirect < cancel, "nobody called Ola any more");
        assert_eq!(up(&world), [0, 0, 0]);
        world.finish();
        if redirect < cancel { "redirected first" } else { "cancelled first" }
    });
}

#[test]
fn a_late_answer_of_a_gateway_that_was_left_ends_and_the_next_has_the_call() {
    seeds::race(SEEDS, &["first", "second"], |seed| {
        let mut world = World::at(seed, noon(), two("", ""));
        let (a, b) = (world.carrier_at(TRUNK), world.carrier_at(SECOND));
        let ola = world.registered("ola");
        world.phones[a].answer = Answer::Late(Duration::from_millis(3500 + world.rng.below(900) as u64));
        world.phones[b].answer = Answer::After(Duration::from_millis(world.rng.below(600) as u64));
        weather(&mut world);
        let call = world.phones[ola].call(world.now, "36000777", false);
        let leaves = world.rng.below(4) == 0;
        world.run(Duration::from_millis(3500));
        if leaves {
            race(&mut world, vec![(1200, Box::new(move |w| w.phones[ola].end(w.now, call)))]);
        } else {
            race(&mut world, Vec::new());
        }
        settle(&mut world);
        let has = if world.phones[b].lines.is_empty() { a } else { b };
        let outcome = if has == a { "first" } else { "second" };
        match leaves {
            true => assert_eq!(up(&world), [0, 0, 0], "a, b, Ola"),
            false => {
                assert_eq!(up(&world), [usize::from(has == a), usize::from(has == b), 1], "{outcome}");
                let rung = world.phones[has].line(&Stage::Up).unwrap();
                assert!(talk(&world, (ola, call), (has, rung)));
            }
        }
        world.finish();
        outcome
    });
}

#[test]
fn the_last_early_media_is_heard_and_the_one_who_answers_wins() {
    seeds::race(SEEDS, &["own SDP", "SDP of its 183"], |seed| {
        let mut world = World::new(seed);
        let ola = world.registered("ola");
        world.phones[ola].call(world.now, "36000777", false);
        world.run(S / 10);
        let trunk = TRUNK.parse().unwrap();
        let invite = world
            .strays
            .iter()
            .find(|(to, text)| *to == trunk && text.starts_with("INVITE"))
            .unwrap()
            .1
            .clone();
        let mut last = None;
        for _ in 0..3 + world.rng.below(4) {
            let callee = world.rng.below(3);
            world.raw(TRUNK, &forked(&invite, 183, callee, true));
            last = Some(callee);
            let heard = world.stream_to(audio_of(callee)).map(|(id, _)| *id);
            assert!(heard.is_some(), "callee {callee} spoke last and is heard");
        }
        // A callee that has sent its SDP may leave it out of the 200; another may not have been heard at all.
        let (winner, own) = match world.rng.below(2) {
            0 => (last.unwrap(), false),
            _ => (world.rng.below(4), true),
        };
        let sent = world.raw(TRUNK, &forked(&invite, 200, winner, own));
        assert!(sent.iter().any(|text| text.starts_with("ACK")), "{sent:?}");
        let other = (winner + 1) % 4;
        let sent = world.raw(TRUNK, &forked(&invite, 200, other, true));
        let methods: BTreeSet<&str> = sent.iter().filter_map(|text| text.split(' ').next()).collect();
        assert!(methods.contains("ACK") && methods.contains("BYE"), "the second is ended: {methods:?}");
        let line = world.phones[ola].line(&Stage::Up).expect("Ola talks");
        assert!(world.talk(world.phones[ola].lines[&line].audio, audio_of(winner)));
        assert_eq!(world.streams.len(), 2);
        world.finish();
        if own { "own SDP" } else { "SDP of its 183" }
    });
}

/// Where a callee behind the carrier wants its audio.
fn audio_of(callee: usize) -> std::net::SocketAddr {
    format!("198.51.100.9:{}", 40_000 + 2 * callee).parse().unwrap()
}

/// An answer of one of several callees, with plain line ends.
fn forked(invite: &str, status: u16, callee: usize, sdp: bool) -> String {
    let of = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let port = audio_of(callee).port();
    let body = format!(
        "v=0\no=x 1 1 IN IP4 198.51.100.9\ns=-\nc=IN IP4 198.51.100.9\nt=0 0\nm=audio {port} RTP/AVP 8\na=rtpmap:8 PCMA/8000\n"
    );
    let body = if sdp { format!("Content-Type: application/sdp\n\n{body}") } else { "\n".to_owned() };
    format!(
        "SIP/2.0 {status} Written\n{}\n{}\n{};tag=callee{callee}\n{}\n{}\nContact: <sip:c{callee}@{TRUNK}>\n{body}",
        of("Via:"),
        of("From:"),
        of("To:"),
        of("Call-ID:"),
        of("CSeq:"),
    )
}

const SESSIONS: &str = r#"
[server]
domain = "prove.example"
[sip]
udp = "192.0.2.1:5060"
session_expires = "90s"
[media]
ports = "20000-20799"
codecs = ["pcma", "pcmu", "g722"]
"#;

/// A carrier's caller who talks with Kari.
struct Talking {
    world: World,
    carrier: usize,
    kari: usize,
    call: DialogId,
    line: DialogId,
}

fn talking(seed: u64) -> Talking {
    let mut world = World::new(seed);
    let carrier = world.carrier();
    let kari = world.registered("kari");
    world.phones[kari].answer = Answer::After(Duration::from_millis(100));
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.run(S);
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    Talking { world, carrier, kari, call, line }
}

/// A network of some kind.
fn weather(world: &mut World) {
    world.weather = Weather {
        loss: [0, 0, 8, 15][world.rng.below(4)],
        twice: [0, 5, 20][world.rng.below(3)],
        delay: Duration::from_millis(1 + world.rng.below(250) as u64),
    };
}

/// Lets everybody act at an instant of its own, and sometimes loads the configuration again in between.
fn race(world: &mut World, mut acts: Vec<Act>) {
    weather(world);
    if world.rng.below(3) == 0 && world.switch.poll_timeout(world.now).is_some() {
        acts.push((1000, Box::new(reload)));
    }
    let mut timed: Vec<(Duration, Act)> = Vec::new();
    for act in acts {
        timed.push((Duration::from_micros(world.rng.below(1000 * act.0) as u64), act));
    }
    timed.sort_by_key(|(at, _)| *at);
    let mut passed = Duration::ZERO;
    for (at, (_, act)) in timed {
        world.run(at - passed);
        passed = at;
        act(world);
    }
    world.run(2 * S);
}

/// The same company with another queue and another language of its announcements.
fn reload(world: &mut World) {
    if world.phones.iter().filter(|phone| phone.name.starts_with('+')).count() == 1 {
        world.input(Input::Config(config(&COMPANY.replace("max_wait = \"5m\"", "max_wait = \"6m\""))));
    }
}

/// Waits until all that was under way has come to its end; every party that is up then has a stream, and no other has.
fn settle(world: &mut World) {
    world.weather = Weather::FINE;
    world.run(80 * S);
    let mut streams = 0;
    for phone in &world.phones {
        for line in phone.lines.values() {
            assert!(matches!(line.stage, Stage::Up | Stage::Over(_)), "{}: {line:?}", phone.name);
            let stands = line.stage == Stage::Up;
            streams += usize::from(stands);
            assert_eq!(world.stream_to(line.audio).is_some(), stands, "{}: {line:?}", phone.name);
        }
    }
    assert_eq!(world.streams.len(), streams);
}

/// How many lines each phone has up.
fn up(world: &World) -> Vec<usize> {
    let of =
        |phone: &crate::phone::Phone| phone.lines.values().filter(|line| line.stage == Stage::Up).count();
    world.phones.iter().map(of).collect()
}

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

/// When a message of a phone came to the switch first.
fn at(world: &World, phone: usize, what: &str) -> usize {
    let from = world.phones[phone].address;
    world.arrived.iter().position(|(who, it)| *who == from && it.starts_with(what)).unwrap_or(NEVER)
}

/// When the last of a phone's requests of this kind came first.
fn at_last(world: &World, phone: usize, what: &str) -> usize {
    let from = world.phones[phone].address;
    let last = world.arrived.iter().rfind(|(who, it)| *who == from && it.starts_with(what));
    last.map_or(NEVER, |(_, it)| at(world, phone, it))
}

/// A line of a phone that stands is transferred.
fn refer(phone: usize, line: DialogId, to: String) -> Box<dyn FnOnce(&mut World)> {
    Box::new(move |world| {
        if world.phones[phone].lines[&line].stage == Stage::Up {
            world.phones[phone].refer(world.now, line, &to);
        }
    })
}

/// A line of a phone that stands is put on hold or taken back; in the way of something else, a little later.
fn hold(phone: usize, line: DialogId, on: bool) -> Box<dyn FnOnce(&mut World)> {
    Box::new(move |world| {
        let up = world.phones[phone].lines[&line].stage == Stage::Up;
        if up && !world.phones[phone].try_hold(world.now, line, on) {
            world.run(Duration::from_millis(300));
            if world.phones[phone].lines[&line].stage == Stage::Up {
                world.phones[phone].try_hold(world.now, line, on);
            }
        }
    })
}
