//! What comes beside RTP on a port, told apart by its first octet (RFC 7983): checks of ICE, and DTLS.

use std::net::SocketAddr;
use std::time::Instant;

use crate::media::Event;
use crate::media::Session;
use crate::media::StreamId;
use crate::media::dtls;
use crate::media::dtls::Answer;
use crate::media::dtls::Errand;
use crate::media::dtls::Role;
use crate::media::engine::Engine;
use crate::media::ice;
use crate::media::ice::Agent;
use crate::media::rtp;
use crate::media::srtp::Srtp;
use crate::media::stream::Stream;
use crate::media::stream::latch::Latch;
use crate::media::stream::latch::Rules;
use crate::media::stream::latch::Sender;

/// Datagrams of a handshake that are kept until it is known with whom it is: a first flight is one or two.
const EARLY_MAX: usize = 4;

/// Longer ones are no handshake's over a usual path.
const EARLY_OCTETS_MAX: usize = 1500;

/// What a datagram of an RTP port is, by its first octet (RFC 7983 §7).
pub(super) enum Class {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Unknown,
}

/// Tells what a datagram is. RTCP is told from RTP by its second octet (RFC 5761 §4).
pub(super) fn class(datagram: &[u8]) -> Class {
    match datagram.first() {
        Some(0..=3) => Class::Stun,
        Some(20..=63) => Class::Dtls,
        Some(128..=191) if rtp::is_rtcp(datagram) => Class::Rtcp,
        Some(128..=191) => Class::Rtp,
        Some(_) | None => Class::Unknown,
    }
}

/// What a stream has of ICE and DTLS.
#[derive(Debug, Default)]
pub struct Guard {
    agent: Option<Box<Agent>>,
    /// Its handshake has been begun.
    begun: bool,
    /// Why there are no keys has been told.
    failed: bool,
    /// Of a handshake that the other side has begun before its answer came.
    early: Vec<Box<[u8]>>,
}

impl Guard {
    /// For a stream that begins.
    pub(super) fn new(session: &Session) -> Guard {
        let agent = session.transport.ice.clone().map(|terms| Box::new(Agent::new(terms)));
        Guard { agent, ..Guard::default() }
    }
}

/// The latch of a stream that begins.
pub(super) fn latch(session: &Session) -> Latch {
    let mut latch = Latch::new(Rules::from(session));
    latch.seal(session.transport.needs_keys());
    latch
}

impl Engine {
    /// Takes up keys and addresses as negotiated anew. DTLS goes on under the same terms, whatever else has changed.
    pub(super) fn modify_guard(stream: &mut Stream, session: &Session, ms: u64, errands: &mut Vec<Errand>) {
        stream.latch.modify(Rules::from(session), ms);
        match (&mut stream.guard.agent, session.transport.ice.clone()) {
            (Some(agent), Some(terms)) => {
                agent.restart(terms);
                stream.latch.pair(agent.pair(ms));
            }
            (agent, terms) => *agent = terms.map(|terms| Box::new(Agent::new(terms))),
        }
        let old = stream.session.transport.dtls;
        if session.transport.dtls.is_some() && old == session.transport.dtls {
            return;
        }
        if old.is_some() {
            errands.push(Errand::End { stream: stream.id });
            (stream.srtp, stream.guard.begun, stream.guard.failed) = (None, false, false);
        }
        stream.latch.seal(session.transport.needs_keys());
        match (stream.srtp.as_mut(), &session.srtp) {
            (Some(srtp), Some(keys)) => srtp.rekey(keys.clone()),
            (_, keys) => stream.srtp = keys.clone().map(|keys| Box::new(Srtp::new(keys))),
        }
    }

    /// Begins a handshake in which ours is the first word.
    pub(super) fn begin_own_handshake(&mut self, port: u16) {
        let terms = self.at(port).and_then(|stream| stream.session.transport.dtls);
        if terms.is_some_and(|terms| terms.role == Role::Active) {
            self.begin_handshake(port);
        }
    }

