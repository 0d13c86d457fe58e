//! Calls, retries, and what becomes of what they answer.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ledger::LedgerError;
use marketplace::MeteringRecord;
use marketplace::error_table::{
    About, CONNECTION_FAILED, TIMEOUT, is_known_error, may_hide_a_record,
};
use marketplace::outcome::{Verdict, interpret};
use marketplace::planted::{Bug, is_planted};
use marketplace::record::Urgency;
use metering_api::CallError;
use serde::Serialize;
use startup::Budget;

use crate::queue::{Attempt, Queue};
use crate::{App, write};

/// How often a call, or what a call left unprocessed, is tried within one invocation.
const TRIES_MAX: u32 = 4;
/// Invocations in which a record failed, after which the reason may be one of its neighbours, or itself.
const FAILED_BEFORE_PARTS: u32 = 3;
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
    /// Records of which the like were refused; they wait for an hour.
    pub suspected: u64,
    /// Statuses and error codes that nobody has seen.
    pub unknown: u64,
    /// Records left to be sent later.
    pub left: u64,
    /// Stream records that name no metering record.
    pub unreadable: u64,
    /// Whether the invocation stopped asking.
    pub gave_up: bool,
    /// The nearest deadline among the records that were not accepted, in seconds.
    pub seconds_to_nearest_deadline: Option<i64>,
    /// The most that any of them has used of its time between sealing and deadline, in percent.
    pub percent_of_time_used: Option<i64>,
}

impl Tally {
    /// Notes a record that is still to be sent.
    pub(crate) fn note(&mut self, record: &MeteringRecord, now: Timestamp) {
        let Urgency {
            seconds_left,
            percent_used,
        } = record.urgency(now);
        let nearest = self.seconds_to_nearest_deadline.unwrap_or(i64::MAX);
        self.seconds_to_nearest_deadline = Some(nearest.min(seconds_left));
        self.percent_of_time_used = self.percent_of_time_used.max(Some(percent_used));
    }
}

/// What came of one call.
struct Exchange {
    attempt: Attempt,
    outcome: Result<Vec<Verdict>, metering_api::CallError>,
}

/// Sends records until each has a verdict, is left for later, or the invocation ends.
pub(crate) async fn send_all(
    app: &App,
    queue: &mut Queue,
    records: Vec<MeteringRecord>,
    now: Timestamp,
    budget: Budget,
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    queue.add(records);
    let mut failures_in_a_row = 0_u32;
    loop {
        if budget.is_spent() || tally.gave_up {
            for record in queue.rest() {
                tally.left += 1;
                tally.note(&record, now);
            }
            return Ok(());
        }
        let attempts = queue.next(app.calls_at_once.max(1));
        if attempts.is_empty() {
            break;
        }
        pause_before(app, &attempts).await;
        if is_planted(Bug::AcceptedBeforeSent) {
            write_accepted(app, &attempts, now, tally).await?;
        }
        let exchanges: Vec<Exchange> = stream::iter(attempts)
            .map(|attempt| exchange(app, attempt))
            .buffered(app.calls_at_once.max(1))
            .collect()
            .await;
        for Exchange { attempt, outcome } in exchanges {
            tally.calls += 1;
            match outcome {
                Ok(verdicts) => {
                    failures_in_a_row = 0;
                    settle(app, queue, attempt, verdicts, now, tally).await?;
                }
                Err(error) => {
                    tally.failed_calls += 1;
                    tally.unknown += u64::from(!is_known_error(&error.code));
                    tracing::warn!(%error, records = attempt.batch.records.len(), "BatchMeterUsage failed");
                    if error.about() == About::Request {
                        failures_in_a_row += 1;
                    }
                    after_failure(app, queue, attempt, &error, now, tally).await?;
                    tally.gave_up |= failures_in_a_row >= FAILURES_IN_A_ROW_MAX * TRIES_MAX;
                }
            }
        }
    }
    let suspected = |(record, code)| (record, Verdict::Suspected { code });
    let unsent = queue.take_unsent_suspects();
    write::outcomes(app, unsent.into_iter().map(suspected).collect(), now, tally).await
}

async fn exchange(app: &App, attempt: Attempt) -> Exchange {
    let sent: Vec<&MeteringRecord> = attempt.batch.records.iter().collect();
    app.pace.turn().await;
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
    queue: &mut Queue,
    attempt: Attempt,
    verdicts: Vec<Verdict>,
    now: Timestamp,
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    let tries = attempt.tries;
    let batch = queue.answered(attempt);
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
    queue.add_again(again, tries + 1);
    write::outcomes(app, ends, now, tally).await
}

/// Every record as if it had been billed: only for planted bugs.
fn accepted(records: Vec<MeteringRecord>) -> Vec<(MeteringRecord, Verdict)> {
    let verdict = Verdict::Accepted {
        metering_record_id: None,
    };
    let both = |record| (record, verdict.clone());
    records.into_iter().map(both).collect()
}

async fn write_accepted(
    app: &App,
    attempts: &[Attempt],
    now: Timestamp,
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    let records = attempts.iter().flat_map(|a| a.batch.records.clone());
    write::outcomes(app, accepted(records.collect()), now, tally).await
}

/// What to do after a call that failed as a whole.
async fn after_failure(
    app: &App,
    queue: &mut Queue,
    attempt: Attempt,
    error: &CallError,
    now: Timestamp,
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    let code = || error.code.clone();
    let is_lost = error.code == TIMEOUT || error.code == CONNECTION_FAILED;
    let ends = if is_lost && is_planted(Bug::LostAnswerIsSuccess) {
        accepted(queue.given_up(attempt))
    } else if error.about() != About::Request {
        let culprit = queue.refused(attempt, &error.code);
        let verdict = |record| (record, Verdict::Culprit { code: code() });
        culprit.into_iter().map(verdict).collect()
    } else if attempt.tries + 1 < TRIES_MAX {
        queue.put_back(attempt);
        Vec::new()
    } else {
        let failed = |record| (record, Verdict::RequestFailed { code: code() });
        let is_old = |record: &MeteringRecord| record.attempts >= FAILED_BEFORE_PARTS;
        let in_parts = may_hide_a_record(&error.code) && attempt.batch.records.iter().all(is_old);
        match in_parts {
            true => queue
                .failed_again(attempt)
                .into_iter()
                .map(failed)
                .collect(),
            false => queue.given_up(attempt).into_iter().map(failed).collect(),
        }
    };
    write::outcomes(app, ends, now, tally).await
}
