//! Every edge case of a queue as a whole call with its exact outcome, where SIP is part of it; and the table that says
//! which test proves which case. `engine` is `tests/queue_engine`, `acceptance` is `tests/network/acceptance.rs`.
//!
//! | Case | Proved by |
//! |---|---|
//! | Caller hangs up while agents ring | `a_caller_who_hangs_up_silences…`; engine `a_caller_who_hangs_up_takes_every_offer…`; `answer_window` |
//! | Caller hangs up between 200 and ACK of an agent | `who_answers_as_the_caller_hangs_up…`; `answer_window` at each 5 ms |
//! | Two agents answer at once | `of_two_who_answer_at_once…`; engine `the_first_of_two_answers_wins…`; `queue` |
//! | Winner drops before the bridge | `a_winner_who_drops…`; engine `a_winner_who_drops…`, `a_lone_winner_who_drops…` |
//! | Answer crosses the CANCEL after the ring time | `an_answer_that_crosses_the_cancel…` (two tests) |
//! | Agent busy in a direct call | `an_agent_in_a_direct_call…` |
//! | Agent takes a direct call while an offer rings | `a_direct_call_ends_the_offer…` |
//! | Agent calls out in wrap-up | `wrap_up_runs_on_while_the_agent_calls_out` |
//! | No answer for the ring time | `after_the_ring_time_the_next_agent_rings_at_once…` |
//! | N-th miss | `the_second_miss_pauses_the_agent…`; engine `pauses` |
//! | The only agent rejects | `a_lone_agent_who_rejects…`; engine `returning` |
//! | Last agent logs off or pauses | `when_the_last_agent_logs_off…`; acceptance with thirty callers |
//! | Last agent logs off while being rung | `the_last_agent_who_logs_off_while_ringing…` |
//! | Agent logs off while talking | `an_agent_who_logs_off_in_a_talk…` |
//! | Hours end while callers wait | `when_the_hours_end…` |
//! | Closure set while callers wait | `a_closure_set_while_callers_wait…` |
//! | Longest wait over while a phone rings | `at_the_longest_wait…`; engine |
//! | Longest wait over after an answer | `the_longest_wait_is_nothing_to_who_talks` |
//! | Queue full; nobody logged on; all busy | `each_exit_of_a_queue…`; `an_agent_in_a_direct_call…`; engine |
//! | Call-back and the caller rings in | `callback::a_caller_who_rings_in…`; engine `callbacks` |
//! | Call-back not answered | `callback::a_caller_who_does_not_answer…`; engine `who_does_not_answer_frees_the_agent…` |
//! | Call-back after closing time | engine `outside_hours_a_place_is_kept…` |
//! | Overflow into a second queue | `the_wait_is_carried_into_the_next_queue` |
//! | Attended transfer into a queue | `who_is_put_through_into_a_queue…` |
//! | Agent in many queues | `an_agent_of_two_queues_rings_once`; engine |
//! | Another device of the agent answers | `contacts::one_of_an_agents_phones_takes_the_call…` |
//! | Mobile voicemail picks up | `contacts::voicemail_that_answers…` |
//! | Process restart | engine `…come_back_from_the_store`, `pauses`, `callbacks`; acceptance after a kill |
//! | Reload while calls wait | engine `a_reload_keeps_places…`, `callers_of_a_deleted_queue…`; acceptance ten times a second |
//! | Clock jump | `a_jump_of_the_wall_clock…` |
//! | Night of the clock change | `in_the_night_of_the_clock_change…` |
//!
//! Availability: idle, in a direct call, wrap-up: here; a mobile that is busy, no phone at all: `contacts`; do not
//! disturb, absence and forwarding: `personal` and engine `returning`; the words that people see: engine `pauses`. What
//! an app that sleeps needs is not there: there is no app. Exits: `each_exit_of_a_queue…`. What counts as what:
//! `a_report_counts…`; that live counters are the log's: `figures`.

use std::time::Duration;

use sentral::media::Base;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::model::command::MissedOrder;
use sentral::model::command::QueueView;
use sentral::model::event::Event;
use sentral::sip::DialogId;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::seeds;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const SALES: &str = "+4736000110";
const SUPPORT: &str = "+4736000130";

/// Keys of the queue, where a test does not say otherwise.
const USUAL: [&str; 7] = [
    "auto_login = true",
    "ring = \"15s\"",
    "max_wait = \"5m\"",
    "welcome = false",
    "comfort = false",
    "announce = false",
    "overflow = \"voicemail:shared\"",
];

/// The usual company whose queue for sales has these agents and keys, and a queue for support in which Kari and Sara are.
fn company(agents: &[&str], keys: &str) -> String {
    let key = |line: &str| line.split(" =").next().unwrap().to_owned();
    let own: Vec<String> = keys.lines().map(key).collect();
    let usual = USUAL.iter().filter(|line| !own.contains(&key(line))).map(|line| format!("{line}\n"));
    let (begin, end) = (COMPANY.find("[queues.sales]").unwrap(), COMPANY.find("[groups.store]").unwrap());
    let usual: String = usual.collect();
    let text = format!(
        "{}[queues.sales]\nname = \"Salg\"\next = \"601\"\nagents = {agents:?}\n{usual}{keys}\n\
         [queues.support]\nname = \"Hjelp\"\next = \"602\"\nagents = [\"kari\", \"sara\"]\nauto_login = true\n\
         ring = \"15s\"\nwelcome = false\ncomfort = false\nannounce = false\noverflow = \"voicemail:shared\"\n{}",
        &COMPANY[..begin],
        &COMPANY[end..]
    );
    text.replace("\"+4736000120\"", "\"+4736000130\" = \"queue:support\"\n\"+4736000120\"")
}

