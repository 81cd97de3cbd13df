//! Requests and responses (RFC 3261 §7), their headers in order, and typed views of them.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use thiserror::Error;

pub use crate::sip::header::Headers;
pub use crate::sip::header::name::Name;

use crate::sip::header;
use crate::sip::header::CSeq;
use crate::sip::header::Contacts;
use crate::sip::header::NameAddr;
use crate::sip::header::Via;
use crate::sip::scan::Fault;
use crate::sip::scan::Scan;
use crate::sip::scan::scan;
use crate::sip::uri::Uri;
use crate::sip::value;
use crate::sip::value::Malformed;

/// A request method; methods are case-sensitive (RFC 3261 §7.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 3261.
    Invite,
    /// RFC 3261.
    Ack,
    /// RFC 3261.
    Bye,
    /// RFC 3261.
    Cancel,
    /// RFC 3261.
    Options,
    /// RFC 3261.
    Register,
    /// RFC 6086.
    Info,
    /// RFC 6665.
    Subscribe,
    /// RFC 6665.
    Notify,
    /// RFC 3515.
    Refer,
    /// RFC 3428.
    Message,
    /// RFC 3262.
    Prack,
    /// RFC 3311.
    Update,
    /// RFC 3903.
    Publish,
    /// Any other token.
    Other(Box<str>),
}

/// A SIP message.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of whom.
    pub uri: Uri,
    /// All headers.
    pub headers: Headers,
    /// Body, cut to Content-Length.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// 100–699.
    pub status: u16,
    /// Reason phrase.
    pub reason: Box<str>,
    /// All headers.
    pub headers: Headers,
    /// Body, cut to Content-Length.
    pub body: Bytes,
}

