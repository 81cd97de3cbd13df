//! Everything that touches the world: sockets, files, threads, clocks. Starts all parts in order, reloads the
//! configuration while they run, and stops them in reverse.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is where I/O lives")]

pub mod ask;
pub mod cli;
pub mod clock;
pub mod demo;
pub mod http;
pub mod mail;
pub mod media;
pub mod net;
pub mod signaling;
pub mod store;
pub mod telemetry;
pub mod trace;

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::media::bank::Bank;
use crate::model::Config;
use crate::model::command;
use crate::model::prompt::PromptKey;
use crate::rand::Rng;
use crate::shell::ask::Asker;
use crate::shell::cli::BadConfig;
use crate::shell::http::control::Commander;
use crate::shell::http::control::Control;
use crate::shell::http::control::Reload;
use crate::shell::http::metrics;
use crate::shell::http::metrics::Metrics;
use crate::shell::media::bank;
use crate::shell::media::thread;
use crate::shell::media::thread::MediaSettings;
use crate::shell::net::dns::Names;
use crate::shell::net::resolve::Resolver;
use crate::shell::net::stream::Streams;
use crate::shell::net::udp::Udp;
use crate::shell::signaling::Inbox;
use crate::shell::store::Store;
use crate::shell::store::files;
use crate::shell::trace::Trace;
use crate::sip::Transport;
use crate::switch::Input;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::clip_name;
use crate::switch::record_prompt::recorded_file;

/// How long calls may go on after SIGTERM.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// How `serve` was called.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Folder with the configuration.
    pub config: PathBuf,
    /// Data folder, else the configuration's.
    pub data: Option<PathBuf>,
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When something it needs cannot be had; the message says what to do.
pub fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let config = load(&options.config)?;
    telemetry::start(&config.server.log_level, config.server.log_json)?;
    clock::pretend()?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let daemon = Daemon::start(options, config)?;
        daemon.introduce();
        daemon.run().await
    })
}

/// A running switch with all its parts.
pub struct Daemon {
    options: ServeOptions,
    shared: Arc<Shared>,
    udp: Vec<SocketAddr>,
    made_passwords: HashMap<String, String>,
    signaling: JoinHandle<()>,
    /// Dropping them ends the control socket and the metrics listener.
    _doors: (oneshot::Sender<()>, Option<oneshot::Sender<()>>),
}

/// What reloading works with.
struct Shared {
    folder: PathBuf,
    config: Mutex<Arc<Config>>,
    bank: Arc<Bank>,
    data: PathBuf,
    streams: Streams,
    inbox: Inbox,
}

