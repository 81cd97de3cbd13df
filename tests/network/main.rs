//! The real daemon over real sockets: phones, carriers, proxies, name servers, attackers and power cuts, all on the
//! loopback interface. One program, so that it is linked once; its tests run one after the other.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "real sockets and processes are the point"
)]

mod acceptance;
mod ask;
mod attack;
mod bad_input;
mod browser;
mod crash;
mod daemon;
mod dns;
mod doctor;
mod figures;
mod forward;
mod golden;
#[path = "../golden/mod.rs"]
mod golden_rows;
mod one_way;
mod phones;
mod proxy;
mod recording;
mod rooms;
mod sipp;
mod trace;
mod transports;
