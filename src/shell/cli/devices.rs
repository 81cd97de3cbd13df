//! `sentral devices`: telephones and where they are registered; `devices sync` has one fetch its configuration.

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::DeviceView;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral devices
  sentral devices sync kari
  sentral devices sync kari --company fjord --reboot")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Has a telephone fetch its configuration again
    Sync {
        /// As shown by `sentral devices`
        device: DeviceId,
        /// Its company, when several have one of this name
        #[arg(long)]
        company: Option<CompanyId>,
        /// Has it start anew, too
        #[arg(long)]
        reboot: bool,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.order {
        Some(Order::Sync { device, company, reboot }) => {
            let done = format!("{device} is told");
            let answer = context.client.ask(&Command::SyncDevice { company, device, reboot })?;
            context.done(&answer, &done)
        }
        None => {
            let answer = context.client.ask(&Command::Devices)?;
            context.show(&answer, |answer| match answer {
                Answer::Devices { devices } => Some(text(devices)),
                _ => None,
            })
        }
    }
}

/// A row per binding; a device without one has a row too.
fn text(devices: &[DeviceView]) -> String {
    let mut rows = Vec::new();
    for device in devices {
        let whose = || [device.company.to_string(), device.device.clone(), device.user.to_string()];
        for binding in &device.bindings {
            let [company, name, user] = whose();
            let left = print::clock(binding.expires_s.max(0).cast_unsigned());
            let agent = print::or_dash(binding.agent.as_deref().unwrap_or_default());
            rows.push([company, name, user, binding.remote.clone(), left, binding.contact.clone(), agent]);
        }
        if device.bindings.is_empty() {
            let [company, name, user] = whose();
            rows.push([company, name, user, "not registered".into(), "-".into(), "-".into(), "-".into()]);
        }
    }
    let headings = ["COMPANY", "DEVICE", "USER", "FROM", "LEFT", "CONTACT", "USER-AGENT"];
    print::table(headings, &rows, "no devices")
}
