//! Which number and name the other side sees: who calls (RFC 3325 and RFC 3323 from trunks), what a colleague's
//! phone shows, what a carrier is told. Pure functions. Leaves out signed identities (STIR, RFC 8224).

use std::sync::Arc;
use std::time::Duration;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::Show;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::number;
use crate::model::queue::Queue;
use crate::model::server::Language;
use crate::model::trunk::ForwardedCli;
use crate::model::trunk::HiddenNumber;
use crate::model::trunk::Trunk;
use crate::model::user::User;
use crate::sip::header::NameAddr;
use crate::sip::uri::Host;
use crate::sip::uri::Uri;
use crate::switch::flow::action::CallerFacts;

/// Characters of a shown name at most.
const NAME_MAX: usize = 64;

/// What a request of a trunk says of who calls.
#[derive(Clone, Debug)]
pub struct Shows {
    /// From.
    pub from: Option<NameAddr>,
    /// P-Asserted-Identity, only of a trunk that is trusted (RFC 3325 §5: any other is as if it were not there).
    pub asserted: Option<String>,
    /// Privacy.
    pub privacy: Option<String>,
}

/// Who calls through a trunk; language and what was dialled are for the caller to fill in. A hidden number is kept,
/// for the record and for emergency centres, if it was asserted. `from_carrier` brings the carrier's way of writing
/// numbers into normal form.
pub fn caller_outside(shows: &Shows, from_carrier: &dyn Fn(&str) -> Option<Number>) -> CallerFacts {
    // RFC 3325 §9.1: there may be two, a `sip:` and a `tel:` one, of the same person.
    let asserted = shows.asserted.as_deref().and_then(first).and_then(|text| NameAddr::parse(text).ok());
    let user = |address: &NameAddr| address.uri.user().unwrap_or_default().to_owned();
    let anonymous = shows.from.as_ref().is_none_or(|from| is_anonymous(&user(from)));
    let withheld = anonymous || shows.privacy.as_deref().is_some_and(asks_privacy);
    let number =
        asserted.as_ref().or(shows.from.as_ref()).and_then(|address| read(&user(address), from_carrier));
    let display = |address: &NameAddr| address.display.as_deref().and_then(name);
    CallerFacts {
        hidden: withheld || number.is_none(),
        name: asserted
            .as_ref()
            .and_then(display)
            .or_else(|| display(shows.from.as_ref()?))
            .filter(|_| !withheld),
        number,
        ..nobody()
    }
}

/// Who calls from a device of ours, in the user's language.
pub fn caller_user(company: &Company, user: &UserId) -> CallerFacts {
    let person = company.users.get(user);
    CallerFacts {
        number: person.and_then(|person| person.ext.clone().or_else(|| person.number.clone())),
        name: person.map(|person| person.name.clone()),
        user: Some(user.clone()),
        own_device: true,
        language: person.map_or(company.language, |person| person.language),
        ..nobody()
    }
}

/// Somebody of whom nothing is known.
pub(crate) fn nobody() -> CallerFacts {
    CallerFacts {
        number: None,
        name: None,
        hidden: false,
        user: None,
        own_device: false,
        dialled: Number::new(""),
        answered: false,
        language: Language::default(),
        diversions: Vec::new(),
    }
}

/// What a Request-URI dials: its user part or `tel:` number without parameters. A local number (RFC 3966 §5.1.5)
/// gets the country of its `phone-context` in front.
pub fn dialled(uri: &Uri) -> String {
    let user = uri.user().unwrap_or_default();
    let (number, inner) = user.split_once(';').unwrap_or((user, ""));
    let of_user = inner.split(';').find_map(|param| param.strip_prefix("phone-context="));
    let of_uri = match uri {
        Uri::Sip(_) | Uri::Other(_) => None,
        Uri::Tel(tel) => tel.params.value("phone-context"),
    };
    match of_user.or(of_uri).filter(|context| context.starts_with('+') && !number.starts_with('+')) {
        Some(context) => format!("{context}{number}"),
        None => number.to_owned(),
    }
}

/// The first value of a list: up to a comma that stands neither in quotes nor in angle brackets.
fn first(list: &str) -> Option<&str> {
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    let end = list.find(|c| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            _ => {}
        }
        c == ',' && !quoted && !inside
    });
    let text = list[..end.unwrap_or(list.len())].trim();
    (!text.is_empty()).then_some(text)
}

