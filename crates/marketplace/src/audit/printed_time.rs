//! Reads timestamps as CloudTrail prints them inside an event.
//!
//! AWS's example has `Apr 19, 2018 4:32:50 PM`, with a 12-hour clock and no zone, which is UTC.
//! Other events have RFC 3339, or the date format of HTTP headers. The API has seconds since the
//! epoch, which clients write as `1795255200`, `1795255200.0` or `1.7952552E9`, as a number or as a
//! string. All these forms are read exactly, and no other form is accepted.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The most digits of a number of seconds that are accepted. The limit is this project's: a double
/// has 17 digits.
const DIGITS_MAX: usize = 40;
/// The largest exponent of ten that is accepted, positive or negative. The limit is this project's:
/// the last second that can be represented is 2.5E11.
const EXPONENT_MAX: i32 = 40;
/// Decimal places of a second that are kept. Further places are cut off, so that a time is never
/// rounded up into the next hour.
const NANO_PLACES: i32 = 9;

/// Reads a time from its JSON text: a number, or a string in quotes.
pub(super) fn read_json(json: &str) -> Option<Timestamp> {
    match json.starts_with('"') {
        true => read(&serde_json::from_str::<String>(json).ok()?),
        false => read_seconds(json.trim()),
    }
}

/// Reads a time in any of the forms.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let printed = text.parse().ok();
    printed
        .or_else(|| read_seconds(text))
        .or_else(|| read_printed(text))
        .or_else(|| read_http_date(text))
}

/// Reads seconds since the epoch in decimal, with or without a fraction and an exponent. It uses no
/// float, because an inexact float could lie in another hour.
fn read_seconds(text: &str) -> Option<Timestamp> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) if are_digits(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (unsigned, ""),
    };
    if !are_digits(whole) || whole.len().checked_add(fraction.len())? > DIGITS_MAX {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let places = i32::try_from(fraction.len()).ok()?;
    let shift = exponent.checked_sub(places)?.checked_add(NANO_PLACES)?;
    let nanos = shifted(digits.trim_start_matches('0'), shift)?;
    let nanos = match mantissa.starts_with('-') {
        true => nanos.checked_neg()?,
        false => nanos,
    };
    Timestamp::from_nanosecond(nanos).ok()
}

/// The number with these digits, multiplied by ten to the power of `places`. Places after the
/// decimal point are cut off.
fn shifted(digits: &str, places: i32) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    let by = usize::try_from(places.unsigned_abs()).ok()?;
    let moved = match places.is_negative() {
        true => digits.get(..digits.len().saturating_sub(by))?.to_owned(),
        false => format!("{digits}{}", "0".repeat(by)),
    };
    match moved.as_str() {
        "" => Some(0),
        moved => moved.parse().ok(),
    }
}

fn read_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let exponent: i32 = number(digits)?;
    if exponent > EXPONENT_MAX {
        return None;
    }
    match text.starts_with('-') {
        true => exponent.checked_neg(),
        false => Some(exponent),
    }
}

/// Reads `Sat, 21 Nov 2026 02:00:00 GMT`.
fn read_http_date(text: &str) -> Option<Timestamp> {
    let (weekday, rest) = text.split_once(", ")?;
    if weekday.len() != 3 {
        return None;
    }
    let mut words = rest.split(' ');
    let day: i8 = number(words.next()?)?;
    let month = month(words.next()?)?;
    let year: i16 = number(words.next()?)?;
    let (hour, minute, second) = clock(words.next()?)?;
    if words.next() != Some("GMT") || words.next().is_some() {
        return None;
    }
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

fn month(word: &str) -> Option<i8> {
    let month = MONTHS.iter().position(|name| *name == word)?;
    i8::try_from(month.checked_add(1)?).ok()
}

fn clock(word: &str) -> Option<(i8, i8, i8)> {
    let mut parts = word.splitn(3, ':');
    Some((
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    ))
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Reads `Apr 19, 2018 4:32:50 PM`. Newer Java versions put a narrow no-break space before `AM` or
/// `PM`.
fn read_printed(text: &str) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let month = month(words.next()?)?;
    let day: i8 = number(words.next()?.strip_suffix(',')?)?;
    let year: i16 = number(words.next()?.trim_end_matches(','))?;
    let (hour, minute, second) = clock(words.next()?)?;
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
    are_digits(digits).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests;
