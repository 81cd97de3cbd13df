//! Emergency calls in whole calls: whatever else is full, closed, forbidden or too much, they go out at once; a number
//! that only begins or ends like one is no emergency call. Under overload: `guard`.

use std::sync::Arc;
use std::time::Duration;

use sentral::model::Config;
use sentral::model::command::Command;
use sentral::model::personal::Setting;
use sentral::model::personal::Wish;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config_and_trunks;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
/// So soon an emergency call has to be with the carrier.
const AT_ONCE: Duration = Duration::from_millis(300);
const NUMBERS: [&str; 3] = ["110", "112", "113"];
/// The switchboard of a ministry, which has all three in it.
const NONE: &str = "22111210";

/// One channel to the carrier.
const TRUNK: &str = r#"
[trunks.carrier]
server = "198.51.100.9:5060"
trusted = ["198.51.100.9"]
channels = 1
health = false
[routes]
emergency = { to = ["110", "112", "113"], via = ["carrier"], priority = true }
norway = { to = ["+47"], via = ["carrier"] }
"#;

/// What stands in the way; what is set for it before, with Kari's phone and the carrier; whether it stops other calls.
type Way = (&'static str, fn(&mut World, usize, usize), bool);

const WAYS: [Way; 6] = [
    ("nothing", |_, _, _| {}, false),
    (
        "the only channel is taken",
        |world, _, _| {
            let ola = world.registered("ola");
            let call = world.phones[ola].call(world.now, "36000777", false);
            world.until("Ola talks", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
        },
        true,
    ),
    ("it is Sunday night", |world, _, _| world.now.utc += 16 * 3600 * S + 5 * 86_400 * S, false),
    (
        "Kari does not want to be disturbed",
        |world, _, _| {
            let wish = Wish::Plain(Setting::DoNotDisturb { on: true, until: None });
            world.order(Command::Personal { company: "prove".into(), user: "kari".into(), wish });
        },
        false,
    ),
    ("the company bars calls at home", |_, _, _| {}, true),
    (
        "Kari has called too often",
        |world, kari, _| {
            for _ in 0..3 {
                let call = world.phones[kari].call(world.now, "36000777", false);
                world.run(3 * S);
                world.phones[kari].end(world.now, call);
                world.run(S);
            }
        },
        true,
    ),
];

fn config(way: &str) -> Arc<Config> {
    let barred = if way == "the company bars calls at home" { "block = [\"domestic\"]\n" } else { "" };
    let company = COMPANY.replace("[company]\n", &format!("[company]\n{barred}"));
    config_and_trunks(&format!("{company}\n[fraud.user]\ncalls_per_minute = 3\n"), TRUNK)
}

#[test]
fn an_emergency_call_goes_out_at_once_whatever_stands_in_the_way_and_one_that_only_looks_so_does_not() {
    for (way, prepare, stops) in WAYS {
        for number in NUMBERS.into_iter().chain([NONE]) {
            let mut world = World::at(1, noon(), config(way));
            let carrier = world.carrier();
            world.phones[carrier].answer = Answer::After(Duration::ZERO);
            let kari = world.registered("kari");
            prepare(&mut world, kari, carrier);
            let before = world.phones[carrier].lines.len();
            let call = world.phones[kari].call(world.now, number, false);
            let emergency = number != NONE;
            // A challenge costs a round trip of a few milliseconds.
            world.run(AT_ONCE);
            let out = world.phones[carrier].lines.len() > before;
            assert_eq!(out, emergency || !stops, "{way}: {number}");
            world.run(S);
            let stage = world.phones[kari].lines[&call].stage.clone();
            let expect = if out { "up" } else { "refused" };
            let came = match stage {
                Stage::Up => "up",
                Stage::Over(status) if status >= 400 => "refused",
                _ => "?",
            };
            assert_eq!(came, expect, "{way}: {number}: {stage:?}");
            world.finish();
        }
    }
}
