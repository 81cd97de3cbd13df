//! `sentral config`: checks the configuration, or has the daemon load it again.

use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::Form;
use crate::shell::cli::print;
use crate::shell::http::control::Problems;
use crate::shell::store::files;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral config check                       the folder that `serve` would read
  sentral config check --config /etc/sentral
  sentral config reload                      has the daemon load it now; with problems the old one stays

A daemon with `watch = true` loads saved files by itself.")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Loads the configuration and tells every problem in it; needs no daemon
    Check,
    /// Has the daemon load the configuration
    Reload,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.order {
        Order::Check => check(context),
        Order::Reload => {
            let loaded: Problems = context.client.fetch("POST", "/reload", Vec::new())?;
            match context.form {
                Form::Json => print::json(&loaded),
                Form::Text | Form::Csv => print::text("the configuration is loaded\n"),
            }
        }
    }
}

fn check(context: &Context) -> Result<(), Failure> {
    let loaded = files::load(&context.config);
    let lines = |problems: &[files::Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (errors, warnings) = (lines(&loaded.errors), lines(&loaded.warnings));
    if context.form == Form::Json {
        print::json(&serde_json::json!({ "problems": errors, "warnings": warnings }))?;
    }
    let Some(config) = loaded.config else { return Err(Failure::Config(errors)) };
    if context.form == Form::Json {
        return Ok(());
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let (companies, devices, numbers) = (config.companies.len(), config.devices.len(), config.numbers.len());
    print::text(&format!(
        "{}: sound; {companies} companies, {devices} devices, {numbers} numbers\n",
        context.config.display()
    ))
}
