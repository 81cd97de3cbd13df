//! Any messages, one after the other, to a user agent. `checks/endpoint.rs` says what must hold.

#![no_main]

#[path = "../checks/endpoint.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::endpoint(octets));
