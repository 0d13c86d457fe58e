//! SNS messages of legacy listings, as an SQS queue delivers them. A message is in SNS's envelope,
//! unless the SNS subscription uses raw delivery. A queue may also deliver an EventBridge event
//! again.

use jiff::Timestamp;
use marketplace::lifecycle::Sign;
use serde_json::Value;

use crate::content::{Content, Message, Reading};
use crate::field::{Fields, Malformed};

/// Reads one record of an SQS batch. `now` is the time at which it is handled. With raw delivery,
/// SNS's own time is lost. Then the message gets the time at which SQS received it, or `now` if
/// that is missing too.
pub fn read(record: &Value, now: Timestamp) -> Result<Reading, Malformed> {
    let message_id = record.get("messageId").and_then(Value::as_str);
    let outer = Fields::new(record, message_id);
    let body = outer.text("/body")?;
    let json = |text: &str, path: &str| -> Result<Value, Malformed> {
        outer.read(path, text, |text| serde_json::from_str(text))
    };
    let received = json(body, "/body")?;
    // A person may send an EventBridge event from a dead-letter queue again, because AWS
    // Marketplace does not repeat events. The body is the event itself, or the message of the
    // function's on-failure destination, which contains the event as `requestPayload`.
    for event in [Some(&received), received.get("requestPayload")] {
        if let Some(event) = event.filter(|event| event.get("detail-type").is_some()) {
            return crate::event::read(event, now);
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
    let dated = match at {
        Some(at) => Some(("/Timestamp", at)),
        None => sent_at(record).map(|at| ("/attributes/SentTimestamp", at)),
    };
    let at = dated.map_or(now, |(_, at)| at);
    fields.at = Some(at);
    if let Some((path, at)) = dated {
        fields.check_time(path, at, now)?;
    }
    let action = fields.text("/action")?;
    let sign = match action {
        "subscribe-success" => Some(Sign::Activated),
        "subscribe-fail" => Some(Sign::Failed),
        "unsubscribe-pending" => Some(Sign::EndAnnounced),
        "unsubscribe-success" => Some(Sign::Deprovisioned),
        // The entitlements of a contract changed. No subscription begins or ends with that.
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
    Ok(Reading::Message(Message {
        at,
        kind: action.to_owned(),
        content: Content::Customer {
            sign,
            product,
            customer: fields.parsed("/customer-identifier")?,
        },
        id,
    }))
}

/// Reads the product code from a topic's ARN: `...:aws-mp-subscription-notification-<PRODUCTCODE>`,
/// or `...:aws-mp-entitlement-notification-<PRODUCTCODE>`.
fn product_of_topic(topic: &str) -> Result<marketplace::ProductCode, String> {
    let (_, code) = topic
        .split_once("-notification-")
        .ok_or_else(|| format!("{topic:?} does not end with -notification-<product code>"))?;
    code.parse()
        .map_err(|e: marketplace::ids::InvalidId| e.to_string())
}

/// The time at which SQS received the message. The attribute is in milliseconds since the epoch.
fn sent_at(record: &Value) -> Option<Timestamp> {
    let text = record.pointer("/attributes/SentTimestamp")?.as_str()?;
    Timestamp::from_millisecond(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Arbitrary JSON that often has the names and texts of lifecycle messages.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,20}",
            proptest::sample::select(vec![
                "aws.agreement-marketplace",
                "License Updated - Manufacturer",
                "Purchase Agreement Ended - Proposer",
                "subscribe-success",
                "entitlement-updated",
                "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-code",
                "2026-11-21T02:00:00Z",
                "{\"action\":\"unsubscribe-success\",\"product-code\":\"code\",\"customer-identifier\":\"c\"}",
                "{\"detail-type\":\"License Updated\"}",
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        let names = proptest::sample::select(vec![
            "Records",
            "messageId",
            "body",
            "attributes",
            "SentTimestamp",
            "requestPayload",
            "Message",
            "MessageId",
            "TopicArn",
            "Timestamp",
            "action",
            "product-code",
            "customer-identifier",
            "source",
            "detail-type",
            "detail",
            "time",
            "id",
            "license",
            "arn",
            "product",
            "code",
            "acceptor",
            "accountId",
            "agreement",
        ]);
        leaf.prop_recursive(4, 40, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map(names.clone(), inner, 0..8)
                    .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
        })
    }

    fn check(reading: Result<Reading, Malformed>) {
        match reading {
            Ok(Reading::Message(message)) => assert!(!message.id.is_empty()),
            Ok(Reading::Ignored { .. }) => {}
            // An error has an id, so that it can be stored, and it names a member.
            Err(malformed) => {
                assert!(!malformed.event_id.is_empty());
                assert!(malformed.problem.contains('/'), "{malformed}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_message_is_read_or_reported_as_malformed(
            value in any_json(),
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let now = "2026-11-21T03:00:00Z".parse().unwrap();
            check(crate::event::read(&value, now));
            check(read(&value, now));
            check(read(&json!({"messageId": "m", "body": value.to_string()}), now));
            let enveloped = json!({"MessageId": "n", "Message": value.to_string()}).to_string();
            check(read(&json!({"body": enveloped}), now));
            let text = String::from_utf8_lossy(&bytes);
            check(read(&json!({"body": text}), now));
        }
    }
}
