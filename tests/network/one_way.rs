//! Audio that goes one way, by a real daemon: what is told of it, of whom, and how soon.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use sentral::media::rtcp;
use sentral::media::rtp;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;
use crate::daemon::phone::Phone;
use crate::daemon::siege::request;
use crate::daemon::siege::transact;
use crate::daemon::siege::uri;
use crate::daemon::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);
/// A second look of the stream, what a busy machine adds, and the command's own time.
const SLACK: Duration = Duration::from_secs(2);
const FRAME: Duration = Duration::from_millis(20);
const ANNA: &str = "+4736000101";

/// What the daemon says of the caller's audio.
fn told(site: &Site) -> Option<(String, String)> {
    let calls = site.ask(&["calls"])?;
    let leg = &calls["calls"][0]["audio"][0];
    Some((leg["fault"].as_str()?.to_owned(), leg["fault_text"].as_str()?.to_owned()))
}

#[test]
fn each_way_that_audio_can_be_missing_is_named_within_three_seconds() {
    let site = Site::new();
    let daemon = site.start();
    let anna = Phone::start(&site, "anna", 440, ";answermode=auto");
    wait_until("anna is registered", PATIENCE, || (site.ask(&["status"])?["bindings"] == 1).then_some(()));
    // A carrier's party who says nothing.
    let line = Line::new([127, 0, 0, 2], site.sip);
    let audio = UdpSocket::bind("127.0.0.2:0").expect("a free port");
    let port = audio.local_addr().expect("it is bound").port();
    let sdp =
        format!("v=0\no=- 1 1 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\nm=audio {port} RTP/AVP 8\n");
    let whom = format!("{ANNA}@127.0.0.1");
    let answer = transact(&line, &request(&line, "INVITE", &whom, "mute", 1, &uri(ANNA), "", &sdp));
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let to = header(&answer, "To").to_owned();
    line.send(&request(&line, "ACK", &whom, "mute", 1, &to, "", ""));
    let ours = answer.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("audio");
    let ours: u16 = ours.split(' ').next().and_then(|port| port.parse().ok()).expect("a port");
    let rtp_to = SocketAddr::from(([127, 0, 0, 1], ours));

    let named = |what: &str, began: Instant, words: [&str; 2]| {
        let text = wait_until(what, PATIENCE, || told(&site).filter(|(fault, _)| fault == what)).1;
        let took = began.elapsed();
        println!("{what} after {took:?}: {text}");
        assert!(took < Duration::from_secs(3) + SLACK, "{what} after {took:?}");
        assert!(words.into_iter().all(|word| text.contains(word)), "{text}");
    };
    named("nothing_received", Instant::now(), ["no audio comes from the caller", "firewalls"]);

    // What comes then is of another payload type than was agreed on.
    let mut sequence = 0u16;
    let mut say = |payload_type: u8, packets: u16| {
        for _ in 0..packets {
            sequence = sequence.wrapping_add(1);
            let head = rtp::Header {
                marker: false,
                payload_type,
                sequence,
                timestamp: u32::from(sequence) * 160,
                ssrc: 0x5ea7,
            };
            audio.send_to(&[&head.bytes()[..], &[0xD5; 160]].concat(), rtp_to).expect("loopback takes it");
            // The stream is paced by what comes, as by a phone.
            let next = Instant::now() + FRAME;
            while let Some(rest) = next.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
            {
                audio.set_read_timeout(Some(rest)).expect("not zero");
                let _ = audio.recv(&mut [0; 2048]);
            }
        }
    };
    let began = Instant::now();
    say(0, 75);
    named("wrong_format", began, ["is not PCMA", "codecs"]);

    // As agreed on, all is well; and the first report says that nothing of ours came.
    say(8, 25);
    wait_until("audio comes", PATIENCE, || told(&site).is_none().then_some(()));
    let report = rtcp::report(0x5ea7, "mute", None, None, None, false);
    let began = Instant::now();
    let reports = UdpSocket::bind("127.0.0.2:0").expect("a free port");
    reports.send_to(&report, SocketAddr::new(rtp_to.ip(), ours + 1)).expect("loopback takes it");
    named("nothing_arrives", began, ["the caller reports that our audio does not arrive", "firewalls"]);

    let answer = transact(&line, &request(&line, "BYE", &whom, "mute", 2, &to, "", ""));
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let record = wait_until("the call is over", PATIENCE, || {
        let record = site.ask(&["cdr"])?[0].clone();
        (record["audio"].as_array()?.len() == 2).then_some(record)
    });
    let kept =
        record["audio"].as_array().expect("a list").iter().any(|leg| leg["fault"] == "nothing_arrives");
    assert!(kept, "{record}");
    drop(anna);
    daemon.end();
}