/// A carrier, and agents whose phones ring and are not answered, in the order given.
fn office(seed: u64, agents: &[&str], keys: &str) -> (World, usize, Vec<usize>) {
    let mut world = World::at(seed, noon(), config(&company(agents, keys)));
    let carrier = world.carrier();
    let phones = agents.iter().map(|agent| registered(&mut world, agent)).collect();
    (world, carrier, phones)
}

fn registered(world: &mut World, name: &str) -> usize {
    let phone = world.phone(name);
    world.phones[phone].answer = Answer::Ring;
    world.phones[phone].register(world.now, 3600);
    world.run(S);
    assert_eq!(world.phones[phone].registered, Some(200), "{name} registers");
    phone
}

fn call(world: &mut World, carrier: usize, number: &str) -> DialogId {
    world.phones[carrier].call(world.now, number, false)
}

/// Lets a phone ring; its line.
fn rings(world: &mut World, phone: usize) -> DialogId {
    world.until("the agent rings", 3 * S, |w| w.phones[phone].line(&Stage::Ringing).is_some());
    world.phones[phone].line(&Stage::Ringing).unwrap()
}

fn is_rung(world: &World, phone: usize) -> bool {
    world.phones[phone].line(&Stage::Ringing).is_some()
}

/// Whether a phone was told this status as the reason why a line ended.
fn told(world: &World, phone: usize, line: DialogId, cause: u16) -> bool {
    let cause = format!("SIP;cause={cause};");
    world.phones[phone].lines[&line].log.iter().any(|log| log.contains(&cause))
}

fn talk(world: &World, a: (usize, DialogId), b: (usize, DialogId)) -> bool {
    let audio = |(phone, line): (usize, DialogId)| world.phones[phone].lines[&line].audio;
    world.talk(audio(a), audio(b))
}

fn heard(world: &World, phone: usize, line: DialogId) -> Vec<String> {
    world.stream_to(world.phones[phone].lines[&line].audio).unwrap().1.played.clone()
}

fn hears_music(world: &World, phone: usize, line: DialogId) -> bool {
    let stream = world.stream_to(world.phones[phone].lines[&line].audio);
    stream.is_some_and(|(_, stream)| matches!(stream.base, Base::Music(_)))
}

fn decisions<'a>(world: &'a World, what: &'a str) -> impl Iterator<Item = &'a Event> {
    world.changes.iter().filter_map(move |change| match change {
        Change::Decision(event) if *event.event == *what => Some(&**event),
        _ => None,
    })
}

fn why(world: &World, what: &str) -> Vec<String> {
    decisions(world, what).map(|event| event.why.to_string()).collect()
}

fn queue(world: &mut World, id: &str) -> QueueView {
    world.order(Command::Queues { company: None });
    let Some(Answered::Queues { queues }) = world.answers.pop() else { panic!("queues were asked for") };
    queues.into_iter().find(|queue| queue.line.to_string() == format!("queue:{id}")).unwrap()
}

/// An agent's state in the queue for sales, in words.
fn state(world: &mut World, user: &str) -> String {
    let agents = queue(world, "sales").agents;
    agents.into_iter().find(|(agent, _)| agent.as_str() == user).unwrap().1
}

fn log_in(world: &mut World, user: &str, logged_in: bool) {
    world.order(Command::Login { company: "prove".into(), user: user.into(), line: None, logged_in });
}

/// How many callers the team has to call back.
fn missed(world: &mut World) -> usize {
    world.order(Command::Missed { company: "prove".into(), order: MissedOrder::List });
    let Some(Answered::Missed { missed }) = world.answers.pop() else { panic!("the list was asked for") };
    missed.len()
}

/// Whether what came first from one phone did so before what came first from another.
fn before(world: &World, a: (usize, &str), b: (usize, &str)) -> bool {
    let at = |(phone, what): (usize, &str)| {
        let from = world.phones[phone].address;
        world
            .arrived
            .iter()
            .position(|(of, text)| *of == from && text.starts_with(what))
            .unwrap_or(usize::MAX)
    };
    at(a) < at(b)
}

#[test]
fn a_caller_who_hangs_up_silences_every_phone_in_the_same_turn_and_nobody_missed_a_call() {
    let keys = "strategy = \"ring-all\"\nauto_pause = { after = 1 }";
    let (mut world, carrier, phones) = office(1, &["kari", "ola"], keys);
    for (long, on_the_list) in [(3 * S, 0), (6 * S, 1)] {
        let caller = call(&mut world, carrier, SALES);
        let lines = [rings(&mut world, phones[0]), rings(&mut world, phones[1])];
        world.run(long);
        world.phones[carrier].hang_up(world.now, caller);
        // Once there and once back.
        world.run(3 * MS);
        for (phone, line) in phones.iter().zip(lines) {
            assert!(told(&world, *phone, line, 487), "{:?}", world.phones[*phone].lines[&line].log);
        }
        assert_eq!([state(&mut world, "kari"), state(&mut world, "ola")], ["ready", "ready"], "no miss");
        assert_eq!(missed(&mut world), on_the_list);
    }
    assert_eq!(why(&world, "queue.abandoned"), ["short_abandoned: after 3 s", "abandoned: after 6 s"]);
    world.finish();
}

