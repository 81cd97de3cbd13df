//! Reads the steps of a call flow, verb by verb: what the verb takes, its exits, and what holds when one is
//! not written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::CallerMatch;
use crate::model::flow::Check;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::flow::Pattern;
use crate::model::flow::Played;
use crate::model::flow::Show;
use crate::model::flow::Step;
use crate::model::hours::Category;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::queue;
use crate::shell::store::files::read;
use crate::shell::store::files::read::LANGUAGES;
use crate::shell::store::files::read::MINUTE;
use crate::shell::store::files::read::SECOND;
use crate::shell::store::files::server::RING;

/// Every verb of a step.
pub(super) const VERBS: [&str; 18] = [
    "hours",
    "play",
    "menu",
    "caller",
    "toggle",
    "queue",
    "group",
    "dial",
    "voicemail",
    "collect",
    "directory",
    "consent",
    "ask",
    "set",
    "split",
    "sms",
    "flow",
    "hangup",
];

/// Reads a step: `value` belongs to the verb, `keys` are the others. What is wrong has been reported.
pub(super) fn step(verb: &str, value: Value<'_>, keys: Table<'_>) -> Option<Step> {
    let mut keys = Keys(keys);
    let step = match verb {
        "hours" => hours(value, &mut keys),
        "play" => play(value, &mut keys),
        "menu" => menu(value, &mut keys),
        "caller" => caller(value, &mut keys),
        "toggle" => {
            let (on, off) = (keys.needed("on"), keys.needed("off"));
            read::reference(value).map(|toggle| Step::Toggle { toggle, on, off })
        }
        "queue" => in_queue(value, &mut keys),
        "group" => group(value, &mut keys),
        "dial" => dial(value, &mut keys),
        "voicemail" => voicemail(value, &mut keys),
        "collect" => collect(value, &mut keys),
        "directory" => directory(value, &mut keys),
        "consent" => consent(value, &mut keys),
        "ask" => ask(value, &mut keys),
        "set" => set(value, &mut keys),
        "split" => split(value, &mut keys),
        "sms" => {
            let next = keys.or_hangup("next");
            sms(value).map(|text| Step::Sms { text, next })
        }
        "flow" => {
            let next = keys.or_hangup("next");
            read::reference(value).map(|flow| Step::Flow { flow, next })
        }
        "hangup" => hangup(value, &mut keys),
        _ => None,
    };
    keys.finish(verb);
    step
}

/// The keys of a step that are not its verb.
struct Keys<'a>(Table<'a>);

impl<'a> Keys<'a> {
    /// An exit, if it is written.
    fn exit(&mut self, key: &'static str) -> Option<Exit> {
        self.0.take(key).map(exit)
    }

    /// An exit that ends the call when it is not written.
    fn or_hangup(&mut self, key: &'static str) -> Exit {
        self.exit(key).unwrap_or(Exit::To(Destination::Hangup))
    }

    /// An exit that must be written.
    fn needed(&mut self, key: &'static str) -> Exit {
        let found = self.exit(key);
        if found.is_none() {
            self.0.missing(key);
        }
        found.unwrap_or(Exit::To(Destination::Hangup))
    }

    /// Exits by name: the first `needed` of them must be written.
    fn exits(&mut self, names: &[&'static str], needed: usize) -> BTreeMap<Arc<str>, Exit> {
        let mut exits = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            match self.exit(name) {
                Some(exit) => {
                    exits.insert(Arc::from(*name), exit);
                }
                None if index < needed => self.0.missing(name),
                None => {}
            }
        }
        exits
    }

    /// Exits by key of the telephone.
    fn telephone_keys(&mut self) -> BTreeMap<char, Exit> {
        let entries = self.0.take_all(|key| read::telephone_key(key).is_some());
        let pairs = entries
            .into_iter()
            .filter_map(|entry| Some((read::telephone_key(entry.key)?, exit(entry.value))));
        pairs.collect()
    }

    fn length(&mut self, key: &'static str, from: Duration, to: Duration) -> Option<Duration> {
        self.0.take(key).and_then(|value| read::duration(value, from..=to))
    }

    fn count(&mut self, key: &'static str, from: u32, to: u32) -> Option<u32> {
        let number = self.0.integer(key, i64::from(from)..=i64::from(to));
        number.and_then(|number| u32::try_from(number).ok())
    }

    /// Reports what was not taken; a second verb is told as such.
    fn finish(mut self, verb: &str) {
        for entry in self.0.take_all(|key| VERBS.contains(&key)) {
            entry.error(format!(
                "a step has one verb, which is \"{verb}\" here: make \"{}\" a step of its own",
                entry.key
            ));
        }
        self.0.finish();
    }
}

