//! Any octets as Opus. `checks/opus.rs` says what must hold.

#![no_main]

#[path = "../checks/opus.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::opus(octets));
