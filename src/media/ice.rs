//! ICE-lite (RFC 8445 §2.5): it is known by a full agent's checks where that is, and no check of ours is ever sent.
//!
//! Messages are read and written by the `is` crate; whose check counts is decided here. The other agent is always the
//! controlling one. Left out: TCP candidates, and checks towards another lite agent (RFC 8445 §6.1.1); the errors 400, 401
//! and 420 (RFC 8489 §6.3, §9.1.3), which would be unsigned, so that every agent discards them (§9.1.4), and would answer every
//! stranger; and the sum of FINGERPRINT, which says nothing more where the signature is right.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use is::stun::Class;
use is::stun::Method;
use is::stun::StunMessage;

/// RFC 7675 §5.1: without a check for so long nothing may be sent any more, in milliseconds.
pub const CONSENT_MS: u64 = 30_000;

/// Octets of our answers at most: header, mapped IPv6 address or error, integrity and fingerprint.
pub const ANSWER_MAX: usize = 128;

/// What two descriptions agree on; `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Terms {
    /// Our `a=ice-ufrag`.
    pub ufrag: Arc<str>,
    /// Our `a=ice-pwd`: who signs a check with it has read our description.
    pub password: Arc<str>,
    /// Their `a=ice-ufrag`; none before they have answered our offer, when any check that knows our password counts
    /// (RFC 8445 §7.3: their checks may well come before their answer).
    pub their_ufrag: Option<Arc<str>>,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ***", self.ufrag, self.their_ufrag.as_deref().unwrap_or_default())
    }
}

/// The agent of one stream, whose only component is RTP with RTCP in it.
#[derive(Debug)]
pub struct Agent {
    terms: Terms,
    /// Whose check found the pair, where that is to be compared with an answer that is still to come.
    found_by: Option<Box<str>>,
    pair: Option<SocketAddr>,
    nominated: bool,
    checked_ms: u64,
}

impl Agent {
    /// An agent that has heard nothing yet.
    pub fn new(terms: Terms) -> Agent {
        Agent { terms, found_by: None, pair: None, nominated: false, checked_ms: 0 }
    }

    /// Takes up what was negotiated anew. Other credentials are a restart: the old pair holds until a check names
    /// another (RFC 8445 §9). An answer to our offer is none: a pair that is its sender's stays as it is, another goes.
    pub fn restart(&mut self, terms: Terms) {
        if terms == self.terms {
            return;
        }
        let answered = self.terms.their_ufrag.is_none() && terms.ufrag == self.terms.ufrag;
        let found_by = self.found_by.take();
        match answered {
            true if found_by.as_deref() == terms.their_ufrag.as_deref() => {}
            true => (self.pair, self.nominated) = (None, false),
            false => self.nominated = false,
        }
        self.terms = terms;
    }

    /// Takes a STUN message that came from `from` at `ms`; the length of the answer that stands in `answer` then.
    ///
    /// # Errors
    /// What is malformed, of another session or not signed with our password; there is no answer.
    pub fn receive(
        &mut self,
        from: SocketAddr,
        message: &[u8],
        ms: u64,
        answer: &mut [u8; ANSWER_MAX],
    ) -> Result<usize, Dropped> {
        let check = StunMessage::parse(message).map_err(|_| Dropped)?;
        if check.method() == Method::Binding && check.class() == Class::Indication {
            return Ok(0); // RFC 8445 §11: a keep-alive wants no answer
        }
        let (ours, theirs) = check.split_username().ok_or(Dropped)?;
        let known = self.terms.their_ufrag.as_deref();
        let unanswered = known.is_none();
        let meant = ours == &*self.terms.ufrag && known.is_none_or(|known| known == theirs);
        if !check.is_binding_request() || !meant || !check.verify(self.terms.password.as_bytes(), sign) {
            return Err(Dropped);
        }
        let reply = match check.ice_controlled() {
            // RFC 8445 §7.3.1.1: our number counts as the lower one, so that they take the part.
            Some(_) => StunMessage::binding_role_conflict_reply(check.trans_id()),
            None => {
                self.checked(from, check.use_candidate(), ms);
                if unanswered && self.pair == Some(from) && self.found_by.as_deref() != Some(theirs) {
                    self.found_by = Some(theirs.into());
                }
                StunMessage::binding_reply(check.trans_id(), from)
            }
        };
        reply.to_bytes(Some(self.terms.password.as_bytes()), answer, sign).map_err(|_| Dropped)
    }

