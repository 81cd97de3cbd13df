//! `sentral board`: the switchboard (sentralbord) of a company, and orders about people's calls.

use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::board::BoardView;
use crate::model::board::Order;
use crate::model::board::Reachable;
use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::UserId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sentral board fjord --watch                       callers, parked calls and people, until Ctrl-C
  sentral board take fjord tor 0-5f3a               a waiting or parked caller comes to Tor's phone
  sentral board transfer fjord tor 203              whom Tor talks with goes to 203, and comes back if nobody answers
  sentral board transfer fjord tor --with 0-5f3b    joins the two whom Tor talks with
  sentral board return fjord tor 0-5f3a             fetches it back while it still rings
  sentral board park fjord tor --slot 701
  sentral board dial fjord tor +4736000777          rings Tor's phone, then the number
  sentral board night fjord on
  sentral -o json board fjord | jq '.people[] | select(.state == \"free\").user'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Verb>,
    /// Company
    company: Option<CompanyId>,
    /// Callers of this queue, in place of those that callers are taken from by hand
    #[arg(long, value_name = "ID")]
    queue: Option<QueueId>,
    /// Shows it anew every second
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Brings a waiting or parked caller to a user's phone
    Take {
        #[command(flatten)]
        who: Who,
        /// As shown by `sentral board`
        call: CallId,
    },
    /// Sends on whom a user talks with
    Transfer {
        #[command(flatten)]
        who: Who,
        /// Number, extension, or parking slot
        #[arg(required_unless_present = "with", value_parser = number)]
        to: Option<Number>,
        /// Into this other call of the user, in place of `to`
        #[arg(long, value_name = "CALL", conflicts_with = "to")]
        with: Option<CallId>,
        /// Which call, when the user has several
        #[arg(long)]
        call: Option<CallId>,
    },
    /// Fetches back a transferred call that nobody has answered
    Return {
        #[command(flatten)]
        who: Who,
        /// As shown by `sentral board`
        call: CallId,
    },
    /// Parks whom a user talks with
    Park {
        #[command(flatten)]
        who: Who,
        /// Where; the first free slot when not given
        #[arg(long)]
        slot: Option<u32>,
        /// Which call, when the user has several
        #[arg(long)]
        call: Option<CallId>,
    },
    /// Has whom a user talks with hear music
    Hold {
        #[command(flatten)]
        who: Who,
        /// Which call, when the user has several
        #[arg(long)]
        call: Option<CallId>,
    },
    /// Ends that
    Resume {
        #[command(flatten)]
        who: Who,
        /// Which call, when the user has several
        #[arg(long)]
        call: Option<CallId>,
    },
    /// Click to call: rings a user's phones, then dials
    Dial {
        #[command(flatten)]
        who: Who,
        /// Number, extension or service code
        #[arg(value_parser = number)]
        to: Number,
        /// The phone is asked to answer by itself
        #[arg(long)]
        auto_answer: bool,
    },
    /// Brings a colleague's call to a supervisor
    TakeOver {
        #[command(flatten)]
        who: Who,
        /// Whose call
        from: UserId,
    },
    /// Turns night service on or off
    Night {
        /// Company
        company: CompanyId,
        /// `on` or `off`
        #[arg(value_parser = on_or_off, action = clap::ArgAction::Set)]
        on: bool,
    },
    /// Logs a user in at a shared phone, or out
    Desk {
        /// Company
        company: CompanyId,
        /// The phone
        device: DeviceId,
        /// Who; nobody when not given
        user: Option<UserId>,
    },
    /// A user is rung when a colleague is free
    CallBack {
        #[command(flatten)]
        who: Who,
        /// Whom they want to reach
        wanted: UserId,
        /// No longer
        #[arg(long)]
        cancel: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Who {
    /// Company
    company: CompanyId,
    /// User
    user: UserId,
}

fn number(text: &str) -> Result<Number, std::convert::Infallible> {
    Ok(Number::new(text))
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if let Some(verb) = args.order {
        let (order, done) = order(verb);
        let answer = context.client.ask(&Command::Board(order))?;
        return context.show(&answer, |answer| match answer {
            Answer::Done => Some(format!("{done}\n")),
            Answer::Parked { slot } => Some(format!("parked in {slot}\n")),
            Answer::Dialled { call } => Some(format!("{done}: call {call}\n")),
            _ => None,
        });
    }
    let Some(company) = args.company else {
        return Err(Failure::Error(anyhow::anyhow!(
            "whose switchboard? write `sentral board COMPANY`; the companies are the files in companies/"
        )));
    };
    let question = Command::Board(Order::Look { company, queue: args.queue });
    let prefix = if args.watch { CLEAR } else { "" };
    loop {
        let answer = context.client.ask(&question)?;
        context.show(&answer, |answer| match answer {
            Answer::Board(board) => Some(format!("{prefix}{}", text(board))),
            _ => None,
        })?;
        if !args.watch {
            return Ok(());
        }
        thread::sleep(WATCH_EVERY);
    }
}

/// The order, and what to say when it is done.
fn order(verb: Verb) -> (Order, String) {
    match verb {
        Verb::Take { who: Who { company, user }, call } => {
            let done = format!("call {call} comes to {user}");
            (Order::Take { company, user, call }, done)
        }
        Verb::Transfer { who: Who { company, user }, to, with, call } => {
            let done = format!("{user} transfers");
            (Order::Transfer { company, user, to, with, call }, done)
        }
        Verb::Return { who: Who { company, user }, call } => {
            let done = format!("call {call} comes back to {user}");
            (Order::Return { company, user, call }, done)
        }
        Verb::Park { who: Who { company, user }, slot, call } => {
            (Order::Park { company, user, slot, call }, "parked".to_owned())
        }
        Verb::Hold { who: Who { company, user }, call } => {
            (Order::Hold { company, user, on: true, call }, "on hold".to_owned())
        }
        Verb::Resume { who: Who { company, user }, call } => {
            (Order::Hold { company, user, on: false, call }, "no longer on hold".to_owned())
        }
        Verb::Dial { who: Who { company, user }, to, auto_answer } => {
            let done = format!("{user}'s phones ring");
            (Order::Dial { company, user, to, auto_answer }, done)
        }
        Verb::TakeOver { who: Who { company, user }, from } => {
            let done = format!("{from}'s call comes to {user}");
            (Order::TakeOver { company, user, from }, done)
        }
        Verb::Night { company, on } => {
            let done = format!("night service is {}", if on { "on" } else { "off" });
            (Order::Night { company, on, until: None }, done)
        }
        Verb::Desk { company, device, user } => {
            let whose = user.as_ref().map_or("nobody", UserId::as_str);
            let done = format!("{device} is {whose}'s");
            (Order::Desk { company, device, user }, done)
        }
        Verb::CallBack { who: Who { company, user }, wanted, cancel } => {
            let done = match cancel {
                false => format!("{user} is rung when both are free"),
                true => format!("{user} is not rung"),
            };
            (Order::CallBack { company, user, wanted, on: !cancel }, done)
        }
    }
}

fn text(board: &BoardView) -> String {
    let mut out = String::new();
    if let Some(night) = &board.night {
        let until = night.until.map_or(String::new(), |until| format!(" until {}", clock(until)));
        out.push_str(&format!(
            "Night service ({}): {}{until}\n\n",
            night.toggle,
            if night.on { "on" } else { "off" }
        ));
    }
    let rows: Vec<_> = board
        .callers
        .iter()
        .map(|caller| {
            let ringing: Vec<&str> = caller.ringing.iter().map(UserId::as_str).collect();
            [
                caller.position.to_string(),
                print::clock(caller.wait_s),
                caller.call.to_string(),
                caller.queue.to_string(),
                or_hidden(caller.number.as_ref()),
                print::or_dash(caller.name.as_deref().unwrap_or_default()),
                print::or_dash(&caller.tags.join(", ")),
                print::or_dash(caller.returned_from.as_deref().unwrap_or_default()),
                print::or_dash(&ringing.join(", ")),
            ]
        })
        .collect();
    let headings = ["#", "WAIT", "CALL", "QUEUE", "NUMBER", "NAME", "TAGS", "BACK FROM", "RINGS"];
    out.push_str(&print::table(headings, &rows, "no callers"));
    let rows: Vec<_> = board
        .parked
        .iter()
        .map(|parked| {
            [
                parked.slot.to_string(),
                print::clock(parked.parked_s),
                parked.call.to_string(),
                or_hidden(parked.number.as_ref()),
                print::or_dash(parked.name.as_deref().unwrap_or_default()),
                parked.by.to_string(),
                (if parked.returning { "rings" } else { "-" }).to_owned(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&print::table(["SLOT", "FOR", "CALL", "NUMBER", "NAME", "BY", "BACK"], &rows, ""));
    }
    let transferred = board.transferred.iter();
    let rows: Vec<_> = transferred
        .map(|call| {
            [call.call.to_string(), or_hidden(call.number.as_ref()), call.by.to_string(), call.to.to_string()]
        })
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&print::table(["TRANSFERRED", "NUMBER", "BY", "TO"], &rows, ""));
    }
    out.push('\n');
    out.push_str(&people(board));
    out
}

fn people(board: &BoardView) -> String {
    let rows: Vec<_> = board
        .people
        .iter()
        .map(|person| {
            let lines: Vec<String> = person.logged_in.iter().map(ToString::to_string).collect();
            let until = person.until.map(clock).unwrap_or_default();
            [
                person.user.to_string(),
                person.name.to_string(),
                print::or_dash(person.ext.as_ref().map(Number::as_str).unwrap_or_default()),
                state(person.state).to_owned() + if person.paused { ", paused" } else { "" },
                print::or_dash(&until),
                print::or_dash(&lines.join(", ")),
            ]
        })
        .collect();
    print::table(["USER", "NAME", "EXT", "STATE", "UNTIL", "LOGGED IN"], &rows, "nobody")
}

fn or_hidden(number: Option<&Number>) -> String {
    number.map_or_else(|| "hidden".to_owned(), ToString::to_string)
}

/// Date and time, to the minute, as UTC.
fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

fn state(state: Reachable) -> &'static str {
    match state {
        Reachable::Busy => "busy",
        Reachable::Ringing => "ringing",
        Reachable::DoNotDisturb => "do not disturb",
        Reachable::Absent => "absent",
        Reachable::Forwarded => "forwarded",
        Reachable::Unreachable => "unreachable",
        Reachable::Free => "free",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_over_the_socket_reads_as_it_was_written() {
        let orders = [
            Order::Look { company: "fjord".into(), queue: None },
            Order::Transfer {
                company: "fjord".into(),
                user: "tor".into(),
                to: Some(Number::new("203")),
                with: None,
                call: None,
            },
            Order::Night { company: "fjord".into(), on: true, until: None },
        ];
        for order in orders {
            let command = Command::Board(order);
            let text = serde_json::to_string(&command).unwrap();
            assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command, "{text}");
        }
    }

    #[test]
    fn an_empty_board_says_so() {
        let board = BoardView {
            company: "fjord".into(),
            night: None,
            callers: Vec::new(),
            parked: Vec::new(),
            transferred: Vec::new(),
            people: Vec::new(),
        };
        assert_eq!(text(&board), "no callers\n\nnobody\n");
    }
}
