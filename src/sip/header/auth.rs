//! Digest challenges and credentials: the values of WWW-Authenticate, Proxy-Authenticate, Authorization and
//! Proxy-Authorization (RFC 3261 §20.7, §20.44, RFC 7616 §3.3, §3.4).

use std::fmt;

use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::write_quoted;

/// A digest algorithm that we speak (RFC 8760).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// What a challenge without algorithm means.
    Md5,
    /// SHA-256, preferred.
    Sha256,
}

impl Algorithm {
    /// `MD5`, `SHA-256`.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn parse(text: Option<&str>) -> Result<Algorithm, Malformed> {
        match text {
            None => Ok(Algorithm::Md5),
            Some(text) if text.eq_ignore_ascii_case("MD5") => Ok(Algorithm::Md5),
            Some(text) if text.eq_ignore_ascii_case("SHA-256") => Ok(Algorithm::Sha256),
            Some(_) => Err(Malformed("digest algorithm")),
        }
    }
}

/// A digest challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose passwords count.
    pub realm: String,
    /// To be sent back.
    pub nonce: String,
    /// To be sent back.
    pub opaque: Option<String>,
    /// Which hash.
    pub algorithm: Algorithm,
    /// `qop` options as written (`auth`, `auth-int`); `None` from a server of RFC 2069.
    pub qop: Option<String>,
    /// The nonce was refused, not the password.
    pub stale: bool,
}

impl Challenge {
    /// Reads a challenge.
    ///
    /// # Errors
    /// When the scheme is not Digest, the algorithm none of ours, or realm or nonce are missing.
    pub fn parse(value: &str) -> Result<Challenge, Malformed> {
        const WRONG: Malformed = Malformed("challenge");
        let fields = Fields::parse(value).ok_or(WRONG)?;
        Ok(Challenge {
            realm: fields.get("realm").ok_or(WRONG)?.to_owned(),
            nonce: fields.get("nonce").ok_or(WRONG)?.to_owned(),
            opaque: fields.get("opaque").map(str::to_owned),
            algorithm: Algorithm::parse(fields.get("algorithm"))?,
            qop: fields.get("qop").map(str::to_owned),
            stale: fields.get("stale").is_some_and(|text| text.eq_ignore_ascii_case("true")),
        })
    }

    /// Whether `auth` is among the `qop` options.
    pub fn offers_auth(&self) -> bool {
        self.qop
            .as_deref()
            .is_some_and(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")))
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Digest realm=")?;
        write_quoted(f, &self.realm)?;
        f.write_str(", nonce=")?;
        write_quoted(f, &self.nonce)?;
        if let Some(opaque) = &self.opaque {
            f.write_str(", opaque=")?;
            write_quoted(f, opaque)?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        if let Some(qop) = &self.qop {
            f.write_str(", qop=")?;
            write_quoted(f, qop)?;
        }
        Ok(())
    }
}

/// What answers a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// Whose passwords count.
    pub realm: String,
    /// From the challenge.
    pub nonce: String,
    /// The Request-URI as its sender saw it.
    pub uri: String,
    /// The hash, lower-case hexadecimal in what we send.
    pub response: String,
    /// Which hash.
    pub algorithm: Algorithm,
    /// From the challenge.
    pub opaque: Option<String>,
    /// With `auth`: cnonce and nc.
    pub auth: Option<Auth>,
}

/// What `qop=auth` adds to credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The client's own nonce.
    pub cnonce: String,
    /// Eight hexadecimal digits, as written: the hash covers them in their case.
    pub nc: String,
    /// What they mean: how often the client has used the nonce, this time included.
    pub count: u32,
}

