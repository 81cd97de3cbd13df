//! Calls that come: answering an INVITE provisionally, with 2xx until ACK (RFC 3261 §13.3) or with a failure; CANCEL
//! (§9.2) and re-INVITE (§14.2). `invite.rs` has the other side and what both share.

use std::time::Duration;

use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Extra;
use crate::sip::TransactionId;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::Timer;
use crate::sip::header::Name;
use crate::sip::invite::Exchange;
use crate::sip::invite::TheirInvite;
use crate::sip::message::Response;
use crate::sip::reliable::Reliable;
use crate::sip::server;
use crate::sip::server::Arrival;
use crate::sip::session_timer;
use crate::time::Now;

/// How often a provisional answer is repeated, lest proxies give up (§13.3.1.1).
const PROVISIONAL_EVERY: Duration = Duration::from_secs(60);

impl Endpoint {
    /// Sends a provisional answer (101–199) to a call; it is repeated every minute.
    pub fn ring(&mut self, now: Now, dialog: DialogId, status: u16, extra: Extra, body: Option<Body>) {
        debug_assert!((101..200).contains(&status), "{status} is not provisional");
        let Some((server, contact)) = self.unanswered(dialog) else { return };
        let extra = with_contact(contact, extra);
        let reliable = self.dialogs.get(&dialog).and_then(|dialog| dialog.theirs.as_ref()?.reliable.as_ref());
        if reliable.is_some_and(|reliable| reliable.wants(body.is_some())) {
            self.ring_reliably(now, dialog, status, extra, body);
        } else {
            self.answer(now, server, status, extra, body);
        }
        self.timers.set(Timer::Provisional(dialog), now.mono + PROVISIONAL_EVERY);
        self.check_invariants();
    }

    /// Accepts a call or re-INVITE with 200, repeated until its ACK on every transport (§13.3.1.4). It waits while
    /// SDP of ours is not acknowledged (RFC 3262 §3), and leaves out a body that was said reliably before.
    pub fn accept(&mut self, now: Now, dialog: DialogId, extra: Extra, body: Body) {
        let Some(theirs) = self.dialogs.get_mut(&dialog).and_then(|dialog| dialog.theirs.as_mut()) else {
            return;
        };
        let (extra, body) = match theirs.reliable.as_mut() {
            Some(reliable) => match reliable.hold(extra, body) {
                Some(free) => free,
                None => return,
            },
            None => (extra, body),
        };
        self.accept_now(now, dialog, extra, body);
    }

    pub(super) fn accept_now(&mut self, now: Now, dialog: DialogId, mut extra: Extra, body: Body) {
        let Some((server, contact)) = self.unanswered(dialog) else { return };
        self.timers.clear(&Timer::Reliable(dialog));
        let request = self.servers.get(&server).and_then(|server| server.request.clone());
        if let Some(request) = request {
            extra.extend(self.session_grant(now, dialog, &request));
        }
        let theirs = self.dialogs.get_mut(&dialog).and_then(|dialog| dialog.theirs.as_mut());
        let body = theirs.and_then(|theirs| {
            let said = theirs.exchange == Exchange::Done;
            theirs.exchange = theirs.exchange.said();
            if let Some(reliable) = theirs.reliable.as_mut() {
                reliable.finish();
            }
            (!said).then_some(body)
        });
        self.answer(now, server, 200, with_contact(contact, extra), body);
        let t1 = self.settings.t1;
        if let Some(standing) = self.dialogs.get_mut(&dialog) {
            standing.confirmed = true;
            if let Some(theirs) = &mut standing.theirs {
                theirs.repeat = Some(t1);
            }
        }
        self.timers.clear(&Timer::Provisional(dialog));
        self.timers.set(Timer::Accept(dialog), now.mono + t1);
        self.timers.set(Timer::NoAck(dialog), now.mono + 64 * t1);
        self.check_invariants();
    }

