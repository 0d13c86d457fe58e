//! The definitions of the tables, in the form of `CreateTable`. `template.yaml` declares the same
//! tables, and a test compares the two.

use serde_json::{Value, json};

/// The names of one stack's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    /// The table of subscriptions, agreements and products.
    pub subscriptions: String,
    /// The table of usage rows, the public interface.
    pub usage_events: String,
    /// The table of metering records, movements, late flags and progress.
    pub metering_records: String,
}

impl TableNames {
    /// The names for a stack: `<stack>-Subscriptions`, `<stack>-UsageEvents` and
    /// `<stack>-MeteringRecords`.
    pub fn of_stack(stack: &str) -> Self {
        Self {
            subscriptions: format!("{stack}-Subscriptions"),
            usage_events: format!("{stack}-UsageEvents"),
            metering_records: format!("{stack}-MeteringRecords"),
        }
    }

    /// All three names. The TTL attribute of each table is [`TTL_ATTRIBUTE`].
    pub fn all(&self) -> [&str; 3] {
        [
            &self.subscriptions,
            &self.usage_events,
            &self.metering_records,
        ]
    }
}

/// The index of Subscriptions with every subscription that has not ended, by shard.
pub const LIVE_INDEX: &str = "live";
/// The index of Subscriptions with the subscriptions that have attention.
pub const ATTENTION_INDEX: &str = "attention";
/// The index of MeteringRecords with the items that are due, by kind and shard.
pub const WORK_INDEX: &str = "work";
/// The TTL attribute of all three tables: the second since the epoch from which DynamoDB may delete
/// the item. An item without it stays.
pub const TTL_ATTRIBUTE: &str = "expires_at";

/// The `CreateTable` requests for the three tables, in the order of the fields of [`TableNames`].
/// All tables are on demand.
pub fn definitions(names: &TableNames) -> [Value; 3] {
    [
        table(
            &names.subscriptions,
            ("subscription", "item"),
            &[
                (LIVE_INDEX, ("live", "S"), ("subscription", "S")),
                (ATTENTION_INDEX, ("attention", "S"), ("subscription", "S")),
            ],
            None,
        ),
        table(
            &names.usage_events,
            ("subscription_hour", "dimension_event"),
            &[],
            Some("KEYS_ONLY"),
        ),
        table(
            &names.metering_records,
            ("subscription", "item"),
            &[(WORK_INDEX, ("work", "S"), ("due", "N"))],
            Some("NEW_IMAGE"),
        ),
    ]
}

type Key<'a> = (&'a str, &'a str);

fn table(
    name: &str,
    key: Key<'_>,
    indexes: &[(&str, Key<'_>, Key<'_>)],
    stream: Option<&str>,
) -> Value {
    let mut attributes = vec![(key.0, "S"), (key.1, "S")];
    for (_, hash, range) in indexes {
        attributes.push(*hash);
        attributes.push(*range);
    }
    attributes.sort_unstable();
    attributes.dedup();
    let schema = |hash: &str, range: &str| {
        json!([
            {"AttributeName": hash, "KeyType": "HASH"},
            {"AttributeName": range, "KeyType": "RANGE"},
        ])
    };
    let mut request = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": schema(key.0, key.1),
        "AttributeDefinitions": attributes
            .iter()
            .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
            .collect::<Vec<_>>(),
    });
    if !indexes.is_empty() {
        request["GlobalSecondaryIndexes"] = indexes
            .iter()
            .map(|(name, hash, range)| {
                json!({
                    "IndexName": name,
                    "KeySchema": schema(hash.0, range.0),
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                })
            })
            .collect();
    }
    if let Some(view) = stream {
        request["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": view});
    }
    request
}