/// RFC 3323 §4.2, RFC 3325 §9.3: `id`, `user` and `header` ask that the caller is not told to others.
fn asks_privacy(value: &str) -> bool {
    let mut words = value.split([';', ',']).map(str::trim);
    words.any(|word| ["id", "user", "header"].iter().any(|asked| word.eq_ignore_ascii_case(asked)))
}

/// RFC 3323 §4.1.1.3: what stands in From when nobody shall know.
fn is_anonymous(user: &str) -> bool {
    ["anonymous", "restricted", "unavailable", "unknown"].iter().any(|word| user.eq_ignore_ascii_case(word))
}

/// A number as a trunk writes it: parameters such as `;npdi` are no part of it.
fn read(text: &str, from_carrier: &dyn Fn(&str) -> Option<Number>) -> Option<Number> {
    let text = text.split(';').next().unwrap_or_default();
    if is_anonymous(text) {
        return None;
    }
    let number = from_carrier(text).unwrap_or_else(|| Number::new(text));
    (!number.is_empty()).then_some(number)
}

fn name(display: &str) -> Option<Arc<str>> {
    let kept = cut(display.trim());
    (!kept.is_empty() && !is_anonymous(&kept)).then(|| kept.into())
}

/// At most [`NAME_MAX`] characters, and none that could end a header line.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

/// What a dialled party is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Empty when there is none to show. Of a hidden caller it is there only for a trusted trunk, with
    /// `Privacy: id`.
    pub number: Number,
    /// Display name.
    pub name: Option<Arc<str>>,
    /// From says nothing.
    pub hidden: bool,
    /// A number of ours that may stand in the place of `number`: of who calls, or of who sends the call on.
    pub own: Option<Number>,
    /// `number` is an outsider's, whose call is sent on.
    pub sent_on: bool,
}

/// What the INVITE to a carrier says of who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// From.
    pub from: NameAddr,
    /// P-Asserted-Identity.
    pub asserted: Option<NameAddr>,
    /// `Privacy: id`.
    pub private: bool,
}

impl Shown {
    /// Nobody.
    pub fn hidden() -> Shown {
        Shown { number: Number::new(""), name: None, hidden: true, own: None, sent_on: false }
    }

    /// From: `"Kari" <sip:+4736000101@domain>`, or anonymous (RFC 3323 §4.1.1.3).
    pub fn from(&self, domain: &str) -> NameAddr {
        if self.hidden || self.number.is_empty() {
            let host = Host::Name("anonymous.invalid".to_owned());
            let mut from = NameAddr::new(Uri::sip(Some("anonymous"), host, None));
            from.display = Some(self.name.as_deref().unwrap_or("Anonymous").to_owned());
            return from;
        }
        self.name_addr(domain)
    }

    /// P-Asserted-Identity (RFC 3325 §9.1): the number even of a hidden caller, for those who may know.
    pub fn name_addr(&self, domain: &str) -> NameAddr {
        let host = match Uri::parse(&format!("sip:{domain}")) {
            Ok(Uri::Sip(uri)) => uri.host,
            _ => Host::Name(domain.to_owned()),
        };
        let mut address = NameAddr::new(Uri::sip(Some(self.number.as_str()), host, None));
        address.display = self.name.as_deref().map(str::to_owned);
        address
    }

    /// What a carrier is told, by its rules for numbers of others and for hidden ones.
    pub fn told(&self, trunk: &Trunk) -> Told {
        let shown = self.allowed(trunk.forwarded_cli);
        let asserted = match &shown.own {
            // Without screening, From may be anybody; what is asserted is ours.
            Some(own) if trunk.clip_no_screening || shown.number.is_empty() => own,
            Some(_) | None => &shown.number,
        };
        let same = *asserted == shown.number;
        let asserted = Shown {
            number: asserted.clone(),
            name: shown.name.clone().filter(|_| same && !shown.hidden),
            hidden: false,
            ..Shown::hidden()
        };
        let withheld = shown.hidden && trunk.privacy == HiddenNumber::Withheld;
        let tell = !withheld && !asserted.number.is_empty();
        let name_addr = |shown: &Shown| {
            let written = Shown { number: Number::new(&trunk.write(&shown.number)), ..shown.clone() };
            with_user_phone(written.from(&trunk.domain), trunk.user_phone)
        };
        Told { from: name_addr(&shown), asserted: tell.then(|| name_addr(&asserted)), private: shown.hidden }
    }

