//! The request of `MeterUsage`.

use super::reader::{Members, ShapeError};
use super::shapes::{CLIENT_TOKEN, DIMENSION, PRODUCT_CODE};
use super::usage::{GivenQuantity, Stamp, UsageAllocation};

/// The request of `MeterUsage`: one hour's usage of one dimension, metered from the buyer's
/// account.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MeterUsageRequest {
    pub(crate) product_code: String,
    pub(crate) timestamp: Stamp,
    pub(crate) usage_dimension: String,
    pub(crate) quantity: GivenQuantity,
    pub(crate) dry_run: bool,
    pub(crate) usage_allocations: Option<Vec<UsageAllocation>>,
    pub(crate) client_token: Option<String>,
}

impl MeterUsageRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let product_code = members.string("ProductCode", &PRODUCT_CODE)?;
        if product_code.is_none() {
            members.missing("ProductCode");
        }
        let timestamp = Stamp::read(members, "Timestamp")?;
        let usage_dimension = members.string("UsageDimension", &DIMENSION)?;
        if usage_dimension.is_none() {
            members.missing("UsageDimension");
        }
        Ok(MeterUsageRequest {
            product_code: product_code.unwrap_or_default(),
            timestamp,
            usage_dimension: usage_dimension.unwrap_or_default(),
            quantity: GivenQuantity::read(members, "UsageQuantity", "UsageQuantityAsDecimal")?,
            dry_run: members.boolean("DryRun")?.unwrap_or(false),
            usage_allocations: UsageAllocation::read_list(members)?,
            client_token: members.string("ClientToken", &CLIENT_TOKEN)?,
        })
    }
}
