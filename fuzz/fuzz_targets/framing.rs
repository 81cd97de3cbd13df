//! Any octets as a stream. `checks/framing.rs` says what must hold.

#![no_main]

#[path = "../checks/framing.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::framing(octets));
