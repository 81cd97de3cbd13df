//! Connections over real sockets of the loopback interface: who is answered, who is waited for, and who is not.

use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::model::Config;
use crate::model::server::Limits;
use crate::shell::net::stream::Give;
use crate::shell::net::stream::Patience;
use crate::shell::net::stream::QUEUE_MAX;
use crate::shell::net::stream::Streams;
use crate::shell::store::files;
use crate::shell::trace::Trace;
use crate::sip::ConnectionId;

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const SOON: Duration = Duration::from_secs(5);

const PATIENT: Patience = Patience {
    connect: SOON,
    first: Duration::from_secs(30),
    whole: Duration::from_secs(10),
    idle: Duration::from_secs(900),
    write: Duration::from_secs(10),
};

fn listen(limits: Limits, give: Give, patience: Patience) -> Streams {
    let mut config = Config::default();
    config.server.sip_tcp = vec![ANY.into()];
    config.server.limits = limits;
    Streams::listen_with(&config, give, Trace::default(), patience).unwrap()
}

/// A listener, and what it tells.
struct Fixture {
    streams: Streams,
    told: UnboundedReceiver<switch::Input>,
}

impl Fixture {
    fn new(limits: Limits, patience: Patience) -> Fixture {
        let (tell, told) = mpsc::unbounded_channel();
        let give: Give = Arc::new(move |input| tell.send(input).is_ok());
        Fixture { streams: listen(limits, give, patience), told }
    }

    fn patient() -> Fixture {
        Fixture::new(Limits::default(), PATIENT)
    }

    async fn call(&self) -> TcpStream {
        TcpStream::connect(self.streams.listening()[0].1).await.unwrap()
    }

    async fn told(&mut self) -> switch::Input {
        timeout(SOON, self.told.recv()).await.unwrap().unwrap()
    }

    async fn message(&mut self) -> (Hop, Message) {
        match self.told().await {
            switch::Input::Sip(sip::Input::Message { hop, message }) => (hop, message),
            other => panic!("not a message: {other:?}"),
        }
    }

    fn towards(&self, remote: SocketAddr) -> Hop {
        Hop { transport: Transport::Tcp, local: self.streams.listening()[0].1, remote, connection: None }
    }
}

fn options(call_id: &str) -> String {
    format!(
        "OPTIONS sip:sentral.example SIP/2.0\r\nVia: SIP/2.0/TCP host;branch=z9hG4bK{call_id}\r\n\
         From: <sip:a@host>;tag=1\r\nTo: <sip:b@host>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn call_id(message: &Message) -> String {
    match message {
        Message::Request(request) => request.call_id().unwrap().into_owned(),
        Message::Response(response) => response.call_id().unwrap().into_owned(),
    }
}

async fn read(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(SOON, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Whether the other side has closed.
async fn ended(stream: &mut TcpStream) -> bool {
    matches!(timeout(SOON, stream.read(&mut [0; 1])).await.unwrap(), Ok(0) | Err(_))
}

#[tokio::test]
async fn an_answer_goes_along_the_connection_of_its_request() {
    let mut fixture = Fixture::patient();
    let mut phone = fixture.call().await;
    phone.write_all(options("a").as_bytes()).await.unwrap();
    let (hop, message) = fixture.message().await;
    assert_eq!(call_id(&message), "a");
    assert_eq!(hop.remote, phone.local_addr().unwrap());
    fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(b"answer") });
    assert_eq!(read(&mut phone, 6).await, "answer");
    // Also when only the address is known.
    let hop = Hop { connection: None, ..hop };
    fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(b"again") });
    assert_eq!(read(&mut phone, 5).await, "again");
    assert_eq!(fixture.streams.connections(), 1);
}

#[tokio::test]
async fn two_line_ends_are_answered_with_one() {
    let fixture = Fixture::patient();
    let mut phone = fixture.call().await;
    phone.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut phone, 2).await, "\r\n");
}

