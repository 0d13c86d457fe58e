//! Delivers AWS Marketplace's lifecycle messages to the agreements function.

use emulator::LifecycleMessage;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Stack;

/// The largest number of deliveries in a row. Lambda invokes a function for an event up to three
/// times (`MaximumRetryAttempts` in template.yaml).
const TRIES_MAX: u32 = 3;
/// The time after which an unhandled message is delivered again. It is the visibility timeout of
/// LifecycleQueue in template.yaml. On AWS that queue also gets the failed events of EventBridge.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(6);

impl Stack {
    /// Delivers all pending messages: EventBridge events one by one, SNS messages through a queue.
    /// A failed delivery is repeated, as EventBridge and SQS do. An unhandled message goes back to
    /// the emulator, which saves it with its world until it is due again.
    pub(super) async fn deliver_lifecycle(&mut self) {
        let mut messages = self.emulator.take_lifecycle();
        if self.trouble.lifecycle && !messages.is_empty() {
            let again = messages[self.random.usize(0..messages.len())].clone();
            messages.push(again);
            self.random.shuffle(&mut messages);
        }
        for message in messages {
            let event = function_event(message.clone());
            if !self.deliver(&event).await {
                let id = event.pointer("/id");
                let id = id.or_else(|| event.pointer("/Records/0/messageId"));
                let id = id.and_then(Value::as_str);
                tracing::error!(
                    message = id,
                    "the agreements function could not handle a lifecycle message; it is delivered again after {AGAIN_AFTER:#}"
                );
                self.emulator.put_back_lifecycle(message, AGAIN_AFTER);
            }
        }
    }

    /// Delivers one message and returns whether the function handled it. A batch of SQS is handled
    /// only if the answer asks for none of its messages again.
    async fn deliver(&mut self, event: &Value) -> bool {
        for _ in 0..TRIES_MAX {
            let result = self.functions.invoke_agreements(event.clone()).await;
            self.count_invocation("agreements", &result);
            if result.is_ok_and(|answer| answer.batch_item_failures.is_empty()) {
                return true;
            }
        }
        false
    }
}

/// The event with which the agreements function is invoked for a message.
pub fn function_event(message: LifecycleMessage) -> Value {
    match message {
        LifecycleMessage::EventBridge(event) => event,
        LifecycleMessage::Sns {
            topic_arn,
            message,
            message_id,
            timestamp,
        } => queued(&topic_arn, &message, &message_id, timestamp),
    }
}

/// An SNS message as Lambda receives it from the queue that is subscribed to the topic.
fn queued(topic_arn: &str, message: &str, message_id: &str, at: Timestamp) -> Value {
    let body = json!({
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic_arn,
        "Message": message,
        "Timestamp": at.to_string(),
    });
    json!({"Records": [{
        "messageId": message_id,
        "receiptHandle": message_id,
        "body": body.to_string(),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": at.as_millisecond().to_string()},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:222222222222:metering-lifecycle",
        "awsRegion": "us-east-1",
    }]})
}
