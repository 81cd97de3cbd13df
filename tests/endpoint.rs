//! The SIP endpoint in virtual time: every timer of RFC 3261 §17 and RFC 6026 to the millisecond, calls and their
//! ends, and what strangers may send.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail, and begins at some moment"
)]

#[path = "endpoint/extensions.rs"]
mod extensions;
#[path = "endpoint/forks.rs"]
mod forks;
#[path = "endpoint/net.rs"]
mod net;
#[path = "endpoint/races.rs"]
mod races;
#[path = "seeds/mod.rs"]
mod seeds;
#[path = "endpoint/strangers.rs"]
mod strangers;
#[path = "endpoint/swarm.rs"]
mod swarm;

use std::time::Duration;

use sentral::sip::ConnectionId;
use sentral::sip::DialogId;
use sentral::sip::Event;
use sentral::sip::Extra;
use sentral::sip::Input;
use sentral::sip::Method;
use sentral::sip::Transport;
use sentral::sip::Uri;
use sentral::sip::endpoint::Credentials;
use sentral::sip::endpoint::OutOfDialog;
use sentral::sip::header::NameAddr;

use crate::net::A;
use crate::net::B;
use crate::net::Net;
use crate::net::dialog;
use crate::net::header;
use crate::net::offer;

/// Repeats at T1, doubling without bound until 64·T1.
const DOUBLING: [u128; 7] = [0, 500, 1500, 3500, 7500, 15_500, 31_500];
/// Repeats at T1, doubling up to T2.
const CAPPED: [u128; 11] = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[test]
fn an_invite_without_answer_is_repeated_doubling_and_fails_after_64_t1() {
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    net.invite();
    net.run(32 * SECOND - MS);
    assert_eq!(net.times(A, "INVITE"), DOUBLING);
    assert!(net.told(A).is_empty());
    net.run(MS);
    assert_eq!(net.told(A), ["Failed 408"]);
    assert!(net.sides[A].is_empty());
}

#[test]
fn another_request_is_repeated_up_to_every_t2_and_fails_after_64_t1() {
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    options(&mut net);
    net.run(32 * SECOND - MS);
    assert_eq!(net.times(A, "OPTIONS"), CAPPED);
    net.run(MS);
    assert_eq!(net.told(A), ["Response 408"]);
    assert!(net.sides[A].is_empty());
}

#[test]
fn a_provisional_response_slows_another_request_to_t2_and_stops_an_invite() {
    let mut net = Net::new();
    options(&mut net);
    net.run(100 * MS);
    let Some(Event::Request { transaction, .. }) = net.take(B).pop() else { panic!() };
    net.order(B, |it, now| it.respond(now, transaction, 183, Extra::new(), None));
    net.invite();
    net.run(10 * SECOND);
    assert_eq!(net.times(A, "OPTIONS"), [0, 500, 4500, 8500]);
    assert_eq!(net.times(A, "INVITE"), [100]);
    assert_eq!(net.times(B, "183"), [100, 500, 4500, 8500], "each repeat gets the answer again");
}

#[test]
fn streams_repeat_nothing_but_give_up_as_late() {
    let mut net = Net::over(Transport::Tcp, 1);
    net.lose = Box::new(|_, _| true);
    net.invite();
    options(&mut net);
    net.run(32 * SECOND - MS);
    assert_eq!((net.count(A, "INVITE"), net.count(A, "OPTIONS")), (1, 1));
    assert!(net.told(A).is_empty());
    net.run(MS);
    assert_eq!(net.told(A), ["Failed 408", "Response 408"]);
}

#[test]
fn a_failure_is_repeated_up_to_every_t2_until_64_t1_without_ack() {
    let mut net = Net::new();
    let call = ringing(&mut net);
    net.lose = Box::new(|sent, _| sent.by == A);
    net.order(B, |it, now| it.reject(now, call, 486, Extra::new()));
    net.run(32 * SECOND - MS);
    assert_eq!(net.times(B, "486"), CAPPED);
    assert_eq!(net.count(A, "ACK"), CAPPED.len(), "each repeat is acknowledged");
    assert_eq!(net.sides[B].transactions(), 1);
    net.run(MS);
    assert_eq!(net.sides[B].transactions(), 0, "timer H");
    net.finish();
}