impl Daemon {
    /// Starts everything: disk, media, recordings, network, the core, and the ways to talk to it. Must be called
    /// on the runtime.
    ///
    /// # Errors
    /// When something it needs cannot be had.
    pub fn start(options: ServeOptions, config: Arc<Config>) -> anyhow::Result<Daemon> {
        media::sys::keep_freed_memory();
        let data = options.data.clone().unwrap_or_else(|| config.server.data.clone());
        let (store, facts) = Store::open(&data)?;
        let store = Arc::new(store);
        let metrics = Metrics::start()?;
        let trace = Trace::configured(&config.server);
        let (inbox, mouth) = signaling::inbox(trace.clone())?;

        let bank = Arc::new(Bank::default());
        let report = bank::load_system(&prompts_folder()?, &bank)?;
        for problem in report.problems.into_iter().chain(load_media(&config, &data, &bank)) {
            tracing::warn!(problem, "a recording cannot be played");
        }

        let limits = &config.server.limits;
        let mut udp = Vec::new();
        for address in &config.server.sip_udp {
            udp.push(Udp::bind(*address, limits.message_bytes)?);
        }
        let streams = Streams::listen(&config, inbox.clone())?;
        let names = Names::new(config.server.dns_servers.clone(), Rng::from_entropy(seed()?));
        let resolver = Resolver {
            udp: udp.iter().map(Udp::local).collect(),
            tcp: streams.listening_for(Transport::Tcp),
            // Who cannot be verified is not connected to, and so not asked for either.
            tls: config.server.tls.ca.iter().flat_map(|_| streams.listening_for(Transport::Tls)).collect(),
            names,
        };

        let settings =
            MediaSettings { ports: config.server.media_ports, bind: media_address(&config), threads: 0 };
        let give = inbox.clone();
        let mut rng = Rng::from_entropy(seed()?);
        let media = thread::start(&settings, &bank, data.clone(), &mut rng, move |events| {
            for event in events {
                give.tell(event);
            }
        })?;

        let now = clock::now();
        let mut switch = Switch::new(now, Arc::clone(&config), rng);
        let mut made_passwords = HashMap::new();
        for fact in facts {
            note_password(&fact, &mut made_passwords);
            switch.handle_input(now, Input::Change(fact));
        }
        switch.tell_started(now);
        store.keep_events(config.server.events_keep);
        switch.make_passwords();
        let mut outputs = Vec::new();
        while let Some(output) = switch.poll_output() {
            if let Output::Change(change) = &output {
                note_password(change, &mut made_passwords);
            }
            outputs.push(output);
        }
        let udp_addresses = resolver.udp.clone();
        let parts = signaling::Parts {
            switch,
            udp,
            streams: streams.clone(),
            media,
            bank: Arc::clone(&bank),
            store: Arc::clone(&store),
            asker: Asker::new(resolver.names.clone(), config.server.tls.ca.clone()),
            resolver,
            data: data.clone(),
            mailer: mail::Mailer::start(&Handle::current(), &data),
            runtime: Handle::current(),
        };
        let signaling = signaling::start(parts, outputs, inbox.clone(), mouth)?;

        let shared = Arc::new(Shared {
            folder: options.config.clone(),
            config: Mutex::new(Arc::clone(&config)),
            bank,
            data: data.clone(),
            streams,
            inbox: inbox.clone(),
        });
        metrics::reloaded(true);
        if let Some(hep) = config.server.hep.clone() {
            tokio::spawn(trace::hep::run(hep, trace));
        }
        let doors = Doors { shared: Arc::clone(&shared), store, metrics };
        let (end_control, end_metrics) = doors.open(&data, config.server.metrics_listen)?;
        Ok(Daemon {
            options,
            shared,
            udp: udp_addresses,
            made_passwords,
            signaling,
            _doors: (end_control, end_metrics),
        })
    }

    /// Where SIP is listened for over UDP.
    pub fn udp(&self) -> &[SocketAddr] {
        &self.udp
    }

