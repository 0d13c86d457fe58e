use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_printed_time_is_read_back(second in 0_i64..4_000_000_000, comma in any::<bool>()) {
        let time = Timestamp::from_second(second).unwrap();
        let parts = Offset::UTC.to_datetime(time);
        let (half, hour) = match parts.hour() {
            0 => ("AM", 12),
            hour @ 1..12 => ("AM", hour),
            12 => ("PM", 12),
            hour => ("PM", hour - 12),
        };
        let printed = format!(
            "{} {}, {}{} {hour}:{:02}:{:02} {half}",
            MONTHS[usize::try_from(parts.month()).unwrap() - 1],
            parts.day(),
            parts.year(),
            if comma { "," } else { "" },
            parts.minute(),
            parts.second(),
        );
        prop_assert_eq!(read(&printed), Some(time), "{}", printed);
        prop_assert_eq!(read(&time.to_string()), Some(time));
    }

    #[test]
    fn seconds_are_read_to_the_digit(
        whole in 0_i64..4_000_000_000, nanos in 0_i32..1_000_000_000, exponent in -8_i32..=9,
    ) {
        let time = Timestamp::new(whole, nanos).unwrap();
        let digits = format!("{whole}{nanos:09}");
        let written = format!("{digits}.0e{}", -9);
        prop_assert_eq!(read_json(&written), Some(time), "{}", written);
        let plain = format!("{whole}.{nanos:09}");
        prop_assert_eq!(read_json(&plain), Some(time), "{}", plain);
        prop_assert_eq!(read_json(&format!("\"{plain}\"")), Some(time), "{}", plain);
        // The decimal point may be anywhere if the exponent makes up for it.
        let padded = format!("{:0>20}", digits);
        let at = usize::try_from(11 - exponent).unwrap();
        let moved = format!("{}.{}E{exponent}", &padded[..at], &padded[at..]);
        prop_assert_eq!(read_json(&moved), Some(time), "{}", moved);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in ".{0,40}",
        month in "Jan|Feb|Dec|[A-Z][a-z]{2}", day in "-?[0-9]{1,12}", year in "-?[0-9]{1,12}",
        clock in "[0-9]{1,20}(:[0-9]{1,20}){0,3}", half in "AM|PM|.{0,3}",
    ) {
        let _time = read(&text);
        let _time = read_json(&text);
        let _time = read_json(&format!("{day}.{year}E{clock}"));
        let _time = read(&format!("{month} {day}, {year} {clock} {half}"));
    }
}

#[test]
fn every_form_is_read_and_nothing_is_guessed() {
    for (printed, time) in [
        ("Apr 19, 2018 4:32:50 PM", "2018-04-19T16:32:50Z"),
        ("Apr 19, 2018, 4:32:50 PM", "2018-04-19T16:32:50Z"),
        ("Nov 21, 2026 12:00:00\u{202f}AM", "2026-11-21T00:00:00Z"),
        ("Nov 21, 2026 12:05:00 PM", "2026-11-21T12:05:00Z"),
        ("2026-11-21T02:00:00Z", "2026-11-21T02:00:00Z"),
        ("2026-11-21T02:00:00.5+01:00", "2026-11-21T01:00:00.5Z"),
        ("Nov 21, 2026, 2:00:00 AM", "2026-11-21T02:00:00Z"),
        ("Sat, 21 Nov 2026 02:00:00 GMT", "2026-11-21T02:00:00Z"),
        ("1795226400", "2026-11-21T02:00:00Z"),
        ("1795226400.0", "2026-11-21T02:00:00Z"),
        ("1.7952264E9", "2026-11-21T02:00:00Z"),
        ("1.7952264e+09", "2026-11-21T02:00:00Z"),
        ("17952264000000e-4", "2026-11-21T02:00:00Z"),
        ("1795229999.9999999999999", "2026-11-21T02:59:59.999999999Z"),
        ("0", "1970-01-01T00:00:00Z"),
        ("0.0E0", "1970-01-01T00:00:00Z"),
        ("-0.5", "1969-12-31T23:59:59.5Z"),
    ] {
        assert_eq!(read(printed), Some(time.parse().unwrap()), "{printed}");
    }
    for printed in [
        "",
        "Nov 21, 2026 13:00:00 PM",
        "Nov 31, 2026 1:00:00 PM",
        "Nov 21, 2026 1:00 PM",
        "Nov +21, 2026 1:00:00 PM",
        "21.11.2026 01:00:00",
        "Nov 21, 2026 1:00:00 PM PST",
        "2026-11-21T02:00:00",
        "1795226400000",
        "1.7952264E99999999999",
        "1.7952264E41",
        "1.7952264E",
        "1795226400.",
        ".5",
        "--5",
        "+1795226400",
        "NaN",
        "Sat, 21 Nov 2026 02:00:00 PST",
        "Sat, 31 Nov 2026 02:00:00 GMT",
    ] {
        assert_eq!(read(printed), None, "{printed}");
    }
}
