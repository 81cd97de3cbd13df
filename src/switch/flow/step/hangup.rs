//! `hangup`: the end of the call, with last words if any.

use crate::model::flow::HangupCause;
use crate::model::prompt::PromptKey;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Stage;

/// Last words being played.
#[derive(Clone, Debug)]
pub struct Parting {
    cause: HangupCause,
}

/// Plays `prompts`, then ends. A caller who is not answered hears them as early media and then gets the cause's
/// status, so that the call is not charged.
pub fn enter(stage: &mut Stage<'_>, prompts: Vec<PromptKey>, cause: HangupCause) -> Turn {
    if prompts.is_empty() {
        return Turn::End(cause);
    }
    stage.early();
    stage.play(prompts, 1);
    Turn::Wait(State::Hangup(Parting { cause }))
}

impl Parting {
    /// Ends the call when they were heard.
    pub fn on(&mut self, event: Event) -> Turn {
        if event == Event::PlayFinished { Turn::End(self.cause) } else { Turn::Stay }
    }
}
