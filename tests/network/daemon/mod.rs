//! A real daemon for a test: a configuration of its own in a temporary folder, free ports of the loopback
//! interface, and an end that is checked.
//!
//! What comes from 127.0.0.2 is the carrier; phones are at 127.0.0.1. The company is always open, so no test
//! depends on the clock, and each of its recordings is one pure tone, so what is heard tells where a call is.

pub(crate) mod crowd;
pub(crate) mod ear;
pub(crate) mod line;
pub(crate) mod phone;
pub(crate) mod siege;
pub(crate) mod sipp;
pub(crate) mod tone;
pub(crate) mod voice;

use std::fs;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

/// RTP ports of a daemon: one even and one odd for each party.
const RTP_PORTS: u16 = 240;
/// Below the ports that the kernel hands out by itself, and those of the sample configuration: somebody may try that
/// out at the same time.
const PORTS: std::ops::Range<u16> = 10_000..20_000;
/// How long a daemon may take to start, and to give everything back.
const PATIENCE: Duration = Duration::from_secs(60);

const COMPANY: &str = r#"
[company]
name   = "Prøve AS"
number = "+4736000100"
music  = "musikk"

[numbers]
"+4736000100" = "flow:hovednummer"
"+4736000110" = "queue:salg"
"+4736000130" = "flow:tone"
"+4736000170" = "room:mote"

[users]
anna  = { name = "Anna",  ext = "101", number = "+4736000101" }
bo    = { name = "Bo",    ext = "102", number = "+4736000102" }
dagny = { name = "Dagny", ext = "104", number = "+4736000104", ring = "5s" }

[devices]
anna  = { user = "anna",  password = "anna-hemmelig" }
bo    = { user = "bo",    password = "bo-hemmelig" }
dagny = { user = "dagny", password = "dagny-hemmelig" }

[rooms.mote]
name = "Møte"

[hours.alltid]
name    = "Alltid"
mon-sun = "00:00-24:00"

[media]
velkommen = { file = "600.wav" }
meny      = { file = "900.wav" }
musikk    = { file = "1200.wav" }
lang      = { file = "1500.wav" }

[queues.salg]
name       = "Salg"
ext        = "601"
agents     = ["anna", "bo"]
auto_login = true
hours      = "alltid"
ring       = "10s"
wrap_up    = "0s"
max_wait   = "1m"
welcome    = false
comfort    = false
announce   = false
overflow   = "hangup"

[flows.hovednummer]
name  = "Hovednummer"
start = "tid"

[flows.hovednummer.steps]
tid       = { hours = "alltid", open = "velkommen", closed = "hangup" }
velkommen = { play = "velkommen", next = "meny" }
meny      = { menu = "meny", wait = "6s", 1 = "queue:salg", timeout = "hangup" }

[flows.tone]
name  = "Lang tone"
start = "tone"

[flows.tone.steps]
tone = { play = "lang", next = "hangup" }
"#;

/// Recordings of the company: Hertz and seconds. Their amplitude is a quarter of the largest there is.
const TONES: [(f64, u32); 4] = [(600.0, 1), (900.0, 1), (1200.0, 2), (1500.0, 60)];

/// Files and ports of a daemon, which stay when it ends.
pub(crate) struct Site {
    folder: TempDir,
    /// Where it listens for SIP, over UDP and TCP.
    pub(crate) sip: SocketAddr,
}

impl Site {
    /// Writes the configuration.
    pub(crate) fn new() -> Site {
        let folder = TempDir::new().expect("a temporary folder");
        let first = free_ports(RTP_PORTS + 2);
        let sip = SocketAddr::from((Ipv4Addr::LOCALHOST, first));
        let config = folder.path().join("config");
        let media = config.join("media/prove");
        fs::create_dir_all(config.join("companies")).expect("a folder");
        fs::create_dir_all(&media).expect("a folder");
        let (data, rtp, rtp_end) = (folder.path().join("data"), first + 2, first + 1 + RTP_PORTS);
        let server = format!(
            "[server]\ndomain = \"127.0.0.1\"\ndata = \"{}\"\n[sip]\nudp = \"{sip}\"\ntcp = \"{sip}\"\n\
             [media]\nports = \"{rtp}-{rtp_end}\"\ncodecs = [\"pcma\", \"pcmu\"]\n\
             [log]\nlevel = \"debug\"\n[config]\nwatch = false\n",
            data.display()
        );
        let trunks = "[trunks.linje]\nname = \"Linje\"\nserver = \"127.0.0.2:5060\"\ntrusted = [\"127.0.0.2\"]\nhealth = false\n";
        for (name, text) in
            [("server.toml", &*server), ("trunks.toml", trunks), ("companies/prove.toml", COMPANY)]
        {
            fs::write(config.join(name), text).expect("a configuration file");
        }
        for (hz, seconds) in TONES {
            write_tone(&media.join(format!("{hz}.wav")), hz, seconds);
        }
        Site { folder, sip }
    }

