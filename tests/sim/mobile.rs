//! Agents without a SIP phone: they transfer by keys from the mobile, and log in and out by calling a service number.

use std::time::Duration;

use sentral::media::Base;
use sentral::model::change::Change;
use sentral::model::command::Answer as Answered;
use sentral::model::command::Command;
use sentral::sip::Body;
use sentral::sip::DialogId;
use sentral::sip::Method;

use crate::phone::Answer;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config_and_trunks;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const SALES: &str = "+4736000110";
/// Per's mobile, and Per is all there is in the queue.
const MOBILE: &str = "+4736000204";
const LOGIN: &str = "+4736000191";
const LOGOUT: &str = "+4736000192";
const MENU: &str = "+4736000193";

const TRUNK: &str = r#"
[trunks.carrier]
server = "198.51.100.9:5060"
trusted = ["198.51.100.9"]
health = false
POLICY
[routes]
norway = { to = ["+47"], via = ["carrier"] }
"#;

fn world_with(seed: u64, company: &[(&str, &str)], policy: &str) -> (World, usize) {
    let services = format!(
        "[numbers]\n\"{LOGIN}\" = \"service:login\"\n\"{LOGOUT}\" = \"service:logout\"\n\"{MENU}\" = \"service:menu\"\n"
    );
    let mut text = COMPANY
        .replace("agents = [\"kari\", \"ola\", \"sara\"]", "agents = [\"per\"]")
        .replace("[numbers]\n", &services);
    for (from, to) in company {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let trunk = TRUNK.replace("POLICY", policy);
    let mut world = World::at(seed, noon(), config_and_trunks(&text, &trunk));
    let carrier = world.carrier();
    world.phones[carrier].answer = Answer::Ring;
    (world, carrier)
}

/// A caller who talks with Per's mobile.
struct Talk {
    world: World,
    carrier: usize,
    caller: DialogId,
    mobile: DialogId,
}

impl Talk {
    fn new(seed: u64) -> Talk {
        Talk::with(seed, &[])
    }

    fn with(seed: u64, company: &[(&str, &str)]) -> Talk {
        let (mut world, carrier) = world_with(seed, company, "");
        let caller = world.phones[carrier].call(world.now, SALES, false);
        world.until("the mobile rings", 5 * S, |w| w.phones[carrier].line(&Stage::Ringing).is_some());
        let mobile = world.phones[carrier].line(&Stage::Ringing).unwrap();
        world.run(2 * S);
        world.phones[carrier].pick_up(world.now, mobile);
        world.run(S);
        let mut talk = Talk { world, carrier, caller, mobile };
        talk.press("1");
        talk.world.run(300 * MS);
        assert!(talk.with_caller());
        talk
    }

    fn audio(&self, line: DialogId) -> std::net::SocketAddr {
        self.world.phones[self.carrier].lines[&line].audio
    }

    fn press(&mut self, keys: &str) {
        let audio = self.audio(self.mobile);
        for key in keys.chars() {
            self.world.key(audio, key);
            self.world.run(200 * MS);
        }
    }

    fn with_caller(&self) -> bool {
        self.world.talk(self.audio(self.caller), self.audio(self.mobile))
    }

    /// Whether a phone's only line that is up talks with this line of the carrier.
    fn talks(&self, phone: usize, line: DialogId) -> bool {
        let up = self.world.phones[phone].line(&Stage::Up);
        up.is_some_and(|up| self.world.talk(self.world.phones[phone].lines[&up].audio, self.audio(line)))
    }

    fn base_of_caller(&self) -> Base {
        self.world.stream_to(self.audio(self.caller)).unwrap().1.base.clone()
    }

    /// Keys that the caller heard.
    fn leaked(&self) -> String {
        self.world.stream_to(self.audio(self.caller)).map(|(_, of)| of.keys.clone()).unwrap_or_default()
    }

    fn heard(&self) -> String {
        self.world.stream_to(self.audio(self.mobile)).map(|(_, of)| of.played.join(" ")).unwrap_or_default()
    }

    fn stage_of_mobile(&self) -> Stage {
        self.world.phones[self.carrier].lines[&self.mobile].stage.clone()
    }
}

fn decided(world: &World, what: &str) -> usize {
    world.changes.iter().filter(|c| matches!(c, Change::Decision(event) if *event.event == *what)).count()
}

#[test]
fn a_mobile_puts_the_caller_through_by_keys_which_the_caller_does_not_hear() {
    let mut talk = Talk::new(401);
    let ola = talk.world.registered("ola");
    talk.world.phones[ola].answer = Answer::After(3 * S);
    talk.press("**");
    assert!(matches!(talk.base_of_caller(), Base::Music(_)), "the caller hears music meanwhile");
    assert!(talk.heard().contains("transfer/enter"));
    talk.press("102#");
    talk.world.until("Ola and the caller talk", 6 * S, |_| true);
    talk.world.run(5 * S);
    assert!(talk.talks(ola, talk.caller));
    assert_eq!(talk.stage_of_mobile(), Stage::Over(0), "who put through is let go");
    assert_eq!(talk.leaked(), "");
    assert_eq!(decided(&talk.world, "transfer.blind"), 1);
    talk.world.finish();
}

#[test]
fn ordinary_keys_reach_the_caller_also_those_that_could_have_begun_a_code() {
    let mut talk = Talk::new(402);
    talk.press("5#");
    assert_eq!(talk.leaked(), "5#");
    talk.press("*7");
    assert_eq!(talk.leaked(), "5#*7");
    talk.press("*");
    assert_eq!(talk.leaked(), "5#*7", "a code may follow");
    talk.world.run(3 * S);
    assert_eq!(talk.leaked(), "5#*7*");
    assert!(talk.with_caller());
    // The caller has no such keys.
    let caller = talk.audio(talk.caller);
    for key in ['*', '*', '1'] {
        talk.world.key(caller, key);
    }
    talk.world.run(S);
    assert!(talk.with_caller());
    let (mobile, caller) = (talk.audio(talk.mobile), talk.audio(talk.caller));
    assert!(talk.world.stream_to(mobile).unwrap().1.keeps_keys);
    assert!(!talk.world.stream_to(caller).unwrap().1.keeps_keys);
    talk.world.finish();
}

#[test]
fn a_number_that_leads_nowhere_is_told_and_both_talk_on() {
    for (keys, told) in [
        ("**555#", "call/unallocated"),
        ("**#", "transfer/back"),
        ("**10**", "transfer/back"),
        ("***40#", "menu/invalid"),
        ("**82012345#", "call/"),
    ] {
        let mut talk = Talk::new(403);
        talk.press(keys);
        talk.world.run(S / 2);
        assert!(talk.heard().contains(told), "{keys}: {}", talk.heard());
        assert!(talk.with_caller(), "{keys}");
        talk.press("7");
        assert_eq!(talk.leaked(), "7", "{keys}");
        talk.world.finish();
    }
}

#[test]
fn who_is_busy_or_does_not_answer_gives_the_caller_back() {
    let mut talk = Talk::new(404);
    let ola = talk.world.registered("ola");
    talk.world.phones[ola].answer = Answer::Refuse(486);
    talk.press("**102#");
    talk.world.run(S);
    assert!(talk.with_caller());
    assert!(talk.heard().contains("call/busy"), "{}", talk.heard());
    // Taken back by key while it rings.
    talk.world.phones[ola].answer = Answer::Ring;
    talk.press("**102#");
    talk.world.run(2 * S);
    assert!(!talk.with_caller() && talk.world.phones[ola].live_lines() == 1);
    talk.press("*1");
    talk.world.run(S);
    assert!(talk.with_caller());
    assert_eq!(talk.world.phones[ola].live_lines(), 0, "nobody is rung any more");
    assert_eq!(talk.leaked(), "");
    talk.world.finish();
}

/// Per has asked Ola, who has answered (or rings).
fn asking(seed: u64, answers: bool) -> (Talk, usize) {
    let mut talk = Talk::new(seed);
    let ola = talk.world.registered("ola");
    talk.world.phones[ola].answer = if answers { Answer::After(S) } else { Answer::Ring };
    talk.press("*2102#");
    talk.world.run(3 * S);
    assert!(matches!(talk.base_of_caller(), Base::Music(_)));
    assert_eq!(talk.talks(ola, talk.mobile), answers);
    (talk, ola)
}

#[test]
fn a_mobile_asks_first_and_puts_through_by_hanging_up() {
    let (mut talk, ola) = asking(405, true);
    let mobile = talk.mobile;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, mobile);
    talk.world.run(S / 2);
    assert!(talk.talks(ola, talk.caller));
    assert_eq!(decided(&talk.world, "transfer.attended"), 1);
    talk.world.run(5 * S);
    let caller = talk.caller;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, caller);
    talk.world.run(S);
    assert_eq!(talk.world.phones[ola].live_lines(), 0);
    let cdrs = &talk.world.cdrs;
    assert_eq!(cdrs.len(), 2);
    let of_caller = cdrs.iter().find(|cdr| &*cdr.to == SALES).unwrap();
    assert_eq!(of_caller.answered_by.as_ref().map(|user| user.as_str()), Some("ola"));
    talk.world.finish();
}

