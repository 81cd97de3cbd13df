//! One-way audio in words: the side at fault, what was seen of it, and what to do.
//!
//! One home for what the log, `sentral calls`, the call's record and `sentral why` say of it.

use crate::model::audio::Fault;
use crate::model::event::Event;
use crate::model::event::Fields;
use crate::model::server::Language;

const ALL: [Fault; 6] = [
    Fault::NothingReceived,
    Fault::NothingArrives,
    Fault::WrongSource,
    Fault::CannotDecrypt,
    Fault::WrongFormat,
    Fault::NoKeys,
];

/// What an event says that tells of a fault.
pub(crate) fn told(event: &Event, language: Language) -> String {
    let fault =
        ALL.into_iter().find(|fault| fault.as_str() == event.code()).unwrap_or(Fault::NothingReceived);
    text(fault, &event.fields, language)
}

/// A fault of the side `by`, whose audio comes `from` somewhere, where something else was `agreed` on.
pub(crate) fn text(fault: Fault, of: &Fields, language: Language) -> String {
    let by = by(of.by.as_deref().unwrap_or_default(), language);
    let from = of.from.as_deref().unwrap_or("?");
    match language {
        Language::Nb => match fault {
            Fault::NothingReceived => {
                format!("det kommer ingen lyd fra {by}. Se etter NAT og brannmur der")
            }
            Fault::NothingArrives => {
                format!("{by} melder at lyden vår ikke kommer fram. Se etter NAT og brannmur der")
            }
            Fault::WrongSource => {
                let named = of.agreed.as_deref().map_or_else(
                    || "som verken SDP eller ICE oppgir".to_owned(),
                    |named| format!("men SDP oppga {named}"),
                );
                format!(
                    "lyden fra {by} kommer fra {from}, {named}, og høres ikke. Slå av SIP-hjelp (ALG) i ruteren der, eller la \
                     linjen oppgi adressen i SDP"
                )
            }
            Fault::CannotDecrypt => format!(
                "det som kommer fra {by} ({from}) kan ikke dekrypteres. Det er ukryptert eller med andre nøkler enn \
                 avtalt: se på SRTP-innstillingen der"
            ),
            Fault::WrongFormat => {
                let codec = of.agreed.as_deref().unwrap_or("?");
                format!(
                    "det som kommer fra {by} ({from}) er ikke {codec}, som ble avtalt. Se på kodekene der"
                )
            }
            Fault::NoKeys => format!(
                "{by} har ikke fullført DTLS, så det finnes ingen nøkler. Se etter brannmur, og om sertifikatets \
                 fingeravtrykk i SDP stemmer"
            ),
        },
        Language::En => match fault {
            Fault::NothingReceived => {
                format!("no audio comes from {by}; look at NAT and firewalls there")
            }
            Fault::NothingArrives => {
                format!("{by} reports that our audio does not arrive; look at NAT and firewalls there")
            }
            Fault::WrongSource => {
                let named = of.agreed.as_deref().map_or_else(
                    || "which neither SDP nor ICE names".to_owned(),
                    |named| format!("but SDP said {named}"),
                );
                format!(
                    "audio of {by} comes from {from}, {named}, so it is not heard; switch off SIP help (ALG) in the router \
                     there, or have the carrier name that address in SDP"
                )
            }
            Fault::CannotDecrypt => format!(
                "what comes from {by} ({from}) cannot be decrypted: it is in the clear, or by other keys than agreed on; \
                 look at the SRTP setting there"
            ),
            Fault::WrongFormat => {
                let codec = of.agreed.as_deref().unwrap_or("?");
                format!(
                    "what comes from {by} ({from}) is not {codec}, as agreed on; look at the codecs there"
                )
            }
            Fault::NoKeys => format!(
                "{by} has not completed DTLS, so there are no keys; look at firewalls there, and whether the \
                 certificate's fingerprint in SDP is right"
            ),
        },
    }
}

/// Who did something, in words.
pub(crate) fn by(who: &str, language: Language) -> &str {
    match (who, language) {
        ("caller", Language::Nb) => "innringeren",
        ("caller", Language::En) => "the caller",
        ("callee", Language::Nb) => "den som ble ringt",
        ("callee", Language::En) => "who was called",
        ("system", Language::Nb) => "sentralen",
        ("system", Language::En) => "the exchange",
        (other, _) => other,
    }
}
