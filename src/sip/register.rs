//! Registering ourselves at a trunk (RFC 3261 §10 as client), kept alive and tried again for ever (RFC 5626 §4.5).
//!
//! Sans I/O: it says which REGISTER to send, its owner sends it with `Endpoint::request` and brings back what came
//! of it. Left out: Path, Service-Route, Outbound flows (RFC 5626), several bindings at one registrar.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::rand::Rng;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Response;
use crate::sip::Uri;
use crate::sip::endpoint::Credentials;
use crate::sip::endpoint::OutOfDialog;
use crate::sip::header::Contacts;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::sip::message::Method;
use crate::time::Now;
use crate::time::earliest;

/// Wait after the first failure; each further one doubles it (RFC 5626 §4.5).
const FIRST_WAIT: Duration = Duration::from_secs(30);

/// Longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// Longest registration that a registrar can talk us into.
const LONGEST_EXPIRY_S: u32 = 24 * 3600;

/// An expiry so short that renewing it in time would be a flood.
const SHORTEST_EXPIRY_S: u32 = 20;

/// The "ping" of a stream (RFC 5626 §4.4.1).
pub const KEEP_ALIVE: &[u8] = b"\r\n\r\n";

/// Between keep-alives where the registrar asks for none: longest of the interval whose last fifth chance chooses from
/// (RFC 5626 §4.4.1).
const KEEP_ALIVE_S: u32 = 120;

/// What to register.
#[derive(Clone, Debug)]
pub struct Account {
    /// Request-URI: the registrar's domain.
    pub registrar: Uri,
    /// Address of record, as From and To.
    pub aor: NameAddr,
    /// User part of our Contact: what calls to us will be addressed to.
    pub contact_user: String,
    /// Digest credentials.
    pub credentials: Option<Credentials>,
    /// Wanted time between renewals, in seconds.
    pub expires_s: u32,
    /// Route headers, next hop first.
    pub route: Vec<NameAddr>,
    /// Our `+sip.instance`, with its angle brackets: the same after each restart. With it, a registration over a
    /// stream is a flow (RFC 5626) that is kept open.
    pub instance: Option<String>,
}

/// What comes out of a registration.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this with `Endpoint::request` and give the result to [`Registration::handle_response`].
    Send(Box<OutOfDialog>),
    /// Send the octets of a keep-alive, [`KEEP_ALIVE`], along this way.
    KeepAlive(Hop),
    /// It stands, or no longer stands; told when it changes, and with each failure.
    State {
        /// Whether calls will reach us.
        up: bool,
        /// Status of the answer, as a word for people: `registered`, `403 Forbidden`, `no answer` …
        why: String,
    },
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not begun, or waiting to try (again).
    Waiting,
    /// A REGISTER is on its way; with `true` one with Expires 0 follows it (§10.2: one at a time).
    Asking(bool),
    /// A REGISTER with Expires 0 is on its way.
    Leaving,
    /// Ended by its owner.
    Over,
}

/// Our registration at one registrar.
#[derive(Debug)]
pub struct Registration {
    account: Account,
    hop: Hop,
    rng: Rng,
    state: State,
    /// Until when the registrar keeps us.
    until: Option<Instant>,
    call_id: String,
    from_tag: String,
    cseq: u32,
    /// What the registrar demands at least.
    min_expires_s: u32,
    failures: u32,
    deadline: Option<Instant>,
    /// The longest time between keep-alives, and when the next one is due; streams only.
    keep_alive: Option<(u32, Instant)>,
    outputs: VecDeque<Output>,
}

impl Registration {
    /// A registration along `hop`; it begins with [`Registration::register`].
    pub fn new(account: Account, hop: Hop, mut rng: Rng) -> Registration {
        Registration {
            account,
            hop,
            state: State::Waiting,
            until: None,
            call_id: rng.token(),
            from_tag: rng.token(),
            cseq: 1 + rng.below(10_000) as u32,
            rng,
            min_expires_s: 0,
            failures: 0,
            deadline: None,
            keep_alive: None,
            outputs: VecDeque::new(),
        }
    }

    /// Changes the way to the registrar, for the next REGISTER.
    pub fn set_hop(&mut self, hop: Hop) {
        self.hop = hop;
    }

    /// Registers or renews at once, unless a REGISTER is on its way.
    pub fn register(&mut self) {
        if self.state == State::Waiting {
            self.ask();
        }
    }

