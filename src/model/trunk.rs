//! Carriers, and which outgoing call goes where.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::dtmf::KeysBy;
use crate::model::id::CompanyId;
use crate::model::id::Number;
use crate::model::id::TrunkId;
use crate::model::number;
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

/// Which number is shown when a call from outside is sent on to the outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedCli {
    /// The caller's.
    #[default]
    Caller,
    /// The number of ours that was called.
    Own,
    /// The caller's when it is Norwegian, else ours.
    CallerNorwegianOnly,
}

/// What a carrier is told of a hidden number, besides `Privacy: id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HiddenNumber {
    /// The number, in P-Asserted-Identity: the carrier keeps it to itself (RFC 3325 §7).
    #[default]
    Asserted,
    /// Nothing.
    Withheld,
}

/// Which number of a caller a carrier vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vouches {
    /// One that it asserts (P-Asserted-Identity).
    #[default]
    Asserted,
    /// Also From.
    From,
    /// None.
    Never,
}

/// How a carrier is told who sent a call on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiversionForm {
    /// Diversion (RFC 5806).
    #[default]
    Diversion,
    /// History-Info (RFC 7044).
    HistoryInfo,
    /// Both.
    Both,
    /// Not at all.
    None,
}

/// Calls that may begin in a second, each way by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRate {
    /// From the carrier.
    pub incoming: Option<u32>,
    /// To the carrier.
    pub outgoing: Option<u32>,
}

/// When a header rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleWhen {
    /// To each INVITE that we send to the carrier.
    Out,
    /// Only to those of emergency calls.
    Emergency,
    /// To each INVITE that the carrier sends.
    In,
}

/// What a header rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleEdit {
    /// Adds a header whose value may hold `{company}`, `{user}`, `{call}`, `{site}` and `{address}`.
    Add(Arc<str>, Arc<str>),
    /// Takes every header of this name away.
    Remove(Arc<str>),
    /// Hands the header of this name on to whomever the call rings.
    Copy(Arc<str>),
}

/// A change to the headers of a trunk's INVITEs; made one after the other, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// To which INVITEs.
    pub when: RuleWhen,
    /// What is changed.
    pub edit: RuleEdit,
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
    /// Companies that may use it, and whose numbers it may reach; empty for all.
    pub companies: Vec<CompanyId>,
    /// Among equal trunks of a route, the lowest first.
    pub priority: u16,
    /// Among those of one priority, its share of the calls; 0 is tried after all others.
    pub weight: u16,
    /// How often each address is asked whether it lives; never if `None`.
    pub health: Option<Duration>,
    /// How long an address may be silent before the next one is tried.
    pub post_dial_delay: Duration,
    /// Calls at once.
    pub channels: Option<u32>,
    /// Calls that may begin in a second.
    pub calls_per_second: CallRate,
    /// Channels that only this company may use.
    pub reserved: BTreeMap<CompanyId, u32>,
    /// How they want numbers.
    pub numbers: NumberFormat,
    /// How they write numbers to us; found out from each if `None`.
    pub numbers_in: Option<NumberFormat>,
    /// Numbers that this carrier writes in a way of its own, by their normal form.
    pub map: BTreeMap<Number, Number>,
    /// Whether `user=phone` stands in the URIs (RFC 3261 §19.1.1).
    pub user_phone: bool,
    /// Which number a call that is sent on shows.
    pub forwarded_cli: ForwardedCli,
    /// The carrier lets From differ from the number that is asserted.
    pub clip_no_screening: bool,
    /// Whether a caller's number proves who calls, at service numbers.
    pub vouches: Vouches,
    /// What they are told of a hidden number.
    pub privacy: HiddenNumber,
    /// How they are told who sent a call on.
    pub diversion: DiversionForm,
    /// Codecs for this trunk, else the server's.
    pub codecs: Option<Vec<CodecName>>,
    /// Whether its audio is encrypted.
    pub srtp: SrtpPolicy,
    /// Whether callers hear what the network says before the answer; else they hear our ringing.
    pub early_media: bool,
    /// Changes to the headers of INVITEs.
    pub headers: Vec<HeaderRule>,
    /// How it sends keys, and is sent them.
    pub dtmf: KeysBy,
}

impl Trunk {
    /// Whether a company may use it.
    pub fn serves(&self, company: &CompanyId) -> bool {
        self.companies.is_empty() || self.companies.contains(company)
    }

    /// A number in normal form as this carrier wants it.
    pub fn write(&self, number: &Number) -> String {
        match self.map.get(number) {
            Some(theirs) => theirs.to_string(),
            None => number::write(number, self.numbers),
        }
    }

    /// A number as this carrier writes it, in normal form; `None` for what can be none.
    pub fn read(&self, text: &str) -> Option<Number> {
        let theirs = Number::new(text);
        let mapped = self.map.iter().find(|(_, written)| **written == theirs);
        mapped.map(|(ours, _)| ours.clone()).or_else(|| number::read_as(text, self.numbers_in))
    }
}

/// Trunks in the order in which they are tried; those of one element are equal and share the calls.
pub type Via = Vec<Vec<TrunkId>>;

/// One row of `[routes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name in the file.
    pub name: Arc<str>,
    /// Prefixes (`+47`), or whole short numbers (`112`: matched exactly when of at most 3 digits and without `+`).
    pub to: Vec<Arc<str>>,
    /// Trunks, tried from left to right.
    pub via: Via,
    /// Emergency: bypasses every rule.
    pub priority: bool,
    /// Refused.
    pub block: bool,
    /// The user needs this right.
    pub needs: Option<Arc<str>>,
}
