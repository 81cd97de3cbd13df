//! Event and Subscription-State of SUBSCRIBE and NOTIFY (RFC 6665 §8.2), and any other `token;params` value.

use std::fmt;

use crate::sip::header::delta_seconds;
use crate::sip::value::Cursor;
use crate::sip::value::Malformed;
use crate::sip::value::Params;

/// A Subscription-State value; Event has the same shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// `active`, `pending`, `terminated`; for Event the package's name.
    pub state: String,
    /// `expires`, `reason`, `retry-after`; for Event `id`.
    pub params: Params,
}

impl SubscriptionState {
    /// A state without parameters.
    pub fn new(state: &str) -> SubscriptionState {
        SubscriptionState { state: state.to_owned(), params: Params::new() }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse(value: &str) -> Result<SubscriptionState, Malformed> {
        const WRONG: Malformed = Malformed("Subscription-State");
        let mut cursor = Cursor::new(value);
        let state = cursor.token().ok_or(WRONG)?.to_owned();
        let params = Params::parse(&mut cursor).map_err(|_| WRONG)?;
        Ok(SubscriptionState { state, params })
    }

    /// Whether the subscription is at its end.
    pub fn terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case("terminated")
    }

    /// Seconds that are left of it.
    pub fn expires(&self) -> Option<u32> {
        self.params.value("expires").map(delta_seconds)
    }
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.state, self.params)
    }
}