    /// Takes our registration back; nothing is tried again after it.
    pub fn unregister(&mut self, now: Now) {
        (self.deadline, self.keep_alive) = (None, None);
        match self.state {
            State::Waiting if self.is_up(now) => self.leave(),
            State::Waiting => self.state = State::Over,
            State::Asking(_) => self.state = State::Asking(true),
            State::Leaving | State::Over => {}
        }
    }

    /// What came of the REGISTER: as told by `Event::Response`.
    pub fn handle_response(&mut self, now: Now, status: u16, response: Option<&Response>) {
        // Challenges met by the endpoint have raised CSeq (§10.2: it must rise).
        if let Some(cseq) = response.and_then(Response::cseq) {
            self.cseq = self.cseq.max(cseq.number);
        }
        match self.state {
            State::Leaving => {
                self.state = State::Over;
                self.until = None;
                self.outputs.push_back(Output::State { up: false, why: "unregistered".to_owned() });
                return;
            }
            State::Waiting | State::Over => return,
            State::Asking(true) => return self.leave(),
            State::Asking(false) => self.state = State::Waiting,
        }
        match (status, response) {
            (200..300, Some(response)) => self.granted(now, response),
            (423, Some(response)) if self.heed_minimum(response) => self.ask(),
            _ => self.failed(now, status, response),
        }
    }

