//! The media engine from outside: exact packets, one line over every change of source, latching, keys,
//! transcoding, recording, reports; and the real threads over the loopback interface.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the threads are tried with real sockets and time

#[path = "media_engine/browser.rs"]
mod browser;
#[path = "media_engine/correction.rs"]
mod correction;
#[path = "media_engine/duck.rs"]
mod duck;
#[path = "media_engine/field.rs"]
mod field;
#[path = "media_engine/golden.rs"]
mod golden;
#[path = "media_engine/mix.rs"]
mod mix;
#[path = "media_engine/noise.rs"]
mod noise;
#[path = "media_engine/opus_compare.rs"]
mod opus_compare;
#[path = "media_engine/opus_oracle.rs"]
mod opus_oracle;
#[path = "media_engine/others.rs"]
mod others;
#[path = "media_engine/rig.rs"]
mod rig;
#[path = "media_engine/steady.rs"]
mod steady;
#[path = "media_engine/tape.rs"]
mod tape;
#[path = "media_engine/threads.rs"]
mod threads;

use std::net::SocketAddr;
use std::time::Duration;

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::EVE;
use crate::rig::Rig;
use crate::rig::Sent;
use crate::rig::assert_line;
use crate::rig::goertzel;
use crate::rig::header;
use crate::rig::key;
use crate::rig::session;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::PlayId;
use sentral::media::Session;
use sentral::media::Silence;
use sentral::media::StreamId;
use sentral::media::Transport;
use sentral::media::codec::Converter;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::dtls;
use sentral::media::dtmf;
use sentral::media::engine::record::Chunk;
use sentral::media::rtcp;
use sentral::media::rtp;
use sentral::media::srtp::Keys;
use sentral::media::srtp::Master;
use sentral::media::srtp::Srtp;
use sentral::media::srtp::Suite;
use sentral::media::tone::Tone;
use sentral::rand::Rng;

#[test]
fn the_header_agrees_with_the_rtp_crate() {
    use webrtc_util::marshal::Marshal as _;
    use webrtc_util::marshal::Unmarshal as _;
    let mut rng = Rng::from_seed(1);
    for round in 0..2000 {
        let bits = rng.bits();
        let mut theirs = ::rtp::packet::Packet::default();
        theirs.header.version = 2;
        theirs.header.marker = bits & 1 == 1;
        theirs.header.payload_type = (bits >> 1) as u8 & 0x7F;
        theirs.header.sequence_number = (bits >> 8) as u16;
        theirs.header.timestamp = (bits >> 24) as u32;
        theirs.header.ssrc = rng.bits() as u32;
        theirs.header.padding = round % 3 == 0;
        theirs.header.csrc = (0..rng.below(4) as u32).collect();
        theirs.payload = (0..rng.below(200) as u8).collect::<Vec<_>>().into();
        if round % 5 == 0 {
            theirs.header.extension = true;
            theirs.header.extension_profile = 0x1234;
            let payload = vec![7u8; 4 * rng.below(5)].into();
            theirs.header.extensions = vec![::rtp::header::Extension { id: 0, payload }];
        }
        let bytes = theirs.marshal().expect("their own");
        let (ours, payload) = rtp::parse(&bytes).expect("valid");
        assert_eq!(&bytes[payload], &theirs.payload[..], "round {round}");
        let read = ::rtp::header::Header::unmarshal(&mut &ours.bytes()[..]).expect("valid");
        let plain = ::rtp::header::Header {
            padding: false,
            csrc: Vec::new(),
            extension: false,
            extension_profile: 0,
            extensions: Vec::new(),
            ..theirs.header
        };
        assert_eq!(read, plain, "round {round}");
    }
}

#[test]
fn a_prompt_is_sent_byte_for_byte_on_time_and_its_end_is_told_once() {
    for codec in Codec::BYTEWISE {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, codec));
        rig.play(A, &["prompt"], 2);
        let packets = rig.run(1000);
        let clip = rig.bank.get("prompt").expect("in the bank");
        let bytes: Vec<u8> = packets.iter().flat_map(|p| p.payload.clone()).collect();
        assert_eq!(bytes, [clip.bytes(codec), clip.bytes(codec)].concat(), "{codec:?}");
        assert_line(&packets, 160);
        assert!(packets.iter().all(|p| p.to == ANN && p.header.payload_type == codec.payload_type()));
        assert!(packets.windows(2).all(|pair| pair[1].ms - pair[0].ms == 20), "every 20 ms");
        assert_eq!(rig.events, [Event::PlayFinished { stream: A, play: PlayId(1) }]);
    }
}

#[test]
fn packets_have_the_length_that_was_agreed() {
    for packet_ms in [10u8, 20, 30, 40, 60] {
        let mut rig = Rig::new();
        rig.open(A, Session { packet_ms, ..session(ANN, Codec::Pcma) });
        rig.command(Command::Base { stream: A, base: Base::Music("music".into()) });
        let packets = rig.run(1200);
        assert_eq!(packets.len(), 1200 / usize::from(packet_ms), "{packet_ms} ms");
        assert!(packets.iter().all(|p| p.payload.len() == usize::from(packet_ms) * 8));
        assert_line(&packets, u32::from(packet_ms) * 8);
    }
}

