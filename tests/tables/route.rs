//! Dialled number → where the call goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sentral::model::Config;
use sentral::model::id::CompanyId;
use sentral::model::id::TrunkId;
use sentral::model::id::UserId;
use sentral::shell::store::files::load_texts;
use sentral::switch::route::Origin;
use sentral::switch::route::Target;
use sentral::switch::route::hides_number;
use sentral::switch::route::route;

const TRUNKS: &str = r#"
[trunks.a]
name = "A"
server = "192.0.2.1:5060"
trusted = ["192.0.2.1"]
[trunks.b]
name = "B"
server = "192.0.2.2:5060"
trusted = ["192.0.2.2"]
[routes]
emergency     = { to = ["110", "112", "113"], via = ["b", "a"], priority = true }
premium       = { to = ["+47820", "+47829"],  block = true }
norway        = { to = ["+47"],               via = ["a", "b"] }
international = { to = ["+"],                 via = ["a"], needs = "international" }
"#;

const FJELL: &str = r#"
[company]
name = "Fjell"
[numbers]
"+4736000100" = "queue:salg"
"02800" = "flow:vakt"
[users.kari]
name = "Kari"
ext = "101"
number = "+4736000101"
rights = ["international"]
voicemail = true
[users.ola]
name = "Ola"
ext = "102"
[users.vakt]
name = "Vakt"
ext = "1122"
[queues.salg]
name = "Salg"
ext = "601"
agents = ["kari"]
overflow = "voicemail:felles"
[groups.lager]
name = "Lager"
ext = "650"
members = ["ola"]
no_answer = "voicemail:felles"
[voicemail.felles]
name = "Felles"
ext = "690"
users = ["kari"]
[toggles.natt]
name = "Natt"
ext = "501"
[flows.vakt]
name = "Vakt"
start = "ring"
[flows.vakt.steps]
ring = { dial = "user:ola", no_answer = "voicemail:felles" }
"#;

const NABO: &str = r#"
[company]
name = "Nabo"
[users.per]
name = "Per"
ext = "201"
number = "+4736000300"
"#;

fn config() -> Arc<Config> {
    let files = [("trunks.toml", TRUNKS), ("companies/fjell.toml", FJELL), ("companies/nabo.toml", NABO)];
    let texts: BTreeMap<PathBuf, String> =
        files.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect();
    let loaded = load_texts(&texts, &|_| None, &|_, file| Ok(file.into()));
    loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.errors))
}

/// `company/destination`, `out number via trunks`, or the status.
fn led(config: &Config, from: &str, dialled: &str) -> String {
    let (company, user, trunk) = (CompanyId::from("fjell"), UserId::from(from), TrunkId::from("a"));
    let origin = match from {
        "trunk" => Origin::Trunk(&trunk),
        _ => Origin::User { company: &company, user: &user },
    };
    match route(config, &origin, dialled) {
        Ok(Target::Inside { company, destination }) => format!("{company}/{destination}"),
        Ok(Target::Phone { user, .. }) => format!("phone of {user}"),
        Ok(Target::Toggle { toggle, .. }) => format!("toggle {toggle}"),
        Ok(Target::Service { service, .. }) => format!("{service:?}"),
        Ok(Target::Outside { number, trunks, emergency, hide, .. }) => {
            let trunks: Vec<&str> = trunks.iter().flatten().map(TrunkId::as_str).collect();
            let emergency = if emergency { " emergency" } else { "" };
            let hide = if hide { " hidden" } else { "" };
            format!("out {number} via {}{emergency}{hide}", trunks.join(","))
        }
        Ok(Target::Barred { status, .. }) => status.to_string(),
        Err(why) => why.status().to_string(),
    }
}

