//! Reads what guards against fraud and abuse: `[fraud]`, `[guard]`, `[prices]`, `[classes]`, and the `allow` and
//! `block` of companies and users.

use std::time::Duration;

use crate::model::class::Classes;
use crate::model::class::PriceClass;
use crate::model::class::Tariff;
use crate::model::fraud::Caps;
use crate::model::fraud::Fraud;
use crate::model::fraud::Guard;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::read;
use crate::shell::store::files::read::HOUR;
use crate::shell::store::files::read::SECOND;
use crate::shell::store::files::trunk;

/// What `allow` and `block` may name.
const WORDS: &[(&str, Classes)] = &[
    ("domestic", Classes::DOMESTIC),
    ("international", Classes::INTERNATIONAL),
    ("free", Classes::only(PriceClass::Free)),
    ("fixed", Classes::only(PriceClass::Fixed)),
    ("mobile", Classes::only(PriceClass::Mobile)),
    ("five_digit", Classes::only(PriceClass::FiveDigit)),
    ("service", Classes::only(PriceClass::Service)),
    ("shared", Classes::only(PriceClass::Shared)),
    ("premium", Classes::only(PriceClass::Premium)),
    ("m2m", Classes::only(PriceClass::M2m)),
    ("nordic", Classes::only(PriceClass::Nordic)),
    ("europe", Classes::only(PriceClass::Europe)),
    ("world", Classes::only(PriceClass::World)),
    ("high_risk", Classes::only(PriceClass::HighRisk)),
    ("satellite", Classes::only(PriceClass::Satellite)),
];

/// Classes of destinations, one or a list.
pub(super) fn classes(value: Value<'_>) -> Classes {
    value.one_or_more().into_iter().filter_map(|value| value.word(WORDS)).collect()
}

/// `[fraud]`: what is written, else what stands in `under`.
pub(super) fn fraud(mut table: Table<'_>, under: &Fraud) -> Fraud {
    let company = caps(&mut table, &under.company);
    let mut own = table.table("user");
    let user = caps(&mut own, &under.user);
    own.finish();
    let night = table.integer("night_percent", 1..=100).and_then(|percent| u32::try_from(percent).ok());
    table.finish();
    Fraud { company, user, night_percent: night.unwrap_or(under.night_percent) }
}

fn caps(table: &mut Table<'_>, under: &Caps) -> Caps {
    let mut cap = |key: &'static str, under: u32, most: i64| {
        table.integer(key, 1..=most).and_then(|cap| u32::try_from(cap).ok()).unwrap_or(under)
    };
    Caps {
        calls_per_minute: cap("calls_per_minute", under.calls_per_minute, 100_000),
        minutes_per_day: cap("minutes_per_day", under.minutes_per_day, 100_000_000),
        kroner_per_day: cap("kroner_per_day", under.kroner_per_day, 100_000_000),
        calls: cap("calls", under.calls, 1_000_000),
    }
}

/// `[guard]`.
pub(super) fn guard(mut table: Table<'_>) -> Guard {
    let mut guard = Guard::default();
    let count = |table: &mut Table<'_>, key: &'static str, most: i64, to: &mut u32| {
        if let Some(number) = table.integer(key, 1..=most).and_then(|number| u32::try_from(number).ok()) {
            *to = number;
        }
    };
    count(&mut table, "failures", 10_000, &mut guard.failures);
    count(&mut table, "requests_per_second", 1_000_000, &mut guard.requests_per_second);
    count(&mut table, "requests_per_second_known", 1_000_000, &mut guard.requests_per_second_known);
    let lengths: [(&'static str, Duration, Duration, &mut Duration); 4] = [
        ("within", SECOND, HOUR * 24, &mut guard.within),
        ("shut_out", SECOND, HOUR * 24, &mut guard.shut_out),
        ("shut_out_max", SECOND, HOUR * 24 * 7, &mut guard.shut_out_max),
        ("lag", Duration::from_millis(10), SECOND * 10, &mut guard.lag),
    ];
    for (key, least, most, to) in lengths {
        if let Some(long) = table.take(key).and_then(|value| read::duration(value, least..=most)) {
            *to = long;
        }
    }
    if let Some(names) = table.take("scanners") {
        guard.scanners = read::texts(names).iter().map(|name| name.to_lowercase().into()).collect();
    }
    let never = table.take("never").map(Value::one_or_more).unwrap_or_default();
    guard.never = never.into_iter().filter_map(trunk::trusted).collect();
    table.finish();
    guard
}

/// `[prices]`, øre per minute by class, and `[classes]`, prefixes by class.
pub(super) fn tariff(mut prices: Table<'_>, mut classes: Table<'_>) -> Tariff {
    let mut tariff = Tariff::default();
    for class in PriceClass::ALL {
        if class == PriceClass::Emergency {
            continue;
        }
        let price = prices.integer(class.as_str(), 0..=1_000_000).and_then(|price| u32::try_from(price).ok());
        if let Some(price) = price {
            tariff.set_price(class, price);
        }
        let prefixes = classes.take(class.as_str()).map(Value::one_or_more).unwrap_or_default();
        for prefix in prefixes.into_iter().filter_map(trunk::prefix) {
            tariff.set_prefix(prefix, class);
        }
    }
    prices.finish();
    classes.finish();
    tariff
}
