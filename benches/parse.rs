//! Cost of reading and writing SIP: one INVITE of a phone, beside rsip where it serves as our oracle.

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
