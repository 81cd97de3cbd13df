//! Any octets as a session description. `checks/sdp.rs` says what must hold.

#![no_main]

#[path = "../checks/sdp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::sdp(octets));
