//! REGISTER: which bindings are added, kept and removed (RFC 3261 §10.3, RFC 3327), and what the answer tells
//! (RFC 3608, RFC 5626 §6, RFC 5627 §5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

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
use crate::switch::gruu;
use crate::switch::gruu::Instance;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::switch::outbound;
use crate::switch::watch::Watched;
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
        let mut flow = false;
        match contacts {
            Contacts::Star => {
                if request.expires() != Some(0) {
                    return Err((400, Vec::new()));
                }
                let bound: Vec<Arc<str>> =
                    self.location.of(&aor).iter().map(|b| Arc::clone(&b.key)).collect();
                self.in_order(&aor, &call_id, cseq, |_| true)?;
                for key in bound {
                    self.location.unbind(&aor, &key);
                    self.unbound(now, &aor, &key, "removed");
                }
                self.forget_apps(now, &aor, |_| true);
            }
            Contacts::List(list) => {
                let path = outbound::paths(request).ok_or((400, Vec::new()))?;
                let outbound =
                    outbound::judge(request, &path, &list).map_err(|status| (status, Vec::new()))?;
                let register = Register { call_id, cseq, path, outbound };
                self.add_all(now, request, hop, &aor, &register, &list)?;
                flow = outbound && outbound::supports(request, "outbound");
            }
        }
        self.owner_changed(now, &company, &aor);
        self.app_registered(now, &aor);
        let mut extra = self.granted(now, request, &aor);
        if flow {
            // RFC 5626 §6: only these two together tell the phone that its flow is kept.
            extra.push(("Require", "outbound".into()));
            if request.vias().len() == 1 {
                extra.push(("Flow-Timer", outbound::flow_timer(hop.transport).to_string()));
            }
        }
        Ok(extra)
    }

    /// Adds, refreshes and removes what a REGISTER lists: all of it, or nothing (RFC 3261 §10.3 step 7).
    fn add_all(
        &mut self,
        now: Now,
        request: &Request,
        hop: Hop,
        aor: &Aor,
        register: &Register,
        list: &[NameAddr],
    ) -> Result<(), (u16, Extra)> {
        let mut wanted = Vec::new();
        for contact in list {
            let expires = contact.expires().or_else(|| request.expires()).unwrap_or(EXPIRES_S).min(EXPIRES_S);
            if expires > 0 && expires < MIN_EXPIRES_S {
                return Err((423, vec![("Min-Expires", MIN_EXPIRES_S.to_string())]));
            }
            self.fit_to_bind(aor, contact).map_err(|status| (status, Vec::new()))?;
            let until = now.utc + Duration::from_secs(u64::from(expires));
            wanted.push(Wanted {
                record: register.record(request, hop, aor, contact, until),
                expires,
                contact,
            });
        }
        self.in_order(aor, &register.call_id, register.cseq, |bound| wanted.iter().any(|w| w.means(bound)))?;
        self.make_room_for(now, aor, &wanted)?;
        for Wanted { record, expires, contact } in wanted {
            self.note_app(now, aor, &contact.uri, expires > 0);
            if expires == 0 {
                self.remove(now, aor, &record);
                continue;
            }
            self.end_gruus_of_old_call(aor, &record);
            let way = way_back(request, hop, &contact.uri, &register.path);
            self.tell(Change::Bound { binding: record.clone() });
            let binding = Binding::new(record.clone(), way);
            for replaced in self.location.bind(aor, binding, |old| outbound::replaces(&record, old)) {
                self.unbound(now, aor, &replaced, "replaced");
            }
        }
        Ok(())
    }

    /// Whether a contact may be bound to a device.
    fn fit_to_bind(&self, aor: &Aor, contact: &NameAddr) -> Result<(), u16> {
        let Uri::Sip(uri) = &contact.uri else { return Err(400) };
        if uri.user.as_ref().is_some_and(|user| user.len() > 256) {
            return Err(400);
        }
        // RFC 5627 §5.1: the address of record, or a GRUU of it, would lead back here for ever.
        let own = Uri::parse(&format!("sip:{}@{}", aor.device, aor.domain));
        let loops = own.is_ok_and(|own| own.equals(&contact.uri))
            || (gruu::is_gruu(&contact.uri) && self.phone_of_gruu(&contact.uri).is_some());
        if loops { Err(403) } else { Ok(()) }
    }

    /// Removes the oldest bindings of a device that a REGISTER does not speak of, as far as it brings more than a
    /// device may have: a phone that lost its state must not be locked out by its own past.
    fn make_room_for(&mut self, now: Now, aor: &Aor, wanted: &[Wanted<'_>]) -> Result<(), (u16, Extra)> {
        let lasting = || wanted.iter().filter(|wanted| wanted.expires > 0);
        let most = self.config.server.limits.bindings;
        if lasting().count() > most {
            return Err((403, Vec::new()));
        }
        let others: Vec<Arc<str>> = self
            .location
            .of(aor)
            .iter()
            .filter(|b| !wanted.iter().any(|wanted| wanted.means(&b.record)))
            .map(|b| Arc::clone(&b.key))
            .collect();
        let surplus = (others.len() + lasting().count()).saturating_sub(most);
        for key in others.into_iter().take(surplus) {
            self.location.unbind(aor, &key);
            self.unbound(now, aor, &key, "too many bindings");
        }
        Ok(())
    }

    /// Removes what a contact with `expires=0` means.
    fn remove(&mut self, now: Now, aor: &Aor, record: &BindingRecord) {
        let meant: Vec<Arc<str>> = self
            .location
            .of(aor)
            .iter()
            .filter(|b| b.key == record.key() || outbound::same_uri(&b.record.contact, &record.contact))
            .map(|b| Arc::clone(&b.key))
            .collect();
        for key in meant {
            self.location.unbind(aor, &key);
            self.unbound(now, aor, &key, "removed");
        }
    }

    /// RFC 5627 §5.1: a phone that registers with another Call-ID than before gives up its temporary GRUUs.
    fn end_gruus_of_old_call(&mut self, aor: &Aor, record: &BindingRecord) {
        let Some(instance) = &record.instance else { return };
        let bindings = self.location.of(aor).iter().rev();
        let mut same = bindings
            .filter(|b| b.record.instance.as_ref() == Some(instance) && b.record.reg_id == record.reg_id);
        if same.next().is_some_and(|last| last.record.call_id != record.call_id) {
            self.gruus.end(&phone(aor, instance));
        }
    }

    /// RFC 3261 §10.3 step 7: an older REGISTER of the same Call-ID must not undo a newer one.
    fn in_order(
        &self,
        aor: &Aor,
        call_id: &str,
        cseq: u32,
        concerned: impl Fn(&BindingRecord) -> bool,
    ) -> Result<(), (u16, Extra)> {
        let late = self
            .location
            .of(aor)
            .iter()
            .any(|b| &*b.record.call_id == call_id && b.record.cseq >= cseq && concerned(&b.record));
        if late { Err((500, vec![("Retry-After", "1".into())])) } else { Ok(()) }
    }

    /// The headers of the 200 (RFC 3261 §10.3 step 8): every binding of the device with the seconds that it has left,
    /// and what the phone asked to be told besides.
    fn granted(&mut self, now: Now, request: &Request, aor: &Aor) -> Extra {
        let mut extra: Extra = Vec::new();
        let gruu = outbound::supports(request, "gruu");
        let mut temporary: BTreeMap<Arc<str>, String> = BTreeMap::new();
        for binding in self.location.of(aor) {
            let record = &binding.record;
            let Ok(uri) = Uri::parse(&record.contact) else { continue };
            let left = record.expires.duration_since(now.utc).as_secs().max(0);
            let mut contact = NameAddr::new(uri);
            contact.params.push("expires", Some(&left.to_string()));
            if record.q != 1000 {
                contact.params.push("q", Some(&format!("0.{:03}", record.q)));
            }
            if let Some(instance) = &record.instance {
                contact.params.set_quoted("+sip.instance", instance);
                if let Some(reg_id) = record.reg_id {
                    contact.params.push("reg-id", Some(&reg_id.to_string()));
                }
                if gruu {
                    let of = phone(aor, instance);
                    let temporary = temporary
                        .entry(Arc::clone(instance))
                        .or_insert_with(|| self.gruus.temporary(&mut self.rng, &of));
                    contact.params.set_quoted("pub-gruu", &gruu::public(&of));
                    contact.params.set_quoted("temp-gruu", temporary);
                }
            }
            extra.push(("Contact", contact.to_string()));
        }
        // RFC 3327 §5.3: the phone sees which way it registered if it knows what to do with that.
        if outbound::supports(request, "path") {
            extra.extend(request.headers.all(&Name::Path).map(|path| ("Path", path.into_owned())));
        }
        for route in &self.config.server.service_route {
            // RFC 3608 §6.3: the way that the phone's requests shall take.
            extra.push(("Service-Route", format!("<{route}>")));
        }
        extra.push(("Date", now.utc.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
        extra
    }

    /// A binding ended: others learn it.
    pub(crate) fn unbound(&mut self, now: Now, aor: &Aor, key: &Arc<str>, why: &str) {
        self.tell(Change::Unbound {
            domain: aor.domain.clone(),
            device: aor.device.clone(),
            contact: Arc::clone(key),
            why: why.into(),
        });
        let bound = self.location.of(aor);
        self.gruus.keep(aor, |phone| bound.iter().any(|b| b.record.instance.as_deref() == Some(phone)));
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
        self.watch_changed(&Watched::User(user));
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
        self.location.bind(&aor, Binding::new(record, hop), |_| false);
        self.guard.proved(now.mono, remote.ip(), &aor);
        self.owner_changed(now, &company, &aor);
    }
}

/// What the contacts of one REGISTER have in common.
struct Register {
    call_id: Arc<str>,
    cseq: u32,
    path: Vec<Arc<str>>,
    /// Its `reg-id` counts.
    outbound: bool,
}

impl Register {
    /// The binding that a contact asks for.
    fn record(
        &self,
        request: &Request,
        hop: Hop,
        aor: &Aor,
        contact: &NameAddr,
        expires: Timestamp,
    ) -> BindingRecord {
        let agent = request.headers.get(&Name::UserAgent);
        BindingRecord {
            domain: aor.domain.clone(),
            device: aor.device.clone(),
            contact: contact.uri.to_string().into(),
            path: self.path.clone(),
            transport: hop.transport.via().to_ascii_lowercase().into(),
            remote: hop.remote.to_string().into(),
            local: hop.local.to_string().into(),
            instance: outbound::instance(contact),
            reg_id: outbound::reg_id(contact).filter(|_| self.outbound),
            call_id: Arc::clone(&self.call_id),
            cseq: self.cseq,
            q: contact.q(),
            agent: agent.map(|agent| agent.chars().take(80).collect::<String>().into()),
            expires,
        }
    }
}

/// One contact of a REGISTER.
struct Wanted<'a> {
    record: BindingRecord,
    /// Seconds; 0 removes it.
    expires: u32,
    contact: &'a NameAddr,
}

impl Wanted<'_> {
    /// Whether an older binding is added anew, replaced or removed by it.
    fn means(&self, old: &BindingRecord) -> bool {
        old.key() == self.record.key() || outbound::replaces(&self.record, old)
    }
}

fn phone(aor: &Aor, instance: &Arc<str>) -> Instance {
    Instance { domain: aor.domain.clone(), device: aor.device.clone(), instance: Arc::clone(instance) }
}

/// The way to a contact: through its Path; over the connection it registered on; to where its REGISTER came from
/// when a NAT stands between; else to the address it names.
fn way_back(request: &Request, hop: Hop, contact: &Uri, path: &[Arc<str>]) -> Hop {
    let literal = |uri: &Uri| {
        let target = Target::of(uri, hop.transport)?;
        if target.transport == hop.transport { target.address() } else { None }
    };
    if let Some(first) = path.first() {
        // A proxy's connection is one of many: when it ends, the phones behind it are still there.
        return match NameAddr::parse(first).ok().and_then(|path| literal(&path.uri)) {
            Some(remote) => Hop { remote, connection: None, ..hop },
            None => hop,
        };
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
