//! Who has sent a call on before it reached us, and how a carrier is told that we do: Diversion (RFC 5806) and
//! History-Info (RFC 7044, with the causes of RFC 4458). Pure functions, made for hostile input.
//!
//! Leaves out entries of History-Info that only say which servers a call went through, its `rc` and `np`
//! parameters, and Diversion's `limit` and `screen`.

use crate::model::id::Number;
use crate::sip::Extra;
use crate::sip::Uri;
use crate::sip::header::Headers;
use crate::sip::header::Name;
use crate::sip::header::NameAddr;
use crate::sip::uri::Host;

/// Entries that are read of one INVITE, and kept of one call.
const ENTRIES_MAX: usize = 20;
/// Times that a call may be sent on.
const SENT_ON_MAX: u32 = 5;

/// Why a call was sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// Not said.
    #[default]
    Unknown,
    /// Always.
    Unconditional,
    /// The called party was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Nothing could be rung.
    Unavailable,
    /// The called party sent this very call on.
    Deflection,
    /// Another number of the same person.
    FollowMe,
    /// By the clock.
    TimeOfDay,
    /// The called party wants no calls.
    DoNotDisturb,
    /// The called party is away.
    Away,
    /// The line is out of order.
    OutOfService,
}

/// RFC 5806's word and RFC 4458's cause for each.
const WORDS: [(Why, &str, u16); 11] = [
    (Why::Unconditional, "unconditional", 302),
    (Why::Busy, "user-busy", 486),
    (Why::NoAnswer, "no-answer", 408),
    (Why::Unavailable, "unavailable", 503),
    (Why::Deflection, "deflection", 480),
    (Why::Unknown, "unknown", 404),
    (Why::FollowMe, "follow-me", 302),
    (Why::TimeOfDay, "time-of-day", 404),
    (Why::DoNotDisturb, "do-not-disturb", 302),
    (Why::Away, "away", 404),
    (Why::OutOfService, "out-of-service", 404),
];

impl Why {
    fn of_word(word: &str) -> Why {
        let found = WORDS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(word));
        found.map_or(Why::Unknown, |(why, ..)| *why)
    }

    fn of_cause(cause: u16) -> Why {
        // RFC 4458 §4: 487 is a deflection while it rang, 480 one at once.
        let cause = if cause == 487 { 480 } else { cause };
        WORDS.iter().find(|(.., known)| *known == cause).map_or(Why::Unknown, |(why, ..)| *why)
    }

    fn word(self) -> &'static str {
        WORDS.iter().find(|(why, ..)| *why == self).map_or("unknown", |(_, word, _)| word)
    }

    fn cause(self) -> u16 {
        WORDS.iter().find(|(why, ..)| *why == self).map_or(404, |(.., cause)| *cause)
    }
}

/// One time that a call was sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// By whose number; none when it cannot be read.
    pub by: Option<Number>,
    /// Why.
    pub why: Why,
    /// How many times this entry stands for, at least 1.
    pub count: u32,
    /// The number is not to be shown.
    pub private: bool,
}

/// What makes a call go round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// It was sent on too often.
    TooMany,
    /// Our number has sent it on before.
    Again,
}

impl Loop {
    /// The status that the caller gets.
    pub fn status(self) -> u16 {
        match self {
            Loop::TooMany => 480,
            Loop::Again => 482,
        }
    }

    /// As a decision tells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Loop::TooMany => "the call was sent on too often",
            Loop::Again => "the number that was called has sent this call on before",
        }
    }
}

/// Who has sent a call on, the last first. `read` brings a number into normal form.
pub fn read(headers: &Headers, read: &dyn Fn(&str) -> Option<Number>) -> Vec<Diversion> {
    let (diversion, history) = (diversions(headers, read), history(headers, read));
    // Carriers that send both tell the same twice.
    if total(&history) > total(&diversion) { history } else { diversion }
}

/// How many times the call was sent on.
pub fn total(list: &[Diversion]) -> u32 {
    list.iter().fold(0, |sum, entry| sum.saturating_add(entry.count))
}

/// Whether a call that comes to `own` goes round in circles.
pub fn coming_in(list: &[Diversion], own: &Number) -> Option<Loop> {
    let ours = list.iter().filter(|entry| entry.by.as_ref() == Some(own));
    match ours.fold(0, |sum: u32, entry| sum.saturating_add(entry.count)) {
        2.. => Some(Loop::Again),
        _ if total(list) > SENT_ON_MAX => Some(Loop::TooMany),
        _ => None,
    }
}

/// The list with our own entry before all others, unless the call would go round in circles.
///
/// # Errors
/// When it would: it is not to be sent on.
pub fn going_out(list: &[Diversion], own: Diversion) -> Result<Vec<Diversion>, Loop> {
    if own.by.is_some() && list.iter().any(|entry| entry.by == own.by) {
        return Err(Loop::Again);
    }
    if total(list) >= SENT_ON_MAX {
        return Err(Loop::TooMany);
    }
    Ok(std::iter::once(own).chain(list.iter().cloned()).take(ENTRIES_MAX).collect())
}