#[test]
fn transactions_absorb_repeats_for_exactly_their_time() {
    // (transport, how many ms a failed INVITE lives with its caller (D) and callee (I), OPTIONS likewise (K, J))
    let rows = [(Transport::Udp, [32_000, 5_000, 5_000, 32_000]), (Transport::Tcp, [0; 4])];
    for (transport, [d, i, k, j]) in rows {
        let mut net = Net::over(transport, 1);
        let call = ringing(&mut net);
        net.order(B, |it, now| it.reject(now, call, 486, Extra::new()));
        net.run(Duration::ZERO);
        assert_eq!(lives(&mut net), [d, i], "{transport:?}");
        let mut net = Net::over(transport, 1);
        options(&mut net);
        net.run(Duration::ZERO);
        answer_all(&mut net, 200);
        net.run(Duration::ZERO);
        assert_eq!(lives(&mut net), [k, j], "{transport:?}");
    }
    // Timers L and M (RFC 6026) are the same on all transports.
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::over(transport, 1);
        established(&mut net);
        assert_eq!(lives(&mut net), [32_000, 32_000], "{transport:?}");
    }
}

#[test]
fn a_call_is_made_answered_and_ended() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::over(transport, 1);
        let calling = net.invite();
        net.run(Duration::ZERO);
        assert_eq!(net.count(B, "100"), 1, "at once");
        let events = net.take(B);
        let called = dialog(&events[0]).unwrap();
        net.order(B, |it, now| it.ring(now, called, 180, Extra::new(), None));
        net.run(SECOND);
        net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
        net.run(Duration::ZERO);
        assert_eq!(net.told(A), ["Progress 180", "Answered"]);
        net.order(A, |it, now| it.ack(now, calling, None));
        net.run(Duration::ZERO);
        assert_eq!(net.told(B), ["Acked"]);
        net.order(B, |it, now| it.bye(now, called, vec![("Reason", "Q.850;cause=16".to_owned())]));
        net.run(Duration::ZERO);
        assert_eq!(net.told(A), ["Bye"]);
        assert_eq!((net.sides[A].dialogs(), net.sides[B].dialogs()), (0, 0));
        assert!(net.told(B).is_empty());
        assert_eq!(net.log.len(), 7, "INVITE 100 180 200 ACK BYE 200");
        net.finish();
    }
}

#[test]
fn a_ringing_call_is_told_every_minute() {
    let mut net = Net::new();
    ringing(&mut net);
    net.run(150 * SECOND);
    assert_eq!(net.times(B, "180"), [0, 60_000, 120_000]);
}

#[test]
fn a_lost_200_comes_again_and_a_lost_ack_too() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::over(transport, 1);
        net.lose = Box::new(|sent, before| match &*sent.line {
            "200 OK" => sent.of == "INVITE" && before == 0,
            line => line.starts_with("ACK") && before == 0,
        });
        let (calling, _) = established(&mut net);
        net.run(10 * SECOND);
        assert_eq!(net.times(B, "200"), [0, 500, 1500]);
        assert_eq!(net.times(A, "ACK"), [500, 1500]);
        assert_eq!(net.told(B), ["Acked"], "only once");
        net.order(A, |it, now| it.bye(now, calling, Extra::new()));
        net.finish();
    }
}

#[test]
fn a_call_never_acknowledged_ends_with_bye_after_exactly_64_t1() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::over(transport, 1);
        net.lose = Box::new(|sent, _| sent.line.starts_with("ACK"));
        established(&mut net);
        net.run(32 * SECOND - MS);
        assert_eq!(net.times(B, "200"), CAPPED, "on every transport");
        assert!(net.told(B).is_empty());
        net.run(MS);
        assert_eq!(net.told(B), ["NotAcked"]);
        assert_eq!(net.times(B, "BYE"), [32_000]);
        net.run(MS);
        assert_eq!(net.told(A), ["Bye"]);
        net.finish();
    }
}

