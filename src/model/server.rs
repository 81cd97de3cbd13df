//! This machine: listening addresses, media ports, service codes, language; and subscriptions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::class::Tariff;
use crate::model::fraud::Fraud;
use crate::model::fraud::Guard;
use crate::model::id::WebhookId;
use crate::model::recording::Recordings;

/// Spoken and written language.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Norwegian bokmål.
    #[default]
    Nb,
    /// English.
    En,
}

impl Language {
    /// `nb` or `en`.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Nb => "nb",
            Language::En => "en",
        }
    }
}

/// A secret as written; `Debug` never shows it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub Arc<str>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `server.toml`; every key has a default.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Shown in logs and metrics.
    pub name: Arc<str>,
    /// SIP domain of every company that sets none of its own.
    pub domain: Arc<str>,
    /// Country whose numbering plan reads bare numbers; only `NO` is known.
    pub country: Arc<str>,
    /// IANA zone, known to exist.
    pub zone: Arc<str>,
    /// Until a company or user says otherwise.
    pub language: Language,
    /// State: database, voicemail, media.
    pub data: PathBuf,
    /// UDP listeners.
    pub sip_udp: Vec<SocketAddr>,
    /// TCP listeners.
    pub sip_tcp: Vec<SocketAddr>,
    /// TLS listeners.
    pub sip_tls: Vec<SocketAddr>,
    /// WebSocket listeners.
    pub sip_ws: Vec<SocketAddr>,
    /// Secure WebSocket listeners.
    pub sip_wss: Vec<SocketAddr>,
    /// Certificates.
    pub tls: Tls,
    /// Name servers to ask; empty asks the machine's own.
    pub dns_servers: Vec<SocketAddr>,
    /// Bytes of SIP messages that are kept in memory; 0 keeps none.
    pub trace_bytes: usize,
    /// Where mail is handed over; without one none is sent.
    pub mail: Option<Arc<MailServer>>,
    /// Capture server that is sent a copy of every message.
    pub hep: Option<Hep>,
    /// Address to show in Via, Contact and SDP behind NAT.
    pub external: Option<IpAddr>,
    /// URIs of proxies that phones shall send their requests through (Service-Route), the nearest first.
    pub service_route: Vec<Arc<str>>,
    /// Log every SIP message.
    pub sip_trace: bool,
    /// Challenges offer SHA-256 besides MD5. Many phones give up when they see an algorithm that they do not know,
    /// though RFC 8760 §2.4 has them pass over it.
    pub sip_sha256: bool,
    /// Session timer of calls in seconds; 0 for none (RFC 4028).
    pub sip_session_s: u32,
    /// First and last RTP port, both included; even ports carry RTP, the next one RTCP.
    pub media_ports: (u16, u16),
    /// Codecs by name in order of preference, as written; unknown names are refused at load.
    pub codecs: Vec<CodecName>,
    /// How long events of the log are kept.
    pub events_keep: Duration,
    /// How calls are recorded, and how long that is kept; a company may override it.
    pub recordings: Recordings,
    /// Web listener (loaded and checked; served by a later version).
    pub web_listen: Option<SocketAddr>,
    /// Where `/metrics` is served.
    pub metrics_listen: Option<SocketAddr>,
    /// Log filter, e.g. `info,sip=debug`.
    pub log_level: Arc<str>,
    /// Log lines as JSON.
    pub log_json: bool,
    /// Watch the folder and reload by itself.
    pub watch: bool,
    /// Program that reads text on standard input and writes a WAV to `{out}`.
    pub speech_command: Option<Arc<str>>,
    /// Where phones find their configuration, for those that ask (RFC 6080); `{device}` and `{mac}` are filled in.
    pub profile_url: Option<Arc<str>>,
    /// Service codes; a company may override them.
    pub codes: Codes,
    /// Upper limits of the tables.
    pub limits: Limits,
    /// What companies and users may spend; a company may override it.
    pub fraud: Fraud,
    /// Brute force, scanning, floods, overload.
    pub guard: Guard,
    /// Price classes of destinations.
    pub tariff: Tariff,
    /// Webhooks of the operator.
    pub webhooks: BTreeMap<WebhookId, Webhook>,
    /// How text messages are sent.
    pub sms: Option<Sms>,
    /// How sleeping apps are woken.
    pub push: Option<Push>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            name: "sentral".into(),
            domain: "localhost".into(),
            country: "NO".into(),
            zone: "Europe/Oslo".into(),
            language: Language::Nb,
            data: PathBuf::from("data"),
            sip_udp: vec![SocketAddr::from(([127, 0, 0, 1], 5060))],
            sip_tcp: vec![SocketAddr::from(([127, 0, 0, 1], 5060))],
            sip_tls: Vec::new(),
            sip_ws: Vec::new(),
            sip_wss: Vec::new(),
            tls: Tls::default(),
            dns_servers: Vec::new(),
            trace_bytes: 16_000_000,
            mail: None,
            hep: None,
            external: None,
            service_route: Vec::new(),
            sip_trace: false,
            sip_sha256: false,
            sip_session_s: 1800,
            media_ports: (20000, 21999),
            codecs: vec![CodecName::G722, CodecName::Pcma, CodecName::Pcmu],
            events_keep: Duration::from_secs(400 * 86_400),
            recordings: Recordings::default(),
            web_listen: None,
            metrics_listen: None,
            log_level: "info".into(),
            log_json: false,
            watch: true,
            speech_command: None,
            profile_url: None,
            codes: Codes::default(),
            limits: Limits::default(),
            fraud: Fraud::default(),
            guard: Guard::default(),
            tariff: Tariff::default(),
            webhooks: BTreeMap::new(),
            sms: None,
            push: None,
        }
    }
}

