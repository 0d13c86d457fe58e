//! Evaluates the template's alarms on the metrics that functions print, as CloudWatch does.
//!
//! CloudWatch evaluates an alarm every minute, on the periods that end at that minute. A period
//! breaches if its value breaches the threshold. A period without a value counts as the alarm's
//! `TreatMissingData` says. If values are missing, CloudWatch also looks at a few earlier periods.
//! How many is not documented, so this module does not. On AWS, an alarm for missing values may
//! therefore go off some periods later.
//!
//! Only alarms on the stack's own metrics are evaluated, because functions do not print the metrics
//! of Lambda and SQS.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::template::Template;
use crate::world::STACK;

/// Seconds between two evaluations of an alarm.
const MINUTE: i64 = 60;

/// The template's alarms, watched from a time on. Before that time, everything was in order.
#[derive(Debug)]
pub struct Watch {
    alarms: Vec<Alarm>,
    /// The beginning, in seconds since the epoch.
    begin: i64,
}

/// One alarm of the template, and the values that were printed for its metrics.
#[derive(Debug)]
struct Alarm {
    name: String,
    samples: Vec<Sample>,
    statistic: String,
    period_seconds: i64,
    periods: usize,
    periods_to_alarm: usize,
    threshold: i64,
    comparison: String,
    missing_data: String,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The time of the value, in seconds since the epoch.
    at: i64,
    value: i64,
}

/// A printed line with metrics, and its time in seconds since the epoch.
type Line = (i64, Value);

/// The names of the alarms that go off at once at these printed lines. They are watched from the
/// time of the first line to a minute after the last one, and everything was in order before.
///
/// # Panics
///
/// If the template has an alarm of a kind that this module does not know.
pub fn raised(template: &Template, printed: &[String]) -> BTreeSet<String> {
    let lines = metrics(printed);
    let times = lines.iter().map(|(at, _)| *at);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
        return BTreeSet::new();
    };
    let watch = Watch {
        alarms: alarms(template, &lines),
        begin: first,
    };
    watch.raised_through(last + MINUTE)
}

/// The names of the alarms that go off if things go on like this, so that every period has values
/// like those of these printed lines. Alarms for missing values are left out.
///
/// # Panics
///
/// If the template has an alarm of a kind that this module does not know.
pub fn raised_if_it_goes_on(template: &Template, printed: &[String]) -> BTreeSet<String> {
    let is_over = |alarm: &Alarm| {
        let mut samples = alarm.samples.iter();
        !alarm.is_for_missing_values() && samples.any(|sample| alarm.is_breached_by(sample.value))
    };
    let alarms = alarms(template, &metrics(printed)).into_iter();
    let raised = alarms.filter(is_over);
    raised.map(|alarm| alarm.name).collect()
}

impl Watch {
    /// Watches the template's alarms from `begin` on. The functions have printed these lines.
    ///
    /// # Panics
    ///
    /// If the template has an alarm of a kind that this module does not know.
    pub fn new(template: &Template, printed: &[String], begin: Timestamp) -> Self {
        Self {
            alarms: alarms(template, &metrics(printed)),
            begin: begin.as_second(),
        }
    }

    /// The names of the alarms that go off from the beginning through `until`.
    pub fn raised(&self, until: Timestamp) -> BTreeSet<String> {
        self.raised_through(until.as_second())
    }

    /// The minutes after the beginning, through `until`, at which an alarm is on.
    ///
    /// # Panics
    ///
    /// If the template has no such alarm on the stack's own metrics.
    pub fn minutes_on(&self, name: &str, until: Timestamp) -> Vec<i64> {
        let found = self.alarms.iter().find(|alarm| alarm.name == name);
        let alarm = found.unwrap_or_else(|| panic!("the template has no alarm {name}"));
        self.minutes(until.as_second())
            .filter(|minute| alarm.is_on(self.begin, self.begin + minute * MINUTE))
            .collect()
    }

    fn raised_through(&self, until: i64) -> BTreeSet<String> {
        let is_raised = |alarm: &&Alarm| {
            let mut minutes = self.minutes(until);
            minutes.any(|minute| alarm.is_on(self.begin, self.begin + minute * MINUTE))
        };
        let raised = self.alarms.iter().filter(is_raised);
        raised.map(|alarm| alarm.name.clone()).collect()
    }

    /// The evaluations through `until`, in minutes after the beginning.
    fn minutes(&self, until: i64) -> impl Iterator<Item = i64> {
        1..=(until - self.begin) / MINUTE
    }
}

impl Alarm {
    /// Whether the alarm is on at `now`, in a watch that began at `begin`.
    fn is_on(&self, begin: i64, now: i64) -> bool {
        let ends = (0_i64..).map(|number| now - number * self.period_seconds);
        let periods: Vec<Option<bool>> = ends
            .take(self.periods)
            .map(|end| self.is_breached_in(begin, end))
            .collect();
        let count = |which: Option<bool>| periods.iter().filter(|one| **one == which).count();
        let (breached, missing) = (count(Some(true)), count(None));
        match self.missing_data.as_str() {
            "breaching" => breached + missing >= self.periods_to_alarm,
            "notBreaching" => breached >= self.periods_to_alarm,
            // If every value that is there breaches the threshold, the missing ones do not matter.
            "missing" => {
                let is_all = breached > 0 && breached + missing == periods.len();
                is_all || breached >= self.periods_to_alarm
            }
            other => panic!("{}: TreatMissingData {other:?} is not known", self.name),
        }
    }

