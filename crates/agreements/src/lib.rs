//! Lifecycle events of AWS Marketplace become the status of subscriptions.
//!
//! # Layout
//! * [`handle`]: one invocation, an EventBridge event or a batch of SNS messages from SQS
//! * [`news`]: what a message says, whatever way it came
//! * [`event`]: EventBridge events of `aws.agreement-marketplace`
//! * [`notification`]: SNS messages of legacy listings
//! * [`field`]: reading JSON with suspicion
//! * `apply`: what news changes in the tables
//!
//! # Any order, at least once
//! Events come late, twice and in any order, and the buyer's registration may come before or after
//! them. Each sign is kept with its own time under what it names, the agreement or the customer, and
//! every subscription linked to that is then brought up to date; [`ledger::joined`] says why nothing
//! falls between the two. A repeated event changes nothing.
//!
//! Facts: M41, M42, M46 (docs/marketplace-rules.md).

mod apply;
pub mod event;
pub mod field;
pub mod news;
pub mod notification;

use jiff::Timestamp;
use ledger::{Ledger, LedgerError};
use serde_json::{Value, json};
use startup::metrics::{Unit, emit};
use startup::settings::Products;
use startup::{BatchResponse, Budget, Clock, ClockError, Env, StartError, clients};

use crate::field::{Malformed, bounded};
use crate::news::{Message, Reading};

/// Partition of Subscriptions with the events that could not be read.
pub const UNATTRIBUTED: &str = "unattributed";

/// Bytes kept of an event that could not be read; an item may have 400 KB. Ours.
const KEPT_BYTES_MAX: usize = 200_000;

/// What the function needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The tables.
    pub ledger: Ledger,
    /// The time.
    pub clock: Clock,
    /// The products this stack serves; events about others are passed over.
    pub products: Products,
}

impl App {
    /// Reads the settings: the table names and `PRODUCT_CODES`.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        Ok(Self {
            ledger: clients::ledger(env).await?,
            clock: Clock::from_env(env)?,
            products: Products::from_env(env)?,
        })
    }
}

/// Why an invocation is to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// DynamoDB.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// What one invocation did.
#[derive(Debug, Default)]
struct Counts {
    applied: i64,
    ignored: i64,
    malformed: i64,
}

/// Takes in an EventBridge event, or a batch of SNS messages from SQS; they are told apart by their
/// shape. Of a batch, the messages that DynamoDB kept us from taking in are to be delivered again,
/// and only those. A message that cannot be read is kept and done with: a repetition would not help.
pub async fn handle(app: &App, event: Value, budget: Budget) -> Result<BatchResponse, HandleError> {
    let now = app.clock.now().await?;
    let mut counts = Counts::default();
    let answer = match event.get("Records").and_then(Value::as_array) {
        Some(records) => take_in_batch(app, records, budget, now, &mut counts).await?,
        None => {
            take_in(
                app,
                event::read(&event),
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

async fn take_in_batch(
    app: &App,
    records: &[Value],
    budget: Budget,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<BatchResponse, HandleError> {
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
        match (take_in(app, reading, &received, now, counts).await, id) {
            (Ok(()), _) => {}
            (Err(error), Some(id)) => {
                tracing::error!(message = id, %error, "the message is to be delivered again");
                failed.push(id.to_owned());
            }
            // Without an id only the whole batch can be asked for again.
            (Err(error), None) => return Err(error.into()),
        }
    }
    Ok(BatchResponse::failed(failed))
}

async fn take_in(
    app: &App,
    reading: Result<Reading, Malformed>,
    received: &str,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<(), LedgerError> {
    let outcome = match reading {
        Ok(Reading::Ignored { what }) => {
            tracing::info!(what, "not about agreements or licences; passed over");
            counts.ignored += 1;
            return Ok(());
        }
        Ok(Reading::News(message)) => {
            // Boxed: the futures below nest deeply, down to the connection.
            Box::pin(apply::apply(app, &message, received, now)).await?
        }
        Err(malformed) => apply::Outcome::Malformed(malformed),
    };
    match outcome {
        apply::Outcome::Applied => counts.applied += 1,
        apply::Outcome::Ignored => counts.ignored += 1,
        apply::Outcome::Malformed(malformed) => {
            counts.malformed += 1;
            keep_malformed(app, &malformed, received, now).await?;
        }
    }
    Ok(())
}

/// Keeps what could not be read where a person finds it.
async fn keep_malformed(
    app: &App,
    malformed: &Malformed,
    received: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    tracing::error!(
        event = malformed.event_id,
        problem = malformed.problem,
        "a lifecycle event could not be read; it is kept under partition {UNATTRIBUTED:?} of the \
         Subscriptions table: correct it and send it again"
    );
    let body = json!({
        "problem": malformed.problem,
        "received": bounded(received, KEPT_BYTES_MAX),
    });
    app.ledger
        .note_event(
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
    /// Keeps the event as it was received, once, under what it is about.
    async fn note(&self, ledger: &Ledger, about: &str, received: &str) -> Result<(), LedgerError> {
        let body = bounded(received, KEPT_BYTES_MAX);
        ledger
            .note_event(about, &self.id, &self.kind, self.at, body, true)
            .await
    }
}
