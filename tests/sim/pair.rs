//! Two switches that are each other's carrier, in one world: what one sends the other must understand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use sentral::model::Config;
use sentral::model::cdr::CallResult;
use sentral::sip;
use sentral::sip::DialogId;
use sentral::sip::Hop;
use sentral::sip::Message;
use sentral::sip::Transport;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::TRUNK;
use crate::world::Weather;
use crate::world::World;
use crate::world::config;
use crate::world::config_with;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
/// How finely the two clocks run beside each other.
const STEP: Duration = Duration::from_millis(5);

/// The other company, behind the switch that is the first one's carrier.
const BERGEN: &str = r#"
[company]
name = "Bergen AS"
number = "+4736000500"
[numbers]
"+4736000500" = "queue:desk"
[users.lise]
name = "Lise"
ext = "501"
number = "+4736000501"
[users.nils]
name = "Nils"
ext = "502"
number = "+4736000502"
[devices]
lise = { user = "lise", password = "lise-secret" }
nils = { user = "nils", password = "nils-secret" }
[queues.desk]
name = "Sentralbord"
ext = "600"
agents = ["nils"]
auto_login = true
overflow = "user:lise"
"#;

fn bergen() -> Arc<Config> {
    let trunks = "[trunks.carrier]\nname = \"Carrier\"\nserver = \"192.0.2.1:5060\"\ntrusted = [\"192.0.2.1\"]\n\
                  health = false\n[routes]\nnorway = { to = [\"+47\"], via = [\"carrier\"] }\n";
    let server = "[server]\ndomain = \"prove.example\"\n[sip]\nudp = \"198.51.100.9:5060\"\n[media]\n\
                  ports = \"20000-20799\"\ncodecs = [\"g722\", \"pcma\"]\n";
    config_with(&[("companies/prove.toml", BERGEN), ("trunks.toml", trunks), ("server.toml", server)])
}

/// Two worlds with one clock; what neither's phones are addressed by goes to the other's switch.
struct Pair {
    sides: [World; 2],
}

/// The usual company.
const HERE: usize = 0;
/// The one in Bergen.
const THERE: usize = 1;

impl Pair {
    fn new(seed: u64) -> Pair {
        let here = World::at(2 * seed, noon(), config(COMPANY));
        let there = World::listening(2 * seed + 1, noon(), bergen(), TRUNK);
        Pair { sides: [here, there] }
    }

    fn registered(&mut self, side: usize, name: &str) -> usize {
        let phone = self.sides[side].phone(name);
        let now = self.sides[side].now;
        self.sides[side].phones[phone].register(now, 36_000);
        self.run(S);
        assert_eq!(self.sides[side].phones[phone].registered, Some(200), "{name} registers");
        phone
    }

    fn call(&mut self, side: usize, phone: usize, number: &str) -> DialogId {
        let now = self.sides[side].now;
        self.sides[side].phones[phone].call(now, number, false)
    }

    fn run(&mut self, long: Duration) {
        let mut left = long;
        while !left.is_zero() {
            let step = left.min(STEP);
            left -= step;
            for side in &mut self.sides {
                side.run(step);
            }
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        for side in [HERE, THERE] {
            let sent = std::mem::take(&mut self.sides[side].strays);
            let remote = self.sides[side].address;
            let other = &mut self.sides[1 - side];
            for (to, text) in sent {
                assert_eq!(to, other.address, "sent to nobody: {text}");
                let message = Message::parse(Bytes::from(text), 65_535).expect("what the other prints");
                let hop = Hop { transport: Transport::Udp, local: to, remote, connection: None };
                other.input(Input::Sip(sip::Input::Message { hop, message }));
            }
        }
    }

    fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&[World; 2]) -> bool) {
        let mut left = within;
        while !holds(&self.sides) {
            assert!(!left.is_zero(), "not within {within:?}: {what}");
            self.run(STEP);
            left = left.saturating_sub(STEP);
        }
    }

    /// The line of a phone that is up.
    fn up(&self, side: usize, phone: usize) -> Option<DialogId> {
        self.sides[side].phones[phone].line(&Stage::Up)
    }

    fn finish(mut self) {
        for side in &mut self.sides {
            for phone in &mut side.phones {
                let lines: Vec<DialogId> = phone.lines.keys().copied().collect();
                for line in lines {
                    phone.end(side.now, line);
                }
            }
        }
        self.run(200 * S);
        for side in &self.sides {
            assert!(side.switch.is_idle(), "left at the end: {}", side.switch.leftovers());
            assert!(side.streams.is_empty(), "streams left at the end");
            assert!(side.phones.iter().all(|phone| phone.live_lines() == 0), "a line that nobody ended");
        }
    }
}

