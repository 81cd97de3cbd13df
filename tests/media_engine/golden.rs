//! A voice through every pair of codecs, over networks that lose, delay, reorder and drift: what comes out is measured.
//!
//! The voice is made by a formula: a gliding fundamental with the harmonics of changing vowels, hisses and pauses. The
//! packet schedules are drawn by seed; where two schedules carry the same, what is heard must be the same to the sample.

use sentral::media::Codec;
use sentral::media::codec::Encoder;
use sentral::media::codec::opus::Manner;
use sentral::media::ear::Ear;
use sentral::media::mouth::Mouth;
use sentral::media::rtp::Header;
use sentral::rand::Rng;

/// The voice at a moment in seconds, −1 to 1.
fn voice(at: f64) -> f64 {
    let (syllable, within) = ((at / 0.24) as usize, (at / 0.24).fract());
    let pause = syllable % 7 == 6;
    let shape = (std::f64::consts::PI * within).sin().powf(0.5);
    if pause {
        return 0.0;
    }
    // Vowels by their two lowest formants.
    let (first, second) = [(700.0, 1200.0), (300.0, 2300.0), (400.0, 800.0), (500.0, 1900.0)][syllable % 4];
    // The phase of a fundamental that glides between 110 and 150 Hz.
    let phase = 130.0 * at - 20.0 / 0.9 * (0.9 * at).cos();
    let harmonics = (1..=24).map(|n| {
        let hertz = 130.0 * f64::from(n);
        let near = |formant: f64, width: f64| 1.0 / (1.0 + ((hertz - formant) / width).powi(2));
        let strength = near(first, 120.0) + 0.6 * near(second, 180.0) + 0.02;
        strength * (std::f64::consts::TAU * f64::from(n) * phase).sin()
    });
    0.3 * shape * harmonics.sum::<f64>()
}

pub(crate) fn speech(rate: u32, ms: usize) -> Vec<i16> {
    let count = rate as usize * ms / 1000;
    (0..count).map(|at| (voice(at as f64 / f64::from(rate)) * 12_000.0) as i16).collect()
}

/// A packet on its way.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// When it comes, in microseconds.
    pub(crate) at: u64,
}

/// The voice as packets of 20 ms that come as they were sent.
pub(crate) fn packets(codec: Codec, manner: Manner, ms: usize) -> Vec<Sent> {
    let rate = if codec == Codec::Opus { 16_000 } else { codec.sample_rate() };
    let mut mouth = Mouth::new(codec, rate);
    mouth.opus(manner);
    let audio = speech(rate, ms);
    let frames = audio.chunks_exact(rate as usize / 50).enumerate();
    frames
        .map(|(at, frame)| {
            let mut payload = Vec::new();
            mouth.encode(frame, &mut payload);
            let timestamp = at as u32 * 20 * codec.units_per_ms();
            let header = Header { marker: at == 0, payload_type: 0, sequence: at as u16, timestamp, ssrc: 7 };
            Sent { header, payload, at: 1_000_000 + at as u64 * 20_000 }
        })
        .collect()
}

/// What an ear hears in pieces of 20 ms.
pub(crate) fn hear(ear: &mut Ear, codec: Codec, rate: u32, packets: &[Sent], ms: u64) -> Vec<i16> {
    let mut order: Vec<&Sent> = packets.iter().collect();
    order.sort_by_key(|packet| packet.at);
    let mut order = order.into_iter().peekable();
    let mut heard = Vec::new();
    for now in (1007..1007 + ms).step_by(20) {
        while let Some(packet) = order.next_if(|packet| packet.at / 1000 <= now) {
            ear.receive(&packet.header, &packet.payload, codec, packet.at / 1000);
        }
        let mut piece = vec![0; rate as usize / 50];
        ear.pull(&mut piece, now);
        heard.extend(piece);
    }
    heard
}

