//! Any datagrams at the port of a stream that a browser is promised: checks of ICE, records of DTLS, RTP and RTCP. Nothing
//! panics, nothing that is not authentic is heard or passed on, and nothing but answers to checks and handshakes goes out.
//!
//! The octets are datagrams one after the other, each behind its length in two octets. The highest bit of the length says
//! whether it comes from the pair that ICE has found or from a stranger.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;
use std::time::Instant;

use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::Transport;
use sentral::media::bank::Bank;
use sentral::media::dtls;
use sentral::media::dtls::Errand;
use sentral::media::dtls::Fingerprint;
use sentral::media::dtls::Role;
use sentral::media::engine::Engine;
use sentral::media::ice;
use sentral::rand::Rng;
use sentral::shell::media::handshake::Handshake;
use sentral::shell::media::handshake::Identity;

/// A check that names the pair: of `brow` to `ours`, signed with the password below.
const CHECK: &[u8] = include_bytes!("../corpus/wire/check");
const PASSWORD: &str = "a-password-that-is-ours";

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new().expect("there is randomness"));

/// Lets them all come.
pub(crate) fn wire(octets: &[u8]) {
    let mut now = Instant::now();
    let [a, b] = [20_000, 20_002].map(|port| StreamId { thread: 0, port, generation: 1 });
    let [pair, stranger] = [1, 2].map(|host| SocketAddr::from(([198, 51, 100, host], 40_000)));
    let mut engine = Engine::new(0, Arc::new(Bank::new()), Rng::from_seed(1));
    for stream in [a, b] {
        let transport = if stream == a { promised() } else { Transport::default() };
        engine.command(now, Command::Open { stream, session: session(transport) });
    }
    engine.command(now, Command::Base { stream: b, base: Base::Peer(a) });
    engine.rtp(now, a.port, pair, &mut CHECK[2..].to_vec());
    let mut hand: Option<Handshake> = None;
    let mut rest = octets;
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = u16::from_be_bytes(*length);
        let from = if length & 0x8000 == 0 { pair } else { stranger };
        let (datagram, later) = more.split_at(usize::from(length & 0x7fff).min(more.len()));
        rest = later;
        now += Duration::from_millis(20);
        engine.rtp(now, a.port, from, &mut datagram.to_vec());
        engine.rtcp(now, a.port, from, datagram);
        engine.tick(now);
        for errand in std::mem::take(&mut engine.output().errands) {
            match errand {
                Errand::Begin { stream, terms, proven } => {
                    hand = Some(Handshake::new(now, &IDENTITY, stream, terms, proven));
                }
                Errand::Datagram { bytes, .. } => {
                    hand.iter_mut().for_each(|hand| hand.handle_datagram(now, &bytes));
                }
                Errand::End { .. } => hand = None,
            }
        }
        while let Some(answer) = hand.as_mut().and_then(Handshake::poll_output) {
            engine.handshake(now, answer);
        }
        let out = engine.output();
        for packet in out.packets() {
            assert!(
                packet.port == a.port && packet.bytes[0] < 64,
                "nothing is sent in the clear or passed on"
            );
        }
        out.clear_packets();
        let heard = |event: &Event| matches!(event, Event::Heard { .. } | Event::Secured { .. });
        assert!(
            !out.events.drain(..).any(|event| heard(&event)),
            "nobody has the certificate that was named"
        );
    }
    engine.close_all(now);
    assert!(engine.is_empty());
}

fn promised() -> Transport {
    let ice =
        ice::Terms { ufrag: "ours".into(), password: PASSWORD.into(), their_ufrag: Some("brow".into()) };
    let dtls = dtls::Terms { role: Role::Passive, fingerprint: Fingerprint::of(b"nobody's") };
    Transport { rtcp_mux: true, ice: Some(ice), dtls: Some(dtls), signaling: None }
}

fn session(transport: Transport) -> Session {
    Session {
        remote: Some(SocketAddr::from(([198, 51, 100, 7], 4000))),
        codec: Codec::Pcma,
        payload_type: 8,
        dtmf: Some(101),
        packet_ms: 20,
        send: true,
        receive: true,
        symmetric: true,
        transport,
        ..Session::default()
    }
}
