//! The life of one connection, whatever carries its octets: reading, cutting into messages, answering keep-alives (RFC
//! 5626 §3.5.1), writing, and how long a peer may take over each.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::io::ReadBuf;
use tokio::io::ReadHalf;
use tokio::io::WriteHalf;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::shell::http::metrics;
use crate::shell::net::owed::Owed;
use crate::shell::net::stream::Ends;
use crate::shell::net::stream::Outgoing;
use crate::shell::net::stream::Shared;
use crate::shell::net::ws;
use crate::shell::net::ws::WebFramer;
use crate::sip;
use crate::sip::Hop;
use crate::sip::Message;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::Response;
use crate::sip::Transmit;
use crate::sip::Transport;
use crate::sip::framing::Frame;
use crate::sip::framing::Framer;
use crate::sip::framing::FramingError;
use crate::sip::message::ParseError;
use crate::sip::target::default_port;
use crate::switch;

/// Bytes taken from the kernel at a time.
const READ_MAX: usize = 16 * 1024;
/// Why a connection ended along which nothing can be sent either.
const BROKEN: &str = "broken";
/// How long answers to what was read are still waited for when nothing more can be.
const LINGER: Duration = Duration::from_secs(1);

/// One connection from its first octet to its last.
pub(super) struct Life {
    shared: Arc<Shared>,
    hop: Hop,
    /// By them, not by us.
    accepted: bool,
    /// Who is at the other end is proved.
    pub(super) verified: bool,
    /// Where the peer listens, when our requests to there go along this connection.
    alias: Option<SocketAddr>,
    owed: Arc<Owed>,
}

/// How octets become messages.
enum Cutter {
    Sip(Framer),
    Web(Box<WebFramer>),
}

impl Life {
    /// A connection that is in the table.
    pub(super) fn new(shared: &Arc<Shared>, hop: Hop, accepted: bool) -> Life {
        Life { shared: Arc::clone(shared), hop, accepted, verified: false, alias: None, owed: Arc::default() }
    }

    /// Reads and writes until the connection ends, and tells that it did.
    pub(super) async fn run<S: AsyncRead + AsyncWrite>(mut self, stream: S, ends: Ends) {
        let Some(connection) = self.hop.connection else { return };
        let Ends { mut waiting, replies } = ends;
        let mut cutter = Cutter::new(self.hop.transport, self.shared.message_max);
        let patience = self.shared.patience.write;
        let (mut read, mut write) = tokio::io::split(stream);
        let web = matches!(cutter, Cutter::Web(_));
        let owed = Arc::clone(&self.owed);
        let why = {
            let mut writing = pin!(send(&mut write, &mut waiting, web, patience, &owed));
            let why = tokio::select! {
                why = self.read(&mut read, &mut cutter, &replies) => Err(why),
                why = &mut writing => Ok(why),
            };
            // Whoever says no more, or nothing that can be read, still hears the answers to what he said before.
            if why.is_err_and(|why| why != BROKEN) {
                tokio::select! {
                    _ = writing => {}
                    () = owed.settled() => {}
                    () = sleep(LINGER) => {}
                }
            }
            why.unwrap_or_else(|why| why)
        };
        let Life { shared, hop, alias, .. } = self;
        shared.leave(&hop, alias, waiting, why);
        shared.tell(switch::Input::Sip(sip::Input::Closed { connection })).await;
        let goodbye = async {
            // Why a WebSocket was refused, or the end of one; then TLS's own.
            write.write_all(&cutter.reply()).await?;
            write.shutdown().await
        };
        // Who is gone does not hear it.
        let _ = timeout(patience, goodbye).await;
    }

