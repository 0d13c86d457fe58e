//! Calls, retries, and what becomes of what they answer.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use marketplace::MeteringRecord;
use marketplace::error_table::{
    About, CONNECTION_FAILED, TIMEOUT, is_known_error, is_of_every_request, may_have_recorded,
    may_hide_a_record, was_transmitted,
};
use marketplace::outcome::{Verdict, interpret};
use marketplace::planted::{Bug, is_planted};
use marketplace::record::Urgency;
use metering_api::CallError;
use serde::Serialize;
use startup::Budget;

use crate::queue::{Attempt, Queue};
use crate::source::Source;
use crate::{App, SubmitError, write};

/// How often a call, or what a call left unprocessed, is tried within one invocation.
const TRIES_MAX: u32 = 4;
/// Invocations in which a record failed, after which the reason may be one of its neighbours, or itself.
const FAILED_BEFORE_PARTS: u32 = 3;
/// Requests that may fail in a row, each tried as often as it may, for a reason that is every request's:
/// credentials, permissions and the quota do not heal within minutes, so the invocation ends.
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
    /// Records that were not sent, because the requests of their product and identity kind fail.
    pub group_failing: u64,
    /// Records left to be sent later.
    pub left: u64,
    /// Stream records that name no metering record.
    pub unreadable: u64,
    /// Whether the invocation stopped asking.
    pub gave_up: bool,
    /// Whether another invocation had the turn to send, so that this one sent nothing.
    pub is_others_turn: bool,
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
    outcome: Result<Vec<Verdict>, CallError>,
}

/// One invocation's sending.
struct Sending<'a> {
    app: &'a App,
    source: Source,
    has_more: bool,
    queue: Queue,
    /// Failures in a row that every request would have met.
    failures_in_a_row: u32,
    /// Why the invocation fails: nothing more is sent, and what is under way is still taken in.
    failure: Option<SubmitError>,
    budget: Budget,
    tally: &'a mut Tally,
}

/// Sends the records of a source until each has a verdict, is left for later, or the invocation ends.
pub(crate) async fn send_all(
    app: &App,
    source: Source,
    allowance: u64,
    budget: Budget,
    tally: &mut Tally,
) -> Result<(), SubmitError> {
    let now = app.clock.now().await?;
    let lanes = app.ledger.lanes(now).await?;
    let mut sending = Sending {
        app,
        source,
        has_more: true,
        queue: Queue::new(allowance, lanes),
        failures_in_a_row: 0,
        failure: None,
        budget,
        tally,
    };
    sending.run().await
}

