//! Recording of calls: when it begins, who may have it, and where it goes when the call does.

use std::time::Duration;

use sentral::media;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::command::RecordOrder;
use sentral::model::id::CallId;
use sentral::sip::DialogId;
use sentral::sip::Method;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::Taped;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const KARI: &str = "+4736000101";
const SALES: &str = "+4736000110";

fn world(seed: u64, changes: &[(&str, &str)]) -> World {
    let mut text = COMPANY.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    World::at(seed, noon(), config(&text))
}

/// A company whose calls are all recorded, unless `more` says otherwise.
fn recording(seed: u64, more: &str) -> World {
    let set = format!("number = \"+4736000100\"\nrecord = \"all\"\n{more}");
    world(seed, &[("number = \"+4736000100\"\n", &set)])
}

/// A carrier's caller talks with somebody: the carrier, the caller's line, the other's line.
fn talk(world: &mut World, number: &str, with: usize) -> (usize, DialogId, DialogId) {
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, number, false);
    world.until("they talk", 10 * S, |w| {
        let up = w.phones[with].line(&Stage::Up);
        up.is_some_and(|up| w.talk(w.phones[carrier].lines[&call].audio, w.phones[with].lines[&up].audio))
    });
    let line = world.phones[with].line(&Stage::Up).unwrap();
    (carrier, call, line)
}

fn tapes(world: &World) -> Vec<&Taped> {
    world.taped.values().collect()
}

fn events(world: &World) -> Vec<String> {
    let told = world.changes.iter().filter_map(|change| match change {
        Change::Decision(event) if event.event.starts_with("recording.") => {
            Some(format!("{} {}", event.event, event.code()))
        }
        _ => None,
    });
    told.collect()
}

fn the_call(world: &World) -> CallId {
    let started = world.changes.iter().rev().find_map(|change| match change {
        Change::CallStarted { call, .. } => Some(*call),
        _ => None,
    });
    started.expect("a call")
}

fn order(world: &mut World, order: RecordOrder) -> Answered {
    let call = the_call(world);
    world.order(Command::Record { call, order });
    world.run(10 * MS);
    world.answers.pop().expect("answered")
}

fn record_key(world: &mut World, phone: usize, line: DialogId, what: &str) {
    let extra = vec![("Record", what.to_owned())];
    let now = world.now;
    world.phones[phone].endpoint.request_in(now, line, Method::Info, extra, None).unwrap();
    world.phones[phone].timeout(now);
    world.run(100 * MS);
}

#[test]
fn a_call_is_recorded_from_the_announcement_to_the_end() {
    let mut world = recording(800, "");
    let kari = world.registered("kari");
    let (carrier, call, line) = talk(&mut world, KARI, kari);
    world.run(500 * MS);
    assert!(tapes(&world).is_empty(), "both are being told");
    let kari_audio = world.phones[kari].lines[&line].audio;
    for audio in [world.phones[carrier].lines[&call].audio, kari_audio] {
        let played = &world.stream_to(audio).unwrap().1.played;
        assert!(played.last().unwrap().contains("recording/announce"), "{played:?}");
    }
    world.run(10 * S);
    assert_eq!(order(&mut world, RecordOrder::Start), refused(&world, "the call is being recorded"));
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let id = the_call(&world);
    let [tape] = tapes(&world)[..] else { panic!("{:?}", world.taped) };
    assert_eq!(tape.file, format!("recordings/prove/2026/11/23/{id}-1.wav"));
    assert!(tape.length.unwrap() > 8 * S, "{tape:?}");
    assert_eq!(
        events(&world),
        ["recording.started always", "recording.refused runs", "recording.ready ready"]
    );
    assert_eq!(*world.cdrs[0].recordings[0], *tape.file);
    let begun = world.changes.iter().any(|change| {
        matches!(change, Change::RecordingBegun { recording }
            if recording.call == id && recording.user.as_ref().is_some_and(|user| user.as_str() == "kari"))
    });
    let ended = world.changes.iter().any(|change| matches!(change, Change::RecordingEnded { .. }));
    assert!(begun && ended);
    world.finish();
}

fn refused(world: &World, words: &str) -> Answered {
    Answered::Refused { why: format!("record call {}: {words}", the_call(world)), not_found: false }
}

