//! What can be watched: what a subscribed name means to a watcher, what of the switch it depends on, and the facts
//! that its documents are made of.
//!
//! A watcher sees its own company. What others see of a call is what the called phone shows: a hidden caller is
//! hidden here too.

use std::time::Duration;
use std::time::Instant;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::LegId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::MailboxId;
use crate::model::id::MailboxKey;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::switch::Switch;
use crate::switch::call::Call;
use crate::switch::event::Document;
use crate::switch::event::Package;
use crate::switch::event::dialog_info::Dialog;
use crate::switch::event::dialog_info::DialogIds;
use crate::switch::event::dialog_info::Direction;
use crate::switch::event::dialog_info::Party;
use crate::switch::event::dialog_info::State;
use crate::switch::event::message_summary::Summary;
use crate::switch::event::presence;
use crate::switch::event::reginfo::Contact;
use crate::switch::event::reginfo::Registration;
use crate::switch::event::ua_profile;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::leg::LegState;
use crate::switch::location::Aor;
use crate::switch::mailbox;
use crate::switch::people::Order;
use crate::switch::reach;
use crate::switch::route;
use crate::switch::route::Origin;
use crate::switch::route::Target;
use crate::switch::service::Service;
use crate::switch::subscriptions::Watcher;
use crate::time::Now;

/// Calls of one user that a document names; nobody has more buttons.
const DIALOGS_MAX: usize = 20;

/// What a change is about: the key by which watchers are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Watched {
    /// Calls, registrations, log-in, pause and publications of a user.
    User(UserKey),
    /// Callers in a queue or ring group.
    Line(LineKey),
    /// A toggle.
    Toggle(CompanyId, ToggleId),
    /// A parking slot.
    Slot(CompanyId, u32),
    /// All boxes that a user may listen to.
    Mail(UserKey),
    /// One box.
    Mailbox(MailboxKey),
    /// The configuration of a company, which is looked at when it is loaded anew.
    Configuration(CompanyId),
}

/// What a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Calls of a user.
    Calls(UserKey),
    /// Whether callers wait in a queue or ring group, or ring.
    Line(LineKey),
    /// Whether a toggle is on.
    Toggle(CompanyId, ToggleId),
    /// Whether somebody is parked in a slot.
    Slot(CompanyId, u32),
    /// Whether a user is logged in to a queue or group, or anywhere.
    Login(UserKey, Option<LineId>),
    /// Whether a user is on pause.
    Pause(UserKey),
    /// All boxes that a user may listen to.
    Mail(UserKey),
    /// One box.
    Mailbox(MailboxKey),
    /// Whether a user can be reached.
    Presence(UserKey),
    /// The devices of a user.
    Registrations(UserKey),
    /// The configuration of a device.
    Profile(CompanyId, DeviceId),
}

impl Resource {
    /// What it depends on.
    pub(crate) fn watched(&self) -> Watched {
        match self {
            Resource::Calls(user)
            | Resource::Login(user, _)
            | Resource::Pause(user)
            | Resource::Presence(user)
            | Resource::Registrations(user) => Watched::User(user.clone()),
            Resource::Line(line) => Watched::Line(line.clone()),
            Resource::Toggle(company, toggle) => Watched::Toggle(company.clone(), toggle.clone()),
            Resource::Slot(company, slot) => Watched::Slot(company.clone(), *slot),
            Resource::Mail(user) => Watched::Mail(user.clone()),
            Resource::Mailbox(mailbox) => Watched::Mailbox(mailbox.clone()),
            Resource::Profile(company, _) => Watched::Configuration(company.clone()),
        }
    }
}

/// What a name in a Request-URI means inside a company.
pub(crate) enum Named {
    User(UserId),
    Line(LineId),
    Mailbox(MailboxId),
    Toggle(ToggleId),
    Service(Service),
}

