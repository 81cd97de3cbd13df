//! Numbers: what is dialled, what it is, and how it is written.

use sentral::model::id::Number;
use sentral::model::number::Class;
use sentral::model::number::class;
use sentral::model::number::is_emergency;
use sentral::model::number::orgnr_valid;
use sentral::model::number::pretty;
use sentral::model::number::pretty_international;
use sentral::model::number::read;
use sentral::model::number::read_as;
use sentral::model::number::write;
use sentral::model::trunk::NumberFormat;

#[test]
fn what_people_and_carriers_write_is_read_into_one_form() {
    let rows = [
        ("36000100", "+4736000100"),
        // Every habit of spacing.
        ("36 00 01 00", "+4736000100"),
        (" 930-12.345 ", "+4793012345"),
        ("(+47) 36\u{a0}00 01 00", "+4736000100"),
        // Country code in three ways.
        ("+4736000100", "+4736000100"),
        ("004736000100", "+4736000100"),
        ("4736000100", "+4736000100"),
        // 47 begins a mobile number too: eight digits are never cut.
        ("47123456", "+4747123456"),
        // Twelve digits are machines.
        ("580012345678", "+47580012345678"),
        ("+47 5800 1234 5678", "+47580012345678"),
        // Abroad.
        ("0046 8 123 456 78", "+46812345678"),
        ("+44 (0)20 7946 0000", "+442079460000"),
        ("0044 (0)20 7946 0000", "+442079460000"),
        // Short numbers keep their zero and get no country.
        ("02800", "02800"),
        ("+4702800", "02800"),
        ("+47116117", "116117"),
        ("112", "112"),
        ("1881", "1881"),
        ("116 117", "116117"),
        // Extensions.
        ("205", "205"),
        ("4001", "4001"),
        ("47112", "47112"),
        ("4444444", "4444444"),
    ];
    for (given, expect) in rows {
        assert_eq!(read(given).as_ref().map(Number::as_str), Some(expect), "{given}");
        assert_eq!(read(expect).as_ref().map(Number::as_str), Some(expect), "{expect} is not stable");
    }
}

#[test]
fn what_can_be_no_number_is_refused() {
    let rows = [
        "",
        "+",
        "00",
        "0",
        "12",
        "anonymous",
        "*40",
        "36 00 01 0x",
        "3600+0100",
        "++4736000100",
        // 01 is reserved; a leading zero is no trunk prefix.
        "01234",
        "012345",
        "036000100",
        // Eight digits from 0 or 1, eight of the twelve-digit series, nine digits.
        "12345678",
        "58001234",
        "360001001",
        // A country code that does not exist, and too few or too many digits after one.
        "+0123456789",
        "+4712345678",
        "+47360001",
        "+461234",
        "+4612345678901234",
        "00",
        // 47 before anything but eight digits.
        "47580012345678",
        "99999999999999999999999999999999999999",
        // A zero in parentheses with nothing before it.
        "0(0)47",
        "(0)",
    ];
    for given in rows {
        assert_eq!(read(given), None, "{given}");
    }
}

#[test]
fn a_number_is_of_its_series() {
    let rows = [
        ("110", Class::Emergency),
        ("112", Class::Emergency),
        ("113", Class::Emergency),
        ("1412", Class::Emergency),
        ("175", Class::Special),
        ("116117", Class::Harmonised),
        ("1881", Class::Directory),
        ("199", Class::Provider),
        ("02800", Class::LocationFree),
        ("22222222", Class::Fixed),
        ("58 00 12 34 56 78", Class::M2m),
        ("59001234", Class::M2m),
        ("41234567", Class::Mobile),
        ("98765432", Class::Mobile),
        ("80022222", Class::Free),
        ("81022222", Class::Shared),
        ("81522222", Class::Shared),
        ("85022222", Class::Shared),
        ("82022222", Class::Premium),
        ("82922222", Class::Premium),
        ("+4612345678", Class::International),
        ("180", Class::Internal),
        ("101", Class::Special),
        ("205", Class::Internal),
        ("1001", Class::Internal),
    ];
    for (given, expect) in rows {
        assert_eq!(class(&read(given).expect(given)), expect, "{given}");
    }
}

#[test]
fn only_the_three_exact_numbers_are_voice_emergencies() {
    for dialled in ["110", "112", "113"] {
        assert!(is_emergency(dialled));
    }
    for dialled in ["111", "1412", "0112", "1122", "+47112", "02800", "116117", ""] {
        assert!(!is_emergency(dialled), "{dialled}");
    }
}

