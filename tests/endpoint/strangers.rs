//! What one endpoint makes of messages written by hand: matching, refusals, forks, routes, NAT, limits.

use std::time::Duration;

use sentral::rand::Rng;
use sentral::sip::Event;
use sentral::sip::Extra;
use sentral::sip::Hop;
use sentral::sip::Input;
use sentral::sip::Message;
use sentral::sip::Output;
use sentral::sip::Transport;
use sentral::sip::endpoint::Endpoint;
use sentral::sip::endpoint::Settings;

use crate::net::A;
use crate::net::B;
use crate::net::Net;
use crate::net::dialog;
use crate::net::header;
use crate::net::offer;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn strangers_get_the_answers_of_the_rfc_or_none() {
    // (request, how its answer begins)
    let rows = [
        // In no dialog.
        (request("BYE", "z9hG4bK1", 1, ";tag=x"), "481"),
        (request("INVITE", "z9hG4bK1", 1, ";tag=x"), "481"),
        (request("INFO", "z9hG4bK1", 1, ";tag=x"), "481"),
        (request("CANCEL", "z9hG4bK1", 1, ""), "481"),
        (request("BYE", "z9hG4bK1", 1, ""), "481"),
        // Never answered.
        (request("ACK", "z9hG4bK1", 1, ";tag=x"), ""),
    ];
    for (text, expect) in rows {
        let mut net = Net::new();
        net.deliver(B, &text);
        let answer = net.log.first().map_or("", |sent| &sent.line);
        assert!(answer.starts_with(expect) && answer.is_empty() == expect.is_empty(), "{answer} to {text}");
        assert!(net.told(B).iter().all(|told| told.starts_with("Refused")));
        assert!(net.sides[B].is_empty(), "{text}");
    }
}

#[test]
fn a_request_that_came_by_two_ways_is_merged() {
    let mut net = Net::new();
    net.deliver(B, &request("INVITE", "z9hG4bK1", 1, ""));
    net.deliver(B, &request("INVITE", "z9hG4bK2", 1, ""));
    assert_eq!(net.told(B), ["Invite", "Refused 482"]);
    assert_eq!(net.count(B, "482"), 1);
    // The same way: a repeat.
    net.deliver(B, &request("INVITE", "z9hG4bK1", 1, ""));
    assert!(net.told(B).is_empty());
    assert_eq!(net.count(B, "100"), 2);
}

#[test]
fn an_rfc_2543_call_is_matched_without_branch() {
    let mut net = Net::new();
    let invite = request("INVITE", "1", 1, "");
    net.deliver(B, &invite);
    net.deliver(B, &invite);
    let events = net.take(B);
    assert_eq!(events.len(), 1);
    let called = dialog(&events[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    let tag = tag_of(&net.last(B, "200").text, "To");
    net.deliver(B, &request("ACK", "1", 1, &tag));
    assert_eq!(net.told(B), ["Acked"]);
    net.deliver(B, &request("BYE", "1", 2, &tag));
    assert_eq!(net.told(B), ["Bye"]);
    net.finish();
    // A refused one.
    let mut net = Net::new();
    net.deliver(B, &invite);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.reject(now, called, 486, Extra::new()));
    let tag = tag_of(&net.last(B, "486").text, "To");
    net.deliver(B, &request("ACK", "1", 1, &tag));
    net.run(10 * SECOND);
    assert_eq!(net.count(B, "486"), 1);
    net.finish();
}

#[test]
fn requests_in_a_dialog_are_checked_for_tags_and_order() {
    let mut net = Net::new();
    let tag = talking(&mut net);
    let rows = [
        (request("INFO", "z9hG4bK5", 5, &tag), "Request INFO"),
        (request("INFO", "z9hG4bK6", 4, &tag), "Refused CSeq out of order"),
        (request("INFO", "z9hG4bK7", 6, &tag).replace("tag=f", "tag=g"), "Refused 481"),
        (request("INFO", "z9hG4bK8", 6, &tag).replace("Call-ID: c", "Call-ID: d"), "Refused 481"),
        (request("INVITE", "z9hG4bK9", 6, &tag), "Reoffer"),
        // Before the first is answered.
        (request("INVITE", "z9hG4bKa", 7, &tag), "Refused INVITE in progress"),
        (request("BYE", "z9hG4bKb", 8, &tag), "Bye"),
    ];
    for (text, expect) in rows {
        net.deliver(B, &text);
        assert_eq!(net.told(B), [expect], "{text}");
    }
    let answers: Vec<&str> = net.log.iter().filter(|sent| sent.by == B).map(|sent| &sent.line[..3]).collect();
    assert_eq!(answers, ["100", "200", "500", "481", "481", "100", "100", "500", "200", "487"]);
    assert!(!header(&net.log[net.log.len() - 3].text, "Retry-After").is_empty());
    net.finish();
}

#[test]
fn a_refused_invite_that_comes_after_its_ack_is_absorbed() {
    let mut net = Net::new();
    let invite = request("INVITE", "z9hG4bK1", 1, "");
    net.deliver(B, &invite);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.reject(now, called, 486, Extra::new()));
    net.deliver(B, &invite);
    let tag = tag_of(&net.last(B, "486").text, "To");
    net.deliver(B, &request("ACK", "z9hG4bK1", 1, &tag));
    net.deliver(B, &invite);
    assert_eq!(net.count(B, "486"), 2);
    assert!(net.told(B).is_empty());
    net.finish();
}

