//! What each error means: about a record, or about anything but a record.
//!
//! Only the exceptions that name something in a record can be about a record. Nothing else may ever
//! end one: throttling, internal errors, DisabledApiException, InvalidProductCodeException,
//! permissions, credentials, the network and codes nobody has seen leave it pending.

/// What an error says about the records of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// One of the records is wrong for good: find it, park it, raise an alarm.
    Record,
    /// One of the records is not acceptable now and may become so: find it, retry it slowly.
    RecordForNow,
    /// Nothing in a record: retry all of them as they are.
    Request,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// The error code, as AWS sends it.
    pub code: &'static str,
    /// What it is about.
    pub about: About,
    /// What it means, in plain words.
    pub meaning: &'static str,
    /// What to do.
    pub action: &'static str,
}

/// The codes we know. A code that is not here is about the request.
pub const ERROR_TABLE: &[ErrorRow] = &[
    ErrorRow {
        code: "InvalidUsageDimensionException",
        about: About::Record,
        meaning: "The product has no such dimension, or the agreement does not include it.",
        action: "Correct the dimension in the product's configuration or in AWS Marketplace. The record is retried alone every hour until its deadline.",
    },
    ErrorRow {
        code: "InvalidTagException",
        about: About::Record,
        meaning: "A tag of a usage allocation is not allowed, or there are too many.",
        action: "Correct the tags at the producer. The record is retried alone every hour until its deadline.",
    },
    ErrorRow {
        code: "InvalidUsageAllocationsException",
        about: About::Record,
        meaning: "The usage allocations repeat a tag set, or do not add up to the quantity.",
        action: "Report this as a defect: the allocations were computed here. The record is retried alone every hour until its deadline.",
    },
    ErrorRow {
        code: "InvalidCustomerIdentifierException",
        about: About::RecordForNow,
        meaning: "AWS Marketplace does not know this customer.",
        action: "Check that the product's identity kind is right. The record is retried slowly until its deadline.",
    },
    ErrorRow {
        code: "InvalidLicenseException",
        about: About::RecordForNow,
        meaning: "The license is unknown, expired, or of another product than the rest of its request.",
        action: "Check the subscription's license and product. The record is retried slowly until its deadline.",
    },
    ErrorRow {
        code: "TimestampOutOfBoundsException",
        about: About::RecordForNow,
        meaning: "The timestamp is too old, in the future, or before the usage could start.",
        action: "Check the clock and the window setting. The record is retried slowly until its deadline.",
    },
    ErrorRow {
        code: "ValidationException",
        about: About::RecordForNow,
        meaning: "A member of the request breaks the API model.",
        action: "Report this as a defect: records are validated before they are sent. The record is retried slowly until its deadline.",
    },
    ErrorRow {
        code: "SerializationException",
        about: About::RecordForNow,
        meaning: "A member of the request has the wrong type.",
        action: "Report this as a defect: records are validated before they are sent. The record is retried slowly until its deadline.",
    },
    ErrorRow {
        code: "ThrottlingException",
        about: About::Request,
        meaning: "More than 10 requests per second from this account in this Region.",
        action: "Nothing: it is sent again. If it lasts, look for other callers of BatchMeterUsage in the account.",
    },
    ErrorRow {
        code: "InternalServiceErrorException",
        about: About::Request,
        meaning: "AWS Marketplace failed; what was sent may or may not have been recorded.",
        action: "Nothing: it is sent again, identical, and billed once.",
    },
    ErrorRow {
        code: "DisabledApiException",
        about: About::Request,
        meaning: "The metering API is not enabled for this account in this Region.",
        action: "Call it in the Region the product is registered for, us-east-1 unless AWS said otherwise.",
    },
    ErrorRow {
        code: "InvalidProductCodeException",
        about: About::Request,
        meaning: "The product code is not one of this seller account's, or the product is not published.",
        action: "Check the product code (not the product id, prod-...) and that the call is made with the seller's account.",
    },
    ErrorRow {
        code: "AccessDeniedException",
        about: About::Request,
        meaning: "The role may not call aws-marketplace:BatchMeterUsage.",
        action: "Grant it, with Resource \"*\". Everything is sent again after that.",
    },
    ErrorRow {
        code: "ExpiredTokenException",
        about: About::Request,
        meaning: "The credentials have expired.",
        action: "Renew them. Everything is sent again after that.",
    },
    ErrorRow {
        code: "UnrecognizedClientException",
        about: About::Request,
        meaning: "The credentials are not known to AWS.",
        action: "Check the function's role. Everything is sent again after that.",
    },
    ErrorRow {
        code: "InvalidSignatureException",
        about: About::Request,
        meaning: "The signature does not match, often because the clock is wrong.",
        action: "Check the clock and the credentials. Everything is sent again after that.",
    },
];

/// The row of a code, where there is one.
pub fn look_up(code: &str) -> Option<&'static ErrorRow> {
    ERROR_TABLE.iter().find(|row| row.code == code)
}

/// What an error is about; unknown codes are about the request.
pub fn about(code: &str) -> About {
    look_up(code).map_or(About::Request, |row| row.about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_part_of_a_record_is_about_a_record() {
        for code in [
            "InvalidUsageDimensionException",
            "InvalidTagException",
            "InvalidUsageAllocationsException",
        ] {
            assert_eq!(about(code), About::Record, "{code}");
        }
        for code in [
            "InvalidLicenseException",
            "InvalidCustomerIdentifierException",
            "TimestampOutOfBoundsException",
        ] {
            assert_eq!(about(code), About::RecordForNow, "{code}");
        }
        for code in [
            "ThrottlingException",
            "InvalidProductCodeException",
            "AccessDeniedException",
            "NeverSeenException",
            "",
        ] {
            assert_eq!(about(code), About::Request, "{code}");
        }
    }

    #[test]
    fn every_code_stands_once() {
        for row in ERROR_TABLE {
            assert_eq!(
                ERROR_TABLE
                    .iter()
                    .filter(|other| other.code == row.code)
                    .count(),
                1,
                "{}",
                row.code
            );
        }
    }
}
