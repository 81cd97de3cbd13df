//! What a packet costs in user space: played, relayed, transcoded, mixed, encrypted; what encoding and a handshake cost. The
//! kernel's part is not here: it is the larger by far, and `thread.rs` is built around it.

#![allow(clippy::disallowed_methods)] // a bench begins its engine's time from the clock

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::MixId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::Voice;
use sentral::media::bank::Bank;
use sentral::media::bank::Clip;
use sentral::media::codec::Encoder;
use sentral::media::dtls;
use sentral::media::dtls::Answer;
use sentral::media::dtls::Role;
use sentral::media::engine::Engine;
use sentral::media::ice;
use sentral::media::rtp;
use sentral::media::srtp::Keys;
use sentral::media::srtp::Master;
use sentral::media::srtp::Srtp;
use sentral::media::srtp::Suite;
use sentral::rand::Rng;
use sentral::shell::media::handshake::Handshake;
use sentral::shell::media::handshake::Identity;

const STREAMS: u16 = 1000;

fn main() {
    divan::main();
}

/// A second of an engine whose streams have nothing to do: what the others stand on.
#[divan::bench]
fn idle_streams_for_a_second(bencher: Bencher<'_, '_>) {
    let mut engine = engine(|_| Base::Silence, |_| Codec::Pcma);
    let mut now = Instant::now();
    bencher.counter(ItemsCount::new(STREAMS)).bench_local(|| second(&mut engine, &mut now));
}

/// Music to a thousand streams: 50 packets each.
#[divan::bench]
fn packets_played(bencher: Bencher<'_, '_>) {
    let mut engine = engine(|_| Base::Music("music".into()), |_| Codec::Pcma);
    let mut now = Instant::now();
    bencher.counter(ItemsCount::new(u32::from(STREAMS) * 50)).bench_local(|| second(&mut engine, &mut now));
}

/// Five hundred bridges, a packet into each stream.
#[divan::bench(args = [(Codec::Pcma, Codec::Pcma), (Codec::Pcma, Codec::Pcmu), (Codec::Pcma, Codec::G722)])]
fn packets_relayed(bencher: Bencher<'_, '_>, codecs: (Codec, Codec)) {
    let codec = |at: u16| if at.is_multiple_of(2) { codecs.0 } else { codecs.1 };
    let mut engine = engine(|at| Base::Peer(stream(at ^ 1)), codec);
    let now = Instant::now();
    let mut sequence = 0u16;
    bencher.counter(ItemsCount::new(STREAMS)).bench_local(|| {
        sequence = sequence.wrapping_add(1);
        for at in 0..STREAMS {
            let timestamp = u32::from(sequence) * 160;
            let payload_type = codec(at).payload_type();
            let header =
                rtp::Header { marker: false, payload_type, sequence, timestamp, ssrc: u32::from(at) };
            let mut datagram = [0x55; 172];
            datagram[..12].copy_from_slice(&header.bytes());
            engine.rtp(now, stream(at).port, phone(at), &mut datagram);
        }
        let sent = engine.output().packets().count();
        engine.output().clear_packets();
        sent
    });
}

/// A room of so many, in turns of 20 ms: a packet of each comes, three speak, and each is sent one. The cost of each is to
/// stay the same as rooms grow.
#[divan::bench(args = [(Codec::Pcma, 3), (Codec::Pcma, 10), (Codec::Pcma, 50), (Codec::Pcma, 200), (Codec::G722, 50)])]
fn participant_frames_mixed(bencher: Bencher<'_, '_>, (codec, people): (Codec, u16)) {
    let mix = MixId { thread: 0, number: 1 };
    let mut engine = engine_of(people, |_| Base::Mix { mix, voice: Voice::All }, |_| codec);
    let mut now = Instant::now();
    let said = |at: u16| -> Vec<u8> {
        let peak = if at < 3 { 6000 } else { 4 };
        let count = 160 * codec.samples_per_byte() as i32;
        let samples: Vec<i16> = (0..count).map(|n| ((n * 97 % 200 - 100) * peak / 100) as i16).collect();
        let mut payload = Vec::new();
        Encoder::new(codec).encode(&samples, &mut payload);
        payload
    };
    let payloads: Vec<Vec<u8>> = (0..people).map(said).collect();
    let mut sequence = 0u16;
    bencher.counter(ItemsCount::new(people)).bench_local(|| {
        sequence = sequence.wrapping_add(1);
        for at in 0..people {
            let timestamp = u32::from(sequence) * 160;
            let payload_type = codec.payload_type();
            let header =
                rtp::Header { marker: false, payload_type, sequence, timestamp, ssrc: u32::from(at) };
            let mut datagram = [0; 172];
            datagram[..12].copy_from_slice(&header.bytes());
            datagram[12..].copy_from_slice(&payloads[usize::from(at)]);
            engine.rtp(now, stream(at).port, phone(at), &mut datagram);
        }
        now += Duration::from_millis(20);
        engine.tick(now);
        let sent = engine.output().packets().count();
        engine.output().clear_packets();
        engine.output().events.clear();
        sent
    });
}

