//! What some phones and gateways do otherwise than most, and what strangers send: heard, passed on and recorded all the same.

use std::time::Duration;

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::Rig;
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
