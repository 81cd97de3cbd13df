//! Kamailio as the edge proxy between real telephones (baresip) and the exchange: registrations leave a Path (RFC 3327),
//! calls to a phone follow it, and all that belongs to a call follows the Record-Route, from either side (RFC 3261 §12.2,
//! §16). What passed the proxy is read from its log; a request that went round it would be missing there.

use std::fs;
use std::fs::File;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::daemon::Site;
use crate::daemon::free_ports;
use crate::daemon::phone::Phone;
use crate::daemon::sipp::Sipp;
use crate::daemon::wait_until;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a caller of SIPp says besides its scenario: one call, and nobody listens.
const ONCE: [&str; 5] = ["-m", "1", "-key", "ear_port", "9"];

#[test]
fn a_call_to_a_phone_behind_a_proxy_follows_its_path_and_the_callers_bye_the_record_route() {
    let site = Site::new();
    let (daemon, proxy) = start(&site);
    let _anna = register(&site, &proxy, "anna", ";answermode=auto");
    let options = [&ONCE[..], &["-d", "500"]].concat();
    Sipp::caller(&site, "caller-hangs-up", "+4736000101", &options).succeeds();
    let call = last_call(&site, 1);
    assert_eq!((&call["result"], &call["ended_by"]), (&"answered".into(), &"caller".into()));
    proxy.passed(&["exchange INVITE", "exchange in-dialog ACK", "exchange in-dialog BYE"]);
    end(daemon, &proxy);
}

#[test]
fn a_phone_behind_a_proxy_holds_resumes_and_hangs_up_the_call_that_it_was_called_by() {
    let site = Site::new();
    let (daemon, proxy) = start(&site);
    let mut anna = register(&site, &proxy, "anna", ";answermode=auto");
    let caller = Sipp::caller(&site, "caller-is-hung-up-on", "+4736000101", &ONCE);
    proxy.passed(&["exchange in-dialog ACK"]);
    anna.order("hold", "");
    proxy.passed(&["phone in-dialog INVITE"]);
    anna.order("resume", "");
    wait_until("the call is resumed", PATIENCE, || {
        (proxy.count("phone in-dialog INVITE") >= 2 && proxy.count("phone in-dialog ACK") >= 2).then_some(())
    });
    anna.order("hangup", "");
    caller.succeeds();
    let call = last_call(&site, 1);
    assert_eq!((&call["result"], &call["ended_by"]), (&"answered".into(), &"callee".into()));
    proxy.passed(&["phone in-dialog BYE"]);
    end(daemon, &proxy);
}

#[test]
fn a_caller_that_gives_up_is_cancelled_at_the_phone_behind_the_proxy() {
    let site = Site::new();
    let (daemon, proxy) = start(&site);
    let _anna = register(&site, &proxy, "anna", ";answermode=manual");
    Sipp::caller(&site, "caller-cancels-while-ringing", "+4736000101", &ONCE).succeeds();
    assert_eq!(last_call(&site, 1)["result"], "abandoned");
    proxy.passed(&["exchange INVITE", "exchange CANCEL"]);
    end(daemon, &proxy);
}

#[test]
fn two_phones_behind_a_proxy_call_each_other_and_give_up() {
    let site = Site::new();
    let (daemon, proxy) = start(&site);
    let mut anna = register(&site, &proxy, "anna", ";answermode=manual");
    let mut bo = register(&site, &proxy, "bo", ";answermode=auto");
    // Answered: through the proxy to the exchange, and from there through the proxy to the other.
    anna.order("dial", "102");
    proxy.passed(&["phone INVITE", "exchange INVITE", "phone in-dialog ACK", "exchange in-dialog ACK"]);
    anna.order("hangup", "");
    let call = last_call(&site, 1);
    assert_eq!((&call["result"], &call["answered_by"]), (&"answered".into(), &"bo".into()));
    proxy.passed(&["phone in-dialog BYE", "exchange in-dialog BYE"]);
    drop(anna);
    // Given up by the phone that called.
    let _dagny = register(&site, &proxy, "dagny", ";answermode=manual");
    bo.order("dial", "104");
    wait_until("the other phone is called", PATIENCE, || (proxy.count("exchange INVITE") == 2).then_some(()));
    bo.order("hangup", "");
    assert_eq!(last_call(&site, 2)["result"], "abandoned");
    proxy.passed(&["phone CANCEL", "exchange CANCEL"]);
    end(daemon, &proxy);
}

