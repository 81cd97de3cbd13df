//! One INVITE of ours and several callees behind a proxy, whose answers are written by hand and come by seed: early,
//! twice, in any order, and from several callees at once (RFC 3261 §13.2.2.4, RFC 3262 §4).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use sentral::rand::Rng;
use sentral::sip::Event;
use sentral::sip::Extra;

use crate::MS;
use crate::SECOND;
use crate::net::A;
use crate::net::Net;
use crate::net::header;
use crate::net::word;
use crate::races::SEEDS;
use crate::seeds;

/// An answer of one callee.
#[derive(Clone, Debug)]
struct Answer {
    callee: usize,
    status: u16,
    /// RSeq, if it wants a PRACK.
    rseq: Option<u32>,
}

#[test]
fn the_first_2xx_of_several_callees_is_the_call_and_every_other_is_acknowledged_and_ended() {
    seeds::race(SEEDS, &["one answer", "two answers", "answer after CANCEL", "cancelled"], |seed| {
        let mut rng = Rng::from_seed(seed ^ 0xf04c);
        let mut net = Net::new();
        net.lose =
            Box::new(|sent, _| ["INVITE", "CANCEL"].iter().any(|method| sent.line.starts_with(method)));
        let call = net.invite();
        let invite = net.last(A, "INVITE").text.clone();
        let answers = answers(&mut rng);
        let cancel = (rng.below(3) == 0).then(|| Duration::from_millis(rng.below(3000) as u64));
        let (mut told, mut came) = (Vec::new(), Vec::new());
        for (instant, answer) in answers {
            let until = Duration::from_micros(instant);
            if let Some(at) = cancel.filter(|at| (net.elapsed()..until).contains(at)) {
                net.run(at - net.elapsed());
                net.order(A, |it, now| it.cancel(now, call, Extra::new()));
            }
            net.run(until - net.elapsed());
            net.deliver(A, &written(&invite, &answer));
            came.push(answer);
            for event in net.take(A) {
                told.push(word(&event));
                if let Event::Answered { response, .. } = event {
                    let to = response.to().unwrap();
                    told.push(to.tag().unwrap().to_owned());
                    net.order(A, |it, now| it.ack(now, call, None));
                }
            }
        }
        let cancelled = net.count(A, "CANCEL") > 0;
        let accepted: Vec<usize> = came.iter().filter(|it| it.status == 200).map(|it| it.callee).collect();
        if accepted.is_empty() {
            net.deliver(A, &written(&invite, &Answer { callee: 0, status: 487, rseq: None }));
            told.extend(net.told(A));
        }
        judge(&net, &came, &told, &accepted);
        net.order(A, |it, now| it.bye(now, call, Extra::new()));
        net.run(SECOND);
        let callees: BTreeSet<usize> = accepted.iter().copied().collect();
        for callee in &callees {
            assert_eq!(branches(&net, "BYE", *callee).len(), 1, "each callee that answered is hung up once");
        }
        assert!(branches(&net, "BYE", 99).is_empty());
        net.take(A);
        net.finish();
        match (callees.len(), cancelled) {
            (0, _) => "cancelled",
            (_, true) => "answer after CANCEL",
            (1, false) => "one answer",
            (_, false) => "two answers",
        }
    });
}

/// What the callees say and when, in microseconds: each up to three provisional answers and perhaps a 200, each once or
/// more often. One callee sends a reliable answer only after the one before.
fn answers(rng: &mut Rng) -> BTreeMap<u64, Answer> {
    let mut answers = BTreeMap::new();
    for callee in 0..3 {
        let reliable = rng.below(2) == 0;
        let first = 1 + rng.below(1000) as u32;
        let mut from = 0;
        for n in 0..rng.below(4) as u32 {
            let rseq = reliable.then_some(first + n);
            let status = [180, 183, 182][rng.below(3)];
            let at = from + rng.below(900_000) as u64;
            from = at;
            for _ in 0..1 + rng.below(2) {
                answers.insert(at + rng.below(700_000) as u64, Answer { callee, status, rseq });
            }
        }
        if rng.below(3) > 0 {
            let at = rng.below(3_000_000) as u64;
            for _ in 0..1 + rng.below(3) {
                answers.insert(at + rng.below(2_000_000) as u64, Answer { callee, status: 200, rseq: None });
            }
        }
    }
    answers
}

