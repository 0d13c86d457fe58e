//! The command `metering batch-meter-usage`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use crate::connect::Service;
use crate::failure::Failure;
use crate::{input, output};

/// The largest size of a file with a request. It is larger than AWS's own limit, so that AWS
/// reports which limit is broken.
const REQUEST_FILE_BYTES_MAX: usize = 8 * marketplace::limits::REQUEST_BYTES_MAX;

/// Sends the BatchMeterUsage request in a file unchanged, and prints the answer.
///
/// The command adds nothing to the request, leaves nothing out, and writes to no table. AWS bills
/// the first record for each product or license, customer, dimension and hour. So use this command
/// only for dimensions that the stack does not meter.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering batch-meter-usage --file usage.json
  metering batch-meter-usage --local --file - <<'JSON'
  {\"UsageRecords\": [{
    \"LicenseArn\": \"arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef\",
    \"CustomerAWSAccountId\": \"111122223333\",
    \"Dimension\": \"requests\", \"Timestamp\": 1795228200, \"QuantityAsDecimal\": \"1.5\"}]}
  JSON

Exit code 0 only if AWS answered every record with Success. Other answers bill nothing.")]
pub struct BatchMeterUsage {
    /// File with the request's JSON, in the form that the API takes; - for standard input
    #[arg(long, value_name = "FILE")]
    file: String,
    #[command(flatten)]
    service: Service,
}

impl BatchMeterUsage {
    pub async fn run(&self) -> Result<(), Failure> {
        let text = input::read(&self.file, REQUEST_FILE_BYTES_MAX)?;
        let request: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::failed(format!("{} is not JSON: {error}", self.file)))?;
        let metering = self.service.connect().await?;
        let answer = metering
            .batch_meter_usage_raw(request)
            .await
            .map_err(Failure::failed)?;
        output::print_json(&answer)?;
        match not_accepted(&answer) {
            None => Ok(()),
            Some(complaint) => Err(Failure::failed(complaint)),
        }
    }
}

/// Describes the records in an answer that were not accepted. `None` if all were.
fn not_accepted(answer: &Value) -> Option<String> {
    let list = |name: &str| answer.get(name).and_then(Value::as_array);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for result in list("Results").into_iter().flatten() {
        let status = result.get("Status").and_then(Value::as_str);
        *counts.entry(status.unwrap_or("no status")).or_default() += 1;
    }
    let unprocessed = list("UnprocessedRecords").map_or(0, Vec::len);
    if unprocessed > 0 {
        *counts.entry("unprocessed, send again").or_default() += unprocessed;
    }
    counts.remove("Success");
    if counts.is_empty() {
        return None;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    Some(format!(
        "records that were not accepted: {}",
        counts.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_success_counts_as_billed() {
        let answer = json!({"Results": [{"Status": "Success"}], "UnprocessedRecords": []});
        assert_eq!(not_accepted(&answer), None);
        let answer = json!({
            "Results": [{"Status": "Success"}, {"Status": "DuplicateRecord"}, {}],
            "UnprocessedRecords": [{}, {}],
        });
        assert_eq!(
            not_accepted(&answer).unwrap(),
            "records that were not accepted: 1 DuplicateRecord, 1 no status, 2 unprocessed, send again"
        );
    }
}