impl Credentials {
    /// Reads credentials.
    ///
    /// # Errors
    /// When the scheme is not Digest, the algorithm or the `qop` none of ours, or a part is missing.
    pub fn parse(value: &str) -> Result<Credentials, Malformed> {
        const WRONG: Malformed = Malformed("credentials");
        let fields = Fields::parse(value).ok_or(WRONG)?;
        let owned = |name| fields.get(name).map(str::to_owned).ok_or(WRONG);
        let auth = match fields.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc = owned("nc")?;
                let sound = nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_hexdigit());
                let count = u32::from_str_radix(&nc, 16).ok().filter(|_| sound).ok_or(WRONG)?;
                Some(Auth { cnonce: owned("cnonce")?, nc, count })
            }
            Some(_) => return Err(WRONG),
        };
        Ok(Credentials {
            username: owned("username")?,
            realm: owned("realm")?,
            nonce: owned("nonce")?,
            uri: owned("uri")?,
            response: owned("response")?,
            algorithm: Algorithm::parse(fields.get("algorithm"))?,
            opaque: fields.get("opaque").map(str::to_owned),
            auth,
        })
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Digest username=")?;
        write_quoted(f, &self.username)?;
        f.write_str(", realm=")?;
        write_quoted(f, &self.realm)?;
        f.write_str(", nonce=")?;
        write_quoted(f, &self.nonce)?;
        f.write_str(", uri=")?;
        write_quoted(f, &self.uri)?;
        f.write_str(", response=")?;
        write_quoted(f, &self.response)?;
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        if let Some(opaque) = &self.opaque {
            f.write_str(", opaque=")?;
            write_quoted(f, opaque)?;
        }
        if let Some(auth) = &self.auth {
            f.write_str(", cnonce=")?;
            write_quoted(f, &auth.cnonce)?;
            write!(f, ", qop=auth, nc={}", auth.nc)?;
        }
        Ok(())
    }
}

/// `Digest name=value, name="value" …`; a name that comes twice makes it unreadable.
struct Fields<'a>(Vec<(&'a str, String)>);

impl<'a> Fields<'a> {
    const MOST: usize = 32;

    fn parse(value: &'a str) -> Option<Fields<'a>> {
        let mut cursor = Cursor::new(value);
        if !cursor.token()?.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut fields = Fields(Vec::with_capacity(10));
        while !cursor.at_end() {
            if cursor.eat(b',') {
                continue;
            }
            let name = cursor.token()?;
            if !cursor.eat(b'=') || fields.get(name).is_some() || fields.0.len() == Self::MOST {
                return None;
            }
            let value = match cursor.peek()? {
                b'"' => cursor.quoted()?,
                _ => cursor.take(|byte| !b",\" \t".contains(&byte))?.to_owned(),
            };
            fields.0.push((name, value));
            if !cursor.at_end() && cursor.peek() != Some(b',') {
                return None;
            }
        }
        Some(fields)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_challenges_are_read_back_as_printed() {
        let text = "Digest username=\"a\\\"b\", realm=\"r, s\", nonce=\"n\", uri=\"sip:h\", response=\"00\", \
                    algorithm=SHA-256, opaque=\"\", cnonce=\"c\", qop=auth, nc=0000000A";
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!(credentials.username, "a\"b");
        assert_eq!(credentials.realm, "r, s");
        assert_eq!(credentials.auth.as_ref().unwrap().count, 10);
        assert_eq!(credentials.to_string(), text);
        let text = "Digest realm=\"r\", nonce=\"n\", stale=true, algorithm=MD5, qop=\"auth\"";
        assert_eq!(Challenge::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn what_we_cannot_check_is_refused() {
        let table = [
            "Basic YTpi",
            "Digest",
            "Digest realm=\"r\"",
            "Digest realm=\"r\", nonce=\"n",
            "Digest realm=\"r\", nonce=\"n\", nonce=\"m\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess",
            "Digest realm=\"r\" nonce=\"n\"",
        ];
        for text in table {
            assert!(Challenge::parse(text).is_err(), "{text}");
        }
        let auth = "Digest username=u, realm=r, nonce=n, uri=x, response=0, qop=auth, cnonce=c, nc=";
        assert!(Credentials::parse(&format!("{auth}00000001")).is_ok());
        for nc in ["1", "0000000g", "+0000001", "000000001"] {
            assert!(Credentials::parse(&format!("{auth}{nc}")).is_err(), "{nc}");
        }
        assert!(
            Credentials::parse("Digest username=u, realm=r, nonce=n, uri=x, response=0, qop=auth-int")
                .is_err()
        );
    }
}
