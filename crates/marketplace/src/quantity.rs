//! Exact quantities: micro-units in integers, never a float.
//!
//! Fact: M12 (docs/marketplace-rules.md).

use std::fmt;
use std::str::FromStr;

use crate::limits::{MICROS_PER_UNIT, QUANTITY_INTEGER_MAX, QUANTITY_MICROS_MAX};
use crate::text::excerpt;

/// The characters of a wrong text that an error shows. The limit is this project's.
const EXCERPT_CHARS_MAX: usize = 60;

/// A quantity that a record can hold: 0 to 9999999999.999999, six decimals, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(u64);

/// The reason why a text or a number is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// The text is not a decimal number.
    #[error(
        "quantity {0:?} is not a decimal number: write digits with at most one point, as in \"1.5\""
    )]
    NotANumber(String),
    /// The number is below zero. AWS Marketplace bills no negative usage.
    #[error(
        "quantity {0:?} is negative: usage cannot be taken back, claim a billing adjustment instead"
    )]
    Negative(String),
    /// The number has more than six decimals.
    #[error("quantity {0:?} has more than 6 decimals: round it where it is measured")]
    TooPrecise(String),
    /// The number is above 9999999999.999999.
    #[error("quantity {0:?} is above 9999999999.999999: split it over several events")]
    TooLarge(String),
}

impl Quantity {
    /// A quantity of zero.
    pub const ZERO: Self = Self(0);
    /// The largest quantity that a record can hold.
    pub const MAX: Self = Self(QUANTITY_MICROS_MAX);

    /// A quantity from its number of micro-units; `None` above [`Quantity::MAX`].
    pub const fn from_micros(micros: u64) -> Option<Self> {
        if micros <= QUANTITY_MICROS_MAX {
            Some(Self(micros))
        } else {
            None
        }
    }

    /// The quantity as a number of micro-units.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The quantity as an integer, if it is whole and the integer field of the API can hold it.
    pub fn as_api_integer(self) -> Option<i32> {
        let whole = self.0.checked_div(MICROS_PER_UNIT)?;
        let is_whole = self.0.checked_rem(MICROS_PER_UNIT)? == 0;
        if is_whole && whole <= QUANTITY_INTEGER_MAX {
            i32::try_from(whole).ok()
        } else {
            None
        }
    }

    /// Reads a DynamoDB number, which may be written with an exponent (`1E+2`) or a sign.
    pub fn from_number(text: &str) -> Result<Self, InvalidQuantity> {
        match read_decimal(text) {
            Ok(micros) => match u64::try_from(micros) {
                Ok(micros) => Self::from_micros(micros)
                    .ok_or_else(|| InvalidQuantity::TooLarge(excerpt(text, EXCERPT_CHARS_MAX))),
                Err(_) if micros.is_negative() => {
                    Err(InvalidQuantity::Negative(excerpt(text, EXCERPT_CHARS_MAX)))
                }
                Err(_) => Err(InvalidQuantity::TooLarge(excerpt(text, EXCERPT_CHARS_MAX))),
            },
            Err(Unreadable::NotANumber) => Err(InvalidQuantity::NotANumber(excerpt(
                text,
                EXCERPT_CHARS_MAX,
            ))),
            Err(Unreadable::TooPrecise) => Err(InvalidQuantity::TooPrecise(excerpt(
                text,
                EXCERPT_CHARS_MAX,
            ))),
            Err(Unreadable::TooLarge) => Err(if text.starts_with('-') {
                InvalidQuantity::Negative(excerpt(text, EXCERPT_CHARS_MAX))
            } else {
                InvalidQuantity::TooLarge(excerpt(text, EXCERPT_CHARS_MAX))
            }),
        }
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    /// Reads a quantity in the form that the API model accepts,
    /// `^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$`.
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (whole, fraction) = text
            .split_once('.')
            .map_or((text, None), |(w, f)| (w, Some(f)));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        let padded = unsigned.len() > 1 && unsigned.starts_with('0');
        if !digits(unsigned) || padded || !fraction.is_none_or(digits) {
            return Err(InvalidQuantity::NotANumber(excerpt(
                text,
                EXCERPT_CHARS_MAX,
            )));
        }
        if fraction.is_some_and(|f| f.len() > 6) {
            return Err(InvalidQuantity::TooPrecise(excerpt(
                text,
                EXCERPT_CHARS_MAX,
            )));
        }
        if whole.starts_with('-') {
            return Err(InvalidQuantity::Negative(excerpt(text, EXCERPT_CHARS_MAX)));
        }
        Self::from_number(text)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Total::from(*self).fmt(f)
    }
}

/// A signed sum of quantities, in micro-units. Its range is wide enough for a month of any seller.
/// Sums are checked nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Total(i128);

/// The error for a sum outside the range of 128 bits. Real usage never reaches it, so the input is
/// damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sum of quantities overflowed 128 bits: the stored quantities are damaged")]
pub struct Overflow;

impl Total {
    /// A sum of zero.
    pub const ZERO: Self = Self(0);

    /// A sum from its number of micro-units.
    pub const fn from_micros(micros: i128) -> Self {
        Self(micros)
    }

