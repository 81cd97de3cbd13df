//! Bytes → [`SessionDescription`] (RFC 8866 §5), lenient as the field needs it.
//!
//! Lines may end in any way and stand in any order; only `m=` divides them. Missing `o=`, `s=`, `t=` and unknown
//! lines are no errors. Refused is what would be misunderstood: no `v=`, and media or addresses that cannot be read.

use std::net::IpAddr;

use crate::sdp::Attribute;
use crate::sdp::Host;
use crate::sdp::Media;
use crate::sdp::Origin;
use crate::sdp::SessionDescription;

/// Bytes of a description; a SIP message has no room for more.
const BYTES_MAX: usize = 65_535;
const LINES_MAX: usize = 2_000;
const MEDIA_MAX: usize = 32;
const FORMATS_MAX: usize = 128;

/// Why bytes are no session description. Lines are counted from 1, empty ones left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// More bytes, lines, media or formats than are read.
    #[error("session description is too long")]
    TooLong,
    /// The first line is not `v=0`.
    #[error("session description does not begin with v=0")]
    NoVersion,
    /// An `m=` line without kind, port, protocol or formats.
    #[error("media of line {0} cannot be read")]
    BadMedia(usize),
    /// A `c=` line without address.
    #[error("connection of line {0} cannot be read")]
    BadConnection(usize),
}

/// Reads a session description.
///
/// # Errors
/// See [`SdpError`]; each is answered with 400 or 488.
///
/// # Examples
/// ```
/// let text = b"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 8 101\n";
/// let sdp = sentral::sdp::parse(text)?;
/// assert_eq!(sdp.media[0].formats, ["8", "101"]);
/// # Ok::<(), sentral::sdp::SdpError>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<SessionDescription, SdpError> {
    if bytes.len() > BYTES_MAX {
        return Err(SdpError::TooLong);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split(['\r', '\n', '\0']).map(str::trim).filter(|line| !line.is_empty());
    if lines.next().and_then(split) != Some(("v", "0")) {
        return Err(SdpError::NoVersion);
    }
    let mut sdp = SessionDescription { name: "-".into(), ..SessionDescription::default() };
    for (line, number) in lines.zip(2..) {
        if number > LINES_MAX {
            return Err(SdpError::TooLong);
        }
        let Some((kind, value)) = split(line) else { continue };
        match kind {
            "o" => sdp.origin = origin(value),
            "s" if !value.is_empty() => sdp.name = value.to_owned(),
            "t" => sdp.time = time(value),
            "c" => {
                let host = connection(value).ok_or(SdpError::BadConnection(number))?;
                // Of several (layered multicast), the first.
                match sdp.media.last_mut() {
                    Some(media) => media.connection.get_or_insert(host),
                    None => sdp.connection.get_or_insert(host),
                };
            }
            "a" => {
                if let Some(attribute) = attribute(value) {
                    match sdp.media.last_mut() {
                        Some(media) => media.attributes.push(attribute),
                        None => sdp.attributes.push(attribute),
                    }
                }
            }
            "m" if sdp.media.len() == MEDIA_MAX => return Err(SdpError::TooLong),
            "m" => sdp.media.push(media(value, number)?),
            // RFC 8866 §5 wants unknown types refused; phones send them, and they mean nothing to us.
            _ => {}
        }
    }
    Ok(sdp)
}

fn split(line: &str) -> Option<(&str, &str)> {
    let (kind, value) = line.split_once('=')?;
    Some((kind.trim_end(), value.trim_start()))
}

/// RFC 8866 §5.2: `user id version IN IP4 address`; what is missing takes the default.
fn origin(value: &str) -> Origin {
    let mut origin = Origin::default();
    let mut parts = value.split_whitespace();
    for part in [&mut origin.user, &mut origin.id, &mut origin.version] {
        if let Some(text) = parts.next() {
            *part = text.to_owned();
        }
    }
    if let Some(address) = parts.nth(2) {
        origin.address = host(address);
    }
    origin
}

/// RFC 8866 §5.9. Numbers that do not fit are as good as no limit.
fn time(value: &str) -> (u64, u64) {
    let mut parts = value.split_whitespace().map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// RFC 8866 §5.7: `IN IP4 address`, with `/ttl` or `/count` after a multicast address.
fn connection(value: &str) -> Option<Host> {
    let mut parts = value.split_whitespace();
    let network = parts.next()?;
    let address = parts.nth(1)?.split('/').next().filter(|address| !address.is_empty())?;
    network.eq_ignore_ascii_case("IN").then(|| host(address))
}

fn host(text: &str) -> Host {
    match text.parse::<IpAddr>() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(text.to_owned()),
    }
}

fn attribute(value: &str) -> Option<Attribute> {
    let (name, value) = match value.split_once(':') {
        Some((name, value)) => (name.trim_end(), Some(value.trim_start().to_owned())),
        None => (value, None),
    };
    (!name.is_empty()).then(|| (name.to_owned(), value))
}

