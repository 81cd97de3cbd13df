//! The real threads over the loopback interface: nothing waits but for a condition, with a deadline.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use crate::rig::header;
use crate::rig::key;
use crate::rig::session;
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
use sentral::media::rtp;
use sentral::rand::Rng;
use sentral::shell::media::thread;
use sentral::shell::media::thread::MediaSettings;

#[test]
fn real_threads_play_relay_hear_keys_and_record_over_the_loopback() {
    let data = tempfile::tempdir().expect("a folder");
    let bank = Arc::new(Bank::new());
    bank.insert("prompt".into(), Arc::new(Clip::from_pcm(&[4000; 800], 8000)));
    let (told, events) = mpsc::channel();
    let settings =
        MediaSettings { ports: (34_000, 34_199), bind: "::".parse().expect("an address"), threads: 2 };
    let start = |data| {
        let told = told.clone();
        let tell = move |batch: Vec<Event>| {
            let _ = told.send(batch);
        };
        thread::start(&settings, &bank, data, &mut Rng::from_seed(3), tell)
    };
    let threads = start(data.path().to_owned()).expect("some of a hundred ports are free");
    let mut heard = Heard { events: events.into_iter(), seen: Vec::new() };
    let Event::Ports { thread, ports } = heard.wait(|event| matches!(event, Event::Ports { .. })) else {
        unreachable!("just matched")
    };
    let [a, b] = [ports[0], ports[1]].map(|port| StreamId { thread, port, generation: 1 });
    let ann = phone();
    let bob = phone();
    let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
    // A stray datagram from before the call must not latch.
    ann.send_to(&[0x80, 8, 0, 1], ("127.0.0.1", a.port)).expect("sent");
    threads.send(vec![
        Command::Open {
            stream: a,
            session: Session { dtmf: Some(101), ..session(address(&ann), Codec::Pcma) },
        },
        Command::Open { stream: b, session: session(address(&bob), Codec::Pcmu) },
        Command::Play { stream: a, play: PlayId(7), items: vec![PlayItem::Clip("prompt".into())], repeat: 1 },
    ]);
    let clip = bank.get("prompt").expect("just put in");
    for frame in clip.bytes(Codec::Pcma).chunks(160) {
        assert_eq!(receive(&ann).1, frame);
    }
    heard.wait(|event| *event == Event::PlayFinished { stream: a, play: PlayId(7) });
    threads.send(vec![
        Command::Base { stream: a, base: Base::Peer(b) },
        Command::Base { stream: b, base: Base::Peer(a) },
        Command::Record {
            stream: a,
            record: RecordId(1),
            file: "voicemail/1.wav".into(),
            max: Duration::from_secs(60),
            max_silence: None,
        },
    ]);
    // Until the commands are carried out nothing is passed on: Ann talks until Bob hears her.
    bob.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
    let mut at = 0u16;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut space = [0; 2048];
    while bob.recv(&mut space).is_err() {
        assert!(Instant::now() < deadline, "Bob never hears Ann");
        at += 1;
        let bytes = [&header(8, at, u32::from(at) * 160).bytes()[..], &[0xD5 ^ 0x30; 160]].concat();
        ann.send_to(&bytes, ("127.0.0.1", a.port)).expect("sent");
    }
    heard.wait(|event| matches!(event, Event::Heard { stream, .. } if *stream == a));
    let press = [&header(101, at + 1, 99_000).bytes()[..], &key(4, 160, false)].concat();
    ann.send_to(&press, ("127.0.0.1", a.port)).expect("sent");
    heard.wait(|event| *event == Event::Digit { stream: a, digit: '4' });
    bob.send_to(&[&header(0, 1, 0).bytes()[..], &[0x11; 160]].concat(), ("127.0.0.1", b.port)).expect("sent");
    let (passed, payload) = receive(&ann);
    assert_eq!((passed.payload_type, payload.len()), (8, 160));
    threads.send(vec![Command::Close { stream: a }, Command::Close { stream: b }]);
    heard.wait(|event| matches!(event, Event::Recorded { error: None, length, .. } if !length.is_zero()));
    heard.wait(|event| matches!(event, Event::Closed { stream, .. } if *stream == b));
    let recorded = hound::WavReader::open(data.path().join("voicemail/1.wav")).expect("readable");
    assert!(recorded.len() >= 160);
    // The ports of a second exchange on the same range are all taken: it says what to do.
    let error = format!("{:#}", start(data.path().to_owned()).expect_err("all taken"));
    assert!(error.contains("media.ports"), "{error}");
    threads.stop();
    let again = start(data.path().to_owned()).expect("the ports are free again");
    again.stop();
}

/// Events of the threads, waited for with a deadline; those that came before are kept.
struct Heard {
    events: mpsc::IntoIter<Vec<Event>>,
    seen: Vec<Event>,
}

impl Heard {
    fn wait(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            if let Some(at) = self.seen.iter().position(&wanted) {
                return self.seen.remove(at);
            }
            self.seen.extend(self.events.next().expect("the threads run"));
        }
    }
}

fn phone() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    socket
}

fn receive(phone: &UdpSocket) -> (rtp::Header, Vec<u8>) {
    let mut space = [0; 2048];
    let length = phone.recv(&mut space).expect("a packet in ten seconds");
    let (header, payload) = rtp::parse(&space[..length]).expect("RTP");
    (header, space[payload].to_vec())
}
