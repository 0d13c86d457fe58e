//! Compares quantities with an arbitrary-precision decimal.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use marketplace::quantity::InvalidQuantity;
use marketplace::{Quantity, Total};
use proptest::prelude::*;

fn reference(text: &str) -> BigDecimal {
    BigDecimal::from_str(text).unwrap()
}

fn of_micros(micros: impl Into<BigInt>) -> BigDecimal {
    BigDecimal::new(micros.into(), 6)
}

fn zero() -> BigDecimal {
    BigDecimal::from(0)
}

fn maximum() -> BigDecimal {
    reference("9999999999.999999")
}

/// The largest value of the API's integer fields.
fn integer_maximum() -> BigDecimal {
    BigDecimal::from(i32::MAX)
}

/// Whether the number has at most six decimals.
fn is_exact(number: &BigDecimal) -> bool {
    number.with_scale(6) == *number
}

fn quantity() -> impl Strategy<Value = Quantity> {
    let micros = prop_oneof![
        0..=Quantity::MAX.micros(),
        0..3_000_000_u64,
        Just(Quantity::MAX.micros())
    ];
    micros.prop_map(|micros| Quantity::from_micros(micros).unwrap())
}

proptest! {
    #[test]
    fn a_number_is_read_exactly_or_refused_for_the_right_reason(
        text in "[+-]?[0-9]{1,14}(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?"
    ) {
        let number = reference(&text);
        let fits = number >= zero() && number <= maximum() && is_exact(&number);
        match Quantity::from_number(&text) {
            Ok(quantity) => {
                prop_assert!(fits, "{} was taken as {}", text, quantity);
                prop_assert_eq!(of_micros(quantity.micros()), number);
            }
            Err(refusal) => {
                prop_assert!(!fits, "{} was refused: {}", text, refusal);
                let is_right = match refusal {
                    InvalidQuantity::Negative(_) => number < zero(),
                    InvalidQuantity::TooPrecise(_) => !is_exact(&number),
                    InvalidQuantity::TooLarge(_) => number > maximum(),
                    InvalidQuantity::NotANumber(_) => false,
                };
                prop_assert!(is_right, "{} was refused: {}", text, refusal);
            }
        }
    }

    #[test]
    fn a_text_of_the_api_model_has_the_value_of_the_decimal(text in "(0|[1-9][0-9]{0,9})(\\.[0-9]{1,6})?") {
        let quantity: Quantity = text.parse().unwrap();
        prop_assert_eq!(of_micros(quantity.micros()), reference(&text));
        prop_assert_eq!(reference(&quantity.to_string()), reference(&text));
    }

    #[test]
    fn sums_and_differences_are_exact(
        quantities in proptest::collection::vec((quantity(), any::<bool>()), 0..60)
    ) {
        let mut sum = Total::ZERO;
        let mut expected = zero();
        for (quantity, is_taken) in quantities {
            let decimal = of_micros(quantity.micros());
            if is_taken {
                sum = sum.minus(quantity).unwrap();
                expected -= decimal;
            } else {
                sum = sum.plus(quantity).unwrap();
                expected += decimal;
            }
            prop_assert_eq!(reference(&sum.to_string()), expected.clone());
            prop_assert_eq!(of_micros(sum.micros()), expected.clone());
            prop_assert_eq!(sum.is_negative(), expected < zero());
            let as_quantity = sum.to_quantity().map(|q| of_micros(q.micros()));
            let fits = expected >= zero() && expected <= maximum();
            prop_assert_eq!(as_quantity, fits.then(|| expected.clone()));
        }
    }

    #[test]
    fn whole_quantities_are_integers_and_others_are_not(quantity in quantity()) {
        let decimal = of_micros(quantity.micros());
        let whole = decimal.with_scale(0);
        let expected = (whole == decimal && whole <= integer_maximum()).then_some(whole);
        prop_assert_eq!(quantity.as_api_integer().map(BigDecimal::from), expected);
    }
}
