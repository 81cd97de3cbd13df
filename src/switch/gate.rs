//! The gate: what a request must pass before a transaction, a dialog or a call is made because of it.
//!
//! In this order: is its sender listened to at all; does a request in a dialog come from where the dialog is; is there
//! time for it. What is dropped here costs a look at a table and gets no answer; what is refused gets a stateless one.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::change::Change;
use crate::model::id::TrunkId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::sip;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Message;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::header::Name;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::guard::Place;
use crate::switch::guard::Reason;
use crate::switch::guard::Standing;
use crate::switch::guard::Verdict;
use crate::switch::location::Aor;
use crate::switch::overload::Rank;
use crate::switch::spared::Spared;
use crate::time::Now;

/// Seconds after which a request that was turned away may come again: at least, and so many more by chance, lest
/// all come at once.
const RETRY_AFTER_S: (usize, usize) = (5, 20);

impl Switch {
    /// Passes on what SIP may hear; the rest has been dropped or answered.
    pub(crate) fn screen(&mut self, now: Now, input: sip::Input) -> Option<sip::Input> {
        let sip::Input::Message { hop, message: Message::Request(request) } = input else {
            return Some(input);
        };
        let ip = hop.remote.ip();
        let place = self.place(now, hop);
        let agent = request.headers.get(&Name::UserAgent);
        if let Verdict::Drop(reason) = self.guard.look(now.mono, ip, place, agent.as_deref()) {
            self.note(now, ip, reason);
            return None;
        }
        if let Some((status, extra)) = self.out_of_place(now, &request, hop) {
            self.note(now, ip, Reason::Origin);
            self.endpoint.turn_away(request, hop, status, extra);
            return None;
        }
        if self.overload.pressed() && self.overload.turns_away(now.mono, rank(&request, place)) {
            self.note(now, ip, Reason::Overload);
            // RFC 3261 §21.5.4, §20.33.
            let (least, more) = RETRY_AFTER_S;
            let wait = (least + self.rng.below(more)).to_string();
            self.endpoint.turn_away(request, hop, 503, vec![("Retry-After", wait)]);
            return None;
        }
        Some(sip::Input::Message { hop, message: Message::Request(request) })
    }

    /// What is known of where a message came from.
    pub(crate) fn place(&self, now: Now, hop: Hop) -> Place {
        self.guard.place(now.mono, hop.remote.ip())
    }

    /// How an account sees where a message came from.
    pub(crate) fn standing(&self, aor: &Aor, hop: Hop) -> Standing {
        let here = |bound: Hop| (bound.remote, bound.connection) == (hop.remote, hop.connection);
        let registered = self.location.of(aor).iter().any(|binding| here(binding.hop));
        self.guard.standing(aor, hop.remote.ip(), registered)
    }

    /// A wrong name or password: counted, and sooner or later the address is shut out.
    pub(crate) fn wrong_password(&mut self, now: Now, hop: Hop, aor: &Aor, known: bool, standing: Standing) {
        let (ip, place) = (hop.remote.ip(), self.place(now, hop));
        let known = Some(aor).filter(|_| known);
        if let Some(long) = self.guard.failed(now.mono, ip, place, known, standing) {
            tracing::info!(peer = %ip, ?long, ?place, "too many wrong passwords from this address");
        }
        self.note(now, ip, Reason::Password);
    }

    /// Counts something refused; one line in the log for each address and minute.
    pub(crate) fn note(&mut self, now: Now, ip: IpAddr, reason: Reason) {
        if let Some(count) = self.guard.note(now.mono, ip, reason) {
            tracing::info!(peer = %ip, reason = reason.as_str(), count, "requests refused");
        }
    }

    /// Tells the shell whom it need not read any more; its own thread's table is looked at before a message is parsed.
    pub(crate) fn settle_guard(&mut self) {
        while let Some((network, long)) = self.guard.poll_told() {
            self.outputs.push_back(Output::ShutOut { network, long });
        }
    }

    /// Tells what was refused since the last time.
    pub(crate) fn tell_refused(&mut self) {
        for (reason, count) in self.guard.take_counts() {
            self.tell(Change::Refused { reason: reason.as_str().into(), count });
        }
    }

    /// Takes up what the configuration says of guard and overload.
    pub(crate) fn adopt_guard(&mut self, now: Now) {
        let config = Arc::clone(&self.config);
        let settings = config.server.guard.clone();
        let exists = |aor: &Aor| config.devices.contains_key(&(aor.domain.clone(), aor.device.clone()));
        self.overload.set_target(settings.lag);
        self.guard.adopt(settings, exists);
        self.spare_neighbours(now);
    }

    /// Tells the guard where carriers are, and what else is never shut out; called when any of it changes.
    pub(crate) fn spare_neighbours(&mut self, now: Now) {
        let mut spared = Spared::default();
        let trusted = self.config.trunks.values().flat_map(|trunk| &trunk.trusted);
        self.config.server.guard.never.iter().chain(trusted).for_each(|known| spared.add(known));
        let hops = self.trunks.values().flat_map(|state| &state.hops);
        hops.for_each(|hop| spared.add_address(hop.remote.ip()));
        self.guard.spare(now.mono, spared);
        self.settle_guard();
    }