#[test]
fn streams_wake_the_thread_seldom_and_each_keeps_its_spacing() {
    let mut rig = Rig::new();
    for at in 0..200 {
        let id = StreamId { port: 20_000 + 2 * at, ..A };
        rig.open(id, session(ANN, Codec::Pcma));
        rig.command(Command::Base { stream: id, base: Base::Music("music".into()) });
    }
    let packets = rig.run(200);
    for ms in 41..=200 {
        let due = packets.iter().filter(|p| p.ms == ms).count();
        assert!(due == 0 || due == 100, "{due} at {ms} ms");
    }
    for at in 0..200 {
        let times: Vec<u64> = packets.iter().filter(|p| p.port == 20_000 + 2 * at).map(|p| p.ms).collect();
        assert_eq!(times.len(), 10);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 20), "{times:?}");
    }
}

#[test]
fn the_line_is_one_over_music_prompt_peer_hold_and_tone() {
    let mut rig = Rig::bridged(Codec::Pcma, Codec::Pcma);
    let mut all = Vec::new();
    rig.command(Command::Base { stream: B, base: Base::Music("music".into()) });
    all.extend(rig.run(200));
    rig.play(B, &["prompt"], 1);
    all.extend(rig.run(300));
    rig.command(Command::Base { stream: B, base: Base::Peer(A) });
    rig.play(B, &["prompt"], 0);
    all.extend(rig.run(100));
    rig.command(Command::Stop { stream: B });
    all.extend(rig.talk(A, ANN, Codec::Pcma, 20));
    rig.command(Command::Base { stream: B, base: Base::Silence });
    all.extend(rig.run(500));
    rig.command(Command::Base { stream: B, base: Base::Tone(Tone::Busy) });
    all.extend(rig.run(200));
    let held = Session { send: false, ..session(BOB, Codec::Pcma) };
    rig.command(Command::Modify { stream: B, session: held });
    assert!(rig.run(300).is_empty(), "on hold we do not send");
    rig.command(Command::Modify { stream: B, session: session(BOB, Codec::Pcma) });
    all.extend(rig.run(200));
    all.retain(|p| p.port == B.port);
    assert_eq!(all.len(), 10 + 15 + 5 + 20 + 10 + 10);
    for pair in all.windows(2) {
        let [a, b] = [pair[0].header, pair[1].header];
        assert_eq!(b.sequence, a.sequence.wrapping_add(1), "no gap, no repeat");
        assert_eq!(b.ssrc, a.ssrc);
        let step = b.timestamp.wrapping_sub(a.timestamp);
        assert!((160..160 + 4800).contains(&step), "moved by {step}");
        assert!(b.marker || step == 160, "a gap is marked");
    }
    assert!(all[0].header.marker);
    assert_eq!(
        all.iter().filter(|p| p.header.marker).count(),
        4,
        "beginning, peer, after silence, after hold"
    );
}

#[test]
fn a_late_thread_leaves_a_gap_and_no_burst() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.command(Command::Base { stream: A, base: Base::Music("music".into()) });
    let before = rig.run(100);
    rig.now += Duration::from_millis(5000);
    let after = rig.run(100);
    assert!(after.len() <= 6, "{} packets", after.len());
    let step = after[0].header.timestamp.wrapping_sub(before[before.len() - 1].header.timestamp);
    assert!((39_000..41_000).contains(&step), "timestamps go with the clock: {step}");
    assert!(after[0].header.marker);
}

#[test]
fn a_bridge_passes_payloads_byte_for_byte_with_loss_order_and_types_mapped() {
    let mut rig = Rig::new();
    rig.open(A, Session { payload_type: 8, dtmf: Some(101), ..session(ANN, Codec::Pcma) });
    rig.open(B, Session { payload_type: 98, dtmf: Some(96), ..session(BOB, Codec::Pcma) });
    rig.bridge();
    rig.take_packets();
    for (at, payload_type) in [(0u16, 8), (1, 8), (3, 8), (2, 8), (4, 101), (5, 8)] {
        let payload = if payload_type == 101 { key(5, 160, false) } else { vec![at as u8; 160] };
        rig.receive(A, ANN, header(payload_type, 700 + at, u32::from(at) * 160), &payload);
    }
    rig.receive(A, ANN, header(8, 703, 480), &[3; 160]); // a duplicate
    let packets = rig.take_packets();
    let first = packets[0].header;
    let seen: Vec<_> = packets
        .iter()
        .map(|p| {
            let sequence = p.header.sequence.wrapping_sub(first.sequence);
            (p.header.payload_type, sequence, p.header.timestamp.wrapping_sub(first.timestamp), p.payload[0])
        })
        .collect();
    // While a key is pressed its tone may be in the audio, and is left out.
    const SILENCE: u8 = 0xD5;
    let expect = [
        (98, 0, 0, 0),
        (98, 1, 160, 1),
        (98, 3, 480, 3),
        (98, 2, 320, 2),
        (96, 4, 640, 5),
        (98, 5, 800, SILENCE),
    ];
    assert_eq!(seen, expect);
    assert!(packets.iter().all(|p| p.port == B.port && p.to == BOB && p.header.ssrc == first.ssrc));
    assert!(rig.events.contains(&Event::Digit { stream: A, digit: '5' }));
}

