//! What somebody sets in a voicemail box by telephone: greetings for each occasion, and the PIN.
//!
//! A greeting is recorded, heard, and only then kept; whoever hangs up before has changed nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::model::id::MailboxId;
use crate::model::mailbox::Occasion;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Stage;

/// For a key, from the end of the prompt.
const WAIT: Duration = Duration::from_secs(8);
/// Longest greeting.
const GREETING_MAX: Duration = Duration::from_secs(60);
/// A shorter one is a slip.
const GREETING_MIN: Duration = Duration::from_secs(1);
/// Silence that ends a greeting.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// Digits of a PIN.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=8;
/// Days of a temporary greeting at most.
const DAYS_MAX: u32 = 365;

/// Whether somebody could guess a PIN: one digit repeated, digits in a row, the box's extension, or a common one.
pub fn pin_is_trivial(pin: &str, ext: Option<&str>) -> bool {
    const COMMON: [&str; 6] = ["1212", "1122", "2580", "1313", "2000", "2020"];
    let digits = pin.as_bytes();
    let steps = |by: i16| digits.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by);
    let of_ext = ext
        .is_some_and(|ext| pin == ext || (ext.len() >= 3 && pin.contains(ext) && pin.len() == ext.len() + 1));
    steps(0) || steps(1) || steps(-1) || of_ext || COMMON.contains(&pin)
}

/// The menu, from its first words until it is left.
#[derive(Clone, Debug)]
pub struct Settings {
    mailbox: MailboxId,
    /// For PINs that are too much like it.
    ext: Option<Arc<str>>,
    state: State,
    occasion: Occasion,
    digits: String,
    /// The PIN as it was keyed in first.
    first: Option<String>,
    /// Times the menu was read in vain.
    asked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// What can be set is read out.
    Menu,
    /// "Record your greeting", and the tone.
    Ready,
    /// It is being recorded.
    Recording,
    /// Hear, keep, again?
    Options,
    /// It is being brought into the bank.
    Loading,
    /// How many days a temporary one holds is being keyed in.
    Days,
    /// A new PIN is being keyed in, twice.
    Pin,
    /// What was done is told; the menu follows.
    Between,
}

/// What the menu wants after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: it goes on.
    No,
    /// It is left.
    Yes,
}

impl Settings {
    /// Reads out what can be set.
    pub fn enter(stage: &mut Stage<'_>, mailbox: MailboxId, ext: Option<Arc<str>>) -> Settings {
        stage.leave();
        stage.play(vec![stage.system("vm/settings")], 1);
        Settings {
            mailbox,
            ext,
            state: State::Menu,
            occasion: Occasion::NoAnswer,
            digits: String::new(),
            first: None,
            asked: 0,
        }
    }

