//! Server transactions, INVITE and other (RFC 3261 §17.2, RFC 6026 §7.1): absorbing repeats, repeating answers, and
//! the way answers take (§18.2.2, RFC 3581).
//!
//! Repeats of a 2xx to INVITE are `invite.rs`'s. Refusals that need no memory are answered without a transaction
//! (§8.2.7), CANCEL among them: its answer follows from the INVITE's state. Left out: `maddr`, and the 100 of RFC
//! 4320 §4.1 to slow requests other than INVITE.

use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::sip::Body;
use crate::sip::ConnectionId;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::TransactionId;
use crate::sip::Transport;
use crate::sip::dialog::answer_address;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::OnConnection;
use crate::sip::endpoint::T4;
use crate::sip::endpoint::Timer;
use crate::sip::endpoint::add;
use crate::sip::endpoint::add_body;
use crate::sip::header::Name;
use crate::sip::header::Via;
use crate::sip::key::MergeKey;
use crate::sip::key::ServerKey;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::message::Response;
use crate::time::Now;

/// Where a server transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not answered; never of an INVITE, which gets its 100 at once.
    Trying,
    /// Answered provisionally.
    Proceeding,
    /// Answered with a final response; of an INVITE, one above 2xx without ACK.
    Completed,
    /// The ACK came; repeats of it are absorbed.
    Confirmed,
    /// 2xx to INVITE was sent; repeats of the INVITE are absorbed (RFC 6026).
    Accepted,
}

/// One server transaction.
#[derive(Debug)]
pub(super) struct Server {
    key: ServerKey,
    merge: Option<MergeKey>,
    pub(super) method: Method,
    /// Where the request came from.
    pub(super) source: Hop,
    /// Where answers go.
    pub(super) hop: Hop,
    /// Where they go when the connection is gone.
    fallback: SocketAddr,
    pub(super) state: State,
    /// The last answer.
    pub(super) last: Option<Bytes>,
    /// Of timer G.
    interval: Duration,
    /// Until it is finally answered.
    pub(super) request: Option<Box<Request>>,
    /// Tag of our answers, if the request had none.
    pub(super) tag: Box<str>,
    pub(super) dialog: Option<DialogId>,
}

/// A request with all that is needed to answer it.
pub(super) struct Arrival {
    pub(super) request: Request,
    pub(super) key: ServerKey,
    /// Where it came from.
    pub(super) hop: Hop,
    /// Where its answers go.
    pub(super) back: Hop,
    pub(super) fallback: SocketAddr,
}

impl Arrival {
    /// Notes the source in the top Via (RFC 3261 §18.2.1, RFC 3581 §4). `None` without Via.
    pub(super) fn new(mut request: Request, hop: Hop) -> Option<Arrival> {
        let mut vias = request.vias();
        let via = vias.first_mut()?;
        let key = ServerKey::of(&request, via);
        let fallback = answer_address(hop.remote.ip(), via, hop.transport);
        let symmetric = via.rport().is_some();
        let mut back = hop;
        if hop.transport == Transport::Udp && !symmetric {
            back.remote = fallback;
        }
        note_source(via, &hop);
        request.headers.remove(&Name::Via);
        for via in vias.iter().rev() {
            request.headers.push_front(Name::Via, via.to_string());
        }
        Some(Arrival { request, key, hop, back, fallback })
    }
}

fn note_source(via: &mut Via, hop: &Hop) {
    let source = hop.remote.ip();
    if via.rport().is_some() {
        via.params.set("rport", Some(&hop.remote.port().to_string()));
        via.params.set("received", Some(&source.to_string()));
    } else if via.host.ip() != Some(source) {
        via.params.set("received", Some(&source.to_string()));
    }
}

