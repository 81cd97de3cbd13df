//! Via: the way a request came, topmost first (RFC 3261 §20.42, RFC 3581).

use std::fmt;
use std::net::IpAddr;

use crate::sip::uri::Host;
use crate::sip::uri::parse_host_port;
use crate::sip::uri::parse_v6;
use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::Params;

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, `WS`, `WSS` or any other token, as written.
    pub transport: String,
    /// Where the sender wants its answer.
    pub host: Host,
    /// Port, if written.
    pub port: Option<u16>,
    /// `branch`, `rport`, `received` …
    pub params: Params,
}

const WRONG: Malformed = Malformed("Via");

impl Via {
    /// Reads one value, not a list. Any version of SIP will do: its sender wants to be told that we have only 2.0.
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse(value: &str) -> Result<Via, Malformed> {
        let mut cursor = Cursor::new(value);
        let protocol = cursor.token().ok_or(WRONG)?;
        let slash = cursor.eat(b'/');
        let version = cursor.token().ok_or(WRONG)?;
        let numeric = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !slash || !cursor.eat(b'/') || !protocol.eq_ignore_ascii_case("SIP") || !numeric {
            return Err(WRONG);
        }
        let transport = cursor.token().ok_or(WRONG)?.to_owned();
        cursor.blanks();
        let sent_by = cursor.take(|byte| byte != b';').ok_or(WRONG)?;
        // `host : port` may have blanks around the colon.
        let (host, port) = match sent_by.contains([' ', '\t']) {
            true => {
                let (host, port) = sent_by.split_once(':').unwrap_or((sent_by, ""));
                let (host, port) = (host.trim(), port.trim());
                parse_host_port(&if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") })
            }
            false => parse_host_port(sent_by),
        }
        .map_err(|_| WRONG)?;
        let params = Params::parse(&mut cursor).map_err(|_| WRONG)?;
        Ok(Via { transport, host, port, params })
    }

    /// The branch, which with the sent-by names the transaction.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// `rport` (RFC 3581): absent, asked for, or filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.params.get("rport")?;
        Some(value.and_then(|value| value.parse().ok()))
    }

    /// The address the request really came from, as its receiver noted it.
    pub fn received(&self) -> Option<IpAddr> {
        // RFC 5118 §4.5: IPv6 stands here without brackets, but brackets are seen too.
        let value = self.params.value("received")?;
        let bare = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
        bare.parse().ok().or_else(|| parse_v6(bare).map(IpAddr::V6))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vias_are_read_and_printed() {
        // Read, printed.
        let table = [
            ("SIP/2.0/UDP h;branch=z9hG4bK1;rport", "SIP/2.0/UDP h;branch=z9hG4bK1;rport"),
            ("SIP / 2.0 / TCP  h : 5061 ; branch = z9", "SIP/2.0/TCP h:5061;branch=z9"),
            ("SIP/2.0/DTLS-UDP [2001:db8::9]:5060", "SIP/2.0/DTLS-UDP [2001:db8::9]:5060"),
            ("sip/2.0/WSS df7jal23ls0d.invalid;branch=a", "SIP/2.0/WSS df7jal23ls0d.invalid;branch=a"),
        ];
        for (read, printed) in table {
            let via = Via::parse(read).unwrap_or_else(|error| panic!("{read}: {error}"));
            assert_eq!(via.to_string(), printed);
        }
        for wrong in ["", "SIP/2.0 h", "SIP/2.0/UDP", "HTTP/1.1/TCP h", "SIP/2.0/UDP h x", "SIP/2.0/UDP h:x"]
        {
            assert_eq!(Via::parse(wrong), Err(WRONG), "{wrong}");
        }
    }

    #[test]
    fn rport_and_received_tell_where_a_request_came_from() {
        let via = |params: &str| Via::parse(&format!("SIP/2.0/UDP h{params}")).unwrap();
        assert_eq!(via("").rport(), None);
        assert_eq!(via(";rport").rport(), Some(None));
        assert_eq!(via(";rport=5062").rport(), Some(Some(5062)));
        assert_eq!(via(";received=192.0.2.1").received(), "192.0.2.1".parse().ok());
        // RFC 5118 §4.5: without brackets, though they are seen.
        assert_eq!(via(";received=2001:db8::1").received(), "2001:db8::1".parse().ok());
        assert_eq!(via(";received=[2001:db8::1]").received(), "2001:db8::1".parse().ok());
    }
}
