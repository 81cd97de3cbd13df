//! Reads `server.toml`, and the parts that companies share with it: service codes and webhooks.
//!
//! Sections for parts that this version does not have (portal, mail, provisioning) are checked for form
//! only.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::id::WebhookId;
use crate::model::recording::FileForm;
use crate::model::recording::Recordings;
use crate::model::server::Codes;
use crate::model::server::Hep;
use crate::model::server::Limits;
use crate::model::server::MailServer;
use crate::model::server::MailTls;
use crate::model::server::Push;
use crate::model::server::Server;
use crate::model::server::Sms;
use crate::model::server::Tls;
use crate::model::server::Webhook;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::fraud;
use crate::shell::store::files::read;
use crate::shell::store::files::read::DAY;
use crate::shell::store::files::read::LANGUAGES;
use crate::shell::store::files::read::MINUTE;
use crate::shell::store::files::read::SECOND;
use crate::sip::Uri;

/// Reads the whole file.
pub(super) fn server(mut file: Table<'_>) -> Server {
    let mut server = Server::default();
    general(file.table("server"), &mut server);
    server.tls = tls(file.table("tls"));
    sip(file.table("sip"), &mut server);
    let mut dns = file.table("dns");
    let servers = dns.take("servers").map(Value::one_or_more).unwrap_or_default();
    server.dns_servers = servers.into_iter().filter_map(read::socket).collect();
    dns.finish();
    media(file.table("media"), &mut server);
    web(file.table("web"), &mut server);
    log(file.table("log"), &mut server);
    let mut metrics = file.table("metrics");
    server.metrics_listen = metrics.take("listen").and_then(read::socket);
    metrics.finish();
    let mut config = file.table("config");
    server.watch = config.flag("watch").unwrap_or(true);
    config.take("history").map(|value| read::duration(value, DAY..=DAY * 3_650));
    config.finish();
    let mut speech = file.table("speech");
    server.speech_command = speech.take("command").and_then(speech_command);
    speech.finish();
    server.limits = limits(file.table("limits"));
    server.fraud = fraud::fraud(file.table("fraud"), &server.fraud);
    server.guard = fraud::guard(file.table("guard"));
    server.tariff = fraud::tariff(file.table("prices"), file.table("classes"));
    server.codes = codes(file.take("codes"), &server.codes);
    server.recordings = recordings(file.table("recordings"), &server.recordings, false);
    server.webhooks = webhooks(file.take("events"));
    server.sms = sms(file.take("sms"));
    server.push = push(file.take("push"));
    login(file.table("login"));
    server.mail = mail(file.table("mail"));
    server.hep = hep(file.table("hep"));
    let mut trace = file.table("trace");
    if let Some(bytes) = trace.take("memory").and_then(trace_memory) {
        server.trace_bytes = bytes;
    }
    trace.finish();
    let mut history = file.table("history");
    if let Some(keep) = history.take("keep").and_then(|value| read::duration(value, DAY..=DAY * 3_650)) {
        server.events_keep = keep;
    }
    history.finish();
    server.profile_url = provisioning(file.table("provisioning"));
    file.finish();
    server
}

fn general(mut table: Table<'_>, server: &mut Server) {
    server.name = table.text("name").unwrap_or_else(|| server.name.clone());
    server.domain = table.take("domain").and_then(domain).unwrap_or_else(|| server.domain.clone());
    server.country =
        table.word("country", &[("NO", Arc::from("NO"))]).unwrap_or_else(|| server.country.clone());
    server.zone = table.take("timezone").and_then(read::zone).unwrap_or_else(|| server.zone.clone());
    server.language = table.word("language", LANGUAGES).unwrap_or_default();
    if let Some(data) = table.text("data") {
        server.data = PathBuf::from(&*data);
    }
    table.finish();
}

/// A SIP domain.
pub(super) fn domain(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if text.len() > 253 || !text.bytes().all(fits) {
        value
            .error(format!("\"{text}\" is no domain: write it in small letters, such as \"tlf.example.no\""));
        return None;
    }
    Some(text.into())
}