#[test]
fn who_asks_a_queue_may_leave_and_the_caller_waits_on_at_their_own_place() {
    let store = "[queues.help]\nname = \"Hjelp\"\next = \"602\"\nagents = [\"ola\"]\nauto_login = true\noverflow = \"hangup\"\n[groups.store]";
    let mut talk = Talk::with(411, &[("[groups.store]", store)]);
    let ola = talk.world.registered("ola");
    talk.world.phones[ola].answer = Answer::Ring;
    // Somebody waits there who came after the caller had begun to wait.
    let other = talk.world.registered("kari");
    talk.world.phones[other].call(talk.world.now, "602", false);
    talk.world.run(S);
    let rung = talk.world.phones[ola].line(&Stage::Ringing).unwrap();
    talk.press("*2602#");
    talk.world.run(2 * S);
    let mobile = talk.mobile;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, mobile);
    talk.world.run(S);
    assert!(matches!(talk.base_of_caller(), Base::Music(_)), "the caller waits");
    assert_eq!(decided(&talk.world, "queue.abandoned"), 0);
    assert_eq!(decided(&talk.world, "transfer.attended"), 1);
    // Ola refuses the other one, and gets the caller, who has waited longer.
    talk.world.phones[ola].answer = Answer::After(S);
    talk.world.phones[ola].end(talk.world.now, rung);
    talk.world.run(120 * S);
    assert!(talk.talks(ola, talk.caller));
    talk.world.finish();
}