#[test]
fn a_dialled_number_leads_where_the_table_says() {
    let rows: &[(&str, &str, &str)] = &[
        // From a trunk: public numbers in every form.
        ("trunk", "+4736000100", "fjell/queue:salg"),
        ("trunk", "36000100", "fjell/queue:salg"),
        ("trunk", "4736000100", "fjell/queue:salg"),
        ("trunk", "004736000100", "fjell/queue:salg"),
        ("trunk", "+47 36 00 01 00", "fjell/queue:salg"),
        ("trunk", "02800", "fjell/flow:vakt"),
        ("trunk", "+4702800", "fjell/flow:vakt"),
        ("trunk", "+4736000101", "fjell/user:kari"),
        ("trunk", "+4736000300", "nabo/user:per"),
        // From a trunk: nothing else, neither inside nor on to another carrier.
        ("trunk", "+4736000199", "404"),
        ("trunk", "101", "404"),
        ("trunk", "601", "404"),
        ("trunk", "501", "404"),
        ("trunk", "*40", "404"),
        ("trunk", "*99", "404"),
        ("trunk", "*31*36000100", "404"),
        ("trunk", "112", "404"),
        ("trunk", "+46812345678", "404"),
        ("trunk", "", "404"),
        ("trunk", "anonymous", "404"),
        ("trunk", "kari", "404"),
        // Emergency: exactly these, before everything else, by the emergency route.
        ("ola", "112", "out 112 via b,a emergency"),
        ("ola", "110", "out 110 via b,a emergency"),
        ("ola", "113", "out 113 via b,a emergency"),
        ("ola", "1122", "fjell/user:vakt"),
        ("ola", "22111210", "out +4722111210 via a,b"),
        ("ola", "*31*112", "out 112 via b,a emergency"),
        // Extensions of each kind.
        ("ola", "101", "fjell/user:kari"),
        ("ola", "102", "fjell/user:ola"),
        ("ola", "601", "fjell/queue:salg"),
        ("ola", "650", "fjell/group:lager"),
        ("ola", "690", "fjell/voicemail:felles"),
        ("ola", "501", "toggle natt"),
        // Another company's extension is not reached by it.
        ("ola", "201", "404"),
        // Public numbers of any company stay inside.
        ("ola", "36000100", "fjell/queue:salg"),
        ("ola", "+4736000101", "fjell/user:kari"),
        ("ola", "36000300", "nabo/user:per"),
        ("ola", "004736000300", "nabo/user:per"),
        ("ola", "02800", "fjell/flow:vakt"),
        // Service codes.
        ("ola", "*40", "Login(None)"),
        ("ola", "*40601", "Login(Some(Queue(QueueId(\"salg\"))))"),
        ("ola", "*40650", "Login(Some(Group(GroupId(\"lager\"))))"),
        ("ola", "*40101", "404"),
        ("ola", "*406", "484"),
        ("ola", "*41", "Logout(None)"),
        ("ola", "*41601", "Logout(Some(Queue(QueueId(\"salg\"))))"),
        ("ola", "*42", "Pause(PauseCode { reason: \"\", time: None })"),
        ("ola", "*421*30", "Pause(PauseCode { reason: \"1\", time: Some(\"30\") })"),
        ("ola", "*46", "WrapUpExtend"),
        ("ola", "*43", "Unpause"),
        ("ola", "*44", "WrapUpEnd"),
        ("ola", "*50501", "Toggle(ToggleId(\"natt\"))"),
        ("ola", "*50601", "404"),
        ("ola", "*50", "484"),
        ("ola", "*99", "Voicemail(None)"),
        ("ola", "*99690", "Voicemail(Some(MailboxId(\"felles\")))"),
        ("ola", "*99101", "Voicemail(Some(MailboxId(\"user:kari\")))"),
        ("ola", "*77", "Echo"),
        ("ola", "*78", "OwnNumber"),
        // A code without argument is matched whole; a shorter one takes what it leaves.
        ("ola", "*7701", "People(Wrong(NoSlot))"),
        ("ola", "*8", "People(PickUp(None))"),
        // Hidden number for one call.
        ("ola", "*31*22000100", "out +4722000100 via a,b hidden"),
        ("ola", "*31*", "484"),
        ("ola", "*31*36000100", "fjell/queue:salg"),
        ("ola", "*31*82012345", "403"),
        // Unfinished codes and extensions.
        ("ola", "", "484"),
        ("ola", "*", "484"),
        ("ola", "*4", "484"),
        ("ola", "60", "484"),
        ("ola", "10", "484"),
        // The outside: first route that matches.
        ("ola", "22000100", "out +4722000100 via a,b"),
        ("ola", "+47 22 00 01 00", "out +4722000100 via a,b"),
        ("ola", "1881", "403"),
        ("ola", "116117", "out 116117 via a,b"),
        ("ola", "82012345", "403"),
        ("ola", "+4782912345", "403"),
        // International is a right.
        ("ola", "004681234567", "403"),
        ("kari", "004681234567", "out +4681234567 via a"),
        ("kari", "+4681234567", "out +4681234567 via a"),
        ("nobody", "+4681234567", "403"),
        // What can be no number.
        ("ola", "999", "404"),
        ("ola", "kari", "404"),
        ("ola", "##99#", "404"),
        ("ola", "22 00 01 00;phone-context=x", "404"),
    ];
    let config = config();
    for (from, dialled, expect) in rows {
        assert_eq!(led(&config, from, dialled), *expect, "{from} dials {dialled:?}");
    }
}

