//! What the core tells for diagnosis, and when it asks for a carrier's address again.

use std::net::SocketAddr;
use std::time::Duration;

use sentral::media;
use sentral::media::Codec;
use sentral::media::Silence;
use sentral::media::Stats;
use sentral::model::audio::Fault;
use sentral::model::audio::Side;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::event::Event;
use sentral::model::server::Language;
use sentral::rand::Rng;
use sentral::sip::DialogId;
use sentral::sip::Hop;
use sentral::sip::Transport;
use sentral::switch::Answer;
use sentral::switch::Ask;
use sentral::switch::AskId;
use sentral::switch::Input;
use sentral::switch::Output;
use sentral::switch::Switch;
use sentral::switch::why;
use sentral::time::Now;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

#[test]
fn each_leg_of_a_call_is_told_with_its_call_id() {
    let mut world = World::new(31);
    let kari = world.registered("kari");
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("they talk", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    let told: Vec<(String, String)> = world
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::CallLeg { call_id, party, .. } => Some((party.to_string(), call_id.to_string())),
            _ => None,
        })
        .collect();
    let parties: Vec<&str> = told.iter().map(|(party, _)| &**party).collect();
    assert_eq!(parties, ["trunk carrier", "kari"]);
    world.order(Command::Calls);
    let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls were asked for") };
    let ids: Vec<String> = told.into_iter().map(|(_, call_id)| call_id).collect();
    assert_eq!(calls[0].call_ids, ids);
    assert_ne!(ids[0], ids[1]);
    let line = world.phones[kari].line(&Stage::Up).expect("kari talks");
    world.phones[kari].hang_up(world.now, line);
    world.run(5 * S);
    world.finish();
}

#[test]
fn one_way_audio_is_named_with_its_side_shown_and_kept() {
    let mut world = World::new(33);
    let kari = world.registered("kari");
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("they talk", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    world.run(S);
    world.order(Command::Calls);
    let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls were asked for") };
    let sides: Vec<(Side, &str)> = calls[0].audio.iter().map(|leg| (leg.side, &*leg.party)).collect();
    assert_eq!(sides, [(Side::Caller, "trunk carrier"), (Side::Callee, "kari")]);
    let of = |port: u16, world: &World| *world.streams.keys().find(|id| id.port == port).expect("it is open");
    let (caller, callee) = (of(calls[0].audio[0].port, &world), of(calls[0].audio[1].port, &world));

    let stats = Stats { received: 0, sent: 150, codec: Some(Codec::Pcma), ..Stats::default() };
    world.input(Input::Media(media::Event::Figures { stream: callee, stats }));
    world.input(Input::Media(media::Event::Quiet { stream: callee, silent: 2 * S, cause: Silence::Nothing }));
    world.order(Command::Calls);
    let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls were asked for") };
    assert_eq!((calls[0].audio[1].fault, calls[0].audio[0].fault), (Some(Fault::NothingReceived), None));
    assert_eq!((calls[0].audio[1].sent, &*calls[0].audio[1].codec), (150, "PCMA"));
    world.input(Input::Media(media::Event::Restored { stream: callee }));
    world.input(Input::Media(media::Event::Unheard { stream: caller }));
    let told: Vec<(String, String, String)> = world
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Decision(event) if event.event.starts_with("audio.") => {
                let by = event.fields.by.as_deref().unwrap_or_default();
                Some((event.event.to_string(), event.code().to_owned(), by.to_owned()))
            }
            _ => None,
        })
        .collect();
    let row = |event: &str, code: &str, by: &str| (event.to_owned(), code.to_owned(), by.to_owned());
    assert_eq!(
        told,
        [
            row("audio.one_way", "nothing_received", "callee"),
            row("audio.restored", "nothing_received", "callee"),
            row("audio.one_way", "nothing_arrives", "caller"),
        ]
    );
    let line = world.phones[kari].line(&Stage::Up).expect("kari talks");
    world.phones[kari].hang_up(world.now, line);
    world.run(5 * S);
    let kept: Vec<(Side, Option<Fault>)> = world
        .changes
        .iter()
        .flat_map(|change| match change {
            Change::CallEnded { cdr } => cdr.audio.iter().map(|leg| (leg.side, leg.fault)).collect(),
            Change::CallAudio { leg, .. } => vec![(leg.side, leg.fault)],
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(
        kept.contains(&(Side::Caller, Some(Fault::NothingArrives))) && kept.contains(&(Side::Callee, None))
    );
    world.finish();
}

/// What is told and kept of one-way audio says who is at fault, what was seen, and what to do, in both languages.
#[test]
fn audio_that_comes_and_is_not_heard_is_named_by_its_cause() {
    let at: SocketAddr = "192.0.2.7:4000".parse().expect("an address");
    let rows = [
        (
            Silence::Stranger(at),
            Fault::WrongSource,
            ["192.0.2.7:4000, but SDP said", "SIP help (ALG)"],
            "SDP oppga",
        ),
        (
            Silence::Sealed(at),
            Fault::CannotDecrypt,
            ["(192.0.2.7:4000) cannot be decrypted", "SRTP setting"],
            "kan ikke dekrypteres",
        ),
        (
            Silence::Unfit(at),
            Fault::WrongFormat,
            ["is not PCMA, as agreed on", "codecs there"],
            "er ikke PCMA",
        ),
        (Silence::NoKeys, Fault::NoKeys, ["has not completed DTLS", "fingerprint"], "har ikke fullført DTLS"),
    ];
    for (cause, fault, words, norwegian) in rows {
        let mut world = World::new(34);
        let kari = world.registered("kari");
        let carrier = world.carrier();
        let call = world.phones[carrier].call(world.now, "+4736000101", false);
        world.until("they talk", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
        let line = world.phones[kari].line(&Stage::Up).expect("kari talks");
        let audio = world.phones[kari].lines[&line].audio;
        let (stream, _) = world.stream_to(audio).expect("it has a stream");
        let stream = *stream;
        world.input(Input::Media(media::Event::Quiet { stream, silent: 2 * S, cause }));
        world.order(Command::Calls);
        let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls were asked for") };
        let shown = &calls[0].audio[1];
        assert_eq!((shown.side, shown.fault), (Side::Callee, Some(fault)));
        let told: Vec<Event> = world
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Decision(event) if event.event.starts_with("audio.") => Some(Event::clone(event)),
                _ => None,
            })
            .collect();
        let [event] = &told[..] else { panic!("one event: {told:?}") };
        assert_eq!((event.code(), event.fields.by.as_deref()), (fault.as_str(), Some("callee")));
        let text = shown.fault_text.clone().expect("in words");
        let english = why::tell(&told, Language::En).remove(0).text;
        for word in words.into_iter().chain(["who was called"]) {
            assert!(
                text.contains(word) && event.why.contains(word) && english.contains(word),
                "{text}\n{english}"
            );
        }
        if fault == Fault::WrongSource {
            assert!(text.contains(&audio.to_string()), "the address of SDP: {text}");
        }
        let nb = why::tell(&told, Language::Nb).remove(0).text;
        assert!(nb.contains(norwegian) && nb.contains("den som ble ringt"), "{nb}");
        world.phones[kari].hang_up(world.now, line);
        world.run(5 * S);
        let kept = world.changes.iter().any(|change| match change {
            Change::CallEnded { cdr } => cdr.audio.iter().any(|leg| leg.fault_text.as_ref() == Some(&text)),
            Change::CallAudio { leg, .. } => leg.fault_text.as_ref() == Some(&text),
            _ => false,
        });
        assert!(kept, "the call's record says it too");
        world.finish();
    }
}

