//! Batches, retries, and the search for the record that spoils a batch.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ledger::LedgerError;
use marketplace::batch::{Batch, BatchGroup, halve, plan};
use marketplace::error_table::{About, about};
use marketplace::outcome::{Verdict, interpret};
use marketplace::{MeteringRecord, State};
use metering_api::record_bytes;
use serde::Serialize;
use startup::Budget;

use crate::{App, write};

/// How often a call, or what a call left unprocessed, is tried within one invocation.
const TRIES_MAX: u32 = 4;
/// Requests that may fail in a row for reasons outside their records before the invocation stops
/// asking: credentials, permissions and outages do not heal within minutes.
const FAILURES_IN_A_ROW_MAX: u32 = 3;

/// What an invocation did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Calls of BatchMeterUsage, the SDK's own retries not counted.
    pub calls: u64,
    /// Of which failed.
    pub failed_calls: u64,
    /// Records that AWS Marketplace billed.
    pub accepted: u64,
    /// Records of customers that are not subscribed (yet, or any more).
    pub not_subscribed: u64,
    /// Records found to be the cause of a refusal.
    pub refused: u64,
    /// Records of which the slot holds something else.
    pub disputed: u64,
    /// Records left to be sent later.
    pub left: u64,
    /// Stream records that name no metering record.
    pub unreadable: u64,
    /// Whether the invocation stopped asking.
    pub gave_up: bool,
}

/// A batch to be sent, and how often it was.
struct Attempt {
    batch: Batch<MeteringRecord>,
    tries: u32,
}

/// What came of one call.
struct Exchange {
    attempt: Attempt,
    outcome: Result<Vec<Verdict>, metering_api::CallError>,
}

/// Sends records until each has a verdict, is left for later, or the invocation ends.
pub(crate) async fn send_all(
    app: &App,
    records: Vec<MeteringRecord>,
    now: Timestamp,
    budget: Budget,
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    let mut waiting: Vec<Attempt> = plan_batches(records, 0);
    let mut failures_in_a_row = 0_u32;
    while !waiting.is_empty() {
        if budget.is_spent() || tally.gave_up {
            tally.left += waiting
                .iter()
                .map(|a| a.batch.records.len() as u64)
                .sum::<u64>();
            return Ok(());
        }
        let rest = waiting.split_off(waiting.len().min(app.calls_at_once.max(1)));
        let now_sent = std::mem::replace(&mut waiting, rest);
        pause_before(app, &now_sent).await;
        let exchanges: Vec<Exchange> = stream::iter(now_sent)
            .map(|attempt| exchange(app, attempt))
            .buffered(app.calls_at_once.max(1))
            .collect()
            .await;
        for Exchange { attempt, outcome } in exchanges {
            tally.calls += 1;
            match outcome {
                Ok(verdicts) => {
                    failures_in_a_row = 0;
                    let again = settle(app, attempt, verdicts, now, tally).await?;
                    waiting.extend(again);
                }
                Err(error) => {
                    tally.failed_calls += 1;
                    tracing::warn!(%error, records = attempt.batch.records.len(), "BatchMeterUsage failed");
                    let about = error.about();
                    if about == About::Request {
                        failures_in_a_row += 1;
                    }
                    waiting
                        .extend(after_failure(app, attempt, &error.code, about, now, tally).await?);
                    tally.gave_up |= failures_in_a_row >= FAILURES_IN_A_ROW_MAX * TRIES_MAX;
                }
            }
        }
    }
    Ok(())
}

/// Batches in the order in which they are sent: what is nearest to its deadline first, and suspects
/// by themselves at the end, so that they spoil no batch of the others.
fn plan_batches(records: Vec<MeteringRecord>, tries: u32) -> Vec<Attempt> {
    let (suspects, others): (Vec<_>, Vec<_>) = records.into_iter().partition(is_suspect);
    let mut batches = by_deadline(others);
    batches.extend(by_deadline(suspects));
    let attempt = |batch| Attempt { batch, tries };
    batches.into_iter().map(attempt).collect()
}