    /// Renews or tries again when it is time.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.deadline.is_some_and(|at| at <= now.mono) {
            self.deadline = None;
            self.register();
        }
        if let Some((most_s, _)) = self.keep_alive.filter(|(_, at)| *at <= now.mono) {
            self.outputs.push_back(Output::KeepAlive(self.hop));
            self.keep_alive_later(now, most_s);
        }
    }

    /// The next deadline, and whose it is.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let keep_alive = self.keep_alive.map(|(_, at)| (at, "sip keep-alive"));
        earliest(self.deadline.map(|at| (at, "sip registration")), keep_alive)
    }

    /// Parameters of our Contact in REGISTER, with the `;` before each: which flow of which instance it is (RFC 5626
    /// §4.2). A datagram flow would have to be kept open by STUN, so none is asked for.
    pub fn contact_params(&self) -> String {
        match &self.account.instance {
            Some(instance) if self.hop.transport.reliable() => {
                format!(";reg-id=1;+sip.instance=\"{instance}\"")
            }
            Some(_) | None => String::new(),
        }
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the registrar keeps us at this moment.
    pub fn is_up(&self, now: Now) -> bool {
        self.until.is_some_and(|until| now.mono < until)
    }

    /// Whether it was taken back and nothing is on its way.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn leave(&mut self) {
        // Without an answer it runs out by itself.
        self.state = State::Leaving;
        self.send(0);
    }

    fn ask(&mut self) {
        self.state = State::Asking(false);
        self.deadline = None;
        self.send(self.account.expires_s.max(self.min_expires_s));
    }

    fn send(&mut self, expires_s: u32) {
        // One endpoint may have used two more numbers for challenges whose answers were lost.
        self.cseq = self.cseq.saturating_add(3);
        let mut from = self.account.aor.clone();
        from.params.set("tag", Some(&self.from_tag));
        let mut extra: Extra = vec![("Expires", expires_s.to_string())];
        if self.account.instance.is_some() && self.hop.transport.reliable() {
            extra.push(("Supported", "path, outbound".into()));
        }
        self.outputs.push_back(Output::Send(Box::new(OutOfDialog {
            method: Method::Register,
            uri: self.account.registrar.clone(),
            hop: self.hop,
            route: self.account.route.clone(),
            from,
            to: self.account.aor.clone(),
            call_id: Some(self.call_id.clone()),
            cseq: Some(self.cseq),
            extra,
            body: None,
            credentials: self.account.credentials.clone(),
            contact_user: Some(self.account.contact_user.clone()),
        })));
    }

    fn granted(&mut self, now: Now, response: &Response) {
        let wanted = self.account.expires_s.max(self.min_expires_s);
        let granted = self.expiry_of(response).unwrap_or(wanted).clamp(SHORTEST_EXPIRY_S, LONGEST_EXPIRY_S);
        let granted = Duration::from_secs(u64::from(granted));
        let was_up = self.is_up(now) && self.failures == 0;
        self.failures = 0;
        self.until = Some(now.mono + granted);
        // At 80 to 90 per cent, so that many trunks do not renew in step.
        self.deadline = Some(now.mono + granted * (800 + self.rng.below(101) as u32) / 1000);
        self.keep_alive = None;
        if self.hop.transport.reliable() {
            let asked = response.headers.get(&Name::FlowTimer).and_then(|value| value.trim().parse().ok());
            self.keep_alive_later(
                now,
                asked.unwrap_or(KEEP_ALIVE_S).clamp(SHORTEST_EXPIRY_S, LONGEST_EXPIRY_S),
            );
        }
        if !was_up {
            self.outputs.push_back(Output::State { up: true, why: "registered".to_owned() });
        }
    }

    /// RFC 5626 §4.4: at 80 to 100 per cent of the time that the registrar is ready to wait.
    fn keep_alive_later(&mut self, now: Now, most_s: u32) {
        let wait = Duration::from_secs(u64::from(most_s)) * (800 + self.rng.below(201) as u32) / 1000;
        self.keep_alive = Some((most_s, now.mono + wait));
    }

    /// The expiry of our own binding in the answer, or its Expires header (§10.2.4).
    fn expiry_of(&self, response: &Response) -> Option<u32> {
        let ours = |contact: &NameAddr| contact.uri.user().unwrap_or("") == self.account.contact_user;
        let own = match response.contacts() {
            Ok(Contacts::List(list)) => {
                list.iter().filter(|contact| ours(contact)).find_map(NameAddr::expires)
            }
            Ok(Contacts::Star) | Err(_) => None,
        };
        own.or_else(|| response.expires())
    }

    /// 423: takes over the registrar's minimum (§10.2.8); false when that would change nothing.
    fn heed_minimum(&mut self, response: &Response) -> bool {
        let minimum =
            response.headers.get(&Name::MinExpires).and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        if minimum <= self.account.expires_s.max(self.min_expires_s) || minimum > LONGEST_EXPIRY_S {
            return false;
        }
        self.min_expires_s = minimum;
        true
    }

    fn failed(&mut self, now: Now, status: u16, response: Option<&Response>) {
        // RFC 5626 §4.5: half of the doubled wait at least, the rest by chance; Retry-After wins if it is longer.
        let wait = (FIRST_WAIT * 2u32.saturating_pow(self.failures.min(16))).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        let jittered = wait * (500 + self.rng.below(501) as u32) / 1000;
        let asked = response.and_then(retry_after).unwrap_or_default().min(LONGEST_WAIT);
        self.deadline = Some(now.mono + jittered.max(asked));
        let why = match response {
            Some(response) => format!("{status} {}", response.reason),
            None if status == 408 => "no answer".to_owned(),
            None => "not reachable".to_owned(),
        };
        // What was granted holds until it runs out, but a trunk that refuses us is not to be trusted with calls.
        if response.is_some() {
            (self.until, self.keep_alive) = (None, None);
        }
        self.outputs.push_back(Output::State { up: self.is_up(now), why });
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers.get(&Name::RetryAfter)?;
    let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
    Some(Duration::from_secs(digits.parse::<u32>().ok()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn it_registers_renews_before_expiry_and_keeps_call_id_with_rising_cseq() {
        let (mut registration, now) = registration();
        registration.register();
        let first = sent(&mut registration);
        assert_eq!(first.extra, [("Expires", "300".to_owned())]);
        registration.handle_response(now, 200, Some(&granted(120)));
        assert!(matches!(registration.poll_output(), Some(Output::State { up: true, .. })));
        let renewal = registration.poll_timeout().unwrap().0 - now.mono;
        assert!((96..=108).contains(&renewal.as_secs()), "{renewal:?}");
        let later = now.later(renewal);
        registration.handle_timeout(later);
        let second = sent(&mut registration);
        assert_eq!(first.call_id, second.call_id);
        assert_eq!(first.from, second.from);
        assert!(second.cseq > first.cseq);
        // A renewal that is granted is no news.
        registration.handle_response(later, 200, Some(&granted(120)));
        assert!(registration.poll_output().is_none());
    }

    #[test]
    fn failures_double_the_wait_up_to_half_an_hour() {
        let (mut registration, mut now) = registration();
        registration.register();
        for wait in [30, 60, 120, 240, 480, 960, 1800, 1800, 1800] {
            sent(&mut registration);
            registration.handle_response(now, 408, None);
            assert!(matches!(registration.poll_output(), Some(Output::State { up: false, .. })));
            let at = registration.poll_timeout().unwrap().0;
            let waited = (at - now.mono).as_millis();
            assert!((wait * 500..=wait * 1000).contains(&waited), "{waited} of {wait}");
            now = now.later(at - now.mono);
            registration.handle_timeout(now);
        }
    }

    #[test]
    fn too_brief_is_answered_with_the_registrars_minimum_once() {
        let (mut registration, now) = registration();
        registration.register();
        sent(&mut registration);
        let mut brief = Response::new(423, None);
        brief.headers.push(Name::MinExpires, "600");
        registration.handle_response(now, 423, Some(&brief));
        assert_eq!(sent(&mut registration).extra, [("Expires", "600".to_owned())]);
        registration.handle_response(now, 423, Some(&brief));
        assert!(matches!(registration.poll_output(), Some(Output::State { up: false, .. })));
    }

    #[test]
    fn what_was_registered_is_taken_back() {
        let (mut registration, now) = registration();
        registration.register();
        sent(&mut registration);
        registration.handle_response(now, 200, Some(&granted(120)));
        registration.poll_output();
        registration.unregister(now);
        assert_eq!(sent(&mut registration).extra, [("Expires", "0".to_owned())]);
        assert!(registration.poll_timeout().is_none() && !registration.is_over());
        registration.handle_response(now, 200, Some(&Response::new(200, None)));
        assert!(registration.is_over() && !registration.is_up(now));
    }

    #[test]
    fn retry_after_is_heeded() {
        let (mut registration, now) = registration();
        registration.register();
        sent(&mut registration);
        let mut busy = Response::new(503, None);
        busy.headers.push(Name::RetryAfter, "300 (maintenance)");
        registration.handle_response(now, 503, Some(&busy));
        assert_eq!(registration.poll_timeout().unwrap().0 - now.mono, Duration::from_secs(300));
    }

    #[test]
    fn a_flow_over_a_stream_names_itself_and_is_kept_open_as_often_as_the_registrar_asks() {
        let (mut registration, mut now) = registration();
        registration.register();
        assert_eq!(registration.contact_params(), "");
        assert!(sent(&mut registration).extra.iter().all(|(name, _)| *name != "Supported"));
        registration.handle_response(now, 200, Some(&granted(300)));
        registration.poll_output();
        assert_eq!(registration.poll_timeout().unwrap().1, "sip registration");
        registration.hop.transport = Transport::Tls;
        let params = registration.contact_params();
        assert!(params.starts_with(";reg-id=1;+sip.instance=\"<urn:uuid:"), "{params}");
        for (timer, range) in [(None, 96..=120), (Some("30"), 24..=30), (Some("0"), 16..=20)] {
            registration.register();
            let asked = sent(&mut registration);
            assert!(asked.extra.contains(&("Supported", "path, outbound".to_owned())));
            let mut response = granted(300);
            if let Some(timer) = timer {
                response.headers.push(Name::FlowTimer, timer);
            }
            registration.handle_response(now, 200, Some(&response));
            for _ in 0..2 {
                let (at, whose) = registration.poll_timeout().unwrap();
                assert_eq!(whose, "sip keep-alive");
                assert!(range.contains(&(at - now.mono).as_secs()), "{timer:?}: {:?}", at - now.mono);
                now = now.later(at - now.mono);
                registration.handle_timeout(now);
                let output = registration.poll_output();
                assert!(matches!(output, Some(Output::KeepAlive(hop)) if hop.transport == Transport::Tls));
            }
        }
        // What is taken back is not kept open.
        registration.unregister(now);
        assert!(registration.poll_timeout().is_none());
    }

    fn granted(expires: u32) -> Response {
        let mut response = Response::new(200, None);
        response.headers.push(Name::Contact, "<sip:other@192.0.2.7>;expires=9999");
        response.headers.push(Name::Contact, format!("<sip:trunk@192.0.2.1>;expires={expires}"));
        response
    }

    fn sent(registration: &mut Registration) -> OutOfDialog {
        match registration.poll_output() {
            Some(Output::Send(ask)) => *ask,
            other => panic!("{other:?}"),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a test begins at some moment")]
    fn registration() -> (Registration, Now) {
        let now = Now { mono: Instant::now(), utc: crate::time::Timestamp::UNIX_EPOCH };
        let hop = Hop {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.2:5060".parse().unwrap(),
            connection: None,
        };
        let account = Account {
            registrar: Uri::parse("sip:carrier.example").unwrap(),
            aor: NameAddr::parse("<sip:trunk@carrier.example>").unwrap(),
            contact_user: "trunk".to_owned(),
            credentials: None,
            expires_s: 300,
            route: Vec::new(),
            instance: Some("<urn:uuid:00000000-0000-8000-8000-000000000001>".to_owned()),
        };
        (Registration::new(account, hop, Rng::from_seed(1)), now)
    }
}