#[test]
fn who_answers_as_the_caller_hangs_up_is_hung_up_with_why_and_has_no_wrap_up() {
    seeds::race(40, &["hung up first", "answered first"], |seed| {
        let (mut world, carrier, phones) = office(seed, &["kari"], "wrap_up = \"60s\"");
        let caller = call(&mut world, carrier, SALES);
        let line = rings(&mut world, phones[0]);
        world.run(6 * S);
        world.phones[phones[0]].pick_up(world.now, line);
        world.phones[carrier].hang_up(world.now, caller);
        world.run(500 * MS);
        assert_eq!(world.phones[phones[0]].lines[&line].stage, Stage::Over(0), "ACK and BYE");
        assert_eq!(queue(&mut world, "sales").today.answered, 0);
        let first = before(&world, (carrier, "BYE"), (phones[0], "200 INVITE"));
        if first {
            assert!(told(&world, phones[0], line, 487), "{:?}", world.phones[phones[0]].lines[&line].log);
            assert_eq!(state(&mut world, "kari"), "ready");
            assert_eq!(queue(&mut world, "sales").today.abandoned, 1);
        }
        world.finish();
        if first { "hung up first" } else { "answered first" }
    });
}

#[test]
fn of_two_who_answer_at_once_the_second_is_hung_up_as_answered_elsewhere() {
    seeds::race(20, &["kari", "ola"], |seed| {
        let (mut world, carrier, phones) = office(seed, &["kari", "ola"], "strategy = \"ring-all\"");
        let caller = call(&mut world, carrier, SALES);
        let lines = [rings(&mut world, phones[0]), rings(&mut world, phones[1])];
        world.run(3 * S);
        for at in [0, 1] {
            world.phones[phones[at]].pick_up(world.now, lines[at]);
        }
        world.run(2 * S);
        let second = before(&world, (phones[1], "200 INVITE"), (phones[0], "200 INVITE"));
        let (winner, loser) = if second { (1, 0) } else { (0, 1) };
        assert!(talk(&world, (carrier, caller), (phones[winner], lines[winner])));
        assert_eq!(world.phones[phones[loser]].lines[&lines[loser]].stage, Stage::Over(0), "ACK and BYE");
        assert!(told(&world, phones[loser], lines[loser], 200));
        let names = ["kari", "ola"];
        assert_eq!(state(&mut world, names[loser]), "ready");
        world.finish();
        names[winner]
    });
}

#[test]
fn a_winner_who_drops_before_the_bridge_leaves_it_to_who_rings_or_the_caller_in_the_old_place() {
    let keys = "strategy = \"ring-all\"\nwelcome = true\nannounce = [\"position\"]\npresent = { whisper = \"menu\" }";
    let (mut world, carrier, phones) = office(4, &["kari", "ola"], keys);
    let caller = call(&mut world, carrier, SALES);
    let lines = [rings(&mut world, phones[0]), rings(&mut world, phones[1])];
    world.run(8 * S);
    world.phones[phones[0]].pick_up(world.now, lines[0]);
    world.run(100 * MS);
    world.phones[phones[0]].hang_up(world.now, lines[0]);
    world.run(100 * MS);
    assert!(is_rung(&world, phones[1]), "the others ring on");
    world.phones[phones[1]].pick_up(world.now, lines[1]);
    world.until("they talk", 3 * S, |w| talk(w, (carrier, caller), (phones[1], lines[1])));
    world.finish();

    let (mut world, carrier, phones) = office(5, &["kari"], keys);
    let first = call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    call(&mut world, carrier, SALES);
    world.run(8 * S);
    let (said, place) = (heard(&world, carrier, first), queue(&mut world, "sales").callers[0].entry);
    world.phones[phones[0]].pick_up(world.now, line);
    world.run(500 * MS);
    world.phones[phones[0]].hang_up(world.now, line);
    world.run(500 * MS);
    assert_eq!(queue(&mut world, "sales").callers[0].entry, place, "the old place");
    assert_eq!(heard(&world, carrier, first), said, "nothing is said again");
    assert!(hears_music(&world, carrier, first));
    world.finish();
}

#[test]
fn an_answer_that_crosses_the_cancel_wins_a_caller_who_still_waits() {
    seeds::race(60, &["in time", "crossed", "too late"], |seed| {
        let (mut world, carrier, phones) = office(seed, &["kari"], "");
        // The ring time begins when the switch hears of the ringing, up to 1.5 ms later.
        world.phones[phones[0]].answer = Answer::After(15 * S + MS / 2 * (seed % 7) as u32);
        let caller = call(&mut world, carrier, SALES);
        let line = rings(&mut world, phones[0]);
        world.run(15 * S + 100 * MS);
        let rang_out = !why(&world, "queue.refused").is_empty();
        let talks = talk(&world, (carrier, caller), (phones[0], line));
        let outcome = match (rang_out, world.phones[phones[0]].lines[&line].stage.clone()) {
            (false, _) => "in time",
            (true, Stage::Up) => "crossed",
            (true, _) => "too late",
        };
        assert_eq!(talks, outcome != "too late", "{outcome}");
        world.finish();
        outcome
    });
}

