//! Races between two endpoints: the seed decides when each user acts and what the network does; what both sides end with
//! must be what a small reference says from the order in which things happened. `SIM_SEED=` replays one run, `SIM_SEEDS=`
//! says how many there are of each race.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use sentral::rand::Rng;
use sentral::sip::DialogId;
use sentral::sip::Event;
use sentral::sip::Extra;
use sentral::sip::Method;
use sentral::sip::TransactionId;
use sentral::sip::Transport;

use crate::CAPPED;
use crate::MS;
use crate::SECOND;
use crate::net::A;
use crate::net::B;
use crate::net::Happened;
use crate::net::Net;
use crate::net::dialog;
use crate::net::header;
use crate::net::offer;
use crate::seeds;

/// Seeds of an ordinary run of each race.
pub(crate) const SEEDS: u64 = 400;

/// What a user does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Ring(u16, bool),
    Accept,
    Respond(TransactionId),
    Ack,
    Cancel,
    Bye,
    Reinvite,
    Update,
}

/// Two endpoints, their users, and the one dialog between them.
struct Race {
    net: Net,
    rng: Rng,
    plans: BTreeMap<(Duration, usize), (usize, Act)>,
    serial: usize,
    dialogs: [Option<DialogId>; 2],
    /// Longest time that a user takes to answer or acknowledge, in milliseconds.
    slow_ms: usize,
    /// Who is answered hangs up at once.
    hangs_up: bool,
    /// Changes of the session that each side still wants, and how.
    wants: [Option<Act>; 2],
}

#[test]
fn of_cancel_and_200_the_first_at_the_callee_decides_and_nobody_is_left_up() {
    seeds::race(SEEDS, &["answered", "cancelled"], |seed| {
        let mut race = Race::new(seed);
        race.hangs_up = true;
        race.weather(&[0, 100, 300, 600], 900);
        race.call(Extra::new());
        race.plan(B, Act::Ring(180, false), 300);
        race.plan(B, Act::Accept, 4000);
        race.plan(A, Act::Cancel, 4000);
        race.pass(200 * SECOND);
        let history = &race.net.history;
        let (accept, cancel) = (at(history, B, "! accept"), at(history, B, "< CANCEL"));
        let (ok, failed) = (at(history, A, "< 200 INVITE"), at(history, A, "> Failed"));
        // §9.2: a CANCEL after the final answer has no effect; before it, the answer is 487.
        assert_eq!(at(history, B, "> Cancelled") < NEVER, cancel < accept && cancel < NEVER);
        assert_eq!(at(history, B, "= 200 INVITE") < NEVER, accept < cancel);
        // The caller learns of the answer unless none of the 200s came while it waited.
        assert_eq!(at(history, A, "> Answered") < NEVER, ok < failed);
        assert!((ok < failed) != (failed < NEVER), "exactly one of both ends the INVITE");
        match (accept < cancel, ok < failed) {
            (true, true) => {
                assert!(race.net.count(A, "ACK") > 0 && race.net.count(A, "BYE") > 0);
                race.ends("answered")
            }
            (true, false) => race.ends("lost"),
            (false, _) if cancel < NEVER => {
                assert!(race.net.count(B, "487") > 0);
                race.ends("cancelled")
            }
            (false, _) => race.ends("unheard"),
        }
    });
}

#[test]
fn a_bye_waits_for_the_ack_and_byes_of_both_sides_end_quietly() {
    seeds::race(SEEDS, &["waited", "crossed", "told"], |seed| {
        let mut race = Race::new(seed);
        race.slow_ms = 700;
        if seed.is_multiple_of(2) {
            race.weather(&[0, 100, 300], 500);
            race.call(Extra::new());
            race.plan_at(B, Act::Accept, 600 * MS);
            race.plan_at(B, Act::Bye, 601 * MS);
            race.plan_at(A, Act::Cancel, 60 * SECOND);
            race.pass(200 * SECOND);
            let history = &race.net.history;
            let (bye, ack) = (at(history, B, "= BYE"), at(history, B, "< ACK"));
            let Some(sent) = history.get(bye) else { return race.ends("unheard") };
            // §15: not before the ACK, or the end of waiting for it.
            assert!(ack < bye || sent.at == 32_600 * MS, "BYE at {:?}", sent.at);
            assert!(at(history, A, "> Bye") < NEVER || ack == NEVER);
            return race.ends("waited");
        }
        race.establish();
        race.weather(&[0, 100, 300], 500);
        race.plan(A, Act::Bye, 600);
        race.plan(B, Act::Bye, 600);
        race.pass(200 * SECOND);
        let history = &race.net.history;
        let mut outcome = "crossed";
        for side in [A, B] {
            let (theirs, ours) = (at(history, side, "< BYE"), at(history, side, "! bye"));
            assert_eq!(at(history, side, "> Bye") < NEVER, theirs < ours, "side {side}");
            if theirs < ours {
                outcome = "told";
            }
        }
        race.ends(outcome)
    });
}

