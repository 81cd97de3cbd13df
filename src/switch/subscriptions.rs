//! Who is told of what: SUBSCRIBE and NOTIFY for every event package (RFC 6665).
//!
//! A subscription is a device's own: it is let in by its password like a call, and sees its company only. A change
//! is told at once, then at most every [`THROTTLE`] with the state of that moment, and one NOTIFY waits for its
//! answer before the next goes out. Left out: `pending` (whether a watcher may see is decided at once), the
//! suppression of RFC 5839, several subscriptions in one dialog, and filters in the Event header (RFC 4235 §3.2).

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::Response;
use crate::sip::TransactionId;
use crate::sip::Uri;
use crate::sip::header::SubscriptionState;
use crate::sip::header::delta_seconds;
use crate::sip::message::Name;
use crate::sip::uri::Host;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::event::Document;
use crate::switch::event::Package;
use crate::switch::event::Telling;
use crate::switch::watch::Resource;
use crate::switch::watch::Watched;
use crate::time::Now;

/// Granted when nothing is asked for, and at most. Every package leaves the choice to us or suggests as much.
const EXPIRES_S: u32 = 3600;
/// Asked for less: 423 (RFC 6665 §4.2.1.1).
const MIN_EXPIRES_S: u32 = 60;
/// Between two NOTIFYs of one subscription that nobody asked for.
const THROTTLE: Duration = Duration::from_millis(200);
/// Documents written for one input; what is left follows after [`NEXT_BATCH`].
const BATCH: usize = 500;
const NEXT_BATCH: Duration = Duration::from_millis(20);
/// A NOTIFY that was refused with Retry-After is tried again so often.
const RETRIES: u8 = 3;
/// The longest Retry-After that is waited for.
const RETRY_MAX_S: u32 = 300;
/// Longest name of a resource, and `id` of an Event header.
const NAME_MAX: usize = 128;

/// The device that subscribes, publishes or sends, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watcher {
    pub(crate) company: CompanyId,
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
}

impl Watcher {
    /// The user, by name.
    pub(crate) fn user_key(&self) -> UserKey {
        UserKey { company: self.company.clone(), user: self.user.clone() }
    }
}

/// One subscription.
#[derive(Debug)]
struct Subscription {
    watcher: Watcher,
    package: Package,
    /// `id` of the Event header, which NOTIFY repeats (RFC 6665 §8.2.1).
    id: Option<String>,
    /// As subscribed to.
    entity: String,
    resource: Resource,
    ends: Instant,
    /// Counts documents.
    version: u32,
    /// What was told last, and when.
    told: Option<Document>,
    told_at: Option<Instant>,
    /// The NOTIFY that has no answer yet.
    unanswered: Option<TransactionId>,
    /// Something changed since.
    again: bool,
    /// Refused in a row.
    refusals: u8,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    all: HashMap<DialogId, Subscription>,
    watched: HashMap<Watched, Watchers>,
    by_device: HashMap<Watcher, BTreeSet<DialogId>>,
    /// What is watched has changed.
    due: BTreeSet<DialogId>,
}

/// Who watches one thing.
#[derive(Debug, Default)]
struct Watchers {
    dialogs: BTreeSet<DialogId>,
    /// Calls that may concern a watched user; those that ended are dropped when the user is told of next.
    calls: BTreeSet<CallId>,
}

impl Subscriptions {
    /// Whether nobody watches anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Notes that something watched has changed, by which call if by one. Costs one look-up when nobody watches it.
    pub(crate) fn changed(&mut self, what: &Watched, call: Option<CallId>) {
        let Some(watchers) = self.watched.get_mut(what) else { return };
        watchers.calls.extend(call);
        self.due.extend(&watchers.dialogs);
    }

    /// Calls that may concern a watched user.
    pub(crate) fn calls_of(&self, user: &UserKey) -> impl Iterator<Item = CallId> {
        let watchers = self.watched.get(&Watched::User(user.clone()));
        watchers.into_iter().flat_map(|watchers| watchers.calls.iter().copied())
    }

    /// Tells whether it is the first to what it watches.
    fn insert(&mut self, dialog: DialogId, of: Subscription) -> bool {
        let watchers = self.watched.entry(of.resource.watched()).or_default();
        watchers.dialogs.insert(dialog);
        let first = watchers.dialogs.len() == 1;
        self.by_device.entry(of.watcher.clone()).or_default().insert(dialog);
        self.all.insert(dialog, of);
        first
    }

    fn note_calls(&mut self, what: Watched, calls: Vec<CallId>) {
        self.watched.entry(what).or_default().calls.extend(calls);
    }

