//! Dialogs: tags, CSeq, route set, remote target, and where requests in a dialog go (RFC 3261 §12).
//!
//! Names in a Route or Contact are not looked up here: such requests go where the dialog came from. A peer that
//! writes an address into its Contact which cannot be its own, seen from here, is answered symmetrically (as RFC
//! 3581 does for responses). Strict routers are served (§12.2.1.1).

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::sip::ConnectionId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::endpoint::Credentials;
use crate::sip::endpoint::Settings;
use crate::sip::endpoint::add;
use crate::sip::header::CSeq;
use crate::sip::header::Contacts;
use crate::sip::header::Headers;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::sip::header::Via;
use crate::sip::invite::OurInvite;
use crate::sip::invite::TheirInvite;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::message::Response;
use crate::sip::session_timer::SessionTimer;
use crate::sip::target::Target;
use crate::sip::target::default_port;
use crate::sip::target::is_private;
use crate::sip::update::Updates;
use crate::sip::value;

/// Most early dialogs of one INVITE that are told apart; answers of further forks are still reported.
const MAX_EARLY: usize = 16;

/// Most Route entries of a dialog; a longer route set is cut, for it can only be an attack.
const MAX_ROUTES: usize = 32;

/// What a dialog was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// INVITE.
    Call,
    /// SUBSCRIBE.
    Subscription,
}

/// One dialog, or all early dialogs of one outgoing INVITE.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) kind: Kind,
    pub(super) call_id: Box<str>,
    /// We have made the Call-ID.
    pub(super) own_call_id: bool,
    /// Us, with our tag.
    pub(super) local: NameAddr,
    /// Them, with their tag once it is known; of several early dialogs, the one heard of last.
    pub(super) remote: NameAddr,
    pub(super) local_seq: u32,
    pub(super) remote_seq: Option<u32>,
    pub(super) route: Vec<NameAddr>,
    pub(super) target: Uri,
    /// Our Contact, without parameters.
    pub(super) contact: String,
    pub(super) hop: Hop,
    /// The connection under which the endpoint lists the dialog.
    pub(super) tracked: Option<ConnectionId>,
    /// Requests go to `hop` though `target` says otherwise: the peer cannot know its own address.
    pub(super) symmetric: bool,
    pub(super) credentials: Option<Credentials>,
    /// A 2xx was sent or received, or the dialog is a subscription.
    pub(super) confirmed: bool,
    /// The user has let go or was told the end: nothing in it is reported any more.
    pub(super) ended: bool,
    /// BYE to send as soon as the callee may (§15).
    pub(super) bye: Option<Extra>,
    /// Tags of early dialogs of our INVITE.
    pub(super) early: Vec<Box<str>>,
    /// Their INVITE that is not finally answered, or whose 2xx is not acknowledged.
    pub(super) theirs: Option<TheirInvite>,
    /// Our INVITE without final answer, or whose 2xx the user has not acknowledged.
    pub(super) ours: Option<OurInvite>,
    /// The running session timer (RFC 4028).
    pub(super) session: Option<SessionTimer>,
    /// The least interval that the other side has demanded; 0 when none was.
    pub(super) min_se: u32,
    /// The other side takes UPDATE.
    pub(super) peer_updates: bool,
    /// Offers in UPDATEs that are not answered.
    pub(super) updates: Updates,
    /// CSeq and RSeq of a provisional answer whose PRACK may still come: the 2xx did not wait for it (RFC 3262 §3).
    pub(super) late_prack: Option<(u32, u32)>,
}

impl Dialog {
    /// As callee or notifier (§12.1.1); `local_tag` is the tag of our answers. `None` without From, To, Call-ID or
    /// CSeq.
    pub(super) fn of_request(
        request: &Request,
        hop: Hop,
        local_tag: &str,
        settings: &Settings,
    ) -> Option<Dialog> {
        let mut local = request.to()?;
        local.params.set("tag", Some(local_tag));
        let remote = request.from()?;
        let user = request.uri.user().or(local.uri.user()).map(str::to_owned);
        let kind = if request.method == Method::Subscribe { Kind::Subscription } else { Kind::Call };
        let mut route = request.record_routes();
        route.truncate(MAX_ROUTES);
        let mut dialog = Dialog {
            kind,
            call_id: request.call_id()?.into(),
            own_call_id: false,
            local,
            target: remote.uri.clone(),
            remote,
            local_seq: 0,
            remote_seq: Some(request.cseq()?.number),
            route,
            contact: settings.contact(user.as_deref(), &hop),
            hop,
            tracked: None,
            symmetric: false,
            credentials: None,
            confirmed: false,
            ended: false,
            bye: None,
            early: Vec::new(),
            theirs: None,
            ours: None,
            session: None,
            min_se: 0,
            peer_updates: false,
            updates: Updates::default(),
            late_prack: None,
        };
        dialog.refresh_by_request(request, hop);
        Some(dialog)
    }

