//! `sentral doctor`: whether this machine can carry the calls that are configured, and what to do where it cannot: SIP and
//! RTP ports, addresses and NAT, names, certificates, limits of the process, disk, clock.
//!
//! Touches nothing, but for a file in the data folder that it writes and removes, and asks name servers for the trunks.
//! Beside a running daemon its ports are in use by it, and it is asked how many it has.

mod certificates;
mod folder;
mod names;

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command as Program;
use std::time::SystemTime;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::Status;
use crate::model::server::Server;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::print;
use crate::shell::clock::now;
use crate::shell::net::udp;
use crate::shell::store::files;

/// Descriptors beside those of the RTP ports: SIP connections, files, the rest.
const OTHER_FILES: u64 = 4096;

/// Free space below which recordings and messages are in danger, and below which it is late: in megabytes.
const DISK_LOW: u64 = 2000;
const DISK_OUT: u64 = 200;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Error,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Error => "ERROR",
        })
    }
}

/// One check: what was found, and what to do about it; nothing where all is well.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    remedy: &'static str,
}

fn finding(check: &'static str, verdict: Verdict, found: String, remedy: &'static str) -> Finding {
    Finding { check, verdict, found, remedy }
}

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let loaded = files::load(&context.config);
    let Some(config) = loaded.config else {
        return Err(Failure::Config(loaded.errors.iter().map(ToString::to_string).collect()));
    };
    let server = &config.server;
    let running = match context.client.ask(&Command::Status) {
        Ok(Answer::Status(status)) => Some(status),
        Ok(_) | Err(_) => None,
    };
    let data = context.data.as_deref().unwrap_or(&server.data);
    let mut findings = vec![daemon(running.as_deref())];
    findings.extend(ports(server, running.as_deref()));
    findings.push(listeners(server, running.is_some()));
    findings.push(external(server.external, route()));
    findings.push(names::names(&config));
    findings.extend(certificates::certificates(&config, now().utc));
    // What a daemon that runs may do was settled when it was started, perhaps by a unit.
    let whose = running.is_some().then(|| context.client.daemon()).flatten();
    let of_daemon = whose.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok());
    let limits = of_daemon.or_else(|| fs::read_to_string("/proc/self/limits").ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    findings.extend([files_limit(server, &limits), priority(&limits), buffers(&kernel)]);
    findings.extend([folder::data(data), disk(data), clock(&[&context.config, data])]);
    match context.form {
        Form::Json => print::json(&findings)?,
        Form::Text | Form::Csv => print::text(&text(&findings))?,
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Error).count() {
        0 => Ok(()),
        count => Err(Failure::Error(anyhow::anyhow!("{count} of {} checks failed", findings.len()))),
    }
}

fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for Finding { check, verdict, found, remedy } in findings {
        out.push_str(&format!("{:7}  {check:10}  {found}\n", verdict.to_string()));
        if !remedy.is_empty() {
            out.push_str(&format!("{:21}→ {remedy}\n", ""));
        }
    }
    out
}

fn daemon(running: Option<&Status>) -> Finding {
    match running {
        Some(of) => {
            finding("daemon", Verdict::Ok, format!("runs, version {}, {} calls", of.version, of.calls), "")
        }
        None => {
            finding("daemon", Verdict::Ok, "does not run; ports are tried as it would bind them".into(), "")
        }
    }
}

/// RTP ports: that they can be bound, or are bound by the daemon, and are enough for the calls that are allowed.
fn ports(server: &Server, running: Option<&Status>) -> Vec<Finding> {
    let (first, last) = server.media_ports;
    let even = (first.next_multiple_of(2)..last).step_by(2);
    let all = even.clone().count();
    let range = format!("{first}–{last}");
    let usable = match running {
        Some(status) => status.ports,
        None => even.filter(|port| [*port, port + 1].into_iter().all(|port| bind(port).is_ok())).count(),
    };
    let verdict = match usable {
        0 => Verdict::Error,
        some if some < all => Verdict::Warning,
        _ => Verdict::Ok,
    };
    let remedy = match verdict {
        Verdict::Ok => "",
        Verdict::Warning | Verdict::Error => {
            "another program has some of them: find it with `ss -lunp`, or choose another range in [media] ports"
        }
    };
    let state = if running.is_some() { "bound by the daemon" } else { "can be bound" };
    let bound = finding("rtp ports", verdict, format!("{usable} of {all} pairs of {range} {state}"), remedy);
    // A call has two sides.
    let (calls, room) = (server.limits.calls, usable / 2);
    let enough = if room >= calls {
        finding("calls", Verdict::Ok, format!("{room} calls fit; {calls} are allowed"), "")
    } else {
        let found = format!("ports for {room} calls only, and {calls} are allowed");
        finding(
            "calls",
            Verdict::Warning,
            found,
            "widen [media] ports (four ports a call), or lower [limits] calls",
        )
    };
    vec![bound, enough]
}