    /// Begins the handshake of a stream that knows where the other side is.
    fn begin_handshake(&mut self, port: u16) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_deref_mut() else { return };
        let Some(terms) = stream.session.transport.dtls else { return };
        if stream.guard.begun || stream.latch.handshake_destination().is_none() {
            return;
        }
        stream.guard.begun = true;
        let proven = stream.guard.agent.is_some();
        self.out.errands.push(Errand::Begin { stream: stream.id, terms, proven });
    }

    /// What came of a handshake before the answer that says with whom it may be.
    pub(super) fn take_early(&mut self, port: u16) {
        let Some(early) = self.at(port).map(|stream| std::mem::take(&mut stream.guard.early)) else { return };
        if early.is_empty() {
            return;
        }
        self.begin_handshake(port);
        let Some(stream) = self.at(port).filter(|stream| stream.guard.begun).map(|of| of.id) else { return };
        self.out.errands.extend(early.into_iter().map(|bytes| Errand::Datagram { stream, bytes }));
    }

    /// A check of ICE: answered where it comes from, and followed.
    pub(super) fn stun(&mut self, port: u16, from: SocketAddr, datagram: &[u8], ms: u64) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_deref_mut() else { return };
        let mut answer = [0; ice::ANSWER_MAX];
        let received = stream.guard.agent.as_mut().map(|agent| {
            let received = agent.receive(from, datagram, ms, &mut answer);
            (received, agent.pair(ms))
        });
        let Some((Ok(length), pair)) = received else {
            stream.dropped += 1;
            return;
        };
        stream.latch.pair(pair);
        if length > 0 {
            self.out.plain(port, from, &answer[..length]);
        }
        self.begin_own_handshake(port);
    }

    /// A datagram of a handshake: for the worker, if it comes whence it may.
    pub(super) fn dtls(&mut self, port: u16, from: SocketAddr, datagram: &[u8], ms: u64) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_deref_mut() else { return };
        let transport = &stream.session.transport;
        if transport.dtls.is_none() && transport.needs_keys() && !stream.latch.is_foreign(from) {
            // Their answer is on its way. Its sender waits for ours, at first a second, then two, if this gets lost.
            if stream.guard.early.len() < EARLY_MAX && datagram.len() <= EARLY_OCTETS_MAX {
                stream.guard.early.push(datagram.into());
            }
            return;
        }
        let wanted = transport.dtls.is_some() && !stream.guard.failed;
        if !wanted || stream.latch.receive(from, ms) == Sender::Stranger {
            stream.dropped += 1;
            return;
        }
        let stream = stream.id;
        self.begin_handshake(port);
        self.out.errands.push(Errand::Datagram { stream, bytes: datagram.into() });
    }

    /// What the worker says to a stream.
    pub fn handshake(&mut self, now: Instant, answer: Answer) {
        self.tick(now);
        let (ms, first_report) = (self.ms, self.first_report());
        let id = answer.stream();
        let Some(stream) = self.stream(id).filter(|stream| stream.session.transport.dtls.is_some()) else {
            return;
        };
        match answer {
            Answer::Datagram { bytes, .. } => {
                if let Some(to) = stream.latch.handshake_destination() {
                    self.out.plain(id.port, to, &bytes);
                }
            }
            Answer::Keys { keys, .. } => {
                let suite = keys.send.suite();
                stream.srtp = Some(Box::new(Srtp::new(keys)));
                stream.latch.seal(false);
                // Silence counts from here on; that there were no keys stays told until something is heard.
                (stream.alive_ms, stream.report_ms) = (ms, first_report);
                self.out.events.push(Event::Secured { stream: id, suite });
            }
            Answer::Failed { why, .. } => {
                (stream.srtp, stream.guard.failed) = (None, true);
                stream.latch.seal(true);
                self.out.events.push(Event::Unsecured { stream: id, why });
            }
        }
    }

    /// RFC 7675: who no longer agrees to get packets gets none.
    pub(super) fn look_after_consent(stream: &mut Stream, ms: u64) {
        if let Some(agent) = &stream.guard.agent {
            stream.latch.pair(agent.pair(ms));
        }
    }

    /// The worker forgets a stream that is over.
    pub(super) fn end_handshake(&mut self, id: StreamId, terms: Option<dtls::Terms>) {
        self.out.errands.extend(terms.map(|_| Errand::End { stream: id }));
    }
}