/// Whether a record was the cause of a refusal before.
fn is_suspect(record: &MeteringRecord) -> bool {
    let code = record.outcome.as_ref().map(|outcome| outcome.code.as_str());
    record.state == State::Refused || code.is_some_and(|code| about(code) != About::Request)
}

fn by_deadline(mut records: Vec<MeteringRecord>) -> Vec<Batch<MeteringRecord>> {
    records.sort_by(|a, b| (a.deadline, &a.key).cmp(&(b.deadline, &b.key)));
    let mut batches = plan(records, |record| {
        let group = BatchGroup {
            product: record.product.clone(),
            kind: record.key.subscription.kind(),
        };
        (group, record_bytes(record))
    });
    batches.sort_by_key(|batch| batch.records.iter().map(|r| r.deadline).min());
    batches
}

async fn exchange(app: &App, attempt: Attempt) -> Exchange {
    let sent: Vec<&MeteringRecord> = attempt.batch.records.iter().collect();
    let answer = app
        .metering
        .batch_meter_usage(&attempt.batch.group, &sent)
        .await;
    let outcome = answer.map(|answer| interpret(&sent, &answer.results, &answer.unprocessed));
    Exchange { attempt, outcome }
}

/// Waits before what was tried already, longer each time, and not all invocations equally long.
async fn pause_before(app: &App, attempts: &[Attempt]) {
    let tries = attempts.iter().map(|a| a.tries).max().unwrap_or_default();
    if tries > 0 {
        let base = app.pause.saturating_mul(1 << tries.min(6));
        startup::run::pause(base / 1_000 * jitter_per_mille()).await;
    }
}

/// Between a half and one, in thousandths.
fn jitter_per_mille() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(500 + random % 501).unwrap_or(1_000)
}

/// Writes the verdicts; what was left unprocessed is sent again while tries are left.
async fn settle(
    app: &App,
    attempt: Attempt,
    verdicts: Vec<Verdict>,
    now: Timestamp,
    tally: &mut Tally,
) -> Result<Vec<Attempt>, LedgerError> {
    let Attempt { batch, tries } = attempt;
    let mut ends = Vec::new();
    let mut again = Vec::new();
    for (record, verdict) in batch.records.into_iter().zip(verdicts) {
        let is_transient = matches!(verdict, Verdict::Unprocessed | Verdict::Unanswered);
        if is_transient && tries + 1 < TRIES_MAX {
            again.push(record);
        } else {
            ends.push((record, verdict));
        }
    }
    write::outcomes(app, ends, now, tally).await?;
    Ok(plan_batches(again, tries + 1))
}

/// What to do after a call that failed as a whole.
async fn after_failure(
    app: &App,
    attempt: Attempt,
    code: &str,
    about: About,
    now: Timestamp,
    tally: &mut Tally,
) -> Result<Vec<Attempt>, LedgerError> {
    let Attempt { batch, tries } = attempt;
    if about == About::Request {
        if tries + 1 < TRIES_MAX {
            let tries = tries + 1;
            return Ok(vec![Attempt { batch, tries }]);
        }
        let failed = |record| {
            let code = code.to_owned();
            (record, Verdict::RequestFailed { code })
        };
        write::outcomes(
            app,
            batch.records.into_iter().map(failed).collect(),
            now,
            tally,
        )
        .await?;
        return Ok(Vec::new());
    }
    // One of the records did it: the halves are tried by themselves until it stands alone.
    match halve(batch) {
        Ok((first, second)) => Ok([first, second]
            .map(|batch| Attempt { batch, tries: 0 })
            .into()),
        Err(single) => {
            let culprit = |record| {
                let code = code.to_owned();
                (record, Verdict::Culprit { code })
            };
            write::outcomes(
                app,
                single.records.into_iter().map(culprit).collect(),
                now,
                tally,
            )
            .await?;
            Ok(Vec::new())
        }
    }
}
