//! Is a configuration sound: every reference leads somewhere, nothing is given twice, every call comes to an
//! end.
//!
//! Findings name what they are about by its path of keys; who has the files turns a path into a line and
//! column. Leaves out the form of single values, which the loader checks as it reads them.

mod company;
mod flow;
mod queue;
mod round;
mod tls;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::model::Config;
use crate::model::company::Company;
use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::id::CompanyId;
use crate::model::id::FlowId;
use crate::model::id::Number;
use crate::model::number;
use crate::model::server::Codes;

/// Which file a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `server.toml`.
    Server,
    /// `trunks.toml`.
    Trunks,
    /// `companies/<id>.toml`.
    Company(CompanyId),
}

/// Something wrong or worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: the file.
    pub part: Part,
    /// Where: the keys that lead there; for an element of a list, its text is the last.
    pub path: Vec<String>,
    /// The key itself is meant, not its value.
    pub on_key: bool,
    /// It works, but should be looked at.
    pub warning: bool,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// What could not be read, so that nothing is said about what depends on it.
#[derive(Debug, Clone, Default)]
pub struct Unsure {
    /// Subscriptions.
    pub plans: bool,
    /// Trunks.
    pub trunks: bool,
    /// Flows with mistakes in their form.
    pub flows: BTreeSet<(CompanyId, FlowId)>,
}

/// Everything that is unsound in `config`, in the order of companies and their sections.
pub fn check(config: &Config, unsure: &Unsure) -> Vec<Finding> {
    let mut checker = Checker { config, unsure, part: Part::Server, found: Vec::new() };
    checker.codes(&config.server.codes);
    checker.routes();
    tls::check(&mut checker);
    checker.given_twice();
    for company in config.companies.values() {
        checker.part = Part::Company(company.id.clone());
        if company.codes != config.server.codes {
            checker.codes(&company.codes);
        }
        checker.extensions(company);
        checker.hidden_by_codes(company);
        company::check(&mut checker, company);
        queue::check(&mut checker, company);
        flow::check(&mut checker, company);
    }
    checker.found
}

/// An extension, the section and id of what has it, and where it leads.
pub type Extended<'a> = (&'a Number, &'static str, &'a str, Extension);

/// The extensions of a company, in the order of its sections.
pub fn extensions(company: &Company) -> Vec<Extended<'_>> {
    fn push<'a>(
        to: &mut Vec<Extended<'a>>,
        ext: &'a Option<Number>,
        of: (&'static str, &'a str),
        leads: Extension,
    ) {
        if let Some(number) = ext {
            to.push((number, of.0, of.1, leads));
        }
    }
    let mut all = Vec::new();
    let to = Extension::To;
    for (id, user) in &company.users {
        push(&mut all, &user.ext, ("users", id.as_str()), to(Destination::User(id.clone())));
    }
    for (id, queue) in &company.queues {
        push(&mut all, &queue.ext, ("queues", id.as_str()), to(Destination::Queue(id.clone())));
    }
    for (id, group) in &company.groups {
        push(&mut all, &group.ext, ("groups", id.as_str()), to(Destination::Group(id.clone())));
    }
    for (id, mailbox) in &company.mailboxes {
        push(&mut all, &mailbox.ext, ("voicemail", id.as_str()), to(Destination::Voicemail(id.clone())));
    }
    for (id, room) in &company.rooms {
        push(&mut all, &room.ext, ("rooms", id.as_str()), to(Destination::Room(id.clone())));
    }
    for (id, toggle) in &company.toggles {
        push(&mut all, &toggle.ext, ("toggles", id.as_str()), Extension::Toggle(id.clone()));
    }
    all
}

/// Which of `known` was probably meant by `text`: the nearest by insertions, deletions and swaps, if near
/// enough; else one that is the beginning of `text`, or the other way round.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const BEGINNING_MIN: usize = 4;
    let length = text.chars().count();
    let most = 1 + length / 4;
    let begins = |word: &str| {
        text.len().min(word.len()) >= BEGINNING_MIN && (text.starts_with(word) || word.starts_with(text))
    };
    let mut best = None;
    for word in known {
        let other = word.chars().count();
        let apart = other.abs_diff(length);
        let distance = if apart <= most { strsim::damerau_levenshtein(text, word) } else { usize::MAX };
        let rank = if distance <= most && distance < other {
            (0, distance, apart, word)
        } else if begins(word) {
            (1, apart, 0, word)
        } else {
            continue;
        };
        best = best.map_or(Some(rank), |best| Some(rank.min(best)));
    }
    best.map(|(.., word)| word)
}

