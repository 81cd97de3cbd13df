//! Reads single values: durations, sizes, numbers, extensions, addresses, ids, destinations.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::model::check::nearest;
use crate::model::dtmf::KeysBy;
use crate::model::flow::Destination;
use crate::model::id::Number;
use crate::model::number;
use crate::model::recording::Recording;
use crate::model::server::CodecName;
use crate::model::server::Language;
use crate::model::srtp::SrtpPolicy;
use crate::shell::store::files::cursor::Entry;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;

/// Lengths that others are made of.
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// Whether audio is encrypted.
pub(super) const SRTP: &[(&str, SrtpPolicy)] = &[
    ("off", SrtpPolicy::Off),
    ("optional", SrtpPolicy::Optional),
    ("required", SrtpPolicy::Required),
    ("dtls", SrtpPolicy::Dtls),
];

/// Whether calls are recorded.
pub(super) const RECORDINGS: &[(&str, Recording)] = &[
    ("off", Recording::Off),
    ("on_demand", Recording::OnDemand),
    ("consent", Recording::Consent),
    ("always", Recording::Always),
];

/// How keys travel.
pub(super) const KEYS_BY: &[(&str, KeysBy)] =
    &[("auto", KeysBy::Auto), ("rfc4733", KeysBy::Event), ("info", KeysBy::Info), ("inband", KeysBy::Tone)];

/// Written languages.
pub(super) const LANGUAGES: &[(&str, Language)] = &[("nb", Language::Nb), ("en", Language::En)];

const UNITS: &[(&str, Duration)] =
    &[("ms", Duration::from_millis(1)), ("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)];

const KINDS: [&str; 7] = ["user", "group", "queue", "flow", "voicemail", "phone", "room"];

/// A duration with its unit.
pub(super) fn duration(value: Value<'_>, range: RangeInclusive<Duration>) -> Option<Duration> {
    if let Some(digits) = value.as_integer_text() {
        value.error(format!("a duration needs its unit: write \"{digits}s\""));
        return None;
    }
    let text = value.text()?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let length = match (count.parse::<u32>(), unit) {
        (Ok(count), Some((_, unit))) => unit.checked_mul(count),
        _ => {
            value.error(format!(
                "\"{text}\" is no duration: write for example \"500ms\", \"30s\", \"5m\", \"2h\" or \"30d\""
            ));
            return None;
        }
    };
    let length = length.filter(|length| range.contains(length));
    if length.is_none() {
        value.error(format!("\"{text}\" is outside {} to {}", shown(*range.start()), shown(*range.end())));
    }
    length
}

/// A duration, or `"never"`, which is `Some(None)`.
pub(super) fn duration_or_never(
    value: Value<'_>,
    range: RangeInclusive<Duration>,
) -> Option<Option<Duration>> {
    if value.as_text() == Some("never") {
        return Some(None);
    }
    duration(value, range).map(Some)
}

/// A duration as one would write it.
fn shown(length: Duration) -> String {
    let fits =
        |unit: &&(&str, Duration)| length >= unit.1 && length.as_millis().is_multiple_of(unit.1.as_millis());
    match UNITS.iter().rev().find(fits) {
        Some((name, unit)) => format!("{}{name}", length.as_millis() / unit.as_millis()),
        None => "0s".into(),
    }
}

/// A size in bytes: `"500kB"`, `"20MB"`, `"10GB"`, `"1TB"`.
pub(super) fn size(value: Value<'_>) -> Option<u64> {
    if let Some(digits) = value.as_integer_text() {
        value.error(format!("a size needs its unit: write \"{digits}MB\""));
        return None;
    }
    let text = value.text()?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit: Option<u64> = match unit.trim_start() {
        "B" => Some(1),
        "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = count.parse::<u64>().ok().zip(unit).and_then(|(count, unit)| count.checked_mul(unit));
    if bytes.is_none() {
        value.error(format!("\"{text}\" is no size: write for example \"20MB\" or \"10GB\""));
    }
    bytes
}

/// A public number in E.164, or a short number that has no such form (`02800`, `116117`).
pub(super) fn public_number(value: Value<'_>) -> Option<Number> {
    let text = value.text()?;
    match e164(text) {
        Ok(number) => Some(number),
        Err(why) => {
            value.error(why);
            None
        }
    }
}

/// Reads a public number; says what is wrong with it.
pub(super) fn e164(text: &str) -> Result<Number, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('+') {
        // E.164 §6.2: fifteen digits at most.
        if digits(rest) && (6..=15).contains(&rest.len()) && !rest.starts_with('0') {
            return Ok(Number::new(text));
        }
    } else if digits(text)
        && ((text.len() == 5 && text.starts_with('0')) || (text.len() == 6 && text.starts_with("116")))
    {
        return Ok(Number::new(text));
    }
    Err(match number::read(text).filter(|read| read.as_str().starts_with('+') && read.as_str() != text) {
        Some(read) => format!("\"{text}\" is not written in full: write \"{read}\""),
        None => format!("\"{text}\" is no telephone number: write it with country code, \"+4736000100\""),
    })
}

/// An extension: 2–7 digits.
pub(super) fn extension(value: Value<'_>) -> Option<Number> {
    if let Some(digits) = value.as_integer_text() {
        value.error(format!("an extension is a text: write \"{digits}\""));
        return None;
    }
    let text = value.text()?;
    if !(2..=7).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        value.error(format!("\"{text}\" is no extension: write 2 to 7 digits"));
        return None;
    }
    Some(Number::new(text))
}

/// The tables in a section, by id; ids that are not well formed are reported.
pub(super) fn things<'a>(section: Option<Value<'a>>) -> Vec<(Entry<'a>, Table<'a>)> {
    let Some(mut section) = section.and_then(Value::table) else {
        return Vec::new();
    };
    let mut things = Vec::new();
    for entry in section.take_all(|_| true) {
        id_is_well_formed(&entry);
        if let Some(mut table) = entry.value.table() {
            table.at = entry.at;
            things.push((entry, table));
        }
    }
    things
}

