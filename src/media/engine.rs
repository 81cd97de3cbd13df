//! The streams of one media thread: commands and packets in, packets and events out.
//!
//! Cut by direction: `receive` takes what comes and passes it on, `send` makes what is due in a slot, `record`
//! keeps what is recorded of one party, `tape` what is recorded of a call, `secure` looks after ICE and DTLS, `output`
//! holds what goes out until the thread fetches it. Time is counted in
//! milliseconds from the engine's first call. Steady state allocates nothing but a recording's next second.

mod mixes;
pub mod output;
pub mod receive;
pub mod record;
mod repeat;
pub(in crate::media) mod reports;
pub mod secure;
pub mod send;
pub mod tape;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::media::Base;
use crate::media::Command;
use crate::media::Event;
use crate::media::MixId;
use crate::media::PlayId;
use crate::media::PlayItem;
use crate::media::RecordId;
use crate::media::Session;
use crate::media::StreamId;
use crate::media::bank::Bank;
use crate::media::dtmf;
use crate::media::engine::mixes::Placed;
use crate::media::engine::output::Link;
use crate::media::engine::output::Output;
use crate::media::engine::record::Record;
use crate::media::engine::secure::Guard;
use crate::media::slots::Slots;
use crate::media::source::Line;
use crate::media::source::Play;
use crate::media::srtp::Srtp;
use crate::media::stream::Stream;
use crate::media::stream::doubt::Doubt;
use crate::media::stream::incoming::Incoming;
use crate::media::stream::outgoing::Outgoing;
use crate::media::tone;
use crate::rand::Rng;

/// Streams are looked after (reports, silence) in turns of so many milliseconds.
const CHECK_MS: u64 = 50;

/// Such turns in a second: each stream has one of them.
const CHECKS: u8 = 20;

/// Streams that may listen to one; more are not added.
const LISTENERS_MAX: usize = 64;

/// Listeners that may wait for a source to open; more are not added.
const WAITING_MAX: usize = 1024;

/// A line begins in the lower half of the sequence numbers: who misses its first packets still counts the same turns as
/// we do, which SRTP needs (RFC 3711 §3.3.1).
const FIRST_SEQUENCE_MAX: u16 = 0x7fff;

/// A stream's figures are told so often, in milliseconds.
const FIGURES_MS: u64 = 2000;

/// An engine that is called again after a longer pause leaves out what it missed.
const CATCH_UP_MS: u64 = 60;

impl Command {
    /// Whose command it is.
    pub fn stream(&self) -> StreamId {
        match self {
            Command::Open { stream, .. }
            | Command::Modify { stream, .. }
            | Command::Base { stream, .. }
            | Command::Play { stream, .. }
            | Command::Stop { stream }
            | Command::SendDigit { stream, .. }
            | Command::KeepKeys { stream, .. }
            | Command::Record { stream, .. }
            | Command::StopRecord { stream }
            | Command::PlayInMix { stream, .. }
            | Command::Tape { stream, .. }
            | Command::PauseTape { stream, .. }
            | Command::StopTape { stream, .. }
            | Command::Close { stream } => *stream,
        }
    }
}

/// The streams of one media thread.
pub struct Engine {
    thread: u8,
    bank: Arc<Bank>,
    rng: Rng,
    /// RFC 7022: one name for all our streams, which tells nothing.
    cname: String,
    epoch: Option<Instant>,
    /// The last millisecond whose slot has been served.
    ms: u64,
    /// By half the port.
    streams: Vec<Option<Box<Stream>>>,
    open: usize,
    slots: Slots,
    checks: Slots,
    recording: Vec<u16>,
    /// (source, listener) where the source is not open here: it may open yet.
    waiting: Vec<(StreamId, StreamId)>,
    mixes: Vec<Option<Box<Placed>>>,
    mixes_by_id: BTreeMap<MixId, u16>,
    mix_slots: Slots,
    out: Output,
}

impl Engine {
    /// An engine without streams; `thread` is the number that its streams bear.
    pub fn new(thread: u8, bank: Arc<Bank>, mut rng: Rng) -> Engine {
        let cname = rng.token();
        Engine {
            thread,
            bank,
            rng,
            cname,
            epoch: None,
            ms: 0,
            streams: std::iter::repeat_with(|| None).take(1 << 15).collect(),
            open: 0,
            slots: Slots::default(),
            checks: Slots::default(),
            recording: Vec::new(),
            waiting: Vec::new(),
            mixes: Vec::new(),
            mixes_by_id: BTreeMap::new(),
            mix_slots: Slots::default(),
            out: Output::default(),
        }
    }

