//! Sessions that change while they stand: re-INVITE and UPDATE with an offer, PRACK with SDP, and the refresh of a
//! session timer (RFC 3261 §14, RFC 3311, RFC 3262 §5, RFC 4028, RFC 3264 §8).

use crate::model::cdr::CallResult;
use crate::model::id::LegId;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Request;
use crate::sip::Response;
use crate::sip::TransactionId;
use crate::switch::Switch;
use crate::switch::bridge::Ending;
use crate::switch::negotiate::Refusal;
use crate::switch::on_sip::offer_of;
use crate::time::Now;

impl Switch {
    /// A re-INVITE: hold, resume, another address, or a wish for our offer.
    pub(crate) fn on_reoffer(&mut self, now: Now, dialog: DialogId, request: &Request) {
        let Some(leg) = self.by_dialog.get(&dialog).copied() else {
            self.endpoint.reject(now, dialog, 481, Vec::new());
            return;
        };
        match self.new_session(leg, request) {
            Ok(body) => {
                self.endpoint.accept(now, dialog, Vec::new(), body);
                self.session_changed(leg);
            }
            Err((status, extra)) => self.endpoint.reject(now, dialog, status, extra),
        }
    }

    /// UPDATE with an offer, in an early dialog or a standing one.
    pub(crate) fn on_update(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: DialogId,
        request: &Request,
    ) {
        let Some(leg) = self.by_dialog.get(&dialog).copied() else {
            self.endpoint.respond(now, transaction, 481, Vec::new(), None);
            return;
        };
        match self.new_session(leg, request) {
            Ok(body) => {
                self.endpoint.respond(now, transaction, 200, Vec::new(), Some(body));
                self.session_changed(leg);
            }
            Err((status, extra)) => self.endpoint.respond(now, transaction, status, extra, None),
        }
    }

    /// PRACK with SDP: the answer to an offer that went out in a 18x, else a new offer.
    pub(crate) fn on_prack(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: DialogId,
        request: &Request,
    ) {
        let leg = self.by_dialog.get(&dialog).copied();
        let Some(of) = leg.and_then(|leg| self.legs.get_mut(&leg)) else {
            self.endpoint.respond(now, transaction, 481, Vec::new(), None);
            return;
        };
        let call = of.call;
        if !std::mem::take(&mut of.awaiting_answer) {
            return self.on_update(now, transaction, dialog, request);
        }
        let taken = leg.map(|leg| self.take_answer(leg, &request.body));
        match taken {
            Some(Err(refusal)) => {
                let warning = vec![("Warning", refusal.header())];
                self.endpoint.respond(now, transaction, 488, warning, None);
                self.end_call(now, call, Ending::refused(488, CallResult::Failed).warning(&refusal));
            }
            Some(Ok(())) | None => self.endpoint.respond(now, transaction, 200, Vec::new(), None),
        }
    }

    /// A session timer wants a re-INVITE: the session is offered as it stands.
    pub(crate) fn refresh_session(&mut self, now: Now, dialog: DialogId) {
        let Some(id) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(leg) = self.legs.get(&id) else { return };
        let before = (leg.said.clone(), leg.local.clone());
        // RFC 4028 §7.4: what was said last, with the same origin; but an offer for DTLS leaves the parts to the other
        // side (RFC 5763 §5).
        let dtls = leg.local.as_ref().is_some_and(|local| local.secrecy.offer_dtls().is_some());
        let body = match leg.said.clone().filter(|_| !dtls) {
            Some(bytes) => Some(Body { content_type: "application/sdp", bytes }),
            None => self.make_offer(id),
        };
        if self.endpoint.reinvite(now, dialog, body).is_err()
            && let Some(leg) = self.legs.get_mut(&id)
        {
            // In the way of another INVITE it is asked for again: nothing went out.
            (leg.said, leg.local) = before;
        }
    }

    /// The answer to our re-INVITE.
    pub(crate) fn on_reanswered(&mut self, now: Now, dialog: DialogId, response: &Response) {
        self.endpoint.ack(now, dialog, None);
        let Some(leg) = self.by_dialog.get(&dialog).copied() else { return };
        if self.take_answer(leg, &response.body).is_ok() {
            self.session_changed(leg);
        }
    }

    /// Our answer to a request that changes a session, or our offer when it has none.
    fn new_session(&mut self, leg: LegId, request: &Request) -> Result<Body, (u16, Extra)> {
        let offer = offer_of(request)?;
        let refused = |refusal: Refusal| (488, vec![("Warning", refusal.header())]);
        let Some(of) = self.legs.get_mut(&leg) else { return Err((481, Vec::new())) };
        let codec = of.codec();
        match offer {
            Some(offer) => {
                of.offer = Some(offer);
                self.answer_offer(leg, codec).map_err(refused)
            }
            None => {
                of.awaiting_answer = true;
                self.make_offer(leg).ok_or_else(|| refused(Refusal::no_media()))
            }
        }
    }

    fn session_changed(&mut self, leg: LegId) {
        if let Some(call) = self.legs.get(&leg).map(|of| of.call) {
            self.refresh_bridge(call);
        }
    }
}
