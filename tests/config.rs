//! Configuration folders: the sample loads, and every mistake is told where it stands.
//!
//! Each file under `data/config/<kind>/` is loaded as the only file of its kind; its last lines say what must
//! be found: `#!` an error, `#?` a warning, all of them and no others.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sentral::model::Config;
use sentral::model::class::Classes;
use sentral::model::class::PriceClass;
use sentral::model::company::Extension;
use sentral::model::flow::Destination;
use sentral::model::flow::Exit;
use sentral::model::flow::Step;
use sentral::model::id::Number;
use sentral::model::queue::AutoPause;
use sentral::model::queue::Queue;
use sentral::model::queue::Strategy as QueueStrategy;
use sentral::model::trunk::TrunkTransport;
use sentral::shell::store::files::Loaded;
use sentral::shell::store::files::load;
use sentral::shell::store::files::load_texts;
use sentral::shell::store::files::watch;

const COMPANY: &str = "companies/prove.toml";

#[test]
fn the_sample_loads_from_the_disk_without_errors() {
    let loaded = load(&sample());
    assert_eq!(told(&loaded).0, Vec::<String>::new());
    let config = loaded.config.expect("no errors");
    assert_eq!(config.companies.len(), 1);
    assert_eq!(config.trunks.len(), 1);
    assert_eq!(config.plans.len(), 2);
}

#[test]
fn every_file_of_the_sample_is_read() {
    let texts = sample_texts();
    assert_eq!(texts.len(), 5, "{:?}", texts.keys());
    for path in texts.keys() {
        // A key that nobody knows is found in whichever file it stands.
        let mut broken = texts.clone();
        broken.entry(path.clone()).and_modify(|text| text.insert_str(0, "ukjent = 1\n"));
        let (errors, _) = told(&load_all(&broken));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with(&format!("{}:1:1: unknown key \"ukjent\"", path.display())),
            "{errors:?}"
        );
    }
}

#[test]
fn a_calendar_becomes_closures_and_what_it_holds_is_checked() {
    let company = "[company]\nname = \"Prøve\"\n[hours.kontor]\nmon-fri = \"08:00-16:00\"\n[media]\nm = { file = \"m.wav\" }\n\
                   [closures.ferier]\nical = \"ferier.ics\"\nhours = [\"kontor\"]\nplay = \"m\"\n\
                   [closures.egen]\nfrom = 2027-01-04\nto = 2027-01-04\n";
    let with = |calendar: &str| {
        let files = [(COMPANY, company), ("calendars/prove/ferier.ics", calendar)];
        load_all(&files.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect())
    };
    let event = |lines: &str| format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
    let loaded = with(&event("SUMMARY:Jul\nDTSTART;VALUE=DATE:20271224\nRRULE:FREQ=YEARLY;COUNT=2"));
    assert_eq!(told(&loaded).0, Vec::<String>::new());
    let config = loaded.config.expect("it is sound");
    let closures = &config.companies["prove"].closures;
    let ids: Vec<&str> = closures.keys().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["egen", "ferier-1", "ferier-2"]);
    let second = &closures["ferier-2"];
    assert_eq!((&*second.name, second.from.to_string().as_str()), ("Jul", "2028-12-24T00:00:00"));
    assert_eq!(second.hours.len(), 1);
    assert!(second.order < closures["egen"].order, "ties go by the order of the file");
    let refused = told(&with(&event("SUMMARY:Jul\nDTSTART;VALUE=DATE:20271224\nRRULE:FREQ=WEEKLY"))).0;
    assert_eq!(
        refused,
        [format!(
            "{COMPANY}:8:8: ferier.ics: line 5: RRULE with FREQ=WEEKLY is not taken: only FREQ=YEARLY on the same date; \
             write each time as an event of its own"
        )]
    );
    let mut none = BTreeMap::from([(COMPANY.into(), company.to_owned())]);
    let missing = told(&load_all(&none)).0;
    assert!(
        missing[0].contains("ferier.ics: the file is not there: looked for calendars/prove/ferier.ics"),
        "{missing:?}"
    );
    none.insert(COMPANY.into(), company.replace("\"ferier.ics\"", "\"../ferier.ics\""));
    assert!(told(&load_all(&none)).0[0].contains("must be the name of an .ics file"));
}

