//! `hours`: opening hours decide. A category without an exit of its own is `closed`; a closure's message is
//! heard first.

use std::collections::BTreeMap;

use crate::model::event::Fields;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::flow::Played;
use crate::model::hours::Category;
use crate::model::id::HoursId;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;
use crate::switch::flow::step::play;
use crate::switch::hours::HoursState;

/// Takes the exit of the category that holds.
pub fn enter(stage: &mut Stage<'_>, hours: &HoursId, exits: &BTreeMap<Category, Exit>) -> Turn {
    let ctx = stage.ctx;
    let Some(state) = ctx.world.toggles.hours(ctx.company, hours, ctx.now) else {
        stage.tell(format!("hours \"{hours}\" do not exist: closed"));
        return exits.get("closed").cloned().map_or(Turn::End(HangupCause::Normal), Turn::Go);
    };
    let fields = Fields { result: Some((*state.category).into()), ..Fields::default() };
    stage.tell_with(sentence(hours, &state), fields);
    let category = if exits.contains_key(&state.category) { &*state.category } else { "closed" };
    stage.takes(category);
    let Some(exit) = exits.get(category).cloned() else { return Turn::End(HangupCause::Normal) };
    match &state.play {
        Some(media) => play::enter(
            stage,
            &[Played::Media(media.clone())],
            play::Options { repeat: 1, barge_in: false, early_media: false },
            exit,
            BTreeMap::new(),
        ),
        None => Turn::Go(exit),
    }
}

/// Category, where it comes from, and until when.
fn sentence(id: &HoursId, state: &HoursState) -> String {
    let mut text = format!("hours \"{id}\": {} ({}", state.category, state.source);
    if let Some(name) = &state.name {
        text.push_str(&format!(": {name}"));
    }
    text.push(')');
    if let Some(until) = state.until {
        text.push_str(&format!(" until {until:.0}"));
    }
    text
}
