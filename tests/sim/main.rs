//! Whole calls in virtual time: a switch, phones, a carrier, agents and a lossy network under one clock.
//!
//! A scenario is a test; `swarm` does random things by seed. `SIM_SEED=17` replays one seed, `SIM_SEEDS=4096`
//! widens the sweep. Invariants are checked after every input, and nothing may be left at the end.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "tests may fail loudly and have a clock"
)]

mod calls;
mod diagnosis;
mod events;
mod guard;
mod inbox;
mod pair;
mod personal;
mod phone;
mod queue;
mod races;
mod registration;
mod secrecy;
#[path = "../seeds/mod.rs"]
mod seeds;
mod swarm;
mod transfer;
mod transfer_swarm;
mod trunks;
mod world;