#[test]
fn a_bye_instead_of_the_awaited_ack_ends_the_call() {
    let mut net = Net::new();
    net.deliver(B, &request("INVITE", "z9hG4bK1", 1, ""));
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    let tag = tag_of(&net.last(B, "200").text, "To");
    net.deliver(B, &request("BYE", "z9hG4bK2", 2, &tag));
    net.finish();
    assert_eq!((net.count(B, "BYE"), net.count(B, "200")), (0, 2));
}

#[test]
fn a_caller_may_end_an_early_dialog_with_bye() {
    let mut net = Net::new();
    net.deliver(B, &request("INVITE", "z9hG4bK1", 1, ""));
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.ring(now, called, 180, Extra::new(), None));
    let tag = tag_of(&net.last(B, "180").text, "To");
    net.deliver(B, &request("BYE", "z9hG4bK2", 2, &tag));
    assert_eq!(net.told(B), ["Bye"]);
    assert_eq!((net.count(B, "200"), net.count(B, "487")), (1, 1));
    net.finish();
}

#[test]
fn responses_that_are_not_ours_are_dropped() {
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    net.invite();
    let good = response(&net.last(A, "INVITE").text, 180, "f1", "");
    let rows = [
        good.replace("branch=z9hG4bK", "branch=z9hG4bKx"),
        good.replace("192.0.2.1:5060;rport", "192.0.2.99:5060;rport"),
        good.replace("Via: ", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp\r\nVia: "),
        good.replace("From: ", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp\r\nFrom: "),
        good.replace(" INVITE\r\n", " OPTIONS\r\n"),
    ];
    for text in rows {
        net.deliver(A, &text);
        let told = net.told(A);
        assert!(told.len() == 1 && told[0].starts_with("Refused"), "{told:?} {text}");
    }
    net.deliver(A, &good);
    assert_eq!(net.told(A), ["Progress 180"]);
}

#[test]
fn every_further_fork_that_accepts_is_acknowledged_and_ended() {
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    let calling = net.invite();
    let invite = net.last(A, "INVITE").text.clone();
    net.deliver(A, &response(&invite, 180, "f1", ""));
    net.deliver(A, &response(&invite, 183, "f2", ""));
    net.deliver(A, &response(&invite, 200, "f2", ""));
    assert_eq!(net.told(A), ["Progress 180", "Progress 183", "Answered"]);
    net.order(A, |it, now| it.ack(now, calling, None));
    net.deliver(A, &response(&invite, 200, "f1", "Record-Route: <sip:192.0.2.50;lr>\r\n"));
    assert!(net.told(A).is_empty());
    let bye = net.last(A, "BYE").clone();
    assert!(header(&bye.text, "To").ends_with(";tag=f1"));
    assert_eq!(header(&bye.text, "Route"), "<sip:192.0.2.50;lr>");
    assert_eq!(net.count(A, "ACK"), 2);
    // Each repeat gets its own ACK again.
    for tag in ["f1", "f2", "f1"] {
        net.deliver(A, &response(&invite, 200, tag, ""));
        assert!(header(&net.last(A, "ACK").text, "To").ends_with(tag));
    }
    assert_eq!((net.count(A, "ACK"), net.count(A, "BYE")), (5, 1));
    // A flood of forks is bounded.
    for fork in 0..100 {
        net.deliver(A, &response(&invite, 200, &format!("flood{fork}"), ""));
    }
    assert!(net.count(A, "BYE") < 20);
    net.take(A);
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn the_route_set_is_the_record_route_reversed_for_the_caller_and_in_order_for_the_callee() {
    const ROUTES: &str = "Record-Route: <sip:192.0.2.51;lr>, <sip:192.0.2.52;lr>\r\n";
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    let calling = net.invite();
    let invite = net.last(A, "INVITE").text.clone();
    net.deliver(A, &response(&invite, 200, "f1", ROUTES));
    net.order(A, |it, now| it.ack(now, calling, None));
    let ack = net.last(A, "ACK").clone();
    assert_eq!(ack.line, "ACK sip:100@192.0.2.77:5066", "to the Contact");
    assert_eq!(routes(&ack.text), ["<sip:192.0.2.52;lr>", "<sip:192.0.2.51;lr>"]);

    net.deliver(B, &request("INVITE", "z9hG4bK1", 1, "").replace("Call-ID", &format!("{ROUTES}Call-ID")));
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    let answer = net.last(B, "200").text.clone();
    assert_eq!(header(&answer, "Record-Route"), "<sip:192.0.2.51;lr>, <sip:192.0.2.52;lr>");
    net.deliver(B, &request("ACK", "z9hG4bK2", 1, &tag_of(&answer, "To")));
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    assert_eq!(routes(&net.last(B, "BYE").text), ["<sip:192.0.2.51;lr>", "<sip:192.0.2.52;lr>"]);
}

#[test]
fn a_reinvite_moves_the_remote_target() {
    let mut net = Net::new();
    let tag = talking(&mut net);
    net.deliver(
        B,
        &request("INVITE", "z9hG4bK5", 5, &tag).replace("<sip:a@192.0.2.1>", "<sip:a@192.0.2.1:5099>"),
    );
    let reoffer = net.take(B).pop().unwrap();
    let called = dialog(&reoffer).unwrap();
    assert!(matches!(reoffer, Event::Reoffer { .. }));
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.deliver(B, &request("ACK", "z9hG4bK6", 5, &tag));
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    assert_eq!(net.last(B, "BYE").line, "BYE sip:a@192.0.2.1:5099");
}

#[test]
fn a_phone_behind_nat_is_answered_and_called_where_it_speaks() {
    let mut net = Net::new();
    let source = Hop { remote: "203.0.113.9:31337".parse().unwrap(), ..net.hop(B) };
    let invite = request("INVITE", "z9hG4bK1;rport", 1, "").replace("192.0.2.1", "192.168.1.5");
    net.deliver_along(B, source, &invite);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    let answer = net.last(B, "200").text.clone();
    let via = header(&answer, "Via");
    assert!(via.contains("rport=31337") && via.contains("received=203.0.113.9"), "{via}");
    net.deliver_along(B, source, &request("ACK", "z9hG4bK2", 1, &tag_of(&answer, "To")));
    let invited = net.take(B);
    assert!(matches!(invited[..], [Event::Acked { .. }]));
    // Its Contact names an address of its own network.
    let sent = net.order(B, |it, now| {
        it.bye(now, called, Extra::new());
        it.poll_output()
    });
    let Some(Output::Transmit(bye)) = sent else { panic!("{sent:?}") };
    assert_eq!(bye.hop, source);
}

#[test]
fn an_answer_to_a_datagram_without_rport_goes_to_the_port_of_its_via() {
    let mut net = Net::new();
    let source = Hop { remote: "192.0.2.1:31337".parse().unwrap(), ..net.hop(B) };
    net.deliver_along(B, source, &request("INVITE", "z9hG4bK1", 1, ""));
    // The wire only carries what is sent to the Via's 192.0.2.1:5060.
    net.run(Duration::ZERO);
    assert_eq!(net.told(A), ["Refused no transaction"]);
}

#[test]
fn full_tables_answer_503_with_retry_after_and_keep_nothing() {
    let settings = Settings { max_dialogs: 2, ..Settings::default() };
    let mut net = Net::new();
    net.sides[B] = Endpoint::new(settings, Rng::from_seed(1));
    for call in 0..5 {
        net.deliver(
            B,
            &request("INVITE", &format!("z9hG4bK{call}"), 1, "").replace("tag=f", &format!("tag=f{call}")),
        );
    }
    assert_eq!(net.told(B).iter().filter(|told| *told == "Invite").count(), 2);
    assert_eq!((net.count(B, "503"), net.sides[B].transactions()), (3, 2));
    assert_eq!(header(&net.last(B, "503").text, "Retry-After"), "5");
    // A repeat gets the same answer, tag and all.
    let first = net.last(B, "503").text.clone();
    net.deliver(B, &request("INVITE", "z9hG4bK4", 1, "").replace("tag=f", "tag=f4"));
    assert_eq!(net.last(B, "503").text, first);

    let settings = Settings { max_transactions: 3, ..Settings::default() };
    net.sides[B] = Endpoint::new(settings, Rng::from_seed(1));
    for number in 0..5 {
        net.deliver(B, &request("OPTIONS", &format!("z9hG4bKo{number}"), number, ""));
    }
    assert_eq!(net.sides[B].transactions(), 3);
}

#[test]
fn a_sender_that_stops_half_way_leaves_nothing() {
    let mut net = Net::over(Transport::Udp, 3);
    net.lose = Box::new(|_, _| true);
    for call in 0..50 {
        let text =
            request("INVITE", &format!("z9hG4bK{call}"), 1, "").replace("tag=f", &format!("tag=f{call}"));
        net.deliver(B, &text);
        let called = dialog(&net.take(B)[0]).unwrap();
        match call % 3 {
            0 => net.order(B, |it, now| it.reject(now, called, 404, Extra::new())),
            1 => net.order(B, |it, now| it.accept(now, called, Extra::new(), offer())),
            _ => net.order(B, |it, now| it.bye(now, called, Extra::new())),
        }
    }
    net.finish();
}

#[test]
fn mangled_messages_harm_nobody() {
    let mut rng = Rng::from_seed(7);
    for _ in 0..40 {
        let mut net = Net::new();
        net.lose = Box::new(|_, _| true);
        let tag = talking(&mut net);
        let calling = net.invite();
        let invite = net.last(A, "INVITE").text.clone();
        let samples = [
            (B, request("INVITE", "z9hG4bK5", 5, &tag)),
            (B, request("ACK", "z9hG4bK6", 5, &tag)),
            (B, request("INVITE", "1", 1, "")),
            (B, request("CANCEL", "1", 1, "")),
            (B, request("INFO", "z9hG4bK7", 6, &tag)),
            (B, request("BYE", "z9hG4bK8", 7, &tag)),
            (A, response(&invite, 183, "f1", "Record-Route: <sip:192.0.2.50;lr>\r\n")),
            (A, response(&invite, 200, "f1", "")),
            (A, response(&invite, 401, "f2", "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n")),
        ];
        for _ in 0..400 {
            let (side, sample) = &samples[rng.below(samples.len())];
            let mut bytes = sample.clone().into_bytes();
            for _ in 0..rng.below(4) {
                let at = rng.below(bytes.len());
                match rng.below(3) {
                    0 => bytes[at] = rng.bits() as u8,
                    1 => drop(bytes.drain(at..(at + rng.below(9)).min(bytes.len()))),
                    _ => bytes.insert(at, b";=,<>\" 0"[rng.below(8)]),
                }
            }
            let hop = net.hop(*side);
            if let Ok(message) = Message::parse(bytes.into(), 65_535) {
                net.input(*side, Input::Message { hop, message });
            }
        }
        // Both users hang up whatever they have; what remains ends by itself.
        net.order(A, |it, now| it.bye(now, calling, Extra::new()));
        for event in net.take(B) {
            if let (Event::Invite { .. }, Some(called)) = (&event, dialog(&event)) {
                net.order(B, |it, now| it.bye(now, called, Extra::new()));
            }
        }
        net.run(200 * SECOND);
        assert!(net.sides[A].is_empty());
        assert!(net.sides[B].transactions() == 0 && net.sides[B].dialogs() <= 1, "the talk may go on");
    }
}

/// B talks with a hand-written caller whose last CSeq is 4; gives `;tag=…` of B.
fn talking(net: &mut Net) -> String {
    net.deliver(B, &request("INVITE", "z9hG4bK1", 4, ""));
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    let tag = tag_of(&net.last(B, "200").text, "To");
    net.deliver(B, &request("ACK", "z9hG4bK2", 4, &tag));
    assert_eq!(net.told(B), ["Acked"]);
    tag
}

fn request(method: &str, branch: &str, number: u32, to_tag: &str) -> String {
    format!(
        "{method} sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@a.example>;tag=f\r\nTo: <sip:b@b.example>{to_tag}\r\nCall-ID: c\r\n\
         CSeq: {number} {method}\r\nContact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A response to a printed request.
fn response(request: &str, status: u16, tag: &str, more: &str) -> String {
    let of = |name| header(request, name);
    format!(
        "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:100@192.0.2.77:5066>\r\n{more}Content-Length: 0\r\n\r\n",
        of("Via"),
        of("From"),
        of("To"),
        of("Call-ID"),
        of("CSeq"),
    )
}

/// `;tag=…` of a header.
fn tag_of(text: &str, name: &str) -> String {
    let value = header(text, name);
    value[value.find(";tag=").unwrap()..].to_owned()
}

fn routes(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("Route: ")).collect()
}
