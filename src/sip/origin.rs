//! Where requests in a dialog may come from, and refusing a request before anything is made because of it.
//!
//! Tags name a dialog (RFC 3261 §12.2.2), but they are no secret to who has seen one message of it. So a request in a
//! dialog is expected from an address that the dialog knows, and a CANCEL, which can be neither challenged nor
//! repeated with credentials (§22.1), from where its INVITE came from (§9.2).

use std::net::IpAddr;

use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::check;
use crate::sip::check::Verdict;
use crate::sip::endpoint::Endpoint;
use crate::sip::header::NameAddr;
use crate::sip::key::ServerKey;
use crate::sip::message::Request;
use crate::sip::server::Arrival;
use crate::sip::target::Target;

impl Endpoint {
    /// The dialog that a request names by its tags and Call-ID.
    pub fn dialog_named_by(&self, request: &Request) -> Option<DialogId> {
        request.to()?.tag()?;
        self.dialog_of(request)
    }

    /// Whether a dialog's peer is known to be at this address: its messages came from there, or go there.
    pub fn is_at(&self, dialog: DialogId, ip: IpAddr) -> bool {
        let Some(standing) = self.dialogs.get(&dialog) else { return false };
        let ip = ip.to_canonical();
        let transport = standing.hop.transport;
        let named = standing.route.iter().map(|route: &NameAddr| &route.uri).chain([&standing.target]);
        let mut addresses = named.filter_map(|uri| Target::of(uri, transport)?.address());
        standing.hop.remote.ip().to_canonical() == ip
            || addresses.any(|address| address.ip().to_canonical() == ip)
    }

    /// Where the INVITE came from that a CANCEL would end; `None` when there is none.
    pub fn source_of_cancelled(&self, cancel: &Request) -> Option<IpAddr> {
        let via = cancel.via()?;
        let server = self.server_keys.get(&ServerKey::of(cancel, &via))?;
        Some(self.servers.get(server)?.source.remote.ip().to_canonical())
    }

    /// Answers a request without a transaction (§8.2.7); an ACK, or what deserves no answer, is dropped.
    pub fn turn_away(&mut self, request: Request, hop: Hop, status: u16, extra: Extra) {
        let unanswerable = matches!(check::request(&request), Verdict::Drop(_));
        let ack = request.method == crate::sip::Method::Ack;
        let Some(arrival) = Arrival::new(request, hop).filter(|_| !unanswerable && !ack) else { return };
        self.answer_statelessly(&arrival, status, extra);
    }
}