    /// What a 2xx to `request` founds, apart from the dialog that the user has; `None` without From, To or Call-ID.
    pub(super) fn of_fork(request: &Request, response: &Response, hop: Hop) -> Option<Dialog> {
        let again = request.to()?.tag().is_some();
        let mut dialog = Dialog {
            kind: Kind::Call,
            call_id: request.call_id()?.into(),
            own_call_id: true,
            local: request.from()?,
            remote: response.to()?,
            local_seq: request.cseq()?.number,
            remote_seq: None,
            route: request.routes(),
            target: request.uri.clone(),
            contact: String::new(),
            hop,
            tracked: None,
            symmetric: false,
            credentials: None,
            confirmed: true,
            ended: true,
            bye: None,
            early: Vec::new(),
            theirs: None,
            ours: None,
            session: None,
            min_se: 0,
            peer_updates: false,
            updates: Updates::default(),
            late_prack: None,
        };
        if again {
            dialog.refresh_by_response(response, hop);
        } else {
            dialog.take_response(response, hop);
        }
        Some(dialog)
    }

    /// Their tag; empty for a peer of RFC 2543 or none yet.
    pub(super) fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or("")
    }

    /// Whether a request with this Call-ID and From tag is of this dialog; our tag has found it.
    pub(super) fn owns(&self, request: &Request) -> bool {
        let from = request.from();
        let tag = from.as_ref().and_then(|from| from.tag()).unwrap_or("");
        let peer = match self.confirmed || self.ours.is_none() {
            true => self.remote_tag() == tag,
            false => self.early.iter().any(|early| &**early == tag),
        };
        peer && request.call_id().is_some_and(|call_id| *call_id == *self.call_id)
    }

    /// Takes a request's CSeq (§12.2.2); false when it is out of order.
    pub(super) fn in_order(&mut self, number: u32) -> bool {
        // Every early dialog of an outgoing INVITE counts on its own; that is not worth a table.
        if !self.confirmed && self.ours.is_some() {
            return true;
        }
        if self.remote_seq.is_some_and(|last| number < last) {
            return false;
        }
        self.remote_seq = Some(number);
        true
    }

    /// Notes where a request in the dialog came from, and its Contact if it refreshes the target (§12.2.2).
    pub(super) fn refresh_by_request(&mut self, request: &Request, hop: Hop) {
        let from = request.from();
        let other = from.as_ref().and_then(|from| from.tag()).unwrap_or("") != self.remote_tag();
        if other && !self.confirmed && self.ours.is_some() {
            // Of several early dialogs another one is kept here: its place is not this one's.
            return;
        }
        self.hop = hop;
        let refreshes = matches!(
            request.method,
            Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
        );
        if !refreshes {
            return;
        }
        self.note_allow(&request.headers);
        if let Some(contact) = first_contact(request.contacts()) {
            self.target = contact.uri;
        }
        let vias = request.vias();
        let neighbour = if vias.len() == 1 { vias.first() } else { None };
        self.symmetric = keeps_flow(&self.target) || behind_nat(&self.target, &hop, neighbour);
    }

    /// Takes tag, route set and target of a 1xx or 2xx to our INVITE (§12.1.2, §13.2.2.4).
    pub(super) fn take_response(&mut self, response: &Response, hop: Hop) {
        let Some(to) = response.to() else { return };
        if let Some(tag) = to.tag() {
            if !self.confirmed
                && self.early.len() < MAX_EARLY
                && !self.early.iter().any(|early| **early == *tag)
            {
                self.early.push(tag.into());
            }
            let mut route = response.record_routes();
            route.truncate(MAX_ROUTES);
            route.reverse();
            self.route = route;
            self.remote = to;
        }
        self.refresh_by_response(response, hop);
    }

    /// Notes whether the other side takes UPDATE, if it says what it takes.
    fn note_allow(&mut self, headers: &Headers) {
        let mut said = headers.all(&Name::Allow).peekable();
        if said.peek().is_some() {
            self.peer_updates = said.any(|values| {
                value::list(&values).any(|method| method.trim().eq_ignore_ascii_case(Method::Update.as_str()))
            });
        }
    }

    /// Notes the connection a response came by, and its Contact.
    pub(super) fn refresh_by_response(&mut self, response: &Response, hop: Hop) {
        if hop.transport == self.hop.transport && hop.connection.is_some() {
            self.hop = hop;
        }
        if let Some(contact) = first_contact(response.contacts()) {
            self.target = contact.uri;
        }
        self.symmetric = keeps_flow(&self.target) || behind_nat(&self.target, &self.hop, None);
        self.note_allow(&response.headers);
    }

    /// A request in the dialog without Via and with the CSeq number given; ACK takes that of its INVITE.
    pub(super) fn request(&self, method: Method, number: u32, extra: Extra, settings: &Settings) -> Request {
        let (uri, routes) = address(&self.target, &self.route);
        let mut request = Request::new(method.clone(), uri);
        let headers = &mut request.headers;
        headers.push(Name::MaxForwards, "70");
        for route in routes {
            headers.push(Name::Route, route.to_string());
        }
        headers.push(Name::From, self.local.to_string());
        headers.push(Name::To, self.remote.to_string());
        headers.push(Name::CallId, String::from(&*self.call_id));
        headers.push(Name::CSeq, CSeq { number, method: method.clone() }.to_string());
        if needs_contact(&method) {
            headers.push(Name::Contact, format!("<{}>", self.contact));
        }
        headers.push(Name::UserAgent, settings.agent.clone());
        if matches!(method, Method::Invite | Method::Update) {
            headers.push(Name::Allow, settings.allow);
            headers.push(Name::Supported, settings.supported());
        }
        add(headers, extra);
        request
    }

    /// Which way a request in the dialog goes.
    pub(super) fn next_hop(&self) -> Hop {
        let first = self.route.first().map(|route| &route.uri);
        if first.is_none() && self.symmetric {
            return self.hop;
        }
        next_hop(first.unwrap_or(&self.target), self.hop)
    }
}

