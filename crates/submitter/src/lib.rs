//! Sends frozen metering records to AWS Marketplace; the only caller of BatchMeterUsage.
//!
//! # Layout
//! * [`handle`]: one invocation, from the stream of new records or from the schedule
//! * [`queue`]: what is sent next, the search for the record that spoils a batch, and suspects
//! * [`pace`]: calls at the pace of the quota
//! * `source`: where an invocation's records come from
//! * `turn`: whose turn it is to send
//! * `send`: calls, retries, and what becomes of what they answer
//! * `witness`: the empty call that a quiet stack's audit waits for
//! * `write`: what the answers made of the records
//!
//! # What a crash does
//! Nothing is written before a call: the record was frozen when it was sealed, and it is sent
//! identical for ever, so a call whose answer was lost is made again and billed once. A crash after
//! the call and before its outcome is written leaves the record sealed and due; the schedule sends it
//! again. It is the same record, whoever sends it.

pub mod pace;
pub mod queue;
mod send;
mod source;
mod turn;
mod witness;
mod write;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use ledger::stream::StreamRecord;
use ledger::{Ledger, LedgerError};
use marketplace::record::RecordKey;
use metering_api::MeteringApi;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use startup::clients;
use startup::metrics::{Unit, emit};
use startup::{BatchResponse, Budget, Clock, ClockError, Env, StartError};
use std::collections::BTreeSet;
use std::time::Duration;

use pace::Pace;
use queue::{STREAM_ALLOWANCE, SWEEP_ALLOWANCE};
pub use send::Tally;
use source::Source;

/// BatchMeterUsage requests per second that AWS grants an account in a Region unless asked for more.
const QUOTA_PER_SECOND: u32 = 10;
/// The most that makes sense as such a quota. Ours.
const PER_SECOND_MAX: u32 = 1_000;

/// Transmissions of one call. The audit counts the transmissions whose answer was lost, so each is one
/// call; the queue makes it again.
const ONE_TRANSMISSION: u32 = 1;

/// How long a sweep lasts at most. The next begins 5 minutes after it: two at a time would send the
/// same records.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(298);

/// What the function needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The tables.
    pub ledger: Ledger,
    /// AWS Marketplace.
    pub metering: MeteringApi,
    /// The time.
    pub clock: Clock,
    /// Calls under way at the same time.
    pub calls_at_once: usize,
    /// How fast calls follow each other.
    pub pace: Pace,
    /// The first pause before a call is made again within an invocation; doubled each time.
    pub pause: Duration,
}

impl App {
    /// Reads the settings. `SUBMIT_AT_ONCE` is 1 to 16 calls, 4 unless set; `SUBMIT_PER_SECOND` is the
    /// account's quota, 10 unless set, or 0 for none.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let calls_at_once = env.parsed_or("SUBMIT_AT_ONCE", 4_usize)?;
        if !(1..=16).contains(&calls_at_once) {
            return Err(env.invalid("SUBMIT_AT_ONCE", "it must be 1 to 16").into());
        }
        let per_second = env.parsed_or("SUBMIT_PER_SECOND", QUOTA_PER_SECOND)?;
        if per_second > PER_SECOND_MAX {
            let rule =
                "it must be 0 to 1000 requests per second: the quota that AWS grants the account";
            return Err(env.invalid("SUBMIT_PER_SECOND", rule).into());
        }
        Ok(Self {
            ledger: clients::ledger(env).await?,
            metering: clients::metering_api(env, ONE_TRANSMISSION).await?,
            clock: Clock::from_env(env)?,
            calls_at_once,
            pace: Pace::per_second(per_second),
            pause: Duration::from_millis(250),
        })
    }
}

/// What wakes the function: a batch of stream records, or the schedule, which has none.
#[derive(Debug, Deserialize)]
pub struct Trigger {
    /// Stream records, each read by itself: an unreadable one spoils no other.
    #[serde(rename = "Records", default)]
    pub records: Option<Vec<Box<RawValue>>>,
}

