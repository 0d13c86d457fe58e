//! Explains every refusal of a call: AWS's rule, and what the caller should do.

use crate::faults::FaultKind;

/// AWS's rule in plain words, and what the caller should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Explanation {
    pub(super) rule: &'static str,
    pub(super) next: &'static str,
}

const fn of(rule: &'static str, next: &'static str) -> Explanation {
    Explanation { rule, next }
}

/// Why a whole request was refused.
pub(super) fn error(operation: &str, code: &str, faults: &[FaultKind]) -> Explanation {
    match (operation, code) {
        ("BatchMeterUsage", "TimestampOutOfBoundsException") => of(
            "A timestamp must lie within the window (24 hours since July 2026), not in the future, and not in a month that was closed on the 1st at 06:00 UTC. The buyer must have been able to use the software then. If one record breaks this rule, AWS refuses the whole request.",
            "Send the other records without it. Usage that missed its window is lost. Late usage can only be added to an hour that is not metered yet.",
        ),
        ("MeterUsage", "TimestampOutOfBoundsException") => of(
            "MeterUsage accepts timestamps of the last 6 hours that are not before the usage started.",
            "Meter each hour soon after its end.",
        ),
        // Two errors have this name. One is about a buyer's token, the other about the caller's
        // credentials.
        ("ResolveCustomer", "ExpiredTokenException")
            if !faults.contains(&FaultKind::ExpiredCredentials) =>
        {
            of(
                "A registration token is valid for a few hours at most.",
                "Ask the buyer to press “Set up your account” again. The buyer need not subscribe again. Resolve each token as soon as it arrives.",
            )
        }
        _ => known(code).unwrap_or(of(
            "AWS's API model has no such error for this operation.",
            "Leave every record as it is and send it again later.",
        )),
    }
}

/// The explanation of an error code that means the same for every operation.
fn known(code: &str) -> Option<Explanation> {
    by_record(code)
        .or_else(|| by_software(code))
        .or_else(|| by_request(code))
        .or_else(|| by_no_record(code))
}

/// The errors that a record can cause.
fn by_record(code: &str) -> Option<Explanation> {
    Some(match code {
        "InvalidProductCodeException" => of(
            "ProductCode must be the code of one of the seller's products. It is required if the records have no LicenseArn, and must be absent if they have one. A product id (prod-…) is not a product code.",
            "Check how the product identifies its buyers. Send the records of different products in different requests.",
        ),
        "InvalidUsageDimensionException" => of(
            "A dimension must be one of the product's dimensions, letter by letter: case counts. If one record is wrong, AWS refuses the whole request.",
            "Compare it with the product's dimensions. Send the other records without it.",
        ),
        "InvalidTagException" => of(
            "An allocation has at most five tags with distinct keys. Keys and values consist of letters, digits, spaces and + - = . _ : / @",
            "Correct the tags, or move the quantity into the allocation without tags.",
        ),
        "InvalidUsageAllocationsException" => of(
            "Allocations have distinct sets of tags, and their quantities are whole or decimal like the record's quantity. They add up to it exactly.",
            "Add up the quantities exactly, without floating point.",
        ),
        "InvalidCustomerIdentifierException" => of(
            "A record names its customer by either CustomerAWSAccountId or CustomerIdentifier. The value must not be empty, and the customer must exist.",
            "Send only CustomerAWSAccountId.",
        ),
        "InvalidLicenseException" => of(
            "The license must exist and belong to the account. All licenses of a request must belong to one product. The usage must lie within the time in which the license is active.",
            "Send the licenses of different products in different requests. Use timestamps within the agreement.",
        ),
        "DuplicateRequestException" => of(
            "MeterUsage accepts one record for each instance, dimension and hour. Another quantity for a metered hour is refused. The first record stays billed.",
            "Add up the usage of the hour and meter it once.",
        ),
        _ => return None,
    })
}

/// The errors of `MeterUsage` and `RegisterUsage`, which the software calls in the buyer's account,
/// and of `ResolveCustomer`.
fn by_software(code: &str) -> Option<Explanation> {
    Some(match code {
        "IdempotencyConflictException" => of(
            "A ClientToken identifies one request. A request with the same token and other parameters is refused.",
            "Repeat a request unchanged. Use a new token for a new request.",
        ),
        "CustomerNotEntitledException" => of(
            "The account that runs the software has no subscription that accepts usage.",
            "Ask the buyer to subscribe. Until then the software should not run.",
        ),
        "InvalidEndpointRegionException" | "InvalidRegionException" => of(
            "The software must call AWS Marketplace in the Region in which it runs.",
            "Use the Region of the instance, task or pod.",
        ),
        "PlatformNotSupportedException" => of(
            "RegisterUsage is for Amazon ECS, Amazon EKS and AWS Fargate.",
            "Use MeterUsage on other platforms.",
        ),
        "InvalidPublicKeyVersionException" => of(
            "The version must be the version of a key that AWS Marketplace has published.",
            "Use the newest key.",
        ),
        "DryRunOperation" => of(
            "DryRun only checks the request. The request would be accepted. Nothing was metered.",
            "Send the request without DryRun.",
        ),
        "InvalidTokenException" => of(
            "AWS Marketplace did not issue this registration token. Tokens arrive in a form field, and may contain + and /.",
            "Decode the form field once, and use the token unchanged.",
        ),
        _ => return None,
    })
}