    /// Of a call that is sent on with the caller's number by this trunk's rules: the same with our own number.
    pub fn replaced_by_own(&self, trunk: &Trunk) -> Option<Shown> {
        let own = self.own.clone().filter(|own| self.sent_on && *own != self.number)?;
        let caller = self.allowed(trunk.forwarded_cli).sent_on;
        caller.then(|| Shown { number: own.clone(), own: Some(own), hidden: false, ..Shown::hidden() })
    }

    /// With our own number in the place of one that must not be shown (a carrier drops calls from abroad with
    /// Norwegian numbers, and one at home may let nothing but Norwegian ones through).
    fn allowed(&self, policy: ForwardedCli) -> Shown {
        let norwegian = || match self.number.as_str().strip_prefix('+') {
            Some(number) => number.starts_with("47"),
            None => !self.number.is_empty(),
        };
        let pass = match policy {
            ForwardedCli::Caller => true,
            ForwardedCli::Own => false,
            ForwardedCli::CallerNorwegianOnly => norwegian(),
        };
        match &self.own {
            Some(own) if self.sent_on && !pass => {
                Shown { number: own.clone(), own: Some(own.clone()), hidden: false, ..Shown::hidden() }
            }
            Some(_) | None => self.clone(),
        }
    }
}

/// `user=phone` says that the user part is a telephone number (RFC 3261 §19.1.1).
pub fn with_user_phone(mut address: NameAddr, wanted: bool) -> NameAddr {
    if let Uri::Sip(uri) = &mut address.uri
        && wanted
        && uri.user.as_deref().is_some_and(|user| user.bytes().all(|b| b.is_ascii_digit() || b == b'+'))
    {
        uri.params.set("user", Some("phone"));
    }
    address
}

/// What a colleague's phone shows.
pub fn shown_inside(facts: &CallerFacts) -> Shown {
    if facts.hidden {
        return Shown { name: Some(hidden_name(facts.language).into()), ..Shown::hidden() };
    }
    Shown {
        number: facts.number.clone().unwrap_or_else(|| Number::new("")),
        name: facts.name.clone(),
        hidden: false,
        own: None,
        sent_on: false,
    }
}

/// What templates of a queue are filled in with.
#[derive(Clone, Debug, Default)]
pub struct Words {
    queue: String,
    caller: String,
    number: String,
    wait: String,
    tag: String,
}

/// The words for one caller, who has waited for so long and whom a flow may have given a tag.
pub fn words(
    company: &Company,
    queue: &Queue,
    facts: &CallerFacts,
    wait: Duration,
    tag: Option<&str>,
) -> Words {
    let number = match (&facts.number, facts.hidden) {
        (_, true) => hidden_name(company.language).to_owned(),
        (Some(number), false) => number::pretty(number),
        (None, false) => String::new(),
    };
    let seconds = wait.as_secs();
    Words {
        queue: queue.name.to_string(),
        caller: shown_inside(facts).name.as_deref().map_or_else(|| number.clone(), str::to_owned),
        number,
        wait: format!("{}:{:02}", seconds / 60, seconds % 60),
        tag: tag.unwrap_or_default().to_owned(),
    }
}

impl Words {
    /// Fills in a template; at most 64 characters. What is filled in is not read as a template again.
    pub fn fill(&self, template: &str) -> String {
        let words = [
            ("{queue}", &self.queue),
            ("{caller}", &self.caller),
            ("{number}", &self.number),
            ("{wait}", &self.wait),
            ("{tag}", &self.tag),
        ];
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let word = words.iter().find(|(word, _)| rest.starts_with(word));
            let (word, filled) = word.map_or(("{", "{"), |(word, filled)| (*word, filled.as_str()));
            text.push_str(filled);
            rest = &rest[word.len()..];
        }
        text.push_str(rest);
        cut(text.trim())
    }
}

/// What an agent's phone shows: the queue's template, and the caller's number or the queue's.
pub fn presented(company: &Company, queue: &Queue, facts: &CallerFacts, words: &Words) -> Shown {
    let name = words.fill(&queue.present.name);
    let name = (!name.is_empty()).then(|| name.into());
    if queue.present.caller_number {
        return Shown { name, ..shown_inside(facts) };
    }
    let number = queue_number(company, queue).unwrap_or_else(|| facts.dialled.clone());
    Shown { number, name, hidden: false, own: None, sent_on: false }
}