/// Whether a request of this method tells our Contact (RFC 3261 §20 table 2, RFC 3311, 3515, 6665).
pub(super) fn needs_contact(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
}

/// The one address of a Contact that has no `*`.
fn first_contact<E>(contacts: Result<Contacts, E>) -> Option<NameAddr> {
    match contacts {
        Ok(Contacts::List(list)) => list.into_iter().next().filter(|contact| contact.uri.as_sip().is_some()),
        Ok(Contacts::Star) | Err(_) => None,
    }
}

/// Request-URI and Route headers (§12.2.1.1).
pub(super) fn address(target: &Uri, route: &[NameAddr]) -> (Uri, Vec<NameAddr>) {
    match route.split_first() {
        Some((strict, rest)) if !strict.uri.lr() => {
            let mut routes = rest.to_vec();
            routes.push(NameAddr::new(target.clone()));
            (strict.uri.clone(), routes)
        }
        _ => (target.clone(), route.to_vec()),
    }
}

/// The way to `uri`, given that `hop` is a way we have: that one if it leads there or the address of `uri` is not
/// known.
pub(super) fn next_hop(uri: &Uri, hop: Hop) -> Hop {
    let Some(wanted) = Target::of(uri, hop.transport).and_then(|target| target.hop(hop.local)) else {
        return hop;
    };
    let same_way = wanted.transport == hop.transport;
    // A stream is shared by all ports of the peer: its own is a chance one (RFC 5923).
    let reused = hop.connection.is_some() && wanted.remote.ip() == hop.remote.ip();
    if same_way && (wanted.remote == hop.remote || reused) {
        return hop;
    }
    // Nobody listens in a browser, and IPv4 does not reach IPv6.
    let browser = matches!(hop.transport, Transport::Ws | Transport::Wss);
    if browser || wanted.local.is_ipv4() != wanted.remote.is_ipv4() || wanted.remote.port() == 0 {
        return hop;
    }
    wanted
}

/// Whether requests to a Contact go along the flow that it came by: RFC 5626 §4.3 says so of `ob`; a GRUU (RFC 5627)
/// names no place at all but the registrar of its domain, which may be us.
fn keeps_flow(contact: &Uri) -> bool {
    contact.as_sip().is_some_and(|uri| uri.params.contains("ob") || uri.params.contains("gr"))
}

/// Whether a peer's Contact cannot be its address as seen from here. `neighbour` is the Via of a request that came
/// without proxies.
fn behind_nat(contact: &Uri, hop: &Hop, neighbour: Option<&Via>) -> bool {
    let Some(address) = Target::of(contact, hop.transport).and_then(|target| target.address()) else {
        return false;
    };
    if is_private(address.ip()) && !is_private(hop.remote.ip()) {
        return true;
    }
    let Some(via) = neighbour else { return false };
    let Some(sent_by) = via.host.ip() else { return false };
    // With rport the sender says that it hears where it speaks (RFC 3581 §3), so another source is a translated one.
    let translated = via.rport().is_some() && via.port.unwrap_or(5060) != hop.remote.port();
    sent_by != hop.remote.ip() || (hop.transport == Transport::Udp && translated)
}

