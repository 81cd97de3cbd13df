//! Digest authentication, both sides (RFC 3261 §22, RFC 7616, RFC 8760): MD5 and SHA-256, `qop=auth` or none.
//!
//! Left out: `auth-int` (no phone sends it), `-sess` algorithms, SHA-512/256, user names hashed or with a charset.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::Md5;
use sha2::Digest as _;
use sha2::Sha256;

use crate::rand::Rng;
use crate::sip::header::Algorithm;
use crate::sip::header::Challenge;
use crate::sip::header::Credentials;
use crate::sip::header::auth::Auth;
use crate::sip::message::Method;
use crate::sip::message::Name;
use crate::sip::message::Response;
use crate::sip::uri::Uri;
use crate::time::Now;

/// Most nonces whose counts are remembered. Past that, the oldest are forgotten and refused as stale, which under
/// load shortens the life of a nonce and nothing else.
const NONCES_MAX: usize = 65_536;

/// Credentials that do not open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The password was right, but the nonce is too old or used: challenge again, saying so.
    pub stale: bool,
}

/// The nonces of a server. They carry their age and a keyed hash, so that a challenge costs no memory; only
/// counts of nonces that have opened the door are kept.
#[derive(Debug)]
pub struct Nonces {
    secret: [u8; 32],
    lifetime_s: u32,
    sha256: bool,
    /// By second of issue and random part, so the oldest is first.
    used: BTreeMap<(u32, u64), Counts>,
    /// Nonces issued up to this second and not in `used` may have been forgotten.
    forgotten: Option<u32>,
}

/// Which counts of a nonce were used: the highest, and of the 64 up to it those whose bit is set (bit 0 the highest).
#[derive(Debug, Default)]
struct Counts {
    highest: u32,
    window: u64,
}

impl Counts {
    /// Notes a count; false when it was used, or is too far behind to tell. RFC 7616 §3.4: a count serves once.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            self.window = self.window.checked_shl(count - self.highest).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1u64.checked_shl(self.highest - count).unwrap_or(0);
        let free = bit != 0 && self.window & bit == 0;
        self.window |= bit;
        free
    }
}