/// The delay in samples, up to 300 ms, at which `heard` is most like `said`.
pub(crate) fn delay(said: &[i16], heard: &[i16], rate: u32) -> usize {
    let span = rate as usize;
    let from = rate as usize; // past the beginning
    let like = |lag: usize| -> f64 {
        (from..from + span).step_by(3).map(|at| f64::from(said[at]) * f64::from(heard[at + lag])).sum()
    };
    (0..rate as usize * 3 / 10).max_by(|a, b| like(*a).total_cmp(&like(*b))).unwrap_or(0)
}

/// Level of one band in dB, over frames of 20 ms.
fn bands(samples: &[i16], rate: u32) -> Vec<Vec<f64>> {
    let frame = rate as usize / 50;
    let centres: Vec<f64> = (0..14).map(|n| 250.0 + 225.0 * f64::from(n)).collect();
    let level = |piece: &[i16], hertz: f64| {
        // Three neighbouring lines, so that a glide across one is no hole.
        let lines = [hertz - 50.0, hertz, hertz + 50.0];
        let power: f64 = lines.iter().map(|hertz| crate::rig::goertzel(piece, *hertz, rate).powi(2)).sum();
        10.0 * (power + 20.0).log10()
    };
    samples
        .chunks_exact(frame)
        .map(|piece| centres.iter().map(|hertz| level(piece, *hertz)).collect())
        .collect()
}

/// Mean distance in dB between the spectra of what was said and what was heard, where something was said.
pub(crate) fn distance(said: &[i16], heard: &[i16], rate: u32) -> f64 {
    let (said, heard) = (bands(said, rate), bands(heard, rate));
    let mut sum = (0.0, 0);
    for (a, b) in said.iter().zip(&heard) {
        let loudest = a.iter().copied().fold(0.0, f64::max);
        for (a, b) in a.iter().zip(b).filter(|(a, _)| **a > loudest - 25.0 && loudest > 40.0) {
            sum = (sum.0 + (a - b).abs(), sum.1 + 1);
        }
    }
    sum.0 / f64::from(sum.1.max(1))
}

fn level(samples: &[i16]) -> f64 {
    let power: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    10.0 * power.max(1.0).log10()
}

fn lose(packets: &mut Vec<Sent>, percent: usize, rng: &mut Rng) {
    packets.retain(|packet| packet.header.sequence < 50 || rng.below(100) >= percent);
}

fn shake(packets: &mut [Sent], ms: usize, rng: &mut Rng) {
    for packet in packets {
        packet.at += rng.below(ms * 1000 + 1) as u64;
    }
}

#[test]
fn a_voice_keeps_level_and_spectrum_through_every_codec_and_network() {
    let manner = Manner { fec: true, loss_percent: 10, ..Manner::default() };
    for codec in Codec::ALL {
        for (loss, jitter, farthest) in [(0, 0, 1.6), (0, 40, 2.6), (2, 20, 2.9), (5, 40, 3.8), (10, 60, 5.2)]
        {
            for rate in [8000, 16_000] {
                let mut rng = Rng::from_seed(7 + loss as u64);
                let mut sent = packets(codec, manner, 6000);
                lose(&mut sent, loss, &mut rng);
                shake(&mut sent, jitter, &mut rng);
                let heard = hear(&mut Ear::new(codec, rate), codec, rate, &sent, 6500);
                let said = speech(rate, 6000);
                let lag = delay(&said, &heard, rate);
                let lag_ms = lag as u32 * 1000 / rate;
                let name = format!("{codec:?} at {rate}, {loss} % lost, {jitter} ms of jitter");
                assert!(lag_ms <= 45 + 2 * jitter as u32, "{name}: {lag_ms} ms late");
                let (from, to) = (rate as usize, rate as usize * 5);
                let (said, heard) = (&said[from..to], &heard[from + lag..to + lag]);
                let gain = level(heard) - level(said);
                assert!(gain.abs() < 1.0 + loss as f64 * 0.15, "{name}: {gain:.1} dB");
                let far = distance(said, heard, rate);
                assert!(
                    far < farthest + if codec == Codec::Opus { 1.4 } else { 0.0 },
                    "{name}: {far:.2} dB apart"
                );
            }
        }
    }
}

