//! Any octets as the value of every kind of header, and as a URI: nothing panics, and what can be read prints to
//! something that reads the same.

use std::fmt::Debug;
use std::fmt::Display;

use sentral::sip::header::CSeq;
use sentral::sip::header::Challenge;
use sentral::sip::header::Credentials;
use sentral::sip::header::NameAddr;
use sentral::sip::header::Reason;
use sentral::sip::header::SubscriptionState;
use sentral::sip::header::Via;
use sentral::sip::uri::Uri;
use sentral::sip::value;

/// Reads the value in every way that there is, whole and element by element.
pub(crate) fn header(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    // `scan` lets no line end into a value.
    if text.contains(['\r', '\n']) {
        return;
    }
    let elements: Vec<&str> = value::list(&text).collect();
    for element in elements.iter().copied().chain([&*text]) {
        same(element, Uri::parse);
        same(element, NameAddr::parse);
        same(element, Via::parse);
        same(element, CSeq::parse);
        same(element, Reason::parse);
        same(element, SubscriptionState::parse);
        same(element, Challenge::parse);
        same(element, Credentials::parse);
    }
    if let (Ok(a), Some(Ok(b))) = (Uri::parse(&text), elements.first().map(|first| Uri::parse(first))) {
        assert_eq!(a.equals(&b), b.equals(&a));
        assert!(a.equals(&a));
    }
}

fn same<T: Debug + Display + PartialEq, E: Debug>(text: &str, parse: impl Fn(&str) -> Result<T, E>) {
    let Ok(first) = parse(text) else { return };
    let printed = first.to_string();
    match parse(&printed) {
        Ok(second) => assert_eq!(second, first, "{text:?} was printed as {printed:?}"),
        Err(error) => panic!("{text:?} was printed as {printed:?}: {error:?}"),
    }
}
