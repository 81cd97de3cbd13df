//! Any messages to a user agent that calls and is called: nothing panics, its tables agree after each step, and when
//! the user has let go of everything and an hour has passed, nothing is left.
//!
//! Messages are separated by 0xFF and one octet that says what the user does before and upon them. What a stranger
//! cannot guess is written as a sign: `%t` for our tag, `%b` for our branch, `%c` for our Call-ID, of what was sent last.

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
use sentral::sip::Method;
use sentral::sip::Output;
use sentral::sip::Request;
use sentral::sip::Transport;
use sentral::sip::Uri;
use sentral::sip::endpoint::Endpoint;
use sentral::sip::endpoint::Settings;
use sentral::sip::header::NameAddr;
use sentral::sip::invite::Invite;
use sentral::sip::uri::Host;
use sentral::time::Now;
use sentral::time::Timestamp;

/// Messages of one run: every one costs time.
const MESSAGES_MAX: usize = 24;
/// Answers to repeats and timers included.
const OUTPUTS_MAX: usize = 20_000;

/// Gives the messages to an endpoint and lets it come to rest.
pub(crate) fn endpoint(octets: &[u8]) {
    let mut user = User::new();
    for part in octets.split(|octet| *octet == 0xff).take(MESSAGES_MAX) {
        let Some((choice, message)) = part.split_first() else { continue };
        user.step(*choice, message);
    }
    user.rest();
}

/// An endpoint and who uses it.
struct User {
    endpoint: Endpoint,
    now: Now,
    dialogs: Vec<DialogId>,
    tag: Vec<u8>,
    branch: Vec<u8>,
    call_id: Vec<u8>,
    outputs: usize,
}

impl User {
    fn new() -> User {
        User {
            endpoint: Endpoint::new(Settings::default(), Rng::from_seed(1)),
            now: Now { mono: Instant::now(), utc: Timestamp::UNIX_EPOCH },
            dialogs: Vec::new(),
            tag: Vec::new(),
            branch: Vec::new(),
            call_id: Vec::new(),
            outputs: 0,
        }
    }

    /// Bits 0–1: what is done upon an event; 2–3: what is done before the message; 4: over a connection; 5–6: how much
    /// time passes before it.
    fn step(&mut self, choice: u8, message: &[u8]) {
        let hop = hop(choice & 0x10 != 0);
        let passes = [0, 600, 5_000, 40_000][usize::from(choice >> 5 & 3)];
        self.run(Duration::from_millis(passes), choice);
        let (now, last) = (self.now, self.dialogs.last().copied());
        match (choice >> 2 & 3, last) {
            (1, _) => {
                let dialog = self.endpoint.invite(now, call(hop));
                self.dialogs.push(dialog);
            }
            (2, Some(dialog)) => {
                let _ = self.endpoint.reinvite(now, dialog, None);
            }
            (3, Some(dialog)) => self.endpoint.cancel(now, dialog, Extra::new()),
            _ => {}
        }
        self.drain(choice);
        if let Ok(message) = Message::parse(self.filled(message), 65_536) {
            self.endpoint.handle_input(self.now, Input::Message { hop, message });
            self.drain(choice);
        }
    }

    /// The message with our own words in place of `%t`, `%b` and `%c`.
    fn filled(&self, message: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(message.len() + 64);
        let mut rest = message;
        while let Some((first, after)) = rest.split_first() {
            let word = match (first, after.first()) {
                (b'%', Some(b't')) => &self.tag,
                (b'%', Some(b'b')) => &self.branch,
                (b'%', Some(b'c')) => &self.call_id,
                _ => {
                    out.push(*first);
                    rest = after;
                    continue;
                }
            };
            out.extend_from_slice(word);
            rest = &after[1..];
        }
        out.into()
    }

