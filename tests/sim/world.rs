//! The world: one clock, one switch, phones, and a network that loses, delays, reorders and repeats by seed.
//! `SIM_TRACE=<Call-ID>` prints each message of that call.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;

use sentral::media;
use sentral::media::Base;
use sentral::media::PlayId;
use sentral::media::PlayItem;
use sentral::media::RecordId;
use sentral::media::Session;
use sentral::media::StreamId;
use sentral::model::Config;
use sentral::model::cdr::Cdr;
use sentral::model::change::Change;
use sentral::model::command;
use sentral::rand::Rng;
use sentral::shell::store::files;
use sentral::sip;
use sentral::sip::Hop;
use sentral::sip::Message;
use sentral::sip::Transport;
use sentral::switch::Answer;
use sentral::switch::Ask;
use sentral::switch::CommandId;
use sentral::switch::Input;
use sentral::switch::Output;
use sentral::switch::Switch;
use sentral::switch::asking::Post;
use sentral::switch::flow::action::Unanswered;
use sentral::switch::letter::Letter;

use crate::phone::Phone;

/// Where the switch listens.
pub const SERVER: &str = "192.0.2.1:5060";
/// Where the carrier is.
pub const TRUNK: &str = "198.51.100.9:5060";
/// Where a second carrier is, or the second address of one.
pub const SECOND: &str = "198.51.100.10:5060";
pub const MAIN: &str = "+4736000100";

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Lost, in percent.
    pub loss: usize,
    /// Repeated, in percent.
    pub twice: usize,
    /// Longest delay.
    pub delay: Duration,
}

impl Weather {
    pub const FINE: Weather = Weather { loss: 0, twice: 0, delay: Duration::from_millis(1) };
    pub const ROUGH: Weather = Weather { loss: 8, twice: 4, delay: Duration::from_millis(120) };
}

/// One stream as a media thread would keep it.
#[derive(Debug)]
pub struct Stream {
    pub session: Session,
    pub base: Base,
    playing: Option<(Instant, PlayId)>,
    /// What was played last, in words.
    pub played: Vec<String>,
    /// Keys that were sent to it by order.
    pub keys: String,
    /// Its own keys are not passed on.
    pub keeps_keys: bool,
    /// Sounds that it had played into the mix that it is in.
    pub sounds: usize,
    recording: Option<(Instant, RecordId, Instant)>,
    /// The recording of its call, and whether it is flipped and paused.
    pub tape: Option<(RecordId, bool, bool)>,
}

/// The recording of a call as the media and the recorder would keep it.
#[derive(Debug)]
pub struct Taped {
    pub file: String,
    pub began: Instant,
    /// How long, once it has ended.
    pub length: Option<Duration>,
    /// Where it was taken, in order: the stream's audio address, and whether that is the right side.
    pub places: Vec<(Option<SocketAddr>, bool)>,
    /// Pauses and their ends, in order.
    pub pauses: Vec<bool>,
}