#[test]
fn every_pair_of_codecs_keeps_the_voice() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let rate = 16_000;
            let sent = packets(from, Manner::default(), 4000);
            let heard = hear(&mut Ear::new(from, rate), from, rate, &sent, 4200);
            let mut mouth = Mouth::new(to, rate);
            let again: Vec<Sent> = heard
                .chunks_exact(320)
                .enumerate()
                .map(|(at, frame)| {
                    let mut payload = Vec::new();
                    mouth.encode(frame, &mut payload);
                    let timestamp = at as u32 * 20 * to.units_per_ms();
                    let header =
                        Header { marker: false, payload_type: 0, sequence: at as u16, timestamp, ssrc: 9 };
                    Sent { header, payload, at: 1_000_000 + at as u64 * 20_000 }
                })
                .collect();
            let heard = hear(&mut Ear::new(to, rate), to, rate, &again, 4200);
            let said = speech(rate, 4000);
            let lag = delay(&said, &heard, rate);
            let (said, heard) = (&said[16_000..48_000], &heard[16_000 + lag..48_000 + lag]);
            let (gain, far) = (level(heard) - level(said), distance(said, heard, rate));
            assert!(gain.abs() < 1.0, "{from:?} to {to:?}: {gain:.1} dB");
            assert!(far < 4.0, "{from:?} to {to:?}: {far:.2} dB apart");
        }
    }
}

#[test]
fn doubles_markers_and_reordering_within_the_hold_change_nothing() {
    for seed in 0..20 {
        let mut rng = Rng::from_seed(seed);
        let sent = packets(Codec::Pcma, Manner::default(), 3000);
        let plain = hear(&mut Ear::new(Codec::Pcma, 8000), Codec::Pcma, 8000, &sent, 2900);
        let mut other = sent.clone();
        for packet in &mut other {
            packet.header.marker = rng.below(2) > 0;
        }
        for _ in 0..60 {
            let again = other[rng.below(sent.len())].clone();
            other.push(Sent { at: again.at + 1000 * rng.below(300) as u64, ..again });
        }
        let mut ear = Ear::new(Codec::Pcma, 8000);
        let heard = hear(&mut ear, Codec::Pcma, 8000, &other, 2900);
        assert!(plain == heard, "seed {seed}: doubles and markers are heard");
        assert_eq!(ear.figures().concealed, 0, "seed {seed}");
    }
}

#[test]
fn what_is_lost_and_no_more_is_invented() {
    for seed in 0..20 {
        let mut rng = Rng::from_seed(seed);
        let mut sent = packets(Codec::Pcmu, Manner::default(), 20_000);
        let whole = sent.len();
        // What is lost at the end is not known to be lost.
        let end = sent.split_off(whole - 20);
        lose(&mut sent, 5, &mut rng);
        sent.extend(end);
        let lost = (whole - sent.len()) as u64;
        let mut ear = Ear::new(Codec::Pcmu, 8000);
        hear(&mut ear, Codec::Pcmu, 8000, &sent, 19_900);
        assert_eq!(ear.figures().concealed, lost * 160, "seed {seed}");
        assert_eq!(ear.figures().late, 0, "seed {seed}");
    }
}

#[test]
fn clocks_that_differ_by_200_ppm_for_an_hour_are_never_heard() {
    for ppm in [-200i64, 200] {
        let frame: Vec<u8> = {
            let mut payload = Vec::new();
            Encoder::new(Codec::Pcma).encode(&speech(8000, 1000)[4000..4160], &mut payload);
            payload
        };
        let mut ear = Ear::new(Codec::Pcma, 8000);
        let (mut next, mut longest) = (0u64, 0);
        for now in (1000u64..3_601_000).step_by(20) {
            loop {
                let due = 1_000_000 + next * 20_000;
                let due = due as i64 + (next as i64 * 20_000 * ppm) / 1_000_000;
                if due > now as i64 * 1000 {
                    break;
                }
                let header = Header {
                    marker: false,
                    payload_type: 8,
                    sequence: next as u16,
                    timestamp: next as u32 * 160,
                    ssrc: 1,
                };
                ear.receive(&header, &frame, Codec::Pcma, due as u64 / 1000);
                next += 1;
            }
            ear.pull(&mut [0; 160], now);
            longest = longest.max(ear.held_ms());
        }
        let figures = ear.figures();
        assert_eq!((figures.concealed, figures.late), (0, 0), "{ppm} ppm: {figures:?}");
        assert!(longest <= 80, "{ppm} ppm: {longest} ms are held");
        let changes = figures.shortened + figures.lengthened;
        // 720 ms in periods of 2.5 to 10 ms.
        assert!((60..=600).contains(&changes), "{ppm} ppm: {figures:?}");
    }
}