impl Switch {
    /// What a name means to somebody of a company: as when dialled, else as the name of a user or a device. Nothing
    /// of another company is found.
    pub(crate) fn named(&self, watcher: &Watcher, name: &str) -> Option<Named> {
        let company = self.config.companies.get(&watcher.company)?;
        let origin = Origin::User { company: &watcher.company, user: &watcher.user };
        match route::route(&self.config, &origin, name) {
            Ok(Target::Inside { company: of, destination }) if of == watcher.company => match destination {
                Destination::User(user) => Some(Named::User(user)),
                Destination::Queue(queue) => Some(Named::Line(LineId::Queue(queue))),
                Destination::Group(group) => Some(Named::Line(LineId::Group(group))),
                Destination::Voicemail(mailbox) => Some(Named::Mailbox(mailbox)),
                Destination::Flow(_) | Destination::Phone(_) | Destination::Room(_) | Destination::Hangup => {
                    None
                }
            },
            Ok(Target::Toggle { toggle, .. }) => Some(Named::Toggle(toggle)),
            Ok(Target::Service { service: Service::Toggle(toggle), .. }) => Some(Named::Toggle(toggle)),
            Ok(Target::Service { service, .. }) => Some(Named::Service(service)),
            Ok(
                Target::Inside { .. } | Target::Phone { .. } | Target::Outside { .. } | Target::Barred { .. },
            )
            | Err(_) => {
                let user = company.users.get_key_value(name).map(|(user, _)| user.clone());
                let of_device = || company.devices.get(name).map(|device| device.user.clone());
                user.or_else(of_device).map(Named::User)
            }
        }
    }

    /// What a watcher gets who subscribes to a name; else the status that says why not.
    pub(crate) fn resource(&self, watcher: &Watcher, package: Package, name: &str) -> Result<Resource, u16> {
        let own = watcher.user_key();
        let in_company = |user: UserId| UserKey { company: own.company.clone(), user };
        let named = self.named(watcher, name);
        match (package, named) {
            (Package::Dialog, Some(Named::User(user))) => Ok(Resource::Calls(in_company(user))),
            (Package::Dialog, Some(Named::Line(line))) => {
                Ok(Resource::Line(LineKey { company: own.company, line }))
            }
            (Package::Dialog, Some(Named::Toggle(toggle))) => Ok(Resource::Toggle(own.company, toggle)),
            (Package::Dialog, Some(Named::Service(Service::Login(line)))) => Ok(Resource::Login(own, line)),
            (Package::Dialog, Some(Named::Service(Service::People(Order::Slot(slot))))) => {
                Ok(Resource::Slot(own.company, slot))
            }
            (Package::Dialog, Some(Named::Service(Service::Pause(_)))) => Ok(Resource::Pause(own)),
            (Package::Presence, Some(Named::User(user))) => Ok(Resource::Presence(in_company(user))),
            (Package::Reg, Some(Named::User(user))) if user == own.user => Ok(Resource::Registrations(own)),
            (Package::MessageSummary, Some(Named::User(user))) if user == own.user => Ok(Resource::Mail(own)),
            // What others have registered, and their messages, are their own.
            (Package::Reg | Package::MessageSummary, Some(Named::User(_))) => Err(403),
            (Package::MessageSummary, Some(Named::Service(Service::Voicemail(None)))) => {
                Ok(Resource::Mail(own))
            }
            // Some phones ask for their messages at the server as such.
            (Package::MessageSummary, None) if name.is_empty() => Ok(Resource::Mail(own)),
            (
                Package::MessageSummary,
                Some(Named::Mailbox(mailbox) | Named::Service(Service::Voicemail(Some(mailbox)))),
            ) => {
                let company = self.config.companies.get(&own.company).ok_or(404_u16)?;
                let may = mailbox::boxes_of(company, &own.user).contains(&mailbox);
                let key = MailboxKey { company: own.company, mailbox };
                if may { Ok(Resource::Mailbox(key)) } else { Err(403) }
            }
            // RFC 6080 §5.1: the Request-URI of a phone that knows little may be anything.
            (Package::UaProfile, _) => {
                let of = Resource::Profile(watcher.company.clone(), watcher.device.clone());
                if self.profile(&watcher.company, &watcher.device).is_some() { Ok(of) } else { Err(404) }
            }
            (Package::Dialog | Package::Presence | Package::Reg | Package::MessageSummary, _) => Err(404),
        }
    }

