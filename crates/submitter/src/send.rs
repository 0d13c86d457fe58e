//! Sends the records of an invocation: reads them, has calls made, and acts on their answers.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use marketplace::MeteringRecord;
use marketplace::answer::Verdict;
use marketplace::error_table::{
    About, is_known_error, is_of_every_request, may_have_recorded, may_hide_a_record,
    was_transmitted,
};
use marketplace::slot::Slot;
use metering_api::CallError;
use runtime::{Budget, InvocationError};

use crate::exchange::{Exchange, exchange};
use crate::queue::{Attempt, Queue};
use crate::source::Source;
use crate::tally::Tally;
use crate::unwritten::Unwritten;
use crate::{App, write};

/// The number of tries of a request, or of a record that was left unprocessed, within one
/// invocation.
const TRIES_MAX: u32 = 4;
/// If each record of a batch was sent this many times without a clear answer, one of the records
/// may be the cause of the failure. Then the batch is split. The number is four invocations with
/// [`TRIES_MAX`] tries each.
const DOUBTFUL_BEFORE_PARTS: u32 = 4 * TRIES_MAX;
/// The invocation ends after this many requests in a row failed in all their tries for a reason
/// that concerns every request. Credentials, permissions and the quota rarely recover within
/// minutes.
const FAILURES_IN_A_ROW_MAX: u32 = 3;
/// The number of slots whose records are read together, so that their batches are full.
const SLOTS_IN_A_PAGE: usize = 1_000;
/// The invocation sends nothing more after this many failures of DynamoDB in a row. A single one, a
/// throttled write for example, must not stop the other records. After more failures, calls would
/// only produce answers that cannot be stored.
const STORAGE_FAILURES_IN_A_ROW_MAX: u32 = 5;

/// The state of sending in one invocation.
struct Sending<'a> {
    app: &'a App,
    source: Source,
    has_more: bool,
    queue: Queue,
    /// The number of calls since the last answered one that failed for a reason that concerns every
    /// request.
    failures_in_a_row: u32,
    /// The first error; `None` if there was none. With an error the invocation fails at its end.
    failure: Option<InvocationError>,
    /// The number of errors since the last answer that was written completely. After
    /// [`STORAGE_FAILURES_IN_A_ROW_MAX`] nothing more is sent, but the answers of calls under way
    /// are still written.
    storage_failures: u32,
    budget: Budget,
    tally: &'a mut Tally,
    unwritten: Unwritten,
}

/// Sends the records of a source until each has a verdict or is left for later, or until the
/// invocation ends.
pub(crate) async fn send_all(
    app: &App,
    source: Source,
    allowance: u64,
    budget: Budget,
    tally: &mut Tally,
) -> Result<(), InvocationError> {
    let now = app.clock.now().await?;
    let lanes = app.ledger.lanes(now).await?;
    let mut sending = Sending {
        app,
        source,
        has_more: true,
        queue: Queue::new(allowance, lanes),
        failures_in_a_row: 0,
        failure: None,
        storage_failures: 0,
        budget,
        tally,
        unwritten: Unwritten::default(),
    };
    sending.run().await
}

