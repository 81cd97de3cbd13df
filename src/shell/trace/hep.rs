//! Copies of all messages to a Homer capture server: HEP version 3 ("EEP/HEP3 Network protocol specification",
//! sipcapture), over UDP.
//!
//! A task of its own follows the ring, so nothing waits for it: what the network does not take at once is dropped
//! and counted, and so is what left the ring before its turn. Secrets are masked. The correlation identifier is the
//! number of the call, so that its legs are shown together. Left out: HEP over TCP or TLS, and what is not SIP.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::model::server::Hep;
use crate::shell::trace::Trace;
use crate::shell::trace::mask::masked;
use crate::shell::trace::ring::Entry;
use crate::sip::Message;
use crate::sip::Transport;
use crate::sip::message::Name;

/// Port of a capture server when none is written.
const PORT: u16 = 9060;
/// Between two looks at the ring: a batch is sent together, and the core has told whose the first messages are.
const BATCH_EVERY: Duration = Duration::from_millis(50);
/// How long the task waits for messages before it looks at the server's name again.
const IDLE: Duration = Duration::from_secs(60);
/// How long the server's address is believed.
const ADDRESS_KEPT: Duration = Duration::from_secs(300);
/// After a failure the address is looked up again after this.
const RETRY: Duration = Duration::from_secs(10);
/// Most that a datagram holds.
const PACKET_MAX: usize = 65_507;

/// Sends everything that enters the ring, until the process ends.
pub async fn run(hep: Hep, trace: Trace) {
    let mut next = trace.next();
    let mut sink: Option<(UdpSocket, Instant)> = None;
    loop {
        trace.wait(next, IDLE).await;
        sleep(BATCH_EVERY).await;
        if sink.as_ref().is_none_or(|(_, until)| *until < Instant::now()) {
            sink = open(&hep).await;
        }
        loop {
            let entries = trace.chunk(next);
            let Some(first) = entries.first().map(|entry| entry.seq) else { break };
            count("dropped", first - next);
            for entry in &entries {
                next = entry.seq + 1;
                count(if give(&hep, sink.as_ref(), entry, &trace) { "sent" } else { "dropped" }, 1);
            }
        }
    }
}

fn count(result: &'static str, packets: u64) {
    if packets > 0 {
        counter!("sentral_hep_packets_total", "result" => result).increment(packets);
    }
}

