//! CloudWatch metrics as log lines in the embedded metric format, which needs no calls and no
//! agent.

use serde_json::{Map, Value, json};

/// The CloudWatch namespace of every metric of the stack.
pub const NAMESPACE: &str = "MarketplaceMetering";

/// The unit of a metric in CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of items.
    Count,
    /// A duration in seconds.
    Seconds,
    /// A share in percent.
    Percent,
}

/// A metric that counts items.
pub fn count(name: &'static str, items: u64) -> (&'static str, Unit, i64) {
    (name, Unit::Count, i64::try_from(items).unwrap_or(i64::MAX))
}

/// Metrics that are written at every run, even when they are zero, because alarms depend on their
/// absence or on their minimum over several runs. Other metrics are omitted when they are zero,
/// because CloudWatch charges for every hour in which a metric was written.
const AT_EVERY_RUN: [&str; 2] = ["HoursBehind", "UnfinishedRuns"];

/// The stack's name if `STACK_NAME` is not set, for example if the function was started by hand.
const NO_STACK: &str = "local";

/// A log line with the metrics of one function of one stack; `None` if there are none to write.
pub fn line(
    stack: &str,
    function: &str,
    at_ms: i64,
    values: &[(&str, Unit, i64)],
) -> Option<Value> {
    let values: Vec<_> = values
        .iter()
        .filter(|(name, _, value)| *value != 0 || AT_EVERY_RUN.contains(name))
        .collect();
    if values.is_empty() {
        return None;
    }
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
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["Stack", "Function"]], "Metrics": metrics}],
            }),
        ),
        ("Stack".to_owned(), json!(stack)),
        ("Function".to_owned(), json!(function)),
    ]);
    for (name, _, value) in values {
        line.insert((*name).to_owned(), json!(value));
    }
    Some(Value::Object(line))
}

/// Prints metrics if the process runs on Lambda, which forwards them to CloudWatch. Elsewhere it
/// prints nothing. The environment variable `STACK_NAME` names the stack, so that two stacks in one
/// account do not share metrics.
pub fn emit(function: &str, now: jiff::Timestamp, values: &[(&str, Unit, i64)]) {
    if std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_none() {
        return;
    }
    let stack = std::env::var("STACK_NAME").unwrap_or_default();
    let stack = Some(stack.as_str()).filter(|name| !name.is_empty());
    let stack = stack.unwrap_or(NO_STACK);
    if let Some(line) = line(stack, function, now.as_millisecond(), values) {
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_declares_every_metric_that_it_has() {
        let values = [
            ("RecordsSealed", Unit::Count, 3),
            ("LateMovements", Unit::Count, 0),
            ("HoursBehind", Unit::Count, 0),
        ];
        let line = line("metering", "sealer", 1_000, &values).unwrap();
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Metrics"][0]["Name"], "RecordsSealed");
        assert_eq!(
            (line["RecordsSealed"].as_i64(), line["Function"].as_str()),
            (Some(3), Some("sealer"))
        );
        assert_eq!(line["Stack"], "metering");
        assert_eq!(declared["Dimensions"][0], json!(["Stack", "Function"]));
        // A metric of zero is omitted, unless an alarm needs it.
        assert_eq!(declared["Metrics"].as_array().unwrap().len(), 2);
        assert!(line.get("LateMovements").is_none());
        assert_eq!(line["HoursBehind"], 0);
    }

    #[test]
    fn metrics_of_zero_alone_make_no_line() {
        assert_eq!(
            line(
                "metering",
                "late-usage",
                1,
                &[("UsageChanges", Unit::Count, 0)]
            ),
            None
        );
    }
}