/// What SRTP adds to a packet: protected and opened again.
#[divan::bench(args = Suite::ALL)]
fn packet_protected_and_opened(bencher: Bencher<'_, '_>, suite: Suite) {
    let master = |octet| Master::new(suite, &[octet; 46]).expect("enough for any suite");
    let ours = Keys { send: master(1), receive: master(2) };
    let mut theirs = Srtp::new(Keys { send: ours.receive.clone(), receive: ours.send.clone() });
    let mut ours = Srtp::new(ours);
    let mut buffer = Vec::with_capacity(256);
    let mut sequence = 0u16;
    bencher.bench_local(|| {
        sequence = sequence.wrapping_add(1);
        let header = rtp::Header { marker: false, payload_type: 8, sequence, timestamp: 160, ssrc: 1 };
        buffer.clear();
        buffer.extend_from_slice(&header.bytes());
        buffer.resize(172, 0x55);
        assert!(ours.protect(&mut buffer, 0));
        theirs.unprotect(&mut buffer)
    });
}

/// One 20 ms frame.
#[divan::bench(args = Codec::ALL)]
fn frame_encoded(bencher: Bencher<'_, '_>, codec: Codec) {
    let samples: Vec<i16> =
        (0..160 * codec.samples_per_byte() as i32).map(|at| (at * 97 % 8000) as i16).collect();
    let mut encoder = Encoder::new(codec);
    let mut out = Vec::with_capacity(160);
    bencher.bench_local(|| {
        out.clear();
        encoder.encode(&samples, &mut out);
        out[0]
    });
}

/// A prompt of three seconds into all codecs.
#[divan::bench(args = [8000, 16_000, 22_050, 48_000])]
fn prompt_made(bencher: Bencher<'_, '_>, rate: u32) {
    let samples: Vec<i16> = (0..rate * 3).map(|at| (at * 97 % 8000) as i16).collect();
    bencher.bench_local(|| Clip::from_pcm(&samples, rate));
}

/// A check of ICE, read, judged and answered.
#[divan::bench]
fn check_answered(bencher: Bencher<'_, '_>) {
    let terms = ice::Terms { ufrag: "ours".into(), password: PASSWORD.into(), their_ufrag: "brow".into() };
    let mut agent = ice::Agent::new(terms);
    let check = include_bytes!("../fuzz/corpus/wire/check");
    let mut answer = [0; ice::ANSWER_MAX];
    bencher.bench_local(|| agent.receive(phone(1), &check[2..], 0, &mut answer).expect("it is signed"));
}

/// Of `fuzz/corpus/wire/check`.
const PASSWORD: &str = "a-password-that-is-ours";

/// A whole handshake, both ends: divide by two.
#[divan::bench]
fn handshake_of_two(bencher: Bencher<'_, '_>) {
    let (ours, theirs) = (Identity::new().expect("randomness"), Identity::new().expect("randomness"));
    let terms = |role, of: &Identity| dtls::Terms { role, fingerprint: of.fingerprint() };
    let now = Instant::now();
    bencher.bench_local(|| {
        let server = Handshake::new(now, &ours, stream(0), terms(Role::Passive, &theirs), true);
        let client = Handshake::new(now, &theirs, stream(1), terms(Role::Active, &ours), true);
        let mut ends = [client, server];
        let mut keys = 0;
        for turn in (0..2).cycle().take(64) {
            while let Some(said) = ends[turn].poll_output() {
                match said {
                    Answer::Datagram { bytes, .. } => ends[1 - turn].handle_datagram(now, &bytes),
                    Answer::Keys { .. } => keys += 1,
                    Answer::Failed { why, .. } => panic!("{why}"),
                }
            }
            if keys == 2 {
                return;
            }
        }
        panic!("{keys} ends have keys");
    });
}

fn second(engine: &mut Engine, now: &mut Instant) -> usize {
    let mut sent = 0;
    for _ in 0..1000 {
        *now += Duration::from_millis(1);
        engine.tick(*now);
        let out = engine.output();
        sent += out.packets().map(|packet| packet.bytes.len()).sum::<usize>();
        out.clear_packets();
        out.events.clear();
    }
    sent
}

fn stream(at: u16) -> StreamId {
    StreamId { thread: 0, port: 20_000 + 2 * at, generation: 1 }
}

fn phone(at: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 10_000 + at))
}

fn engine(base: impl Fn(u16) -> Base, codec: impl Fn(u16) -> Codec) -> Engine {
    engine_of(STREAMS, base, codec)
}

fn engine_of(streams: u16, base: impl Fn(u16) -> Base, codec: impl Fn(u16) -> Codec) -> Engine {
    let bank = Arc::new(Bank::new());
    bank.insert("music".into(), Arc::new(Clip::from_pcm(&[1000; 80_000], 8000)));
    let mut engine = Engine::new(0, bank, Rng::from_seed(1));
    let now = Instant::now();
    for at in 0..streams {
        let codec = codec(at);
        let session = Session {
            remote: Some(phone(at)),
            codec,
            payload_type: codec.payload_type(),
            ..Session::default()
        };
        engine.command(now, Command::Open { stream: stream(at), session });
    }
    for at in 0..streams {
        engine.command(now, Command::Base { stream: stream(at), base: base(at) });
    }
    engine
}
