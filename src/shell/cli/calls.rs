//! `sentral calls`: calls that are up or being set up; `calls hangup` ends one.

use crate::model::cdr::Direction;
use crate::model::command::Answer;
use crate::model::command::CallView;
use crate::model::command::Command;
use crate::model::id::CallId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral calls
  sentral calls --audio
  sentral calls hangup 0-64f0a1b2c3d4e
  sentral -o json calls | jq '.calls | length'")]
pub(super) struct Args {
    /// The audio of every leg: codec, address, packets, loss, jitter, round trip and estimated quality
    #[arg(long)]
    audio: bool,
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
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.order {
        Some(Order::Hangup { id }) => {
            let answer = context.client.ask(&Command::HangUp { call: id })?;
            context.done(&answer, &format!("call {id} is ended"))
        }
        None => {
            let answer = context.client.ask(&Command::Calls)?;
            context.show(&answer, |answer| match answer {
                Answer::Calls { calls } if args.audio => Some(audio(calls)),
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
                print::or_dash(&heard(call)),
            ]
        })
        .collect();
    let headings =
        ["ID", "COMPANY", "DIRECTION", "FROM", "TO", "STATE", "AT", "WITH", "AGE", "CODEC", "AUDIO"];
    print::table(headings, &rows, "no calls")
}

/// The worst score of a call's legs, or what is wrong with its audio.
fn heard(call: &CallView) -> String {
    let faults =
        call.audio.iter().filter_map(|leg| Some(format!("{} {}", leg.side.as_str(), leg.fault?.as_str())));
    let faults: Vec<String> = faults.collect();
    let worst = call.audio.iter().filter_map(|leg| leg.mos).min_by(f32::total_cmp);
    match (faults.is_empty(), worst) {
        (false, _) => faults.join(", "),
        (true, Some(mos)) => format!("{mos:.1}"),
        (true, None) => String::new(),
    }
}

fn audio(calls: &[CallView]) -> String {
    let rows: Vec<_> = calls
        .iter()
        .flat_map(|call| call.audio.iter().map(move |leg| (call, leg)))
        .map(|(call, leg)| {
            let codec = match &leg.converted_from {
                Some(from) => format!("{} (from {from})", leg.codec),
                None => leg.codec.to_string(),
            };
            [
                call.id.to_string(),
                leg.side.as_str().to_owned(),
                print::or_dash(&leg.party),
                codec,
                leg.port.to_string(),
                print::or_dash(leg.from.as_deref().unwrap_or_default()),
                leg.received.to_string(),
                leg.sent.to_string(),
                format!("{:.1} %", leg.loss() * 100.0),
                format!("{:.1} ms", f64::from(leg.jitter_us) / 1000.0),
                leg.rtt_us.map_or_else(|| "-".into(), |rtt| format!("{:.0} ms", f64::from(rtt) / 1000.0)),
                leg.mos.map_or_else(|| "-".into(), |mos| format!("{mos:.1}")),
                print::or_dash(leg.fault.map_or("", |fault| fault.as_str())),
            ]
        })
        .collect();
    let headings = [
        "ID", "SIDE", "PARTY", "CODEC", "PORT", "FROM", "IN", "OUT", "LOST", "JITTER", "RTT", "MOS", "FAULT",
    ];
    print::table(headings, &rows, "no calls")
}
