//! Mixes: tones of different frequencies, measured at each of those who listen.

use std::time::Duration;

use crate::rig::Rig;
use crate::rig::Sent;
use crate::rig::goertzel;
use crate::rig::header;
use crate::rig::session;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::MixId;
use sentral::media::PlayItem;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::Voice;
use sentral::media::codec::Decoder;
use sentral::media::codec::Encoder;
use sentral::media::engine::output::Link;
use sentral::media::tone::Tone;
use std::net::SocketAddr;

const MIX: MixId = MixId { thread: 0, number: 1 };
/// Peak of each tone.
const PEAK: f64 = 6000.0;

/// Somebody with a phone, and perhaps a tone that they sing.
struct Person {
    stream: StreamId,
    phone: SocketAddr,
    codec: Codec,
    hertz: Option<f64>,
    peak: f64,
    encoder: Encoder,
    sequence: u16,
}

/// A room of such people, on one thread.
struct Room {
    rig: Rig,
    people: Vec<Person>,
}

impl Room {
    fn new() -> Room {
        Room { rig: Rig::new(), people: Vec::new() }
    }

    fn of(count: usize, codec: Codec, sings: impl Fn(usize) -> Option<f64>) -> Room {
        let mut room = Room::new();
        for at in 0..count {
            room.add(codec, sings(at), 20);
        }
        room
    }

    fn add(&mut self, codec: Codec, hertz: Option<f64>, packet_ms: u8) -> usize {
        let at = self.people.len();
        let stream = StreamId { thread: 0, port: 20_000 + 2 * at as u16, generation: 1 };
        let phone = SocketAddr::from(([10, 0, 1, 1], 4000 + at as u16));
        self.rig.open(stream, Session { packet_ms, ..session(phone, codec) });
        let encoder = Encoder::new(codec);
        self.people.push(Person { stream, phone, codec, hertz, peak: PEAK, encoder, sequence: 0 });
        self.voice(at, Voice::All);
        at
    }

    fn voice(&mut self, at: usize, voice: Voice) {
        let stream = self.people[at].stream;
        self.rig.command(Command::Base { stream, base: Base::Mix { mix: MIX, voice } });
    }

    /// Everybody sings for so many packets of 20 ms; what was sent.
    fn run(&mut self, packets: usize) -> Vec<Sent> {
        let mut sent = Vec::new();
        for _ in 0..packets {
            for person in &mut self.people {
                let payload = person.sing();
                let units = 20 * u32::from(person.codec.units_per_ms() as u16);
                let head =
                    header(person.codec.payload_type(), person.sequence, u32::from(person.sequence) * units);
                person.sequence = person.sequence.wrapping_add(1);
                self.rig.receive(person.stream, person.phone, head, &payload);
            }
            sent.extend(self.rig.run(20));
        }
        sent
    }

    /// What one of them hears in the last half second, at their codec's rate, and the rate.
    fn heard(&self, sent: &[Sent], at: usize) -> (Vec<i16>, u32) {
        let person = &self.people[at];
        let mut decoder = Decoder::new(person.codec);
        let mut samples = Vec::new();
        for packet in sent.iter().filter(|packet| packet.to == person.phone) {
            let mut out = [0; 3000];
            let count = decoder.decode(&packet.payload, &mut out);
            samples.extend(&out[..count]);
        }
        let rate = person.codec.sample_rate();
        (samples.split_off(samples.len().saturating_sub(rate as usize / 2)), rate)
    }

    /// The level of a tone at somebody's ear, as a share of what it has been sung with.
    fn share(&self, sent: &[Sent], at: usize, hertz: f64) -> f64 {
        let (samples, rate) = self.heard(sent, at);
        goertzel(&samples, hertz, rate) / PEAK
    }

