//! Name servers: that there are any, and that they know where the carriers are.

use std::fs;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Config;
use crate::model::trunk::TrunkTransport;
use crate::rand::Rng;
use crate::shell::cli::doctor::Finding;
use crate::shell::cli::doctor::Verdict;
use crate::shell::cli::doctor::finding;
use crate::shell::net::dns::Names;
use crate::sip::Transport;

/// How long all answers may take together.
const PATIENCE: Duration = Duration::from_secs(6);

/// Names that are asked for, and written out of those that lead nowhere.
const ASKED_MAX: usize = 50;
const SHOWN: usize = 3;

const REMEDY: &str = "look at `servers` below [dns] or at /etc/resolv.conf, whether UDP and TCP port 53 are open to them, \
     and at the spelling of `host` below [trunks]";

/// A host as a trunk has it, with its port and transport where they are written.
type Host = (Arc<str>, Option<u16>, Option<Transport>);

/// Asks for the hosts of all trunks as the daemon would.
pub(super) fn names(config: &Config) -> Finding {
    let hosts = config.trunks.values().map(|trunk| {
        let transport = match trunk.transport {
            TrunkTransport::Udp => Some(Transport::Udp),
            TrunkTransport::Auto => None,
            TrunkTransport::Tcp => Some(Transport::Tcp),
            TrunkTransport::Tls => Some(Transport::Tls),
        };
        (Arc::clone(&trunk.host), trunk.port, transport)
    });
    judge(&config.server.dns_servers, hosts.collect())
}

fn judge(servers: &[SocketAddr], mut hosts: Vec<Host>) -> Finding {
    let known = match servers.is_empty() {
        true => name_servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        false => servers.iter().map(ToString::to_string).collect(),
    };
    hosts.retain(|(host, ..)| !is_address(host));
    hosts.truncate(ASKED_MAX);
    let servers_shown = known.join(", ");
    let (all, of_them) = (hosts.len(), if hosts.len() == 1 { "is" } else { "are" });
    if all == 0 {
        let found = match known.is_empty() {
            true => "no name server is known, and no trunk needs one".to_owned(),
            false => format!("{servers_shown}; no trunk has a name that could be asked for"),
        };
        return finding("dns", Verdict::Ok, found, "");
    }
    if known.is_empty() {
        let found = format!("no name server is known, and {all} of the trunks {of_them} reached by name");
        return finding("dns", Verdict::Error, found, REMEDY);
    }
    let lost = ask(servers.to_vec(), hosts);
    if lost.is_empty() {
        return finding("dns", Verdict::Ok, format!("{servers_shown}: every trunk is found"), "");
    }
    let names = lost[..lost.len().min(SHOWN)].join(", ");
    let found =
        format!("{servers_shown}: no answer, or no address, for {names} ({} of {all} trunks)", lost.len());
    finding("dns", Verdict::Error, found, REMEDY)
}

/// The hosts that led nowhere in time.
fn ask(servers: Vec<SocketAddr>, hosts: Vec<Host>) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    runtime.block_on(async {
        let names = Names::new(servers, Rng::from_seed(0));
        let mut asked = tokio::task::JoinSet::new();
        for (host, port, transport) in hosts {
            let names = names.clone();
            asked.spawn(async move {
                let speak = [Transport::Udp, Transport::Tcp, Transport::Tls];
                let found =
                    tokio::time::timeout(PATIENCE, names.locate(&host, port, transport, &speak)).await;
                found.map_or(true, |(places, _)| places.is_empty()).then(|| host.to_string())
            });
        }
        let mut lost: Vec<String> = asked.join_all().await.into_iter().flatten().collect();
        lost.sort_unstable();
        lost
    })
}

fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Addresses after `nameserver` in `resolv.conf`.
fn name_servers(text: &str) -> Vec<String> {
    let of = |line: &str| line.trim().strip_prefix("nameserver").map(|rest| rest.trim().to_owned());
    text.lines().filter_map(of).filter(|server| !server.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn trunks_that_no_name_server_knows_are_named() {
        // A name server that never answers.
        let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
        let servers = [deaf.local_addr().unwrap()];
        let judged = |hosts: &[&str]| {
            judge(&servers, hosts.iter().map(|host| ((*host).into(), None, Some(Transport::Udp))).collect())
        };
        assert_eq!(judged(&[]).verdict, Verdict::Ok, "nothing to ask for");
        assert_eq!(
            judged(&["192.0.2.1", "[2001:db8::1]"]).verdict,
            Verdict::Ok,
            "an address needs no name server"
        );
        let found = judged(&["192.0.2.1", "sip.carrier.invalid"]);
        assert_eq!(found.verdict, Verdict::Error);
        assert!(
            found.found.contains("for sip.carrier.invalid (1 of 1") && !found.remedy.is_empty(),
            "{found:?}"
        );
    }

    #[test]
    fn name_servers_are_read_from_resolv_conf() {
        let text =
            "# nameserver 192.0.2.9\nnameserver 127.0.0.53\nnameserver  2001:db8::53 \nsearch example\n";
        assert_eq!(name_servers(text), ["127.0.0.53", "2001:db8::53"]);
        assert!(name_servers("").is_empty());
    }
}
