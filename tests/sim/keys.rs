//! Keys: A7 of the acceptance. By RFC 4733, INFO and as tones, early, late and doubled; what one side sends comes to the
//! other in the way that the other has.

use std::net::SocketAddr;
use std::time::Duration;

use sentral::sip::Body;
use sentral::sip::DialogId;
use sentral::sip::Method;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// How a caller's keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Events; the phone has negotiated them.
    Event,
    /// Tones, as the media hears them of a phone without events.
    Tone,
    /// `application/dtmf-relay`, when the key is pressed.
    Relay,
    /// `application/dtmf-relay`, when the key is let go after 100 ms.
    Released,
    /// `application/dtmf`.
    Plain,
}

fn info(world: &mut World, phone: usize, line: DialogId, way: Way, key: char) {
    let (content_type, text) = match way {
        Way::Plain => ("application/dtmf", format!("{key}")),
        Way::Released => ("application/dtmf-relay", format!("Signal= {key}\r\nDuration= 100\r\n")),
        Way::Relay | Way::Event | Way::Tone => ("application/dtmf-relay", format!("Signal={key}\r\n")),
    };
    let body = Body { content_type, bytes: text.into() };
    let now = world.now;
    let phone = &mut world.phones[phone];
    phone.endpoint.request_in(now, line, Method::Info, Vec::new(), Some(body)).expect("a dialog");
    phone.timeout(now);
}

fn press(world: &mut World, phone: usize, line: DialogId, way: Way, key: char) {
    match way {
        Way::Event | Way::Tone => {
            let audio: SocketAddr = world.phones[phone].lines[&line].audio;
            world.key(audio, key);
        }
        Way::Relay | Way::Released | Way::Plain => info(world, phone, line, way, key),
    }
}

#[test]
fn a_key_is_taken_once_however_and_whenever_it_comes() {
    use Way::Event;
    use Way::Plain;
    use Way::Relay;
    use Way::Released;
    use Way::Tone;
    // When the second press or the second way comes, in milliseconds after the first; and what the record says.
    type Row<'a> = (&'a str, &'a [(Way, u64)], usize);
    let rows: &[Row<'_>] = &[
        ("an event", &[(Event, 0)], 1),
        ("INFO", &[(Relay, 0)], 1),
        ("plain INFO", &[(Plain, 0)], 1),
        ("INFO at the release", &[(Released, 0)], 1),
        ("a tone", &[(Tone, 0)], 1),
        ("an event and INFO", &[(Event, 0), (Relay, 20)], 1),
        ("INFO and an event", &[(Relay, 0), (Event, 20)], 1),
        ("an event, and INFO at the release", &[(Event, 0), (Released, 120)], 1),
        ("a tone, and INFO at the press", &[(Relay, 0), (Tone, 60)], 1),
        ("a tone, and INFO at the release", &[(Tone, 0), (Released, 90)], 1),
        ("two presses by event", &[(Event, 0), (Event, 160)], 2),
        ("two presses by tone", &[(Tone, 0), (Tone, 160)], 2),
        ("two presses by INFO", &[(Relay, 0), (Relay, 160)], 2),
        ("two presses, each both ways", &[(Event, 0), (Relay, 15), (Event, 200), (Relay, 15)], 2),
        ("one by event, one by INFO much later", &[(Event, 0), (Relay, 300)], 2),
    ];
    for (row, (name, presses, expect)) in rows.iter().enumerate() {
        for early in [true, false] {
            let text = COMPANY.replace(
                "menu = { menu = \"menu\", 1 = \"queue:sales\", 2 = \"group:store\", 3 = \"user:sara\", timeout",
                "menu = { collect = \"menu\", digits = 5, ok = \"queue:sales\", invalid = \"queue:sales\", timeout",
            );
            assert_ne!(text, COMPANY);
            let mut world = World::at(700 + row as u64, noon(), config(&text));
            let carrier = world.carrier();
            world.phones[carrier].events = !presses.iter().any(|(way, _)| *way == Tone);
            let call = world.phones[carrier].call(world.now, "+4736000100", false);
            world.until("the flow answers", 5 * S, |w| w.phones[carrier].lines[&call].stage == Stage::Up);
            // The prompts last a second each: early is in the midst of the second, late long after it.
            world.run(if early { 1500 * MS } else { 2500 * MS });
            for (way, after) in *presses {
                world.run(MS * u32::try_from(*after).unwrap());
                press(&mut world, carrier, call, *way, '5');
            }
            world.run(8 * S);
            world.phones[carrier].hang_up(world.now, call);
            world.run(S);
            let tags: Vec<&str> = world.cdrs[0].tags.iter().map(|tag| &**tag).collect();
            let digits = "5".repeat(*expect);
            let got = tags.iter().any(|tag| tag.ends_with(&format!("={digits}")));
            assert!(got, "{name}, early: {early}: {tags:?}, keys {}", world.cdrs[0].keys);
            world.finish();
        }
    }
}