#[test]
fn an_answer_that_crosses_the_cancel_is_hung_up_when_another_has_the_caller() {
    seeds::race(120, &["refused", "won"], |seed| {
        let (mut world, carrier, phones) = office(seed, &["kari", "ola"], "strategy = \"in-order\"");
        world.weather.delay = 20 * MS;
        world.phones[phones[0]].answer = Answer::After(15 * S + 20 * MS);
        world.phones[phones[1]].answer = Answer::After(Duration::ZERO);
        let caller = call(&mut world, carrier, SALES);
        let line = rings(&mut world, phones[0]);
        world.run(17 * S);
        let up = |phone: usize| world.phones[phone].line(&Stage::Up);
        let talking: Vec<usize> = phones
            .iter()
            .copied()
            .filter(|phone| up(*phone).is_some_and(|of| talk(&world, (carrier, caller), (*phone, of))))
            .collect();
        assert_eq!(talking.len(), 1, "somebody talks with the caller, and nobody else");
        assert_eq!(phones.iter().filter(|phone| up(**phone).is_some()).count(), 1);
        let log = &world.phones[phones[0]].lines[&line].log;
        let outcome = match talking[0] == phones[0] {
            true => "won",
            false if log.first().is_some_and(|log| log == "bye") => "refused",
            false => "cancelled",
        };
        assert!(outcome != "refused" || log.iter().any(|log| log.contains("cause=")), "{log:?}");
        world.finish();
        outcome
    });
}

#[test]
fn an_agent_in_a_direct_call_is_passed_over_and_rung_the_moment_it_ends() {
    let (mut world, carrier, phones) = office(7, &["kari"], "");
    let direct = world.phones[phones[0]].call(world.now, "36000777", false);
    world.until("Kari talks", 5 * S, |w| w.phones[phones[0]].lines[&direct].stage == Stage::Up);
    let caller = call(&mut world, carrier, SALES);
    world.run(30 * S);
    assert_eq!((world.phones[phones[0]].live_lines(), &*state(&mut world, "kari")), (1, "busy"));
    assert!(hears_music(&world, carrier, caller), "all are busy: the caller waits");
    world.phones[phones[0]].hang_up(world.now, direct);
    // Once there and once back.
    world.run(3 * MS);
    assert!(is_rung(&world, phones[0]));
    world.finish();
}

#[test]
fn a_direct_call_ends_the_offer_that_rings_without_a_miss_unless_the_queue_rings_the_busy() {
    for ring_busy in [false, true] {
        let keys = format!("auto_pause = {{ after = 1 }}\nring_busy = {ring_busy}");
        let (mut world, carrier, phones) = office(8, &["kari"], &keys);
        let second = registered(&mut world, "kari2");
        call(&mut world, carrier, SALES);
        let (line, other) = (rings(&mut world, phones[0]), rings(&mut world, second));
        let direct = world.phones[second].call(world.now, "36000777", false);
        world.until("Kari talks", 5 * S, |w| w.phones[second].lines[&direct].stage == Stage::Up);
        assert_eq!(is_rung(&world, phones[0]), ring_busy);
        assert_eq!(told(&world, phones[0], line, 486), !ring_busy);
        assert_eq!(told(&world, second, other, 486), !ring_busy);
        world.phones[second].hang_up(world.now, direct);
        world.run(S);
        assert_eq!(state(&mut world, "kari"), "ringing", "no miss was counted: she is rung");
        world.finish();
    }
}

#[test]
fn wrap_up_runs_on_while_the_agent_calls_out() {
    let (mut world, carrier, phones) = office(9, &["kari"], "wrap_up = \"30s\"");
    let caller = call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    world.phones[phones[0]].pick_up(world.now, line);
    world.run(5 * S);
    world.phones[carrier].hang_up(world.now, caller);
    world.run(10 * S);
    assert!(state(&mut world, "kari").starts_with("wrap-up"));
    let direct = world.phones[phones[0]].call(world.now, "36000777", false);
    world.run(10 * S);
    assert_eq!(world.phones[phones[0]].lines[&direct].stage, Stage::Up, "calling out is allowed");
    world.phones[phones[0]].hang_up(world.now, direct);
    world.run(S);
    assert!(state(&mut world, "kari").starts_with("wrap-up"));
    call(&mut world, carrier, SALES);
    world.run(8 * S);
    assert!(!is_rung(&world, phones[0]), "29 s are over");
    world.run(S + 100 * MS);
    assert!(is_rung(&world, phones[0]));
    world.finish();
}

#[test]
fn after_the_ring_time_the_next_agent_rings_at_once_and_the_caller_keeps_the_place() {
    let (mut world, carrier, phones) = office(10, &["kari", "ola"], "strategy = \"in-order\"");
    call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    let first = queue(&mut world, "sales").callers[0].entry;
    world.until("Kari rang for her time", 16 * S, |w| !is_rung(w, phones[0]));
    assert!(told(&world, phones[0], line, 408));
    world.run(3 * MS);
    assert!(is_rung(&world, phones[1]), "the next one at 0 ms");
    assert_eq!(queue(&mut world, "sales").callers[0].entry, first);
    world.finish();

    let (mut world, carrier, phones) = office(11, &["kari"], "retry_delay = \"2s\"");
    call(&mut world, carrier, SALES);
    rings(&mut world, phones[0]);
    world.until("Kari rang for her time", 16 * S, |w| !is_rung(w, phones[0]));
    world.run(1900 * MS);
    assert!(!is_rung(&world, phones[0]), "not before the retry delay");
    world.run(150 * MS);
    assert!(is_rung(&world, phones[0]));
    world.finish();
}

