//! `set`: facts of the call.

use std::sync::Arc;

use crate::model::flow::Exit;
use crate::model::server::Language;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::stage::Stage;

/// What is set; what is `None` stays.
#[derive(Clone, Debug)]
pub struct Values {
    /// Shown name.
    pub name: Option<Arc<str>>,
    /// Language of prompts.
    pub language: Option<Language>,
    /// In queues.
    pub priority: Option<i32>,
    /// Kept with the call record.
    pub tag: Option<Arc<str>>,
}

/// Sets them and goes on.
pub fn enter(stage: &mut Stage<'_>, values: Values, next: Exit) -> Turn {
    stage.tell("sets facts of the call");
    if let Some(name) = values.name {
        stage.add(Action::SetName(name));
    }
    if let Some(language) = values.language {
        stage.set_language(language);
    }
    if let Some(priority) = values.priority {
        stage.add(Action::SetPriority(priority));
    }
    if let Some(value) = values.tag {
        stage.tag("tag", value);
    }
    Turn::Go(next)
}
