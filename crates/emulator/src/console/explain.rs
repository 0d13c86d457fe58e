//! Explains every refusal of a call: AWS's rule, and what to do.

use crate::faults::FaultKind;

/// A rule in plain words, and what to do next.
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
            "A timestamp must not lie in the future, nor further back than the window (24 hours since July 2026), nor in a month that closed on the 1st at 06:00 UTC, nor outside the software's usage. One such record refuses all 25.",
            "Send the other records without it. Usage that missed its window is lost; late usage can only go into an hour not yet metered.",
        ),
        ("MeterUsage", "TimestampOutOfBoundsException") => of(
            "MeterUsage takes timestamps of the last 6 hours, not before the usage started.",
            "Meter each hour soon after its end.",
        ),
        // Two errors have this name. One is about a buyer's token, the other about the caller's
        // credentials.
        ("ResolveCustomer", "ExpiredTokenException")
            if !faults.contains(&FaultKind::ExpiredCredentials) =>
        {
            of(
                "A registration token resolves for a few hours at most.",
                "Ask the buyer to press “Set up your account” again; nobody has to subscribe again. Resolve tokens at once.",
            )
        }
        _ => known(code).unwrap_or(of(
            "AWS's API model names no such error for this operation.",
            "Leave every record as it is and send it again later.",
        )),
    }
}

/// Explanations that hold for every operation.
fn known(code: &str) -> Option<Explanation> {
    by_record(code)
        .or_else(|| by_software(code))
        .or_else(|| by_request(code))
        .or_else(|| by_trouble(code))
}

/// Errors that a record can cause.
fn by_record(code: &str) -> Option<Explanation> {
    Some(match code {
        "InvalidProductCodeException" => of(
            "ProductCode must be one of the seller's products, is left out where records carry a LicenseArn, and is required where they carry none. A product id (prod-…) is not its code.",
            "Check how the product identifies its buyers, and send one product's records in one request.",
        ),
        "InvalidUsageDimensionException" => of(
            "A dimension must be one of the product's, to the letter: case counts. One wrong record refuses the whole request.",
            "Compare it with the product's dimensions; send the other records without it.",
        ),
        "InvalidTagException" => of(
            "An allocation's tags have distinct keys, at most five, of letters, digits and + - = . _ : / @ and spaces.",
            "Correct the tags, or move that share into the untagged allocation.",
        ),
        "InvalidUsageAllocationsException" => of(
            "Allocations have distinct tag sets, are of the record's own kind (whole or decimal), and add up to its quantity exactly.",
            "Add them up exactly, without floating point.",
        ),
        "InvalidCustomerIdentifierException" => of(
            "A record names its customer once: CustomerAWSAccountId or CustomerIdentifier, never both, never an empty one, and one that exists.",
            "Send CustomerAWSAccountId alone.",
        ),
        "InvalidLicenseException" => of(
            "The license must exist, belong to the account, and to the same product as the first license of the request; the usage must lie within its activation.",
            "Send each product's licenses in requests of their own, and stamp usage inside the agreement.",
        ),
        "DuplicateRequestException" => of(
            "MeterUsage takes one record per instance, dimension and hour. Another quantity for a metered hour is refused; the first stays billed.",
            "Gather the hour's usage and meter it once.",
        ),
        _ => return None,
    })
}

/// Errors that the buyers' software, or a registration, receives.
fn by_software(code: &str) -> Option<Explanation> {
    Some(match code {
        "IdempotencyConflictException" => of(
            "A ClientToken stands for one request; with other parameters it is refused.",
            "Repeat a request unchanged, and make a new token for a new one.",
        ),
        "CustomerNotEntitledException" => of(
            "The account that runs the software has no subscription that accepts usage.",
            "Let the buyer subscribe; until then the software should not run.",
        ),
        "InvalidEndpointRegionException" | "InvalidRegionException" => of(
            "The software must call AWS Marketplace in the Region it runs in.",
            "Take the Region from the instance, task or pod.",
        ),
        "PlatformNotSupportedException" => of(
            "RegisterUsage is for Amazon ECS, Amazon EKS and AWS Fargate.",
            "Use MeterUsage elsewhere.",
        ),
        "InvalidPublicKeyVersionException" => of(
            "The version must be one of the keys AWS Marketplace has published.",
            "Use the newest key.",
        ),
        "DryRunOperation" => of(
            "DryRun asks only whether the request would be accepted. It would be; nothing was metered.",
            "Send it without DryRun.",
        ),
        "InvalidTokenException" => of(
            "The registration token is not one AWS Marketplace issued. Tokens come in a form field, and contain + and /.",
            "Decode the form field once, and pass the token on unchanged.",
        ),
        _ => return None,
    })
}