#[test]
fn the_second_miss_pauses_the_agent_aloud_and_an_empty_queue_lets_its_callers_go() {
    let keys = "ring = \"5s\"\nauto_pause = { after = 2 }\nleave_grace = \"10s\"";
    let (mut world, carrier, _) = office(12, &["kari"], keys);
    call(&mut world, carrier, SALES);
    world.run(13 * S);
    assert_eq!(state(&mut world, "kari"), "paused (no_answer)");
    assert_eq!(why(&world, "agent.auto_paused"), ["no_answer: kari missed 2 in a row"]);
    world.order(Command::Agents { company: None });
    let Some(Answered::Agents { agents }) = world.answers.pop() else { panic!("agents were asked for") };
    let kari = agents.into_iter().find(|agent| agent.agent.user.as_str() == "kari").unwrap();
    assert_eq!(kari.notices.len(), 1, "she is told: {:?}", kari.notices);
    assert!(why(&world, "queue.overflowed").is_empty());
    world.run(10 * S);
    assert_eq!(decisions(&world, "queue.overflowed").map(Event::code).collect::<Vec<_>>(), ["all_paused"]);
    world.finish();
}

#[test]
fn a_lone_agent_who_rejects_is_asked_again_while_the_caller_hears_music_and_the_longest_wait_runs() {
    let (mut world, carrier, phones) = office(13, &["kari"], "reject_retry = \"60s\"\nmax_wait = \"70s\"");
    world.phones[phones[0]].answer = Answer::Refuse(603);
    let caller = call(&mut world, carrier, SALES);
    world.run(S);
    world.phones[phones[0]].answer = Answer::Ring;
    world.run(58 * S);
    assert!(!is_rung(&world, phones[0]) && hears_music(&world, carrier, caller));
    world.run(2 * S);
    assert!(is_rung(&world, phones[0]));
    // The last chance ends with the ring time, 5 s after the longest wait.
    world.run(16 * S);
    assert_eq!(why(&world, "queue.overflowed"), ["timeout: after 75 s"]);
    world.finish();
}

#[test]
fn when_the_last_agent_logs_off_callers_leave_in_order_after_the_grace_and_talks_go_on() {
    let (mut world, carrier, phones) = office(14, &["kari"], "leave_grace = \"10s\"");
    let talking = call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    world.phones[phones[0]].pick_up(world.now, line);
    world.run(2 * S);
    let waiting: Vec<DialogId> = (0..5)
        .map(|_| {
            world.run(S);
            call(&mut world, carrier, SALES)
        })
        .collect();
    world.run(S);
    let callers: Vec<_> = queue(&mut world, "sales").callers.iter().map(|caller| caller.entry).collect();
    let said = heard(&world, carrier, waiting[0]);
    log_in(&mut world, "kari", false);
    world.run(9 * S);
    log_in(&mut world, "kari", true);
    world.run(30 * S);
    assert_eq!(heard(&world, carrier, waiting[0]), said, "nothing is heard of it");
    assert_eq!(queue(&mut world, "sales").waiting, 5);
    log_in(&mut world, "kari", false);
    let began = world.now.utc;
    world.run(12 * S);
    let exits: Vec<_> = decisions(&world, "queue.overflowed").collect();
    assert!(exits.iter().all(|event| event.code() == "nobody"));
    assert_eq!(exits.iter().filter_map(|event| event.call).collect::<Vec<_>>(), callers, "in order");
    let after: Vec<i128> = exits.iter().map(|event| event.at.duration_since(began).as_millis()).collect();
    assert_eq!(after, [10_000, 10_100, 10_200, 10_300, 10_400], "ten a second");
    assert!(talk(&world, (carrier, talking), (phones[0], line)));
    world.finish();
}

#[test]
fn the_last_agent_who_logs_off_while_ringing_stops_ringing_and_then_the_grace_runs() {
    let (mut world, carrier, phones) = office(15, &["kari"], "leave_grace = \"10s\"");
    call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    log_in(&mut world, "kari", false);
    world.run(2 * MS);
    assert!(told(&world, phones[0], line, 480));
    world.run(9 * S);
    assert!(why(&world, "queue.overflowed").is_empty());
    world.run(S);
    assert_eq!(decisions(&world, "queue.overflowed").map(Event::code).collect::<Vec<_>>(), ["nobody"]);
    world.finish();
}