#[test]
fn numbers_are_written_for_carriers_and_for_people() {
    // Given; E.164, national, double zero; in Norway, abroad.
    let rows = [
        ["36000100", "+4736000100", "36000100", "004736000100", "36 00 01 00", "+47 36 00 01 00"],
        ["93012345", "+4793012345", "93012345", "004793012345", "93 01 23 45", "+47 93 01 23 45"],
        ["80022222", "+4780022222", "80022222", "004780022222", "800 22 222", "+47 800 22 222"],
        ["116117", "116117", "116117", "116117", "116 117", "116 117"],
        ["02800", "02800", "02800", "02800", "02800", "02800"],
        ["112", "112", "112", "112", "112", "112"],
        [
            "+46812345678",
            "+46812345678",
            "0046812345678",
            "0046812345678",
            "+46 81 23 45 678",
            "+46 81 23 45 678",
        ],
        [
            "+15551234567",
            "+15551234567",
            "0015551234567",
            "0015551234567",
            "+1 55 51 23 45 67",
            "+1 55 51 23 45 67",
        ],
        [
            "+35412345678",
            "+35412345678",
            "0035412345678",
            "0035412345678",
            "+354 12 34 56 78",
            "+354 12 34 56 78",
        ],
    ];
    for [given, e164, national, double_zero, home, abroad] in rows {
        let number = read(given).expect(given);
        assert_eq!(write(&number, NumberFormat::E164), e164);
        assert_eq!(write(&number, NumberFormat::National), national);
        assert_eq!(write(&number, NumberFormat::DoubleZero), double_zero);
        assert_eq!(pretty(&number), home);
        assert_eq!(pretty_international(&number), abroad);
    }
}

#[test]
fn an_organisation_number_has_its_check_digit() {
    for valid in ["974760673", "974 760 673", "000 000 000"] {
        assert!(orgnr_valid(valid), "{valid}");
    }
    for wrong in ["974760674", "97476067", "9747606733", "", "97476067x"] {
        assert!(!orgnr_valid(wrong), "{wrong}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_breaks_the_reader_and_its_result_is_stable(text in "\\PC*|[+0-9() -]{0,24}") {
        if let Some(number) = read(&text) {
            proptest::prop_assert_eq!(read(number.as_str()), Some(number.clone()));
            proptest::prop_assert_eq!(read(&pretty(&number)), Some(number.clone()));
            proptest::prop_assert_eq!(read(&pretty_international(&number)), Some(number.clone()));
            for format in [NumberFormat::E164, NumberFormat::National, NumberFormat::DoubleZero] {
                proptest::prop_assert_eq!(read(&write(&number, format)), Some(number.clone()));
            }
        }
    }
}

/// Every series of the plan, in each way in which a carrier may write it to us.
#[test]
fn a_carriers_way_of_writing_decides_what_bare_digits_mean() {
    use NumberFormat::DoubleZero;
    use NumberFormat::E164;
    use NumberFormat::National;
    // Given; read by looking at it, as E.164, as national, as national with 00.
    let rows = [
        // Fixed, mobile, special and machine numbers.
        ("22000000", Some("+4722000000"), Some("+22000000"), Some("+4722000000"), Some("+4722000000")),
        ("4722000000", Some("+4722000000"), Some("+4722000000"), None, None),
        ("+4722000000", Some("+4722000000"), Some("+4722000000"), Some("+4722000000"), Some("+4722000000")),
        ("004722000000", Some("+4722000000"), Some("+4722000000"), Some("+4722000000"), Some("+4722000000")),
        ("47123456", Some("+4747123456"), None, Some("+4747123456"), Some("+4747123456")),
        ("80022222", Some("+4780022222"), Some("+80022222"), Some("+4780022222"), Some("+4780022222")),
        (
            "580012345678",
            Some("+47580012345678"),
            Some("+580012345678"),
            Some("+47580012345678"),
            Some("+47580012345678"),
        ),
        ("47580012345678", None, Some("+47580012345678"), None, None),
        ("46812345678", None, Some("+46812345678"), None, None),
        // Short numbers are the same everywhere, and a leading zero is part of the number.
        ("02000", Some("02000"), Some("02000"), Some("02000"), Some("02000")),
        ("09999", Some("09999"), Some("09999"), Some("09999"), Some("09999")),
        ("+4702000", Some("02000"), Some("02000"), Some("02000"), Some("02000")),
        ("01999", None, None, None, None),
        ("110", Some("110"), Some("110"), Some("110"), Some("110")),
        ("175", Some("175"), Some("175"), Some("175"), Some("175")),
        ("1412", Some("1412"), Some("1412"), Some("1412"), Some("1412")),
        ("1881", Some("1881"), Some("1881"), Some("1881"), Some("1881")),
        ("190", Some("190"), Some("190"), Some("190"), Some("190")),
        ("116117", Some("116117"), Some("116117"), Some("116117"), Some("116117")),
        ("+47116117", Some("116117"), Some("116117"), Some("116117"), Some("116117")),
    ];
    for (given, auto, e164, national, double_zero) in rows {
        let read = |format| read_as(given, format).map(|number| number.to_string());
        assert_eq!(read(None).as_deref(), auto, "{given}");
        assert_eq!(read(Some(E164)).as_deref(), e164, "{given} as E.164");
        assert_eq!(read(Some(National)).as_deref(), national, "{given} as national");
        assert_eq!(read(Some(DoubleZero)).as_deref(), double_zero, "{given} with 00");
    }
}
