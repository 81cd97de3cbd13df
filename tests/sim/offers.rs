//! Offers of callers and the sessions that come of them: what is refused before anybody is rung, and what is said again.

use std::time::Duration;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config_and_trunks;
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
        let last = back.last().expect("an answer");
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
