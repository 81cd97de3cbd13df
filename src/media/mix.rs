//! One mix: what each of several streams says, put together for each of the others.
//!
//! All who do not speak at the moment hear the same, which is encoded once for each codec and packet time and copied; only
//! the few who speak, and who is whispered to, have packets of their own. So a room costs the same for each of its people
//! however many they are. Who is silent is left out of the sum, and with it their noise.
//!
//! It works at 8 kHz while nobody in it can hear more, else at 16 kHz. Joining, leaving, and getting and losing the word
//! are faded. Nothing is allocated in a turn but when somebody speaks for the first time.

use std::collections::HashMap;

use crate::media::Codec;
use crate::media::MixId;
use crate::media::PlayItem;
use crate::media::Session;
use crate::media::StreamId;
use crate::media::Voice;
use crate::media::bank::Bank;
use crate::media::codec::BYTES_PER_MS;
use crate::media::codec::g711;
use crate::media::ear::Ear;
use crate::media::engine::output::Kind;
use crate::media::engine::output::Passed;
use crate::media::mixer;
use crate::media::mixer::Activity;
use crate::media::mixer::FRAME_MAX;
use crate::media::mixer::Floor;
use crate::media::mixer::Limiter;
use crate::media::mouth::Mouth;
use crate::media::resample::Resampler;
use crate::media::source::Play;

/// A mix has at most so many streams; more hear silence.
const MEMBERS_MAX: usize = 1000;

/// Milliseconds of a turn, and of one where somebody's packets are no multiple of it.
const TURN_MS: u8 = 20;
const SHORT_TURN_MS: u8 = 10;

/// What a stream is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// In this codec.
    pub codec: Codec,
    /// Packets of so many milliseconds.
    pub packet_ms: u8,
}

impl Format {
    /// As it was negotiated; 20 ms for packet times that we do not make.
    pub fn of(session: &Session) -> Format {
        let packet_ms = match session.packet_ms {
            packet_ms @ (10 | 20 | 30 | 40 | 60) => packet_ms,
            _ => 20,
        };
        Format { codec: session.codec, packet_ms }
    }

    /// Samples of a packet at `rate`.
    fn samples(self, rate: u32) -> usize {
        rate as usize / 1000 * usize::from(self.packet_ms)
    }
}

/// A mix and who is in it.
pub struct Mix {
    id: MixId,
    rate: u32,
    turn_ms: u8,
    /// By seat.
    members: Vec<Option<Box<Member>>>,
    seats: HashMap<StreamId, u16>,
    groups: Vec<Group>,
    /// Who left while they spoke: their last frame fades out.
    leaving: Vec<Source>,
    /// What is played to all.
    play: Option<(Play, Option<Resampler>)>,
    /// This turn's frames of who speaks; only the first `spoken` of them.
    frames: Vec<Frame>,
    spoken: usize,
    limiter: Limiter,
}

/// Where the sound of a member comes from.
struct Source {
    ear: Ear,
    rate: u32,
    /// From the ear's rate to that of the mix.
    up: Option<Resampler>,
    /// Of this turn, at the ear's rate.
    frame: [i16; FRAME_MAX],
}

impl Source {
    fn new(codec: Codec, rate: u32) -> Source {
        // What is above 8 kHz is not worth what it costs here.
        let own = codec.sample_rate().min(16_000);
        let up = (own < rate).then(|| Resampler::new(own, rate));
        Source { ear: Ear::new(codec, own), rate: own, up, frame: [0; FRAME_MAX] }
    }

    /// Takes the frame of this turn; its level.
    fn pull(&mut self, ms: u64, turn_ms: u8) -> u32 {
        let frame = &mut self.frame[..self.rate as usize / 1000 * usize::from(turn_ms)];
        if self.ear.pull(frame, ms) { mixer::level(frame) } else { 0 }
    }

    /// That frame at the rate of the mix.
    fn raise(&mut self, out: &mut [i16], turn_ms: u8) {
        let frame = &self.frame[..self.rate as usize / 1000 * usize::from(turn_ms)];
        match &mut self.up {
            Some(up) => up.process(frame, out),
            None => out.copy_from_slice(frame),
        }
    }
}

struct Member {
    stream: StreamId,
    format: Format,
    group: usize,
    voice: Voice,
    source: Source,
    activity: Activity,
    /// Their last frame was in the sum.
    mixed: bool,
    /// Their packets differ from those of their group.
    alone: bool,
    own: Option<Box<Own>>,
}

/// What makes somebody's own packets.
struct Own {
    mouth: Mouth,
    limiter: Limiter,
    /// Of the packet in the making.
    pcm: Vec<i16>,
    payload: Vec<u8>,
}

