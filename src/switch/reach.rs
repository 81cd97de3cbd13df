//! A user's contacts now: what to ring, along which way, and whether the answer must be confirmed by a key.

use crate::model::id::Number;
use crate::model::queue::Confirm;
use crate::model::user::Rings;
use crate::model::user::User;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::switch::location::Location;
use crate::switch::outbound;

/// One thing to ring.
#[derive(Clone, Debug)]
pub(crate) enum Contact {
    /// A registered phone: its flows, the one to try first at the front.
    Device(Vec<Binding>),
    /// A number through a trunk.
    Phone(Number),
}

/// Everything of a person that rings now, devices first; `aors` are the person's devices.
pub(crate) fn contacts(person: &User, aors: &[Aor], location: &Location) -> Vec<Contact> {
    let mut contacts = Vec::new();
    for rings in &person.rings {
        match rings {
            Rings::Devices => {
                let phones = aors.iter().flat_map(|aor| outbound::phones(location.of(aor)));
                contacts.extend(phones.map(Contact::Device));
            }
            Rings::Mobile => contacts.extend(person.mobile.clone().map(Contact::Phone)),
            Rings::App => {}
        }
    }
    contacts
}

/// Whether anything of a person can ring.
pub(crate) fn reachable(person: &User, aors: &[Aor], location: &Location) -> bool {
    person.rings.iter().any(|rings| match rings {
        Rings::Devices => aors.iter().any(|aor| !location.of(aor).is_empty()),
        Rings::Mobile => person.mobile.is_some(),
        Rings::App => false,
    })
}

/// Whether who answers at `contact` must press 1: by default phones through a trunk, whose voicemail may answer.
pub(crate) fn must_confirm(contact: &Contact, confirm: Confirm) -> bool {
    match confirm {
        Confirm::Always => true,
        Confirm::Never => false,
        Confirm::Auto => matches!(contact, Contact::Phone(_)),
    }
}
