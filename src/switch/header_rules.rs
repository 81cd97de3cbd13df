//! Header rules of trunks: what an INVITE to a carrier gets besides, loses, or takes over from a carrier's own.
//! Pure functions; which headers a rule may name is checked when it is loaded.

use crate::model::trunk::HeaderRule;
use crate::model::trunk::RuleEdit;
use crate::model::trunk::RuleWhen;
use crate::sip::header::Headers;
use crate::sip::header::Name;
use crate::sip::invite::HeaderEdit;

/// Headers that one call hands on at most, and the bytes of each.
const COPIES_MAX: usize = 8;
const COPY_MAX: usize = 256;

/// The changes to an INVITE that goes out. `place` tells what stands for a word such as `company`; a header whose
/// places are all unknown to it is left out when `place` gives `None`.
pub(crate) fn outgoing(
    rules: &[HeaderRule],
    emergency: bool,
    place: &dyn Fn(&str) -> Option<String>,
) -> Vec<HeaderEdit> {
    let applies = |when: RuleWhen| when == RuleWhen::Out || (when == RuleWhen::Emergency && emergency);
    let edit = |rule: &HeaderRule| match &rule.edit {
        RuleEdit::Add(name, value) => Some(HeaderEdit::Add(Name::from(&**name), filled(value, place)?)),
        RuleEdit::Remove(name) => Some(HeaderEdit::Remove(Name::from(&**name))),
        RuleEdit::Copy(_) => None,
    };
    rules.iter().filter(|rule| applies(rule.when)).filter_map(edit).collect()
}

/// The headers of a carrier's INVITE that are handed on to whomever the call rings.
pub(crate) fn copied(rules: &[HeaderRule], headers: &Headers) -> Vec<HeaderEdit> {
    let mut copies = Vec::new();
    for rule in rules {
        let RuleEdit::Copy(name) = &rule.edit else { continue };
        let name = Name::from(&**name);
        let values = headers.all(&name).filter(|value| value.len() <= COPY_MAX);
        let values = values.filter(|value| !value.is_empty() && !value.chars().any(char::is_control));
        copies.extend(values.map(|value| HeaderEdit::Add(name.clone(), value.into_owned())));
    }
    copies.truncate(COPIES_MAX);
    copies
}

/// A value with its places filled in; what is filled in is not read again. `None` when something is not known.
fn filled(value: &str, place: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, from)) = rest.split_once('{') {
        let (word, after) = from.split_once('}')?;
        text.push_str(before);
        text.extend(place(word)?.chars().filter(|c| !c.is_control()));
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(when: RuleWhen, edit: RuleEdit) -> HeaderRule {
        HeaderRule { when, edit }
    }

    fn add(when: RuleWhen, name: &str, value: &str) -> HeaderRule {
        rule(when, RuleEdit::Add(name.into(), value.into()))
    }

    #[test]
    fn rules_apply_in_order_when_their_time_comes_and_all_their_places_are_known() {
        let rules = [
            add(RuleWhen::Out, "X-Id", "{company}/{user}"),
            add(RuleWhen::Emergency, "Priority", "emergency"),
            rule(RuleWhen::Out, RuleEdit::Remove("P-Preferred-Identity".into())),
            add(RuleWhen::Out, "X-Where", "{address}"),
            rule(RuleWhen::In, RuleEdit::Copy("X-Ref".into())),
        ];
        let place = |word: &str| match word {
            "company" => Some("fjell".to_owned()),
            // What is filled in can neither end the line nor be filled in again.
            "user" => Some("{company}\r\nVia: x".to_owned()),
            _ => None,
        };
        let expect = |emergency: bool| {
            let mut edits = vec![
                HeaderEdit::Add(Name::from("X-Id"), "fjell/{company}Via: x".into()),
                HeaderEdit::Remove(Name::PPreferredIdentity),
            ];
            if emergency {
                edits.insert(1, HeaderEdit::Add(Name::Priority, "emergency".into()));
            }
            edits
        };
        assert_eq!(outgoing(&rules, false, &place), expect(false));
        assert_eq!(outgoing(&rules, true, &place), expect(true));
    }

    #[test]
    fn copies_are_few_and_short() {
        let rules = [rule(RuleWhen::In, RuleEdit::Copy("X-Ref".into()))];
        let mut headers = Headers::new();
        headers.push(Name::from("x-ref"), "a");
        headers.push(Name::from("X-Ref"), "b".repeat(300));
        headers.push(Name::from("X-Other"), "c");
        assert_eq!(copied(&rules, &headers), [HeaderEdit::Add(Name::from("X-Ref"), "a".into())]);
        for _ in 0..20 {
            headers.push(Name::from("X-Ref"), "d");
        }
        assert_eq!(copied(&rules, &headers).len(), COPIES_MAX);
    }
}
