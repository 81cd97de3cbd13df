//! Any datagrams at a browser's stream. `checks/wire.rs` says what must hold.

#![no_main]

#[path = "../checks/wire.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::wire(octets));
