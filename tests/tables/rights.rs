//! Who may call which class of numbers: the usual ones, the company's, the user's own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sentral::model::Config;
use sentral::model::id::Number;
use sentral::model::id::UserId;
use sentral::shell::store::files::load_texts;
use sentral::switch::route::NoRoute;
use sentral::switch::route::outside;
use sentral::switch::route::rights;

const TRUNKS: &str = r#"
[trunks.a]
name = "A"
server = "192.0.2.1:5060"
trusted = ["192.0.2.1"]
[routes]
short  = { to = ["0", "1"], via = ["a"] }
norway = { to = ["+47"],    via = ["a"] }
sweden = { to = ["+46"],    via = ["a"] }
abroad = { to = ["+"],      via = ["a"], needs = "international" }
"#;

/// A company that opens the Nordic countries and premium numbers for everybody, and bars satellites.
const COMPANY: &str = r#"
[company]
name  = "A"
allow = ["nordic", "premium"]
block = ["satellite", "m2m"]
[users.usual]
[users.old]
rights = ["international"]
[users.wide]
allow = ["international", "high_risk", "satellite", "m2m"]
[users.narrow]
allow = []
"#;

fn config(company: &str) -> std::sync::Arc<Config> {
    let files = [("trunks.toml", TRUNKS), ("companies/a.toml", company)];
    let texts: BTreeMap<PathBuf, String> =
        files.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect();
    let loaded = load_texts(&texts, &|_| None, &|_, file| Ok(file.into()));
    loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.errors))
}

/// `yes`, the class that is closed, or `route`.
fn may(config: &Config, user: Option<&str>, number: &str) -> &'static str {
    let rights = rights(&config.companies["a"], user.map(UserId::from).as_ref());
    match outside(config, &"a".into(), &Number::new(number), rights) {
        Ok(_) => "yes",
        Err(NoRoute::NotAllowed { class }) => class.as_str(),
        Err(NoRoute::Barred { .. }) => "route",
        Err(other) => panic!("{number}: {other}"),
    }
}

#[test]
fn what_one_may_call_is_the_usual_and_what_the_company_or_the_user_opens() {
    let rows = [
        ("112", ["yes", "yes", "yes", "yes", "yes"]),
        ("+4722000100", ["yes", "yes", "yes", "yes", "yes"]),
        ("+4790000100", ["yes", "yes", "yes", "yes", "yes"]),
        ("02800", ["yes", "yes", "yes", "yes", "yes"]),
        ("116117", ["yes", "yes", "yes", "yes", "yes"]),
        ("+4780022222", ["yes", "yes", "yes", "yes", "yes"]),
        ("+4781522222", ["yes", "yes", "yes", "yes", "yes"]),
        // The company's, but where the user has a list of their own.
        ("+4782022222", ["yes", "yes", "yes", "premium", "premium"]),
        ("1881", ["yes", "yes", "yes", "premium", "premium"]),
        ("+46812345678", ["yes", "yes", "yes", "yes", "nordic"]),
        ("+4533333333", ["yes", "yes", "yes", "yes", "route"]),
        // A route that needs the right refuses by itself.
        ("+442012345678", ["route", "route", "yes", "yes", "route"]),
        ("+12125550100", ["route", "route", "yes", "yes", "route"]),
        ("+18765550100", ["route", "route", "route", "yes", "route"]),
        // Barred for everybody.
        ("+881612345678", ["route", "route", "route", "route", "route"]),
        ("+47580000000000", ["m2m", "m2m", "m2m", "m2m", "m2m"]),
    ];
    let config = config(COMPANY);
    let who = [None, Some("usual"), Some("old"), Some("wide"), Some("narrow")];
    for (number, expect) in rows {
        assert_eq!(who.map(|user| may(&config, user, number)), expect, "{number}");
    }
}

#[test]
fn a_company_that_says_nothing_calls_the_country_and_nothing_dear() {
    let config = config("[company]\nname = \"A\"\n[users.u]\n");
    let rows = [
        ("112", "yes"),
        ("+4722000100", "yes"),
        ("+4780022222", "yes"),
        ("1881", "premium"),
        ("+4782022222", "premium"),
        ("+47580000000000", "m2m"),
        // Even where the route asks for nothing.
        ("+46812345678", "nordic"),
        ("+442012345678", "route"),
    ];
    for (number, expect) in rows {
        assert_eq!(may(&config, Some("u"), number), expect, "{number}");
        assert_eq!(may(&config, None, number), expect, "a flow to {number}");
    }
}

#[test]
fn emergency_is_open_even_when_the_company_bars_everything() {
    let all = "[company]\nname = \"A\"\nblock = [\"domestic\", \"free\", \"international\", \"premium\"]\n";
    let config = config(all);
    assert_eq!(may(&config, None, "113"), "yes");
    assert_eq!(may(&config, None, "+4722000100"), "fixed");
}
