//! Many callers and many agents at once: all callers on one socket of the carrier's, all agents on one of phones'.
//!
//! What each did and suffered is kept, so that a test can say who talked with whom, who rang for nobody, and who left
//! when.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;
use std::time::Instant;

use sentral::rand::Rng;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::line::register;

/// So long a socket is listened to before the other one.
const TURN: Duration = Duration::from_millis(1);
/// Of a caller's number; three digits follow.
const NUMBERS: &str = "+4790000";

/// What callers and agents do.
#[derive(Clone)]
pub(crate) struct Manners {
    /// What is dialled.
    pub(crate) number: &'static str,
    /// How many call, one after the other.
    pub(crate) callers: usize,
    /// Between two calls.
    pub(crate) every: Duration,
    /// Milliseconds until an agent answers; nobody does when none.
    pub(crate) answer_ms: Option<Range<usize>>,
    /// How long a talk lasts, as its caller sees it.
    pub(crate) talk: Duration,
    /// Every so-maniest caller hangs up within 600 ms.
    pub(crate) impatient: Option<usize>,
}

/// A caller.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    /// To header of our dialog, once there is one.
    to: String,
    /// 200 has come.
    pub(crate) answered: bool,
    /// Hangs up, or has, since then.
    leaving: Option<Instant>,
    /// The call is over, in this order among all callers.
    pub(crate) over: Option<usize>,
    /// By the exchange.
    pub(crate) ended_by_them: bool,
}

/// A call to an agent.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Device.
    pub(crate) agent: String,
    /// Which caller.
    pub(crate) caller: usize,
    /// The INVITE, for its answers.
    invite: String,
    pub(crate) stage: Stage,
}

/// How far a call to an agent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Ringing,
    Cancelled,
    Answered,
    Talking,
    /// Answered too late: ended at once, because somebody else has the caller or the caller has gone.
    Elsewhere,
    Over,
}

#[derive(Debug)]
enum Act {
    Call(usize),
    HangUp(usize),
    Answer(String),
}

/// Callers and agents.
pub(crate) struct Crowd {
    manners: Manners,
    carrier: Line,
    phones: Line,
    rng: Rng,
    pub(crate) callers: Vec<Caller>,
    /// By Call-ID.
    pub(crate) rings: BTreeMap<String, Ring>,
    plans: BTreeMap<(Instant, usize), Act>,
    serial: usize,
    left: usize,
    /// From a caller's hanging up to the end of each ring for them.
    pub(crate) silence: Vec<Duration>,
    /// Rings that began after their caller's end was confirmed.
    pub(crate) ghosts: Vec<String>,
}

impl Crowd {
    /// Registers the agents' devices; nobody calls yet.
    pub(crate) fn new(site: &Site, seed: u64, agents: &[String], manners: Manners) -> Crowd {
        let (carrier, phones) = (Line::new([127, 0, 0, 2], site.sip), Line::new([127, 0, 0, 1], site.sip));
        for agent in agents {
            register(&phones, agent, phones.address);
        }
        let mut crowd = Crowd {
            carrier,
            phones,
            rng: Rng::from_seed(seed),
            callers: (0..manners.callers).map(|_| Caller::default()).collect(),
            rings: BTreeMap::new(),
            plans: BTreeMap::new(),
            serial: 0,
            left: 0,
            silence: Vec::new(),
            ghosts: Vec::new(),
            manners,
        };
        let begin = Instant::now();
        for caller in 0..crowd.callers.len() {
            crowd.plan(begin + crowd.manners.every * caller as u32, Act::Call(caller));
        }
        crowd
    }

