//! The command line: one binary that is the daemon, and that talks to the running daemon over its control socket.
//!
//! A file per sub-command. Left to a later version: `backup` and the making of users and devices.

mod agents;
mod board;
mod calls;
mod cdr;
mod client;
mod config;
mod demo;
mod devices;
mod hours;
mod missed;
mod print;
mod queues;
mod recordings;
mod report;
mod rooms;
mod serve;
mod simulate;
mod status;
mod toggle;
mod trace;
mod trunks;
mod users;
mod voicemail;
mod when;
mod why;
mod why_not;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::model::command::Answer;
use crate::shell::cli::client::Client;

/// A hosted telephone exchange in one daemon.
#[derive(Debug, Parser)]
#[command(
    name = "sentral",
    version,
    after_help = "\
Begin here:
  sentral demo                          a company to call, on this machine, without any files
  sentral config check                  what is wrong with the configuration, with file, line and remedy
  sentral, or sentral serve             the switch itself
  sentral simulate +4736000100 --at \"2027-05-17 10:00\"
                                        what would happen to a call, and why

Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 daemon not running, 78 bad configuration."
)]
pub struct Cli {
    /// Folder with the configuration [default: ./config, else /etc/sentral]
    #[arg(long, global = true, value_name = "DIR", env = "SENTRAL_CONFIG")]
    config: Option<PathBuf>,
    /// Data folder: database, voicemail, control socket [default: `data` of server.toml]
    #[arg(long, global = true, value_name = "DIR", env = "SENTRAL_DATA")]
    data: Option<PathBuf>,
    /// Control socket of the daemon [default: control.sock in its data folder]
    #[arg(long, global = true, value_name = "PATH", env = "SENTRAL_SOCKET")]
    socket: Option<PathBuf>,
    /// How answers are written
    #[arg(short, long, global = true, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Tables for people
    Text,
    /// For programs
    Json,
    /// Comma-separated values, of records and reports
    Csv,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the switch until SIGTERM
    #[command(after_help = serve::EXAMPLES)]
    Serve,
    /// Runs a switch with a sample company and calls through it
    Demo,
    /// Counts of the running switch
    Status,
    /// Calls that are up, or ends one
    Calls(calls::Args),
    /// Queues and ring groups: who waits, who answers
    Queues(queues::Args),
    /// Agents and their states; logs them in and out, pauses them
    Agents(agents::Args),
    /// The switchboard: callers, parked calls, people; transfer, park, click to call
    Board(board::Args),
    /// People and what they have set for themselves: forwarding, absence, do not disturb
    Users(users::Args),
    /// Conference rooms: who is in them; mutes, locks, lets people go
    Rooms(rooms::Args),
    /// Messages of voicemail boxes, and who of a team sees to them
    Voicemail(voicemail::Args),
    /// Callers of queues whom nobody has answered
    Missed(missed::Args),
    /// Telephones and where they are registered; has one fetch its configuration
    Devices(devices::Args),
    /// Carriers and whether they can be used
    Trunks,
    /// Opening hours: what holds, a year day by day, closures from and to iCalendar files
    Hours(hours::Args),
    /// Sets a toggle such as "closed now"
    Toggle(toggle::Args),
    /// Checks the configuration, or has the daemon load it again
    Config(config::Args),
    /// Tells what would happen to a call, without making one
    Simulate(simulate::Args),
    /// Call records, newest first
    Cdr(cdr::Args),
    /// Recordings of calls: which there are, where their files lie; deletes one
    Recordings(recordings::Args),
    /// What queues, people, numbers and menus did
    Report(report::Args),
    /// Tells every decision about a call, with its reason
    Why(why::Args),
    /// Tells why a user is not rung, and what mends it
    WhyNot(why_not::Args),
    /// SIP messages: the ladder of a call, as they come, or as a file for Wireshark
    Trace(trace::Args),
}

/// What every sub-command may need.
#[derive(Debug)]
struct Context {
    config: PathBuf,
    /// As given; else the configuration's.
    data: Option<PathBuf>,
    client: Client,
    form: Form,
}

/// Why a command failed; each variant has its exit code.
#[derive(Debug)]
enum Failure {
    /// 1.
    Error(anyhow::Error),
    /// 3.
    NotFound(String),
    /// 4.
    NotRunning(String),
    /// 78, as in sysexits.h.
    Config(Vec<String>),
    /// 0: who read our output has seen enough, and so there is nothing left to do.
    ReaderGone,
}

/// The configuration is not sound: an error that ends `serve` and `demo` with exit code 78.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BadConfig(
    /// The problems, one message each.
    pub Vec<String>,
);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match error.downcast::<BadConfig>() {
            Ok(BadConfig(problems)) => Failure::Config(problems),
            Err(error) => Failure::Error(error),
        }
    }
}

/// Carries out the command line of this process; a wrong one ends it with code 2.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match carry_out(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, lines) = match failure {
                Failure::Error(error) => (1, vec![format!("sentral: {error:#}")]),
                Failure::NotFound(why) => (3, vec![format!("sentral: {why}")]),
                Failure::NotRunning(why) => (4, vec![format!("sentral: {why}")]),
                Failure::Config(problems) => (78, problems),
                Failure::ReaderGone => (0, Vec::new()),
            };
            for line in lines {
                eprintln!("{line}");
            }
            ExitCode::from(code)
        }
    }
}

