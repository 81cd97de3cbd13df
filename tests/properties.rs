//! What is generated, printed and read again is the same: URIs, header values, whole messages, session descriptions;
//! and however a stream is split, its messages are the same.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Debug;
use std::fmt::Display;
use std::net::IpAddr;

use bytes::Bytes;
use proptest::prelude::*;
use sentral::sdp;
use sentral::sip::Message;
use sentral::sip::Method;
use sentral::sip::Request;
use sentral::sip::Response;
use sentral::sip::framing::Frame;
use sentral::sip::framing::Framer;
use sentral::sip::header::CSeq;
use sentral::sip::header::NameAddr;
use sentral::sip::header::Params;
use sentral::sip::header::Reason;
use sentral::sip::header::SubscriptionState;
use sentral::sip::header::Via;
use sentral::sip::message::Name;
use sentral::sip::uri::Host;
use sentral::sip::uri::SipUri;
use sentral::sip::uri::TelUri;
use sentral::sip::uri::Uri;

const MAX: usize = 65_536;

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,12}"
}

/// Anything that may stand in a header once its line ends are gone.
fn text() -> impl Strategy<Value = String> {
    "[^\r\n]{0,16}"
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{2,5}){0,2}\\.?".prop_map(Host::Name),
        any::<IpAddr>().prop_map(Host::from),
    ]
}

fn uri_params() -> impl Strategy<Value = Params> {
    let value = proptest::option::of("[a-zA-Z0-9\\[\\]/:&+$_.!~*'()-]{1,10}");
    proptest::collection::vec(("[a-z-]{1,8}", value), 0..4).prop_map(|list| {
        let mut params = Params::new();
        list.iter().for_each(|(name, value)| params.push(name, value.as_deref()));
        params
    })
}

fn params() -> impl Strategy<Value = Params> {
    let value = prop_oneof![Just(None), token().prop_map(Some), text().prop_map(Some)];
    proptest::collection::vec((token(), value), 0..4).prop_map(|list| {
        let mut params = Params::new();
        list.iter().for_each(|(name, value)| params.push(name, value.as_deref()));
        params
    })
}

prop_compose! {
    fn sip_uri()(
        secure in any::<bool>(),
        // `%` begins an escape, and these two keep theirs.
        user in proptest::option::of("[^%;]{1,12}"),
        password in proptest::option::of("[a-zA-Z0-9&=+$,_.!~*'()-]{0,8}"),
        host in host(),
        port in proptest::option::of(any::<u16>()),
        params in uri_params(),
        headers in proptest::option::of("[a-z]{1,5}=[a-z0-9]{0,5}(&[a-z]{1,5}=[a-z0-9]{0,5}){0,2}"),
    ) -> Uri {
        let password = password.filter(|_| user.is_some());
        Uri::Sip(SipUri { secure, user, password, host, port, params, headers })
    }
}

fn uri() -> impl Strategy<Value = Uri> {
    let tel = ("\\+?[0-9A-Fa-f*#][0-9A-Fa-f*#().-]{0,15}", uri_params())
        .prop_map(|(number, params)| Uri::Tel(TelUri { number, params }));
    let other = "(urn|mailto|h323|im):[a-z0-9:@.]{0,16}".prop_map(Uri::Other);
    prop_oneof![4 => sip_uri(), 2 => tel, 1 => other]
}

fn name_addr() -> impl Strategy<Value = NameAddr> {
    let display = proptest::option::of("[^\r\n]{1,16}");
    (display, uri(), params()).prop_map(|(display, uri, params)| NameAddr { display, uri, params })
}

fn via() -> impl Strategy<Value = Via> {
    (token(), host(), proptest::option::of(any::<u16>()), params())
        .prop_map(|(transport, host, port, params)| Via { transport, host, port, params })
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Invite),
        Just(Method::Bye),
        Just(Method::Publish),
        token().prop_map(|token| Method::parse(token.as_bytes())),
    ]
}

/// Names and values of headers, among them ones that nobody knows and values that mean nothing.
fn headers() -> impl Strategy<Value = Vec<(Name, Bytes)>> {
    let value = |text: String| Bytes::from(text.trim_matches([' ', '\t']).to_owned());
    let one = prop_oneof![
        via().prop_map(|via| (Name::Via, via.to_string())),
        name_addr().prop_map(|to| (Name::To, to.to_string())),
        name_addr().prop_map(|from| (Name::From, from.to_string())),
        (any::<u32>(), method())
            .prop_map(|(number, method)| (Name::CSeq, CSeq { number, method }.to_string())),
        (token(), text()).prop_map(|(name, text)| (Name::parse(name.as_bytes()), text)),
    ];
    let list = proptest::collection::vec(one.prop_map(move |(name, text)| (name, value(text))), 0..10);
    list.prop_map(|mut list| {
        // Printing writes it from the body.
        list.retain(|(name, _)| *name != Name::ContentLength);
        list
    })
}

fn body() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

prop_compose! {
    fn request()(method in method(), uri in uri(), headers in headers(), body in body()) -> Message {
        let mut request = Request::new(method, uri);
        headers.into_iter().for_each(|(name, value)| request.headers.push(name, value));
        request.body = body;
        Message::Request(request)
    }
}

prop_compose! {
    fn response()(status in 100..700u16, reason in text(), headers in headers(), body in body()) -> Message {
        let mut response = Response::new(status, Some(&reason));
        headers.into_iter().for_each(|(name, value)| response.headers.push(name, value));
        response.body = body;
        Message::Response(response)
    }
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![request(), response()]
}