#[test]
fn a_bye_that_meets_a_reinvite_or_an_update_ends_both_sides() {
    seeds::race(SEEDS, &["told", "gone", "changed first"], |seed| {
        let mut race = Race::new(seed);
        race.establish();
        race.weather(&[0, 100, 300], 500);
        race.slow_ms = 200;
        let change = if race.rng.below(2) == 0 { Act::Reinvite } else { Act::Update };
        let (by, other) = if race.rng.below(2) == 0 { (A, B) } else { (B, A) };
        race.plan(by, change, 500);
        race.plan(other, Act::Bye, 900);
        race.pass(200 * SECOND);
        let history = &race.net.history;
        let ended = at(history, other, "! bye");
        let nothing_more = |it: &&Happened| it.side == other && it.what.starts_with("> ") && !is_refusal(it);
        assert_eq!(history[ended..].iter().filter(nothing_more).count(), 0, "told after its BYE");
        // §12.2.1.2: 481 ends the dialog as well as the BYE does; the first of them is told.
        let bye = at(history, by, "< BYE");
        let unknown = at(history, by, "< 481 INVITE").min(at(history, by, "< 481 UPDATE"));
        assert_eq!(at(history, by, "> Bye") < NEVER, bye < unknown);
        assert_eq!(at(history, by, "> Gone") < NEVER, unknown < bye);
        let changed = at(history, by, "> Reanswered").min(at(history, by, "> Response 200"));
        match (changed < NEVER, bye < unknown) {
            (true, _) => race.ends("changed first"),
            (false, true) => race.ends("told"),
            (false, false) => race.ends("gone"),
        }
    });
}

#[test]
fn offers_that_cross_are_refused_and_both_get_through_one_after_the_other() {
    seeds::race(SEEDS, &["crossed", "one at a time"], |seed| {
        let mut race = Race::new(seed);
        race.establish();
        race.weather(&[0, 100, 200], 400);
        race.slow_ms = 400;
        for side in [A, B] {
            let kind = if race.rng.below(2) == 0 { Act::Reinvite } else { Act::Update };
            race.wants[side] = Some(kind);
            race.plan(side, kind, 900);
        }
        race.pass(90 * SECOND);
        let refusals = judge_offers(&race.net.history);
        assert!(race.wants.iter().all(Option::is_none), "a change never got through: {:?}", race.wants);
        race.plan(A, Act::Bye, 100);
        race.pass(90 * SECOND);
        race.ends(if refusals > 0 { "crossed" } else { "one at a time" })
    });
}

#[test]
fn a_second_reinvite_inside_an_unanswered_one_gets_500_and_a_time_to_wait() {
    seeds::race(SEEDS, &["unanswered", "not acknowledged"], |seed| {
        let mut race = Race::new(seed);
        race.establish();
        race.slow_ms = 900;
        race.plan_at(A, Act::Reinvite, SECOND);
        race.pass(Duration::ZERO);
        let first = race.net.last(A, "INVITE").text.clone();
        let wait = race.rng.below(900) as u64;
        race.pass(Duration::from_millis(wait));
        let verdict = Offers::of(&race.net.history, B).verdict(true);
        if verdict > 0 {
            race.net.deliver(B, &renumbered(&first));
            let answer = race.net.log.iter().rfind(|it| it.text.contains("z9hG4bKagain")).unwrap();
            assert!(answer.line.starts_with(&verdict.to_string()), "{verdict} and not {}", answer.line);
            let wait = header(&answer.text, "Retry-After").parse::<u32>();
            assert_eq!(wait.is_ok_and(|seconds| seconds <= 10), verdict == 500, "§14.2");
        }
        race.pass(20 * SECOND);
        assert!(at(&race.net.history, A, "> Reanswered") < NEVER, "the first is not disturbed");
        race.plan(A, Act::Bye, 100);
        race.pass(90 * SECOND);
        race.ends(match verdict {
            500 => "unanswered",
            491 => "not acknowledged",
            _ => "too late",
        })
    });
}

