//! Presence: what follows from registration, calls, agent state and publications, and how it is written
//! (RFC 3856 §6, PIDF of RFC 3863, activities of RFC 4480 §3.2).

use crate::switch::event::pidf::Published;
use crate::switch::event::xml::escape;

/// What somebody is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Nothing that hinders a call.
    Available,
    /// In a call.
    OnThePhone,
    /// Not here: paused, logged out of their queues, or published so.
    Away,
    /// Published only.
    Busy,
    /// Published only.
    Meeting,
}

impl Activity {
    /// The element of RFC 4480; being available has none.
    fn element(self) -> Option<&'static str> {
        match self {
            Activity::Available => None,
            Activity::OnThePhone => Some("on-the-phone"),
            Activity::Away => Some("away"),
            Activity::Busy => Some("busy"),
            Activity::Meeting => Some("meeting"),
        }
    }

    /// The activity that an element of RFC 4480 means; none for those that say nothing about calls.
    pub(crate) fn of_element(name: &str) -> Option<Activity> {
        match name {
            "on-the-phone" => Some(Activity::OnThePhone),
            "away" | "vacation" | "holiday" | "breakfast" | "lunch" | "dinner" | "meal"
            | "permanent-absence" | "sleeping" | "in-transit" | "travel" => Some(Activity::Away),
            "busy" | "presentation" | "performance" | "worship" | "steering" => Some(Activity::Busy),
            "meeting" | "appointment" => Some(Activity::Meeting),
            _ => None,
        }
    }

    /// For phones that show a note and no activity.
    fn words(self) -> &'static str {
        match self {
            Activity::Available => "Available",
            Activity::OnThePhone => "On the phone",
            Activity::Away => "Away",
            Activity::Busy => "Busy",
            Activity::Meeting => "Meeting",
        }
    }
}

/// How somebody is shown to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presence {
    /// Something of theirs can ring.
    pub(crate) open: bool,
    pub(crate) activity: Activity,
    /// As published.
    pub(crate) note: Option<String>,
}

/// What is known of somebody.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'a> {
    /// A device is registered, or a mobile rings.
    pub(crate) reachable: bool,
    /// In an answered call, or calling.
    pub(crate) in_call: bool,
    /// Do not disturb is on.
    pub(crate) do_not_disturb: bool,
    /// Away, and why.
    pub(crate) absent: Option<&'a str>,
    /// Paused, or an agent who is logged in nowhere.
    pub(crate) away: bool,
    /// The newest publication of their devices.
    pub(crate) published: Option<&'a Published>,
}

/// How somebody is shown: what the exchange sees for itself stands above what a device says.
pub(crate) fn of(facts: Facts<'_>) -> Presence {
    let published = facts.published;
    let said_closed = published.is_some_and(|published| published.open == Some(false));
    let activity = match () {
        () if facts.in_call => Activity::OnThePhone,
        () if facts.absent.is_some() => Activity::Away,
        () if facts.do_not_disturb => Activity::Busy,
        () if facts.away => Activity::Away,
        () => published.and_then(|published| published.activity).unwrap_or(Activity::Available),
    };
    Presence {
        open: facts.reachable && !said_closed,
        activity,
        note: match (facts.absent, facts.do_not_disturb) {
            (Some(reason), _) => Some(reason.to_owned()),
            (None, true) => Some("Do not disturb".to_owned()),
            (None, false) => published.and_then(|published| published.note.clone()),
        },
    }
}

/// Writes the document.
pub(crate) fn write(entity: &str, presence: &Presence) -> String {
    let entity = escape(entity);
    let basic = if presence.open { "open" } else { "closed" };
    let words = match (&presence.note, presence.open) {
        (Some(note), _) => note.as_str(),
        (None, false) if presence.activity == Activity::Available => "Offline",
        (None, _) => presence.activity.words(),
    };
    let note = escape(words);
    let person = presence.activity.element().map(|element| {
        format!("<dm:person id=\"person\"><rpid:activities><rpid:{element}/></rpid:activities></dm:person>\n")
    });
    let person = person.unwrap_or_default();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"{entity}\">\n<tuple id=\"phone\"><status><basic>{basic}</basic></status>\
         <contact>{entity}</contact><note>{note}</note></tuple>\n<note>{note}</note>\n{person}</presence>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_exchange_sees_stands_above_what_a_device_says() {
        let meeting =
            Published { open: Some(true), activity: Some(Activity::Meeting), note: Some("Rom 3".into()) };
        let closed = Published { open: Some(false), activity: None, note: None };
        let here = Facts { reachable: true, ..Facts::default() };
        let rows = [
            (Facts::default(), (false, Activity::Available)),
            (here, (true, Activity::Available)),
            (Facts { in_call: true, away: true, ..here }, (true, Activity::OnThePhone)),
            (Facts { away: true, ..here }, (true, Activity::Away)),
            (Facts { do_not_disturb: true, ..here }, (true, Activity::Busy)),
            (Facts { absent: Some("ferie"), do_not_disturb: true, ..here }, (true, Activity::Away)),
            (Facts { published: Some(&meeting), ..here }, (true, Activity::Meeting)),
            // A call is seen, whatever was said before it.
            (Facts { published: Some(&meeting), in_call: true, ..here }, (true, Activity::OnThePhone)),
            (Facts { published: Some(&closed), ..here }, (false, Activity::Available)),
            // Nobody is reachable because they say so.
            (Facts { published: Some(&meeting), ..Facts::default() }, (false, Activity::Meeting)),
        ];
        for (i, (facts, expect)) in rows.into_iter().enumerate() {
            let presence = of(facts);
            assert_eq!((presence.open, presence.activity), expect, "row {i}");
        }
        assert_eq!(of(Facts { published: Some(&meeting), ..here }).note.as_deref(), Some("Rom 3"));
    }

    #[test]
    fn somebody_on_the_phone_is_written_in_both_ways_that_phones_read() {
        let presence = Presence { open: true, activity: Activity::OnThePhone, note: None };
        let expect = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
            xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
            xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"sip:101@a.example\">\n\
            <tuple id=\"phone\"><status><basic>open</basic></status>\
            <contact>sip:101@a.example</contact><note>On the phone</note></tuple>\n\
            <note>On the phone</note>\n\
            <dm:person id=\"person\"><rpid:activities><rpid:on-the-phone/></rpid:activities></dm:person>\n\
            </presence>\n";
        assert_eq!(write("sip:101@a.example", &presence), expect);
    }

    #[test]
    fn a_note_is_shown_as_published_and_cannot_break_out() {
        let note = Some("</note><basic>".to_owned());
        let text = write("sip:a@a.example", &Presence { open: false, activity: Activity::Available, note });
        assert!(text.contains("<note>&lt;/note&gt;&lt;basic&gt;</note>"), "{text}");
        assert!(text.contains("<basic>closed</basic>"));
        let offline = Presence { open: false, activity: Activity::Available, note: None };
        assert!(write("sip:a@a.example", &offline).contains("<note>Offline</note>"));
    }
}