    /// Carries out a command; one for a stream that is not open in that generation is ignored.
    pub fn command(&mut self, now: Instant, command: Command) {
        self.tick(now);
        let id = command.stream();
        if let Command::Open { stream, session } = command {
            self.open(stream, session);
        } else if let Command::StopTape { stream, record, last } = command {
            self.stop_tape(stream, record, last);
        } else if self.stream(id).is_some() {
            match command {
                Command::Open { .. } | Command::StopTape { .. } => {} // carried out above
                Command::Modify { session, .. } => self.modify(id, session),
                Command::Base { base, .. } => self.base(id, base),
                Command::Play { play, items, repeat, .. } => self.play(id, play, items, repeat),
                Command::Stop { .. } => self.stop(id),
                Command::SendDigit { digit, .. } => self.send_digit(id, digit),
                Command::KeepKeys { keep, .. } => self.keep_keys(id, keep),
                Command::Record { record, file, max, max_silence, .. } => {
                    self.record(id, record, file, (max, max_silence));
                }
                Command::StopRecord { .. } => self.stop_record(id.port),
                Command::PlayInMix { items, .. } => self.play_in_mix(id, items),
                Command::Tape { record, file, form, flipped, paused, .. } => {
                    self.tape(id, tape::Order { record, file, form, flipped, paused });
                }
                Command::PauseTape { paused, .. } => self.pause_tape(id, paused),
                Command::Close { .. } => self.close(id),
            }
        }
        self.check_invariants();
    }

    fn open(&mut self, id: StreamId, session: Session) {
        if id.thread != self.thread {
            return;
        }
        match self.at(id.port).map(|stream| stream.id) {
            Some(old) if old.generation > id.generation => return,
            Some(old) if old == id => return self.modify(id, session),
            Some(old) => self.close(old),
            None => {}
        }
        let check = self.checks.best(CHECKS);
        self.checks.insert(check, id.port);
        let bits = self.rng.bits();
        let mut listeners = Vec::new();
        self.waiting.retain(|(source, listener)| {
            let ours = *source == id;
            if ours && listeners.len() < LISTENERS_MAX {
                listeners.push(*listener);
            }
            !ours
        });
        let units_per_ms = session.codec.units_per_ms();
        let mut stream = Stream {
            id,
            latch: secure::latch(&session),
            guard: Guard::new(&session),
            srtp: session.srtp.clone().map(|keys| Box::new(Srtp::new(keys))),
            session,
            incoming: Incoming::default(),
            outgoing: Outgoing::new(
                bits as u32,
                (bits >> 32) as u16 & FIRST_SEQUENCE_MAX,
                self.rng.bits() as u32,
                units_per_ms,
            ),
            dropped: 0,
            keeps_keys: false,
            keys_in: dtmf::Receiver::default(),
            tones_in: None,
            keys_out: dtmf::Sender::default(),
            key_tones: None,
            play: None,
            line: Line::Silence,
            duck: None,
            voice: None,
            presses: false,
            misfits: 0,
            listeners,
            record: None,
            tape: None,
            place: None,
            in_wheel: false,
            check,
            alive_ms: self.ms,
            doubt: Doubt::default(),
            quiet_told: None,
            heard_told: false,
            report_ms: self.first_report(),
            rtt_us: None,
            remote_fraction_lost: None,
            hearing: reports::Hearing::default(),
            figures_ms: self.ms + FIGURES_MS,
        };
        stream.settle_tones();
        self.streams[usize::from(id.port >> 1)] = Some(Box::new(stream));
        self.open += 1;
        self.begin_own_handshake(id.port);
    }