    /// The way in.
    pub fn inbox(&self) -> Inbox {
        self.shared.inbox.clone()
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP and changed files load the configuration again.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub async fn run(self) -> anyhow::Result<()> {
        use tokio::signal::unix::SignalKind;
        use tokio::signal::unix::signal;
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        // Who listens for it is not ended by a file that may not grow: writing fails, as on a full disk.
        let _full = signal(SignalKind::from_raw(libc::SIGXFSZ)).context("cannot listen for SIGXFSZ")?;
        let (changed, mut changes) = tokio::sync::mpsc::channel::<()>(1);
        let watch = self.shared.config.lock().map(|config| config.server.watch).unwrap_or(false);
        let _watcher = if watch {
            let watcher = files::watch(self.options.config.clone(), move || {
                // One is enough: the load reads everything.
                let _ = changed.try_send(());
            });
            watcher
                .inspect_err(|error| tracing::warn!(%error, "changed files are not noticed: use SIGHUP"))
                .ok()
        } else {
            None
        };
        loop {
            tokio::select! {
                _ = hangup.recv() => self.reload_told().await,
                Some(()) = changes.recv() => self.reload_told().await,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    anyhow::ensure!(!self.signaling.is_finished(), "the signalling thread has ended: see the log");
                }
            }
        }
        tracing::info!(
            "ending: new calls are refused, {DRAIN_MAX:?} for those that are up; a second signal ends them"
        );
        drop(self.shared.inbox.order(command::Command::Drain));
        let until = tokio::time::Instant::now() + DRAIN_MAX;
        while !self.signaling.is_finished() && tokio::time::Instant::now() < until {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        self.stop();
        Ok(())
    }

    /// Ends everything at once.
    pub fn stop(self) {
        self.shared.inbox.stop();
        // The media threads end with it.
        let _ = self.signaling.join();
    }

    async fn reload_told(&self) {
        let shared = Arc::clone(&self.shared);
        // Reading files and encoding recordings blocks.
        let _ = tokio::task::spawn_blocking(move || shared.reload()).await;
    }

    /// Says what was started, which phones may register, and what to dial.
    pub fn introduce(&self) {
        let Ok(config) = self.shared.config.lock() else { return };
        println!("Sentral {} is up.", env!("CARGO_PKG_VERSION"));
        for address in &self.udp {
            println!("  SIP over UDP on {address}");
        }
        for (transport, address) in self.shared.streams.listening() {
            println!("  SIP over {} on {address}", transport.via());
        }
        if let Some(listen) = config.server.metrics_listen {
            println!("  metrics on http://{listen}/metrics");
        }
        for (id, company) in &config.companies {
            println!("\n{} ({id}), SIP domain {}", company.name, company.domain);
            println!("  phones (any SIP phone on this machine):");
            // A company with thousands of phones is not introduced one by one.
            for (device, of) in company.devices.iter().take(SHOWN_MAX) {
                let ext = company.users.get(&of.user).and_then(|user| user.ext.as_ref());
                let made =
                    self.made_passwords.get(&format!("{}/{device}", company.domain)).map(String::as_str);
                let password = of.password.as_ref().map(|secret| &*secret.0).or(made).unwrap_or("(none)");
                let ext = ext.map(ToString::to_string).unwrap_or_default();
                println!("    user {:<14} password {password:<18} extension {ext}", device.as_str());
            }
            if company.devices.len() > SHOWN_MAX {
                println!("    … and {} more: sentral devices", company.devices.len() - SHOWN_MAX);
            }
            println!("  numbers, dialled from a phone or the trunk:");
            for (number, to) in company.numbers.iter().take(SHOWN_MAX) {
                println!("    {:<13} {to}", number.as_str());
            }
            let codes = &company.codes;
            let shown =
                [(&codes.login, "log in"), (&codes.logout, "log out"), (&codes.voicemail, "voicemail")];
            for (code, what) in shown {
                if let Some(code) = code {
                    println!("    {code:<13} {what}");
                }
            }
        }
        println!("\nTry `sentral demo`, `sentral status`, `sentral simulate NUMBER`. Ctrl-C ends it.");
    }
}

/// The ways to talk to the daemon.
struct Doors {
    shared: Arc<Shared>,
    store: Arc<Store>,
    metrics: Metrics,
}

impl Doors {
    /// Opens the control socket, and the metrics page when one is configured; each stays open until its sender is
    /// dropped.
    fn open(
        self,
        data: &Path,
        metrics_listen: Option<SocketAddr>,
    ) -> anyhow::Result<(oneshot::Sender<()>, Option<oneshot::Sender<()>>)> {
        let give = self.shared.inbox.clone();
        let commander: Commander = Arc::new(move |command| give.order(command));
        let again = Arc::clone(&self.shared);
        let reload: Reload = Arc::new(move || again.reload());
        let socket = http::control::Socket::bind(&data.join(http::control::SOCKET))?;
        let control = Control {
            commander: Arc::clone(&commander),
            store: self.store,
            trace: self.shared.inbox.trace().clone(),
            reload,
            metrics: self.metrics.clone(),
        };
        let (end_control, ended) = oneshot::channel::<()>();
        tokio::spawn(async move {
            if let Err(error) = socket.serve(control, async { drop(ended.await) }).await {
                tracing::error!(error = format!("{error:#}"), "the control socket failed");
            }
        });
        let end_metrics = metrics_listen.map(|listen| {
            let (end, ended) = oneshot::channel::<()>();
            let metrics = self.metrics;
            tokio::spawn(async move {
                let ended = async { drop(ended.await) };
                if let Err(error) = http::serve_metrics(listen, metrics, commander, ended).await {
                    tracing::error!(error = format!("{error:#}"), "metrics are not served");
                }
            });
            end
        });
        Ok((end_control, end_metrics))
    }
}

/// Phones and numbers of a company that are shown at start.
const SHOWN_MAX: usize = 20;

impl Shared {
    /// Loads everything again: all or nothing. The problems, when the old configuration stays.
    fn reload(&self) -> Result<(), Vec<String>> {
        // The lock makes reloads wait for each other; the newest files win.
        let Ok(mut current) = self.config.lock() else {
            return Err(vec!["a reload has failed before".into()]);
        };
        let loaded = files::load(&self.folder);
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "configuration");
        }
        let Some(config) = loaded.config else {
            let problems: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
            for problem in &problems {
                tracing::error!(problem, "configuration not adopted, the old one stays");
            }
            metrics::reloaded(false);
            return Err(problems);
        };
        for problem in load_media(&config, &self.data, &self.bank) {
            tracing::warn!(problem, "a recording cannot be played");
        }
        self.streams.adopt(&config);
        *current = Arc::clone(&config);
        self.inbox.give(Input::Config(config));
        metrics::reloaded(true);
        tracing::info!("configuration adopted");
        Ok(())
    }
}

