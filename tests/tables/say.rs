//! Saying numbers, times and dates, against a reference written the long way.

use jiff::civil::date;
use sentral::model::id::Number;
use sentral::model::server::Language;
use sentral::switch::say::Gender;
use sentral::switch::say::What;
use sentral::switch::say::say;
use sentral::switch::say::text;
use sentral::switch::say::words;

const NB: Language = Language::Nb;
const EN: Language = Language::En;

fn number(n: u64) -> What<'static> {
    What::Number { n, gender: Gender::Common }
}

fn ids(language: Language, what: &What) -> String {
    say(language, what).join(" ")
}

#[test]
fn numbers_to_a_thousand_agree_with_the_reference() {
    assert_eq!((text(NB, &number(1000)), text(EN, &number(1000))), ("tusen".into(), "one thousand".into()));
    for n in 0..1000 {
        assert_eq!(text(NB, &number(n)), reference_nb(n, "én", "en"));
        assert_eq!(text(NB, &What::Number { n, gender: Gender::Neuter }), reference_nb(n, "ett", "ett"));
        assert_eq!(text(EN, &number(n)), reference_en(n));
        assert_eq!(text(EN, &What::Number { n, gender: Gender::Neuter }), reference_en(n));
    }
}

/// Splits off what has a word, largest first; `one` stands alone, `joined_one` after twenty and so on.
fn reference_nb(n: u64, one: &str, joined_one: &str) -> String {
    let small = "null,én,to,tre,fire,fem,seks,sju,åtte,ni,ti,elleve,tolv,tretten,fjorten,femten,seksten,sytten,atten,nitten";
    let tens = ",,tjue,tretti,førti,femti,seksti,sytti,åtti,nitti";
    let small: Vec<&str> = small.split(',').collect();
    let tens: Vec<&str> = tens.split(',').collect();
    let below = |n: u64| match n {
        1 => one.to_owned(),
        0..20 => small[n as usize].to_owned(),
        _ if n.is_multiple_of(10) => tens[n as usize / 10].to_owned(),
        _ if n % 10 == 1 => tens[n as usize / 10].to_owned() + joined_one,
        _ => tens[n as usize / 10].to_owned() + small[n as usize % 10],
    };
    match (n / 100, n % 100) {
        (0, _) => below(n),
        (1, 0) => "hundre".into(),
        (1, rest) => format!("ett hundre og {}", below(rest)),
        (hundreds, 0) => format!("{} hundre", small[hundreds as usize]),
        (hundreds, rest) => format!("{} hundre og {}", small[hundreds as usize], below(rest)),
    }
}

fn reference_en(n: u64) -> String {
    let small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen \
        sixteen seventeen eighteen nineteen";
    let small: Vec<&str> = small.split_whitespace().collect();
    let tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    if n >= 100 {
        let hundreds = format!("{} hundred", small[n as usize / 100]);
        return if n.is_multiple_of(100) {
            hundreds
        } else {
            format!("{hundreds} and {}", reference_en(n % 100))
        };
    }
    match n {
        0..20 => small[n as usize].to_owned(),
        _ if n.is_multiple_of(10) => tens[n as usize / 10].to_owned(),
        _ => format!("{}-{}", tens[n as usize / 10], small[n as usize % 10]),
    }
}

#[test]
fn large_numbers_take_their_ones_and_ands_where_they_belong() {
    let rows = [
        (1000, "tusen", "one thousand"),
        (1001, "ett tusen og én", "one thousand and one"),
        (1100, "ett tusen ett hundre", "one thousand one hundred"),
        (2005, "to tusen og fem", "two thousand and five"),
        (2021, "to tusen og tjueen", "two thousand and twenty-one"),
        (2342, "to tusen tre hundre og førtito", "two thousand three hundred and forty-two"),
        (10_000, "ti tusen", "ten thousand"),
        (21_000, "tjueett tusen", "twenty-one thousand"),
        (100_000, "hundre tusen", "one hundred thousand"),
        (101_000, "ett hundre og ett tusen", "one hundred and one thousand"),
        (1_000_000, "én million", "one million"),
        (1_000_001, "én million og én", "one million and one"),
        (1_001_000, "én million ett tusen", "one million one thousand"),
        (1_100_100, "én million ett hundre tusen ett hundre", "one million one hundred thousand one hundred"),
        (21_000_000, "tjueen millioner", "twenty-one million"),
        (
            1_000_000_000,
            "én null null null null null null null null null",
            "one zero zero zero zero zero zero zero zero zero",
        ),
    ];
    for (n, nb, en) in rows {
        assert_eq!(text(NB, &number(n)), nb);
        assert_eq!(text(EN, &number(n)), en);
    }
}

#[test]
fn what_is_counted_decides_the_gender() {
    let rows = [
        (0, "null sekunder", "zero seconds"),
        (1, "ett sekund", "one second"),
        (61, "ett minutt og ett sekund", "one minute and one second"),
        (141, "to minutter og tjueett sekunder", "two minutes and twenty-one seconds"),
        (3600, "én time", "one hour"),
        (7_321, "to timer to minutter og ett sekund", "two hours two minutes and one second"),
        (75_660, "tjueen timer og ett minutt", "twenty-one hours and one minute"),
    ];
    for (seconds, nb, en) in rows {
        assert_eq!(text(NB, &What::Duration { seconds }), nb);
        assert_eq!(text(EN, &What::Duration { seconds }), en);
    }
    assert_eq!(ids(NB, &What::Number { n: 31, gender: Gender::Neuter }), "num/31-neuter");
    assert_eq!(ids(EN, &What::Number { n: 31, gender: Gender::Neuter }), "num/31");
}