    /// The state of a resource; none when it is gone.
    pub(crate) fn document(&self, now: Now, resource: &Resource, entity: &str) -> Option<Document> {
        let lamp = |on: bool| {
            let state = if on { State::Confirmed } else { State::Terminated };
            Document::Dialogs(vec![Dialog::lamp(state)])
        };
        let company = |id: &CompanyId| self.config.companies.get(id);
        match resource {
            Resource::Calls(user) => {
                let company = company(&user.company)?;
                company.users.get(&user.user)?;
                Some(Document::Dialogs(self.dialogs_of(company, user)))
            }
            Resource::Line(line) => {
                let (waiting, ringing) = self.queues.crowd(line)?;
                let state = match () {
                    () if ringing => State::Early,
                    () if waiting > 0 => State::Confirmed,
                    () => State::Terminated,
                };
                Some(Document::Dialogs(vec![Dialog::lamp(state)]))
            }
            Resource::Slot(id, slot) => {
                let parking = company(id)?.parking.as_ref()?;
                let state = match self.slot_state(id, *slot) {
                    Some(true) => State::Early,
                    Some(false) => State::Confirmed,
                    None if (parking.first..=parking.last).contains(slot) => State::Terminated,
                    None => return None,
                };
                Some(Document::Dialogs(vec![Dialog::lamp(state)]))
            }
            Resource::Toggle(id, toggle) => {
                company(id)?.toggles.get(toggle)?;
                Some(lamp(self.toggles.is_on(id, toggle, now.utc)))
            }
            Resource::Login(user, Some(line)) => {
                let line = LineKey { company: user.company.clone(), line: line.clone() };
                self.queues.crowd(&line)?;
                Some(lamp(self.queues.logged_in(user, &line)))
            }
            Resource::Login(user, None) => Some(lamp(self.queues.standing(user).logged_in)),
            Resource::Pause(user) => Some(lamp(self.queues.standing(user).paused)),
            Resource::Mail(user) => {
                let boxes = mailbox::boxes_of(company(&user.company)?, &user.user);
                Some(self.summary(&user.company, boxes, entity))
            }
            Resource::Mailbox(key) => {
                company(&key.company)?.mailboxes.get(&key.mailbox)?;
                Some(self.summary(&key.company, vec![key.mailbox.clone()], entity))
            }
            Resource::Presence(user) => {
                let company = company(&user.company)?;
                let person = self.people.person(company, &user.user, now.utc)?;
                let own = self.people.standing(company, &user.user, now.utc);
                let standing = self.queues.standing(user);
                let in_call = |dialog: &Dialog| {
                    dialog.state == State::Confirmed || dialog.direction == Some(Direction::Initiator)
                };
                Some(Document::Presence(presence::of(presence::Facts {
                    reachable: reach::reachable(&person, self.devices_of(user), &self.location),
                    in_call: self.dialogs_of(company, user).iter().any(in_call),
                    do_not_disturb: own.do_not_disturb,
                    absent: own.absent.as_ref().map(|absence| &*absence.reason),
                    away: standing.paused || (standing.listed && !standing.logged_in),
                    published: self.publications.newest(user),
                })))
            }
            Resource::Registrations(user) => {
                company(&user.company)?.users.get(&user.user)?;
                let devices = self.devices_of(user).iter().map(|aor| self.registration(aor));
                Some(Document::Registrations(devices.collect()))
            }
            Resource::Profile(company, device) => self.profile(company, device).map(Document::Profile),
        }
    }