impl Sending<'_> {
    async fn run(&mut self) -> Result<(), InvocationError> {
        let app = self.app;
        let mut under_way = FuturesUnordered::new();
        loop {
            if !self.is_over() {
                let read = self.read_more(under_way.is_empty()).await;
                self.keep_failure(read);
            }
            while under_way.len() < app.calls_at_once.max(1) && !self.is_over() {
                let Some(attempt) = self.queue.next_one() else {
                    break;
                };
                under_way.push(exchange(app, attempt));
            }
            match under_way.next().await {
                Some(exchange) => {
                    // The answer is written even if the outcomes of another call could not be
                    // written.
                    let handled = self.handle_exchange(exchange).await;
                    if handled.is_ok() {
                        self.storage_failures = 0;
                        let written = self.unwritten.write_failed(&app.ledger).await;
                        self.keep_failure(written.map_err(InvocationError::from));
                    }
                    self.keep_failure(handled);
                }
                None if self.is_over() => {
                    let left = self.leave_rest().await;
                    return self.failure.take().map_or(left, Err);
                }
                // No call is under way, and no record in the queue may be sent.
                None => {
                    let left = self.leave_suspects().await;
                    self.keep_failure(left);
                    if !self.has_more && !self.is_over() {
                        let written = self.unwritten.write(&app.ledger).await;
                        return self.failure.take().map_or(Ok(written?), Err);
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.budget.is_spent()
            || self.tally.gave_up
            || self.storage_failures >= STORAGE_FAILURES_IN_A_ROW_MAX
    }

    fn keep_failure(&mut self, result: Result<(), InvocationError>) {
        if let Err(error) = result {
            tracing::error!(%error, "the invocation fails at its end; other records are still sent");
            self.storage_failures = self.storage_failures.saturating_add(1);
            self.failure.get_or_insert(error);
        }
    }

    /// Reads records until there are enough to send. While calls are under way, `is_idle` is false
    /// and only one page is read, so that their answers need not wait.
    async fn read_more(&mut self, is_idle: bool) -> Result<(), InvocationError> {
        while self.has_more && self.queue.wants_more() && !self.is_over() {
            let mut records = Vec::new();
            let read = self.read_page(&mut records).await;
            let left_out = self.queue.add(records);
            let failing = |(record, code)| (record, Verdict::GroupFailing { code });
            let left_out = left_out.into_iter().map(failing).collect();
            write::outcomes(self.app, left_out, self.tally, &mut self.unwritten).await?;
            if self.queue.is_full() {
                self.leave_suspects().await?;
            }
            read?;
            if !is_idle {
                break;
            }
        }
        Ok(())
    }

    /// Reads the records of a page of slots, or of fewer slots if the queue has no room for more.
    /// The records are read from the table, because a delivery can be hours old and the index lags
    /// behind. After an error, `records` has those that were read before it.
    async fn read_page(
        &mut self,
        records: &mut Vec<MeteringRecord>,
    ) -> Result<(), InvocationError> {
        let ledger = &self.app.ledger;
        let mut slots_read = 0;
        while slots_read < SLOTS_IN_A_PAGE && self.queue.has_room_beside(records) {
            let Some(slots) = self.source.next(ledger).await? else {
                self.has_more = false;
                return Ok(());
            };
            slots_read += slots.len();
            let read = match slots.is_empty() {
                true => continue,
                false => self.read_records(&slots).await,
            };
            match read {
                Ok(read) => records.extend(read),
                Err(error) => {
                    self.source.put_back(slots);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads those of the records that may be sent now.
    async fn read_records(&self, slots: &[Slot]) -> Result<Vec<MeteringRecord>, InvocationError> {
        let now = self.app.clock.now().await?;
        let mut records = self.app.ledger.records(slots).await?;
        records.retain(|record| is_to_be_sent(record, now));
        Ok(records)
    }

    async fn handle_exchange(&mut self, exchange: Exchange) -> Result<(), InvocationError> {
        let Exchange { attempt, outcome } = exchange;
        self.tally.calls += 1;
        let ends = match outcome {
            Ok(verdicts) => {
                self.failures_in_a_row = 0;
                self.answered(attempt, verdicts)
            }
            Err(error) => {
                // A refusal because of a record is reported with the record. It must not hide that
                // other calls fail.
                self.tally.failed_calls += u64::from(error.about() == About::Request);
                self.tally.unknown += u64::from(!is_known_error(&error.code));
                tracing::warn!(%error, records = attempt.batch.records.len(), "BatchMeterUsage failed");
                self.failed(attempt, &error).await?
            }
        };
        write::lanes(self.app, self.queue.take_lane_changes()).await;
        write::outcomes(self.app, ends, self.tally, &mut self.unwritten).await
    }

    /// Acts on an answered call. Records without a result are sent again while tries are left.
    /// Returns all others with their verdicts.
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
                // A status that is not known here may say that the record was billed.
                Verdict::Unanswered | Verdict::UnknownStatus(_) => {
                    self.unwritten.doubtful(&mut record);
                }
                _ => self.unwritten.answered(&mut record),
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

    /// Acts on a call that failed as a whole. Returns the records that have a verdict now.
    async fn failed(
        &mut self,
        mut attempt: Attempt,
        error: &CallError,
    ) -> Result<Vec<(MeteringRecord, Verdict)>, InvocationError> {
        let code = error.code.as_str();
        let records = attempt.batch.records.iter_mut();
        match (may_have_recorded(code), was_transmitted(code)) {
            (true, _) => records.for_each(|record| self.unwritten.doubtful(record)),
            (false, true) => records.for_each(|record| self.unwritten.answered(record)),
            (false, false) => {}
        }
        if error.about() != About::Request {
            // This request had everything that every request needs, such as permissions.
            self.failures_in_a_row = 0;
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
            let left_out = self.queue.group_failed(&group, code);
            if !left_out.is_empty() {
                tracing::error!(product = %group.product, kind = %group.kind, code, records = left_out.len(), "the requests of this product fail; its records are not sent until a later invocation");
            }
            ends.extend(left_out.into_iter().map(|(record, failed)| {
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

    /// Puts an attempt back to be tried again. Returns its records if it has no tries left.
    fn after_request_failure(&mut self, attempt: Attempt, code: &str) -> Vec<MeteringRecord> {
        if attempt.tries + 1 < TRIES_MAX {
            self.queue.put_back(attempt, code);
            return Vec::new();
        }
        // `attempts` cannot be used for this, because it also counts invocations in which the
        // record only waited.
        let was_often_sent =
            |record: &MeteringRecord| record.sent.doubtful >= DOUBTFUL_BEFORE_PARTS;
        match may_hide_a_record(code) && attempt.batch.records.iter().all(was_often_sent) {
            true => self.queue.failed_again(attempt, code).into_iter().collect(),
            false => self.queue.given_up(attempt),
        }
    }

    /// Writes a later due time for the suspects that were not sent, so that the next invocation
    /// does not read them first.
    async fn leave_suspects(&mut self) -> Result<(), InvocationError> {
        let unsent = self.queue.take_unsent_suspects();
        let suspected = |(record, code)| (record, Verdict::Suspected { code });
        let unsent = unsent.into_iter().map(suspected).collect();
        write::outcomes(self.app, unsent, self.tally, &mut self.unwritten).await
    }

    /// Ends an invocation that has not sent everything. Writes the failure of the records that were
    /// tried. The other records stay due as they are.
    async fn leave_rest(&mut self) -> Result<(), InvocationError> {
        let now = self.app.clock.now().await?;
        let mut tried = Vec::new();
        for (record, failed) in self.queue.rest() {
            match failed {
                Some(code) => tried.push((record, Verdict::RequestFailed { code })),
                None => {
                    self.tally.left += 1;
                    self.tally.add_waiting(&record, record.state, now);
                }
            }
        }
        let written = write::outcomes(self.app, tried, self.tally, &mut self.unwritten).await;
        // Transmissions are stored even if an outcome could not be written.
        self.unwritten.write(&self.app.ledger).await?;
        written
    }
}

/// Returns whether a record may be sent now: its deadline has not passed, and it does not wait
/// after an earlier attempt.
fn is_to_be_sent(record: &MeteringRecord, now: Timestamp) -> bool {
    let waits = record.attempts > 0 && record.due.is_some_and(|due| due > now);
    record.is_sendable(now) && !waits
}

fn request_failed(records: Vec<MeteringRecord>, code: &str) -> Vec<(MeteringRecord, Verdict)> {
    let verdict = Verdict::RequestFailed {
        code: code.to_owned(),
    };
    let both = |record| (record, verdict.clone());
    records.into_iter().map(both).collect()
}
