//! Certificates of `[tls]`: that they can be used, by date and by name.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use webpki::EndEntityCert;

use crate::model::Config;
use crate::shell::cli::doctor::Finding;
use crate::shell::cli::doctor::Verdict;
use crate::shell::cli::doctor::finding;
use crate::shell::net::tls;

/// A certificate that ends within so many days should have been renewed.
const RENEW_DAYS: i64 = 14;

/// Names that are written out of those that it does not stand for.
const NAMES_SHOWN: usize = 3;

/// What there is to say of them; nothing where no certificate is configured.
pub(super) fn certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    let files = &config.server.tls;
    let say = |verdict, found: String, remedy| finding("tls", verdict, found, remedy);
    // What the daemon does at its start, and refuses to start without.
    if let Err(error) = tls::Tls::new(config) {
        let remedy = "write the paths of readable PEM files below [tls]: the certificate with its chain, and the key that belongs to it";
        return vec![say(Verdict::Error, format!("{error:#}"), remedy)];
    }
    let Some(path) = &files.certificate else { return Vec::new() };
    let pem = std::fs::read(path).unwrap_or_default();
    let Some(certificate) = CertificateDer::pem_slice_iter(&pem).next().and_then(Result::ok) else {
        return Vec::new(); // it was readable a moment ago
    };
    let shown = path.display();
    let mut findings = vec![match validity(&certificate) {
        None => say(Verdict::Warning, format!("the dates of {shown} cannot be read"), "have it issued anew"),
        Some((_, until)) if until < now => say(
            Verdict::Error,
            format!("{shown} expired at {until:.0}"),
            "renew it; the daemon takes it up by itself",
        ),
        Some((from, _)) if from > now => {
            let found = format!("{shown} is valid from {from:.0} only, and it is {now:.0} here");
            say(Verdict::Error, found, "look at the clock of this machine, or wait")
        }
        Some((_, until)) => {
            let days = until.duration_since(now).as_hours() / 24;
            let found = format!("{shown} is valid for {days} days more");
            match days {
                ..RENEW_DAYS => say(Verdict::Warning, found, "renew it; the daemon takes it up by itself"),
                _ => say(Verdict::Ok, found, ""),
            }
        }
    }];
    findings.extend(names(config, &certificate));
    findings
}

/// Whether phones that ask for our domains are shown a certificate of those names (RFC 5922 §7.1).
fn names(config: &Config, certificate: &CertificateDer<'_>) -> Option<Finding> {
    let mut domains: Vec<&str> = config.companies.values().map(|company| &*company.domain).collect();
    domains.push(&config.server.domain);
    domains.sort_unstable();
    domains.dedup();
    let parsed = EndEntityCert::try_from(certificate).ok();
    let stands_for = |domain: &str| {
        let name = tls::server_name(domain);
        parsed.as_ref().zip(name).is_some_and(|(of, name)| of.verify_is_valid_for_subject_name(&name).is_ok())
    };
    let missing: Vec<&str> = domains.iter().copied().filter(|domain| !stands_for(domain)).collect();
    if missing.is_empty() {
        return Some(finding("tls names", Verdict::Ok, format!("stands for {}", domains.join(", ")), ""));
    }
    let more = missing.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = missing[..missing.len().min(NAMES_SHOWN)].join(", ");
    Some(finding(
        "tls names",
        Verdict::Warning,
        format!("the certificate does not stand for {shown}{more}: phones that verify it will not connect"),
        "have it issued for the domains of [sip] and of the companies as well (subjectAltName)",
    ))
}

/// From when and until when a certificate is valid (RFC 5280 §4.1.2.5).
fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // Version, which may be left out, serial number, algorithm and issuer come first.
    if element(rest)?.0 == 0xA0 {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, dates, _) = element(rest)?;
    let (kind, from, rest) = element(dates)?;
    let from = time(kind, from)?;
    let (kind, until, _) = element(rest)?;
    Some((from, time(kind, until)?))
}

/// The first element of DER: its tag, its content, and what is behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = der else { return None };
    let (length, rest) = match length {
        0..=0x7F => (usize::from(*length), rest),
        _ => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
            let one = |sum: usize, octet: &u8| sum.checked_mul(256)?.checked_add(usize::from(*octet));
            (length.iter().try_fold(0, one)?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// UTCTime, whose years from 50 on are of the last century, or GeneralizedTime; both to the second and in UTC.
fn time(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match kind {
        0x17 => format!("{}{text}", if text.as_bytes().first()? < &b'5' { "20" } else { "19" }),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let moment = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    moment.to_zoned(TimeZone::UTC).ok().map(|moment| moment.timestamp())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::server;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_certificate_is_judged_by_file_date_key_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let made = |names: &[&str]| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(
                names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
            )
            .unwrap();
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(2026, 4, 1);
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let (certificate, key) = made(&["sip.example.no"]);
        let (_, other) = made(&["sip.example.no"]);
        let judged = |certificate: Option<&str>, key: &str, domain: &str, now: &str| {
            let (of, to) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
            let _ = fs::remove_file(&of);
            certificate.iter().for_each(|pem| fs::write(&of, pem).unwrap());
            fs::write(&to, key).unwrap();
            let mut config = Config::default();
            config.server.tls =
                server::Tls { certificate: Some(of), key: Some(to), ..server::Tls::default() };
            config.server.domain = domain.into();
            certificates(&config, at(now))
        };
        let pem = Some(&*certificate);
        use Verdict::Error;
        use Verdict::Ok;
        use Verdict::Warning;
        for (pem, key, domain, now, verdicts, words) in [
            (pem, &key, "sip.example.no", "2026-02-01T00:00:00Z", &[Ok, Ok][..], "valid for 59 days"),
            (pem, &key, "sip.example.no", "2026-03-25T00:00:00Z", &[Warning, Ok], "valid for 7 days"),
            (pem, &key, "sip.example.no", "2026-05-01T00:00:00Z", &[Error, Ok], "expired at 2026-04-01"),
            (pem, &key, "sip.example.no", "2025-12-01T00:00:00Z", &[Error, Ok], "valid from 2026-01-01"),
            (
                pem,
                &key,
                "sip.annen.no",
                "2026-02-01T00:00:00Z",
                &[Ok, Warning],
                "does not stand for sip.annen.no",
            ),
            (pem, &other, "sip.example.no", "2026-02-01T00:00:00Z", &[Error], "key"),
            (
                Some("nothing"),
                &key,
                "sip.example.no",
                "2026-02-01T00:00:00Z",
                &[Error],
                "no certificate in PEM",
            ),
            (None, &key, "sip.example.no", "2026-02-01T00:00:00Z", &[Error], "c.pem"),
        ] {
            let found = judged(pem, key, domain, now);
            let said: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
            assert_eq!(said, verdicts, "{found:?}");
            assert!(found.iter().any(|finding| finding.found.contains(words)), "{words}: {found:?}");
            for Finding { verdict, remedy, .. } in found {
                assert_eq!(remedy.is_empty(), verdict == Ok, "what is wrong has a remedy");
            }
        }
        assert_eq!(certificates(&Config::default(), at("2026-02-01T00:00:00Z")), []);
    }

    #[test]
    fn no_octets_panic() {
        for length in 0..64 {
            for octet in [0, 0x30, 0x80, 0x84, 0xA0, 0xFF] {
                assert_eq!(validity(&vec![octet; length]), None);
            }
        }
    }
}
