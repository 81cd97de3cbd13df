//! What the exchange is accepted by: many callers and agents at once on a real daemon, and what they may never see.
//!
//! The runs that take long are ignored here; `tests/soak` runs them, for as long as `SOAK_SECONDS` says.
//!
//! | Scenario | Proved by |
//! |---|---|
//! | 200 callers, 20 agents, everybody rings | here |
//! | Dispatch within 10 ms with a thousand waiting | `figures` (measured), `benches/queue.rs` |
//! | Loads under waiting and talking callers | here, five hundred of each in `tests/soak` |
//! | The last agent logs off with thirty waiting | here |
//! | kill -9 | here, `crash` |
//! | CANCEL at each 5 ms of the answer | `tests/sim/answer_window.rs` |
//! | Keys by each way, early and double | `tests/sim/mobile.rs`, `tests/media_engine`, `sipp` |
//! | Golden hours | `golden` on a daemon, `tests/sim/golden.rs` |
//! | Forward to a mobile with Diversion, again after 403 | `forward` on a daemon, `tests/sim/contacts.rs`, `trunks.rs` |
//! | Emergency numbers whatever stands in the way | `tests/sim/emergency.rs`, `guard.rs`; `attack` on a daemon |
//! | Agents who come and go for a day | here, in `tests/soak` |
//! | What callers hear | here |

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::time::Duration;
use std::time::Instant;

use sentral::rand::Rng;

use crate::daemon::Daemon;
use crate::daemon::Site;
use crate::daemon::crowd::Crowd;
use crate::daemon::crowd::Manners;
use crate::daemon::crowd::Stage;
use crate::daemon::ear::Ear;
use crate::daemon::free_ports;
use crate::daemon::sipp::Sipp;
use crate::daemon::voice::likeness;
use crate::daemon::wait_until;

const PATIENCE: Duration = Duration::from_secs(20);
const QUEUE: &str = "+4736000140";

/// Callers who wait for ever, for agents who never answer.
const WAITING: Manners = Manners {
    number: QUEUE,
    callers: 30,
    every: Duration::from_millis(20),
    answer_ms: None,
    talk: Duration::ZERO,
    impatient: None,
};

#[test]
fn of_two_hundred_callers_and_twenty_agents_nobody_talks_with_two_and_nothing_rings_for_nobody() {
    let agents = names(0..20);
    let site = company(&agents, "strategy = \"ring-all\"\nring = \"20s\"", 600);
    let daemon = site.start();
    let manners = Manners {
        callers: 200,
        every: Duration::from_millis(60),
        answer_ms: Some(5..80),
        // Less than a second is no answered call.
        talk: Duration::from_millis(1_100),
        impatient: Some(10),
        ..WAITING
    };
    let mut crowd = Crowd::new(&site, 1, &agents, manners);
    assert!(crowd.run(Duration::from_secs(90), Crowd::is_over), "somebody is still there");
    let talks = crowd.talks();
    let twice: Vec<_> = talks.iter().filter(|(_, agents)| agents.len() > 1).collect();
    assert!(twice.is_empty(), "connected with several agents: {twice:?}");
    assert_eq!(crowd.ghosts, [""; 0], "rang for callers who had gone");
    assert!(crowd.callers.iter().all(|caller| !caller.ended_by_them), "the exchange ended a call");
    let too_late = crowd.rings.values().filter(|ring| ring.stage == Stage::Elsewhere).count();
    println!("{} talked, {} rings, {too_late} answers too late", talks.len(), crowd.rings.len());
    let silence = &mut crowd.silence.clone();
    silence.sort_unstable();
    let share = |percent: usize| silence.get(silence.len() * percent / 100);
    println!("hang-up to silence of {} phones: p50 {:?}, p99 {:?}", silence.len(), share(50), share(99));
    assert!(talks.len() >= 180 && too_late > 0);
    let queue = queue(&site);
    let today = &queue["today"];
    let count = |what: &str| today[what].as_u64().unwrap_or_else(|| panic!("no {what} in {queue}"));
    assert_eq!(count("offered"), 200);
    assert!(count("answered") <= talks.len() as u64 && count("answered") >= 180, "{queue}");
    assert_eq!((&today["overflowed"], &queue["waiting"]), (&serde_json::json!({}), &0.into()));
    agents_are_free(&site, &agents);
    daemon.end();
}

