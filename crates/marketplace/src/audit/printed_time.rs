//! Timestamps as CloudTrail prints them inside an event.
//!
//! AWS's example has `Apr 19, 2018 4:32:50 PM`, twelve hours and no zone, which is UTC; other events
//! carry RFC 3339; the wire has seconds since the epoch. All three are read, and nothing else.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads a printed time.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| read_printed(text))
}

/// `Apr 19, 2018 4:32:50 PM`. Newer Java puts a narrow no-break space before the half of the day.
fn read_printed(text: &str) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = i8::try_from(month.checked_add(1)?).ok()?;
    let day: i8 = number(words.next()?.strip_suffix(',')?)?;
    let year: i16 = number(words.next()?.trim_end_matches(','))?;
    let mut clock = words.next()?.splitn(3, ':');
    let hour: i8 = number(clock.next()?)?;
    let minute: i8 = number(clock.next()?)?;
    let second: i8 = number(clock.next()?)?;
    let half = words.next()?;
    if words.next().is_some() || !(1..=12).contains(&hour) {
        return None;
    }
    let hour = match (half, hour) {
        ("AM", 12) => 0,
        ("AM", hour) => hour,
        ("PM", 12) => 12,
        ("PM", hour) => hour.checked_add(12)?,
        _ => return None,
    };
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
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
        fn no_text_makes_the_reader_panic(
            text in ".{0,40}",
            month in "Jan|Feb|Dec|[A-Z][a-z]{2}", day in "-?[0-9]{1,12}", year in "-?[0-9]{1,12}",
            clock in "[0-9]{1,20}(:[0-9]{1,20}){0,3}", half in "AM|PM|.{0,3}",
        ) {
            let _time = read(&text);
            let _time = read(&format!("{month} {day}, {year} {clock} {half}"));
        }
    }

    #[test]
    fn both_forms_are_read_and_nothing_is_guessed() {
        for (printed, time) in [
            ("Apr 19, 2018 4:32:50 PM", "2018-04-19T16:32:50Z"),
            ("Apr 19, 2018, 4:32:50 PM", "2018-04-19T16:32:50Z"),
            ("Nov 21, 2026 12:00:00\u{202f}AM", "2026-11-21T00:00:00Z"),
            ("Nov 21, 2026 12:05:00 PM", "2026-11-21T12:05:00Z"),
            ("2026-11-21T02:00:00Z", "2026-11-21T02:00:00Z"),
            ("2026-11-21T02:00:00.5+01:00", "2026-11-21T01:00:00.5Z"),
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
        ] {
            assert_eq!(read(printed), None, "{printed}");
        }
    }
}
