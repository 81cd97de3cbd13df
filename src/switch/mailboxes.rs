//! All boxes and what lies in them, as it stands: messages, greetings, PINs and their locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Config;
use crate::model::change::Change;
use crate::model::id::MailboxKey;
use crate::model::mailbox::Mailbox;
use crate::model::mailbox::Message;
use crate::model::mailbox::Occasion;
use crate::switch::diversion::Why;
use crate::time::Timestamp;

/// Wrong PINs of a box, over all calls, before it is locked.
const PINS_BEFORE_LOCK: u32 = 5;
/// How long it is locked first, and at most.
const LOCK_MIN: Duration = Duration::from_secs(60);
const LOCK_MAX: Duration = Duration::from_secs(3600);

/// All messages by box, as told by changes.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes {
    /// Oldest first.
    boxes: BTreeMap<MailboxKey, Vec<Message>>,
    greetings: BTreeMap<(MailboxKey, Occasion), Greeting>,
    /// In place of the configured ones.
    pins: BTreeMap<MailboxKey, Arc<str>>,
    locks: BTreeMap<MailboxKey, Lock>,
}

/// A greeting that somebody has recorded.
#[derive(Clone, Debug)]
struct Greeting {
    file: Arc<str>,
    until: Option<Timestamp>,
}

/// Wrong PINs since the last right one.
#[derive(Clone, Copy, Debug)]
struct Lock {
    failures: u32,
    until: Option<Timestamp>,
}

/// How many messages are in a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not heard.
    pub new: u32,
    /// Heard or saved.
    pub saved: u32,
}

