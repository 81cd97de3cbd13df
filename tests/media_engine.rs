//! The media engine from outside: exact packets, one line over every change of source, latching, keys,
//! transcoding, recording, reports; and the real threads over the loopback interface.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the threads are tried with real sockets and time

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::PlayId;
use sentral::media::PlayItem;
use sentral::media::RecordId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::bank::Bank;
use sentral::media::bank::Clip;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::dtmf;
use sentral::media::engine::Engine;
use sentral::media::engine::output::Link;
use sentral::media::engine::record::Chunk;
use sentral::media::rtcp;
use sentral::media::rtp;
use sentral::media::tone::Tone;
use sentral::rand::Rng;
use sentral::shell::media::thread;
use sentral::shell::media::thread::MediaSettings;

/// Two phones and somebody who was not asked.
const ANN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 4000);
const BOB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 5000);
const EVE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), 6000);

/// Their streams.
const A: StreamId = StreamId { thread: 0, port: 20_000, generation: 1 };
const B: StreamId = StreamId { thread: 0, port: 20_002, generation: 1 };

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
    for codec in Codec::ALL {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, codec));
        rig.play(A, &["prompt"], 2);
        let packets = rig.run(1000);
        let clip = rig.bank.get("prompt").expect("in the bank");
        let bytes: Vec<u8> = packets.iter().flat_map(|p| p.payload.clone()).collect();
        assert_eq!(bytes, [clip.bytes(codec), clip.bytes(codec)].concat(), "{codec:?}");
        assert_line(&packets, 160);
        assert!(packets.iter().all(|p| p.to == ANN && p.header.payload_type == codec.static_payload_type()));
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
fn many_streams_are_spread_over_the_milliseconds() {
    let mut rig = Rig::new();
    for at in 0..200 {
        let id = StreamId { port: 20_000 + 2 * at, ..A };
        rig.open(id, session(ANN, Codec::Pcma));
        rig.command(Command::Base { stream: id, base: Base::Music("music".into()) });
    }
    let packets = rig.run(200);
    for ms in 21..=200 {
        assert_eq!(packets.iter().filter(|p| p.ms == ms).count(), 10, "at {ms} ms");
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
        assert!(step >= 160 && step < 160 + 4800, "moved by {step}");
        assert_eq!(b.marker, step != 160 || b.marker, "a gap is marked");
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
    let expect =
        [(98, 0, 0, 0), (98, 1, 160, 1), (98, 3, 480, 3), (98, 2, 320, 2), (96, 4, 640, 5), (98, 5, 800, 5)];
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
fn a_third_party_can_neither_be_heard_nor_draw_the_audio_to_itself() {
    let mut rig = Rig::bridged(Codec::Pcma, Codec::Pcma);
    let nat = SocketAddr::from(([198, 51, 100, 7], 31_000));
    rig.receive(A, nat, header(8, 1, 0), &[1; 160]);
    assert!(rig.events.contains(&Event::Heard { stream: A, from: nat }));
    rig.take_packets();
    for at in 2..200u16 {
        rig.receive(A, EVE, header(8, 5000 + at, u32::from(at) * 160), &[9; 160]);
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
    rig.receive(A, EVE, header(8, 1, 0), &[9; 160]);
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
    let report = rtcp::report(1, "x", None, None, false);
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
            let per_packet = 160 * from.samples_per_byte();
            let mut decoder = Decoder::new(to);
            let mut heard = Vec::new();
            for at in 0..50u16 {
                let start = usize::from(at) * per_packet;
                let samples: Vec<i16> = (start..start + per_packet)
                    .map(|n| {
                        let angle = std::f64::consts::TAU * 1000.0 * n as f64 / f64::from(from.sample_rate());
                        (8000.0 * angle.sin()) as i16
                    })
                    .collect();
                let mut payload = Vec::new();
                encoder.encode(&samples, &mut payload);
                rig.receive(A, ANN, header(from.static_payload_type(), at, u32::from(at) * 160), &payload);
                let packets = rig.take_packets();
                assert_eq!(packets.len(), 1);
                assert_eq!(packets[0].header.payload_type, to.static_payload_type());
                if from == to {
                    assert_eq!(packets[0].payload, payload, "byte for byte");
                }
                let mut samples = vec![0; 160 * to.samples_per_byte()];
                decoder.decode(&packets[0].payload, &mut samples);
                heard.extend(samples);
            }
            let heard = &heard[heard.len() / 4..];
            let peak = goertzel(heard, 1000.0, to.sample_rate());
            assert!((20.0 * (peak / 8000.0).log10()).abs() < 0.6, "{from:?} to {to:?}: {peak}");
            let beside = goertzel(heard, 2300.0, to.sample_rate());
            assert!(beside < 80.0, "{from:?} to {to:?}: {beside} at 2300 Hz");
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
        heard.extend(receiver.receive(payload, packet.header.timestamp, packet.header.marker, packet.ms));
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
    rig.open(A, session(ANN, Codec::Pcma));
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
    rig.run(20_000);
    let quiet = |rig: &Rig| rig.events.iter().filter(|event| matches!(event, Event::Quiet { .. })).count();
    assert_eq!(quiet(&rig), 1);
    rig.receive(A, ANN, header(8, 1, 0), &[1; 160]);
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
    rig.engine.rtcp(rig.now, A.port, EVE, &rtcp::report(5, "eve", None, Some(about), false));
    let rtcp_from = SocketAddr::new(ANN.ip(), 4777);
    rig.engine.rtcp(rig.now, A.port, rtcp_from, &rtcp::report(99, "ann", None, Some(about), false));
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes and whatever is ordered: no panic, and nothing is left when all is closed.
    #[test]
    fn nothing_that_comes_breaks_the_engine(seed: u64, noise in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut rng = Rng::from_seed(seed);
        let mut rig = Rig::new();
        for _ in 0..400 {
            let stream = StreamId { port: 20_000 + 2 * rng.below(4) as u16, generation: rng.below(3) as u32, thread: 0 };
            rig.now += Duration::from_millis(rng.below(90) as u64);
            let from = [ANN, BOB, EVE][rng.below(3)];
            let mut datagram = noise.clone();
            match rng.below(4) {
                0 => rig.engine.rtp(rig.now, stream.port, from, &mut datagram),
                1 => rig.engine.rtcp(rig.now, stream.port, from, &datagram),
                2 => {
                    let kind = [0, 8, 9, 13, 101][rng.below(5)];
                    let mut bytes = header(kind, rng.bits() as u16, rng.bits() as u32).bytes().to_vec();
                    bytes[0] |= (rng.bits() as u8) & 0x3F & noise.first().copied().unwrap_or(0);
                    bytes.extend(&noise);
                    rig.engine.rtp(rig.now, stream.port, from, &mut bytes);
                    let mut report = rtcp::report(rng.bits() as u32, "x", None, None, true);
                    if let Some(byte) = noise.first() {
                        let at = rng.below(report.len());
                        report[at] ^= byte;
                    }
                    rig.engine.rtcp(rig.now, stream.port, from, &report);
                }
                _ => rig.engine.command(rig.now, any_command(&mut rng, stream)),
            }
            rig.engine.tick(rig.now);
            rig.collect();
        }
        rig.engine.close_all(rig.now);
        prop_assert!(rig.engine.is_empty());
        prop_assert_eq!(rig.engine.next_tick(), None);
        rig.collect();
        let begun = rig.chunks.iter().filter(|chunk| matches!(chunk, Chunk::Begin { .. })).count();
        let ended = rig.chunks.iter().filter(|chunk| matches!(chunk, Chunk::End { .. })).count();
        prop_assert_eq!(begun, ended);
        prop_assert!(rig.packets.iter().all(|packet| packet.payload.len() <= 960));
    }

    /// However the packets of presses are lost, doubled and swapped with a neighbour, each press of which one
    /// packet comes is told once.
    #[test]
    fn a_key_is_told_once_under_loss_duplication_and_reordering(seed: u64) {
        let mut rng = Rng::from_seed(seed);
        let mut rig = Rig::new();
        rig.open(A, Session { dtmf: Some(101), ..session(ANN, Codec::Pcma) });
        let (mut sequence, mut timestamp) = (rng.bits() as u16, rng.bits() as u32);
        let mut expect = String::new();
        for _ in 0..30 {
            let event = rng.below(12) as u8;
            let mut packets: Vec<(rtp::Header, Vec<u8>)> = (1..=8u16)
                .map(|at| {
                    sequence = sequence.wrapping_add(1);
                    let head = rtp::Header { marker: at == 1, ..header(101, sequence, timestamp) };
                    (head, key(event, at.min(5) * 160, at > 5))
                })
                .collect();
            packets.retain(|_| rng.below(100) < 70);
            if packets.is_empty() {
                timestamp = timestamp.wrapping_add(1600);
                continue;
            }
            expect.push(sentral::media::tone::KEYS[usize::from(event)]);
            for at in 1..packets.len() {
                if rng.below(4) == 0 {
                    packets.swap(at - 1, at);
                }
            }
            for (head, payload) in packets {
                for _ in 0..=rng.below(2) {
                    rig.receive(A, ANN, head, &payload);
                    rig.run(20);
                }
            }
            timestamp = timestamp.wrapping_add(1600);
            rig.run(100);
        }
        let heard: String =
            rig.events.iter().filter_map(|e| if let Event::Digit { digit, .. } = e { Some(*digit) } else { None }).collect();
        prop_assert_eq!(heard, expect);
    }
}

#[test]
fn real_threads_play_relay_hear_keys_and_record_over_the_loopback() {
    let data = tempfile::tempdir().expect("a folder");
    let bank = Arc::new(Bank::new());
    bank.insert("prompt".into(), Arc::new(Clip::from_pcm(&[4000; 800], 8000)));
    let (told, events) = mpsc::channel();
    let settings =
        MediaSettings { ports: (34_000, 34_199), bind: "::".parse().expect("an address"), threads: 2 };
    let start = |data| {
        let told = told.clone();
        let tell = move |batch: Vec<Event>| {
            let _ = told.send(batch);
        };
        thread::start(&settings, &bank, data, &mut Rng::from_seed(3), tell)
    };
    let threads = start(data.path().to_owned()).expect("some of a hundred ports are free");
    let mut heard = Heard { events: events.into_iter(), seen: Vec::new() };
    let Event::Ports { thread, ports } = heard.wait(|event| matches!(event, Event::Ports { .. })) else {
        unreachable!("just matched")
    };
    let [a, b] = [ports[0], ports[1]].map(|port| StreamId { thread, port, generation: 1 });
    let ann = phone();
    let bob = phone();
    let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
    // A stray datagram from before the call must not latch.
    ann.send_to(&[0x80, 8, 0, 1], ("127.0.0.1", a.port)).expect("sent");
    threads.send(vec![
        Command::Open {
            stream: a,
            session: Session { dtmf: Some(101), ..session(address(&ann), Codec::Pcma) },
        },
        Command::Open { stream: b, session: session(address(&bob), Codec::Pcmu) },
        Command::Play { stream: a, play: PlayId(7), items: vec![PlayItem::Clip("prompt".into())], repeat: 1 },
    ]);
    let clip = bank.get("prompt").expect("just put in");
    for frame in clip.bytes(Codec::Pcma).chunks(160) {
        assert_eq!(receive(&ann).1, frame);
    }
    heard.wait(|event| *event == Event::PlayFinished { stream: a, play: PlayId(7) });
    threads.send(vec![
        Command::Base { stream: a, base: Base::Peer(b) },
        Command::Base { stream: b, base: Base::Peer(a) },
        Command::Record {
            stream: a,
            record: RecordId(1),
            file: "voicemail/1.wav".into(),
            max: Duration::from_secs(60),
            max_silence: None,
        },
    ]);
    // Until the commands are carried out nothing is passed on: Ann talks until Bob hears her.
    bob.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
    let mut at = 0u16;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut space = [0; 2048];
    while bob.recv(&mut space).is_err() {
        assert!(Instant::now() < deadline, "Bob never hears Ann");
        at += 1;
        let bytes = [&header(8, at, u32::from(at) * 160).bytes()[..], &[0xD5 ^ 0x30; 160]].concat();
        ann.send_to(&bytes, ("127.0.0.1", a.port)).expect("sent");
    }
    heard.wait(|event| matches!(event, Event::Heard { stream, .. } if *stream == a));
    let press = [&header(101, at + 1, 99_000).bytes()[..], &key(4, 160, false)].concat();
    ann.send_to(&press, ("127.0.0.1", a.port)).expect("sent");
    heard.wait(|event| *event == Event::Digit { stream: a, digit: '4' });
    bob.send_to(&[&header(0, 1, 0).bytes()[..], &[0x11; 160]].concat(), ("127.0.0.1", b.port)).expect("sent");
    let (passed, payload) = receive(&ann);
    assert_eq!((passed.payload_type, payload.len()), (8, 160));
    threads.send(vec![Command::Close { stream: a }, Command::Close { stream: b }]);
    heard.wait(|event| matches!(event, Event::Recorded { error: None, length, .. } if !length.is_zero()));
    heard.wait(|event| matches!(event, Event::Closed { stream, .. } if *stream == b));
    let recorded = hound::WavReader::open(data.path().join("voicemail/1.wav")).expect("readable");
    assert!(recorded.len() >= 160);
    // The ports of a second exchange on the same range are all taken: it says what to do.
    let error = format!("{:#}", start(data.path().to_owned()).expect_err("all taken"));
    assert!(error.contains("media.ports"), "{error}");
    threads.stop();
    let again = start(data.path().to_owned()).expect("the ports are free again");
    again.stop();
}

/// Events of the threads, waited for with a deadline; those that came before are kept.
struct Heard {
    events: mpsc::IntoIter<Vec<Event>>,
    seen: Vec<Event>,
}

impl Heard {
    fn wait(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            if let Some(at) = self.seen.iter().position(&wanted) {
                return self.seen.remove(at);
            }
            self.seen.extend(self.events.next().expect("the threads run"));
        }
    }
}

fn phone() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    socket
}

fn receive(phone: &UdpSocket) -> (rtp::Header, Vec<u8>) {
    let mut space = [0; 2048];
    let length = phone.recv(&mut space).expect("a packet in ten seconds");
    let (header, payload) = rtp::parse(&space[..length]).expect("RTP");
    (header, space[payload].to_vec())
}

fn any_command(rng: &mut Rng, stream: StreamId) -> Command {
    let peer =
        StreamId { port: 20_000 + 2 * rng.below(4) as u16, generation: rng.below(3) as u32, thread: 0 };
    let session = Session {
        remote: [None, Some(ANN), Some(BOB)][rng.below(3)],
        codec: Codec::ALL[rng.below(3)],
        payload_type: [0, 8, 9, 101][rng.below(4)],
        dtmf: [None, Some(101)][rng.below(2)],
        packet_ms: [0, 10, 20, 30, 40, 60, 77, 255][rng.below(8)],
        send: rng.below(4) > 0,
        receive: rng.below(4) > 0,
        symmetric: rng.below(2) > 0,
    };
    match rng.below(14) {
        0..3 => Command::Open { stream, session },
        3 => Command::Modify { stream, session },
        4 => Command::Base { stream, base: Base::Peer(peer) },
        5 => Command::Base { stream, base: Base::Music(["music", "unknown"][rng.below(2)].into()) },
        6 => Command::Base {
            stream,
            base: [Base::Echo, Base::Silence, Base::Tone(Tone::Dial)][rng.below(3)].clone(),
        },
        7 => {
            let pause = PlayItem::Pause(Duration::from_millis(rng.below(50) as u64));
            let items =
                vec![PlayItem::Clip("prompt".into()), pause, PlayItem::Tone(Tone::Beep, Duration::MAX)];
            let items = items.into_iter().take(rng.below(4)).collect();
            Command::Play { stream, play: PlayId(rng.bits()), items, repeat: rng.below(3) as u32 }
        }
        8 => Command::Stop { stream },
        9 => Command::SendDigit { stream, digit: ['1', '#', 'd', 'x'][rng.below(4)] },
        10 => {
            let max = [Duration::ZERO, Duration::from_secs(1), Duration::MAX][rng.below(3)];
            let record = RecordId(rng.bits());
            Command::Record { stream, record, file: "a.wav".into(), max, max_silence: Some(max) }
        }
        11 => Command::StopRecord { stream },
        _ => Command::Close { stream },
    }
}

fn session(remote: SocketAddr, codec: Codec) -> Session {
    Session {
        remote: Some(remote),
        codec,
        payload_type: codec.static_payload_type(),
        dtmf: None,
        packet_ms: 20,
        send: true,
        receive: true,
        symmetric: true,
    }
}

fn header(payload_type: u8, sequence: u16, timestamp: u32) -> rtp::Header {
    rtp::Header { marker: false, payload_type, sequence, timestamp, ssrc: 0xA11CE }
}

fn key(event: u8, duration: u16, end: bool) -> Vec<u8> {
    dtmf::Payload { event, end, volume: 10, duration }.bytes().to_vec()
}

/// Peak of one frequency.
fn goertzel(samples: &[i16], hertz: f64, rate: u32) -> f64 {
    let factor = 2.0 * (std::f64::consts::TAU * hertz / f64::from(rate)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        (one, two) = (f64::from(*sample) + factor * one - two, one);
    }
    2.0 * (one * one + two * two - factor * one * two).max(0.0).sqrt() / samples.len() as f64
}

/// One SSRC, no gap in sequence or timestamp, a marker on the first packet only.
fn assert_line(packets: &[Sent], step: u32) {
    assert!(packets[0].header.marker);
    for pair in packets.windows(2) {
        let [a, b] = [pair[0].header, pair[1].header];
        assert_eq!(b.sequence, a.sequence.wrapping_add(1));
        assert_eq!(b.timestamp, a.timestamp.wrapping_add(step));
        assert_eq!((b.ssrc, b.marker), (a.ssrc, false));
    }
}

/// An RTP packet that the engine sent, and when.
#[derive(Clone, Debug)]
struct Sent {
    ms: u64,
    port: u16,
    to: SocketAddr,
    header: rtp::Header,
    payload: Vec<u8>,
}

/// An engine with its clock, and all that came out of it.
struct Rig {
    engine: Engine,
    bank: Arc<Bank>,
    start: Instant,
    now: Instant,
    events: Vec<Event>,
    packets: Vec<Sent>,
    reports: Vec<(u64, SocketAddr, Vec<u8>)>,
    chunks: Vec<Chunk>,
    linked: Vec<Link>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with_thread(0)
    }

    fn with_thread(thread: u8) -> Rig {
        let bank = Arc::new(Bank::new());
        let ramp = |count: i16| (0..count).map(|at| at * 13).collect::<Vec<i16>>();
        bank.insert("prompt".into(), Arc::new(Clip::from_pcm(&ramp(1600), 8000)));
        bank.insert("music".into(), Arc::new(Clip::from_pcm(&ramp(2400), 8000)));
        let start = Instant::now();
        let mut engine = Engine::new(thread, Arc::clone(&bank), Rng::from_seed(7));
        engine.tick(start);
        Rig {
            engine,
            bank,
            start,
            now: start,
            events: Vec::new(),
            packets: Vec::new(),
            reports: Vec::new(),
            chunks: Vec::new(),
            linked: Vec::new(),
        }
    }

    /// Ann on A and Bob on B, each hearing the other.
    fn bridged(a: Codec, b: Codec) -> Rig {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, a));
        rig.open(B, session(BOB, b));
        rig.bridge();
        rig
    }

    fn bridge(&mut self) {
        self.command(Command::Base { stream: A, base: Base::Peer(B) });
        self.command(Command::Base { stream: B, base: Base::Peer(A) });
    }

    fn open(&mut self, stream: StreamId, session: Session) {
        self.command(Command::Open { stream, session });
    }

    fn play(&mut self, stream: StreamId, clips: &[&str], repeat: u32) {
        let items = clips.iter().map(|name| PlayItem::Clip((*name).into())).collect();
        self.command(Command::Play { stream, play: PlayId(1), items, repeat });
    }

    fn record(&mut self, stream: StreamId, max: Duration, max_silence: Option<Duration>) {
        self.command(Command::Record { stream, record: RecordId(1), file: "a.wav".into(), max, max_silence });
    }

    fn command(&mut self, command: Command) {
        self.engine.command(self.now, command);
        self.collect();
    }

    fn receive(&mut self, stream: StreamId, from: SocketAddr, header: rtp::Header, payload: &[u8]) {
        let mut bytes = [&header.bytes()[..], payload].concat();
        self.engine.rtp(self.now, stream.port, from, &mut bytes);
        self.collect();
    }

    /// A phone that talks for so many packets; what was sent meanwhile.
    fn talk(&mut self, stream: StreamId, from: SocketAddr, codec: Codec, packets: u16) -> Vec<Sent> {
        let mut sent = Vec::new();
        for at in 0..packets {
            let head = header(codec.static_payload_type(), at, u32::from(at) * 160);
            self.receive(stream, from, head, &[at as u8; 160]);
            sent.extend(self.run(20));
        }
        sent
    }

    /// Runs the clock by the millisecond; the RTP packets that were sent.
    fn run(&mut self, ms: u64) -> Vec<Sent> {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            self.engine.tick(self.now);
            self.collect();
        }
        self.take_packets()
    }

    fn take_packets(&mut self) -> Vec<Sent> {
        self.collect();
        std::mem::take(&mut self.packets)
    }

    fn links(&mut self) -> Vec<Link> {
        self.collect();
        std::mem::take(&mut self.linked)
    }

    fn ms(&self) -> u64 {
        (self.now - self.start).as_millis() as u64
    }

    fn collect(&mut self) {
        let ms = self.ms();
        let out = self.engine.output();
        for packet in out.packets() {
            if packet.rtcp {
                self.reports.push((ms, packet.to, packet.bytes.to_vec()));
                continue;
            }
            let (header, payload) = rtp::parse(packet.bytes).expect("we send valid RTP");
            let payload = packet.bytes[payload].to_vec();
            self.packets.push(Sent { ms, port: packet.port, to: packet.to, header, payload });
        }
        out.clear_packets();
        self.events.append(&mut out.events);
        self.chunks.append(&mut out.chunks);
        self.linked.append(&mut out.links);
    }

    /// The one recording, whole, and the length that was told.
    fn recorded(&self) -> (Vec<i16>, u64) {
        let mut all = Vec::new();
        let mut told = 0;
        for chunk in &self.chunks {
            match chunk {
                Chunk::Begin { rate, .. } => assert_eq!(*rate, 8000),
                Chunk::Audio { at, samples, .. } => {
                    assert_eq!(*at, all.len() as u64);
                    all.extend(samples);
                }
                Chunk::End { length, .. } => told = *length,
            }
        }
        (all, told)
    }
}
