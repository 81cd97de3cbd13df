//! Runs by seed: `SIM_SEED=17` replays one, `SIM_SEEDS=4096` widens the sweep.

use std::panic;
use std::panic::RefUnwindSafe;

/// Runs `one` for each of so many seeds, or those that the environment asks for; tells what came of them. A failure
/// names its seed.
pub(crate) fn each<T>(seeds: u64, one: impl Fn(u64) -> T + RefUnwindSafe) -> Vec<T> {
    let count = asked("SIM_SEEDS").unwrap_or(seeds);
    let range = asked("SIM_SEED").map_or(0..count, |seed| seed..seed + 1);
    let run = |seed| {
        panic::catch_unwind(|| one(seed)).unwrap_or_else(|cause| {
            eprintln!("replay with SIM_SEED={seed}");
            panic::resume_unwind(cause)
        })
    };
    range.map(run).collect()
}

/// Runs a race for each seed; each outcome in `must` has to come about, or it was no race.
pub(crate) fn race(seeds: u64, must: &[&str], one: impl Fn(u64) -> &'static str + RefUnwindSafe) {
    let seen = each(seeds, one);
    if seen.len() as u64 >= seeds {
        let missing: Vec<_> = must.iter().filter(|outcome| !seen.contains(outcome)).collect();
        assert!(missing.is_empty(), "never came about: {missing:?}");
    }
}

fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