/// The exchange and the proxy before it.
fn start(site: &Site) -> (Daemon<'_>, Proxy) {
    (site.start(), Proxy::start(site))
}

fn end(daemon: Daemon<'_>, proxy: &Proxy) {
    assert_eq!(proxy.lines("STRAYED"), Vec::<String>::new());
    daemon.end();
}

/// A phone that knows nothing of the exchange but through the proxy.
fn register(site: &Site, proxy: &Proxy, name: &'static str, account: &str) -> Phone {
    let before = site.ask(&["status"]).expect("the daemon answers")["bindings"].as_u64().expect("a number");
    let account = format!(";outbound=\"sip:{};lr\"{account}", proxy.address);
    let phone = Phone::start(site, name, 440, &account);
    wait_until("the phone is registered", PATIENCE, || {
        (site.ask(&["status"])?["bindings"] == before + 1).then_some(())
    });
    proxy.passed(&["phone REGISTER"]);
    phone
}

/// The record of the last call, once there are so many.
fn last_call(site: &Site, count: usize) -> serde_json::Value {
    wait_until("the call is recorded", PATIENCE, || {
        let calls = site.ask(&["cdr"]).expect("the daemon answers").as_array().expect("a list").clone();
        let last = calls.iter().max_by_key(|call| call["started"].as_str().map(str::to_owned)).cloned();
        last.filter(|_| calls.len() >= count)
    })
}

/// A running Kamailio.
struct Proxy {
    address: SocketAddr,
    process: Child,
    log: PathBuf,
}

impl Proxy {
    fn start(site: &Site) -> Proxy {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(2)));
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kamailio.cfg");
        let text = fs::read_to_string(template).expect("our own file");
        let words = [
            ("@proxy@", address.to_string()),
            ("@daemon@", site.sip.to_string()),
            ("@daemon_ip@", site.sip.ip().to_string()),
            ("@daemon_port@", site.sip.port().to_string()),
        ];
        let text = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
        let (config, log) = (site.folder().join("kamailio.cfg"), site.folder().join("kamailio.log"));
        fs::write(&config, text).expect("room on the disk");
        let output = File::create(&log).expect("a file");
        // -DD: its processes stay children of ours, and end with the first.
        let process = Command::new(program())
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-f"])
            .arg(&config)
            .arg("-Y")
            .arg(site.folder())
            .arg("-P")
            .arg(site.folder().join("kamailio.pid"))
            .current_dir(site.folder())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("Kamailio is installed (package kamailio)");
        let mut proxy = Proxy { address, process, log };
        wait_until("the proxy listens", PATIENCE, || {
            let ended = proxy.process.try_wait().expect("our own child");
            assert!(ended.is_none(), "{}", fs::read_to_string(&proxy.log).unwrap_or_default());
            UdpSocket::bind(address).is_err().then_some(())
        });
        proxy
    }

    /// Waits until all of these have passed.
    fn passed(&self, all: &[&str]) {
        for what in all {
            wait_until(&format!("{what} passes the proxy"), PATIENCE, || {
                (self.count(what) > 0).then_some(())
            });
        }
    }

    /// How many of these have passed.
    fn count(&self, what: &str) -> usize {
        let end = format!("PASSED {what}");
        self.lines("PASSED").iter().filter(|line| line.trim_end().ends_with(&end)).count()
    }

    fn lines(&self, with: &str) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Killed outright it would leave its workers behind.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy ---\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Packages put it where an ordinary user's path does not lead.
fn program() -> PathBuf {
    let sbin = Path::new("/usr/sbin/kamailio");
    if sbin.is_file() { sbin.into() } else { "kamailio".into() }
}
