//! A conference room of a real daemon: three who sing different tones, each of whom hears the other two.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use sentral::media::codec::g711::decode_alaw;
use sentral::media::codec::g711::encode_alaw;
use sentral::media::rtp;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::siege::request;
use crate::daemon::siege::transact;
use crate::daemon::siege::uri;
use crate::daemon::tone::level_db;

const ROOM: &str = "+4736000170";
const FRAME: Duration = Duration::from_millis(20);
/// Packets that each sends: four seconds, of which the last is measured.
const PACKETS: u32 = 200;
/// Peak of the tones.
const PEAK: f64 = 6000.0;

/// Somebody in the room.
struct Singer {
    name: String,
    hz: f64,
    socket: UdpSocket,
    to: SocketAddr,
    /// The To header of the answer.
    answered: String,
    heard: Vec<i16>,
}

impl Singer {
    fn call(line: &Line, name: &str, hz: f64) -> Singer {
        let own = line.address.ip();
        let socket = UdpSocket::bind(SocketAddr::new(own, 0)).expect("a free port");
        let port = socket.local_addr().expect("it is bound").port();
        let sdp =
            format!("v=0\no=- 1 1 IN IP4 {own}\ns=-\nc=IN IP4 {own}\nt=0 0\nm=audio {port} RTP/AVP 8\n");
        let whom = format!("{ROOM}@127.0.0.1");
        let answer = transact(line, &request(line, "INVITE", &whom, name, 1, &uri(ROOM), "", &sdp));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let answered = header(&answer, "To").to_owned();
        line.send(&request(line, "ACK", &whom, name, 1, &answered, "", ""));
        let audio = answer.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("audio");
        let port = audio.split(' ').next().and_then(|port| port.parse().ok()).expect("a port");
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        Singer { name: name.to_owned(), hz, socket, to, answered, heard: Vec::new() }
    }

    fn sing(&self, packet: u32) {
        let sample = |at: u32| {
            let angle = std::f64::consts::TAU * self.hz * f64::from(at) / 8000.0;
            encode_alaw((PEAK * angle.sin()) as i16)
        };
        let payload: Vec<u8> = (packet * 160..packet * 160 + 160).map(sample).collect();
        let head = rtp::Header {
            marker: packet == 0,
            payload_type: 8,
            sequence: packet as u16,
            timestamp: packet * 160,
            ssrc: self.hz as u32,
        };
        self.socket.send_to(&[&head.bytes()[..], &payload].concat(), self.to).expect("loopback takes it");
    }

    /// Takes what comes until then.
    fn listen(&mut self, until: Instant) {
        let mut packet = [0; 2048];
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(rest.max(Duration::from_micros(1)))).expect("not zero");
            let Ok(length) = self.socket.recv(&mut packet) else {
                if Instant::now() >= until {
                    return;
                }
                continue;
            };
            let Some((_, payload)) = rtp::parse(&packet[..length]) else { continue };
            self.heard.extend(packet[payload].iter().map(|byte| decode_alaw(*byte)));
        }
    }

    fn hang_up(&self, line: &Line) {
        let whom = format!("{ROOM}@127.0.0.1");
        let answer = transact(line, &request(line, "BYE", &whom, &self.name, 2, &self.answered, "", ""));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }
}

#[test]
fn three_in_a_room_each_hear_the_other_two() {
    let site = Site::new();
    let daemon = site.start();
    let line = Line::new([127, 0, 0, 2], site.sip);
    let tones = [("a", 500.0), ("b", 800.0), ("c", 1300.0)];
    let mut singers = tones.map(|(name, hz)| Singer::call(&line, name, hz));
    let rooms = site.ask(&["rooms"]).expect("the daemon answers");
    assert_eq!(rooms["rooms"][0]["attendees"].as_array().map(Vec::len), Some(3), "{rooms}");
    let began = Instant::now();
    for packet in 0..PACKETS {
        singers.iter().for_each(|singer| singer.sing(packet));
        let until = began + FRAME * (packet + 1);
        for singer in &mut singers {
            singer.listen(until);
        }
    }
    for singer in &singers {
        let last = &singer.heard[singer.heard.len().saturating_sub(8000)..];
        assert!(singer.heard.len() > 160 * (PACKETS as usize - 20), "{} packets", singer.heard.len() / 160);
        let sung = 20.0 * (PEAK / 32_768.0).log10();
        for (name, hz) in tones {
            let level = level_db(last, 8000, hz) - sung;
            println!("{} hears {name} ({hz} Hz) at {level:.1} dB", singer.name);
            if name == singer.name {
                assert!(level < -30.0, "{name} hears themselves at {level} dB");
            } else {
                assert!(level.abs() < 1.5, "{} hears {name} at {level} dB", singer.name);
            }
        }
    }
    singers.iter().for_each(|singer| singer.hang_up(&line));
    daemon.end();
}