/// A socket towards the server, and until when its address is believed. Without an address it has no destination, and
/// what is given to it is dropped.
async fn open(hep: &Hep) -> Option<(UdpSocket, Instant)> {
    let found = tokio::net::lookup_host((&*hep.host, hep.port.unwrap_or(PORT))).await;
    let address = found.ok().and_then(|mut found| found.next());
    let any: IpAddr = match address {
        Some(SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        Some(SocketAddr::V4(_)) | None => Ipv4Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.set_nonblocking(true).ok()?;
    let connected = address.is_some_and(|address| socket.connect(address).is_ok());
    if !connected {
        tracing::warn!(server = %hep.host, "the HEP server cannot be reached: is its name right?");
    }
    Some((socket, Instant::now() + if connected { ADDRESS_KEPT } else { RETRY }))
}

/// Sends one message; tells whether the kernel took it.
fn give(hep: &Hep, sink: Option<&(UdpSocket, Instant)>, entry: &Entry, trace: &Trace) -> bool {
    let Some((socket, _)) = sink else { return false };
    let correlation = call_id(&entry.bytes).and_then(|id| trace.call_of(&id)).map(|call| call.to_string());
    let packet = packet(hep, entry, correlation.as_deref());
    // An error that an earlier datagram met is told by this one, which is not sent then: once more.
    packet.len() <= PACKET_MAX && (socket.send(&packet).is_ok() || socket.send(&packet).is_ok())
}

fn call_id(bytes: &Bytes) -> Option<String> {
    let message = Message::parse(bytes.clone(), usize::MAX).ok()?;
    message.headers().get(&Name::CallId).map(|id| id.into_owned())
}

/// One packet: `HEP3`, its length, and chunks of vendor 0, each with type, length and value.
pub fn packet(hep: &Hep, entry: &Entry, correlation: Option<&str>) -> Vec<u8> {
    let (source, destination) = (entry.source(), entry.destination());
    let protocol = if entry.hop.transport == Transport::Udp { 17 } else { 6 };
    let seconds = u32::try_from(entry.at.as_second()).unwrap_or_default();
    let micros = u32::try_from(entry.at.subsec_microsecond()).unwrap_or_default();
    let mut out = b"HEP3\0\0".to_vec();
    let mut chunk = |kind: u16, value: &[u8]| {
        out.extend([0, 0]);
        out.extend(kind.to_be_bytes());
        out.extend((value.len() as u16).saturating_add(6).to_be_bytes());
        out.extend(value);
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // AF_INET and AF_INET6 as Linux has them.
            chunk(0x01, &[2]);
            chunk(0x02, &[protocol]);
            chunk(0x03, &from.octets());
            chunk(0x04, &to.octets());
        }
        (from, to) => {
            let v6 = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            chunk(0x01, &[10]);
            chunk(0x02, &[protocol]);
            chunk(0x05, &v6(from).octets());
            chunk(0x06, &v6(to).octets());
        }
    }
    chunk(0x07, &source.port().to_be_bytes());
    chunk(0x08, &destination.port().to_be_bytes());
    chunk(0x09, &seconds.to_be_bytes());
    chunk(0x0A, &micros.to_be_bytes());
    // SIP.
    chunk(0x0B, &[1]);
    chunk(0x0C, &hep.id.to_be_bytes());
    if let Some(password) = &hep.password {
        chunk(0x0E, password.0.as_bytes());
    }
    if let Some(correlation) = correlation {
        chunk(0x11, correlation.as_bytes());
    }
    chunk(0x0F, &masked(&entry.bytes));
    // A packet that is too long for this field is not sent.
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::server::Secret;
    use crate::sip::Hop;

    fn entry(transport: Transport, local: &str, remote: &str, text: &str) -> Entry {
        let hop = Hop {
            transport,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: None,
        };
        let at = Timestamp::new(0x0102_0304, 5_000).unwrap();
        Entry { seq: 0, at, hop, incoming: true, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    #[test]
    fn a_packet_over_ipv4_is_this_octet_by_octet() {
        let hep = Hep { host: "h".into(), port: None, id: 2001, password: Some(Secret("pw".into())) };
        let entry = entry(Transport::Udp, "127.0.0.1:5060", "192.0.2.9:5070", "OPTIONS");
        #[rustfmt::skip]
        let expected = [
            b'H', b'E', b'P', b'3', 0, 123,
            0, 0, 0, 1, 0, 7, 2,
            0, 0, 0, 2, 0, 7, 17,
            0, 0, 0, 3, 0, 10, 192, 0, 2, 9,
            0, 0, 0, 4, 0, 10, 127, 0, 0, 1,
            0, 0, 0, 7, 0, 8, 0x13, 0xCE,
            0, 0, 0, 8, 0, 8, 0x13, 0xC4,
            0, 0, 0, 9, 0, 10, 1, 2, 3, 4,
            0, 0, 0, 10, 0, 10, 0, 0, 0, 5,
            0, 0, 0, 11, 0, 7, 1,
            0, 0, 0, 12, 0, 10, 0, 0, 0x07, 0xD1,
            0, 0, 0, 14, 0, 8, b'p', b'w',
            0, 0, 0, 17, 0, 9, b'0', b'-', b'a',
            0, 0, 0, 15, 0, 13, b'O', b'P', b'T', b'I', b'O', b'N', b'S',
        ];
        assert_eq!(packet(&hep, &entry, Some("0-a")), expected);
    }

    #[test]
    fn a_packet_over_ipv6_and_tcp_says_so() {
        let hep = Hep { host: "h".into(), port: None, id: 1, password: None };
        let entry = entry(Transport::Tls, "[::1]:5061", "[2001:db8::9]:5070", "x");
        let packet = packet(&hep, &entry, None);
        assert_eq!(packet[6..20], [0, 0, 0, 1, 0, 7, 10, 0, 0, 0, 2, 0, 7, 6]);
        assert_eq!(packet[20..26], [0, 0, 0, 5, 0, 22]);
        assert_eq!(packet[26..30], [0x20, 0x01, 0x0D, 0xB8]);
        assert_eq!(packet[42..48], [0, 0, 0, 6, 0, 22]);
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
    }
}
