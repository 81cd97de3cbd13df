//! What RFC 3261 §8 and RFC 4475 demand of a message: go on, answer with a failure, or drop.
//!
//! Left to the user: which methods (405, 501), Event packages (489) and bodies (415, 406) are known, and whose
//! domain it is. Left out: Proxy-Require, which only proxies obey; we answer as a user agent (RFC 7092 §3).

use std::borrow::Cow;

use crate::sip::header::CSeq;
use crate::sip::header::Contacts;
use crate::sip::header::NameAddr;
use crate::sip::header::Via;
use crate::sip::header::name::Name;
use crate::sip::message::Headers;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::sip::message::Response;
use crate::sip::uri::Uri;
use crate::sip::value;
use crate::sip::value::Cursor;
use crate::sip::value::Params;

/// Extensions that a request may require of us (option tags).
pub const SUPPORTED: &[&str] = &["path", "outbound", "gruu", "100rel", "replaces", "timer", "norefersub"];

/// Longest user part of a Contact that a registrar of ours binds, in octets.
const CONTACT_USER_MAX: usize = 256;

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sound.
    Go,
    /// Answer the request with a failure.
    Answer {
        /// Status.
        status: u16,
        /// Reason phrase: what is wrong.
        reason: Cow<'static, str>,
        /// Further headers of the answer.
        extra: Vec<(Name, String)>,
    },
    /// Nobody could use an answer; says why.
    Drop(&'static str),
}

impl Verdict {
    fn answer(status: u16, reason: impl Into<Cow<'static, str>>) -> Verdict {
        Verdict::Answer { status, reason: reason.into(), extra: Vec::new() }
    }
}

/// Judges a request that `Message::parse` could read.
pub fn request(request: &Request) -> Verdict {
    match judge(request) {
        Ok(()) => Verdict::Go,
        // RFC 3261 §17.1: there is no answer to an ACK.
        Err(Verdict::Answer { .. }) if request.method == Method::Ack => Verdict::Drop("faulty ACK"),
        Err(verdict) => verdict,
    }
}

fn judge(request: &Request) -> Result<(), Verdict> {
    let headers = &request.headers;
    let Some(via) = request.via() else {
        return Err(Verdict::Drop("no readable Via"));
    };
    // RFC 4475 §3.2.1: it says that it names its transaction, and does not.
    if via.branch().is_some_and(|branch| branch.eq_ignore_ascii_case("z9hG4bK")) {
        return Err(Verdict::answer(400, "Malformed Via Branch"));
    }
    each(headers, &Name::Via, |value| Via::parse(value).is_ok())?;
    let to = once(headers, &Name::To, |value| NameAddr::parse(value).ok())?;
    once(headers, &Name::From, |value| NameAddr::parse(value).ok())?;
    once(headers, &Name::CallId, |value| (!value.is_empty()).then_some(()))?;
    let cseq = once(headers, &Name::CSeq, |value| CSeq::parse(value).ok())?;
    // RFC 3261 §8.1.1.5: the method in CSeq is the method of the request.
    if cseq.method != request.method {
        // RFC 4475 §3.1.2.18: of an unknown method, that it is unknown says more.
        return Err(match request.method {
            Method::Other(_) => Verdict::answer(501, "Not Implemented"),
            _ => Verdict::answer(400, "CSeq Method Mismatch"),
        });
    }
    judge_uri(&request.uri)?;
    judge_max_forwards(request, &to)?;
    judge_contact(request)?;
    each(headers, &Name::Route, |value| NameAddr::parse(value).is_ok())?;
    each(headers, &Name::RecordRoute, |value| NameAddr::parse(value).is_ok())?;
    judge_require(request)?;
    judge_encryption(request)?;
    judge_encoding(request)
}

/// The value of a header that must be there, and only once.
fn once<T>(headers: &Headers, name: &Name, read: impl Fn(&str) -> Option<T>) -> Result<T, Verdict> {
    let mut values = headers.all(name);
    let value = values.next().ok_or_else(|| Verdict::answer(400, format!("Missing {name}")))?;
    // RFC 4475 §3.3.8: with two of them nobody knows which one others believe.
    if values.next().is_some() {
        return Err(Verdict::answer(400, format!("More Than One {name}")));
    }
    read(&value).ok_or_else(|| Verdict::answer(400, format!("Malformed {name}")))
}

/// Every value of a header that is a list must be sound.
fn each(headers: &Headers, name: &Name, sound: impl Fn(&str) -> bool) -> Result<(), Verdict> {
    match headers.all(name).all(|values| value::list(&values).all(&sound)) {
        true => Ok(()),
        false => Err(Verdict::answer(400, format!("Malformed {name}"))),
    }
}

fn judge_uri(uri: &Uri) -> Result<(), Verdict> {
    match uri {
        // RFC 3261 §19.1.1: no headers in a Request-URI (RFC 4475 §3.1.2.11).
        Uri::Sip(uri) if uri.headers.is_some() => Err(Verdict::answer(400, "Headers In Request-URI")),
        Uri::Sip(_) | Uri::Tel(_) => Ok(()),
        Uri::Other(_) => Err(Verdict::answer(416, "Unsupported URI Scheme")),
    }
}

