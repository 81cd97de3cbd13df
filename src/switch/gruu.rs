//! GRUUs (RFC 5627): a URI that reaches one phone of a device, and no other.
//!
//! A public GRUU is the address of record with the instance in it and needs no memory. A temporary one hides both
//! behind a sealed number (in the manner of appendix A.2), so that all that were ever given out hold without being
//! listed. The keys are made at start: temporary GRUUs do not outlive the process, and phones get new ones with their
//! next REGISTER.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::id::DeviceId;
use crate::model::id::UserId;
use crate::rand::Rng;
use crate::sip::Uri;
use crate::sip::uri::SipUri;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::switch::route::Target;

/// What the user part of a temporary GRUU begins with; no device may have such a name.
const TEMPORARY: &str = "tgruu.";

/// One phone: a device and the instance that it calls itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    /// SIP domain of the device.
    pub domain: Arc<str>,
    /// The device.
    pub device: DeviceId,
    /// `+sip.instance`, with its angle brackets.
    pub instance: Arc<str>,
}

impl Instance {
    fn aor(&self) -> Aor {
        Aor { domain: self.domain.clone(), device: self.device.clone() }
    }

    /// Whether these are flows of this phone.
    pub(crate) fn is_bound_by(&self, flows: &[Binding]) -> bool {
        flows.first().is_some_and(|flow| {
            let of = &flow.record;
            of.domain == self.domain
                && of.device == self.device
                && of.instance.as_ref() == Some(&self.instance)
        })
    }
}

/// The phones that have temporary GRUUs: as many as there are bound instances, however many GRUUs they have.
#[derive(Debug)]
pub(crate) struct Gruus {
    key: [u8; 32],
    by_number: HashMap<u64, Instance>,
    /// The instances of a device, with their numbers.
    numbers: HashMap<Aor, Vec<(Arc<str>, u64)>>,
}

impl Gruus {
    /// None, with keys of their own.
    pub(crate) fn new(rng: &mut Rng) -> Gruus {
        let mut key = [0; 32];
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&rng.bits().to_be_bytes());
        }
        Gruus { key, by_number: HashMap::new(), numbers: HashMap::new() }
    }

    /// Another temporary GRUU of a phone; those before it hold too.
    pub(crate) fn temporary(&mut self, rng: &mut Rng, of: &Instance) -> String {
        let known = self.numbers.entry(of.aor()).or_default();
        let number = known.iter().find(|(instance, _)| *instance == of.instance).map(|(_, number)| *number);
        let number = number.unwrap_or_else(|| {
            // One in 2⁶⁴ would be another phone's: the next one then.
            let mut number = rng.bits();
            while self.by_number.contains_key(&number) {
                number = number.wrapping_add(1);
            }
            self.by_number.insert(number, of.clone());
            known.push((Arc::clone(&of.instance), number));
            number
        });
        let salt = rng.bits();
        let sealed = number ^ self.pad(salt);
        format!("sip:{TEMPORARY}{salt:016x}{sealed:016x}{:020x}@{};gr", self.proof(salt, sealed), of.domain)
    }

    /// Ends all temporary GRUUs of a phone.
    pub(crate) fn end(&mut self, of: &Instance) {
        self.keep(&of.aor(), |instance| *instance != *of.instance);
    }

    /// Ends the temporary GRUUs of those phones of a device for which `bound` does not hold.
    pub(crate) fn keep(&mut self, aor: &Aor, bound: impl Fn(&str) -> bool) {
        let Some(known) = self.numbers.get_mut(aor) else { return };
        known.retain(|(instance, number)| {
            let keep = bound(instance);
            if !keep {
                self.by_number.remove(number);
            }
            keep
        });
        if known.is_empty() {
            self.numbers.remove(aor);
        }
    }

    /// Whose temporary GRUU a user part is.
    fn read(&self, user: &str) -> Option<&Instance> {
        let text = user.strip_prefix(TEMPORARY).filter(|text| text.len() == 52 && text.is_ascii())?;
        let salt = u64::from_str_radix(&text[..16], 16).ok()?;
        let sealed = u64::from_str_radix(&text[16..32], 16).ok()?;
        let proof = u128::from_str_radix(&text[32..], 16).ok()?;
        if proof != self.proof(salt, sealed) {
            return None;
        }
        self.by_number.get(&(sealed ^ self.pad(salt)))
    }

    fn pad(&self, salt: u64) -> u64 {
        let digest =
            Sha256::new().chain_update(self.key).chain_update(b"pad").chain_update(salt.to_be_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.finalize()[..8]);
        u64::from_be_bytes(first)
    }

    /// 80 bits over a text of fixed length, so that a keyed digest is enough.
    fn proof(&self, salt: u64, sealed: u64) -> u128 {
        let digest = Sha256::new()
            .chain_update(self.key)
            .chain_update(b"proof")
            .chain_update(salt.to_be_bytes())
            .chain_update(sealed.to_be_bytes())
            .finalize();
        digest[..10].iter().fold(0, |proof, byte| proof << 8 | u128::from(*byte))
    }
}