/// Binds as the daemon does: on every address.
fn bind(port: u16) -> io::Result<UdpSocket> {
    let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
    let no_six = |error: &io::Error| error.raw_os_error() == Some(97); // EAFNOSUPPORT
    if six.as_ref().is_err_and(no_six) { UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)) } else { six }
}

/// Our address on the way to the world; no packet is sent.
fn route() -> Option<IpAddr> {
    let ways: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    ];
    ways.into_iter().find_map(|(any, far)| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((far, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_unspecified())
    })
}

/// Addresses that are listened on: that they are ours, and free unless the daemon has them.
fn listeners(server: &Server, running: bool) -> Finding {
    let say = |verdict, found: String, remedy| finding("listen", verdict, found, remedy);
    let udp = server.sip_udp.iter().map(|address| ("udp", *address));
    let streams = [&server.sip_tcp, &server.sip_tls, &server.sip_ws, &server.sip_wss];
    let tcp = streams.into_iter().flatten().chain(&server.metrics_listen).map(|address| ("tcp", *address));
    let sip = udp.chain(tcp).collect::<Vec<_>>();
    for (transport, address) in &sip {
        // What the daemon has is bound by it; whether the address is ours is seen at another port.
        let address = if running { SocketAddr::new(address.ip(), 0) } else { *address };
        let bound = match *transport {
            "udp" => UdpSocket::bind(address).map(drop),
            _ => TcpListener::bind(address).map(drop),
        };
        let Err(error) = bound else { continue };
        return match error.kind() {
            io::ErrorKind::AddrInUse => say(
                Verdict::Error,
                format!("{transport} {address} is in use by another program"),
                "find it with `ss -lnptu` and stop it, or listen on another port",
            ),
            io::ErrorKind::AddrNotAvailable => say(
                Verdict::Error,
                format!("{transport} {address} is no address of this machine"),
                "write an address of this machine (`ip address` lists them), or 0.0.0.0 for all",
            ),
            io::ErrorKind::PermissionDenied => say(
                Verdict::Error,
                format!("{transport} {address} may not be bound by this user"),
                "choose a port from 1024 on, or start it with CAP_NET_BIND_SERVICE",
            ),
            _ => say(
                Verdict::Error,
                format!("{transport} {address} cannot be bound: {error}"),
                "write an address of this machine (`ip address` lists them), or 0.0.0.0 for all",
            ),
        };
    }
    let (first, last) = server.media_ports;
    if let Some((_, inside)) =
        sip.iter().find(|(transport, of)| *transport == "udp" && (first..=last).contains(&of.port()))
    {
        return say(
            Verdict::Error,
            format!("udp {inside} lies within the RTP ports {first}–{last}"),
            "choose another range in [media] ports, or another port for SIP",
        );
    }
    let all = sip.len();
    if all > 0 && sip.iter().all(|(_, address)| address.ip().is_loopback()) {
        return say(
            Verdict::Warning,
            "[sip] listens on this machine only: no phone elsewhere can reach it".into(),
            "listen on 0.0.0.0, or on the machine's address",
        );
    }
    let state = if running { "held by the daemon" } else { "can be bound" };
    say(Verdict::Ok, format!("{all} addresses, {state}"), "")
}

fn external(external: Option<IpAddr>, route: Option<IpAddr>) -> Finding {
    let check = "external";
    let Some(route) = route else {
        let found = "this machine has no way out: only phones on its own networks can be called".into();
        return finding(check, Verdict::Warning, found, "add a default route, unless that is meant so");
    };
    match external {
        Some(shown) if shown == route => {
            finding(check, Verdict::Ok, format!("{shown} is shown, and is the address of the way out"), "")
        }
        Some(shown) if is_private(shown) => finding(
            check,
            Verdict::Warning,
            format!(
                "external = {shown} is a private address: phones and carriers outside send their audio nowhere"
            ),
            "write the public address of the router, and forward the SIP and RTP ports to this machine",
        ),
        Some(shown) if is_private(route) => finding(
            check,
            Verdict::Ok,
            format!(
                "behind NAT: {shown} is shown, this machine is {route}; the SIP and RTP ports must be forwarded"
            ),
            "",
        ),
        Some(shown) => finding(
            check,
            Verdict::Warning,
            format!("external = {shown}, but packets leave from the public address {route}"),
            "leave out `external`, unless traffic comes in by that other address",
        ),
        None if is_private(route) => finding(
            check,
            Verdict::Warning,
            format!("this machine has the private address {route}, and no other is shown"),
            "for phones or carriers outside: write `external` with the router's public address, and forward the ports",
        ),
        None => finding(check, Verdict::Ok, format!("{route} is public; no NAT"), ""),
    }
}

