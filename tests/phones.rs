//! Two real telephones (baresip) call each other through the daemon; what each hears is measured.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real sockets and processes are the point"
)]

mod daemon;
#[path = "daemon/tone.rs"]
mod tone;

use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::daemon::Site;
use crate::daemon::free_ports;
use crate::daemon::wait_until;
use crate::tone::level_db;
use crate::tone::pitch;

const RATE: u32 = 8000;
/// 20 ms.
const FRAME: usize = 160;
/// How long they talk.
const TALK_S: usize = 6;
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn two_phones_hear_each_other_clearly() {
    let site = Site::new();
    let daemon = site.start();
    let mut anna = Phone::start(&site, "anna", 440);
    let bo = Phone::start(&site, "bo", 1000);
    let registered = || (site.ask(&["status"])?["bindings"] == 2).then_some(());
    wait_until("both phones are registered", PATIENCE, registered);

    anna.order("dial", "102");
    let enough = (TALK_S * RATE as usize * 2) as u64;
    let talked = |phone: &Phone| {
        fs::metadata(phone.recording("dec")?).is_ok_and(|file| file.len() > enough).then_some(())
    };
    wait_until("they have talked long enough", PATIENCE, || talked(&anna).and(talked(&bo)));
    anna.order("hangup", "");
    wait_until("the call is over", PATIENCE, || {
        let calls = site.ask(&["cdr"]).expect("the daemon answers");
        (calls[0]["result"] == "answered" && calls[0]["answered_by"] == "bo").then_some(())
    });

    for (ear, mouth, hz) in [(&anna, &bo, 1000.0), (&bo, &anna, 440.0)] {
        let heard = steady(&ear.samples("dec"));
        let said = steady(&mouth.samples("enc"));
        let (tone, level, source) =
            (pitch(&heard, RATE), level_db(&heard, RATE, hz), level_db(&said, RATE, hz));
        let lost = silent_frames(&heard);
        println!(
            "{} hears {tone:.1} Hz at {level:.1} dB (said at {source:.1} dB), {lost} frames lost",
            ear.name
        );
        assert!((tone - hz).abs() < 5.0, "{} hears {tone} Hz instead of {hz}", ear.name);
        assert!((level - source).abs() < 3.0, "{} hears {level} dB, said were {source} dB", ear.name);
        assert!(lost <= 1, "{} has lost {lost} of {} frames", ear.name, heard.len() / FRAME);
    }
    drop((anna, bo));
    daemon.end();
}

/// Four seconds of a recording, when both have long been connected.
fn steady(samples: &[i16]) -> Vec<i16> {
    let second = RATE as usize;
    samples[second..5 * second].to_vec()
}

/// How many 20 ms in a row or apart hold next to nothing.
fn silent_frames(samples: &[i16]) -> usize {
    let peak = |samples: &[i16]| samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let loud = peak(samples);
    samples.chunks_exact(FRAME).filter(|frame| peak(frame) < loud / 4).count()
}

/// A baresip that answers by itself and says one tone.
struct Phone {
    name: &'static str,
    folder: PathBuf,
    process: Child,
    control: TcpStream,
}

impl Phone {
    fn start(site: &Site, name: &'static str, hz: u32) -> Phone {
        let folder = site.folder().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let first = free_ports(24);
        let (sip, control) = (first, first + 2);
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{sip}\nnet_interface 127.0.0.1\nsip_trans_def udp\n\
             audio_player aubridge,{name}\naudio_source ausine,{hz}\naudio_alert aubridge,{name}-alert\n\
             ausrc_srate 48000\nauplay_srate {RATE}\nausrc_channels 2\nauplay_channels 1\n\
             rtp_ports {}-{}\nmodule_path {}\nmodule g711.so\nmodule ausine.so\nmodule aubridge.so\n\
             module sndfile.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control}\nsnd_path {}\n",
            first + 4,
            first + 23,
            modules().display(),
            folder.display(),
        );
        let account = format!(
            "<sip:{name}@{}>;auth_user={name};auth_pass={name}-hemmelig;answermode=auto;audio_codecs=pcma\n",
            site.sip
        );
        for (file, text) in [("config", &*config), ("accounts", &account), ("contacts", "")] {
            fs::write(folder.join(file), text).expect("room on the disk");
        }
        let output = File::create(folder.join("output")).expect("a file");
        let mut process = Command::new("baresip")
            .args(["-4", "-f"])
            .arg(&folder)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("baresip is installed (package baresip)");
        let address = SocketAddr::from(([127, 0, 0, 1], control));
        let control = wait_until("the phone takes orders", PATIENCE, || {
            let ended = process.try_wait().expect("our own child");
            assert!(ended.is_none(), "{}", fs::read_to_string(folder.join("output")).unwrap_or_default());
            TcpStream::connect(address).ok()
        });
        Phone { name, folder, process, control }
    }

    /// Gives an order, as JSON in a netstring.
    fn order(&mut self, command: &str, params: &str) {
        let order = serde_json::json!({ "command": command, "params": params, "token": "t" }).to_string();
        write!(self.control, "{}:{order},", order.len()).expect("the phone runs");
    }

    /// The file with what was said (`enc`) or heard (`dec`), when there is one.
    fn recording(&self, which: &str) -> Option<PathBuf> {
        let files = fs::read_dir(&self.folder).expect("our own folder");
        let mut paths = files.map(|file| file.expect("our own folder").path());
        paths.find(|path| path.to_string_lossy().ends_with(&format!("-{which}.wav")))
    }

    /// A recording's samples; the file is not closed properly, so its header is passed over.
    fn samples(&self, which: &str) -> Vec<i16> {
        let mut bytes = Vec::new();
        let path = self.recording(which).expect("the call was recorded");
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("a file of ours");
        bytes[44..].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let output = fs::read_to_string(self.folder.join("output")).unwrap_or_default();
            eprintln!("--- {} ---\n{output}", self.name);
        }
    }
}

/// Where the package puts baresip's modules.
fn modules() -> PathBuf {
    let places = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules", "/usr/lib64/baresip/modules"];
    let found = places.iter().map(Path::new).find(|place| place.is_dir());
    found.expect("baresip's modules lie where packages put them").into()
}