    /// Whether the period that ends at `end` breaches the threshold; `None` if it has no value. In
    /// the part of a period that lies before the watch, everything was in order. More values could
    /// only lower a minimum and raise a number of samples. So such a period breaches only if its
    /// maximum or its sum does.
    fn is_breached_in(&self, begin: i64, end: i64) -> Option<bool> {
        let first = end - self.period_seconds;
        let is_whole = first >= begin;
        let is_certain = is_whole || matches!(self.statistic.as_str(), "Maximum" | "Sum");
        match self.value(first, end) {
            Some(value) if is_certain => Some(self.is_breached_by(value)),
            None if is_whole => None,
            _ => Some(false),
        }
    }

    /// The value of the period from `first` to `end`; `None` if nothing was printed in it.
    fn value(&self, first: i64, end: i64) -> Option<i64> {
        let is_in = |sample: &&Sample| (first..end).contains(&sample.at);
        let samples = self.samples.iter().filter(is_in);
        let values = samples.map(|sample| sample.value);
        match self.statistic.as_str() {
            "Maximum" => values.max(),
            "Minimum" => values.min(),
            "Sum" => values.reduce(|sum, value| sum + value),
            "SampleCount" => match i64::try_from(values.count()) {
                Ok(0) => None,
                count => count.ok(),
            },
            other => panic!("{}: the statistic {other:?} is not known", self.name),
        }
    }

    fn is_breached_by(&self, value: i64) -> bool {
        match self.comparison.as_str() {
            "GreaterThanThreshold" => value > self.threshold,
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            other => panic!("{}: the comparison {other:?} is not known", self.name),
        }
    }

    fn is_for_missing_values(&self) -> bool {
        self.comparison == "LessThanThreshold"
    }
}

/// The printed lines that are metrics.
fn metrics(printed: &[String]) -> Vec<Line> {
    let read = |line: &String| {
        let line: Value = serde_json::from_str(line).ok()?;
        let milliseconds = line["_aws"]["Timestamp"].as_i64()?;
        Some((milliseconds.div_euclid(1_000), line))
    };
    printed.iter().filter_map(read).collect()
}

/// The template's alarms on the stack's own metrics.
fn alarms(template: &Template, lines: &[Line]) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    for (name, resource) in template.section("Resources") {
        if resource["Type"] != "AWS::CloudWatch::Alarm" {
            continue;
        }
        let properties = &resource["Properties"];
        let combined = || properties["Metrics"].as_array().into_iter().flatten();
        // Each metric with its statistic and its period.
        let several = combined().map(|metric| {
            let stat = &metric["MetricStat"];
            (&stat["Metric"], &stat["Stat"], &stat["Period"])
        });
        let own: Vec<(&Value, &Value, &Value)> = several
            .chain([(properties, &properties["Statistic"], &properties["Period"])])
            .filter(|one| one.0["Namespace"] == runtime::metrics::NAMESPACE)
            .collect();
        let Some((_, statistic, period)) = own.first().copied() else {
            continue;
        };
        if own.len() > 1 {
            let is_same = own.iter().all(|one| (one.1, one.2) == (statistic, period));
            let is_largest = combined().any(|metric| metric["Expression"] == "MAX(METRICS())");
            assert!(
                is_same && is_largest && *statistic == "Maximum",
                "{name} combines its metrics in a way that is not known"
            );
        }
        let number = |property: &str| {
            let number = properties[property].as_u64()?;
            usize::try_from(number).ok()
        };
        let periods = number("EvaluationPeriods").expect("a number of periods");
        alarms.push(Alarm {
            name: name.clone(),
            samples: own.iter().flat_map(|one| samples(one.0, lines)).collect(),
            statistic: text(statistic),
            period_seconds: period.as_i64().expect("a period"),
            periods,
            periods_to_alarm: number("DatapointsToAlarm").unwrap_or(periods),
            threshold: properties["Threshold"].as_i64().expect("a threshold"),
            comparison: text(&properties["ComparisonOperator"]),
            missing_data: text(&properties["TreatMissingData"]),
        });
    }
    alarms
}

/// The values that the printed lines contain for one metric of the template.
fn samples(metric: &Value, lines: &[Line]) -> Vec<Sample> {
    let name = metric["MetricName"].as_str().expect("a metric's name");
    let is_of_metric = |line: &Value| {
        let mut dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        dimensions.all(|dimension| {
            let value = match dimension["Value"]["Ref"].as_str() {
                Some("AWS::StackName") => STACK,
                _ => dimension["Value"].as_str().expect("a dimension's value"),
            };
            line[dimension["Name"].as_str().expect("a dimension's name")] == value
        })
    };
    let sample = |(at, line): &Line| {
        let value = line[name].as_i64()?;
        Some(Sample { at: *at, value })
    };
    let of_metric = lines.iter().filter(|(_, line)| is_of_metric(line));
    of_metric.filter_map(sample).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
