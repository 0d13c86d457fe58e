//! Usage records as JSON. The same frozen record always becomes the same bytes, so that AWS
//! Marketplace recognizes a repetition.
//!
//! Facts: M3, M9, M10, M11, M12, M13 (docs/marketplace-rules.md).

use std::io;

use marketplace::batch::BatchGroup;
use marketplace::record::Allocation;
use marketplace::{IdentityKind, MeteringRecord, Quantity, Subscription};
use serde::Serialize;

/// The body of a BatchMeterUsage request with these records, in this order.
///
/// `ProductCode` is included unless the buyers are identified by licenses. AWS accepts at most 25
/// records and less than 1 MB.
pub fn request_body(group: &BatchGroup, records: &[&MeteringRecord]) -> Vec<u8> {
    let product_code = match group.kind {
        IdentityKind::License => None,
        IdentityKind::Customer | IdentityKind::Account => Some(group.product.as_str()),
    };
    to_json(&BatchBody {
        product_code,
        usage_records: records
            .iter()
            .map(|record| UsageRecord::of(record))
            .collect(),
    })
}

/// The number of bytes that a record has in [`request_body`], without the comma after it.
pub fn record_bytes(record: &MeteringRecord) -> usize {
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, &UsageRecord::of(record)) {
        Ok(()) => counter.0,
        // This cannot happen: texts and integers always become JSON, and the counter accepts all
        // bytes.
        Err(_) => usize::MAX,
    }
}

/// Writes JSON. The value must consist of texts, integers, and lists and maps of them.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Invariant: serialization fails only for maps whose keys are not texts, or for failing
    // writers.
    serde_json::to_vec(value).expect("texts and integers always become JSON")
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    product_code: Option<&'a str>,
    usage_records: Vec<UsageRecord<'a>>,
}

/// An element of `UsageRecords`, with its members in the order in which they are sent. A member
/// without a value is omitted; it is never sent empty.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UsageRecord<'a> {
    /// The record's stamp, in seconds since the epoch.
    timestamp: i64,
    dimension: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_arn: Option<&'a str>,
    #[serde(
        rename = "CustomerAWSAccountId",
        skip_serializing_if = "Option::is_none"
    )]
    customer_aws_account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity_as_decimal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    usage_allocations: Vec<UsageAllocation<'a>>,
}

impl<'a> UsageRecord<'a> {
    fn of(record: &'a MeteringRecord) -> Self {
        let (license_arn, account, customer_identifier) = match &record.slot.subscription {
            Subscription::License(arn) => (
                Some(arn.as_str()),
                record.account.as_ref().map(|a| a.as_str()),
                None,
            ),
            Subscription::Customer(_, customer) => (None, None, Some(customer.as_str())),
            Subscription::Account(_, account) => (None, Some(account.as_str()), None),
        };
        let form = Form::of(record.quantity, &record.allocations);
        Self {
            timestamp: record.stamp.as_second(),
            dimension: record.slot.dimension.as_str(),
            license_arn,
            customer_aws_account_id: account,
            customer_identifier,
            quantity: form.integer(record.quantity),
            quantity_as_decimal: form.decimal(record.quantity),
            usage_allocations: allocations(form, &record.allocations),
        }
    }
}

/// The form in which quantities are written. A record and its allocations use the same form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON integers, which every version of the service understands.
    Integers,
    /// Decimal texts (`QuantityAsDecimal`), which the service accepts since November 2026.
    Decimals,
}

impl Form {
    /// Integers if the quantity and all its shares are integers; otherwise decimals.
    pub(crate) fn of(quantity: Quantity, allocations: &[Allocation]) -> Self {
        let whole = quantity.as_api_integer().is_some()
            && allocations
                .iter()
                .all(|a| a.quantity.as_api_integer().is_some());
        if whole {
            Self::Integers
        } else {
            Self::Decimals
        }
    }

    pub(crate) fn integer(self, quantity: Quantity) -> Option<i32> {
        match self {
            Self::Integers => quantity.as_api_integer(),
            Self::Decimals => None,
        }
    }

    pub(crate) fn decimal(self, quantity: Quantity) -> Option<String> {
        (self == Self::Decimals).then(|| quantity.to_string())
    }
}

/// A usage allocation, which is a share of a record's quantity.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UsageAllocation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated_usage_quantity: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated_usage_quantity_as_decimal: Option<String>,
    /// The tags; omitted for the untagged share.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    key: &'a str,
    value: &'a str,
}

pub(crate) fn allocations(form: Form, allocations: &[Allocation]) -> Vec<UsageAllocation<'_>> {
    allocations
        .iter()
        .map(|allocation| UsageAllocation {
            allocated_usage_quantity: form.integer(allocation.quantity),
            allocated_usage_quantity_as_decimal: form.decimal(allocation.quantity),
            tags: allocation
                .tags
                .iter()
                .map(|(key, value)| Tag { key, value })
                .collect(),
        })
        .collect()
}
