//! Cost of whole registrations and calls in the core, without sockets: the signalling thread's share of TARGETS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use divan::Bencher;

use sentral::media;
use sentral::media::Command;
use sentral::rand::Rng;
use sentral::shell::store::files;
use sentral::sip;
use sentral::sip::Hop;
use sentral::sip::Message;
use sentral::sip::Transport;
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
                "[trunks.bench]\nname = \"B\"\nserver = \"127.0.0.2:6000\"\ntrusted = [\"127.0.0.2\"]\n",
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
        let message = Message::parse(Bytes::from(text), 65_535).expect("it is sound");
        let local: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let remote: SocketAddr = "127.0.0.2:6000".parse().expect("an address");
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
    bencher.bench_local(|| line.options());
}

/// One call to a menu: three messages in, four out, a flow, a stream, a call record.
#[divan::bench]
fn call(bencher: Bencher<'_, '_>) {
    let mut line = Line::new();
    bencher.bench_local(|| line.call());
}