/// Whether a phone hears the other switch's stream of this call, and is heard by it, on both sides.
fn talk(sides: &[World; 2], here: (usize, DialogId), there: (usize, DialogId)) -> bool {
    let bridged = |side: usize, (phone, line): (usize, DialogId)| {
        let world = &sides[side];
        let audio = world.phones[phone].lines[&line].audio;
        let (id, stream) = world.stream_to(audio)?;
        let sentral::media::Base::Peer(peer) = stream.base else { return None };
        let trunk = world.streams.get(&peer).filter(|trunk| trunk.base == sentral::media::Base::Peer(*id))?;
        Some((trunk.session.remote?.port(), peer.port))
    };
    match (bridged(HERE, here), bridged(THERE, there)) {
        (Some((to_there, at_here)), Some((to_here, at_there))) => (to_there, to_here) == (at_there, at_here),
        _ => false,
    }
}

#[test]
fn a_call_goes_from_one_switch_to_the_other_and_back() {
    let mut pair = Pair::new(1);
    let (kari, lise) = (pair.registered(HERE, "kari"), pair.registered(THERE, "lise"));
    for (from, phone, number, to, other) in
        [(HERE, kari, "+4736000501", THERE, lise), (THERE, lise, "+4736000101", HERE, kari)]
    {
        let call = pair.call(from, phone, number);
        pair.until("they talk", 10 * S, |sides| sides[to].phones[other].line(&Stage::Up).is_some());
        pair.run(S);
        let line = pair.up(to, other).unwrap();
        let (here, there) =
            if from == HERE { ((phone, call), (other, line)) } else { ((other, line), (phone, call)) };
        assert!(talk(&pair.sides, here, there));
        let now = pair.sides[to].now;
        pair.sides[to].phones[other].hang_up(now, line);
        pair.run(2 * S);
        assert!(matches!(pair.sides[from].phones[phone].lines[&call].stage, Stage::Over(_)));
    }
    for side in &pair.sides {
        assert_eq!(side.cdrs.len(), 2);
        assert!(side.cdrs.iter().all(|cdr| cdr.result == CallResult::Answered), "{:?}", side.cdrs);
    }
    pair.finish();
}

#[test]
fn what_one_switch_refuses_the_callers_phone_hears_from_the_other() {
    let mut pair = Pair::new(2);
    let (kari, lise) = (pair.registered(HERE, "kari"), pair.registered(THERE, "lise"));
    pair.sides[THERE].phones[lise].answer = Answer::Refuse(486);
    let busy = pair.call(HERE, kari, "+4736000501");
    let nobody = pair.call(HERE, kari, "+4736000599");
    pair.run(5 * S);
    let stage = |line| pair.sides[HERE].phones[kari].lines[line].stage.clone();
    assert_eq!((stage(&busy), stage(&nobody)), (Stage::Over(486), Stage::Over(404)));
    pair.finish();
}

#[test]
fn a_transfer_behind_one_switch_leaves_the_other_in_the_same_call() {
    let mut pair = Pair::new(3);
    let kari = pair.registered(HERE, "kari");
    let (lise, nils) = (pair.registered(THERE, "lise"), pair.registered(THERE, "nils"));
    let call = pair.call(HERE, kari, "+4736000501");
    pair.until("they talk", 10 * S, |sides| sides[THERE].phones[lise].line(&Stage::Up).is_some());
    let line = pair.up(THERE, lise).unwrap();
    let now = pair.sides[THERE].now;
    pair.sides[THERE].phones[lise].refer(now, line, "sip:502@prove.example");
    pair.until("Nils talks", 10 * S, |sides| sides[THERE].phones[nils].line(&Stage::Up).is_some());
    pair.run(S);
    assert_eq!(pair.sides[THERE].phones[lise].live_lines(), 0);
    let moved = pair.up(THERE, nils).unwrap();
    assert!(talk(&pair.sides, (kari, call), (nils, moved)));
    pair.finish();
}

#[test]
fn a_long_call_is_refreshed_by_the_switches_themselves() {
    let mut pair = Pair::new(4);
    let (kari, nils) = (pair.registered(HERE, "kari"), pair.registered(THERE, "nils"));
    // Through the queue, which answers by itself.
    let call = pair.call(HERE, kari, "+4736000500");
    pair.until("Nils talks", 20 * S, |sides| sides[THERE].phones[nils].line(&Stage::Up).is_some());
    pair.run(4000 * S);
    let line = pair.up(THERE, nils).expect("the call is up after more than an hour");
    assert!(talk(&pair.sides, (kari, call), (nils, line)));
    pair.finish();
}

#[test]
fn in_rough_weather_calls_between_the_switches_end_on_both_sides() {
    for seed in 10..30 {
        let mut pair = Pair::new(seed);
        let (kari, lise) = (pair.registered(HERE, "kari"), pair.registered(THERE, "lise"));
        for side in &mut pair.sides {
            side.weather = Weather::ROUGH;
        }
        let out = pair.call(HERE, kari, "+4736000501");
        pair.run(S * (1 + seed as u32 % 5));
        let back = pair.call(THERE, lise, "+4736000101");
        pair.run(S * (seed as u32 % 7));
        let now = pair.sides[HERE].now;
        pair.sides[HERE].phones[kari].end(now, out);
        pair.run(S * (seed as u32 % 3));
        let now = pair.sides[THERE].now;
        pair.sides[THERE].phones[lise].end(now, back);
        pair.finish();
    }
}
