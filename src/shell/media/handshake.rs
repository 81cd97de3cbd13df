//! One DTLS handshake (RFC 6347, RFC 9147) until its keys, over the `dimpl` crate: datagrams in, answers out.
//!
//! The certificate is made at start and kept for the process. Whose certificate the other side shows is compared with
//! its description; nobody else vouches for it (RFC 5763 §5).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use dimpl::Config;
use dimpl::Dtls;
use dimpl::DtlsCertificate;
use dimpl::Error;
use dimpl::KeyingMaterial;
use dimpl::Output;
use dimpl::SecurityError;
use dimpl::SrtpProfile;
use dimpl::UnexpectedMessageError;
use dimpl::certificate;

use crate::media::StreamId;
use crate::media::dtls;
use crate::media::dtls::Answer;
use crate::media::dtls::Fingerprint;
use crate::media::dtls::Role;
use crate::media::dtls::Terms;
use crate::media::srtp::Suite;

/// A handshake that was led astray begins anew at most so often.
const ANEW_MAX: u8 = 8;

/// Room for a datagram at first; it grows when a record needs more.
const DATAGRAM_BYTES: usize = 2048;

/// Who we are in every handshake of the process.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
    /// For whom ICE has proven to be where it says, and for others.
    proven: Arc<Config>,
    unproven: Arc<Config>,
}

impl Identity {
    /// A new key and a certificate that it signs itself.
    ///
    /// # Errors
    /// When the system has no randomness, or the cryptography does not start.
    pub fn new() -> anyhow::Result<Identity> {
        let config = |cookie| {
            let config = Config::builder().use_server_cookie(cookie).build();
            config.map(Arc::new).map_err(|error| anyhow!("DTLS cannot be set up: {error}"))
        };
        let certificate = certificate::generate_self_signed_certificate()
            .map_err(|error| anyhow!("cannot make a certificate for DTLS: {error}"))?;
        let fingerprint = Fingerprint::of(&certificate.certificate);
        Ok(Identity { certificate, fingerprint, proven: config(false)?, unproven: config(true)? })
    }

    /// For descriptions.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// A handshake, and after it what remains of it: the last flight is repeated to whom it was lost.
pub struct Handshake {
    stream: StreamId,
    terms: Terms,
    identity: Identity,
    proven: bool,
    dtls: Dtls,
    /// There are keys: what is taken from here on is authentic.
    keyed: bool,
    /// How often it was begun anew, and what was last wrong with what came.
    anew: u8,
    wrong: Option<Error>,
    /// The certificate is the one that was named.
    verified: bool,
    over: bool,
    due: Option<Instant>,
    buffer: Vec<u8>,
    answers: VecDeque<Answer>,
}

impl Handshake {
    /// Begins; in the active part the first datagram is there to be fetched.
    pub fn new(now: Instant, identity: &Identity, stream: StreamId, terms: Terms, proven: bool) -> Handshake {
        let mut handshake = Handshake {
            stream,
            terms,
            identity: identity.clone(),
            proven,
            dtls: begun(now, identity, terms.role, proven),
            keyed: false,
            anew: 0,
            wrong: None,
            verified: false,
            over: false,
            due: None,
            buffer: vec![0; DATAGRAM_BYTES],
            answers: VecDeque::new(),
        };
        handshake.handle_timeout(now);
        handshake
    }

    /// Takes a datagram of the other side.
    pub fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) {
        let hello = self.terms.role == Role::Passive && self.dtls.protocol_version().is_none();
        if self.over || !self.keyed && !dtls::is_of_handshake(bytes, hello) {
            return;
        }
        let taken = match self.dtls.handle_timeout(now) {
            Ok(()) => self.dtls.handle_packet(bytes).or_else(|error| self.pardon(now, error)),
            Err(error) => Err(error),
        };
        self.settle(taken);
    }

    /// Before there are keys anybody may have sent what came, so that it ends no handshake. Time does, and an alert that
    /// could be opened.
    fn pardon(&mut self, now: Instant, error: Error) -> Result<(), Error> {
        if self.keyed {
            return Err(error);
        }
        let anew = match &error {
            Error::SecurityError(SecurityError::FatalAlert { .. }) => return Err(error),
            // The handshake is where it was.
            Error::UnexpectedMessage(UnexpectedMessageError::UnrecognizedAutoServerResponse) => None,
            // It has not begun yet.
            Error::TooManyClientHelloFragments => Some(0),
            _ => Some(1),
        };
        if let Some(times) = anew {
            self.anew += times;
            if self.anew > ANEW_MAX {
                return Err(error);
            }
            self.dtls = begun(now, &self.identity, self.terms.role, self.proven);
            self.verified = false;
            self.dtls.handle_timeout(now)?;
        }
        self.wrong = Some(error);
        Ok(())
    }

    /// Repeats what was lost.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        let taken = self.dtls.handle_timeout(now);
        self.settle(taken);
    }

    /// When to call `handle_timeout`; `None` when the handshake is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.filter(|_| !self.over)
    }

    /// What is to be said to the engine, in order.
    pub fn poll_output(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    fn settle(&mut self, taken: Result<(), Error>) {
        if let Err(error) = taken {
            let before =
                self.wrong.take().map(|wrong| format!(" (before that: {wrong})")).unwrap_or_default();
            return self.fail(&format!("the DTLS handshake failed: {error}{before}"));
        }
        let stream = self.stream;
        loop {
            match self.dtls.poll_output(&mut self.buffer) {
                Output::Packet(bytes) => {
                    self.answers.push_back(Answer::Datagram { stream, bytes: bytes.into() })
                }
                Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                Output::Timeout(due) => {
                    self.due = Some(due);
                    return;
                }
                Output::PeerCert(certificate) => {
                    self.verified = self.terms.fingerprint.fits(certificate);
                    if !self.verified {
                        return self.fail("the certificate in DTLS is not the one that was described");
                    }
                }
                Output::KeyingMaterial(exported, profile) => {
                    let Some(keys) = self.keys(&exported, profile) else {
                        return self.fail("DTLS has brought no keys that fit");
                    };
                    self.keyed = true;
                    // The keys first: who gets our last flight sends audio at once.
                    self.answers.push_front(Answer::Keys { stream, keys });
                }
                Output::CloseNotify => {
                    // Who hangs up says so here first, and by SIP a moment later.
                    self.over = true;
                    return;
                }
                _ => {} // connected; and data, which nobody has asked for
            }
        }
    }

    fn keys(&self, exported: &KeyingMaterial, profile: SrtpProfile) -> Option<crate::media::srtp::Keys> {
        let suite = match profile {
            SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
            _ => return None,
        };
        dtls::keys(suite, exported, self.terms.role).filter(|_| self.verified)
    }

    fn fail(&mut self, why: &str) {
        self.over = true;
        // What was to be sent would only prolong it.
        self.answers.clear();
        self.answers.push_back(Answer::Failed { stream: self.stream, why: why.into() });
    }
}

/// The machine of a handshake at its beginning.
fn begun(now: Instant, identity: &Identity, role: Role, proven: bool) -> Dtls {
    let config = if proven { &identity.proven } else { &identity.unproven };
    let mut dtls = Dtls::new_auto(Arc::clone(config), identity.certificate.clone(), now);
    dtls.set_active(role == Role::Active);
    dtls
}
