//! What the daemon costs and how fast it is, as callers and agents see it over sockets: printed, never asserted, but
//! for what would make the figures worthless.
//!
//! Ignored, since they want a machine of their own and an optimised daemon:
//! `cargo nextest run --release --test network --run-ignored only --no-capture -E 'test(figures)'`.
//! The same without sockets: `benches/queue.rs`.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::daemon::Site;
use crate::daemon::free_ports;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::line::register;
use crate::daemon::wait_until;

const PATIENCE: Duration = Duration::from_secs(20);
const QUEUES: usize = 200;
/// Callers of each queue.
const EACH: usize = 5;
/// Agents of the first queue, which widens.
const WIDE: usize = 20;
/// Talks that end, one after the other.
const TALKS: usize = 1_000;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(8);
/// Phones that ring for one caller.
const PHONES: usize = 20;
/// Callers who hang up, of each kind.
const HANG_UPS: usize = 300;
/// Callers whose cost is taken.
const WAITING: usize = 500;

#[test]
#[ignore = "a measurement: see the head of the file"]
fn from_a_free_agent_to_the_invite_with_a_thousand_waiting_in_two_hundred_queues() {
    let site = site(2 * QUEUES * EACH + 400, &widening_and_others());
    let daemon = site.start_mute();
    let mut phones = Phones::new(&site);
    for queue in 1..QUEUES {
        phones.register(&agent(queue, 0));
    }
    (0..WIDE).for_each(|at| phones.register(&agent(0, at)));
    let mut callers = Callers::new(&site);
    // The first caller of each queue talks at once, the others wait; nobody of the first queue answers.
    for caller in 0..QUEUES * (EACH + 1) {
        callers.call(&number(caller % QUEUES));
        phones.settle(&mut callers, Duration::from_millis(2));
    }
    wait_until("everybody is served or waits", PATIENCE, || {
        phones.settle(&mut callers, Duration::from_millis(10));
        (phones.talks.len() == QUEUES - 1).then_some(())
    });
    println!("{} wait, {} talk", callers.up() - phones.talks.len(), phones.talks.len());
    let mut times = Vec::new();
    let mut next = Instant::now();
    for _ in 0..TALKS {
        next += PAUSE;
        phones.settle_until(&mut callers, next);
        let Some((call_id, talk)) = phones.talks.pop_first() else { continue };
        // Somebody comes for each who goes.
        callers.call(&number(talk.queue));
        phones.settle(&mut callers, Duration::from_millis(1));
        let began = Instant::now();
        phones.hang_up(&call_id, &talk);
        times.push(phones.until_rung(&talk.agent).duration_since(began));
    }
    tell("free agent to INVITE", &mut times);
    assert!(times.len() > TALKS / 2, "only {} talks", times.len());
    drop(daemon);
}

#[test]
#[ignore = "a measurement: see the head of the file"]
fn from_the_callers_end_to_the_silence_of_twenty_phones() {
    let agents: Vec<String> = (0..PHONES).map(|at| agent(0, at)).collect();
    let queue = people(&agents) + &line("queues", 0, &agents, "strategy = \"ring-all\"\nring = \"2m\"");
    let group = format!(
        "[groups.alle]\nname = \"Alle\"\nmembers = {agents:?}\nring = \"2m\"\nno_answer = \"hangup\"\n"
    );
    let site = site(400, &(queue + &group));
    let daemon = site.start_mute();
    let mut phones = Phones::new(&site);
    agents.iter().for_each(|agent| phones.register(agent));
    // A queue answers, so that its caller hangs up by BYE; a group rings, so that its caller cancels.
    let mut callers = Callers::new(&site);
    for (what, number) in [("BYE", number(0)), ("CANCEL", "+4736100999".to_owned())] {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for _ in 0..HANG_UPS {
            let caller = callers.call(&number);
            let deadline = Instant::now() + PATIENCE;
            while phones.ringing < PHONES {
                assert!(Instant::now() < deadline, "only {} ring", phones.ringing);
                phones.settle(&mut callers, Duration::from_millis(1));
            }
            let began = Instant::now();
            callers.end(caller);
            let (one, all) = phones.until_silent();
            first.push(one.duration_since(began));
            last.push(all.duration_since(began));
            phones.settle(&mut callers, Duration::from_millis(5));
        }
        tell(&format!("{what} to the first CANCEL"), &mut first);
        tell(&format!("{what} to the last of {PHONES} CANCELs"), &mut last);
    }
    drop(daemon);
}

