//! `toggle`: asks a state set by hand (bryter).

use crate::model::flow::Exit;
use crate::model::id::ToggleId;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;

/// Takes `on` or `off`.
pub fn enter(stage: &mut Stage<'_>, toggle: &ToggleId, on: Exit, off: Exit) -> Turn {
    let (company, now) = (&stage.ctx.company.id, stage.ctx.now);
    let toggles = stage.ctx.world.toggles;
    if !toggles.is_on(company, toggle, now) {
        stage.tell(format!("toggle \"{toggle}\" is off"));
        stage.takes("off");
        return Turn::Go(off);
    }
    match toggles.until(company, toggle, now) {
        Some(until) => stage.tell(format!("toggle \"{toggle}\" is on until {until:.0}")),
        None => stage.tell(format!("toggle \"{toggle}\" is on")),
    }
    stage.takes("on");
    Turn::Go(on)
}