    /// Reads until the connection ends; says why it did.
    async fn read<S: AsyncRead>(
        &mut self,
        read: &mut ReadHalf<S>,
        cutter: &mut Cutter,
        replies: &mpsc::WeakSender<Outgoing>,
    ) -> &'static str {
        let patience = self.shared.patience;
        let mut quiet_since = Instant::now();
        let mut begun: Option<Instant> = None;
        let mut first = true;
        loop {
            let idle = quiet_since + if first { patience.first } else { patience.idle };
            let deadline = begun.map_or(idle, |begun| idle.min(begun + patience.whole));
            match timeout_at(deadline, take(read, cutter)).await {
                Ok(Ok(0)) => return "closed by the peer",
                Ok(Ok(_)) => {}
                // TLS that ends without saying so; every message tells its own length.
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return "closed by the peer",
                Ok(Err(_)) => return BROKEN,
                Err(_) if begun.is_some() => return "message not finished",
                Err(_) if first => return "no message in time",
                Err(_) => {
                    // Registered phones are silent for long: the switch knows whether it needs the connection.
                    if let Some(connection) = self.hop.connection {
                        self.shared.tell(switch::Input::Idle { connection }).await;
                    }
                    quiet_since = Instant::now();
                    continue;
                }
            }
            // A message that begins behind another in the same piece is timed from its next piece on.
            begun = begun.or_else(|| Some(Instant::now()));
            loop {
                match cutter.next() {
                    Ok(Some(frame)) => {
                        begun = None;
                        first &= !matches!(frame, Frame::Message(_));
                        self.handle(frame, replies).await;
                    }
                    Ok(None) => break,
                    Err(why) => {
                        metrics::unreadable(self.hop.transport);
                        return why;
                    }
                }
            }
            let octets = cutter.reply();
            if !octets.is_empty() {
                // A peer that sends without reading gets no answers from here.
                replies.upgrade().map(|queue| queue.try_send(Outgoing::Octets(octets)).is_ok());
            }
            if begun.is_none() && !first {
                quiet_since = Instant::now();
            }
        }
    }

    async fn handle(&mut self, frame: Frame, replies: &mpsc::WeakSender<Outgoing>) {
        let hop = self.hop;
        if let Frame::Message(bytes) = &frame {
            self.shared.trace.received(&hop, bytes);
        }
        // A peer that sends without reading gets no answers from here; messages of ours end its connection.
        let trace = &self.shared.trace;
        let reply = |bytes: Bytes| {
            trace.sent(&hop, &bytes);
            let message = Outgoing::Message(Transmit { hop, bytes });
            replies.upgrade().map(|queue| queue.try_send(message).is_ok())
        };
        match frame {
            Frame::Message(bytes) => match Message::parse(bytes, self.shared.message_max) {
                Ok(message) => {
                    if let Message::Request(request) = &message {
                        self.look_for_alias(request);
                        if request.method != Method::Ack {
                            self.owed.add();
                        }
                    }
                    self.shared.tell(switch::Input::Sip(sip::Input::Message { hop, message })).await;
                }
                Err(ParseError::Answerable { status, reason, request }) => {
                    metrics::unreadable(hop.transport);
                    // RFC 3261 §8.2.7: whoever answers without state puts the same tag into the same answer.
                    let tag = format!("{:x}", hop.connection.map_or(0, |id| id.0));
                    let mut response = Response::reply(&request, status, Some(&tag));
                    response.reason = reason.into();
                    self.owed.add();
                    reply(response.to_bytes());
                }
                Err(ParseError::Unreadable(_)) => metrics::unreadable(hop.transport),
            },
            // RFC 5626 §3.5.1: CRLF answers CRLFCRLF.
            Frame::KeepAlive => {
                reply(Bytes::from_static(b"\r\n"));
            }
            Frame::Pong => {}
        }
    }

    /// RFC 5923 §8.2, §9.2: a peer that has opened the connection may ask to get our requests along it, provided that its
    /// certificate was verified; the address is where it says that it listens, on the machine it calls from.
    fn look_for_alias(&mut self, request: &Request) {
        if !self.accepted || !self.verified || self.alias.is_some() {
            return;
        }
        let Some(via) = request.via().filter(|via| via.params.contains("alias")) else { return };
        let port = via.port.unwrap_or(default_port(Transport::Tls));
        let alias = SocketAddr::new(self.hop.remote.ip(), port);
        self.shared.note_alias(&self.hop, alias);
        self.alias = Some(alias);
    }
}

impl Cutter {
    fn new(transport: Transport, max: usize) -> Cutter {
        match transport {
            Transport::Ws | Transport::Wss => Cutter::Web(Box::new(WebFramer::new(max))),
            Transport::Udp | Transport::Tcp | Transport::Tls => Cutter::Sip(Framer::new(max)),
        }
    }

    fn push(&mut self, octets: &[u8]) {
        match self {
            Cutter::Sip(framer) => framer.push(octets),
            Cutter::Web(framer) => framer.push(octets),
        }
    }

    /// The next thing that is complete; `Err` tells why the connection is over.
    fn next(&mut self) -> Result<Option<Frame>, &'static str> {
        match self {
            Cutter::Sip(framer) => framer.next().map_err(|error| match error {
                FramingError::TooLong => "message too long",
                FramingError::NoLength | FramingError::BadLength => "not SIP",
            }),
            Cutter::Web(framer) => framer.next(),
        }
    }

    /// Octets to be sent as they are.
    fn reply(&mut self) -> Bytes {
        match self {
            Cutter::Sip(_) => Bytes::new(),
            Cutter::Web(framer) => framer.reply(),
        }
    }
}

/// Writes what waits until the connection ends; says why it did.
async fn send<S: AsyncWrite>(
    write: &mut WriteHalf<S>,
    waiting: &mut mpsc::Receiver<Outgoing>,
    web: bool,
    patience: Duration,
    owed: &Owed,
) -> &'static str {
    while let Some(outgoing) = waiting.recv().await {
        let octets = match &outgoing {
            Outgoing::Message(transmit) if web => ws::wrap(&transmit.bytes),
            Outgoing::Message(transmit) => transmit.bytes.clone(),
            Outgoing::Octets(octets) => octets.clone(),
            Outgoing::End(why) => return why,
        };
        let written = async {
            write.write_all(&octets).await?;
            write.flush().await
        };
        match timeout(patience, written).await {
            Ok(Ok(())) => {
                if let Outgoing::Message(transmit) = &outgoing {
                    owed.written(&transmit.bytes);
                }
            }
            Ok(Err(_)) => return "broken while writing",
            Err(_) => return "peer does not read",
        }
    }
    "given up"
}

/// Moves what has arrived into the cutter. The buffer lives only here: a silent connection holds none.
async fn take<S: AsyncRead>(read: &mut ReadHalf<S>, cutter: &mut Cutter) -> io::Result<usize> {
    poll_fn(|context| {
        let mut buffer = [0; READ_MAX];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut *read).poll_read(context, &mut buffer))?;
        cutter.push(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

#[cfg(test)]
mod tests;
