//! A scripted phone, or a carrier: an endpoint of our own stack that answers as it is told.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use sentral::rand::Rng;
use sentral::sip;
use sentral::sip::Body;
use sentral::sip::ConnectionId;
use sentral::sip::DialogId;
use sentral::sip::Event;
use sentral::sip::Hop;
use sentral::sip::Method;
use sentral::sip::TransactionId;
use sentral::sip::Transmit;
use sentral::sip::Transport;
use sentral::sip::Uri;
use sentral::sip::endpoint::Credentials;
use sentral::sip::endpoint::Endpoint;
use sentral::sip::endpoint::OutOfDialog;
use sentral::sip::endpoint::Settings;
use sentral::sip::header::Contacts;
use sentral::sip::header::NameAddr;
use sentral::sip::invite::Invite;
use sentral::sip::message::Name;
use sentral::time::Now;

/// What a phone does with a call that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 180 at once, 200 after this long.
    After(Duration),
    /// 180, and nothing more.
    Ring,
    /// This final status at once.
    Refuse(u16),
    /// Nothing above 100 until 200 after this long.
    Late(Duration),
    /// 183 with SDP, and nothing more.
    Early,
}

/// Where a dialog of a phone stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Our INVITE has no final answer.
    Calling,
    /// Their INVITE has no final answer.
    Ringing,
    /// Up.
    Up,
    /// Over, with the status or 0 for BYE.
    Over(u16),
}

/// One call of a phone.
#[derive(Clone, Debug)]
pub struct Line {
    pub stage: Stage,
    /// Where we want to receive audio: names this line to the media of the world.
    pub audio: SocketAddr,
    /// Statuses and events, in order, for tests to look at.
    pub log: Vec<String>,
    /// From of an incoming call.
    pub from: String,
    /// The INVITE of an incoming call.
    pub invite: Option<sip::Request>,
    /// Our last INVITE had no offer.
    pub late: bool,
    /// We have cancelled: a 200 that crosses the CANCEL is hung up.
    pub cancelled: bool,
}

/// A user agent at one address.
pub struct Phone {
    pub name: String,
    pub address: SocketAddr,
    pub server: SocketAddr,
    pub domain: String,
    pub password: Option<String>,
    pub answer: Answer,
    /// Contact of a refusal with 3xx.
    pub redirect: Option<String>,
    /// Further headers of its INVITEs and refusals.
    pub extra: sip::Extra,
    /// Further headers of its 180s.
    pub ringing: sip::Extra,
    /// Bodies of the NOTIFYs that came.
    pub notified: Vec<String>,
    /// Requests that came, but for calls and what belongs to them; NOTIFYs among them.
    pub received: Vec<sip::Request>,
    /// How they are answered; 0 is not at all, and only for NOTIFY.
    pub reply: u16,
    /// The last final answer to a request of ours.
    pub told: Option<sip::Response>,
    /// Final status of the last REGISTER.
    pub registered: Option<u16>,
    /// Headers of that answer.
    pub granted: Vec<(String, String)>,
    /// Protocol and key of its SRTP, if it speaks that.
    pub srtp: Option<(&'static str, &'static str)>,
    /// Offers and takes telephone-events.
    pub events: bool,
    /// It speaks DTLS-SRTP and ICE, as browsers do, with this `a=ice-ufrag`.
    pub web: Option<&'static str>,
    /// Session descriptions of the answers that it got.
    pub answers: Vec<String>,
    /// Session descriptions of the re-INVITEs that it got.
    pub offers: Vec<String>,
    /// Its TCP connection to the server, if it does not speak UDP.
    pub connection: Option<ConnectionId>,
    pub lines: HashMap<DialogId, Line>,
    pub endpoint: Endpoint,
    due: Vec<(Instant, DialogId)>,
    next_audio: u16,
    outbox: VecDeque<Transmit>,
}