#[test]
#[ignore = "a measurement: see the head of the file"]
fn what_a_waiting_caller_costs() {
    let agents = vec![agent(0, 0)];
    let queue = people(&agents) + &line("queues", 0, &agents, "join = \"always\"");
    let site = site(2 * WAITING + 100, &queue);
    let daemon = site.start_mute();
    let mut phones = Phones::new(&site);
    let mut callers = Callers::new(&site);
    // Once before, so that what is kept for good is there.
    let mut rounds = Vec::new();
    for round in 0..2 {
        phones.settle(&mut callers, Duration::from_secs(2));
        let (memory, idle) = (resident(&daemon), cpu_over(&daemon, Duration::from_secs(10)));
        for _ in 0..WAITING {
            callers.call(&number(0));
            phones.settle(&mut callers, Duration::from_millis(4));
        }
        wait_until("all wait", PATIENCE, || {
            phones.settle(&mut callers, Duration::from_millis(10));
            (callers.up() == WAITING).then_some(())
        });
        phones.settle(&mut callers, Duration::from_secs(1));
        let busy = cpu_over(&daemon, Duration::from_secs(10));
        let each = WAITING as f64;
        rounds.push(format!(
            "round {round}: {:.0} µs of CPU a second, {:.1} KiB ({:.2} % of a core for {WAITING}, {:.2} % for none)",
            (busy - idle) * 1e6 / each,
            (resident(&daemon) as f64 - memory as f64) / each,
            busy * 100.0,
            idle * 100.0
        ));
        callers.end_all();
        wait_until("all have gone", PATIENCE, || {
            phones.settle(&mut callers, Duration::from_millis(10));
            (callers.up() == 0).then_some(())
        });
    }
    rounds.iter().for_each(|round| println!("a waiting caller, {round}"));
    drop(daemon);
}

#[test]
#[ignore = "a measurement: see the head of the file"]
fn what_loading_ten_thousand_users_and_a_thousand_queues_costs_who_waits() {
    let agents = vec![agent(0, 0)];
    let queue = people(&agents) + &line("queues", 0, &agents, "join = \"always\"");
    let site = site(2 * WAITING + 100, &queue);
    let write = |load: usize| {
        for at in 0..10 {
            let file = site.folder().join(format!("config/companies/stor{at}.toml"));
            fs::write(file, large(at, load)).expect("room on the disk");
        }
    };
    write(0);
    let daemon = site.start_mute();
    let mut phones = Phones::new(&site);
    let mut callers = Callers::new(&site);
    for _ in 0..WAITING {
        callers.call(&number(0));
        phones.settle(&mut callers, Duration::from_millis(4));
    }
    wait_until("all wait", PATIENCE, || {
        phones.settle(&mut callers, Duration::from_millis(10));
        (callers.up() == WAITING).then_some(())
    });
    let (mut loads, mut still) = (Vec::new(), Vec::new());
    for load in 1..=10 {
        write(load);
        let (whole, longest) = std::thread::scope(|scope| {
            let ask = scope.spawn(|| {
                let began = Instant::now();
                site.ask(&["config", "reload"]).expect("the configuration is sound");
                began.elapsed()
            });
            let mut longest = Duration::ZERO;
            while !ask.is_finished() {
                longest = longest.max(callers.asks_how_long());
                std::thread::park_timeout(Duration::from_millis(1));
            }
            (ask.join().expect("it was answered"), longest)
        });
        loads.push(whole);
        still.push(longest);
    }
    tell("order to load until it is answered", &mut loads);
    tell("longest answer to OPTIONS meanwhile", &mut still);
    phones.settle(&mut callers, Duration::from_millis(100));
    assert_eq!(callers.up(), WAITING, "a call was touched");
    drop(daemon);
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:.2?}, p99 {:.2?}, longest {:.2?} of {}", at(50), at(99), at(100), times.len());
}

