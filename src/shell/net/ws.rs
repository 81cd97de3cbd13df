//! SIP over WebSocket (RFC 7118, RFC 6455): octets of a stream in, one SIP message a WebSocket message out.
//!
//! tungstenite speaks the protocol on a pair of buffers; the socket is `connection`'s. A client must ask for the
//! subprotocol `sip`. Any path will do, and Origin is not looked at: a browser proves who it is by its SIP password, as
//! every phone does. Compression is not offered.

use std::io;
use std::io::Read;
use std::io::Write;

use bytes::Bytes;
use bytes::BytesMut;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::HandshakeError;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::handshake::MidHandshake;
use tokio_tungstenite::tungstenite::handshake::server::Callback;
use tokio_tungstenite::tungstenite::handshake::server::ErrorResponse;
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::handshake::server::Response;
use tokio_tungstenite::tungstenite::handshake::server::ServerHandshake;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;

use crate::sip::framing::Frame;

const PROTOCOL: &str = "Sec-WebSocket-Protocol";
/// To whatever is no WebSocket for SIP.
const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\
                         Content-Length: 0\r\nConnection: close\r\n\r\n";
/// Of each connection, from the start.
const BUFFER: usize = 4096;

/// The octets of one WebSocket connection that are not yet messages, from the HTTP request on.
#[derive(Debug)]
pub(super) struct WebFramer {
    state: State,
    /// To be sent: the answer to the HTTP request, pongs, the end.
    reply: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Shaking(Box<MidHandshake<ServerHandshake<Pipe, SipOnly>>>),
    Open(Box<WebSocket<Pipe>>),
    Over,
}

/// What tungstenite takes for a socket.
#[derive(Debug, Default)]
struct Pipe {
    incoming: BytesMut,
    outgoing: Vec<u8>,
}

impl WebFramer {
    /// At the start of a connection; `max` octets a message.
    pub(super) fn new(max: usize) -> WebFramer {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max))
            .max_frame_size(Some(max));
        let shaking = ServerHandshake::start(Pipe::default(), SipOnly, Some(config));
        WebFramer { state: State::Shaking(Box::new(shaking)), reply: Vec::new() }
    }

    /// Adds octets that were received; call `next` until it gives `None` before adding more.
    pub(super) fn push(&mut self, octets: &[u8]) {
        match &mut self.state {
            State::Shaking(shaking) => shaking.get_mut().get_mut().incoming.extend_from_slice(octets),
            State::Open(socket) => socket.get_mut().incoming.extend_from_slice(octets),
            State::Over => {}
        }
    }

    /// The next thing that is complete; pings and pongs are `Pong`. `Err` tells why the connection is over.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, &'static str> {
        self.shake()?;
        let State::Open(socket) = &mut self.state else { return Ok(None) };
        let read = socket.read();
        if let Ok(Message::Close(_)) = read {
            // RFC 6455 §5.5.1: the same in return; a pipe takes everything.
            let _ = socket.flush();
        }
        self.reply.append(&mut socket.get_mut().outgoing);
        match read {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => Ok(Some(frame_of(message.into_data()))),
            Ok(Message::Ping(_) | Message::Pong(_)) => Ok(Some(Frame::Pong)),
            Ok(Message::Close(_) | Message::Frame(_)) => Err("closed by the peer"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(Error::Capacity(_)) => Err("message too long"),
            Err(_) => Err("not WebSocket"),
        }
    }

    /// What must be sent in return for what was read, as it is.
    pub(super) fn reply(&mut self) -> Bytes {
        std::mem::take(&mut self.reply).into()
    }

    /// Goes on with the HTTP request, if that is where we are.
    fn shake(&mut self) -> Result<(), &'static str> {
        if !matches!(self.state, State::Shaking(_)) {
            return Ok(());
        }
        let State::Shaking(shaking) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
        match shaking.handshake() {
            Ok(socket) => self.state = State::Open(Box::new(socket)),
            Err(HandshakeError::Interrupted(shaking)) => self.state = State::Shaking(Box::new(shaking)),
            Err(HandshakeError::Failure(_)) => {
                self.reply.extend_from_slice(REFUSAL);
                return Err("handshake");
            }
        }
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.incoming.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.incoming.split_to(count));
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// RFC 5626 §3.5.1 within a WebSocket message, as some clients do besides pings.
fn frame_of(octets: Bytes) -> Frame {
    match &*octets {
        b"\r\n\r\n" => Frame::KeepAlive,
        b"\r\n" | b"" => Frame::Pong,
        _ => Frame::Message(octets),
    }
}

