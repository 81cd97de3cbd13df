//! Several flows of one phone (RFC 5626): which REGISTER makes one, what it replaces, and which flow rings.
//!
//! Plain functions over bindings, which `registrar.rs` and `reach.rs` call, and what becomes of a leg whose flow fails.
//! The STUN half of keep-alives is in `sip/stun.rs`. Left out: timing out flows that send no keep-alives, for streams end by themselves and datagram
//! flows end with their binding.

use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::change::BindingRecord;
use crate::model::id::LegId;
use crate::sip::Extra;
use crate::sip::Request;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::sip::value;
use crate::switch::Switch;
use crate::switch::identity::Shown;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::time::Now;

/// Longest `+sip.instance` that counts; a URN of a UUID has 47 octets.
const INSTANCE_MAX: usize = 128;

/// Most Path values of a binding; more can only be an attack.
const PATHS_MAX: usize = 8;

/// Seconds between keep-alives on a stream: below the patience of the usual NAT (RFC 5626 §4.4).
const STREAM_KEEP_ALIVE_S: u32 = 120;
/// On UDP; the phone takes 80 to 100 per cent, which is what §4.4.2 recommends.
const DATAGRAM_KEEP_ALIVE_S: u32 = 29;

/// The instance that a Contact names. Of UUIDs the case does not count (RFC 8141 §3.1, RFC 4122 §3).
pub(crate) fn instance(contact: &NameAddr) -> Option<Arc<str>> {
    let instance = contact.param("+sip.instance").filter(|text| (1..=INSTANCE_MAX).contains(&text.len()))?;
    // Echoed in headers and written into GRUUs.
    if !instance.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)) {
        return None;
    }
    let uuid = instance.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("<urn:uuid:"));
    Some(if uuid { instance.to_ascii_lowercase().into() } else { instance.into() })
}

/// The flow that a Contact names. RFC 5626 §6: a `reg-id` without instance is passed over.
pub(crate) fn reg_id(contact: &NameAddr) -> Option<u32> {
    let reg_id = contact.param("reg-id")?.parse().ok().filter(|number| (1..=0x7fff_ffff).contains(number))?;
    instance(contact).map(|_| reg_id)
}

/// Whether the `reg-id` of a REGISTER counts (RFC 5626 §6).
///
/// # Errors
/// The status to refuse it with: 439 when the phone asks for outbound through a first hop that does not do it, 400
/// when one request would make several flows.
pub(crate) fn judge(request: &Request, paths: &[Arc<str>], list: &[NameAddr]) -> Result<bool, u16> {
    if !list.iter().any(|contact| reg_id(contact).is_some()) {
        return Ok(false);
    }
    let first_hop = request.vias().len() == 1;
    // The proxy next to the phone wrote the last value: each one writes its own above those before it (RFC 3327 §5.2).
    let outbound_proxy = || {
        let uri = paths.last().and_then(|path| NameAddr::parse(path).ok()).map(|path| path.uri);
        uri.as_ref().and_then(Uri::as_sip).is_some_and(|uri| uri.params.contains("ob"))
    };
    if !first_hop && !outbound_proxy() {
        return if supports(request, "outbound") { Err(439) } else { Ok(false) };
    }
    let lasting = |contact: &&NameAddr| contact.expires().or(request.expires()) != Some(0);
    if list.iter().filter(lasting).count() > 1 {
        return Err(400);
    }
    Ok(true)
}

/// Whether a request's Supported names the option.
pub(crate) fn supports(request: &Request, option: &str) -> bool {
    request.tokens(&Name::Supported).iter().any(|token| token.eq_ignore_ascii_case(option))
}

/// The Path values of a REGISTER, one by one, the proxy next to us first (RFC 3327 §5.3); `None` when one cannot be
/// read, or when there are too many.
pub(crate) fn paths(request: &Request) -> Option<Vec<Arc<str>>> {
    let mut paths: Vec<Arc<str>> = Vec::new();
    for header in request.headers.all(&Name::Path) {
        for path in value::list(&header) {
            NameAddr::parse(path).ok()?.uri.as_sip()?;
            paths.push(path.into());
        }
    }
    (paths.len() <= PATHS_MAX).then_some(paths)
}

