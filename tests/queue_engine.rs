//! The queue engine by its edge cases, each with its exact outcome, and by random simulation.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "tests may fail loudly and have a clock"
)]

#[path = "queue_engine/announcements.rs"]
mod announcements;
#[path = "queue_engine/callbacks.rs"]
mod callbacks;
#[path = "queue_engine/cases.rs"]
mod cases;
#[path = "queue_engine/groups.rs"]
mod groups;
#[path = "queue_engine/harness.rs"]
mod harness;
#[path = "queue_engine/pauses.rs"]
mod pauses;
#[path = "queue_engine/picking.rs"]
mod picking;
#[path = "queue_engine/returning.rs"]
mod returning;
#[path = "queue_engine/simulation.rs"]
mod simulation;
#[path = "queue_engine/widening.rs"]
mod widening;
