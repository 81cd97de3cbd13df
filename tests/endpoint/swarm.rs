//! Calls by chance over a network that loses, doubles and reorders: whatever happens, both sides agree in the end and
//! nothing is left over. `SIM_SEED=` replays one run, `SIM_SEEDS=` says how many there are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use sentral::rand::Rng;
use sentral::sip::DialogId;
use sentral::sip::Event;
use sentral::sip::Extra;
use sentral::sip::Method;
use sentral::sip::Transport;

use crate::net::A;
use crate::net::B;
use crate::net::Net;
use crate::net::dialog;
use crate::net::offer;
use crate::net::word;
use crate::seeds;

/// What somebody means to do.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Ring,
    Accept,
    Reject,
    Cancel,
    HangUp,
    Reinvite,
    Inform,
}

/// What each side's user knows: its dialogs, whether they stand, and what it means to do when.
#[derive(Default)]
struct User {
    open: BTreeSet<DialogId>,
    plans: BTreeMap<(Duration, usize), (DialogId, Plan)>,
    unanswered: usize,
}

struct Swarm {
    net: Net,
    rng: Rng,
    users: [User; 2],
    serial: usize,
    heard: BTreeSet<String>,
}

#[test]
fn random_calls_over_a_bad_network_leave_nothing_behind() {
    let runs = seeds::each(600, |seed| Swarm::new(seed).run());
    let swept = runs.len() >= 500;
    let heard: BTreeSet<String> = runs.into_iter().flatten().collect();
    // A swarm in which these never happen proves nothing.
    const RARE: [&str; 10] = [
        "Bye",
        "Cancelled",
        "Failed 408",
        "Failed 486",
        "Failed 487",
        "Gone",
        "NotAcked",
        "Reanswered",
        "ReofferFailed 488",
        "ReofferFailed 491",
    ];
    if swept {
        let missing: Vec<_> = RARE.iter().filter(|word| !heard.contains(**word)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

impl Swarm {
    fn new(seed: u64) -> Swarm {
        let mut rng = Rng::from_seed(seed ^ 0x5e17);
        let transport = if seed % 5 == 4 { Transport::Tcp } else { Transport::Udp };
        let mut net = Net::over(transport, seed);
        if transport == Transport::Udp {
            let loss = [0, 100, 300, 600, 850][rng.below(5)];
            net.chance =
                Some((rng.fork(), loss, rng.below(200), Duration::from_millis(rng.below(900) as u64)));
        }
        Swarm { net, rng, users: [User::default(), User::default()], serial: 0, heard: BTreeSet::new() }
    }

    /// Everything that was told in the run.
    fn run(mut self) -> BTreeSet<String> {
        for _ in 0..1 + self.rng.below(3) {
            let call = self.net.invite();
            self.users[A].open.insert(call);
            // Nobody rings for ever: a final answer may be lost for good.
            let patience = if self.rng.below(3) == 0 { 8_000 } else { 120_000 };
            self.plan(A, call, Plan::Cancel, patience);
            let pause = self.rng.below(3000) as u64;
            self.pass(Duration::from_millis(pause));
        }
        self.pass(Duration::from_secs(600));
        for side in [A, B] {
            assert!(
                self.users[side].open.is_empty(),
                "side {side} was not told the end of {:?}",
                self.users[side].open
            );
            assert_eq!(self.users[side].unanswered, 0, "requests of side {side} without response");
        }
        self.net.finish();
        for side in [A, B] {
            assert!(self.net.take(side).iter().all(|event| matches!(event, Event::Refused { .. })));
        }
        self.heard
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
            let due = [A, B].map(|side| self.users[side].plans.keys().next().map(|(at, _)| *at));
            let elapsed = self.net.elapsed();
            let net = self.net.next().map(|at| elapsed + at.saturating_duration_since(self.net.now.mono));
            let Some(at) = due.into_iter().chain([net]).flatten().min().filter(|at| *at <= end) else {
                break;
            };
            if Some(at) == net {
                self.net.step(self.net.now.mono + at.saturating_sub(elapsed));
                continue;
            }
            self.net.run(at.saturating_sub(elapsed));
            for side in [A, B] {
                while let Some(entry) =
                    self.users[side].plans.first_entry().filter(|entry| entry.key().0 <= at)
                {
                    let (dialog, plan) = entry.remove();
                    self.act(side, dialog, plan);
                }
            }
        }
        let rest = end.saturating_sub(self.net.elapsed());
        self.net.run(rest);
    }

    fn plan(&mut self, side: usize, dialog: DialogId, plan: Plan, within_ms: usize) {
        let at = self.net.elapsed() + Duration::from_millis(self.rng.below(within_ms) as u64);
        self.serial += 1;
        self.users[side].plans.insert((at, self.serial), (dialog, plan));
    }

    fn act(&mut self, side: usize, dialog: DialogId, plan: Plan) {
        if !self.users[side].open.contains(&dialog) {
            return;
        }
        let none = Extra::new();
        match plan {
            Plan::Ring => self.net.order(side, |it, now| it.ring(now, dialog, 180, none, None)),
            Plan::Accept => self.net.order(side, |it, now| it.accept(now, dialog, none, offer())),
            Plan::Cancel => self.net.order(side, |it, now| it.cancel(now, dialog, none)),
            Plan::Reject => {
                self.net.order(side, |it, now| it.reject(now, dialog, 486, none));
                self.users[side].open.remove(&dialog);
            }
            Plan::HangUp => {
                self.net.order(side, |it, now| it.bye(now, dialog, none));
                self.users[side].open.remove(&dialog);
            }
            Plan::Reinvite => {
                let _ = self.net.order(side, |it, now| it.reinvite(now, dialog, Some(offer())));
            }
            Plan::Inform => {
                let sent =
                    self.net.order(side, |it, now| it.request_in(now, dialog, Method::Info, none, None));
                self.users[side].unanswered += usize::from(sent.is_some());
            }
        }
    }

    fn hear(&mut self, side: usize, event: Event) {
        self.heard.insert(word(&event));
        let none = Extra::new();
        let named = dialog(&event);
        if let (Some(named), false) = (named, matches!(event, Event::Invite { .. })) {
            assert!(self.users[side].open.contains(&named), "{} after its end", word(&event));
        }
        match event {
            Event::Invite { dialog, .. } => {
                self.users[side].open.insert(dialog);
                self.plan(side, dialog, Plan::Ring, 1_000);
                let plan = if self.rng.below(4) == 0 { Plan::Reject } else { Plan::Accept };
                self.plan(side, dialog, plan, 12_000);
            }
            Event::Answered { dialog, .. } => {
                self.net.order(side, |it, now| it.ack(now, dialog, None));
                self.talk(side, dialog);
            }
            Event::Reanswered { dialog, .. } => self.net.order(side, |it, now| it.ack(now, dialog, None)),
            Event::Acked { dialog, .. } => self.talk(side, dialog),
            Event::Reoffer { dialog, .. } => match self.rng.below(4) {
                0 => self.net.order(side, |it, now| it.reject(now, dialog, 488, none)),
                _ => self.net.order(side, |it, now| it.accept(now, dialog, none, offer())),
            },
            Event::Request { transaction, .. } => {
                self.net.order(side, |it, now| it.respond(now, transaction, 200, none, None));
            }
            Event::Response { .. } => self.users[side].unanswered -= 1,
            Event::Cancelled { dialog, .. }
            | Event::Failed { dialog, .. }
            | Event::NotAcked { dialog }
            | Event::Bye { dialog, .. }
            | Event::Gone { dialog } => {
                self.users[side].open.remove(&dialog);
            }
            Event::Progress { .. } | Event::ReofferFailed { .. } | Event::Refused { .. } => {}
            Event::Refresh { .. } => panic!("no session timer runs"),
            Event::Closed { .. } => panic!("no connection was closed"),
        }
    }

    fn talk(&mut self, side: usize, dialog: DialogId) {
        for plan in [Plan::Reinvite, Plan::Inform] {
            if self.rng.below(2) == 0 {
                self.plan(side, dialog, plan, 20_000);
            }
        }
        self.plan(side, dialog, Plan::HangUp, 60_000);
    }
}