    /// RFC 8445 §7.3.2: the pair that is nominated last is used. Until one is, the first that was checked is.
    fn checked(&mut self, from: SocketAddr, nominates: bool, ms: u64) {
        if nominates || self.pair.is_none() || !self.nominated && !self.consents(ms) {
            self.pair = Some(from);
        }
        self.nominated |= nominates;
        if self.pair == Some(from) {
            self.checked_ms = ms;
        }
    }

    fn consents(&self, ms: u64) -> bool {
        ms.saturating_sub(self.checked_ms) < CONSENT_MS
    }

    /// Whence alone packets count and where ours go, while the other side agrees to get them.
    pub fn pair(&self, ms: u64) -> Option<SocketAddr> {
        self.pair.filter(|_| self.consents(ms))
    }
}

/// A message that is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

/// HMAC-SHA1 of a message in pieces (RFC 8489 §14.5).
fn sign(key: &[u8], pieces: &[&[u8]]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = hmac::Context::with_key(&key);
    pieces.iter().for_each(|piece| context.update(piece));
    let mut signature = [0; 20];
    signature.copy_from_slice(context.sign().as_ref());
    signature
}

#[cfg(test)]
mod tests {
    use is::stun::TransId;

    use super::*;

    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn terms() -> Terms {
        Terms { ufrag: "evtj".into(), password: PASSWORD.into(), their_ufrag: Some("h6vY".into()) }
    }

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, host], 40_000))
    }

    fn check(username: &str, password: &str, controlling: bool, nominates: bool) -> Vec<u8> {
        let check = StunMessage::binding_request(username, TransId::new(), controlling, 7, 1, nominates);
        let mut bytes = vec![0; 256];
        let length = check.to_bytes(Some(password.as_bytes()), &mut bytes, sign).unwrap();
        bytes.truncate(length);
        bytes
    }

    fn receive(agent: &mut Agent, from: SocketAddr, check: &[u8], ms: u64) -> Result<Vec<u8>, Dropped> {
        let mut answer = [0; ANSWER_MAX];
        agent.receive(from, check, ms, &mut answer).map(|length| answer[..length].to_vec())
    }

    #[test]
    fn the_request_of_rfc_5769_2_1_is_authentic() {
        let request = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
            \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
            \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
            \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
            \x80\x28\x00\x04\xe5\x7a\x3b\xcf";
        let parsed = StunMessage::parse(request).unwrap();
        assert!(parsed.verify(PASSWORD.as_bytes(), sign));
        assert!(!parsed.verify(b"another", sign));
        // It is from a controlled agent: the parts are settled first.
        let mut agent = Agent::new(terms());
        let answer = receive(&mut agent, at(1), request, 0).unwrap();
        assert_eq!(StunMessage::parse(&answer).unwrap().error_code().map(|(code, _)| code), Some(487));
        assert_eq!(agent.pair(0), None);
    }

    #[test]
    fn only_checks_of_this_session_count() {
        let rows = [
            ("evtj:h6vY", PASSWORD, true),
            ("evtj:h6vY", "another", false),
            ("evtj:else", PASSWORD, false),
            ("else:h6vY", PASSWORD, false),
            ("evtj", PASSWORD, false),
        ];
        for (username, password, counts) in rows {
            let mut agent = Agent::new(terms());
            let check = check(username, password, true, true);
            let answer = receive(&mut agent, at(1), &check, 0);
            assert_eq!(answer.is_ok(), counts, "{username}");
            assert_eq!(agent.pair(0), counts.then_some(at(1)), "{username}");
            let Ok(answer) = answer else { continue };
            let answer = StunMessage::parse(&answer).unwrap();
            assert!(answer.verify(PASSWORD.as_bytes(), sign) && answer.mapped_address() == Some(at(1)));
            for octet in 20..check.len() - 8 {
                let mut forged = check.clone();
                forged[octet] ^= 1;
                assert_eq!(receive(&mut agent, at(2), &forged, 0), Err(Dropped), "octet {octet}");
            }
            assert_eq!(agent.pair(0), Some(at(1)));
        }
    }

    #[test]
    fn the_nominated_pair_is_used_until_nobody_agrees_any_more() {
        let mut agent = Agent::new(terms());
        let plain = check("evtj:h6vY", PASSWORD, true, false);
        let nominates = check("evtj:h6vY", PASSWORD, true, true);
        let steps = [
            (at(1), &plain, 0, at(1), "the first that was checked"),
            (at(2), &plain, 50, at(1), "a second one"),
            (at(2), &nominates, 100, at(2), "the nominated one"),
            (at(1), &plain, 200, at(2), "a check is no nomination"),
            (at(3), &nominates, 300, at(3), "the agent has moved"),
        ];
        for (from, check, ms, pair, why) in steps {
            receive(&mut agent, from, check, ms).unwrap();
            assert_eq!(agent.pair(ms), Some(pair), "{why}");
        }
        receive(&mut agent, at(3), &plain, 5000).unwrap();
        receive(&mut agent, at(1), &plain, 30_000).unwrap();
        assert_eq!(agent.pair(34_999), Some(at(3)));
        assert_eq!(agent.pair(35_000), None, "checks of another pair are no consent for this one");
        receive(&mut agent, at(3), &plain, 36_000).unwrap();
        assert_eq!(agent.pair(36_000), Some(at(3)));
    }

    #[test]
    fn after_a_restart_the_old_pair_holds_until_the_next_nomination() {
        let mut agent = Agent::new(terms());
        receive(&mut agent, at(1), &check("evtj:h6vY", PASSWORD, true, true), 0).unwrap();
        agent.restart(Terms { ufrag: "anew".into(), their_ufrag: Some("n2".into()), ..terms() });
        assert_eq!(agent.pair(10), Some(at(1)));
        let old = check("evtj:h6vY", PASSWORD, true, true);
        assert_eq!(receive(&mut agent, at(4), &old, 20), Err(Dropped));
        receive(&mut agent, at(2), &check("anew:n2", PASSWORD, true, false), 30).unwrap();
        assert_eq!(agent.pair(30), Some(at(1)));
        receive(&mut agent, at(2), &check("anew:n2", PASSWORD, true, true), 40).unwrap();
        assert_eq!(agent.pair(40), Some(at(2)));
    }

    #[test]
    fn checks_that_come_before_the_answer_are_answered_and_their_pair_is_the_answers_alone() {
        for (ufrag, stays) in [("h6vY", true), ("else", false)] {
            let mut agent = Agent::new(Terms { their_ufrag: None, ..terms() });
            let forged = check(&format!("evtj:{ufrag}"), "another", true, true);
            assert_eq!(receive(&mut agent, at(9), &forged, 0), Err(Dropped));
            let early = check(&format!("evtj:{ufrag}"), PASSWORD, true, true);
            let answer = receive(&mut agent, at(1), &early, 10).unwrap();
            assert_eq!(StunMessage::parse(&answer).unwrap().mapped_address(), Some(at(1)));
            agent.restart(terms());
            assert_eq!(agent.pair(20), stays.then_some(at(1)), "{ufrag}");
            // Nominated before the answer is nominated: no plain check takes its place.
            receive(&mut agent, at(2), &check("evtj:h6vY", PASSWORD, true, false), 30).unwrap();
            assert_eq!(agent.pair(30), Some(if stays { at(1) } else { at(2) }), "{ufrag}");
            assert_eq!(
                receive(&mut agent, at(3), &check("evtj:third", PASSWORD, true, true), 40),
                Err(Dropped)
            );
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = format!("{:?}", Agent::new(terms()));
        assert!(shown.contains("evtj:h6vY ***") && !shown.contains("VOkJ"), "{shown}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_datagram_panics_or_counts(bytes in proptest::collection::vec(0u8.., 0..120), cut in 0usize..120) {
            let mut agent = Agent::new(terms());
            proptest::prop_assert!(receive(&mut agent, at(1), &bytes, 0).unwrap_or_default().is_empty());
            let mut check = check("evtj:h6vY", PASSWORD, true, true);
            let cut = cut.min(check.len() - 1);
            proptest::prop_assert_eq!(receive(&mut agent, at(1), &check[..cut], 0), Err(Dropped));
            for (at, byte) in bytes.iter().enumerate().take(check.len()) {
                check[at] ^= byte;
            }
            let _ = receive(&mut agent, at(1), &check, 0);
        }
    }
}