#[test]
fn a_callee_that_hangs_up_before_the_ack_waits_for_it() {
    // The ACK comes.
    let mut net = Net::new();
    net.lose = Box::new(|sent, before| sent.line.starts_with("ACK") && before == 0);
    let (_, called) = established(&mut net);
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    net.run(10 * SECOND);
    assert_eq!(net.times(B, "BYE"), [500]);
    assert!(net.told(B).is_empty(), "the dialog was gone for its user");
    net.finish();
    // It never comes.
    let mut net = Net::new();
    net.lose = Box::new(|sent, _| sent.line.starts_with("ACK"));
    let (_, called) = established(&mut net);
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    net.run(40 * SECOND);
    assert_eq!(net.times(B, "BYE"), [32_000]);
    assert!(net.told(B).is_empty());
    net.finish();
}

#[test]
fn cancel_before_any_response_waits_for_one() {
    let mut net = Net::new();
    net.lose = Box::new(|sent, before| sent.line.starts_with("100") && before == 0);
    let calling = net.invite();
    net.order(A, |it, now| it.cancel(now, calling, vec![("Reason", "SIP;cause=200".to_owned())]));
    net.run(499 * MS);
    assert_eq!(net.count(A, "CANCEL"), 0);
    net.run(SECOND);
    assert_eq!(net.times(A, "CANCEL"), [500]);
    assert_eq!(net.told(A), ["Failed 487"]);
    let events = net.take(B);
    assert!(
        matches!(&events[..], [Event::Invite { .. }, Event::Cancelled { reason: Some(_), .. }]),
        "{events:?}"
    );
    net.finish();
}

#[test]
fn cancel_without_any_response_fails_as_the_invite_does() {
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    let calling = net.invite();
    net.order(A, |it, now| it.cancel(now, calling, Extra::new()));
    net.run(33 * SECOND);
    assert_eq!((net.count(A, "CANCEL"), net.told(A)), (0, vec!["Failed 408".to_owned()]));
    net.finish();
}

#[test]
fn cancel_while_ringing_ends_both_sides() {
    let mut net = Net::new();
    let calling = net.invite();
    net.run(SECOND);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.ring(now, called, 180, Extra::new(), None));
    net.run(SECOND);
    net.order(A, |it, now| it.cancel(now, calling, Extra::new()));
    net.run(SECOND);
    assert_eq!(net.told(A), ["Progress 180", "Failed 487"]);
    assert_eq!(net.told(B), ["Cancelled"]);
    // What the user does with a call that is over comes to nothing.
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    assert_eq!(net.count(B, "200 OK"), 1, "to CANCEL only");
    let branch = |line| header(&net.last(A, line).text, "Via").to_owned();
    assert!(branch("INVITE") == branch("CANCEL") && branch("INVITE") == branch("ACK"));
    net.finish();
}

#[test]
fn a_cancel_that_is_never_answered_ends_the_call_after_64_t1() {
    let mut net = Net::new();
    let calling = net.invite();
    net.run(SECOND);
    net.lose = Box::new(|_, _| true);
    net.order(A, |it, now| it.cancel(now, calling, Extra::new()));
    net.run(32 * SECOND - MS);
    assert!(net.told(A).is_empty());
    net.run(MS);
    assert_eq!(net.told(A), ["Failed 487"]);
}

#[test]
fn a_200_that_crosses_the_cancel_is_reported_as_an_answer() {
    let mut net = Net::new();
    let calling = net.invite();
    net.run(SECOND);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.order(A, |it, now| it.cancel(now, calling, Extra::new()));
    net.run(Duration::ZERO);
    assert_eq!(net.told(A), ["Answered"]);
    net.order(A, |it, now| it.ack(now, calling, None));
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.run(SECOND);
    assert_eq!(net.told(B), ["Acked", "Bye"]);
    net.run(100 * SECOND);
    assert!(net.told(A).is_empty());
    net.finish();
}

#[test]
fn a_caller_that_hangs_up_early_hears_nothing_more_even_if_the_200_crosses() {
    let mut net = Net::new();
    let calling = net.invite();
    net.run(SECOND);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.run(SECOND);
    assert!(net.told(A).is_empty());
    assert_eq!(net.told(B), ["Acked", "Bye"]);
    net.finish();
}

