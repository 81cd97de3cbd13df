//! Reads `trunks.toml` (carriers and routes) and `plans.toml` (subscriptions).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::model::id::CompanyId;
use crate::model::id::Number;
use crate::model::id::PlanId;
use crate::model::id::TrunkId;
use crate::model::server::Plan;
use crate::model::trunk::CallRate;
use crate::model::trunk::DiversionForm;
use crate::model::trunk::ForwardedCli;
use crate::model::trunk::HiddenNumber;
use crate::model::trunk::NumberFormat;
use crate::model::trunk::Route;
use crate::model::trunk::Trunk;
use crate::model::trunk::TrunkTransport;
use crate::model::trunk::Trusted;
use crate::model::trunk::Via;
use crate::model::trunk::Vouches;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::header_rule;
use crate::shell::store::files::read;
use crate::shell::store::files::read::HOUR;
use crate::shell::store::files::read::SECOND;
use crate::shell::store::files::server;

const TRANSPORTS: &[(&str, TrunkTransport)] = &[
    ("udp", TrunkTransport::Udp),
    ("tcp", TrunkTransport::Tcp),
    ("tls", TrunkTransport::Tls),
    ("auto", TrunkTransport::Auto),
];

const FORMATS: &[(&str, NumberFormat)] =
    &[("e164", NumberFormat::E164), ("national", NumberFormat::National), ("00", NumberFormat::DoubleZero)];

/// How a carrier writes numbers to us; `auto` looks at each.
const FORMATS_IN: &[(&str, Option<NumberFormat>)] = &[
    ("auto", None),
    ("e164", Some(NumberFormat::E164)),
    ("national", Some(NumberFormat::National)),
    ("00", Some(NumberFormat::DoubleZero)),
];

const FORWARDED_CLI: &[(&str, ForwardedCli)] = &[
    ("caller", ForwardedCli::Caller),
    ("own", ForwardedCli::Own),
    ("caller-norwegian-only", ForwardedCli::CallerNorwegianOnly),
];

const VOUCHES: &[(&str, Vouches)] =
    &[("asserted", Vouches::Asserted), ("from", Vouches::From), ("never", Vouches::Never)];

const PRIVACY: &[(&str, HiddenNumber)] =
    &[("pai", HiddenNumber::Asserted), ("withhold", HiddenNumber::Withheld)];

const DIVERSION: &[(&str, DiversionForm)] = &[
    ("diversion", DiversionForm::Diversion),
    ("history-info", DiversionForm::HistoryInfo),
    ("both", DiversionForm::Both),
    ("none", DiversionForm::None),
];

/// Rights that a route can ask for.
pub(super) const RIGHTS: &[(&str, &str)] = &[("international", "international")];

/// Reads `trunks.toml`.
pub(super) fn trunks(mut file: Table<'_>) -> (BTreeMap<TrunkId, Trunk>, Vec<Route>) {
    let mut trunks = BTreeMap::new();
    for (entry, table) in read::things(file.take("trunks")) {
        trunks.insert(entry.key.into(), trunk(entry.key, table));
    }
    let routes =
        read::things(file.take("routes")).into_iter().map(|(entry, table)| route(entry.key, table)).collect();
    file.finish();
    (trunks, routes)
}

