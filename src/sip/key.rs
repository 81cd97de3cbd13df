//! Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3), and which one it repeats by another way
//! (§8.2.2.2).
//!
//! Requests without the magic cookie are matched as RFC 2543 senders need it, but without the To tag: Call-ID,
//! From tag and CSeq already tell transactions apart, and the key of an ACK is then that of its INVITE.

use std::fmt::Write as _;

use crate::sip::header::Via;
use crate::sip::message::Method;
use crate::sip::message::Request;

/// What every branch of RFC 3261 begins with.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Names a client transaction: our branch, and the method since CANCEL bears the branch of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    /// Branch of the top Via.
    pub branch: Box<str>,
    /// Method of CSeq.
    pub method: Method,
}

/// Names a server transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(Box<str>);

/// What requests have in common that came to us on two ways from one sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MergeKey(Box<str>);

impl ServerKey {
    /// The transaction that a request begins or belongs to; an ACK or CANCEL gets the key of its INVITE.
    /// `via` is the top Via as it was received.
    pub fn of(request: &Request, via: &Via) -> ServerKey {
        let method = match &request.method {
            Method::Ack | Method::Cancel => &Method::Invite,
            method => method,
        };
        let mut key = String::with_capacity(96);
        // Writing to a string cannot fail.
        let _ = match via.branch() {
            Some(branch) if is_magic(branch) => {
                let port = via.port.unwrap_or(0);
                write!(key, "{branch} {}:{port} {method}", via.host)
            }
            _ => {
                let from = request.from();
                let tag = from.as_ref().and_then(|from| from.tag()).unwrap_or("");
                let number = request.cseq().map_or(0, |cseq| cseq.number);
                let call_id = request.call_id().unwrap_or_default();
                write!(key, "2543 {via} {} {tag} {call_id} {number} {method}", request.uri)
            }
        };
        key.make_ascii_lowercase();
        ServerKey(key.into_boxed_str())
    }
}

impl MergeKey {
    /// For a request without To tag; `None` when it has one.
    pub fn of(request: &Request) -> Option<MergeKey> {
        if request.to()?.tag().is_some() {
            return None;
        }
        let from = request.from()?;
        let cseq = request.cseq()?;
        let tag = from.tag().unwrap_or("");
        Some(MergeKey(format!("{} {tag} {cseq}", request.call_id()?).into_boxed_str()))
    }
}

/// Whether a branch was made after RFC 3261. The cookie alone is no name: it is treated as RFC 2543.
fn is_magic(branch: &str) -> bool {
    let cookie = branch.get(..MAGIC_COOKIE.len());
    branch.len() > MAGIC_COOKIE.len()
        && cookie.is_some_and(|cookie| cookie.eq_ignore_ascii_case(MAGIC_COOKIE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    #[test]
    fn an_ack_and_a_cancel_have_the_key_of_their_invite_and_others_have_not() {
        const NEW: &str = "SIP/2.0/UDP a.example:5060;branch=z9hG4bKx1";
        const OLD: &str = "SIP/2.0/UDP a.example:5060;branch=1";
        let invite = |via| key("INVITE", via, 7, "");
        for via in [NEW, OLD] {
            assert_eq!(invite(via), key("ACK", via, 7, ";tag=their"));
            assert_eq!(invite(via), key("CANCEL", via, 7, ""));
            assert_ne!(invite(via), key("BYE", via, 7, ""));
        }
        // The branch decides for RFC 3261 senders, CSeq for older ones.
        assert_eq!(invite(NEW), key("INVITE", NEW, 8, ""));
        assert_ne!(invite(OLD), key("INVITE", OLD, 8, ""));
        // Another sender with the same branch.
        assert_ne!(invite(NEW), invite("SIP/2.0/UDP b.example:5060;branch=z9hG4bKx1"));
        assert_ne!(invite(NEW), invite("SIP/2.0/UDP a.example:5070;branch=z9hG4bKx1"));
        // A bare cookie names nothing.
        const BARE: &str = "SIP/2.0/UDP a.example;branch=z9hG4bK";
        assert_ne!(key("INVITE", BARE, 7, ""), key("INVITE", BARE, 8, ""));
    }

    #[test]
    fn requests_merge_when_all_but_their_way_is_the_same() {
        let merge = |via, number, tag| MergeKey::of(&request("INVITE", via, number, tag));
        assert_eq!(
            merge("SIP/2.0/UDP a;branch=z9hG4bK1", 1, ""),
            merge("SIP/2.0/UDP b;branch=z9hG4bK2", 1, "")
        );
        assert_ne!(
            merge("SIP/2.0/UDP a;branch=z9hG4bK1", 1, ""),
            merge("SIP/2.0/UDP b;branch=z9hG4bK2", 2, "")
        );
        assert_eq!(merge("SIP/2.0/UDP a;branch=z9hG4bK1", 1, ";tag=x"), None);
    }

    fn key(method: &str, via: &str, number: u32, to_tag: &str) -> ServerKey {
        let request = request(method, via, number, to_tag);
        ServerKey::of(&request, &request.via().unwrap())
    }

    fn request(method: &str, via: &str, number: u32, to_tag: &str) -> Request {
        let text = format!(
            "{method} sip:b@b.example SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@a.example>;tag=f\r\n\
             To: <sip:b@b.example>{to_tag}\r\nCall-ID: c\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
        );
        match Message::parse(text.into(), 65_535) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }
}
