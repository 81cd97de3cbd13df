//! `sip:` and `sips:` URIs (RFC 3261 §19.1) and `tel:` (RFC 3966); any other scheme is kept as it stands.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::sip::value::ByteSet;
use crate::sip::value::Malformed;
use crate::sip::value::Params;

/// An address in a request line or a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// `tel:`.
    Tel(TelUri),
    /// Any other scheme, verbatim.
    Other(String),
}

/// `sip:user:password@host:port;params?headers`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SipUri {
    /// `sips:`.
    pub secure: bool,
    /// User part, unescaped, with its own parameters (`;phone-context=…`). `%3B` and `%25` stay escaped, since
    /// without it they would be read differently; so does all of a user part that is not UTF-8.
    pub user: Option<String>,
    /// Password as it stands, escaped.
    pub password: Option<String>,
    /// Host.
    pub host: Host,
    /// Port, if written.
    pub port: Option<u16>,
    /// Parameters as they stand, escaped.
    pub params: Params,
    /// What follows `?`, as it stands.
    pub headers: Option<String>,
}

/// `tel:number;params`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TelUri {
    /// The number as it stands, with `+` and visual separators.
    pub number: String,
    /// Parameters: `phone-context`, `ext` …
    pub params: Params,
}

/// A host name or address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, as written.
    Name(String),
    /// IPv4.
    V4(Ipv4Addr),
    /// IPv6, written in brackets.
    V6(Ipv6Addr),
}

const WRONG: Malformed = Malformed("URI");

// RFC 3261 §25.1: what may stand without escape in each part. These are asked for every octet.
const UNRESERVED: ByteSet = ByteSet::alphanumeric_and(b"-_.!~*'()");
static USER: ByteSet = UNRESERVED.and(b"&=+$,;?/");
static PASSWORD: ByteSet = UNRESERVED.and(b"&=+$,");
static PARAM: ByteSet = UNRESERVED.and(b"[]/:&+$");
static HEADERS: ByteSet = UNRESERVED.and(b"[]/:&+$?=;@,");
/// `_` is no host name byte, but names of containers and of Windows machines have it.
static HOST: ByteSet = ByteSet::alphanumeric_and(b"-._");

impl Uri {
    /// Reads a URI; `text` has no angle brackets.
    ///
    /// # Errors
    /// When there is no scheme, or a `sip:`, `sips:` or `tel:` URI breaks its grammar.
    pub fn parse(text: &str) -> Result<Uri, Malformed> {
        let (scheme, rest) = text.split_once(':').ok_or(WRONG)?;
        let mut bytes = scheme.bytes();
        let sound = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !sound || text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || b"<>\"".contains(&byte)) {
            return Err(WRONG);
        }
        if scheme.eq_ignore_ascii_case("sip") {
            return SipUri::parse(rest, false).map(Uri::Sip);
        }
        if scheme.eq_ignore_ascii_case("sips") {
            return SipUri::parse(rest, true).map(Uri::Sip);
        }
        if scheme.eq_ignore_ascii_case("tel") {
            return TelUri::parse(rest).map(Uri::Tel);
        }
        Ok(Uri::Other(text.to_owned()))
    }

    /// `sip:user@host` with nothing else.
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Uri {
        Uri::Sip(SipUri::new(user, host, port))
    }

    /// The `sip:` or `sips:` URI in it.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            Uri::Tel(_) | Uri::Other(_) => None,
        }
    }

    /// User part, or the number of a `tel:` URI.
    pub fn user(&self) -> Option<&str> {
        match self {
            Uri::Sip(uri) => uri.user.as_deref(),
            Uri::Tel(uri) => Some(&uri.number),
            Uri::Other(_) => None,
        }
    }

    /// Host of a `sip:` or `sips:` URI.
    pub fn host(&self) -> Option<&Host> {
        self.as_sip().map(|uri| &uri.host)
    }

    /// Port, if written.
    pub fn port(&self) -> Option<u16> {
        self.as_sip()?.port
    }

    /// The `transport` parameter, as written.
    pub fn transport(&self) -> Option<&str> {
        self.as_sip()?.params.value("transport")
    }

    /// Whether this is the address of a loose router (RFC 3261 §19.1.1).
    pub fn lr(&self) -> bool {
        self.as_sip().is_some_and(|uri| uri.params.contains("lr"))
    }

    /// Whether both mean the same resource (RFC 3261 §19.1.4, RFC 3966 §4). Scheme-specific for `sip:`, `sips:`
    /// and `tel:`; other schemes compare letter by letter.
    pub fn equals(&self, other: &Uri) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => a.equals(b),
            (Uri::Tel(a), Uri::Tel(b)) => a.equals(b),
            (Uri::Other(a), Uri::Other(b)) => a == b,
            (Uri::Sip(_) | Uri::Tel(_) | Uri::Other(_), _) => false,
        }
    }
}

