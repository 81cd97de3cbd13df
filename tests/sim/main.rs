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

mod answer_window;
mod apps;
mod call_back;
mod callback;
mod calls;
mod click_to_answer;
mod contacts;
mod diagnosis;
mod edge_cases;
mod emergency;
mod events;
mod figures;
mod flow_verbs;
mod golden;
#[path = "../golden/mod.rs"]
mod golden_rows;
mod guard;
mod hot_desk;
mod inbox;
mod keys;
mod mobile;
mod mobile_swarm;
mod offers;
mod pair;
mod park;
mod pauses;
mod personal;
mod phone;
mod pickup;
mod queue;
mod races;
mod record_prompt;
mod recording;
mod registration;
mod returns;
mod rooms;
mod secrecy;
#[path = "../seeds/mod.rs"]
mod seeds;
mod supervise;
mod swarm;
mod switchboard;
mod transfer;
mod transfer_swarm;
mod trunks;
mod why;
mod world;