#[test]
fn keys_are_left_out_without_a_gap_where_the_other_side_has_no_telephone_event() {
    let mut rig = Rig::new();
    rig.open(A, Session { dtmf: Some(101), ..session(ANN, Codec::Pcma) });
    rig.open(B, session(BOB, Codec::Pcma));
    rig.bridge();
    for at in 0..10u16 {
        let event = (3..6).contains(&at);
        let payload = if event { key(1, 160, false) } else { vec![0x55; 160] };
        rig.receive(A, ANN, header(if event { 101 } else { 8 }, at, u32::from(at) * 160), &payload);
    }
    let packets = rig.take_packets();
    assert_eq!(packets.len(), 7);
    assert!(packets.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
    assert_eq!(packets[6].header.timestamp.wrapping_sub(packets[0].header.timestamp), 9 * 160);
}

#[test]
fn kept_keys_are_told_but_not_passed_on_and_sent_again_by_order() {
    let mut rig = Rig::bridged_with_keys();
    rig.take_packets();
    for (from, keep) in [(0u16, true), (10, false)] {
        rig.command(Command::KeepKeys { stream: A, keep });
        rig.run(1000);
        rig.events.clear();
        for at in from..from + 10 {
            let event = (from + 3..from + 6).contains(&at);
            let payload = if event { key(1, 160, false) } else { vec![0x55; 160] };
            rig.receive(A, ANN, header(if event { 101 } else { 8 }, at, u32::from(at) * 160), &payload);
        }
        let packets = rig.take_packets();
        let keys = packets.iter().filter(|p| p.header.payload_type == 101).count();
        assert_eq!((packets.len(), keys), if keep { (7, 0) } else { (10, 3) });
        assert!(rig.events.contains(&Event::Digit { stream: A, digit: '1' }), "it is told in any case");
    }
    rig.command(Command::SendDigit { stream: B, digit: '1' });
    let packets = rig.run(400);
    assert!(packets.iter().any(|p| p.port == B.port && p.header.payload_type == 101));
}

#[test]
fn a_third_party_can_neither_be_heard_nor_draw_the_audio_to_itself() {
    let mut rig = Rig::bridged(Codec::Pcma, Codec::Pcma);
    // Not of Ann's network, nor of that of her router.
    let eve = SocketAddr::from(([192, 0, 2, 66], 6000));
    let nat = SocketAddr::from(([198, 51, 100, 7], 31_000));
    // Ann signals from there too; Eve was first.
    let transport = Transport { signaling: Some(nat.ip()), ..Transport::default() };
    rig.command(Command::Modify { stream: A, session: Session { transport, ..session(ANN, Codec::Pcma) } });
    (1..50).for_each(|at| rig.receive(A, eve, header(8, at, 0), &[9; 160]));
    assert!(rig.take_packets().is_empty(), "she is not heard");
    rig.receive(A, nat, header(8, 1, 0), &[1; 160]);
    assert!(rig.events.contains(&Event::Heard { stream: A, from: nat }));
    rig.take_packets();
    for at in 2..200u16 {
        rig.receive(A, eve, header(8, 5000 + at, u32::from(at) * 160), &[9; 160]);
        rig.receive(A, nat, header(8, at, u32::from(at) * 160), &[1; 160]);
        rig.receive(B, BOB, header(8, at, u32::from(at) * 160), &[2; 160]);
        let packets = rig.run(20);
        assert!(packets.iter().all(|p| p.payload[0] != 9), "Eve is heard");
        assert!(
            packets.iter().filter(|p| p.port == A.port).all(|p| p.to == nat),
            "Ann's address is what it was"
        );
        assert_eq!(packets.len(), 2);
    }
    // Ann's address falls silent; after two seconds another may take its place (she came back behind her NAT).
    rig.run(1900);
    rig.receive(A, eve, header(8, 1, 0), &[9; 160]);
    assert!(rig.take_packets().is_empty());
    rig.run(200);
    let back = SocketAddr::from(([198, 51, 100, 7], 31_001));
    rig.receive(A, back, header(8, 300, 0), &[1; 160]);
    rig.receive(B, BOB, header(8, 300, 99_000), &[2; 160]);
    let to: Vec<_> = rig.take_packets().iter().map(|p| (p.port, p.to)).collect();
    assert_eq!(to, [(B.port, BOB), (A.port, back)]);
    assert_eq!(
        rig.events.iter().filter(|e| matches!(e, Event::Heard { stream, .. } if *stream == A)).count(),
        1
    );
}

#[test]
fn what_is_no_rtp_of_the_session_neither_latches_nor_passes() {
    let mut rig = Rig::bridged(Codec::Pcma, Codec::Pcma);
    let mut stun = [0u8; 20];
    stun[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    let wrong_type = [&header(3, 1, 0).bytes()[..], &[0; 33]].concat();
    let report = rtcp::report(1, "x", None, None, None, false);
    let long = [&header(8, 1, 0).bytes()[..], &[0; 1400]].concat();
    for datagram in [&stun[..], &wrong_type, &report, &long, &[], b"\r\n\r\n"] {
        rig.engine.rtp(rig.now, A.port, EVE, &mut datagram.to_vec());
    }
    assert!(rig.take_packets().is_empty());
    rig.command(Command::Close { stream: A });
    let Some(Event::Closed { stats, .. }) = rig.events.last() else { panic!("{:?}", rig.events) };
    assert_eq!((stats.dropped, stats.received), (6, 0));
    assert!(!rig.events.iter().any(|event| matches!(event, Event::Heard { .. })));
}

#[test]
fn transcoding_keeps_level_and_frequency() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let mut rig = Rig::bridged(from, to);
            let mut encoder = Encoder::new(from);
            let per_packet = from.sample_rate() as usize / 50;
            let mut decoder = Decoder::new(to);
            let (mut heard, mut sent) = (Vec::new(), Vec::new());
            for at in 0..80u16 {
                let start = usize::from(at) * per_packet;
                let samples: Vec<i16> = (start..start + per_packet)
                    .map(|n| {
                        let angle = std::f64::consts::TAU * 1000.0 * n as f64 / f64::from(from.sample_rate());
                        (8000.0 * angle.sin()) as i16
                    })
                    .collect();
                let mut payload = Vec::new();
                encoder.encode(&samples, &mut payload);
                let timestamp = u32::from(at) * 20 * from.units_per_ms();
                rig.receive(A, ANN, header(from.payload_type(), at, timestamp), &payload);
                let packets = rig.run(20);
                if Converter::passes(from, to) {
                    assert_eq!(packets.len(), 1, "{from:?} to {to:?}: on arrival");
                }
                if from == to {
                    assert_eq!(packets[0].payload, payload, "byte for byte");
                }
                sent.extend(packets);
            }
            assert!((77..=80).contains(&sent.len()), "{from:?} to {to:?}: {} packets", sent.len());
            assert_line(&sent, 20 * to.units_per_ms());
            for packet in sent {
                assert_eq!(packet.header.payload_type, to.payload_type());
                let mut samples = vec![0; to.sample_rate() as usize * 120 / 1000];
                let count = decoder.decode(&packet.payload, &mut samples);
                assert_eq!(count, to.sample_rate() as usize / 50, "{from:?} to {to:?}");
                heard.extend_from_slice(&samples[..count]);
            }
            let heard = &heard[heard.len() / 2..];
            let peak = goertzel(heard, 1000.0, to.sample_rate());
            let lossy = from == Codec::Opus || to == Codec::Opus;
            let room = if lossy { 1.5 } else { 0.6 };
            assert!((20.0 * (peak / 8000.0).log10()).abs() < room, "{from:?} to {to:?}: {peak}");
            let beside = goertzel(heard, 2300.0, to.sample_rate());
            assert!(beside < if lossy { 400.0 } else { 80.0 }, "{from:?} to {to:?}: {beside} at 2300 Hz");
        }
    }
}

