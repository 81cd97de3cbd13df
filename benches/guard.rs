//! Cost of the guard for each message, in the core and without sockets: of one that may pass, of one that is dropped,
//! and of one that is turned away under overload.
//!
//! Each first row goes without the guard's look: a response is not screened.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use divan::Bencher;

use sentral::rand::Rng;
use sentral::shell::net::shut_out::ShutOut;
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

const CARRIER: &str = "127.0.0.2:6000";
const STRANGER: &str = "203.0.113.9:5060";

/// A switch with a hundred carriers.
struct Bench {
    switch: Switch,
    now: Now,
}

impl Bench {
    fn new() -> Bench {
        let trunk = |at: u32| {
            format!(
                "[trunks.t{at}]\nname = \"T\"\nserver = \"192.0.2.1\"\ntrusted = [\"198.51.100.{at}/32\"]\n"
            )
        };
        let trunks = (1..100).map(trunk).collect::<String>()
            + "[trunks.bench]\nname = \"B\"\nserver = \"127.0.0.2:6000\"\ntrusted = [\"127.0.0.2\"]\n";
        let company = "[company]\nname = \"Bench\"\n";
        let texts: BTreeMap<PathBuf, String> =
            [("trunks.toml", trunks), ("companies/bench.toml", company.into())]
                .into_iter()
                .map(|(name, text)| (PathBuf::from(name), text))
                .collect();
        let loaded = files::load_texts(&texts, &|_| None, &|_, file| Ok(PathBuf::from(file)));
        let config = loaded.config.expect("the configuration is sound");
        #[expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]
        let now = Now { mono: Instant::now(), utc: sentral::time::Timestamp::UNIX_EPOCH };
        let mut bench = Bench { switch: Switch::new(now, config, Rng::from_seed(1)), now };
        bench.drain();
        bench
    }

    fn give(&mut self, from: &str, message: Message) {
        let local: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let remote: SocketAddr = from.parse().expect("an address");
        let hop = Hop { transport: Transport::Udp, local, remote, connection: None };
        self.switch.handle_input(self.now, Input::Sip(sip::Input::Message { hop, message }));
    }

    /// Tells how many messages the switch sends.
    fn drain(&mut self) -> usize {
        let outputs = std::iter::from_fn(|| self.switch.poll_output());
        outputs.filter(|output| matches!(output, Output::Transmit(_))).count()
    }
}

fn message(start: &str, method: &str, agent: &str) -> Message {
    let text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 127.0.0.2:6000;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
         From: <sip:b@127.0.0.2>;tag=f\r\nTo: <sip:127.0.0.1>\r\nCall-ID: guard\r\nCSeq: 1 {method}\r\n\
         User-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text), 65_535).expect("it is sound")
}

/// A message that the endpoint drops at once; a request for the guard to look at, or a response, which it does not.
fn pass(bencher: Bencher<'_, '_>, from: &str, message: Message) {
    let mut bench = Bench::new();
    bencher.with_inputs(|| message.clone()).bench_local_values(|message| bench.give(from, message));
}

#[divan::bench]
fn not_screened(bencher: Bencher<'_, '_>) {
    pass(bencher, CARRIER, message("SIP/2.0 200 OK", "OPTIONS", "Bench 1.0"));
}

#[divan::bench]
fn screened_of_a_carrier(bencher: Bencher<'_, '_>) {
    pass(bencher, CARRIER, message("ACK sip:x@127.0.0.1 SIP/2.0", "ACK", "Bench 1.0"));
}

/// After the first hundreds it is over its limit: what passes and what does not cost the same.
#[divan::bench]
fn screened_of_a_stranger(bencher: Bencher<'_, '_>) {
    let mut bench = Bench::new();
    let ack = message("ACK sip:x@127.0.0.1 SIP/2.0", "ACK", "snomD785/10.1.141.13");
    let inputs = bencher.with_inputs(|| ack.clone());
    inputs.bench_local_values(|message| {
        bench.now = bench.now.later(Duration::from_millis(10));
        bench.give(STRANGER, message);
    });
}

/// By the core, were it ever to hear of it.
#[divan::bench]
fn shut_out_in_the_core(bencher: Bencher<'_, '_>) {
    let mut bench = Bench::new();
    bench.give(STRANGER, message("OPTIONS sip:x@127.0.0.1 SIP/2.0", "OPTIONS", "friendly-scanner"));
    bench.drain();
    let options = message("OPTIONS sip:x@127.0.0.1 SIP/2.0", "OPTIONS", "Bench 1.0");
    let inputs = bencher.with_inputs(|| options.clone());
    inputs.bench_local_values(|message| bench.give(STRANGER, message));
    assert_eq!(bench.drain(), 0, "who is shut out is not answered");
}

/// Where datagrams are read, before they are parsed, with as many addresses shut out as an attack brings about.
#[divan::bench]
fn shut_out_unread(bencher: Bencher<'_, '_>) {
    let list = ShutOut::default();
    for at in 0..20_000_u32 {
        list.set(std::net::Ipv4Addr::from_bits(0xCB00_0000 + at).into(), Duration::from_secs(3_600));
    }
    let ip = std::net::Ipv4Addr::from_bits(0xCB00_0007).into();
    bencher.bench_local(|| assert!(list.drops(ip)));
}

#[divan::bench]
fn turned_away_under_overload(bencher: Bencher<'_, '_>) {
    let mut bench = Bench::new();
    for _ in 0..20 {
        bench.now = bench.now.later(Duration::from_millis(100));
        bench.switch.handle_input(bench.now, Input::Waited(Duration::from_secs(1)));
    }
    let invite = message("INVITE sip:x@127.0.0.1 SIP/2.0", "INVITE", "Bench 1.0");
    let inputs = bencher.with_inputs(|| invite.clone());
    inputs.bench_local_values(|message| {
        bench.give(CARRIER, message);
        assert_eq!(bench.drain(), 1, "a 503");
    });
}
