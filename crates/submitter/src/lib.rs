//! Sends frozen metering records to AWS Marketplace. No other function calls BatchMeterUsage.
//!
//! # Layout
//! * [`handle`]: one invocation, from the stream of new records or from the schedule
//! * [`queue`]: decides which records are sent next, searches for the culprit in a refused batch,
//!   and handles the suspects
//! * [`pace`]: keeps calls within the quota
//! * `source`: reads the slots of an invocation's records
//! * `turn`: lets one invocation send at a time
//! * `send`: reads the records, has calls made, repeats them, and acts on their answers
//! * `exchange`: makes one call
//! * `tally`: counts what an invocation did
//! * `witness`: makes the empty call that the audit of a quiet stack waits for
//! * `write`: stores the outcomes of the records
//!
//! # What a crash does
//! Nothing is written before a call. The record was frozen when it was sealed, and every call sends
//! it with identical content. So a call whose answer was lost is made again, and the record is
//! billed once. A crash after the call and before its outcome is written leaves the record sealed
//! and due, and the schedule sends it again.

mod exchange;
pub mod pace;
pub mod queue;
mod send;
mod source;
mod tally;
mod turn;
mod unwritten;
mod witness;
mod write;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use ledger::Ledger;
use ledger::stream::changed_record;
use marketplace::limits::BATCH_METER_USAGE_PER_SECOND;
use marketplace::slot::Slot;
use metering_api::MeteringApi;
use runtime::clients;
use runtime::metrics::{Unit, count, emit};
use runtime::{BatchResponse, Budget, Clock, Env, InvocationError, SettingError, StartError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::time::Duration;

use pace::Pace;
use queue::{STREAM_ALLOWANCE, SWEEP_ALLOWANCE};
use source::Source;
pub use tally::Tally;

/// The largest quota that the setting accepts. The limit is this project's, not AWS's.
const PER_SECOND_MAX: u32 = 1_000;

/// The number of times that the SDK transmits a call. The audit counts the transmissions whose
/// answer was lost. So the SDK must not repeat a call by itself, and the queue repeats it instead.
const ONE_TRANSMISSION: u32 = 1;

/// The longest time that a sweep may take. Sweeps begin 5 minutes apart, and two sweeps at the same
/// time would send the same records.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(298);

/// The unit of the pause before a call is repeated on AWS. The number is this project's.
const PAUSE: Duration = Duration::from_millis(250);

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The stack's DynamoDB tables.
    pub ledger: Ledger,
    /// The client of the AWS Marketplace Metering Service.
    pub metering: MeteringApi,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The largest number of calls at the same time, 1 to 16.
    pub calls_at_once: usize,
    /// The pace at which calls begin.
    pub pace: Pace,
    /// The unit of the pause before a call is repeated within an invocation. The pause doubles with
    /// each repetition.
    pause: Duration,
}

impl App {
    /// Reads the settings. `SUBMIT_AT_ONCE` is 1 to 16 calls, by default 4. `SUBMIT_PER_SECOND` is
    /// the account's quota, 1 to 1000 and by default 10; 0 means no pace.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        let metering = clients::metering_api(env, ONE_TRANSMISSION).await?;
        Ok(Self::new(env, ledger, metering, Clock::from_env(env)?)?)
    }

    /// Makes the function of its parts, with the settings in `env`.
    pub fn new(
        env: &Env,
        ledger: Ledger,
        metering: MeteringApi,
        clock: Clock,
    ) -> Result<Self, SettingError> {
        let calls_at_once = env.parsed_or("SUBMIT_AT_ONCE", 4_usize)?;
        if !(1..=16).contains(&calls_at_once) {
            return Err(env.invalid("SUBMIT_AT_ONCE", "it must be 1 to 16"));
        }
        let per_second = env.parsed_or("SUBMIT_PER_SECOND", BATCH_METER_USAGE_PER_SECOND)?;
        if per_second > PER_SECOND_MAX {
            let rule =
                "it must be 0 to 1000 requests per second: the quota that AWS grants the account";
            return Err(env.invalid("SUBMIT_PER_SECOND", rule));
        }
        Ok(Self {
            ledger,
            metering,
            clock,
            calls_at_once,
            pace: Pace::per_second(per_second),
            pause: PAUSE,
        })
    }

    /// The same function with another unit of the pause before a call is repeated within an
    /// invocation. An emulated AWS Marketplace needs hardly any pause.
    #[must_use]
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

