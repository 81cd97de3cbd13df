//! Service codes, listening to voicemail, and the dry run.

use crate::bench::Bench;
use crate::bench::config;
use crate::bench::flow;
use sentral::model::command::Simulate;
use sentral::model::id::LineId;
use sentral::model::id::Number;
use sentral::model::mailbox::MessageState;
use sentral::switch::explain;
use sentral::switch::flow::action::Duty;
use sentral::switch::flow::action::Event;
use sentral::switch::flow::action::Presence;
use sentral::switch::flow::action::World;
use sentral::switch::pausing::PauseCode;
use sentral::switch::service;
use sentral::switch::service::Service;

#[test]
fn service_codes_do_their_one_thing_and_say_so() {
    let pause = |dialled: &str| Service::Pause(PauseCode::read(dialled));
    let run = |service, user: &str| {
        let pauses = "[pauses]\n1 = \"lunsj\"\n";
        let mut bench = Bench::with(pauses, service::program(service)).calling(user);
        (bench.start(), bench)
    };
    let salg = || Some(LineId::Queue("salg".into()));
    let rows = [
        (Service::Login(None), "answer; login all; play queue/logged-in"),
        (Service::Login(salg()), "answer; login queue:salg; play queue/logged-in"),
        (Service::Logout(salg()), "answer; logout queue:salg; play queue/logged-out"),
        (Service::Login(Some(LineId::Group("bar".into()))), "answer; play queue/no-agent"),
        (pause(""), "answer; pause code; play pause/on"),
        (pause("1"), "answer; pause lunsj; play pause/on"),
        (pause("1*30"), "answer; pause lunsj until 2026-11-23T09:30:00Z; play pause/on+toggle/until+@"),
        (pause("*1200#"), "answer; pause code until 2026-11-23T11:00:00Z; play pause/on+toggle/until+@"),
        // Yesterday's nine o'clock is tomorrow's.
        (pause("*0900"), "answer; pause code until 2026-11-24T08:00:00Z; play pause/on+toggle/until+@"),
        (pause("7"), "answer; play pause/wrong-reason"),
        (pause("*"), "answer; play pause/wrong-time"),
        (pause("1*0"), "answer; play pause/wrong-time"),
        (pause("*2460"), "answer; play pause/wrong-time"),
        (Service::Unpause, "answer; unpause; play pause/off"),
        (Service::WrapUpEnd, "answer; play wrap-up/none"),
        (Service::WrapUpExtend, "answer; play wrap-up/none"),
        (Service::Toggle("natt".into()), "answer; flip natt"),
        (Service::Echo, "answer; echo; timer 300s"),
    ];
    for (service, expect) in rows {
        let done = run(service.clone(), "kari").0;
        match expect.strip_suffix('@') {
            Some(begins) => assert!(done.starts_with(begins), "{service:?}: {done}"),
            None => assert_eq!(done, expect, "{service:?}"),
        }
    }
    assert_eq!(run(pause(""), "jonas").0, "answer; play queue/no-agent", "jonas is in no queue");
    let mut toggle = run(Service::Toggle("natt".into()), "kari").1;
    assert_eq!(toggle.clone().on(Event::Toggled(false)), "play toggle/off");
    assert_eq!(toggle.on(Event::Toggled(true)), "play toggle/on");
    assert_eq!(toggle.on(Event::PlayFinished), "hangup Normal");
    assert!(run(Service::OwnNumber, "kari").0.starts_with("answer; play num/"));
    assert_eq!(Bench::with("", service::program(pause(""))).start(), "hangup Status(403)");
}

#[test]
fn an_agent_hears_first_that_the_system_has_paused_them_and_wrap_up_can_be_ended_or_prolonged() {
    let run = |service, duty: Duty| {
        let mut bench = Bench::with("", service::program(service)).calling("kari");
        bench.duty = duty;
        bench.start()
    };
    let paused = Duty { auto_paused: true, ..Duty::default() };
    let everywhere = Duty { auto_paused_everywhere: true, ..paused };
    let wraps_up = Duty { wraps_up: true, ..Duty::default() };
    let code = || Service::Pause(PauseCode::default());
    let rows = [
        (code(), paused, "answer; pause code; play pause/auto+pause/on"),
        (Service::WrapUpEnd, paused, "answer; play pause/auto+wrap-up/none"),
        // Logging in ends the pause of the queue, and not one that holds everywhere.
        (Service::Login(None), paused, "answer; login all; play queue/logged-in"),
        (Service::Login(None), everywhere, "answer; login all; play pause/auto+queue/logged-in"),
        (Service::Unpause, paused, "answer; unpause; play pause/off"),
        (Service::WrapUpEnd, wraps_up, "answer; wrap-up end; play wrap-up/end"),
        (Service::WrapUpExtend, wraps_up, "answer; wrap-up extend; play wrap-up/more"),
    ];
    for (service, duty, expect) in rows {
        assert_eq!(run(service.clone(), duty), expect, "{service:?}");
    }
    let mut menu = Bench::with("", service::program(Service::Menu)).calling("kari");
    menu.duty = paused;
    assert_eq!(menu.start(), "answer");
    assert_eq!(menu.on(Event::Acked), "play pause/auto+queue/logged-in+service/menu");
}

