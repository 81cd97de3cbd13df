//! What some phones and gateways do otherwise than most, and what strangers send: heard, passed on and recorded all the same.

use std::time::Duration;

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::Rig;
use crate::rig::goertzel;
use crate::rig::header;
use crate::rig::session;
use sentral::media::Codec;
use sentral::media::Command;
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
