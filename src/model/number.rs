//! The Norwegian numbering plan: reading what people dial, and writing numbers for carriers and people.
//!
//! Source: Nkom's list of number series and the numbering regulation's way of writing. Leaves out porting
//! and prices, and which extensions a company has: a short number that the plan does not know is kept.

use crate::model::id::Number;
use crate::model::trunk::NumberFormat;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 110, 112, 113, and 1412 (emergency by text telephone).
    Emergency,
    /// Other three-digit numbers of 100–179: 145, 175, 177 …
    Special,
    /// 116000–116999, the same all over Europe.
    Harmonised,
    /// 1800–1899: directory enquiries, dear.
    Directory,
    /// 190–199: the carrier's own services.
    Provider,
    /// 02000–09999: five digits, tied to no place.
    LocationFree,
    /// 20–39, 50–57, 60–79.
    Fixed,
    /// 40–49, 90–99.
    Mobile,
    /// 58 (12 digits) and 59: machines.
    M2m,
    /// 800: free to call.
    Free,
    /// 810, 815, 85: not dearer than a mobile number.
    Shared,
    /// 82 and every other 8 series: as dear as it may be.
    Premium,
    /// Any other country.
    International,
    /// Short and in no public series: an extension, or nothing.
    Internal,
}

/// Reads what a person dials or a carrier sends; `None` for what can be no number.
///
/// Spaces, dashes, dots, slashes and parentheses may stand anywhere. The result is E.164 with `+` for
/// Norwegian 8- and 12-digit numbers and for foreign ones; short numbers and extensions stay as they are.
/// Service codes (`*40`) are not numbers.
///
/// # Examples
/// ```
/// use sentral::model::number::read;
/// let normal = |text| read(text).map(|number| number.to_string());
/// assert_eq!(normal("36 00 01 00").as_deref(), Some("+4736000100"));
/// assert_eq!(normal("0046 8 123 456 78").as_deref(), Some("+46812345678"));
/// assert_eq!(normal("02800").as_deref(), Some("02800"));
/// ```
pub fn read(text: &str) -> Option<Number> {
    let (international, digits) = digits(text)?;
    let normal = if international {
        match digits.strip_prefix("47") {
            Some(rest) if is_long(rest) => format!("+47{rest}"),
            // Carriers send five-digit and harmonised numbers with the country in front.
            Some(rest) if is_public_short(rest) => rest.to_owned(),
            Some(_) => return None,
            None if digits.starts_with('0') || !(7..=15).contains(&digits.len()) => return None,
            None => format!("+{digits}"),
        }
    } else if is_long(&digits) {
        format!("+47{digits}")
    } else if let Some(rest) = digits.strip_prefix("47")
        && rest.len() == 8
        && is_long(rest)
    {
        format!("+47{rest}")
    } else if is_public_short(&digits) || is_internal(&digits) {
        digits
    } else {
        return None;
    };
    Some(Number::new(&normal))
}

/// Reads what a carrier sends, when it is known how it writes; `None` for what can be no number.
///
/// In E.164 every number but a short one has its country in front, with or without `+`. In the other two forms a
/// number without `+` or `00` is Norwegian as it stands: ten digits that begin with 47 are not one.
pub fn read_as(text: &str, format: Option<NumberFormat>) -> Option<Number> {
    let Some(format) = format else { return read(text) };
    let (international, bare) = digits(text)?;
    match format {
        _ if international => read(text),
        NumberFormat::E164 if is_public_short(&bare) => Some(Number::new(&bare)),
        NumberFormat::E164 => read(&format!("+{bare}")),
        NumberFormat::National | NumberFormat::DoubleZero if bare.len() == 10 => None,
        NumberFormat::National | NumberFormat::DoubleZero => read(&bare),
    }
}

/// The digits of `text`, and whether an international prefix (`+` or `00`) stood before them.
fn digits(text: &str) -> Option<(bool, String)> {
    let mut plus = false;
    let mut digits = String::new();
    for c in text.trim().chars() {
        match c {
            '0'..='9' if digits.len() < 20 => digits.push(c),
            '+' if !plus && digits.is_empty() => plus = true,
            '-' | '‐' | '‑' | '–' | '.' | '/' | '(' | ')' => {}
            c if c.is_whitespace() => {}
            _ => return None,
        }
    }
    if plus || digits.starts_with("00") {
        if !plus {
            digits.drain(..2);
        }
        // `+44 (0)20 …`: the zero in parentheses is dialled only inside that country.
        if let Some((before, _)) = text.split_once("(0)") {
            let at = before.chars().filter(char::is_ascii_digit).count();
            digits.remove(if plus { at } else { at.checked_sub(2)? });
        }
        return Some((true, digits));
    }
    Some((false, digits))
}

/// Whether it is a Norwegian 8- or 12-digit number, without country code.
fn is_long(digits: &str) -> bool {
    match digits.len() {
        8 => !digits.starts_with(['0', '1']) && !digits.starts_with("58"),
        12 => digits.starts_with("58"),
        _ => false,
    }
}

/// Whether it is in a public series of short numbers.
fn is_public_short(digits: &str) -> bool {
    !matches!(short_class(digits), Class::Internal)
}

