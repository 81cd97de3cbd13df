//! Offers of callers and the sessions that come of them: what is refused before anybody is rung, and what is said again.

use std::time::Duration;

use sentral::sip::Body;
use sentral::sip::endpoint::Settings;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config_and_trunks;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const TRUNK: &str = "[trunks.carrier]\nname = \"Carrier\"\nserver = \"198.51.100.9:5060\"\n\
                     trusted = [\"198.51.100.9\"]\nhealth = false\n";

/// An INVITE of the carrier to Kari with these media lines.
fn invite(id: usize, connection: &str, media: &str) -> String {
    format!(
        "INVITE sip:+4736000101@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{id}\n\
         Max-Forwards: 70\nFrom: <sip:+4736000777@198.51.100.9>;tag={id}\nTo: <sip:+4736000101@192.0.2.1>\n\
         Call-ID: offer-{id}\nCSeq: 1 INVITE\nContact: <sip:carrier@198.51.100.9:5060>\n\
         Content-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 198.51.100.9\ns=-\n{connection}\nt=0 0\n{media}\n"
    )
}

#[test]
fn an_offer_that_cannot_be_answered_is_refused_before_anybody_is_rung() {
    let here = "c=IN IP4 198.51.100.9";
    // (connection, media, the trunk's codecs, Warning)
    let rows = [
        (here, "m=audio 4000 RTP/AVP 111\na=rtpmap:111 opus/48000/2", "", "305 "),
        (here, "m=audio 4000 RTP/AVP 0", "codecs = [\"pcma\"]\n", "305 "),
        ("c=IN IP4 224.2.1.1", "m=audio 4000 RTP/AVP 8", "", "330 "),
        ("c=IN IP6 2001:db8::9", "m=audio 4000 RTP/AVP 8", "", "301 "),
        (here, "m=audio 4000 TCP/RTP/AVP 8", "", "302 "),
        (here, "m=audio 4000 RTP/SAVP 8", "", "302 "),
        (here, "m=audio 4000 RTP/AVP 18", "", "305 "),
        (here, "m=video 4000 RTP/AVP 31", "", "304 "),
        (here, "m=audio 0 RTP/AVP 8", "", "304 "),
        (here, "m=video 4000 RTP/AVP 31\nm=audio 4002 RTP/AVP 18 8", "", ""),
    ];
    for (row, (connection, media, codecs, warning)) in rows.into_iter().enumerate() {
        let config = config_and_trunks(COMPANY, &format!("{TRUNK}{codecs}"));
        let mut world = World::at(240, noon(), config);
        let kari = world.registered("kari");
        let back = world.raw("198.51.100.9:5060", &invite(row, connection, media));
        // The 100 may come after it.
        let last = back.iter().find(|text| !text.starts_with("SIP/2.0 100 ")).expect("an answer");
        if warning.is_empty() {
            assert!(last.starts_with("SIP/2.0 180 "), "row {row}: {last}");
            assert!(world.phones[kari].line(&Stage::Ringing).is_some());
            let line = world.phones[kari].line(&Stage::Ringing).unwrap();
            world.phones[kari].end(world.now, line);
            world.run(60 * S);
            continue;
        }
        assert!(last.starts_with("SIP/2.0 488 "), "row {row}: {last}");
        assert!(last.contains(&format!("Warning: {warning}")), "row {row}: {last}");
        assert!(world.phones[kari].lines.is_empty(), "row {row}: the phone has rung");
        world.finish();
    }
}

/// The version in `o=` of a description.
fn version(sdp: &str) -> u64 {
    let origin = sdp.lines().find_map(|line| line.strip_prefix("o=")).expect("an origin");
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_description_has_a_higher_version_only_when_it_says_something_else() {
    let mut world = World::new(241);
    let ola = world.registered("ola");
    world.registered("kari");
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    let mut versions = Vec::new();
    for hold in [Some(false), Some(false), Some(true), None, Some(true), Some(false)] {
        match hold {
            Some(on) => world.phones[ola].hold(world.now, call, on),
            // Refused: nothing is said.
            None => {
                let sdp = "v=0\r\no=sim 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 9 RTP/AVP 18\r\n";
                world.phones[ola].reoffer(world.now, call, Some(Body::sdp(sdp.to_owned())));
            }
        }
        world.run(S);
        let answers = &world.phones[ola].answers;
        versions.push(version(answers.last().unwrap()) - version(&answers[0]));
    }
    assert_eq!(versions, [0, 0, 1, 1, 1, 2]);
    world.finish();
}

#[test]
fn a_refresh_of_ours_says_what_was_said_last() {
    let sessions = "[server]\ndomain = \"prove.example\"\n[sip]\nudp = \"192.0.2.1:5060\"\nsession_expires = \"90s\"\n\
                    [media]\nports = \"20000-20799\"\ncodecs = [\"pcma\", \"pcmu\", \"g722\"]\n";
    let mut world = World::at(242, noon(), config_with(&[("server.toml", sessions)]));
    let (ola, kari) = (world.registered("ola"), world.registered("kari"));
    // It takes no UPDATE, so that a refresh is a re-INVITE.
    let allow = "INVITE, ACK, BYE, CANCEL";
    world.phones[kari].endpoint.set_settings(Settings { session_expires: 600, allow, ..Settings::default() });
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    let line = world.phones[kari].line(&Stage::Up).expect("Kari talks");
    let first = world.phones[kari].lines[&line].invite.as_ref().expect("she was called").body.clone();
    world.run(100 * S);
    let offers = std::mem::take(&mut world.phones[kari].offers);
    assert!(offers.len() == 2 && offers.iter().all(|offer| offer.as_bytes() == first), "{offers:?}");
    world.phones[kari].hold(world.now, line, true);
    world.run(50 * S);
    let said = world.phones[kari].answers.last().expect("an answer to the hold").clone();
    assert_eq!(version(&said), version(&offers[0]) + 1);
    assert_eq!(world.phones[kari].offers, [said]);
    world.finish();
}