/// Why an invocation failed; its records stay due, and are sent by a later one.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// DynamoDB.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// What an invocation answers: for the stream, nothing to deliver again. What it could not send is
/// due in the work index, so a repeated delivery would only repeat the trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Empty: see above.
    #[serde(flatten)]
    pub batch: BatchResponse,
    /// What was done.
    pub tally: Tally,
}

/// One invocation.
pub async fn handle(app: &App, trigger: Trigger, budget: Budget) -> Result<Answer, SubmitError> {
    let mut tally = Tally::default();
    let now = app.clock.now().await?;
    let holder = turn::new_holder();
    let (source, allowance, budget, waits) = match trigger.records {
        Some(records) => {
            let keys = read_keys(&records, &mut tally);
            let budget = budget.at_most(turn::DELIVERY_TIME_MAX);
            (Source::delivered(keys), STREAM_ALLOWANCE, budget, false)
        }
        None => {
            let budget = budget.at_most(SWEEP_TIME_MAX);
            (Source::due(now), SWEEP_ALLOWANCE, budget, true)
        }
    };
    // Boxed, because the futures of two clients nest more deeply than the compiler follows.
    if Box::pin(turn::take(app, &holder, budget, waits)).await? {
        let sent = send(app, source, allowance, budget, &mut tally).await;
        Box::pin(turn::end(app, &holder)).await;
        sent?;
    } else {
        tally.is_others_turn = true;
    }
    publish(&tally, now);
    Ok(Answer {
        batch: BatchResponse::done(),
        tally,
    })
}

/// Boxed for the same reason as the turn.
fn send<'a>(
    app: &'a App,
    source: Source,
    allowance: u64,
    budget: Budget,
    tally: &'a mut Tally,
) -> BoxFuture<'a, Result<(), SubmitError>> {
    Box::pin(async move {
        let is_sweep = matches!(source, Source::Due { .. });
        send::send_all(app, source, allowance, budget, tally).await?;
        match is_sweep {
            true => witness::call_if_wanted(app, tally).await,
            false => Ok(()),
        }
    })
}

/// The records that a stream delivery names, each once.
fn read_keys(records: &[Box<RawValue>], tally: &mut Tally) -> Vec<RecordKey> {
    let mut keys = BTreeSet::new();
    for raw in records {
        match serde_json::from_str::<StreamRecord>(raw.get()).map(|record| record.record_key()) {
            Ok(Some(key)) => {
                keys.insert(key);
            }
            // The stream is only a hint: the work index has every record that is to be sent.
            Ok(None) => tally.unreadable += 1,
            Err(error) => {
                tracing::warn!(%error, "a stream record could not be read; its record is sent by the schedule");
                tally.unreadable += 1;
            }
        }
    }
    keys.into_iter().collect()
}

fn publish(tally: &Tally, now: Timestamp) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tracing::info!(?tally, "submitted");
    let mut values = vec![
        ("BatchMeterUsageCalls", Unit::Count, count(tally.calls)),
        (
            "BatchMeterUsageFailures",
            Unit::Count,
            count(tally.failed_calls),
        ),
        ("RecordsAccepted", Unit::Count, count(tally.accepted)),
        (
            "RecordsNotSubscribed",
            Unit::Count,
            count(tally.not_subscribed),
        ),
        ("RecordsRefused", Unit::Count, count(tally.refused)),
        ("RecordsDisputed", Unit::Count, count(tally.disputed)),
        ("RecordsSuspected", Unit::Count, count(tally.suspected)),
        (
            "RecordsGroupFailing",
            Unit::Count,
            count(tally.group_failing),
        ),
        ("AnswersUnknown", Unit::Count, count(tally.unknown)),
        ("RecordsLeft", Unit::Count, count(tally.left)),
    ];
    if let Some(seconds) = tally.seconds_to_nearest_deadline {
        values.push(("SecondsToNearestDeadline", Unit::Seconds, seconds));
    }
    if let Some(percent) = tally.percent_of_time_used {
        values.push(("PercentOfTimeUsed", Unit::Percent, percent));
    }
    emit("submitter", now, &values);
}