/// Whether it can be an extension: three to seven digits. Those from 1 on are read too, since short plans use them.
fn is_internal(digits: &str) -> bool {
    (3..=7).contains(&digits.len()) && !digits.starts_with('0')
}

fn short_class(digits: &str) -> Class {
    let value: u32 = digits.parse().unwrap_or(u32::MAX);
    match (digits.len(), value) {
        (3, 110 | 112 | 113) | (4, 1412) => Class::Emergency,
        (3, 100..=115 | 117..=179) => Class::Special,
        (3, 190..=199) => Class::Provider,
        (4, 1800..=1899) => Class::Directory,
        (5, 2000..=9999) => Class::LocationFree,
        (6, 116_000..=116_999) => Class::Harmonised,
        _ => Class::Internal,
    }
}

/// Which series a number in normal form belongs to.
pub fn class(number: &Number) -> Class {
    let Some(international) = number.as_str().strip_prefix('+') else {
        return short_class(number.as_str());
    };
    let Some(norwegian) = international.strip_prefix("47") else {
        return Class::International;
    };
    match norwegian.as_bytes() {
        [b'5', b'8' | b'9', ..] => Class::M2m,
        [b'2' | b'3' | b'5' | b'6' | b'7', ..] => Class::Fixed,
        [b'4' | b'9', ..] => Class::Mobile,
        [b'8', b'0', b'0', ..] => Class::Free,
        [b'8', b'1', b'0' | b'5', ..] | [b'8', b'5', ..] => Class::Shared,
        [b'8', ..] => Class::Premium,
        // Not in normal form: `read` gives no such number.
        _ => Class::Internal,
    }
}

/// Whether this is, exactly as dialled, a voice emergency number: 110, 112 or 113.
pub fn is_emergency(dialled: &str) -> bool {
    matches!(dialled, "110" | "112" | "113")
}

/// Writes a number in normal form as a carrier wants it. Short numbers are the same in every format.
pub fn write(number: &Number, format: NumberFormat) -> String {
    let text = number.as_str();
    match (text.strip_prefix('+'), format) {
        (None, _) | (Some(_), NumberFormat::E164) => text.to_owned(),
        (Some(digits), NumberFormat::DoubleZero) => format!("00{digits}"),
        (Some(digits), NumberFormat::National) => match digits.strip_prefix("47") {
            Some(national) => national.to_owned(),
            None => format!("00{digits}"),
        },
    }
}

/// Writes a number for Norwegian readers: `36 00 01 00`, `800 22 222`, `116 117`, `02800`, `+46 81 23 45 67`.
pub fn pretty(number: &Number) -> String {
    match country(number) {
        Some(("47", national)) => groups(national).join(" "),
        Some(_) => pretty_international(number),
        None => groups(number.as_str()).join(" "),
    }
}

/// Writes a number for readers abroad: as [`pretty`] with the country code, `+47 36 00 01 00`.
pub fn pretty_international(number: &Number) -> String {
    match country(number) {
        Some((code, national)) => format!("+{code} {}", groups(national).join(" ")),
        None => pretty(number),
    }
}

/// Cuts a number in E.164 into its country code and the rest; `None` for short numbers.
pub fn country(number: &Number) -> Option<(&str, &str)> {
    let digits = number.as_str().strip_prefix('+')?;
    // ITU-T E.164: one digit for zones 1 and 7, two for these, three for all others.
    let two = matches!(
        digits.get(..2)?.parse().unwrap_or(0),
        20 | 27 | 30..=34 | 36 | 39 | 40 | 41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98
    );
    let length = match digits.as_bytes().first()? {
        b'1' | b'7' => 1,
        _ if two => 2,
        _ => 3,
    };
    digits.split_at_checked(length)
}

/// The groups in which national or short digits are written: pairs, with three first in the 8 series, and
/// three last when they are odd in number.
pub fn groups(digits: &str) -> Vec<&str> {
    let cut = |lengths: &[usize]| {
        let mut rest = digits;
        lengths
            .iter()
            .map(|&length| {
                let (group, after) = rest.split_at(length);
                rest = after;
                group
            })
            .collect()
    };
    match digits.len() {
        _ if !digits.is_ascii() => vec![digits],
        0..=5 => vec![digits],
        6 if digits.starts_with("116") => cut(&[3, 3]),
        8 if digits.starts_with('8') => cut(&[3, 2, 3]),
        length => {
            let mut lengths = vec![2; length / 2];
            if length % 2 == 1
                && let Some(last) = lengths.last_mut()
            {
                *last = 3;
            }
            cut(&lengths)
        }
    }
}

/// Whether an organisation number has nine digits and the right check digit (modulus 11). Spaces are allowed.
pub fn orgnr_valid(text: &str) -> bool {
    let digits: Option<Vec<u32>> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(10)).collect();
    let Some([first @ .., check]) = digits.as_deref() else {
        return false;
    };
    let sum: u32 = first.iter().zip([3, 2, 7, 6, 5, 4, 3, 2]).map(|(digit, weight)| digit * weight).sum();
    // A remainder of 1 would need the check digit 10: such numbers are not given out.
    first.len() == 8 && (11 - sum % 11) % 11 == *check
}
