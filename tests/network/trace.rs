//! Diagnosis with the real daemon: a call's ladder by its number, a pcap file, and copies to a HEP server; nowhere
//! a proof of a password.

use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::daemon;
use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::sipp::Sipp;
use crate::daemon::wait_until;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_call_is_shown_with_all_its_legs_in_ladder_file_and_hep() {
    let site = Site::new();
    let hep = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    configure(&site, &format!("[hep]\nserver = \"{}\"\nid = 77\n", hep.local_addr().expect("it is bound")));
    let daemon = site.start();
    let (phone, at) = Sipp::phone(&site, "phone-answers", &["-m", "1"]);
    daemon::line::register(&Line::new([127, 0, 0, 1], site.sip), "anna", at);
    let options = ["-m", "1", "-d", "300", "-key", "ear_port", "9"];
    Sipp::caller(&site, "caller-hangs-up", "+4736000101", &options).succeeds();
    phone.succeeds();
    let call = wait_until("the call is recorded", PATIENCE, || {
        Some(site.ask(&["cdr"])?.as_array()?.first()?["id"].as_str()?.to_owned())
    });

    // Both legs, in order, by the number of the call.
    let page = site.ask(&["trace", "--call", &call]).expect("the call is in the ring");
    let steps = |of: &str, leg: usize| {
        let legs = page["legs"].as_array().expect("a list");
        assert_eq!(legs.len(), 2, "{legs:?}");
        assert_eq!(legs[leg]["party"], of);
        let messages = page["messages"].as_array().expect("a list").iter();
        let own = messages.filter(|message| message["call_id"] == legs[leg]["call_id"]);
        own.map(|message| message["what"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let caller = steps("trunk linje", 0);
    let callee = steps("anna", 1);
    for leg in [&caller, &callee] {
        let wanted = ["INVITE", "200 OK", "ACK", "BYE", "200 OK"];
        let mut rest = leg.iter();
        assert!(wanted.iter().all(|step| rest.any(|found| found == step)), "{leg:?}");
    }
    assert_eq!(caller[1], "100 Trying", "{caller:?}");

    // The ladder names the parties, and shows the same by the Call-ID of one leg.
    let ladder = text(&site, &["trace", "--call", &call]);
    let heading = ladder.lines().next().expect("a heading");
    assert!(heading.contains("trunk linje") && heading.contains("anna"), "{ladder}");
    assert!(ladder.contains("──── INVITE ──") && ladder.contains("◄──"), "{ladder}");
    let leg = page["legs"][1]["call_id"].as_str().expect("text");
    assert_eq!(text(&site, &["trace", "--call", leg]), ladder);
    let total = page["messages"].as_array().expect("a list").len();
    assert_eq!(ladder.lines().count(), total + 2);

    // The registration proved a password; nobody sees how.
    let full = text(&site, &["trace", "--user", "anna", "--full"]);
    assert!(full.contains("REGISTER") && full.contains("response=\"****"), "{full}");
    let shown = text(&site, &["trace", "--full", "--method", "register"]);
    assert!(!shows_a_response(&shown), "{shown}");
    assert!(
        !site_fails(&site, &["trace", "--call", &call]) && site_fails(&site, &["trace", "--call", "0-1"])
    );

    // The file holds the same messages.
    let file = site.folder().join("sip.pcap");
    text(&site, &["trace", "--pcap", file.to_str().expect("plain"), "--call", &call]);
    let packets = pcap(&fs::read(&file).expect("it was written"));
    assert_eq!(packets.len(), total);
    assert!(packets[0].2.starts_with("INVITE sip:+4736000101@"), "{packets:?}");
    assert_eq!((packets[0].0.ip(), packets[0].1), (Ipv4Addr::new(127, 0, 0, 2).into(), site.sip));
    wireshark_reads(&file, total);
    text(&site, &["trace", "--pcap", file.to_str().expect("plain")]);
    let packets = pcap(&fs::read(&file).expect("it was written"));
    assert!(packets.iter().any(|(_, _, text)| text.starts_with("REGISTER")));
    assert!(packets.iter().all(|(_, _, text)| !shows_a_response(text)));

    // So does the HEP server, which is told the number of the call.
    hep.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut buffer = vec![0; 65_535];
    let mut copies = Vec::new();
    while copies.len() < packets.len() {
        let length = hep.recv(&mut buffer).expect("a copy of every message");
        copies.push(chunks(&buffer[..length]));
    }
    for (copy, (from, to, text)) in copies.iter().zip(&packets) {
        assert_eq!(chunk(copy, 15), text.as_bytes());
        assert_eq!(chunk(copy, 3), ipv4(*from));
        assert_eq!(chunk(copy, 8), to.port().to_be_bytes());
        assert_eq!(chunk(copy, 12), 77_u32.to_be_bytes());
    }
    let of_call =
        copies.iter().filter(|copy| copy.iter().any(|(kind, v)| *kind == 17 && v == call.as_bytes()));
    assert_eq!(of_call.count(), total);
    daemon.end();
}

#[test]
fn streams_and_unreadable_messages_are_in_the_ring_too() {
    use std::io::Write as _;
    let site = Site::new();
    configure(&site, "[trace]\nmemory = \"1MB\"\n");
    let daemon = site.start();
    let options = "OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK-1\nMax-Forwards: 70\n\
                   From: <sip:x@y>;tag=1\nTo: <sip:127.0.0.1>\nCall-ID: stream\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n";
    let mut stream = TcpStream::connect(site.sip).expect("it listens");
    stream.write_all(options.replace('\n', "\r\n").as_bytes()).expect("it reads");
    let line = Line::new([127, 0, 0, 1], site.sip);
    line.send("this is no SIP");
    let messages = wait_until("all three are there", PATIENCE, || {
        let page = site.ask(&["trace"])?;
        let messages = page["messages"].as_array()?.clone();
        (messages.len() == 3).then_some(messages)
    });
    let find = |what: &str| messages.iter().find(|message| message["what"] == what);
    let request = find("OPTIONS").expect("what came along the stream");
    assert_eq!((&request["transport"], &request["incoming"]), (&"TCP".into(), &true.into()));
    let answer = messages.iter().find(|message| message["incoming"] == false).expect("our answer");
    assert_eq!(header(answer["text"].as_str().expect("text"), "Call-ID"), "stream");
    assert_eq!(find("unreadable").expect("what nobody reads")["text"], "this is no SIP");
    drop(stream);
    daemon.end();
}

#[test]
fn a_live_trace_ends_when_nobody_reads_it_any_more() {
    let site = Site::new();
    let daemon = site.start();
    let mut live = Command::new(env!("CARGO_BIN_EXE_sentral"))
        .args(["trace", "--live", "--config"])
        .arg(site.folder().join("config"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the daemon's program");
    drop(live.stdout.take());
    let carrier = Line::new([127, 0, 0, 2], site.sip);
    let status = wait_until("it ends", PATIENCE, || {
        carrier.send("this is no SIP");
        live.try_wait().expect("our own child")
    });
    assert!(status.success(), "{status}");
    daemon.end();
}

#[test]
fn without_memory_nothing_is_kept_and_that_is_said() {
    let site = Site::new();
    configure(&site, "[trace]\nmemory = \"0MB\"\n");
    let daemon = site.start();
    assert!(site_fails(&site, &["trace"]));
    daemon.end();
}

fn configure(site: &Site, more: &str) {
    let file = site.folder().join("config/server.toml");
    let text = fs::read_to_string(&file).expect("it was written");
    fs::write(&file, format!("{text}{more}")).expect("room on the disk");
}

/// What the command line prints.
fn text(site: &Site, args: &[&str]) -> String {
    let config = site.folder().join("config");
    let output = Command::new(env!("CARGO_BIN_EXE_sentral"))
        .args(args)
        .arg("--config")
        .arg(config)
        .output()
        .expect("the daemon's program");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

fn site_fails(site: &Site, args: &[&str]) -> bool {
    site.ask(args).is_none()
}

/// Whether a digest response can be read: something else than stars between its quotes.
fn shows_a_response(text: &str) -> bool {
    text.split("response=\"").skip(1).any(|rest| !rest.starts_with('*'))
}

/// Source, destination and text of each packet of a pcap file: IPv4 and UDP, with lengths and checksums that fit.
fn pcap(file: &[u8]) -> Vec<(SocketAddr, SocketAddr, String)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four octets"));
    assert_eq!((word(0), word(20)), (0xA1B2_C3D4, 101));
    let (mut at, mut packets) = (24, Vec::new());
    while at < file.len() {
        let (kept, whole) = (word(at + 8) as usize, word(at + 12) as usize);
        assert_eq!(kept, whole);
        let packet = &file[at + 16..at + 16 + kept];
        let short = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!((packet[0], packet[9], usize::from(short(2))), (0x45, 17, kept));
        assert_eq!(usize::from(short(24)), kept - 20);
        assert_eq!(sum(&packet[..20]), 0xFFFF, "the checksum of IP");
        let pseudo = [&packet[12..20], &[0, 17], &packet[24..26], &packet[20..]].concat();
        assert_eq!(sum(&pseudo), 0xFFFF, "the checksum of UDP");
        let address = |at: usize, port: u16| {
            SocketAddr::from(([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]], port))
        };
        let text = String::from_utf8(packet[28..].to_vec()).expect("SIP is UTF-8");
        packets.push((address(12, short(20)), address(16, short(22)), text));
        at += 16 + kept;
    }
    packets
}

/// The sum of RFC 1071: all ones when a checksum among the octets is right.
fn sum(octets: &[u8]) -> u32 {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum
}

/// Wireshark finds as many SIP messages.
fn wireshark_reads(file: &Path, count: usize) {
    let output = Command::new("tshark").arg("-r").arg(file).args(["-Y", "sip"]).output();
    let output = output.expect("tshark is installed (package tshark)");
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(lines, count, "{output:?}");
}

/// Type and value of each chunk of a HEP packet.
fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
    assert_eq!(&packet[..4], b"HEP3");
    let short = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_eq!(usize::from(short(4)), packet.len());
    let (mut at, mut chunks) = (6, Vec::new());
    while at < packet.len() {
        let length = usize::from(short(at + 4));
        chunks.push((short(at + 2), packet[at + 6..at + length].to_vec()));
        at += length;
    }
    chunks
}

fn chunk(chunks: &[(u16, Vec<u8>)], kind: u16) -> &[u8] {
    let found = chunks.iter().find(|(of, _)| *of == kind);
    found.map(|(_, value)| &**value).unwrap_or_else(|| panic!("no chunk {kind} in {chunks:?}"))
}

fn ipv4(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(address) => address.ip().octets().to_vec(),
        SocketAddr::V6(_) => panic!("only IPv4 is used here"),
    }
}