/// What the caller was told and sent, against what came to it.
fn judge(net: &Net, came: &[Answer], told: &[String], accepted: &[usize]) {
    let mut expected = Vec::new();
    let mut last: BTreeMap<usize, u32> = BTreeMap::new();
    let mut pracks: BTreeSet<(usize, u32)> = BTreeSet::new();
    let until = came.iter().position(|it| it.status == 200).unwrap_or(came.len());
    for answer in &came[..until] {
        if let Some(rseq) = answer.rseq {
            // RFC 3262 §4: the first of a callee, then the next one each time.
            if last.get(&answer.callee).is_some_and(|last| last + 1 != rseq) {
                continue;
            }
            last.insert(answer.callee, rseq);
            pracks.insert((answer.callee, rseq));
        }
        expected.push(format!("Progress {}", answer.status));
    }
    match accepted.first() {
        Some(callee) => expected.extend(["Answered".to_owned(), format!("callee{callee}")]),
        None => expected.push("Failed 487".to_owned()),
    }
    assert_eq!(told, expected);
    let sent = net.log.iter().filter(|sent| sent.by == A && sent.line.starts_with("PRACK"));
    let sent: BTreeSet<(usize, u32)> = sent
        .map(|sent| {
            let callee = header(&sent.text, "To").rsplit("callee").next().unwrap().parse().unwrap();
            assert!(sent.line.starts_with(&format!("PRACK sip:at{callee}@")), "{}", sent.line);
            (callee, header(&sent.text, "RAck").split(' ').next().unwrap().parse().unwrap())
        })
        .collect();
    assert_eq!(sent, pracks);
    for callee in 0..3 {
        // §13.2.2.4: each 2xx gets its ACK, a repeated one again.
        let acks = net.log.iter().filter(|sent| {
            sent.by == A
                && sent.line.starts_with(&format!("ACK sip:at{callee}@"))
                && header(&sent.text, "To").ends_with(&format!("callee{callee}"))
        });
        assert_eq!(acks.count(), accepted.iter().filter(|it| **it == callee).count(), "ACKs of {callee}");
    }
}

/// The branches of requests to one callee.
fn branches(net: &Net, method: &str, callee: usize) -> BTreeSet<String> {
    let sent = net.log.iter().filter(|sent| {
        sent.by == A
            && sent.line.starts_with(method)
            && header(&sent.text, "To").ends_with(&format!("callee{callee}"))
    });
    sent.map(|sent| header(&sent.text, "Via").to_owned()).collect()
}

fn written(invite: &str, answer: &Answer) -> String {
    let Answer { callee, status, rseq } = answer;
    let of = |name| header(invite, name);
    let reliable = rseq.map(|rseq| format!("Require: 100rel\r\nRSeq: {rseq}\r\n")).unwrap_or_default();
    format!(
        "SIP/2.0 {status} Written\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=callee{callee}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:at{callee}@192.0.2.2:5060>\r\n{reliable}Content-Length: 0\r\n\r\n",
        of("Via"),
        of("From"),
        of("To"),
        of("Call-ID"),
        of("CSeq"),
    )
}

#[test]
fn a_request_of_one_early_callee_does_not_lead_those_to_another_astray() {
    let mut net = Net::new();
    net.lose = Box::new(|sent, _| sent.line.starts_with("INVITE"));
    net.invite();
    let invite = net.last(A, "INVITE").text.clone();
    let ring = |callee, rseq| written(&invite, &Answer { callee, status: 183, rseq: Some(rseq) });
    net.deliver(A, &ring(0, 1));
    net.deliver(A, &ring(1, 1));
    let update = format!(
        "UPDATE sip:200@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKu\r\nFrom: {};tag=callee0\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: 1 UPDATE\r\nContact: <sip:at0@192.0.2.2:5060>\r\nContent-Length: 0\r\n\r\n",
        header(&invite, "To"),
        header(&invite, "From"),
        header(&invite, "Call-ID"),
    );
    net.deliver(A, &update);
    assert!(net.last(A, "200").of == "UPDATE");
    let call = net.take(A).iter().find_map(crate::net::dialog).unwrap();
    let info =
        net.order(A, |it, now| it.request_in(now, call, sentral::sip::Method::Info, Extra::new(), None));
    assert!(info.is_some());
    let sent = net.last(A, "INFO");
    assert!(header(&sent.text, "To").ends_with("callee1"), "{}", sent.text);
    assert!(sent.line.starts_with("INFO sip:at1@"), "{}", sent.line);
    net.order(A, |it, now| it.cancel(now, call, Extra::new()));
    net.run(MS);
    net.deliver(A, &written(&invite, &Answer { callee: 1, status: 487, rseq: None }));
    net.take(A);
    net.finish();
}
