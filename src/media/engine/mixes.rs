//! The mixes of an engine: who joins and leaves, also from other threads, and their turns.
//!
//! A mix lives on one thread. Streams of other threads are in it by [`Link`]s: what they receive goes there, and what they
//! are to send comes back as payloads.

use crate::media::MixId;
use crate::media::PlayItem;
use crate::media::StreamId;
use crate::media::Voice;
use crate::media::engine::Engine;
use crate::media::engine::output::Link;
use crate::media::engine::output::Output;
use crate::media::engine::output::Passed;
use crate::media::mix::Format;
use crate::media::mix::Mix;
use crate::media::slots::Place;
use crate::media::source::Line;
use crate::media::stream::Stream;

/// Mixes of one thread at most; who would join another hears silence.
const MIXES_MAX: usize = 4096;

/// A mix and when it has its turns.
pub(super) struct Placed {
    mix: Mix,
    place: Place,
}

impl Engine {
    /// A stream is in a mix from here on, or is heard by others in it.
    pub(super) fn join_mix(&mut self, id: StreamId, mix: MixId, voice: Voice) {
        let thread = self.thread;
        let Some(stream) = self.stream(id) else { return };
        let format = Format { codec: stream.session.codec, packet_ms: stream.session.packet_ms };
        if mix.thread != thread {
            stream.line = Line::Mix { mix, voice, seat: None };
            self.out.links.push(Link::Join { mix, stream: id, format, voice });
            return;
        }
        let seat = self.seat(mix, id, format, voice);
        if let Some(stream) = self.stream(id) {
            stream.line = Line::Mix { mix, voice, seat };
        }
    }

    /// Finds or makes the mix, and the stream's seat in it: place in `mixes`, and in the mix.
    pub(super) fn seat(
        &mut self,
        mix: MixId,
        id: StreamId,
        format: Format,
        voice: Voice,
    ) -> Option<(u16, u16)> {
        let known = self.mixes_by_id.get(&mix).copied();
        let at = match known {
            Some(at) => at,
            None => {
                let free = self.mixes.iter().position(Option::is_none).unwrap_or(self.mixes.len());
                if free >= MIXES_MAX {
                    return None;
                }
                if free == self.mixes.len() {
                    self.mixes.push(None);
                }
                let fresh = Mix::new(mix);
                let place = self.mix_slots.sparest(fresh.turn_ms());
                self.mix_slots.insert(place, free as u16);
                self.mixes[free] = Some(Box::new(Placed { mix: fresh, place }));
                self.mixes_by_id.insert(mix, free as u16);
                free as u16
            }
        };
        let seat = self.mixes[usize::from(at)].as_mut()?.mix.join(id, format, voice);
        self.replace_mix(at);
        Some((at, seat?))
    }

    /// A stream is no longer in a mix.
    pub(super) fn leave_mix(&mut self, id: StreamId, mix: MixId) {
        if mix.thread != self.thread {
            self.out.links.push(Link::Leave { mix, stream: id });
            return;
        }
        let Some(at) = self.mixes_by_id.get(&mix).copied() else { return };
        if let Some(placed) = self.mixes[usize::from(at)].as_mut() {
            placed.mix.leave(id);
        }
        self.replace_mix(at);
    }

    /// A mix ends when nobody is left in it, and has its turns as often as it wants.
    fn replace_mix(&mut self, at: u16) {
        let Some(placed) = self.mixes[usize::from(at)].as_mut() else { return };
        if placed.mix.is_empty() {
            self.mix_slots.remove(placed.place, at);
            self.mixes_by_id.remove(&placed.mix.id());
            self.mixes[usize::from(at)] = None;
        } else if placed.mix.turn_ms() != placed.place.period {
            self.mix_slots.remove(placed.place, at);
            placed.place = self.mix_slots.sparest(placed.mix.turn_ms());
            self.mix_slots.insert(placed.place, at);
        }
    }

    /// What a stream in a mix has received.
    pub(super) fn said_in_mix(
        &mut self,
        mix: MixId,
        seat: Option<(u16, u16)>,
        passed: Passed,
        payload: &[u8],
    ) {
        if mix.thread != self.thread {
            self.out.links.push(Link::Said { mix, passed, payload: payload.into() });
            return;
        }
        let Some((at, seat)) = seat else { return };
        if let Some(Some(placed)) = self.mixes.get_mut(usize::from(at))
            && placed.mix.id() == mix
        {
            placed.mix.hear(seat, &passed, payload);
        }
    }

