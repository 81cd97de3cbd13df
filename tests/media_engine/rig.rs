//! An engine with its clock and all that comes out of it, and the parts that its tests are made of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::PlayId;
use sentral::media::PlayItem;
use sentral::media::RecordId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::bank::Bank;
use sentral::media::bank::Clip;
use sentral::media::dtmf;
use sentral::media::engine::Engine;
use sentral::media::engine::output::Link;
use sentral::media::engine::record::Chunk;
use sentral::media::rtp;
use sentral::rand::Rng;

/// Two phones and somebody who was not asked.
pub(crate) const ANN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 4000);
pub(crate) const BOB: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 5000);
pub(crate) const EVE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), 6000);

/// Their streams.
pub(crate) const A: StreamId = StreamId { thread: 0, port: 20_000, generation: 1 };
pub(crate) const B: StreamId = StreamId { thread: 0, port: 20_002, generation: 1 };

pub(crate) fn session(remote: SocketAddr, codec: Codec) -> Session {
    Session { remote: Some(remote), codec, payload_type: codec.payload_type(), ..Session::default() }
}

pub(crate) fn header(payload_type: u8, sequence: u16, timestamp: u32) -> rtp::Header {
    rtp::Header { marker: false, payload_type, sequence, timestamp, ssrc: 0xA11CE }
}

pub(crate) fn key(event: u8, duration: u16, end: bool) -> Vec<u8> {
    dtmf::Payload { event, end, volume: 10, duration }.bytes().to_vec()
}

/// Peak of one frequency.
pub(crate) fn goertzel(samples: &[i16], hertz: f64, rate: u32) -> f64 {
    let factor = 2.0 * (std::f64::consts::TAU * hertz / f64::from(rate)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        (one, two) = (f64::from(*sample) + factor * one - two, one);
    }
    2.0 * (one * one + two * two - factor * one * two).max(0.0).sqrt() / samples.len() as f64
}

/// One SSRC, no gap in sequence or timestamp, a marker on the first packet only.
pub(crate) fn assert_line(packets: &[Sent], step: u32) {
    assert!(packets[0].header.marker);
    for pair in packets.windows(2) {
        let [a, b] = [pair[0].header, pair[1].header];
        assert_eq!(b.sequence, a.sequence.wrapping_add(1));
        assert_eq!(b.timestamp, a.timestamp.wrapping_add(step));
        assert_eq!((b.ssrc, b.marker), (a.ssrc, false));
    }
}

/// An RTP packet that the engine sent, and when.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) ms: u64,
    pub(crate) port: u16,
    pub(crate) to: SocketAddr,
    pub(crate) header: rtp::Header,
    pub(crate) payload: Vec<u8>,
}

