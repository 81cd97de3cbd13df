//! `sentral hours`: what holds, a year day by day, and closures from and to iCalendar files.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::model::Config;
use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::company::Company;
use crate::model::hours::DayView;
use crate::model::hours::HoursView;
use crate::model::ical;
use crate::model::ical::Event;
use crate::model::id::CompanyId;
use crate::model::id::HoursId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;
use crate::shell::store::files;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral hours list
  sentral hours show kontor
  sentral hours show kontor --at \"2027-05-17 10:00\"
  sentral hours show kontor --year 2027          days that are not as the week says; --all shows each
  sentral hours import ferier.ics --company fjord > closures.toml
  sentral hours import ferier.ics --company fjord --write
  sentral hours export --company fjord > closures.ics")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// All templates: what holds now, until when, and holidays that nobody has thought of
    List {
        /// Only of this company
        #[arg(long, value_name = "ID")]
        company: Option<CompanyId>,
    },
    /// One template: what holds at a moment and why, or a whole year
    Show {
        /// Template
        hours: HoursId,
        /// When several companies have one of this name
        #[arg(long, value_name = "ID")]
        company: Option<CompanyId>,
        /// Then: "16:00", "2027-05-17 10:00" or RFC 3339
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
        /// Days of this year
        #[arg(long)]
        year: Option<i16>,
        /// Every day of the year
        #[arg(long, requires = "year")]
        all: bool,
    },
    /// Closures of an iCalendar file as TOML for a company's file; needs no daemon
    Import {
        /// The file
        file: PathBuf,
        /// For this company
        #[arg(long, value_name = "ID")]
        company: CompanyId,
        /// Only for this template; all when not given
        #[arg(long, value_name = "ID")]
        hours: Option<HoursId>,
        /// Adds them to the company's file, if all is sound with them
        #[arg(long)]
        write: bool,
    },
    /// The closures of a company as an iCalendar file; needs no daemon
    Export {
        /// Of this company
        #[arg(long, value_name = "ID")]
        company: CompanyId,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.order {
        Order::List { company } => {
            let command = Command::Hours { company, hours: None, at: None, year: None };
            context.show(&context.client.ask(&command)?, |answer| match answer {
                Answer::Hours { hours } => Some(list(hours)),
                _ => None,
            })
        }
        Order::Show { hours, company, at, year, all } => {
            let now = clock::now().utc;
            let at = at.map(|text| when::moment(&text, &context.client.zone, now)).transpose()?;
            let command = Command::Hours { company, hours: Some(hours), at, year };
            context.show(&context.client.ask(&command)?, |answer| match answer {
                Answer::Hours { hours } => Some(hours.iter().map(|of| shown(of, all)).collect()),
                _ => None,
            })
        }
        Order::Import { file, company, hours, write } => {
            let config = load(context)?;
            let of = known(&config, &company)?;
            let sections = import(&file, of, hours.as_ref())?;
            match write {
                true => add(context, &company, &sections),
                false => print::text(&sections),
            }
        }
        Order::Export { company } => {
            let config = load(context)?;
            print::text(&export(known(&config, &company)?, clock::now().utc))
        }
    }
}

fn load(context: &Context) -> Result<Arc<Config>, Failure> {
    let loaded = files::load(&context.config);
    let errors = loaded.errors.iter().map(ToString::to_string).collect();
    loaded.config.ok_or(Failure::Config(errors))
}

fn known<'a>(config: &'a Config, company: &CompanyId) -> Result<&'a Company, Failure> {
    let found = config.companies.get(company);
    found
        .map(|company| &**company)
        .ok_or_else(|| Failure::NotFound(format!("there is no company \"{company}\"")))
}

