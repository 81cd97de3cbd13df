//! Two endpoints and the network between them, in virtual time; what gets lost is said by a rule or by chance.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use sentral::rand::Rng;
use sentral::sip::Body;
use sentral::sip::ConnectionId;
use sentral::sip::DialogId;
use sentral::sip::Event;
use sentral::sip::Extra;
use sentral::sip::Hop;
use sentral::sip::Input;
use sentral::sip::Message;
use sentral::sip::Output;
use sentral::sip::Transport;
use sentral::sip::Uri;
use sentral::sip::endpoint::Endpoint;
use sentral::sip::endpoint::Settings;
use sentral::sip::header::NameAddr;
use sentral::sip::invite::Invite;
use sentral::time::Now;
use sentral::time::Timestamp;

/// The caller's side in most tests.
pub(crate) const A: usize = 0;
/// The callee's.
pub(crate) const B: usize = 1;

/// One message that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// When, since the start.
    pub(crate) at: Duration,
    /// By whom.
    pub(crate) by: usize,
    /// Start line without version: `INVITE sip:…` or `200 OK`.
    pub(crate) line: String,
    /// CSeq method.
    pub(crate) of: String,
    /// All of it.
    pub(crate) text: String,
}

/// One thing that happened, in the order of all: `< CANCEL 7` and `< 200 INVITE 7` arrived, `= BYE 8` was sent, `> Acked`
/// was told; a test adds what the users did, as `! accept`.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    /// When, since the start.
    pub(crate) at: Duration,
    /// At which side.
    pub(crate) side: usize,
    /// What, in words.
    pub(crate) what: String,
    /// The message, if it is one.
    pub(crate) text: String,
}

/// Decides what is lost, from what is sent and how many like it (same side, start line and CSeq) were before.
pub(crate) type Rule = Box<dyn FnMut(&Sent, usize) -> bool>;

/// Two endpoints and what is between them.
pub(crate) struct Net {
    /// Virtual time.
    pub(crate) now: Now,
    start: Instant,
    /// A and B.
    pub(crate) sides: [Endpoint; 2],
    /// What each was told and has not been taken.
    pub(crate) events: [Vec<Event>; 2],
    /// Everything sent, lost or not.
    pub(crate) log: Vec<Sent>,
    /// Everything that happened.
    pub(crate) history: Vec<Happened>,
    /// What is lost.
    pub(crate) lose: Rule,
    /// By chance: lost and doubled per thousand, longest delay.
    pub(crate) chance: Option<(Rng, usize, usize, Duration)>,
    wire: BTreeMap<(Instant, u64), (usize, Hop, Bytes)>,
    serial: u64,
    transport: Transport,
}

impl Net {
    /// Over UDP with nothing lost.
    pub(crate) fn new() -> Net {
        Net::over(Transport::Udp, 1)
    }

