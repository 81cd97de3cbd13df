//! What kind of destination a number is, as far as money and rights go, and what a minute there costs.
//!
//! Revenue-share fraud lives on destinations that a company never calls; so every class but the cheap national ones
//! is closed until somebody opens it. Leaves out what a carrier really charges: the prices are for limits, not
//! for invoices.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::id::Number;
use crate::model::number;
use crate::model::number::Class;

/// A kind of destination that is opened, barred and priced as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceClass {
    /// 110, 112, 113 and 1412: never barred, limited or charged.
    Emergency,
    /// 800, and international freephone (+800).
    Free,
    /// Norwegian geographic numbers.
    Fixed,
    /// Norwegian mobile numbers.
    Mobile,
    /// 02000–09999.
    FiveDigit,
    /// 145, 175, 116117, 19x: public and carriers' services.
    Service,
    /// 810, 815, 85: by regulation not dearer than a mobile number, and so open like one.
    Shared,
    /// 82, 88, 1800–1899, and international premium rate (+979).
    Premium,
    /// 58 and 59: machines.
    M2m,
    /// Denmark, Finland, Faroe Islands, Greenland, Iceland, Sweden.
    Nordic,
    /// The rest of Europe.
    Europe,
    /// The rest of the world.
    World,
    /// Where fraud calls to: see [`HIGH_RISK`].
    HighRisk,
    /// Satellite and international networks: +870, +881, +882, +883.
    Satellite,
}

impl PriceClass {
    /// All of them, cheapest first.
    pub const ALL: [PriceClass; 14] = [
        PriceClass::Emergency,
        PriceClass::Free,
        PriceClass::Fixed,
        PriceClass::Mobile,
        PriceClass::FiveDigit,
        PriceClass::Service,
        PriceClass::Shared,
        PriceClass::Premium,
        PriceClass::M2m,
        PriceClass::Nordic,
        PriceClass::Europe,
        PriceClass::World,
        PriceClass::HighRisk,
        PriceClass::Satellite,
    ];

    /// As written in configuration and reasons.
    pub fn as_str(self) -> &'static str {
        match self {
            PriceClass::Emergency => "emergency",
            PriceClass::Free => "free",
            PriceClass::Fixed => "fixed",
            PriceClass::Mobile => "mobile",
            PriceClass::FiveDigit => "five_digit",
            PriceClass::Service => "service",
            PriceClass::Shared => "shared",
            PriceClass::Premium => "premium",
            PriceClass::M2m => "m2m",
            PriceClass::Nordic => "nordic",
            PriceClass::Europe => "europe",
            PriceClass::World => "world",
            PriceClass::HighRisk => "high_risk",
            PriceClass::Satellite => "satellite",
        }
    }

    /// Øre per minute until `[prices]` says otherwise.
    fn price(self) -> u32 {
        match self {
            PriceClass::Emergency | PriceClass::Free => 0,
            PriceClass::Fixed => 30,
            PriceClass::Mobile | PriceClass::FiveDigit | PriceClass::Service | PriceClass::Shared => 50,
            PriceClass::M2m | PriceClass::Nordic => 100,
            PriceClass::Europe => 200,
            PriceClass::World => 600,
            PriceClass::Premium | PriceClass::HighRisk => 3_000,
            PriceClass::Satellite => 8_000,
        }
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u16);

impl Classes {
    /// No class.
    pub const NONE: Classes = Classes(0);

    /// What everybody may call: the country but its dear numbers, what is free, and emergency.
    pub const OPEN: Classes = Classes(
        1 << PriceClass::Emergency as u16
            | 1 << PriceClass::Free as u16
            | 1 << PriceClass::Fixed as u16
            | 1 << PriceClass::Mobile as u16
            | 1 << PriceClass::FiveDigit as u16
            | 1 << PriceClass::Service as u16
            | 1 << PriceClass::Shared as u16,
    );

    /// What `international` opens: all countries but those where fraud calls to.
    pub const INTERNATIONAL: Classes = Classes(
        1 << PriceClass::Nordic as u16 | 1 << PriceClass::Europe as u16 | 1 << PriceClass::World as u16,
    );

    /// What `domestic` means.
    pub const DOMESTIC: Classes = Classes(
        1 << PriceClass::Fixed as u16
            | 1 << PriceClass::Mobile as u16
            | 1 << PriceClass::FiveDigit as u16
            | 1 << PriceClass::Service as u16
            | 1 << PriceClass::Shared as u16,
    );

