//! Bytes on the wire to and from SIP messages. UDP is read by the signalling thread itself, so that a request
//! costs one wake-up; connections live on the tokio runtime.

pub mod dns;
pub mod resolve;
pub mod shut_out;
pub mod tcp;
pub mod udp;
