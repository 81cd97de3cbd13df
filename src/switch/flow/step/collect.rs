//! `collect`: digits that the caller keys in become a tag of the call, if they are what was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Check;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::id::MediaId;
use crate::model::number;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Event;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;

/// For the first digit, from the end of the prompt.
const FIRST_DIGIT: Duration = Duration::from_secs(6);
/// Between two digits.
const INTER_DIGIT: Duration = Duration::from_secs(4);

/// Digits being collected.
#[derive(Clone, Debug)]
pub struct Collecting {
    most: usize,
    end: Option<char>,
    check: Option<Check>,
    tag: Arc<str>,
    exits: BTreeMap<Arc<str>, Exit>,
    digits: String,
}

impl Collecting {
    /// Nothing collected yet.
    pub fn new(
        most: u32,
        end: Option<char>,
        check: Option<Check>,
        tag: Arc<str>,
        exits: BTreeMap<Arc<str>, Exit>,
    ) -> Collecting {
        // 32 is what fits in a number; it also bounds what a caller can make us keep.
        Collecting { most: most.clamp(1, 32) as usize, end, check, tag, exits, digits: String::new() }
    }
}

/// Answers and asks.
pub fn enter(stage: &mut Stage<'_>, media: &MediaId, collecting: Collecting) -> Turn {
    stage.answer();
    stage.tell(format!("collects up to {} digits", collecting.most));
    stage.play(vec![stage.media(media)], 1);
    Turn::Wait(State::Collect(collecting))
}

impl Collecting {
    /// Takes digits until the end key, the last digit, or silence.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match event {
            Event::PlayFinished => {
                stage.timer(FIRST_DIGIT);
                Turn::Stay
            }
            Event::Digit(key) => {
                stage.stop_play();
                if self.end == Some(key) {
                    return self.decide(stage);
                }
                self.digits.push(key);
                if self.digits.len() >= self.most {
                    return self.decide(stage);
                }
                stage.timer(INTER_DIGIT);
                Turn::Stay
            }
            Event::Timer if self.digits.is_empty() => self.take(stage, "timeout"),
            Event::Timer => self.decide(stage),
            _ => Turn::Stay,
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Turn {
        if !holds(self.check.as_ref(), &self.digits) {
            return self.take(stage, "invalid");
        }
        let value = std::mem::take(&mut self.digits).into();
        stage.tag(&self.tag, value);
        self.take(stage, "ok")
    }

    fn take(&self, stage: &mut Stage<'_>, name: &str) -> Turn {
        stage.takes(name);
        let Some(exit) = self.exits.get(name) else {
            stage.tell(format!("{name}: hangs up"));
            return Turn::End(HangupCause::Normal);
        };
        stage.tell(format!("{name}: {}", leads_to(exit)));
        Turn::Go(exit.clone())
    }
}

fn holds(check: Option<&Check>, digits: &str) -> bool {
    match check {
        None => !digits.is_empty(),
        Some(Check::Orgnr) => number::orgnr_valid(digits),
        Some(Check::Phone) => number::read(digits).is_some(),
        Some(Check::Digits { min, max }) => {
            let length = digits.len() as u32;
            digits.bytes().all(|b| b.is_ascii_digit()) && (*min..=*max).contains(&length)
        }
        Some(Check::Pattern(pattern)) => pattern.holds(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flow::Pattern;

    #[test]
    fn digits_are_taken_only_when_they_are_what_was_asked_for() {
        let pattern = |text: &str| Some(Check::Pattern(Pattern::new(text).expect("it is right")));
        let rows: &[(Option<Check>, &str, bool)] = &[
            (None, "1", true),
            (None, "", false),
            (Some(Check::Orgnr), "974760673", true),
            (Some(Check::Orgnr), "974760674", false),
            (Some(Check::Orgnr), "97476067", false),
            (Some(Check::Digits { min: 4, max: 6 }), "123", false),
            (Some(Check::Digits { min: 4, max: 6 }), "1234", true),
            (Some(Check::Digits { min: 4, max: 6 }), "12*4", false),
            (Some(Check::Phone), "36000100", true),
            (Some(Check::Phone), "*", false),
            (pattern("(1|2)\\d{3}"), "2345", true),
            // The whole of it.
            (pattern("(1|2)\\d{3}"), "23456", false),
            (pattern("1|23"), "123", false),
            (pattern("[3-9]*"), "", true),
        ];
        for (check, digits, expect) in rows {
            assert_eq!(holds(check.as_ref(), digits), *expect, "{check:?} {digits}");
        }
    }
}
