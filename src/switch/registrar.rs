//! REGISTER: which bindings are added, kept and removed (RFC 3261 §10.3, RFC 3327).

use std::sync::Arc;
use std::time::Duration;

use crate::model::change::BindingRecord;
use crate::model::change::Change;
use crate::model::id::CompanyId;
use crate::model::id::UserKey;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Request;
use crate::sip::TransactionId;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::header::Contacts;
use crate::sip::header::NameAddr;
use crate::sip::message::Name;
use crate::sip::target::Target;
use crate::switch::Switch;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::time::Now;

/// Granted when nothing is asked for, and at most.
const EXPIRES_S: u32 = 3600;
/// Asked for less: 423 (RFC 3261 §10.3 step 7).
const MIN_EXPIRES_S: u32 = 60;

impl Switch {
    pub(crate) fn on_register(&mut self, now: Now, transaction: TransactionId, request: &Request, hop: Hop) {
        let (status, extra) = match self.register(now, request, hop) {
            Ok(extra) => (200, extra),
            Err((status, extra)) => (status, extra),
        };
        if status == 401 || status == 403 {
            let why =
                if request.headers.contains(&Name::Authorization) { "credentials" } else { "challenged" };
            if why == "credentials" {
                self.tell(Change::RegistrationFailed { why: why.into() });
            }
        }
        self.endpoint.respond(now, transaction, status, extra, None);
    }

    fn register(&mut self, now: Now, request: &Request, hop: Hop) -> Result<Extra, (u16, Extra)> {
        let to = request.to().map(|to| to.uri);
        let aor = self.aor_of(to.as_ref());
        let (company, device) = self.authenticate(now, request, hop, &aor)?;
        if device != aor.device {
            return Err((403, Vec::new()));
        }
        let contacts = request.contacts().map_err(|_| (400, Vec::new()))?;
        let (call_id, cseq) = match (request.call_id(), request.cseq()) {
            (Some(call_id), Some(cseq)) => (Arc::<str>::from(call_id.as_ref()), cseq.number),
            _ => return Err((400, Vec::new())),
        };
        match contacts {
            Contacts::Star => {
                if request.expires() != Some(0) {
                    return Err((400, Vec::new()));
                }
                let bound: Vec<Arc<str>> =
                    self.location.of(&aor).iter().map(|b| Arc::clone(&b.record.contact)).collect();
                self.in_order(&aor, &call_id, cseq, |_| true)?;
                for contact in bound {
                    self.location.unbind(&aor, &contact);
                    self.unbound(now, &aor, &contact, "removed");
                }
            }
            Contacts::List(list) => self.add_all(now, request, hop, &aor, &call_id, cseq, &list)?,
        }
        self.owner_changed(now, &company, &aor);
        Ok(self.granted(now, request, &aor))
    }

    /// Adds, refreshes and removes what a REGISTER lists: all of it, or nothing (RFC 3261 §10.3 step 7).
    fn add_all(
        &mut self,
        now: Now,
        request: &Request,
        hop: Hop,
        aor: &Aor,
        call_id: &Arc<str>,
        cseq: u32,
        list: &[NameAddr],
    ) -> Result<(), (u16, Extra)> {
        let mut wanted = Vec::new();
        for contact in list {
            let expires = contact.expires().or_else(|| request.expires()).unwrap_or(EXPIRES_S).min(EXPIRES_S);
            if expires > 0 && expires < MIN_EXPIRES_S {
                return Err((423, vec![("Min-Expires", MIN_EXPIRES_S.to_string())]));
            }
            let Uri::Sip(uri) = &contact.uri else { return Err((400, Vec::new())) };
            if uri.user.as_ref().is_some_and(|user| user.len() > 256) {
                return Err((400, Vec::new()));
            }
            wanted.push((contact, Arc::<str>::from(contact.uri.to_string()), expires));
        }
        self.in_order(aor, call_id, cseq, |bound| wanted.iter().any(|(_, contact, _)| **contact == *bound))?;
        let fresh = wanted
            .iter()
            .filter(|(_, uri, expires)| {
                *expires > 0 && !self.location.of(aor).iter().any(|b| b.record.contact == *uri)
            })
            .count();
        let most = self.config.server.limits.bindings;
        if fresh > most {
            return Err((403, Vec::new()));
        }
        let surplus = (self.location.of(aor).len() + fresh).saturating_sub(most);
        if surplus > 0 {
            // The oldest ones make room: a phone that lost its state must not be locked out by its own past.
            let oldest: Vec<Arc<str>> =
                self.location.of(aor).iter().take(surplus).map(|b| Arc::clone(&b.record.contact)).collect();
            for contact in oldest {
                self.location.unbind(aor, &contact);
                self.unbound(now, aor, &contact, "too many bindings");
            }
        }
        let path: Vec<Arc<str>> = request.headers.all(&Name::Path).map(|path| path.as_ref().into()).collect();
        for (contact, uri, expires) in wanted {
            if expires == 0 {
                if self.location.unbind(aor, &uri) {
                    self.unbound(now, aor, &uri, "removed");
                }
                continue;
            }
            let record = BindingRecord {
                domain: aor.domain.clone(),
                device: aor.device.clone(),
                contact: uri,
                path: path.clone(),
                transport: hop.transport.via().to_ascii_lowercase().into(),
                remote: hop.remote.to_string().into(),
                local: hop.local.to_string().into(),
                instance: contact.param("+sip.instance").map(Into::into),
                call_id: Arc::clone(call_id),
                cseq,
                q: contact.q(),
                agent: request
                    .headers
                    .get(&Name::UserAgent)
                    .map(|agent| agent.chars().take(80).collect::<String>().into()),
                expires: now.utc + Duration::from_secs(u64::from(expires)),
            };
            let way = way_back(request, hop, &contact.uri, &path);
            self.tell(Change::Bound { binding: record.clone() });
            if let Some(replaced) = self.location.bind(aor, Binding { record, hop: way }) {
                self.unbound(now, aor, &replaced, "replaced");
            }
        }
        Ok(())
    }

