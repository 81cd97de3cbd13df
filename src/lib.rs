//! Sentral: a hosted business telephone exchange in one daemon.
//!
//! The map of the house, top to bottom; who may import whom is checked by `tests/tidy.rs`:
//!
//! - [`shell`] touches the world: sockets, threads, clocks, files, the command line. Nothing else does.
//! - [`switch`] is the softswitch: one value that is given inputs with the time and hands out outputs.
//!   Calls, flows, queues, routing, the registrar and voicemail live there.
//! - [`sip`] speaks RFC 3261 and knows nothing of customers; [`sdp`] reads and writes RFC 8866.
//! - [`media`] is RTP as pure computation: streams, codecs, tones, keys; it knows nothing of calls.
//! - [`model`] is plain data: what is configured, what is told, what is ordered.
//! - [`time`] and [`rand`]: time as data, chance by seed.
//!
//! One inbound call, from datagram to sound: `shell::net::udp` parses it, `shell::signaling` hands it to
//! `Switch::handle_input`, `sip::endpoint` answers 100 and says `Event::Invite`, `switch::on_sip` asks
//! `admission` who calls and `route` where to, `switch::flow` decides, `switch::act` carries out: it opens the
//! stream (`Media(Open)`), then the 200 OK goes out; `shell::media::thread` sends audio every 20 ms from there on.

pub mod media;
pub mod model;
pub mod rand;
pub mod sdp;
pub mod shell;
pub mod sip;
pub mod switch;
pub mod time;
