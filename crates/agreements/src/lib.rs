//! Updates the status of subscriptions from the lifecycle events of AWS Marketplace.
//!
//! # Layout
//! * [`handle`]: one invocation, with an EventBridge event or a batch of SNS messages from SQS
//! * [`content`]: the content of a message, independent of its format
//! * [`event`]: EventBridge events of `aws.agreement-marketplace`
//! * [`notification`]: SNS messages of legacy listings
//! * [`field`]: reads and checks the members of JSON messages
//! * `apply`: writes the changes to the tables
//! * `damage`: damaged items that concern some of the subscriptions of a message
//!
//! # Any order, at least once
//! Events come late, repeatedly and in any order, and the buyer's registration may come before or
//! after them. Each sign is stored with its own time under the license, the agreement or the
//! customer that the event names. Then every subscription that is linked to the license, agreement
//! or customer is brought up to date. [`ledger::lifecycle`] explains why no sign is lost between
//! the two steps. A repeated event changes nothing.
//!
//! Facts: M41, M42, M46 (docs/marketplace-rules.md).

mod apply;
pub mod content;
mod damage;
pub mod event;
pub mod field;
pub mod notification;

use jiff::Timestamp;
use ledger::{Ledger, LedgerError};
use runtime::metrics::{Unit, emit};
use runtime::settings::Products;
use runtime::{
    BatchResponse, Budget, Clock, Env, InvocationError, SettingError, StartError, clients,
};
use serde_json::{Value, json};

use crate::content::{Message, Reading};
use crate::field::{Malformed, bounded};

/// The partition of the Subscriptions table that contains the events that could not be read.
const UNATTRIBUTED: &str = "unattributed";

/// The largest number of bytes that are stored of an event. The limit is this project's. A DynamoDB
/// item may have 400 KB.
const KEPT_BYTES_MAX: usize = 200_000;

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The access to the tables in DynamoDB.
    pub ledger: Ledger,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The products that this stack serves. Events about other products are ignored.
    pub products: Products,
}

impl App {
    /// Reads the settings: the table names and `PRODUCT_CODES`.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        Ok(Self::new(env, ledger, Clock::from_env(env)?)?)
    }

    /// Makes the function of its parts, with the settings in `env`.
    pub fn new(env: &Env, ledger: Ledger, clock: Clock) -> Result<Self, SettingError> {
        Ok(Self {
            ledger,
            clock,
            products: Products::from_env(env)?,
        })
    }
}

/// The number of messages that one invocation handled, by result.
#[derive(Debug, Default)]
struct Counts {
    applied: i64,
    ignored: i64,
    malformed: i64,
}

/// Handles one invocation. An input with `Records` is a batch of SNS messages from SQS, and any
/// other input is an EventBridge event. The answer to a batch names the messages that could not be
/// handled, so that SQS delivers only those again. A message that cannot be read, or whose time is
/// impossible, is stored for a person. It is not delivered again, because a second delivery could
/// not be read either.
pub async fn handle(
    app: &App,
    event: Value,
    budget: Budget,
) -> Result<BatchResponse, InvocationError> {
    let now = app.clock.now().await?;
    let mut counts = Counts::default();
    let answer = match event.get("Records").and_then(Value::as_array) {
        Some(records) => receive_batch(app, records, budget, now, &mut counts).await?,
        None => {
            receive(
                app,
                event::read(&event, now),
                &event.to_string(),
                now,
                &mut counts,
            )
            .await?;
            BatchResponse::done()
        }
    };
    emit(
        "agreements",
        now,
        &[
            ("LifecycleEvents", Unit::Count, counts.applied),
            ("LifecycleEventsIgnored", Unit::Count, counts.ignored),
            ("LifecycleEventsMalformed", Unit::Count, counts.malformed),
        ],
    );
    Ok(answer)
}

async fn receive_batch(
    app: &App,
    records: &[Value],
    budget: Budget,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<BatchResponse, InvocationError> {
    let mut failed = Vec::new();
    for record in records {
        let id = record.get("messageId").and_then(Value::as_str);
        if let (true, Some(id)) = (budget.is_spent(), id) {
            failed.push(id.to_owned());
            continue;
        }
        let body = record.get("body").and_then(Value::as_str);
        let received = body.map_or_else(|| record.to_string(), str::to_owned);
        let reading = notification::read(record, now);
        match (receive(app, reading, &received, now, counts).await, id) {
            (Ok(()), _) => {}
            (Err(error), Some(id)) => {
                tracing::error!(message = id, %error, "the message could not be handled; SQS will deliver it again");
                failed.push(id.to_owned());
            }
            // A message without an id can only be delivered again with the whole batch.
            (Err(error), None) => return Err(error.into()),
        }
    }
    Ok(BatchResponse::failed(failed))
}

async fn receive(
    app: &App,
    reading: Result<Reading, Malformed>,
    received: &str,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<(), LedgerError> {
    let outcome = match reading {
        Ok(Reading::Ignored { what }) => {
            tracing::info!(
                what,
                "the message is not about agreements or licenses; it is ignored"
            );
            counts.ignored += 1;
            return Ok(());
        }
        Ok(Reading::Message(message)) => {
            // The future is boxed because it contains the futures of all calls down to the
            // connection.
            Box::pin(apply::apply(app, &message, received, now)).await?
        }
        Err(malformed) => apply::MessageResult::Malformed(malformed),
    };
    match outcome {
        apply::MessageResult::Applied => counts.applied += 1,
        apply::MessageResult::Ignored => counts.ignored += 1,
        apply::MessageResult::Malformed(malformed) => {
            counts.malformed += 1;
            keep_malformed(app, &malformed, received, now).await?;
        }
    }
    Ok(())
}

/// Stores a message that could not be read, so that a person can find it.
async fn keep_malformed(
    app: &App,
    malformed: &Malformed,
    received: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    tracing::error!(
        event = malformed.event_id,
        problem = malformed.problem,
        "a lifecycle event could not be read; it is stored in the partition {UNATTRIBUTED:?} of the \
         Subscriptions table: correct it and send it again"
    );
    let body = json!({
        "problem": malformed.problem,
        "received": bounded(received, KEPT_BYTES_MAX),
    });
    app.ledger
        .store_event(
            UNATTRIBUTED,
            &malformed.event_id,
            "malformed",
            malformed.at.unwrap_or(now),
            &body.to_string(),
            false,
        )
        .await
}

impl Message {
    /// Stores the event as it was received, once, in the partition `about`.
    async fn store(&self, ledger: &Ledger, about: &str, received: &str) -> Result<(), LedgerError> {
        let body = bounded(received, KEPT_BYTES_MAX);
        ledger
            .store_event(about, &self.id, &self.kind, self.at, body, true)
            .await
    }
}
