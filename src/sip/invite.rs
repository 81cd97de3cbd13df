//! Calls: INVITE over a dialog (RFC 3261 §13), CANCEL (§9), BYE (§15), re-INVITE and glare (§14): what both sides
//! share, and ours. `callee.rs` answers theirs.
//!
//! Offer and answer are the user's; `reliable.rs`, `session_timer.rs` and `update.rs` add their RFCs. A re-INVITE that
//! its sender cancels is answered with 487 and not reported: what the user answers to it comes to nothing.

use std::time::Duration;

use bytes::Bytes;

use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::TransactionId;
use crate::sip::Transmit;
use crate::sip::Uri;
use crate::sip::client;
use crate::sip::client::Fork;
use crate::sip::client::Owner;
use crate::sip::client::hop_request;
use crate::sip::dialog::Dialog;
use crate::sip::dialog::Kind;
use crate::sip::endpoint::Credentials;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::Timer;
use crate::sip::endpoint::add;
use crate::sip::endpoint::add_body;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::message::Response;
use crate::sip::reliable;
use crate::sip::reliable::Reliable;
use crate::sip::server::Arrival;
use crate::sip::update::Updates;
use crate::time::Now;

/// Most callees that may accept one INVITE; 2xx of more are left unanswered.
const MAX_FORKS: usize = 16;

/// A call to make.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Request-URI.
    pub uri: Uri,
    /// Which way.
    pub hop: Hop,
    /// Route headers, next hop first.
    pub route: Vec<NameAddr>,
    /// Caller; a tag is added.
    pub from: NameAddr,
    /// Callee.
    pub to: NameAddr,
    /// User part of our Contact; may be empty.
    pub contact_user: String,
    /// Call-ID; one is made if `None`.
    pub call_id: Option<String>,
    /// Further headers.
    pub extra: Extra,
    /// The offer, if it is made here.
    pub body: Option<Body>,
    /// For 401 and 407, of all requests in the dialog.
    pub credentials: Option<Credentials>,
    /// Max-Forwards.
    pub max_forwards: u8,
    /// Changes to the headers, made in order when all others stand. Those that the dialog needs are not to be
    /// touched.
    pub edits: Vec<HeaderEdit>,
}

/// One change to the headers of an INVITE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Adds a header.
    Add(Name, String),
    /// Removes all of this name.
    Remove(Name),
}

/// A re-INVITE cannot be sent while another INVITE is in progress (§14.1), or the dialog is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another INVITE is in progress")]
pub struct Glare;

/// Their INVITE.
#[derive(Debug)]
pub(super) struct TheirInvite {
    pub(super) server: TransactionId,
    pub(super) cseq: u32,
    /// It founds the dialog.
    pub(super) initial: bool,
    /// Until the next repeat of our 2xx; `None` before it.
    pub(super) repeat: Option<Duration>,
    /// How offer and answer stand.
    pub(super) exchange: Exchange,
    /// Provisional answers that the caller acknowledges, if it does.
    pub(super) reliable: Option<Box<Reliable>>,
}

/// How offer and answer of an INVITE of theirs stand (RFC 3264, RFC 6337).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Nobody has offered.
    Nobody,
    /// They have offered.
    Theirs,
    /// We have offered.
    Ours,
    /// Offer and answer are there.
    Done,
}

impl Exchange {
    /// After SDP of ours in an answer that arrives for certain.
    pub(super) fn said(self) -> Exchange {
        match self {
            Exchange::Nobody | Exchange::Ours => Exchange::Ours,
            Exchange::Theirs | Exchange::Done => Exchange::Done,
        }
    }

    pub(super) fn of(request: &Request) -> Exchange {
        if request.body.is_empty() { Exchange::Nobody } else { Exchange::Theirs }
    }
}

/// Our INVITE.
#[derive(Debug)]
pub(super) struct OurInvite {
    pub(super) client: TransactionId,
    pub(super) cseq: u32,
    pub(super) cancel: Cancel,
    /// 2xx came; the credentials that the ACK repeats (§22.1).
    answered: Option<Vec<(Name, Bytes)>>,
    /// The answer to our offer came in a reliable provisional response.
    pub(super) settled: bool,
    /// RSeq heard last, by To tag (RFC 3262 §4).
    pub(super) rseqs: Vec<(Box<str>, u32)>,
}

