//! A browser is a telephone: Chromium without a screen registers over WebSocket, calls a real SIP phone (baresip) and is
//! called by it, with ICE and DTLS-SRTP; what each of the two hears is measured.
//!
//! The page in `tests/data/browser` drives itself and tells what it heard by HTTP. The microphone is a tone in a file.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::Site;
use crate::daemon::free_ports;
use crate::daemon::phone;
use crate::daemon::phone::Phone;
use crate::daemon::tone::level_db;
use crate::daemon::tone::pitch;
use crate::daemon::wait_until;
use crate::daemon::write_tone;

/// Of what the browser hears, in Hertz.
const RATE: u32 = 48_000;
/// How long anything may take; a browser starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn a_browser_calls_a_phone_and_both_hear_each_other() {
    let (site, ws) = site("");
    let daemon = site.start();
    let bo = Phone::start(&site, "bo", 1000, ";answermode=auto");
    let registered = || (site.ask(&["status"])?["bindings"] == 1).then_some(());
    wait_until("the phone is registered", PATIENCE, registered);
    let mut browser = Browser::start(&site, ws, "&call=102");
    both_hear_each_other(&mut browser, &bo);
    drop((browser, bo));
    daemon.end();
}

#[test]
fn a_phone_calls_a_browser_and_both_hear_each_other() {
    let (site, ws) = site("");
    let daemon = site.start();
    let mut bo = Phone::start(&site, "bo", 1000, "");
    let mut browser = Browser::start(&site, ws, "");
    let registered = || (site.ask(&["status"])?["bindings"] == 2).then_some(());
    wait_until("both are registered", PATIENCE, registered);
    bo.order("dial", "101");
    both_hear_each_other(&mut browser, &bo);
    bo.order("hangup", "");
    browser.wait("ended");
    drop((browser, bo));
    daemon.end();
}

#[test]
fn a_browser_is_refused_where_its_audio_may_not_be_encrypted() {
    let (site, ws) = site(", srtp = \"off\"");
    let daemon = site.start();
    let mut browser = Browser::start(&site, ws, "&call=102");
    let told = browser.wait("failed");
    assert_eq!(told["why"], "SIP/2.0 488 Not Acceptable Here 302 sentral \"SRTP is not used here\"");
    drop(browser);
    daemon.end();
}

/// A site whose exchange speaks WebSocket; `anna` is the browser's device, with something more said of it.
fn site(of_anna: &str) -> (Site, SocketAddr) {
    let site = Site::new();
    let ws = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(2)));
    let config = site.folder().join("config");
    let edit = |file: &str, from: &str, to: &str| {
        let path = config.join(file);
        let text = fs::read_to_string(&path).expect("our own file");
        assert!(text.contains(from), "{file} has {from}");
        fs::write(&path, text.replacen(from, to, 1)).expect("room on the disk");
    };
    edit("server.toml", "[sip]\n", &format!("[sip]\nws = \"{ws}\"\n"));
    let (plain, more) = ("\"anna-hemmelig\"", format!("\"anna-hemmelig\"{of_anna}"));
    edit("companies/prove.toml", plain, &more);
    (site, ws)
}

fn both_hear_each_other(browser: &mut Browser, bo: &Phone) {
    let told = browser.wait("stats");
    println!("the browser says {}", told["stats"]);
    let stats = &told["stats"];
    assert_eq!((&stats["dtls"], &stats["lost"]), (&"connected".into(), &0.into()), "{stats}");
    assert!(stats["srtp"].as_str().is_some_and(|srtp| !srtp.is_empty()), "{stats}");
    let heard = browser.heard();
    // The browser's own jitter buffer settles in the first second.
    clear("the browser", &heard[RATE as usize..4 * RATE as usize], RATE, (1000.0, -5.9));
    let (of_bo, _) = phone::samples(bo, "dec");
    let rate = phone::RATE as usize;
    clear("the phone", &of_bo[of_bo.len() - 3 * rate..][..2 * rate], phone::RATE, (440.0, -12.0));
}

