//! `sentral trace`: the SIP messages of a call as a ladder, whole, as they come, or as a file for Wireshark.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use jiff::tz::TimeZone;

use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::cdr;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;
use crate::shell::trace::ladder;
use crate::shell::trace::view::Filter;
use crate::shell::trace::view::Page;

/// How long the daemon holds a question for new messages.
const LIVE_WAIT_S: u64 = 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral trace --call 0-64f0a1b2c3d4e
  sentral trace --call 0-64f0a1b2c3d4e --full
  sentral trace --user anna --since 10m
  sentral trace --live --number 36000100
  sentral trace --since 5m --pcap sip.pcap

Passwords, keys of encrypted media and keys that callers press are masked. How far back it goes is [trace] memory.")]
pub(super) struct Args {
    /// A call: its number in `sentral calls` or `sentral cdr`, or the Call-ID of one of its legs
    #[arg(long, value_name = "ID")]
    call: Option<String>,
    /// Dialogs from or to a user, device or SIP user name
    #[arg(long)]
    user: Option<String>,
    /// Dialogs from or to numbers that end so
    #[arg(long)]
    number: Option<String>,
    /// Messages to or from an address, with or without port
    #[arg(long)]
    address: Option<String>,
    /// Requests of a method, and their responses
    #[arg(long)]
    method: Option<String>,
    /// Messages since then: a span such as 90s, 1h, or a moment
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Shows new messages as they come, until Ctrl-C
    #[arg(long, conflicts_with = "pcap")]
    live: bool,
    /// The messages themselves
    #[arg(long)]
    full: bool,
    /// Writes a pcap file; messages over TCP and TLS are in it as UDP datagrams, so that each is readable
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let since = match &args.since {
        Some(text) => Some(when::since(text, &context.client.zone, clock::now().utc)?),
        None => None,
    };
    let filter = Filter {
        call: args.call,
        user: args.user,
        number: args.number,
        address: args.address,
        method: args.method,
        since,
        after: None,
        wait_s: None,
    };
    let zone = TimeZone::get(&context.client.zone).unwrap_or(TimeZone::UTC);
    if args.live {
        return follow(filter, args.full, &zone, context);
    }
    if let Some(file) = args.pcap {
        let bytes = context.client.fetch_bytes("GET", &path("/trace.pcap", &filter), Vec::new())?;
        fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
        return print::text(&format!("SIP messages written to {}\n", file.display()));
    }
    let page: Page = context.client.fetch("GET", &path("/trace", &filter), Vec::new())?;
    if page.messages.is_empty() {
        return Err(Failure::NotFound(
            "no such messages: they may be too old ([trace] memory), or look at `sentral trace` without a filter"
                .into(),
        ));
    }
    match context.form {
        Form::Json => print::json(&page),
        Form::Text | Form::Csv => print::text(&ladder::draw(&page, &zone, args.full)),
    }
}

/// Shows messages as they come.
fn follow(mut filter: Filter, full: bool, zone: &TimeZone, context: &Context) -> Result<(), Failure> {
    // Nothing has so high a number: the answer tells only which one is next.
    let end = Filter { after: Some(u64::MAX), ..Filter::default() };
    let first: Page = context.client.fetch("GET", &path("/trace", &end), Vec::new())?;
    filter.after = Some(first.next);
    filter.wait_s = Some(LIVE_WAIT_S);
    loop {
        let page: Page = context.client.fetch("GET", &path("/trace", &filter), Vec::new())?;
        filter.after = Some(page.next);
        for message in &page.messages {
            match context.form {
                Form::Json => print::json(message)?,
                Form::Text | Form::Csv => {
                    print::text(&ladder::line(&page, message, zone))?;
                    if full {
                        print::text(&ladder::whole(message))?;
                    }
                }
            }
        }
    }
}

/// The path of a request with a filter.
fn path(to: &str, filter: &Filter) -> String {
    let pairs = [
        ("call", filter.call.clone()),
        ("user", filter.user.clone()),
        ("number", filter.number.clone()),
        ("address", filter.address.clone()),
        ("method", filter.method.clone()),
        ("since", filter.since.map(|since| since.to_string())),
        ("after", filter.after.map(|after| after.to_string())),
        ("wait_s", filter.wait_s.map(|wait| wait.to_string())),
    ];
    let query: Vec<String> = pairs
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", cdr::encoded(&value?))))
        .collect();
    format!("{to}?{}", query.join("&"))
}