#[test]
fn when_the_last_agent_logs_off_all_who_wait_leave_in_their_order() {
    let agents = names(0..1);
    let site = company(&agents, "strategy = \"ring-all\"\nring = \"60s\"\nleave_grace = \"1s\"", 200);
    let daemon = site.start();
    let mut crowd = Crowd::new(&site, 2, &agents, WAITING);
    assert!(crowd.run(PATIENCE, |crowd| crowd.up() == 30), "only {} wait", crowd.up());
    site.ask(&["agents", "logout", "prove", "a00"]).expect("an agent");
    assert!(crowd.run(PATIENCE, Crowd::is_over), "{} are still there", crowd.up());
    assert_eq!(crowd.order_of_end(), (0..30).collect::<Vec<_>>());
    assert!(crowd.callers.iter().all(|caller| caller.ended_by_them));
    let queue = queue(&site);
    let today = &queue["today"];
    assert_eq!((&today["overflowed"]["nobody"], &today["abandoned"]), (&30.into(), &0.into()), "{queue}");
    daemon.end();
}

#[test]
fn the_third_in_line_is_told_so_and_then_hears_music_without_a_gap() {
    let agents = names(0..1);
    let queue = "strategy = \"ring-all\"\nring = \"60s\"\nannounce = [\"position\"]";
    let site = company(&agents, queue, 200);
    let daemon = site.start();
    let mut crowd = Crowd::new(&site, 4, &agents, Manners { callers: 2, ..WAITING });
    assert!(crowd.run(PATIENCE, |crowd| crowd.up() == 2));
    let mut ear = Ear::new([127, 0, 0, 2]);
    let options = ["-m", "1", "-d", "7000", "-key", "ear_port", &ear.port()];
    let caller = Sipp::caller(&site, "caller-hangs-up", QUEUE, &options);
    let (heard, missing) = ear.listens(Duration::from_secs(5));
    assert_eq!(missing, 0, "packets");
    let alike: Vec<f64> = (2..=6).map(|number| likeness(&heard, &format!("num/{number}"))).collect();
    println!("two to six: {alike:.2?}");
    let most = alike.iter().copied().fold(0.0, f64::max);
    assert!(most == alike[1] && most > 0.8, "from two to six: {alike:?}");
    assert!(likeness(&heard, "queue/position-pre") > 0.8);
    ear.hears(1200.0);
    caller.succeeds();
    site.ask(&["agents", "logout", "prove", "a00"]).expect("an agent");
    assert!(crowd.run(PATIENCE, Crowd::is_over));
    daemon.end();
}

#[test]
fn log_ins_and_pauses_are_back_after_a_kill() {
    let agents = names(0..4);
    let site = company(&agents, "", 200);
    let mut daemon = site.start();
    site.ask(&["agents", "logout", "prove", "a01"]).expect("an agent");
    site.ask(&["agents", "pause", "prove", "a02", "--reason", "lunsj"]).expect("an agent");
    let states = |site: &Site| {
        let agents = site.ask(&["agents"]).expect("the daemon answers");
        let list = agents.as_array().or_else(|| agents["agents"].as_array()).expect("a list").clone();
        list.into_iter()
            .map(|agent| [&agent["agent"], &agent["paused"], &agent["lines"]].map(ToString::to_string))
            .collect::<BTreeSet<_>>()
    };
    let before = states(&site);
    daemon.process.kill().expect("it runs");
    daemon.process.wait().expect("our own child");
    drop(daemon);
    let began = Instant::now();
    let daemon = site.start();
    println!("back after {:.2?}", began.elapsed());
    assert_eq!(states(&site), before);
    daemon.end();
}

#[test]
fn nobody_loses_the_call_or_the_place_while_the_configuration_is_loaded_again() {
    reload(60, 20, Duration::from_secs(6));
}

#[test]
#[ignore = "takes minutes: tests/soak"]
fn five_hundred_who_wait_and_five_hundred_who_talk_live_through_a_minute_of_loads() {
    reload(500, 500, Duration::from_secs(60));
}