/// What the carrier of an agent's mobile is told: the caller's number, or the queue's where the queue or the carrier's
/// rules for numbers of others say so.
pub fn presented_outside(company: &Company, queue: &Queue, facts: &CallerFacts) -> Shown {
    let of_queue = queue_number(company, queue).filter(|number| company.owns(number));
    let own = of_queue.or_else(|| sent_on_by(company, facts));
    let forwarded = shown_forwarded(company, facts, &Show::Caller);
    match (queue.present.caller_number, own) {
        (true, Some(own)) if forwarded.sent_on => Shown { own: Some(own), ..forwarded },
        (false, Some(own)) => Shown {
            number: own.clone(),
            name: Some(cut(&queue.name).into()),
            hidden: false,
            own: Some(own),
            sent_on: false,
        },
        (true | false, _) => forwarded,
    }
}

/// The public number that leads to the queue, else its extension.
fn queue_number(company: &Company, queue: &Queue) -> Option<Number> {
    let leads_here = |to: &Destination| match to {
        Destination::Queue(id) => company.queues.get(id).is_some_and(|named| named == queue),
        _ => false,
    };
    let public = company.numbers.iter().find(|(_, to)| leads_here(to)).map(|(number, _)| number.clone());
    public.or_else(|| queue.ext.clone())
}

/// What the outside sees of a call of ours: the user's chosen number, else their own, else the company's.
pub fn shown_outside(company: &Company, user: Option<&UserId>, hide: bool) -> Shown {
    shown_of(company, user.and_then(|user| company.users.get(user)), hide)
}

/// The same for a user with their own settings.
pub fn shown_of(company: &Company, person: Option<&User>, hide: bool) -> Shown {
    let chosen = person.and_then(|person| person.show.clone().or_else(|| person.number.clone()));
    let own = person.and_then(|person| person.number.clone()).or_else(|| company.number.clone());
    let name = match (&chosen, person) {
        (Some(_), Some(person)) => &person.name,
        _ => &company.name,
    };
    Shown {
        name: (!hide).then(|| cut(name).into()),
        number: chosen.or_else(|| company.number.clone()).unwrap_or_else(|| Number::new("")),
        hidden: hide,
        own,
        sent_on: false,
    }
}

/// What an emergency centre sees: never hidden, and the number of the place where the user sits, else the
/// company's, since the centre finds the address by it.
pub fn shown_emergency(company: &Company, user: Option<&UserId>) -> Shown {
    let site = user.and_then(|user| company.users.get(user)?.site.as_ref());
    let place = site.and_then(|site| company.sites.get(site)).map(|site| site.number.clone());
    let shown = shown_outside(company, user, false);
    match place.or_else(|| company.number.clone()) {
        Some(number) => Shown { own: Some(number.clone()), number, ..shown },
        None => shown,
    }
}

/// What the outside sees of a call that is sent on.
pub fn shown_forwarded(company: &Company, facts: &CallerFacts, show: &Show) -> Shown {
    match (show, &facts.user) {
        (Show::Caller, Some(user)) => shown_outside(company, Some(user), facts.hidden),
        (Show::Caller, None) => Shown {
            number: facts.number.clone().unwrap_or_else(|| Number::new("")),
            name: facts.name.clone().filter(|_| !facts.hidden),
            hidden: facts.hidden,
            own: sent_on_by(company, facts),
            sent_on: true,
        },
        (Show::Company, _) => shown_outside(company, None, false),
        (Show::Number(number), _) => Shown { number: number.clone(), ..shown_outside(company, None, false) },
    }
}

/// The number of ours that sends a call on: the one that was dialled when it is public, else the company's.
pub fn sent_on_by(company: &Company, facts: &CallerFacts) -> Option<Number> {
    let public = |number: &&Number| company.owns(number);
    Some(&facts.dialled).filter(public).cloned().or_else(|| company.number.clone())
}

