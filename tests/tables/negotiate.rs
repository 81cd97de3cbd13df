//! Offer and answer: what is agreed on for what phones and carriers send.

use sentral::media::Besides;
use sentral::media::Codec;
use sentral::model::server::CodecName;
use sentral::sdp;
use sentral::sdp::SessionDescription;
use sentral::switch::negotiate::Agreed;
use sentral::switch::negotiate::Direction;
use sentral::switch::negotiate::Lines;
use sentral::switch::negotiate::Local;
use sentral::switch::negotiate::Refusal;
use sentral::switch::negotiate::agreed;
use sentral::switch::negotiate::answer;
use sentral::switch::negotiate::codecs;
use sentral::switch::negotiate::offer;
use sentral::switch::secrecy::Secrecy;

const HEAD: &str = "v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

fn local() -> Local {
    Local {
        address: "198.51.100.9".parse().unwrap(),
        port: 20_000,
        codecs: codecs(&[CodecName::Opus, CodecName::G722, CodecName::Pcma, CodecName::Pcmu]),
        session: 42,
        version: 3,
        direction: Direction::SendRecv,
        keys: Default::default(),
        secrecy: Secrecy::off(),
        inside: None,
        lines: Lines::default(),
    }
}

/// A description of media lines only, or of everything when it begins with `v=`.
fn read(text: &str) -> SessionDescription {
    let whole = if text.starts_with("v=") { text.to_owned() } else { format!("{HEAD}{text}") };
    sdp::parse(whole.as_bytes()).unwrap()
}

fn answered(text: &str) -> (SessionDescription, Agreed) {
    answer(&read(text), &local(), None).unwrap()
}

#[test]
fn our_offer_names_every_codec_and_the_keys() {
    let expect = "v=0\r\no=- 42 3 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n\
        m=audio 20000 RTP/AVP 111 9 8 0 101 110\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1;stereo=0\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-15\r\n\
        a=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(offer(&local()).to_string(), expect);
    let v6 = Local { address: "2001:db8::9".parse().unwrap(), ..local() };
    assert!(offer(&v6).to_string().contains("c=IN IP6 2001:db8::9\r\n"));
}

#[test]
fn an_answer_takes_the_offers_first_known_codec_and_its_payload_types() {
    let (sdp, agreed) = answered("m=audio 4000 RTP/AVP 18 8 9 96\r\na=rtpmap:96 telephone-event/8000\r\n");
    let expect = "v=0\r\no=- 42 3 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n\
        m=audio 20000 RTP/AVP 8 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\n\
        a=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(sdp.to_string(), expect);
    let session = agreed.session;
    assert_eq!(session.remote, Some("192.0.2.1:4000".parse().unwrap()));
    assert_eq!((session.codec, session.payload_type, session.dtmf), (Codec::Pcma, 8, Some(96)));
    assert_eq!((session.packet_ms, session.send, session.receive), (20, true, true));
    assert!(session.symmetric && !agreed.hold);
}

#[test]
fn codecs_are_known_by_name_and_static_number() {
    let rows = [
        // Static numbers need no mapping.
        ("m=audio 4 RTP/AVP 0\r\n", Codec::Pcmu, 0, None),
        ("m=audio 4 RTP/AVP 9\r\n", Codec::G722, 9, None),
        // Dynamic numbers, small letters, no clock rate.
        ("m=audio 4 RTP/AVP 111\r\na=rtpmap:111 pcma/8000/1\r\n", Codec::Pcma, 111, None),
        ("m=audio 4 RTP/AVP 8\r\na=rtpmap:8 PCMA\r\n", Codec::Pcma, 8, None),
        // Stereo and wide clocks are other codecs.
        (
            "m=audio 4 RTP/AVP 97 98 0\r\na=rtpmap:97 PCMA/8000/2\r\na=rtpmap:98 PCMU/16000\r\n",
            Codec::Pcmu,
            0,
            None,
        ),
        // A static number mapped to something else is something else.
        ("m=audio 4 RTP/AVP 8 0\r\na=rtpmap:8 L16/8000\r\n", Codec::Pcmu, 0, None),
        // Of several telephone-events, the one on our clock; one that is not among the formats does not count.
        (
            "m=audio 4 RTP/AVP 8 110 101\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:101 Telephone-Event/8000\r\n",
            Codec::Pcma,
            8,
            Some(101),
        ),
        ("m=audio 4 RTP/AVP 8\r\na=rtpmap:101 telephone-event/8000\r\n", Codec::Pcma, 8, None),
        // No payload type.
        ("m=audio 4 RTP/AVP 300 x 8\r\n", Codec::Pcma, 8, None),
    ];
    for (text, codec, payload_type, dtmf) in rows {
        let session = answered(text).1.session;
        assert_eq!(
            (session.codec, session.payload_type, session.dtmf),
            (codec, payload_type, dtmf),
            "{text}"
        );
    }
}