#[test]
fn a_flow_has_five_hundred_steps_at_most() {
    let flow = |steps: usize| {
        let mut text =
            String::from("[company]\nname = \"Prøve\"\n[flows.lang]\nstart = \"s1\"\n[flows.lang.steps]\n");
        for step in 1..steps {
            text.push_str(&format!("s{step} = {{ set = {{ tag = \"x\" }}, next = \"s{}\" }}\n", step + 1));
        }
        text.push_str(&format!("s{steps} = {{ hangup = \"normal\" }}\n"));
        told(&load_all(&BTreeMap::from([(COMPANY.into(), text)]))).0
    };
    assert_eq!(flow(500), Vec::<String>::new());
    assert_eq!(flow(501), [format!("{COMPANY}:3:8: flow \"lang\" has 501 steps; 500 is the most")]);
}

#[test]
fn name_servers_kept_messages_and_the_capture_server_are_read() {
    let server = "[dns]\nservers = \"127.0.0.1:5353\"\n[trace]\nmemory = \"32MB\"\n[history]\nkeep = \"90d\"\n[hep]\n\
                  server = \"homer.example.no\"\npassword = \"env:A\"\n";
    let mut texts = sample_texts();
    texts.insert("server.toml".into(), server.into());
    texts.entry("trunks.toml".into()).and_modify(|text| {
        *text = text.replace("transport = \"udp\"", "transport = \"auto\"");
    });
    let config = load_all(&texts).config.expect("all of it is right");
    assert_eq!(config.server.dns_servers, ["127.0.0.1:5353".parse().expect("an address")]);
    assert_eq!(config.server.trace_bytes, 32_000_000);
    assert_eq!(config.server.events_keep, Duration::from_secs(90 * 86_400));
    let hep = config.server.hep.as_ref().expect("a capture server");
    assert_eq!((&*hep.host, hep.port, hep.id), ("homer.example.no", None, 2001));
    assert_eq!(hep.password.as_ref().map(|secret| &*secret.0), Some("verdi av A"));
    assert!(config.trunks.values().all(|trunk| trunk.transport == TrunkTransport::Auto));
    // What nobody wrote.
    let usual = load_all(&sample_texts()).config.expect("the sample is right");
    assert!(usual.server.dns_servers.is_empty() && usual.server.hep.is_none());
    assert_eq!(usual.server.trace_bytes, 16_000_000);
    assert_eq!(usual.server.events_keep, Duration::from_secs(400 * 86_400));
}

