//! The names of a trail's folders and files.
//!
//! A trail writes
//! `<folder>/<yyyy>/<mm>/<dd>/<account>_CloudTrail_<region>_<yyyymmddTHHMMZ>_<unique>.json.gz`. The
//! time in a name is the time at which the file was made. A file can have events of any time before
//! that. The order of the names is the order of their times.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span as Stretch, Timestamp};
use runtime::trail::TrailPlace;

/// Returns the folder of a day, with a slash at its end.
pub(super) fn of_day(place: &TrailPlace, day: Date) -> String {
    let (year, month, day) = (day.year(), day.month(), day.day());
    format!("{}/{year:04}/{month:02}/{day:02}/", place.folder)
}

/// Returns a key in a day's folder that sorts before every file that was made in the minute of
/// `from` or later.
pub(super) fn before_files_of(place: &TrailPlace, from: Timestamp) -> String {
    let time = Offset::UTC.to_datetime(from);
    let folder = of_day(place, time.date());
    let (account, region) = (&place.account, &place.region);
    let day = time.date().strftime("%Y%m%d");
    let (hour, minute) = (time.hour(), time.minute());
    format!("{folder}{account}_CloudTrail_{region}_{day}T{hour:02}{minute:02}")
}

/// Returns when a file was made, to the minute, from its name; `None` if it is not the name of a
/// trail's file.
pub(super) fn time_of(key: &str) -> Option<Timestamp> {
    let name = key.rsplit('/').next()?;
    let mut parts = name.rsplitn(3, '_');
    let (_unique, time) = (parts.next()?, parts.next()?);
    let minute = time.strip_suffix('Z')?;
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M", minute)
        .ok()
        .and_then(|minute| Offset::UTC.to_timestamp(minute).ok())
}

/// Returns the UTC day of a time.
pub(super) fn day_of(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// Returns the following day; `None` after the last day that can be represented.
pub(super) fn next_day(day: Date) -> Option<Date> {
    day.checked_add(Stretch::new().days(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> TrailPlace {
        TrailPlace {
            bucket: "example-trail".to_owned(),
            folder: "AWSLogs/222222222222/CloudTrail/us-east-1".to_owned(),
            account: "222222222222".to_owned(),
            region: "us-east-1".to_owned(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn files_are_found_by_the_minute_in_which_they_were_made() {
        let folder = of_day(&place(), day_of(at("2026-03-09T23:59:59Z")));
        assert_eq!(
            folder,
            "AWSLogs/222222222222/CloudTrail/us-east-1/2026/03/09/"
        );
        let before = before_files_of(&place(), at("2026-03-09T07:05:59Z"));
        let file = |time: &str| {
            format!(
                "{folder}222222222222_CloudTrail_us-east-1_20260309T{time}Z_8hE2Vkb1TqU0aYsC.json.gz"
            )
        };
        assert!(before < file("0705") && before > file("0704"), "{before}");
        assert_eq!(time_of(&file("0705")), Some(at("2026-03-09T07:05:00Z")));
        assert_eq!(
            next_day(day_of(at("2026-12-31T07:05:00Z"))),
            Some(day_of(at("2027-01-01T00:00:00Z")))
        );
    }

    #[test]
    fn a_name_that_is_not_a_trails_has_no_time() {
        for key in [
            "",
            "a/b/",
            "notes.txt",
            "a_CloudTrail_b_20261399T0705Z_c.json.gz",
            "a_b_20260309T0705_c.json.gz",
        ] {
            assert_eq!(time_of(key), None, "{key}");
        }
    }
}
