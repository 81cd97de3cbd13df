//! Any octets as a SIP message. `checks/sip.rs` says what must hold.

#![no_main]

#[path = "../checks/sip.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::sip(octets));