impl Endpoint {
    /// Begins a transaction; an INVITE is answered with 100 at once (§17.2.1).
    pub(super) fn open_server(
        &mut self,
        now: Now,
        arrival: Arrival,
        tag: Box<str>,
        dialog: Option<DialogId>,
    ) -> TransactionId {
        let id = self.next_transaction();
        let Arrival { request, key, hop, back, fallback } = arrival;
        let merge = MergeKey::of(&request);
        if let Some(merge) = &merge {
            self.merges.insert(merge.clone(), id);
        }
        if let Some(connection) = back.connection {
            self.on_connection.insert((connection, OnConnection::Server(id)));
        }
        self.server_keys.insert(key.clone(), id);
        let invite = request.method == Method::Invite;
        let mut server = Server {
            key,
            merge,
            method: request.method.clone(),
            source: hop,
            hop: back,
            fallback,
            state: State::Trying,
            last: None,
            interval: self.settings.t1,
            request: None,
            tag,
            dialog,
        };
        if invite {
            let bytes = Response::reply(&request, 100, None).to_bytes();
            server.state = State::Proceeding;
            server.last = Some(bytes.clone());
            self.transmit(back, bytes);
        } else {
            // The user must not keep a transaction for ever: by then its client has given up (timer F).
            self.timers.set(Timer::Expire(id), now.mono + 64 * self.settings.t1);
        }
        server.request = Some(Box::new(request));
        self.servers.insert(id, server);
        id
    }

    /// Answers in a transaction; nothing happens after a final answer.
    pub(super) fn answer(
        &mut self,
        now: Now,
        id: TransactionId,
        status: u16,
        extra: Extra,
        body: Option<Body>,
    ) -> bool {
        let t1 = self.settings.t1;
        let Some(server) = self.servers.get_mut(&id) else { return false };
        let Some(request) = server.request.as_deref() else { return false };
        let tag = Some(&*server.tag).filter(|tag| !tag.is_empty() && status > 100);
        let mut response = Response::reply(request, status, tag);
        let method = server.method.clone();
        let headers = &mut response.headers;
        if let Some(allow) = allows(&method, status).then_some(self.settings.allow) {
            headers.push(Name::Allow, allow);
            headers.push(Name::Supported, self.settings.supported());
        }
        headers.push(Name::Server, self.settings.agent.clone());
        add(headers, extra);
        add_body(headers, &mut response.body, body);
        let bytes = response.to_bytes();
        server.last = Some(bytes.clone());
        let hop = server.hop;
        let unreliable = !hop.transport.reliable();
        let invite = method == Method::Invite;
        let mut done = false;
        if status < 200 {
            server.state = State::Proceeding;
        } else {
            server.request = None;
            let wait = match (invite, status < 300) {
                // Timer L.
                (true, true) => 64 * t1,
                // Timers G and H.
                (true, false) => {
                    if unreliable {
                        self.timers.set(Timer::Resend(id), now.mono + t1);
                    }
                    64 * t1
                }
                // Timer J.
                (false, _) => {
                    if unreliable {
                        64 * t1
                    } else {
                        Duration::ZERO
                    }
                }
            };
            server.state = if invite && status < 300 { State::Accepted } else { State::Completed };
            self.timers.set(Timer::Expire(id), now.mono + wait);
            done = wait.is_zero();
        }
        self.transmit(hop, bytes);
        if done {
            self.remove_server(id);
        }
        true
    }

    /// A request came again: the last answer goes out again (§17.2.1, §17.2.2).
    pub(super) fn on_repeat(&mut self, id: TransactionId) {
        let Some(server) = self.servers.get(&id) else { return };
        let hop = server.hop;
        match server.state {
            State::Proceeding | State::Completed => {
                if let Some(bytes) = server.last.clone() {
                    self.transmit(hop, bytes);
                }
            }
            State::Trying | State::Confirmed | State::Accepted => {}
        }
    }