/// Diversion headers; `uri` writes a number as the carrier wants it.
pub fn diversion_headers(list: &[Diversion], uri: &dyn Fn(&Number) -> Option<Uri>) -> Extra {
    let header = |entry: &Diversion| {
        let mut address = NameAddr::new(uri_of(entry, uri));
        address.params.set("reason", Some(entry.why.word()));
        address.params.set("counter", Some(&entry.count.clamp(1, 99).to_string()));
        address.params.set("privacy", Some(if entry.private { "full" } else { "off" }));
        ("Diversion", address.to_string())
    };
    list.iter().map(header).collect()
}

/// History-Info headers (RFC 7044 §5): who was called first, whom it was sent on to and why, and `target`, who is
/// called now.
pub fn history_headers(list: &[Diversion], target: Uri, uri: &dyn Fn(&Number) -> Option<Uri>) -> Extra {
    let mut extra = Extra::new();
    let mut index = "1".to_owned();
    let mut came: Option<Why> = None;
    let steps = list.iter().rev().map(|entry| (uri_of(entry, uri), entry.private, Some(entry.why)));
    for (mut uri, private, why) in steps.chain(std::iter::once((target, false, None))) {
        if let Uri::Sip(uri) = &mut uri {
            if let Some(came) = came {
                uri.params.set("cause", Some(&came.cause().to_string()));
            }
            if private {
                uri.headers = Some("Privacy=history".to_owned());
            }
        }
        let mut address = NameAddr::new(uri);
        let parent = index.clone();
        if came.is_some() {
            index.push_str(".1");
        }
        address.params.set("index", Some(&index));
        if came.is_some() {
            address.params.set("mp", Some(&parent));
        }
        extra.push(("History-Info", address.to_string()));
        came = why;
    }
    extra
}

fn uri_of(entry: &Diversion, uri: &dyn Fn(&Number) -> Option<Uri>) -> Uri {
    let nobody = || Uri::sip(Some("anonymous"), Host::Name("anonymous.invalid".to_owned()), None);
    entry.by.as_ref().and_then(uri).unwrap_or_else(nobody)
}

fn diversions(headers: &Headers, read: &dyn Fn(&str) -> Option<Number>) -> Vec<Diversion> {
    let addresses = headers.values(&Name::Diversion, NameAddr::parse).take(ENTRIES_MAX);
    let entry = |address: NameAddr| Diversion {
        by: number(&address.uri, read),
        why: Why::of_word(address.param("reason").unwrap_or_default()),
        count: address.param("counter").and_then(|count| count.parse().ok()).unwrap_or(1).clamp(1, 99),
        private: address.param("privacy").is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off")),
    };
    addresses.filter_map(Result::ok).map(entry).collect()
}

fn history(headers: &Headers, read: &dyn Fn(&str) -> Option<Number>) -> Vec<Diversion> {
    let addresses = headers.values(&Name::HistoryInfo, NameAddr::parse).take(ENTRIES_MAX);
    let addresses: Vec<NameAddr> = addresses.filter_map(Result::ok).collect();
    let mut list = Vec::new();
    for pair in addresses.windows(2) {
        let [before, after] = pair else { continue };
        // RFC 7044 §10.4: a target with a cause was taken in place of the one before it.
        let Some(cause) = cause(&after.uri) else { continue };
        let hidden = before.uri.as_sip().and_then(|uri| uri.headers.as_deref()).is_some_and(asks_privacy);
        let (by, why) = (number(&before.uri, read), Why::of_cause(cause));
        list.push(Diversion { by, why, count: 1, private: hidden });
    }
    list.reverse();
    list
}

fn cause(uri: &Uri) -> Option<u16> {
    let params = match uri {
        Uri::Sip(uri) => &uri.params,
        Uri::Tel(uri) => &uri.params,
        Uri::Other(_) => return None,
    };
    params.value("cause")?.parse().ok()
}

/// RFC 7044 §10.1.2: `?Privacy=history` in the URI of an entry.
fn asks_privacy(headers: &str) -> bool {
    headers.split('&').any(|header| {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        name.eq_ignore_ascii_case("privacy") && !value.eq_ignore_ascii_case("none")
    })
}

