//! Reads call flows; a step's verb is read by `step`.

use std::collections::BTreeMap;

use crate::model::check::nearest;
use crate::model::flow::Flow;
use crate::model::flow::HangupCause;
use crate::model::flow::Step;
use crate::model::id::FlowId;
use crate::model::id::StepId;
use crate::shell::store::files::cursor::Entry;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::read;
use crate::shell::store::files::step;

/// Reads `[flows]`; also tells which flows have mistakes in their form.
pub(super) fn flows(section: Option<Value<'_>>) -> (BTreeMap<FlowId, Flow>, Vec<FlowId>) {
    let mut flows = BTreeMap::new();
    let mut unsure = Vec::new();
    for (entry, table) in read::things(section) {
        let before = table.source.error_count();
        let source = table.source;
        let id = FlowId::from(entry.key);
        flows.insert(id.clone(), flow(&entry, table));
        if source.error_count() != before {
            unsure.push(id);
        }
    }
    (flows, unsure)
}

fn flow(entry: &Entry<'_>, mut table: Table<'_>) -> Flow {
    let start = table.take("start");
    if start.is_none() {
        table.missing("start");
    }
    let mut steps = BTreeMap::new();
    for (entry, table) in read::things(table.take("steps")) {
        steps.insert(StepId::from(entry.key), one_step(&entry, table));
    }
    if steps.is_empty() {
        table.missing("steps");
    }
    let name = table.text("name").unwrap_or_else(|| entry.key.into());
    // Where the portal draws the steps.
    table.take("layout").map(Value::table);
    table.finish();
    let start = start.and_then(read::reference).unwrap_or_else(|| StepId::from(""));
    Flow { name, start, steps }
}

/// One step; one that cannot be read has been reported and ends the call.
fn one_step(entry: &Entry<'_>, mut table: Table<'_>) -> Step {
    let broken = Step::Hangup { cause: HangupCause::Normal, play: None };
    // The first key is the verb. In a table whose keys have been put in another order, it is the only verb.
    let keys: Vec<&str> = table.left().iter().map(|entry| entry.key).collect();
    let verbs: Vec<&str> = keys.iter().copied().filter(|key| step::VERBS.contains(key)).collect();
    let verb = match (keys.first(), &verbs[..]) {
        (Some(first), _) if step::VERBS.contains(first) => first,
        (_, [verb]) => verb,
        (_, []) => {
            let first = keys.first().copied().unwrap_or_default();
            let meant = nearest(first, step::VERBS);
            let meant = meant.map_or(String::new(), |meant| format!(" – did you mean \"{meant}\"?"));
            entry.error(format!("step \"{}\" has no verb, and \"{first}\" is none{meant}", entry.key));
            return broken;
        }
        (_, [first, second, ..]) => {
            let message = format!(
                "step \"{}\" has two verbs, \"{first}\" and \"{second}\": write its verb first",
                entry.key
            );
            entry.error(message);
            return broken;
        }
    };
    let verb = verb.to_string();
    let Some(value) = table.take_all(|key| key == verb).pop().map(|entry| entry.value) else {
        return broken;
    };
    step::step(&verb, value, table).unwrap_or(broken)
}
