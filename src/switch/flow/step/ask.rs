//! `ask`: another system decides. Not carried out by this version: the exit `error` is taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;

/// Takes `error`.
pub fn enter(stage: &mut Stage<'_>, exits: &BTreeMap<Arc<str>, Exit>) -> Turn {
    stage.tell("asking other systems is not carried out by this version: takes `error`");
    exits.get("error").cloned().map_or(Turn::End(HangupCause::Normal), Turn::Go)
}
