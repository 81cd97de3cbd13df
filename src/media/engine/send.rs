//! What is due: a packet of each stream in this millisecond's slot, and once a second a look after each stream.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use crate::media::Codec;
use crate::media::Event;
use crate::media::Silence;
use crate::media::codec::BYTES_PER_MS;
use crate::media::codec::MAX_PAYLOAD;
use crate::media::dtmf::Turn;
use crate::media::duck::Duck;
use crate::media::engine::CATCH_UP_MS;
use crate::media::engine::CHECK_MS;
use crate::media::engine::Engine;
use crate::media::engine::FIGURES_MS;
use crate::media::engine::output::Output;
use crate::media::engine::reports;
use crate::media::source::Line;
use crate::media::stream::Stream;
use crate::media::stream::voice::Voice;

/// Without a packet for so long, a stream that should hear something is told to be quiet; looked at once a second, it
/// is told within three.
const QUIET_MS: u64 = 2000;

impl Engine {
    /// Serves every slot up to `now`; harmless if nothing is due. After a pause of more than 60 ms the slots
    /// that were missed are left out: timestamps go on with the clock, so the other side hears a gap and no
    /// burst.
    pub fn tick(&mut self, now: Instant) {
        let ms = self.elapsed(now).as_millis() as u64;
        if ms.saturating_sub(self.ms) > CATCH_UP_MS {
            self.ms = ms - CATCH_UP_MS / 3;
        }
        while let Some(due) = self.next_ms().filter(|due| *due <= ms) {
            self.ms = due;
            self.send_due();
            self.mix_due();
            if due.is_multiple_of(CHECK_MS) {
                self.look_after();
            }
        }
        self.ms = self.ms.max(ms);
    }

    /// When to call [`Engine::tick`] next, at the latest; `None` while no stream is open.
    pub fn next_tick(&self) -> Option<Instant> {
        Some(self.epoch? + Duration::from_millis(self.next_ms()?))
    }

    /// When the next mix has its turn; `None` while there is none. What comes for mixes need not be read sooner.
    pub fn next_mix(&self) -> Option<Instant> {
        Some(self.epoch? + Duration::from_millis(self.mix_slots.next(self.ms + 1)?))
    }

    fn next_ms(&self) -> Option<u64> {
        let slot = self.slots.next(self.ms + 1).into_iter().chain(self.mix_slots.next(self.ms + 1)).min();
        let turn = self.ms / CHECK_MS + 1;
        let check = if self.recording.is_empty() { self.checks.next(turn) } else { Some(turn) };
        let check = check.map(|turn| turn * CHECK_MS);
        slot.into_iter().chain(check).min()
    }

    fn send_due(&mut self) {
        // From the back, because a stream that has come to its end leaves the slot.
        for at in (0..self.slots.due(self.ms)).rev() {
            let Some(port) = self.slots.port(self.ms, at) else { continue };
            let Some(stream) = self.streams[usize::from(port >> 1)].as_mut() else { continue };
            send(stream, self.ms, &mut self.out);
            if !stream.generates() {
                self.leave_wheel(port);
            }
        }
    }

    fn look_after(&mut self) {
        let turn = self.ms / CHECK_MS;
        for at in 0..self.checks.due(turn) {
            let Some(port) = self.checks.port(turn, at) else { continue };
            let Some(mut stream) = self.streams[usize::from(port >> 1)].take() else { continue };
            Engine::look_after_consent(&mut stream, self.ms);
            if self.ms >= stream.report_ms {
                self.send_report(&mut stream, false);
                stream.report_ms = self.next_report();
            }
            let silent_ms = self.ms.saturating_sub(stream.alive_ms);
            if stream.session.receive && silent_ms >= QUIET_MS {
                let silent = Duration::from_millis(silent_ms);
                self.out.events.extend(quiet(&mut stream, silent));
            }
            self.give_tape(stream.tape.as_deref_mut());
            if self.ms >= stream.figures_ms {
                stream.figures_ms = self.ms + FIGURES_MS;
                let stats = reports::stats(&stream);
                self.out.events.push(Event::Figures { stream: stream.id, stats });
            }
            self.streams[usize::from(port >> 1)] = Some(stream);
        }
        for at in (0..self.recording.len()).rev() {
            let port = self.recording[at];
            let ms = self.ms;
            if self.at(port).and_then(|s| s.record.as_ref()).is_some_and(|record| record.is_over(ms)) {
                self.stop_record(port);
            }
        }
    }
}

/// Tells of a stream's silence, unless it has been told: what comes and cannot be heard is told after all.
fn quiet(stream: &mut Stream, silent: Duration) -> Option<Event> {
    let cause = stream.silence();
    let better = match stream.quiet_told {
        None => true,
        Some(Silence::Nothing) => cause != Silence::Nothing,
        Some(Silence::NoKeys) => cause != Silence::NoKeys,
        Some(Silence::Stranger(_) | Silence::Sealed(_) | Silence::Unfit(_)) => false,
    };
    better.then(|| {
        stream.quiet_told = Some(cause);
        Event::Quiet { stream: stream.id, silent, cause }
    })
}

