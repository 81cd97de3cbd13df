//! What calls run: each verb with its exits, menus, forwarding, reloads in mid-call; service codes, voicemail and the
//! dry run in `services`, the verbs that ask in `verbs`, random events in `swarm`.

#[path = "flow_run/bench.rs"]
mod bench;
#[path = "flow_run/callback.rs"]
mod callback;
#[path = "flow_run/services.rs"]
mod services;
#[path = "flow_run/swarm.rs"]
mod swarm;
#[path = "flow_run/verbs.rs"]
mod verbs;

use crate::bench::Bench;
use crate::bench::config;
use sentral::model::flow::Destination;
use sentral::model::id::Number;
use sentral::model::mailbox::MessageState;
use sentral::model::prompt::PromptKey;
use sentral::model::user::Forward;
use sentral::switch::flow::action::Action;
use sentral::switch::flow::action::Event;
use sentral::switch::flow::action::Outcome;
use sentral::switch::flow::action::QueueExit;
use std::time::Duration;

#[test]
fn opening_hours_take_the_exit_of_their_category_or_closed() {
    let steps = r#"
s = { hours = "lager", open = "a", lunsj = "b", closed = "c" }
a = { play = "en" }
b = { play = "to" }
c = { play = "tre" }
"#;
    let rows = [
        // A Monday.
        ("2026-11-23T10:00:00+01:00", "answer; play en"),
        ("2026-11-23T11:15:00+01:00", "answer; play to"),
        ("2026-11-23T18:00:00+01:00", "answer; play tre"),
        // A public holiday without an exit is closed.
        ("2026-12-25T10:00:00+01:00", "answer; play tre"),
    ];
    for (at, expect) in rows {
        assert_eq!(Bench::flow(steps).at(at).start(), expect, "{at}");
    }
    // A closure's message is heard first.
    let mut bench = Bench::flow(steps).at("2027-07-14T10:00:00+02:00");
    assert_eq!(bench.start(), "answer; play ferie");
    assert_eq!(bench.on(Event::PlayFinished), "play tre");
    // By hand beats them all.
    let mut bench = Bench::flow(steps).at("2026-11-23T10:00:00+01:00").toggled("steng");
    assert_eq!(bench.start(), "answer; play tre");
}

#[test]
fn a_message_is_played_as_often_as_asked_and_cut_by_its_keys_only() {
    let mut bench = Bench::flow(
        r#"
s = { play = ["en", "to"], repeat = 2, barge_in = true, next = "a", 1 = "queue:salg" }
a = { play = "tre", early_media = true }
"#,
    );
    assert_eq!(bench.start(), "answer; play en+to x2");
    assert_eq!(bench.on(Event::Digit('7')), "");
    assert_eq!(bench.clone().on(Event::Digit('1')), "key 1; stop; enqueue salg carry");
    assert_eq!(bench.on(Event::PlayFinished), "play tre");
    assert_eq!(bench.on(Event::Digit('1')), "");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
    assert_eq!(bench.on(Event::PlayFinished), "", "what has ended stays so");

    let mut early = Bench::flow("s = { play = 'en', early_media = true, next = 'b' }\nb = { play = 'to' }");
    assert_eq!(early.start(), "early; play en");
    assert_eq!(early.on(Event::PlayFinished), "answer; play to");
    let mut any = Bench::flow("s = { play = 'en', barge_in = true, next = 'queue:salg' }");
    any.start();
    assert_eq!(any.on(Event::Digit('#')), "key #; stop; enqueue salg carry");
}

const MENU: &str = r##"
s = { menu = "meny", wait = "5s", tries = 3, 1 = "queue:salg", "*" = "group:lager", timeout = "group:lager" }
"##;

#[test]
fn a_menu_waits_from_the_end_of_its_prompt_and_a_key_cuts_it() {
    let mut bench = Bench::flow(MENU);
    assert_eq!(bench.start(), "answer; play meny");
    assert_eq!(bench.clone().on(Event::Digit('1')), "stop; key 1; enqueue salg carry");
    assert_eq!(bench.on(Event::PlayFinished), "timer 5s");
    assert_eq!(bench.clone().on(Event::Digit('*')), "clear; key *; ring; group lager");
    assert_eq!(bench.on(Event::Timer), "play meny");
}

