//! What comes: checked, counted, heard for keys, recorded, and passed on to whoever listens, on arrival.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use crate::media::Codec;
use crate::media::Event;
use crate::media::Silence;
use crate::media::StreamId;
use crate::media::Voice;
use crate::media::codec::Converter;
use crate::media::codec::MAX_PAYLOAD;
use crate::media::dtmf;
use crate::media::engine::Engine;
use crate::media::engine::output::Kind;
use crate::media::engine::output::Link;
use crate::media::engine::output::Passed;
use crate::media::engine::repeat;
use crate::media::engine::secure;
use crate::media::engine::secure::Class;
use crate::media::rtcp;
use crate::media::rtp;
use crate::media::source::Line;
use crate::media::stream::Stream;
use crate::media::stream::latch::Sender;
use crate::media::tone;

/// Longest report that is read of a protected stream.
const RTCP_MAX: usize = 1500;

/// After comfort noise nothing may come for so much longer, in milliseconds.
const COMFORT_MS: u64 = 30_000;

/// Static payload type of comfort noise (RFC 3389).
const COMFORT_NOISE: u8 = 13;

impl Engine {
    /// Takes a datagram that came to a stream's RTP port at `now`. Whatever it is, it does no harm: what is not
    /// valid RTP of the session, or not of its source, is counted and dropped.
    pub fn rtp(&mut self, now: Instant, port: u16, from: SocketAddr, datagram: &mut [u8]) {
        let elapsed = self.elapsed(now);
        let ms = elapsed.as_millis() as u64;
        match secure::class(datagram) {
            Class::Rtp => self.audio(elapsed, port, from, datagram),
            Class::Rtcp if self.at(port).is_some_and(|stream| stream.session.transport.rtcp_mux) => {
                self.report(elapsed, port, from, datagram);
            }
            Class::Stun => self.stun(port, from, datagram, ms),
            Class::Dtls => self.dtls(port, from, datagram, ms),
            Class::Rtcp | Class::Unknown => {
                if let Some(stream) = self.at(port) {
                    stream.dropped += 1;
                    self.out.dropped.malformed += 1;
                }
            }
        }
    }

    fn audio(&mut self, elapsed: Duration, port: u16, from: SocketAddr, datagram: &mut [u8]) {
        let ms = elapsed.as_millis() as u64;
        let Some(stream) = self.streams[usize::from(port >> 1)].as_deref_mut() else { return };
        if stream.latch.is_foreign(from) {
            // Before it is opened: a copy sent from elsewhere must not use up the number of the packet itself.
            stream.dropped += 1;
            stream.doubt.refuse(Silence::Stranger(from));
            self.out.dropped.stranger += 1;
            return;
        }
        let (kind, header, range) = match open(stream, datagram) {
            Ok(opened) => opened,
            Err(cause) => {
                stream.dropped += 1;
                stream.doubt.refuse(cause(from));
                self.out.dropped.no_use(stream.srtp.is_some());
                return;
            }
        };
        let payload = &mut datagram[range];
        match stream.latch.receive(from, ms) {
            Sender::Source | Sender::NewSource if stream.heard_told => {}
            Sender::Source | Sender::NewSource => {
                stream.heard_told = true;
                self.out.events.push(Event::Heard { stream: stream.id, from });
            }
            Sender::Stranger => {
                stream.dropped += 1;
                stream.doubt.refuse(Silence::Stranger(from));
                self.out.dropped.stranger += 1;
                return;
            }
        }
        stream.doubt.clear();
        if stream.quiet_told.take().is_some() {
            self.out.events.push(Event::Restored { stream: stream.id });
        }
        stream.alive_ms = ms;
        let clock = if let Kind::Audio(codec) = kind { codec } else { stream.session.codec };
        let units_per_ms = clock.units_per_ms();
        let arrival = stream.incoming.arrival(elapsed.as_micros() as u64, units_per_ms);
        if !stream.session.receive || !stream.incoming.count(&header, arrival, matches!(kind, Kind::Audio(_)))
        {
            stream.dropped += 1;
            self.out.dropped.unwanted += 1;
            return;
        }
        match kind {
            // Who announces silence may be silent for long.
            Kind::Comfort => stream.alive_ms = ms + COMFORT_MS,
            Kind::Kept => {}
            Kind::Event { per_ms, .. } => {
                let ignored = stream.keys_in.ignored();
                let event = dtmf::Payload::parse(payload);
                let digit = event.and_then(|event| stream.keys_in.receive(event, &header, ms));
                if stream.keys_in.ignored() != ignored {
                    stream.dropped += 1;
                    self.out.dropped.unwanted += 1;
                    return;
                }
                let (stream, kept) = (stream.id, stream.keeps_keys);
                self.out.events.extend(digit.map(|digit| Event::Digit { stream, digit }));
                let begun = digit.and_then(tone::key_code);
                let kind = if kept { Kind::Kept } else { Kind::Event { per_ms, begun } };
                return self.pass_on(port, (kind, header), payload, ms);
            }
            Kind::Audio(codec) => {
                if stream.keys_in.is_pressed(ms) {
                    // Of a phone that sends its keys both ways, the tone is left out.
                    if codec == Codec::Opus {
                        // What is silence depends on its state: the packet is left out, and concealed where it is heard.
                        return self.pass_on(port, (Kind::Kept, header), payload, ms);
                    }
                    payload.fill(codec.silence());
                }
                if let Some(tones) = &mut stream.tones_in {
                    let (stream, events) = (stream.id, &mut self.out.events);
                    tones.hear(codec, payload, |digit| events.push(Event::Digit { stream, digit }));
                }
                if let Some(tape) = &mut stream.tape {
                    tape.take(false, codec, (header.ssrc, header.timestamp), payload, ms);
                }
                if let Some(record) = &mut stream.record {
                    record.receive(&header, payload, codec, ms, &mut self.out.chunks);
                    if record.is_over(ms) {
                        self.stop_record(port);
                    }
                }
            }
        }
        self.pass_on(port, (kind, header), payload, ms);
    }

