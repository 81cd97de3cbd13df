//! `sms`: a text message to the caller. The call goes on at once; whether the message went out is told when it is
//! known. Only Norwegian mobile numbers get one, and never a caller with a hidden number.

use std::sync::Arc;

use crate::model::flow::Exit;
use crate::model::number;
use crate::model::number::Class;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::stage::Stage;

/// Sends it, or tells why not, and goes on.
pub fn enter(stage: &mut Stage<'_>, text: Arc<str>, next: Exit) -> Turn {
    let caller = stage.ctx.caller;
    match &caller.number {
        _ if caller.hidden => stage.tell("no text message: the caller's number is hidden"),
        Some(number) if number::class(number) == Class::Mobile => {
            stage.tell("sends the caller a text message");
            stage.add(Action::Sms { text });
        }
        Some(_) => stage.tell("no text message: the caller's number is no mobile"),
        None => stage.tell("no text message: the caller has no number"),
    }
    Turn::Go(next)
}
