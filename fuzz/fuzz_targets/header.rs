//! Any octets as the value of every kind of header. `checks/header.rs` says what must hold.

#![no_main]

#[path = "../checks/header.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::header(octets));
