//! Registration information (RFC 3680 §5): where somebody's own devices are registered.
//!
//! Every document is full state; contacts that have gone since the last one are named once more, as terminated.
//! Left out: GRUU, and events that nobody here causes (`created`, `deactivated`, `probation`, `rejected`).

use std::fmt::Write as _;

use crate::switch::event::xml::escape;
use crate::time::Timestamp;

/// A device and its bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Address of record.
    pub(crate) aor: String,
    /// The same in all documents; a token.
    pub(crate) id: String,
    pub(crate) contacts: Vec<Contact>,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) uri: String,
    pub(crate) expires: Timestamp,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    /// Preference, thousandths.
    pub(crate) q: u16,
    pub(crate) instance: Option<String>,
}

/// Writes the document; `before` is what the last one told.
pub(crate) fn write(version: u32, at: Timestamp, now: &[Registration], before: &[Registration]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" \
         version=\"{version}\" state=\"full\">\n"
    );
    for registration in now {
        let Registration { aor, id, contacts } = registration;
        let old = before.iter().find(|old| old.id == *id).map_or(&[][..], |old| &old.contacts);
        let state = match (contacts.is_empty(), old.is_empty()) {
            (false, _) => "active",
            (true, false) => "terminated",
            // RFC 3680 §4.7.1: nothing is bound, and nothing was that the watcher knows of.
            (true, true) => "init",
        };
        let (aor, id) = (escape(aor), escape(id));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "<registration aor=\"{aor}\" id=\"{id}\" state=\"{state}\">");
        for contact in contacts {
            let known = old.iter().any(|old| old.uri == contact.uri);
            let event = if known { "refreshed" } else { "registered" };
            write_contact(&mut text, at, contact, "active", event);
        }
        for gone in old.iter().filter(|old| !contacts.iter().any(|contact| contact.uri == old.uri)) {
            let event = if gone.expires <= at { "expired" } else { "unregistered" };
            write_contact(&mut text, at, gone, "terminated", event);
        }
        text.push_str("</registration>\n");
    }
    text.push_str("</reginfo>\n");
    text
}

fn write_contact(text: &mut String, at: Timestamp, contact: &Contact, state: &str, event: &str) {
    let Contact { uri, expires, call_id, cseq, q, instance } = contact;
    let left = expires.duration_since(at).as_secs().max(0);
    let (uri, call_id) = (escape(uri), escape(call_id));
    // A contact is named by its URI: it is the same contact as long as that is the same.
    let _ = write!(
        text,
        "<contact id=\"{uri}\" state=\"{state}\" event=\"{event}\" expires=\"{left}\" q=\"{}.{:03}\" \
         callid=\"{call_id}\" cseq=\"{cseq}\"><uri>{uri}</uri>",
        q / 1000,
        q % 1000
    );
    if let Some(instance) = instance {
        let _ = write!(text, "<unknown-param name=\"+sip.instance\">{}</unknown-param>", escape(instance));
    }
    text.push_str("</contact>\n");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn contact(at: Timestamp) -> Contact {
        Contact {
            uri: "sip:kari@192.0.2.7".into(),
            expires: at + Duration::from_secs(600),
            call_id: "c1".into(),
            cseq: 4,
            q: 500,
            instance: Some("\"<urn:uuid:1>\"".into()),
        }
    }

    fn registration(contacts: Vec<Contact>) -> Registration {
        Registration { aor: "sip:kari@a.example".into(), id: "kari".into(), contacts }
    }

    #[test]
    fn a_binding_is_written_as_registered_then_refreshed_then_gone() {
        let at: Timestamp = "2026-11-23T11:00:00Z".parse().unwrap();
        let bound = [registration(vec![contact(at)])];
        let expect = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"0\" state=\"full\">\n\
            <registration aor=\"sip:kari@a.example\" id=\"kari\" state=\"active\">\n\
            <contact id=\"sip:kari@192.0.2.7\" state=\"active\" event=\"registered\" expires=\"600\" \
            q=\"0.500\" callid=\"c1\" cseq=\"4\"><uri>sip:kari@192.0.2.7</uri>\
            <unknown-param name=\"+sip.instance\">&quot;&lt;urn:uuid:1&gt;&quot;</unknown-param></contact>\n\
            </registration>\n</reginfo>\n";
        assert_eq!(write(0, at, &bound, &[]), expect);
        assert!(write(1, at, &bound, &bound).contains("event=\"refreshed\""));
        let none = [registration(Vec::new())];
        let gone = write(2, at, &none, &bound);
        assert!(gone.contains("state=\"terminated\">\n<contact"), "{gone}");
        assert!(gone.contains("event=\"unregistered\""), "{gone}");
        let late = at + Duration::from_secs(700);
        assert!(write(2, late, &none, &bound).contains("event=\"expired\" expires=\"0\""));
        assert!(write(0, at, &none, &[]).contains("state=\"init\""));
    }
}
