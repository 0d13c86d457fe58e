//! Lambda's poller between one DynamoDB stream and one function: an event source mapping.
//!
//! [`EventSource::poll`] does the work of the poller at a given time: it reads the stream, filters
//! the records, gathers batches and invokes the function. It does nothing between calls. The caller
//! owns the time. A caller that moves a clock forward must stop at [`EventSource::next_due`] on the
//! way: after 24 hours without a poll the records are trimmed, as on AWS.

mod answer;
mod attempt;
mod change;
mod faults;
mod filter;
mod options;
mod outcome;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::dynamodb::{
    EmbeddedDynamoDb, IteratorPosition, STREAM_RECORDS_PER_CALL_MAX, STREAM_RETENTION,
    StreamReadError,
};

pub use faults::DeliveryFaults;
pub use filter::{Filter, FilterError};
pub use options::{
    BATCH_SIZE_MAX, EventSourceError, EventSourceOptions, PAYLOAD_BYTES_MAX, RECORD_AGE_MAX,
    RECORD_AGE_MIN, RETRY_ATTEMPTS_MAX, WINDOW_MAX,
};
pub use outcome::{DiscardCondition, DiscardedBatch, PollOutcome};

use answer::{BatchResult, batch_result};
use attempt::Attempt;
use change::{Change, sequence_order};
use faults::FaultyDelivery;

/// The largest number of invocations in one poll. Without this limit, a function that writes to the
/// table whose stream feeds it would keep one poll running for ever.
pub const INVOCATIONS_PER_POLL_MAX: u32 = 1_000;

/// The length of `{"Records":[` and `]}`, in bytes.
const ENVELOPE_BYTES: usize = 14;

/// A running event source mapping. One batch is in flight at a time, and the order of records is
/// kept.
pub struct EventSource {
    options: EventSourceOptions,
    shard: String,
    iterator: Option<String>,
    /// The records that were read and passed the filter, and are not yet in a batch.
    waiting: VecDeque<Change>,
    /// The batch in flight, or its parts after a bisection. Records that are done are removed.
    in_flight: VecDeque<Attempt>,
    faults: Option<FaultyDelivery>,
}

impl EventSource {
    /// Creates a mapping that starts at the oldest record of the stream.
    ///
    /// # Errors
    ///
    /// [`EventSourceError`]: an option is outside Lambda's limits.
    pub fn new(options: EventSourceOptions) -> Result<Self, EventSourceError> {
        options.check()?;
        Ok(Self {
            shard: dynoxide::streams::shard_id(&options.table),
            iterator: None,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            faults: options.faults.clone().map(FaultyDelivery::new),
            options,
        })
    }

    /// The options that the mapping was made with.
    #[must_use]
    pub fn options(&self) -> &EventSourceOptions {
        &self.options
    }