fn trunk(id: &str, mut table: Table<'_>) -> Trunk {
    let server = table.take("server");
    if server.is_none() {
        table.missing("server");
    }
    let (host, port) = server.and_then(server::host_and_port).unwrap_or_else(|| ("".into(), None));
    let user = table.text("user");
    let password = table.take("password").and_then(Value::secret);
    if password.is_some() && user.is_none() {
        table.missing("user");
    }
    let register = table.flag("register");
    if register == Some(true) && user.is_none() {
        table.missing("user");
    }
    let trusted = table.take("trusted").map(Value::one_or_more).unwrap_or_default();
    let one = table.take("company").and_then(read::reference);
    let several = table.take("companies").map(read::references).unwrap_or_default();
    let silence = table.take("post_dial_delay");
    let silence = silence.and_then(|value| read::duration(value, SECOND / 2..=SECOND * 30));
    let small = |number: Option<i64>| number.and_then(|number| u16::try_from(number).ok());
    let trunk = Trunk {
        name: table.text("name").unwrap_or_else(|| id.into()),
        domain: table.take("domain").and_then(server::domain).unwrap_or_else(|| host.clone()),
        host,
        port,
        transport: table.word("transport", TRANSPORTS).unwrap_or_default(),
        register: register.unwrap_or(user.is_some()),
        user,
        password,
        trusted: trusted.into_iter().filter_map(self::trusted).collect(),
        certificate: table.take("certificate").and_then(server::domain),
        companies: one.into_iter().chain(several).collect(),
        priority: small(table.integer("priority", 0..=65_535)).unwrap_or(1),
        weight: small(table.integer("weight", 0..=65_535)).unwrap_or(1),
        health: table.take("health").map_or(Some(HEALTH), health),
        post_dial_delay: silence.unwrap_or(SECOND * 4),
        channels: table.integer("channels", 1..=100_000).and_then(|channels| u32::try_from(channels).ok()),
        calls_per_second: table.take("calls_per_second").map(rate).unwrap_or_default(),
        reserved: reserved(table.take("reserved")),
        numbers: table.word("numbers", FORMATS).unwrap_or_default(),
        numbers_in: table.word("numbers_in", FORMATS_IN).flatten(),
        map: map(table.take("map")),
        user_phone: table.flag("user_phone").unwrap_or(false),
        forwarded_cli: table.word("forwarded_cli", FORWARDED_CLI).unwrap_or_default(),
        vouches: table.word("vouches", VOUCHES).unwrap_or_default(),
        clip_no_screening: table.flag("clip_no_screening").unwrap_or(false),
        privacy: table.word("privacy", PRIVACY).unwrap_or_default(),
        diversion: table.word("diversion", DIVERSION).unwrap_or_default(),
        codecs: table.take("codecs").and_then(read::codecs),
        srtp: table.word("srtp", read::SRTP).unwrap_or_default(),
        early_media: table.flag("early_media").unwrap_or(true),
        headers: table.take("headers").map(header_rule::rules).unwrap_or_default(),
        dtmf: table.word("dtmf", read::KEYS_BY).unwrap_or_default(),
    };
    table.finish();
    trunk
}

/// How often a carrier is asked whether it lives, unless it says otherwise.
const HEALTH: Duration = Duration::from_secs(30);

/// A length of time; `false` is never.
fn health(value: Value<'_>) -> Option<Duration> {
    if value.as_flag() == Some(false) {
        return None;
    }
    read::duration(value, SECOND * 5..=HOUR)
}

/// Calls a second: one number for both ways, or `{ in, out }`.
fn rate(value: Value<'_>) -> CallRate {
    const RANGE: RangeInclusive<i64> = 1..=10_000;
    let calls = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    if !value.is_table() {
        let both = calls(value.integer(RANGE));
        return CallRate { incoming: both, outgoing: both };
    }
    let Some(mut table) = value.table() else { return CallRate::default() };
    let rate = CallRate {
        incoming: calls(table.integer("in", RANGE)),
        outgoing: calls(table.integer("out", RANGE)),
    };
    table.finish();
    rate
}

/// Channels by company.
fn reserved(section: Option<Value<'_>>) -> BTreeMap<CompanyId, u32> {
    let Some(mut section) = section.and_then(Value::table) else { return BTreeMap::new() };
    let entries = section.take_all(|_| true).into_iter();
    let channels = entries.filter_map(|entry| Some((entry.key, entry.value.integer(1..=100_000)?)));
    channels.filter_map(|(company, channels)| Some((company.into(), u32::try_from(channels).ok()?))).collect()
}