#[test]
fn reliable_answers_arrive_once_in_order_and_no_prack_is_refused_while_the_call_stands() {
    seeds::race(SEEDS, &["answered", "cancelled"], |seed| {
        let mut race = Race::new(seed);
        race.weather(&[0, 100, 300], 700);
        race.hangs_up = false;
        let required = race.rng.below(2) == 0;
        race.call(if required { vec![("Require", "100rel".to_owned())] } else { Extra::new() });
        for status in [183, 180, 182] {
            let sdp = race.rng.below(3) > 0;
            race.plan(B, Act::Ring(status, sdp), 1500);
        }
        race.plan(B, Act::Accept, 3000);
        let patience = if race.rng.below(3) == 0 { 3000 } else { 60_000 };
        race.plan(A, Act::Cancel, patience);
        race.pass(70 * SECOND);
        judge_reliable(&race.net.history);
        let history = &race.net.history;
        let (ok, cancel) = (at(history, B, "= 200 INVITE"), at(history, B, "< CANCEL"));
        assert!(at(history, B, "> Cancelled") == NEVER || cancel < ok, "CANCEL after the 200");
        let outcome = match (ok < NEVER, cancel < ok) {
            (true, _) => "answered",
            (false, true) => "cancelled",
            (false, false) => "lost",
        };
        race.plan(A, Act::Bye, 100);
        race.plan(B, Act::Bye, 20_000);
        race.pass(90 * SECOND);
        race.ends(outcome)
    });
}

#[test]
fn the_same_invite_by_two_ways_is_one_call_and_the_second_way_is_told_482() {
    seeds::race(SEEDS, &["first way", "second way"], |seed| {
        let mut race = Race::new(seed);
        race.net.lose = Box::new(|sent, _| sent.line.starts_with("INVITE"));
        race.call(Extra::new());
        let one = race.net.last(A, "INVITE").text.clone();
        let two = one.replacen("z9hG4bK", "z9hG4bKother", 1);
        let mut copies = vec![&one, &two, &one, &two];
        let first = race.rng.below(2);
        copies.rotate_left(first);
        race.plan(B, Act::Ring(180, false), 1500);
        race.plan(B, Act::Accept, 2500);
        for (n, copy) in copies.into_iter().enumerate() {
            race.net.deliver(B, copy);
            let pause = race.rng.below(if n == 0 { 900 } else { 400 }) as u64;
            race.pass(Duration::from_millis(pause));
        }
        race.pass(10 * SECOND);
        let invites = race.net.history.iter().filter(|it| it.side == B && it.what == "> Invite").count();
        assert_eq!(invites, 1);
        for sent in race.net.log.iter().filter(|sent| sent.by == B && sent.of == "INVITE") {
            let second = sent.text.contains("z9hG4bKother") == (first == 0);
            assert_eq!(sent.line.starts_with("482"), second, "§8.2.2.2: {}", sent.line);
        }
        race.net.lose = Box::new(|_, _| false);
        race.plan(B, Act::Bye, 100);
        race.plan(A, Act::Cancel, 100);
        race.pass(90 * SECOND);
        race.ends(if first == 0 { "first way" } else { "second way" })
    });
}

const NEVER: usize = usize::MAX;

/// The history in lines.
fn story(history: &[Happened]) -> String {
    history.iter().map(|it| format!("{:?} {} {}\n", it.at, ["A", "B"][it.side], it.what)).collect()
}

/// Where in the history something happened first; [`NEVER`] if it did not.
fn at(history: &[Happened], side: usize, what: &str) -> usize {
    history.iter().position(|it| it.side == side && it.what.starts_with(what)).unwrap_or(NEVER)
}

fn is_refusal(it: &Happened) -> bool {
    it.what.starts_with("> Refused") || it.what.starts_with("> Response")
}

/// The request once more as its sender's next one: CSeq and branch are other ones.
fn renumbered(text: &str) -> String {
    let cseq = header(text, "CSeq");
    let (number, method) = cseq.split_once(' ').unwrap();
    let next = number.parse::<u32>().unwrap() + 1;
    text.replace(&format!("CSeq: {cseq}"), &format!("CSeq: {next} {method}")).replacen(
        "z9hG4bK",
        "z9hG4bKagain",
        1,
    )
}

