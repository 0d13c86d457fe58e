//! Counts the capacity units that one DynamoDB client's requests consume.
//!
//! An SDK interceptor adds `ReturnConsumedCapacity: INDEXES` to every request whose operation
//! supports it, before the request is signed. It then adds up the units that the raw answers
//! report. The callers' code stays unchanged. Their answers contain a ConsumedCapacity that they
//! did not request.
//!
//! A write whose condition fails consumes units as well, but its answer does not say how many.
//! Those units are estimated from the request alone: see
//! [`TableCapacity::failed_write_milli_units`].

mod estimate;
mod partition;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use serde_json::Value;

/// The prefix of the `X-Amz-Target` header of every DynamoDB operation.
const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// The request member that the interceptor adds.
const MEMBER: &str = "ReturnConsumedCapacity";

/// Operations whose units are read units.
const READS: [&str; 5] = [
    "GetItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "TransactGetItems",
];

/// Operations whose units are write units.
const WRITES: [&str; 5] = [
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
];

/// A counter of capacity units. Clones add to the same sums.
#[derive(Debug, Clone, Default)]
pub struct CapacityCounter {
    sums: Arc<Mutex<Sums>>,
}

#[derive(Debug, Default)]
struct Sums {
    tables: BTreeMap<String, TableCapacity>,
    calls: BTreeMap<String, u64>,
}

/// The consumption of one table's requests, in thousandths of a capacity unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableCapacity {
    /// Read units of the table and its indexes.
    pub read_milli_units: u64,
    /// Write units of the table and its indexes, failed conditional writes included.
    pub write_milli_units: u64,
    /// The part of the write units that was spent on writes whose condition failed. AWS charges by
    /// the larger of the present and the new item. Only the request is known, so this is a lower
    /// bound for present items above 1 KB.
    pub failed_write_milli_units: u64,
    /// The part of the write units that was spent on single items whose partition key, the attribute
    /// `subscription`, names no subscription. In MeteringRecords these are the items of the whole
    /// stack, such as progress and places. Failed writes and batches are left out.
    pub stack_write_milli_units: u64,
    /// The part of the read units that each secondary index consumed, by index name.
    pub index_read_milli_units: BTreeMap<String, u64>,
    /// The part of the write units that each secondary index consumed, by index name.
    pub index_write_milli_units: BTreeMap<String, u64>,
}

impl CapacityCounter {
    /// Creates a counter whose sums are zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The interceptor to add to a client's configuration.
    #[must_use]
    pub fn interceptor(&self) -> CapacityInterceptor {
        CapacityInterceptor {
            counter: self.clone(),
        }
    }

    /// The units consumed so far, by table name.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, TableCapacity> {
        self.sums().tables.clone()
    }

    /// The number of answers so far, by operation (such as `PutItem`). Each retry of the SDK
    /// counts.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.sums().calls.clone()
    }

    /// Sets all sums back to zero.
    pub fn reset(&self) {
        *self.sums() = Sums::default();
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        // Each sum changes in a single addition, so the sums stay valid when another thread panics.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, operation: &str, request: &[u8], response: &[u8]) {
        let mut sums = self.sums();
        let calls = sums.calls.entry(operation.to_owned()).or_default();
        *calls = calls.saturating_add(1);
        let Ok(answer) = serde_json::from_slice::<Value>(response) else {
            return;
        };
        match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables
                .iter()
                .for_each(|table| sums.consumed(operation, table)),
            consumed @ Value::Object(_) => {
                sums.consumed(operation, consumed);
                if WRITES.contains(&operation) && partition::is_of_the_stack(request) {
                    sums.consumed_by_the_stack(consumed);
                }
            }
            _ => {
                for (table, milli_units) in estimate::failed_writes(operation, request, &answer) {
                    let table = sums.tables.entry(table).or_default();
                    add(&mut table.write_milli_units, milli_units);
                    add(&mut table.failed_write_milli_units, milli_units);
                }
            }
        }
    }
}

