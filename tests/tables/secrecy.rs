//! SRTP in offer and answer: who gets it, by which suite, and what is refused.

use sentral::media::srtp::Srtp;
use sentral::media::srtp::Suite;
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

const HEAD: &str = "v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
const KEY_30: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const KEY_28: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubA==";

fn local(policy: SrtpPolicy, private: bool) -> Local {
    Local {
        address: "198.51.100.9".parse().unwrap(),
        port: 20_000,
        codecs: codecs(&[CodecName::Pcma]),
        session: 42,
        version: 1,
        direction: Direction::SendRecv,
        keys: Default::default(),
        secrecy: Secrecy::new(policy, private, [7; 32]),
        inside: None,
        lines: Lines::default(),
    }
}

fn read(protocol: &str, cryptos: &[&str]) -> SessionDescription {
    let cryptos: String = cryptos.iter().map(|crypto| format!("a=crypto:{crypto}\r\n")).collect();
    sdp::parse(format!("{HEAD}m=audio 4000 {protocol} 8\r\n{cryptos}").as_bytes()).unwrap()
}

#[test]
fn an_offer_is_answered_as_the_policy_and_the_best_suite_have_it() {
    let gcm = format!("1 AEAD_AES_128_GCM {KEY_28}");
    let sha80 = format!("2 AES_CM_128_HMAC_SHA1_80 {KEY_30}|2^31");
    let sha32 = format!("3 AES_CM_128_HMAC_SHA1_32 {KEY_30}");
    let odd = "4 F8_128_HMAC_SHA1_80 inline:AQID".to_owned();
    // A GCM key has another length.
    let wrong = format!("1 AEAD_AES_128_GCM {KEY_30}");
    use SrtpPolicy::Off;
    use SrtpPolicy::Optional;
    use SrtpPolicy::Required;
    let rows: &[(SrtpPolicy, &str, &[&str], &str)] = &[
        (Optional, "RTP/SAVP", &[&sha32, &sha80, &gcm], "RTP/SAVP 1 AEAD_AES_128_GCM"),
        (Optional, "RTP/SAVP", &[&sha32, &sha80], "RTP/SAVP 2 AES_CM_128_HMAC_SHA1_80"),
        (Optional, "RTP/SAVPF", &[&sha32], "RTP/SAVPF 3 AES_CM_128_HMAC_SHA1_32"),
        // Best effort, as phones do it.
        (Optional, "RTP/AVP", &[&sha80], "RTP/AVP 2 AES_CM_128_HMAC_SHA1_80"),
        (Optional, "RTP/AVP", &[&odd, &wrong], "RTP/AVP plain"),
        (Optional, "RTP/AVP", &[], "RTP/AVP plain"),
        (Optional, "RTP/SAVP", &[&odd, &wrong], "302 no crypto suite in common"),
        (Optional, "RTP/SAVP", &[], "302 no crypto suite in common"),
        (Off, "RTP/AVP", &[&sha80], "RTP/AVP plain"),
        (Off, "RTP/SAVP", &[&sha80], "302 SRTP is not used here"),
        (Required, "RTP/AVP", &[], "302 SRTP is required here"),
        (Required, "RTP/AVP", &[&gcm], "RTP/AVP 1 AEAD_AES_128_GCM"),
        (Required, "RTP/SAVP", &[&gcm], "RTP/SAVP 1 AEAD_AES_128_GCM"),
    ];
    for (policy, protocol, cryptos, expect) in rows {
        let (theirs, local) = (read(protocol, cryptos), local(*policy, false));
        let early = fits(&theirs, &local.codecs, local.address, &local.secrecy);
        let early = early.err().map(|refusal| refusal.to_string());
        let told = match answer(&theirs, &local, None) {
            Err(refusal) => {
                assert_eq!(early, Some(refusal.to_string()), "known before anything is done");
                refusal.to_string()
            }
            Ok((sdp, agreed)) => {
                assert_eq!(early, None);
                let audio = &sdp.media[0];
                let cryptos = audio.cryptos();
                assert_eq!(cryptos.is_empty(), agreed.session.srtp.is_none());
                if let (Some(crypto), Some(keys)) = (cryptos.first(), &agreed.session.srtp) {
                    assert_eq!(keys.send.bytes(), crypto.key);
                    let theirs = theirs.media[0].cryptos();
                    assert!(
                        theirs.iter().any(|one| one.tag == crypto.tag && one.key == keys.receive.bytes())
                    );
                }
                let what = cryptos.first().map_or("plain".into(), |one| format!("{} {}", one.tag, one.suite));
                format!("{} {what}", audio.protocol)
            }
        };
        assert_eq!(told, *expect, "{policy:?} {protocol} {cryptos:?}");
    }
}

