//! A browser at the engine: a full ICE agent and a DTLS client of the same crates, in virtual time and over a network
//! that may lose datagrams; and attackers who are neither.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::rig::A;
use crate::rig::ANN;
use crate::rig::B;
use crate::rig::BOB;
use crate::rig::EVE;
use crate::rig::header;
use crate::rig::session;
use dimpl::Dtls;
use dimpl::DtlsCertificate;
use dimpl::Output;
use dimpl::SrtpProfile;
use is::Candidate;
use is::IceAgent;
use is::IceAgentEvent;
use is::IceCreds;
use is::Protocol;
use is::stun::StunMessage;
use is::stun::StunPacket;
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
use sentral::media::rtp;
use sentral::media::srtp::Keys;
use sentral::media::srtp::Master;
use sentral::media::srtp::Srtp;
use sentral::media::srtp::Suite;
use sentral::rand::Rng;
use sentral::shell::media::handshake::Handshake;
use sentral::shell::media::handshake::Identity;

/// Where the browser takes the engine's stream A to be.
const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)), A.port);

/// A browser at ANN's address.
struct Browser {
    agent: IceAgent,
    dtls: Dtls,
    certificate: DtlsCertificate,
    active: bool,
    nominated: bool,
    srtp: Option<Srtp>,
    /// RTP payloads that came and were authentic.
    heard: Vec<Vec<u8>>,
    /// RTP or RTCP that came in the clear.
    clear: usize,
    reports: usize,
    to_send: Vec<Vec<u8>>,
}

impl Browser {
    fn new(now: Instant, active: bool) -> Browser {
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("randomness");
        let mut agent =
            IceAgent::new(IceCreds { ufrag: "brow".into(), pass: "a-password-of-the-browser".into() });
        agent.set_controlling(true);
        agent.set_remote_credentials(IceCreds {
            ufrag: "ours".into(),
            pass: "a-password-that-is-ours".into(),
        });
        agent.add_local_candidate(Candidate::host(ANN, "udp").expect("a candidate"));
        agent.add_remote_candidate(Candidate::host(SERVER, "udp").expect("a candidate"));
        let mut dtls = Dtls::new_12(Arc::new(dimpl::Config::default()), certificate.clone(), now);
        dtls.set_active(active);
        Browser {
            agent,
            dtls,
            certificate,
            active,
            nominated: false,
            srtp: None,
            heard: Vec::new(),
            clear: 0,
            reports: 0,
            to_send: Vec::new(),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate.certificate)
    }

    fn tick(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        while let Some(transmit) = self.agent.poll_transmit() {
            self.to_send.push(transmit.contents.to_vec());
        }
        while let Some(event) = self.agent.poll_event() {
            self.nominated |= matches!(event, IceAgentEvent::NominatedSend { .. });
        }
        if self.nominated || !self.active {
            self.dtls.handle_timeout(now).expect("the handshake goes on");
            self.drain();
        }
    }