#[test]
fn what_is_played_is_heard_in_opus_and_l16_too() {
    for codec in [Codec::Opus, Codec::L16] {
        let mut rig = Rig::new();
        let tone: Vec<i16> = (0..16_000)
            .map(|at| (8000.0 * (f64::from(at) * std::f64::consts::FRAC_PI_8).sin()) as i16)
            .collect();
        rig.bank
            .insert("tone".into(), std::sync::Arc::new(sentral::media::bank::Clip::from_pcm(&tone, 16_000)));
        rig.open(A, session(ANN, codec));
        rig.play(A, &["tone"], 1);
        let packets = rig.run(1500);
        assert_eq!(packets.len(), 50, "{codec:?}");
        assert_line(&packets, 20 * codec.units_per_ms());
        let mut decoder = Decoder::at(codec, 16_000);
        let mut heard = Vec::new();
        for packet in packets {
            let mut samples = [0; 1920];
            let count = decoder.decode(&packet.payload, &mut samples);
            heard.extend_from_slice(&samples[..count]);
        }
        let peak = goertzel(&heard[4800..12_800], 1000.0, 16_000);
        assert!((20.0 * (peak / 8000.0).log10()).abs() < 1.5, "{codec:?}: {peak}");
        assert_eq!(rig.events, [Event::PlayFinished { stream: A, play: PlayId(1) }]);
    }
}

#[test]
fn packets_of_another_length_are_cut_anew() {
    for (theirs, ours) in [(20u16, 40u8), (30, 20), (10, 60), (60, 10)] {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, Codec::Pcma));
        rig.open(B, Session { packet_ms: ours, ..session(BOB, Codec::Pcmu) });
        rig.bridge();
        let mut sent = Vec::new();
        for at in 0..60 {
            let payload = vec![0x55 ^ 0x30; usize::from(theirs) * 8];
            rig.receive(A, ANN, header(8, at, u32::from(at) * u32::from(theirs) * 8), &payload);
            sent.extend(rig.run(u64::from(theirs)));
        }
        let cut: Vec<&Sent> = sent.iter().filter(|p| p.payload.len() == usize::from(ours) * 8).collect();
        assert!(sent.len() - cut.len() <= 3, "{theirs} to {ours}: {} as they came", sent.len() - cut.len());
        let (ms, expect) = (cut.len() * usize::from(ours), 60 * usize::from(theirs));
        assert!(ms + 260 >= expect && ms <= expect, "{theirs} to {ours}: {ms} of {expect} ms");
        assert!(
            sent.windows(2).all(|pair| pair[1].header.sequence == pair[0].header.sequence.wrapping_add(1))
        );
    }
}

#[test]
fn keys_cross_between_clocks_and_comfort_noise_reaches_who_agreed_to_it() {
    let mut rig = Rig::new();
    rig.open(A, Session { dtmf: Some(101), ..session(ANN, Codec::Pcma) });
    rig.open(B, Session { dtmf: Some(110), ..session(BOB, Codec::Opus) });
    rig.bridge();
    rig.talk(A, ANN, Codec::Pcma, 10);
    let mut packets = Vec::new();
    for at in 0..8u16 {
        let payload = key(5, (at + 1).min(6) * 160, at > 5);
        rig.receive(A, ANN, rtp::Header { marker: at == 0, ..header(101, 10 + at, 1600) }, &payload);
        packets.extend(rig.run(20));
    }
    packets.extend(rig.run(300));
    packets.retain(|p| p.header.payload_type == 110);
    let first = packets.first().expect("the key").header;
    assert!(packets.iter().all(|p| p.payload[0] == 5 && p.header.timestamp == first.timestamp));
    assert_eq!(packets.last().map(|p| p.payload.clone()), Some(key(5, 4800, true)), "100 ms at 48 kHz");
    let digits: Vec<&Event> = rig.events.iter().filter(|e| matches!(e, Event::Digit { .. })).collect();
    assert_eq!(digits.len(), 1);

    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.open(B, Session { comfort: Some(13), ..session(BOB, Codec::Pcmu) });
    rig.bridge();
    rig.talk(A, ANN, Codec::Pcma, 2);
    rig.receive(A, ANN, header(13, 2, 320), &[60]);
    let packets = rig.take_packets();
    assert_eq!(packets.len(), 1);
    assert_eq!((packets[0].header.payload_type, &packets[0].payload[..]), (13, &[60][..]));
}