    /// When the state of a resource changes without anything happening.
    pub(crate) fn changes_at(&self, now: Now, resource: &Resource) -> Option<Instant> {
        let Resource::Toggle(company, toggle) = resource else { return None };
        let until = self.toggles.until(company, toggle, now.utc)?;
        Some(now.mono + Duration::try_from(until.duration_since(now.utc)).unwrap_or(Duration::ZERO))
    }

    fn summary(&self, company: &CompanyId, boxes: Vec<MailboxId>, account: &str) -> Document {
        let (mut new, mut old) = (0, 0);
        for mailbox in boxes {
            let counts = self.mailboxes.counts(&MailboxKey { company: company.clone(), mailbox });
            new += counts.new;
            old += counts.saved;
        }
        Document::Messages(Summary { account: account.to_owned(), new, old })
    }

    fn registration(&self, aor: &Aor) -> Registration {
        let contact = |binding: &crate::switch::location::Binding| Contact {
            uri: binding.record.contact.to_string(),
            expires: binding.record.expires,
            call_id: binding.record.call_id.to_string(),
            cseq: binding.record.cseq,
            q: binding.record.q,
            instance: binding.record.instance.as_ref().map(ToString::to_string),
        };
        Registration {
            aor: format!("sip:{}@{}", aor.device, aor.domain),
            id: aor.device.to_string(),
            contacts: self.location.of(aor).iter().map(contact).collect(),
        }
    }

    fn profile(&self, company: &CompanyId, device: &DeviceId) -> Option<String> {
        let of = self.config.companies.get(company)?.devices.get(device)?;
        let template = self.config.server.profile_url.as_ref()?;
        ua_profile::address(template, device.as_str(), of.mac.as_deref())
    }

    /// A user's calls, as the user's own phones know them.
    fn dialogs_of(&self, company: &Company, user: &UserKey) -> Vec<Dialog> {
        let mut dialogs = Vec::new();
        for call in self.subscriptions.calls_of(user).filter_map(|call| self.calls.get(&call)) {
            if call.caller_user().as_ref() == Some(user) {
                dialogs.extend(self.dialog_of(company, user, call, call.caller));
            }
            let legs = answering_legs(call)
                .filter(|leg| self.legs.get(leg).is_some_and(|leg| leg.user.as_ref() == Some(user)));
            dialogs.extend(legs.filter_map(|leg| self.dialog_of(company, user, call, leg)));
        }
        dialogs.truncate(DIALOGS_MAX);
        dialogs
    }

    fn dialog_of(&self, company: &Company, user: &UserKey, call: &Call, leg: LegId) -> Option<Dialog> {
        let of = self.legs.get(&leg)?;
        let state = match of.state {
            LegState::Incoming | LegState::Calling if of.ringing => State::Early,
            LegState::Incoming | LegState::Calling => State::Trying,
            LegState::Up => State::Confirmed,
            LegState::Cancelled => return None,
        };
        let calls = leg == call.caller;
        // Their tag is the phone's own: what is local to us is remote to the phone.
        let ids = self.endpoint.dialog_tags(of.dialog).map(|(ours, theirs)| DialogIds {
            call_id: self.endpoint.call_id(of.dialog).unwrap_or_default().to_owned(),
            local_tag: theirs.to_owned(),
            remote_tag: ours.to_owned(),
        });
        let remote = if calls {
            self.called_party(company, call)
        } else {
            Some(party(&identity::shown_inside(&call.facts), company))
        };
        Some(Dialog {
            id: leg.0.to_string(),
            state,
            direction: Some(if calls { Direction::Initiator } else { Direction::Recipient }),
            ids,
            local: Some(party_of(company, &user.user)),
            remote,
        })
    }