#[test]
fn the_sample_means_what_it_says() {
    let config = load_all(&sample_texts()).config.expect("the sample is right");
    let company = &config.companies["nordlys-bakeri"];
    let number = |text: &str| Number::new(text);
    // Numbers of the company, and of its users.
    assert_eq!(config.numbers[&number("+4736000300")].1, Destination::Flow("hovednummer".into()));
    assert_eq!(config.numbers[&number("+4736000303")].1, Destination::User("maja".into()));
    assert_eq!(company.extensions[&number("601")], Extension::To(Destination::Queue("salg".into())));
    assert_eq!(company.extensions[&number("580")], Extension::Toggle("natt".into()));
    assert_eq!(&*config.devices[&(Arc::from("127.0.0.1"), "ovnen".into())].to_string(), "nordlys-bakeri");
    // Boxes are made for users who have voicemail.
    assert!(company.mailboxes.contains_key("user:maja") && !company.mailboxes.contains_key("user:tor"));
    // From the queue, from its type, and from what every queue has.
    let switchboard: &Queue = &company.queues["sentralbord"];
    assert_eq!(switchboard.ring, Duration::from_secs(20));
    assert_eq!(switchboard.strategy, QueueStrategy::InOrder);
    assert_eq!(switchboard.max_calls, 20);
    assert_eq!((switchboard.agents[0].user.as_str(), switchboard.agents[1].tier), ("tor", 2));
    // A closure by dates ends when the day after begins.
    assert_eq!(company.closures["sommerferie-2027"].to.to_string(), "2027-07-31T00:00:00");
    // Exits that are not written.
    let Step::Dial { exits, .. } = &company.flows["ingen-pa-jobb"].steps["ring"] else {
        panic!("a dial step")
    };
    assert_eq!(exits["unavailable"], Exit::To(Destination::Voicemail("felles".into())));
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["emergency", "premium", "short", "norway", "international"]);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (path, kind) in broken_files() {
        let text = std::fs::read_to_string(&path).expect("readable test data");
        let expect = |mark: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
        };
        let expected = (expect("#! "), expect("#? "));
        let found = told(&load_all(&BTreeMap::from([(kind, text.clone())])));
        if found != expected {
            let lines = |mark: &str, all: &[String]| {
                all.iter().map(|line| format!("{mark} {line}\n")).collect::<String>()
            };
            wrong.push(format!("{}:\n{}{}", path.display(), lines("#!", &found.0), lines("#?", &found.1)));
        }
    }
    assert!(wrong.is_empty(), "found other problems than expected:\n{}", wrong.join("\n"));
}

#[test]
fn mistakes_in_several_files_are_told_together_and_nothing_is_loaded() {
    let mut texts = sample_texts();
    texts.insert("plans.toml".into(), "[plans.kontor]\n[plans.mobil]\ndata = 10\n".into());
    texts.insert(
        "companies/annen.toml".into(),
        "[company]\nname = \"Annen\"\n[numbers]\n\"+4736000300\" = \"hangup\"\n".into(),
    );
    let loaded = load_all(&texts);
    assert!(loaded.config.is_none());
    let (errors, _) = told(&loaded);
    assert_eq!(
        errors,
        [
            "companies/nordlys-bakeri.toml:31:1: number +4736000300 is already given to hangup of annen",
            "plans.toml:3:8: a size needs its unit: write \"10MB\"",
        ]
    );
}

#[test]
fn limits_prices_and_guards_mean_what_they_say_and_a_company_wins_over_the_server() {
    let server = "[fraud]\nkroner_per_day = 7\nnight_percent = 20\n[fraud.user]\ncalls = 2\n\
                  [prices]\nworld = 900\n[classes]\nhigh_risk = [\"+4470\"]\n\
                  [guard]\nfailures = 3\nwithin = \"1m\"\nnever = [\"10.0.0.0/8\"]\nscanners = [\"BadPhone\"]\nlag = \"50ms\"\n";
    let company = "[company]\nname = \"A\"\nallow = \"international\"\n[users.u]\nallow = []\n[fraud.user]\ncalls = 4\n";
    let texts = BTreeMap::from([
        (PathBuf::from("server.toml"), server.to_owned()),
        (PathBuf::from(COMPANY), company.to_owned()),
    ]);
    let config = load_all(&texts).config.expect("both are right");
    let (server, company) = (&config.server, &config.companies["prove"]);
    assert_eq!((server.fraud.company.kroner_per_day, server.fraud.night_percent), (7, 20));
    assert_eq!((server.fraud.user.calls, server.fraud.user.minutes_per_day), (2, 960));
    assert_eq!((company.fraud.company.kroner_per_day, company.fraud.user.calls), (7, 4));
    assert!(company.allow.contains(PriceClass::Europe) && !company.allow.contains(PriceClass::HighRisk));
    assert_eq!(company.users["u"].allow, Some(Classes::NONE));
    assert_eq!(server.tariff.price(PriceClass::World), 900);
    assert_eq!(server.tariff.class(&Number::new("+447012345678")), PriceClass::HighRisk);
    assert_eq!((server.guard.failures, server.guard.within), (3, Duration::from_secs(60)));
    assert_eq!(server.guard.scanners, ["badphone".into()]);
    assert_eq!((server.guard.never.len(), server.guard.lag), (1, Duration::from_millis(50)));
}

