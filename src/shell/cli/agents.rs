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

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sentral agents --company fjord
  sentral agents login fjord kari                   in every queue and group of hers
  sentral agents logout fjord kari queue:salg       in one
  sentral agents pause fjord kari --reason lunsj
  sentral agents unpause fjord kari"
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
    },
    /// Ends a pause
    Unpause {
        /// Company
        company: CompanyId,
        /// User
        user: UserId,
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
                Answer::Agents { agents } => Some(text(agents)),
                _ => None,
            });
        }
        Some(Order::Login(whom)) => log(whom, true),
        Some(Order::Logout(whom)) => log(whom, false),
        Some(Order::Pause { company, user, reason }) => {
            let done = format!("{company}/{user} is paused: {reason}");
            (Command::Pause { company, user, reason: Some(reason) }, done)
        }
        Some(Order::Unpause { company, user }) => {
            let done = format!("{company}/{user} is not paused");
            (Command::Pause { company, user, reason: None }, done)
        }
    };
    let answer = context.client.ask(&order)?;
    context.done(&answer, &done)
}

fn log(whom: Whom, logged_in: bool) -> (Command, String) {
    let Whom { company, user, queue } = whom;
    let place = queue.as_ref().map_or_else(|| "everywhere".into(), ToString::to_string);
    let done = format!("{company}/{user} is logged {}: {place}", if logged_in { "in" } else { "out" });
    (Command::Login { company, user, line: queue, logged_in }, done)
}

fn text(agents: &[AgentView]) -> String {
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| {
            let mut lines: Vec<_> =
                agent.lines.iter().map(|(line, state)| format!("{line}: {state}")).collect();
            if agent.voicemail_suspected {
                lines.push("voicemail seems to answer the mobile".to_owned());
            }
            [
                agent.agent.company.to_string(),
                agent.agent.user.to_string(),
                agent.name.clone(),
                print::or_dash(agent.paused.as_deref().unwrap_or_default()),
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
