//! PUBLISH: what phones say of their user's presence (RFC 3903 §6).
//!
//! Publications are kept in memory only: a phone publishes again when its time is up or after 412. Left out: every
//! event but `presence` (489), and partial publication.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use crate::model::id::UserKey;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Request;
use crate::sip::TransactionId;
use crate::sip::header::SubscriptionState;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::bridge::retry_after;
use crate::switch::event::Package;
use crate::switch::event::pidf;
use crate::switch::event::pidf::Published;
use crate::switch::watch::Named;
use crate::switch::watch::Watched;
use crate::time::Now;

/// Granted when nothing is asked for, and at most.
const EXPIRES_S: u32 = 3600;
/// Asked for less: 423.
const MIN_EXPIRES_S: u32 = 60;
/// Publications of one user; the oldest makes room, as no phone can take back what it has forgotten.
const PER_USER: usize = 10;

/// What one device said, until it ends.
#[derive(Debug)]
struct Publication {
    /// Entity-tag: new with each PUBLISH.
    tag: String,
    published: Published,
    ends: Instant,
}

/// All publications.
#[derive(Debug, Default)]
pub(crate) struct Publications {
    /// Newest last.
    by_user: HashMap<UserKey, Vec<Publication>>,
    count: usize,
}

impl Publications {
    /// What was published last of a user.
    pub(crate) fn newest(&self, user: &UserKey) -> Option<&Published> {
        self.by_user.get(user)?.last().map(|publication| &publication.published)
    }

    fn position(&self, user: &UserKey, tag: &str) -> Option<usize> {
        self.by_user.get(user)?.iter().position(|publication| publication.tag == tag)
    }

    fn remove(&mut self, user: &UserKey, at: usize) -> Option<Publication> {
        let own = self.by_user.get_mut(user)?;
        let removed = (at < own.len()).then(|| own.remove(at))?;
        if own.is_empty() {
            self.by_user.remove(user);
        }
        self.count -= 1;
        Some(removed)
    }

    /// Makes a publication last longer under a new tag; it stays as old as what it says.
    fn refresh(&mut self, user: &UserKey, at: usize, tag: &str, ends: Instant) {
        if let Some(publication) = self.by_user.get_mut(user).and_then(|own| own.get_mut(at)) {
            publication.tag = tag.to_owned();
            publication.ends = ends;
        }
    }

    fn add(&mut self, user: &UserKey, publication: Publication) {
        if self.by_user.get(user).is_some_and(|own| own.len() >= PER_USER) {
            self.remove(user, 0);
        }
        self.by_user.entry(user.clone()).or_default().push(publication);
        self.count += 1;
    }

    /// When the first publication of a user ends.
    fn next_end(&self, user: &UserKey) -> Option<Instant> {
        self.by_user.get(user)?.iter().map(|publication| publication.ends).min()
    }
}

impl Switch {
    pub(crate) fn on_publish(&mut self, now: Now, transaction: TransactionId, request: &Request, hop: Hop) {
        let (status, extra) = match self.publish(now, request, hop) {
            Ok(extra) => (200, extra),
            Err((status, extra)) => (status, extra),
        };
        self.endpoint.respond(now, transaction, status, extra, None);
    }

    /// The steps of RFC 3903 §6, in their order but for the authentication, which comes before what it protects.
    fn publish(&mut self, now: Now, request: &Request, hop: Hop) -> Result<Extra, (u16, Extra)> {
        let event = request.headers.get(&Name::Event).unwrap_or_default();
        let event = SubscriptionState::parse(&event).ok();
        if event.and_then(|event| Package::named(&event.state)) != Some(Package::Presence) {
            return Err((489, vec![("Allow-Events", Package::Presence.name().to_owned())]));
        }
        let watcher = self.watcher(now, request, hop)?;
        let user = watcher.user_key();
        match self.named(&watcher, request.uri.user().unwrap_or_default()) {
            Some(Named::User(named)) if named == user.user => {}
            // A device speaks for its own user only.
            Some(_) => return Err((403, Vec::new())),
            None => return Err((404, Vec::new())),
        }
        let matched = match request.headers.get(&Name::SipIfMatch) {
            None => None,
            Some(tag) if tag.contains(',') => return Err((400, Vec::new())),
            Some(tag) => Some(self.publications.position(&user, tag.trim()).ok_or((412, Vec::new()))?),
        };
        let expires = request.expires().unwrap_or(EXPIRES_S).min(EXPIRES_S);
        if expires > 0 && expires < MIN_EXPIRES_S {
            return Err((423, vec![("Min-Expires", MIN_EXPIRES_S.to_string())]));
        }
        let published = read(request)?;
        let (tag, ends) = (self.rng.token(), now.mono + Duration::from_secs(u64::from(expires)));
        match (published, matched) {
            (_, Some(at)) if expires == 0 => drop(self.publications.remove(&user, at)),
            (None, Some(at)) => self.publications.refresh(&user, at, &tag, ends),
            // There is nothing that a first publication without body would say.
            (None, None) => return Err((400, Vec::new())),
            (Some(_), None) if self.publications.count >= self.config.server.limits.subscriptions => {
                return Err((503, retry_after()));
            }
            (Some(published), matched) => {
                matched.and_then(|at| self.publications.remove(&user, at));
                if expires > 0 {
                    self.publications.add(&user, Publication { tag: tag.clone(), published, ends });
                }
            }
        }
        self.time_publications(&user);
        self.watch_changed(&Watched::User(user));
        Ok(vec![("SIP-ETag", tag), ("Expires", expires.to_string())])
    }

    /// Publications of a user have ended.
    pub(crate) fn publications_over(&mut self, now: Now, user: &UserKey) {
        let ended = |of: &Publications| {
            of.by_user.get(user).and_then(|own| own.iter().position(|one| one.ends <= now.mono))
        };
        while let Some(at) = ended(&self.publications) {
            self.publications.remove(user, at);
        }
        self.time_publications(user);
        self.watch_changed(&Watched::User(user.clone()));
    }

    fn time_publications(&mut self, user: &UserKey) {
        let timer = Timer::Publication(user.clone());
        match self.publications.next_end(user) {
            Some(at) => self.timers.set(timer, at),
            None => {
                self.timers.clear(&timer);
            }
        }
    }
}

/// What a PUBLISH says, if it has a body.
fn read(request: &Request) -> Result<Option<Published>, (u16, Extra)> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let media_type = Package::Presence.media_type();
    if request.content_type().as_deref() != Some(media_type) {
        return Err((415, vec![("Accept", media_type.to_owned())]));
    }
    if request.body.len() > pidf::SIZE_MAX {
        return Err((413, Vec::new()));
    }
    pidf::read(&request.body).map(Some).ok_or((400, Vec::new()))
}
