//! Distinguishes the items of the whole stack from those of a subscription.

use marketplace::Subscription;
use serde_json::Value;

/// The partition key of the tables Subscriptions and MeteringRecords.
const PARTITION_KEY: &str = "subscription";

/// Returns whether the request writes one item whose partition key names no subscription. `false`
/// for an item without this key and for a request about several items.
pub(super) fn is_of_the_stack(request: &[u8]) -> bool {
    let Ok(request) = serde_json::from_slice::<Value>(request) else {
        return false;
    };
    let key = request.get("Item").or_else(|| request.get("Key"));
    let partition = key.and_then(|key| key[PARTITION_KEY]["S"].as_str());
    partition.is_some_and(|name| name.parse::<Subscription>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_partition_key_says_whose_item_it_is() {
        let item = |name: &str| json!({"subscription": {"S": name}, "item": {"S": "x"}});
        let is_of = |request: Value| is_of_the_stack(request.to_string().as_bytes());
        assert!(is_of(json!({"Key": item("shard#3")})));
        assert!(is_of(json!({"Item": item("stops")})));
        assert!(!is_of(json!({"Item": item("account|code|111122223333")})));
        assert!(!is_of(
            json!({"Item": {"subscription_hour": {"S": "stops"}}})
        ));
        assert!(!is_of(
            json!({"TransactItems": [{"Put": {"Item": item("stops")}}]})
        ));
        assert!(!is_of_the_stack(b"no JSON"));
    }
}
