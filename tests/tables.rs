//! Table tests of the pure functions: rows of what is given and what must come of it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "tests may fail loudly and have a clock"
)]

#[path = "tables/hours.rs"]
mod hours;
#[path = "tables/negotiate.rs"]
mod negotiate;
#[path = "tables/number.rs"]
mod number;
#[path = "tables/rights.rs"]
mod rights;
#[path = "tables/route.rs"]
mod route;
#[path = "tables/say.rs"]
mod say;
#[path = "tables/secrecy.rs"]
mod secrecy;
#[path = "tables/strategy.rs"]
mod strategy;
#[path = "tables/webrtc.rs"]
mod webrtc;
#[path = "tables/years.rs"]
mod years;
