//! Cost of reading and writing SIP by type of message, beside rsip where it serves as our oracle.

use bytes::Bytes;
use divan::Bencher;
use divan::black_box;

use sentral::sip::Message;
use sentral::sip::Request;
use sentral::sip::Response;

fn main() {
    divan::main();
}

const INVITE: &[u8] = b"INVITE sip:36000300@tlf.example.no SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.44:5060;rport;branch=z9hG4bK776asdhds8f7s6d5f\r\n\
Via: SIP/2.0/TCP 198.51.100.7:5060;branch=z9hG4bK0987ab\r\n\
Max-Forwards: 69\r\n\
From: \"Kari Nordmann\" <sip:kari@tlf.example.no>;tag=1928301774\r\n\
To: <sip:36000300@tlf.example.no>\r\n\
Call-ID: a84b4c76e66710@192.0.2.44\r\n\
CSeq: 314159 INVITE\r\n\
Contact: <sip:kari@192.0.2.44:5060>\r\n\
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO\r\n\
Supported: replaces, timer\r\n\
User-Agent: Bench 1.0\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 202\r\n\
\r\n\
v=0\r\no=kari 2890844526 2890844526 IN IP4 192.0.2.44\r\ns=-\r\nc=IN IP4 192.0.2.44\r\nt=0 0\r\n\
m=audio 49172 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv  \r\n";

/// One message of each type that a busy exchange sees: name, start line, further headers, body.
const TYPES: &[(&str, &str, &str, &str)] = &[
    (
        "INVITE",
        "INVITE sip:36000300@tlf.example.no SIP/2.0",
        "Contact: <sip:kari@192.0.2.44:5060>\r\nContent-Type: application/sdp\r\n",
        SDP,
    ),
    (
        "200 INVITE",
        "SIP/2.0 200 OK",
        "Contact: <sip:kari@192.0.2.44:5060>\r\nContent-Type: application/sdp\r\n",
        SDP,
    ),
    ("ACK", "ACK sip:36000300@192.0.2.1:5060 SIP/2.0", "", ""),
    ("BYE", "BYE sip:36000300@192.0.2.1:5060 SIP/2.0", "", ""),
    ("PRACK", "PRACK sip:36000300@192.0.2.1:5060 SIP/2.0", "RAck: 776656 314159 INVITE\r\n", ""),
    ("OPTIONS", "OPTIONS sip:tlf.example.no SIP/2.0", "Accept: application/sdp\r\n", ""),
    ("REGISTER", "REGISTER sip:tlf.example.no SIP/2.0", REGISTER, ""),
    (
        "SUBSCRIBE",
        "SUBSCRIBE sip:201@tlf.example.no SIP/2.0",
        "Event: dialog\r\nExpires: 600\r\nContact: <sip:kari@192.0.2.44:5060>\r\n",
        "",
    ),
];

const SDP: &str = "v=0\r\no=kari 2890844526 2890844526 IN IP4 192.0.2.44\r\ns=-\r\nc=IN IP4 192.0.2.44\r\nt=0 0\r\n\
m=audio 49172 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n";

const REGISTER: &str = "Contact: <sip:kari@192.0.2.44:5060>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\";reg-id=1\r\n\
Expires: 3600\r\nAuthorization: Digest username=\"kari\", realm=\"tlf.example.no\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\", \
uri=\"sip:tlf.example.no\", response=\"7587245234b3434cc3412213e5f113a5\", algorithm=MD5, cnonce=\"0a4f113b\", qop=auth, nc=00000001\r\n";

/// The message of a type, as it comes from the network.
fn message(name: &str) -> Bytes {
    let (_, start, more, body) = TYPES.iter().find(|(of, ..)| *of == name).expect("one of the types");
    let method = name.rsplit(' ').next().unwrap_or(name);
    Bytes::from(format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.44:5060;rport;branch=z9hG4bK776asdhds8f7s6d5f\r\nMax-Forwards: 69\r\n\
         From: \"Kari Nordmann\" <sip:kari@tlf.example.no>;tag=1928301774\r\nTo: <sip:36000300@tlf.example.no>\r\n\
         Call-ID: a84b4c76e66710@192.0.2.44\r\nCSeq: 314159 {method}\r\nUser-Agent: Bench 1.0\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Reading one message of each type, with the headers that decide where it goes.
#[divan::bench(args = TYPES.iter().map(|(name, ..)| *name))]
fn parse_type(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = message(name);
    bencher.bench(|| match Message::parse(black_box(bytes.clone()), 65_535) {
        Ok(Message::Request(of)) => drop(black_box((of.via(), of.from(), of.to(), of.cseq()))),
        Ok(Message::Response(of)) => drop(black_box((of.via(), of.from(), of.to(), of.cseq()))),
        Err(error) => panic!("{name}: {error:?}"),
    });
}

/// Printing one message of each type.
#[divan::bench(args = TYPES.iter().map(|(name, ..)| *name))]
fn print_type(bencher: Bencher<'_, '_>, name: &str) {
    let parsed = Message::parse(message(name), 65_535);
    bencher.bench(|| match black_box(&parsed) {
        Ok(Message::Request(of)) => of.to_bytes(),
        Ok(Message::Response(of)) => of.to_bytes(),
        Err(error) => panic!("{name}: {error:?}"),
    });
}

fn invite() -> Request {
    match Message::parse(Bytes::from_static(INVITE), 65_535) {
        Ok(Message::Request(request)) => request,
        other => panic!("the INVITE of this benchmark is sound: {other:?}"),
    }
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let bytes = Bytes::from_static(INVITE);
    bencher.bench(|| Message::parse(black_box(bytes.clone()), 65_535));
}

#[divan::bench]
fn parse_and_look(bencher: Bencher<'_, '_>) {
    let bytes = Bytes::from_static(INVITE);
    bencher.bench(|| {
        let Ok(Message::Request(request)) = Message::parse(black_box(bytes.clone()), 65_535) else { return };
        black_box((request.via(), request.from(), request.to(), request.cseq()));
    });
}

#[divan::bench]
fn parse_rsip(bencher: Bencher<'_, '_>) {
    bencher.bench(|| rsip::SipMessage::try_from(black_box(INVITE)));
}

#[divan::bench]
fn print(bencher: Bencher<'_, '_>) {
    let request = invite();
    bencher.bench(|| black_box(&request).to_bytes());
}

#[divan::bench]
fn reply(bencher: Bencher<'_, '_>) {
    let request = invite();
    bencher.bench(|| Response::reply(black_box(&request), 200, Some("tag")).to_bytes());
}
