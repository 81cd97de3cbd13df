//! Any octets as RTP and RTCP. `checks/rtp.rs` says what must hold.

#![no_main]

#[path = "../checks/rtp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::rtp(octets));