fn hidden_name(language: Language) -> &'static str {
    match language {
        Language::Nb => "Skjult nummer",
        Language::En => "Hidden number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(from: &str, asserted: Option<&str>, privacy: Option<&str>) -> (Option<String>, bool) {
        let facts = caller_outside(
            &Shows {
                from: NameAddr::parse(from).ok(),
                asserted: asserted.map(str::to_owned),
                privacy: privacy.map(str::to_owned),
            },
            &number::read,
        );
        (facts.number.map(|number| number.to_string()), facts.hidden)
    }

    #[test]
    fn who_calls_is_asserted_by_those_we_trust_and_hidden_when_they_ask() {
        let seen = |number: &str, hidden| (Some(number.to_owned()), hidden);
        let rows = [
            // A plain call, in each way of writing.
            (caller("<sip:+4736000777@a.example>", None, None), seen("+4736000777", false)),
            (caller("<sip:36000777@a.example>", None, None), seen("+4736000777", false)),
            (
                caller("\"Per\" <sip:+4736000777;npdi@a.example>;tag=1", None, None),
                seen("+4736000777", false),
            ),
            (caller("<tel:+47-36-00-07-77>", None, None), seen("+4736000777", false)),
            // The asserted identity wins; of two, the first.
            (
                caller(
                    "<sip:+4736000777@a.example>",
                    Some("\"A, B\" <sip:+4736000778@a.example>, <tel:+4736000779>"),
                    None,
                ),
                seen("+4736000778", false),
            ),
            // One that cannot be read is as none.
            (caller("<sip:+4736000777@a.example>", Some("nonsense"), None), seen("+4736000777", false)),
            // Hidden: asked for, or anonymous.
            (caller("<sip:+4736000777@a.example>", None, Some("id")), seen("+4736000777", true)),
            (caller("<sip:+4736000777@a.example>", None, Some("none")), seen("+4736000777", false)),
            (
                caller(
                    "<sip:anonymous@anonymous.invalid>",
                    Some("<sip:+4736000778@a.example>"),
                    Some("critical; id"),
                ),
                seen("+4736000778", true),
            ),
            (caller("\"Anonymous\" <sip:anonymous@anonymous.invalid>", None, None), (None, true)),
            (caller("<sip:a.example>", None, None), (None, true)),
        ];
        for (i, (given, expect)) in rows.into_iter().enumerate() {
            assert_eq!(given, expect, "row {i}");
        }
    }

    #[test]
    fn what_is_dialled_stands_in_sip_and_tel_uris_with_or_without_context() {
        for (uri, expect) in [
            ("sip:+4736000100@a.example;user=phone", "+4736000100"),
            ("sip:36000100;phone-context=+47@a.example", "+4736000100"),
            ("sip:02800;npdi@a.example", "02800"),
            ("tel:+47-36-00-01-00", "+47-36-00-01-00"),
            ("tel:36000100;phone-context=+47", "+4736000100"),
            ("tel:101;phone-context=pbx.example", "101"),
            ("sip:*40601@a.example", "*40601"),
            ("sip:a.example", ""),
        ] {
            assert_eq!(dialled(&Uri::parse(uri).unwrap()), expect, "{uri}");
        }
    }

    #[test]
    fn a_template_is_filled_in_once_and_cut() {
        let words = |queue: &str, caller: &str| Words {
            queue: queue.to_owned(),
            caller: caller.to_owned(),
            number: "36 00 07 77".to_owned(),
            wait: "1:05".to_owned(),
            tag: "vip".to_owned(),
        };
        assert_eq!(words("Salg", "Per").fill("{queue}: {caller}"), "Salg: Per");
        assert_eq!(words("Salg", "Per").fill("{tag} {number} ({wait})"), "vip 36 00 07 77 (1:05)");
        assert_eq!(words("Salg", "{queue}").fill("{caller}"), "{queue}");
        assert_eq!(words("Salg", "Per").fill("{q"), "{q");
        assert_eq!(words("a\r\nb", "").fill("{queue}:"), "ab:");
        assert_eq!(words("", "").fill(&"x".repeat(200)).len(), 64);
    }

    #[test]
    fn a_hidden_caller_is_anonymous_in_from_and_known_to_the_trunk() {
        let shown = Shown { number: Number::new("+4736000101"), ..Shown::hidden() };
        assert_eq!(
            shown.from("tlf.example.no").to_string(),
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>"
        );
        assert_eq!(shown.name_addr("tlf.example.no").to_string(), "<sip:+4736000101@tlf.example.no>");
    }
}
