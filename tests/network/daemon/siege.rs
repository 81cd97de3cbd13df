//! A daemon under attack: calls that stay up, a known phone that must be served, and what each attack costs.

use std::cell::Cell;
use std::fs;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use sentral::sip::Method;
use sentral::sip::digest;
use sentral::sip::message::Message;

use crate::daemon::Daemon;
use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a request is sent again; with so much loss nobody waits for longer.
const AGAIN: Duration = Duration::from_millis(500);
/// The known phone's password.
const PASSWORD: &str = "anna-hemmelig";
/// The number of a recording of a minute.
pub(crate) const TONE: &str = "+4736000130";

/// What an attack sent, and how much of it was answered.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) answered: usize,
}

/// A call that is up.
pub(crate) struct Up {
    /// Its Call-ID and the caller's tag.
    pub(crate) name: String,
    /// The To header of its answer.
    pub(crate) to: String,
}

/// A daemon with calls of a carrier and of a phone.
pub(crate) struct Siege<'a> {
    pub(crate) site: &'a Site,
    pub(crate) carrier: Line,
    /// Anna's, which is registered.
    pub(crate) phone: Line,
    pub(crate) calls: Vec<(Party, Up)>,
    daemon: Daemon<'a>,
    requests: Cell<u32>,
    /// At the beginning.
    resident_kb: u64,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Party {
    Carrier,
    Phone,
}

