//! The pure parts of the exchange that read what strangers send, without the rest of it: a database, a TLS library and
//! a web server under the address sanitizer would take many minutes to build and are not what is fuzzed.

pub mod media;
#[path = "../src/rand.rs"]
pub mod rand;
#[path = "../src/sdp/mod.rs"]
pub mod sdp;
#[path = "../src/sip/mod.rs"]
pub mod sip;
#[path = "../src/time.rs"]
pub mod time;