    /// Refuses a call, which ends the dialog, or a re-INVITE, which does not.
    pub fn reject(&mut self, now: Now, dialog: DialogId, status: u16, extra: Extra) {
        debug_assert!(status >= 300, "{status} does not reject");
        let Some((server, _)) = self.unanswered(dialog) else { return };
        self.answer(now, server, status, extra, None);
        self.timers.clear(&Timer::Provisional(dialog));
        self.timers.clear(&Timer::Reliable(dialog));
        if let Some(standing) = self.dialogs.get_mut(&dialog) {
            standing.theirs = None;
            if !standing.confirmed {
                self.remove_dialog(dialog);
            }
        }
        self.check_invariants();
    }

    /// Their INVITE that awaits the user's answer, and our Contact.
    fn unanswered(&self, dialog: DialogId) -> Option<(TransactionId, String)> {
        let standing = self.dialogs.get(&dialog).filter(|standing| !standing.ended)?;
        let theirs = standing.theirs.as_ref().filter(|theirs| theirs.repeat.is_none())?;
        Some((theirs.server, standing.contact.clone()))
    }

    /// A new call.
    pub(super) fn on_call(&mut self, now: Now, arrival: Arrival) {
        if self.session_too_brief(&arrival.request) {
            self.refuse("422");
            return self.answer_statelessly(&arrival, 422, too_brief());
        }
        let tag = self.rng.token();
        let hop = arrival.hop;
        let request = arrival.request.clone();
        let Some(mut dialog) = Dialog::of_request(&request, hop, &tag, &self.settings) else {
            return self.answer_statelessly(&arrival, 400, Extra::new());
        };
        let id = self.next_dialog();
        let server = self.open_server(now, arrival, tag.as_str().into(), Some(id));
        let cseq = dialog.remote_seq.unwrap_or(0);
        dialog.theirs = Some(TheirInvite {
            server,
            cseq,
            initial: true,
            repeat: None,
            exchange: Exchange::of(&request),
            reliable: Reliable::of(&request),
        });
        self.insert_dialog(id, tag.into(), dialog);
        self.event(Event::Invite { dialog: id, request, hop });
    }