#[test]
fn byes_that_cross_are_both_answered_with_200() {
    let mut net = Net::new();
    let (calling, called) = established(&mut net);
    net.take(B);
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    net.run(SECOND);
    assert_eq!(net.count(A, "200") + net.count(B, "200"), 3, "INVITE and two BYEs");
    assert!(net.told(A).is_empty() && net.told(B).is_empty());
    net.finish();
}

#[test]
fn either_side_changes_the_session_and_a_refusal_leaves_it() {
    let mut net = Net::new();
    let (calling, called) = established(&mut net);
    net.take(B);
    for (from, dialog, other, peer) in [(A, calling, B, called), (B, called, A, calling)] {
        net.order(from, |it, now| it.reinvite(now, dialog, Some(offer()))).unwrap();
        net.run(Duration::ZERO);
        assert_eq!(net.told(other), ["Reoffer"]);
        net.order(other, |it, now| it.accept(now, peer, Extra::new(), offer()));
        net.run(Duration::ZERO);
        assert_eq!(net.told(from), ["Reanswered"]);
        assert!(net.order(from, |it, now| it.reinvite(now, dialog, None)).is_err(), "before the ACK");
        net.order(from, |it, now| it.ack(now, dialog, None));
        net.run(Duration::ZERO);
        assert_eq!(net.told(other), ["Acked"]);
        net.order(from, |it, now| it.reinvite(now, dialog, None)).unwrap();
        net.run(Duration::ZERO);
        assert_eq!(net.told(other), ["Reoffer"]);
        net.order(other, |it, now| it.reject(now, peer, 488, Extra::new()));
        net.run(Duration::ZERO);
        assert_eq!(net.told(from), ["ReofferFailed 488"]);
    }
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn reinvites_that_cross_are_both_refused_with_491() {
    let mut net = Net::new();
    let (calling, called) = established(&mut net);
    net.take(B);
    net.order(A, |it, now| it.reinvite(now, calling, Some(offer()))).unwrap();
    net.order(B, |it, now| it.reinvite(now, called, Some(offer()))).unwrap();
    net.run(SECOND);
    for side in [A, B] {
        assert_eq!(net.told(side), ["Refused INVITE in progress", "ReofferFailed 491"]);
    }
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn a_reinvite_that_its_call_leaves_behind_ends_after_64_t1() {
    let mut net = Net::new();
    let (calling, _) = established(&mut net);
    net.order(A, |it, now| it.reinvite(now, calling, None)).unwrap();
    net.run(SECOND);
    net.lose = Box::new(|sent, _| sent.by == B && sent.of == "INVITE");
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.run(32 * SECOND);
    assert!(net.sides[A].is_empty() && net.told(A).is_empty());
    net.finish();
}

#[test]
fn a_lost_dialog_is_ended_after_481_or_silence() {
    // The other side knows nothing of the dialog.
    let mut net = Net::new();
    let (calling, called) = established(&mut net);
    net.lose = Box::new(|sent, _| sent.line.starts_with("BYE"));
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    net.run(40 * SECOND);
    net.take(B);
    let asked = net.order(A, |it, now| it.request_in(now, calling, Method::Info, Extra::new(), None));
    assert!(asked.is_some());
    net.run(SECOND);
    assert_eq!(net.told(A), ["Response 481", "Gone"]);
    assert_eq!(net.count(A, "BYE"), 2, "sent and repeated");
    net.finish();
    // It says nothing.
    let mut net = Net::new();
    let (calling, _) = established(&mut net);
    net.lose = Box::new(|_, _| true);
    net.order(A, |it, now| it.reinvite(now, calling, None)).unwrap();
    net.run(32 * SECOND);
    assert_eq!(net.told(A), ["Gone"]);
    net.run(32 * SECOND);
    assert!(net.sides[A].is_empty());
}

#[test]
fn a_closed_connection_fails_requests_but_not_dialogs() {
    let mut net = Net::over(Transport::Tcp, 1);
    let (calling, called) = established(&mut net);
    net.take(B);
    net.lose = Box::new(|sent, _| sent.by == A);
    net.order(A, |it, now| it.request_in(now, calling, Method::Info, Extra::new(), None));
    net.input(A, Input::Closed { connection: ConnectionId(1) });
    assert_eq!(net.told(A), ["Response 503", "Closed"]);
    assert_eq!(net.sides[A].hop(calling).unwrap().connection, None, "a new one is opened");
    net.lose = Box::new(|_, _| false);
    net.order(B, |it, now| it.bye(now, called, Extra::new()));
    net.run(SECOND);
    assert_eq!(net.told(A), ["Bye"]);
    net.finish();
}

#[test]
fn a_call_that_cannot_be_sent_fails_with_503() {
    let mut net = Net::new();
    net.lose = Box::new(|_, _| true);
    net.invite();
    let hop = net.hop(A);
    net.input(A, Input::SendFailed { hop });
    assert_eq!(net.told(A), ["Failed 503"]);
    assert!(net.sides[A].is_empty());
}

#[test]
fn an_answer_takes_a_new_connection_when_its_own_is_gone() {
    let mut net = Net::over(Transport::Tcp, 1);
    options(&mut net);
    net.run(Duration::ZERO);
    net.input(B, Input::Closed { connection: ConnectionId(1) });
    answer_all(&mut net, 200);
    net.run(SECOND);
    assert_eq!(net.told(A), ["Response 200"]);
    net.finish();
}

#[test]
fn a_challenge_is_answered_once_with_the_next_cseq_in_every_kind_of_request() {
    let mut net = Net::new();
    let mut call = net.call();
    call.credentials = Some(Credentials { user: "200".to_owned(), password: "secret".to_owned() });
    let calling = net.order(A, |it, now| it.invite(now, call));
    net.run(Duration::ZERO);
    let first = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.reject(now, first, 401, challenge("WWW-Authenticate")));
    net.run(Duration::ZERO);
    let called = dialog(&net.take(B)[0]).unwrap();
    let tries: Vec<_> = net.log.iter().filter(|sent| sent.line.starts_with("INVITE")).collect();
    let [one, two] = &tries[..] else { panic!("{tries:?}") };
    assert_eq!(header(&one.text, "Call-ID"), header(&two.text, "Call-ID"));
    assert_eq!(header(&one.text, "From"), header(&two.text, "From"));
    assert_eq!(number(&one.text) + 1, number(&two.text));
    assert_ne!(header(&one.text, "Via"), header(&two.text, "Via"));
    assert!(header(&two.text, "Authorization").starts_with("Digest username=\"200\""), "{}", two.text);
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.run(Duration::ZERO);
    net.order(A, |it, now| it.ack(now, calling, None));
    net.run(Duration::ZERO);
    assert!(!header(&net.last(A, "ACK").text, "Authorization").is_empty(), "the ACK bears them too");
    assert_eq!((net.told(A), net.told(B)), (vec!["Answered".to_owned()], vec!["Acked".to_owned()]));
    // In the dialog; and the second challenge is the end of it.
    net.order(A, |it, now| it.request_in(now, calling, Method::Info, Extra::new(), None));
    for _ in 0..2 {
        net.run(Duration::ZERO);
        let Some(Event::Request { transaction, .. }) = net.take(B).pop() else { panic!() };
        net.order(B, |it, now| it.respond(now, transaction, 407, challenge("Proxy-Authenticate"), None));
    }
    net.run(Duration::ZERO);
    assert_eq!(net.count(A, "INFO"), 2);
    assert_eq!(net.told(A), ["Response 407"]);
    net.order(A, |it, now| it.bye(now, calling, Extra::new()));
    net.finish();
}

#[test]
fn a_request_the_user_does_not_answer_ends_after_64_t1() {
    let mut net = Net::new();
    options(&mut net);
    net.run(32 * SECOND);
    assert_eq!(net.told(A)[0], "Response 408");
    assert_eq!(net.times(B, "480"), [32_000]);
    assert_eq!(net.told(B), ["Request OPTIONS", "Refused unanswered"]);
    net.finish();
}

#[test]
fn a_subscription_is_a_dialog_for_notifies_until_it_is_forgotten() {
    let mut net = Net::new();
    let hop = net.hop(A);
    net.order(A, |it, now| it.request(now, out_of_dialog(hop, Method::Subscribe)));
    net.run(Duration::ZERO);
    let Some(Event::Request { transaction, .. }) = net.take(B).pop() else { panic!() };
    let expires = vec![("Expires", "300".to_owned())];
    let watched = net.order(B, |it, now| it.subscribe_accept(now, transaction, expires)).unwrap();
    net.run(Duration::ZERO);
    assert_eq!(net.told(A), ["Response 200"]);
    let answer = net.last(B, "200").text.clone();
    assert_eq!(header(&answer, "Contact"), "<sip:100@192.0.2.2:5060>");
    let state = vec![("Event", "dialog".to_owned()), ("Subscription-State", "active".to_owned())];
    net.order(B, |it, now| it.request_in(now, watched, Method::Notify, state, None));
    let notify = net.last(B, "NOTIFY").clone();
    assert_eq!(notify.line, "NOTIFY sip:200@192.0.2.1:5060");
    assert_eq!(header(&notify.text, "From"), header(&answer, "To"));
    net.order(B, |it, _| it.forget(watched));
    assert_eq!(net.sides[B].dialogs(), 0);
    net.finish();
}

/// B has a call and rings.
fn ringing(net: &mut Net) -> DialogId {
    net.invite();
    net.run(Duration::ZERO);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.ring(now, called, 180, Extra::new(), None));
    net.run(Duration::ZERO);
    net.take(A);
    called
}

