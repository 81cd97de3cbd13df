//! Announcements over music: it goes down beneath them, and they are cut at once when somebody answers.

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::Rig;
use crate::rig::Sent;
use crate::rig::goertzel;
use crate::rig::header;
use crate::rig::session;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::bank::Clip;
use sentral::media::codec::Decoder;
use std::sync::Arc;

/// Peaks of the music (500 Hz) and the announcement (1200 Hz) in what was sent.
fn levels(packets: &[Sent], codec: Codec) -> (f64, f64) {
    let mut decoder = Decoder::new(codec);
    let mut samples = Vec::new();
    for packet in packets {
        let mut out = [0; 3000];
        let count = decoder.decode(&packet.payload, &mut out);
        samples.extend(&out[..count]);
    }
    let samples = &samples[samples.len() / 4..];
    (goertzel(samples, 500.0, codec.sample_rate()), goertzel(samples, 1200.0, codec.sample_rate()))
}

/// Ann waits with music, and an announcement of a second is played to her.
fn announced(codec: Codec) -> (Rig, Vec<Sent>) {
    let mut rig = Rig::new();
    let sine = |hz: f64, seconds: usize| -> Vec<i16> {
        let turn = std::f64::consts::TAU * hz / 16_000.0;
        (0..16_000 * seconds).map(|at| (6000.0 * (turn * at as f64).sin()) as i16).collect()
    };
    rig.bank.insert("hold".into(), Arc::new(Clip::from_pcm(&sine(500.0, 2), 16_000)));
    rig.bank.insert("position".into(), Arc::new(Clip::from_pcm(&sine(1200.0, 1), 16_000)));
    rig.open(A, session(ANN, codec));
    rig.command(Command::Base { stream: A, base: Base::Music("hold".into()) });
    let before = rig.run(400);
    rig.play(A, &["position"], 1);
    (rig, before)
}

#[test]
fn music_goes_on_beneath_an_announcement_fifteen_decibels_lower() {
    for codec in [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus] {
        let (mut rig, before) = announced(codec);
        let (loud, _) = levels(&before, codec);
        assert!((5000.0..7000.0).contains(&loud), "{codec:?}: {loud}");
        rig.run(300);
        let during = rig.run(600);
        let (under, said) = levels(&during, codec);
        let decibels = 20.0 * (under / loud).log10();
        assert!((-17.5..-12.5).contains(&decibels), "{codec:?}: {decibels} dB");
        assert!((5000.0..7000.0).contains(&said), "{codec:?}: {said}");
        rig.run(1000);
        let after = rig.run(400);
        assert!((levels(&after, codec).0 - loud).abs() < 400.0, "{codec:?}: back");
        assert!(rig.events.iter().any(|event| matches!(event, Event::PlayFinished { .. })));
        if codec == Codec::Pcma {
            let clip = rig.bank.get("hold").expect("in the bank");
            let bytes = clip.bytes(codec);
            let exact = |p: &Sent| bytes.windows(160).any(|run| run == p.payload);
            assert!(after.iter().all(exact), "the cheap path again: a copy of the clip");
        }
    }
}

#[test]
fn whoever_is_connected_is_heard_at_once_and_the_announcement_no_longer() {
    let (mut rig, _) = announced(Codec::Pcma);
    rig.open(B, session(BOB, Codec::Pcma));
    rig.run(200);
    // What the switch orders when an agent answers.
    rig.command(Command::Stop { stream: A });
    rig.command(Command::Base { stream: A, base: Base::Peer(B) });
    rig.command(Command::Base { stream: B, base: Base::Peer(A) });
    let answered = rig.ms();
    let mut heard = Vec::new();
    for at in 0..10u16 {
        rig.receive(B, BOB, header(8, at, u32::from(at) * 160), &[0x2a; 160]);
        heard.extend(rig.run(20));
    }
    let to_ann: Vec<&Sent> = heard.iter().filter(|packet| packet.to == ANN).collect();
    assert!(to_ann.iter().all(|packet| packet.payload == [0x2a; 160]), "nothing but the agent");
    assert!(to_ann.first().is_some_and(|first| first.ms - answered <= 20), "within a packet");
    assert!(!rig.events.iter().any(|event| matches!(event, Event::PlayFinished { .. })));
}