fn agent(queue: usize, at: usize) -> String {
    format!("a{queue}x{at}")
}

fn number(queue: usize) -> String {
    format!("+47361{queue:05}")
}

fn people(agents: &[String]) -> String {
    let person = |agent: &String| {
        format!(
            "[users.{agent}]\nname = \"{agent}\"\n[devices.{agent}]\nuser = \"{agent}\"\npassword = \"{agent}-hemmelig\"\n"
        )
    };
    agents.iter().map(person).collect()
}

fn line(kind: &str, at: usize, agents: &[String], keys: &str) -> String {
    format!(
        "[{kind}.q{at}]\nname = \"Q{at}\"\nagents = {agents:?}\nauto_login = true\nmax_calls = 1000\nmax_wait = \"1h\"\n\
         welcome = false\ncomfort = false\nannounce = false\nauto_pause = false\noverflow = \"hangup\"\n{keys}\n"
    )
}

/// The first queue widens and nobody answers there; each other has one agent.
fn widening_and_others() -> String {
    let mut text = String::new();
    for queue in 0..QUEUES {
        let agents: Vec<String> = (0..if queue == 0 { WIDE } else { 1 }).map(|at| agent(queue, at)).collect();
        let keys = if queue == 0 {
            "strategy = \"widening\"\nring = \"30s\"\nwidening = { start = 1, add = 1, every = \"1s\" }"
        } else {
            "strategy = \"longest-idle\"\nring = \"2m\""
        };
        text.push_str(&people(&agents));
        text.push_str(&line("queues", queue, &agents, keys));
    }
    text
}

/// A company of a thousand users and a hundred queues that differs by `load`.
fn large(at: usize, load: usize) -> String {
    let mut text = format!("[company]\nname = \"Stor {load} AS\"\n[voicemail.felles]\nusers = [\"u1\"]\n");
    for user in 0..1_000 {
        let written = writeln!(
            text,
            "[users.u{user}]\nname = \"Bruker {user}\"\next = \"{}\"\nnumber = \"+47{}\"\nvoicemail = true\n\
             [devices.d{at}x{user}]\nuser = \"u{user}\"\npassword = \"d{at}x{user}-hemmelig\"",
            20_000 + user,
            37_010_000 + at * 1_000 + user
        );
        written.expect("a string takes everything");
    }
    for queue in 0..100 {
        let agents: Vec<String> = (0..25).map(|agent| format!("u{}", (queue * 25 + agent) % 1_000)).collect();
        let written = writeln!(
            text,
            "[queues.q{queue}]\nname = \"Kø {queue}\"\next = \"{}\"\nagents = {agents:?}\noverflow = \"voicemail:felles\"",
            6_000 + queue
        );
        written.expect("a string takes everything");
    }
    text
}

/// The test company with more in it, whose numbers of queues lead there.
fn site(ports: usize, more: &str) -> Site {
    let site = Site::new();
    let config = site.folder().join("config");
    let edit = |name: &str, change: &dyn Fn(&str) -> String| {
        let file = config.join(name);
        let text = fs::read_to_string(&file).expect("it was written");
        fs::write(&file, change(&text)).expect("room on the disk");
    };
    let count = u16::try_from(2 * ports).expect("as many as there are");
    let first = free_ports(count);
    edit("server.toml", &|text| {
        let line = text.lines().find(|line| line.starts_with("ports = ")).expect("it has ports");
        text.replace(line, &format!("ports = \"{first}-{}\"", first + count - 1))
            .replace("\"debug\"", "\"warn\"")
            + "[trace]\nmemory = \"1MB\"\n"
    });
    edit("companies/prove.toml", &|text| {
        let queues = (0..QUEUES).filter(|queue| more.contains(&format!("[queues.q{queue}]")));
        let mut numbers: String =
            queues.map(|queue| format!("\"{}\" = \"queue:q{queue}\"\n", number(queue))).collect();
        if more.contains("[groups.alle]") {
            numbers.push_str("\"+4736100999\" = \"group:alle\"\n");
        }
        text.replace("[numbers]\n", &format!("[numbers]\n{numbers}")) + more
    });
    site
}