impl<'a> Siege<'a> {
    /// Starts the daemon, registers the phone and begins `calls` calls, half of them the phone's.
    pub(crate) fn begin(site: &'a Site, calls: usize) -> Siege<'a> {
        // The ring of messages would fill up with the attacks.
        let file = site.folder().join("config/server.toml");
        let text = fs::read_to_string(&file).expect("it was written");
        fs::write(&file, format!("{text}[trace]\nmemory = \"1MB\"\n")).expect("room on the disk");
        let daemon = site.start();
        let (carrier, phone) = (Line::new([127, 0, 0, 2], site.sip), Line::new([127, 0, 0, 1], site.sip));
        let mut siege =
            Siege { site, carrier, phone, calls: Vec::new(), daemon, requests: Cell::new(0), resident_kb: 0 };
        siege.register();
        for at in 0..calls {
            let party = if at % 2 == 0 { Party::Carrier } else { Party::Phone };
            let up = siege.call(party, &format!("up{at}"), TONE);
            siege.calls.push((party, up));
        }
        siege.resident_kb = siege.resident();
        println!("{calls} calls are up, resident {} kB", siege.resident_kb);
        siege
    }

    /// Runs an attack; afterwards no call is lost, the known phone registers and calls, and memory has not grown by
    /// more than `kb`.
    pub(crate) fn attack(&self, what: &str, kb: u64, attack: impl FnOnce(&Siege<'a>) -> Tally) {
        let (cpu, began) = (self.cpu(), Instant::now());
        let Tally { sent, answered } = attack(self);
        // What waits is served before this.
        let asked = Instant::now();
        self.register();
        let served = asked.elapsed();
        let each = (self.cpu() - cpu).as_secs_f64() * 1e6 / sent.max(1) as f64;
        let resident = self.resident();
        println!(
            "{what}: {sent} sent, {answered} answered, {} not, in {:.1?}; {each:.1} µs of CPU each; the phone \
             registered after {served:.1?}; resident {resident} kB",
            sent - answered.min(sent),
            began.elapsed(),
        );
        let up = self.call(Party::Phone, &format!("known-{}", self.requests.get()), TONE);
        assert!(self.hang_up(Party::Phone, &up), "{what}: the phone's call has ended");
        let status = self.site.ask(&["status"]).expect("the daemon answers");
        assert_eq!(status["calls"], self.calls.len(), "{what}: a call was lost");
        assert_eq!(status["bindings"], 1, "{what}: {status}");
        assert!(resident < self.resident_kb + kb, "{what}: from {} to {resident} kB", self.resident_kb);
    }

    /// Hangs up; every call must have been there, and all must be given back.
    pub(crate) fn end(self) {
        let lost = self.calls.iter().filter(|(party, up)| !self.hang_up(*party, up)).count();
        println!("calls lost: {lost} of {}", self.calls.len());
        assert_eq!(lost, 0);
        self.daemon.end();
    }

    /// Registers the phone at its address once more; tells the request that was accepted.
    pub(crate) fn register(&self) -> String {
        let to = "<sip:anna@127.0.0.1>";
        let (answer, request) = self.ask(Party::Phone, "REGISTER", "127.0.0.1", "register", to, "");
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        request
    }

    /// Calls a number and waits for the answer.
    pub(crate) fn call(&self, party: Party, name: &str, number: &str) -> Up {
        let line = self.line(party);
        let own = line.address.ip();
        let sdp = format!("v=0\no=- 1 1 IN IP4 {own}\ns=-\nc=IN IP4 {own}\nt=0 0\nm=audio 9 RTP/AVP 8\n");
        let (answer, _) = self.ask(party, "INVITE", &format!("{number}@127.0.0.1"), name, &uri(number), &sdp);
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        Up { name: name.into(), to: header(&answer, "To").into() }
    }

    /// Ends a call; tells whether it was still known.
    pub(crate) fn hang_up(&self, party: Party, up: &Up) -> bool {
        let (answer, _) = self.ask(party, "BYE", &format!("{TONE}@127.0.0.1"), &up.name, &up.to, "");
        answer.starts_with("SIP/2.0 200 ")
    }

    /// Sends a request until there is a final answer, with the password when that is asked for. Tells the answer and
    /// the request that got it.
    fn ask(
        &self,
        party: Party,
        method: &str,
        whom: &str,
        name: &str,
        to: &str,
        body: &str,
    ) -> (String, String) {
        let line = self.line(party);
        let mut credentials = String::new();
        loop {
            let cseq = self.requests.get() + 1;
            self.requests.set(cseq);
            let text = request(line, method, whom, name, cseq, to, &credentials, body);
            let answer = transact(line, &text);
            if method == "INVITE" {
                let to = header(&answer, "To");
                // RFC 3261 §17.1.1.3: with the branch of its INVITE, unless that was accepted.
                let ack = request(line, "ACK", whom, name, cseq, to, "", "");
                line.send(
                    &ack.replace("-ACK", if answer.starts_with("SIP/2.0 2") { "-ACK" } else { "-INVITE" }),
                );
            }
            if !credentials.is_empty() || !answer.starts_with("SIP/2.0 401 ") {
                return (answer, text);
            }
            credentials = authorization(&answer, PASSWORD, method, &format!("sip:{whom}"), 1);
        }
    }

    fn line(&self, party: Party) -> &Line {
        match party {
            Party::Carrier => &self.carrier,
            Party::Phone => &self.phone,
        }
    }

    /// Memory in use, in kB.
    fn resident(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.daemon.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// CPU used by all threads.
    fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.daemon.process.id())).expect("it runs");
        let used = tasks.filter_map(|task| {
            // A thread may end meanwhile.
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(used.sum())
    }
}

/// A request with line ends of one octet.
pub(crate) fn request(
    line: &Line,
    method: &str,
    whom: &str,
    name: &str,
    cseq: u32,
    to: &str,
    extra: &str,
    body: &str,
) -> String {
    let own = line.address;
    let from = if own.ip().to_string() == "127.0.0.2" { "+4790000001" } else { "anna" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    // Lines end with two bytes on the way.
    let length = body.len() + body.lines().count();
    format!(
        "{method} sip:{whom} SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{name}-{cseq}-{method}\nMax-Forwards: 70\n\
         From: <sip:{from}@127.0.0.1>;tag={name}\nTo: {to}\nCall-ID: {name}\nCSeq: {cseq} {method}\n\
         Contact: <sip:{from}@{own}>\n{kind}{extra}Content-Length: {length}\n\n{body}"
    )
}

/// A number as a From or To header without a tag.
pub(crate) fn uri(number: &str) -> String {
    format!("<sip:{number}@127.0.0.1>")
}

/// The header that answers a challenge as anna would with this password.
pub(crate) fn authorization(challenged: &str, password: &str, method: &str, uri: &str, count: u32) -> String {
    let parsed = Message::parse(Bytes::copy_from_slice(challenged.as_bytes()), 65_535);
    let Ok(Message::Response(response)) = parsed else { panic!("no response: {challenged}") };
    let challenge = digest::strongest(&response).expect("a challenge that can be met");
    let method = match method {
        "REGISTER" => Method::Register,
        "INVITE" => Method::Invite,
        "BYE" => Method::Bye,
        other => panic!("{other} is not challenged"),
    };
    let answer = digest::answer(&challenge, "anna", password, &method, uri, count, "0a4f113b");
    format!("Authorization: {answer}\n")
}

/// Sends a request again and again until its final answer comes.
pub(crate) fn transact(line: &Line, request: &str) -> String {
    let of = |text: &str| (header(text, "Call-ID").to_owned(), header(text, "CSeq").to_owned());
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        line.send(request);
        let again = Instant::now() + AGAIN;
        while let Some(rest) = again.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            let Some(answer) = line.receive(rest) else { break };
            let provisional = answer.starts_with("SIP/2.0 1");
            if answer.starts_with("SIP/2.0 ") && !provisional && of(&answer) == of(request) {
                return answer;
            }
        }
    }
    panic!("no answer in {PATIENCE:?} to\n{request}");
}

/// Takes what has come; tells how many requests it answers: provisional answers are not counted.
pub(crate) fn drain(line: &Line) -> usize {
    let mut answered = 0;
    while let Some(answer) = line.receive(Duration::from_millis(1)) {
        answered += usize::from(!answer.starts_with("SIP/2.0 1"));
    }
    answered
}