impl Nonces {
    /// Nonces that live five minutes, in challenges that offer both algorithms.
    pub fn new(rng: &mut Rng) -> Nonces {
        let mut secret = [0; 32];
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&rng.bits().to_be_bytes());
        }
        Nonces { secret, lifetime_s: 300, sha256: true, used: BTreeMap::new(), forgotten: None }
    }

    /// Offers MD5 only, for phones that trip over a second challenge.
    pub fn md5_only(mut self) -> Nonces {
        self.sha256 = false;
        self
    }

    /// The values of the WWW-Authenticate or Proxy-Authenticate headers to send, in this order (RFC 8760 §2.4: the
    /// preferred first); `stale` as told by `Refused`.
    pub fn challenge(&self, now: Now, rng: &mut Rng, realm: &str, stale: bool) -> Vec<String> {
        let random = rng.bits();
        let second = second(now);
        let nonce = format!("{second:08x}{random:016x}{:016x}", self.mark(second, random, realm));
        let both = [Algorithm::Sha256, Algorithm::Md5];
        let offered = if self.sha256 { &both[..] } else { &both[1..] };
        let challenge = |algorithm: &Algorithm| Challenge {
            realm: realm.to_owned(),
            nonce: nonce.clone(),
            opaque: None,
            algorithm: *algorithm,
            qop: Some("auth".to_owned()),
            stale,
        };
        offered.iter().map(|algorithm| challenge(algorithm).to_string()).collect()
    }

    /// Whether the credentials prove the password. Whether they are for this Request-URI, ask `covers`.
    ///
    /// # Errors
    /// `Refused` when they do not.
    pub fn verify(
        &mut self,
        now: Now,
        credentials: &Credentials,
        method: &Method,
        password: &str,
        realm: &str,
    ) -> Result<(), Refused> {
        let expected = response(credentials, method, password);
        if credentials.realm != realm || !same(&expected, &credentials.response.to_ascii_lowercase()) {
            return Err(Refused { stale: false });
        }
        // Only who knows the password learns that the nonce was at fault (RFC 7616 §3.3, `stale`).
        let stale = Refused { stale: true };
        let (issued, random) = self.open(&credentials.nonce, realm).ok_or(stale)?;
        let age_s = second(now).checked_sub(issued).ok_or(stale)?;
        if age_s > self.lifetime_s {
            return Err(stale);
        }
        // A client of RFC 2069 has no count, so nothing tells its next request from a copy of this one: its nonce
        // serves once, and it is given another.
        let count = credentials.auth.as_ref().map_or(1, |auth| auth.count);
        self.forget(now);
        let known = self.used.contains_key(&(issued, random));
        if !known && self.forgotten.is_some_and(|forgotten| issued <= forgotten) {
            return Err(stale);
        }
        match self.used.entry((issued, random)).or_default().take(count) {
            true => Ok(()),
            false => Err(stale),
        }
    }

    /// Drops the counts of expired nonces, and makes room for one more.
    fn forget(&mut self, now: Now) {
        let expired = second(now).saturating_sub(self.lifetime_s);
        while let Some((&(issued, random), _)) = self.used.first_key_value() {
            if issued >= expired && self.used.len() < NONCES_MAX {
                break;
            }
            self.used.remove(&(issued, random));
            self.forgotten = self.forgotten.max(Some(issued));
        }
    }

    /// Second of issue and random part of a nonce of ours for this realm.
    fn open(&self, nonce: &str, realm: &str) -> Option<(u32, u64)> {
        if nonce.len() != 40 || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let second = u32::from_str_radix(&nonce[..8], 16).ok()?;
        let random = u64::from_str_radix(&nonce[8..24], 16).ok()?;
        let mark = u64::from_str_radix(&nonce[24..], 16).ok()?;
        (mark == self.mark(second, random, realm)).then_some((second, random))
    }

    /// A keyed hash. Cut to 64 bits it cannot be extended, which is what HMAC would guard against.
    fn mark(&self, second: u32, random: u64, realm: &str) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(second.to_be_bytes());
        hash.update(random.to_be_bytes());
        hash.update(realm.as_bytes());
        hash.finalize().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
    }
}

/// The second of a moment. Should the clock be set, nonces turn stale, which costs a round trip.
fn second(now: Now) -> u32 {
    now.utc.as_second() as u32
}

/// Whether credentials are meant for this Request-URI. RFC 3261 §22.4 wants them equal, but hosts, ports and
/// parameters are rewritten on the way by proxies and routers, so only who is called must agree.
pub fn covers(credentials: &Credentials, request_uri: &Uri) -> bool {
    match Uri::parse(&credentials.uri) {
        Ok(uri) => uri.user() == request_uri.user(),
        Err(_) => false,
    }
}

/// The challenge to answer among those of a 401 or 407: SHA-256 before MD5.
pub fn strongest(response: &Response) -> Option<Challenge> {
    let name = if response.status == 407 { Name::ProxyAuthenticate } else { Name::WwwAuthenticate };
    let challenges = response.headers.all(&name).filter_map(|value| Challenge::parse(&value).ok());
    challenges
        .filter(|challenge| challenge.qop.is_none() || challenge.offers_auth())
        .reduce(|best, next| if next.algorithm > best.algorithm { next } else { best })
}

/// The value of the Authorization or Proxy-Authorization header that answers a challenge. `uri` is the Request-URI
/// as printed, `nc` counts the uses of the nonce from 1.
pub fn answer(
    challenge: &Challenge,
    user: &str,
    password: &str,
    method: &Method,
    uri: &str,
    nc: u32,
    cnonce: &str,
) -> String {
    let mut credentials = Credentials {
        username: user.to_owned(),
        realm: challenge.realm.clone(),
        nonce: challenge.nonce.clone(),
        uri: uri.to_owned(),
        response: String::new(),
        algorithm: challenge.algorithm,
        opaque: challenge.opaque.clone(),
        auth: challenge.offers_auth().then(|| Auth {
            cnonce: cnonce.to_owned(),
            nc: format!("{nc:08x}"),
            count: nc,
        }),
    };
    credentials.response = response(&credentials, method, password);
    credentials.to_string()
}