/// Resident kB.
fn resident(daemon: &Daemon<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Seconds of CPU for each second, over some time.
fn cpu_over(daemon: &Daemon<'_>, long: Duration) -> f64 {
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.process.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        // proc(5): utime and stime are fields 14 and 15, in hundredths of a second.
        let ticks = |at: usize| fields[at - 3].parse::<f64>().expect("a number");
        (ticks(14) + ticks(15)) / 100.0
    };
    let (began, before) = (Instant::now(), used());
    std::thread::park_timeout(long);
    while began.elapsed() < long {
        std::thread::park_timeout(long.saturating_sub(began.elapsed()));
    }
    (used() - before) / began.elapsed().as_secs_f64()
}

/// Callers on one socket, who wait and hear what is sent to a port where it is thrown away.
struct Callers {
    line: Line,
    /// Takes audio and reads none.
    sink: UdpSocket,
    count: usize,
    /// To of each, once there is one.
    to: BTreeMap<usize, (String, String)>,
    asked: usize,
}

impl Callers {
    fn new(site: &Site) -> Callers {
        let line = Line::new([127, 0, 0, 2], site.sip);
        let sink = UdpSocket::bind(SocketAddr::from((line.address.ip(), 0))).expect("a free port");
        Callers { line, sink, count: 0, to: BTreeMap::new(), asked: 0 }
    }

    fn call(&mut self, number: &str) -> usize {
        let caller = self.count;
        self.count += 1;
        let sdp = sdp(self.sink.local_addr().expect("it is bound"));
        let to = format!("<sip:{number}@127.0.0.1>");
        self.line.send(&self.request(caller, number, "INVITE", "invite", &to, Some(&sdp)));
        // CANCEL is sent with what the INVITE had.
        self.to.insert(caller, (number.to_owned(), String::new()));
        caller
    }

    /// Callers who hear something and have not gone.
    fn up(&self) -> usize {
        self.to.values().filter(|(_, to)| !to.is_empty()).count()
    }

    fn end(&mut self, caller: usize) {
        let (number, to) = self.to.remove(&caller).expect("they are there");
        let request = match &*to {
            "" => {
                self.request(caller, &number, "CANCEL", "invite", &format!("<sip:{number}@127.0.0.1>"), None)
            }
            to => self.request(caller, &number, "BYE", "bye", to, None),
        };
        self.line.send(&request);
    }

    fn end_all(&mut self) {
        let callers: Vec<usize> = self.to.keys().copied().collect();
        callers.into_iter().for_each(|caller| self.end(caller));
    }

    /// Sends OPTIONS; how long until it is answered.
    fn asks_how_long(&mut self) -> Duration {
        self.asked += 1;
        let call_id = format!("ask-{}", self.asked);
        let own = self.line.address;
        let began = Instant::now();
        self.line.send(&format!(
            "OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{call_id}\nMax-Forwards: 70\n\
             From: <sip:c@127.0.0.2>;tag=a\nTo: <sip:127.0.0.1>\nCall-ID: {call_id}\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
        ));
        while let Some(message) = self.line.receive(PATIENCE) {
            if header(&message, "Call-ID") == call_id {
                return began.elapsed();
            }
            self.on_message(&message);
        }
        panic!("no answer to OPTIONS");
    }