/// What one side has under way, as its messages say.
#[derive(Clone, Debug, Default)]
struct Offers {
    own: bool,
    their_invite: bool,
    their_invite_unacked: bool,
    their_update: bool,
}

impl Offers {
    /// RFC 3261 §14.2 and RFC 3311 §5.2: what an offer that arrives deserves; 0 is the user's to say.
    fn verdict(&self, invite: bool) -> u16 {
        match self {
            Offers { own: true, .. } => 491,
            Offers { their_invite: true, .. } | Offers { their_update: true, .. } => 500,
            // Our 2xx is not acknowledged: another INVITE has to wait, an UPDATE has not.
            Offers { their_invite_unacked: true, .. } if invite => 491,
            Offers { .. } => 0,
        }
    }

    fn hear(&mut self, it: &Happened) {
        match &*it.what {
            "! reinvite" | "! update" => self.own = true,
            "! ack" => self.own = false,
            "! respond" => self.their_update = false,
            "! accept" => (self.their_invite, self.their_invite_unacked) = (false, true),
            "> Reoffer" => self.their_invite = true,
            "> Request UPDATE" => self.their_update = true,
            "> Acked" => self.their_invite_unacked = false,
            told if told.starts_with("> ReofferFailed") || told.starts_with("> Response") => self.own = false,
            _ => {}
        }
    }

    fn of(history: &[Happened], side: usize) -> Offers {
        let mut offers = Offers::default();
        history.iter().filter(|it| it.side == side).for_each(|it| offers.hear(it));
        offers
    }
}

/// Each offer is refused or told as the reference says, and each of its repeats gets the same answer; how many were
/// refused.
fn judge_offers(history: &[Happened]) -> usize {
    let mut answers: BTreeMap<(usize, String), u16> = BTreeMap::new();
    let mut sides = [Offers::default(), Offers::default()];
    let mut refusals = 0;
    // The call itself is no change of a session.
    let from = at(history, B, "> Acked") + 1;
    for (index, it) in history.iter().enumerate().skip(from) {
        sides[it.side].hear(it);
        let words: Vec<&str> = it.what.split(' ').collect();
        match words[..] {
            ["<", method @ ("INVITE" | "UPDATE"), number] => {
                let key = (it.side, format!("{method} {number}"));
                if answers.contains_key(&key) {
                    continue;
                }
                let verdict = sides[it.side].verdict(method == "INVITE");
                let told = ["> Reoffer", "> Request UPDATE"].iter();
                let told = told.map(|what| at(&history[index..], it.side, what)).min().unwrap();
                let sent = at(&history[index..], it.side, &format!("= {verdict} {method} {number}"));
                assert!(verdict == 0 || sent < told, "{} deserves {verdict}: {:?}", it.what, sides[it.side]);
                refusals += usize::from(verdict > 0);
                answers.insert(key, if verdict == 0 { 200 } else { verdict });
            }
            ["=", status, method @ ("INVITE" | "UPDATE"), number] if status != "100" => {
                let expected = answers.get(&(it.side, format!("{method} {number}"))).copied();
                assert_eq!(Some(status.parse().unwrap()), expected, "answer to {method} {number}");
            }
            _ => {}
        }
    }
    refusals
}

/// RFC 3262 §3 and §4, from what the callee sent and what both heard.
fn judge_reliable(history: &[Happened]) {
    let of = |side, sign: &'static str| {
        history.iter().filter(move |it| it.side == side && it.what.starts_with(sign))
    };
    // Numbers go up by one, and one answer at a time is under way.
    let (mut last, mut acked) = (None, BTreeSet::new());
    let mut final_at = None;
    for it in history.iter().filter(|it| it.side == B) {
        let words: Vec<&str> = it.what.split(' ').collect();
        match words[..] {
            ["=", status, "INVITE", _] if status < "200" && status != "100" => {
                assert!(final_at.is_none(), "{} after the final answer", it.what);
                let Ok(rseq) = header(&it.text, "RSeq").parse::<u32>() else { continue };
                if last != Some(rseq) {
                    assert!(last.is_none_or(|last| last + 1 == rseq && acked.contains(&last)), "RSeq {rseq}");
                    last = Some(rseq);
                }
            }
            ["=", "200", "INVITE", _] => {
                let since = it.at - *final_at.get_or_insert(it.at);
                assert!(CAPPED.contains(&since.as_millis()), "a 200 again after {since:?}");
            }
            ["=", _, "INVITE", _] => {}
            ["<", "PRACK", _] => {
                let rseq = header(&it.text, "RAck").split(' ').next().unwrap().parse::<u32>().unwrap();
                acked.insert(rseq);
            }
            ["=", status, "PRACK", _] => {
                let over = ["> Cancelled", "> Bye", "! bye", "> NotAcked"]
                    .iter()
                    .any(|end| at(history, B, end) < NEVER);
                assert!(status == "200" || over, "{status} to PRACK while the call stands");
            }
            _ => {}
        }
    }
    let mut told = BTreeSet::new();
    let mut over = false;
    for it in of(A, "> ") {
        assert!(!it.what.starts_with("> Progress") || !over, "{} after the end", it.what);
        over |= ["> Answered", "> Failed"].iter().any(|end| it.what.starts_with(end));
        let reliable = of(B, "= ").any(|sent| {
            sent.what.starts_with(&it.what.replace("> Progress", "="))
                && !header(&sent.text, "RSeq").is_empty()
        });
        assert!(!reliable || told.insert(it.what.clone()), "{} twice", it.what);
    }
}

