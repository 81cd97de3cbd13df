//! `sentral toggle`: sets a toggle (bryter), for good or until a moment.

use clap::ValueEnum;

use crate::model::command::Command;
use crate::model::id::CompanyId;
use crate::model::id::ToggleId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::when;
use crate::shell::clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral toggle fjord natt on
  sentral toggle fjord natt on --until 16:00
  sentral toggle fjord natt on --until 2h
  sentral toggle fjord natt off")]
pub(super) struct Args {
    /// Company
    company: CompanyId,
    /// Toggle
    id: ToggleId,
    /// What it shall be
    state: OnOff,
    /// Ends by itself: "16:00", "2027-05-17 10:00", RFC 3339, or a span such as 30m, 2h, 1d
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let now = clock::now().utc;
    let until = args.until.map(|text| when::until(&text, &context.client.zone, now)).transpose()?;
    let on = args.state == OnOff::On;
    let state = if on { "on" } else { "off" };
    let done = match until {
        Some(until) => format!("{}/{} is {state} until {until}", args.company, args.id),
        None => format!("{}/{} is {state}", args.company, args.id),
    };
    let answer =
        context.client.ask(&Command::Toggle { company: args.company, toggle: args.id, on, until })?;
    context.done(&answer, &done)
}