    fn hear(&mut self) {
        while let Some(message) = self.line.receive(Duration::from_micros(50)) {
            self.on_message(&message);
        }
    }

    fn on_message(&mut self, message: &str) {
        let call_id = header(message, "Call-ID");
        let Some(caller) = call_id.strip_prefix("figures-").and_then(|at| at.parse().ok()) else { return };
        if message.starts_with("BYE ") {
            self.line.send(&reply(message, "200 OK", "", None));
            self.to.remove(&caller);
            return;
        }
        let (status, cseq) = (message.get(8..11).unwrap_or_default(), header(message, "CSeq"));
        if cseq != "1 INVITE" || status.starts_with('1') {
            return;
        }
        let to = header(message, "To").to_owned();
        let number = to.split([':', '@']).nth(1).expect("a number").to_owned();
        let branch = if status == "200" { "ack" } else { "invite" };
        self.line.send(&self.request(caller, &number, "ACK", branch, &to, None));
        match self.to.get_mut(&caller) {
            Some(of) if status == "200" => of.1 = to,
            Some(_) => drop(self.to.remove(&caller)),
            None => {}
        }
    }

    fn request(
        &self,
        caller: usize,
        number: &str,
        method: &str,
        branch: &str,
        to: &str,
        body: Option<&str>,
    ) -> String {
        let own = self.line.address;
        let body = body.unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let cseq = if method == "BYE" { 2 } else { 1 };
        format!(
            "{method} sip:{number}@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{caller}-{branch}\n\
             Max-Forwards: 70\nFrom: <sip:+4790{:06}@127.0.0.2>;tag=c{caller}\nTo: {to}\nCall-ID: figures-{caller}\n\
             CSeq: {cseq} {method}\nContact: <sip:carrier@{own}>\n{kind}Content-Length: {}\n\n{body}",
            caller % 1_000_000,
            body.len() + body.lines().count(),
        )
    }
}

/// A talk of an agent.
struct Talk {
    agent: String,
    queue: usize,
    /// Ours, as the daemon knows us, and the daemon's.
    to: String,
    from: String,
    /// Where the daemon wants to be spoken to.
    contact: String,
}

/// Agents' phones on one socket: all but those of the first queue answer at once.
struct Phones {
    line: Line,
    sink: UdpSocket,
    /// INVITEs by Call-ID, until they are answered for good.
    invites: BTreeMap<String, String>,
    talks: BTreeMap<String, Talk>,
    ringing: usize,
    /// Whom INVITEs came for, and when, since this was emptied.
    rung: VecDeque<(String, Instant)>,
    cancelled: Vec<Instant>,
}

impl Phones {
    fn new(site: &Site) -> Phones {
        let line = Line::new([127, 0, 0, 1], site.sip);
        let sink = UdpSocket::bind(SocketAddr::from((line.address.ip(), 0))).expect("a free port");
        Phones {
            line,
            sink,
            invites: BTreeMap::new(),
            talks: BTreeMap::new(),
            ringing: 0,
            rung: VecDeque::new(),
            cancelled: Vec::new(),
        }
    }

    fn register(&mut self, agent: &str) {
        register(&self.line, agent, self.line.address);
    }

    fn settle(&mut self, callers: &mut Callers, long: Duration) {
        self.settle_until(callers, Instant::now() + long);
    }

    fn settle_until(&mut self, callers: &mut Callers, until: Instant) {
        while Instant::now() < until {
            callers.hear();
            while let Some(message) = self.line.receive(Duration::from_micros(50)) {
                self.on_message(&message);
            }
        }
    }

    /// The agent hangs up.
    fn hang_up(&mut self, call_id: &str, talk: &Talk) {
        self.rung.clear();
        let Talk { to, from, contact, .. } = talk;
        let own = self.line.address;
        self.line.send(&format!(
            "BYE {contact} SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{call_id}-bye\nMax-Forwards: 70\n\
             From: {to}\nTo: {from}\nCall-ID: {call_id}\nCSeq: 1 BYE\nContent-Length: 0\n\n"
        ));
    }