#[test]
fn who_holds_and_who_has_not_answered_may_be_silent() {
    let mut world = World::new(34);
    let ola = world.registered("ola");
    let carrier = world.carrier();
    let faults = |world: &mut World| -> Vec<Option<Fault>> {
        world.order(Command::Calls);
        let Some(Answered::Calls { calls }) = world.answers.pop() else { panic!("calls were asked for") };
        calls[0].audio.iter().map(|leg| leg.fault).collect()
    };
    let quiet = |world: &mut World, phone: usize, line: DialogId| {
        let stream = *world.stream_to(world.phones[phone].lines[&line].audio).expect("it is open").0;
        world.input(Input::Media(media::Event::Quiet { stream, silent: 2 * S, cause: Silence::Nothing }));
        faults(world)
    };
    // The network sends 183 with SDP and no audio yet.
    world.phones[carrier].answer = crate::phone::Answer::Early;
    let call = world.phones[ola].call(world.now, "36000777", false);
    world.run(S);
    let out = world.phones[carrier].line(&Stage::Ringing).expect("the carrier is called");
    assert_eq!(quiet(&mut world, carrier, out), [None, None]);
    world.phones[carrier].pick_up(world.now, out);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    world.phones[ola].hold(world.now, call, true);
    world.run(S);
    assert_eq!(quiet(&mut world, ola, call), [None, None], "who holds sends nothing");
    world.phones[ola].hold(world.now, call, false);
    world.run(S);
    let decided =
        |change: &Change| matches!(change, Change::Decision(event) if event.event.starts_with("audio."));
    assert!(!world.changes.iter().any(decided));
    assert_eq!(quiet(&mut world, ola, call), [Some(Fault::NothingReceived), None], "who talks does");
    world.finish();
}

#[test]
fn a_carrier_is_looked_up_again_when_its_address_may_no_longer_be_believed() {
    let mut now = Now { mono: std::time::Instant::now(), utc: noon() };
    let begin = now.mono;
    let mut switch = Switch::new(now, config(COMPANY), Rng::from_seed(1));
    let mut asked = Vec::new();
    // A known address for 7 s, then an unknown one for 30 s, then known for an hour.
    for (known, ttl) in [(true, 7), (false, 30), (true, 3_600)] {
        let id = next_question(&mut switch, &mut now);
        asked.push((now.mono - begin).as_secs());
        let hop = Hop {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "127.0.0.2:5060".parse().unwrap(),
            connection: None,
        };
        let hops = if known { vec![hop] } else { Vec::new() };
        let answer = Answer::Resolved { hops, ttl: Duration::from_secs(ttl) };
        switch.handle_input(now, Input::Answer { id, answer });
    }
    next_question(&mut switch, &mut now);
    asked.push((now.mono - begin).as_secs());
    assert_eq!(asked, [0, 7, 37, 3_637]);
}

/// Lets time pass until the core asks for an address.
fn next_question(switch: &mut Switch, now: &mut Now) -> AskId {
    for _ in 0..10_000 {
        while let Some(output) = switch.poll_output() {
            if let Output::Ask { id, ask: Ask::Resolve { .. } } = output {
                return id;
            }
        }
        let (at, _) = switch.poll_timeout(*now).expect("there is always an audit to come");
        let passed = at.saturating_duration_since(now.mono);
        *now = Now { mono: now.mono + passed, utc: now.utc + passed };
        switch.handle_timeout(*now);
    }
    panic!("the core never asks");
}
