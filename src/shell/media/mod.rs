//! Media's world: sockets and the 1 ms slots, handshakes, files of the media bank, recordings.
//!
//! `crate::media` computes; what is here moves its packets, feeds it clips and writes what it records.

mod backlog;
pub mod bank;
pub mod handshake;
mod pace;
pub mod recorder;
mod sockets;
mod strain;
pub mod sys;
pub mod thread;
pub mod worker;
