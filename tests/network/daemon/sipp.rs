//! SIPp, bounded in calls and time: each scenario of `sipp-scenarios/` is one behaviour of one party.

use std::fs;
use std::fs::File;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::daemon::Site;
use crate::daemon::wait_until;

/// Longer than any scenario takes.
const PATIENCE: Duration = Duration::from_secs(70);

/// A running SIPp.
pub(crate) struct Sipp {
    scenario: String,
    process: Child,
    messages: PathBuf,
    errors: PathBuf,
}

impl Sipp {
    /// A caller at the carrier's address, who dials `number`.
    pub(crate) fn caller(site: &Site, scenario: &str, number: &str, options: &[&str]) -> Sipp {
        Sipp::run(site, scenario, [&["-i", "127.0.0.2", "-s", number], options].concat())
    }

    /// A phone that waits for calls. Tells where once it does.
    pub(crate) fn phone(site: &Site, scenario: &str, options: &[&str]) -> (Sipp, std::net::SocketAddr) {
        let free =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let port = free.port().to_string();
        let ear = ["-i", "127.0.0.1", "-p", &port, "-s", "phone", "-key", "ear_port", "9"];
        let sipp = Sipp::run(site, scenario, [&ear, options].concat());
        let taken = || UdpSocket::bind(free).is_err().then_some(());
        wait_until("SIPp listens", Duration::from_secs(10), taken);
        (sipp, free)
    }

    fn run(site: &Site, scenario: &str, options: Vec<&str>) -> Sipp {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("sipp-scenarios/{scenario}.xml"));
        let of = |what: &str| site.folder().join(format!("{scenario}.{what}"));
        let (messages, errors) = (of("messages"), of("errors"));
        let output = File::create(of("output")).expect("a file");
        let process = Command::new("sipp")
            .arg(site.sip.to_string())
            .arg("-sf")
            .arg(file)
            .args(["-nostdin", "-timeout", "60s", "-timeout_error", "-recv_timeout", "20000"])
            .args(["-trace_msg", "-message_file"])
            .arg(&messages)
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .args(options)
            .current_dir(site.folder())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("SIPp is installed (package sip-tester)");
        Sipp { scenario: scenario.into(), process, messages, errors }
    }

    /// Waits until all its calls have gone as the scenario says. Tells the messages that it sent and received.
    pub(crate) fn succeeds(mut self) -> String {
        let status = wait_until("SIPp ends", PATIENCE, || self.process.try_wait().expect("our own child"));
        let messages = fs::read_to_string(&self.messages).unwrap_or_default();
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        assert!(status.success(), "{}: {status}\n{errors}\n{messages}", self.scenario);
        messages
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