impl Stream {
    /// Whether something is played to it or recorded of it.
    pub fn is_busy(&self) -> bool {
        self.playing.is_some() || self.recording.is_some()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    at: Reverse<Instant>,
    order: Reverse<u64>,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

pub struct World {
    pub now: Now,
    pub switch: Switch,
    /// Where it listens.
    pub address: SocketAddr,
    pub phones: Vec<Phone>,
    pub streams: BTreeMap<StreamId, Stream>,
    pub taped: BTreeMap<RecordId, Taped>,
    pub cdrs: Vec<Cdr>,
    pub changes: Vec<Change>,
    pub answers: Vec<command::Answer>,
    /// Mails that were to be sent.
    pub letters: Vec<Letter>,
    /// What was sent to where no phone is.
    pub strays: Vec<(SocketAddr, String)>,
    /// What has come to the switch, in order: from whom, and what as `BYE 7` or `200 INVITE 7`.
    pub arrived: Vec<(SocketAddr, String)>,
    pub weather: Weather,
    pub rng: Rng,
    packets: BinaryHeap<Packet>,
    order: u64,
    next_command: u64,
    /// What was asked of other systems.
    pub posts: Vec<Post>,
    /// What other systems answer, by URL; others never do.
    pub systems: BTreeMap<String, Result<String, Unanswered>>,
}

pub type Now = sentral::time::Now;

/// A Monday at noon, when the sample company is open.
pub fn noon() -> Timestamp {
    "2026-11-23T11:00:00Z".parse().unwrap()
}

/// The company of these tests.
pub const COMPANY: &str = r#"
[company]
name = "Prøve AS"
number = "+4736000100"

[numbers]
"+4736000100" = "flow:main"
"+4736000110" = "queue:sales"
"+4736000120" = "group:store"
"+4736000190" = "voicemail:shared"

[users.kari]
name = "Kari"
ext = "101"
number = "+4736000101"
[users.ola]
name = "Ola"
ext = "102"
[users.sara]
name = "Sara"
ext = "103"
no_answer = { after = "20s", to = "voicemail:shared" }
[users.per]
name = "Per"
ext = "104"
mobile = "+4736000204"
rings = ["mobile"]

[devices]
kari = { user = "kari", password = "kari-secret" }
kari2 = { user = "kari", password = "kari2-secret" }
ola = { user = "ola", password = "ola-secret" }
sara = { user = "sara", password = "sara-secret" }

[hours.office]
name = "Kontor"
mon-fri = "08:00-16:00"
holidays = "no"

[media]
welcome = { file = "welcome.wav", text = "Velkommen." }
menu = { file = "menu.wav", text = "Tast 1." }
closed = { file = "closed.wav", text = "Stengt." }

[queues.sales]
name = "Salg"
ext = "601"
agents = ["kari", "ola", "sara"]
auto_login = true
ring = "15s"
wrap_up = "0s"
max_wait = "5m"
announce = ["position"]
overflow = "voicemail:shared"

[groups.store]
name = "Lager"
ext = "650"
members = ["kari", "ola"]
ring = "20s"
no_answer = "voicemail:shared"

[voicemail.shared]
name = "Felles"
ext = "690"
users = ["kari"]

[flows.main]
name = "Hovednummer"
start = "time"
[flows.main.steps]
time = { hours = "office", open = "hello", closed = "night" }
hello = { play = "welcome", next = "menu" }
menu = { menu = "menu", 1 = "queue:sales", 2 = "group:store", 3 = "user:sara", timeout = "queue:sales" }
night = { play = "closed", next = "voicemail:shared" }
"#;

const TRUNKS: &str = r#"
[trunks.carrier]
name = "Carrier"
server = "198.51.100.9:5060"
trusted = ["198.51.100.9"]
channels = 100
health = false

[routes]
emergency = { to = ["110", "112", "113"], via = ["carrier"], priority = true }
norway = { to = ["+47"], via = ["carrier"] }
"#;

const SERVER_TOML: &str = r#"
[server]
domain = "prove.example"
[sip]
udp = "192.0.2.1:5060"
[media]
ports = "20000-20799"
codecs = ["pcma", "pcmu", "g722"]
"#;

/// Loads the company of these tests, or a variant of it.
pub fn config(company: &str) -> Arc<Config> {
    config_with(&[("companies/prove.toml", company)])
}

/// Loads a company with other trunks.
pub fn config_and_trunks(company: &str, trunks: &str) -> Arc<Config> {
    config_with(&[("companies/prove.toml", company), ("trunks.toml", trunks)])
}

/// Loads the files of these tests with others besides them or in their place; what begins with `+` is appended.
pub fn config_with(others: &[(&str, &str)]) -> Arc<Config> {
    let usual = [("server.toml", SERVER_TOML), ("trunks.toml", TRUNKS), ("companies/prove.toml", COMPANY)];
    let mut texts: BTreeMap<PathBuf, String> =
        usual.into_iter().map(|(name, text)| (PathBuf::from(name), text.to_owned())).collect();
    for (name, text) in others {
        let file = texts.entry(PathBuf::from(name)).or_default();
        match text.strip_prefix('+') {
            Some(more) => file.push_str(more),
            None => *file = (*text).to_owned(),
        }
    }
    let loaded = files::load_texts(&texts, &|_| None, &|_, file| Ok(PathBuf::from(file)));
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    loaded.config.unwrap_or_else(|| panic!("{errors:#?}"))
}

impl World {
    /// A switch at noon with the usual company, no phones yet.
    pub fn new(seed: u64) -> World {
        World::at(seed, noon(), config(COMPANY))
    }

    pub fn at(seed: u64, utc: Timestamp, config: Arc<Config>) -> World {
        World::listening(seed, utc, config, SERVER)
    }

    /// A switch at an address of its own.
    pub fn listening(seed: u64, utc: Timestamp, config: Arc<Config>, address: &str) -> World {
        let now = Now { mono: Instant::now(), utc };
        let mut rng = Rng::from_seed(seed);
        let mut world = World {
            now,
            switch: Switch::new(now, config, rng.fork()),
            address: address.parse().unwrap(),
            phones: Vec::new(),
            streams: BTreeMap::new(),
            taped: BTreeMap::new(),
            cdrs: Vec::new(),
            changes: Vec::new(),
            answers: Vec::new(),
            letters: Vec::new(),
            strays: Vec::new(),
            arrived: Vec::new(),
            weather: Weather::FINE,
            rng,
            packets: BinaryHeap::new(),
            order: 0,
            next_command: 0,
            posts: Vec::new(),
            systems: BTreeMap::new(),
        };
        let ports = (20_000..20_800).step_by(2).collect();
        world.input(Input::Media(media::Event::Ports { thread: 0, ports }));
        let fingerprint = media::dtls::Fingerprint::of(b"the exchange");
        world.input(Input::Media(media::Event::Certificate { fingerprint }));
        world
    }

    /// Adds a phone of the company (its name is its device) or, with another name, a stranger.
    pub fn phone(&mut self, name: &str) -> usize {
        let address = format!("192.0.2.{}:5060", 100 + self.phones.len());
        let mut phone =
            Phone::new(name, &address, &self.address.to_string(), "prove.example", self.rng.fork());
        phone.password = Some(format!("{name}-secret"));
        self.phones.push(phone);
        self.phones.len() - 1
    }

    /// Adds a phone and registers it.
    pub fn registered(&mut self, name: &str) -> usize {
        let phone = self.phone(name);
        self.phones[phone].register(self.now, 3600);
        self.run(Duration::from_secs(40));
        assert_eq!(self.phones[phone].registered, Some(200), "{name} registers");
        phone
    }

    /// Adds the carrier.
    pub fn carrier(&mut self) -> usize {
        self.carrier_at(TRUNK)
    }

    /// Adds a carrier at an address.
    pub fn carrier_at(&mut self, address: &str) -> usize {
        let phone =
            Phone::new("+4736000777", address, &self.address.to_string(), "prove.example", self.rng.fork());
        self.phones.push(phone);
        self.phones.len() - 1
    }

    /// Gives the switch a message as somebody at `from` has written it, with plain line ends; tells what is sent back
    /// within a tenth of a second.
    pub fn raw(&mut self, from: &str, message: &str) -> Vec<String> {
        let remote: SocketAddr = from.parse().unwrap();
        let message = Message::parse(Bytes::from(message.replace('\n', "\r\n")), 65_535).unwrap();
        let hop = Hop { transport: Transport::Udp, local: self.address, remote, connection: None };
        self.input(Input::Sip(sip::Input::Message { hop, message }));
        self.run(Duration::from_millis(100));
        let (back, rest) = std::mem::take(&mut self.strays).into_iter().partition(|(to, _)| *to == remote);
        self.strays = rest;
        back.into_iter().map(|(_, text)| text).collect()
    }

    /// Gives the switch an input and does what it says.
    pub fn input(&mut self, input: Input) {
        self.switch.handle_input(self.now, input);
        self.carry_out();
    }

    pub fn order(&mut self, command: command::Command) {
        self.next_command += 1;
        self.input(Input::Command { id: CommandId(self.next_command), command });
    }

    /// Lets time pass.
    pub fn run(&mut self, long: Duration) {
        let end = self.now.mono + long;
        loop {
            self.flush_phones();
            let next = self.next_event().filter(|at| *at <= end);
            let Some(at) = next else { break };
            self.advance(at);
            self.deliver();
        }
        self.advance(end);
    }

    /// Lets time pass until something holds.
    ///
    /// # Panics
    /// When it does not within the time.
    pub fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&World) -> bool) {
        let end = self.now.mono + within;
        while !holds(self) {
            assert!(
                self.now.mono < end,
                "not within {within:?}: {what}\n{}\n{}",
                self.switch.leftovers(),
                self.decided_last()
            );
            self.run(Duration::from_millis(10));
        }
    }