#[tokio::test]
async fn messages_to_one_address_share_a_connection_that_is_opened_for_the_first() {
    let mut fixture = Fixture::patient();
    let carrier = TcpListener::bind(ANY).await.unwrap();
    let hop = fixture.towards(carrier.local_addr().unwrap());
    for bytes in ["one ", "two "] {
        fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(bytes.as_bytes()) });
    }
    let (mut stream, _) = timeout(SOON, carrier.accept()).await.unwrap().unwrap();
    assert_eq!(read(&mut stream, 8).await, "one two ");
    stream.write_all(options("back").as_bytes()).await.unwrap();
    let (back, message) = fixture.message().await;
    assert_eq!((call_id(&message).as_str(), back.local, back.remote), ("back", hop.local, hop.remote));
    assert_eq!(fixture.streams.connections(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_is_told() {
    let mut fixture = Fixture::patient();
    let closed = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let hop = fixture.towards(closed);
    fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(b"lost") });
    assert!(
        matches!(fixture.told().await, switch::Input::Sip(sip::Input::SendFailed { hop: failed }) if failed == hop)
    );
    assert_eq!(fixture.streams.connections(), 0);
}

#[tokio::test]
async fn the_end_of_a_connection_is_told() {
    let mut fixture = Fixture::patient();
    let mut phone = fixture.call().await;
    phone.write_all(options("a").as_bytes()).await.unwrap();
    let (hop, _) = fixture.message().await;
    drop(phone);
    assert!(
        matches!(fixture.told().await, switch::Input::Sip(sip::Input::Closed { connection }) if Some(connection) == hop.connection)
    );
    assert_eq!(fixture.streams.connections(), 0);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once() {
    let mut fixture = Fixture::new(Limits { connections: 1, ..Limits::default() }, PATIENT);
    let mut first = fixture.call().await;
    first.write_all(options("a").as_bytes()).await.unwrap();
    let (hop, _) = fixture.message().await;
    assert!(ended(&mut fixture.call().await).await);
    // Nor is one opened.
    let elsewhere = fixture.towards(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    fixture.streams.send(Transmit { hop: elsewhere, bytes: Bytes::from_static(b"lost") });
    assert!(matches!(fixture.told().await, switch::Input::Sip(sip::Input::SendFailed { .. })));
    fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(b"kept") });
    assert_eq!(read(&mut first, 4).await, "kept");
}

#[tokio::test]
async fn who_says_nothing_or_never_ends_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let silent = Patience { first: short, ..PATIENT };
    assert!(ended(&mut Fixture::new(Limits::default(), silent).call().await).await);

    let slow = Patience { whole: short, ..PATIENT };
    let mut fixture = Fixture::new(Limits::default(), slow);
    let mut phone = fixture.call().await;
    phone.write_all(options("whole").as_bytes()).await.unwrap();
    fixture.message().await;
    phone.write_all(b"OPTIONS sip:half SIP/2.0\r\n").await.unwrap();
    assert!(ended(&mut phone).await);
}

#[tokio::test]
async fn who_is_silent_is_closed_only_when_the_switch_says_so() {
    let idle = Patience { idle: Duration::from_millis(50), ..PATIENT };
    let mut fixture = Fixture::new(Limits::default(), idle);
    let mut phone = fixture.call().await;
    phone.write_all(options("a").as_bytes()).await.unwrap();
    let (hop, _) = fixture.message().await;
    for _ in 0..2 {
        assert!(
            matches!(fixture.told().await, switch::Input::Idle { connection } if Some(connection) == hop.connection)
        );
    }
    fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(b"kept") });
    assert_eq!(read(&mut phone, 4).await, "kept");
    fixture.streams.close(hop.connection.unwrap());
    assert!(ended(&mut phone).await);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections_unless_it_is_a_trunk() {
    let mut fixture = Fixture::new(Limits { connections_per_address: 1, ..Limits::default() }, PATIENT);
    let mut first = fixture.call().await;
    first.write_all(options("a").as_bytes()).await.unwrap();
    fixture.message().await;
    assert!(ended(&mut fixture.call().await).await);
    drop(first);
    assert!(matches!(fixture.told().await, switch::Input::Sip(sip::Input::Closed { .. })));
    let mut again = fixture.call().await;
    again.write_all(options("b").as_bytes()).await.unwrap();
    assert_eq!(call_id(&fixture.message().await.1), "b");

    let trunk = files::load_texts(
        &[(
            "trunks.toml".into(),
            "[trunks.a]\nserver = \"a.example\"\ntrusted = \"127.0.0.1:5080\"\n".into(),
        )]
        .into(),
        &|_| None,
        &|_, file| Err(file.to_owned()),
    );
    fixture.streams.adopt(&trunk.config.unwrap());
    let mut more = fixture.call().await;
    more.write_all(options("c").as_bytes()).await.unwrap();
    assert_eq!(call_id(&fixture.message().await.1), "c");
}