    /// Over the transport; `seed` decides tags and branches.
    pub(crate) fn over(transport: Transport, seed: u64) -> Net {
        let start = Instant::now();
        let side = |seed| Endpoint::new(Settings::default(), Rng::from_seed(seed));
        Net {
            now: Now { mono: start, utc: Timestamp::UNIX_EPOCH },
            start,
            sides: [side(2 * seed), side(2 * seed + 1)],
            events: [Vec::new(), Vec::new()],
            log: Vec::new(),
            history: Vec::new(),
            lose: Box::new(|_, _| false),
            chance: None,
            wire: BTreeMap::new(),
            serial: 0,
            transport,
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.mono - self.start
    }

    /// The way from one side to the other.
    pub(crate) fn hop(&self, from: usize) -> Hop {
        let connection = self.transport.reliable().then_some(ConnectionId(1));
        Hop { transport: self.transport, local: address(from), remote: address(1 - from), connection }
    }

    /// A call from A to B.
    pub(crate) fn invite(&mut self) -> DialogId {
        let invite = self.call();
        self.order(A, |endpoint, now| endpoint.invite(now, invite))
    }

    /// What `invite` sends.
    pub(crate) fn call(&self) -> Invite {
        Invite {
            uri: Uri::parse("sip:100@192.0.2.2").unwrap(),
            hop: self.hop(A),
            route: Vec::new(),
            from: NameAddr::parse("\"Anna\" <sip:200@a.example>").unwrap(),
            to: NameAddr::parse("<sip:100@b.example>").unwrap(),
            contact_user: "200".to_owned(),
            call_id: None,
            extra: Extra::new(),
            body: Some(offer()),
            credentials: None,
            max_forwards: 70,
            edits: Vec::new(),
        }
    }

    /// Gives an order to one side and carries its outputs to the wire.
    pub(crate) fn order<T>(&mut self, side: usize, order: impl FnOnce(&mut Endpoint, Now) -> T) -> T {
        let result = order(&mut self.sides[side], self.now);
        self.drain(side);
        result
    }

    /// Lets one side receive a message by hand.
    pub(crate) fn deliver(&mut self, to: usize, text: &str) {
        let hop = self.hop(to);
        self.deliver_along(to, hop, text);
    }

    /// Lets one side receive a message along a way of its own.
    pub(crate) fn deliver_along(&mut self, to: usize, hop: Hop, text: &str) {
        let message = Message::parse(Bytes::from(text.to_owned()), 65_535).expect(text);
        self.input(to, Input::Message { hop, message });
    }

    /// Lets something happen to one side.
    pub(crate) fn input(&mut self, to: usize, input: Input) {
        self.order(to, |endpoint, now| endpoint.handle_input(now, input));
    }

    /// Lets time pass, with all that is due in it.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.step(at);
        }
        self.now = self.now.later(end - self.now.mono);
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        let timers = self.sides.iter().filter_map(|side| side.poll_timeout()).map(|(at, _)| at);
        timers.chain(self.wire.keys().map(|(at, _)| *at).take(1)).min()
    }

    /// Does what is due at `at`.
    pub(crate) fn step(&mut self, at: Instant) {
        self.now = self.now.later(at.saturating_duration_since(self.now.mono));
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= at) {
            let (to, hop, bytes) = entry.remove();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.note(to, '<', text);
            let message = Message::parse(bytes, 65_535).expect("endpoints send what they can read");
            self.input(to, Input::Message { hop, message });
        }
        for side in [A, B] {
            self.order(side, |endpoint, now| endpoint.handle_timeout(now));
        }
    }

    /// Takes what one side was told.
    pub(crate) fn take(&mut self, side: usize) -> Vec<Event> {
        std::mem::take(&mut self.events[side])
    }

    /// Takes what one side was told, in words.
    pub(crate) fn told(&mut self, side: usize) -> Vec<String> {
        self.take(side).iter().map(word).collect()
    }

    /// When one side sent messages whose start line begins so, in milliseconds.
    pub(crate) fn times(&self, by: usize, line: &str) -> Vec<u128> {
        let sent = self.log.iter().filter(|sent| sent.by == by && sent.line.starts_with(line));
        sent.map(|sent| sent.at.as_millis()).collect()
    }

    /// How many messages of one side begin so.
    pub(crate) fn count(&self, by: usize, line: &str) -> usize {
        self.times(by, line).len()
    }

    /// The last message of one side whose start line begins so.
    pub(crate) fn last(&self, by: usize, line: &str) -> &Sent {
        let mut sent = self.log.iter().rev().filter(|sent| sent.by == by && sent.line.starts_with(line));
        sent.next().unwrap_or_else(|| panic!("{by} did not send {line}"))
    }

    /// Runs until nothing is left to happen, at most an hour, and checks that nothing is left over.
    pub(crate) fn finish(&mut self) {
        self.run(Duration::from_secs(3600));
        for (name, side) in ["A", "B"].iter().zip(&self.sides) {
            assert!(
                side.is_empty(),
                "{name} keeps {} dialogs, {} transactions",
                side.dialogs(),
                side.transactions()
            );
        }
    }

    /// Adds to the history.
    pub(crate) fn happened(&mut self, side: usize, what: String, text: String) {
        self.history.push(Happened { at: self.elapsed(), side, what, text });
    }

    fn note(&mut self, side: usize, sign: char, text: String) {
        let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)).map(str::to_owned);
        let cseq = header(&text, "CSeq");
        let (number, method) = cseq.split_once(' ').unwrap_or_default();
        let what = match status {
            Some(status) => format!("{sign} {status} {method} {number}"),
            None => format!("{sign} {method} {number}"),
        };
        self.happened(side, what, text);
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.sides[side].poll_output() {
            match output {
                Output::Event(event) => {
                    self.happened(side, format!("> {}", word(&event)), String::new());
                    self.events[side].push(event);
                }
                Output::Transmit(transmit) => self.send(side, transmit.hop, transmit.bytes),
            }
        }
    }

    fn send(&mut self, by: usize, hop: Hop, bytes: Bytes) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.note(by, '=', text.clone());
        let line = text.lines().next().unwrap_or_default().replace("SIP/2.0", "").trim().to_owned();
        let of = header(&text, "CSeq").split(' ').nth(1).unwrap_or_default().to_owned();
        let sent = Sent { at: self.elapsed(), by, line, of, text };
        let alike = |other: &&Sent| other.by == sent.by && other.line == sent.line && other.of == sent.of;
        let before = self.log.iter().filter(alike).count();
        let lost = (self.lose)(&sent, before);
        self.log.push(sent);
        if lost || hop.remote != address(1 - by) {
            return;
        }
        let mut delays = vec![Duration::ZERO];
        if let Some((rng, lost, doubled, delay)) = &mut self.chance {
            let mut by_chance = || *delay * rng.below(1000) as u32 / 1000;
            delays = vec![by_chance(), by_chance()];
            if rng.below(1000) >= *doubled {
                delays.pop();
            }
            if rng.below(1000) < *lost {
                delays.pop();
            }
        }
        for delay in delays {
            self.serial += 1;
            let way = self.hop(1 - by);
            self.wire.insert((self.now.mono + delay, self.serial), (1 - by, way, bytes.clone()));
        }
    }
}

