//! Whatever comes: random packets, commands and telephone-events.

use std::time::Duration;

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::BOB;
use crate::rig::EVE;
use crate::rig::Rig;
use crate::rig::header;
use crate::rig::key;
use crate::rig::session;
use proptest::prelude::*;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::MixId;
use sentral::media::PlayId;
use sentral::media::PlayItem;
use sentral::media::RecordId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::TapeForm;
use sentral::media::Transport;
use sentral::media::Voice;
use sentral::media::dtls;
use sentral::media::engine::record::Chunk;
use sentral::media::ice;
use sentral::media::rtcp;
use sentral::media::rtp;
use sentral::media::srtp::Keys;
use sentral::media::srtp::Master;
use sentral::media::srtp::OVERHEAD_MAX;
use sentral::media::srtp::Suite;
use sentral::media::tone::Tone;
use sentral::rand::Rng;

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
                    let mut report = rtcp::report(rng.bits() as u32, "x", None, None, None, true);
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
        // 60 ms of L16, which is never negotiated, and what SRTP adds; everything else is shorter.
        prop_assert!(rig.packets.iter().all(|packet| packet.payload.len() <= 1920 + OVERHEAD_MAX));
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

fn any_command(rng: &mut Rng, stream: StreamId) -> Command {
    let peer =
        StreamId { port: 20_000 + 2 * rng.below(4) as u16, generation: rng.below(3) as u32, thread: 0 };
    let session = Session {
        remote: [None, Some(ANN), Some(BOB)][rng.below(3)],
        codec: Codec::ALL[rng.below(5)],
        payload_type: [0, 8, 9, 101, 111][rng.below(5)],
        dtmf: [None, Some(101)][rng.below(2)],
        packet_ms: [0, 10, 20, 30, 40, 60, 77, 255][rng.below(8)],
        send: rng.below(4) > 0,
        receive: rng.below(4) > 0,
        symmetric: rng.below(2) > 0,
        srtp: (rng.below(4) == 0).then(|| {
            let suite = Suite::ALL[rng.below(6)];
            let key = Master::new(suite, &[rng.below(2) as u8; 46]).expect("enough for any suite");
            Keys { send: key.clone(), receive: key }
        }),
        transport: Transport {
            rtcp_mux: rng.below(4) == 0,
            ice: (rng.below(4) == 0).then(|| ice::Terms {
                ufrag: "ours".into(),
                password: "of-ours".into(),
                their_ufrag: Some("brow".into()),
            }),
            dtls: (rng.below(4) == 0).then(|| dtls::Terms {
                role: [dtls::Role::Active, dtls::Role::Passive][rng.below(2)],
                fingerprint: dtls::Fingerprint::of(b"somebody"),
            }),
            signaling: [None, Some(BOB.ip())][rng.below(2)],
        },
        tones: rng.below(2) > 0,
        comfort: [None, Some(13)][rng.below(2)],
        ..Session::default()
    };
    match rng.below(19) {
        16 => Command::Tape {
            stream,
            record: RecordId(7),
            file: "recordings/a.wav".into(),
            form: TapeForm::Wav,
            flipped: rng.below(2) > 0,
            paused: rng.below(2) > 0,
        },
        17 => Command::PauseTape { stream, paused: rng.below(2) > 0 },
        18 => Command::StopTape { stream, record: RecordId(7), last: rng.below(2) > 0 },
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
        12 => {
            let mix = MixId { thread: rng.below(2) as u8, number: rng.below(2) as u32 };
            let voice = [Voice::All, Voice::Nobody, Voice::Only(peer)][rng.below(3)];
            Command::Base { stream, base: Base::Mix { mix, voice } }
        }
        13 => {
            Command::PlayInMix { stream, items: vec![PlayItem::Tone(Tone::Beep, Duration::from_millis(90))] }
        }
        _ => Command::Close { stream },
    }
}
