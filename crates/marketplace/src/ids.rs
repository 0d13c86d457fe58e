//! Identifiers, validated when they are created. Each prints as AWS writes it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::limits::{
    ACCOUNT_ID_CHARS_MAX, CUSTOMER_IDENTIFIER_CHARS_MAX, DIMENSION_BYTES_MAX, DIMENSION_CHARS_MAX,
    EVENT_ID_CHARS_MAX, PRODUCT_CODE_CHARS_MAX,
};
use crate::text::excerpt;

/// Why a text is not a valid identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidId {
    /// The kind of identifier that was expected.
    pub what: &'static str,
    /// The text, cut off after 100 characters.
    pub value: String,
    /// The rule that the text breaks.
    pub rule: &'static str,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        Self {
            what,
            value: excerpt(value, 100),
            rule,
        }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Checks a text without copying it.
            pub fn check(text: &str) -> Result<(), InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(()) } else { Err(InvalidId::new($what, text, $rule)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::check(&text)?;
                Ok(Self(text))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

id!(
    /// The product code that AWS assigns on publication. It is not the product id (`prod-...`).
    ProductCode,
    "product code",
    "1 to 255 characters of A-Z a-z 0-9 - / = : _ . @",
    |text| {
        (1..=PRODUCT_CODE_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/=:_.@".contains(&b))
    }
);

id!(
    /// The ARN of a license, which identifies a buyer's subscription under Concurrent Agreements.
    LicenseArn,
    "license ARN",
    "arn:aws:<service>:<region>:<account>:<resource>, as ResolveCustomer and License Updated give it",
    is_license_arn
);

id!(
    /// The id of the buyer's AWS account.
    AccountId,
    "AWS account id",
    "1 to 255 digits",
    |text| (1..=ACCOUNT_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
);

id!(
    /// The customer identifier of a buyer of a legacy listing.
    CustomerIdentifier,
    "customer identifier",
    "1 to 255 characters, without control characters",
    |text| {
        !text.is_empty()
            && text.chars().count() <= CUSTOMER_IDENTIFIER_CHARS_MAX
            && !text.chars().any(char::is_control)
    }
);

id!(
    /// The id of the agreement (`agmt-...`) that a purchase creates. Lifecycle events are joined on
    /// it.
    AgreementId,
    "agreement id",
    "1 to 64 characters of A-Z a-z 0-9 - _",
    |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    }
);

id!(
    /// The API name of a product's dimension, by which the product charges. It is case-sensitive.
    Dimension,
    "dimension",
    "1 to 255 characters, at most 900 bytes",
    |text| {
        !text.is_empty() && text.len() <= DIMENSION_BYTES_MAX && text.chars().count() <= DIMENSION_CHARS_MAX
    }
);

id!(
    /// The seller's id of one usage event, unique within its subscription, hour and dimension.
    EventId,
    "event id",
    "1 to 128 characters of A-Z a-z 0-9 . _ : -",
    |text| {
        (1..=EVENT_ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
    }
);

impl LicenseArn {
    /// Reads an ARN that may lack its leading `arn:`. Some lifecycle messages omit it.
    pub fn from_message(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with("aws") {
            format!("arn:{text}").parse()
        } else {
            text.parse()
        }
    }
}

/// Whether a text matches exactly the pattern of the API model:
/// `^arn:aws[a-zA-Z-]*:[A-Za-z0-9][A-Za-z0-9_/.-]{0,62}:[A-Za-z0-9_/.-]{0,63}:[A-Za-z0-9_/.-]{0,63}:[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,1023}$`.
fn is_license_arn(text: &str) -> bool {
    let plain = |s: &str| {
        s.len() <= 63
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(&b))
    };
    let starts_alphanumeric = |s: &str| s.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let mut parts = text.splitn(6, ':');
    let (Some("arn"), Some(partition), Some(service), Some(region), Some(account), Some(resource)) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return false;
    };
    partition
        .strip_prefix("aws")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'))
        && plain(service)
        && starts_alphanumeric(service)
        && plain(region)
        && plain(account)
        && resource.len() <= 1_024
        && starts_alphanumeric(resource)
        && resource
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":_/+=,@.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr<Err = InvalidId>>(text: &str, valid: bool) {
        assert_eq!(text.parse::<T>().is_ok(), valid, "{text:?}");
    }

    #[test]
    fn identifiers_follow_the_api_model() {
        check::<ProductCode>("examplecode1", true);
        check::<ProductCode>("a/b=c:d_e.f@g-h", true);
        check::<ProductCode>("", false);
        check::<ProductCode>("a|b", false);
        check::<ProductCode>(&"x".repeat(256), false);
        check::<AccountId>("111122223333", true);
        check::<AccountId>("11112222333x", false);
        check::<Dimension>("gb#x with ünïcode", true);
        check::<Dimension>(&"ü".repeat(255), true);
        check::<Dimension>(&"ü".repeat(256), false);
        check::<Dimension>(&"𝄞".repeat(226), false);
        check::<EventId>("carry:2026-11-21T02:ab.1", true);
        check::<EventId>("a#b", false);
        check::<EventId>(&"x".repeat(129), false);
        let arn = |service: &str, region: &str| format!("arn:aws:{service}:{region}:1:license:l-1");
        check::<LicenseArn>(&arn("license-manager", ""), true);
        check::<LicenseArn>(&arn(&"x".repeat(63), &"y".repeat(63)), true);
        check::<LicenseArn>(&arn(&"x".repeat(64), ""), false);
        check::<LicenseArn>(&arn("x", &"y".repeat(64)), false);
        check::<LicenseArn>(&arn("x", "us east"), false);
        check::<LicenseArn>(&arn("-x", ""), false);
    }

    #[test]
    fn license_arns_are_read_no_tighter_than_the_model() {
        let arn =
            "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
        check::<LicenseArn>(arn, true);
        check::<LicenseArn>("arn:aws-us-gov:license-manager:::x", true);
        check::<LicenseArn>("arn:aws:license-manager::1", false);
        check::<LicenseArn>("arn:gcp:license-manager::1:x", false);
        check::<LicenseArn>("arn:aws:license-manager::1:x y", false);
        check::<LicenseArn>(&format!("arn:aws:s::1:{}", "x".repeat(1_025)), false);
        assert_eq!(LicenseArn::from_message(&arn[4..]).unwrap().as_str(), arn);
    }
}