impl Phone {
    pub fn new(name: &str, address: &str, server: &str, domain: &str, rng: Rng) -> Phone {
        let settings = Settings {
            external: None,
            agent: "sim".into(),
            max_transactions: 10_000,
            max_dialogs: 10_000,
            allow: "INVITE, ACK, BYE, CANCEL",
            ..Settings::default()
        };
        Phone {
            name: name.into(),
            address: address.parse().unwrap(),
            server: server.parse().unwrap(),
            domain: domain.into(),
            password: None,
            answer: Answer::After(Duration::from_secs(1)),
            redirect: None,
            extra: Vec::new(),
            ringing: Vec::new(),
            notified: Vec::new(),
            received: Vec::new(),
            reply: 200,
            told: None,
            registered: None,
            granted: Vec::new(),
            srtp: None,
            events: true,
            web: None,
            answers: Vec::new(),
            offers: Vec::new(),
            connection: None,
            lines: HashMap::new(),
            endpoint: Endpoint::new(settings, rng),
            due: Vec::new(),
            next_audio: 30_000,
            outbox: VecDeque::new(),
        }
    }

    fn hop(&self) -> Hop {
        let transport = if self.connection.is_some() { Transport::Tcp } else { Transport::Udp };
        Hop { transport, local: self.address, remote: self.server, connection: self.connection }
    }

    fn uri(&self, user: &str) -> Uri {
        Uri::parse(&format!("sip:{user}@{}", self.domain)).unwrap()
    }

    fn credentials(&self) -> Option<Credentials> {
        self.password.clone().map(|password| Credentials { user: self.name.clone(), password })
    }

    pub fn register(&mut self, now: Now, expires: u32) {
        self.register_as(now, expires, self.name.clone());
    }

    /// Registers another contact of the same device.
    pub fn register_as(&mut self, now: Now, expires: u32, contact: String) {
        self.send_register(now, vec![("Expires", expires.to_string())], Some(contact));
    }

    /// Registers as an app that can be woken (RFC 8599).
    pub fn register_app(&mut self, now: Now, expires: u32) {
        let push = "pn-provider=fcm;pn-prid=token-1;pn-param=no.prove";
        let contact = format!("<sip:{}@{};{push}>;expires={expires}", self.name, self.address);
        self.send_register(now, vec![("Contact", contact)], None);
    }

    /// Registers so many contacts in one request.
    pub fn register_many(&mut self, now: Now, count: usize) {
        let contacts: Vec<String> = (0..count).map(|n| format!("<sip:many{n}@{}>", self.address)).collect();
        self.send_register(now, vec![("Contact", contacts.join(", "))], None);
    }

    fn send_register(&mut self, now: Now, extra: sip::Extra, contact_user: Option<String>) {
        let me = NameAddr::new(self.uri(&self.name.clone()));
        self.registered = None;
        self.endpoint.request(
            now,
            OutOfDialog {
                method: Method::Register,
                uri: Uri::parse(&format!("sip:{}", self.domain)).unwrap(),
                hop: self.hop(),
                route: Vec::new(),
                from: me.clone(),
                to: me,
                call_id: None,
                cseq: None,
                extra,
                body: None,
                credentials: self.credentials(),
                contact_user,
            },
        );
        self.settle(now);
    }

    /// Asks to be told of waiting messages.
    pub fn subscribe(&mut self, now: Now) {
        let me = NameAddr::new(self.uri(&self.name.clone()));
        self.endpoint.request(
            now,
            OutOfDialog {
                method: Method::Subscribe,
                uri: self.uri(&self.name.clone()),
                hop: self.hop(),
                route: Vec::new(),
                from: me.clone(),
                to: me,
                call_id: None,
                cseq: None,
                extra: vec![("Event", "message-summary".into()), ("Expires", "600".into())],
                body: None,
                credentials: self.credentials(),
                contact_user: Some(self.name.clone()),
            },
        );
        self.settle(now);
    }

