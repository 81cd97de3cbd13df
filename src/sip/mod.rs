//! SIP (RFC 3261 and friends), sans I/O; knows nothing of customers.
//!
//! The public face is [`endpoint::Endpoint`]: parsed messages and time go in, datagrams and [`Event`]s come
//! out. It owns transactions, dialogs and their timers; who may call whom is decided above it.

pub mod callee;
pub mod check;
pub mod client;
pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod framing;
pub mod header;
pub mod invite;
pub mod key;
pub mod locate;
pub mod message;
pub mod origin;
pub mod print;
pub mod register;
pub mod reliable;
pub mod request;
pub mod scan;
pub mod server;
pub mod session_timer;
pub mod settings;
pub mod stun;
pub mod target;
pub mod update;
pub mod uri;
pub mod value;

use std::net::SocketAddr;

use bytes::Bytes;

pub use crate::sip::message::Message;
pub use crate::sip::message::Method;
pub use crate::sip::message::Request;
pub use crate::sip::message::Response;
pub use crate::sip::uri::Uri;

/// How SIP is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams; retransmission is ours.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Transport {
    /// Whether the transport itself repeats what is lost (every one but UDP).
    pub fn reliable(self) -> bool {
        self != Transport::Udp
    }

    /// As in a Via header: `UDP`, `TCP`, `TLS`, `WS`, `WSS`.
    pub fn via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }
}

/// One connection of a stream transport, never reused within a process life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One way between us and a neighbour: what arrived came along it, what is sent goes along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// How.
    pub transport: Transport,
    /// Our address: specific, never `0.0.0.0`. For an outgoing TCP connection only the IP matters.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
    /// Which connection; with `None` on a stream transport the shell uses or opens one to `remote`.
    pub connection: Option<ConnectionId>,
}

#[cfg(test)]
impl Hop {
    /// From 10.0.0.1 to `remote`.
    fn to(transport: Transport, remote: &str, connection: Option<u64>) -> Hop {
        Hop {
            transport,
            local: SocketAddr::from(([10, 0, 0, 1], 5060)),
            remote: remote.parse().expect("an address and a port"),
            connection: connection.map(ConnectionId),
        }
    }
}

/// Bytes to send along a hop: one whole message, or a keep-alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub hop: Hop,
    /// What; shared with the retransmission timer, so cloning is cheap.
    pub bytes: Bytes,
}

/// What the network layer says.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every input is a message; a box would be one more allocation"
)]
pub enum Input {
    /// A message came in; it passed `Message::parse`.
    Message {
        /// Along which way.
        hop: Hop,
        /// What.
        message: Message,
    },
    /// A connection is gone; nothing can be sent along it.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// Something could not be sent: no route, connection refused, ICMP port unreachable.
    SendFailed {
        /// Along which way.
        hop: Hop,
    },
}

/// One INVITE dialog, or all early dialogs of one outgoing INVITE; also one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId(pub u64);

/// One transaction other than INVITE, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u64);

/// A body and its Content-Type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// `application/sdp` and the like; a Content-Type among the further headers is sent instead.
    pub content_type: &'static str,
    /// The body itself.
    pub bytes: Bytes,
}

impl Body {
    /// An SDP body.
    pub fn sdp(text: String) -> Body {
        Body { content_type: "application/sdp", bytes: Bytes::from(text) }
    }
}

/// Further headers of a message that we build, name and value, printed in this order.
pub type Extra = Vec<(&'static str, String)>;

/// What the endpoint tells its user. A dialog named in an event that ends it is gone afterwards.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new call. 100 Trying is already sent; answer with `ring`, `accept` or `reject`.
    Invite {
        /// Its dialog.
        dialog: DialogId,
        /// The request.
        request: Request,
        /// Where it came from.
        hop: Hop,
    },
    /// The caller gave up before our final answer; 200 and 487 are sent. Ends the dialog.
    Cancelled {
        /// Which.
        dialog: DialogId,
        /// Its Reason header, if any.
        reason: Option<String>,
    },
    /// The first ACK to our 2xx, with its body on a late offer.
    Acked {
        /// Which.
        dialog: DialogId,
        /// SDP answer, when the 2xx held the offer.
        body: Option<Bytes>,
    },
    /// No ACK within 64·T1 (RFC 3261 §13.3.1.4); BYE is sent. Ends the dialog.
    NotAcked {
        /// Which.
        dialog: DialogId,
    },
    /// A provisional answer above 100 to our INVITE.
    Progress {
        /// Which.
        dialog: DialogId,
        /// The answer.
        response: Response,
    },
    /// The first 2xx to our INVITE; call `ack` at once. Later 2xx of other branches are acknowledged and
    /// ended by the endpoint itself. A 2xx that crosses our CANCEL is also reported here.
    Answered {
        /// Which.
        dialog: DialogId,
        /// The answer.
        response: Response,
    },
    /// Our INVITE failed for good. Ends the dialog.
    Failed {
        /// Which.
        dialog: DialogId,
        /// Final status; 408 and no response when nobody answered, 503 and none when sending failed.
        status: u16,
        /// The final response.
        response: Option<Response>,
    },
    /// A re-INVITE in a confirmed dialog (no body: they want our offer); answer with `accept` or `reject`.
    Reoffer {
        /// Which.
        dialog: DialogId,
        /// The request.
        request: Request,
    },
    /// A 2xx to our re-INVITE; call `ack`.
    Reanswered {
        /// Which.
        dialog: DialogId,
        /// The answer.
        response: Response,
    },
    /// Our re-INVITE was refused; the dialog and the old session stand (481 and 408 are reported as `Bye`-less
    /// end by `Gone`). After 491 the user waits and tries again.
    ReofferFailed {
        /// Which.
        dialog: DialogId,
        /// Its status.
        status: u16,
    },
    /// The other side hung up; 200 is sent. Ends the dialog.
    Bye {
        /// Which.
        dialog: DialogId,
        /// The request.
        request: Request,
    },
    /// The dialog is lost: 481 or 408 to a request in it (RFC 3261 §12.2.1.2); BYE is sent. Ends the dialog.
    Gone {
        /// Which.
        dialog: DialogId,
    },
    /// The session must be refreshed and the other side does not take UPDATE: send a re-INVITE with the session as it
    /// stands (RFC 4028 §7.4).
    Refresh {
        /// Which.
        dialog: DialogId,
    },
    /// Any other request, among them PRACK and UPDATE with a body; call `respond` exactly once.
    Request {
        /// Its transaction.
        transaction: TransactionId,
        /// The dialog it belongs to.
        dialog: Option<DialogId>,
        /// The request.
        request: Request,
        /// Where it came from.
        hop: Hop,
    },
    /// The final answer to a request of ours other than INVITE, BYE and CANCEL.
    Response {
        /// Its transaction.
        transaction: TransactionId,
        /// The dialog it belongs to.
        dialog: Option<DialogId>,
        /// Final status; 408 or 503 and no response as in `Failed`.
        status: u16,
        /// The final response.
        response: Option<Response>,
    },
    /// A connection is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// A message was dropped or answered by the endpoint itself; for counters.
    Refused {
        /// Reason code: `no transaction`, `481`, `too many transactions` …
        why: &'static str,
    },
}

/// What comes out of the endpoint, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Know this.
    Event(Event),
}