#[test]
fn who_asks_a_queue_leaves_its_agent_with_the_caller_and_the_talk_stays_the_queues() {
    let store = "[queues.help]\nname = \"Hjelp\"\next = \"602\"\nagents = [\"ola\"]\nauto_login = true\noverflow = \"hangup\"\n[groups.store]";
    let mut talk = Talk::with(412, &[("[groups.store]", store)]);
    let ola = talk.world.registered("ola");
    talk.world.phones[ola].answer = Answer::After(S);
    talk.press("*2602#");
    talk.world.run(4 * S);
    assert!(talk.talks(ola, talk.mobile));
    let mobile = talk.mobile;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, mobile);
    talk.world.run(10 * S);
    assert!(talk.talks(ola, talk.caller));
    let ended = |world: &World| -> Vec<(Option<String>, u64)> {
        let told = world.changes.iter().filter_map(|change| match change {
            Change::Decision(event) if &*event.event == "talk.ended" => Some(event),
            _ => None,
        });
        let of_ola =
            told.filter(|event| event.fields.agent.as_ref().is_some_and(|user| user.as_str() == "ola"));
        of_ola
            .map(|event| {
                (event.fields.line.as_ref().map(ToString::to_string), event.fields.talk_ms.unwrap() / 1000)
            })
            .collect()
    };
    assert!(ended(&talk.world).is_empty(), "one talk of the queue, which goes on");
    let caller = talk.caller;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, caller);
    talk.world.run(S);
    let ended = ended(&talk.world);
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].0.as_deref(), Some("queue:help"));
    assert!(ended[0].1 >= 12, "all of it counts: {ended:?}");
    talk.world.finish();
}