#[test]
fn an_agent_who_logs_off_in_a_talk_talks_on_is_offered_nobody_and_skips_wrap_up() {
    let (mut world, carrier, phones) = office(16, &["kari"], "wrap_up = \"60s\"");
    let caller = call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    world.phones[phones[0]].pick_up(world.now, line);
    world.run(2 * S);
    log_in(&mut world, "kari", false);
    call(&mut world, carrier, SALES);
    world.run(20 * S);
    assert!(talk(&world, (carrier, caller), (phones[0], line)), "the talk goes on");
    assert_eq!(why(&world, "queue.turned_away"), ["nobody: not let in"], "at once for new callers");
    world.phones[carrier].hang_up(world.now, caller);
    world.run(S);
    log_in(&mut world, "kari", true);
    assert_eq!(state(&mut world, "kari"), "ready");
    world.finish();
}

#[test]
fn when_the_hours_end_callers_are_served_or_leave_as_the_queue_says_and_nobody_joins() {
    // Until 16:00 in Oslo: seconds after it at which a waiting caller leaves, if one does.
    let rows = [("finish", None), ("exit-now", Some(0)), ("after", Some(60))];
    for (drain, leaves) in rows {
        let drain = if drain == "after" { "{ after = \"1m\" }".to_owned() } else { format!("{drain:?}") };
        let keys = format!("hours = \"office\"\ndrain = {drain}");
        let at = "2026-11-23T14:57:00Z".parse().unwrap();
        let mut world = World::at(17, at, config(&company(&["kari"], &keys)));
        let carrier = world.carrier();
        let kari = registered(&mut world, "kari");
        let direct = world.phones[kari].call(world.now, "36000777", false);
        world.run(5 * S);
        let caller = call(&mut world, carrier, SALES);
        let closes: sentral::time::Timestamp = "2026-11-23T15:00:00Z".parse().unwrap();
        let wait = Duration::try_from(closes.duration_since(world.now.utc)).unwrap();
        world.run(wait + 90 * S);
        let exits: Vec<(&str, i128)> = decisions(&world, "queue.overflowed")
            .map(|event| (event.code(), event.at.duration_since(closes).as_secs().into()))
            .collect();
        assert_eq!(exits, leaves.map(|after| ("closed", after)).into_iter().collect::<Vec<_>>(), "{drain}");
        call(&mut world, carrier, SALES);
        world.run(S);
        assert_eq!(why(&world, "queue.turned_away"), ["closed: not let in"], "{drain}");
        world.phones[kari].hang_up(world.now, direct);
        world.run(S);
        assert_eq!(is_rung(&world, kari), leaves.is_none(), "who waits on is served: {drain}");
        assert_eq!(hears_music(&world, carrier, caller), leaves.is_none());
        world.finish();
    }
}

#[test]
fn a_closure_set_while_callers_wait_empties_the_queue_at_once_where_it_says_so() {
    for immediate in [false, true] {
        let text = company(&["kari"], "hours = \"office\"");
        let mut world = World::at(18, noon(), config(&text));
        let carrier = world.carrier();
        let kari = registered(&mut world, "kari");
        call(&mut world, carrier, SALES);
        rings(&mut world, kari);
        world.run(2 * S);
        let closure = format!(
            "[closures.fire]\nname = \"Brann\"\nfrom = 2026-11-23T09:00:00\nto = 2026-11-23T15:00:00\n\
             hours = [\"office\"]\nimmediate = {immediate}\n"
        );
        world.input(Input::Config(config(&format!("{text}{closure}"))));
        world.run(S);
        let exits: Vec<&str> = decisions(&world, "queue.overflowed").map(Event::code).collect();
        assert_eq!(exits, if immediate { vec!["closed"] } else { vec![] });
        assert_eq!(is_rung(&world, kari), !immediate, "who waits on is served");
        call(&mut world, carrier, SALES);
        world.run(S);
        assert_eq!(why(&world, "queue.turned_away"), ["closed: not let in"]);
        world.finish();
    }
}

#[test]
fn at_the_longest_wait_a_ringing_phone_has_ten_seconds_more() {
    let keys = "max_wait = \"20s\"\nring = \"60s\"\nauto_pause = { after = 1 }";
    let (mut world, carrier, phones) = office(19, &["kari"], keys);
    call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    world.run(29_900 * MS);
    assert!(is_rung(&world, phones[0]));
    world.run(200 * MS);
    assert!(told(&world, phones[0], line, 408));
    assert_eq!(why(&world, "queue.overflowed"), ["timeout: after 30 s"]);
    assert_eq!(state(&mut world, "kari"), "ready", "cut short: no miss");
    world.finish();
}

#[test]
fn the_longest_wait_is_nothing_to_who_talks() {
    let (mut world, carrier, phones) = office(20, &["kari"], "max_wait = \"20s\"");
    let caller = call(&mut world, carrier, SALES);
    let line = rings(&mut world, phones[0]);
    world.run(10 * S);
    world.phones[phones[0]].pick_up(world.now, line);
    world.run(60 * S);
    assert!(talk(&world, (carrier, caller), (phones[0], line)));
    world.finish();
}

#[test]
fn the_wait_is_carried_into_the_next_queue() {
    let (mut world, carrier, phones) =
        office(21, &["ola"], "max_wait = \"20s\"\ntimeout = \"queue:support\"\nring = \"5s\"");
    let direct = world.phones[phones[0]].call(world.now, "36000777", false);
    world.run(5 * S);
    call(&mut world, carrier, SALES);
    world.run(10 * S);
    call(&mut world, carrier, SUPPORT);
    world.run(S);
    let second = queue(&mut world, "support").callers[0].entry;
    world.run(10 * S);
    let callers = queue(&mut world, "support").callers;
    assert_eq!(callers.len(), 2);
    assert_eq!((callers[1].entry, callers[0].wait_s, callers[1].wait_s), (second, 20, 10));
    world.phones[phones[0]].hang_up(world.now, direct);
    world.finish();
}