#[test]
#[ignore = "takes as long as one wants: tests/soak"]
fn agents_who_come_and_go_all_day_leave_no_trace_in_memory_ports_or_states() {
    let agents = names(0..20);
    let site = company(&agents, "strategy = \"longest-idle\"\nring = \"5s\"\nleave_grace = \"30s\"", 600);
    let daemon = site.start();
    let end = Instant::now() + seconds("SOAK_SECONDS", 60);
    let mut rng = Rng::from_seed(11);
    let mut sizes = Vec::new();
    let mut round = 0;
    while Instant::now() < end {
        round += 1;
        let manners = Manners {
            callers: 100,
            every: Duration::from_millis(100),
            answer_ms: Some(50..2_000),
            talk: Duration::from_millis(1_200),
            impatient: Some(7),
            ..WAITING
        };
        let mut crowd = Crowd::new(&site, round, &agents, manners);
        let mut next = Instant::now();
        let over = crowd.run(Duration::from_secs(120), |crowd| {
            if Instant::now() >= next {
                next = Instant::now() + Duration::from_millis(300);
                let who = &agents[rng.below(agents.len() - 1) + 1];
                let (what, more) = [
                    ("logout", &[][..]),
                    ("login", &[]),
                    ("pause", &["--reason", "lunsj"]),
                    ("unpause", &[]),
                ][rng.below(4)];
                let order = [&["agents", what, "prove", who], more].concat();
                site.ask(&order).expect("an agent");
            }
            crowd.is_over()
        });
        assert!(over, "round {round}: somebody is still there");
        let status = site.ask(&["status"]).expect("the daemon answers");
        assert_eq!(status["agent_state_divergence"], 0, "round {round}");
        wait_until("everything is given back", PATIENCE, || {
            let status = site.ask(&["status"])?;
            (status["calls"] == 0 && status["ports_free"] == status["ports"]).then_some(())
        });
        sizes.push(size(&daemon));
    }
    println!("resident kB and open files after each of {round} rounds: {sizes:?}");
    // The first rounds fill tables and caches.
    if let [_, _, third, .., last] = &sizes[..] {
        assert_eq!(third.1, last.1, "open files");
        assert!(last.0 < third.0 + third.0 / 5, "resident kB");
    }
    daemon.end();
}

/// Callers wait and talk while the configuration is loaded ten times a second: none is lost, those who wait leave in
/// their order, and the music of one who listens has no gap.
fn reload(waiting: usize, talking: usize, long: Duration) {
    let agents = names(0..talking);
    let callers = waiting + talking;
    let queue = "strategy = \"longest-idle\"\nring = \"60s\"\nleave_grace = \"0s\"";
    let site = company(&agents, queue, waiting + 2 * talking + 100);
    let daemon = site.start();
    let manners = Manners { callers, answer_ms: Some(5..50), talk: Duration::from_secs(3_600), ..WAITING };
    let mut crowd = Crowd::new(&site, 3, &agents, manners);
    let patience = PATIENCE + WAITING.every * callers as u32;
    assert!(crowd.run(patience, |crowd| crowd.up() == callers), "only {} are there", crowd.up());
    assert_eq!(crowd.talks().len(), talking);
    let mut ear = Ear::new([127, 0, 0, 2]);
    let (seconds, port) = ((long + PATIENCE).as_millis().to_string(), ear.port());
    let options = ["-m", "1", "-d", &seconds, "-key", "ear_port", &port];
    let listener = Sipp::caller(&site, "caller-hangs-up", QUEUE, &options);
    ear.hears(1200.0);
    let file = site.folder().join("config/companies/prove.toml");
    let text = fs::read_to_string(&file).expect("it was written");
    let (mut loads, mut next) = (0, Instant::now());
    let gap = std::thread::scope(|scope| {
        let ear = scope.spawn(|| ear.longest_gap(long));
        crowd.run(long, |crowd| {
            if Instant::now() >= next {
                next = Instant::now() + Duration::from_millis(100);
                fs::write(&file, text.replace("Prøve AS", &format!("Prøve {loads} AS")))
                    .expect("room on the disk");
                site.ask(&["config", "reload"]).expect("the configuration is sound");
                loads += 1;
            }
            crowd.up() < callers
        });
        ear.join().expect("it listens")
    });
    assert_eq!(crowd.up(), callers, "lost after {loads} loads");
    println!("{loads} loads in {long:?} with {waiting} waiting and {talking} talking; longest gap {gap:?}");
    agents.iter().for_each(|agent| drop(site.ask(&["agents", "logout", "prove", agent]).expect("an agent")));
    let patience = PATIENCE + Duration::from_millis(150) * callers as u32;
    assert!(crowd.run(patience, |crowd| crowd.up() == talking), "{} are still there", crowd.up());
    assert_eq!(crowd.order_of_end(), (talking..callers).collect::<Vec<_>>());
    crowd.everybody_hangs_up();
    assert!(crowd.run(PATIENCE, Crowd::is_over), "{} are still there", crowd.up());
    drop(listener);
    daemon.end();
}

