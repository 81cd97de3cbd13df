//! What a waiting caller is asked about a call-back, key by key.

use sentral::model::queue::Callback;
use sentral::switch::flow::action::Event;
use sentral::switch::flow::action::QueueExit;

use crate::bench::Bench;

fn waiting(hidden: bool) -> Bench {
    let mut bench = Bench::at_destination("queue:salg");
    bench.edit(|company| {
        let queue = company.queues.values_mut().find(|queue| &*queue.name == "Salg").expect("it is there");
        queue.callback = Some(Callback { key: '5', ..Callback::default() });
    });
    bench.facts.hidden = hidden;
    bench.start();
    bench
}

#[test]
fn a_caller_with_a_number_confirms_it_and_is_let_go() {
    let mut bench = waiting(false);
    let asked = bench.on(Event::Digit('5'));
    assert!(asked.starts_with("key 5; play queue/callback-number+num/"), "{asked}");
    assert!(asked.ends_with("+queue/callback-confirm"), "{asked}");
    let kept = bench.on(Event::Digit('1'));
    assert!(kept.starts_with("stop; keep place +47"), "{kept}");
    assert_eq!(bench.on(Event::Queue(QueueExit::CallbackTaken)), "play queue/callback-done");
}

#[test]
fn a_hidden_caller_is_asked_for_a_number_three_times_and_then_waits_on() {
    let mut bench = waiting(true);
    assert_eq!(bench.on(Event::Digit('5')), "key 5; play queue/callback-enter");
    for (digits, says) in [
        // Abroad, an emergency number, and nothing at all.
        ("0046812345678#", "play queue/callback-wrong+queue/callback-enter"),
        ("112#", "play queue/callback-wrong+queue/callback-enter"),
        ("#", "play queue/callback-kept"),
    ] {
        let last = digits.chars().map(|digit| bench.on(Event::Digit(digit))).last();
        assert_eq!(last.as_deref(), Some(says), "{digits}");
    }
    // One who thinks better of it waits on, and may ask again.
    bench.on(Event::Digit('5'));
    assert_eq!(bench.on(Event::Digit('*')), "play queue/callback-kept");
    bench.on(Event::Digit('5'));
    "90000005".chars().for_each(|digit| drop(bench.on(Event::Digit(digit))));
    assert!(bench.on(Event::Digit('#')).ends_with("queue/callback-confirm"));
    assert!(bench.on(Event::Digit('1')).ends_with("keep place +4790000005"));
}
