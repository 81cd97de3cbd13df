//! `sentral missed`: callers of queues whom nobody has answered, until somebody has talked with them.

use std::sync::Arc;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::MissedOrder;
use crate::model::id::CompanyId;
use crate::model::id::UserId;
use crate::model::missed::Missed;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral missed list fjord
  sentral missed take fjord +4736000777 --by kari --note \"ringer etter lunsj\"
  sentral missed call fjord +4736000777 --by kari
  sentral missed done fjord +4736000777 --by kari

An item goes by itself when anybody has talked with the caller, and after 14 days.")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Who waits to be called back, newest first
    List {
        /// Company
        company: CompanyId,
    },
    /// Somebody sees to a caller
    Take {
        #[command(flatten)]
        whom: Whom,
        /// For colleagues
        #[arg(long, value_name = "TEXT")]
        note: Option<Arc<str>>,
    },
    /// Takes a caller and calls them: the phones of `--by` ring first
    Call(Whom),
    /// A caller is seen to: takes it off the list
    Done(Whom),
}

#[derive(Debug, clap::Args)]
struct Whom {
    /// Company
    company: CompanyId,
    /// Number, or `hidden` for those who hide theirs
    number: Arc<str>,
    /// Who
    #[arg(long, value_name = "USER")]
    by: UserId,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (company, order, done) = match args.order {
        Order::List { company } => (company, MissedOrder::List, String::new()),
        Order::Take { whom, note } => {
            let done = format!("{} sees to {}", whom.by, whom.number);
            (whom.company, MissedOrder::Take { id: whom.number, by: whom.by, note }, done)
        }
        Order::Call(whom) => {
            let done = format!("{} is rung, then {}", whom.by, whom.number);
            (whom.company, MissedOrder::Call { id: whom.number, by: whom.by }, done)
        }
        Order::Done(whom) => {
            let done = format!("{} is off the list", whom.number);
            (whom.company, MissedOrder::Done { id: whom.number, by: whom.by }, done)
        }
    };
    let answer = context.client.ask(&Command::Missed { company, order })?;
    context.show(&answer, |answer| match answer {
        Answer::Missed { missed } => Some(text(missed)),
        Answer::Done | Answer::Dialled { .. } => Some(format!("{done}\n")),
        _ => None,
    })
}

fn text(missed: &[Missed]) -> String {
    let rows: Vec<_> = missed
        .iter()
        .map(|item| {
            [
                item.id.to_string(),
                print::or_dash(item.name.as_deref().unwrap_or_default()),
                item.count.to_string(),
                item.last.to_string(),
                item.line.to_string(),
                item.why.to_string(),
                print::or_dash(&item.taken.as_ref().map(ToString::to_string).unwrap_or_default()),
                print::or_dash(item.note.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let heads = ["NUMBER", "NAME", "CALLS", "LAST", "QUEUE", "WHY", "TAKEN BY", "NOTE"];
    print::table(heads, &rows, "nobody waits to be called back")
}
