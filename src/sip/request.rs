//! Requests other than INVITE, in a dialog or out of any: ours, and the answers to theirs (RFC 3261 §8, §12.2).

use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::TransactionId;
use crate::sip::Uri;
use crate::sip::client::Owner;
use crate::sip::dialog::Dialog;
use crate::sip::dialog::Kind;
use crate::sip::dialog::address;
use crate::sip::dialog::needs_contact;
use crate::sip::endpoint::Credentials;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::add;
use crate::sip::endpoint::add_body;
use crate::sip::header::CSeq;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::server::Arrival;
use crate::time::Now;

/// A request outside of any dialog, other than INVITE.
#[derive(Clone, Debug)]
pub struct OutOfDialog {
    /// Method.
    pub method: Method,
    /// Request-URI.
    pub uri: Uri,
    /// Which way.
    pub hop: Hop,
    /// Route headers, next hop first.
    pub route: Vec<NameAddr>,
    /// From; a tag is added if it has none.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// Call-ID; one is made if `None`.
    pub call_id: Option<String>,
    /// CSeq number; a random one if `None`.
    pub cseq: Option<u32>,
    /// Further headers.
    pub extra: Extra,
    /// Body.
    pub body: Option<Body>,
    /// For 401 and 407.
    pub credentials: Option<Credentials>,
    /// User part of our Contact; no Contact if `None`.
    pub contact_user: Option<String>,
}

impl Endpoint {
    /// Sends a request outside of any dialog; its end comes as `Event::Response`.
    pub fn request(&mut self, now: Now, ask: OutOfDialog) -> TransactionId {
        let OutOfDialog { method, hop, mut from, .. } = ask;
        if from.tag().is_none() {
            from.params.set("tag", Some(&self.rng.token()));
        }
        let call_id = ask.call_id.unwrap_or_else(|| self.rng.token());
        let number = ask.cseq.unwrap_or_else(|| 1 + self.rng.below(10_000) as u32);
        let (uri, routes) = address(&ask.uri, &ask.route);
        let mut request = Request::new(method.clone(), uri);
        let headers = &mut request.headers;
        headers.push(Name::MaxForwards, "70");
        for route in routes {
            headers.push(Name::Route, route.to_string());
        }
        headers.push(Name::From, from.to_string());
        headers.push(Name::To, ask.to.to_string());
        headers.push(Name::CallId, call_id);
        headers.push(Name::CSeq, CSeq { number, method }.to_string());
        if let Some(user) = ask.contact_user {
            headers.push(Name::Contact, format!("<{}>", self.settings.contact(Some(&user), &hop)));
        }
        headers.push(Name::UserAgent, self.settings.agent.clone());
        add(headers, ask.extra);
        add_body(headers, &mut request.body, ask.body);
        let id = self.next_transaction();
        self.send(now, request, hop, Owner::User(id, None), ask.credentials);
        self.check_invariants();
        id
    }

    /// Sends a request other than INVITE and BYE in a dialog; its end comes as `Event::Response`. `None` when the
    /// dialog is gone or the other side's tag is not known.
    pub fn request_in(
        &mut self,
        now: Now,
        dialog: DialogId,
        method: Method,
        extra: Extra,
        body: Option<Body>,
    ) -> Option<TransactionId> {
        let standing = self.dialogs.get_mut(&dialog).filter(|standing| !standing.ended)?;
        if !standing.confirmed && standing.remote.tag().is_none() {
            return None;
        }
        standing.local_seq = standing.local_seq.saturating_add(1);
        let offers = method == Method::Update && body.is_some();
        let mut request = standing.request(method, standing.local_seq, extra, &self.settings);
        add_body(&mut request.headers, &mut request.body, body);
        let (hop, credentials) = (standing.next_hop(), standing.credentials.clone());
        let id = self.next_transaction();
        if let Some(standing) = self.dialogs.get_mut(&dialog).filter(|_| offers) {
            standing.updates.ours = Some(id);
        }
        self.send(now, request, hop, Owner::User(id, Some(dialog)), credentials);
        self.check_invariants();
        Some(id)
    }

    /// Answers a request that came as `Event::Request`.
    pub fn respond(
        &mut self,
        now: Now,
        transaction: TransactionId,
        status: u16,
        mut extra: Extra,
        body: Option<Body>,
    ) {
        let Some(server) = self.servers.get(&transaction) else { return };
        let (dialog, updates) = (server.dialog, server.method == Method::Update);
        // §12.1.1, RFC 3311 §5.2: a 2xx to a request that refreshes the target bears our Contact.
        let founded = server.dialog.and_then(|dialog| self.dialogs.get(&dialog));
        let named = extra.iter().any(|(name, _)| name.eq_ignore_ascii_case("Contact"));
        if let Some(dialog) = founded.filter(|_| !named && (200..300).contains(&status))
            && needs_contact(&server.method)
        {
            extra.insert(0, ("Contact", format!("<{}>", dialog.contact)));
        }
        // RFC 4028 §9: a session may be refreshed by UPDATE, once it stands.
        if let Some(id) = dialog.filter(|_| updates && (200..300).contains(&status)) {
            let request = self.servers.get(&transaction).and_then(|server| server.request.clone());
            let stands = self.dialogs.get(&id).is_some_and(|dialog| dialog.confirmed);
            if let Some(request) = request.filter(|_| stands) {
                extra.extend(self.session_grant(now, id, &request));
            }
        }
        self.answer(now, transaction, status, extra, body);
        self.check_invariants();
    }

    /// Accepts a SUBSCRIBE outside of any dialog with 200 and founds a dialog for its NOTIFYs (RFC 6665 §4.2.1);
    /// `None` when the transaction is over or no such SUBSCRIBE. End it with [`Endpoint::forget`].
    pub fn subscribe_accept(
        &mut self,
        now: Now,
        transaction: TransactionId,
        extra: Extra,
    ) -> Option<DialogId> {
        let server = self.servers.get(&transaction).filter(|server| server.dialog.is_none())?;
        let request = server.request.as_deref().filter(|request| request.method == Method::Subscribe)?;
        let tag = server.tag.clone();
        let mut dialog = Dialog::of_request(request, server.source, &tag, &self.settings)?;
        dialog.confirmed = true;
        let id = self.next_dialog();
        if let Some(server) = self.servers.get_mut(&transaction) {
            server.dialog = Some(id);
        }
        self.insert_dialog(id, tag, dialog);
        self.respond(now, transaction, 200, extra, None);
        Some(id)
    }

    /// Forgets a subscription's dialog; requests in it are answered with 481 from now on.
    pub fn forget(&mut self, dialog: DialogId) {
        if self.dialogs.get(&dialog).is_some_and(|standing| standing.kind == Kind::Subscription) {
            self.remove_dialog(dialog);
        }
        self.check_invariants();
    }

    pub(super) fn tell_request(
        &mut self,
        now: Now,
        arrival: Arrival,
        dialog: Option<DialogId>,
    ) -> TransactionId {
        let tag = if dialog.is_none() { self.rng.token() } else { String::new() };
        let (request, hop) = (arrival.request.clone(), arrival.hop);
        let transaction = self.open_server(now, arrival, tag.into(), dialog);
        self.event(Event::Request { transaction, dialog, request, hop });
        transaction
    }
}