    /// Each hears every other one's tone as loud as it is, and their own not at all.
    fn each_hears_the_others(&mut self) {
        self.run(60);
        let sent = self.run(40);
        for at in 0..self.people.len() {
            for other in 0..self.people.len() {
                let Some(hertz) = self.people[other].hertz else { continue };
                let share = self.share(&sent, at, hertz);
                let expect = if at == other { 0.0 } else { 1.0 };
                assert!((share - expect).abs() < 0.08, "{at} hears {other} ({hertz} Hz) at {share}");
            }
        }
    }
}

impl Person {
    fn sing(&mut self) -> Vec<u8> {
        let rate = self.codec.sample_rate();
        let count = rate as usize / 50;
        let first = usize::from(self.sequence) * count;
        let sample = |at: usize| {
            let angle = std::f64::consts::TAU * self.hertz.unwrap_or(0.0) * at as f64 / f64::from(rate);
            (self.peak * angle.sin()) as i16
        };
        let samples: Vec<i16> = (first..first + count).map(sample).collect();
        let mut payload = Vec::new();
        self.encoder.encode(&samples, &mut payload);
        payload
    }
}

/// Tones that have whole periods in half a second.
fn tone(at: usize) -> f64 {
    400.0 + 250.0 * at as f64
}

#[test]
fn two_and_three_hear_exactly_the_others() {
    for count in [2, 3] {
        Room::of(count, Codec::Pcma, |at| Some(tone(at))).each_hears_the_others();
        Room::of(count, Codec::Pcmu, |at| Some(tone(at))).each_hears_the_others();
        Room::of(count, Codec::G722, |at| Some(tone(at))).each_hears_the_others();
    }
}

#[test]
fn in_larger_rooms_everybody_hears_the_few_who_speak() {
    for count in [10, 50] {
        let sings = |at: usize| at.is_multiple_of(count / 3).then(|| tone(at / (count / 3)));
        let mut room = Room::of(count, Codec::Pcma, sings);
        room.each_hears_the_others();
        let sent = room.run(10);
        let silent: Vec<usize> = (0..count).filter(|at| room.people[*at].hertz.is_none()).collect();
        let payloads = |at: usize| -> Vec<&Vec<u8>> {
            sent.iter().filter(|p| p.to == room.people[at].phone).map(|p| &p.payload).collect()
        };
        assert_eq!(payloads(silent[0]).len(), 10);
        assert!(silent.iter().all(|at| payloads(*at) == payloads(silent[0])), "who is silent hears the same");
    }
}

#[test]
fn of_many_who_speak_the_loudest_four_are_heard() {
    let mut room = Room::of(9, Codec::Pcma, |at| Some(tone(at)));
    for (at, person) in room.people.iter_mut().enumerate() {
        person.peak = if at < 4 { PEAK } else { PEAK / 8.0 };
    }
    room.run(100);
    let sent = room.run(40);
    for at in 0..9 {
        let share = room.share(&sent, 8, tone(at));
        let expect = if at < 4 { 1.0 } else { 0.0 };
        assert!((share - expect).abs() < 0.08, "{at}: {share}");
    }
}

#[test]
fn codecs_and_packet_times_of_all_kinds_hear_each_other() {
    let mut room = Room::new();
    room.add(Codec::Pcma, Some(tone(0)), 20);
    room.add(Codec::G722, Some(tone(1)), 20);
    room.add(Codec::Pcmu, Some(tone(2)), 60);
    room.add(Codec::Pcma, Some(tone(3)), 30);
    room.add(Codec::Pcma, None, 10);
    room.each_hears_the_others();
    let sent = room.run(60);
    for (at, length) in [(0, 160), (1, 160), (2, 480), (3, 240), (4, 80)] {
        let of: Vec<&Sent> = sent.iter().filter(|p| p.to == room.people[at].phone).collect();
        assert!(of.iter().all(|p| p.payload.len() == length), "{at}");
        assert!(of.len() * length / 8 >= 1140, "{at}: {} packets", of.len());
        for pair in of.windows(2) {
            assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1), "{at}");
            assert_eq!(
                pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp),
                length as u32,
                "{at}"
            );
        }
    }
}