fn sip(mut table: Table<'_>, server: &mut Server) {
    if let Some(value) = table.take("udp") {
        server.sip_udp = listeners(value);
    }
    if let Some(value) = table.take("tcp") {
        server.sip_tcp = listeners(value);
    }
    server.sip_ws = table.take("ws").map(listeners).unwrap_or_default();
    server.sip_tls = secure_listeners(table.take("tls"), &server.tls);
    server.sip_wss = secure_listeners(table.take("wss"), &server.tls);
    server.external = table.take("external").and_then(read::address);
    if let Some(value) = table.take("service_route") {
        server.service_route = value.one_or_more().into_iter().filter_map(service_route).collect();
    }
    server.sip_trace = table.flag("trace").unwrap_or(false);
    server.sip_sha256 = table.flag("sha256").unwrap_or(false);
    if let Some(value) = table.take("session_expires") {
        server.sip_session_s = session_expires(value).unwrap_or(server.sip_session_s);
    }
    table.finish();
}

/// A session timer (RFC 4028 §4: at least 90 s), or `false` for none.
fn session_expires(value: Value<'_>) -> Option<u32> {
    if value.as_flag() == Some(false) {
        return Some(0);
    }
    let time = read::duration(value, Duration::from_secs(90)..=DAY)?;
    u32::try_from(time.as_secs()).ok()
}

/// The URI of a proxy that phones send their requests through (RFC 3608).
fn service_route(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if !Uri::parse(text).is_ok_and(|uri| uri.lr()) {
        value.error(format!("\"{text}\" is no route: write for example \"sip:proxy.example.no;lr\""));
        return None;
    }
    Some(text.into())
}

/// Addresses to listen on: one, a list, or `false` for none.
fn listeners(value: Value<'_>) -> Vec<SocketAddr> {
    if value.as_flag() == Some(false) {
        return Vec::new();
    }
    value.one_or_more().into_iter().filter_map(read::socket).collect()
}

/// Addresses to listen on with our certificate.
fn secure_listeners(value: Option<Value<'_>>, tls: &Tls) -> Vec<SocketAddr> {
    let Some(value) = value else { return Vec::new() };
    let listeners = listeners(value);
    if !listeners.is_empty() && tls.certificate.is_none() {
        value.error("this needs a certificate: write certificate and key, two files in PEM, below [tls]");
    }
    listeners
}

fn media(mut table: Table<'_>, server: &mut Server) {
    if let Some(value) = table.take("ports") {
        server.media_ports = ports(value).unwrap_or(server.media_ports);
    }
    if let Some(codecs) = table.take("codecs").and_then(read::codecs) {
        server.codecs = codecs;
    }
    // As it was written before there was [recordings].
    if let Some(keep) = table.take("record").and_then(|value| read::duration(value, DAY..=DAY * 3_650)) {
        server.recordings.keep = Some(keep);
    }
    table.finish();
}

/// How calls are recorded: what is written, else as `under` has it.
pub(super) fn recordings(mut table: Table<'_>, under: &Recordings, of_company: bool) -> Recordings {
    let keep = table.take("keep").and_then(|value| read::duration_or_never(value, DAY..=DAY * 3_650));
    let told = table.take("announce");
    let recordings = Recordings {
        keep: keep.unwrap_or(under.keep),
        form: table.word("format", FORMS).unwrap_or(under.form),
        announce: told.map_or(under.announce, |told| told.as_flag() != Some(false)),
        announcement: match told.filter(|told| told.as_flag().is_none()) {
            // Only companies have recordings of their own.
            Some(told) if !of_company => told.refuse("true or false"),
            Some(media) => read::reference(media),
            None => under.announcement.clone(),
        },
        private: match table.take("private") {
            Some(value) => value.one_or_more().into_iter().filter_map(read::public_number).collect(),
            None => under.private.clone(),
        },
    };
    table.finish();
    recordings
}

const FORMS: &[(&str, FileForm)] = &[("wav", FileForm::Wav), ("opus", FileForm::Opus)];