/// A SIP message as one WebSocket message: text when it is, which browsers like better (RFC 7118 §5).
pub(super) fn wrap(message: &Bytes) -> Bytes {
    let kind = if std::str::from_utf8(message).is_ok() { Data::Text } else { Data::Binary };
    let mut octets = Vec::with_capacity(message.len() + 10);
    // A vector takes everything.
    let _ = WebFrame::message(message.clone(), OpCode::Data(kind), true).format(&mut octets);
    octets.into()
}

/// RFC 7118 §4: lets in who asks for `sip`.
#[derive(Debug)]
struct SipOnly;

impl Callback for SipOnly {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let asked = request.headers().get_all(PROTOCOL);
        let mut asked = asked.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        if !asked.any(|name| name.trim().eq_ignore_ascii_case("sip")) {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = StatusCode::BAD_REQUEST;
            return Err(refused);
        }
        response.headers_mut().append(PROTOCOL, HeaderValue::from_static("sip"));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1000;

    fn request(protocol: &str) -> String {
        format!(
            "GET /sip HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
        )
    }

    fn open() -> WebFramer {
        let mut framer = WebFramer::new(MAX);
        framer.push(request("Sec-WebSocket-Protocol: chat, sip\r\n").as_bytes());
        assert_eq!(framer.next(), Ok(None));
        let reply = framer.reply();
        assert!(reply.starts_with(b"HTTP/1.1 101"));
        assert!(reply.to_ascii_lowercase().windows(27).any(|part| part == b"sec-websocket-protocol: sip"));
        framer
    }

    /// A frame of a client, whose mask is zero: final or not, kind, octets.
    fn frame(first: u8, octets: &[u8]) -> Vec<u8> {
        let length = u16::try_from(octets.len()).unwrap();
        let head = match u8::try_from(length) {
            Ok(short) if short < 126 => vec![first, 0x80 | short],
            _ => [&[first, 0xfe][..], &length.to_be_bytes()].concat(),
        };
        [&head, &[0; 4][..], octets].concat()
    }

    #[test]
    fn a_message_is_what_one_websocket_message_holds_however_it_is_split() {
        let stream = [
            frame(0x81, b"OPTIONS"),
            frame(0x02, b"REG"),
            // A ping in between.
            frame(0x89, b"?"),
            frame(0x80, b"ISTER"),
            frame(0x81, b"\r\n\r\n"),
        ]
        .concat();
        for size in [1, 2, 5, stream.len()] {
            let mut framer = open();
            let (mut frames, mut reply) = (Vec::new(), Vec::new());
            for piece in stream.chunks(size) {
                framer.push(piece);
                while let Some(frame) = framer.next().unwrap() {
                    frames.push(frame);
                }
                reply.extend_from_slice(&framer.reply());
            }
            let message = |text: &'static str| Frame::Message(Bytes::from_static(text.as_bytes()));
            assert_eq!(frames, [message("OPTIONS"), Frame::Pong, message("REGISTER"), Frame::KeepAlive]);
            assert_eq!(reply, [0x8a, 1, b'?'], "the pong");
        }
    }

    #[test]
    fn who_does_not_ask_for_sip_is_refused() {
        for protocol in ["", "Sec-WebSocket-Protocol: xmpp\r\n", "Sec-WebSocket-Protocol: sips\r\n"] {
            let mut framer = WebFramer::new(MAX);
            framer.push(request(protocol).as_bytes());
            assert_eq!(framer.next(), Err("handshake"));
            assert!(framer.reply().starts_with(b"HTTP/1.1 400"));
        }
        let mut framer = WebFramer::new(MAX);
        framer.push(b"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/WS a\r\n\r\n");
        assert_eq!(framer.next(), Err("handshake"));
    }

    #[test]
    fn the_end_of_a_connection_is_told() {
        let long = vec![b'x'; MAX];
        let rows = [
            (frame(0x88, b""), "closed by the peer"),
            (frame(0x81, &[long.as_slice(), b"x"].concat()), "message too long"),
            ([frame(0x01, &long), frame(0x80, b"x")].concat(), "message too long"),
            // Not masked, and no frame at all.
            (vec![0x81, 1, b'x'], "not WebSocket"),
            (b"OPTIONS sip:a SIP/2.0\r\n".to_vec(), "not WebSocket"),
        ];
        for (octets, why) in rows {
            let mut framer = open();
            framer.push(&octets);
            assert_eq!(framer.next(), Err(why));
        }
        let mut framer = open();
        framer.push(&frame(0x88, b""));
        assert_eq!(framer.next(), Err("closed by the peer"));
        assert_eq!(&*framer.reply(), [0x88, 0], "the same in return");
    }

    #[test]
    fn what_is_sent_is_text_if_it_can_be() {
        assert_eq!(&*wrap(&Bytes::from_static(b"hi")), [0x81, 2, b'h', b'i']);
        assert_eq!(&*wrap(&Bytes::from_static(b"\xff")), [0x82, 1, 0xff]);
    }
}
