//! `sentral demo`: a switch of its own on free ports, a phone that registers, and a carrier that calls the sample
//! company's main number: what was heard is measured, and what happened is told.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::media::codec::g711;
use crate::model::Config;
use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::Simulate;
use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::id::DeviceId;
use crate::model::id::Number;
use crate::model::trunk::Trusted;
use crate::model::user::Device;
use crate::rand::Rng;
use crate::shell::Daemon;
use crate::shell::ServeOptions;
use crate::shell::clock;
use crate::shell::load;
use crate::shell::seed;
use crate::shell::telemetry;
use crate::sip;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Hop;
use crate::sip::Message;
use crate::sip::Method;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::endpoint::Credentials;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::OutOfDialog;
use crate::sip::endpoint::Settings;
use crate::sip::header::NameAddr;
use crate::sip::invite::Invite;

/// Longest any step may take.
const STEP_MAX: Duration = Duration::from_secs(5);
/// How long the demo listens to the main number.
const LISTEN: Duration = Duration::from_secs(3);

/// Runs the demo on the configuration in `folder`.
///
/// # Errors
/// When a part cannot be started, or the call does not do what it should.
pub fn run(folder: PathBuf) -> anyhow::Result<()> {
    telemetry::start("error", false)?;
    let mut config = Config::clone(&*load(&folder)?);
    let caller = Agent::new("+4736000777")?;
    let free = UdpSocket::bind("127.0.0.1:0").context("cannot find a free port")?.local_addr()?.port();
    config.server.sip_udp = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    for streams in [
        &mut config.server.sip_tcp,
        &mut config.server.sip_tls,
        &mut config.server.sip_ws,
        &mut config.server.sip_wss,
    ] {
        streams.clear();
    }
    config.server.metrics_listen = None;
    config.server.watch = false;
    // Thirty-two ports from a free one on are enough for one call.
    let first = free.min(65_000) & !1;
    config.server.media_ports = (first, first + 63);
    for trunk in config.trunks.values_mut() {
        let address = caller.address.ip();
        trunk.trusted.push(Trusted { address, prefix: 32, port: Some(caller.address.port()) });
        trunk.register = false;
        trunk.health = None;
    }
    let company =
        config.companies.values().next().cloned().context("the configuration has no company: add one")?;
    let number = main_number(&company).context("the company has no public number: add one to [numbers]")?;
    let data = std::env::temp_dir().join(format!("sentral-demo-{}", std::process::id()));
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let options = ServeOptions { config: folder, data: Some(data.clone()) };
        let daemon = Daemon::start(options, Arc::new(config))?;
        let told = act(&daemon, caller, &company, &number).await;
        daemon.stop();
        told
    });
    // The store's last user goes with the runtime; the folder is the demo's own.
    runtime.shutdown_timeout(STEP_MAX);
    let _ = std::fs::remove_dir_all(&data);
    print!("{}", result?);
    Ok(())
}

/// Registers a phone, calls the main number, listens, and tells all of it.
async fn act(daemon: &Daemon, caller: Agent, company: &Company, number: &Number) -> anyhow::Result<String> {
    let server = *daemon.udp().first().context("no UDP listener was started")?;
    let mut told = String::new();
    writeln!(told, "A switch for {} is up on {server}, for this demo only.", company.name)?;
    if let Some((device, of)) = company.devices.iter().find(|(_, device)| device.password.is_some()) {
        let (device, of, domain) = (device.clone(), of.clone(), company.domain.to_string());
        let took = tokio::task::spawn_blocking(move || register(server, &domain, &device, &of)).await??;
        writeln!(told, "A phone registered with its password in {:.1} ms.", ms(took))?;
    }
    let dialled = number.clone();
    let heard = tokio::task::spawn_blocking(move || call(caller, server, &dialled)).await??;
    writeln!(told, "A carrier called {number}: answered after {:.1} ms.", ms(heard.answered))?;
    writeln!(
        told,
        "In {:.1} s it heard {} packets of sound, {} lost, at {:.0} dB below full level.",
        heard.listened.as_secs_f64(),
        heard.packets,
        heard.lost,
        -heard.level_db
    )?;
    let simulate = Simulate {
        logged_in: None,
        number: number.clone(),
        from: Some(Number::new("+4736000777")),
        at: None,
        keys: String::new(),
    };
    if let Ok(Answer::Told { steps }) = daemon.inbox().order(Command::Simulate(simulate)).await {
        writeln!(told, "\nWhat the switch did, and why (sentral simulate {number}):")?;
        for step in steps {
            writeln!(told, "  {:<24} {}", step.at, step.what)?;
        }
    }
    writeln!(told, "\n`cargo run --release` starts it for your own phones.")?;
    Ok(told)
}

/// A number of the company that leads to a flow, else any.
fn main_number(company: &Company) -> Option<Number> {
    let to_flow = company.numbers.iter().find(|(_, to)| matches!(to, Destination::Flow(_)));
    to_flow.or_else(|| company.numbers.iter().next()).map(|(number, _)| number.clone())
}

/// What was heard of a call.
struct Heard {
    answered: Duration,
    listened: Duration,
    packets: usize,
    lost: usize,
    level_db: f64,
}