/// A range of RTP ports: each call takes an even one and the odd one above it.
fn ports(value: Value<'_>) -> Option<(u16, u16)> {
    let text = value.text()?;
    let parts =
        text.split_once('-').map(|(first, last)| (first.trim().parse::<u16>(), last.trim().parse::<u16>()));
    match parts {
        Some((Ok(first), Ok(last))) if first >= 1024 && first % 2 == 0 && last > first => Some((first, last)),
        _ => {
            value.error(format!(
                "\"{text}\" is no port range: write for example \"20000-29999\", from an even port ≥ 1024"
            ));
            None
        }
    }
}

fn web(mut table: Table<'_>, server: &mut Server) {
    server.web_listen = table.take("listen").and_then(read::socket);
    table.take("url").map(read::url);
    table.take("session").map(|value| read::duration(value, MINUTE..=DAY * 30));
    table.finish();
}

fn log(mut table: Table<'_>, server: &mut Server) {
    if let Some(level) = table.take("level").and_then(log_level) {
        server.log_level = level;
    }
    server.log_json = table.word("format", &[("text", false), ("json", true)]).unwrap_or(false);
    table.finish();
}

/// A log filter: levels, alone or for a part (`info,sip=debug`).
fn log_level(value: Value<'_>) -> Option<Arc<str>> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = value.text()?;
    let level = |part: &str| part.rsplit('=').next().is_some_and(|level| LEVELS.contains(&level.trim()));
    if !text.split(',').all(level) {
        value.error(format!("\"{text}\" is no log level: write for example \"info\" or \"info,sip=debug\""));
        return None;
    }
    Some(text.into())
}

/// A program that must say where its output goes.
fn speech_command(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if !text.contains("{out}") {
        value.error("the command must hold \"{out}\", the WAV file to write");
        return None;
    }
    Some(text.into())
}

fn limits(mut table: Table<'_>) -> Limits {
    let mut limits = Limits::default();
    let mut set = |key: &'static str, most: i64, limit: &mut usize| {
        if let Some(number) = table.integer(key, 1..=most).and_then(|number| usize::try_from(number).ok()) {
            *limit = number;
        }
    };
    set("calls", 1_000_000, &mut limits.calls);
    set("bindings", 100, &mut limits.bindings);
    set("transactions", 10_000_000, &mut limits.transactions);
    set("message_bytes", 65_535, &mut limits.message_bytes);
    set("connections", 1_000_000, &mut limits.connections);
    set("subscriptions", 1_000_000, &mut limits.subscriptions);
    set("subscriptions_per_device", 10_000, &mut limits.subscriptions_per_device);
    set("connections_per_address", 1_000_000, &mut limits.connections_per_address);
    let mut set = |key: &'static str, range, limit: &mut Duration| {
        *limit = table.take(key).and_then(|value| read::duration(value, range)).unwrap_or(*limit);
    };
    set("handshake", SECOND..=MINUTE * 5, &mut limits.handshake);
    set("idle", SECOND..=DAY, &mut limits.idle);
    table.finish();
    limits
}

