//! `sentral recordings`: recordings of calls: which there are, where their files lie, and their deletion.

use crate::model::command::Command;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::recording::RecordingView;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::cdr::encoded;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral recordings --company fjord --since 7d
  sentral recordings --call 0-64f0a1b2c3d4e
  sentral recordings path 0-64f0a1b2c3d4e-1
  sentral recordings delete 0-64f0a1b2c3d4e-1

One that is running, or was cut by the end of the process, has no length.")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    /// Those that began since then: a span such as 90m, 1h, 7d, or a moment
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// How many of the newest
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Only of this company
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
    /// Only of this call
    #[arg(long, value_name = "ID")]
    call: Option<CallId>,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Where the file of a recording lies
    Path {
        /// As shown by `sentral recordings`
        id: String,
    },
    /// Deletes a recording and its file
    Delete {
        /// As shown by `sentral recordings`
        id: String,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match &args.order {
        None => list(&args, context),
        Some(Order::Path { id }) => {
            let recording = find(id, context)?;
            let data = context.client.data.join(&*recording.file);
            print::text(&format!("{}\n", data.display()))
        }
        Some(Order::Delete { id }) => {
            let recording = find(id, context)?;
            let order = Command::DeleteRecording { company: recording.company, id: recording.id };
            let answer = context.client.ask(&order)?;
            context.done(&answer, &format!("recording {id} is deleted"))
        }
    }
}

fn list(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut path = format!("/recordings?limit={}", args.limit);
    if let Some(text) = &args.since {
        let since = when::since(text, &context.client.zone, clock::now().utc)?;
        path.push_str(&format!("&since={since}"));
    }
    if let Some(company) = &args.company {
        path.push_str(&format!("&company={}", encoded(company.as_str())));
    }
    if let Some(call) = args.call {
        path.push_str(&format!("&call={call}"));
    }
    let recordings: Vec<RecordingView> = context.client.fetch("GET", &path, Vec::new())?;
    match context.form {
        Form::Json => print::json(&recordings),
        Form::Csv => Err(Failure::Error(anyhow::anyhow!(
            "this command has no comma-separated form: use -o text or -o json"
        ))),
        Form::Text => print::text(&text(&recordings)),
    }
}

fn find(id: &str, context: &Context) -> Result<RecordingView, Failure> {
    let found: Vec<RecordingView> =
        context.client.fetch("GET", &format!("/recordings?id={}", encoded(id)), Vec::new())?;
    let missing =
        || Failure::NotFound(format!("there is no recording {id}; `sentral recordings` lists them"));
    found.into_iter().next().ok_or_else(missing)
}

fn text(recordings: &[RecordingView]) -> String {
    let rows: Vec<_> = recordings
        .iter()
        .map(|recording| {
            [
                recording.id.to_string(),
                recording.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                recording.company.to_string(),
                recording.line.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                recording.user.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                recording.length_ms.map_or_else(|| "-".into(), |length| print::clock(length / 1000)),
                recording.call.to_string(),
                recording.file.to_string(),
            ]
        })
        .collect();
    print::table(["ID", "AT", "COMPANY", "LINE", "BY", "LENGTH", "CALL", "FILE"], &rows, "no recordings")
}