/// A tone of so many Hertz: to one Hertz, as loud as it was said (in dB), and hardly a gap in it.
fn clear(who: &str, heard: &[i16], rate: u32, (hz, said): (f64, f64)) {
    let (tone, level) = (pitch(heard, rate), level_db(heard, rate, hz));
    let peak = |samples: &[i16]| samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let loud = peak(heard);
    let lost = heard.chunks_exact(rate as usize / 50).filter(|frame| peak(frame) < loud / 4).count();
    println!("{who} hears {tone:.1} Hz at {level:.1} dB, {lost} frames lost");
    assert!((tone - hz).abs() <= 1.0, "{who} hears {tone} Hz instead of {hz}");
    assert!((level - said).abs() < 1.0, "{who} hears {level} dB, said were {said}");
    assert!(lost <= 1, "{who} has lost {lost} frames of 20 ms");
}

/// A running browser with the page, and what that told.
struct Browser {
    process: Child,
    told: Arc<Told>,
    folder: std::path::PathBuf,
}

#[derive(Default)]
struct Told {
    /// By kind, oldest first.
    events: Mutex<BTreeMap<String, Vec<Value>>>,
    heard: Mutex<Vec<i16>>,
}

impl Browser {
    /// Starts it as `anna`, with `more` in the page's query.
    fn start(site: &Site, ws: SocketAddr, more: &str) -> Browser {
        let folder = site.folder().join("browser");
        fs::create_dir_all(&folder).expect("a folder");
        write_tone(&folder.join("microphone.wav"), 440.0, 10);
        let told = Arc::new(Told::default());
        let page = serve(Arc::clone(&told));
        let output = File::create(folder.join("output")).expect("a file");
        let query = format!("server=ws://{ws}&user=anna&password=anna-hemmelig&domain=127.0.0.1{more}");
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args([
                "--disable-dev-shm-usage",
                "--disable-default-apps",
                "--no-proxy-server",
                "--disable-breakpad",
            ])
            .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
            .args([
                "--autoplay-policy=no-user-gesture-required",
                "--disable-features=WebRtcHideLocalIpsWithMdns",
            ])
            // Without it the browser gathers no candidates of the loopback interface.
            .arg("--allow-loopback-in-peer-connection")
            .arg(format!("--use-file-for-fake-audio-capture={}", folder.join("microphone.wav").display()))
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("http://{page}/phone.html?{query}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("a browser is installed (package chromium)");
        Browser { process, told, folder }
    }

    /// Waits until the page tells something of that kind; the first of them.
    fn wait(&mut self, kind: &str) -> Value {
        let told = Arc::clone(&self.told);
        wait_until(&format!("the page tells {kind}"), PATIENCE, || {
            let ended = self.process.try_wait().expect("our own child");
            assert!(ended.is_none(), "the browser has ended");
            let events = told.events.lock().expect("nobody panics with it");
            let failed = events.get("failed").and_then(|failed| failed.first());
            assert!(kind == "failed" || failed.is_none(), "the page has failed: {failed:?}");
            events.get(kind).and_then(|events| events.first().cloned())
        })
    }

    fn heard(&self) -> Vec<i16> {
        self.told.heard.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let output = fs::read_to_string(self.folder.join("output")).unwrap_or_default();
            eprintln!("--- the page ---\n{:?}", self.told.events.lock());
            eprintln!("--- the browser ---\n{output}");
        }
    }
}

/// Serves the page and takes what it tells, on the loopback interface and until the test's program ends.
fn serve(told: Arc<Told>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = Arc::clone(&told);
            // A browser opens connections that it does not use at once.
            std::thread::spawn(move || {
                // One that breaks off is the browser's end.
                let _ = exchange(stream, &told);
            });
        }
    });
    address
}

fn exchange(stream: TcpStream, told: &Told) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap_or(0));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = request.split(' ').nth(1).unwrap_or("/");
    let path = path.split('?').next().unwrap_or(path);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/browser");
    let (status, kind, answer) = match path {
        "/told" => {
            let event: Value = serde_json::from_slice(&body).unwrap_or_default();
            let kind = event["kind"].as_str().unwrap_or("failed").to_owned();
            told.events.lock().expect("nobody panics with it").entry(kind).or_default().push(event);
            ("200 OK", "text/plain", Vec::new())
        }
        "/heard" => {
            let samples = body.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]]));
            *told.heard.lock().expect("nobody panics with it") = samples.collect();
            ("200 OK", "text/plain", Vec::new())
        }
        "/phone.html" => ("200 OK", "text/html", fs::read(folder.join("phone.html"))?),
        "/phone.js" => ("200 OK", "text/javascript", fs::read(folder.join("phone.js"))?),
        "/md5.js" => ("200 OK", "text/javascript", fs::read(folder.join("md5.js"))?),
        _ => ("404 Not Found", "text/plain", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer)
}