#[test]
fn a_phone_that_offers_only_keys_with_an_identifier_gets_one_back() {
    let theirs = read("RTP/SAVP", &[&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY_30}|2^31|1:1")]);
    let (sdp, agreed) = answer(&theirs, &local(SrtpPolicy::Optional, false), None).unwrap();
    assert_eq!(sdp.media[0].cryptos()[0].mki, Some((1, 1)));
    let mut srtp = Srtp::new(agreed.session.srtp.unwrap());
    let mut packet = [[0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9], [7; 12]].concat();
    assert!(srtp.protect(&mut packet, 0));
    assert_eq!((packet.len(), packet[24]), (24 + 1 + 10, 1), "before the tag");
}

#[test]
fn our_offers_name_keys_where_nobody_reads_them_or_where_they_are_required() {
    let rows = [
        (SrtpPolicy::Off, true, "RTP/AVP", 0),
        (SrtpPolicy::Optional, false, "RTP/AVP", 0),
        (SrtpPolicy::Optional, true, "RTP/AVP", 3),
        (SrtpPolicy::Required, false, "RTP/SAVP", 3),
    ];
    for (policy, private, protocol, count) in rows {
        let audio = offer(&local(policy, private)).media.remove(0);
        let cryptos = audio.cryptos();
        assert_eq!((&*audio.protocol, cryptos.len()), (protocol, count), "{policy:?}");
        for (crypto, tag) in cryptos.iter().zip(1..) {
            let suite = Suite::named(&crypto.suite).unwrap();
            assert_eq!((crypto.tag, crypto.key.len()), (tag, suite.master_bytes()));
        }
        let mut keys: Vec<_> = cryptos.iter().map(|crypto| &crypto.key[..16]).collect();
        keys.dedup();
        assert_eq!(keys.len(), count, "no key serves two suites");
    }
    let mut renewed = local(SrtpPolicy::Required, false);
    let before = offer(&renewed);
    assert_eq!(offer(&renewed), before, "the same as long as nothing changes");
    renewed.secrecy.renew();
    assert_ne!(offer(&renewed), before);
}

/// Policy, whether signalling is private, their protocol and keys, and whether SRTP comes of it.
type Row<'a> = (SrtpPolicy, bool, &'a str, &'a [&'a str], Result<bool, &'a str>);

#[test]
fn an_answer_keeps_to_our_offer_or_there_is_no_session() {
    let gcm = format!("1 AEAD_AES_128_GCM {KEY_28}");
    let sha80 = format!("2 AES_CM_128_HMAC_SHA1_80 {KEY_30}");
    let other_tag = format!("1 AES_CM_128_HMAC_SHA1_80 {KEY_30}");
    let not_offered = format!("9 AES_256_CM_HMAC_SHA1_80 {KEY_30}");
    let rows: &[Row<'_>] = &[
        (SrtpPolicy::Required, false, "RTP/SAVP", &[&gcm], Ok(true)),
        (SrtpPolicy::Required, false, "RTP/SAVP", &[&sha80], Ok(true)),
        (SrtpPolicy::Required, false, "RTP/AVP", &[], Err("302 SRTP is required here")),
        (SrtpPolicy::Required, false, "RTP/SAVP", &[&other_tag], Err("302 no crypto suite in common")),
        (SrtpPolicy::Required, false, "RTP/SAVP", &[&not_offered], Err("302 no crypto suite in common")),
        (SrtpPolicy::Optional, true, "RTP/AVP", &[&gcm], Ok(true)),
        (SrtpPolicy::Optional, true, "RTP/AVP", &[], Ok(false)),
        // We offered nothing that could be answered so.
        (SrtpPolicy::Optional, false, "RTP/AVP", &[&gcm], Ok(false)),
        (SrtpPolicy::Optional, false, "RTP/SAVP", &[&gcm], Err("302 no crypto suite in common")),
    ];
    for (policy, private, protocol, cryptos, expect) in rows {
        let agreed = agreed(&local(*policy, *private), &read(protocol, cryptos));
        let told = agreed.map(|agreed| agreed.session.srtp.is_some()).map_err(|refusal| refusal.to_string());
        assert_eq!(told, expect.map_err(str::to_owned), "{policy:?} {protocol} {cryptos:?}");
    }
}

#[test]
fn no_key_is_shown_in_what_may_be_logged() {
    let (sdp, agreed) = answer(
        &read("RTP/SAVP", &[&format!("1 AEAD_AES_128_GCM {KEY_28}")]),
        &local(SrtpPolicy::Optional, true),
        None,
    )
    .unwrap();
    let shown = format!("{agreed:?} {:?}", local(SrtpPolicy::Required, true));
    assert!(shown.contains("***"), "{shown}");
    for crypto in sdp.media[0].cryptos() {
        assert!(!shown.contains(&format!("{:?}", crypto.key).replace(['[', ']'], "")), "{shown}");
    }
}