fn carry_out(cli: Cli) -> Result<(), Failure> {
    let config = client::config_folder(cli.config);
    let client = Client::new(cli.socket, cli.data.as_deref(), &config);
    let context = Context { config, data: cli.data, client, form: cli.output };
    // Without a sub-command it is the daemon.
    match cli.verb.unwrap_or(Verb::Serve) {
        Verb::Serve => serve::run(context),
        Verb::Demo => demo::run(context),
        Verb::Status => status::run(&context),
        Verb::Calls(args) => calls::run(args, &context),
        Verb::Queues(args) => queues::run(args, &context),
        Verb::Agents(args) => agents::run(args, &context),
        Verb::Board(args) => board::run(args, &context),
        Verb::Users(args) => users::run(args, &context),
        Verb::Rooms(args) => rooms::run(args, &context),
        Verb::Voicemail(args) => voicemail::run(args, &context),
        Verb::Missed(args) => missed::run(args, &context),
        Verb::Devices(args) => devices::run(args, &context),
        Verb::Trunks => trunks::run(&context),
        Verb::Hours(args) => hours::run(args, &context),
        Verb::Toggle(args) => toggle::run(args, &context),
        Verb::Config(args) => config::run(args, &context),
        Verb::Simulate(args) => simulate::run(args, &context),
        Verb::Cdr(args) => cdr::run(args, &context),
        Verb::Recordings(args) => recordings::run(args, &context),
        Verb::Report(args) => report::run(args, &context),
        Verb::Why(args) => why::run(&args, &context),
        Verb::WhyNot(args) => why_not::run(args, &context),
        Verb::Trace(args) => trace::run(args, &context),
    }
}

impl Context {
    /// Writes an answer: as it came for programs, with `text` for people.
    fn show(&self, answer: &Answer, text: impl FnOnce(&Answer) -> Option<String>) -> Result<(), Failure> {
        match self.form {
            Form::Json => return print::json(answer),
            Form::Csv => {
                return Err(Failure::Error(anyhow::anyhow!(
                    "this command has no comma-separated form: use -o text or -o json"
                )));
            }
            Form::Text => {}
        }
        match text(answer) {
            Some(text) => print::text(&text),
            None => Err(Failure::Error(anyhow::anyhow!(
                "the daemon gave another kind of answer than was asked for: is it of another version?"
            ))),
        }
    }

    /// Writes the answer to an order.
    fn done(&self, answer: &Answer, what: &str) -> Result<(), Failure> {
        self.show(answer, |answer| matches!(answer, Answer::Done).then(|| format!("{what}\n")))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_help_shows_can_be_typed() {
        for line in [
            "sentral demo",
            "sentral serve --config /etc/sentral --data /var/lib/sentral",
            "sentral -o json calls",
            "sentral status --data /var/lib/sentral",
            "sentral calls hangup 0-5f3a",
            "sentral calls whisper 0-5f3a --by tor",
            "sentral calls join fjord kari",
            "sentral rooms --company fjord",
            "sentral rooms mute fjord styret 0-5f3a",
            "sentral rooms lock fjord styret",
            "sentral rooms end fjord styret",
            "sentral calls record start 0-5f3a",
            "sentral calls record pause 0-5f3a",
            "sentral recordings --company fjord --since 7d",
            "sentral recordings path 0-5f3a-1",
            "sentral recordings delete 0-5f3a-1",
            "sentral queues --watch --company fjord",
            "sentral devices sync kari --company fjord --reboot",
            "sentral agents login fjord kari queue:salg",
            "sentral agents pause fjord kari --reason lunsj",
            "sentral board fjord --watch",
            "sentral board take fjord tor 0-5f3a",
            "sentral board transfer fjord tor 203",
            "sentral board transfer fjord tor --with 0-5f3b",
            "sentral board park fjord tor --slot 701",
            "sentral board dial fjord tor +4736000777 --auto-answer",
            "sentral board night fjord on",
            "sentral toggle fjord natt on --until 2h",
            "sentral hours list",
            "sentral hours show kontor --year 2027 --all",
            "sentral hours import ferier.ics --company fjord --write",
            "sentral hours export --company fjord",
            "sentral users forward fjord kari no-answer +4736000391 --after 15",
            "sentral users absence fjord kari ferie --until 2h --to user:ola",
            "sentral voicemail take fjord felles 0-5f3a-1 --by kari --note x",
            "sentral voicemail put-back fjord felles 0-5f3a-1 --by kari",
            "sentral missed done fjord +4736000777 --by kari",
            "sentral config check",
            "sentral simulate +4736000100 --from +4790000000 --keys 2",
            "sentral cdr --since 1h --limit 20 --csv",
            "sentral report queue salg --from 2027-03-01 --to 2027-03-31 --by day",
            "sentral report user kari --company fjord --from 2027-03-01 -o csv",
            "sentral report menu hoved --by hour",
            "sentral report abandoned",
            "sentral why 0-64f0a1b2c3d4e --lang nb",
            "sentral why-not kari --company fjord --queue group:lager --lang en",
            "sentral trace --call 0-64f0a1b2c3d4e --full",
            "sentral trace --live --number 36000100",
            "sentral trace --user anna --since 5m --pcap sip.pcap",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from(["sentral", "toggle", "fjord", "natt", "maybe"]).is_err());
    }
}
