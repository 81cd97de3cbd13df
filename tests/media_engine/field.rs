//! A field of phones around the real media threads: some hear music, some talk in pairs, some of these protected.
//!
//! All phones are a handful of sockets, told apart by the port of the stream that they talk to. One thread plays
//! them all, in turns of half a millisecond.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use crate::rig::header;
use crate::rig::session;
use sentral::media::Base;
use sentral::media::Codec;
use sentral::media::Command;
use sentral::media::Event;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::media::bank::Bank;
use sentral::media::bank::Clip;
use sentral::media::rtp;
use sentral::media::srtp::Keys;
use sentral::media::srtp::Master;
use sentral::media::srtp::Srtp;
use sentral::media::srtp::Suite;
use sentral::rand::Rng;
use sentral::shell::media::thread;
use sentral::shell::media::thread::MediaSettings;
use sentral::shell::media::thread::MediaThreads;

const TURN: Duration = Duration::from_micros(500);
const FRAME: Duration = Duration::from_millis(20);
const SOCKETS: usize = 8;

/// What a field is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// First and last port.
    pub(crate) ports: (u16, u16),
    /// Streams that play music.
    pub(crate) played: usize,
    /// Pairs that talk.
    pub(crate) pairs: usize,
    /// Pairs that talk protected.
    pub(crate) protected: usize,
}

pub(crate) struct Field {
    threads: MediaThreads,
    events: mpsc::Receiver<Vec<Event>>,
    sockets: Vec<UdpSocket>,
    phones: Vec<Phone>,
    /// Half the port of a stream → its phone.
    by_port: Vec<u16>,
    start: Instant,
    turn: u32,
}

struct Phone {
    stream: StreamId,
    talks: bool,
    srtp: Option<Srtp>,
    sequence: u16,
    heard: Option<(u16, Instant)>,
}

/// What the phones have heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) sent: u64,
    pub(crate) played: u64,
    pub(crate) relayed: u64,
    pub(crate) lost: u64,
    /// How often a thread told that it is short of time.
    pub(crate) short: u64,
    /// How far the played packets of a stream were from 20 ms apart, counted by ten microseconds.
    off: Vec<u64>,
}

impl Heard {
    pub(crate) fn new() -> Heard {
        Heard { sent: 0, played: 0, relayed: 0, lost: 0, short: 0, off: vec![0; 10_000] }
    }

    /// The spacing error below which so many of ten thousand are.
    pub(crate) fn off(&self, of_ten_thousand: u64) -> Duration {
        let all: u64 = self.off.iter().sum();
        let mut below = 0;
        let at = self.off.iter().position(|count| {
            below += count;
            below * 10_000 >= all * of_ten_thousand
        });
        Duration::from_micros(10 * at.unwrap_or(0) as u64)
    }
}

