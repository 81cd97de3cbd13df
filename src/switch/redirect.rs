//! 3xx from a phone that sends its calls on by itself (RFC 3261 §8.1.3.4): the new target is rung in its place, with
//! the rights of the phone's user and a limit on how often.
//!
//! Only numbers and users of ours are followed: what a Contact with somebody else's host means is not known here. A
//! carrier's redirection counts as a failure.

use crate::model::flow::Destination;
use crate::model::flow::Show;
use crate::model::id::LegId;
use crate::model::id::UserKey;
use crate::model::queue::Confirm;
use crate::sip::Response;
use crate::sip::Uri;
use crate::sip::header::Contacts;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::route::Target;
use crate::time::Now;

/// Redirections that a call follows one after the other.
const REDIRECTIONS_MAX: u8 = 5;

/// Contacts of one answer that are looked at.
const CONTACTS_MAX: usize = 5;

impl Switch {
    /// Follows a redirection; `false` when the status is none.
    pub(crate) fn redirected(
        &mut self,
        now: Now,
        leg: LegId,
        status: u16,
        response: Option<&Response>,
    ) -> bool {
        if !(300..400).contains(&status) {
            return false;
        }
        let followed = response.is_some_and(|response| self.follow(now, leg, response));
        if !followed {
            self.leg_failed(now, leg, 480);
        }
        true
    }

    fn follow(&mut self, now: Now, leg: LegId, response: &Response) -> bool {
        let Some(of) = self.legs.get(&leg) else { return false };
        let (call, redirections) = (of.call, of.redirections);
        let (Some(user), Some(attempt), None) = (of.user.clone(), of.attempt, &of.trunk) else {
            return false;
        };
        if redirections >= REDIRECTIONS_MAX {
            return false;
        }
        let Some(target) = self.new_target(&user, response) else { return false };
        let before = self.attempt(call, attempt).map(|of| of.legs.clone()).unwrap_or_default();
        match &target {
            Target::Inside { company, destination: Destination::User(inside) } => {
                let key = UserKey { company: company.clone(), user: inside.clone() };
                self.ring_user(now, call, attempt, &key, Confirm::Auto, None);
            }
            Target::Outside { number, .. } => {
                let by = Some(user.clone());
                self.ring_phone(now, call, attempt, number.clone(), Confirm::Auto, &Show::Caller, by);
            }
            Target::Inside { .. } | Target::Toggle { .. } | Target::Service { .. } => return false,
        }
        let Some(of) = self.attempt(call, attempt) else { return false };
        let new: Vec<LegId> = of.legs.difference(&before).copied().collect();
        if new.is_empty() {
            return false;
        }
        of.legs.remove(&leg);
        for leg in new {
            if let Some(of) = self.legs.get_mut(&leg) {
                of.redirections = redirections + 1;
            }
        }
        self.forget_leg(now, leg);
        self.decide(now, &user.company, Some(call), "call.redirected", user.user.as_str());
        true
    }

    /// The first Contact, by preference, that leads somewhere we know.
    fn new_target(&self, user: &UserKey, response: &Response) -> Option<Target> {
        let Ok(Contacts::List(mut contacts)) = response.contacts() else { return None };
        contacts.truncate(CONTACTS_MAX);
        contacts.sort_by_key(|contact| std::cmp::Reverse(contact.q()));
        let admitted = Admitted::Device { company: user.company.clone(), user: user.user.clone() };
        contacts.iter().find_map(|contact| {
            let dialled = match &contact.uri {
                Uri::Sip(_) if self.is_ours(&contact.uri, user) => contact.uri.user()?.to_owned(),
                Uri::Tel(tel) => tel.number.clone(),
                Uri::Sip(_) | Uri::Other(_) => return None,
            };
            self.target(&admitted, &dialled).ok()
        })
    }

    /// Whether a URI's host is the company's domain, the server's, or the address that phones know us by.
    fn is_ours(&self, uri: &Uri, user: &UserKey) -> bool {
        let Some(host) = uri.host() else { return false };
        let name = host.to_string();
        let company = self.config.companies.get(&user.company);
        let listens = |ip| {
            let server = &self.config.server;
            server.external == Some(ip)
                || server.sip_udp.iter().chain(&server.sip_tcp).any(|address| address.ip() == ip)
        };
        name.eq_ignore_ascii_case(&self.config.server.domain)
            || company.is_some_and(|company| name.eq_ignore_ascii_case(&company.domain))
            || host.ip().is_some_and(listens)
    }
}