#[test]
fn who_can_hear_more_than_a_telephone_does() {
    let mut room = Room::new();
    room.add(Codec::G722, Some(5500.0), 20);
    room.add(Codec::G722, None, 20);
    room.add(Codec::Pcma, None, 20);
    room.run(60);
    let sent = room.run(40);
    assert!(room.share(&sent, 1, 5500.0) > 0.8, "{}", room.share(&sent, 1, 5500.0));
    assert!(room.share(&sent, 2, 2500.0) < 0.02, "it does not fold back");
}

#[test]
fn loud_people_together_are_turned_down_and_not_cut_off() {
    let mut room = Room::of(5, Codec::Pcma, |at| (at < 4).then(|| tone(at)));
    room.people.iter_mut().for_each(|person| person.peak = 20_000.0);
    room.run(60);
    let sent = room.run(40);
    let (samples, rate) = room.heard(&sent, 4);
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!(peak <= 32_000, "{peak}");
    let tones: Vec<f64> = (0..4).map(|at| goertzel(&samples, tone(at), rate)).collect();
    // Distortion would stand at sums and differences of the tones.
    let beside = goertzel(&samples, tone(3) + tone(3) - tone(0), rate);
    assert!(tones.iter().all(|level| *level > 5000.0), "{tones:?}");
    assert!(beside < tones[0] / 15.0, "{beside} beside {tones:?}");
}

#[test]
fn whispers_reach_one_and_who_is_muted_nobody() {
    let mut room = Room::of(3, Codec::Pcma, |at| Some(tone(at)));
    let agent = room.people[1].stream;
    room.voice(2, Voice::Only(agent));
    room.run(60);
    let sent = room.run(40);
    for (at, other, expect) in [(0, 1, 1.0), (0, 2, 0.0), (1, 0, 1.0), (1, 2, 1.0), (2, 0, 1.0), (2, 1, 1.0)]
    {
        let share = room.share(&sent, at, tone(other));
        assert!((share - expect).abs() < 0.08, "{at} hears {other} at {share}");
    }
    room.voice(2, Voice::Nobody);
    room.run(60);
    let sent = room.run(40);
    assert!(room.share(&sent, 1, tone(2)) < 0.02 && room.share(&sent, 2, tone(0)) > 0.9);
    room.voice(2, Voice::All);
    room.each_hears_the_others();
}

#[test]
fn a_whisper_that_ends_is_heard_by_nobody_else() {
    let ends: [fn(&mut Room); 3] = [
        |room| room.voice(0, Voice::Nobody),
        // Who was whispered to leaves the mix.
        |room| {
            let stream = room.people[1].stream;
            room.rig.command(Command::Base { stream, base: Base::Silence });
        },
        |room| room.voice(0, Voice::Only(room.people[2].stream)),
    ];
    for (row, end) in ends.into_iter().enumerate() {
        let mut room = Room::of(4, Codec::Pcma, |at| (at == 0).then_some(tone(0)));
        let stream = room.people[1].stream;
        room.voice(0, Voice::Only(stream));
        room.run(60);
        end(&mut room);
        let sent = room.run(20);
        let (samples, _) = room.heard(&sent, 3);
        assert!(samples.iter().all(|sample| sample.abs() < 20), "row {row}");
    }
}

#[test]
fn coming_and_going_make_no_click() {
    let mut room = Room::of(3, Codec::Pcma, |at| (at > 0).then_some(250.0));
    room.run(60);
    let mut sent = room.run(20);
    let gone = room.people.remove(2);
    room.rig.command(Command::Close { stream: gone.stream });
    sent.extend(room.run(20));
    let late = room.add(Codec::Pcma, Some(250.0), 20);
    assert_eq!(late, 2);
    sent.extend(room.run(40));
    let person = &room.people[0];
    let mut decoder = Decoder::new(Codec::Pcma);
    let mut samples = Vec::new();
    for packet in sent.iter().filter(|packet| packet.to == person.phone) {
        let mut out = [0; 160];
        decoder.decode(&packet.payload, &mut out);
        samples.extend(out);
    }
    // Two tones of 250 Hz with a peak of 6000 move by at most 2 · 6000 · 2π · 250 / 8000 from sample to sample.
    let steepest = samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
    assert!(steepest.is_some_and(|steepest| steepest < 3000), "{steepest:?}");
    assert!(samples.len() >= 160 * 79, "no packet is missing");
}