#[test]
fn who_asked_goes_back_by_key_or_when_the_other_hangs_up_or_does_not_answer() {
    for how in ["key", "other", "unanswered", "lost"] {
        let (mut talk, ola) = asking(406, !matches!(how, "unanswered" | "lost"));
        match how {
            "key" => talk.press("*1"),
            "other" => {
                let line = talk.world.phones[ola].line(&Stage::Up).unwrap();
                talk.world.phones[ola].hang_up(talk.world.now, line);
            }
            "unanswered" => talk.world.run(40 * S),
            _ => {
                let line = talk.world.phones[ola].line(&Stage::Ringing).unwrap();
                talk.world.phones[ola].end(talk.world.now, line);
            }
        }
        // Who is busy has that said first.
        talk.world.run(4 * S);
        assert!(talk.with_caller(), "{how}");
        assert_eq!(talk.world.phones[ola].live_lines(), 0, "{how}");
        // And once more: nothing is left of the first.
        talk.world.phones[ola].answer = Answer::After(S);
        talk.press("*2102#");
        talk.world.run(3 * S);
        assert!(talk.talks(ola, talk.mobile), "{how}");
        talk.world.finish();
    }
}

#[test]
fn who_hangs_up_before_the_answer_has_the_caller_ring_there() {
    let (mut talk, ola) = asking(407, false);
    let mobile = talk.mobile;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, mobile);
    talk.world.phones[ola].answer = Answer::After(2 * S);
    talk.world.run(4 * S);
    assert!(talk.talks(ola, talk.caller));
    talk.world.finish();
}

#[test]
fn when_the_caller_hangs_up_who_asks_and_who_is_asked_talk_on() {
    let (mut talk, ola) = asking(408, true);
    let caller = talk.caller;
    talk.world.phones[talk.carrier].hang_up(talk.world.now, caller);
    talk.world.run(2 * S);
    assert!(talk.talks(ola, talk.mobile));
    assert_eq!(talk.world.cdrs.len(), 1);
    talk.world.finish();
}

#[test]
fn an_agent_who_asks_is_not_offered_another_caller() {
    let (mut talk, _) = asking(409, true);
    let second = talk.world.phones[talk.carrier].call(talk.world.now, SALES, false);
    talk.world.run(5 * S);
    assert!(talk.world.phones[talk.carrier].line(&Stage::Ringing).is_none());
    talk.world.order(Command::Status);
    let Some(Answered::Status(status)) = talk.world.answers.pop() else { panic!("a status was asked for") };
    assert_eq!(status.agent_state_divergence, 0);
    talk.world.phones[talk.carrier].hang_up(talk.world.now, second);
    talk.world.finish();
}

#[test]
fn feature_keys_can_be_others_or_off() {
    let mut talk =
        Talk::with(410, &[("[company]\n", "[codes]\ntransfer = \"##\"\nconsult = false\n[company]\n")]);
    let ola = talk.world.registered("ola");
    talk.press("**");
    talk.world.run(3 * S);
    assert_eq!(talk.leaked(), "**");
    talk.press("##102#");
    talk.world.run(3 * S);
    assert!(talk.talks(ola, talk.caller));
    talk.world.finish();
    let mut talk = Talk::with(411, &[("[company]\n", "[company]\nfeature_keys = \"off\"\n")]);
    talk.press("**102#");
    assert!(talk.with_caller());
    talk.world.finish();
}

