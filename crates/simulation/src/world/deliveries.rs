//! Deliveries of stream records and of AWS Marketplace's messages.

use std::sync::PoisonError;

use emulator::LifecycleMessage;
use jiff::{SignedDuration, Timestamp};
use local::stack::function_event;
use runtime::{Budget, INVOCATION_TIME};
use serde_json::Value;

use super::invocations::{invoke, submit};
use super::{TRIES_MAX, World};

impl World {
    /// Polls the stream of UsageEvents once, as Lambda would at `now`.
    ///
    /// # Panics
    ///
    /// If the stream cannot be read.
    pub async fn pump_usage(&self, now: Timestamp) {
        let app = &self.functions.late_usage;
        let mut stream = self.usage_stream.lock().await;
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream
            .poll(now, &self.database, |event| {
                let app = app.clone();
                let budget = self.budget("late-usage");
                invoke("late-usage", async move {
                    let event =
                        serde_json::value::to_raw_value(&event).map_err(|e| e.to_string())?;
                    let answer = late_usage::handle(&app, event, budget).await;
                    serde_json::to_value(answer.map_err(|e| e.to_string())?)
                        .map_err(|e| e.to_string())
                })
            })
            .await
            .expect("a stream");
    }

    /// Invokes the late-usage function with a delivery that the test made up instead of the stream.
    /// Returns the answer, which lists the records that must be delivered again.
    pub async fn deliver_usage(&self, event: &Value) -> Result<Value, String> {
        let app = self.functions.late_usage.clone();
        let budget = self.budget("late-usage");
        let event = serde_json::value::to_raw_value(event).map_err(|e| e.to_string())?;
        invoke("late-usage", async move {
            let answer = late_usage::handle(&app, event, budget).await;
            serde_json::to_value(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
        })
        .await
    }

    /// Polls the stream of MeteringRecords once, as Lambda would at `now`.
    ///
    /// # Panics
    ///
    /// If the stream cannot be read.
    pub async fn pump_records(&self, now: Timestamp) {
        let app = &self.functions.submitter;
        let mut stream = self.record_stream.lock().await;
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream
            .poll(now, &self.database, |event| {
                submit(app.clone(), event.to_string(), self.budget("submitter"))
            })
            .await
            .expect("a stream");
    }

    /// Drops all records that the stream of UsageEvents holds now.
    ///
    /// # Panics
    ///
    /// If the stream cannot be read.
    pub async fn forget_usage_stream(&self) {
        let long_after = self.now.get().checked_add(SignedDuration::from_hours(1));
        let mut stream = self.usage_stream.lock().await;
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream
            .poll(long_after.expect("a time"), &self.database, |_| async {
                Ok(serde_json::json!({"batchItemFailures": []}))
            })
            .await
            .expect("a stream");
    }

    /// Delivers AWS Marketplace's messages to the agreements function. A message that fails is
    /// delivered again.
    pub async fn deliver_lifecycle(&self) {
        for message in self.emulator.take_lifecycle() {
            self.mark_order(&message);
            let event = function_event(message);
            let mut tries = 1;
            while let Err(last) = self.deliver_event(event.clone()).await {
                assert!(
                    tries < TRIES_MAX,
                    "the lifecycle event {event} could not be delivered in {TRIES_MAX} tries: {last}"
                );
                tries += 1;
            }
        }
    }

    /// Marks each kind of message about the same agreement or customer that came before this one.
    fn mark_order(&self, message: &LifecycleMessage) {
        let (whom, kind) = match message {
            LifecycleMessage::EventBridge(event) => (
                event["detail"]["agreement"]["id"].to_string(),
                event["detail-type"].as_str().unwrap_or_default().to_owned(),
            ),
            LifecycleMessage::Sns { message, .. } => {
                let body: Value = serde_json::from_str(message).unwrap_or_default();
                let action = body["action"].as_str().unwrap_or_default().to_owned();
                let customer = &body["customer-identifier"];
                (format!("{customer} {}", body["product-code"]), action)
            }
        };
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = kinds.entry(whom).or_default();
        for other in &*earlier {
            self.wire
                .mark_one(&format!("message {other} before {kind}"));
        }
        earlier.insert(kind);
    }

    /// Delivers one message to the agreements function. `Err` means that it has to be delivered
    /// again.
    pub async fn deliver_event(&self, event: Value) -> Result<(), String> {
        let app = self.functions.agreements.clone();
        let answer = invoke("agreements", async move {
            agreements::handle(&app, event, Budget::of(INVOCATION_TIME))
                .await
                .map_err(|e| e.to_string())
        })
        .await?;
        if answer.batch_item_failures.is_empty() {
            Ok(())
        } else {
            Err("the queue delivers it again".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use marketplace::IdentityKind;

    use crate::run::{Executor, on_a_thread};
    use crate::wire::Fate;
    use crate::world::{Listing, World};

    #[test]
    #[should_panic(expected = "the lifecycle event {")]
    fn a_lifecycle_event_that_cannot_be_delivered_fails_its_test() {
        on_a_thread(|| Executor::default().finish(give_up()));
    }

    async fn give_up() {
        let world = World::at("2026-11-21T08:20:00Z".parse().expect("a time"), 7);
        let listing = Listing {
            code: "aproduct".to_owned(),
            identity: IdentityKind::Customer,
            dimensions: vec!["gb".to_owned()],
        };
        world.list(&listing).await;
        world.subscribe(&listing);
        world.wire.follow(Box::new(|call| match call.function {
            "agreements" => Fate::Failed,
            _ => Fate::Answered,
        }));
        world.deliver_lifecycle().await;
    }
}