impl Race {
    fn new(seed: u64) -> Race {
        let transport = if seed % 10 == 9 { Transport::Tcp } else { Transport::Udp };
        Race {
            net: Net::over(transport, seed),
            rng: Rng::from_seed(seed ^ 0x7ace),
            plans: BTreeMap::new(),
            serial: 0,
            dialogs: [None, None],
            slow_ms: 0,
            hangs_up: false,
            wants: [None, None],
        }
    }

    /// One of these losses per thousand, repeats, and delays of at most so long.
    fn weather(&mut self, losses: &[usize], delay_ms: usize) {
        let stream = self.net.hop(A).transport.reliable();
        let loss = if stream { 0 } else { losses[self.rng.below(losses.len())] };
        let doubled = if stream { 0 } else { self.rng.below(250) };
        // A stream keeps its order.
        let delay = if stream { 0 } else { self.rng.below(delay_ms) as u64 };
        self.net.chance = Some((self.rng.fork(), loss, doubled, Duration::from_millis(delay)));
    }

    fn call(&mut self, extra: Extra) {
        let mut call = self.net.call();
        call.extra = extra;
        self.dialogs[A] = Some(self.net.order(A, |it, now| it.invite(now, call)));
    }

    /// A call that stands, made over a good network.
    fn establish(&mut self) {
        self.call(Extra::new());
        self.pass(Duration::ZERO);
        self.plan(B, Act::Accept, 1);
        self.pass(SECOND);
        assert!(at(&self.net.history, B, "> Acked") < NEVER);
    }

    fn plan(&mut self, side: usize, act: Act, within_ms: usize) {
        let at = self.net.elapsed() + Duration::from_millis(self.rng.below(within_ms.max(1)) as u64);
        self.plan_at(side, act, at);
    }

    fn plan_at(&mut self, side: usize, act: Act, at: Duration) {
        self.serial += 1;
        self.plans.insert((at, self.serial), (side, act));
    }

    /// Lets time pass while both users do what they mean to.
    fn pass(&mut self, span: Duration) {
        let end = self.net.elapsed() + span;
        loop {
            for side in [A, B] {
                for event in self.net.take(side) {
                    self.hear(side, event);
                }
            }
            let elapsed = self.net.elapsed();
            let net = self.net.next().map(|at| elapsed + at.saturating_duration_since(self.net.now.mono));
            let due = self.plans.keys().next().map(|(at, _)| (*at).max(elapsed));
            let Some(at) = due.into_iter().chain(net).min().filter(|at| *at <= end) else { break };
            if net == Some(at) {
                self.net.step(self.net.now.mono + (at - elapsed));
                continue;
            }
            self.net.run(at - elapsed);
            if let Some((_, (side, act))) = self.plans.pop_first() {
                self.act(side, act);
            }
        }
        let rest = end.saturating_sub(self.net.elapsed());
        self.net.run(rest);
    }