    /// The last decisions, for whoever looks why something did not happen.
    fn decided_last(&self) -> String {
        let told = self.changes.iter().rev().filter_map(|change| match change {
            Change::Decision(event) => Some(format!("{} {}: {}\n", event.at, event.event, event.why)),
            _ => None,
        });
        told.take(25).collect()
    }

    /// Everyone hangs up; nothing may be left.
    pub fn finish(mut self) {
        for phone in 0..self.phones.len() {
            let lines: Vec<_> = self.phones[phone].lines.keys().copied().collect();
            for line in lines {
                self.phones[phone].end(self.now, line);
            }
        }
        self.run(Duration::from_secs(200));
        assert!(self.switch.is_idle(), "left at the end: {}", self.switch.leftovers());
        assert!(self.streams.is_empty(), "streams left at the end");
        for phone in &self.phones {
            assert_eq!(phone.live_lines(), 0, "{} has a line that nobody ended", phone.name);
            let left = phone.endpoint.transactions();
            assert_eq!(left, 0, "{} has transactions left; its lines: {:#?}", phone.name, phone.lines);
        }
    }

    /// The stream of the switch that sends to this address.
    pub fn stream_to(&self, audio: SocketAddr) -> Option<(&StreamId, &Stream)> {
        self.streams.iter().find(|(_, stream)| stream.session.remote == Some(audio))
    }

