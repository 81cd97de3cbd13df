//! `menu` (tastevalg): asks for a key. The wait begins when the prompt ends, a key cuts the prompt short, and
//! silence and wrong keys share one budget of tries.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::id::MediaId;
use crate::model::prompt::PromptKey;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::leads_to;
use crate::switch::flow::place;
use crate::switch::flow::stage::Stage;

/// The step as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Played first.
    pub media: MediaId,
    /// From the end of the prompt.
    pub wait: Duration,
    /// Prompts at most.
    pub tries: u32,
    /// Before the next try.
    pub invalid_play: Option<MediaId>,
    /// The caller may dial an extension.
    pub extensions: bool,
    /// Between two digits of an extension.
    pub inter_digit: Duration,
    /// By key.
    pub keys: BTreeMap<char, Exit>,
    /// When tries are used up in silence.
    pub timeout: Option<Exit>,
    /// When tries are used up on a wrong key.
    pub invalid: Option<Exit>,
}

/// A menu waiting for keys.
#[derive(Clone, Debug)]
pub struct Menu {
    settings: Settings,
    /// Prompts left after this one.
    left: u32,
    /// Digits that may become an extension.
    digits: String,
}

impl Menu {
    /// A menu with all its tries.
    pub fn new(settings: Settings) -> Menu {
        Menu { left: settings.tries.max(1) - 1, settings, digits: String::new() }
    }
}

/// Answers and asks.
pub fn enter(stage: &mut Stage<'_>, menu: Menu) -> Turn {
    stage.answer();
    stage.tell(format!("menu \"{}\"", menu.settings.media));
    let prompt = stage.media(&menu.settings.media);
    stage.play(vec![prompt], 1);
    Turn::Wait(State::Menu(Box::new(menu)))
}

impl Menu {
    /// Counts silence, reads keys.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match event {
            Event::PlayFinished => {
                stage.timer(self.settings.wait);
                Turn::Stay
            }
            Event::Digit(key) => {
                stage.stop_play();
                stage.clear_timer();
                stage.add(Action::Key(key));
                self.key(stage, key)
            }
            Event::Timer if self.digits.is_empty() => self.silence(stage),
            Event::Timer => self.decide(stage),
            _ => Turn::Stay,
        }
    }

    fn key(&mut self, stage: &mut Stage<'_>, key: char) -> Turn {
        if self.settings.extensions && key == '#' && !self.digits.is_empty() {
            return self.decide(stage);
        }
        self.digits.push(key);
        // A key that could begin an extension waits for the next one; one that could not is taken at once.
        if self.settings.extensions && self.begins_extension(stage) {
            stage.timer(self.settings.inter_digit);
            return Turn::Stay;
        }
        self.decide(stage)
    }

    /// Whether a longer extension begins with the digits dialled.
    fn begins_extension(&self, stage: &Stage<'_>) -> bool {
        let extensions = stage.ctx.company.extensions.iter();
        extensions.filter(|(_, to)| dialable(to).is_some()).any(|(number, _)| {
            number.as_str().len() > self.digits.len() && number.as_str().starts_with(self.digits.as_str())
        })
    }

    /// Takes what was dialled as an extension or a key.
    fn decide(&mut self, stage: &mut Stage<'_>) -> Turn {
        let digits = std::mem::take(&mut self.digits);
        if self.settings.extensions {
            let found = stage.ctx.company.extensions.get(digits.as_str());
            if let Some(to) = found.and_then(dialable) {
                stage.tell(format!("extension dialled: {}", place(to)));
                stage.takes("extension");
                return Turn::Go(Exit::To(to.clone()));
            }
        }
        let mut keys = digits.chars();
        let exit = match (keys.next(), keys.next()) {
            (Some(key), None) => self.settings.keys.get(&key),
            _ => None,
        };
        match exit {
            Some(exit) => {
                stage.tell(format!("key {digits}: {}", leads_to(exit)));
                stage.takes(&digits);
                Turn::Go(exit.clone())
            }
            None => self.wrong(stage),
        }
    }

    fn silence(&mut self, stage: &mut Stage<'_>) -> Turn {
        if self.left == 0 {
            stage.takes("timeout");
            return self.used_up(stage, "no key", self.settings.timeout.clone());
        }
        self.again(stage, Vec::new())
    }

    fn wrong(&mut self, stage: &mut Stage<'_>) -> Turn {
        if self.left == 0 {
            let exit = self.settings.invalid.clone().or_else(|| self.settings.timeout.clone());
            stage.takes("invalid");
            return self.used_up(stage, "a key that means nothing", exit);
        }
        let sorry = match &self.settings.invalid_play {
            Some(media) => stage.media(media),
            None => stage.system("menu/invalid"),
        };
        self.again(stage, vec![sorry])
    }

    fn again(&mut self, stage: &mut Stage<'_>, mut prompts: Vec<PromptKey>) -> Turn {
        self.left -= 1;
        prompts.push(stage.media(&self.settings.media));
        stage.play(prompts, 1);
        Turn::Stay
    }

    fn used_up(&self, stage: &mut Stage<'_>, what: &str, exit: Option<Exit>) -> Turn {
        let Some(exit) = exit else {
            stage.tell(format!("{what} after {} tries: hangs up", self.settings.tries));
            return Turn::End(HangupCause::Normal);
        };
        stage.tell(format!("{what} after {} tries: {}", self.settings.tries, leads_to(&exit)));
        Turn::Go(exit)
    }
}

/// Callers reach people and places by extension; toggles are for those inside.
fn dialable(extension: &Extension) -> Option<&Destination> {
    match extension {
        Extension::To(to) => Some(to),
        Extension::Toggle(_) => None,
    }
}
