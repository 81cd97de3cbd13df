//! `sentral demo`: a switch with the configured company and a call to it, for a first look.

use crate::shell;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;

pub(super) fn run(context: Context) -> Result<(), Failure> {
    Ok(shell::demo::run(context.config)?)
}