/// Why octets are no message.
#[derive(Clone, Debug, Error)]
pub enum ParseError {
    /// A request that can be answered, though not obeyed.
    #[error("unreadable request: {status} {reason}")]
    Answerable {
        /// Status of the answer.
        status: u16,
        /// Reason phrase of the answer; names the header at fault.
        reason: Cow<'static, str>,
        /// What could be read of it; its topmost Via is sound.
        request: Box<Request>,
    },
    /// Nothing to answer, or nobody.
    #[error("unreadable message: {0}")]
    Unreadable(Cow<'static, str>),
}

impl Method {
    /// As in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Info => "INFO",
            Method::Subscribe => "SUBSCRIBE",
            Method::Notify => "NOTIFY",
            Method::Refer => "REFER",
            Method::Message => "MESSAGE",
            Method::Prack => "PRACK",
            Method::Update => "UPDATE",
            Method::Publish => "PUBLISH",
            Method::Other(token) => token,
        }
    }

    /// The method that a token names.
    pub fn parse(token: &[u8]) -> Method {
        match token {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"OPTIONS" => Method::Options,
            b"REGISTER" => Method::Register,
            b"INFO" => Method::Info,
            b"SUBSCRIBE" => Method::Subscribe,
            b"NOTIFY" => Method::Notify,
            b"REFER" => Method::Refer,
            b"MESSAGE" => Method::Message,
            b"PRACK" => Method::Prack,
            b"UPDATE" => Method::Update,
            b"PUBLISH" => Method::Publish,
            other => Method::Other(String::from_utf8_lossy(other).into()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Message {
    /// Reads one whole message of at most `max` octets: a datagram, a WebSocket message or what `framing` cut.
    /// Header values are not looked at, but for Content-Length; `check` does that.
    ///
    /// # Errors
    /// `Answerable` for a request whose start line, header lines or length are wrong but whose topmost Via can
    /// be read; otherwise `Unreadable`.
    pub fn parse(bytes: Bytes, max: usize) -> Result<Message, ParseError> {
        let too_long = bytes.len() > max;
        let bytes = if too_long { bytes.slice(..max) } else { bytes };
        let Some(Scan { start, headers, body, fault }) = scan(&bytes) else {
            return Err(ParseError::Unreadable("no start line".into()));
        };
        let fault = if too_long { Some((513, "Message Too Large".into())) } else { fault };
        let start = String::from_utf8_lossy(&start);
        if let Some(status_line) = strip_version(&start) {
            let (status, reason) =
                parse_status(status_line).ok_or(ParseError::Unreadable("status line".into()))?;
            return match fault {
                None => Ok(Message::Response(Response { status, reason, headers, body })),
                Some((_, why)) => Err(ParseError::Unreadable(why)),
            };
        }
        let (method, uri, line_fault) = parse_request_line(&start)?;
        let request = Request { method, uri, headers, body };
        match line_fault.or(fault) {
            None => Ok(Message::Request(request)),
            // RFC 3261 §17.1: there is no answer to an ACK.
            Some((status, reason)) if request.method != Method::Ack && request.via().is_some() => {
                Err(ParseError::Answerable { status, reason, request: Box::new(request) })
            }
            Some((_, why)) => Err(ParseError::Unreadable(why)),
        }
    }

    /// All headers.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }
}

/// What follows `SIP/2.0 ` in a status line.
fn strip_version(start: &str) -> Option<&str> {
    let (version, rest) = start.split_at_checked(8)?;
    version.eq_ignore_ascii_case("SIP/2.0 ").then_some(rest)
}

fn parse_status(line: &str) -> Option<(u16, Box<str>)> {
    // The space after the code is demanded even before an empty phrase, but not sent by all.
    let (code, reason) = line.split_once(' ').unwrap_or((line, ""));
    let sound = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    let status = code.parse().ok().filter(|status| sound && (100..700).contains(status))?;
    Some((status, reason.into()))
}

/// Longest Request-URI, as it came and as we would send it on (an octet that must be escaped becomes three): far
/// beyond what any phone sends, and a share of what a datagram may hold.
const URI_MAX: usize = 2_048;

fn parse_request_line(start: &str) -> Result<(Method, Uri, Option<Fault>), ParseError> {
    let (method, rest) = start.split_once(' ').ok_or(ParseError::Unreadable("start line".into()))?;
    if !value::is_token(method) {
        return Err(ParseError::Unreadable("start line".into()));
    }
    let method = Method::parse(method.as_bytes());
    let unreadable = |uri: &str| Uri::Other(uri.trim().to_owned());
    let Some((uri, version)) = rest.trim_end().rsplit_once(' ') else {
        return Ok((method, unreadable(rest), Some((400, "Malformed Request Line".into()))));
    };
    let fault = match () {
        // RFC 3261 §25.1: exactly one space between the three, none at the end; RFC 4475 §3.1.2.8–10.
        () if rest.trim_end() != rest || uri.contains([' ', '\t']) => (400, "Malformed Request Line"),
        // RFC 3261 §21.4.12.
        () if uri.len() > URI_MAX => (414, "Request-URI Too Long"),
        () if version.eq_ignore_ascii_case("SIP/2.0") => match Uri::parse(uri) {
            Ok(parsed) if uri.len() > URI_MAX / 3 && parsed.to_string().len() > URI_MAX => {
                (414, "Request-URI Too Long")
            }
            Ok(uri) => return Ok((method, uri, None)),
            Err(_) => (400, "Malformed Request-URI"),
        },
        () if is_version(version) => (505, "Version Not Supported"),
        () => (400, "Malformed Request Line"),
    };
    let (status, reason) = fault;
    Ok((method, Uri::parse(uri).unwrap_or_else(|_| unreadable(uri)), Some((status, reason.into()))))
}

fn is_version(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("SIP/"))
        && text[4..].split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// The typed views that requests and responses share. Each reads its header anew; `None` or an absent element
/// means that the header is missing or malformed (`check` tells which).
macro_rules! typed_views {
    ($($message:ident),+) => {$(
        impl $message {
            /// Topmost Via value.
            pub fn via(&self) -> Option<Via> {
                Via::parse(value::list(&self.headers.get(&Name::Via)?).next()?).ok()
            }

            /// All Via values, topmost first.
            pub fn vias(&self) -> Vec<Via> {
                self.headers.values(&Name::Via, Via::parse).flatten().collect()
            }

            /// From.
            pub fn from(&self) -> Option<NameAddr> {
                NameAddr::parse(&self.headers.get(&Name::From)?).ok()
            }

            /// To.
            pub fn to(&self) -> Option<NameAddr> {
                NameAddr::parse(&self.headers.get(&Name::To)?).ok()
            }

            /// Call-ID.
            pub fn call_id(&self) -> Option<Cow<'_, str>> {
                self.headers.get(&Name::CallId).filter(|value| !value.is_empty())
            }

            /// CSeq.
            pub fn cseq(&self) -> Option<CSeq> {
                CSeq::parse(&self.headers.get(&Name::CSeq)?).ok()
            }

            /// All Contact values.
            ///
            /// # Errors
            /// When one is malformed, or `*` is not alone.
            pub fn contacts(&self) -> Result<Contacts, Malformed> {
                Contacts::read(&self.headers)
            }

            /// All Route values, next hop first.
            pub fn routes(&self) -> Vec<NameAddr> {
                self.headers.values(&Name::Route, NameAddr::parse).flatten().collect()
            }

            /// All Record-Route values, topmost first.
            pub fn record_routes(&self) -> Vec<NameAddr> {
                self.headers.values(&Name::RecordRoute, NameAddr::parse).flatten().collect()
            }

            /// Expires in seconds; 3600 when unreadable.
            pub fn expires(&self) -> Option<u32> {
                self.headers.get(&Name::Expires).map(|value| header::delta_seconds(&value))
            }

            /// Media type of the body in lower case without parameters: `application/sdp`.
            pub fn content_type(&self) -> Option<String> {
                let value = self.headers.get(&Name::ContentType)?;
                let end = value.find(';').unwrap_or(value.len());
                let media_type = value[..end].to_ascii_lowercase();
                Some(media_type.split_ascii_whitespace().collect())
            }

            /// Content-Length as written, which `body` has been cut to.
            pub fn content_length(&self) -> Option<usize> {
                crate::sip::scan::content_length(self.headers.raw(&Name::ContentLength).next()?)
            }

            /// Tokens of all headers of this name: Require, Supported, Allow and their kind.
            pub fn tokens(&self, name: &Name) -> Vec<String> {
                let read = |token: &str| if token.is_empty() { Err(()) } else { Ok(token.to_owned()) };
                self.headers.values(name, read).flatten().collect()
            }
        }
    )+};
}

typed_views!(Request, Response);

impl Request {
    /// A request without headers.
    pub fn new(method: Method, uri: Uri) -> Request {
        Request { method, uri, headers: Headers::with_capacity(16), body: Bytes::new() }
    }

    /// Max-Forwards; an error when it is not 0–255 (RFC 3261 §20.22).
    pub fn max_forwards(&self) -> Option<Result<u8, Malformed>> {
        let value = self.headers.get(&Name::MaxForwards)?;
        let sound = value.bytes().all(|byte| byte.is_ascii_digit());
        Some(value.parse().ok().filter(|_| sound).ok_or(Malformed("Max-Forwards")))
    }
}

impl Response {
    /// A response without headers, with the usual reason phrase unless one is given.
    pub fn new(status: u16, reason: Option<&str>) -> Response {
        let reason = reason.map_or_else(|| reason_phrase(status), Into::into);
        Response { status, reason, headers: Headers::with_capacity(16), body: Bytes::new() }
    }

    /// The response to a request (RFC 3261 §8.2.6): Via, From, To, Call-ID and CSeq copied, `to_tag` added to To if
    /// it has none. Record-Route is copied into what may found a dialog (§12.1.1), Timestamp into 100 (§8.2.6.1).
    pub fn reply(request: &Request, status: u16, to_tag: Option<&str>) -> Response {
        let founds =
            matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify)
                && (101..300).contains(&status);
        let mut response = Response::new(status, None);
        for (name, value) in request.headers.iter() {
            match name {
                Name::Via | Name::From | Name::CallId | Name::CSeq => {}
                Name::RecordRoute if founds => {}
                Name::Timestamp if status == 100 => {}
                Name::To => {
                    response.headers.push(Name::To, with_tag(value, to_tag));
                    continue;
                }
                _ => continue,
            }
            response.headers.push(name.clone(), value.clone());
        }
        response
    }
}

fn with_tag(to: &Bytes, tag: Option<&str>) -> Bytes {
    let Some(tag) = tag else { return to.clone() };
    let tagged = NameAddr::parse(&String::from_utf8_lossy(to)).is_ok_and(|to| to.params.contains("tag"));
    if tagged {
        return to.clone();
    }
    let mut out = Vec::with_capacity(to.len() + 5 + tag.len());
    out.extend_from_slice(to);
    out.extend_from_slice(b";tag=");
    out.extend_from_slice(tag.as_bytes());
    Bytes::from(out)
}

fn reason_phrase(status: u16) -> Box<str> {
    // rsip prints `486 BusyHere`: the words are those of the RFCs, but for the spaces.
    let words = match rsip::StatusCode::from(status) {
        // RFC 5626 §11.5, §11.6.
        rsip::StatusCode::Other(430, _) => return "Flow Failed".into(),
        rsip::StatusCode::Other(439, _) => return "First Hop Lacks Outbound Support".into(),
        // RFC 6086 §11.6.
        rsip::StatusCode::Other(469, _) => return "Bad Info Package".into(),
        rsip::StatusCode::Other(..) => return class_phrase(status).into(),
        rsip::StatusCode::OK => return "OK".into(),
        known => known.to_string(),
    };
    let mut phrase = String::with_capacity(words.len() + 4);
    for c in words.chars().skip(4) {
        if c.is_ascii_uppercase() && !phrase.is_empty() {
            phrase.push(' ');
        }
        phrase.push(c);
    }
    phrase.into()
}

/// Phrases for codes that rsip does not know, by class.
fn class_phrase(status: u16) -> &'static str {
    match status / 100 {
        1 => "Progress",
        2 => "OK",
        3 => "Redirection",
        4 => "Request Failure",
        5 => "Server Failure",
        _ => "Global Failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 65_536;

    fn request(text: &str) -> Request {
        match Message::parse(Bytes::copy_from_slice(text.as_bytes()), MAX) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    const INVITE: &str = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK2, SIP/2.0/TCP q\r\nv: SIP/2.0/UDP r\r\n\
                          Record-Route: <sip:p;lr>\r\nt: <sip:b@h>\r\nf: A <sip:a@h>;tag=1\r\ni: c@h\r\nCSeq: 7 INVITE\r\n\
                          Timestamp: 54\r\n\r\n";

    #[test]
    fn a_reply_copies_what_rfc_3261_8_2_6_says() {
        let invite = request(INVITE);
        let reply = Response::reply(&invite, 180, Some("x"));
        let expected = "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK2, SIP/2.0/TCP q\r\nVia: SIP/2.0/UDP r\r\n\
                        Record-Route: <sip:p;lr>\r\nTo: <sip:b@h>;tag=x\r\nFrom: A <sip:a@h>;tag=1\r\nCall-ID: c@h\r\n\
                        CSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(reply.to_bytes(), expected);
        assert_eq!(reply.vias().len(), 3);
        assert!(Response::reply(&invite, 100, None).headers.contains(&Name::Timestamp));
        assert!(!Response::reply(&invite, 486, Some("x")).headers.contains(&Name::RecordRoute));
        let tagged = request(&INVITE.replace("<sip:b@h>\r", "<sip:b@h>;tag=y\r"));
        assert_eq!(Response::reply(&tagged, 200, Some("x")).to().unwrap().tag(), Some("y"));
    }

    #[test]
    fn reason_phrases_are_words() {
        let table =
            [(200, "OK"), (481, "Call Transaction Does Not Exist"), (487, "Request Terminated"), (299, "OK")];
        for (status, phrase) in table {
            assert_eq!(&*Response::new(status, None).reason, phrase);
        }
    }

    #[test]
    fn a_request_that_cannot_be_read_is_answered_if_its_via_can() {
        let parse = |text: String| Message::parse(text.into_bytes().into(), MAX);
        let status = |result| match result {
            Err(ParseError::Answerable { status, .. }) => Some(status),
            Ok(_) | Err(ParseError::Unreadable(_)) => None,
        };
        assert_eq!(status(parse(INVITE.replace("sip:b@h S", "sip:b@ S"))), Some(400));
        assert_eq!(status(parse(INVITE.replacen("SIP/2.0", "SIP/3.0", 1))), Some(505));
        assert_eq!(status(parse(INVITE.replace("CSeq:", "CSeq"))), Some(400));
        // RFC 3261 §21.4.12: whatever else is wrong with it.
        assert_eq!(
            status(parse(INVITE.replace("sip:b@h S", &format!("sip:b@h;x={} S", "y".repeat(URI_MAX))))),
            Some(414)
        );
        // What we could not send on, since each such octet is sent as three.
        let swelling = format!("sip:{}@h S", "é".repeat(URI_MAX / 5));
        assert_eq!(status(parse(INVITE.replace("sip:b@h S", &swelling))), Some(414));
        // Nobody to answer.
        assert_eq!(status(parse(INVITE.replace("CSeq:", "CSeq").replace("UDP p", "UDP ?p"))), None);
        // No answer to an ACK.
        assert_eq!(status(parse(INVITE.replace("CSeq:", "CSeq").replace("INVITE", "ACK"))), None);
        let long = Message::parse(INVITE.as_bytes().to_vec().into(), INVITE.len() - 1);
        assert_eq!(status(long), Some(513));
    }

    #[test]
    fn what_we_print_cannot_be_made_to_hold_more_headers_than_it_has() {
        let mut invite = request(INVITE);
        invite.headers.push(Name::Subject, "x\r\nEvil: 1");
        invite.headers.push(Name::Other("A\r\nB".into()), "y");
        let printed = String::from_utf8(invite.to_bytes().to_vec()).unwrap();
        assert!(!printed.contains("\r\nEvil") && !printed.contains("\r\nB"));
    }
}
