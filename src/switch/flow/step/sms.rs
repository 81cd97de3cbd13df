//! `sms`: a text message to the caller. Not carried out by this version: the call goes on.

use crate::model::flow::Exit;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;

/// Goes on.
pub fn enter(stage: &mut Stage<'_>, next: Exit) -> Turn {
    stage.tell("text messages are not sent by this version: goes on");
    Turn::Go(next)
}