    /// The folder that everything of this test lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&self) -> Daemon<'_> {
        self.start_with(&[])
    }

    /// Starts the daemon without the system's prompts, which take seconds to read, and waits until it answers.
    pub(crate) fn start_mute(&self) -> Daemon<'_> {
        self.start_with(&[("SENTRAL_MEDIA", &self.no_prompts())])
    }

    /// Like [`Site::start_mute`]; the daemon takes it to be `time`, as RFC 3339 writes it.
    pub(crate) fn start_at(&self, time: &str) -> Daemon<'_> {
        self.start_with(&[("SENTRAL_MEDIA", &self.no_prompts()), ("SENTRAL_TEST_TIME", time)])
    }

    /// A folder of prompts without any.
    fn no_prompts(&self) -> String {
        let folder = self.folder().join("prompts");
        fs::create_dir_all(folder.join("nb")).expect("a folder");
        folder.display().to_string()
    }

    fn start_with(&self, environment: &[(&str, &str)]) -> Daemon<'_> {
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("a log");
        let process = Command::new(env!("CARGO_BIN_EXE_sentral"))
            .arg("serve")
            .arg("--config")
            .arg(self.folder().join("config"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the daemon's program");
        let mut daemon = Daemon { site: self, process };
        wait_until("the daemon answers", PATIENCE, || {
            let ended = daemon.process.try_wait().expect("our own child");
            assert!(ended.is_none(), "the daemon has ended: {ended:?}");
            self.ask(&["status"]).is_some().then_some(())
        });
        daemon
    }

    /// The JSON answer of the command line; none when the command failed.
    pub(crate) fn ask(&self, args: &[&str]) -> Option<serde_json::Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_sentral"))
            .args(args)
            .args(["--output", "json", "--config"])
            .arg(self.folder().join("config"))
            .output()
            .expect("the daemon's program");
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder().join("daemon.log")
    }
}

/// A running daemon.
pub(crate) struct Daemon<'a> {
    site: &'a Site,
    /// Its process.
    pub(crate) process: Child,
}

impl Daemon<'_> {
    /// Ends it as an operator does. Before that every call must be over and every RTP port given back.
    pub(crate) fn end(mut self) {
        wait_until("everything is given back", PATIENCE, || {
            let status = self.site.ask(&["status"]).expect("the daemon answers");
            let given_back =
                status["calls"] == 0 && status["legs"] == 0 && status["ports_free"] == status["ports"];
            given_back.then_some(())
        });
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(told.expect("kill").success());
        let status =
            wait_until("the daemon ends", PATIENCE, || self.process.try_wait().expect("our own child"));
        assert!(status.success(), "the daemon ended with {status}");
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.site.log()).unwrap_or_default();
            eprintln!("--- the daemon's log ---\n{log}");
        }
    }
}

/// Waits until `look` finds something.
pub(crate) fn wait_until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {within:?} in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The first of `count` ports that are free on all addresses, an even one.
pub(crate) fn free_ports(count: u16) -> u16 {
    let room = PORTS.end - PORTS.start - count;
    // Tests that run at the same time, in other processes or in this one, begin to look at different places.
    static BLOCKS: AtomicU32 = AtomicU32::new(0);
    let block = BLOCKS.fetch_add(1, Ordering::Relaxed) * u32::from(RTP_PORTS + 2);
    let begin = u16::try_from(std::process::id().wrapping_mul(7919).wrapping_add(block) % u32::from(room))
        .expect("within the room");
    let tries = (0..room).step_by(usize::from(count));
    let ports = tries.map(|step| PORTS.start + (begin + step) % room / 2 * 2);
    let free = |port: &u16| {
        let all = *port..*port + count;
        let udp: Result<Vec<_>, _> = all.map(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).collect();
        udp.is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()
    };
    ports.into_iter().find(free).expect("some ports are free")
}

/// Writes so many seconds of a tone, a quarter as loud as can be.
pub(crate) fn write_tone(path: &Path, hz: f64, seconds: u32) {
    const RATE: u32 = 16_000;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).expect("a WAV file");
    for at in 0..RATE * seconds {
        let phase = std::f64::consts::TAU * hz * f64::from(at) / f64::from(RATE);
        file.write_sample((phase.sin() * 8192.0) as i16).expect("room on the disk");
    }
    file.finalize().expect("room on the disk");
}