/// A has called B, B has accepted at once; A acknowledges as soon as it hears of it.
fn established(net: &mut Net) -> (DialogId, DialogId) {
    let calling = net.invite();
    net.run(Duration::ZERO);
    let called = dialog(&net.take(B)[0]).unwrap();
    net.order(B, |it, now| it.accept(now, called, Extra::new(), offer()));
    net.run(Duration::ZERO);
    if net.take(A).is_empty() {
        net.run(500 * MS);
        net.take(A);
    }
    net.order(A, |it, now| it.ack(now, calling, None));
    net.run(Duration::ZERO);
    (calling, called)
}

fn options(net: &mut Net) {
    let hop = net.hop(A);
    net.order(A, |it, now| it.request(now, out_of_dialog(hop, Method::Options)));
}

fn out_of_dialog(hop: sentral::sip::Hop, method: Method) -> OutOfDialog {
    OutOfDialog {
        method,
        uri: Uri::parse("sip:100@192.0.2.2").unwrap(),
        hop,
        route: Vec::new(),
        from: NameAddr::parse("<sip:200@a.example>").unwrap(),
        to: NameAddr::parse("<sip:100@b.example>").unwrap(),
        call_id: None,
        cseq: None,
        extra: vec![("Event", "dialog".to_owned())],
        body: None,
        credentials: None,
        contact_user: Some("200".to_owned()),
    }
}

fn answer_all(net: &mut Net, status: u16) {
    for event in net.take(B) {
        if let Event::Request { transaction, .. } = event {
            net.order(B, |it, now| it.respond(now, transaction, status, Extra::new(), None));
        }
    }
}

/// How many milliseconds each side keeps its transactions from now on.
fn lives(net: &mut Net) -> [u128; 2] {
    let start = net.elapsed();
    let mut lives = [None; 2];
    loop {
        for side in [A, B] {
            if net.sides[side].transactions() == 0 {
                lives[side].get_or_insert((net.elapsed() - start).as_millis());
            }
        }
        if let [Some(a), Some(b)] = lives {
            return [a, b];
        }
        let next = net.next().expect("a transaction has a deadline");
        net.step(next);
    }
}

fn challenge(name: &'static str) -> Extra {
    vec![(name, "Digest realm=\"b\", nonce=\"n\", algorithm=MD5, qop=\"auth\"".to_owned())]
}

fn number(text: &str) -> u32 {
    header(text, "CSeq").split(' ').next().unwrap().parse().unwrap()
}
