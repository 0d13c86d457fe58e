//! The event source mappings of `template.yaml`.

use jiff::SignedDuration;
use ledger::TableNames;
use serde_json::{Value, json};

use super::options::{DeliveryTrouble, StackError};
use crate::dynamodb::EmbeddedDynamoDb;
use crate::pump::{DeliveryFaults, EventSource, EventSourceOptions, Filter};

/// The stack's two event source mappings.
pub struct EventSources {
    /// The stream of UsageEvents, which invokes late-usage.
    pub usage: EventSource,
    /// The stream of MeteringRecords, which invokes the submitter.
    pub records: EventSource,
}

/// Creates mappings that start at the oldest records of the streams.
///
/// # Errors
///
/// [`StackError`]: a table does not exist or has no stream.
pub fn event_sources(
    dynamodb: &EmbeddedDynamoDb,
    names: &TableNames,
    trouble: Option<DeliveryTrouble>,
    seed: u64,
) -> Result<EventSources, StackError> {
    let source = |table: &str,
                  salt: u64,
                  filters: &[Value],
                  window: SignedDuration|
     -> Result<EventSource, StackError> {
        let arn = dynamodb
            .stream_arn(table)
            .map_err(StackError::failed)?
            .ok_or_else(|| StackError::Failed(format!("table {table} has no stream")))?;
        let patterns: Vec<String> = filters.iter().map(Value::to_string).collect();
        let mut source = EventSourceOptions::new(table, &arn);
        source.batch_size_max = 10_000;
        source.window = window;
        source.filter = Some(Filter::new(&patterns).map_err(StackError::failed)?);
        source.retry_attempts_max = Some(10);
        source.bisect_on_error = true;
        source.report_batch_item_failures = true;
        source.faults = trouble.map(|trouble| DeliveryFaults {
            seed: seed ^ salt,
            drop_per_mille: trouble.dropped,
            repeat_per_mille: trouble.repeated,
            reorder_per_mille: trouble.reordered,
            delay_per_mille: trouble.delayed,
            delay_max: SignedDuration::from_mins(5),
        });
        EventSource::new(source).map_err(StackError::failed)
    };
    Ok(EventSources {
        usage: source(
            &names.usage_events,
            1,
            &[
                json!({"eventName": ["INSERT", "MODIFY"]}),
                json!({"eventName": ["REMOVE"]}),
            ],
            SignedDuration::from_secs(30),
        )?,
        records: source(
            &names.metering_records,
            2,
            &[
                json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"send": {"S": [{"exists": true}]}}}}),
            ],
            SignedDuration::from_secs(60),
        )?,
    })
}
