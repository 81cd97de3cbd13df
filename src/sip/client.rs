//! Client transactions, INVITE and other (RFC 3261 §17.1, RFC 6026 §7.2): repeating requests, matching responses,
//! acknowledging failures, answering digest challenges once.
//!
//! What a response means is said in `invite.rs` and `endpoint.rs`. Left out: RFC 4320's advice to proxies.

use std::time::Duration;

use bytes::Bytes;

use crate::sip::ConnectionId;
use crate::sip::Hop;
use crate::sip::Output;
use crate::sip::TransactionId;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::sip::digest;
use crate::sip::endpoint::Credentials;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::OnConnection;
use crate::sip::endpoint::T4;
use crate::sip::endpoint::Timer;
use crate::sip::header::CSeq;
use crate::sip::header::Name;
use crate::sip::header::Via;
use crate::sip::key::ClientKey;
use crate::sip::key::MAGIC_COOKIE;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::message::Response;
use crate::sip::uri::Host;
use crate::sip::value::Params;
use crate::sip::value::list;
use crate::time::Now;

/// Where a client transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing heard; `Calling` of an INVITE.
    Trying,
    /// A provisional response was heard.
    Proceeding,
    /// A final response was heard; repeats of it are absorbed (and acknowledged).
    Completed,
    /// A 2xx to INVITE was heard; more may come (RFC 6026).
    Accepted,
}

/// Whom the end of a client transaction concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: CANCEL, and BYE to a fork that was not wanted.
    Nobody,
    /// A call or re-INVITE.
    Invite(crate::sip::DialogId),
    /// The BYE of a dialog that the user has let go.
    Bye(crate::sip::DialogId),
    /// A refresh of the session by UPDATE.
    Refresh(crate::sip::DialogId),
    /// The user, who knows the request by this name.
    User(TransactionId, Option<crate::sip::DialogId>),
}

/// A callee that answered our INVITE with 2xx.
#[derive(Debug)]
pub(super) struct Fork {
    /// Its To tag.
    pub(super) tag: Box<str>,
    /// The ACK that was sent, for repeats of its 2xx.
    pub(super) ack: Option<Transmit>,
}

/// One client transaction.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) key: ClientKey,
    sent_by: (Host, Option<u16>),
    pub(super) hop: Hop,
    /// The datagram way of a request that was too long for it (RFC 3261 §18.1.1).
    fallback: Option<Hop>,
    pub(super) state: State,
    pub(super) owner: Owner,
    /// As sent: for repeats, and the connection it is sent along.
    bytes: Bytes,
    /// Of timer A or E.
    interval: Duration,
    /// As sent, where ACK, CANCEL or a second try with credentials may need it.
    pub(super) request: Option<Box<Request>>,
    pub(super) credentials: Option<Credentials>,
    /// Our ACK to a failure.
    ack: Option<Bytes>,
    /// Who has accepted.
    pub(super) forks: Vec<Fork>,
}

impl Client {
    fn is_invite(&self) -> bool {
        self.key.method == Method::Invite
    }
}

impl Endpoint {
    /// Sends `request`, which has no Via, in a transaction of its own.
    pub(super) fn send(
        &mut self,
        now: Now,
        mut request: Request,
        hop: Hop,
        owner: Owner,
        credentials: Option<Credentials>,
    ) -> TransactionId {
        let branch = self.push_via(&mut request, &hop);
        if hop.transport == Transport::Udp && request.to_bytes().len() > self.settings.udp_max {
            // §18.1.1: near the MTU a datagram may be lost as a whole for ever; the Via names the stream.
            let stream = Hop { transport: Transport::Tcp, connection: None, ..hop };
            request.headers.remove(&Name::Via);
            let branch = self.push_via(&mut request, &stream);
            let id = self.launch(now, request.clone(), branch, stream, owner, credentials);
            if let Some(client) = self.clients.get_mut(&id) {
                client.fallback = Some(hop);
                client.request = Some(Box::new(request));
            }
            return id;
        }
        self.launch(now, request, branch, hop, owner, credentials)
    }

    /// The stream that a long request took does not exist: it goes as a datagram after all (§18.1.1).
    fn fall_back(&mut self, now: Now, id: TransactionId) -> bool {
        let Some(client) = self.clients.get_mut(&id).filter(|client| client.state == State::Trying) else {
            return false;
        };
        let (Some(hop), Some(mut request)) = (client.fallback, client.request.take()) else { return false };
        let (owner, credentials) = (client.owner, client.credentials.clone());
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        self.remove_client(id);
        request.headers.remove(&Name::Via);
        let branch = self.push_via(&mut request, &hop);
        let again = self.launch(now, *request, branch, hop, owner, credentials);
        self.renumber(owner, again, number);
        true
    }