impl Own {
    fn new(format: Format, rate: u32) -> Own {
        Own {
            mouth: Mouth::new(format.codec, rate),
            limiter: Limiter::default(),
            pcm: Vec::with_capacity(format.samples(rate)),
            payload: Vec::new(),
        }
    }
}

/// Who hears the same, in the same form.
struct Group {
    format: Format,
    mouth: Mouth,
    /// Of the packet in the making, or just made.
    pcm: Vec<i16>,
    payload: Vec<u8>,
    made: bool,
}

/// A frame of somebody who speaks.
struct Frame {
    /// Nobody's, when they have left.
    seat: Option<u16>,
    /// For this seat only.
    only: Option<u16>,
    pcm: [i16; FRAME_MAX],
}

impl Mix {
    /// An empty one.
    pub fn new(id: MixId) -> Mix {
        Mix {
            id,
            rate: 8000,
            turn_ms: TURN_MS,
            members: Vec::new(),
            seats: HashMap::new(),
            groups: Vec::new(),
            leaving: Vec::new(),
            play: None,
            frames: Vec::new(),
            spoken: 0,
            limiter: Limiter::default(),
        }
    }

    /// Its name.
    pub fn id(&self) -> MixId {
        self.id
    }

    /// How many streams are in it.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether no stream is in it.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Milliseconds from one turn to the next: 10 or 20.
    pub fn turn_ms(&self) -> u8 {
        self.turn_ms
    }

    /// Puts a stream in, or changes what it hears and who hears it. `None`: there is no seat left.
    pub fn join(&mut self, stream: StreamId, format: Format, voice: Voice) -> Option<u16> {
        let known = self.seats.get(&stream).copied();
        if let Some(seat) = known
            && let Some(member) = self.members[usize::from(seat)].as_mut()
        {
            if member.format == format {
                if member.voice != voice && matches!(member.voice, Voice::Only(_)) {
                    // A whisper does not fade out: its last frame would be for everybody.
                    member.mixed = false;
                    member.source.ear.interrupt();
                }
                member.voice = voice;
                return Some(seat);
            }
            self.leave(stream);
        }
        let free = self.members.iter().position(Option::is_none);
        let seat = free.unwrap_or(self.members.len());
        if seat >= MEMBERS_MAX {
            return None;
        }
        if free.is_none() {
            self.members.push(None);
        }
        let member = Member {
            stream,
            format,
            group: 0,
            voice,
            source: Source::new(format.codec, self.rate),
            activity: Activity::default(),
            mixed: false,
            alone: false,
            own: None,
        };
        self.members[seat] = Some(Box::new(member));
        let seat = seat as u16;
        self.seats.insert(stream, seat);
        self.settle();
        Some(seat)
    }

    /// Takes a stream out.
    pub fn leave(&mut self, stream: StreamId) {
        let Some(seat) = self.seats.remove(&stream) else { return };
        let Some(member) = self.members[usize::from(seat)].take() else { return };
        if member.mixed && member.voice == Voice::All {
            self.leaving.push(member.source);
        }
        self.settle();
    }

    /// Fits rate, turns and groups to who is in it.
    fn settle(&mut self) {
        let formats = || self.members.iter().flatten().map(|member| member.format);
        let wide = formats().any(|format| format.codec.sample_rate() > 8000);
        let rate = if wide { 16_000 } else { 8000 };
        let short = formats().any(|format| format.packet_ms % TURN_MS != 0);
        let turn_ms = if short { SHORT_TURN_MS } else { TURN_MS };
        if rate != self.rate {
            // Who joins a mix of the other rate is heard by it; a frame that fades out is not worth the trouble.
            self.leaving.clear();
            self.play = None;
            for member in self.members.iter_mut().flatten() {
                let own = member.source.rate;
                member.source.up = (own < rate).then(|| Resampler::new(own, rate));
                member.own = None;
            }
        }
        if (rate, turn_ms) != (self.rate, self.turn_ms) {
            self.groups.clear();
            let own = self.members.iter_mut().flatten().filter_map(|member| member.own.as_mut());
            own.for_each(|own| own.pcm.clear());
        }
        (self.rate, self.turn_ms) = (rate, turn_ms);
        let members = &mut self.members;
        for member in members.iter_mut().flatten() {
            let known = self.groups.iter().position(|group| group.format == member.format);
            member.group = known.unwrap_or(self.groups.len());
            if known.is_none() {
                self.groups.push(Group::new(member.format, rate));
            }
        }
        self.frames.resize_with(self.frames.len().max(2 * mixer::SPEAKERS_MAX), Frame::empty);
    }