#[test]
fn telephone_numbers_are_read_in_groups() {
    let rows = [
        ("+4736000100", "tre seks, null null, null én, null null"),
        // Mobile numbers three, two, three.
        ("+4793012345", "ni tre null, én to, tre fire fem"),
        ("+4780022222", "åtte null null, to to, to to to"),
        ("116117", "én én seks, én én sju"),
        ("02800", "null to åtte null null"),
        ("+46812345", "pluss fire seks, åtte én, to tre, fire fem"),
    ];
    for (phone, nb) in rows {
        assert_eq!(text(NB, &What::Phone(&Number::new(phone))), nb);
    }
    assert_eq!(text(EN, &What::Digits("1*0#+x")), "one star zero hash plus");
}

#[test]
fn times_and_dates_are_said_as_people_say_them() {
    let rows = [
        ((8, 0), "klokken åtte", "at eight"),
        ((8, 30), "klokken åtte tretti", "at eight thirty"),
        ((14, 5), "klokken fjorten null fem", "at fourteen zero five"),
        ((1, 0), "klokken ett", "at one"),
        ((0, 0), "klokken null null", "at zero zero"),
        ((0, 15), "klokken null null femten", "at zero zero fifteen"),
        ((1, 1), "klokken ett null én", "at one zero one"),
        ((12, 10), "klokken tolv ti", "at twelve ten"),
        ((21, 21), "klokken tjueen tjueen", "at twenty-one twenty-one"),
        ((23, 59), "klokken tjuetre femtini", "at twenty-three fifty-nine"),
    ];
    for ((hour, minute), nb, en) in rows {
        assert_eq!(text(NB, &What::Time { hour, minute }), nb);
        assert_eq!(text(EN, &What::Time { hour, minute }), en);
    }
    let today = date(2026, 7, 17);
    let rows = [
        (date(2026, 7, 20), "mandag tjuende juli", "Monday the twentieth of July"),
        (date(2026, 12, 31), "torsdag trettiførste desember", "Thursday the thirty-first of December"),
        (today, "i dag", "today"),
        (date(2026, 7, 18), "i morgen", "tomorrow"),
        (date(2026, 7, 16), "i går", "yesterday"),
    ];
    for (date, nb, en) in rows {
        assert_eq!(text(NB, &What::Date { date, today }), nb);
        assert_eq!(text(EN, &What::Date { date, today }), en);
    }
    let rows = [
        (date(2026, 7, 17), "Vi åpner igjen i dag klokken åtte", "We open again today at eight"),
        (date(2026, 7, 18), "Vi åpner igjen i morgen klokken åtte", "We open again tomorrow at eight"),
        (date(2026, 7, 20), "Vi åpner igjen mandag klokken åtte", "We open again on Monday at eight"),
        (
            date(2026, 8, 3),
            "Vi åpner igjen mandag tredje august klokken åtte",
            "We open again on Monday the third of August at eight",
        ),
    ];
    for (day, nb, en) in rows {
        let what = What::OpenAgain { at: day.at(8, 0, 0, 0), now: today.at(6, 0, 0, 0) };
        assert_eq!(text(NB, &what), nb);
        assert_eq!(text(EN, &what), en);
    }
}

#[test]
fn the_days_of_a_month_are_said_in_order() {
    let nb = "første andre tredje fjerde femte sjette sjuende åttende niende tiende ellevte tolvte trettende fjortende \
              femtende sekstende syttende attende nittende tjuende tjueførste tjueandre tjuetredje tjuefjerde \
              tjuefemte tjuesjette tjuesjuende tjueåttende tjueniende trettiende trettiførste";
    let en = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth \
              fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third \
              twenty-fourth twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first";
    for (day, (nb, en)) in (1..).zip(nb.split_whitespace().zip(en.split_whitespace())) {
        assert_eq!((text(NB, &What::Ordinal(day)), text(EN, &What::Ordinal(day))), (nb.into(), en.into()));
    }
}

#[test]
fn queue_and_voicemail_phrases_fit_their_numbers() {
    let rows = [
        (What::Position(1), "queue/you-are-next"),
        (What::Position(3), "queue/position-pre num/3 queue/position-post"),
        (What::Position(21), "queue/position-pre num/21 queue/position-post"),
        (What::Messages { new: 0, old: 0 }, "vm/you-have vm/none"),
        (What::Messages { new: 1, old: 0 }, "vm/you-have vm/new-one"),
        (What::Messages { new: 0, old: 1 }, "vm/you-have vm/old-one"),
        (What::Messages { new: 2, old: 1 }, "vm/you-have num/2 vm/new-many num/and vm/old-one"),
        (What::Ordinal(3), "ord/3"),
        (What::Ordinal(32), "num/32"),
    ];
    for (what, expect) in rows {
        assert_eq!(ids(NB, &what), expect);
    }
}

#[test]
fn every_prompt_that_is_said_has_words() {
    let date = date(2026, 1, 1);
    let mut all: Vec<What> = (0..1000).map(|n| What::Number { n, gender: Gender::Neuter }).collect();
    all.extend((0..=31).map(What::Ordinal));
    all.extend(
        (0..400)
            .map(|days| What::Date { date: date.saturating_add(jiff::Span::new().days(days)), today: date }),
    );
    all.extend([
        number(2_000_000),
        What::Digits("+*#"),
        What::Duration { seconds: 3661 },
        What::Duration { seconds: 7322 },
    ]);
    all.extend([What::Position(2), What::Messages { new: 2, old: 2 }]);
    for language in [NB, EN] {
        for id in all.iter().flat_map(|what| say(language, what)) {
            assert_ne!(words(language, &id), &*id);
        }
    }
}