/// Service codes: those written, else those of `under`.
pub(super) fn codes(section: Option<Value<'_>>, under: &Codes) -> Codes {
    let mut codes = under.clone();
    let Some(mut table) = section.and_then(Value::table) else {
        return codes;
    };
    let [always, no_answer, unreachable, busy] = &mut codes.forward;
    let named = [
        ("login", &mut codes.login),
        ("logout", &mut codes.logout),
        ("pause", &mut codes.pause),
        ("unpause", &mut codes.unpause),
        ("wrap_up_end", &mut codes.wrap_up_end),
        ("wrap_up_extend", &mut codes.wrap_up_extend),
        ("voicemail", &mut codes.voicemail),
        ("toggle", &mut codes.toggle),
        ("echo", &mut codes.echo),
        ("own_number", &mut codes.own_number),
        ("hide_number", &mut codes.hide_number),
        ("transfer", &mut codes.keys.transfer),
        ("consult", &mut codes.keys.consult),
        ("back", &mut codes.keys.back),
        ("join", &mut codes.keys.join),
        ("record", &mut codes.keys.record),
        ("record_pause", &mut codes.keys.record_pause),
        ("pickup", &mut codes.pickup),
        ("park", &mut codes.park),
        ("intercom", &mut codes.intercom),
        ("call_back", &mut codes.call_back),
        ("call_back_cancel", &mut codes.call_back_cancel),
        ("take_over", &mut codes.take_over),
        ("listen", &mut codes.listen),
        ("whisper", &mut codes.whisper),
        ("barge", &mut codes.barge),
        ("own_call", &mut codes.own_call),
        ("hot_desk", &mut codes.hot_desk),
        ("record_prompt", &mut codes.record_prompt),
        ("forward_always", always),
        ("forward_no_answer", no_answer),
        ("forward_unreachable", unreachable),
        ("forward_busy", busy),
        ("do_not_disturb", &mut codes.do_not_disturb),
        ("mobile", &mut codes.mobile),
        ("absence", &mut codes.absence),
        ("call_waiting", &mut codes.call_waiting),
        ("speed", &mut codes.speed),
    ];
    for (name, code) in named {
        if let Some(written) = table.take(name).and_then(service_code) {
            *code = written;
        }
    }
    table.finish();
    codes
}

/// A service code; `false` is `Some(None)`.
fn service_code(value: Value<'_>) -> Option<Option<Arc<str>>> {
    if value.as_flag() == Some(false) {
        return Some(None);
    }
    let text = value.text()?;
    let fits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#');
    if !(2..=8).contains(&text.len()) || !text.bytes().all(fits) {
        value
            .error(format!("\"{text}\" is no service code: write 2 to 8 of 0–9, * and #, or false for none"));
        return None;
    }
    Some(Some(text.into()))
}

/// How sleeping apps are woken.
pub(super) fn push(section: Option<Value<'_>>) -> Option<Push> {
    let mut table = section?.table()?;
    let webhook = table.take("webhook");
    if webhook.is_none() {
        table.missing("webhook");
    }
    let wait = table.take("wait").and_then(|value| read::duration(value, SECOND..=SECOND * 20));
    table.finish();
    Some(Push { webhook: webhook.and_then(read::hook)?, wait: wait.unwrap_or(SECOND * 6) })
}

/// How text messages are sent.
pub(super) fn sms(section: Option<Value<'_>>) -> Option<Sms> {
    let mut table = section?.table()?;
    let webhook = table.take("webhook");
    if webhook.is_none() {
        table.missing("webhook");
    }
    let sender = table.take("sender").and_then(|value| {
        let text = value.text()?;
        let fits =
            text.len() <= 16 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == ' ');
        if !fits {
            value.error(format!("\"{text}\" is no sender: write up to 11 letters and digits, or a number"));
        }
        fits.then(|| Arc::from(text))
    });
    table.finish();
    Some(Sms { webhook: webhook.and_then(read::hook)?, sender })
}

/// Webhooks by id.
pub(super) fn webhooks(section: Option<Value<'_>>) -> BTreeMap<WebhookId, Webhook> {
    let mut webhooks = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let url = table.take("url");
        if url.is_none() {
            table.missing("url");
        }
        let webhook = Webhook {
            url: url.and_then(read::url).unwrap_or_else(|| "".into()),
            events: table.take("events").map(read::texts).unwrap_or_default(),
            secret: table.take("secret").and_then(Value::secret),
        };
        table.finish();
        webhooks.insert(entry.key.into(), webhook);
    }
    webhooks
}

fn tls(mut table: Table<'_>) -> Tls {
    let mut file = |key| table.text(key).map(|path| PathBuf::from(&*path));
    let tls = Tls {
        certificate: file("certificate"),
        key: file("key"),
        ca: file("ca"),
        client_ca: file("client_ca"),
    };
    if tls.certificate.is_some() != tls.key.is_some() {
        table.missing(if tls.certificate.is_some() { "key" } else { "certificate" });
    }
    table.finish();
    tls
}

