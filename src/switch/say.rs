//! Numbers, times and dates → prompts, in Norwegian (bokmål) and English; a pure function.
//!
//! 0–99 are whole recordings, since joined ones sound chopped. Bokmål has two genders that count ("én
//! beskjed", "ett minutt"); hundre and tusen are neuter, million is not. Times are said by the 24-hour clock
//! in both languages. Leaves out numbers from a milliard on, which are said digit by digit.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::civil::DateTime;

use crate::model::id::Number;
use crate::model::number;
use crate::model::number::Class;
use crate::model::server::Language;

/// The prompt between groups of digits: a short silence.
pub const PAUSE: &str = "num/pause";

/// The first number without a word of its own here.
const MILLIARD: u64 = 1_000_000_000;

/// Which word for one fits what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// "én beskjed", and numbers by themselves.
    Common,
    /// "ett minutt".
    Neuter,
}

/// What to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A number.
    Number {
        /// Which.
        n: u64,
        /// Of what is counted.
        gender: Gender,
    },
    /// Keys, one by one.
    Digits(&'a str),
    /// A telephone number, digit by digit in groups; Norwegian ones without country code.
    Phone(&'a Number),
    /// "klokken åtte tretti".
    Time {
        /// 0–23.
        hour: u8,
        /// 0–59.
        minute: u8,
    },
    /// "mandag tjuende juli", or "i dag".
    Date {
        /// Which.
        date: Date,
        /// The listener's today.
        today: Date,
    },
    /// "to minutter og tjueett sekunder".
    Duration {
        /// How long.
        seconds: u64,
    },
    /// "tredje"; from 32 on as a number.
    Ordinal(u8),
    /// Place in a queue, from 1.
    Position(u32),
    /// What is in a voicemail box.
    Messages {
        /// Not heard.
        new: u32,
        /// Heard.
        old: u32,
    },
    /// "Vi åpner igjen mandag klokken åtte".
    OpenAgain {
        /// Local time of opening.
        at: DateTime,
        /// The listener's local time.
        now: DateTime,
    },
}

/// The prompts, by id, that say `what`, in order.
pub fn say(language: Language, what: &What<'_>) -> Vec<Arc<str>> {
    let mut speech = Speech { language, ids: Vec::new() };
    match *what {
        What::Number { n, gender } => speech.number(n, gender),
        What::Digits(digits) => speech.digits(digits),
        What::Phone(number) => speech.phone(number),
        What::Time { hour, minute } => speech.time(hour, minute),
        What::Date { date, today } => speech.date(date, today),
        What::Duration { seconds } => speech.duration(seconds),
        What::Ordinal(n @ 1..=31) => speech.add(&format!("ord/{n}")),
        What::Ordinal(n) => speech.number(n.into(), Gender::Common),
        What::Position(0 | 1) => speech.add("queue/you-are-next"),
        What::Position(place) => {
            speech.add("queue/position-pre");
            speech.number(place.into(), Gender::Common);
            speech.add("queue/position-post");
        }
        What::Messages { new, old } => speech.messages(new, old),
        What::OpenAgain { at, now } => speech.open_again(at, now),
    }
    speech.ids
}

/// The same in words, for logs, dry runs and speech synthesis.
pub fn text(language: Language, what: &What<'_>) -> String {
    let mut text = String::new();
    for id in say(language, what) {
        if &*id == PAUSE {
            text.push(',');
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&words(language, &id));
    }
    text
}

/// What a prompt of [`say`] says; the id itself if it is none of them.
pub fn words(language: Language, id: &str) -> String {
    if let Some((_, nb, en)) = PHRASES.iter().find(|(phrase, _, _)| *phrase == id) {
        let phrase = match language {
            Language::Nb => nb,
            Language::En => en,
        };
        return (*phrase).to_owned();
    }
    let (kind, rest) = id.split_once('/').unwrap_or(("", id));
    let (number, neuter) = match rest.strip_suffix("-neuter") {
        Some(number) => (number, true),
        None => (rest, false),
    };
    let names: &[&[&str]] = match language {
        Language::Nb => &[&DAYS_NB, &MONTHS_NB],
        Language::En => &[&DAYS_EN, &MONTHS_EN],
    };
    let name = |names: &[&str], n: usize| names.get(n.wrapping_sub(1)).map(|name| (*name).to_owned());
    if kind == "letter" {
        return match rest {
            "ae" => "æ".to_owned(),
            "oe" => "ø".to_owned(),
            "aa" => "å".to_owned(),
            plain => plain.to_owned(),
        };
    }
    let word = match (kind, number.parse::<usize>()) {
        ("num", Ok(n @ 0..=99)) => Some(cardinal(language, n, neuter)),
        ("ord", Ok(n @ 1..=31)) => Some(ordinal(language, n)),
        ("day", Ok(n)) => name(names[0], n),
        ("month", Ok(n)) => name(names[1], n),
        _ => None,
    };
    word.unwrap_or_else(|| id.to_owned())
}

#[derive(Clone, Copy)]
enum Unit {
    Hour,
    Minute,
    Second,
}

/// Prompts being put together.
struct Speech {
    language: Language,
    ids: Vec<Arc<str>>,
}

impl Speech {
    fn add(&mut self, id: &str) {
        self.ids.push(id.into());
    }

    fn number(&mut self, n: u64, gender: Gender) {
        if n >= MILLIARD {
            return self.digits(&n.to_string());
        }
        let (millions, thousands, rest) = (n / 1_000_000, n / 1000 % 1000, n % 1000);
        // Bokmål: a lone hundred or thousand is "hundre", "tusen"; with more about it "ett hundre", "ett tusen".
        let bare = |lone: bool| lone && self.language == Language::Nb;
        let (bare_millions, bare_thousands) =
            (bare(millions == 100), bare(thousands == 100 && millions == 0));
        let (no_one, bare_rest) = (bare(n == 1000), bare(n == 100));
        if millions > 0 {
            self.below_thousand(millions, Gender::Common, bare_millions);
            self.add(if millions == 1 { "num/million" } else { "num/millions" });
        }
        if thousands > 0 {
            if !no_one {
                self.below_thousand(thousands, Gender::Neuter, bare_thousands);
            }
            self.add("num/thousand");
        }
        if n >= 1000 && (1..100).contains(&rest) {
            self.add("num/and");
        }
        if rest > 0 || n == 0 {
            self.below_thousand(rest, gender, bare_rest);
        }
    }

    /// 0–999; `bare` leaves out the one of one hundred.
    fn below_thousand(&mut self, n: u64, gender: Gender, bare: bool) {
        let (hundreds, rest) = (n / 100, n % 100);
        if hundreds > 0 {
            if !bare {
                self.below_hundred(hundreds, Gender::Neuter);
            }
            self.add("num/hundred");
        }
        if rest > 0 && hundreds > 0 {
            self.add("num/and");
        }
        if rest > 0 || hundreds == 0 {
            self.below_hundred(rest, gender);
        }
    }

    fn below_hundred(&mut self, n: u64, gender: Gender) {
        match (self.language, gender, n) {
            (Language::Nb, Gender::Neuter, 1) => self.add("num/one-neuter"),
            (Language::Nb, Gender::Neuter, 21 | 31 | 41 | 51 | 61 | 71 | 81 | 91) => {
                self.add(&format!("num/{n}-neuter"));
            }
            _ => self.add(&format!("num/{n}")),
        }
    }

    fn digits(&mut self, digits: &str) {
        for key in digits.chars() {
            match key {
                '0'..='9' => self.add(&format!("num/{key}")),
                '+' => self.add("num/plus"),
                '*' => self.add("menu/star"),
                '#' => self.add("menu/hash"),
                _ => {}
            }
        }
    }

    fn phone(&mut self, phone: &Number) {
        let groups = match number::country(phone) {
            Some(("47", national)) => match number::class(phone) {
                // Mobile numbers are spoken 3-2-3, though written in pairs.
                Class::Mobile if national.len() == 8 => {
                    vec![&national[..3], &national[3..5], &national[5..]]
                }
                _ => number::groups(national),
            },
            Some((code, national)) => {
                self.add("num/plus");
                [vec![code], number::groups(national)].concat()
            }
            None => number::groups(phone.as_str()),
        };
        for (place, group) in groups.into_iter().enumerate() {
            if place > 0 {
                self.add(PAUSE);
            }
            self.digits(group);
        }
    }

    fn time(&mut self, hour: u8, minute: u8) {
        self.add("time/at");
        match hour {
            // Midnight is "null null": a lone "null" is not heard as a time.
            0 => self.digits("00"),
            1 => self.below_hundred(1, Gender::Neuter),
            _ => self.below_hundred(hour.into(), Gender::Common),
        }
        if (1..10).contains(&minute) {
            self.add("num/0");
        }
        if minute > 0 {
            self.below_hundred(minute.into(), Gender::Common);
        }
    }

    fn date(&mut self, date: Date, today: Date) {
        if let Some(near) = near(date, today) {
            return self.add(near);
        }
        self.weekday(date);
        let (day, month) = (format!("ord/{}", date.day()), format!("month/{}", date.month()));
        match self.language {
            Language::Nb => [day.as_str(), &month].into_iter().for_each(|id| self.add(id)),
            Language::En => ["time/the", &day, "time/of", &month].into_iter().for_each(|id| self.add(id)),
        }
    }

    fn weekday(&mut self, date: Date) {
        self.add(&format!("day/{}", date.weekday().to_monday_one_offset()));
    }

    fn duration(&mut self, seconds: u64) {
        let parts =
            [(seconds / 3600, Unit::Hour), (seconds / 60 % 60, Unit::Minute), (seconds % 60, Unit::Second)];
        let mut parts: Vec<(u64, Unit)> = parts.into_iter().filter(|(n, _)| *n > 0).collect();
        if parts.is_empty() {
            parts.push((0, Unit::Second));
        }
        let last = parts.len() - 1;
        for (place, (n, unit)) in parts.into_iter().enumerate() {
            if place == last && place > 0 {
                self.add("num/and");
            }
            self.counted(n, unit);
        }
    }

    fn counted(&mut self, n: u64, unit: Unit) {
        let (gender, one, many) = match unit {
            Unit::Hour => (Gender::Common, "unit/hour", "unit/hours"),
            Unit::Minute => (Gender::Neuter, "unit/minute", "unit/minutes"),
            Unit::Second => (Gender::Neuter, "unit/second", "unit/seconds"),
        };
        self.number(n, gender);
        self.add(if n == 1 { one } else { many });
    }

    fn messages(&mut self, new: u32, old: u32) {
        self.add("vm/you-have");
        match (new, old) {
            (0, 0) => self.add("vm/none"),
            (_, 0) => self.of_kind(new, "vm/new-one", "vm/new-many"),
            (0, _) => self.of_kind(old, "vm/old-one", "vm/old-many"),
            _ => {
                self.of_kind(new, "vm/new-one", "vm/new-many");
                self.add("num/and");
                self.of_kind(old, "vm/old-one", "vm/old-many");
            }
        }
    }

    fn of_kind(&mut self, n: u32, one: &str, many: &str) {
        if n == 1 {
            return self.add(one);
        }
        self.number(n.into(), Gender::Common);
        self.add(many);
    }

    fn open_again(&mut self, at: DateTime, now: DateTime) {
        self.add("hours/open-again");
        let days = days_between(now.date(), at.date());
        if self.language == Language::En && days > 1 {
            self.add("time/on");
        }
        // Within a week the weekday says it all.
        match days {
            2..=6 => self.weekday(at.date()),
            _ => self.date(at.date(), now.date()),
        }
        // Both are within their ranges, so never negative.
        self.time(at.hour().unsigned_abs(), at.minute().unsigned_abs());
    }
}

fn near(date: Date, today: Date) -> Option<&'static str> {
    match days_between(today, date) {
        -1 => Some("time/yesterday"),
        0 => Some("time/today"),
        1 => Some("time/tomorrow"),
        _ => None,
    }
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

fn cardinal(language: Language, n: usize, neuter: bool) -> String {
    let (small, tens, joint, one) = match language {
        Language::Nb if neuter => (&SMALL_NB, &TENS_NB, "", "ett"),
        Language::Nb => (&SMALL_NB, &TENS_NB, "", "en"),
        Language::En => (&SMALL_EN, &TENS_EN, "-", "one"),
    };
    match (n / 10, n % 10) {
        (0, 1) if neuter => one.to_owned(),
        (0 | 1, _) => small[n].to_owned(),
        (ten, 0) => tens[ten - 2].to_owned(),
        (ten, 1) => format!("{}{joint}{one}", tens[ten - 2]),
        (ten, unit) => format!("{}{joint}{}", tens[ten - 2], small[unit]),
    }
}

fn ordinal(language: Language, n: usize) -> String {
    let (ordinals, tens, joint, twentieth, thirtieth) = match language {
        Language::Nb => (&ORDINALS_NB, &TENS_NB, "", "tjuende", "trettiende"),
        Language::En => (&ORDINALS_EN, &TENS_EN, "-", "twentieth", "thirtieth"),
    };
    match n {
        20 => twentieth.to_owned(),
        30 => thirtieth.to_owned(),
        1..20 => ordinals[n - 1].to_owned(),
        _ => format!("{}{joint}{}", tens[n / 10 - 2], ordinals[n % 10 - 1]),
    }
}

#[rustfmt::skip]
const SMALL_NB: [&str; 20] = [
    "null", "én", "to", "tre", "fire", "fem", "seks", "sju", "åtte", "ni", "ti", "elleve", "tolv", "tretten",
    "fjorten", "femten", "seksten", "sytten", "atten", "nitten",
];
#[rustfmt::skip]
const SMALL_EN: [&str; 20] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
];
const TENS_NB: [&str; 8] = ["tjue", "tretti", "førti", "femti", "seksti", "sytti", "åtti", "nitti"];
const TENS_EN: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
#[rustfmt::skip]
const ORDINALS_NB: [&str; 19] = [
    "første", "andre", "tredje", "fjerde", "femte", "sjette", "sjuende", "åttende", "niende", "tiende",
    "ellevte", "tolvte", "trettende", "fjortende", "femtende", "sekstende", "syttende", "attende", "nittende",
];
#[rustfmt::skip]
const ORDINALS_EN: [&str; 19] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth",
];
const DAYS_NB: [&str; 7] = ["mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"];
const DAYS_EN: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
#[rustfmt::skip]
const MONTHS_NB: [&str; 12] = [
    "januar", "februar", "mars", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
    "desember",
];
#[rustfmt::skip]
const MONTHS_EN: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
];