    fn remove(&mut self, dialog: DialogId) -> Option<Subscription> {
        let of = self.all.remove(&dialog)?;
        self.due.remove(&dialog);
        let watched = of.resource.watched();
        if let Some(watchers) = self.watched.get_mut(&watched) {
            watchers.dialogs.remove(&dialog);
            if watchers.dialogs.is_empty() {
                self.watched.remove(&watched);
            }
        }
        if let Some(own) = self.by_device.get_mut(&of.watcher) {
            own.remove(&dialog);
            if own.is_empty() {
                self.by_device.remove(&of.watcher);
            }
        }
        Some(of)
    }
}

/// What a SUBSCRIBE asks for.
struct Wanted {
    package: Package,
    id: Option<String>,
    expires: u32,
}

impl Switch {
    pub(crate) fn on_subscribe(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        request: &Request,
        hop: Hop,
    ) {
        let done = match dialog {
            Some(dialog) => self.subscribe_again(now, transaction, dialog, request, hop),
            None => self.subscribe(now, transaction, request, hop),
        };
        if let Err((status, extra)) = done {
            self.endpoint.respond(now, transaction, status, extra, None);
        }
    }

    /// A new subscription, or with Expires 0 a single look (RFC 6665 §4.4.3).
    fn subscribe(
        &mut self,
        now: Now,
        transaction: TransactionId,
        request: &Request,
        hop: Hop,
    ) -> Result<(), (u16, Extra)> {
        let wanted = self.wanted(request)?;
        let watcher = self.watcher(now, request, hop)?;
        let name = request.uri.user().unwrap_or_default();
        if name.len() > NAME_MAX {
            return Err((404, Vec::new()));
        }
        let resource =
            self.resource(&watcher, wanted.package, name).map_err(|status| (status, Vec::new()))?;
        if self.subscriptions.all.len() >= self.config.server.limits.subscriptions {
            return Err((503, crate::switch::bridge::retry_after()));
        }
        let granted: Extra = vec![("Expires", wanted.expires.to_string())];
        // Without a dialog the transaction is over: there is nobody to answer.
        let Some(dialog) = self.endpoint.subscribe_accept(now, transaction, granted) else { return Ok(()) };
        self.drop_oldest(now, &watcher);
        let host = request.uri.host().cloned().unwrap_or_else(|| Host::Name(watcher.company.to_string()));
        let entity = Uri::sip(Some(name).filter(|name| !name.is_empty()), host, None).to_string();
        let of = Subscription {
            watcher,
            package: wanted.package,
            id: wanted.id,
            entity,
            resource,
            ends: now.mono + Duration::from_secs(u64::from(wanted.expires)),
            version: 0,
            told: None,
            told_at: None,
            unanswered: None,
            again: false,
            refusals: 0,
        };
        let watched = of.resource.watched();
        if self.subscriptions.insert(dialog, of)
            && let Watched::User(user) = &watched
        {
            // From here on the user's calls are noted as they come.
            let calls: Vec<CallId> = self.calls_with(user).collect();
            self.subscriptions.note_calls(watched, calls);
        }
        self.subscribed(now, dialog, wanted.expires);
        Ok(())
    }

    /// A SUBSCRIBE in its dialog: longer, or no longer.
    fn subscribe_again(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: DialogId,
        request: &Request,
        hop: Hop,
    ) -> Result<(), (u16, Extra)> {
        let wanted = self.wanted(request)?;
        let watcher = self.watcher(now, request, hop)?;
        let of = self.subscriptions.all.get_mut(&dialog).ok_or((481, Vec::new()))?;
        if of.watcher != watcher {
            return Err((403, Vec::new()));
        }
        if (of.package, &of.id) != (wanted.package, &wanted.id) {
            return Err((481, Vec::new()));
        }
        of.ends = now.mono + Duration::from_secs(u64::from(wanted.expires));
        let granted = vec![("Expires", wanted.expires.to_string())];
        self.endpoint.respond(now, transaction, 200, granted, None);
        self.subscribed(now, dialog, wanted.expires);
        Ok(())
    }

    /// RFC 6665 §4.2.2: each accepted SUBSCRIBE is followed by a NOTIFY at once.
    fn subscribed(&mut self, now: Now, dialog: DialogId, expires: u32) {
        if expires == 0 {
            self.end_subscription(now, dialog, "timeout");
            return;
        }
        self.timers.set(Timer::Subscription(dialog), now.mono + Duration::from_secs(u64::from(expires)));
        self.notify(now, dialog, true);
    }