#[test]
fn who_is_put_through_into_a_queue_waits_in_the_place_of_their_own_time() {
    let (mut world, carrier, phones) = office(22, &["ola"], "");
    let ola = phones[0];
    let caller = call(&mut world, carrier, SALES);
    let line = rings(&mut world, ola);
    world.run(10 * S);
    world.phones[ola].pick_up(world.now, line);
    world.run(5 * S);
    // Somebody else waits longer than who transfers, and shorter than who is transferred.
    world.phones[carrier].name = "+4736000778".into();
    call(&mut world, carrier, SUPPORT);
    world.run(5 * S);
    world.phones[ola].hold(world.now, line, true);
    world.run(S / 10);
    let consult = world.phones[ola].call(world.now, "602", false);
    world.run(5 * S);
    assert_eq!(queue(&mut world, "support").callers[0].number.as_ref().unwrap().as_str(), "+4736000778");
    let replaces = world.phones[ola].replaces(consult);
    let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
    world.phones[ola].refer(world.now, line, &format!("sip:602@prove.example?Replaces={escaped}"));
    world.run(S);
    assert_eq!(world.phones[ola].live_lines(), 0, "who transfers may go");
    let callers = queue(&mut world, "support").callers;
    let numbers: Vec<&str> = callers.iter().map(|caller| caller.number.as_ref().unwrap().as_str()).collect();
    assert_eq!(numbers, ["+4736000777", "+4736000778"]);
    assert!((26..=27).contains(&callers[0].wait_s), "since the first queue: {}", callers[0].wait_s);
    assert!(hears_music(&world, carrier, caller));
    // And is served first.
    let sara = registered(&mut world, "sara");
    let line = rings(&mut world, sara);
    world.phones[sara].pick_up(world.now, line);
    world.until("they talk", 3 * S, |w| talk(w, (carrier, caller), (sara, line)));
    world.finish();
}

#[test]
fn an_agent_of_two_queues_rings_once() {
    let (mut world, carrier, phones) = office(23, &["kari"], "");
    let direct = world.phones[phones[0]].call(world.now, "36000777", false);
    world.run(5 * S);
    call(&mut world, carrier, SUPPORT);
    call(&mut world, carrier, SALES);
    world.run(5 * S);
    world.phones[phones[0]].hang_up(world.now, direct);
    world.run(S);
    assert_eq!(world.phones[phones[0]].live_lines(), 1);
    assert_eq!(why(&world, "queue.offered").len(), 1);
    world.finish();
}

#[test]
fn a_jump_of_the_wall_clock_moves_no_wait() {
    for back in [false, true] {
        let (mut world, carrier, phones) = office(24, &["kari"], "max_wait = \"60s\"");
        let direct = world.phones[phones[0]].call(world.now, "36000777", false);
        world.run(5 * S);
        call(&mut world, carrier, SALES);
        world.run(30 * S);
        if back {
            world.now.utc -= 3600 * S;
        } else {
            world.now.utc += 3600 * S;
        }
        world.run(29_900 * MS);
        assert!(why(&world, "queue.overflowed").is_empty());
        assert!((59..=60).contains(&queue(&mut world, "sales").callers[0].wait_s));
        world.run(200 * MS);
        assert_eq!(why(&world, "queue.overflowed"), ["timeout: after 60 s"]);
        world.phones[phones[0]].hang_up(world.now, direct);
        world.finish();
    }
}

#[test]
fn in_the_night_of_the_clock_change_waits_run_on_and_the_hours_hold_by_the_clock_on_the_wall() {
    // In Oslo 03:00 becomes 02:00 at 01:00 UTC in October, and 02:00 becomes 03:00 in March: open until 03:30, which
    // is 02:30 UTC then and 01:30 UTC now.
    for (from, closes) in
        [("2026-10-25T00:40:00Z", "2026-10-25T02:30:00Z"), ("2027-03-28T00:40:00Z", "2027-03-28T01:30:00Z")]
    {
        let text = company(&["kari"], "hours = \"night\"\ndrain = \"exit-now\"\nmax_wait = \"4h\"");
        let text = format!("{text}[hours.night]\nname = \"Natt\"\nsun = \"00:00-03:30\"\n");
        let mut world = World::at(25, from.parse().unwrap(), config(&text));
        let carrier = world.carrier();
        call(&mut world, carrier, SALES);
        world.run(S);
        let began = world.now.utc - S;
        let closes: sentral::time::Timestamp = closes.parse().unwrap();
        let wait = Duration::try_from(closes.duration_since(world.now.utc)).unwrap();
        world.run(wait - S);
        assert_eq!(queue(&mut world, "sales").waiting, 1, "{from}");
        world.run(2 * S);
        let whole = closes.duration_since(began).as_secs() - 1;
        let exits = why(&world, "queue.overflowed");
        assert!(
            exits == [format!("closed: after {whole} s")]
                || exits == [format!("closed: after {} s", whole + 1)],
            "{from}: {exits:?}, {whole}"
        );
        world.finish();
    }
}

