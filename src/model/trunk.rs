//! Carriers, and which outgoing call goes where.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::id::TrunkId;
use crate::model::server::CodecName;
use crate::model::server::Secret;
use crate::model::srtp::SrtpPolicy;

/// Transport of a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrunkTransport {
    /// UDP.
    #[default]
    Udp,
    /// What the carrier's NAPTR and SRV records prefer (RFC 3263 §4.1), else UDP.
    Auto,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

/// How a carrier wants numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberFormat {
    /// `+4736000100`
    #[default]
    E164,
    /// `36000100`; foreign numbers as `00…`
    National,
    /// `004736000100`
    #[serde(rename = "00")]
    DoubleZero,
}

/// Where a message must come from to be a trunk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Network address.
    pub address: IpAddr,
    /// Prefix length: 32 or 128 for one address.
    pub prefix: u8,
    /// Only from this port, when given.
    pub port: Option<u16>,
}

impl Trusted {
    /// Whether `from` is inside.
    pub fn contains(&self, from: SocketAddr) -> bool {
        if self.port.is_some_and(|port| port != from.port()) {
            return false;
        }
        match (self.address, from.ip().to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                u32::from(net).checked_shr(shift) == u32::from(ip).checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                u128::from(net).checked_shr(shift) == u128::from(ip).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// A carrier account.
#[derive(Debug, Clone, PartialEq)]
pub struct Trunk {
    /// Shown.
    pub name: Arc<str>,
    /// Host name or address of the carrier, with port when one was written.
    pub host: Arc<str>,
    /// Port, when one was written.
    pub port: Option<u16>,
    /// How to reach it.
    pub transport: TrunkTransport,
    /// SIP user, when we authenticate.
    pub user: Option<Arc<str>>,
    /// Secret of that user.
    pub password: Option<Secret>,
    /// Whether we register there (default: when there is a user).
    pub register: bool,
    /// SIP domain in From and Request-URI; the host unless set.
    pub domain: Arc<str>,
    /// Whose calls are this trunk's.
    pub trusted: Vec<Trusted>,
    /// Name in the carrier's certificate: with it, whose calls these are is told by that instead of by address.
    pub certificate: Option<Arc<str>>,
    /// Calls at once.
    pub channels: Option<u32>,
    /// How they want numbers.
    pub numbers: NumberFormat,
    /// Codecs for this trunk, else the server's.
    pub codecs: Option<Vec<CodecName>>,
    /// Whether its audio is encrypted.
    pub srtp: SrtpPolicy,
}

/// One row of `[routes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name in the file.
    pub name: Arc<str>,
    /// Prefixes (`+47`), or whole short numbers (`112`: matched exactly when of at most 3 digits and without `+`).
    pub to: Vec<Arc<str>>,
    /// Trunks, tried from left to right.
    pub via: Vec<TrunkId>,
    /// Emergency: bypasses every rule.
    pub priority: bool,
    /// Refused.
    pub block: bool,
    /// The user needs this right.
    pub needs: Option<Arc<str>>,
}
