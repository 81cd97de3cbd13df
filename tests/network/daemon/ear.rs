//! A party's ear and fingers: receives the RTP that a call is sent, tells which tone it holds, presses keys.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use sentral::media::codec::g711::decode_alaw;
use sentral::media::rtp;

use crate::daemon::tone::level_db;
use crate::daemon::tone::pitch;

/// 200 ms at 8 kHz: what is listened to at a time.
const STRETCH: usize = 1600;
/// How long a tone may take to come.
const PATIENCE: Duration = Duration::from_secs(15);

/// An RTP socket.
pub(crate) struct Ear {
    socket: UdpSocket,
    /// Who sends to us.
    from: Option<SocketAddr>,
    /// Everything heard, 8 kHz.
    heard: Vec<i16>,
    sequence: u16,
}

impl Ear {
    /// Binds a free port of an address.
    pub(crate) fn new(ip: [u8; 4]) -> Ear {
        let socket = UdpSocket::bind(SocketAddr::from((ip, 0))).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("not zero");
        Ear { socket, from: None, heard: Vec::new(), sequence: 1 }
    }

    /// The port for the SDP.
    pub(crate) fn port(&self) -> String {
        self.socket.local_addr().expect("it is bound").port().to_string()
    }

    /// Listens until 200 ms of one tone have come, and tells its level in dB of full scale.
    pub(crate) fn hears(&mut self, hz: f64) -> f64 {
        let deadline = Instant::now() + PATIENCE;
        self.heard.clear();
        let mut packet = [0; 2048];
        let mut last = 0.0;
        while Instant::now() < deadline {
            let Ok((length, from)) = self.socket.recv_from(&mut packet) else { continue };
            self.from = Some(from);
            let Some((header, payload)) = rtp::parse(&packet[..length]) else { continue };
            assert_eq!(header.payload_type, 8, "only A-law was offered");
            self.heard.extend(packet[payload].iter().map(|byte| decode_alaw(*byte)));
            if self.heard.len() >= STRETCH {
                last = pitch(&self.heard, 8000);
                let level = level_db(&self.heard, 8000, hz);
                self.heard.clear();
                if (last - hz).abs() < 2.0 {
                    return level;
                }
            }
        }
        panic!("{hz} Hz was not heard in {PATIENCE:?}; the last tone was of {last} Hz");
    }

    /// Listens for so long from the first packet on. Tells what came, at 8 kHz, and how many packets were missing.
    pub(crate) fn listens(&mut self, long: Duration) -> (Vec<i16>, u64) {
        let (mut heard, mut missing, mut next) = (Vec::new(), 0, None);
        let mut packet = [0; 2048];
        let patience = Instant::now() + PATIENCE;
        let mut end = None;
        while Instant::now() < end.unwrap_or(patience) {
            let Ok((length, _)) = self.socket.recv_from(&mut packet) else { continue };
            let Some((header, payload)) = rtp::parse(&packet[..length]) else { continue };
            end.get_or_insert(Instant::now() + long);
            missing += u64::from(header.sequence.wrapping_sub(next.unwrap_or(header.sequence)));
            next = Some(header.sequence.wrapping_add(1));
            heard.extend(packet[payload].iter().map(|byte| decode_alaw(*byte)));
        }
        assert!(end.is_some(), "nothing was heard in {PATIENCE:?}");
        (heard, missing)
    }

    /// Listens for so long; the longest time between two packets.
    pub(crate) fn longest_gap(&mut self, long: Duration) -> Duration {
        let end = Instant::now() + long;
        let (mut last, mut gap) = (Instant::now(), Duration::ZERO);
        let mut packet = [0; 2048];
        // What has come before is no measure.
        let mut first = true;
        while Instant::now() < end {
            if self.socket.recv(&mut packet).is_ok() {
                let now = Instant::now();
                if !std::mem::take(&mut first) {
                    gap = gap.max(now - last);
                }
                last = now;
            }
        }
        gap.max(last.elapsed().saturating_sub(Duration::from_millis(20)))
    }

    /// How long nothing comes; at most a second.
    pub(crate) fn silence(&mut self) -> Duration {
        let began = Instant::now();
        let mut packet = [0; 2048];
        while began.elapsed() < Duration::from_secs(1) {
            if self.socket.recv(&mut packet).is_ok() {
                break;
            }
        }
        began.elapsed()
    }

    /// Presses the key 1 as a telephone event of 100 ms (RFC 4733 §2.5): its end is sent three times.
    pub(crate) fn press_1(&mut self) {
        let to = self.from.expect("something was heard before");
        for (turn, (end, duration)) in
            [(0, 160), (0, 320), (0, 480), (0, 640), (0x80, 800), (0x80, 800), (0x80, 800)]
                .into_iter()
                .enumerate()
        {
            let header = rtp::Header {
                marker: turn == 0,
                payload_type: 101,
                sequence: self.sequence,
                timestamp: 16_000,
                ssrc: 0x5ea7,
            };
            let [high, low] = u16::to_be_bytes(duration);
            let packet = [&header.bytes()[..], &[1, end | 10, high, low]].concat();
            self.socket.send_to(&packet, to).expect("loopback takes it");
            self.sequence += 1;
        }
    }
}
