//! `sentral serve`: the daemon.

use crate::shell;
use crate::shell::ServeOptions;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;

/// Shown under the options.
pub(super) const EXAMPLES: &str = "\
Examples:
  sentral serve                                     ./config, else /etc/sentral
  sentral serve --config /etc/sentral --data /var/lib/sentral

SIGTERM lets calls end and refuses new ones; SIGHUP loads the configuration again.";

pub(super) fn run(context: Context) -> Result<(), Failure> {
    Ok(shell::serve(ServeOptions { config: context.config, data: context.data })?)
}