    fn pass_on(&mut self, port: u16, (kind, header): (Kind, rtp::Header), payload: &[u8], ms: u64) {
        if let Some(stream) = &self.streams[usize::from(port >> 1)]
            && let Line::Mix { mix, voice, seat } = stream.line
            && voice != Voice::Nobody
        {
            let passed = Passed { source: stream.id, header, kind, ms };
            self.said_in_mix(mix, seat, passed, payload);
        }
        let mut at = 0;
        while let Some(stream) = &self.streams[usize::from(port >> 1)]
            && let Some(listener) = stream.listeners.get(at).copied()
        {
            let passed = Passed { source: stream.id, header, kind, ms };
            if listener.thread == self.thread {
                self.pass(listener, &passed, payload);
            } else {
                self.out.links.push(Link::Packet { listener, passed, payload: payload.into() });
            }
            at += 1;
        }
    }

    /// Sends a peer's packet to a listener of this thread, as its own session has it.
    pub(super) fn pass(&mut self, listener: StreamId, passed: &Passed, payload: &[u8]) {
        let Some(stream) = self.streams[usize::from(listener.port >> 1)].as_deref_mut() else { return };
        if stream.id != listener || stream.peer() != Some(passed.source) || payload.is_empty() {
            return;
        }
        let line = line_of(passed.source);
        if let Kind::Event { begun, .. } = passed.kind
            && repeat::takes_key(stream, begun, (&passed.header, line), payload)
        {
            stream.outgoing.leave_out(&passed.header, line);
            return self.settle(listener.port);
        }
        let to = stream.latch.destination().filter(|_| stream.session.send && !stream.overlaid());
        let Some(to) = to else { return stream.interrupt() };
        if repeat::must(stream, passed.kind, payload) {
            repeat::hear(stream, passed, payload);
            return self.settle(listener.port);
        }
        let (mut converter, mut event) = (None, None);
        let (payload_type, units) = match passed.kind {
            Kind::Audio(codec) => {
                converter = Converter::new(codec, stream.session.codec);
                (stream.session.payload_type, codec.units(payload).unwrap_or(0))
            }
            Kind::Event { per_ms, .. } if let Some(event_type) = stream.session.dtmf => {
                event = dtmf::on_clock(payload, per_ms, stream.session.dtmf_units_per_ms());
                (event_type, 0)
            }
            Kind::Comfort if let Some(comfort_type) = stream.session.comfort => (comfort_type, 0),
            Kind::Event { .. } | Kind::Comfort | Kind::Kept => {
                return stream.outgoing.leave_out(&passed.header, line);
            }
        };
        let header = stream.outgoing.pass(&passed.header, line, units, passed.ms, payload_type);
        let Some(header) = header else { return };
        let payload = event.as_ref().map_or(payload, |event| &event[..]);
        self.out.pass((listener.port, to), &header, payload, converter);
        if matches!(passed.kind, Kind::Audio(_)) {
            stream.tape_sent(&header, self.out.last_payload(), passed.ms);
        }
        self.out.protect(stream.srtp.as_deref_mut());
        stream.outgoing.sent(payload.len());
    }