#[test]
fn silence_and_wrong_keys_share_the_tries_of_a_menu() {
    let mut bench = Bench::flow(MENU);
    bench.start();
    bench.on(Event::PlayFinished);
    assert_eq!(bench.on(Event::Timer), "play meny");
    assert_eq!(bench.on(Event::Digit('9')), "stop; key 9; play menu/invalid+meny");
    assert_eq!(bench.on(Event::PlayFinished), "timer 5s");
    assert_eq!(bench.on(Event::Timer), "ring; group lager", "three prompts were heard");

    let mut own = Bench::flow(
        "s = { menu = 'meny', tries = 2, invalid_play = 'en', 1 = 'queue:salg', invalid = 'group:lager', timeout = 'hangup' }",
    );
    own.start();
    assert_eq!(own.on(Event::Digit('9')), "stop; key 9; play en+meny");
    assert_eq!(own.on(Event::Digit('9')), "stop; key 9; ring; group lager");

    let mut unset = Bench::flow("s = { menu = 'meny', tries = 1, 1 = 'queue:salg' }");
    unset.start();
    unset.on(Event::PlayFinished);
    assert_eq!(unset.on(Event::Timer), "hangup Normal");
}

#[test]
fn a_menu_takes_extensions_digit_by_digit() {
    let bench = |keys: &str| {
        let mut bench =
            Bench::flow("s = { menu = 'meny', extensions = true, 1 = 'queue:salg', 2 = 'group:lager' }");
        bench.start();
        let mut last = String::new();
        for key in keys.chars() {
            last = match key {
                't' => bench.on(Event::Timer),
                key => bench.on(Event::Digit(key)),
            };
        }
        last
    };
    // 1 may become 101: two seconds more. No extension begins with 2.
    assert_eq!(bench("1"), "stop; key 1; timer 2s");
    assert_eq!(bench("1t"), "enqueue salg carry");
    assert_eq!(bench("1#"), "clear; key #; enqueue salg carry");
    assert_eq!(bench("2"), "stop; key 2; ring; group lager");
    assert_eq!(bench("103"), "clear; key 3; ring; dial user:ola 25s");
    assert_eq!(bench("10t"), "play menu/invalid+meny");
    assert_eq!(bench("109"), "clear; key 9; play menu/invalid+meny");
    assert_eq!(bench("690"), "clear; key 0; play en; beep", "a voicemail box greets");
    // Toggles are for those inside.
    assert_eq!(bench("5"), "stop; key 5; play menu/invalid+meny");
}

#[test]
fn callers_are_told_apart_by_number_list_and_hidden_number() {
    let steps = r#"
s = { caller = ["+4736", "hidden", "contacts:vip"], match = "a", else = "b" }
a = { play = "en" }
b = { play = "to" }
"#;
    let rows =
        [(Some("+4736000777"), "en"), (Some("+4799999999"), "en"), (Some("+4722000000"), "to"), (None, "en")];
    for (from, expect) in rows {
        let mut bench = Bench::flow(steps);
        bench.facts.number = from.map(Number::new);
        bench.facts.hidden = from.is_none();
        assert_eq!(bench.start(), format!("answer; play {expect}"), "{from:?}");
    }
    // A hidden number is not looked at.
    let only = "s = { caller = ['+4736'], match = 'queue:salg', else = 'group:lager' }";
    let mut bench = Bench::flow(only);
    bench.facts.hidden = true;
    assert_eq!(bench.start(), "ring; group lager");
}

#[test]
fn a_toggle_decides_until_its_time_is_over() {
    let steps = "s = { toggle = 'natt', on = 'queue:salg', off = 'group:lager' }";
    assert_eq!(Bench::flow(steps).start(), "ring; group lager");
    assert_eq!(Bench::flow(steps).toggled("natt").start(), "answer; enqueue salg carry");
    let until = "2026-11-23T09:59:59+01:00";
    assert_eq!(Bench::flow(steps).toggled_until("natt", Some(until)).start(), "ring; group lager");
}

