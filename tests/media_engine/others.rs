//! What some phones and gateways do otherwise than most, and what strangers send: heard, passed on and recorded all the same.

use std::time::Duration;

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::Rig;
use crate::rig::Sent;
use crate::rig::goertzel;
use crate::rig::header;
use crate::rig::key;
use crate::rig::session;
use sentral::media::Base;
use sentral::media::Besides;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::MixId;
use sentral::media::Session;
use sentral::media::Voice;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::dtmf;
use sentral::media::rtp::Header;

/// So long is a line, in milliseconds: as many whole packets of 20, 40 or 60.
const LINE_MS: u32 = 1200;

/// A line of 440 Hz in packets of `packet_ms`, with their timestamps counted from `from`.
fn line(codec: Codec, packet_ms: u32, from: u32) -> Vec<(u32, Vec<u8>)> {
    let mut encoder = Encoder::new(codec);
    let step = std::f64::consts::TAU * 440.0 / f64::from(encoder.rate());
    let length = encoder.rate() * packet_ms / 1000;
    let packet = |at: u32| {
        let samples = (at * length..(at + 1) * length).map(|n| (8000.0 * (step * f64::from(n)).sin()) as i16);
        let mut payload = Vec::new();
        encoder.encode(&samples.collect::<Vec<i16>>(), &mut payload);
        (from + at * packet_ms * codec.units_per_ms(), payload)
    };
    (0..LINE_MS / packet_ms).map(packet).collect()
}

#[test]
fn a_message_is_as_long_and_as_whole_as_it_was_said_in_every_codec() {
    use Codec::*;
    // Two lines, one after the other; the rate of the message.
    let rows = [
        (Opus, 20, Opus, 16_000),
        (Opus, 40, Opus, 16_000),
        (Opus, 60, Opus, 16_000),
        (L16, 20, L16, 16_000),
        (G722, 20, Pcma, 16_000),
        (Opus, 20, Pcmu, 16_000),
        (Pcma, 20, Opus, 8000),
        (Pcma, 20, L16, 8000),
        (Pcma, 20, G722, 8000),
    ];
    for (first, packet_ms, then, rate) in rows {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, first));
        rig.record(A, Duration::from_secs(60), None);
        let mut sequence = 0;
        for (codec, from) in [(first, 0), (then, LINE_MS * first.units_per_ms())] {
            rig.command(Command::Modify { stream: A, session: session(ANN, codec) });
            for (timestamp, payload) in line(codec, packet_ms, from) {
                rig.receive(A, ANN, header(codec.payload_type(), sequence, timestamp), &payload);
                sequence += 1;
                rig.run(u64::from(packet_ms));
            }
        }
        rig.command(Command::StopRecord { stream: A });
        let (samples, length) = rig.recorded_at(rate);
        let what = format!("{first:?} and {then:?} of {packet_ms} ms");
        let half = rate as usize * LINE_MS as usize / 1000;
        assert_eq!((samples.len(), length), (2 * half, 2 * half as u64), "{what}");
        // The first milliseconds of a codec and a filter are silent.
        for half in samples.chunks(half) {
            let whole = &half[rate as usize / 20..];
            let hole = whole.chunks(rate as usize / 400).any(|piece| piece.iter().all(|s| s.abs() < 200));
            assert!(!hole, "{what}: there is a hole");
            let level = goertzel(whole, 440.0, rate);
            assert!((6500.0..9500.0).contains(&level), "{what}: {level}");
        }
    }
}

/// Keys that were told, in order.
fn digits(rig: &Rig) -> String {
    let digit = |event: &Event| if let Event::Digit { digit, .. } = event { Some(*digit) } else { None };
    rig.events.iter().filter_map(digit).collect()
}

/// Ann presses a key for so long, in reports of 20 ms each 20 ms or less, then waits as long; what went out meanwhile.
fn press(
    rig: &mut Rig,
    sequence: &mut u16,
    (payload_type, per_ms): (u8, u32),
    event: u8,
    ms: u64,
) -> Vec<Sent> {
    let began = u32::try_from(rig.ms()).expect("a short test") * per_ms;
    let mut sent = Vec::new();
    for at in [ms / 3, ms * 2 / 3, ms] {
        let payload = key(event, (at * u64::from(per_ms)) as u16, at == ms);
        rig.receive(
            A,
            ANN,
            Header { marker: at < ms / 2, ..header(payload_type, *sequence, began) },
            &payload,
        );
        *sequence += 1;
        sent.extend(rig.run(ms / 3));
    }
    sent.extend(rig.run(ms));
    sent
}

