//! Calls over the network: SIPp plays phones and carrier against the real daemon, scenario by scenario.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use sentral::sip::Method;
use sentral::sip::digest;
use sentral::sip::header::Algorithm;
use sentral::sip::header::Challenge;

use crate::daemon;
use crate::daemon::Site;
use crate::daemon::ear::Ear;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::sipp::Sipp;
use crate::daemon::wait_until;

/// Where carriers' media ends.
const CARRIER: [u8; 4] = [127, 0, 0, 2];
const PHONE: [u8; 4] = [127, 0, 0, 1];
/// A port that nothing is expected on.
const NO_EAR: [&str; 3] = ["-key", "ear_port", "9"];
/// Level of the company's recordings: a sine of a quarter of full scale.
const LEVEL_DB: f64 = -12.04;

#[test]
fn a_phone_registers_with_its_password() {
    let site = Site::new();
    let daemon = site.start();
    let options = ["-i", "127.0.0.1", "-m", "1", "-au", "anna", "-ap", "anna-hemmelig"];
    Sipp::caller(&site, "phone-registers", "anna", &options).succeeds();
    assert_eq!(site.ask(&["status"]).expect("an answer")["bindings"], 1);
    daemon.end();
}

#[test]
fn sha_256_is_offered_only_where_it_is_configured() {
    for (line, algorithm) in [("sha256 = false", Algorithm::Md5), ("sha256 = true", Algorithm::Sha256)] {
        let site = Site::new();
        let file = site.folder().join("config/server.toml");
        let text = fs::read_to_string(&file).expect("it was written");
        fs::write(&file, text.replace("[sip]\n", &format!("[sip]\n{line}\n"))).expect("room on the disk");
        let daemon = site.start();
        let phone = Line::new(PHONE, site.sip);
        assert_eq!(daemon::line::register(&phone, "anna", phone.address), algorithm);
        daemon.end();
    }
}

#[test]
fn a_phone_with_a_wrong_password_is_never_registered() {
    let site = Site::new();
    let daemon = site.start();
    let options = ["-i", "127.0.0.1", "-m", "1", "-au", "anna", "-ap", "feil"];
    Sipp::caller(&site, "phone-has-a-wrong-password", "anna", &options).succeeds();
    assert_eq!(site.ask(&["status"]).expect("an answer")["bindings"], 0);
    daemon.end();
}

#[test]
fn a_phone_with_an_old_nonce_is_told_so_and_registers_with_the_new_one() {
    let site = Site::new();
    let daemon = site.start();
    let nonce = "0".repeat(40);
    let old = format!("Digest realm=\"127.0.0.1\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"");
    let old = Challenge::parse(&old).expect("a challenge");
    let uri = "sip:127.0.0.1";
    let credentials = digest::answer(&old, "anna", "anna-hemmelig", &Method::Register, uri, 1, "c");
    let options = [
        "-i",
        "127.0.0.1",
        "-m",
        "1",
        "-au",
        "anna",
        "-ap",
        "anna-hemmelig",
        "-key",
        "old_credentials",
        &credentials,
    ];
    Sipp::caller(&site, "phone-has-an-old-nonce", "anna", &options).succeeds();
    assert_eq!(site.ask(&["status"]).expect("an answer")["bindings"], 1);
    daemon.end();
}

#[test]
fn a_caller_hears_welcome_menu_and_after_a_key_the_music_of_the_queue() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-rings-in-vain", &["-m", "1"]);
    register(&site, "anna", at);
    let mut ear = Ear::new(CARRIER);
    let options = ["-m", "1", "-d", "2500", "-key", "ear_port", &ear.port()];
    let caller = Sipp::caller(&site, "caller-presses-1", "+4736000100", &options);
    for hz in [600.0, 900.0, 1200.0] {
        let level = ear.hears(hz);
        assert!((level - LEVEL_DB).abs() < 1.0, "{hz} Hz at {level} dB");
    }
    caller.succeeds();
    phone.succeeds();
    assert_eq!(last_call(&site)["keys"], "1");
    daemon.end();
}

#[test]
fn a_key_pressed_as_telephone_event_is_taken() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-rings-in-vain", &["-m", "1"]);
    register(&site, "anna", at);
    let mut ear = Ear::new(CARRIER);
    let options = ["-m", "1", "-d", "5000", "-key", "ear_port", &ear.port()];
    let caller = Sipp::caller(&site, "caller-hangs-up", "+4736000100", &options);
    ear.hears(900.0);
    ear.press_1();
    ear.hears(1200.0);
    caller.succeeds();
    phone.succeeds();
    assert_eq!(last_call(&site)["keys"], "1");
    daemon.end();
}