    /// The packages that can be subscribed to, as in Allow-Events.
    pub(crate) fn packages(&self) -> String {
        let offered = Package::ALL.into_iter().filter(|package| self.offers(*package));
        offered.map(Package::name).collect::<Vec<_>>().join(", ")
    }

    fn offers(&self, package: Package) -> bool {
        package != Package::UaProfile || self.config.server.profile_url.is_some()
    }

    /// Reads Event, Accept and Expires.
    fn wanted(&self, request: &Request) -> Result<Wanted, (u16, Extra)> {
        let event = request.headers.get(&Name::Event).unwrap_or_default();
        let event = SubscriptionState::parse(&event).ok();
        let package = event.as_ref().and_then(|event| Package::named(&event.state));
        // RFC 6665 §4.2.1.1: 489 names the packages that there are.
        let Some(package) = package.filter(|package| self.offers(*package)) else {
            return Err((489, vec![("Allow-Events", self.packages())]));
        };
        let id = event.and_then(|event| event.params.value("id").map(str::to_owned));
        if id.as_ref().is_some_and(|id| id.len() > NAME_MAX) {
            return Err((400, Vec::new()));
        }
        if !accepts(request, package.media_type()) {
            return Err((406, Vec::new()));
        }
        let expires = request.expires().unwrap_or(EXPIRES_S).min(EXPIRES_S);
        if expires > 0 && expires < MIN_EXPIRES_S {
            return Err((423, vec![("Min-Expires", MIN_EXPIRES_S.to_string())]));
        }
        Ok(Wanted { package, id, expires })
    }

    /// The device that sent a request, by its password; a trunk watches nothing.
    pub(crate) fn watcher(&mut self, now: Now, request: &Request, hop: Hop) -> Result<Watcher, (u16, Extra)> {
        let aor = self.aor_of(request.from().map(|from| from.uri).as_ref());
        let (company, device) = self.authenticate(now, request, hop, &aor)?;
        let user = self.user_of_device(&company, &device).ok_or((403, Vec::new()))?;
        Ok(Watcher { company, device, user })
    }

    /// A device that has all that it may have loses its oldest: a phone that lost its state must not be locked out
    /// by its own past. `rejected` keeps one that has its state from asking again (RFC 6665 §4.1.3).
    fn drop_oldest(&mut self, now: Now, watcher: &Watcher) {
        let most = self.config.server.limits.subscriptions_per_device;
        let own = self.subscriptions.by_device.get(watcher);
        let oldest = own.filter(|own| own.len() >= most).and_then(|own| own.first().copied());
        if let Some(oldest) = oldest {
            self.end_subscription(now, oldest, "rejected");
        }
    }

    /// The time of a subscription is over.
    pub(crate) fn subscription_over(&mut self, now: Now, dialog: DialogId) {
        self.end_subscription(now, dialog, "timeout");
    }

    /// The last NOTIFY says that the subscription has ended, and why (RFC 6665 §4.2.2).
    fn end_subscription(&mut self, now: Now, dialog: DialogId, why: &str) {
        let Some(of) = self.subscriptions.all.get(&dialog) else { return };
        // What is gone has no state any more; the NOTIFY goes without a document then.
        let document = self.document(now, &of.resource, &of.entity);
        self.tell_watcher(now, dialog, document, format!("terminated;reason={why}"));
        self.drop_subscription(dialog);
    }

    fn drop_subscription(&mut self, dialog: DialogId) {
        self.timers.clear(&Timer::Subscription(dialog));
        self.timers.clear(&Timer::Notify(dialog));
        if self.subscriptions.remove(dialog).is_some() {
            self.endpoint.forget(dialog);
        }
    }

    /// A NOTIFY was answered. Answers to requests in other dialogs are none of ours.
    pub(crate) fn notify_response(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: DialogId,
        status: u16,
        response: Option<&Response>,
    ) {
        let Some(of) = self.subscriptions.all.get_mut(&dialog) else { return };
        let latest = of.unanswered == Some(transaction);
        if latest {
            of.unanswered = None;
        }
        match status {
            ..300 if latest => {
                of.refusals = 0;
                if std::mem::take(&mut of.again) {
                    self.subscriptions.due.insert(dialog);
                }
            }
            ..300 => {}
            // RFC 6665 §4.2.2: these end it; so does silence, which comes here as 408.
            404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604 => self.drop_subscription(dialog),
            _ => {
                let wait = response.and_then(|response| response.headers.get(&Name::RetryAfter));
                let wait =
                    wait.map(|text| delta_seconds(text.split([';', '(', ' ']).next().unwrap_or_default()));
                of.refusals += 1;
                match wait {
                    Some(wait) if of.refusals <= RETRIES => {
                        of.told = None;
                        let wait = Duration::from_secs(u64::from(wait.clamp(1, RETRY_MAX_S)));
                        self.timers.set(Timer::Notify(dialog), now.mono + wait);
                    }
                    Some(_) | None => self.drop_subscription(dialog),
                }
            }
        }
    }

