//! A bare SIP party on a stream or a WebSocket.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use sentral::sip::Method;
use sentral::sip::digest;
use sentral::sip::message::Message;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::WebSocket;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// TLS to the daemon.
pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the daemon.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// The same over TLS, its handshake done.
///
/// # Errors
/// When either side does not trust the other. With TLS 1.3 the daemon's refusal shows at the first read.
pub(crate) fn tls(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Secure> {
    let name = address.ip().into();
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a sound configuration");
    let mut stream = StreamOwned::new(connection, tcp(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// TLS with a daemon that has connected to us.
pub(crate) fn tls_accepted(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let connection = ServerConnection::new(Arc::clone(config)).expect("a sound configuration");
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// WebSocket on a stream.
pub(crate) fn web<S: Read + Write>(
    stream: S,
    protocol: &str,
) -> Result<WebSocket<S>, Box<tungstenite::Error>> {
    let uri = "ws://127.0.0.1/".parse().expect("a URI");
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(protocol);
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
        Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no answer in time"),
    }
}

/// Whether the other side closes before our patience is over.
pub(crate) fn is_closed(stream: &mut impl Read) -> bool {
    loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    }
}

/// What carries messages.
pub(crate) trait Wire {
    /// Writes a message.
    fn put(&mut self, message: &str);
    /// The next message.
    fn take(&mut self) -> String;
}

/// Messages on a stream.
pub(crate) struct OnStream<S> {
    pub(crate) stream: S,
    bytes: Vec<u8>,
}

impl<S> OnStream<S> {
    pub(crate) fn new(stream: S) -> OnStream<S> {
        OnStream { stream, bytes: Vec::new() }
    }
}

impl<S: Read + Write> Wire for OnStream<S> {
    fn put(&mut self, message: &str) {
        self.stream.write_all(message.as_bytes()).expect("it is connected");
        self.stream.flush().expect("it is connected");
    }

    fn take(&mut self) -> String {
        loop {
            if let Some(head) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8(self.bytes[..head].to_vec()).expect("the daemon writes UTF-8");
                let body: usize = header(&text, "Content-Length").parse().expect("a number");
                if self.bytes.len() >= head + 4 + body {
                    let message = self.bytes.drain(..head + 4 + body).collect();
                    return String::from_utf8(message).expect("the daemon writes UTF-8");
                }
            }
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).expect("an answer in time");
            assert!(count > 0, "the daemon has closed the connection");
            self.bytes.extend_from_slice(&piece[..count]);
        }
    }
}

/// One message in each WebSocket message.
impl<S: Read + Write> Wire for WebSocket<S> {
    fn put(&mut self, message: &str) {
        self.send(tungstenite::Message::text(message)).expect("it is connected");
    }

    fn take(&mut self) -> String {
        let message = self.read().expect("an answer in time");
        message.into_text().expect("text").to_string()
    }
}

/// A party.
pub(crate) struct Phone<W> {
    pub(crate) wire: W,
    transport: &'static str,
    /// Its user name.
    name: &'static str,
    /// What it says that its address is.
    host: String,
    calls: u32,
}

impl<W: Wire> Phone<W> {
    pub(crate) fn new(wire: W, transport: &'static str, name: &'static str, host: &str) -> Phone<W> {
        Phone { wire, transport, name, host: host.to_owned(), calls: 0 }
    }

    /// Sends a request; `branch` and `to` are what differ in a dialog.
    fn request(
        &mut self,
        method: &str,
        uri: &str,
        branch: &str,
        to: &str,
        call_id: &str,
        rest: (u32, &str, &str),
    ) {
        let (cseq, extra, body) = rest;
        let (name, host, transport) = (self.name, &self.host, self.transport);
        let low = transport.to_ascii_lowercase();
        let length = body.replace('\n', "\r\n").len();
        let message = format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/{transport} {host};branch=z9hG4bK{branch};alias\n\
             Max-Forwards: 70\nFrom: <sip:{name}@127.0.0.1>;tag={name}\nTo: {to}\nCall-ID: {call_id}\n\
             CSeq: {cseq} {method}\nContact: <sip:{name}@{host};transport={low}>\n\
             {extra}Content-Length: {length}\n\n{body}"
        );
        self.wire.put(&message.replace('\n', "\r\n"));
    }

    /// The next message that is no provisional answer.
    pub(crate) fn next(&mut self) -> String {
        loop {
            let message = self.wire.take();
            if !message.starts_with("SIP/2.0 1") {
                return message;
            }
        }
    }

    /// Asks for nothing in particular; the answer.
    pub(crate) fn options(&mut self) -> String {
        self.calls += 1;
        let id = format!("options-{}-{}", self.name, self.calls);
        self.request("OPTIONS", "sip:127.0.0.1", &id, "<sip:127.0.0.1>", &id, (1, "", ""));
        self.next()
    }

    /// Registers, with the name and `-hemmelig` as password.
    pub(crate) fn register(&mut self) {
        let (uri, to) = ("sip:127.0.0.1", format!("<sip:{}@127.0.0.1>", self.name));
        let id = format!("register-{}", self.name);
        self.request("REGISTER", uri, &format!("{id}1"), &to, &id, (1, "Expires: 600\n", ""));
        let extra = format!("Expires: 600\n{}", self.credentials(Method::Register, uri));
        self.request("REGISTER", uri, &format!("{id}2"), &to, &id, (2, &extra, ""));
        let accepted = self.next();
        assert!(accepted.starts_with("SIP/2.0 200 "), "{accepted}");
    }

    /// Calls a number and acknowledges the answer, which is given back.
    pub(crate) fn call(&mut self, number: &str) -> String {
        self.calls += 1;
        let id = format!("call-{}-{}", self.name, self.calls);
        let (uri, to) = (format!("sip:{number}@127.0.0.1"), format!("<sip:{number}@127.0.0.1>"));
        let sdp = "Content-Type: application/sdp\n";
        self.request("INVITE", &uri, &id, &to, &id, (1, sdp, SDP));
        let answer = self.next();
        let ok = answer.starts_with("SIP/2.0 200 ");
        // RFC 3261 §17.1.1.3, §13.2.2.4: to a failure in the same transaction, to a 2xx in one of its own.
        let branch = if ok { format!("{id}-ack") } else { id.clone() };
        let to = header(&answer, "To").to_owned();
        self.request("ACK", &uri, &branch, &to, &id, (1, "", ""));
        answer
    }

    /// Calls as a device that is asked for its password.
    pub(crate) fn call_with_password(&mut self, number: &str) {
        self.calls += 1;
        let id = format!("call-{}-{}", self.name, self.calls);
        let (uri, to) = (format!("sip:{number}@127.0.0.1"), format!("<sip:{number}@127.0.0.1>"));
        let sdp = "Content-Type: application/sdp\n";
        self.request("INVITE", &uri, &id, &to, &id, (1, sdp, SDP));
        let credentials = self.credentials(Method::Invite, &uri);
        self.request("ACK", &uri, &id, &to, &id, (1, "", ""));
        self.request("INVITE", &uri, &format!("{id}-2"), &to, &id, (2, &format!("{sdp}{credentials}"), SDP));
    }

    /// Acknowledges the answer to `call_with_password`.
    pub(crate) fn acknowledge(&mut self, answer: &str) {
        let (to, id) = (header(answer, "To").to_owned(), header(answer, "Call-ID").to_owned());
        self.request("ACK", "sip:127.0.0.1", &format!("{id}-ack"), &to, &id, (2, "", ""));
    }

    /// Ends an answered call.
    pub(crate) fn hang_up(&mut self, answer: &str) {
        let (to, id) = (header(answer, "To").to_owned(), header(answer, "Call-ID").to_owned());
        self.request("BYE", "sip:127.0.0.1", &format!("{id}-bye"), &to, &id, (9, "", ""));
        let over = self.next();
        assert!(over.starts_with("SIP/2.0 200 "), "{over}");
    }

    /// Answers a request of the daemon's.
    pub(crate) fn answer(&mut self, request: &str, status: &str, body: &str) {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
            let value = header(request, name);
            let tag = if name == "To" && !value.contains(";tag=") { ";tag=answered" } else { "" };
            format!("{name}: {value}{tag}\n")
        });
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let (name, host, length) = (self.name, &self.host, body.replace('\n', "\r\n").len());
        let low = self.transport.to_ascii_lowercase();
        let message = format!(
            "SIP/2.0 {status}\n{}Contact: <sip:{name}@{host};transport={low}>\n{kind}Content-Length: {length}\n\n{body}",
            copied.concat()
        );
        self.wire.put(&message.replace('\n', "\r\n"));
    }

    /// What a challenge, which comes next, is met with.
    fn credentials(&mut self, method: Method, uri: &str) -> String {
        let challenged = self.next();
        let parsed = Message::parse(Bytes::from(challenged), 65_535).expect("the daemon writes SIP");
        let Message::Response(response) = parsed else { panic!("a request instead of a response") };
        let challenge = digest::strongest(&response).expect("a challenge that can be met");
        let answer = digest::answer(
            &challenge,
            self.name,
            &format!("{}-hemmelig", self.name),
            &method,
            uri,
            1,
            "0a4f113b",
        );
        format!("Authorization: {answer}\n")
    }
}

/// An offer, or an answer. Nobody listens there.
pub(crate) const SDP: &str = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n\
                              m=audio 9 RTP/AVP 8\na=rtpmap:8 PCMA/8000\n";

/// The value of a header.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines().take_while(|line| !line.is_empty());
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in\n{message}")).trim()
}