/// The keys that a phone hears in what was sent to it.
fn heard_by_bob(packets: &[Sent], event_type: u8) -> String {
    let mut receiver = dtmf::Receiver::default();
    let of_bob =
        packets.iter().filter(|packet| packet.port == B.port && packet.header.payload_type == event_type);
    of_bob
        .filter_map(|packet| {
            receiver.receive(dtmf::Payload::parse(&packet.payload)?, &packet.header, packet.ms)
        })
        .collect()
}

/// A session of A-law by 8 in which other things may come too.
fn session_besides(codecs: &[Codec], dtmf: Option<u8>, besides_dtmf: Option<u8>) -> Session {
    let mut besides = Besides::default();
    besides.dtmf = besides_dtmf;
    codecs.iter().for_each(|codec| besides.add(codec.payload_type(), *codec));
    Session { dtmf, besides, ..session(ANN, Codec::Pcma) }
}

#[test]
fn keys_are_heard_by_the_number_of_our_offer_and_by_that_of_the_answer() {
    let mut rig = Rig::new();
    rig.open(A, session_besides(&[], Some(96), Some(101)));
    rig.open(B, Session { dtmf: Some(97), ..session(BOB, Codec::Pcma) });
    rig.bridge();
    let mut sequence = 0;
    for (event, payload_type) in [(5, 101), (6, 96)] {
        for at in 1..=4 {
            let press = key(event, at * 160, at == 4);
            rig.receive(A, ANN, header(payload_type, sequence, u32::from(event) * 8000), &press);
            sequence += 1;
            rig.run(20);
        }
        rig.run(100);
    }
    assert_eq!(digits(&rig), "56");
    rig.command(Command::SendDigit { stream: A, digit: '7' });
    let sent = rig.run(200);
    let of = |payload_type| sent.iter().filter(|packet| packet.header.payload_type == payload_type).count();
    assert_eq!((of(96), of(101)), (8, 0), "we send by theirs");
}

#[test]
fn a_phone_that_answered_with_several_codecs_may_change_between_them() {
    let lines = [Codec::Pcma, Codec::Pcmu, Codec::G722];
    let talk = |rig: &mut Rig| {
        let (mut sequence, mut sent) = (0, Vec::new());
        for (at, codec) in lines.into_iter().enumerate() {
            for (timestamp, payload) in line(codec, 20, at as u32 * LINE_MS * 8) {
                rig.receive(A, ANN, header(codec.payload_type(), sequence, timestamp), &payload);
                sequence += 1;
                sent.extend(rig.run(20));
            }
        }
        sent.retain(|packet| packet.port == B.port);
        let mut heard = Vec::new();
        for packet in sent {
            let at = heard.len();
            heard.resize(at + packet.payload.len(), 0);
            Decoder::new(Codec::Pcma).decode(&packet.payload, &mut heard[at..]);
        }
        heard
    };
    for mixed in [false, true] {
        let mut rig = Rig::new();
        rig.open(A, session_besides(&lines[1..], None, None));
        rig.open(B, session(BOB, Codec::Pcma));
        if mixed {
            let base = || Base::Mix { mix: MixId { thread: 0, number: 1 }, voice: Voice::All };
            rig.command(Command::Base { stream: A, base: base() });
            rig.command(Command::Base { stream: B, base: base() });
        } else {
            rig.bridge();
        }
        rig.record(A, Duration::from_secs(60), None);
        let heard = talk(&mut rig);
        rig.command(Command::StopRecord { stream: A });
        for (at, samples) in [heard, rig.recorded().0].iter().enumerate() {
            let thirds: Vec<&[i16]> = samples.chunks(LINE_MS as usize * 8).collect();
            assert!(thirds.len() >= 3, "mixed {mixed}, recorded {at}: {} samples", samples.len());
            for third in &thirds[..3] {
                let level = goertzel(&third[1600..8000], 440.0, 8000);
                assert!((6000.0..9500.0).contains(&level), "mixed {mixed}, recorded {at}: {level}");
            }
        }
    }
    // One that was not named does not come through.
    let mut rig = Rig::new();
    rig.open(A, session_besides(&[], None, None));
    rig.receive(A, ANN, header(0, 0, 0), &[0; 160]);
    assert!(rig.events.is_empty());
}

