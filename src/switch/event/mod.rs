//! Event packages: what a NOTIFY of each says, as a document. Pure: facts in, text out.
//!
//! A document is a value that can be compared, so that a subscription is not told twice what it knows. Left out:
//! partial state (every document is full), and packages that nobody here has state for.

pub(crate) mod dialog_info;
pub(crate) mod message_summary;
pub(crate) mod pidf;
pub(crate) mod presence;
pub(crate) mod reginfo;
pub(crate) mod ua_profile;
mod xml;

use bytes::Bytes;

use crate::switch::event::dialog_info::Dialog;
use crate::switch::event::message_summary::Summary;
use crate::switch::event::presence::Presence;
use crate::switch::event::reginfo::Registration;
use crate::time::Timestamp;

/// An event package that can be subscribed to (RFC 6665 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Package {
    /// Calls of somebody: RFC 4235.
    Dialog,
    /// Waiting messages: RFC 3842.
    MessageSummary,
    /// Whether somebody can be reached: RFC 3856.
    Presence,
    /// Own registrations: RFC 3680.
    Reg,
    /// Where the phone's configuration is: RFC 6080.
    UaProfile,
}

impl Package {
    /// Every package.
    pub(crate) const ALL: [Package; 5] =
        [Package::Dialog, Package::MessageSummary, Package::Presence, Package::Reg, Package::UaProfile];

    /// As in the Event header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Package::Dialog => "dialog",
            Package::MessageSummary => "message-summary",
            Package::Presence => "presence",
            Package::Reg => "reg",
            Package::UaProfile => "ua-profile",
        }
    }

    /// The package of this name; event names are compared as tokens, without regard to case.
    pub(crate) fn named(name: &str) -> Option<Package> {
        Package::ALL.into_iter().find(|package| package.name().eq_ignore_ascii_case(name))
    }

    /// The type of its documents.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Package::Dialog => "application/dialog-info+xml",
            Package::MessageSummary => "application/simple-message-summary",
            Package::Presence => "application/pidf+xml",
            Package::Reg => "application/reginfo+xml",
            Package::UaProfile => "message/external-body",
        }
    }
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    /// Of [`Package::Dialog`].
    Dialogs(Vec<Dialog>),
    /// Of [`Package::MessageSummary`].
    Messages(Summary),
    /// Of [`Package::Presence`].
    Presence(Presence),
    /// Of [`Package::Reg`].
    Registrations(Vec<Registration>),
    /// Of [`Package::UaProfile`]: a URL.
    Profile(String),
}

/// Of which subscription a document is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling<'a> {
    /// The URI that was subscribed to.
    pub(crate) entity: &'a str,
    /// Counts the documents of the subscription from 0.
    pub(crate) version: u32,
    /// The moment.
    pub(crate) at: Timestamp,
    /// What was told last.
    pub(crate) before: Option<&'a Document>,
}

impl Document {
    /// Writes the document: its Content-Type with parameters, and the body.
    pub(crate) fn write(&self, telling: Telling<'_>) -> (String, Bytes) {
        let Telling { entity, version, at, before } = telling;
        let plain = |package: Package, text: String| (package.media_type().to_owned(), Bytes::from(text));
        match self {
            Document::Dialogs(dialogs) => {
                let ended = match before {
                    Some(Document::Dialogs(before)) => dialog_info::ended(before, dialogs),
                    _ => Vec::new(),
                };
                plain(Package::Dialog, dialog_info::write(entity, version, dialogs, &ended))
            }
            Document::Messages(summary) => plain(Package::MessageSummary, message_summary::write(summary)),
            Document::Presence(presence) => plain(Package::Presence, presence::write(entity, presence)),
            Document::Registrations(registrations) => {
                let before: &[Registration] = match before {
                    Some(Document::Registrations(before)) => before,
                    _ => &[],
                };
                plain(Package::Reg, reginfo::write(version, at, registrations, before))
            }
            Document::Profile(url) => ua_profile::write(url),
        }
    }
}
