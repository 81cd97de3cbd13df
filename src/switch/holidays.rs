//! The Norwegian calendar: public holidays and other named days of a year, computed.
//!
//! Source: helligdagsfredloven § 2 and the act on 1 and 17 May. Easter is the Gregorian computus, never a
//! table. Leaves out other countries; nothing moves to a Monday and no region has days of its own.

use std::fmt;

use jiff::civil::Date;

/// Names a public holiday; written as in the configuration (`mai17`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolidayId(&'static str);

impl HolidayId {
    /// The id as written in the configuration.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for HolidayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A public holiday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holiday {
    /// Its id.
    pub id: HolidayId,
    /// Its Norwegian name.
    pub nb: &'static str,
    /// Its English name.
    pub en: &'static str,
    rule: Rule,
}

/// A day that people treat alike each year without its being a public holiday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedDay {
    /// Its id as written in the configuration (`julaften`).
    pub id: &'static str,
    /// Its Norwegian name.
    pub nb: &'static str,
    /// Its English name.
    pub en: &'static str,
    rule: Rule,
}

impl NamedDay {
    /// Whether it is a stretch of days (`romjul`, `fellesferie`) rather than one.
    pub fn is_period(&self) -> bool {
        match self.rule {
            Rule::Fixed(..) | Rule::Easter(_) => false,
            Rule::Days(..) | Rule::Weeks(..) => true,
        }
    }
}

/// When a day falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Month, day.
    Fixed(i8, i8),
    /// Days after Easter Sunday.
    Easter(i16),
    /// Month, first and last day.
    Days(i8, i8, i8),
    /// First and last ISO week.
    Weeks(i8, i8),
}

const fn holiday(id: &'static str, nb: &'static str, en: &'static str, rule: Rule) -> Holiday {
    Holiday { id: HolidayId(id), nb, en, rule }
}

const fn named(id: &'static str, nb: &'static str, en: &'static str, rule: Rule) -> NamedDay {
    NamedDay { id, nb, en, rule }
}

/// Every public holiday, in the order in which names are joined when two fall on one day.
pub static HOLIDAYS: [Holiday; 12] = [
    holiday("nyttarsdag", "1. nyttårsdag", "New Year's Day", Rule::Fixed(1, 1)),
    holiday("skjaertorsdag", "Skjærtorsdag", "Maundy Thursday", Rule::Easter(-3)),
    holiday("langfredag", "Langfredag", "Good Friday", Rule::Easter(-2)),
    holiday("paske1", "1. påskedag", "Easter Sunday", Rule::Easter(0)),
    holiday("paske2", "2. påskedag", "Easter Monday", Rule::Easter(1)),
    holiday("mai1", "1. mai", "Labour Day", Rule::Fixed(5, 1)),
    holiday("mai17", "Grunnlovsdagen", "Constitution Day", Rule::Fixed(5, 17)),
    holiday("himmelfart", "Kristi himmelfartsdag", "Ascension Day", Rule::Easter(39)),
    holiday("pinse1", "1. pinsedag", "Whit Sunday", Rule::Easter(49)),
    holiday("pinse2", "2. pinsedag", "Whit Monday", Rule::Easter(50)),
    holiday("jul1", "1. juledag", "Christmas Day", Rule::Fixed(12, 25)),
    holiday("jul2", "2. juledag", "Boxing Day", Rule::Fixed(12, 26)),
];

/// Every named day that is no public holiday.
pub static NAMED_DAYS: [NamedDay; 8] = [
    named("palmesondag", "Palmesøndag", "Palm Sunday", Rule::Easter(-7)),
    named(
        "onsdag_for_skjaertorsdag",
        "Onsdag før skjærtorsdag",
        "Wednesday before Maundy Thursday",
        Rule::Easter(-4),
    ),
    named("paskeaften", "Påskeaften", "Holy Saturday", Rule::Easter(-1)),
    named("pinseaften", "Pinseaften", "Whit Saturday", Rule::Easter(48)),
    named("julaften", "Julaften", "Christmas Eve", Rule::Fixed(12, 24)),
    named("romjul", "Romjulen", "between Christmas and New Year", Rule::Days(12, 27, 30)),
    named("nyttarsaften", "Nyttårsaften", "New Year's Eve", Rule::Fixed(12, 31)),
    named("fellesferie", "Fellesferien", "the general holiday", Rule::Weeks(28, 30)),
];

/// The public holidays on a date: none, one, or two.
pub fn on(date: Date) -> Vec<&'static Holiday> {
    let days = days_after_easter(date);
    HOLIDAYS.iter().filter(|holiday| holiday.rule.matches(date, days)).collect()
}

/// The named days on a date that are no public holidays; none or one.
pub fn named_days(date: Date) -> Vec<&'static NamedDay> {
    let days = days_after_easter(date);
    NAMED_DAYS.iter().filter(|day| day.rule.matches(date, days)).collect()
}

/// Easter Sunday of a year, which is taken to lie in 1583–9999 (Gregorian computus after Meeus, Jones and Butcher).
pub fn easter(year: i16) -> Date {
    let year = year.clamp(1583, 9999);
    let (month, day) = easter_month_day(year);
    Date::constant(year, month, day)
}

fn easter_month_day(year: i16) -> (i8, i8) {
    let year = i32::from(year);
    let golden = year % 19;
    let (century, of_century) = (year / 100, year % 100);
    let moon = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - moon + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - epact - of_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let sum = epact + weekday - 7 * late + 114;
    // March or April and a day of it, so both fit.
    ((sum / 31) as i8, (sum % 31 + 1) as i8)
}

/// Days from Easter Sunday to `date`, negative before it.
fn days_after_easter(date: Date) -> i16 {
    let (month, day) = easter_month_day(date.year());
    let easter = if month == 3 { 59 } else { 90 } + i16::from(day) + i16::from(date.in_leap_year());
    date.day_of_year() - easter
}

impl Rule {
    fn matches(self, date: Date, days_after_easter: i16) -> bool {
        match self {
            Rule::Fixed(month, day) => date.month() == month && date.day() == day,
            Rule::Easter(days) => days_after_easter == days,
            Rule::Days(month, first, last) => date.month() == month && (first..=last).contains(&date.day()),
            Rule::Weeks(first, last) => {
                // Outside June to August no ISO week 28–30 can fall; the week number itself is dear.
                (6..=8).contains(&date.month()) && (first..=last).contains(&date.iso_week_date().week())
            }
        }
    }
}