    /// Lets time pass, deadline by deadline.
    fn run(&mut self, passes: Duration, choice: u8) {
        let end = self.now.mono + passes;
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.later(at.saturating_duration_since(self.now.mono));
            self.endpoint.handle_timeout(self.now);
            self.drain(choice);
        }
        self.now = self.now.later(end - self.now.mono);
    }

    fn drain(&mut self, choice: u8) {
        while let Some(output) = self.endpoint.poll_output() {
            self.outputs += 1;
            assert!(self.outputs < OUTPUTS_MAX, "it does not come to rest");
            match output {
                Output::Transmit(transmit) => self.sent(transmit.bytes),
                Output::Event(event) => self.told(event, choice),
            }
        }
    }

    /// Whatever we send can be read, and is remembered for the signs.
    fn sent(&mut self, bytes: Bytes) {
        match Message::parse(bytes, usize::MAX) {
            Ok(Message::Request(request)) => {
                let tag = request.from().and_then(|from| from.tag().map(str::to_owned));
                self.tag = tag.unwrap_or_default().into();
                self.branch =
                    request.via().and_then(|via| via.branch().map(str::to_owned)).unwrap_or_default().into();
                self.call_id = request.call_id().unwrap_or_default().as_bytes().into();
            }
            Ok(Message::Response(response)) => {
                let tag = response.to().and_then(|to| to.tag().map(str::to_owned));
                self.tag = tag.unwrap_or_default().into();
            }
            // Headers that came to us and are copied into an answer may be too many for a reader.
            Err(_) => {}
        }
    }

    fn told(&mut self, event: Event, choice: u8) {
        let now = self.now;
        let endpoint = &mut self.endpoint;
        match event {
            Event::Invite { dialog, .. } => {
                self.dialogs.push(dialog);
                match choice & 3 {
                    0 => endpoint.accept(now, dialog, Extra::new(), body()),
                    1 => endpoint.reject(now, dialog, 486, Extra::new()),
                    2 => endpoint.ring(now, dialog, 180, Extra::new(), None),
                    _ => {}
                }
            }
            Event::Reoffer { dialog, .. } => match choice & 3 {
                0 => endpoint.accept(now, dialog, Extra::new(), body()),
                1 => endpoint.reject(now, dialog, 488, Extra::new()),
                _ => {}
            },
            Event::Answered { dialog, .. } | Event::Reanswered { dialog, .. } => {
                endpoint.ack(now, dialog, Some(body()));
                if choice & 3 == 1 {
                    endpoint.bye(now, dialog, Extra::new());
                }
            }
            Event::Request { transaction, request: Request { method: Method::Subscribe, .. }, .. } => {
                match endpoint.subscribe_accept(now, transaction, Extra::new()) {
                    Some(dialog) => {
                        self.dialogs.push(dialog);
                        endpoint.request_in(now, dialog, Method::Notify, Extra::new(), None);
                    }
                    None => endpoint.respond(now, transaction, 481, Extra::new(), None),
                }
            }
            Event::Request { transaction, .. } => endpoint.respond(now, transaction, 200, Extra::new(), None),
            Event::Refresh { dialog } => {
                // Another INVITE may be in progress.
                let _ = endpoint.reinvite(now, dialog, Some(body()));
            }
            Event::Cancelled { .. }
            | Event::Acked { .. }
            | Event::NotAcked { .. }
            | Event::Progress { .. }
            | Event::Failed { .. }
            | Event::ReofferFailed { .. }
            | Event::Bye { .. }
            | Event::Gone { .. }
            | Event::Response { .. }
            | Event::Closed { .. }
            | Event::Refused { .. } => {}
        }
    }

    /// Hangs up everything and waits for an hour.
    fn rest(mut self) {
        for dialog in std::mem::take(&mut self.dialogs) {
            self.endpoint.bye(self.now, dialog, Extra::new());
            self.drain(1);
        }
        self.run(Duration::from_secs(3_600), 1);
        for dialog in std::mem::take(&mut self.dialogs) {
            self.endpoint.bye(self.now, dialog, Extra::new());
            self.drain(1);
        }
        self.run(Duration::from_secs(3_600), 1);
        assert!(self.endpoint.is_empty(), "something is left: {:?}", self.endpoint);
    }
}

fn hop(stream: bool) -> Hop {
    let (local, remote) = (([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 2], 5060).into());
    match stream {
        true => Hop { transport: Transport::Tcp, local, remote, connection: Some(ConnectionId(1)) },
        false => Hop { transport: Transport::Udp, local, remote, connection: None },
    }
}

fn call(hop: Hop) -> Invite {
    let address = |user| NameAddr::new(Uri::sip(Some(user), Host::V4([192, 0, 2, 2].into()), None));
    Invite {
        uri: address("100").uri,
        hop,
        route: Vec::new(),
        from: address("200"),
        to: address("100"),
        contact_user: "200".to_owned(),
        call_id: None,
        extra: Extra::new(),
        body: Some(body()),
        credentials: None,
        max_forwards: 70,
        edits: Vec::new(),
    }
}

fn body() -> Body {
    Body::sdp("v=0\r\n".to_owned())
}