fn number(uri: &Uri, read: &dyn Fn(&str) -> Option<Number>) -> Option<Number> {
    read(uri.user()?.split(';').next()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::number;

    fn given(rows: &[(&str, &str)]) -> Vec<Diversion> {
        let mut headers = Headers::new();
        for (name, value) in rows {
            headers.push(Name::from(*name), value.to_string());
        }
        read(&headers, &number::read)
    }

    fn entry(by: &str, why: Why, count: u32, private: bool) -> Diversion {
        Diversion { by: Some(Number::new(by)), why, count, private }
    }

    fn uri(number: &Number) -> Option<Uri> {
        Uri::parse(&format!("sip:{number}@carrier.example")).ok()
    }

    /// Headers, and what is read of them.
    type Row<'a> = (&'a [(&'a str, &'a str)], Vec<Diversion>);

    #[test]
    fn both_headers_are_read_the_last_who_sent_on_first() {
        let busy = entry("+4736000100", Why::Busy, 1, false);
        let always = entry("+4736000200", Why::Unconditional, 1, true);
        let rows: [Row<'_>; 8] = [
            (&[], vec![]),
            (&[("Diversion", "<sip:+4736000100@x>;reason=user-busy")], vec![busy.clone()]),
            // Two in one header, in other ways of writing.
            (
                &[(
                    "Diversion",
                    "\"A, B\" <sip:36000100@x>;reason=USER-BUSY;counter=1, <tel:+4736000200>;reason=unconditional;privacy=full",
                )],
                vec![busy.clone(), always.clone()],
            ),
            // Counters beyond reason are cut, unknown words are unknown.
            (
                &[("Diversion", "<sip:+4736000100@x>;reason=whim;counter=4000000000")],
                vec![entry("+4736000100", Why::Unknown, 99, false)],
            ),
            (
                &[("Diversion", "<sip:+4736000100@x>;counter=0"), ("Diversion", "<<>")],
                vec![entry("+4736000100", Why::Unknown, 1, false)],
            ),
            // The oldest stands first in History-Info.
            (
                &[(
                    "History-Info",
                    "<sip:+4736000200@x?Privacy=history>;index=1, <sip:+4736000100@x;cause=302>;index=1.1;mp=1, <sip:+4736000300@x;cause=486>;index=1.1.1;mp=1.1",
                )],
                vec![busy.clone(), always],
            ),
            // What only went through a server was not sent on.
            (&[("History-Info", "<sip:+4736000100@x>;index=1, <sip:+4736000100@y>;index=1.1;rc=1")], vec![]),
            // Both tell the same: it counts once.
            (
                &[
                    ("Diversion", "<sip:+4736000100@x>;reason=user-busy"),
                    ("History-Info", "<sip:+4736000100@x>;index=1,<sip:+4736000300@x;cause=486>;index=1.1"),
                ],
                vec![busy],
            ),
        ];
        for (row, (rows, expect)) in rows.into_iter().enumerate() {
            assert_eq!(given(rows), expect, "row {row}");
        }
    }

    #[test]
    fn a_call_is_sent_on_five_times_and_once_by_each_number() {
        let own = || entry("+4736000100", Why::NoAnswer, 1, false);
        let others: Vec<Diversion> =
            (1..=5).map(|n| entry(&format!("+473600020{n}"), Why::Busy, 1, false)).collect();
        assert_eq!(going_out(&others[..4], own()).map(|list| list.len()), Ok(5));
        assert_eq!(going_out(&others, own()), Err(Loop::TooMany));
        assert_eq!(going_out(&[own()], own()), Err(Loop::Again));
        let number = Number::new("+4736000100");
        assert_eq!(coming_in(&others, &number), None);
        assert_eq!(coming_in(&[&others[..], &others[..1]].concat(), &number), Some(Loop::TooMany));
        assert_eq!(coming_in(&[own()], &number), None);
        assert_eq!(coming_in(&[own(), own()], &number), Some(Loop::Again));
        assert_eq!(coming_in(&[Diversion { count: 2, ..own() }], &number), Some(Loop::Again));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let list =
            vec![entry("+4736000100", Why::NoAnswer, 1, false), entry("+4736000200", Why::Busy, 1, true)];
        let target = Uri::parse("sip:+4736000300@carrier.example").unwrap();
        for extra in [diversion_headers(&list, &uri), history_headers(&list, target, &uri)] {
            let rows: Vec<(&str, &str)> = extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(given(&rows), list, "{rows:?}");
        }
        assert_eq!(
            diversion_headers(&list, &uri)[0].1,
            "<sip:+4736000100@carrier.example>;reason=no-answer;counter=1;privacy=off"
        );
        let target = Uri::parse("sip:+4736000300@carrier.example").unwrap();
        let history: Vec<String> = history_headers(&list, target, &uri).into_iter().map(|(_, v)| v).collect();
        assert_eq!(
            history,
            [
                "<sip:+4736000200@carrier.example?Privacy=history>;index=1",
                "<sip:+4736000100@carrier.example;cause=486>;index=1.1;mp=1",
                "<sip:+4736000300@carrier.example;cause=408>;index=1.1.1;mp=1.1",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_header_brings_it_down(name in "Diversion|History-Info", values in prop::collection::vec(".{0,80}", 0..40)) {
            let mut headers = Headers::new();
            for value in values {
                headers.push(Name::from(&*name), value);
            }
            prop_assert!(read(&headers, &number::read).len() <= ENTRIES_MAX);
        }

        #[test]
        fn nor_do_nearly_right_ones(value in r#"(<?(sip|tel):\+?[0-9]{0,12}(@x)?(;cause=[0-9]{0,5})?(\?Privacy=[a-z]{0,4})?>?(;(reason|counter|privacy|index)=[0-9a-z.]{0,12}){0,3},? ?){0,30}"#) {
            for name in ["Diversion", "History-Info"] {
                let mut headers = Headers::new();
                headers.push(Name::from(name), value.clone());
                let list = read(&headers, &number::read);
                prop_assert!(list.len() <= ENTRIES_MAX && total(&list) <= 99 * 20);
            }
        }
    }
}
