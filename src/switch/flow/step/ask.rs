//! `ask`: another system decides. The caller waits in silence, at most as long as the step says: whatever goes wrong
//! takes the exit `error`, which every step has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Unanswered;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;

/// The exit for all that goes wrong.
pub const ERROR: &str = "error";
/// Whoever asks keeps the budget; this is for an answer that is never given.
const MARGIN: Duration = Duration::from_millis(500);

/// Another system being asked.
#[derive(Clone, Debug)]
pub struct Asking {
    /// What it may answer, with where that leads.
    exits: Vec<(Arc<str>, Exit)>,
    error: Option<Exit>,
}

/// Asks.
pub fn enter(
    stage: &mut Stage<'_>,
    what: Arc<str>,
    timeout: Duration,
    mut exits: BTreeMap<Arc<str>, Exit>,
) -> Turn {
    let error = exits.remove(ERROR);
    let exits: Vec<(Arc<str>, Exit)> = exits.into_iter().collect();
    stage.tell(format!("asks {}", shown(&what)));
    let names = exits.iter().map(|(name, _)| name.clone()).collect();
    let tags = stage.tags().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    stage.timer(timeout + MARGIN);
    stage.add(Action::Ask { what, timeout, names, tags });
    Turn::Wait(State::Ask(Asking { exits, error }))
}

/// A webhook's id, or the host of a URL: paths and queries may hold secrets.
pub fn shown(what: &str) -> String {
    match what.split_once("://") {
        Some((_, rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            host.rsplit('@').next().unwrap_or_default().to_owned()
        }
        None => format!("webhook \"{what}\""),
    }
}

impl Asking {
    /// Follows the answer.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        let answer = match event {
            Event::Asked(Ok(index)) => self.exits.get(usize::from(index)).ok_or(Unanswered::Unknown),
            Event::Asked(Err(why)) => Err(why),
            Event::Timer => Err(Unanswered::Timeout),
            _ => return Turn::Stay,
        };
        match answer {
            Ok((name, exit)) => {
                stage.tell(format!("the answer is {name}: {}", leads_to(exit)));
                stage.takes(name);
                Turn::Go(exit.clone())
            }
            Err(why) => {
                stage.takes(ERROR);
                let Some(exit) = &self.error else { return Turn::End(HangupCause::Normal) };
                stage.tell(format!("no answer ({why}): {}", leads_to(exit)));
                Turn::Go(exit.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_host_is_told() {
        let rows = [
            ("https://crm.example.no/hook?key=secret", "crm.example.no"),
            ("http://user:secret@127.0.0.1:8080/x", "127.0.0.1:8080"),
            ("crm", "webhook \"crm\""),
        ];
        for (what, expect) in rows {
            assert_eq!(shown(what), expect);
        }
    }
}
