//! The only reader of the machine's clocks; everything else is given a [`Now`].

use std::time::Instant;

use crate::time::Now;
use crate::time::Timestamp;

/// Reads both clocks, one right after the other.
pub fn now() -> Now {
    Now { mono: Instant::now(), utc: Timestamp::now() }
}