    /// Whether two phones' lines hear each other.
    pub fn talk(&self, a: SocketAddr, b: SocketAddr) -> bool {
        match (self.stream_to(a), self.stream_to(b)) {
            (Some((id_a, a)), Some((id_b, b))) => a.base == Base::Peer(*id_b) && b.base == Base::Peer(*id_a),
            _ => false,
        }
    }

    /// Who sends audio from this address presses a key.
    pub fn key(&mut self, audio: SocketAddr, digit: char) {
        let stream = *self.stream_to(audio).expect("the line has a stream").0;
        self.input(Input::Media(media::Event::Digit { stream, digit }));
    }

    /// A restart of the process: what the store keeps is all that is left.
    pub fn restart(&mut self, config: Arc<Config>) {
        self.switch = Switch::new(self.now, config, self.rng.fork());
        self.streams.clear();
        let ports = (20_000..20_800).step_by(2).collect();
        self.input(Input::Media(media::Event::Ports { thread: 0, ports }));
        for change in self.changes.clone() {
            if change.is_state() || matches!(change, Change::Decision(_)) {
                self.switch.handle_input(self.now, Input::Change(change));
                while self.switch.poll_output().is_some() {}
            }
        }
        self.switch.tell_started(self.now);
        self.carry_out();
    }

    fn next_event(&self) -> Option<Instant> {
        let packets = self.packets.peek().map(|packet| packet.at.0);
        let phones = self.phones.iter().filter_map(Phone::next_deadline).min();
        let switch = self.switch.poll_timeout(self.now).map(|(at, _)| at);
        let media = self
            .streams
            .values()
            .flat_map(|stream| [stream.playing.map(|(at, _)| at), stream.recording.map(|(at, ..)| at)])
            .flatten()
            .min();
        packets.into_iter().chain(phones).chain(switch).chain(media).min()
    }

    fn advance(&mut self, to: Instant) {
        if to > self.now.mono {
            self.now = self.now.later(to - self.now.mono);
        }
    }

    fn deliver(&mut self) {
        while self.packets.peek().is_some_and(|packet| packet.at.0 <= self.now.mono) {
            let packet = self.packets.pop().unwrap();
            let bytes = packet.bytes.clone();
            let message =
                Message::parse(packet.bytes, 65_535).expect("what our own stack prints can be read");
            if packet.to == self.address {
                let local = packet.to;
                let sender = self.phones.iter().find(|phone| phone.address == packet.from);
                let connection = sender.and_then(|phone| phone.connection);
                let transport = if connection.is_some() { Transport::Tcp } else { Transport::Udp };
                let hop = Hop { transport, local, remote: packet.from, connection };
                self.arrived.push((packet.from, in_words(&message)));
                self.input(Input::Sip(sip::Input::Message { hop, message }));
            } else if let Some(phone) = self.phones.iter_mut().find(|phone| phone.address == packet.to) {
                phone.receive(self.now, packet.from, message);
            } else {
                self.strays.push((packet.to, String::from_utf8(bytes.to_vec()).unwrap()));
            }
            self.flush_phones();
        }
        for phone in 0..self.phones.len() {
            if self.phones[phone].next_deadline().is_some_and(|at| at <= self.now.mono) {
                self.phones[phone].timeout(self.now);
            }
        }
        if self.switch.poll_timeout(self.now).is_some_and(|(at, _)| at <= self.now.mono) {
            self.switch.handle_timeout(self.now);
            self.carry_out();
        }
        self.media();
    }

