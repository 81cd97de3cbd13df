//! Which keys protect a stream, from what two descriptions say (RFC 4568 §7): pure, and tested by table.
//!
//! `RTP/SAVP` demands SRTP; `RTP/AVP` with `a=crypto` offers it to whom it suits, as phones do for "best effort". Our
//! own keys are drawn from one seed per leg, another one for each suite, and change when theirs do.

use std::fmt;

use sha2::Digest as _;
use sha2::Sha256;

use crate::media::srtp::Keys;
use crate::media::srtp::Master;
use crate::media::srtp::Suite;
use crate::model::srtp::SrtpPolicy;
use crate::sdp::Crypto;
use crate::sdp::Media;

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
}

impl Secrecy {
    /// With these rules and a random seed; `private` when signalling is encrypted.
    pub fn new(policy: SrtpPolicy, private: bool, seed: [u8; 32]) -> Secrecy {
        Secrecy { policy, private, seed, generation: 0 }
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
            SrtpPolicy::Required => "RTP/SAVP",
            // Many phones refuse SAVP and pass over attributes that they do not know.
            SrtpPolicy::Optional | SrtpPolicy::Off => "RTP/AVP",
        }
    }

    /// What our offers offer: nothing in the clear unless it must be.
    pub fn offer(&self) -> Vec<Crypto> {
        let wanted = match self.policy {
            SrtpPolicy::Required => true,
            SrtpPolicy::Optional => self.private,
            SrtpPolicy::Off => false,
        };
        let suites = OFFERED.into_iter().zip(1..).filter(|_| wanted);
        suites.map(|(suite, tag)| self.crypto(suite, tag)).collect()
    }

    /// Whether anything but plain RTP may come before an answer to our offer is known.
    pub fn offers(&self) -> bool {
        !self.offer().is_empty()
    }

    /// What to answer to an offered media, and the keys that hold then; `None` for plain RTP.
    ///
    /// # Errors
    /// When the media is to be refused.
    pub fn answer(&self, offered: &Media) -> Result<Option<(Crypto, Keys)>, Unfit> {
        let demanded = is_secure(&offered.protocol);
        if self.policy == SrtpPolicy::Off {
            return if demanded { Err(Unfit::Off) } else { Ok(None) };
        }
        let theirs: Vec<(Master, u32, Suite)> = offered.cryptos().iter().filter_map(usable).collect();
        // §7.1.2: one of them, with its tag; the one that we like best.
        let liked = |(_, _, suite): &&(Master, u32, Suite)| *suite;
        match theirs.iter().min_by_key(liked) {
            Some((receive, tag, suite)) => {
                let keys = Keys { send: self.master(*suite), receive: receive.clone() };
                Ok(Some((self.crypto(*suite, *tag), keys)))
            }
            None if demanded => Err(Unfit::NoSuite),
            None if self.policy == SrtpPolicy::Required => Err(Unfit::Required),
            None => Ok(None),
        }
    }

    /// The keys that hold after their answer to our offer; `None` for plain RTP.
    ///
    /// # Errors
    /// When the answer does not keep to the offer (§7.1.3).
    pub fn agree(&self, answered: &Media) -> Result<Option<Keys>, Unfit> {
        let cryptos = answered.cryptos();
        let Some(theirs) = cryptos.first().filter(|_| self.offers()) else {
            return match self.policy {
                SrtpPolicy::Required => Err(Unfit::Required),
                SrtpPolicy::Optional | SrtpPolicy::Off if is_secure(&answered.protocol) => {
                    Err(Unfit::NoSuite)
                }
                SrtpPolicy::Optional | SrtpPolicy::Off => Ok(None),
            };
        };
        let (receive, tag, suite) = usable(theirs).ok_or(Unfit::NoSuite)?;
        let offered = OFFERED.into_iter().zip(1..).any(|ours| ours == (suite, tag));
        let keys = Keys { send: self.master(suite), receive };
        offered.then_some(Some(keys)).ok_or(Unfit::NoSuite)
    }

    fn crypto(&self, suite: Suite, tag: u32) -> Crypto {
        Crypto { tag, suite: suite.name().to_owned(), key: self.master(suite).bytes().to_vec() }
    }

    /// Our key of a suite: 64 octets by a keyed digest of its name, of which the suite takes what it needs.
    fn master(&self, suite: Suite) -> Master {
        let mut octets = [0; 64];
        for (half, octets) in octets.chunks_exact_mut(32).enumerate() {
            let digest = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.generation.to_be_bytes())
                .chain_update([half as u8])
                .chain_update(suite.name());
            octets.copy_from_slice(&digest.finalize());
        }
        Master::new(suite, &octets).expect("64 octets are enough for any suite")
    }
}

impl fmt::Debug for Secrecy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrecy").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Whether a protocol is SRTP by name. AVPF and SAVPF (RFC 4585, RFC 5124) only add feedback.
fn is_secure(protocol: &str) -> bool {
    ["RTP/SAVP", "RTP/SAVPF"].iter().any(|known| protocol.eq_ignore_ascii_case(known))
}

/// Whether audio of this protocol can be carried at all.
pub fn is_known(protocol: &str) -> bool {
    is_secure(protocol) || ["RTP/AVP", "RTP/AVPF"].iter().any(|known| protocol.eq_ignore_ascii_case(known))
}

/// Their key, when its suite is known and its length right.
fn usable(crypto: &Crypto) -> Option<(Master, u32, Suite)> {
    let suite = Suite::named(&crypto.suite).filter(|suite| suite.master_bytes() == crypto.key.len())?;
    Some((Master::new(suite, &crypto.key)?, crypto.tag, suite))
}
