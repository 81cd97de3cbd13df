//! Random events: a call never panics, and always goes on or ends.

use crate::bench::Bench;
use proptest::prelude::*;
use sentral::model::mailbox::MessageState;
use sentral::switch::flow::action::Action;
use sentral::switch::flow::action::Event;
use sentral::switch::flow::action::Outcome;
use sentral::switch::flow::action::QueueExit;
use sentral::switch::flow::action::Unanswered;
use sentral::switch::service;
use sentral::switch::service::Service;
use std::time::Duration;

/// Everything a call may wait for, as its actions say.
#[derive(Default)]
struct Awaited {
    playing: bool,
    timing: bool,
    queue: bool,
    dialled: bool,
    recording: bool,
    /// How many answers another system may give.
    asked: Option<u16>,
    ended: bool,
}

impl Awaited {
    fn learn(&mut self, action: &Action) {
        assert!(!self.ended, "{action:?} after the end");
        match action {
            Action::Play { prompts, repeat } => {
                assert!(!prompts.is_empty() && *repeat > 0);
                self.playing = true;
            }
            Action::Beep => self.playing = true,
            Action::StopPlay => self.playing = false,
            Action::Timer(_) => self.timing = true,
            Action::ClearTimer => self.timing = false,
            Action::Enqueue { .. } => self.queue = true,
            Action::LeaveQueue => self.queue = false,
            Action::Group { .. } | Action::Dial { .. } | Action::Outbound { .. } => self.dialled = true,
            Action::Record { .. } => self.recording = true,
            Action::Ask { names, .. } => self.asked = Some(u16::try_from(names.len()).expect("a few")),
            Action::HangUp(_) => self.ended = true,
            _ => {}
        }
    }

    /// What may come, by `choice`: a key now and then, else something that is under way ends.
    fn event(&mut self, choice: u32) -> Event {
        if choice.is_multiple_of(3) {
            return Event::Digit(*b"0123456789*#".get(choice as usize / 3 % 12).unwrap_or(&b'0') as char);
        }
        let pick = choice / 3;
        let mut possible = Vec::new();
        if self.playing {
            possible.push(Event::PlayFinished);
        }
        if self.timing {
            possible.push(Event::Timer);
        }
        if self.queue {
            let exits =
                [QueueExit::Timeout, QueueExit::Full, QueueExit::Nobody, QueueExit::Closed, QueueExit::Gone];
            possible.push(Event::Queue(exits[pick as usize / 8 % 5]));
        }
        if self.dialled {
            let outcomes = [
                Outcome::NoAnswer,
                Outcome::Busy,
                Outcome::Unavailable,
                Outcome::Nobody,
                Outcome::Refused(603),
            ];
            possible.push(Event::Dialled(outcomes[pick as usize / 8 % 5]));
        }
        if self.recording {
            possible.push(Event::Recorded { length: Duration::from_secs(u64::from(pick / 8 % 5)) });
        }
        if let Some(names) = self.asked {
            let answer =
                if pick.is_multiple_of(4) { Err(Unanswered::Timeout) } else { Ok(pick as u16 % names) };
            possible.push(Event::Asked(answer));
        }
        assert!(!possible.is_empty(), "nothing is under way, but the call has not ended");
        let event = possible[pick as usize % possible.len()];
        match event {
            Event::PlayFinished => self.playing = false,
            Event::Timer => self.timing = false,
            Event::Queue(_) => self.queue = false,
            Event::Dialled(_) => self.dialled = false,
            Event::Recorded { .. } => self.recording = false,
            Event::Asked(_) => self.asked = None,
            _ => {}
        }
        event
    }
}

