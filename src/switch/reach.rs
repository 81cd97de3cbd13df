//! A user's contacts now: what to ring and when, along which way, and whether the answer must be confirmed by a key.

use std::time::Duration;

use crate::model::id::Number;
use crate::model::queue::Confirm;
use crate::model::user::ContactRule;
use crate::model::user::Rings;
use crate::model::user::User;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::switch::location::Location;
use crate::switch::outbound;
use crate::switch::waking;

/// One thing to ring.
#[derive(Clone, Debug)]
pub(crate) enum Contact {
    /// A registered phone: its flows, the one to try first at the front.
    Device(Vec<Binding>),
    /// A number through a trunk.
    Phone(Number),
}

/// Everything of a person that rings now by these rules, in their order; `aors` are the person's devices.
pub(crate) fn contacts(
    person: &User,
    rules: &[ContactRule],
    aors: &[Aor],
    location: &Location,
) -> Vec<(Contact, ContactRule)> {
    let mut contacts = Vec::new();
    for rule in rules {
        match rule.what {
            Rings::Devices => {
                let phones = aors.iter().flat_map(|aor| outbound::phones(location.of(aor)));
                contacts.extend(phones.map(|phone| (Contact::Device(phone), *rule)));
            }
            Rings::Mobile => contacts.extend(person.mobile.clone().map(|to| (Contact::Phone(to), *rule))),
            Rings::Phones | Rings::App => {
                let wanted = rule.what == Rings::App;
                let phones = aors.iter().flat_map(|aor| outbound::phones(location.of(aor)));
                let phones = phones.filter(|phone| is_app(phone) == wanted);
                contacts.extend(phones.map(|phone| (Contact::Device(phone), *rule)));
            }
        }
    }
    contacts
}

/// Whether a phone is an app that can be woken.
fn is_app(phone: &[Binding]) -> bool {
    phone.first().is_some_and(|binding| waking::target(binding).is_some())
}

/// Whether anything of a person can ring.
pub(crate) fn reachable(person: &User, aors: &[Aor], location: &Location) -> bool {
    rings(person, &person.rings, aors, location)
}

/// Whether anything of a person can ring by these rules.
pub(crate) fn rings(person: &User, rules: &[ContactRule], aors: &[Aor], location: &Location) -> bool {
    rules.iter().any(|rule| match rule.what {
        Rings::Devices => {
            aors.iter().any(|aor| !location.of(aor).is_empty() || !location.apps(aor).is_empty())
        }
        Rings::Mobile => person.mobile.is_some(),
        Rings::Phones => {
            aors.iter().any(|aor| location.of(aor).iter().any(|binding| waking::target(binding).is_none()))
        }
        Rings::App => aors.iter().any(|aor| {
            !location.apps(aor).is_empty()
                || location.of(aor).iter().any(|binding| waking::target(binding).is_some())
        }),
    })
}

/// Whether who answers at `contact` must press 1: by default phones through a trunk, whose voicemail may answer. What
/// the contact itself says wins.
pub(crate) fn must_confirm(contact: &Contact, rule: ContactRule, confirm: Confirm) -> bool {
    rule.confirm.unwrap_or(match confirm {
        Confirm::Always => true,
        Confirm::Never => false,
        Confirm::Auto => matches!(contact, Contact::Phone(_)),
    })
}

/// A mobile whose answer must be confirmed rings no longer than this: operators send a call on to their own voicemail
/// after 20 s when nobody has set it otherwise.
pub(crate) const BEFORE_VOICEMAIL: Duration = Duration::from_secs(18);

/// For how long a contact rings at most, when it does not ring as long as all others.
pub(crate) fn ring_max(contact: &Contact, rule: ContactRule, must_confirm: bool) -> Option<Duration> {
    let guarded = must_confirm && matches!(contact, Contact::Phone(_));
    rule.ring.or(guarded.then_some(BEFORE_VOICEMAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_says_for_itself_whether_it_is_confirmed_and_how_long_it_rings() {
        let (device, phone) = (Contact::Device(Vec::new()), Contact::Phone(Number::new("+4736000204")));
        let rule = |confirm, ring| ContactRule { confirm, ring, ..Rings::Mobile.into() };
        let secs = Duration::from_secs;
        let rows = [
            // The queue's word: only what goes through a trunk is confirmed, and guarded.
            (&device, rule(None, None), Confirm::Auto, false, None),
            (&phone, rule(None, None), Confirm::Auto, true, Some(secs(18))),
            (&device, rule(None, None), Confirm::Always, true, None),
            (&phone, rule(None, None), Confirm::Never, false, None),
            // The contact's own word wins.
            (&device, rule(Some(true), None), Confirm::Never, true, None),
            (&phone, rule(Some(false), None), Confirm::Always, false, None),
            (&phone, rule(None, Some(secs(25))), Confirm::Auto, true, Some(secs(25))),
        ];
        for (row, (contact, rule, confirm, must, longest)) in rows.into_iter().enumerate() {
            assert_eq!(must_confirm(contact, rule, confirm), must, "row {row}");
            assert_eq!(ring_max(contact, rule, must), longest, "row {row}");
        }
    }
}