#[test]
fn a_phone_of_opus_with_events_at_8_khz_is_sent_durations_on_that_clock() {
    let narrow = Session { dtmf: Some(101), dtmf_clock: Some(8000), ..session(BOB, Codec::Opus) };
    // Its keys pressed anew, and those of another phone of Opus passed on, both ways.
    for (theirs, step) in [(Codec::Pcma, 160), (Codec::Opus, 960)] {
        let mut rig = Rig::new();
        rig.open(A, Session { dtmf: Some(110), ..session(ANN, theirs) });
        rig.open(B, narrow.clone());
        rig.bridge();
        let mut packets = Vec::new();
        for at in 0..8u16 {
            let payload = key(5, (at + 1).min(5) * step, at > 4);
            rig.receive(A, ANN, rtp::Header { marker: at == 0, ..header(110, 10 + at, 9600) }, &payload);
            packets.extend(rig.run(20));
        }
        packets.extend(rig.run(300));
        packets.retain(|packet| packet.header.payload_type == 101);
        assert!(packets.iter().all(|packet| packet.header.timestamp == packets[0].header.timestamp));
        assert_eq!(
            packets.last().map(|packet| packet.payload.clone()),
            Some(key(5, 800, true)),
            "{theirs:?}"
        );
        if theirs == Codec::Opus {
            let mut back = Vec::new();
            rig.receive(B, BOB, header(101, 10, 9600), &key(7, 800, true));
            back.extend(rig.take_packets().into_iter().filter(|packet| packet.port == A.port));
            assert_eq!(back.last().map(|packet| packet.payload.clone()), Some(key(7, 4800, true)));
        }
    }
}

#[test]
fn an_echo_comes_back() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::G722));
    rig.command(Command::Base { stream: A, base: Base::Echo });
    rig.receive(A, ANN, header(9, 1, 0), &[0x42; 160]);
    let packets = rig.take_packets();
    assert_eq!((packets.len(), packets[0].to, &packets[0].payload[..]), (1, ANN, &[0x42; 160][..]));
}

#[test]
fn a_key_is_sent_as_an_event_between_the_audio_on_one_line() {
    let mut rig = Rig::new();
    rig.open(A, Session { dtmf: Some(101), ..session(ANN, Codec::Pcma) });
    rig.command(Command::Base { stream: A, base: Base::Music("music".into()) });
    let mut packets = rig.run(100);
    rig.command(Command::SendDigit { stream: A, digit: '#' });
    rig.command(Command::SendDigit { stream: A, digit: 'x' }); // no key
    packets.extend(rig.run(400));
    let mut receiver = dtmf::Receiver::default();
    let mut heard = String::new();
    for packet in packets.iter().filter(|p| p.header.payload_type == 101) {
        let payload = dtmf::Payload::parse(&packet.payload).expect("four bytes");
        heard.extend(receiver.receive(payload, &packet.header, packet.ms));
    }
    assert_eq!(heard, "#");
    assert_eq!(packets.iter().filter(|p| p.header.payload_type == 101).count(), 8);
    assert!(packets.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
    let audio: Vec<_> = packets.iter().filter(|p| p.header.payload_type == 8).collect();
    for packet in &audio {
        let clock = packet.header.timestamp.wrapping_sub(audio[0].header.timestamp);
        assert_eq!(u64::from(clock), (packet.ms - audio[0].ms) * 8, "the audio's clock went on");
    }
}

#[test]
fn a_key_is_sent_as_tones_where_no_event_was_agreed() {
    let mut rig = Rig::new();
    rig.open(A, Session { tones: true, ..session(ANN, Codec::Pcma) });
    rig.command(Command::SendDigit { stream: A, digit: '7' });
    let packets = rig.run(300);
    assert_eq!(packets.len(), 8, "160 ms and then silence");
    let bytes: Vec<u8> = packets.iter().flat_map(|p| p.payload.clone()).collect();
    assert_eq!(bytes, rig.bank.key(7).bytes(Codec::Pcma));
}

#[test]
fn a_recording_is_placed_by_timestamp_and_ends_by_itself() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.record(A, Duration::from_millis(1500), None);
    for at in [0u16, 1, 2, 5, 4, 6] {
        rig.receive(A, ANN, header(8, at, 9000 + u32::from(at) * 160), &[0xD5 ^ 0x20; 160]); // 3 is lost
    }
    for at in 7..100 {
        rig.receive(A, ANN, header(8, at, 9000 + u32::from(at) * 160), &[0xD5 ^ 0x20; 160]);
    }
    let (samples, length) = rig.recorded();
    assert_eq!((samples.len(), length), (12_000, 12_000), "1.5 s");
    let loud: Vec<bool> = samples.chunks(160).map(|frame| frame.iter().all(|s| *s != 0)).collect();
    let silent: Vec<usize> = (0..loud.len()).filter(|at| !loud[*at]).collect();
    assert_eq!(silent, [3], "what is late is in its place, what is lost is silence");
}

