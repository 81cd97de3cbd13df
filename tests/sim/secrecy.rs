//! Encrypted audio: what a phone with SRTP is answered, which keys its stream gets, and who is refused.

use std::time::Duration;

use sentral::media::srtp::Keys;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHER: &str = "inline:AVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

/// The keys of the stream that a phone's only live line hears.
fn keys(world: &World, phone: usize) -> Option<Keys> {
    let line = world.phones[phone].line(&Stage::Up).expect("a line is up");
    let (_, stream) = world.stream_to(world.phones[phone].lines[&line].audio).expect("it has a stream");
    stream.session.srtp.clone()
}

#[test]
fn a_phone_that_demands_srtp_is_answered_with_it_and_talks_with_a_plain_one() {
    for protocol in ["RTP/SAVP", "RTP/AVP"] {
        let mut world = World::new(201);
        let ola = world.registered("ola");
        let kari = world.registered("kari");
        world.phones[ola].srtp = Some((protocol, KEY));
        let call = world.phones[ola].call(world.now, "101", false);
        world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
        world.run(S);
        let answer = world.phones[ola].answers.last().unwrap();
        assert!(answer.contains(&format!(" {protocol} 8")), "{answer}");
        assert!(answer.contains("a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:"), "{answer}");
        let first = keys(&world, ola).expect("the stream is protected");
        assert_eq!(keys(&world, kari), None);
        // Hold with the same key changes nothing; another key of theirs brings another one of ours.
        world.phones[ola].hold(world.now, call, true);
        world.run(S);
        assert_eq!(keys(&world, ola).as_ref(), Some(&first));
        world.phones[ola].srtp = Some((protocol, OTHER));
        world.phones[ola].hold(world.now, call, false);
        world.run(S);
        let second = keys(&world, ola).expect("still protected");
        assert!(second.send != first.send && second.receive != first.receive);
        let answer = world.phones[ola].answers.last().unwrap();
        assert!(answer.contains("inline:") && !answer.contains(OTHER), "{answer}");
        world.finish();
    }
}

#[test]
fn an_offer_of_ours_in_a_protected_call_keeps_to_the_keys() {
    for protocol in ["RTP/SAVP", "RTP/AVP"] {
        let mut world = World::new(204);
        let ola = world.registered("ola");
        world.registered("kari");
        world.phones[ola].srtp = Some((protocol, KEY));
        let call = world.phones[ola].call(world.now, "101", false);
        world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
        world.run(S);
        let crypto = |text: &String| {
            let line = text.lines().find(|line| line.starts_with("a=crypto:")).map(str::to_owned);
            line.expect("keys")
        };
        let before = (crypto(world.phones[ola].answers.last().unwrap()), keys(&world, ola));
        world.phones[ola].reoffer(world.now, call, None);
        world.run(S);
        let offer = world.phones[ola].answers.last().unwrap();
        assert!(offer.contains(&format!(" {protocol} 8")), "{offer}");
        assert_eq!((crypto(offer), keys(&world, ola)), before);
        // What was encrypted is not said in the clear afterwards.
        world.phones[ola].srtp = None;
        world.phones[ola].reoffer(world.now, call, None);
        world.run(S);
        assert!(matches!(world.phones[ola].lines[&call].stage, Stage::Over(_)), "{protocol}");
        world.finish();
    }
}

#[test]
fn who_does_not_fit_the_devices_policy_is_refused_and_an_emergency_call_is_not() {
    let with =
        |policy: &str| COMPANY.replace("\"ola-secret\"", &format!("\"ola-secret\", srtp = \"{policy}\""));
    let rows = [
        ("off", Some("RTP/SAVP"), "101", 488),
        ("required", None, "101", 488),
        ("required", Some("RTP/AVP"), "101", 487),
        ("required", None, "112", 487),
    ];
    for (policy, protocol, number, expect) in rows {
        let mut world = World::at(202, noon(), config(&with(policy)));
        let carrier = world.carrier();
        let ola = world.registered("ola");
        let kari = world.registered("kari");
        for phone in [carrier, kari] {
            world.phones[phone].answer = crate::phone::Answer::Ring;
        }
        world.phones[ola].srtp = protocol.map(|protocol| (protocol, KEY));
        let call = world.phones[ola].call(world.now, number, false);
        world.run(S);
        world.phones[ola].cancel(world.now, call);
        world.run(S);
        assert_eq!(
            world.phones[ola].lines[&call].stage,
            Stage::Over(expect),
            "{policy} {protocol:?} {number}"
        );
        world.finish();
    }
}

#[test]
fn a_device_that_requires_srtp_is_offered_nothing_else() {
    let company = COMPANY.replace("\"kari-secret\"", "\"kari-secret\", srtp = \"required\"");
    let mut world = World::at(203, noon(), config(&company));
    let ola = world.registered("ola");
    let kari = world.registered("kari");
    // It answers in the clear all the same: there is no call.
    let call = world.phones[ola].call(world.now, "101", false);
    world.run(3 * S);
    assert!(matches!(world.phones[ola].lines[&call].stage, Stage::Over(_)));
    assert_eq!(world.phones[kari].live_lines(), 0);
    world.finish();
}

