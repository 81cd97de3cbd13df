//! `sentral calls`: calls that are up or being set up; `calls hangup` ends one, `listen`, `whisper` and `barge` let a
//! supervisor take part in one, `join` makes two of a user's calls one, `record` records one.

use crate::model::board;
use crate::model::cdr::Direction;
use crate::model::command::Answer;
use crate::model::command::CallView;
use crate::model::command::Command;
use crate::model::command::RecordOrder;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::UserId;
use crate::model::room::Supervise;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral calls
  sentral calls --audio
  sentral calls hangup 0-64f0a1b2c3d4e
  sentral calls answer fjord kari                  what rings at kari's phone is answered
  sentral calls listen 0-64f0a1b2c3d4e --by tor
  sentral calls join fjord kari
  sentral calls record start 0-64f0a1b2c3d4e
  sentral calls record pause 0-64f0a1b2c3d4e
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
    /// Has a phone that rings answer
    Answer {
        /// Company
        company: CompanyId,
        /// User
        user: UserId,
        /// As shown by `sentral calls`; else what has rung longest
        #[arg(long, value_name = "ID")]
        call: Option<CallId>,
        /// SIP user name of the phone; else one that can be told to
        #[arg(long, value_name = "ID")]
        device: Option<DeviceId>,
    },
    /// Lets a supervisor hear a call; their phone rings first
    Listen(Part),
    /// Lets a supervisor hear a call and be heard by the colleague
    Whisper(Part),
    /// Lets a supervisor join a call
    Barge(Part),
    /// Joins the party whom a user talks with and the one who waits
    Join {
        /// Whose
        company: CompanyId,
        /// Who
        user: UserId,
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

#[derive(Debug, clap::Args)]
struct Part {
    /// As shown by `sentral calls`
    id: CallId,
    /// The supervisor
    #[arg(long, value_name = "USER")]
    by: UserId,
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
        Some(Order::Answer { company, user, call, device }) => {
            let done = format!("{company}/{user}: the phone is told to answer");
            let order = board::Order::Answer { company, user, call, device };
            let answer = context.client.ask(&Command::Board(order))?;
            context.done(&answer, &done)
        }
        Some(Order::Listen(part)) => supervise(part, Supervise::Listen, context),
        Some(Order::Whisper(part)) => supervise(part, Supervise::Whisper, context),
        Some(Order::Barge(part)) => supervise(part, Supervise::Barge, context),
        Some(Order::Join { company, user }) => {
            let done = format!("the calls of {user} are joined");
            let answer = context.client.ask(&Command::Join { company, user })?;
            context.done(&answer, &done)
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
                Answer::Calls { calls } if args.audio => Some(audio(calls)),
                Answer::Calls { calls } => Some(text(calls)),
                _ => None,
            })
        }
    }
}

fn supervise(part: Part, mode: Supervise, context: &Context) -> Result<(), Failure> {
    let Part { id, by } = part;
    let what = mode.as_str();
    let (already, rings) = (format!("{by}: {what}\n"), format!("the phone of {by} rings: {what}\n"));
    let answer = context.client.ask(&Command::Supervise { call: id, by, mode })?;
    context.show(&answer, |answer| match answer {
        Answer::Done => Some(already),
        Answer::Dialled { .. } => Some(rings),
        _ => None,
    })
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
                print::or_dash(&heard(call)),
            ]
        })
        .collect();
    let headings =
        ["ID", "COMPANY", "DIRECTION", "FROM", "TO", "STATE", "AT", "WITH", "AGE", "CODEC", "REC", "AUDIO"];
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
    let faults: String = calls
        .iter()
        .flat_map(|call| call.audio.iter().filter_map(move |leg| Some((call, leg.fault_text.as_ref()?))))
        .map(|(call, text)| format!("{}: {text}\n", call.id))
        .collect();
    print::table(headings, &rows, "no calls") + &faults
}
