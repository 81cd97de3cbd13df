//! Cost of whole registrations and calls in the core, without sockets: the signalling thread's share of TARGETS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;

use sentral::media;
use sentral::media::Command;
use sentral::rand::Rng;
use sentral::shell::store::files;
use sentral::sip;
use sentral::sip::Hop;
use sentral::sip::Message;
use sentral::sip::Method;
use sentral::sip::Transport;
use sentral::sip::digest;
use sentral::switch::Input;
use sentral::switch::Output;
use sentral::switch::Switch;
use sentral::time::Now;

fn main() {
    divan::main();
}

const COMPANY: &str = r#"
[company]
name = "Bench"
[numbers]
"+4736000100" = "flow:play"
[media]
long = { file = "long.wav", text = "x" }
[users.kari]
name = "Kari"
ext = "201"
[devices]
kari = { user = "kari", password = "kari-hemmelig" }
[flows.play]
name = "Play"
start = "menu"
[flows.play.steps]
menu = { menu = "long", 1 = "hangup" }
"#;

/// A switch and a carrier's line to it.
struct Line {
    switch: Switch,
    now: Now,
    count: u64,
}

impl Line {
    fn new() -> Line {
        let texts: BTreeMap<PathBuf, String> = [
            (
                "trunks.toml",
                "[trunks.bench]\nname = \"B\"\nserver = \"127.0.0.2:6000\"\ntrusted = [\"127.0.0.2\"]\nhealth = false\n",
            ),
            ("companies/bench.toml", COMPANY),
        ]
        .into_iter()
        .map(|(name, text)| (PathBuf::from(name), text.to_owned()))
        .collect();
        let loaded = files::load_texts(&texts, &|_| None, &|_, file| Ok(PathBuf::from(file)));
        let config = loaded.config.expect("the configuration is sound");
        #[expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]
        let now = Now { mono: Instant::now(), utc: sentral::time::Timestamp::UNIX_EPOCH };
        let mut switch = Switch::new(now, config, Rng::from_seed(1));
        let ports = (20_000..40_000).step_by(2).collect();
        switch.handle_input(now, Input::Media(media::Event::Ports { thread: 0, ports }));
        while switch.poll_output().is_some() {}
        Line { switch, now, count: 0 }
    }

    /// Gives the switch a request of the carrier; returns what it sends, with streams closed as a media thread would.
    fn send(&mut self, text: String) -> Vec<Bytes> {
        self.send_from("127.0.0.2:6000", text)
    }

    fn send_from(&mut self, remote: &str, text: String) -> Vec<Bytes> {
        let message = Message::parse(Bytes::from(text), 65_535).expect("it is sound");
        let local: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let remote: SocketAddr = remote.parse().expect("an address");
        let hop = Hop { transport: Transport::Udp, local, remote, connection: None };
        self.switch.handle_input(self.now, Input::Sip(sip::Input::Message { hop, message }));
        let mut sent = Vec::new();
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Transmit(transmit) => sent.push(transmit.bytes),
                Output::Media(Command::Close { stream }) => {
                    let stats = media::Stats::default();
                    self.switch.handle_input(self.now, Input::Media(media::Event::Closed { stream, stats }));
                }
                _ => {}
            }
        }
        sent
    }

    /// OPTIONS, 200; the clock goes on so that transactions end.
    fn options(&mut self) {
        self.count += 1;
        let n = self.count;
        let sent = self.send(format!(
            "OPTIONS sip:127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:6000;branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:b@127.0.0.2>;tag=f{n}\r\nTo: <sip:127.0.0.1>\r\nCall-ID: options-{n}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        assert_eq!(sent.len(), 1, "one answer");
        self.go_on();
    }

    /// REGISTER, 401, REGISTER with a password, 200.
    fn register(&mut self) {
        self.count += 1;
        let n = self.count;
        let request = |cseq: u32, more: &str| {
            format!(
                "REGISTER sip:localhost SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.3:5070;branch=z9hG4bK{n}r{cseq}\r\nMax-Forwards: 70\r\n\
                 From: <sip:kari@localhost>;tag=f{n}\r\nTo: <sip:kari@localhost>\r\nCall-ID: kari\r\nCSeq: {} REGISTER\r\n\
                 Contact: <sip:kari@127.0.0.3:5070>\r\nExpires: 3600\r\n{more}Content-Length: 0\r\n\r\n",
                2 * n + u64::from(cseq)
            )
        };
        let refused = self.send_from("127.0.0.3:5070", request(0, ""));
        let Ok(Message::Response(refused)) = Message::parse(refused[0].clone(), 65_535) else {
            panic!("a 401")
        };
        let challenge = digest::strongest(&refused).expect("a challenge");
        let uri = "sip:localhost";
        let proof = digest::answer(&challenge, "kari", "kari-hemmelig", &Method::Register, uri, 1, "c");
        let granted = self.send_from("127.0.0.3:5070", request(1, &format!("Authorization: {proof}\r\n")));
        assert!(granted[0].starts_with(b"SIP/2.0 200"), "{}", String::from_utf8_lossy(&granted[0]));
        self.go_on();
    }

    fn go_on(&mut self) {
        self.now = self.now.later(std::time::Duration::from_millis(10));
        self.switch.handle_timeout(self.now);
        while self.switch.poll_output().is_some() {}
    }

    /// INVITE, 200, ACK, BYE, 200; the clock goes on so that transactions end.
    fn call(&mut self) {
        self.count += 1;
        let n = self.count;
        let head = |method: &str, to: &str, cseq: u32| {
            format!(
                "{method} sip:+4736000100@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:6000;branch=z9hG4bK{n}x{cseq}{method}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:+4736000777@127.0.0.2>;tag=f{n}\r\nTo: {to}\r\nCall-ID: bench-{n}\r\n\
                 CSeq: {cseq} {method}\r\nContact: <sip:c@127.0.0.2:6000>\r\n"
            )
        };
        let sdp = "v=0\r\no=b 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8\r\n";
        let to = "<sip:+4736000100@127.0.0.1>";
        let invite = head("INVITE", to, 1);
        let sent = self.send(format!(
            "{invite}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        ));
        let ok = String::from_utf8_lossy(sent.last().expect("a 200")).into_owned();
        let to = ok.lines().find_map(|line| line.strip_prefix("To: ")).expect("a To header").to_owned();
        self.send(format!("{}Content-Length: 0\r\n\r\n", head("ACK", &to, 1)));
        self.send(format!("{}Content-Length: 0\r\n\r\n", head("BYE", &to, 2)));
        self.go_on();
    }
}

/// One transaction: OPTIONS and its 200.
#[divan::bench]
fn transaction(bencher: Bencher<'_, '_>) {
    let mut line = Line::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| line.options());
}

/// One registration with digest: two transactions. The rate is that of a core which does nothing else.
#[divan::bench]
fn registration(bencher: Bencher<'_, '_>) {
    let mut line = Line::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| line.register());
}

/// One call to a menu: three messages in, four out, a flow, a stream, a call record.
#[divan::bench]
fn call(bencher: Bencher<'_, '_>) {
    let mut line = Line::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| line.call());
}