/// Where answers go when the connection a request came by is gone, or when it came by datagram without rport
/// (RFC 3261 §18.2.2): its source address and the port of its Via. `maddr` is not served.
pub(super) fn answer_address(source: IpAddr, via: &Via, transport: Transport) -> SocketAddr {
    SocketAddr::new(source, via.port.filter(|port| *port != 0).unwrap_or(default_port(transport)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_first_route_or_the_target_and_keep_a_way_that_leads_there() {
        let here = Hop::to(Transport::Udp, "192.0.2.9:5060", None);
        let stream = Hop::to(Transport::Tcp, "192.0.2.9:41000", Some(7));
        let rows = [
            (here, "sip:192.0.2.9;lr", here),
            (here, "sip:192.0.2.9:5070", Hop::to(Transport::Udp, "192.0.2.9:5070", None)),
            (here, "sip:192.0.2.9;transport=tcp", Hop::to(Transport::Tcp, "192.0.2.9:5060", None)),
            // A name would have to be looked up.
            (here, "sip:proxy.example;lr", here),
            // A stream to the same machine is used again.
            (stream, "sip:192.0.2.9:5060;transport=tcp", stream),
            (stream, "sip:192.0.2.10;transport=tcp", Hop::to(Transport::Tcp, "192.0.2.10:5060", None)),
            // IPv6 cannot be reached from here.
            (here, "sip:[2001:db8::1]", here),
        ];
        for (from, uri, expect) in rows {
            assert_eq!(next_hop(&Uri::parse(uri).unwrap(), from), expect, "{uri}");
        }
    }

    #[test]
    fn a_contact_that_cannot_be_reached_is_told_from_one_that_can() {
        let rows = [
            // (Contact, source, Via, symmetric)
            ("sip:a@192.168.1.5", "203.0.113.1:1024", None, true),
            ("sip:a@203.0.113.1:5060", "203.0.113.1:5060", None, false),
            // A peer that gives the media gateway's own address.
            ("sip:a@198.51.100.1", "203.0.113.1:5060", Some("SIP/2.0/UDP 203.0.113.1"), false),
            // In one network nothing is translated.
            ("sip:a@192.168.1.5", "192.168.1.9:5060", None, false),
            // The port is translated; only rport says that the sender listens there.
            ("sip:a@203.0.113.1", "203.0.113.1:1024", Some("SIP/2.0/UDP 203.0.113.1;rport"), true),
            ("sip:a@203.0.113.1", "203.0.113.1:1024", Some("SIP/2.0/UDP 203.0.113.1"), false),
            ("sip:a@198.51.100.1", "203.0.113.1:5060", Some("SIP/2.0/UDP 198.51.100.1"), true),
        ];
        for (contact, source, via, expect) in rows {
            let via = via.map(|via| Via::parse(via).unwrap());
            let hop = Hop::to(Transport::Udp, source, None);
            assert_eq!(
                behind_nat(&Uri::parse(contact).unwrap(), &hop, via.as_ref()),
                expect,
                "{contact} {via:?}"
            );
        }
    }

    #[test]
    fn a_contact_that_names_a_flow_or_an_instance_is_reached_the_way_it_came() {
        let rows = [
            ("sip:a@192.0.2.1", false),
            ("sip:a@192.0.2.1;ob", true),
            ("sip:a@192.0.2.1;gr=urn:uuid:1", true),
            ("sip:tgruu.7@192.0.2.1;gr", true),
            ("tel:+4722000000", false),
        ];
        for (contact, expect) in rows {
            assert_eq!(keeps_flow(&Uri::parse(contact).unwrap()), expect, "{contact}");
        }
    }

    #[test]
    fn a_strict_router_gets_the_request_uri_and_the_target_goes_last() {
        let target = Uri::parse("sip:a@a.example").unwrap();
        let route = |text: &str| NameAddr::parse(text).unwrap();
        let (uri, routes) = address(&target, &[route("<sip:p1;lr>"), route("<sip:p2>")]);
        assert_eq!((uri.to_string(), routes.len()), ("sip:a@a.example".into(), 2));
        let (uri, routes) = address(&target, &[route("<sip:p1>"), route("<sip:p2;lr>")]);
        assert_eq!(uri.to_string(), "sip:p1");
        let routes: Vec<String> = routes.iter().map(NameAddr::to_string).collect();
        assert_eq!(routes, ["<sip:p2;lr>", "<sip:a@a.example>"]);
    }
}
