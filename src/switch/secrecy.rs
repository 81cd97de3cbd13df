//! Which keys protect a stream, from what two descriptions say (RFC 4568 §7, RFC 5763): pure, and tested by table.
//!
//! `RTP/SAVP` demands SRTP; `RTP/AVP` with `a=crypto` or `a=fingerprint` offers it to whom it suits, as phones do for
//! "best effort" (RFC 8643). Our own keys are drawn from one seed per leg, another one for each suite, and change when
//! theirs do; keys by DTLS are made by it (`webrtc.rs` has what descriptions say of it).

use std::fmt;

use sha2::Digest as _;
use sha2::Sha256;

use crate::media::Session;
use crate::media::Transport;
use crate::media::dtls::Fingerprint;
use crate::media::dtls::Role;
use crate::media::srtp::Keys;
use crate::media::srtp::Master;
use crate::media::srtp::Suite;
use crate::model::srtp::SrtpPolicy;
use crate::sdp::Attribute;
use crate::sdp::Crypto;
use crate::sdp::Media;
use crate::sdp::SessionDescription;
use crate::switch::webrtc;
use crate::switch::webrtc::Ours;

/// Suites of our own offers, the best first. Those of 256 bits are taken when others offer them.
const OFFERED: [Suite; 3] = [Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32];

/// Our side of the keys of one leg.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrecy {
    policy: SrtpPolicy,
    /// Nobody between us and the other side can read what signalling says.
    private: bool,
    seed: [u8; 32],
    generation: u32,
    /// Of our certificate; none where there is no media thread yet.
    fingerprint: Option<Fingerprint>,
    /// The other side is called as browsers are, unless the policy says otherwise.
    browser: bool,
    /// Our part in the DTLS that goes on.
    role: Option<Role>,
    /// The suite in use whose keys stand in the descriptions, and its tag there.
    suite: Option<(Suite, u32)>,
}

/// What protects an agreed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shield {
    /// Nothing.
    Plain,
    /// Keys in the descriptions; ours stands in the answer.
    Described(Crypto, Keys),
    /// Keys that DTLS will bring; what the answer says of it.
    Dtls(Transport, Vec<Attribute>),
}

/// Why a description cannot be agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// SRTP is demanded and switched off here.
    #[error("SRTP is not used here")]
    Off,
    /// SRTP is demanded here and not offered.
    #[error("SRTP is required here")]
    Required,
    /// No key that fits a suite in common.
    #[error("no crypto suite in common")]
    NoSuite,
    /// Keys by DTLS are demanded here and not offered.
    #[error("DTLS-SRTP is required here")]
    DtlsRequired,
    /// DTLS is offered without a certificate that could be known again, or without a part for us.
    #[error("no usable certificate fingerprint or setup for DTLS-SRTP")]
    NoFingerprint,
}

impl Secrecy {
    /// With these rules and a random seed; `private` when signalling is encrypted.
    pub fn new(policy: SrtpPolicy, private: bool, seed: [u8; 32]) -> Secrecy {
        Secrecy {
            policy,
            private,
            seed,
            generation: 0,
            fingerprint: None,
            browser: false,
            role: None,
            suite: None,
        }
    }

    /// With DTLS by the certificate of this fingerprint; a `browser` is offered nothing else unless the policy says so.
    pub fn with_dtls(self, fingerprint: Option<Fingerprint>, browser: bool) -> Secrecy {
        Secrecy { fingerprint, browser, ..self }
    }

    /// Takes note of what a session has come to: later offers keep to DTLS, and to the parts in it.
    pub fn keep(&mut self, session: &Session) {
        self.role = session.transport.dtls.map(|terms| terms.role);
    }

    /// Takes note of the keys of an agreed media, if it has any: later offers keep to SRTP, and offer these first.
    pub fn keep_suite(&mut self, agreed: Option<&Media>) {
        let crypto = agreed.and_then(|media| media.cryptos().into_iter().next());
        self.suite = crypto.and_then(|crypto| Some((Suite::named(&crypto.suite)?, crypto.tag)));
    }

    /// The suites of our offers and their tags: the one in use first.
    fn suites(&self) -> impl Iterator<Item = (Suite, u32)> {
        let used = self.suite;
        let others = OFFERED.into_iter().filter(move |other| used.is_none_or(|(suite, _)| suite != *other));
        let tags = (1..).filter(move |other| used.is_none_or(|(_, tag)| tag != *other));
        used.into_iter().chain(others.zip(tags))
    }

