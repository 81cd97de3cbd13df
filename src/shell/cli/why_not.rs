//! `sentral why-not`: why a user is not rung, question by question, with what mends it.

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::UserId;
use crate::model::report::Weight;
use crate::model::report::WhyNot;
use crate::model::report::WhyNotAsk;
use crate::model::server::Language;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::agents::line;
use crate::shell::cli::why::language;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral why-not kari
  sentral why-not kari --queue salg --lang nb
  sentral why-not kari --company fjord --queue group:lager

The first line of each queue says what keeps the user from being rung; ✗ blocks, ! may keep calls away, ✓ is fine.")]
pub(super) struct Args {
    /// Who
    user: UserId,
    /// Whose, where several companies have such a user
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
    /// `salg`, `queue:salg` or `group:lager`; every one that lists the user when not given
    #[arg(long, value_name = "QUEUE", value_parser = line)]
    queue: Option<LineId>,
    /// Language: nb or en
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = language)]
    lang: Language,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let ask = WhyNotAsk { user: args.user, company: args.company, line: args.queue, language: args.lang };
    let answer = context.client.ask(&Command::WhyNot(ask))?;
    context.show(&answer, |answer| match answer {
        Answer::WhyNot { lines } => Some(text(lines)),
        _ => None,
    })
}

fn text(lines: &[WhyNot]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        let place = line.line.as_ref().map_or_else(|| line.company.to_string(), ToString::to_string);
        text.push_str(&format!("{place}: {}\n", line.verdict));
        for finding in &line.findings {
            let mark = match finding.weight {
                Weight::Blocks => '✗',
                Weight::May => '!',
                Weight::Fine => '✓',
            };
            text.push_str(&format!("  {mark} {:>2}  {}\n", finding.question, finding.text));
            if let Some(mend) = &finding.mend {
                text.push_str(&format!("        → {mend}\n"));
            }
        }
    }
    text
}
