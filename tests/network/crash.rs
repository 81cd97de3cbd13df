//! A daemon killed in the middle of its work: what it has confirmed stands when it is started again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::line::register;
use crate::daemon::wait_until;

/// A new call so often: 50 in a second.
const EVERY: Duration = Duration::from_millis(20);
/// So many calls are over when the daemon is killed.
const ENDED: usize = 150;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn no_confirmed_call_and_no_registration_is_lost_when_the_daemon_is_killed() {
    let site = Site::new();
    let mut daemon = site.start();
    let phone = Line::new([127, 0, 0, 1], site.sip);
    register(&phone, "anna", phone.address);

    let mut callers = Callers::new(Line::new([127, 0, 0, 2], site.sip));
    let deadline = Instant::now() + Duration::from_secs(30);
    while callers.ended.len() < ENDED {
        assert!(Instant::now() < deadline, "only {} calls have ended", callers.ended.len());
        callers.begin_when_due();
        callers.answer_within(Duration::from_millis(5));
    }
    daemon.process.kill().expect("it runs");
    daemon.process.wait().expect("our own child");
    // What it sent before it died is in our socket.
    while callers.answer_within(Duration::from_millis(100)) {}
    drop(daemon);

    let daemon = site.start();
    let records = site.ask(&["cdr", "--limit", "100000"]).expect("the daemon answers");
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for record in records.as_array().expect("a list") {
        *times.entry(record["sip_call_id"].as_str().expect("a text")).or_default() += 1;
        assert!(ids.insert(record["id"].to_string()), "two records of one id: {record}");
    }
    let lost: Vec<&String> = callers.ended.iter().filter(|id| !times.contains_key(&***id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} confirmed calls have no record: {lost:?}",
        lost.len(),
        callers.ended.len()
    );
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "recorded more than once: {doubled:?}");

    phone_is_reached(&phone, &callers.line);
    what_was_is_told(&site, records[0]["id"].as_str().expect("a text"));
    daemon.end();
    log_has_no_gap(&site);
}

/// The log answers for the life that was killed.
fn what_was_is_told(site: &Site, call: &str) {
    let why = site.ask(&["why", call, "--lang", "nb"]).expect("the call is known");
    let lines = why["lines"].as_array().expect("a list");
    assert_eq!(
        (&lines[0]["event"], &lines[0]["text"]),
        (&"call.started".into(), &"Samtale til +4736000130".into())
    );
    assert!(lines.iter().any(|line| line["event"] == "call.ended"), "{why}");
    let report = site.ask(&["report", "number", "+4736000130"]).expect("numbers were called");
    let calls = &report["rows"][0]["figures"]["numbers"][0][1]["calls"];
    assert!(calls.as_u64() >= Some(ENDED as u64), "{report}");
    let found = site.ask(&["why-not", "anna"]).expect("a user");
    assert!(found["lines"][0]["findings"].as_array().is_some_and(|found| !found.is_empty()), "{found}");
    assert!(site.ask(&["why", "0-1"]).is_none() && site.ask(&["report", "user", "nobody"]).is_none());
}

/// Every decision has its number: of the life that was killed, and of the one that went on.
fn log_has_no_gap(site: &Site) {
    let path = site.folder().join("data/sentral.db");
    let database = rusqlite::Connection::open(path).expect("the daemon has ended");
    let count =
        |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("the log is there");
    let events = count("SELECT count(*) FROM event");
    assert!(events > 2 * ENDED as i64, "two lives have left {events} events");
    assert_eq!(count("SELECT max(seq) FROM event"), events, "numbered from one, without gap or double");
    assert_eq!(count("SELECT count(*) FROM event WHERE event = 'system.started'"), 1);
    let ended = count("SELECT count(DISTINCT call) FROM event WHERE event = 'call.ended'");
    let records = count("SELECT count(*) FROM cdr WHERE company IS NOT NULL");
    assert_eq!(ended, records, "as many ends in the log as call records");
}

/// A call to the phone's number rings it, although it has not registered again.
fn phone_is_reached(phone: &Line, carrier: &Line) {
    carrier.send(&request(carrier, "INVITE", "+4736000101", "after", 1, ""));
    let invite = wait_until("the phone is called", PATIENCE, || phone.receive(Duration::from_millis(100)));
    assert!(invite.starts_with("INVITE sip:anna@"), "{invite}");
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
        let tag = if name == "To" { ";tag=phone" } else { "" };
        format!("{name}: {}{tag}\n", header(&invite, name))
    });
    phone.send(&format!("SIP/2.0 486 Busy Here\n{}Content-Length: 0\n\n", copied.concat()));
    let refused = wait_until("the caller learns that", PATIENCE, || {
        carrier.receive(Duration::from_millis(100)).filter(|message| message.starts_with("SIP/2.0 486 "))
    });
    let ack = request(carrier, "ACK", "+4736000101", "after", 1, header(&refused, "To"));
    carrier.send(&ack);
}

/// Callers who hang up as soon as they are answered.
struct Callers {
    line: Line,
    begun: usize,
    due: Instant,
    /// Call-IDs whose BYE was confirmed.
    ended: BTreeSet<String>,
}

impl Callers {
    fn new(line: Line) -> Callers {
        Callers { line, begun: 0, due: Instant::now(), ended: BTreeSet::new() }
    }

    fn begin_when_due(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due += EVERY;
        self.begun += 1;
        self.line.send(&request(&self.line, "INVITE", "+4736000130", &self.begun.to_string(), 1, ""));
    }

    /// Takes the next message, if one comes; tells whether one did.
    fn answer_within(&mut self, within: Duration) -> bool {
        let Some(message) = self.line.receive(within) else { return false };
        let (call_id, cseq) = (header(&message, "Call-ID"), header(&message, "CSeq"));
        if message.starts_with("SIP/2.0 200 ") {
            let (name, to) = (call_id.trim_start_matches("call-"), header(&message, "To"));
            match cseq {
                "1 INVITE" => {
                    self.line.send(&request(&self.line, "ACK", "sentral", name, 1, to));
                    self.line.send(&request(&self.line, "BYE", "sentral", name, 2, to));
                }
                _ => {
                    self.ended.insert(call_id.to_owned());
                }
            }
        }
        true
    }
}

/// A request of the call `name`; `to` is the To that an answer bore.
fn request(line: &Line, method: &str, user: &str, name: &str, cseq: u32, to: &str) -> String {
    let own = line.address;
    let to = if to.is_empty() { format!("<sip:{user}@127.0.0.1>") } else { to.to_owned() };
    let sdp = format!("v=0\no=- 1 1 IN IP4 {0}\ns=-\nc=IN IP4 {0}\nt=0 0\nm=audio 9 RTP/AVP 8\n", own.ip());
    let (kind, body) = match method {
        "INVITE" => ("Content-Type: application/sdp\n", sdp),
        _ => ("", String::new()),
    };
    // Lines end with two bytes on the way.
    let length = body.len() + body.lines().count();
    // The ACK of a refusal is of the INVITE's transaction, the others' branches need only differ from it.
    let branch = if method == "BYE" { 2 } else { 1 };
    format!(
        "{method} sip:{user}@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{name}-{branch}\n\
         Max-Forwards: 70\nFrom: <sip:+4790000001@{0}>;tag={name}\nTo: {to}\nCall-ID: call-{name}\n\
         CSeq: {cseq} {method}\nContact: <sip:carrier@{own}>\n{kind}Content-Length: {length}\n\n{body}",
        own.ip(),
    )
}