    /// Handles one event.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Left {
        match (self.state, event) {
            (State::Menu | State::Options | State::Days | State::Pin, Event::PlayFinished) => {
                stage.timer(WAIT);
            }
            (State::Menu, Event::Digit(key)) => return self.choose(stage, key),
            (State::Menu | State::Options, Event::Timer) => {
                self.asked += 1;
                if self.asked > 1 {
                    stage.add(Action::DropMessage);
                    return Left::Yes;
                }
                let prompt = if self.state == State::Menu { "vm/settings" } else { "vm/greeting-options" };
                stage.play(vec![stage.system(prompt)], 1);
            }
            (State::Ready, Event::PlayFinished) => {
                self.state = State::Recording;
                // Who hangs up while speaking has not kept it: nothing is as long as this.
                let (mailbox, min) = (self.mailbox.clone(), Duration::MAX);
                stage.add(Action::Record { mailbox, max: GREETING_MAX, max_silence: MAX_SILENCE, min });
            }
            (State::Recording, Event::Digit('#')) => stage.add(Action::StopRecord),
            (State::Recording, Event::Recorded { length }) if length < GREETING_MIN => {
                stage.add(Action::DropMessage);
                self.between(stage, "vm/too-short");
            }
            (State::Recording, Event::Recorded { .. }) => self.options(stage),
            (State::Options, Event::Digit(key)) => self.judge(stage, key),
            (State::Loading, Event::Loaded(true)) => {
                self.state = State::Options;
                stage.hear();
            }
            (State::Loading, Event::Loaded(false)) => {
                stage.add(Action::DropMessage);
                self.between(stage, "call/technical");
            }
            (State::Days | State::Pin, Event::Digit('#') | Event::Timer) => self.keyed(stage),
            (State::Days | State::Pin, Event::Digit(key)) => {
                stage.stop_play();
                if self.digits.len() <= *PIN_DIGITS.end() {
                    self.digits.push(key);
                }
                stage.timer(WAIT);
            }
            (State::Between, Event::PlayFinished) => {
                self.state = State::Menu;
                stage.play(vec![stage.system("vm/settings")], 1);
            }
            _ => {}
        }
        Left::No
    }

    fn choose(&mut self, stage: &mut Stage<'_>, key: char) -> Left {
        stage.leave();
        self.asked = 0;
        self.occasion = match key {
            '1' => Occasion::NoAnswer,
            '2' => Occasion::Busy,
            '3' => Occasion::Away,
            '4' => Occasion::Temporary,
            '5' => {
                self.first = None;
                self.ask(stage, State::Pin, "vm/new-pin");
                return Left::No;
            }
            '*' => return Left::Yes,
            _ => {
                stage.play(vec![stage.system("menu/invalid"), stage.system("vm/settings")], 1);
                return Left::No;
            }
        };
        self.record(stage);
        Left::No
    }

    fn record(&mut self, stage: &mut Stage<'_>) {
        self.state = State::Ready;
        stage.play(vec![stage.system("vm/record-greeting")], 1);
        stage.beep();
    }

    fn options(&mut self, stage: &mut Stage<'_>) {
        self.state = State::Options;
        self.asked = 0;
        stage.play(vec![stage.system("vm/greeting-options")], 1);
    }

    /// What becomes of what was recorded.
    fn judge(&mut self, stage: &mut Stage<'_>, key: char) {
        stage.leave();
        match key {
            '1' => {
                self.state = State::Loading;
                stage.add(Action::LoadRecorded);
            }
            '2' if self.occasion == Occasion::Temporary => self.ask(stage, State::Days, "vm/days"),
            '2' => self.keep(stage, 0),
            '3' => {
                stage.add(Action::DropMessage);
                self.record(stage);
            }
            '9' => {
                stage.add(Action::DropMessage);
                let (mailbox, occasion) = (self.mailbox.clone(), self.occasion);
                stage.tell(format!("takes the greeting \"{}\" away", occasion.as_str()));
                stage.add(Action::DropGreeting { mailbox, occasion });
                self.between(stage, "vm/greeting-removed");
            }
            '*' => {
                stage.add(Action::DropMessage);
                self.state = State::Menu;
                stage.play(vec![stage.system("vm/settings")], 1);
            }
            _ => stage.play(vec![stage.system("menu/invalid"), stage.system("vm/greeting-options")], 1),
        }
    }

    fn keep(&mut self, stage: &mut Stage<'_>, days: u32) {
        let (mailbox, occasion) = (self.mailbox.clone(), self.occasion);
        stage.tell(format!("keeps the greeting \"{}\"", occasion.as_str()));
        stage.add(Action::KeepGreeting { mailbox, occasion, days });
        self.between(stage, "vm/greeting-saved");
    }

    fn ask(&mut self, stage: &mut Stage<'_>, state: State, prompt: &str) {
        self.state = state;
        self.digits.clear();
        stage.play(vec![stage.system(prompt)], 1);
    }

    /// What was asked for is keyed in.
    fn keyed(&mut self, stage: &mut Stage<'_>) {
        stage.leave();
        let digits = std::mem::take(&mut self.digits);
        if self.state == State::Days {
            // Nothing, or nonsense, is a greeting that holds until it is taken away.
            let days = digits.parse().unwrap_or(0);
            return self.keep(stage, if days > DAYS_MAX { DAYS_MAX } else { days });
        }
        let fits = PIN_DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !fits || pin_is_trivial(&digits, self.ext.as_deref()) {
            stage.tell("pin_refused: too short, too long, or easy to guess");
            return self.between(stage, "vm/pin-refused");
        }
        match self.first.take() {
            None => {
                self.first = Some(digits);
                self.ask(stage, State::Pin, "vm/new-pin-again");
            }
            Some(first) if first == digits => {
                stage.tell("sets a new PIN");
                stage.add(Action::SetPin { mailbox: self.mailbox.clone(), pin: digits.into() });
                self.between(stage, "vm/pin-saved");
            }
            Some(_) => self.between(stage, "vm/pin-differs"),
        }
    }

    fn between(&mut self, stage: &mut Stage<'_>, prompt: &str) {
        self.state = State::Between;
        stage.play(vec![stage.system(prompt)], 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_anybody_would_try_first_is_trivial() {
        for (pin, ext, trivial) in [
            ("1111", None, true),
            ("1234", None, true),
            ("87654321", None, true),
            ("2580", None, true),
            // The box's own number, bare or with a digit to make it four.
            ("2031", Some("203"), true),
            ("1203", Some("203"), true),
            ("4821", Some("203"), false),
            ("4821", None, false),
            ("20314", Some("203"), false),
        ] {
            assert_eq!(pin_is_trivial(pin, ext), trivial, "{pin}");
        }
    }
}