impl Sums {
    /// Adds one ConsumedCapacity. Its CapacityUnits are the sum over the table and its indexes.
    fn consumed(&mut self, operation: &str, consumed: &Value) {
        let Some(name) = consumed["TableName"].as_str() else {
            return;
        };
        let table = self.tables.entry(name.to_owned()).or_default();
        let reads = READS.contains(&operation);
        let (units, indexes) = if reads {
            (
                &mut table.read_milli_units,
                &mut table.index_read_milli_units,
            )
        } else {
            (
                &mut table.write_milli_units,
                &mut table.index_write_milli_units,
            )
        };
        add(units, milli_units(&consumed["CapacityUnits"]));
        for member in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
            for (index, detail) in consumed[member].as_object().into_iter().flatten() {
                add(
                    indexes.entry(index.clone()).or_default(),
                    milli_units(&detail["CapacityUnits"]),
                );
            }
        }
    }
}

impl Sums {
    /// Adds one ConsumedCapacity to the units of the stack's own items.
    fn consumed_by_the_stack(&mut self, consumed: &Value) {
        let Some(name) = consumed["TableName"].as_str() else {
            return;
        };
        let table = self.tables.entry(name.to_owned()).or_default();
        add(
            &mut table.stack_write_milli_units,
            milli_units(&consumed["CapacityUnits"]),
        );
    }
}

fn add(sum: &mut u64, milli_units: u64) {
    *sum = sum.saturating_add(milli_units);
}

/// Converts units to thousandths: `0.5` becomes 500. The number is read from its digits, so that no
/// float gets into a sum. DynamoDB counts in halves.
fn milli_units(units: &Value) -> u64 {
    let text = units.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = format!("{fraction:0<3.3}");
    let whole: u64 = whole.parse().unwrap_or(0);
    whole
        .saturating_mul(1_000)
        .saturating_add(fraction.parse().unwrap_or(0))
}

/// Counts the requests of one client. [`CapacityCounter::interceptor`] makes it.
#[derive(Debug, Clone)]
pub struct CapacityInterceptor {
    counter: CapacityCounter,
}

/// The request as it was sent. It is stored for the duration of the call, because the SDK gives the
/// request away when it transmits it.
#[derive(Debug)]
struct Sent {
    operation: String,
    /// Empty for an operation that consumes no units.
    body: Vec<u8>,
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for CapacityInterceptor {
    fn name(&self) -> &'static str {
        "CapacityInterceptor"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let target = request.headers().get("x-amz-target");
        let Some(operation) = target.and_then(|target| target.strip_prefix(TARGET_PREFIX)) else {
            return Ok(());
        };
        let operation = operation.to_owned();
        let mut sent = Vec::new();
        if READS.contains(&operation.as_str()) || WRITES.contains(&operation.as_str()) {
            let body = request.body().bytes().unwrap_or_default();
            let mut members: serde_json::Map<String, Value> = serde_json::from_slice(body)?;
            members.insert(MEMBER.to_owned(), Value::from("INDEXES"));
            sent = serde_json::to_vec(&members)?;
            let headers = request.headers_mut();
            headers.insert("content-length", sent.len().to_string());
            *request.body_mut() = SdkBody::from(sent.clone());
        }
        let sent = Sent {
            operation,
            body: sent,
        };
        config.interceptor_state().store_put(sent);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Without a response nobody can know whether the request consumed anything.
        if let (Some(sent), Some(response)) = (config.load::<Sent>(), context.response()) {
            let received = response.body().bytes().unwrap_or_default();
            self.counter.count(&sent.operation, &sent.body, received);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn units_are_read_from_their_digits() {
        for (units, milli) in [
            (json!(1.0), 1_000),
            (json!(0.5), 500),
            (json!(2), 2_000),
            (json!(12.25), 12_250),
        ] {
            assert_eq!(milli_units(&units), milli, "{units}");
        }
        assert_eq!(milli_units(&Value::Null), 0);
    }

    #[test]
    fn a_table_and_its_indexes_are_summed_apart_and_together() {
        let counter = CapacityCounter::new();
        let answer = json!({"ConsumedCapacity": {
            "TableName": "MeteringRecords", "CapacityUnits": 3.0, "Table": {"CapacityUnits": 1.0},
            "GlobalSecondaryIndexes": {"work": {"CapacityUnits": 2.0}}
        }});
        counter.count("PutItem", b"{}", answer.to_string().as_bytes());
        counter.count("PutItem", b"{}", answer.to_string().as_bytes());
        let table = &counter.snapshot()["MeteringRecords"];
        assert_eq!(table.write_milli_units, 6_000);
        assert_eq!(table.index_write_milli_units["work"], 4_000);
        assert_eq!(table.read_milli_units, 0);
        assert_eq!(counter.calls()["PutItem"], 2);
    }
}