    /// What our descriptions say of DTLS and ICE.
    fn ours(&self) -> Option<Ours> {
        let fingerprint = self.fingerprint?;
        let word =
            |name: &str| self.octets(name).iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        let (ufrag, password) = (word("ice-ufrag"), word("ice-pwd"));
        let (ufrag, password) = (ufrag[..8].into(), password[..32].into());
        Some(Ours { fingerprint, ufrag, password, role: self.role })
    }

    /// Whether our offers are for DTLS.
    fn offers_dtls(&self) -> bool {
        let like_it = self.role.is_some() || self.browser && self.policy == SrtpPolicy::Optional;
        self.policy == SrtpPolicy::Dtls || like_it && self.fingerprint.is_some()
    }

    /// What our offers say of DTLS, when they are for it.
    pub fn offer_dtls(&self) -> Option<Vec<Attribute>> {
        let ours = self.ours().filter(|_| self.offers_dtls())?;
        Some(webrtc::offer(&ours))
    }

    /// What a stream must know to be found by those who answer an offer of ours for DTLS, before they have answered;
    /// `None` when our offers are not for it.
    pub fn unanswered(&self) -> Option<Transport> {
        let ours = self.ours().filter(|_| self.offers_dtls())?;
        Some(webrtc::unanswered(&ours))
    }

    /// Without SRTP.
    pub fn off() -> Secrecy {
        Secrecy::new(SrtpPolicy::Off, false, [0; 32])
    }

    /// Takes other keys from now on.
    pub fn renew(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// The protocol of our offers.
    pub fn protocol(&self) -> &'static str {
        match self.policy {
            _ if self.offers_dtls() => webrtc::PROTOCOL,
            SrtpPolicy::Required => "RTP/SAVP",
            // Many phones refuse SAVP and pass over attributes that they do not know.
            SrtpPolicy::Optional | SrtpPolicy::Off | SrtpPolicy::Dtls => "RTP/AVP",
        }
    }

    /// The keys that our offers offer: nothing in the clear unless it must be.
    pub fn offer(&self) -> Vec<Crypto> {
        let wanted = match self.policy {
            _ if self.offers_dtls() => false,
            _ if self.suite.is_some() => true,
            SrtpPolicy::Required => true,
            SrtpPolicy::Optional => self.private,
            SrtpPolicy::Off | SrtpPolicy::Dtls => false,
        };
        let suites = self.suites().filter(|_| wanted);
        suites.map(|(suite, tag)| self.crypto(suite, tag)).collect()
    }

    /// Whether anything but plain RTP may come before an answer to our offer is known.
    pub fn offers(&self) -> bool {
        self.offers_dtls() || !self.offer().is_empty()
    }

    /// What to answer to an offered media of a description, and what protects it then.
    ///
    /// # Errors
    /// When the media is to be refused.
    pub fn answer(&self, offer: &SessionDescription, offered: &Media) -> Result<Shield, Unfit> {
        let dtls = webrtc::is_dtls(&offered.protocol);
        let demanded = dtls || is_secure(&offered.protocol);
        if self.policy == SrtpPolicy::Off {
            return if demanded { Err(Unfit::Off) } else { Ok(Shield::Plain) };
        }
        let offers = offered.cryptos();
        let theirs = offers.iter().filter_map(|crypto| Some((usable(crypto)?, crypto.mki)));
        // RFC 4568 §7.1.2: one of them, with its tag; the one that we like best.
        let best = theirs.min_by_key(|((_, _, suite), _)| *suite);
        if let Some(((receive, tag, suite), mki)) = best.filter(|_| !dtls && self.policy != SrtpPolicy::Dtls)
        {
            // Who puts an identifier into each packet is best understood with one in ours.
            let keys = Keys { send: self.master(suite).identified(mki), receive };
            return Ok(Shield::Described(Crypto { mki, ..self.crypto(suite, tag) }, keys));
        }
        if dtls || webrtc::has_fingerprint(offer, offered) {
            let ours = self.ours().ok_or(Unfit::Off)?;
            let agreed = webrtc::answer(offer, offered, &ours);
            return agreed.map(|(transport, said)| Shield::Dtls(transport, said)).ok_or(Unfit::NoFingerprint);
        }
        match self.policy {
            SrtpPolicy::Dtls => Err(Unfit::DtlsRequired),
            _ if demanded => Err(Unfit::NoSuite),
            SrtpPolicy::Required => Err(Unfit::Required),
            SrtpPolicy::Optional | SrtpPolicy::Off => Ok(Shield::Plain),
        }
    }