/// RFC 7616 §3.4.1: the `response` that belongs to these credentials.
fn response(credentials: &Credentials, method: &Method, password: &str) -> String {
    let hash = |parts: &[&str]| hash(credentials.algorithm, parts);
    let who = hash(&[&credentials.username, &credentials.realm, password]);
    let what = hash(&[method.as_str(), &credentials.uri]);
    match &credentials.auth {
        Some(auth) => hash(&[&who, &credentials.nonce, &auth.nc, &auth.cnonce, "auth", &what]),
        None => hash(&[&who, &credentials.nonce, &what]),
    }
}

/// The parts with `:` between them, hashed, in lower-case hexadecimal.
fn hash(algorithm: Algorithm, parts: &[&str]) -> String {
    let text = parts.join(":");
    match algorithm {
        Algorithm::Md5 => hex(&Md5::digest(text)),
        Algorithm::Sha256 => hex(&Sha256::digest(text)),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut out, octet| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{octet:02x}");
        out
    })
}

/// Compares in a time that does not tell where the difference is.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
    fn start() -> Now {
        Now { mono: Instant::now(), utc: "2026-01-01T12:00:00Z".parse().unwrap() }
    }

    fn challenge(algorithm: &str) -> Challenge {
        let value = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        Challenge::parse(&value).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out_as_printed_there() {
        let table = [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ];
        let get = Method::Other("GET".into());
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in table {
            let challenge = challenge(algorithm);
            let value = answer(&challenge, "Mufasa", "Circle of Life", &get, "/dir/index.html", 1, cnonce);
            let credentials = Credentials::parse(&value).unwrap();
            assert_eq!(credentials.response, response, "{algorithm}");
            assert_eq!(credentials.auth.unwrap().count, 1);
        }
    }

    #[test]
    fn an_old_client_without_qop_is_answered_as_in_rfc_2069() {
        // The example of RFC 2617 §3.5 without qop, whose response is known from RFC 2069 and its erratum.
        let challenge = Challenge::parse(
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"",
        )
        .unwrap();
        let get = Method::Other("GET".into());
        let value = answer(&challenge, "Mufasa", "CircleOfLife", &get, "/dir/index.html", 1, "x");
        assert_eq!(Credentials::parse(&value).unwrap().response, "1949323746fe6a43ef61f9606e7febea");
        assert!(!value.contains("cnonce"));
    }

    struct World {
        now: Now,
        rng: Rng,
        nonces: Nonces,
    }

    impl World {
        fn new() -> World {
            let mut rng = Rng::from_seed(1);
            World { now: start(), nonces: Nonces::new(&mut rng), rng }
        }

        fn challenge(&mut self) -> Challenge {
            let values = self.nonces.challenge(self.now, &mut self.rng, "example.com", false);
            Challenge::parse(&values[0]).unwrap()
        }

        fn attempt(&mut self, challenge: &Challenge, password: &str, nc: u32) -> Result<(), Refused> {
            let value =
                answer(challenge, "alice", password, &Method::Register, "sip:example.com", nc, "cnonce");
            let credentials = Credentials::parse(&value).unwrap();
            self.nonces.verify(self.now, &credentials, &Method::Register, "secret", "example.com")
        }
    }

    const STALE: Result<(), Refused> = Err(Refused { stale: true });
    const WRONG: Result<(), Refused> = Err(Refused { stale: false });

    #[test]
    fn a_count_opens_once_and_counts_may_overtake_each_other() {
        let mut world = World::new();
        let challenge = world.challenge();
        assert_eq!(world.attempt(&challenge, "wrong", 1), WRONG);
        assert_eq!(world.attempt(&challenge, "secret", 1), Ok(()));
        assert_eq!(world.attempt(&challenge, "secret", 1), STALE);
        assert_eq!(world.attempt(&challenge, "secret", 3), Ok(()));
        assert_eq!(world.attempt(&challenge, "secret", 2), Ok(()));
        assert_eq!(world.attempt(&challenge, "secret", 2), STALE);
        assert_eq!(world.attempt(&challenge, "secret", 500), Ok(()));
        assert_eq!(world.attempt(&challenge, "secret", 4), STALE);
    }

    #[test]
    fn a_nonce_is_stale_after_five_minutes_and_a_wrong_password_does_not_learn_it() {
        let mut world = World::new();
        let challenge = world.challenge();
        let issued = world.now;
        world.now = issued.later(Duration::from_secs(300));
        assert_eq!(world.attempt(&challenge, "secret", 1), Ok(()));
        world.now = issued.later(Duration::from_secs(301));
        assert_eq!(world.attempt(&challenge, "secret", 2), STALE);
        assert_eq!(world.attempt(&challenge, "wrong", 3), WRONG);
    }

    #[test]
    fn nonces_of_others_and_of_other_realms_are_stale() {
        let mut world = World::new();
        let mut other =
            World { rng: Rng::from_seed(2), nonces: Nonces::new(&mut Rng::from_seed(2)), ..World::new() };
        let foreign = other.challenge();
        assert_eq!(world.attempt(&foreign, "secret", 1), STALE);
        let values = world.nonces.challenge(world.now, &mut world.rng, "other.example", false);
        let moved = Challenge { realm: "example.com".into(), ..Challenge::parse(&values[0]).unwrap() };
        assert_eq!(world.attempt(&moved, "secret", 1), STALE);
    }

    #[test]
    fn a_full_table_refuses_the_oldest_nonces_and_keeps_serving_fresh_ones() {
        let mut world = World::new();
        let early = world.challenge();
        assert_eq!(world.attempt(&early, "secret", 1), Ok(()));
        for random in 0..NONCES_MAX as u64 {
            world.nonces.used.insert((second(world.now) + 1, random), Counts::default());
        }
        world.now = world.now.later(Duration::from_secs(2));
        let late = world.challenge();
        assert_eq!(world.attempt(&late, "secret", 1), Ok(()));
        assert_eq!(world.attempt(&late, "secret", 1), STALE);
        assert_eq!(world.attempt(&early, "secret", 1), STALE);
        assert!(world.nonces.used.len() <= NONCES_MAX);
    }

    #[test]
    fn sha_256_is_offered_first_and_chosen_wherever_it_stands() {
        let mut world = World::new();
        let values = world.nonces.challenge(world.now, &mut world.rng, "r", false);
        assert!(values[0].contains("algorithm=SHA-256") && values[1].contains("algorithm=MD5"));
        let mut response = Response::new(401, None);
        for value in values.iter().rev() {
            response.headers.push(Name::WwwAuthenticate, value.clone());
        }
        assert_eq!(strongest(&response).unwrap().algorithm, Algorithm::Sha256);
        let md5 = Nonces::new(&mut world.rng).md5_only();
        assert_eq!(md5.challenge(world.now, &mut world.rng, "r", true).len(), 1);
    }

    #[test]
    fn credentials_cover_who_was_called_whatever_was_rewritten_on_the_way() {
        let table = [
            ("sip:+4721000000@example.com", "sip:%2B4721000000@192.0.2.1:5060;transport=tcp", true),
            ("sip:+4721000000@example.com", "sip:+4782000000@example.com", false),
            ("sip:example.com", "sip:192.0.2.1", true),
            ("nonsense", "sip:192.0.2.1", false),
        ];
        for (digest_uri, request_uri, expected) in table {
            let value = answer(&challenge("MD5"), "a", "b", &Method::Invite, digest_uri, 1, "c");
            let credentials = Credentials::parse(&value).unwrap();
            assert_eq!(covers(&credentials, &Uri::parse(request_uri).unwrap()), expected, "{digest_uri}");
        }
    }
}
