//! `directory`: name search by keys. Not carried out by this version: the exit `none` is taken.

use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;

/// Takes `none`, or hangs up when there is none.
pub fn enter(stage: &mut Stage<'_>, none: Option<Exit>) -> Turn {
    stage.tell("name search is not carried out by this version: takes `none`");
    none.map_or(Turn::End(HangupCause::Normal), Turn::Go)
}