/// RFC 3261 §16.3 for what may go on to somebody else. What ends here in any case is exempt: OPTIONS and
/// REGISTER (§11: answered as by the target), CANCEL, and requests in a dialog with us.
fn judge_max_forwards(request: &Request, to: &NameAddr) -> Result<(), Verdict> {
    // RFC 2543 did not have the header: missing is sound.
    if !request.headers.contains(&Name::MaxForwards) {
        return Ok(());
    }
    once(&request.headers, &Name::MaxForwards, |_| Some(()))?;
    let ends_here =
        to.tag().is_some() || matches!(request.method, Method::Options | Method::Register | Method::Cancel);
    match request.max_forwards() {
        Some(Err(_)) => Err(Verdict::answer(400, "Malformed Max-Forwards")),
        Some(Ok(0)) if !ends_here => Err(Verdict::answer(483, "Too Many Hops")),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// RFC 3261 §8.1.1.8, §10.2.2: a request that founds a dialog has at most one Contact; `*` removes bindings and
/// has no other meaning.
fn judge_contact(request: &Request) -> Result<(), Verdict> {
    let founds = matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer);
    match request.contacts() {
        Err(_) => Err(Verdict::answer(400, "Malformed Contact")),
        Ok(Contacts::Star) if request.method != Method::Register || request.expires() != Some(0) => {
            Err(Verdict::answer(400, "Malformed Contact"))
        }
        Ok(Contacts::List(list)) if founds && list.len() > 1 => {
            Err(Verdict::answer(400, "More Than One Contact"))
        }
        Ok(Contacts::List(list)) if request.method == Method::Register => judge_bindings(&list),
        Ok(Contacts::Star | Contacts::List(_)) => Ok(()),
    }
}

/// What a registrar of ours can bind: SIP URIs of a sensible length (RFC 3261 §10.2.1 allows more).
fn judge_bindings(list: &[NameAddr]) -> Result<(), Verdict> {
    for contact in list {
        let Uri::Sip(uri) = &contact.uri else {
            return Err(Verdict::answer(400, "Unsupported Contact Scheme"));
        };
        if uri.user.as_ref().is_some_and(|user| user.len() > CONTACT_USER_MAX) {
            return Err(Verdict::answer(400, "Contact Too Long"));
        }
    }
    Ok(())
}

/// RFC 3261 §8.2.2.3; in ACK and CANCEL the header counts for nothing.
fn judge_require(request: &Request) -> Result<(), Verdict> {
    if matches!(request.method, Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let mut unknown = request.tokens(&Name::Require);
    unknown.retain(|tag| !SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(tag)));
    if unknown.is_empty() {
        return Ok(());
    }
    let extra = vec![(Name::Unsupported, unknown.join(", "))];
    Err(Verdict::Answer { status: 420, reason: "Bad Extension".into(), extra })
}

/// RFC 3261 §21.4.29, §23: we have no keys. An encrypted body that its sender lets us leave out (§20.11) is left to
/// the user, who knows it as little as any other stranger's.
fn judge_encryption(request: &Request) -> Result<(), Verdict> {
    let encrypted = matches!(
        request.content_type().as_deref(),
        Some("application/pkcs7-mime" | "application/x-pkcs7-mime")
    );
    if !encrypted || request.body.is_empty() || is_optional(request) {
        return Ok(());
    }
    Err(Verdict::answer(493, "Undecipherable"))
}

/// Whether Content-Disposition says that the body may be left out; without saying so it may not (RFC 3261 §20.11).
fn is_optional(request: &Request) -> bool {
    let Some(value) = request.headers.get(&Name::ContentDisposition) else { return false };
    let mut cursor = Cursor::new(&value);
    cursor.token().is_some()
        && Params::parse(&mut cursor).is_ok_and(|params| {
            params.value("handling").is_some_and(|handling| handling.eq_ignore_ascii_case("optional"))
        })
}

/// RFC 3261 §8.2.3: a body that is compressed in a way that we cannot read.
fn judge_encoding(request: &Request) -> Result<(), Verdict> {
    let plain =
        request.tokens(&Name::ContentEncoding).iter().all(|coding| coding.eq_ignore_ascii_case("identity"));
    if plain || request.body.is_empty() {
        return Ok(());
    }
    let extra = vec![(Name::AcceptEncoding, "identity".to_owned())];
    Err(Verdict::Answer { status: 415, reason: "Unsupported Content-Encoding".into(), extra })
}

/// Judges a response that `Message::parse` could read: `Go` or `Drop`.
pub fn response(response: &Response) -> Verdict {
    let headers = &response.headers;
    match headers.values(&Name::Via, Via::parse).take(2).collect::<Vec<_>>().as_slice() {
        [Ok(_)] => {}
        // RFC 3261 §8.1.3.3: it was meant for somebody else.
        [_, _] => return Verdict::Drop("more than one Via"),
        _ => return Verdict::Drop("no readable Via"),
    }
    let sound = once(headers, &Name::From, |value| NameAddr::parse(value).ok()).is_ok()
        && once(headers, &Name::To, |value| NameAddr::parse(value).ok()).is_ok()
        && once(headers, &Name::CallId, |value| (!value.is_empty()).then_some(())).is_ok()
        && once(headers, &Name::CSeq, |value| CSeq::parse(value).ok()).is_ok();
    if sound { Verdict::Go } else { Verdict::Drop("malformed response") }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::message::Message;

    const INVITE: &str = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK2\r\nMax-Forwards: 70\r\nTo: <sip:b@h>\r\n\
                          From: <sip:a@h>;tag=1\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@p>\r\n\r\n";

    /// Status of the answer, 0 for none, 1 for a drop.
    fn status(text: &str) -> u16 {
        let Ok(message) = Message::parse(Bytes::copy_from_slice(text.as_bytes()), 65_536) else {
            panic!("unreadable: {text}")
        };
        let verdict = match &message {
            Message::Request(message) => request(message),
            Message::Response(message) => response(message),
        };
        match verdict {
            Verdict::Go => 0,
            Verdict::Answer { status, .. } => status,
            Verdict::Drop(_) => 1,
        }
    }

    #[test]
    fn requests_get_the_answer_that_their_fault_deserves() {
        // What is changed, into what, and the status.
        let table = [
            ("", "", 0),
            ("Call-ID: c\r\n", "", 400),
            ("Call-ID: c\r\n", "Call-ID: c\r\ni: d\r\n", 400),
            ("CSeq: 7 INVITE", "CSeq: 7 BYE", 400),
            ("CSeq: 7 INVITE", "CSeq: 4294967296 INVITE", 400),
            ("Max-Forwards: 70\r\n", "", 0),
            ("Max-Forwards: 70", "Max-Forwards: 256", 400),
            ("Max-Forwards: 70", "Max-Forwards: 0", 483),
            // In a dialog it ends here.
            ("70\r\nTo: <sip:b@h>", "0\r\nTo: <sip:b@h>;tag=2", 0),
            ("sip:b@h S", "urn:service:sos S", 416),
            ("sip:b@h S", "tel:+47 S", 0),
            ("Contact: ", "Contact: <sip:c@p>, ", 400),
            ("<sip:a@p>", "*", 400),
            ("Call-ID", "Require: unheard-of, path\r\nCall-ID", 420),
            ("Call-ID", "Require: path\r\nCall-ID", 0),
            ("Call-ID", "Route: <sip:x;lr>, y\r\nCall-ID", 400),
            // Only a body can be compressed.
            ("Call-ID", "Content-Encoding: gzip\r\nCall-ID", 0),
            ("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\nbody", 415),
            // RFC 3261 §21.4.29: nobody gave us keys.
            ("\r\n\r\n", "\r\nContent-Type: Application/PKCS7-MIME; smime-type=x\r\n\r\nbody", 493),
            (
                "\r\n\r\n",
                "\r\nc: application/pkcs7-mime\r\nContent-Disposition: attachment;handling=optional\r\n\r\nbody",
                0,
            ),
            ("\r\n\r\n", "\r\nc: application/pkcs7-mime\r\nContent-Disposition: ;;;\r\n\r\nbody", 493),
            ("Via: SIP/2.0/UDP p", "Via: SIP/2.0/UDP ?p", 1),
            ("z9hG4bK2", "z9hG4bK2, SIP/2.0/UDP ?q", 400),
        ];
        for (from, to, expected) in table {
            assert_eq!(status(&INVITE.replacen(from, to, 1)), expected, "{to}");
        }
    }

    #[test]
    fn a_registrar_is_asked_to_bind_sip_contacts_of_a_sensible_length_only() {
        let register = INVITE.replace("INVITE", "REGISTER");
        assert_eq!(status(&register), 0);
        assert_eq!(status(&register.replace("<sip:a@p>", "<tel:+47>")), 400);
        assert_eq!(status(&register.replace("<sip:a@p>", &format!("<sip:{}@p>", "a".repeat(256)))), 0);
        assert_eq!(status(&register.replace("<sip:a@p>", &format!("<sip:{}@p>", "a".repeat(257)))), 400);
    }

    #[test]
    fn a_faulty_ack_is_dropped_and_its_require_ignored() {
        let ack = INVITE.replace("INVITE", "ACK");
        assert_eq!(status(&ack), 0);
        assert_eq!(status(&ack.replace("Call-ID", "Require: x\r\nCall-ID")), 0);
        assert_eq!(status(&ack.replace("Call-ID: c\r\n", "")), 1);
    }

    #[test]
    fn a_response_with_one_via_and_sound_headers_goes_on() {
        let ok = INVITE.replace("INVITE sip:b@h SIP/2.0", "SIP/2.0 200 OK");
        assert_eq!(status(&ok), 0);
        assert_eq!(status(&ok.replace("z9hG4bK2", "z9hG4bK2, SIP/2.0/UDP q")), 1);
        assert_eq!(status(&ok.replace("CSeq: 7", "CSeq: x")), 1);
        assert_eq!(status(&ok.replace("Call-ID: c\r\n", "")), 1);
    }
}