#[test]
fn each_exit_of_a_queue_leads_where_it_says_and_else_where_all_do() {
    type Leaves = fn(&mut World, usize, usize);
    let busy: Leaves = |world, _, kari| {
        world.phones[kari].call(world.now, "36000777", false);
        world.run(3 * S);
    };
    let nothing: Leaves = |_, _, _| {};
    // The exit; further keys; what happens before the call, and during it. Who waits is on the line then.
    let rows: [(&str, &str, Leaves, Leaves); 9] = [
        ("timeout", "max_wait = \"10s\"", busy, nothing),
        ("full", "max_calls = 0", busy, nothing),
        ("nobody", "", |world, _, _| log_in(world, "kari", false), nothing),
        (
            "all_paused",
            "",
            |world, _, _| {
                let (company, user) = ("prove".into(), "kari".into());
                world.order(Command::Pause { company, user, reason: Some("lunch".into()), until: None });
            },
            nothing,
        ),
        ("closed", "hours = \"never\"", nothing, nothing),
        ("no_answer", "ring = \"5s\"", nothing, nothing),
        (
            "rejected_by_all",
            "reject_retry = \"never\"",
            |world, _, kari| world.phones[kari].answer = Answer::Refuse(603),
            nothing,
        ),
        ("key", "", busy, |world, carrier, _| {
            let line = world.phones[carrier].lines.values().find(|line| line.invite.is_none()).unwrap();
            let audio = line.audio;
            world.key(audio, '9');
        }),
        ("gone", "", nothing, |world, _, _| {
            let text = company(&["kari"], "").replace("queues.sales", "queues.other");
            let text = text.replace("queue:sales", "queue:other").replace("\"601\"", "\"609\"");
            world.input(Input::Config(config(&text)));
        }),
    ];
    for (exit, more, prepare, act) in rows {
        for own in [true, false] {
            let written = match (exit, own) {
                ("key", true) => "keys = { 9 = \"user:sara\" }".to_owned(),
                // A queue that is removed takes those exits along that it had when the caller came. Without an exit for
                // it, nobody leaves for having been rung in vain, and a key does nothing.
                (_, true) => format!("{exit} = \"user:sara\""),
                (_, false) => String::new(),
            };
            let keys = [more, written.as_str()].join("\n");
            let text = company(&["kari"], keys.trim()) + "[hours.never]\nname = \"Aldri\"\n";
            let mut world = World::at(26, noon(), config(&text));
            let carrier = world.carrier();
            let kari = registered(&mut world, "kari");
            prepare(&mut world, carrier, kari);
            let caller = call(&mut world, carrier, SALES);
            world.run(3 * S);
            act(&mut world, carrier, kari);
            world.run(20 * S);
            let to = if own { "user:sara" } else { "voicemail:shared" };
            let steps = why(&world, "flow.told");
            let expect = match (exit, own) {
                ("key", true) => Some("key 9: user:sara".to_owned()),
                ("key" | "no_answer", false) => None,
                _ => Some(format!("leaves queue:sales ({exit}): {to}")),
            };
            let left: Vec<&String> = steps
                .iter()
                .filter(|step| step.starts_with("leaves queue") || step.starts_with("key"))
                .collect();
            assert_eq!(left, expect.iter().collect::<Vec<_>>(), "{exit} {own}: {steps:#?}");
            assert!(expect.is_some() || hears_music(&world, carrier, caller), "{exit}: the caller waits on");
            world.finish();
        }
    }
}

#[test]
fn a_report_counts_answered_abandoned_short_and_overflowed_apart_and_the_service_level_without_the_short() {
    let keys = "target = { percent = 80, within = \"20s\" }\nkeys = { 9 = \"user:sara\" }\nring = \"60s\"";
    let (mut world, carrier, phones) = office(27, &["kari"], keys);
    // How long the caller waits, and how long they talk; none hangs up, or leaves by a key.
    let rows: [(u32, Option<u32>); 5] =
        [(6, Some(5000)), (25, Some(7000)), (6, Some(600)), (7, None), (2, None)];
    for (wait, talk) in rows {
        let caller = call(&mut world, carrier, SALES);
        let line = rings(&mut world, phones[0]);
        world.run(wait * S);
        if let Some(talk) = talk {
            world.phones[phones[0]].pick_up(world.now, line);
            world.run(talk * MS);
        }
        world.phones[carrier].hang_up(world.now, caller);
        world.run(3 * S);
    }
    let caller = call(&mut world, carrier, SALES);
    world.run(6 * S);
    let audio = world.phones[carrier].lines[&caller].audio;
    world.key(audio, '9');
    world.run(S);
    let of = queue(&mut world, "sales").today;
    assert_eq!((of.offered, of.answered, of.in_target), (6, 2, 1));
    assert_eq!((of.abandoned, of.short_abandoned), (2, 1), "who had an agent for less than a second left");
    assert_eq!(of.overflowed, [("key".into(), 1)].into());
    assert_eq!(of.service_level(), Some(1.0 / 5.0));
    // From joining to the bridge; the agent's own part.
    assert!((31_000..31_300).contains(&of.wait_ms), "{}", of.wait_ms);
    assert!((12_550..12_700).contains(&of.talk_ms), "{}", of.talk_ms);
    world.finish();
}