    /// RFC 3261 §10.3 step 7: an older REGISTER of the same Call-ID must not undo a newer one.
    fn in_order(
        &self,
        aor: &Aor,
        call_id: &str,
        cseq: u32,
        concerned: impl Fn(&str) -> bool,
    ) -> Result<(), (u16, Extra)> {
        let late =
            self.location.of(aor).iter().any(|b| {
                concerned(&b.record.contact) && &*b.record.call_id == call_id && b.record.cseq >= cseq
            });
        if late { Err((500, vec![("Retry-After", "1".into())])) } else { Ok(()) }
    }

    /// The headers of the 200: every binding of the device, with the seconds that it has left.
    fn granted(&self, now: Now, request: &Request, aor: &Aor) -> Extra {
        let mut extra: Extra = self
            .location
            .of(aor)
            .iter()
            .map(|b| {
                let left = b.record.expires.duration_since(now.utc).as_secs().max(0);
                ("Contact", format!("<{}>;expires={left}", b.record.contact))
            })
            .collect();
        let supports_path =
            request.headers.all(&Name::Supported).any(|s| s.to_ascii_lowercase().contains("path"));
        if supports_path {
            extra.extend(request.headers.all(&Name::Path).map(|path| ("Path", path.into_owned())));
        }
        extra
    }

    /// A binding ended: others learn it.
    pub(crate) fn unbound(&mut self, now: Now, aor: &Aor, contact: &Arc<str>, why: &str) {
        self.tell(Change::Unbound {
            domain: aor.domain.clone(),
            device: aor.device.clone(),
            contact: Arc::clone(contact),
            why: why.into(),
        });
        if let Some(company) = self.config.devices.get(&(aor.domain.clone(), aor.device.clone())).cloned() {
            self.owner_changed(now, &company, aor);
        }
    }

    /// What a device's user can be reached at has changed.
    fn owner_changed(&mut self, now: Now, company: &CompanyId, aor: &Aor) {
        let of = self.config.companies.get(company);
        let Some(device) = of.and_then(|of| of.devices.get(&aor.device)) else { return };
        let user = UserKey { company: company.clone(), user: device.user.clone() };
        self.refresh_agent(now, &user);
    }

    /// Takes back a binding that the store kept. One on a connection of an earlier life cannot be used.
    pub(crate) fn restore_binding(&mut self, now: Now, record: BindingRecord) {
        let (Ok(remote), Ok(local)) = (record.remote.parse(), record.local.parse()) else { return };
        if record.expires <= now.utc || &*record.transport != "udp" {
            return;
        }
        let aor = Aor { domain: record.domain.clone(), device: record.device.clone() };
        let Some(company) = self.config.devices.get(&(aor.domain.clone(), aor.device.clone())).cloned()
        else {
            return;
        };
        let hop = Hop { transport: Transport::Udp, local, remote, connection: None };
        self.location.bind(&aor, Binding { record, hop });
        self.guard.proved(now.mono, remote.ip(), &aor);
        self.owner_changed(now, &company, &aor);
    }
}

/// The way to a contact: through its Path; over the connection it registered on; to where its REGISTER came from
/// when a NAT stands between; else to the address it names.
fn way_back(request: &Request, hop: Hop, contact: &Uri, path: &[Arc<str>]) -> Hop {
    let literal = |uri: &Uri| {
        let target = Target::of(uri, hop.transport)?;
        if target.transport == hop.transport { target.address() } else { None }
    };
    if let Some(first) = path.first() {
        let proxy = NameAddr::parse(first).ok().and_then(|path| literal(&path.uri));
        return Hop { remote: proxy.unwrap_or(hop.remote), ..hop };
    }
    if hop.transport.reliable() {
        return hop;
    }
    // RFC 3581: a sent-by that differs from where the packet came from tells of a NAT.
    let behind_nat = request.via().is_none_or(|via| {
        via.host.ip() != Some(hop.remote.ip().to_canonical()) || via.port.unwrap_or(5060) != hop.remote.port()
    });
    match literal(contact) {
        Some(remote) if !behind_nat => Hop { remote, ..hop },
        Some(_) | None => hop,
    }
}