/// Whether a new binding takes the place of an old one of the same device.
pub(crate) fn replaces(new: &BindingRecord, old: &BindingRecord) -> bool {
    let same_instance = new.instance.is_some() && new.instance == old.instance;
    match (new.reg_id, old.reg_id) {
        (Some(new), Some(old)) => same_instance && new == old,
        // The phone has learned to make flows: what it bound before is the same phone.
        (Some(_), None) => same_instance,
        (None, Some(_)) => false,
        // RFC 3261 §10.3 step 7 knows contacts only. But a phone that was restarted has another Call-ID, often another
        // port, and does not listen where it did.
        (None, None) => same_uri(&new.contact, &old.contact) || (same_instance && new.call_id != old.call_id),
    }
}

/// Whether two contact URIs are one (RFC 3261 §19.1.4).
pub(crate) fn same_uri(a: &str, b: &str) -> bool {
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if a.equals(&b))
}

/// The ways to the phones behind a device's bindings (newest last): a list for each phone, the flow to try first at
/// its front. RFC 5626 §7: of one instance, one contact rings at a time.
pub(crate) fn phones(bindings: &[Binding]) -> Vec<Vec<Binding>> {
    let mut phones: Vec<Vec<Binding>> = Vec::new();
    for binding in bindings {
        let same = |phone: &&mut Vec<Binding>| {
            binding.record.instance.is_some() && phone[0].record.instance == binding.record.instance
        };
        match phones.iter_mut().find(same) {
            Some(phone) => phone.push(binding.clone()),
            None => phones.push(vec![binding.clone()]),
        }
    }
    for phone in &mut phones {
        // The one the phone likes best, and of those the one that was heard of last.
        phone.reverse();
        phone.sort_by_key(|binding| std::cmp::Reverse(binding.record.q));
    }
    phones
}

/// Whether another flow of the same phone may be tried after this outcome. RFC 5626 §7: any other answer is the
/// phone's own. Without answer, the flow itself has failed.
pub(crate) fn may_try_another(status: u16, answered: bool) -> bool {
    status == 430 || (!answered && matches!(status, 408 | 503))
}

/// The flows of a phone that is being called, and what it is told.
#[derive(Debug)]
pub(crate) struct Flows {
    /// The INVITE went along this one.
    pub(crate) tried: Binding,
    /// Those to try when it fails.
    pub(crate) left: Vec<Binding>,
    pub(crate) shown: Shown,
    pub(crate) alerting: Extra,
}

impl Switch {
    /// A leg has failed: calls the same phone along its next flow, if the flow was at fault and there is another one.
    /// Tells whether it did; the failed leg is forgotten then.
    pub(crate) fn next_flow(&mut self, now: Now, leg: LegId, status: u16, answered: bool) -> bool {
        if !may_try_another(status, answered) {
            return false;
        }
        let Some(of) = self.legs.get_mut(&leg) else { return false };
        let Some(flows) = of.flows.take() else { return false };
        let (call, confirm, attempt, user) = (of.call, of.confirm, of.attempt, of.user.clone());
        let Flows { tried, left, shown, alerting } = *flows;
        let aor = Aor { domain: tried.record.domain.clone(), device: tried.record.device.clone() };
        // RFC 5626 §7: nothing will come through a flow that is told to be gone. Silence may have other causes.
        if tried.record.reg_id.is_some() && status != 408 && self.location.unbind(&aor, &tried.key) {
            self.unbound(now, &aor, &tried.key, "flow failed");
        }
        let (Some(attempt), Some(user)) = (attempt, user) else { return false };
        let ringing = |switch: &mut Switch| switch.attempt(call, attempt).map_or(0, |of| of.legs.len());
        let before = ringing(self);
        self.invite_device(now, call, attempt, &user, left, shown, alerting, confirm);
        if ringing(self) == before {
            return false;
        }
        self.forget_leg(now, leg);
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.remove(&leg);
        }
        true
    }
}