/// Where an exit leads. What is wrong has been reported and ends the call.
fn exit(value: Value<'_>) -> Exit {
    match value.as_text() {
        Some(text) if text != "hangup" && read::is_id(text) => Exit::Step(text.into()),
        _ => Exit::To(read::destination(value).unwrap_or(Destination::Hangup)),
    }
}

fn hours(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let mut exits: BTreeMap<Category, Exit> = BTreeMap::new();
    exits.insert("open".into(), keys.needed("open"));
    exits.insert("closed".into(), keys.needed("closed"));
    // Any other key is a category; whether the template has it is checked with all the rest.
    for entry in keys.0.take_all(|_| true) {
        exits.insert(entry.key.into(), exit(entry.value));
    }
    read::reference(value).map(|hours| Step::Hours { hours, exits })
}

fn play(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let barge_in = keys.0.flag("barge_in").unwrap_or(false);
    let repeat = keys.count("repeat", 1, 100).unwrap_or(1);
    let early_media = keys.0.flag("early_media").unwrap_or(false);
    let next = keys.or_hangup("next");
    let at = keys.0.left().iter().find(|entry| read::telephone_key(entry.key).is_some()).copied();
    let telephone_keys = keys.telephone_keys();
    if let Some(entry) = at.filter(|_| !barge_in) {
        entry.error(format!("key \"{}\" does nothing here without barge_in = true", entry.key));
    }
    if value.one_or_more().is_empty() {
        value.error("nothing to play");
    }
    let media = value.one_or_more().into_iter().filter_map(played).collect();
    Some(Step::Play { media, repeat, barge_in, early_media, next, keys: telephone_keys })
}

/// A recording, or `reopens:kontor`: when these hours open again.
fn played(value: Value<'_>) -> Option<Played> {
    match value.as_text().and_then(|text| text.strip_prefix("reopens:")) {
        Some(hours) => Some(Played::Reopens(hours.into())),
        None => read::reference(value).map(Played::Media),
    }
}

fn menu(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let wait = keys.length("wait", SECOND, MINUTE).unwrap_or(SECOND * 6);
    let tries = keys.count("tries", 1, 20).unwrap_or(3);
    let invalid_play = keys.0.take("invalid_play").and_then(read::reference);
    let extensions = keys.0.flag("extensions").unwrap_or(false);
    let inter_digit =
        keys.length("inter_digit", Duration::from_millis(500), SECOND * 10).unwrap_or(SECOND * 2);
    let timeout = keys.exit("timeout");
    let invalid = keys.exit("invalid");
    let telephone_keys = keys.telephone_keys();
    if telephone_keys.is_empty() && !extensions {
        keys.0.source.error(keys.0.at, "a menu needs a key, such as 1 = \"queue:salg\"");
    }
    let media = read::reference(value)?;
    let keys = telephone_keys;
    Some(Step::Menu { media, wait, tries, invalid_play, extensions, inter_digit, keys, timeout, invalid })
}

fn caller(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let (matched, otherwise) = (keys.needed("match"), keys.needed("else"));
    let matches = value.one_or_more();
    if matches.is_empty() {
        value.error(
            "nobody to recognise: write numbers, the beginnings of numbers, \"hidden\" or \"contacts:…\"",
        );
    }
    let matches = matches.into_iter().filter_map(caller_match).collect();
    Some(Step::Caller { matches, matched, otherwise })
}

fn caller_match(value: Value<'_>) -> Option<CallerMatch> {
    let text = value.text()?;
    if text == "hidden" {
        return Some(CallerMatch::Hidden);
    }
    if let Some(list) = text.strip_prefix("contacts:") {
        return Some(CallerMatch::Contacts(list.into()));
    }
    match text {
        "abroad" => return Some(CallerMatch::Abroad),
        "mobile" => return Some(CallerMatch::Mobile),
        _ => {}
    }
    if let Some(language) = text.strip_prefix("language:") {
        let known = LANGUAGES.iter().find(|(name, _)| *name == language);
        if known.is_none() {
            value.error(format!("unknown language \"{language}\": write \"language:nb\" or \"language:en\""));
        }
        return known.map(|(_, language)| CallerMatch::Language(*language));
    }
    if let Some(tag) = text.strip_prefix("tag:") {
        let (name, wanted) = tag.split_once('=').map_or((tag, None), |(name, wanted)| (name, Some(wanted)));
        return Some(CallerMatch::Tag { name: name.into(), value: wanted.map(Arc::from) });
    }
    let (number, dialled) = match text.strip_prefix("dialled:") {
        Some(number) => (number, true),
        None => (text, false),
    };
    let digits = number.strip_prefix('+').unwrap_or(number);
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        value.error(format!(
            "\"{text}\" is no caller: write a number or its beginning, \"hidden\", \"abroad\", \"mobile\", \
             \"contacts:…\", \"dialled:+47…\", \"language:en\" or \"tag:name=value\""
        ));
        return None;
    }
    let number = Number::new(number);
    Some(if dialled { CallerMatch::Dialled(number) } else { CallerMatch::Prefix(number) })
}