/// Loads the configuration of a folder.
fn load(folder: &Path) -> anyhow::Result<Arc<Config>> {
    let loaded = files::load(folder);
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    loaded.config.ok_or_else(|| BadConfig(loaded.errors.iter().map(ToString::to_string).collect()).into())
}

/// Puts the recordings of all companies into the bank; tells what could not be read.
fn load_media(config: &Config, data: &Path, bank: &Bank) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, company) in &config.companies {
        for (media, of) in &company.media {
            let name = clip_name(&PromptKey::Media(id.clone(), media.clone()));
            // What was recorded by telephone stands in the place of the file.
            let recorded = data.join(recorded_file(id, media));
            let file = if recorded.is_file() { Some(&recorded) } else { of.file.as_ref() };
            if let Some(file) = file
                && let Err(error) = bank::load_file(name, file, bank)
            {
                problems.push(format!("{error:#}"));
            }
        }
    }
    problems
}

/// Where the system's prompts are: beside the program's sources, or where packages put them.
fn prompts_folder() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join("../share/sentral/media")));
    let places = [
        std::env::var_os("SENTRAL_MEDIA").map(PathBuf::from),
        Some(PathBuf::from("media")),
        beside,
        Some(PathBuf::from("/usr/share/sentral/media")),
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("media")),
    ];
    places.into_iter().flatten().find(|place| place.join("nb").is_dir()).context(
        "the system's prompts are not found: run from the source folder, or set SENTRAL_MEDIA to the folder with nb/ and en/",
    )
}

/// The address that RTP sockets are bound to: both families only when SIP listens on IPv6.
fn media_address(config: &Config) -> IpAddr {
    let server = &config.server;
    let streams = server.sip_tcp.iter().chain(&server.sip_tls).chain(&server.sip_ws).chain(&server.sip_wss);
    let listeners = server.sip_udp.iter().chain(streams);
    let v6 = listeners.clone().any(SocketAddr::is_ipv6);
    match v6 {
        true => IpAddr::from([0u16; 8]),
        false => IpAddr::from([0u8; 4]),
    }
}

fn seed() -> anyhow::Result<[u8; 32]> {
    use std::io::Read as _;
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .context("cannot read /dev/urandom")?;
    Ok(seed)
}

fn note_password(change: &crate::model::change::Change, made: &mut HashMap<String, String>) {
    if let crate::model::change::Change::DevicePassword { domain, device, password } = change {
        made.insert(format!("{domain}/{device}"), password.to_string());
    }
}