/// Seconds between keep-alives that we ask for (Flow-Timer).
pub(crate) fn flow_timer(transport: Transport) -> u32 {
    if transport.reliable() { STREAM_KEEP_ALIVE_S } else { DATAGRAM_KEEP_ALIVE_S }
}

/// The instance that this server is at the registrars of others: the same after each restart (RFC 5626 §4.1), a name-
/// based UUID of RFC 9562 §5.8.
pub(crate) fn own_instance(name: &str) -> String {
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(format!("sentral instance {name}"))[..16]);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex[from..to].concat();
    format!("<urn:uuid:{}-{}-{}-{}-{}>", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::Hop;
    use crate::sip::Message;
    use crate::sip::header::Contacts;
    use crate::time::Timestamp;

    const INSTANCE: &str = "+sip.instance=\"<urn:uuid:A>\"";

    #[test]
    fn a_reg_id_counts_when_the_first_hop_takes_part() {
        let flow = &format!("Contact: <sip:a@h>;reg-id=1;{INSTANCE}");
        let other = "Contact: <sip:b@h>";
        let rows: &[(&[&str], Result<bool, u16>)] = &[
            (&[flow], Ok(true)),
            (&[flow, "Supported: path,outbound"], Ok(true)),
            // Nothing names a flow: no instance, or no number.
            (&["Contact: <sip:a@h>;reg-id=1"], Ok(false)),
            (&[&flow.replace("=1", "=0")], Ok(false)),
            (&[&flow.replace("=1", "=x")], Ok(false)),
            // One flow a request; others may only be removed.
            (&[flow, other], Err(400)),
            (&[flow, "Contact: <sip:b@h>;expires=0"], Ok(true)),
            // A proxy stands between.
            (&["Via: SIP/2.0/UDP p", flow], Ok(false)),
            (&["Via: SIP/2.0/UDP p", flow, "Supported: outbound"], Err(439)),
            (&["Via: SIP/2.0/UDP p", flow, "k: outbound", "Path: <sip:p;lr>"], Err(439)),
            (&["Via: SIP/2.0/UDP p", flow, "k: outbound", "Path: <sip:p;lr;ob>"], Ok(true)),
            // The one next to the phone decides.
            (&["Via: SIP/2.0/UDP p", flow, "k: outbound", "Path: <sip:q;lr>, <sip:p;lr;ob>"], Ok(true)),
            (&["Via: SIP/2.0/UDP p", flow, "k: outbound", "Path: <sip:q;lr;ob>, <sip:p;lr>"], Err(439)),
        ];
        for (headers, expect) in rows {
            let request = register(headers);
            let Ok(Contacts::List(list)) = request.contacts() else { panic!("{headers:?}") };
            let paths = paths(&request).unwrap();
            assert_eq!(judge(&request, &paths, &list), *expect, "{headers:?}");
        }
    }

    #[test]
    fn paths_are_read_one_by_one_and_not_without_end() {
        let read = |path: &str| paths(&register(&[&format!("Path: {path}"), "Path: <sip:c;lr>"]));
        let texts: Vec<String> =
            read("<sip:a;lr>,<sip:b;lr;x=1>").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["<sip:a;lr>", "<sip:b;lr;x=1>", "<sip:c;lr>"]);
        assert_eq!(read("<sip:a;lr>, ?"), None);
        assert_eq!(read("<tel:1>"), None);
        assert_eq!(read(&["<sip:a;lr>"; 8].join(",")), None);
    }

    #[test]
    fn a_binding_takes_the_place_of_the_same_flow_and_of_the_same_phone_before_its_restart() {
        let old = |reg_id| record("sip:a@192.0.2.7:5060", Some("<urn:uuid:a>"), reg_id, "call", 1000);
        let rows = [
            // (new, old has this reg-id, replaced)
            (record("sip:b@h", Some("<urn:uuid:a>"), Some(1), "x", 1000), Some(1), true),
            (record("sip:a@192.0.2.7:5060", Some("<urn:uuid:a>"), Some(2), "x", 1000), Some(1), false),
            (record("sip:a@192.0.2.7:5060", Some("<urn:uuid:b>"), Some(1), "x", 1000), Some(1), false),
            (record("sip:b@h", Some("<urn:uuid:a>"), Some(1), "x", 1000), None, true),
            (record("sip:a@192.0.2.7:5060", Some("<urn:uuid:a>"), None, "x", 1000), Some(1), false),
            (record("sip:a@192.0.2.7:5060;x=1", None, None, "x", 1000), None, true),
            (record("sip:A@192.0.2.7:5060", None, None, "x", 1000), None, false),
            (record("sip:b@h", Some("<urn:uuid:a>"), None, "x", 1000), None, true),
            // Two contacts that one phone registers on purpose.
            (record("sip:b@h", Some("<urn:uuid:a>"), None, "call", 1000), None, false),
        ];
        for (new, reg_id, expect) in rows {
            assert_eq!(replaces(&new, &old(reg_id)), expect, "{new:?} over {reg_id:?}");
        }
    }

    #[test]
    fn of_one_instance_the_flow_it_likes_best_comes_first_and_then_the_newest() {
        let hop = Hop {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.7:5060".parse().unwrap(),
            connection: None,
        };
        let bindings: Vec<Binding> = [
            record("sip:1@h", Some("<urn:uuid:a>"), Some(1), "x", 1000),
            record("sip:2@h", None, None, "x", 1000),
            record("sip:3@h", Some("<urn:uuid:a>"), Some(2), "x", 1000),
            record("sip:4@h", Some("<urn:uuid:a>"), Some(3), "x", 500),
            record("sip:5@h", Some("<urn:uuid:b>"), None, "x", 1000),
            record("sip:6@h", None, None, "x", 1000),
        ]
        .into_iter()
        .map(|record| Binding::new(record, hop))
        .collect();
        let phones: Vec<Vec<String>> = phones(&bindings)
            .iter()
            .map(|phone| phone.iter().map(|b| b.record.contact.to_string()).collect())
            .collect();
        let expect: &[&[&str]] =
            &[&["sip:3@h", "sip:1@h", "sip:4@h"], &["sip:2@h"], &["sip:5@h"], &["sip:6@h"]];
        assert_eq!(phones, expect);
    }

    #[test]
    fn this_server_is_the_same_instance_after_each_restart() {
        let instance = own_instance("one");
        assert_eq!(instance, own_instance("one"));
        assert_ne!(instance, own_instance("two"));
        assert!(instance.starts_with("<urn:uuid:") && instance.len() == 47, "{instance}");
        assert_eq!(&instance[24..25], "8", "a name-based UUID: {instance}");
    }

    fn record(
        uri: &str,
        instance: Option<&str>,
        reg_id: Option<u32>,
        call_id: &str,
        q: u16,
    ) -> BindingRecord {
        BindingRecord {
            domain: "h".into(),
            device: "a".into(),
            contact: uri.into(),
            path: Vec::new(),
            transport: "udp".into(),
            remote: "192.0.2.7:5060".into(),
            local: "192.0.2.1:5060".into(),
            instance: instance.map(Into::into),
            reg_id,
            call_id: call_id.into(),
            cseq: 1,
            q,
            agent: None,
            expires: Timestamp::UNIX_EPOCH,
        }
    }

    fn register(headers: &[&str]) -> Request {
        let text = format!(
            "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n{}\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n",
            headers.join("\r\n")
        );
        match Message::parse(Bytes::from(text), 65_535) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }
}