#[test]
fn an_emergency_call_without_a_route_of_its_own_takes_any_trunk() {
    let mut config = (*config()).clone();
    config.routes.retain(|route| !route.priority);
    assert_eq!(led(&config, "ola", "112"), "out 112 via a,b emergency");
    config.routes.clear();
    assert_eq!(led(&config, "ola", "112"), "out 112 via a,b emergency");
    config.trunks.clear();
    assert_eq!(led(&config, "ola", "112"), "404");
}

#[test]
fn the_hiding_code_is_told_apart_also_when_the_call_stays_inside() {
    let config = config();
    let fjell = &config.companies["fjell"];
    assert!(hides_number(fjell, "*31*36000100"));
    assert!(!hides_number(fjell, "36000100"));
    assert!(!hides_number(fjell, "*40601"));
}

#[test]
fn a_number_that_a_carrier_writes_in_its_own_way_is_mapped_both_ways() {
    let trunks = "[trunks.a]\nserver = \"192.0.2.1\"\nmap = { \"02800\" = \"+4721000000\" }\n\
                  numbers = \"national\"\n";
    let files = [("trunks.toml", trunks), ("companies/fjell.toml", FJELL)];
    let texts = files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect();
    let loaded = load_texts(&texts, &|_| None, &|_, file| Ok(PathBuf::from(file)));
    let config = loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.errors));
    let trunk = &config.trunks["a"];
    let number = sentral::model::id::Number::new;
    for (ours, theirs) in [("02800", "+4721000000"), ("+4736000100", "36000100"), ("112", "112")] {
        assert_eq!(trunk.write(&number(ours)), theirs);
        assert_eq!(trunk.read(theirs), Some(number(ours)));
    }
    let origin = TrunkId::from("a");
    let target = route(&config, &Origin::Trunk(&origin), "+4721000000");
    assert!(matches!(target, Ok(Target::Inside { .. })), "{target:?}");
}

#[test]
fn trunks_of_one_company_carry_no_other_and_leave_the_next_route_to_decide() {
    let trunks = "[trunks.a]\nserver = \"192.0.2.1\"\ncompany = \"nabo\"\n\
                  [trunks.b]\nserver = \"192.0.2.2\"\n\
                  [trunks.c]\nserver = \"192.0.2.3\"\ncompanies = [\"fjell\"]\n\
                  [routes]\nown = { to = [\"+47\"], via = [[\"a\"]] }\n\
                  norway = { to = [\"+47\"], via = [[\"b\", \"c\"], \"a\"] }\n\
                  emergency = { to = [\"110\", \"112\", \"113\"], via = [\"a\"], priority = true }\n";
    let files = [("trunks.toml", trunks), ("companies/fjell.toml", FJELL), ("companies/nabo.toml", NABO)];
    let texts = files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect();
    let loaded = load_texts(&texts, &|_| None, &|_, file| Ok(PathBuf::from(file)));
    let config = loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.errors));
    let via = |company: &str, user: &str, dialled: &str| {
        let (company, user) = (CompanyId::from(company), UserId::from(user));
        match route(&config, &Origin::User { company: &company, user: &user }, dialled) {
            Ok(Target::Outside { trunks, .. }) => format!("{trunks:?}").replace("TrunkId", ""),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(via("nabo", "per", "22000000"), "[[(\"a\")]]");
    assert_eq!(via("fjell", "kari", "22000000"), "[[(\"b\"), (\"c\")]]");
    // An emergency call rather takes another company's trunk than none.
    assert_eq!(via("fjell", "kari", "112"), "[[(\"a\")]]");
    for (trunk, dialled, reached) in
        [("a", "36000100", false), ("b", "36000100", true), ("c", "36000100", true)]
    {
        let trunk = TrunkId::from(trunk);
        assert_eq!(route(&config, &Origin::Trunk(&trunk), dialled).is_ok(), reached, "{trunk}");
    }
}