#[test]
fn a_recording_ends_with_silence_whether_it_is_sent_or_not() {
    for packets_of_silence in [true, false] {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, Codec::Pcmu));
        rig.record(A, Duration::from_secs(60), Some(Duration::from_secs(2)));
        let mut ended_ms = 0;
        for at in 0..400u16 {
            let loud = at < 50;
            if loud || packets_of_silence {
                let payload = if loud { [0x20; 160] } else { [0xFF; 160] };
                rig.receive(A, ANN, header(0, at, u32::from(at) * 160), &payload);
            }
            rig.run(20);
            if ended_ms == 0 && rig.chunks.iter().any(|chunk| matches!(chunk, Chunk::End { .. })) {
                ended_ms = (u64::from(at) + 1) * 20;
            }
        }
        assert!((2950..=3100).contains(&ended_ms), "{packets_of_silence}: at {ended_ms} ms");
    }
}

#[test]
fn silence_is_told_once_and_again_only_after_sound() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    let quiet = |rig: &Rig| rig.events.iter().filter(|event| matches!(event, Event::Quiet { .. })).count();
    rig.run(3000);
    assert_eq!(quiet(&rig), 1, "within three seconds");
    rig.run(17_000);
    assert_eq!(quiet(&rig), 1);
    rig.receive(A, ANN, header(8, 1, 0), &[1; 160]);
    assert_eq!(rig.events.last(), Some(&Event::Restored { stream: A }));
    rig.run(20_000);
    assert_eq!(quiet(&rig), 2);
    rig.command(Command::Modify {
        stream: A,
        session: Session { receive: false, ..session(ANN, Codec::Pcma) },
    });
    rig.receive(A, ANN, header(8, 2, 160), &[1; 160]);
    rig.run(20_000);
    assert_eq!(quiet(&rig), 2, "who need not send is not missed");
}

/// A host of the open Internet whose description is believed, and two others.
const FAR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9)), 4000);
const ELSEWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 4000);

fn silences(rig: &Rig) -> Vec<Silence> {
    let told = rig.events.iter().filter_map(|event| match event {
        Event::Quiet { stream: A, cause, .. } => Some(*cause),
        _ => None,
    });
    told.collect()
}

#[test]
fn why_nothing_is_heard_is_told_within_three_seconds() {
    let sealed =
        || Session { srtp: Some(protection(Suite::AesCm128HmacSha1_80, 1).0), ..session(FAR, Codec::Pcma) };
    let terms = dtls::Terms { role: dtls::Role::Passive, fingerprint: dtls::Fingerprint::of(b"theirs") };
    let transport = Transport { dtls: Some(terms), ..Transport::default() };
    let of_dtls = Session { transport, ..session(FAR, Codec::Pcma) };
    let plain = session(FAR, Codec::Pcma);
    let rows = [
        (plain.clone(), None, Silence::Nothing),
        (plain.clone(), Some((ELSEWHERE, 8)), Silence::Stranger(ELSEWHERE)),
        (plain, Some((FAR, 0)), Silence::Unfit(FAR)),
        (sealed(), Some((FAR, 8)), Silence::Sealed(FAR)),
        (of_dtls, Some((FAR, 8)), Silence::NoKeys),
    ];
    for (session, comes, expect) in rows {
        let mut rig = Rig::new();
        rig.open(A, session);
        for at in 0..150u16 {
            if let Some((from, kind)) = comes {
                rig.receive(A, from, header(kind, at, u32::from(at) * 160), &[1; 160]);
            }
            rig.run(20);
        }
        assert_eq!(silences(&rig), [expect]);
        rig.run(10_000);
        assert_eq!(silences(&rig), [expect], "once");
    }
}

#[test]
fn what_turns_out_later_is_told_and_a_few_stray_packets_are_no_cause() {
    let mut rig = Rig::new();
    rig.open(A, session(FAR, Codec::Pcma));
    for at in 0..4u16 {
        rig.receive(A, ELSEWHERE, header(8, at, u32::from(at) * 160), &[1; 160]);
    }
    rig.run(5000);
    assert_eq!(silences(&rig), [Silence::Nothing]);
    for at in 0..150u16 {
        rig.receive(A, ELSEWHERE, header(8, at, u32::from(at) * 160), &[1; 160]);
        rig.run(20);
    }
    assert_eq!(silences(&rig), [Silence::Nothing, Silence::Stranger(ELSEWHERE)]);
    rig.receive(A, FAR, header(8, 1, 160), &[1; 160]);
    assert_eq!(rig.events.last(), Some(&Event::Restored { stream: A }));
    // From here on the stranger is only noise beside it.
    for at in 2..300u16 {
        rig.receive(A, FAR, header(8, at, u32::from(at) * 160), &[1; 160]);
        rig.receive(A, ELSEWHERE, header(8, at, u32::from(at) * 160), &[1; 160]);
        rig.run(20);
    }
    rig.run(3000);
    assert_eq!(silences(&rig)[2..], [Silence::Nothing]);
}

#[test]
fn who_hears_nothing_of_us_is_known_by_their_first_report_and_hears_of_it_from_us_within_three_seconds() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.command(Command::Base { stream: A, base: Base::Music("music".into()) });
    for at in 0..60u16 {
        rig.receive(A, ANN, header(8, at, u32::from(at) * 160), &[1; 160]);
        rig.run(20);
    }
    // RFC 3550 §6.2: a party's first report comes after 1.03 s at the earliest. It has heard nobody.
    let rtcp_from = SocketAddr::new(ANN.ip(), ANN.port() + 1);
    let deaf = rtcp::report(99, "ann", None, None, None, false);
    rig.engine.rtcp(rig.now, A.port, rtcp_from, &deaf);
    rig.run(20);
    assert_eq!(rig.events.last(), Some(&Event::Unheard { stream: A }));
    rig.run(1800);
    let (first_ms, _, first) = &rig.reports[0];
    assert!(*first_ms <= 3000, "our first report at {first_ms} ms");
    assert!(rtcp::parse(first, 0).is_some_and(|first| !first.hears_nobody), "it tells Ann that she is heard");
}