fn in_queue(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let priority = keys.count("priority", 1, 10).and_then(|priority| i32::try_from(priority).ok());
    let carry_wait = keys.0.flag("carry_wait").unwrap_or(true);
    let names = [
        "timeout",
        "full",
        "nobody",
        "closed",
        "all_paused",
        "no_answer",
        "rejected_by_all",
        "callback_taken",
        "gone",
        "exit",
    ];
    let exits = keys.exits(&names, 0);
    let telephone_keys = keys.telephone_keys();
    let queue = read::reference(value)?;
    Some(Step::Queue { queue, priority, carry_wait, exits, keys: telephone_keys })
}

fn group(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let ring = keys.length("for", SECOND * 5, MINUTE * 5);
    let exits = keys.exits(&["no_answer", "busy", "nobody"], 0);
    read::reference(value).map(|group| Step::Group { group, ring, exits })
}

fn dial(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let ring = keys.length("for", SECOND * 5, MINUTE * 5).unwrap_or(RING);
    let confirm = keys.0.take("confirm").and_then(queue::confirm).unwrap_or_default();
    let show = keys.0.take("show").and_then(show).unwrap_or(Show::Caller);
    let forwarding = keys.0.flag("forwarding").unwrap_or(true);
    let mut exits = keys.exits(&["no_answer", "busy", "unavailable"], 1);
    if let Some(no_answer) = exits.get("no_answer").cloned() {
        for name in ["busy", "unavailable"] {
            exits.entry(name.into()).or_insert_with(|| no_answer.clone());
        }
    }
    let to = value.one_or_more();
    if to.is_empty() {
        value.error("nobody to dial");
    }
    let to = to.into_iter().filter_map(dialled).collect();
    Some(Step::Dial { to, ring, confirm, show, forwarding, exits })
}

/// Whom a dial step rings: users and phones.
fn dialled(value: Value<'_>) -> Option<Destination> {
    match read::destination(value)? {
        to @ (Destination::User(_) | Destination::Phone(_)) => Some(to),
        to => {
            value.error(format!(
                "\"{to}\" cannot be dialled: write \"user:…\" or \"phone:+47…\", and other places as exits"
            ));
            None
        }
    }
}

fn show(value: Value<'_>) -> Option<Show> {
    match value.text()? {
        "caller" => Some(Show::Caller),
        "company" => Some(Show::Company),
        _ => read::public_number(value).map(Show::Number),
    }
}

fn voicemail(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let greeting = keys.0.take("greeting").and_then(read::reference);
    let max = keys.length("max", SECOND * 5, MINUTE * 60).unwrap_or(MINUTE * 3);
    let min = keys.length("min", Duration::ZERO, MINUTE).unwrap_or(SECOND * 2);
    let next = keys.or_hangup("next");
    let full = keys.exit("full");
    read::reference(value).map(|mailbox| Step::Voicemail { mailbox, greeting, max, min, next, full })
}

fn collect(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let digits = keys.count("digits", 1, 32).unwrap_or(32);
    let end = match keys.0.take("end") {
        Some(value) if value.as_flag() == Some(false) => None,
        Some(value) => value.word(&[("#", '#'), ("*", '*')]),
        None => Some('#'),
    };
    let check = keys.0.take("check").and_then(check);
    let tag = keys.0.text("as").unwrap_or_else(|| "digits".into());
    let exits = keys.exits(&["ok", "invalid", "timeout"], 3);
    let media = read::reference(value)?;
    Some(Step::Collect { media, digits, end, check, tag, exits })
}

/// What digits must be: `"orgnr"`, `"phone"`, or a pattern such as `[0-9]{4,6}`.
fn check(value: Value<'_>) -> Option<Check> {
    let text = value.text()?;
    match text {
        "orgnr" => return Some(Check::Orgnr),
        "phone" => return Some(Check::Phone),
        _ => {}
    }
    let count = text.strip_prefix("[0-9]").or_else(|| text.strip_prefix("\\d"));
    let range = count.and_then(|count| match count {
        "" => Some((1, 1)),
        "+" => Some((1, 32)),
        _ => {
            let inside = count.strip_prefix('{')?.strip_suffix('}')?;
            let (min, max) = inside.split_once(',').unwrap_or((inside, inside));
            Some((min.parse().ok()?, if max.is_empty() { 32 } else { max.parse().ok()? }))
        }
    });
    if let Some((min, max)) = range {
        if min <= max && (1..=32).contains(&max) {
            return Some(Check::Digits { min, max });
        }
        value.error(format!("\"{text}\" is no check: between 1 and 32 digits can be collected"));
        return None;
    }
    // A misspelt word is an expression, too, but one that no key fits.
    if !text.contains(|sign: char| sign.is_ascii_digit() || matches!(sign, '\\' | '.' | '#')) {
        value.error(format!(
            "\"{text}\" is no check: write \"orgnr\", \"phone\" or a pattern such as \"[0-9]{{4,6}}\""
        ));
        return None;
    }
    match Pattern::new(text) {
        Ok(pattern) => Some(Check::Pattern(pattern)),
        Err(why) => {
            value.error(format!("\"{text}\" is no regular expression: {why}"));
            None
        }
    }
}

