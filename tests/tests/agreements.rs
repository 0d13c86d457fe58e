//! Lifecycle events of agreements, licenses and legacy customers reach the subscriptions.

mod buyers;
#[path = "agreements/damage.rs"]
mod damage;
#[path = "agreements/licenses.rs"]
mod licenses;
#[path = "agreements/messages.rs"]
mod messages;
#[path = "agreements/order.rs"]
mod order;
#[path = "agreements/renewals.rs"]
mod renewals;

use buyers::sample;
use serde_json::{Value, json};

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";

/// Another license, which the same agreement may grant.
const OTHER_LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-fedcba9876543210fedcba9876543210";

/// Every order of three events.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [2, 1, 0],
    [1, 2, 0],
    [2, 0, 1],
    [1, 0, 2],
];

/// A license event in the form in which AWS sends it.
fn license_event(kind: &str, product: &str, agreement: &str, account: &str, time: &str) -> Value {
    let mut event = sample("agreements-license-updated");
    event["id"] = json!(format!("{kind}-{agreement}-{time}"));
    event["detail-type"] = json!(format!("License {kind} - Manufacturer"));
    event["time"] = json!(time);
    event["detail"]["product"]["code"] = json!(product);
    event["detail"]["agreement"]["id"] = json!(agreement);
    event["detail"]["acceptor"]["accountId"] = json!(account);
    event
}

/// The same event about the other license.
fn of_other_license(mut event: Value) -> Value {
    let id = format!("other-{}", event["id"].as_str().unwrap());
    event["id"] = json!(id);
    event["detail"]["license"]["arn"] = json!(OTHER_LICENSE);
    event
}

fn ended_event(agreement: &str, time: &str) -> Value {
    let mut event = sample("agreements-ended");
    event["id"] = json!(format!("ended-{agreement}-{time}"));
    event["time"] = json!(time);
    event["detail"]["agreement"]["id"] = json!(agreement);
    event
}