    /// What came from the stream of a seat.
    pub fn hear(&mut self, seat: u16, passed: &Passed, payload: &[u8]) {
        let Some(Some(member)) = self.members.get_mut(usize::from(seat)) else { return };
        if member.stream != passed.source || member.voice == Voice::Nobody {
            return;
        }
        match passed.kind {
            Kind::Audio(codec) => {
                member.source.ear.receive(&passed.header, payload, codec, passed.ms);
            }
            Kind::Comfort => member.source.ear.comfort(&passed.header, payload, passed.ms),
            Kind::Event { .. } | Kind::Kept => {}
        }
    }

    /// The seat of a stream.
    pub fn seat(&self, stream: StreamId) -> Option<u16> {
        self.seats.get(&stream).copied()
    }

    /// Plays to everybody, over what is played.
    pub fn play(&mut self, items: Vec<PlayItem>, bank: &Bank) {
        let up = (self.rate > 8000).then(|| Resampler::new(8000, self.rate));
        self.play = Some((Play::once(items, bank), up));
    }

    /// Makes the turn of millisecond `ms`: `deliver` is given the payloads of the packets that are whole with it, at most
    /// one for each stream.
    pub fn turn(&mut self, ms: u64, mut deliver: impl FnMut(StreamId, &[u8])) {
        let length = self.rate as usize / 1000 * usize::from(self.turn_ms);
        self.listen(ms, length);
        let mut total = [0i32; FRAME_MAX];
        let total = &mut total[..length];
        for frame in self.frames[..self.spoken].iter().filter(|frame| frame.only.is_none()) {
            mixer::add(total, &frame.pcm[..length]);
        }
        self.add_play(total);
        let mut common = [0i16; FRAME_MAX];
        let common = &mut common[..length];
        self.limiter.limit(total, common);
        self.mark_alone();
        for (at, group) in self.groups.iter_mut().enumerate() {
            let listeners = self.members.iter().flatten().any(|member| member.group == at && !member.alone);
            group.add(common, self.rate, listeners);
        }
        for (seat, member) in self.members.iter_mut().enumerate() {
            let Some(member) = member else { continue };
            let group = &self.groups[member.group];
            if member.alone {
                let frames = &self.frames[..self.spoken];
                member.make_own(seat as u16, group, frames, total, self.rate, &mut deliver);
            } else if group.made && !group.payload.is_empty() {
                deliver(member.stream, &group.payload);
            }
        }
    }

    /// Takes a frame of everybody and keeps those of who speaks.
    fn listen(&mut self, ms: u64, length: usize) {
        let turn_ms = self.turn_ms;
        self.spoken = 0;
        for source in &mut self.leaving {
            source.pull(ms, turn_ms);
            let kept = next_frame(&mut self.frames, &mut self.spoken, None, None);
            source.raise(&mut kept[..length], turn_ms);
            mixer::fade_out(&mut kept[..length]);
        }
        self.leaving.clear();
        let mut floor = Floor::default();
        for (seat, member) in self.members.iter_mut().enumerate() {
            let Some(member) = member else { continue };
            if member.voice == Voice::Nobody && !member.mixed {
                continue;
            }
            let level = member.source.pull(ms, turn_ms);
            member.activity.hear(level, u32::from(turn_ms));
            if member.voice == Voice::All {
                floor.claim(member.activity.claim(), seat as u16);
            }
        }
        for (seat, member) in self.members.iter_mut().enumerate() {
            let Some(member) = member else { continue };
            let only = match member.voice {
                Voice::Only(stream) => Some(self.seats.get(&stream).copied()),
                Voice::All | Voice::Nobody => None,
            };
            let speaks = match (member.voice, only) {
                (Voice::All, _) => floor.has(seat as u16),
                (Voice::Nobody, _) | (Voice::Only(_), Some(None) | None) => false,
                (Voice::Only(_), Some(Some(_))) => member.activity.claim() > 0,
            };
            member.activity.set_speaks(speaks);
            // Nor does one whose hearer has gone.
            member.mixed &= only != Some(None);
            if !speaks && !member.mixed {
                continue;
            }
            let kept = next_frame(&mut self.frames, &mut self.spoken, Some(seat as u16), only.flatten());
            member.source.raise(&mut kept[..length], turn_ms);
            match (member.mixed, speaks) {
                (false, true) => mixer::fade_in(&mut kept[..length]),
                (true, false) => mixer::fade_out(&mut kept[..length]),
                (true, true) | (false, false) => {}
            }
            member.mixed = speaks;
            if member.voice == Voice::Nobody {
                member.source.ear.interrupt();
            }
        }
    }

