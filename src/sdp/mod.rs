//! Session descriptions (RFC 8866): what phones and carriers say about their media.
//!
//! Reading is lenient, writing strict. Kept is what an exchange that carries the media itself acts on: origin,
//! time, connection, media and attributes. Left out are bandwidth, keys, information, contact and repeat
//! lines: they are read over and never written.

mod crypto;
mod parse;
mod print;

use std::net::IpAddr;

pub use crypto::Crypto;
pub use parse::SdpError;
pub use parse::parse;

/// A session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionDescription {
    /// `o=`: who made it, and which version it is.
    pub origin: Origin,
    /// `s=`: `-` when there is no name.
    pub name: String,
    /// `c=` for every media that has none of its own.
    pub connection: Option<Host>,
    /// `t=`: start and stop; 0 and 0 is for ever, as in every call.
    pub time: (u64, u64),
    /// `a=` before the first media.
    pub attributes: Vec<Attribute>,
    /// `m=`, in order: an answer has as many, in the same order.
    pub media: Vec<Media>,
}

/// The `o=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// User, often `-`.
    pub user: String,
    /// Session id; digits of any number, so kept as text.
    pub id: String,
    /// Version, rising with each change; digits of any number, so kept as text.
    pub version: String,
    /// Where it was made.
    pub address: Host,
}

impl Default for Origin {
    fn default() -> Origin {
        let address = Host::Name("-".into());
        Origin { user: "-".into(), id: "0".into(), version: "0".into(), address }
    }
}

/// An address, or a name that would have to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// IPv4 or IPv6.
    Address(IpAddr),
    /// A domain name.
    Name(String),
}

/// One attribute: `a=name` or `a=name:value`.
pub type Attribute = (String, Option<String>);

/// An `m=` line and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image` …
    pub kind: String,
    /// Where to send; 0 is a media that was refused or ended.
    pub port: u16,
    /// How many ports in a row, nearly always 1.
    pub ports: u16,
    /// `RTP/AVP`, `udptl` …
    pub protocol: String,
    /// Payload types in order of preference, or the protocol's own words (`t38`).
    pub formats: Vec<String>,
    /// Where to send, else the session's.
    pub connection: Option<Host>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// Who sends, as the description's maker sees it (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The maker sends and receives.
    #[default]
    SendRecv,
    /// The maker only sends: the other side is on hold.
    SendOnly,
    /// The maker only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

/// What a payload type means, from `a=rtpmap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// Name of the encoding; compare without regard to case.
    pub encoding: &'a str,
    /// RTP clock, when given.
    pub clock: Option<u32>,
    /// Channels, 1 unless given.
    pub channels: u8,
}

impl SessionDescription {
    /// Where media `media` of this session is received.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Host> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// The direction of media `media` of this session: its own, else the session's, else both ways.
    pub fn direction_of(&self, media: &Media) -> Direction {
        let said = |attributes: &[Attribute]| attributes.iter().find_map(|(name, _)| Direction::named(name));
        said(&media.attributes).or_else(|| said(&self.attributes)).unwrap_or_default()
    }
}

impl SessionDescription {
    /// The value of the first attribute with that name: media `media`'s own, else the session's.
    pub fn attribute_of<'a>(&'a self, media: &'a Media, name: &str) -> Option<&'a str> {
        self.attributes_of(media, name).next()
    }

    /// The values of attributes with that name: media `media`'s own, then the session's.
    pub fn attributes_of<'a>(&'a self, media: &'a Media, name: &str) -> impl Iterator<Item = &'a str> {
        media.values(name).chain(self.values(name))
    }

    /// The values of the session's own attributes with that name.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        values(&self.attributes, name)
    }
}

impl Media {
    /// Whether it has an attribute of that name, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(of, _)| of.eq_ignore_ascii_case(name))
    }

    /// The value of the first attribute with that name and a value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The meaning of a payload type, when an `a=rtpmap` gives it.
    pub fn rtpmap(&self, format: &str) -> Option<RtpMap<'_>> {
        let mapping = self.of_format("rtpmap", format)?;
        let mut parts = mapping.split('/').map(str::trim);
        let encoding = parts.next().filter(|encoding| !encoding.is_empty())?;
        let clock = parts.next().and_then(|clock| clock.parse().ok());
        let channels = parts.next().and_then(|channels| channels.parse().ok()).unwrap_or(1);
        Some(RtpMap { encoding, clock, channels })
    }

    /// The parameters of a payload type, from `a=fmtp`.
    pub fn fmtp(&self, format: &str) -> Option<&str> {
        self.of_format("fmtp", format)
    }

    /// The part after the payload type of an attribute whose value starts with one.
    fn of_format(&self, name: &str, format: &str) -> Option<&str> {
        self.values(name).find_map(|value| {
            let (of, rest) = value.trim_start().split_once(char::is_whitespace)?;
            (of == format).then(|| rest.trim())
        })
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        values(&self.attributes, name)
    }
}

fn values<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    let named = attributes.iter().filter(move |(of, _)| of.eq_ignore_ascii_case(name));
    named.filter_map(|(_, value)| value.as_deref())
}

impl Direction {
    /// The attribute's name: `sendrecv` …
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// From what the maker does.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether the maker sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the maker receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    fn named(name: &str) -> Option<Direction> {
        let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
        all.into_iter().find(|direction| direction.as_str().eq_ignore_ascii_case(name))
    }
}