    /// Takes a datagram that came to the port above a stream's RTP port. Only the host whose RTP we hear, or
    /// before that the one that SDP named, is listened to; nobody where RTCP is multiplexed.
    pub fn rtcp(&mut self, now: Instant, port: u16, from: SocketAddr, datagram: &[u8]) {
        let elapsed = self.elapsed(now);
        match self.at(port) {
            Some(stream) if stream.session.transport.rtcp_mux => stream.dropped += 1,
            Some(_) => self.report(elapsed, port, from, datagram),
            None => {}
        }
    }

    fn report(&mut self, elapsed: Duration, port: u16, from: SocketAddr, datagram: &[u8]) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_deref_mut() else { return };
        let mut opened = [0; RTCP_MAX];
        let awaits_keys = stream.awaits_keys();
        let heard = match &mut stream.srtp {
            None if awaits_keys => None,
            None => rtcp::parse(datagram, stream.outgoing.ssrc()),
            Some(srtp) => opened.get_mut(..datagram.len()).and_then(|opened| {
                opened.copy_from_slice(datagram);
                let length = srtp.unprotect_rtcp(opened)?;
                rtcp::parse(&opened[..length], stream.outgoing.ssrc())
            }),
        };
        let Some(heard) = heard.filter(|_| stream.latch.receive_rtcp(from)) else {
            stream.dropped += 1;
            self.out.dropped.no_use(stream.srtp.is_some());
            return;
        };
        self.reported(port, &heard, elapsed);
    }
}

/// What a datagram is, its header, and where its payload is.
type Opened = (Kind, rtp::Header, std::ops::Range<usize>);

/// What a datagram is to this stream, and of a protected stream what it holds; else what is wrong with it.
fn open(stream: &mut Stream, datagram: &mut [u8]) -> Result<Opened, fn(SocketAddr) -> Silence> {
    let awaits_keys = stream.awaits_keys();
    let length = match &mut stream.srtp {
        Some(srtp) => srtp.unprotect(datagram).ok_or(Silence::Sealed as fn(SocketAddr) -> Silence)?,
        None if awaits_keys => return Err(Silence::Sealed),
        None => datagram.len(),
    };
    classify(stream, &datagram[..length]).ok_or(Silence::Unfit)
}

/// What a datagram is to this stream; `None` for what it has no use for.
fn classify(stream: &Stream, datagram: &[u8]) -> Option<Opened> {
    let (header, range) = rtp::parse(datagram)?;
    let session = &stream.session;
    let audio = |codec: Codec| codec.units(&datagram[range.clone()]).map(|_| Kind::Audio(codec));
    let kind = match header.payload_type {
        kind if kind == session.payload_type => audio(session.codec)?,
        kind if Some(kind) == session.dtmf || Some(kind) == session.besides.dtmf => {
            Kind::Event { per_ms: session.dtmf_units_per_ms(), begun: None }
        }
        kind if let Some(codec) = session.besides.codec(kind) => audio(codec)?,
        kind if kind == COMFORT_NOISE || Some(kind) == session.comfort => Kind::Comfort,
        _ => return None,
    };
    (range.len() <= MAX_PAYLOAD).then_some((kind, header, range))
}

/// A number that tells one peer's line from another's.
fn line_of(source: StreamId) -> u64 {
    u64::from(source.thread) << 48 | u64::from(source.port) << 32 | u64::from(source.generation)
}
