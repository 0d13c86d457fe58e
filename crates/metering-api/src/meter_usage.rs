//! MeterUsage: software in the buyer's account meters its own usage (AMI and container products).
//!
//! Facts: M31, M32, M33, M34 (docs/marketplace-rules.md).

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;
use marketplace::limits::ALLOCATIONS_MAX;
use marketplace::record::Allocation;
use marketplace::{Dimension, ProductCode, Quantity, Total};
use serde::Serialize;

use crate::usage_record::{Form, UsageAllocation, allocations, to_json};

/// The most characters of a client token. Source: API model, `ClientToken`.
pub const CLIENT_TOKEN_CHARS_MAX: usize = 64;

/// One hour's usage of one dimension by one instance, task or pod.
///
/// AWS accepts it for 6 hours after the usage, once per hour and dimension. An identical repetition
/// returns the same metering record id. A repetition with another quantity fails with
/// DuplicateRequestException.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterUsageRequest {
    product: ProductCode,
    timestamp: Timestamp,
    dimension: Dimension,
    quantity: Quantity,
    allocations: Vec<Allocation>,
    dry_run: bool,
    client_token: Option<String>,
}

/// The rule that a MeterUsage request breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMeterUsage {
    /// There are more than the 2,500 allocations that AWS accepts.
    #[error("{0} usage allocations: a request has at most 2500; merge the smallest")]
    TooManyAllocations(usize),
    /// The allocations do not add up to the quantity.
    #[error(
        "the usage allocations add up to {sum}, the quantity is {quantity}: they must be equal"
    )]
    Sum {
        /// The sum of the allocations.
        sum: Total,
        /// The quantity of the request.
        quantity: Quantity,
    },
    /// Two allocations have the same tag set.
    #[error("two usage allocations have the same tags ({0}): add them together")]
    RepeatedTags(String),
    /// The client token does not have 1 to 64 visible ASCII characters.
    #[error("client token {0:?} is not valid: use 1 to 64 visible ASCII characters")]
    ClientToken(String),
}

impl MeterUsageRequest {
    /// Creates a request for usage of `dimension` in the hour of `timestamp`, which is sent in
    /// whole seconds.
    pub fn new(
        product: ProductCode,
        timestamp: Timestamp,
        dimension: Dimension,
        quantity: Quantity,
    ) -> Self {
        Self {
            product,
            timestamp,
            dimension,
            quantity,
            allocations: Vec::new(),
            dry_run: false,
            client_token: None,
        }
    }

    /// Splits the quantity by tags into at most 2,500 allocations, which must add up to it. Each
    /// tag set may occur once.
    pub fn with_allocations(
        mut self,
        allocations: Vec<Allocation>,
    ) -> Result<Self, InvalidMeterUsage> {
        if allocations.len() > ALLOCATIONS_MAX {
            return Err(InvalidMeterUsage::TooManyAllocations(allocations.len()));
        }
        let mut seen = HashSet::new();
        for allocation in &allocations {
            if !seen.insert(&allocation.tags) {
                let tags: Vec<_> = allocation
                    .tags
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect();
                return Err(InvalidMeterUsage::RepeatedTags(tags.join(" ")));
            }
        }
        // 2,500 quantities cannot overflow 128 bits.
        let sum = Total::sum(allocations.iter().map(|a| a.quantity)).unwrap_or(Total::ZERO);
        if !allocations.is_empty() && sum != Total::from(self.quantity) {
            return Err(InvalidMeterUsage::Sum {
                sum,
                quantity: self.quantity,
            });
        }
        self.allocations = allocations;
        Ok(self)
    }