#[test]
fn voicemail_is_listened_to_message_by_message() {
    let mut bench = Bench::with("", service::program(Service::Voicemail(None))).calling("kari");
    bench = bench.message("user:kari", "gammel", MessageState::Saved).message(
        "user:kari",
        "ny",
        MessageState::New,
    );
    assert_eq!(bench.start(), "answer; play vm/you-have+vm/new-one+num/and+vm/old-one");
    assert_eq!(bench.on(Event::PlayFinished), "load voicemail/ny.wav");
    let heard = bench.on(Event::Loaded(true));
    assert!(heard.starts_with("play vm/first+vm/received+time/today"), "{heard}");
    assert!(heard.ends_with("vm/from+vm/unknown+voicemail/ny.wav"), "{heard}");
    assert_eq!(bench.on(Event::PlayFinished), "mark ny Saved; play vm/options");
    assert_eq!(bench.clone().on(Event::Digit('2')), "stop; play vm/saved");
    assert!(bench.clone().on(Event::Digit('1')).ends_with("voicemail/ny.wav"));
    assert_eq!(bench.clone().on(Event::Digit('4')), "stop; play vm/unknown+vm/options");
    assert_eq!(bench.clone().on(Event::Digit('7')), "stop; play menu/invalid+vm/options");
    assert_eq!(bench.clone().on(Event::Digit('0')), "stop; play vm/settings");
    assert_eq!(bench.on(Event::Digit('3')), "stop; delete ny; play vm/deleted");
    assert_eq!(bench.on(Event::PlayFinished), "load voicemail/gammel.wav");
    assert_eq!(bench.on(Event::Loaded(false)), "play call/technical");
    assert_eq!(bench.on(Event::PlayFinished), "play vm/no-more");
    assert_eq!(bench.on(Event::PlayFinished), "timer 6s");
    assert_eq!(bench.on(Event::Timer), "play menu/goodbye");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
}

#[test]
fn a_box_asks_others_than_its_owners_for_its_pin() {
    let listen = |user: &str, mailbox: &str| {
        let mut bench =
            Bench::with("", service::program(Service::Voicemail(Some(mailbox.into())))).calling(user);
        (bench.start(), bench)
    };
    assert_eq!(listen("kari", "felles").0, "answer; play vm/you-have+vm/none");
    assert_eq!(listen("ola", "liten").0, "hangup Status(403)");
    assert_eq!(listen("ola", "nowhere").0, "hangup Status(404)");
    let (started, mut bench) = listen("ola", "felles");
    assert_eq!(started, "answer; play vm/enter-pin");
    for key in "4321".chars() {
        bench.on(Event::Digit(key));
    }
    assert_eq!(bench.clone().on(Event::Digit('#')), "clear; pin true; play vm/you-have+vm/none");
    assert_eq!(bench.clone().on(Event::Timer), "pin true; play vm/you-have+vm/none");
    bench.on(Event::Digit('9'));
    assert_eq!(bench.on(Event::Digit('#')), "clear; pin false; play vm/wrong-pin+vm/enter-pin");
    bench.on(Event::PlayFinished);
    assert_eq!(bench.on(Event::Timer), "play vm/wrong-pin+vm/enter-pin");
    assert_eq!(bench.on(Event::Digit('#')), "stop; play vm/wrong-pin+menu/goodbye");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
}

#[test]
fn a_dry_run_tells_every_decision_and_what_follows() {
    let config = config(&flow(
        "s = { hours = 'lager', open = 'm', closed = 'voicemail:felles' }\nm = { menu = 'meny', 1 = 'queue:salg', 2 = 'user:jonas' }",
    ));
    let told = |number: &str, keys: &str, at: &str| {
        let bench = Bench::at_destination("hangup");
        let world = World {
            toggles: &bench.toggles,
            mailboxes: &bench.mailboxes,
            people: &bench.people,
            presence: &|_, user| if user.as_str() == "kari" { Presence::Ready } else { Presence::LoggedOut },
            duty: &|_| Duty::default(),
            random: 0,
        };
        let simulate = Simulate {
            logged_in: None,
            number: Number::new(number),
            from: Some(Number::new("+4722000000")),
            at: None,
            keys: keys.to_owned(),
        };
        let told = explain::simulate(&config, &world, &simulate, at.parse().expect("a time"));
        told.into_iter().map(|told| format!("{}: {}", told.at, told.what)).collect::<Vec<_>>().join("\n")
    };
    let contains = |told: &str, parts: &[&str]| {
        for part in parts {
            assert!(told.contains(part), "{part:?} is not in\n{told}");
        }
    };
    let open = "2026-11-23T10:00:00+01:00";
    contains(
        &told("+4736000100", "1", open),
        &[
            "number: +4736000100 at Fjell: leads to flow:t",
            "t/s: hours \"lager\": open (week) until 2026-11-23T10:00:00Z",
            "t/m: the caller hears: \"Tast 1\"",
            "t/m: key 1: queue:salg",
            "Salg has Kari Fjell (ready), Ola Berg (logged out)",
            "after waiting too long: leaves queue:salg (timeout): group:lager",
            "if nobody is logged in any longer: leaves queue:salg (nobody): user:ola",
        ],
    );
    contains(
        &told("+4736000100", "2", open),
        &[
            "rings for 15 s: Jonas",
            "if busy: busy: the user forwards to user:ola",
            "if nobody answers:",
            "Salg has",
        ],
    );
    contains(&told("+4736000100", "", open), &["presses nothing", "the call is hung up"]);
    let closed = told("+4736000100", "", "2026-11-23T20:00:00+01:00");
    contains(&closed, &["closed (default)", "a message of at most 180 s is recorded in voicemail:felles"]);
    contains(&told("+4736999999", "", open), &["leads nowhere: nobody has this number; the caller gets 404"]);
    contains(&told("102", "", open), &["leads to user:jonas"]);
}
