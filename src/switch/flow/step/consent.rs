//! `consent`: asks for consent to recording. Silence is no.

use std::time::Duration;

use crate::model::flow::Exit;
use crate::model::id::MediaId;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Stage;

/// From the end of the prompt.
const WAIT: Duration = Duration::from_secs(6);

/// Waiting for yes or no.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Key for yes.
    pub yes: char,
    /// Key for no.
    pub no: char,
    /// Yes.
    pub accepted: Exit,
    /// No, or silence.
    pub declined: Exit,
}

/// Answers and asks.
pub fn enter(stage: &mut Stage<'_>, media: &MediaId, asking: Asking) -> Turn {
    stage.answer();
    stage.tell("asks for consent");
    stage.play(vec![stage.media(media)], 1);
    Turn::Wait(State::Consent(asking))
}

impl Asking {
    /// Takes yes or no; other keys are passed over.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        let accepted = match event {
            Event::PlayFinished => {
                stage.timer(WAIT);
                return Turn::Stay;
            }
            Event::Digit(key) if key == self.yes => true,
            Event::Digit(key) if key == self.no => false,
            Event::Timer => false,
            _ => return Turn::Stay,
        };
        if let Event::Digit(key) = event {
            stage.add(Action::Key(key));
        }
        let (value, name, exit) =
            if accepted { ("yes", "accepted", &self.accepted) } else { ("no", "declined", &self.declined) };
        stage.tag("consent", value.into());
        stage.takes(name);
        stage.tell(format!("consent: {value}"));
        Turn::Go(exit.clone())
    }
}
