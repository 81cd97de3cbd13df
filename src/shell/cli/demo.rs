//! `sentral demo`: a switch with a sample company, for a first look.

use crate::shell;
use crate::shell::cli::Failure;

pub(super) fn run() -> Result<(), Failure> {
    Ok(shell::demo::run()?)
}
