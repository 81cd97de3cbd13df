//! `sentral report`: what queues, people, numbers and menus did over some time, counted from the event log.

use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::id::CompanyId;
use crate::model::report::Every;
use crate::model::report::Report;
use crate::model::report::ReportAsk;
use crate::model::report::Subject;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::cdr::quoted;
use crate::shell::cli::print;
use crate::shell::cli::when;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral report queue                                       today, every queue
  sentral report queue salg --from 2027-03-01 --to 2027-03-31 --by day
  sentral report user kari --company fjord --from 2027-03-01 -o csv
  sentral report menu hoved --by hour
  sentral report abandoned salg                              who hung up, and when

Days and times are those of the company's zone; --to with a date includes that day.")]
pub(super) struct Args {
    /// What about
    #[arg(value_enum)]
    subject: About,
    /// Only this one: a queue or group, user, number, flow or flow/step
    id: Option<String>,
    /// Whose, where there are several companies
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
    /// From this day, or "2027-03-01 08:00" [default: today]
    #[arg(long, value_name = "TIME", value_parser = from)]
    from: Option<DateTime>,
    /// To the end of this day, or until "2027-03-01 16:00" [default: now]
    #[arg(long, value_name = "TIME", value_parser = to)]
    to: Option<DateTime>,
    /// One row for each
    #[arg(long, value_enum)]
    by: Option<Pieces>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum About {
    /// Queues and ring groups
    Queue,
    /// Agents and other users
    User,
    /// Numbers that were called
    Number,
    /// Steps of flows, and keys
    Menu,
    /// Callers who hung up while waiting
    Abandoned,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Pieces {
    Hour,
    Day,
    Week,
    Month,
}

fn from(text: &str) -> Result<DateTime, String> {
    let date = || Date::strptime("%Y-%m-%d", text).map(|date| date.to_datetime(Time::midnight()));
    let local = DateTime::strptime("%Y-%m-%d %H:%M", text).or_else(|_| date());
    local.map_err(|_| "write a day (2027-03-01) or a time (\"2027-03-01 08:00\")".to_owned())
}

/// A day as the end of a report is the whole of it.
fn to(text: &str) -> Result<DateTime, String> {
    match Date::strptime("%Y-%m-%d", text) {
        Ok(date) => match date.tomorrow() {
            Ok(next) => Ok(next.to_datetime(Time::midnight())),
            Err(error) => Err(error.to_string()),
        },
        Err(_) => from(text),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let ask = ReportAsk {
        subject: match args.subject {
            About::Queue => Subject::Queue,
            About::User => Subject::User,
            About::Number => Subject::Number,
            About::Menu => Subject::Menu,
            About::Abandoned => Subject::Abandoned,
        },
        company: args.company,
        id: args.id.map(Into::into),
        from: args.from,
        to: args.to,
        by: args.by.map(|by| match by {
            Pieces::Hour => Every::Hour,
            Pieces::Day => Every::Day,
            Pieces::Week => Every::Week,
            Pieces::Month => Every::Month,
        }),
    };
    let answer = context.client.ask(&Command::Report(ask))?;
    match &answer {
        Answer::Report(report) if context.form == Form::Csv => print::text(&csv(report)),
        _ => context.show(&answer, |answer| match answer {
            Answer::Report(report) => Some(text(report)),
            _ => None,
        }),
    }
}

/// Headings of the columns and the cells of each row; the first columns are names, the rest figures.
struct Sheet {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

fn sheet(report: &Report) -> Sheet {
    let mut sheet = match report.subject {
        Subject::Queue => queues(report),
        Subject::User => users(report),
        Subject::Number => numbers(report),
        Subject::Menu => menus(report),
        Subject::Abandoned => abandoned(report),
    };
    // A report in one piece needs no column that says which.
    if report.rows.len() == 1 && report.subject != Subject::Abandoned {
        sheet.headings.remove(0);
        sheet.rows.iter_mut().for_each(|row| drop(row.remove(0)));
    }
    sheet
}

fn queues(report: &Report) -> Sheet {
    let headings = vec![
        "period",
        "queue",
        "offered",
        "answered",
        "abandoned",
        "short",
        "overflowed",
        "lost",
        "service_level",
        "wait_mean_s",
        "wait_longest_s",
        "talk_s",
        "overflowed_by_exit",
    ];
    let mut rows = Vec::new();
    for row in &report.rows {
        for (line, of) in &row.figures.lines {
            let exits: Vec<String> = of.overflowed.iter().map(|(exit, n)| format!("{exit} {n}")).collect();
            rows.push(vec![
                row.period.name.clone(),
                line.to_string(),
                of.offered.to_string(),
                of.answered.to_string(),
                of.abandoned.to_string(),
                of.short_abandoned.to_string(),
                of.overflowed_in_all().to_string(),
                of.lost.to_string(),
                print::share(of.service_level()),
                of.wait_mean_ms().map_or_else(|| "-".into(), seconds),
                seconds(of.wait_longest_ms),
                seconds(of.talk_ms),
                print::or_dash(&exits.join(", ")),
            ]);
        }
    }
    Sheet { headings, rows }
}

fn users(report: &Report) -> Sheet {
    let headings = vec![
        "period",
        "user",
        "offered",
        "answered",
        "missed",
        "rejected",
        "failed",
        "queue_talk_s",
        "calls_in",
        "calls_out",
        "own_talk_s",
    ];
    let mut rows = Vec::new();
    for row in &report.rows {
        for (user, of) in &row.figures.users {
            rows.push(vec![
                row.period.name.clone(),
                user.to_string(),
                of.offered.to_string(),
                of.answered.to_string(),
                of.missed.to_string(),
                of.rejected.to_string(),
                of.failed.to_string(),
                seconds(of.line_talk_ms),
                of.calls_in.to_string(),
                of.calls_out.to_string(),
                seconds(of.direct_talk_ms),
            ]);
        }
    }
    Sheet { headings, rows }
}

fn numbers(report: &Report) -> Sheet {
    let headings = vec!["period", "number", "calls", "answered", "wait_s", "talk_s", "results"];
    let mut rows = Vec::new();
    for row in &report.rows {
        for (number, of) in &row.figures.numbers {
            let results: Vec<String> = of.results.iter().map(|(how, n)| format!("{how} {n}")).collect();
            rows.push(vec![
                row.period.name.clone(),
                number.to_string(),
                of.calls.to_string(),
                of.results.get("answered").copied().unwrap_or(0).to_string(),
                seconds(of.wait_ms),
                seconds(of.talk_ms),
                print::or_dash(&results.join(", ")),
            ]);
        }
    }
    Sheet { headings, rows }
}

fn menus(report: &Report) -> Sheet {
    let headings = vec!["period", "step", "visits", "keys", "other"];
    let mut rows = Vec::new();
    for row in &report.rows {
        for (step, of) in &row.figures.steps {
            let keys: Vec<String> = of.keys.iter().map(|(key, n)| format!("{key}: {n}")).collect();
            let other: Vec<String> = of.results.iter().map(|(how, n)| format!("{how} {n}")).collect();
            rows.push(vec![
                row.period.name.clone(),
                step.to_string(),
                of.visits.to_string(),
                print::or_dash(&keys.join(", ")),
                print::or_dash(&other.join(", ")),
            ]);
        }
    }
    Sheet { headings, rows }
}

fn abandoned(report: &Report) -> Sheet {
    let rows = report.abandoned.iter().map(|call| {
        vec![
            when::local(call.at, &report.zone),
            call.line.clone(),
            call.from.clone().unwrap_or_else(|| "-".into()),
            seconds(call.wait_ms),
            if call.short { "short".into() } else { "abandoned".into() },
            call.call.map_or_else(|| "-".into(), |call| call.to_string()),
        ]
    });
    Sheet { headings: vec!["time", "queue", "from", "waited_s", "counted", "call"], rows: rows.collect() }
}

/// Whole seconds, rounded down.
fn seconds(ms: u64) -> String {
    (ms / 1_000).to_string()
}

fn text(report: &Report) -> String {
    let sheet = sheet(report);
    let names: Vec<&str> = report.rows.iter().map(|row| &*row.period.name).collect();
    let span = match names[..] {
        [one] => one.to_owned(),
        [first, .., last] => format!("{first} – {last}"),
        [] => String::new(),
    };
    let mut text = format!("{}, {span} ({})\n\n", report.company, report.zone);
    let headings: Vec<String> =
        sheet.headings.iter().map(|heading| heading.to_uppercase().replace('_', " ")).collect();
    text.push_str(&print::columns(&headings, &sheet.rows, "nothing happened"));
    if matches!(report.subject, Subject::Queue | Subject::User | Subject::Abandoned) {
        text.push('\n');
        for (word, means) in &report.definitions {
            text.push_str(&format!("{word}: {means}\n"));
        }
    }
    text
}

fn csv(report: &Report) -> String {
    let sheet = sheet(report);
    let mut text = sheet.headings.join(",");
    text.push('\n');
    for row in &sheet.rows {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::change::Change;
    use crate::model::event::Event;
    use crate::model::event::Fields;
    use crate::model::id::LineId;
    use crate::model::report::Plan;
    use crate::model::server::Language;
    use crate::shell::http::log;
    use crate::shell::store::Store;
    use crate::switch::periods::cut;

    #[test]
    fn a_day_as_the_end_is_the_whole_of_it() {
        let at = |text: &str| DateTime::strptime("%Y-%m-%d %H:%M", text).unwrap();
        assert_eq!(from("2027-03-28"), Ok(at("2027-03-28 00:00")));
        assert_eq!(to("2027-03-28"), Ok(at("2027-03-29 00:00")));
        assert_eq!(to("2027-03-28 16:00"), Ok(at("2027-03-28 16:00")));
        assert!(from("28.03.2027").is_err());
    }

    /// A queue's events around the night in which the clock is put forward: 2027-03-28 has 23 hours.
    fn record(store: &Store) {
        let salg = |fields: Fields| Fields { line: Some(LineId::Queue("salg".into())), ..fields };
        let out = |result: &str, wait_ms: u64| Fields {
            result: Some(result.into()),
            wait_ms: Some(wait_ms),
            target_ms: Some(20_000),
            ..salg(Fields::default())
        };
        let joined = || ("queue.joined", salg(Fields::default()));
        let kari = |fields: Fields| Fields { agent: Some("kari".into()), ..fields };
        let talk = kari(salg(Fields { talk_ms: Some(95_500), ..Fields::default() }));
        let rows = [
            // 23:59:59 of the day before, in winter time.
            ("2027-03-27T22:59:59Z", joined()),
            ("2027-03-27T23:00:00Z", joined()),
            ("2027-03-27T23:00:04Z", ("queue.counted", kari(out("answered", 4_000)))),
            ("2027-03-28T01:30:00Z", ("talk.ended", talk)),
            ("2027-03-28T02:00:00Z", joined()),
            ("2027-03-28T02:00:30Z", ("queue.abandoned", out("abandoned", 30_000))),
            ("2027-03-28T03:00:00Z", ("queue.turned_away", out("full", 0))),
            // Midnight in summer time.
            ("2027-03-28T22:00:00Z", joined()),
        ];
        for ((at, (name, fields)), seq) in rows.into_iter().zip(1..) {
            store.record(&Change::Decision(Box::new(Event {
                company: "fjord".into(),
                seq,
                at: at.parse().unwrap(),
                call: None,
                event: name.into(),
                why: "".into(),
                fields,
            })));
        }
    }

    fn report(store: &Store, subject: Subject, by: Option<Every>) -> Report {
        let zone = TimeZone::get("Europe/Oslo").unwrap();
        let at = |text: &str| from(text).unwrap().to_zoned(zone.clone()).unwrap();
        let plan = Plan {
            subject,
            company: "fjord".into(),
            zone: "Europe/Oslo".into(),
            language: Language::En,
            id: None,
            periods: cut(&at("2027-03-27"), &at("2027-03-30"), by).unwrap(),
        };
        log::report(store, plan).unwrap()
    }

    #[test]
    fn a_report_over_the_night_of_the_clock_change_counts_by_local_days() {
        let data = tempfile::TempDir::new().unwrap();
        let (store, _) = Store::open(data.path()).unwrap();
        record(&store);
        let expected = "\
period,queue,offered,answered,abandoned,short,overflowed,lost,service_level,wait_mean_s,wait_longest_s,talk_s,overflowed_by_exit
2027-03-27,queue:salg,1,0,0,0,0,0,0.0 %,-,0,0,-
2027-03-28,queue:salg,3,1,1,0,1,0,33.3 %,4,4,95,full 1
2027-03-29,queue:salg,1,0,0,0,0,0,0.0 %,-,0,0,-
";
        assert_eq!(csv(&report(&store, Subject::Queue, Some(Every::Day))), expected);
        let people = csv(&report(&store, Subject::User, None));
        assert_eq!(people.lines().nth(1), Some("kari,0,1,0,0,0,95,0,0,0"));
        let gone = report(&store, Subject::Abandoned, None);
        assert_eq!(csv(&gone).lines().nth(1), Some("2027-03-28 04:00:30.000,queue:salg,-,30,abandoned,-"));
        let told = text(&report(&store, Subject::Queue, Some(Every::Day)));
        assert!(told.starts_with("fjord, 2027-03-27 – 2027-03-29 (Europe/Oslo)\n"), "{told}");
        assert!(told.contains("service level: answered within the target / (offered − short)"), "{told}");
    }
}