    /// A re-INVITE (§14.2).
    pub(super) fn on_reinvite(&mut self, now: Now, id: DialogId, arrival: Arrival) {
        if self.session_too_brief(&arrival.request) {
            self.refuse("422");
            return self.answer_statelessly(&arrival, 422, too_brief());
        }
        let crossed = self.update_in_the_way(id);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let status = match (&dialog.ours, &dialog.theirs) {
            (None, None) => crossed,
            (None, Some(theirs)) if theirs.repeat.is_none() => Some(500),
            // Ours is in progress, or our 2xx to the one before is not acknowledged.
            (Some(_), _) | (None, Some(_)) => Some(491),
        };
        if status.is_none() {
            dialog.refresh_by_request(&arrival.request, arrival.hop);
        }
        let request = arrival.request.clone();
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        let tag = dialog.local.tag().unwrap_or_default().into();
        let server = self.open_server(now, arrival, tag, Some(id));
        if let Some(status) = status {
            // In a transaction: a copy of the request must not get another answer later.
            let wait = self.rng.below(11).to_string();
            let extra = if status == 500 { vec![("Retry-After", wait)] } else { Extra::new() };
            self.refuse("INVITE in progress");
            self.answer(now, server, status, extra, None);
            return;
        }
        self.track(id);
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            // A re-INVITE is answered at once: nothing provisional need be acknowledged.
            dialog.theirs = Some(TheirInvite {
                server,
                cseq,
                initial: false,
                repeat: None,
                exchange: Exchange::of(&request),
                reliable: None,
            });
        }
        self.event(Event::Reoffer { dialog: id, request });
    }

    /// CANCEL (§9.2).
    pub(super) fn on_cancel(&mut self, now: Now, arrival: Arrival) {
        let found = self.server_keys.get(&arrival.key).copied();
        let Some((id, server)) = found.and_then(|id| Some((id, self.servers.get(&id)?))) else {
            self.refuse("CANCEL without transaction");
            return self.answer_statelessly(&arrival, 481, Extra::new());
        };
        let (tag, dialog) = (server.tag.clone(), server.dialog);
        let pending = server.state == server::State::Proceeding;
        let response = Response::reply(&arrival.request, 200, Some(&tag));
        self.transmit(arrival.back, response.to_bytes());
        let Some(dialog) = dialog.filter(|_| pending) else { return };
        self.answer(now, id, 487, Extra::new(), None);
        let Some(standing) = self.dialogs.get_mut(&dialog) else { return };
        standing.theirs = None;
        if !standing.confirmed {
            self.remove_dialog(dialog);
            let reason = arrival.request.headers.get(&Name::Reason).map(|reason| reason.into_owned());
            self.event(Event::Cancelled { dialog, reason });
        }
    }

    /// ACK to a 2xx (§13.3.1.4); to a failure it is the transaction's.
    pub(super) fn on_ack(&mut self, now: Now, arrival: Arrival) {
        if self.on_failure_ack(now, &arrival) {
            return;
        }
        let Some(id) = self.dialog_of(&arrival.request) else { return self.refuse("ACK without dialog") };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let number = arrival.request.cseq().map(|cseq| cseq.number);
        let awaited = |theirs: &mut TheirInvite| theirs.repeat.is_some() && Some(theirs.cseq) == number;
        let Some(theirs) = dialog.theirs.take_if(awaited) else { return };
        let unacked = theirs.reliable.and_then(|reliable| reliable.unacked());
        dialog.late_prack = unacked.map(|rseq| (theirs.cseq, rseq)).or(dialog.late_prack);
        self.timers.clear(&Timer::Accept(id));
        self.timers.clear(&Timer::NoAck(id));
        match (dialog.ended, dialog.bye.take()) {
            (true, Some(extra)) => self.send_bye(now, id, extra),
            (true, None) => {}
            (false, _) => {
                let body = Some(arrival.request.body).filter(|body| !body.is_empty());
                self.event(Event::Acked { dialog: id, body });
            }
        }
    }

    /// The 2xx once more (§13.3.1.4).
    pub(super) fn on_accept_resend(&mut self, now: Now, id: DialogId) {
        let t2 = self.settings.t2();
        let Some(theirs) = self.dialogs.get_mut(&id).and_then(|dialog| dialog.theirs.as_mut()) else {
            return;
        };
        let Some(repeat) = &mut theirs.repeat else { return };
        *repeat = (*repeat * 2).min(t2);
        self.timers.set(Timer::Accept(id), now.mono + *repeat);
        let server = self.servers.get(&theirs.server);
        if let Some((hop, bytes)) = server.and_then(|server| Some((server.hop, server.last.clone()?))) {
            self.transmit(hop, bytes);
        }
    }

    /// No ACK within 64·T1 (§13.3.1.4, §14.2).
    pub(super) fn on_no_ack(&mut self, now: Now, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let (ended, extra) = (dialog.ended, dialog.bye.take().unwrap_or_default());
        if !ended {
            self.event(Event::NotAcked { dialog: id });
        }
        self.send_bye(now, id, extra);
    }

    /// The provisional answer once more (§13.3.1.1).
    pub(super) fn on_provisional(&mut self, now: Now, id: DialogId) {
        let Some((server, _)) = self.unanswered(id) else { return };
        self.timers.set(Timer::Provisional(id), now.mono + PROVISIONAL_EVERY);
        self.on_repeat(server);
    }
}

/// RFC 4028 §9: what a 422 demands.
fn too_brief() -> Extra {
    vec![("Min-SE", session_timer::MIN_SE_S.to_string())]
}

fn with_contact(contact: String, extra: Extra) -> Extra {
    let mut all = vec![("Contact", format!("<{contact}>"))];
    all.extend(extra);
    all
}