    /// Lets everybody act until `done` or time is up; tells whether it is done.
    pub(crate) fn run(&mut self, within: Duration, mut done: impl FnMut(&Crowd) -> bool) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            while let Some(due) = self.plans.first_entry().filter(|plan| plan.key().0 <= Instant::now()) {
                let act = due.remove();
                self.act(act);
            }
            while let Some(message) = self.carrier.receive(TURN) {
                self.on_carrier(&message);
            }
            self.hear_phones();
            if done(self) {
                return true;
            }
        }
        false
    }

    /// Everybody who is still there hangs up.
    pub(crate) fn everybody_hangs_up(&mut self) {
        let there: Vec<usize> =
            (0..self.callers.len()).filter(|caller| self.callers[*caller].over.is_none()).collect();
        there.into_iter().for_each(|caller| self.act(Act::HangUp(caller)));
    }

    /// Everybody's call is over, and no phone rings.
    pub(crate) fn is_over(&self) -> bool {
        let quiet = |ring: &Ring| matches!(ring.stage, Stage::Cancelled | Stage::Elsewhere | Stage::Over);
        self.callers.iter().all(|caller| caller.over.is_some()) && self.rings.values().all(quiet)
    }

    /// Callers who hear something and have not gone.
    pub(crate) fn up(&self) -> usize {
        self.callers.iter().filter(|caller| caller.answered && caller.over.is_none()).count()
    }

    /// Callers in the order in which their calls ended.
    pub(crate) fn order_of_end(&self) -> Vec<usize> {
        let mut ended: Vec<_> =
            self.callers.iter().enumerate().filter_map(|(at, caller)| Some((caller.over?, at))).collect();
        ended.sort_unstable();
        ended.into_iter().map(|(_, caller)| caller).collect()
    }

    /// Agents who were connected with each caller.
    pub(crate) fn talks(&self) -> BTreeMap<usize, BTreeSet<&str>> {
        let mut talks: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        let with = |ring: &&Ring| matches!(ring.stage, Stage::Talking | Stage::Over);
        for ring in self.rings.values().filter(with) {
            talks.entry(ring.caller).or_default().insert(&ring.agent);
        }
        talks
    }

    fn plan(&mut self, at: Instant, act: Act) {
        self.serial += 1;
        self.plans.insert((at, self.serial), act);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Call(caller) => {
                self.carrier.send(&self.request(caller, "INVITE", 1));
                let every = self.manners.impatient;
                if every.is_some_and(|every| caller % every == every - 1) {
                    let wait = Duration::from_millis(self.rng.below(600) as u64);
                    self.plan(Instant::now() + wait, Act::HangUp(caller));
                }
            }
            Act::HangUp(caller) => {
                let of = &mut self.callers[caller];
                if of.over.is_some() || of.leaving.replace(Instant::now()).is_some() {
                    return;
                }
                let bye = of.answered;
                let request = self.request(caller, if bye { "BYE" } else { "CANCEL" }, 1 + u32::from(bye));
                self.carrier.send(&request);
            }
            Act::Answer(call_id) => {
                let Some(ring) = self.rings.get_mut(&call_id) else { return };
                if ring.stage == Stage::Ringing {
                    ring.stage = Stage::Answered;
                    let answer = reply(&ring.invite, "200 OK", &ring.agent, Some(&sdp(&self.phones)));
                    self.phones.send(&answer);
                }
            }
        }
    }

    fn on_carrier(&mut self, message: &str) {
        let caller: usize = header(message, "Call-ID").trim_start_matches("crowd-").parse().expect("ours");
        if message.starts_with("BYE ") {
            self.carrier.send(&reply(message, "200 OK", "", None));
            self.callers[caller].ended_by_them = true;
            return self.gone(caller);
        }
        let (status, cseq) = (message.get(8..11).unwrap_or_default(), header(message, "CSeq"));
        match (status, cseq) {
            ("200", "1 INVITE") => {
                let of = &mut self.callers[caller];
                of.to = header(message, "To").to_owned();
                let first = !std::mem::replace(&mut of.answered, true);
                let crossed = first && of.leaving.is_some();
                self.carrier.send(&self.request(caller, "ACK", 1));
                if crossed {
                    // The CANCEL came too late.
                    self.callers[caller].leaving = None;
                    self.act(Act::HangUp(caller));
                }
            }
            ("200", "2 BYE") => self.gone(caller),
            (_, "1 INVITE") if !status.starts_with('1') => {
                self.callers[caller].to = header(message, "To").to_owned();
                self.callers[caller].ended_by_them = status != "487";
                self.carrier.send(&self.request(caller, "ACK", 1));
                self.gone(caller);
            }
            _ => {}
        }
    }

    /// The exchange knows that a caller has gone: no phone may begin to ring after what it has sent so far.
    fn gone(&mut self, caller: usize) {
        self.hear_phones();
        if self.callers[caller].over.is_none() {
            self.left += 1;
            self.callers[caller].over = Some(self.left);
        }
    }

    fn hear_phones(&mut self) {
        while let Some(message) = self.phones.receive(TURN) {
            self.on_phone(&message);
        }
    }

    fn on_phone(&mut self, message: &str) {
        let call_id = header(message, "Call-ID").to_owned();
        let method = message.split(' ').next().unwrap_or_default();
        match (method, self.rings.get_mut(&call_id)) {
            ("INVITE", None) => self.ring(call_id, message),
            ("INVITE", Some(ring)) => {
                // Sent again: our answer was late.
                let status = if ring.stage == Stage::Ringing { "180 Ringing" } else { "100 Trying" };
                let answer = reply(message, status, &ring.agent, None);
                self.phones.send(&answer);
            }
            ("CANCEL", Some(ring)) => {
                let answers = [reply(message, "200 OK", &ring.agent, None)].into_iter().chain(
                    (ring.stage == Stage::Ringing)
                        .then(|| reply(&ring.invite, "487 Request Terminated", &ring.agent, None)),
                );
                answers.for_each(|answer| self.phones.send(&answer));
                if ring.stage == Stage::Ringing {
                    self.silence.extend(self.callers[ring.caller].leaving.map(|since| since.elapsed()));
                    ring.stage = Stage::Cancelled;
                }
            }
            ("ACK", Some(ring)) if ring.stage == Stage::Answered => {
                ring.stage = Stage::Talking;
                let caller = ring.caller;
                self.plan(Instant::now() + self.manners.talk, Act::HangUp(caller));
            }
            ("BYE", Some(ring)) => {
                let answer = reply(message, "200 OK", &ring.agent, None);
                self.phones.send(&answer);
                // Somebody else has the caller (200), or the caller has gone (487).
                let elsewhere = message.contains("\nReason: SIP;cause=");
                ring.stage = if elsewhere { Stage::Elsewhere } else { Stage::Over };
            }
            _ => {}
        }
    }

    fn ring(&mut self, call_id: String, invite: &str) {
        let agent = invite.split([':', '@']).nth(1).expect("a Request-URI").to_owned();
        let from = header(invite, "From");
        let digits = from.split(NUMBERS).nth(1).and_then(|rest| rest.get(..3)).expect("the caller is shown");
        let caller: usize = digits.parse().expect("a number of ours");
        if self.callers[caller].over.is_some() {
            self.ghosts.push(call_id.clone());
        }
        self.phones.send(&reply(invite, "180 Ringing", &agent, None));
        if let Some(within) = &self.manners.answer_ms {
            let wait = within.start + self.rng.below(within.len());
            let at = Instant::now() + Duration::from_millis(wait as u64);
            self.plan(at, Act::Answer(call_id.clone()));
        }
        let ring = Ring { agent, caller, invite: invite.to_owned(), stage: Stage::Ringing };
        self.rings.insert(call_id, ring);
    }

    fn request(&self, caller: usize, method: &str, cseq: u32) -> String {
        let (own, number) = (self.carrier.address, self.manners.number);
        let to = match &*self.callers[caller].to {
            _ if method == "CANCEL" => format!("<sip:{number}@127.0.0.1>"),
            "" => format!("<sip:{number}@127.0.0.1>"),
            to => to.to_owned(),
        };
        let body = if method == "INVITE" { sdp(&self.carrier) } else { String::new() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        // RFC 3261 §9.1, §17.1.1.3: a CANCEL, and the ACK of a refusal, have the branch of their INVITE.
        let branch = if method == "BYE" { "bye" } else { "invite" };
        format!(
            "{method} sip:{number}@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{caller}-{branch}\n\
             Max-Forwards: 70\nFrom: <sip:{NUMBERS}{caller:03}@127.0.0.2>;tag=c{caller}\nTo: {to}\n\
             Call-ID: crowd-{caller}\nCSeq: {cseq} {method}\nContact: <sip:carrier@{own}>\n{kind}\
             Content-Length: {}\n\n{body}",
            body.len() + body.lines().count(),
        )
    }
}

/// Audio is sent to the port where what comes is thrown away.
fn sdp(line: &Line) -> String {
    let ip = line.address.ip();
    format!("v=0\no=- 1 1 IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\nm=audio 9 RTP/AVP 8\n")
}

/// A response; an agent's tag is its name.
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