    /// Puts what protects a stream after their answer to our offer into its session.
    ///
    /// # Errors
    /// When the answer does not keep to the offer (RFC 4568 §7.1.3, RFC 5763 §5).
    pub fn agree(
        &self,
        answer: &SessionDescription,
        answered: &Media,
        session: &mut Session,
    ) -> Result<(), Unfit> {
        let dtls = webrtc::is_dtls(&answered.protocol);
        if self.offers_dtls() {
            let ours = self.ours().filter(|_| dtls).ok_or(Unfit::DtlsRequired)?;
            session.transport = webrtc::agree(answer, answered, &ours).ok_or(Unfit::NoFingerprint)?;
            return Ok(());
        }
        let cryptos = answered.cryptos();
        let Some(theirs) = cryptos.first().filter(|_| self.offers()) else {
            return match self.policy {
                SrtpPolicy::Required => Err(Unfit::Required),
                _ if self.suite.is_some() => Err(Unfit::Required),
                _ if dtls || is_secure(&answered.protocol) => Err(Unfit::NoSuite),
                SrtpPolicy::Optional | SrtpPolicy::Off | SrtpPolicy::Dtls => Ok(()),
            };
        };
        let (receive, tag, suite) = usable(theirs).ok_or(Unfit::NoSuite)?;
        let offered = self.suites().any(|ours| ours == (suite, tag));
        session.srtp = Some(Keys { send: self.master(suite), receive });
        offered.then_some(()).ok_or(Unfit::NoSuite)
    }

    fn crypto(&self, suite: Suite, tag: u32) -> Crypto {
        Crypto { tag, suite: suite.name().to_owned(), key: self.master(suite).bytes().to_vec(), mki: None }
    }

    /// Our key of a suite, which takes what it needs of 64 octets.
    fn master(&self, suite: Suite) -> Master {
        Master::new(suite, &self.octets(suite.name())).expect("64 octets are enough for any suite")
    }

    /// 64 octets by a keyed digest of a name.
    fn octets(&self, name: &str) -> [u8; 64] {
        let mut octets = [0; 64];
        for (half, octets) in octets.chunks_exact_mut(32).enumerate() {
            let digest = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.generation.to_be_bytes())
                .chain_update([half as u8])
                .chain_update(name);
            octets.copy_from_slice(&digest.finalize());
        }
        octets
    }
}

impl fmt::Debug for Secrecy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrecy").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Whether the other side has taken new keys or has begun ICE anew (RFC 8839 §4.4.1.1.1), so that ours must be new too.
pub fn is_renewed(old: &Session, new: &Session) -> bool {
    let key = |session: &Session| session.srtp.as_ref().map(|keys| keys.receive.clone());
    let agent =
        |session: &Session| session.transport.ice.as_ref().and_then(|terms| terms.their_ufrag.clone());
    key(old).is_some_and(|of| Some(of) != key(new)) || agent(old).is_some_and(|of| Some(of) != agent(new))
}

/// Whether a protocol is SRTP by name. AVPF and SAVPF (RFC 4585, RFC 5124) only add feedback.
fn is_secure(protocol: &str) -> bool {
    ["RTP/SAVP", "RTP/SAVPF"].iter().any(|known| protocol.eq_ignore_ascii_case(known))
}

/// Whether audio of this protocol can be carried at all.
pub fn is_known(protocol: &str) -> bool {
    webrtc::is_dtls(protocol)
        || is_secure(protocol)
        || ["RTP/AVP", "RTP/AVPF"].iter().any(|known| protocol.eq_ignore_ascii_case(known))
}

/// Their key, when its suite is known and its length right.
fn usable(crypto: &Crypto) -> Option<(Master, u32, Suite)> {
    let suite = Suite::named(&crypto.suite).filter(|suite| suite.master_bytes() == crypto.key.len())?;
    Some((Master::new(suite, &crypto.key)?.identified(crypto.mki), crypto.tag, suite))
}
