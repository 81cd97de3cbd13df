//! Reads what of a user rings: words, or tables that say when and how.

use std::time::Duration;

use crate::model::user::ContactRule;
use crate::model::user::Rings;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::read;
use crate::shell::store::files::read::SECOND;

const RINGS: &[(&str, Rings)] =
    &[("devices", Rings::Devices), ("mobile", Rings::Mobile), ("phones", Rings::Phones), ("app", Rings::App)];

/// `"devices"`, `["devices", { what = "mobile", delay = "5s", confirm = true, ring = "15s" }]`.
pub(super) fn rules(value: Value<'_>) -> Vec<ContactRule> {
    let mut rules: Vec<ContactRule> = Vec::new();
    for value in value.one_or_more() {
        let Some(rule) = rule(value) else { continue };
        if rules.iter().any(|other| other.what == rule.what) {
            value.error("this rings already: name each of devices, phones, mobile and app once");
            continue;
        }
        let clash = |other: &ContactRule| {
            matches!(
                (other.what, rule.what),
                (Rings::Devices, Rings::Phones) | (Rings::Phones, Rings::Devices)
            )
        };
        if rules.iter().any(clash) {
            value.error("devices are phones and apps: write one of devices and phones");
            continue;
        }
        rules.push(rule);
    }
    rules
}

fn rule(value: Value<'_>) -> Option<ContactRule> {
    if !value.is_table() {
        return value.word(RINGS).map(ContactRule::from);
    }
    let mut table = value.table()?;
    let what = table.take("what");
    if what.is_none() {
        table.missing("what");
    }
    let what = what.and_then(|value| value.word(RINGS));
    let delay = table.take("delay").and_then(|value| read::duration(value, Duration::ZERO..=SECOND * 120));
    let confirm = table.flag("confirm");
    let ring = table.take("ring").and_then(|value| read::duration(value, SECOND * 5..=SECOND * 120));
    table.finish();
    Some(ContactRule { what: what?, delay: delay.unwrap_or_default(), confirm, ring })
}
