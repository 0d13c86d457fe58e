//! Estimates the cost of a write whose condition failed. The answer does not contain this cost, but
//! AWS bills it.

use dynoxide::types::{Item, item_size};
use serde_json::Value;

/// One write unit pays for this many bytes of an item.
const WRITE_UNIT_BYTES: usize = 1_024;

/// Milli-units of one write unit.
const WRITE_UNIT: u64 = 1_000;

/// A write in a transaction costs twice: once to prepare, once to commit.
const TRANSACTION_FACTOR: u64 = 2;

/// The table and the milli-units of each write in a request that failed on its condition. Empty for
/// every other answer, since a throttled or invalid request costs nothing.
pub(super) fn failed_writes(operation: &str, request: &[u8], answer: &Value) -> Vec<(String, u64)> {
    let error = answer["__type"].as_str().unwrap_or_default();
    let Ok(request) = serde_json::from_slice::<Value>(request) else {
        return Vec::new();
    };
    if operation == "TransactWriteItems" && error.ends_with("TransactionCanceledException") {
        let reasons = answer["CancellationReasons"]
            .as_array()
            .into_iter()
            .flatten();
        if !reasons
            .clone()
            .any(|reason| reason["Code"] == "ConditionalCheckFailed")
        {
            return Vec::new();
        }
        let actions = request["TransactItems"].as_array().into_iter().flatten();
        let writes = actions
            .filter_map(Value::as_object)
            .flat_map(|action| action.values());
        return writes
            .filter_map(|write| {
                Some((
                    table(write)?,
                    milli_units(write).saturating_mul(TRANSACTION_FACTOR),
                ))
            })
            .collect();
    }
    if error.ends_with("ConditionalCheckFailedException") {
        return table(&request)
            .map(|table| (table, milli_units(&request)))
            .into_iter()
            .collect();
    }
    Vec::new()
}

fn table(write: &Value) -> Option<String> {
    write["TableName"].as_str().map(str::to_owned)
}

/// The cost by the size of the item or key in the request, one unit at least.
fn milli_units(write: &Value) -> u64 {
    let item = write
        .get("Item")
        .or_else(|| write.get("Key"))
        .cloned()
        .unwrap_or_default();
    let size_bytes = serde_json::from_value::<Item>(item).map_or(0, |item| item_size(&item));
    let units = size_bytes.div_ceil(WRITE_UNIT_BYTES).max(1);
    u64::try_from(units)
        .unwrap_or(u64::MAX)
        .saturating_mul(WRITE_UNIT)
}
