//! Wrong PINs in a row: told to the store, so that a restart opens no lock, and taken back from it.
//!
//! There are at most as many as there are users, boxes and rooms in the configuration; what of the store belongs to nobody
//! is passed over. How many are too many, and for how long, is decided where the PIN is asked for.

use std::time::Duration;

use crate::model::change::Change;
use crate::model::change::PinOf;
use crate::switch::Switch;
use crate::switch::service_number::WrongPins;
use crate::time::Now;
use crate::time::Timestamp;

/// How long ago that was; no time when it is still to come.
pub(crate) fn since(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

impl Switch {
    /// Tells the store how many wrong PINs in a row there are; none after a right one.
    pub(crate) fn tell_pin_tries(&mut self, now: Now, of: PinOf, times: u32) {
        self.tell(Change::PinTries { of, times, at: now.utc });
    }

    /// Takes wrong PINs back from the store.
    pub(crate) fn restore_pin_tries(&mut self, of: PinOf, times: u32, at: Timestamp) {
        let company = match &of {
            PinOf::Service(user) | PinOf::Desk(user) => &user.company,
            PinOf::Mailbox(mailbox) => &mailbox.company,
            PinOf::Room(room) => &room.company,
        };
        let Some(company) = self.config.companies.get(company) else { return };
        match of {
            PinOf::Service(user) if company.users.contains_key(&user.user) => {
                self.wrong_pins.insert(user, WrongPins { times, last: at });
            }
            PinOf::Desk(user) if company.users.contains_key(&user.user) => {
                self.between.wrong_pins.insert(user, (times, at));
            }
            PinOf::Mailbox(mailbox) if company.mailboxes.contains_key(&mailbox.mailbox) => {
                self.mailboxes.restore_tries(mailbox, times, at);
            }
            PinOf::Room(room) if company.rooms.contains_key(&room.room) => {
                self.conferences.restore_pin_tries(room, times, at);
            }
            PinOf::Service(_) | PinOf::Desk(_) | PinOf::Mailbox(_) | PinOf::Room(_) => {}
        }
    }
}
