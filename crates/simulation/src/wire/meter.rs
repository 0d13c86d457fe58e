//! Counts the capacity that calls of DynamoDB consume. DynamoDB reports it on request.

use serde_json::{Value, json};

/// Numbers of calls of DynamoDB, with the capacity that they consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Metered {
    /// Number of calls that read.
    pub reads: u64,
    /// Read capacity units that the calls consumed.
    pub read_units: f64,
    /// Number of usage rows that queries read.
    pub rows: u64,
    /// Number of calls that write.
    pub writes: u64,
}

impl Metered {
    /// Adds the counts of other calls.
    pub fn plus(&mut self, other: Self) {
        self.reads += other.reads;
        self.read_units += other.read_units;
        self.rows += other.rows;
        self.writes += other.writes;
    }

    pub(super) fn add(&mut self, operation: &str, body: &[u8], answer: &[u8]) {
        let is_read = matches!(operation, "BatchGetItem" | "GetItem" | "Query" | "Scan");
        if !is_read {
            self.writes += 1;
            return;
        }
        self.reads += 1;
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let taken = &answer["ConsumedCapacity"];
        let units = match taken.as_array() {
            Some(tables) => tables
                .iter()
                .filter_map(|table| table["CapacityUnits"].as_f64())
                .sum(),
            None => taken["CapacityUnits"].as_f64().unwrap_or_default(),
        };
        self.read_units += units;
        if body.windows(13).any(|part| part == b"-UsageEvents\"") {
            self.rows += answer["Count"].as_u64().unwrap_or_default();
        }
    }
}

/// The same request, which also asks DynamoDB for its consumed capacity.
pub(super) fn asking(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut request) if request.is_object() => {
            request["ReturnConsumedCapacity"] = json!("TOTAL");
            request.to_string().into_bytes()
        }
        _ => body.to_vec(),
    }
}