/// How far the end of our INVITE is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    /// Not wanted.
    No,
    /// To be sent after the first provisional response (§9.1).
    Wanted(Extra),
    /// Sent.
    Sent,
}

impl Endpoint {
    /// Calls; what comes of it is told by `Progress`, `Answered` or `Failed`.
    pub fn invite(&mut self, now: Now, invite: Invite) -> DialogId {
        let id = self.next_dialog();
        let tag = self.rng.token();
        let call_id = invite.call_id.unwrap_or_else(|| self.rng.token());
        let cseq = 1 + self.rng.below(10_000) as u32;
        let mut local = invite.from;
        local.params.set("tag", Some(&tag));
        let mut dialog = Dialog {
            kind: Kind::Call,
            call_id: call_id.into(),
            own_call_id: true,
            local,
            remote: invite.to,
            local_seq: cseq,
            remote_seq: None,
            route: invite.route,
            target: invite.uri,
            contact: self.settings.contact(Some(&invite.contact_user), &invite.hop),
            hop: invite.hop,
            symmetric: false,
            tracked: None,
            credentials: invite.credentials,
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
        let mut extra = invite.extra;
        extra.extend(self.session_wish(0));
        let mut request = dialog.request(Method::Invite, cseq, extra, &self.settings);
        request.headers.set(Name::MaxForwards, invite.max_forwards.to_string());
        for edit in invite.edits {
            match edit {
                HeaderEdit::Add(name, value) => request.headers.push(name, value),
                HeaderEdit::Remove(name) => {
                    request.headers.remove(&name);
                }
            }
        }
        add_body(&mut request.headers, &mut request.body, invite.body);
        let credentials = dialog.credentials.clone();
        let client = self.send(now, request, invite.hop, Owner::Invite(id), credentials);
        dialog.ours = Some(OurInvite::new(client, cseq));
        self.insert_dialog(id, tag.into(), dialog);
        self.check_invariants();
        id
    }

    /// Gives up a call that is not answered; it ends with `Failed`, or with `Answered` if a 2xx crosses. CANCEL
    /// waits for a provisional response (§9.1).
    pub fn cancel(&mut self, now: Now, dialog: DialogId, extra: Extra) {
        let Some(standing) = self.dialogs.get_mut(&dialog) else { return };
        if standing.confirmed {
            return;
        }
        let Some(ours) = standing.ours.as_mut().filter(|ours| ours.cancel == Cancel::No) else { return };
        ours.cancel = Cancel::Wanted(extra);
        let client = ours.client;
        if self.clients.get(&client).is_some_and(|client| client.state == client::State::Proceeding) {
            self.send_cancel(now, dialog);
        }
        self.check_invariants();
    }

    /// Acknowledges the 2xx to our INVITE or re-INVITE; the ACK is repeated with each repeat of the 2xx.
    pub fn ack(&mut self, _now: Now, dialog: DialogId, body: Option<Body>) {
        let Some(standing) = self.dialogs.get_mut(&dialog) else { return };
        let Some(OurInvite { client, cseq, answered: Some(credentials), .. }) =
            standing.ours.take_if(|ours| ours.answered.is_some())
        else {
            return;
        };
        let mut request = standing.request(Method::Ack, cseq, Extra::new(), &self.settings);
        let hop = standing.next_hop();
        for (name, value) in credentials {
            request.headers.push(name, value);
        }
        add_body(&mut request.headers, &mut request.body, body);
        self.push_via(&mut request, &hop);
        let transmit = Transmit { hop, bytes: request.to_bytes() };
        if let Some(fork) = self.clients.get_mut(&client).and_then(|client| client.forks.first_mut()) {
            fork.ack = Some(transmit.clone());
        }
        self.transmit(transmit.hop, transmit.bytes);
        self.check_invariants();
    }

    /// Hangs up; the dialog is gone for the user at once, and nothing about it is told any more. What the RFC wants
    /// first is done first: an unanswered call is cancelled or refused (480), a 2xx of theirs acknowledged, the ACK
    /// to ours awaited (§15).
    pub fn bye(&mut self, now: Now, dialog: DialogId, extra: Extra) {
        let Some(standing) = self.dialogs.get_mut(&dialog).filter(|standing| !standing.ended) else { return };
        if standing.kind == Kind::Subscription {
            return self.forget(dialog);
        }
        if !standing.confirmed && standing.ours.is_some() {
            standing.ended = true;
            return self.cancel(now, dialog, extra);
        }
        let unacked = match &standing.theirs {
            Some(theirs) if theirs.repeat.is_some() => theirs.initial,
            Some(theirs) if theirs.initial => return self.reject(now, dialog, 480, extra),
            Some(_) | None => false,
        };
        standing.ended = true;
        if unacked {
            standing.bye = Some(extra);
        } else {
            self.ack(now, dialog, None);
            self.send_bye(now, dialog, extra);
        }
        self.check_invariants();
    }

    /// Sends a re-INVITE; without body it asks for an offer.
    ///
    /// # Errors
    /// When an INVITE of either side is in progress; the user tries again after it.
    pub fn reinvite(&mut self, now: Now, dialog: DialogId, body: Option<Body>) -> Result<(), Glare> {
        let standing = self.dialogs.get(&dialog).ok_or(Glare)?;
        let free = standing.theirs.is_none() && standing.ours.is_none() && !self.has_update(dialog);
        let standing = self.dialogs.get_mut(&dialog).ok_or(Glare)?;
        if !free || !standing.confirmed || standing.ended || standing.kind != Kind::Call {
            return Err(Glare);
        }
        standing.local_seq = standing.local_seq.saturating_add(1);
        let extra = self.session_keep(dialog);
        let standing = self.dialogs.get(&dialog).ok_or(Glare)?;
        let cseq = standing.local_seq;
        let mut request = standing.request(Method::Invite, cseq, extra, &self.settings);
        add_body(&mut request.headers, &mut request.body, body);
        let (hop, credentials) = (standing.next_hop(), standing.credentials.clone());
        let client = self.send(now, request, hop, Owner::Invite(dialog), credentials);
        if let Some(standing) = self.dialogs.get_mut(&dialog) {
            standing.ours = Some(OurInvite::new(client, cseq));
        }
        self.check_invariants();
        Ok(())
    }

    /// BYE (§15.1.2).
    pub(super) fn on_bye(&mut self, now: Now, id: DialogId, arrival: Arrival) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.kind == Kind::Subscription || (!dialog.confirmed && dialog.ours.is_some()) {
            // Only the caller may end an early dialog (§15).
            return self.answer_statelessly(&arrival, 481, Extra::new());
        }
        let pending = dialog.theirs.take_if(|theirs| theirs.repeat.is_none()).map(|theirs| theirs.server);
        let (ended, waiting) = (dialog.ended, dialog.bye.is_some());
        let ours = dialog.ours.take();
        self.abandon(now, ours);
        let request = arrival.request.clone();
        let server = self.open_server(now, arrival, Box::default(), None);
        self.answer(now, server, 200, Extra::new(), None);
        if let Some(pending) = pending {
            self.answer(now, pending, 487, Extra::new(), None);
        }
        // Two BYEs that cross: ours still wants its answer.
        if !ended || waiting {
            self.remove_dialog(id);
        }
        if !ended {
            self.event(Event::Bye { dialog: id, request });
        }
    }