/// What the stream of a phone's only live line knows of DTLS and ICE.
fn transport(world: &World, phone: usize) -> sentral::media::Transport {
    let line = world.phones[phone].line(&Stage::Up).expect("a line is up");
    let (_, stream) = world.stream_to(world.phones[phone].lines[&line].audio).expect("it has a stream");
    stream.session.transport.clone()
}

#[test]
fn a_browser_talks_with_a_plain_phone_and_holds_without_a_new_handshake() {
    let mut world = World::new(211);
    let ola = world.registered("ola");
    let kari = world.registered("kari");
    world.phones[ola].web = Some("abcd");
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    world.run(S);
    let answer = world.phones[ola].answers.last().unwrap().clone();
    assert!(answer.contains("UDP/TLS/RTP/SAVPF 8") && answer.contains("a=setup:passive"), "{answer}");
    assert!(answer.contains("a=ice-lite") && answer.contains("a=end-of-candidates"), "{answer}");
    let first = transport(&world, ola);
    assert!(first.dtls.is_some() && first.ice.is_some() && first.rtcp_mux);
    assert_eq!(transport(&world, kari).dtls, None);
    world.phones[ola].hold(world.now, call, true);
    world.run(S);
    assert_eq!(transport(&world, ola), first, "hold changes nothing of it");
    // ICE begins anew when the browser has changed its network: our credentials change too, the certificate does not.
    world.phones[ola].web = Some("efgh");
    world.phones[ola].hold(world.now, call, false);
    world.run(S);
    let second = transport(&world, ola);
    let (old, new) = (first.ice.unwrap(), second.ice.unwrap());
    assert!(
        old.ufrag != new.ufrag && old.password != new.password && new.their_ufrag.as_deref() == Some("efgh")
    );
    assert_eq!(second.dtls, first.dtls);
    world.finish();
}

#[test]
fn a_browser_that_is_called_finds_us_before_it_has_answered() {
    let with = COMPANY.replace("\"ola-secret\"", "\"ola-secret\", srtp = \"dtls\"");
    let mut world = World::at(213, noon(), config(&with));
    let ola = world.registered("ola");
    let kari = world.registered("kari");
    world.phones[ola].web = Some("abcd");
    world.phones[ola].answer = Answer::Ring;
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("it rings", 3 * S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    let listening = |world: &World| -> Vec<sentral::media::Session> {
        let unanswered = world.streams.values().filter(|stream| stream.session.remote.is_none());
        unanswered.map(|stream| stream.session.clone()).collect()
    };
    let [early] = &listening(&world)[..] else { panic!("one stream listens: {:?}", world.streams) };
    let terms = early.transport.ice.clone().expect("for checks");
    assert!(terms.their_ufrag.is_none() && early.transport.needs_keys() && !early.send && !early.receive);
    let line = world.phones[ola].line(&Stage::Ringing).expect("it rings");
    world.phones[ola].pick_up(world.now, line);
    world.until("they talk", 5 * S, |w| w.phones[kari].lines[&call].stage == Stage::Up);
    let agreed = transport(&world, ola);
    let ice = agreed.ice.expect("agreed on");
    assert_eq!((&ice.ufrag, ice.their_ufrag.as_deref()), (&terms.ufrag, Some("abcd")));
    assert!(agreed.dtls.is_some());
    world.phones[kari].end(world.now, call);
    world.run(5 * S);
    // Who gives up while it rings leaves nothing behind.
    let call = world.phones[kari].call(world.now, "102", false);
    world.until("it rings", 3 * S, |w| w.phones[ola].line(&Stage::Ringing).is_some());
    assert_eq!(listening(&world).len(), 1);
    world.phones[kari].end(world.now, call);
    world.run(5 * S);
    world.finish();
}

#[test]
fn a_device_with_dtls_is_offered_it_and_refused_without() {
    let with = COMPANY.replace("\"ola-secret\"", "\"ola-secret\", srtp = \"dtls\"");
    for (web, expect) in [(Some("abcd"), true), (None, false)] {
        let mut world = World::at(212, noon(), config(&with));
        let ola = world.registered("ola");
        let kari = world.registered("kari");
        world.phones[ola].web = web;
        // Called with an offer for DTLS, a phone without it does not come to talk.
        let call = world.phones[kari].call(world.now, "102", false);
        world.run(3 * S);
        assert_eq!(world.phones[kari].lines[&call].stage == Stage::Up, expect, "{web:?}");
        if expect {
            assert!(transport(&world, ola).dtls.is_some());
        }
        world.phones[kari].end(world.now, call);
        world.run(5 * S);
        let call = world.phones[ola].call(world.now, "101", false);
        world.run(3 * S);
        let stage = world.phones[ola].lines[&call].stage.clone();
        assert_eq!(stage, if expect { Stage::Up } else { Stage::Over(488) });
        world.finish();
    }
}
