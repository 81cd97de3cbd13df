//! Any octets as a session description: nothing panics, and what is read is written so that it reads the same.

/// Reads, prints and reads again.
pub(crate) fn sdp(octets: &[u8]) {
    if let Ok(sdp) = sentral::sdp::parse(octets) {
        assert_eq!(sentral::sdp::parse(sdp.to_string().as_bytes()), Ok(sdp));
    }
}
