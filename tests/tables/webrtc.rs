//! What browsers offer and answer, and what comes of it by policy.

use sentral::media::dtls::Fingerprint;
use sentral::media::dtls::Role;
use sentral::model::server::CodecName;
use sentral::model::srtp::SrtpPolicy;
use sentral::sdp;
use sentral::sdp::SessionDescription;
use sentral::switch::negotiate::Direction;
use sentral::switch::negotiate::Lines;
use sentral::switch::negotiate::Local;
use sentral::switch::negotiate::agreed;
use sentral::switch::negotiate::answer;
use sentral::switch::negotiate::codecs;
use sentral::switch::negotiate::fits;
use sentral::switch::negotiate::offer;
use sentral::switch::secrecy::Secrecy;

/// As Chromium writes it, with a video and a data channel, before it has gathered candidates.
const CHROMIUM: &str = "v=0\r\no=- 6714 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS s\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:Eq2k\r\na=ice-pwd:yF8GTuAmSi4bA5ZJOb6MGxJo\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\n\
    a=msid:s t\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 none/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
    a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:126 telephone-event/8000\r\n\
    a=ssrc:77 cname:x\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n";

fn local(policy: SrtpPolicy, browser: bool) -> Local {
    let secrecy = Secrecy::new(policy, false, [7; 32]);
    Local {
        address: "198.51.100.9".parse().unwrap(),
        port: 20_000,
        codecs: codecs(&[CodecName::Pcma, CodecName::Pcmu]),
        session: 42,
        version: 1,
        direction: Direction::SendRecv,
        secrecy: secrecy.with_dtls(Some(Fingerprint::of(b"ours")), browser),
        keys: Default::default(),
        inside: Some("10.0.0.9".parse().unwrap()),
        lines: Lines::default(),
    }
}

