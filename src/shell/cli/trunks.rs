//! `sentral trunks`: carriers and whether they can be used.

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::TrunkView;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let answer = context.client.ask(&Command::Trunks)?;
    context.show(&answer, |answer| match answer {
        Answer::Trunks { trunks } => Some(text(trunks)),
        _ => None,
    })
}

fn text(trunks: &[TrunkView]) -> String {
    let rows: Vec<_> = trunks
        .iter()
        .map(|trunk| {
            let channels = trunk.channels.map_or_else(|| "-".into(), |channels| channels.to_string());
            [
                trunk.id.clone(),
                trunk.name.clone(),
                trunk.state.clone(),
                trunk.calls.to_string(),
                channels,
                print::or_dash(&trunk.addresses.join(", ")),
            ]
        })
        .collect();
    print::table(["ID", "NAME", "STATE", "CALLS", "AT MOST", "ADDRESSES"], &rows, "no trunks")
}