    fn modify(&mut self, id: StreamId, mut session: Session) {
        let ms = self.ms;
        let Some(stream) = self.streams[usize::from(id.port >> 1)].as_deref_mut().filter(|of| of.id == id)
        else {
            return;
        };
        Engine::modify_guard(stream, &session, ms, &mut self.out.errands);
        if session.receive && !stream.session.receive {
            stream.watch_from(ms);
        }
        if session.dtmf.is_none() {
            stream.keys_out = dtmf::Sender::default();
        }
        let repaced = session.packet_ms != stream.session.packet_ms;
        stream.outgoing.set_clock(session.codec.units_per_ms(), ms);
        // What the network loses was not negotiated.
        session.opus.loss_percent = stream.session.opus.loss_percent;
        stream.voice = stream.voice.take().and_then(|voice| voice.modify(&session));
        stream.session = session;
        stream.duck = None;
        stream.settle_tones();
        if repaced {
            self.leave_wheel(id.port);
            if let Some(stream) = self.at(id.port) {
                stream.place = None;
            }
        }
        self.begin_own_handshake(id.port);
        self.take_early(id.port);
        if let Some(Line::Mix { mix, voice, .. }) = self.stream(id).map(|stream| &stream.line) {
            let (mix, voice) = (*mix, *voice);
            self.join_mix(id, mix, voice);
        }
        self.settle(id.port);
    }

    fn base(&mut self, id: StreamId, base: Base) {
        let old = self.stream(id).and_then(|stream| stream.peer());
        if let Some(old) = old {
            self.unlisten(old, id);
        }
        let left = self.stream(id).and_then(|stream| stream.mix());
        let joins = if let Base::Mix { mix, voice } = base { Some((mix, voice)) } else { None };
        if let Some(left) = left.filter(|left| joins.is_none_or(|(mix, _)| mix != *left)) {
            self.leave_mix(id, left);
        }
        let line = Line::new(base, id, &self.bank, self.ms);
        if let Line::Peer(peer) = line {
            self.listen(peer, id);
        }
        let ms = self.ms;
        if let Some(stream) = self.stream(id) {
            if matches!(line, Line::Peer(_)) {
                // From here on two talk, and whoever is silent from here on is told.
                stream.watch_from(ms);
                stream.hearing.told = false;
            }
            stream.line = line;
            stream.duck = None;
            stream.hear_another();
        }
        if let Some((mix, voice)) = joins {
            self.join_mix(id, mix, voice);
        }
        self.settle(id.port);
    }

    fn play(&mut self, id: StreamId, play: PlayId, items: Vec<PlayItem>, repeat: u32) {
        let play = Play::new(play, items, repeat, &self.bank);
        if let Some(stream) = self.stream(id) {
            stream.play = Some(play);
        }
        self.settle(id.port);
    }

    fn stop(&mut self, id: StreamId) {
        if let Some(stream) = self.stream(id) {
            stream.play = None;
        }
        self.settle(id.port);
    }

    fn send_digit(&mut self, id: StreamId, digit: char) {
        let Some(code) = tone::key_code(digit) else { return };
        let clip = self.bank.key(code);
        let Some(stream) = self.stream(id) else { return };
        match stream.session.dtmf {
            Some(_) => stream.keys_out.push(code),
            None if stream.session.tones => stream.key_tones.get_or_insert_with(Play::keys).push_key(clip),
            None => {}
        }
        self.settle(id.port);
    }

    fn keep_keys(&mut self, id: StreamId, keep: bool) {
        if let Some(stream) = self.stream(id) {
            stream.keeps_keys = keep;
        }
    }

    fn record(&mut self, id: StreamId, name: RecordId, file: Arc<str>, limits: (Duration, Option<Duration>)) {
        self.stop_record(id.port);
        let ms = self.ms;
        let Some(stream) = self.streams[usize::from(id.port >> 1)].as_mut() else { return };
        let codec = stream.session.codec;
        stream.record = Some(Record::begin((id, name), file, codec, limits, ms, &mut self.out.chunks));
        self.recording.push(id.port);
    }