/// A moment by the clocks of a template.
fn local(at: Option<Timestamp>, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.map_or_else(|| "-".into(), |at| at.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M").to_string())
}

fn list(hours: &[HoursView]) -> String {
    let rows: Vec<_> = hours
        .iter()
        .map(|of| {
            [
                of.company.to_string(),
                of.id.to_string(),
                of.name.clone(),
                of.category.clone(),
                of.day.clone().unwrap_or_else(|| of.rule.clone()),
                local(of.until, &of.zone),
                local(of.opens, &of.zone),
                print::or_dash(&of.open_holidays.join(", ")),
            ]
        })
        .collect();
    let headings = ["COMPANY", "ID", "NAME", "NOW", "BY", "UNTIL", "OPENS", "OPEN ON HOLIDAYS"];
    print::table(headings, &rows, "no opening hours")
}

fn shown(of: &HoursView, all: bool) -> String {
    let mut out = format!("{} – {} ({}), {}\n", of.company, of.name, of.id, of.zone);
    let day = of.day.as_ref().map_or_else(String::new, |day| format!(": {day}"));
    // Writing to a string does not fail.
    let _ = writeln!(out, "  at      {}", local(Some(of.at), &of.zone));
    let _ = writeln!(out, "  holds   {} ({}{day})", of.category, of.rule);
    let _ = writeln!(out, "  since   {}", local(of.since, &of.zone));
    let _ = writeln!(out, "  until   {}", local(of.until, &of.zone));
    if of.category != "open" {
        let _ = writeln!(out, "  opens   {}", local(of.opens, &of.zone));
    }
    for holiday in &of.open_holidays {
        let _ = writeln!(out, "  warning: open as on any other day on {holiday}");
    }
    if of.days.is_empty() {
        return out;
    }
    let special = |day: &&DayView| all || day.rule.is_some() || day.hours_long != 24;
    let rows: Vec<_> = of
        .days
        .iter()
        .filter(special)
        .map(|day| {
            let weekday = usize::from(day.weekday.unsigned_abs()).saturating_sub(1);
            let spans: Vec<String> = day
                .spans
                .iter()
                .filter(|span| day.spans.len() == 1 || &*span.category != "closed")
                .map(|span| format!("{}–{} {}", span.from, span.to, span.category))
                .collect();
            let clock = match day.hours_long {
                23 => "clocks go forward",
                25 => "clocks go back",
                _ => "",
            };
            let why = [day.name.as_deref(), day.rule.as_deref(), Some(clock).filter(|text| !text.is_empty())];
            [
                day.date.clone(),
                DAYS.get(weekday).map_or("", |day| day).to_owned(),
                day.week.to_string(),
                spans.join(", "),
                why.into_iter().flatten().collect::<Vec<_>>().join(" – "),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&print::table(
        ["DATE", "DAY", "WEEK", "HOURS", "WHY"],
        &rows,
        "every day is as the week says",
    ));
    out
}

/// Closures of a calendar as sections of a company's file. Those that the company has already are left out.
fn import(file: &Path, company: &Company, hours: Option<&HoursId>) -> Result<String, Failure> {
    if let Some(hours) = hours.filter(|hours| !company.hours.contains_key(*hours)) {
        return Err(Failure::NotFound(format!("company \"{}\" has no hours \"{hours}\"", company.id)));
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // The zone is known to exist.
    let zone = TimeZone::get(&company.zone).unwrap_or(TimeZone::UTC);
    let events = ical::read(&text, &zone)
        .map_err(|refused| anyhow::anyhow!("{}: {refused}; nothing is imported", file.display()))?;
    let mut out = String::new();
    let mut ids: Vec<String> = company.closures.keys().map(ToString::to_string).collect();
    for event in events {
        let there = |of: &crate::model::hours::Closure| (of.from, of.to) == (event.from, event.to);
        if company.closures.values().any(there) {
            continue;
        }
        let mut id = slug(&event);
        while ids.contains(&id) {
            id.push('x');
        }
        let _ = write!(out, "\n{}", section(&id, &event, hours));
        ids.push(id);
    }
    Ok(out)
}

/// `sommerferie-2027-07-12`, of what an id may hold.
fn slug(event: &Event) -> String {
    let plain = event.summary.to_lowercase().replace('æ', "ae").replace('ø', "o").replace('å', "a");
    let mut slug = String::new();
    for c in plain.chars().take(40) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-');
    let name = if slug.is_empty() { "closure" } else { slug };
    format!("{name}-{}", event.from.date())
}

fn section(id: &str, event: &Event, hours: Option<&HoursId>) -> String {
    let whole = event.from.time() == Time::midnight() && event.to.time() == Time::midnight();
    let moment = |at: DateTime| at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let (from, to) = match (whole, event.to.date().yesterday()) {
        // Both days are included.
        (true, Ok(last)) => (event.from.date().to_string(), last.to_string()),
        _ => (moment(event.from), moment(event.to)),
    };
    let name = if event.summary.is_empty() { id } else { &event.summary };
    let name: String = name.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
    let hours = hours.map_or_else(String::new, |hours| format!("hours = [\"{hours}\"]\n"));
    format!("[closures.{id}]\nname  = \"{name}\"\nfrom  = {from}\nto    = {to}\n{hours}")
}

/// Adds sections to a company's file, unless the whole would not be sound.
fn add(context: &Context, company: &CompanyId, sections: &str) -> Result<(), Failure> {
    if sections.is_empty() {
        return print::text("nothing to add: the company has all of these closures\n");
    }
    let file = context.config.join("companies").join(format!("{company}.toml"));
    let before = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let write = |text: &str| {
        // Never half a file, for a daemon that looks at it meanwhile.
        let beside = file.with_extension("toml.new");
        std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &file))
    };
    write(&format!("{}\n{sections}", before.trim_end())).context("cannot write the company's file")?;
    let loaded = files::load(&context.config);
    if loaded.config.is_none() {
        write(&before).context("cannot put the company's file back")?;
        return Err(Failure::Config(loaded.errors.iter().map(ToString::to_string).collect()));
    }
    let count = sections.matches("[closures.").count();
    match context.form {
        Form::Json => print::json(&serde_json::json!({ "added": count, "file": file })),
        Form::Text | Form::Csv => print::text(&format!("{count} closures added to {}\n", file.display())),
    }
}

fn export(company: &Company, now: Timestamp) -> String {
    let stamp = TimeZone::UTC.to_datetime(now);
    let events = company.closures.iter().map(|(id, closure)| {
        let summary = closure.name.clone();
        (id.as_str(), Event { summary, from: closure.from, to: closure.to })
    });
    ical::write(&company.domain, &company.zone, stamp, events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(summary: &str, from: &str, to: &str) -> Event {
        Event { summary: summary.into(), from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn an_event_becomes_a_closure_with_both_days_in_it() {
        let days = event("Sommerferie: \"på hytta\"", "2027-07-12T00:00", "2027-07-31T00:00");
        assert_eq!(
            section(&slug(&days), &days, None),
            "[closures.sommerferie-pa-hytta-2027-07-12]\nname  = \"Sommerferie: på hytta\"\n\
             from  = 2027-07-12\nto    = 2027-07-30\n"
        );
        let hours = event("", "2027-01-04T08:00", "2027-01-04T12:00");
        assert_eq!(
            section(&slug(&hours), &hours, Some(&"kontor".into())),
            "[closures.closure-2027-01-04]\nname  = \"closure-2027-01-04\"\nfrom  = 2027-01-04T08:00:00\n\
             to    = 2027-01-04T12:00:00\nhours = [\"kontor\"]\n"
        );
    }
}