    /// Asks the switch to transfer the other party of a line; its answer is in `registered`.
    pub fn refer(&mut self, now: Now, dialog: DialogId, to: &str) {
        self.registered = None;
        let extra = vec![("Refer-To", format!("<{to}>"))];
        self.endpoint.request_in(now, dialog, Method::Refer, extra, None).expect("the dialog stands");
        self.settle(now);
    }

    /// A Replaces value that names a line of this phone to the switch.
    pub fn replaces(&self, dialog: DialogId) -> String {
        let (ours, theirs) = self.endpoint.dialog_tags(dialog).unwrap();
        format!("{};to-tag={theirs};from-tag={ours}", self.endpoint.call_id(dialog).unwrap())
    }

    /// Sends a request to a name of the domain.
    pub fn ask(
        &mut self,
        now: Now,
        method: Method,
        name: &str,
        extra: sip::Extra,
        body: Option<Body>,
    ) -> TransactionId {
        let ask = OutOfDialog {
            method,
            uri: self.uri(name),
            hop: self.hop(),
            route: Vec::new(),
            from: NameAddr::new(self.uri(&self.name.clone())),
            to: NameAddr::new(self.uri(name)),
            call_id: None,
            cseq: None,
            extra,
            body,
            credentials: self.credentials(),
            contact_user: Some(self.name.clone()),
        };
        self.send_ask(now, ask)
    }

    /// Sends a SUBSCRIBE again in the dialog that this 2xx founded.
    pub fn subscribe_again(&mut self, now: Now, founded: &sip::Response, extra: sip::Extra) -> TransactionId {
        let contacts = founded.contacts().expect("a Contact that can be read");
        let Contacts::List(contacts) = contacts else { panic!("one Contact") };
        let ask = OutOfDialog {
            method: Method::Subscribe,
            uri: contacts[0].uri.clone(),
            hop: self.hop(),
            route: Vec::new(),
            from: founded.from().expect("From"),
            to: founded.to().expect("To"),
            call_id: founded.call_id().map(|id| id.into_owned()),
            // Far above those that the challenge took.
            cseq: founded.cseq().map(|cseq| cseq.number + 10),
            extra,
            body: None,
            credentials: self.credentials(),
            contact_user: Some(self.name.clone()),
        };
        self.send_ask(now, ask)
    }

    fn send_ask(&mut self, now: Now, ask: OutOfDialog) -> TransactionId {
        self.told = None;
        let transaction = self.endpoint.request(now, ask);
        self.settle(now);
        transaction
    }

    /// Calls a number; `late` leaves the offer to the other side.
    pub fn call(&mut self, now: Now, number: &str, late: bool) -> DialogId {
        self.call_with(now, number, late, Vec::new())
    }

    /// Calls with further headers.
    pub fn call_with(&mut self, now: Now, number: &str, late: bool, extra: sip::Extra) -> DialogId {
        self.call_to(now, self.uri(number), late, extra)
    }

    /// Calls a URI.
    pub fn call_uri(&mut self, now: Now, uri: Uri, late: bool) -> DialogId {
        self.call_to(now, uri, late, Vec::new())
    }

    fn call_to(&mut self, now: Now, uri: Uri, late: bool, extra: sip::Extra) -> DialogId {
        let audio = self.audio();
        let body = (!late).then(|| self.sdp(audio, "sendrecv"));
        let dialog = self.endpoint.invite(
            now,
            Invite {
                uri: uri.clone(),
                hop: self.hop(),
                route: Vec::new(),
                from: NameAddr::new(self.uri(&self.name.clone())),
                to: NameAddr::new(uri),
                contact_user: self.name.clone(),
                call_id: None,
                extra: self.extra.iter().cloned().chain(extra).collect(),
                body,
                credentials: self.credentials(),
                max_forwards: 70,
                edits: Vec::new(),
            },
        );
        self.lines.insert(
            dialog,
            Line {
                stage: Stage::Calling,
                audio,
                log: Vec::new(),
                from: String::new(),
                invite: None,
                late,
                cancelled: false,
            },
        );
        self.settle(now);
        dialog
    }