    /// One class.
    pub const fn only(class: PriceClass) -> Classes {
        Classes(1 << class as u16)
    }

    /// Whether `class` is in it.
    pub fn contains(self, class: PriceClass) -> bool {
        self.0 & Classes::only(class).0 != 0
    }

    /// What is in either.
    #[must_use]
    pub fn with(self, other: Classes) -> Classes {
        Classes(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn without(self, other: Classes) -> Classes {
        Classes(self.0 & !other.0)
    }
}

impl FromIterator<Classes> for Classes {
    fn from_iter<I: IntoIterator<Item = Classes>>(all: I) -> Classes {
        all.into_iter().fold(Classes::NONE, Classes::with)
    }
}

/// Which class a number is in and what it costs: the plan, with the operator's prices and corrections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Øre per minute.
    prices: BTreeMap<PriceClass, u32>,
    /// Prefixes in E.164 that the operator puts into a class; the longest that fits wins over the plan.
    prefixes: BTreeMap<Arc<str>, PriceClass>,
}

impl Default for Tariff {
    fn default() -> Tariff {
        let prices = PriceClass::ALL.into_iter().map(|class| (class, class.price())).collect();
        Tariff { prices, prefixes: BTreeMap::new() }
    }
}

impl Tariff {
    /// Sets what a minute costs, in øre.
    pub fn set_price(&mut self, class: PriceClass, price: u32) {
        self.prices.insert(class, price);
    }

    /// Puts numbers that begin with `prefix` (E.164 with `+`) into a class.
    pub fn set_prefix(&mut self, prefix: Arc<str>, class: PriceClass) {
        self.prefixes.insert(prefix, class);
    }

    /// Øre per minute.
    pub fn price(&self, class: PriceClass) -> u32 {
        self.prices.get(&class).copied().unwrap_or_else(|| class.price())
    }

