//! Provisional answers that arrive for certain: RSeq and PRACK, both ways (RFC 3262).
//!
//! As callee we answer reliably when the caller requires it, and when it can and the answer has SDP; one answer at a
//! time is under way, the next and a 2xx wait for its PRACK (§3). As caller we acknowledge what comes in order (§4).
//! PRACKs with a body are the user's to answer (§5).

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Response;
use crate::sip::client::Owner;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::Timer;
use crate::sip::header::Name;
use crate::sip::header::RAck;
use crate::sip::invite::Exchange;
use crate::sip::invite::OurInvite;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::server::Arrival;
use crate::time::Now;

/// The option tag.
pub(super) const TAG: &str = "100rel";

/// Answers that wait for the PRACK of the one before; what is told beyond them is not sent.
const MAX_WAITING: usize = 8;

/// Callees of one INVITE whose reliable answers are counted.
const MAX_BRANCHES: usize = 16;

/// What a caller has not acknowledged yet.
#[derive(Debug)]
pub(super) struct Reliable {
    required: bool,
    /// Of the last answer sent; 0 before the first.
    rseq: u32,
    unacked: Option<Unacked>,
    waiting: VecDeque<(u16, Extra, Option<Body>)>,
    /// The 2xx that waits for the PRACK (§3: not before it when SDP is under way).
    accepted: Option<(Extra, Body)>,
}

#[derive(Debug)]
struct Unacked {
    hop: Hop,
    bytes: Bytes,
    interval: Duration,
    since: Instant,
    has_body: bool,
}

impl Reliable {
    /// Whether the caller of an INVITE takes reliable answers.
    pub(super) fn of(request: &Request) -> Option<Box<Reliable>> {
        let says = |name| request.tokens(name).iter().any(|tag| tag.eq_ignore_ascii_case(TAG));
        let required = says(&Name::Require);
        (required || says(&Name::Supported)).then(|| {
            Box::new(Reliable { required, rseq: 0, unacked: None, waiting: VecDeque::new(), accepted: None })
        })
    }

    /// Whether an answer must go out reliably.
    pub(super) fn wants(&self, has_body: bool) -> bool {
        self.required || has_body
    }

    /// RSeq of the answer whose PRACK has not come.
    pub(super) fn unacked(&self) -> Option<u32> {
        self.unacked.as_ref().map(|_| self.rseq)
    }

    /// After the 2xx nothing provisional is sent (§3).
    pub(super) fn finish(&mut self) {
        self.waiting.clear();
    }

    /// Keeps a 2xx back while an answer with SDP is not acknowledged; gives it back when it may go at once.
    pub(super) fn hold(&mut self, extra: Extra, body: Body) -> Option<(Extra, Body)> {
        if self.unacked.as_ref().is_some_and(|unacked| unacked.has_body) {
            self.accepted = Some((extra, body));
            return None;
        }
        Some((extra, body))
    }
}

impl Endpoint {
    /// Whether the caller demands that provisional answers be acknowledged: to an INVITE without offer the first of
    /// them must then hold ours (RFC 3262 §5).
    pub fn requires_reliable(&self, dialog: DialogId) -> bool {
        let theirs = self.dialogs.get(&dialog).and_then(|standing| standing.theirs.as_ref());
        theirs.and_then(|theirs| theirs.reliable.as_ref()).is_some_and(|reliable| reliable.required)
    }

    /// Sends a provisional answer that is repeated until its PRACK, or queues it behind the one under way.
    pub(super) fn ring_reliably(
        &mut self,
        now: Now,
        id: DialogId,
        status: u16,
        mut extra: Extra,
        body: Option<Body>,
    ) {
        let first = 1 + self.rng.below(0x7fff_0000) as u32;
        let t1 = self.settings.t1;
        let Some(theirs) = self.dialogs.get_mut(&id).and_then(|dialog| dialog.theirs.as_mut()) else {
            return;
        };
        let server = theirs.server;
        let Some(reliable) = theirs.reliable.as_mut().filter(|reliable| reliable.accepted.is_none()) else {
            return;
        };
        if reliable.unacked.is_some() {
            if reliable.waiting.len() < MAX_WAITING {
                reliable.waiting.push_back((status, extra, body));
            }
            return;
        }
        reliable.rseq = if reliable.rseq == 0 { first } else { reliable.rseq.saturating_add(1) };
        let has_body = body.is_some();
        extra.push(("Require", TAG.to_owned()));
        extra.push(("RSeq", reliable.rseq.to_string()));
        if has_body {
            theirs.exchange = theirs.exchange.said();
        }
        self.answer(now, server, status, extra, body);
        let sent = self.servers.get(&server).and_then(|server| Some((server.hop, server.last.clone()?)));
        let Some((hop, bytes)) = sent else { return };
        let unacked = Unacked { hop, bytes, interval: t1, since: now.mono, has_body };
        let theirs = self.dialogs.get_mut(&id).and_then(|dialog| dialog.theirs.as_mut());
        if let Some(reliable) = theirs.and_then(|theirs| theirs.reliable.as_mut()) {
            reliable.unacked = Some(unacked);
        }
        self.timers.set(Timer::Reliable(id), now.mono + t1);
    }

