//! Log lines to standard output, as text or JSON. Numbers are `http::metrics`'; log files and rotation are left
//! to the journal of the machine.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// Starts logging with a filter such as `info,sip=debug`; a second call in one process is refused.
///
/// # Errors
/// When the filter cannot be read, or logging is on already.
pub fn start(filter: &str, json: bool) -> anyhow::Result<()> {
    let parsed = EnvFilter::try_new(filter).with_context(|| {
        format!("cannot read log level {filter:?}: write for example \"info\" or \"info,sentral::sip=debug\"")
    })?;
    // Colours are for people who look on.
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_ansi(std::io::stdout().is_terminal());
    let started = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))
}
