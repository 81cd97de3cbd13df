//! `sentral queues`: who waits and who answers, once or every second.

use std::thread;
use std::time::Duration;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::QueueView;
use crate::model::id::CompanyId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral queues
  sentral queues --company fjord --watch            until Ctrl-C

ABANDONED counts callers who hung up after five seconds or more; OVERFLOWED those who left in any other way.")]
pub(super) struct Args {
    /// Shows them anew every second
    #[arg(long)]
    watch: bool,
    /// Only of this company
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let question = Command::Queues { company: args.company };
    let prefix = if args.watch { CLEAR } else { "" };
    loop {
        let answer = context.client.ask(&question)?;
        context.show(&answer, |answer| match answer {
            Answer::Queues { queues } => Some(format!("{prefix}{}", text(queues))),
            _ => None,
        })?;
        if !args.watch {
            return Ok(());
        }
        thread::sleep(WATCH_EVERY);
    }
}

fn text(queues: &[QueueView]) -> String {
    let rows: Vec<_> = queues
        .iter()
        .map(|queue| {
            let agents: Vec<_> =
                queue.agents.iter().map(|(user, state)| format!("{user}: {state}")).collect();
            [
                queue.company.to_string(),
                queue.line.to_string(),
                queue.name.clone(),
                queue.waiting.to_string(),
                print::clock(queue.longest_s),
                queue.today.offered.to_string(),
                queue.today.answered.to_string(),
                queue.today.abandoned.to_string(),
                queue.today.overflowed_in_all().to_string(),
                print::share(queue.today.service_level()),
                print::or_dash(&agents.join(", ")),
            ]
        })
        .collect();
    let headings = [
        "COMPANY",
        "QUEUE",
        "NAME",
        "WAITING",
        "LONGEST",
        "OFFERED",
        "ANSWERED",
        "ABANDONED",
        "OVERFLOWED",
        "IN TARGET",
        "AGENTS",
    ];
    print::table(headings, &rows, "no queues")
}
