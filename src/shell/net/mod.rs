//! Bytes on the wire to and from SIP messages. UDP is read by the signalling thread itself, so that a request
//! costs one wake-up; connections live on the tokio runtime.
//!
//! `stream` has the table of all connections, says which of them a message goes along, and lets in or opens new
//! ones; `connection` is the life of one: reading, cutting into messages, writing, and every deadline. What differs
//! by transport is in `tcp` (sockets), `tls` (certificates, and who is at the other end) and `ws` (WebSocket, as one
//! more way to cut a stream into messages). `crowd` counts who has how many, `shut_out` knows who is not read at all,
//! and `owed` who is still to be answered. `resolve` and `dns` find addresses.

mod connection;
mod crowd;
pub mod dns;
mod owed;
pub mod resolve;
pub mod shut_out;
pub mod stream;
mod tcp;
pub mod tls;
pub mod udp;
mod ws;