const SAMPLE: &str = r##"
s = { hours = "lager", open = "vip", lunsj = "stengt", closed = "stengt" }
vip = { caller = ["+4736", "contacts:vip"], match = "queue:prosjekt", else = "natt" }
natt = { toggle = "natt", on = "stengt", off = "samtykke" }
samtykke = { consent = "en", accepted = "kunde", declined = "kunde" }
kunde = { collect = "to", digits = 4, check = "[0-9]{4}", as = "kunde", ok = "meny", invalid = "meny", timeout = "meny" }
meny = { menu = "meny", extensions = true, 1 = "salg", 2 = "ring", 3 = "lager", 4 = "del", 5 = "inni", 6 = "navn", 7 = "spor", "#" = "user:jonas", timeout = "salg" }
salg = { queue = "salg", 9 = "meny", nobody = "meny", exit = "stengt" }
ring = { dial = ["user:kari", "phone:+4736000299"], no_answer = "meny", busy = "stengt" }
lager = { group = "lager", no_answer = "meny" }
del = { split = { a = 1, b = 2, c = 3 }, a = "stengt", b = "salg", c = "user:alltid" }
navn = { directory = "meny", letters = 2, none = "spor" }
spor = { ask = "https://crm.example.no/x", ny = "salg", vip = "navn", error = "hilsen" }
hilsen = { play = ["en", "reopens:lager"], next = "meny" }
inni = { flow = "hilsen", next = "meny" }
stengt = { play = "tre", early_media = true, barge_in = true, next = "boks", 1 = "meny" }
boks = { voicemail = "felles", full = "slutt", next = "slutt" }
slutt = { hangup = "busy", play = "en" }
"##;

proptest! {
    #[test]
    fn whatever_happens_a_call_goes_on_or_ends(
        choices in prop::collection::vec(any::<u32>(), 400),
        open in any::<bool>(),
        toggled in any::<bool>(),
    ) {
        let mut bench = Bench::flow(SAMPLE);
        if !open {
            bench = bench.at("2026-11-23T20:00:00+01:00");
        }
        if toggled {
            bench = bench.toggled("natt");
        }
        let mut awaited = Awaited::default();
        let mut event = Event::Start;
        // Beyond the choices given nothing is pressed any more, and the call must come to an end.
        for choice in choices.into_iter().chain((0..4000).map(|i| i * 3 + 1)) {
            for action in bench.actions(event) {
                awaited.learn(&action);
            }
            if awaited.ended {
                break;
            }
            event = awaited.event(choice);
        }
        prop_assert!(awaited.ended);
    }

    #[test]
    fn no_sequence_of_events_makes_a_program_panic(events in prop::collection::vec(any::<(u8, u8)>(), 200), which in 0..6) {
        let mut bench = match which {
            0 => Bench::flow(SAMPLE),
            1 => Bench::at_destination("user:jonas"),
            2 => Bench::with("", service::program(Service::Toggle("natt".into()))).calling("kari"),
            3 => Bench::with("", service::program(Service::Login(None))).calling("kari"),
            4 => Bench::with("", service::program(Service::Voicemail(None))).calling("kari"),
            _ => Bench::with("", service::program(Service::Voicemail(Some("felles".into())))).calling("ola"),
        };
        bench = bench.message("user:kari", "ny", MessageState::New);
        let mut ended = false;
        for (kind, detail) in events {
            let event = match kind % 11 {
                0 => Event::Start,
                1 | 2 => Event::PlayFinished,
                3 => Event::Digit(char::from(detail)),
                4 => Event::Digit(char::from(b'0' + detail % 10)),
                5 => Event::Timer,
                6 => Event::Queue(QueueExit::Timeout),
                7 => Event::Dialled(Outcome::Refused(u16::from(detail))),
                8 => Event::Recorded { length: Duration::from_secs(detail.into()) },
                9 => Event::Asked(if detail % 2 == 0 { Ok(detail.into()) } else { Err(Unanswered::Resting) }),
                _ => if detail % 2 == 0 { Event::Loaded(detail % 4 == 0) } else { Event::Toggled(true) },
            };
            let actions = bench.actions(event);
            prop_assert!(!ended || actions.is_empty());
            ended |= actions.iter().any(|action| matches!(action, Action::HangUp(_)));
        }
    }
}