#[tokio::test]
async fn a_browser_is_never_called_but_along_its_own_connection() {
    let mut fixture = Fixture::patient();
    for transport in [Transport::Ws, Transport::Wss, Transport::Tls] {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let gone = Some(ConnectionId(77));
        let hop = Hop { transport, connection: gone, ..fixture.towards(listener.local_addr().unwrap()) };
        fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(b"lost") });
        assert!(matches!(fixture.told().await, switch::Input::Sip(sip::Input::SendFailed { .. })));
        assert_eq!(fixture.streams.connections(), 0);
    }
}

#[tokio::test]
async fn an_unreadable_stream_is_closed_and_an_unreadable_request_answered() {
    let mut fixture = Fixture::patient();
    let mut phone = fixture.call().await;
    phone.write_all(options("a").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia").as_bytes()).await.unwrap();
    assert_eq!(read(&mut phone, 11).await, "SIP/2.0 505");
    let mut other = fixture.call().await;
    other.write_all(options("b").replace("Content-Length: 0\r\n", "").as_bytes()).await.unwrap();
    assert!(ended(&mut other).await);
    assert!(matches!(fixture.told().await, switch::Input::Sip(sip::Input::Closed { .. })));
}

#[tokio::test]
async fn who_ends_or_cannot_be_read_still_hears_what_was_owed() {
    for nonsense in [true, false] {
        let mut fixture = Fixture::patient();
        let mut phone = fixture.call().await;
        let after = if nonsense { "NONSENSE sip:x SIP/2.0\r\n\r\n" } else { "" };
        phone.write_all(format!("{}{after}", options("a")).as_bytes()).await.unwrap();
        if !nonsense {
            phone.shutdown().await.unwrap();
        }
        let (hop, _) = fixture.message().await;
        for answer in ["SIP/2.0 100 Trying\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"] {
            fixture.streams.send(Transmit { hop, bytes: Bytes::from_static(answer.as_bytes()) });
            assert_eq!(read(&mut phone, answer.len()).await, answer);
        }
        // At once, as nothing else is owed.
        assert!(timeout(LINGER / 2, ended(&mut phone)).await.unwrap(), "{nonsense}");
        assert!(matches!(fixture.told().await, switch::Input::Sip(sip::Input::Closed { .. })));
    }
}

#[tokio::test]
async fn nothing_is_lost_while_the_inbox_is_full() {
    let (tell, mut told) = mpsc::channel(1);
    let give: Give = Arc::new(move |input| tell.try_send(input).is_ok());
    let streams = listen(Limits::default(), give, PATIENT);
    let mut phone = TcpStream::connect(streams.listening()[0].1).await.unwrap();
    let sent: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    phone.write_all(sent.iter().map(|id| options(id)).collect::<String>().as_bytes()).await.unwrap();
    for id in sent {
        match timeout(SOON, told.recv()).await.unwrap() {
            Some(switch::Input::Sip(sip::Input::Message { message, .. })) => {
                assert_eq!(call_id(&message), id)
            }
            other => panic!("not a message: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let mut fixture = Fixture::patient();
    let mut phone = fixture.call().await;
    phone.write_all(options("a").as_bytes()).await.unwrap();
    let (hop, _) = fixture.message().await;
    // More than the kernel's buffers and ours hold; sent without a pause, so that nobody writes meanwhile.
    let bytes = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..=QUEUE_MAX {
        fixture.streams.send(Transmit { hop, bytes: bytes.clone() });
    }
    assert_eq!(fixture.streams.connections(), 0);
    assert!(matches!(fixture.told().await, switch::Input::Sip(sip::Input::SendFailed { .. })));
}