#[test]
fn what_one_side_presses_comes_to_the_other_in_the_way_that_it_has() {
    use Way::Event;
    use Way::Relay;
    use Way::Tone;
    // Kari's phone: what the configuration says, and whether it has events; how the caller presses; what the switch
    // does for it: plays the key on to the stream, sends INFO, or nothing since it travels by itself.
    let rows: &[(&str, bool, Way, &str)] = &[
        ("auto", true, Event, ""),
        ("auto", false, Event, "5"),
        ("auto", true, Tone, "5"),
        ("auto", false, Tone, ""),
        ("auto", true, Relay, "5"),
        ("auto", false, Relay, "5"),
        ("inband", true, Event, "5"),
        ("inband", true, Tone, ""),
        ("info", true, Event, "INFO"),
        ("info", true, Tone, "INFO"),
        ("info", true, Relay, "INFO"),
        ("rfc4733", true, Event, ""),
    ];
    for (row, (policy, events, way, expect)) in rows.iter().enumerate() {
        let text = COMPANY.replace(
            "kari = { user = \"kari\", password = \"kari-secret\" }",
            &format!("kari = {{ user = \"kari\", password = \"kari-secret\", dtmf = \"{policy}\" }}"),
        );
        let mut world = World::at(750 + row as u64, noon(), config(&text));
        let (carrier, kari) = (world.carrier(), world.registered("kari"));
        world.phones[carrier].events = *way != Tone;
        world.phones[kari].events = *events;
        let call = world.phones[carrier].call(world.now, "+4736000101", false);
        world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
        world.run(S);
        let line = world.phones[kari].line(&Stage::Up).unwrap();
        press(&mut world, carrier, call, *way, '5');
        world.run(S);
        let audio = world.phones[kari].lines[&line].audio;
        let played = world.stream_to(audio).unwrap().1.keys.clone();
        let info = world.phones[kari].received.iter().filter(|request| request.method == Method::Info);
        let bodies: Vec<String> =
            info.map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
        let got = match &bodies[..] {
            [] => played,
            [body] if body.starts_with("Signal=5\r\n") && played.is_empty() => "INFO".to_owned(),
            other => panic!("{policy}, events {events}, {way:?}: {other:?} and {played}"),
        };
        assert_eq!(got, *expect, "{policy}, events {events}, {way:?}");
        world.finish();
    }
}

#[test]
fn what_is_no_key_is_refused_and_a_phone_of_the_other_kind_is_understood() {
    let mut world = World::new(790);
    let (carrier, kari) = (world.carrier(), world.registered("kari"));
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    let line = world.phones[kari].line(&Stage::Up).unwrap();
    let audio = world.phones[kari].lines[&line].audio;
    for (text, expect) in [
        ("Signal=7\nDuration=160\n", "7"),
        ("signal = 8\r\nduration = 160\r\n", "8"),
        ("Signal=10\r\n", "*"),
        ("Signal=11\r\n", "#"),
        ("9", "9"),
        ("Signal=\r\n", ""),
        ("hello", ""),
        ("Signal=9\r\nDuration=99999999999999999999\r\n", "9"),
        ("Signal=99999\r\n", ""),
        ("Signal=12\r\n", "A"),
        ("Signal=16\r\n", ""),
    ] {
        let before = world.stream_to(audio).unwrap().1.keys.len();
        let body = Body { content_type: "application/dtmf-relay", bytes: text.into() };
        let now = world.now;
        world.phones[carrier].endpoint.request_in(now, call, Method::Info, Vec::new(), Some(body)).unwrap();
        world.phones[carrier].timeout(now);
        world.run(S);
        assert_eq!(&world.stream_to(audio).unwrap().1.keys[before..], expect, "{text:?}");
    }
    world.finish();
}

#[test]
fn info_of_a_package_that_nobody_asked_for_is_refused() {
    let mut world = World::new(791);
    let (carrier, kari) = (world.carrier(), world.registered("kari"));
    let call = world.phones[carrier].call(world.now, "+4736000101", false);
    world.until("Kari answers", 5 * S, |w| w.phones[kari].line(&Stage::Up).is_some());
    for body in [None, Some(Body { content_type: "application/dtmf-relay", bytes: "Signal=5\r\n".into() })] {
        let extra = vec![("Info-Package", "infoDtmf".to_owned())];
        let now = world.now;
        world.phones[carrier].endpoint.request_in(now, call, Method::Info, extra, body).unwrap();
        world.phones[carrier].timeout(now);
        world.run(S);
        assert_eq!(world.phones[carrier].registered, Some(469));
        let told = &world.phones[carrier].granted;
        assert!(told.iter().any(|(name, value)| name == "Recv-Info" && value.is_empty()), "{told:?}");
    }
    world.finish();
}
