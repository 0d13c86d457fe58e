//! Delivers AWS Marketplace's lifecycle messages to the agreements function.

use emulator::LifecycleMessage;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Stack;

impl Stack {
    /// Delivers all pending messages: EventBridge events one by one, SNS messages through a queue.
    /// A failed delivery is repeated, as EventBridge and SQS do.
    pub(super) async fn deliver_lifecycle(&mut self) {
        let mut messages = self.emulator.take_lifecycle();
        if self.trouble.lifecycle && !messages.is_empty() {
            let again = messages[self.random.usize(0..messages.len())].clone();
            messages.push(again);
            self.random.shuffle(&mut messages);
        }
        for message in messages {
            let event = function_event(message);
            for _ in 0..3 {
                let result = self.functions.note_agreement(event.clone()).await;
                self.note("agreements", &result);
                if result.is_ok() {
                    break;
                }
            }
        }
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