#[test]
fn what_is_recorded_is_what_the_queue_says_else_the_users_else_the_company() {
    let user = |mode: &str| (("[users.kari]\n", format!("[users.kari]\nrecording = \"{mode}\"\n")), KARI);
    let queue =
        |mode: &str| (("[queues.sales]\n", format!("[queues.sales]\nrecording = \"{mode}\"\n")), SALES);
    let company = |mode: &str, number: &'static str| {
        (("[company]\n", format!("[company]\nrecord = \"{mode}\"\n")), number)
    };
    let none = || (("[company]\n", "[company]\n".to_owned()), KARI);
    // (setting and number, consent, the phone's record key pressed, recorded, by whom)
    let rows = [
        (none(), None, false, None),
        (none(), None, true, None),
        (user("always"), None, false, Some("always")),
        (user("on_demand"), None, false, None),
        (user("on_demand"), None, true, Some("phone")),
        (user("off"), None, true, None),
        (queue("always"), None, false, Some("always")),
        (queue("on_demand"), None, true, Some("phone")),
        (queue("off"), None, true, None),
        (queue("consent"), None, false, None),
        (queue("consent"), None, true, None),
        (queue("consent"), Some('1'), false, Some("consent")),
        (queue("consent"), Some('2'), true, None),
        (queue("always"), Some('2'), false, None),
        (queue("always"), Some('1'), false, Some("consent")),
        (queue("on_demand"), Some('2'), true, None),
        (company("queues", SALES), None, false, Some("always")),
        (company("queues", KARI), None, true, None),
        (company("on_demand", KARI), None, true, Some("phone")),
        (company("all", KARI), None, false, Some("always")),
    ];
    for (row, (((from, to), number), consent, key, expect)) in rows.into_iter().enumerate() {
        let mut changes = vec![(from, &*to)];
        if consent.is_some() {
            changes.push(("\"+4736000110\" = \"queue:sales\"", "\"+4736000110\" = \"flow:ask\""));
            changes.push((
                "[flows.main]\n",
                "[flows.ask]\nname = \"Spør\"\nstart = \"s\"\n[flows.ask.steps]\ns = { consent = \"welcome\", accepted = \"queue:sales\", declined = \"queue:sales\" }\n[flows.main]\n",
            ));
        }
        let mut world = world(810 + row as u64, &changes);
        let kari = world.registered("kari");
        let carrier = world.carrier();
        let call = world.phones[carrier].call(world.now, number, false);
        if let Some(consent) = consent {
            world.until("the flow answers", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
            world.run(S);
            let audio = world.phones[carrier].lines[&call].audio;
            world.key(audio, consent);
        }
        world.until("Kari answers", 10 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
        world.run(3 * S);
        if key {
            let line = world.phones[kari].line(&Stage::Up).unwrap();
            record_key(&mut world, kari, line, "on");
            let told = world.phones[kari].registered;
            assert_eq!(told, Some(if expect.is_some() { 200 } else { 403 }), "row {row}");
            world.run(3 * S);
        }
        let began = events(&world)
            .into_iter()
            .find_map(|event| event.strip_prefix("recording.started ").map(str::to_owned));
        assert_eq!(began.as_deref(), expect, "row {row}: {:?}", events(&world));
        assert_eq!(world.taped.len(), usize::from(expect.is_some()), "row {row}");
        world.finish();
    }
}

#[test]
fn private_numbers_are_not_recorded_and_the_caller_who_said_yes_is_not_told_again() {
    let mut world =
        recording(840, "[recordings]\nprivate = [\"+4736000777\"]\nformat = \"opus\"\nkeep = \"30d\"\n");
    let kari = world.registered("kari");
    talk(&mut world, KARI, kari);
    world.run(3 * S);
    assert!(world.taped.is_empty());
    assert_eq!(events(&world), ["recording.refused private"]);
    let why = order(&mut world, RecordOrder::Start);
    assert!(matches!(&why, Answered::Refused { why, .. } if why.contains("private")), "{why:?}");
    world.finish();
}

#[test]
fn a_recording_goes_on_through_hold_and_a_blind_transfer() {
    let mut world = recording(841, "[recordings]\nannounce = false\n");
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    let (carrier, call, line) = talk(&mut world, KARI, kari);
    let caller = world.phones[carrier].lines[&call].audio;
    world.run(2 * S);
    world.phones[kari].hold(world.now, line, true);
    world.run(2 * S);
    world.phones[kari].hold(world.now, line, false);
    world.run(2 * S);
    world.phones[kari].refer(world.now, line, "sip:102@prove.example");
    world.until("Ola answers", 10 * S, |w| w.phones[ola].line(&Stage::Up).is_some());
    world.run(2 * S);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    let [tape] = tapes(&world)[..] else { panic!("{:?}", world.taped) };
    assert_eq!(tape.places, [(Some(caller), false)], "one stream, all the time");
    assert!(tape.length.unwrap() > 8 * S);
    world.finish();
}

#[test]
fn an_attended_transfer_takes_the_recording_along() {
    let mut world = recording(842, "[recordings]\nannounce = false\n");
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    let (carrier, call, line) = talk(&mut world, KARI, kari);
    let caller = world.phones[carrier].lines[&call].audio;
    let first = the_call(&world);
    world.phones[kari].hold(world.now, line, true);
    world.run(S);
    world.phones[ola].answer = Answer::After(S);
    let second = world.phones[kari].call(world.now, "102", false);
    world.run(3 * S);
    assert_eq!(world.taped.len(), 2, "what Kari asks Ola is a call of its own");
    let replaces = world.phones[kari].replaces(second);
    let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
    world.phones[kari].refer(world.now, line, &format!("sip:102@prove.example?Replaces={escaped}"));
    world.run(5 * S);
    let [of_first, of_second] = tapes(&world)[..] else { panic!("{:?}", world.taped) };
    assert!(of_first.length.is_none() && of_second.length.is_some(), "the caller's goes on");
    assert_eq!(of_first.places, [(Some(caller), false)]);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert!(tapes(&world)[0].length.unwrap() > 8 * S);
    assert!(events(&world).contains(&"recording.moved moved".to_owned()), "{:?}", events(&world));
    let with =
        |cdr: &&sentral::model::cdr::Cdr| cdr.recordings.iter().any(|file| file.contains(&first.to_string()));
    assert_eq!(world.cdrs.iter().filter(with).count(), 2, "both records name it");
    world.finish();
}

/// A company that records everything and asks who calls its main number; the caller talks with Kari and has keyed `said`.
fn asked(seed: u64, said: char) -> (World, usize, usize, DialogId, DialogId) {
    let flow = "[flows.ask]\nname = \"Spør\"\nstart = \"s\"\n[flows.ask.steps]\ns = { consent = \"welcome\", accepted = \"user:kari\", declined = \"user:kari\" }\n[flows.main]\n";
    let company = "number = \"+4736000100\"\nrecord = \"all\"\nfeature_keys = \"all\"\n[recordings]\nannounce = false\n";
    let mut world = world(
        seed,
        &[
            ("number = \"+4736000100\"\n", company),
            ("\"+4736000110\" = \"queue:sales\"", "\"+4736000110\" = \"flow:ask\""),
            ("[flows.main]\n", flow),
        ],
    );
    let (carrier, kari) = (world.carrier(), world.registered("kari"));
    let call = world.phones[carrier].call(world.now, SALES, false);
    world.until("the flow answers", S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
    world.run(S);
    let audio = world.phones[carrier].lines[&call].audio;
    world.key(audio, said);
    world.until("Kari answers", 10 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.run(S);
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    (world, carrier, kari, call, line)
}

#[test]
fn what_the_caller_said_to_being_recorded_goes_with_them() {
    for (row, said) in ['2', '1'].into_iter().enumerate() {
        let (mut world, _, kari, _, line) = asked(850 + row as u64, said);
        let ola = world.registered("ola");
        let recorded = || if said == '1' { 1 } else { 0 };
        assert_eq!(world.taped.len(), recorded(), "{said}");
        world.phones[kari].hold(world.now, line, true);
        world.run(S);
        let second = world.phones[kari].call(world.now, "102", false);
        world.until("Ola answers", 5 * S, |w| w.phones[ola].line(&Stage::Up).is_some());
        world.run(S);
        assert_eq!(world.taped.len(), recorded() + 1, "two colleagues are recorded");
        let replaces = world.phones[kari].replaces(second);
        let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
        world.phones[kari].refer(world.now, line, &format!("sip:102@prove.example?Replaces={escaped}"));
        world.run(5 * S);
        let running = tapes(&world).iter().filter(|tape| tape.length.is_none()).count();
        assert_eq!((running, world.taped.len()), (recorded(), recorded() + 1), "{said}");
        let why = order(&mut world, RecordOrder::Start);
        let words = if said == '1' { "being recorded" } else { "has said no" };
        assert!(matches!(&why, Answered::Refused { why, .. } if why.contains(words)), "{why:?}");
        world.finish();
    }
}

#[test]
fn a_three_way_with_somebody_who_said_no_is_not_recorded() {
    let (mut world, _, kari, _, line) = asked(852, '2');
    let ola = world.registered("ola");
    let audio = world.phones[kari].lines[&line].audio;
    let press = |world: &mut World, keys: &str| {
        for key in keys.chars() {
            world.key(audio, key);
            world.run(200 * MS);
        }
        world.run(2 * S);
    };
    press(&mut world, "*2102#");
    world.until("Ola answers", 5 * S, |w| w.phones[ola].line(&Stage::Up).is_some());
    world.run(S);
    assert_eq!(world.taped.len(), 1, "two colleagues are recorded");
    press(&mut world, "*3");
    assert!(tapes(&world)[0].length.is_some(), "no longer, when the caller hears and is heard");
    world.run(5 * S);
    assert_eq!(world.taped.len(), 1);
    world.finish();
}

#[test]
fn a_call_that_goes_on_to_a_private_number_is_recorded_no_longer() {
    let mut world =
        recording(853, "[recordings]\nannounce = false\nprivate = [\"+4736000555\"]\nformat = \"wav\"\n");
    let kari = world.registered("kari");
    let (carrier, call, line) = talk(&mut world, KARI, kari);
    world.run(S);
    assert!(tapes(&world)[0].length.is_none());
    world.phones[kari].refer(world.now, line, "sip:+4736000555@prove.example");
    world.run(5 * S);
    let up = world.phones[carrier].lines.values().filter(|line| line.stage == Stage::Up).count();
    assert_eq!(up, 2, "{call:?} talks with the private number");
    assert!(tapes(&world)[0].length.is_some());
    assert_eq!(events(&world)[1], "recording.refused private");
    world.finish();
}

#[test]
fn who_stays_when_the_recorded_caller_leaves_keeps_their_side() {
    // Kari calls Ola, and sends him on to Sara: Kari's stream was tapped, then Ola's, whose voice stays on the right.
    let mut world = recording(843, "[recordings]\nannounce = false\n");
    let (kari, ola, sara) = (world.registered("kari"), world.registered("ola"), world.registered("sara"));
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].line(&Stage::Up).is_some());
    world.run(2 * S);
    let line = world.phones[ola].line(&Stage::Up).unwrap();
    let (kari_audio, ola_audio) =
        (world.phones[kari].lines[&call].audio, world.phones[ola].lines[&line].audio);
    world.phones[kari].refer(world.now, call, "sip:103@prove.example");
    world.until("Sara answers", 10 * S, |w| w.phones[sara].line(&Stage::Up).is_some());
    world.run(2 * S);
    let [tape] = tapes(&world)[..] else { panic!("{:?}", world.taped) };
    assert_eq!(tape.places, [(Some(kari_audio), false), (Some(ola_audio), true)]);
    assert!(tape.length.is_none());
    world.finish();
}

#[test]
fn another_phone_of_the_agent_takes_over_and_the_recording_goes_on() {
    let mut world = recording(844, "[recordings]\nannounce = false\n");
    let kari = world.registered("kari");
    let (carrier, call, _) = talk(&mut world, KARI, kari);
    world.run(2 * S);
    let kari2 = world.registered("kari2");
    let own = world.phones[kari2].call(world.now, "*11", false);
    world.until("the other phone has the call", 5 * S, |w| {
        w.talk(w.phones[carrier].lines[&call].audio, w.phones[kari2].lines[&own].audio)
    });
    world.run(2 * S);
    let [tape] = tapes(&world)[..] else { panic!("{:?}", world.taped) };
    assert!(tape.length.is_none() && tape.places.len() == 1, "{tape:?}");
    world.finish();
}

#[test]
fn a_paused_recording_takes_nothing_and_what_is_keyed_in_is_not_noted() {
    let mut world = recording(845, "[recordings]\nannounce = false\n");
    let kari = world.registered("kari");
    let (carrier, call, line) = talk(&mut world, KARI, kari);
    world.run(2 * S);
    assert_eq!(order(&mut world, RecordOrder::Pause), Answered::Done);
    assert_eq!(order(&mut world, RecordOrder::Pause), Answered::Done, "twice is once");
    // The caller keys something in, into a menu that Kari sends them to.
    world.phones[kari].refer(world.now, line, "sip:+4736000100@prove.example");
    world.run(4 * S);
    let audio = world.phones[carrier].lines[&call].audio;
    world.key(audio, '1');
    world.until("somebody of the queue answers", 10 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.run(S);
    assert_eq!(order(&mut world, RecordOrder::Resume), Answered::Done);
    let [tape] = tapes(&world)[..] else { panic!("{:?}", world.taped) };
    assert_eq!(tape.pauses, [true, false]);
    assert_eq!(order(&mut world, RecordOrder::Stop), Answered::Done);
    assert!(tapes(&world)[0].length.is_some());
    world.run(5 * S);
    assert_eq!(world.taped.len(), 1, "what was stopped does not begin again by itself");
    assert_eq!(order(&mut world, RecordOrder::Stop), refused(&world, "the call is not being recorded"));
    assert_eq!(order(&mut world, RecordOrder::Start), Answered::Done);
    assert_eq!(world.taped.len(), 2);
    world.phones[carrier].hang_up(world.now, call);
    world.run(S);
    assert_eq!(world.cdrs[0].recordings.len(), 2);
    assert_eq!(world.cdrs[0].keys, "•");
    let noted = |change: &Change| matches!(change, Change::Decision(event) if event.fields.key.is_some());
    assert!(!world.changes.iter().any(noted));
    world.finish();
}

#[test]
fn a_user_records_by_keys_and_may_pause_but_not_end_what_is_recorded_by_configuration() {
    for always in [false, true] {
        let mode = if always { "all" } else { "on_demand" };
        let set = format!(
            "number = \"+4736000100\"\nrecord = \"{mode}\"\nfeature_keys = \"all\"\n[recordings]\nannounce = false\n"
        );
        let mut world = world(846, &[("number = \"+4736000100\"\n", &set)]);
        let kari = world.registered("kari");
        let (_, _, line) = talk(&mut world, KARI, kari);
        let audio = world.phones[kari].lines[&line].audio;
        world.run(S);
        let keyed = |world: &mut World, keys: &str| {
            for key in keys.chars() {
                world.key(audio, key);
                world.run(200 * MS);
            }
            world.run(2 * S);
            let played = world.stream_to(audio).unwrap().1.played.last().cloned().unwrap_or_default();
            played.split('"').nth(1).unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
        };
        if !always {
            assert_eq!(keyed(&mut world, "*6"), "refused", "there is nothing to pause");
            assert_eq!(keyed(&mut world, "*5"), "on");
        }
        assert_eq!(keyed(&mut world, "*6"), "paused");
        assert_eq!(keyed(&mut world, "*6"), "resumed");
        assert_eq!(keyed(&mut world, "*5"), if always { "refused" } else { "off" });
        let tape = tapes(&world)[0];
        assert_eq!((tape.length.is_some(), &tape.pauses[..]), (!always, &[true, false][..]));
        world.finish();
    }
}

#[test]
fn a_recording_is_stopped_and_paused_while_it_is_announced() {
    for key in ["*5", "*6"] {
        let set = "number = \"+4736000100\"\nrecord = \"on_demand\"\nfeature_keys = \"all\"\n";
        let mut world = world(847, &[("number = \"+4736000100\"\n", set)]);
        let kari = world.registered("kari");
        let (_, _, line) = talk(&mut world, KARI, kari);
        let audio = world.phones[kari].lines[&line].audio;
        let keyed = |world: &mut World, keys: &str| {
            for key in keys.chars() {
                world.key(audio, key);
                world.run(100 * MS);
            }
        };
        keyed(&mut world, "*5");
        assert!(world.stream_to(audio).unwrap().1.is_busy() && world.taped.is_empty(), "both are being told");
        keyed(&mut world, key);
        world.run(5 * S);
        match key {
            "*5" => assert!(world.taped.is_empty(), "{:?}", events(&world)),
            _ => {
                let paused = world.streams.values().filter_map(|of| of.tape).map(|(_, _, paused)| paused);
                assert_eq!(paused.collect::<Vec<_>>(), [true]);
                keyed(&mut world, "*6");
                assert_eq!(tapes(&world)[0].pauses, [false]);
            }
        }
        assert!(!events(&world).iter().any(|event| event.contains("refused")), "{:?}", events(&world));
        world.finish();
    }
}

#[test]
fn a_recording_ends_where_the_call_goes_into_a_room() {
    let room = "[recordings]\nannounce = false\n[rooms.open]\nname = \"Åpent\"\next = \"801\"\n";
    let mut world = recording(855, room);
    let kari = world.registered("kari");
    let (_, _, line) = talk(&mut world, KARI, kari);
    world.run(S);
    world.phones[kari].refer(world.now, line, "sip:801@prove.example");
    world.run(3 * S);
    let joined = |c: &Change| matches!(c, Change::Decision(event) if *event.event == *"room.joined");
    assert!(world.changes.iter().any(joined));
    assert!(tapes(&world)[0].length.is_some(), "{:?}", world.taped);
    world.finish();
}

#[test]
fn nobody_of_another_company_records_or_pauses() {
    let other = "[company]\nname = \"Annen AS\"\nnumber = \"+4755000000\"\nfeature_keys = \"all\"\n\
                 [users.ann]\nname = \"Ann\"\next = \"201\"\nnumber = \"+4755000201\"\n\
                 [devices]\nann = { user = \"ann\", password = \"ann-secret\" }\n";
    let set = "number = \"+4736000100\"\nrecord = \"all\"\nfeature_keys = \"all\"\n[recordings]\nannounce = false\n";
    let ours = COMPANY.replacen("number = \"+4736000100\"\n", set, 1);
    let config =
        crate::world::config_with(&[("companies/prove.toml", &ours), ("companies/annen.toml", other)]);
    let mut world = World::at(854, noon(), config);
    let (kari, ann) = (world.registered("kari"), world.registered("ann"));
    let call = world.phones[ann].call(world.now, KARI, false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    world.run(S);
    assert_eq!(tapes(&world).len(), 1, "the called company records");
    let audio = world.phones[ann].lines[&call].audio;
    for key in "*6".chars() {
        world.key(audio, key);
        world.run(200 * MS);
    }
    record_key(&mut world, ann, call, "off");
    assert_eq!(world.phones[ann].registered, Some(403));
    assert!(tapes(&world)[0].pauses.is_empty() && tapes(&world)[0].length.is_none());
    assert_eq!(events(&world)[1..], ["recording.refused off", "recording.refused off"]);
    world.finish();
}

#[test]
fn a_disk_that_is_full_is_an_alarm_and_the_call_goes_on() {
    let mut world = recording(848, "[recordings]\nannounce = false\n");
    let kari = world.registered("kari");
    let (carrier, call, line) = talk(&mut world, KARI, kari);
    world.run(S);
    let record = *world.taped.keys().next().unwrap();
    world.input(Input::Media(media::Event::NotRecorded { record, error: "no space left on device".into() }));
    world.run(S);
    let missing = Duration::from_millis(12_300);
    world.input(Input::Media(media::Event::RecordedAgain { record, missing }));
    let alarms = world
        .changes
        .iter()
        .filter(|change| matches!(change, Change::Alarm { reason, .. } if &**reason == "recording.failed"));
    assert_eq!(alarms.count(), 1);
    world.order(Command::Status);
    let Some(Answered::Status(status)) = world.answers.pop() else { panic!("a status") };
    assert!(status.alarms.iter().any(|alarm| alarm.contains("no space left")), "{:?}", status.alarms);
    let audio = |phone: usize, line| world.phones[phone].lines[&line].audio;
    assert!(world.talk(audio(carrier, call), audio(kari, line)));
    assert!(events(&world).contains(&"recording.restored disk".to_owned()), "{:?}", events(&world));
    world.phones[kari].hang_up(world.now, line);
    world.run(5 * S);
    let trouble = world.cdrs.last().and_then(|cdr| cdr.recording_trouble.clone());
    assert_eq!(trouble.as_deref(), Some("no space left on device; 12.3 s are silence"), "the record says so");
    world.finish();
}

#[test]
fn recordings_are_deleted_when_their_time_is_over() {
    let mut world = recording(849, "[recordings]\nkeep = \"30d\"\n");
    let begin = world.now.utc;
    world.run(3700 * S);
    let expired: Vec<i64> = world
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::RecordingsExpired { before, .. } => Some(begin.duration_since(*before).as_secs()),
            _ => None,
        })
        .collect();
    assert_eq!(expired, [30 * 86_400, 30 * 86_400 - 3_600], "at start, and each hour");
    world.finish();
}