    /// A subscription may be told again, or what it watches changes by itself.
    pub(crate) fn notify_due(&mut self, dialog: DialogId) {
        if self.subscriptions.all.contains_key(&dialog) {
            self.subscriptions.due.insert(dialog);
        }
    }

    /// Tells the watchers of what has changed; tells whether anything had.
    pub(crate) fn flush_subscriptions(&mut self, now: Now) -> bool {
        let due = std::mem::take(&mut self.subscriptions.due);
        let any = !due.is_empty();
        for (count, dialog) in due.into_iter().enumerate() {
            let Some(of) = self.subscriptions.all.get_mut(&dialog) else { continue };
            // One NOTIFY at a time: over UDP a second one could overtake the first.
            if of.unanswered.is_some() {
                of.again = true;
                continue;
            }
            let free = of.told_at.map_or(now.mono, |told| told + THROTTLE);
            let turn = now.mono + NEXT_BATCH * (count / BATCH) as u32;
            let at = free.max(turn);
            if at > now.mono {
                self.timers.set(Timer::Notify(dialog), at);
            } else {
                self.notify(now, dialog, false);
            }
        }
        any
    }

    /// Tells a watcher the state of what it watches: when asked (`always`), else only what is new.
    fn notify(&mut self, now: Now, dialog: DialogId, always: bool) {
        let Some(of) = self.subscriptions.all.get(&dialog) else { return };
        let Some(document) = self.document(now, &of.resource, &of.entity) else {
            self.end_subscription(now, dialog, "noresource");
            return;
        };
        // What changes by itself is looked at again then.
        if let Some(at) = self.changes_at(now, &of.resource) {
            self.timers.set(Timer::Notify(dialog), at);
        }
        if !always && of.told.as_ref() == Some(&document) {
            return;
        }
        let left = of.ends.saturating_duration_since(now.mono).as_secs();
        self.tell_watcher(now, dialog, Some(document), format!("active;expires={left}"));
    }

    fn tell_watcher(&mut self, now: Now, dialog: DialogId, document: Option<Document>, state: String) {
        let Some(of) = self.subscriptions.all.get_mut(&dialog) else { return };
        let event = match &of.id {
            Some(id) => format!("{};id={id}", of.package.name()),
            None => of.package.name().to_owned(),
        };
        let mut extra = vec![("Event", event), ("Subscription-State", state)];
        let body = document.as_ref().map(|document| {
            let before = of.told.as_ref();
            let telling = Telling { entity: &of.entity, version: of.version, at: now.utc, before };
            let (content_type, bytes) = document.write(telling);
            extra.push(("Content-Type", content_type));
            Body { content_type: of.package.media_type(), bytes }
        });
        if body.is_some() {
            of.version += 1;
        }
        of.told = document;
        of.told_at = Some(now.mono);
        of.again = false;
        of.unanswered = self.endpoint.request_in(now, dialog, Method::Notify, extra, body);
        let (gone, watched) = (of.unanswered.is_none(), of.resource.watched());
        if let Some(watchers) = self.subscriptions.watched.get_mut(&watched) {
            watchers.calls.retain(|call| self.calls.contains_key(call));
        }
        if gone {
            // The dialog ended by itself.
            self.drop_subscription(dialog);
        }
    }

    /// After a change of the configuration: who is gone watches no longer, all others are told what is new.
    pub(crate) fn review_subscriptions(&mut self, now: Now) {
        let mut dialogs: Vec<DialogId> = self.subscriptions.all.keys().copied().collect();
        dialogs.sort();
        for dialog in dialogs {
            let Some(of) = self.subscriptions.all.get(&dialog) else { continue };
            let user = self.user_of_device(&of.watcher.company, &of.watcher.device);
            if user.as_ref() == Some(&of.watcher.user) {
                self.subscriptions.due.insert(dialog);
            } else {
                self.end_subscription(now, dialog, "rejected");
            }
        }
    }
}

/// Whether a watcher takes documents of this type; one without Accept takes its package's (RFC 6665 §8.2).
fn accepts(request: &Request, media_type: &str) -> bool {
    let mut accepted = request.tokens(&Name::Accept).into_iter().peekable();
    let (whole, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    accepted.peek().is_none()
        || accepted.any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            range == media_type || range == "*/*" || range.strip_suffix("/*") == Some(whole)
        })
}
