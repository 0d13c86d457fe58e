//! Exact amounts of money: hundred-millionths of a dollar in a `u128`, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

const PARTS_PER_UNIT: u128 = 100_000_000;
const DECIMALS_MAX: usize = 8;
/// Micro-units times micro-dollars, divided by this, gives hundred-millionths of a dollar.
const PRICE_DIVISOR: u128 = 10_000;

/// An amount in dollars, exact to eight decimals, as in the Agreement API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Amount(u128);

impl Amount {
    /// The cost of a quantity at a price per unit, rounded half up to eight decimals.
    pub(crate) fn price(quantity: Quantity, unit_price_micros: u64) -> Amount {
        // The product of two numbers of 64 bits always fits into 128 bits.
        let product = u128::from(quantity.micros()) * u128::from(unit_price_micros);
        Amount((product / PRICE_DIVISOR) + u128::from(product % PRICE_DIVISOR >= PRICE_DIVISOR / 2))
    }

    /// Reads the API model's pattern, `[0-9]*(\.[0-9]{0,8})?`. Returns `None` for any other text,
    /// for a text without digits, and for a number that does not fit.
    pub(crate) fn parse(text: &str) -> Option<Amount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0
            || !digits(whole)
            || !digits(fraction)
            || whole.len() > 20
            || fraction.len() > DECIMALS_MAX
        {
            return None;
        }
        let whole: u128 = format!("0{whole}").parse().ok()?;
        let fraction: u128 = format!("{fraction:0<8}").parse().ok()?;
        Some(Amount(
            whole.checked_mul(PARTS_PER_UNIT)?.checked_add(fraction)?,
        ))
    }

    /// The sum. A sum that does not fit becomes the largest amount, which no real amount reaches.
    pub(crate) fn plus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    pub(crate) fn minus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0))
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Prints a decimal number with at least two decimals and without further trailing zeros: `3.00`,
/// `0.0125`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:08}", self.0 % PARTS_PER_UNIT);
        let trimmed = fraction.trim_end_matches('0');
        let fraction = fraction.get(..trimmed.len().max(2)).unwrap_or(&fraction);
        write!(f, "{}.{fraction}", self.0 / PARTS_PER_UNIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_to_eight_decimals() {
        let quantity = |text: &str| Quantity::from_decimal(text).expect("a quantity");
        for (quantity_text, price_micros, amount) in [
            ("3", 1_000_000, "3.00"),
            ("1.5", 12_500, "0.01875"),
            ("0.000001", 1, "0.00"),
            ("0.005", 1, "0.00000001"),
            ("9999999999.999999", 1_000_000, "9999999999.999999"),
        ] {
            let priced = Amount::price(quantity(quantity_text), price_micros);
            assert_eq!(
                priced.to_string(),
                amount,
                "{quantity_text} at {price_micros}"
            );
        }
    }

    #[test]
    fn amounts_are_read_by_the_models_pattern() {
        for (text, printed) in [
            ("1", "1.00"),
            ("1.", "1.00"),
            (".5", "0.50"),
            ("0.00000001", "0.00000001"),
        ] {
            assert_eq!(
                Amount::parse(text).map(|a| a.to_string()).as_deref(),
                Some(printed)
            );
        }
        for text in ["", ".", "-1", "1.000000001", "1e2", "1,0"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