impl Field {
    pub(crate) fn new(data: PathBuf, plan: Plan) -> Field {
        let bank = Arc::new(Bank::new());
        bank.insert("music".into(), Arc::new(Clip::from_pcm(&[4000; 80_000], 8000)));
        let (told, events) = mpsc::channel();
        let settings =
            MediaSettings { ports: plan.ports, bind: "0.0.0.0".parse().expect("an address"), threads: 1 };
        let tell = move |batch: Vec<Event>| {
            let _ = told.send(batch);
        };
        let threads =
            thread::start(&settings, &bank, data, &mut Rng::from_seed(3), tell).expect("ports are free");
        let ports = loop {
            let batch = events.recv().expect("the threads run");
            if let Some(Event::Ports { ports, .. }) = batch.into_iter().next() {
                break ports;
            }
        };
        let sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| socket()).collect();
        let talking = 2 * (plan.pairs + plan.protected);
        let mut field = Field {
            threads,
            events,
            sockets,
            phones: Vec::new(),
            by_port: vec![u16::MAX; 1 << 15],
            start: Instant::now(),
            turn: 0,
        };
        for (at, port) in ports.into_iter().take(plan.played + talking).enumerate() {
            let stream = StreamId { thread: 0, port, generation: 1 };
            let protected = (plan.played + 2 * plan.pairs..).contains(&at);
            field.by_port[usize::from(port >> 1)] = at as u16;
            field.phones.push(Phone {
                stream,
                talks: at >= plan.played,
                srtp: protected.then(|| Srtp::new(keys(1, 2))),
                sequence: 0,
                heard: None,
            });
        }
        assert_eq!(field.phones.len(), plan.played + talking, "ports for all");
        field
    }

    /// Opens all streams, a few in each millisecond, and lets them play and talk.
    pub(crate) fn open(&mut self) {
        for at in 0..self.phones.len() {
            let phone = &self.phones[at];
            let stream = phone.stream;
            let remote = self.sockets[at % SOCKETS].local_addr().expect("bound");
            let srtp = phone.srtp.as_ref().map(|_| keys(2, 1));
            let base = if phone.talks {
                // Pairs begin at an even place: the played are made so.
                Base::Peer(self.phones[at ^ 1].stream)
            } else {
                Base::Music("music".into())
            };
            let session = Session { srtp, ..session(remote, Codec::Pcma) };
            self.threads.send(vec![Command::Open { stream, session }, Command::Base { stream, base }]);
            if at % 8 == 7 {
                self.play(TURN, &mut Heard::new());
            }
        }
    }

    /// Plays the phones for so long.
    pub(crate) fn play(&mut self, long: Duration, heard: &mut Heard) {
        let turns = FRAME.as_micros() as u32 / TURN.as_micros() as u32;
        let end = self.turn + (long.as_micros() / TURN.as_micros()) as u32;
        let mut datagram = Vec::with_capacity(256);
        while self.turn < end {
            self.turn += 1;
            let due = self.start + TURN * self.turn;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            for at in ((self.turn % turns) as usize..self.phones.len()).step_by(turns as usize) {
                let phone = &mut self.phones[at];
                if phone.talks {
                    phone.talk(&mut datagram);
                    let to = ("127.0.0.1".parse().map(|ip: std::net::IpAddr| (ip, phone.stream.port)))
                        .expect("an address");
                    heard.sent += u64::from(self.sockets[at % SOCKETS].send_to(&datagram, to).is_ok());
                }
            }
            self.listen(heard);
        }
        let short =
            |batch: Vec<Event>| batch.iter().filter(|event| matches!(event, Event::Short { .. })).count();
        heard.short += self.events.try_iter().map(short).sum::<usize>() as u64;
    }

    fn listen(&mut self, heard: &mut Heard) {
        let mut space = [0; 2048];
        for socket in &self.sockets {
            while let Ok((length, from)) = socket.recv_from(&mut space) {
                let Some((header, _)) = rtp::parse(&space[..length]) else { continue };
                let Some(phone) =
                    self.phones.get_mut(usize::from(self.by_port[usize::from(from.port() >> 1)]))
                else {
                    continue;
                };
                if rtp::is_rtcp(&space[..length]) {
                    continue;
                }
                let now = Instant::now();
                if phone.talks {
                    heard.relayed += 1;
                } else {
                    heard.played += 1;
                }
                let Some((last, at)) = phone.heard.replace((header.sequence, now)) else { continue };
                let step = header.sequence.wrapping_sub(last);
                heard.lost += u64::from(step.wrapping_sub(1));
                if step == 1 && !phone.talks {
                    let off = now.duration_since(at).abs_diff(FRAME).as_micros() / 10;
                    let last = heard.off.len() - 1;
                    heard.off[last.min(off as usize)] += 1;
                }
            }
        }
    }

    pub(crate) fn end(self) {
        self.threads.stop();
    }
}

impl Phone {
    fn talk(&mut self, datagram: &mut Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let header = header(8, self.sequence, u32::from(self.sequence).wrapping_mul(160));
        datagram.clear();
        datagram.extend_from_slice(&header.bytes());
        datagram.extend_from_slice(&[0x55; 160]);
        if let Some(srtp) = &mut self.srtp {
            assert!(srtp.protect(datagram, 0), "it has a key");
        }
    }
}

fn keys(send: u8, receive: u8) -> Keys {
    let master = |octet| Master::new(Suite::ALL[0], &[octet; 46]).expect("enough for any suite");
    Keys { send: master(send), receive: master(receive) }
}

fn socket() -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    // Less than asked for will do where streams are few.
    let _ = socket.set_recv_buffer_size(8 << 20);
    socket.set_nonblocking(true).expect("set");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("bound");
    socket.into()
}
