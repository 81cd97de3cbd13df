//! A bare SIP party on a UDP socket: for what SIPp cannot do.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use bytes::Bytes;
use sentral::sip::Method;
use sentral::sip::digest;
use sentral::sip::header::Algorithm;
use sentral::sip::message::Message;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that talks with the daemon.
pub(crate) struct Line {
    socket: UdpSocket,
    daemon: SocketAddr,
    /// Its own address.
    pub(crate) address: SocketAddr,
}

impl Line {
    /// Binds a free port of an address.
    pub(crate) fn new(ip: [u8; 4], daemon: SocketAddr) -> Line {
        let socket = UdpSocket::bind(SocketAddr::from((ip, 0))).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        Line { socket, daemon, address }
    }

    /// Sends a message, written with plain line ends.
    pub(crate) fn send(&self, message: &str) {
        let bytes = message.replace('\n', "\r\n").into_bytes();
        self.socket.send_to(&bytes, self.daemon).expect("loopback takes it");
    }

    /// The next message, when one comes in time.
    pub(crate) fn receive(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).expect("not zero");
        let mut buffer = vec![0; 65_535];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).expect("the daemon writes UTF-8"))
    }
}

/// The value of a header.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines().take_while(|line| !line.is_empty());
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in\n{message}")).trim()
}

/// Registers a device, whose password is its name and `-hemmelig`, so that it is called at `contact`. Tells by which
/// of the offered algorithms.
pub(crate) fn register(line: &Line, device: &str, contact: SocketAddr) -> Algorithm {
    let (realm, own) = (line.daemon.ip(), line.address);
    let request = |cseq: u32, extra: &str| {
        format!(
            "REGISTER sip:{realm} SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{device}-{cseq}\n\
             Max-Forwards: 70\nFrom: <sip:{device}@{realm}>;tag={device}\nTo: <sip:{device}@{realm}>\n\
             Call-ID: {device}-{}\nCSeq: {cseq} REGISTER\nContact: <sip:{device}@{contact}>\nExpires: 600\n\
             {extra}Content-Length: 0\n\n",
            own.port()
        )
    };
    line.send(&request(1, ""));
    let challenged = line.receive(PATIENCE).expect("a challenge");
    let parsed = Message::parse(Bytes::from(challenged), 65_535).expect("the daemon writes SIP");
    let Message::Response(response) = parsed else { panic!("a request instead of a response") };
    assert_eq!(response.status, 401);
    let challenge = digest::strongest(&response).expect("a challenge that can be met");
    let (password, uri) = (format!("{device}-hemmelig"), format!("sip:{realm}"));
    let answer = digest::answer(&challenge, device, &password, &Method::Register, &uri, 1, "0a4f113b");
    line.send(&request(2, &format!("Authorization: {answer}\n")));
    let accepted = line.receive(PATIENCE).expect("an answer");
    assert!(accepted.starts_with("SIP/2.0 200 "), "{accepted}");
    challenge.algorithm
}