fn directory(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let letters = keys.count("letters", 1, 10).unwrap_or(3);
    let none = keys.exit("none");
    let scope = keys.0.take("scope").map(|value| value.one_or_more().into_iter().filter_map(line).collect());
    let scope = scope.unwrap_or_default();
    read::reference(value).map(|media| Step::Directory { media, letters, scope, none })
}

/// A queue or group whose people can be found by name.
fn line(value: Value<'_>) -> Option<LineId> {
    match read::destination(value)? {
        Destination::Queue(queue) => Some(LineId::Queue(queue)),
        Destination::Group(group) => Some(LineId::Group(group)),
        other => {
            value.error(format!("\"{other}\" has no people to search: write \"queue:…\" or \"group:…\""));
            None
        }
    }
}

fn consent(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let mut key = |name: &'static str, default: char| {
        let value = keys.0.take(name)?;
        let key = read::telephone_key(value.text()?);
        if key.is_none() {
            value.error("write a key of the telephone: \"0\"–\"9\", \"*\" or \"#\"");
        }
        Some(key.unwrap_or(default))
    };
    let (yes, no) = (key("yes", '1').unwrap_or('1'), key("no", '2').unwrap_or('2'));
    if yes == no {
        keys.0.source.error(keys.0.at, "yes and no must be different keys");
    }
    let (accepted, declined) = (keys.needed("accepted"), keys.needed("declined"));
    read::reference(value).map(|media| Step::Consent { media, yes, no, accepted, declined })
}

fn ask(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let timeout = keys.length("timeout", Duration::from_millis(50), SECOND * 10);
    let mut exits: BTreeMap<Arc<str>, Exit> = BTreeMap::new();
    exits.insert("error".into(), keys.needed("error"));
    // Any other key is a name that the answer may give.
    for entry in keys.0.take_all(read::is_id) {
        exits.insert(entry.key.into(), exit(entry.value));
    }
    let what = read::hook(value)?;
    Some(Step::Ask { what, timeout: timeout.unwrap_or(Duration::from_millis(800)), exits })
}

/// A text message, of at most three parts.
fn sms(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if text.chars().count() > SMS_MAX {
        value.error(format!("a text message has {SMS_MAX} characters at most"));
        return None;
    }
    Some(text.into())
}

/// Characters of a text message in three parts.
const SMS_MAX: usize = 459;

fn set(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let next = keys.or_hangup("next");
    let mut table = value.table()?;
    let priority = table.integer("priority", 1..=10).and_then(|priority| i32::try_from(priority).ok());
    let step = Step::Set {
        name: table.text("name"),
        language: table.word("language", LANGUAGES),
        priority,
        tag: table.text("tag"),
        next,
    };
    table.finish();
    Some(step)
}

/// Branches with weights; each branch is an exit of the step.
fn split(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let mut branches = Vec::new();
    for entry in value.table()?.take_all(|_| true) {
        let weight = entry.value.integer(1..=1_000_000).and_then(|weight| u32::try_from(weight).ok());
        match keys.0.take_all(|key| key == entry.key).pop() {
            Some(leads) => branches.push((exit(leads.value), weight.unwrap_or(1))),
            None => keys.0.missing(entry.key),
        }
    }
    if branches.is_empty() {
        value.error("nothing to share between: write branches with weights, such as { a = 80, b = 20 }");
    }
    Some(Step::Split { branches })
}

fn hangup(value: Value<'_>, keys: &mut Keys<'_>) -> Option<Step> {
    let play = keys.0.take("play").and_then(read::reference);
    let cause = match value.as_integer_text() {
        Some(_) => {
            value.integer(400..=699).and_then(|status| u16::try_from(status).ok()).map(HangupCause::Status)
        }
        None => value.word(&[
            ("normal", HangupCause::Normal),
            ("busy", HangupCause::Busy),
            ("reject", HangupCause::Reject),
        ]),
    };
    cause.map(|cause| Step::Hangup { cause, play })
}