    fn add_play(&mut self, total: &mut [i32]) {
        let Some((play, up)) = &mut self.play else { return };
        let mut bytes = [0; TURN_MS as usize * BYTES_PER_MS];
        let bytes = &mut bytes[..usize::from(self.turn_ms) * BYTES_PER_MS];
        let more = play.fill(Codec::Pcma, bytes);
        let mut narrow = [0i16; TURN_MS as usize * BYTES_PER_MS];
        let narrow = &mut narrow[..bytes.len()];
        for (sample, byte) in narrow.iter_mut().zip(bytes) {
            *sample = g711::decode_alaw(*byte);
        }
        match up {
            Some(up) => {
                let mut wide = [0i16; FRAME_MAX];
                up.process(narrow, &mut wide[..total.len()]);
                mixer::add(total, &wide[..total.len()]);
            }
            None => mixer::add(total, narrow),
        }
        if !more {
            self.play = None;
        }
    }

    /// Finds who needs packets of their own: who is in the sum, who is whispered to, and who has one in the making.
    fn mark_alone(&mut self) {
        for member in self.members.iter_mut().flatten() {
            member.alone = member.own.as_ref().is_some_and(|own| !own.pcm.is_empty());
        }
        for frame in &self.frames[..self.spoken] {
            let seat = match frame.only {
                // A whisperer hears what all hear.
                Some(only) => Some(only),
                None => frame.seat,
            };
            if let Some(seat) = seat
                && let Some(Some(member)) = self.members.get_mut(usize::from(seat))
            {
                member.alone = true;
            }
        }
    }
}

/// The next place for a frame of somebody who speaks.
fn next_frame<'f>(
    frames: &'f mut Vec<Frame>,
    spoken: &mut usize,
    seat: Option<u16>,
    only: Option<u16>,
) -> &'f mut [i16; FRAME_MAX] {
    if *spoken == frames.len() {
        frames.push(Frame::empty());
    }
    let frame = &mut frames[*spoken];
    *spoken += 1;
    (frame.seat, frame.only) = (seat, only);
    &mut frame.pcm
}

impl Frame {
    fn empty() -> Frame {
        Frame { seat: None, only: None, pcm: [0; FRAME_MAX] }
    }
}

impl Group {
    fn new(format: Format, rate: u32) -> Group {
        Group {
            format,
            mouth: Mouth::new(format.codec, rate),
            pcm: Vec::with_capacity(format.samples(rate)),
            payload: Vec::new(),
            made: false,
        }
    }

    /// Adds a frame; encodes the packet when it is whole and somebody is to get it.
    fn add(&mut self, frame: &[i16], rate: u32, listeners: bool) {
        let whole = self.format.samples(rate);
        if self.pcm.len() >= whole {
            self.pcm.clear();
        }
        self.pcm.extend_from_slice(frame);
        self.made = self.pcm.len() >= whole;
        self.payload.clear();
        if self.made && listeners {
            self.mouth.encode(&self.pcm, &mut self.payload);
        }
    }
}

impl Member {
    /// Adds this turn to the member's own packet, and gives it out when it is whole.
    fn make_own(
        &mut self,
        seat: u16,
        group: &Group,
        frames: &[Frame],
        total: &[i32],
        rate: u32,
        deliver: &mut impl FnMut(StreamId, &[u8]),
    ) {
        let length = total.len();
        let mut sum = [0i32; FRAME_MAX];
        let sum = &mut sum[..length];
        sum.copy_from_slice(total);
        for frame in frames {
            match (frame.only, frame.seat) {
                (Some(only), _) if only == seat => mixer::add(sum, &frame.pcm[..length]),
                (None, Some(own)) if own == seat => mixer::subtract(sum, &frame.pcm[..length]),
                (Some(_), _) | (None, _) => {}
            }
        }
        let format = self.format;
        let own = self.own.get_or_insert_with(|| Box::new(Own::new(format, rate)));
        // The packet had begun as one of the group's.
        let before = group.pcm.len() - length;
        if own.pcm.len() != before {
            own.pcm.clear();
            own.pcm.extend_from_slice(&group.pcm[..before]);
        }
        let mut frame = [0i16; FRAME_MAX];
        own.limiter.limit(sum, &mut frame[..length]);
        own.pcm.extend_from_slice(&frame[..length]);
        if group.made {
            own.payload.clear();
            own.mouth.encode(&own.pcm, &mut own.payload);
            own.pcm.clear();
            if !own.payload.is_empty() {
                deliver(self.stream, &own.payload);
            }
        }
    }
}
