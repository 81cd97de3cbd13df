//! No bytes break the SDP reader, and what it reads it writes so that it reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(sdp) = sentral::sdp::parse(bytes) {
        assert_eq!(sentral::sdp::parse(sdp.to_string().as_bytes()), Ok(sdp));
    }
});