impl Mailboxes {
    /// Learns a fact; those that are not about messages are passed over. Learning one twice changes nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::MessageLeft { message } => {
                let messages = self.boxes.entry(message.mailbox.clone()).or_default();
                if messages.iter().all(|old| old.id != message.id) {
                    let at = messages.partition_point(|old| old.at <= message.at);
                    messages.insert(at, message.clone());
                }
            }
            Change::MessageMarked { mailbox, id, state } => {
                let messages = self.boxes.get_mut(mailbox).into_iter().flatten();
                messages.filter(|message| message.id == *id).for_each(|message| message.state = *state);
            }
            Change::MessageHandled { mailbox, id, handling } => {
                let messages = self.boxes.get_mut(mailbox).into_iter().flatten();
                let found = messages.filter(|message| message.id == *id);
                found.for_each(|message| message.handling = handling.clone());
            }
            Change::GreetingSet { mailbox, occasion, file, until, .. } => {
                let key = (mailbox.clone(), *occasion);
                match file {
                    Some(file) => {
                        let greeting = Greeting { file: Arc::clone(file), until: *until };
                        self.greetings.insert(key, greeting);
                    }
                    None => _ = self.greetings.remove(&key),
                }
            }
            Change::PinSet { mailbox, pin, .. } => _ = self.pins.insert(mailbox.clone(), Arc::clone(pin)),
            Change::MessageDeleted { mailbox, id } => {
                if let Some(messages) = self.boxes.get_mut(mailbox) {
                    messages.retain(|message| message.id != *id);
                    if messages.is_empty() {
                        self.boxes.remove(mailbox);
                    }
                }
            }
            _ => {}
        }
    }

    /// Messages of a box, oldest first.
    pub fn messages(&self, mailbox: &MailboxKey) -> &[Message] {
        self.boxes.get(mailbox).map_or(&[], Vec::as_slice)
    }

    /// How many there are.
    pub fn counts(&self, mailbox: &MailboxKey) -> Counts {
        let messages = self.messages(mailbox);
        let new = messages.iter().filter(|message| message.is_new()).count();
        Counts { new: new as u32, saved: (messages.len() - new) as u32 }
    }

    /// Whether a box of at most `max` messages has no room.
    pub fn is_full(&self, mailbox: &MailboxKey, max: usize) -> bool {
        self.messages(mailbox).len() >= max
    }

    /// The file of the greeting for a caller who comes for this reason; none plays the configured one.
    pub fn greeting(&self, mailbox: &MailboxKey, why: Why, now: Timestamp) -> Option<&Arc<str>> {
        let of = |occasion| {
            let greeting = self.greetings.get(&(mailbox.clone(), occasion))?;
            greeting.until.is_none_or(|until| now < until).then_some(&greeting.file)
        };
        let occasion = match why {
            Why::Busy => Occasion::Busy,
            Why::Away | Why::DoNotDisturb => Occasion::Away,
            Why::Unknown
            | Why::Unconditional
            | Why::NoAnswer
            | Why::Unavailable
            | Why::Deflection
            | Why::FollowMe
            | Why::TimeOfDay
            | Why::OutOfService => Occasion::NoAnswer,
        };
        of(Occasion::Temporary).or_else(|| of(occasion)).or_else(|| of(Occasion::NoAnswer))
    }

    /// The file of a box's greeting, whether it still holds or not.
    pub(crate) fn greeting_file(&self, mailbox: &MailboxKey, occasion: Occasion) -> Option<Arc<str>> {
        self.greetings.get(&(mailbox.clone(), occasion)).map(|greeting| Arc::clone(&greeting.file))
    }

    /// The PIN of a box: as set by telephone, else as configured.
    pub fn pin<'a>(&'a self, key: &MailboxKey, mailbox: &'a Mailbox) -> Option<&'a str> {
        let set = self.pins.get(key).map(|pin| &**pin);
        set.or_else(|| mailbox.pin.as_ref().map(|pin| &*pin.0))
    }

    /// Until when nobody may try a PIN of the box.
    pub fn locked(&self, mailbox: &MailboxKey, now: Timestamp) -> Option<Timestamp> {
        self.locks.get(mailbox)?.until.filter(|until| now < *until)
    }

    /// A PIN was tried. Five wrong ones lock the box, and each further one for twice as long; tells until when.
    pub(crate) fn pin_tried(
        &mut self,
        mailbox: &MailboxKey,
        right: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if right {
            self.locks.remove(mailbox);
            return None;
        }
        let lock = self.locks.entry(mailbox.clone()).or_insert(Lock { failures: 0, until: None });
        lock.failures = lock.failures.saturating_add(1);
        lock.until = locked_until(lock.failures, now);
        lock.until
    }

    /// How many wrong PINs in a row there are for a box.
    pub(crate) fn pin_failures(&self, mailbox: &MailboxKey) -> u32 {
        self.locks.get(mailbox).map_or(0, |lock| lock.failures)
    }

    /// So many wrong PINs in a row have been tried before, the last of them then.
    pub(crate) fn restore_tries(&mut self, mailbox: MailboxKey, failures: u32, at: Timestamp) {
        self.locks.insert(mailbox, Lock { failures, until: locked_until(failures, at) });
    }

    /// Messages that have lain longer than their box keeps them, for deletion.
    pub fn expired(&self, config: &Config, now: Timestamp) -> Vec<(MailboxKey, Arc<str>)> {
        let mut expired = Vec::new();
        for (key, messages) in &self.boxes {
            let company = config.companies.get(&key.company);
            let keep = company.and_then(|company| company.mailboxes.get(&key.mailbox)?.keep);
            let Some(keep) = keep else { continue };
            let old = messages
                .iter()
                .take_while(|message| message.at.checked_add(keep).is_ok_and(|end| end <= now));
            expired.extend(old.map(|message| (key.clone(), message.id.clone())));
        }
        expired
    }
}

/// Until when a box is locked after so many wrong PINs, the last of them `at`.
fn locked_until(failures: u32, at: Timestamp) -> Option<Timestamp> {
    let further = failures.checked_sub(PINS_BEFORE_LOCK)?;
    let long = LOCK_MIN.saturating_mul(2_u32.saturating_pow(further.min(20))).min(LOCK_MAX);
    at.checked_add(long).ok()
}
