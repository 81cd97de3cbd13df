//! UPDATE: the session and the target of a dialog that may still be early (RFC 3311).
//!
//! One without offer only refreshes, and is answered here; one with an offer is the user's. Two offers that cross are
//! told apart by who still waits for an answer (§5.2).

use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::TransactionId;
use crate::sip::endpoint::Endpoint;
use crate::sip::invite::Exchange;
use crate::sip::server::Arrival;
use crate::sip::session_timer;
use crate::time::Now;

/// Offers in UPDATEs.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// Ours, until its final answer.
    pub(super) ours: Option<TransactionId>,
    /// The last one of theirs that the user was told of.
    theirs: Option<TransactionId>,
}

impl Endpoint {
    /// What a new offer of theirs deserves when one in an UPDATE is not answered (§5.2).
    pub(super) fn update_in_the_way(&self, id: DialogId) -> Option<u16> {
        let updates = &self.dialogs.get(&id)?.updates;
        let open = |id| self.servers.get(&id).is_some_and(|server| server.request.is_some());
        match updates {
            Updates { ours: Some(_), .. } => Some(491),
            Updates { theirs: Some(theirs), .. } if open(*theirs) => Some(500),
            Updates { .. } => None,
        }
    }

    /// Whether an offer in an UPDATE of either side is not answered.
    pub(super) fn has_update(&self, id: DialogId) -> bool {
        self.update_in_the_way(id).is_some()
    }

    /// UPDATE in a dialog.
    pub(super) fn on_update(&mut self, now: Now, id: DialogId, arrival: Arrival) {
        if self.session_too_brief(&arrival.request) {
            let extra = vec![("Min-SE", session_timer::MIN_SE_S.to_string())];
            self.refuse("422");
            return self.answer_statelessly(&arrival, 422, extra);
        }
        let crossed = self.update_in_the_way(id);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let offers = !arrival.request.body.is_empty();
        let ours_open = dialog.ours.as_ref().is_some_and(|ours| !ours.settled);
        let exchange = dialog.theirs.as_ref().map(|theirs| theirs.exchange);
        let status = match exchange {
            _ if !offers => None,
            _ if ours_open => Some(491),
            Some(Exchange::Ours) => Some(491),
            Some(Exchange::Theirs | Exchange::Nobody) => Some(500),
            Some(Exchange::Done) | None => crossed,
        };
        if let Some(status) = status {
            let wait = self.rng.below(11).to_string();
            let extra = if status == 500 { vec![("Retry-After", wait)] } else { Extra::new() };
            self.refuse("offer in progress");
            // In a transaction: a copy of the request must not get another answer later.
            let server = self.open_server(now, arrival, Box::default(), Some(id));
            self.answer(now, server, status, extra, None);
            return;
        }
        dialog.refresh_by_request(&arrival.request, arrival.hop);
        self.track(id);
        if offers {
            let server = self.tell_request(now, arrival, Some(id));
            if let Some(dialog) = self.dialogs.get_mut(&id) {
                dialog.updates.theirs = Some(server);
            }
            return;
        }
        let server = self.open_server(now, arrival, Box::default(), Some(id));
        self.respond(now, server, 200, Extra::new(), None);
    }
}
