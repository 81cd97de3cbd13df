//! `sentral calls`: calls that are up or being set up; `calls hangup` ends one, `calls record` records one.

use crate::model::cdr::Direction;
use crate::model::command::Answer;
use crate::model::command::CallView;
use crate::model::command::Command;
use crate::model::command::RecordOrder;
use crate::model::id::CallId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral calls
  sentral calls hangup 0-64f0a1b2c3d4e
  sentral calls record start 0-64f0a1b2c3d4e
  sentral calls record pause 0-64f0a1b2c3d4e
  sentral -o json calls | jq '.calls | length'")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Ends a call, for both sides
    Hangup {
        /// As shown by `sentral calls`
        id: CallId,
    },
    /// Records a call, or no longer; a paused one is silent until it is resumed
    Record {
        /// What
        #[arg(value_enum)]
        what: Taping,
        /// As shown by `sentral calls`
        id: CallId,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Taping {
    Start,
    Stop,
    Pause,
    Resume,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.order {
        Some(Order::Hangup { id }) => {
            let answer = context.client.ask(&Command::HangUp { call: id })?;
            context.done(&answer, &format!("call {id} is ended"))
        }
        Some(Order::Record { what, id }) => {
            let (order, done) = match what {
                Taping::Start => (RecordOrder::Start, "is being recorded, once its parties have been told"),
                Taping::Stop => (RecordOrder::Stop, "is no longer recorded"),
                Taping::Pause => (RecordOrder::Pause, "is not recorded for now"),
                Taping::Resume => (RecordOrder::Resume, "is recorded again"),
            };
            let answer = context.client.ask(&Command::Record { call: id, order })?;
            context.done(&answer, &format!("call {id} {done}"))
        }
        None => {
            let answer = context.client.ask(&Command::Calls)?;
            context.show(&answer, |answer| match answer {
                Answer::Calls { calls } => Some(text(calls)),
                _ => None,
            })
        }
    }
}

/// A direction in one word.
pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::Internal => "internal",
    }
}

fn text(calls: &[CallView]) -> String {
    let rows: Vec<_> = calls
        .iter()
        .map(|call| {
            [
                call.id.to_string(),
                call.company.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                direction(call.direction).into(),
                print::or_dash(&call.from),
                call.to.clone(),
                call.state.clone(),
                print::or_dash(&call.at),
                print::or_dash(&call.with.join(", ")),
                print::clock(call.age_s),
                print::or_dash(call.codec.as_deref().unwrap_or_default()),
                print::or_dash(call.recording.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let headings = ["ID", "COMPANY", "DIRECTION", "FROM", "TO", "STATE", "AT", "WITH", "AGE", "CODEC", "REC"];
    print::table(headings, &rows, "no calls")
}