/// The event that invokes the function: a batch of stream records, or the schedule's event, which
/// has no records.
#[derive(Debug, Deserialize)]
pub struct Trigger {
    /// Stream records, or `None` for the schedule. Each is parsed individually, so that an
    /// unreadable one does not affect the others.
    #[serde(rename = "Records", default)]
    pub records: Option<Vec<Box<RawValue>>>,
}

/// The answer of an invocation. It never asks the stream to deliver records again: records that the
/// invocation could not send stay due in the work index, and a sweep sends them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The partial batch response for Lambda, always without failures.
    #[serde(flatten)]
    pub batch: BatchResponse,
    /// The numbers of records and calls that the invocation handled.
    pub tally: Tally,
}

/// Handles one invocation: a delivery sends the records that it names, and a sweep sends every
/// record that is due.
pub async fn handle(
    app: &App,
    trigger: Trigger,
    budget: Budget,
) -> Result<Answer, InvocationError> {
    let mut tally = Tally::default();
    let now = app.clock.now().await?;
    let holder = turn::new_holder();
    let (source, allowance, budget, waits) = match trigger.records {
        Some(records) => {
            let slots = read_slots(&records, &mut tally);
            let budget = budget.at_most(turn::DELIVERY_TIME_MAX);
            (Source::delivered(slots), STREAM_ALLOWANCE, budget, false)
        }
        None => {
            let budget = budget.at_most(SWEEP_TIME_MAX);
            (Source::due(now), SWEEP_ALLOWANCE, budget, true)
        }
    };
    // Boxed, because the futures of two clients nest more deeply than the compiler follows.
    let mut sent = Ok(());
    if Box::pin(turn::take(app, &holder, budget, waits)).await? {
        sent = send(app, source, allowance, budget, &mut tally).await;
        Box::pin(turn::end(app, &holder)).await;
    } else {
        tally.is_turn_taken = true;
    }
    // A failed invocation has made calls too, and the alarms must count them.
    publish(&tally, now, waits && sent.is_ok());
    sent?;
    Ok(Answer {
        batch: BatchResponse::done(),
        tally,
    })
}

/// Sends the records of `source`, and in a sweep makes an empty call if the audit wants one. The
/// future is boxed for the same reason as the turn's.
fn send<'a>(
    app: &'a App,
    source: Source,
    allowance: u64,
    budget: Budget,
    tally: &'a mut Tally,
) -> BoxFuture<'a, Result<(), InvocationError>> {
    Box::pin(async move {
        let is_sweep = source.is_sweep();
        send::send_all(app, source, allowance, budget, tally).await?;
        match is_sweep {
            true => witness::call_if_wanted(app, tally).await,
            false => Ok(()),
        }
    })
}

/// Reads the slots of the records that a stream delivery names, without repetitions.
fn read_slots(records: &[Box<RawValue>], tally: &mut Tally) -> Vec<Slot> {
    let mut slots = BTreeSet::new();
    for raw in records {
        match changed_record(raw.get()) {
            Ok(Some(slot)) => {
                slots.insert(slot);
            }
            // No record is lost: the work index has every record that must be sent.
            Ok(None) => tally.unreadable += 1,
            Err(error) => {
                tracing::warn!(%error, "a stream record could not be read; a sweep will send its metering record");
                tally.unreadable += 1;
            }
        }
    }
    slots.into_iter().collect()
}

/// Publishes the metrics of an invocation. `is_sweep` is true for a sweep that did not fail.
fn publish(tally: &Tally, now: Timestamp, is_sweep: bool) {
    tracing::info!(?tally, "submitted");
    let mut values = vec![
        count("BatchMeterUsageCalls", tally.calls),
        count("BatchMeterUsageFailures", tally.failed_calls),
        count("RecordsAccepted", tally.accepted),
        count("RecordsNotSubscribed", tally.not_subscribed),
        count("RecordsRefused", tally.refused),
        count("RecordsDisputed", tally.disputed),
        count("RecordsSuspected", tally.suspected),
        count("RecordsGroupFailing", tally.group_failing),
        count("AnswersUnknown", tally.unknown),
        count("RecordsLeft", tally.left),
    ];
    if is_sweep {
        values.push(("UnfinishedRuns", Unit::Count, i64::from(tally.gave_up)));
    }
    if let Some(seconds) = tally.seconds_to_nearest_deadline {
        values.push(("SecondsToNearestDeadline", Unit::Seconds, seconds));
    }
    if let Some(percent) = tally.percent_of_time_used {
        values.push(("PercentOfTimeUsed", Unit::Percent, percent));
    }
    emit("submitter", now, &values);
}
