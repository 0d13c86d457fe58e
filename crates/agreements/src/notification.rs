//! SNS messages of legacy listings, as an SQS queue delivers them: with SNS's envelope, or without
//! it where the subscription asks for raw delivery. A queue may also bring back an EventBridge event.

use jiff::Timestamp;
use marketplace::lifecycle::Sign;
use serde_json::Value;

use crate::field::{Fields, Malformed};
use crate::news::{Message, News, Reading};

/// Reads one record of an SQS batch. `now` is the time of a message that brings none: raw delivery
/// loses SNS's own, so the queue's time of arrival stands in for it.
pub fn read(record: &Value, now: Timestamp) -> Result<Reading, Malformed> {
    let message_id = record.get("messageId").and_then(Value::as_str);
    let outer = Fields::new(record, message_id);
    let body = outer.text("/body")?;
    let json = |text: &str, path: &str| -> Result<Value, Malformed> {
        outer.read(path, text, |text| serde_json::from_str(text))
    };
    let received = json(body, "/body")?;
    // An EventBridge event out of a dead-letter queue, sent again: as the rule's target left it, or
    // as the function's own on-failure destination wrapped it. AWS Marketplace repeats no event.
    for event in [Some(&received), received.get("requestPayload")] {
        if let Some(event) = event.filter(|event| event.get("detail-type").is_some()) {
            return crate::event::read(event);
        }
    }
    let envelope = Fields::new(&received, received.get("MessageId").and_then(Value::as_str));
    let (message, topic, id, at) = match envelope.text_opt("/Message")? {
        Some(inner) => (
            json(inner, "/body/Message")?,
            envelope.text_opt("/TopicArn")?,
            envelope.id.clone(),
            envelope.parsed_opt("/Timestamp")?,
        ),
        None => (received.clone(), None, outer.id.clone(), None),
    };
    let mut fields = Fields::new(&message, Some(&id));
    let at = at.or_else(|| sent_at(record)).unwrap_or(now);
    fields.at = Some(at);
    let action = fields.text("/action")?;
    let sign = match action {
        "subscribe-success" => Some(Sign::Activated),
        "subscribe-fail" => Some(Sign::Failed),
        "unsubscribe-pending" => Some(Sign::EndAnnounced),
        "unsubscribe-success" => Some(Sign::Deprovisioned),
        // The entitlements of a contract changed: nothing begins or ends.
        "entitlement-updated" => None,
        other => {
            return Ok(Reading::Ignored {
                what: other.to_owned(),
            });
        }
    };
    let product = match (fields.parsed_opt("/product-code")?, topic) {
        (Some(product), _) => product,
        (None, Some(topic)) => fields.read("/TopicArn", topic, product_of_topic)?,
        (None, None) => return Err(fields.malformed("/product-code", "is missing")),
    };
    Ok(Reading::News(Message {
        at,
        kind: action.to_owned(),
        news: News::Customer {
            sign,
            product,
            customer: fields.parsed("/customer-identifier")?,
        },
        id,
    }))
}

/// `...:aws-mp-subscription-notification-<PRODUCTCODE>`, or `aws-mp-entitlement-notification-`.
fn product_of_topic(topic: &str) -> Result<marketplace::ProductCode, String> {
    let (_, code) = topic
        .split_once("-notification-")
        .ok_or_else(|| format!("{topic:?} does not end with -notification-<product code>"))?;
    code.parse()
        .map_err(|e: marketplace::ids::InvalidId| e.to_string())
}

/// When SQS took the message in, in milliseconds since the epoch.
fn sent_at(record: &Value) -> Option<Timestamp> {
    let text = record.pointer("/attributes/SentTimestamp")?.as_str()?;
    Timestamp::from_millisecond(text.parse().ok()?).ok()
}
