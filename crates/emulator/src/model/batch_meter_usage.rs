//! The request of `BatchMeterUsage`.

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize};

use super::reader::{Members, ShapeError, read};
use super::shapes::{ACCOUNT_ID, CUSTOMER_IDENTIFIER, DIMENSION, LICENSE_ARN, PRODUCT_CODE};
use super::usage::{GivenQuantity, Stamp, UsageAllocation};
use crate::limits::USAGE_RECORDS_MAX;

/// The request of `BatchMeterUsage`: up to 25 records for one product.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchMeterUsageRequest {
    pub(crate) product_code: Option<String>,
    pub(crate) usage_records: Vec<UsageRecord>,
}

/// One record as it was sent. The answer repeats it unchanged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UsageRecord {
    pub(crate) timestamp: Stamp,
    pub(crate) dimension: String,
    pub(crate) customer_identifier: Option<String>,
    pub(crate) customer_aws_account_id: Option<String>,
    pub(crate) license_arn: Option<String>,
    pub(crate) quantity: GivenQuantity,
    pub(crate) usage_allocations: Option<Vec<UsageAllocation>>,
}

impl BatchMeterUsageRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let product_code = members.string("ProductCode", &PRODUCT_CODE)?;
        let usage_records =
            members.list("UsageRecords", 0, USAGE_RECORDS_MAX, UsageRecord::read)?;
        if usage_records.is_none() {
            members.missing("UsageRecords");
        }
        Ok(BatchMeterUsageRequest {
            product_code,
            usage_records: usage_records.unwrap_or_default(),
        })
    }
}

impl UsageRecord {
    fn read(members: &mut Members<'_>) -> Result<UsageRecord, ShapeError> {
        let timestamp = Stamp::read(members, "Timestamp")?;
        let dimension = members.string("Dimension", &DIMENSION)?;
        if dimension.is_none() {
            members.missing("Dimension");
        }
        Ok(UsageRecord {
            timestamp,
            dimension: dimension.unwrap_or_default(),
            customer_identifier: members.string("CustomerIdentifier", &CUSTOMER_IDENTIFIER)?,
            customer_aws_account_id: members.string("CustomerAWSAccountId", &ACCOUNT_ID)?,
            license_arn: members.string("LicenseArn", &LICENSE_ARN)?,
            quantity: GivenQuantity::read(members, "Quantity", "QuantityAsDecimal")?,
            usage_allocations: UsageAllocation::read_list(members)?,
        })
    }
}

/// Reads a record from a file, where it has the same shape as on the wire.
impl<'de> Deserialize<'de> for UsageRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UsageRecord, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        read(value, UsageRecord::read).map_err(D::Error::custom)
    }
}

impl Serialize for UsageRecord {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Timestamp", &self.timestamp)?;
        if let Some(customer) = &self.customer_identifier {
            map.serialize_entry("CustomerIdentifier", customer)?;
        }
        if let Some(account) = &self.customer_aws_account_id {
            map.serialize_entry("CustomerAWSAccountId", account)?;
        }
        if let Some(arn) = &self.license_arn {
            map.serialize_entry("LicenseArn", arn)?;
        }
        map.serialize_entry("Dimension", &self.dimension)?;
        if let Some(units) = self.quantity.integer() {
            map.serialize_entry("Quantity", &units)?;
        }
        if let Some(text) = self.quantity.decimal() {
            map.serialize_entry("QuantityAsDecimal", text)?;
        }
        if let Some(allocations) = &self.usage_allocations {
            map.serialize_entry("UsageAllocations", allocations)?;
        }
        map.end()
    }
}