/// Numbers of ours, and how the carrier writes them.
fn map(section: Option<Value<'_>>) -> BTreeMap<Number, Number> {
    let Some(mut section) = section.and_then(Value::table) else { return BTreeMap::new() };
    let mut map = BTreeMap::new();
    for entry in section.take_all(|_| true) {
        let ours = read::e164(entry.key).map_err(|why| entry.error(why));
        let Some(text) = entry.value.text() else { continue };
        let theirs = Number::new(text);
        if theirs.as_str() != text || text.len() > 20 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
            entry.value.error(format!("\"{text}\" is no number: write digits, with or without \"+\" before"));
        } else if let Ok(ours) = ours {
            map.insert(ours, theirs);
        }
    }
    map
}

/// An address, a network, or an address with port.
pub(super) fn trusted(value: Value<'_>) -> Option<Trusted> {
    let text = value.text()?;
    let whole = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let read = if let Ok(address) = text.parse::<IpAddr>() {
        Some(Trusted { address, prefix: whole(address), port: None })
    } else if let Ok(socket) = text.parse::<SocketAddr>() {
        Some(Trusted { address: socket.ip(), prefix: whole(socket.ip()), port: Some(socket.port()) })
    } else {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
        let network = parts.filter(|(address, prefix)| *prefix <= whole(*address));
        network.map(|(address, prefix)| Trusted { address, prefix, port: None })
    };
    if read.is_none() {
        value.error(format!(
            "\"{text}\" is no address: write \"192.0.2.1\", \"192.0.2.0/24\" or \"192.0.2.1:5080\""
        ));
    }
    read
}

fn route(name: &str, mut table: Table<'_>) -> Route {
    let to = table.take("to");
    if to.is_none() {
        table.missing("to");
    }
    let to = to.map(Value::one_or_more).unwrap_or_default();
    let block = table.flag("block").unwrap_or(false);
    let via = table.take("via");
    if via.is_none() && !block {
        table.missing("via");
    }
    let route = Route {
        name: name.into(),
        to: to.into_iter().filter_map(prefix).collect(),
        via: via.map(self::via).unwrap_or_default(),
        priority: table.flag("priority").unwrap_or(false),
        block,
        needs: table.word("needs", RIGHTS).map(Arc::from),
    };
    table.finish();
    route
}

/// Trunks from left to right; a list in the list is of equal ones.
fn via(value: Value<'_>) -> Via {
    value.one_or_more().into_iter().map(read::references).filter(|equal| !equal.is_empty()).collect()
}

/// The beginning of a number: digits, with or without `+`.
pub(super) fn prefix(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        value.error(format!("\"{text}\" is no prefix: write for example \"+47\", \"+\" or \"112\""));
        return None;
    }
    Some(text.into())
}

/// Reads `plans.toml`.
pub(super) fn plans(mut file: Table<'_>) -> BTreeMap<PlanId, Plan> {
    let mut plans = BTreeMap::new();
    for (entry, mut table) in read::things(file.take("plans")) {
        let percents = table.take("warn").map(Value::one_or_more).unwrap_or_default();
        let percents = percents.into_iter().filter_map(|value| value.integer(1..=1_000));
        let plan = Plan {
            name: table.text("name").unwrap_or_else(|| entry.key.into()),
            data: table.take("data").and_then(read::size),
            shared: table.flag("shared").unwrap_or(false),
            speech_minutes: table.take("speech").and_then(speech).flatten(),
            warn: percents.filter_map(|percent| u8::try_from(percent).ok()).collect(),
        };
        table.finish();
        plans.insert(entry.key.into(), plan);
    }
    file.finish();
    plans
}

/// Minutes of speech; `"unlimited"` is `Some(None)`.
fn speech(value: Value<'_>) -> Option<Option<u32>> {
    let text = value.text()?;
    if text == "unlimited" {
        return Some(None);
    }
    let minutes = text.strip_suffix("min").and_then(|minutes| minutes.trim_end().parse().ok());
    if minutes.is_none() {
        value.error(format!("\"{text}\" is no amount of speech: write \"2000min\" or \"unlimited\""));
    }
    minutes.map(Some)
}