    /// The time at which the next poll has something to do even if nothing is written until then: a
    /// batching window closes, a retry is due or a delayed record is released. Never before `now`.
    /// `None` if there is nothing to do until something is written.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if let Some(attempt) = self.in_flight.front() {
            return Some(attempt.due.max(now));
        }
        let batch = self.waiting.front().map(|first| {
            if self.full_batch() {
                now
            } else {
                self.window_end(first)
            }
        });
        let released = self.faults.as_ref().and_then(FaultyDelivery::next_release);
        batch
            .into_iter()
            .chain(released)
            .min()
            .map(|due| due.max(now))
    }

    /// Does the work that is due at `now`: delivers batches to `invoke` until no more batches are
    /// due. It delivers at most [`INVOCATIONS_PER_POLL_MAX`] batches.
    ///
    /// `invoke` gets the event as the function would, and returns the function's answer or the
    /// error of the invocation. A poll whose future is dropped loses nothing: the batch in flight
    /// is delivered again.
    ///
    /// # Errors
    ///
    /// [`StreamReadError`]: the stream cannot be read. A failing function is not an error, because
    /// its batch is retried.
    pub async fn poll<F, A>(
        &mut self,
        now: Timestamp,
        database: &EmbeddedDynamoDb,
        mut invoke: F,
    ) -> Result<PollOutcome, StreamReadError>
    where
        // This is not an `AsyncFnMut`, because nothing shows that its futures are `Send`, and some
        // callers spawn the poll.
        F: FnMut(Value) -> A,
        A: Future<Output = Result<Value, String>>,
    {
        let mut outcome = PollOutcome::default();
        while outcome.invocations < INVOCATIONS_PER_POLL_MAX {
            if self.in_flight.is_empty() {
                self.read(now, database, &mut outcome)?;
                match self.take_due_batch(now) {
                    Some(batch) => self.in_flight.push_back(batch),
                    None => break,
                }
            }
            self.give_up_aged(now, &mut outcome);
            let Some(attempt) = self.in_flight.front_mut() else {
                continue;
            };
            if attempt.due > now {
                break;
            }
            attempt.invocations = attempt.invocations.saturating_add(1);
            outcome.invocations = outcome.invocations.saturating_add(1);
            let answer = invoke(attempt.event()).await;
            if let Some(attempt) = self.in_flight.pop_front() {
                let batch_result = batch_result(
                    answer,
                    self.options.report_batch_item_failures,
                    &attempt.changes,
                );
                self.settle(attempt, batch_result, now, &mut outcome);
            }
        }
        outcome.next_due = self.next_due(now);
        Ok(outcome)
    }

    /// Reads until a batch is full or the stream has no more records for now.
    fn read(
        &mut self,
        now: Timestamp,
        database: &EmbeddedDynamoDb,
        outcome: &mut PollOutcome,
    ) -> Result<(), StreamReadError> {
        if let Some(faults) = &mut self.faults {
            faults.release(now, &mut self.waiting);
        }
        let mut iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => database.shard_iterator(
                &self.options.stream_arn,
                &self.shard,
                &IteratorPosition::TrimHorizon,
            )?,
        };
        // The loop ends at the first page that is not full. Every full page brings the iterator
        // nearer to the end of the stream, and nobody writes to the stream meanwhile.
        while !self.full_batch() {
            let page = database.stream_records(&iterator, STREAM_RECORDS_PER_CALL_MAX);
            let page = page.inspect_err(|_| self.iterator = Some(iterator.clone()))?;
            let last = page.records.len() < STREAM_RECORDS_PER_CALL_MAX;
            for record in page.records {
                self.admit(record, now, outcome);
            }
            iterator = page.next_iterator;
            if last {
                break;
            }
        }
        self.iterator = Some(iterator);
        Ok(())
    }

    fn admit(&mut self, record: Value, now: Timestamp, outcome: &mut PollOutcome) {
        outcome.read = outcome.read.saturating_add(1);
        let change = Change::read(record, &self.options.stream_arn, now);
        let wanted = |change: &Change| match &self.options.filter {
            Some(filter) => filter.matches(&change.record),
            None => true,
        };
        let Some(change) = change.filter(wanted) else {
            outcome.filtered = outcome.filtered.saturating_add(1);
            return;
        };
        if expired(&change, STREAM_RETENTION, now) {
            outcome.trimmed = outcome.trimmed.saturating_add(1);
            return;
        }
        match &mut self.faults {
            Some(faults) => faults.admit(change, now, &mut self.waiting, outcome),
            None => self.waiting.push_back(change),
        }
    }

    fn window_end(&self, first: &Change) -> Timestamp {
        first
            .read_at
            .checked_add(self.options.window)
            .unwrap_or(Timestamp::MAX)
    }

    /// The number of waiting records that go into one batch, limited by count and by payload.
    fn batch_length(&self) -> usize {
        let mut payload_bytes = ENVELOPE_BYTES;
        self.waiting
            .iter()
            .take(self.options.batch_size_max)
            .take_while(|change| {
                payload_bytes = payload_bytes.saturating_add(change.size_bytes);
                payload_bytes <= self.options.payload_bytes_max
            })
            .count()
            // A single record always fits, because it is smaller than Lambda's payload.
            .max(1)
    }

    fn full_batch(&self) -> bool {
        self.waiting.len() >= self.options.batch_size_max
            || self.batch_length() < self.waiting.len()
    }

    fn take_due_batch(&mut self, now: Timestamp) -> Option<Attempt> {
        let first = self.waiting.front()?;
        if !self.full_batch() && now < self.window_end(first) {
            return None;
        }
        let length = self.batch_length().min(self.waiting.len());
        let changes = self.waiting.drain(..length).collect();
        Some(Attempt::new(changes, now))
    }

    /// Removes the records from the next attempt that are too old for the mapping or for the
    /// stream.
    fn give_up_aged(&mut self, now: Timestamp, outcome: &mut PollOutcome) {
        let Some(mut attempt) = self.in_flight.pop_front() else {
            return;
        };
        if let Some(age_max) = self.options.record_age_max {
            let (aged, young) = attempt
                .changes
                .into_iter()
                .partition(|change| expired(change, age_max, now));
            attempt.changes = young;
            let aged = Attempt {
                changes: aged,
                ..attempt
            };
            self.discard(
                &aged,
                DiscardCondition::RecordAgeExceeded,
                None,
                now,
                outcome,
            );
        }
        let before = attempt.changes.len();
        attempt
            .changes
            .retain(|change| !expired(change, STREAM_RETENTION, now));
        outcome.trimmed = outcome
            .trimmed
            .saturating_add(before.abs_diff(attempt.changes.len()));
        if !attempt.changes.is_empty() {
            self.in_flight.push_front(attempt);
        }
    }

    fn settle(
        &mut self,
        mut attempt: Attempt,
        batch_result: BatchResult,
        now: Timestamp,
        outcome: &mut PollOutcome,
    ) {
        let all = attempt.changes.len();
        let error = match batch_result {
            BatchResult::Done => {
                outcome.delivered = outcome.delivered.saturating_add(all);
                return;
            }
            BatchResult::Failed(error) => {
                outcome.failures = outcome.failures.saturating_add(1);
                if self.options.bisect_on_error && all > 1 {
                    let (earlier, later) = attempt.halves(now);
                    self.in_flight.push_front(later);
                    return self.in_flight.push_front(earlier);
                }
                Some(error)
            }
            BatchResult::FailedFrom(lowest) => {
                outcome.failures = outcome.failures.saturating_add(1);
                let from = sequence_order(&lowest);
                attempt
                    .changes
                    .retain(|change| sequence_order(&change.sequence_number) >= from);
                let done = all.abs_diff(attempt.changes.len());
                outcome.delivered = outcome.delivered.saturating_add(done);
                if self.options.bisect_on_error && done > 0 {
                    // The batch is split at the reported record, and a split does not count as a
                    // retry.
                    attempt.due = now;
                    return self.in_flight.push_front(attempt);
                }
                None
            }
        };
        if self
            .options
            .retry_attempts_max
            .is_some_and(|max| attempt.retries >= max)
        {
            return self.discard(
                &attempt,
                DiscardCondition::RetryAttemptsExhausted,
                error,
                now,
                outcome,
            );
        }
        attempt.postpone(now);
        self.in_flight.push_front(attempt);
    }

    fn discard(
        &self,
        attempt: &Attempt,
        condition: DiscardCondition,
        error: Option<String>,
        now: Timestamp,
        outcome: &mut PollOutcome,
    ) {
        let ordered = |a: &&Change, b: &&Change| {
            sequence_order(&a.sequence_number).cmp(&sequence_order(&b.sequence_number))
        };
        let first = attempt.changes.iter().min_by(ordered);
        let (Some(first), Some(last)) = (first, attempt.changes.iter().max_by(ordered)) else {
            return;
        };
        outcome.on_failure.push(DiscardedBatch {
            condition,
            invocations: attempt.invocations,
            error,
            stream_arn: self.options.stream_arn.clone(),
            shard: self.shard.clone(),
            start_sequence_number: first.sequence_number.clone(),
            end_sequence_number: last.sequence_number.clone(),
            first_created: first.created,
            last_created: last.created,
            batch_size: attempt.changes.len(),
            discarded_at: now,
        });
    }
}

fn expired(change: &Change, age_max: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(change.created) > age_max
}
