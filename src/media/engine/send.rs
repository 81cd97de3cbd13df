//! What is due: a packet of each stream in this millisecond's slot, and once a second a look after each stream.

use std::time::Duration;
use std::time::Instant;

use crate::media::Event;
use crate::media::codec::BYTES_PER_MS;
use crate::media::codec::MAX_PAYLOAD;
use crate::media::dtmf::Turn;
use crate::media::engine::CATCH_UP_MS;
use crate::media::engine::CHECK_MS;
use crate::media::engine::Engine;
use crate::media::engine::output::Output;
use crate::media::stream::Stream;

/// Without a packet for so long, a stream that should hear something is told to be quiet.
const QUIET_MS: u64 = 5000;

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

    fn next_ms(&self) -> Option<u64> {
        let slot = self.slots.next(self.ms + 1);
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
            if stream.session.receive && !stream.quiet_told && silent_ms >= QUIET_MS {
                stream.quiet_told = true;
                let silent = Duration::from_millis(silent_ms);
                self.out.events.push(Event::Quiet { stream: stream.id, silent });
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

/// One turn of a stream that makes its own packets: a key, else what is played, else its base. A stream that
/// may not send, or knows no address, lets its time pass all the same.
fn send(stream: &mut Stream, ms: u64, out: &mut Output) {
    let packet_ms = stream.place.map_or(20, |place| place.period);
    let length = usize::from(packet_ms) * BYTES_PER_MS;
    let to = stream.latch.destination().filter(|_| stream.session.send);
    if let Some(event_type) = stream.session.dtmf
        && let Some(turn) = stream.keys_out.turn(stream.outgoing.timestamp(ms), length as u16)
    {
        if let (Turn::Report { payload, timestamp, marker }, Some(to)) = (turn, to) {
            let mut header = stream.outgoing.own(ms, length as u32, event_type);
            (header.timestamp, header.marker) = (timestamp, marker);
            out.pass((stream.id.port, to), &header, &payload, None);
            out.protect(stream.srtp.as_deref_mut());
            stream.outgoing.sent(payload.len());
        }
        return;
    }
    let Some(to) = to else {
        let mut unheard = [0; MAX_PAYLOAD];
        fill(stream, ms, &mut unheard[..length], out);
        return;
    };
    let header = stream.outgoing.own(ms, length as u32, stream.session.payload_type);
    let end = out.rtp((stream.id.port, to), &header, length, |packet| fill_packet(stream, ms, packet));
    out.protect(stream.srtp.as_deref_mut());
    stream.outgoing.sent(length);
    out.events.extend(end);
}

fn fill(stream: &mut Stream, ms: u64, packet: &mut [u8], out: &mut Output) {
    let end = fill_packet(stream, ms, packet);
    out.events.extend(end);
}

/// Writes a packet's payload; the event, when what is played ends with it.
fn fill_packet(stream: &mut Stream, ms: u64, packet: &mut [u8]) -> Option<Event> {
    let codec = stream.session.codec;
    if let Some(keys) = &mut stream.key_tones {
        if !keys.fill(codec, packet) {
            stream.key_tones = None;
        }
        return None;
    }
    let Some(play) = &mut stream.play else {
        stream.line.fill(codec, ms, packet);
        return None;
    };
    if play.fill(codec, packet) {
        return None;
    }
    let name = play.name();
    stream.play = None;
    name.map(|play| Event::PlayFinished { stream: stream.id, play })
}