fn read(text: &str) -> SessionDescription {
    sdp::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_browser_is_answered_with_all_it_needs_and_nothing_else() {
    let (sdp, agreed) = answer(&read(CHROMIUM), &local(SrtpPolicy::Optional, true), None).unwrap();
    let text = sdp.to_string();
    let ice = agreed.session.transport.ice.clone().unwrap();
    let expect = format!(
        "v=0\r\no=- 42 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\n\
         m=audio 20000 UDP/TLS/RTP/SAVPF 0 126 13\r\na=mid:0\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=fmtp:126 0-15\r\na=rtpmap:13 CN/8000\r\na=ptime:20\r\na=sendrecv\r\na=rtcp-mux\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n\
         a=fingerprint:{}\r\na=setup:passive\r\na=candidate:1 1 udp 2130706431 198.51.100.9 20000 typ host\r\n\
         a=candidate:2 1 udp 2130706175 10.0.0.9 20000 typ host\r\na=end-of-candidates\r\na=msid:sentral audio\r\n\
         m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n",
        ice.ufrag,
        ice.password,
        Fingerprint::of(b"ours"),
    );
    assert_eq!(text, expect);
    let session = agreed.session;
    assert_eq!((session.remote, session.send, session.receive, agreed.hold), (None, true, true, false));
    assert!(session.srtp.is_none() && session.transport.rtcp_mux);
    assert_eq!((ice.their_ufrag.as_deref(), ice.ufrag.len(), ice.password.len()), (Some("Eq2k"), 8, 32));
    let dtls = session.transport.dtls.unwrap();
    assert!(dtls.role == Role::Passive && dtls.fingerprint.to_string().starts_with("sha-256 4A:AD:"));
}

#[test]
fn who_gets_dtls_is_said_by_policy() {
    use SrtpPolicy::Dtls;
    use SrtpPolicy::Off;
    use SrtpPolicy::Optional;
    use SrtpPolicy::Required;
    let plain = CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP").replace("a=fingerprint", "a=x");
    let old = CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF");
    let best_effort = CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    let key = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let described = plain.replace("a=setup", &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {key}\r\na=setup"));
    let weak = CHROMIUM.replace("sha-256", "sha-1");
    let unknown = CHROMIUM.replace("a=fingerprint", "a=x");
    let no_part = CHROMIUM.replace("actpass", "holdconn");
    let rows = [
        (Optional, CHROMIUM, Ok("dtls")),
        (Required, CHROMIUM, Ok("dtls")),
        (Dtls, CHROMIUM, Ok("dtls")),
        (Off, CHROMIUM, Err("302 SRTP is not used here")),
        // As browsers wrote it once, and phones do for "best effort".
        (Dtls, &old, Ok("dtls")),
        (Optional, &best_effort, Ok("dtls")),
        (Off, &best_effort, Ok("plain")),
        (Optional, &plain, Ok("plain")),
        (Required, &plain, Err("302 SRTP is required here")),
        (Dtls, &plain, Err("302 DTLS-SRTP is required here")),
        (Required, &described, Ok("described")),
        (Dtls, &described, Err("302 DTLS-SRTP is required here")),
        (Optional, &weak, Err("302 no usable certificate fingerprint or setup for DTLS-SRTP")),
        (Optional, &unknown, Err("302 no usable certificate fingerprint or setup for DTLS-SRTP")),
        (Optional, &no_part, Err("302 no usable certificate fingerprint or setup for DTLS-SRTP")),
    ];
    for (policy, offer, expect) in rows {
        let local = local(policy, false);
        let told = answer(&read(offer), &local, None).map(|(_, agreed)| {
            match (agreed.session.transport.dtls.is_some(), agreed.session.srtp.is_some()) {
                (true, false) => "dtls",
                (false, true) => "described",
                _ => "plain",
            }
        });
        let told = told.map_err(|refusal| refusal.to_string());
        assert_eq!(told, expect.map_err(str::to_owned), "{policy:?} {offer}");
        assert_eq!(
            fits(&read(offer), &local.codecs, local.address, &local.secrecy).is_ok(),
            told.is_ok(),
            "known before anything is done"
        );
    }
}

#[test]
fn the_parts_are_taken_as_the_other_side_leaves_them() {
    let ours = || local(SrtpPolicy::Optional, true);
    for (setup, role, said) in [
        ("actpass", Role::Passive, "passive"),
        ("active", Role::Passive, "passive"),
        ("passive", Role::Active, "active"),
    ] {
        let theirs = CHROMIUM.replace("setup:actpass", &format!("setup:{setup}"));
        let (sdp, agreed) = answer(&read(&theirs), &ours(), None).unwrap();
        assert_eq!(agreed.session.transport.dtls.unwrap().role, role);
        assert_eq!(sdp.media[0].attribute("setup"), Some(said));
        // Whoever began goes on so when the browser leaves it to us the next time.
        let mut again = ours();
        again.secrecy.keep(&agreed.session);
        let (_, next) = answer(&read(CHROMIUM), &again, None).unwrap();
        assert_eq!(next.session.transport.dtls.unwrap().role, role);
    }
    // Without ICE, or towards another lite agent, the description's address is meant.
    let phone = CHROMIUM
        .replace("a=ice-", "a=x-")
        .replace("0.0.0.0", "192.0.2.1")
        .replace("m=audio 9 ", "m=audio 4000 ");
    let lite = CHROMIUM.replace("a=extmap-allow-mixed", "a=ice-lite").replace("IP4 0.0.0.0", "IP4 192.0.2.1");
    for (text, port) in [(&phone, 4000), (&lite, 9)] {
        let (sdp, agreed) = answer(&read(text), &ours(), None).unwrap();
        assert_eq!(agreed.session.remote, Some(([192, 0, 2, 1], port).into()));
        assert!(agreed.session.transport.ice.is_none() && agreed.session.transport.dtls.is_some());
        assert!(!sdp.to_string().contains("ice-") && !sdp.to_string().contains("candidate"));
    }
}

#[test]
fn our_offers_are_for_browsers_where_one_is_called_and_keep_the_lines_of_the_call() {
    let rows = [
        (SrtpPolicy::Optional, true, "UDP/TLS/RTP/SAVPF"),
        (SrtpPolicy::Dtls, false, "UDP/TLS/RTP/SAVPF"),
        (SrtpPolicy::Optional, false, "RTP/AVP"),
        (SrtpPolicy::Required, true, "RTP/SAVP"),
        (SrtpPolicy::Off, true, "RTP/AVP"),
    ];
    for (policy, browser, protocol) in rows {
        let sdp = offer(&local(policy, browser));
        let audio = &sdp.media[0];
        let is_web = protocol.starts_with("UDP");
        assert_eq!(audio.protocol, protocol);
        assert_eq!(audio.attribute("setup"), is_web.then_some("actpass"));
        assert_eq!(audio.has("rtcp-mux") && audio.has("end-of-candidates"), is_web);
        assert_eq!(sdp.values("group").next(), is_web.then_some("BUNDLE 0"));
        assert!(!is_web || audio.cryptos().is_empty());
    }
    // A browser that called with three lines is offered three when the session changes, under the names it gave.
    let named = CHROMIUM.replace("a=mid:0", "a=mid:lyd").replace("BUNDLE 0", "BUNDLE lyd");
    let mut ours = local(SrtpPolicy::Optional, true);
    let (sdp, first) = answer(&read(&named), &ours, None).unwrap();
    ours.lines = Lines::of(&sdp);
    ours.secrecy.keep(&first.session);
    let again = offer(&ours);
    let lines: Vec<(&str, u16)> = again.media.iter().map(|media| (&*media.kind, media.port)).collect();
    assert_eq!(lines, [("audio", 20_000), ("video", 0), ("application", 0)]);
    assert_eq!(
        (again.media[0].attribute("mid"), again.values("group").next()),
        (Some("lyd"), Some("BUNDLE lyd"))
    );
    let same = |name: &str| again.media[0].attribute(name) == sdp.media[0].attribute(name);
    assert!(same("ice-ufrag") && same("ice-pwd") && same("fingerprint"), "nothing begins anew");
}

#[test]
fn a_browsers_answer_keeps_to_dtls_or_there_is_no_session() {
    let answer = CHROMIUM.replace("actpass", "active");
    let ours = local(SrtpPolicy::Optional, true);
    let agreed_on = agreed(&ours, &read(&answer)).unwrap().session.transport;
    assert_eq!(agreed_on.dtls.unwrap().role, Role::Passive);
    assert!(agreed_on.rtcp_mux && agreed_on.ice.unwrap().their_ufrag.as_deref() == Some("Eq2k"));
    let plain = answer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    let rows = [
        (&plain, "302 DTLS-SRTP is required here"),
        (&CHROMIUM.to_owned(), "302 no usable certificate fingerprint or setup for DTLS-SRTP"),
    ];
    for (text, why) in rows {
        assert_eq!(agreed(&ours, &read(text)).unwrap_err().to_string(), why);
    }
}

#[test]
fn no_password_is_shown_in_what_may_be_logged() {
    let ours = local(SrtpPolicy::Optional, true);
    let (sdp, agreed) = answer(&read(CHROMIUM), &ours, None).unwrap();
    let password = sdp.media[0].attribute("ice-pwd").unwrap();
    assert!(!format!("{ours:?} {agreed:?}").contains(password));
}
