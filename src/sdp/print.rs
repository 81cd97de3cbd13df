//! [`SessionDescription`] → text (RFC 8866 §5), every line in the grammar's order and ended by CRLF.

use std::fmt;

use crate::sdp::Attribute;
use crate::sdp::Host;
use crate::sdp::SessionDescription;

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "v=0\r\n")?;
        write!(f, "o={} {} {} ", Clean(&origin.user), Clean(&origin.id), Clean(&origin.version))?;
        write!(f, "{}\r\n", origin.address)?;
        write!(f, "s={}\r\n", Clean(if self.name.is_empty() { "-" } else { &self.name }))?;
        if let Some(host) = &self.connection {
            write!(f, "c={host}\r\n")?;
        }
        write!(f, "t={} {}\r\n", self.time.0, self.time.1)?;
        print_attributes(f, &self.attributes)?;
        for media in &self.media {
            write!(f, "m={} {}", Clean(&media.kind), media.port)?;
            if media.ports > 1 {
                write!(f, "/{}", media.ports)?;
            }
            write!(f, " {}", Clean(&media.protocol))?;
            for format in &media.formats {
                write!(f, " {}", Clean(format))?;
            }
            write!(f, "\r\n")?;
            if let Some(host) = &media.connection {
                write!(f, "c={host}\r\n")?;
            }
            print_attributes(f, &media.attributes)?;
        }
        Ok(())
    }
}

fn print_attributes(f: &mut fmt::Formatter<'_>, attributes: &[Attribute]) -> fmt::Result {
    for (name, value) in attributes {
        match value {
            Some(value) => write!(f, "a={}:{}\r\n", Clean(name), Clean(value))?,
            None => write!(f, "a={}\r\n", Clean(name))?,
        }
    }
    Ok(())
}

/// `IN IP4 192.0.2.1`: as it stands in `o=` and `c=`.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) if address.is_ipv6() => write!(f, "IN IP6 {address}"),
            Host::Address(address) => write!(f, "IN IP4 {address}"),
            Host::Name(name) => write!(f, "IN IP4 {}", Clean(name)),
        }
    }
}

/// Text without line ends, so that no value can become a line of its own.
struct Clean<'a>(&'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.split(['\r', '\n', '\0']).try_for_each(|part| f.write_str(part))
    }
}

#[cfg(test)]
mod tests {
    use crate::sdp::Host;
    use crate::sdp::Media;
    use crate::sdp::SessionDescription;

    fn media() -> Media {
        Media {
            kind: "audio".into(),
            port: 4000,
            ports: 1,
            protocol: "RTP/AVP".into(),
            formats: vec!["8".into()],
            connection: Some(Host::Address("2001:db8::1".parse().unwrap())),
            attributes: vec![("rtpmap".into(), Some("8 PCMA/8000".into())), ("sendrecv".into(), None)],
        }
    }

    #[test]
    fn lines_come_in_the_order_of_the_grammar() {
        let connection = Some(Host::Address("192.0.2.1".parse().unwrap()));
        let sdp = SessionDescription { connection, media: vec![media()], ..Default::default() };
        let expect = "v=0\r\no=- 0 0 IN IP4 -\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
            m=audio 4000 RTP/AVP 8\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n";
        assert_eq!(sdp.to_string(), expect);
    }

    #[test]
    fn a_line_end_in_a_value_makes_no_line() {
        let sdp = SessionDescription { name: "x\r\nm=audio 1 RTP/AVP 0".into(), ..Default::default() };
        assert!(sdp.to_string().contains("\r\ns=xm=audio 1 RTP/AVP 0\r\n"));
    }
}