/// One turn of a stream that makes its own packets: a key, else what is played, else its base. A stream that
/// may not send, or knows no address, lets its time pass all the same.
fn send(stream: &mut Stream, ms: u64, out: &mut Output) {
    let packet_ms = stream.place.map_or(20, |place| place.period);
    let units = u32::from(packet_ms) * stream.session.codec.units_per_ms();
    let to = stream.latch.destination().filter(|_| stream.session.send);
    let clocks = (stream.session.codec.units_per_ms(), stream.session.dtmf_units_per_ms());
    if let Some(event_type) = stream.session.dtmf
        && let Some(turn) = stream.keys_out.turn(stream.outgoing.timestamp(ms), packet_ms, clocks)
    {
        if let (Turn::Report { payload, timestamp, marker }, Some(to)) = (turn, to) {
            let mut header = stream.outgoing.own(ms, units, event_type);
            (header.timestamp, header.marker) = (timestamp, marker);
            out.pass((stream.id.port, to), &header, &payload, None);
            out.protect(stream.srtp.as_deref_mut());
            stream.outgoing.sent(payload.len());
        }
        return;
    }
    let repeats = stream.repeats() && !stream.overlaid();
    if repeats || !stream.session.codec.is_bytewise() {
        return say(stream, (packet_ms, units), ms, to, out);
    }
    let codec = stream.session.codec;
    let length = usize::from(packet_ms) * BYTES_PER_MS;
    let Some(to) = to else {
        let mut unheard = [0; MAX_PAYLOAD];
        let end = fill(stream, codec, ms, &mut unheard[..length]);
        return out.events.extend(end);
    };
    let header = stream.outgoing.own(ms, units, stream.session.payload_type);
    let end = out.rtp((stream.id.port, to), &header, length, |packet| fill(stream, codec, ms, packet));
    stream.tape_sent(&header, out.last_payload(), ms);
    out.protect(stream.srtp.as_deref_mut());
    stream.outgoing.sent(length);
    out.events.extend(end);
}

/// A turn whose packet is made of PCM: what is played is read as G.722, what a peer says comes from the ear.
fn say(
    stream: &mut Stream,
    (packet_ms, units): (u8, u32),
    ms: u64,
    to: Option<SocketAddr>,
    out: &mut Output,
) {
    let mut voice = stream.voice.take().unwrap_or_else(|| Box::new(Voice::new(&stream.session)));
    let payload = if matches!(stream.line, Line::Peer(_)) && voice.hears() && !stream.overlaid() {
        voice.repeat(packet_ms, ms)
    } else {
        let mut bytes = [0; MAX_PAYLOAD];
        let bytes = &mut bytes[..usize::from(packet_ms) * BYTES_PER_MS];
        let end = fill(stream, Codec::G722, ms, bytes);
        out.events.extend(end);
        voice.say(bytes)
    };
    if let (Some(to), false) = (to, payload.is_empty()) {
        let header = stream.outgoing.own(ms, units, stream.session.payload_type);
        out.pass((stream.id.port, to), &header, payload, None);
        stream.tape_sent(&header, payload, ms);
        out.protect(stream.srtp.as_deref_mut());
        stream.outgoing.sent(payload.len());
    }
    stream.voice = Some(voice);
}

/// Writes a packet's payload in a bytewise codec; the event, when what is played ends with it.
fn fill(stream: &mut Stream, codec: Codec, ms: u64, packet: &mut [u8]) -> Option<Event> {
    if let Some(keys) = &mut stream.key_tones {
        if !keys.fill(codec, packet) {
            stream.key_tones = None;
        }
        return None;
    }
    let Some(play) = &mut stream.play else {
        stream.line.fill(codec, ms, packet);
        raise_music(stream, codec, packet);
        return None;
    };
    let (more, name) = (play.fill(codec, packet), play.name());
    duck_music(stream, codec, ms, packet);
    if more {
        return None;
    }
    stream.play = None;
    name.map(|play| Event::PlayFinished { stream: stream.id, play })
}

/// Adds the music beneath what is played to a packet, turned down.
fn duck_music(stream: &mut Stream, codec: Codec, ms: u64, packet: &mut [u8]) {
    if !matches!(stream.line, Line::Loop { music: true, .. }) {
        return;
    }
    let mut music = [0; MAX_PAYLOAD];
    let music = &mut music[..packet.len()];
    stream.line.fill(codec, ms, music);
    let duck = stream.duck.take().filter(|duck| duck.is(codec));
    let mut duck = duck.unwrap_or_else(|| Box::new(Duck::new(codec)));
    duck.blend(music, packet, true);
    stream.duck = Some(duck);
}

/// Turns a packet of music down that was beneath something a moment ago, less and less.
fn raise_music(stream: &mut Stream, codec: Codec, packet: &mut [u8]) {
    let Some(duck) = stream.duck.as_mut().filter(|duck| duck.is(codec)) else { return };
    let mut music = [0; MAX_PAYLOAD];
    let music = &mut music[..packet.len()];
    music.copy_from_slice(packet);
    packet.fill(codec.silence());
    if !duck.blend(music, packet, false) {
        stream.duck = None;
    }
}