/// Errors in the request itself.
fn by_request(code: &str) -> Option<Explanation> {
    Some(match code {
        "ValidationException" | "InvalidParameterException" => of(
            "The request breaks the API model: a member is missing, too long, too short, of the wrong form, or does not exist.",
            "The message names each member; correct the request, sending it again unchanged is useless.",
        ),
        "SerializationException" => of(
            "The body is not the JSON the operation takes: a member has the wrong type.",
            "Let an AWS SDK write the request.",
        ),
        "InvalidNextTokenException" => of(
            "A NextToken belongs to the request it was answered to, filters and all.",
            "Begin at the first page.",
        ),
        "InvalidEventCategoryException"
        | "InvalidTimeRangeException"
        | "InvalidLookupAttributesException"
        | "InvalidMaxResultsException" => of(
            "LookupEvents takes one attribute, at most 50 results, and a start before its end.",
            "Correct what the message names.",
        ),
        "ResourceNotFoundException" => of(
            "What the request names does not exist, or is not the caller's.",
            "Check the identifier.",
        ),
        _ => return None,
    })
}

/// Errors that no record causes. They must never end a record.
fn by_trouble(code: &str) -> Option<Explanation> {
    Some(match code {
        "ThrottlingException" => of(
            "Too many requests: AWS grants 10 BatchMeterUsage per second and 2 LookupEvents.",
            "Nothing was done. Wait, with jitter, and send the same records again.",
        ),
        "InternalServiceErrorException" | "InternalServerException" | "InternalFailure" => of(
            "AWS failed. Something may have been recorded all the same.",
            "Send the identical records again: an hour is billed once.",
        ),
        "DisabledApiException" => of(
            "The API is not enabled for the seller in this Region; SaaS products begin with us-east-1.",
            "Call us-east-1, or ask AWS to enable the Region. The records stay as they are.",
        ),
        "AccessDeniedException" => of(
            "The caller's policy does not allow the operation on resource *.",
            "Allow it to the function's role. The records stay as they are.",
        ),
        "ExpiredTokenException" => of(
            "The caller's credentials have expired.",
            "Renew the credentials. The records stay as they are.",
        ),
        "InvalidSignatureException" => of(
            "The signature does not fit: a wrong secret key, or a clock that is minutes off.",
            "Check the credentials and the machine's clock. The records stay as they are.",
        ),
        "ServiceUnavailableException" | "502" => of(
            "The answer is not AWS Marketplace's own: something in between failed, and nobody knows what was done.",
            "Send the identical records again.",
        ),
        _ => return None,
    })
}

/// Why a record in an answered request was not accepted. `None` if it was accepted.
pub(super) fn outcome(outcome: &str) -> Option<Explanation> {
    Some(match outcome {
        "CustomerNotSubscribed" => of(
            "Not billed: the buyer is unknown, has no agreement in force, or is suspended. It may become Success later.",
            "Keep the record and send it again, slowly, while its window lasts.",
        ),
        "DuplicateRecord" => of(
            "Not billed: the slot of this buyer, dimension and hour was taken before. The first record stays, and nothing is added to it.",
            "Never meter an hour twice; put late usage into an hour not yet metered.",
        ),
        "Unprocessed" => of(
            "Not billed: AWS did not look at the record. The SDK does not send it again, for the call was a 200.",
            "Send the record again, unchanged.",
        ),
        "NotProcessed" => of(
            "Not billed: the request failed as a whole.",
            "See why above.",
        ),
        _ => return None,
    })
}

/// What it means that no answer was sent.
pub(super) fn unanswered(faults: &[FaultKind]) -> Explanation {
    match faults.contains(&FaultKind::DropAfter) {
        true => of(
            "The work was done, but the caller never heard of it.",
            "Send the identical records again: they are billed once. Changed ones would be DuplicateRecord.",
        ),
        false => of(
            "The connection closed before anything was done. The caller cannot tell.",
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
    fn an_expired_token_is_the_buyers_unless_the_fault_is_the_callers() {
        let code = "ExpiredTokenException";
        let buyer = error("ResolveCustomer", code, &[]);
        assert!(buyer.next.contains("Set up your account"));
        let caller = error("ResolveCustomer", code, &[FaultKind::ExpiredCredentials]);
        assert!(caller.rule.contains("credentials"));
    }
}