#[test]
fn two_agents_serve_four_callers_one_at_a_time() {
    let site = Site::new();
    let daemon = site.start();
    let (phones, at) = Sipp::phone(&site, "phone-answers-and-hangs-up", &["-m", "4", "-d", "700"]);
    register(&site, "anna", at);
    register(&site, "bo", at);
    let options = [&["-m", "4", "-r", "20"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-is-hung-up-on", "+4736000110", &options).succeeds();
    phones.succeeds();
    let calls = calls(&site, 4);
    for agent in ["anna", "bo"] {
        let mut talks: Vec<(&str, &str)> = calls
            .iter()
            .filter(|call| call["answered_by"] == agent)
            .map(|call| {
                (call["connected"].as_str().expect("a time"), call["ended"].as_str().expect("a time"))
            })
            .collect();
        talks.sort_unstable();
        assert!(!talks.is_empty(), "{agent} answered nobody");
        assert!(
            talks.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "{agent} talked with two at once: {talks:?}"
        );
    }
    assert!(calls.iter().all(|call| call["queue"] == "salg" && call["result"] == "answered"), "{calls:?}");
    daemon.end();
}

#[test]
fn a_call_sent_on_goes_through_the_carrier_that_answers() {
    let site = Site::new();
    let (carrier, at) = Sipp::phone(&site, "carrier-answers", &["-m", "1"]);
    carriers(&site, &[("b", at)]);
    let daemon = site.start();
    let options = [&["-m", "1", "-d", "500"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-hangs-up", "+4736000160", &options).succeeds();
    carrier.succeeds();
    assert_eq!(last_call(&site)["result"], "answered");
    daemon.end();
}

#[test]
fn a_carrier_that_refuses_is_left_for_the_next_one() {
    let site = Site::new();
    let (refusing, first) = Sipp::phone(&site, "carrier-refuses", &["-m", "1"]);
    let (carrier, second) = Sipp::phone(&site, "carrier-answers", &["-m", "2"]);
    carriers(&site, &[("a", first), ("b", second)]);
    let daemon = site.start();
    let options = [&["-m", "2", "-r", "1", "-d", "500"], &NO_EAR[..]].concat();
    // The first rests after its 503: the second call does not ask it.
    Sipp::caller(&site, "caller-hangs-up", "+4736000160", &options).succeeds();
    refusing.succeeds();
    carrier.succeeds();
    assert!(calls(&site, 2).iter().all(|call| call["result"] == "answered"));
    daemon.end();
}

/// Carriers for calls that go out, tried in this order, and a number whose calls are sent on to one outside.
fn carriers(site: &Site, carriers: &[(&str, SocketAddr)]) {
    let mut trunks = String::from("\n[routes]\nnorway = { to = [\"+47\"], via = [");
    trunks.push_str(&carriers.iter().map(|(id, _)| format!("\"{id}\",")).collect::<String>());
    trunks.push_str("] }\n");
    for (id, at) in carriers {
        trunks.push_str(&format!(
            "[trunks.{id}]\nserver = \"{at}\"\ntrusted = [\"{at}\"]\nhealth = false\nnumbers = \"national\"\n\
             user_phone = true\nheaders = [{{ when = \"out\", add = \"X-Customer: {{company}}\" }}]\n"
        ));
    }
    let flow = "\n[flows.ut]\nname = \"Ut\"\nstart = \"ring\"\n[flows.ut.steps]\n\
                ring = { dial = \"phone:+4790000002\", for = \"20s\", no_answer = \"hangup\", \
                busy = \"hangup\", unavailable = \"hangup\" }\n";
    let append = |file: &str, more: &str| {
        let file = site.folder().join("config").join(file);
        let text = fs::read_to_string(&file).expect("it was written");
        let text = text.replace("[numbers]\n", "[numbers]\n\"+4736000160\" = \"flow:ut\"\n");
        fs::write(&file, text + more).expect("room on the disk");
    };
    append("trunks.toml", &trunks);
    append("companies/prove.toml", flow);
}

#[test]
fn a_caller_can_give_up_before_anything_rings() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-tries-in-vain", &["-m", "1"]);
    register(&site, "anna", at);
    caller(&site, "caller-cancels-before-ringing", "+4736000101");
    phone.succeeds();
    assert_eq!(last_call(&site)["result"], "abandoned");
    daemon.end();
}

#[test]
fn a_caller_can_give_up_while_a_phone_rings() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-rings-in-vain", &["-m", "1"]);
    register(&site, "anna", at);
    caller(&site, "caller-cancels-while-ringing", "+4736000101");
    phone.succeeds();
    assert_eq!(last_call(&site)["result"], "abandoned");
    daemon.end();
}

#[test]
fn a_caller_can_give_up_while_waiting_in_a_queue() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-rings-in-vain", &["-m", "1"]);
    register(&site, "anna", at);
    let options = [&["-m", "1", "-d", "1500"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-hangs-up", "+4736000110", &options).succeeds();
    phone.succeeds();
    let call = last_call(&site);
    assert_eq!((&call["result"], &call["queue"]), (&"abandoned".into(), &"salg".into()));
    daemon.end();
}

#[test]
fn a_phone_answers_a_caller() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-answers", &["-m", "1"]);
    register(&site, "anna", at);
    let options = [&["-m", "1", "-d", "500"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-hangs-up", "+4736000101", &options).succeeds();
    phone.succeeds();
    let call = last_call(&site);
    assert_eq!((&call["result"], &call["answered_by"]), (&"answered".into(), &"anna".into()));
    daemon.end();
}

#[test]
fn a_busy_phone_is_busy_to_the_caller() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-is-busy", &["-m", "1"]);
    register(&site, "anna", at);
    caller(&site, "caller-meets-busy", "+4736000101");
    phone.succeeds();
    assert_eq!(last_call(&site)["result"], "busy");
    daemon.end();
}

#[test]
fn a_phone_that_nobody_answers_is_cancelled_when_its_time_is_up() {
    let site = Site::new();
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-rings-in-vain", &["-m", "1"]);
    register(&site, "dagny", at);
    caller(&site, "caller-is-not-answered", "+4736000104");
    phone.succeeds();
    assert_eq!(last_call(&site)["result"], "no_answer");
    daemon.end();
}

#[test]
fn a_number_that_nobody_has_is_not_found() {
    let site = Site::new();
    let daemon = site.start();
    caller(&site, "caller-dials-unknown-number", "+4736000199");
    daemon.end();
}

#[test]
fn a_caller_may_leave_the_offer_to_us() {
    let site = Site::new();
    let daemon = site.start();
    let mut ear = Ear::new(CARRIER);
    let options = ["-m", "1", "-d", "2000", "-key", "ear_port", &ear.port()];
    let caller = Sipp::caller(&site, "caller-offers-late", "+4736000130", &options);
    ear.hears(1500.0);
    caller.succeeds();
    daemon.end();
}

#[test]
fn a_caller_may_demand_that_ringing_arrives_and_answer_our_offer_in_the_prack() {
    let site = Site::new();
    let daemon = site.start();
    for scenario in ["caller-demands-that-ringing-arrives", "caller-answers-in-the-prack"] {
        let (phone, at) = Sipp::phone(&site, "phone-answers-after-a-while", &["-m", "1", "-d", "2500"]);
        register(&site, "anna", at);
        let options = [&["-m", "1", "-d", "500"], &NO_EAR[..]].concat();
        let messages = Sipp::caller(&site, scenario, "+4736000101", &options).succeeds();
        phone.succeeds();
        // It is sent again until the PRACK, which one of the two callers keeps back.
        let ringing = messages.matches("SIP/2.0 180").count();
        assert_eq!(ringing > 1, scenario == "caller-demands-that-ringing-arrives", "{messages}");
    }
    daemon.end();
}

#[test]
fn a_session_timer_is_granted_refreshed_and_not_too_brief() {
    let site = Site::new();
    let daemon = site.start();
    let options = [&["-m", "1", "-d", "200"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-refreshes-by-update", "+4736000130", &options).succeeds();
    Sipp::caller(&site, "caller-asks-for-too-brief-a-session", "+4736000130", &options).succeeds();
    daemon.end();
}

#[test]
fn a_phone_transfers_a_caller_to_another_phone() {
    let site = Site::new();
    let daemon = site.start();
    let (anna, at) = Sipp::phone(&site, "phone-answers-and-transfers", &["-m", "1", "-key", "target", "102"]);
    register(&site, "anna", at);
    let (bo, at) = Sipp::phone(&site, "phone-answers", &["-m", "1"]);
    register(&site, "bo", at);
    let options = [&["-m", "1", "-d", "4000"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-hangs-up", "+4736000101", &options).succeeds();
    anna.succeeds();
    bo.succeeds();
    assert_eq!(last_call(&site)["answered_by"], "bo");
    daemon.end();
}

#[test]
fn a_phone_that_redirects_is_followed() {
    let site = Site::new();
    let daemon = site.start();
    let (anna, at) = Sipp::phone(&site, "phone-redirects", &["-m", "1", "-key", "target", "102"]);
    register(&site, "anna", at);
    let (bo, at) = Sipp::phone(&site, "phone-answers", &["-m", "1"]);
    register(&site, "bo", at);
    let options = [&["-m", "1", "-d", "500"], &NO_EAR[..]].concat();
    Sipp::caller(&site, "caller-hangs-up", "+4736000101", &options).succeeds();
    anna.succeeds();
    bo.succeeds();
    daemon.end();
}

#[test]
fn a_call_can_be_held_and_resumed() {
    let site = Site::new();
    let daemon = site.start();
    let mut ear = Ear::new(CARRIER);
    let options = ["-m", "1", "-d", "1500", "-key", "ear_port", &ear.port()];
    let caller = Sipp::caller(&site, "caller-holds-and-resumes", "+4736000130", &options);
    ear.hears(1500.0);
    let silent = Duration::from_millis(800);
    wait_until("the held call is silent", Duration::from_secs(5), || (ear.silence() > silent).then_some(()));
    ear.hears(1500.0);
    caller.succeeds();
    daemon.end();
}

#[test]
fn an_answer_that_is_never_acknowledged_is_repeated_and_the_call_ended() {
    let site = Site::new();
    let daemon = site.start();
    let messages = caller(&site, "caller-never-acknowledges", "+4736000130");
    // After 0.5, 1, 2 and then every 4 s, until 32 s have gone.
    let answers = answers(&messages);
    assert!((10..=11).contains(&answers), "{answers} answers");
    daemon.end();
}

#[test]
fn a_lost_answer_is_repeated_until_it_is_acknowledged() {
    let site = Site::new();
    let daemon = site.start();
    let options = [&["-m", "1", "-d", "3000"], &NO_EAR[..]].concat();
    let messages = Sipp::caller(&site, "caller-loses-the-first-answer", "+4736000130", &options).succeeds();
    assert_eq!(answers(&messages), 2, "{messages}");
    daemon.end();
}

#[test]
fn over_tcp_messages_come_in_pieces_and_several_at_once() {
    let site = Site::new();
    let daemon = site.start();
    let mut stream = TcpStream::connect(site.sip).expect("it listens");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
    let own = stream.local_addr().expect("it is connected");
    let options = |cseq: u32| {
        format!(
            "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {own};branch=z9hG4bK-{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:anna@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: tcp\r\nCSeq: {cseq} OPTIONS\r\n\
             Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
        )
    };
    let mut responses = Responses { stream: stream.try_clone().expect("a second handle"), bytes: Vec::new() };
    // Cut in the start line, in a name, between the two bytes of a line end and in the body.
    let (whole, end) = (options(1), options(1).find("\r\n\r\n").expect("it has a body"));
    let mut from = 0;
    for to in [4, 60, end + 1, end + 3, whole.len() - 2, whole.len()] {
        stream.write_all(&whole.as_bytes()[from..to]).expect("it is connected");
        from = to;
        // Each piece is its own segment when the next one is written after this has been handled.
        site.ask(&["status"]).expect("the daemon answers");
    }
    assert_eq!(responses.next(), "1 OPTIONS");
    let both = format!("\r\n\r\n{}{}", options(2), options(3));
    stream.write_all(both.as_bytes()).expect("it is connected");
    assert_eq!([responses.next(), responses.next()], ["2 OPTIONS", "3 OPTIONS"]);
    daemon.end();
}

#[test]
fn no_call_is_lost_when_the_configuration_is_loaded_again_and_again() {
    const CALLS: usize = 20;
    let site = Site::new();
    let daemon = site.start();
    let options = [&["-m", "20", "-l", "20", "-r", "50", "-d", "12000"], &NO_EAR[..]].concat();
    let callers = Sipp::caller(&site, "caller-hangs-up", "+4736000130", &options);
    let up = || site.ask(&["status"]).expect("the daemon answers")["calls"].as_u64();
    wait_until("all calls are up", Duration::from_secs(5), || (up() == Some(CALLS as u64)).then_some(()));
    let file = site.folder().join("config/companies/prove.toml");
    let text = fs::read_to_string(&file).expect("it was written");
    let end = Instant::now() + Duration::from_secs(5);
    let mut loads = 0;
    while Instant::now() < end {
        // Each load changes something; the calls use the flow that they began with.
        fs::write(&file, text.replace("Prøve AS", &format!("Prøve {loads} AS"))).expect("room on the disk");
        site.ask(&["config", "reload"]).expect("the configuration is sound");
        loads += 1;
    }
    assert!(loads >= 20, "only {loads} loads in 5 s");
    assert_eq!(up(), Some(CALLS as u64));
    callers.succeeds();
    let calls = calls(&site, CALLS);
    assert!(calls.iter().all(|call| call["result"] == "answered" && call["ended_by"] == "caller"));
    let ids: BTreeSet<&str> = calls.iter().filter_map(|call| call["sip_call_id"].as_str()).collect();
    assert_eq!(ids.len(), CALLS);
    daemon.end();
}

#[test]
fn a_phone_watches_a_lamp_that_changes() {
    let site = Site::new();
    let daemon = site.start();
    let options = device_options("bo", "*42@127.0.0.1");
    let lamp = ["-key", "lamp", "*42"];
    let watcher = Sipp::caller(&site, "phone-watches-a-lamp", "bo", &strs(&options, &lamp));
    let watched = || site.ask(&["status"]).expect("an answer")["dialogs"] == 1;
    wait_until("the lamp is watched", Duration::from_secs(10), || watched().then_some(()));
    site.ask(&["agents", "pause", "prove", "bo", "--reason", "lunsj"]).expect("bo is an agent");
    watcher.succeeds();
    daemon.end();
}

#[test]
fn a_phone_publishes_its_presence() {
    let site = Site::new();
    let daemon = site.start();
    let options = device_options("anna", "anna@127.0.0.1");
    Sipp::caller(&site, "phone-publishes", "anna", &strs(&options, &[])).succeeds();
    daemon.end();
}

#[test]
fn a_message_is_carried_from_phone_to_phone_in_the_senders_own_name() {
    let site = Site::new();
    let daemon = site.start();
    let (receiver, at) = Sipp::phone(&site, "phone-gets-a-message", &["-m", "1"]);
    register(&site, "anna", at);
    let options = device_options("bo", "101@127.0.0.1");
    Sipp::caller(&site, "phone-sends-a-message", "bo", &strs(&options, &["-key", "to", "101"])).succeeds();
    receiver.succeeds();
    daemon.end();
}

/// SIPp as a phone of the company, which proves its password for this URI.
fn device_options(device: &str, uri: &str) -> Vec<String> {
    let password = format!("{device}-hemmelig");
    ["-i", "127.0.0.1", "-m", "1", "-au", device, "-ap", &password, "-auth_uri", uri]
        .map(str::to_owned)
        .into()
}

fn strs<'a>(options: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    options.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// One caller, whom nobody talks to.
fn caller(site: &Site, scenario: &str, number: &str) -> String {
    let options = [&["-m", "1"], &NO_EAR[..]].concat();
    Sipp::caller(site, scenario, number, &options).succeeds()
}

fn register(site: &Site, device: &str, contact: SocketAddr) {
    daemon::line::register(&Line::new(PHONE, site.sip), device, contact);
}

/// How many answers to the first INVITE are in SIPp's list of messages.
fn answers(messages: &str) -> usize {
    let answer =
        |message: &&str| message.contains("\nSIP/2.0 200 OK") && message.contains("\nCSeq: 1 INVITE");
    messages.split("\n-----").filter(answer).count()
}

fn last_call(site: &Site) -> serde_json::Value {
    calls(site, 1).remove(0)
}

/// The records of all calls, once there are so many.
fn calls(site: &Site, count: usize) -> Vec<serde_json::Value> {
    let calls = wait_until("the calls are recorded", Duration::from_secs(5), || {
        let calls = site.ask(&["cdr"]).expect("the daemon answers").as_array().expect("a list").clone();
        (calls.len() >= count).then_some(calls)
    });
    assert_eq!(calls.len(), count, "{calls:?}");
    calls
}

/// Reads responses without body from a stream.
struct Responses {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Responses {
    /// The CSeq of the next response, which must be 200.
    fn next(&mut self) -> String {
        loop {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let message: Vec<u8> = self.bytes.drain(..end + 4).collect();
                let message = String::from_utf8(message).expect("the daemon writes UTF-8");
                // A keep-alive was answered before it (RFC 5626 §4.4.1).
                let message = message.trim_start();
                assert!(message.starts_with("SIP/2.0 200 "), "{message}");
                return header(message, "CSeq").to_owned();
            }
            let mut more = [0; 4096];
            let count = self.stream.read(&mut more).expect("a response comes");
            assert!(count > 0, "the connection was closed");
            self.bytes.extend(&more[..count]);
        }
    }
}
