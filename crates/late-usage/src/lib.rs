//! Flags the hours whose rows changed after they were sealed, so that the sealer recounts them.
//!
//! # Layout
//! * [`handle`]: one delivery of the stream of UsageEvents, which has keys only
//! * `delivery`: reads a delivery and groups its changes by hour
//! * `write`: puts late flags, and itemises rows of no known subscription
//!
//! # What is deliberately absent
//! The function keeps nothing in memory from one invocation to the next. Each invocation reads the
//! watermark and the profiles strongly consistent, after the rows of the delivery were put. `write`
//! explains why no row is lost in that order. The function does not rely on the stream either. The
//! stream may repeat, reorder or lose deliveries, because the reconciler recounts every live
//! subscription's hours anyway: six hours after they were due, and before their deadline.

mod delivery;
mod write;

use jiff::Timestamp;
use ledger::Ledger;
use runtime::clients;
use runtime::metrics::{Unit, count, emit};
use runtime::{BatchResponse, Budget, Clock, ClockError, Env, StartError};
use serde_json::value::RawValue;

use delivery::Delivery;
use write::Handled;

/// The clients and settings of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The three DynamoDB tables of the stack.
    pub ledger: Ledger,
    /// The clock that gives the current time.
    pub clock: Clock,
}

impl App {
    /// Reads the settings from the environment and makes the client. The settings are the names of
    /// the tables, and for a local stack the endpoint and the clock.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the setting that is missing or wrong.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        Ok(Self::new(ledger, Clock::from_env(env)?))
    }

    /// Makes the function of its parts.
    pub fn new(ledger: Ledger, clock: Clock) -> Self {
        Self { ledger, clock }
    }
}

/// Handles one invocation: a DynamoDB event of up to 10,000 records and 6 MB of JSON.
///
/// If DynamoDB failed or the time ran out, the response names the first record that could not be
/// handled, and Lambda delivers again from there. Records that cannot be read are logged, counted
/// and skipped.
///
/// # Errors
///
/// [`ClockError`] if the clock fails. In that case nothing was written.
pub async fn handle(
    app: &App,
    event: Box<RawValue>,
    budget: Budget,
) -> Result<BatchResponse, ClockError> {
    let now = app.clock.now().await?;
    let delivery = Delivery::read(&event);
    let handled = write::write_all(&app.ledger, &delivery, now, budget).await;
    publish(&delivery, &handled, now);
    Ok(match handled.again_from {
        None => BatchResponse::done(),
        Some(place) => BatchResponse::failed([place.sequence_number.into_owned()]),
    })
}

fn publish(delivery: &Delivery<'_>, handled: &Handled<'_>, now: Timestamp) {
    let broken_off = handled.again_from.is_some();
    tracing::info!(
        changes = delivery.changes,
        hours = delivery.hours.len(),
        expired = delivery.expired,
        unreadable = delivery.unreadable,
        flagged = handled.flagged,
        set_aside = handled.set_aside,
        not_itemised = handled.refused,
        broken_off,
        "read a batch of changes"
    );
    emit(
        "late-usage",
        now,
        &[
            count("UsageChanges", delivery.changes),
            count("LateHoursFlagged", handled.flagged),
            count(
                "RowsUnattributed",
                handled.set_aside.saturating_add(handled.refused),
            ),
            count("UnreadableStreamRecords", delivery.unreadable),
            ("BatchesBrokenOff", Unit::Count, i64::from(broken_off)),
        ],
    );
}
