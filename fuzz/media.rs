//! The parts of the media engine that read what strangers send.

#[path = "../src/media/codec/mod.rs"]
pub mod codec;
#[path = "../src/media/dtmf.rs"]
pub mod dtmf;
#[path = "../src/media/ear/mod.rs"]
pub mod ear;
#[path = "../src/media/resample.rs"]
pub mod resample;
#[path = "../src/media/rtcp.rs"]
pub mod rtcp;
#[path = "../src/media/rtp.rs"]
pub mod rtp;
#[path = "../src/media/tone.rs"]
pub mod tone;

pub use codec::Codec;