    /// A provisional response to our INVITE.
    pub(super) fn on_progress(&mut self, now: Now, client: TransactionId, hop: Hop, response: Response) {
        let Some(Owner::Invite(id)) = self.clients.get(&client).map(|client| client.owner) else { return };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let wanted = dialog.ours.as_ref().is_some_and(|ours| matches!(ours.cancel, Cancel::Wanted(_)));
        let early = !dialog.confirmed && response.status > 100;
        let rseq = reliable::rseq_of(&response).filter(|_| early);
        if let (Some(rseq), Some(ours)) = (rseq, dialog.ours.as_mut()) {
            let to = response.to();
            let next = ours.takes(to.as_ref().and_then(|to| to.tag()).unwrap_or_default(), rseq);
            if !next {
                // A repeat, or one that ran ahead of the one before: it comes again.
                return;
            }
            ours.settled |= !response.body.is_empty();
        }
        if early {
            dialog.take_response(&response, hop);
        }
        let told = early && !dialog.ended;
        self.track(id);
        if let Some(rseq) = rseq {
            self.send_prack(now, id, rseq);
        }
        if wanted {
            self.send_cancel(now, id);
        }
        if told {
            self.event(Event::Progress { dialog: id, response });
        }
    }

    /// A 2xx to our INVITE (§13.2.2.4, §14.1): the first founds the dialog, a repeat gets its ACK again, one of
    /// another callee is acknowledged and ended.
    pub(super) fn on_accepted(&mut self, now: Now, id: TransactionId, hop: Hop, response: Response) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let to = response.to();
        let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        if let Some(fork) = client.forks.iter().find(|fork| *fork.tag == *tag) {
            if let Some(ack) = fork.ack.clone() {
                self.transmit(ack.hop, ack.bytes);
            }
            return;
        }
        if client.forks.len() == MAX_FORKS {
            return self.refuse("too many forks");
        }
        let first = client.forks.is_empty();
        client.forks.push(Fork { tag: tag.into(), ack: None });
        let (Owner::Invite(dialog), Some(request)) = (client.owner, client.request.as_deref()) else {
            return;
        };
        let again = request.to().is_some_and(|to| to.tag().is_some());
        let credentials = credentials_of(request);
        let Some(standing) = self.dialogs.get_mut(&dialog).filter(|_| first) else {
            return self.decline(now, id, hop, &response, !again);
        };
        if standing.ended && again {
            return self.decline(now, id, hop, &response, false);
        }
        if again {
            standing.refresh_by_response(&response, hop);
        } else {
            standing.take_response(&response, hop);
            standing.confirmed = true;
            standing.early = Vec::new();
        }
        if let Some(ours) = &mut standing.ours {
            ours.answered = Some(credentials);
        }
        let ended = standing.ended;
        self.track(dialog);
        self.timers.clear(&Timer::Cancelled(dialog));
        self.session_take(now, dialog, &response);
        match (ended, again) {
            (true, _) => {
                self.ack(now, dialog, None);
                self.send_bye(now, dialog, Extra::new());
            }
            (false, true) => self.event(Event::Reanswered { dialog, response }),
            (false, false) => self.event(Event::Answered { dialog, response }),
        }
    }

    /// Acknowledges a 2xx that nobody wants, and ends what it founded.
    fn decline(&mut self, now: Now, id: TransactionId, hop: Hop, response: &Response, bye: bool) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some(request) = client.request.as_deref() else { return };
        let Some(mut dialog) = Dialog::of_fork(request, response, client.hop) else { return };
        if hop.connection.is_some() {
            dialog.hop = hop;
        }
        let mut ack = dialog.request(Method::Ack, dialog.local_seq, Extra::new(), &self.settings);
        for (name, value) in credentials_of(request) {
            ack.headers.push(name, value);
        }
        let way = dialog.next_hop();
        let credentials = client.credentials.clone();
        self.push_via(&mut ack, &way);
        let transmit = Transmit { hop: way, bytes: ack.to_bytes() };
        if let Some(fork) = self.clients.get_mut(&id).and_then(|client| client.forks.last_mut()) {
            fork.ack = Some(transmit.clone());
        }
        self.transmit(transmit.hop, transmit.bytes);
        if bye {
            let number = dialog.local_seq.saturating_add(1);
            let request = dialog.request(Method::Bye, number, Extra::new(), &self.settings);
            self.send(now, request, way, Owner::Nobody, credentials);
        }
    }

    /// Our INVITE failed for good.
    pub(super) fn on_refused(&mut self, now: Now, id: DialogId, status: u16, response: Option<Response>) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let ours = dialog.ours.take();
        if !dialog.confirmed {
            let ended = dialog.ended;
            self.remove_dialog(id);
            if !ended {
                // A challenge is no answer to a call that was given up before it could be met.
                let given_up = ours.is_some_and(|ours| ours.cancel != Cancel::No);
                let status = if given_up && matches!(status, 401 | 407) { 487 } else { status };
                self.event(Event::Failed { dialog: id, status, response });
            }
            return;
        }
        if dialog.ended {
            return;
        }
        match status {
            408 | 481 => self.lose(now, id),
            _ => {
                self.refresh_later(now, id, status, response.as_ref());
                self.event(Event::ReofferFailed { dialog: id, status });
            }
        }
    }

    /// The dialog does not exist for the other side (§12.2.1.2).
    pub(super) fn lose(&mut self, now: Now, id: DialogId) {
        let Some(dialog) = self.dialogs.get(&id).filter(|dialog| !dialog.ended) else { return };
        if dialog.kind == Kind::Call && !dialog.confirmed {
            // The INVITE decides over an early dialog.
            return;
        }
        let call = dialog.kind == Kind::Call;
        self.event(Event::Gone { dialog: id });
        if call {
            self.send_bye(now, id, Extra::new());
        } else {
            self.remove_dialog(id);
        }
    }

    /// Sends BYE in a dialog and forgets all that is pending in it; the dialog stays until BYE is answered.
    pub(super) fn send_bye(&mut self, now: Now, id: DialogId, extra: Extra) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.ended = true;
        dialog.bye = None;
        dialog.local_seq = dialog.local_seq.saturating_add(1);
        let request = dialog.request(Method::Bye, dialog.local_seq, extra, &self.settings);
        let (hop, credentials) = (dialog.next_hop(), dialog.credentials.clone());
        let theirs = dialog.theirs.take();
        let ours = dialog.ours.take();
        self.clear_dialog_timers(id);
        self.abandon(now, ours);
        if let Some(theirs) = theirs.filter(|theirs| theirs.repeat.is_none()) {
            self.answer(now, theirs.server, 487, Extra::new(), None);
        }
        self.send(now, request, hop, Owner::Bye(id), credentials);
    }

    /// The dialog of a re-INVITE has ended: nobody waits for its answer longer than for any other (§17.1.1.2 would
    /// wait for ever after a provisional one).
    fn abandon(&mut self, now: Now, ours: Option<OurInvite>) {
        let Some(id) = ours.map(|ours| ours.client) else { return };
        if self.clients.get(&id).is_some_and(|client| client.state == client::State::Proceeding) {
            self.timers.set(Timer::Expire(id), now.mono + 64 * self.settings.t1);
        }
    }

    /// Whether an INVITE's dialog has ended without it.
    pub(super) fn is_abandoned(&self, owner: Owner) -> bool {
        match owner {
            Owner::Invite(id) => self.dialogs.get(&id).is_none_or(|dialog| dialog.ours.is_none()),
            Owner::Nobody | Owner::Bye(_) | Owner::Refresh(_) | Owner::User(..) => false,
        }
    }

    fn send_cancel(&mut self, now: Now, id: DialogId) {
        let Some(ours) = self.dialogs.get_mut(&id).and_then(|dialog| dialog.ours.as_mut()) else { return };
        let Cancel::Wanted(extra) = std::mem::replace(&mut ours.cancel, Cancel::Sent) else { return };
        let Some(client) = self.clients.get(&ours.client) else { return };
        let Some(invite) = client.request.as_deref() else { return };
        let mut request = hop_request(invite, Method::Cancel);
        add(&mut request.headers, extra);
        // §9.1: along the INVITE's own way, which may have got its connection since.
        let hop = client.hop;
        let branch = client.key.branch.clone();
        self.launch(now, request, branch, hop, Owner::Nobody, None);
        self.timers.set(Timer::Cancelled(id), now.mono + 64 * self.settings.t1);
    }

    /// 64·T1 after CANCEL without final response: the call is over (§9.1).
    pub(super) fn on_cancel_expire(&mut self, now: Now, id: DialogId) {
        let Some(ours) = self.dialogs.get(&id).and_then(|dialog| dialog.ours.as_ref()) else { return };
        let client = ours.client;
        self.remove_client(client);
        self.on_refused(now, id, 487, None);
    }
}

impl OurInvite {
    fn new(client: TransactionId, cseq: u32) -> OurInvite {
        OurInvite { client, cseq, cancel: Cancel::No, answered: None, settled: false, rseqs: Vec::new() }
    }
}

fn credentials_of(request: &Request) -> Vec<(Name, Bytes)> {
    let of = |name: &Name| matches!(name, Name::Authorization | Name::ProxyAuthorization);
    request
        .headers
        .iter()
        .filter(|(name, _)| of(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