/// What the checks share.
struct Checker<'a> {
    config: &'a Config,
    unsure: &'a Unsure,
    /// The file being checked.
    part: Part,
    found: Vec<Finding>,
}

impl<'a> Checker<'a> {
    /// Reports a mistake in the value at `path`.
    fn error(&mut self, path: &[&str], message: impl Into<String>) {
        self.push(path, false, false, message.into());
    }

    /// Reports a mistake in the key at the end of `path`.
    fn key_error(&mut self, path: &[&str], message: impl Into<String>) {
        self.push(path, true, false, message.into());
    }

    /// Reports something to look at.
    fn warn(&mut self, path: &[&str], message: impl Into<String>) {
        self.push(path, false, true, message.into());
    }

    fn push(&mut self, path: &[&str], on_key: bool, warning: bool, message: String) {
        let path = path.iter().map(|part| part.to_string()).collect();
        self.found.push(Finding { part: self.part.clone(), path, on_key, warning, message });
    }

    /// Reports `id` unless it is among `known`.
    fn known<K, V>(&mut self, path: &[&str], kind: &str, id: &str, known: &BTreeMap<K, V>)
    where
        K: Borrow<str> + Ord,
    {
        if known.contains_key(id) {
            return;
        }
        let meant = nearest(id, known.keys().map(Borrow::borrow));
        let meant = meant.map_or(String::new(), |meant| format!(" – did you mean \"{meant}\"?"));
        self.error(path, format!("unknown {kind} \"{id}\"{meant}"));
    }

    /// Reports a destination that does not exist.
    fn destination(&mut self, company: &Company, path: &[&str], destination: &Destination) {
        match destination {
            Destination::User(id) => self.known(path, "user", id.as_str(), &company.users),
            Destination::Group(id) => self.known(path, "group", id.as_str(), &company.groups),
            Destination::Queue(id) => self.known(path, "queue", id.as_str(), &company.queues),
            Destination::Flow(id) => self.known(path, "flow", id.as_str(), &company.flows),
            Destination::Voicemail(id) => {
                self.known(path, "voicemail box", id.as_str(), &company.mailboxes);
            }
            Destination::Room(id) => self.known(path, "room", id.as_str(), &company.rooms),
            Destination::Phone(_) | Destination::Hangup => {}
        }
    }

    /// Service codes: no two alike, none in the way of an emergency call.
    fn codes(&mut self, codes: &Codes) {
        let mut taken = BTreeMap::new();
        for (name, code) in code_list(codes) {
            if let Some(other) = taken.insert(code, name) {
                self.error(&["codes", name], format!("service code {code} is already \"{other}\""));
            }
            if let Some(emergency) = EMERGENCY.iter().find(|number| number.starts_with(code)) {
                self.error(
                    &["codes", name],
                    format!("service code {code} hides the emergency number {emergency}"),
                );
            }
        }
        let keys = [
            ("transfer", &codes.keys.transfer),
            ("consult", &codes.keys.consult),
            ("back", &codes.keys.back),
            ("join", &codes.keys.join),
            ("record", &codes.keys.record),
            ("record_pause", &codes.keys.record_pause),
        ];
        let keys = keys.map(|(name, code)| (name, code.as_deref().unwrap_or_default()));
        for (name, code) in keys {
            let hides = |(other, longer): &&(&str, &str)| *other != name && longer.starts_with(code);
            if let Some((other, _)) = keys.iter().find(hides).filter(|_| !code.is_empty()) {
                self.error(&["codes", name], format!("the keys {code} hide those of \"{other}\""));
            }
        }
    }