#[test]
fn one_on_another_thread_hears_and_is_heard() {
    let mut home = Room::of(2, Codec::Pcma, |at| Some(tone(at)));
    let mut away = Rig::with_thread(1);
    let stream = StreamId { thread: 1, port: 30_000, generation: 1 };
    let phone = SocketAddr::from(([10, 0, 2, 1], 4000));
    away.open(stream, session(phone, Codec::Pcma));
    away.command(Command::Base { stream, base: Base::Mix { mix: MIX, voice: Voice::All } });
    let mut person = Person {
        stream,
        phone,
        codec: Codec::Pcma,
        hertz: Some(tone(2)),
        peak: PEAK,
        encoder: Encoder::new(Codec::Pcma),
        sequence: 0,
    };
    let (mut sent, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let head = header(8, person.sequence, u32::from(person.sequence) * 160);
        let payload = person.sing();
        person.sequence += 1;
        away.receive(stream, phone, head, &payload);
        for link in away.links() {
            home.rig.engine.link(home.rig.now, link);
        }
        sent.extend(home.run(1));
        for link in home.rig.links() {
            assert!(matches!(link, Link::Mixed { .. }));
            away.engine.link(away.now, link);
        }
        theirs.extend(away.run(20));
    }
    for (at, other) in [(0, 1), (0, 2), (1, 0), (1, 2)] {
        let share = home.share(&sent, at, tone(other));
        assert!((share - 1.0).abs() < 0.08, "{at} hears {other} at {share}");
    }
    home.people.push(person);
    for (other, expect) in [(0, 1.0), (1, 1.0), (2, 0.0)] {
        let share = home.share(&theirs, 2, tone(other));
        assert!((share - expect).abs() < 0.08, "the one away hears {other} at {share}");
    }
    away.command(Command::Close { stream });
    let links = away.links();
    assert!(links.iter().any(|link| matches!(link, Link::Leave { .. })), "{links:?}");
}

#[test]
fn tones_are_played_into_what_is_said() {
    let mut room = Room::of(3, Codec::Pcma, |at| (at == 0).then(|| tone(0)));
    room.run(60);
    let items = vec![PlayItem::Tone(Tone::Beep, Duration::from_secs(2))];
    let stream = room.people[1].stream;
    room.rig.command(Command::PlayInMix { stream, items });
    let sent = room.run(40);
    for at in 0..3 {
        assert!(room.share(&sent, at, 1000.0) > 0.5, "{at} hears the tone");
    }
    assert!(room.share(&sent, 2, tone(0)) > 0.9, "and who speaks");
    room.run(80);
    let sent = room.run(30);
    assert!(room.share(&sent, 2, 1000.0) < 0.02, "it is over");
}

#[test]
fn what_is_played_to_one_covers_the_mix_for_them_alone() {
    let mut room = Room::of(3, Codec::Pcma, |at| (at == 0).then(|| tone(0)));
    room.run(60);
    let stream = room.people[1].stream;
    room.rig.play(stream, &["prompt"], 1);
    let sent = room.run(10);
    let clip = room.rig.bank.get("prompt").expect("in the bank");
    let bytes = |at: usize| -> Vec<u8> {
        sent.iter().filter(|p| p.to == room.people[at].phone).flat_map(|p| p.payload.clone()).collect()
    };
    assert_eq!(bytes(1)[..1600], clip.bytes(Codec::Pcma)[..1600]);
    let sent = room.run(60);
    assert!(room.share(&sent, 1, tone(0)) > 0.9 && room.share(&sent, 2, tone(0)) > 0.9);
}
