//! baresip, a real telephone: it registers, says one tone, takes orders over a control connection and keeps what it
//! said and heard.

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

/// Of what it records, in Hertz.
pub(crate) const RATE: u32 = 8000;
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running telephone; its password is its name and `-hemmelig`.
pub(crate) struct Phone {
    pub(crate) name: &'static str,
    /// Where its recordings are.
    pub(crate) folder: PathBuf,
    process: Child,
    control: TcpStream,
}

impl Phone {
    /// Starts a telephone over UDP with parameters of its account, such as `;answermode=auto`. It talks A-law unless these
    /// name its codecs.
    pub(crate) fn start(site: &Site, name: &'static str, hz: u32, account: &str) -> Phone {
        Phone::over(site, ("udp", site.sip), name, hz, account)
    }

    /// Starts a telephone that registers over a transport, whatever certificate it is shown.
    pub(crate) fn over(
        site: &Site,
        (transport, server): (&str, SocketAddr),
        name: &'static str,
        hz: u32,
        account: &str,
    ) -> Phone {
        let folder = site.folder().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let first = free_ports(24);
        let (sip, control) = (first, first + 2);
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{sip}\nnet_interface 127.0.0.1\nsip_trans_def {transport}\nsip_verify_server no\n\
             audio_player aubridge,{name}\naudio_source ausine,{hz}\naudio_alert aubridge,{name}-alert\n\
             ausrc_srate 48000\nauplay_srate {RATE}\nausrc_channels 2\nauplay_channels 1\n\
             rtp_ports {}-{}\nmodule_path {}\nmodule g711.so\nmodule opus.so\nmodule ausine.so\nmodule aubridge.so\nmodule srtp.so\n\
             module sndfile.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control}\nsnd_path {}\n",
            first + 4,
            first + 23,
            modules().display(),
            folder.display(),
        );
        let codecs = if account.contains("audio_codecs=") { "" } else { ";audio_codecs=pcma" };
        let account = format!(
            "<sip:{name}@{server};transport={transport}>;auth_user={name};auth_pass={name}-hemmelig{codecs}{account}\n",
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
    pub(crate) fn order(&mut self, command: &str, params: &str) {
        let order = serde_json::json!({ "command": command, "params": params, "token": "t" }).to_string();
        write!(self.control, "{}:{order},", order.len()).expect("the phone runs");
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

/// The file with what a phone said (`enc`) or heard (`dec`), when there is one.
pub(crate) fn recording(phone: &Phone, which: &str) -> Option<PathBuf> {
    let files = fs::read_dir(&phone.folder).expect("our own folder");
    let mut paths = files.map(|file| file.expect("our own folder").path());
    paths.find(|path| path.to_string_lossy().ends_with(&format!("-{which}.wav")))
}

/// A recording's first channel and its rate; the file is not closed properly, so the lengths in its header mean nothing.
pub(crate) fn samples(phone: &Phone, which: &str) -> (Vec<i16>, u32) {
    let mut bytes = Vec::new();
    let path = recording(phone, which).expect("the call was recorded");
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("a file of ours");
    let channels = usize::from(bytes[22]);
    let rate = u32::from_le_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
    let samples = bytes[44..].chunks_exact(2 * channels).map(|all| i16::from_le_bytes([all[0], all[1]]));
    (samples.collect(), rate)
}

/// Where the package puts baresip's modules.
fn modules() -> PathBuf {
    let places = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules", "/usr/lib64/baresip/modules"];
    let found = places.iter().map(Path::new).find(|place| place.is_dir());
    found.expect("baresip's modules lie where packages put them").into()
}
