//! `sentral simulate`: what would happen to a call, decision by decision; asked of the running daemon, whose
//! toggles, log-ins and bindings count.

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::Simulate;
use crate::model::command::Told;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral simulate +4736000100
  sentral simulate +4736000100 --at \"2027-05-17 10:00\" --from +4790000000 --keys 2
  sentral simulate 02800 --at 2027-12-24T12:00:00Z
  sentral simulate +4736000100 --logged-in kari,ola    as if only they were logged in; or nobody

Without --from the caller's number is hidden. --keys are pressed one menu after the other.")]
pub(super) struct Args {
    /// What is dialled
    number: String,
    /// When: "2027-05-17 10:00" or "10:00" in the server's zone, or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Caller's number
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// Keys that the caller presses
    #[arg(long, value_name = "KEYS", default_value = "")]
    keys: String,
    /// As if only these users were logged in, and free; `nobody` for none [default: as it is now]
    #[arg(long, value_name = "USERS", value_delimiter = ',')]
    logged_in: Option<Vec<String>>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let at = args.at.map(|text| when::moment(&text, &context.client.zone, clock::now().utc)).transpose()?;
    let question = Simulate {
        number: Number::new(&args.number),
        from: args.from.as_deref().map(Number::new),
        at,
        keys: args.keys,
        logged_in: args.logged_in.map(|users| {
            let named = users.iter().filter(|user| *user != "nobody");
            named.map(|user| UserId::from(&**user)).collect()
        }),
    };
    if question.number.is_empty() {
        return Err(Failure::Error(anyhow::anyhow!("{:?} holds nothing that can be dialled", args.number)));
    }
    let answer = context.client.ask(&Command::Simulate(question))?;
    context.show(&answer, |answer| match answer {
        Answer::Told { steps } => Some(text(steps)),
        _ => None,
    })
}

fn text(steps: &[Told]) -> String {
    let rows: Vec<_> = steps.iter().map(|step| [step.at.clone(), step.what.clone()]).collect();
    print::table(["WHERE", "WHAT AND WHY"], &rows, "nothing happens")
}