/// The test company with these agents in one queue, and enough ports.
fn company(agents: &[String], queue: &str, ports: usize) -> Site {
    let site = Site::new();
    let config = site.folder().join("config");
    let edit = |name: &str, change: &dyn Fn(&str) -> String| {
        let file = config.join(name);
        let text = fs::read_to_string(&file).expect("it was written");
        fs::write(&file, change(&text)).expect("room on the disk");
    };
    let count = 2 * u16::try_from(ports).expect("as many as there are");
    let first = free_ports(count);
    edit("server.toml", &|text| {
        let line = text.lines().find(|line| line.starts_with("ports = ")).expect("it has ports");
        text.replace(line, &format!("ports = \"{first}-{}\"", first + count - 1))
            .replace("\"debug\"", "\"info\"")
            // Full soon, so that memory is as large as it gets.
            + "[trace]\nmemory = \"1MB\"\n"
    });
    edit("companies/prove.toml", &|text| {
        let lines =
            |line: &dyn Fn(&str) -> String| agents.iter().map(|agent| line(agent)).collect::<String>();
        let users = lines(&|agent| format!("{agent} = {{ name = \"{agent}\" }}\n"));
        let devices =
            lines(&|agent| format!("{agent} = {{ user = \"{agent}\", password = \"{agent}-hemmelig\" }}\n"));
        let announce = if queue.contains("announce") { "" } else { "announce = false\n" };
        let more = format!(
            "\n[queues.alle]\nname = \"Alle\"\nagents = {agents:?}\nauto_login = true\nmax_calls = 1000\n\
             max_wait = \"1h\"\nwelcome = false\ncomfort = false\n{announce}overflow = \"hangup\"\n\
             auto_pause = {{ after = 0 }}\n{queue}\n"
        );
        text.replace("[numbers]\n", &format!("[numbers]\n\"{QUEUE}\" = \"queue:alle\"\n"))
            .replace("[users]\n", &format!("[users]\n{users}"))
            .replace("[devices]\n", &format!("[devices]\n{devices}"))
            + &more
    });
    site
}

fn names(range: Range<usize>) -> Vec<String> {
    range.map(|agent| format!("a{agent:02}")).collect()
}

/// The queue of the agents, as the command line shows it.
fn queue(site: &Site) -> serde_json::Value {
    let queues = site.ask(&["queues"]).expect("the daemon answers");
    let list = queues.as_array().or_else(|| queues["queues"].as_array()).expect("a list");
    list.iter().find(|queue| queue["name"] == "Alle").expect("it is configured").clone()
}

/// No agent is left in a call, ringing or in wrap-up.
fn agents_are_free(site: &Site, agents: &[String]) {
    wait_until("all agents are ready", PATIENCE, || {
        let queue = queue(site);
        let states = queue["agents"].as_array()?.clone();
        let ready = states.iter().filter(|state| state.to_string().contains("ready")).count();
        (ready == agents.len()).then_some(())
    });
}

/// Resident kB and open files of a daemon.
fn size(daemon: &Daemon<'_>) -> (u64, usize) {
    let process = format!("/proc/{}", daemon.process.id());
    let status = fs::read_to_string(format!("{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
    let resident = line.trim().trim_end_matches(" kB").parse().expect("a number");
    (resident, fs::read_dir(format!("{process}/fd")).expect("it runs").count())
}

fn seconds(name: &str, usual: u64) -> Duration {
    let asked = std::env::var(name).ok().map(|text| text.parse().expect("a number of seconds"));
    Duration::from_secs(asked.unwrap_or(usual))
}