/// RFC 1918, RFC 6598, RFC 4193, what never leaves a link or a machine, and what is nobody's.
fn is_private(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let of_kind = match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || a == 100 && (64..128).contains(&b)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    of_kind || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

/// The kernel gives a socket at most this much to hold what is not read yet, whatever is asked for.
fn buffers(kernel: &str) -> Finding {
    let (asked, remedy) =
        (udp::BUFFER_BYTES, "`sysctl -w net.core.rmem_max=4194304`, and the same in /etc/sysctl.d");
    match kernel.trim().parse::<usize>() {
        Ok(most) if most < asked => finding(
            "buffers",
            Verdict::Warning,
            format!(
                "a socket may hold {} KiB, and {} are asked for: of a burst of SIP some may be lost",
                most / 1024,
                asked / 1024
            ),
            remedy,
        ),
        Ok(most) => finding("buffers", Verdict::Ok, format!("a socket may hold {} KiB", most / 1024), ""),
        Err(_) => finding("buffers", Verdict::Ok, "nothing here tells how much a socket may hold".into(), ""),
    }
}

/// The soft and hard value of a limit, from a process's `limits` in `/proc`; `None` is unlimited.
fn limit(limits: &str, name: &str) -> Option<(Option<u64>, Option<u64>)> {
    let line = limits.lines().find(|line| line.starts_with(name))?;
    let mut values = line[name.len()..].split_whitespace().map(|value| value.parse().ok());
    Some((values.next()?, values.next()?))
}

/// The daemon raises its soft limit to the hard one by itself.
fn files_limit(server: &Server, limits: &str) -> Finding {
    let (first, last) = server.media_ports;
    let needed = u64::from(last.saturating_sub(first)) + 1 + OTHER_FILES;
    match limit(limits, "Max open files") {
        Some((_, Some(hard))) if hard < needed => finding(
            "files",
            Verdict::Error,
            format!("at most {hard} open files are allowed here, and {needed} may be needed"),
            "set LimitNOFILE=1048576 in the unit, or `ulimit -Hn 1048576` in the shell that starts it",
        ),
        Some((_, hard)) => {
            let hard = hard.map_or_else(|| "any number of".into(), |hard| hard.to_string());
            finding(
                "files",
                Verdict::Ok,
                format!("{hard} open files are allowed, {needed} may be needed"),
                "",
            )
        }
        None => finding("files", Verdict::Warning, "the limit on open files cannot be read".into(), ""),
    }
}

fn priority(limits: &str) -> Finding {
    let real_time =
        limit(limits, "Max realtime priority").is_some_and(|(_, hard)| hard.is_none_or(|hard| hard >= 10));
    // Nice limits count from 20 downwards: 31 is −11.
    let nice = limit(limits, "Max nice priority").is_some_and(|(_, hard)| hard.is_none_or(|hard| hard >= 31));
    match (real_time, nice) {
        (true, _) => finding("priority", Verdict::Ok, "real-time priority is allowed for media threads".into(), ""),
        (false, true) => finding("priority", Verdict::Ok, "a raised priority is allowed for media threads".into(), ""),
        (false, false) => finding(
            "priority",
            Verdict::Warning,
            "neither real-time nor raised priority is allowed to this user: audio may stutter when the machine is busy".into(),
            "set LimitRTPRIO=10 in the unit, or start it with CAP_SYS_NICE",
        ),
    }
}

fn disk(data: &Path) -> Finding {
    let at = data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let out = Program::new("df").arg("-Pm").arg(at).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let Some(free) = free_megabytes(&text) else {
        return finding(
            "disk",
            Verdict::Warning,
            format!("the space at {} cannot be told", at.display()),
            "",
        );
    };
    let found = format!("{free} MB free at {}", at.display());
    let remedy = "free space there, shorten how long recordings and events are kept, or move `data`";
    match free {
        ..DISK_OUT => finding("disk", Verdict::Error, found, remedy),
        DISK_OUT..DISK_LOW => finding("disk", Verdict::Warning, found, remedy),
        _ => finding("disk", Verdict::Ok, found, ""),
    }
}

/// The fourth column of the second line of `df -P`.
fn free_megabytes(text: &str) -> Option<u64> {
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// Hours, records and certificates live by the clock.
fn clock(folders: &[&Path]) -> Finding {
    if let Some(file) = folder::from_the_future(folders, SystemTime::from(now().utc)) {
        let found = format!("is behind: {} was written later than it is here", file.display());
        return finding("clock", Verdict::Error, found, "set it, and start systemd-timesyncd or chrony");
    }
    let out = Program::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).output();
    let said = out.ok().filter(|out| out.status.success()).map(|out| out.stdout);
    let remedy = "start systemd-timesyncd or chrony";
    match said.as_deref().map(<[u8]>::trim_ascii) {
        Some(b"yes") => finding("clock", Verdict::Ok, "is set by network time".into(), ""),
        Some(_) => finding(
            "clock",
            Verdict::Warning,
            "is not set by network time: opening hours and records may be wrong".into(),
            remedy,
        ),
        None => {
            finding("clock", Verdict::Ok, "nothing here tells whether it is set by network time".into(), "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_judged_by_the_way_out() {
        for (shown, route, verdict) in [
            (Some("203.0.113.7"), Some("203.0.113.7"), Verdict::Ok),
            (Some("203.0.113.7"), Some("10.0.0.2"), Verdict::Ok),
            (Some("10.0.0.9"), Some("10.0.0.2"), Verdict::Warning),
            (Some("100.64.3.1"), Some("10.0.0.2"), Verdict::Warning),
            (Some("203.0.113.7"), Some("198.51.100.4"), Verdict::Warning),
            (None, Some("192.168.1.5"), Verdict::Warning),
            (None, Some("198.51.100.4"), Verdict::Ok),
            (None, None, Verdict::Warning),
        ] {
            let found = external(shown.map(ip), route.map(ip));
            assert_eq!(found.verdict, verdict, "{shown:?} {route:?}: {}", found.found);
            assert_eq!(found.remedy.is_empty(), verdict == Verdict::Ok, "what is wrong has a remedy");
        }
    }

    #[test]
    fn limits_are_read_from_the_kernels_table() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \n\
                     Max open files            1024                 4096                 files     \n\
                     Max nice priority         0                    0                    \n\
                     Max realtime priority     0                    unlimited            \n";
        assert_eq!(limit(table, "Max open files"), Some((Some(1024), Some(4096))));
        assert_eq!(limit(table, "Max realtime priority"), Some((Some(0), None)));
        assert_eq!(limit(table, "Max cpu time"), None);
        assert_eq!(files_limit(&Server::default(), table).verdict, Verdict::Error);
        assert_eq!(priority(table).verdict, Verdict::Ok);
        assert_eq!(priority("").verdict, Verdict::Warning);
    }

    #[test]
    fn a_port_that_is_taken_is_found_and_an_address_that_is_not_ours() {
        let taken =
            UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| UdpSocket::bind("0.0.0.0:0")).unwrap();
        let port = taken.local_addr().unwrap().port() & !1;
        let server = Server { media_ports: (port, port + 1), ..Server::default() };
        let found = ports(&server, None);
        assert_eq!(found[0].verdict, Verdict::Error, "{found:?}");
    }

    #[test]
    fn listeners_must_be_ours_and_free() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (udp, tcp) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let none = || Server { sip_udp: Vec::new(), sip_tcp: Vec::new(), ..Server::default() };
        let foreign: SocketAddr = "203.0.113.1:5060".parse().unwrap();
        let rows = [
            (Server { sip_udp: vec![udp], ..none() }, Verdict::Error, "is in use"),
            (Server { sip_tls: vec![tcp], ..none() }, Verdict::Error, "is in use"),
            (Server { metrics_listen: Some(tcp), ..none() }, Verdict::Error, "is in use"),
            (Server { sip_udp: vec![foreign], ..none() }, Verdict::Error, "no address of this machine"),
            (
                Server { sip_tcp: vec!["127.0.0.1:0".parse().unwrap()], ..none() },
                Verdict::Warning,
                "this machine only",
            ),
            (Server { sip_udp: vec!["0.0.0.0:0".parse().unwrap()], ..none() }, Verdict::Ok, "1 addresses"),
        ];
        for (server, verdict, words) in rows {
            let found = listeners(&server, false);
            assert!(found.verdict == verdict && found.found.contains(words), "{words}: {found:?}");
            assert_eq!(found.remedy.is_empty(), verdict == Verdict::Ok);
        }
        let held = Server { sip_udp: vec![udp], ..none() };
        assert_eq!(
            listeners(&held, true).verdict,
            Verdict::Warning,
            "the daemon has it: on this machine only"
        );
        let inside = Server { media_ports: (udp.port(), udp.port()), ..held };
        assert!(listeners(&inside, true).found.contains("lies within the RTP ports"));
    }

    #[test]
    fn a_small_buffer_is_told() {
        for (kernel, verdict) in
            [("212992\n", Verdict::Warning), ("4194304\n", Verdict::Ok), ("", Verdict::Ok)]
        {
            assert_eq!(buffers(kernel).verdict, verdict, "{kernel:?}");
        }
    }

    #[test]
    fn free_space_is_read_as_df_writes_it() {
        let text =
            "Filesystem 1048576-blocks Used Available Capacity Mounted on\n/dev/vda 1000 400 600 40% /\n";
        assert_eq!(free_megabytes(text), Some(600));
        assert_eq!(free_megabytes("df: nothing there"), None);
    }
}