    /// Extensions: given once, not hidden by a code, not an emergency number, not among the parking slots.
    fn extensions(&mut self, company: &Company) {
        let mut taken: HashMap<&Number, (&str, &str)> = HashMap::new();
        let all = extensions(company);
        for (number, section, id, _) in &all {
            let path = [*section, *id, "ext"];
            if let Some((section, id)) = taken.insert(number, (*section, *id)) {
                self.error(&path, format!("extension {number} is already given to {section}.{id}"));
            }
            if number::is_emergency(number.as_str()) {
                self.error(&path, format!("extension {number} is an emergency number"));
            }
            for (name, code) in code_list(&company.codes) {
                if number.as_str().starts_with(code) {
                    self.error(
                        &path,
                        format!("extension {number} is hidden by the service code \"{name}\" ({code})"),
                    );
                }
            }
            if company.parking.as_ref().is_some_and(|parking| parking.slot(number.as_str()).is_some()) {
                self.error(&path, format!("extension {number} is a parking slot"));
            }
        }
        // Public numbers of three and five digits begin so; one warning is enough for a numbering plan.
        let special = |number: &Number| {
            number.as_str().starts_with(['0', '1']) && !number::is_emergency(number.as_str())
        };
        let mut special = all.iter().filter(|(number, ..)| special(number));
        if let Some((number, section, id, _)) = special.next() {
            let more = match special.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let message = format!(
                "extension {number}{more} begins like public short numbers, which it hides: prefer 2–9"
            );
            self.warn(&[section, id, "ext"], message);
        }
    }

    /// Parking slots that a code hides, and extensions that cannot be written behind a code because a longer code begins
    /// so: behind `*8`, `012` reads as `*80` and `12`.
    fn hidden_by_codes(&mut self, company: &Company) {
        let codes = code_list(&company.codes);
        let slots = company.parking.iter().flat_map(|parking| parking.first..=parking.last);
        let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
        let hides = |code: &str| slots.iter().find(|slot| slot.starts_with(code)).cloned();
        for (name, code) in &codes {
            if let Some(slot) = hides(code) {
                let message =
                    format!("parking slot {slot} is hidden by the service code \"{name}\" ({code})");
                self.error(&["parking", "slots"], message);
            }
        }
        for (number, section, id, _) in extensions(company) {
            for (name, code) in codes.iter().filter(|(name, _)| TAKES_EXTENSION.contains(name)) {
                let whole = format!("{code}{number}");
                let longer = codes.iter().filter(|(_, longer)| longer.len() > code.len());
                let Some((other, reads)) = longer.clone().find(|(_, longer)| whole.starts_with(longer))
                else {
                    continue;
                };
                let message = format!(
                    "extension {number} cannot be dialled behind \"{name}\" ({code}): {whole} reads as \"{other}\" ({reads})"
                );
                self.warn(&[section, id, "ext"], message);
            }
        }
    }

    /// Outgoing routes: their trunks exist, and emergency calls find one.
    fn routes(&mut self) {
        self.part = Part::Trunks;
        if self.unsure.trunks {
            return;
        }
        for route in &self.config.routes {
            for trunk in route.via.iter().flatten() {
                let path = ["routes", &route.name, "via", trunk.as_str()];
                self.known(&path, "trunk", trunk.as_str(), &self.config.trunks);
            }
        }
        for (id, trunk) in &self.config.trunks {
            let one = if trunk.companies.len() == 1 { "company" } else { "companies" };
            let companies = trunk.companies.iter().map(|company| (one, company));
            for (key, company) in companies.chain(trunk.reserved.keys().map(|company| ("reserved", company)))
            {
                let path = ["trunks", id.as_str(), key, company.as_str()];
                self.known(&path, "company", company.as_str(), &self.config.companies);
            }
            let reserved: u64 = trunk.reserved.values().map(|channels| u64::from(*channels)).sum();
            match trunk.channels {
                None if reserved > 0 => self.error(
                    &["trunks", id.as_str(), "reserved"],
                    "channels are reserved, but \"channels\" does not say how many there are",
                ),
                Some(channels) if reserved > u64::from(channels) => self.error(
                    &["trunks", id.as_str(), "reserved"],
                    format!("{reserved} channels are reserved, but there are {channels}"),
                ),
                Some(_) | None => {}
            }
        }
        let leads = |number: &str| {
            let mut open = self.config.routes.iter().filter(|route| !route.block && route.needs.is_none());
            open.any(|route| route.to.iter().any(|to| &**to == number))
        };
        let without = EMERGENCY.iter().find(|number| !leads(number));
        if let Some(number) = without.filter(|_| !self.config.routes.is_empty()) {
            self.warn(&["routes"], format!("no route leads the emergency number {number} to a trunk"));
        }
    }