prop_compose! {
    fn session()(
        name in "[^\r\n\0]{0,12}",
        origin in ("[a-z0-9-]{1,8}", "[0-9]{1,20}", "[0-9]{1,20}"),
        address in any::<IpAddr>(),
        connection in proptest::option::of(any::<IpAddr>()),
        attributes in attributes(),
        media in proptest::collection::vec(media(), 0..4),
    ) -> String {
        let of = |ip: IpAddr| format!("IN IP{} {ip}", if ip.is_ipv4() { 4 } else { 6 });
        let connection = connection.map(|ip| format!("c={}\r\n", of(ip))).unwrap_or_default();
        let (user, id, version) = origin;
        let origin = format!("{user} {id} {version} {}", of(address));
        format!("v=0\r\no={origin}\r\ns={name}\r\n{connection}t=0 0\r\n{attributes}{}", media.concat())
    }
}

prop_compose! {
    fn media()(
        kind in proptest::sample::select(vec!["audio", "video", "image", "message"]),
        port in any::<u16>(),
        protocol in proptest::sample::select(vec!["RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "udptl"]),
        formats in proptest::collection::vec("[0-9]{1,3}|t38|\\*", 1..5),
        connection in proptest::option::of(any::<std::net::Ipv4Addr>()),
        attributes in attributes(),
    ) -> String {
        let connection = connection.map(|ip| format!("c=IN IP4 {ip}\r\n")).unwrap_or_default();
        format!("m={kind} {port} {protocol} {}\r\n{connection}{attributes}", formats.join(" "))
    }
}

fn attributes() -> impl Strategy<Value = String> {
    let line = "a=(sendrecv|inactive|rtpmap:[0-9]{1,3} [A-Z0-9]{1,5}/8000|fmtp:[0-9]{1,3} [ -~]{1,9}|[a-z-]{1,9}:[ -~]{1,9})\r\n";
    proptest::collection::vec(line, 0..5).prop_map(|lines| lines.concat())
}

/// Printed and read it is the same.
fn same<T, E>(value: &T, parse: impl Fn(&str) -> Result<T, E>) -> Result<(), TestCaseError>
where
    T: Debug + Display + PartialEq,
    E: Debug,
{
    let printed = value.to_string();
    match parse(&printed) {
        Ok(again) => prop_assert_eq!(&again, value, "printed as {:?}", printed),
        Err(error) => prop_assert!(false, "printed as {:?}: {:?}", printed, error),
    }
    Ok(())
}

/// Start line, headers and body.
fn parts(message: &Message) -> (String, Vec<(String, Bytes)>, Bytes) {
    let (start, body) = match message {
        Message::Request(request) => (format!("{} {}", request.method, request.uri), &request.body),
        Message::Response(response) => (format!("{} {}", response.status, response.reason), &response.body),
    };
    let headers = message.headers().iter().filter(|(name, _)| **name != Name::ContentLength);
    (start, headers.map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect(), body.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_uri_reads_as_it_was_printed(uri in uri()) {
        same(&uri, Uri::parse)?;
        prop_assert!(uri.equals(&uri));
    }

    #[test]
    fn header_values_read_as_they_were_printed(
        address in name_addr(),
        via in via(),
        number in any::<u32>(),
        method in method(),
        word in token(),
        params in params(),
    ) {
        same(&address, NameAddr::parse)?;
        same(&via, Via::parse)?;
        same(&CSeq { number, method }, CSeq::parse)?;
        same(&Reason { protocol: word.clone(), params: params.clone() }, Reason::parse)?;
        same(&SubscriptionState { state: word, params }, SubscriptionState::parse)?;
    }

    #[test]
    fn values_of_a_list_stay_apart(addresses in proptest::collection::vec(name_addr(), 1..5)) {
        let mut request = Request::new(Method::Invite, Uri::parse("sip:h").unwrap());
        let list: Vec<String> = addresses.iter().map(NameAddr::to_string).collect();
        request.headers.push(Name::Route, list.join(", "));
        prop_assert_eq!(request.routes(), addresses);
    }

    #[test]
    fn a_message_reads_as_it_was_printed(message in message()) {
        let printed = message.to_bytes();
        let again = Message::parse(printed.clone(), MAX).unwrap();
        prop_assert_eq!(parts(&again), parts(&message));
        prop_assert_eq!(again.to_bytes(), printed);
    }

    #[test]
    fn a_session_description_reads_as_it_was_printed(text in session()) {
        let first = sdp::parse(text.as_bytes()).unwrap();
        let printed = first.to_string();
        prop_assert_eq!(printed.matches("\r\nm=").count(), first.media.len());
        prop_assert_eq!(printed.matches("\r\na=").count(), text.matches("\r\na=").count());
        prop_assert_eq!(sdp::parse(printed.as_bytes()), Ok(first));
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_messages(
        messages in proptest::collection::vec(message(), 1..5),
        keep_alives in any::<u8>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let printed: Vec<Bytes> = messages.iter().map(Message::to_bytes).collect();
        let mut stream = Vec::new();
        for (at, message) in printed.iter().enumerate() {
            if keep_alives & (1 << at) != 0 {
                stream.extend_from_slice(b"\r\n\r\n");
            }
            stream.extend_from_slice(message);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let mut framer = Framer::new(MAX);
        let (mut from, mut got) = (0, Vec::new());
        for to in cuts {
            framer.push(&stream[from..to]);
            from = to;
            while let Some(frame) = framer.next().unwrap() {
                if let Frame::Message(message) = frame {
                    got.push(message);
                }
            }
        }
        prop_assert_eq!(got, printed);
    }
}