/// A codec as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecName {
    /// Opus, up to 48 kHz.
    Opus,
    /// G.722, 16 kHz.
    G722,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// Samples as they are, 16 kHz; for tests.
    L16,
}

/// Upper limits; reaching one is an ordinary answer (503, 413 …). `[limits]` in `server.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls up or being set up.
    pub calls: usize,
    /// Bindings per device.
    pub bindings: usize,
    /// SIP transactions and dialogs together.
    pub transactions: usize,
    /// Bytes of one SIP message.
    pub message_bytes: usize,
    /// Connections of stream transports.
    pub connections: usize,
    /// Subscriptions of all devices together; also publications.
    pub subscriptions: usize,
    /// Subscriptions per device; the oldest makes room.
    pub subscriptions_per_device: usize,
    /// Of these, opened by one address (IPv6: one /64 network) that is no trunk's.
    pub connections_per_address: usize,
    /// For the TLS and WebSocket handshakes, the first message, and the rest of a message that has begun.
    pub handshake: Duration,
    /// Without a message or keep-alive until a connection without registration and call is closed.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            calls: 10_000,
            bindings: 10,
            transactions: 200_000,
            message_bytes: 65_535,
            connections: 20_000,
            subscriptions: 50_000,
            subscriptions_per_device: 200,
            connections_per_address: 200,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(900),
        }
    }
}

/// Files in PEM, `[tls]`; read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Our certificate, and those between it and a known authority.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Authorities that vouch for whom we connect to.
    pub ca: Option<PathBuf>,
    /// Authorities that vouch for who connects to us; without them nobody is asked for a certificate.
    pub client_ca: Option<PathBuf>,
}

/// Star codes, `[codes]`; `None` turns a code off. A code ending in `*` is followed by an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// Log in to every queue and ring group, or `code + queue's extension` for one.
    pub login: Option<Arc<str>>,
    /// Log out, the same way.
    pub logout: Option<Arc<str>>,
    /// Pause everywhere: alone, or `code + reason * time`, as in `*421*30` (reason 1 of `[pauses]`, 30 minutes) or
    /// `*42*1200` (until noon).
    pub pause: Option<Arc<str>>,
    /// End the pause.
    pub unpause: Option<Arc<str>>,
    /// End wrap-up now.
    pub wrap_up_end: Option<Arc<str>>,
    /// Prolong wrap-up.
    pub wrap_up_extend: Option<Arc<str>>,
    /// Listen to own voicemail, or `code + mailbox's extension` for a shared box.
    pub voicemail: Option<Arc<str>>,
    /// Flip a toggle: `code + toggle's extension`.
    pub toggle: Option<Arc<str>>,
    /// Hear oneself.
    pub echo: Option<Arc<str>>,
    /// Own number read back.
    pub own_number: Option<Arc<str>>,
    /// Hide own number for this call: `code + number`.
    pub hide_number: Option<Arc<str>>,
    /// Forward all, no answer, unreachable, busy, in the form of mobiles: the digits between the stars count, so that
    /// `**21*` is also ended by `##21#` and asked for by `*#21#`.
    pub forward: [Option<Arc<str>>; 4],
    /// Do not disturb, in the same form.
    pub do_not_disturb: Option<Arc<str>>,
    /// The mobile rings, too, in the same form.
    pub mobile: Option<Arc<str>>,
    /// Absence, in the same form: `*28*1500#` until three o'clock.
    pub absence: Option<Arc<str>>,
    /// Call waiting, in the same form.
    pub call_waiting: Option<Arc<str>>,
    /// Speed dial: `code + the digits that stand for a number`.
    pub speed: Option<Arc<str>>,
    /// Pressed while talking.
    pub keys: KeyCodes,
    /// Take a call that rings in the own pick-up group, or at `code + extension`.
    pub pickup: Option<Arc<str>>,
    /// Park the call on hold, or in `code + slot`; without one on hold: take back.
    pub park: Option<Arc<str>>,
    /// Speak to somebody whose phone answers by itself: `code + extension`.
    pub intercom: Option<Arc<str>>,
    /// Be rung when both are free: `code + extension`, or the last who was busy or did not answer.
    pub call_back: Option<Arc<str>>,
    /// End such a wish: all, or `code + extension`.
    pub call_back_cancel: Option<Arc<str>>,
    /// A supervisor takes the call of `code + extension`.
    pub take_over: Option<Arc<str>>,
    /// A supervisor hears the call of `code + extension`.
    pub listen: Option<Arc<str>>,
    /// A supervisor hears it, and is heard by the colleague.
    pub whisper: Option<Arc<str>>,
    /// A supervisor joins it.
    pub barge: Option<Arc<str>>,
    /// Move the own call to this phone.
    pub own_call: Option<Arc<str>>,
    /// Log in at a shared phone: `code + extension`; without one log out.
    pub hot_desk: Option<Arc<str>>,
    /// Record a recording of the media bank: `code + its code`.
    pub record_prompt: Option<Arc<str>>,
}

