//! Recording of calls in the engine, and keys that come as tones or both ways.

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::Rig;
use crate::rig::goertzel;
use crate::rig::header;
use crate::rig::key;
use crate::rig::session;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::RecordId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::TapeForm;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::codec::g711;
use sentral::media::engine::record::Chunk;
use sentral::media::reel::Reel;
use sentral::media::tone::key_samples;

const RECORD: RecordId = RecordId(9);

fn tape(stream: StreamId, flipped: bool) -> Command {
    let (file, form) = ("recordings/a.wav".into(), TapeForm::Wav);
    Command::Tape { stream, record: RECORD, file, form, flipped, paused: false }
}

/// What the recorder makes of the chunks so far: left and right at 8 kHz.
fn recorded(rig: &Rig) -> [Vec<i16>; 2] {
    let mut reel: Option<Reel> = None;
    let mut stereo = Vec::new();
    for chunk in &rig.chunks {
        match chunk {
            Chunk::Tape { at, wide, .. } => {
                assert!(!wide);
                reel.get_or_insert_with(|| Reel::new(8000, *at));
            }
            Chunk::Packets { epoch, packets, bytes, .. } => {
                reel.as_mut().expect("begun").take(*epoch, packets, bytes);
            }
            Chunk::TapeEnd { at, .. } => reel.as_mut().expect("begun").finish(*at, &mut stereo),
            Chunk::Begin { .. } | Chunk::Audio { .. } | Chunk::End { .. } => panic!("{chunk:?}"),
        }
    }
    [0, 1].map(|side| stereo.iter().skip(side).step_by(2).copied().collect())
}

/// Twenty milliseconds of a sine.
fn sine(hertz: f64, at: u16) -> Vec<i16> {
    let start = usize::from(at) * 160;
    (start..start + 160)
        .map(|at| (8000.0 * (std::f64::consts::TAU * hertz / 8000.0 * at as f64).sin()) as i16)
        .collect()
}

fn encoded(codec: Codec, samples: &[i16]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(codec).encode(samples, &mut out);
    out
}

/// Both phones say their tone for so many packets, beginning at packet `from`.
fn both_talk(rig: &mut Rig, (ann, bob): (Codec, Codec), from: u16, packets: u16) {
    for at in from..from + packets {
        let timestamp = u32::from(at) * 160;
        rig.receive(A, ANN, header(ann.payload_type(), at, timestamp), &encoded(ann, &sine(440.0, at)));
        rig.receive(B, BOB, header(bob.payload_type(), at, timestamp), &encoded(bob, &sine(1000.0, at)));
        rig.run(20);
    }
}

/// A side's second holds this tone, and at most 1 % of the other.
fn assert_tone(side: &[i16], second: usize, hertz: f64, other: f64) {
    let part = &side[second * 8000..(second + 1) * 8000];
    let (tone, leak) = (goertzel(part, hertz, 8000), goertzel(part, other, 8000));
    assert!((7000.0..9000.0).contains(&tone) && leak < 80.0, "{hertz} Hz: {tone}, {other} Hz: {leak}");
}

#[test]
fn what_a_stream_hears_and_what_it_is_sent_are_the_two_sides() {
    // The codecs may differ: the right side is what was sent, converted.
    for codecs in [(Codec::Pcma, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)] {
        for flipped in [false, true] {
            let mut rig = Rig::bridged(codecs.0, codecs.1);
            rig.command(tape(A, flipped));
            both_talk(&mut rig, codecs, 0, 150);
            rig.command(Command::StopTape { stream: A, record: RECORD, last: true });
            let [left, right] = recorded(&rig);
            assert_eq!((left.len(), right.len()), (24_000, 24_000));
            let (heard, sent) = if flipped { (&right, &left) } else { (&left, &right) };
            for second in 0..2 {
                assert_tone(heard, second, 440.0, 1000.0);
                assert_tone(sent, second, 1000.0, 440.0);
            }
        }
    }
}

#[test]
fn a_recording_goes_on_at_another_stream_and_its_pause_is_silence() {
    let codecs = (Codec::Pcma, Codec::Pcma);
    let mut rig = Rig::bridged(codecs.0, codecs.1);
    rig.command(tape(A, false));
    both_talk(&mut rig, codecs, 0, 100);
    rig.command(Command::PauseTape { stream: A, paused: true });
    both_talk(&mut rig, codecs, 100, 100);
    rig.command(Command::PauseTape { stream: A, paused: false });
    // Ann leaves: Bob stays on the right, and on the left is what he is sent.
    rig.command(Command::StopTape { stream: A, record: RECORD, last: false });
    rig.command(tape(B, true));
    both_talk(&mut rig, codecs, 200, 100);
    rig.command(Command::Close { stream: B });
    rig.command(Command::StopTape { stream: B, record: RECORD, last: true });
    let [left, right] = recorded(&rig);
    assert_eq!(left.len(), 48_000);
    for second in [0, 1, 4] {
        assert_tone(&left, second, 440.0, 1000.0);
        assert_tone(&right, second, 1000.0, 440.0);
    }
    assert!(left[16_200..31_800].iter().chain(&right[16_200..31_800]).all(|sample| *sample == 0));
}

