//! Why we end a leg, as its phone is told in `Reason` (RFC 3326), so that it lists no call as missed that was not, and
//! names the others rightly. Phones that show the text show it in the company's language.

use crate::model::id::CallId;
use crate::model::server::Language;
use crate::sip::Extra;
use crate::switch::Switch;
use crate::switch::queue::Withdrawn;

impl Switch {
    /// The language of the phones that a call rings.
    pub(crate) fn language_of_phones(&self, call: CallId) -> Language {
        let company = self.calls.get(&call).and_then(|of| self.config.companies.get(&of.company));
        company.map_or(self.config.server.language, |company| company.language)
    }
}

/// Somebody else has taken the call.
pub(crate) fn elsewhere(language: Language) -> Extra {
    reason(language, 200, ["Besvart av en annen", "Call completed elsewhere"])
}

/// It rang for its time.
pub(crate) fn no_answer(language: Language) -> Extra {
    reason(language, 408, ["Ikke besvart", "No answer"])
}

/// The caller has hung up.
pub(crate) fn caller_gone(language: Language) -> Extra {
    reason(language, 487, ["Innringer la på", "Caller hung up"])
}

/// Who answered was asked to press a key and did not.
pub(crate) fn not_confirmed(language: Language) -> Extra {
    reason(language, 408, ["Ikke bekreftet med tast", "Not confirmed by key"])
}

/// Why a queue or group takes an offer back.
pub(crate) fn withdrawn(language: Language, why: &Withdrawn) -> Extra {
    let (cause, words) = match why {
        Withdrawn::AnsweredElsewhere(_) => return elsewhere(language),
        Withdrawn::CallerGone => return caller_gone(language),
        Withdrawn::NoAnswer => return no_answer(language),
        Withdrawn::LoggedOut => (480, ["Logget av eller på pause", "Logged out or on pause"]),
        Withdrawn::Busy => (486, ["I en annen samtale", "In another call"]),
        Withdrawn::Removed => (480, ["Ikke lenger agent her", "No longer an agent here"]),
        Withdrawn::Exit => (408, ["Innringer venter ikke lenger", "The caller waits no longer"]),
    };
    reason(language, cause, words)
}

/// With words in Norwegian and in English.
fn reason(language: Language, cause: u16, [norwegian, english]: [&str; 2]) -> Extra {
    let text = match language {
        Language::Nb => norwegian,
        Language::En => english,
    };
    vec![("Reason", format!("SIP;cause={cause};text=\"{text}\""))]
}