    /// Puts our Via on top; returns its branch.
    pub(super) fn push_via(&mut self, request: &mut Request, hop: &Hop) -> Box<str> {
        let branch = format!("{MAGIC_COOKIE}{}", self.rng.token());
        let (host, port) = self.settings.sent_by(hop);
        let mut params = Params::new();
        // RFC 3581 §3: without value; it lets the answer through an address translation.
        params.push("rport", None);
        params.push("branch", Some(&branch));
        if hop.transport == Transport::Tls {
            // RFC 5923 §8.1: the peer may send its requests along the same connection.
            params.push("alias", None);
        }
        let via = Via { transport: hop.transport.via().to_owned(), host, port, params };
        request.headers.push_front(Name::Via, via.to_string());
        branch.into_boxed_str()
    }

    /// Begins a transaction with a request that is complete.
    pub(super) fn launch(
        &mut self,
        now: Now,
        request: Request,
        branch: Box<str>,
        hop: Hop,
        owner: Owner,
        credentials: Option<Credentials>,
    ) -> TransactionId {
        let id = self.next_transaction();
        let key = ClientKey { branch, method: request.method.clone() };
        let sent_by = request.via().map_or_else(|| self.settings.sent_by(&hop), |via| (via.host, via.port));
        let bytes = request.to_bytes();
        let t1 = self.settings.t1;
        if !hop.transport.reliable() {
            self.timers.set(Timer::Resend(id), now.mono + t1);
        }
        // Timers B and F.
        self.timers.set(Timer::Expire(id), now.mono + 64 * t1);
        if let Some(connection) = hop.connection {
            self.on_connection.insert((connection, OnConnection::Client(id)));
        }
        self.on_remote.insert((hop.remote, hop.transport, id));
        let keep = request.method == Method::Invite || credentials.is_some();
        let client = Client {
            key: key.clone(),
            sent_by,
            hop,
            fallback: None,
            state: State::Trying,
            owner,
            bytes: bytes.clone(),
            interval: t1,
            request: keep.then(|| Box::new(request)),
            credentials,
            ack: None,
            forks: Vec::new(),
        };
        self.clients.insert(id, client);
        self.client_keys.insert(key, id);
        self.transmit(hop, bytes);
        id
    }

    /// Timers A and E: the request once more (§17.1.1.2, §17.1.2.2).
    pub(super) fn on_client_resend(&mut self, now: Now, id: TransactionId) {
        let (t1, t2) = (self.settings.t1, self.settings.t2());
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.interval = match (client.is_invite(), client.state) {
            (true, State::Trying) => client.interval * 2,
            (false, State::Trying) => (client.interval * 2).min(t2),
            (false, State::Proceeding) => t2,
            (true, State::Proceeding) | (_, State::Completed | State::Accepted) => return,
        };
        debug_assert!(client.interval <= 64 * t1);
        self.timers.set(Timer::Resend(id), now.mono + client.interval);
        let (hop, bytes) = (client.hop, client.bytes.clone());
        self.transmit(hop, bytes);
    }

    /// Timers B and F (nobody answered), D, K and M (nothing more to absorb).
    pub(super) fn on_client_expire(&mut self, now: Now, id: TransactionId) {
        match self.clients.get(&id).map(|client| client.state) {
            Some(State::Trying | State::Proceeding) => self.fail_client(now, id, 408),
            Some(State::Completed | State::Accepted) => self.remove_client(id),
            None => {}
        }
    }

    /// Ends a transaction without response: 408 when time is over, 503 when sending failed (§8.1.3.1).
    pub(super) fn fail_client(&mut self, now: Now, id: TransactionId, status: u16) {
        let Some(client) = self.clients.get(&id) else { return };
        if matches!(client.state, State::Completed | State::Accepted) {
            return;
        }
        let owner = client.owner;
        if status == 503 && self.fall_back(now, id) {
            return;
        }
        self.remove_client(id);
        self.conclude(now, owner, status, None);
    }

    /// Forgets a transaction and all that points to it.
    pub(super) fn remove_client(&mut self, id: TransactionId) {
        let Some(client) = self.clients.remove(&id) else { return };
        self.client_keys.remove(&client.key);
        self.timers.clear(&Timer::Resend(id));
        self.timers.clear(&Timer::Expire(id));
        self.on_remote.remove(&(client.hop.remote, client.hop.transport, id));
        if let Some(connection) = client.hop.connection {
            self.on_connection.remove(&(connection, OnConnection::Client(id)));
        }
    }