    fn stop_record(&mut self, port: u16) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_mut() else { return };
        if let Some(record) = stream.record.take() {
            record.end(&mut self.out.chunks);
            self.recording.retain(|recording| *recording != port);
        }
    }

    fn close(&mut self, id: StreamId) {
        self.stop_record(id.port);
        self.leave_wheel(id.port);
        let Some(mut stream) = self.streams[usize::from(id.port >> 1)].take() else { return };
        self.give_tape(stream.tape.as_deref_mut());
        self.open -= 1;
        self.checks.remove(stream.check, id.port);
        if let Some(peer) = stream.peer() {
            self.unlisten(peer, id);
        }
        if let Some(mix) = stream.mix() {
            self.leave_mix(id, mix);
        }
        if stream.outgoing.packets() > 0 {
            self.send_report(&mut stream, true);
        }
        self.end_handshake(id, stream.session.transport.dtls);
        self.out.events.push(Event::Closed { stream: id, stats: reports::stats(&stream) });
    }

    /// Ends every stream, for the end of the thread.
    pub fn close_all(&mut self, now: Instant) {
        self.tick(now);
        let open: Vec<StreamId> = self.streams.iter().flatten().map(|stream| stream.id).collect();
        for id in open {
            self.close(id);
        }
    }

    /// Registers a listener at its source, here or on the source's thread.
    fn listen(&mut self, source: StreamId, listener: StreamId) {
        if source.thread != self.thread {
            self.out.links.push(Link::Listen { source, listener });
            return;
        }
        let room = self.waiting.len() < WAITING_MAX;
        match self.stream(source) {
            Some(stream) if stream.listeners.len() < LISTENERS_MAX => stream.listeners.push(listener),
            None if room => self.waiting.push((source, listener)),
            Some(_) | None => {}
        }
    }

    fn unlisten(&mut self, source: StreamId, listener: StreamId) {
        if source.thread != self.thread {
            self.out.links.push(Link::Unlisten { source, listener });
            return;
        }
        self.waiting.retain(|pair| *pair != (source, listener));
        if let Some(stream) = self.stream(source) {
            stream.listeners.retain(|other| *other != listener);
        }
    }

    /// Takes what another thread's engine said to this one.
    pub fn link(&mut self, now: Instant, link: Link) {
        self.tick(now);
        match link {
            Link::Listen { source, listener } if source.thread == self.thread => {
                self.listen(source, listener)
            }
            Link::Unlisten { source, listener } if source.thread == self.thread => {
                self.unlisten(source, listener)
            }
            Link::Packet { listener, mut passed, payload } => {
                passed.ms = self.ms;
                self.pass(listener, &passed, &payload);
            }
            Link::Listen { .. } | Link::Unlisten { .. } => {} // sent to the wrong thread
            link => self.link_mix(link),
        }
    }

    /// Puts a stream into the wheel or takes it out, as it makes packets of its own or not.
    fn settle(&mut self, port: u16) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_mut() else { return };
        match (stream.generates(), stream.in_wheel) {
            (true, false) => {
                let place = *stream.place.get_or_insert_with(|| self.slots.best(stream.session.packet_ms));
                stream.in_wheel = true;
                self.slots.insert(place, port);
            }
            (false, true) => self.leave_wheel(port),
            (true, true) | (false, false) => {}
        }
    }

    fn leave_wheel(&mut self, port: u16) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_mut() else { return };
        if let (true, Some(place)) = (stream.in_wheel, stream.place) {
            stream.in_wheel = false;
            self.slots.remove(place, port);
        }
    }

    /// Milliseconds since the first call.
    fn elapsed(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.epoch.get_or_insert(now))
    }

    /// RFC 3550 §6.2: the first report may come after half the time, and §6.3.1 shortens it: who hears nothing of the
    /// other side, or is not heard, says so within three seconds.
    fn first_report(&mut self) -> u64 {
        self.ms + 1000 + self.rng.below(1000) as u64
    }

    /// RFC 3550 §6.2: 5 s, spread by half to either side so that reports do not fall together.
    fn next_report(&mut self) -> u64 {
        self.ms + 2500 + self.rng.below(5000) as u64
    }

    fn at(&mut self, port: u16) -> Option<&mut Stream> {
        self.streams[usize::from(port >> 1)].as_deref_mut()
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.at(id.port).filter(|stream| stream.id == id)
    }

    /// Whether a stream is open on this port.
    pub fn is_open(&self, port: u16) -> bool {
        self.streams[usize::from(port >> 1)].is_some()
    }

    /// How many streams are open.
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether no stream is open.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// What is to go out; fetch it after each call or after several.
    pub fn output(&mut self) -> &mut Output {
        &mut self.out
    }

    fn check_invariants(&self) {
        debug_assert!(self.slots.len() <= self.open, "only open streams are in the wheel");
        debug_assert_eq!(self.checks.len(), self.open, "every open stream is looked after");
        debug_assert!(self.recording.len() <= self.open, "only open streams are recorded");
    }
}
