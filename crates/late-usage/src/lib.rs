//! Flags the hours whose rows changed after they were sealed, so that the sealer recounts them.
//!
//! # Layout
//! * [`handle`]: one delivery of the stream of UsageEvents, keys only
//! * `delivery`: the delivery read, and sorted by the hours it touches
//! * `write`: late flags, and rows itemised because they are nobody's
//!
//! # What is deliberately absent
//! Memory. What decides is read in each invocation, strongly consistent, after the rows of the
//! delivery were put; `write` says why that order loses no row. Nor is the stream trusted: should it
//! repeat, reorder or lose deliveries, every live subscription's hours are recounted anyway, 6 hours
//! after sealing and before their deadline.

mod delivery;
mod write;

use jiff::Timestamp;
use ledger::Ledger;
use serde_json::value::RawValue;
use startup::clients;
use startup::metrics::{Unit, emit};
use startup::{BatchResponse, Budget, Clock, ClockError, Env, StartError};

use delivery::Delivery;
use write::Handled;

/// What the function needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The tables.
    pub ledger: Ledger,
    /// The time.
    pub clock: Clock,
}

impl App {
    /// Reads the settings: the tables, and for a local stack its endpoint and clock.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the setting that is missing or wrong.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        Ok(Self {
            ledger: clients::ledger(env).await?,
            clock: Clock::from_env(env)?,
        })
    }
}

/// Why an invocation failed as a whole; all of its batch is delivered again.
#[derive(Debug, thiserror::Error)]
pub enum LateUsageError {
    /// The clock, which can fail only in a local stack.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// One invocation: a DynamoDB event, up to 10,000 records and 6 MB of JSON.
///
/// The answer names the first record that could not be handled, if DynamoDB failed or the time ran
/// out: Lambda delivers again from there. Records that cannot be read are logged, counted and passed
/// over.
///
/// # Errors
///
/// [`LateUsageError`], before anything was written.
pub async fn handle(
    app: &App,
    event: Box<RawValue>,
    budget: Budget,
) -> Result<BatchResponse, LateUsageError> {
    let now = app.clock.now().await?;
    let delivery = Delivery::read(&event);
    let handled = write::write_down(&app.ledger, &delivery, now, budget).await;
    publish(&delivery, &handled, now);
    Ok(match handled.again_from {
        None => BatchResponse::done(),
        Some(place) => BatchResponse::failed([place.sequence_number.into_owned()]),
    })
}

fn publish(delivery: &Delivery<'_>, handled: &Handled<'_>, now: Timestamp) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
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
            ("UsageChanges", Unit::Count, count(delivery.changes)),
            ("LateHoursFlagged", Unit::Count, count(handled.flagged)),
            (
                "RowsUnattributed",
                Unit::Count,
                count(handled.set_aside.saturating_add(handled.refused)),
            ),
            (
                "UnreadableStreamRecords",
                Unit::Count,
                count(delivery.unreadable),
            ),
            ("BatchesBrokenOff", Unit::Count, i64::from(broken_off)),
        ],
    );
}