#[test]
fn a_queue_gives_back_to_the_step_then_the_queue_then_its_overflow() {
    let step = |keys: &str| {
        let mut bench =
            Bench::flow(&format!("s = {{ queue = 'salg', priority = 7, carry_wait = false{keys} }}"));
        assert_eq!(bench.start(), "answer; enqueue salg p7");
        bench
    };
    let left = |bench: &Bench, exit| bench.clone().on(Event::Queue(exit));
    let own = step(", timeout = 'queue:prosjekt', exit = 'voicemail:felles'");
    assert_eq!(left(&own, QueueExit::Timeout), "enqueue prosjekt carry");
    assert_eq!(left(&own, QueueExit::Full), "play en; beep", "`exit` is for all others");
    let plain = step("");
    assert_eq!(left(&plain, QueueExit::Nobody), "ring; dial user:ola 25s", "the queue's own");
    assert_eq!(left(&plain, QueueExit::Closed), "ring; group lager", "the queue's overflow");
    assert_eq!(left(&plain, QueueExit::Gone), "ring; group lager");
    // Keys of the step and of the queue.
    let keys = step(", 5 = 'voicemail:felles'");
    assert_eq!(keys.clone().on(Event::Digit('5')), "key 5; leave; play en; beep");
    assert_eq!(keys.clone().on(Event::Digit('1')), "key 1; leave; ring; group lager");
    assert_eq!(keys.clone().on(Event::Digit('9')), "");
    // A queue that says nothing at all ends with the reason.
    let mut bare = Bench::at_destination("queue:bar");
    bare.edit(|company| company.queues.values_mut().for_each(|queue| queue.overflow = None));
    bare.start();
    assert_eq!(bare.on(Event::Queue(QueueExit::Full)), "play queue/full");
    assert_eq!(bare.on(Event::PlayFinished), "hangup Status(480)");
}

#[test]
fn a_group_that_nobody_answers_goes_to_the_step_then_the_group() {
    let mut own = Bench::flow("s = { group = 'lager', for = '15s', busy = 'queue:salg' }");
    assert_eq!(own.start(), "ring; group lager 15s");
    let out = |outcome| own.clone().on(Event::Dialled(outcome));
    assert_eq!(out(Outcome::Busy), "answer; enqueue salg carry");
    assert_eq!(out(Outcome::NoAnswer), "answer; play en; beep");
    assert_eq!(out(Outcome::Nobody), "answer; play en; beep", "as no answer");
    // Without any exit the caller gets the status, or hears it once answered.
    let mut bare = Bench::at_destination("group:bar");
    bare.start();
    assert_eq!(bare.clone().on(Event::Dialled(Outcome::Busy)), "hangup Busy");
    bare.facts.answered = true;
    assert_eq!(bare.on(Event::Dialled(Outcome::Busy)), "play call/busy");
    assert_eq!(bare.on(Event::PlayFinished), "hangup Busy");
}

#[test]
fn dialling_rings_all_and_follows_the_steps_exits() {
    let mut bench = Bench::flow(
        "s = { dial = ['user:ola', 'phone:+4736000299'], for = '20s', no_answer = 'queue:salg', busy = 'group:lager' }",
    );
    assert_eq!(bench.start(), "ring; dial user:ola,phone:+4736000299 20s");
    let out = |outcome| bench.clone().on(Event::Dialled(outcome));
    assert_eq!(out(Outcome::NoAnswer), "answer; enqueue salg carry");
    assert_eq!(out(Outcome::Busy), "ring; group lager");
    assert_eq!(out(Outcome::Refused(603)), "ring; group lager", "who declines is as busy");
    assert_eq!(out(Outcome::Unavailable), "answer; enqueue salg carry", "as no answer");
    // Those who forward all calls to a phone ring there, and only once.
    let mut both =
        Bench::flow("s = { dial = ['user:alltid', 'phone:+4736000298'], no_answer = 'queue:salg' }");
    assert_eq!(both.start(), "ring; dial phone:+4736000298 30s");
    let mut not = Bench::flow("s = { dial = 'user:alltid', forwarding = false, no_answer = 'queue:salg' }");
    assert_eq!(not.start(), "ring; dial user:alltid 30s");
}

#[test]
fn a_user_who_does_not_answer_is_followed_by_forwarding_then_voicemail_then_the_end() {
    let user = |id: &str| {
        let mut bench = Bench::at_destination(&format!("user:{id}"));
        let started = bench.start();
        (started, bench)
    };
    let (started, jonas) = user("jonas");
    assert_eq!(started, "ring; dial user:jonas 15s", "for as long as the forwarding says");
    let out = |bench: &Bench, outcome| bench.clone().on(Event::Dialled(outcome));
    assert_eq!(out(&jonas, Outcome::NoAnswer), "answer; enqueue salg carry");
    assert_eq!(out(&jonas, Outcome::Busy), "ring; dial user:ola 25s");
    assert_eq!(out(&jonas, Outcome::Unavailable), "ring; dial phone:+4736000297 60s");
    let (started, kari) = user("kari");
    assert_eq!(started, "ring; dial user:kari 30s");
    let greeting = "answer; play vm/greet-pre+num/1+num/0+num/1+vm/greet-default; beep";
    assert_eq!(out(&kari, Outcome::NoAnswer), greeting);
    assert_eq!(out(&kari, Outcome::Refused(603)), greeting);
    let (_, ola) = user("ola");
    assert_eq!(out(&ola, Outcome::Busy), "hangup Busy");
    assert_eq!(out(&ola, Outcome::NoAnswer), "hangup Status(480)");
    assert_eq!(out(&ola, Outcome::Refused(488)), "hangup Status(488)");
    assert_eq!(user("alltid").0, "ring; dial phone:+4736000298 60s");
}