/// Codes that a user presses while talking; `None` turns one off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCodes {
    /// Puts the other party through: then a number and `#`.
    pub transfer: Option<Arc<str>>,
    /// Asks there first: then a number and `#`.
    pub consult: Option<Arc<str>>,
    /// Back to the other party.
    pub back: Option<Arc<str>>,
    /// Joins whoever waits and whoever is talked with.
    pub join: Option<Arc<str>>,
    /// Begins to record the call, or ends that.
    pub record: Option<Arc<str>>,
    /// Takes nothing of the call for a while, or again.
    pub record_pause: Option<Arc<str>>,
}

impl Default for KeyCodes {
    fn default() -> KeyCodes {
        let code = |text: &str| Some(Arc::from(text));
        KeyCodes {
            transfer: code("**"),
            consult: code("*2"),
            back: code("*1"),
            join: code("*3"),
            record: code("*5"),
            record_pause: code("*6"),
        }
    }
}

impl Default for Codes {
    fn default() -> Codes {
        let code = |text: &str| Some(Arc::from(text));
        Codes {
            login: code("*40"),
            logout: code("*41"),
            pause: code("*42"),
            unpause: code("*43"),
            wrap_up_end: code("*44"),
            wrap_up_extend: code("*46"),
            voicemail: code("*99"),
            toggle: code("*50"),
            echo: code("*77"),
            own_number: code("*78"),
            hide_number: code("*31*"),
            keys: KeyCodes::default(),
            forward: [code("**21*"), code("**61*"), code("**62*"), code("**67*")],
            do_not_disturb: code("*26"),
            mobile: code("*27"),
            absence: code("*28"),
            call_waiting: code("*45"),
            speed: code("*0"),
            pickup: code("*8"),
            park: code("*7"),
            intercom: code("*80"),
            call_back: code("*37"),
            call_back_cancel: code("#37"),
            take_over: code("*33"),
            listen: code("*34"),
            whisper: code("*35"),
            barge: code("*36"),
            own_call: code("*11"),
            hot_desk: code("*70"),
            record_prompt: code("*60"),
        }
    }
}

impl Codes {
    /// Those by which people set something for themselves.
    pub fn personal(&self) -> impl Iterator<Item = &Option<Arc<str>>> {
        let others = [&self.do_not_disturb, &self.mobile, &self.absence, &self.call_waiting];
        self.forward.iter().chain(others)
    }
}

/// Where mail is handed over, `[mail]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Host name or address.
    pub host: Arc<str>,
    /// Port, when one was written.
    pub port: Option<u16>,
    /// How it is encrypted.
    pub tls: MailTls,
    /// Account, if it wants one.
    pub user: Option<Arc<str>>,
    /// Its password.
    pub password: Option<Secret>,
    /// Sender.
    pub from: Arc<str>,
}

/// How the way to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, and no mail without it (port 587).
    #[default]
    StartTls,
    /// From the first octet (port 465).
    Always,
    /// Not at all (port 25): for a server on this machine.
    Off,
}

/// A Homer capture server, `[hep]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hep {
    /// Host name or address.
    pub host: Arc<str>,
    /// UDP port, when one was written.
    pub port: Option<u16>,
    /// Who we are among those that send to it.
    pub id: u32,
    /// What it wants to see, if anything.
    pub password: Option<Secret>,
}

/// A subscription of `plans.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Shown.
    pub name: Arc<str>,
    /// Data quota in bytes.
    pub data: Option<u64>,
    /// Whether the company's users share one pot.
    pub shared: bool,
    /// Minutes of speech; `None` is unlimited.
    pub speech_minutes: Option<u32>,
    /// Percent of the quota at which users are told.
    pub warn: Vec<u8>,
}

/// How text messages are sent: each is posted to a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Sms {
    /// URL or webhook id.
    pub webhook: Arc<str>,
    /// Who sends, as the receiver's telephone shows it: up to 11 letters and digits, or a number.
    pub sender: Option<Arc<str>>,
}

/// How apps are woken that sleep (RFC 8599): what wakes each is posted to a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// URL or webhook id.
    pub webhook: Arc<str>,
    /// How long a call waits for an app to register.
    pub wait: Duration,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Where.
    pub url: Arc<str>,
    /// Event types, `call.*` allowed.
    pub events: Vec<Arc<str>>,
    /// Signs the deliveries.
    pub secret: Option<Secret>,
}