impl SipUri {
    /// `sip:user@host:port` with nothing else.
    pub fn new(user: Option<&str>, host: Host, port: Option<u16>) -> SipUri {
        SipUri {
            secure: false,
            user: user.map(str::to_owned),
            password: None,
            host,
            port,
            params: Params::new(),
            headers: None,
        }
    }

    fn parse(rest: &str, secure: bool) -> Result<SipUri, Malformed> {
        let (user, password, rest) = match rest.split_once('@') {
            Some((userinfo, rest)) => {
                let (user, password) = match userinfo.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (userinfo, None),
                };
                let password = match password {
                    Some(text) if sound(text, &PASSWORD) => Some(text),
                    Some(_) => return Err(WRONG),
                    None => None,
                };
                (Some(unescape_user(user)?), password.map(str::to_owned), rest)
            }
            None => (None, None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((_, headers)) if !sound(headers, &HEADERS) => return Err(WRONG),
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (hostport, params) = match rest.split_once(';') {
            Some((hostport, params)) => (hostport, parse_params(params)?),
            None => (rest, Params::new()),
        };
        let (host, port) = parse_host_port(hostport)?;
        Ok(SipUri { secure, user, password, host, port, params, headers })
    }

    // RFC 3261 §19.1.4. `%2B` and `+` are the same here though the text tells reserved characters and their
    // escapes apart: phones write numbers either way.
    fn equals(&self, other: &SipUri) -> bool {
        self.secure == other.secure
            && self.user == other.user
            && self.password == other.password
            && self.host.equals(&other.host)
            && self.port == other.port
            && params_agree(&self.params, &other.params)
            && headers_agree(self.headers.as_deref(), other.headers.as_deref())
    }
}

fn params_agree(a: &Params, b: &Params) -> bool {
    // A parameter in both must agree; these must be in both or in neither.
    const IN_BOTH: [&str; 6] = ["transport", "user", "ttl", "method", "maddr", "lr"];
    // Of a parameter written twice, which §19.1.1 forbids, the first counts on either side.
    let shared = a.iter().all(|(name, _)| match (a.get(name), b.get(name)) {
        (Some(value), Some(other)) => same_value(value, other),
        (None, _) | (_, None) => true,
    });
    shared && IN_BOTH.iter().all(|name| a.contains(name) == b.contains(name))
}

fn same_value(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => unescape(a).eq_ignore_ascii_case(&unescape(b)),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn headers_agree(a: Option<&str>, b: Option<&str>) -> bool {
    let sorted = |text: Option<&str>| {
        let mut parts: Vec<(String, Vec<u8>)> = text
            .unwrap_or("")
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), unescape(value)))
            .collect();
        parts.sort();
        parts
    };
    sorted(a) == sorted(b)
}

impl TelUri {
    fn parse(rest: &str) -> Result<TelUri, Malformed> {
        let (number, params) = match rest.split_once(';') {
            Some((number, params)) => (number, parse_params(params)?),
            None => (rest, Params::new()),
        };
        let digits = number.strip_prefix('+').unwrap_or(number);
        let sound = digits.bytes().all(|byte| byte.is_ascii_hexdigit() || b"*#-.()".contains(&byte))
            && digits.bytes().any(|byte| byte.is_ascii_hexdigit() || b"*#".contains(&byte));
        if !sound {
            return Err(WRONG);
        }
        Ok(TelUri { number: number.to_owned(), params })
    }

    // RFC 3966 §4: visual separators do not count, nor does case; every parameter does.
    fn equals(&self, other: &TelUri) -> bool {
        let plain = |number: &str| number.replace(['-', '.', '(', ')'], "").to_ascii_lowercase();
        let covers = |a: &Params, b: &Params| {
            a.iter().all(|(name, _)| a.get(name).zip(b.get(name)).is_some_and(|(a, b)| same_value(a, b)))
        };
        plain(&self.number) == plain(&other.number)
            && covers(&self.params, &other.params)
            && covers(&other.params, &self.params)
    }
}