#[test]
fn users_who_forward_to_each_other_end_the_call_after_five() {
    let mut bench = Bench::at_destination("user:ping");
    bench.edit(|company| {
        let back = company.users["ping"].forward_always.clone();
        let pong = company.users.get_mut("pong").expect("configured above");
        pong.forward_always = back.map(|forward| Forward { to: Destination::User("ping".into()), ..forward });
    });
    assert_eq!(bench.start(), "hangup Status(480)");
    let forwards = bench.steps.iter().filter(|step| step.contains("the user forwards all calls")).count();
    assert_eq!(forwards, 6, "{:#?}", bench.steps);
}

#[test]
fn a_message_is_greeted_recorded_and_kept_or_tried_once_more() {
    let mut bench = Bench::flow("s = { voicemail = 'felles', max = '1m', min = '3s', next = 'queue:salg' }");
    assert_eq!(bench.start(), "answer; play en; beep");
    assert_eq!(bench.clone().on(Event::Digit('#')), "stop; beep", "# passes over the greeting");
    assert_eq!(bench.on(Event::PlayFinished), "record felles 60s min 3s");
    assert_eq!(bench.on(Event::Digit('#')), "stop record");
    let recorded = |secs| Event::Recorded { length: Duration::from_secs(secs) };
    let mut kept = bench.clone();
    assert_eq!(kept.on(recorded(3)), "keep; play vm/saved");
    assert_eq!(kept.on(Event::PlayFinished), "enqueue salg carry");
    assert_eq!(bench.on(recorded(2)), "drop; play vm/too-short+vm/leave-message; beep");
    assert_eq!(bench.on(Event::PlayFinished), "record felles 60s min 3s");
    assert_eq!(bench.on(recorded(0)), "drop; play vm/too-short");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
}

#[test]
fn a_full_mailbox_takes_its_exit_or_says_so() {
    let mut bench = Bench::at_destination("voicemail:liten").message("liten", "m1", MessageState::Saved);
    assert_eq!(bench.start(), "answer; play vm/mailbox-full");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
    let mut exit = Bench::flow("s = { voicemail = 'liten', full = 'queue:salg' }");
    exit = exit.message("liten", "m1", MessageState::New);
    assert_eq!(exit.start(), "answer; enqueue salg carry");
}

#[test]
fn collected_digits_become_a_tag_when_they_are_right() {
    let steps = r##"
s = { collect = "en", digits = 9, check = "orgnr", as = "kunde", ok = "queue:salg", invalid = "group:lager", timeout = "hangup" }
"##;
    let keyed = |keys: &str| {
        let mut bench = Bench::flow(steps);
        assert_eq!(bench.start(), "answer; play en");
        keys.chars().map(|key| bench.on(Event::Digit(key))).last().unwrap_or_default()
    };
    assert_eq!(keyed("9"), "stop; timer 4s");
    assert_eq!(keyed("974760673"), "tag kunde=974760673; clear; enqueue salg carry");
    assert_eq!(keyed("974760674"), "clear; ring; group lager");
    assert_eq!(keyed("97#"), "clear; ring; group lager");
    let mut silent = Bench::flow(steps);
    silent.start();
    assert_eq!(silent.on(Event::PlayFinished), "timer 6s");
    assert_eq!(silent.on(Event::Timer), "hangup Normal");
}

#[test]
fn consent_is_given_by_key_and_silence_is_no() {
    let mut bench = Bench::flow("s = { consent = 'en', accepted = 'queue:salg', declined = 'group:lager' }");
    assert_eq!(bench.start(), "answer; play en");
    assert_eq!(bench.clone().on(Event::Digit('1')), "key 1; tag consent=yes; stop; enqueue salg carry");
    assert_eq!(bench.clone().on(Event::Digit('2')), "key 2; tag consent=no; stop; ring; group lager");
    assert_eq!(bench.clone().on(Event::Digit('3')), "");
    assert_eq!(bench.on(Event::PlayFinished), "timer 6s");
    assert_eq!(bench.on(Event::Timer), "tag consent=no; ring; group lager");
}

