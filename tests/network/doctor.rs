//! `sentral doctor` on machines that are broken: each is named, with what to do.

use std::fs;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::process::Command;

use serde_json::Value;

use crate::daemon::Site;

/// What is found of one check.
struct Found {
    verdict: String,
    found: String,
    remedy: String,
}

/// What the doctor says, and whether it says that something fails. `wrapped` runs it under another program.
fn doctor(site: &Site, wrapped: &[&str]) -> (Vec<(String, Found)>, bool) {
    let own = [env!("CARGO_BIN_EXE_sentral"), "-o", "json", "--config"];
    let words: Vec<&str> = wrapped.iter().copied().chain(own).collect();
    let out = Command::new(words[0])
        .args(&words[1..])
        .arg(site.folder().join("config"))
        .arg("doctor")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let list: Vec<Value> = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&out.stderr)));
    let word = |of: &Value, name: &str| of[name].as_str().expect("a text").to_owned();
    let found = list.iter().map(|of| {
        let found =
            Found { verdict: word(of, "verdict"), found: word(of, "found"), remedy: word(of, "remedy") };
        (word(of, "check"), found)
    });
    (found.collect(), out.status.success())
}

/// A change to the site's configuration, and what it leaves behind while the doctor looks.
type Break = fn(&Site) -> Box<dyn std::any::Any>;

fn edit(site: &Site, file: &str, change: impl Fn(String) -> String) -> Box<dyn std::any::Any> {
    let path = site.folder().join("config").join(file);
    fs::write(&path, change(fs::read_to_string(&path).expect("our own file"))).expect("room on the disk");
    Box::new(())
}

/// A certificate of that name, valid in January 2026 if it is `old`, else from then on for long.
fn certificate(site: &Site, name: &str, old: bool) {
    let key = rcgen::KeyPair::generate().expect("randomness");
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(if old { 2026 } else { 2096 }, 2, 1);
    let pem = params.self_signed(&key).expect("ours").pem();
    fs::write(site.folder().join("c.pem"), pem).expect("room on the disk");
    fs::write(site.folder().join("k.pem"), key.serialize_pem()).expect("room on the disk");
    let (c, k) = (site.folder().join("c.pem"), site.folder().join("k.pem"));
    edit(site, "server.toml", |text| {
        format!("{text}[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", c.display(), k.display())
    });
}

#[test]
fn a_machine_that_is_well_is_told_so() {
    let site = Site::new();
    for running in [false, true] {
        let daemon = running.then(|| site.start());
        let (found, well) = doctor(&site, &[]);
        let wrong: Vec<&str> =
            found.iter().filter(|(_, of)| of.verdict == "error").map(|(_, of)| &*of.found).collect();
        assert!(well && wrong.is_empty(), "{wrong:?}");
        let of = |check: &str| &found.iter().find(|(name, _)| name == check).expect("looked at").1;
        assert!(of("daemon").found.starts_with(if running { "runs" } else { "does not run" }));
        assert_eq!(
            (&*of("rtp ports").verdict, &*of("data").verdict),
            ("ok", "ok"),
            "{}",
            of("rtp ports").found
        );
        assert!(of("listen").found.contains("this machine only"), "{}", of("listen").found);
        daemon.into_iter().for_each(crate::daemon::Daemon::end);
    }
}