    /// The ACK to a failure ends its repeats; false when the ACK is for a 2xx or for nothing.
    pub(super) fn on_failure_ack(&mut self, now: Now, arrival: &Arrival) -> bool {
        let Some(id) = self.server_keys.get(&arrival.key).copied() else { return false };
        let Some(server) = self.servers.get_mut(&id) else { return false };
        match server.state {
            State::Completed => {
                server.state = State::Confirmed;
                self.timers.clear(&Timer::Resend(id));
                // Timer I.
                if server.hop.transport.reliable() {
                    self.remove_server(id);
                } else {
                    self.timers.set(Timer::Expire(id), now.mono + T4);
                }
                true
            }
            State::Trying | State::Proceeding | State::Confirmed => true,
            // RFC 6026 §6: an RFC 2543 sender's ACK to a 2xx bears the key of its INVITE.
            State::Accepted => false,
        }
    }

    /// Timer G: the failure once more (§17.2.1).
    pub(super) fn on_server_resend(&mut self, now: Now, id: TransactionId) {
        let t2 = self.settings.t2();
        let Some(server) = self.servers.get_mut(&id) else { return };
        if server.state != State::Completed {
            return;
        }
        server.interval = (server.interval * 2).min(t2);
        self.timers.set(Timer::Resend(id), now.mono + server.interval);
        self.on_repeat(id);
    }

    /// Timers H, I, J and L; and a request that the user has not answered, which ends with 480 (RFC 4320 §4.2
    /// forbids 408).
    pub(super) fn on_server_expire(&mut self, now: Now, id: TransactionId) {
        let Some(server) = self.servers.get(&id) else { return };
        if matches!(server.state, State::Trying | State::Proceeding) {
            self.refuse("unanswered");
            self.answer(now, id, 480, Extra::new(), None);
        } else {
            self.remove_server(id);
        }
    }

    /// A connection is gone: answers take a new one (§18.2.2).
    pub(super) fn on_server_closed(&mut self, connection: ConnectionId, id: TransactionId) {
        self.on_connection.remove(&(connection, OnConnection::Server(id)));
        if let Some(server) = self.servers.get_mut(&id) {
            server.hop = Hop { connection: None, remote: server.fallback, ..server.hop };
        }
    }

    /// Forgets a transaction and all that points to it.
    pub(super) fn remove_server(&mut self, id: TransactionId) {
        let Some(server) = self.servers.remove(&id) else { return };
        self.server_keys.remove(&server.key);
        if let Some(merge) = server.merge
            && self.merges.get(&merge) == Some(&id)
        {
            self.merges.remove(&merge);
        }
        if let Some(connection) = server.hop.connection {
            self.on_connection.remove(&(connection, OnConnection::Server(id)));
        }
        self.timers.clear(&Timer::Resend(id));
        self.timers.clear(&Timer::Expire(id));
    }

    /// Answers a request that `check` found wanting.
    pub(super) fn answer_faulty(
        &mut self,
        arrival: &Arrival,
        status: u16,
        reason: &str,
        extra: Vec<(Name, String)>,
    ) {
        let mut response = self.stateless(arrival, status);
        response.reason = reason.into();
        for (name, value) in extra {
            response.headers.push(name, value);
        }
        self.transmit(arrival.back, response.to_bytes());
    }

    /// Answers without a transaction (§8.2.7); a repeated request gets the same answer again.
    pub(super) fn answer_statelessly(&mut self, arrival: &Arrival, status: u16, extra: Extra) {
        let mut response = self.stateless(arrival, status);
        add(&mut response.headers, extra);
        self.transmit(arrival.back, response.to_bytes());
    }

    fn stateless(&self, arrival: &Arrival, status: u16) -> Response {
        // §8.2.7: every repeat of the request gets the same tag.
        let mut hasher = DefaultHasher::new();
        (self.secret, &arrival.key).hash(&mut hasher);
        let tag = format!("{:016x}", hasher.finish());
        let mut response = Response::reply(&arrival.request, status, Some(&tag));
        response.headers.push(Name::Server, self.settings.agent.clone());
        response
    }
}

/// Whether an answer lists the methods we take (RFC 3261 §20.5, §11.2).
fn allows(method: &Method, status: u16) -> bool {
    status == 405 || ((200..300).contains(&status) && matches!(method, Method::Invite | Method::Options))
}
