//! `sentral why`: every decision about a call, past or running, with its reason.

use crate::model::cdr::Cdr;
use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::id::CallId;
use crate::model::report::WhyAsk;
use crate::model::report::WhyLine;
use crate::model::server::Language;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;
use crate::shell::cli::when;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral why 0-64f0a1b2c3d4e
  sentral why 0-64f0a1b2c3d4e --lang nb

The call's id is in `sentral cdr` and `sentral calls`. Agents who were not offered the call are named with the reason.")]
pub(super) struct Args {
    /// Which call
    call: CallId,
    /// Language: nb or en
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = language)]
    lang: Language,
}

/// A language by its code.
pub(super) fn language(text: &str) -> Result<Language, String> {
    match text {
        "nb" | "no" => Ok(Language::Nb),
        "en" => Ok(Language::En),
        _ => Err("write nb or en".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let answer = context.client.ask(&Command::Why(WhyAsk { call: args.call, language: args.lang }))?;
    let zone = &context.client.zone;
    context.show(&answer, |answer| match answer {
        Answer::Why { cdr, lines } => Some(text(cdr.as_deref(), lines, zone)),
        _ => None,
    })
}

fn text(cdr: Option<&Cdr>, lines: &[WhyLine], zone: &str) -> String {
    let mut text = String::new();
    if let Some(cdr) = cdr {
        let from = if cdr.hidden { "hidden" } else { &*cdr.from };
        let (to, result) = (&cdr.to, cdr.result.as_str());
        text.push_str(&format!(
            "{} → {to}: {result}, waited {}, talked {}\n\n",
            print::or_dash(from),
            print::clock(cdr.wait_ms.unwrap_or(0) / 1_000),
            print::clock(cdr.talk_ms / 1_000)
        ));
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            [when::local(line.at, zone), line.event.to_string(), line.code.clone(), line.text.clone()]
        })
        .collect();
    text.push_str(&print::table(["TIME", "EVENT", "REASON", "WHAT HAPPENED"], &rows, "no decisions"));
    text
}