impl Sending<'_> {
    async fn run(&mut self) -> Result<(), SubmitError> {
        let app = self.app;
        let mut under_way = FuturesUnordered::new();
        loop {
            if !self.is_over() {
                let read = self.read_more().await;
                self.note_failure(read);
            }
            while under_way.len() < app.calls_at_once.max(1) && !self.is_over() {
                let Some(attempt) = self.queue.next_one() else {
                    break;
                };
                if is_planted(Bug::AcceptedBeforeSent) {
                    let records = attempt.batch.records.clone();
                    write::outcomes(app, accepted(records), self.tally).await?;
                }
                under_way.push(exchange(app, attempt));
            }
            match under_way.next().await {
                Some(exchange) => {
                    // A call that was made has an answer worth writing, whatever became of another's.
                    let taken = self.take_in(exchange).await;
                    self.note_failure(taken);
                }
                None if self.is_over() => {
                    let left = self.leave_rest().await;
                    return self.failure.take().map_or(left, Err);
                }
                // Nothing is under way, and nothing that was read may be sent.
                None => {
                    self.leave_suspects().await?;
                    if !self.has_more {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.budget.is_spent() || self.tally.gave_up || self.failure.is_some()
    }

    fn note_failure(&mut self, done: Result<(), SubmitError>) {
        if let Err(error) = done {
            tracing::error!(%error, "the invocation fails; what is under way is still taken in");
            self.failure.get_or_insert(error);
        }
    }

    /// Reads records until there are enough to send. They are read as they are now: a delivery can be
    /// hours old, and an index lags behind.
    async fn read_more(&mut self) -> Result<(), SubmitError> {
        let ledger = &self.app.ledger;
        while self.has_more && self.queue.wants_more() {
            let Some(keys) = self.source.next(ledger).await? else {
                self.has_more = false;
                return Ok(());
            };
            if keys.is_empty() {
                continue;
            }
            let now = self.app.clock.now().await?;
            let mut records = ledger.records(&keys).await?;
            records.retain(|record| is_to_be_sent(record, now));
            let aside = self.queue.add(records);
            let failing = |(record, code)| (record, Verdict::GroupFailing { code });
            let aside = aside.into_iter().map(failing).collect();
            write::outcomes(self.app, aside, self.tally).await?;
            if self.queue.is_full() {
                self.leave_suspects().await?;
            }
        }
        Ok(())
    }

    async fn take_in(&mut self, exchange: Exchange) -> Result<(), SubmitError> {
        let Exchange { attempt, outcome } = exchange;
        self.tally.calls += 1;
        let ends = match outcome {
            Ok(verdicts) => {
                self.failures_in_a_row = 0;
                self.answered(attempt, verdicts)
            }
            Err(error) => {
                self.tally.failed_calls += 1;
                self.tally.unknown += u64::from(!is_known_error(&error.code));
                tracing::warn!(%error, records = attempt.batch.records.len(), "BatchMeterUsage failed");
                self.failed(attempt, &error).await?
            }
        };
        write::lanes(self.app, self.queue.take_lane_changes()).await;
        write::outcomes(self.app, ends, self.tally).await
    }

    /// What was left unprocessed is sent again while tries are left; everything else has its end.
    fn answered(
        &mut self,
        attempt: Attempt,
        verdicts: Vec<Verdict>,
    ) -> Vec<(MeteringRecord, Verdict)> {
        let tries = attempt.tries;
        let batch = self.queue.answered(attempt);
        let mut ends = Vec::new();
        let mut again = Vec::new();
        for (mut record, verdict) in batch.records.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Accepted { .. } => {}
                Verdict::Unanswered => note_doubtful(&mut record),
                _ => note_answered(&mut record),
            }
            let is_transient = matches!(verdict, Verdict::Unprocessed | Verdict::Unanswered);
            if is_transient && tries + 1 < TRIES_MAX {
                again.push(record);
            } else {
                ends.push((record, verdict));
            }
        }
        self.queue.add_again(again, tries + 1);
        ends
    }

    /// What becomes of records after a call that failed as a whole.
    async fn failed(
        &mut self,
        mut attempt: Attempt,
        error: &CallError,
    ) -> Result<Vec<(MeteringRecord, Verdict)>, SubmitError> {
        let code = error.code.as_str();
        let records = attempt.batch.records.iter_mut();
        match (may_have_recorded(code), was_transmitted(code)) {
            (true, _) => records.for_each(note_doubtful),
            (false, true) => records.for_each(note_answered),
            (false, false) => {}
        }
        let is_lost = code == TIMEOUT || code == CONNECTION_FAILED;
        if is_lost && is_planted(Bug::LostAnswerIsSuccess) {
            return Ok(accepted(self.queue.given_up(attempt)));
        }
        if error.about() != About::Request {
            let now = self.app.clock.now().await?;
            let culprit = self.queue.refused(attempt, code, now);
            let code = code.to_owned();
            return Ok(culprit
                .map(|record| (record, Verdict::Culprit { code }))
                .into_iter()
                .collect());
        }
        let group = attempt.batch.group.clone();
        let mut ends = request_failed(self.after_request_failure(attempt, code), code);
        if is_of_every_request(code) {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            self.tally.gave_up |= self.failures_in_a_row >= FAILURES_IN_A_ROW_MAX * TRIES_MAX;
        } else {
            let aside = self.queue.group_failed(&group, code);
            if !aside.is_empty() {
                tracing::error!(product = %group.product, kind = %group.kind, code, records = aside.len(), "the requests of this product fail; it is set aside until the next invocation");
            }
            ends.extend(aside.into_iter().map(|(record, failed)| {
                let verdict = match failed {
                    Some(code) => Verdict::RequestFailed { code },
                    None => Verdict::GroupFailing {
                        code: code.to_owned(),
                    },
                };
                (record, verdict)
            }));
        }
        Ok(ends)
    }

    /// Gives back the records that are not tried again in this invocation.
    fn after_request_failure(&mut self, attempt: Attempt, code: &str) -> Vec<MeteringRecord> {
        if attempt.tries + 1 < TRIES_MAX {
            self.queue.put_back(attempt, code);
            return Vec::new();
        }
        let is_old = |record: &MeteringRecord| record.attempts >= FAILED_BEFORE_PARTS;
        match may_hide_a_record(code) && attempt.batch.records.iter().all(is_old) {
            true => self.queue.failed_again(attempt, code).into_iter().collect(),
            false => self.queue.given_up(attempt),
        }
    }

    /// Writes down that suspects wait, so that the next invocation does not begin with them.
    async fn leave_suspects(&mut self) -> Result<(), SubmitError> {
        let unsent = self.queue.take_unsent_suspects();
        let suspected = |(record, code)| (record, Verdict::Suspected { code });
        let unsent = unsent.into_iter().map(suspected).collect();
        write::outcomes(self.app, unsent, self.tally).await
    }

    /// The invocation ends before everything was sent. What was tried is written down; the rest stays
    /// due as it is.
    async fn leave_rest(&mut self) -> Result<(), SubmitError> {
        let now = self.app.clock.now().await?;
        let mut tried = Vec::new();
        for (record, failed) in self.queue.rest() {
            match failed {
                Some(code) => tried.push((record, Verdict::RequestFailed { code })),
                None => {
                    self.tally.left += 1;
                    self.tally.note(&record, now);
                }
            }
        }
        write::outcomes(self.app, tried, self.tally).await
    }
}

fn note_doubtful(record: &mut MeteringRecord) {
    record.sent.doubtful = record.sent.doubtful.saturating_add(1);
}

fn note_answered(record: &mut MeteringRecord) {
    record.sent.answered = record.sent.answered.saturating_add(1);
}

/// Whether to send a record now: before its deadline, and not while it waits after an answer.
fn is_to_be_sent(record: &MeteringRecord, now: Timestamp) -> bool {
    let waits = record.attempts > 0 && record.due.is_some_and(|due| due > now);
    record.is_sendable(now) && !waits
}

async fn exchange(app: &App, attempt: Attempt) -> Exchange {
    pause_before(app, &attempt).await;
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
async fn pause_before(app: &App, attempt: &Attempt) {
    if attempt.tries > 0 {
        let base = app.pause.saturating_mul(1 << attempt.tries.min(6));
        startup::run::pause(base / 1_000 * jitter_per_mille()).await;
    }
}

/// Between a half and one, in thousandths.
fn jitter_per_mille() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(500 + random % 501).unwrap_or(1_000)
}

/// Every record as if it had been billed: only for planted bugs.
fn accepted(records: Vec<MeteringRecord>) -> Vec<(MeteringRecord, Verdict)> {
    let verdict = Verdict::Accepted {
        metering_record_id: None,
    };
    let both = |record| (record, verdict.clone());
    records.into_iter().map(both).collect()
}

fn request_failed(records: Vec<MeteringRecord>, code: &str) -> Vec<(MeteringRecord, Verdict)> {
    let verdict = Verdict::RequestFailed {
        code: code.to_owned(),
    };
    let both = |record| (record, verdict.clone());
    records.into_iter().map(both).collect()
}
