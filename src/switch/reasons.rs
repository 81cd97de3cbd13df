//! Why we end a leg, as its phone is told in `Reason` (RFC 3326), so that it lists no call as missed that was not, and
//! names the others rightly.

use crate::sip::Extra;
use crate::switch::queue::Withdrawn;

/// Somebody else has taken the call.
pub(crate) fn elsewhere() -> Extra {
    reason(200, "Call completed elsewhere")
}

/// It rang for its time.
pub(crate) fn no_answer() -> Extra {
    reason(408, "No answer")
}

/// The caller has hung up.
pub(crate) fn caller_gone() -> Extra {
    reason(487, "Caller hung up")
}

/// Who answered was asked to press a key and did not.
pub(crate) fn not_confirmed() -> Extra {
    reason(408, "Not confirmed by key")
}

/// Why a queue or group takes an offer back.
pub(crate) fn withdrawn(why: &Withdrawn) -> Extra {
    match why {
        Withdrawn::AnsweredElsewhere(_) => elsewhere(),
        Withdrawn::CallerGone => caller_gone(),
        Withdrawn::NoAnswer => no_answer(),
        Withdrawn::LoggedOut => reason(480, "Logged out or on pause"),
        Withdrawn::Busy => reason(486, "In another call"),
        Withdrawn::Removed => reason(480, "No longer an agent here"),
        Withdrawn::Exit => reason(408, "The caller waits no longer"),
    }
}

fn reason(cause: u16, text: &str) -> Extra {
    vec![("Reason", format!("SIP;cause={cause};text=\"{text}\""))]
}