    /// The class of a number in normal form, as `number::read` makes it.
    ///
    /// # Examples
    /// ```
    /// use sentral::model::class::{PriceClass, Tariff};
    /// use sentral::model::id::Number;
    /// assert_eq!(Tariff::default().class(&Number::new("+46812345678")), PriceClass::Nordic);
    /// ```
    pub fn class(&self, number: &Number) -> PriceClass {
        let planned = class(number);
        let text = number.as_str();
        if planned == PriceClass::Emergency {
            return planned;
        }
        let fits = self.prefixes.iter().filter(|(prefix, _)| text.starts_with(&***prefix));
        fits.max_by_key(|(prefix, _)| prefix.len()).map_or(planned, |(_, class)| *class)
    }
}

/// Country codes, and codes within +1 and +7, that are named in fraud reports far more often than in business calls:
/// small networks with high termination fees, and the islands of the one-ring call.
pub const HIGH_RISK: &[&str] = &[
    "1242", "1246", "1264", "1268", "1284", "1345", "1441", "1473", "1649", "1658", "1664", "1721", "1758",
    "1767", "1784", "1809", "1829", "1849", "1868", "1869", "1876", "216", "222", "224", "231", "232", "235",
    "236", "239", "240", "242", "243", "245", "246", "247", "248", "252", "253", "257", "261", "263", "265",
    "269", "290", "371", "387", "500", "501", "509", "53", "592", "597", "670", "672", "674", "675", "676",
    "677", "678", "679", "680", "681", "682", "683", "685", "686", "687", "688", "689", "690", "691", "692",
    "7840", "7940", "850", "960",
];

/// +870 Inmarsat; +881 satellite phones; +882, +883 international networks (ITU-T E.164.1).
const SATELLITE: &[&str] = &["870", "881", "882", "883"];

const NORDIC: &[&str] = &["298", "299", "354", "358", "45", "46"];

const EUROPE: &[&str] = &[
    "30", "31", "32", "33", "34", "350", "351", "352", "353", "355", "356", "357", "359", "36", "370", "372",
    "373", "374", "375", "376", "377", "378", "379", "380", "381", "382", "383", "385", "386", "389", "39",
    "40", "41", "420", "421", "423", "43", "44", "48", "49",
];

/// The plan: which class a number in normal form is in.
fn class(number: &Number) -> PriceClass {
    match number::class(number) {
        Class::Emergency => PriceClass::Emergency,
        Class::Special | Class::Harmonised | Class::Provider => PriceClass::Service,
        Class::Directory | Class::Premium => PriceClass::Premium,
        Class::LocationFree => PriceClass::FiveDigit,
        Class::Fixed => PriceClass::Fixed,
        Class::Mobile => PriceClass::Mobile,
        Class::M2m => PriceClass::M2m,
        Class::Free => PriceClass::Free,
        Class::Shared => PriceClass::Shared,
        Class::International => abroad(number.as_str().trim_start_matches('+')),
        // In no public series: whoever takes it takes it as dear.
        Class::Internal => PriceClass::Premium,
    }
}

/// The class of foreign digits.
fn abroad(digits: &str) -> PriceClass {
    let among = |list: &[&str]| list.iter().any(|prefix| digits.starts_with(prefix));
    match () {
        () if digits.starts_with("979") => PriceClass::Premium,
        () if digits.starts_with("800") => PriceClass::Free,
        () if among(SATELLITE) => PriceClass::Satellite,
        () if among(HIGH_RISK) => PriceClass::HighRisk,
        () if among(NORDIC) => PriceClass::Nordic,
        () if among(EUROPE) => PriceClass::Europe,
        () => PriceClass::World,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_its_class() {
        use PriceClass as P;
        let rows = [
            ("112", P::Emergency),
            ("113", P::Emergency),
            ("1412", P::Emergency),
            ("175", P::Service),
            ("116117", P::Service),
            ("194", P::Service),
            ("1881", P::Premium),
            ("02800", P::FiveDigit),
            ("+4722222222", P::Fixed),
            ("+4740000000", P::Mobile),
            ("+4790000000", P::Mobile),
            ("+47580000000000", P::M2m),
            ("+4780022222", P::Free),
            ("+4781022222", P::Shared),
            ("+4781522222", P::Shared),
            ("+4785022222", P::Shared),
            ("+4782022222", P::Premium),
            ("+4782922222", P::Premium),
            ("+4788022222", P::Premium),
            ("+4533333333", P::Nordic),
            ("+35812345678", P::Nordic),
            ("+442012345678", P::Europe),
            ("+491234567890", P::Europe),
            ("+12125550100", P::World),
            ("+861012345678", P::World),
            // Within +1: Jamaica, the Bahamas.
            ("+18765550100", P::HighRisk),
            ("+12425550100", P::HighRisk),
            ("+25261234567", P::HighRisk),
            ("+5371234567", P::HighRisk),
            ("+37167000000", P::HighRisk),
            ("+37060000000", P::Europe),
            ("+881612345678", P::Satellite),
            ("+8821612345678", P::Satellite),
            ("+883510012345", P::Satellite),
            ("+979123456789", P::Premium),
            ("+80012345678", P::Free),
            ("4711", P::Premium),
        ];
        for (number, expect) in rows {
            assert_eq!(Tariff::default().class(&Number::new(number)), expect, "{number}");
        }
    }

    #[test]
    fn only_cheap_national_numbers_are_open_and_international_opens_no_fraud_destinations() {
        let open: Vec<&str> = PriceClass::ALL
            .into_iter()
            .filter(|class| Classes::OPEN.contains(*class))
            .map(PriceClass::as_str)
            .collect();
        assert_eq!(open, ["emergency", "free", "fixed", "mobile", "five_digit", "service", "shared"]);
        let abroad = Classes::OPEN.with(Classes::INTERNATIONAL);
        for class in [PriceClass::HighRisk, PriceClass::Satellite, PriceClass::Premium, PriceClass::M2m] {
            assert!(!abroad.contains(class), "{class:?}");
        }
        assert!(!abroad.without(Classes::only(PriceClass::Nordic)).contains(PriceClass::Nordic));
    }

    #[test]
    fn the_operator_s_longest_prefix_wins_but_never_over_emergency() {
        let mut tariff = Tariff::default();
        tariff.set_prefix("+44".into(), PriceClass::World);
        tariff.set_prefix("+4470".into(), PriceClass::HighRisk);
        tariff.set_prefix("11".into(), PriceClass::Premium);
        tariff.set_price(PriceClass::World, 700);
        assert_eq!(tariff.class(&Number::new("+442012345678")), PriceClass::World);
        assert_eq!(tariff.class(&Number::new("+447012345678")), PriceClass::HighRisk);
        assert_eq!(tariff.class(&Number::new("112")), PriceClass::Emergency);
        assert_eq!(tariff.price(PriceClass::World), 700);
        assert_eq!(tariff.price(PriceClass::Emergency), 0);
    }
}
