//! From a free agent to the INVITE that rings them, in the core and without sockets: a thousand callers wait in two
//! hundred queues, and one queue widens all the time. What a load of the same configuration costs those who wait.
//!
//! Prints p50, p99 and the longest of each. The same through sockets: `tests/network/figures.rs`.

#![expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use sentral::media;
use sentral::media::Command as Media;
use sentral::model::Config;
use sentral::model::change::BindingRecord;
use sentral::model::change::Change;
use sentral::model::command::Answer;
use sentral::model::command::Command;
use sentral::rand::Rng;
use sentral::shell::store::files;
use sentral::sip;
use sentral::sip::Hop;
use sentral::sip::Message;
use sentral::sip::Transport;
use sentral::switch::CommandId;
use sentral::switch::Input;
use sentral::switch::Output;
use sentral::switch::Switch;
use sentral::time::Now;

const QUEUES: usize = 200;
const CALLERS: usize = 1000;
/// Agents of each queue, and of the first, which widens.
const AGENTS: usize = 5;
const WIDE: usize = 50;
const ROUNDS: usize = 5_000;
const LOADS: usize = 50;
/// Virtual time between two rounds.
const STEP: Duration = Duration::from_millis(10);
const CARRIER: &str = "127.0.0.2:6000";
const PHONES: &str = "127.0.0.3:5060";

fn main() {
    // `cargo test --benches` only wants to see it start.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { ROUNDS } else { 10 };
    let mut office = Office::new();
    office.everybody_calls();
    office.inputs.clear();
    let mut free = Vec::with_capacity(rounds);
    let mut rng = Rng::from_seed(2);
    for _ in 0..rounds {
        let queue = 1 + rng.below(QUEUES - 1);
        free.push(office.becomes_free(&agent(queue, rng.below(AGENTS))));
    }
    tell("free agent to INVITE", &mut free);
    tell("every input of these rounds", &mut std::mem::take(&mut office.inputs));
    let mut loads: Vec<Duration> = (0..LOADS.min(rounds)).map(|load| office.loads(load)).collect();
    tell("adopting all companies anew", &mut loads);
    assert_eq!(office.waiting(), CALLERS, "somebody was lost");
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:?}, p99 {:?}, longest {:?} of {}", at(50), at(99), at(100), times.len());
}

fn agent(queue: usize, at: usize) -> String {
    format!("a{queue}x{at}")
}

fn config(name: &str) -> Arc<Config> {
    let mut text = format!("[company]\nname = \"{name}\"\n[numbers]\n");
    for queue in 0..QUEUES {
        let _ = writeln!(text, "\"+47361{queue:05}\" = \"queue:q{queue}\"");
    }
    for queue in 0..QUEUES {
        let agents: Vec<String> =
            (0..if queue == 0 { WIDE } else { AGENTS }).map(|at| agent(queue, at)).collect();
        for agent in &agents {
            let _ =
                writeln!(text, "[users.{agent}]\nname = \"{agent}\"\n[devices.{agent}]\nuser = \"{agent}\"");
        }
        let strategy = if queue == 0 {
            "strategy = \"widening\"\nwidening = { start = 1, add = 1, every = \"1s\" }"
        } else {
            "strategy = \"longest-idle\""
        };
        let _ = writeln!(
            text,
            "[queues.q{queue}]\nname = \"Q{queue}\"\nagents = {agents:?}\nauto_login = true\nmax_calls = 1000\n\
             max_wait = \"4h\"\nring = \"20s\"\nauto_pause = false\ncount_paused = true\noverflow = \"hangup\"\n{strategy}"
        );
    }
    let trunks = "[trunks.bench]\nname = \"B\"\nserver = \"127.0.0.2:6000\"\ntrusted = [\"127.0.0.2\"]\nhealth = false\n";
    let texts: BTreeMap<PathBuf, String> =
        [("trunks.toml", trunks.to_owned()), ("companies/bench.toml", text)]
            .into_iter()
            .map(|(name, text)| (PathBuf::from(name), text))
            .collect();
    let loaded = files::load_texts(&texts, &|_| None, &|_, file| Ok(PathBuf::from(file)));
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.errors.first()))
}

/// A switch, a carrier's line to it, and phones that ring and are never answered.
struct Office {
    switch: Switch,
    now: Now,
    orders: u64,
    answers: Vec<Answer>,
    /// How long each input took.
    inputs: Vec<Duration>,
}

impl Office {
    fn new() -> Office {
        let now = Now { mono: Instant::now(), utc: sentral::time::Timestamp::UNIX_EPOCH };
        let switch = Switch::new(now, config("Bench"), Rng::from_seed(1));
        let mut office = Office { switch, now, orders: 0, answers: Vec::new(), inputs: Vec::new() };
        let ports = (20_000..40_000).step_by(2).collect();
        office.give(Input::Media(media::Event::Ports { thread: 0, ports }));
        for queue in 0..QUEUES {
            for at in 0..if queue == 0 { WIDE } else { AGENTS } {
                let agent = agent(queue, at);
                office.give(Input::Change(Change::Bound { binding: binding(&agent, now) }));
                if queue > 0 {
                    office.pause(&agent, Some("lunch"));
                }
            }
        }
        office
    }

