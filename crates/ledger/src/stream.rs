//! What the tables' streams deliver: keys only for UsageEvents, new images for MeteringRecords.
//!
//! Deliveries may repeat, come late or not at all, so nothing here is more than a hint to look.

use marketplace::record::RecordKey;
use serde::Deserialize;

use crate::record::read_sort_key;

/// One stream record, as far as we need it.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamRecord {
    /// INSERT, MODIFY or REMOVE.
    #[serde(rename = "eventName", default)]
    pub event_name: String,
    /// What changed.
    pub dynamodb: StreamChange,
    /// Who removed it; TTL says so here.
    #[serde(rename = "userIdentity", default)]
    pub user_identity: Option<UserIdentity>,
}

/// What changed.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamChange {
    /// The item's key.
    #[serde(rename = "Keys")]
    pub keys: Keys,
    /// Where it stands in the stream; what a partial-batch answer names.
    #[serde(rename = "SequenceNumber", default)]
    pub sequence_number: String,
}

/// An item's key attributes, of whichever table.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Keys {
    /// UsageEvents' partition key.
    #[serde(default)]
    pub subscription_hour: Option<Text>,
    /// UsageEvents' sort key.
    #[serde(default)]
    pub dimension_event: Option<Text>,
    /// MeteringRecords' partition key.
    #[serde(default)]
    pub subscription: Option<Text>,
    /// MeteringRecords' sort key.
    #[serde(default)]
    pub item: Option<Text>,
}

/// A string attribute in a stream record.
#[derive(Debug, Clone, Deserialize)]
pub struct Text {
    /// Its value.
    #[serde(rename = "S")]
    pub s: String,
}

/// Who made a change.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UserIdentity {
    /// `dynamodb.amazonaws.com` for TTL.
    #[serde(rename = "principalId", default)]
    pub principal_id: Option<String>,
}

impl StreamRecord {
    /// Whether DynamoDB's TTL removed the row: that is no change in usage.
    pub fn is_ttl_removal(&self) -> bool {
        self.event_name == "REMOVE"
            && self
                .user_identity
                .as_ref()
                .and_then(|who| who.principal_id.as_deref())
                == Some("dynamodb.amazonaws.com")
    }

    /// Partition and sort key of a UsageEvents row.
    pub fn usage_key(&self) -> Option<(&str, &str)> {
        let keys = &self.dynamodb.keys;
        Some((
            &keys.subscription_hour.as_ref()?.s,
            &keys.dimension_event.as_ref()?.s,
        ))
    }

    /// The key of a metering record; `None` for every other item of that table.
    pub fn record_key(&self) -> Option<RecordKey> {
        let keys = &self.dynamodb.keys;
        let (hour, dimension) = read_sort_key(&keys.item.as_ref()?.s)?;
        Some(RecordKey {
            subscription: keys.subscription.as_ref()?.s.parse().ok()?,
            hour,
            dimension,
        })
    }
}