#[test]
fn keys_by_both_ways_count_once_and_quick_ones_count_each() {
    // Milliseconds, by INFO or not, key: what the caller gets.
    type Press = (u64, bool, char);
    let rows: [(&[Press], &str); 6] = [
        (&[(0, false, '1')], "1"),
        (&[(0, true, '1')], "1"),
        // A phone that sends both ways, either first.
        (&[(0, false, '1'), (20, true, '1')], "1"),
        (&[(0, true, '1'), (20, false, '1')], "1"),
        // Twice the same key, each both ways.
        (&[(0, false, '1'), (20, true, '1'), (100, false, '1'), (120, true, '1')], "11"),
        // Two keys, each one way.
        (&[(0, false, '1'), (60, true, '1'), (80, false, '2')], "112"),
    ];
    for (row, (keys, expect)) in rows.into_iter().enumerate() {
        let mut talk = Talk::new(412);
        let began = talk.world.now.mono;
        for (at, info, key) in keys {
            let at = began + Duration::from_millis(*at);
            talk.world.run(at.saturating_duration_since(talk.world.now.mono));
            if *info {
                let body = Body {
                    content_type: "application/dtmf-relay",
                    bytes: format!("Signal={key}\r\n").into(),
                };
                let (now, mobile) = (talk.world.now, talk.mobile);
                let phone = &mut talk.world.phones[talk.carrier];
                phone.endpoint.request_in(now, mobile, Method::Info, Vec::new(), Some(body)).unwrap();
                phone.timeout(now);
            } else {
                let audio = talk.audio(talk.mobile);
                talk.world.key(audio, *key);
            }
        }
        talk.world.run(S);
        assert_eq!(talk.leaked(), expect, "row {row}");
        talk.world.finish();
    }
}

/// Calls as Per's mobile; `asserted` is the carrier's word.
fn serve(world: &mut World, carrier: usize, number: &str, from: &str, asserted: bool) -> DialogId {
    world.phones[carrier].name = from.to_owned();
    let extra = match asserted {
        true => vec![("P-Asserted-Identity", format!("<sip:{from}@carrier.example>"))],
        false => Vec::new(),
    };
    world.phones[carrier].call_with(world.now, number, false, extra)
}

fn state_of_per(world: &mut World) -> String {
    world.order(Command::Agents { company: None });
    let Some(Answered::Agents { agents }) = world.answers.pop() else { panic!("agents were asked for") };
    let per = agents.into_iter().find(|agent| agent.agent.user.as_str() == "per").unwrap();
    per.lines.iter().find(|(line, _)| line.to_string() == "queue:sales").unwrap().1.clone()
}

fn heard_by(world: &World, carrier: usize, line: DialogId) -> String {
    let audio = world.phones[carrier].lines[&line].audio;
    world.stream_to(audio).map(|(_, of)| of.played.join(" ")).unwrap_or_default()
}

#[test]
fn an_agent_logs_in_and_out_by_calling_from_the_mobile() {
    let (mut world, carrier) = world_with(420, &[], "");
    assert_eq!(state_of_per(&mut world), "ready");
    let out = serve(&mut world, carrier, LOGOUT, MOBILE, true);
    world.run(500 * MS);
    assert!(heard_by(&world, carrier, out).contains("queue/logged-out"));
    world.run(3 * S);
    assert!(matches!(world.phones[carrier].lines[&out].stage, Stage::Over(_)), "it ends by itself");
    assert_eq!(state_of_per(&mut world), "logged out");
    serve(&mut world, carrier, LOGIN, MOBILE, true);
    world.run(3 * S);
    assert_eq!(state_of_per(&mut world), "ready");
    assert!(world.cdrs.iter().all(|cdr| cdr.from_user.as_ref().is_some_and(|user| user.as_str() == "per")));
    world.finish();
}