    pub fn cancel(&mut self, now: Now, dialog: DialogId) {
        if let Some(line) = self.lines.get_mut(&dialog) {
            line.cancelled = true;
        }
        self.endpoint.cancel(now, dialog, Vec::new());
        self.settle(now);
    }

    pub fn hang_up(&mut self, now: Now, dialog: DialogId) {
        if let Some(line) = self.lines.get_mut(&dialog) {
            if matches!(line.stage, Stage::Over(_)) {
                return;
            }
            line.stage = Stage::Over(0);
        }
        self.endpoint.bye(now, dialog, Vec::new());
        self.settle(now);
    }

    /// Hangs up, or cancels, or refuses: whatever ends the line as it stands.
    pub fn end(&mut self, now: Now, dialog: DialogId) {
        match self.lines.get(&dialog).map(|line| line.stage.clone()) {
            Some(Stage::Calling) => self.cancel(now, dialog),
            Some(Stage::Ringing) => {
                self.endpoint.reject(now, dialog, 486, Vec::new());
                self.over(dialog, 486);
                self.settle(now);
            }
            Some(Stage::Up) => self.hang_up(now, dialog),
            Some(Stage::Over(_)) | None => {}
        }
    }

    /// Puts the other side on hold, or takes it back.
    pub fn hold(&mut self, now: Now, dialog: DialogId, on: bool) {
        let audio = self.lines[&dialog].audio;
        let body = self.sdp(audio, if on { "sendonly" } else { "sendrecv" });
        self.reoffer(now, dialog, Some(body));
    }

    /// Sends a re-INVITE; without a body it asks for an offer.
    pub fn reoffer(&mut self, now: Now, dialog: DialogId, body: Option<Body>) {
        if let Some(line) = self.lines.get_mut(&dialog) {
            line.late = body.is_none();
        }
        self.endpoint.reinvite(now, dialog, body).expect("nothing else is in progress");
        self.settle(now);
    }

    /// Puts the other side on hold, or takes it back, if nothing else is in progress; `false` if something is.
    pub fn try_hold(&mut self, now: Now, dialog: DialogId, on: bool) -> bool {
        let audio = self.lines[&dialog].audio;
        let body = self.sdp(audio, if on { "sendonly" } else { "sendrecv" });
        if let Some(line) = self.lines.get_mut(&dialog) {
            line.late = false;
        }
        let sent = self.endpoint.reinvite(now, dialog, Some(body)).is_ok();
        self.settle(now);
        sent
    }

    pub fn receive(&mut self, now: Now, from: SocketAddr, message: sip::Message) {
        let hop = Hop { remote: from, ..self.hop() };
        // The endpoint is no subscriber: a NOTIFY is taken and answered here.
        if let sip::Message::Request(request) = &message
            && request.method == Method::Notify
        {
            self.notified.push(String::from_utf8_lossy(&request.body).into_owned());
            self.received.push(request.clone());
            if self.reply != 0 {
                let bytes = sip::Response::reply(request, self.reply, None).to_bytes();
                self.outbox.push_back(Transmit { hop, bytes });
            }
            return;
        }
        self.endpoint.handle_input(now, sip::Input::Message { hop, message });
        self.settle(now);
    }

