//! What asking for opening hours costs: the evaluator, the compiled table, and making one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use sentral::model::company::Company;
use sentral::model::id::HoursId;
use sentral::shell::store::files::load_texts;
use sentral::switch::flow::action::Toggles;
use sentral::switch::hours::state_at;
use sentral::switch::hours::table::Table;

fn main() {
    divan::main();
}

const COMPANY: &str = r#"
[company]
name = "Prøve AS"
[hours.kontor]
mon-thu = "08:00-11:00, 11:00-11:30 lunsj, 11:30-16:00"
fri = "08:00-15:00, 22:00-02:00"
holidays = "no"
onsdag_for_skjaertorsdag = "08:00-12:00"
julaften = "closed"
"12-23" = "07:00-18:00"
[closures.sommer]
from = 2027-07-12
to = 2027-07-30
[closures.varetelling]
from = 2027-01-04T08:00:00
to = 2027-01-04T12:00:00
[toggles.natt]
overrides = { hours = ["kontor"], category = "closed" }
"#;

fn company() -> Arc<Company> {
    let texts = BTreeMap::from([(PathBuf::from("companies/prove.toml"), COMPANY.to_owned())]);
    let loaded = load_texts(&texts, &|_| None, &|_, file| Ok(file.into()));
    let config = loaded.config.expect("it is sound");
    config.companies["prove"].clone()
}

fn start() -> Timestamp {
    "2026-11-23T11:00:00Z".parse().expect("a time")
}

/// Instants spread over a year.
fn instants() -> impl Iterator<Item = Timestamp> {
    (0i64..).map(|n| start() + SignedDuration::from_secs(n * 7_919 * 61 % (360 * 86_400)))
}

#[divan::bench]
fn asked_of_the_evaluator(bencher: divan::Bencher<'_, '_>) {
    let (company, id) = (company(), HoursId::from("kontor"));
    let mut instants = instants();
    bencher.bench_local(|| {
        let at = instants.next().expect("they never end");
        state_at(&company.hours["kontor"], &id, &company.closures, None, at)
    });
}

#[divan::bench]
fn asked_of_the_table(bencher: divan::Bencher<'_, '_>) {
    let (company, id) = (company(), HoursId::from("kontor"));
    let table = Table::compile(&company.hours["kontor"], &id, &company.closures, start());
    let mut instants = instants();
    bencher.bench_local(|| table.at(instants.next().expect("they never end")));
}

#[divan::bench]
fn asked_by_a_call(bencher: divan::Bencher<'_, '_>) {
    let (company, id, toggles) = (company(), HoursId::from("kontor"), Toggles::default());
    let mut instants = instants();
    bencher.bench_local(|| toggles.hours(&company, &id, instants.next().expect("they never end")));
}

#[divan::bench]
fn a_table_made(bencher: divan::Bencher<'_, '_>) {
    let (company, id) = (company(), HoursId::from("kontor"));
    bencher.bench_local(|| Table::compile(&company.hours["kontor"], &id, &company.closures, start()));
}