/// RFC 8866 §5.14: `kind port protocol format …`, the port with `/count` after it when there are several.
fn media(value: &str, line: usize) -> Result<Media, SdpError> {
    let mut parts = value.split_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(SdpError::BadMedia(line));
    };
    let (port, ports) = port.split_once('/').unwrap_or((port, "1"));
    let (Ok(port), Ok(ports)) = (port.parse::<u16>(), ports.parse::<u16>()) else {
        return Err(SdpError::BadMedia(line));
    };
    let mut formats: Vec<String> = parts.take(FORMATS_MAX + 1).map(str::to_owned).collect();
    if formats.len() > FORMATS_MAX {
        return Err(SdpError::TooLong);
    }
    if formats.is_empty() {
        // A refused media is often sent back without formats; the grammar wants one, whichever.
        match port {
            0 => formats.push("0".into()),
            _ => return Err(SdpError::BadMedia(line)),
        }
    }
    Ok(Media {
        kind: kind.to_owned(),
        port,
        ports: ports.max(1),
        protocol: protocol.to_owned(),
        formats,
        connection: None,
        attributes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "v=0\r\no=- 20518 0 IN IP4 203.0.113.1\r\ns= \r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\n\
        m=audio 54400 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendonly\r\n";

    #[test]
    fn an_ordinary_phone_is_read_whole() {
        let sdp = parse(PHONE.as_bytes()).unwrap();
        let audio = &sdp.media[0];
        assert_eq!((audio.kind.as_str(), audio.port, audio.protocol.as_str()), ("audio", 54400, "RTP/AVP"));
        assert_eq!(audio.formats, ["9", "8", "0", "101"]);
        assert_eq!(audio.rtpmap("9").unwrap().encoding, "G722");
        assert_eq!(audio.rtpmap("8"), None);
        assert_eq!(audio.fmtp("101"), Some("0-15"));
        assert_eq!(audio.attribute("ptime"), Some("20"));
        assert_eq!(sdp.direction_of(audio), crate::sdp::Direction::SendOnly);
        assert_eq!(sdp.connection_of(audio), Some(&Host::Address("203.0.113.1".parse().unwrap())));
    }

    #[test]
    fn what_phones_send_against_the_grammar_is_read() {
        let rows = [
            // T.38 by UDPTL.
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=image 4500 udptl t38\r\na=T38FaxVersion:0\r\n",
            // A mapping without clock rate.
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4 RTP/AVP 8\r\na=rtpmap:8 PCMA\r\n",
            // Neither s= nor t=, nor o=.
            "v=0\r\nm=audio 4 RTP/AVP 8\r\n",
            // A key, and a bandwidth after the time.
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nk=clear:x\r\nb=AS:64\r\nm=audio 4 RTP/AVP 8\r\nb=AS:64\r\n",
            // Unknown lines, with and without an equals sign.
            "v=0\r\ny=what\r\nhello\r\nxy=z\r\nm=audio 4 RTP/AVP 8\r\n",
            // A version of twenty digits.
            "v=0\r\no=- 18446744073709551615 99999999999999999999 IN IP4 192.0.2.1\r\nm=audio 4 RTP/AVP 8\r\n",
            // Bare line feeds, blank lines and no end of line at the end.
            "\nv=0\ns=-\n\nm=audio 4 RTP/AVP 8 \na=sendrecv",
            // Blanks around the equals sign and the colon.
            "v = 0\r\nm = audio 4 RTP/AVP 8\r\na = rtpmap: 8 PCMA/8000\r\n",
        ];
        for text in rows {
            let sdp = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(sdp.media.len(), 1, "{text}");
            assert_eq!(parse(sdp.to_string().as_bytes()), Ok(sdp), "{text}");
        }
    }

    #[test]
    fn what_would_be_misunderstood_is_refused() {
        let many = "m=audio 4 RTP/AVP 8\n".repeat(MEDIA_MAX + 1);
        let rows = [
            ("", SdpError::NoVersion),
            ("hello\r\nv=0\r\n", SdpError::NoVersion),
            ("v=1\r\n", SdpError::NoVersion),
            ("o=- 1 1 IN IP4 h\r\nv=0\r\n", SdpError::NoVersion),
            ("v=0\r\nm=audio\r\n", SdpError::BadMedia(2)),
            ("v=0\r\nm=audio 70000 RTP/AVP 0\r\n", SdpError::BadMedia(2)),
            ("v=0\r\nm=audio 4000 RTP/AVP\r\n", SdpError::BadMedia(2)),
            ("v=0\r\nc=IN IP4\r\n", SdpError::BadConnection(2)),
            (&format!("v=0\r\n{many}"), SdpError::TooLong),
        ];
        for (text, error) in rows {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn addresses_of_both_families_and_names_are_told_apart() {
        let host = |line: &str| parse(format!("v=0\r\n{line}\r\n").as_bytes()).unwrap().connection;
        assert_eq!(host("c=IN IP6 2001:db8::1"), Some(Host::Address("2001:db8::1".parse().unwrap())));
        assert_eq!(host("c=IN IP4 224.2.36.42/127"), Some(Host::Address("224.2.36.42".parse().unwrap())));
        assert_eq!(host("c=IN IP4 media.example"), Some(Host::Name("media.example".into())));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_bytes_break_the_reader_and_what_it_reads_is_written_the_same(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let mut sdp = b"v=0\n".to_vec();
            sdp.extend(bytes);
            if let Ok(sdp) = parse(&sdp) {
                proptest::prop_assert_eq!(parse(sdp.to_string().as_bytes()), Ok(sdp));
            }
        }

        #[test]
        fn lines_of_every_kind_are_written_as_they_were_read(
            lines in proptest::collection::vec("[vosctamkx] ?= ?[ a-z0-9:/.=-]{0,24}", 0..12),
        ) {
            if let Ok(sdp) = parse(format!("v=0\r\n{}", lines.join("\n")).as_bytes()) {
                proptest::prop_assert_eq!(parse(sdp.to_string().as_bytes()), Ok(sdp));
            }
        }
    }
}
