//! The golden rows of opening hours by real calls to a daemon that takes it to be then.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::wait_until;
use crate::golden_rows::EXITS;
use crate::golden_rows::ROWS;
use crate::golden_rows::steps;

const PATIENCE: Duration = Duration::from_secs(10);
const NUMBER: &str = "+4736000199";

/// The test company with a number that asks these hours.
fn site(hours: &str) -> Site {
    let site = Site::new();
    let file = site.folder().join("config/companies/prove.toml");
    let text = fs::read_to_string(&file).expect("it was written");
    let text = text.replace("[numbers]\n", &format!("[numbers]\n\"{NUMBER}\" = \"flow:golden\"\n"));
    let flow =
        format!("\n[flows.golden]\nname = \"Golden\"\nstart = \"s\"\n[flows.golden.steps]\n{}", steps(hours));
    fs::write(&file, text + &flow).expect("room on the disk");
    site
}

/// Calls the number; which exit the call took.
fn exit(line: &Line, call: usize) -> &'static str {
    let own = line.address;
    let request = |method: &str, to: &str| {
        format!(
            "{method} sip:{NUMBER}@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-golden-{call}\n\
             Max-Forwards: 70\nFrom: <sip:+4790000001@127.0.0.2>;tag=c{call}\nTo: {to}\nCall-ID: golden-{call}\n\
             CSeq: 1 {method}\nContact: <sip:c@{own}>\nContent-Length: 0\n\n"
        )
    };
    line.send(&request("INVITE", &format!("<sip:{NUMBER}@127.0.0.1>")));
    loop {
        let answer = line.receive(PATIENCE).expect("the call is refused");
        let status: u16 = answer.get(8..11).and_then(|status| status.parse().ok()).expect("a status");
        if status >= 200 && header(&answer, "Call-ID") == format!("golden-{call}") {
            line.send(&request("ACK", header(&answer, "To")));
            return EXITS.iter().find(|(_, of)| *of == status).unwrap_or_else(|| panic!("{answer}")).0;
        }
    }
}

/// When the latest calls began, as the daemon took it, and their status.
fn calls(site: &Site) -> Vec<(Timestamp, u64)> {
    let calls = wait_until("the last call is recorded", PATIENCE, || {
        let calls = site.ask(&["cdr"])?.as_array()?.clone();
        calls.iter().any(|call| call["status"] == 480).then_some(calls)
    });
    let of = |call: &serde_json::Value| {
        let started = call["started"].as_str().expect("a time").parse().expect("a time");
        (started, call["status"].as_u64().expect("a status"))
    };
    calls.iter().map(of).collect()
}

#[test]
fn the_golden_rows_hold_for_calls_to_a_daemon_that_takes_it_to_be_then() {
    for (hours, at, expect) in ROWS {
        let site = site(hours);
        // Some moments last for a second or less: a few seconds before them it is the same.
        let start: Timestamp = at.parse().expect("a time");
        let start = if at.contains(":59:59") { start - Duration::from_secs(8) } else { start };
        let daemon = site.start_at(&start.to_string());
        let line = Line::new([127, 0, 0, 2], site.sip);
        assert_eq!(exit(&line, 0), expect, "{at} with {hours}");
        daemon.end();
    }
}

#[test]
fn a_daemon_closes_at_the_second_and_says_in_its_log_that_its_time_is_not_real() {
    let site = site("mon-fri = \"08:00-16:00\"");
    let closes: Timestamp = "2026-11-23T16:00:00+01:00".parse().expect("a time");
    let daemon = site.start_at(&(closes - Duration::from_secs(4)).to_string());
    let line = Line::new([127, 0, 0, 2], site.sip);
    let mut count = 0;
    wait_until("it is closed", PATIENCE, || {
        count += 1;
        (exit(&line, count) == "closed").then_some(())
    });
    let of = calls(&site);
    assert!(of.iter().any(|(_, status)| *status == 486), "it was open before");
    for (started, status) in of {
        assert_eq!(status, if started < closes { 486 } else { 480 }, "{started}");
    }
    let log = fs::read_to_string(site.log()).expect("a log");
    assert!(log.contains("SENTRAL_TEST_TIME is set"), "{log}");
    daemon.end();
}
