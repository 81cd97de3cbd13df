//! Provisional answers that arrive for certain (RFC 3262), UPDATE (RFC 3311), session timers (RFC 4028), and requests
//! that are too long for a datagram (RFC 3261 §18.1.1), between two endpoints.

use std::time::Duration;

use sentral::sip::Body;
use sentral::sip::DialogId;
use sentral::sip::Event;
use sentral::sip::Extra;
use sentral::sip::Input;
use sentral::sip::Method;
use sentral::sip::Transport;
use sentral::sip::endpoint::Settings;

use crate::MS;
use crate::SECOND;
use crate::net::A;
use crate::net::B;
use crate::net::Net;
use crate::net::dialog;
use crate::net::header;
use crate::net::offer;

/// A call that B was told of; `(A's dialog, B's)`.
fn called(net: &mut Net) -> (DialogId, DialogId) {
    let calling = net.invite();
    net.run(Duration::ZERO);
    let called = dialog(&net.take(B)[0]).unwrap();
    (calling, called)
}

fn accept(net: &mut Net, calling: DialogId, called: DialogId) {
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.run(Duration::ZERO);
    net.order(A, |it, now| it.ack(now, calling, None));
    net.run(Duration::ZERO);
    net.take(A);
    net.take(B);
}

fn with_timer(net: &mut Net, seconds: [u32; 2], allow: &'static str) {
    for (side, session_expires) in net.sides.iter_mut().zip(seconds) {
        side.set_settings(Settings { session_expires, allow, ..Settings::default() });
    }
}