    /// A connection is gone: what waits for a response by it has failed (§17.1.4).
    pub(super) fn on_client_closed(&mut self, now: Now, connection: ConnectionId, id: TransactionId) {
        self.on_connection.remove(&(connection, OnConnection::Client(id)));
        if let Some(client) = self.clients.get_mut(&id) {
            client.hop.connection = None;
            for ack in client.forks.iter_mut().filter_map(|fork| fork.ack.as_mut()) {
                ack.hop.connection = ack.hop.connection.filter(|other| *other != connection);
            }
        }
        self.fail_client(now, id, 503);
    }

    /// Something could not be sent along `hop`: what waits there has failed (§17.1.4).
    pub(super) fn on_send_failed(&mut self, now: Now, hop: Hop) {
        let first = (hop.remote, hop.transport, TransactionId(0));
        let last = (hop.remote, hop.transport, TransactionId(u64::MAX));
        let ids: Vec<TransactionId> = self.on_remote.range(first..=last).map(|(_, _, id)| *id).collect();
        for id in ids {
            let same = self.clients.get(&id).is_some_and(|client| {
                hop.connection.is_none()
                    || client.hop.connection.is_none()
                    || client.hop.connection == hop.connection
            });
            if same {
                self.fail_client(now, id, 503);
            }
        }
    }

    /// A response came in: to its transaction (§17.1.3), then to whom it concerns.
    pub(super) fn on_response(&mut self, now: Now, hop: Hop, response: Response) {
        let (Some(via), Some(cseq)) = (response.via(), response.cseq()) else {
            return self.refuse("no Via or CSeq");
        };
        let key = ClientKey { branch: via.branch().unwrap_or_default().into(), method: cseq.method };
        let Some(id) = self.client_keys.get(&key).copied() else { return self.refuse("no transaction") };
        let Some(client) = self.clients.get_mut(&id) else { return };
        // §18.1.2: it is for us only if its Via is ours; `check` has seen to it that there is one (§8.1.3.3).
        let ours = client.sent_by.0.equals(&via.host)
            && client.sent_by.1.unwrap_or(5060) == via.port.unwrap_or(5060);
        if !ours {
            return self.refuse("not our Via");
        }
        if client.hop.connection.is_none() && hop.transport == client.hop.transport {
            client.hop.connection = hop.connection;
            if let Some(connection) = hop.connection {
                self.on_connection.insert((connection, OnConnection::Client(id)));
            }
        }
        let status = response.status;
        match (client.state, status, client.is_invite()) {
            (State::Trying | State::Proceeding, 100..200, invite) => {
                client.state = State::Proceeding;
                if invite {
                    let owner = client.owner;
                    self.timers.clear(&Timer::Resend(id));
                    if !self.is_abandoned(owner) {
                        self.timers.clear(&Timer::Expire(id));
                    }
                    self.on_progress(now, id, hop, response);
                }
            }
            (State::Trying | State::Proceeding, 200..300, true) => {
                client.state = State::Accepted;
                self.timers.clear(&Timer::Resend(id));
                // Timer M (RFC 6026 §7.2).
                self.timers.set(Timer::Expire(id), now.mono + 64 * self.settings.t1);
                self.on_accepted(now, id, hop, response);
            }
            (State::Accepted, 200..300, true) => self.on_accepted(now, id, hop, response),
            (State::Trying | State::Proceeding, 300.., true) => {
                self.acknowledge_failure(now, id, &response);
                self.finish(now, id, response);
            }
            (State::Trying | State::Proceeding, 200.., false) => {
                client.state = State::Completed;
                self.timers.clear(&Timer::Resend(id));
                // Timer K.
                let wait = if client.hop.transport.reliable() { Duration::ZERO } else { T4 };
                self.timers.set(Timer::Expire(id), now.mono + wait);
                self.finish(now, id, response);
                if wait.is_zero() {
                    self.remove_client(id);
                }
            }
            (State::Completed, 300.., true) => {
                if let Some(ack) = client.ack.clone() {
                    let hop = client.hop;
                    self.transmit(hop, ack);
                }
            }
            (State::Completed | State::Accepted, ..) | (State::Trying | State::Proceeding, ..) => {}
        }
    }