#[test]
fn a_device_belongs_to_one_company_of_its_domain() {
    let company = |domain: &str| {
        format!(
            "[company]\nname = \"A\"\ndomain = \"{domain}\"\n[users.u]\n[devices]\nbord = {{ user = \"u\" }}\n"
        )
    };
    let texts = |first: &str, second: &str| {
        BTreeMap::from([
            (PathBuf::from("companies/a.toml"), company(first)),
            (PathBuf::from("companies/b.toml"), company(second)),
        ])
    };
    assert_eq!(told(&load_all(&texts("a.example", "b.example"))).0, Vec::<String>::new());
    assert_eq!(
        told(&load_all(&texts("a.example", "a.example"))).0,
        ["companies/b.toml:6:1: device \"bord\" is already one of a in the SIP domain a.example"]
    );
}

#[test]
fn a_setting_of_a_queue_wins_over_its_company_s_type_and_that_over_the_operator_s() {
    let operator = "[queue_types.min]\nring = \"10s\"\nwrap_up = \"10s\"\nmax_calls = 1\n";
    let company = "[company]\nname = \"A\"\n[users.u]\n[queue_types.min]\nring = \"11s\"\nwrap_up = \"11s\"\n\
                   [queues.q]\ntype = \"min\"\nring = \"12s\"\nagents = [\"u\"]\noverflow = \"hangup\"\n";
    let texts = BTreeMap::from([
        (PathBuf::from("queue_types.toml"), operator.to_owned()),
        (PathBuf::from(COMPANY), company.to_owned()),
    ]);
    let config = load_all(&texts).config.expect("no errors");
    let queue = &config.companies["prove"].queues["q"];
    let seconds = |length: Duration| length.as_secs();
    assert_eq!((seconds(queue.ring), seconds(queue.wrap_up), queue.max_calls), (12, 11, 1));
}

#[test]
fn every_way_for_a_queue_to_behave_may_stand_in_a_type_and_be_written_anew_in_the_queue() {
    let all = "strategy = \"widening\"\nwidening = { start = 2, add = 3, every = \"5s\" }\n\
               reject_retry = \"never\"\nunreachable_retry = \"10s\"\nwrap_up_extend = \"1m\"\nrejoin = \"2m\"\n\
               ignore_dnd = true\nfollow_forward = true\noutbound_number = \"+4736000100\"\n\
               prefer_last_agent = { within = \"30d\", wait = \"20s\" }\n\
               callback = { key = \"5\", offer_after = \"30s\", min_position = 3, attempts = 4, retry = \"5m\", within_hours = false }\n\
               high_traffic = { waiting = 4 }\n\
               auto_pause = { after = 2, on = [\"no_answer\", \"rejected\"], scope = \"agent\", return_after = \"15m\" }\n";
    let agents = "agents = { u = { tier = 2, skill = 9, auto_login = true } }\noverflow = \"hangup\"\n";
    let company = format!(
        "[company]\nname = \"A\"\n[users.u]\n[queues.a]\ntype = \"alt\"\n{agents}[queues.b]\n{all}{agents}\
         [queues.c]\ntype = \"alt\"\ncallback = false\nauto_pause = false\nprefer_last_agent = false\n\
         high_traffic = false\nreject_retry = \"9s\"\n{agents}"
    );
    let texts = BTreeMap::from([
        (PathBuf::from("queue_types.toml"), format!("[queue_types.alt]\n{all}")),
        (PathBuf::from(COMPANY), company),
    ]);
    let loaded = load_all(&texts);
    assert_eq!(told(&loaded).0, Vec::<String>::new());
    let config = loaded.config.expect("no errors");
    let queues = &config.companies["prove"].queues;
    let (typed, written) = (&queues["a"], &queues["b"]);
    assert_eq!(Queue { name: typed.name.clone(), ..written.clone() }, *typed);
    assert_eq!(written.reject_retry, None);
    assert_eq!(written.callback.map(|callback| (callback.key, callback.attempts)), Some(('5', 4)));
    assert!(written.auto_pause.everywhere && written.auto_pause.on.rejected && !written.auto_pause.on.busy);
    assert_eq!(written.agents[0].skill, 9);
    let off = &queues["c"];
    assert_eq!((off.callback, off.prefer_last_agent, &off.high_traffic), (None, None, &None));
    assert_eq!(off.auto_pause, AutoPause::OFF);
}

