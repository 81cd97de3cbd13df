//! One SIP user agent, sans I/O: message → transaction → dialog → [`Event`] (RFC 3261 §8, §12, §17, §18).
//!
//! `client.rs` and `server.rs` hold the transactions, `invite.rs` the calls, `dialog.rs` what a dialog remembers; here
//! is what joins them, and requests other than INVITE. Left out: proxying.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::rand::Rng;
use crate::sip::Body;
use crate::sip::ConnectionId;
use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Input;
use crate::sip::Message;
use crate::sip::Output;
use crate::sip::TransactionId;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::check;
use crate::sip::check::Verdict;
use crate::sip::client::Client;
use crate::sip::client::Owner;
use crate::sip::dialog::Dialog;
use crate::sip::dialog::Kind;
use crate::sip::header::Headers;
use crate::sip::header::Name;
use crate::sip::invite::Cancel;
use crate::sip::key::ClientKey;
use crate::sip::key::MergeKey;
use crate::sip::key::ServerKey;
use crate::sip::message::Method;
use crate::sip::message::Request;
pub use crate::sip::request::OutOfDialog;
use crate::sip::server::Arrival;
use crate::sip::server::Server;
pub use crate::sip::settings::Settings;
use crate::time::Now;
use crate::time::Timers;

/// How long a message stays in the network (§17.1.1.1).
pub(super) const T4: Duration = Duration::from_secs(5);

/// Seconds after which a refused caller may try again.
const RETRY_AFTER_S: &str = "5";

/// What answers a digest challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password in the clear.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Deadlines of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// A, E, G: repeat a request or a failure.
    Resend(TransactionId),
    /// B, D, F, H, I, J, K, L, M: the transaction's time is over.
    Expire(TransactionId),
    /// Repeat a 2xx that is not acknowledged.
    Accept(DialogId),
    /// A 2xx was not acknowledged in time.
    NoAck(DialogId),
    /// Repeat a provisional answer.
    Provisional(DialogId),
    /// A cancelled INVITE was not answered in time.
    Cancelled(DialogId),
    /// Repeat a provisional answer that is not acknowledged.
    Reliable(DialogId),
    /// Refresh the session.
    Refresh(DialogId),
    /// The session was not refreshed.
    SessionOver(DialogId),
}

/// What has to hear that a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OnConnection {
    /// Its requests go in dialogs along the connection.
    Dialog(DialogId),
    /// Answers go along it.
    Server(TransactionId),
    /// A response is expected from it.
    Client(TransactionId),
}

/// All transactions and dialogs of one user agent.
///
/// Give it inputs and orders with the time, drain `poll_output` after each, and call `handle_timeout` when the
/// deadline of `poll_timeout` has passed.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    /// Makes the tags of stateless answers unguessable.
    pub(super) secret: u64,
    next: u64,
    pub(super) timers: Timers<Timer>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) clients: HashMap<TransactionId, Client>,
    pub(super) client_keys: HashMap<ClientKey, TransactionId>,
    pub(super) servers: HashMap<TransactionId, Server>,
    pub(super) server_keys: HashMap<ServerKey, TransactionId>,
    pub(super) merges: HashMap<MergeKey, TransactionId>,
    pub(super) dialogs: HashMap<DialogId, Dialog>,
    /// Dialogs by our tag, which is random and so names them alone.
    tags: HashMap<Box<str>, DialogId>,
    pub(super) on_connection: BTreeSet<(ConnectionId, OnConnection)>,
    pub(super) on_remote: BTreeSet<(SocketAddr, Transport, TransactionId)>,
}

impl Endpoint {
    /// An endpoint without calls.
    pub fn new(settings: Settings, mut rng: Rng) -> Endpoint {
        Endpoint {
            settings,
            secret: rng.bits(),
            rng,
            next: 1,
            timers: Timers::default(),
            outputs: VecDeque::new(),
            clients: HashMap::new(),
            client_keys: HashMap::new(),
            servers: HashMap::new(),
            server_keys: HashMap::new(),
            merges: HashMap::new(),
            dialogs: HashMap::new(),
            tags: HashMap::new(),
            on_connection: BTreeSet::new(),
            on_remote: BTreeSet::new(),
        }
    }