#[test]
fn a_stream_tells_its_figures_while_it_lasts() {
    let mut rig = Rig::bridged(Codec::Pcma, Codec::G722);
    for at in 0..150u16 {
        if at % 10 != 9 {
            rig.receive(A, ANN, header(8, at, u32::from(at) * 160), &[0x80; 160]);
        }
        rig.run(20);
    }
    let told = |of: StreamId| {
        let figures = rig.events.iter().rev().find_map(|event| match event {
            Event::Figures { stream, stats } if *stream == of => Some(*stats),
            _ => None,
        });
        figures.expect("every other second")
    };
    let (a, b) = (told(A), told(B));
    assert_eq!((a.codec, a.from, a.converted_from), (Some(Codec::Pcma), Some(ANN), None));
    assert!((8..=15).contains(&a.lost) && a.received > 85, "{a:?}");
    assert!(a.mos.is_some_and(|mos| (250..380).contains(&mos)), "a tenth is lost: {a:?}");
    assert_eq!((b.codec, b.from, b.converted_from), (Some(Codec::G722), None, Some(Codec::Pcma)));
    assert!(b.sent > 80 && b.mos.is_none() && b.quiet, "{b:?}");
}

#[test]
fn reports_go_out_every_five_seconds_and_give_round_trip_and_loss() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.command(Command::Base { stream: A, base: Base::Music("music".into()) });
    for at in 0..50u16 {
        if at % 10 != 9 {
            rig.receive(A, ANN, header(8, at, u32::from(at) * 160), &[1; 160]);
        }
        rig.run(20);
    }
    rig.run(59_000);
    let reports = std::mem::take(&mut rig.reports);
    assert!((8..=24).contains(&reports.len()), "{} reports in a minute", reports.len());
    assert!(reports.iter().all(|report| report.1 == SocketAddr::new(ANN.ip(), ANN.port() + 1)));
    let ours = rtcp::parse(&reports[reports.len() - 1].2, 0).expect("well-formed");
    let (ssrc, middle) = ours.sender.expect("we send, so it is a sender report");
    // Ann answers: she holds our report for no time at all; the rest of the way since is round trip.
    let sent_ms = reports[reports.len() - 1].0;
    let about = rtcp::Reception {
        ssrc,
        fraction_lost: 51,
        lost: 9,
        highest: 0,
        jitter: 0,
        last_report: middle,
        delay: 0,
    };
    rig.engine.rtcp(rig.now, A.port, EVE, &rtcp::report(5, "eve", None, Some(about), None, false));
    let rtcp_from = SocketAddr::new(ANN.ip(), 4777);
    rig.engine.rtcp(rig.now, A.port, rtcp_from, &rtcp::report(99, "ann", None, Some(about), None, false));
    let waited_ms = rig.ms() - sent_ms;
    rig.command(Command::Close { stream: A });
    let Some(Event::Closed { stats, .. }) = rig.events.last() else { panic!("{:?}", rig.events) };
    let rtt_ms = u64::from(stats.rtt_us.expect("known") / 1000);
    assert!(rtt_ms.abs_diff(waited_ms) <= 1, "{rtt_ms} against {waited_ms}");
    assert_eq!(stats.remote_fraction_lost, Some(51));
    assert_eq!((stats.received, stats.lost, stats.dropped), (45, 4, 1), "Eve's report is dropped");
    let bye = rig.reports.last().expect("a BYE");
    assert_eq!(bye.1, rtcp_from, "RTCP goes where it comes from");
    let packets = ::rtcp::packet::unmarshal(&mut &bye.2[..]).expect("well-formed");
    assert_eq!(format!("{:?}", packets.last().expect("a packet").header().packet_type), "Goodbye");
}

#[test]
fn commands_for_another_use_of_the_port_are_ignored() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    let newer = StreamId { generation: 2, ..A };
    rig.open(newer, session(BOB, Codec::Pcma));
    assert!(matches!(rig.events[..], [Event::Closed { stream: A, .. }]), "the old use ends");
    rig.command(Command::Close { stream: A });
    rig.play(A, &["prompt"], 1);
    rig.open(A, session(EVE, Codec::Pcma));
    assert!(rig.run(100).is_empty());
    rig.command(Command::Close { stream: newer });
    assert!(rig.engine.is_empty());
    assert_eq!(rig.events.len(), 2);
}

#[test]
fn a_peer_of_another_thread_is_passed_on_over_a_link() {
    let mut here = Rig::new();
    let mut there = Rig::with_thread(1);
    let far = StreamId { thread: 1, ..B };
    here.open(A, session(ANN, Codec::Pcma));
    there.open(far, session(BOB, Codec::Pcmu));
    there.command(Command::Base { stream: far, base: Base::Peer(A) });
    for link in there.links() {
        assert_eq!(link.thread(), 0);
        here.engine.link(here.now, link);
    }
    for at in 0..5u16 {
        here.receive(A, ANN, header(8, at, u32::from(at) * 160), &[0xD5; 160]);
        for link in here.links() {
            assert_eq!(link.thread(), 1);
            there.engine.link(there.now, link);
        }
    }
    let packets = there.take_packets();
    assert_eq!(packets.len(), 5);
    assert_line(&packets, 160);
    assert!(packets.iter().all(|p| p.to == BOB && p.header.payload_type == 0));
    there.command(Command::Close { stream: far });
    for link in there.links() {
        here.engine.link(here.now, link);
    }
    here.receive(A, ANN, header(8, 9, 0), &[0xD5; 160]);
    assert!(here.links().is_empty(), "nobody listens");
}