#[test]
fn opus_is_taken_with_its_clock_and_as_the_other_side_wants_it() {
    let text = "m=audio 4 RTP/AVP 109 9 8 101 126\r\na=rtpmap:109 OPUS/48000/2\r\n\
        a=fmtp:109 maxplaybackrate=48000; useinbandfec=1;UseDTX=1;maxaveragebitrate=20000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=rtpmap:126 telephone-event/48000\r\na=ptime:30\r\n";
    let (sdp, agreed) = answered(text);
    let session = agreed.session;
    assert_eq!((session.codec, session.payload_type, session.dtmf), (Codec::Opus, 109, Some(126)));
    assert_eq!((session.opus.bitrate, session.opus.fec, session.opus.dtx), (20_000, true, true));
    assert_eq!(session.dtmf_clock, None, "that of Opus");
    assert_eq!(session.packet_ms, 20, "Opus has no frame of 30 ms");
    assert_eq!(sdp.media[0].formats, ["109", "126"]);
    assert_eq!(sdp.media[0].attribute("rtpmap"), Some("109 opus/48000/2"));
    assert_eq!(sdp.media[0].fmtp("109"), Some("minptime=10;useinbandfec=1;stereo=0"));
    assert_eq!(sdp.media[0].rtpmap("126").unwrap().clock, Some(48_000));

    // Without a word of it: no correction, no silence left out; what cannot be is bounded.
    let plain = "m=audio 4 RTP/AVP 96 101\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 maxaveragebitrate=510000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=ptime:120\r\n";
    let session = answered(plain).1.session;
    assert_eq!((session.opus.bitrate, session.opus.fec, session.opus.dtx), (40_000, false, false));
    assert_eq!((session.dtmf, session.packet_ms), (Some(101), 60), "a phone of one telephone-event");
    assert_eq!(session.dtmf_clock, Some(8000), "which is not on the clock of Opus");
    // Another clock, or a static number without a name, is not Opus.
    let other = "m=audio 4 RTP/AVP 96 111 0\r\na=rtpmap:96 opus/16000/2\r\n";
    assert_eq!(answered(other).1.session.codec, Codec::Pcmu);
}

#[test]
fn our_own_order_decides_about_opus_which_costs_more_than_all_others() {
    let text = "m=audio 4 RTP/AVP 96 8\r\na=rtpmap:96 opus/48000/2\r\n";
    let taken = |names: &[CodecName]| {
        let local = Local { codecs: codecs(names), ..local() };
        answer(&read(text), &local, None).unwrap().1.session.codec
    };
    assert_eq!(taken(&[CodecName::Opus, CodecName::Pcma]), Codec::Opus);
    assert_eq!(taken(&[CodecName::Pcma, CodecName::Opus]), Codec::Pcma);
    assert_eq!(taken(&[CodecName::G722, CodecName::Opus]), Codec::Opus, "nothing else is common");
    assert_eq!(taken(&[CodecName::Pcma]), Codec::Pcma);
}

#[test]
fn comfort_noise_is_agreed_to_beside_codecs_of_its_clock() {
    let rows = [
        ("m=audio 4 RTP/AVP 8 13\r\n", Some(13)),
        ("m=audio 4 RTP/AVP 9 97\r\na=rtpmap:97 CN/8000\r\n", Some(97)),
        ("m=audio 4 RTP/AVP 8 97\r\na=rtpmap:97 CN/16000\r\n", None),
        ("m=audio 4 RTP/AVP 8\r\n", None),
        ("m=audio 4 RTP/AVP 96 13\r\na=rtpmap:96 opus/48000/2\r\n", None),
    ];
    for (text, comfort) in rows {
        let (sdp, agreed) = answered(text);
        assert_eq!(agreed.session.comfort, comfort, "{text}");
        assert_eq!(sdp.media[0].formats.len(), 1 + usize::from(comfort.is_some()), "{text}");
    }
}