#[test]
fn what_a_queue_cannot_be_is_refused_with_what_to_write() {
    let errors = |queue: &str| {
        let company = format!("[company]\nname = \"A\"\n[users.u]\n{queue}");
        told(&load_all(&BTreeMap::from([(PathBuf::from(COMPANY), company)]))).0.join("\n")
    };
    let form = errors(
        "[queues.q]\nagents = { u = { tier = 1, skil = 3 } }\nstrategy = \"widning\"\nwidening = { start = 0 }\n\
         callback = { key = \"10\" }\nauto_pause = { on = [\"no_anser\"] }\nhigh_traffic = { play = \"x\" }\n\
         overflow = \"hangup\"\n[groups.g]\nmembers = [\"u\"]\nstrategy = \"pull\"\n",
    );
    for part in [
        "unknown key \"skil\"",
        "unknown word \"widning\" – did you mean \"widening\"?",
        "\"10\" is no key of a telephone",
        "unknown word \"no_anser\" – did you mean \"no_answer\"?",
        "say when there is much to do",
        "nobody waits in a ring group",
    ] {
        assert!(form.contains(part), "{part} in\n{form}");
    }
    let twice = errors(
        "[queues.q]\nagents = [\"u\"]\ncallback = true\nkeys = { 1 = \"hangup\" }\noverflow = \"hangup\"\n",
    );
    assert!(twice.contains("key 1 asks for a call-back"), "{twice}");
}

#[test]
fn the_built_in_types_need_no_file() {
    let queue =
        |id: &str| format!("[queues.{id}]\ntype = \"{id}\"\nagents = [\"u\"]\noverflow = \"hangup\"\n");
    let types = ["standard", "alle-ringer", "prioritert", "sentralbord"];
    let company = format!("[company]\nname = \"A\"\n[users.u]\n{}", types.map(queue).concat());
    let texts = BTreeMap::from([(PathBuf::from(COMPANY), company)]);
    let config = load_all(&texts).config.expect("no errors");
    let strategy = |id: &str| config.companies["prove"].queues[id].strategy;
    let expect =
        [QueueStrategy::LongestIdle, QueueStrategy::RingAll, QueueStrategy::InOrder, QueueStrategy::Pull];
    assert_eq!(types.map(strategy), expect);
}

#[test]
fn an_empty_folder_is_a_working_switch_without_customers() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = load(folder.path()).config.expect("defaults");
    assert_eq!(*config, Config::default());
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file() {
    let company = "[company]\nname = \"A\"\n[users.u]\n[devices]\na = { user = \"u\", password = \"env:A\" }\n\
                   b = { user = \"u\", password = \"file:/b\" }\n";
    let texts =
        BTreeMap::from([(PathBuf::from(COMPANY), company.to_owned()), ("/b".into(), "fra fil\n".to_owned())]);
    let loaded = load_all(&texts);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config.expect("no errors");
    let password =
        |id: &str| config.companies["prove"].devices[id].password.clone().map(|secret| secret.0.to_string());
    assert_eq!((password("a"), password("b")), (Some("verdi av A".into()), Some("fra fil".into())));
}