#[test]
fn a_restart_another_source_and_another_codec_are_heard_within_a_blink() {
    let speech = packets(Codec::Pcma, Manner::default(), 2000);
    let shift = |ssrc: u32, sequence: u16, timestamp: u32, after: u64| {
        let moved = speech.iter().map(move |packet| Sent {
            header: Header {
                ssrc,
                sequence: packet.header.sequence.wrapping_add(sequence),
                timestamp: packet.header.timestamp.wrapping_add(timestamp),
                ..packet.header
            },
            payload: packet.payload.clone(),
            at: packet.at + after,
        });
        moved.collect::<Vec<Sent>>()
    };
    for (what, second) in [
        ("another SSRC", shift(8, 0, 0, 2_000_000)),
        ("a jump of the sequence", shift(7, 30_000, 500_000_000, 2_000_000)),
        ("across both wraps", shift(7, 65_500, u32::MAX - 8000, 2_000_000)),
        ("after a pause of five seconds", shift(7, 100, 16_000 + 40_000, 7_000_000)),
    ] {
        let all: Vec<Sent> = speech.iter().cloned().chain(second.clone()).collect();
        let begins = (second[0].at / 1000 - 1000) as usize;
        let heard = hear(&mut Ear::new(Codec::Pcma, 8000), Codec::Pcma, 8000, &all, begins as u64 + 2300);
        let from = (begins + 100) * 8;
        assert!(
            level(&heard[from..from + 8000]) > 50.0,
            "{what}: {:.0} dB",
            level(&heard[from..from + 8000])
        );
        assert!(level(&heard[4000..12_000]) > 50.0, "{what}: before");
    }
    let mut ear = Ear::new(Codec::Pcma, 8000);
    hear(&mut ear, Codec::Pcma, 8000, &speech, 1000);
    let wide = packets(Codec::G722, Manner::default(), 2000);
    let heard = hear(&mut ear, Codec::G722, 8000, &wide, 1500);
    assert!(level(&heard[4000..12_000]) > 50.0);
}

#[test]
fn a_network_that_stalls_is_caught_up_with() {
    let mut sent = packets(Codec::G722, Manner::default(), 20_000);
    // Nothing for 400 ms, and then all of it at once.
    for packet in sent.iter_mut().filter(|packet| (4_000_000..4_400_000).contains(&packet.at)) {
        packet.at = 4_400_000;
    }
    let mut ear = Ear::new(Codec::G722, 16_000);
    hear(&mut ear, Codec::G722, 16_000, &sent, 19_000);
    let figures = ear.figures();
    assert!(figures.shortened > 10, "{figures:?}");
    assert!(ear.held_ms() < 120, "{} ms are still held", ear.held_ms());
    assert!(figures.concealed < 16_000 / 2, "{figures:?}");
}

#[test]
fn comfort_noise_fills_a_pause_at_the_level_that_was_told() {
    let sent = packets(Codec::Pcma, Manner::default(), 1000);
    let mut ear = Ear::new(Codec::Pcma, 8000);
    hear(&mut ear, Codec::Pcma, 8000, &sent, 960);
    let header = Header { marker: false, payload_type: 13, sequence: 50, timestamp: 8000, ssrc: 7 };
    ear.comfort(&header, &[50], 2000);
    let mut heard = Vec::new();
    for now in (1967..6000).step_by(20) {
        let mut piece = [0; 160];
        assert!(ear.pull(&mut piece, now), "at {now}");
        heard.extend(piece);
    }
    let noise = level(&heard[8000..]) - 20.0 * 32_767f64.log10();
    assert!((noise + 50.0).abs() < 2.0, "{noise} dBov");
}