    /// ACK to a failure: the INVITE's branch, way and routes (§17.1.1.3). It leaves the transaction in Completed for
    /// timer D, or for no time at all on streams.
    fn acknowledge_failure(&mut self, now: Now, id: TransactionId, response: &Response) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.state = State::Completed;
        let (hop, reliable) = (client.hop, client.hop.transport.reliable());
        if let Some(request) = &client.request {
            let mut ack = hop_request(request, Method::Ack);
            if let Some(to) = response.headers.raw(&Name::To).next() {
                ack.headers.set(Name::To, to.clone());
            }
            let bytes = ack.to_bytes();
            client.ack = Some(bytes.clone());
            self.outputs.push_back(Output::Transmit(Transmit { hop, bytes }));
        }
        self.timers.clear(&Timer::Resend(id));
        // Timer D: at least 32 s.
        let wait =
            if reliable { Duration::ZERO } else { (64 * self.settings.t1).max(Duration::from_secs(32)) };
        self.timers.set(Timer::Expire(id), now.mono + wait);
    }

    /// A final response other than 2xx to INVITE: the request is tried with credentials, or its end is told.
    fn finish(&mut self, now: Now, id: TransactionId, response: Response) {
        let Some(client) = self.clients.get(&id) else { return };
        let owner = client.owner;
        let gone_at_once = client.is_invite() && client.hop.transport.reliable();
        let again = self.answer_challenge(now, id, &response) || self.ask_longer(now, id, &response);
        if gone_at_once {
            self.remove_client(id);
        }
        if !again {
            self.conclude(now, owner, response.status, Some(response));
        }
    }

    /// After 401 or 407, sends the request again with credentials (§22.2, §22.3), once for each of the two.
    fn answer_challenge(&mut self, now: Now, id: TransactionId, response: &Response) -> bool {
        let given = match response.status {
            401 => Name::Authorization,
            407 => Name::ProxyAuthorization,
            _ => return false,
        };
        let Some(client) = self.clients.get(&id) else { return false };
        let (hop, owner) = (client.hop, client.owner);
        let Some(credentials) = client.credentials.clone() else { return false };
        let Some(challenge) = digest::strongest(response) else { return false };
        if !self.wants_retry(owner) {
            return false;
        }
        let Some(client) = self.clients.get_mut(&id) else { return false };
        if client.request.as_ref().is_none_or(|request| request.headers.contains(&given)) {
            return false;
        }
        let Some(mut request) = client.request.take() else { return false };
        let Some(cseq) = request.cseq() else { return false };
        let number = self.next_cseq(owner, cseq.number);
        let uri = request.uri.to_string();
        let cnonce = self.rng.token();
        let value = digest::answer(
            &challenge,
            &credentials.user,
            &credentials.password,
            &request.method,
            &uri,
            1,
            &cnonce,
        );
        request.headers.remove(&Name::Via);
        request.headers.set(Name::CSeq, CSeq { number, method: cseq.method }.to_string());
        request.headers.push(given, value);
        let again = self.send(now, *request, hop, owner, Some(credentials));
        self.renumber(owner, again, number);
        true
    }

    /// After 422, sends the INVITE again with the interval that is demanded (RFC 4028 §7.3).
    fn ask_longer(&mut self, now: Now, id: TransactionId, response: &Response) -> bool {
        let Some(client) = self.clients.get(&id).filter(|_| response.status == 422) else { return false };
        let (hop, owner, credentials) = (client.hop, client.owner, client.credentials.clone());
        let Owner::Invite(dialog) = owner else { return false };
        if !self.wants_retry(owner) {
            return false;
        }
        let Some(extra) = self.raised_interval(dialog, response) else { return false };
        let Some(mut request) = self.clients.get_mut(&id).and_then(|client| client.request.take()) else {
            return false;
        };
        let Some(cseq) = request.cseq() else { return false };
        let number = self.next_cseq(owner, cseq.number);
        request.headers.remove(&Name::Via);
        request.headers.set(Name::CSeq, CSeq { number, method: cseq.method }.to_string());
        for (name, value) in extra {
            request.headers.set(Name::from(name), value);
        }
        let again = self.send(now, *request, hop, owner, credentials);
        self.renumber(owner, again, number);
        true
    }
}

/// A CANCEL or failure's ACK for an INVITE (§9.1, §17.1.1.3): its Request-URI, top Via, routes, From, To, Call-ID
/// and CSeq number.
pub(super) fn hop_request(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    for (name, value) in invite.headers.iter() {
        match name {
            Name::Via => {
                let value = String::from_utf8_lossy(value);
                request.headers.push(Name::Via, list(&value).next().unwrap_or_default().to_owned());
            }
            Name::Route | Name::From | Name::To | Name::CallId => {
                request.headers.push(name.clone(), value.clone())
            }
            _ => {}
        }
    }
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    request.headers.push(Name::CSeq, CSeq { number, method }.to_string());
    request.headers.push(Name::MaxForwards, "70");
    request
}