/// An engine with its clock, and all that came out of it.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) bank: Arc<Bank>,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    pub(crate) packets: Vec<Sent>,
    pub(crate) reports: Vec<(u64, SocketAddr, Vec<u8>)>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) linked: Vec<Link>,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::with_thread(0)
    }

    pub(crate) fn with_thread(thread: u8) -> Rig {
        let bank = Arc::new(Bank::new());
        let ramp = |count: i16| (0..count).map(|at| at * 13).collect::<Vec<i16>>();
        bank.insert("prompt".into(), Arc::new(Clip::from_pcm(&ramp(1600), 8000)));
        bank.insert("music".into(), Arc::new(Clip::from_pcm(&ramp(2400), 8000)));
        let start = Instant::now();
        let mut engine = Engine::new(thread, Arc::clone(&bank), Rng::from_seed(7));
        engine.tick(start);
        Rig {
            engine,
            bank,
            start,
            now: start,
            events: Vec::new(),
            packets: Vec::new(),
            reports: Vec::new(),
            chunks: Vec::new(),
            linked: Vec::new(),
        }
    }

    /// Ann on A and Bob on B, each hearing the other.
    pub(crate) fn bridged(a: Codec, b: Codec) -> Rig {
        let mut rig = Rig::new();
        rig.open(A, session(ANN, a));
        rig.open(B, session(BOB, b));
        rig.bridge();
        rig
    }

    /// Both with A-law, and with keys as events of payload type 101.
    pub(crate) fn bridged_with_keys() -> Rig {
        let mut rig = Rig::new();
        for (stream, at) in [(A, ANN), (B, BOB)] {
            rig.open(stream, Session { dtmf: Some(101), ..session(at, Codec::Pcma) });
        }
        rig.bridge();
        rig
    }

    pub(crate) fn bridge(&mut self) {
        self.command(Command::Base { stream: A, base: Base::Peer(B) });
        self.command(Command::Base { stream: B, base: Base::Peer(A) });
    }

    pub(crate) fn open(&mut self, stream: StreamId, session: Session) {
        self.command(Command::Open { stream, session });
    }

    pub(crate) fn play(&mut self, stream: StreamId, clips: &[&str], repeat: u32) {
        let items = clips.iter().map(|name| PlayItem::Clip((*name).into())).collect();
        self.command(Command::Play { stream, play: PlayId(1), items, repeat });
    }

    pub(crate) fn record(&mut self, stream: StreamId, max: Duration, max_silence: Option<Duration>) {
        self.command(Command::Record { stream, record: RecordId(1), file: "a.wav".into(), max, max_silence });
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.engine.command(self.now, command);
        self.collect();
    }

    pub(crate) fn receive(
        &mut self,
        stream: StreamId,
        from: SocketAddr,
        header: rtp::Header,
        payload: &[u8],
    ) {
        let mut bytes = [&header.bytes()[..], payload].concat();
        self.engine.rtp(self.now, stream.port, from, &mut bytes);
        self.collect();
    }

    /// A phone that talks for so many packets; what was sent meanwhile.
    pub(crate) fn talk(
        &mut self,
        stream: StreamId,
        from: SocketAddr,
        codec: Codec,
        packets: u16,
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        for at in 0..packets {
            let head = header(codec.payload_type(), at, u32::from(at) * 160);
            self.receive(stream, from, head, &[at as u8; 160]);
            sent.extend(self.run(20));
        }
        sent
    }

    /// Runs the clock by the millisecond; the RTP packets that were sent.
    pub(crate) fn run(&mut self, ms: u64) -> Vec<Sent> {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            self.engine.tick(self.now);
            self.collect();
        }
        self.take_packets()
    }

    pub(crate) fn take_packets(&mut self) -> Vec<Sent> {
        self.collect();
        std::mem::take(&mut self.packets)
    }

    pub(crate) fn links(&mut self) -> Vec<Link> {
        self.collect();
        std::mem::take(&mut self.linked)
    }

    pub(crate) fn ms(&self) -> u64 {
        (self.now - self.start).as_millis() as u64
    }

    pub(crate) fn collect(&mut self) {
        let ms = self.ms();
        let out = self.engine.output();
        for packet in out.packets() {
            if packet.rtcp {
                self.reports.push((ms, packet.to, packet.bytes.to_vec()));
                continue;
            }
            let (header, payload) = rtp::parse(packet.bytes).expect("we send valid RTP");
            let payload = packet.bytes[payload].to_vec();
            self.packets.push(Sent { ms, port: packet.port, to: packet.to, header, payload });
        }
        out.clear_packets();
        self.events.append(&mut out.events);
        self.chunks.append(&mut out.chunks);
        self.linked.append(&mut out.links);
    }

    /// The one recording, whole, and the length that was told.
    pub(crate) fn recorded(&self) -> (Vec<i16>, u64) {
        self.recorded_at(8000)
    }

    /// The same of one at so many hertz.
    pub(crate) fn recorded_at(&self, hertz: u32) -> (Vec<i16>, u64) {
        let mut all = Vec::new();
        let mut told = 0;
        for chunk in &self.chunks {
            match chunk {
                Chunk::Begin { rate, .. } => assert_eq!(*rate, hertz),
                Chunk::Audio { at, samples, .. } => {
                    assert_eq!(*at, all.len() as u64);
                    all.extend(samples);
                }
                Chunk::End { length, .. } => told = *length,
                Chunk::Tape { .. } | Chunk::Packets { .. } | Chunk::TapeEnd { .. } => {}
            }
        }
        (all, told)
    }
}