impl Host {
    /// Reads a host name, an IPv4 address or an IPv6 address in brackets.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Host, Malformed> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(WRONG)?;
            return parse_v6(inner).map(Host::V6).ok_or(WRONG);
        }
        if let Ok(address) = text.parse() {
            return Ok(Host::V4(address));
        }
        if !text.is_empty() && HOST.has_all(text) { Ok(Host::Name(text.to_owned())) } else { Err(WRONG) }
    }

    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// Whether both are the same host: names without regard to case and a dot at the end.
    pub fn equals(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => {
                let plain = |name: &'_ str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                plain(a) == plain(b)
            }
            (a, b) => a == b,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

/// Reads an IPv6 address without brackets. `:::` for `::` is accepted, as an old grammar produced it
/// (RFC 5118 §4.10).
pub fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| text.replacen(":::", "::", 1).parse().ok())
}

/// Reads `host` or `host:port`.
///
/// # Errors
/// When either breaks its grammar.
pub fn parse_host_port(text: &str) -> Result<(Host, Option<u16>), Malformed> {
    let host_end = match text.starts_with('[') {
        true => text.find(']').ok_or(WRONG)? + 1,
        false => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(parse_port(digits)?),
        None if rest.is_empty() => None,
        None => return Err(WRONG),
    };
    Ok((Host::parse(host)?, port))
}

fn parse_port(digits: &str) -> Result<u16, Malformed> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    digits.parse().map_err(|_| WRONG)
}

/// Reads URI parameters, the text after the first `;`. Their values stay escaped.
fn parse_params(text: &str) -> Result<Params, Malformed> {
    let mut params = Params::new();
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        if name.is_empty() || !sound(name, &PARAM) || !sound(value.unwrap_or(""), &PARAM) {
            return Err(WRONG);
        }
        params.push(name, value);
    }
    Ok(params)
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Uri::Sip(uri) => uri.fmt(f),
            Uri::Tel(uri) => uri.fmt(f),
            Uri::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write_escaped(f, user, &USER)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                write_escaped(f, password, &PASSWORD)?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write_params(f, &self.params)?;
        if let Some(headers) = &self.headers {
            f.write_str("?")?;
            write_escaped(f, headers, &HEADERS)?;
        }
        Ok(())
    }
}

impl fmt::Display for TelUri {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "tel:{}", self.number)?;
        write_params(f, &self.params)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => address.fmt(f),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

fn write_params(f: &mut fmt::Formatter, params: &Params) -> fmt::Result {
    for (name, value) in params.iter() {
        f.write_str(";")?;
        write_escaped(f, name, &PARAM)?;
        if let Some(value) = value {
            f.write_str("=")?;
            write_escaped(f, value, &PARAM)?;
        }
    }
    Ok(())
}

/// Writes `text` with all bytes escaped but those that may stand; escapes already there stay.
fn write_escaped(f: &mut impl fmt::Write, text: &str, may_stand: &ByteSet) -> fmt::Result {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if may_stand.has(byte) || (byte == b'%' && escape_at(text.as_bytes(), at).is_some()) {
            continue;
        }
        // Parts of a character are never in a set, so `written` is always before a whole one.
        f.write_str(text.get(written..at).unwrap_or(""))?;
        write!(f, "%{byte:02X}")?;
        written = at + 1;
    }
    f.write_str(text.get(written..).unwrap_or(""))
}

/// Whether `text` is made of octets that may stand and of escapes.
fn sound(text: &str, may_stand: &ByteSet) -> bool {
    let octet =
        |(at, byte)| may_stand.has(byte) || (byte == b'%' && escape_at(text.as_bytes(), at).is_some());
    text.bytes().enumerate().all(octet)
}

