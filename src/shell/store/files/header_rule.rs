//! Reads the header rules of a trunk: small, declarative, and kept off the headers that carry dialog and session.

use std::sync::Arc;

use crate::model::trunk::HeaderRule;
use crate::model::trunk::RuleEdit;
use crate::model::trunk::RuleWhen;
use crate::shell::store::files::cursor::Value;
use crate::sip::header::Name;
use crate::sip::value;

/// Rules of one trunk at most.
const RULES_MAX: usize = 32;
/// Bytes of a value at most.
const VALUE_MAX: usize = 256;
/// What stands for something in a value.
const PLACES: [&str; 5] = ["{company}", "{user}", "{call}", "{site}", "{address}"];

const WHEN: &[(&str, RuleWhen)] =
    &[("out", RuleWhen::Out), ("emergency", RuleWhen::Emergency), ("in", RuleWhen::In)];

/// Headers by which a message finds its way, its dialog or its session: what a rule broke here, no call survives.
const CLOSED: [Name; 21] = [
    Name::Via,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::ContentLength,
    Name::MaxForwards,
    Name::Route,
    Name::RecordRoute,
    Name::From,
    Name::To,
    Name::ContentType,
    Name::ContentEncoding,
    Name::Authorization,
    Name::ProxyAuthorization,
    Name::Require,
    Name::ProxyRequire,
    Name::SessionExpires,
    Name::MinSe,
    Name::Replaces,
    Name::RAck,
    Name::RSeq,
];

/// A list of `{ when, add | remove | copy }`.
pub(super) fn rules(value: Value<'_>) -> Vec<HeaderRule> {
    let values = value.one_or_more();
    if values.len() > RULES_MAX {
        value.error(format!("at most {RULES_MAX} header rules"));
    }
    values.into_iter().filter_map(rule).collect()
}

fn rule(value: Value<'_>) -> Option<HeaderRule> {
    let mut table = value.table()?;
    if !table.left().iter().any(|entry| entry.key == "when") {
        table.missing("when");
    }
    let when = table.word("when", WHEN);
    let add = table.take("add").map(add);
    let remove = table.take("remove").map(|value| name(value).map(RuleEdit::Remove));
    let copy = table.take("copy");
    if when.is_some_and(|when| (when == RuleWhen::In) != copy.is_some()) {
        value.error("\"copy\" goes with when = \"in\", \"add\" and \"remove\" with \"out\" or \"emergency\"");
    }
    let copy = copy.map(|value| name(value).map(RuleEdit::Copy));
    let mut edits: Vec<Option<RuleEdit>> = [add, remove, copy].into_iter().flatten().collect();
    if edits.len() != 1 {
        value.error("a header rule has one of \"add\", \"remove\" and \"copy\"");
    }
    table.finish();
    Some(HeaderRule { when: when?, edit: edits.pop().flatten()? })
}

/// A header to add: `X-Id: {company}`.
fn add(value: Value<'_>) -> Option<RuleEdit> {
    let text = value.text()?;
    let Some((before, after)) = text.split_once(':') else {
        value.error(format!("\"{text}\" is no header: write for example \"X-Id: {{company}}\""));
        return None;
    };
    let name = open(&value, before.trim_end())?;
    let content = after.trim();
    if content.is_empty() || content.len() > VALUE_MAX || content.chars().any(char::is_control) {
        value.error(format!("a header's value has 1 to {VALUE_MAX} bytes in one line"));
        return None;
    }
    let mut rest = content;
    while let Some((_, from)) = rest.split_once('{') {
        let Some((word, after)) = from.split_once('}') else { break };
        if !PLACES.iter().any(|place| place[1..place.len() - 1] == *word) {
            value.error(format!("unknown place \"{{{word}}}\": write one of {}", PLACES.join(", ")));
            return None;
        }
        rest = after;
    }
    Some(RuleEdit::Add(name, content.into()))
}

fn name(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    open(&value, text)
}

/// The name in its usual spelling, if a rule may touch it.
fn open(value: &Value<'_>, text: &str) -> Option<Arc<str>> {
    if !value::is_token(text) || text.len() > 64 {
        value.error(format!("\"{text}\" is no header name"));
        return None;
    }
    let name = Name::from(text);
    if CLOSED.contains(&name) {
        value.error(format!("a rule must not touch {name}: calls depend on it"));
        return None;
    }
    Some(name.as_str().into())
}