#[test]
fn the_codec_in_use_is_kept_while_the_offer_has_it() {
    let prefer = |text, codec| answer(&read(text), &local(), Some(codec)).unwrap().1.session.codec;
    assert_eq!(prefer("m=audio 4 RTP/AVP 9 8 0\r\n", Codec::Pcmu), Codec::Pcmu);
    assert_eq!(prefer("m=audio 4 RTP/AVP 9 8\r\n", Codec::Pcmu), Codec::G722);
    // What the other party uses is none of ours here.
    let l16 = "m=audio 4 RTP/AVP 97 8\r\na=rtpmap:97 L16/16000\r\n";
    assert_eq!(prefer(l16, Codec::L16), Codec::Pcma);
}

#[test]
fn every_other_media_is_refused_in_its_place() {
    let text = "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 8\r\n\
        m=audio 4000 RTP/SAVP 8\r\nm=audio 4002 RTP/AVP 8\r\nm=audio 4004 RTP/AVP 8\r\nm=image 4006 udptl t38\r\n";
    let (sdp, agreed) = answered(text);
    let ports: Vec<u16> = sdp.media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [0, 0, 0, 20_000, 0, 0]);
    assert_eq!(sdp.media[5].formats, ["t38"]);
    assert_eq!(sdp.media[2].protocol, "RTP/SAVP");
    assert!(sdp.media[0].attributes.is_empty());
    assert_eq!(agreed.session.remote.unwrap().port(), 4002);
}

#[test]
fn directions_are_answered_with_their_mirror_image() {
    use Direction::*;
    // What they say, what we want; what we answer, whether we send, receive, are on hold.
    let rows = [
        ("sendrecv", SendRecv, "sendrecv", true, true, false),
        ("sendonly", SendRecv, "recvonly", false, true, true),
        ("recvonly", SendRecv, "sendonly", true, false, false),
        ("inactive", SendRecv, "inactive", false, false, true),
        ("sendrecv", SendOnly, "sendonly", true, false, false),
        ("sendonly", SendOnly, "inactive", false, false, true),
        ("recvonly", RecvOnly, "inactive", false, false, false),
        ("sendrecv", Inactive, "inactive", false, false, false),
    ];
    for (said, direction, ours, send, receive, hold) in rows {
        let theirs = read(&format!("m=audio 4 RTP/AVP 8\r\na={said}\r\n"));
        let (sdp, agreed) = answer(&theirs, &Local { direction, ..local() }, None).unwrap();
        assert_eq!(sdp.direction_of(&sdp.media[0]).as_str(), ours, "{said}");
        assert_eq!(
            (agreed.session.send, agreed.session.receive, agreed.hold),
            (send, receive, hold),
            "{said}"
        );
        assert_eq!(agreed.their_direction.as_str(), said);
    }
    // At session level; the media's own goes before it.
    let session = "v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 4 RTP/AVP 8\r\n";
    assert!(answered(session).1.hold);
    assert!(!answered(&format!("{session}a=sendrecv\r\n")).1.hold);
}

#[test]
fn an_unspecified_address_is_hold_and_nowhere_to_send() {
    for connection in ["IN IP4 0.0.0.0", "IN IP4 0.0.0.0/127"] {
        let (sdp, agreed) = answered(&format!("v=0\r\nc={connection}\r\nm=audio 4000 RTP/AVP 8\r\n"));
        assert!(agreed.hold && !agreed.session.send && agreed.session.receive);
        assert_eq!(agreed.session.remote, None);
        // They may still send: music on hold.
        assert_eq!(sdp.direction_of(&sdp.media[0]), Direction::RecvOnly);
    }
}

#[test]
fn the_address_may_stand_at_the_media_be_of_ip6_or_be_a_name() {
    let remote = |text: &str| answered(text).1.session.remote;
    assert_eq!(
        remote("m=audio 4 RTP/AVP 8\r\nc=IN IP4 203.0.113.5\r\n"),
        Some("203.0.113.5:4".parse().unwrap())
    );
    assert_eq!(remote("v=0\r\nc=IN IP4 phone.example\r\nm=audio 4 RTP/AVP 8\r\n"), None);
    assert_eq!(remote("v=0\r\nm=audio 4 RTP/AVP 8\r\n"), None);
    let v6 = Local { address: "2001:db8::9".parse().unwrap(), ..local() };
    let offered = read("v=0\r\nc=IN IP6 2001:db8::5\r\nm=audio 4 RTP/AVP 8\r\n");
    assert_eq!(
        answer(&offered, &v6, None).unwrap().1.session.remote,
        Some("[2001:db8::5]:4".parse().unwrap())
    );
}

