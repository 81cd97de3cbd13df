//! What a packet costs in user space: played, relayed, transcoded, mixed, encrypted; what encoding and a handshake cost. The kernel's part
//! is not here: it is the larger by far, and `thread.rs` is built around it.

#![expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]

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
use sentral::media::RecordId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::TapeForm;
use sentral::media::Voice;
use sentral::media::bank::Bank;
use sentral::media::bank::Clip;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::dtls;
use sentral::media::dtls::Answer;
use sentral::media::dtls::Role;
use sentral::media::dtmf_inband::Detector;
use sentral::media::ear::Ear;
use sentral::media::engine::Engine;
use sentral::media::engine::record::Chunk;
use sentral::media::engine::tape::Taken;
use sentral::media::ice;
use sentral::media::resample::Resampler;
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
#[divan::bench(args = [(Codec::Pcma, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)])]
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

/// Five hundred bridges again, the calls recorded: what a packet of a recorded call costs its thread more.
#[divan::bench]
fn packets_relayed_and_recorded(bencher: Bencher<'_, '_>) {
    let mut engine = engine(|at| Base::Peer(stream(at ^ 1)), |_| Codec::Pcma);
    let mut now = Instant::now();
    for at in (0..STREAMS).step_by(2) {
        let (file, form) = ("a.wav".into(), TapeForm::Wav);
        let record = RecordId(at.into());
        engine.command(
            now,
            Command::Tape { stream: stream(at), record, file, form, flipped: false, paused: false },
        );
    }
    let mut sequence = 0u16;
    bencher.counter(ItemsCount::new(STREAMS)).bench_local(|| {
        sequence = sequence.wrapping_add(1);
        now += Duration::from_millis(20);
        for at in 0..STREAMS {
            let timestamp = u32::from(sequence) * 160;
            let header =
                rtp::Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: u32::from(at) };
            let mut datagram = [0x55; 172];
            datagram[..12].copy_from_slice(&header.bytes());
            engine.rtp(now, stream(at).port, phone(at), &mut datagram);
        }
        engine.tick(now);
        let sent = engine.output().packets().count();
        engine.output().clear_packets();
        engine.output().chunks.clear();
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

/// A second of a recorded call at the recorder: both sides decoded, placed, and written.
#[divan::bench(args = [TapeForm::Wav, TapeForm::Opus])]
fn second_recorded(bencher: Bencher<'_, '_>, form: TapeForm) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut recorder = sentral::shell::media::recorder::Recorder::new(folder.path());
    let began = Instant::now();
    let record = RecordId(1);
    recorder.take(Chunk::Tape { record, file: "a".into(), form, wide: false, at: began });
    let voice: Vec<i16> = (0..8000i32)
        .map(|at| ((f64::from(at) * 0.35).sin() * 5000.0 + (f64::from(at) * 0.83).sin() * 2000.0) as i16)
        .collect();
    let mut second = Vec::new();
    Encoder::new(Codec::Pcma).encode(&voice, &mut second);
    let mut ms = 0u64;
    bencher.bench_local(|| {
        let taken = |at: u64, right| {
            let timestamp = ((ms + at * 20) * 8) as u32;
            Taken { ms: ms + at * 20, right, codec: Codec::Pcma, ssrc: 1, timestamp, length: 160 }
        };
        let packets: Vec<Taken> = (0..50).flat_map(|at| [taken(at, false), taken(at, true)]).collect();
        let bytes: Vec<u8> = second.chunks(160).flat_map(|part| [part, part].concat()).collect();
        ms += 1000;
        recorder.take(Chunk::Packets { record, epoch: began, ms, packets, bytes })
    });
}

/// Keys as tones, looked for in a second of audio.
#[divan::bench]
fn second_heard_for_tones(bencher: Bencher<'_, '_>) {
    let mut detector = Detector::default();
    let voice: Vec<i16> = (0..8000i32)
        .map(|at| ((f64::from(at) * 0.35).sin() * 5000.0 + (f64::from(at) * 0.83).sin() * 2000.0) as i16)
        .collect();
    let mut keys = 0;
    bencher.bench_local(|| {
        detector.hear(&voice, |_| keys += 1);
        keys
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

/// A frame of 20 ms, at the rate that streams work at.
#[divan::bench(args = Codec::ALL)]
fn frame_encoded(bencher: Bencher<'_, '_>, codec: Codec) {
    let rate = working_rate(codec);
    let frames = voice(rate);
    let mut frames = frames.chunks_exact(rate as usize / 50).cycle();
    let mut encoder = Encoder::at(codec, rate);
    let mut out = Vec::with_capacity(1500);
    bencher.bench_local(|| {
        out.clear();
        encoder.encode(frames.next().expect("for ever"), &mut out);
        out.len()
    });
}

/// A frame of 20 ms.
#[divan::bench(args = Codec::ALL)]
fn frame_decoded(bencher: Bencher<'_, '_>, codec: Codec) {
    let payloads = payloads(codec);
    let mut payloads = payloads.iter().cycle();
    let mut decoder = Decoder::at(codec, working_rate(codec));
    let mut out = [0; 5760];
    bencher.bench_local(|| decoder.decode(payloads.next().expect("for ever"), &mut out));
}

/// A packet put into an ear and a frame of 20 ms at 16 kHz pulled out: jitter buffer, decoder, resampler.
#[divan::bench(args = Codec::ALL)]
fn frame_heard(bencher: Bencher<'_, '_>, codec: Codec) {
    let payloads = payloads(codec);
    let mut payloads = payloads.iter().cycle();
    let mut ear = Ear::new(codec, 16_000);
    let (mut sequence, mut ms) = (0u16, 1000);
    let mut out = [0; 320];
    bencher.bench_local(|| {
        (sequence, ms) = (sequence.wrapping_add(1), ms + 20);
        let timestamp = (ms as u32).wrapping_mul(codec.units_per_ms());
        let header = rtp::Header { marker: false, payload_type: 0, sequence, timestamp, ssrc: 1 };
        ear.receive(&header, payloads.next().expect("for ever"), codec, ms);
        ear.pull(&mut out, ms + 15)
    });
}

/// A frame of 20 ms invented, of a voice at 16 kHz.
#[divan::bench(args = [Codec::Pcma, Codec::G722, Codec::Opus])]
fn frame_concealed(bencher: Bencher<'_, '_>, codec: Codec) {
    let payloads = payloads(codec);
    let mut payloads = payloads.iter().cycle();
    let mut ear = Ear::new(codec, 16_000);
    let (mut sequence, mut ms) = (0u16, 1000);
    let mut out = [0; 320];
    bencher.bench_local(|| {
        (sequence, ms) = (sequence.wrapping_add(1), ms + 20);
        let timestamp = (ms as u32).wrapping_mul(codec.units_per_ms());
        let header = rtp::Header { marker: false, payload_type: 0, sequence, timestamp, ssrc: 1 };
        let payload = payloads.next().expect("for ever");
        if sequence.is_multiple_of(2) {
            ear.receive(&header, payload, codec, ms);
        }
        ear.pull(&mut out, ms + 15)
    });
}

/// 20 ms from one rate to another.
#[divan::bench(args = [(8000, 16_000), (16_000, 8000), (8000, 48_000), (48_000, 8000), (16_000, 48_000), (48_000, 16_000)])]
fn frame_resampled(bencher: Bencher<'_, '_>, (from, to): (u32, u32)) {
    let samples = voice(from);
    let mut frames = samples.chunks_exact(from as usize / 50).cycle();
    let mut resampler = Resampler::new(from, to);
    let mut out = vec![0; to as usize / 50];
    bencher.bench_local(|| {
        resampler.process(frames.next().expect("for ever"), &mut out);
        out[0]
    });
}

/// Five hundred bridges between codecs that must be heard and said anew, for a second.
#[divan::bench(args = [(Codec::Pcma, Codec::G722), (Codec::Pcma, Codec::Opus)], sample_count = 10)]
fn packets_transcoded(bencher: Bencher<'_, '_>, codecs: (Codec, Codec)) {
    let codec = |at: u16| if at.is_multiple_of(2) { codecs.0 } else { codecs.1 };
    let mut engine = engine(|at| Base::Peer(stream(at ^ 1)), codec);
    let all = [payloads(codecs.0), payloads(codecs.1)];
    let mut now = Instant::now();
    let mut sequence = 0u16;
    bencher.counter(ItemsCount::new(u32::from(STREAMS) * 50)).bench_local(|| {
        for _ in 0..50 {
            sequence = sequence.wrapping_add(1);
            for at in 0..STREAMS {
                let codec = codec(at);
                let timestamp = u32::from(sequence) * 20 * codec.units_per_ms();
                let payload_type = codec.payload_type();
                let header =
                    rtp::Header { marker: false, payload_type, sequence, timestamp, ssrc: u32::from(at) };
                let payload = &all[usize::from(at % 2)][usize::from(sequence) % 50];
                let mut datagram = [&header.bytes()[..], payload].concat();
                engine.rtp(now, stream(at).port, phone(at), &mut datagram);
            }
            for _ in 0..20 {
                now += Duration::from_millis(1);
                engine.tick(now);
            }
            engine.output().clear_packets();
            engine.output().events.clear();
        }
    });
}

/// A second of something like a voice.
fn voice(rate: u32) -> Vec<i16> {
    let step = std::f64::consts::TAU * 140.0 / f64::from(rate);
    let sample = |at: f64| {
        (1..20).map(|n| (f64::from(n) * (at * step + (at * 0.0003).sin())).sin() / f64::from(n)).sum::<f64>()
    };
    (0..rate).map(|at| (4000.0 * sample(f64::from(at))) as i16).collect()
}

/// The rate at which a stream of that codec works.
fn working_rate(codec: Codec) -> u32 {
    if codec == Codec::Opus { 16_000 } else { codec.sample_rate() }
}

/// A second of payloads of 20 ms.
fn payloads(codec: Codec) -> Vec<Vec<u8>> {
    let rate = working_rate(codec);
    let mut encoder = Encoder::at(codec, rate);
    let encode = |frame: &[i16]| {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload);
        payload
    };
    voice(rate).chunks_exact(rate as usize / 50).map(encode).collect()
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
    let terms =
        ice::Terms { ufrag: "ours".into(), password: PASSWORD.into(), their_ufrag: Some("brow".into()) };
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