fn login(mut table: Table<'_>) {
    table.integer("password_min_length", 8..=128);
    table.word("two_factor", &[("off", ()), ("admins", ()), ("everyone", ())]);
    for (_, mut provider) in read::things(table.take("oidc")) {
        provider.text("name");
        if provider.take("issuer").map(read::url).is_none() {
            provider.missing("issuer");
        }
        if provider.text("client_id").is_none() {
            provider.missing("client_id");
        }
        provider.take("client_secret").map(Value::secret);
        provider.finish();
    }
    table.finish();
}

/// The mail server; without `server` there is none.
fn mail(mut table: Table<'_>) -> Option<Arc<MailServer>> {
    const TLS: &[(&str, MailTls)] =
        &[("starttls", MailTls::StartTls), ("always", MailTls::Always), ("off", MailTls::Off)];
    let from = table.take("from");
    let (named, port) = (table.take("server"), table.integer("port", 1..=65_535));
    let tls = table.word("tls", TLS).unwrap_or_default();
    let user = table.text("user");
    let password = table.take("password").and_then(Value::secret);
    if named.is_some() && from.is_none() {
        table.missing("from");
    }
    let from = from.and_then(email);
    table.finish();
    let (host, of_server) = named.and_then(host_and_port)?;
    let port = port.and_then(|port| u16::try_from(port).ok()).or(of_server);
    Some(Arc::new(MailServer { host, port, tls, user, password, from: from? }))
}

fn provisioning(mut table: Table<'_>) -> Option<Arc<str>> {
    table.take("admin_password").map(Value::secret);
    for network in table.take("local_networks").map(Value::one_or_more).unwrap_or_default() {
        super::trunk::trusted(network);
    }
    let profile_url = table.take("profile_url").and_then(read::url);
    table.finish();
    profile_url
}

/// The capture server; without `server` there is none.
fn hep(mut table: Table<'_>) -> Option<Hep> {
    let server = table.take("server").and_then(host_and_port);
    let id = table.integer("id", 0..=i64::from(u32::MAX)).and_then(|id| u32::try_from(id).ok());
    let password = table.take("password").and_then(Value::secret);
    table.finish();
    let (host, port) = server?;
    Some(Hep { host, port, id: id.unwrap_or(2001), password })
}

/// Memory for SIP messages, at most 4 GB.
fn trace_memory(value: Value<'_>) -> Option<usize> {
    let fits = |bytes: &u64| *bytes <= 4_000_000_000;
    let bytes = read::size(value)?;
    if !fits(&bytes) {
        value.error("this must be at most \"4GB\"");
        return None;
    }
    usize::try_from(bytes).ok()
}

/// A mail address.
pub(super) fn email(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    let parts = text.split_once('@');
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c == '@' || c.is_whitespace());
    if !parts.is_some_and(|(name, domain)| plain(name) && plain(domain)) {
        value.error(format!("\"{text}\" is no mail address"));
        return None;
    }
    Some(text.into())
}

/// A host name or address, and a port if one is written.
pub(super) fn host_and_port(value: Value<'_>) -> Option<(Arc<str>, Option<u16>)> {
    let text = value.text()?;
    let split = || {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            return Some((address, port.strip_prefix(':')));
        }
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Some((text, None));
        }
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!host.is_empty() && host.len() <= 253 && host.chars().all(fits)).then_some((host, port))
    };
    let read = split().and_then(|(host, port)| match port {
        Some(port) => Some((host, Some(port.parse::<u16>().ok().filter(|port| *port > 0)?))),
        None => Some((host, None)),
    });
    if read.is_none() {
        value.error(format!(
            "\"{text}\" is no host: write for example \"sip.example.no\" or \"192.0.2.1:5060\""
        ));
    }
    read.map(|(host, port)| (host.into(), port))
}

/// How long a phone rings when nothing is said.
pub(super) const RING: Duration = Duration::from_secs(30);