#[test]
fn facts_are_set_and_the_language_holds_at_once() {
    let mut bench = Bench::flow(
        "s = { set = { name = 'VIP', language = 'en', priority = 9, tag = 'gull' }, next = 'm' }\nm = { menu = 'meny', 1 = 'queue:salg' }",
    );
    assert_eq!(bench.start(), "name VIP; language En; priority 9; tag tag=gull; answer; play meny");
    let actions = bench.actions(Event::Digit('9'));
    let english = PromptKey::System("en".into(), "menu/invalid".into());
    assert!(actions.iter().any(|a| matches!(a, Action::Play { prompts, .. } if prompts[0] == english)));
}

#[test]
fn calls_are_shared_out_by_weight() {
    let mut bench = Bench::flow(
        "s = { split = { mange = 80, faa = 20 }, mange = 'a', faa = 'queue:salg' }\na = { play = 'en' }",
    );
    let drawn = |bench: &Bench, random| {
        let mut bench = bench.clone();
        bench.random = random;
        bench.start()
    };
    let counts = (0..100).filter(|random| drawn(&bench, *random) == "answer; play en").count();
    assert_eq!(counts, 80);
    bench.random = u32::MAX;
    assert!(!bench.start().is_empty());
}

#[test]
fn a_flow_inside_a_flow_comes_back() {
    let mut bench = Bench::flow("s = { flow = 'hilsen', next = 'b' }\nb = { play = 'to' }");
    assert_eq!(bench.start(), "answer; play en");
    assert_eq!(bench.on(Event::PlayFinished), "play to");
    assert_eq!(bench.on(Event::PlayFinished), "hangup Normal");
    // The verb `hangup` ends the call wherever it stands.
    let mut ends = Bench::flow("s = { flow = 'slutt', next = 'b' }\nb = { play = 'to' }");
    assert_eq!(ends.start(), "hangup Busy");
}

#[test]
fn a_call_is_refused_with_the_cause_or_hung_up_after_last_words() {
    let rows = [("normal", "Normal"), ("busy", "Busy"), ("reject", "Reject"), ("404", "Status(404)")];
    for (cause, expect) in rows {
        let cause = if cause == "404" { "404".to_owned() } else { format!("'{cause}'") };
        assert_eq!(Bench::flow(&format!("s = {{ hangup = {cause} }}")).start(), format!("hangup {expect}"));
    }
    let mut words = Bench::flow("s = { hangup = 'busy', play = 'en' }");
    assert_eq!(words.start(), "early; play en");
    assert_eq!(words.on(Event::PlayFinished), "hangup Busy");
}

#[test]
fn a_reload_takes_hold_at_the_next_step_if_that_step_still_exists() {
    let old = "s = { play = 'en', next = 'a' }\na = { play = 'to', next = 'b' }\nb = { play = 'tre' }";
    let begun = || {
        let mut bench = Bench::flow(old);
        bench.start();
        bench
    };
    // The current step is left by the old way, the next one is the new one.
    let mut changed = begun();
    changed.reload("s = { play = 'en', next = 'b' }\na = { play = 'meny' }\nb = { play = 'to', next = 'a' }");
    assert_eq!(changed.on(Event::PlayFinished), "play meny");
    // A step that is gone is taken from before, and so is all that follows only there.
    let mut gone = begun();
    gone.reload("s = { play = 'en', next = 'b' }\nb = { play = 'meny' }");
    assert_eq!(gone.on(Event::PlayFinished), "play to");
    assert_eq!(gone.on(Event::PlayFinished), "play meny", "back to the newest, which has this step");
    // A flow that is gone altogether.
    let mut removed = begun();
    removed.config = config("");
    assert_eq!(removed.on(Event::PlayFinished), "play to");
    assert_eq!(removed.on(Event::PlayFinished), "play tre");
}

#[test]
fn a_call_that_goes_round_in_circles_ends_after_a_hundred_transitions() {
    let mut bench =
        Bench::flow("s = { queue = 'salg', nobody = 'b' }\nb = { queue = 'prosjekt', nobody = 's' }");
    bench.start();
    let mut rounds = 0;
    let last = loop {
        let did = bench.on(Event::Queue(QueueExit::Nobody));
        if !did.starts_with("enqueue") {
            break did;
        }
        rounds += 1;
    };
    assert_eq!((rounds, last.as_str()), (99, "alarm flow.round; play call/technical"));
    assert_eq!(bench.on(Event::PlayFinished), "hangup Status(500)");
}