#[test]
fn what_is_broken_is_named_with_what_to_do() {
    let rows: [(&str, Break, &str, &str, &str); 12] = [
        ("a UDP port that is taken", |site| Box::new(UdpSocket::bind(site.sip)), "listen", "error", "in use"),
        (
            "a TCP port that is taken",
            |site| Box::new(TcpListener::bind(site.sip)),
            "listen",
            "error",
            "in use",
        ),
        (
            "an address of another machine",
            |site| {
                let sip = site.sip.to_string();
                edit(site, "server.toml", |text| text.replacen(&sip, "203.0.113.1:5060", 1))
            },
            "listen",
            "error",
            "no address of this machine",
        ),
        (
            "RTP ports that are taken",
            |site| Box::new(UdpSocket::bind(("0.0.0.0", site.sip.port() + 2))),
            "rtp ports",
            "warning",
            "119 of 120 pairs",
        ),
        (
            "SIP within the RTP ports",
            |site| {
                let port = site.sip.port();
                edit(site, "server.toml", |text| {
                    text.replace(&format!("ports = \"{}-", port + 2), &format!("ports = \"{}-", port & !1))
                })
            },
            "listen",
            "error",
            "within the RTP ports",
        ),
        (
            "fewer ports than calls",
            |site| edit(site, "server.toml", |text| format!("{text}[limits]\ncalls = 5000\n")),
            "calls",
            "warning",
            "ports for 60 calls only",
        ),
        (
            "a file where the data folder should be",
            |site| {
                let data = site.folder().join("data");
                fs::write(data, "in the way").expect("room on the disk");
                Box::new(())
            },
            "data",
            "error",
            "cannot be written",
        ),
        (
            "a name server that is deaf",
            |site| {
                let deaf = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                let at = deaf.local_addr().expect("it is bound");
                edit(site, "server.toml", |text| format!("{text}[dns]\nservers = [\"{at}\"]\n"));
                edit(site, "trunks.toml", |text| text.replace("127.0.0.2:5060", "sip.linje.example"));
                Box::new(deaf)
            },
            "dns",
            "error",
            "sip.linje.example",
        ),
        (
            "a certificate that is over",
            |site| {
                certificate(site, "127.0.0.1", true);
                Box::new(())
            },
            "tls",
            "error",
            "expired at 2026-02-01",
        ),
        (
            "a certificate of somebody else",
            |site| {
                certificate(site, "sip.annen.example", false);
                Box::new(())
            },
            "tls names",
            "warning",
            "does not stand for 127.0.0.1",
        ),
        (
            "a certificate that is not there",
            |site| {
                certificate(site, "127.0.0.1", false);
                fs::remove_file(site.folder().join("c.pem")).expect("it was there");
                Box::new(())
            },
            "tls",
            "error",
            "c.pem",
        ),
        (
            "a private address shown to all",
            |site| {
                edit(site, "server.toml", |text| {
                    text.replace("[sip]\n", "[sip]\nexternal = \"10.11.12.13\"\n")
                })
            },
            "external",
            "warning",
            "",
        ),
    ];
    for (what, break_it, check, verdict, words) in rows {
        let site = Site::new();
        let held = break_it(&site);
        let (found, well) = doctor(&site, &[]);
        let of =
            &found.iter().find(|(name, _)| name == check).unwrap_or_else(|| panic!("{what}: no {check}")).1;
        println!("{what}: {} {check}: {} → {}", of.verdict, of.found, of.remedy);
        assert_eq!((&*of.verdict, of.found.contains(words)), (verdict, true), "{what}: {}", of.found);
        assert!(!of.remedy.is_empty(), "{what}: what to do");
        let others = found.iter().filter(|(name, of)| name != check && of.verdict == "error").count();
        assert_eq!((well, others), (verdict != "error", 0), "{what}: nothing else is wrong");
        drop(held);
    }
    let site = Site::new();
    let (found, well) = doctor(&site, &["prlimit", "--nofile=256:256"]);
    let of = &found.iter().find(|(name, _)| name == "files").expect("looked at").1;
    assert!(!well && of.verdict == "error" && of.found.contains("at most 256"), "{}", of.found);
    // Of a daemon that runs, its own limits count, not those of the shell that asks.
    let daemon = site.start();
    let (found, well) = doctor(&site, &["prlimit", "--nofile=256:256"]);
    let of = &found.iter().find(|(name, _)| name == "files").expect("looked at").1;
    assert!(well && of.verdict == "ok", "{}", of.found);
    daemon.end();
    // The clock has gone back: a file of tomorrow is there.
    let file = site.folder().join("config/server.toml");
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    fs::File::options()
        .write(true)
        .open(file)
        .and_then(|file| file.set_modified(tomorrow))
        .expect("our own file");
    let (found, well) = doctor(&site, &[]);
    let of = &found.iter().find(|(name, _)| name == "clock").expect("looked at").1;
    assert!(!well && of.verdict == "error" && of.found.contains("server.toml"), "{}", of.found);
}