/// Of one side.
pub(crate) fn address(side: usize) -> SocketAddr {
    ["192.0.2.1:5060", "192.0.2.2:5060"][side].parse().unwrap()
}

/// The value of a header.
pub(crate) fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(other, _)| *other == name).map_or("", |(_, value)| value)
}

/// An SDP offer or answer; the endpoint does not look into it.
pub(crate) fn offer() -> Body {
    Body::sdp("v=0\r\n".to_owned())
}

/// The dialog that an event names.
pub(crate) fn dialog(event: &Event) -> Option<DialogId> {
    match event {
        Event::Invite { dialog, .. }
        | Event::Cancelled { dialog, .. }
        | Event::Acked { dialog, .. }
        | Event::NotAcked { dialog }
        | Event::Progress { dialog, .. }
        | Event::Answered { dialog, .. }
        | Event::Failed { dialog, .. }
        | Event::Reoffer { dialog, .. }
        | Event::Reanswered { dialog, .. }
        | Event::ReofferFailed { dialog, .. }
        | Event::Refresh { dialog }
        | Event::Bye { dialog, .. }
        | Event::Gone { dialog } => Some(*dialog),
        Event::Request { dialog, .. } | Event::Response { dialog, .. } => *dialog,
        Event::Closed { .. } | Event::Refused { .. } => None,
    }
}

/// An event in one word, with its status if it has one.
pub(crate) fn word(event: &Event) -> String {
    match event {
        Event::Invite { .. } => "Invite".to_owned(),
        Event::Cancelled { .. } => "Cancelled".to_owned(),
        Event::Acked { .. } => "Acked".to_owned(),
        Event::NotAcked { .. } => "NotAcked".to_owned(),
        Event::Progress { response, .. } => format!("Progress {}", response.status),
        Event::Answered { .. } => "Answered".to_owned(),
        Event::Failed { status, .. } => format!("Failed {status}"),
        Event::Reoffer { .. } => "Reoffer".to_owned(),
        Event::Reanswered { .. } => "Reanswered".to_owned(),
        Event::ReofferFailed { status, .. } => format!("ReofferFailed {status}"),
        Event::Bye { .. } => "Bye".to_owned(),
        Event::Gone { .. } => "Gone".to_owned(),
        Event::Request { request, .. } => format!("Request {}", request.method),
        Event::Response { status, .. } => format!("Response {status}"),
        Event::Refresh { .. } => "Refresh".to_owned(),
        Event::Closed { .. } => "Closed".to_owned(),
        Event::Refused { why } => format!("Refused {why}"),
    }
}
