//! What a user agent is told about itself, and how others reach it (RFC 3261 §8.1.1.7, §8.1.1.8).

use std::net::IpAddr;
use std::time::Duration;

use crate::sip::Hop;
use crate::sip::Uri;
use crate::sip::uri::Host;

/// What an endpoint is told about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address others reach us by, in Via and Contact; our own of each way if `None` or of the other family.
    pub external: Option<IpAddr>,
    /// Value of User-Agent and Server.
    pub agent: String,
    /// Most transactions, both kinds together; further requests get 503, those in dialogs a quarter later.
    pub max_transactions: usize,
    /// Most dialogs; further calls and subscriptions get 503.
    pub max_dialogs: usize,
    /// Value of Allow.
    pub allow: &'static str,
    /// Session timer that calls ask for and get at most, in seconds (RFC 4028); 0 for none.
    pub session_expires: u32,
    /// Longest request that goes as a datagram, in octets; a longer one takes TCP (RFC 3261 §18.1.1).
    pub udp_max: usize,
    /// Estimate of the round-trip time (§17.1.1.1).
    pub t1: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            external: None,
            agent: "Sentral".to_owned(),
            max_transactions: 100_000,
            max_dialogs: 20_000,
            allow: "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, PUBLISH",
            session_expires: 0,
            udp_max: usize::MAX,
            t1: Duration::from_millis(500),
        }
    }
}

impl Settings {
    /// Value of Supported in calls: the timer only when there is one.
    pub(super) fn supported(&self) -> &'static str {
        match self.session_expires {
            0 => "100rel, replaces, norefersub",
            _ => "100rel, replaces, timer, norefersub",
        }
    }

    /// Longest interval between repeats: 4 s with the usual T1.
    pub(super) fn t2(&self) -> Duration {
        8 * self.t1
    }

    /// Our host and port as a peer along `hop` should write them; no port when the shell chooses one.
    pub(super) fn sent_by(&self, hop: &Hop) -> (Host, Option<u16>) {
        let local = hop.local.ip();
        let external = self.external.filter(|ip| ip.is_ipv4() == local.is_ipv4());
        let port = Some(hop.local.port()).filter(|port| *port != 0);
        (Host::from(external.unwrap_or(local)), port)
    }

    /// Our Contact URI along `hop`.
    pub(super) fn contact(&self, user: Option<&str>, hop: &Hop) -> String {
        let (host, port) = self.sent_by(hop);
        let mut uri = Uri::sip(user.filter(|user| !user.is_empty()), host, port);
        if let (Uri::Sip(sip), true) = (&mut uri, hop.transport.reliable()) {
            sip.params.set("transport", Some(&hop.transport.via().to_ascii_lowercase()));
        }
        uri.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn our_contact_has_the_external_address_of_its_family_and_names_streams() {
        let external = Some("198.51.100.7".parse().unwrap());
        let settings = Settings { external, ..Settings::default() };
        let udp = Hop::to(Transport::Udp, "192.0.2.9:5060", None);
        assert_eq!(settings.contact(Some("100"), &udp), "sip:100@198.51.100.7:5060");
        let tcp = Hop::to(Transport::Tcp, "192.0.2.9:5060", None);
        assert_eq!(settings.contact(None, &tcp), "sip:198.51.100.7:5060;transport=tcp");
        let v6 = Hop { local: "[2001:db8::2]:5060".parse().unwrap(), ..udp };
        assert_eq!(settings.contact(Some("100"), &v6), "sip:100@[2001:db8::2]:5060");
    }
}
