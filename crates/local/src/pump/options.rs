//! The settings of an event source mapping, within Lambda's limits.

use jiff::SignedDuration;

use super::{DeliveryFaults, Filter};

/// The largest number of records in a batch (Lambda, `BatchSize` for streams).
pub const BATCH_SIZE_MAX: usize = 10_000;

/// The longest batching window (Lambda, `MaximumBatchingWindowInSeconds`).
pub const WINDOW_MAX: SignedDuration = SignedDuration::from_secs(300);

/// The largest payload of a synchronous invocation: 6 MB.
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The largest number of retries (Lambda, `MaximumRetryAttempts`). Without a limit a batch is
/// retried for ever.
pub const RETRY_ATTEMPTS_MAX: u32 = 10_000;

/// The shortest record age that can be set (Lambda, `MaximumRecordAgeInSeconds`).
pub const RECORD_AGE_MIN: SignedDuration = SignedDuration::from_secs(60);

/// The longest record age that can be set. A DynamoDB stream deletes its records after a day
/// anyway.
pub const RECORD_AGE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Lambda's batch size if none is given.
const BATCH_SIZE_DEFAULT: usize = 100;

/// The settings of an event source mapping. Each is documented with its name in a template, if it
/// has one.
#[derive(Debug, Clone)]
pub struct EventSourceOptions {
    /// The table whose stream is read.
    pub table: String,
    /// The ARN of the stream, which the function sees as `eventSourceARN`.
    pub stream_arn: String,
    /// `BatchSize`: 1 to [`BATCH_SIZE_MAX`] records.
    pub batch_size_max: usize,
    /// `MaximumBatchingWindowInSeconds`, counted from the first record read: at most
    /// [`WINDOW_MAX`].
    pub window: SignedDuration,
    /// The largest size of the event as JSON, in bytes: at most [`PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: usize,
    /// `FilterCriteria`. Records that do not match are never delivered. `None` delivers all
    /// records.
    pub filter: Option<Filter>,
    /// `MaximumRetryAttempts`. `None` is Lambda's -1: retries never end.
    pub retry_attempts_max: Option<u32>,
    /// `MaximumRecordAgeInSeconds`. `None` is Lambda's -1: only the stream's own retention counts.
    pub record_age_max: Option<SignedDuration>,
    /// `BisectBatchOnFunctionError`: `true` if a failed batch is split into halves.
    pub bisect_on_error: bool,
    /// `FunctionResponseTypes: [ReportBatchItemFailures]`: `true` if the function can report
    /// individual records as failed.
    pub report_batch_item_failures: bool,
    /// Faults to inject between the stream and the function. `None` for no faults.
    pub faults: Option<DeliveryFaults>,
}

/// The reason why a mapping was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("event source of table {table}: {member} is {value}, but must be {allowed}")]
pub struct EventSourceError {
    table: String,
    member: &'static str,
    value: String,
    allowed: String,
}

impl EventSourceOptions {
    /// Lambda's defaults: batches of 100 records, no batching window, retries without end.
    #[must_use]
    pub fn new(table: impl Into<String>, stream_arn: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            stream_arn: stream_arn.into(),
            batch_size_max: BATCH_SIZE_DEFAULT,
            window: SignedDuration::ZERO,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            filter: None,
            retry_attempts_max: None,
            record_age_max: None,
            bisect_on_error: false,
            report_batch_item_failures: false,
            faults: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), EventSourceError> {
        let refused = |member, value: String, allowed: String| {
            Err(EventSourceError {
                table: self.table.clone(),
                member,
                value,
                allowed,
            })
        };
        if !self
            .stream_arn
            .contains(&format!(":table/{}/stream/", self.table))
        {
            return refused(
                "stream_arn",
                self.stream_arn.clone(),
                "the ARN of this table's stream".to_owned(),
            );
        }
        if !(1..=BATCH_SIZE_MAX).contains(&self.batch_size_max) {
            return refused(
                "batch_size_max",
                self.batch_size_max.to_string(),
                format!("1 to {BATCH_SIZE_MAX}"),
            );
        }
        if !(SignedDuration::ZERO..=WINDOW_MAX).contains(&self.window) {
            return refused(
                "window",
                format!("{:#}", self.window),
                format!("0s to {WINDOW_MAX:#}"),
            );
        }
        if !(1..=PAYLOAD_BYTES_MAX).contains(&self.payload_bytes_max) {
            return refused(
                "payload_bytes_max",
                self.payload_bytes_max.to_string(),
                format!("1 to {PAYLOAD_BYTES_MAX}"),
            );
        }
        if let Some(retries) = self.retry_attempts_max
            && retries > RETRY_ATTEMPTS_MAX
        {
            return refused(
                "retry_attempts_max",
                retries.to_string(),
                format!("0 to {RETRY_ATTEMPTS_MAX}"),
            );
        }
        if let Some(age) = self.record_age_max
            && !(RECORD_AGE_MIN..=RECORD_AGE_MAX).contains(&age)
        {
            return refused(
                "record_age_max",
                format!("{age:#}"),
                format!("{RECORD_AGE_MIN:#} to {RECORD_AGE_MAX:#}"),
            );
        }
        if let Some(faults) = &self.faults
            && !faults.valid()
        {
            return refused(
                "faults",
                format!("{faults:?}"),
                "made of chances from 0 to 1000 and a delay of 0 or more".to_owned(),
            );
        }
        Ok(())
    }
}
