//! `sentral agents`: agents with their states; logs them in and out, pauses them.

use std::sync::Arc;

use crate::model::command::AgentView;
use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::UserId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sentral agents --company fjord
  sentral agents login fjord kari                   in every queue and group of hers
  sentral agents logout fjord kari queue:salg       in one
  sentral agents pause fjord kari --reason lunsj --for 30m
  sentral agents pause fjord kari --until 12:00
  sentral agents unpause fjord kari
  sentral agents wrapup fjord kari --extend        without it the wrap-up ends"
)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    /// Only of this company
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Logs an agent in
    Login(Whom),
    /// Logs an agent out
    Logout(Whom),
    /// Pauses an agent everywhere
    Pause {
        /// Company
        company: CompanyId,
        /// User
        user: UserId,
        /// Why, as shown to others
        #[arg(long, default_value = "pause")]
        reason: Arc<str>,
        /// Ends by itself after this: `30m`, `2h`
        #[arg(long = "for", value_name = "SPAN", conflicts_with = "until")]
        span: Option<String>,
        /// Ends by itself then: `12:00`, `2027-05-18 08:00`
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Ends a pause
    Unpause {
        /// Company
        company: CompanyId,
        /// User
        user: UserId,
    },
    /// Ends an agent's wrap-up, or prolongs it
    Wrapup {
        /// Company
        company: CompanyId,
        /// User
        user: UserId,
        /// Prolongs it by what the queue says
        #[arg(long)]
        extend: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Whom {
    /// Company
    company: CompanyId,
    /// User
    user: UserId,
    /// `salg`, `queue:salg` or `group:lager`; everywhere when not given
    #[arg(value_parser = line)]
    queue: Option<LineId>,
}

/// A queue by id, or a queue or group by `kind:id`.
pub(super) fn line(text: &str) -> Result<LineId, String> {
    match text.split_once(':') {
        None => Ok(LineId::Queue(text.into())),
        Some(("queue", id)) => Ok(LineId::Queue(id.into())),
        Some(("group", id)) => Ok(LineId::Group(id.into())),
        Some((kind, _)) => Err(format!("unknown kind {kind:?}: write queue:ID or group:ID")),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (order, done) = match args.order {
        None => {
            let answer = context.client.ask(&Command::Agents { company: args.company })?;
            return context.show(&answer, |answer| match answer {
                Answer::Agents { agents } => Some(text(agents, &context.client.zone)),
                _ => None,
            });
        }
        Some(Order::Login(whom)) => log(whom, true),
        Some(Order::Logout(whom)) => log(whom, false),
        Some(Order::Pause { company, user, reason, span, until }) => {
            let until = end_of_pause(span.as_deref(), until.as_deref(), context)?;
            let end =
                until.map_or(String::new(), |at| format!(" until {}", when::local(at, &context.client.zone)));
            let done = format!("{company}/{user} is paused: {reason}{end}");
            (Command::Pause { company, user, reason: Some(reason), until }, done)
        }
        Some(Order::Unpause { company, user }) => {
            let done = format!("{company}/{user} is not paused");
            (Command::Pause { company, user, reason: None, until: None }, done)
        }
        Some(Order::Wrapup { company, user, extend }) => {
            let what = if extend { "has longer to wrap up" } else { "has finished wrapping up" };
            let done = format!("{company}/{user} {what}");
            (Command::WrapUp { company, user, longer: extend }, done)
        }
    };
    let answer = context.client.ask(&order)?;
    context.done(&answer, &done)
}

/// When a pause ends that was given by its length or its end.
fn end_of_pause(
    span: Option<&str>,
    until: Option<&str>,
    context: &Context,
) -> anyhow::Result<Option<jiff::Timestamp>> {
    let now = clock::now().utc;
    match (span, until) {
        (Some(span), _) => {
            anyhow::ensure!(when::span(span).is_some(), "cannot read {span:?} as a length: write 30m or 2h");
            Ok(Some(when::until(span, &context.client.zone, now)?))
        }
        (None, Some(until)) => Ok(Some(when::until(until, &context.client.zone, now)?)),
        (None, None) => Ok(None),
    }
}

fn log(whom: Whom, logged_in: bool) -> (Command, String) {
    let Whom { company, user, queue } = whom;
    let place = queue.as_ref().map_or_else(|| "everywhere".into(), ToString::to_string);
    let done = format!("{company}/{user} is logged {}: {place}", if logged_in { "in" } else { "out" });
    (Command::Login { company, user, line: queue, logged_in }, done)
}

fn text(agents: &[AgentView], zone: &str) -> String {
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| {
            let mut lines: Vec<_> =
                agent.lines.iter().map(|(line, state)| format!("{line}: {state}")).collect();
            if agent.voicemail_suspected {
                lines.push("voicemail seems to answer the mobile".to_owned());
            }
            lines.extend(agent.notices.iter().cloned());
            let paused = agent.paused.as_ref().map(|reason| match agent.paused_until {
                Some(at) => format!("{reason} until {}", when::local(at, zone)),
                None => reason.clone(),
            });
            [
                agent.agent.company.to_string(),
                agent.agent.user.to_string(),
                agent.name.clone(),
                print::or_dash(paused.as_deref().unwrap_or_default()),
                print::or_dash(&lines.join(", ")),
            ]
        })
        .collect();
    print::table(["COMPANY", "USER", "NAME", "PAUSED", "STATES"], &rows, "no agents")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_id_names_a_queue() {
        assert_eq!(line("salg"), Ok(LineId::Queue("salg".into())));
        assert_eq!(line("group:lager"), Ok(LineId::Group("lager".into())));
        assert!(line("user:kari").is_err());
    }
}
