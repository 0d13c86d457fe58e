use super::*;
use proptest::prelude::*;

#[test]
fn quantities_are_read_as_the_api_model_reads_them() {
    for (text, micros) in [
        ("0", 0),
        ("0.000001", 1),
        ("1.5", 1_500_000),
        ("9999999999.999999", QUANTITY_MICROS_MAX),
        ("10.100000", 10_100_000),
    ] {
        assert_eq!(text.parse::<Quantity>().unwrap().micros(), micros, "{text}");
    }
    use InvalidQuantity::*;
    let owned = |t: &str| t.to_owned();
    for (text, error) in [
        ("", NotANumber(owned(""))),
        ("1e3", NotANumber(owned("1e3"))),
        ("01", NotANumber(owned("01"))),
        ("1.", NotANumber(owned("1."))),
        (".5", NotANumber(owned(".5"))),
        ("NaN", NotANumber(owned("NaN"))),
        ("-1", Negative(owned("-1"))),
        ("0.0000001", TooPrecise(owned("0.0000001"))),
        ("10000000000", TooLarge(owned("10000000000"))),
    ] {
        assert_eq!(text.parse::<Quantity>(), Err(error));
    }
}

#[test]
fn dynamodb_numbers_may_have_exponents() {
    for (text, micros) in [
        ("1E+2", 100_000_000),
        ("1.50", 1_500_000),
        ("5e-6", 5),
        ("+2", 2_000_000),
        ("0E-130", 0),
    ] {
        assert_eq!(
            Quantity::from_number(text).unwrap().micros(),
            micros,
            "{text}"
        );
    }
    assert!(matches!(
        Quantity::from_number("1E-7"),
        Err(InvalidQuantity::TooPrecise(_))
    ));
    assert!(matches!(
        Quantity::from_number("1E+120"),
        Err(InvalidQuantity::TooLarge(_))
    ));
    assert!(matches!(
        Quantity::from_number("-1E+120"),
        Err(InvalidQuantity::Negative(_))
    ));
    assert!(matches!(
        Quantity::from_number("1E+x"),
        Err(InvalidQuantity::NotANumber(_))
    ));
}

#[test]
fn the_integer_field_takes_whole_numbers_up_to_its_limit() {
    assert_eq!(
        "2147483647".parse::<Quantity>().unwrap().as_api_integer(),
        Some(i32::MAX)
    );
    assert_eq!(
        "2147483648".parse::<Quantity>().unwrap().as_api_integer(),
        None
    );
    assert_eq!("1.5".parse::<Quantity>().unwrap().as_api_integer(), None);
}

proptest! {
    #[test]
    fn every_quantity_survives_its_text(micros in 0..=QUANTITY_MICROS_MAX) {
        let quantity = Quantity::from_micros(micros).unwrap();
        prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        prop_assert!(quantity.to_string().len() <= 17);
    }

    #[test]
    fn every_total_survives_its_text(micros in any::<i64>()) {
        let total = Total::from_micros(i128::from(micros));
        prop_assert_eq!(Total::from_number(&total.to_string()).unwrap(), total);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in ".{0,40}") {
        let _read = (Quantity::from_number(&text), text.parse::<Quantity>(), Total::from_number(&text));
    }
}

#[test]
fn a_number_may_have_more_digits_than_it_needs() {
    for (text, micros) in [
        ("10E-7", 1),
        ("1000E-3", 1_000_000),
        ("0.10000000", 100_000),
    ] {
        assert_eq!(
            Quantity::from_number(text).unwrap().micros(),
            micros,
            "{text}"
        );
    }
    assert!(Quantity::from_number("11E-7").is_err());
    assert!(Quantity::from_number("1E2147483641").is_err());
}

#[test]
fn a_total_has_the_value_that_it_is_made_from() {
    let one: Quantity = "1.5".parse().unwrap();
    assert_eq!(Total::from(&one).to_string(), "1.5");
}
