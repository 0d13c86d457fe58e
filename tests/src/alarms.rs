//! Compares the template's alarms with the metrics that functions print.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::template::Template;
use crate::world::STACK;

/// The names of the alarms that go off at these printed lines, if every later period looks like
/// this one. Alarms for the absence of a metric are left out, because one invocation cannot show
/// them.
///
/// # Panics
///
/// If the template has an alarm of a kind that this function does not know.
pub fn raised(template: &Template, printed: &[String]) -> BTreeSet<String> {
    let lines: Vec<Value> = printed
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["_aws"].is_object())
        .collect();
    let mut raised = BTreeSet::new();
    for (name, resource) in template.section("Resources") {
        if resource["Type"] != "AWS::CloudWatch::Alarm" {
            continue;
        }
        let alarm = &resource["Properties"];
        let several = alarm["Metrics"].as_array().into_iter().flatten();
        let several = several.map(|metric| &metric["MetricStat"]["Metric"]);
        let is_over = several
            .chain([alarm])
            .filter(|metric| metric["Namespace"] == runtime::metrics::NAMESPACE)
            .flat_map(|metric| values(metric, &lines))
            .any(|value| exceeds(alarm, value));
        if is_over {
            raised.insert(name.clone());
        }
    }
    raised
}

/// The values that the printed lines contain for one metric of the template.
fn values(metric: &Value, lines: &[Value]) -> Vec<i64> {
    let name = metric["MetricName"].as_str().expect("a metric's name");
    let of_metric = |line: &&Value| {
        let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        let mut dimensions = dimensions.map(|dimension| {
            let value = match dimension["Value"]["Ref"].as_str() {
                Some("AWS::StackName") => STACK,
                _ => dimension["Value"].as_str().expect("a dimension's value"),
            };
            line[dimension["Name"].as_str().expect("a dimension's name")] == value
        });
        dimensions.all(|is_same| is_same)
    };
    let of_metric = lines.iter().filter(of_metric);
    of_metric.filter_map(|line| line[name].as_i64()).collect()
}

fn exceeds(alarm: &Value, value: i64) -> bool {
    let threshold = alarm["Threshold"].as_i64().expect("a threshold");
    match alarm["ComparisonOperator"].as_str() {
        Some("GreaterThanThreshold") => value > threshold,
        Some("GreaterThanOrEqualToThreshold") => value >= threshold,
        // This comparison watches for the absence of a metric.
        Some("LessThanThreshold") => false,
        other => panic!("the comparison {other:?} of an alarm is not known"),
    }
}
