//! Exact quantities: micro-units in a `u64`, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::DECIMAL_CHARS_MAX;

const MICROS_PER_UNIT: u64 = 1_000_000;
const WHOLE_DIGITS_MAX: usize = 10;
const FRACTION_DIGITS_MAX: usize = 6;

/// An amount of usage, exact to a millionth of a unit, from 0 to 9999999999.999999.
///
/// ```
/// use emulator::Quantity;
/// let quantity = Quantity::from_decimal("1.50").expect("six decimals at most");
/// assert_eq!(quantity.to_string(), "1.5");
/// assert_eq!(quantity.micros(), 1_500_000);
/// assert!(Quantity::from_decimal("1e3").is_none());
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Quantity(u64);

impl Quantity {
    /// A quantity of whole units, as in the integer members of the API.
    pub fn from_units(units: u32) -> Quantity {
        Quantity(u64::from(units) * MICROS_PER_UNIT)
    }

    /// A quantity of millionths of a unit. It is not checked against the API's maximum.
    pub fn from_micros(micros: u64) -> Quantity {
        Quantity(micros)
    }

    /// Reads the API model's pattern for decimals, `^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$`. Returns
    /// `None` for any other text.
    pub fn from_decimal(text: &str) -> Option<Quantity> {
        if text.len() > DECIMAL_CHARS_MAX {
            return None;
        }
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        if !all_digits(whole, WHOLE_DIGITS_MAX) || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let mut micros = whole.parse::<u64>().ok()?.checked_mul(MICROS_PER_UNIT)?;
        if let Some(fraction) = fraction {
            if !all_digits(fraction, FRACTION_DIGITS_MAX) {
                return None;
            }
            let mut value = fraction.parse::<u64>().ok()?;
            for _ in fraction.len()..FRACTION_DIGITS_MAX {
                value = value.checked_mul(10)?;
            }
            micros = micros.checked_add(value)?;
        }
        Some(Quantity(micros))
    }

    /// The quantity in millionths of a unit.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// Whether the quantity is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` if it does not fit.
    pub fn checked_add(self, other: Quantity) -> Option<Quantity> {
        self.0.checked_add(other.0).map(Quantity)
    }
}

fn all_digits(text: &str, count_max: usize) -> bool {
    !text.is_empty() && text.len() <= count_max && text.bytes().all(|b| b.is_ascii_digit())
}

/// Prints a decimal number without trailing zeros: `3`, `1.5`, `0.000001`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / MICROS_PER_UNIT;
        let fraction = self.0 % MICROS_PER_UNIT;
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_models_decimals_are_read_exactly_and_print_without_trailing_zeros() {
        for (text, printed) in [
            ("0", "0"),
            ("0.000000", "0"),
            ("17", "17"),
            ("17.0", "17"),
            ("1.5", "1.5"),
            ("0.000001", "0.000001"),
            ("9999999999.999999", "9999999999.999999"),
            ("10.050", "10.05"),
        ] {
            let quantity = Quantity::from_decimal(text);
            assert_eq!(quantity.map(|q| q.to_string()).as_deref(), Some(printed));
        }
    }

    #[test]
    fn a_text_outside_the_models_pattern_is_not_read() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "00",
            "01",
            "-1",
            "+1",
            "1e3",
            "1.0000001",
            "10000000000",
            " 1",
            "1 ",
            "1.5.5",
            "1,5",
            "NaN",
            "٣",
        ] {
            assert_eq!(Quantity::from_decimal(text), None, "{text:?}");
        }
    }
}
