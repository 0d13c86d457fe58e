//! CloudWatch metrics as log lines in the embedded metric format: no calls, no agent.

use serde_json::{Map, Value, json};

/// The namespace of every metric of the stack.
pub const NAMESPACE: &str = "MarketplaceMetering";

/// CloudWatch's unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A duration.
    Seconds,
    /// A share of a hundred.
    Percent,
}

/// One log line with metrics of one function.
pub fn line(function: &str, at_ms: i64, values: &[(&str, Unit, i64)]) -> Value {
    let metrics: Vec<Value> = values
        .iter()
        .map(|(name, unit, _)| {
            json!({"Name": name, "Unit": match unit {
                Unit::Count => "Count",
                Unit::Seconds => "Seconds",
                Unit::Percent => "Percent",
            }})
        })
        .collect();
    let mut line = Map::from_iter([
        (
            "_aws".to_owned(),
            json!({
                "Timestamp": at_ms,
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}],
            }),
        ),
        ("Function".to_owned(), json!(function)),
    ]);
    for (name, _, value) in values {
        line.insert((*name).to_owned(), json!(value));
    }
    Value::Object(line)
}

/// Prints metrics where Lambda picks them up; elsewhere, nothing.
pub fn emit(function: &str, now: jiff::Timestamp, values: &[(&str, Unit, i64)]) {
    if std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_some() {
        println!("{}", line(function, now.as_millisecond(), values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_declares_what_it_carries() {
        let line = line("sealer", 1_000, &[("RecordsSealed", Unit::Count, 3)]);
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Metrics"][0]["Name"], "RecordsSealed");
        assert_eq!(
            (line["RecordsSealed"].as_i64(), line["Function"].as_str()),
            (Some(3), Some("sealer"))
        );
    }
}
