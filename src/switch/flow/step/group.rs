//! `group` (ringegruppe): several phones ring for one call; `switch::ring_group` knows how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::id::GroupId;
use crate::model::ring_group::RingGroup;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;
use crate::switch::flow::step::dial;

/// A group being rung.
#[derive(Clone, Debug)]
pub struct Ringing {
    group: GroupId,
    exits: BTreeMap<Arc<str>, Exit>,
}

/// Rings the group.
pub fn enter(
    stage: &mut Stage<'_>,
    group: &GroupId,
    ring: Option<Duration>,
    exits: &BTreeMap<Arc<str>, Exit>,
) -> Turn {
    stage.tell(format!("rings group:{group}"));
    stage.add(Action::Ring);
    stage.add(Action::Group { group: group.clone(), ring });
    Turn::Wait(State::Group(Ringing { group: group.clone(), exits: exits.clone() }))
}

impl Ringing {
    /// Follows the exit: the step's, else the group's; `busy` and `nobody` without one are as `no_answer`.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        let Event::Dialled(outcome) = event else { return Turn::Stay };
        let name = match outcome {
            Outcome::NoAnswer => "no_answer",
            Outcome::Busy => "busy",
            Outcome::Unavailable | Outcome::Nobody => "nobody",
            Outcome::Refused(_) => "no_answer",
        };
        stage.takes(name);
        let group = stage.ctx.company.groups.get(&self.group);
        match self.exit(group, name).or_else(|| self.exit(group, "no_answer")) {
            Some(exit) => {
                stage.tell(format!("group:{} ({name}): {}", self.group, leads_to(&exit)));
                Turn::Go(exit)
            }
            None => dial::last_word(stage, outcome),
        }
    }

    fn exit(&self, group: Option<&RingGroup>, name: &str) -> Option<Exit> {
        self.exits.get(name).cloned().or_else(|| own_exit(group?, name).cloned().map(Exit::To))
    }
}

/// Where a group sends calls that nobody takes.
pub fn own_exit<'a>(group: &'a RingGroup, name: &str) -> Option<&'a Destination> {
    match name {
        "no_answer" => group.no_answer.as_ref(),
        "busy" => group.busy.as_ref(),
        "nobody" => group.nobody.as_ref(),
        _ => None,
    }
}