#[test]
fn packets_are_as_long_as_asked_for_if_we_make_such() {
    let rows = [
        ("", 20),
        ("a=ptime:20\r\n", 20),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:25\r\n", 20),
        ("a=ptime:20.5\r\n", 20),
        ("a=ptime:200\r\n", 60),
        ("a=ptime:0\r\n", 20),
        ("a=ptime:x\r\n", 20),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:10\r\n", 10),
        ("a=maxptime:150\r\n", 20),
    ];
    for (attributes, packet_ms) in rows {
        let session = answered(&format!("m=audio 4 RTP/AVP 8\r\n{attributes}")).1.session;
        assert_eq!(session.packet_ms, packet_ms, "{attributes}");
    }
}

#[test]
fn what_cannot_be_agreed_on_is_refused_with_its_warning() {
    let rows = [
        ("", 304),
        ("m=video 4 RTP/AVP 96\r\n", 304),
        ("m=audio 0 RTP/AVP 8\r\n", 304),
        ("m=image 4 udptl t38\r\n", 304),
        ("m=audio 4 RTP/SAVP 8\r\n", 302),
        ("m=audio 4 RTP/AVP 18 101\r\na=rtpmap:101 telephone-event/8000\r\n", 305),
        ("m=audio 4 RTP/AVP 18\r\nm=video 6 RTP/AVP 96\r\n", 305),
        ("v=0\r\nc=IN IP6 2001:db8::1\r\nm=audio 4 RTP/AVP 8\r\n", 301),
        ("v=0\r\nc=IN IP4 224.2.1.1/127\r\nm=audio 4 RTP/AVP 8\r\n", 330),
    ];
    for (text, code) in rows {
        let refusal = answer(&read(text), &local(), None).map(|_| ());
        assert_eq!(refusal.map_err(|Refusal { code, .. }| code), Err(code), "{text}");
    }
}

#[test]
fn an_answer_to_our_offer_is_taken_as_it_numbers_things() {
    // Another payload type for the keys than we offered, and two codecs of which the first counts.
    let theirs = read("m=audio 4000 RTP/AVP 8 0 96\r\na=rtpmap:96 telephone-event/8000\r\na=ptime:30\r\n");
    let Agreed { session, hold, .. } = agreed(&local(), &theirs).unwrap();
    assert_eq!((session.codec, session.dtmf, session.packet_ms, hold), (Codec::Pcma, Some(96), 30, false));
    // RFC 3264 §6.1, §7: what comes of them bears our numbers, and may be either codec.
    assert_eq!((session.besides.dtmf, session.besides.codec(0)), (Some(101), Some(Codec::Pcmu)));
    assert_eq!((session.besides.codec(8), session.besides.codec(9)), (None, None));
    let other = read(
        "m=audio 4 RTP/AVP 96 126 9\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:126 telephone-event/48000\r\n",
    );
    let session = agreed(&local(), &other).unwrap().session;
    assert_eq!((session.codec, session.payload_type, session.dtmf), (Codec::Opus, 96, Some(126)));
    let besides = session.besides;
    assert_eq!(
        (besides.codec(111), besides.codec(9), besides.dtmf),
        (Some(Codec::Opus), Some(Codec::G722), Some(110))
    );
    // Who answers as we offered needs nothing more.
    let same = read("m=audio 4 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_eq!(agreed(&local(), &same).unwrap().session.besides, Besides::default());
    let code = |text| agreed(&local(), &read(text)).map(|_| ()).map_err(|refusal| refusal.code);
    assert_eq!(code(""), Err(304));
    assert_eq!(code("m=audio 0 RTP/AVP 8\r\n"), Err(304));
    assert_eq!(code("m=audio 4 RTP/AVP 18\r\n"), Err(305));
}

#[test]
fn our_own_offer_answered_by_ourselves_is_agreed_on() {
    for direction in [Direction::SendRecv, Direction::SendOnly, Direction::Inactive] {
        let caller = Local { direction, port: 30_000, ..local() };
        let (reply, theirs) = answer(&offer(&caller), &local(), None).unwrap();
        let ours = agreed(&caller, &reply).unwrap();
        assert_eq!(ours.session.codec, theirs.session.codec);
        assert_eq!((ours.session.send, ours.session.receive), (theirs.session.receive, theirs.session.send));
        assert_eq!(ours.session.remote.unwrap().port(), 20_000);
    }
}