#[test]
fn a_watched_folder_tells_of_changes_and_not_of_writes_that_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.toml");
    let write = |text: &str| std::fs::write(&path, text).expect("writing");
    write("");
    let (tell, told) = std::sync::mpsc::channel();
    let changed = move || tell.send(()).expect("the test listens");
    let watcher = watch(folder.path().to_owned(), changed).expect("watching");
    let wait = Duration::from_secs(20);
    write("[server]\n");
    told.recv_timeout(wait).expect("a change in place");
    // As editors do: written aside, then renamed over the file.
    let aside = folder.path().join(".server.toml.swp");
    std::fs::write(&aside, "[server]\nname = \"a\"\n").expect("writing");
    std::fs::rename(&aside, &path).expect("renaming");
    told.recv_timeout(wait).expect("a renamed file");
    // As deployments do: a symbolic link swapped for another.
    let link = folder.path().join("link");
    std::fs::write(folder.path().join("target"), "[server]\nname = \"b\"\n").expect("writing");
    std::os::unix::fs::symlink("target", &link).expect("linking");
    std::fs::rename(&link, &path).expect("renaming");
    told.recv_timeout(wait).expect("a swapped link");
    // The same content again, and then another: one change is told, so the first was not.
    for name in ["b", "c"] {
        std::fs::write(&aside, format!("[server]\nname = \"{name}\"\n")).expect("writing");
        std::fs::rename(&aside, &path).expect("renaming");
    }
    told.recv_timeout(wait).expect("a change");
    drop(watcher);
    assert!(told.recv_timeout(wait).is_err(), "the watcher is gone, and so is its thread");
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,200}", path in file()) {
        load_all(&BTreeMap::from([(path, text)]));
    }

    #[test]
    fn no_damage_to_the_sample_makes_the_loader_panic(
        path in file(),
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
        put in "[\\[\\]{}=\"',.#:a-z0-9 \n+-]{0,12}",
    ) {
        let mut texts = sample_texts();
        if let Some(text) = texts.get_mut(&path) {
            let signs: Vec<char> = text.chars().collect();
            let from = at.index(signs.len());
            let rest = signs[from..].iter().skip(length);
            *text = signs[..from].iter().chain(put.chars().collect::<Vec<_>>().iter()).chain(rest).collect();
        }
        let loaded = load_all(&texts);
        prop_assert_eq!(loaded.config.is_some(), loaded.errors.is_empty());
    }
}

fn file() -> impl Strategy<Value = PathBuf> {
    let names =
        ["server.toml", "trunks.toml", "plans.toml", "queue_types.toml", "companies/nordlys-bakeri.toml"];
    prop::sample::select(names.to_vec()).prop_map(PathBuf::from)
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn sample_texts() -> BTreeMap<PathBuf, String> {
    let folders = [sample(), sample().join("companies")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("the sample is there"));
    let paths = entries.map(|entry| entry.expect("readable").path());
    let toml = paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("readable");
        (path.strip_prefix(sample()).expect("inside").to_owned(), text)
    };
    toml.map(read).collect()
}

/// Every broken file, and the path it is loaded as.
fn broken_files() -> Vec<(PathBuf, PathBuf)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let mut files = Vec::new();
    for kind in ["company", "server", "trunks", "plans", "queue_types"] {
        let path = if kind == "company" { COMPANY.into() } else { format!("{kind}.toml").into() };
        let folder = std::fs::read_dir(data.join(kind)).expect("the test data is there");
        files.extend(folder.map(|entry| (entry.expect("readable").path(), PathBuf::clone(&path))));
    }
    assert!(files.len() >= 12, "{files:?}");
    files.sort();
    files
}

fn load_all(texts: &BTreeMap<PathBuf, String>) -> Loaded {
    let env = |name: &str| (name.len() == 1).then(|| format!("verdi av {name}"));
    load_texts(texts, &env, &|company, file| Ok(Path::new("/media").join(company.as_str()).join(file)))
}

/// Errors and warnings as people read them.
fn told(loaded: &Loaded) -> (Vec<String>, Vec<String>) {
    let lines = |problems: &[sentral::shell::store::files::Problem]| {
        problems.iter().map(ToString::to_string).collect()
    };
    (lines(&loaded.errors), lines(&loaded.warnings))
}