    /// Plays into the mix that a stream is in.
    pub(super) fn play_in_mix(&mut self, id: StreamId, items: Vec<PlayItem>) {
        let Some(Line::Mix { mix, .. }) = self.stream(id).map(|stream| &stream.line) else { return };
        let mix = *mix;
        self.play_in(mix, items);
    }

    fn play_in(&mut self, mix: MixId, items: Vec<PlayItem>) {
        if mix.thread != self.thread {
            self.out.links.push(Link::PlayInMix { mix, items });
            return;
        }
        let at = self.mixes_by_id.get(&mix).copied();
        if let Some(Some(placed)) = at.and_then(|at| self.mixes.get_mut(usize::from(at))) {
            placed.mix.play(items, &self.bank);
        }
    }

    /// What another thread's engine says about a mix.
    pub(super) fn link_mix(&mut self, link: Link) {
        match link {
            Link::Join { mix, stream, format, voice } if mix.thread == self.thread => {
                self.seat(mix, stream, format, voice);
            }
            Link::Leave { mix, stream } if mix.thread == self.thread => self.leave_mix(stream, mix),
            Link::Said { mix, mut passed, payload } if mix.thread == self.thread => {
                passed.ms = self.ms;
                let at = self.mixes_by_id.get(&mix).copied();
                let seat = at.and_then(|at| {
                    Some((at, self.mixes[usize::from(at)].as_ref()?.mix.seat(passed.source)?))
                });
                self.said_in_mix(mix, seat, passed, &payload);
            }
            Link::PlayInMix { mix, items } if mix.thread == self.thread => self.play_in(mix, items),
            Link::Mixed { listener, mix, payload } => {
                let ms = self.ms;
                let stream = self.streams[usize::from(listener.port >> 1)].as_deref_mut();
                if let Some(stream) = stream {
                    say(stream, listener, mix, ms, &payload, &mut self.out);
                }
            }
            // Sent to the wrong thread, or about peers.
            Link::Join { .. }
            | Link::Leave { .. }
            | Link::Said { .. }
            | Link::PlayInMix { .. }
            | Link::Listen { .. }
            | Link::Unlisten { .. }
            | Link::Packet { .. } => {}
        }
    }

    /// Serves the mixes whose turn it is.
    pub(super) fn mix_due(&mut self) {
        for at in 0..self.mix_slots.due(self.ms) {
            let Some(index) = self.mix_slots.port(self.ms, at) else { continue };
            let Some(placed) = self.mixes.get_mut(usize::from(index)).and_then(Option::as_mut) else {
                continue;
            };
            let (streams, out, thread, ms) = (&mut self.streams, &mut self.out, self.thread, self.ms);
            let mix = placed.mix.id();
            placed.mix.turn(ms, |listener, payload| {
                if listener.thread != thread {
                    out.links.push(Link::Mixed { listener, mix, payload: payload.into() });
                } else if let Some(stream) = streams[usize::from(listener.port >> 1)].as_deref_mut() {
                    say(stream, listener, mix, ms, payload, out);
                }
            });
        }
    }
}

/// Sends a packet of a mix, unless the stream sends something else in its place.
fn say(stream: &mut Stream, listener: StreamId, mix: MixId, ms: u64, payload: &[u8], out: &mut Output) {
    let here = matches!(stream.line, Line::Mix { mix: of, .. } if of == mix);
    if stream.id != listener || !here {
        return;
    }
    let to = stream.latch.destination().filter(|_| stream.session.send && !stream.overlaid());
    let Some(to) = to else { return };
    let units = u32::from(stream.session.packet_ms) * stream.session.codec.units_per_ms();
    let header = stream.outgoing.own(ms, units, stream.session.payload_type);
    out.pass((stream.id.port, to), &header, payload, None);
    if let Some(tape) = &mut stream.tape {
        tape.take(true, stream.session.codec, (header.ssrc, header.timestamp), payload, ms);
    }
    out.protect(stream.srtp.as_deref_mut());
    stream.outgoing.sent(payload.len());
}