    fn act(&mut self, side: usize, act: Act) {
        let Some(dialog) = self.dialogs[side] else {
            // The call has not come yet, or is over.
            if at(&self.net.history, side, "> Invite") == NEVER
                && self.net.elapsed() < 40 * SECOND
                && side == B
            {
                self.plan(side, act, 500);
            }
            return;
        };
        let none = Extra::new();
        let word = match act {
            Act::Ring(..) => "! ring",
            Act::Accept => "! accept",
            Act::Respond(_) => "! respond",
            Act::Ack => "! ack",
            Act::Cancel => "! cancel",
            Act::Bye => "! bye",
            Act::Reinvite => "! reinvite",
            Act::Update => "! update",
        };
        let busy = Offers::of(&self.net.history, side);
        let busy = busy.verdict(true) > 0;
        if busy && matches!(act, Act::Reinvite | Act::Update) {
            return self.plan(side, act, 2000);
        }
        let confirmed =
            at(&self.net.history, side, "> Answered").min(at(&self.net.history, side, "! accept")) < NEVER;
        if matches!(act, Act::Cancel) && confirmed {
            return;
        }
        self.net.happened(side, word.to_owned(), String::new());
        match act {
            Act::Ring(status, sdp) => {
                self.net.order(side, |it, now| it.ring(now, dialog, status, none, sdp.then(offer)));
            }
            Act::Accept => self.net.order(side, |it, now| it.accept(now, dialog, none, offer())),
            Act::Respond(id) => self.net.order(side, |it, now| it.respond(now, id, 200, none, Some(offer()))),
            Act::Ack => self.net.order(side, |it, now| it.ack(now, dialog, None)),
            Act::Cancel => self.net.order(side, |it, now| it.cancel(now, dialog, none)),
            Act::Bye => {
                self.dialogs[side] = None;
                self.net.order(side, |it, now| it.bye(now, dialog, none));
            }
            Act::Reinvite => {
                let sent = self.net.order(side, |it, now| it.reinvite(now, dialog, Some(offer())));
                assert!(sent.is_ok(), "nothing else is under way");
            }
            Act::Update => {
                let sent = self
                    .net
                    .order(side, |it, now| it.request_in(now, dialog, Method::Update, none, Some(offer())));
                assert!(sent.is_some(), "the dialog stands");
            }
        }
    }

    fn hear(&mut self, side: usize, event: Event) {
        if let (Some(named), false) = (dialog(&event), matches!(event, Event::Invite { .. })) {
            let late = matches!(event, Event::Response { .. });
            assert!(late || self.dialogs[side] == Some(named), "{event:?} after its end");
        }
        match event {
            Event::Invite { dialog, .. } => self.dialogs[side] = Some(dialog),
            Event::Answered { .. } => {
                self.plan(side, Act::Ack, self.slow_ms);
                if self.hangs_up {
                    self.plan(side, Act::Bye, 1);
                }
            }
            Event::Reanswered { .. } => {
                self.wants[side] = None;
                self.plan(side, Act::Ack, self.slow_ms);
            }
            Event::Reoffer { .. } => self.plan(side, Act::Accept, self.slow_ms),
            Event::Request { transaction, .. } => self.plan(side, Act::Respond(transaction), self.slow_ms),
            Event::ReofferFailed { status, .. } | Event::Response { status, .. } => match status {
                491 | 500 => self.again(side),
                _ => self.wants[side] = None,
            },
            Event::Cancelled { .. }
            | Event::Failed { .. }
            | Event::NotAcked { .. }
            | Event::Bye { .. }
            | Event::Gone { .. } => self.dialogs[side] = None,
            Event::Progress { .. } | Event::Acked { .. } | Event::Refused { .. } => {}
            Event::Refresh { .. } | Event::Closed { .. } => panic!("{event:?}"),
        }
    }

    /// §14.1: who owns the Call-ID waits longer, so that they do not meet again.
    fn again(&mut self, side: usize) {
        let Some(act) = self.wants[side] else { return };
        let wait = if side == A { 2100 + self.rng.below(1900) } else { self.rng.below(2000) };
        self.plan_at(side, act, self.net.elapsed() + Duration::from_millis(wait as u64));
    }

    /// Nobody is left up, but for who was never told because the network carried none of the BYEs; nothing is left.
    fn ends(mut self, outcome: &'static str) -> &'static str {
        for side in [A, B] {
            if let Some(dialog) = self.dialogs[side] {
                let heard = at(&self.net.history, side, "< BYE");
                let tried = self.net.count(1 - side, "BYE");
                assert!(
                    heard == NEVER && tried > 10,
                    "side {side} is left up:\n{}",
                    story(&self.net.history)
                );
                self.net.order(side, |it, now| it.bye(now, dialog, Extra::new()));
            }
        }
        self.net.finish();
        outcome
    }
}