    /// The answer once more, at doubling intervals (§3); after 64·T1 the call has failed.
    pub(super) fn on_reliable_resend(&mut self, now: Now, id: DialogId) {
        let limit = 64 * self.settings.t1;
        let Some(theirs) = self.dialogs.get_mut(&id).and_then(|dialog| dialog.theirs.as_mut()) else {
            return;
        };
        let server = theirs.server;
        let Some(unacked) = theirs.reliable.as_mut().and_then(|reliable| reliable.unacked.as_mut()) else {
            return;
        };
        let waited = now.mono.saturating_duration_since(unacked.since);
        if waited < limit {
            unacked.interval *= 2;
            let (hop, bytes) = (unacked.hop, unacked.bytes.clone());
            self.timers.set(Timer::Reliable(id), now.mono + unacked.interval.min(limit - waited));
            return self.transmit(hop, bytes);
        }
        // §3: a 5xx ends what nobody acknowledges.
        self.answer(now, server, 504, Extra::new(), None);
        self.remove_dialog(id);
        self.event(Event::Cancelled { dialog: id, reason: Some("no PRACK".to_owned()) });
    }

    /// PRACK (§3): of the answer under way, or of nothing.
    pub(super) fn on_prack(&mut self, now: Now, id: DialogId, arrival: Arrival) {
        let Some(rack) = arrival.request.headers.get(&Name::RAck).map(|text| RAck::parse(&text)) else {
            return self.answer_faulty(&arrival, 400, "Missing RAck", Vec::new());
        };
        let Ok(rack) = rack else { return self.answer_faulty(&arrival, 400, "Malformed RAck", Vec::new()) };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let has_body = !arrival.request.body.is_empty();
        let awaited = dialog
            .theirs
            .as_mut()
            .filter(|theirs| theirs.cseq == rack.cseq.number && rack.cseq.method == Method::Invite);
        let acked = awaited.and_then(|theirs| {
            let reliable = theirs.reliable.as_mut().filter(|reliable| reliable.rseq == rack.rseq)?;
            reliable.unacked.take()?;
            if has_body && theirs.exchange == Exchange::Ours {
                theirs.exchange = Exchange::Done;
            }
            Some(())
        });
        // §3: of an answer that the 2xx did not wait for it may come after the ACK.
        let late = Some((rack.cseq.number, rack.rseq)) == dialog.late_prack;
        if late {
            dialog.late_prack = None;
        }
        if acked.is_none() && !late {
            self.refuse("481");
            return self.answer_statelessly(&arrival, 481, Extra::new());
        }
        dialog.refresh_by_request(&arrival.request, arrival.hop);
        self.track(id);
        self.timers.clear(&Timer::Reliable(id));
        if has_body {
            self.tell_request(now, arrival, Some(id));
        } else {
            let server = self.open_server(now, arrival, Box::default(), Some(id));
            self.answer(now, server, 200, Extra::new(), None);
        }
        self.after_prack(now, id);
    }

    /// What had to wait for a PRACK.
    fn after_prack(&mut self, now: Now, id: DialogId) {
        let theirs = self.dialogs.get_mut(&id).and_then(|dialog| dialog.theirs.as_mut());
        let Some(reliable) = theirs.and_then(|theirs| theirs.reliable.as_mut()) else { return };
        if let Some((extra, body)) = reliable.accepted.take() {
            reliable.waiting.clear();
            return self.accept_now(now, id, extra, body);
        }
        if let Some((status, extra, body)) = reliable.waiting.pop_front() {
            self.ring_reliably(now, id, status, extra, body);
        }
    }

    /// Acknowledges a reliable provisional answer to our INVITE, whose dialog `id` now is (§4).
    pub(super) fn send_prack(&mut self, now: Now, id: DialogId, rseq: u32) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Some(cseq) = dialog.ours.as_ref().map(|ours| ours.cseq) else { return };
        dialog.local_seq = dialog.local_seq.saturating_add(1);
        let rack = format!("{rseq} {cseq} {}", Method::Invite);
        let request = dialog.request(Method::Prack, dialog.local_seq, vec![("RAck", rack)], &self.settings);
        let (hop, credentials) = (dialog.next_hop(), dialog.credentials.clone());
        self.send(now, request, hop, Owner::Nobody, credentials);
    }
}

/// RSeq of a provisional answer that wants a PRACK.
pub(super) fn rseq_of(response: &Response) -> Option<u32> {
    let reliable = response.tokens(&Name::Require).iter().any(|tag| tag.eq_ignore_ascii_case(TAG));
    if !reliable || response.status <= 100 {
        return None;
    }
    response.headers.get(&Name::RSeq)?.trim().parse().ok()
}

impl OurInvite {
    /// Whether a reliable answer of this callee is the next one (§4); repeats and those that run ahead are not.
    pub(super) fn takes(&mut self, tag: &str, rseq: u32) -> bool {
        let room = self.rseqs.len() < MAX_BRANCHES;
        match self.rseqs.iter_mut().find(|(known, _)| **known == *tag) {
            Some((_, last)) => {
                let next = last.checked_add(1) == Some(rseq);
                if next {
                    *last = rseq;
                }
                next
            }
            None => {
                if room {
                    self.rseqs.push((tag.into(), rseq));
                }
                room
            }
        }
    }
}