/// Reports an id that is not of `[a-z0-9_-]{1,63}`.
pub(super) fn id_is_well_formed(entry: &Entry<'_>) {
    if !is_id(entry.key) {
        entry.error(format!("\"{}\" is no id: write at most 63 of a–z, 0–9, _ and -", entry.key));
    }
}

/// Whether `text` can be an id.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

/// A reference by id to something of one kind; whether it exists is checked later.
pub(super) fn reference<T: for<'t> From<&'t str>>(value: Value<'_>) -> Option<T> {
    value.text().map(T::from)
}

/// References by id, one or a list.
pub(super) fn references<T: for<'t> From<&'t str>>(value: Value<'_>) -> Vec<T> {
    value.one_or_more().into_iter().filter_map(reference).collect()
}

/// Texts, one or a list.
pub(super) fn texts(value: Value<'_>) -> Vec<Arc<str>> {
    value.one_or_more().into_iter().filter_map(|value| value.text().map(Arc::from)).collect()
}

/// A destination: `kind:id`, or `hangup`.
pub(super) fn destination(value: Value<'_>) -> Option<Destination> {
    let text = value.text()?;
    if text == "hangup" {
        return Some(Destination::Hangup);
    }
    let Some((kind, id)) = text.split_once(':') else {
        value.error(format!(
            "\"{text}\" is no destination: write kind:id, such as \"user:{text}\" \
             or \"queue:{text}\", or \"hangup\""
        ));
        return None;
    };
    if kind == "phone" {
        return match e164(id) {
            Ok(number) => Some(Destination::Phone(number)),
            Err(why) => {
                value.error(why);
                None
            }
        };
    }
    let destination = match kind {
        "user" => Destination::User(id.into()),
        "group" => Destination::Group(id.into()),
        "queue" => Destination::Queue(id.into()),
        "flow" => Destination::Flow(id.into()),
        "voicemail" => Destination::Voicemail(id.into()),
        "room" => Destination::Room(id.into()),
        _ => {
            value.error(match nearest(kind, KINDS) {
                Some(known) => format!("unknown kind \"{kind}\" – did you mean \"{known}:{id}\"?"),
                None => format!("unknown kind \"{kind}\": write one of {}", KINDS.join(", ")),
            });
            return None;
        }
    };
    Some(destination)
}

/// A key of a telephone: `0`–`9`, `*` or `#`.
pub(super) fn telephone_key(text: &str) -> Option<char> {
    let mut signs = text.chars();
    let sign = signs.next().filter(|sign| sign.is_ascii_digit() || matches!(sign, '*' | '#'))?;
    signs.next().is_none().then_some(sign)
}

/// An address and port to listen on.
pub(super) fn socket(value: Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        value.error(format!(
            "\"{text}\" is no address with port: write for example \"127.0.0.1:5060\" or \"[::1]:5060\""
        ));
    }
    address
}

/// An address without port.
pub(super) fn address(value: Value<'_>) -> Option<IpAddr> {
    let text = value.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        value.error(format!("\"{text}\" is no IP address"));
    }
    address
}

/// An IANA time zone.
pub(super) fn zone(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if jiff::tz::TimeZone::get(text).is_ok() {
        return Some(text.into());
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    value.error(match nearest(text, known.iter().map(String::as_str)) {
        Some(zone) => format!("unknown time zone \"{text}\" – did you mean \"{zone}\"?"),
        None => format!("unknown time zone \"{text}\": write for example \"Europe/Oslo\""),
    });
    None
}

/// Codecs in order of preference.
pub(super) fn codecs(value: Value<'_>) -> Option<Vec<CodecName>> {
    const NAMES: &[(&str, CodecName)] = &[
        ("opus", CodecName::Opus),
        ("g722", CodecName::G722),
        ("pcma", CodecName::Pcma),
        ("pcmu", CodecName::Pcmu),
        ("l16", CodecName::L16),
    ];
    let codecs = value.one_or_more();
    if codecs.is_empty() {
        value.error("at least one codec is needed");
        return None;
    }
    Some(codecs.into_iter().filter_map(|value| value.word(NAMES)).collect())
}

/// A URL, or the id of a webhook.
pub(super) fn hook(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if text.contains("://") { url(value) } else { Some(text.into()) }
}

/// An address of the World Wide Web.
pub(super) fn url(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace))
    {
        value.error(format!("\"{text}\" is no URL: write for example \"https://crm.example.no/hook\""));
        return None;
    }
    Some(text.into())
}