    /// So many callers in each queue.
    fn everybody_calls(&mut self) {
        let sdp = "v=0\r\no=b 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8\r\n";
        for caller in 0..CALLERS {
            let number = format!("+47361{:05}", caller % QUEUES);
            let head = |method: &str, to: &str| {
                format!(
                    "{method} sip:{number}@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER};branch=z9hG4bK{caller}{method}\r\n\
                     Max-Forwards: 70\r\nFrom: <sip:+4790{caller:06}@127.0.0.2>;tag=f{caller}\r\nTo: {to}\r\n\
                     Call-ID: bench-{caller}\r\nCSeq: 1 {method}\r\nContact: <sip:c@{CARRIER}>\r\n"
                )
            };
            let invite = head("INVITE", &format!("<sip:{number}@127.0.0.1>"));
            let kind = "Content-Type: application/sdp\r\n";
            let sent =
                self.send(CARRIER, format!("{invite}{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())).0;
            let ok =
                sent.iter().find(|message| message.starts_with("SIP/2.0 200")).expect("the queue answers");
            let to = header(ok, "To").to_owned();
            self.send(CARRIER, format!("{}Content-Length: 0\r\n\r\n", head("ACK", &to)));
            self.go_on();
        }
        assert_eq!(self.waiting(), CALLERS);
    }

    /// An agent's pause ends; how long until their INVITE is sent. Then it begins again, and the phone is silent.
    fn becomes_free(&mut self, agent: &str) -> Duration {
        let (sent, after) = self.pause(agent, None);
        let to = format!("INVITE sip:{agent}@");
        let invite = sent.into_iter().find(|message| message.starts_with(&to)).expect("somebody waits");
        self.send(PHONES, reply(&invite, "180 Ringing", "INVITE"));
        self.pause(agent, Some("lunch"));
        self.send(PHONES, reply(&invite, "200 OK", "CANCEL"));
        self.send(PHONES, reply(&invite, "487 Request Terminated", "INVITE"));
        self.go_on();
        after
    }

    /// The same configuration under another name: every company is taken over anew.
    fn loads(&mut self, load: usize) -> Duration {
        let config = config(&format!("Bench {load}"));
        self.go_on();
        self.give(Input::Config(config)).1
    }

    fn waiting(&mut self) -> usize {
        self.order(Command::Queues { company: None });
        let Some(Answer::Queues { queues }) = self.answers.pop() else { panic!("queues were asked for") };
        queues.iter().map(|queue| queue.waiting).sum()
    }

    fn pause(&mut self, agent: &str, reason: Option<&str>) -> (Vec<String>, Duration) {
        let (company, user) = ("bench".into(), agent.into());
        self.order(Command::Pause { company, user, reason: reason.map(Into::into), until: None })
    }

    fn order(&mut self, command: Command) -> (Vec<String>, Duration) {
        self.orders += 1;
        self.give(Input::Command { id: CommandId(self.orders), command })
    }

    fn send(&mut self, from: &str, text: String) -> (Vec<String>, Duration) {
        let message = Message::parse(Bytes::from(text), 65_535).expect("it is sound");
        let local: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let hop = Hop {
            transport: Transport::Udp,
            local,
            remote: from.parse().expect("an address"),
            connection: None,
        };
        self.give(Input::Sip(sip::Input::Message { hop, message }))
    }

    /// What is sent for an input, and how long until the first of it was there.
    fn give(&mut self, input: Input) -> (Vec<String>, Duration) {
        let began = Instant::now();
        self.switch.handle_input(self.now, input);
        let (mut sent, mut first) = (Vec::new(), None);
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    first.get_or_insert_with(|| began.elapsed());
                    sent.push(transmit.bytes);
                }
                Output::Reply { answer, .. } => self.answers.push(answer),
                Output::Media(Media::Close { stream }) => {
                    let stats = media::Stats::default();
                    self.switch.handle_input(self.now, Input::Media(media::Event::Closed { stream, stats }));
                }
                _ => {}
            }
        }
        let whole = began.elapsed();
        self.inputs.push(whole);
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        (sent.into_iter().map(text).collect(), first.unwrap_or(whole))
    }

    /// Time passes; phones that begin to ring say so.
    fn go_on(&mut self) {
        self.now = self.now.later(STEP);
        let began = Instant::now();
        self.switch.handle_timeout(self.now);
        let mut sent = Vec::new();
        while let Some(output) = self.switch.poll_output() {
            if let Output::Transmit(transmit) = output {
                sent.push(String::from_utf8_lossy(&transmit.bytes).into_owned());
            }
        }
        self.inputs.push(began.elapsed());
        for message in sent {
            match message.split(' ').next() {
                Some("INVITE") => drop(self.send(PHONES, reply(&message, "180 Ringing", "INVITE"))),
                Some("CANCEL") => {
                    self.send(PHONES, reply(&message, "200 OK", "CANCEL"));
                    self.send(PHONES, reply(&message, "487 Request Terminated", "INVITE"));
                }
                _ => {}
            }
        }
    }
}

fn binding(device: &str, now: Now) -> BindingRecord {
    BindingRecord {
        domain: "localhost".into(),
        device: device.into(),
        contact: format!("sip:{device}@{PHONES}").into(),
        path: Vec::new(),
        transport: "udp".into(),
        remote: PHONES.into(),
        local: "127.0.0.1:5060".into(),
        instance: None,
        reg_id: None,
        call_id: device.into(),
        cseq: 1,
        q: 1000,
        agent: None,
        expires: now.utc + Duration::from_secs(86_400),
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let value = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in\n{message}"))
}

/// A phone's answer to a request, or to another of the same transaction.
fn reply(request: &str, status: &str, method: &str) -> String {
    let [via, from, to, call_id, cseq] =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| header(request, name));
    let number = cseq.split(' ').next().unwrap_or_default();
    let tag = if to.contains(";tag=") { "" } else { ";tag=phone" };
    format!(
        "SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\n\
         CSeq: {number} {method}\r\nContact: <sip:phone@{PHONES}>\r\nContent-Length: 0\r\n\r\n"
    )
}