fn register(server: SocketAddr, domain: &str, device: &DeviceId, of: &Device) -> anyhow::Result<Duration> {
    let mut phone = Agent::new(device.as_str())?;
    let me = NameAddr::new(Uri::parse(&format!("sip:{device}@{domain}"))?);
    let password = of.password.as_ref().map(|secret| secret.0.to_string()).unwrap_or_default();
    let began = Instant::now();
    phone.endpoint.request(
        clock::now(),
        OutOfDialog {
            method: Method::Register,
            uri: Uri::parse(&format!("sip:{domain}"))?,
            hop: phone.hop(server),
            route: Vec::new(),
            from: me.clone(),
            to: me,
            call_id: None,
            cseq: None,
            extra: vec![("Expires", "60".into())],
            body: None,
            credentials: Some(Credentials { user: device.to_string(), password }),
            contact_user: Some(device.to_string()),
        },
    );
    let status = phone.wait(|event| match event {
        Event::Response { status, .. } => Some(status),
        _ => None,
    })?;
    anyhow::ensure!(status == 200, "the phone was refused with {status}");
    Ok(began.elapsed())
}

fn call(mut caller: Agent, server: SocketAddr, number: &Number) -> anyhow::Result<Heard> {
    let rtp = UdpSocket::bind("127.0.0.1:0").context("cannot open a socket for sound")?;
    rtp.set_read_timeout(Some(Duration::from_millis(100)))?;
    let audio = rtp.local_addr()?;
    let uri = Uri::parse(&format!("sip:{number}@{server}"))?;
    let began = Instant::now();
    let dialog = caller.endpoint.invite(
        clock::now(),
        Invite {
            uri: uri.clone(),
            hop: caller.hop(server),
            route: Vec::new(),
            from: NameAddr::new(Uri::parse(&format!("sip:{}@{}", caller.name, caller.address))?),
            to: NameAddr::new(uri),
            contact_user: caller.name.clone(),
            call_id: None,
            extra: Vec::new(),
            body: Some(offer(audio)),
            credentials: None,
            max_forwards: 70,
            edits: Vec::new(),
        },
    );
    let status = caller.wait(|event| match event {
        Event::Answered { .. } => Some(200),
        Event::Failed { status, .. } => Some(status),
        _ => None,
    })?;
    anyhow::ensure!(status == 200, "the call to {number} was refused with {status}");
    let answered = began.elapsed();
    caller.endpoint.ack(clock::now(), dialog, None);
    caller.flush()?;
    let mut heard = listen(&rtp)?;
    heard.answered = answered;
    caller.hang_up(dialog)?;
    Ok(heard)
}

/// Counts and measures A-law packets for a while.
fn listen(rtp: &UdpSocket) -> anyhow::Result<Heard> {
    let began = Instant::now();
    let mut buffer = [0; 2048];
    let (mut packets, mut lost, mut last) = (0, 0, None::<u16>);
    let (mut power, mut samples) = (0.0, 0usize);
    while began.elapsed() < LISTEN {
        let Ok(length) = rtp.recv(&mut buffer) else { continue };
        let Some(payload) = buffer.get(12..length).filter(|payload| !payload.is_empty()) else { continue };
        let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
        if let Some(last) = last {
            lost += usize::from(sequence.wrapping_sub(last).saturating_sub(1).min(100));
        }
        last = Some(sequence);
        packets += 1;
        for byte in payload {
            let sample = f64::from(g711::decode_alaw(*byte)) / 32_768.0;
            power += sample * sample;
        }
        samples += payload.len();
    }
    anyhow::ensure!(packets > 0, "the call was answered but nothing was heard");
    let level_db = 10.0 * (power / samples as f64).max(1e-9).log10();
    Ok(Heard { answered: Duration::ZERO, listened: began.elapsed(), packets, lost, level_db })
}

fn offer(audio: SocketAddr) -> Body {
    let (ip, port) = (audio.ip(), audio.port());
    Body::sdp(format!(
        "v=0\r\no=demo 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    ))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A user agent of our own stack on a socket of its own.
struct Agent {
    name: String,
    address: SocketAddr,
    socket: UdpSocket,
    endpoint: Endpoint,
}

impl Agent {
    fn new(name: &str) -> anyhow::Result<Agent> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("cannot open a socket")?;
        let settings = Settings {
            external: None,
            agent: "Sentral demo".into(),
            max_transactions: 100,
            max_dialogs: 100,
            allow: "INVITE, ACK, BYE, CANCEL",
            ..Settings::default()
        };
        let endpoint = Endpoint::new(settings, Rng::from_entropy(seed()?));
        Ok(Agent { name: name.to_owned(), address: socket.local_addr()?, socket, endpoint })
    }

    fn hop(&self, server: SocketAddr) -> Hop {
        Hop { transport: Transport::Udp, local: self.address, remote: server, connection: None }
    }

    fn hang_up(&mut self, dialog: DialogId) -> anyhow::Result<()> {
        self.endpoint.bye(clock::now(), dialog, Vec::new());
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.endpoint.poll_output() {
            if let sip::Output::Transmit(transmit) = output {
                self.socket.send_to(&transmit.bytes, transmit.hop.remote).context("cannot send")?;
            }
        }
        Ok(())
    }

    /// Exchanges messages until an event is what is waited for.
    fn wait<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
        let began = Instant::now();
        let mut buffer = vec![0; 65_536];
        self.socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        while began.elapsed() < STEP_MAX {
            self.endpoint.handle_timeout(clock::now());
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    sip::Output::Transmit(transmit) => {
                        self.socket.send_to(&transmit.bytes, transmit.hop.remote).context("cannot send")?;
                    }
                    sip::Output::Event(event) => {
                        if let Some(found) = wanted(event) {
                            return Ok(found);
                        }
                    }
                }
            }
            let Ok((length, remote)) = self.socket.recv_from(&mut buffer) else { continue };
            if let Ok(message) = Message::parse(Bytes::copy_from_slice(&buffer[..length]), buffer.len()) {
                let hop = self.hop(remote);
                self.endpoint.handle_input(clock::now(), sip::Input::Message { hop, message });
            }
        }
        anyhow::bail!("no answer within {STEP_MAX:?}")
    }
}
