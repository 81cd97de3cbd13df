//! Reads the users of a company and their devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::flow::Destination;
use crate::model::id::DeviceId;
use crate::model::id::UserId;
use crate::model::server::Language;
use crate::model::server::Secret;
use crate::model::user::Device;
use crate::model::user::Forward;
use crate::model::user::PersonalMailbox;
use crate::model::user::Rings;
use crate::model::user::Role;
use crate::model::user::User;
use crate::shell::store::files::contact;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::fraud;
use crate::shell::store::files::read;
use crate::shell::store::files::read::LANGUAGES;
use crate::shell::store::files::read::SECOND;
use crate::shell::store::files::server;
use crate::shell::store::files::trunk::RIGHTS;

const ROLES: &[(&str, Role)] =
    &[("employee", Role::Employee), ("supervisor", Role::Supervisor), ("admin", Role::Admin)];

/// Reads `[users]`.
pub(super) fn users(section: Option<Value<'_>>, language: Language) -> BTreeMap<UserId, User> {
    let mut users = BTreeMap::new();
    for (entry, table) in read::things(section) {
        users.insert(entry.key.into(), user(entry.key, table, language));
    }
    users
}

fn user(id: &str, mut table: Table<'_>, language: Language) -> User {
    let ring = table.take("ring").and_then(|value| read::duration(value, SECOND * 5..=SECOND * 300));
    let mobile = table.take("mobile");
    let rings = table.take("rings");
    let switchboard = table.flag("switchboard").unwrap_or(false);
    let return_after = table.take("return_after");
    let user = User {
        name: table.text("name").unwrap_or_else(|| id.into()),
        title: table.text("title"),
        ext: table.take("ext").and_then(read::extension),
        number: table.take("number").and_then(read::public_number),
        email: table.take("email").and_then(server::email),
        role: table.word("role", ROLES).unwrap_or_default(),
        plan: table.take("plan").and_then(read::reference),
        switchboard,
        return_after: match return_after {
            Some(value) => read::duration_or_never(value, SECOND * 5..=SECOND * 300).flatten(),
            None => switchboard.then_some(server::RING),
        },
        pickup_groups: table.take("pickup_group").map(read::texts).unwrap_or_default(),
        intercom: table.flag("intercom").unwrap_or(true),
        pin: table.take("pin").and_then(pin),
        directory: table.flag("directory").unwrap_or(true),
        spoken: table.take("spoken").and_then(read::reference),
        language: table.word("language", LANGUAGES).unwrap_or(language),
        rings: rings.map(contact::rules).unwrap_or_else(|| vec![Rings::Devices.into()]),
        ring: ring.unwrap_or(server::RING),
        forward_always: table.take("forward_always").and_then(|value| forward(value, false)),
        no_answer: table.take("no_answer").and_then(|value| forward(value, true)),
        busy: table.take("busy").and_then(|value| forward(value, false)),
        unavailable: table.take("unavailable").and_then(|value| forward(value, false)),
        site: table.take("site").and_then(read::reference),
        show: table.take("show").and_then(read::public_number),
        voicemail: table.take("voicemail").and_then(voicemail),
        international: table.take("rights").is_some_and(|value| !rights(value).is_empty()),
        allow: table.take("allow").map(fraud::classes),
        mobile: mobile.and_then(read::public_number),
    };
    if let Some(rings) = rings.filter(|_| user.is_rung_at(Rings::Mobile) && mobile.is_none()) {
        rings.error("\"mobile\" rings, but the user has no mobile number");
    }
    table.finish();
    user
}

fn rights(value: Value<'_>) -> Vec<&'static str> {
    value.one_or_more().into_iter().filter_map(|value| value.word(RIGHTS)).collect()
}

/// Where a call goes: a destination, or `{ after, to }`.
fn forward(value: Value<'_>, may_wait: bool) -> Option<Forward> {
    if !value.is_table() {
        let to = read::destination(value).unwrap_or(Destination::Hangup);
        return Some(Forward { after: None, to });
    }
    let mut table = value.table()?;
    let after = if may_wait {
        table.take("after").and_then(|value| read::duration(value, SECOND * 5..=SECOND * 300))
    } else {
        None
    };
    let to = table.take("to");
    if to.is_none() {
        table.missing("to");
    }
    let to = to.and_then(read::destination).unwrap_or(Destination::Hangup);
    table.finish();
    Some(Forward { after, to })
}

/// A user's own box: `true`, `false`, or `{ pin }`.
fn voicemail(value: Value<'_>) -> Option<PersonalMailbox> {
    if let Some(has) = value.as_flag() {
        return has.then(PersonalMailbox::default);
    }
    if !value.is_table() {
        return value.refuse("true, false or { pin = \"…\" }");
    }
    let mut table = value.table()?;
    let pin = table.take("pin").and_then(pin);
    table.finish();
    Some(PersonalMailbox { pin })
}

/// A PIN of 4–8 digits.
pub(super) fn pin(value: Value<'_>) -> Option<Secret> {
    if value.as_integer_text().is_some() {
        return value.refuse("a PIN in quotes");
    }
    let pin = value.secret()?;
    if !(4..=8).contains(&pin.0.len()) || !pin.0.bytes().all(|byte| byte.is_ascii_digit()) {
        value.error("a PIN has 4 to 8 digits");
        return None;
    }
    Some(pin)
}

/// Reads `[devices]`.
pub(super) fn devices(section: Option<Value<'_>>) -> BTreeMap<DeviceId, Device> {
    let mut devices = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let user = table.take("user");
        if user.is_none() {
            table.missing("user");
        }
        let Some(user) = user.and_then(read::reference) else { continue };
        let from = table.take("from").map(Value::one_or_more).unwrap_or_default();
        let device = Device {
            user,
            model: table.text("model"),
            mac: table.take("mac").and_then(mac),
            password: table.take("password").and_then(Value::secret),
            from: from.into_iter().filter_map(read::address).collect(),
            srtp: table.word("srtp", read::SRTP).unwrap_or_default(),
            hot_desk: table.flag("hot_desk").unwrap_or(false),
            site: table.take("site").and_then(read::reference),
        };
        table.finish();
        devices.insert(entry.key.into(), device);
    }
    devices
}

/// An Ethernet address, kept in small letters with colons.
fn mac(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    if digits.len() != 12 || !digits.iter().all(char::is_ascii_hexdigit) {
        value.error(format!("\"{text}\" is no MAC address: write for example \"80:5e:c0:00:01:02\""));
        return None;
    }
    let pairs: Vec<String> =
        digits.chunks(2).map(|pair| pair.iter().collect::<String>().to_lowercase()).collect();
    Some(pairs.join(":").into())
}