/// Every other prompt that is used here: id, Norwegian, English.
const PHRASES: &[(&str, &str, &str)] = &[
    ("num/and", "og", "and"),
    ("num/hundred", "hundre", "hundred"),
    ("num/thousand", "tusen", "thousand"),
    ("num/million", "million", "million"),
    ("num/millions", "millioner", "million"),
    ("num/plus", "pluss", "plus"),
    ("num/one-neuter", "ett", "one"),
    ("menu/star", "stjerne", "star"),
    ("menu/hash", "firkant", "hash"),
    ("time/at", "klokken", "at"),
    ("time/today", "i dag", "today"),
    ("time/tomorrow", "i morgen", "tomorrow"),
    ("time/yesterday", "i går", "yesterday"),
    ("time/the", "den", "the"),
    ("time/on", "på", "on"),
    ("time/of", "av", "of"),
    ("unit/second", "sekund", "second"),
    ("unit/seconds", "sekunder", "seconds"),
    ("unit/minute", "minutt", "minute"),
    ("unit/minutes", "minutter", "minutes"),
    ("unit/hour", "time", "hour"),
    ("unit/hours", "timer", "hours"),
    ("queue/you-are-next", "Du er nå først i køen.", "You are now first in line."),
    ("queue/position-pre", "Du er nå nummer", "You are now number"),
    ("queue/position-post", "i køen.", "in line."),
    ("vm/you-have", "Du har", "You have"),
    ("vm/new-one", "én ny beskjed", "one new message"),
    ("vm/new-many", "nye beskjeder", "new messages"),
    ("vm/old-one", "én lagret beskjed", "one saved message"),
    ("vm/old-many", "lagrede beskjeder", "saved messages"),
    ("vm/none", "ingen beskjeder", "no messages"),
    ("hours/open-again", "Vi åpner igjen", "We open again"),
    ("dir/for", "For", "For"),
    ("dir/press", "tast", "press"),
    ("dir/extension", "internnummer", "extension"),
    ("dir/none", "Vi fant ingen med det navnet.", "We found nobody by that name."),
    ("dir/again", "Tast stjerne for å søke på nytt.", "Press star to search again."),
    ("toggle/on", "Bryteren er på", "The switch is on"),
    ("toggle/off", "Bryteren er av.", "The switch is off."),
    ("toggle/until", "til", "until"),
];