    /// When the INVITE for an agent came.
    fn until_rung(&mut self, agent: &str) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, at)) = self.rung.iter().find(|(rung, _)| rung == agent) {
                return *at;
            }
            assert!(Instant::now() < deadline, "{agent} is not rung");
            if let Some(message) = self.line.receive(Duration::from_millis(100)) {
                self.on_message(&message);
            }
        }
    }

    /// When the first and the last of those that rang were cancelled.
    fn until_silent(&mut self) -> (Instant, Instant) {
        self.cancelled.clear();
        let deadline = Instant::now() + PATIENCE;
        while self.ringing > 0 {
            assert!(Instant::now() < deadline, "{} still ring", self.ringing);
            if let Some(message) = self.line.receive(Duration::from_millis(100)) {
                self.on_message(&message);
            }
        }
        (self.cancelled[0], *self.cancelled.last().expect("as many as rang"))
    }

    fn on_message(&mut self, message: &str) {
        let at = Instant::now();
        let call_id = header(message, "Call-ID").to_owned();
        match message.split(' ').next().unwrap_or_default() {
            "INVITE" if !self.invites.contains_key(&call_id) => {
                let agent = message.split([':', '@']).nth(1).expect("a Request-URI").to_owned();
                self.rung.push_back((agent.clone(), at));
                self.line.send(&reply(message, "180 Ringing", &agent, None));
                if agent.starts_with("a0x") {
                    self.ringing += 1;
                } else {
                    let sdp = sdp(self.sink.local_addr().expect("it is bound"));
                    self.line.send(&reply(message, "200 OK", &agent, Some(&sdp)));
                }
                self.invites.insert(call_id, message.to_owned());
            }
            "ACK" => {
                let Some(invite) = self.invites.get(&call_id) else { return };
                let agent = invite.split([':', '@']).nth(1).expect("a Request-URI").to_owned();
                let queue = agent.trim_start_matches('a').split('x').next().and_then(|at| at.parse().ok());
                let talk = Talk {
                    queue: queue.expect("a queue of ours"),
                    to: header(message, "To").to_owned(),
                    from: header(message, "From").to_owned(),
                    contact: header(invite, "Contact").trim_matches(['<', '>']).to_owned(),
                    agent,
                };
                // That of a refusal founds nothing.
                if talk.queue > 0 {
                    self.talks.insert(call_id, talk);
                }
            }
            "CANCEL" => {
                self.line.send(&reply(message, "200 OK", "", None));
                if let Some(invite) = self.invites.remove(&call_id) {
                    let agent = invite.split([':', '@']).nth(1).expect("a Request-URI").to_owned();
                    self.line.send(&reply(&invite, "487 Request Terminated", &agent, None));
                    self.ringing -= 1;
                    self.cancelled.push(at);
                }
            }
            "BYE" => {
                self.line.send(&reply(message, "200 OK", "", None));
                self.talks.remove(&call_id);
            }
            _ => {}
        }
    }
}

fn sdp(audio: SocketAddr) -> String {
    let (ip, port) = (audio.ip(), audio.port());
    format!("v=0\no=- 1 1 IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\nm=audio {port} RTP/AVP 8\n")
}

/// A response; a tag is added where there is none.
fn reply(request: &str, status: &str, tag: &str, body: Option<&str>) -> String {
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
        let value = header(request, name);
        let tag =
            if name == "To" && !value.contains(";tag=") { format!(";tag={tag}") } else { String::new() };
        format!("{name}: {value}{tag}\n")
    });
    let body = body.unwrap_or_default();
    let contact = request.split(' ').nth(1).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    format!(
        "SIP/2.0 {status}\n{}Contact: <{contact}>\n{kind}Content-Length: {}\n\n{body}",
        copied.concat(),
        body.len() + body.lines().count(),
    )
}