    /// The sum as a number of micro-units.
    pub const fn micros(self) -> i128 {
        self.0
    }

    /// Adds `other`, or fails if the result overflows.
    pub fn plus(self, other: impl Into<Total>) -> Result<Self, Overflow> {
        self.0.checked_add(other.into().0).map(Self).ok_or(Overflow)
    }

    /// Subtracts `other`, or fails if the result overflows.
    pub fn minus(self, other: impl Into<Total>) -> Result<Self, Overflow> {
        self.0.checked_sub(other.into().0).map(Self).ok_or(Overflow)
    }

    /// The sum of many quantities, or an error if it overflows.
    pub fn sum<T: Into<Total>>(all: impl IntoIterator<Item = T>) -> Result<Self, Overflow> {
        all.into_iter()
            .try_fold(Self::ZERO, |sum, one| sum.plus(one))
    }

    /// Whether the sum is exactly zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether the sum is above zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether the sum is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The sum as a quantity; `None` if it is negative or above [`Quantity::MAX`].
    pub fn to_quantity(self) -> Option<Quantity> {
        u64::try_from(self.0).ok().and_then(Quantity::from_micros)
    }

    /// The absolute value of the sum, or an error if it overflows.
    pub fn magnitude(self) -> Result<Self, Overflow> {
        self.0.checked_abs().map(Self).ok_or(Overflow)
    }

    /// Reads the text that [`fmt::Display`] prints, or any DynamoDB number of at most six decimals.
    pub fn from_number(text: &str) -> Result<Self, InvalidQuantity> {
        read_decimal(text).map(Self).map_err(|e| match e {
            Unreadable::NotANumber => InvalidQuantity::NotANumber(excerpt(text, EXCERPT_CHARS_MAX)),
            Unreadable::TooPrecise => InvalidQuantity::TooPrecise(excerpt(text, EXCERPT_CHARS_MAX)),
            Unreadable::TooLarge => InvalidQuantity::TooLarge(excerpt(text, EXCERPT_CHARS_MAX)),
        })
    }
}

impl From<Quantity> for Total {
    fn from(quantity: Quantity) -> Self {
        Self(i128::from(quantity.0))
    }
}

impl From<&Quantity> for Total {
    fn from(quantity: &Quantity) -> Self {
        Self::from(*quantity)
    }
}

impl From<&Total> for Total {
    fn from(total: &Total) -> Self {
        *total
    }
}

impl fmt::Display for Total {
    /// Prints a decimal number without trailing zeros: `1.5`, `-3`, `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros_per_unit = u128::from(MICROS_PER_UNIT);
        let magnitude = self.0.unsigned_abs();
        let whole = magnitude.checked_div(micros_per_unit).unwrap_or_default();
        let fraction = magnitude.checked_rem(micros_per_unit).unwrap_or_default();
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            write!(f, "{sign}{whole}")
        } else {
            let digits = format!("{fraction:06}");
            write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}

enum Unreadable {
    NotANumber,
    TooPrecise,
    TooLarge,
}

/// Reads `[+-]digits[.digits][e[+-]digits]` into micro-units. A number that is not exact in
/// micro-units is an error.
fn read_decimal(text: &str) -> Result<i128, Unreadable> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => {
            let (mantissa, rest) = text.split_at(at);
            let exponent = rest.get(1..).unwrap_or_default();
            (
                mantissa,
                exponent
                    .parse::<i32>()
                    .map_err(|_| Unreadable::NotANumber)?,
            )
        }
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(Unreadable::NotANumber);
    }
    let mut digits: i128 = 0;
    let mut scale: i32 = exponent.checked_add(6).ok_or(Unreadable::TooLarge)?;
    let fraction_trimmed = fraction.trim_end_matches('0');
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Unreadable::NotANumber);
    }
    for byte in whole.bytes().chain(fraction_trimmed.bytes()) {
        if !byte.is_ascii_digit() {
            return Err(Unreadable::NotANumber);
        }
        let digit = i128::from(byte.saturating_sub(b'0'));
        digits = digits
            .checked_mul(10)
            .and_then(|d| d.checked_add(digit))
            .ok_or(Unreadable::TooLarge)?;
    }
    let fraction_len = i32::try_from(fraction_trimmed.len()).map_err(|_| Unreadable::TooPrecise)?;
    scale = scale
        .checked_sub(fraction_len)
        .ok_or(Unreadable::TooPrecise)?;
    if digits == 0 {
        return Ok(0);
    }
    while scale < 0 {
        if digits.checked_rem(10) != Some(0) {
            return Err(Unreadable::TooPrecise);
        }
        digits = digits.checked_div(10).ok_or(Unreadable::TooPrecise)?;
        scale = scale.saturating_add(1);
    }
    // The loop ends within 39 rounds, because `digits` overflows then.
    for _ in 0..scale {
        digits = digits.checked_mul(10).ok_or(Unreadable::TooLarge)?;
    }
    if negative {
        digits = digits.checked_neg().ok_or(Unreadable::TooLarge)?;
    }
    Ok(digits)
}

#[cfg(test)]
mod tests;
