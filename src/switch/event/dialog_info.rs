//! Dialog information (RFC 4235 §4): which calls somebody is in, for busy lamps and for picking up.
//!
//! Every document is full state. Calls that have ended since the last document are named once more, as terminated:
//! some phones put a lamp out only then. Left out: session descriptions, durations and route sets.

use std::fmt::Write as _;

use crate::switch::event::xml::escape;

/// How far a call of the watched one has come (RFC 4235 §3.7.1); `proceeding` is not told from `trying`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// INVITE is sent, nothing rings yet.
    Trying,
    /// It rings.
    Early,
    /// Answered.
    Confirmed,
    /// Over.
    Terminated,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Trying => "trying",
            State::Early => "early",
            State::Confirmed => "confirmed",
            State::Terminated => "terminated",
        }
    }
}

/// Who began the call, seen from the watched one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The watched one.
    Initiator,
    /// The other.
    Recipient,
}

/// A dialog's identifiers, as the watched phone knows them: its own tag is the local one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DialogIds {
    pub(crate) call_id: String,
    /// Empty while it is not known.
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

/// One side of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) uri: String,
    pub(crate) display: Option<String>,
}

/// One call of the watched one, or the one that a lamp pretends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    /// The same in all documents; a token.
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) direction: Option<Direction>,
    pub(crate) ids: Option<DialogIds>,
    pub(crate) local: Option<Party>,
    pub(crate) remote: Option<Party>,
}

impl Dialog {
    /// What a lamp shows that stands for something other than a call: a queue, a toggle, a log-in.
    pub(crate) fn lamp(state: State) -> Dialog {
        Dialog { id: "lamp".into(), state, direction: None, ids: None, local: None, remote: None }
    }
}

/// The dialogs of `before` that are gone, as they are told for the last time.
pub(crate) fn ended(before: &[Dialog], now: &[Dialog]) -> Vec<Dialog> {
    let gone = before.iter().filter(|old| !now.iter().any(|dialog| dialog.id == old.id));
    gone.map(|old| Dialog { state: State::Terminated, ..old.clone() }).collect()
}

/// Writes the document.
pub(crate) fn write(entity: &str, version: u32, dialogs: &[Dialog], ended: &[Dialog]) -> String {
    let entity = escape(entity);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" \
         version=\"{version}\" state=\"full\" entity=\"{entity}\">\n"
    );
    for dialog in dialogs.iter().chain(ended) {
        write_dialog(&mut text, dialog);
    }
    text.push_str("</dialog-info>\n");
    text
}

fn write_dialog(text: &mut String, dialog: &Dialog) {
    // Writing to a string cannot fail.
    let _ = write!(text, "<dialog id=\"{}\"", escape(&dialog.id));
    if let Some(ids) = &dialog.ids {
        let tags = [("local-tag", &ids.local_tag), ("remote-tag", &ids.remote_tag)];
        let _ = write!(text, " call-id=\"{}\"", escape(&ids.call_id));
        for (name, tag) in tags.into_iter().filter(|(_, tag)| !tag.is_empty()) {
            let _ = write!(text, " {name}=\"{}\"", escape(tag));
        }
    }
    if let Some(direction) = dialog.direction {
        let direction = match direction {
            Direction::Initiator => "initiator",
            Direction::Recipient => "recipient",
        };
        let _ = write!(text, " direction=\"{direction}\"");
    }
    let _ = write!(text, "><state>{}</state>", dialog.state.as_str());
    for (name, party) in [("local", &dialog.local), ("remote", &dialog.remote)] {
        let Some(party) = party else { continue };
        let uri = escape(&party.uri);
        let display = party
            .display
            .as_ref()
            .map(|display| format!(" display=\"{}\"", escape(display)))
            .unwrap_or_default();
        let _ = write!(text, "<{name}><identity{display}>{uri}</identity><target uri=\"{uri}\"/></{name}>");
    }
    text.push_str("</dialog>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ringing() -> Dialog {
        Dialog {
            id: "7".into(),
            state: State::Early,
            direction: Some(Direction::Recipient),
            ids: Some(DialogIds { call_id: "a&b".into(), local_tag: "".into(), remote_tag: "r1".into() }),
            local: Some(Party { uri: "sip:101@a.example".into(), display: Some("Kari".into()) }),
            remote: Some(Party { uri: "sip:+4790000000@a.example".into(), display: Some("<Per>".into()) }),
        }
    }

    #[test]
    fn a_ringing_phone_is_written_as_the_rfc_shows_it() {
        let expect = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"3\" state=\"full\" \
            entity=\"sip:101@a.example\">\n\
            <dialog id=\"7\" call-id=\"a&amp;b\" remote-tag=\"r1\" direction=\"recipient\">\
            <state>early</state>\
            <local><identity display=\"Kari\">sip:101@a.example</identity>\
            <target uri=\"sip:101@a.example\"/></local>\
            <remote><identity display=\"&lt;Per&gt;\">sip:+4790000000@a.example</identity>\
            <target uri=\"sip:+4790000000@a.example\"/></remote></dialog>\n\
            </dialog-info>\n";
        assert_eq!(write("sip:101@a.example", 3, &[ringing()], &[]), expect);
    }

    #[test]
    fn a_lamp_has_a_state_and_nothing_else() {
        let expect = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" \
            entity=\"sip:601@a.example\">\n\
            <dialog id=\"lamp\"><state>confirmed</state></dialog>\n\
            </dialog-info>\n";
        assert_eq!(write("sip:601@a.example", 0, &[Dialog::lamp(State::Confirmed)], &[]), expect);
    }

    #[test]
    fn a_call_that_is_gone_is_told_once_more() {
        let gone = ended(&[ringing(), Dialog { id: "8".into(), ..ringing() }], &[ringing()]);
        let [gone] = &gone[..] else { panic!("one is gone, not {gone:?}") };
        assert_eq!((&*gone.id, gone.state), ("8", State::Terminated));
        assert!(
            write("sip:101@a.example", 1, &[], std::slice::from_ref(gone)).contains("<state>terminated<")
        );
    }
}
