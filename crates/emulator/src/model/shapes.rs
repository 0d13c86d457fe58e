//! The string shapes of the API models.

use super::reader::{Pattern, StringShape};
use crate::limits::{
    CLIENT_TOKEN_CHARS_MAX, CUSTOMER_CHARS_MAX, DECIMAL_CHARS_MAX, DIMENSION_CHARS_MAX,
    LOOKUP_VALUE_CHARS_MAX, NONCE_CHARS_MAX, PRODUCT_CODE_CHARS_MAX, TAG_KEY_CHARS_MAX,
    TAG_VALUE_CHARS_MAX,
};
use crate::quantity::Quantity;

pub(crate) const PRODUCT_CODE: StringShape = StringShape {
    min: 0,
    max: PRODUCT_CODE_CHARS_MAX,
    pattern: Some(Pattern::Whole {
        text: "^[-a-zA-Z0-9/=:_.@]*$",
        matches: is_product_code,
    }),
};

pub(crate) const DIMENSION: StringShape = StringShape {
    min: 1,
    max: DIMENSION_CHARS_MAX,
    pattern: None,
};

pub(crate) const CUSTOMER_IDENTIFIER: StringShape = StringShape {
    min: 0,
    max: CUSTOMER_CHARS_MAX,
    pattern: None,
};

pub(crate) const ACCOUNT_ID: StringShape = StringShape {
    min: 1,
    max: CUSTOMER_CHARS_MAX,
    pattern: Some(Pattern::Whole {
        text: "^[0-9]+$",
        matches: is_digits,
    }),
};

pub(crate) const LICENSE_ARN: StringShape = StringShape {
    min: 0,
    max: usize::MAX,
    pattern: Some(Pattern::Whole {
        text: "^arn:aws[a-zA-Z-]*:[A-Za-z0-9][A-Za-z0-9_/.-]{0,62}:[A-Za-z0-9_/.-]{0,63}:[A-Za-z0-9_/.-]{0,63}:[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,1023}$",
        matches: is_license_arn,
    }),
};

pub(crate) const DECIMAL: StringShape = StringShape {
    min: 1,
    max: DECIMAL_CHARS_MAX,
    pattern: Some(Pattern::Whole {
        text: r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$",
        matches: is_decimal,
    }),
};

pub(crate) const TAG_KEY: StringShape = StringShape {
    min: 1,
    max: TAG_KEY_CHARS_MAX,
    pattern: Some(Pattern::Whole {
        text: r"^[a-zA-Z0-9+ -=._:\/@]+$",
        matches: is_tag_text,
    }),
};

pub(crate) const TAG_VALUE: StringShape = StringShape {
    min: 1,
    max: TAG_VALUE_CHARS_MAX,
    pattern: Some(Pattern::Whole {
        text: r"^[a-zA-Z0-9+ -=._:\/@]+$",
        matches: is_tag_text,
    }),
};

pub(crate) const REGISTRATION_TOKEN: StringShape = StringShape {
    min: 1,
    max: usize::MAX,
    pattern: None,
};

pub(crate) const CLIENT_TOKEN: StringShape = StringShape {
    min: 1,
    max: CLIENT_TOKEN_CHARS_MAX,
    pattern: None,
};

pub(crate) const NONCE: StringShape = StringShape {
    min: 0,
    max: NONCE_CHARS_MAX,
    pattern: None,
};

/// `ProductCode` of the entitlement API, which has no pattern but must not be empty.
pub(crate) const ENTITLED_PRODUCT_CODE: StringShape = StringShape {
    min: 1,
    max: PRODUCT_CODE_CHARS_MAX,
    pattern: None,
};

/// The `NextToken` of the entitlement API, which must not contain white space.
pub(crate) const ENTITLEMENTS_TOKEN: StringShape = StringShape {
    min: 1,
    max: usize::MAX,
    pattern: Some(Pattern::Whole {
        text: r"\S+",
        matches: |text| !text.contains(char::is_whitespace),
    }),
};

/// CloudTrail's `LookupAttributeValue`.
pub(crate) const LOOKUP_VALUE: StringShape = StringShape {
    min: 1,
    max: LOOKUP_VALUE_CHARS_MAX,
    pattern: None,
};

pub(crate) fn is_product_code(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-/=:_.@".contains(&b))
}

pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_decimal(text: &str) -> bool {
    Quantity::from_decimal(text).is_some()
}

/// The class `+ -=` in the model is a range from the space to the equals sign.
fn is_tag_text(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || matches!(b, b' '..=b'=' | b'@' | b'_'))
}

pub(crate) fn is_license_arn(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut part = || parts.next().unwrap_or("\u{0}");
    let (arn, partition, vendor, region, account, resource) =
        (part(), part(), part(), part(), part(), part());
    let name = |text: &str| {
        text.len() <= 63
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(&b))
    };
    arn == "arn"
        && partition
            .strip_prefix("aws")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'))
        && starts_alphanumeric(vendor)
        && name(vendor)
        && name(region)
        && name(account)
        && starts_alphanumeric(resource)
        && resource.len() <= 1_024
        && resource
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":_/+=,@.-".contains(&b))
}

fn starts_alphanumeric(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn license_arns_are_judged_by_the_models_pattern() {
        for arn in [
            "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef",
            "arn:aws-us-gov:license-manager:us-gov-west-1:1:license/l-1",
            "arn:aws:x:::y",
        ] {
            assert!(is_license_arn(arn), "{arn}");
        }
        let long = format!("arn:aws:x:::{}", "y".repeat(1_025));
        for arn in [
            "",
            "arn",
            "aws:license-manager::294406891311:license:l-1",
            "arn:aws:license-manager::294406891311:",
            "arn:aws::::y",
            "arn:aws1:x:::y",
            "arn:aws:-x:::y",
            "arn:aws:x:::-y",
            "arn:aws:x:::y z",
            &long,
        ] {
            assert!(!is_license_arn(arn), "{arn}");
        }
    }

    #[test]
    fn a_tags_range_runs_from_the_space_to_the_equals_sign() {
        for text in ["a", "A z_0", "!\"#$%&'()*+,-./:;<=", "@"] {
            assert!(is_tag_text(text), "{text}");
        }
        for text in ["", ">", "?", "[", "ä", "~", "\t", "^"] {
            assert!(!is_tag_text(text), "{text}");
        }
    }
}