#[test]
fn early_sdp_is_acknowledged_and_the_200_leaves_it_out() {
    let mut net = Net::new();
    let (calling, called) = called(&mut net);
    net.order(B, |it, now| it.ring(now, called, 183, Extra::new(), Some(offer())));
    net.run(Duration::ZERO);
    let rseq = header(&net.last(B, "183").text, "RSeq").to_owned();
    assert!(!rseq.is_empty() && header(&net.last(B, "183").text, "Require").contains("100rel"));
    assert_eq!(header(&net.last(A, "PRACK").text, "RAck").split(' ').next(), Some(&*rseq));
    accept(&mut net, calling, called);
    let ok = &net.log.iter().rfind(|sent| sent.line == "200 OK" && sent.of == "INVITE").unwrap().text;
    assert!(!ok.contains("m=audio"), "{ok}");
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn plain_ringing_is_not_made_reliable_unless_it_is_required() {
    for (require, pracks) in [(false, 0), (true, 1)] {
        let mut net = Net::new();
        let mut call = net.call();
        if require {
            call.extra.push(("Require", "100rel".to_owned()));
        }
        net.order(A, |it, now| it.invite(now, call));
        net.run(Duration::ZERO);
        let called = dialog(&net.take(B)[0]).unwrap();
        net.order(B, |it, now| it.ring(now, called, 180, Extra::new(), None));
        net.run(SECOND);
        assert_eq!(net.count(A, "PRACK"), pracks);
        assert_eq!(net.told(A), ["Progress 180"]);
        net.order(B, |it, now| it.reject(now, called, 486, Extra::new()));
        net.finish();
    }
}

#[test]
fn a_reliable_answer_is_repeated_doubling_until_its_prack_and_told_once() {
    let mut net = Net::new();
    net.lose = Box::new(|sent, before| sent.line.starts_with("183") && before < 3);
    let (calling, called) = called(&mut net);
    net.order(B, |it, now| it.ring(now, called, 183, Extra::new(), Some(offer())));
    // Answered at once: the 200 waits for the PRACK (RFC 3262 §3).
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.run(10 * SECOND);
    assert_eq!(net.times(B, "183"), [0, 500, 1500, 3500]);
    assert_eq!(net.times(A, "PRACK"), [3500]);
    assert_eq!(net.told(A), ["Progress 183", "Answered"]);
    net.order(A, |it, now| it.ack(now, calling, None));
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn a_call_whose_reliable_answer_is_never_acknowledged_fails_after_64_t1() {
    let mut net = Net::new();
    net.lose = Box::new(|sent, _| sent.line.starts_with("PRACK"));
    let (_, called) = called(&mut net);
    net.order(B, |it, now| it.ring(now, called, 183, Extra::new(), Some(offer())));
    net.run(32 * SECOND - MS);
    assert!(net.told(B).is_empty());
    net.run(MS);
    assert_eq!(net.told(B), ["Cancelled"]);
    net.run(SECOND);
    assert_eq!(net.told(A), ["Progress 183", "Failed 504"]);
    net.finish();
}

#[test]
fn reliable_answers_go_one_at_a_time_in_order() {
    let mut net = Net::new();
    net.lose = Box::new(|sent, before| sent.line.starts_with("PRACK") && before == 0);
    let (_, called) = called(&mut net);
    for status in [183, 180, 181] {
        net.order(B, |it, now| it.ring(now, called, status, Extra::new(), Some(offer())));
    }
    net.run(400 * MS);
    assert_eq!((net.count(B, "183"), net.count(B, "180")), (1, 0), "the next one waits for the PRACK");
    net.run(10 * SECOND);
    assert_eq!(net.told(A), ["Progress 183", "Progress 180", "Progress 181"]);
    let number = |line: &str| header(&net.last(B, line).text, "RSeq").parse::<u32>().unwrap();
    assert_eq!((number("180"), number("181")), (number("183") + 1, number("183") + 2));
    net.order(B, |it, now| it.reject(now, called, 486, Extra::new()));
    net.finish();
}

#[test]
fn a_prack_of_nothing_is_refused_and_one_that_cannot_be_read_named() {
    let mut net = Net::new();
    let (_, called) = called(&mut net);
    net.order(B, |it, now| it.ring(now, called, 183, Extra::new(), Some(offer())));
    net.run(SECOND);
    let prack = net.last(A, "PRACK").text.clone();
    let rack = header(&prack, "RAck").to_owned();
    let again = |rack_value: &str, n: u32| {
        let text = prack.replace(&rack, rack_value).replace("z9hG4bK", &format!("z9hG4bKx{n}"));
        let cseq = header(&prack, "CSeq").to_owned();
        text.replace(&format!("CSeq: {cseq}"), &format!("CSeq: {} PRACK", 90_000 + n))
    };
    for (n, (value, answer)) in
        [("1 1 INVITE", "481"), (&*rack, "481"), ("x", "400 Malformed RAck")].into_iter().enumerate()
    {
        net.deliver(B, &again(value, n as u32));
        net.run(Duration::ZERO);
        assert!(
            net.log.last().unwrap().line.starts_with(answer),
            "{value}: {}",
            net.log.last().unwrap().line
        );
    }
    net.order(B, |it, now| it.reject(now, called, 486, Extra::new()));
    net.take(A);
    net.finish();
}

#[test]
fn an_early_update_waits_for_the_answer_that_is_missing() {
    // The caller's offer has no answer: another one crosses it (RFC 3311 §5.2).
    let mut net = Net::new();
    let (calling, called) = called(&mut net);
    net.order(B, |it, now| it.ring(now, called, 180, Extra::new(), None));
    net.run(Duration::ZERO);
    net.take(A);
    net.order(A, |it, now| it.request_in(now, calling, Method::Update, Extra::new(), Some(offer())));
    net.order(B, |it, now| it.request_in(now, called, Method::Update, Extra::new(), Some(offer())));
    net.run(Duration::ZERO);
    let refused = |it: &[String], status: &str| it.iter().any(|told| told == status);
    assert!(refused(&net.told(A), "Response 500"));
    assert!(refused(&net.told(B), "Response 491"));
    // Once the answer is there for certain, either may change the session.
    net.order(B, |it, now| it.ring(now, called, 183, Extra::new(), Some(offer())));
    net.run(Duration::ZERO);
    net.take(A);
    net.order(B, |it, now| it.request_in(now, called, Method::Update, Extra::new(), Some(offer())));
    net.run(Duration::ZERO);
    let Some(Event::Request { transaction, request, .. }) = net.take(A).pop() else { panic!() };
    assert_eq!(request.method, Method::Update);
    net.order(A, |it, now| it.respond(now, transaction, 200, Extra::new(), Some(offer())));
    net.run(Duration::ZERO);
    assert_eq!(net.told(B), ["Response 200"]);
    assert!(!header(&net.last(A, "200").text, "Contact").is_empty());
    accept(&mut net, calling, called);
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn a_session_is_refreshed_at_half_time_by_who_was_chosen() {
    for (allow, refreshes) in [("INVITE, UPDATE", "UPDATE"), ("INVITE", "INVITE")] {
        let mut net = Net::new();
        with_timer(&mut net, [600, 1800], allow);
        let (calling, called) = called(&mut net);
        accept(&mut net, calling, called);
        let ok = &net.log.iter().rfind(|sent| sent.line == "200 OK").unwrap().text;
        assert_eq!(header(ok, "Session-Expires"), "600;refresher=uac");
        assert!(header(ok, "Require").contains("timer"));
        let before = net.count(A, refreshes);
        net.run(300 * SECOND - MS);
        assert_eq!(net.count(A, refreshes), before);
        net.run(MS);
        if refreshes == "INVITE" {
            assert_eq!(net.told(A), ["Refresh"]);
            net.order(A, |it, now| it.reinvite(now, calling, Some(offer()))).unwrap();
            net.run(Duration::ZERO);
            net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
            net.run(Duration::ZERO);
            net.order(A, |it, now| it.ack(now, calling, None));
            net.run(Duration::ZERO);
        }
        assert_eq!(net.count(A, refreshes), before + 1);
        let refresh = header(&net.last(A, refreshes).text, "Session-Expires").to_owned();
        assert_eq!(refresh, "600;refresher=uac");
        net.run(290 * SECOND);
        assert_eq!((net.sides[A].dialogs(), net.sides[B].dialogs()), (1, 1), "it lives on");
        net.order(A, |it, now| it.bye(now, calling, Extra::new()));
        net.finish();
    }
}

/// A session of 600 s that `by` refreshes by re-INVITE, just before it does; the dialogs of A and B.
fn refreshed_by(by: usize) -> (Net, [DialogId; 2]) {
    let mut net = Net::new();
    let seconds = if by == A { [600, 1800] } else { [0, 600] };
    with_timer(&mut net, seconds, "INVITE");
    let mut call = net.call();
    if by == B {
        call.extra.push(("Session-Expires", "600;refresher=uas".to_owned()));
        call.extra.push(("Supported", "timer".to_owned()));
    }
    let calling = net.order(A, |it, now| it.invite(now, call));
    net.run(Duration::ZERO);
    let called = dialog(&net.take(B)[0]).unwrap();
    accept(&mut net, calling, called);
    net.run(300 * SECOND - MS);
    net.take(A);
    net.take(B);
    (net, [calling, called])
}

#[test]
fn a_refresh_that_is_refused_for_good_is_tried_once_more() {
    let (mut net, dialogs) = refreshed_by(A);
    let begun = net.elapsed() + MS;
    let mut tries = Vec::new();
    for _ in 0..3_100 {
        net.run(100 * MS);
        for event in net.take(A) {
            if let Event::Refresh { dialog } = event
                && net.order(A, |it, now| it.reinvite(now, dialog, Some(offer()))).is_ok()
            {
                tries.push((net.elapsed() - begun).as_secs());
                net.run(Duration::ZERO);
                net.order(B, |it, now| it.reject(now, dialogs[B], 488, Extra::new()));
            }
        }
    }
    assert_eq!(tries, [0, 150]);
    assert_eq!(net.count(B, "BYE"), 1, "the session is over");
    net.finish();
}

#[test]
fn after_glare_who_made_the_call_id_waits_longer() {
    for (by, least, most) in [(A, 2_100, 4_000), (B, 0, 2_000)] {
        let (mut net, dialogs) = refreshed_by(by);
        net.run(MS);
        assert_eq!(net.told(by), ["Refresh"]);
        for round in 0..20 {
            net.order(by, |it, now| it.reinvite(now, dialogs[by], Some(offer()))).unwrap();
            net.run(Duration::ZERO);
            net.order(1 - by, |it, now| it.reject(now, dialogs[1 - by], 491, Extra::new()));
            let refused = net.elapsed();
            net.run(Duration::ZERO);
            while !net.told(by).contains(&"Refresh".to_owned()) {
                net.run(10 * MS);
            }
            let waited = (net.elapsed() - refused).as_millis();
            // The clock steps by 10 ms.
            assert!((least..=most + 10).contains(&waited), "round {round}: {waited} ms");
        }
        net.order(A, |it, now| it.bye(now, dialogs[A], Extra::new()));
        net.finish();
    }
}

#[test]
fn a_session_that_nobody_refreshes_ends_on_both_sides() {
    let mut net = Net::new();
    with_timer(&mut net, [600, 600], "INVITE, UPDATE");
    let (calling, called) = called(&mut net);
    accept(&mut net, calling, called);
    net.lose = Box::new(|_, _| true);
    net.run(568 * SECOND - MS);
    assert!(net.told(B).is_empty());
    net.run(MS);
    assert_eq!(net.told(B), ["Refused session expired", "Gone"], "32 s before the end (RFC 4028 §10)");
    assert_eq!(net.count(B, "BYE"), 1);
    assert_eq!(net.told(A), ["Gone"], "no answer to the refresh");
    net.finish();
}

#[test]
fn too_brief_a_session_is_refused_and_asked_for_again() {
    let mut net = Net::new();
    with_timer(&mut net, [600, 1800], "INVITE, UPDATE");
    let mut call = net.call();
    call.extra.push(("Session-Expires", "60".to_owned()));
    net.order(A, |it, now| it.invite(now, call));
    net.run(Duration::ZERO);
    assert_eq!(header(&net.last(B, "422").text, "Min-SE"), "90");
    net.take(A);
    net.take(B);
    // A proxy that wants more gets it; the call goes on with a new CSeq.
    net.invite();
    net.run(Duration::ZERO);
    let invite = net.last(A, "INVITE").text.clone();
    let refused = net.last(B, "100").text.replace("100 Trying", "422 Session Interval Too Small");
    let refused = refused.replacen("\r\n\r\n", "\r\nMin-SE: 900\r\n\r\n", 1);
    let tagged = refused.replacen("To: <sip:100@b.example>", "To: <sip:100@b.example>;tag=proxy", 1);
    net.deliver(A, &tagged);
    net.run(Duration::ZERO);
    let again = net.last(A, "INVITE").text.clone();
    assert_eq!((header(&again, "Session-Expires"), header(&again, "Min-SE")), ("900", "900"));
    assert_ne!(header(&again, "CSeq"), header(&invite, "CSeq"));
    assert_eq!(header(&again, "Call-ID"), header(&invite, "Call-ID"));
}

#[test]
fn a_request_near_the_mtu_takes_tcp_and_udp_when_there_is_none() {
    let mut net = Net::new();
    net.sides[A].set_settings(Settings { udp_max: 1300, ..Settings::default() });
    let mut call = net.call();
    call.body = Some(Body::sdp(format!("v=0\r\ns={}\r\n", "x".repeat(1300))));
    net.order(A, |it, now| it.invite(now, call));
    assert!(header(&net.last(A, "INVITE").text, "Via").starts_with("SIP/2.0/TCP"));
    let hop = sentral::sip::Hop { transport: Transport::Tcp, connection: None, ..net.hop(A) };
    net.input(A, Input::SendFailed { hop });
    let again = header(&net.last(A, "INVITE").text, "Via").to_owned();
    assert!(again.starts_with("SIP/2.0/UDP"), "{again}");
    assert_eq!(net.count(A, "INVITE"), 2);
    assert!(net.told(A).is_empty());
    // What fits goes as ever.
    net.invite();
    assert!(header(&net.last(A, "INVITE").text, "Via").starts_with("SIP/2.0/UDP"));
}