    /// Playings and recordings that end.
    fn media(&mut self) {
        let mut events = Vec::new();
        for (id, stream) in &mut self.streams {
            if let Some((_, play)) = stream.playing.take_if(|(at, _)| *at <= self.now.mono) {
                events.push(media::Event::PlayFinished { stream: *id, play });
            }
            if let Some((_, record, began)) = stream.recording.take_if(|(at, ..)| *at <= self.now.mono) {
                let length = self.now.mono - began;
                events.push(media::Event::Recorded { stream: Some(*id), record, length, error: None });
            }
        }
        for event in events {
            self.input(Input::Media(event));
        }
    }

    fn flush_phones(&mut self) {
        for phone in 0..self.phones.len() {
            while let Some(transmit) = self.phones[phone].poll_transmit() {
                let from = self.phones[phone].address;
                self.send(from, transmit.hop.remote, transmit.bytes);
            }
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let copies = match () {
            () if self.rng.below(100) < self.weather.loss => 0,
            () if self.rng.below(100) < self.weather.twice => 2,
            () => 1,
        };
        if let Ok(wanted) = std::env::var("SIM_TRACE") {
            let text = String::from_utf8_lossy(&bytes);
            if text.contains(&wanted) {
                let first = text.lines().next().unwrap_or_default();
                let cseq = text.lines().find(|line| line.starts_with("CSeq")).unwrap_or_default();
                eprintln!("{} {from} -> {to} x{copies} {first} | {cseq}", self.now.utc);
            }
        }
        for _ in 0..copies {
            let most = self.weather.delay.as_micros() as usize;
            let delay = Duration::from_micros(500 + self.rng.below(most) as u64);
            self.order += 1;
            let at = Reverse(self.now.mono + delay);
            self.packets.push(Packet { at, order: Reverse(self.order), from, to, bytes: bytes.clone() });
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.send(transmit.hop.local, transmit.hop.remote, transmit.bytes)
                }
                Output::Media(command) => self.command(command),
                Output::Change(change) => {
                    if let Change::CallEnded { cdr } = &change {
                        self.cdrs.push((**cdr).clone());
                    }
                    self.changes.push(change);
                }
                Output::Ask { id, ask } => {
                    let answer = match ask {
                        Ask::Resolve { host, .. } => Answer::Resolved {
                            hops: addresses(&host, self.address),
                            ttl: Duration::from_secs(60),
                        },
                        Ask::LoadClip { .. } | Ask::KeepClip { .. } => Answer::Loaded(true),
                        Ask::Post(post) => {
                            let answer = self.systems.get(&*post.url).cloned();
                            self.posts.push(post);
                            let Some(answer) = answer else { continue };
                            Answer::Posted(answer.map(String::into_bytes))
                        }
                        Ask::DeleteFile { .. } | Ask::CopyFile { .. } => Answer::Done,
                        Ask::Mail(letter) => {
                            self.letters.push(*letter);
                            Answer::Done
                        }
                    };
                    self.switch.handle_input(self.now, Input::Answer { id, answer });
                }
                Output::Reply { answer, .. } => self.answers.push(answer),
                Output::ShutOut { .. } | Output::Close(_) | Output::Drained => {}
            }
        }
    }

    /// What a media thread would do, as far as the core can tell.
    fn command(&mut self, command: media::Command) {
        use media::Command;
        match command {
            Command::Open { stream, session } => {
                let new = Stream {
                    session,
                    base: Base::Silence,
                    playing: None,
                    played: Vec::new(),
                    keys: String::new(),
                    keeps_keys: false,
                    sounds: 0,
                    recording: None,
                    tape: None,
                };
                assert!(self.streams.keys().all(|open| open.port != stream.port), "a port is opened once");
                self.streams.insert(stream, new);
            }
            Command::Modify { stream, session } => self.stream(stream).session = session,
            Command::Base { stream, base } => self.stream(stream).base = base,
            Command::Play { stream, play, items, repeat } => {
                let long: Duration = items
                    .iter()
                    .map(|item| match item {
                        PlayItem::Clip(_) => Duration::from_secs(1),
                        PlayItem::Tone(_, long) | PlayItem::Pause(long) => *long,
                    })
                    .sum();
                let at = self.now.mono + long * repeat;
                let of = self.stream(stream);
                of.playing = (repeat > 0).then_some((at, play));
                of.played.extend(items.iter().map(|item| format!("{item:?}")));
            }
            Command::Stop { stream } => self.stream(stream).playing = None,
            Command::SendDigit { stream, digit } => self.stream(stream).keys.push(digit),
            Command::KeepKeys { stream, keep } => self.stream(stream).keeps_keys = keep,
            Command::Record { stream, record, max, .. } => {
                let began = self.now.mono;
                self.stream(stream).recording = Some((began + max, record, began));
            }
            Command::PlayInMix { stream, .. } => self.stream(stream).sounds += 1,
            Command::StopRecord { stream } => {
                let now = self.now.mono;
                if let Some((at, ..)) = self.stream(stream).recording.as_mut() {
                    *at = now;
                }
            }
            Command::Tape { stream, record, file, flipped, paused, .. } => {
                let began = self.now.mono;
                let of = self.stream(stream);
                assert!(of.tape.is_none(), "one recording at a time");
                of.tape = Some((record, flipped, paused));
                let place = (of.session.remote, flipped);
                let taped = self.taped.entry(record).or_insert_with(|| Taped {
                    file: file.to_string(),
                    began,
                    length: None,
                    places: Vec::new(),
                    pauses: Vec::new(),
                });
                assert_eq!((taped.file.as_str(), taped.length), (&*file, None), "a recording that goes on");
                taped.places.push(place);
            }
            Command::PauseTape { stream, paused } => {
                let tape = self.stream(stream).tape.as_mut().expect("what is recorded is paused");
                tape.2 = paused;
                let record = tape.0;
                self.taped.get_mut(&record).expect("begun").pauses.push(paused);
            }
            Command::StopTape { stream, record, last } => {
                if let Some(of) = self.streams.get_mut(&stream) {
                    of.tape.take_if(|(taped, ..)| *taped == record);
                }
                if last {
                    let elsewhere =
                        self.streams.values().any(|of| of.tape.is_some_and(|tape| tape.0 == record));
                    assert!(!elsewhere, "a recording ends where it runs");
                    let now = self.now.mono;
                    let taped = self.taped.get_mut(&record).expect("begun");
                    let length = now - taped.began;
                    assert_eq!(taped.length.replace(length), None, "a recording ends once");
                    let stream = Some(stream);
                    let event = media::Event::Recorded { stream, record, length, error: None };
                    self.switch.handle_input(self.now, Input::Media(event));
                }
            }
            Command::Close { stream } => {
                let gone = self.streams.remove(&stream).expect("only open streams are closed");
                assert_eq!(gone.tape, None, "a recording leaves a stream before it closes");
                if let Some((_, record, began)) = gone.recording {
                    let length = self.now.mono - began;
                    let event = media::Event::Recorded { stream: Some(stream), record, length, error: None };
                    self.switch.handle_input(self.now, Input::Media(event));
                }
                let stats = media::Stats::default();
                self.switch.handle_input(self.now, Input::Media(media::Event::Closed { stream, stats }));
            }
        }
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        self.streams.get_mut(&id).expect("a command names an open stream")
    }
}

/// A message by its status, if it has one, and its CSeq.
fn in_words(message: &Message) -> String {
    let (status, cseq) = match message {
        Message::Request(request) => (String::new(), request.cseq()),
        Message::Response(response) => (format!("{} ", response.status), response.cseq()),
    };
    cseq.map_or(status.clone(), |cseq| format!("{status}{} {}", cseq.method, cseq.number))
}

/// What the name server of these tests says: a carrier with two addresses, or the address that is written.
fn addresses(host: &str, local: SocketAddr) -> Vec<Hop> {
    let remotes = match host {
        "pair.example" => vec![TRUNK.to_owned(), SECOND.to_owned()],
        host => vec![format!("{host}:5060")],
    };
    let hop = |remote: String| Hop {
        transport: Transport::Udp,
        local,
        remote: remote.parse().unwrap(),
        connection: None,
    };
    remotes.into_iter().map(hop).collect()
}