    pub fn timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(now);
        let due: Vec<DialogId> = self.due.iter().filter(|(at, _)| *at <= now.mono).map(|(_, d)| *d).collect();
        self.due.retain(|(at, _)| *at > now.mono);
        for dialog in due {
            self.pick_up(now, dialog);
        }
        self.settle(now);
    }

    /// Answers a ringing line.
    pub fn pick_up(&mut self, now: Now, dialog: DialogId) {
        let Some(line) = self.lines.get_mut(&dialog) else { return };
        if line.stage == Stage::Ringing {
            line.stage = Stage::Up;
            let audio = line.audio;
            let body = self.sdp(audio, "sendrecv");
            self.endpoint.accept(now, dialog, Vec::new(), body);
            self.settle(now);
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let own = self.due.iter().map(|(at, _)| *at).min();
        let sip = self.endpoint.poll_timeout().map(|(at, _)| at);
        own.into_iter().chain(sip).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop_front()
    }

    /// The first line in this stage.
    pub fn line(&self, stage: &Stage) -> Option<DialogId> {
        self.lines.iter().filter(|(_, line)| line.stage == *stage).map(|(dialog, _)| *dialog).min()
    }

    pub fn live_lines(&self) -> usize {
        self.lines.values().filter(|line| !matches!(line.stage, Stage::Over(_))).count()
    }

    fn over(&mut self, dialog: DialogId, status: u16) {
        if let Some(line) = self.lines.get_mut(&dialog) {
            line.stage = Stage::Over(status);
        }
        self.due.retain(|(_, due)| *due != dialog);
    }

    fn log(&mut self, dialog: DialogId, what: String) {
        if let Some(line) = self.lines.get_mut(&dialog) {
            line.log.push(what);
        }
    }

    fn settle(&mut self, now: Now) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                sip::Output::Transmit(transmit) => self.outbox.push_back(transmit),
                sip::Output::Event(event) => self.on_event(now, event),
            }
        }
    }

    fn on_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Invite { dialog, request, .. } => {
                let audio = self.audio();
                let from = request.from().map(|from| from.to_string()).unwrap_or_default();
                let line = Line {
                    stage: Stage::Ringing,
                    audio,
                    log: Vec::new(),
                    from,
                    invite: Some(request.clone()),
                    late: false,
                    cancelled: false,
                };
                self.lines.insert(dialog, line);
                match self.answer {
                    Answer::Refuse(status) => {
                        self.over(dialog, status);
                        let mut extra = self.extra.clone();
                        extra.extend(self.redirect.iter().map(|to| ("Contact", to.clone())));
                        self.endpoint.reject(now, dialog, status, extra);
                    }
                    Answer::Late(after) => self.due.push((now.mono + after, dialog)),
                    Answer::Early => {
                        let body = self.sdp(audio, "sendrecv");
                        self.endpoint.ring(now, dialog, 183, Vec::new(), Some(body));
                    }
                    Answer::Ring => self.endpoint.ring(now, dialog, 180, self.ringing.clone(), None),
                    Answer::After(after) => {
                        self.endpoint.ring(now, dialog, 180, self.ringing.clone(), None);
                        self.due.push((now.mono + after, dialog));
                    }
                }
            }
            Event::Cancelled { dialog, reason } => {
                self.log(dialog, format!("cancelled {}", reason.unwrap_or_default()));
                self.over(dialog, 487);
            }
            Event::Progress { dialog, response } => self.log(dialog, response.status.to_string()),
            Event::Answered { dialog, response } => {
                self.log(dialog, "200".into());
                self.answers.push(String::from_utf8_lossy(&response.body).into_owned());
                let mut audio = None;
                if let Some(line) = self.lines.get_mut(&dialog) {
                    line.stage = Stage::Up;
                    // A late offer is in the 200: our answer goes into the ACK.
                    audio = line.late.then_some(line.audio);
                }
                // What was said in a 183 that we have acknowledged need not come again (RFC 3262 §5).
                let said = self.lines.get(&dialog).is_some_and(|line| line.log.iter().any(|it| it == "183"));
                assert!(said || !response.body.is_empty(), "a 200 to INVITE has SDP");
                let body = audio.map(|audio| self.sdp(audio, "sendrecv"));
                self.endpoint.ack(now, dialog, body);
                if self.lines.get(&dialog).is_some_and(|line| line.cancelled) {
                    self.endpoint.bye(now, dialog, Vec::new());
                    self.over(dialog, 0);
                }
            }
            Event::Failed { dialog, status, .. } => {
                self.log(dialog, status.to_string());
                self.over(dialog, status);
            }
            Event::Bye { dialog, request } => {
                self.log(dialog, "bye".into());
                // Why, where it is told.
                request
                    .headers
                    .all(&Name::from("Reason"))
                    .for_each(|reason| self.log(dialog, reason.into_owned()));
                self.over(dialog, 0);
            }
            Event::NotAcked { dialog } | Event::Gone { dialog } => {
                self.log(dialog, "bye".into());
                self.over(dialog, 0);
            }
            Event::Reoffer { dialog, request } => {
                self.offers.push(String::from_utf8_lossy(&request.body).into_owned());
                let audio = self.lines.get(&dialog).map(|line| line.audio);
                if let Some(audio) = audio {
                    let body = self.sdp(audio, "sendrecv");
                    self.endpoint.accept(now, dialog, Vec::new(), body);
                }
            }
            Event::Refresh { dialog } => {
                if let Some(line) = self.lines.get_mut(&dialog) {
                    line.late = false;
                    let audio = line.audio;
                    let body = self.sdp(audio, "sendrecv");
                    let _ = self.endpoint.reinvite(now, dialog, Some(body));
                }
            }
            Event::Reanswered { dialog, response } => {
                self.answers.push(String::from_utf8_lossy(&response.body).into_owned());
                let direction = String::from_utf8_lossy(&response.body)
                    .lines()
                    .find(|line| matches!(*line, "a=sendrecv" | "a=recvonly" | "a=sendonly" | "a=inactive"))
                    .unwrap_or("a=sendrecv")
                    .to_owned();
                self.log(dialog, direction);
                let late = self.lines.get(&dialog).filter(|line| line.late).map(|line| line.audio);
                let body = late.map(|audio| self.sdp(audio, "sendrecv"));
                self.endpoint.ack(now, dialog, body);
            }
            Event::Request { transaction, request, .. } => {
                self.received.push(request);
                self.endpoint.respond(now, transaction, self.reply, Vec::new(), None);
            }
            Event::Response { status, response, .. } => {
                self.registered = Some(status);
                let headers = response.iter().flat_map(|response| response.headers.iter());
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                self.granted = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
                self.told = response;
            }
            Event::Acked { .. }
            | Event::ReofferFailed { .. }
            | Event::Closed { .. }
            | Event::Refused { .. } => {}
        }
    }

    fn audio(&mut self) -> SocketAddr {
        self.next_audio += 2;
        SocketAddr::new(self.address.ip(), self.next_audio)
    }

    fn sdp(&self, audio: SocketAddr, direction: &str) -> Body {
        let (ip, port) = (audio.ip(), audio.port());
        let (protocol, crypto) = match self.srtp {
            Some((protocol, key)) => (protocol, format!("a=crypto:5 AES_CM_128_HMAC_SHA1_80 {key}|2^31\r\n")),
            None => ("RTP/AVP", String::new()),
        };
        let (format, events) = match self.events {
            true => (" 101", "a=rtpmap:101 telephone-event/8000\r\n"),
            false => ("", ""),
        };
        let (protocol, crypto) = match self.web {
            None => (protocol, crypto),
            Some(ufrag) => {
                let digest = vec!["AB"; 32].join(":");
                let lines = format!(
                    "a=ice-ufrag:{ufrag}\r\na=ice-pwd:of-the-simulated-browser\r\na=fingerprint:sha-256 {digest}\r\n\
                     a=setup:active\r\na=mid:0\r\na=rtcp-mux\r\n"
                );
                ("UDP/TLS/RTP/SAVPF", lines)
            }
        };
        Body::sdp(format!(
            "v=0\r\no=sim 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {protocol} 8{format}\r\n\
             a=rtpmap:8 PCMA/8000\r\n{events}{crypto}a={direction}\r\n"
        ))
    }
}
