//! `sentral cdr`: call records as a table, as CSV or as JSON.

use jiff::Timestamp;

use crate::model::cdr::Cdr;
use crate::model::id::CompanyId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::calls;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral cdr --since 1h
  sentral cdr --since \"2027-05-17 08:00\" --company fjord
  sentral cdr --since 30d --limit 100000 --csv > calls.csv")]
pub(super) struct Args {
    /// Calls that began since then: a span such as 90m, 1h, 7d, or a moment
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// How many of the newest
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Only of this company
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
    /// Comma-separated values, times in UTC
    #[arg(long)]
    csv: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut path = format!("/cdr?limit={}", args.limit);
    if let Some(text) = &args.since {
        let since = when::since(text, &context.client.zone, clock::now().utc)?;
        path.push_str(&format!("&since={since}"));
    }
    if let Some(company) = &args.company {
        path.push_str(&format!("&company={}", encoded(company.as_str())));
    }
    let cdrs: Vec<Cdr> = context.client.fetch("GET", &path, Vec::new())?;
    match context.form {
        _ if args.csv => print::text(&csv(&cdrs)),
        Form::Csv => print::text(&csv(&cdrs)),
        Form::Json => print::json(&cdrs),
        Form::Text => print::text(&text(&cdrs)),
    }
}

/// A value of a query string (RFC 3986 §2.1): all but unreserved characters as octets in base 16.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn text(cdrs: &[Cdr]) -> String {
    let rows: Vec<_> = cdrs
        .iter()
        .map(|cdr| {
            [
                cdr.started.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                cdr.company.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                calls::direction(cdr.direction).into(),
                if cdr.hidden { "hidden".into() } else { print::or_dash(&cdr.from) },
                cdr.to.to_string(),
                cdr.result.as_str().into(),
                cdr.answered_by.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                cdr.wait_ms.map_or_else(|| "-".into(), |wait| print::clock(wait / 1_000)),
                print::clock(cdr.talk_ms / 1_000),
                cdr.id.to_string(),
            ]
        })
        .collect();
    let headings =
        ["STARTED", "COMPANY", "DIRECTION", "FROM", "TO", "RESULT", "BY", "WAITED", "TALKED", "ID"];
    print::table(headings, &rows, "no calls")
}

fn csv(cdrs: &[Cdr]) -> String {
    let mut out = String::from(
        "id,company,direction,from,to,trunk,started,answered,connected,ended,result,status,queue,wait_ms,answered_by,talk_ms,keys,tags\n",
    );
    let moment = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
    for cdr in cdrs {
        let cells = [
            cdr.id.to_string(),
            cdr.company.as_ref().map_or_else(String::new, ToString::to_string),
            calls::direction(cdr.direction).into(),
            if cdr.hidden { String::new() } else { cdr.from.to_string() },
            cdr.to.to_string(),
            cdr.trunk.as_ref().map_or_else(String::new, ToString::to_string),
            cdr.started.to_string(),
            moment(cdr.answered),
            moment(cdr.connected),
            cdr.ended.to_string(),
            cdr.result.as_str().into(),
            cdr.status.to_string(),
            cdr.queue.as_ref().map_or_else(String::new, ToString::to_string),
            cdr.wait_ms.map_or_else(String::new, |wait| wait.to_string()),
            cdr.answered_by.as_ref().map_or_else(String::new, ToString::to_string),
            cdr.talk_ms.to_string(),
            cdr.keys.clone(),
            cdr.tags.join(" "),
        ];
        out.push_str(&cells.map(|cell| quoted(&cell)).join(","));
        out.push('\n');
    }
    out
}

/// A cell (RFC 4180 §2): in quotation marks when it holds one, a comma or a line end.
pub(super) fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotation_marks_stay_one_cell() {
        for (cell, expected) in [("plain", "plain"), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\"")]
        {
            assert_eq!(quoted(cell), expected);
        }
    }

    #[test]
    fn a_query_value_holds_no_reserved_character() {
        assert_eq!(encoded("fjord-as"), "fjord-as");
        assert_eq!(encoded("a&b=ø"), "a%26b%3D%C3%B8");
    }
}
