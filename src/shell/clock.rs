//! The only reader of the machine's clocks; everything else is given a [`Now`].

use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Context as _;
use jiff::SignedDuration;

use crate::time::Now;
use crate::time::Timestamp;

/// For tests only: what time it is when the daemon starts, as RFC 3339 writes it. From there on the clock goes as it does.
const TEST_TIME: &str = "SENTRAL_TEST_TIME";

/// How far the clock is put forward; unset in all but tests.
static AHEAD: OnceLock<SignedDuration> = OnceLock::new();

/// Reads both clocks, one right after the other.
pub fn now() -> Now {
    let (mono, utc) = (Instant::now(), Timestamp::now());
    match AHEAD.get() {
        // A time so far away that it cannot be written is as good as the end of time.
        Some(ahead) => Now { mono, utc: utc.saturating_add(*ahead).unwrap_or(utc) },
        None => Now { mono, utc },
    }
}

/// Puts the clock to where `SENTRAL_TEST_TIME` says that it is, if it is set, and warns of it: opening hours, pauses and
/// records go by it. For tests of such things with real calls.
///
/// # Errors
/// When it is no time.
pub fn pretend() -> anyhow::Result<()> {
    let Ok(asked) = std::env::var(TEST_TIME) else { return Ok(()) };
    let at: Timestamp = asked.parse().with_context(|| {
        format!("{TEST_TIME}={asked} is no time: write 2026-11-23T15:59:00+01:00, or unset it")
    })?;
    let ahead = at.duration_since(Timestamp::now());
    tracing::warn!(%at, "{TEST_TIME} is set: this daemon takes it to be then; never set it where real calls are made");
    AHEAD.get_or_init(|| ahead);
    Ok(())
}
