//! Log lines to standard output, as text or JSON. Numbers are `http::metrics`'; log files and rotation are left
//! to the journal of the machine.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Crates that speak of what strangers send: one line a packet, on the threads that read them. They are heard from when a
/// filter names them.
const QUIET: &str = "is=error,dimpl=error";

/// Reads a filter; of the directives for one target the last one counts.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET},{text}"))
}

/// Starts logging with a filter such as `info,sip=debug`; a second call in one process is refused.
///
/// # Errors
/// When the filter cannot be read, or logging is on already.
pub fn start(text: &str, json: bool) -> anyhow::Result<()> {
    let parsed = filter(text).with_context(|| {
        format!("cannot read log level {text:?}: write for example \"info\" or \"info,sentral::sip=debug\"")
    })?;
    // Colours are for people who look on.
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_ansi(std::io::stdout().is_terminal());
    let started = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing::enabled;

    use super::*;

    #[test]
    fn what_strangers_send_is_not_logged_unless_it_is_asked_for() {
        let rows = [("info", false), ("debug", false), ("trace,sentral=info", false), ("info,is=warn", true)];
        for (text, logged) in rows {
            let lines = tracing_subscriber::fmt().with_env_filter(filter(text).expect("a filter")).finish();
            tracing::subscriber::with_default(lines, || {
                assert_eq!(enabled!(target: "is::stun", Level::WARN), logged, "{text}");
                assert!(!enabled!(target: "dimpl::dtls12", Level::WARN), "{text}");
                assert!(
                    enabled!(target: "sentral::media", Level::INFO)
                        && enabled!(target: "is::stun", Level::ERROR)
                );
            });
        }
        assert!(filter("").is_ok(), "nothing is said");
        assert!(filter("no such=level=at all").is_err());
    }
}
