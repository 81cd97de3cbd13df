//! Who is calling or registering: a trunk by its certificate or address, a device by its password; everybody else is
//! challenged.
//!
//! Nothing is believed because of what a message claims, and an unknown user is answered like a wrong password
//! (RFC 3261 §22.1, §26.3), so that nobody learns which names exist.

use std::sync::Arc;

use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Request;
use crate::sip::Uri;
use crate::sip::digest;
use crate::sip::header::Credentials;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::guard::Reason;
use crate::switch::location::Aor;
use crate::time::Now;

/// Who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// A carrier.
    Trunk(TrunkId),
    /// A device that proved its password.
    Device { company: CompanyId, user: UserId },
}

impl Switch {
    /// Who sent a request that begins a call; else the status and headers to answer with.
    pub(crate) fn admit(&mut self, now: Now, request: &Request, hop: Hop) -> Result<Admitted, (u16, Extra)> {
        let claims = request.headers.contains(&Name::Authorization);
        if !claims && let Some(trunk) = self.trunk_at(hop) {
            return Ok(Admitted::Trunk(self.nearest_trunk(trunk, request, hop)));
        }
        let from = request.from().map(|from| from.uri);
        let aor = self.aor_of(from.as_ref());
        let (company, device) = self.authenticate(now, request, hop, &aor)?;
        match self.user_of_device(&company, &device) {
            Some(user) => Ok(Admitted::Device { company, user }),
            None => Err((403, Vec::new())),
        }
    }

    /// The trunk that a message came from: the one whose certificate was shown on its connection; else one that
    /// trusts its address, else one that is reached there. A trunk with a certificate is known by that alone.
    pub(crate) fn trunk_at(&self, hop: Hop) -> Option<TrunkId> {
        if let Some(certified) = self.certified_trunk(hop) {
            return Some(certified);
        }
        let trusting = self
            .config
            .trunks
            .iter()
            .filter(|(_, trunk)| trunk.certificate.is_none())
            .find(|(_, trunk)| trunk.trusted.iter().any(|trusted| trusted.contains(hop.remote)))
            .map(|(id, _)| id.clone());
        trusting.or_else(|| {
            self.trunks
                .iter()
                .find(|(id, state)| {
                    let of = self.config.trunks.get(*id);
                    let open = of.is_some_and(|of| of.trusted.is_empty() && of.certificate.is_none());
                    open && state.hops.iter().any(|known| known.remote == hop.remote)
                })
                .map(|(id, _)| id.clone())
        })
    }

    /// The address of record that a URI means: names in a domain of ours, else in the server's own.
    pub(crate) fn aor_of(&self, uri: Option<&Uri>) -> Aor {
        let host =
            uri.and_then(Uri::host).map(|host| host.to_string().to_ascii_lowercase()).unwrap_or_default();
        let known =
            self.config.companies.values().map(|company| &company.domain).find(|domain| ***domain == *host);
        let domain = known.cloned().unwrap_or_else(|| Arc::clone(&self.config.server.domain));
        let device = DeviceId::from(uri.and_then(Uri::user).unwrap_or_default());
        Aor { domain, device }
    }

    /// Checks a request's digest against the password of the device that it names. The credentials must be those
    /// of `claimed` itself: a device speaks for itself only.
    pub(crate) fn authenticate(
        &mut self,
        now: Now,
        request: &Request,
        hop: Hop,
        claimed: &Aor,
    ) -> Result<(CompanyId, DeviceId), (u16, Extra)> {
        let credentials = request
            .headers
            .all(&Name::Authorization)
            .filter_map(|text| Credentials::parse(&text).ok())
            .find(|credentials| credentials.realm == *claimed.domain);
        let Some(credentials) = credentials else {
            return Err((401, self.challenge(now, claimed, false)));
        };
        let device = DeviceId::from(&*credentials.username);
        let aor = Aor { domain: claimed.domain.clone(), device: device.clone() };
        let key = (aor.domain.clone(), device.clone());
        let company = self.config.devices.get(&key).cloned();
        let password = company.as_ref().and_then(|company| self.password_of(company, &aor));
        let (from, standing) = (hop.remote.ip().to_canonical(), self.standing(&aor, hop));
        let open = self.guard.may_try(now.mono, from, &aor, standing);
        // An unknown name costs the same work as a known one, and so does one that may not be tried from here. With
        // no password at all, a stale nonce would tell them apart.
        let secret = password.clone().filter(|_| open).unwrap_or_else(|| Arc::clone(&self.decoy));
        let verdict = self.nonces.verify(now, &credentials, &request.method, &secret, &claimed.domain);
        match (verdict, company) {
            (Ok(()), Some(company)) if password.is_some() && digest::covers(&credentials, &request.uri) => {
                let allowed = self.config.companies.get(&company).and_then(|of| of.devices.get(&device));
                match allowed {
                    Some(found) if found.from.is_empty() || found.from.contains(&from) => {
                        self.guard.proved(now.mono, from, &aor);
                        Ok((company, device))
                    }
                    Some(_) | None => Err((403, Vec::new())),
                }
            }
            (Err(refused), _) if refused.stale => Err((401, self.challenge(now, claimed, true))),
            _ => {
                tracing::debug!(peer = %hop.remote, "wrong name or password");
                match open {
                    true => self.wrong_password(now, hop, &aor, password.is_some(), standing),
                    false => self.note(now, from, Reason::Account),
                }
                Err((401, self.challenge(now, claimed, false)))
            }
        }
    }

    fn challenge(&mut self, now: Now, aor: &Aor, stale: bool) -> Extra {
        self.nonces
            .challenge(now, &mut self.rng, &aor.domain, stale)
            .into_iter()
            .map(|value| ("WWW-Authenticate", value))
            .collect()
    }

    /// The password of a device: from the configuration, else the one that the switch made.
    pub(crate) fn password_of(&self, company: &CompanyId, aor: &Aor) -> Option<Arc<str>> {
        let device = self.config.companies.get(company)?.devices.get(&aor.device)?;
        match &device.password {
            Some(secret) => Some(Arc::clone(&secret.0)),
            None => self.passwords.get(aor).cloned(),
        }
    }
}