/// The octet that `%XX` at this place stands for.
fn escape_at(bytes: &[u8], at: usize) -> Option<u8> {
    let &[b'%', high, low] = bytes.get(at..at + 3)? else { return None };
    let digit = |byte: u8| (byte as char).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = escape_at(bytes, at);
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

fn unescape_user(text: &str) -> Result<String, Malformed> {
    if text.is_empty() {
        return Err(WRONG);
    }
    let bytes = text.as_bytes();
    if USER.has_all(text) {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match escape_at(bytes, at) {
            // These would be read differently without their escape.
            Some(b';' | b'%') => out.extend_from_slice(&bytes[at..at + 3]),
            Some(octet) => out.push(octet),
            // `#` must be escaped by the grammar, but phones dial `sip:*21#@…` without.
            None if USER.has(bytes[at]) || bytes[at] == b'#' || !bytes[at].is_ascii() => {
                out.push(bytes[at]);
                at += 1;
                continue;
            }
            None => return Err(WRONG),
        }
        at += 3;
    }
    // With octets that are no text in it, the whole stays escaped.
    Ok(String::from_utf8(out).unwrap_or_else(|_| {
        let mut escaped = String::with_capacity(text.len());
        // Writing to a String cannot fail.
        let _ = write_escaped(&mut escaped, text, &USER);
        escaped
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_and_printed() {
        // Read, printed (empty: as read), user.
        let table = [
            ("sip:alice@example.com", "", Some("alice")),
            ("SIP:example.com", "sip:example.com", None),
            ("sips:alice:pass@example.com:5061;transport=tcp;lr?subject=x", "", Some("alice")),
            ("sip:alice@[2001:db8::1]:5060", "", Some("alice")),
            ("sip:[2001:DB8::1]", "sip:[2001:db8::1]", None),
            // RFC 5118 §4.10.
            ("sip:u@[2001:db8:::192.0.2.1]", "sip:u@[2001:db8::c000:201]", Some("u")),
            ("sip:%2B4721000000@h", "sip:+4721000000@h", Some("+4721000000")),
            ("sip:*21%23@h", "", Some("*21#")),
            ("sip:*21#@h", "sip:*21%23@h", Some("*21#")),
            ("sip:+47;phone-context=x@h;user=phone", "", Some("+47;phone-context=x")),
            // What would be read differently without escape stays.
            ("sip:a%3Bb@h", "", Some("a%3Bb")),
            ("sip:a%2541@h", "", Some("a%2541")),
            ("sip:a%FFb@h", "", Some("a%FFb")),
            ("sip:bl%C3%A5@h", "", Some("blå")),
            ("tel:+1-201-555-0123;ext=1", "", Some("+1-201-555-0123")),
            ("tel:863-1234;phone-context=+1-914-555", "", Some("863-1234")),
            ("urn:service:sos", "", None),
        ];
        for (read, printed, user) in table {
            let uri = Uri::parse(read).unwrap_or_else(|error| panic!("{read}: {error}"));
            assert_eq!(uri.to_string(), if printed.is_empty() { read } else { printed });
            assert_eq!(uri.user(), user, "{read}");
            assert_eq!(Uri::parse(&uri.to_string()).unwrap(), uri);
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        let table = [
            "",
            "alice",
            "sip:",
            "sip:@h",
            "sip:a@",
            "sip:a@b@c",
            "sip:a@h:",
            "sip:a@h:99999",
            "sip:a@h:+5",
            "sip:a b@h",
            "sip:a@h x",
            "<sip:a@h>",
            "sip:a@[::1",
            "sip:a@[1.2.3.4]",
            "sip:a@h;x=\"y\"",
            "tel:",
            "tel:+",
            "tel:abcg",
            "1x:y",
            "sip:a\r\nX:y@h",
            "sip:a@h;=x",
            "sip:a@ho^st",
            "sip:a%@h",
            "sip:a@h;x=%zz",
            "sip:a@h?%",
        ];
        for text in table {
            assert_eq!(Uri::parse(text), Err(WRONG), "{text}");
        }
    }

    #[test]
    fn a_user_or_host_with_anything_in_it_prints_as_one_uri() {
        for user in ["a@b", "a b", "a\r\nX: y", "50%", "\"<>\"", "blåbær", "%zz"] {
            let uri = Uri::sip(Some(user), Host::Name("h".into()), None);
            assert_eq!(Uri::parse(&uri.to_string()).unwrap().to_string(), uri.to_string(), "{user}");
        }
    }

    #[test]
    fn equal_uris_are_those_of_rfc_3261_19_1_4() {
        let equal = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            ("sip:alice@atlanta.com?subject=x&priority=y", "sip:alice@atlanta.com?priority=y&subject=x"),
            ("tel:+1-201-555", "tel:+1201555"),
            ("sip:a@[::1]", "sip:a@[0:0::1]"),
            // Of a parameter written twice the first counts.
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1;x=2"),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1"),
            ("tel:+1;ext=1;ext=2", "tel:+1;ext=1"),
        ];
        let different = [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@h", "sips:a@h"),
            ("tel:+1201", "tel:1201"),
        ];
        let same = |(a, b): (&str, &str)| Uri::parse(a).unwrap().equals(&Uri::parse(b).unwrap());
        for pair in equal {
            assert!(same(pair), "{pair:?}");
        }
        for pair in different {
            assert!(!same(pair), "{pair:?}");
        }
    }
}
