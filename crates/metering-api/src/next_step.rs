//! The next step after an error, in one or two sentences for the person who reads the log.

use marketplace::error_table;

use crate::call_error::{
    CONNECTION_FAILED, NO_CREDENTIALS, NOT_CONNECTED, NOT_SENT, RESPONSE_UNREADABLE, SERVER_ERROR,
    TIMEOUT,
};
use crate::operation::Operation;

const UNKNOWN: &str = "Next: look the code up in the AWS Marketplace Metering API reference, then repeat the call unchanged.";

/// The next step for an error code of an operation.
pub(crate) fn next_step(operation: Operation, code: &str) -> &'static str {
    if let Some(step) = of_transport(code) {
        return step;
    }
    let step = match operation {
        Operation::BatchMeterUsage => {
            error_table::is_known_error(code).then(|| error_table::of_error(code).action)
        }
        Operation::ResolveCustomer => of_resolve_customer(code),
        Operation::MeterUsage => of_meter_usage(code),
        Operation::RegisterUsage => of_register_usage(code),
    };
    step.or_else(|| of_any_operation(code)).unwrap_or(UNKNOWN)
}

/// The next step for a failure outside the service, which has a code of this project.
fn of_transport(code: &str) -> Option<&'static str> {
    Some(match code {
        TIMEOUT => "Next: repeat the call unchanged; it may have been done already.",
        CONNECTION_FAILED => {
            "Next: check the endpoint, the Region and the internet access, then repeat the call unchanged; it may have been done already."
        }
        NOT_CONNECTED => {
            "Next: check the endpoint, the Region and the internet access, then repeat the call; nothing was sent."
        }
        NO_CREDENTIALS => "Next: give the process AWS credentials, such as an execution role's.",
        RESPONSE_UNREADABLE => {
            "Next: repeat the call unchanged; it may have been done already. If it fails again, a proxy may be answering instead of AWS."
        }
        SERVER_ERROR => "Next: repeat the call unchanged; AWS answered with an error of its own.",
        NOT_SENT => "Next: correct the named problem; nothing was sent.",
        _ => return None,
    })
}

fn of_any_operation(code: &str) -> Option<&'static str> {
    Some(match code {
        "ThrottlingException" => "Next: repeat the call later and less often.",
        "InternalServiceErrorException" => "Next: repeat the call unchanged.",
        "DisabledApiException" => {
            "Next: call the Region the product is registered for, us-east-1 unless AWS said otherwise."
        }
        "AccessDeniedException" | "UnauthorizedException" => {
            "Next: allow the role this operation (aws-marketplace:<operation>), with Resource \"*\", in the account that owns the product."
        }
        "InvalidProductCodeException" => {
            "Next: check the product code; it is not the product id (prod-...)."
        }
        "ExpiredTokenException" | "UnrecognizedClientException" | "InvalidSignatureException" => {
            "Next: check the credentials, and the clock."
        }
        "ValidationException" | "SerializationException" => {
            "Next: compare the request with the API reference; a member is missing or malformed."
        }
        "InvalidEndpointRegionException" | "InvalidRegionException" => {
            "Next: call the Region in which the software runs."
        }
        _ => return None,
    })
}

fn of_resolve_customer(code: &str) -> Option<&'static str> {
    Some(match code {
        "InvalidTokenException" | "ExpiredTokenException" => {
            "Next: the buyer presses \"Set up your account\" in the AWS console again, which makes a new token."
        }
        "AccessDeniedException" => {
            "Next: allow the role aws-marketplace:ResolveCustomer, with Resource \"*\", in the account that published the product; no other account may resolve its tokens."
        }
        _ => return None,
    })
}

fn of_meter_usage(code: &str) -> Option<&'static str> {
    Some(match code {
        "DryRunOperation" => "Nothing to do: the dry run found that the call is permitted.",
        "DuplicateRequestException" => {
            "Next: do not repeat it: this hour and dimension already hold another quantity, which stays billed."
        }
        "IdempotencyConflictException" => {
            "Next: use a new client token: this one was used with other content."
        }
        "CustomerNotEntitledException" => {
            "Next: stop, or ask the buyer to subscribe: their account has no agreement for this product."
        }
        "TimestampOutOfBoundsException" => {
            "Next: meter within 6 hours of the usage, and check the clock."
        }
        "InvalidUsageDimensionException" => {
            "Next: check the dimension's API name in the product's configuration; it is case-sensitive."
        }
        "InvalidTagException" => {
            "Next: correct the tags: at most 5 per allocation, of allowed characters."
        }
        "InvalidUsageAllocationsException" => {
            "Next: make the allocations add up to the quantity, each tag set once."
        }
        _ => return None,
    })
}

fn of_register_usage(code: &str) -> Option<&'static str> {
    Some(match code {
        "CustomerNotEntitledException" | "CustomerNotSubscribedException" => {
            "Next: end the container: the account that runs it has no agreement for this product."
        }
        "InvalidPublicKeyVersionException" => {
            "Next: use the version of the public key that AWS Marketplace gave for this product."
        }
        "PlatformNotSupportedException" => {
            "Next: run the container on Amazon ECS, Amazon EKS or AWS Fargate, on a supported version."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_model_has_its_next_step() {
        let common = [
            "ThrottlingException",
            "InternalServiceErrorException",
            "DisabledApiException",
        ];
        let of = |operation, codes: &[&'static str]| {
            for code in codes.iter().chain(&common) {
                assert_ne!(next_step(operation, code), UNKNOWN, "{operation} {code}");
            }
        };
        of(
            Operation::BatchMeterUsage,
            &[
                "InvalidProductCodeException",
                "InvalidUsageDimensionException",
                "InvalidTagException",
                "InvalidUsageAllocationsException",
                "InvalidCustomerIdentifierException",
                "InvalidLicenseException",
                "TimestampOutOfBoundsException",
            ],
        );
        of(
            Operation::ResolveCustomer,
            &["InvalidTokenException", "ExpiredTokenException"],
        );
        of(
            Operation::MeterUsage,
            &[
                "InvalidProductCodeException",
                "InvalidUsageDimensionException",
                "InvalidTagException",
                "InvalidUsageAllocationsException",
                "InvalidEndpointRegionException",
                "TimestampOutOfBoundsException",
                "DuplicateRequestException",
                "IdempotencyConflictException",
                "CustomerNotEntitledException",
            ],
        );
        of(
            Operation::RegisterUsage,
            &[
                "InvalidProductCodeException",
                "InvalidRegionException",
                "InvalidPublicKeyVersionException",
                "PlatformNotSupportedException",
                "CustomerNotEntitledException",
            ],
        );
        assert_eq!(
            next_step(Operation::MeterUsage, "NeverSeenException"),
            UNKNOWN
        );
    }

    #[test]
    fn an_expired_registration_token_is_not_mistaken_for_expired_credentials() {
        let step = |operation| next_step(operation, "ExpiredTokenException");
        assert!(step(Operation::ResolveCustomer).contains("Set up your account"));
        assert!(step(Operation::MeterUsage).contains("credentials"));
    }
}