/// Keys of the switch for a phone, and the phone's own contexts.
fn protection(suite: Suite, first: u8) -> (Keys, Srtp) {
    let master = |first: u8| Master::new(suite, &[first; 46]).expect("enough for any suite");
    let ours = Keys { send: master(first), receive: master(first + 1) };
    (ours.clone(), Srtp::new(Keys { send: ours.receive, receive: ours.send }))
}

#[test]
fn a_protected_phone_talks_with_another_suite_and_with_a_plain_phone() {
    for (of_bob, expect) in [(None, 160), (Some(Suite::AesCm128HmacSha1_80), 170)] {
        let mut rig = Rig::new();
        let (keys, mut ann) = protection(Suite::AeadAes128Gcm, 1);
        let bob = of_bob.map(|suite| protection(suite, 10));
        rig.open(A, Session { srtp: Some(keys), ..session(ANN, Codec::Pcma) });
        rig.open(
            B,
            Session { srtp: bob.as_ref().map(|(keys, _)| keys.clone()), ..session(BOB, Codec::Pcma) },
        );
        rig.bridge();
        let mut bob = bob.map(|(_, bob)| bob);
        for sequence in 0..50u16 {
            let head = header(8, sequence, u32::from(sequence) * 160);
            let mut said = [&head.bytes()[..], &[sequence as u8; 160]].concat();
            assert!(ann.protect(&mut said, 0));
            let forged: Vec<u8> =
                said.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 20)).collect();
            for mut datagram in [forged, said.clone(), said] {
                rig.engine.rtp(rig.now, A.port, ANN, &mut datagram);
            }
            let packets = rig.run(20);
            let [packet] = &packets[..] else { panic!("the true one, once: {packets:?}") };
            assert_eq!((packet.to, packet.payload.len()), (BOB, expect));
            let mut heard = [&packet.header.bytes()[..], &packet.payload].concat();
            if let Some(bob) = &mut bob {
                let length = bob.unprotect(&mut heard).expect("authentic");
                heard.truncate(length);
            }
            assert_eq!(heard[12..], [sequence as u8; 160]);
        }
        // Reports are protected like the rest.
        rig.run(8000);
        let (_, _, report) = rig.reports.iter().rfind(|(_, to, _)| to.ip() == ANN.ip()).expect("one for Ann");
        assert!(ann.unprotect_rtcp(&mut report.clone()).is_some());
        let about = rtcp::report(0xA11CE, "ann", None, None, None, false);
        let mut sealed = about.clone();
        assert!(ann.protect_rtcp(&mut sealed, 0));
        let rtcp_from = SocketAddr::new(ANN.ip(), ANN.port() + 1);
        rig.engine.rtcp(rig.now, A.port, rtcp_from, &sealed);
        rig.engine.rtcp(rig.now, A.port, rtcp_from, &about);
        rig.command(Command::Close { stream: A });
        let Some(Event::Closed { stats, .. }) = rig.events.last() else { panic!("{:?}", rig.events) };
        assert_eq!((stats.received, stats.dropped), (50, 101), "forged, replayed, and a report in the clear");
    }
}

#[test]
fn a_protected_phone_hears_prompts_and_keys_and_a_new_key_takes_hold() {
    let mut rig = Rig::new();
    let (keys, mut ann) = protection(Suite::AesCm128HmacSha1_32, 1);
    let of_ann = |keys: Keys| Session { srtp: Some(keys), dtmf: Some(101), ..session(ANN, Codec::Pcma) };
    rig.open(A, of_ann(keys.clone()));
    rig.play(A, &["prompt"], 1);
    let open = |packets: Vec<Sent>, ann: &mut Srtp| -> Vec<u8> {
        let payload = |packet: Sent| {
            let mut bytes = [&packet.header.bytes()[..], &packet.payload].concat();
            let length = ann.unprotect(&mut bytes).expect("authentic");
            bytes[12..length].to_vec()
        };
        packets.into_iter().flat_map(payload).collect()
    };
    let clip = rig.bank.get("prompt").expect("in the bank");
    let packets = rig.run(400);
    assert_eq!(open(packets, &mut ann), clip.bytes(Codec::Pcma));
    rig.command(Command::SendDigit { stream: A, digit: '5' });
    let mut packets = rig.run(400);
    packets.retain(|packet| packet.header.payload_type == 101);
    let events = open(packets, &mut ann);
    assert!(events.len() > 20 && events.chunks(4).all(|event| event[0] == 5), "{events:?}");
    // The same keys again change nothing, others do.
    rig.command(Command::Modify { stream: A, session: of_ann(keys) });
    rig.play(A, &["prompt"], 1);
    let packets = rig.run(100);
    assert!(!open(packets, &mut ann).is_empty());
    let (fresh, mut renewed) = protection(Suite::AeadAes256Gcm, 50);
    rig.command(Command::Modify { stream: A, session: of_ann(fresh) });
    let packets = rig.run(100);
    assert!(!open(packets, &mut renewed).is_empty());
    let key = [&header(101, 1, 160).bytes()[..], &key(7, 160, false)].concat();
    for (context, expect) in [(&mut ann, 0), (&mut renewed, 1)] {
        let mut pressed = key.clone();
        assert!(context.protect(&mut pressed, 0));
        rig.engine.rtp(rig.now, A.port, ANN, &mut pressed);
        rig.collect();
        let digits =
            rig.events.iter().filter(|event| matches!(event, Event::Digit { digit: '7', .. })).count();
        assert_eq!(digits, expect);
    }
}