    fn drain(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => self.to_send.push(bytes.to_vec()),
                Output::KeyingMaterial(exported, profile) => {
                    let suite = match profile {
                        SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
                        SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
                        _ => Suite::AesCm128HmacSha1_80,
                    };
                    let role = if self.active { Role::Active } else { Role::Passive };
                    self.srtp = dtls::keys(suite, &exported, role).map(Srtp::new);
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn receive(&mut self, now: Instant, bytes: &[u8]) {
        match bytes[0] {
            0..=3 => {
                let message = StunMessage::parse(bytes).expect("STUN of ours");
                let packet = StunPacket { proto: Protocol::Udp, source: SERVER, destination: ANN, message };
                self.agent.handle_packet(now, packet);
            }
            20..=63 => {
                self.dtls.handle_packet(bytes).expect("a handshake of ours");
                self.drain();
            }
            _ => {
                let mut bytes = bytes.to_vec();
                let Some(srtp) = &mut self.srtp else {
                    self.clear += 1;
                    return;
                };
                if rtp::is_rtcp(&bytes) {
                    self.reports += usize::from(srtp.unprotect_rtcp(&mut bytes).is_some());
                } else if let Some(length) = srtp.unprotect(&mut bytes) {
                    self.heard.push(bytes[12..length].to_vec());
                } else {
                    self.clear += 1;
                }
            }
        }
    }

    fn say(&mut self, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = [&header(8, sequence, u32::from(sequence) * 160).bytes()[..], payload].concat();
        assert!(self.srtp.as_mut().expect("keys").protect(&mut packet, 0));
        packet
    }
}

/// The engine, its worker, the browser on A and Bob, an ordinary phone, on B.
struct Net {
    now: Instant,
    engine: Engine,
    identity: Identity,
    hands: BTreeMap<StreamId, Handshake>,
    browser: Browser,
    /// What Bob got.
    to_bob: Vec<Vec<u8>>,
    /// Where anything else went.
    elsewhere: Vec<SocketAddr>,
    events: Vec<Event>,
    rng: Rng,
    loss: usize,
    /// Somebody puts datagrams of their own before each one of the browser's handshake, whose first flight comes in pieces
    /// and the wrong way round.
    meddled: Option<u32>,
}

impl Net {
    fn new(role: Role, loss: usize, seed: u64) -> Net {
        let now = Instant::now();
        let browser = Browser::new(now, role == Role::Passive);
        let mut net = Net {
            now,
            engine: Engine::new(0, Arc::new(Bank::new()), Rng::from_seed(seed)),
            identity: Identity::new().expect("randomness"),
            hands: BTreeMap::new(),
            browser,
            to_bob: Vec::new(),
            elsewhere: Vec::new(),
            events: Vec::new(),
            rng: Rng::from_seed(seed),
            loss,
            meddled: None,
        };
        let fingerprint = net.browser.fingerprint();
        net.order(Command::Open { stream: A, session: of_browser(role, fingerprint) });
        net.order(Command::Open { stream: B, session: session(BOB, Codec::Pcma) });
        net.order(Command::Base { stream: A, base: Base::Peer(B) });
        net.order(Command::Base { stream: B, base: Base::Peer(A) });
        net
    }

    fn order(&mut self, command: Command) {
        self.engine.command(self.now, command);
        self.carry();
    }

    fn come(&mut self, stream: StreamId, from: SocketAddr, bytes: &[u8]) {
        self.engine.rtp(self.now, stream.port, from, &mut bytes.to_vec());
        self.carry();
    }

    /// Bob says something on B.
    fn bob(&mut self, sequence: u16, payload: &[u8]) {
        let packet = [&header(8, sequence, u32::from(sequence) * 160).bytes()[..], payload].concat();
        self.come(B, BOB, &packet);
    }

    /// Carries everything to where it goes, until nothing is left.
    fn carry(&mut self) {
        loop {
            let out = self.engine.output();
            let packets: Vec<(SocketAddr, bool, Vec<u8>)> =
                out.packets().map(|packet| (packet.to, packet.rtcp, packet.bytes.to_vec())).collect();
            out.clear_packets();
            self.events.append(&mut out.events);
            let errands = std::mem::take(&mut out.errands);
            if packets.is_empty() && errands.is_empty() {
                return;
            }
            for errand in errands {
                match errand {
                    Errand::Begin { stream, terms, proven } => {
                        let hand = Handshake::new(self.now, &self.identity, stream, terms, proven);
                        self.hands.insert(stream, hand);
                        self.answer(stream);
                    }
                    Errand::Datagram { stream, bytes } => {
                        let hand = self.hands.get_mut(&stream).expect("begun before");
                        hand.handle_datagram(self.now, &bytes);
                        self.answer(stream);
                    }
                    Errand::End { stream } => drop(self.hands.remove(&stream)),
                }
            }
            for (to, rtcp, bytes) in packets {
                if to == ANN && !rtcp {
                    if self.rng.below(100) >= self.loss {
                        self.browser.receive(self.now, &bytes);
                    }
                } else if to.ip() == BOB.ip() {
                    self.to_bob.extend((!rtcp).then_some(bytes));
                } else {
                    self.elsewhere.push(to);
                }
            }
        }
    }

    fn answer(&mut self, stream: StreamId) {
        let Some(hand) = self.hands.get_mut(&stream) else { return };
        while let Some(answer) = hand.poll_output() {
            self.engine.handshake(self.now, answer);
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.now += Duration::from_millis(5);
            self.engine.tick(self.now);
            let due: Vec<StreamId> = self
                .hands
                .iter()
                .filter(|(_, h)| h.poll_timeout().is_some_and(|at| at <= self.now))
                .map(|(s, _)| *s)
                .collect();
            for stream in due {
                self.hands.get_mut(&stream).expect("it is listed").handle_timeout(self.now);
                self.answer(stream);
            }
            self.carry();
            self.browser.tick(self.now);
            for bytes in std::mem::take(&mut self.browser.to_send) {
                if let Some(meddled) = self.meddled.filter(|_| (20..=63).contains(&bytes[0])) {
                    self.meddled = Some(meddled + 1);
                    self.meddle();
                    if meddled == 0 {
                        let first = 13 + usize::from(u16::from_be_bytes([bytes[11], bytes[12]]));
                        let (head, rest) = bytes.split_at(first);
                        [rest, head]
                            .iter()
                            .filter(|piece| !piece.is_empty())
                            .for_each(|piece| self.come(A, ANN, piece));
                        continue;
                    }
                }
                if self.rng.below(100) >= self.loss {
                    self.come(A, ANN, &bytes);
                }
            }
        }
    }

    /// Junk that looks like a handshake, a fatal alert, and a record of nothing, from the browser's own address.
    fn meddle(&mut self) {
        let record = |kind, body: &[u8]| {
            [&[kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, body.len() as u8], body].concat()
        };
        for _ in 0..70 {
            self.come(A, ANN, &record(22, &[1, 2, 3, 4]));
        }
        self.come(A, ANN, &record(21, &[2, 40]));
        self.come(A, ANN, &record(22, &[14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        self.come(A, ANN, &record(23, &[]));
    }

    fn secured(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Secured { stream: A, .. }))
    }
}

fn of_browser(role: Role, fingerprint: Fingerprint) -> Session {
    let ice = ice::Terms {
        ufrag: "ours".into(),
        password: "a-password-that-is-ours".into(),
        their_ufrag: Some("brow".into()),
    };
    let transport = Transport {
        rtcp_mux: true,
        ice: Some(ice),
        dtls: Some(dtls::Terms { role, fingerprint }),
        signaling: None,
    };
    // What the description names is anybody's guess.
    Session { transport, ..session(EVE, Codec::Pcma) }
}

#[test]
fn a_browser_and_a_phone_hear_each_other_whoever_begins_and_whatever_is_lost() {
    for (role, loss, seed) in
        [(Role::Passive, 0, 1), (Role::Active, 0, 2), (Role::Passive, 25, 3), (Role::Active, 25, 4)]
    {
        let mut net = Net::new(role, loss, seed);
        // Bob talks all the time: nothing of it may go out before there are keys.
        for sequence in 0..1000 {
            net.bob(sequence, &[sequence as u8; 160]);
            net.run(20);
            if net.secured() && net.browser.srtp.is_some() {
                break;
            }
        }
        assert!(net.secured(), "{role:?}, {loss} % lost");
        assert_eq!(net.browser.clear, 0, "{role:?}");
        net.loss = 0;
        net.browser.heard.clear();
        for sequence in 2000..2050u16 {
            net.bob(sequence, &[sequence as u8; 160]);
            let said = net.browser.say(sequence, &[!(sequence as u8); 160]);
            net.come(A, ANN, &said);
            net.come(A, ANN, &said);
            net.run(20);
        }
        let heard: Vec<u8> = net.browser.heard.iter().map(|payload| payload[0]).collect();
        assert_eq!(heard, (2000..2050u16).map(|at| at as u8).collect::<Vec<u8>>(), "{role:?}");
        let of_bob: Vec<u8> = net.to_bob.iter().map(|packet| packet[12]).collect();
        assert_eq!(of_bob, (2000..2050u16).map(|at| !(at as u8)).collect::<Vec<u8>>(), "once each, {role:?}");
        net.run(8000);
        assert!(net.browser.reports > 0, "reports come by the same port");
        assert_eq!((net.browser.clear, &net.elsewhere[..]), (0, &[][..]));
        net.order(Command::Close { stream: A });
        assert!(net.hands.is_empty(), "the worker forgets it");
    }
}

/// Its first check and its first flight come before its answer, which still has a way to go by SIP.
#[test]
fn a_browser_that_is_called_is_answered_before_its_answer_has_come() {
    for same in [true, false] {
        let mut net = Net::new(Role::Passive, 0, 9);
        net.order(Command::Close { stream: A });
        let a = StreamId { generation: 2, ..A };
        let fingerprint = net.browser.fingerprint();
        let answered = of_browser(Role::Passive, fingerprint);
        let ice = answered.transport.ice.clone().map(|ice| ice::Terms { their_ufrag: None, ..ice });
        let transport = Transport { rtcp_mux: true, ice, ..Transport::default() };
        let session = Session { send: false, receive: false, transport, ..Session::default() };
        net.order(Command::Open { stream: a, session });
        net.order(Command::Base { stream: a, base: Base::Peer(B) });
        net.run(300);
        assert!(net.browser.nominated, "its checks are answered");
        net.bob(1, &[3; 160]);
        let plain = [&header(8, 1, 160).bytes()[..], &[1; 160]].concat();
        net.come(A, ANN, &plain);
        assert_eq!((net.browser.clear, net.to_bob.len()), (0, 0), "nothing in the clear, either way");
        assert!(net.hands.is_empty(), "with whom there will be keys is not known");
        if !same {
            // The answer is of somebody else: what was checked before it counts for nothing.
            let ice = answered
                .transport
                .ice
                .clone()
                .map(|ice| ice::Terms { their_ufrag: Some("else".into()), ..ice });
            let transport = Transport { ice, ..answered.transport.clone() };
            net.order(Command::Modify { stream: a, session: Session { transport, ..answered } });
            net.run(2000);
            assert!(
                net.hands.is_empty()
                    && net.events.iter().all(|event| !matches!(event, Event::Secured { .. }))
            );
            continue;
        }
        net.order(Command::Modify { stream: a, session: answered });
        assert_eq!(net.hands.len(), 1, "its first flight was kept: it need not be repeated");
        net.run(30);
        assert!(net.browser.srtp.is_some(), "keys at once");
        net.bob(2, &[4; 160]);
        assert_eq!(net.browser.heard.last(), Some(&vec![4; 160]));
    }
}

#[test]
fn who_puts_datagrams_between_ends_no_handshake() {
    for (role, seed) in [(Role::Passive, 9), (Role::Active, 10)] {
        let mut net = Net::new(role, 0, seed);
        net.meddled = Some(0);
        net.run(10_000);
        let failed = net.events.iter().find(|event| matches!(event, Event::Unsecured { .. }));
        assert!(net.secured() && failed.is_none(), "{role:?}: {failed:?}");
        assert!(net.meddled > Some(1), "it was meddled with");
        net.bob(1, &[3; 160]);
        assert_eq!(net.browser.heard.last(), Some(&vec![3; 160]), "{role:?}");
    }
}

#[test]
fn the_wrong_certificate_leaves_the_stream_silent_and_says_why() {
    let mut net = Net::new(Role::Passive, 0, 5);
    let session = of_browser(Role::Passive, Fingerprint::of(b"somebody else"));
    net.order(Command::Modify { stream: A, session });
    for sequence in 0..100 {
        net.bob(sequence, &[7; 160]);
        net.run(20);
    }
    let why = net.events.iter().find_map(|event| match event {
        Event::Unsecured { stream: A, why } => Some(why.to_string()),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("the certificate in DTLS is not the one that was described"));
    assert!(!net.secured() && net.browser.heard.is_empty());
    assert_eq!(net.browser.clear, 0);
}

#[test]
fn who_is_not_the_nominated_pair_is_neither_heard_nor_sent_to() {
    let mut net = Net::new(Role::Passive, 0, 6);
    net.run(500);
    assert!(net.secured());
    let plain = [&header(8, 1, 160).bytes()[..], &[1; 160]].concat();
    let own = net.browser.say(1, &[2; 160]);
    let foreign = Master::new(Suite::AeadAes128Gcm, &[9; 46]).expect("long enough");
    let mut forged = plain.clone();
    Srtp::new(Keys { send: foreign.clone(), receive: foreign }).protect(&mut forged, 0);
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat();
    let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4][..], &[1, 2, 3, 4]].concat();
    for _ in 0..200 {
        for bytes in [&plain, &forged, &own, &stun, &hello] {
            net.come(A, EVE, bytes);
        }
        // Even from the browser's own address nothing counts that its keys do not open.
        for bytes in [&plain, &forged, &stun] {
            net.come(A, ANN, bytes);
        }
        net.run(5);
    }
    assert!(net.to_bob.is_empty(), "nothing of it is heard");
    net.come(A, ANN, &own);
    assert_eq!(net.to_bob.len(), 1);
    net.bob(1, &[3; 160]);
    assert_eq!(net.browser.heard, [[3; 160]]);
    assert!(net.elsewhere.is_empty(), "{:?}", net.elsewhere);
}

#[test]
fn who_no_longer_agrees_gets_nothing() {
    let mut net = Net::new(Role::Passive, 0, 7);
    net.run(500);
    net.bob(1, &[3; 160]);
    assert_eq!(net.browser.heard.len(), 1);
    // The browser's checks end with it.
    let ends = |net: &mut Net, ms: u64| {
        for _ in 0..ms / 50 {
            net.now += Duration::from_millis(50);
            net.engine.tick(net.now);
            net.carry();
        }
    };
    ends(&mut net, 28_000);
    net.bob(2, &[4; 160]);
    assert_eq!(net.browser.heard.len(), 2);
    ends(&mut net, 4_000);
    net.bob(3, &[5; 160]);
    assert_eq!(net.browser.heard.len(), 2, "RFC 7675: 30 s without consent");
}

#[test]
fn the_same_terms_again_change_nothing_and_another_certificate_begins_anew() {
    let mut net = Net::new(Role::Passive, 0, 8);
    net.run(500);
    let fingerprint = net.browser.fingerprint();
    let held = Session { send: false, ..of_browser(Role::Passive, fingerprint) };
    net.order(Command::Modify { stream: A, session: held });
    net.bob(1, &[3; 160]);
    assert!(net.browser.heard.is_empty(), "on hold");
    net.order(Command::Modify { stream: A, session: of_browser(Role::Passive, fingerprint) });
    net.bob(2, &[3; 160]);
    assert_eq!(net.browser.heard.len(), 1, "with the same keys");
    net.browser.dtls =
        Dtls::new_12(Arc::new(dimpl::Config::default()), net.browser.certificate.clone(), net.now);
    let other = dimpl::certificate::generate_self_signed_certificate().expect("randomness");
    let anew = Fingerprint::of(&other.certificate);
    net.order(Command::Modify { stream: A, session: of_browser(Role::Passive, anew) });
    net.bob(3, &[4; 160]);
    assert_eq!((net.browser.heard.len(), net.browser.clear), (1, 0), "silent until there are keys");
    net.browser.dtls = Dtls::new_12(Arc::new(dimpl::Config::default()), other, net.now);
    net.browser.dtls.set_active(true);
    net.browser.srtp = None;
    net.run(500);
    net.bob(4, &[5; 160]);
    assert_eq!(net.browser.heard.last(), Some(&vec![5; 160]));
}
