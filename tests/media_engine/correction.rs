//! Error correction of Opus from end to end: loss that is reported makes our packets hold copies of those before them, and
//! what is lost of them, or of a phone's, is made of the copies.

use std::net::SocketAddr;

use sentral::media::Codec;
use sentral::media::Session;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::codec::opus::Manner;
use sentral::media::ear::Ear;
use sentral::media::rtcp;

use crate::golden;
use crate::golden::Sent;
use crate::golden::delay;
use crate::golden::distance;
use crate::golden::speech;
use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::Rig;
use crate::rig::header;
use crate::rig::session;

const RATE: u32 = 16_000;
const MS: usize = 8000;

/// What a lossy network leaves: every seventh is lost, from the second second on.
fn holed(packets: &[Sent]) -> Vec<Sent> {
    packets
        .iter()
        .filter(|sent| sent.header.sequence < 50 || sent.header.sequence % 7 != 0)
        .cloned()
        .collect()
}

/// How far what was heard is from what was said, in dB, past the first one and a half seconds.
fn far(heard: &[i16]) -> f64 {
    let said = speech(RATE, MS);
    let lag = delay(&said, heard, RATE);
    distance(&said[24_000..112_000], &heard[24_000 + lag..112_000 + lag], RATE)
}

#[test]
fn an_ear_heals_what_concealment_only_covers() {
    let hear = |fec: bool| {
        let manner = Manner { fec, loss_percent: 14, ..Manner::default() };
        let mut ear = Ear::new(Codec::Opus, RATE);
        let sent = golden::packets(Codec::Opus, manner, MS);
        let heard = golden::hear(&mut ear, Codec::Opus, RATE, &holed(&sent), MS as u64 + 300);
        assert!(ear.figures().corrected > 40, "{:?}", ear.figures());
        far(&heard)
    };
    let (without, with) = (hear(false), hear(true));
    println!("an ear: without {without:.2} dB, with {with:.2} dB apart");
    assert!(with < without * 0.75, "without {without:.2} dB, with {with:.2} dB apart");
}

/// Bob's report that a tenth of what we send is lost.
fn report(rig: &mut Rig, ssrc: u32, highest: u32) {
    let about =
        rtcp::Reception { ssrc, fraction_lost: 26, lost: 5, highest, jitter: 0, last_report: 0, delay: 0 };
    let report = rtcp::report(0xB0B, "bob", None, Some(about), None, false);
    rig.engine.rtcp(rig.now, B.port, SocketAddr::new(BOB.ip(), BOB.port() + 1), &report);
    rig.collect();
}

#[test]
fn what_a_phone_reports_lost_is_sent_so_that_it_can_be_healed() {
    let hear = |fec: bool| {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, Codec::G722));
        rig.open(B, Session { opus: Manner { fec, ..Manner::default() }, ..session(BOB, Codec::Opus) });
        rig.bridge();
        let mut encoder = Encoder::new(Codec::G722);
        let mut sent = Vec::new();
        for (at, frame) in speech(RATE, MS).chunks_exact(320).enumerate() {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload);
            rig.receive(A, ANN, header(9, at as u16, at as u32 * 160), &payload);
            sent.extend(rig.run(20).into_iter().filter(|packet| packet.port == B.port));
            if at == 25 {
                let last: &crate::rig::Sent = sent.last().expect("Bob hears Ann");
                report(&mut rig, last.header.ssrc, u32::from(last.header.sequence));
            }
        }
        let first = sent[0].header;
        let packets: Vec<Sent> = sent
            .into_iter()
            .map(|packet| {
                let sequence = packet.header.sequence.wrapping_sub(first.sequence);
                let header = sentral::media::rtp::Header { sequence, ..packet.header };
                Sent { header, payload: packet.payload, at: 1_000_000 + u64::from(sequence) * 20_000 }
            })
            .collect();
        let bytes = packets.last().map(|packet| packet.payload.len());
        assert_eq!(bytes, Some(if fec { 100 } else { 70 }), "more bits while there are copies");
        let mut ear = Ear::new(Codec::Opus, RATE);
        far(&golden::hear(&mut ear, Codec::Opus, RATE, &holed(&packets), MS as u64 + 300))
    };
    let (without, with) = (hear(false), hear(true));
    println!("to a phone: without {without:.2} dB, with {with:.2} dB apart");
    assert!(with < without * 0.75, "without {without:.2} dB, with {with:.2} dB apart");
}

#[test]
fn what_is_lost_of_a_phone_is_healed_before_it_is_passed_on() {
    let hear = |fec: bool| {
        let mut rig = Rig::bridged(Codec::G722, Codec::Opus);
        let manner = Manner { fec, loss_percent: 14, ..Manner::default() };
        let mut packets = holed(&golden::packets(Codec::Opus, manner, MS)).into_iter().peekable();
        let mut decoder = Decoder::new(Codec::G722);
        let mut heard = Vec::new();
        for turn in 0..MS as u64 / 20 + 15 {
            while let Some(sent) = packets.next_if(|sent| sent.at <= 1_000_000 + turn * 20_000) {
                let head = header(111, sent.header.sequence, sent.header.timestamp);
                rig.receive(B, BOB, head, &sent.payload);
            }
            for packet in rig.run(20).into_iter().filter(|packet| packet.port == A.port) {
                let mut pcm = [0; 320];
                let count = decoder.decode(&packet.payload, &mut pcm);
                heard.extend_from_slice(&pcm[..count]);
            }
        }
        far(&heard)
    };
    let (without, with) = (hear(false), hear(true));
    println!("from a phone: without {without:.2} dB, with {with:.2} dB apart");
    assert!(with < without * 0.75, "without {without:.2} dB, with {with:.2} dB apart");
}
