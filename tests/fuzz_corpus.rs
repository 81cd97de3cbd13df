//! The kept corpus of each fuzz target through the same function that the fuzzer calls, with the stable compiler.
#![allow(clippy::disallowed_methods, reason = "the endpoint's time has to begin somewhere")]

#[path = "../fuzz/checks/endpoint.rs"]
mod endpoint;
#[path = "../fuzz/checks/framing.rs"]
mod framing;
#[path = "../fuzz/checks/header.rs"]
mod header;
#[path = "../fuzz/checks/opus.rs"]
mod opus;
#[path = "../fuzz/checks/rtp.rs"]
mod rtp;
#[path = "../fuzz/checks/sdp.rs"]
mod sdp;
#[path = "../fuzz/checks/sip.rs"]
mod sip;
#[path = "../fuzz/checks/wire.rs"]
mod wire;

use std::fs;
use std::path::Path;

#[test]
fn messages_keep_their_invariants() {
    replay("sip", sip::sip);
}

#[test]
fn header_values_keep_their_invariants() {
    replay("header", header::header);
}

#[test]
fn streams_keep_their_invariants() {
    replay("framing", framing::framing);
}

#[test]
fn session_descriptions_keep_their_invariants() {
    replay("sdp", sdp::sdp);
}

#[test]
fn packets_of_media_keep_their_invariants() {
    replay("rtp", rtp::rtp);
}

#[test]
fn lines_of_opus_keep_their_invariants() {
    replay("opus", opus::opus);
}

#[test]
fn a_user_agent_keeps_its_invariants() {
    replay("endpoint", endpoint::endpoint);
}

#[test]
fn datagrams_at_a_browsers_stream_keep_their_invariants() {
    replay("wire", wire::wire);
}

/// Each file of the corpus; a failure names the file.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for file in fs::read_dir(folder).expect("the corpus is kept") {
        let path = file.expect("our own folder").path();
        println!("{}", path.display());
        check(&fs::read(&path).expect("our own file"));
        count += 1;
    }
    assert!(count >= 10, "the corpus of {target} has but {count} files");
}