    /// Numbers and devices that two have.
    fn given_twice(&mut self) {
        let mut numbers: HashMap<&Number, String> = HashMap::new();
        let mut devices: HashMap<(&str, &str), &CompanyId> = HashMap::new();
        for company in self.config.companies.values() {
            self.part = Part::Company(company.id.clone());
            for (number, destination) in &company.numbers {
                if let Some(other) = numbers.insert(number, format!("{destination} of {}", company.id)) {
                    self.key_error(
                        &["numbers", number.as_str()],
                        format!("number {number} is already given to {other}"),
                    );
                }
            }
            for (number, service) in &company.services {
                if let Some(other) = numbers.insert(number, format!("{service} of {}", company.id)) {
                    self.key_error(
                        &["numbers", number.as_str()],
                        format!("number {number} is already given to {other}"),
                    );
                }
            }
            for (id, user) in &company.users {
                let Some(number) = &user.number else { continue };
                if let Some(other) = numbers.insert(number, format!("user:{id} of {}", company.id)) {
                    let message = format!("number {number} is already given to {other}");
                    self.error(&["users", id.as_str(), "number"], message);
                }
            }
            for id in company.devices.keys() {
                if let Some(other) = devices.insert((&company.domain, id.as_str()), &company.id) {
                    let domain = &company.domain;
                    let message =
                        format!("device \"{id}\" is already one of {other} in the SIP domain {domain}");
                    self.key_error(&["devices", id.as_str()], message);
                }
            }
        }
    }
}

/// Codes that extensions of users are dialled behind.
const TAKES_EXTENSION: [&str; 9] = [
    "pickup",
    "intercom",
    "call_back",
    "call_back_cancel",
    "take_over",
    "listen",
    "whisper",
    "barge",
    "hot_desk",
];

/// Norwegian voice emergency numbers.
const EMERGENCY: [&str; 3] = ["110", "112", "113"];

/// Every service code that is on, by its name in `[codes]`.
fn code_list(codes: &Codes) -> Vec<(&str, &str)> {
    let own = [
        ("login", &codes.login),
        ("logout", &codes.logout),
        ("pause", &codes.pause),
        ("unpause", &codes.unpause),
        ("wrap_up_end", &codes.wrap_up_end),
        ("wrap_up_extend", &codes.wrap_up_extend),
        ("voicemail", &codes.voicemail),
        ("toggle", &codes.toggle),
        ("echo", &codes.echo),
        ("own_number", &codes.own_number),
        ("hide_number", &codes.hide_number),
        ("pickup", &codes.pickup),
        ("park", &codes.park),
        ("intercom", &codes.intercom),
        ("call_back", &codes.call_back),
        ("call_back_cancel", &codes.call_back_cancel),
        ("take_over", &codes.take_over),
        ("listen", &codes.listen),
        ("whisper", &codes.whisper),
        ("barge", &codes.barge),
        ("own_call", &codes.own_call),
        ("hot_desk", &codes.hot_desk),
        ("record_prompt", &codes.record_prompt),
        ("forward_always", &codes.forward[0]),
        ("forward_no_answer", &codes.forward[1]),
        ("forward_unreachable", &codes.forward[2]),
        ("forward_busy", &codes.forward[3]),
        ("do_not_disturb", &codes.do_not_disturb),
        ("mobile", &codes.mobile),
        ("absence", &codes.absence),
        ("call_waiting", &codes.call_waiting),
        ("speed", &codes.speed),
    ];
    own.into_iter().filter_map(|(name, code)| Some((name, code.as_deref()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_only_when_it_is_near() {
        let words = ["salg", "sentralbord", "support"];
        for (text, expect) in [
            // Two letters swapped.
            ("slag", Some("salg")),
            // One letter missing in a long word.
            ("sentralbrd", Some("sentralbord")),
            // The beginning of it.
            ("support_nett", Some("support")),
            // Nothing alike.
            ("lager", None),
            // Nothing written.
            ("", None),
        ] {
            assert_eq!(nearest(text, words), expect, "{text}");
        }
    }
}