/// The errors of a malformed request.
fn by_request(code: &str) -> Option<Explanation> {
    Some(match code {
        "ValidationException" | "InvalidParameterException" => of(
            "The request does not fit the API model: a member is missing, too long, too short or malformed, or names something that does not exist.",
            "Correct the members that the message names. It is useless to send the request again unchanged.",
        ),
        "SerializationException" => of(
            "The body is not the JSON that the operation expects, for example because a member has the wrong type.",
            "Use an AWS SDK to write the request.",
        ),
        "InvalidNextTokenException" => of(
            "A NextToken is only valid for the same request, with the same filters.",
            "Begin again at the first page.",
        ),
        "InvalidEventCategoryException"
        | "InvalidTimeRangeException"
        | "InvalidLookupAttributesException"
        | "InvalidMaxResultsException" => of(
            "LookupEvents accepts one attribute, at most 50 results, and a start time before the end time.",
            "Correct the part of the request that the message names.",
        ),
        "ResourceNotFoundException" => of(
            "The request names something that does not exist or does not belong to the caller.",
            "Check the identifier.",
        ),
        _ => return None,
    })
}

/// The errors that no record causes. The caller must never give up a record because of them.
fn by_no_record(code: &str) -> Option<Explanation> {
    Some(match code {
        "ThrottlingException" => of(
            "There are too many requests. AWS allows 10 BatchMeterUsage calls and 2 LookupEvents calls in each second.",
            "Nothing was done. Wait, with jitter, and send the same records again.",
        ),
        "InternalServiceErrorException" | "InternalServerException" | "InternalFailure" => of(
            "AWS failed, but it may have recorded something.",
            "Send the identical records again. An hour is billed only once.",
        ),
        "DisabledApiException" => of(
            "The API is not enabled for the seller in this Region. SaaS products start with us-east-1.",
            "Call us-east-1, or ask AWS to enable the Region. Then send the records again unchanged.",
        ),
        "AccessDeniedException" => of(
            "The caller's policy does not allow the operation on resource *.",
            "Allow the operation in the policy of the function's role. Then send the records again unchanged.",
        ),
        "ExpiredTokenException" => of(
            "The caller's credentials have expired.",
            "Renew the credentials. Then send the records again unchanged.",
        ),
        "InvalidSignatureException" => of(
            "The signature does not match: the secret key is wrong, or the caller's clock is wrong by minutes.",
            "Check the credentials and the clock of the machine. Then send the records again unchanged.",
        ),
        "ServiceUnavailableException" | "502" => of(
            "The answer does not come from AWS Marketplace. Something between it and the caller failed, and the work may or may not have been done.",
            "Send the identical records again.",
        ),
        _ => return None,
    })
}

/// Why a record of a logged call was not accepted. `None` if it was accepted.
pub(super) fn outcome(outcome: &str) -> Option<Explanation> {
    Some(match outcome {
        "CustomerNotSubscribed" => of(
            "The record is not billed: the buyer is unknown, has no agreement in force, or is suspended. The same record may succeed later.",
            "Keep the record, and send it again at long intervals until its window ends.",
        ),
        "DuplicateRecord" => of(
            "The record is not billed: the slot of this buyer, hour and dimension already has a record. That first record stays, and nothing is added to it.",
            "Never meter an hour twice. Add late usage to an hour that is not metered yet.",
        ),
        "Unprocessed" => of(
            "The record is not billed: AWS did not process it. The SDK does not send it again, because the call was answered with status 200.",
            "Send the record again, unchanged.",
        ),
        "NotProcessed" => of(
            "The record is not billed: the whole request failed.",
            "See the reason below.",
        ),
        _ => return None,
    })
}

/// Explains a call that got no answer.
pub(super) fn unanswered(faults: &[FaultKind]) -> Explanation {
    match faults.contains(&FaultKind::DropAfter) {
        true => of(
            "The work was done, but the caller got no answer.",
            "Send the identical records again: they are billed once. Changed records would be refused as DuplicateRecord.",
        ),
        false => of(
            "The connection was closed before anything was done. The caller cannot know that.",
            "Send the identical records again.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_of_the_metering_service_has_its_own_explanation() {
        for code in [
            "InternalServiceErrorException",
            "ThrottlingException",
            "DisabledApiException",
            "InvalidProductCodeException",
            "InvalidUsageDimensionException",
            "InvalidTagException",
            "InvalidUsageAllocationsException",
            "InvalidCustomerIdentifierException",
            "InvalidLicenseException",
            "TimestampOutOfBoundsException",
        ] {
            let explained = error("BatchMeterUsage", code, &[]);
            let unknown = error("BatchMeterUsage", "Nothing", &[]);
            assert_ne!(explained, unknown, "{code}");
        }
    }

    #[test]
    fn an_expired_token_is_a_registration_token_unless_the_fault_is_expired_credentials() {
        let code = "ExpiredTokenException";
        let token = error("ResolveCustomer", code, &[]);
        assert!(token.next.contains("Set up your account"));
        let credentials = error("ResolveCustomer", code, &[FaultKind::ExpiredCredentials]);
        assert!(credentials.rule.contains("credentials"));
    }
}
