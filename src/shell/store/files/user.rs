//! Reads the users of a company and their devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::flow::Destination;
use crate::model::id::DeviceId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::server::Language;
use crate::model::server::Secret;
use crate::model::user::Device;
use crate::model::user::Find;
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

/// Steps of a search at most.
const FIND_MAX: usize = 8;

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
    let show = table.take("show");
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
        hide: show.is_some_and(|value| value.as_text() == Some("hidden")),
        show: show.filter(|value| value.as_text() != Some("hidden")).and_then(read::public_number),
        call_waiting: table.flag("call_waiting").unwrap_or(true),
        find: table.take("find").map(find).unwrap_or_default(),
        speed: speed(table.take("speed")),
        voicemail: table.take("voicemail").and_then(voicemail),
        international: table.take("rights").is_some_and(|value| !rights(value).is_empty()),
        allow: table.take("allow").map(fraud::classes),
        recording: table.word("recording", read::RECORDINGS),
        mobile: mobile.and_then(read::public_number),
    };
    if let Some(rings) = rings.filter(|_| user.is_rung_at(Rings::Mobile) && mobile.is_none()) {
        rings.error("\"mobile\" rings, but the user has no mobile number");
    }
    table.finish();
    user
}

/// Steps of a search: `[{ ring = ["devices"], for = "15s" }, …]`.
fn find(value: Value<'_>) -> Vec<Find> {
    let mut steps = Vec::new();
    for value in value.one_or_more() {
        let Some(mut table) = value.table() else { continue };
        let long = table.take("for").and_then(|value| read::duration(value, SECOND * 5..=SECOND * 300));
        let ring = table.take("ring");
        if ring.is_none() {
            table.missing("ring");
        }
        table.finish();
        steps.push(Find {
            rings: ring
                .map(|value| contact::rules(value).iter().map(|rule| rule.what).collect())
                .unwrap_or_default(),
            long: long.unwrap_or(server::RING),
        });
    }
    if steps.len() > FIND_MAX {
        value.error(format!("at most {FIND_MAX} steps"));
    }
    steps
}

/// Speed dial: numbers by one to three digits.
pub(super) fn speed(section: Option<Value<'_>>) -> BTreeMap<Arc<str>, Number> {
    let mut speed = BTreeMap::new();
    let Some(mut section) = section.and_then(Value::table) else { return speed };
    for entry in section.take_all(|_| true) {
        if !(1..=3).contains(&entry.key.len()) || !entry.key.bytes().all(|byte| byte.is_ascii_digit()) {
            entry.error("a speed dial is one to three digits");
            continue;
        }
        if let Some(number) = entry.value.text().and_then(|text| dialled(entry.value, text)) {
            speed.insert(entry.key.into(), number);
        }
    }
    speed
}

/// A number as it could be dialled: an extension, a short number, or one in full.
fn dialled(value: Value<'_>, text: &str) -> Option<Number> {
    if text.starts_with('+') {
        return read::public_number(value);
    }
    if text.is_empty() || text.len() > 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        value.error(format!(
            "\"{text}\" is no number: write an extension, or a number in full, \"+4736000300\""
        ));
        return None;
    }
    Some(Number::new(text))
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
        return has.then_some(PersonalMailbox { pin: None, email_audio: true, keep: None });
    }
    if !value.is_table() {
        return value.refuse("true, false or { pin = \"…\" }");
    }
    let mut table = value.table()?;
    let pin = table.take("pin").and_then(pin);
    let email_audio = table.flag("email_audio").unwrap_or(true);
    let keep =
        table.take("keep").and_then(|value| read::duration_or_never(value, read::DAY..=read::DAY * 3_650));
    table.finish();
    Some(PersonalMailbox { pin, email_audio, keep: keep.flatten() })
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
            srtp: table.word("srtp", read::SRTP),
            hot_desk: table.flag("hot_desk").unwrap_or(false),
            site: table.take("site").and_then(read::reference),
            dtmf: table.word("dtmf", read::KEYS_BY).unwrap_or_default(),
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