#[test]
fn keys_pressed_quicker_than_they_are_sent_are_all_sent_where_audio_is_said_anew() {
    let mut rig = Rig::new();
    rig.open(A, Session { dtmf: Some(110), ..session(ANN, Codec::Opus) });
    rig.open(B, Session { dtmf: Some(101), ..session(BOB, Codec::Pcma) });
    rig.bridge();
    let mut sequence = 0;
    for (timestamp, payload) in line(Codec::Opus, 20, 0) {
        rig.receive(A, ANN, header(111, sequence, timestamp), &payload);
        sequence += 1;
        rig.run(20);
    }
    let mut sent = Vec::new();
    for event in [1, 2, 3, 3, 5, 6, 7, 8, 9, 0] {
        sent.extend(press(&mut rig, &mut sequence, (110, 48), event, 50));
    }
    sent.extend(rig.run(2000));
    assert_eq!(digits(&rig), "1233567890");
    assert_eq!(heard_by_bob(&sent, 101), "1233567890");
}

#[test]
fn a_key_is_sent_once_whatever_begins_or_ends_to_play_over_it() {
    for (plays_from, plays_to) in [(0, 1000), (1, 1000), (0, 2), (1, 2)] {
        let mut rig = Rig::bridged_with_keys();
        let mut sent = Vec::new();
        for at in 0..30u16 {
            if at == plays_from {
                rig.play(B, &["prompt"], 0);
            }
            if at == plays_to {
                rig.command(Command::Stop { stream: B });
            }
            let payload = key(4, (at + 1) * 160, at == 29);
            rig.receive(A, ANN, Header { marker: at == 0, ..header(101, at, 8000) }, &payload);
            sent.extend(rig.run(20));
        }
        rig.command(Command::Stop { stream: B });
        sent.extend(rig.run(500));
        assert_eq!(heard_by_bob(&sent, 101), "4", "played from report {plays_from} to {plays_to}");
        // A second key is passed on as it came.
        let mut sequence = 100;
        let passed = press(&mut rig, &mut sequence, (101, 8), 5, 60);
        assert_eq!(heard_by_bob(&passed, 101), "5");
        assert_eq!(passed.len(), 3, "as it came");
    }
}

#[test]
fn keys_of_a_gateway_that_sends_them_as_another_source_are_passed_on_once_each() {
    let mut rig = Rig::bridged_with_keys();
    let mut sent = Vec::new();
    for at in 0..60u16 {
        rig.receive(A, ANN, header(8, at, u32::from(at) * 160), &[7; 160]);
        let (press, report) = (at / 20, at % 20);
        if (5..12).contains(&report) {
            let head =
                Header { ssrc: 0xE, ..header(101, press * 7 + report, 500_000 + u32::from(press) * 3200) };
            let payload = key(press as u8 + 1, (report - 4) * 160, report > 8);
            rig.receive(A, ANN, Header { marker: report == 5, ..head }, &payload);
        }
        sent.extend(rig.run(20));
    }
    assert_eq!(digits(&rig), "123");
    assert_eq!(heard_by_bob(&sent, 101), "123");
}

#[test]
fn a_flood_of_keys_reaches_neither_the_core_nor_the_peer() {
    let mut rig = Rig::bridged_with_keys();
    for at in 0..5000u16 {
        let payload = key((at % 16) as u8, 160, false);
        rig.receive(A, ANN, header(101, at, u32::from(at) * 2), &payload);
        if at % 50 == 49 {
            rig.run(1);
        }
    }
    assert_eq!(digits(&rig).len(), 5, "in 100 ms");
}

#[test]
fn a_phone_that_begins_anew_a_little_below_is_heard_again_at_once() {
    let mut rig = Rig::bridged(Codec::Pcma, Codec::Pcma);
    let mut passed = Vec::new();
    for (at, sequence) in (0..=2000u16).chain(1500..1600).enumerate() {
        rig.receive(A, ANN, header(8, sequence, at as u32 * 160), &[sequence as u8; 160]);
        passed.extend(rig.run(20));
    }
    passed.retain(|packet| packet.port == B.port);
    assert_eq!(passed.len(), 2001 + 99, "one is not believed");
    for pair in passed.windows(2) {
        assert_eq!(pair[1].header.sequence.wrapping_sub(pair[0].header.sequence), 1, "no number twice");
        assert!((160..=480).contains(&pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp)));
    }
}