    /// The answer to a CANCEL or a request in a dialog that does not come from its peer; `None` when it may pass.
    ///
    /// A phone that has moved to another address proves its password there, as it does for a new call. A carrier
    /// may send from any address that it is trusted at.
    fn out_of_place(&mut self, now: Now, request: &Request, hop: Hop) -> Option<(u16, Extra)> {
        let ip = hop.remote.ip().to_canonical();
        if request.method == Method::Cancel {
            // RFC 3261 §9.2, §22.1: a CANCEL cannot be challenged.
            let source = self.endpoint.source_of_cancelled(request)?;
            return (source != ip).then(|| (481, Extra::new()));
        }
        let dialog = self.endpoint.dialog_named_by(request)?;
        if self.endpoint.is_at(dialog, ip) {
            return None;
        }
        let stranger = Some((481, Extra::new()));
        match self.peer_of(dialog)? {
            Peer::Trunk(trunk) => {
                let state = self.trunks.get(&trunk);
                let known = state.is_some_and(|state| {
                    state.hops.iter().any(|known| known.remote.ip().to_canonical() == ip)
                });
                if known || self.trunk_at(hop) == Some(trunk) { None } else { stranger }
            }
            // An ACK cannot be challenged either (§22.1).
            Peer::User(_) if request.method == Method::Ack => stranger,
            Peer::User(user) => {
                let aor = self.aor_of(request.from().map(|from| from.uri).as_ref());
                match self.authenticate(now, request, hop, &aor) {
                    Ok((company, device)) => {
                        let of = self.config.companies.get(&company).and_then(|of| of.devices.get(&device));
                        let own = of.is_some_and(|of| of.user == user.user) && company == user.company;
                        if own { None } else { stranger }
                    }
                    Err(refused) => Some(refused),
                }
            }
        }
    }

    /// Whose end a dialog is; none for what is no call's.
    fn peer_of(&self, dialog: DialogId) -> Option<Peer> {
        let leg = self.legs.get(self.by_dialog.get(&dialog)?)?;
        if let Some(trunk) = &leg.trunk {
            return Some(Peer::Trunk(trunk.clone()));
        }
        let caller = || self.calls.get(&leg.call)?.caller_user();
        leg.user.clone().or_else(caller).map(Peer::User)
    }
}

/// Whose end a dialog is.
enum Peer {
    Trunk(TrunkId),
    User(UserKey),
}

/// How much a request matters when there is too much to do.
fn rank(request: &Request, place: Place) -> Rank {
    let tagged = request.to().is_some_and(|to| to.tag().is_some());
    let in_dialog = tagged && request.method != Method::Register;
    let emergency = || request.uri.user().is_some_and(number::is_emergency);
    match &request.method {
        _ if in_dialog => Rank::Always,
        Method::Ack | Method::Cancel | Method::Bye | Method::Prack => Rank::Always,
        Method::Invite if emergency() => Rank::Always,
        _ if place == Place::Stranger => Rank::Stranger,
        Method::Invite => Rank::Call,
        _ => Rank::Upkeep,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_matters_under_load_follows_from_what_it_is_and_who_sends_it() {
        let request = |method: &str, user: &str, tag: &str| {
            let text = format!(
                "{method} sip:{user}@d SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@d>;tag=a\r\nTo: <sip:{user}@d>{tag}\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            match Message::parse(Bytes::from(text), 65_535) {
                Ok(Message::Request(request)) => request,
                other => panic!("{other:?}"),
            }
        };
        let rows = [
            ("INVITE", "100", "", Place::Stranger, Rank::Stranger),
            ("REGISTER", "100", "", Place::Stranger, Rank::Stranger),
            // Some phones keep the tag of an earlier answer.
            ("REGISTER", "100", ";tag=b", Place::Stranger, Rank::Stranger),
            ("INVITE", "100", "", Place::Spared, Rank::Call),
            ("INVITE", "100", "", Place::Home, Rank::Call),
            ("REGISTER", "100", "", Place::Home, Rank::Upkeep),
            ("OPTIONS", "100", "", Place::Spared, Rank::Upkeep),
            ("INVITE", "112", "", Place::Stranger, Rank::Always),
            ("INVITE", "100", ";tag=b", Place::Stranger, Rank::Always),
            ("BYE", "100", ";tag=b", Place::Home, Rank::Always),
            ("ACK", "100", ";tag=b", Place::Stranger, Rank::Always),
            ("CANCEL", "100", "", Place::Stranger, Rank::Always),
        ];
        for (method, user, tag, place, expect) in rows {
            assert_eq!(rank(&request(method, user, tag), place), expect, "{method} {user} {place:?}");
        }
    }
}