/// The public GRUU of a phone (RFC 5627 §5.4, appendix A.1).
pub(crate) fn public(of: &Instance) -> String {
    let Ok(mut uri) = Uri::parse(&format!("sip:{}@{}", of.device, of.domain)) else {
        return format!("sip:{};gr", of.domain);
    };
    if let Uri::Sip(sip) = &mut uri {
        let urn = of.instance.trim_start_matches('<').trim_end_matches('>');
        sip.params.set("gr", Some(urn));
    }
    uri.to_string()
}

/// Whether a URI claims to be a GRUU.
pub(crate) fn is_gruu(uri: &Uri) -> bool {
    uri.as_sip().is_some_and(|uri| uri.params.contains("gr"))
}

impl Switch {
    /// The phone that a GRUU in a domain of ours means, bound or not: `None` when it is no GRUU of ours that holds.
    pub(crate) fn phone_of_gruu(&self, uri: &Uri) -> Option<Instance> {
        let sip: &SipUri = uri.as_sip()?;
        if sip.user.as_deref()?.starts_with(TEMPORARY) {
            return self.gruus.read(sip.user.as_deref()?).cloned();
        }
        let urn = sip.params.value("gr").filter(|urn| !urn.is_empty())?;
        let aor = self.aor_of(Some(uri));
        if !self.config.devices.contains_key(&(aor.domain.clone(), aor.device.clone())) {
            return None;
        }
        let escaped = |bound: &str| {
            let of =
                Instance { domain: aor.domain.clone(), device: aor.device.clone(), instance: bound.into() };
            Uri::parse(&public(&of))
                .is_ok_and(|gruu| gruu.as_sip().and_then(|gruu| gruu.params.value("gr")) == Some(urn))
        };
        let known =
            self.location.of(&aor).iter().filter_map(|b| b.record.instance.as_ref()).find(|i| escaped(i));
        let instance = known.map_or_else(|| format!("<{urn}>").into(), Arc::clone);
        Some(Instance { domain: aor.domain, device: aor.device, instance })
    }

    /// Where a call to a GRUU leads; `None` when it is addressed to none.
    ///
    /// # Errors
    /// 404 when the GRUU does not hold (RFC 5627 §6.1) or is another company's; one without a phone leads to a call
    /// that nobody takes.
    pub(crate) fn gruu_target(&self, admitted: &Admitted, uri: &Uri) -> Option<Result<Target, u16>> {
        let Admitted::Device { company, .. } = admitted else { return None };
        if !is_gruu(uri) {
            return None;
        }
        let found = self.phone_of_gruu(uri).and_then(|only| {
            let of = self.config.devices.get(&(only.domain.clone(), only.device.clone()))?;
            let user: UserId = self.config.companies.get(of)?.devices.get(&only.device)?.user.clone();
            (of == company).then(|| Target::Phone { company: company.clone(), user, only })
        });
        Some(found.ok_or(404))
    }
}