#[test]
fn a_number_that_nobody_vouches_for_needs_a_pin() {
    let pin = &[("mobile = \"+4736000204\"", "mobile = \"+4736000204\"\npin = \"4711\"")];
    for (company, policy, asserted, told) in [
        (&pin[..0], "", false, "service/not-vouched"),
        (&pin[..0], "vouches = \"never\"", true, "service/not-vouched"),
        (&pin[..0], "vouches = \"from\"", false, "queue/logged-out"),
        (&pin[..], "", false, "vm/enter-pin"),
        (&pin[..], "", true, "queue/logged-out"),
        (&[pin[0], ("[company]\n", "[company]\nservice_pin = true\n")][..], "", true, "vm/enter-pin"),
    ] {
        let (mut world, carrier) = world_with(421, company, policy);
        let line = serve(&mut world, carrier, LOGOUT, MOBILE, asserted);
        world.run(500 * MS);
        let heard = heard_by(&world, carrier, line);
        assert!(heard.contains(told), "{policy} {asserted}: {heard}");
        let out = told == "queue/logged-out";
        assert_eq!(state_of_per(&mut world) == "logged out", out, "{policy} {asserted}");
        world.finish();
    }
}

#[test]
fn the_pin_opens_the_service_and_guessing_is_stopped() {
    let pin = &[("mobile = \"+4736000204\"", "mobile = \"+4736000204\"\npin = \"4711\"")];
    let (mut world, carrier) = world_with(422, pin, "");
    let try_pin = |world: &mut World, pin: &str| {
        let line = serve(world, carrier, LOGOUT, MOBILE, false);
        world.run(200 * MS);
        assert_ne!(state_of_per(world), "busy", "the call is not Per's before the PIN");
        let audio = world.phones[carrier].lines[&line].audio;
        if world.stream_to(audio).is_some() {
            for _ in 0..3 {
                for key in pin.chars() {
                    if world.phones[carrier].lines[&line].stage == Stage::Up
                        && world.stream_to(audio).is_some()
                    {
                        world.key(audio, key);
                    }
                }
                world.run(3 * S);
            }
        }
        world.run(8 * S);
        line
    };
    try_pin(&mut world, "4711#");
    assert_eq!(state_of_per(&mut world), "logged out");
    world.order(Command::Login { company: "prove".into(), user: "per".into(), line: None, logged_in: true });
    for _ in 0..2 {
        try_pin(&mut world, "1234#");
    }
    assert_eq!(decided(&world, "service.shut_out"), 1, "six wrong ones");
    try_pin(&mut world, "4711#");
    assert_eq!(state_of_per(&mut world), "ready", "not even the right one");
    world.run(16 * 60 * S);
    try_pin(&mut world, "4711#");
    assert_eq!(state_of_per(&mut world), "logged out", "a quarter later");
    world.finish();
}

#[test]
fn the_menu_serves_by_key_and_strangers_are_told_off() {
    let (mut world, carrier) = world_with(423, &[], "");
    let line = serve(&mut world, carrier, MENU, MOBILE, true);
    world.run(S);
    let heard = heard_by(&world, carrier, line);
    assert!(heard.contains("queue/logged-in") && heard.contains("service/menu"), "{heard}");
    let audio = world.phones[carrier].lines[&line].audio;
    world.key(audio, '9');
    world.run(S);
    assert!(heard_by(&world, carrier, line).contains("menu/invalid"));
    world.key(audio, '3');
    world.run(4 * S);
    assert!(state_of_per(&mut world).starts_with("paused"));
    let stranger = serve(&mut world, carrier, MENU, "+4736000999", true);
    world.run(500 * MS);
    assert!(heard_by(&world, carrier, stranger).contains("service/unknown"));
    world.run(3 * S);
    assert!(matches!(world.phones[carrier].lines[&stranger].stage, Stage::Over(_)));
    // From a phone of the company it is the menu too.
    let kari = world.registered("kari");
    let inside = world.phones[kari].call(world.now, MENU, false);
    world.run(S);
    let audio = world.phones[kari].lines[&inside].audio;
    assert!(world.stream_to(audio).unwrap().1.played.join(" ").contains("service/menu"));
    world.finish();
}
