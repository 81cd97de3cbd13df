//! `hours`: opening hours decide. A category without an exit of its own is `closed`; a closure's message is
//! heard first.

use std::collections::BTreeMap;

use crate::model::event::Fields;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::hours::Category;
use crate::model::id::HoursId;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;
use crate::switch::flow::step::play;
use crate::switch::hours;
use crate::switch::hours::HoursState;

/// Takes the exit of the category that holds.
pub fn enter(stage: &mut Stage<'_>, hours: &HoursId, exits: &BTreeMap<Category, Exit>) -> Turn {
    let Some(state) = state(stage, hours) else {
        stage.tell(format!("hours \"{hours}\" do not exist: closed"));
        return exits.get("closed").cloned().map_or(Turn::End(HangupCause::Normal), Turn::Go);
    };
    let fields = Fields { result: Some((*state.category).into()), ..Fields::default() };
    stage.tell_with(sentence(hours, &state), fields);
    let exit = exits.get(&state.category).or_else(|| exits.get("closed")).cloned();
    let Some(exit) = exit else { return Turn::End(HangupCause::Normal) };
    match &state.play {
        Some(media) => play::enter(
            stage,
            std::slice::from_ref(media),
            play::Options { repeat: 1, barge_in: false, early_media: false },
            exit,
            BTreeMap::new(),
        ),
        None => Turn::Go(exit),
    }
}

fn state(stage: &Stage<'_>, id: &HoursId) -> Option<HoursState> {
    let ctx = stage.ctx;
    let hours = ctx.company.hours.get(id)?;
    let by_hand = ctx.world.toggles.by_hand(ctx.company, id, ctx.now);
    Some(hours::state_at(hours, id, &ctx.company.closures, by_hand.as_ref(), ctx.now))
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