    /// Sets the client token, by which AWS recognizes a repetition. Without it each call gets a
    /// random token, which the SDK's retries share. On Bedrock AgentCore, where many records per
    /// hour are billed, only the token distinguishes a repetition from more usage.
    pub fn with_client_token(
        mut self,
        token: impl Into<String>,
    ) -> Result<Self, InvalidMeterUsage> {
        let token = token.into();
        let fits = (1..=CLIENT_TOKEN_CHARS_MAX).contains(&token.len());
        if !fits || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidMeterUsage::ClientToken(
                token.chars().take(100).collect(),
            ));
        }
        self.client_token = Some(token);
        Ok(self)
    }

    /// Sets whether the call only checks permissions. AWS answers a permitted dry run with the
    /// error code `DryRunOperation`.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    pub(crate) fn request_body(&self) -> Vec<u8> {
        let form = Form::of(self.quantity, &self.allocations);
        let client_token = match &self.client_token {
            Some(token) => Cow::Borrowed(token.as_str()),
            None => Cow::Owned(format!("{:032x}", fastrand::u128(..))),
        };
        to_json(&Body {
            product_code: self.product.as_str(),
            timestamp: self.timestamp.as_second(),
            usage_dimension: self.dimension.as_str(),
            usage_quantity: form.integer(self.quantity),
            usage_quantity_as_decimal: form.decimal(self.quantity),
            usage_allocations: allocations(form, &self.allocations),
            dry_run: self.dry_run,
            client_token: &client_token,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    product_code: &'a str,
    timestamp: i64,
    usage_dimension: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_quantity: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_quantity_as_decimal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    usage_allocations: Vec<UsageAllocation<'a>>,
    dry_run: bool,
    client_token: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketplace::{TagSet, Tags};

    fn request(quantity: &str) -> MeterUsageRequest {
        MeterUsageRequest::new(
            "code1".parse().unwrap(),
            "2026-11-21T12:00:00.7Z".parse().unwrap(),
            "gb".parse().unwrap(),
            quantity.parse().unwrap(),
        )
    }

    fn share(team: Option<&str>, quantity: &str) -> Allocation {
        let tags: Tags = team
            .map(|t| ("team".to_owned(), t.to_owned()))
            .into_iter()
            .collect();
        Allocation {
            tags: TagSet::try_from(tags).unwrap(),
            quantity: quantity.parse().unwrap(),
        }
    }

    #[test]
    fn allocations_add_up_to_the_quantity_and_each_tag_set_occurs_once() {
        let two = vec![share(Some("a"), "1"), share(None, "2.5")];
        assert!(request("3.5").with_allocations(two.clone()).is_ok());
        assert!(request("3.5").with_allocations(Vec::new()).is_ok());
        let error = request("3").with_allocations(two).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the usage allocations add up to 3.5, the quantity is 3: they must be equal"
        );
        let twice = vec![share(Some("a"), "1"), share(Some("a"), "2")];
        assert_eq!(
            request("3").with_allocations(twice),
            Err(InvalidMeterUsage::RepeatedTags("team=a".to_owned()))
        );
        assert_eq!(
            request("0").with_allocations(vec![share(None, "0"); 2_501]),
            Err(InvalidMeterUsage::TooManyAllocations(2_501))
        );
    }

    #[test]
    fn a_client_token_has_1_to_64_visible_characters() {
        assert!(request("1").with_client_token("x".repeat(64)).is_ok());
        for token in ["", "a b", "ü", &"x".repeat(65)] {
            assert!(request("1").with_client_token(token).is_err(), "{token:?}");
        }
    }

    #[test]
    fn the_body_has_every_member_of_the_request() {
        let body = |request: MeterUsageRequest| {
            String::from_utf8(request.with_client_token("t-1").unwrap().request_body()).unwrap()
        };
        assert_eq!(
            body(request("3").dry_run(true)),
            r#"{"ProductCode":"code1","Timestamp":1795262400,"UsageDimension":"gb","UsageQuantity":3,"DryRun":true,"ClientToken":"t-1"}"#
        );
        let split = vec![share(Some("a"), "1"), share(None, "2.5")];
        assert_eq!(
            body(request("3.5").with_allocations(split).unwrap()),
            r#"{"ProductCode":"code1","Timestamp":1795262400,"UsageDimension":"gb","UsageQuantityAsDecimal":"3.5","UsageAllocations":[{"AllocatedUsageQuantityAsDecimal":"1","Tags":[{"Key":"team","Value":"a"}]},{"AllocatedUsageQuantityAsDecimal":"2.5"}],"DryRun":false,"ClientToken":"t-1"}"#
        );
    }

    #[test]
    fn a_request_without_a_client_token_gets_a_new_token_for_each_call() {
        let request = request("1");
        assert_ne!(request.request_body(), request.request_body());
    }
}