#[test]
fn what_is_played_is_recorded_too_and_each_second_is_handed_on() {
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.command(tape(A, false));
    rig.play(A, &["prompt"], 0);
    rig.run(5000);
    let handed = rig
        .chunks
        .iter()
        .filter(|chunk| matches!(chunk, Chunk::Packets { packets, .. } if !packets.is_empty()));
    assert!((4..=6).contains(&handed.count()));
    rig.command(Command::StopTape { stream: A, record: RECORD, last: true });
    let [left, right] = recorded(&rig);
    assert!(left.iter().all(|sample| *sample == 0) && right[8000..].iter().any(|sample| *sample > 1000));
    // Silence is handed on as well: a file is up to date while nobody speaks.
    let mut rig = Rig::new();
    rig.open(A, session(ANN, Codec::Pcma));
    rig.command(tape(A, false));
    rig.run(3000);
    assert!(rig.chunks.iter().filter(|chunk| matches!(chunk, Chunk::Packets { .. })).count() >= 2);
}

#[test]
fn keys_as_tones_are_told_once_whatever_the_codec_and_not_where_events_were_negotiated() {
    for codec in [Codec::Pcma, Codec::Pcmu, Codec::G722] {
        for events in [None, Some(101)] {
            let mut rig = Rig::new();
            rig.open(A, Session { dtmf: events, tones: true, ..session(ANN, codec) });
            let mut audio = Vec::new();
            let mut encoder = Encoder::new(codec);
            // Two presses of one key, then another.
            for code in [1, 1, 10] {
                encoder.encode(&key_samples(code, codec.sample_rate()), &mut audio);
            }
            audio.resize(audio.len() + 480, codec.silence());
            for (at, packet) in audio.chunks_exact(160).enumerate() {
                let head = header(codec.payload_type(), at as u16, at as u32 * 160);
                rig.receive(A, ANN, head, packet);
                rig.run(20);
            }
            let keys: String = rig.events.iter().filter_map(digit).collect();
            assert_eq!(keys, if events.is_none() { "11*" } else { "" }, "{codec:?}");
        }
    }
}

fn digit(event: &Event) -> Option<char> {
    if let Event::Digit { digit, .. } = event { Some(*digit) } else { None }
}

#[test]
fn the_tone_of_a_phone_that_sends_both_ways_is_left_out_of_what_is_passed_on_and_recorded() {
    let mut rig = Rig::new();
    let with_events = |remote| Session { dtmf: Some(101), ..session(remote, Codec::Pcma) };
    rig.open(A, with_events(ANN));
    rig.open(B, with_events(BOB));
    rig.bridge();
    rig.command(tape(A, false));
    let tone = key_samples(5, 8000);
    let mut sequence = 0;
    let mut passed = Vec::new();
    for at in 0..30u32 {
        // Pressed for 100 ms from packet 10 on: reports, three ends, and the tone in the audio.
        let pressed = (10..15).contains(&at);
        if (10..18).contains(&at) {
            let report = key(5, (160 * (at - 9)).min(800) as u16, at >= 15);
            let head = rtp_header(101, sequence, 10 * 160, at == 10);
            sequence += 1;
            rig.receive(A, ANN, head, &report);
        }
        let voice = sine(440.0, at as u16);
        let samples = if pressed { &tone[(at as usize - 10) * 160..][..160] } else { &voice[..] };
        rig.receive(A, ANN, rtp_header(8, sequence, at * 160, false), &encoded(Codec::Pcma, samples));
        sequence += 1;
        passed.extend(rig.run(20));
    }
    let keys: String = rig.events.iter().filter_map(digit).collect();
    assert_eq!(keys, "5");
    let audio: Vec<i16> = passed
        .iter()
        .filter(|packet| packet.port == B.port && packet.header.payload_type == 8)
        .flat_map(|packet| {
            let mut samples = [0; 160];
            Decoder::new(Codec::Pcma).decode(&packet.payload, &mut samples);
            samples
        })
        .collect();
    let reports = passed.iter().filter(|packet| packet.header.payload_type == 101).count();
    assert_eq!((audio.len(), reports), (30 * 160, 8), "no packet is lost by it");
    rig.command(Command::StopTape { stream: A, record: RECORD, last: true });
    let [left, _] = recorded(&rig);
    for samples in [&audio[..], &left[..4800]] {
        assert!(goertzel(&samples[1600..2400], 770.0, 8000) < 20.0, "the tone is gone");
        assert!(goertzel(&samples[..1600], 440.0, 8000) > 7000.0, "the voice before it is there");
        assert!(goertzel(&samples[3840..], 440.0, 8000) > 7000.0, "and after it");
    }
}

fn rtp_header(payload_type: u8, sequence: u16, timestamp: u32, marker: bool) -> sentral::media::rtp::Header {
    sentral::media::rtp::Header { marker, ..header(payload_type, sequence, timestamp) }
}

#[test]
fn who_wants_keys_elsewhere_is_sent_no_tones() {
    for tones in [true, false] {
        let mut rig = Rig::new();
        rig.open(A, Session { tones, ..session(ANN, Codec::Pcma) });
        rig.command(Command::SendDigit { stream: A, digit: '5' });
        let sent = rig.run(400);
        let loud =
            sent.iter().any(|packet| packet.payload.iter().any(|byte| g711::decode_alaw(*byte) > 2000));
        assert_eq!(loud, tones);
    }
}