    /// Changes the settings of what begins from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Takes what the network layer says.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Message { hop, message: Message::Request(request) } => self.on_request(now, hop, request),
            Input::Message { hop, message: Message::Response(response) } => {
                match check::response(&response) {
                    Verdict::Go => self.on_response(now, hop, response),
                    Verdict::Drop(why) => self.refuse(why),
                    Verdict::Answer { .. } => self.refuse("faulty response"),
                }
            }
            Input::Closed { connection } => self.on_closed(now, connection),
            Input::SendFailed { hop } => self.on_send_failed(now, hop),
        }
        self.check_invariants();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.expired(now.mono) {
            match timer {
                Timer::Resend(id) if self.clients.contains_key(&id) => self.on_client_resend(now, id),
                Timer::Resend(id) => self.on_server_resend(now, id),
                Timer::Expire(id) if self.clients.contains_key(&id) => self.on_client_expire(now, id),
                Timer::Expire(id) => self.on_server_expire(now, id),
                Timer::Accept(id) => self.on_accept_resend(now, id),
                Timer::NoAck(id) => self.on_no_ack(now, id),
                Timer::Provisional(id) => self.on_provisional(now, id),
                Timer::Cancelled(id) => self.on_cancel_expire(now, id),
                Timer::Reliable(id) => self.on_reliable_resend(now, id),
                Timer::Refresh(id) => self.on_refresh(now, id),
                Timer::SessionOver(id) => self.on_session_over(now, id),
            }
        }
        self.check_invariants();
    }

    /// The next deadline, and whose it is.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (at, timer) = self.timers.next()?;
        let whose = match timer {
            Timer::Resend(_) => "sip resend",
            Timer::Expire(_) => "sip transaction",
            Timer::Accept(_) => "sip 2xx",
            Timer::NoAck(_) => "sip ack",
            Timer::Provisional(_) => "sip provisional",
            Timer::Cancelled(_) => "sip cancel",
            Timer::Reliable(_) => "sip prack",
            Timer::Refresh(_) | Timer::SessionOver(_) => "sip session",
        };
        Some((at, whose))
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Our Contact URI along a way.
    pub fn contact(&self, user: &str, hop: &Hop) -> String {
        self.settings.contact(Some(user), hop)
    }

    /// Our Contact URI in the dialog.
    pub fn local_contact(&self, dialog: DialogId) -> Option<String> {
        Some(self.dialogs.get(&dialog)?.contact.clone())
    }

    /// Whether the other side of a standing dialog takes UPDATE.
    pub fn takes_update(&self, dialog: DialogId) -> bool {
        self.dialogs
            .get(&dialog)
            .is_some_and(|dialog| dialog.confirmed && !dialog.ended && dialog.peer_updates)
    }

    /// The dialog's Call-ID.
    pub fn call_id(&self, dialog: DialogId) -> Option<&str> {
        Some(&self.dialogs.get(&dialog)?.call_id)
    }

    /// Our tag and theirs (empty while it is not known), for Replaces.
    pub fn dialog_tags(&self, dialog: DialogId) -> Option<(&str, &str)> {
        let standing = self.dialogs.get(&dialog)?;
        Some((standing.local.tag().unwrap_or_default(), standing.remote_tag()))
    }

    /// The living dialog with these identifiers, as a Replaces header names it from our side (RFC 3891 §3).
    pub fn dialog_named(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> Option<DialogId> {
        let id = self.tags.get(local_tag)?;
        let standing = self.dialogs.get(id).filter(|standing| !standing.ended)?;
        (*standing.call_id == *call_id && standing.remote_tag() == remote_tag).then_some(*id)
    }

    /// The way the dialog's messages came last.
    pub fn hop(&self, dialog: DialogId) -> Option<Hop> {
        Some(self.dialogs.get(&dialog)?.hop)
    }

    /// The host that a dialog's other side signals from, when no proxy stands between.
    pub fn host_of(&self, dialog: DialogId) -> Option<IpAddr> {
        let dialog = self.dialogs.get(&dialog).filter(|dialog| dialog.route.is_empty())?;
        Some(dialog.hop.remote.ip().to_canonical())
    }

    /// Whether a dialog or transaction hangs on a connection.
    pub fn uses(&self, connection: ConnectionId) -> bool {
        let first = (connection, OnConnection::Dialog(DialogId(0)));
        self.on_connection.range(first..).next().is_some_and(|(found, _)| *found == connection)
    }

    /// The other side's Contact.
    pub fn remote_target(&self, dialog: DialogId) -> Option<&Uri> {
        Some(&self.dialogs.get(&dialog)?.target)
    }

    /// How many dialogs there are, with those whose BYE is not answered yet.
    pub fn dialogs(&self) -> usize {
        self.dialogs.len()
    }

    /// How many transactions there are, with those that only absorb repeats.
    pub fn transactions(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// Whether nothing is left: no dialog, transaction, deadline or output.
    pub fn is_empty(&self) -> bool {
        self.dialogs.is_empty()
            && self.transactions() == 0
            && self.timers.is_empty()
            && self.outputs.is_empty()
    }

    /// Checks that the tables agree with each other; costs the same however many entries they have.
    pub fn check_invariants(&self) {
        debug_assert_eq!(self.clients.len(), self.client_keys.len());
        debug_assert_eq!(self.clients.len(), self.on_remote.len());
        debug_assert_eq!(self.servers.len(), self.server_keys.len());
        debug_assert_eq!(self.dialogs.len(), self.tags.len());
        debug_assert!(self.merges.len() <= self.servers.len());
        debug_assert!(self.on_connection.len() <= self.transactions() + self.dialogs.len());
        debug_assert!(self.timers.len() <= 2 * self.transactions() + 7 * self.dialogs.len());
    }

    fn on_request(&mut self, now: Now, hop: Hop, request: Request) {
        let verdict = check::request(&request);
        if let Verdict::Drop(why) = verdict {
            return self.refuse(why);
        }
        let Some(arrival) = Arrival::new(request, hop) else { return self.refuse("no Via") };
        match arrival.request.method {
            Method::Ack => return self.on_ack(now, arrival),
            Method::Cancel => return self.on_cancel(now, arrival),
            _ => {}
        }
        if let Some(id) = self.server_keys.get(&arrival.key) {
            return self.on_repeat(*id);
        }
        if let Verdict::Answer { status, reason, extra } = verdict {
            self.refuse("faulty request");
            return self.answer_faulty(&arrival, status, &reason, extra);
        }
        // §8.2.2.2: the same request by another way.
        if MergeKey::of(&arrival.request).is_some_and(|key| self.merges.contains_key(&key)) {
            self.refuse("482");
            return self.answer_statelessly(&arrival, 482, Extra::new());
        }
        let busy = vec![("Retry-After", RETRY_AFTER_S.to_owned())];
        let tagged = arrival.request.to().is_some_and(|to| to.tag().is_some());
        // Under load new calls are refused before those that stand suffer.
        let most = self.settings.max_transactions;
        if self.transactions() >= if tagged { most + most / 4 } else { most } {
            self.refuse("too many transactions");
            return self.answer_statelessly(&arrival, 503, busy);
        }
        // Some phones keep the To tag of an earlier answer in REGISTER, which knows no dialogs (§10.2).
        if tagged && arrival.request.method != Method::Register {
            return match self.dialog_of(&arrival.request) {
                Some(id) => self.on_request_in(now, id, arrival),
                None => {
                    self.refuse("481");
                    self.answer_statelessly(&arrival, 481, Extra::new());
                }
            };
        }
        let founds = matches!(arrival.request.method, Method::Invite | Method::Subscribe);
        if founds && self.dialogs.len() >= self.settings.max_dialogs {
            self.refuse("too many dialogs");
            return self.answer_statelessly(&arrival, 503, busy);
        }
        match arrival.request.method {
            Method::Invite => self.on_call(now, arrival),
            // §15.1.2: without dialog there is nothing to end.
            Method::Bye => {
                self.refuse("481");
                self.answer_statelessly(&arrival, 481, Extra::new());
            }
            _ => {
                self.tell_request(now, arrival, None);
            }
        }
    }

    /// A request in a dialog (§12.2.2).
    fn on_request_in(&mut self, now: Now, id: DialogId, arrival: Arrival) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let method = arrival.request.method.clone();
        let bye = method == Method::Bye;
        let strange = dialog.kind == Kind::Subscription && method == Method::Invite;
        if strange || (dialog.ended && !bye) {
            self.refuse("481");
            return self.answer_statelessly(&arrival, 481, Extra::new());
        }
        let number = arrival.request.cseq().map_or(0, |cseq| cseq.number);
        if !dialog.in_order(number) {
            self.refuse("CSeq out of order");
            return self.answer_statelessly(&arrival, 500, Extra::new());
        }
        match method {
            Method::Invite => self.on_reinvite(now, id, arrival),
            Method::Bye => self.on_bye(now, id, arrival),
            Method::Prack => self.on_prack(now, id, arrival),
            Method::Update => self.on_update(now, id, arrival),
            _ => {
                dialog.refresh_by_request(&arrival.request, arrival.hop);
                self.track(id);
                self.tell_request(now, arrival, Some(id));
            }
        }
    }

    /// A connection is gone: dialogs and answers find another, requests along it have failed.
    fn on_closed(&mut self, now: Now, connection: ConnectionId) {
        let first = (connection, OnConnection::Dialog(DialogId(0)));
        let last = (connection, OnConnection::Client(TransactionId(u64::MAX)));
        let concerned: Vec<OnConnection> =
            self.on_connection.range(first..=last).map(|(_, who)| *who).collect();
        for who in concerned {
            match who {
                OnConnection::Dialog(id) => {
                    if let Some(dialog) = self.dialogs.get_mut(&id) {
                        dialog.hop.connection = None;
                    }
                    self.track(id);
                }
                OnConnection::Server(id) => self.on_server_closed(connection, id),
                OnConnection::Client(id) => self.on_client_closed(now, connection, id),
            }
        }
        self.event(Event::Closed { connection });
    }

    /// Tells the end of a request of ours to whom it concerns.
    pub(super) fn conclude(
        &mut self,
        now: Now,
        owner: Owner,
        status: u16,
        response: Option<crate::sip::Response>,
    ) {
        match owner {
            Owner::Nobody => {}
            Owner::Bye(dialog) => self.remove_dialog(dialog),
            Owner::Refresh(dialog) => self.on_refreshed(now, dialog, status, response.as_ref()),
            Owner::Invite(dialog) => self.on_refused(now, dialog, status, response),
            Owner::User(transaction, dialog) => {
                if let Some(standing) = dialog.and_then(|dialog| self.dialogs.get_mut(&dialog)) {
                    standing.updates.ours.take_if(|ours| *ours == transaction);
                }
                let dialog =
                    dialog.filter(|dialog| self.dialogs.get(dialog).is_some_and(|standing| !standing.ended));
                self.event(Event::Response { transaction, dialog, status, response });
                // §12.2.1.2.
                if let Some(dialog) = dialog.filter(|_| matches!(status, 408 | 481)) {
                    self.lose(now, dialog);
                }
            }
        }
    }

    /// Whether a request may be tried again with credentials: not a call that is being given up.
    pub(super) fn wants_retry(&self, owner: Owner) -> bool {
        match owner {
            Owner::Invite(id) => self.dialogs.get(&id).is_some_and(|dialog| {
                !dialog.ended && dialog.ours.as_ref().is_some_and(|ours| ours.cancel == Cancel::No)
            }),
            Owner::Nobody | Owner::Bye(_) | Owner::Refresh(_) | Owner::User(..) => true,
        }
    }

    /// The CSeq number of the second try of a request that had `number`.
    pub(super) fn next_cseq(&mut self, owner: Owner, number: u32) -> u32 {
        let id = match owner {
            Owner::Invite(id) | Owner::Bye(id) | Owner::Refresh(id) | Owner::User(_, Some(id)) => Some(id),
            Owner::Nobody | Owner::User(_, None) => None,
        };
        match id.and_then(|id| self.dialogs.get_mut(&id)) {
            Some(dialog) => {
                dialog.local_seq = dialog.local_seq.saturating_add(1);
                dialog.local_seq
            }
            None => number.saturating_add(1),
        }
    }

    /// Notes the transaction of the second try of an INVITE.
    pub(super) fn renumber(&mut self, owner: Owner, client: TransactionId, number: u32) {
        let Owner::Invite(id) = owner else { return };
        if let Some(ours) = self.dialogs.get_mut(&id).and_then(|dialog| dialog.ours.as_mut()) {
            (ours.client, ours.cseq) = (client, number);
        }
    }

    /// The dialog a request belongs to (§12.2.2).
    pub(super) fn dialog_of(&self, request: &Request) -> Option<DialogId> {
        let id = *self.tags.get(request.to()?.tag()?)?;
        self.dialogs.get(&id).filter(|dialog| dialog.owns(request)).map(|_| id)
    }

    pub(super) fn insert_dialog(&mut self, id: DialogId, tag: Box<str>, dialog: Dialog) {
        self.tags.insert(tag, id);
        self.dialogs.insert(id, dialog);
        self.track(id);
    }

    /// Forgets a dialog and all that points to it.
    pub(super) fn remove_dialog(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.remove(&id) else { return };
        self.tags.remove(dialog.local.tag().unwrap_or_default());
        if let Some(connection) = dialog.tracked {
            self.on_connection.remove(&(connection, OnConnection::Dialog(id)));
        }
        self.clear_dialog_timers(id);
    }

    pub(super) fn clear_dialog_timers(&mut self, id: DialogId) {
        for timer in [
            Timer::Accept(id),
            Timer::NoAck(id),
            Timer::Provisional(id),
            Timer::Cancelled(id),
            Timer::Reliable(id),
            Timer::Refresh(id),
            Timer::SessionOver(id),
        ] {
            self.timers.clear(&timer);
        }
    }

    /// Notes which connection a dialog hangs on; to be called when its hop may have changed.
    pub(super) fn track(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.tracked == dialog.hop.connection {
            return;
        }
        if let Some(old) = dialog.tracked.take() {
            self.on_connection.remove(&(old, OnConnection::Dialog(id)));
        }
        if let Some(connection) = dialog.hop.connection {
            self.on_connection.insert((connection, OnConnection::Dialog(id)));
            dialog.tracked = Some(connection);
        }
    }

    pub(super) fn next_transaction(&mut self) -> TransactionId {
        self.next += 1;
        TransactionId(self.next)
    }

    pub(super) fn next_dialog(&mut self) -> DialogId {
        self.next += 1;
        DialogId(self.next)
    }

    pub(super) fn transmit(&mut self, hop: Hop, bytes: Bytes) {
        self.outputs.push_back(Output::Transmit(Transmit { hop, bytes }));
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn refuse(&mut self, why: &'static str) {
        self.event(Event::Refused { why });
    }
}

/// Adds headers that the user gave.
pub(super) fn add(headers: &mut Headers, extra: Extra) {
    for (name, value) in extra {
        headers.push(Name::parse(name.as_bytes()), value);
    }
}

/// Adds a body and its Content-Type; one that stands among the user's headers already is the body's.
pub(super) fn add_body(headers: &mut Headers, to: &mut Bytes, body: Option<Body>) {
    if let Some(body) = body {
        if !headers.contains(&Name::ContentType) {
            headers.push(Name::ContentType, body.content_type);
        }
        *to = body.bytes;
    }
}