    /// Whom a call was made to: the number, and the name of a colleague.
    fn called_party(&self, company: &Company, call: &Call) -> Option<Party> {
        let users = answering_legs(call).filter_map(|leg| self.legs.get(&leg)?.user.as_ref());
        let mut colleagues = users.filter(|user| user.company == company.id);
        let colleague = colleagues.next().map(|user| party_of(company, &user.user));
        let dialled = &call.facts.dialled;
        if dialled.is_empty() {
            return colleague;
        }
        let shown = Shown { number: dialled.clone(), ..Shown::hidden() };
        let uri = shown.name_addr(&company.domain).uri.to_string();
        Some(Party { uri, display: colleague.and_then(|party| party.display) })
    }

    /// Calls that a user is a party of, or is rung by.
    pub(crate) fn calls_with(&self, user: &UserKey) -> impl Iterator<Item = CallId> {
        self.calls.values().filter(|call| self.users_of(call).contains(user)).map(|call| call.id)
    }

    fn users_of(&self, call: &Call) -> Vec<UserKey> {
        let answering = answering_legs(call).filter_map(|leg| self.legs.get(&leg)?.user.clone());
        call.caller_user().into_iter().chain(answering).collect()
    }

    /// Something changed that is watched.
    pub(crate) fn watch_changed(&mut self, what: &Watched) {
        self.subscriptions.changed(what, None);
    }

    /// A call changed: all its parties' watchers learn it when the input in hand is settled.
    pub(crate) fn watch_call(&mut self, call: CallId) {
        if self.subscriptions.is_empty() {
            return;
        }
        let Some(of) = self.calls.get(&call) else { return };
        for user in self.users_of(of) {
            self.subscriptions.changed(&Watched::User(user), Some(call));
        }
    }

    /// One leg of a call changed, or is about to be forgotten.
    pub(crate) fn watch_leg(&mut self, leg: LegId) {
        if self.subscriptions.is_empty() {
            return;
        }
        let Some(of) = self.legs.get(&leg) else { return };
        let call = self.calls.get(&of.call);
        let caller = call.filter(|call| call.caller == leg).and_then(Call::caller_user);
        if let Some(user) = caller.or_else(|| of.user.clone()) {
            let call = call.map(|call| call.id);
            self.subscriptions.changed(&Watched::User(user), call);
        }
    }

    /// A box changed: so did the mail of all who may listen to it.
    pub(crate) fn watch_mailbox(&mut self, mailbox: &MailboxKey) {
        if self.subscriptions.is_empty() {
            return;
        }
        self.watch_changed(&Watched::Mailbox(mailbox.clone()));
        let Some(company) = self.config.companies.get(&mailbox.company) else { return };
        let shared = company.mailboxes.get(&mailbox.mailbox).map(|of| of.users.to_vec()).unwrap_or_default();
        let own = mailbox::user_of(&mailbox.mailbox).map(UserId::from);
        for user in shared.into_iter().chain(own) {
            let user = UserKey { company: mailbox.company.clone(), user };
            self.watch_changed(&Watched::Mail(user));
        }
    }
}

/// The legs of those who were called: the one who talks, and all that ring.
fn answering_legs(call: &Call) -> impl Iterator<Item = LegId> {
    let ringing = call.attempts.values().flat_map(|attempt| attempt.legs.iter().copied());
    call.callee.into_iter().chain(ringing)
}

/// A colleague, by extension, number or name.
fn party_of(company: &Company, user: &UserId) -> Party {
    let person = company.users.get(user);
    let number = person.and_then(|person| person.ext.clone().or_else(|| person.number.clone()));
    let name = person.map(|person| person.name.to_string());
    match number {
        Some(number) => {
            let shown = Shown { number, ..Shown::hidden() };
            Party { uri: shown.name_addr(&company.domain).uri.to_string(), display: name }
        }
        None => Party { uri: format!("sip:{user}@{}", company.domain), display: name },
    }
}

fn party(shown: &Shown, company: &Company) -> Party {
    let from = shown.from(&company.domain);
    Party { uri: from.uri.to_string(), display: from.display }
}
